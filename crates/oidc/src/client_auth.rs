//! How a client's credentials are read from a request (RFC 6749 section 2.3, RFC 7521 section 4.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use keyreeve_base::ServiceAccountId;
use keyreeve_crypto::Secret;
use keyreeve_http::params::Params;
use keyreeve_tokens::{ClientCredential, ServiceCredential, TokenError};
use zeroize::Zeroizing;

/// The longest `Authorization` header that is read, in bytes.
const MAX_HEADER_BYTES: usize = 2_048;

/// The credential of a request, taken out of it.
pub(crate) enum Presented {
    Basic { client_id: String, secret: Secret },
    Post { client_id: String, secret: Secret },
    Assertion { kind: String, jwt: String, client_id: Option<String> },
    None { client_id: String },
}

impl Presented {
    /// Finds the one way in which the client authenticates: by the credentials of the header ([`basic`]) or by those of
    /// the form. More than one is refused, even where they agree
    /// (RFC 6749 section 2.3).
    ///
    /// # Errors
    /// `invalid_request` for several ways or an incomplete one; `invalid_client` for none.
    pub(crate) fn read(basic: Option<(String, Secret)>, params: &mut Params) -> Result<Self, TokenError> {
        let secret = params.take("client_secret");
        let assertion = params.get("client_assertion").map(str::to_owned);
        let assertion_type = params.get("client_assertion_type").map(str::to_owned);
        let client_id = params.get("client_id").map(str::to_owned);
        let ways = [basic.is_some(), secret.is_some(), assertion.is_some() || assertion_type.is_some()];
        if ways.iter().filter(|used| **used).count() > 1 {
            return Err(TokenError::InvalidRequest(
                "the client authenticates in more than one way".to_owned(),
            ));
        }
        Ok(match (basic, secret, assertion, assertion_type, client_id) {
            (Some((named, _)), _, _, _, Some(other)) if named != other => {
                return Err(TokenError::InvalidRequest(
                    "client_id is not that of the Authorization header".to_owned(),
                ));
            }
            (Some((client_id, secret)), ..) => Self::Basic { client_id, secret },
            (None, Some(secret), _, _, Some(client_id)) => {
                Self::Post { client_id, secret: Secret::new(&secret) }
            }
            (None, Some(_), _, _, None) => {
                return Err(TokenError::InvalidRequest("client_secret needs client_id beside it".to_owned()));
            }
            (None, None, Some(jwt), Some(kind), client_id) => Self::Assertion { kind, jwt, client_id },
            (None, None, Some(_), None, _) | (None, None, None, Some(_), _) => {
                return Err(TokenError::InvalidRequest(
                    "client_assertion and client_assertion_type belong together".to_owned(),
                ));
            }
            (None, None, None, None, Some(client_id)) => Self::None { client_id },
            (None, None, None, None, None) => return Err(TokenError::InvalidClient),
        })
    }

    /// The credential as that of a service account: those are called by a UUID, and no client is.
    pub(crate) fn service(&self) -> Option<ServiceCredential<'_>> {
        match self {
            Self::Basic { client_id, secret } | Self::Post { client_id, secret } => {
                client_id.parse::<ServiceAccountId>().ok()?;
                Some(ServiceCredential { account: client_id, secret })
            }
            Self::Assertion { .. } | Self::None { .. } => None,
        }
    }

    /// The credential as the room takes it.
    pub(crate) fn credential(&self) -> ClientCredential<'_> {
        match self {
            Self::Basic { client_id, secret } => {
                ClientCredential::Basic { client_id, secret: secret.duplicate() }
            }
            Self::Post { client_id, secret } => {
                ClientCredential::Post { client_id, secret: secret.duplicate() }
            }
            Self::Assertion { kind, jwt, client_id } => {
                ClientCredential::Assertion { kind, jwt, client_id: client_id.as_deref() }
            }
            Self::None { client_id } => ClientCredential::None { client_id },
        }
    }
}

