//! Browser sessions of users.

use crate::call::Call;
use crate::operation::{Operation, Table};
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::when::When;
use keyreeve_base::{SessionId, UserId};
use keyreeve_identity::Session;
use keyreeve_tokens::scope::{SESSIONS_READ, SESSIONS_WRITE};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub(super) fn table() -> Table {
    Table::new("Sessions")
        .add(
            Operation::get("/api/v1/users/{id}/sessions", "list_sessions_of_user")
                .says("List the live sessions of a user", "Newest first; at most 500.")
                .needs(SESSIONS_READ, Asks::ManageUser)
                .answers::<SessionsDoc>("The sessions."),
            list,
        )
        .add(
            Operation::delete("/api/v1/users/{id}/sessions", "end_sessions_of_user")
                .says("End all sessions of a user", "And the tokens that hang on them.")
                .needs(SESSIONS_WRITE, Asks::ManageUser),
            end_all,
        )
        .add(
            Operation::delete("/api/v1/sessions/{id}", "end_session")
                .says("End a session", "And the tokens that hang on it.")
                .needs(SESSIONS_WRITE, Asks::ManageUser),
            end,
        )
}

/// A browser session.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionDoc {
    /// The identifier; `sid` in tokens.
    id: Uuid,
    created_at: When,
    /// When it was last used, to the minute.
    last_seen_at: When,
    /// When the user last proved who they are.
    auth_time: When,
    /// When it ends in any case.
    expires_at: When,
    /// When it ends without further use.
    idle_expires_at: When,
    /// How the user proved who they are (RFC 8176).
    amr: Vec<String>,
    /// The address that it began from.
    address: Option<String>,
    /// The browser that it began from.
    user_agent: Option<String>,
}

impl From<&Session> for SessionDoc {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id.uuid(),
            created_at: session.created_at.into(),
            last_seen_at: session.last_seen_at.into(),
            auth_time: session.auth_time.into(),
            expires_at: session.expires_at.into(),
            idle_expires_at: session.idle_expires_at.into(),
            amr: session.amr.to_vec(),
            address: session.address.clone(),
            user_agent: session.user_agent.clone(),
        }
    }
}

/// The live sessions of a user.
#[derive(Serialize, ToSchema)]
#[schema(as = Sessions)]
pub(super) struct SessionsDoc {
    items: Vec<SessionDoc>,
}

/// The live sessions of a user.
pub(super) async fn of(call: &Call, user: UserId) -> Result<SessionsDoc, Refused> {
    let found = call.identity().sessions().list(call.tenant_id(), user).await?;
    Ok(SessionsDoc { items: found.iter().map(SessionDoc::from).collect() })
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let user = call.user().await?;
    Reply::ok(&of(&call, user.id).await?)
}

async fn end_all(call: Call) -> Result<Reply, Refused> {
    let user = call.user().await?;
    call.identity().sessions().end_all(call.tenant_id(), user.id, None, &call.cause().await?).await?;
    Ok(Reply::done())
}

async fn end(call: Call) -> Result<Reply, Refused> {
    let id: SessionId = call.id("id")?;
    let found = call.identity().sessions().live(call.tenant_id(), id).await?;
    let session = found.ok_or_else(|| Refused::not_found("session"))?;
    // Of somebody whom the caller does not see, there are no sessions either.
    let user = call.user_of(session.user_id).await?;
    call.identity().sessions().end(call.tenant_id(), user.id, id, &call.cause().await?).await?;
    Ok(Reply::done())
}
