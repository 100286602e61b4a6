//! Whether a subject has a permission on a resource.

use super::{ATTEMPTS, Questions};
use crate::engine::Batch;
use crate::standing::{asker, over_tenant};
use crate::{Error, Freshness, Sharing};
use keyreeve_base::TenantId;
use keyreeve_identity::{Authority, Party};

/// The most checks that one call answers.
pub const MAX_CHECKS: usize = 1_000;

/// One question: may this subject do this to that?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Who.
    pub subject: Party,
    /// On which resource.
    pub resource: String,
    /// Which permission; [`crate::OWNER`] asks for ownership, be it of something above.
    pub permission: String,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allowed,
    /// No.
    Denied(Denial),
}

impl Decision {
    /// Whether it is a yes.
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed)
    }
}

/// Why not. Whoever asks about themselves is always told that it was not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Denial {
    /// There is no such resource.
    NoResource,
    /// Resources of this type have no such permission.
    NoPermission,
    /// There is no such subject, or it is disabled.
    NoSubject,
    /// Nothing grants it.
    NotGranted,
}

impl Questions<'_> {
    /// Whether a subject has a permission on a resource. Neither a resource nor a permission that there is not is an
    /// error: the answer is no.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Denied`] where the asker may not ask; [`Error::Invalid`] for a revision that was
    /// not given out here.
    pub async fn check(self, authority: &Authority, check: &Check, at: Freshness) -> Result<Decision, Error> {
        self.0.await_freshness(at).await?;
        let full = self.0.may_ask(authority, check.subject, &check.resource).await?;
        let decision = self.0.decide(authority.tenant(), check).await?;
        Ok(told(decision, full))
    }

    /// The same for many; answers in their order. Answers are of one moment, but for changes that do not stop; and where
    /// another node writes, what is read for the first time may be newer than what is in memory, by the staleness bound.
    ///
    /// # Errors
    /// As [`Questions::check`], of the first that fails; [`Error::Invalid`] for more than [`MAX_CHECKS`].
    pub async fn check_many(
        self,
        authority: &Authority,
        checks: &[Check],
        at: Freshness,
    ) -> Result<Vec<Decision>, Error> {
        if checks.len() > MAX_CHECKS {
            return Err(Error::invalid("checks", format!("are more than {MAX_CHECKS}")));
        }
        self.0.await_freshness(at).await?;
        let tenant = authority.tenant();
        let mut full = Vec::with_capacity(checks.len());
        for check in checks {
            full.push(self.0.may_ask(authority, check.subject, &check.resource).await?);
        }
        let mut attempt = 1;
        loop {
            let before = self.0.engine().changes(tenant);
            let mut batch = Batch::new(self.0, tenant, checks).await?;
            let mut decisions = Vec::with_capacity(checks.len());
            for (check, full) in checks.iter().zip(&full) {
                decisions.push(told(batch.decide(check).await?, *full));
            }
            if before == self.0.engine().changes(tenant) || attempt >= ATTEMPTS {
                return Ok(decisions);
            }
            attempt += 1;
        }
    }
}

/// What the asker is told.
pub(super) const fn told(decision: Decision, full: bool) -> Decision {
    match decision {
        Decision::Denied(_) if !full => Decision::Denied(Denial::NotGranted),
        decision => decision,
    }
}

impl Sharing {
    /// Whether the asker may know all about what this subject has on this resource (true), or just whether it has it.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Denied`] where it may not know even that.
    pub(crate) async fn may_ask(
        &self,
        authority: &Authority,
        subject: Party,
        resource: &str,
    ) -> Result<bool, Error> {
        if over_tenant(authority) {
            return Ok(true);
        }
        if asker(authority) == Some(subject) {
            return Ok(false);
        }
        let found = self.find(authority, resource).await?;
        found.standing.require_sharer()?;
        Ok(false)
    }

    /// The decision, whoever asks.
    pub(crate) async fn decide(&self, tenant: TenantId, check: &Check) -> Result<Decision, Error> {
        let mut attempt = 1;
        loop {
            let before = self.engine().changes(tenant);
            let decision = self.decide_once(tenant, check).await?;
            if before == self.engine().changes(tenant) || attempt >= ATTEMPTS {
                return Ok(decision);
            }
            attempt += 1;
        }
    }

    async fn decide_once(&self, tenant: TenantId, check: &Check) -> Result<Decision, Error> {
        let denied = |why| Ok(Decision::Denied(why));
        let Some(seen) = self.look_up(tenant, &check.resource).await? else {
            return denied(Denial::NoResource);
        };
        let Some(entry) = seen.entry() else { return denied(Denial::NoResource) };
        let Some(by) = entry.satisfying(&check.permission) else { return denied(Denial::NoPermission) };
        let Some(who) = self.who(tenant, check.subject).await? else { return denied(Denial::NoSubject) };
        let mut found =
            |ground: crate::engine::Ground| ground.name.is_none_or(|name| by.binary_search(&name).is_ok());
        for above in 0..seen.nodes.len() {
            if self.grounds_at(&who, &seen, above, &mut found).await? {
                return Ok(Decision::Allowed);
            }
        }
        denied(Denial::NotGranted)
    }
}
