//! Signing keys: published ahead, rotated with overlap, sealed.

use crate::house::{bare_house, house, robot};
use keyreeve_crypto::jws::Unverified;
use keyreeve_crypto::sign::{Algorithm, JwkSet, VerifyingKey};
use keyreeve_identity::Cause;
use keyreeve_store::{Tx, statements};
use keyreeve_testkit::{Engine, on_both_engines};
use keyreeve_tokens::keys::KeyState;
use keyreeve_tokens::{Error, TokenPolicy, Tokens};
use std::time::Duration;

statements! {
    /// Every stored key.
    STORED = "SELECT public_jwk, sealed_private FROM signing_key";
}

async fn published(tokens: &Tokens, tenant: keyreeve_base::TenantId) -> JwkSet {
    let keys = tokens.keys().jwks(tenant).await.expect("a set");
    let text = std::str::from_utf8(&keys.json).expect("text");
    assert!(!text.contains("\"d\""));
    serde_json::from_str(text).expect("a JWK set")
}

fn kid(token: &str) -> String {
    Unverified::parse(token).expect("a token").kid().expect("a key identifier").to_owned()
}

fn verifies(set: &JwkSet, token: &str) -> bool {
    let unverified = Unverified::parse(token).expect("a token");
    let key = set.keys.iter().find(|jwk| jwk.kid.as_deref() == unverified.kid());
    key.is_some_and(|jwk| {
        let key = VerifyingKey::from_jwk(jwk).expect("a key");
        unverified.verify::<serde_json::Map<String, serde_json::Value>>(&key).is_ok()
    })
}

