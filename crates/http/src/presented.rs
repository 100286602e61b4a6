//! Access tokens as requests present them (RFC 6750, RFC 9449 section 7.1), and the challenges with which those are answered
//! that present none, or none that is good. What a token is good for is for a room to say.

use crate::possession::{Described, Unreadable, with_nonce};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use keyreeve_base::Presentation;
use std::borrow::Cow;

/// The two ways in which a token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 9449: with a proof of possession.
    Dpop,
}

impl Scheme {
    /// That of a token which is bound to a key, or of one which is not.
    #[must_use]
    pub const fn of(bound: bool) -> Self {
        if bound { Self::Dpop } else { Self::Bearer }
    }

    const fn challenge(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer realm=\"keyreeve\"",
            Self::Dpop => "DPoP realm=\"keyreeve\", algs=\"EdDSA ES256 RS256\"",
        }
    }
}

/// Why whoever presents a token, or none, is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// Nothing was shown: a challenge for each scheme, without an error code.
    Missing,
    /// More than one token, or a header that cannot be read.
    InvalidRequest,
    /// The token is not good (any more), or the proof beside it.
    InvalidToken(Scheme),
    /// The token is good, but lacks this scope.
    InsufficientScope(Scheme, Cow<'static, str>),
    /// The proof must contain this nonce (RFC 9449 section 9).
    UseNonce(String),
}

impl Challenge {
    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::InsufficientScope(..) => StatusCode::FORBIDDEN,
            Self::Missing | Self::InvalidToken(_) | Self::UseNonce(_) => StatusCode::UNAUTHORIZED,
        }
    }

    /// The error code, where there is one.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::Missing => None,
            Self::InvalidRequest => Some("invalid_request"),
            Self::InvalidToken(_) => Some("invalid_token"),
            Self::InsufficientScope(..) => Some("insufficient_scope"),
            Self::UseNonce(_) => Some("use_dpop_nonce"),
        }
    }

    /// The same to whoever presents a token by this scheme.
    #[must_use]
    pub fn by(self, scheme: Scheme) -> Self {
        match self {
            Self::InvalidToken(_) => Self::InvalidToken(scheme),
            Self::InsufficientScope(_, scope) => Self::InsufficientScope(scheme, scope),
            same @ (Self::Missing | Self::InvalidRequest | Self::UseNonce(_)) => same,
        }
    }

    /// The challenges, one for each scheme that would do.
    fn texts(&self) -> Vec<String> {
        let code = self.code().unwrap_or_default();
        let (scheme, more) = match self {
            Self::Missing => {
                return [Scheme::Bearer, Scheme::Dpop].map(|scheme| scheme.challenge().to_owned()).to_vec();
            }
            Self::InvalidRequest => {
                (Scheme::Bearer, ", error_description=\"send one access token, once\"".to_owned())
            }
            Self::InvalidToken(scheme) => {
                let what = match scheme {
                    Scheme::Bearer => "the access token is not valid",
                    Scheme::Dpop => "the access token, or the proof beside it, is not valid",
                };
                (*scheme, format!(", error_description=\"{what}\""))
            }
            Self::InsufficientScope(scheme, scope) => (*scheme, format!(", scope=\"{scope}\"")),
            Self::UseNonce(_) => (Scheme::Dpop, String::new()),
        };
        vec![format!("{}, error=\"{code}\"{more}", scheme.challenge())]
    }

    /// Adds what it says to the answer: `WWW-Authenticate` and, where a nonce is asked for, `DPoP-Nonce`.
    #[must_use]
    pub fn on(&self, mut response: Response) -> Response {
        for text in self.texts() {
            if let Ok(value) = HeaderValue::try_from(text) {
                response.headers_mut().append(header::WWW_AUTHENTICATE, value);
            }
        }
        match self {
            Self::UseNonce(nonce) => with_nonce(response, nonce),
            _ => response,
        }
    }
}

