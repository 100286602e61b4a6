//! Scopes: a set of scope tokens (RFC 6749 section 3.3).

use std::fmt;
use std::sync::Arc;

/// The longest scope text that is accepted, in bytes.
pub const MAX_SCOPE_BYTES: usize = 2_000;
/// The most scope tokens that one text may hold.
pub const MAX_SCOPE_TOKENS: usize = 64;

/// Makes a request an OpenID Connect one (OpenID Connect Core section 3.1.2.1).
pub const OPENID: &str = "openid";
/// Asks for a grant that outlives the browser session (OpenID Connect Core section 11).
pub const OFFLINE_ACCESS: &str = "offline_access";
/// Opens the administration of the tenant. Only an operator can give it to a client.
pub const ADMIN: &str = "keyreeve:admin";

/// A set of scope tokens in canonical form: sorted, without duplicates, joined by one space. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ScopeSet(Arc<str>);

/// Why a text is not a set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Longer than [`MAX_SCOPE_BYTES`], or more than [`MAX_SCOPE_TOKENS`] tokens.
    #[error("the scope is too long")]
    TooLong,
    /// Holds a character that RFC 6749 section 3.3 does not allow in a scope token.
    #[error("the scope contains a character that no scope may contain")]
    Forbidden,
}

impl ScopeSet {
    /// The set without a member.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::from(""))
    }

    /// Reads tokens separated by single or several spaces, in any order.
    ///
    /// # Errors
    /// [`ScopeError`] when the text is too long or holds a character outside of `scope-token`.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        if text.len() > MAX_SCOPE_BYTES {
            return Err(ScopeError::TooLong);
        }
        if !text.bytes().all(|b| matches!(b, b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
            return Err(ScopeError::Forbidden);
        }
        let set = Self::collect(text.split(' ').filter(|token| !token.is_empty()));
        if set.iter().count() > MAX_SCOPE_TOKENS {
            return Err(ScopeError::TooLong);
        }
        Ok(set)
    }

    fn collect<'a>(tokens: impl Iterator<Item = &'a str>) -> Self {
        let mut tokens: Vec<&str> = tokens.collect();
        tokens.sort_unstable();
        tokens.dedup();
        Self(Arc::from(tokens.join(" ")))
    }

    /// The tokens in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|token| !token.is_empty())
    }

    /// The canonical text: what goes over the wire and into the database.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `token` is a member.
    #[must_use]
    pub fn contains(&self, token: &str) -> bool {
        self.iter().any(|member| member == token)
    }

    /// Whether every member is one of `other`, too.
    #[must_use]
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.iter().all(|token| other.contains(token))
    }

    /// The members that `other` has, too.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self::collect(self.iter().filter(|token| other.contains(token)))
    }

    /// The members of both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::collect(self.iter().chain(other.iter()))
    }

    /// The set without `token`.
    #[must_use]
    pub fn without(&self, token: &str) -> Self {
        Self::collect(self.iter().filter(|member| *member != token))
    }
}

impl Default for ScopeSet {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for ScopeSet {
    type Err = ScopeError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl serde::Serialize for ScopeSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for ScopeSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(text: &str) -> ScopeSet {
        ScopeSet::parse(text).unwrap()
    }

    #[test]
    fn sets_are_canonical() {
        assert_eq!(set("profile  openid profile").as_str(), "openid profile");
        assert_eq!(set("").iter().count(), 0);
        assert!(set("a b").is_subset_of(&set("c b a")));
        assert!(!set("a d").is_subset_of(&set("c b a")));
        assert_eq!(set("a b").intersection(&set("b c")), set("b"));
        assert_eq!(set("a b").union(&set("b c")), set("a b c"));
        assert_eq!(set("a b").without("a"), set("b"));
        assert!(!set("openid2").contains("openid"));
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        for bad in ["a\tb", "a\"b", "a\\b", "ä", "a\0", "a\nb"] {
            assert_eq!(ScopeSet::parse(bad), Err(ScopeError::Forbidden), "{bad:?}");
        }
        assert_eq!(ScopeSet::parse(&"x".repeat(2_001)), Err(ScopeError::TooLong));
        let many: Vec<String> = (0..65).map(|n| n.to_string()).collect();
        assert_eq!(ScopeSet::parse(&many.join(" ")), Err(ScopeError::TooLong));
    }

    proptest! {
        #[test]
        fn parsing_is_stable(text in "[ -~]{0,80}") {
            if let Ok(once) = ScopeSet::parse(&text) {
                prop_assert_eq!(ScopeSet::parse(once.as_str()), Ok(once.clone()));
            }
        }
    }
}
