//! The log of deliveries: what was sent, and what came of it.

use super::message::Message;
use super::model::Webhook;
use crate::{Error, Events, schema};
use keyreeve_base::id::{DeliveryId, WebhookId};
use keyreeve_base::{TenantId, Timestamp, World};
use keyreeve_crypto::SecretBytes;
use keyreeve_store::{Row, Tx, params};
use std::time::{Duration, Instant};
use tracing::Instrument as _;
use uuid::Uuid;

/// How long lines are kept.
pub const KEPT_DAYS: u64 = 30;

/// How many lines of one subscription are kept.
pub const KEPT_PER_WEBHOOK: u32 = 10_000;

/// How many lines one transaction forgets.
const PRUNE_BATCH: u32 = 5_000;

/// Why something was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryKind {
    /// It happened.
    Event,
    /// Somebody wanted it again.
    Redelivery,
    /// Somebody wanted to see whether messages arrive.
    Ping,
}

impl DeliveryKind {
    /// Its word in the API and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Redelivery => "redelivery",
            Self::Ping => "ping",
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It was taken (a status of 200 to 299).
    Delivered,
    /// It was not; it is tried again.
    Retrying,
    /// It was not, and is not tried again unless somebody asks for it.
    Failed,
}

impl DeliveryState {
    /// Its word in the API and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
        }
    }
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its identifier.
    pub id: DeliveryId,
    /// The subscription.
    pub webhook_id: WebhookId,
    /// Why it was sent.
    pub kind: DeliveryKind,
    /// The message's identifier (`webhook-id`): for entries, theirs.
    pub message_id: Uuid,
    /// The entry's number.
    pub seq: Option<i64>,
    /// The message's type: for entries, their action.
    pub action: String,
    /// What came of it.
    pub state: DeliveryState,
    /// How often it was sent.
    pub attempts: u32,
    /// The status of the last answer, if there was one.
    pub status: Option<u16>,
    /// What kind of failure the last attempt was: `status`, `redirect`, `refused`, `resolve`, `connect`, `tls`, `timeout`,
    /// `answer`, `internal`.
    pub error: Option<String>,
    /// How long the last attempt took, in microseconds.
    pub latency_us: i64,
    /// When it was sent first.
    pub first_at: Timestamp,
    /// When it was sent last.
    pub last_at: Timestamp,
}

impl Delivery {
    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let corrupt = || keyreeve_store::Error::internal("a line of a delivery log has an unknown word");
        let (kind, state): (String, String) = (row.get(2)?, row.get(6)?);
        let kinds = [DeliveryKind::Event, DeliveryKind::Redelivery, DeliveryKind::Ping];
        let states = [DeliveryState::Delivered, DeliveryState::Retrying, DeliveryState::Failed];
        Ok(Self {
            id: row.get(0)?,
            webhook_id: row.get(1)?,
            kind: kinds.into_iter().find(|known| known.as_str() == kind).ok_or_else(corrupt)?,
            message_id: row.get(3)?,
            seq: row.get(4)?,
            action: row.get(5)?,
            state: states.into_iter().find(|known| known.as_str() == state).ok_or_else(corrupt)?,
            attempts: row.get(7)?,
            status: row.get(8)?,
            error: row.get(9)?,
            latency_us: row.get(10)?,
            first_at: row.get(11)?,
            last_at: row.get(12)?,
        })
    }
}

/// What came of one sending.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<&'static str>,
    pub(crate) latency_us: i64,
    /// The receiver asked not to be asked before this time has passed.
    pub(crate) retry_after: Option<Duration>,
}

impl Attempt {
    pub(crate) const fn taken(&self) -> bool {
        self.error.is_none()
    }

    /// The receiver says that it is gone for good (the specification's use of 410).
    pub(crate) fn gone(&self) -> bool {
        self.status == Some(410)
    }

    /// The status, or the word for what went wrong.
    pub(crate) fn says(&self) -> Option<String> {
        let error = self.error?;
        Some(self.status.map_or_else(|| error.to_owned(), |status| status.to_string()))
    }
}

