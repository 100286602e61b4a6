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
/// Opens the administration of the tenant: it implies every other scope of this server's own interfaces. Only an operator
/// can give it, or any of them, to a client.
pub const ADMIN: &str = "keyreeve:admin";

macro_rules! api_scopes {
    ($($name:ident $text:literal $told:literal)*) => {
        $(#[doc = $told] pub const $name: &str = $text;)*
        /// The scopes of the native API and of SCIM, with what each opens; [`ADMIN`] first.
        pub const API_DESCRIBED: &[(&str, &str)] = &[(ADMIN, "Everything."), $(($name, $told)),*];
        /// The same, without.
        pub const API: &[&str] = &[ADMIN, $($name),*];
    };
}

api_scopes! {
    USERS_READ "keyreeve:users:read" "See users."
    USERS_WRITE "keyreeve:users:write" "Make, change and archive users."
    GROUPS_READ "keyreeve:groups:read" "See groups and who is in them."
    GROUPS_WRITE "keyreeve:groups:write" "Make, change and remove groups and memberships."
    ROLES_READ "keyreeve:roles:read" "See roles and who holds them."
    ROLES_WRITE "keyreeve:roles:write" "Make, change, remove, give and take roles."
    SERVICE_ACCOUNTS_READ "keyreeve:service_accounts:read" "See service accounts."
    SERVICE_ACCOUNTS_WRITE "keyreeve:service_accounts:write" "Make, change and remove service accounts and their secrets."
    CLIENTS_READ "keyreeve:clients:read" "See OAuth clients."
    CLIENTS_WRITE "keyreeve:clients:write" "Register, change and remove OAuth clients and their secrets."
    TENANTS_READ "keyreeve:tenants:read" "See tenants and their settings."
    TENANTS_WRITE "keyreeve:tenants:write" "Make and change tenants and their settings."
    SESSIONS_READ "keyreeve:sessions:read" "See sessions of users."
    SESSIONS_WRITE "keyreeve:sessions:write" "End sessions of users."
    KEYS_READ "keyreeve:keys:read" "See signing keys, their public part."
    KEYS_WRITE "keyreeve:keys:write" "Rotate signing keys."
    AUDIT_READ "keyreeve:audit:read" "Read the audit log."
    WEBHOOKS_READ "keyreeve:webhooks:read" "See webhooks and their deliveries."
    WEBHOOKS_WRITE "keyreeve:webhooks:write" "Make, change and remove webhooks."
    SHARING_READ "keyreeve:sharing:read" "See resources and who may do what to them, and ask."
    SHARING_WRITE "keyreeve:sharing:write" "Make, change and remove resources, share and revoke."
    SECRETS_READ "keyreeve:secrets:read" "See secrets, and read the values that the holder may read."
    SECRETS_WRITE "keyreeve:secrets:write" "Make, change, rotate and remove secrets, and issue certificates."
    ME_READ "keyreeve:me:read" "See one's own profile and sessions."
    ME_WRITE "keyreeve:me:write" "Change one's own profile and password, end one's own sessions."
}

/// What all scopes of this server's own interfaces begin with.
const API_PREFIX: &str = "keyreeve:";

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

    /// Whether what `scope` of this server's own interfaces opens is open to the bearer: by this very scope, by the one
    /// that writes where it reads, or by [`ADMIN`].
    #[must_use]
    pub fn allows(&self, scope: &str) -> bool {
        let read = scope.strip_suffix(":read").filter(|_| scope.starts_with(API_PREFIX));
        self.iter().any(|member| {
            member == scope
                || (member == ADMIN && scope.starts_with(API_PREFIX))
                || read.is_some_and(|noun| member.strip_suffix(":write") == Some(noun))
        })
    }

    /// Whether a member is one of this server's own interfaces.
    #[must_use]
    pub fn is_for_api(&self) -> bool {
        self.iter().any(|member| member.starts_with(API_PREFIX))
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
    fn writing_implies_reading_and_administering_implies_all() {
        assert!(set(USERS_WRITE).allows(USERS_READ));
        assert!(set(USERS_READ).allows(USERS_READ));
        assert!(!set(USERS_READ).allows(USERS_WRITE));
        assert!(!set(USERS_WRITE).allows(GROUPS_READ));
        assert!(!set("users:write keyreeve:users").allows(USERS_READ));
        assert!(!set("x:write").allows("x:read"), "a foreign scope means what its owner says");
        assert!(API.iter().all(|scope| set(ADMIN).allows(scope)));
        assert!(!set(ADMIN).allows("openid"));
        assert!(set("openid keyreeve:audit:read").is_for_api());
        assert!(!set("openid keyreeve").is_for_api());
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
