//! Key pairs of SSH, and the file format of their private half (OpenSSH's PROTOCOL.key).

use super::public::{SshKeyType, SshPublicKey, check_comment};
use super::wire::{Reader, Writer};
use crate::key::{KeyError, KeyPair, KeyType, NewKey, pem, rsa};
use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use keyreeve_base::World;
use keyreeve_crypto::{Secret, SecretBytes};
use zeroize::Zeroizing;

const MAGIC: &[u8] = b"openssh-key-v1\0";
const LABEL: &str = "OPENSSH PRIVATE KEY";
/// What `ssh-keygen` takes by default.
const NEW_ROUNDS: u32 = 24;
/// The most rounds of a passphrase that are computed for a key that somebody brings: about a second.
pub const MAX_ROUNDS: u32 = 1024;
/// Enough for the private fields of every key that is supported, its comment and its padding.
const PRIVATE_CAPACITY: usize = 16 * 1024;
const AES_BLOCK: usize = 16;

/// A key pair with its comment. It prints nothing.
pub struct SshKeyPair {
    key: KeyPair,
    comment: String,
}

impl SshKeyPair {
    /// A new key pair (see [`KeyPair::generate`]).
    ///
    /// # Errors
    /// [`KeyError`]: the comment cannot be one, or the library failed.
    pub fn generate(kind: NewKey, comment: &str) -> Result<Self, KeyError> {
        Self::new(KeyPair::generate(kind)?, comment)
    }

    /// A key pair that is there already.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when the comment is too long or has control characters.
    pub fn new(key: KeyPair, comment: &str) -> Result<Self, KeyError> {
        check_comment(comment)?;
        Ok(Self { key, comment: comment.to_owned() })
    }

    /// Reads a private key in OpenSSH's own format, or in PEM as [`KeyPair::from_pem`] reads it. A passphrase is used
    /// when the key is encrypted, which can take a second: off the async threads with it. One that is not needed is
    /// passed over.
    ///
    /// # Errors
    /// [`KeyError`]: the text is no such key, its halves do not belong together, it is weak, of a kind that is not
    /// supported, or not opened by the passphrase.
    pub fn import(text: &Secret, passphrase: Option<&Secret>) -> Result<Self, KeyError> {
        let mut blocks = pem::parse(text.expose())?.into_iter().filter(|block| block.label == LABEL);
        match (blocks.next(), blocks.next()) {
            (None, _) => Self::new(KeyPair::from_pem(text.expose())?, ""),
            (Some(block), None) => decode(block.bytes.expose(), passphrase),
            (Some(_), Some(_)) => Err(KeyError::Several),
        }
    }

    /// Refuses when a public key that was given along is another one.
    ///
    /// # Errors
    /// [`KeyError::Mismatch`].
    pub fn check_public(&self, public: &SshPublicKey) -> Result<(), KeyError> {
        if self.public().same_key(public) { Ok(()) } else { Err(KeyError::Mismatch) }
    }

    /// The public half, with the comment.
    #[must_use]
    pub fn public(&self) -> SshPublicKey {
        let key = SshPublicKey::of(self.key.public());
        // The comment was checked when the pair was made.
        key.clone().with_comment(&self.comment).unwrap_or(key)
    }

    /// The key pair, for what is not SSH.
    #[must_use]
    pub const fn key(&self) -> &KeyPair {
        &self.key
    }

    /// The private key in OpenSSH's format; under a passphrase with AES-256 in counter mode and bcrypt-pbkdf, as
    /// `ssh-keygen` does it.
    ///
    /// # Errors
    /// [`KeyError::EmptyPassphrase`], [`KeyError::Library`].
    pub fn to_openssh(&self, world: &World, passphrase: Option<&Secret>) -> Result<Secret, KeyError> {
        let cipher = if passphrase.is_some() { Cipher::Ctr(&AES_256, 32) } else { Cipher::None };
        let mut private = self.private_fields(world)?;
        let block = if passphrase.is_some() { AES_BLOCK } else { 8 };
        for (_, padding) in (0..(block - private.len() % block) % block).zip(1_u8..) {
            private.raw(&[padding]);
        }
        let mut private = private.into_bytes();
        let mut options = Writer::with_capacity(32);
        if let Some(passphrase) = passphrase {
            let salt = world.random_bytes::<16>();
            options.string(&salt).u32(NEW_ROUNDS);
            cipher.apply(&cipher.derive(passphrase, &salt, NEW_ROUNDS)?, &mut private, false)?;
        }
        let mut out = Writer::with_capacity(PRIVATE_CAPACITY * 2);
        out.raw(MAGIC)
            .string(cipher.name().as_bytes())
            .string(if passphrase.is_some() { b"bcrypt" } else { b"none" })
            .string(options.as_slice())
            .u32(1)
            .string(self.public().blob())
            .string(&private);
        Ok(pem::encode(LABEL, out.as_slice()))
    }

