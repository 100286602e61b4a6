//! Compact JWS (RFC 7515) around JSON claims: writing fast, reading strictly (RFC 8725).
//!
//! What is refused before any key is touched: more than 16 KiB, anything but three parts, padding or spare bits in
//! base64url, a header that repeats a name, `crit`, `b64`, `zip` and `enc`, keys or their addresses in the header (`jwk`,
//! `jku`, `x5u`), and every `alg` but EdDSA, ES256 and RS256 (ABUSE-CASES AC-30). From the header only `alg`, `kid` and
//! `typ` are ever read. What the claims say (issuer, audience, times) is the caller's to check.

use crate::base64url;
use crate::sign::{Algorithm, Jwk, SigningKey, VerifyingKey};
use crate::strict_json::{self, Present};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest token that is looked at.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The header types that are encoded once for each key.
const COMMON_TYPES: [&str; 4] = ["JWT", "at+jwt", "logout+jwt", "token-introspection+jwt"];

/// Why a token is refused, or could not be made. For the log: outside, all of them are one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Longer than [`MAX_TOKEN_BYTES`].
    #[error("the token is longer than 16 KiB")]
    TooLong,
    /// Not three parts of canonical base64url with a JSON object in front.
    #[error("the token is not a compact JWS")]
    Malformed,
    /// The header has a member that changes how the token would have to be read.
    #[error("the token's header has a member that is not allowed (crit, b64, zip, enc, jwk, jku or x5u)")]
    ForbiddenHeader,
    /// `alg` is none of ours.
    #[error("the token's algorithm is not supported")]
    UnsupportedAlgorithm,
    /// `alg` is not that of the key.
    #[error("the token's algorithm is not that of the key")]
    OtherAlgorithm,
    /// The signature is not this key's signature of this token.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// The payload is not a JSON object of the expected shape, or repeats a name.
    #[error("the token's claims are not what was expected")]
    BadClaims,
    /// The library failed to sign.
    #[error("the token could not be signed")]
    Signing,
}

/// What the header of a new token says besides `alg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The kind of token: `JWT`, `at+jwt` (RFC 9068), …; always written, so that one kind cannot pass for another
    /// (RFC 8725 section 3.11).
    pub typ: &'a str,
    /// The key's identifier, if it is to be another one than the key's thumbprint.
    pub kid: Option<&'a str>,
}

impl<'a> Header<'a> {
    /// A header of this type, with the key's own identifier.
    #[must_use]
    pub const fn of_type(typ: &'a str) -> Self {
        Self { typ, kid: None }
    }

    fn encode(&self, algorithm: Algorithm, kid: &str) -> String {
        #[derive(Serialize)]
        struct Members<'a> {
            alg: Algorithm,
            typ: &'a str,
            kid: &'a str,
        }
        let members = Members { alg: algorithm, typ: self.typ, kid: self.kid.unwrap_or(kid) };
        // Three texts always serialize; an empty header could not be verified by anyone.
        base64url::encode(serde_json::to_vec(&members).unwrap_or_default())
    }
}

