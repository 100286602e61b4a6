//! Base64url without padding (RFC 4648 section 5, RFC 7515 appendix C): one text for each sequence of bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The text is not canonical base64url: it has a foreign character, padding, white space, or bits set that no byte
/// owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not base64url without padding")]
pub struct NotBase64Url;

/// `bytes` as base64url without padding.
#[must_use]
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends `bytes` to `text` as base64url without padding.
pub fn encode_into(bytes: impl AsRef<[u8]>, text: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// The bytes that `text` spells.
///
/// # Errors
/// [`NotBase64Url`] unless `text` is exactly what [`encode`] would have written.
pub fn decode(text: &str) -> Result<Vec<u8>, NotBase64Url> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| NotBase64Url)
}

/// The length in characters of `bytes` bytes once encoded.
pub(crate) const fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3).saturating_mul(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_canonical_text_is_read() {
        assert_eq!(decode("AA"), Ok(vec![0]));
        // RFC 4648 section 3.5: the last character's spare bits must be zero.
        for text in ["AB", "AA==", "A", "A A", "AA\n", "+A", "/A", "é"] {
            assert_eq!(decode(text), Err(NotBase64Url), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_would_be_written(text in "[A-Za-z0-9_=+/-]{0,24}") {
            if let Ok(bytes) = decode(&text) {
                prop_assert_eq!(encode(bytes), text);
            }
        }
    }
}
