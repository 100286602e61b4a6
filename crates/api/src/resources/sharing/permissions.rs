//! Permissions, those of one type and those that all types have.

use crate::call::Call;
use crate::operation::{Operation, Table};
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::resources::sharing::encoded;
use crate::when::When;
use keyreeve_identity::Patch;
use keyreeve_sharing::{NewPermission, Permission, PermissionPatch, Target};
use keyreeve_tokens::scope::{SHARING_READ, SHARING_WRITE};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const OF_TYPE: [&str; 2] =
    ["/api/v1/sharing/types/{type}/permissions", "/api/v1/sharing/types/{type}/permissions/{permission}"];
const COMMON: [&str; 2] = ["/api/v1/sharing/permissions", "/api/v1/sharing/permissions/{permission}"];

/// The names of the operations.
const OF_TYPE_IDS: [&str; 5] =
    ["list_permissions", "create_permission", "get_permission", "update_permission", "delete_permission"];
const COMMON_IDS: [&str; 5] = [
    "list_common_permissions",
    "create_common_permission",
    "get_common_permission",
    "update_common_permission",
    "delete_common_permission",
];

const NOTE: &str = "`OWNER` is none of them: every type has it, ownership gives it, and it is never granted.";
const COMMON_NOTE: &str = "These are permissions that every type has, those to come included. `OWNER` is none of them: ownership gives it.";

pub(super) fn table() -> Table {
    operations(OF_TYPE, OF_TYPE_IDS, NOTE).merge(operations(COMMON, COMMON_IDS, COMMON_NOTE))
}

fn operations([all, one]: [&'static str; 2], ids: [&'static str; 5], note: &'static str) -> Table {
    use Asks::{Tenant, Visible};
    let [list_id, create_id, get_id, update_id, delete_id] = ids;
    Table::new("Sharing")
        .add(
            Operation::get(all, list_id)
                .says("List permissions", note)
                .needs(SHARING_READ, Visible)
                .answers::<PermissionsDoc>("The permissions, in the order of their identifiers."),
            list,
        )
        .add(
            Operation::post(all, create_id)
                .says("Declare a permission", note)
                .needs(SHARING_WRITE, Tenant)
                .takes::<NewPermissionDoc>()
                .creates::<PermissionDoc>("The new permission.")
                .revises(),
            create,
        )
        .add(
            Operation::get(one, get_id)
                .says("Read a permission", "")
                .needs(SHARING_READ, Visible)
                .answers::<PermissionDoc>("The permission.")
                .versioned(),
            get,
        )
        .add(
            Operation::patch(one, update_id)
                .says("Change a permission", "A JSON merge patch; `implies` is replaced as a whole.")
                .needs(SHARING_WRITE, Tenant)
                .takes::<PermissionPatchDoc>()
                .answers::<PermissionDoc>("The permission as it is now.")
                .versioned()
                .revises(),
            update,
        )
        .add(
            Operation::delete(one, delete_id)
                .says(
                    "Remove a permission",
                    "At once nobody has it. One that is declared anew under the same name does not bring its grants back.",
                )
                .needs(SHARING_WRITE, Tenant)
                .versioned()
                .revises(),
            delete,
        )
}

/// What can be granted on resources.
#[derive(Serialize, ToSchema)]
#[schema(as = Permission)]
struct PermissionDoc {
    /// The type that has it; none where every type has it.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    /// The identifier, as its maker chose it.
    id: String,
    /// The name that people read.
    name: String,
    /// What it allows.
    description: Option<String>,
    /// Whether who holds it may grant and revoke permissions on the resource.
    shares: bool,
    /// What else who holds it may do.
    implies: Vec<String>,
    created_at: When,
    updated_at: When,
    /// Counts the changes; also the `ETag`.
    version: i64,
}

impl From<&Permission> for PermissionDoc {
    fn from(permission: &Permission) -> Self {
        Self {
            of: permission.resource_type.clone(),
            id: permission.id.clone(),
            name: permission.name.clone(),
            description: permission.description.clone(),
            shares: permission.shares,
            implies: permission.implies.clone(),
            created_at: permission.created_at.into(),
            updated_at: permission.updated_at.into(),
            version: permission.version,
        }
    }
}

/// Permissions: at most 64.
#[derive(Serialize, ToSchema)]
#[schema(as = Permissions)]
struct PermissionsDoc {
    items: Vec<PermissionDoc>,
}

