//! What is recorded, and how it is read back.

use crate::chain::{self, Content, Place};
use crate::schema;
use keyreeve_base::id::AuditId;
use keyreeve_base::{ClientId, Origin, ServiceAccountId, TenantId, Timestamp, UserId, World};
use keyreeve_store::{Error, Row, Tx, params};
use serde_json::Value;

/// The largest page that [`list`] answers.
pub const MAX_PAGE: i64 = 1_000;

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Keyreeve itself: a background job, the first start.
    System,
    /// An operator at the command line of the machine.
    Operator,
    /// Someone who has not proved who they are.
    Anonymous,
    /// A user.
    User(UserId),
    /// An OAuth client.
    Client(ClientId),
    /// A service account.
    Service(ServiceAccountId),
}

impl Actor {
    fn columns(self) -> (&'static str, Option<String>) {
        match self {
            Self::System => ("system", None),
            Self::Operator => ("operator", None),
            Self::Anonymous => ("anonymous", None),
            Self::User(id) => ("user", Some(id.to_string())),
            Self::Client(id) => ("client", Some(id.to_string())),
            Self::Service(id) => ("service_account", Some(id.to_string())),
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was refused, and nothing changed.
    Refused,
}

impl Outcome {
    /// The outcome of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Success, Self::Refused].into_iter().find(|outcome| outcome.text() == word)
    }

    /// Its word in the log.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
        }
    }
}

/// One event to record.
#[derive(Debug)]
pub struct Event<'a> {
    /// The tenant in whose chain it stands.
    pub tenant: TenantId,
    /// Who did it.
    pub actor: Actor,
    /// What was done: a dotted `noun.verb`.
    pub action: &'static str,
    /// What it was done to: a kind and an identifier.
    pub target: Option<(&'static str, String)>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused, for the auditor's eyes; never a secret.
    pub reason: Option<&'a str>,
    /// Where it came from.
    pub origin: &'a Origin,
    /// What changed: an object, or null; never a secret.
    pub detail: Value,
}

/// Appends `event` in the caller's transaction.
///
/// # Errors
/// Those of the store.
pub async fn record(tx: &mut Tx<'_>, world: &World, event: &Event<'_>) -> Result<AuditId, Error> {
    let (actor_kind, actor_id) = event.actor.columns();
    let (target_kind, target_id) = match &event.target {
        Some((kind, id)) => (Some(*kind), Some(id.as_str())),
        None => (None, None),
    };
    let detail = (!event.detail.is_null()).then(|| event.detail.to_string());
    let address = event.origin.address.map(|a| a.to_string());
    let content = Content {
        id: world.new_id(),
        tenant: event.tenant,
        at: world.now(),
        texts: [
            Some(actor_kind),
            actor_id.as_deref(),
            Some(event.action),
            target_kind,
            target_id,
            Some(event.outcome.text()),
            event.reason,
            address.as_deref(),
            event.origin.user_agent.as_deref(),
            event.origin.request_id.as_deref(),
            detail.as_deref(),
        ],
    };
    let place = chain::next_place(tx, &content).await?;
    insert(tx, &content, place.as_ref()).await?;
    Ok(content.id)
}

async fn insert(tx: &mut Tx<'_>, content: &Content<'_>, place: Option<&Place>) -> Result<(), Error> {
    let Content { id, tenant, at, texts: [kind, actor, action, aim_kind, aim, outcome, rest @ ..] } = content;
    let [reason, address, user_agent, request, detail] = rest;
    let (seq, previous, hash) = (place.map(|p| p.seq), place.map(|p| &p.previous), place.map(|p| &p.hash));
    let row = params![
        id, tenant, at, kind, actor, action, aim_kind, aim, outcome, reason, address, user_agent, request,
        detail, seq, previous, hash
    ];
    tx.execute(&schema::INSERT, &row).await?;
    Ok(())
}

/// An entry as it was recorded. The kinds are texts here: an old log may hold kinds that this version no longer writes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Entry {
    /// Its identifier.
    pub id: AuditId,
    /// The tenant in whose chain it stands.
    pub tenant_id: TenantId,
    /// When, in microseconds since the epoch.
    pub at: Timestamp,
    /// `system`, `operator`, `anonymous`, `user`, `client` or `service_account`.
    pub actor_kind: String,
    /// The actor's identifier, where it has one.
    pub actor_id: Option<String>,
    /// The dotted `noun.verb`.
    pub action: String,
    /// The kind of what it was done to.
    pub target_kind: Option<String>,
    /// The identifier of what it was done to.
    pub target_id: Option<String>,
    /// `success` or `refused`.
    pub outcome: String,
    /// Why it was refused.
    pub reason: Option<String>,
    /// The caller's address.
    pub address: Option<String>,
    /// The caller's user agent.
    pub user_agent: Option<String>,
    /// The request that did it.
    pub request_id: Option<String>,
    /// What changed, as JSON text.
    pub detail: Option<String>,
    /// Its place in the tenant's chain, counted from 1; absent until sealed.
    pub seq: Option<i64>,
    #[serde(skip)]
    pub(crate) previous: Option<Vec<u8>>,
    #[serde(skip)]
    pub(crate) hash: Option<Vec<u8>>,
}

impl Entry {
    pub(crate) fn content(&self) -> Content<'_> {
        Content {
            id: self.id,
            tenant: self.tenant_id,
            at: self.at,
            texts: [
                Some(&self.actor_kind),
                self.actor_id.as_deref(),
                Some(&self.action),
                self.target_kind.as_deref(),
                self.target_id.as_deref(),
                Some(&self.outcome),
                self.reason.as_deref(),
                self.address.as_deref(),
                self.user_agent.as_deref(),
                self.request_id.as_deref(),
                self.detail.as_deref(),
            ],
        }
    }

    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, Error> {
        Ok(Self {
            id: row.get(0)?,
            tenant_id: row.get(1)?,
            at: row.get(2)?,
            actor_kind: row.get(3)?,
            actor_id: row.get(4)?,
            action: row.get(5)?,
            target_kind: row.get(6)?,
            target_id: row.get(7)?,
            outcome: row.get(8)?,
            reason: row.get(9)?,
            address: row.get(10)?,
            user_agent: row.get(11)?,
            request_id: row.get(12)?,
            detail: row.get(13)?,
            seq: row.get(14)?,
            previous: row.get(15)?,
            hash: row.get(16)?,
        })
    }
}

/// The sealed entries of `tenant` that follow number `after`, oldest first, at most `limit` (and never more than
/// [`MAX_PAGE`]).
///
/// # Errors
/// Those of the store.
pub async fn list(tx: &mut Tx<'_>, tenant: TenantId, after: i64, limit: i64) -> Result<Vec<Entry>, Error> {
    tx.query(&schema::PAGE, &params![tenant, after, limit.clamp(1, MAX_PAGE)], Entry::from_row).await
}
