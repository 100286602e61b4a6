//! Errors in the shape of RFC 7644 section 3.12.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyreeve_http::params::ParamError;
use keyreeve_http::presented::Challenge;
use keyreeve_http::rate;
use keyreeve_identity::Error as IdentityError;
use keyreeve_tokens::Error as TokensError;
use serde_json::{Value, json};
use std::time::Duration;

const ERROR_URN: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// What SCIM's `scimType` says of a 400 or 409 (RFC 7644 table 9, RFC 9865 section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScimType {
    InvalidFilter,
    TooMany,
    Uniqueness,
    Mutability,
    InvalidSyntax,
    InvalidPath,
    NoTarget,
    InvalidValue,
    InvalidCursor,
    InvalidCount,
}

impl ScimType {
    const fn word(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::TooMany => "tooMany",
            Self::Uniqueness => "uniqueness",
            Self::Mutability => "mutability",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidPath => "invalidPath",
            Self::NoTarget => "noTarget",
            Self::InvalidValue => "invalidValue",
            Self::InvalidCursor => "invalidCursor",
            Self::InvalidCount => "invalidCount",
        }
    }
}

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScimError {
    pub(crate) status: StatusCode,
    kind: Option<ScimType>,
    detail: String,
    retry_after: Option<Duration>,
    challenge: Option<Challenge>,
}

impl ScimError {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, kind: None, detail: detail.into(), retry_after: None, challenge: None }
    }

    /// 400 of this kind.
    pub(crate) fn bad(kind: ScimType, detail: impl Into<String>) -> Self {
        Self { kind: Some(kind), ..Self::new(StatusCode::BAD_REQUEST, detail) }
    }

    /// 413: more than is taken at once (RFC 7644 section 3.7.4).
    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        Self { kind: Some(ScimType::TooMany), ..Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail) }
    }

    pub(crate) fn value(detail: impl Into<String>) -> Self {
        Self::bad(ScimType::InvalidValue, detail)
    }

    pub(crate) fn syntax(detail: impl Into<String>) -> Self {
        Self::bad(ScimType::InvalidSyntax, detail)
    }

    /// There is no such resource, or none that the caller may know of.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such resource")
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// The server failed. The log has the reason; the caller gets none of it.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a SCIM request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the server could not do this now")
    }

    fn busy(retry_after: Duration) -> Self {
        let busy = Self::new(StatusCode::SERVICE_UNAVAILABLE, "the server is busy; try again later");
        Self { retry_after: Some(retry_after), ..busy }
    }

    /// The caller comes too often.
    pub(crate) fn too_many(retry_after: Duration) -> Self {
        let often = Self::new(StatusCode::TOO_MANY_REQUESTS, "too many requests; try again later");
        Self { retry_after: Some(retry_after), ..often }
    }

    /// Whether a filter is at fault.
    pub(crate) fn is_about_a_filter(&self) -> bool {
        self.kind == Some(ScimType::InvalidFilter)
    }

    /// The document, for an answer of its own or within a bulk answer.
    pub(crate) fn document(&self) -> Value {
        let mut document = json!({
            "schemas": [ERROR_URN],
            "status": self.status.as_u16().to_string(),
            "detail": self.detail,
        });
        if let (Some(kind), Some(members)) = (self.kind, document.as_object_mut()) {
            members.insert("scimType".to_owned(), kind.word().into());
        }
        document
    }
}

/// The SCIM name of a field of the identity room.
fn attribute_of(field: &str) -> &str {
    match field {
        "username" => "userName",
        "email" => "emails",
        "given_name" => "name.givenName",
        "family_name" => "name.familyName",
        "display_name" | "name" => "displayName",
        "phone_number" => "phoneNumbers",
        "zoneinfo" => "timezone",
        other => other,
    }
}

impl From<Challenge> for ScimError {
    fn from(challenge: Challenge) -> Self {
        let detail = match &challenge {
            Challenge::Missing => "an access token is needed".to_owned(),
            Challenge::InvalidRequest => "send one access token, once".to_owned(),
            // The same whatever is wrong with it.
            Challenge::InvalidToken(_) => "the access token is not valid".to_owned(),
            Challenge::InsufficientScope(_, scope) => format!("the access token lacks the scope {scope}"),
            Challenge::UseNonce(_) => "the proof must contain the nonce of this answer".to_owned(),
        };
        Self { challenge: Some(challenge.clone()), ..Self::new(challenge.status(), detail) }
    }
}

impl From<TokensError> for ScimError {
    fn from(error: TokensError) -> Self {
        match error {
            TokensError::UseDpopNonce { nonce } => Challenge::UseNonce(nonce).into(),
            // Nothing else of that room is the caller's doing.
            other => other.retry_after().map_or_else(|| Self::internal(&other), Self::busy),
        }
    }
}

impl From<IdentityError> for ScimError {
    fn from(error: IdentityError) -> Self {
        if let Some(retry_after) = error.retry_after() {
            return Self::busy(retry_after);
        }
        match &error {
            IdentityError::NotFound(_) => Self::not_found(),
            IdentityError::Taken(field) => Self {
                kind: Some(ScimType::Uniqueness),
                ..Self::new(StatusCode::CONFLICT, format!("{} is taken", attribute_of(field)))
            },
            IdentityError::VersionConflict => {
                Self::new(StatusCode::PRECONDITION_FAILED, "the resource was changed in the meantime")
            }
            IdentityError::Invalid { field, problem } => {
                Self::value(format!("{} {problem}", attribute_of(field)))
            }
            IdentityError::Policy(_) => Self::value(error.to_string()),
            IdentityError::Busy { retry_after } => Self::busy(*retry_after),
            // Requests have no keys here.
            IdentityError::Repeated { .. } | IdentityError::KeyReused => {
                Self::new(StatusCode::CONFLICT, error.to_string())
            }
            IdentityError::Seal(_)
            | IdentityError::MasterKey { .. }
            | IdentityError::Hash(_)
            | IdentityError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<ParamError> for ScimError {
    fn from(error: ParamError) -> Self {
        match error.status() {
            StatusCode::BAD_REQUEST => Self::value(error.to_string()),
            status => Self::new(status, error.to_string()),
        }
    }
}

impl IntoResponse for ScimError {
    fn into_response(self) -> Response {
        let mut response = crate::answer::json(self.status, &self.document());
        if let Some(after) = self.retry_after {
            rate::retry_after(response.headers_mut(), after);
        }
        match self.challenge {
            Some(challenge) => challenge.on(response),
            None => response,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_a_text_and_the_kind_has_its_word() {
        let taken = ScimError::from(IdentityError::Taken("username"));
        assert_eq!(taken.status, StatusCode::CONFLICT);
        assert_eq!(
            taken.document(),
            json!({"schemas": [ERROR_URN], "status": "409", "scimType": "uniqueness", "detail": "userName is taken"})
        );
    }

    #[test]
    fn nothing_of_an_internal_error_gets_out() {
        let inner = IdentityError::Store(keyreeve_store_error());
        assert!(!ScimError::from(inner).document().to_string().contains("secret detail"));
    }

    fn keyreeve_store_error() -> keyreeve_store::Error {
        keyreeve_store::Error::internal("secret detail".to_owned())
    }
}
