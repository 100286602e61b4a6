//! Signing in with a password: proof, then one transaction that weighs it, ends or renews the browser's former session,
//! makes the new one, and records all of it.

use super::proof::{Kind, PasswordProof, Proof, Second};
use super::throttle::Counted;
use super::ticket::Step;
use super::weigh::{PasswordFate, Verdict};
use super::{Admission, Admitted, PasswordAttempt, Refusal};
use crate::sessions::{self, Beginning, Session};
use crate::settings::SessionPolicy;
use crate::{Cause, Error, passwords};
use keyreeve_audit::{Actor, Event, Outcome};
use keyreeve_base::{Origin, SessionId, TenantId, UserId};
use keyreeve_crypto::{OpaqueToken, Secret, TokenDigest};
use keyreeve_store::Tx;
use serde_json::json;
use std::sync::Arc;

/// What a session cookie begins with, so that people and scanners know a leaked one.
const COOKIE_PREFIX: &str = "kr_se_";

/// What came of an attempt to sign in.
#[derive(Debug)]
pub enum SignIn {
    /// Signed in. The cookies are for the browser and are not told again.
    SignedIn {
        /// The session cookie's value.
        cookie: OpaqueToken,
        /// The device cookie's value; it may be kept for [`crate::ThrottlePolicy::device_days`].
        device_cookie: String,
        /// The session.
        session: Arc<Session>,
        /// The principal.
        admitted: Admitted,
    },
    /// The password was right, and the user has a second factor: ask for a code and hand this back with it within ten
    /// minutes ([`Admission::finish_second_factor`]).
    NeedsCode {
        /// Sealed text for a hidden field of that form.
        ticket: String,
    },
    /// The password was right, but must be replaced first: show the form for a new one and hand this back with it within
    /// ten minutes ([`Admission::finish_password_change`]).
    MustChangePassword {
        /// Sealed text for a hidden field of that form.
        ticket: String,
    },
    /// Refused.
    Refused(Refusal),
}

/// The second step of a sign-in that had to choose a new password.
pub struct FinishPasswordChange<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// From [`SignIn::MustChangePassword`].
    pub ticket: &'a str,
    /// The new password.
    pub password: Secret,
    /// The session cookie, if the browser sent one.
    pub old_cookie: Option<&'a str>,
    /// Where it comes from.
    pub origin: Origin,
}

/// A session that a door opens for its own contract: it holds the representation by which it is known, and asks
/// [`Admission::in_session`] for whoever shows that.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The identifier of the session, to be drawn beforehand.
    pub session: SessionId,
    /// How long it lives.
    pub policy: SessionPolicy,
    /// Where it begins from.
    pub origin: Origin,
    /// Whether the user's other sessions end.
    pub alone: bool,
}

/// What the transaction of a sign-in needs to make a session.
pub(super) struct Plan {
    id: SessionId,
    cookie: TokenDigest,
    old_cookie: Option<TokenDigest>,
    policy: SessionPolicy,
    pub(super) origin: Origin,
}

/// What the transaction of a sign-in answers.
pub(super) enum Done {
    SignedIn(Arc<Session>, Box<Admitted>),
    NeedsCode(UserId),
    MustChange(UserId, Arc<[String]>),
    Refused,
}

