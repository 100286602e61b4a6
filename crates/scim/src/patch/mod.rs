//! PATCH (RFC 7644 section 3.5.2): operations read from a request and applied to a resource in the one form.
//!
//! Where clients in the field differ from the RFC, what they mean is done where it can mean nothing else:
//!
//! - `op` in any case (Entra ID writes `Replace`), Booleans as texts, a bare text for an object's `value`;
//! - names of a path-less value may be paths themselves: `"name.givenName"`, `"urn:…:User:department"`,
//!   `"emails[type eq \"work\"].value"`;
//! - `remove` with a `value` removes the values that it lists;
//! - `add` with a filter that matches nothing adds the value that the filter describes;
//! - `id`, `meta` and `schemas` in a path-less value are passed over (Okta sends them along).

mod apply;
mod values;

pub(crate) use apply::{apply, apply_at, locate};
pub(crate) use values::Place;

use crate::document::shown;
use crate::error::{ScimError, ScimType};
use crate::limits::MAX_PATCH_OPERATIONS;
use serde_json::{Map, Value};

const PATCH_URN: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Remove,
    Replace,
}

/// One operation, as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Operation {
    pub(crate) verb: Verb,
    pub(crate) path: Option<String>,
    pub(crate) value: Value,
}

/// One operation on what a path names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub(crate) verb: Verb,
    pub(crate) path: String,
    pub(crate) value: Value,
}

/// An operation as changes that each have a path.
///
/// # Errors
/// `noTarget` for removing without one, `invalidValue` for a value that names nothing.
pub(crate) fn expand(operation: Operation) -> Result<Vec<Change>, ScimError> {
    let Operation { verb, path, value } = operation;
    match (path, value) {
        (Some(path), value) => Ok(vec![Change { verb, path, value }]),
        (None, _) if verb == Verb::Remove => {
            Err(ScimError::bad(ScimType::NoTarget, "remove must say by a path what to remove"))
        }
        (None, Value::Object(members)) => {
            // What many clients send along with what they change.
            let passed_over = ["id", "meta", "schemas"];
            let named = members
                .into_iter()
                .filter(|(name, _)| !passed_over.iter().any(|known| name.eq_ignore_ascii_case(known)));
            Ok(named.map(|(path, value)| Change { verb, path, value }).collect())
        }
        (None, _) => Err(ScimError::value("an operation without a path needs an object as its value")),
    }
}

/// Reads the body of a PATCH.
///
/// # Errors
/// `invalidSyntax` for what is no such body, `tooMany` for too many operations.
pub(crate) fn read(body: Value) -> Result<Vec<Operation>, ScimError> {
    let Value::Object(mut members) = body else {
        return Err(ScimError::syntax("the request is no JSON object"));
    };
    let schemas = take(&mut members, "schemas");
    let named = |schema: &Value| schema.as_str().is_some_and(|text| text.eq_ignore_ascii_case(PATCH_URN));
    if !schemas.as_ref().and_then(Value::as_array).is_some_and(|schemas| schemas.iter().any(named)) {
        return Err(ScimError::syntax(format!("schemas does not name {PATCH_URN}")));
    }
    let Some(Value::Array(operations)) = take(&mut members, "Operations") else {
        return Err(ScimError::syntax("Operations must be an array"));
    };
    if operations.is_empty() {
        return Err(ScimError::syntax("there are no Operations"));
    }
    if operations.len() > MAX_PATCH_OPERATIONS {
        let detail = format!("there are more than {MAX_PATCH_OPERATIONS} Operations");
        return Err(ScimError::bad(ScimType::TooMany, detail));
    }
    operations.into_iter().enumerate().map(|(at, operation)| read_one(at, operation)).collect()
}

fn read_one(at: usize, operation: Value) -> Result<Operation, ScimError> {
    let Value::Object(mut members) = operation else {
        return Err(ScimError::syntax(format!("Operations[{at}] is no JSON object")));
    };
    let verb = match take(&mut members, "op") {
        Some(Value::String(word)) if word.eq_ignore_ascii_case("add") => Verb::Add,
        Some(Value::String(word)) if word.eq_ignore_ascii_case("remove") => Verb::Remove,
        Some(Value::String(word)) if word.eq_ignore_ascii_case("replace") => Verb::Replace,
        _ => return Err(ScimError::syntax(format!("Operations[{at}].op must be add, remove or replace"))),
    };
    let path = match take(&mut members, "path") {
        None | Some(Value::Null) => None,
        Some(Value::String(path)) if path.is_empty() => None,
        Some(Value::String(path)) => Some(path),
        Some(_) => {
            return Err(ScimError::bad(ScimType::InvalidPath, format!("Operations[{at}].path is no text")));
        }
    };
    let value = take(&mut members, "value");
    if verb != Verb::Remove && value.is_none() {
        return Err(ScimError::value(format!("Operations[{at}].value is missing")));
    }
    if let Some(unknown) = members.keys().next() {
        return Err(ScimError::syntax(format!("Operations[{at}] has no member {}", shown(unknown))));
    }
    Ok(Operation { verb, path, value: value.unwrap_or(Value::Null) })
}

/// Takes the member of this name, in any case, out of an object.
pub(crate) fn take(members: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let known = members.keys().find(|known| known.eq_ignore_ascii_case(name))?.clone();
    members.remove(&known)
}

#[cfg(test)]
#[path = "../patch_tests.rs"]
mod tests;
