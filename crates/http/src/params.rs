//! Strict parameters: query strings and form bodies in which every parameter stands once (RFC 6749 section 3.1,
//! ABUSE-CASES AC-05) and every byte is what it claims to be.
//!
//! A parameter with an empty value counts as omitted (RFC 6749 section 3.1). Nothing is repaired: a stray `%`, bytes
//! that are not UTF-8, a NUL, one parameter too many refuse the whole input, with a sentence that names the parameter
//! and never repeats its value.

use crate::limits::{
    FORM_READ_TIME, MAX_FORM_BYTES, MAX_PARAM_NAME_BYTES, MAX_PARAM_VALUE_BYTES, MAX_PARAMS,
};
use crate::patience::within;
use crate::problem::Problem;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use memchr::memchr3;
use std::time::Duration;
use zeroize::Zeroizing;

/// The parameters of one query string or form body. Its `Debug` shows names only: values may be secrets, and they are
/// wiped when dropped.
#[derive(Default)]
pub struct Params {
    pairs: Vec<(String, Zeroizing<String>)>,
}

/// Why parameters were refused. Its text is a sentence for people that names the parameter; it is fit for an
/// `error_description` (RFC 6749 section 5.2 allows no quotation mark and no backslash there).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamError {
    /// The parameter stands more than once, in one place or in query and form together.
    #[error("the parameter '{0}' is given more than once")]
    Duplicate(String),
    /// A required parameter is missing or empty; made by [`Params::require`].
    #[error("the parameter '{0}' is missing")]
    Missing(String),
    /// A `%` is not followed by two hexadecimal digits.
    #[error("the parameter '{0}' is not percent-encoded correctly")]
    Encoding(String),
    /// The decoded bytes are not UTF-8.
    #[error("the parameter '{0}' is not valid UTF-8")]
    NotUtf8(String),
    /// The decoded text holds U+0000.
    #[error("the parameter '{0}' contains a NUL character")]
    Nul(String),
    /// The value is longer than [`MAX_PARAM_VALUE_BYTES`].
    #[error("the parameter '{0}' is too long")]
    TooLong(String),
    /// A value stands without a name, or the name is longer than [`MAX_PARAM_NAME_BYTES`].
    #[error("a parameter has an empty or overlong name")]
    Name,
    /// More than [`MAX_PARAMS`] parameters.
    #[error("there are too many parameters")]
    TooMany,
    /// The body is not UTF-8 as a whole.
    #[error("the request body is not valid UTF-8")]
    BodyNotUtf8,
    /// The content type is not `application/x-www-form-urlencoded` (in UTF-8, without a content coding).
    #[error("the content type must be application/x-www-form-urlencoded")]
    ContentType,
    /// The content type is not `application/json` (without a content coding).
    #[error("the content type must be application/json")]
    NotJson,
    /// The body is longer than [`MAX_FORM_BYTES`].
    #[error("the request body is too long")]
    BodyTooLarge,
    /// The body did not arrive within [`FORM_READ_TIME`].
    #[error("the request body did not arrive in time")]
    BodyTooSlow,
    /// The connection broke while the body was read.
    #[error("the request body could not be read")]
    BodyUnreadable,
}

impl ParamError {
    /// The status that fits: 400, 408, 413 or 415. OAuth doors answer 400 `invalid_request` whatever this says.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::ContentType | Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Duplicate(_)
            | Self::Missing(_)
            | Self::Encoding(_)
            | Self::NotUtf8(_)
            | Self::Nul(_)
            | Self::TooLong(_)
            | Self::Name
            | Self::TooMany
            | Self::BodyNotUtf8
            | Self::BodyUnreadable => StatusCode::BAD_REQUEST,
        }
    }

    /// The parameter that is wrong, where there is one; made printable and cut.
    #[must_use]
    pub fn parameter(&self) -> Option<&str> {
        match self {
            Self::Duplicate(name)
            | Self::Missing(name)
            | Self::Encoding(name)
            | Self::NotUtf8(name)
            | Self::Nul(name)
            | Self::TooLong(name) => Some(name),
            Self::Name
            | Self::TooMany
            | Self::BodyNotUtf8
            | Self::ContentType
            | Self::NotJson
            | Self::BodyTooLarge
            | Self::BodyTooSlow
            | Self::BodyUnreadable => None,
        }
    }
}

