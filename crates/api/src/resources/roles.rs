//! Roles, and who holds them.

use crate::call::{Call, Made};
use crate::operation::{Operation, Table};
use crate::paging::PAGING;
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::resources::{PartyKind, PartyRef};
use crate::search::{self, SEARCHING};
use crate::when::When;
use keyreeve_base::{ClientId, RoleId};
use keyreeve_filter::Path;
use keyreeve_identity::search::RoleField;
use keyreeve_identity::{NewRole, Party, Patch, Role, RoleHolding, RolePatch};
use keyreeve_tokens::scope::{ROLES_READ, ROLES_WRITE};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub(super) fn table() -> Table {
    use Asks::{Tenant, Visible};
    let holder = "/api/v1/roles/{id}/holders/{kind}/{member}";
    Table::new("Roles")
        .add(
            Operation::get("/api/v1/roles", "list_roles")
                .says("Search roles", "Of the tenant and of its OAuth clients, in the order of their making where no other is asked for.")
                .needs(ROLES_READ, Visible)
                .query(PAGING)
                .query(SEARCHING)
                .pages::<RoleDoc>("A page of roles."),
            list,
        )
        .add(
            Operation::post("/api/v1/roles", "create_role")
                .says("Make a role", "Of the tenant, or of an OAuth client. Names are unique there in every spelling.")
                .needs(ROLES_WRITE, Tenant)
                .takes::<NewRoleDoc>()
                .creates::<RoleDoc>("The new role."),
            create,
        )
        .add(
            Operation::get("/api/v1/roles/{id}", "get_role")
                .says("Read a role", "")
                .needs(ROLES_READ, Tenant)
                .answers::<RoleDoc>("The role.")
                .versioned(),
            get,
        )
        .add(
            Operation::patch("/api/v1/roles/{id}", "update_role")
                .says("Change a role", "A JSON merge patch. `tenant-admin` cannot be changed.")
                .needs(ROLES_WRITE, Tenant)
                .takes::<RolePatchDoc>()
                .answers::<RoleDoc>("The role as it is now.")
                .versioned()
                .conflicts(),
            update,
        )
        .add(
            Operation::delete("/api/v1/roles/{id}", "delete_role")
                .says("Remove a role", "Nobody holds it any more. `tenant-admin` cannot be removed.")
                .needs(ROLES_WRITE, Tenant)
                .versioned(),
            delete,
        )
        .add(
            Operation::get("/api/v1/roles/{id}/holders", "list_holders")
                .says("List who was given a role", "Users, service accounts and groups, in the order of their identifiers.")
                .needs(ROLES_READ, Tenant)
                .query(PAGING)
                .pages::<HolderDoc>("A page of holders."),
            holders,
        )
        .add(
            Operation::put(holder, "give_role")
                .says(
                    "Give a role",
                    "To a user, a service account or a group, whose members have it then. To give `tenant-admin` needs \
                     `keyreeve:admin`.",
                )
                .needs(ROLES_WRITE, Tenant),
            give,
        )
        .add(
            Operation::delete(holder, "take_role")
                .says("Take a role", "To take `tenant-admin` needs `keyreeve:admin`.")
                .needs(ROLES_WRITE, Tenant),
            take,
        )
}

/// A role.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Role)]
struct RoleDoc {
    /// The identifier; never given out again.
    id: Uuid,
    /// The OAuth client that it is a role of; none for a role of the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Uuid>,
    /// The name; unique in the tenant or the client in every spelling.
    name: String,
    /// What it is for.
    description: Option<String>,
    created_at: When,
    updated_at: When,
    /// Counts the changes; also the `ETag`.
    version: i64,
}

impl From<&Role> for RoleDoc {
    fn from(role: &Role) -> Self {
        Self {
            id: role.id.uuid(),
            client: role.application.map(ClientId::uuid),
            name: role.name.clone(),
            description: role.description.clone(),
            created_at: role.created_at.into(),
            updated_at: role.updated_at.into(),
            version: role.version,
        }
    }
}

/// A role to make.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewRole)]
#[serde(deny_unknown_fields)]
struct NewRoleDoc {
    name: String,
    #[serde(default)]
    description: Option<String>,
    /// The OAuth client that it is a role of.
    #[serde(default)]
    client: Option<Uuid>,
}