impl Events {
    /// Sends a message once.
    pub(crate) async fn attempt(&self, url: &str, message: &Message, secrets: &[SecretBytes]) -> Attempt {
        let request = message.request(url, self.0.world.now(), secrets);
        // How long it took is no moment in time, so it is not the injected clock's.
        let start = Instant::now();
        let span = tracing::debug_span!("webhook.deliver", otel.kind = "client", message = %message.id);
        let answer = self.0.fetcher.send(request).instrument(span).await;
        let latency_us = i64::try_from(start.elapsed().as_micros()).unwrap_or(i64::MAX);
        metrics::histogram!("keyreeve_webhook_delivery_seconds").record(start.elapsed());
        let attempt = match answer {
            Ok(answer) => {
                let status = answer.status;
                let error = match status.as_u16() {
                    200..=299 => None,
                    300..=399 => Some("redirect"),
                    _ => Some("status"),
                };
                let wait = answer.headers.get("retry-after").and_then(|value| value.to_str().ok());
                let retry_after = wait.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
                Attempt { status: Some(status.as_u16()), error, latency_us, retry_after }
            }
            Err(error) => {
                // The log has the class alone: what a name means inside is not for whoever wrote the address.
                tracing::debug!(message = %message.id, %error, "a webhook was not delivered");
                Attempt { status: None, error: Some(error.class().as_str()), latency_us, retry_after: None }
            }
        };
        let outcome = attempt.error.unwrap_or("delivered");
        metrics::counter!("keyreeve_webhook_deliveries_total", "outcome" => outcome).increment(1);
        attempt
    }

    /// Forgets lines of the log by age and number; answers how many. For a background job.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn prune(&self) -> Result<u64, Error> {
        let old = self.0.world.now().minus(Duration::from_secs(KEPT_DAYS * 86_400));
        let by_age =
            async move |tx: &mut Tx<'_>| tx.execute(&schema::PRUNE_OLD, &params![old, PRUNE_BATCH]).await;
        let mut pruned: u64 = self.0.store.write(by_age).await?;
        let mut after = Uuid::nil();
        loop {
            let page = async move |tx: &mut Tx<'_>| {
                tx.query(&schema::EVERY_ID, &params![after, 500_u16], |row| row.get::<Uuid>(0)).await
            };
            let page: Vec<Uuid> = self.0.store.read(page).await?;
            let Some(last) = page.last() else { return Ok(pruned) };
            after = *last;
            for webhook in page {
                let many = async move |tx: &mut Tx<'_>| {
                    tx.execute(&schema::PRUNE_MANY, &params![webhook, KEPT_PER_WEBHOOK]).await
                };
                pruned = pruned.saturating_add(self.0.store.write(many).await?);
            }
        }
    }
}

/// A line about to be written.
pub(crate) struct Line {
    pub(crate) id: DeliveryId,
    tenant: TenantId,
    webhook: WebhookId,
    message: Uuid,
    seq: Option<i64>,
    action: String,
    attempt: Attempt,
    at: Timestamp,
}

impl Line {
    pub(crate) fn new(world: &World, webhook: &Webhook, message: &Message, attempt: &Attempt) -> Self {
        Self {
            id: world.new_id(),
            tenant: webhook.tenant_id,
            webhook: webhook.id,
            message: message.id,
            seq: message.seq,
            action: message.action.clone(),
            attempt: attempt.clone(),
            at: world.now(),
        }
    }

    /// Writes a line about something that somebody asked for.
    pub(crate) async fn insert(&self, tx: &mut Tx<'_>, kind: DeliveryKind) -> Result<(), Error> {
        let state = if self.attempt.taken() { DeliveryState::Delivered } else { DeliveryState::Failed };
        let Attempt { status, error, latency_us, .. } = &self.attempt;
        let status = status.map(i64::from);
        tx.execute(
            &schema::LOG_BY_HAND,
            &params![
                self.id,
                self.tenant,
                self.webhook,
                self.message,
                self.seq,
                self.action,
                state.as_str(),
                status,
                error,
                latency_us,
                self.at,
                kind.as_str()
            ],
        )
        .await?;
        Ok(())
    }

    /// Writes or continues the line of an entry.
    pub(crate) async fn count(&self, tx: &mut Tx<'_>, state: DeliveryState) -> Result<(), Error> {
        let Attempt { status, error, latency_us, .. } = &self.attempt;
        let status = status.map(i64::from);
        tx.execute(
            &schema::LOG_EVENT,
            &params![
                self.id,
                self.tenant,
                self.webhook,
                self.message,
                self.seq,
                self.action,
                state.as_str(),
                status,
                error,
                latency_us,
                self.at
            ],
        )
        .await?;
        Ok(())
    }
}
