//! Request bodies that are one document: read whole, in bounded size and time, and of a declared kind.
//!
//! A form of a foreign page can send `text/plain` without a preflight request; whoever insists on the content type is not
//! reached by it (ABUSE-CASES AC-60).

use crate::limits::FORM_READ_TIME;
use crate::patience::within;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The content type is missing, stands twice or is none of those that are taken, or there is a content coding.
    #[error("the content type is not one that is read here")]
    ContentType,
    /// It is longer than is read.
    #[error("the request body is too long")]
    TooLarge,
    /// It did not arrive in time.
    #[error("the request body did not arrive in time")]
    TooSlow,
    /// The connection broke.
    #[error("the request body could not be read")]
    Unreadable,
}

impl BodyError {
    /// The status that fits: 400, 408, 413 or 415.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unreadable => StatusCode::BAD_REQUEST,
        }
    }
}

/// Reads a document whose content type is one of `kinds` (in lower case), of at most `max_bytes`.
///
/// # Errors
/// [`BodyError`].
pub async fn read(
    headers: &HeaderMap,
    body: Body,
    kinds: &[&str],
    max_bytes: usize,
) -> Result<Bytes, BodyError> {
    check_kind(headers, kinds)?;
    let reading = Limited::new(body, max_bytes).collect();
    match within(FORM_READ_TIME, reading).await {
        None => Err(BodyError::TooSlow),
        Some(Ok(body)) => Ok(body.to_bytes()),
        Some(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Some(Err(_)) => Err(BodyError::Unreadable),
    }
}

/// Whether the headers declare one of these kinds, in UTF-8 where they name a character set, and no content coding:
/// nothing here decompresses (AC-58).
pub fn check_kind(headers: &HeaderMap, kinds: &[&str]) -> Result<(), BodyError> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None, false) =
        (values.next(), values.next(), headers.contains_key(header::CONTENT_ENCODING))
    else {
        return Err(BodyError::ContentType);
    };
    let text = value.to_str().map_err(|_| BodyError::ContentType)?;
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    let known = kinds.iter().any(|known| kind.trim().eq_ignore_ascii_case(known));
    let sound =
        parameters.split(';').map(str::trim).filter(|parameter| !parameter.is_empty()).all(|parameter| {
            parameter.split_once('=').is_some_and(|(name, value)| {
                !name.trim().eq_ignore_ascii_case("charset")
                    || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            })
        });
    if known && sound { Ok(()) } else { Err(BodyError::ContentType) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(values: &[&str]) -> Result<(), BodyError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_TYPE, value.parse().unwrap());
        }
        check_kind(&headers, &["application/json", "application/merge-patch+json"])
    }

    #[test]
    fn ac_60_only_declared_kinds_are_read() {
        for good in ["application/json", "Application/JSON ; charset=UTF-8", "application/merge-patch+json"] {
            assert_eq!(kind(&[good]), Ok(()), "{good}");
        }
        for bad in
            ["text/plain", "text/plain; application/json", "application/json; charset=utf-16", "", "a;b"]
        {
            assert_eq!(kind(&[bad]), Err(BodyError::ContentType), "{bad}");
        }
        assert!(kind(&[]).is_err());
        assert!(kind(&["application/json", "application/json"]).is_err());
        let mut packed = HeaderMap::new();
        packed.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        packed.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert!(check_kind(&packed, &["application/json"]).is_err());
    }

    #[tokio::test]
    async fn a_long_body_is_not_read_to_its_end() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        let read = |length: usize| read(&headers, Body::from("x".repeat(length)), &["application/json"], 10);
        assert_eq!(read(10).await.unwrap().len(), 10);
        assert_eq!(read(11).await, Err(BodyError::TooLarge));
    }
}
