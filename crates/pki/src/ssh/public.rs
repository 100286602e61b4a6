//! Public keys as SSH writes them (RFC 4253 section 6.6, RFC 5656, RFC 8709; OpenSSH's PROTOCOL.u2f for security keys).

use super::wire::{NotSsh, Reader, Writer};
use crate::key::{KeyError, KeyType, PublicKey, der, rsa};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use std::fmt;

/// The longest line that is read.
pub const MAX_LINE_BYTES: usize = 16 * 1024;
/// The longest comment.
pub const MAX_COMMENT_BYTES: usize = 1024;

/// The kinds of public key that are read. Key pairs are made of the first five without `P521`; the others can be given
/// certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SshKeyType {
    /// `ssh-ed25519`
    Ed25519,
    /// `ecdsa-sha2-nistp256`
    EcdsaP256,
    /// `ecdsa-sha2-nistp384`
    EcdsaP384,
    /// `ecdsa-sha2-nistp521`
    EcdsaP521,
    /// `ssh-rsa`
    Rsa,
    /// `sk-ssh-ed25519@openssh.com`: Ed25519 on a FIDO authenticator
    SkEd25519,
    /// `sk-ecdsa-sha2-nistp256@openssh.com`: ECDSA on a FIDO authenticator
    SkEcdsaP256,
}

impl SshKeyType {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Ed25519,
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::EcdsaP521,
        Self::Rsa,
        Self::SkEd25519,
        Self::SkEcdsaP256,
    ];

    /// The name that stands in a key.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
            Self::EcdsaP384 => "ecdsa-sha2-nistp384",
            Self::EcdsaP521 => "ecdsa-sha2-nistp521",
            Self::Rsa => "ssh-rsa",
            Self::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            Self::SkEcdsaP256 => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// The name that stands in a certificate of such a key.
    #[must_use]
    pub const fn certificate_name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519-cert-v01@openssh.com",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256-cert-v01@openssh.com",
            Self::EcdsaP384 => "ecdsa-sha2-nistp384-cert-v01@openssh.com",
            Self::EcdsaP521 => "ecdsa-sha2-nistp521-cert-v01@openssh.com",
            Self::Rsa => "ssh-rsa-cert-v01@openssh.com",
            Self::SkEd25519 => "sk-ssh-ed25519-cert-v01@openssh.com",
            Self::SkEcdsaP256 => "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        }
    }

    fn named(name: &str) -> Result<Self, KeyError> {
        if let Some(found) = Self::ALL.into_iter().find(|kind| kind.as_str() == name) {
            return Ok(found);
        }
        match name {
            "ssh-dss" => Err(KeyError::Dsa),
            _ if name.contains("-cert-v") => {
                Err(KeyError::Unsupported("a certificate, not a public key".to_owned()))
            }
            _ => Err(KeyError::Unsupported(name.chars().take(40).collect())),
        }
    }

    /// The curve's name inside the key, and the length of a coordinate in bytes.
    const fn curve(self) -> Option<(&'static [u8], usize)> {
        match self {
            Self::EcdsaP256 | Self::SkEcdsaP256 => Some((b"nistp256", 32)),
            Self::EcdsaP384 => Some((b"nistp384", 48)),
            Self::EcdsaP521 => Some((b"nistp521", 66)),
            Self::Ed25519 | Self::Rsa | Self::SkEd25519 => None,
        }
    }
}

/// A public key of SSH with its comment. It exists only well formed and strong enough.
#[derive(Clone, PartialEq, Eq)]
pub struct SshPublicKey {
    key_type: SshKeyType,
    /// The key with its type's name before it, as it stands in a line after Base64.
    blob: Vec<u8>,
    comment: String,
}

impl From<NotSsh> for KeyError {
    fn from(_: NotSsh) -> Self {
        Self::Malformed("its fields do not hold together")
    }
}

