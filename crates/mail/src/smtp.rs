//! The SMTP server that takes messages, as one URL names it:
//!
//! - `smtp://USER:PASSWORD@HOST:587`: the connection is encrypted by STARTTLS before anything else is said (RFC 3207);
//!   a server that does not offer it gets nothing. Only on this machine's own loopback addresses it stays plain.
//! - `smtps://USER:PASSWORD@HOST:465`: encrypted from the first byte (RFC 8314).
//!
//! User name and password are percent-encoded, as in every URL; both or neither.

use keyreeve_crypto::Secret;
use percent_encoding::percent_decode_str;
use std::net::IpAddr;
use url::{Host, Url};

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Not at all: loopback only.
    Plain,
    /// By STARTTLS, which must succeed.
    StartTls,
    /// From the first byte.
    Tls,
}

/// An SMTP server.
pub struct SmtpServer {
    /// Its name or address; also what its certificate must be for.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// The user name, where one is needed.
    pub user: Option<String>,
    /// The password that goes with it.
    pub password: Option<Secret>,
}

impl SmtpServer {
    /// Reads the URL.
    ///
    /// # Errors
    /// What is wrong with it, as it reads on from the name of the setting; the URL is not repeated, since it may hold a
    /// password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("is not a URL ({error})"))?;
        let host = match url.host_str().map(Host::parse) {
            Some(Ok(Host::Domain(name))) if !name.is_empty() => name,
            Some(Ok(Host::Ipv4(address))) => address.to_string(),
            Some(Ok(Host::Ipv6(address))) => address.to_string(),
            _ => return Err("names no host; write smtp://HOST:587 or smtps://HOST".to_owned()),
        };
        let (security, usual_port) = match url.scheme() {
            "smtps" => (Security::Tls, 465),
            "smtp" if is_loopback(&host) => (Security::Plain, 25),
            "smtp" => (Security::StartTls, 587),
            other => {
                return Err(format!(
                    "begins with {other}://; allowed are smtp:// (STARTTLS) and smtps:// (encrypted from the start)"
                ));
            }
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(
                "has something behind the host and port; write smtp://USER:PASSWORD@HOST:587".to_owned()
            );
        }
        let decoded = |text: &str| {
            let decoded = percent_decode_str(text).decode_utf8();
            decoded
                .map(|text| text.into_owned())
                .map_err(|_| "has a user or password that is not UTF-8".to_owned())
        };
        let user = match url.username() {
            "" => None,
            user => Some(decoded(user)?),
        };
        let password = url.password().map(decoded).transpose()?.map(Secret::from);
        if user.is_none() && password.is_some() {
            return Err("has a password and no user name".to_owned());
        }
        Ok(Self { host, port: url.port().unwrap_or(usual_port), security, user, password })
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_scheme_and_the_host_decide_how_the_connection_is_protected() {
        for (url, host, port, security) in [
            ("smtp://mail.example", "mail.example", 587, Security::StartTls),
            ("smtp://mail.example:25/", "mail.example", 25, Security::StartTls),
            ("smtps://mail.example", "mail.example", 465, Security::Tls),
            ("smtp://localhost", "localhost", 25, Security::Plain),
            ("smtp://127.0.0.1:2525", "127.0.0.1", 2525, Security::Plain),
            ("smtp://[::1]:2525", "::1", 2525, Security::Plain),
            ("smtp://10.0.0.1", "10.0.0.1", 587, Security::StartTls),
            ("smtps://127.0.0.1", "127.0.0.1", 465, Security::Tls),
        ] {
            let server = SmtpServer::parse(url).unwrap();
            assert_eq!((server.host.as_str(), server.port, server.security), (host, port, security), "{url}");
        }
    }

    #[test]
    fn credentials_are_percent_decoded() {
        let server = SmtpServer::parse("smtp://ada%40example.org:p%3A%2Fss@mail.example").unwrap();
        assert_eq!(server.user.as_deref(), Some("ada@example.org"));
        assert_eq!(server.password.unwrap().expose(), "p:/ss");
        assert!(SmtpServer::parse("smtp://ada@mail.example").unwrap().password.is_none());
    }

    #[test]
    fn a_wrong_url_is_refused_without_repeating_its_password() {
        for bad in [
            "mail.example:25",
            "http://u:hunter2@mail.example",
            "smtp://:hunter2@mail.example",
            "smtp://u:hunter2@mail.example/path",
            "smtp://u:hunter2@mail.example?tls=none",
            "smtp:u:hunter2",
            "smtp://",
            "",
        ] {
            let problem = SmtpServer::parse(bad).err().unwrap_or_else(|| panic!("{bad} is accepted"));
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(smtps?://)?\\PC{0,80}") {
            let _ = SmtpServer::parse(&text);
        }
    }
}
