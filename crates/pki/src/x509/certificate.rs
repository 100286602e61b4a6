//! One certificate, and what one can know of it.

use super::X509Error;
use super::names::AltName;
use super::profile::{ExtendedKeyUsage, KeyUsage};
use crate::key::{PublicKey, der, pem};
use keyreeve_base::{Timestamp, World};
use std::fmt;
use x509_parser::prelude::{
    DistributionPointName, FromDer as _, GeneralName, ParsedExtension, X509Certificate,
};

/// The longest certificate that is read.
pub const MAX_CERTIFICATE_BYTES: usize = 64 * 1024;

/// A serial number: positive, big-endian, without leading zeros. It prints in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// An unpredictable number of 127 bits, 126 of them random.
    #[must_use]
    pub fn random(world: &World) -> Self {
        let mut bytes = world.random_bytes::<16>();
        if let Some(first) = bytes.first_mut() {
            // Positive, and of the same length always.
            *first = (*first & 0x7f) | 0x40;
        }
        Self(bytes.to_vec())
    }

    /// The number of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(der::trim(bytes).to_vec())
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for Serial {
    type Err = X509Error;

    /// Hexadecimal digits, two for each byte, 20 bytes at most (RFC 5280 section 4.1.2.2).
    fn from_str(text: &str) -> Result<Self, X509Error> {
        let error = X509Error::Malformed("serial number");
        if text.is_empty()
            || !text.len().is_multiple_of(2)
            || text.len() > 40
            || !text.bytes().all(|c| c.is_ascii_hexdigit())
        {
            return Err(error);
        }
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        let byte = |pair: &[u32]| pair.iter().fold(0, |value, digit| (value << 4) | digit);
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| u8::try_from(byte(pair)))
            .collect::<Result<_, _>>()
            .map_err(|_| error)?;
        Ok(Self::from_bytes(&bytes))
    }
}

/// What one can know of a certificate without trusting it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The subject's distinguished name, as a text for people; empty when there is none.
    pub subject: String,
    /// Its common name.
    pub common_name: Option<String>,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// Whether subject and issuer have the same name.
    pub self_issued: bool,
    /// The serial number.
    pub serial: Serial,
    /// The alternative names.
    pub alt_names: Vec<AltName>,
    /// The first second in which it is good.
    pub not_before: Timestamp,
    /// The last second in which it is.
    pub not_after: Timestamp,
    /// The key, if it is of a kind that this crate knows.
    pub key: Option<PublicKey>,
    /// Whether it may sign others.
    pub authority: bool,
    /// How many authorities may stand below it.
    pub path_length: Option<u32>,
    /// What its key may be used for; `None` means that it does not say.
    pub key_usages: Option<Vec<KeyUsage>>,
    /// What it may be used for, as far as there are names for it; `None` means that it does not say.
    pub extended_key_usages: Option<Vec<ExtendedKeyUsage>>,
    /// The identifier of its key.
    pub subject_key_id: Option<Vec<u8>>,
    /// The identifier of its issuer's key.
    pub authority_key_id: Option<Vec<u8>>,
    /// Where its issuer's revocation list can be fetched.
    pub crl_urls: Vec<String>,
    /// SHA-256 of the certificate.
    pub sha256: [u8; 32],
    /// SHA-256 of its `SubjectPublicKeyInfo`, the same in every certificate about the key.
    pub key_sha256: [u8; 32],
}

/// A certificate. It exists only well formed; whether it is to be trusted is another matter.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    facts: Facts,
}

impl Certificate {
    /// Reads one from DER.
    ///
    /// # Errors
    /// [`X509Error::Malformed`].
    pub fn from_der(bytes: &[u8]) -> Result<Self, X509Error> {
        let facts = facts(&parsed(bytes)?)?;
        Ok(Self { der: bytes.to_vec(), facts })
    }

    /// Reads the certificates in a PEM text in their order, passing over other blocks; one at least.
    ///
    /// # Errors
    /// [`X509Error`]: not PEM, no certificate in it, more than [`super::MAX_CHAIN`], or one is not well formed.
    pub fn from_pem(text: &str) -> Result<Vec<Self>, X509Error> {
        let blocks = pem::parse(text)?;
        let chain: Vec<_> = blocks.iter().filter(|block| block.label == "CERTIFICATE").collect();
        if chain.is_empty() {
            return Err(X509Error::None("certificate in PEM"));
        }
        if chain.len() > super::MAX_CHAIN {
            return Err(X509Error::LongChain);
        }
        chain.iter().map(|block| Self::from_der(block.bytes.expose())).collect()
    }

    /// Its DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.der).expose().to_owned()
    }

    /// What it says.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(super) fn parsed(&self) -> Result<X509Certificate<'_>, X509Error> {
        parsed(&self.der)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({:?} {})", self.facts.subject, self.facts.serial)
    }
}

const MALFORMED: X509Error = X509Error::Malformed("certificate");

fn parsed(bytes: &[u8]) -> Result<X509Certificate<'_>, X509Error> {
    if bytes.len() > MAX_CERTIFICATE_BYTES {
        return Err(MALFORMED);
    }
    check_envelope(bytes).map_err(|_| MALFORMED)?;
    match X509Certificate::from_der(bytes) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(MALFORMED),
    }
}