/// What to change of a role.
#[derive(Deserialize, ToSchema)]
#[schema(as = RolePatch)]
#[serde(deny_unknown_fields)]
struct RolePatchDoc {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Patch<String>,
}

/// Who was given a role.
#[derive(Serialize, ToSchema)]
#[schema(as = Holder)]
struct HolderDoc {
    holder: PartyRef,
    given_at: When,
}

impl From<&RoleHolding> for HolderDoc {
    fn from(holding: &RoleHolding) -> Self {
        Self { holder: holding.party.into(), given_at: holding.given_at.into() }
    }
}

fn reply(role: &Role) -> Result<Reply, Refused> {
    Ok(Reply::ok(&RoleDoc::from(role))?.version(role.version))
}

async fn role(call: &Call) -> Result<Role, Refused> {
    Ok(call.identity().roles().get(call.tenant_id(), call.id("id")?).await?)
}

fn field(path: &Path) -> Option<RoleField> {
    let known = [
        ("id", RoleField::Id),
        ("name", RoleField::Name),
        ("description", RoleField::Description),
        ("client", RoleField::Application),
        ("holder", RoleField::Holder),
        ("created_at", RoleField::CreatedAt),
        ("updated_at", RoleField::UpdatedAt),
    ];
    known.into_iter().find(|(name, _)| path.is(name)).map(|(_, field)| field)
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let (paging, search) = search::read(&call, field)?;
    search::reply::<_, RoleDoc>(&paging, call.identity().roles().search(call.authority(), search).await)
}

async fn create(call: Call) -> Result<Reply, Refused> {
    let doc: NewRoleDoc = call.body()?;
    let application = doc.client.map(ClientId::from_uuid);
    if let Some(client) = application {
        call.state().tokens().clients().get(call.tenant_id(), client).await?;
    }
    let new = NewRole { name: doc.name, description: doc.description, application };
    let roles = call.identity().roles();
    let made = Made::of(roles.create(call.tenant_id(), new, &call.cause().await?).await)?;
    let (id, replayed) = made.id(|role| role.id.uuid());
    let role = roles.get(call.tenant_id(), RoleId::from_uuid(id)).await?;
    let reply = Reply::created(&RoleDoc::from(&role), format!("/api/v1/roles/{id}"))?;
    Ok(reply.version(role.version).replayed(replayed))
}

async fn get(call: Call) -> Result<Reply, Refused> {
    reply(&role(&call).await?)
}

async fn update(call: Call) -> Result<Reply, Refused> {
    let doc: RolePatchDoc = call.body()?;
    let (which, version) = ((call.tenant_id(), call.id("id")?), call.if_match()?);
    let patch = RolePatch { name: doc.name, description: doc.description };
    reply(&call.identity().roles().update(which, patch, version, &call.cause().await?).await?)
}

async fn delete(call: Call) -> Result<Reply, Refused> {
    call.identity()
        .roles()
        .delete((call.tenant_id(), call.id("id")?), call.if_match()?, &call.cause().await?)
        .await?;
    Ok(Reply::done())
}

async fn holders(call: Call) -> Result<Reply, Refused> {
    let role = role(&call).await?;
    let paging = call.paging()?;
    let after = paging.after_uuid()?;
    let which = (call.tenant_id(), role.id);
    let found = call.identity().roles().holders(which, after, paging.with_one_more()).await?;
    paging.page::<_, HolderDoc>(found, |holding| holding.party.uuid().to_string())
}

fn named(call: &Call) -> Result<Party, Refused> {
    let kind = PartyKind::of(call.part("kind"))?;
    let id: RoleId = call.id("member")?;
    Ok(kind.party(id.uuid()))
}

async fn give(call: Call) -> Result<Reply, Refused> {
    let (role, party) = (role(&call).await?, named(&call)?);
    call.may_give(&role)?;
    call.identity().roles().assign((call.tenant_id(), role.id), party, &call.cause().await?).await?;
    Ok(Reply::done())
}

async fn take(call: Call) -> Result<Reply, Refused> {
    let (role, party) = (role(&call).await?, named(&call)?);
    call.may_give(&role)?;
    let taken =
        call.identity().roles().unassign((call.tenant_id(), role.id), party, &call.cause().await?).await?;
    if taken { Ok(Reply::done()) } else { Err(Refused::not_found("holder")) }
}
