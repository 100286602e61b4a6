//! What a tenant can set: password policy, throttle, session lifetimes, the shape of its directory. Every field has a default, so that `{}` is a
//! complete and safe setting, and settings written by an older version stay readable.

use crate::Error;
use crate::recovery::LinkKind;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const DAY_S: u32 = 86_400;

/// The settings of one tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantSettings {
    /// What a password must be like.
    pub password: PasswordPolicy,
    /// How guessing is slowed down.
    pub throttle: ThrottlePolicy,
    /// How long a browser session lives.
    pub session: SessionPolicy,
    /// What its directory may look like.
    pub directory: DirectoryPolicy,
    /// How long links by mail work.
    pub recovery: RecoveryPolicy,
}

/// What a new password must be like. The upper limit, 1024 bytes, is not a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordPolicy {
    /// The least number of characters. Length is what counts (NIST SP 800-63B section 5.1.1.2); there are no rules about
    /// kinds of characters.
    pub min_chars: u16,
    /// How many of the user's latest passwords, the present one among them, may not be used again; 0 to allow all.
    pub history: u8,
    /// After how many days a password must be replaced; none by default, since forced changes make for worse passwords.
    pub max_age_days: Option<u16>,
    /// Refuse passwords that are, or contain, the user's own names.
    pub refuse_own_names: bool,
    /// Refuse passwords that are made of what everyone tries first.
    pub refuse_common: bool,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { min_chars: 12, history: 5, max_age_days: None, refuse_own_names: true, refuse_common: true }
    }
}

/// How guessing is slowed down. Nothing here locks an account for good: whoever could do that to someone else would have
/// a weapon (ABUSE-CASES AC-26).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThrottlePolicy {
    /// Failures of one name from one address (or one known device) before each further one costs a delay.
    pub free_failures: u16,
    /// The first delay, in seconds; it doubles with each failure.
    pub first_delay_s: u32,
    /// The longest delay, in seconds.
    pub longest_delay_s: u32,
    /// After how many quiet seconds such a count is forgotten.
    pub forget_after_s: u32,
    /// Failures of one name over all addresses within [`window_s`](Self::window_s) before the name is locked for the rest
    /// of it. Devices on which the user signed in before are exempt and counted by themselves.
    pub name_failures: u32,
    /// Failures of one address over all names within [`window_s`](Self::window_s) before it must wait for the rest of it.
    pub address_failures: u32,
    /// The window of the two, in seconds.
    pub window_s: u32,
    /// How long a browser counts as the user's own after a sign-in, in days.
    pub device_days: u16,
    /// How often one principal may ask within [`window_s`](Self::window_s) whether a name is still free, before it must
    /// wait for the rest of it. A registration page that asks for everyone needs more than the default.
    pub availability_asks: u32,
    /// How often one account is written to within [`mail_window_s`](Self::mail_window_s) because somebody asks for it, so
    /// that nobody's mailbox is flooded.
    pub mails_per_account: u32,
    /// How often mail may be asked for from one address within [`mail_window_s`](Self::mail_window_s), before it must wait
    /// for the rest of it.
    pub mail_asks: u32,
    /// The window of the two, in seconds.
    pub mail_window_s: u32,
}

impl Default for ThrottlePolicy {
    fn default() -> Self {
        Self {
            free_failures: 5,
            first_delay_s: 1,
            longest_delay_s: 900,
            forget_after_s: 3_600,
            name_failures: 50,
            address_failures: 100,
            window_s: 900,
            device_days: 180,
            availability_asks: 100,
            mails_per_account: 4,
            mail_asks: 30,
            mail_window_s: 3_600,
        }
    }
}

impl ThrottlePolicy {
    /// The delay that follows the `failures`th failure of a name from an address; none while they are free.
    pub(crate) fn delay(&self, failures: i64) -> Option<Duration> {
        let beyond = failures.checked_sub(i64::from(self.free_failures)).filter(|n| *n >= 0)?;
        let doubled = u32::try_from(beyond)
            .ok()
            .and_then(|n| 1_u64.checked_shl(n))
            .map_or(u64::MAX, |factor| factor.saturating_mul(u64::from(self.first_delay_s)));
        Some(Duration::from_secs(doubled.min(u64::from(self.longest_delay_s))))
    }
}

/// How long a browser session lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionPolicy {
    /// Seconds without use after which it is over.
    pub idle_s: u32,
    /// Seconds after the sign-in at which it is over in any case.
    pub absolute_s: u32,
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self { idle_s: 12 * 3_600, absolute_s: 7 * DAY_S }
    }
}

