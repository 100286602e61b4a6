//! The second step of a sign-in: a one-time code beside the password that was proved.

use super::password::max_age;
use super::proof::{Kind, PasswordProof, Proof, Second};
use super::sign_in::SignIn;
use super::throttle::{self, Count, Counter, Scope};
use super::ticket::{Step, Ticket};
use super::{Admission, Refusal};
use crate::Error;
use crate::second_factor::recognise;
use keyreeve_base::{Origin, TenantId};
use keyreeve_crypto::Secret;
use keyreeve_store::Tx;
use std::sync::Arc;

/// A code, and the sign-in that it belongs to.
pub struct FinishSecondFactor<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// From [`SignIn::NeedsCode`].
    pub ticket: &'a str,
    /// What was typed: a code of a device, or a recovery code.
    pub code: Secret,
    /// The session cookie, if the browser sent one.
    pub old_cookie: Option<&'a str>,
    /// Where it comes from.
    pub origin: Origin,
}

impl Second {
    /// What a ticket of an earlier step says. A user who took a second factor into use since must show it.
    pub(super) fn of_ticket(ticket: &Ticket) -> Self {
        if ticket.amr.iter().any(|method| method == "mfa") {
            Self::Passed(Arc::clone(&ticket.amr))
        } else {
            Self::Wanted
        }
    }
}

impl Admission<'_> {
    /// Signs in whoever proved the password of a user with a second factor, and now shows a code. Codes are counted
    /// before they are looked at, for each user alone: beyond a few wrong ones, each costs a growing delay (ABUSE-CASES
    /// AC-24, AC-25). A code that was used before is a wrong one.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; those of the store.
    pub async fn finish_second_factor(self, finish: FinishSecondFactor<'_>) -> Result<SignIn, Error> {
        let FinishSecondFactor { tenant, ticket, code, old_cookie, origin } = finish;
        let ticket = match self.open_ticket(tenant, Step::Code, ticket).await? {
            Ok(ticket) => ticket,
            Err(reason) => return self.refuse_step(tenant, (Step::Code, None), reason, &origin).await,
        };
        let settings = self.tenant(tenant).await?.settings.clone();
        let (user, policy, max_age) = (ticket.user, settings.throttle, max_age(&settings.password));
        let counters = vec![Counter::new(Scope::OneTimeCode, &[user.uuid().as_bytes()])];
        let (identity, rules) = (self.0.clone(), policy.clone());
        let count = self
            .0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let now = identity.world().now();
                throttle::count(tx, tenant, counters.clone(), &rules, now).await
            })
            .await?;
        let of_step = (Step::Code, Some(user));
        let counted = match count {
            Count::Counted(counted) => counted,
            Count::Blocked(retry_after) => {
                self.refuse_step(tenant, of_step, "throttled", &origin).await?;
                return Ok(SignIn::Refused(Refusal::Throttled { retry_after }));
            }
        };
        let Some(used) = recognise(self.0, (tenant, user), &code).await? else {
            return self.refuse_step(tenant, of_step, "wrong_code", &origin).await;
        };
        let proof = Proof {
            tenant,
            method: Self::TICKET_METHOD,
            kind: Kind::Password(PasswordProof {
                user,
                version: ticket.version,
                rehashed: None,
                max_age,
                second: Second::Used(used),
                counted,
                throttle: policy,
            }),
        };
        let (cookie, plan) = self.plan(tenant, old_cookie, origin).await?;
        let identity = self.0.clone();
        let done = self
            .0
            .store()
            .write(async move |tx: &mut Tx<'_>| identity.admission().conclude(tx, &proof, &plan).await)
            .await?;
        self.answer(tenant, done, cookie, ticket.version).await
    }
}
