//! Names of subjects: what may stand in a certificate.

use super::X509Error;
use rcgen::{DistinguishedName, DnType, DnValue, SanType};
use std::fmt;
use std::net::IpAddr;
use x509_parser::extensions::GeneralName;

/// The most alternative names of a certificate.
pub const MAX_ALT_NAMES: usize = 100;
/// The bound of X.520 on common names.
const MAX_COMMON_NAME: usize = 64;
const MAX_ORGANIZATION: usize = 64;
const MAX_NAME_BYTES: usize = 1024;

/// The distinguished name of a subject. Texts are UTF-8.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// Two letters (ISO 3166).
    pub country: Option<String>,
    /// The state or province.
    pub state: Option<String>,
    /// The town.
    pub locality: Option<String>,
    /// The organization.
    pub organization: Option<String>,
    /// A part of it.
    pub unit: Option<String>,
    /// What it is called.
    pub common_name: Option<String>,
}

impl Subject {
    /// A subject with this common name alone.
    #[must_use]
    pub fn named(common_name: &str) -> Self {
        Self { common_name: Some(common_name.to_owned()), ..Self::default() }
    }

    pub(super) fn distinguished_name(&self) -> Result<DistinguishedName, X509Error> {
        let mut name = DistinguishedName::new();
        if let Some(country) = &self.country {
            if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
                return Err(refused(country, "is not a country's two capital letters"));
            }
            let country = country.as_str().try_into().map_err(|_| X509Error::Library)?;
            name.push(DnType::CountryName, DnValue::PrintableString(country));
        }
        let parts = [
            (DnType::StateOrProvinceName, &self.state, 128),
            (DnType::LocalityName, &self.locality, 128),
            (DnType::OrganizationName, &self.organization, MAX_ORGANIZATION),
            (DnType::OrganizationalUnitName, &self.unit, MAX_ORGANIZATION),
            (DnType::CommonName, &self.common_name, MAX_COMMON_NAME),
        ];
        for (kind, text, most) in parts {
            if let Some(text) = text {
                check_text(text, most)?;
                name.push(kind, DnValue::Utf8String(text.clone()));
            }
        }
        Ok(name)
    }
}

fn check_text(text: &str, most: usize) -> Result<(), X509Error> {
    if text.trim().is_empty() || text.trim() != text {
        return Err(refused(text, "is empty, or begins or ends with white space"));
    }
    if text.chars().count() > most {
        return Err(refused(text, "is too long"));
    }
    if text.chars().any(char::is_control) {
        return Err(refused(text, "has control characters"));
    }
    Ok(())
}

fn refused(name: &str, reason: &'static str) -> X509Error {
    X509Error::Name { name: name.chars().take(80).collect(), reason }
}

/// An alternative name of a subject (RFC 5280 section 4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AltName {
    /// A host name; its first label may be `*`.
    Dns(String),
    /// An address.
    Ip(IpAddr),
    /// A mailbox.
    Email(String),
    /// A URI, such as a SPIFFE identifier.
    Uri(String),
    /// A kind that is read and never written, as a text for people.
    Other(String),
}

impl AltName {
    pub(super) fn read(name: &GeneralName<'_>) -> Self {
        match name {
            GeneralName::DNSName(host) => Self::Dns((*host).to_owned()),
            GeneralName::RFC822Name(mailbox) => Self::Email((*mailbox).to_owned()),
            GeneralName::URI(uri) => Self::Uri((*uri).to_owned()),
            GeneralName::IPAddress(bytes) => {
                let address = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                let address = address.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
                address.map_or_else(|_| Self::Other("an address of no known length".to_owned()), Self::Ip)
            }
            other => Self::Other(other.to_string().chars().take(MAX_NAME_BYTES).collect()),
        }
    }

