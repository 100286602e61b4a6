//! Webhooks: subscriptions to the audit log, and what became of their messages.

use crate::call::{Call, Made};
use crate::operation::{Operation, Table};
use crate::paging::PAGING;
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::when::When;
use keyreeve_audit::{ActionPattern, Outcome};
use keyreeve_base::TenantId;
use keyreeve_base::id::{DeliveryId, WebhookId};
use keyreeve_events::{Delivery, NewWebhook, Skip, Webhook, WebhookPatch, Webhooks};
use keyreeve_identity::Patch;
use keyreeve_tokens::scope::{WEBHOOKS_READ, WEBHOOKS_WRITE};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

pub(super) fn table() -> Table {
    let table = subscriptions(Table::new("Webhooks"));
    table
        .add(
            Operation::post("/api/v1/webhooks/{id}/rotate-secret", "rotate_webhook_secret")
                .says(
                    "Give a webhook another secret",
                    "It is shown this once. For `overlap_seconds` messages bear signatures with both, so that the receiver can \
                     change at its leisure.",
                )
                .needs(WEBHOOKS_WRITE, Asks::Tenant)
                .takes::<RotationDoc>()
                .answers::<IssuedDoc>("The webhook and its new secret."),
            rotate,
        )
        .add(
            Operation::post("/api/v1/webhooks/{id}/resume", "resume_webhook")
                .says("Let a failing webhook go on", "Where it stood, or behind what its receiver cannot take.")
                .needs(WEBHOOKS_WRITE, Asks::Tenant)
                .takes::<ResumeDoc>()
                .answers::<WebhookDoc>("The webhook as it is now."),
            resume,
        )
        .add(
            Operation::post("/api/v1/webhooks/{id}/ping", "ping_webhook")
                .says("Send a message that says nothing", "At once. Answers what became of it.")
                .needs(WEBHOOKS_WRITE, Asks::Tenant)
                .answers::<DeliveryDoc>("What became of it; not to be taken is no failure of this operation."),
            ping,
        )
        .add(
            Operation::get("/api/v1/webhooks/{id}/deliveries", "list_webhook_deliveries")
                .says("Read the log of deliveries", "Newest first. Kept for 30 days, and at most 10,000 of each webhook.")
                .needs(WEBHOOKS_READ, Asks::Tenant)
                .query(PAGING)
                .pages::<DeliveryDoc>("A page of deliveries."),
            deliveries,
        )
        .add(
            Operation::post("/api/v1/webhooks/{id}/deliveries/{delivery}/redeliver", "redeliver_to_webhook")
                .says("Send a message again", "At once, with the same identifier and body.")
                .needs(WEBHOOKS_WRITE, Asks::Tenant)
                .answers::<DeliveryDoc>("What became of it; not to be taken is no failure of this operation."),
            redeliver,
        )
}

fn subscriptions(table: Table) -> Table {
    table
        .add(
            Operation::get("/api/v1/webhooks", "list_webhooks")
                .says("List webhooks", "In the order of their making.")
                .needs(WEBHOOKS_READ, Asks::Tenant)
                .query(PAGING)
                .pages::<WebhookDoc>("A page of webhooks."),
            list,
        )
        .add(
            Operation::post("/api/v1/webhooks", "create_webhook")
                .says(
                    "Make a webhook",
                    "It carries entries of the audit log from now on, so whoever may make one sees the log. Messages are signed as \
                     the Standard Webhooks specification has it; the secret is shown this once.",
                )
                .needs(WEBHOOKS_WRITE, Asks::Tenant)
                .takes::<NewWebhookDoc>()
                .creates::<IssuedDoc>("The new webhook and its secret."),
            create,
        )
        .add(
            Operation::get("/api/v1/webhooks/{id}", "get_webhook")
                .says("Read a webhook", "")
                .needs(WEBHOOKS_READ, Asks::Tenant)
                .answers::<WebhookDoc>("The webhook.")
                .versioned(),
            get,
        )
        .add(
            Operation::patch("/api/v1/webhooks/{id}", "update_webhook")
                .says("Change a webhook", "A JSON merge patch. Switched on again, it goes on where it stood.")
                .needs(WEBHOOKS_WRITE, Asks::Tenant)
                .takes::<WebhookPatchDoc>()
                .answers::<WebhookDoc>("The webhook as it is now.")
                .versioned(),
            update,
        )
        .add(
            Operation::delete("/api/v1/webhooks/{id}", "delete_webhook")
                .says("Remove a webhook", "With its log.")
                .needs(WEBHOOKS_WRITE, Asks::Tenant),
            delete,
        )
}

/// An outcome that a webhook wants.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditOutcome)]
#[serde(rename_all = "snake_case")]
enum OutcomeDoc {
    /// It was done.
    Success,
    /// It was refused.
    Refused,
}

impl From<Outcome> for OutcomeDoc {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::Success,
            Outcome::Refused => Self::Refused,
        }
    }
}

