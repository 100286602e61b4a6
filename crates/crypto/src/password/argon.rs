//! Argon2 (RFC 9106) over memory that a worker keeps from one hash to the next.

use super::{HashPolicy, phc};
use crate::digest::constant_time_eq;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::{Zeroize as _, Zeroizing};

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// The working memory of one worker. Allocating it for each hash would cost between an eighth and a third of the
/// rate (page faults); so it stays, is wiped when the worker runs out of work, and is given back when it stays idle.
#[derive(Default)]
pub(super) struct Arena {
    blocks: Vec<Block>,
    /// How many blocks, from the front, may hold something of a password.
    dirty: usize,
}

impl Arena {
    fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.blocks.len() < count {
            // Growing in place would copy what the blocks hold, and leave the old ones unwiped.
            self.release();
            self.blocks = vec![Block::new(); count];
        }
        self.dirty = self.dirty.max(count);
        self.blocks.get_mut(..count).unwrap_or_default()
    }

    /// Whether something of a password may still be in memory.
    pub(super) const fn is_dirty(&self) -> bool {
        self.dirty > 0
    }

    /// Whether memory is held.
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    #[cfg(test)]
    pub(super) const fn dirty_blocks(&self) -> usize {
        self.dirty
    }

    /// Overwrites what the last hashes left.
    pub(super) fn wipe(&mut self) {
        for block in self.blocks.iter_mut().take(self.dirty) {
            block.zeroize();
        }
        self.dirty = 0;
    }

    /// Wipes, and gives the memory back.
    pub(super) fn release(&mut self) {
        self.wipe();
        self.blocks = Vec::new();
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// A stored Argon2 hash, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Argon2Hash {
    algorithm: Algorithm,
    version: Version,
    policy: HashPolicy,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Argon2Hash {
    /// Reads `$argon2id$v=19$m=…,t=…,p=…$salt$hash`; without `v=` it is version 16, as the first release wrote it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.strip_prefix('$')?.split_once('$')?;
        let algorithm = match name {
            "argon2id" => Algorithm::Argon2id,
            "argon2i" => Algorithm::Argon2i,
            "argon2d" => Algorithm::Argon2d,
            _ => return None,
        };
        let (version, rest) = match rest.strip_prefix("v=") {
            None => (Version::V0x10, rest),
            Some(rest) => match rest.split_once('$')? {
                ("19", rest) => (Version::V0x13, rest),
                ("16", rest) => (Version::V0x10, rest),
                _ => return None,
            },
        };
        let (parameters, rest) = rest.split_once('$')?;
        let (salt, hash) = rest.split_once('$')?;
        let [Some(memory_kib), Some(iterations), Some(parallelism)] =
            phc::parameters(parameters, ["m", "t", "p"])?
        else {
            return None;
        };
        let policy = HashPolicy { memory_kib, iterations, parallelism };
        policy.check().ok()?;
        let salt = phc::salt(phc::base64(salt)?).filter(|salt| salt.len() >= argon2::MIN_SALT_LEN)?;
        Some(Self { algorithm, version, policy, salt, hash: phc::hash(phc::base64(hash)?)? })
    }

    /// The same text in the one form that [`Argon2Hash::parse`] reads back.
    pub(super) fn text(&self) -> String {
        format!(
            "${}$v={}$m={},t={},p={}${}${}",
            self.algorithm.as_str(),
            u32::from(self.version),
            self.policy.memory_kib,
            self.policy.iterations,
            self.policy.parallelism,
            STANDARD_NO_PAD.encode(&self.salt),
            STANDARD_NO_PAD.encode(&self.hash),
        )
    }

    /// The hash of `password` under `policy` with this salt; none when Argon2 refuses the parameters.
    pub(super) fn compute(
        policy: HashPolicy,
        salt: [u8; SALT_BYTES],
        password: &[u8],
        arena: &mut Arena,
    ) -> Option<Self> {
        let mut new = Self {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            policy,
            salt: salt.to_vec(),
            hash: vec![0; HASH_BYTES],
        };
        new.hash = new.derive(password, arena)?.to_vec();
        Some(new)
    }

    /// Whether this is the hash of `password`.
    pub(super) fn verify(&self, password: &[u8], arena: &mut Arena) -> Option<bool> {
        Some(constant_time_eq(&self.derive(password, arena)?, &self.hash))
    }

    /// Whether a new hash under `policy` would be better than this one.
    pub(super) fn is_below(&self, policy: HashPolicy) -> bool {
        !matches!(self.algorithm, Algorithm::Argon2id)
            || !matches!(self.version, Version::V0x13)
            || self.policy.memory_kib < policy.memory_kib
            || self.policy.iterations < policy.iterations
            || self.hash.len() < HASH_BYTES
            || self.salt.len() < SALT_BYTES
    }

    fn derive(&self, password: &[u8], arena: &mut Arena) -> Option<Zeroizing<Vec<u8>>> {
        let HashPolicy { memory_kib, iterations, parallelism } = self.policy;
        let params = Params::new(memory_kib, iterations, parallelism, Some(self.hash.len())).ok()?;
        let blocks = arena.blocks(params.block_count());
        let mut hash = Zeroizing::new(vec![0; self.hash.len()]);
        Argon2::new(self.algorithm, self.version, params)
            .hash_password_into_with_memory(password, &self.salt, &mut hash, blocks)
            .ok()?;
        Some(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: HashPolicy = HashPolicy { memory_kib: 64, iterations: 1, parallelism: 1 };

    #[test]
    fn a_hash_reads_back_what_it_writes() {
        let mut arena = Arena::default();
        let hash = Argon2Hash::compute(SMALL, [7; 16], b"secret", &mut arena).unwrap();
        let text = hash.text();
        assert!(text.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{text}");
        let again = Argon2Hash::parse(&text).unwrap();
        assert!(again == hash);
        assert_eq!(again.verify(b"secret", &mut arena), Some(true));
        assert_eq!(again.verify(b"Secret", &mut arena), Some(false));
    }

    #[test]
    fn the_arena_is_reused_then_wiped_then_given_back() {
        let mut arena = Arena::default();
        let first = Argon2Hash::compute(SMALL, [7; 16], b"secret", &mut arena).unwrap();
        assert!(
            arena.is_dirty() && arena.blocks.iter().any(|block| block.as_ref().iter().any(|&word| word != 0))
        );
        // What the last password left must not change the next hash.
        Argon2Hash::compute(SMALL, [8; 16], b"other", &mut arena).unwrap();
        let second = Argon2Hash::compute(SMALL, [7; 16], b"secret", &mut arena).unwrap();
        assert!(first == second);
        arena.wipe();
        assert!(
            !arena.is_dirty()
                && arena.blocks.iter().all(|block| block.as_ref().iter().all(|&word| word == 0))
        );
        assert!(!arena.is_empty());
        arena.release();
        assert!(arena.is_empty());
    }

    #[test]
    fn what_a_raised_policy_wants_renewed() {
        let mut arena = Arena::default();
        let hash = Argon2Hash::compute(SMALL, [7; 16], b"secret", &mut arena).unwrap();
        assert!(!hash.is_below(SMALL));
        assert!(!hash.is_below(HashPolicy { memory_kib: 32, ..SMALL }));
        assert!(hash.is_below(HashPolicy { memory_kib: 65, ..SMALL }));
        assert!(hash.is_below(HashPolicy { iterations: 2, ..SMALL }));
        let argon2i = Argon2Hash::parse(&hash.text().replace("argon2id", "argon2i")).unwrap();
        assert!(argon2i.is_below(SMALL));
    }
}
