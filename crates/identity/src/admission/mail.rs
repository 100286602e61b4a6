//! What admission has to say where accounts are regained by mail: whether the account may be, how often somebody may be
//! written to, and that past failures are forgiven.

use super::throttle::{self, Count, Counter, Scope, counted_name};
use crate::tenants::Tenant;
use crate::users::User;
use crate::{Error, schema};
use keyreeve_base::{Origin, TenantId, Timestamp, UserId};
use keyreeve_store::{Tx, params};
use std::time::Duration;

/// The counters of one request for mail.
pub(crate) struct MailCounters {
    kind: &'static str,
    name: String,
    address: String,
}

/// Whether mail may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailCount {
    Free,
    /// Too much was asked from one address; whoever asks may know.
    TooManyAsked(Duration),
    /// The account was written to often enough. Nobody is told: a stranger could learn that somebody else asked.
    TooManySent,
}

impl MailCounters {
    /// Those of mail of this kind, asked for under a name.
    pub(crate) fn of_name(kind: &'static str, name: &str, origin: &Origin) -> Self {
        Self { kind, name: counted_name(name), address: origin.throttle_key() }
    }

    /// The digest of the name, by which the audit log tells which requests belong together.
    pub(crate) fn name_digest(&self) -> String {
        Counter::new(Scope::Name, &[self.name.as_bytes()]).short_text()
    }

    /// How long the account's count lasts.
    pub(crate) fn window(&self, tenant: &Tenant) -> Duration {
        Duration::from_secs(u64::from(tenant.settings.throttle.mail_window_s))
    }

    /// Counts the request: by the address, and by the account, whichever of its names was used; without an account, by
    /// the name, so that the work is the same.
    pub(crate) async fn count(
        &self,
        tx: &mut Tx<'_>,
        tenant: &Tenant,
        user: Option<UserId>,
        now: Timestamp,
    ) -> Result<MailCount, Error> {
        let policy = &tenant.settings.throttle;
        let kind = self.kind.as_bytes();
        let asked = Counter::new(Scope::MailAddress, &[kind, self.address.as_bytes()]);
        if let Count::Blocked(wait) = throttle::count(tx, tenant.id, vec![asked], policy, now).await? {
            return Ok(MailCount::TooManyAsked(wait));
        }
        let account = match user.map(UserId::uuid) {
            Some(id) => Counter::new(Scope::MailAccount, &[kind, b"user", id.as_bytes()]),
            None => Counter::new(Scope::MailAccount, &[kind, b"name", self.name.as_bytes()]),
        };
        match throttle::count(tx, tenant.id, vec![account], policy, now).await? {
            Count::Counted(_) => Ok(MailCount::Free),
            Count::Blocked(_) => Ok(MailCount::TooManySent),
        }
    }
}

/// What stands against a user who wants to regain the account, by the rules of every way in; that a new password must be
/// chosen does not.
pub(crate) async fn obstacle_of(tx: &mut Tx<'_>, user: &User) -> Result<Option<&'static str>, Error> {
    if !super::weigh::tenant_is_active(tx, user.tenant_id).await? {
        return Ok(Some("tenant_inactive"));
    }
    Ok(super::weigh::obstacle(user))
}

/// Takes back what failed attempts had cost a user who has a new password now: the delay of this origin, and the lock of
/// the name.
pub(crate) async fn forgive(tx: &mut Tx<'_>, user: &User, origin: &Origin) -> Result<(), Error> {
    for identifier in user.profile.identifiers()? {
        for counter in Counter::of_name(identifier.canonical.as_str(), origin) {
            if counter.scope != Scope::Address {
                clear(tx, user.tenant_id, &counter).await?;
            }
        }
    }
    Ok(())
}

async fn clear(tx: &mut Tx<'_>, tenant: TenantId, counter: &Counter) -> Result<(), Error> {
    tx.execute(&schema::CLEAR_COUNTER, &params![tenant, counter.scope.text(), counter.key]).await?;
    Ok(())
}
