//! What a filter means, in the plainest way: the referee for whoever makes it fast, and what value paths are decided by.

use crate::{Filter, Op, Path, Value};
use keyreeve_base::name::fold;
use serde_json::Value as Json;
use std::cmp::Ordering;

impl<P> Filter<P> {
    /// Whether it matches what has these values: `values` answers those of one attribute, [`Value::Null`] counting as
    /// none. A [`Filter::Within`] matches where the filter inside does; where values have parts of their own, see
    /// [`Filter::matches_json`].
    pub fn matches(&self, values: &impl Fn(&P) -> Vec<Value>) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.matches(values)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(values)),
            Self::Not(inner) | Self::Within(_, inner) => {
                inner.matches(values) != matches!(self, Self::Not(_))
            }
            Self::Present(path) => has_value(&values(path)),
            Self::Compare(path, op, value) => compare(&values(path), *op, value),
        }
    }
}

impl Filter<Path> {
    /// Whether it matches this JSON object, as RFC 7643 shapes resources: names in any case; the values of a list each by
    /// themselves; of what has parts and is named without one, the part `value` counts. A schema in a path names the
    /// member of that name, where the object has one, and otherwise the object itself.
    #[must_use]
    pub fn matches_json(&self, object: &Json) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.matches_json(object)),
            Self::Or(parts) => parts.iter().any(|part| part.matches_json(object)),
            Self::Not(inner) => !inner.matches_json(object),
            Self::Present(path) => {
                let found = find(object, path);
                found.iter().any(|value| is_value(value))
            }
            Self::Compare(path, op, value) => {
                let found: Vec<Value> = find(object, path).into_iter().filter_map(scalar).collect();
                compare(&found, *op, value)
            }
            Self::Within(path, inner) => {
                find(object, path).into_iter().any(|value| inner.matches_json(value))
            }
        }
    }
}

fn has_value(values: &[Value]) -> bool {
    values.iter().any(|value| *value != Value::Null)
}

/// RFC 7643 section 2.5: unassigned, null and the empty list are one.
fn is_value(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Array(values) => values.iter().any(is_value),
        Json::Object(members) => !members.is_empty(),
        Json::Bool(_) | Json::Number(_) | Json::String(_) => true,
    }
}

fn compare(values: &[Value], op: Op, wanted: &Value) -> bool {
    match (op, wanted) {
        (Op::Eq, Value::Null) => !has_value(values),
        (Op::Ne, _) => !compare(values, Op::Eq, wanted),
        _ => values.iter().any(|value| compare_one(value, op, wanted)),
    }
}

fn compare_one(value: &Value, op: Op, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Bool(own), Value::Bool(wanted)) => op == Op::Eq && own == wanted,
        (Value::Number(own), Value::Number(wanted)) => {
            let order = match (own.as_i64(), wanted.as_i64()) {
                (Some(own), Some(wanted)) => Some(own.cmp(&wanted)),
                _ => own.as_f64().partial_cmp(&wanted.as_f64()),
            };
            order.is_some_and(|order| holds(order, op))
        }
        (Value::Text(own), Value::Text(wanted)) => compare_texts(own, op, wanted),
        _ => false,
    }
}

fn compare_texts(own: &str, op: Op, wanted: &str) -> bool {
    let moments = (own.parse::<jiff::Timestamp>(), wanted.parse::<jiff::Timestamp>());
    let (folded, other) = (fold(own), fold(wanted));
    match op {
        Op::Co => folded.contains(&other),
        Op::Sw => folded.starts_with(&other),
        Op::Ew => folded.ends_with(&other),
        Op::Eq | Op::Ne | Op::Gt | Op::Ge | Op::Lt | Op::Le => match moments {
            (Ok(own), Ok(wanted)) => holds(own.cmp(&wanted), op),
            _ => holds(folded.cmp(&other), op),
        },
    }
}

const fn holds(order: Ordering, op: Op) -> bool {
    match op {
        Op::Eq => order.is_eq(),
        Op::Ne => order.is_ne(),
        Op::Gt => order.is_gt(),
        Op::Ge => order.is_ge(),
        Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
        Op::Co | Op::Sw | Op::Ew => false,
    }
}

/// What compares: of what has parts, the part `value`.
fn scalar(value: &Json) -> Option<Value> {
    match value {
        Json::Bool(value) => Some(Value::Bool(*value)),
        Json::Number(value) => Some(Value::Number(value.clone())),
        Json::String(value) => Some(Value::Text(value.clone())),
        Json::Object(_) => match member(value, "value")? {
            Json::Object(_) => None,
            inner => scalar(inner),
        },
        Json::Null | Json::Array(_) => None,
    }
}

fn member<'a>(object: &'a Json, name: &str) -> Option<&'a Json> {
    let members = object.as_object()?;
    members
        .get(name)
        .or_else(|| members.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// The values that a path names, those of a list one by one.
fn find<'a>(object: &'a Json, path: &Path) -> Vec<&'a Json> {
    let object = path.schema.as_deref().and_then(|schema| member(object, schema)).unwrap_or(object);
    let mut found = Vec::new();
    for value in member(object, &path.name).into_iter().flat_map(each) {
        match &path.sub {
            None => found.push(value),
            Some(sub) => found.extend(member(value, sub).into_iter().flat_map(each)),
        }
    }
    found
}

fn each(value: &Json) -> &[Json] {
    match value {
        Json::Array(values) => values,
        one => std::slice::from_ref(one),
    }
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
