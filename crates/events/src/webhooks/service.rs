//! What people do with subscriptions.

use super::log::{self, Delivery, DeliveryKind};
use super::message::{Message, SharedSecret};
use super::model::{
    NewWebhook, Skip, Stored, Webhook, WebhookPatch, actions_json, check_description, patterns,
};
use crate::{Error, Events, schema};
use keyreeve_audit::{Event, Outcome};
use keyreeve_base::TenantId;
use keyreeve_base::id::{DeliveryId, WebhookId};
use keyreeve_crypto::SecretBytes;
use keyreeve_fetch::FetchError;
use keyreeve_identity::{Cause, Patch};
use keyreeve_store::{Tx, params};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// The most subscriptions of one tenant.
pub const MAX_WEBHOOKS: usize = 50;

/// The longest time for which a previous secret goes on to sign: a week.
pub const MAX_OVERLAP: Duration = Duration::from_secs(7 * 86_400);

/// The most of either list in one page.
const MAX_PAGE: u16 = 1_000;

/// The subscriptions of every tenant. Who may touch them is asked before: whoever administers the tenant.
#[derive(Clone, Copy)]
pub struct Webhooks<'a>(pub(crate) &'a Events);

impl Webhooks<'_> {
    /// Makes a subscription, which begins with what happens from now on. Its secret is answered here and never again.
    ///
    /// # Errors
    /// [`Error::Invalid`], with the field; [`Error::TooMany`]; those of the store.
    pub async fn create(
        self,
        tenant: TenantId,
        new: NewWebhook,
        cause: &Cause,
    ) -> Result<(Webhook, SharedSecret), Error> {
        let url = self.check_url(&new.url)?;
        check_description(new.description.as_deref())?;
        let actions = patterns(&new.actions)?;
        let (id, now) = (self.0.0.world.new_id::<WebhookId>(), self.0.0.world.now());
        let (bytes, shared) = SharedSecret::generate(&self.0.0.world);
        let sealed = self.seal(tenant, id, &bytes).await?;
        let (events, cause) = (self.0.clone(), cause.clone());
        let create = async move |tx: &mut Tx<'_>| {
            cause.claim(tx, &events.0.world, ("webhook", id.uuid())).await?;
            let count: i64 = tx.scalar(&schema::COUNT, &params![tenant]).await?;
            if usize::try_from(count).is_ok_and(|count| count >= MAX_WEBHOOKS) {
                return Err(Error::TooMany { what: "webhooks", limit: MAX_WEBHOOKS });
            }
            let position = keyreeve_audit::head(tx, tenant).await?.seq;
            let (actions, outcome) = (actions_json(&actions), new.outcome.map(Outcome::text));
            tx.execute(
                &schema::INSERT,
                &params![
                    id,
                    tenant,
                    url,
                    new.description,
                    &actions,
                    outcome,
                    !new.disabled,
                    sealed,
                    position,
                    now
                ],
            )
            .await?;
            events
                .record(tx, (tenant, id), ("webhook.create", &cause), json!({"url": origin_of(&url)}))
                .await?;
            read(tx, tenant, id).await
        };
        Ok((self.0.0.store.write(create).await?, shared))
    }

    /// One subscription.
    ///
    /// # Errors
    /// [`Error::NotFound`]; those of the store.
    pub async fn get(self, tenant: TenantId, id: WebhookId) -> Result<Webhook, Error> {
        self.0.0.store.read(async move |tx: &mut Tx<'_>| read(tx, tenant, id).await).await
    }

    /// The subscriptions that follow `after`, at most `limit` (and 1000).
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(
        self,
        tenant: TenantId,
        after: Option<WebhookId>,
        limit: u16,
    ) -> Result<Vec<Webhook>, Error> {
        let after = after.map_or(Uuid::nil(), WebhookId::uuid);
        let limit = limit.clamp(1, MAX_PAGE);
        let list = async move |tx: &mut Tx<'_>| {
            let rows = tx.query(&schema::LIST, &params![tenant, after, limit], Stored::from_row).await?;
            Ok(rows.into_iter().map(|stored| stored.webhook).collect())
        };
        self.0.0.store.read(list).await
    }

    /// Changes a subscription; with `version`, only if nobody else has changed it since. Switched on again, it goes on
    /// where it stood.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionConflict`], [`Error::Invalid`] with the field; those of the store.
    pub async fn update(
        self,
        (tenant, id): (TenantId, WebhookId),
        patch: WebhookPatch,
        version: Option<i64>,
        cause: &Cause,
    ) -> Result<Webhook, Error> {
        let url = patch.url.as_deref().map(|url| self.check_url(url)).transpose()?;
        if let Patch::Set(description) = &patch.description {
            check_description(Some(description))?;
        }
        let actions = patch.actions.as_deref().map(patterns).transpose()?;
        let now = self.0.0.world.now();
        let (events, cause) = (self.0.clone(), cause.clone());
        let update = async move |tx: &mut Tx<'_>| {
            let was = tx.query_opt(&schema::GET_FOR_UPDATE, &params![tenant, id], Stored::from_row).await?;
            let was = was.ok_or(Error::NotFound("webhook"))?.webhook;
            if version.is_some_and(|version| version != was.version) {
                return Err(Error::VersionConflict);
            }
            let next = Webhook {
                url: url.clone().unwrap_or_else(|| was.url.clone()),
                description: patched(&patch.description, &was.description),
                actions: actions.clone().unwrap_or_else(|| was.actions.clone()),
                outcome: patched(&patch.outcome, &was.outcome),
                enabled: patch.enabled.unwrap_or(was.enabled),
                ..was.clone()
            };
            if next == was {
                return Ok(was);
            }
            let (actions, outcome) = (actions_json(&next.actions), next.outcome.map(Outcome::text));
            let updated = tx
                .execute(
                    &schema::UPDATE,
                    &params![
                        tenant,
                        id,
                        &next.url,
                        &next.description,
                        &actions,
                        outcome,
                        next.enabled,
                        now,
                        was.version
                    ],
                )
                .await?;
            if updated != 1 {
                return Err(Error::VersionConflict);
            }
            events.record(tx, (tenant, id), ("webhook.update", &cause), changes(&was, &next)).await?;
            read(tx, tenant, id).await
        };
        self.0.0.store.write(update).await
    }

    /// Removes a subscription and its log.
    ///
    /// # Errors
    /// [`Error::NotFound`]; those of the store.
    pub async fn delete(self, (tenant, id): (TenantId, WebhookId), cause: &Cause) -> Result<(), Error> {
        let (events, cause) = (self.0.clone(), cause.clone());
        let delete = async move |tx: &mut Tx<'_>| {
            if tx.execute(&schema::DELETE, &params![tenant, id]).await? != 1 {
                return Err(Error::NotFound("webhook"));
            }
            events.record(tx, (tenant, id), ("webhook.delete", &cause), Value::Null).await
        };
        self.0.0.store.write(delete).await
    }

    /// Gives a subscription another secret. For `overlap` (at most [`MAX_OVERLAP`]) messages are signed with both, so that
    /// the receiver can change at its leisure.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`]; those of the store.
    pub async fn rotate_secret(
        self,
        (tenant, id): (TenantId, WebhookId),
        overlap: Duration,
        cause: &Cause,
    ) -> Result<(Webhook, SharedSecret), Error> {
        if overlap > MAX_OVERLAP {
            let problem = format!("is more than {} seconds", MAX_OVERLAP.as_secs());
            return Err(Error::invalid("overlap_seconds", problem));
        }
        let now = self.0.0.world.now();
        let until = now.plus(overlap);
        let (bytes, shared) = SharedSecret::generate(&self.0.0.world);
        let sealed = self.seal(tenant, id, &bytes).await?;
        let (events, cause) = (self.0.clone(), cause.clone());
        let rotate = async move |tx: &mut Tx<'_>| {
            if tx.execute(&schema::SET_SECRET, &params![tenant, id, sealed, until, now]).await? != 1 {
                return Err(Error::NotFound("webhook"));
            }
            let detail = json!({"overlap_seconds": overlap.as_secs()});
            events.record(tx, (tenant, id), ("webhook.rotate_secret", &cause), detail).await?;
            read(tx, tenant, id).await
        };
        Ok((self.0.0.store.write(rotate).await?, shared))
    }

    /// Lets a failing subscription go on, and any subscription pass over entries.
    ///
    /// # Errors
    /// [`Error::NotFound`]; those of the store.
    pub async fn resume(
        self,
        (tenant, id): (TenantId, WebhookId),
        skip: Skip,
        cause: &Cause,
    ) -> Result<Webhook, Error> {
        let now = self.0.0.world.now();
        let (events, cause) = (self.0.clone(), cause.clone());
        let resume = async move |tx: &mut Tx<'_>| {
            let was = tx.query_opt(&schema::GET_FOR_UPDATE, &params![tenant, id], Stored::from_row).await?;
            let was = was.ok_or(Error::NotFound("webhook"))?.webhook;
            let head = keyreeve_audit::head(tx, tenant).await?.seq;
            let position = match skip {
                Skip::Nothing => was.position,
                // The entry that was tried is the next one that is wanted, which need not be the next number.
                Skip::One => next_wanted(tx, &was).await?.unwrap_or(was.position),
                Skip::All => head,
            };
            if tx.execute(&schema::RESUME, &params![tenant, id, position, now]).await? != 1 {
                return Err(Error::NotFound("webhook"));
            }
            let detail = json!({"from": position, "passed_over": position - was.position});
            events.record(tx, (tenant, id), ("webhook.resume", &cause), detail).await?;
            read(tx, tenant, id).await
        };
        self.0.0.store.write(resume).await
    }

    /// The log of deliveries, newest first, those older than `before`, at most `limit` (and 1000).
    ///
    /// # Errors
    /// [`Error::NotFound`] for the subscription; those of the store.
    pub async fn deliveries(
        self,
        (tenant, id): (TenantId, WebhookId),
        before: Option<DeliveryId>,
        limit: u16,
    ) -> Result<Vec<Delivery>, Error> {
        let before = before.map_or(Uuid::max(), DeliveryId::uuid);
        let limit = limit.clamp(1, MAX_PAGE);
        let list = async move |tx: &mut Tx<'_>| {
            read(tx, tenant, id).await?;
            let row = params![tenant, id, before, limit];
            Ok(tx.query(&schema::DELIVERIES, &row, Delivery::from_row).await?)
        };
        self.0.0.store.read(list).await
    }

    /// Sends a message that says nothing, at once, whether the subscription is switched on or not.
    ///
    /// # Errors
    /// [`Error::NotFound`]; those of the store. That the message was not taken is no error but the answer.
    pub async fn ping(self, (tenant, id): (TenantId, WebhookId), cause: &Cause) -> Result<Delivery, Error> {
        let stored = self.stored(tenant, id).await?;
        let world = &self.0.0.world;
        let message = Message::ping(world.new_uuid(), world.now());
        self.send_by_hand(&stored, &message, DeliveryKind::Ping, cause).await
    }

    /// Sends again what a line of the log is about, at once, with the same identifier and body.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the subscription, the line, and a line about no entry; those of the store.
    pub async fn redeliver(
        self,
        (tenant, id): (TenantId, WebhookId),
        delivery: DeliveryId,
        cause: &Cause,
    ) -> Result<Delivery, Error> {
        let stored = self.stored(tenant, id).await?;
        let find = async move |tx: &mut Tx<'_>| {
            let line =
                tx.query_opt(&schema::DELIVERY, &params![tenant, id, delivery], Delivery::from_row).await?;
            let seq = line.and_then(|line| line.seq).ok_or(Error::NotFound("delivery of an entry"))?;
            let entries = keyreeve_audit::list(tx, tenant, seq.saturating_sub(1), 1).await?;
            entries.into_iter().next().ok_or(Error::NotFound("entry"))
        };
        let entry = self.0.0.store.read(find).await?;
        self.send_by_hand(&stored, &Message::of_entry(&entry), DeliveryKind::Redelivery, cause).await
    }

    async fn send_by_hand(
        self,
        stored: &Stored,
        message: &Message,
        kind: DeliveryKind,
        cause: &Cause,
    ) -> Result<Delivery, Error> {
        let (tenant, id) = (stored.webhook.tenant_id, stored.webhook.id);
        let secrets = self.0.secrets(stored).await?;
        let attempt = self.0.attempt(&stored.webhook.url, message, &secrets).await;
        let line = log::Line::new(&self.0.0.world, &stored.webhook, message, &attempt);
        let (events, cause, line_id) = (self.0.clone(), cause.clone(), line.id);
        let note = async move |tx: &mut Tx<'_>| {
            line.insert(tx, kind).await?;
            let action = match kind {
                DeliveryKind::Ping => "webhook.ping",
                DeliveryKind::Event | DeliveryKind::Redelivery => "webhook.redeliver",
            };
            events.record(tx, (tenant, id), (action, &cause), json!({"delivery": line_id})).await?;
            let row = params![tenant, id, line_id];
            Ok(tx.query_one(&schema::DELIVERY, &row, Delivery::from_row).await?)
        };
        self.0.0.store.write(note).await
    }

    async fn stored(self, tenant: TenantId, id: WebhookId) -> Result<Stored, Error> {
        let get = async move |tx: &mut Tx<'_>| {
            let found = tx.query_opt(&schema::GET, &params![tenant, id], Stored::from_row).await?;
            found.ok_or(Error::NotFound("webhook"))
        };
        self.0.0.store.read(get).await
    }

    fn check_url(self, url: &str) -> Result<String, Error> {
        match self.0.0.fetcher.check(url) {
            Ok(target) => Ok(target.url().to_string()),
            Err(FetchError::Refused(_)) => {
                Err(Error::invalid("url", "has an address that is not one of the public Internet"))
            }
            Err(FetchError::Url(problem)) => Err(Error::invalid("url", problem)),
            Err(_) => Err(Error::invalid("url", "cannot be used")),
        }
    }

    async fn seal(self, tenant: TenantId, id: WebhookId, secret: &SecretBytes) -> Result<Vec<u8>, Error> {
        let uuid = id.uuid();
        Ok(self.0.0.identity.tenants().seal(tenant, &secret_parts(&uuid), secret.expose()).await?)
    }
}

