//! A realm as Keycloak exports it.

use super::*;
use crate::convert::Note;
use keyreeve_crypto::password::imported;

const REALM: &str = r##"{
  "id": "0c5f0f5e-0000-4000-8000-000000000001", "realm": "Demo", "enabled": true,
  "users": [
    {"id": "0c5f0f5e-1111-4000-8000-000000000001", "createdTimestamp": 1600000000123, "username": "ada", "enabled": true, "totp": true, "emailVerified": true,
     "firstName": "Ada", "lastName": "Lovelace", "email": "ada@example.org", "attributes": {"locale": ["de"], "team": ["a", "b"]},
     "credentials": [
       {"id": "1", "type": "password", "createdDate": 1, "secretData": "{\"value\":\"NEd7fA5eT2gpUUAgGJyeJYQ9xCgbtyvTPKCvqZbfmFU=\",\"salt\":\"c2FsdHNhbHRzYWx0c2FsdA==\",\"additionalParameters\":{}}", "credentialData": "{\"hashIterations\":27500,\"algorithm\":\"pbkdf2-sha256\",\"additionalParameters\":{}}"},
       {"id": "2", "type": "otp", "userLabel": "phone", "secretData": "{\"value\":\"foobar\"}", "credentialData": "{\"subType\":\"totp\",\"digits\":6,\"counter\":0,\"period\":30,\"algorithm\":\"HmacSHA1\"}"},
       {"id": "3", "type": "webauthn", "secretData": "{}", "credentialData": "{}"}],
     "requiredActions": ["UPDATE_PASSWORD", "TERMS_AND_CONDITIONS"], "realmRoles": ["default-roles-demo", "manager"],
     "clientRoles": {"wiki": ["editor"], "account": ["manage-account"]}, "groups": ["/Staff/R~/D"], "federatedIdentities": [{"identityProvider": "x", "userId": "y", "userName": "z"}]},
    {"username": "bob", "enabled": false, "emailVerified": true, "email": "bob@example.org", "requiredActions": ["VERIFY_EMAIL"],
     "credentials": [{"type": "password", "hashedSaltedValue": "NEd7fA5eT2gpUUAgGJyeJYQ9xCgbtyvTPKCvqZbfmFU=", "salt": "c2FsdHNhbHRzYWx0c2FsdA==", "hashIterations": 27500, "algorithm": "pbkdf2-sha256"}], "groups": ["/Gone"]},
    {"username": "carol", "credentials": [{"type": "password", "value": "planted-1"}, {"type": "otp", "secretData": "{\"value\":\"x\"}", "credentialData": "{\"subType\":\"hotp\",\"digits\":6,\"counter\":9,\"algorithm\":\"HmacSHA1\"}"}]},
    {"username": 7},
    {"username": "service-account-wiki", "serviceAccountClientId": "wiki"}
  ],
  "roles": {"realm": [
      {"id": "0c5f0f5e-2222-4000-8000-000000000001", "name": "manager", "description": "leads", "composite": true, "composites": {"realm": ["reader"], "client": {"wiki": ["editor"]}}},
      {"name": "reader"}, {"name": "uma_authorization"}, {"name": "default-roles-demo", "composite": true, "composites": {"realm": ["offline_access", "reader"]}}],
    "client": {"wiki": [{"name": "editor"}], "account": [{"name": "manage-account"}]}},
  "groups": [{"id": "0c5f0f5e-3333-4000-8000-000000000001", "name": "Staff", "path": "/Staff", "attributes": {"site": ["HH"]}, "realmRoles": ["reader"], "clientRoles": {},
    "subGroups": [{"name": "R/D", "path": "/Staff/R~/D", "subGroups": []}]}],
  "clients": [
    {"clientId": "account", "publicClient": true},
    {"clientId": "wiki", "name": "Wiki", "rootUrl": "https://wiki.example.org", "redirectUris": ["/callback", "https://wiki.example.org/*"], "secret": "0123456789abcdefghijklmnopqrstuv", "standardFlowEnabled": true, "directAccessGrantsEnabled": true, "serviceAccountsEnabled": true, "attributes": {"post.logout.redirect.uris": "https://wiki.example.org/bye##+"}, "defaultClientScopes": ["web-origins", "profile"], "optionalClientScopes": ["offline_access"]},
    {"clientId": "spa", "publicClient": true, "redirectUris": ["*"], "consentRequired": true, "attributes": {"pkce.code.challenge.method": "S256"}},
    {"clientId": "masked", "secret": "**********", "redirectUris": ["https://m.example.org/cb"]},
    {"clientId": "saml", "protocol": "saml"}, {"clientId": "api", "bearerOnly": true}, {"clientId": "jwt", "clientAuthenticatorType": "client-jwt"}],
  "smtpServer": {}, "identityProviders": [{"alias": "x"}], "browserSecurityHeaders": {"a": "b"}
}"##;

