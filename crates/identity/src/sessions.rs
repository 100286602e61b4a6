//! Browser sessions: what a sign-in leaves behind. The cookie's value is stored as a digest only; the session's
//! identifier is no secret and stands in tokens (`sid`).

use crate::settings::SessionPolicy;
use crate::{Cause, Error, Identity, schema};
use keyreeve_base::{Origin, SessionId, TenantId, Timestamp, UserId};
use keyreeve_crypto::TokenDigest;
use keyreeve_store::{Row, Tx, params};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// The change-feed topic of sessions; the key is the session's identifier.
pub(crate) const TOPIC: &str = "session";

/// How often a session's use is written down at most: what saves a write for nearly every request costs this much
/// exactness of the idle lifetime.
pub(crate) const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// How long sessions that are over are kept, for the account page's history and for tokens that name them.
const KEPT_AFTER_END: Duration = Duration::from_secs(30 * 86_400);

/// The most sessions that a list shows.
const MAX_LISTED: i64 = 500;
/// How many rows one statement of the pruning deletes.
const PRUNE_BATCH: i64 = 1_000;

/// A browser session, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Session {
    /// The identifier; `sid` in tokens.
    pub id: SessionId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// Whose it is.
    pub user_id: UserId,
    #[serde(skip)]
    pub(crate) token_digest: TokenDigest,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_seen_at: Timestamp,
    /// When the user last proved who they are.
    pub auth_time: Timestamp,
    /// When it ends in any case.
    pub expires_at: Timestamp,
    /// When it ends without further use.
    pub idle_expires_at: Timestamp,
    /// How the user proved who they are (RFC 8176).
    pub amr: Arc<[String]>,
    /// The authentication context class, where one was reached.
    pub acr: Option<String>,
    /// The address it began from.
    pub address: Option<String>,
    /// The browser it began from.
    pub user_agent: Option<String>,
    /// When it was ended before its time.
    pub ended_at: Option<Timestamp>,
}

impl Session {
    /// Whether it is neither ended nor expired at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && now < self.expires_at && now < self.idle_expires_at
    }

    /// The idle lifetime: a session keeps the one that it began with.
    pub(crate) fn idle_span(&self) -> Duration {
        self.idle_expires_at.since(self.last_seen_at)
    }

    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let amr: String = row.get(9)?;
        Ok(Self {
            id: row.get(0)?,
            tenant_id: row.get(1)?,
            user_id: row.get(2)?,
            token_digest: TokenDigest::from_bytes(row.get(3)?),
            created_at: row.get(4)?,
            last_seen_at: row.get(5)?,
            auth_time: row.get(6)?,
            expires_at: row.get(7)?,
            idle_expires_at: row.get(8)?,
            amr: crate::read_json("session's methods", &amr)?,
            acr: row.get(10)?,
            address: row.get(11)?,
            user_agent: row.get(12)?,
            ended_at: row.get(13)?,
        })
    }

    /// A session that begins now.
    pub(crate) fn begin(
        id: SessionId,
        whose: (TenantId, UserId),
        token_digest: TokenDigest,
        begun: Beginning<'_>,
    ) -> Self {
        let Beginning { now, amr, policy, origin } = begun;
        Self {
            id,
            tenant_id: whose.0,
            user_id: whose.1,
            token_digest,
            created_at: now,
            last_seen_at: now,
            auth_time: now,
            expires_at: now.plus(policy.absolute()),
            idle_expires_at: now.plus(policy.idle()),
            amr,
            acr: None,
            address: origin.address.map(|address| address.to_string()),
            user_agent: origin.user_agent.clone(),
            ended_at: None,
        }
    }

    pub(crate) async fn insert(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let amr = crate::write_json(&self.amr)?;
        tx.execute(
            &schema::INSERT_SESSION,
            &params![
                self.id,
                self.tenant_id,
                self.user_id,
                self.token_digest.as_bytes(),
                self.created_at,
                self.expires_at,
                self.idle_expires_at,
                &amr,
                &self.acr,
                &self.address,
                &self.user_agent
            ],
        )
        .await?;
        self.announce(tx).await
    }

    /// Replaces the cookie and the times of the session that had `former`; false when somebody else was faster.
    pub(crate) async fn renew(&self, tx: &mut Tx<'_>, former: &TokenDigest) -> Result<bool, Error> {
        let amr = crate::write_json(&self.amr)?;
        let renewed = tx
            .execute(
                &schema::RENEW_SESSION,
                &params![
                    self.tenant_id,
                    self.id,
                    self.token_digest.as_bytes(),
                    self.auth_time,
                    self.expires_at,
                    self.idle_expires_at,
                    &amr,
                    &self.acr,
                    &self.address,
                    &self.user_agent,
                    former.as_bytes()
                ],
            )
            .await?;
        self.announce(tx).await?;
        Ok(renewed == 1)
    }

    async fn announce(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        Ok(tx.changed(Some(self.tenant_id), TOPIC, &self.id.to_string()).await?)
    }
}

