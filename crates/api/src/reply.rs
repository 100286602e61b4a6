//! Answers that grant.

use crate::refused::Refused;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use keyreeve_http::front::ADDED_HEADERS;
use keyreeve_http::serve::LongAnswer;
use keyreeve_sharing::Revision;
use serde::Serialize;
use std::convert::Infallible;
use tokio::sync::mpsc::Receiver;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Says that nothing was made now: the same request made it before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The revision behind a write (see [`keyreeve_sharing::Revision`]).
pub(crate) const REVISION: HeaderName = HeaderName::from_static("keyreeve-revision");

/// An answer in the making.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    body: Option<Vec<u8>>,
    version: Option<i64>,
    location: Option<String>,
    next: Option<String>,
    replayed: bool,
    revision: Option<Revision>,
    /// A body that is made while it is read, and its media type.
    stream: Option<(Body, HeaderValue)>,
}

impl Reply {
    fn with(status: StatusCode, body: &impl Serialize) -> Result<Self, Refused> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Refused::from(keyreeve_store::Error::internal(error.to_string())))?;
        Ok(Self { body: Some(body), ..Self::bare(status) })
    }

    const fn bare(status: StatusCode) -> Self {
        Self {
            status,
            body: None,
            version: None,
            location: None,
            next: None,
            replayed: false,
            revision: None,
            stream: None,
        }
    }

    /// 200 with a document.
    pub(crate) fn ok(body: &impl Serialize) -> Result<Self, Refused> {
        Self::with(StatusCode::OK, body)
    }

    /// 201 with what was made, and where it is, below the tenant's own root.
    pub(crate) fn created(body: &impl Serialize, location: String) -> Result<Self, Refused> {
        Ok(Self { location: Some(location), ..Self::with(StatusCode::CREATED, body)? })
    }

    /// 200 with pieces as they come, of this media type.
    pub(crate) fn stream(pieces: Receiver<Result<Bytes, Infallible>>, kind: &'static str) -> Self {
        let pieces = futures_util::stream::unfold(pieces, async |mut pieces| {
            let piece = pieces.recv().await?;
            Some((piece, pieces))
        });
        let stream = Some((Body::from_stream(pieces), HeaderValue::from_static(kind)));
        Self { stream, ..Self::bare(StatusCode::OK) }
    }

    /// 200 with a body that goes on for as long as it likes.
    pub(crate) fn flow(kind: &'static str, body: Body) -> Self {
        Self { stream: Some((body, HeaderValue::from_static(kind))), ..Self::bare(StatusCode::OK) }
    }

    /// 204.
    pub(crate) const fn done() -> Self {
        Self::bare(StatusCode::NO_CONTENT)
    }

    /// With the version of what it holds, as its `ETag`.
    pub(crate) const fn version(mut self, version: i64) -> Self {
        self.version = Some(version);
        self
    }

    /// With where the next page is.
    pub(crate) fn next(mut self, next: Option<String>) -> Self {
        self.next = next;
        self
    }

    /// With the revision from which on every question takes the change into account.
    pub(crate) const fn revision(mut self, revision: Revision) -> Self {
        self.revision = Some(revision);
        self
    }

    /// Says that a request before this one has made it.
    pub(crate) const fn replayed(mut self, replayed: bool) -> Self {
        self.replayed = replayed;
        self
    }

    /// The answer; `root` tells the address of the tenant. A read whose version the caller has already is 304 (RFC 9110
    /// section 13.1.2).
    pub(crate) fn answer(self, method: &Method, asked: &HeaderMap, root: impl Fn() -> String) -> Response {
        if let Some((body, kind)) = self.stream {
            return streamed(kind, body);
        }
        let etag = self.version.map(|version| format!("\"{version}\""));
        let known = *method == Method::GET && etag.as_deref().is_some_and(|etag| names(asked, etag));
        let body = if known { None } else { self.body };
        let has_body = body.is_some();
        let mut response = Response::new(body.map_or_else(Body::empty, Body::from));
        *response.status_mut() = if known { StatusCode::NOT_MODIFIED } else { self.status };
        let headers = response.headers_mut();
        headers.reserve(4 + ADDED_HEADERS);
        if has_body {
            headers.insert(header::CONTENT_TYPE, JSON);
        }
        let location = self.location.map(|path| format!("{}{path}", root()));
        let next = self.next.map(|path| format!("<{}{path}>; rel=\"next\"", root()));
        let revision = self.revision.map(|revision| revision.to_string());
        for (name, value) in
            [(header::ETAG, etag), (header::LOCATION, location), (header::LINK, next), (REVISION, revision)]
        {
            if let Some(value) = value.and_then(|text| HeaderValue::try_from(text).ok()) {
                headers.insert(name, value);
            }
        }
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

fn streamed(kind: HeaderValue, body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().reserve(4 + ADDED_HEADERS);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    // A proxy that collects the answer before it passes it on would keep events back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.extensions_mut().insert(LongAnswer);
    response
}

/// Whether `If-None-Match` names this tag, compared weakly, or any.
fn names(asked: &HeaderMap, etag: &str) -> bool {
    asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|list| {
        list.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(if_none_match: &str) -> StatusCode {
        let mut asked = HeaderMap::new();
        asked.insert(header::IF_NONE_MATCH, if_none_match.parse().unwrap());
        Reply::ok(&1).unwrap().version(7).answer(&Method::GET, &asked, String::new).status()
    }

    #[test]
    fn a_known_version_is_not_sent_again() {
        for known in ["\"7\"", "W/\"7\"", "*", "\"6\", \"7\""] {
            assert_eq!(status(known), StatusCode::NOT_MODIFIED, "{known}");
        }
        for other in ["\"8\"", "7", "\"77\""] {
            assert_eq!(status(other), StatusCode::OK, "{other}");
        }
    }

    #[test]
    fn places_are_told_below_the_tenant() {
        let reply =
            Reply::created(&1, "/api/v1/users/x".into()).unwrap().next(Some("/api/v1/users?after=x".into()));
        let answer =
            reply.answer(&Method::POST, &HeaderMap::new(), || "https://id.example/t/acme".to_owned());
        assert_eq!(answer.headers()[header::LOCATION], "https://id.example/t/acme/api/v1/users/x");
        assert_eq!(
            answer.headers()[header::LINK],
            "<https://id.example/t/acme/api/v1/users?after=x>; rel=\"next\""
        );
    }
}
