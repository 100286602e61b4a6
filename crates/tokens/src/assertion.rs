//! What the assertions of RFC 7523 section 3 have in common, be they of clients or of issuers that a tenant trusts: their
//! claims, whom they are for, their times. Pure: keys and time are given; that an assertion is used once only is the caller's
//! to hold.

use keyreeve_base::Timestamp;
use keyreeve_crypto::jws::Unverified;
use keyreeve_crypto::sha256;
use keyreeve_crypto::sign::VerifyingKey;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::time::Duration;

/// How much the clock of whoever signs may differ from ours.
pub(crate) const SKEW: Duration = Duration::from_secs(30);
const MAX_JTI_BYTES: usize = 256;

/// The claims of an assertion. What is required has no default (AC-31).
#[derive(Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) sub: String,
    aud: Audience,
    exp: i64,
    jti: String,
    pub(crate) iat: Option<i64>,
    nbf: Option<i64>,
    /// What else it says.
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

/// One audience or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    /// The one that there is. An assertion for two servers could be replayed by one of them at the other.
    fn only(&self) -> Option<&str> {
        match self {
            Self::One(audience) => Some(audience),
            Self::Several(several) => match several.as_slice() {
                [only] => Some(only),
                _ => None,
            },
        }
    }
}

/// What stands against an assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is for somebody else, or for somebody else too.
    NotForThisServerAlone,
    Expired,
    LivesTooLong,
    NotValidYet,
    /// Its `jti` is empty or too long.
    Jti,
}

/// An assertion that holds, if it was not used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Once {
    /// The digest of its `jti`.
    pub(crate) jti: [u8; 32],
    /// Until when it has to be remembered.
    pub(crate) until: Timestamp,
}

impl Claims {
    /// When it ends.
    pub(crate) fn exp(&self) -> Timestamp {
        Timestamp::from_seconds(self.exp)
    }

    /// Holds it against the audiences that are ours and the time. `most` is how far ahead its end may lie: used assertions are
    /// remembered until then, so that without a cap long-lived ones would fill the table (AC-33).
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(crate) fn check(
        &self,
        ours: impl Fn(&str) -> bool,
        now: Timestamp,
        most: Duration,
    ) -> Result<Once, Fault> {
        if !self.aud.only().is_some_and(ours) {
            return Err(Fault::NotForThisServerAlone);
        }
        let exp = self.exp();
        if exp.plus(SKEW) <= now {
            return Err(Fault::Expired);
        }
        if exp > now.plus(most).plus(SKEW) {
            return Err(Fault::LivesTooLong);
        }
        let begun = |at: Option<i64>| at.is_none_or(|at| Timestamp::from_seconds(at) <= now.plus(SKEW));
        if !begun(self.nbf) || !begun(self.iat) {
            return Err(Fault::NotValidYet);
        }
        if self.jti.is_empty() || self.jti.len() > MAX_JTI_BYTES {
            return Err(Fault::Jti);
        }
        Ok(Once { jti: sha256(self.jti.as_bytes()), until: exp.plus(SKEW) })
    }
}

/// The claims, if one of these keys, each with the `kid` under which it is registered, signed them. `kid` only narrows the
/// choice; keys in the token are never looked at.
pub(crate) fn verified_claims<T: DeserializeOwned>(
    unverified: &Unverified<'_>,
    keys: &[(Option<String>, VerifyingKey)],
) -> Result<T, &'static str> {
    let named = |registered: &Option<String>, key: &VerifyingKey| match (unverified.kid(), registered) {
        (Some(kid), Some(registered)) => kid == registered,
        (Some(kid), None) => kid == key.kid() || keys.len() == 1,
        (None, _) => true,
    };
    keys.iter()
        .filter(|(registered, key)| key.algorithm() == unverified.algorithm() && named(registered, key))
        .find_map(|(_, key)| unverified.verify(key).ok())
        .ok_or("no registered key has signed the assertion, or a required claim is missing")
}
