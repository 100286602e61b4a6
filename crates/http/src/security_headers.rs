//! The headers that protect a browser from what it is shown, and the content security policy of a page.

use http::{HeaderMap, HeaderValue, header};
use std::fmt::Write as _;
use url::Url;

/// A content security policy. It starts from nothing allowed but the server's own style sheets, images and form
/// targets; a page adds what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csp {
    scripts: bool,
    form_targets: Vec<String>,
}

impl Csp {
    /// The policy of a page without scripts, whose forms lead back to this server.
    #[must_use]
    pub fn page() -> Self {
        Self { scripts: false, form_targets: Vec::new() }
    }

    /// Scripts from files of this server are allowed; inline ones never are.
    #[must_use]
    pub fn scripts(mut self) -> Self {
        self.scripts = true;
        self
    }

    /// A form may also lead to the origin of `target`: browsers apply `form-action` to the redirects that follow a
    /// post, so a page whose post ends at a client's redirect URI must name it.
    ///
    /// A private-use scheme, and a host that a policy cannot express (an IPv6 literal), are allowed by scheme.
    #[must_use]
    pub fn form_target(mut self, target: &Url) -> Self {
        let plain_host = target.host_str().filter(|host| {
            !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        });
        let scheme = target.scheme();
        let source = match (plain_host, scheme) {
            (Some(host), "http" | "https") => match target.port() {
                Some(port) => format!("{scheme}://{host}:{port}"),
                None => format!("{scheme}://{host}"),
            },
            _ => format!("{scheme}:"),
        };
        if !self.form_targets.contains(&source) {
            self.form_targets.push(source);
        }
        self
    }

    /// The value of `Content-Security-Policy`.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        let mut text = String::from("default-src 'none'; style-src 'self'; img-src 'self'; ");
        text.push_str(if self.scripts { "script-src 'self'; " } else { "script-src 'none'; " });
        text.push_str("form-action 'self'");
        for target in &self.form_targets {
            let _ = write!(text, " {target}");
        }
        text.push_str("; frame-ancestors 'none'; base-uri 'none'");
        // Schemes and plain hosts are ASCII without white space, so the text is a header value.
        HeaderValue::try_from(text).unwrap_or(NOTHING)
    }
}

/// The policy of what is no page: should a browser show it all the same, it may do nothing.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// Two years, as browsers' preload lists ask for; without subdomains, which are not ours to speak for.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000");
/// Not `no-referrer`: under that, browsers send `Origin: null` with the page's own form posts, and the origin check
/// would have to take it. Towards other sites both send nothing.
const REFERRER: HeaderValue = HeaderValue::from_static("same-origin");
const OPENER: HeaderValue = HeaderValue::from_static("same-origin");
const PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "camera=(), geolocation=(), microphone=(), payment=(), usb=(), \
     publickey-credentials-create=(self), publickey-credentials-get=(self)",
);

/// What every answer bears. A header that the handler has set itself stays as it is.
#[derive(Debug, Clone, Copy)]
pub struct SecurityHeaders {
    https: bool,
}

impl SecurityHeaders {
    /// The headers for a server with this public URL.
    #[must_use]
    pub fn of(public_url: &Url) -> Self {
        Self { https: public_url.scheme() == "https" }
    }

    /// Adds what is missing. Those that mean something for documents alone stand on HTML alone.
    pub fn apply(self, headers: &mut HeaderMap) {
        let is_page =
            headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        headers.entry(header::CACHE_CONTROL).or_insert(NO_STORE);
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(NOTHING);
        if self.https {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
        if is_page {
            headers.entry(header::REFERRER_POLICY).or_insert(REFERRER);
            headers.entry("cross-origin-opener-policy").or_insert(OPENER);
            headers.entry("permissions-policy").or_insert(PERMISSIONS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> String {
        let policy = Csp::page().form_target(&Url::parse(text).unwrap()).header();
        let policy = policy.to_str().unwrap();
        let directive = policy.split("; ").find(|d| d.starts_with("form-action")).unwrap();
        directive.trim_start_matches("form-action 'self' ").to_owned()
    }

    #[test]
    fn a_page_may_do_what_it_names_and_no_more() {
        assert_eq!(
            Csp::page().header(),
            "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'none'; form-action 'self'; \
             frame-ancestors 'none'; base-uri 'none'"
        );
        assert!(Csp::page().scripts().header().to_str().unwrap().contains("script-src 'self';"));
    }

    #[test]
    fn a_form_target_is_an_origin_or_a_scheme_and_never_more() {
        assert_eq!(target("https://app.example/cb?x=y;z"), "https://app.example");
        assert_eq!(target("http://127.0.0.1:4711/cb"), "http://127.0.0.1:4711");
        assert_eq!(target("com.example.app:/cb"), "com.example.app:");
        assert_eq!(target("http://[::1]:4711/cb"), "http:");
        assert_eq!(target("https://a;script-src=evil/cb"), "https:");
        assert_eq!(target("https://a,b/cb"), "https:");
        let url = Url::parse("https://app.example/cb").unwrap();
        let twice = Csp::page().form_target(&url).form_target(&url);
        assert_eq!(twice, Csp::page().form_target(&url));
    }

    #[test]
    fn what_the_handler_set_stays() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
        headers.insert(header::CONTENT_SECURITY_POLICY, Csp::page().header());
        SecurityHeaders::of(&Url::parse("https://id.example").unwrap()).apply(&mut headers);
        assert_eq!(headers["cache-control"], "public, max-age=60");
        assert_eq!(headers["content-security-policy"], Csp::page().header());
        assert_eq!(headers["strict-transport-security"], "max-age=63072000");
        for name in
            ["referrer-policy", "cross-origin-opener-policy", "permissions-policy", "x-content-type-options"]
        {
            assert!(headers.contains_key(name), "{name}");
        }
    }

    #[test]
    fn a_bare_answer_is_not_stored_nor_sniffed_nor_framed() {
        let mut headers = HeaderMap::new();
        SecurityHeaders::of(&Url::parse("http://127.0.0.1:8080").unwrap()).apply(&mut headers);
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'");
        assert!(!headers.contains_key("strict-transport-security"));
        assert!(!headers.contains_key("permissions-policy"));
    }
}
