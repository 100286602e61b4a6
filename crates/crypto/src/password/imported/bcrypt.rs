//! bcrypt, as OpenBSD, PHP, Python, Java and Go write it.

use crate::digest::{constant_time_eq, sha256};
use ::base64::Engine as _;
use ::base64::alphabet::BCRYPT;
use ::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Cost 15 is 2^15 rounds, about two seconds; each step doubles it.
const MAX_COST: u32 = 15;
const MIN_COST: u32 = 4;
/// The cipher's key: the password and the zero byte that ends it in C, cut to this.
const KEY_BYTES: usize = 72;

/// Spare bits may be set: PHP code that made salts out of 22 random characters is common, and crypt(3) ignores them.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &BCRYPT,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

pub(in super::super) struct Bcrypt {
    cost: u32,
    salt: [u8; 16],
    hash: Vec<u8>,
    prehashed: bool,
}

/// Reads `$2b$12$` and 53 characters. `$2x$` marks hashes of a defective implementation and is not read.
pub(super) fn parse(text: &str) -> Option<Bcrypt> {
    let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let (cost, rest) = rest.split_once('$')?;
    if cost.len() != 2 || !cost.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let cost = cost.parse().ok().filter(|cost| (MIN_COST..=MAX_COST).contains(cost))?;
    let (salt, hash) = rest.split_at_checked(22)?;
    let salt = LENIENT.decode(salt).ok()?.try_into().ok()?;
    let hash = LENIENT.decode(hash).ok().filter(|hash| hash.len() == 23)?;
    Some(Bcrypt { cost, salt, hash, prehashed: false })
}

/// The same over the hexadecimal SHA-256 of the password, as Django's `bcrypt_sha256` does it to lift the limit of 72
/// bytes.
pub(super) fn parse_prehashed(text: &str) -> Option<Bcrypt> {
    parse(text).map(|bcrypt| Bcrypt { prehashed: true, ..bcrypt })
}

impl Bcrypt {
    pub(super) const fn is_prehashed(&self) -> bool {
        self.prehashed
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let hex;
        let password = if self.prehashed {
            hex = hexadecimal(&sha256(password));
            hex.as_slice()
        } else {
            password
        };
        // In C the password ends at its first zero byte; a longer one that only begins like it must not pass.
        if password.contains(&0) {
            return false;
        }
        let mut key = Zeroizing::new(Vec::with_capacity(KEY_BYTES));
        key.extend(password.iter().copied().chain([0]).take(KEY_BYTES));
        let computed = ::bcrypt::bcrypt(self.cost, self.salt, &key);
        computed.get(..23).is_some_and(|computed| constant_time_eq(computed, &self.hash))
    }
}

fn hexadecimal(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or_default();
    let mut hex = Zeroizing::new(Vec::with_capacity(bytes.len().saturating_mul(2)));
    hex.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    hex
}
