//! Who makes a change, and from where: what every use case that changes something asks for, and the audit log keeps.

use keyreeve_audit::{Actor, Event, Outcome};
use keyreeve_base::{Origin, TenantId, UserId};

/// Who makes a change, and from where.
#[derive(Debug, Clone)]
pub struct Cause {
    /// Who.
    pub actor: Actor,
    /// From where.
    pub origin: Origin,
}

impl Cause {
    /// `actor`, at the other end of this request.
    #[must_use]
    pub const fn new(actor: Actor, origin: Origin) -> Self {
        Self { actor, origin }
    }

    /// An operator at the command line.
    #[must_use]
    pub fn operator() -> Self {
        Self::new(Actor::Operator, Origin::local())
    }

    /// Keyreeve itself.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Actor::System, Origin { address: None, user_agent: None, request_id: None })
    }

    /// A user who acts for themselves.
    #[must_use]
    pub const fn user(user: UserId, origin: Origin) -> Self {
        Self::new(Actor::User(user), origin)
    }

    /// The event of a change that was made.
    pub(crate) fn done(
        &self,
        tenant: TenantId,
        action: &'static str,
        target: (&'static str, String),
        detail: serde_json::Value,
    ) -> Event<'_> {
        Event {
            tenant,
            actor: self.actor,
            action,
            target: Some(target),
            outcome: Outcome::Success,
            reason: None,
            origin: &self.origin,
            detail,
        }
    }
}
