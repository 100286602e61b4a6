//! Certificates of SSH (OpenSSH's PROTOCOL.certkeys): an authority's word that a key may act for these names, that long.

use super::options::{Options, OptionsError, Restrictions};
use super::public::{SshKeyType, SshPublicKey};
use super::wire::{NotSsh, Reader, Writer};
use crate::key::{KeyError, KeyPair, KeyType, der};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyreeve_base::{Timestamp, World};
use std::fmt;
use std::time::Duration;

/// The most principals of a certificate: OpenSSH's own bound.
pub const MAX_PRINCIPALS: usize = 256;
/// The longest principal, and the longest key id.
pub const MAX_NAME_BYTES: usize = 256;
/// The longest certificate that is read, in Base64.
const MAX_CERTIFICATE_BYTES: usize = 256 * 1024;

/// Whom a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertificateKind {
    /// Users who sign in to a server.
    User,
    /// Servers that prove who they are.
    Host,
}

/// What a certificate is to say.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Whom it is for.
    pub kind: CertificateKind,
    /// What the server writes in its log when the certificate is used.
    pub key_id: String,
    /// Its number, by which it can be revoked; never 0. See [`random_serial`].
    pub serial: u64,
    /// The user or host names that it is good for; at least one. An empty list would be good for all.
    pub principals: Vec<String>,
    /// The first second in which it is good.
    pub not_before: Timestamp,
    /// The first second in which it no longer is.
    pub not_after: Timestamp,
    /// What the server must hold the user to; for users only.
    pub restrictions: Restrictions,
    /// What the server may allow the user; for users only.
    pub permissions: Options,
}

