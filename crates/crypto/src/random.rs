//! The generator of the running server, and readable random text.

use crate::secret::Secret;
use keyreeve_base::{Random, World};
use zeroize::Zeroizing;

/// The generator that a running server uses: aws-lc's, seeded by the operating system, safe across forks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        if aws_lc_rs::rand::fill(bytes).is_err() {
            // Without randomness no key, no token and no salt may be made, and no caller could go on. Returning would
            // hand out zeroes as keys.
            tracing::error!("the operating system gives no randomness; stopping");
            std::process::abort();
        }
    }
}

/// The characters of a [`random_text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// Letters and digits that cannot be taken for one another when read aloud or copied by hand: no `0 O 1 I l`.
    /// 57 characters, 5.83 bits each.
    Readable,
    /// Letters and digits. 62 characters, 5.95 bits each.
    Alphanumeric,
    /// Decimal digits. 3.32 bits each.
    Digits,
    /// Capital consonants that cannot be taken for one another, and make no words (RFC 8628 section 6.1). 20 characters,
    /// 4.32 bits each.
    Consonants,
}

impl Alphabet {
    const fn characters(self) -> &'static [u8] {
        match self {
            Self::Readable => b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789",
            Self::Alphanumeric => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            Self::Digits => b"0123456789",
            Self::Consonants => b"BCDFGHJKLMNPQRSTVWXZ",
        }
    }
}

/// A text of `length` characters, each equally likely.
#[must_use]
pub fn random_text(world: &World, alphabet: Alphabet, length: usize) -> Secret {
    let characters = alphabet.characters();
    // Bytes at or above the largest multiple of the alphabet's size are dropped, or its first characters would come
    // more often. Every alphabet has fewer than 128 characters, so at least half of all bytes are kept.
    let kept = 256 - 256 % characters.len();
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let bytes = Zeroizing::new(world.random_bytes::<64>());
        for byte in bytes.iter().map(|&byte| usize::from(byte)).filter(|&byte| byte < kept) {
            if text.len() == length {
                break;
            }
            if let Some(&character) = characters.get(byte % characters.len()) {
                text.push(char::from(character));
            }
        }
    }
    Secret::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyreeve_base::SystemClock;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU8, Ordering};

    /// Counts upwards: every byte value comes equally often.
    struct Counting(AtomicU8);

    impl Random for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            for byte in bytes {
                *byte = self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn no_character_is_likelier_than_another() {
        for alphabet in [Alphabet::Readable, Alphabet::Alphanumeric, Alphabet::Digits] {
            let world = World::new(Arc::new(SystemClock), Arc::new(Counting(AtomicU8::new(0))));
            let size = alphabet.characters().len();
            // Three times all the bytes that are kept, over the borders at which the others are dropped.
            let rounds = 256 / size * 3;
            let text = random_text(&world, alphabet, size * rounds);
            for character in alphabet.characters() {
                let times = text.expose().bytes().filter(|byte| byte == character).count();
                assert_eq!(times, rounds, "{alphabet:?} {}", char::from(*character));
            }
        }
    }

    #[test]
    fn readable_text_has_no_look_alikes() {
        assert_eq!(Alphabet::Readable.characters().len(), 57);
        assert!(!Alphabet::Readable.characters().iter().any(|character| b"0O1Il".contains(character)));
    }

    #[test]
    fn the_system_generator_fills_everything() {
        let mut bytes = [0u8; 1024];
        SystemRandom.fill(&mut bytes);
        // 1024 random bytes hold fewer than 200 different values with a probability that is nil.
        let different: std::collections::HashSet<u8> = bytes.iter().copied().collect();
        assert!(different.len() > 200);
    }
}
