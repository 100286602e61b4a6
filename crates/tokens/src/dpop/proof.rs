//! One proof of possession (RFC 9449 section 4): a JWT that the client signs for each request with a key of its own. Pure:
//! what it must be for, and the time, are given; that it is shown once only is the caller's to hold.

use keyreeve_base::Timestamp;
use keyreeve_crypto::jws::Unverified;
use keyreeve_crypto::sign::VerifyingKey;
use keyreeve_crypto::{base64url, constant_time_eq, sha256};
use serde::Deserialize;
use std::time::Duration;
use url::Url;

/// How old a proof may be. It is remembered for as long (AC-33).
const MAX_AGE: Duration = Duration::from_secs(60);
/// How much the client's clock may differ from ours.
const SKEW: Duration = Duration::from_secs(30);
/// The longest proof that is looked at, in bytes; one with the longest RSA key fits twice.
const MAX_PROOF_BYTES: usize = 4_096;
const MAX_JTI_BYTES: usize = 256;
const MAX_NONCE_BYTES: usize = 256;
const TYPE: &str = "dpop+jwt";

/// The claims of a proof. What is required has no default (AC-31).
#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: i64,
    exp: Option<i64>,
    nbf: Option<i64>,
    ath: Option<String>,
    nonce: Option<String>,
}

/// What a proof is held against.
pub(super) struct Expected<'a> {
    pub(super) method: &'a str,
    /// The address of the request, without query and fragment.
    pub(super) url: &'a str,
    /// The access token that is used with it.
    pub(super) access_token: Option<&'a str>,
    pub(super) now: Timestamp,
}

/// A proof that holds, if it was not shown before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Proof {
    /// The RFC 7638 thumbprint of the key.
    pub(super) key: String,
    /// The digest under which it is remembered.
    pub(super) digest: [u8; 32],
    /// Until when it could be shown again.
    pub(super) until: Timestamp,
    pub(super) nonce: Option<String>,
}

/// Verifies a proof (RFC 9449 section 4.3).
///
/// # Errors
/// What is wrong, for the client's developers.
pub(super) fn verify(text: &str, expected: &Expected<'_>) -> Result<Proof, &'static str> {
    if text.len() > MAX_PROOF_BYTES {
        return Err("the DPoP proof is too long");
    }
    let (unverified, jwk) = Unverified::parse_with_key(text)
        .map_err(|_| "the DPoP proof is not a JWT with a public key, signed with a supported algorithm")?;
    if !unverified.is_type(TYPE) {
        return Err("the DPoP proof's typ is not dpop+jwt");
    }
    let key = VerifyingKey::from_jwk(&jwk).map_err(|_| "the DPoP proof's jwk is not a usable public key")?;
    let claims: Claims = unverified
        .verify(&key)
        .map_err(|_| "the DPoP proof is not signed by its key, or a required claim is missing")?;
    if claims.jti.is_empty() || claims.jti.len() > MAX_JTI_BYTES {
        return Err("the DPoP proof's jti is empty or too long");
    }
    if claims.htm != expected.method {
        return Err("the DPoP proof's htm is not the method of the request");
    }
    if !is_same_address(&claims.htu, expected.url) {
        return Err("the DPoP proof's htu is not the address of the request");
    }
    let until = check_times(&claims, expected.now)?;
    if let Some(token) = expected.access_token {
        let digest = base64url::encode(sha256(token.as_bytes()));
        let of_token = claims.ath.is_some_and(|ath| constant_time_eq(ath.as_bytes(), digest.as_bytes()));
        if !of_token {
            return Err("the DPoP proof's ath is not the digest of the access token");
        }
    }
    if claims.nonce.as_ref().is_some_and(|nonce| nonce.len() > MAX_NONCE_BYTES) {
        return Err("the DPoP proof's nonce is too long");
    }
    let digest = sha256(format!("{} {}", key.kid(), claims.jti).as_bytes());
    Ok(Proof { key: key.kid().to_owned(), digest, until, nonce: claims.nonce })
}

fn check_times(claims: &Claims, now: Timestamp) -> Result<Timestamp, &'static str> {
    let iat = Timestamp::from_seconds(claims.iat);
    let until = iat.plus(MAX_AGE).plus(SKEW);
    if until <= now || claims.exp.is_some_and(|exp| Timestamp::from_seconds(exp).plus(SKEW) <= now) {
        return Err("the DPoP proof is too old");
    }
    let begun = |at: Timestamp| at <= now.plus(SKEW);
    if !begun(iat) || !claims.nbf.map(Timestamp::from_seconds).is_none_or(begun) {
        return Err("the DPoP proof is of the future");
    }
    Ok(until)
}

