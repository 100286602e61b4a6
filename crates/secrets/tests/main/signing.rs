//! Keys that sign tokens for others: what they sign, and what is published of them.

use crate::house::{House, by, house};
use keyreeve_crypto::Secret as SecretText;
use keyreeve_crypto::jws::Unverified;
use keyreeve_crypto::sign::{Algorithm, JwkSet, VerifyingKey};
use keyreeve_identity::{Authority, Cause};
use keyreeve_pki::{KeyPair, NewKey};
use keyreeve_secrets::{
    Content, Error, Fate, JwtRules, JwtWanted, NewSecret, Party, Recipe, Rules, Secret, SecretId,
    SecretPatch, Settings, SignedJwt, Wanted,
};
use keyreeve_store::{Tx, statements};
use keyreeve_testkit::{Engine, on_both_engines};
use serde_json::{Map, Value, json};
use std::time::Duration;

statements! {
    NO_LOG = "ALTER TABLE audit_entry RENAME TO audit_entry_gone";
}

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn jwt() -> JwtRules {
    let claims = serde_json::from_value(json!({"ref": [], "environment": ["test", "production"]})).unwrap();
    JwtRules {
        issuer: "https://ci.example.org".to_owned(),
        audiences: vec!["https://deploy.example.org".to_owned()],
        typ: "JWT".to_owned(),
        fixed: map(&json!({"team": "blue"})),
        claims,
    }
}

fn rules(names: &[&str], open_to: Vec<Party>, jwt: JwtRules) -> Rules {
    Rules {
        open_to,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        max_seconds: 600,
        extensions: Vec::new(),
        force_command: None,
        source_addresses: Vec::new(),
        client: false,
        jwt: Some(jwt),
    }
}

async fn key(house: &House, algorithm: Algorithm) -> Secret {
    let content = Content::Made(Recipe::SigningKey { algorithm });
    house.secrets.create(&house.admin, NewSecret::of("key", content), &by()).await.unwrap()
}

async fn policy(house: &House, of: SecretId, rules: Rules) -> Result<(), Error> {
    house.secrets.create_policy(&house.admin, ("ci", of, rules), &by()).await.map(drop)
}

async fn sign(house: &House, authority: &Authority, wanted: &JwtWanted) -> Result<SignedJwt, Error> {
    house.secrets.sign_jwt(authority, "ci", wanted, &by()).await
}

async fn published(house: &House, of: Option<SecretId>) -> Vec<String> {
    let Ok(text) = house.secrets.jwks(house.tenant, of).await else { return Vec::new() };
    let set: JwkSet = serde_json::from_str(&text).unwrap();
    set.keys.into_iter().map(|key| key.kid.unwrap()).collect()
}

/// The claims of a token, if a published key signed it.
async fn checked(house: &House, token: &str) -> Map<String, Value> {
    let set: JwkSet = serde_json::from_str(&house.secrets.jwks(house.tenant, None).await.unwrap()).unwrap();
    let token = Unverified::parse(token).unwrap();
    let key = set.keys.iter().find(|key| key.kid.as_deref() == token.kid()).unwrap();
    let key = VerifyingKey::from_jwk(key).unwrap();
    assert_eq!(Some(key.kid()), token.kid(), "named by its thumbprint");
    token.verify(&key).unwrap()
}

