//! Requests for certificates (PKCS#10, RFC 2986).

use super::X509Error;
use super::names::{AltName, MAX_ALT_NAMES};
use crate::key::{PublicKey, pem};
use x509_parser::prelude::{FromDer as _, ParsedExtension, X509CertificationRequest};

const MALFORMED: X509Error = X509Error::Malformed("certificate request");
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// A name that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requested<'a> {
    /// As its common name. Old clients compare it with the host, so it is to be allowed like one.
    CommonName(&'a str),
    /// As an alternative name.
    AltName(&'a AltName),
}

/// A request: the key, which has signed it, and the names that are asked for. Other wishes (usages, whether it may sign
/// others) are passed over: the profile says them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    key: PublicKey,
    common_name: Option<String>,
    alt_names: Vec<AltName>,
}

impl Request {
    /// Reads one from PEM (`CERTIFICATE REQUEST`, `NEW CERTIFICATE REQUEST`).
    ///
    /// # Errors
    /// [`X509Error`]: there is not exactly one, or as for [`Request::from_der`].
    pub fn from_pem(text: &str) -> Result<Self, X509Error> {
        let mut blocks =
            pem::parse(text)?.into_iter().filter(|block| block.label.ends_with("CERTIFICATE REQUEST"));
        match (blocks.next(), blocks.next()) {
            (Some(block), None) => Self::from_der(block.bytes.expose()),
            (None, _) => Err(X509Error::None("certificate request in PEM")),
            (Some(_), Some(_)) => Err(X509Error::Malformed("certificate request: there are several")),
        }
    }

    /// Reads one from DER, and checks that the key that it is about has signed it.
    ///
    /// # Errors
    /// [`X509Error`]: not well formed, its key cannot be used, or it has not signed.
    pub fn from_der(bytes: &[u8]) -> Result<Self, X509Error> {
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(MALFORMED);
        }
        let Ok(([], request)) = X509CertificationRequest::from_der(bytes) else { return Err(MALFORMED) };
        let info = &request.certification_request_info;
        let key = PublicKey::from_spki(info.subject_pki.raw)?;
        request.verify_signature().map_err(|_| X509Error::Unproven)?;
        let mut names = info.subject.iter_common_name();
        let common_name = match (names.next(), names.next()) {
            (None, _) => None,
            (Some(name), None) => Some(name.as_str().map_err(|_| MALFORMED)?.to_owned()),
            (Some(_), Some(_)) => return Err(MALFORMED),
        };
        let mut alt_names = Vec::new();
        for extension in request.requested_extensions().into_iter().flatten() {
            match extension {
                ParsedExtension::SubjectAlternativeName(names) => {
                    alt_names.extend(names.general_names.iter().map(AltName::read));
                }
                ParsedExtension::ParseError { .. } => return Err(MALFORMED),
                _ => {}
            }
        }
        if alt_names.len() > MAX_ALT_NAMES {
            return Err(X509Error::TooManyNames);
        }
        Ok(Self { key, common_name, alt_names })
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The common name that is asked for.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// The alternative names that are asked for.
    #[must_use]
    pub fn alt_names(&self) -> &[AltName] {
        &self.alt_names
    }

    /// Asks `allows` about each name.
    ///
    /// # Errors
    /// [`X509Error::NotAllowed`], with the first name that is refused.
    pub fn check(&self, allows: impl Fn(Requested<'_>) -> bool) -> Result<(), X509Error> {
        if let Some(name) = self.common_name.as_deref().filter(|name| !allows(Requested::CommonName(name))) {
            return Err(X509Error::NotAllowed(format!("CN={}", name.chars().take(80).collect::<String>())));
        }
        match self.alt_names.iter().find(|name| !allows(Requested::AltName(name))) {
            Some(name) => Err(X509Error::NotAllowed(name.to_string().chars().take(80).collect())),
            None => Ok(()),
        }
    }
}
