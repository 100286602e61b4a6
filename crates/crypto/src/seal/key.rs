//! Data keys, and the one construction that both they and the master key use.

use super::{MAX_PLAINTEXT_BYTES, SealError};
use crate::base64url;
use crate::digest::sha256_of_parts;
use crate::secret::SecretBytes;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk};
use keyreeve_base::World;
use std::fmt;
use zeroize::{Zeroize as _, Zeroizing};

pub(super) const KEY_BYTES: usize = 32;
const VERSION: u8 = 1;
const FINGERPRINT_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const HEADER_BYTES: usize = 1 + FINGERPRINT_BYTES + NONCE_BYTES;

/// What a key is used for. Part of every derivation, so that a value sealed for one use never opens in another.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// The master key, wrapping data keys.
    Wrap,
    /// A data key, sealing values.
    Value,
    /// A data key, sealing texts that travel through a browser.
    Text,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Wrap => b"keyreeve seal v1 wrap",
            Self::Value => b"keyreeve seal v1 value",
            Self::Text => b"keyreeve seal v1 text",
        }
    }
}

/// The name of a key: 8 bytes that tell keys apart and give nothing of them away.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyFingerprint([u8; FINGERPRINT_BYTES]);

impl KeyFingerprint {
    pub(super) fn of(domain: &[u8], key: &[u8; KEY_BYTES]) -> Self {
        let digest = Zeroizing::new(sha256_of_parts(&[domain, key]));
        Self(digest.first_chunk().copied().unwrap_or_default())
    }

    /// The fingerprint with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; FINGERPRINT_BYTES]) -> Self {
        Self(bytes)
    }

    /// The 8 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; FINGERPRINT_BYTES] {
        &self.0
    }
}

impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The key that a sealed value or a wrapped data key names.
///
/// # Errors
/// [`SealError::Malformed`] or [`SealError::UnsupportedVersion`].
pub fn sealing_key(sealed: &[u8]) -> Result<KeyFingerprint, SealError> {
    Sealed::parse(sealed).map(|sealed| sealed.key)
}

/// A sealed value, taken apart.
struct Sealed<'a> {
    key: KeyFingerprint,
    nonce: &'a [u8; NONCE_BYTES],
    header: &'a [u8],
    body: &'a [u8],
}

impl<'a> Sealed<'a> {
    fn parse(sealed: &'a [u8]) -> Result<Self, SealError> {
        let (version, rest) = sealed.split_first().ok_or(SealError::Malformed)?;
        if *version != VERSION {
            return Err(SealError::UnsupportedVersion(*version));
        }
        let (key, rest) = rest.split_first_chunk().ok_or(SealError::Malformed)?;
        let (nonce, body) = rest.split_first_chunk().ok_or(SealError::Malformed)?;
        let header = sealed.get(..HEADER_BYTES).ok_or(SealError::Malformed)?;
        if body.len() < TAG_BYTES {
            return Err(SealError::Malformed);
        }
        Ok(Self { key: KeyFingerprint(*key), nonce, header, body })
    }
}

/// 256 random bits and the sealing that they do. Wiped when dropped.
pub(super) struct RawKey {
    pub(super) bytes: Zeroizing<[u8; KEY_BYTES]>,
    pub(super) fingerprint: KeyFingerprint,
    /// The key as HKDF wants it; the library wipes it.
    expand: Prk,
}

impl RawKey {
    pub(super) fn new(domain: &[u8], bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let fingerprint = KeyFingerprint::of(domain, &bytes);
        let expand = Prk::new_less_safe(HKDF_SHA256, &*bytes);
        Self { bytes, fingerprint, expand }
    }

