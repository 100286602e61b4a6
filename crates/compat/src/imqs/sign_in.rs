//! Passwords and sessions. Every attempt goes through admission; what the original adds (a delay after failures, a lock) comes
//! on top of it.

use super::call::Actor;
use super::catalogue::{Effective, permission};
use super::failure::Failure;
use super::people::{self, Person};
use super::{Imqs, schema};
use keyreeve_base::{Origin, SessionId, TenantId, Timestamp, UserId};
use keyreeve_crypto::{Alphabet, Secret, TokenDigest, random_text};
use keyreeve_identity::{
    Admitted, Cause, Error, Method, Opening, PasswordAttempt, Proof, Refusal, Session, SessionPolicy,
    StateChange, User, Weighed,
};
use keyreeve_store::{Tx, params};
use std::sync::Arc;
use std::time::Duration;

/// The length of a session's cookie: 178 bits.
const COOKIE_CHARACTERS: usize = 30;
/// The longest that one request waits before its answer; a request has half a minute altogether.
const LONGEST_DELAY: Duration = Duration::from_secs(20);

/// An attempt with a password.
pub(super) struct Attempt<'a> {
    pub(super) tenant: TenantId,
    pub(super) identity: &'a str,
    pub(super) password: Secret,
    pub(super) origin: &'a Origin,
}

/// A password that was right, of somebody whom nothing has been decided about yet.
pub(super) struct Proved {
    pub(super) proof: Proof,
    pub(super) user: Arc<User>,
    pub(super) person: Arc<Person>,
}

/// A session that was opened.
pub(super) struct Opened {
    pub(super) cookie: Secret,
    pub(super) expires_at: Timestamp,
    pub(super) actor: Actor,
}

/// What the transaction of a sign-in came to.
enum Done {
    Opened(Arc<Session>),
    Weighed(Weighed),
}

impl Imqs {
    /// Who a cookie's session belongs to: from memory where that is allowed.
    pub(super) async fn of_cookie(&self, tenant: TenantId, cookie: &str) -> Result<Actor, Failure> {
        let session = self.session_of(tenant, cookie).await?.ok_or(Failure::NoSession)?;
        let admitted =
            self.identity().admission().in_session(tenant, session).await?.ok_or(Failure::NoSession)?;
        let user = admitted.user().cloned().ok_or(Failure::NoSession)?;
        let person = self.person(tenant, user.id).await?;
        let effective = self.effective(tenant, user.id, &person).await?;
        Ok(Actor { user, person, effective, session: Some(session) })
    }

