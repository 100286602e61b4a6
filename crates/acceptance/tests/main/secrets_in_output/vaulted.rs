//! What people keep: values of every kind, brought in and made here, written and read through the door of key/value stores;
//! their data key changed, a copy of the database taken.

use super::Search;
use crate::program::Program;
use crate::program::wire::{Client, Wire};
use crate::secrets::kept;
use http::Method;
use keyreeve::Purpose;
use keyreeve_crypto::sign::Algorithm;
use keyreeve_crypto::{Secret, SecretBytes};
use keyreeve_identity::{Authority, Cause, NewServiceAccount};
use keyreeve_secrets::{
    AuthorityRecipe, CertificateRecipe, Content, JwtWanted, Kind, NewSecret, PasswordRecipe, Recipe, Secrets,
};
use serde_json::{Value, json};

const FILE: &str = "Canary-file-of-a-stork-61";
const KEPT: &str = "Canary-kept-osprey-62";
const OLD: &str = "Canary-old-value-osprey-63";
const PATCHED: &str = "Canary-patched-osprey-64";
const DESTROYED: &str = "Canary-destroyed-osprey-65";
const MISPLACED: &str = "Canary-misplaced-osprey-66";

/// Values of every kind, kept before the server starts; answers a role and its secret.
pub async fn keep(program: &Program, search: &mut Search) -> (String, String) {
    let app = program.open(Purpose::Command).await;
    let tenant = app.identity.tenants().by_slug("default").await.unwrap().unwrap().id;
    let authority = app.identity.authority_of_operator(tenant).await.unwrap();
    let cause = Cause::operator();
    search.secret("a file", FILE);
    let file = Content::File {
        bytes: SecretBytes::from(FILE.as_bytes().to_vec()),
        media_type: Some("text/plain".to_owned()),
        file_name: Some("notes.txt".to_owned()),
    };
    let ssh = |key_type: &str| {
        Content::Made(Recipe::SshKey { key_type: key_type.to_owned(), comment: "made here".to_owned() })
    };
    let tls = CertificateRecipe {
        key_type: "ecdsa-p256".to_owned(),
        common_name: None,
        names: vec!["a.example.org".to_owned()],
        seconds: 86_400,
        client: false,
        policy: None,
    };
    let root = AuthorityRecipe {
        key_type: "ecdsa-p256".to_owned(),
        common_name: "A root".to_owned(),
        organization: None,
        seconds: 86_400,
    };
    let made = [
        ("a password", Content::Password(Secret::new(KEPT))),
        ("a password that was made", Content::Made(Recipe::Password(PasswordRecipe::default()))),
        ("a file", file),
        ("an SSH key", ssh("ed25519")),
        ("an SSH key", ssh("ecdsa-p256")),
        ("a certificate", Content::Made(Recipe::Certificate(tls))),
        (
            "an authority of users",
            Content::Made(Recipe::SshCa { hosts: false, key_type: "ed25519".to_owned() }),
        ),
        (
            "an authority of hosts",
            Content::Made(Recipe::SshCa { hosts: true, key_type: "ecdsa-p256".to_owned() }),
        ),
        ("an authority of certificates", Content::Made(Recipe::X509Ca(root))),
        ("a key that signs tokens", Content::Made(Recipe::SigningKey { algorithm: Algorithm::EdDsa })),
        ("another", Content::Made(Recipe::SigningKey { algorithm: Algorithm::Es256 })),
    ];
    let mut kinds = std::collections::BTreeSet::new();
    for (what, content) in made {
        let secret = app.secrets.create(&authority, NewSecret::of(what, content), &cause).await.unwrap();
        if secret.kind == Kind::SigningKey {
            let signed = sign(&app.secrets, (&authority, what), &secret, &cause).await;
            search.secret("the signature of a token", signed.rsplit('.').next().unwrap());
        }
        if !secret.kind.is_authority() {
            app.secrets.read(&authority, secret.id, None, &cause).await.unwrap();
        }
    }
    // What no operation shows is looked for as well.
    for version in kept(&app, tenant).await {
        let value = version.value.expose();
        match std::str::from_utf8(value) {
            Ok(text) => search.secret("a value", text),
            Err(_) => {
                search.bytes("a private key", value);
                search.bytes("the number of a private key", private_number(value));
            }
        }
        kinds.insert(version.kind);
    }
    assert_eq!(kinds.len(), Kind::ALL.len() - 1, "key/value comes through its own door: {kinds:?}");
    let new = NewServiceAccount { name: "reader".to_owned(), ..NewServiceAccount::default() };
    let accounts = app.identity.service_accounts();
    let made = accounts.create(tenant, new, &cause).await.unwrap();
    let issued = accounts.add_secret((tenant, made.id), None, &cause).await.unwrap();
    search.secret("the secret of a role", issued.secret.expose());
    (made.id.to_string(), issued.secret.expose().to_owned())
}