    /// The key of one message, and its nonce.
    fn message_key(
        &self,
        purpose: Purpose,
        nonce: &[u8; NONCE_BYTES],
    ) -> Result<(LessSafeKey, Nonce), SealError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        self.expand
            .expand(&[purpose.label(), nonce], HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut *key))
            .map_err(|_| SealError::Library)?;
        let gcm_nonce = nonce.last_chunk().copied().ok_or(SealError::Library)?;
        let key = UnboundKey::new(&AES_256_GCM, &*key).map_err(|_| SealError::Library)?;
        Ok((LessSafeKey::new(key), Nonce::assume_unique_for_key(gcm_nonce)))
    }

    pub(super) fn seal(
        &self,
        world: &World,
        purpose: Purpose,
        plaintext: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        if plaintext.len() > MAX_PLAINTEXT_BYTES {
            return Err(SealError::TooLong);
        }
        let nonce = world.random_bytes::<NONCE_BYTES>();
        let (key, gcm_nonce) = self.message_key(purpose, &nonce)?;
        // Room for everything at once: growing would leave plaintext behind.
        let mut sealed =
            Vec::with_capacity(HEADER_BYTES.saturating_add(plaintext.len()).saturating_add(TAG_BYTES));
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.fingerprint.0);
        sealed.extend_from_slice(&nonce);
        let aad = full_aad(&sealed, aad);
        sealed.extend_from_slice(plaintext);
        let body = sealed.get_mut(HEADER_BYTES..).unwrap_or_default();
        match key.seal_in_place_separate_tag(gcm_nonce, Aad::from(aad), body) {
            Ok(tag) => {
                sealed.extend_from_slice(tag.as_ref());
                Ok(sealed)
            }
            Err(_) => {
                sealed.zeroize();
                Err(SealError::Library)
            }
        }
    }

    pub(super) fn open(&self, purpose: Purpose, sealed: &[u8], aad: &[u8]) -> Result<SecretBytes, SealError> {
        let sealed = Sealed::parse(sealed)?;
        if sealed.key != self.fingerprint {
            return Err(SealError::OtherKey { needed: sealed.key, given: self.fingerprint });
        }
        let (key, gcm_nonce) = self.message_key(purpose, sealed.nonce)?;
        let mut body = Zeroizing::new(sealed.body.to_vec());
        let length = key
            .open_in_place(gcm_nonce, Aad::from(full_aad(sealed.header, aad)), &mut body)
            .map_err(|_| SealError::Refused)?
            .len();
        body.truncate(length);
        Ok(SecretBytes::from(std::mem::take(&mut *body)))
    }
}

/// The header is of fixed length, so what follows it needs no separator.
fn full_aad(header: &[u8], aad: &[u8]) -> Vec<u8> {
    [header, aad].concat()
}

/// A key that seals values; each tenant has its own. Stored only as [`super::MasterKey::wrap`] writes it.
pub struct DataKey(pub(super) RawKey);

impl DataKey {
    pub(super) fn from_raw(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(RawKey::new(b"keyreeve data key id v1\0", bytes))
    }

    /// A new key.
    #[must_use]
    pub fn generate(world: &World) -> Self {
        Self::from_raw(Zeroizing::new(world.random_bytes()))
    }

    /// The key's name, which every value it seals bears.
    #[must_use]
    pub const fn fingerprint(&self) -> KeyFingerprint {
        self.0.fingerprint
    }

    /// `plaintext` sealed, bound to `aad` (see [`super::aad`]); 49 bytes longer.
    ///
    /// # Errors
    /// [`SealError::TooLong`] or [`SealError::Library`].
    pub fn seal(&self, world: &World, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
        self.0.seal(world, Purpose::Value, plaintext, aad)
    }

    /// What [`DataKey::seal`] sealed.
    ///
    /// # Errors
    /// [`SealError`], every variant but `TooLong` and `UnknownMasterKey`.
    pub fn open(&self, sealed: &[u8], aad: &[u8]) -> Result<SecretBytes, SealError> {
        self.0.open(Purpose::Value, sealed, aad)
    }

    /// `plaintext` sealed as base64url text, for state that travels through the browser. It cannot be read or
    /// changed there, but it can be sent again: put a time and what it belongs to into it or into `aad`.
    ///
    /// # Errors
    /// [`SealError::TooLong`] or [`SealError::Library`].
    pub fn seal_text(&self, world: &World, plaintext: &[u8], aad: &[u8]) -> Result<String, SealError> {
        self.0.seal(world, Purpose::Text, plaintext, aad).map(base64url::encode)
    }

    /// What [`DataKey::seal_text`] sealed.
    ///
    /// # Errors
    /// [`SealError`], every variant but `TooLong` and `UnknownMasterKey`.
    pub fn open_text(&self, sealed: &str, aad: &[u8]) -> Result<SecretBytes, SealError> {
        let sealed = base64url::decode(sealed).map_err(|_| SealError::Malformed)?;
        self.0.open(Purpose::Text, &sealed, aad)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({})", self.0.fingerprint)
    }
}
