//! Redirect URIs: parsed when registered, compared as text when used (RFC 9700 section 4.1.3; AC-01 to AC-04, AC-07).

use std::fmt;
use url::Url;

/// The longest redirect URI that is accepted, in bytes.
pub const MAX_REDIRECT_URI_BYTES: usize = 2_000;

/// A redirect URI that a client may register: absolute, in its one normal spelling, and of a scheme to which a
/// browser can be sent without harm.
///
/// Accepted are `https`, `http` for the loopback hosts `127.0.0.1`, `[::1]` and `localhost`, and private-use schemes
/// that contain a dot (RFC 8252 section 7.1). Refused are fragments, user information, wildcards, backslashes, dot
/// segments (also encoded ones), hosts in upper case or with a trailing dot, default ports that are spelt out, and
/// anything that a URL parser would rewrite: with no second spelling, comparing text is comparing URIs.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RedirectUri(String);

/// Why a text is not a redirect URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedirectUriError {
    /// Empty, or longer than [`MAX_REDIRECT_URI_BYTES`].
    #[error("must have between 1 and 2000 bytes")]
    Length,
    /// Holds white space, a control character, a character outside of ASCII, or one that no URI may contain.
    #[error(
        "contains a character that no redirect URI may contain (write international host names in punycode)"
    )]
    Character,
    /// A percent sign without two hexadecimal digits, or an encoded dot, slash, backslash or control character.
    #[error(
        "contains a percent encoding that is malformed or hides a dot, a slash, a backslash or a control character"
    )]
    Encoding,
    /// No scheme, or one that is not accepted.
    #[error("must use https, or http with a loopback host, or a private-use scheme that contains a dot")]
    Scheme,
    /// `http` with a host that is not loopback.
    #[error("may use http only with the hosts 127.0.0.1, [::1] and localhost")]
    PlainHttp,
    /// A fragment.
    #[error("must not contain a fragment")]
    Fragment,
    /// User information before the host.
    #[error("must not contain user information")]
    UserInfo,
    /// No host, or one in another spelling than its normal one.
    #[error("must name a host in lower case, without wildcard and without trailing dot")]
    Host,
    /// A port that is empty, zero, out of range, zero-padded, or the scheme's default.
    #[error("must not spell out an empty, default, padded or impossible port")]
    Port,
    /// `.` or `..` in the path, or another spelling that a URL parser would rewrite.
    #[error("must be in normal form, without dot segments")]
    NotNormal,
}

