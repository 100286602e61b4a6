//! The audit log: pages, an export, a stream.

use crate::call::Call;
use crate::operation::{Operation, QueryKind, QueryParam, Table};
use crate::paging::{MAX_LIMIT, PAGING};
use crate::policy::Asks;
use crate::refused::{BUSY, Refused};
use crate::reply::Reply;
use crate::when::When;
use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderName, HeaderValue, header};
use keyreeve_audit::{
    ActionPattern, Cursor, Entry, Filter, MAX_PATTERNS, MAX_TEXT_BYTES, Order, Outcome, Query,
};
use keyreeve_base::Timestamp;
use keyreeve_events::{Batch, Follow, Start};
use keyreeve_tokens::scope::AUDIT_READ;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;
use utoipa::ToSchema;
use uuid::Uuid;

/// The media types of answers that are no single document.
const NDJSON: &str = "application/x-ndjson";
const EVENTS: &str = "text/event-stream";

/// Where a client of a stream says what it has seen (the standard of server-sent events).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The parameters that say which entries are meant.
const FILTER: &[QueryParam] = &[
    text("actor_kind", "`user`, `client`, `service_account`, `operator`, `system` or `anonymous`."),
    text("actor_id", "The identifier of who did it."),
    text(
        "action",
        "What was done: `user.create`, or `user.` for everything that begins so; several with commas.",
    ),
    text("target_kind", "The kind of what it was done to: `user`, `client`, …"),
    text("target_id", "The identifier of what it was done to."),
    QueryParam {
        name: "outcome",
        description: "How it ended.",
        kind: QueryKind::OneOf(&["success", "refused"]),
    },
    text("from", "From this moment (RFC 3339) on."),
    text("before", "Before this moment (RFC 3339)."),
    text("request_id", "The request that did it: the `X-Request-Id` of its answer."),
];

/// Where an export or a stream begins.
const AFTER_SEQ: QueryParam = QueryParam {
    name: "after_seq",
    description: "Begin behind the entry with this number.",
    kind: QueryKind::Count { least: 0, most: u32::MAX },
};

const fn text(name: &'static str, description: &'static str) -> QueryParam {
    QueryParam { name, description, kind: QueryKind::Text }
}

pub(super) fn table() -> Table {
    let order = QueryParam {
        name: "order",
        description: "`newest` (where it is not said) or `oldest` first.",
        kind: QueryKind::OneOf(&["newest", "oldest"]),
    };
    Table::new("Audit log")
        .add(
            Operation::get("/api/v1/audit", "list_audit_entries")
                .says(
                    "Read the audit log",
                    "A page ends early, with a `next`, where many entries had to be looked at. `previous` leads back. With \
                     `Accept: application/x-ndjson` the answer is an export instead: one entry on each line, in the order of the \
                     chain and with its hashes, from `after_seq` to the present end; `keyreeve audit verify FILE` checks a \
                     whole one.",
                )
                .needs(AUDIT_READ, Asks::Tenant)
                .query(PAGING)
                .query(&[order, AFTER_SEQ])
                .query(FILTER)
                .pages::<EntryDoc>("A page of entries, or an export.")
                .also(NDJSON),
            list,
        )
        .add(
            Operation::get("/api/v1/audit/events", "stream_audit_entries")
                .says(
                    "Follow the audit log",
                    "Server-sent events: each has the entry's number as its `id`, so that a client which comes again with \
                     `Last-Event-ID` (or `after_seq`) misses nothing; without either it begins with what happens from now on. A \
                     comment every 15 seconds shows that the stream lives. It ends when the access token does. At most 16 \
                     streams of a tenant are open on one node.",
                )
                .needs(AUDIT_READ, Asks::Tenant)
                .query(&[AFTER_SEQ])
                .query(FILTER)
                .streams(&[EVENTS], "Events without end."),
            follow,
        )
}