/// The one access token of a request's headers, with its proof where it needs one.
///
/// # Errors
/// What to answer where there is none, or none that can be read.
pub fn presented<'r>(
    headers: &'r HeaderMap,
    described: &'r Described,
) -> Result<Presentation<'r>, Challenge> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Err(Challenge::Missing),
        (Some(_), Some(_)) => return Err(Challenge::InvalidRequest),
        (Some(value), None) => value,
    };
    let text = value.to_str().map_err(|_| Challenge::InvalidRequest)?;
    let (scheme, token) = text.split_once(' ').ok_or(Challenge::Missing)?;
    let token = token.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Presentation::Bearer(token));
    }
    if !scheme.eq_ignore_ascii_case("dpop") {
        return Err(Challenge::Missing);
    }
    match described.shown() {
        Ok(Some(shown)) => Ok(Presentation::Dpop { token, shown }),
        Ok(None) | Err(Unreadable) => Err(Challenge::InvalidToken(Scheme::Dpop)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse as _;
    use http::Method;

    fn of(authorization: &[&str], proofs: &[&str]) -> Result<(bool, String), Challenge> {
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        for proof in proofs {
            headers.append("dpop", proof.parse().unwrap());
        }
        let described = Described::new(&Method::GET, "/x", &headers);
        presented(&headers, &described).map(|presented| match presented {
            Presentation::Bearer(token) => (false, token.to_owned()),
            Presentation::Dpop { token, shown } => {
                assert_eq!((shown.method, shown.path), ("GET", "/x"));
                (true, format!("{token} {}", shown.proof))
            }
        })
    }

    #[test]
    fn ac_05_one_token_is_taken_and_two_are_refused() {
        assert_eq!(of(&["Bearer abc"], &[]), Ok((false, "abc".to_owned())));
        assert_eq!(of(&["bearer  abc "], &["proof"]), Ok((false, "abc".to_owned())));
        assert_eq!(of(&["DPoP abc"], &["proof"]), Ok((true, "abc proof".to_owned())));
        assert_eq!(of(&[], &[]), Err(Challenge::Missing));
        assert_eq!(of(&["Basic abc"], &[]), Err(Challenge::Missing));
        assert_eq!(of(&["Bearer"], &[]), Err(Challenge::Missing));
        assert_eq!(of(&["Bearer a", "DPoP b"], &["proof"]), Err(Challenge::InvalidRequest));
        assert_eq!(of(&["Bearer a", "Bearer b"], &[]), Err(Challenge::InvalidRequest));
        assert_eq!(of(&["Bearer ä"], &[]), Err(Challenge::InvalidRequest));
        for unproven in [&[][..], &["a", "b"]] {
            assert_eq!(of(&["DPoP abc"], unproven), Err(Challenge::InvalidToken(Scheme::Dpop)));
        }
    }

    #[test]
    fn rfc9449_7_1_whoever_shows_nothing_is_told_of_both_schemes() {
        let of = |challenge: Challenge| {
            let response = challenge.on(challenge.status().into_response());
            let values = response.headers().get_all(header::WWW_AUTHENTICATE).iter();
            (response.status().as_u16(), values.map(|value| value.to_str().unwrap().to_owned()).collect())
        };
        let (status, texts): (u16, Vec<String>) = of(Challenge::Missing);
        assert_eq!(status, 401);
        assert!(texts[0].starts_with("Bearer ") && texts[1].starts_with("DPoP ") && texts.len() == 2);
        assert!(!texts.concat().contains("error"));
        let (status, texts) = of(Challenge::InsufficientScope(Scheme::Bearer, "a".into()).by(Scheme::Dpop));
        assert_eq!((status, texts.len()), (403, 1));
        assert!(
            texts[0].starts_with("DPoP ") && texts[0].ends_with("error=\"insufficient_scope\", scope=\"a\"")
        );
    }
}
