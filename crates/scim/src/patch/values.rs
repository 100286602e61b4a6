//! What operations do to the values of one attribute.

use super::Verb;
use crate::document::{Document, is_primary, single, value as whole_value};
use crate::error::{ScimError, ScimType};
use crate::limits::MAX_VALUES;
use crate::schema::{Attribute, Mutability, Target};
use keyreeve_filter::{Filter, Op, Path, Value as Literal};
use serde_json::{Map, Value};

/// What an operation is about.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) target: Target,
    /// Which of an attribute's values.
    pub(crate) filter: Option<Filter<Path>>,
}

/// Applies an operation to the attributes in `holder`: a resource, or its part of an extension.
pub(super) fn apply(holder: &mut Document, place: &Place, verb: Verb, value: Value) -> Result<(), ScimError> {
    let attribute = place.target.attribute;
    if verb == Verb::Remove && attribute.mutability == Mutability::WriteOnly {
        let detail = format!("{} can be replaced, not removed", attribute.name);
        return Err(ScimError::bad(ScimType::Mutability, detail));
    }
    match (&place.filter, place.target.sub) {
        (None, None) => to_attribute(holder, attribute, verb, value),
        (None, Some(part)) if attribute.many => {
            to_values(holder, (attribute, Some(part)), None, (verb, value))
        }
        (None, Some(part)) => to_part(holder, (attribute, part), verb, value),
        (Some(filter), part) => to_values(holder, (attribute, part), Some(filter), (verb, value)),
    }?;
    tidy(holder, attribute)
}

/// An attribute as a whole.
fn to_attribute(
    holder: &mut Document,
    attribute: &'static Attribute,
    verb: Verb,
    value: Value,
) -> Result<(), ScimError> {
    let name = attribute.name;
    if verb == Verb::Remove {
        return remove(holder, attribute, value);
    }
    let Some(value) = whole_value(attribute, value, name)? else {
        if verb == Verb::Replace {
            holder.remove(name);
        }
        return Ok(());
    };
    match (holder.get_mut(name), value) {
        (Some(Value::Array(known)), Value::Array(values)) if verb == Verb::Add => append(known, values),
        // RFC 7644 section 3.5.2.3: parts that are not given stay.
        (Some(Value::Object(known)), Value::Object(parts)) => known.extend(parts),
        (_, value) => drop(holder.insert(name.to_owned(), value)),
    }
    Ok(())
}

fn remove(holder: &mut Document, attribute: &'static Attribute, value: Value) -> Result<(), ScimError> {
    let name = attribute.name;
    let listed = match whole_value(attribute, value, name)? {
        Some(Value::Array(listed)) => listed,
        _ => {
            holder.remove(name);
            return Ok(());
        }
    };
    if let Some(Value::Array(known)) = holder.get_mut(name) {
        // A value is listed by its parts; those that are not given do not matter.
        let is_listed = |value: &Value| listed.iter().any(|wanted| covers(value, wanted));
        known.retain(|value| !is_listed(value));
    }
    Ok(())
}

fn covers(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Object(value), Value::Object(wanted)) => {
            wanted.iter().all(|(name, part)| value.get(name) == Some(part))
        }
        _ => value == wanted,
    }
}

/// A part of an attribute that has one value.
fn to_part(
    holder: &mut Document,
    (attribute, part): (&'static Attribute, &'static Attribute),
    verb: Verb,
    value: Value,
) -> Result<(), ScimError> {
    let at = format!("{}.{}", attribute.name, part.name);
    let value = if verb == Verb::Remove { None } else { whole_value(part, value, &at)? };
    let held = holder.entry(attribute.name).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(parts) = held {
        match value {
            Some(value) => drop(parts.insert(part.name.to_owned(), value)),
            None => drop(parts.remove(part.name)),
        }
    }
    Ok(())
}

