//! The forms of texts by which users are found and ordered: folded ([`fold`]), of bounded length. They stand in columns
//! and tables of their own, in the transaction that writes the profile.

use super::model::Profile;
use keyreeve_base::name::fold;
use keyreeve_crypto::{base64url, sha256};
use std::borrow::Cow;

/// What stands in a key column in place of no value: greater than every key, so that what has no value comes last.
pub(crate) const MISSING: &str = "\u{10FFFF}";

/// The form of keys. Raised when they are to be derived anew from what is stored; see [`super::refresh`].
pub(crate) const FORM: i64 = 1;

/// How many bytes of a value the index of attributes holds; behind them, a longer value has a digest of the whole. An
/// index entry has to fit into a third of a page of PostgreSQL's.
const MAX_VALUE: usize = 256;

/// The longest key of a name, in bytes; what would have a longer one is no name (see [`check`]).
const MAX_TEXT: usize = 1_024;

/// The key of a text. It does not contain [`MISSING`], which is no character that anyone means.
pub(crate) fn of_text(text: &str) -> String {
    let folded = fold(text);
    if folded.contains(MISSING) { folded.replace(MISSING, "\u{FFFD}") } else { folded }
}

/// The key under which a value of an attribute is found.
pub(crate) fn of_value(value: &str) -> String {
    let mut key = of_text(value);
    if key.len() > MAX_VALUE {
        let digest = base64url::encode(sha256(key.as_bytes()));
        key.truncate(key.floor_char_boundary(MAX_VALUE.saturating_sub(digest.len())));
        key.push_str(&digest);
    }
    key
}

/// Whether the key of a text would be too long.
pub(super) fn check(text: &str) -> Result<(), String> {
    if of_text(text).len() > MAX_TEXT {
        return Err(format!("is longer than {MAX_TEXT} bytes once its characters are decomposed"));
    }
    Ok(())
}

/// The keys of one profile, as they are stored.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) username: Cow<'static, str>,
    pub(crate) email: Cow<'static, str>,
    pub(crate) given_name: Cow<'static, str>,
    pub(crate) family_name: Cow<'static, str>,
    pub(crate) display_name: Cow<'static, str>,
}

impl Keys {
    pub(crate) fn of(profile: &Profile) -> Self {
        let key = |text: &Option<String>| match text {
            None => Cow::Borrowed(MISSING),
            Some(text) => {
                let mut key = of_text(text);
                // Checked since, but not from the beginning.
                key.truncate(key.floor_char_boundary(MAX_TEXT));
                Cow::Owned(key)
            }
        };
        Self {
            username: key(&profile.username),
            email: key(&profile.email),
            given_name: key(&profile.given_name),
            family_name: key(&profile.family_name),
            display_name: key(&profile.display_name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_meet_and_long_values_stay_apart() {
        assert_eq!(of_value("Physics Dept."), of_value("ｐhysics dept."));
        assert_ne!(of_value("a"), of_value("b"));
        let long = |end: &str| of_value(&format!("{}{end}", "ä".repeat(1_000)));
        assert_ne!(long("a"), long("b"));
        assert_eq!(long("A"), long("a"));
        assert!(long("a").len() <= MAX_VALUE);
    }

    #[test]
    fn names_that_grow_beyond_measure_are_refused() {
        assert!(check(&"ä".repeat(200)).is_ok());
        // One character of three bytes that stands for eighteen characters.
        assert!(check(&"\u{FDFA}".repeat(200)).is_err());
    }

    proptest! {
        #[test]
        fn every_value_has_a_key_of_bounded_length(value in "\\PC{0,400}") {
            prop_assert!(of_value(&value).len() <= MAX_VALUE);
        }

        #[test]
        fn no_key_is_as_great_as_what_stands_for_none(value in "[\u{10FFF0}-\u{10FFFF}a]{0,4}") {
            prop_assert!(of_text(&value).as_str() < MISSING && of_value(&value).as_str() < MISSING);
        }
    }
}
