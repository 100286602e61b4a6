//! Weighing a proof: the state of tenant, account, password and session, all read in the transaction that acts upon the
//! answer.

use super::proof::{Kind, PasswordProof, Proof, Redeemed, Second};
use super::{Admission, Admitted, Refusal, Subject};
use crate::users::{self, User};
use crate::{Error, schema, second_factor, sessions};
use keyreeve_audit::{Actor, Event, Outcome};
use keyreeve_base::{ClientId, Origin, TenantId, Timestamp, UserId};
use keyreeve_store::{Row, Tx, params};
use serde_json::json;
use std::sync::Arc;

/// How a user proves themselves with a password (RFC 8176 section 2).
const AMR_PASSWORD: &str = "pwd";

/// What the weighing came to.
pub(crate) enum Verdict {
    Admitted(Box<Admitted>),
    /// The password is right, and a one-time code is wanted, too.
    NeedsCode(Arc<User>),
    /// Everything is right, and the password must be replaced before anything else; with how the user proved themselves.
    MustChange(Arc<User>, Arc<[String]>),
    /// Nothing doing; the reason is for the audit log.
    Refused(&'static str),
}

/// What the weighing came to, for a door that has words for more than yes and no. Whoever gets another answer than a refusal
/// has shown the right password.
pub enum Weighed {
    /// In.
    Admitted(Box<Admitted>),
    /// A one-time code is wanted, too.
    NeedsCode,
    /// The password must be replaced before anything else.
    MustChange,
    /// No.
    Refused,
}

/// Whether the same transaction replaces the password that was proved.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PasswordFate {
    Stays,
    IsReplaced,
}

/// The state of a tenant and an account, as the first columns of a row tell it.
struct Account {
    tenant_active: bool,
    enabled: bool,
    archived: bool,
    locked: bool,
    must_change: bool,
    version: i64,
}

impl Account {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        Ok(Self {
            tenant_active: row.get::<bool>(0)? && row.get::<Option<Timestamp>>(1)?.is_none(),
            enabled: row.get(2)?,
            archived: row.get::<Option<Timestamp>>(3)?.is_some(),
            locked: row.get(4)?,
            must_change: row.get(5)?,
            version: row.get(6)?,
        })
    }

    /// That of a user whose tenant was found to be active.
    const fn of(user: &User) -> Self {
        Self {
            tenant_active: true,
            enabled: user.enabled,
            archived: user.archived_at.is_some(),
            locked: user.locked,
            must_change: user.must_change_password,
            version: user.version,
        }
    }

    const fn obstacle(&self) -> Option<&'static str> {
        match self {
            Self { tenant_active: false, .. } => Some("tenant_inactive"),
            Self { archived: true, .. } => Some("user_archived"),
            Self { enabled: false, .. } => Some("user_disabled"),
            Self { locked: true, .. } => Some("user_locked"),
            _ => None,
        }
    }
}

/// A session as far as a redeemed value depends on it.
struct Leaned {
    ended: bool,
    expires_at: Timestamp,
    idle_expires_at: Timestamp,
    last_seen_at: Timestamp,
}

impl Leaned {
    fn from_row(row: &Row<'_>) -> Result<Option<Self>, keyreeve_store::Error> {
        let Some(expires_at) = row.get::<Option<Timestamp>>(8)? else { return Ok(None) };
        Ok(Some(Self {
            ended: row.get::<Option<Timestamp>>(7)?.is_some(),
            expires_at,
            idle_expires_at: row.get(9)?,
            last_seen_at: row.get(10)?,
        }))
    }

    fn is_live(&self, now: Timestamp) -> bool {
        !self.ended && now < self.expires_at && now < self.idle_expires_at
    }
}