    fn private_fields(&self, world: &World) -> Result<Writer, KeyError> {
        let mut out = Writer::with_capacity(PRIVATE_CAPACITY);
        let check = u32::from_be_bytes(world.random_bytes());
        let public = self.public();
        out.u32(check).u32(check).string(public.key_type().as_str().as_bytes());
        let scalar = self.key.scalar()?;
        let raw = self.key.public().raw();
        match (self.key.public().key_type(), scalar) {
            (KeyType::Ed25519, Some(seed)) => {
                let mut both = Zeroizing::new(Vec::with_capacity(64));
                both.extend_from_slice(seed.expose());
                both.extend_from_slice(raw);
                out.string(raw).string(&both);
            }
            (KeyType::EcdsaP256 | KeyType::EcdsaP384, Some(scalar)) => {
                out.raw(public.fields()).positive(crate::key::der::trim(scalar.expose()));
            }
            (KeyType::Rsa, _) => {
                let pkcs8 = self.key.to_pkcs8()?;
                let numbers = rsa::Numbers::of_pkcs8(pkcs8.expose())?;
                out.positive(numbers.modulus)
                    .positive(numbers.public_exponent)
                    .positive(numbers.private_exponent)
                    .positive(numbers.coefficient)
                    .positive(numbers.p)
                    .positive(numbers.q);
            }
            (_, None) => return Err(KeyError::Library),
        }
        out.string(self.comment.as_bytes());
        Ok(out)
    }
}

/// Reads the bytes of an `OPENSSH PRIVATE KEY`.
fn decode(bytes: &[u8], passphrase: Option<&Secret>) -> Result<SshKeyPair, KeyError> {
    let mut outer = Reader::new(bytes);
    outer.skip(MAGIC)?;
    let cipher = Cipher::named(outer.text()?)?;
    let derivation = outer.text()?;
    let options = outer.string()?;
    if outer.u32()? != 1 {
        return Err(KeyError::Several);
    }
    let public = SshPublicKey::from_blob(outer.string()?)?;
    let mut private = Zeroizing::new(outer.string()?.to_vec());
    if !outer.is_empty() {
        return Err(KeyError::Malformed("something follows the key"));
    }
    let encrypted = !matches!(cipher, Cipher::None);
    match (encrypted, derivation) {
        (false, "none") => {}
        (true, "bcrypt") => {
            let passphrase = passphrase.ok_or(KeyError::Encrypted)?;
            let mut options = Reader::new(options);
            let (salt, rounds) = (options.string()?, options.u32()?);
            if salt.is_empty() || rounds == 0 || !options.is_empty() || private.len() % AES_BLOCK != 0 {
                return Err(KeyError::Malformed("its encryption does not hold together"));
            }
            if rounds > MAX_ROUNDS {
                return Err(KeyError::EncryptedForm("more than 1024 rounds"));
            }
            if passphrase.is_empty() {
                return Err(KeyError::Passphrase);
            }
            cipher.apply(&cipher.derive(passphrase, salt, rounds)?, &mut private, true)?;
        }
        _ => return Err(KeyError::Malformed("its encryption does not hold together")),
    }
    let mut fields = Reader::new(&private);
    if fields.u32()? != fields.u32()? {
        return Err(if encrypted {
            KeyError::Passphrase
        } else {
            KeyError::Malformed("its check numbers differ")
        });
    }
    let pair = decode_private(&mut fields)?;
    if !fields.rest().iter().copied().eq((1_u8..).take(fields.rest().len()))
        || fields.rest().len() >= AES_BLOCK
    {
        return Err(KeyError::Malformed("its padding is not 1, 2, 3, …"));
    }
    pair.check_public(&public)?;
    Ok(pair)
}

