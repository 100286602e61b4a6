//! Answers as the original frames them: bare texts, JSON, and the headers of both.

use super::failure::Failure;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use std::borrow::Cow;

/// Sic: a space where others write a hyphen.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache, no-store, must revalidate");
const PRAGMA: HeaderValue = HeaderValue::from_static("no-cache");
const EXPIRED: HeaderValue = HeaderValue::from_static("0");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
const UTF8_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What an operation answers: `Err` is an answer like any other, for an early way out.
pub(super) type Answer = Result<Reply, Reply>;

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    kind: Kind,
    body: Cow<'static, str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Json,
    /// As the original's router answers, without the headers of its handlers.
    Router,
}

impl Reply {
    /// A text.
    pub(super) fn text(status: u16, body: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, kind: Kind::Text, body: body.into(), headers: Vec::new() }
    }

    /// A JSON document.
    pub(super) fn json(value: &impl serde::Serialize) -> Self {
        match serde_json::to_string(value) {
            Ok(body) => Self { kind: Kind::Json, ..Self::text(200, body) },
            Err(error) => Self::internal(&error),
        }
    }

    /// The same with a line feed at its end.
    pub(super) fn json_line(value: &impl serde::Serialize) -> Self {
        let mut reply = Self::json(value);
        reply.body.to_mut().push('\n');
        reply
    }

    /// 200 and nothing else.
    pub(super) fn empty() -> Self {
        Self::text(200, "")
    }

    /// There is no such path.
    pub(super) fn no_such_path() -> Self {
        Self { kind: Kind::Router, ..Self::text(404, "404 page not found\n") }
    }

    /// A redirect.
    pub(super) fn found(to: &str) -> Self {
        match HeaderValue::from_str(to) {
            Ok(value) => Self::text(302, "").with(header::LOCATION, value),
            Err(error) => Self::internal(&error),
        }
    }

    /// Something failed that is nobody's fault but this server's; the log has it.
    pub(super) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "an operation of the IMQS dialect failed");
        Self::text(500, "Internal error")
    }

    /// With a header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body.into_owned()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.reserve(5 + keyreeve_http::front::ADDED_HEADERS);
        match self.kind {
            Kind::Router => {
                headers.insert(header::CONTENT_TYPE, UTF8_TEXT);
            }
            Kind::Text | Kind::Json => {
                headers.insert(header::CONTENT_TYPE, if self.kind == Kind::Json { JSON } else { TEXT });
                headers.insert(header::CACHE_CONTROL, NO_CACHE);
                headers.insert(header::PRAGMA, PRAGMA);
                headers.insert(header::EXPIRES, EXPIRED);
            }
        }
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }
}

impl From<keyreeve_store::Error> for Reply {
    fn from(error: keyreeve_store::Error) -> Self {
        Failure::from(keyreeve_identity::Error::from(error)).reply(500)
    }
}

impl From<keyreeve_identity::Error> for Reply {
    fn from(error: keyreeve_identity::Error) -> Self {
        Failure::from(error).reply(500)
    }
}
