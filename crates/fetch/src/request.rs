//! What is asked and what is answered.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use std::time::Duration;

/// The largest body that is read unless the request says otherwise, in bytes.
pub const DEFAULT_BODY_BYTES: usize = 256 * 1024;

/// The largest body that any request may ask for, in bytes.
pub const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// A request to be sent.
///
/// `Host`, `Content-Length`, `Connection` and their like are the fetcher's own and cannot be set.
#[must_use = "nothing is sent before `Fetcher::send`"]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_body: Option<usize>,
}

impl Request {
    /// A request with this method.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: None,
            max_body: Some(DEFAULT_BODY_BYTES),
        }
    }

    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url)
    }

    /// A POST of `body`.
    pub fn post(url: impl Into<String>, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut request = Self::new(Method::POST, url);
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        request.body = body.into();
        request
    }

    /// With this header; a second of the same name replaces the first.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With this body, whose type is the caller's to say.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With this bound on the whole exchange, from the look-up to the last byte; at most the fetcher's own.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Reads a body of at most this many bytes; a larger one is an error. At most [`MAX_BODY_BYTES`].
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = Some(bytes);
        self
    }

    /// Reads no body: the status says enough, and whatever else comes is left unread.
    pub const fn status_only(mut self) -> Self {
        self.max_body = None;
        self
    }
}

impl std::fmt::Debug for Request {
    /// Without headers, query and body, which may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        write!(f, "Request({} {url})", self.method)
    }
}

/// An answer, whatever its status; a redirect is one like any other.
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; empty where none was asked for.
    pub body: Bytes,
}

impl Response {
    /// The media type, lower-case and without parameters.
    #[must_use]
    pub fn media_type(&self) -> Option<String> {
        let value = self.headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }
}

impl std::fmt::Debug for Response {
    /// Without headers and body, which may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Response({}, {} bytes)", self.status, self.body.len())
    }
}
