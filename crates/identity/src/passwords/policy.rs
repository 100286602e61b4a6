//! What a password must be like.

use super::common;
use crate::settings::PasswordPolicy;
use crate::users::Profile;
use keyreeve_crypto::password::MAX_PASSWORD_BYTES;

/// Names shorter than this may stand within a password: everyone's does by chance.
const SHORTEST_OWN_NAME: usize = 4;

/// One way in which a new password does not meet the policy; pages put it into the reader's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[serde(tag = "violation", rename_all = "snake_case")]
pub enum PolicyViolation {
    /// Too few characters.
    #[error("it must have at least {min_chars} characters")]
    TooShort {
        /// The least number.
        min_chars: u16,
    },
    /// Too many bytes.
    #[error("it must have at most {max_bytes} bytes")]
    TooLong {
        /// The greatest number.
        max_bytes: u16,
    },
    /// It is, or contains, one of the user's own names.
    #[error("it must not contain your own name or address")]
    OwnName,
    /// It is of the kind that everyone tries first.
    #[error("it is easy to guess")]
    Common,
    /// The user had it lately.
    #[error("it was used before; the last {last} may not be used again")]
    Reused {
        /// How many count.
        last: u8,
    },
}

/// Everything that is wrong with `password` for the owner of `profile`, but for its having been used before.
pub(crate) fn violations(policy: &PasswordPolicy, profile: &Profile, password: &str) -> Vec<PolicyViolation> {
    // Length first, and alone: nothing below looks at a text of unbounded length (ABUSE-CASES AC-28).
    if password.len() > MAX_PASSWORD_BYTES {
        let max_bytes = u16::try_from(MAX_PASSWORD_BYTES).unwrap_or(u16::MAX);
        return vec![PolicyViolation::TooLong { max_bytes }];
    }
    let mut found = Vec::new();
    if password.chars().count() < usize::from(policy.min_chars) {
        found.push(PolicyViolation::TooShort { min_chars: policy.min_chars });
    }
    if policy.refuse_own_names && contains_own_name(profile, password) {
        found.push(PolicyViolation::OwnName);
    }
    if policy.refuse_common && common::is_common(password) {
        found.push(PolicyViolation::Common);
    }
    found
}

fn contains_own_name(profile: &Profile, password: &str) -> bool {
    let password = password.to_lowercase();
    let email = profile.email.as_deref();
    let local_part = email.and_then(|address| address.rsplit_once('@')).map(|(local, _)| local);
    let own = [
        profile.username.as_deref(),
        email,
        local_part,
        profile.given_name.as_deref(),
        profile.family_name.as_deref(),
        profile.display_name.as_deref(),
    ];
    own.into_iter().flatten().map(str::to_lowercase).any(|name| {
        password == name || (name.chars().count() >= SHORTEST_OWN_NAME && password.contains(&name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> Profile {
        Profile {
            username: Some("Ada".to_owned()),
            email: Some("lovelace@example.org".to_owned()),
            given_name: Some("Augusta".to_owned()),
            ..Profile::default()
        }
    }

    fn found(password: &str) -> Vec<PolicyViolation> {
        violations(&PasswordPolicy::default(), &ada(), password)
    }

    #[test]
    fn each_rule_is_named() {
        assert_eq!(found("Wq7-tulip-ox"), []);
        assert_eq!(found("Wq7-tulip-o"), [PolicyViolation::TooShort { min_chars: 12 }]);
        assert_eq!(found("xxLOVELACExx-7"), [PolicyViolation::OwnName]);
        assert_eq!(found("dear-augusta-42"), [PolicyViolation::OwnName]);
        assert_eq!(found("Password1234"), [PolicyViolation::Common]);
        assert_eq!(found("tulip-adagio-7"), [], "a name of three letters stands in many words");
        assert_eq!(found("ada").first(), Some(&PolicyViolation::TooShort { min_chars: 12 }));
        assert!(found("ada").contains(&PolicyViolation::OwnName));
    }

    #[test]
    fn characters_count_not_bytes_and_the_limit_is_in_bytes() {
        assert_eq!(found("äöüßéèêëñçåø"), []);
        assert_eq!(found(&"ä".repeat(513)), [PolicyViolation::TooLong { max_bytes: 1024 }]);
        let allowing =
            PasswordPolicy { refuse_common: false, refuse_own_names: false, ..PasswordPolicy::default() };
        assert_eq!(violations(&allowing, &ada(), "Password1234"), []);
    }
}
