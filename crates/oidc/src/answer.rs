//! Answers in the shapes of the standards: JSON that must not be cached, RFC 6749 errors, RFC 6750 challenges.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use keyreeve_http::front::ADDED_HEADERS;
use keyreeve_http::params::ParamError;
use keyreeve_http::possession::with_nonce;
use keyreeve_http::presented::Challenge;
use keyreeve_http::problem::Problem;
use keyreeve_http::rate;
use keyreeve_tokens::{Error, TokenError};
use serde::Serialize;
use serde_json::json;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// A JSON answer that nobody may keep (RFC 6749 section 5.1).
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let Ok(text) = serde_json::to_vec(body) else {
        return internal(&"an answer could not be written as JSON");
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(3 + ADDED_HEADERS);
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(header::PRAGMA, NO_CACHE);
    response
}

/// The server failed. The log has the reason; the caller gets none of it.
pub(crate) fn internal(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "a request failed");
    Problem::of(StatusCode::INTERNAL_SERVER_ERROR).into_response()
}

/// An error of the room, as far as a caller may know: overload passes, the rest is ours.
pub(crate) fn room(error: &Error) -> Response {
    match error.retry_after() {
        Some(retry_after) => {
            let mut response = Problem::of(StatusCode::SERVICE_UNAVAILABLE).into_response();
            rate::retry_after(response.headers_mut(), retry_after);
            response
        }
        None => internal(error),
    }
}

/// A refusal of an endpoint where clients authenticate (RFC 6749 section 5.2). `basic` tells whether the client used the
/// `Authorization` header, in which case a failed authentication is answered with its challenge.
pub(crate) fn refused(error: &TokenError, basic: bool) -> Response {
    if let TokenError::Internal(inner) = error
        && inner.retry_after().is_none()
    {
        tracing::error!(error = %inner, "a request failed");
    }
    let (status, retry_after) = match error {
        TokenError::InvalidClient => (StatusCode::UNAUTHORIZED, None),
        TokenError::Throttled { retry_after } => (StatusCode::TOO_MANY_REQUESTS, Some(*retry_after)),
        TokenError::Busy { retry_after } => (StatusCode::SERVICE_UNAVAILABLE, Some(*retry_after)),
        TokenError::Internal(inner) => match inner.retry_after() {
            Some(after) => (StatusCode::SERVICE_UNAVAILABLE, Some(after)),
            None => (StatusCode::INTERNAL_SERVER_ERROR, None),
        },
        TokenError::InvalidRequest(_)
        | TokenError::InvalidGrant(_)
        | TokenError::Pending
        | TokenError::SlowDown
        | TokenError::ExpiredToken
        | TokenError::AccessDenied
        | TokenError::UnauthorizedClient
        | TokenError::UnsupportedGrantType
        | TokenError::InvalidScope(_)
        | TokenError::InvalidTarget(_)
        | TokenError::InvalidDpopProof(_)
        | TokenError::UseDpopNonce { .. }
        | TokenError::Request(_) => (StatusCode::BAD_REQUEST, None),
    };
    let description = match error {
        TokenError::Internal(_) => "the server could not do this now".to_owned(),
        told => told.to_string(),
    };
    let mut response =
        json(status, &json!({ "error": error.code(), "error_description": plain(&description) }));
    if let Some(after) = retry_after {
        rate::retry_after(response.headers_mut(), after);
    }
    if let TokenError::UseDpopNonce { nonce } = error {
        response = with_nonce(response, nonce);
    }
    if basic && matches!(error, TokenError::InvalidClient) {
        let challenge = HeaderValue::from_static("Basic realm=\"keyreeve\", charset=\"UTF-8\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Parameters that cannot be read: always `invalid_request`, whatever was wrong with them.
pub(crate) fn bad_params(error: &ParamError) -> TokenError {
    TokenError::InvalidRequest(error.to_string())
}

/// The refusal of whoever presents an access token, or none (RFC 6750 section 3, RFC 9449 section 7.1).
pub(crate) fn challenged(challenge: &Challenge) -> Response {
    let body = challenge.code().map_or_else(|| json!({}), |code| json!({ "error": code }));
    challenge.on(json(challenge.status(), &body))
}

/// The characters that RFC 6749 allows in an `error_description`; others become question marks.
pub(crate) fn plain(text: &str) -> String {
    let allowed = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
    text.chars().map(|c| if allowed(c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_failed_client_is_challenged_only_where_it_used_the_header() {
        let with = refused(&TokenError::InvalidClient, true);
        assert_eq!(with.status(), StatusCode::UNAUTHORIZED);
        assert!(with.headers().contains_key(header::WWW_AUTHENTICATE));
        let without = refused(&TokenError::InvalidClient, false);
        assert_eq!(without.status(), StatusCode::UNAUTHORIZED);
        assert!(!without.headers().contains_key(header::WWW_AUTHENTICATE));
    }

    #[test]
    fn who_comes_too_often_is_told_when_to_come_again() {
        let busy = refused(&TokenError::Busy { retry_after: Duration::from_millis(1_200) }, false);
        assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(busy.headers()[header::RETRY_AFTER], "2");
        let throttled = refused(&TokenError::Throttled { retry_after: Duration::ZERO }, false);
        assert_eq!(throttled.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(throttled.headers()[header::RETRY_AFTER], "1");
    }

    #[test]
    fn descriptions_hold_only_what_the_rfc_allows() {
        assert_eq!(plain("a \"quoted\\\" zé\n"), "a ?quoted?? z??");
    }

    #[test]
    fn nothing_of_an_internal_error_gets_out() {
        let inner = Error::Corrupt { what: "grant", problem: "secret detail".to_owned() };
        let response = refused(&TokenError::Internal(inner), false);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = format!("{:?}", response.into_body());
        assert!(!body.contains("secret detail"));
    }
}
