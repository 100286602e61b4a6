//! Request bodies: JSON in which every name stands once.

use crate::error::ScimError;
use crate::limits::MAX_BODY_BYTES;
use axum::body::Body;
use http::HeaderMap;
use keyreeve_http::body::BodyError;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Reads the document of a request.
///
/// # Errors
/// 415 unless it is declared as JSON (RFC 7644 section 3.8), 413 for one that is too long, 400 `invalidSyntax` for what is no
/// JSON or names a member twice, in whatever case: names are case-insensitive here, so one of the two would be lost.
pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<Value, ScimError> {
    let kinds = ["application/scim+json", "application/json"];
    let bytes = keyreeve_http::body::read(headers, body, &kinds, MAX_BODY_BYTES).await.map_err(refused)?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<Value, ScimError> {
    serde_json::from_slice::<Strict>(bytes)
        .map(|Strict(value)| value)
        .map_err(|error| ScimError::syntax(format!("the request is not acceptable JSON: {error}")))
}

fn refused(error: BodyError) -> ScimError {
    match error {
        BodyError::ContentType => {
            let detail = "the content type must be application/scim+json or application/json";
            ScimError::new(error.status(), detail)
        }
        BodyError::TooLarge => {
            ScimError::new(error.status(), format!("the request is longer than {MAX_BODY_BYTES} bytes"))
        }
        BodyError::TooSlow => ScimError::new(error.status(), error.to_string()),
        BodyError::Unreadable => ScimError::syntax(error.to_string()),
    }
}

/// A JSON value in which no object names a member twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading).map(Self)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        if value.contains('\0') {
            return Err(E::custom("a text holds the character U+0000"));
        }
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if read.len() >= MAX_MEMBERS {
                return Err(A::Error::custom("an object has too many members"));
            }
            if read.keys().any(|known| known.eq_ignore_ascii_case(&name)) {
                return Err(A::Error::custom("an object names a member twice"));
            }
            let Strict(value) = members.next_value()?;
            read.insert(name, value);
        }
        Ok(Value::Object(read))
    }
}

/// The most members of one object; the names are compared with each other.
const MAX_MEMBERS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_stands_once_in_whatever_case() {
        assert!(parse(br#"{"a":{"b":1},"c":[{"b":2},{"b":3}]}"#).is_ok());
        for bad in [
            &br#"{"userName":"a","username":"b"}"#[..],
            br#"[{"a":1,"a":1}]"#,
            br#"{"a":"\u0000"}"#,
            b"{} x",
            b"",
            b"{\"a\":\"\xff\"}",
        ] {
            assert!(parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn depth_and_width_are_bounded() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        assert!(parse(deep.as_bytes()).is_err());
        let wide: Vec<String> = (0..=MAX_MEMBERS).map(|n| format!("\"a{n}\":0")).collect();
        assert!(parse(format!("{{{}}}", wide.join(",")).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(text in "\\PC{0,20}", number: i64, flag: bool) {
            let value = serde_json::json!({"a": [text, number, null], "b": {"c": flag}});
            prop_assert_eq!(parse(value.to_string().as_bytes()).unwrap(), value);
        }
    }
}
