//! Keys of one value each.

use super::key::KEY_BYTES;
use super::{MAX_PLAINTEXT_BYTES, SealError};
use crate::secret::SecretBytes;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use keyreeve_base::World;
use zeroize::{Zeroize as _, Zeroizing};

const VERSION: u8 = 2;
const TAG_BYTES: usize = 16;

/// A key that seals one value and no other, to be kept sealed itself, under a data key: whoever exchanges that one wraps
/// 32 bytes anew, however long the value is. Since it never seals twice (it is used up by sealing), its nonce is
/// nought, and nothing is derived.
///
/// Layout of what it seals: `02 | ciphertext | tag (16)`.
pub struct ValueKey(Zeroizing<[u8; KEY_BYTES]>);

impl ValueKey {
    /// A new key.
    #[must_use]
    pub fn generate(world: &World) -> Self {
        Self(Zeroizing::new(world.random_bytes()))
    }

    /// The key with these bytes, to open what it sealed.
    ///
    /// # Errors
    /// [`SealError::Malformed`] for any other number of them than 32.
    pub fn from_bytes(bytes: &SecretBytes) -> Result<Self, SealError> {
        let bytes: &[u8; KEY_BYTES] = bytes.expose().try_into().map_err(|_| SealError::Malformed)?;
        Ok(Self(Zeroizing::new(*bytes)))
    }

    fn cipher(&self) -> Result<(LessSafeKey, Nonce), SealError> {
        let key = UnboundKey::new(&AES_256_GCM, &*self.0).map_err(|_| SealError::Library)?;
        Ok((LessSafeKey::new(key), Nonce::assume_unique_for_key([0; 12])))
    }

    /// `plaintext` sealed, bound to `aad` (see [`super::aad`]), and the bytes of the key, to be sealed in turn.
    ///
    /// # Errors
    /// [`SealError::TooLong`] or [`SealError::Library`].
    pub fn seal(self, plaintext: &[u8], aad: &[u8]) -> Result<(Vec<u8>, SecretBytes), SealError> {
        if plaintext.len() > MAX_PLAINTEXT_BYTES {
            return Err(SealError::TooLong);
        }
        let (key, nonce) = self.cipher()?;
        let mut sealed = Vec::with_capacity(plaintext.len().saturating_add(1 + TAG_BYTES));
        sealed.push(VERSION);
        sealed.extend_from_slice(plaintext);
        let body = sealed.get_mut(1..).unwrap_or_default();
        match key.seal_in_place_separate_tag(nonce, Aad::from(aad), body) {
            Ok(tag) => {
                sealed.extend_from_slice(tag.as_ref());
                Ok((sealed, SecretBytes::from(self.0.to_vec())))
            }
            Err(_) => {
                sealed.zeroize();
                Err(SealError::Library)
            }
        }
    }

    /// What this key sealed.
    ///
    /// # Errors
    /// [`SealError::Malformed`], [`SealError::UnsupportedVersion`]; [`SealError::Refused`] for what was changed or moved.
    pub fn open(&self, sealed: &[u8], aad: &[u8]) -> Result<SecretBytes, SealError> {
        let (version, body) = sealed.split_first().ok_or(SealError::Malformed)?;
        if *version != VERSION {
            return Err(SealError::UnsupportedVersion(*version));
        }
        let (key, nonce) = self.cipher()?;
        let mut body = Zeroizing::new(body.to_vec());
        let length =
            key.open_in_place(nonce, Aad::from(aad), &mut body).map_err(|_| SealError::Refused)?.len();
        body.truncate(length);
        Ok(SecretBytes::from(std::mem::take(&mut *body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;
    use keyreeve_base::SystemClock;
    use std::sync::Arc;

    #[test]
    fn a_value_opens_whole_in_its_place_alone() {
        let world = World::new(Arc::new(SystemClock), Arc::new(SystemRandom));
        let (sealed, key) = ValueKey::generate(&world).seal(b"hunter2", b"here").unwrap();
        let key = ValueKey::from_bytes(&key).unwrap();
        assert_eq!(key.open(&sealed, b"here").unwrap().expose(), b"hunter2");
        assert_eq!(key.open(&sealed, b"there").err(), Some(SealError::Refused));
        for (place, bit) in (0..sealed.len()).flat_map(|place| (0..8).map(move |bit| (place, bit))) {
            let mut flipped = sealed.clone();
            flipped[place] ^= 1 << bit;
            assert!(key.open(&flipped, b"here").is_err(), "bit {bit} of byte {place}");
        }
        for short in 0..sealed.len() {
            assert!(key.open(&sealed[..short], b"here").is_err());
        }
        assert!(ValueKey::from_bytes(&SecretBytes::from(vec![0; 31])).is_err());
    }
}