    pub(super) fn san(&self) -> Result<SanType, X509Error> {
        let ia5 = |text: &str| text.try_into().map_err(|_| refused(text, "is not ASCII"));
        match self {
            Self::Dns(host) => {
                check_host(host).map_err(|reason| refused(host, reason))?;
                Ok(SanType::DnsName(ia5(host)?))
            }
            Self::Ip(address) => Ok(SanType::IpAddress(*address)),
            Self::Email(mailbox) => {
                let (local, host) =
                    mailbox.rsplit_once('@').ok_or_else(|| refused(mailbox, "is not a mailbox"))?;
                check_host(host).map_err(|reason| refused(mailbox, reason))?;
                if local.is_empty() || host.starts_with('*') || !graphic(mailbox) {
                    return Err(refused(mailbox, "is not a mailbox"));
                }
                Ok(SanType::Rfc822Name(ia5(mailbox)?))
            }
            Self::Uri(uri) => {
                check_uri(uri)?;
                Ok(SanType::URI(ia5(uri)?))
            }
            Self::Other(name) => Err(refused(name, "is of a kind that is not written")),
        }
    }
}

impl fmt::Display for AltName {
    /// `DNS:example.org`, `IP:192.0.2.1`, `email:a@example.org`, `URI:spiffe://example.org/a`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(host) => write!(f, "DNS:{host}"),
            Self::Ip(address) => write!(f, "IP:{address}"),
            Self::Email(mailbox) => write!(f, "email:{mailbox}"),
            Self::Uri(uri) => write!(f, "URI:{uri}"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

fn graphic(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An absolute URI, in ASCII.
pub(super) fn check_uri(uri: &str) -> Result<(), X509Error> {
    let scheme = uri.split_once(':').filter(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !rest.is_empty()
    });
    if scheme.is_none() || !graphic(uri) {
        return Err(refused(uri, "is not an absolute URI in ASCII"));
    }
    Ok(())
}

/// Letters, digits, hyphens; `*` as the whole first label, over two others at least.
fn check_host(host: &str) -> Result<(), &'static str> {
    if host.len() > 253 {
        return Err("is longer than 253 bytes");
    }
    let plain = host.strip_prefix("*.").unwrap_or(host);
    if plain.len() < host.len() && !plain.contains('.') {
        return Err("stands for every host of a top-level domain");
    }
    for label in plain.split('.') {
        if label.is_empty() || label.len() > 63 {
            return Err("has a label that is empty or longer than 63 bytes");
        }
        let ends = label.starts_with('-') || label.ends_with('-');
        if ends || !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return Err("is not a host name (international ones stand in their ASCII form)");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_one_meaning_are_written() {
        let dns = |name: &str| AltName::Dns(name.to_owned()).san().is_ok();
        for name in ["example.org", "*.example.org", "localhost", "xn--bcher-kva.example", "a_b.c"] {
            assert!(dns(name), "{name}");
        }
        for name in [
            "",
            ".",
            "a..b",
            "*",
            "*.org",
            "a.*.org",
            "*a.example.org",
            "-a.b",
            "a b",
            "bücher.example",
            "a.b\0",
            "a.b.",
        ] {
            assert!(!dns(name), "{name:?}");
        }
        let email = |name: &str| AltName::Email(name.to_owned()).san().is_ok();
        assert!(email("a@example.org") && email("\"x@y\"@example.org"));
        assert!(!email("a") && !email("@b") && !email("a@*.example.org") && !email("a\n@b.c"));
        let uri = |name: &str| AltName::Uri(name.to_owned()).san().is_ok();
        assert!(uri("spiffe://example.org/a") && uri("urn:x:y"));
        assert!(!uri("/a") && !uri("http:") && !uri("1a:b") && !uri("http://a b"));
    }

    #[test]
    fn subjects_are_bounded() {
        let name = |text: &str| Subject::named(text).distinguished_name().is_ok();
        assert!(name("Ünïcode CA") && name(&"x".repeat(64)));
        assert!(!name("") && !name(" x") && !name("a\nb") && !name(&"x".repeat(65)));
        let country = |text: &str| Subject { country: Some(text.to_owned()), ..Subject::default() };
        assert!(country("DE").distinguished_name().is_ok());
        assert!(country("de").distinguished_name().is_err() && country("DEU").distinguished_name().is_err());
    }
}