/// Why a certificate cannot be signed, or is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// There is no principal.
    #[error("has no principal: it would be good for every name")]
    NoPrincipal,
    /// There are more than [`MAX_PRINCIPALS`].
    #[error("has more than {MAX_PRINCIPALS} principals")]
    TooManyPrincipals,
    /// A principal that could be taken for several, or for none.
    #[error("has a principal, the {number}., that is not a plain name: {reason}")]
    Principal {
        /// Its place, from 1.
        number: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The key id is empty, too long or has control characters.
    #[error("has a key id that is empty, longer than {MAX_NAME_BYTES} bytes, or has control characters")]
    KeyId,
    /// The serial number is 0, which means that there is none.
    #[error("has the serial number 0, by which it could not be revoked")]
    Serial,
    /// It ends before it begins, or begins before 1970.
    #[error("has a lifetime that is empty or begins before 1970")]
    Lifetime,
    /// Options that cannot be written, or that hosts cannot have.
    #[error("{0}")]
    Options(#[from] OptionsError),
    /// The text or the bytes are not a certificate.
    #[error("is not a well-formed certificate: {0}")]
    Malformed(&'static str),
    /// The subject's or the authority's key.
    #[error("has a key that {0}")]
    Key(#[from] KeyError),
    /// The signature is not the authority's.
    #[error("is not signed by the key that it names")]
    Signature,
    /// Another authority than the one that is trusted signed it.
    #[error("is of another authority")]
    OtherAuthority,
    /// For users where one for hosts is wanted, or the other way round.
    #[error("is of the other kind")]
    OtherKind,
    /// The name is not among its principals.
    #[error("is not for this principal")]
    OtherPrincipal,
    /// It is not good yet.
    #[error("is not good yet")]
    NotYet,
    /// It is no longer good.
    #[error("is no longer good")]
    Expired,
}

impl From<NotSsh> for CertificateError {
    fn from(_: NotSsh) -> Self {
        Self::Malformed("its fields do not hold together")
    }
}

/// An unpredictable serial number, never 0. 63 bits, so that it fits a signed column.
#[must_use]
pub fn random_serial(world: &World) -> u64 {
    (u64::from_be_bytes(world.random_bytes()) >> 1).max(1)
}

/// A certificate, and what it says. It exists only well formed; whether it is to be trusted, [`SshCertificate::check`]
/// says.
#[derive(Clone, PartialEq, Eq)]
pub struct SshCertificate {
    bytes: Vec<u8>,
    /// How many of them the signature is over.
    signed: usize,
    signature: Vec<u8>,
    comment: String,
    /// Whom it is for.
    pub kind: CertificateKind,
    /// The key that it is about.
    pub key: SshPublicKey,
    /// Its number; 0 when it has none.
    pub serial: u64,
    /// What servers log.
    pub key_id: String,
    /// The names that it is good for. Empty means every name to OpenSSH, and none to [`SshCertificate::check`].
    pub principals: Vec<String>,
    /// The first second in which it is good.
    pub not_before: Timestamp,
    /// The first second in which it no longer is; `None` when it has no end.
    pub not_after: Option<Timestamp>,
    /// What the server must hold the user to, by name; names that it does not know make it refuse.
    pub critical_options: Options,
    /// What the server may allow the user, by name.
    pub extensions: Options,
    /// The authority's key.
    pub authority: SshPublicKey,
}

impl SshCertificate {
    /// Signs `key` under `terms` with the authority's key: Ed25519, ECDSA with the curve's digest, or RSA with SHA-512
    /// (`rsa-sha2-512`, RFC 8332).
    ///
    /// # Errors
    /// [`CertificateError`]: the terms cannot stand in a certificate, or the library failed.
    pub fn sign(
        world: &World,
        authority: &KeyPair,
        key: &SshPublicKey,
        terms: &Terms,
    ) -> Result<Self, CertificateError> {
        let (not_before, not_after) = terms.check()?;
        let mut principals = Writer::with_capacity(64);
        for principal in &terms.principals {
            principals.string(principal.as_bytes());
        }
        let authority_key = SshPublicKey::of(authority.public());
        let mut out = Writer::with_capacity(2048);
        out.string(key.key_type().certificate_name().as_bytes())
            .string(&world.random_bytes::<32>())
            .raw(key.fields())
            .u64(terms.serial)
            .u32(match terms.kind {
                CertificateKind::User => 1,
                CertificateKind::Host => 2,
            })
            .string(terms.key_id.as_bytes())
            .string(principals.as_slice())
            .u64(not_before)
            .u64(not_after)
            .string(&terms.restrictions.options()?.encode())
            .string(&terms.permissions.encode())
            .string(&[])
            .string(authority_key.blob());
        let signature = sign(authority, out.as_slice())?;
        out.string(&signature);
        let certificate = Self::from_bytes(out.as_slice())?;
        Ok(Self { comment: key.comment().to_owned(), ..certificate })
    }

    /// Reads a line as `-cert.pub` files have it: type, Base64, comment.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`], [`CertificateError::Key`].
    pub fn parse(line: &str) -> Result<Self, CertificateError> {
        if line.len() > MAX_CERTIFICATE_BYTES {
            return Err(CertificateError::Malformed("it is longer than 256 KiB"));
        }
        let mut fields = line.trim().splitn(3, [' ', '\t']);
        let (name, base64) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let bytes = STANDARD
            .decode(base64)
            .map_err(|_| CertificateError::Malformed("what follows its type is not Base64"))?;
        let certificate = Self::from_bytes(&bytes)?;
        if certificate.key.key_type().certificate_name() != name {
            return Err(CertificateError::Malformed("its line names another type than it does"));
        }
        let comment = fields.next().unwrap_or_default().trim();
        super::public::check_comment(comment)?;
        Ok(Self { comment: comment.to_owned(), ..certificate })
    }

    /// Reads a certificate from its bytes.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`], [`CertificateError::Key`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CertificateError> {
        let mut reader = Reader::new(bytes);
        let name = reader.text()?;
        let key_type = SshKeyType::ALL
            .into_iter()
            .find(|kind| kind.certificate_name() == name)
            .ok_or(CertificateError::Malformed("its type is none that is known"))?;
        reader.string()?; // the nonce
        let key = SshPublicKey::read(key_type, &mut reader)?;
        let serial = reader.u64()?;
        let kind = match reader.u32()? {
            1 => CertificateKind::User,
            2 => CertificateKind::Host,
            _ => return Err(CertificateError::Malformed("it is neither for users nor for hosts")),
        };
        let key_id = reader.text()?.to_owned();
        let principals = read_principals(reader.string()?)?;
        let not_before = timestamp(reader.u64()?)
            .ok_or(CertificateError::Malformed("it begins later than time can be told"))?;
        let not_after = timestamp(reader.u64()?);
        let critical_options = Options::decode(reader.string()?)?;
        let extensions = Options::decode(reader.string()?)?;
        reader.string()?; // reserved
        let authority = SshPublicKey::from_blob(reader.string()?)?;
        let signed = bytes.len() - reader.rest().len();
        let signature = reader.string()?.to_vec();
        if !reader.is_empty() {
            return Err(CertificateError::Malformed("something follows it"));
        }
        Ok(Self {
            bytes: bytes.to_vec(),
            signed,
            signature,
            comment: String::new(),
            kind,
            key,
            serial,
            key_id,
            principals,
            not_before,
            not_after,
            critical_options,
            extensions,
            authority,
        })
    }

    /// Whether it is good for `principal` at `now`, of this kind and of this authority.
    ///
    /// # Errors
    /// [`CertificateError`]: why not.
    pub fn check(
        &self,
        now: Timestamp,
        kind: CertificateKind,
        principal: &str,
        authority: &SshPublicKey,
    ) -> Result<(), CertificateError> {
        if !self.authority.same_key(authority) {
            return Err(CertificateError::OtherAuthority);
        }
        let signed = self.bytes.get(..self.signed).unwrap_or_default();
        if !self.authority.verifies(signed, &self.signature) {
            return Err(CertificateError::Signature);
        }
        if self.kind != kind {
            return Err(CertificateError::OtherKind);
        }
        if !self.principals.iter().any(|name| name == principal) {
            return Err(CertificateError::OtherPrincipal);
        }
        if now < self.not_before {
            return Err(CertificateError::NotYet);
        }
        if self.not_after.is_some_and(|end| end <= now) {
            return Err(CertificateError::Expired);
        }
        Ok(())
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for SshCertificate {
    /// The line: type, Base64, comment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key.key_type().certificate_name(), STANDARD.encode(&self.bytes))?;
        if self.comment.is_empty() { Ok(()) } else { write!(f, " {}", self.comment) }
    }
}

impl fmt::Debug for SshCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SshCertificate({:?} {} of {})", self.kind, self.serial, self.authority.fingerprint())
    }
}

impl Terms {
    /// The lifetime in seconds, if everything can stand in a certificate.
    fn check(&self) -> Result<(u64, u64), CertificateError> {
        if self.principals.is_empty() {
            return Err(CertificateError::NoPrincipal);
        }
        if self.principals.len() > MAX_PRINCIPALS {
            return Err(CertificateError::TooManyPrincipals);
        }
        for (principal, number) in self.principals.iter().zip(1..) {
            check_principal(principal).map_err(|reason| CertificateError::Principal { number, reason })?;
        }
        let id = &self.key_id;
        if id.is_empty() || id.len() > MAX_NAME_BYTES || id.chars().any(char::is_control) {
            return Err(CertificateError::KeyId);
        }
        if self.serial == 0 {
            return Err(CertificateError::Serial);
        }
        if self.kind == CertificateKind::Host
            && !(self.restrictions.is_empty() && self.permissions.is_empty())
        {
            return Err(OptionsError::Host.into());
        }
        let seconds =
            |moment: Timestamp| u64::try_from(moment.seconds()).map_err(|_| CertificateError::Lifetime);
        let (not_before, not_after) = (seconds(self.not_before)?, seconds(self.not_after)?);
        if not_after <= not_before {
            return Err(CertificateError::Lifetime);
        }
        Ok((not_before, not_after))
    }
}

/// A principal is one plain name: nothing that OpenSSH or an AuthorizedPrincipalsFile takes for a pattern, a list, an
/// option or a comment (ABUSE-CASES AC-54).
fn check_principal(principal: &str) -> Result<(), &'static str> {
    if principal.is_empty() {
        return Err("it is empty");
    }
    if principal.len() > MAX_NAME_BYTES {
        return Err("it is longer than 256 bytes");
    }
    let forbidden =
        |c: char| c.is_control() || c.is_whitespace() || matches!(c, '*' | '?' | '!' | ',' | '"' | '#' | '%');
    if principal.contains(forbidden) {
        return Err("it has white space, control characters or one of * ? ! , \" # %");
    }
    Ok(())
}

