//! Resources as JSON: what a client sent, brought into one form by the schema, and what of a resource an answer shows.
//!
//! The one form: names as the schema spells them, values of the schema's types, multi-valued attributes as arrays, an
//! extension's attributes below its URN, and nothing that has no value (RFC 7643 section 2.5).

use crate::error::{ScimError, ScimType};
use crate::limits::{MAX_MEMBERS_CHANGED, MAX_NAMED_ATTRIBUTES, MAX_VALUE_BYTES};
use crate::schema::{Attribute, Kind, Named, Resource, Returned, Target, resolve_text};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// A resource in the one form.
pub(crate) type Document = Map<String, Value>;

/// Reads what a POST or a PUT carries. What only the server writes is left out (RFC 7644 section 3.3).
///
/// # Errors
/// `invalidSyntax` for what the schema does not know, `invalidValue` for a value that is not of the schema's type or is
/// missing.
pub(crate) fn read(kind: Resource, body: Value) -> Result<Document, ScimError> {
    let Value::Object(members) = body else {
        return Err(ScimError::syntax("the request is no JSON object"));
    };
    check_schemas(kind, &members)?;
    let mut document = Document::new();
    for (name, value) in members {
        if let Some(extension) = kind.extension(&name) {
            let Value::Object(mut inner) = value else {
                return Err(ScimError::syntax(format!("{} is no JSON object", extension.id)));
            };
            // Some clients name the schema once more within what belongs to it.
            inner.retain(|name, _| !name.eq_ignore_ascii_case("schemas"));
            let inner = object(extension.attributes, inner, extension.id)?;
            if !inner.is_empty() {
                document.insert(extension.id.to_owned(), Value::Object(inner));
            }
            continue;
        }
        let unknown = || ScimError::syntax(format!("{} has no attribute {}", kind.name(), shown(&name)));
        let attribute = kind.attribute(&name).ok_or_else(unknown)?;
        if attribute.is_read_only() {
            continue;
        }
        if let Some(value) = self::value(attribute, value, attribute.name)? {
            document.insert(attribute.name.to_owned(), value);
        }
    }
    check_required(kind, &document)?;
    Ok(document)
}

/// RFC 7643 section 3: the schemas of a resource are named in it.
fn check_schemas(kind: Resource, members: &Map<String, Value>) -> Result<(), ScimError> {
    let core = kind.core().id;
    let found = members.iter().find(|(name, _)| name.eq_ignore_ascii_case("schemas"));
    let Some((_, Value::Array(schemas))) = found else {
        return Err(ScimError::syntax(format!("schemas must be an array that names {core}")));
    };
    let named = |urn: &str| {
        schemas.iter().any(|schema| schema.as_str().is_some_and(|text| text.eq_ignore_ascii_case(urn)))
    };
    if !named(core) {
        return Err(ScimError::syntax(format!("schemas does not name {core}")));
    }
    let unknown = schemas.iter().find(|schema| {
        schema.as_str().is_none_or(|text| !text.eq_ignore_ascii_case(core) && kind.extension(text).is_none())
    });
    match unknown {
        Some(schema) => {
            let schema = shown(schema.as_str().unwrap_or("what is no text"));
            Err(ScimError::syntax(format!("schemas names {schema}, which {} does not have", kind.name())))
        }
        None => Ok(()),
    }
}

/// Every required attribute has a value.
pub(crate) fn check_required(kind: Resource, document: &Document) -> Result<(), ScimError> {
    let missing = kind
        .core()
        .attributes
        .iter()
        .find(|attribute| attribute.required && !document.contains_key(attribute.name));
    match missing {
        Some(attribute) => Err(ScimError::value(format!("{} is missing", attribute.name))),
        None => Ok(()),
    }
}