/// Whether two addresses are the same by the syntax of their scheme (RFC 3986 sections 6.2.2 and 6.2.3), query and fragment
/// aside.
fn is_same_address(claimed: &str, expected: &str) -> bool {
    let plain = |text: &str| {
        let mut url = Url::parse(text).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        Some(url)
    };
    plain(claimed).is_some_and(|claimed| Some(claimed) == plain(expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyreeve_crypto::sign::{Algorithm, SigningKey};
    use serde_json::{Value, json};

    const NOW_S: i64 = 1_000_000;
    const URL: &str = "https://id.example/token";

    /// A proof as a client would make it, with changed header and claims; a member `-` is left out.
    fn proof(key: &SigningKey, header: &Value, claims: &Value) -> String {
        let whole = |mut base: Value, changes: &Value| {
            base.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            base.as_object_mut().unwrap().retain(|_, value| *value != json!("-"));
            base64url::encode(base.to_string())
        };
        let header =
            whole(json!({"typ": "dpop+jwt", "alg": key.algorithm(), "jwk": key.public_jwk()}), header);
        let claims = whole(json!({"jti": "1", "htm": "POST", "htu": URL, "iat": NOW_S}), claims);
        let input = format!("{header}.{claims}");
        let signature = base64url::encode(key.sign(input.as_bytes()).unwrap());
        format!("{input}.{signature}")
    }

    fn check(text: &str, access_token: Option<&str>) -> Result<Proof, &'static str> {
        let now = Timestamp::from_seconds(NOW_S);
        verify(text, &Expected { method: "POST", url: URL, access_token, now })
    }

    fn key() -> SigningKey {
        SigningKey::generate(Algorithm::Es256).unwrap()
    }

    #[test]
    fn rfc9449_4_3_a_sound_proof_holds_for_each_algorithm() {
        for alg in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256] {
            let key = SigningKey::generate(alg).unwrap();
            let held = check(&proof(&key, &json!({}), &json!({"nonce": "n"})), None).unwrap();
            assert_eq!((held.key.as_str(), held.nonce.as_deref()), (key.kid(), Some("n")));
            assert_eq!(held.until, Timestamp::from_seconds(NOW_S + 90));
        }
    }

    #[test]
    fn ac_30_a_proof_is_signed_by_the_public_key_that_it_shows() {
        let (key, other) = (key(), key());
        let jwk = serde_json::to_value(key.public_jwk()).unwrap();
        let mut private = jwk.clone();
        private.as_object_mut().unwrap().insert("d".into(), json!("AAAA"));
        for (header, why) in [
            (json!({"typ": "JWT"}), "type"),
            (json!({"typ": "-"}), "no type"),
            (json!({"alg": "none"}), "none"),
            (json!({"alg": "HS256"}), "symmetric"),
            (json!({"alg": "RS256"}), "another algorithm"),
            (json!({"jwk": "-"}), "no key"),
            (json!({"jwk": other.public_jwk()}), "another key"),
            (json!({"jwk": private}), "a private key"),
            (json!({"jwk": {"kty": "oct", "k": "AAAA"}}), "a symmetric key"),
            (json!({"crit": ["x"]}), "critical"),
            (json!({"jku": "https://evil.example"}), "an address of a key"),
        ] {
            assert!(check(&proof(&key, &header, &json!({})), None).is_err(), "{why}");
        }
        assert!(check("x", None).is_err());
        assert!(check(&"x".repeat(5_000), None).is_err());
    }

    #[test]
    fn ac_31_ac_33_a_proof_is_complete_and_fresh() {
        let key = key();
        for claims in [
            json!({"jti": "-"}),
            json!({"htm": "-"}),
            json!({"htu": "-"}),
            json!({"iat": "-"}),
            json!({"jti": ""}),
            json!({"jti": "x".repeat(257)}),
            json!({"iat": NOW_S - 90}),
            json!({"iat": NOW_S + 31}),
            json!({"iat": "now"}),
            json!({"exp": NOW_S - 30}),
            json!({"nbf": NOW_S + 31}),
            json!({"iat": i64::MAX}),
        ] {
            assert!(check(&proof(&key, &json!({}), &claims), None).is_err(), "{claims}");
        }
        assert!(check(&proof(&key, &json!({}), &json!({"iat": NOW_S - 89})), None).is_ok());
    }

    #[test]
    fn rfc9449_4_2_a_proof_is_for_one_method_and_one_address() {
        let key = key();
        for claims in [
            json!({"htm": "GET"}),
            json!({"htm": "post"}),
            json!({"htu": "https://id.example/token2"}),
            json!({"htu": "http://id.example/token"}),
            json!({"htu": "https://id.example/token/"}),
            json!({"htu": "https://evil.example/token"}),
            json!({"htu": "https://u@id.example/token"}),
            json!({"htu": "/token"}),
        ] {
            assert!(check(&proof(&key, &json!({}), &claims), None).is_err(), "{claims}");
        }
        for htu in
            ["https://ID.example:443/token", "https://id.example/token?x=1", "https://id.example/token#f"]
        {
            assert!(check(&proof(&key, &json!({}), &json!({"htu": htu})), None).is_ok(), "{htu}");
        }
    }

    #[test]
    fn rfc9449_7_a_proof_goes_with_one_access_token() {
        let key = key();
        let ath = base64url::encode(sha256(b"token"));
        let with = |claims| check(&proof(&key, &json!({}), &claims), Some("token"));
        assert!(with(json!({"ath": ath})).is_ok());
        assert!(with(json!({})).is_err());
        assert!(with(json!({"ath": base64url::encode(sha256(b"other"))})).is_err());
    }
}
