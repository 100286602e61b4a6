//! What the converters of other systems' exports have in common: where their records go, and the notes about what is not
//! taken over.

use crate::record::Record;
use serde::Serialize;

/// A sentence about something that is not taken over, or not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What it is about: a kind and a name, such as `user ada`.
    pub about: String,
    /// What is not taken over; the same words for all that are alike.
    pub what: &'static str,
    /// What there is to say of this one; never a secret.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Where converters put what they find.
pub trait Sink {
    /// Takes a record. What names another record comes after it.
    ///
    /// # Errors
    /// Those of whoever takes it; the conversion ends then.
    fn record(&mut self, record: Record) -> std::io::Result<()>;

    /// Takes a note.
    ///
    /// # Errors
    /// Those of whoever takes it; the conversion ends then.
    fn note(&mut self, note: Note) -> std::io::Result<()>;
}

/// Says that something is not taken over.
pub(crate) fn note(
    sink: &mut dyn Sink,
    about: &str,
    what: &'static str,
    detail: impl Into<String>,
) -> std::io::Result<()> {
    sink.note(Note { about: about.to_owned(), what, detail: detail.into() })
}

/// Base32 without padding (RFC 4648 section 6).
pub(crate) fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::with_capacity(bytes.len().saturating_mul(8).div_ceil(5));
    for group in bytes.chunks(5) {
        let number = (0..5).fold(0_u64, |number, place| {
            (number << 8) | u64::from(group.get(place).copied().unwrap_or_default())
        });
        let digits = group.len().saturating_mul(8).div_ceil(5);
        for place in 0..digits {
            let shift = 35_usize.saturating_sub(place.saturating_mul(5));
            let digit = usize::try_from((number >> shift) & 31).unwrap_or_default();
            text.push(ALPHABET.get(digit).copied().map_or('A', char::from));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }
}