/// A permission to declare.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewPermission)]
#[serde(deny_unknown_fields)]
struct NewPermissionDoc {
    /// The identifier: at most 255 bytes, without control characters, and not `OWNER`. It stays.
    #[schema(min_length = 1, max_length = 255)]
    id: String,
    /// The name that people read; the identifier where there is none.
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    /// Whether who holds it may share.
    #[serde(default)]
    shares: bool,
    /// What it implies: permissions of the same type, or of every type.
    #[serde(default)]
    implies: Vec<String>,
}

/// A permission as a line of a load or an export.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PermissionLineDoc {
    /// The type that has it; none for every type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default)]
    shares: bool,
    #[serde(default)]
    implies: Vec<String>,
}

impl From<PermissionLineDoc> for NewPermission {
    fn from(doc: PermissionLineDoc) -> Self {
        Self {
            resource_type: doc.of,
            name: doc.name.unwrap_or_else(|| doc.id.clone()),
            id: doc.id,
            description: doc.description,
            shares: doc.shares,
            implies: doc.implies,
        }
    }
}

impl From<NewPermission> for PermissionLineDoc {
    fn from(new: NewPermission) -> Self {
        Self {
            of: new.resource_type,
            id: new.id,
            name: Some(new.name),
            description: new.description,
            shares: new.shares,
            implies: new.implies,
        }
    }
}

/// What to change of a permission.
#[derive(Deserialize, ToSchema)]
#[schema(as = PermissionPatch)]
#[serde(deny_unknown_fields)]
struct PermissionPatchDoc {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Patch<String>,
    #[serde(default)]
    shares: Option<bool>,
    #[serde(default)]
    implies: Option<Vec<String>>,
}

/// The type whose permissions the path names; none for those of every type.
fn of(call: &Call) -> Option<&str> {
    let of = call.part("type");
    (!of.is_empty()).then_some(of)
}

fn reply(permission: &Permission) -> Result<Reply, Refused> {
    Ok(Reply::ok(&PermissionDoc::from(permission))?.version(permission.version))
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let found = call.sharing().permissions().list(call.authority(), of(&call)).await?;
    Reply::ok(&PermissionsDoc { items: found.iter().map(PermissionDoc::from).collect() })
}

async fn create(call: Call) -> Result<Reply, Refused> {
    let doc: NewPermissionDoc = call.body()?;
    let new = NewPermission {
        resource_type: of(&call).map(str::to_owned),
        name: doc.name.unwrap_or_else(|| doc.id.clone()),
        id: doc.id,
        description: doc.description,
        shares: doc.shares,
        implies: doc.implies,
    };
    let made = call.sharing().permissions().create(call.authority(), new, &call.cause().await?).await?;
    let permission = encoded(&made.value.id);
    let place = match of(&call) {
        Some(of) => format!("/api/v1/sharing/types/{}/permissions/{permission}", encoded(of)),
        None => format!("/api/v1/sharing/permissions/{permission}"),
    };
    let reply = Reply::created(&PermissionDoc::from(&made.value), place)?;
    Ok(reply.version(made.value.version).replayed(made.repeated).revision(made.revision))
}

async fn get(call: Call) -> Result<Reply, Refused> {
    let id = call.part("permission");
    reply(&call.sharing().permissions().get(call.authority(), of(&call), id).await?)
}

async fn update(call: Call) -> Result<Reply, Refused> {
    let doc: PermissionPatchDoc = call.body()?;
    let patch = PermissionPatch {
        name: doc.name,
        description: doc.description,
        shares: doc.shares,
        implies: doc.implies,
    };
    let (which, version, cause) =
        ((of(&call), call.part("permission")), call.if_match()?, call.cause().await?);
    let permissions = call.sharing().permissions();
    let changed = permissions.update(call.authority(), Target::new(which, version), patch, &cause).await?;
    Ok(reply(&changed.value)?.revision(changed.revision))
}

async fn delete(call: Call) -> Result<Reply, Refused> {
    let (which, version, cause) =
        ((of(&call), call.part("permission")), call.if_match()?, call.cause().await?);
    let revision =
        call.sharing().permissions().delete(call.authority(), Target::new(which, version), &cause).await?;
    Ok(Reply::done().revision(revision))
}
