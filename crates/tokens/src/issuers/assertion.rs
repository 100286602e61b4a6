//! Assertions of trusted issuers (RFC 7523 section 3). Pure: issuer, keys and time are given; that an assertion is used
//! once only is the caller's to hold.

use super::model::TrustedIssuer;
use crate::assertion::{Claims, Fault, Once, SKEW, verified_claims};
use keyreeve_base::Timestamp;
use keyreeve_crypto::jws::Unverified;
use keyreeve_crypto::sign::VerifyingKey;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// The longest value by which a user is found, in bytes.
const MAX_SUBJECT_BYTES: usize = 320;

/// An assertion that holds, if it was not used before.
pub(crate) struct VerifiedAssertion {
    /// The value of the claim that says whom it is about.
    pub(crate) subject: String,
    pub(crate) once: Once,
}

/// Who an assertion says that it is from, and the key that it names. Anybody may have written it.
pub(crate) fn claimed_issuer(jwt: &str) -> Option<(String, Option<String>)> {
    #[derive(Deserialize)]
    struct Iss {
        iss: String,
    }
    let unverified = Unverified::parse(jwt).ok()?;
    let claimed: Iss = unverified.unverified_claims().ok()?;
    Some((claimed.iss, unverified.kid().map(str::to_owned)))
}

/// What an assertion is held against.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a TrustedIssuer,
    pub(crate) keys: &'a [(Option<String>, VerifyingKey)],
    /// The audiences of ours that it may name.
    pub(crate) audiences: [&'a str; 2],
    pub(crate) now: Timestamp,
}

