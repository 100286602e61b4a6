//! Back-channel logout (OpenID Connect Back-Channel Logout 1.0): clients are told that a session has ended in which they
//! got tokens, whichever way it ended.
//!
//! The identity room writes a row in the transaction that ends a session. A job makes a notice of it for each client that
//! registered an address ([`Tokens::spread_logouts`]), and another delivers the notices through the guarded client (AC-50),
//! again and again with growing pauses ([`Tokens::deliver_logouts`]). A logout token is made for each attempt, since it
//! lives for two minutes; it is of a type of its own and bears no nonce, so that it passes for no ID token (AC-19).
//!
//! Sessions that lapse by themselves are not told of: their tokens have lapsed with them.

use crate::clients::{Client, settings_from_text};
use crate::error::Error;
use crate::schema::logout as sql;
use crate::service::{Refused, Tokens};
use keyreeve_audit::Actor;
use keyreeve_base::{ClientId, Origin, SessionId, TenantId, Timestamp, UserId};
use keyreeve_crypto::jws::{Header, sign_compact};
use keyreeve_fetch::{ErrorClass, Request};
use keyreeve_store::{Row, Tx, params};
use serde::Serialize;
use std::time::Duration;
use tokio::task::JoinSet;
use uuid::Uuid;

/// How many ended sessions one transaction takes.
const SESSIONS_AT_ONCE: u16 = 50;
/// How many notices are delivered at a time.
const NOTICES_AT_ONCE: i64 = 20;
/// How long an attempt may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a node that took a notice has before another one takes it.
const LEASE: Duration = Duration::from_secs(60);
/// How long a logout token lives (section 2.4 wants it short).
const TOKEN_LIFETIME: Duration = Duration::from_secs(120);
/// The pauses after failed attempts, in seconds; after the last, the notice is given up.
const PAUSES_S: [u64; 7] = [10, 30, 120, 600, 1_800, 7_200, 21_600];
/// How long the log of deliveries is kept.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// The longest page of the log.
const MAX_PAGE: u16 = 500;

/// The event that a logout token tells of (section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The claims of a logout token (section 2.4).
#[derive(Serialize)]
struct LogoutClaims<'a> {
    iss: &'a str,
    sub: String,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: Uuid,
    events: serde_json::Value,
    sid: SessionId,
}

impl LogoutClaims<'_> {
    /// The `typ` of a logout token.
    const TYPE: &'static str = "logout+jwt";
}

/// How a notice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It will be tried, perhaps again.
    Waiting,
    /// The client has confirmed it.
    Delivered,
    /// It was given up.
    Failed,
}

impl DeliveryState {
    const fn text(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// A line of the log of deliveries.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LogoutDelivery {
    /// The notice.
    pub id: Uuid,
    /// Whose session ended.
    pub user_id: UserId,
    /// The session.
    pub session_id: SessionId,
    /// How it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next, while it waits.
    pub next_at: Option<Timestamp>,
    /// When the session's end was noticed.
    pub created_at: Timestamp,
    /// When it was delivered or given up.
    pub finished_at: Option<Timestamp>,
    /// The HTTP status of the last attempt, if there was an answer.
    pub status: Option<u16>,
    /// The kind of the last failure: `refused`, `resolve`, `connect`, `tls`, `timeout`, `answer`, `status`, `client`.
    pub error: Option<String>,
}

impl LogoutDelivery {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let state = match row.get::<String>(3)?.as_str() {
            "delivered" => DeliveryState::Delivered,
            "failed" => DeliveryState::Failed,
            _ => DeliveryState::Waiting,
        };
        let next_at: Timestamp = row.get(5)?;
        Ok(Self {
            id: row.get(0)?,
            user_id: row.get(1)?,
            session_id: row.get(2)?,
            state,
            attempts: u32::try_from(row.get::<i64>(4)?).unwrap_or_default(),
            next_at: (state == DeliveryState::Waiting).then_some(next_at),
            created_at: row.get(6)?,
            finished_at: row.get(7)?,
            status: row.get::<Option<i64>>(8)?.and_then(|status| u16::try_from(status).ok()),
            error: row.get(9)?,
        })
    }
}

/// A notice that was taken for delivery.
#[derive(Clone)]
struct Notice {
    id: Uuid,
    tenant: TenantId,
    client: ClientId,
    user: UserId,
    session: SessionId,
    attempts: u32,
}

impl Notice {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        Ok(Self {
            id: row.get(0)?,
            tenant: row.get(1)?,
            client: row.get(2)?,
            user: row.get(3)?,
            session: row.get(4)?,
            attempts: u32::try_from(row.get::<i64>(5)?).unwrap_or_default(),
        })
    }

    /// How long to wait after this attempt has failed; none where it was the last.
    fn pause(&self) -> Option<Duration> {
        let past = usize::try_from(self.attempts).unwrap_or(usize::MAX).saturating_sub(1);
        PAUSES_S.get(past).map(|seconds| Duration::from_secs(*seconds))
    }
}

