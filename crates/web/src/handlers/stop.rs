//! Everything that ends a request before its own page, and the page that says so. This is the one place where errors of
//! rooms become pages.

use crate::pages::{self, Chrome, ErrorKind};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use keyreeve_http::csrf::CsrfError;
use keyreeve_http::params::ParamError;
use keyreeve_http::security_headers::Csp;
use std::time::Duration;

/// Why a handler stops.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The answer is known already: a redirect to an earlier step.
    Answer(Box<Response>),
    /// There is no such tenant here.
    NotFound,
    /// The request that waited for this page is too old, or began in another browser.
    Expired,
    /// The form was open for too long, or was made for somebody else.
    StaleForm,
    /// The form was not filled in on the page that we gave out; it names what is wrong.
    Malformed(&'static str),
    /// The parameters cannot be read.
    Params(ParamError),
    /// A page of another site posted here.
    Foreign,
    /// It was asked for too often.
    TooMany(Duration),
    /// A room failed.
    Room(keyreeve_tokens::Error),
    /// Something that cannot be did.
    Internal(&'static str),
}

impl From<Response> for Stop {
    fn from(response: Response) -> Self {
        Self::Answer(Box::new(response))
    }
}

impl From<ParamError> for Stop {
    fn from(error: ParamError) -> Self {
        Self::Params(error)
    }
}

impl From<CsrfError> for Stop {
    fn from(_: CsrfError) -> Self {
        Self::Foreign
    }
}

impl From<keyreeve_tokens::Error> for Stop {
    fn from(error: keyreeve_tokens::Error) -> Self {
        Self::Room(error)
    }
}

impl From<keyreeve_identity::Error> for Stop {
    fn from(error: keyreeve_identity::Error) -> Self {
        Self::Room(error.into())
    }
}

impl Stop {
    /// The answer. `reference` is the request's identifier, by which the log has the reason.
    pub(crate) fn respond(self, chrome: Chrome<'_>, reference: Option<&str>) -> Response {
        let mut detail = None;
        let (status, kind) = match &self {
            Self::Answer(_) => (StatusCode::OK, ErrorKind::Internal),
            Self::NotFound => (StatusCode::NOT_FOUND, ErrorKind::NotFound),
            Self::StaleForm => {
                detail = Some(CsrfError::Token.to_string());
                (StatusCode::BAD_REQUEST, ErrorKind::Expired)
            }
            Self::Expired => (StatusCode::BAD_REQUEST, ErrorKind::Expired),
            Self::Malformed(what) => {
                detail = Some((*what).to_owned());
                (StatusCode::BAD_REQUEST, ErrorKind::BadRequest)
            }
            Self::Params(error) => {
                detail = Some(error.to_string());
                (error.status(), ErrorKind::BadRequest)
            }
            Self::Foreign => {
                detail = Some(CsrfError::Origin.to_string());
                (StatusCode::FORBIDDEN, ErrorKind::Forbidden)
            }
            Self::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, ErrorKind::TooMany),
            Self::Room(error) if error.retry_after().is_some() => {
                tracing::warn!(%error, request = reference, "a page could not be shown for now");
                (StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Unavailable)
            }
            Self::Room(error) => {
                tracing::error!(%error, request = reference, "a page could not be shown");
                (StatusCode::INTERNAL_SERVER_ERROR, ErrorKind::Internal)
            }
            Self::Internal(problem) => {
                tracing::error!(problem, request = reference, "a page could not be shown");
                (StatusCode::INTERNAL_SERVER_ERROR, ErrorKind::Internal)
            }
        };
        let wait = match self {
            Self::Answer(response) => return *response,
            Self::Room(error) => error.retry_after(),
            Self::TooMany(wait) => Some(wait),
            _ => None,
        };
        let page = pages::ErrorPage { chrome, kind, detail: detail.as_deref(), reference };
        let mut response = with_policy(pages::respond(status, &page), Csp::page());
        if let Some(wait) = wait {
            retry_after(&mut response, wait);
        }
        response
    }
}

/// The answer with the policy of a page that may load our script.
pub(crate) fn with_policy(mut response: Response, policy: Csp) -> Response {
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy.scripts().header());
    response
}

/// Tells when to try again, in whole seconds, rounded up.
pub(crate) fn retry_after(response: &mut Response, wait: Duration) {
    let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
}

/// A 303 to an address of ours or to one that a client registered.
pub(crate) fn see_other(location: &str) -> Result<Response, Stop> {
    let location =
        HeaderValue::try_from(location).map_err(|_| Stop::Internal("a location is no header value"))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

/// Adds a cookie to an answer.
pub(crate) fn set_cookie(response: &mut Response, cookie: HeaderValue) {
    response.headers_mut().append(header::SET_COOKIE, cookie);
}