/// The encoded headers that a key writes most.
pub(crate) struct HeaderCache([(&'static str, String); 4]);

impl HeaderCache {
    pub(crate) fn new(algorithm: Algorithm, kid: &str) -> Self {
        Self(COMMON_TYPES.map(|typ| (typ, Header::of_type(typ).encode(algorithm, kid))))
    }

    fn get(&self, header: &Header<'_>) -> Option<&str> {
        if header.kid.is_some() {
            return None;
        }
        self.0.iter().find(|(typ, _)| *typ == header.typ).map(|(_, encoded)| encoded.as_str())
    }
}

/// A signed token: `header.claims.signature`.
///
/// # Errors
/// [`JwsError::BadClaims`] when the claims are not representable in JSON, [`JwsError::Signing`] when the library fails.
pub fn sign_compact(
    key: &SigningKey,
    header: &Header<'_>,
    claims: &impl Serialize,
) -> Result<String, JwsError> {
    let claims = serde_json::to_vec(claims).map_err(|_| JwsError::BadClaims)?;
    let encoded;
    let header = match key.headers().get(header) {
        Some(cached) => cached,
        None => {
            encoded = header.encode(key.algorithm(), key.kid());
            &encoded
        }
    };
    let signature_bytes = match key.algorithm() {
        Algorithm::EdDsa | Algorithm::Es256 => 64,
        Algorithm::Rs256 => 512,
    };
    let lengths =
        [header.len(), 2, base64url::encoded_len(claims.len()), base64url::encoded_len(signature_bytes)];
    let mut token = String::with_capacity(lengths.iter().sum());
    token.push_str(header);
    token.push('.');
    base64url::encode_into(&claims, &mut token);
    let signature = key
        .sign_with(token.as_bytes(), |signature| base64url::encode(signature))
        .map_err(|_| JwsError::Signing)?;
    token.push('.');
    token.push_str(&signature);
    Ok(token)
}

/// A token that was taken apart and not yet verified. Nothing in it is true.
pub struct Unverified<'a> {
    algorithm: Algorithm,
    kid: Option<String>,
    typ: Option<String>,
    /// Header and payload as they stand in the token, with the dot between: what was signed.
    signing_input: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
}

/// What is read of a header; the second half only to refuse it.
#[derive(Deserialize)]
struct Members {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    #[serde(default)]
    crit: Present,
    #[serde(default)]
    b64: Present,
    #[serde(default)]
    zip: Present,
    #[serde(default)]
    enc: Present,
    #[serde(default)]
    jwk: Present,
    #[serde(default)]
    jku: Present,
    #[serde(default)]
    x5u: Present,
}

impl Members {
    fn has_forbidden(&self) -> bool {
        [self.crit, self.b64, self.zip, self.enc, self.jku, self.x5u].contains(&Present(true))
    }
}

impl<'a> Unverified<'a> {
    /// Takes `token` apart under the limits of this module.
    ///
    /// # Errors
    /// [`JwsError::TooLong`], [`JwsError::Malformed`], [`JwsError::ForbiddenHeader`] or
    /// [`JwsError::UnsupportedAlgorithm`].
    pub fn parse(token: &'a str) -> Result<Self, JwsError> {
        let (unverified, key) = Self::take_apart(token)?;
        if key.is_some() { Err(JwsError::ForbiddenHeader) } else { Ok(unverified) }
    }

    /// Takes a token apart that names its own key, under the same limits. Such a key proves nothing but its own
    /// possession: only for proofs that mean just that (RFC 9449 section 4.2).
    ///
    /// # Errors
    /// Those of [`Unverified::parse`]; [`JwsError::Malformed`] without a key.
    pub fn parse_with_key(token: &'a str) -> Result<(Self, Jwk), JwsError> {
        #[derive(Deserialize)]
        struct Named {
            jwk: Jwk,
        }
        let (unverified, header) = Self::take_apart(token)?;
        let header = header.ok_or(JwsError::Malformed)?;
        let Named { jwk } = serde_json::from_slice(&header).map_err(|_| JwsError::Malformed)?;
        Ok((unverified, jwk))
    }

    /// The token, and its header where that names a key.
    fn take_apart(token: &'a str) -> Result<(Self, Option<Vec<u8>>), JwsError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(JwsError::TooLong);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(JwsError::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(JwsError::Malformed)?;
        if payload.contains('.') || payload.is_empty() {
            return Err(JwsError::Malformed);
        }
        let decode = |part| base64url::decode(part).map_err(|_| JwsError::Malformed);
        let header = decode(header)?;
        if !strict_json::is_object_without_repetition(&header) {
            return Err(JwsError::Malformed);
        }
        let members: Members = serde_json::from_slice(&header).map_err(|_| JwsError::Malformed)?;
        if members.has_forbidden() {
            return Err(JwsError::ForbiddenHeader);
        }
        let algorithm = Algorithm::named(&members.alg).ok_or(JwsError::UnsupportedAlgorithm)?;
        let signature = decode(signature)?;
        let header = (members.jwk == Present(true)).then_some(header);
        Ok((
            Self { algorithm, kid: members.kid, typ: members.typ, signing_input, payload, signature },
            header,
        ))
    }

    /// The algorithm that the token claims.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key identifier that the token claims. Any text: look it up, never use it as a path or a query.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The type that the token claims. Compare it without regard to case, and with an `application/` in front stripped
    /// (RFC 7515 section 4.1.9): [`Unverified::is_type`] does.
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// Whether the token claims to be of type `typ`.
    #[must_use]
    pub fn is_type(&self, typ: &str) -> bool {
        let Some(own) = self.typ.as_deref() else {
            return false;
        };
        let (head, rest) = own.split_at_checked("application/".len()).unwrap_or(("", own));
        let own = if head.eq_ignore_ascii_case("application/") && !rest.contains('/') { rest } else { own };
        own.eq_ignore_ascii_case(typ)
    }

    /// The claims, if `key` signed this token with its own algorithm. `T` may be `serde_json::Map<String, Value>` or any
    /// type that reads an object.
    ///
    /// # Errors
    /// [`JwsError::OtherAlgorithm`], [`JwsError::BadSignature`], or [`JwsError::BadClaims`] when the payload is not a
    /// JSON object that fits `T`, or repeats a name.
    pub fn verify<T: DeserializeOwned>(&self, key: &VerifyingKey) -> Result<T, JwsError> {
        if self.algorithm != key.algorithm() {
            return Err(JwsError::OtherAlgorithm);
        }
        if !key.verify(self.signing_input.as_bytes(), &self.signature) {
            return Err(JwsError::BadSignature);
        }
        self.unverified_claims()
    }

    /// The claims as anyone may have written them: only to find the key that must then [`verify`](Self::verify) them
    /// (the `iss` or `sub` of a client's assertion).
    ///
    /// # Errors
    /// [`JwsError::Malformed`] or [`JwsError::BadClaims`].
    pub fn unverified_claims<T: DeserializeOwned>(&self) -> Result<T, JwsError> {
        let payload = base64url::decode(self.payload).map_err(|_| JwsError::Malformed)?;
        if !strict_json::is_object_without_repetition(&payload) {
            return Err(JwsError::BadClaims);
        }
        serde_json::from_slice(&payload).map_err(|_| JwsError::BadClaims)
    }
}

impl std::fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unverified({} kid={:?} typ={:?})", self.algorithm, self.kid, self.typ)
    }
}

#[cfg(test)]
#[path = "jws_tests.rs"]
mod tests;
