//! Clients: registration, authentication, secrets.

use crate::house::{App, House, house, origin, robot, web_app};
use keyreeve_crypto::Secret;
use keyreeve_crypto::jws::{Header, sign_compact};
use keyreeve_crypto::sign::{Algorithm, SigningKey};
use keyreeve_identity::{Cause, NewRole};
use keyreeve_store::{Tx, params, statements};
use keyreeve_testkit::{Engine, on_both_engines};
use keyreeve_tokens::clients::AuthMethod;
use keyreeve_tokens::{ClientCredential, Error, NewClient, TokenError};
use serde_json::{Value, json};
use std::time::Duration;

statements! {
    /// All that is stored of a client's secrets.
    DIGESTS = "SELECT digest FROM client_secret WHERE client = $1";
    /// How many used assertions are remembered.
    REMEMBERED = "SELECT COUNT(*) FROM used_jti";
}

fn basic<'a>(client_id: &'a str, secret: &str) -> ClientCredential<'a> {
    ClientCredential::Basic { client_id, secret: Secret::new(secret) }
}

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

async fn refusal(house: &House, credential: ClientCredential<'_>) -> (String, Vec<String>) {
    let (answer, lines) = house.lines_of(house.try_login(&house.tenant, credential)).await;
    match answer {
        Ok(client) => panic!("{client:?} was authenticated"),
        Err(TokenError::Internal(error)) => panic!("internal: {error:?}"),
        Err(error) => (error.code().to_owned(), lines),
    }
}

struct Robot {
    key: SigningKey,
    app: App,
}

async fn key_robot(house: &House) -> Robot {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let mut settings = robot();
    settings.auth_method = AuthMethod::PrivateKeyJwt;
    settings.jwks = vec![key.public_jwk().clone()];
    Robot { key, app: house.app("robot", settings).await }
}

impl Robot {
    fn assertion(&self, house: &House, jti: &str, change: impl FnOnce(&mut Value)) -> String {
        let now = house.test.world.now().seconds();
        let mut claims = json!({
            "iss": "robot", "sub": "robot", "aud": "https://id.example/oauth2/token", "jti": jti,
            "iat": now, "exp": now + 60,
        });
        change(&mut claims);
        sign_compact(&self.key, &Header::of_type("JWT"), &claims).unwrap()
    }
}

fn assertion(jwt: &str) -> ClientCredential<'_> {
    ClientCredential::Assertion { kind: ASSERTION, jwt, client_id: None }
}

