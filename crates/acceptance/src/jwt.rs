//! Verification of tokens as a stranger does it: with the published keys, and with no code of the server's own.

use crate::server::Mount;
use aws_lc_rs::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// A token that was taken apart.
#[derive(Clone, Debug)]
pub struct Jwt {
    /// The protected header.
    pub header: Value,
    /// The claims.
    pub claims: Value,
}

impl Jwt {
    /// A claim that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.claims[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.claims))
    }

    /// A claim that is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> i64 {
        self.claims[name].as_i64().unwrap_or_else(|| panic!("no {name} in {}", self.claims))
    }
}

/// Takes a token apart without verifying it.
///
/// # Panics
/// When it is no JWT.
#[must_use]
pub fn decode(token: &str) -> Jwt {
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "not a JWS: {token}");
    let json = |part: &str| serde_json::from_slice(&bytes(part)).expect("JSON in a token");
    Jwt { header: json(parts[0]), claims: json(parts[1]) }
}

/// Verifies a token against the keys that the tenant publishes now.
///
/// # Panics
/// When it does not verify.
pub async fn verify(mount: &Mount, token: &str) -> Jwt {
    let jwks = mount.get("/jwks").send().await.expect(200).json();
    verify_with(&jwks, token).unwrap_or_else(|problem| panic!("{problem}: {token}\n{jwks}"))
}

/// Verifies a token against these keys.
///
/// # Errors
/// What is wrong with it.
pub fn verify_with(jwks: &Value, token: &str) -> Result<Jwt, String> {
    let jwt = decode(token);
    let kid = jwt.header["kid"].as_str().ok_or("no kid in the header")?;
    let keys = jwks["keys"].as_array().ok_or("no keys")?;
    let key = keys.iter().find(|key| key["kid"] == kid).ok_or("the key is not published")?;
    if key["alg"] != jwt.header["alg"] || key["use"] != "sig" {
        return Err("the key is for something else".to_owned());
    }
    let (signed, signature) = token.rsplit_once('.').ok_or("not a JWS")?;
    let member = |name: &str| bytes(key[name].as_str().unwrap_or_default());
    let signature = bytes(signature);
    let verified = match jwt.header["alg"].as_str() {
        Some("EdDSA") => {
            UnparsedPublicKey::new(&signature::ED25519, member("x")).verify(signed.as_bytes(), &signature)
        }
        Some("ES256") => {
            let point = [vec![4], member("x"), member("y")].concat();
            UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                .verify(signed.as_bytes(), &signature)
        }
        Some("RS256") => RsaPublicKeyComponents { n: member("n"), e: member("e") }.verify(
            &signature::RSA_PKCS1_2048_8192_SHA256,
            signed.as_bytes(),
            &signature,
        ),
        other => return Err(format!("an unknown algorithm: {other:?}")),
    };
    verified.map(|()| jwt).map_err(|_| "the signature is wrong".to_owned())
}

/// The token with another signature of the same form.
///
/// # Panics
/// When it is no JWT.
#[must_use]
pub fn with_another_signature(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    // Not the last character, some of whose bits mean nothing.
    let first = if signature.starts_with('A') { "B" } else { "A" };
    format!("{signed}.{first}{}", &signature[1..])
}

fn bytes(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap_or_else(|error| panic!("not base64url: {error}: {text}"))
}
