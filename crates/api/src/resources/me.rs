//! The caller's own: what a user may see and change of themselves, whatever their authority.

use crate::call::Call;
use crate::operation::{Operation, Table};
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::resources::sessions::{self, SessionsDoc};
use crate::resources::users::{GroupsOfDoc, RolesOfDoc, UserDoc, groups_of, roles_of};
use keyreeve_base::SessionId;
use keyreeve_crypto::Secret;
use keyreeve_identity::{Party, Patch, ProfilePatch, User};
use keyreeve_tokens::scope::{ME_READ, ME_WRITE};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

pub(super) fn table() -> Table {
    Table::new("One's own")
        .add(
            Operation::get("/api/v1/me", "get_me")
                .says("Read one's own profile", "")
                .needs(ME_READ, Asks::Own)
                .answers::<UserDoc>("The user.")
                .versioned(),
            get,
        )
        .add(
            Operation::patch("/api/v1/me", "update_me")
                .says("Change one's own profile", "A JSON merge patch of what a user may change without anyone's help.")
                .needs(ME_WRITE, Asks::Own)
                .takes::<OwnPatchDoc>()
                .answers::<UserDoc>("The user as they are now.")
                .versioned(),
            update,
        )
        .add(
            Operation::put("/api/v1/me/password", "change_own_password")
                .says(
                    "Change one's own password",
                    "The present one must be proved again; guessing here counts like guessing at the sign-in. Ends all other \
                     sessions.",
                )
                .needs(ME_WRITE, Asks::Own)
                .takes::<OwnPasswordDoc>()
                .conflicts(),
            change_password,
        )
        .add(
            Operation::get("/api/v1/me/sessions", "list_own_sessions")
                .says("List one's own live sessions", "Newest first; at most 500.")
                .needs(ME_READ, Asks::Own)
                .answers::<SessionsDoc>("The sessions."),
            list_sessions,
        )
        .add(
            Operation::delete("/api/v1/me/sessions", "end_own_sessions")
                .says("End all of one's other sessions", "The one that the token hangs on goes on.")
                .needs(ME_WRITE, Asks::Own),
            end_sessions,
        )
        .add(
            Operation::delete("/api/v1/me/sessions/{session}", "end_own_session")
                .says("End one of one's own sessions", "")
                .needs(ME_WRITE, Asks::Own),
            end_session,
        )
        .add(
            Operation::get("/api/v1/me/groups", "list_own_groups")
                .says("List one's own groups", "")
                .needs(ME_READ, Asks::Own)
                .answers::<GroupsOfDoc>("The groups."),
            groups,
        )
        .add(
            Operation::get("/api/v1/me/roles", "list_own_roles")
                .says("List one's own roles", "")
                .needs(ME_READ, Asks::Own)
                .answers::<RolesOfDoc>("The roles."),
            roles,
        )
}

/// What a user may change of their own profile.
#[derive(Deserialize, ToSchema)]
#[schema(as = OwnPatch)]
#[serde(deny_unknown_fields)]
struct OwnPatchDoc {
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    given_name: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    family_name: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    display_name: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    phone_number: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    locale: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    zoneinfo: Patch<String>,
}

/// A change of one's own password.
#[derive(Deserialize, ToSchema)]
#[schema(as = OwnPassword)]
#[serde(deny_unknown_fields)]
struct OwnPasswordDoc {
    #[schema(value_type = String, format = Password)]
    current_password: Secret,
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

/// The user for whom the token speaks.
fn own(call: &Call) -> Result<Arc<User>, Refused> {
    call.caller().user().cloned().ok_or_else(|| Refused::not_allowed(Asks::Own.told()))
}

async fn get(call: Call) -> Result<Reply, Refused> {
    let user = own(&call)?;
    Ok(Reply::ok(&UserDoc::from(&*user))?.version(user.version))
}

async fn update(call: Call) -> Result<Reply, Refused> {
    let doc: OwnPatchDoc = call.body()?;
    let user = own(&call)?;
    let patch = ProfilePatch {
        given_name: doc.given_name,
        family_name: doc.family_name,
        display_name: doc.display_name,
        phone_number: doc.phone_number,
        locale: doc.locale,
        zoneinfo: doc.zoneinfo,
        ..ProfilePatch::default()
    };
    let (who, version) = ((call.tenant_id(), user.id), call.if_match()?);
    let after = call.identity().users().update(who, patch, version, &call.cause().await?).await?;
    Ok(Reply::ok(&UserDoc::from(&*after))?.version(after.version))
}

async fn change_password(call: Call) -> Result<Reply, Refused> {
    let doc: OwnPasswordDoc = call.body()?;
    let (user, cause) = (own(&call)?, call.cause().await?);
    let (session, secrets) = (call.caller().session(), (doc.current_password, doc.password));
    let changed = call.identity().passwords().change_own_of(&user, session, secrets, &cause.origin);
    changed.await?.map_err(|refusal| match refusal {
        keyreeve_identity::Refusal::Denied => {
            Refused::of(crate::refused::UNACCEPTABLE).at("/current_password", "is not right")
        }
        other => other.into(),
    })?;
    Ok(Reply::done())
}

async fn list_sessions(call: Call) -> Result<Reply, Refused> {
    let user = own(&call)?;
    Reply::ok(&sessions::of(&call, user.id).await?)
}

async fn end_sessions(call: Call) -> Result<Reply, Refused> {
    let user = own(&call)?;
    let except = call.caller().session();
    call.identity().sessions().end_all(call.tenant_id(), user.id, except, &call.cause().await?).await?;
    Ok(Reply::done())
}

async fn end_session(call: Call) -> Result<Reply, Refused> {
    let (user, id) = (own(&call)?, call.id::<SessionId>("session")?);
    if call.identity().sessions().end(call.tenant_id(), user.id, id, &call.cause().await?).await? {
        Ok(Reply::done())
    } else {
        Err(Refused::not_found("session"))
    }
}

async fn groups(call: Call) -> Result<Reply, Refused> {
    let user = own(&call)?;
    Reply::ok(&groups_of(&call, Party::User(user.id)).await?)
}

async fn roles(call: Call) -> Result<Reply, Refused> {
    let user = own(&call)?;
    Reply::ok(&roles_of(&call, Party::User(user.id)).await?)
}