impl SshPublicKey {
    /// Reads a line as `authorized_keys` and `.pub` files have it, without options: type, Base64, comment.
    ///
    /// # Errors
    /// [`KeyError`]: no such line, of another kind, weak, or not a key.
    pub fn parse(line: &str) -> Result<Self, KeyError> {
        let line = line.trim();
        if line.len() > MAX_LINE_BYTES {
            return Err(KeyError::Malformed("its line is longer than 16 KiB"));
        }
        if line.lines().count() > 1 {
            return Err(KeyError::Malformed("it has more than one line"));
        }
        let mut fields = line.splitn(3, [' ', '\t']);
        let name = fields.next().filter(|name| !name.is_empty()).ok_or(KeyError::None("public key"))?;
        let key_type = SshKeyType::named(name)?;
        let base64 = fields.next().ok_or(KeyError::Malformed("nothing follows its type"))?;
        let blob = STANDARD
            .decode(base64)
            .map_err(|_| KeyError::Malformed("what follows its type is not Base64"))?;
        let key = Self::from_blob(&blob)?.with_comment(fields.next().unwrap_or_default().trim())?;
        if key.key_type != key_type {
            return Err(KeyError::Malformed("its line names another type than the key itself"));
        }
        Ok(key)
    }

    /// Reads a key from its bytes, the type's name first.
    ///
    /// # Errors
    /// [`KeyError`], as for [`SshPublicKey::parse`].
    pub fn from_blob(blob: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::new(blob);
        let key_type = SshKeyType::named(reader.text()?)?;
        Self::read(key_type, &mut reader).and_then(|key| {
            if reader.is_empty() { Ok(key) } else { Err(KeyError::Malformed("something follows the key")) }
        })
    }

    /// Reads the fields that follow the type's name, and leaves the reader behind them.
    pub(crate) fn read(key_type: SshKeyType, reader: &mut Reader<'_>) -> Result<Self, KeyError> {
        let mut blob = Writer::with_capacity(reader.rest().len().min(MAX_LINE_BYTES));
        blob.string(key_type.as_str().as_bytes());
        if let Some((name, length)) = key_type.curve() {
            if reader.string()? != name {
                return Err(KeyError::Malformed("it names another curve than its type"));
            }
            let point = reader.string()?;
            if point.first() != Some(&4) || point.len() != 1 + 2 * length {
                return Err(KeyError::Malformed("its point is not an uncompressed one of its curve"));
            }
            blob.string(name).string(point);
        } else if key_type == SshKeyType::Rsa {
            let (exponent, modulus) = (reader.positive()?, reader.positive()?);
            rsa::check_size(modulus)?;
            blob.positive(exponent).positive(modulus);
        } else {
            let point = reader.string()?;
            if point.len() != 32 {
                return Err(KeyError::Malformed("it has not 32 bytes"));
            }
            blob.string(point);
        }
        if matches!(key_type, SshKeyType::SkEd25519 | SshKeyType::SkEcdsaP256) {
            let application = reader.text()?;
            if application.len() > 256 {
                return Err(KeyError::Malformed("its application is longer than 256 bytes"));
            }
            blob.string(application.as_bytes());
        }
        let key = Self { key_type, blob: blob.as_slice().to_vec(), comment: String::new() };
        let (algorithm, numbers) = key.verifying(false)?;
        match UnparsedPublicKey::new(algorithm, numbers).parse() {
            Ok(_) => Ok(key),
            Err(_) => Err(KeyError::Malformed("its numbers are no key")),
        }
    }