impl IntoResponse for ParamError {
    /// A problem document, for doors that have no shape of their own.
    fn into_response(self) -> Response {
        Problem::of(self.status()).detail(self.to_string()).into_response()
    }
}

impl Params {
    /// Reads `text` as `application/x-www-form-urlencoded`. Empty sequences between two `&` are passed over.
    ///
    /// # Errors
    /// [`ParamError`] for the first parameter that is wrong.
    pub fn parse(text: &str) -> Result<Self, ParamError> {
        Self::parse_with(text, &[])
    }

    /// The same, where the parameters `repeatable` may stand more than once: a standard has to say so of each
    /// (`resource` in RFC 8707 section 2). Their values are read by [`Params::all`].
    ///
    /// # Errors
    /// [`ParamError`] for the first parameter that is wrong.
    pub fn parse_with(text: &str, repeatable: &[&str]) -> Result<Self, ParamError> {
        let mut params = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (raw_name, raw_value) = pair.split_once('=').unwrap_or((pair, ""));
            let mut name = decode(raw_name, MAX_PARAM_NAME_BYTES, raw_name).map_err(|error| match error {
                ParamError::TooLong(_) => ParamError::Name,
                other => other,
            })?;
            if name.is_empty() {
                return Err(ParamError::Name);
            }
            let value = decode(raw_value, MAX_PARAM_VALUE_BYTES, &name)?;
            let may_repeat = repeatable.contains(&name.as_str());
            params.push(std::mem::take(&mut *name), value, may_repeat)?;
        }
        Ok(params)
    }

    /// The parameters of a query and of a form together.
    ///
    /// # Errors
    /// [`ParamError::Duplicate`] when one stands in both, [`ParamError::TooMany`] when they are too many together.
    pub fn merge(query: Self, form: Self) -> Result<Self, ParamError> {
        let mut params = query;
        for (name, value) in form.pairs {
            params.push(name, value, false)?;
        }
        Ok(params)
    }

    fn push(&mut self, name: String, value: Zeroizing<String>, may_repeat: bool) -> Result<(), ParamError> {
        if !may_repeat && self.pairs.iter().any(|(known, _)| *known == name) {
            return Err(ParamError::Duplicate(shown(&name)));
        }
        if self.pairs.len() >= MAX_PARAMS {
            return Err(ParamError::TooMany);
        }
        self.pairs.push((name, value));
        Ok(())
    }

    /// All values of a parameter that may repeat, in their order, without the empty ones.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The value of `name`; `None` when it is missing or empty. Of one that may repeat, read [`Params::all`].
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The value of `name`.
    ///
    /// # Errors
    /// [`ParamError::Missing`] when it is missing or empty.
    pub fn require(&self, name: &str) -> Result<&str, ParamError> {
        self.get(name).ok_or_else(|| ParamError::Missing(shown(name)))
    }

    /// Takes the value of `name` out, still to be wiped when dropped: for passwords and client secrets.
    pub fn take(&mut self, name: &str) -> Option<Zeroizing<String>> {
        let at = self.pairs.iter().position(|(known, _)| known == name)?;
        let (_, value) = self.pairs.swap_remove(at);
        Some(value).filter(|value| !value.is_empty())
    }

    /// All parameters that have a value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is no parameter with a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl std::fmt::Debug for Params {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.pairs.iter().map(|(name, _)| name)).finish()
    }
}