    /// The session that a cookie stands for, live or not.
    pub(super) async fn session_of(
        &self,
        tenant: TenantId,
        cookie: &str,
    ) -> Result<Option<SessionId>, Failure> {
        if cookie.len() != COOKIE_CHARACTERS || !cookie.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        let digest = TokenDigest::of(cookie);
        if let Some(known) = self.0.sessions.get(&(tenant, digest)) {
            return Ok(Some(known));
        }
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::SESSION, &params![tenant, digest.as_bytes()], |row| row.get::<SessionId>(0))
                .await
        };
        let found = self.store().read(read).await?;
        if let Some(session) = found {
            self.0.sessions.insert((tenant, digest), session);
        }
        Ok(found)
    }

    /// Basic on any operation: good for this one request.
    pub(super) async fn once(&self, attempt: Attempt<'_>) -> Result<Actor, Failure> {
        let (tenant, origin) = (attempt.tenant, attempt.origin.clone());
        let Proved { proof, user, person } = self.prove(attempt, Method::Password).await?;
        self.check_age(&user).await?;
        let identity = self.identity().clone();
        let weighed = self
            .store()
            .write(async move |tx: &mut Tx<'_>| identity.admission().weigh(tx, &proof, &origin).await)
            .await?;
        self.admitted(tenant, &user, weighed).await?;
        let effective = self.effective(tenant, user.id, &person).await?;
        Ok(Actor { user, person, effective, session: None })
    }

    /// Whether it is the password, after the delay that earlier failures cost.
    pub(super) async fn prove(&self, attempt: Attempt<'_>, method: Method) -> Result<Proved, Failure> {
        let Attempt { tenant, identity, password, origin } = attempt;
        if identity.is_empty() {
            return Err(Failure::EmptyIdentity);
        }
        let found = self.resolve(tenant, identity).await?;
        if let Some((_, person)) = &found {
            self.delay(person.failures).await?;
        }
        // Whatever name somebody signs in by, there is one counter for them.
        let canonical = found.as_ref().and_then(|(user, _)| {
            let name = user.username.as_deref().or(user.email.as_deref());
            name.and_then(people::key_of)
        });
        let identifier = canonical.as_deref().unwrap_or(identity);
        let attempt = |password| PasswordAttempt {
            tenant,
            identifier,
            password,
            origin: origin.clone(),
            method,
            device: None,
        };
        let admission = self.identity().admission();
        let mut outcome = admission.prove_password(attempt(password.duplicate())).await?;
        if let Err(Refusal::Throttled { retry_after }) = outcome
            && retry_after <= LONGEST_DELAY
        {
            self.wait(retry_after).await?;
            outcome = admission.prove_password(attempt(password)).await?;
        }
        match (outcome, found) {
            (Ok(proof), Some((user, person))) => Ok(Proved { proof, user, person }),
            (Ok(_), None) => Err(Failure::NoSuchUser),
            // Waiting would not help.
            (Err(Refusal::Throttled { .. }), Some((user, _))) if user.locked => Err(Failure::Locked),
            (Err(Refusal::Throttled { retry_after } | Refusal::Busy { retry_after }), _) => {
                Err(Failure::Wait(retry_after))
            }
            (Err(Refusal::Denied), Some((user, person))) => Err(self.failed(tenant, &user, &person).await?),
            (Err(Refusal::Denied), None) if self.options().discreet => Err(Failure::WrongPassword),
            (Err(Refusal::Denied), None) => Err(Failure::NoSuchUser),
        }
    }

    /// Half a second for each failure. Nothing is held meanwhile but the request itself.
    async fn delay(&self, failures: i64) -> Result<(), Failure> {
        let Ok(failures) = u32::try_from(failures) else { return Ok(()) };
        let delay = self.options().failure_delay.saturating_mul(failures).min(LONGEST_DELAY);
        if delay.is_zero() { Ok(()) } else { self.wait(delay).await }
    }

    async fn wait(&self, delay: Duration) -> Result<(), Failure> {
        let _place = self.0.waiting.try_acquire().map_err(|_| Failure::Wait(delay))?;
        tokio::time::sleep(delay).await;
        Ok(())
    }

    /// Counts a failure, and locks the account where that was the one too many.
    async fn failed(&self, tenant: TenantId, user: &User, person: &Person) -> Result<Failure, Failure> {
        let id = user.id;
        let failures = self
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let failures = tx
                    .query_opt(&schema::COUNT_FAILURE, &params![tenant, id], |row| row.get::<i64>(0))
                    .await?;
                people::changed(tx, tenant, id).await?;
                Ok::<_, keyreeve_store::Error>(failures.unwrap_or_default())
            })
            .await?;
        if user.locked {
            return Ok(Failure::Locked);
        }
        let reached = self.options().lock_at.is_some_and(|limit| failures >= limit);
        // Machines sign in as administrators; locking those would stop the services.
        if !reached || self.effective(tenant, id, person).await?.has(permission::ADMIN) {
            return Ok(Failure::WrongPassword);
        }
        let locked = self
            .identity()
            .users()
            .change_state((tenant, id), StateChange::Lock, None, &Cause::system())
            .await;
        match locked {
            Ok(_) | Err(Error::NotFound(_)) => Ok(Failure::Locked),
            Err(error) => Err(error.into()),
        }
    }

    /// What the verdict on a right password means here.
    async fn admitted(
        &self,
        tenant: TenantId,
        user: &User,
        weighed: Weighed,
    ) -> Result<Box<Admitted>, Failure> {
        match weighed {
            Weighed::Admitted(admitted) => Ok(admitted),
            Weighed::NeedsCode => Err(Failure::Unsupported("this account signs in with a second factor")),
            Weighed::MustChange => Err(Failure::Expired),
            Weighed::Refused => {
                let now = self.identity().users().by_id(tenant, user.id).await?;
                Err(if now.is_some_and(|user| user.locked) { Failure::Locked } else { Failure::NoSuchUser })
            }
        }
    }

    /// Refuses a password that is too old, and answers when it will be.
    async fn check_age(&self, user: &User) -> Result<Option<Timestamp>, Failure> {
        let Some(longest) = self.options().password_expiry else { return Ok(None) };
        let exempt = &self.options().exempt_from_expiry;
        let is_exempt = |name: &Option<String>| {
            name.as_deref().and_then(people::key_of).is_some_and(|name| {
                exempt.iter().any(|exempt| people::key_of(exempt).as_ref() == Some(&name))
            })
        };
        if is_exempt(&user.username) || is_exempt(&user.email) {
            return Ok(None);
        }
        let Some(state) = self.identity().passwords().state(user.id).await? else { return Ok(None) };
        let until = state.changed_at.plus(longest);
        if until <= self.world().now() { Err(Failure::Expired) } else { Ok(Some(until)) }
    }

    /// Opens a session for whoever has proved a password and is enabled.
    pub(super) async fn open(
        &self,
        tenant: TenantId,
        proved: Proved,
        origin: &Origin,
    ) -> Result<Opened, OpenFailure> {
        let Proved { proof, user, person } = proved;
        let until = self.check_age(&user).await?;
        let effective = self.effective(tenant, user.id, &person).await?;
        let (admits, id) = (Admits::of(&effective), user.id);
        let (cookie, now) =
            (random_text(self.world(), Alphabet::Alphanumeric, COOKIE_CHARACTERS), self.world().now());
        let lasts = self.lasts(now, until);
        let opening = Opening {
            session: self.world().new_id(),
            policy: SessionPolicy { idle_s: lasts, absolute_s: lasts },
            origin: origin.clone(),
            alone: self.options().one_session,
        };
        let (identity, digest) = (self.identity().clone(), TokenDigest::of(cookie.expose()));
        let had_failures = person.failures > 0;
        let done = self
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let admission = identity.admission();
                let weighed = admission.weigh(tx, &proof, &opening.origin).await?;
                let Weighed::Admitted(admitted) = &weighed else { return Ok(Done::Weighed(weighed)) };
                if admits != Admits::Yes {
                    return Ok(Done::Weighed(weighed));
                }
                let session = admission.open(tx, admitted, &opening).await?;
                tx.execute(&schema::INSERT_SESSION, &params![tenant, digest.as_bytes(), session.id]).await?;
                tx.execute(&schema::NOTE_LOGIN, &params![tenant, id, now]).await?;
                if had_failures {
                    people::changed(tx, tenant, id).await?;
                }
                Ok::<_, Error>(Done::Opened(session))
            })
            .await
            .map_err(Failure::from)?;
        let session = match done {
            Done::Opened(session) => session,
            Done::Weighed(weighed) => {
                self.admitted(tenant, &user, weighed).await?;
                return Err(admits.refusal());
            }
        };
        self.0.sessions.insert((tenant, digest), session.id);
        let actor = Actor { user, person, effective, session: Some(session.id) };
        Ok(Opened { cookie, expires_at: session.expires_at, actor })
    }

    /// The seconds that a session lasts which begins now.
    fn lasts(&self, now: Timestamp, until: Option<Timestamp>) -> u32 {
        let left = until.map_or(u64::MAX, |until| until.since(now).as_secs());
        u32::try_from(left).unwrap_or(u32::MAX).min(self.options().session_s)
    }

    /// Forgets a user's failures.
    pub(super) async fn forgive(&self, tenant: TenantId, user: UserId) -> Result<(), Failure> {
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                tx.execute(&schema::CLEAR_FAILURES, &params![tenant, user]).await?;
                people::changed(tx, tenant, user).await
            })
            .await?;
        Ok(())
    }
}

/// What a user's permit says to a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admits {
    Yes,
    NoPermit,
    Disabled,
}

/// Why no session is opened.
pub(super) enum OpenFailure {
    Failure(Failure),
    Disabled,
}

impl From<Failure> for OpenFailure {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Admits {
    fn of(effective: &Effective) -> Self {
        match effective {
            Effective { has_permit: false, .. } => Self::NoPermit,
            effective if effective.has(permission::ENABLED) => Self::Yes,
            _ => Self::Disabled,
        }
    }

    const fn refusal(self) -> OpenFailure {
        match self {
            Self::NoPermit => OpenFailure::Failure(Failure::NoPermit),
            Self::Yes | Self::Disabled => OpenFailure::Disabled,
        }
    }
}