/// The parts of an `Authorization: Basic` header: form-urlencoded within the base64 (RFC 6749 section 2.3.1).
///
/// # Errors
/// `invalid_client` for a header that cannot be read, `invalid_request` for several.
pub(crate) fn basic(headers: &HeaderMap) -> Result<Option<(String, Secret)>, TokenError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(TokenError::InvalidRequest("there is more than one Authorization header".to_owned()));
    }
    let text = value.to_str().ok().filter(|text| text.len() <= MAX_HEADER_BYTES);
    let (scheme, credentials) =
        text.and_then(|text| text.split_once(' ')).ok_or(TokenError::InvalidClient)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(TokenError::InvalidClient);
    }
    let bytes = STANDARD.decode(credentials.trim()).map_err(|_| TokenError::InvalidClient)?;
    let decoded = Zeroizing::new(String::from_utf8(bytes).map_err(|_| TokenError::InvalidClient)?);
    let (id, secret) = decoded.split_once(':').ok_or(TokenError::InvalidClient)?;
    match (unescape(id), unescape(secret).map(Zeroizing::new)) {
        (Some(id), Some(secret)) if !id.is_empty() => Ok(Some((id, Secret::new(&secret)))),
        _ => Err(TokenError::InvalidClient),
    }
}

/// Decodes `application/x-www-form-urlencoded` text. A client that forgot to encode is understood as long as it sent no
/// `%` or `+`: our own identifiers and secrets hold neither.
fn unescape(text: &str) -> Option<String> {
    if !text.bytes().any(|b| b == b'%' || b == b'+') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16).and_then(|d| u8::try_from(d).ok());
                digit(rest.next())?.checked_mul(16)?.checked_add(digit(rest.next())?)?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(text: &str) -> HeaderMap {
        let mut map = HeaderMap::new();
        let value = format!("Basic {}", STANDARD.encode(text));
        map.insert(header::AUTHORIZATION, value.parse().unwrap());
        map
    }

    fn code(result: Result<Presented, TokenError>) -> &'static str {
        result.err().map_or("accepted", |error| error.code())
    }

    /// What a request with this header and this form shows.
    fn read(header: Option<&str>, form: &str) -> Result<Presented, TokenError> {
        let headers = header.map(headers).unwrap_or_default();
        Presented::read(basic(&headers)?, &mut Params::parse(form).unwrap())
    }

    #[test]
    fn each_way_is_recognised() {
        let kind = |header, form| match read(header, form).ok().unwrap().credential() {
            ClientCredential::Basic { client_id: "app", .. } => "basic",
            ClientCredential::Post { client_id: "app", .. } => "post",
            ClientCredential::None { client_id: "app" } => "none",
            ClientCredential::Assertion { kind: "y", jwt: "x", client_id: None } => "assertion",
            _ => "something else",
        };
        assert_eq!(kind(Some("app:s3"), ""), "basic");
        assert_eq!(kind(None, "client_id=app&client_secret=s3"), "post");
        assert_eq!(kind(None, "client_id=app"), "none");
        assert_eq!(kind(None, "client_assertion=x&client_assertion_type=y"), "assertion");
    }

    #[test]
    fn ac_05_two_ways_at_once_are_refused() {
        let header = Some("app:s");
        assert_eq!(code(read(header, "client_secret=s&client_id=app")), "invalid_request");
        assert_eq!(code(read(header, "client_id=other")), "invalid_request");
        assert_eq!(code(read(header, "client_id=app")), "accepted");
        let both = "client_id=app&client_secret=s&client_assertion=x&client_assertion_type=y";
        assert_eq!(code(read(None, both)), "invalid_request");
        assert_eq!(code(read(None, "client_assertion=x")), "invalid_request");
        assert_eq!(code(read(None, "client_secret=x")), "invalid_request");
        assert_eq!(code(read(None, "grant_type=x")), "invalid_client");
    }

    #[test]
    fn the_header_is_form_decoded_and_read_strictly() {
        let (id, secret) = basic(&headers("my+app%3A1:p%25+q")).unwrap().unwrap();
        assert_eq!((id.as_str(), secret.expose()), ("my app:1", "p% q"));
        for bad in ["no-colon", ":secret", "a%2:b", "a%zz:b", "a:b%00"] {
            assert_eq!(basic(&headers(bad)).err().map(|e| e.code()), Some("invalid_client"), "{bad}");
        }
        let mut bearer = HeaderMap::new();
        bearer.insert(header::AUTHORIZATION, "Bearer abc".parse().unwrap());
        assert_eq!(basic(&bearer).err().map(|e| e.code()), Some("invalid_client"));
        bearer.append(header::AUTHORIZATION, "Basic abc".parse().unwrap());
        assert_eq!(basic(&bearer).err().map(|e| e.code()), Some("invalid_request"));
    }
}
