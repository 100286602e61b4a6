//! Cookies: read strictly, set with every protection that the public URL allows.
//!
//! Where the server is reached by https, names bear the `__Host-` prefix, so that no sibling host and no plain-text
//! connection can plant one (RFC 6265bis section 4.1.3.2, ABUSE-CASES AC-60).
//! Reading has two outcomes only: the value, or none. A malformed or repeated cookie is none (AC-12).

use crate::limits::MAX_COOKIE_VALUE_BYTES;
use http::{HeaderMap, HeaderValue, header};
use std::time::Duration;
use url::Url;

/// How cookies are named and protected, decided once from the public URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CookieNames {
    /// Whether browsers reach the server by https.
    pub secure: bool,
}

/// A cookie could not be set: its value is too long or holds a character that no cookie value may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cookie value is too long or holds a forbidden character")]
pub struct CookieError;

impl CookieNames {
    /// The naming that fits the public URL.
    #[must_use]
    pub fn of(public_url: &Url) -> Self {
        Self { secure: public_url.scheme() == "https" }
    }

    /// The name on the wire of the cookie that the code calls `base`.
    #[must_use]
    pub fn name(self, base: &str) -> String {
        format!("{}{base}", self.prefix())
    }

    const fn prefix(self) -> &'static str {
        if self.secure { "__Host-" } else { "" }
    }

    /// The value of the cookie `base`; `None` when it is absent, empty, malformed, too long or sent more than once.
    #[must_use]
    pub fn read<'h>(self, headers: &'h HeaderMap, base: &str) -> Option<&'h str> {
        let mut found = None;
        for header in headers.get_all(header::COOKIE) {
            for pair in header.as_bytes().split(|&byte| byte == b';') {
                let pair = pair.trim_ascii();
                let Some(rest) = pair.strip_prefix(self.prefix().as_bytes()) else { continue };
                let Some(rest) = rest.strip_prefix(base.as_bytes()) else { continue };
                let value = match rest {
                    [b'=', value @ ..] => value,
                    // The name without a value still counts as an occurrence.
                    [] => &[],
                    // A longer name.
                    _ => continue,
                };
                if found.replace(value).is_some() {
                    return None;
                }
            }
        }
        let value = found.filter(|value| !value.is_empty() && is_value(value))?;
        std::str::from_utf8(value).ok()
    }

    /// The `Set-Cookie` value that stores `value` as the cookie `base`: until the browser closes, or for `max_age`.
    ///
    /// # Errors
    /// [`CookieError`] when `value` is empty, longer than [`MAX_COOKIE_VALUE_BYTES`] or not plain cookie characters.
    pub fn set(self, base: &str, value: &str, max_age: Option<Duration>) -> Result<HeaderValue, CookieError> {
        if value.is_empty() || !is_value(value.as_bytes()) {
            return Err(CookieError);
        }
        let age = max_age.map(|age| format!("; Max-Age={}", age.as_secs())).unwrap_or_default();
        let text = format!("{}{base}={value}{}{age}", self.prefix(), self.attributes());
        let mut header = HeaderValue::try_from(text).map_err(|_| CookieError)?;
        header.set_sensitive(true);
        Ok(header)
    }

    /// The `Set-Cookie` value that removes the cookie `base`.
    ///
    /// # Errors
    /// [`CookieError`] when `base` is not a header text; it is a literal of the caller.
    pub fn clear(self, base: &str) -> Result<HeaderValue, CookieError> {
        let text = format!("{}{base}={}; Max-Age=0", self.prefix(), self.attributes());
        HeaderValue::try_from(text).map_err(|_| CookieError)
    }

    const fn attributes(self) -> &'static str {
        if self.secure {
            "; Path=/; Secure; HttpOnly; SameSite=Lax"
        } else {
            "; Path=/; HttpOnly; SameSite=Lax"
        }
    }
}

