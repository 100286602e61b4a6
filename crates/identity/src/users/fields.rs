//! Checks of single fields.

use crate::Error;
use keyreeve_base::CanonicalName;
use std::collections::BTreeMap;

/// The most attributes of one user, and the most values of one attribute.
const MAX_ATTRIBUTES: usize = 100;
/// The longest attribute name, in bytes.
const MAX_ATTRIBUTE_NAME: usize = 64;
/// The longest attribute value, in bytes.
const MAX_ATTRIBUTE_VALUE: usize = 2_048;
/// All names and values of one user together, in bytes.
const MAX_ATTRIBUTES_BYTES: usize = 64 * 1_024;

/// A line of text for people: not empty, of bounded length, without control characters.
pub(crate) fn check_line(field: &'static str, text: &str, longest: usize) -> Result<(), Error> {
    if text.trim().is_empty() {
        return Err(Error::invalid(field, "is empty"));
    }
    if text.chars().count() > longest {
        return Err(Error::invalid(field, format!("is longer than {longest} characters")));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => {
            Err(Error::invalid(field, format!("contains the control character U+{:04X}", u32::from(c))))
        }
        None => Ok(()),
    }
}

/// Trims an optional line; one of white space alone is none.
pub(crate) fn tidy(field: &'static str, value: &mut Option<String>, longest: usize) -> Result<(), Error> {
    *value = value.take().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    value.as_deref().map_or(Ok(()), |text| check_line(field, text, longest))
}

/// The canonical form of a name to sign in with.
pub(crate) fn canonical(field: &'static str, name: &str) -> Result<CanonicalName, Error> {
    CanonicalName::parse(name).map_err(|error| Error::invalid(field, error.to_string()))
}

/// The canonical form of an e-mail address: something before the last `@`, and a domain behind it. Whether mail arrives
/// is another question, which only a message can answer.
pub(crate) fn canonical_email(email: &str) -> Result<CanonicalName, Error> {
    let name = canonical("email", email)?;
    let wrong = |problem| Err(Error::invalid("email", problem));
    match name.as_str().rsplit_once('@') {
        None => wrong("has no @"),
        Some(("", _)) => wrong("has nothing before the @"),
        Some((local, _)) if local.len() > 64 => wrong("has more than 64 bytes before the @"),
        Some((_, "")) => wrong("has no domain"),
        Some((_, domain)) if domain.split('.').any(str::is_empty) => {
            wrong("has an empty label in its domain")
        }
        Some((local, domain))
            if format!("{local}{domain}").contains(['<', '>', '(', ')', ',', ';', ':', '\\', '"']) =>
        {
            wrong("has a character that no address has without quoting")
        }
        Some((local, _)) if local.contains('@') => wrong("has two @"),
        Some(_) => Ok(name),
    }
}

/// Bounds on attributes.
pub(crate) fn check_attributes(attributes: &BTreeMap<String, Vec<String>>) -> Result<(), Error> {
    let wrong = |problem: String| Err(Error::invalid("attributes", problem));
    if attributes.len() > MAX_ATTRIBUTES {
        return wrong(format!("are more than {MAX_ATTRIBUTES}"));
    }
    let mut bytes = 0_usize;
    for (name, values) in attributes {
        if name.is_empty() || name.len() > MAX_ATTRIBUTE_NAME {
            return wrong(format!("need names of 1 to {MAX_ATTRIBUTE_NAME} bytes"));
        }
        if name.chars().any(char::is_control) || values.iter().any(|v| v.contains('\0')) {
            return wrong("contain a control character".to_owned());
        }
        if values.len() > MAX_ATTRIBUTES {
            return wrong(format!("may have {MAX_ATTRIBUTES} values each; {name} has more"));
        }
        if values.iter().any(|value| value.len() > MAX_ATTRIBUTE_VALUE) {
            return wrong(format!("may have values of {MAX_ATTRIBUTE_VALUE} bytes; one of {name} is longer"));
        }
        let of_this = values.iter().map(String::len).fold(name.len(), usize::saturating_add);
        bytes = bytes.saturating_add(of_this);
    }
    if bytes > MAX_ATTRIBUTES_BYTES {
        return wrong(format!("are larger than {MAX_ATTRIBUTES_BYTES} bytes together"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_have_two_halves() {
        assert_eq!(canonical_email(" Ada@Example.ORG ").unwrap().as_str(), "ada@example.org");
        for bad in
            ["", "ada", "@example.org", "ada@", "a@b@c", "ada@example..org", "ada@.org", "a,b@c", "a b@c"]
        {
            assert!(canonical_email(bad).is_err(), "{bad:?}");
        }
        assert!(canonical_email(&format!("{}@example.org", "x".repeat(65))).is_err());
    }

    #[test]
    fn attributes_are_bounded() {
        let of = |name: &str, values: Vec<String>| BTreeMap::from([(name.to_owned(), values)]);
        assert!(check_attributes(&of("role", vec!["a".into(), "b".into()])).is_ok());
        assert!(check_attributes(&of("", vec![])).is_err());
        assert!(check_attributes(&of("role", vec!["x".repeat(2_049)])).is_err());
        assert!(check_attributes(&of("role", vec![String::new(); 101])).is_err());
        assert!(check_attributes(&of("role", vec!["x".repeat(2_000); 40])).is_err());
        assert!(check_attributes(&of("role", vec!["a\0b".into()])).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_checks_panic(text in "\\PC{0,300}") {
            let _ = canonical_email(&text);
            let _ = check_line("name", &text, 200);
            let mut value = Some(text);
            if tidy("name", &mut value, 200).is_ok() {
                prop_assert!(value.is_none_or(|v| v == v.trim() && !v.is_empty()));
            }
        }
    }
}