/// The number that makes a key private, of a PKCS#8 document: 32 bytes in an octet string (RFC 8410, RFC 5915).
fn private_number(pkcs8: &[u8]) -> &[u8] {
    let at = pkcs8.windows(2).position(|pair| pair == [4, 32]).unwrap();
    &pkcs8[at + 2..at + 34]
}

/// A token that such a key signs.
async fn sign(
    secrets: &Secrets,
    (authority, name): (&Authority, &str),
    key: &keyreeve_secrets::Secret,
    cause: &Cause,
) -> String {
    let rules = json!({
        "names": ["deploy"], "max_seconds": 600,
        "jwt": {"issuer": "https://ci.example.org", "audiences": ["https://deploy.example.org"]},
    });
    let rules = serde_json::from_value(rules).unwrap();
    secrets.create_policy(authority, (name, key.id, rules), cause).await.unwrap();
    let signed = secrets.sign_jwt(authority, name, &JwtWanted::default(), cause).await.unwrap();
    signed.token.expose().to_owned()
}

/// A secret at a path: versions of it, refusals, and what becomes of them.
pub async fn use_them(
    program: &Program,
    address: std::net::SocketAddr,
    (role, role_secret): &(String, String),
    search: &mut Search,
) {
    let made = &program.made["client"];
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    let client = Client { id: text("client_id"), secret: text("client_secret") };
    let mut wire = Wire::open(address).await.unwrap();
    let form = [("grant_type", "client_credentials"), ("scope", "keyreeve:admin")];
    let token = wire.call("/token", &client, &form).await.unwrap().expect(200).text("access_token");
    search.secret("an operator's token", &token);
    for (what, secret) in [
        ("a value", KEPT),
        ("an old value", OLD),
        ("a value that was patched in", PATCHED),
        ("a value that was destroyed", DESTROYED),
        ("a value in the wrong place", MISPLACED),
    ] {
        search.secret(what, secret);
    }
    let path = "/vault/v1/secret/data/canary";
    let mut send = async |method: Method, path: &str, document: Value| {
        wire.send((method, path), &token, &document.to_string()).await.unwrap()
    };
    for value in [DESTROYED, OLD, KEPT] {
        send(Method::POST, path, json!({"data": {"password": value}})).await.check(200);
    }
    send(Method::PUT, "/vault/v1/secret/destroy/canary", json!({"versions": [1]})).await.check(204);
    assert!(send(Method::GET, path, json!({})).await.expect(200).body.contains(KEPT));
    for (bad, status) in [
        (json!({"data": {"password": MISPLACED}, "options": {"cas": 99}}), 400),
        (json!({"data": MISPLACED}), 400),
        (json!({"data": {"password": MISPLACED}, "options": MISPLACED}), 400),
        (json!([MISPLACED]), 400),
    ] {
        let answer = send(Method::POST, path, bad).await.expect(status);
        search.place("the answer to a bad write", format!("{answer:?}"));
    }
    let nowhere = send(Method::POST, "/vault/v1/sys/data/x", json!({"data": {"password": MISPLACED}})).await;
    search.place("the answer to a write where there is no mount", format!("{nowhere:?}"));
    let login = "/vault/v1/auth/approle/login";
    let done =
        send(Method::POST, login, json!({"role_id": role, "secret_id": role_secret})).await.expect(200);
    search.secret("the token of a role", done.json()["auth"]["client_token"].as_str().unwrap());
    let wrong = send(Method::POST, login, json!({"role_id": role, "secret_id": MISPLACED})).await;
    search.place("the answer to a wrong secret of a role", format!("{wrong:?}"));
    for (path, document, status) in [
        (
            "/api/v1/secrets",
            json!({"kind": "signing_key", "name": "x", "value": {"private_key": MISPLACED}}),
            422,
        ),
        (
            "/api/v1/secrets",
            json!({"kind": "ssh_key", "name": "x", "value": {"private_key": MISPLACED, "passphrase": MISPLACED}}),
            422,
        ),
        (
            "/api/v1/secrets",
            json!({"kind": "certificate", "name": "x", "value": {"private_key": MISPLACED, "certificate": MISPLACED}}),
            422,
        ),
        (
            "/api/v1/secrets",
            json!({"kind": "file", "name": "x", "value": {"base64": MISPLACED, "password": MISPLACED}}),
            400,
        ),
        ("/api/v1/jwt/sign", json!({"policy": "another", "claims": {"password": MISPLACED}}), 403),
    ] {
        let answer = send(Method::POST, path, document).await.expect(status);
        search.place("the answer to a secret that cannot be taken", format!("{answer:?}"));
    }
    send(Method::POST, "/api/v1/keys/data/rotate", json!({})).await.check(200);
    for _ in 0..300 {
        let status = send(Method::GET, "/api/v1/keys/data", json!({})).await.expect(200).json();
        if !status["rotation"]["finished_at"].is_null() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    if program.database().is_none() {
        // Beside the database, where it is looked through as every file there is.
        let copy = program.data().join("copy.db");
        program.run(&["backup", copy.to_str().unwrap(), "--json"], "");
        assert!(copy.exists());
    }
}