fn read_principals(bytes: &[u8]) -> Result<Vec<String>, CertificateError> {
    let (mut reader, mut principals) = (Reader::new(bytes), Vec::new());
    while !reader.is_empty() {
        if principals.len() == MAX_PRINCIPALS {
            return Err(CertificateError::TooManyPrincipals);
        }
        principals.push(reader.text()?.to_owned());
    }
    Ok(principals)
}

/// Seconds of SSH as a moment; `None` for those that mean "for ever" or lie beyond what time can be told.
fn timestamp(seconds: u64) -> Option<Timestamp> {
    let far = Duration::from_secs(u64::from(u32::MAX) * 64);
    (seconds <= far.as_secs()).then(|| Timestamp::from_seconds(0).plus(Duration::from_secs(seconds)))
}

/// A signature as SSH writes it: the algorithm's name and the bytes.
fn sign(authority: &KeyPair, message: &[u8]) -> Result<Vec<u8>, KeyError> {
    let signature = authority.sign_sha512(message)?;
    let mut out = Writer::with_capacity(signature.len() + 64);
    let name = match authority.public().key_type() {
        KeyType::Rsa => "rsa-sha2-512",
        KeyType::Ed25519 => SshKeyType::Ed25519.as_str(),
        KeyType::EcdsaP256 => SshKeyType::EcdsaP256.as_str(),
        KeyType::EcdsaP384 => SshKeyType::EcdsaP384.as_str(),
    };
    out.string(name.as_bytes());
    if matches!(authority.public().key_type(), KeyType::EcdsaP256 | KeyType::EcdsaP384) {
        let mut numbers = der::Reader::new(&signature).sequence()?;
        let mut both = Writer::with_capacity(signature.len() + 16);
        both.positive(numbers.unsigned()?).positive(numbers.unsigned()?);
        out.string(both.as_slice());
    } else {
        out.string(&signature);
    }
    Ok(out.as_slice().to_vec())
}
