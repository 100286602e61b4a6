//! Dynamic client registration (RFC 7591) and its management (RFC 7592).

use crate::answer;
use crate::state::{Arrival, OidcState};
use axum::extract::{FromRequestParts, Path};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use keyreeve_base::Origin;
use keyreeve_crypto::Secret;
use keyreeve_http::json::SmallJson;
use keyreeve_http::params::ParamError;
use keyreeve_http::presented::{Challenge, Scheme};
use keyreeve_http::rate;
use keyreeve_identity::Tenant;
use keyreeve_tokens::registration::{ClientInformation, ClientMetadata, RegistrationError};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// What is said to a body that is not read.
type Body = Result<SmallJson, ParamError>;

/// Who asks, at which tenant, and with which token.
pub(crate) struct Asked {
    state: OidcState,
    tenant: Arc<Tenant>,
    origin: Origin,
    token: Option<Secret>,
}

impl FromRequestParts<OidcState> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &OidcState) -> Result<Self, Response> {
        let Arrival { tenant, origin, .. } = Arrival::from_request_parts(parts, state).await?;
        let token = bearer(&parts.headers).map(Secret::new);
        Ok(Self { state: state.clone(), tenant, origin, token })
    }
}

impl Asked {
    fn token(&self) -> Result<&str, RegistrationError> {
        self.token.as_ref().map(Secret::expose).ok_or(RegistrationError::InvalidToken)
    }
}

/// `POST /register`.
pub(crate) async fn register(asked: Asked, body: Body) -> Response {
    let done = async {
        let metadata = metadata(body)?;
        let token = asked.token.as_ref().map(Secret::expose);
        asked.state.tokens().register(&asked.tenant, &metadata, token, &asked.origin).await
    };
    answered(StatusCode::CREATED, done.await)
}

/// The client that the path names.
#[derive(Deserialize)]
pub(crate) struct Named {
    client_id: String,
}

/// `GET /register/{client_id}`.
pub(crate) async fn read(asked: Asked, Path(named): Path<Named>) -> Response {
    let done = async {
        asked.state.tokens().read_registration(&asked.tenant, &named.client_id, asked.token()?).await
    };
    answered(StatusCode::OK, done.await)
}

/// `PUT /register/{client_id}`.
pub(crate) async fn update(asked: Asked, Path(named): Path<Named>, body: Body) -> Response {
    let done = async {
        let (tokens, tenant) = (asked.state.tokens(), &asked.tenant);
        let who = (named.client_id.as_str(), asked.token()?);
        // Who asks comes first: whoever holds no token learns nothing of what would be wrong.
        tokens.read_registration(tenant, who.0, who.1).await?;
        let metadata = metadata(body)?;
        tokens.update_registration(tenant, who, &metadata, &asked.origin).await
    };
    answered(StatusCode::OK, done.await)
}

/// `DELETE /register/{client_id}`.
pub(crate) async fn delete(asked: Asked, Path(named): Path<Named>) -> Response {
    let done = async {
        let token = asked.token()?;
        asked.state.tokens().delete_registration(&asked.tenant, &named.client_id, token, &asked.origin).await
    };
    match done.await {
        Ok(()) => {
            let mut response = StatusCode::NO_CONTENT.into_response();
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => refused(&error),
    }
}

fn metadata(body: Body) -> Result<ClientMetadata, RegistrationError> {
    let SmallJson(bytes) = body.map_err(|error| RegistrationError::Metadata(error.to_string()))?;
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(RegistrationError::Metadata("the body must be a JSON object".to_owned()));
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| RegistrationError::Metadata(format!("the body cannot be read: {error}")))
}

/// The one bearer token of a request.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn answered(status: StatusCode, done: Result<ClientInformation, RegistrationError>) -> Response {
    match done {
        Ok(information) => answer::json(status, &information),
        Err(error) => refused(&error),
    }
}

fn refused(error: &RegistrationError) -> Response {
    let (status, code) = match error {
        RegistrationError::Closed | RegistrationError::Full => (StatusCode::FORBIDDEN, "access_denied"),
        RegistrationError::InvalidToken => (StatusCode::UNAUTHORIZED, "invalid_token"),
        RegistrationError::RedirectUri(_) => (StatusCode::BAD_REQUEST, "invalid_redirect_uri"),
        RegistrationError::Metadata(_) => (StatusCode::BAD_REQUEST, "invalid_client_metadata"),
        RegistrationError::SoftwareStatement => (StatusCode::BAD_REQUEST, "unapproved_software_statement"),
        RegistrationError::Throttled { .. } => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable"),
        RegistrationError::Internal(error) => return answer::room(error),
    };
    let description = answer::plain(&error.to_string());
    let mut response = answer::json(status, &json!({"error": code, "error_description": description}));
    match error {
        RegistrationError::InvalidToken => {
            response = Challenge::InvalidToken(Scheme::Bearer).on(response);
        }
        RegistrationError::Throttled { retry_after } => {
            rate::retry_after(response.headers_mut(), *retry_after);
        }
        _ => {}
    }
    response
}
