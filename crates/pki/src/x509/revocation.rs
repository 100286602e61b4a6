//! Lists of revoked certificates (RFC 5280 section 5).

use super::X509Error;
use super::certificate::Serial;
use super::profile::date;
use keyreeve_base::Timestamp;
use rcgen::{RevocationReason, RevokedCertParams, SerialNumber};

/// The most entries of a list.
const MAX_ENTRIES: usize = 1_000_000;

/// Why a certificate was revoked (RFC 5280 section 5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No reason is told.
    Unspecified,
    /// `keyCompromise`: somebody else has the key.
    KeyCompromise,
    /// `cACompromise`: somebody else has the authority's key.
    AuthorityCompromise,
    /// `affiliationChanged`: the subject's name is no longer right.
    AffiliationChanged,
    /// `superseded`: there is a newer one.
    Superseded,
    /// `cessationOfOperation`: it is no longer needed.
    CessationOfOperation,
    /// `certificateHold`: for the time being.
    Hold,
    /// `privilegeWithdrawn`: the subject may no longer.
    PrivilegeWithdrawn,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AuthorityCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::Hold,
        Self::PrivilegeWithdrawn,
    ];

    /// Its name in RFC 5280.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::AuthorityCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::Hold => "certificateHold",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
        }
    }

    const fn code(self) -> RevocationReason {
        match self {
            Self::Unspecified => RevocationReason::Unspecified,
            Self::KeyCompromise => RevocationReason::KeyCompromise,
            Self::AuthorityCompromise => RevocationReason::CaCompromise,
            Self::AffiliationChanged => RevocationReason::AffiliationChanged,
            Self::Superseded => RevocationReason::Superseded,
            Self::CessationOfOperation => RevocationReason::CessationOfOperation,
            Self::Hold => RevocationReason::CertificateHold,
            Self::PrivilegeWithdrawn => RevocationReason::PrivilegeWithdrawn,
        }
    }
}

impl std::str::FromStr for Reason {
    type Err = X509Error;

    fn from_str(name: &str) -> Result<Self, X509Error> {
        let found = Self::ALL.into_iter().find(|reason| reason.as_str() == name);
        found.ok_or(X509Error::Malformed("reason of a revocation"))
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// The certificate's number.
    pub serial: Serial,
    /// When it was revoked.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// What a list says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// The list's number; a later one of the authority has a greater one.
    pub number: u64,
    /// When it was made.
    pub this_update: Timestamp,
    /// When the next one is there at the latest.
    pub next_update: Timestamp,
    /// What is revoked.
    pub entries: Vec<Revoked>,
}

impl RevocationList {
    pub(super) fn revoked(&self) -> Result<Vec<RevokedCertParams>, X509Error> {
        if self.entries.len() > MAX_ENTRIES || self.next_update.seconds() <= self.this_update.seconds() {
            return Err(X509Error::List);
        }
        let entry = |entry: &Revoked| {
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(entry.serial.as_bytes()),
                revocation_time: date(entry.at)?,
                reason_code: Some(entry.reason.code()),
                invalidity_date: None,
            })
        };
        self.entries.iter().map(entry).collect()
    }
}
