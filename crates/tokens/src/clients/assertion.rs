//! Client assertions: `private_key_jwt` (RFC 7523, OpenID Connect Core section 9). Pure: the keys, the audiences and the
//! time are given; that an assertion is used once only is the caller's to hold.

use keyreeve_base::Timestamp;
use keyreeve_crypto::jws::Unverified;
use keyreeve_crypto::sha256;
use keyreeve_crypto::sign::VerifyingKey;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The value of `client_assertion_type`.
pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How far ahead an assertion's `exp` may lie. Used assertions are remembered until then: without a cap, long-lived ones
/// would fill the table (AC-33).
const MAX_LIFETIME: Duration = Duration::from_secs(300);
/// How much the client's clock may differ from ours.
const SKEW: Duration = Duration::from_secs(30);
const MAX_JTI_BYTES: usize = 256;

/// The claims of an assertion. What is required has no default (AC-31).
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    jti: String,
    iat: Option<i64>,
    nbf: Option<i64>,
}

/// One audience or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// An assertion that holds, if it was not used before.
pub(super) struct Assertion {
    /// The digest of its `jti`.
    pub(super) jti: [u8; 32],
    /// Until when it has to be remembered.
    pub(super) remember_until: Timestamp,
}

/// Whom an assertion says that it is from. Anybody may have written it.
pub(super) fn claimed_client(jwt: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Sub {
        sub: String,
    }
    let sub: Sub = Unverified::parse(jwt).ok()?.unverified_claims().ok()?;
    Some(sub.sub)
}

/// What an assertion is held against.
pub(super) struct Expected<'a> {
    pub(super) client_id: &'a str,
    /// The registered keys, each with the `kid` under which the client registered it.
    pub(super) keys: &'a [(Option<String>, VerifyingKey)],
    /// The audiences of which it must name exactly one, and no other.
    pub(super) audiences: &'a [&'a str],
    pub(super) now: Timestamp,
}

