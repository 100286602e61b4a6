//! Which pages of other origins may read an answer (Fetch standard, section 3.2).
//!
//! Credentials (cookies) are never allowed across origins, so a reflected origin can read nothing that a stranger
//! could not (ABUSE-CASES AC-60). Origins are compared whole, byte by byte (AC-59).

use http::{HeaderMap, HeaderValue, header};
use std::sync::Arc;
use url::Url;

/// Who may read the answers of a group of routes. Set with [`crate::route::Routes::cors`].
#[derive(Debug, Clone)]
pub struct Cors(Readers);

#[derive(Debug, Clone)]
enum Readers {
    Everyone,
    Listed(Arc<[Box<str>]>),
}

const ANY: HeaderValue = HeaderValue::from_static("*");
const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static("Authorization, Content-Type, DPoP");
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static("WWW-Authenticate, DPoP-Nonce, X-Request-Id");
/// How long a browser may remember a preflight answer, in seconds.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("3600");

impl Cors {
    /// Everyone, without credentials: for documents that are public anyway (metadata, keys).
    #[must_use]
    pub fn public() -> Self {
        Self(Readers::Everyone)
    }

    /// Pages of the origins of these URLs, without credentials. URLs without a host (private-use schemes) have no
    /// origin and are passed over.
    #[must_use]
    pub fn listed<'u>(origins: impl IntoIterator<Item = &'u Url>) -> Self {
        let origins = origins.into_iter().map(Url::origin).filter(url::Origin::is_tuple);
        Self(Readers::Listed(origins.map(|origin| origin.ascii_serialization().into_boxed_str()).collect()))
    }

    /// Adds to `answer` what lets the page that sent `origin` read it, if it may.
    pub(crate) fn apply(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        let allowed = match &self.0 {
            Readers::Everyone => Some(ANY),
            Readers::Listed(origins) => {
                // The answer differs by origin, so a cache must keep one for each, also for those not allowed.
                answer.append(header::VARY, VARY_ORIGIN);
                origin.filter(|sent| origins.iter().any(|known| known.as_bytes() == sent.as_bytes())).cloned()
            }
        };
        if let Some(allowed) = allowed {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        }
    }

    /// Adds to the answer of an OPTIONS request what a preflight asks for; `methods` is the list of the path.
    pub(crate) fn apply_preflight(&self, methods: &HeaderValue, answer: &mut HeaderMap) {
        if answer.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            answer.remove(header::ACCESS_CONTROL_EXPOSE_HEADERS);
            answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
            answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
            answer.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(cors: &Cors, origin: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        cors.apply(Some(&HeaderValue::from_static(origin)), &mut headers);
        headers
    }

    #[test]
    fn ac_59_ac_60_only_a_listed_origin_is_named_and_never_with_credentials() {
        let urls = ["https://app.example/cb", "http://127.0.0.1:3000/", "com.example.app:/cb"]
            .map(|u| Url::parse(u).unwrap());
        let cors = Cors::listed(&urls);
        for own in ["https://app.example", "http://127.0.0.1:3000"] {
            let headers = answer(&cors, own);
            assert_eq!(headers["access-control-allow-origin"], own);
            assert_eq!(headers["vary"], "Origin");
            assert!(!headers.contains_key("access-control-allow-credentials"));
        }
        for foreign in [
            "https://badapp.example",
            "https://app.example.evil.test",
            "http://app.example",
            "https://app.example:8443",
            "null",
            "",
            "https://APP.example",
            "com.example.app://",
            "*",
        ] {
            let headers = answer(&cors, foreign);
            assert!(!headers.contains_key("access-control-allow-origin"), "{foreign}");
            assert_eq!(headers["vary"], "Origin", "{foreign}");
        }
    }

    #[test]
    fn ac_60_a_public_document_reflects_nobody() {
        let headers = answer(&Cors::public(), "https://evil.test");
        assert_eq!(headers["access-control-allow-origin"], "*");
        assert!(!headers.contains_key("access-control-allow-credentials"));
    }
}
