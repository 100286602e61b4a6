//! A device that holds a key and proves it (RFC 9449).

use crate::server::Mount;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyreeve_crypto::sign::{Algorithm, SigningKey};
use serde_json::{Value, json};
use std::sync::Arc;

/// Whoever holds a key.
#[derive(Clone)]
pub struct Holder {
    key: Arc<SigningKey>,
}

impl Holder {
    /// Somebody with a new key.
    ///
    /// # Panics
    /// When the library cannot make one.
    #[must_use]
    pub fn new(alg: Algorithm) -> Self {
        Self { key: Arc::new(SigningKey::generate(alg).expect("a key")) }
    }

    /// The RFC 7638 thumbprint.
    #[must_use]
    pub fn jkt(&self) -> &str {
        self.key.kid()
    }

    /// A fresh proof for a request to a path of this tenant.
    #[must_use]
    pub fn proof(&self, mount: &Mount, method: &str, path: &str) -> String {
        self.proof_with(mount, (method, path), &json!({}))
    }

    /// A fresh proof beside an access token.
    #[must_use]
    pub fn proof_of(&self, mount: &Mount, (method, path): (&str, &str), token: &str) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
        self.proof_with(mount, (method, path), &json!({"ath": URL_SAFE_NO_PAD.encode(digest.as_ref())}))
    }

    /// A fresh proof with further or other claims.
    ///
    /// # Panics
    /// When the library cannot sign.
    #[must_use]
    pub fn proof_with(&self, mount: &Mount, (method, path): (&str, &str), more: &Value) -> String {
        let header = json!({"typ": "dpop+jwt", "alg": self.key.algorithm(), "jwk": self.key.public_jwk()});
        let mut claims = json!({"jti": mount.new_uuid(), "htm": method, "htu": format!("{}{path}", mount.issuer()),
            "iat": mount.now().seconds()});
        if let (Value::Object(claims), Value::Object(more)) = (&mut claims, more) {
            claims.extend(more.clone());
        }
        let input = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = self.key.sign(input.as_bytes()).expect("a signature");
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
