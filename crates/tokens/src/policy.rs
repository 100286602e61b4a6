//! How long tokens live, and what a tenant allows: one JSON document for each tenant, every field defaulted.

use crate::clients::LifetimeOverrides;
use crate::error::Error;
use crate::registration::RegistrationPolicy;
use keyreeve_base::Timestamp;
use keyreeve_crypto::sign::Algorithm;
use std::time::Duration;

/// The longest life of an access or ID token, in seconds. A retired signing key stays published for longer than
/// this, so that every token can be verified until it expires.
pub const MAX_TOKEN_LIFETIME_S: u32 = 86_400;
/// The longest life of an authorization code, in seconds (RFC 9700 section 2.1.1 wants it short).
pub const MAX_CODE_LIFETIME_S: u32 = 600;
/// The longest life of a grant, in seconds: ten years.
pub const MAX_GRANT_LIFETIME_S: u32 = 315_360_000;
/// The shortest time between two automatic rotations of signing keys, in seconds.
const MIN_ROTATION_S: u32 = 86_400;

/// A tenant's rules for tokens. Lifetimes are in seconds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenPolicy {
    /// Life of an access token.
    pub access_token_s: u32,
    /// Life of an ID token.
    pub id_token_s: u32,
    /// Life of an authorization code.
    pub code_s: u32,
    /// A grant dies when its refresh token lies unused for this long.
    pub refresh_idle_s: u32,
    /// A grant dies this long after the sign-in, however often it is refreshed.
    pub refresh_absolute_s: u32,
    /// The signature algorithm where a client names none.
    pub default_alg: Algorithm,
    /// Whether the resource owner password credentials grant (RFC 6749 section 4.3) is open. Off: it hands the
    /// password to the client.
    pub password_grant: bool,
    /// Whether a DPoP proof must contain a nonce of this server's (RFC 9449 sections 8 and 9), which shows that it was
    /// made just now.
    pub require_dpop_nonce: bool,
    /// A signing key signs for this long before the next one takes over.
    pub key_rotation_s: u32,
    /// Who may register clients, and what these can be (RFC 7591).
    pub registration: RegistrationPolicy,
}

impl Default for TokenPolicy {
    fn default() -> Self {
        Self {
            access_token_s: 300,
            id_token_s: 300,
            code_s: 30,
            refresh_idle_s: 30 * 86_400,
            refresh_absolute_s: 90 * 86_400,
            default_alg: Algorithm::EdDsa,
            password_grant: false,
            require_dpop_nonce: false,
            key_rotation_s: 90 * 86_400,
            registration: RegistrationPolicy::default(),
        }
    }
}

impl TokenPolicy {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the first field that is out of bounds.
    pub fn validate(&self) -> Result<(), Error> {
        self.registration.validate()?;
        bounded("access_token_s", self.access_token_s, 10, MAX_TOKEN_LIFETIME_S)?;
        bounded("id_token_s", self.id_token_s, 10, MAX_TOKEN_LIFETIME_S)?;
        bounded("code_s", self.code_s, 5, MAX_CODE_LIFETIME_S)?;
        bounded("refresh_idle_s", self.refresh_idle_s, 60, MAX_GRANT_LIFETIME_S)?;
        bounded("refresh_absolute_s", self.refresh_absolute_s, 60, MAX_GRANT_LIFETIME_S)?;
        bounded("key_rotation_s", self.key_rotation_s, MIN_ROTATION_S, MAX_GRANT_LIFETIME_S)
    }

    /// The lifetimes for a client with these overrides.
    #[must_use]
    pub fn lifetimes(&self, overrides: &LifetimeOverrides) -> Lifetimes {
        let seconds = |own: Option<u32>, policy: u32| Duration::from_secs(own.unwrap_or(policy).into());
        Lifetimes {
            access_token: seconds(overrides.access_token_s, self.access_token_s),
            id_token: seconds(overrides.id_token_s, self.id_token_s),
            refresh_idle: seconds(overrides.refresh_idle_s, self.refresh_idle_s),
            refresh_absolute: seconds(overrides.refresh_absolute_s, self.refresh_absolute_s),
        }
    }
}

/// Refuses a number of seconds outside of its bounds.
pub(crate) fn bounded(field: &'static str, value: u32, least: u32, most: u32) -> Result<(), Error> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(Error::invalid(field, format!("must lie between {least} and {most} seconds")))
    }
}

/// The lifetimes that hold for one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Life of an access token.
    pub access_token: Duration,
    /// Life of an ID token.
    pub id_token: Duration,
    /// How long a refresh token may lie unused.
    pub refresh_idle: Duration,
    /// How long a grant lives at most.
    pub refresh_absolute: Duration,
}

impl Lifetimes {
    /// When a grant made now ends, and when its refresh token lapses unless it is used. Without one, the grant lives as
    /// long as what is issued at its making.
    pub(crate) fn of_grant(&self, now: Timestamp, refreshable: bool) -> (Timestamp, Option<Timestamp>) {
        if refreshable {
            (now.plus(self.refresh_absolute), Some(now.plus(self.refresh_idle)))
        } else {
            (now.plus(self.access_token.max(self.id_token)), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_own_bounds() {
        TokenPolicy::default().validate().unwrap();
        let read: TokenPolicy = serde_json::from_str("{}").unwrap();
        assert_eq!(read, TokenPolicy::default());
    }

    #[test]
    fn lifetimes_out_of_bounds_are_refused_by_name() {
        let policy = TokenPolicy { access_token_s: MAX_TOKEN_LIFETIME_S + 1, ..TokenPolicy::default() };
        assert!(policy.validate().unwrap_err().to_string().starts_with("access_token_s"));
        let policy = TokenPolicy { code_s: 0, ..TokenPolicy::default() };
        assert!(policy.validate().unwrap_err().to_string().starts_with("code_s"));
    }

    #[test]
    fn a_client_overrides_only_what_it_names() {
        let overrides = LifetimeOverrides { access_token_s: Some(60), ..LifetimeOverrides::default() };
        let lifetimes = TokenPolicy::default().lifetimes(&overrides);
        assert_eq!(lifetimes.access_token, Duration::from_secs(60));
        assert_eq!(lifetimes.id_token, Duration::from_secs(300));
    }
}