impl SessionPolicy {
    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs(u64::from(self.idle_s))
    }

    pub(crate) fn absolute(&self) -> Duration {
        Duration::from_secs(u64::from(self.absolute_s))
    }
}

/// What a tenant's directory may look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DirectoryPolicy {
    /// How many groups a chain of groups, each nested in the next, may have. What is deeper already when it is lowered
    /// stays.
    pub max_depth: u16,
}

impl Default for DirectoryPolicy {
    fn default() -> Self {
        Self { max_depth: 1_000 }
    }
}

/// How long links by mail work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecoveryPolicy {
    /// Seconds for which a link to choose a new password works.
    pub reset_s: u32,
    /// Seconds for which a link to confirm an e-mail address works.
    pub verify_s: u32,
}

impl Default for RecoveryPolicy {
    fn default() -> Self {
        Self { reset_s: 1_800, verify_s: DAY_S }
    }
}

impl RecoveryPolicy {
    pub(crate) fn lasts(&self, kind: LinkKind) -> Duration {
        Duration::from_secs(u64::from(match kind {
            LinkKind::PasswordReset => self.reset_s,
            LinkKind::EmailVerification => self.verify_s,
        }))
    }
}

impl TenantSettings {
    /// Whether every value is one that makes sense.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the first field that does not, and the range it must be in.
    pub fn validate(&self) -> Result<(), Error> {
        let Self { password, throttle, session, directory, recovery } = self;
        let year_s = 366 * DAY_S;
        for (field, value, low, high) in [
            ("settings.password.min_chars", u32::from(password.min_chars), 8, 128),
            ("settings.password.history", u32::from(password.history), 0, 24),
            ("settings.password.max_age_days", u32::from(password.max_age_days.unwrap_or(1)), 1, 3_650),
            ("settings.throttle.free_failures", u32::from(throttle.free_failures), 1, 100),
            ("settings.throttle.first_delay_s", throttle.first_delay_s, 1, 900),
            ("settings.throttle.longest_delay_s", throttle.longest_delay_s, throttle.first_delay_s, 900),
            ("settings.throttle.forget_after_s", throttle.forget_after_s, 60, 7 * DAY_S),
            ("settings.throttle.name_failures", throttle.name_failures, 1, 10_000),
            ("settings.throttle.address_failures", throttle.address_failures, 1, 1_000_000),
            ("settings.throttle.window_s", throttle.window_s, 60, 900),
            ("settings.throttle.device_days", u32::from(throttle.device_days), 1, 3_650),
            ("settings.throttle.availability_asks", throttle.availability_asks, 1, 1_000_000),
            ("settings.throttle.mails_per_account", throttle.mails_per_account, 1, 1_000),
            ("settings.throttle.mail_asks", throttle.mail_asks, 1, 1_000_000),
            ("settings.throttle.mail_window_s", throttle.mail_window_s, 60, DAY_S),
            ("settings.recovery.reset_s", recovery.reset_s, 300, DAY_S),
            ("settings.recovery.verify_s", recovery.verify_s, 300, 30 * DAY_S),
            ("settings.directory.max_depth", u32::from(directory.max_depth), 1, 10_000),
            ("settings.session.idle_s", session.idle_s, 60, year_s),
            ("settings.session.absolute_s", session.absolute_s, session.idle_s, year_s),
        ] {
            if !(low..=high).contains(&value) {
                return Err(Error::invalid(field, format!("must be between {low} and {high}")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_set_means_the_defaults_and_they_are_valid() {
        let settings: TenantSettings = serde_json::from_str("{}").unwrap();
        assert_eq!(settings, TenantSettings::default());
        assert!(settings.validate().is_ok());
        assert!(
            serde_json::from_str::<TenantSettings>(r#"{"passwort":{}}"#).is_err(),
            "a misspelt setting is refused"
        );
    }

    #[test]
    fn a_value_out_of_range_is_named() {
        let settings: TenantSettings = serde_json::from_str(r#"{"throttle":{"window_s":86400}}"#).unwrap();
        let error = settings.validate().unwrap_err().to_string();
        assert_eq!(error, "settings.throttle.window_s must be between 60 and 900");
    }

    #[test]
    fn the_delay_doubles_from_one_second_to_fifteen_minutes() {
        let policy = ThrottlePolicy::default();
        assert_eq!(policy.delay(4), None);
        let seconds = |failures| policy.delay(failures).map(|d| d.as_secs());
        assert_eq!([5, 6, 7, 14, 15, 80, i64::MAX].map(seconds), [1, 2, 4, 512, 900, 900, 900].map(Some));
    }
}
