//! The error page: for what must not be sent on to an application, and for addresses that lead nowhere.

use super::{Chrome, Template};

/// Says what went wrong. The status code is the handler's business.
#[derive(Template)]
#[template(path = "error.html", whitespace = "minimize")]
pub struct ErrorPage<'a> {
    /// What surrounds the content.
    pub chrome: Chrome<'a>,
    /// What went wrong.
    pub kind: ErrorKind,
    /// A sentence for whoever builds the application, such as an `error_description` (RFC 6749 section 4.1.2.1), in
    /// English. It must hold nothing that is secret.
    pub detail: Option<&'a str>,
    /// By what the entry in the log is found: the request's identifier.
    pub reference: Option<&'a str>,
}

/// What can go wrong in the front channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request is not valid.
    BadRequest,
    /// No such client, or it is switched off.
    UnknownApplication,
    /// The redirect URI is not one of the client's (RFC 6749 section 4.1.2.1: no redirect then).
    UnregisteredRedirect,
    /// Too old, or used already.
    Expired,
    /// Not permitted.
    Forbidden,
    /// No such page.
    NotFound,
    /// Too many requests.
    TooMany,
    /// A fault of this server.
    Internal,
    /// Out of service for the moment.
    Unavailable,
}

impl ErrorKind {
    /// Every kind, for those who look at them all.
    pub const ALL: [Self; 9] = [
        Self::BadRequest,
        Self::UnknownApplication,
        Self::UnregisteredRedirect,
        Self::Expired,
        Self::Forbidden,
        Self::NotFound,
        Self::TooMany,
        Self::Internal,
        Self::Unavailable,
    ];
}

impl ErrorPage<'_> {
    /// The heading and the sentence below it.
    fn words(&self) -> (&'static str, &'static str) {
        let t = self.chrome.t();
        match self.kind {
            ErrorKind::BadRequest => (t.error_bad_request, t.error_bad_request_detail),
            ErrorKind::UnknownApplication => {
                (t.error_unknown_application, t.error_unknown_application_detail)
            }
            ErrorKind::UnregisteredRedirect => {
                (t.error_unregistered_redirect, t.error_unregistered_redirect_detail)
            }
            ErrorKind::Expired => (t.error_expired, t.error_expired_detail),
            ErrorKind::Forbidden => (t.error_forbidden, t.error_forbidden_detail),
            ErrorKind::NotFound => (t.error_not_found, t.error_not_found_detail),
            ErrorKind::TooMany => (t.error_too_many, t.error_too_many_detail),
            ErrorKind::Internal => (t.error_internal, t.error_internal_detail),
            ErrorKind::Unavailable => (t.error_unavailable, t.error_unavailable_detail),
        }
    }
}
