//! Resources: made, read, changed, moved, given away, removed.

use crate::call::Call;
use crate::operation::{Operation, QueryKind, QueryParam, Table};
use crate::paging::PAGING;
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::resources::PartyRef;
use crate::resources::sharing::{encoded, named};
use crate::when::When;
use keyreeve_crypto::base64url;
use keyreeve_identity::{Party, Patch};
use keyreeve_sharing::{Delete, Error, NewResource, Resource, ResourcePatch, Target};
use keyreeve_tokens::scope::{SHARING_READ, SHARING_WRITE};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

const PATH: &str = "/api/v1/sharing/resources";
const ONE: &str = "/api/v1/sharing/resources/{resource}";

const CHILDREN: QueryParam = QueryParam {
    name: "children",
    description: "`remove` for whatever lies below it to go as well; `refuse` (the default) for it to stay if there is anything.",
    kind: QueryKind::OneOf(&["refuse", "remove"]),
};

pub(super) fn table() -> Table {
    use Asks::{CreateResource, OwnResource, SeeResource};
    Table::new("Sharing")
        .add(
            Operation::post(PATH, "create_resource")
                .says("Make a resource", "Below `parent`, where one is named. Administrators and the tenant's clients choose owner and identifier.")
                .needs(SHARING_WRITE, CreateResource)
                .takes::<NewResourceDoc>()
                .creates::<ResourceDoc>("The new resource.")
                .revises(),
            create,
        )
        .add(
            Operation::get(ONE, "get_resource")
                .says("Read a resource", "An identifier may hold any text: percent-encode it, `/` included.")
                .needs(SHARING_READ, SeeResource)
                .answers::<ResourceDoc>("The resource.")
                .versioned(),
            get,
        )
        .add(
            Operation::patch(ONE, "update_resource")
                .says(
                    "Change a resource",
                    "A JSON merge patch; `attributes` are replaced as a whole. Owner and parent change by operations of their own.",
                )
                .needs(SHARING_WRITE, OwnResource)
                .takes::<ResourcePatchDoc>()
                .answers::<ResourceDoc>("The resource as it is now.")
                .versioned()
                .revises(),
            update,
        )
        .add(
            Operation::delete(ONE, "delete_resource")
                .says(
                    "Remove a resource",
                    "With its grants. However much lies below it, all of it is gone at once, and its identifiers are free.",
                )
                .needs(SHARING_WRITE, OwnResource)
                .query(&[CHILDREN])
                .versioned()
                .conflicts()
                .revises(),
            delete,
        )
        .add(
            Operation::get("/api/v1/sharing/resources/{resource}/children", "list_children")
                .says(
                    "List what lies directly below a resource",
                    "In the order of their making, as far as the caller may see them. A page may hold fewer than `limit` and still \
                     have a next one.",
                )
                .needs(SHARING_READ, SeeResource)
                .query(PAGING)
                .pages::<ResourceDoc>("A page of resources."),
            children,
        )
        .add(
            Operation::post("/api/v1/sharing/resources/{resource}/move", "move_resource")
                .says(
                    "Move a resource to another parent",
                    "With everything below it. The caller must own it, and may share the new parent: whoever has something there gets \
                     it here.",
                )
                .needs(SHARING_WRITE, OwnResource)
                .takes::<MoveDoc>()
                .answers::<ResourceDoc>("The resource as it is now.")
                .versioned()
                .revises(),
            relocate,
        )
        .add(
            Operation::post("/api/v1/sharing/resources/{resource}/owner", "transfer_resource")
                .says(
                    "Give a resource to another owner",
                    "The former owner keeps what was granted, and what comes from above.",
                )
                .needs(SHARING_WRITE, OwnResource)
                .takes::<OwnerDoc>()
                .answers::<ResourceDoc>("The resource as it is now.")
                .versioned()
                .revises(),
            transfer,
        )
}

/// Something that permissions are granted on.
#[derive(Serialize, ToSchema)]
#[schema(as = Resource)]
pub(super) struct ResourceDoc {
    /// The identifier, unique in the tenant.
    id: String,
    /// Its type.
    #[serde(rename = "type")]
    of: String,
    /// Who owns it.
    owner: PartyRef,
    /// What it lies below, of any type.
    parent: Option<String>,
    /// The name that people read.
    name: String,
    /// What it is.
    description: Option<String>,
    /// What else it can be found by.
    text: Option<String>,
    /// Whatever else its application keeps, by name.
    attributes: BTreeMap<String, String>,
    /// Bytes that mean nothing here, in base64url without padding.
    metadata: Option<String>,
    created_at: When,
    updated_at: When,
    /// Counts the changes; also the `ETag`. What is granted on it is none.
    version: i64,
}

impl From<&Resource> for ResourceDoc {
    fn from(resource: &Resource) -> Self {
        Self {
            id: resource.id.clone(),
            of: resource.resource_type.clone(),
            owner: resource.owner.into(),
            parent: resource.parent.clone(),
            name: resource.name.clone(),
            description: resource.description.clone(),
            text: resource.text.clone(),
            attributes: resource.attributes.clone(),
            metadata: resource.metadata.as_ref().map(base64url::encode),
            created_at: resource.created_at.into(),
            updated_at: resource.updated_at.into(),
            version: resource.version,
        }
    }
}

/// A resource to make.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = NewResource)]
#[serde(deny_unknown_fields)]
pub(super) struct NewResourceDoc {
    /// The identifier: at most 255 bytes, without control characters; generated where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    id: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    of: String,
    /// Who owns it; the caller where nobody is named. A client of the tenant names somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<PartyRef>,
    /// What it lies below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// What else it can be found by; at most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// At most 64, of 4 KiB each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
    /// At most 64 KiB, in base64url without padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
}

