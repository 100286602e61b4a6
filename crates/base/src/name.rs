//! Canonical names: one form for every spelling of a user name or an e-mail address.
//!
//! Look-up, uniqueness, lockout and throttling all use this form and no other, so that `Ada`, `ADA` and `ａｄａ` are
//! one account with one counter (ABUSE-CASES AC-21, AC-23).

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

/// The longest name that is accepted, in bytes of its canonical form.
pub const MAX_NAME_BYTES: usize = 254;

/// A name in canonical form: NFKC, Unicode default case folding, NFKC again (UTS #39's toNFKC_Casefold without the
/// removal of ignorables, which are refused instead).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CanonicalName(String);

/// The form in which texts are compared whatever their spelling: NFKC, Unicode default case folding, NFKC again. Of any
/// text; a name is more ([`CanonicalName`]).
#[must_use]
pub fn fold(text: &str) -> String {
    // What nearly every text is; the same by the general way, at a tenth of the cost.
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    fold_any(text)
}

fn fold_any(text: &str) -> String {
    text.nfkc().default_case_fold().nfkc().collect()
}

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left after trimming.
    #[error("is empty")]
    Empty,
    /// Longer than [`MAX_NAME_BYTES`].
    #[error("is longer than 254 bytes")]
    TooLong,
    /// Holds a control, format, private-use or line-breaking character, or white space inside.
    #[error("contains the character U+{0:04X}, which a name may not contain")]
    Forbidden(u32),
}

impl CanonicalName {
    /// The canonical form of `text`; white space around it is dropped.
    ///
    /// # Errors
    /// [`NameError`] when the text is empty, too long, or holds a character that no name may hold.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        // Bound the work before normalising: NFKC can grow a text 18 times.
        let text = text.trim();
        if text.len() > MAX_NAME_BYTES {
            return Err(NameError::TooLong);
        }
        if let Some(bad) = text.chars().find(|&c| forbidden(c)) {
            return Err(NameError::Forbidden(bad.into()));
        }
        let folded = fold(text);
        match folded.len() {
            0 => Err(NameError::Empty),
            n if n > MAX_NAME_BYTES => Err(NameError::TooLong),
            // A compatibility mapping may itself yield white space (U+00A8 becomes a space and a diaeresis).
            _ => match folded.chars().find(|&c| forbidden(c)) {
                Some(bad) => Err(NameError::Forbidden(bad.into())),
                None => Ok(Self(folded)),
            },
        }
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters, white space, and the invisible format characters by which two names could look alike.
fn forbidden(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control() || c == ' ';
    }
    c.is_control()
        || c.is_whitespace()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{ffff}'
            | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(text: &str) -> String {
        CanonicalName::parse(text).map(|n| n.as_str().to_owned()).unwrap_or_else(|e| format!("!{e}"))
    }

    #[test]
    fn spellings_of_one_name_meet() {
        for spelling in ["ada", "Ada", "ADA", " ada ", "ａｄａ", "\u{1d41a}da"] {
            assert_eq!(canonical(spelling), "ada", "{spelling:?}");
        }
        assert_eq!(canonical("Straße"), canonical("STRASSE"));
        assert_eq!(canonical("e\u{301}mile"), canonical("\u{c9}MILE"));
        assert_eq!(canonical("Σίσυφος"), canonical("ΣΊΣΥΦΟΣ"));
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        assert_eq!(CanonicalName::parse("  "), Err(NameError::Empty));
        assert_eq!(CanonicalName::parse("a\0b"), Err(NameError::Forbidden(0)));
        assert_eq!(CanonicalName::parse("a\u{200b}b"), Err(NameError::Forbidden(0x200b)));
        assert_eq!(CanonicalName::parse("a b"), Err(NameError::Forbidden(0x20)));
        assert_eq!(CanonicalName::parse(&"x".repeat(255)), Err(NameError::TooLong));
    }

    proptest! {
        #[test]
        fn ascii_folds_as_any_text_does(text in "[\\x00-\\x7f]{0,40}") {
            prop_assert_eq!(fold(&text), fold_any(&text));
        }

        #[test]
        fn canonical_form_is_stable(text in "\\PC{0,40}") {
            if let Ok(once) = CanonicalName::parse(&text) {
                prop_assert_eq!(CanonicalName::parse(once.as_str()), Ok(once.clone()));
            }
        }
    }
}
