//! Client assertions: `private_key_jwt` (RFC 7523, OpenID Connect Core section 9). Pure: the keys, the audiences and the
//! time are given; that an assertion is used once only is the caller's to hold.

use crate::assertion::{Claims, Fault, Once, verified_claims};
use keyreeve_base::Timestamp;
use keyreeve_crypto::jws::Unverified;
use keyreeve_crypto::sign::VerifyingKey;
use serde::Deserialize;
use std::time::Duration;

/// The value of `client_assertion_type`.
pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How far ahead an assertion's `exp` may lie.
const MAX_LIFETIME: Duration = Duration::from_secs(300);

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
pub(super) fn verify(jwt: &str, expected: &Expected<'_>) -> Result<Once, &'static str> {
    let unverified = Unverified::parse(jwt).map_err(|_| "the assertion is not a JWT of an accepted kind")?;
    let claims: Claims = verified_claims(&unverified, expected.keys)?;
    if claims.iss != expected.client_id || claims.sub != expected.client_id {
        return Err("the assertion's iss and sub are not the client");
    }
    let ours = |audience: &str| expected.audiences.contains(&audience);
    claims.check(ours, expected.now, MAX_LIFETIME).map_err(|fault| match fault {
        Fault::NotForThisServerAlone => "the assertion is not for this server alone",
        Fault::Expired => "the assertion has expired",
        Fault::LivesTooLong => "the assertion's exp lies too far ahead",
        Fault::NotValidYet => "the assertion is not valid yet",
        Fault::Jti => "the assertion's jti is empty or too long",
    })
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

        fn verify(&self, jwt: &str) -> Result<Once, &'static str> {
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

        fn say(&self, claims: &Value) -> Result<Once, &'static str> {
            self.verify(&sign_compact(&self.key, &Header::of_type("JWT"), claims).unwrap())
        }
    }

    #[test]
    fn a_sound_assertion_holds_for_each_algorithm() {
        for alg in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256] {
            let robot = Robot::new(alg);
            let held = robot.say(&claims()).unwrap();
            assert_eq!(held.until, Timestamp::from_seconds(NOW_S + 90));
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