impl NewResourceDoc {
    /// What is to be made.
    pub(super) fn read(self) -> Result<NewResource, Error> {
        Ok(NewResource {
            id: self.id,
            resource_type: self.of,
            owner: self.owner.map(Party::from),
            parent: self.parent,
            name: self.name,
            description: self.description,
            text: self.text,
            attributes: self.attributes,
            metadata: self.metadata.as_deref().map(bytes).transpose()?,
        })
    }
}

impl From<NewResource> for NewResourceDoc {
    fn from(new: NewResource) -> Self {
        Self {
            id: new.id,
            of: new.resource_type,
            owner: new.owner.map(PartyRef::from),
            parent: new.parent,
            name: new.name,
            description: new.description,
            text: new.text,
            attributes: new.attributes,
            metadata: new.metadata.map(base64url::encode),
        }
    }
}

/// What to change of a resource.
#[derive(Deserialize, ToSchema)]
#[schema(as = ResourcePatch)]
#[serde(deny_unknown_fields)]
struct ResourcePatchDoc {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    text: Patch<String>,
    #[serde(default)]
    attributes: Option<BTreeMap<String, String>>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    metadata: Patch<String>,
}

/// Where to move a resource.
#[derive(Deserialize, ToSchema)]
#[schema(as = Move)]
#[serde(deny_unknown_fields)]
struct MoveDoc {
    /// The new parent; null for none. It has to be there.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    parent: Patch<String>,
}

/// Whom to give a resource to.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewOwner)]
#[serde(deny_unknown_fields)]
struct OwnerDoc {
    owner: PartyRef,
}

fn bytes(text: &str) -> Result<Vec<u8>, Error> {
    let problem = "is not base64url without padding";
    base64url::decode(text).map_err(|_| Error::Invalid { field: "metadata", problem: problem.to_owned() })
}

fn reply(resource: &Resource) -> Result<Reply, Refused> {
    Ok(Reply::ok(&ResourceDoc::from(resource))?.version(resource.version))
}

async fn create(call: Call) -> Result<Reply, Refused> {
    let doc: NewResourceDoc = call.body()?;
    let new = doc.read()?;
    let resources = call.sharing().resources();
    let made = resources.create(call.authority(), new, &call.cause().await?).await.map_err(named)?;
    let place = format!("{PATH}/{}", encoded(&made.value.id));
    let reply = Reply::created(&ResourceDoc::from(&made.value), place)?;
    Ok(reply.version(made.value.version).replayed(made.repeated).revision(made.revision))
}

async fn get(call: Call) -> Result<Reply, Refused> {
    reply(&call.sharing().resources().get(call.authority(), call.part("resource")).await?)
}

async fn update(call: Call) -> Result<Reply, Refused> {
    let doc: ResourcePatchDoc = call.body()?;
    let metadata = match doc.metadata {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(text) => Patch::Set(bytes(&text)?),
    };
    let patch = ResourcePatch {
        name: doc.name,
        description: doc.description,
        text: doc.text,
        attributes: doc.attributes,
        metadata,
    };
    let (resources, id, version) = (call.sharing().resources(), call.part("resource"), call.if_match()?);
    let changed =
        resources.update(call.authority(), Target::new(id, version), patch, &call.cause().await?).await?;
    Ok(reply(&changed.value)?.revision(changed.revision))
}

async fn delete(call: Call) -> Result<Reply, Refused> {
    let with = match call.query().get("children") {
        Some("remove") => Delete::WithChildren,
        _ => Delete::Alone,
    };
    let (resources, id, version) = (call.sharing().resources(), call.part("resource"), call.if_match()?);
    let revision =
        resources.delete(call.authority(), Target::new(id, version), with, &call.cause().await?).await?;
    Ok(Reply::done().revision(revision))
}

async fn children(call: Call) -> Result<Reply, Refused> {
    let paging = call.paging()?;
    let after = paging.after.as_deref().map(str::parse).transpose()?;
    let (resources, id) = (call.sharing().resources(), call.part("resource"));
    let page = resources.children(call.authority(), id, (after, paging.limit)).await?;
    let items: Vec<ResourceDoc> = page.items.iter().map(ResourceDoc::from).collect();
    let next = page.next.map(|next| next.to_string());
    paging.reply(&items, next.as_deref(), None)
}

async fn relocate(call: Call) -> Result<Reply, Refused> {
    let doc: MoveDoc = call.body()?;
    let parent = match doc.parent {
        // A document that says nothing must not take a resource out of its tree.
        Patch::Keep => {
            let problem = "has to be named; null for none".to_owned();
            return Err(Error::Invalid { field: "parent", problem }.into());
        }
        Patch::Clear => None,
        Patch::Set(parent) => Some(parent),
    };
    let (resources, id, version) = (call.sharing().resources(), call.part("resource"), call.if_match()?);
    let moved = resources
        .move_to(call.authority(), Target::new(id, version), parent.as_deref(), &call.cause().await?)
        .await;
    let moved = moved.map_err(of_path)?;
    Ok(reply(&moved.value)?.revision(moved.revision))
}

async fn transfer(call: Call) -> Result<Reply, Refused> {
    let doc: OwnerDoc = call.body()?;
    let (resources, id, version) = (call.sharing().resources(), call.part("resource"), call.if_match()?);
    let owner = Party::from(doc.owner);
    let given =
        resources.transfer(call.authority(), Target::new(id, version), owner, &call.cause().await?).await;
    let given = given.map_err(of_path)?;
    Ok(reply(&given.value)?.revision(given.revision))
}

/// A refusal where the path names the resource, and the document what else is concerned.
fn of_path(error: Error) -> Refused {
    match error {
        Error::NotFound("resource") => error.into(),
        error => named(error),
    }
}
