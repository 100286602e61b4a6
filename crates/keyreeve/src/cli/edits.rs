//! `--set FIELD=VALUE` and `--unset FIELD` as a JSON merge patch (RFC 7396).

use super::args::Edits;
use super::exit::Failure;
use serde_json::{Map, Value};

/// The deepest field that can be named.
const MAX_DEPTH: usize = 8;

/// The merge patch that the flags describe.
///
/// # Errors
/// For a flag that is not of its form, and without any.
pub fn patch(edits: &Edits) -> Result<Value, Failure> {
    let document = document(edits)?;
    if document.as_object().is_some_and(Map::is_empty) {
        return Err(Failure::usage("nothing to change; --set FIELD=VALUE or --unset FIELD"));
    }
    Ok(document)
}

/// The same for a new document, which may have no fields.
///
/// # Errors
/// For a flag that is not of its form.
pub fn document(edits: &Edits) -> Result<Value, Failure> {
    let mut document = Value::Object(Map::new());
    for edit in &edits.set {
        let (field, value) = edit
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("{edit:?} is not of the form FIELD=VALUE")))?;
        // What is not JSON is text: a name needs no quotes.
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        put(&mut document, field, value)?;
    }
    for field in &edits.unset {
        put(&mut document, field, Value::Null)?;
    }
    Ok(document)
}

fn put(document: &mut Value, field: &str, value: Value) -> Result<(), Failure> {
    let wrong = |why: &str| Failure::usage(format!("the field {field:?} {why}"));
    let parts: Vec<&str> = field.split('.').collect();
    if parts.iter().any(|part| part.is_empty()) || parts.len() > MAX_DEPTH {
        return Err(wrong("is not a name, or names joined by dots"));
    }
    let mut place = document;
    for part in parts {
        let inner = match place {
            Value::Object(members) => members,
            _ => return Err(wrong("lies within a field that is set as a whole")),
        };
        place = inner.entry(part).or_insert_with(|| Value::Object(Map::new()));
    }
    if place.as_object().is_none_or(|members| !members.is_empty()) {
        return Err(wrong("is set twice"));
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn edits(set: &[&str], unset: &[&str]) -> Edits {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Edits { set: texts(set), unset: texts(unset), version: None }
    }

    #[test]
    fn flags_make_a_merge_patch() {
        let flags = edits(&["name=Ada L.", "enabled=false", "attributes.team=[\"blue\"]"], &["phone_number"]);
        let expected = json!({"name": "Ada L.", "enabled": false, "attributes": {"team": ["blue"]}, "phone_number": null});
        assert_eq!(patch(&flags).unwrap(), expected);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (set, unset) in [
            (&["name"][..], &[][..]),
            (&["=x"], &[]),
            (&["a..b=1"], &[]),
            (&["a=1", "a=2"], &[]),
            (&["a=1", "a.b=2"], &[]),
            (&["a.b=2"], &["a"]),
            (&[], &[]),
        ] {
            assert!(patch(&edits(set, unset)).is_err(), "{set:?} {unset:?}");
        }
        assert_eq!(document(&edits(&[], &[])).unwrap(), json!({}));
    }
}
