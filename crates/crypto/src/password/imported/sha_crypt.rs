//! SHA-256-crypt and SHA-512-crypt of crypt(3).

use super::super::phc;
use password_hash::PasswordVerifier as _;

/// Fewer are raised to this by crypt(3) itself.
const MIN_ROUNDS: u32 = 1_000;
/// About half a second. passlib's default is 656 000.
const MAX_ROUNDS: u32 = 1_000_000;
/// The longest password that libxcrypt takes; the cost also grows with the length.
const MAX_PASSWORD_BYTES: usize = 512;
const MAX_SALT_CHARACTERS: usize = 16;

pub(in super::super) struct ShaCrypt {
    text: Box<str>,
}

/// Reads `$5$salt$hash` and `$6$rounds=656000$salt$hash`.
pub(super) fn parse(text: &str) -> Option<ShaCrypt> {
    let (rest, hash_characters) = match text.strip_prefix("$5$") {
        Some(rest) => (rest, 43),
        None => (text.strip_prefix("$6$")?, 86),
    };
    let rest = match rest.strip_prefix("rounds=") {
        None => rest,
        Some(rest) => {
            let (rounds, rest) = rest.split_once('$')?;
            phc::number(rounds).filter(|rounds| (MIN_ROUNDS..=MAX_ROUNDS).contains(rounds))?;
            rest
        }
    };
    let (salt, hash) = rest.split_once('$')?;
    let alphabet =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'));
    let fits = (1..=MAX_SALT_CHARACTERS).contains(&salt.len()) && hash.len() == hash_characters;
    (fits && alphabet(salt) && alphabet(hash)).then(|| ShaCrypt { text: text.into() })
}

impl ShaCrypt {
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        // A zero byte ends the password in C.
        password.len() <= MAX_PASSWORD_BYTES
            && !password.contains(&0)
            && sha_crypt::ShaCrypt::default().verify_password(password, &*self.text).is_ok()
    }
}
