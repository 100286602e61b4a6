//! Where a page ended: the place of its last match in the order.

use crate::Error;
use keyreeve_crypto::base64url;
use uuid::Uuid;

/// Where a page ended. Opaque to whoever asks: its text is not to be made, only given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The column that orders, by the position in its kind's list.
    pub(super) order: Order,
    pub(super) descending: bool,
    pub(super) key: Key,
    pub(super) id: Uuid,
}

/// What an order goes by: the column's tag, which never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order(pub(super) u8);

/// The value by which the last match stood where it did.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// The identifier alone orders.
    None,
    Text(String),
    Int(i64),
}

/// The first byte: the form of the rest.
const FORM: u8 = 1;
/// A key is at most 1 KiB; base64 makes it a third longer.
const MAX_TEXT: usize = 2_048;

impl Cursor {
    /// Reads the text of a cursor.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is none.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::invalid("cursor", "is not one that was given out here");
        if text.len() > MAX_TEXT {
            return Err(wrong());
        }
        let bytes = base64url::decode(text).ok().ok_or_else(wrong)?;
        let (head, rest) = bytes.split_first_chunk::<4>().ok_or_else(wrong)?;
        let (id, key) = rest.split_first_chunk::<16>().ok_or_else(wrong)?;
        let [FORM, order, descending @ (0 | 1), kind] = *head else { return Err(wrong()) };
        let key = match (kind, key) {
            (0, []) => Key::None,
            (1, text) => Key::Text(String::from_utf8(text.to_vec()).map_err(|_| wrong())?),
            (2, number) => Key::Int(i64::from_be_bytes(number.try_into().map_err(|_| wrong())?)),
            _ => return Err(wrong()),
        };
        if matches!(&key, Key::Text(text) if text.contains('\0')) {
            return Err(wrong());
        }
        Ok(Self { order: Order(order), descending: descending == 1, key, id: Uuid::from_bytes(*id) })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, key) = match &self.key {
            Key::None => (0, Vec::new()),
            Key::Text(text) => (1, text.as_bytes().to_vec()),
            Key::Int(number) => (2, number.to_be_bytes().to_vec()),
        };
        let head = [FORM, self.order.0, u8::from(self.descending), kind];
        let bytes = [head.as_slice(), self.id.as_bytes(), &key].concat();
        f.write_str(&base64url::encode(bytes))
    }
}

impl std::str::FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in ["", "a", "AQ", "%", "AQAAAA", &"A".repeat(3_000), "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(matches!(Cursor::parse(text), Err(Error::Invalid { field: "cursor", .. })), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_cursor_reads_back(order in 0_u8..20, descending: bool, text in "[^\0]{0,40}", number: i64, kind in 0..3, id: u128) {
            let key = match kind { 0 => Key::None, 1 => Key::Text(text), _ => Key::Int(number) };
            let cursor = Cursor { order: Order(order), descending, key, id: Uuid::from_u128(id) };
            prop_assert_eq!(Cursor::parse(&cursor.to_string()).unwrap(), cursor);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[A-Za-z0-9_-]{0,60}|\\PC{0,20}") {
            let _ = Cursor::parse(&text);
        }
    }
}
