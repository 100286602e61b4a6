//! Counting attempts, so that guessing is slow.
//!
//! An attempt is counted *before* it is weighed, by one statement that adds and answers, so that N parallel guesses are N
//! counts (ABUSE-CASES AC-24); success takes its own count back. Counters go by the canonical name, whether or not there
//! is such an account, so that neither the spelling (AC-23) nor the account's existence (AC-21) makes a difference. A blocked
//! counter does not count, so that nobody can keep somebody else out by hammering (AC-26).

use crate::settings::ThrottlePolicy;
use crate::{Error, schema};
use keyreeve_base::{CanonicalName, Origin, TenantId, Timestamp};
use keyreeve_crypto::sha256;
use keyreeve_store::{Row, Tx, params};
use std::time::Duration;

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// One name from one address.
    Pair,
    /// One name from anywhere.
    Name,
    /// Any name from one address.
    Address,
    /// One name from one browser that its user signed in with before.
    Device,
    /// One user's one-time codes, from anywhere: only who knows the password gets as far.
    OneTimeCode,
    /// One client from one address.
    Client,
    /// Any client from one address.
    ClientAddress,
    /// One service account from one address.
    Service,
    /// Any service account from one address.
    ServiceAddress,
    /// One user's credential for programs from one address.
    Credential,
    /// Any such credential from one address.
    CredentialAddress,
    /// One principal who asks which names are taken.
    Asker,
    /// One user who types codes of devices.
    CodeUser,
    /// Anyone who types codes of devices at one address.
    CodeAddress,
    /// Requests from one address that anybody may make.
    Requests,
    /// One address that asks for mail.
    MailAddress,
    /// One account that mail is asked for.
    MailAccount,
}

impl Scope {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Name => "name",
            Self::Address => "address",
            Self::Device => "device",
            Self::OneTimeCode => "one_time_code",
            Self::Client => "client",
            Self::ClientAddress => "client_address",
            Self::Service => "service",
            Self::ServiceAddress => "service_address",
            Self::Credential => "credential",
            Self::CredentialAddress => "credential_address",
            Self::Asker => "asker",
            Self::CodeUser => "code_user",
            Self::CodeAddress => "code_address",
            Self::Requests => "requests",
            Self::MailAddress => "mail_address",
            Self::MailAccount => "mail_account",
        }
    }

    /// The window of those that have a limit, in seconds.
    const fn window_s(self, policy: &ThrottlePolicy) -> u32 {
        match self {
            Self::MailAddress | Self::MailAccount => policy.mail_window_s,
            Self::Pair | Self::Name | Self::Address | Self::Device | Self::OneTimeCode => policy.window_s,
            Self::Client | Self::ClientAddress | Self::Service | Self::ServiceAddress => policy.window_s,
            Self::Credential | Self::CredentialAddress => policy.window_s,
            Self::Asker => policy.window_s,
            Self::CodeUser | Self::CodeAddress | Self::Requests => policy.window_s,
        }
    }

    /// The failures in a window after which the rest of it is blocked; none where each costs a delay instead.
    fn limit(self, policy: &ThrottlePolicy) -> Option<i64> {
        match self {
            Self::Pair | Self::Device | Self::OneTimeCode => None,
            Self::Client | Self::Service | Self::Credential => None,
            Self::Name | Self::CodeUser => Some(i64::from(policy.name_failures)),
            Self::Address
            | Self::ClientAddress
            | Self::ServiceAddress
            | Self::CredentialAddress
            | Self::CodeAddress
            | Self::Requests => Some(i64::from(policy.address_failures)),
            Self::Asker => Some(i64::from(policy.availability_asks)),
            Self::MailAddress => Some(i64::from(policy.mail_asks)),
            Self::MailAccount => Some(i64::from(policy.mails_per_account)),
        }
    }
}

/// One counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counter {
    pub(super) scope: Scope,
    /// A digest: the table holds no names and no addresses.
    pub(super) key: [u8; 32],
}

impl Counter {
    pub(super) fn new(scope: Scope, parts: &[&[u8]]) -> Self {
        let mut text = scope.text().as_bytes().to_vec();
        for part in parts {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part);
        }
        Self { scope, key: sha256(&text) }
    }

    /// The first eight bytes of the key, for the audit log.
    pub(super) fn short_text(&self) -> String {
        self.key.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The counters of an attempt to sign in under a name.
    pub(super) fn of_name(name: &str, origin: &Origin) -> Vec<Self> {
        let address = origin.throttle_key();
        vec![
            Self::new(Scope::Pair, &[name.as_bytes(), address.as_bytes()]),
            Self::new(Scope::Name, &[name.as_bytes()]),
            Self::new(Scope::Address, &[address.as_bytes()]),
        ]
    }
}

/// The name that an attempt is counted under: canonical, or, for a text that is no name at all, the text itself.
pub(super) fn counted_name(identifier: &str) -> String {
    match CanonicalName::parse(identifier) {
        Ok(name) => name.as_str().to_owned(),
        // The zero byte sets it apart from every name.
        Err(_) => format!("\0{identifier}"),
    }
}

/// Where one counter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) failures: i64,
    pub(crate) forget_at: Timestamp,
    pub(crate) blocked_until: Timestamp,
}

impl Standing {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        Ok(Self { failures: row.get(0)?, forget_at: row.get(1)?, blocked_until: row.get(2)? })
    }

    /// How long it is still blocked.
    pub(super) fn blocked_for(&self, now: Timestamp) -> Option<Duration> {
        (self.blocked_until > now).then(|| self.blocked_until.since(now))
    }
}

