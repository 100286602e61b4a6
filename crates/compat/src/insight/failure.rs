//! What is wrong with a request, in the shape that later releases of the original gave to errors.

use super::reply::{JSON, Reply};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use keyreeve_base::{Timestamp, World};
use keyreeve_http::body::BodyError;
use keyreeve_identity::Refusal;
use serde_json::json;
use std::borrow::Cow;
use std::time::Duration;

/// Why something is not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// The body, or a member of it, is not what it must be.
    BadRequest(Cow<'static, str>),
    /// No credential, or none that is good: all alike.
    Unauthenticated,
    /// The password was right, and a one-time code is wanted, too.
    NeedsCode,
    /// The caller is known, and may not do this.
    Forbidden(&'static str),
    NoCredentials,
    NoPath,
    /// The path has these methods.
    Method(HeaderValue),
    NotAcceptable,
    MediaType,
    /// A value that makes no sense.
    Invalid {
        target: &'static str,
        message: &'static str,
    },
    /// Too many attempts, or too much to do.
    Wait(Duration),
    /// The body was not read.
    Body(StatusCode),
    Internal,
}

/// How a request is followed through systems (B3).
pub(super) struct Trace {
    trace: String,
    span: String,
    parent: Option<String>,
}

impl Trace {
    /// That of a request; a new one where it names none.
    pub(super) fn of(headers: &HeaderMap, world: &World) -> Self {
        let sent = |name: &str, lengths: &[usize]| {
            let text = headers.get(name)?.to_str().ok()?;
            let is_hex = lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hex.then(|| text.to_ascii_lowercase())
        };
        let fresh = || format!("{:016x}", u64::from_be_bytes(world.random_bytes::<8>()));
        match sent("x-b3-traceid", &[16, 32]) {
            Some(trace) => Self { trace, span: fresh(), parent: sent("x-b3-spanid", &[16]) },
            None => Self { trace: fresh(), span: fresh(), parent: None },
        }
    }
}

/// A moment as the interface writes it: ISO 8601 in UTC with milliseconds.
pub(super) fn iso(at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.micros().div_euclid(1_000)) {
        Ok(moment) => format!("{moment:.3}"),
        Err(_) => at.to_string(),
    }
}

impl Failure {
    const fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated | Self::NeedsCode => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NoCredentials | Self::NoPath => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Body(status) => *status,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What stands behind it, where the original has a code for that: code, description, message.
    const fn inner(&self) -> Option<(&'static str, &'static str, &'static str)> {
        match self {
            Self::NoCredentials => Some((
                "OPTI-Insight-Persistence-DocumentNotFound",
                "Document not found",
                "The current user has no REST API credentials",
            )),
            Self::Invalid { message, .. } => {
                Some(("FICO-Platform-Validation-InvalidValue", "Invalid value", message))
            }
            Self::NeedsCode => Some((
                "Keyreeve-SecondFactorRequired",
                "Second factor required",
                "Send the one-time code as `code` beside the password",
            )),
            _ => None,
        }
    }

    fn message(&self, desc: &'static str) -> Cow<'static, str> {
        match self {
            Self::BadRequest(message) => message.clone(),
            Self::Forbidden(message) => Cow::Borrowed(message),
            Self::NotAcceptable => Cow::Borrowed("No media type that is accepted is spoken here"),
            Self::MediaType => Cow::Borrowed("The body is not of the media type that is read here"),
            Self::Wait(_) => Cow::Borrowed("Too many attempts. Please wait before you try again"),
            Self::Unauthenticated
            | Self::NeedsCode
            | Self::NoCredentials
            | Self::NoPath
            | Self::Method(_)
            | Self::Invalid { .. }
            | Self::Body(_)
            | Self::Internal => Cow::Borrowed(desc),
        }
    }

    /// The answer.
    pub(super) fn reply(self, trace: &Trace, now: Timestamp) -> Reply {
        let status = self.status();
        let desc = status.canonical_reason().unwrap_or("Error");
        let at = iso(now);
        let mut error = json!({
            "code": format!("FICO-Platform-Http-{}", status.as_u16()),
            "desc": desc,
            "message": self.message(desc),
            "traceId": trace.trace,
            "spanId": trace.span,
            "parentId": trace.parent,
            "timestamp": at,
        });
        if let (Some((code, desc, message)), Some(error)) = (self.inner(), error.as_object_mut()) {
            let inner = json!({ "code": code, "desc": desc, "message": message });
            if let Self::Invalid { target, .. } = &self {
                let detail = json!({ "code": code, "desc": desc, "message": message, "target": target, "timestamp": at });
                error.insert("details".to_owned(), json!([detail]));
            }
            error.insert("innerError".to_owned(), inner);
        }
        let reply = Reply::text(JSON, json!({ "error": error }).to_string()).status(status);
        match self {
            Self::Unauthenticated | Self::NeedsCode => {
                reply.with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            Self::Method(allow) => reply.with(header::ALLOW, allow),
            Self::Wait(after) => reply.with(header::RETRY_AFTER, HeaderValue::from(seconds(after))),
            _ => reply,
        }
    }
}

/// Whole seconds, at least one, rounded up.
fn seconds(span: Duration) -> u64 {
    span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0)).max(1)
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied => Self::Unauthenticated,
            Refusal::Throttled { retry_after } | Refusal::Busy { retry_after } => Self::Wait(retry_after),
        }
    }
}

impl From<keyreeve_identity::Error> for Failure {
    fn from(error: keyreeve_identity::Error) -> Self {
        if let Some(after) = error.retry_after() {
            return Self::Wait(after);
        }
        tracing::error!(%error, "an operation of the Xpress Insight dialect failed");
        Self::Internal
    }
}

impl From<keyreeve_store::Error> for Failure {
    fn from(error: keyreeve_store::Error) -> Self {
        Self::from(keyreeve_identity::Error::from(error))
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::ContentType => Self::MediaType,
            BodyError::TooLarge | BodyError::TooSlow | BodyError::Unreadable => Self::Body(error.status()),
        }
    }
}
