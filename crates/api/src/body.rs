//! JSON documents of callers, read strictly: every member known, each named once, and the first that is wrong pointed at.

use crate::refused::{INVALID_BODY, Refused};
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};
use std::fmt::Write as _;

/// Reads a document.
pub(crate) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Refused> {
    if !keyreeve_crypto::strict_json::is_object_without_repetition(text) {
        // The parser may say what is wrong better, and where.
        let mut parser = serde_json::Deserializer::from_slice(text);
        return Err(match serde_path_to_error::deserialize::<_, T>(&mut parser) {
            Err(error) => refuse(&error),
            Ok(_) => Refused::of(INVALID_BODY)
                .detail("the document must be one JSON object in which no member is named twice"),
        });
    }
    // Most are right: where one is wrong is found out when it is.
    if let Ok(document) = serde_json::from_slice(text) {
        return Ok(document);
    }
    let mut parser = serde_json::Deserializer::from_slice(text);
    serde_path_to_error::deserialize(&mut parser).map_err(|error| refuse(&error))
}

/// Reads a value that was read before, as a part of a document or after it was merged, below `at`.
pub(crate) fn from_value<T: DeserializeOwned>(value: serde_json::Value, at: &str) -> Result<T, Refused> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let pointer = format!("{at}{}", pointer(error.path()));
        let problem = told(&error.inner().to_string());
        if pointer.is_empty() {
            Refused::of(INVALID_BODY).detail(problem)
        } else {
            Refused::of(INVALID_BODY).at(pointer, problem)
        }
    })
}

/// The document after a merge patch (RFC 7396).
pub(crate) fn merge(target: &mut serde_json::Value, patch: serde_json::Value) {
    use serde_json::Value;
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(&name);
        } else {
            // Depth is the parser's, which is bounded.
            merge(members.entry(name).or_insert(Value::Null), value);
        }
    }
}

fn refuse(error: &serde_path_to_error::Error<serde_json::Error>) -> Refused {
    let pointer = pointer(error.path());
    let inner = error.inner();
    let (line, column) = (inner.line(), inner.column());
    let problem = told(&inner.to_string());
    if pointer.is_empty() {
        return Refused::of(INVALID_BODY).detail(format!("{problem} (line {line}, column {column})"));
    }
    Refused::of(INVALID_BODY).at(pointer, format!("{problem} (line {line}, column {column})"))
}

/// What the parser says, without the place, which is told once, and without the value, which may be a secret.
pub(crate) fn told(text: &str) -> String {
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    let expected = text.rsplit_once(", expected ").map(|(_, expected)| expected);
    match (text.starts_with("invalid "), expected) {
        (true, Some(expected)) => format!("is not what is expected here: {expected}"),
        (true, None) => "is not what is expected here".to_owned(),
        (false, _) => text.chars().take(300).collect(),
    }
}

/// A path as a JSON pointer (RFC 6901).
pub(crate) fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => {
                let _ = write!(pointer, "/{index}");
            }
            Segment::Map { key } => {
                let key: String = key.chars().take(100).collect();
                let _ = write!(pointer, "/{}", key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its reading is looked at")]
    struct Document {
        name: String,
        #[serde(default)]
        attributes: BTreeMap<String, Vec<String>>,
    }

    fn problem(text: &str) -> String {
        format!("{:?}", read::<Document>(text.as_bytes()).unwrap_err())
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        assert!(read::<Document>(br#"{"name":"x","attributes":{"a":["b"]}}"#).is_ok());
        assert!(problem(r#"{"name":"x","nmae":1}"#).contains("\"/nmae\""));
        assert!(problem(r#"{"name":7}"#).contains("\"/name\""));
        assert!(problem(r#"{"name":"x","attributes":{"a/b":[1]}}"#).contains("\"/attributes/a~1b/0\""));
        assert!(problem("{}").contains("missing field"));
        for bad in ["", "[]", "null", "{", "{\"name\":\"x\"}{}", "\u{feff}{}"] {
            assert!(read::<Document>(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn patches_merge_as_rfc_7396_shows() {
        use serde_json::json;
        let mut target =
            json!({"title": "Goodbye!", "author": {"given": "John", "family": "Doe"}, "tags": ["a"]});
        merge(
            &mut target,
            json!({"title": "Hello!", "phone": "1", "author": {"family": null}, "tags": ["b"]}),
        );
        assert_eq!(
            target,
            json!({"title": "Hello!", "author": {"given": "John"}, "tags": ["b"], "phone": "1"})
        );
        let mut text = json!("a");
        merge(&mut text, json!({"b": {"c": null}}));
        assert_eq!(text, json!({"b": {}}));
    }

    #[test]
    fn nothing_is_named_twice_at_any_depth() {
        assert!(read::<Document>(br#"{"name":"x","name":"y"}"#).is_err());
        assert!(read::<Document>(br#"{"name":"x","attributes":{"a":["b"],"a":["c"]}}"#).is_err());
    }

    #[test]
    fn values_are_not_repeated() {
        let text = problem(r#"{"name":{"password":"hunter2"}}"#);
        assert!(!text.contains("hunter2"), "{text}");
        let text = problem(r#"{"name":"x","attributes":"hunter2"}"#);
        assert!(!text.contains("hunter2"), "{text}");
    }
}