on_both_engines! {
    async fn the_next_key_is_published_before_it_signs(engine: Engine) {
        let house = house(engine).await;
        let robot = house.app("robot", robot()).await;
        let (tokens, tenant) = (&house.tokens, house.tenant.id);
        let set = published(tokens, tenant).await;
        assert_eq!(set.keys.len(), 2);
        assert!(set.keys.iter().all(|key| key.kid.is_some() && key.alg.as_deref() == Some("EdDSA") && key.key_use.as_deref() == Some("sig")));
        let before = house.client_credentials(&robot, None).await.expect("a token").access_token;
        let states: Vec<_> = tokens.keys().list(tenant).await.expect("a list").into_iter().map(|k| (k.kid, k.state)).collect();
        let next = states.iter().find(|(_, state)| *state == KeyState::Next).expect("a next key").0.clone();
        let rotated = tokens.keys().rotate(tenant, Algorithm::EdDsa, &Cause::operator()).await.expect("a rotation");
        assert_eq!(rotated.kid, next);
        let after = house.client_credentials(&robot, None).await.expect("a token").access_token;
        assert_eq!(kid(&after), next, "whoever cached the set knows the key that signs now");
        assert!(verifies(&set, &after) && verifies(&set, &before));
        assert_eq!(published(tokens, tenant).await.keys.len(), 3);
        house.check().await;
    }

    async fn a_retired_key_stays_until_its_last_token_has_expired(engine: Engine) {
        let house = house(engine).await;
        let robot = house.app("robot", robot()).await;
        let (tokens, tenant) = (&house.tokens, house.tenant.id);
        let policy = TokenPolicy { access_token_s: 86_400, ..TokenPolicy::default() };
        tokens.set_policy(tenant, &policy, &Cause::operator()).await.expect("a policy");
        let old = house.client_credentials(&robot, None).await.expect("a token").access_token;
        tokens.keys().rotate(tenant, Algorithm::EdDsa, &Cause::operator()).await.expect("a rotation");
        house.advance(86_399);
        assert!(house.is_good(&old).await);
        assert!(verifies(&published(tokens, tenant).await, &old));
        house.advance(3_601);
        assert!(!house.is_good(&old).await);
        assert_eq!(published(tokens, tenant).await.keys.len(), 2, "even before it was tidied away");
        tokens.keys().maintain(house.tenant.id).await.expect("care");
        assert_eq!(tokens.keys().list(tenant).await.expect("a list").len(), 2);
        house.check().await;
    }

    async fn keys_rotate_by_themselves(engine: Engine) {
        let house = house(engine).await;
        let robot = house.app("robot", robot()).await;
        let tokens = &house.tokens;
        let first = kid(&house.client_credentials(&robot, None).await.expect("a token").access_token);
        house.advance(90 * 86_400 - 1);
        tokens.keys().maintain(house.tenant.id).await.expect("care");
        let before = kid(&house.client_credentials(&robot, None).await.expect("a token").access_token);
        assert_eq!(before, first);
        house.advance(1);
        let (cared, lines) = house.lines_of(tokens.keys().maintain(house.tenant.id)).await;
        cared.expect("care");
        assert_eq!(lines, ["key.rotate success"]);
        let after = kid(&house.client_credentials(&robot, None).await.expect("a token").access_token);
        assert_ne!(after, first);
        let ((), lines) = house.lines_of(async { tokens.keys().maintain(house.tenant.id).await.expect("care") }).await;
        assert!(lines.is_empty(), "{lines:?}");
    }

    async fn each_client_gets_the_algorithm_that_it_is_registered_for(engine: Engine) {
        let house = house(engine).await;
        let (tokens, tenant) = (&house.tokens, house.tenant.id);
        for alg in [Algorithm::Es256, Algorithm::Rs256] {
            let mut settings = crate::house::web_app();
            settings.access_token_alg = Some(alg);
            let app = house.app(&format!("app-{}", alg.as_str().to_lowercase()), settings).await;
            let response = house.tokens_for(&app, &house.sign_in().await).await;
            assert_eq!(Unverified::parse(&response.access_token).expect("a token").algorithm(), alg);
            let id = response.id_token.expect("an ID token");
            assert_eq!(Unverified::parse(&id).expect("a token").algorithm(), Algorithm::EdDsa);
            assert!(house.is_good(&response.access_token).await);
            let set = published(tokens, tenant).await;
            assert!(verifies(&set, &response.access_token) && verifies(&set, &id));
        }
        // The next RSA key takes time to find: the background job makes it.
        tokens.keys().maintain(house.tenant.id).await.expect("care");
        let next: Vec<_> = tokens.keys().list(tenant).await.expect("a list").into_iter().filter(|k| k.state == KeyState::Next).collect();
        assert_eq!(next.len(), 3);
    }

    async fn ac_36_every_tenant_has_keys_of_its_own_and_they_are_sealed(engine: Engine) {
        let house = house(engine).await;
        let ours = published(&house.tokens, house.tenant.id).await;
        let theirs = published(&house.tokens, house.other.id).await;
        assert!(ours.keys.iter().all(|key| !theirs.keys.contains(key)));
        let stored = house.test.store.read(async |tx: &mut Tx<'_>| {
            tx.query(&STORED, &[], |row| Ok((row.get::<String>(0)?, row.get::<Vec<u8>>(1)?))).await
        });
        let stored: Vec<(String, Vec<u8>)> = stored.await.expect("the rows");
        assert_eq!(stored.len(), 4);
        for (public, sealed) in stored {
            assert!(!public.contains("\"d\""));
            // An Ed25519 PKCS#8 document begins with a SEQUENCE and holds the curve's identifier 1.3.101.112.
            assert!(!sealed.windows(5).any(|w| w == [0x06, 0x03, 0x2b, 0x65, 0x70]));
        }
    }

    async fn parallel_first_uses_make_one_key(engine: Engine) {
        let house = std::sync::Arc::new(bare_house(engine).await);
        let uses: Vec<_> = (0..8)
            .map(|_| {
                let house = house.clone();
                tokio::spawn(async move { house.tokens.keys().jwks(house.tenant.id).await.map(drop) })
            })
            .collect();
        for one in uses {
            one.await.expect("a task").expect("a set");
        }
        assert_eq!(house.tokens.keys().list(house.tenant.id).await.expect("a list").len(), 2);
        house.check().await;
    }

    async fn two_rotations_at_once_are_one(engine: Engine) {
        let house = std::sync::Arc::new(house(engine).await);
        let rotations: Vec<_> = (0..4)
            .map(|_| {
                let house = house.clone();
                tokio::spawn(async move {
                    house.tokens.keys().rotate(house.tenant.id, Algorithm::EdDsa, &Cause::operator()).await
                })
            })
            .collect();
        let mut done = 0;
        for rotation in rotations {
            match rotation.await.expect("a task") {
                Ok(_) => done += 1,
                Err(Error::VersionConflict) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        assert!(done >= 1);
        let keys = house.tokens.keys().list(house.tenant.id).await.expect("a list");
        let signing = keys.iter().filter(|key| key.state == KeyState::Signing).count();
        let next = keys.iter().filter(|key| key.state == KeyState::Next).count();
        assert_eq!((signing, next), (1, 1), "{keys:?}");
    }
}

/// Whether `holds` becomes true while another node's changes are on their way.
async fn soon<F: Future<Output = bool>>(holds: impl Fn() -> F) -> bool {
    for _ in 0..100 {
        if holds().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

#[test]
fn another_node_knows_of_rotations_and_revocations() {
    keyreeve_testkit::block_on(async {
        let house = house(Engine::Postgres).await;
        let robot = house.app("robot", robot()).await;
        let (_identity, there) = house.other_node().await;
        let tenant = house.tenant.id;
        let token = house.client_credentials(&robot, None).await.expect("a token").access_token;
        assert!(there.verify_access(&house.tenant, &token).await.expect("an answer").is_some());
        let first = published(&there, tenant).await;
        house.tokens.keys().rotate(tenant, Algorithm::EdDsa, &Cause::operator()).await.expect("a rotation");
        assert!(soon(|| async { published(&there, tenant).await != first }).await);
        let client = house.login(&robot).await;
        house
            .tokens
            .revoke(&house.tenant, &client, &token, &crate::house::origin())
            .await
            .expect("a revocation");
        let gone =
            || async { there.verify_access(&house.tenant, &token).await.expect("an answer").is_none() };
        assert!(soon(gone).await);
    });
}