on_both_engines! {
    async fn a_client_authenticates_in_its_registered_way_only(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let spa = house.spa().await;
        let secret = portal.secret.as_deref().unwrap();
        assert!(secret.starts_with("kr_cs_"));
        let ok = house.try_login(&house.tenant, basic("portal", secret)).await.expect("a client");
        assert!(ok.is_confidential());
        assert!(!house.login(&spa).await.is_confidential());
        let post = ClientCredential::Post { client_id: "portal", secret: Secret::new(secret) };
        for (credential, reason) in [
            (post, "other_method_registered"),
            (ClientCredential::None { client_id: "portal" }, "other_method_registered"),
            (basic("spa", "x"), "other_method_registered"),
            (basic("portal", "wrong"), "wrong_secret"),
            (basic("portal", ""), "wrong_secret"),
            (basic("portal", &"x".repeat(10_000)), "wrong_secret"),
            (basic("portal", &secret.to_lowercase()), "wrong_secret"),
            (basic("nobody", secret), "unknown_client"),
            (basic("", secret), "unknown_client"),
            (basic("Portal", secret), "unknown_client"),
            (basic(&"x".repeat(10_000), secret), "unknown_client"),
        ] {
            house.advance(1_000);
            let (code, lines) = refusal(&house, credential).await;
            assert_eq!(code, "invalid_client");
            assert_eq!(lines.first(), Some(&format!("admission.client refused {reason}")));
        }
        house.set(&portal, |settings| settings.enabled = false).await;
        assert_eq!(refusal(&house, basic("portal", secret)).await.1, ["admission.client refused client_disabled"]);
        house.check().await;
    }

    async fn guessing_secrets_is_slow(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        for _ in 0..5 {
            assert_eq!(refusal(&house, basic("portal", "wrong")).await.0, "invalid_client");
        }
        assert_eq!(refusal(&house, basic("portal", portal.secret.as_deref().unwrap())).await.0, "temporarily_unavailable");
        house.advance(2);
        house.login(&portal).await;
        house.login(&portal).await;
    }

    async fn a_success_writes_nothing(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let ((), lines) = house.lines_of(async { drop(house.login(&portal).await) }).await;
        assert!(lines.is_empty(), "{lines:?}");
    }

    async fn ac_38_a_secret_is_shown_once_and_stored_never(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let secret = portal.secret.clone().unwrap();
        let clients = house.tokens.clients();
        let shown = format!(
            "{:?} {:?} {:?} {}",
            clients.get(house.tenant.id, portal.client.id).await.unwrap(),
            clients.list(house.tenant.id, None, 500).await.unwrap(),
            clients.by_client_id(house.tenant.id, "portal").await.unwrap(),
            serde_json::to_string(&clients.secrets(&portal.client).await.unwrap()).unwrap(),
        );
        let id = portal.client.id;
        let stored: Vec<Vec<u8>> = house.test.store
            .read(async move |tx: &mut Tx<'_>| tx.query(&DIGESTS, &params![id], |row| row.get(0)).await)
            .await
            .unwrap();
        let log = format!("{:?}", house.log().await);
        assert!(!shown.contains(&secret) && !log.contains(&secret));
        assert!(!shown.contains("digest"));
        let [digest] = &stored[..] else { panic!("one secret") };
        assert!(!digest.windows(4).any(|w| secret.as_bytes().windows(4).any(|s| s == w)));
    }

    async fn secrets_overlap_when_they_are_changed(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let clients = house.tokens.clients();
        let old = portal.secret.clone().unwrap();
        let day = Duration::from_secs(86_400);
        let (added, lines) = house.lines_of(clients.add_secret(&portal.client, day, &Cause::operator())).await;
        assert_eq!(lines, ["client.secret.create success"]);
        let (info, new) = added.unwrap();
        let good = |secret: String| {
            let house = &house;
            async move { house.try_login(&house.tenant, basic("portal", &secret)).await.is_ok() }
        };
        assert!(good(old.clone()).await && good(new.expose().to_owned()).await);
        house.advance(86_400);
        assert!(!good(old).await && good(new.expose().to_owned()).await);
        let (revoked, lines) = house.lines_of(clients.revoke_secret(&portal.client, info.id, &Cause::operator())).await;
        revoked.unwrap();
        assert_eq!(lines, ["client.secret.revoke success"]);
        house.advance(60);
        assert!(!good(new.expose().to_owned()).await);
        assert!(matches!(clients.revoke_secret(&portal.client, info.id, &Cause::operator()).await, Err(Error::NotFound(_))));
        for _ in 0..5 {
            clients.add_secret(&portal.client, day, &Cause::operator()).await.unwrap();
        }
        assert!(matches!(clients.add_secret(&portal.client, day, &Cause::operator()).await, Err(Error::Invalid { .. })));
        let spa = house.spa().await;
        assert!(clients.add_secret(&spa.client, day, &Cause::operator()).await.is_err());
    }

    async fn ac_32_ac_17_an_assertion_is_used_once(engine: Engine) {
        let house = std::sync::Arc::new(house(engine).await);
        let robot = key_robot(&house).await;
        let jwt = robot.assertion(&house, "1", |_| ());
        let client = house.try_login(&house.tenant, assertion(&jwt)).await.expect("a client");
        assert!(house.tokens.client_credentials(&house.tenant, &client, None, &origin()).await.is_ok());
        let (code, lines) = refusal(&house, assertion(&jwt)).await;
        assert_eq!((code.as_str(), lines.as_slice()), ("invalid_client", &["admission.client refused assertion_replayed".to_owned()][..]));

        let jwt = robot.assertion(&house, "2", |_| ());
        house.advance(2);
        let attempts: Vec<_> = (0..3)
            .map(|_| {
                let (house, jwt) = (house.clone(), jwt.clone());
                tokio::spawn(async move { house.try_login(&house.tenant, assertion(&jwt)).await.is_ok() })
            })
            .collect();
        let mut won = 0;
        for attempt in attempts {
            won += u32::from(attempt.await.expect("an attempt"));
        }
        assert_eq!(won, 1);
        house.check().await;
    }

    async fn ac_33_used_assertions_are_forgotten_when_they_have_expired(engine: Engine) {
        let house = house(engine).await;
        let robot = key_robot(&house).await;
        let long = robot.assertion(&house, "1", |claims| {
            let now = claims["iat"].as_i64().unwrap();
            claims["exp"] = json!(now + 3_600);
        });
        assert_eq!(refusal(&house, assertion(&long)).await.0, "invalid_client");
        let remembered = || {
            let store = &house.test.store;
            async move { store.read(async |tx: &mut Tx<'_>| tx.scalar::<i64>(&REMEMBERED, &[]).await).await.expect("a count") }
        };
        assert_eq!(remembered().await, 0, "what is refused is not remembered");
        house.try_login(&house.tenant, assertion(&robot.assertion(&house, "2", |_| ()))).await.expect("a client");
        assert_eq!(remembered().await, 1);
        house.advance(91);
        house.tokens.prune().await.expect("care");
        assert_eq!(remembered().await, 0);
    }

    async fn assertions_are_bound_to_the_client_and_to_this_server(engine: Engine) {
        let house = house(engine).await;
        let robot = key_robot(&house).await;
        let portal = house.portal().await;
        let mut other = crate::house::robot();
        other.auth_method = AuthMethod::PrivateKeyJwt;
        other.jwks = vec![SigningKey::generate(Algorithm::Es256).unwrap().public_jwk().clone()];
        house.app("droid", other).await;
        let named = |jwt: &str, client_id: &'static str| {
            let jwt = jwt.to_owned();
            let house = &house;
            async move {
                house.advance(1_000);
                let credential = ClientCredential::Assertion { kind: ASSERTION, jwt: &jwt, client_id: Some(client_id) };
                house.try_login(&house.tenant, credential).await.is_ok()
            }
        };
        house.advance(1);
        assert!(!named(&robot.assertion(&house, "1", |_| ()), "droid").await);
        for (jti, change) in [
            ("2", json!({"iss": "droid", "sub": "droid"})),
            ("3", json!({"aud": "https://other.example"})),
            ("4", json!({"aud": ["https://id.example", "https://other.example"]})),
            ("5", json!({"iss": "portal", "sub": "portal"})),
        ] {
            house.advance(1_000);
            let jwt = robot.assertion(&house, jti, |claims| {
                for (name, value) in change.as_object().unwrap() {
                    claims[name] = value.clone();
                }
            });
            assert_eq!(refusal(&house, assertion(&jwt)).await.0, "invalid_client", "{change}");
        }
        house.advance(1_000);
        let jwt = robot.assertion(&house, "6", |_| ());
        let kind = ClientCredential::Assertion { kind: "urn:ietf:params:oauth:client-assertion-type:saml2-bearer", jwt: &jwt, client_id: None };
        assert_eq!(refusal(&house, kind).await.1, ["admission.client refused unknown_assertion_type"]);
        house.advance(1_000);
        assert_eq!(refusal(&house, basic("robot", portal.secret.as_deref().unwrap())).await.1, ["admission.client refused other_method_registered"]);
        let jwt = robot.assertion(&house, "7", |_| ());
        house.try_login(&house.tenant, assertion(&jwt)).await.expect("a client");
        assert_eq!(robot.app.client.client_id, "robot");
    }

    async fn names_are_taken_once_in_each_tenant(engine: Engine) {
        let house = house(engine).await;
        house.portal().await;
        let again = |tenant_id, name: &str| NewClient { tenant_id, client_id: Some(name.to_owned()), settings: web_app() };
        let clients = house.tokens.clients();
        let taken = clients.create(again(house.tenant.id, "portal"), &Cause::operator()).await;
        assert!(matches!(taken, Err(Error::Taken("client_id"))));
        let theirs = house.app_of(house.other.id, "portal", web_app()).await;
        let ours = house.app("mine", web_app()).await;
        assert!(house.try_login(&house.tenant, basic("portal", theirs.secret.as_deref().unwrap())).await.is_err());
        assert!(matches!(clients.get(house.tenant.id, theirs.client.id).await, Err(Error::NotFound(_))));
        assert!(matches!(clients.delete(house.tenant.id, theirs.client.id, &Cause::operator()).await, Err(Error::NotFound(_))));
        let page: Vec<String> = clients.list(house.tenant.id, None, 1).await.unwrap().into_iter().map(|c| c.client_id).collect();
        assert_eq!(page, ["portal"]);
        let first = clients.list(house.tenant.id, None, 1).await.unwrap()[0].id;
        let rest = clients.list(house.tenant.id, Some(first), 500).await.unwrap();
        assert_eq!(rest.iter().map(|c| c.id).collect::<Vec<_>>(), [ours.client.id]);
        let made_up = clients.create(NewClient { tenant_id: house.tenant.id, client_id: None, settings: robot() }, &Cause::operator()).await.unwrap().0;
        assert_eq!(made_up.client_id.len(), 24);
    }

    async fn a_removed_client_takes_its_roles_along(engine: Engine) {
        let house = house(engine).await;
        let (portal, roles) = (house.portal().await, house.identity.roles());
        for application in [None, Some(portal.client.id)] {
            let new = NewRole { name: "reader".to_owned(), application, ..NewRole::default() };
            roles.create(house.tenant.id, new, &Cause::operator()).await.unwrap();
        }
        let cause = Cause::operator();
        let removing = house.tokens.clients().delete(house.tenant.id, portal.client.id, &cause).await;
        removing.unwrap();
        let left = roles.list(house.tenant.id, None, 500).await.unwrap();
        assert_eq!(left.iter().map(|role| role.application).collect::<Vec<_>>(), [None]);
        house.check().await;
    }

    async fn settings_are_replaced_by_whoever_read_them_last(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let clients = house.tokens.clients();
        let mut settings = web_app();
        settings.name = "New".into();
        let updated = clients.update(&portal.client, settings.clone(), &Cause::operator()).await.unwrap();
        assert_eq!((updated.version, updated.settings.name.as_str()), (2, "New"));
        assert!(matches!(clients.update(&portal.client, settings.clone(), &Cause::operator()).await, Err(Error::VersionConflict)));
        assert_eq!(clients.by_client_id(house.tenant.id, "portal").await.unwrap().unwrap().settings.name, "New");
        settings.redirect_uris.clear();
        assert!(matches!(clients.update(&updated, settings, &Cause::operator()).await, Err(Error::Invalid { field: "redirect_uris", .. })));
        clients.delete(house.tenant.id, portal.client.id, &Cause::operator()).await.unwrap();
        assert!(matches!(clients.update(&updated, web_app(), &Cause::operator()).await, Err(Error::NotFound(_))));
        assert!(clients.by_client_id(house.tenant.id, "portal").await.unwrap().is_none());
        house.check().await;
    }
}
