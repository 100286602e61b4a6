//! Types of resources.

use crate::call::Call;
use crate::operation::{Operation, Table};
use crate::paging::PAGING;
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::resources::sharing::encoded;
use crate::when::When;
use keyreeve_identity::Patch;
use keyreeve_sharing::{NewType, ResourceType, Target, TypePatch};
use keyreeve_tokens::scope::{SHARING_READ, SHARING_WRITE};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const PATH: &str = "/api/v1/sharing/types";
const ONE: &str = "/api/v1/sharing/types/{type}";

pub(super) fn table() -> Table {
    use Asks::{Tenant, Visible};
    Table::new("Sharing")
        .add(
            Operation::get(PATH, "list_resource_types")
                .says("List the types of resources", "In the order of their identifiers.")
                .needs(SHARING_READ, Visible)
                .query(PAGING)
                .pages::<TypeDoc>("A page of types."),
            list,
        )
        .add(
            Operation::post(PATH, "create_resource_type")
                .says("Declare a type of resources", "Its permissions are declared next.")
                .needs(SHARING_WRITE, Tenant)
                .takes::<NewTypeDoc>()
                .creates::<TypeDoc>("The new type.")
                .revises(),
            create,
        )
        .add(
            Operation::get(ONE, "get_resource_type")
                .says("Read a type of resources", "")
                .needs(SHARING_READ, Visible)
                .answers::<TypeDoc>("The type.")
                .versioned(),
            get,
        )
        .add(
            Operation::patch(ONE, "update_resource_type")
                .says("Change a type of resources", "A JSON merge patch.")
                .needs(SHARING_WRITE, Tenant)
                .takes::<TypePatchDoc>()
                .answers::<TypeDoc>("The type as it is now.")
                .versioned()
                .revises(),
            update,
        )
        .add(
            Operation::delete(ONE, "delete_resource_type")
                .says(
                    "Remove a type of resources",
                    "With its permissions. While there are resources of it, it stays.",
                )
                .needs(SHARING_WRITE, Tenant)
                .versioned()
                .conflicts()
                .revises(),
            delete,
        )
}

/// A type of resources.
#[derive(Serialize, ToSchema)]
#[schema(as = ResourceType)]
struct TypeDoc {
    /// The identifier, as its maker chose it.
    id: String,
    /// The name that people read.
    name: String,
    /// What it is for.
    description: Option<String>,
    created_at: When,
    updated_at: When,
    /// Counts the changes; also the `ETag`.
    version: i64,
}

impl From<&ResourceType> for TypeDoc {
    fn from(of: &ResourceType) -> Self {
        Self {
            id: of.id.clone(),
            name: of.name.clone(),
            description: of.description.clone(),
            created_at: of.created_at.into(),
            updated_at: of.updated_at.into(),
            version: of.version,
        }
    }
}

/// A type of resources to declare.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = NewResourceType)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTypeDoc {
    /// The identifier: at most 255 bytes, without control characters. It stays.
    #[schema(min_length = 1, max_length = 255)]
    id: String,
    /// The name that people read; the identifier where there is none.
    #[serde(default)]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl From<NewTypeDoc> for NewType {
    fn from(doc: NewTypeDoc) -> Self {
        let name = doc.name.unwrap_or_else(|| doc.id.clone());
        Self { id: doc.id, name, description: doc.description }
    }
}

impl From<NewType> for NewTypeDoc {
    fn from(new: NewType) -> Self {
        Self { id: new.id, name: Some(new.name), description: new.description }
    }
}

/// What to change of a type of resources.
#[derive(Deserialize, ToSchema)]
#[schema(as = ResourceTypePatch)]
#[serde(deny_unknown_fields)]
struct TypePatchDoc {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Patch<String>,
}

fn reply(of: &ResourceType) -> Result<Reply, Refused> {
    Ok(Reply::ok(&TypeDoc::from(of))?.version(of.version))
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let paging = call.paging()?;
    let types = call.sharing().types();
    let found = types.list(call.authority(), paging.after.as_deref(), paging.with_one_more()).await?;
    paging.page::<_, TypeDoc>(found, |of| of.id.clone())
}

async fn create(call: Call) -> Result<Reply, Refused> {
    let doc: NewTypeDoc = call.body()?;
    let made = call.sharing().types().create(call.authority(), doc.into(), &call.cause().await?).await?;
    let place = format!("{PATH}/{}", encoded(&made.value.id));
    let reply = Reply::created(&TypeDoc::from(&made.value), place)?;
    Ok(reply.version(made.value.version).replayed(made.repeated).revision(made.revision))
}

async fn get(call: Call) -> Result<Reply, Refused> {
    reply(&call.sharing().types().get(call.authority(), call.part("type")).await?)
}

async fn update(call: Call) -> Result<Reply, Refused> {
    let doc: TypePatchDoc = call.body()?;
    let patch = TypePatch { name: doc.name, description: doc.description };
    let (types, id, version) = (call.sharing().types(), call.part("type"), call.if_match()?);
    let changed =
        types.update(call.authority(), Target::new(id, version), patch, &call.cause().await?).await?;
    Ok(reply(&changed.value)?.revision(changed.revision))
}

async fn delete(call: Call) -> Result<Reply, Refused> {
    let (types, id, version) = (call.sharing().types(), call.part("type"), call.if_match()?);
    let revision = types.delete(call.authority(), Target::new(id, version), &call.cause().await?).await?;
    Ok(Reply::done().revision(revision))
}
