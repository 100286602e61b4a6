//! The address under which people and clients reach this server: the only source of links and issuers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use url::{Host, Url};

/// A checked public URL: `https://host[:port]`, or `http` for loopback hosts, without path, query or fragment. It
/// prints without a trailing slash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicUrl(Url);

impl PublicUrl {
    /// Reads `text`. Plain http is refused for hosts other than loopback unless `allow_insecure`.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what to write instead.
    pub fn parse(text: &str, allow_insecure: bool) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| {
            format!("{text:?} is not a URL ({error}); write it as https://id.example.com")
        })?;
        let wrong = |what: &str| Err(format!("{text:?} {what}; write it as https://id.example.com"));
        match (url.scheme(), url.host()) {
            (_, None) => return wrong("has no host"),
            ("https", _) => {}
            ("http", Some(host)) if allow_insecure || is_loopback(&host) => {}
            ("http", _) => {
                return Err(format!(
                    "{text:?} is plain http, which is allowed for loopback addresses only: passwords and tokens would \
                     cross the network unprotected. Use https, or set allow_insecure_public_url (a closed test network)"
                ));
            }
            _ => return wrong("is neither https nor http"),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return wrong("holds a user name or password");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return wrong("has a query or a fragment");
        }
        if url.path() != "/" {
            return wrong(
                "has a path. Keyreeve answers at the root of a host of its own (its cookies are bound to it)",
            );
        }
        Ok(Self(url))
    }

    /// What is used when nothing was configured: the address that the server listens on, which must be one that only
    /// this machine can reach, or all of them.
    ///
    /// # Errors
    /// A sentence, when the server listens on one particular address of a network.
    pub fn of_listener(listen: SocketAddr) -> Result<Self, String> {
        let host = match listen.ip() {
            ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            ip if ip.is_loopback() => ip,
            ip => {
                return Err(format!(
                    "must be set when the server listens on {ip}: links and issuers are made from it, and plain http \
                     is for loopback addresses only"
                ));
            }
        };
        let text = format!("http://{}", SocketAddr::new(host, listen.port()));
        Self::parse(&text, false)
    }

    /// The URL itself.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// Whether browsers reach the server by https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether only this machine can reach the server by this URL.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.0.host().is_some_and(|host| is_loopback(&host))
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => *ip == Ipv6Addr::LOCALHOST,
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_for_people_are_accepted() {
        for (text, shown) in [
            ("https://id.example.com", "https://id.example.com"),
            ("https://id.example.com/", "https://id.example.com"),
            ("https://ID.Example.com:443", "https://id.example.com"),
            ("https://id.example.com:8443", "https://id.example.com:8443"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://127.0.0.1", "http://127.0.0.1"),
        ] {
            assert_eq!(PublicUrl::parse(text, false).map(|url| url.to_string()), Ok(shown.to_owned()));
        }
        assert!(PublicUrl::parse("http://id.internal", true).is_ok());
    }

    #[test]
    fn what_would_be_unsafe_or_unclear_is_refused() {
        for (text, word) in [
            ("id.example.com", "not a URL"),
            ("ftp://id.example.com", "neither https nor http"),
            ("http://id.example.com", "plain http"),
            ("http://localhost.example.com", "plain http"),
            ("https://user:pass@id.example.com", "user name or password"),
            ("https://id.example.com/auth", "has a path"),
            ("https://id.example.com/?x=1", "query"),
            ("https://id.example.com/#x", "fragment"),
            ("https://", "not a URL"),
        ] {
            let refusal = PublicUrl::parse(text, false).unwrap_err();
            assert!(refusal.contains(word), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_loopback_listener_needs_no_public_url() {
        let of = |text: &str| PublicUrl::of_listener(text.parse().unwrap()).map(|url| url.to_string());
        assert_eq!(of("127.0.0.1:8080"), Ok("http://127.0.0.1:8080".to_owned()));
        assert_eq!(of("0.0.0.0:80"), Ok("http://127.0.0.1".to_owned()));
        assert_eq!(of("[::1]:9"), Ok("http://[::1]:9".to_owned()));
        assert!(of("192.0.2.1:80").unwrap_err().contains("must be set"));
    }
}
