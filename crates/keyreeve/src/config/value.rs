//! What a source gave for a setting, and how it is read. Every reader answers, on failure, a sentence that says what
//! is allowed; where it stood is the caller's to add.

use std::ops::RangeInclusive;

/// A value as it stood in its source. Flags and the environment give text; the file gives TOML's own types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// A list of strings.
    List(Vec<String>),
    /// Something else, by the name of its type.
    Other(&'static str),
}

impl Given {
    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Other(name) => name,
        }
    }
}

/// A text that is not empty.
pub(super) fn text(given: &Given) -> Result<String, String> {
    match given {
        Given::Text(text) if text.trim().is_empty() => {
            Err("is empty; give a value or leave it out".to_owned())
        }
        Given::Text(text) => Ok(text.trim().to_owned()),
        other => Err(format!("must be a string, not {}", other.kind())),
    }
}

/// A switch.
pub(super) fn boolean(given: &Given) -> Result<bool, String> {
    let word = match given {
        Given::Boolean(value) => return Ok(*value),
        Given::Integer(value) => value.to_string(),
        Given::Text(text) => text.trim().to_ascii_lowercase(),
        other => return Err(format!("must be true or false, not {}", other.kind())),
    };
    match word.as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" | "" => Ok(false),
        _ => Err(format!("{word:?} is neither yes nor no; allowed: 1, true, yes, on, 0, false, no, off")),
    }
}

/// A whole number within `allowed`.
pub(super) fn integer(given: &Given, allowed: RangeInclusive<u32>) -> Result<u32, String> {
    let refusal = |shown: String| {
        format!("{shown} is not a whole number from {} to {}", allowed.start(), allowed.end())
    };
    let number = match given {
        Given::Integer(number) => u32::try_from(*number).map_err(|_| refusal(number.to_string()))?,
        Given::Text(text) => text.trim().parse().map_err(|_| refusal(format!("{text:?}")))?,
        other => return Err(refusal(other.kind().to_owned())),
    };
    if allowed.contains(&number) { Ok(number) } else { Err(refusal(number.to_string())) }
}

/// A list of texts; in flags and the environment, separated by commas.
pub(super) fn list(given: &Given) -> Result<Vec<String>, String> {
    match given {
        Given::List(items) => Ok(items.clone()),
        Given::Text(text) => {
            Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
        }
        other => Err(format!("must be a list of strings, not {}", other.kind())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Given {
        Given::Text(text.to_owned())
    }

    #[test]
    fn switches_are_read_in_their_usual_spellings() {
        for yes in [given("1"), given("TRUE"), given(" on "), Given::Boolean(true), Given::Integer(1)] {
            assert_eq!(boolean(&yes), Ok(true), "{yes:?}");
        }
        for no in [given("0"), given("no"), given(""), Given::Boolean(false)] {
            assert_eq!(boolean(&no), Ok(false), "{no:?}");
        }
        for bad in [given("maybe"), Given::Integer(2), Given::List(vec![]), Given::Other("a table")] {
            assert!(boolean(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers_are_held_to_their_range() {
        assert_eq!(integer(&given("7"), 1..=9), Ok(7));
        assert_eq!(integer(&Given::Integer(9), 1..=9), Ok(9));
        for bad in [given("0"), given("10"), given("-1"), given("x"), given("4294967296"), Given::Integer(-1)]
        {
            let refusal = integer(&bad, 1..=9).unwrap_err();
            assert!(refusal.contains("from 1 to 9"), "{refusal}");
        }
    }

    #[test]
    fn lists_are_separated_by_commas() {
        assert_eq!(list(&given("a, b,,c")), Ok(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]));
        assert_eq!(list(&given("")), Ok(vec![]));
        assert!(list(&Given::Integer(1)).is_err());
    }
}