impl Admission<'_> {
    /// Signs a user in. The browser's former session, if it sent one, ends (or, if it was the same user's, goes on under a
    /// new cookie): a session that somebody else has planted is of no use (ABUSE-CASES AC-10).
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; those of the store and the hasher.
    pub async fn sign_in(
        self,
        attempt: PasswordAttempt<'_>,
        old_cookie: Option<&str>,
    ) -> Result<SignIn, Error> {
        let (tenant, origin) = (attempt.tenant, attempt.origin.clone());
        let proof = match self.prove_password(attempt).await? {
            Ok(proof) => proof,
            Err(refusal) => return Ok(SignIn::Refused(refusal)),
        };
        let version = proof.password_version().unwrap_or_default();
        let (cookie, plan) = self.plan(tenant, old_cookie, origin).await?;
        let identity = self.0.clone();
        let done = self
            .0
            .store()
            .write(async move |tx: &mut Tx<'_>| identity.admission().conclude(tx, &proof, &plan).await)
            .await?;
        self.answer(tenant, done, cookie, version).await
    }

    /// Makes the session of somebody who was admitted, in the transaction that admitted them. No cookie of the sign-in page
    /// leads to it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for anybody but a user; those of the store.
    pub async fn open(
        self,
        tx: &mut Tx<'_>,
        admitted: &Admitted,
        opening: &Opening,
    ) -> Result<Arc<Session>, Error> {
        let user = admitted.user().ok_or(Error::NotFound("user"))?.id;
        let cause = Cause::user(user, opening.origin.clone());
        if opening.alone {
            sessions::end_all(tx, self.0, (admitted.tenant(), user, None), "signed_in_again", &cause).await?;
        }
        let plan = Plan {
            id: opening.session,
            cookie: OpaqueToken::generate_with_prefix(self.0.world(), COOKIE_PREFIX).digest(),
            old_cookie: None,
            policy: opening.policy.clone(),
            origin: opening.origin.clone(),
        };
        self.begin_session(tx, admitted, &plan).await
    }

    /// Weighs the proof of a sign-in in its transaction, and makes the session.
    pub(super) async fn conclude(self, tx: &mut Tx<'_>, proof: &Proof, plan: &Plan) -> Result<Done, Error> {
        Ok(match self.decide(tx, proof, &plan.origin, PasswordFate::Stays).await? {
            Verdict::Admitted(admitted) => {
                let session = self.begin_session(tx, &admitted, plan).await?;
                let admitted = admitted.in_session(&session);
                Done::SignedIn(session, Box::new(admitted))
            }
            Verdict::NeedsCode(user) => Done::NeedsCode(user.id),
            Verdict::MustChange(user, amr) => Done::MustChange(user.id, amr),
            Verdict::Refused(_) => Done::Refused,
        })
    }

    /// Sets the new password of a user who had to choose one, and signs them in.
    ///
    /// # Errors
    /// [`Error::Policy`] when the new password does not meet the policy; the ticket stays good. [`Error::Busy`] and those of
    /// the store.
    pub async fn finish_password_change(self, finish: FinishPasswordChange<'_>) -> Result<SignIn, Error> {
        let FinishPasswordChange { tenant, ticket, password, old_cookie, origin } = finish;
        let step = Step::NewPassword;
        let ticket = match self.open_ticket(tenant, step, ticket).await? {
            Ok(ticket) => ticket,
            Err(reason) => return self.refuse_step(tenant, (step, None), reason, &origin).await,
        };
        let settings = self.tenant(tenant).await?.settings.clone();
        let Some(user) = self.0.users().by_id(tenant, ticket.user).await? else {
            return self.refuse_step(tenant, (step, None), "unknown_user", &origin).await;
        };
        let hash = self.0.passwords().check_and_hash(&settings.password, &user, &password).await?;
        let change = passwords::Change {
            hash,
            replaces: Some(ticket.version),
            history: settings.password.history,
            must_change: false,
            except: None,
            ends_grants: false,
        };
        let proof = Proof {
            tenant,
            method: Self::TICKET_METHOD,
            kind: Kind::Password(PasswordProof {
                user: user.id,
                version: ticket.version,
                rehashed: None,
                max_age: None,
                second: Second::of_ticket(&ticket),
                counted: Counted::default(),
                throttle: settings.throttle,
            }),
        };
        let (cookie, plan) = self.plan(tenant, old_cookie, origin).await?;
        let identity = self.0.clone();
        let done = self
            .0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let admission = identity.admission();
                let verdict = admission.decide(tx, &proof, &plan.origin, PasswordFate::IsReplaced).await?;
                let Verdict::Admitted(admitted) = verdict else { return Ok(Done::Refused) };
                let cause = Cause::user(ticket.user, plan.origin.clone());
                let of = (tenant, ticket.user);
                let user = identity.passwords().store_change(tx, of, &change, &cause).await?;
                let admitted = Admitted { user: Some(user), ..*admitted };
                let session = admission.begin_session(tx, &admitted, &plan).await?;
                let admitted = Box::new(admitted.in_session(&session));
                Ok::<_, Error>(Done::SignedIn(session, admitted))
            })
            .await?;
        self.answer(tenant, done, cookie, ticket.version).await
    }

    pub(super) async fn plan(
        self,
        tenant: TenantId,
        old_cookie: Option<&str>,
        origin: Origin,
    ) -> Result<(OpaqueToken, Plan), Error> {
        let policy = self.tenant(tenant).await?.settings.session.clone();
        let cookie = OpaqueToken::generate_with_prefix(self.0.world(), COOKIE_PREFIX);
        let plan = Plan {
            id: self.0.world().new_id(),
            cookie: cookie.digest(),
            old_cookie: old_cookie.map(TokenDigest::of),
            policy,
            origin,
        };
        Ok((cookie, plan))
    }

    pub(super) async fn answer(
        self,
        tenant: TenantId,
        done: Done,
        cookie: OpaqueToken,
        version: i64,
    ) -> Result<SignIn, Error> {
        Ok(match done {
            Done::SignedIn(session, admitted) => {
                let device_cookie = self.seal_device(tenant, session.user_id).await?;
                SignIn::SignedIn { cookie, device_cookie, session, admitted: *admitted }
            }
            Done::NeedsCode(user) => {
                let so_far = (user, version, Arc::new([]) as Arc<[String]>);
                SignIn::NeedsCode { ticket: self.seal_ticket(tenant, Step::Code, so_far).await? }
            }
            Done::MustChange(user, amr) => {
                let so_far = (user, version, amr);
                SignIn::MustChangePassword {
                    ticket: self.seal_ticket(tenant, Step::NewPassword, so_far).await?,
                }
            }
            Done::Refused => SignIn::Refused(Refusal::Denied),
        })
    }

    /// Makes the session of a sign-in in its transaction.
    async fn begin_session(
        self,
        tx: &mut Tx<'_>,
        admitted: &Admitted,
        plan: &Plan,
    ) -> Result<Arc<Session>, Error> {
        let user = admitted.user().ok_or(Error::NotFound("user"))?;
        let (tenant, now) = (admitted.tenant(), self.0.world().now());
        let cause = Cause::user(user.id, plan.origin.clone());
        let begun = Beginning { now, amr: admitted.shared_amr(), policy: &plan.policy, origin: &plan.origin };
        let mut session = Session::begin(plan.id, (tenant, user.id), plan.cookie, begun);
        let former = match &plan.old_cookie {
            Some(digest) => sessions::find(tx, tenant, digest).await?.filter(|former| former.is_live(now)),
            None => None,
        };
        let mut action = "session.create";
        match former {
            // The same user proved themselves again: what hangs on the session need not end, but its cookie must.
            Some(former) if former.user_id == user.id => {
                let renewed = Session { id: former.id, created_at: former.created_at, ..session.clone() };
                if renewed.renew(tx, &former.token_digest).await? {
                    (session, action) = (renewed, "session.renew");
                } else {
                    session.insert(tx).await?;
                }
            }
            Some(former) => {
                let of = (tenant, former.user_id, former.id);
                sessions::end(tx, self.0, of, "other_user_signed_in", &cause).await?;
                session.insert(tx).await?;
            }
            None => session.insert(tx).await?,
        }
        let detail =
            json!({"user": user.id, "amr": session.amr, "expires_at": session.expires_at.to_string()});
        let event = cause.done(tenant, action, ("session", session.id.to_string()), detail);
        keyreeve_audit::record(tx, self.0.world(), &event).await?;
        Ok(Arc::new(session))
    }

    /// Records that a further step of a sign-in was refused, of whom it is known of.
    pub(super) async fn refuse_step(
        self,
        tenant: TenantId,
        (step, user): (Step, Option<UserId>),
        reason: &'static str,
        origin: &Origin,
    ) -> Result<SignIn, Error> {
        let (world, origin) = (self.0.world().clone(), origin.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let event = Event {
                    tenant,
                    actor: Actor::Anonymous,
                    action: Self::TICKET_METHOD.action(),
                    target: user.map(|user| ("user", user.to_string())),
                    outcome: Outcome::Refused,
                    reason: Some(reason),
                    origin: &origin,
                    detail: json!({"method": step.text()}),
                };
                keyreeve_audit::record(tx, &world, &event).await
            })
            .await?;
        Ok(SignIn::Refused(Refusal::Denied))
    }
}
