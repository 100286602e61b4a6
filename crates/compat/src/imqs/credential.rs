//! What callers show: a cookie, HTTP Basic, or a signature of another service.

use super::failure::Failure;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method, header};
use jiff::fmt::strtime;
use keyreeve_base::Timestamp;
use keyreeve_crypto::{Secret, sha256};
use std::time::Duration;

/// The longest `Authorization` header that is looked at, in bytes.
const MAX_BASIC: usize = 8 * 1024;
/// How far the `Date` of a signed request may be off.
const CLOCK_WINDOW: Duration = Duration::from_secs(300);
/// The scheme of signed requests.
const SERVICE: &str = "IMQS-Service";
/// The format of the dates of HTTP.
const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

/// An identity and a password as they were sent, trimmed.
pub(super) struct Basic {
    pub(super) identity: String,
    pub(super) password: Secret,
}

/// The one value of a header.
pub(super) fn single<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// The Basic credential of a request.
pub(super) fn basic(headers: &HeaderMap) -> Result<Basic, Failure> {
    let text = single(headers, &header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let encoded = text.filter(|text| text.len() <= MAX_BASIC).and_then(|text| text.split_once(' '));
    let (_, encoded) =
        encoded.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic")).ok_or(Failure::BadBasic)?;
    let bytes = STANDARD.decode(encoded.trim()).map_err(|_| Failure::BadBasic)?;
    let text = Secret::from(String::from_utf8(bytes).map_err(|_| Failure::BadBasic)?);
    let (identity, password) = text.expose().split_once(':').ok_or(Failure::BadBasic)?;
    Ok(Basic { identity: identity.trim().to_owned(), password: Secret::from(password.trim().to_owned()) })
}

/// The value of a cookie: none where it was not sent; empty where it was sent in a way that names no session.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut found = None;
    for header in headers.get_all(header::COOKIE) {
        for pair in header.to_str().unwrap_or_default().split(';') {
            let Some((key, value)) = pair.trim().split_once('=') else { continue };
            if key == name {
                // Which of two is meant would be a guess (AC-05).
                found = Some(if found.is_some() { "" } else { value });
            }
        }
    }
    found
}

/// Whether a request is signed by a service that knows the secret: HMAC-SHA-256 over method, path with query, date and the
/// digest of the body, each on a line of its own.
pub(super) fn is_signed(
    secret: &Secret,
    (method, target): (&Method, &str),
    (headers, body): (&HeaderMap, &[u8]),
    now: Timestamp,
) -> bool {
    let Some(shown) = signature(headers) else { return false };
    let Some(date) = single(headers, &header::DATE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let Some(at) = parse_date(date) else { return false };
    if at.since(now).max(now.since(at)) > CLOCK_WINDOW {
        return false;
    }
    let digest: String = sha256(body).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("{method}\n{target}\n{date}\n{digest}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    hmac::verify(&key, text.as_bytes(), &shown).is_ok()
}

/// Whether a request bears what would be a signature.
pub(super) fn bears_signature(headers: &HeaderMap) -> bool {
    signature(headers).is_some()
}

/// `Authorization: IMQS-Service NAME:MAC`, or the same behind `X-Imqs-Signature`.
fn signature(headers: &HeaderMap) -> Option<Vec<u8>> {
    let own = headers.get("x-imqs-signature").and_then(|value| value.to_str().ok());
    let shown = own.or_else(|| {
        let text = single(headers, &header::AUTHORIZATION)?.to_str().ok()?;
        text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SERVICE)).map(|(_, rest)| rest)
    })?;
    let (_, mac) = shown.trim().rsplit_once(':')?;
    STANDARD.decode(mac).ok()
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let parsed = strtime::parse(HTTP_DATE, text).ok()?.to_datetime().ok()?;
    let at = parsed.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(Timestamp::from_seconds(at.as_second()))
}

/// A moment as cookies and dates have it.
pub(super) fn http_date(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_second(at.seconds()).unwrap_or_default();
    at.strftime(HTTP_DATE).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn basic_is_split_at_the_first_colon_and_trimmed() {
        let of = |text: &str| {
            basic(&headers(&[("authorization", text)]))
                .ok()
                .map(|basic| (basic.identity, basic.password.expose().to_owned()))
        };
        let encoded = STANDARD.encode(" joe :a:b ");
        assert_eq!(of(&format!("bAsIc {encoded}")), Some(("joe".to_owned(), "a:b".to_owned())));
        for bad in ["", "Basic", "Basic invalid_auth", "Bearer abc", "Basic am9l"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn ac_05_two_cookies_of_one_name_are_none() {
        let of = |text: &str| cookie(&headers(&[("cookie", text)]), "session").map(str::to_owned);
        assert_eq!(of("a=b; session=abc"), Some("abc".to_owned()));
        assert_eq!(of("session="), Some(String::new()));
        assert_eq!(of("session=a; session=b"), Some(String::new()));
        assert_eq!((of("sessions=a"), of("a")), (None, None));
    }

    #[test]
    fn a_signature_covers_method_target_date_and_body() {
        let (secret, now) =
            (Secret::from("between services".to_owned()), Timestamp::from_seconds(1_700_000_000));
        let date = http_date(now);
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let digest: String = sha256(b"{}").iter().map(|byte| format!("{byte:02x}")).collect();
        let mac = hmac::sign(&key, format!("POST\n/importgroups?a=b\n{date}\n{digest}").as_bytes());
        let shown = format!("IMQS-Service importer:{}", STANDARD.encode(mac));
        let sent = headers(&[("authorization", &shown), ("date", &date)]);
        let check = |method: Method, target: &str, body: &[u8], now: Timestamp| {
            is_signed(&secret, (&method, target), (&sent, body), now)
        };
        assert!(check(Method::POST, "/importgroups?a=b", b"{}", now));
        assert!(!check(Method::PUT, "/importgroups?a=b", b"{}", now));
        assert!(!check(Method::POST, "/importgroups", b"{}", now));
        assert!(!check(Method::POST, "/importgroups?a=b", b"[]", now));
        for off in [301, 3_600] {
            assert!(!check(Method::POST, "/importgroups?a=b", b"{}", now.plus(Duration::from_secs(off))));
            assert!(!check(Method::POST, "/importgroups?a=b", b"{}", now.minus(Duration::from_secs(off))));
        }
    }

    #[test]
    fn dates_are_those_of_cookies() {
        assert_eq!(http_date(Timestamp::from_seconds(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(parse_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Timestamp::from_seconds(0)));
    }
}