/// What came of an attempt.
enum Attempt {
    Delivered(u16),
    /// A status and a kind of failure; whether another attempt could do better.
    Failed(Option<u16>, &'static str, bool),
}

impl Tokens {
    /// Notes that a client gets tokens in a session, if it wants to be told of its end.
    pub(crate) async fn note_party(
        &self,
        tx: &mut Tx<'_>,
        client: ClientId,
        session: Option<SessionId>,
    ) -> Result<(), keyreeve_store::Error> {
        if let Some(session) = session {
            tx.execute(&sql::INSERT_PARTY, &params![session, client]).await?;
        }
        Ok(())
    }

    /// Makes notices of the sessions that have ended since the last time; answers how many sessions it took. For a
    /// background job, which calls it until there are none.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn spread_logouts(&self) -> Result<usize, Error> {
        if !self.0.identity.sessions().any_ended().await? {
            return Ok(0);
        }
        let room = self.clone();
        self.0.store.write(async move |tx: &mut Tx<'_>| room.spread(tx).await).await
    }

    async fn spread(&self, tx: &mut Tx<'_>) -> Result<usize, Error> {
        let ended = self.0.identity.sessions().take_ended(tx, SESSIONS_AT_ONCE).await?;
        let now = self.now();
        for end in &ended {
            let row = params![end.tenant, end.session, end.user];
            let parties = tx
                .query(&sql::PARTIES, &row, |row| {
                    Ok((row.get::<ClientId>(0)?, settings_from_text(&row.get::<String>(1)?)?))
                })
                .await?;
            for (client, settings) in parties {
                if settings.enabled && settings.backchannel_logout_uri.is_some() {
                    let id = self.0.world.new_uuid();
                    let row = params![id, end.tenant, client, end.user, end.session, now];
                    tx.execute(&sql::INSERT_DELIVERY, &row).await?;
                }
            }
            tx.execute(&sql::CLEAR_PARTIES, &params![end.session]).await?;
        }
        Ok(ended.len())
    }