on_both_engines! {
    async fn ac_54_a_policy_says_what_a_token_says(engine: Engine) {
        let house = house(engine).await;
        let (ada, star, eve) = (house.user("ada").await, house.user("a+b").await, house.user("eve").await);
        let (as_ada, as_star, as_eve) = (house.as_party(ada).await, house.as_party(star).await, house.as_party(eve).await);
        let secret = key(&house, Algorithm::EdDsa).await;
        policy(&house, secret.id, rules(&["{{username}}"], vec![ada, star], jwt())).await.unwrap();
        assert!(matches!(sign(&house, &as_eve, &JwtWanted::default()).await, Err(Error::NotFound("signing policy"))));
        let claims = map(&json!({"environment": "test", "ref": {"branch": "main"}}));
        let signed = sign(&house, &as_ada, &JwtWanted { claims, seconds: Some(60), ..JwtWanted::default() }).await.unwrap();
        assert_eq!(Some(&signed.kid), secret.facts.fingerprint.as_ref());
        let now = house.test.world.now().seconds();
        let expected = json!({
            "iss": "https://ci.example.org", "sub": "ada", "aud": "https://deploy.example.org", "iat": now, "exp": now + 60,
            "jti": signed.jti, "team": "blue", "environment": "test", "ref": {"branch": "main"},
        });
        assert_eq!(checked(&house, signed.token.expose()).await, map(&expected));
        let claiming = |claims: Value| JwtWanted { claims: map(&claims), ..JwtWanted::default() };
        let denied = [
            claiming(json!({"environment": "elsewhere"})), claiming(json!({"environment": ["test"]})), claiming(json!({"team": "red"})),
            claiming(json!({"admin": true})), claiming(json!({"iss": "x"})), claiming(json!({"exp": 9_999_999_999_u64})),
            JwtWanted { subject: Some("root".into()), ..JwtWanted::default() },
            JwtWanted { subject: Some("{{username}}".into()), ..JwtWanted::default() },
            JwtWanted { audience: vec!["https://deploy.example.org/".into()], ..JwtWanted::default() },
        ];
        for wanted in &denied {
            assert!(matches!(sign(&house, &as_ada, wanted).await, Err(Error::Denied(_))), "{wanted:?}");
        }
        // A name that is no plain one stands for nobody.
        assert!(matches!(sign(&house, &as_star, &JwtWanted::default()).await, Err(Error::Denied(_))));
        let long = JwtWanted { seconds: Some(601), ..JwtWanted::default() };
        assert!(matches!(sign(&house, &as_ada, &long).await, Err(Error::Invalid { field: "seconds", .. })));
        let much = claiming(json!({"ref": "x".repeat(9_000)}));
        assert!(matches!(sign(&house, &as_ada, &much).await, Err(Error::Invalid { field: "claims", .. })));
        assert_eq!((house.told("jwt.sign", "success").await, house.told("jwt.sign", "refused").await), (1, 10));
        let log = format!("{:?}", house.entries().await);
        assert!(log.contains(&signed.jti) && !log.contains(signed.token.expose()), "noted, and not shown");
    }

    async fn ac_76_what_cannot_be_recorded_is_not_signed(engine: Engine) {
        let house = house(engine).await;
        let secret = key(&house, Algorithm::EdDsa).await;
        policy(&house, secret.id, rules(&["ada"], Vec::new(), jwt())).await.unwrap();
        sign(&house, &house.admin, &JwtWanted::default()).await.unwrap();
        let write = async |tx: &mut Tx<'_>| tx.execute(&NO_LOG, &[]).await;
        house.test.store.write::<_, keyreeve_store::Error, _>(write).await.unwrap();
        let signed = sign(&house, &house.admin, &JwtWanted::default()).await;
        assert!(matches!(signed, Err(Error::Store(_))), "{signed:?}");
    }

    async fn a_policy_takes_no_issuer_and_no_type_that_is_the_servers_own(engine: Engine) {
        let house = house(engine).await;
        let secret = key(&house, Algorithm::EdDsa).await;
        let of = |change: fn(&mut JwtRules)| { let mut rules = jwt(); change(&mut rules); rules };
        let bad = [
            ("rules.jwt.issuer", of(|jwt| jwt.issuer = "https://id.example.org".into())),
            ("rules.jwt.issuer", of(|jwt| jwt.issuer = "https://ID.example.org./t/acme".into())),
            ("rules.jwt.issuer", of(|jwt| jwt.issuer = "https://x@id.example.org:443/any".into())),
            ("rules.jwt.issuer", of(|jwt| jwt.issuer = "https://*.example.org".into())),
            ("rules.jwt.issuer", of(|jwt| jwt.issuer = String::new())),
            ("rules.jwt.audiences", of(|jwt| jwt.audiences.clear())),
            ("rules.jwt.audiences", of(|jwt| jwt.audiences = vec!["{{username}}".into()])),
            ("rules.jwt.typ", of(|jwt| jwt.typ = "AT+jwt".into())),
            ("rules.jwt.typ", of(|jwt| jwt.typ = "application/logout+jwt".into())),
            ("rules.jwt.typ", of(|jwt| jwt.typ = "token-introspection+jwt".into())),
            ("rules.jwt.typ", of(|jwt| jwt.typ = "a b".into())),
            ("rules.jwt.fixed", of(|jwt| { jwt.fixed.insert("sub".into(), json!("root")); })),
            ("rules.jwt.fixed", of(|jwt| { jwt.fixed.insert("x".into(), json!(["{{username}}"])); })),
            ("rules.jwt.claims", of(|jwt| { jwt.claims.insert("iat".into(), Vec::new()); })),
            ("rules.jwt.claims", of(|jwt| { jwt.claims.insert("team".into(), Vec::new()); })),
        ];
        for (at, jwt) in bad {
            let made = policy(&house, secret.id, rules(&["ada"], Vec::new(), jwt.clone())).await;
            assert!(matches!(made, Err(Error::Invalid { field, .. }) if field == at), "{jwt:?}: {made:?}");
        }
        let none = Rules { jwt: None, ..rules(&["ada"], Vec::new(), jwt()) };
        assert!(matches!(policy(&house, secret.id, none).await, Err(Error::Invalid { field: "rules.jwt", .. })));
        let ca = Content::Made(Recipe::SshCa { hosts: false, key_type: "ed25519".into() });
        let ca = house.secrets.create(&house.admin, NewSecret::of("ca", ca), &by()).await.unwrap();
        let other = policy(&house, ca.id, rules(&["ada"], Vec::new(), jwt())).await;
        assert!(matches!(other, Err(Error::Invalid { field: "rules.jwt", .. })));
        // What signs tokens certifies nothing.
        policy(&house, secret.id, rules(&["ada"], Vec::new(), jwt())).await.unwrap();
        let wanted = Wanted { about: String::new(), names: Vec::new(), seconds: None, leased: false };
        let issued = house.secrets.issue(&house.admin, "ci", &wanted, &by()).await;
        assert!(matches!(issued, Err(Error::Invalid { field: "policy", .. })));
        assert!(matches!(house.secrets.published(house.tenant, secret.id).await, Err(Error::NotFound(_))));
    }

    async fn replaced_versions_stay_published_while_they_are_kept(engine: Engine) {
        let house = house(engine).await;
        let (admin, other) = (&house.admin, house.other_tenant().await);
        let secret = key(&house, Algorithm::Es256).await;
        let second = key(&house, Algorithm::EdDsa).await;
        policy(&house, secret.id, rules(&["ada"], Vec::new(), jwt())).await.unwrap();
        let first = sign(&house, admin, &JwtWanted::default()).await.unwrap();
        assert_eq!(published(&house, Some(secret.id)).await, [&*first.kid]);
        assert_eq!(published(&house, None).await.len(), 2);
        house.secrets.rotate(admin, secret.id, &by()).await.unwrap();
        let newer = sign(&house, admin, &JwtWanted::default()).await.unwrap();
        assert_ne!(newer.kid, first.kid);
        checked(&house, first.token.expose()).await;
        checked(&house, newer.token.expose()).await;
        let decide = async |fate, number: i64| house.secrets.decide_on(admin, secret.id, fate, &[number], &by()).await.unwrap();
        decide(Fate::Delete, 1).await;
        assert_eq!(published(&house, Some(secret.id)).await, [&*newer.kid], "at once");
        decide(Fate::Undelete, 1).await;
        assert_eq!(published(&house, Some(secret.id)).await.len(), 2);
        // By age, from the moment that they were replaced, and although nothing is written.
        let settings = |settings| SecretPatch { settings: Some(settings), ..SecretPatch::default() };
        let aged = settings(Settings { keep_seconds: Some(100), ..Settings::default() });
        house.secrets.update(admin, secret.id, aged, None, &by()).await.unwrap();
        house.test.clock.advance(Duration::from_secs(99));
        assert_eq!(published(&house, Some(secret.id)).await.len(), 2);
        house.test.clock.advance(Duration::from_secs(1));
        assert_eq!(published(&house, Some(secret.id)).await, [&*newer.kid]);
        house.secrets.rotate(admin, secret.id, &by()).await.unwrap();
        assert_eq!(published(&house, Some(secret.id)).await.len(), 2, "what was replaced just now stays, however old it is");
        // By count.
        let one = settings(Settings { keep_versions: 1, ..Settings::default() });
        house.secrets.update(admin, secret.id, one, None, &by()).await.unwrap();
        house.secrets.rotate(admin, secret.id, &by()).await.unwrap();
        assert_eq!(published(&house, Some(secret.id)).await.len(), 1);
        let many = settings(Settings { keep_versions: 21, ..Settings::default() });
        let refused = house.secrets.update(admin, secret.id, many, None, &by()).await;
        assert!(matches!(refused, Err(Error::Invalid { field: "settings.keep_versions", .. })));
        // What is destroyed signs nothing and is not shown; what is another's is not shown to this one's readers.
        decide(Fate::Destroy, 4).await;
        assert!(matches!(sign(&house, admin, &JwtWanted::default()).await, Err(Error::Gone(_))));
        assert!(matches!(house.secrets.jwks(house.tenant, Some(secret.id)).await, Err(Error::NotFound(_))));
        assert!(matches!(house.secrets.jwks(other.tenant(), Some(second.id)).await, Err(Error::NotFound(_))));
        assert_eq!(house.secrets.jwks(other.tenant(), None).await.unwrap(), r#"{"keys":[]}"#);
        house.secrets.delete(admin, second.id, None, &by()).await.unwrap();
        assert!(published(&house, None).await.is_empty());
    }

    async fn keys_are_made_or_brought_and_never_leave(engine: Engine) {
        let house = house(engine).await;
        let ada = house.user("ada").await;
        let as_ada = house.as_party(ada).await;
        for (kind, algorithm) in [(NewKey::Ed25519, "EdDSA"), (NewKey::EcdsaP256, "ES256"), (NewKey::Rsa3072, "RS256")] {
            let pair = KeyPair::generate(kind).unwrap();
            let pem = pair.to_pem().unwrap();
            let content = || Content::SigningKey { private: SecretText::new(pem.expose()) };
            let own = house.secrets.create(&as_ada, NewSecret::of("key", content()), &Cause::operator()).await;
            assert!(matches!(own, Err(Error::Denied(_))), "they are the tenant's to make");
            let secret = house.secrets.create(&house.admin, NewSecret::of("key", content()), &by()).await.unwrap();
            assert_eq!(secret.facts.public_key, Some(pair.public().to_pem()));
            let jwk = secret.facts.jwk.clone().unwrap();
            assert_eq!(jwk.alg.as_deref(), Some(algorithm));
            assert!(matches!(house.secrets.read(&house.admin, secret.id, None, &by()).await, Err(Error::Denied(_))));
            assert!(house.secrets.write(&house.admin, secret.id, content(), None, &by()).await.is_err());
            house.secrets.create_policy(&house.admin, (algorithm, secret.id, rules(&["ada"], Vec::new(), jwt())), &by()).await.unwrap();
            let signed = house.secrets.sign_jwt(&house.admin, algorithm, &JwtWanted::default(), &by()).await.unwrap();
            checked(&house, signed.token.expose()).await;
            let next = house.secrets.rotate(&house.admin, secret.id, &by()).await.unwrap();
            assert_eq!(next.facts.jwk.unwrap().alg.as_deref(), Some(algorithm), "of the same kind");
        }
        for wrong in [KeyPair::generate(NewKey::EcdsaP384).unwrap().to_pem().unwrap(), SecretText::new("no key")] {
            let made = house.secrets.create(&house.admin, NewSecret::of("key", Content::SigningKey { private: wrong }), &by()).await;
            assert!(matches!(made, Err(Error::Invalid { field: "private_key", .. })));
        }
    }
}
