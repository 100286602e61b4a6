//! Password hashes that other systems made: read, bounded, and verified until their owners' next sign-in.
//!
//! What is stored is the text as the other system wrote it, after [`adopt`] has looked at it once. Every text that
//! [`recognise`] names can be verified, and none can cost more than a few seconds of one worker: a hash that asks for more
//! memory or more rounds than the bounds in these files is not recognised, so a stored hash cannot be used as a
//! weapon.
//!
//! | written by | text |
//! |---|---|
//! | bcrypt everywhere | `$2a$`, `$2b$`, `$2y$` |
//! | PHC, passlib | `$argon2…$`, `$scrypt$ln=…`, `$pbkdf2-sha256$i=…`, `$pbkdf2-sha256$29000$…` |
//! | crypt(3) | `$5$…`, `$6$…` |
//! | LDAP | `{SSHA}`, `{SSHA256}`, `{SSHA512}`, `{PBKDF2-SHA256}…`, `{CRYPT}` before a crypt(3) or bcrypt text |
//! | Django | `pbkdf2_sha256$…`, `pbkdf2_sha1$…`, `argon2$…`, `bcrypt$…`, `bcrypt_sha256$…`, `scrypt$…` |
//! | Keycloak | `{keycloak}` and JSON; see [`from_keycloak`] |
//! | IMQS Auth (authaus) | `{authaus}` and the base64 text of its table |

mod authaus;
mod bcrypt;
mod django;
mod keycloak;
mod ldap;
mod pbkdf2;
mod scrypt;
mod sha_crypt;

use super::argon::{Arena, Argon2Hash};
use super::phc::MAX_TEXT_BYTES;
use super::{HashPolicy, PhcHash};
pub use keycloak::from_keycloak;

/// Before an Argon2 hash that another system made: its password was not normalised.
const AS_TYPED: &str = "{raw}";

/// The kinds of hash that can be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Argon2id, Argon2i or Argon2d (RFC 9106).
    Argon2,
    /// bcrypt over the password's first 72 bytes.
    Bcrypt,
    /// bcrypt over the hexadecimal SHA-256 of the password (Django).
    BcryptSha256,
    /// scrypt (RFC 7914).
    Scrypt,
    /// PBKDF2 with HMAC-SHA1, -SHA256 or -SHA512 (RFC 8018).
    Pbkdf2,
    /// SHA-256-crypt or SHA-512-crypt of crypt(3).
    ShaCrypt,
    /// One salted SHA-1, SHA-256 or SHA-512 (LDAP).
    SaltedSha,
}

/// The text is no password hash of a known kind, or asks for more work than is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no password hash of a known kind, or asks for more memory or rounds than is allowed")]
pub struct Unrecognised;

/// The kind of hash that `text` is; none when it cannot be verified here.
#[must_use]
pub fn recognise(text: &str) -> Option<Scheme> {
    Stored::parse(text).map(|stored| stored.scheme())
}

/// What to store of a hash that another system made: the text itself, with a mark where the same text of our own
/// making would mean something else.
///
/// # Errors
/// [`Unrecognised`] when the hash could not be verified here.
pub fn adopt(text: &str) -> Result<PhcHash, Unrecognised> {
    match Stored::parse(text).ok_or(Unrecognised)? {
        Stored::Argon2 { as_typed: false, .. } => Ok(PhcHash(format!("{AS_TYPED}{text}"))),
        _ => Ok(PhcHash(text.to_owned())),
    }
}

/// A stored hash, taken apart and within bounds.
pub(super) enum Stored {
    Argon2 { hash: Argon2Hash, as_typed: bool },
    Bcrypt(bcrypt::Bcrypt),
    Scrypt(scrypt::Scrypt),
    Pbkdf2(pbkdf2::Pbkdf2),
    ShaCrypt(sha_crypt::ShaCrypt),
    SaltedSha(ldap::SaltedSha),
}

impl Stored {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT_BYTES {
            return None;
        }
        if text.starts_with("$argon2") {
            return Argon2Hash::parse(text).map(|hash| Self::Argon2 { hash, as_typed: false });
        }
        if let Some(text) = text.strip_prefix(AS_TYPED) {
            return Argon2Hash::parse(text).map(|hash| Self::Argon2 { hash, as_typed: true });
        }
        if let Some(text) = text.strip_prefix(authaus::PREFIX) {
            return authaus::parse(text).map(Self::Scrypt);
        }
        if let Some(json) = text.strip_prefix(keycloak::PREFIX) {
            return keycloak::parse(json).map(Self::Pbkdf2);
        }
        Self::parse_crypt(text)
            .or_else(|| pbkdf2::parse(text).map(Self::Pbkdf2))
            .or_else(|| scrypt::parse(text).map(Self::Scrypt))
            .or_else(|| ldap::parse(text).map(Self::SaltedSha))
            .or_else(|| strip_prefix_ignoring_case(text, "{CRYPT}").and_then(Self::parse_crypt))
            .or_else(|| django::parse(text))
    }

    /// What crypt(3) writes.
    fn parse_crypt(text: &str) -> Option<Self> {
        bcrypt::parse(text).map(Self::Bcrypt).or_else(|| sha_crypt::parse(text).map(Self::ShaCrypt))
    }

    const fn scheme(&self) -> Scheme {
        match self {
            Self::Argon2 { .. } => Scheme::Argon2,
            Self::Bcrypt(hash) if hash.is_prehashed() => Scheme::BcryptSha256,
            Self::Bcrypt(_) => Scheme::Bcrypt,
            Self::Scrypt(_) => Scheme::Scrypt,
            Self::Pbkdf2(_) => Scheme::Pbkdf2,
            Self::ShaCrypt(_) => Scheme::ShaCrypt,
            Self::SaltedSha(_) => Scheme::SaltedSha,
        }
    }

    /// Whether the password is compared as typed, because another system made the hash; else in NFKC.
    pub(super) const fn wants_text_as_typed(&self) -> bool {
        !matches!(self, Self::Argon2 { as_typed: false, .. })
    }

    /// Whether it costs microseconds.
    pub(super) const fn is_nearly_free(&self) -> bool {
        matches!(self, Self::SaltedSha(_))
    }

    pub(super) fn needs_rehash(&self, policy: HashPolicy) -> bool {
        match self {
            Self::Argon2 { hash, as_typed } => *as_typed || hash.is_below(policy),
            Self::Bcrypt(_) | Self::Scrypt(_) | Self::Pbkdf2(_) | Self::ShaCrypt(_) | Self::SaltedSha(_) => {
                true
            }
        }
    }

    /// Whether `password` has this hash; none when the function refuses parameters that the parser let through.
    pub(super) fn verify(&self, password: &[u8], arena: &mut Arena) -> Option<bool> {
        match self {
            Self::Argon2 { hash, .. } => hash.verify(password, arena),
            Self::Bcrypt(hash) => Some(hash.verify(password)),
            Self::Scrypt(hash) => hash.verify(password),
            Self::Pbkdf2(hash) => Some(hash.verify(password)),
            Self::ShaCrypt(hash) => Some(hash.verify(password)),
            Self::SaltedSha(hash) => Some(hash.verify(password)),
        }
    }
}

/// `text` after `prefix`, whose letters may be of either case.
fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
