//! The audit log.

use crate::call::Call;
use crate::operation::{Operation, Table};
use crate::paging::PAGING;
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::when::When;
use keyreeve_audit::Entry;
use keyreeve_store::Tx;
use keyreeve_tokens::scope::AUDIT_READ;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

pub(super) fn table() -> Table {
    Table::new("Audit log").add(
        Operation::get("/api/v1/audit", "list_audit_entries")
            .says("Read the audit log", "In the order of the tenant's chain, oldest first.")
            .needs(AUDIT_READ, Asks::Tenant)
            .query(PAGING)
            .pages::<EntryDoc>("A page of entries."),
        list,
    )
}

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct EntryDoc {
    id: Uuid,
    at: When,
    /// Its place in the tenant's chain, counted from 1.
    seq: Option<i64>,
    /// `system`, `operator`, `anonymous`, `user`, `client` or `service_account`.
    actor_kind: String,
    actor_id: Option<String>,
    /// What was done: a dotted `noun.verb`.
    action: String,
    target_kind: Option<String>,
    target_id: Option<String>,
    /// `success` or `refused`.
    outcome: String,
    /// Why it was refused.
    reason: Option<String>,
    /// Where it came from.
    address: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
    /// What changed.
    #[schema(value_type = Option<std::collections::BTreeMap<String, Value>>)]
    detail: Option<Value>,
}

impl From<&Entry> for EntryDoc {
    fn from(entry: &Entry) -> Self {
        let entry = entry.clone();
        Self {
            id: entry.id.uuid(),
            at: entry.at.into(),
            seq: entry.seq,
            actor_kind: entry.actor_kind,
            actor_id: entry.actor_id,
            action: entry.action,
            target_kind: entry.target_kind,
            target_id: entry.target_id,
            outcome: entry.outcome,
            reason: entry.reason,
            address: entry.address,
            user_agent: entry.user_agent,
            request_id: entry.request_id,
            detail: entry.detail.and_then(|text| serde_json::from_str(&text).ok()),
        }
    }
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let paging = call.paging()?;
    let after = match &paging.after {
        None => 0,
        Some(text) => crate::paging::number(text)
            .map(i64::from)
            .ok_or_else(|| Refused::parameter("after", "is not the `next` of a page"))?,
    };
    let (tenant, limit) = (call.tenant_id(), i64::from(paging.with_one_more()));
    let read = async move |tx: &mut Tx<'_>| keyreeve_audit::list(tx, tenant, after, limit).await;
    let found = call.state().store().read(read).await?;
    paging.page::<_, EntryDoc>(found, |entry| entry.seq.unwrap_or_default().to_string())
}