/// Those of an attribute's values that a filter selects, or all; of each the whole, or a part.
fn to_values(
    holder: &mut Document,
    (attribute, part): (&'static Attribute, Option<&'static Attribute>),
    filter: Option<&Filter<Path>>,
    (verb, value): (Verb, Value),
) -> Result<(), ScimError> {
    let name = attribute.name;
    let held = holder.entry(name).or_insert_with(|| Value::Array(Vec::new()));
    let Value::Array(values) = held else { return Ok(()) };
    let selected = |value: &Value| filter.is_none_or(|filter| filter.matches_json(value));
    let found = values.iter().any(selected);
    let given = match (verb, part) {
        (Verb::Remove, _) => None,
        (_, Some(part)) => {
            let part_value = whole_value(part, value, &format!("{name}.{}", part.name))?;
            Some(Value::Object(part_value.map(|value| (part.name.to_owned(), value)).into_iter().collect()))
        }
        (_, None) => single(attribute, first_of(value), name)?,
    };
    let given = match given {
        Some(Value::Object(given)) => given,
        _ => {
            match part {
                None => values.retain(|value| !selected(value)),
                Some(part) => {
                    for value in values.iter_mut().filter(|value| selected(value)) {
                        if let Value::Object(parts) = value {
                            parts.remove(part.name);
                        }
                    }
                }
            }
            return Ok(());
        }
    };
    if !found {
        if verb == Verb::Replace && filter.is_some() {
            return Err(ScimError::bad(ScimType::NoTarget, format!("no value of {name} matches the filter")));
        }
        let mut described = filter.map(|filter| described_by(filter, attribute)).unwrap_or_default();
        described.extend(given);
        append(values, vec![Value::Object(described)]);
        return Ok(());
    }
    let sets_primary = given.get("primary") == Some(&Value::Bool(true));
    for value in values.iter_mut() {
        if !selected(value) {
            if sets_primary && let Value::Object(parts) = value {
                parts.remove("primary");
            }
            continue;
        }
        match value {
            Value::Object(parts) if verb == Verb::Add || part.is_some() => parts.extend(given.clone()),
            value => *value = Value::Object(given.clone()),
        }
    }
    Ok(())
}

/// Some clients put the one value for a filtered attribute into an array.
fn first_of(value: Value) -> Value {
    match value {
        Value::Array(mut values) if values.len() == 1 => values.pop().unwrap_or(Value::Null),
        other => other,
    }
}

/// The value that a filter describes, as far as it says what parts are.
fn described_by(filter: &Filter<Path>, attribute: &'static Attribute) -> Map<String, Value> {
    match filter {
        Filter::And(parts) => parts.iter().flat_map(|part| described_by(part, attribute)).collect(),
        Filter::Compare(path, Op::Eq, literal) => {
            let value = match literal {
                Literal::Text(text) => Value::from(text.as_str()),
                Literal::Bool(flag) => Value::from(*flag),
                Literal::Null | Literal::Number(_) => return Map::new(),
            };
            attribute.sub(&path.name).map(|part| (part.name.to_owned(), value)).into_iter().collect()
        }
        _ => Map::new(),
    }
}

/// Adds values that are not there yet. A new primary value takes the place of the former one (RFC 7644 section 3.5.2).
fn append(known: &mut Vec<Value>, values: Vec<Value>) {
    for value in values {
        if known.contains(&value) {
            continue;
        }
        if is_primary(&value) {
            for former in known.iter_mut().filter_map(Value::as_object_mut) {
                former.remove("primary");
            }
        }
        known.push(value);
    }
}

/// Removes what has no value any more, and checks what stays.
fn tidy(holder: &mut Document, attribute: &'static Attribute) -> Result<(), ScimError> {
    let name = attribute.name;
    if let Some(Value::Array(values)) = holder.get_mut(name) {
        values.retain(|value| !value.as_object().is_some_and(Map::is_empty));
        if values.len() > MAX_VALUES {
            return Err(ScimError::value(format!("{name} has more than {MAX_VALUES} values")));
        }
        if values.iter().filter(|value| is_primary(value)).count() > 1 {
            return Err(ScimError::value(format!("{name} has more than one primary value")));
        }
    }
    let empty = match holder.get(name) {
        Some(Value::Array(values)) => values.is_empty(),
        Some(Value::Object(parts)) => parts.is_empty(),
        _ => false,
    };
    if empty {
        holder.remove(name);
    }
    if attribute.required && !holder.contains_key(name) {
        return Err(ScimError::bad(
            ScimType::Mutability,
            format!("{name} is required and cannot be removed"),
        ));
    }
    Ok(())
}
