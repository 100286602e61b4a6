//! The pieces of `$`-separated hash texts: PHC strings (the PHC string format specification) and their relatives.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// No stored hash text is longer; bounds every parser.
pub(super) const MAX_TEXT_BYTES: usize = 1024;
/// The salts that are accepted, in bytes.
pub(super) const MAX_SALT_BYTES: usize = 128;
/// The hash values that are accepted, in bytes. Fewer than 16 would be guessable by collision with luck, not work.
pub(super) const HASH_BYTES: std::ops::RangeInclusive<usize> = 16..=128;

/// Padding may be there or not; spare bits must be zero.
const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of standard base64, padded or not.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The bytes of passlib's "adapted base64": standard base64 with `.` for `+`, without padding.
pub(super) fn adapted_base64(text: &str) -> Option<Vec<u8>> {
    if text.contains(['+', '=']) {
        return None;
    }
    base64(&text.replace('.', "+"))
}

/// A salt within bounds.
pub(super) fn salt(bytes: Vec<u8>) -> Option<Vec<u8>> {
    (!bytes.is_empty() && bytes.len() <= MAX_SALT_BYTES).then_some(bytes)
}

/// A hash value within bounds.
pub(super) fn hash(bytes: Vec<u8>) -> Option<Vec<u8>> {
    HASH_BYTES.contains(&bytes.len()).then_some(bytes)
}

/// A decimal number as every implementation writes it: digits only, no leading zero.
pub(super) fn number(text: &str) -> Option<u32> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

/// The values of `name=number` pairs, in the order of `names`; each name at most once and no other name.
pub(super) fn parameters<const N: usize>(text: &str, names: [&str; N]) -> Option<[Option<u32>; N]> {
    let mut values = [None; N];
    for pair in text.split(',') {
        let (name, value) = pair.split_once('=')?;
        let place = names.iter().position(|known| *known == name)?;
        let value = number(value)?;
        if values.get_mut(place)?.replace(value).is_some() {
            return None;
        }
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_named_once_and_known() {
        assert_eq!(parameters("m=1,t=2", ["m", "t", "p"]), Some([Some(1), Some(2), None]));
        for text in ["", "m", "m=", "m=1,m=2", "x=1", "m=1,", "m=01", "m=+1", "m= 1", "m=4294967296"] {
            assert_eq!(parameters(text, ["m", "t", "p"]), None, "{text:?}");
        }
    }
}
