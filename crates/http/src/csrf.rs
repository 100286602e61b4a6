//! Against forged form posts: a token bound to a cookie of the browser, and a check of where the post came from.
//!
//! The two checks are independent and both are made: the token proves that the page was made for this browser, the
//! origin check refuses what a foreign page sends (ABUSE-CASES AC-59, AC-60). Neither replaces admission.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use keyreeve_base::World;
use url::Url;

/// The name of the hidden field that carries the token.
pub const FIELD: &str = "csrf";

/// The key by which one server (all of its nodes) makes tokens.
pub struct CsrfSecret {
    key: hmac::Key,
}

/// Why a form post was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CsrfError {
    /// The browser sent no cookie that a token could be bound to.
    #[error("the browser sent no cookie; cookies must be allowed for this site")]
    NoCookie,
    /// The token is missing or was made for another browser, purpose or server.
    #[error("the form is no longer valid; load the page again")]
    Token,
    /// The request comes from a page of another origin.
    #[error("the form was sent from another site")]
    Origin,
}

impl CsrfSecret {
    /// A maker of tokens from a derived key of 32 bytes, the same on every node.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// A new value for the browser's cookie: 22 characters, 128 bits.
    #[must_use]
    pub fn browser_nonce(world: &World) -> String {
        URL_SAFE_NO_PAD.encode(world.random_bytes::<16>())
    }

    /// The token for forms of this `purpose` (a literal of the page, such as `sign-in`) in the browser whose cookie
    /// holds `browser_nonce`. 43 characters.
    #[must_use]
    pub fn token(&self, browser_nonce: &str, purpose: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, &message(browser_nonce, purpose)))
    }

    /// Whether `token` is the one of this browser and purpose; compared in constant time.
    ///
    /// # Errors
    /// [`CsrfError::NoCookie`] without a nonce, [`CsrfError::Token`] when the token is missing or another.
    pub fn check(
        &self,
        browser_nonce: Option<&str>,
        purpose: &str,
        token: Option<&str>,
    ) -> Result<(), CsrfError> {
        let nonce = browser_nonce.filter(|nonce| !nonce.is_empty()).ok_or(CsrfError::NoCookie)?;
        let tag = token.and_then(|token| URL_SAFE_NO_PAD.decode(token).ok()).ok_or(CsrfError::Token)?;
        hmac::verify(&self.key, &message(nonce, purpose), &tag).map_err(|_| CsrfError::Token)
    }
}

/// Both parts, the first with its length, so that no two pairs make the same message.
fn message(browser_nonce: &str, purpose: &str) -> Vec<u8> {
    let mut bytes = (browser_nonce.len() as u64).to_be_bytes().to_vec();
    bytes.extend_from_slice(browser_nonce.as_bytes());
    bytes.extend_from_slice(purpose.as_bytes());
    bytes
}

impl std::fmt::Debug for CsrfSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CsrfSecret")
    }
}

/// Whether a state-changing request comes from this server's own pages, as far as the browser says.
///
/// `Origin`, where sent, must be the public URL's origin to the byte; `Sec-Fetch-Site`, where sent, must be
/// `same-origin` or `none`. The opaque origin `null` passes only with `Sec-Fetch-Site: same-origin`, which no foreign
/// page can cause: browsers send that pair for a page with `Referrer-Policy: no-referrer`. A client that sends
/// neither header is no browser of today; it still needs the token.
///
/// # Errors
/// [`CsrfError::Origin`] when the request comes from elsewhere, or says so twice.
pub fn same_origin(headers: &HeaderMap, public_url: &Url) -> Result<(), CsrfError> {
    let site = single(headers, "sec-fetch-site")?;
    let origin = single(headers, header::ORIGIN.as_str())?;
    let own_site = match site {
        None | Some(b"same-origin" | b"none") => true,
        Some(_) => false,
    };
    let own_origin = match origin {
        None => true,
        Some(b"null") => site == Some(b"same-origin"),
        Some(origin) => origin == public_url.origin().ascii_serialization().as_bytes(),
    };
    if own_site && own_origin { Ok(()) } else { Err(CsrfError::Origin) }
}

fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h [u8]>, CsrfError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(http::HeaderValue::as_bytes)),
        (_, Some(_)) => Err(CsrfError::Origin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(headers: &[(&'static str, &'static str)]) -> Result<(), CsrfError> {
        let headers = headers.iter().map(|&(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        same_origin(&headers, &Url::parse("https://example.com/base").unwrap())
    }

    #[test]
    fn a_token_is_good_for_its_browser_purpose_and_server_only() {
        let secret = CsrfSecret::new(&[7; 32]);
        let token = secret.token("nonce", "sign-in");
        assert_eq!(token.len(), 43);
        assert_eq!(secret.check(Some("nonce"), "sign-in", Some(&token)), Ok(()));
        let refused = Err(CsrfError::Token);
        assert_eq!(secret.check(Some("other"), "sign-in", Some(&token)), refused);
        assert_eq!(secret.check(Some("nonce"), "consent", Some(&token)), refused);
        assert_eq!(secret.check(Some("noncesign"), "-in", Some(&token)), refused);
        assert_eq!(CsrfSecret::new(&[8; 32]).check(Some("nonce"), "sign-in", Some(&token)), refused);
        assert_eq!(secret.check(Some("nonce"), "sign-in", None), refused);
        for bad in ["", "é", "x", &token[1..], &format!("{token}A"), &token.to_lowercase()] {
            assert_eq!(secret.check(Some("nonce"), "sign-in", Some(bad)), refused, "{bad}");
        }
    }

    #[test]
    fn without_a_cookie_no_token_is_good() {
        let secret = CsrfSecret::new(&[7; 32]);
        let token = secret.token("", "sign-in");
        assert_eq!(secret.check(None, "sign-in", Some(&token)), Err(CsrfError::NoCookie));
        assert_eq!(secret.check(Some(""), "sign-in", Some(&token)), Err(CsrfError::NoCookie));
    }

    #[test]
    fn ac_59_the_origin_is_compared_whole() {
        assert_eq!(from(&[("origin", "https://example.com")]), Ok(()));
        for foreign in [
            "https://badexample.com",
            "https://example.com.evil.test",
            "https://sub.example.com",
            "http://example.com",
            "https://example.com:8443",
            "https://example.com:443",
            "https://example.com/",
            "https://EXAMPLE.com",
            "https://example.com https://evil.test",
            "null",
            "",
            "https://example.com\\@evil.test",
        ] {
            assert_eq!(from(&[("origin", foreign)]), Err(CsrfError::Origin), "{foreign}");
        }
    }

    #[test]
    fn ac_60_what_a_foreign_page_posts_is_refused() {
        for site in ["cross-site", "same-site", "", "Same-Origin", "unknown"] {
            assert_eq!(from(&[("sec-fetch-site", site)]), Err(CsrfError::Origin), "{site}");
            let both = [("origin", "https://example.com"), ("sec-fetch-site", site)];
            assert_eq!(from(&both), Err(CsrfError::Origin), "{site}");
        }
        let twice = [("origin", "https://example.com"), ("origin", "https://evil.test")];
        assert_eq!(from(&twice), Err(CsrfError::Origin));
        assert_eq!(from(&[("origin", "null"), ("sec-fetch-site", "cross-site")]), Err(CsrfError::Origin));
        assert_eq!(from(&[("origin", "null"), ("sec-fetch-site", "none")]), Err(CsrfError::Origin));
        assert_eq!(from(&[("origin", "null"), ("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(from(&[("origin", "https://example.com"), ("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(from(&[]), Ok(()));
    }
}
