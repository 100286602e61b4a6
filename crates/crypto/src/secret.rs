//! Values that must not outlive their use: they are wiped when dropped, print nothing, and cannot be copied by
//! accident. Whoever needs the content says so with `expose`.

use std::fmt;
use zeroize::{Zeroize as _, Zeroizing};

/// A secret text (password, client secret, one-time code). Wiped when dropped.
///
/// It can be read from JSON or a form (`Deserialize`) but not written to one. What the parser held before is the
/// parser's to forget.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret that is `text`. The caller's own copy, if it keeps one, is not wiped.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The content. Do not store, log or format it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A second copy, made on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::new(self.expose())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// Secret bytes (private keys, opened values). Wiped when dropped.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// The content. Do not store, log or format it.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same secret as text.
    ///
    /// # Errors
    /// [`NotText`] when the bytes are not UTF-8; they are wiped then.
    pub fn into_text(mut self) -> Result<Secret, NotText> {
        match String::from_utf8(std::mem::take(&mut *self.0)) {
            Ok(text) => Ok(Secret::from(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(NotText)
            }
        }
    }
}

/// The secret bytes are not UTF-8 text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret is not text")]
pub struct NotText;

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_secret_is_printed() {
        let text = format!("{:?} {:?}", Secret::new("hunter2"), SecretBytes::from(b"hunter2".to_vec()));
        assert_eq!(text, "Secret(…) SecretBytes(7 bytes)");
    }

    #[test]
    fn secrets_wipe_themselves() {
        // The fields' own types do it when dropped; this fails to compile when they change to ones that do not.
        fn wipes<T: zeroize::ZeroizeOnDrop>(_: &T) {}
        wipes(&Secret::new("x").0);
        wipes(&SecretBytes::from(vec![1]).0);
        assert!(std::mem::needs_drop::<Secret>() && std::mem::needs_drop::<SecretBytes>());
    }

    #[test]
    fn bytes_become_text_only_when_they_are() {
        assert_eq!(SecretBytes::from(b"abc".to_vec()).into_text().unwrap().expose(), "abc");
        assert_eq!(SecretBytes::from(vec![0xff]).into_text().err(), Some(NotText));
    }
}
