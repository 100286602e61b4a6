//! A URL that may be fetched, as far as its text tells.

use crate::FetchError;
use crate::address::Reach;
use std::net::IpAddr;
use url::{Host, Url};

/// The longest URL, in bytes.
pub const MAX_URL_BYTES: usize = 2_048;

/// A URL that was checked: its scheme, its host, what must not be in it. Whether its host may be reached is known only
/// when the name has been resolved, unless it is an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
    host: TargetHost,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TargetHost {
    Name(String),
    Address(IpAddr),
}

impl Target {
    /// Reads the URL. Without `private`, only `https` and no address that is not for the public.
    ///
    /// # Errors
    /// [`FetchError::Url`] with what is wrong; [`FetchError::Refused`] for an address that may not be reached.
    pub fn parse(text: &str, private: bool) -> Result<Self, FetchError> {
        if text.len() > MAX_URL_BYTES {
            return Err(FetchError::Url("is longer than 2048 bytes"));
        }
        // The parser drops these; a URL that needs it is a mistake, or meant to be read in two ways.
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(FetchError::Url("contains spaces or control characters"));
        }
        let url = Url::parse(text).map_err(|_| FetchError::Url("cannot be read; write https://HOST/PATH"))?;
        match url.scheme() {
            "https" => {}
            "http" if private => {}
            "http" => return Err(FetchError::Url("is not https")),
            _ => return Err(FetchError::Url("has a scheme other than https")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::Url("contains a user name or password"));
        }
        if url.fragment().is_some() {
            return Err(FetchError::Url("contains a fragment"));
        }
        let Some(port) = url.port_or_known_default().filter(|port| *port != 0) else {
            return Err(FetchError::Url("has no port to connect to"));
        };
        let host = match url.host() {
            Some(Host::Domain(name)) => TargetHost::Name(host_name(name)?),
            Some(Host::Ipv4(address)) => TargetHost::Address(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => TargetHost::Address(IpAddr::V6(address)),
            None => return Err(FetchError::Url("has no host")),
        };
        if let TargetHost::Address(address) = host
            && !Reach::of(address).allowed(private)
        {
            return Err(FetchError::Refused(address));
        }
        Ok(Self { url, host, port })
    }

    /// The URL, normalized.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) const fn host(&self) -> &TargetHost {
        &self.host
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The `Host` header: as in the URL, with the port unless it is the scheme's own (RFC 9110 section 7.2).
    pub(crate) fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The path and the query, which is all that the host needs to see.
    pub(crate) fn path_and_query(&self) -> String {
        match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        }
    }
}

/// The name to resolve and to find in the certificate: without the root's dot, and long enough to be somebody's.
fn host_name(name: &str) -> Result<String, FetchError> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| !label.is_empty() && label.len() <= 63;
    if name.len() > 253 || !name.split('.').all(label) {
        return Err(FetchError::Url("has no valid host name"));
    }
    Ok(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Target::parse(text, false).expect_err(text).to_string()
    }

    #[test]
    fn says_what_is_wrong_with_a_url() {
        for (text, says) in [
            ("http://app.example/", "is not https"),
            ("ftp://app.example/", "scheme other than https"),
            ("file:///etc/passwd", "scheme other than https"),
            ("gopher://app.example/", "scheme other than https"),
            ("app.example/hook", "cannot be read"),
            ("https://", "cannot be read"),
            ("https://user@app.example/", "user name or password"),
            ("https://:secret@app.example/", "user name or password"),
            ("https://app.example/#part", "fragment"),
            ("https://app.example:0/", "no port"),
            ("https://app.example/a b", "spaces or control"),
            ("https://app.example/\r\nHost: other", "spaces or control"),
            ("https://a..example/", "no valid host name"),
            ("https://127.0.0.1/", "127.0.0.1"),
            ("https://2130706433/", "127.0.0.1"),
            ("https://0x7f.1/", "127.0.0.1"),
            ("https://0177.0.0.1/", "127.0.0.1"),
            ("https://①②⑦.0.0.1/", "127.0.0.1"),
            ("https://[::ffff:a00:1]/", "::ffff:10.0.0.1"),
            ("https://169.254.169.254/latest/meta-data/", "169.254.169.254"),
        ] {
            let said = refusal(text);
            assert!(said.contains(says), "{text}: {said}");
        }
        assert!(refusal(&format!("https://app.example/{}", "a".repeat(3_000))).contains("longer"));
        assert!(refusal(&format!("https://{}.example/", "a".repeat(64))).contains("host name"));
    }

    #[test]
    fn takes_apart_what_it_accepts() {
        let target = Target::parse("https://App.Example.:8443/hook?a=1", false).expect("a target");
        assert_eq!(target.host(), &TargetHost::Name("app.example".to_owned()));
        assert_eq!((target.port(), target.is_tls()), (8443, true));
        assert_eq!(target.authority(), "app.example.:8443");
        assert_eq!(target.path_and_query(), "/hook?a=1");
        let target = Target::parse("http://[::1]", true).expect("a target");
        assert_eq!(
            (target.port(), target.authority().as_str(), target.path_and_query().as_str()),
            (80, "[::1]", "/")
        );
        assert!(Target::parse("https://169.254.169.254/", true).is_err());
    }
}
