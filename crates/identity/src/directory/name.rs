//! Names of groups, roles and service accounts.

use crate::Error;
use keyreeve_base::CanonicalName;

/// The longest canonical name, in bytes.
const MAX_BYTES: usize = 254;

/// A name as it is shown, and the one form by which it is found and unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) shown: String,
    pub(crate) canonical: String,
}

impl Name {
    /// Reads a name. Unlike the name of a user it may have several words; white space between them counts as one
    /// space, and their spelling as that of [`CanonicalName`]s.
    ///
    /// # Errors
    /// [`Error::Invalid`] for `field`.
    pub(crate) fn parse(field: &'static str, text: &str) -> Result<Self, Error> {
        if text.len() > MAX_BYTES {
            return Err(Error::invalid(field, "is longer than 254 bytes"));
        }
        let (mut shown, mut canonical) = (String::new(), String::new());
        for word in text.split_whitespace() {
            let folded =
                CanonicalName::parse(word).map_err(|error| Error::invalid(field, error.to_string()))?;
            for (whole, part) in [(&mut shown, word), (&mut canonical, folded.as_str())] {
                if !whole.is_empty() {
                    whole.push(' ');
                }
                whole.push_str(part);
            }
        }
        match canonical.len() {
            0 => Err(Error::invalid(field, "is empty")),
            1..=MAX_BYTES => Ok(Self { shown, canonical }),
            _ => Err(Error::invalid(field, "is longer than 254 bytes")),
        }
    }

    /// The canonical form to look something up by; none for what can be no name.
    pub(crate) fn canonical(text: &str) -> Option<String> {
        Self::parse("name", text).ok().map(|name| name.canonical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_name_meet() {
        for spelling in ["Data Admins", " data\t ADMINS ", "Ｄata admins"] {
            assert_eq!(Name::canonical(spelling).as_deref(), Some("data admins"), "{spelling:?}");
        }
        assert_eq!(Name::parse("name", " Data  Admins ").unwrap().shown, "Data Admins");
        assert_ne!(Name::canonical("data admins"), Name::canonical("dataadmins"));
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        let problem = |text: &str| Name::parse("name", text).unwrap_err().to_string();
        assert_eq!(problem(" \t"), "name is empty");
        assert_eq!(problem("a\u{0}b"), "name contains the character U+0000, which a name may not contain");
        assert_eq!(
            problem("data \u{202e}admins"),
            "name contains the character U+202E, which a name may not contain"
        );
        assert_eq!(problem(&"x".repeat(255)), "name is longer than 254 bytes");
    }

    proptest! {
        #[test]
        fn canonical_form_is_stable(text in "\\PC{0,60}") {
            if let Ok(name) = Name::parse("name", &text) {
                prop_assert_eq!(Name::canonical(&name.canonical), Some(name.canonical.clone()));
                prop_assert_eq!(Name::canonical(&name.shown), Some(name.canonical));
            }
        }
    }
}
