//! Password hashing: Argon2id in PHC strings, computed by a bounded and fair pool; verification of hashes that were
//! imported from other systems, until their owner's next sign-in replaces them.
//!
//! A password is normalised to NFKC once (RFC 8265 section 4.2.2 asks for normalisation; NFKC also makes the full-width
//! and the plain form of a letter one), so that the same keys typed on another system give the same bytes. Imported
//! hashes are verified with the text as typed, because the system that made them did not normalise.

mod argon;
pub mod hasher;
pub mod imported;
mod phc;
mod pool;

pub use hasher::{Hasher, PoolSize, SetupError};

use std::time::Duration;

/// The longest password that is looked at, in bytes of UTF-8 as typed (ABUSE-CASES AC-28).
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// The most memory that one hash may take, in KiB: a bound on the policy and on what a stored hash may ask for.
pub const MAX_MEMORY_KIB: u32 = 256 * 1024;
/// The most passes over the memory.
pub const MAX_ITERATIONS: u32 = 64;
/// The most lanes. They are computed one after the other.
pub const MAX_PARALLELISM: u32 = 16;
/// The most memory times passes, in KiB: what bounds the time of one hash (a few seconds).
pub const MAX_WORK_KIB: u64 = 2 * 1024 * 1024;

/// The Argon2id parameters of new hashes (RFC 9106; version 19, 16 bytes of salt, 32 bytes of hash).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashPolicy {
    /// Memory in KiB; default 19456 (19 MiB).
    pub memory_kib: u32,
    /// Passes over the memory; default 2.
    pub iterations: u32,
    /// Lanes; default 1.
    pub parallelism: u32,
}

impl Default for HashPolicy {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1 }
    }
}

impl HashPolicy {
    /// Whether Argon2 accepts the parameters and they keep within this module's bounds.
    ///
    /// # Errors
    /// [`PolicyError`] with the bound that is passed.
    pub fn check(&self) -> Result<(), PolicyError> {
        let work_kib = u64::from(self.memory_kib).saturating_mul(u64::from(self.iterations));
        if !(1..=MAX_PARALLELISM).contains(&self.parallelism) {
            Err(PolicyError("parallelism must be between 1 and 16"))
        } else if self.memory_kib < self.parallelism.saturating_mul(8) {
            Err(PolicyError("memory_kib must be at least 8 for each lane"))
        } else if self.memory_kib > MAX_MEMORY_KIB {
            Err(PolicyError("memory_kib must be at most 262144"))
        } else if !(1..=MAX_ITERATIONS).contains(&self.iterations) {
            Err(PolicyError("iterations must be between 1 and 64"))
        } else if work_kib > MAX_WORK_KIB {
            Err(PolicyError("memory_kib times iterations must be at most 2097152"))
        } else {
            Ok(())
        }
    }
}

/// Parameters that cannot be used, with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(&'static str);

/// The stored text of a password hash. It is no secret in the sense of [`crate::Secret`], but it is worth guessing
/// against: it prints nothing by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct PhcHash(String);

impl PhcHash {
    /// The text to store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text to store.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl std::fmt::Debug for PhcHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PhcHash(…)")
    }
}

/// What a verification found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// The password is the right one.
    pub ok: bool,
    /// The stored hash is not Argon2id as the policy wants it; after a successful sign-in, hash the password anew.
    pub needs_rehash: bool,
}

/// Why a password was not hashed or verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// No password at all. Nothing was computed (ABUSE-CASES AC-46).
    #[error("the password is empty")]
    Empty,
    /// Longer than [`MAX_PASSWORD_BYTES`]. Nothing was computed (ABUSE-CASES AC-28).
    #[error("the password is longer than 1024 bytes")]
    TooLong,
    /// The queue is full. Nothing was computed; try again after this long (HTTP 429 with Retry-After).
    #[error("too many passwords are waiting to be checked; try again in {} s", retry_after.as_secs())]
    Busy {
        /// When there is likely room again; whole seconds, at least one.
        retry_after: Duration,
    },
    /// The stored hash is of no kind that is known here, or asks for more work than is allowed.
    #[error("the stored password hash cannot be read")]
    Unrecognised,
    /// The pool is shutting down, or the computation failed within.
    #[error("the password hasher is not available")]
    Unavailable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_keep_within_bounds() {
        let policy = HashPolicy::default();
        assert_eq!((policy.memory_kib, policy.iterations, policy.parallelism), (19_456, 2, 1));
        assert_eq!(policy.check(), Ok(()));
        let bad = [
            HashPolicy { parallelism: 0, ..policy },
            HashPolicy { parallelism: 17, ..policy },
            HashPolicy { memory_kib: 7, ..policy },
            HashPolicy { memory_kib: 262_145, ..policy },
            HashPolicy { iterations: 0, ..policy },
            HashPolicy { iterations: 65, ..policy },
            HashPolicy { memory_kib: 262_144, iterations: 9, parallelism: 1 },
        ];
        for policy in bad {
            assert!(policy.check().is_err(), "{policy:?}");
        }
    }

    #[test]
    fn a_hash_is_not_printed() {
        assert_eq!(format!("{:?}", PhcHash("$argon2id$…".to_owned())), "PhcHash(…)");
    }
}