    /// The same key as SSH writes it.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        let mut blob = Writer::with_capacity(key.raw().len() + 64);
        let key_type = match key.key_type() {
            KeyType::Ed25519 => SshKeyType::Ed25519,
            KeyType::EcdsaP256 => SshKeyType::EcdsaP256,
            KeyType::EcdsaP384 => SshKeyType::EcdsaP384,
            KeyType::Rsa => SshKeyType::Rsa,
        };
        blob.string(key_type.as_str().as_bytes());
        if let Some((name, _)) = key_type.curve() {
            blob.string(name).string(key.raw());
        } else if let Some((modulus, exponent)) = key.rsa_numbers().filter(|_| key_type == SshKeyType::Rsa) {
            blob.positive(exponent).positive(modulus);
        } else {
            blob.string(key.raw());
        }
        Self { key_type, blob: blob.as_slice().to_vec(), comment: String::new() }
    }

    /// The same key with another comment.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when the comment is longer than [`MAX_COMMENT_BYTES`] or has control characters.
    pub fn with_comment(mut self, comment: &str) -> Result<Self, KeyError> {
        check_comment(comment)?;
        comment.clone_into(&mut self.comment);
        Ok(self)
    }

    /// What it is.
    #[must_use]
    pub const fn key_type(&self) -> SshKeyType {
        self.key_type
    }

    /// The key's bytes, the type's name first.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The comment; empty when there is none.
    #[must_use]
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// Whether both are the same key, whatever their comments.
    #[must_use]
    pub fn same_key(&self, other: &Self) -> bool {
        self.blob == other.blob
    }

    /// `SHA256:` and the digest of the key in Base64, as `ssh-keygen -l` tells it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(keyreeve_crypto::sha256(&self.blob)))
    }

    /// The fields that follow the type's name.
    pub(crate) fn fields(&self) -> &[u8] {
        let mut reader = Reader::new(&self.blob);
        match reader.string() {
            Ok(_) => reader.rest(),
            Err(NotSsh) => &[],
        }
    }

    /// By which algorithm, and with which numbers, a signature of this key is verified.
    fn verifying(&self, sha256: bool) -> Result<(&'static dyn VerificationAlgorithm, Vec<u8>), KeyError> {
        let mut fields = Reader::new(self.fields());
        let algorithm: &'static dyn VerificationAlgorithm = match self.key_type {
            SshKeyType::Ed25519 | SshKeyType::SkEd25519 => &ED25519,
            SshKeyType::EcdsaP256 | SshKeyType::SkEcdsaP256 => &ECDSA_P256_SHA256_ASN1,
            SshKeyType::EcdsaP384 => &ECDSA_P384_SHA384_ASN1,
            SshKeyType::EcdsaP521 => &ECDSA_P521_SHA512_ASN1,
            SshKeyType::Rsa if sha256 => &RSA_PKCS1_2048_8192_SHA256,
            SshKeyType::Rsa => &RSA_PKCS1_2048_8192_SHA512,
        };
        if self.key_type == SshKeyType::Rsa {
            let (exponent, modulus) = (fields.positive()?, fields.positive()?);
            let numbers = der::sequence(&[&der::unsigned(modulus), &der::unsigned(exponent)]);
            return Ok((algorithm, numbers.to_vec()));
        }
        if self.key_type.curve().is_some() {
            fields.string()?;
        }
        Ok((algorithm, fields.string()?.to_vec()))
    }

    /// Whether `signature` (its algorithm's name and its bytes, RFC 4253 section 6.6) is this key's over `message`.
    /// RSA by SHA-256 or SHA-512 (RFC 8332), never by SHA-1; of security keys none, since theirs are over more.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verify(message, signature).is_ok()
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let mut reader = Reader::new(signature);
        let (name, bytes) = (reader.text()?, reader.string()?);
        let known = match self.key_type {
            SshKeyType::Rsa => matches!(name, "rsa-sha2-256" | "rsa-sha2-512"),
            SshKeyType::SkEd25519 | SshKeyType::SkEcdsaP256 => false,
            _ => name == self.key_type.as_str(),
        };
        if !known || !reader.is_empty() {
            return Err(KeyError::Mismatch);
        }
        let bytes = if self.key_type.curve().is_some() {
            let mut numbers = Reader::new(bytes);
            let (r, s) = (numbers.positive()?, numbers.positive()?);
            der::sequence(&[&der::unsigned(r), &der::unsigned(s)]).to_vec()
        } else {
            bytes.to_vec()
        };
        let (algorithm, numbers) = self.verifying(name == "rsa-sha2-256")?;
        UnparsedPublicKey::new(algorithm, numbers).verify(message, &bytes).map_err(|_| KeyError::Mismatch)
    }
}

/// Refuses comments that would break a line, or that are endless.
pub(crate) fn check_comment(comment: &str) -> Result<(), KeyError> {
    if comment.len() > MAX_COMMENT_BYTES {
        return Err(KeyError::Malformed("its comment is longer than 1024 bytes"));
    }
    if comment.chars().any(char::is_control) {
        return Err(KeyError::Malformed("its comment has control characters"));
    }
    Ok(())
}

impl fmt::Display for SshPublicKey {
    /// The line: type, Base64, comment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key_type.as_str(), STANDARD.encode(&self.blob))?;
        if self.comment.is_empty() { Ok(()) } else { write!(f, " {}", self.comment) }
    }
}

impl fmt::Debug for SshPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SshPublicKey({self})")
    }
}

impl std::str::FromStr for SshPublicKey {
    type Err = KeyError;

    fn from_str(line: &str) -> Result<Self, KeyError> {
        Self::parse(line)
    }
}
