//! Parameters as the standards of this door have them: each stands once, but for those that may repeat.

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use keyreeve_http::params::{ParamError, Params, StrictForm};

/// The parameters that may be given more than once (RFC 8707 section 2, RFC 8693 section 2.1). Whoever reads one asks for all
/// of its values.
const REPEATABLE: [&str; 2] = ["resource", "audience"];

/// The parameters of the query string.
pub(crate) struct Query(pub(crate) Params);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = ParamError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ParamError> {
        Params::parse_with(parts.uri.query().unwrap_or_default(), &REPEATABLE).map(Self)
    }
}

/// The parameters of a form.
pub(crate) struct Form(pub(crate) Params);

impl<S: Sync> FromRequest<S> for Form {
    type Rejection = ParamError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ParamError> {
        StrictForm::read(request, &REPEATABLE).await.map(|StrictForm(params)| Self(params))
    }
}

/// Parameters as the room reads them.
pub(crate) struct Given<'p>(pub(crate) &'p Params);

impl keyreeve_tokens::Parameters for Given<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        // One that may repeat has no single value: which of them would be a guess (AC-05).
        self.0.get(name).filter(|_| !REPEATABLE.contains(&name))
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.0.all(name).collect()
    }
}