/// An attempt's counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Counted {
    counters: Vec<Counter>,
    /// Where this attempt was the one too many, so that the counter is blocked now.
    pub(super) blocked: Vec<Scope>,
}

/// Whether an attempt may go on.
pub(super) enum Count {
    Counted(Counted),
    /// It may not, and was not counted.
    Blocked(Duration),
}

/// Where a counter stands.
pub(super) async fn standing(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    counter: &Counter,
) -> Result<Option<Standing>, keyreeve_store::Error> {
    tx.query_opt(&schema::COUNTER, &params![tenant, counter.scope.text(), counter.key], Standing::from_row)
        .await
}

/// Counts an attempt under all of its counters, unless one of them is blocked.
pub(super) async fn count(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    counters: Vec<Counter>,
    policy: &ThrottlePolicy,
    now: Timestamp,
) -> Result<Count, Error> {
    let mut longest = None;
    for counter in &counters {
        let blocked = standing(tx, tenant, counter).await?.and_then(|standing| standing.blocked_for(now));
        longest = longest.max(blocked);
    }
    if let Some(wait) = longest {
        return Ok(Count::Blocked(wait));
    }
    let mut blocked = Vec::new();
    for counter in &counters {
        match add(tx, tenant, counter, policy, now).await? {
            Added::Free => {}
            Added::NowBlocked => blocked.push(counter.scope),
            // Another attempt blocked it since the question above (two nodes, or two PostgreSQL connections).
            Added::WasBlocked(wait) => return Ok(Count::Blocked(wait)),
        }
    }
    Ok(Count::Counted(Counted { counters, blocked }))
}

pub(super) enum Added {
    Free,
    NowBlocked,
    WasBlocked(Duration),
}

/// Adds one to a counter, and blocks it if that is one too many.
pub(super) async fn add(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    counter: &Counter,
    policy: &ThrottlePolicy,
    now: Timestamp,
) -> Result<Added, Error> {
    let seconds = |s: u32| now.plus(Duration::from_secs(u64::from(s)));
    let limit = counter.scope.limit(policy);
    // A delaying counter is forgotten after a quiet time; a limited one at the end of its window, come what may.
    let (fresh, running) = match limit {
        None => (seconds(policy.forget_after_s), seconds(policy.forget_after_s)),
        Some(_) => (seconds(counter.scope.window_s(policy)), Timestamp::from_micros(0)),
    };
    let scope = counter.scope.text();
    let standing = tx
        .query_one(
            &schema::COUNT_ATTEMPT,
            &params![tenant, scope, counter.key, now, fresh, running],
            Standing::from_row,
        )
        .await?;
    if let Some(wait) = standing.blocked_for(now) {
        return Ok(Added::WasBlocked(wait));
    }
    let until = match limit {
        None => policy.delay(standing.failures).map(|delay| now.plus(delay)),
        Some(limit) => (standing.failures >= limit).then_some(standing.forget_at),
    };
    let Some(until) = until else { return Ok(Added::Free) };
    tx.execute(&schema::BLOCK_COUNTER, &params![tenant, scope, counter.key, until]).await?;
    Ok(Added::NowBlocked)
}

impl Counted {
    /// After a success: the pair's or device's count starts anew, the others lose what this attempt had added.
    pub(super) async fn settle(
        &self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        policy: &ThrottlePolicy,
    ) -> Result<(), Error> {
        for counter in &self.counters {
            match counter.scope.limit(policy) {
                None => {
                    let scope = counter.scope.text();
                    tx.execute(&schema::CLEAR_COUNTER, &params![tenant, scope, counter.key]).await?;
                }
                Some(limit) => take_back(tx, tenant, counter, limit).await?,
            }
        }
        Ok(())
    }

    /// The attempt was never weighed (the server was busy): it does not count.
    pub(super) async fn uncount(
        &self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        policy: &ThrottlePolicy,
    ) -> Result<(), Error> {
        for counter in &self.counters {
            let limit = counter.scope.limit(policy).unwrap_or(i64::from(policy.free_failures));
            take_back(tx, tenant, counter, limit).await?;
        }
        Ok(())
    }
}

async fn take_back(tx: &mut Tx<'_>, tenant: TenantId, counter: &Counter, limit: i64) -> Result<(), Error> {
    let scope = counter.scope.text();
    tx.execute(&schema::UNCOUNT_ATTEMPT, &params![tenant, scope, counter.key, limit]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_one_name_and_no_text_is_none() {
        assert_eq!(counted_name(" ADA "), counted_name("ａｄａ"));
        assert_ne!(counted_name("a b"), counted_name("a c"));
        assert_ne!(counted_name("a b"), counted_name("ab"));
    }

    #[test]
    fn parts_cannot_run_into_each_other() {
        let of = |parts: &[&[u8]]| Counter::new(Scope::Pair, parts).key;
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"ab"]), Counter::new(Scope::Name, &[b"ab"]).key);
    }

    #[test]
    fn one_address_is_one_counter_for_all_names() {
        let origin = Origin { address: "192.0.2.7".parse().ok(), ..Origin::default() };
        let [pair, name, address] = Counter::of_name("ada", &origin)[..] else { panic!("three counters") };
        let [pair2, name2, address2] = Counter::of_name("bob", &origin)[..] else { panic!("three counters") };
        assert!(pair != pair2 && name != name2);
        assert_eq!(address, address2);
    }
}