/// Who did it, or what it was done to.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditParty)]
struct PartyDoc {
    /// `system`, `operator`, `anonymous`, `user`, `client`, `service_account`, or what else is changed.
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct EntryDoc {
    id: Uuid,
    tenant_id: Uuid,
    /// Its place in the tenant's chain, counted from 1; absent for the moment until it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    at: When,
    /// Who did it.
    actor: PartyDoc,
    /// What was done: a dotted `noun.verb`.
    action: String,
    /// What it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<PartyDoc>,
    /// `success` or `refused`.
    outcome: String,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// What changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::BTreeMap<String, Value>>)]
    detail: Option<Value>,
}

impl From<&Entry> for EntryDoc {
    fn from(entry: &Entry) -> Self {
        let entry = entry.clone();
        Self {
            id: entry.id.uuid(),
            tenant_id: entry.tenant_id.uuid(),
            seq: entry.seq,
            at: entry.at.into(),
            actor: PartyDoc { kind: entry.actor_kind, id: entry.actor_id },
            action: entry.action,
            target: entry.target_kind.map(|kind| PartyDoc { kind, id: entry.target_id }),
            outcome: entry.outcome,
            reason: entry.reason,
            address: entry.address,
            user_agent: entry.user_agent,
            request_id: entry.request_id,
            detail: entry.detail.and_then(|text| serde_json::from_str(&text).ok()),
        }
    }
}

/// The entries that the query means.
fn filter(call: &Call) -> Result<Filter, Refused> {
    let query = call.query();
    let text = |name: &'static str| match query.get(name) {
        Some(text) if text.is_empty() || text.len() > MAX_TEXT_BYTES => {
            Err(Refused::parameter(name, format!("must have 1 to {MAX_TEXT_BYTES} bytes")))
        }
        found => Ok(found.map(str::to_owned)),
    };
    let moment = |name: &'static str| match query.get(name) {
        None => Ok(None),
        Some(text) => text.parse::<Timestamp>().map(Some).map_err(|_| {
            Refused::parameter(name, "must be a moment of RFC 3339, such as 2030-01-31T12:00:00Z")
        }),
    };
    let actions = match query.get("action") {
        None => Vec::new(),
        Some(list) => {
            let patterns: Option<Vec<_>> = list.split(',').map(ActionPattern::parse).collect();
            patterns.filter(|patterns| patterns.len() <= MAX_PATTERNS).ok_or_else(|| {
                let rule =
                    format!("must be at most {MAX_PATTERNS} actions (user.create) or prefixes (user.)");
                Refused::parameter("action", rule)
            })?
        }
    };
    Ok(Filter {
        actor_kind: text("actor_kind")?,
        actor_id: text("actor_id")?,
        actions,
        target_kind: text("target_kind")?,
        target_id: text("target_id")?,
        outcome: query.get("outcome").and_then(Outcome::parse),
        from: moment("from")?,
        before: moment("before")?,
        request_id: text("request_id")?,
    })
}

fn after_seq(call: &Call) -> Option<i64> {
    call.query().get("after_seq").and_then(crate::paging::number).map(i64::from)
}

/// Whether the caller wants an export. Only by its own name: who takes anything gets a page.
fn wants_lines(call: &Call) -> bool {
    let accepts = call.headers().get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = accepts.flat_map(|list| list.split(',')).filter_map(|kind| kind.split(';').next());
    kinds.any(|kind| kind.trim().eq_ignore_ascii_case(NDJSON))
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let filter = filter(&call)?;
    if wants_lines(&call) {
        return export(&call, filter);
    }
    if after_seq(&call).is_some() {
        return Err(Refused::parameter("after_seq", "is for exports; a page begins at `after`"));
    }
    let paging = call.paging()?;
    let start: Option<Cursor> = match &paging.after {
        None => None,
        Some(text) => {
            let wrong = |_| Refused::parameter("after", "is not the `next` or `previous` of a page");
            Some(text.parse().map_err(wrong)?)
        }
    };
    let order = match call.query().get("order") {
        Some("oldest") => Order::OldestFirst,
        _ => Order::NewestFirst,
    };
    let query = Query { filter, order, start, limit: paging.limit.min(MAX_LIMIT) };
    let page = keyreeve_audit::find(call.state().store(), call.tenant_id(), query).await?;
    let items: Vec<EntryDoc> = page.entries.iter().map(EntryDoc::from).collect();
    let (next, previous) = (page.next.map(|at| at.to_string()), page.previous.map(|at| at.to_string()));
    paging.reply_both_ways(&items, next.as_deref(), previous.as_deref())
}

