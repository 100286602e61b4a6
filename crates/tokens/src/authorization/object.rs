//! Request objects: authorization requests signed by the client (RFC 9101, OpenID Connect Core section 6). By value only:
//! nothing is ever fetched to read one (AC-50). Pure: keys and time are given.

use super::request::Parameters;
use crate::assertion::verified_claims;
use keyreeve_base::Timestamp;
use keyreeve_crypto::jws::Unverified;
use keyreeve_crypto::sha256;
use keyreeve_crypto::sign::{Algorithm, VerifyingKey};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// The error code of whatever is wrong with an object.
pub(super) const INVALID: &str = "invalid_request_object";
/// How far ahead an object's `exp` may lie. Those with a `jti` are remembered until then (AC-33).
const MAX_LIFETIME: Duration = Duration::from_secs(3_600);
/// How much the client's clock may differ from ours.
const SKEW: Duration = Duration::from_secs(30);
const MAX_MEMBERS: usize = 64;
const MAX_JTI_BYTES: usize = 256;

/// Claims of the JWT itself, which are no parameters of the request.
const OF_THE_JWT: [&str; 7] = ["iss", "aud", "exp", "nbf", "iat", "jti", "sub"];

/// What an object is held against.
pub(super) struct Expected<'a> {
    pub(super) client_id: &'a str,
    /// The registered keys, each with the `kid` under which the client registered it.
    pub(super) keys: &'a [(Option<String>, VerifyingKey)],
    /// The one algorithm that the client has registered for its objects.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) issuer: &'a str,
    pub(super) now: Timestamp,
}

/// The parameters that a client has signed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Signed {
    values: BTreeMap<String, String>,
    resources: Vec<String>,
}

impl Parameters for Signed {
    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn all(&self, name: &str) -> Vec<&str> {
        match name {
            "resource" => self.resources.iter().map(String::as_str).collect(),
            _ => self.get(name).into_iter().collect(),
        }
    }
}

/// An object that holds.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) signed: Signed,
    /// The digest of its `jti`, where it has one, and until when that has to be remembered.
    pub(super) once: Option<([u8; 32], Timestamp)>,
}

/// Verifies an object.
///
/// # Errors
/// What is wrong, for the client's developers.
pub(super) fn verify(jwt: &str, expected: &Expected<'_>) -> Result<Object, &'static str> {
    let unverified = Unverified::parse(jwt)
        .map_err(|_| "the request object is not a JWT signed with one of the supported algorithms")?;
    // What was made for another purpose and names its own type is none (RFC 8725 section 3.11).
    let of_type =
        unverified.typ().is_none() || unverified.is_type("oauth-authz-req+jwt") || unverified.is_type("JWT");
    if !of_type {
        return Err("the request object's typ is that of something else");
    }
    if expected.algorithm.is_some_and(|algorithm| algorithm != unverified.algorithm()) {
        return Err("the request object's alg is not the one that the client has registered");
    }
    let claims: Map<String, Value> = verified_claims(&unverified, expected.keys)
        .map_err(|_| "no registered key of this client has signed the request object")?;
    if claims.len() > MAX_MEMBERS {
        return Err("the request object has too many members");
    }
    check_parties(&claims, expected)?;
    let until = check_times(&claims, expected.now)?;
    let once = match claims.get("jti") {
        None => None,
        Some(Value::String(jti)) if (1..=MAX_JTI_BYTES).contains(&jti.len()) => {
            // A name of its own: a client assertion with the same jti is another thing.
            Some((sha256(format!("request_object {jti}").as_bytes()), until))
        }
        Some(_) => return Err("the request object's jti is empty, too long, or no text"),
    };
    Ok(Object { signed: parameters(claims)?, once })
}

fn check_parties(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), &'static str> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.client_id) || text("client_id") != Some(expected.client_id) {
        return Err("the request object's iss and client_id are not the client");
    }
    // A client assertion would say so (RFC 9101 section 10.8).
    if text("sub") == Some(expected.client_id) {
        return Err("the request object has the client as its sub");
    }
    let for_us = match claims.get("aud") {
        Some(Value::String(one)) => one == expected.issuer,
        Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(expected.issuer)),
        _ => false,
    };
    if !for_us {
        return Err("the request object's aud is not this issuer");
    }
    Ok(())
}