/// What a session begins with.
pub(crate) struct Beginning<'a> {
    pub(crate) now: Timestamp,
    pub(crate) amr: Arc<[String]>,
    pub(crate) policy: &'a SessionPolicy,
    pub(crate) origin: &'a Origin,
}

/// Finds a cookie's session in the transaction, live or not.
pub(crate) async fn find(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    digest: &TokenDigest,
) -> Result<Option<Session>, keyreeve_store::Error> {
    tx.query_opt(&schema::SESSION_BY_DIGEST, &params![tenant, digest.as_bytes()], Session::from_row).await
}

/// Notes in the transaction that a session is in use, which puts its idle end off by `idle`.
pub(crate) async fn touch(
    tx: &mut Tx<'_>,
    (tenant, session): (TenantId, SessionId),
    now: Timestamp,
    idle: Duration,
) -> Result<(), Error> {
    let idle_expires_at = now.plus(idle);
    let touched = tx.execute(&schema::TOUCH_SESSION, &params![tenant, session, now, idle_expires_at]).await?;
    if touched > 0 {
        tx.changed(Some(tenant), TOPIC, &session.to_string()).await?;
    }
    Ok(())
}

/// Ends one session in the transaction; false when it is not there, not this user's, or over already.
pub(crate) async fn end(
    tx: &mut Tx<'_>,
    identity: &Identity,
    (tenant, user, session): (TenantId, UserId, SessionId),
    because: &'static str,
    cause: &Cause,
) -> Result<bool, Error> {
    let now = identity.world().now();
    if tx.execute(&schema::END_SESSION, &params![tenant, user, session, now]).await? == 0 {
        return Ok(false);
    }
    record_end(tx, identity, (tenant, user, session), because, cause).await?;
    Ok(true)
}

/// Ends all sessions of a user but `except` in the transaction; answers how many.
pub(crate) async fn end_all(
    tx: &mut Tx<'_>,
    identity: &Identity,
    (tenant, user, except): (TenantId, UserId, Option<SessionId>),
    because: &'static str,
    cause: &Cause,
) -> Result<usize, Error> {
    let now = identity.world().now();
    let except = except.unwrap_or(SessionId::from_uuid(uuid::Uuid::nil()));
    let ended = tx
        .query(&schema::END_SESSIONS, &params![tenant, user, except, now], |row| row.get::<SessionId>(0))
        .await?;
    for session in &ended {
        record_end(tx, identity, (tenant, user, *session), because, cause).await?;
    }
    Ok(ended.len())
}