/// Whether this is a run of RFC 6265's cookie-octets (section 4.1.1) of bearable length.
fn is_value(value: &[u8]) -> bool {
    value.len() <= MAX_COOKIE_VALUE_BYTES
        && value
            .iter()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: CookieNames = CookieNames { secure: false };
    const HOST: CookieNames = CookieNames { secure: true };

    fn headers(values: &[&[u8]]) -> HeaderMap {
        values.iter().map(|value| (header::COOKIE, HeaderValue::from_bytes(value).unwrap())).collect()
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let sent = headers(&[b"a=1; sid=abc; b=\"x y\"; junk", b"c=3"]);
        assert_eq!(PLAIN.read(&sent, "sid"), Some("abc"));
        assert_eq!(PLAIN.read(&sent, "c"), Some("3"));
        assert_eq!(PLAIN.read(&sent, "si"), None);
        assert_eq!(PLAIN.read(&sent, "nope"), None);
        assert_eq!(PLAIN.read(&headers(&[b"xsid=1; sid2=2"]), "sid"), None);
        assert_eq!(PLAIN.read(&HeaderMap::new(), "sid"), None);
    }

    #[test]
    fn ac_12_a_malformed_cookie_is_absent() {
        for sent in [
            &b"sid"[..],
            b"sid=",
            b"sid=\"abc\"",
            b"sid=a b",
            b"sid=a,b",
            b"sid=a\\b",
            b"sid=\xff\xfe",
            b"sid=\xc3\xa9",
            b"sid =abc",
            b"SID=abc",
            b"=abc",
            b";;;=;sid",
            b"sid:abc",
            b"sid=a\tb",
        ] {
            assert_eq!(PLAIN.read(&headers(&[sent]), "sid"), None, "{}", sent.escape_ascii());
        }
        let long = format!("sid={}", "x".repeat(MAX_COOKIE_VALUE_BYTES + 1));
        assert_eq!(PLAIN.read(&headers(&[long.as_bytes()]), "sid"), None);
    }

    #[test]
    fn ac_12_a_cookie_sent_twice_is_absent() {
        for sent in
            [&[&b"sid=a; sid=b"[..]][..], &[b"sid=a", b"sid=a"], &[b"sid; sid=a"], &[b"sid=a; x=1; sid=\xff"]]
        {
            assert_eq!(PLAIN.read(&headers(sent), "sid"), None);
        }
    }

    #[test]
    fn ac_60_an_https_server_reads_and_sets_only_host_bound_cookies() {
        assert_eq!(HOST.read(&headers(&[b"sid=planted"]), "sid"), None);
        assert_eq!(HOST.read(&headers(&[b"__Secure-sid=planted; __host-sid=planted"]), "sid"), None);
        assert_eq!(HOST.read(&headers(&[b"sid=planted; __Host-sid=own"]), "sid"), Some("own"));
        assert_eq!(
            HOST.set("sid", "v", None).unwrap(),
            "__Host-sid=v; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
        assert!(!HOST.clear("sid").unwrap().to_str().unwrap().contains("Domain"));
        assert_eq!(CookieNames::of(&Url::parse("https://id.example").unwrap()), HOST);
        assert_eq!(CookieNames::of(&Url::parse("http://127.0.0.1:8080").unwrap()), PLAIN);
    }

    #[test]
    fn a_cookie_is_set_for_a_time_and_removed() {
        let set = PLAIN.set("sid", "v", Some(Duration::from_secs(60))).unwrap();
        assert_eq!(set, "sid=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=60");
        assert!(set.is_sensitive());
        assert_eq!(PLAIN.clear("sid").unwrap(), "sid=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
        for bad in ["", "a;b", "a b", "a\r\nSet-Cookie: x=y", "é", &"x".repeat(MAX_COOKIE_VALUE_BYTES + 1)] {
            assert_eq!(PLAIN.set("sid", bad, None), Err(CookieError), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let sent: HeaderMap = [(header::COOKIE, value)].into_iter().collect();
                let read = PLAIN.read(&sent, "sid");
                prop_assert!(read.is_none_or(|value| is_value(value.as_bytes())));
            }
        }

        #[test]
        fn what_was_set_is_read_back(value in "[!#-+\\--:<-\\[\\]-~]{1,100}", secure: bool) {
            let names = CookieNames { secure };
            let set = names.set("sid", &value, None).unwrap();
            let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
            let sent = headers(&[b"x=1", pair.as_bytes()]);
            prop_assert_eq!(names.read(&sent, "sid"), Some(value.as_str()));
        }
    }
}
