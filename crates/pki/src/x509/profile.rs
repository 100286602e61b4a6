//! What a certificate is to say.

use super::X509Error;
use super::names::{AltName, MAX_ALT_NAMES, Subject, check_uri};
use keyreeve_base::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
};
use time::OffsetDateTime;

/// The end of the last year that a certificate can tell.
const LAST_SECOND: i64 = 253_402_300_799;
const MAX_CRL_URLS: usize = 8;

/// What a key may be used for (RFC 5280 section 4.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyUsage {
    /// `digitalSignature`
    DigitalSignature,
    /// `nonRepudiation`, which newer texts call `contentCommitment`
    ContentCommitment,
    /// `keyEncipherment`: RSA key exchange
    KeyEncipherment,
    /// `dataEncipherment`
    DataEncipherment,
    /// `keyAgreement`
    KeyAgreement,
    /// `keyCertSign`: an authority's
    KeyCertSign,
    /// `cRLSign`: an authority's
    CrlSign,
}

impl KeyUsage {
    /// Every usage.
    pub const ALL: [Self; 7] = [
        Self::DigitalSignature,
        Self::ContentCommitment,
        Self::KeyEncipherment,
        Self::DataEncipherment,
        Self::KeyAgreement,
        Self::KeyCertSign,
        Self::CrlSign,
    ];

    /// Its name in RFC 5280.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DigitalSignature => "digitalSignature",
            Self::ContentCommitment => "nonRepudiation",
            Self::KeyEncipherment => "keyEncipherment",
            Self::DataEncipherment => "dataEncipherment",
            Self::KeyAgreement => "keyAgreement",
            Self::KeyCertSign => "keyCertSign",
            Self::CrlSign => "cRLSign",
        }
    }

    const fn purpose(self) -> KeyUsagePurpose {
        match self {
            Self::DigitalSignature => KeyUsagePurpose::DigitalSignature,
            Self::ContentCommitment => KeyUsagePurpose::ContentCommitment,
            Self::KeyEncipherment => KeyUsagePurpose::KeyEncipherment,
            Self::DataEncipherment => KeyUsagePurpose::DataEncipherment,
            Self::KeyAgreement => KeyUsagePurpose::KeyAgreement,
            Self::KeyCertSign => KeyUsagePurpose::KeyCertSign,
            Self::CrlSign => KeyUsagePurpose::CrlSign,
        }
    }
}

/// What a certificate may be used for (RFC 5280 section 4.2.1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExtendedKeyUsage {
    /// `serverAuth`
    ServerAuth,
    /// `clientAuth`
    ClientAuth,
    /// `codeSigning`
    CodeSigning,
    /// `emailProtection`
    EmailProtection,
    /// `timeStamping`
    TimeStamping,
    /// `OCSPSigning`
    OcspSigning,
}

impl ExtendedKeyUsage {
    /// Every usage.
    pub const ALL: [Self; 6] = [
        Self::ServerAuth,
        Self::ClientAuth,
        Self::CodeSigning,
        Self::EmailProtection,
        Self::TimeStamping,
        Self::OcspSigning,
    ];

    /// Its name in RFC 5280.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServerAuth => "serverAuth",
            Self::ClientAuth => "clientAuth",
            Self::CodeSigning => "codeSigning",
            Self::EmailProtection => "emailProtection",
            Self::TimeStamping => "timeStamping",
            Self::OcspSigning => "OCSPSigning",
        }
    }

    const fn purpose(self) -> ExtendedKeyUsagePurpose {
        match self {
            Self::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
            Self::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
            Self::CodeSigning => ExtendedKeyUsagePurpose::CodeSigning,
            Self::EmailProtection => ExtendedKeyUsagePurpose::EmailProtection,
            Self::TimeStamping => ExtendedKeyUsagePurpose::TimeStamping,
            Self::OcspSigning => ExtendedKeyUsagePurpose::OcspSigning,
        }
    }
}

/// Whether a certificate may sign others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It may not.
    EndEntity,
    /// It may, with at most so many authorities below it; `None` means any number.
    Authority {
        /// How many.
        path_length: Option<u8>,
    },
}

