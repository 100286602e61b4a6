//! Sealing: AES-256-GCM under tenants' data keys, which are wrapped by the master key.
//!
//! **What is bound.** A sealed value opens only under its key and with the associated data it was sealed with. Make that
//! of the record's identity with [`aad`] (table, tenant, row, column), so that a value copied to another row stays shut.
//!
//! **Layout**, version 1: `01 | key id (8) | nonce (24) | ciphertext | tag (16)`; the first 33 bytes are authenticated too.
//!
//! **Nonces.** AES-GCM with random nonces of 96 bits must stop at 2^32 messages for each key, and a repeated nonce gives
//! the key away. So no data key encrypts a message itself: for each message a key of its own is derived from the
//! data key and 192 random bits (HKDF-Expand, RFC 5869, with SHA-256), whose last 96 are GCM's nonce as well. A
//! repetition would take the same 192 bits twice: with 2^64 messages under one key the chance is below 2^-64. The
//! bound that is left is no bound in practice; it costs one HMAC for each message (well under a microsecond).
//!
//! **Key ids** are the first 8 bytes of a domain-separated SHA-256 of the key: they name the key that is needed, so that
//! a wrong master key is reported as such and not as damage.
//!
//! **Split.** The master key can be split into shares, any `k` of `n` of which give it back ([`MasterKey::split`]).

mod field;
mod key;
mod master;
mod split;
mod value;

pub use key::{DataKey, KeyFingerprint, sealing_key};
pub use master::{MasterKey, MasterKeyError, MasterKeyring};
pub use split::{MAX_SHARES, SetId, Share, SplitError, SplitPlan};
pub use value::ValueKey;

/// The largest value that is sealed, in bytes.
pub const MAX_PLAINTEXT_BYTES: usize = 64 * 1024 * 1024;

/// Why a value was not sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Too short to be a sealed value, or not canonical base64url.
    #[error("is not a sealed value")]
    Malformed,
    /// Sealed by a newer version of this program.
    #[error("was sealed in format version {0}, which this version of the program does not know")]
    UnsupportedVersion(u8),
    /// Sealed under another key than the one at hand.
    #[error("was sealed under the key {needed}, not under {given}")]
    OtherKey {
        /// The key that it names.
        needed: KeyFingerprint,
        /// The key that was tried.
        given: KeyFingerprint,
    },
    /// Wrapped by a master key that is not in the keyring.
    #[error("needs the master key {needed}, which is not among those given")]
    UnknownMasterKey {
        /// The master key that it names.
        needed: KeyFingerprint,
    },
    /// Changed since it was sealed, or moved to another place (its associated data differs).
    #[error("was changed or moved since it was sealed")]
    Refused,
    /// Larger than [`MAX_PLAINTEXT_BYTES`].
    #[error("is larger than 64 MiB")]
    TooLong,
    /// The library failed.
    #[error("the cryptographic library failed")]
    Library,
}

/// Associated data out of parts, unambiguously: each part's length goes before it, so that `["ab", "c"]` and
/// `["a", "bc"]` differ. Begin with a text that says what kind of record it is.
#[must_use]
pub fn aad(parts: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(parts.iter().map(|part| part.len().saturating_add(8)).sum());
    for part in parts {
        // A usize always fits 64 bits.
        joined.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        joined.extend_from_slice(part);
    }
    joined
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