async fn record_end(
    tx: &mut Tx<'_>,
    identity: &Identity,
    (tenant, user, session): (TenantId, UserId, SessionId),
    because: &'static str,
    cause: &Cause,
) -> Result<(), Error> {
    let detail = json!({"user": user, "because": because});
    let event = cause.done(tenant, "session.end", ("session", session.to_string()), detail);
    keyreeve_audit::record(tx, identity.world(), &event).await?;
    let (id, now) = (identity.world().new_uuid(), identity.world().now());
    tx.execute(&schema::INSERT_SESSION_END, &params![id, tenant, user, session, now]).await?;
    tx.changed(Some(tenant), TOPIC, &session.to_string()).await?;
    Ok(())
}

/// A session that was ended before its time, and whose end others have not been told of yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedSession {
    /// The tenant.
    pub tenant: TenantId,
    /// Whose it was.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// When it was ended.
    pub ended_at: Timestamp,
}

/// The use cases of sessions.
#[derive(Clone, Copy)]
pub struct Sessions<'a>(pub(crate) &'a Identity);

impl Sessions<'_> {
    /// The session if it is live now, from memory where that is allowed. It says nothing about the user's or the
    /// tenant's state: ask [`crate::Users::get`] and [`crate::Tenants::by_id`].
    ///
    /// # Errors
    /// Those of the store.
    pub async fn live(self, tenant: TenantId, id: SessionId) -> Result<Option<Arc<Session>>, Error> {
        let now = self.0.world().now();
        Ok(self.by_id(tenant, id).await?.filter(|session| session.is_live(now)))
    }

    pub(crate) async fn by_id(self, tenant: TenantId, id: SessionId) -> Result<Option<Arc<Session>>, Error> {
        let store = self.0.store();
        self.0
            .caches()
            .sessions
            .get_with(tenant, &id, || async move {
                let found = store
                    .read(async move |tx: &mut Tx<'_>| {
                        tx.query_opt(&schema::SESSION_BY_ID, &params![tenant, id], Session::from_row).await
                    })
                    .await?;
                Ok(found.map(Arc::new))
            })
            .await
    }

    /// The live session of a cookie.
    pub(crate) async fn of_cookie(
        self,
        tenant: TenantId,
        cookie: &str,
    ) -> Result<Option<Arc<Session>>, Error> {
        let digest = TokenDigest::of(cookie);
        let cookies = &self.0.caches().cookies;
        let id = match cookies.get(&(tenant, digest)) {
            Some(id) => id,
            None => {
                let store = self.0.store();
                let found = store
                    .read(async move |tx: &mut Tx<'_>| find(tx, tenant, &digest).await)
                    .await?
                    .map(|s| s.id);
                let Some(id) = found else { return Ok(None) };
                // A digest belongs to one session for ever; whether it still is that session's present one is
                // compared below. Only what exists is remembered.
                cookies.insert((tenant, digest), id);
                id
            }
        };
        Ok(self.live(tenant, id).await?.filter(|session| session.token_digest == digest))
    }

    /// The user's live sessions, newest first; at most 500.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(self, tenant: TenantId, user: UserId) -> Result<Vec<Session>, Error> {
        let now = self.0.world().now();
        let found = self
            .0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                tx.query(&schema::SESSIONS_OF, &params![tenant, user, now, MAX_LISTED], Session::from_row)
                    .await
            })
            .await?;
        Ok(found)
    }

    /// Ends one session of this user; false when there is none of this identifier, or it is over already. What depends
    /// on it (tokens that are not offline) ends with it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn end(
        self,
        tenant: TenantId,
        user: UserId,
        session: SessionId,
        cause: &Cause,
    ) -> Result<bool, Error> {
        let (identity, cause) = (self.0.clone(), cause.clone());
        let of = (tenant, user, session);
        self.0.store().write(async move |tx: &mut Tx<'_>| end(tx, &identity, of, "asked", &cause).await).await
    }

    /// Ends all sessions of this user but `except`; answers how many.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn end_all(
        self,
        tenant: TenantId,
        user: UserId,
        except: Option<SessionId>,
        cause: &Cause,
    ) -> Result<usize, Error> {
        let (identity, cause) = (self.0.clone(), cause.clone());
        let of = (tenant, user, except);
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| end_all(tx, &identity, of, "all_asked", &cause).await)
            .await
    }

    /// Ends one session of this user in the caller's transaction, as [`Sessions::end`] does; `because` is for the audit log.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn end_in(
        self,
        tx: &mut Tx<'_>,
        of: (TenantId, UserId, SessionId),
        because: &'static str,
        cause: &Cause,
    ) -> Result<bool, Error> {
        end(tx, self.0, of, because, cause).await
    }

    /// The same as [`Sessions::end_all`] in the caller's transaction; `because` is for the audit log.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn end_all_in(
        self,
        tx: &mut Tx<'_>,
        of: (TenantId, UserId, Option<SessionId>),
        because: &'static str,
        cause: &Cause,
    ) -> Result<usize, Error> {
        end_all(tx, self.0, of, because, cause).await
    }

    /// Takes over a session that another system began for this user, as an operator moves from there: it lives until
    /// `expires_at`. Nobody proves anything here, so it is for nothing but such a move.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn take_over(
        self,
        tx: &mut Tx<'_>,
        (tenant, user, id): (TenantId, UserId, SessionId),
        expires_at: Timestamp,
        cause: &Cause,
    ) -> Result<(), Error> {
        let now = self.0.world().now();
        let lasts = u32::try_from(expires_at.since(now).as_secs()).unwrap_or(u32::MAX);
        let policy = SessionPolicy { idle_s: lasts, absolute_s: lasts };
        let begun = Beginning { now, amr: Arc::new([]), policy: &policy, origin: &cause.origin };
        // No cookie of the sign-in page leads to it.
        let digest = keyreeve_crypto::OpaqueToken::generate(self.0.world()).digest();
        Session::begin(id, (tenant, user), digest, begun).insert(tx).await?;
        let detail = json!({"user": user, "expires_at": expires_at.to_string()});
        let event = cause.done(tenant, "session.take_over", ("session", id.to_string()), detail);
        keyreeve_audit::record(tx, self.0.world(), &event).await?;
        Ok(())
    }

    /// Whether any session was ended of which nobody has been told.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn any_ended(self) -> Result<bool, Error> {
        let any = async move |tx: &mut Tx<'_>| tx.scalar::<i64>(&schema::ANY_SESSION_END, &params![]).await;
        Ok(self.0.store().read(any).await? > 0)
    }

    /// Takes the sessions that were ended, oldest first, in the transaction that tells others of them: each is answered
    /// once. Every way of ending a session before its time leads here.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn take_ended(self, tx: &mut Tx<'_>, limit: u16) -> Result<Vec<EndedSession>, Error> {
        let found = tx
            .query(&schema::SESSION_ENDS, &params![i64::from(limit)], |row| {
                let end = EndedSession {
                    tenant: row.get(1)?,
                    user: row.get(2)?,
                    session: row.get(3)?,
                    ended_at: row.get(4)?,
                };
                Ok((row.get::<uuid::Uuid>(0)?, end))
            })
            .await?;
        for (id, _) in &found {
            tx.execute(&schema::DELETE_SESSION_END, &params![id]).await?;
        }
        Ok(found.into_iter().map(|(_, end)| end).collect())
    }

    /// Forgets sessions that have been over for a month; for a background job.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn prune(self) -> Result<u64, Error> {
        let before = self.0.world().now().minus(KEPT_AFTER_END);
        let mut pruned = 0_u64;
        loop {
            let batch = self
                .0
                .store()
                .write(async move |tx: &mut Tx<'_>| {
                    tx.execute(&schema::PRUNE_SESSIONS, &params![before, PRUNE_BATCH]).await
                })
                .await?;
            pruned = pruned.saturating_add(batch);
            if batch == 0 {
                return Ok(pruned);
            }
        }
    }
}
