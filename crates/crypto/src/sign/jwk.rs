//! Public keys as JSON (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use super::{Algorithm, KeyError};
use crate::base64url;
use crate::digest::sha256;
use crate::strict_json::Present;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// RSA moduli that are accepted, in bytes: 2048 to 4096 bits. A longer one would make each verification slow at the
/// wish of whoever registered the key.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;
/// RSA exponents that are accepted, in bytes: up to 2^32, as every library writes them.
const MAX_RSA_EXPONENT_BYTES: usize = 4;

/// A public key as JSON. Members that say nothing about the three supported types are dropped when read; whether the
/// rest fits together is known once [`VerifyingKey::from_jwk`] accepts it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// `OKP`, `EC` or `RSA`.
    pub kty: String,
    /// The key's identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The algorithm that the key is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// `sig` for signatures.
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub key_use: Option<String>,
    /// What may be done with the key; ours leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_ops: Option<Vec<String>>,
    /// The curve: `Ed25519` or `P-256`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// The public key (OKP) or its first coordinate (EC), base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// The second coordinate (EC), base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// The modulus (RSA), base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// The exponent (RSA), base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
    /// Set when the JSON had a private or symmetric member (`d`, `k`, `p`, …); their values are not kept.
    #[serde(flatten, skip_serializing, deserialize_with = "has_private_members")]
    pub(crate) private: bool,
}

/// Notes whether members of private keys (RFC 7518 sections 6.2.2, 6.3.2, 6.4) are among the rest.
fn has_private_members<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    struct Private {
        #[serde(default)]
        d: Present,
        #[serde(default)]
        k: Present,
        #[serde(default)]
        p: Present,
        #[serde(default)]
        q: Present,
    }
    let Private { d, k, p, q } = Private::deserialize(deserializer)?;
    Ok([d, k, p, q].contains(&Present(true)))
}

/// A set of public keys (RFC 7517 section 5). Keys of unknown types are kept as far as they are text; pick by `kid` and
/// let [`VerifyingKey::from_jwk`] judge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwkSet {
    /// The keys.
    pub keys: Vec<Jwk>,
}

impl Jwk {
    pub(super) fn ed25519(key: &[u8]) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: Some("Ed25519".to_owned()),
            x: Some(base64url::encode(key)),
            ..Self::default()
        }
    }

    /// From an uncompressed point: the byte 4 and two coordinates (SEC 1 section 2.3.3).
    pub(super) fn p256(point: &[u8]) -> Result<Self, KeyError> {
        let [4, coordinates @ ..] = point else {
            return Err(KeyError::Malformed);
        };
        let (x, y) = coordinates.split_at_checked(32).ok_or(KeyError::Malformed)?;
        Ok(Self {
            kty: "EC".to_owned(),
            crv: Some("P-256".to_owned()),
            x: Some(base64url::encode(x)),
            y: Some(base64url::encode(y)),
            ..Self::default()
        })
    }

    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        Self {
            kty: "RSA".to_owned(),
            n: Some(base64url::encode(modulus)),
            e: Some(base64url::encode(exponent)),
            ..Self::default()
        }
    }

    fn supported_algorithm(&self) -> Result<Algorithm, KeyError> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => Ok(Algorithm::EdDsa),
            ("EC", Some("P-256")) => Ok(Algorithm::Es256),
            ("RSA", _) => Ok(Algorithm::Rs256),
            _ => Err(KeyError::UnsupportedKey),
        }
    }

    /// The RFC 7638 thumbprint (SHA-256, base64url): the required members in lexicographic order, no white space. Their
    /// values are base64url and known names, so nothing needs escaping; callers have checked that.
    fn thumbprint(&self) -> String {
        let part = |value: &Option<String>| value.clone().unwrap_or_default();
        let json = match self.kty.as_str() {
            "OKP" => format!(r#"{{"crv":"{}","kty":"OKP","x":"{}"}}"#, part(&self.crv), part(&self.x)),
            "EC" => format!(
                r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#,
                part(&self.crv),
                part(&self.x),
                part(&self.y)
            ),
            _ => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, part(&self.e), part(&self.n)),
        };
        base64url::encode(sha256(json.as_bytes()))
    }
}

/// A public key that was checked, ready to verify.
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    key: ParsedPublicKey,
    kid: String,
}

impl VerifyingKey {
    /// The key that `jwk` describes: Ed25519, P-256, or RSA of 2048 to 4096 bits.
    ///
    /// # Errors
    /// [`KeyError`]: the type is not supported, a member is missing or not canonical, `alg`, `use` or `key_ops` says
    /// that it is for something else, or it holds private material.
    pub fn from_jwk(jwk: &Jwk) -> Result<Self, KeyError> {
        let algorithm = jwk.supported_algorithm()?;
        if jwk.private {
            return Err(KeyError::Private);
        }
        let fits = jwk.alg.as_deref().is_none_or(|alg| Algorithm::named(alg) == Some(algorithm))
            && jwk.key_use.as_deref().is_none_or(|key_use| key_use == "sig")
            && jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|one| one == "verify"));
        if !fits {
            return Err(KeyError::OtherUse);
        }
        let key = match algorithm {
            Algorithm::EdDsa => ParsedPublicKey::new(&ED25519, fixed::<32>(jwk.x.as_ref())?)
                .map_err(|_| KeyError::Malformed)?,
            Algorithm::Es256 => {
                let mut point = vec![4];
                point.extend(fixed::<32>(jwk.x.as_ref())?);
                point.extend(fixed::<32>(jwk.y.as_ref())?);
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| KeyError::Malformed)?
            }
            Algorithm::Rs256 => rsa(jwk)?,
        };
        Ok(Self { algorithm, key, kid: jwk.thumbprint() })
    }

    /// The algorithm that its signatures have.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The RFC 7638 thumbprint, whatever `kid` the JWK had.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Whether `signature`, in JOSE's form, is this key's signature of `message`.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({} {})", self.algorithm, self.kid)
    }
}

fn bytes(member: Option<&String>) -> Result<Vec<u8>, KeyError> {
    base64url::decode(member.ok_or(KeyError::Malformed)?).map_err(|_| KeyError::Malformed)
}

/// A member of exactly `N` bytes; RFC 7518 section 6.2.1.2 wants leading zeroes kept.
fn fixed<const N: usize>(member: Option<&String>) -> Result<[u8; N], KeyError> {
    bytes(member)?.try_into().map_err(|_| KeyError::Malformed)
}

fn rsa(jwk: &Jwk) -> Result<ParsedPublicKey, KeyError> {
    let (n, e) = (bytes(jwk.n.as_ref())?, bytes(jwk.e.as_ref())?);
    // RFC 7518 section 6.3.1.1 wants no leading zeroes: one number, one text, one thumbprint.
    let ([first, ..], Some(1..)) = (n.as_slice(), e.first()) else {
        return Err(KeyError::Malformed);
    };
    let of_size = RSA_BYTES.contains(&n.len()) && (n.len() > *RSA_BYTES.start() || *first >= 0x80);
    let odd = e.last().is_some_and(|last| last % 2 == 1) && e != [1];
    if !of_size || e.len() > MAX_RSA_EXPONENT_BYTES {
        return Err(KeyError::UnsupportedKey);
    }
    if !odd {
        return Err(KeyError::Malformed);
    }
    RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .map_err(|_| KeyError::Malformed)
}