/// Verifies an assertion.
///
/// # Errors
/// The reason, for the audit log.
pub(super) fn verify(jwt: &str, expected: &Expected<'_>) -> Result<Assertion, &'static str> {
    let unverified = Unverified::parse(jwt).map_err(|_| "the assertion is not a JWT of an accepted kind")?;
    let claims: Claims = verified_claims(&unverified, expected.keys)?;
    if claims.iss != expected.client_id || claims.sub != expected.client_id {
        return Err("the assertion's iss and sub are not the client");
    }
    let audience = match &claims.aud {
        Audience::One(audience) => Some(audience.as_str()),
        // An assertion for two servers could be replayed by one of them at the other.
        Audience::Several(several) => match several.as_slice() {
            [only] => Some(only.as_str()),
            _ => None,
        },
    };
    if !audience.is_some_and(|audience| expected.audiences.contains(&audience)) {
        return Err("the assertion is not for this server alone");
    }
    let exp = Timestamp::from_seconds(claims.exp);
    if exp.plus(SKEW) <= expected.now {
        return Err("the assertion has expired");
    }
    if exp > expected.now.plus(MAX_LIFETIME).plus(SKEW) {
        return Err("the assertion's exp lies too far ahead");
    }
    let begun = |at: Option<i64>| at.is_none_or(|at| Timestamp::from_seconds(at) <= expected.now.plus(SKEW));
    if !begun(claims.nbf) || !begun(claims.iat) {
        return Err("the assertion is not valid yet");
    }
    if claims.jti.is_empty() || claims.jti.len() > MAX_JTI_BYTES {
        return Err("the assertion's jti is empty or too long");
    }
    Ok(Assertion { jti: sha256(claims.jti.as_bytes()), remember_until: exp.plus(SKEW) })
}

/// The claims, if one of the client's registered keys signed them. `kid` only narrows the choice; keys in the token are
/// never looked at.
pub(crate) fn verified_claims<T: DeserializeOwned>(
    unverified: &Unverified<'_>,
    keys: &[(Option<String>, VerifyingKey)],
) -> Result<T, &'static str> {
    let named = |registered: &Option<String>, key: &VerifyingKey| match (unverified.kid(), registered) {
        (Some(kid), Some(registered)) => kid == registered,
        (Some(kid), None) => kid == key.kid() || keys.len() == 1,
        (None, _) => true,
    };
    keys.iter()
        .filter(|(registered, key)| key.algorithm() == unverified.algorithm() && named(registered, key))
        .find_map(|(_, key)| unverified.verify(key).ok())
        .ok_or("no registered key has signed the assertion, or a required claim is missing")
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyreeve_crypto::jws::{Header, sign_compact};
    use keyreeve_crypto::sign::{Algorithm, SigningKey};
    use serde_json::{Value, json};

    const NOW_S: i64 = 1_000_000;
    const ISSUER: &str = "https://id.example";
    const ENDPOINT: &str = "https://id.example/oauth2/token";

    fn claims() -> Value {
        json!({"iss": "robot", "sub": "robot", "aud": ISSUER, "exp": NOW_S + 60, "jti": "1"})
    }

    fn changed(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Value {
        let Value::Object(mut map) = claims() else { unreachable!() };
        change(&mut map);
        Value::Object(map)
    }

    fn set(name: &str, value: impl Into<Value>) -> Value {
        changed(|map| {
            map.insert(name.to_owned(), value.into());
        })
    }

    struct Robot {
        key: SigningKey,
        keys: Vec<(Option<String>, VerifyingKey)>,
    }

    impl Robot {
        fn new(alg: Algorithm) -> Self {
            let key = SigningKey::generate(alg).unwrap();
            let verifying = VerifyingKey::from_jwk(key.public_jwk()).unwrap();
            Self { key, keys: vec![(None, verifying)] }
        }

        fn verify(&self, jwt: &str) -> Result<Assertion, &'static str> {
            verify(
                jwt,
                &Expected {
                    client_id: "robot",
                    keys: &self.keys,
                    audiences: &[ISSUER, ENDPOINT],
                    now: Timestamp::from_seconds(NOW_S),
                },
            )
        }

        fn say(&self, claims: &Value) -> Result<Assertion, &'static str> {
            self.verify(&sign_compact(&self.key, &Header::of_type("JWT"), claims).unwrap())
        }
    }

    #[test]
    fn a_sound_assertion_holds_for_each_algorithm() {
        for alg in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256] {
            let robot = Robot::new(alg);
            let held = robot.say(&claims()).unwrap();
            assert_eq!(held.remember_until, Timestamp::from_seconds(NOW_S + 90));
            assert!(robot.say(&set("aud", ENDPOINT)).is_ok());
            assert!(robot.say(&set("aud", json!([ENDPOINT]))).is_ok());
        }
    }

    #[test]
    fn ac_31_required_claims_are_required() {
        let robot = Robot::new(Algorithm::EdDsa);
        for name in ["iss", "sub", "aud", "exp", "jti"] {
            let without = changed(|map| drop(map.remove(name)));
            assert!(robot.say(&without).is_err(), "{name}");
        }
        assert!(robot.say(&set("jti", "")).is_err());
        assert!(robot.say(&set("exp", "tomorrow")).is_err());
    }

    #[test]
    fn ac_33_lifetimes_are_capped() {
        let robot = Robot::new(Algorithm::EdDsa);
        assert!(robot.say(&set("exp", NOW_S + 300)).is_ok());
        assert!(robot.say(&set("exp", NOW_S + 331)).is_err());
        assert!(robot.say(&set("exp", NOW_S - 30)).is_err());
        assert!(robot.say(&set("exp", i64::MAX)).is_err());
        assert!(robot.say(&set("exp", i64::MIN)).is_err());
        assert!(robot.say(&set("nbf", NOW_S + 31)).is_err());
        assert!(robot.say(&set("iat", NOW_S + 31)).is_err());
    }

    #[test]
    fn ac_34_assertions_for_others_or_by_others_are_refused() {
        let robot = Robot::new(Algorithm::EdDsa);
        assert!(robot.say(&set("iss", "other")).is_err());
        assert!(robot.say(&set("sub", "other")).is_err());
        assert!(robot.say(&set("aud", "https://other.example")).is_err());
        assert!(robot.say(&set("aud", "https://id.example/")).is_err());
        assert!(robot.say(&set("aud", json!([ISSUER, "https://other.example"]))).is_err());
        assert!(robot.say(&set("aud", json!([]))).is_err());
    }

    #[test]
    fn ac_30_only_a_registered_key_counts() {
        let robot = Robot::new(Algorithm::EdDsa);
        let stranger = Robot::new(Algorithm::EdDsa);
        let forged =
            sign_compact(&stranger.key, &Header { typ: "JWT", kid: Some(robot.key.kid()) }, &claims())
                .unwrap();
        assert!(robot.verify(&forged).is_err());
        let named = sign_compact(&robot.key, &Header { typ: "JWT", kid: Some("any") }, &claims()).unwrap();
        assert!(robot.verify(&named).is_ok(), "with one key, its name does not matter");
        assert!(robot.verify("e30.e30.").is_err());
        assert_eq!(claimed_client(&named).as_deref(), Some("robot"));
        assert_eq!(claimed_client("x"), None);
    }
}
