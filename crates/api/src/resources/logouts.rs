//! The log of logout notices to a client (OpenID Connect Back-Channel Logout 1.0).

use crate::call::Call;
use crate::operation::{Operation, Table};
use crate::paging::PAGING;
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::when::When;
use keyreeve_base::ClientId;
use keyreeve_tokens::backchannel::{DeliveryState, LogoutDelivery};
use keyreeve_tokens::scope::CLIENTS_READ;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub(super) fn table() -> Table {
    Table::new("OAuth clients").add(
        Operation::get("/api/v1/clients/{id}/logout-deliveries", "list_logout_deliveries")
            .says(
                "List logout notices",
                "What became of each notice of an ended session to this client, newest first; kept for thirty days.",
            )
            .needs(CLIENTS_READ, Asks::Tenant)
            .query(PAGING)
            .pages::<DeliveryDoc>("A page of notices."),
        list,
    )
}

/// How a notice stands.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryState)]
#[serde(rename_all = "snake_case")]
enum DeliveryStateDoc {
    /// It will be tried, perhaps again.
    Waiting,
    /// The client has confirmed it.
    Delivered,
    /// It was given up.
    Failed,
}

/// A notice of an ended session.
#[derive(Serialize, ToSchema)]
#[schema(as = LogoutDelivery)]
struct DeliveryDoc {
    id: Uuid,
    /// Whose session ended.
    user: Uuid,
    /// The session.
    session: Uuid,
    state: DeliveryStateDoc,
    /// How often it was tried.
    attempts: u32,
    /// When it is tried next, while it waits.
    next_at: Option<When>,
    created_at: When,
    /// When it was delivered or given up.
    finished_at: Option<When>,
    /// The HTTP status of the last attempt, if there was an answer.
    status: Option<u16>,
    /// The kind of the last failure: `refused`, `resolve`, `connect`, `tls`, `timeout`, `answer`, `status`, `client` or
    /// `internal`.
    error: Option<String>,
}

impl From<&LogoutDelivery> for DeliveryDoc {
    fn from(delivery: &LogoutDelivery) -> Self {
        Self {
            id: delivery.id,
            user: delivery.user_id.uuid(),
            session: delivery.session_id.uuid(),
            state: match delivery.state {
                DeliveryState::Waiting => DeliveryStateDoc::Waiting,
                DeliveryState::Delivered => DeliveryStateDoc::Delivered,
                DeliveryState::Failed => DeliveryStateDoc::Failed,
            },
            attempts: delivery.attempts,
            next_at: delivery.next_at.map(When::from),
            created_at: delivery.created_at.into(),
            finished_at: delivery.finished_at.map(When::from),
            status: delivery.status,
            error: delivery.error.clone(),
        }
    }
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let paging = call.paging()?;
    let client: ClientId = call.id("id")?;
    let whose = (call.tenant_id(), client);
    let before = paging.after_uuid()?;
    let found = call.state().tokens().logout_deliveries(whose, before, paging.with_one_more()).await?;
    paging.page::<_, DeliveryDoc>(found, |delivery| delivery.id.to_string())
}
