//! Counting what is no password, but could be guessed or wasted: the short codes that devices show, and requests that
//! anybody may make and that leave something behind.

use super::throttle::{self, Count, Counted, Counter, Scope};
use super::{Admission, Refusal};
use crate::Error;
use crate::settings::ThrottlePolicy;
use crate::tenants::Tenant;
use keyreeve_audit::{Actor, Event, Outcome};
use keyreeve_base::{Origin, TenantId, UserId};
use keyreeve_store::Tx;

/// A code that somebody typed, counted before it is looked up.
#[must_use = "say when the code was a right one"]
#[derive(Debug)]
pub struct CodeGuess {
    tenant: TenantId,
    policy: ThrottlePolicy,
    counted: Counted,
}

impl CodeGuess {
    /// The code was a right one: this attempt does not count.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn right(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        self.counted.settle(tx, self.tenant, &self.policy).await
    }
}

impl Admission<'_> {
    /// Counts a code that a user types, by the user and by the address; to be asked before the code is looked up. When it
    /// is one too many, it is refused and recorded.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn count_code(
        self,
        tx: &mut Tx<'_>,
        tenant: &Tenant,
        (user, action): (UserId, &'static str),
        origin: &Origin,
    ) -> Result<Result<CodeGuess, Refusal>, Error> {
        let counters = vec![
            Counter::new(Scope::CodeUser, &[user.uuid().as_bytes()]),
            Counter::new(Scope::CodeAddress, &[origin.throttle_key().as_bytes()]),
        ];
        let (policy, now) = (&tenant.settings.throttle, self.0.world().now());
        match throttle::count(tx, tenant.id, counters, policy, now).await? {
            Count::Counted(counted) => {
                Ok(Ok(CodeGuess { tenant: tenant.id, policy: policy.clone(), counted }))
            }
            Count::Blocked(retry_after) => {
                self.record_throttled(tx, tenant.id, (Actor::User(user), action), origin).await?;
                Ok(Err(Refusal::Throttled { retry_after }))
            }
        }
    }

    /// Counts a request that anybody at this address may make. When it is one too many, it is refused and recorded.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn count_request(
        self,
        tx: &mut Tx<'_>,
        tenant: &Tenant,
        (actor, action): (Actor, &'static str),
        origin: &Origin,
    ) -> Result<Result<(), Refusal>, Error> {
        let counter = Counter::new(Scope::Requests, &[action.as_bytes(), origin.throttle_key().as_bytes()]);
        let (policy, now) = (&tenant.settings.throttle, self.0.world().now());
        match throttle::count(tx, tenant.id, vec![counter], policy, now).await? {
            Count::Counted(_) => Ok(Ok(())),
            Count::Blocked(retry_after) => {
                self.record_throttled(tx, tenant.id, (actor, action), origin).await?;
                Ok(Err(Refusal::Throttled { retry_after }))
            }
        }
    }

    async fn record_throttled(
        self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        (actor, action): (Actor, &'static str),
        origin: &Origin,
    ) -> Result<(), Error> {
        let event = Event {
            tenant,
            actor,
            action,
            target: None,
            outcome: Outcome::Refused,
            reason: Some("throttled"),
            origin,
            detail: serde_json::Value::Null,
        };
        keyreeve_audit::record(tx, self.0.world(), &event).await?;
        Ok(())
    }
}