/// What a sealed secret is bound to.
pub(super) const fn secret_parts(id: &Uuid) -> [&[u8]; 2] {
    [b"webhook_secret", id.as_bytes()]
}

impl Events {
    /// The secrets that sign at this moment, the newest first.
    pub(crate) async fn secrets(&self, stored: &Stored) -> Result<Vec<SecretBytes>, Error> {
        let (tenant, id) = (stored.webhook.tenant_id, stored.webhook.id.uuid());
        let sealer = self.0.identity.tenants().sealer(tenant).await?;
        let mut secrets = vec![sealer.open(&secret_parts(&id), &stored.sealed_secret)?];
        let overlaps = stored.webhook.previous_secret_until.is_some_and(|until| until > self.0.world.now());
        if let (true, Some(previous)) = (overlaps, &stored.sealed_previous) {
            secrets.push(sealer.open(&secret_parts(&id), previous)?);
        }
        Ok(secrets)
    }

    pub(crate) async fn record(
        &self,
        tx: &mut Tx<'_>,
        (tenant, id): (TenantId, WebhookId),
        (action, cause): (&'static str, &Cause),
        detail: Value,
    ) -> Result<(), Error> {
        let event = Event {
            tenant,
            actor: cause.actor,
            action,
            target: Some(("webhook", id.to_string())),
            outcome: Outcome::Success,
            reason: None,
            origin: &cause.origin,
            detail,
        };
        keyreeve_audit::record(tx, &self.0.world, &event).await?;
        Ok(())
    }
}

async fn read(tx: &mut Tx<'_>, tenant: TenantId, id: WebhookId) -> Result<Webhook, Error> {
    let found = tx.query_opt(&schema::GET, &params![tenant, id], Stored::from_row).await?;
    found.map(|stored| stored.webhook).ok_or(Error::NotFound("webhook"))
}

/// The number of the next entry that the subscription wants, if it is near.
async fn next_wanted(tx: &mut Tx<'_>, webhook: &Webhook) -> Result<Option<i64>, Error> {
    let filter = webhook.filter();
    let page = keyreeve_audit::list(tx, webhook.tenant_id, webhook.position, 1_000).await?;
    Ok(page.iter().find(|entry| filter.matches(entry)).and_then(|entry| entry.seq))
}

fn patched<T: Clone>(patch: &Patch<T>, was: &Option<T>) -> Option<T> {
    match patch {
        Patch::Keep => was.clone(),
        Patch::Clear => None,
        Patch::Set(value) => Some(value.clone()),
    }
}

/// Scheme and host of a URL: the rest may hold what its owner would not show to auditors.
fn origin_of(url: &str) -> String {
    url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
}

/// What was changed, for the log.
fn changes(was: &Webhook, next: &Webhook) -> Value {
    let mut detail = serde_json::Map::new();
    let mut note = |name: &str, changed: bool, value: Value| {
        if changed {
            detail.insert(name.to_owned(), value);
        }
    };
    let actions: Vec<&str> = next.actions.iter().map(keyreeve_audit::ActionPattern::as_str).collect();
    note("url", was.url != next.url, origin_of(&next.url).into());
    note("description", was.description != next.description, json!(next.description));
    note("actions", was.actions != next.actions, actions.into());
    note("outcome", was.outcome != next.outcome, json!(next.outcome.map(Outcome::text)));
    note("enabled", was.enabled != next.enabled, next.enabled.into());
    detail.into()
}
