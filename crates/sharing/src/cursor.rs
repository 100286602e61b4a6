//! Where a page of resources ended.

use crate::Error;
use keyreeve_crypto::base64url;
use std::str::FromStr;

/// The longest text of a cursor.
const MAX_TEXT: usize = 65_536;

/// Where a page of resources ended: the resource, and those that were walked down to get there. Opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceCursor(Vec<i64>);

impl ResourceCursor {
    pub(crate) fn at(key: i64) -> Self {
        Self(vec![key])
    }

    pub(crate) fn path(keys: Vec<i64>) -> Self {
        Self(keys)
    }

    pub(crate) fn keys(&self) -> &[i64] {
        &self.0
    }

    pub(crate) fn last(&self) -> i64 {
        self.0.last().copied().unwrap_or(0)
    }
}

impl std::fmt::Display for ResourceCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Seven bits a byte, least first: keys are small numbers.
        let mut bytes = Vec::with_capacity(self.0.len().saturating_mul(4));
        for key in &self.0 {
            let mut rest = key.cast_unsigned();
            loop {
                let [low, ..] = rest.to_le_bytes();
                rest >>= 7;
                if rest == 0 {
                    bytes.push(low & 0x7f);
                    break;
                }
                bytes.push(low | 0x80);
            }
        }
        f.write_str(&base64url::encode(bytes))
    }
}

impl FromStr for ResourceCursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::invalid("cursor", "is not one that was given out here");
        if text.len() > MAX_TEXT {
            return Err(wrong());
        }
        let (mut keys, mut key, mut shift) = (Vec::new(), 0_u64, 0_u32);
        for byte in base64url::decode(text).map_err(|_| wrong())? {
            let bits = u64::from(byte & 0x7f).checked_shl(shift).ok_or_else(wrong)?;
            key |= bits;
            shift = shift.saturating_add(7);
            if byte & 0x80 == 0 {
                keys.push(i64::try_from(key).map_err(|_| wrong())?);
                (key, shift) = (0, 0);
            }
        }
        if shift != 0 || keys.is_empty() { Err(wrong()) } else { Ok(Self(keys)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_what_it_prints() {
        for keys in [vec![1], vec![0, 127, 128, 16_384, i64::MAX]] {
            let cursor = ResourceCursor(keys);
            assert_eq!(cursor.to_string().parse::<ResourceCursor>().unwrap(), cursor);
        }
        for bad in ["", "%", "gA", "____________________"] {
            assert!(bad.parse::<ResourceCursor>().is_err(), "{bad}");
        }
    }
}