/// Verifies an assertion.
///
/// # Errors
/// The reason, for the audit log.
pub(crate) fn verify(jwt: &str, expected: &Expected<'_>) -> Result<VerifiedAssertion, &'static str> {
    let settings = &expected.issuer.settings;
    let unverified = Unverified::parse(jwt).map_err(|_| "assertion_unreadable")?;
    let claims: Claims =
        verified_claims(&unverified, expected.keys).map_err(|_| "assertion_not_signed_by_the_issuer")?;
    if claims.iss != expected.issuer.issuer || claims.sub.is_empty() {
        return Err("assertion_of_another_issuer");
    }
    let ours = |audience: &str| {
        expected.audiences.contains(&audience) || settings.audiences.iter().any(|own| own == audience)
    };
    let most = Duration::from_secs(settings.max_lifetime_s.into());
    let once = claims.check(ours, expected.now, most).map_err(reason)?;
    let issued = claims.iat.map(Timestamp::from_seconds);
    if issued.is_some_and(|iat| claims.exp() > iat.plus(most).plus(SKEW)) {
        return Err(reason(Fault::LivesTooLong));
    }
    let subject = match settings.subject.claim.as_str() {
        "sub" => Some(claims.sub.as_str()),
        name => claims.rest.get(name).and_then(Value::as_str),
    };
    let subject = subject
        .filter(|subject| !subject.is_empty() && subject.len() <= MAX_SUBJECT_BYTES)
        .ok_or("assertion_without_a_subject")?;
    Ok(VerifiedAssertion { subject: subject.to_owned(), once })
}

/// How the audit log has it.
const fn reason(fault: Fault) -> &'static str {
    match fault {
        Fault::NotForThisServerAlone => "assertion_not_for_this_server_alone",
        Fault::Expired => "assertion_expired",
        Fault::LivesTooLong => "assertion_lives_too_long",
        Fault::NotValidYet => "assertion_not_valid_yet",
        Fault::Jti => "assertion_without_a_usable_jti",
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{IssuerSettings, SubjectField, SubjectMapping};
    use super::*;
    use keyreeve_base::TenantId;
    use keyreeve_crypto::jws::{Header, sign_compact};
    use keyreeve_crypto::sign::{Algorithm, SigningKey};
    use serde_json::json;
    use uuid::Uuid;

    const NOW_S: i64 = 1_000_000;
    const US: &str = "https://id.example";

    struct Them {
        key: SigningKey,
        issuer: TrustedIssuer,
    }

    impl Them {
        fn new() -> Self {
            let key = SigningKey::generate(Algorithm::Es256).unwrap();
            let settings = IssuerSettings {
                jwks: vec![key.public_jwk().clone()],
                audiences: vec!["urn:us".into()],
                ..IssuerSettings::default()
            };
            let moment = Timestamp::from_seconds(1);
            let issuer = TrustedIssuer {
                id: Uuid::nil(),
                tenant_id: TenantId::from_uuid(Uuid::nil()),
                issuer: "https://idp.example".into(),
                settings,
                created_at: moment,
                updated_at: moment,
                version: 1,
            };
            Self { key, issuer }
        }

        fn verify(&self, jwt: &str) -> Result<VerifiedAssertion, &'static str> {
            let keys = [(None, VerifyingKey::from_jwk(self.key.public_jwk()).unwrap())];
            let now = Timestamp::from_seconds(NOW_S);
            let audiences = [US, "https://id.example/token"];
            verify(jwt, &Expected { issuer: &self.issuer, keys: &keys, audiences, now })
        }

        fn say(&self, changes: &Value) -> Result<VerifiedAssertion, &'static str> {
            let mut claims =
                json!({"iss": "https://idp.example", "sub": "ada", "aud": US, "exp": NOW_S + 60, "jti": "1"});
            for (name, value) in changes.as_object().unwrap() {
                if value.is_null() {
                    claims.as_object_mut().unwrap().remove(name);
                } else {
                    claims[name] = value.clone();
                }
            }
            self.verify(&sign_compact(&self.key, &Header::of_type("JWT"), &claims).unwrap())
        }
    }

    #[test]
    fn a_sound_assertion_holds() {
        let them = Them::new();
        for sound in [
            json!({}),
            json!({"aud": "https://id.example/token"}),
            json!({"aud": ["urn:us"]}),
            json!({"iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 300}),
        ] {
            assert_eq!(them.say(&sound).map(|held| held.subject), Ok("ada".to_owned()), "{sound}");
        }
    }

    #[test]
    fn rfc7523_section_3_each_rule_is_held() {
        let them = Them::new();
        for (reason, changes) in [
            ("assertion_of_another_issuer", json!({"iss": "https://evil.example"})),
            ("assertion_of_another_issuer", json!({"sub": ""})),
            ("assertion_not_for_this_server_alone", json!({"aud": "https://other.example"})),
            ("assertion_not_for_this_server_alone", json!({"aud": [US, "https://other.example"]})),
            ("assertion_not_for_this_server_alone", json!({"aud": []})),
            ("assertion_expired", json!({"exp": NOW_S - 31})),
            ("assertion_lives_too_long", json!({"exp": NOW_S + 331})),
            ("assertion_lives_too_long", json!({"iat": NOW_S - 300, "exp": NOW_S + 60})),
            ("assertion_not_valid_yet", json!({"nbf": NOW_S + 31})),
            ("assertion_not_valid_yet", json!({"iat": NOW_S + 31, "exp": NOW_S + 100})),
            ("assertion_without_a_usable_jti", json!({"jti": ""})),
            ("assertion_without_a_usable_jti", json!({"jti": "x".repeat(257)})),
            ("assertion_without_a_subject", json!({"sub": "x".repeat(321)})),
        ] {
            assert_eq!(them.say(&changes).map(drop), Err(reason), "{changes}");
        }
    }

    #[test]
    fn ac_31_ac_33_what_is_required_has_no_default() {
        let them = Them::new();
        for name in ["iss", "sub", "aud", "exp", "jti"] {
            assert!(them.say(&json!({name: null})).is_err(), "{name}");
        }
        assert!(them.say(&json!({"exp": i64::MAX})).is_err());
    }

    #[test]
    fn ac_30_only_the_issuers_keys_count() {
        let (them, stranger) = (Them::new(), Them::new());
        let claims =
            json!({"iss": "https://idp.example", "sub": "ada", "aud": US, "exp": NOW_S + 60, "jti": "1"});
        let header = Header { typ: "JWT", kid: Some(them.key.kid()) };
        let forged = sign_compact(&stranger.key, &header, &claims).unwrap();
        assert_eq!(them.verify(&forged).map(drop), Err("assertion_not_signed_by_the_issuer"));
        assert_eq!(them.verify("e30.e30.").map(drop), Err("assertion_unreadable"));
        assert_eq!(claimed_issuer(&forged).map(|(iss, _)| iss).as_deref(), Some("https://idp.example"));
    }

    #[test]
    fn the_subject_is_the_claim_that_was_named() {
        let mut them = Them::new();
        them.issuer.settings.subject = SubjectMapping { claim: "email".into(), field: SubjectField::Email };
        assert!(them.say(&json!({})).is_err());
        assert!(them.say(&json!({"email": 5})).is_err());
        assert_eq!(them.say(&json!({"email": "a@b.example"})).unwrap().subject, "a@b.example");
    }
}
