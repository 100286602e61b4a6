//! Initial access tokens: what lets somebody register clients (RFC 7591).

use crate::call::{Call, Made};
use crate::operation::{Operation, Table};
use crate::policy::Asks;
use crate::refused::{Refused, UNACCEPTABLE};
use crate::reply::Reply;
use crate::when::When;
use keyreeve_base::ClientId;
use keyreeve_tokens::registration::{InitialToken, NewInitialToken};
use keyreeve_tokens::scope::{CLIENTS_READ, CLIENTS_WRITE};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

/// The longest life that can be given, in seconds: ten years.
const MAX_LIFE_S: u32 = 315_360_000;

pub(super) fn table() -> Table {
    Table::new("Initial access tokens")
        .add(
            Operation::get("/api/v1/initial-access-tokens", "list_initial_access_tokens")
                .says("List initial access tokens", "Everything but the tokens themselves, oldest first.")
                .needs(CLIENTS_READ, Asks::Tenant)
                .answers::<InitialTokensDoc>("The tokens."),
            list,
        )
        .add(
            Operation::post("/api/v1/initial-access-tokens", "create_initial_access_token")
                .says(
                    "Make an initial access token",
                    "Whoever has it can register clients, as the token policy allows. It is shown this once; a repeated \
                     request is not shown it again.",
                )
                .needs(CLIENTS_WRITE, Asks::Tenant)
                .takes::<NewInitialTokenDoc>()
                .creates::<IssuedInitialTokenDoc>("The new token."),
            create,
        )
        .add(
            Operation::delete("/api/v1/initial-access-tokens/{id}", "delete_initial_access_token")
                .says("Remove an initial access token", "The clients that were registered with it stay.")
                .needs(CLIENTS_WRITE, Asks::Tenant),
            delete,
        )
}

/// What may be known of an initial access token.
#[derive(Serialize, ToSchema)]
#[schema(as = InitialAccessToken)]
struct InitialTokenDoc {
    id: Uuid,
    /// For whom or what it was made.
    name: String,
    /// How many clients can still be registered with it; absent where it is any number.
    uses_left: Option<u32>,
    created_at: When,
    /// When it stops working, if ever.
    expires_at: Option<When>,
}

impl From<&InitialToken> for InitialTokenDoc {
    fn from(token: &InitialToken) -> Self {
        Self {
            id: token.id,
            name: token.name.clone(),
            uses_left: token.uses_left,
            created_at: token.created_at.into(),
            expires_at: token.expires_at.map(When::from),
        }
    }
}

/// The initial access tokens of a tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = InitialAccessTokens)]
struct InitialTokensDoc {
    items: Vec<InitialTokenDoc>,
}

/// An initial access token to make.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewInitialAccessToken)]
#[serde(deny_unknown_fields)]
struct NewInitialTokenDoc {
    /// For whom or what.
    name: String,
    /// How many clients can be registered with it; any number where it is not said.
    #[serde(default)]
    uses: Option<u32>,
    /// For how many seconds it works; for good where it is not said.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 315360000)]
    lasts_s: Option<u32>,
}

/// An initial access token that was just made.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuedInitialAccessToken)]
struct IssuedInitialTokenDoc {
    #[serde(flatten)]
    #[schema(inline)]
    about: InitialTokenDoc,
    /// The token, shown this once: absent when the same request was made before.
    token: Option<String>,
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let found = call.state().tokens().initial_tokens().list(call.tenant_id()).await?;
    Reply::ok(&InitialTokensDoc { items: found.iter().map(InitialTokenDoc::from).collect() })
}

async fn create(call: Call) -> Result<Reply, Refused> {
    let doc: NewInitialTokenDoc = call.body()?;
    if doc.lasts_s.is_some_and(|seconds| seconds == 0 || seconds > MAX_LIFE_S) {
        return Err(Refused::of(UNACCEPTABLE).at("/lasts_s", format!("must lie between 1 and {MAX_LIFE_S}")));
    }
    let lasts = doc.lasts_s.map(|seconds| Duration::from_secs(u64::from(seconds)));
    let new = NewInitialToken { name: doc.name, uses: doc.uses, lasts };
    let (tokens, cause) = (call.state().tokens().initial_tokens(), call.cause().await?);
    let made = Made::of(tokens.create(call.tenant_id(), new, &cause).await)?;
    let (id, replayed) = made.id(|(token, _)| token.id);
    let (token, shown) = match made {
        Made::Now((token, text)) => (token, Some(text.expose().to_owned())),
        Made::Before(_) => {
            let all = tokens.list(call.tenant_id()).await?;
            let found = all.into_iter().find(|token| token.id == id);
            (found.ok_or_else(|| Refused::not_found("initial access token"))?, None)
        }
    };
    let doc = IssuedInitialTokenDoc { about: InitialTokenDoc::from(&token), token: shown };
    Ok(Reply::created(&doc, format!("/api/v1/initial-access-tokens/{id}"))?.replayed(replayed))
}

async fn delete(call: Call) -> Result<Reply, Refused> {
    let id: ClientId = call.id("id")?;
    let cause = call.cause().await?;
    call.state().tokens().initial_tokens().revoke(call.tenant_id(), id.uuid(), &cause).await?;
    Ok(Reply::done())
}
