//! What stores elsewhere are reached with.

use super::secrets;
use super::stores::{page, search};
use crate::call::{Call, Made};
use crate::operation::{Operation, Table};
use crate::paging::PAGING;
use crate::policy::Asks;
use crate::refused::{INVALID_BODY, Refused};
use crate::reply::Reply;
use crate::search::listing;
use crate::when::When;
use keyreeve_crypto::Secret as SecretText;
use keyreeve_filter::Path;
use keyreeve_secrets::{
    AuthenticationPatch, Method, NewAuthentication, RecordField, ServiceAuthId, ServiceAuthentication,
};
use keyreeve_tokens::scope::{SECRETS_READ, SECRETS_WRITE};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const PATH: &str = "/api/v1/service-authentications";
const ONE: &str = "/api/v1/service-authentications/{id}";
/// Where the method is mounted, if nobody changed it.
const USUAL_MOUNT: &str = "approle";

pub(super) fn table() -> Table {
    Table::new("Secret stores")
        .add(
            Operation::get(PATH, "list_service_authentications")
                .says(
                    "List service authentications",
                    "Without their credentials, in the order of their making or of their names. Filters know `id`, `name`, `url`, \
                     `method`, `mount`, `role_id`, `created_at` and `updated_at`.",
                )
                .needs(SECRETS_READ, Asks::Tenant)
                .query(PAGING)
                .query(listing())
                .pages::<AuthenticationDoc>("A page of service authentications."),
            list,
        )
        .add(
            Operation::post(PATH, "create_service_authentication")
                .says(
                    "Keep what secret stores are reached with",
                    "A token, or the role and the `secret_id` of an AppRole. The credential is sealed, never shown again, and sent to \
                     no server but that of `url`.",
                )
                .needs(SECRETS_WRITE, Asks::Tenant)
                .takes::<NewAuthenticationDoc>()
                .creates::<AuthenticationDoc>("The new service authentication."),
            create,
        )
        .add(
            Operation::get(ONE, "get_service_authentication")
                .says("Read a service authentication", "All but its credential.")
                .needs(SECRETS_READ, Asks::Tenant)
                .answers::<AuthenticationDoc>("The service authentication.")
                .versioned(),
            get,
        )
        .add(
            Operation::patch(ONE, "update_service_authentication")
                .says(
                    "Change a service authentication",
                    "A JSON merge patch. The server that the credential is for does not change: make another for another.",
                )
                .needs(SECRETS_WRITE, Asks::Tenant)
                .takes::<AuthenticationPatchDoc>()
                .answers::<AuthenticationDoc>("The service authentication as it is now.")
                .versioned()
                .conflicts(),
            update,
        )
        .add(
            Operation::delete(ONE, "delete_service_authentication")
                .says("Remove a service authentication", "Unless a secret store is reached with it.")
                .needs(SECRETS_WRITE, Asks::Tenant)
                .versioned()
                .conflicts(),
            delete,
        )
}

/// How one signs in to a store.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ServiceAuthenticationMethod)]
#[serde(rename_all = "lowercase")]
enum MethodDoc {
    /// The credential is a token.
    Token,
    /// The credential is the `secret_id` of an AppRole.
    AppRole,
}

/// What secret stores are reached with.
#[derive(Serialize, ToSchema)]
#[schema(as = ServiceAuthentication)]
struct AuthenticationDoc {
    id: String,
    name: String,
    method: MethodDoc,
    /// The server that the credential is for, without `/v1`.
    url: String,
    /// Where the method `approle` is mounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    mount: Option<String>,
    /// The role of an AppRole.
    #[serde(skip_serializing_if = "Option::is_none")]
    role_id: Option<String>,
    created_at: When,
    updated_at: When,
    /// Counts the changes, those of the credential among them; also the `ETag`.
    version: i64,
}

impl From<&ServiceAuthentication> for AuthenticationDoc {
    fn from(of: &ServiceAuthentication) -> Self {
        let (method, mount, role_id) = match &of.method {
            Method::Token => (MethodDoc::Token, None, None),
            Method::AppRole { mount, role_id } => {
                (MethodDoc::AppRole, Some(mount.clone()), Some(role_id.clone()))
            }
        };
        Self {
            id: of.id.to_string(),
            name: of.name.clone(),
            method,
            url: of.url.clone(),
            mount,
            role_id,
            created_at: of.created_at.into(),
            updated_at: of.updated_at.into(),
            version: of.version,
        }
    }
}