    /// Delivers the notices that are due, several at a time; answers how many it tried. For a background job, which calls
    /// it until there are none.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn deliver_logouts(&self) -> Result<usize, Error> {
        let now = self.now();
        let due = async move |tx: &mut Tx<'_>| tx.scalar::<i64>(&sql::ANY_DUE, &params![now]).await;
        if self.0.store.read(due).await? == 0 {
            return Ok(0);
        }
        let claim = async move |tx: &mut Tx<'_>| {
            let until = now.plus(LEASE);
            tx.query(&sql::CLAIM_DUE, &params![now, until, NOTICES_AT_ONCE], Notice::from_row).await
        };
        let notices = self.0.store.write(claim).await?;
        let tried = notices.len();
        let mut under_way = JoinSet::new();
        for notice in notices {
            let room = self.clone();
            under_way.spawn(async move { room.deliver(notice).await });
        }
        let mut failed = None;
        while let Some(done) = under_way.join_next().await {
            match done {
                Ok(Ok(())) => {}
                // Its lease ends, and another round takes it.
                Ok(Err(error)) => failed = Some(error),
                Err(error) => tracing::warn!(%error, "the delivery of a logout notice broke off"),
            }
        }
        failed.map_or(Ok(tried), Err)
    }

    async fn deliver(&self, notice: Notice) -> Result<(), Error> {
        let attempt = self.attempt(&notice).await?;
        let (state, status, error) = match (&attempt, notice.pause()) {
            (Attempt::Delivered(status), _) => (DeliveryState::Delivered, Some(*status), None),
            (Attempt::Failed(status, error, true), Some(_)) => {
                (DeliveryState::Waiting, *status, Some(*error))
            }
            (Attempt::Failed(status, error, _), _) => (DeliveryState::Failed, *status, Some(*error)),
        };
        metrics::counter!("keyreeve_logout_deliveries_total", "outcome" => match state {
            DeliveryState::Waiting => "retried",
            other => other.text(),
        })
        .increment(1);
        let (room, now) = (self.clone(), self.now());
        let next_at = now.plus(self.jittered(notice.pause().unwrap_or_default()));
        let status = status.map(i64::from);
        let write = async move |tx: &mut Tx<'_>| {
            if state == DeliveryState::Waiting {
                tx.execute(&sql::RETRY_DELIVERY, &params![notice.id, next_at, status, error]).await?;
                return Ok(());
            }
            let outcome = state.text();
            let row = params![notice.id, outcome, now, status, error];
            let finished = tx.execute(&sql::FINISH_DELIVERY, &row).await?;
            if let (1, DeliveryState::Failed, Some(reason)) = (finished, state, error) {
                let refusal = Refused {
                    tenant: notice.tenant,
                    actor: Actor::System,
                    action: "logout.deliver",
                    target: Some(("client", notice.client.to_string())),
                    reason,
                };
                room.record_refusal(tx, refusal, &Origin::default()).await?;
            }
            Ok::<_, Error>(())
        };
        self.0.store.write(write).await
    }

    async fn attempt(&self, notice: &Notice) -> Result<Attempt, Error> {
        let client = match self.clients().get(notice.tenant, notice.client).await {
            Ok(client) => client,
            Err(Error::NotFound(_)) => return Ok(Attempt::Failed(None, "client", false)),
            Err(error) => return Err(error),
        };
        let uri = client.settings.backchannel_logout_uri.clone().filter(|_| client.settings.enabled);
        let (Some(uri), Some(fetcher)) = (uri, &self.0.fetcher) else {
            return Ok(Attempt::Failed(None, "client", false));
        };
        let token = self.logout_token(&client, notice).await?;
        let request =
            Request::post(uri, "application/x-www-form-urlencoded", format!("logout_token={token}"));
        Ok(match fetcher.send(request.timeout(PATIENCE).status_only()).await {
            // Section 2.8: 200, or 204 from what answers so by itself. A redirect is not followed.
            Ok(response) if response.status.is_success() => Attempt::Delivered(response.status.as_u16()),
            Ok(response) => Attempt::Failed(Some(response.status.as_u16()), "status", true),
            Err(error) => {
                let again = !matches!(error.class(), ErrorClass::Refused);
                tracing::info!(client = %client.client_id, %error, "a logout notice was not delivered");
                Attempt::Failed(None, error.class().as_str(), again)
            }
        })
    }

    async fn logout_token(&self, client: &Client, notice: &Notice) -> Result<String, Error> {
        let tenant = self.0.identity.tenants().get(notice.tenant).await?;
        let policy = self.policy(notice.tenant).await?;
        let alg = client.settings.id_token_alg.unwrap_or(policy.default_alg);
        let key = self.keys().signing(notice.tenant, alg).await?;
        let now = self.now();
        let claims = LogoutClaims {
            iss: &self.issuer(&tenant),
            sub: notice.user.to_string(),
            aud: &client.client_id,
            iat: now.seconds(),
            exp: now.plus(TOKEN_LIFETIME).seconds(),
            jti: self.0.world.new_uuid(),
            events: serde_json::json!({ EVENT: {} }),
            sid: notice.session,
        };
        sign_compact(&key, &Header::of_type(LogoutClaims::TYPE), &claims).map_err(Error::key)
    }

    /// A pause, lengthened by up to a fifth, so that what failed together is not tried together.
    fn jittered(&self, pause: Duration) -> Duration {
        let [byte] = self.0.world.random_bytes::<1>();
        pause.saturating_add(pause.saturating_mul(u32::from(byte)) / (5 * 256))
    }

    /// How many notices wait to be delivered.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn waiting_logouts(&self) -> Result<u64, Error> {
        let read = async move |tx: &mut Tx<'_>| tx.scalar::<i64>(&sql::COUNT_WAITING, &params![]).await;
        Ok(u64::try_from(self.0.store.read(read).await?).unwrap_or_default())
    }

    /// A page of the log of deliveries to a client, newest first, those before `before`; at most 500.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the client.
    pub async fn logout_deliveries(
        &self,
        (tenant, client): (TenantId, ClientId),
        before: Option<Uuid>,
        limit: u16,
    ) -> Result<Vec<LogoutDelivery>, Error> {
        self.clients().get(tenant, client).await?;
        let before = before.unwrap_or(Uuid::max());
        let limit = i64::from(limit.clamp(1, MAX_PAGE));
        let read = async move |tx: &mut Tx<'_>| {
            let row = params![tenant, client, before, limit];
            tx.query(&sql::DELIVERIES_OF, &row, LogoutDelivery::from_row).await
        };
        Ok(self.0.store.read(read).await?)
    }

    /// Forgets old lines of the log in the caller's transaction.
    pub(crate) async fn prune_deliveries(&self, tx: &mut Tx<'_>) -> Result<(), keyreeve_store::Error> {
        let before = self.now().minus(KEPT);
        tx.execute(&sql::PRUNE_DELIVERIES, &params![before]).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(attempts: u32) -> Notice {
        Notice {
            id: Uuid::nil(),
            tenant: TenantId::from_uuid(Uuid::nil()),
            client: ClientId::from_uuid(Uuid::nil()),
            user: UserId::from_uuid(Uuid::nil()),
            session: SessionId::from_uuid(Uuid::nil()),
            attempts,
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        let pauses: Vec<_> =
            (1..=8).map(|attempts| notice(attempts).pause().map(|pause| pause.as_secs())).collect();
        assert_eq!(
            pauses,
            [Some(10), Some(30), Some(120), Some(600), Some(1_800), Some(7_200), Some(21_600), None]
        );
    }
}