/// Until when an object with these times has to be remembered, if it is valid now. What has no `exp` would be valid for
/// ever (AC-31).
fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Result<Timestamp, &'static str> {
    let exp = claims.get("exp").and_then(Value::as_i64).map(Timestamp::from_seconds);
    let exp = exp.ok_or("the request object has no exp, or one that is no whole number")?;
    if exp.plus(SKEW) <= now {
        return Err("the request object has expired");
    }
    if exp > now.plus(MAX_LIFETIME).plus(SKEW) {
        return Err("the request object's exp lies more than an hour ahead");
    }
    for name in ["nbf", "iat"] {
        let begun = match claims.get(name) {
            None => true,
            Some(at) => at.as_i64().is_some_and(|at| Timestamp::from_seconds(at) <= now.plus(SKEW)),
        };
        if !begun {
            return Err("the request object is not valid yet");
        }
    }
    Ok(exp.plus(SKEW))
}

fn parameters(claims: Map<String, Value>) -> Result<Signed, &'static str> {
    let mut signed = Signed::default();
    for (name, value) in claims {
        if OF_THE_JWT.contains(&name.as_str()) {
            continue;
        }
        match (name.as_str(), value) {
            ("request" | "request_uri", _) => {
                return Err("the request object holds another request or request_uri");
            }
            (_, Value::Null) => {}
            ("resource", Value::Array(several)) => {
                for one in several {
                    let Value::String(one) = one else {
                        return Err("the request object's resource is no text");
                    };
                    signed.resources.push(one);
                }
            }
            ("resource", Value::String(one)) => signed.resources.push(one),
            (_, Value::String(text)) => drop(signed.values.insert(name, text)),
            (_, Value::Number(number)) if !number.is_f64() => {
                signed.values.insert(name, number.to_string());
            }
            ("claims", object @ Value::Object(_)) => drop(signed.values.insert(name, object.to_string())),
            // Members that are no parameters of ours may be whatever they are.
            (other, _) if !super::request::PARAMETERS.contains(&other) => {}
            _ => return Err("a member of the request object has a type that the parameter cannot have"),
        }
    }
    Ok(signed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyreeve_crypto::jws::{Header, sign_compact};
    use keyreeve_crypto::sign::SigningKey;
    use serde_json::json;

    const NOW_S: i64 = 1_000_000;
    const ISSUER: &str = "https://id.example";

    struct App {
        key: SigningKey,
        keys: Vec<(Option<String>, VerifyingKey)>,
        algorithm: Option<Algorithm>,
    }

    impl App {
        fn new(alg: Algorithm) -> Self {
            let key = SigningKey::generate(alg).unwrap();
            let verifying = VerifyingKey::from_jwk(key.public_jwk()).unwrap();
            Self { key, keys: vec![(None, verifying)], algorithm: None }
        }

        fn verify(&self, jwt: &str) -> Result<Object, &'static str> {
            let now = Timestamp::from_seconds(NOW_S);
            let (keys, algorithm) = (&self.keys, self.algorithm);
            verify(jwt, &Expected { client_id: "app", keys, algorithm, issuer: ISSUER, now })
        }

        fn say(&self, changes: &Value) -> Result<Object, &'static str> {
            let mut claims = json!({"iss": "app", "aud": ISSUER, "client_id": "app", "exp": NOW_S + 60,
                "response_type": "code"});
            claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            claims.as_object_mut().unwrap().retain(|_, value| *value != json!("-"));
            self.verify(&sign_compact(&self.key, &Header::of_type("oauth-authz-req+jwt"), &claims).unwrap())
        }
    }

    #[test]
    fn rfc9101_5_what_is_signed_is_what_counts() {
        for alg in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256] {
            let said = App::new(alg)
                .say(&json!({"scope": "openid", "max_age": 60, "claims": {"userinfo": {}}, "ext": {"a": 1},
                    "resource": ["https://a.example", "https://b.example"], "state": null, "jti": "1"}))
                .unwrap();
            let get = |name| said.signed.get(name);
            assert_eq!(
                (get("scope"), get("max_age"), get("claims")),
                (Some("openid"), Some("60"), Some("{\"userinfo\":{}}"))
            );
            assert_eq!((get("iss"), get("exp"), get("state"), get("ext")), (None, None, None, None));
            assert_eq!(said.signed.all("resource"), ["https://a.example", "https://b.example"]);
            assert_eq!(said.once.unwrap().1, Timestamp::from_seconds(NOW_S + 90));
        }
    }

    #[test]
    fn ac_30_only_a_registered_key_signs() {
        let app = App::new(Algorithm::Es256);
        let stranger = App::new(Algorithm::Es256);
        let claims = json!({"iss": "app", "aud": ISSUER, "client_id": "app", "exp": NOW_S + 60});
        let sign = |app: &App, typ| sign_compact(&app.key, &Header::of_type(typ), &claims).unwrap();
        assert!(app.verify(&sign(&app, "JWT")).is_ok());
        assert!(app.verify(&sign(&stranger, "JWT")).is_err());
        assert!(app.verify(&sign(&app, "at+jwt")).is_err(), "made for another purpose");
        let payload = keyreeve_crypto::base64url::encode(claims.to_string());
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS256"}"#] {
            let header = keyreeve_crypto::base64url::encode(header);
            assert!(app.verify(&format!("{header}.{payload}.")).is_err());
            assert!(app.verify(&format!("{header}.{payload}.AAAA")).is_err());
        }
        let registered = App { algorithm: Some(Algorithm::Rs256), ..app };
        assert!(registered.say(&json!({})).is_err(), "another algorithm than the registered one");
    }

    #[test]
    fn ac_31_ac_33_times_are_required_and_capped() {
        let app = App::new(Algorithm::EdDsa);
        for bad in [
            json!({"exp": "-"}),
            json!({"exp": "x"}),
            json!({"exp": NOW_S - 30}),
            json!({"exp": NOW_S + 3_631}),
            json!({"exp": i64::MAX}),
            json!({"nbf": NOW_S + 31}),
            json!({"iat": NOW_S + 31}),
            json!({"nbf": "x"}),
        ] {
            assert!(app.say(&bad).is_err(), "{bad}");
        }
        assert!(app.say(&json!({"exp": NOW_S + 3_600, "nbf": NOW_S, "iat": NOW_S})).is_ok());
    }

    #[test]
    fn ac_34_objects_for_or_by_others_are_refused() {
        let app = App::new(Algorithm::EdDsa);
        for bad in [
            json!({"iss": "other"}),
            json!({"iss": "-"}),
            json!({"client_id": "other"}),
            json!({"client_id": "-"}),
            json!({"aud": "-"}),
            json!({"aud": "https://other.example"}),
            json!({"aud": []}),
            json!({"sub": "app"}),
        ] {
            assert!(app.say(&bad).is_err(), "{bad}");
        }
        assert!(app.say(&json!({"aud": ["https://other.example", ISSUER]})).is_ok());
    }

    #[test]
    fn rfc9101_4_objects_do_not_nest_and_values_have_their_types() {
        let app = App::new(Algorithm::EdDsa);
        for bad in [
            json!({"request": "x"}),
            json!({"request_uri": "x"}),
            json!({"scope": ["openid"]}),
            json!({"redirect_uri": {"a": 1}}),
            json!({"max_age": 1.5}),
            json!({"prompt": true}),
            json!({"resource": [1]}),
            json!({"jti": 1}),
            json!({"jti": ""}),
        ] {
            assert!(app.say(&bad).is_err(), "{bad}");
        }
    }
}
