//! Against forged form posts: a check of where the post came from (ABUSE-CASES AC-59, AC-60), and the cookie value that
//! a door's form tokens are bound to. The tokens themselves are the door's: it seals them for the browser's value.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use keyreeve_base::World;
use url::Url;

/// Why a form post was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CsrfError {
    /// The token is missing or was made for another browser, purpose or server.
    #[error("the form is no longer valid; load the page again")]
    Token,
    /// The request comes from a page of another origin.
    #[error("the form was sent from another site")]
    Origin,
}

/// A new value for the cookie that marks a browser: 22 characters, 128 bits.
#[must_use]
pub fn browser_nonce(world: &World) -> String {
    URL_SAFE_NO_PAD.encode(world.random_bytes::<16>())
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
