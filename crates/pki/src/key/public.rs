//! Public keys, and the names by which PKCS#8 and X.509 call their algorithms.

use super::{KeyError, KeyType, der, pem, rsa};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};

const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
const DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[0x2b, 0x81, 4, 0, 34];
const P521: &[u8] = &[0x2b, 0x81, 4, 0, 35];
const ED25519_OID: &[u8] = &[0x2b, 0x65, 0x70];
const ED448_OID: &[u8] = &[0x2b, 0x65, 0x71];

/// A public key: its type and its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    key_type: KeyType,
    raw: Vec<u8>,
}

impl PublicKey {
    pub(super) fn of(key_type: KeyType, raw: &[u8]) -> Self {
        Self { key_type, raw: raw.to_vec() }
    }

    /// What it is.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// Its length in bits, as it is usually told: that of the field or of the RSA modulus.
    #[must_use]
    pub fn bits(&self) -> usize {
        match self.key_type {
            KeyType::Ed25519 | KeyType::EcdsaP256 => 256,
            KeyType::EcdsaP384 => 384,
            KeyType::Rsa => self.rsa_numbers().map_or(0, |(modulus, _)| rsa::bits(modulus)),
        }
    }

    /// The key's own bytes: 32 of Ed25519, the uncompressed point of ECDSA, `RSAPublicKey` (RFC 8017) of RSA.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Modulus and exponent of an RSA key, without leading zeros.
    pub(crate) fn rsa_numbers(&self) -> Option<(&[u8], &[u8])> {
        let mut fields = der::Reader::new(&self.raw).sequence().ok()?;
        Some((fields.unsigned().ok()?, fields.unsigned().ok()?))
    }

    /// The `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7), as DER.
    #[must_use]
    pub fn to_spki(&self) -> Vec<u8> {
        let oid = |oid: &[u8]| der::element(der::OID, oid);
        let algorithm = match self.key_type {
            KeyType::Ed25519 => der::sequence(&[&oid(ED25519_OID)]),
            KeyType::EcdsaP256 => der::sequence(&[&oid(EC), &oid(P256)]),
            KeyType::EcdsaP384 => der::sequence(&[&oid(EC), &oid(P384)]),
            KeyType::Rsa => der::sequence(&[&oid(RSA_ENCRYPTION), &[5, 0]]),
        };
        let mut bits = vec![0];
        bits.extend_from_slice(&self.raw);
        der::sequence(&[&algorithm, &der::element(der::BIT_STRING, &bits)]).to_vec()
    }

    /// The `SubjectPublicKeyInfo` as PEM (`PUBLIC KEY`).
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.to_spki()).expose().to_owned()
    }

    /// Reads a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// [`KeyError`]: of another kind, weak, or not a key.
    pub fn from_spki(bytes: &[u8]) -> Result<Self, KeyError> {
        let mut outer = der::Reader::new(bytes);
        let mut info = outer.sequence()?;
        let key_type = key_type(info.sequence()?)?;
        let bits = info.expect(der::BIT_STRING)?;
        if !outer.is_empty() || !info.is_empty() {
            return Err(KeyError::Malformed("something follows the key"));
        }
        let raw = bits.strip_prefix(&[0]).ok_or(KeyError::Malformed("it is no whole number of bytes"))?;
        let key = Self::of(key_type, raw);
        if key_type == KeyType::Rsa {
            rsa::check_size(key.rsa_numbers().ok_or(der::NotDer)?.0)?;
        }
        let algorithm: &'static dyn VerificationAlgorithm = match key_type {
            KeyType::Ed25519 => &ED25519,
            KeyType::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
            KeyType::EcdsaP384 => &ECDSA_P384_SHA384_ASN1,
            KeyType::Rsa => &RSA_PKCS1_2048_8192_SHA256,
        };
        match UnparsedPublicKey::new(algorithm, raw).parse() {
            Ok(_) => Ok(key),
            Err(_) => Err(KeyError::Malformed("its numbers are no key")),
        }
    }
}

/// The type that an `AlgorithmIdentifier` names.
pub(super) fn key_type(mut algorithm: der::Reader<'_>) -> Result<KeyType, KeyError> {
    match algorithm.expect(der::OID)? {
        RSA_ENCRYPTION => Ok(KeyType::Rsa),
        ED25519_OID => Ok(KeyType::Ed25519),
        EC => curve(algorithm.expect(der::OID)?),
        DSA => Err(KeyError::Dsa),
        RSA_PSS => Err(KeyError::Unsupported("an RSA key for PSS alone".to_owned())),
        ED448_OID => Err(KeyError::Unsupported("Ed448".to_owned())),
        other => Err(KeyError::Unsupported(format!("the algorithm {}", dotted(other)))),
    }
}

/// The type that keys on a named curve have.
pub(super) fn curve(oid: &[u8]) -> Result<KeyType, KeyError> {
    match oid {
        P256 => Ok(KeyType::EcdsaP256),
        P384 => Ok(KeyType::EcdsaP384),
        P521 => Err(KeyError::Unsupported("ECDSA on P-521".to_owned())),
        other => Err(KeyError::Unsupported(format!("ECDSA on the curve {}", dotted(other)))),
    }
}

/// An object identifier in dotted form, cut off after twenty numbers.
fn dotted(oid: &[u8]) -> String {
    let mut numbers = Vec::new();
    let mut value: u64 = 0;
    for &byte in oid.iter().take(64) {
        value = (value << 7) | u64::from(byte & 0x7f);
        if byte < 0x80 {
            if numbers.is_empty() {
                let first = (value / 40).min(2);
                numbers.push(first);
                value -= first * 40;
            }
            numbers.push(value);
            value = 0;
        }
    }
    let texts: Vec<String> = numbers.iter().take(20).map(u64::to_string).collect();
    texts.join(".")
}