fn export(call: &Call, filter: Filter) -> Result<Reply, Refused> {
    for name in ["limit", "after", "order"] {
        if call.query().get(name).is_some() {
            return Err(Refused::parameter(name, "is for pages; an export begins at `after_seq`"));
        }
    }
    let after = after_seq(call).unwrap_or(0);
    let lines = keyreeve_audit::export(call.state().store(), call.tenant_id(), after, filter);
    // An error cannot change the status any more: it ends the body before its end, which the client notices.
    let lines = lines.inspect(|piece| {
        if let Err(error) = piece {
            tracing::warn!(%error, "an export was cut");
        }
    });
    Ok(Reply::flow(NDJSON, Body::from_stream(lines.map(|piece| piece.map(Bytes::from)))))
}

async fn follow(call: Call) -> Result<Reply, Refused> {
    let filter = filter(&call)?;
    let seen = match call.headers().get(LAST_EVENT_ID).map(HeaderValue::to_str) {
        None => None,
        Some(text) => {
            let number = text.ok().and_then(crate::paging::number).map(i64::from);
            Some(number.ok_or_else(|| Refused::parameter("Last-Event-ID", "must be the `id` of an event"))?)
        }
    };
    let start = seen.or(after_seq(&call)).map_or(Start::Now, Start::After);
    let follow = match call.state().events().follow(call.tenant_id(), filter, start).await {
        Err(error @ keyreeve_events::Error::TooMany { .. }) => {
            return Err(Refused::of(BUSY)
                .detail(error.to_string())
                .retry(std::time::Duration::from_secs(30)));
        }
        followed => followed?,
    };
    Ok(Reply::flow(EVENTS, Body::from_stream(events(call, follow))))
}

/// The stream as it goes over the wire. What the client does not take is not asked for.
fn events(call: Call, follow: Follow) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    // An `id` without data: who comes again before anything has happened misses nothing either.
    let begin = format!(": the log from {0} on\nretry: 2000\nid: {0}\n\n", follow.position());
    let rest = stream::unfold((call, follow), |(call, mut follow)| async move {
        let batch = match follow.next().await {
            Ok(Some(batch)) => batch,
            Ok(None) => return None,
            Err(error) => {
                tracing::warn!(%error, "a stream of the audit log was cut; its client comes again");
                return None;
            }
        };
        // The entries that came are the last thing that an ended token could hide.
        if !call.still_holds().await {
            return None;
        }
        Some((Ok(Bytes::from(written(&batch))), (call, follow)))
    });
    stream::iter([Ok(Bytes::from(begin))]).chain(rest)
}

/// Events, or a sign of life. An `id` without data moves the client on behind entries that it did not ask for.
fn written(batch: &Batch) -> String {
    let mut text = String::new();
    for entry in &batch.entries {
        let seq = entry.seq.unwrap_or(batch.position);
        // Texts and JSON that was checked always print, without line breaks.
        let data = serde_json::to_string(&entry.public()).unwrap_or_default();
        let _ = write!(text, "id: {seq}\nevent: entry\ndata: {data}\n\n");
    }
    if batch.entries.is_empty() {
        let _ = write!(text, ": alive\nid: {}\n\n", batch.position);
    }
    text
}