fn decode_private(fields: &mut Reader<'_>) -> Result<SshKeyPair, KeyError> {
    let name = fields.text()?;
    let key = match name {
        "ssh-ed25519" => {
            let (public, both) = (fields.string()?, fields.string()?);
            let (seed, repeated) =
                both.split_at_checked(32).ok_or(KeyError::Malformed("it has not 64 bytes"))?;
            if repeated != public {
                return Err(KeyError::Mismatch);
            }
            KeyPair::from_ed25519_parts(seed, public)?
        }
        "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" => {
            let p256 = name == SshKeyType::EcdsaP256.as_str();
            let (curve, named): (_, &[u8]) =
                if p256 { (KeyType::EcdsaP256, b"nistp256") } else { (KeyType::EcdsaP384, b"nistp384") };
            if fields.string()? != named {
                return Err(KeyError::Malformed("it names another curve than its type"));
            }
            let (point, scalar) = (fields.string()?, fields.positive()?);
            KeyPair::from_ecdsa_parts(curve, scalar, point)?
        }
        "ssh-rsa" => rsa::Numbers {
            modulus: fields.positive()?,
            public_exponent: fields.positive()?,
            private_exponent: fields.positive()?,
            coefficient: fields.positive()?,
            p: fields.positive()?,
            q: fields.positive()?,
        }
        .key_pair()?,
        "ssh-dss" => return Err(KeyError::Dsa),
        other => return Err(KeyError::Unsupported(other.chars().take(40).collect())),
    };
    SshKeyPair::new(key, fields.text()?)
}

/// The ciphers of private keys that `ssh-keygen` has written by default, and their siblings.
#[derive(Clone, Copy)]
enum Cipher {
    None,
    Ctr(&'static Algorithm, usize),
    Cbc(&'static Algorithm, usize),
}

impl Cipher {
    fn named(name: &str) -> Result<Self, KeyError> {
        match name {
            "none" => Ok(Self::None),
            "aes128-ctr" => Ok(Self::Ctr(&AES_128, 16)),
            "aes192-ctr" => Ok(Self::Ctr(&AES_192, 24)),
            "aes256-ctr" => Ok(Self::Ctr(&AES_256, 32)),
            "aes128-cbc" => Ok(Self::Cbc(&AES_128, 16)),
            "aes192-cbc" => Ok(Self::Cbc(&AES_192, 24)),
            "aes256-cbc" => Ok(Self::Cbc(&AES_256, 32)),
            _ => Err(KeyError::EncryptedForm("a cipher other than AES in counter or CBC mode")),
        }
    }

    /// The name of what is written.
    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ctr(..) | Self::Cbc(..) => "aes256-ctr",
        }
    }

    /// The key and the initial vector behind it.
    fn derive(self, passphrase: &Secret, salt: &[u8], rounds: u32) -> Result<SecretBytes, KeyError> {
        let (Self::Ctr(_, length) | Self::Cbc(_, length)) = self else { return Err(KeyError::Library) };
        if passphrase.is_empty() {
            return Err(KeyError::EmptyPassphrase);
        }
        let mut out = vec![0; length + AES_BLOCK];
        let mut memory = Zeroizing::new([0_u8; 64]);
        bcrypt_pbkdf::bcrypt_pbkdf_with_memory(passphrase.expose(), salt, rounds, &mut out, memory.as_mut())
            .map_err(|_| KeyError::Library)?;
        Ok(out.into())
    }

    /// Encrypts or decrypts in place; the length is a multiple of a block.
    fn apply(self, derived: &SecretBytes, bytes: &mut [u8], decrypt: bool) -> Result<(), KeyError> {
        let library = |_| KeyError::Library;
        let (Self::Ctr(algorithm, length) | Self::Cbc(algorithm, length)) = self else { return Ok(()) };
        let (key, iv) = derived.expose().split_at_checked(length).ok_or(KeyError::Library)?;
        let iv: [u8; AES_BLOCK] = iv.try_into().map_err(|_| KeyError::Library)?;
        let (key, iv) = (UnboundCipherKey::new(algorithm, key).map_err(library)?, FixedLength::from(iv));
        match self {
            Self::Cbc(..) if decrypt => {
                let key = DecryptingKey::cbc(key).map_err(library)?;
                key.decrypt(bytes, DecryptionContext::Iv128(iv)).map_err(library)?;
            }
            Self::None | Self::Ctr(..) | Self::Cbc(..) => {
                // In counter mode decrypting is encrypting; CBC is never written.
                let key = EncryptingKey::ctr(key).map_err(library)?;
                key.less_safe_encrypt(bytes, EncryptionContext::Iv128(iv)).map_err(library)?;
            }
        }
        Ok(())
    }
}