/// What stands around the signed part is covered by no signature: the algorithm must be the one inside, byte by byte
/// (RFC 5280 section 4.1.1.2), and the signature whole bytes, or one certificate could be written in several ways.
fn check_envelope(bytes: &[u8]) -> Result<(), der::NotDer> {
    let mut outer = der::Reader::new(bytes).sequence()?;
    let mut signed = outer.sequence()?;
    let (outer_algorithm, signature) = (outer.expect(der::SEQUENCE)?, outer.expect(der::BIT_STRING)?);
    // The version, then the serial number; certificates of version 1 have the latter alone.
    if signed.element()?.0 != der::INTEGER {
        signed.expect(der::INTEGER)?;
    }
    let same = signed.expect(der::SEQUENCE)? == outer_algorithm;
    if same && signature.first() == Some(&0) && outer.is_empty() { Ok(()) } else { Err(der::NotDer) }
}

fn facts(certificate: &X509Certificate<'_>) -> Result<Facts, X509Error> {
    let (subject, issuer) = (certificate.subject(), certificate.issuer());
    let spki = certificate.public_key().raw;
    let moment = |time: x509_parser::time::ASN1Time| Timestamp::from_seconds(time.timestamp());
    let mut facts = Facts {
        subject: subject.to_string(),
        common_name: subject.iter_common_name().next().and_then(|name| name.as_str().ok()).map(str::to_owned),
        issuer: issuer.to_string(),
        self_issued: subject.as_raw() == issuer.as_raw(),
        serial: Serial::from_bytes(certificate.raw_serial()),
        alt_names: Vec::new(),
        not_before: moment(certificate.validity().not_before),
        not_after: moment(certificate.validity().not_after),
        key: PublicKey::from_spki(spki).ok(),
        authority: false,
        path_length: None,
        key_usages: None,
        extended_key_usages: None,
        subject_key_id: None,
        authority_key_id: None,
        crl_urls: Vec::new(),
        sha256: keyreeve_crypto::sha256(certificate.as_raw()),
        key_sha256: keyreeve_crypto::sha256(spki),
    };
    let mut seen = std::collections::BTreeSet::new();
    for extension in certificate.extensions() {
        // RFC 5280 section 4.2: each at most once.
        if !seen.insert(extension.oid.as_bytes().to_vec()) {
            return Err(MALFORMED);
        }
        note(&mut facts, extension.parsed_extension())?;
    }
    Ok(facts)
}

/// Notes what an extension says.
fn note(facts: &mut Facts, extension: &ParsedExtension<'_>) -> Result<(), X509Error> {
    match extension {
        ParsedExtension::ParseError { .. } => return Err(MALFORMED),
        ParsedExtension::BasicConstraints(basic) => {
            facts.authority = basic.ca;
            facts.path_length = basic.path_len_constraint;
        }
        ParsedExtension::SubjectAlternativeName(names) => {
            facts.alt_names = names.general_names.iter().map(AltName::read).collect();
        }
        ParsedExtension::KeyUsage(usage) => {
            let set = [
                (usage.digital_signature(), KeyUsage::DigitalSignature),
                (usage.non_repudiation(), KeyUsage::ContentCommitment),
                (usage.key_encipherment(), KeyUsage::KeyEncipherment),
                (usage.data_encipherment(), KeyUsage::DataEncipherment),
                (usage.key_agreement(), KeyUsage::KeyAgreement),
                (usage.key_cert_sign(), KeyUsage::KeyCertSign),
                (usage.crl_sign(), KeyUsage::CrlSign),
            ];
            facts.key_usages =
                Some(set.into_iter().filter(|(set, _)| *set).map(|(_, usage)| usage).collect());
        }
        ParsedExtension::ExtendedKeyUsage(usage) => {
            let set = [
                (usage.server_auth, ExtendedKeyUsage::ServerAuth),
                (usage.client_auth, ExtendedKeyUsage::ClientAuth),
                (usage.code_signing, ExtendedKeyUsage::CodeSigning),
                (usage.email_protection, ExtendedKeyUsage::EmailProtection),
                (usage.time_stamping, ExtendedKeyUsage::TimeStamping),
                (usage.ocsp_signing, ExtendedKeyUsage::OcspSigning),
            ];
            facts.extended_key_usages =
                Some(set.into_iter().filter(|(set, _)| *set).map(|(_, usage)| usage).collect());
        }
        ParsedExtension::SubjectKeyIdentifier(id) => facts.subject_key_id = Some(id.0.to_vec()),
        ParsedExtension::AuthorityKeyIdentifier(id) => {
            facts.authority_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
        }
        ParsedExtension::CRLDistributionPoints(points) => {
            for point in points.iter() {
                let Some(DistributionPointName::FullName(names)) = &point.distribution_point else {
                    continue;
                };
                facts.crl_urls.extend(names.iter().filter_map(|name| match name {
                    GeneralName::URI(uri) => Some((*uri).to_owned()),
                    _ => None,
                }));
            }
        }
        _ => {}
    }
    Ok(())
}
