//! Answers, and which media type a caller prefers.

use super::failure::Failure;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

pub(super) const JSON: &str = "application/json";
pub(super) const PLAIN: &str = "text/plain";
/// The media types of later releases.
pub(super) const LATER_JSON: &str = "application/vnd.com.fico.xpress.insight.v2+json";
pub(super) const LATER_PLAIN: &str = "text/vnd.com.fico.xpress.insight.v2+plain";

/// What an operation answers.
pub(super) type Answer = Result<Reply, Failure>;

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    kind: Option<&'static str>,
    body: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    /// 200 with a body of this media type.
    pub(super) const fn text(kind: &'static str, body: String) -> Self {
        Self { status: StatusCode::OK, kind: Some(kind), body, headers: Vec::new() }
    }

    /// 200 with a document of this media type.
    pub(super) fn json(kind: &'static str, value: &impl serde::Serialize) -> Answer {
        serde_json::to_string(value).map(|body| Self::text(kind, body)).map_err(|error| {
            tracing::error!(%error, "an answer of the Xpress Insight dialect cannot be written");
            Failure::Internal
        })
    }

    /// 204.
    pub(super) const fn empty() -> Self {
        Self { status: StatusCode::NO_CONTENT, kind: None, body: String::new(), headers: Vec::new() }
    }

    /// With this status.
    pub(super) const fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With a header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.reserve(4 + keyreeve_http::front::ADDED_HEADERS);
        if let Some(kind) = self.kind {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }
}

/// Which of the media types on offer the caller likes best (RFC 9110 section 12.5.1); the first where it does not say, or
/// likes several alike; none where it takes none of them.
pub(super) fn preferred(headers: &HeaderMap, offers: &[&'static str]) -> Option<&'static str> {
    let mut ranges = Vec::new();
    for value in headers.get_all(header::ACCEPT) {
        let Ok(value) = value.to_str() else { continue };
        ranges.extend(value.split(',').map(str::trim).filter(|range| !range.is_empty()).take(64).map(range));
    }
    if ranges.is_empty() {
        return offers.first().copied();
    }
    let mut best: Option<(u16, &'static str)> = None;
    for &offer in offers {
        let weight = weight(&ranges, offer);
        if weight > 0 && best.is_none_or(|(liked, _)| weight > liked) {
            best = Some((weight, offer));
        }
    }
    best.map(|(_, offer)| offer)
}

/// A media range and its weight in thousandths.
fn range(text: &str) -> (String, u16) {
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    (kind, weight.map_or(1_000, thousandths))
}

/// `0.5` as 500; what is no weight counts as none.
fn thousandths(text: &str) -> u16 {
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    match (whole, digits) {
        ("1", true) => 1_000,
        ("0", true) => format!("{part:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

/// The weight of the most specific range that holds the offer.
fn weight(ranges: &[(String, u16)], offer: &str) -> u16 {
    let major = offer.split('/').next().unwrap_or_default();
    let specific = |kind: &str| {
        if kind == offer {
            3
        } else if kind.strip_suffix("/*") == Some(major) {
            2
        } else {
            u8::from(kind == "*/*")
        }
    };
    let held = ranges.iter().map(|(kind, weight)| (specific(kind), *weight)).filter(|(rank, _)| *rank > 0);
    held.max().map_or(0, |(_, weight)| weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn liked(accept: &str, offers: &[&'static str]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        preferred(&headers, offers)
    }

    #[test]
    fn the_best_liked_type_is_spoken() {
        let offers = &[JSON, PLAIN];
        assert_eq!(preferred(&HeaderMap::new(), offers), Some(JSON));
        for (accept, expected) in [
            ("*/*", Some(JSON)),
            ("text/plain", Some(PLAIN)),
            ("text/*", Some(PLAIN)),
            ("Text/Plain;q=0.9, application/json;q=0.8", Some(PLAIN)),
            ("text/plain;q=0.8, application/json", Some(JSON)),
            ("application/*;q=0.1, */*;q=0.5", Some(PLAIN)),
            ("application/json;q=0, */*", Some(PLAIN)),
            ("image/png", None),
            ("text/plain;q=x", None),
            (", ,", Some(JSON)),
        ] {
            assert_eq!(liked(accept, offers), expected, "{accept}");
        }
    }
}