/// Decodes one name or value; `name` is what an error shall call it.
fn decode(raw: &str, max_bytes: usize, name: &str) -> Result<Zeroizing<String>, ParamError> {
    let too_long = || ParamError::TooLong(shown(name));
    let mut decoded = Zeroizing::new(Vec::with_capacity(raw.len().min(max_bytes)));
    let mut rest = raw.as_bytes();
    loop {
        // What stands for itself, mostly all of it, is copied in one go.
        let plain_bytes = memchr3(b'+', b'%', 0, rest).unwrap_or(rest.len());
        let (plain, special) = rest.split_at(plain_bytes);
        if decoded.len() + plain.len() > max_bytes {
            return Err(too_long());
        }
        decoded.extend_from_slice(plain);
        let byte;
        (byte, rest) = match special {
            [] => break,
            [b'+', rest @ ..] => (b' ', rest),
            [b'%', high, low, rest @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, rest),
                _ => return Err(ParamError::Encoding(shown(name))),
            },
            [b'%', ..] => return Err(ParamError::Encoding(shown(name))),
            [other, rest @ ..] => (*other, rest),
        };
        if decoded.len() >= max_bytes {
            return Err(too_long());
        }
        if byte == 0 {
            return Err(ParamError::Nul(shown(name)));
        }
        decoded.push(byte);
    }
    match std::str::from_utf8(&decoded) {
        // The allocation itself moves into the string, so that no unwiped copy stays behind.
        Ok(_) => Ok(Zeroizing::new(String::from_utf8(std::mem::take(&mut *decoded)).unwrap_or_default())),
        Err(_) => Err(ParamError::NotUtf8(shown(name))),
    }
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// A name as an error may show it: the caller chose it, so it is cut, and what is not plain becomes a question mark.
fn shown(name: &str) -> String {
    const SHOWN: usize = 40;
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-.[]:".contains(c) { c } else { '?' };
    name.chars().take(SHOWN).map(plain).collect()
}

/// The parameters of the query string. The rejection is a [`ParamError`]; take `Result<StrictQuery, ParamError>` to
/// answer it in the door's own shape.
#[derive(Debug)]
pub struct StrictQuery(pub Params);

impl<S: Sync> FromRequestParts<S> for StrictQuery {
    type Rejection = ParamError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ParamError> {
        Params::parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// The parameters of an `application/x-www-form-urlencoded` body; its query string is not looked at. A request with
/// neither content type nor body has no parameters. The rejection is a [`ParamError`]; take
/// `Result<StrictForm, ParamError>` to answer it in the door's own shape.
#[derive(Debug)]
pub struct StrictForm(pub Params);

impl<S: Sync> FromRequest<S> for StrictForm {
    type Rejection = ParamError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ParamError> {
        Self::read(request, &[]).await
    }
}

impl StrictForm {
    /// Reads the body, in which the parameters `repeatable` may stand more than once.
    ///
    /// # Errors
    /// [`ParamError`].
    pub async fn read(request: Request, repeatable: &[&str]) -> Result<Self, ParamError> {
        let declared = declared_form(request.headers())?;
        let body = read_body(request.into_body(), FORM_READ_TIME).await?;
        if !declared && !body.is_empty() {
            return Err(ParamError::ContentType);
        }
        let text = std::str::from_utf8(&body).map_err(|_| ParamError::BodyNotUtf8)?;
        Params::parse_with(text, repeatable).map(Self)
    }
}

/// Whether the headers declare a form; an error when they declare anything else.
fn declared_form(headers: &HeaderMap) -> Result<bool, ParamError> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        // Nothing here decompresses, so that no small body can become a large one (AC-58).
        return Err(ParamError::ContentType);
    }
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(header::CONTENT_TYPE) {
            Err(ParamError::ContentType)
        } else {
            Ok(false)
        };
    };
    let text = value.to_str().map_err(|_| ParamError::ContentType)?;
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    let charset_is_utf8 = || {
        let charset = parameters.trim().split_once('=');
        charset.is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("charset")
                && value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    };
    let is_form = kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
        && (parameters.trim().is_empty() || charset_is_utf8());
    if is_form { Ok(true) } else { Err(ParamError::ContentType) }
}

pub(crate) async fn read_body(body: Body, patience: Duration) -> Result<bytes::Bytes, ParamError> {
    let reading = Limited::new(body, MAX_FORM_BYTES).collect();
    match within(patience, reading).await {
        None => Err(ParamError::BodyTooSlow),
        Some(Ok(body)) => Ok(body.to_bytes()),
        Some(Err(error)) if error.is::<LengthLimitError>() => Err(ParamError::BodyTooLarge),
        Some(Err(_)) => Err(ParamError::BodyUnreadable),
    }
}

#[cfg(test)]
#[path = "params_tests.rs"]
mod tests;
