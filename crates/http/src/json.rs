//! JSON bodies of the size of a form, for doors whose standard asks for JSON.

use crate::limits::FORM_READ_TIME;
use crate::params::{ParamError, read_body};
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header;

/// The bytes of an `application/json` body, at most [`crate::limits::MAX_FORM_BYTES`]; whether they are JSON is the
/// reader's to find out. The rejection is a [`ParamError`]; take `Result<SmallJson, ParamError>` to answer it in the
/// door's own shape.
#[derive(Debug)]
pub struct SmallJson(pub Bytes);

impl<S: Sync> FromRequest<S> for SmallJson {
    type Rejection = ParamError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ParamError> {
        let headers = request.headers();
        let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
        let is_json = match (kinds.next(), kinds.next()) {
            (Some(kind), None) => kind.to_str().is_ok_and(|kind| {
                let kind = kind.split(';').next().unwrap_or_default().trim();
                kind.eq_ignore_ascii_case("application/json")
            }),
            _ => false,
        };
        // A form of another site cannot declare JSON without asking first (AC-60); nothing here decompresses (AC-58).
        if !is_json || headers.contains_key(header::CONTENT_ENCODING) {
            return Err(ParamError::NotJson);
        }
        read_body(request.into_body(), FORM_READ_TIME).await.map(Self)
    }
}