#[derive(Default)]
struct Kept {
    lines: Vec<String>,
    notes: Vec<Note>,
}

impl Sink for Kept {
    fn record(&mut self, record: Record) -> io::Result<()> {
        let mut line = Vec::new();
        record.write(&mut line)?;
        self.lines.push(String::from_utf8(line).unwrap().trim().to_owned());
        Ok(())
    }

    fn note(&mut self, note: Note) -> io::Result<()> {
        self.notes.push(note);
        Ok(())
    }
}

fn converted(files: &[(&str, &str)], open: &str) -> io::Result<Kept> {
    let dir = tempfile::tempdir()?;
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content)?;
    }
    let mut kept = Kept::default();
    convert(&Export::open(&dir.path().join(open))?, &mut kept)?;
    Ok(kept)
}

fn of<'k>(kept: &'k Kept, kind: &str) -> Vec<&'k str> {
    let start = format!(r#"{{"type":"{kind}""#);
    kept.lines.iter().map(String::as_str).filter(|line| line.starts_with(&start)).collect()
}

#[test]
fn users_come_with_hashes_factors_and_what_they_must_do() {
    let kept = converted(&[("realm.json", REALM)], "realm.json").unwrap();
    let users = of(&kept, "user");
    assert_eq!(users.len(), 3);
    let ada: serde_json::Value = serde_json::from_str(users[0]).unwrap();
    assert!(imported::recognise(ada["password_hash"].as_str().unwrap()).is_some());
    for (field, value) in [
        ("id", serde_json::json!("0c5f0f5e-1111-4000-8000-000000000001")),
        ("must_change_password", true.into()),
        ("email_verified", true.into()),
        ("locale", "de".into()),
        ("attributes", serde_json::json!({"team": ["a", "b"]})),
        ("created_at", "2020-09-13T12:26:40.123000Z".into()),
        (
            "totp",
            serde_json::json!([{"secret": "MZXW6YTBOI", "algorithm": "SHA1", "digits": 6, "period": 30, "label": "phone"}]),
        ),
    ] {
        assert_eq!(ada[field], value, "{field}");
    }
    let bob: serde_json::Value = serde_json::from_str(users[1]).unwrap();
    assert_eq!(bob["password_hash"], ada["password_hash"], "the form before version 8");
    assert_eq!((&bob["enabled"], &bob["email_verified"]), (&false.into(), &false.into()));
    assert!(!users[2].contains("password_hash"));
}