impl From<OutcomeDoc> for Outcome {
    fn from(outcome: OutcomeDoc) -> Self {
        match outcome {
            OutcomeDoc::Success => Self::Success,
            OutcomeDoc::Refused => Self::Refused,
        }
    }
}

/// A webhook.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
struct WebhookDoc {
    id: Uuid,
    /// Where messages go.
    url: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// The actions that it wants: `user.create`, or `user.` for everything that begins so. All, if there are none.
    actions: Vec<String>,
    /// The outcome that it wants; both where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<OutcomeDoc>,
    enabled: bool,
    /// `delivering`, `retrying`, `failing` (it stands until it is resumed) or `disabled`.
    state: String,
    /// The number of the last entry that it has done with.
    position: i64,
    /// How often in a row the entry that is due was not taken.
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_success_at: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure_at: Option<When>,
    /// What the last failure was: an HTTP status or a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    /// Until when messages are signed with the previous secret as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_secret_until: Option<When>,
    created_at: When,
    updated_at: When,
    /// Counts the changes; also the `ETag`. Deliveries are none.
    version: i64,
}

impl From<&Webhook> for WebhookDoc {
    fn from(webhook: &Webhook) -> Self {
        Self {
            id: webhook.id.uuid(),
            url: webhook.url.clone(),
            description: webhook.description.clone(),
            actions: webhook.actions.iter().map(ActionPattern::as_str).map(str::to_owned).collect(),
            outcome: webhook.outcome.map(OutcomeDoc::from),
            enabled: webhook.enabled,
            state: webhook.state().as_str().to_owned(),
            position: webhook.position,
            attempts: webhook.attempts,
            retry_at: webhook.retry_at.map(When::from),
            failing_since: webhook.failing_since.map(When::from),
            last_success_at: webhook.last_success_at.map(When::from),
            last_failure_at: webhook.last_failure_at.map(When::from),
            last_error: webhook.last_error.clone(),
            previous_secret_until: webhook.previous_secret_until.map(When::from),
            created_at: webhook.created_at.into(),
            updated_at: webhook.updated_at.into(),
            version: webhook.version,
        }
    }
}

/// A webhook and its new secret.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuedWebhook)]
struct IssuedDoc {
    webhook: WebhookDoc,
    /// The secret (`whsec_…`), shown this once: absent when the same request was made before.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

const fn yes() -> bool {
    true
}

/// A webhook to make.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewWebhook)]
#[serde(deny_unknown_fields)]
struct NewWebhookDoc {
    /// An https URL of the public Internet, at most 2048 bytes.
    url: String,
    #[serde(default)]
    description: Option<String>,
    /// The actions that it wants; all, if there are none.
    #[serde(default)]
    actions: Vec<String>,
    #[serde(default)]
    outcome: Option<OutcomeDoc>,
    #[serde(default = "yes")]
    enabled: bool,
}

/// What to change of a webhook.
#[derive(Deserialize, ToSchema)]
#[schema(as = WebhookPatch)]
#[serde(deny_unknown_fields)]
struct WebhookPatchDoc {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Patch<String>,
    #[serde(default)]
    actions: Option<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<OutcomeDoc>)]
    outcome: Patch<OutcomeDoc>,
    #[serde(default)]
    enabled: Option<bool>,
}

/// How to change a secret.
#[derive(Deserialize, ToSchema)]
#[schema(as = WebhookRotation)]
#[serde(deny_unknown_fields)]
struct RotationDoc {
    /// For how long the previous secret signs as well: at most a week; a day where it is not said.
    #[serde(default = "a_day")]
    #[schema(maximum = 604_800)]
    overlap_seconds: u32,
}

const fn a_day() -> u32 {
    86_400
}

/// What to leave out.
#[derive(Deserialize, ToSchema, Default)]
#[schema(as = WebhookSkip)]
#[serde(rename_all = "snake_case")]
enum SkipDoc {
    /// Nothing: it goes on with the entry that was not taken.
    #[default]
    Nothing,
    /// That entry.
    One,
    /// Everything so far.
    All,
}

/// How to go on.
#[derive(Deserialize, ToSchema)]
#[schema(as = WebhookResume)]
#[serde(deny_unknown_fields)]
struct ResumeDoc {
    #[serde(default)]
    skip: SkipDoc,
}

/// What became of a message.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
struct DeliveryDoc {
    id: Uuid,
    /// `event`, `redelivery` or `ping`.
    kind: String,
    /// The message's identifier, its `webhook-id`; of an entry, the entry's.
    message_id: Uuid,
    /// The entry's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    action: String,
    /// `delivered`, `retrying` or `failed`.
    state: String,
    /// How often it was sent.
    attempts: u32,
    /// The status of the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// What kind of failure the last attempt was: `status`, `redirect`, `refused`, `resolve`, `connect`, `tls`, `timeout`,
    /// `answer` or `internal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// How long the last attempt took, in microseconds.
    latency_us: i64,
    first_at: When,
    last_at: When,
}

