//! The shapes of answers and refusals.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use keyreeve_identity::Error as IdentityError;
use keyreeve_secrets::{Error, Version};
use keyreeve_tokens::{Error as TokensError, TokenError};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// What is not let through says no more than this.
const DENIED: &str = "1 error occurred:\n\t* permission denied\n\n";

/// A refusal: a status, its sentences, and what is told all the same.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    errors: Vec<String>,
    /// The metadata of a version whose value is gone.
    gone: Option<Value>,
    retry_after: Option<Duration>,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, errors: vec![error.into()], gone: None, retry_after: None }
    }

    /// There is nothing: no sentence either.
    pub(crate) const fn nothing() -> Self {
        Self { status: StatusCode::NOT_FOUND, errors: Vec::new(), gone: None, retry_after: None }
    }

    pub(crate) fn denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, DENIED)
    }

    /// No token, or none that is good.
    pub(crate) fn stranger() -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission denied")
    }

    pub(crate) fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub(crate) fn busy(retry_after: Duration) -> Self {
        let busy = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate limit quota exceeded");
        Self { retry_after: Some(retry_after), ..busy }
    }

    pub(crate) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, source = error.source().map(tracing::field::display), "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
    }

    /// Whether there is no such secret, as far as the caller is told.
    pub(crate) fn is_nothing(&self) -> bool {
        self.status == StatusCode::NOT_FOUND && self.gone.is_none()
    }

    fn unavailable(retry_after: Duration) -> Self {
        let busy = Self::new(StatusCode::SERVICE_UNAVAILABLE, "the server is busy");
        Self { retry_after: Some(retry_after), ..busy }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = match self.gone {
            Some(metadata) => envelope(json!({"data": null, "metadata": metadata})),
            None => json!({"errors": self.errors}),
        };
        let mut response = json_of(self.status, &body);
        if let Some(after) = self.retry_after {
            let seconds = HeaderValue::from(after.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        if let Some(after) = error.retry_after() {
            return Self::unavailable(after);
        }
        match error {
            Error::NotFound(_) => Self::nothing(),
            Error::Gone(version) => Self { gone: Some(metadata_of(&version, None)), ..Self::nothing() },
            // That the path is somebody else's is not said either.
            Error::Denied(_) | Error::Taken(_) => Self::denied(),
            Error::CheckAndSet { .. } => {
                Self::bad("check-and-set parameter did not match the current version")
            }
            Error::Invalid { field, problem } => Self::bad(format!("{field} {problem}")),
            Error::VersionConflict | Error::Repeated(_) | Error::KeyReused | Error::InUse(_) => {
                Self::bad("it was changed by someone else in the meantime")
            }
            // The value lies in a store elsewhere.
            Error::Elsewhere { late: true, .. } => Self::new(StatusCode::GATEWAY_TIMEOUT, error.to_string()),
            Error::Elsewhere { .. } => Self::new(StatusCode::BAD_GATEWAY, error.to_string()),
            error => Self::internal(&error),
        }
    }
}

impl From<TokensError> for Refused {
    fn from(error: TokensError) -> Self {
        match error {
            TokensError::UseDpopNonce { .. } => Self::stranger(),
            error => Self::internal(&error),
        }
    }
}

impl From<IdentityError> for Refused {
    fn from(error: IdentityError) -> Self {
        match error.retry_after() {
            Some(after) => Self::unavailable(after),
            None => Self::internal(&error),
        }
    }
}

impl From<TokenError> for Refused {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Throttled { retry_after } => Self::busy(retry_after),
            TokenError::Busy { retry_after } => Self::unavailable(retry_after),
            TokenError::Internal(error) => error.into(),
            _ => Self::bad("invalid role or secret ID"),
        }
    }
}

fn json_of(status: StatusCode, body: &Value) -> Response {
    text(status, body.to_string())
}

/// A document that is written already.
pub(crate) fn text(status: StatusCode, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body).into_response()
}

/// Nothing to say.
pub(crate) fn done() -> Response {
    (StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]).into_response()
}

/// A good answer without the envelope.
pub(crate) fn plain(body: &Value) -> Response {
    json_of(StatusCode::OK, body)
}

/// What every good answer is wrapped in.
pub(crate) fn envelope(data: Value) -> Value {
    let mut all = Map::new();
    all.insert("request_id".to_owned(), json!(""));
    all.insert("lease_id".to_owned(), json!(""));
    all.insert("renewable".to_owned(), json!(false));
    all.insert("lease_duration".to_owned(), json!(0));
    all.insert("data".to_owned(), data);
    all.insert("wrap_info".to_owned(), Value::Null);
    all.insert("warnings".to_owned(), Value::Null);
    all.insert("auth".to_owned(), Value::Null);
    all.insert("mount_type".to_owned(), json!("kv"));
    Value::Object(all)
}

/// A version, as it stands beside its value.
pub(crate) fn metadata_of(version: &Version, custom: Option<Value>) -> Value {
    json!({
        "created_time": version.created_at.to_string(),
        "custom_metadata": custom.unwrap_or(Value::Null),
        "deletion_time": version.deleted_at.map(|at| at.to_string()).unwrap_or_default(),
        "destroyed": version.destroyed,
        "version": version.number,
    })
}
