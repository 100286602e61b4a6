//! The encoding of SSH (RFC 4251 section 5): big-endian integers, strings with their length before them.

use zeroize::Zeroizing;

/// The bytes end too early, or a field is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotSsh;

/// Reads one field after the other; never beyond its slice.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], NotSsh> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(NotSsh)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, NotSsh> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, NotSsh> {
        self.array().map(u64::from_be_bytes)
    }

    /// A string of bytes.
    pub(crate) fn string(&mut self) -> Result<&'a [u8], NotSsh> {
        let length = usize::try_from(self.u32()?).map_err(|_| NotSsh)?;
        let (head, rest) = self.rest.split_at_checked(length).ok_or(NotSsh)?;
        self.rest = rest;
        Ok(head)
    }

    /// A string that is UTF-8.
    pub(crate) fn text(&mut self) -> Result<&'a str, NotSsh> {
        std::str::from_utf8(self.string()?).map_err(|_| NotSsh)
    }

    /// The magnitude of an `mpint` that is positive and written as short as it can be, without leading zeros.
    pub(crate) fn positive(&mut self) -> Result<&'a [u8], NotSsh> {
        match self.string()? {
            [0, rest @ ..] if rest.first().is_some_and(|&first| first >= 0x80) => Ok(rest),
            bytes if bytes.first().is_some_and(|&first| (1..0x80).contains(&first)) => Ok(bytes),
            _ => Err(NotSsh),
        }
    }

    /// What follows a fixed beginning.
    pub(crate) fn skip(&mut self, beginning: &[u8]) -> Result<(), NotSsh> {
        self.rest = self.rest.strip_prefix(beginning).ok_or(NotSsh)?;
        Ok(())
    }
}

/// Writes one field after the other, into memory that is wiped.
pub(crate) struct Writer {
    bytes: Zeroizing<Vec<u8>>,
}

impl Writer {
    /// Room for `capacity` bytes; secrets are written into enough, so that growing leaves no copy behind.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Zeroizing::new(Vec::with_capacity(capacity)) }
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u32(&mut self, number: u32) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    pub(crate) fn u64(&mut self, number: u64) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    /// A string. Nothing that is written here comes near 4 GiB: whatever is taken in has its bound.
    pub(crate) fn string(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX)).raw(bytes)
    }

    /// An `mpint` of this magnitude, which has no leading zeros.
    pub(crate) fn positive(&mut self, magnitude: &[u8]) -> &mut Self {
        if magnitude.first().is_some_and(|&first| first >= 0x80) {
            let length = u32::try_from(magnitude.len()).unwrap_or(u32::MAX).saturating_add(1);
            return self.u32(length).raw(&[0]).raw(magnitude);
        }
        self.string(magnitude)
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(text in ".{0,40}", number: u64, magnitude in proptest::collection::vec(any::<u8>(), 1..80)) {
            let magnitude = crate::key::der::trim(&magnitude);
            let mut writer = Writer::with_capacity(0);
            writer.string(text.as_bytes()).u64(number).positive(magnitude);
            let mut reader = Reader::new(writer.as_slice());
            prop_assert_eq!(reader.text(), Ok(text.as_str()));
            prop_assert_eq!(reader.u64(), Ok(number));
            if !magnitude.is_empty() {
                prop_assert_eq!(reader.positive(), Ok(magnitude));
                prop_assert!(reader.is_empty());
            }
        }
    }

    #[test]
    fn numbers_are_read_in_one_form_only() {
        for bytes in
            [&[0, 0, 0, 0][..], &[0, 0, 0, 1, 0], &[0, 0, 0, 1, 0x80], &[0, 0, 0, 2, 0, 1], &[0, 0, 0, 2, 1]]
        {
            assert_eq!(Reader::new(bytes).positive(), Err(NotSsh), "{bytes:?}");
        }
        assert_eq!(Reader::new(&[0, 0, 0, 2, 0, 0x80]).positive(), Ok(&[0x80][..]));
    }
}