impl Admission<'_> {
    /// Weighs a proof inside the transaction that acts upon the answer, and writes the audit entry.
    ///
    /// A refusal is an answer, not an error: the transaction must be committed, so that its audit entry stays. Do nothing
    /// else in it then. Whatever the caller consumed before (a code, say) stays consumed.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn admit(
        self,
        tx: &mut Tx<'_>,
        proof: &Proof,
        origin: &Origin,
    ) -> Result<Result<Admitted, Refusal>, Error> {
        match self.decide(tx, proof, origin, PasswordFate::Stays).await? {
            Verdict::Admitted(admitted) => Ok(Ok(*admitted)),
            Verdict::NeedsCode(_) | Verdict::MustChange(..) | Verdict::Refused(_) => Ok(Err(Refusal::Denied)),
        }
    }

    /// The same, with what the password alone came to.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn weigh(self, tx: &mut Tx<'_>, proof: &Proof, origin: &Origin) -> Result<Weighed, Error> {
        Ok(match self.decide(tx, proof, origin, PasswordFate::Stays).await? {
            Verdict::Admitted(admitted) => Weighed::Admitted(admitted),
            Verdict::NeedsCode(_) => Weighed::NeedsCode,
            Verdict::MustChange(..) => Weighed::MustChange,
            Verdict::Refused(_) => Weighed::Refused,
        })
    }

    /// The same with the whole verdict.
    pub(crate) async fn decide(
        self,
        tx: &mut Tx<'_>,
        proof: &Proof,
        origin: &Origin,
        fate: PasswordFate,
    ) -> Result<Verdict, Error> {
        let verdict = match &proof.kind {
            Kind::Password(password) => self.weigh_password(tx, proof, password, fate).await?,
            Kind::Redeemed(redeemed) => self.weigh_redeemed(tx, proof, redeemed).await?,
            Kind::Client(client) => self.weigh_client(tx, proof, *client).await?,
            Kind::Service(service) => self.weigh_service(tx, proof, service).await?,
            Kind::Credential(credential) => self.weigh_credential(tx, proof, credential).await?,
        };
        self.record(tx, proof, &verdict, origin).await?;
        Ok(verdict)
    }

    async fn weigh_password(
        self,
        tx: &mut Tx<'_>,
        proof: &Proof,
        password: &PasswordProof,
        fate: PasswordFate,
    ) -> Result<Verdict, Error> {
        let (tenant, id, now) = (proof.tenant, password.user, self.0.world().now());
        if !tenant_is_active(tx, tenant).await? {
            return Ok(Verdict::Refused("tenant_inactive"));
        }
        // Held, so that a change of the password or the state, which ends all sessions, cannot pass by this one.
        let user = match users::hold_user(tx, tenant, id).await {
            Ok(user) => user,
            Err(Error::NotFound(_)) => return Ok(Verdict::Refused("unknown_user")),
            Err(error) => return Err(error),
        };
        if let Some(obstacle) = Account::of(&user).obstacle() {
            return Ok(Verdict::Refused(obstacle));
        }
        let state = tx
            .query_opt(&schema::PASSWORD_STATE, &params![id], |row| {
                Ok((row.get::<i64>(0)?, row.get::<Timestamp>(1)?))
            })
            .await?;
        let Some((_, changed_at)) = state.filter(|(version, _)| *version == password.version) else {
            return Ok(Verdict::Refused("password_changed"));
        };
        if let Some(hash) = &password.rehashed {
            tx.execute(&schema::REHASH_PASSWORD, &params![id, password.version, hash]).await?;
        }
        let user = Arc::new(user);
        let of = (tenant, id);
        let amr: Arc<[String]> = match &password.second {
            Second::Wanted if second_factor::in_use(tx, tenant, id).await? => {
                // The password was no guess; guesses at the code have a counter of their own.
                password.counted.settle(tx, tenant, &password.throttle).await?;
                return Ok(Verdict::NeedsCode(user));
            }
            Second::Wanted | Second::NotAsked => Arc::new([AMR_PASSWORD.to_owned()]),
            Second::Passed(amr) => Arc::clone(amr),
            Second::Used(used) if second_factor::use_up(tx, of, used, now).await? => {
                used.amr().iter().map(|&method| method.to_owned()).collect()
            }
            Second::Used(_) => return Ok(Verdict::Refused("wrong_code")),
        };
        // Only now is it a success, so that wrong codes and disabled accounts count like wrong passwords.
        password.counted.settle(tx, tenant, &password.throttle).await?;
        let must_change =
            user.must_change_password || password.max_age.is_some_and(|age| now.since(changed_at) > age);
        if must_change && fate == PasswordFate::Stays {
            return Ok(Verdict::MustChange(user, amr));
        }
        Ok(Verdict::Admitted(Box::new(Admitted {
            tenant,
            subject: Subject::User(user.id),
            user: Some(user),
            service: None,
            session: None,
            auth_time: now,
            amr,
            acr: None,
            method: proof.method,
        })))
    }

    async fn weigh_redeemed(
        self,
        tx: &mut Tx<'_>,
        proof: &Proof,
        redeemed: &Redeemed,
    ) -> Result<Verdict, Error> {
        let (tenant, now) = (redeemed.tenant, self.0.world().now());
        let state = tx
            .query_opt(&schema::REDEEM_STATE, &params![tenant, redeemed.user, redeemed.session], |row| {
                Ok((Account::from_row(row)?, Leaned::from_row(row)?, row.get::<Option<Timestamp>>(11)?))
            })
            .await?;
        let Some((account, leaned, grants_from)) = state else { return Ok(Verdict::Refused("unknown_user")) };
        if let Some(obstacle) = account.obstacle() {
            return Ok(Verdict::Refused(obstacle));
        }
        if account.must_change {
            return Ok(Verdict::Refused("password_change_required"));
        }
        // Somebody regained the account, or was given a new password: what was granted before is over.
        if grants_from.is_some_and(|from| redeemed.auth_time < from) {
            return Ok(Verdict::Refused("password_reset"));
        }
        if let Some(session) = redeemed.session {
            match leaned.filter(|leaned| leaned.is_live(now)) {
                None => return Ok(Verdict::Refused("session_over")),
                // Whoever refreshes is not idle.
                Some(leaned) if now.since(leaned.last_seen_at) >= sessions::TOUCH_EVERY => {
                    let idle = leaned.idle_expires_at.since(leaned.last_seen_at);
                    sessions::touch(tx, (tenant, session), now, idle).await?;
                }
                Some(_) => {}
            }
        }
        let user = self.snapshot(tx, tenant, redeemed.user, account.version).await?;
        Ok(Verdict::Admitted(Box::new(Admitted {
            tenant,
            subject: Subject::User(redeemed.user),
            user: Some(user),
            service: None,
            session: redeemed.session,
            auth_time: redeemed.auth_time,
            amr: Arc::clone(&redeemed.amr),
            acr: None,
            method: proof.method,
        })))
    }

    /// The client's own state is its room's to check, before it makes the proof.
    async fn weigh_client(self, tx: &mut Tx<'_>, proof: &Proof, client: ClientId) -> Result<Verdict, Error> {
        if !tenant_is_active(tx, proof.tenant).await? {
            return Ok(Verdict::Refused("tenant_inactive"));
        }
        Ok(Verdict::Admitted(Box::new(Admitted {
            tenant: proof.tenant,
            subject: Subject::Client(client),
            user: None,
            service: None,
            session: None,
            auth_time: self.0.world().now(),
            amr: Arc::new([]),
            acr: None,
            method: proof.method,
        })))
    }

    /// The user at this version: from memory if that is the version that memory has, else from the transaction.
    async fn snapshot(
        self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        user: UserId,
        version: i64,
    ) -> Result<Arc<User>, Error> {
        if let Some(Some(held)) = self.0.caches().users.peek(tenant, &user)
            && held.version == version
        {
            return Ok(held);
        }
        users::read_user(tx, tenant, user).await.map(Arc::new)
    }

    async fn record(
        self,
        tx: &mut Tx<'_>,
        proof: &Proof,
        verdict: &Verdict,
        origin: &Origin,
    ) -> Result<(), Error> {
        let (who, target) = match proof.subject() {
            Subject::User(user) => (Actor::User(user), ("user", user.to_string())),
            Subject::Client(client) => (Actor::Client(client), ("client", client.to_string())),
            Subject::Service(account) => (Actor::Service(account), ("service_account", account.to_string())),
        };
        let mut detail = json!({"method": proof.method.text()});
        if let (Kind::Redeemed(redeemed), Some(detail)) = (&proof.kind, detail.as_object_mut()) {
            detail.insert("client".to_owned(), json!(redeemed.client));
            detail.insert("session".to_owned(), json!(redeemed.session));
        }
        let (actor, outcome, reason) = match verdict {
            Verdict::Admitted(_) => (who, Outcome::Success, None),
            Verdict::NeedsCode(_) => (who, Outcome::Refused, Some("second_factor_required")),
            Verdict::MustChange(..) => (who, Outcome::Refused, Some("password_change_required")),
            Verdict::Refused(reason) => (Actor::Anonymous, Outcome::Refused, Some(*reason)),
        };
        let event = Event {
            tenant: proof.tenant,
            actor,
            action: proof.method.action(),
            target: Some(target),
            outcome,
            reason,
            origin,
            detail,
        };
        keyreeve_audit::record(tx, self.0.world(), &event).await?;
        Ok(())
    }
}

pub(super) async fn tenant_is_active(tx: &mut Tx<'_>, tenant: TenantId) -> Result<bool, Error> {
    let active = tx
        .query_opt(&schema::TENANT_STATE, &params![tenant], |row| {
            Ok(row.get::<bool>(0)? && row.get::<Option<Timestamp>>(1)?.is_none())
        })
        .await?;
    Ok(active == Some(true))
}

/// What stands against a user whose tenant is active.
pub(super) const fn obstacle(user: &User) -> Option<&'static str> {
    Account::of(user).obstacle()
}

impl Admitted {
    /// The same principal, in the session that the sign-in made.
    pub(super) fn in_session(self, session: &sessions::Session) -> Self {
        Self { session: Some(session.id), auth_time: session.auth_time, ..self }
    }
}