impl RedirectUri {
    /// Reads a redirect URI.
    ///
    /// # Errors
    /// [`RedirectUriError`] names the first rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, RedirectUriError> {
        if text.is_empty() || text.len() > MAX_REDIRECT_URI_BYTES {
            return Err(RedirectUriError::Length);
        }
        check_characters(text)?;
        let (scheme, rest) = text.split_once(':').ok_or(RedirectUriError::Scheme)?;
        match scheme {
            "https" | "http" => check_web(text, scheme, rest)?,
            _ => check_private_use(text, scheme, rest)?,
        }
        Ok(Self(text.to_owned()))
    }

    /// The text as it was registered.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a request that names `presented` means this URI: the same bytes, except that the port of a loopback
    /// address may differ (RFC 8252 section 7.3; the name `localhost` has no such exception).
    #[must_use]
    pub fn matches(&self, presented: &str) -> bool {
        if self.0 == presented {
            return true;
        }
        let Some(registered) = loopback_without_port(&self.0) else { return false };
        Self::parse(presented).is_ok() && loopback_without_port(presented) == Some(registered)
    }

    /// Whether the response stays on this machine or goes to whichever app claimed the scheme, so that the URI does
    /// not prove who receives it (RFC 8252 section 8.6).
    #[must_use]
    pub fn is_native(&self) -> bool {
        !self.0.starts_with("https://")
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for RedirectUri {
    type Err = RedirectUriError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for RedirectUri {
    type Error = RedirectUriError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<RedirectUri> for String {
    fn from(uri: RedirectUri) -> Self {
        uri.0
    }
}

fn check_characters(text: &str) -> Result<(), RedirectUriError> {
    if text.contains('#') {
        return Err(RedirectUriError::Fragment);
    }
    // RFC 3986's reserved and unreserved characters and the percent sign, without '*': no wildcard ever looks valid.
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()+,;=%".contains(&b);
    if !text.bytes().all(allowed) {
        return Err(RedirectUriError::Character);
    }
    let mut rest = text;
    while let Some((_, tail)) = rest.split_once('%') {
        let code = tail.get(..2).ok_or(RedirectUriError::Encoding)?;
        let value = u8::from_str_radix(code, 16).map_err(|_| RedirectUriError::Encoding)?;
        if code.starts_with('+') || value < 0x20 || matches!(value, b'.' | b'/' | b'\\' | 0x7f) {
            return Err(RedirectUriError::Encoding);
        }
        rest = tail;
    }
    Ok(())
}

fn check_web(text: &str, scheme: &str, rest: &str) -> Result<(), RedirectUriError> {
    let rest = rest.strip_prefix("//").ok_or(RedirectUriError::Host)?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(RedirectUriError::UserInfo);
    }
    let (host, port) = split_port(authority)?;
    check_host(host)?;
    if let Some(port) = port {
        let number: u16 = port.parse().map_err(|_| RedirectUriError::Port)?;
        let default = if scheme == "https" { 443 } else { 80 };
        if number == 0 || number == default || number.to_string() != port {
            return Err(RedirectUriError::Port);
        }
    }
    if scheme == "http" && !is_loopback(host) {
        return Err(RedirectUriError::PlainHttp);
    }
    // The parser that browsers share has the last word: what it would rewrite has a second spelling.
    let normal = Url::parse(text).map_err(|_| RedirectUriError::NotNormal)?;
    let bare = rest.len() == authority.len();
    let same = if bare { normal.as_str().strip_suffix('/') == Some(text) } else { normal.as_str() == text };
    if same { Ok(()) } else { Err(RedirectUriError::NotNormal) }
}

fn check_private_use(text: &str, scheme: &str, rest: &str) -> Result<(), RedirectUriError> {
    let mut letters = scheme.bytes();
    let well_formed = letters.next().is_some_and(|b| b.is_ascii_lowercase())
        && letters.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+'));
    // The dot tells a reverse domain name from `javascript`, `data`, `file` and every other registered scheme.
    if !well_formed || !scheme.contains('.') || scheme.ends_with('.') || scheme.contains("..") {
        return Err(RedirectUriError::Scheme);
    }
    if rest.contains('@') {
        return Err(RedirectUriError::UserInfo);
    }
    let path = rest.split('?').next().unwrap_or_default();
    let dotted = path.split('/').any(|segment| segment == "." || segment == "..");
    if dotted || path.is_empty() || Url::parse(text).is_err() {
        return Err(RedirectUriError::NotNormal);
    }
    Ok(())
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), RedirectUriError> {
    let after_literal = authority.rfind(']').map_or(0, |end| end + 1);
    let tail = authority.get(after_literal..).unwrap_or_default();
    match tail.split_once(':') {
        None => Ok((authority, None)),
        Some((_, port)) if port.contains(':') => Err(RedirectUriError::Host),
        Some((name, port)) => {
            let host = authority.get(..after_literal + name.len()).unwrap_or_default();
            Ok((host, Some(port)))
        }
    }
}

fn check_host(host: &str) -> Result<(), RedirectUriError> {
    let literal = host.starts_with('[') && host.ends_with(']');
    let name = !host.is_empty()
        && host.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
        && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'));
    if literal || name { Ok(()) } else { Err(RedirectUriError::Host) }
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "127.0.0.1" | "[::1]" | "localhost")
}

/// The host and what follows the port, when `uri` is `http` to a loopback address.
fn loopback_without_port(uri: &str) -> Option<(&'static str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    for host in ["127.0.0.1", "[::1]"] {
        let Some(tail) = rest.strip_prefix(host) else { continue };
        let Some(ported) = tail.strip_prefix(':') else {
            return (tail.is_empty() || tail.starts_with(['/', '?'])).then_some((host, tail));
        };
        return Some((host, ported.trim_start_matches(|c: char| c.is_ascii_digit())));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &[&str] = &[
        "https://app.example.com/cb",
        "https://app.example.com",
        "https://app.example.com/",
        "https://app.example.com:8443/cb?tenant=a&b=%20",
        "https://xn--bcher-kva.example/cb",
        "https://192.0.2.7/cb",
        "https://[2001:db8::1]/cb",
        "http://127.0.0.1/cb",
        "http://127.0.0.1:49152/cb",
        "http://[::1]:49152/cb",
        "http://localhost:3000/cb",
        "com.example.app:/cb",
        "com.example.app://cb/x",
    ];

    const BAD: &[&str] = &[
        "",
        "/cb",
        "app.example.com/cb",
        "//app.example.com/cb",
        "https:app.example.com",
        "https:/app.example.com",
        "https://",
        "https:///cb",
        "http://app.example.com/cb",
        "http://127.0.0.1.example.com/cb",
        "http://127.1/cb",
        "https://2130706433/cb",
        "https://0x7f.1/cb",
        "https://[::0001]/cb",
        "https://[::1/cb",
        "https://app.example.com/cb#",
        "https://app.example.com/cb#x",
        "https://user@app.example.com/cb",
        "https://user:pw@app.example.com/cb",
        "https://good.example@evil.example/cb",
        "https://app.example.com\\@evil.example/cb",
        "https://*.example.com/cb",
        "https://app.example.com/*",
        "https://APP.example.com/cb",
        "HTTPS://app.example.com/cb",
        "https://app.example.com./cb",
        "https://app..example.com/cb",
        "https://bücher.example/cb",
        "https://app.example.com:443/cb",
        "http://localhost:80/cb",
        "https://app.example.com:/cb",
        "https://app.example.com:0/cb",
        "https://app.example.com:08443/cb",
        "https://app.example.com:99999/cb",
        "https://app.example.com/a/../cb",
        "https://app.example.com/./cb",
        "https://app.example.com/a/%2e%2e/cb",
        "https://app.example.com/%2E/cb",
        "https://app.example.com/a%2fb",
        "https://app.example.com/a%5cb",
        "https://app.example.com/a%00",
        "https://app.example.com/a%0d%0aSet-Cookie:x",
        "https://app.example.com/a%zz",
        "https://app.example.com/a%",
        "https://app.example.com/a b",
        " https://app.example.com/cb",
        "https://app.example.com/cb\n",
        "https://app.example.com?x=1",
        "javascript:alert(1)",
        "javascript://app.example.com/%0aalert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://app.example.com/x",
        "about:blank",
        "myapp:/cb",
        "com.example..app:/cb",
        "com.example.app:",
        "com.example.app:/a/../b",
        "Com.example.app:/cb",
        "1com.example.app:/cb",
    ];

    #[test]
    fn good_uris_are_accepted_and_match_themselves() {
        for good in GOOD {
            let uri = RedirectUri::parse(good).unwrap_or_else(|e| panic!("{good}: {e}"));
            assert!(uri.matches(good));
        }
    }

    #[test]
    fn ac_04_ac_07_uris_that_can_be_read_two_ways_are_refused() {
        for bad in BAD {
            assert!(RedirectUri::parse(bad).is_err(), "{bad}");
        }
        assert!(RedirectUri::parse(&format!("https://a.example/{}", "x".repeat(2_000))).is_err());
    }

    #[test]
    fn ac_01_a_host_is_no_pattern() {
        let uri = RedirectUri::parse("https://foo.example.com/cb").unwrap();
        for other in [
            "https://fooaexample.com/cb",
            "https://foo.example.com/cb/",
            "https://foo.example.com/cbx",
            "https://foo.example.com/CB",
            "https://foo.example.com/cb?",
            "https://foo.example.com/cb?x",
            "https://foo.example.com:443/cb",
            "https://foo.example.com./cb",
            "https://FOO.example.com/cb",
            "https://foo.example.com/x/../cb",
            "https://foo.example.com/c%62",
            "http://foo.example.com/cb",
        ] {
            assert!(!uri.matches(other), "{other}");
        }
    }

    #[test]
    fn ac_02_a_prefix_is_no_match() {
        let uri = RedirectUri::parse("https://portal.example.com").unwrap();
        for other in [
            "https://portal.example.com.evil.tld/",
            "https://portal.example.com@evil.tld/",
            "https://portal.example.com/",
            "https://portal.example.com:8443",
            "https://portal.example.com?x",
        ] {
            assert!(!uri.matches(other), "{other}");
        }
    }

    #[test]
    fn only_the_port_of_a_loopback_address_may_differ() {
        let uri = RedirectUri::parse("http://127.0.0.1/cb").unwrap();
        assert!(uri.matches("http://127.0.0.1:51000/cb"));
        for other in [
            "http://127.0.0.1:51000/cb/x",
            "http://127.0.0.1:51000/cb#x",
            "http://127.0.0.1:99999/cb",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:x/cb",
            "http://127.0.0.1.evil.tld/cb",
            "http://127.0.0.1:51000@evil.tld/cb",
            "http://127.0.0.1@evil.tld/cb",
            "http://localhost:51000/cb",
            "http://[::1]:51000/cb",
            "https://127.0.0.1:51000/cb",
            "http://127.0.0.10/cb",
        ] {
            assert!(!uri.matches(other), "{other}");
        }
        let v6 = RedirectUri::parse("http://[::1]:5000/cb").unwrap();
        assert!(v6.matches("http://[::1]/cb"));
        let name = RedirectUri::parse("http://localhost:3000/cb").unwrap();
        assert!(!name.matches("http://localhost:3001/cb"));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_read_alike_by_a_url_parser(text in "https?://[a-z0-9.:@\\\\%/*\\[\\]?#-]{1,40}") {
            if let Ok(uri) = RedirectUri::parse(&text) {
                let parsed = Url::parse(uri.as_str()).unwrap();
                prop_assert!(parsed.username().is_empty() && parsed.password().is_none());
                prop_assert!(parsed.fragment().is_none());
                let with_slash = format!("{text}/");
                prop_assert!(parsed.as_str() == text || parsed.as_str() == with_slash);
                let beginning = format!("{}://{}", parsed.scheme(), parsed.host_str().unwrap());
                prop_assert!(text.starts_with(&beginning));
            }
        }

        #[test]
        fn nothing_makes_the_parser_panic(text in "\\PC{0,60}") {
            let _ = RedirectUri::parse(&text);
            let _ = RedirectUri::parse("http://127.0.0.1/cb").unwrap().matches(&text);
        }
    }
}