impl From<&Delivery> for DeliveryDoc {
    fn from(delivery: &Delivery) -> Self {
        Self {
            id: delivery.id.uuid(),
            kind: delivery.kind.as_str().to_owned(),
            message_id: delivery.message_id,
            seq: delivery.seq,
            action: delivery.action.clone(),
            state: delivery.state.as_str().to_owned(),
            attempts: delivery.attempts,
            status: delivery.status,
            error: delivery.error.clone(),
            latency_us: delivery.latency_us,
            first_at: delivery.first_at.into(),
            last_at: delivery.last_at.into(),
        }
    }
}

fn webhooks(call: &Call) -> Webhooks<'_> {
    call.state().events().webhooks()
}

fn named(call: &Call) -> Result<(TenantId, WebhookId), Refused> {
    Ok((call.tenant_id(), call.id("id")?))
}

fn reply(webhook: &Webhook) -> Result<Reply, Refused> {
    Ok(Reply::ok(&WebhookDoc::from(webhook))?.version(webhook.version))
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let paging = call.paging()?;
    let (after, limit) = (paging.after_id()?, paging.with_one_more());
    let found = webhooks(&call).list(call.tenant_id(), after, limit).await?;
    paging.page::<_, WebhookDoc>(found, |webhook| webhook.id.to_string())
}

async fn create(call: Call) -> Result<Reply, Refused> {
    let doc: NewWebhookDoc = call.body()?;
    let new = NewWebhook {
        url: doc.url,
        description: doc.description,
        actions: doc.actions,
        outcome: doc.outcome.map(Outcome::from),
        disabled: !doc.enabled,
    };
    let made = Made::of(webhooks(&call).create(call.tenant_id(), new, &call.cause().await?).await)?;
    let (id, replayed) = made.id(|(webhook, _)| webhook.id.uuid());
    let webhook = webhooks(&call).get(call.tenant_id(), WebhookId::from_uuid(id)).await?;
    let secret = match &made {
        Made::Now((_, secret)) => Some(secret.0.expose().to_owned()),
        Made::Before(_) => None,
    };
    let doc = IssuedDoc { webhook: WebhookDoc::from(&webhook), secret };
    Ok(Reply::created(&doc, format!("/api/v1/webhooks/{id}"))?.version(webhook.version).replayed(replayed))
}

async fn get(call: Call) -> Result<Reply, Refused> {
    let (tenant, id) = named(&call)?;
    reply(&webhooks(&call).get(tenant, id).await?)
}

async fn update(call: Call) -> Result<Reply, Refused> {
    let doc: WebhookPatchDoc = call.body()?;
    let patch = WebhookPatch {
        url: doc.url,
        description: doc.description,
        actions: doc.actions,
        outcome: match doc.outcome {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(outcome) => Patch::Set(outcome.into()),
        },
        enabled: doc.enabled,
    };
    let version = call.if_match()?;
    reply(&webhooks(&call).update(named(&call)?, patch, version, &call.cause().await?).await?)
}

async fn delete(call: Call) -> Result<Reply, Refused> {
    webhooks(&call).delete(named(&call)?, &call.cause().await?).await?;
    Ok(Reply::done())
}

async fn rotate(call: Call) -> Result<Reply, Refused> {
    let doc: RotationDoc = call.body()?;
    let overlap = Duration::from_secs(u64::from(doc.overlap_seconds));
    let (webhook, secret) =
        webhooks(&call).rotate_secret(named(&call)?, overlap, &call.cause().await?).await?;
    let secret = Some(secret.0.expose().to_owned());
    Reply::ok(&IssuedDoc { webhook: WebhookDoc::from(&webhook), secret })
}

async fn resume(call: Call) -> Result<Reply, Refused> {
    let doc: ResumeDoc = call.body()?;
    let skip = match doc.skip {
        SkipDoc::Nothing => Skip::Nothing,
        SkipDoc::One => Skip::One,
        SkipDoc::All => Skip::All,
    };
    reply(&webhooks(&call).resume(named(&call)?, skip, &call.cause().await?).await?)
}

async fn ping(call: Call) -> Result<Reply, Refused> {
    Reply::ok(&DeliveryDoc::from(&webhooks(&call).ping(named(&call)?, &call.cause().await?).await?))
}

async fn deliveries(call: Call) -> Result<Reply, Refused> {
    let paging = call.paging()?;
    let (before, limit) = (paging.after_id::<DeliveryId>()?, paging.with_one_more());
    let found = webhooks(&call).deliveries(named(&call)?, before, limit).await?;
    paging.page::<_, DeliveryDoc>(found, |delivery| delivery.id.to_string())
}

async fn redeliver(call: Call) -> Result<Reply, Refused> {
    let delivery: DeliveryId = call.id("delivery")?;
    let sent = webhooks(&call).redeliver(named(&call)?, delivery, &call.cause().await?).await?;
    Reply::ok(&DeliveryDoc::from(&sent))
}