/// The value of an attribute in the one form; none for what is no value.
///
/// # Errors
/// `invalidValue` when it is of another type; `at` names the place.
pub(crate) fn value(attribute: &Attribute, value: Value, at: &str) -> Result<Option<Value>, ScimError> {
    if !attribute.many {
        return single(attribute, value, at);
    }
    let values = match value {
        Value::Null => return Ok(None),
        Value::Array(values) => values,
        // What many clients send for one value.
        one => vec![one],
    };
    if values.len() > MAX_MEMBERS_CHANGED {
        return Err(ScimError::bad(
            ScimType::TooMany,
            format!("{at} has more than {MAX_MEMBERS_CHANGED} values"),
        ));
    }
    let (mut read, mut texts) = (Vec::with_capacity(values.len()), HashSet::new());
    for value in values {
        if let Some(value) = single(attribute, value, at)?
            && texts.insert(value.to_string())
        {
            read.push(value);
        }
    }
    let primaries = read.iter().filter(|value| is_primary(value)).count();
    if primaries > 1 {
        return Err(ScimError::value(format!("{at} has more than one primary value")));
    }
    Ok((!read.is_empty()).then_some(Value::Array(read)))
}

/// One value of an attribute, which may have others.
///
/// # Errors
/// As [`value`].
pub(crate) fn single(attribute: &Attribute, value: Value, at: &str) -> Result<Option<Value>, ScimError> {
    let wrong = |what: &str| Err(ScimError::value(format!("{at} must be {what}")));
    match (attribute.kind, value) {
        (_, Value::Null) => Ok(None),
        (Kind::Boolean, Value::Bool(flag)) => Ok(Some(Value::Bool(flag))),
        // What Entra ID sends for a Boolean, in this spelling.
        (Kind::Boolean, Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true.into())),
        (Kind::Boolean, Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false.into())),
        (Kind::Boolean, _) => wrong("true or false"),
        (Kind::Complex, Value::Object(members)) => {
            let members = object(attribute.sub, members, at)?;
            Ok((!members.is_empty()).then_some(Value::Object(members)))
        }
        // A bare value stands for the part that is called so.
        (Kind::Complex, Value::String(text)) if attribute.sub("value").is_some() => {
            let members = Map::from_iter([("value".to_owned(), Value::String(text))]);
            single(attribute, Value::Object(members), at)
        }
        (Kind::Complex, _) => wrong("an object"),
        (Kind::Binary, Value::String(text)) => {
            if STANDARD.decode(&text).is_err() && URL_SAFE.decode(&text).is_err() {
                return wrong("base64");
            }
            bounded(text, at)
        }
        (Kind::Text | Kind::Reference | Kind::DateTime, Value::String(text)) => bounded(text, at),
        (Kind::Text | Kind::Reference | Kind::DateTime | Kind::Binary, _) => wrong("a text"),
    }
}

fn bounded(text: String, at: &str) -> Result<Option<Value>, ScimError> {
    if text.len() > MAX_VALUE_BYTES {
        return Err(ScimError::value(format!("{at} is longer than {MAX_VALUE_BYTES} bytes")));
    }
    Ok((!text.is_empty()).then_some(Value::String(text)))
}

/// The members of an object that these attributes describe.
pub(crate) fn object(
    attributes: &'static [Attribute],
    members: Map<String, Value>,
    at: &str,
) -> Result<Map<String, Value>, ScimError> {
    let mut read = Map::new();
    for (name, value) in members {
        let Some(attribute) = attributes.iter().find(|known| known.name.eq_ignore_ascii_case(&name)) else {
            return Err(ScimError::syntax(format!("{at} has no attribute {}", shown(&name))));
        };
        if attribute.is_read_only() {
            continue;
        }
        let place = format!("{at}.{}", attribute.name);
        if let Some(value) = self::value(attribute, value, &place)? {
            read.insert(attribute.name.to_owned(), value);
        }
    }
    Ok(read)
}

/// Whether a value is the primary one of its attribute.
pub(crate) fn is_primary(value: &Value) -> bool {
    value.get("primary") == Some(&Value::Bool(true))
}

/// A name as an error may show it: the caller chose it.
pub(crate) fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// What of its resources a request wants to see (RFC 7644 section 3.9).
#[derive(Debug, Default, Clone)]
pub(crate) struct Selection {
    /// Only these, and what is always shown.
    only: Option<Vec<Named>>,
    without: Vec<Named>,
}

