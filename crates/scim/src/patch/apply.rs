//! Where operations apply.

use super::values::{self, Place};
use super::{Change, Operation, Verb, expand};
use crate::document::{Document, check_required, shown};
use crate::error::{ScimError, ScimType};
use crate::schema::{Attribute, Mutability, Resource, Schema, Target, resolve};
use keyreeve_filter::{Filter, PatchPath, Path, Value as Literal};
use serde_json::{Map, Value};

/// Applies operations in their order; all or none.
///
/// # Errors
/// Those of RFC 7644 section 3.5.2: `invalidPath`, `noTarget`, `mutability`, `invalidValue`, `invalidSyntax`,
/// `invalidFilter`.
pub(crate) fn apply(
    kind: Resource,
    document: &mut Document,
    operations: Vec<Operation>,
) -> Result<(), ScimError> {
    for operation in operations {
        for change in expand(operation)? {
            apply_at(kind, document, change)?;
        }
    }
    document.retain(|_, value| !value.as_object().is_some_and(Map::is_empty));
    check_required(kind, document)
}

/// Applies one change; what it leaves without a value is for [`apply`] to tidy up.
///
/// # Errors
/// As [`apply`].
pub(crate) fn apply_at(kind: Resource, document: &mut Document, change: Change) -> Result<(), ScimError> {
    let Change { verb, path, value } = change;
    if let Some(extension) = kind.extension(&path) {
        return apply_to_extension(document, extension, verb, value);
    }
    let place = locate(kind, &path)?;
    let holder = match place.target.extension {
        None => document,
        Some(extension) => extension_of(document, extension)?,
    };
    // What replaces something by nothing removes it.
    let verb = if value.is_null() && verb == Verb::Replace { Verb::Remove } else { verb };
    values::apply(holder, &place, verb, value)
}

/// The part of a resource that belongs to an extension, made where there is none yet.
fn extension_of<'d>(document: &'d mut Document, extension: &Schema) -> Result<&'d mut Document, ScimError> {
    let held = document.entry(extension.id).or_insert_with(|| Value::Object(Map::new()));
    held.as_object_mut().ok_or_else(|| ScimError::value(format!("{} must be an object", extension.id)))
}

fn apply_to_extension(
    document: &mut Document,
    extension: &'static Schema,
    verb: Verb,
    value: Value,
) -> Result<(), ScimError> {
    if verb == Verb::Remove || value.is_null() {
        document.remove(extension.id);
        return Ok(());
    }
    let Value::Object(members) = value else {
        return Err(ScimError::value(format!("{} must be an object", extension.id)));
    };
    for (name, value) in members {
        // Some clients name the schema once more within what belongs to it.
        if name.eq_ignore_ascii_case("schemas") {
            continue;
        }
        let unknown = || {
            ScimError::bad(
                ScimType::InvalidPath,
                format!("{} has no attribute {}", extension.id, shown(&name)),
            )
        };
        let attribute = extension.attribute(&name).ok_or_else(unknown)?;
        let target = Target { extension: Some(extension), attribute, sub: None };
        let verb = if value.is_null() { Verb::Remove } else { verb };
        values::apply(extension_of(document, extension)?, &Place { target, filter: None }, verb, value)?;
    }
    Ok(())
}

/// What a path names, if it may be written.
///
/// # Errors
/// `invalidPath`, `invalidFilter`, `mutability`.
pub(crate) fn locate(kind: Resource, text: &str) -> Result<Place, ScimError> {
    let invalid = |detail: String| ScimError::bad(ScimType::InvalidPath, detail);
    let path =
        PatchPath::parse(text).map_err(|error| invalid(format!("the path {}: {error}", shown(text))))?;
    let target = resolve(kind, &path.path()).map_err(invalid)?;
    let writable = |attribute: &Attribute| attribute.mutability != Mutability::ReadOnly;
    if !writable(target.attribute) || !target.sub.is_none_or(writable) {
        let detail = format!("{} cannot be written", target.dotted());
        return Err(ScimError::bad(ScimType::Mutability, detail));
    }
    let filter = match path.filter {
        None => None,
        Some(_) if !target.attribute.many => {
            return Err(invalid(format!(
                "{} has one value only, so no filter applies",
                target.attribute.name
            )));
        }
        Some(filter) => Some(typed(target.attribute, &filter)?),
    };
    Ok(Place { target, filter })
}

/// A filter over the parts of an attribute, whose texts for Booleans are Booleans (`primary eq "True"`).
fn typed(attribute: &'static Attribute, filter: &Filter<Path>) -> Result<Filter<Path>, ScimError> {
    let part = |path: &Path| {
        let named = path.sub.is_none().then(|| attribute.sub(&path.name)).flatten();
        named.ok_or_else(|| {
            let detail = format!("{} has no part {path}", attribute.name);
            ScimError::bad(ScimType::InvalidFilter, detail)
        })
    };
    filter.rewrite(&mut |leaf| {
        Ok(match leaf {
            Filter::Compare(path, op, value) => {
                let value = match (part(path)?.kind, value) {
                    (crate::schema::Kind::Boolean, Literal::Text(text)) => {
                        text.to_ascii_lowercase().parse().map_or_else(|_| value.clone(), Literal::Bool)
                    }
                    _ => value.clone(),
                };
                Filter::Compare(path.clone(), *op, value)
            }
            Filter::Present(path) => {
                part(path)?;
                Filter::Present(path.clone())
            }
            other => other.clone(),
        })
    })
}