/// What a certificate is to say, all but its key, its issuer and its serial number.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its distinguished name.
    pub subject: Subject,
    /// Its alternative names, the ones that clients compare.
    pub alt_names: Vec<AltName>,
    /// Whether it may sign others.
    pub role: Role,
    /// What its key may be used for. An authority's has `keyCertSign` and `cRLSign` in any case.
    pub key_usages: Vec<KeyUsage>,
    /// What it may be used for; empty means anything.
    pub extended_key_usages: Vec<ExtendedKeyUsage>,
    /// The first second in which it is good.
    pub not_before: Timestamp,
    /// The last second in which it is.
    pub not_after: Timestamp,
    /// Where its issuer's revocation list can be fetched.
    pub crl_urls: Vec<String>,
}

impl Profile {
    /// An authority of this name.
    #[must_use]
    pub fn authority(subject: Subject, path_length: Option<u8>, lifetime: (Timestamp, Timestamp)) -> Self {
        Self {
            role: Role::Authority { path_length },
            key_usages: vec![KeyUsage::DigitalSignature],
            extended_key_usages: Vec::new(),
            ..Self::tls(Vec::new(), Vec::new(), lifetime).of(subject)
        }
    }

    /// A TLS end of these names: a server, a client or both. It has no distinguished name.
    #[must_use]
    pub fn tls(
        alt_names: Vec<AltName>,
        extended_key_usages: Vec<ExtendedKeyUsage>,
        (not_before, not_after): (Timestamp, Timestamp),
    ) -> Self {
        Self {
            subject: Subject::default(),
            alt_names,
            role: Role::EndEntity,
            key_usages: vec![KeyUsage::DigitalSignature],
            extended_key_usages,
            not_before,
            not_after,
            crl_urls: Vec::new(),
        }
    }

    /// The same of this subject.
    #[must_use]
    pub fn of(self, subject: Subject) -> Self {
        Self { subject, ..self }
    }

    /// As rcgen wants it, if all of it can stand in a certificate.
    pub(super) fn params(&self) -> Result<CertificateParams, X509Error> {
        if self.alt_names.len() > MAX_ALT_NAMES || self.crl_urls.len() > MAX_CRL_URLS {
            return Err(X509Error::TooManyNames);
        }
        let named = self.subject.common_name.is_some();
        let is_authority = matches!(self.role, Role::Authority { .. });
        if !named && (is_authority || self.alt_names.is_empty()) {
            return Err(X509Error::Nameless);
        }
        if self.not_after <= self.not_before {
            return Err(X509Error::Lifetime);
        }
        for url in &self.crl_urls {
            check_uri(url)?;
        }
        let mut usages = self.key_usages.clone();
        if is_authority {
            usages.extend([KeyUsage::KeyCertSign, KeyUsage::CrlSign]);
        } else if usages.iter().any(|usage| matches!(usage, KeyUsage::KeyCertSign | KeyUsage::CrlSign)) {
            return Err(X509Error::NotAuthority { place: 1 });
        }
        usages.sort_unstable();
        usages.dedup();
        let mut params = CertificateParams::default();
        params.not_before = date(self.not_before)?;
        params.not_after = date(self.not_after)?;
        params.distinguished_name = self.subject.distinguished_name()?;
        params.subject_alt_names = self.alt_names.iter().map(AltName::san).collect::<Result<_, _>>()?;
        params.is_ca = match self.role {
            Role::EndEntity => IsCa::ExplicitNoCa,
            Role::Authority { path_length: None } => IsCa::Ca(BasicConstraints::Unconstrained),
            Role::Authority { path_length: Some(most) } => IsCa::Ca(BasicConstraints::Constrained(most)),
        };
        params.key_usages = usages.into_iter().map(KeyUsage::purpose).collect();
        params.extended_key_usages = self.extended_key_usages.iter().map(|usage| usage.purpose()).collect();
        if !self.crl_urls.is_empty() {
            params.crl_distribution_points = vec![CrlDistributionPoint { uris: self.crl_urls.clone() }];
        }
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }
}

/// A moment in whole seconds, as certificates and lists have it.
pub(super) fn date(moment: Timestamp) -> Result<OffsetDateTime, X509Error> {
    let seconds = moment.seconds();
    if !(0..=LAST_SECOND).contains(&seconds) {
        return Err(X509Error::Lifetime);
    }
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| X509Error::Lifetime)
}
