//! Carrying messages: which subscriptions are behind, under whose lease, and what is done about failures.

use super::log::{Attempt, DeliveryState, Line};
use super::message::Message;
use super::model::{Stored, Webhook};
use crate::{Error, Events, schema};
use futures_util::{StreamExt as _, stream};
use keyreeve_audit::Entry;
use keyreeve_base::id::WebhookId;
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_crypto::SecretBytes;
use keyreeve_identity::Cause;
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use uuid::Uuid;

/// How long a lease lasts unless it is renewed, which every step does; longer than a step can take.
const LEASE: Duration = Duration::from_secs(60);

/// Subscriptions that one node delivers to at a time.
const COURIERS: usize = 32;

/// Messages of one subscription that travel at a time.
const WINDOW: usize = 4;

/// Entries that are read at a time.
const PAGE: i64 = 200;

/// Subscriptions that are looked at in one read.
const DUE_PAGE: u16 = 200;

/// The pauses after each failure in a row, in seconds. The pause varies by a fifth, so that receivers which failed
/// together are not asked together.
const PAUSES: [u64; 8] = [5, 30, 120, 600, 1_800, 3_600, 3 * 3_600, 6 * 3_600];

/// After so many failures in a row, over some eleven hours, a subscription is failing.
pub const GIVE_UP_AFTER: u32 = 9;
const _: () = assert!(PAUSES.len() + 1 == GIVE_UP_AFTER as usize);

/// The longest pause that a receiver may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(3_600);

/// The deliveries under way on this node.
pub(crate) struct Couriers {
    slots: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tasks: JoinSet<WebhookId>,
    running: HashMap<WebhookId, AbortHandle>,
    stopped: bool,
}

impl Default for Couriers {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(COURIERS)), state: Mutex::default() }
    }
}

impl Couriers {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets who has ended.
    fn reap(&self) {
        let mut state = self.state();
        while let Some(ended) = state.tasks.try_join_next() {
            match ended {
                Ok(webhook) => drop(state.running.remove(&webhook)),
                Err(_) => state.running.retain(|_, task| !task.is_finished()),
            }
        }
    }

    pub(crate) async fn stop(&self) {
        let mut tasks = {
            let mut state = self.state();
            state.stopped = true;
            state.running.clear();
            std::mem::take(&mut state.tasks)
        };
        tasks.shutdown().await;
    }
}

/// A subscription under this node's lease.
struct Leased {
    stored: Stored,
    secrets: Vec<SecretBytes>,
}