/// A service authentication to keep.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewServiceAuthentication)]
#[serde(deny_unknown_fields)]
struct NewAuthenticationDoc {
    /// The name, unique in the tenant.
    name: String,
    method: MethodDoc,
    /// The server that the credential is for, without `/v1`.
    url: String,
    /// Where the method `approle` is mounted; `approle`, where it is not said.
    #[serde(default)]
    mount: Option<String>,
    /// The role of an AppRole.
    #[serde(default)]
    role_id: Option<String>,
    /// The token, or the `secret_id`.
    #[schema(value_type = String)]
    credential: SecretText,
}

/// What to change of a service authentication.
#[derive(Deserialize, ToSchema)]
#[schema(as = ServiceAuthenticationPatch)]
#[serde(deny_unknown_fields)]
struct AuthenticationPatchDoc {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    mount: Option<String>,
    #[serde(default)]
    role_id: Option<String>,
    /// Another token or `secret_id`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    credential: Option<SecretText>,
}

fn field(path: &Path) -> Option<RecordField> {
    if path.sub.is_some() {
        return None;
    }
    match path.name.to_ascii_lowercase().as_str() {
        "id" => Some(RecordField::Id),
        "name" => Some(RecordField::Name),
        "url" => Some(RecordField::Url),
        "method" => Some(RecordField::Method),
        "mount" => Some(RecordField::Mount),
        "role_id" => Some(RecordField::RoleId),
        "created_at" => Some(RecordField::CreatedAt),
        "updated_at" => Some(RecordField::UpdatedAt),
        _ => None,
    }
}

/// The one that the path names. A text that can be no identifier names none.
fn named(call: &Call) -> Result<ServiceAuthId, Refused> {
    call.part("id").parse().map_err(|_| Refused::not_found("service authentication"))
}

fn reply(of: &ServiceAuthentication) -> Result<Reply, Refused> {
    Ok(Reply::ok(&AuthenticationDoc::from(of))?.version(of.version))
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let (paging, search) = search(&call, field)?;
    page::<_, AuthenticationDoc>(&paging, &secrets(&call).authentications(call.authority(), &search).await?)
}

fn method(doc: MethodDoc, mount: Option<String>, role_id: Option<String>) -> Result<Method, Refused> {
    let wrong = |at: &str, problem: &str| Err(Refused::of(INVALID_BODY).at(at, problem));
    match (doc, role_id) {
        (MethodDoc::Token, None) if mount.is_none() => Ok(Method::Token),
        (MethodDoc::Token, _) => wrong("/method", "is token, which has no role and no mount"),
        (MethodDoc::AppRole, None) => wrong("/role_id", "is missing"),
        (MethodDoc::AppRole, Some(role_id)) => {
            let mount = mount.unwrap_or_else(|| USUAL_MOUNT.to_owned());
            Ok(Method::AppRole { mount, role_id })
        }
    }
}

async fn create(call: Call) -> Result<Reply, Refused> {
    let doc: NewAuthenticationDoc = call.body()?;
    let method = method(doc.method, doc.mount, doc.role_id)?;
    let new = NewAuthentication { name: doc.name, url: doc.url, method, credential: doc.credential };
    let made = secrets(&call).create_authentication(call.authority(), new, &call.cause().await?).await;
    let made = Made::of(made)?;
    let (id, replayed) = made.id(|of| of.id.uuid());
    let of = secrets(&call).authentication(call.authority(), ServiceAuthId::from_uuid(id)).await?;
    let location = format!("{PATH}/{}", of.id);
    Ok(Reply::created(&AuthenticationDoc::from(&of), location)?.version(of.version).replayed(replayed))
}

async fn get(call: Call) -> Result<Reply, Refused> {
    reply(&secrets(&call).authentication(call.authority(), named(&call)?).await?)
}

async fn update(call: Call) -> Result<Reply, Refused> {
    let doc: AuthenticationPatchDoc = call.body()?;
    let patch = AuthenticationPatch {
        name: doc.name,
        mount: doc.mount,
        role_id: doc.role_id,
        credential: doc.credential,
    };
    let (which, cause) = ((named(&call)?, call.if_match()?), call.cause().await?);
    reply(&secrets(&call).update_authentication(call.authority(), which, patch, &cause).await?)
}

async fn delete(call: Call) -> Result<Reply, Refused> {
    let which = (named(&call)?, call.if_match()?);
    secrets(&call).delete_authentication(call.authority(), which, &call.cause().await?).await?;
    Ok(Reply::done())
}