impl Selection {
    /// Reads `attributes` and `excludedAttributes`. Names that the kind of resource does not have name nothing: a query may
    /// be over several kinds.
    ///
    /// # Errors
    /// `invalidValue` when both are given, or too many.
    pub(crate) fn read(kind: Resource, only: &[String], without: &[String]) -> Result<Self, ScimError> {
        if !only.is_empty() && !without.is_empty() {
            return Err(ScimError::value("attributes and excludedAttributes exclude each other"));
        }
        if only.len().max(without.len()) > MAX_NAMED_ATTRIBUTES {
            let detail = format!("no more than {MAX_NAMED_ATTRIBUTES} attributes can be named");
            return Err(ScimError::bad(ScimType::TooMany, detail));
        }
        let named = |names: &[String]| -> Vec<Named> {
            names.iter().filter_map(|name| resolve_text(kind, name.trim()).ok()).collect()
        };
        Ok(Self { only: (!only.is_empty()).then(|| named(only)), without: named(without) })
    }

    /// Whether anything of this core attribute is shown: what is dear to find out is not looked for in vain.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let about = |named: &Named| about(named, None, name);
        match &self.only {
            Some(only) => only.iter().any(|named| about(named).is_some()),
            None => !self.without.iter().any(|named| about(named) == Some(None)),
        }
    }

    /// Whether a part that is shown on request alone was asked for by its name.
    pub(crate) fn asks_for(&self, extension: Option<&str>, name: &str, part: &str) -> bool {
        let asked = |named: &Named| about(named, extension, name) == Some(Some(part));
        self.only.as_ref().is_some_and(|only| only.iter().any(asked))
    }

    /// Of a resource in the one form, what is to be shown.
    pub(crate) fn of(&self, kind: Resource, document: Document) -> Document {
        let mut shown = Document::new();
        for (name, value) in document {
            if let (Some(extension), Value::Object(members)) = (kind.extension(&name), &value) {
                let inner: Map<String, Value> = members
                    .iter()
                    .filter_map(|(inner, value)| {
                        let attribute = extension.attribute(inner)?;
                        Some((inner.clone(), self.part_of(Some(extension.id), attribute, value.clone())?))
                    })
                    .collect();
                if !inner.is_empty() {
                    shown.insert(name, Value::Object(inner));
                }
            } else if let Some(attribute) = kind.attribute(&name)
                && let Some(value) = self.part_of(None, attribute, value)
            {
                shown.insert(name, value);
            }
        }
        shown
    }

    /// Of an attribute's value, what is to be shown.
    fn part_of(&self, extension: Option<&str>, attribute: &Attribute, value: Value) -> Option<Value> {
        match attribute.returned {
            Returned::Never => return None,
            Returned::Always => return Some(value),
            Returned::Default | Returned::Request => {}
        }
        let found = |names: &[Named]| -> Vec<Option<&'static str>> {
            names.iter().filter_map(|named| about(named, extension, attribute.name)).collect()
        };
        let asked = self.only.as_deref().map(found);
        let without = found(&self.without);
        if without.contains(&None) {
            return None;
        }
        let whole = match &asked {
            Some(asked) if asked.is_empty() => return None,
            Some(asked) => asked.contains(&None),
            None => true,
        };
        let keep = |part: &str| {
            let named = |parts: &[Option<&'static str>]| parts.iter().flatten().any(|name| *name == part);
            let by_name = asked.as_deref().is_some_and(named);
            let on_request = attribute.sub(part).is_some_and(|sub| sub.returned == Returned::Request);
            by_name || (whole && !on_request && !named(&without))
        };
        narrow(value, &keep)
    }
}

/// Leaves the parts that are kept.
fn narrow(value: Value, keep: &impl Fn(&str) -> bool) -> Option<Value> {
    match value {
        Value::Object(members) => {
            let kept: Map<String, Value> = members.into_iter().filter(|(name, _)| keep(name)).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(values) => {
            let kept: Vec<Value> = values.into_iter().filter_map(|value| narrow(value, keep)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        simple => Some(simple),
    }
}

/// Whether `named` is about an attribute: then whether about the whole of it, or about one part.
fn about(named: &Named, extension: Option<&str>, attribute: &str) -> Option<Option<&'static str>> {
    match named {
        Named::Extension(schema) => (extension == Some(schema.id)).then_some(None),
        Named::Attribute(Target { extension: of, attribute: known, sub }) => {
            let same = of.map(|schema| schema.id) == extension && known.name == attribute;
            same.then(|| sub.map(|sub| sub.name))
        }
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
