//! As much of DER (ITU-T X.690) as private keys, public keys and ECDSA signatures need: definite lengths, low tags.

use zeroize::Zeroizing;

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;

/// The bytes are not the DER that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotDer;

/// Reads one element after the other; never beyond its slice.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], NotDer> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(NotDer)?;
        self.rest = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, NotDer> {
        self.take(1)?.first().copied().ok_or(NotDer)
    }

    /// The next element's tag and content.
    pub(crate) fn element(&mut self) -> Result<(u8, &'a [u8]), NotDer> {
        let tag = self.byte()?;
        let first = self.byte()?;
        let length = match first {
            0..=0x7f => usize::from(first),
            // Four bytes of length are more than any input that is read here has.
            0x81..=0x84 => self
                .take(usize::from(first & 0x7f))?
                .iter()
                .fold(0, |length, &byte| (length << 8) | usize::from(byte)),
            _ => return Err(NotDer),
        };
        Ok((tag, self.take(length)?))
    }

    /// The content of the next element, which must have this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<&'a [u8], NotDer> {
        match self.element()? {
            (found, content) if found == tag => Ok(content),
            _ => Err(NotDer),
        }
    }

    /// A reader of the content of the next element, a SEQUENCE.
    pub(crate) fn sequence(&mut self) -> Result<Self, NotDer> {
        self.expect(SEQUENCE).map(Self::new)
    }

    /// The magnitude of the next element, an INTEGER that is not negative, without leading zeros.
    pub(crate) fn unsigned(&mut self) -> Result<&'a [u8], NotDer> {
        let content = self.expect(INTEGER)?;
        if content.first().is_none_or(|&first| first >= 0x80) {
            return Err(NotDer);
        }
        Ok(trim(content))
    }
}

/// `bytes` without leading zeros.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// One element.
pub(crate) fn element(tag: u8, content: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(content.len() + 6));
    out.push(tag);
    let length = content.len().to_be_bytes();
    let length = trim(&length);
    match length {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            // A usize has eight bytes at most.
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(content);
    out
}

/// A SEQUENCE of `parts`, each an element already.
pub(crate) fn sequence(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    element(SEQUENCE, &Zeroizing::new(parts.concat()))
}

/// An INTEGER of this magnitude.
pub(crate) fn unsigned(magnitude: &[u8]) -> Zeroizing<Vec<u8>> {
    let magnitude = trim(magnitude);
    let mut content = Zeroizing::new(Vec::with_capacity(magnitude.len() + 1));
    if magnitude.first().is_none_or(|&first| first >= 0x80) {
        content.push(0);
    }
    content.extend_from_slice(magnitude);
    element(INTEGER, &content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_definite_and_shortest() {
        assert_eq!(element(OCTET_STRING, &[]).as_slice(), [4, 0]);
        assert_eq!(element(OCTET_STRING, &[7; 127]).get(..3), Some(&[4, 127, 7][..]));
        assert_eq!(element(OCTET_STRING, &[7; 128]).get(..4), Some(&[4, 0x81, 128, 7][..]));
        assert_eq!(element(OCTET_STRING, &[7; 256]).get(..5), Some(&[4, 0x82, 1, 0, 7][..]));
        assert_eq!(unsigned(&[0, 0, 0x80]).as_slice(), [2, 2, 0, 0x80]);
        assert_eq!(unsigned(&[]).as_slice(), [2, 1, 0]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number in proptest::collection::vec(any::<u8>(), 0..300)) {
            let written = sequence(&[&unsigned(&number)]);
            let mut inner = Reader::new(&written).sequence().unwrap();
            prop_assert_eq!(inner.unsigned().unwrap(), trim(&number));
            prop_assert!(inner.is_empty());
        }

        #[test]
        fn hostile_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            while reader.element().is_ok() {}
        }
    }
}
