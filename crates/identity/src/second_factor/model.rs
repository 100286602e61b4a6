//! What a device is, and what a user has.

use crate::Error;
use keyreeve_base::{Timestamp, TotpId};
use keyreeve_crypto::{Secret, SecretBytes};
use keyreeve_store::Row;
use totp_rs::{Algorithm, Builder, Totp};

/// Codes of this many steps before and after the present one are taken: clocks differ (RFC 6238 section 5.2).
const SKEW: u16 = 1;
/// The shortest secret that is taken from elsewhere, in bytes: RFC 4226 section 4 demands 128 bits, of which older
/// systems fell short.
const MIN_SECRET_BYTES: usize = 10;
const MAX_SECRET_BYTES: usize = 128;
const MAX_NAME_CHARS: usize = 60;

/// The hash below a code (RFC 6238 section 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TotpAlgorithm {
    /// HMAC-SHA-1: what authenticator apps do.
    #[default]
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

impl TotpAlgorithm {
    /// Its name in `otpauth` addresses.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    fn of(text: &str) -> Result<Self, keyreeve_store::Error> {
        [Self::Sha1, Self::Sha256, Self::Sha512]
            .into_iter()
            .find(|algorithm| algorithm.text() == text)
            .ok_or_else(|| keyreeve_store::Error::corrupt("a stored device has no known algorithm"))
    }

    const fn library(self) -> Algorithm {
        match self {
            Self::Sha1 => Algorithm::SHA1,
            Self::Sha256 => Algorithm::SHA256,
            Self::Sha512 => Algorithm::SHA512,
        }
    }
}

/// How a device makes its codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TotpParameters {
    /// The hash.
    pub algorithm: TotpAlgorithm,
    /// How many digits a code has: 6 to 8.
    pub digits: u8,
    /// How long a code lasts, in seconds: 15 to 300.
    pub period_s: u16,
}

impl Default for TotpParameters {
    fn default() -> Self {
        Self { algorithm: TotpAlgorithm::Sha1, digits: 6, period_s: 30 }
    }
}

impl TotpParameters {
    /// The machine that makes and checks the codes of this secret.
    pub(super) fn machine(self, secret: &[u8]) -> Result<Totp, Error> {
        if !(6..=8).contains(&self.digits) {
            return Err(Error::invalid("totp.digits", "must be 6, 7 or 8"));
        }
        if !(15..=300).contains(&self.period_s) {
            return Err(Error::invalid("totp.period_s", "must be between 15 and 300"));
        }
        if !(MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&secret.len()) {
            let problem = format!("must have {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes");
            return Err(Error::invalid("totp.secret", problem));
        }
        // What the library would refuse besides is the shorter secrets of older systems.
        Ok(Builder::new()
            .with_algorithm(self.algorithm.library())
            .with_digits(self.digits)
            .with_skew(SKEW)
            .with_step_duration(self.period_s.into())
            .with_secret(secret.to_vec())
            .build_noncompliant())
    }
}

/// A device that makes codes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TotpDevice {
    /// The identifier.
    pub id: TotpId,
    /// What the user calls it.
    pub name: String,
    /// How it makes its codes.
    pub parameters: TotpParameters,
    /// When it was added.
    pub created_at: Timestamp,
    /// Since when it is in use; none until its first code was shown.
    pub confirmed_at: Option<Timestamp>,
    /// When a code of it was last used.
    pub last_used_at: Option<Timestamp>,
}

/// A device with its secret, still sealed.
pub(crate) struct Stored {
    pub(crate) device: TotpDevice,
    pub(crate) sealed: Vec<u8>,
}

impl Stored {
    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let corrupt = |_| keyreeve_store::Error::corrupt("a stored device has impossible parameters");
        let parameters = TotpParameters {
            algorithm: TotpAlgorithm::of(&row.get::<String>(2)?)?,
            digits: row.get::<i64>(3)?.try_into().map_err(corrupt)?,
            period_s: row.get::<i64>(4)?.try_into().map_err(corrupt)?,
        };
        Ok(Self {
            device: TotpDevice {
                id: row.get(0)?,
                name: row.get(1)?,
                parameters,
                created_at: row.get(5)?,
                confirmed_at: row.get(6)?,
                last_used_at: row.get(7)?,
            },
            sealed: row.get(8)?,
        })
    }
}

/// What a user has.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Factors {
    /// The devices in use.
    pub devices: Vec<TotpDevice>,
    /// How many recovery codes are left.
    pub recovery_codes: i64,
}

/// A device that was just added, and is in use once it has shown a code.
#[derive(Debug)]
pub struct Enrolment {
    /// The device.
    pub id: TotpId,
    /// The secret in base32, to be typed.
    pub secret: Secret,
    /// The same as an `otpauth:` address, to be photographed.
    pub uri: Secret,
}

/// Recovery codes, told this once.
#[derive(Debug)]
pub struct RecoveryCodes(pub Vec<Secret>);

/// A device of another system.
#[derive(Debug)]
pub struct ImportedTotp {
    /// What the user called it.
    pub name: String,
    /// The secret itself, not its base32 text.
    pub secret: SecretBytes,
    /// How it makes its codes.
    pub parameters: TotpParameters,
}

/// A name that a user gave a device.
pub(super) fn check_name(name: &str) -> Result<String, Error> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        return Err(Error::invalid("name", format!("must be 1 to {MAX_NAME_CHARS} visible characters")));
    }
    Ok(name.to_owned())
}
