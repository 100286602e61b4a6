//! Counting questions whose answers tell who has an account, so that nobody asks for a whole directory (ABUSE-CASES AC-21).

use super::throttle::{self, Count, Counter, Scope};
use super::{Admission, Refusal, Subject};
use crate::tenants::Tenant;
use crate::{Authority, Error};
use keyreeve_audit::{Actor, Event, Outcome};
use keyreeve_base::Origin;
use keyreeve_store::Tx;

impl Admission<'_> {
    /// Counts a question of `asked_by`. When it is one too many, it is refused and recorded.
    pub(crate) async fn count_question(
        self,
        tx: &mut Tx<'_>,
        tenant: &Tenant,
        asked_by: &Authority,
        (action, origin): (&'static str, &Origin),
    ) -> Result<Result<(), Refusal>, Error> {
        let (actor, kind, id) = match asked_by.subject() {
            Some(Subject::User(id)) => (Actor::User(id), "user", id.uuid()),
            Some(Subject::Client(id)) => (Actor::Client(id), "client", id.uuid()),
            Some(Subject::Service(id)) => (Actor::Service(id), "service", id.uuid()),
            // The operator of the machine reads the directory as it lies.
            None => return Ok(Ok(())),
        };
        let counter = Counter::new(Scope::Asker, &[kind.as_bytes(), id.as_bytes(), action.as_bytes()]);
        let now = self.0.world().now();
        let policy = &tenant.settings.throttle;
        let count = throttle::count(tx, tenant.id, vec![counter], policy, now).await?;
        let Count::Blocked(retry_after) = count else { return Ok(Ok(())) };
        let event = Event {
            tenant: tenant.id,
            actor,
            action,
            target: None,
            outcome: Outcome::Refused,
            reason: Some("throttled"),
            origin,
            detail: serde_json::Value::Null,
        };
        keyreeve_audit::record(tx, self.0.world(), &event).await?;
        Ok(Err(Refusal::Throttled { retry_after }))
    }
}