impl Events {
    /// Sends out couriers to the subscriptions that are behind and that nobody delivers to, and returns without waiting for
    /// them. For a background job, a few times a second.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn deliver(&self) -> Result<(), Error> {
        let couriers = &self.0.couriers;
        couriers.reap();
        let mut after = Uuid::nil();
        let mut backlog = 0_i64;
        loop {
            let now = self.0.world.now();
            let due = async move |tx: &mut Tx<'_>| due(tx, after, now).await;
            let page = self.0.store.read(due).await?;
            let Some((last, ..)) = page.last() else { break };
            after = last.uuid();
            for (webhook, behind) in page {
                backlog = backlog.saturating_add(behind);
                if behind > 0 {
                    self.dispatch(webhook);
                }
            }
        }
        #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!("keyreeve_webhook_backlog_entries").set(backlog as f64);
        Ok(())
    }

    fn dispatch(&self, webhook: WebhookId) {
        let couriers = &self.0.couriers;
        let mut state = couriers.state();
        if state.stopped || state.running.contains_key(&webhook) {
            return;
        }
        // No slot: the next round tries again, and somebody else may have it first.
        let Ok(slot) = Arc::clone(&couriers.slots).try_acquire_owned() else { return };
        let events = self.clone();
        let task = state.tasks.spawn(async move {
            let _slot = slot;
            if let Err(error) = events.carry(webhook).await {
                tracing::warn!(%webhook, %error, "a webhook could not be served; its lease runs out");
            }
            webhook
        });
        state.running.insert(webhook, task);
    }

    /// Delivers to one subscription until it has caught up, was not taken, or somebody changed it.
    async fn carry(&self, webhook: WebhookId) -> Result<(), Error> {
        let Some(mut leased) = self.claim(webhook).await? else { return Ok(()) };
        loop {
            let (tenant, position) = (leased.stored.webhook.tenant_id, leased.stored.webhook.position);
            let page = async move |tx: &mut Tx<'_>| keyreeve_audit::list(tx, tenant, position, PAGE).await;
            let page: Vec<Entry> = self.0.store.read(page).await?;
            if page.is_empty() || !self.carry_page(&mut leased, &page).await? {
                return self.release(webhook).await;
            }
        }
    }

    /// Delivers what is wanted of a page. Answers whether to go on.
    async fn carry_page(&self, leased: &mut Leased, page: &[Entry]) -> Result<bool, Error> {
        let filter = leased.stored.webhook.filter();
        let wanted: Vec<Message> =
            page.iter().filter(|entry| filter.matches(entry)).map(Message::of_entry).collect();
        let (secrets, url) = (&leased.secrets, &leased.stored.webhook.url);
        let send = |message: Message| async move {
            let attempt = self.attempt(url, &message, secrets).await;
            (message, attempt)
        };
        let mut sent = std::pin::pin!(stream::iter(wanted).map(send).buffered(WINDOW));
        let (mut position, mut failures) = (leased.stored.webhook.position, leased.stored.webhook.attempts);
        while let Some((message, attempt)) = sent.next().await {
            if !attempt.taken() {
                // Those that travel beside it are cut, and sent again after it.
                self.note_failure(&leased.stored.webhook, &message, (failures, &attempt)).await?;
                return Ok(false);
            }
            let seq = message.seq.unwrap_or(position);
            if !self.note_success(&leased.stored.webhook, &message, &attempt).await? {
                return Ok(false);
            }
            (position, failures) = (seq, 0);
        }
        let end = page.last().and_then(|entry| entry.seq).unwrap_or(position);
        (leased.stored.webhook.position, leased.stored.webhook.attempts) = (end, failures);
        Ok(end == position || self.pass(&leased.stored.webhook).await?)
    }

    async fn claim(&self, webhook: WebhookId) -> Result<Option<Leased>, Error> {
        let (node, now) = (self.0.node, self.0.world.now());
        let until = now.plus(LEASE);
        let claim = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::CLAIM, &params![webhook, node, now, until, true], Stored::from_row).await
        };
        let Some(stored) = self.0.store.write(claim).await? else { return Ok(None) };
        let secrets = self.secrets(&stored).await?;
        Ok(Some(Leased { stored, secrets }))
    }

    /// Moves on behind an entry that was taken. Answers whether the lease is still ours and the subscription as it was.
    async fn note_success(
        &self,
        webhook: &Webhook,
        message: &Message,
        attempt: &Attempt,
    ) -> Result<bool, Error> {
        let line = Line::new(&self.0.world, webhook, message, attempt);
        let (id, version, node) = (webhook.id, webhook.version, self.0.node);
        let (seq, now) = (message.seq.unwrap_or(webhook.position), self.0.world.now());
        let until = now.plus(LEASE);
        let advance = async move |tx: &mut Tx<'_>| {
            let row = params![id, node, seq, now, until];
            let found = tx.query_opt(&schema::ADVANCE, &row, |row| row.get::<i64>(0)).await?;
            if found.is_some() {
                line.count(tx, DeliveryState::Delivered).await?;
            }
            Ok::<_, Error>(found == Some(version))
        };
        self.0.store.write(advance).await
    }

    /// Moves on behind entries that are not wanted.
    async fn pass(&self, webhook: &Webhook) -> Result<bool, Error> {
        let (id, version, node, position) = (webhook.id, webhook.version, self.0.node, webhook.position);
        let until = self.0.world.now().plus(LEASE);
        let pass = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::PASS, &params![id, node, position, until], |row| row.get::<i64>(0)).await
        };
        Ok(self.0.store.write(pass).await? == Some(version))
    }

    /// Notes that an entry was not taken, after so many failures before, and when it is tried again, if it is.
    async fn note_failure(
        &self,
        webhook: &Webhook,
        message: &Message,
        (before, attempt): (u32, &Attempt),
    ) -> Result<(), Error> {
        let line = Line::new(&self.0.world, webhook, message, attempt);
        let attempts = before.saturating_add(1);
        let now = self.0.world.now();
        let gives_up = attempts >= GIVE_UP_AFTER || attempt.gone();
        let pause = self.pause(attempts, attempt.retry_after);
        let (retry_at, failing_since) =
            if gives_up { (None, Some(now)) } else { (Some(now.plus(pause)), None) };
        let (id, tenant, node, says) = (webhook.id, webhook.tenant_id, self.0.node, attempt.says());
        let (seq, events) = (message.seq, self.clone());
        let fail = async move |tx: &mut Tx<'_>| {
            let row = params![id, node, attempts, retry_at, failing_since, now, says];
            if tx.execute(&schema::FAIL, &row).await? != 1 {
                return Ok(());
            }
            let state = if gives_up { DeliveryState::Failed } else { DeliveryState::Retrying };
            line.count(tx, state).await?;
            if gives_up {
                let detail = json!({"attempts": attempts, "error": says, "seq": seq});
                events.record(tx, (tenant, id), ("webhook.fail", &Cause::system()), detail).await?;
            }
            Ok::<_, Error>(())
        };
        self.0.store.write(fail).await?;
        if gives_up {
            tracing::warn!(webhook = %id, %tenant, attempts, "a webhook is failing; it waits for an administrator");
        }
        Ok(())
    }

    /// The pause after so many failures: by the table, varied, or longer if the receiver asked for it.
    fn pause(&self, attempts: u32, asked: Option<Duration>) -> Duration {
        let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let seconds = PAUSES.get(step).or(PAUSES.last()).copied().unwrap_or(60);
        let [random] = self.0.world.random_bytes::<1>();
        // From four to six fifths.
        let varied = Duration::from_millis(seconds * (800 + u64::from(random) * 400 / 255));
        varied.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }

    async fn release(&self, webhook: WebhookId) -> Result<(), Error> {
        let node = self.0.node;
        let release =
            async move |tx: &mut Tx<'_>| tx.execute(&schema::RELEASE, &params![webhook, node]).await;
        self.0.store.write(release).await?;
        Ok(())
    }
}

/// A page of the subscriptions that may be delivered to, each with how many entries it is behind.
async fn due(tx: &mut Tx<'_>, after: Uuid, now: Timestamp) -> Result<Vec<(WebhookId, i64)>, Error> {
    let row = params![after, true, now, DUE_PAGE];
    let found = tx
        .query(&schema::DUE, &row, |row| {
            Ok((row.get::<WebhookId>(0)?, row.get::<TenantId>(1)?, row.get::<i64>(2)?))
        })
        .await?;
    let mut heads: HashMap<TenantId, i64> = HashMap::new();
    let mut due = Vec::with_capacity(found.len());
    for (webhook, tenant, position) in found {
        let head = match heads.get(&tenant) {
            Some(head) => *head,
            None => {
                let head = keyreeve_audit::head(tx, tenant).await?.seq;
                heads.insert(tenant, head);
                head
            }
        };
        due.push((webhook, head.saturating_sub(position).max(0)));
    }
    Ok(due)
}