#[test]
fn groups_roles_and_clients_come_before_what_names_them() {
    let kept = converted(&[("realm.json", REALM)], "realm.json").unwrap();
    assert_eq!(
        of(&kept, "role"),
        [
            r#"{"type":"role","id":"0c5f0f5e-2222-4000-8000-000000000001","name":"manager","description":"leads"}"#,
            r#"{"type":"role","name":"reader"}"#,
            r#"{"type":"role","name":"editor","application":"wiki"}"#,
        ]
    );
    assert_eq!(
        of(&kept, "group"),
        [
            r#"{"type":"group","id":"0c5f0f5e-3333-4000-8000-000000000001","name":"Staff","attributes":{"site":["HH"]}}"#,
            r#"{"type":"group","name":"Staff/R/D"}"#,
        ]
    );
    assert_eq!(
        of(&kept, "membership"),
        [
            r#"{"type":"membership","group":"Staff","member":{"group":"Staff/R/D"},"kind":"MEMBER"}"#,
            r#"{"type":"membership","group":"Staff/R/D","member":{"user":"ada"},"kind":"MEMBER"}"#,
        ]
    );
    assert_eq!(
        of(&kept, "role_holder"),
        [
            r#"{"type":"role_holder","role":"reader","holder":{"group":"Staff"}}"#,
            r#"{"type":"role_holder","role":"manager","holder":{"user":"ada"}}"#,
            r#"{"type":"role_holder","role":"reader","holder":{"user":"ada"}}"#,
            r#"{"type":"role_holder","role":"editor","application":"wiki","holder":{"user":"ada"}}"#,
        ]
    );
    let clients: Vec<serde_json::Value> =
        of(&kept, "client").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [wiki, spa, masked] = clients.as_slice() else { panic!("{clients:?}") };
    assert_eq!(wiki["settings"]["redirect_uris"], serde_json::json!(["https://wiki.example.org/callback"]));
    assert_eq!(
        wiki["settings"]["post_logout_redirect_uris"],
        serde_json::json!(["https://wiki.example.org/bye"])
    );
    assert_eq!(
        wiki["settings"]["grant_types"],
        serde_json::json!(["authorization_code", "refresh_token", "client_credentials", "password"])
    );
    assert_eq!(wiki["settings"]["scopes"], "offline_access openid profile");
    assert_eq!(
        (&spa["settings"]["auth_method"], &spa["settings"]["first_party"]),
        (&"none".into(), &false.into())
    );
    assert_eq!(
        (&spa["settings"]["grant_types"], &spa["settings"]["require_pkce"]),
        (&serde_json::json!([]), &true.into())
    );
    assert!(masked.get("secret").is_none());
}

#[test]
fn everything_that_is_left_out_is_noted_and_no_note_shows_a_secret() {
    let kept = converted(&[("realm.json", REALM)], "realm.json").unwrap();
    let notes: Vec<_> =
        kept.notes.iter().map(|note| format!("{}: {} {}", note.about, note.what, note.detail)).collect();
    for expected in [
        "realm Demo: settings of the realm identityProviders",
        "client wiki: a redirect URI that is a pattern or none https://wiki.example.org/*",
        "client spa: the authorization code flow, since no redirect URI is left ",
        "client masked: a secret that the export does not hold; make a new one it is masked",
        "client saml: a client of another protocol saml",
        "client jwt: a client that authenticates otherwise than by a secret client-jwt",
        "role manager: a composite role; who has it is given its parts, once and for all ",
        "user ada: a required action TERMS_AND_CONDITIONS",
        "user ada: a credential of another kind webauthn",
        "user ada: a role that is not carried over manage-account of account",
        "user ada: accounts at identity providers 1",
        "user bob: a group that is not in the export /Gone",
        "user carol: a password in clear ",
        "user carol: a one-time password that is not by time ",
        "user service-account-wiki: the service account of a client wiki",
    ] {
        assert!(notes.iter().any(|note| note == expected), "{expected} in {notes:#?}");
    }
    assert!(notes.iter().any(|note| note.starts_with("a user: a user that cannot be read")));
    assert!(!notes.iter().any(|note| note.contains("planted") || note.contains("0123456789abcdef")));
}

#[test]
fn a_directory_of_files_is_one_export() {
    let users = |name: &str| format!(r#"{{"realm":"demo","users":[{{"username":"{name}"}}]}}"#);
    let files = [
        ("demo-realm.json", r#"{"realm":"demo"}"#.to_owned()),
        ("demo-users-10.json", users("c")),
        ("demo-users-2.json", users("b")),
        ("demo-users-0.json", users("a")),
        ("other-users-0.json", users("x")),
    ];
    let files: Vec<_> = files.iter().map(|(name, content)| (*name, content.as_str())).collect();
    let kept = converted(&files, "").unwrap();
    let names: Vec<_> = kept.lines.iter().filter_map(|line| line.split('"').nth(7)).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(converted(&[("a-realm.json", "{}"), ("b-realm.json", "{}")], "").is_err());
}

#[test]
fn what_is_no_export_is_refused_with_the_place() {
    for (content, expected) in [
        ("", "EOF"),
        ("[]", "a realm as one object"),
        (r#"{"realm":"x","users":{}}"#, "a list of users"),
        (r#"{"realm":"x","users":[{"username":"a"}"#, "EOF"),
        (r#"{"realm":"x","roles":[1]}"#, "invalid type"),
    ] {
        let error = converted(&[("realm.json", content)], "realm.json").map(drop).unwrap_err().to_string();
        assert!(error.contains(expected), "{content}: {error}");
    }
}
