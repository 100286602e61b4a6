//! Filters as text.

use crate::{Filter, Value};
use std::fmt::{Display, Formatter, Result};

impl<P: Display> Display for Filter<P> {
    /// The filter in its own language; parsed again, it is the same. A filter without parts has no text in the language:
    /// it prints as `()`, which no parser accepts.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::And(parts) => joined(f, parts, "and"),
            Self::Or(parts) => joined(f, parts, "or"),
            Self::Not(inner) => write!(f, "not ({inner})"),
            Self::Present(path) => write!(f, "{path} pr"),
            Self::Compare(path, op, value) => write!(f, "{path} {} {value}", op.text()),
            Self::Within(path, inner) => write!(f, "{path}[{inner}]"),
        }
    }
}

fn joined<P: Display>(f: &mut Formatter<'_>, parts: &[Filter<P>], word: &str) -> Result {
    if parts.is_empty() {
        return f.write_str("()");
    }
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            write!(f, " {word} ")?;
        }
        // `and` binds closer than `or`; what was nested in its own kind was in parentheses.
        let bare = match part {
            Filter::And(_) => word == "or",
            Filter::Or(_) => false,
            Filter::Not(_) | Filter::Present(_) | Filter::Compare(..) | Filter::Within(..) => true,
        };
        if bare { write!(f, "{part}")? } else { write!(f, "({part})")? }
    }
    Ok(())
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(&serde_json::Value::from(value.as_str()).to_string()),
        }
    }
}
