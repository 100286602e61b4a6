//! Stores elsewhere that keep values.

use super::secrets;
use crate::call::{Call, Made};
use crate::operation::{Operation, Table};
use crate::paging::{PAGING, Paging};
use crate::policy::Asks;
use crate::refused::{INVALID_BODY, Refused};
use crate::reply::Reply;
use crate::search::{filter, listing};
use crate::when::When;
use keyreeve_filter::Path;
use keyreeve_identity::Patch;
use keyreeve_identity::search::Direction;
use keyreeve_secrets::{
    DEFAULT_TIMEOUT_MS, Finding, FoundRecords, NewStore, RecordField, RecordSearch, SecretStore,
    ServiceAuthId, Sort, StoreId, StorePatch,
};
use keyreeve_tokens::scope::{SECRETS_READ, SECRETS_WRITE};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const PATH: &str = "/api/v1/secret-stores";
const ONE: &str = "/api/v1/secret-stores/{id}";

pub(super) fn table() -> Table {
    Table::new("Secret stores")
        .add(
            Operation::get(PATH, "list_secret_stores")
                .says(
                    "List secret stores",
                    "In the order of their making or of their names. Filters know `id`, `name`, `url`, `mount`, `namespace`, \
                     `authentication`, `created_at` and `updated_at`.",
                )
                .needs(SECRETS_READ, Asks::Tenant)
                .query(PAGING)
                .query(listing())
                .pages::<StoreDoc>("A page of secret stores."),
            list,
        )
        .add(
            Operation::post(PATH, "create_secret_store")
                .says(
                    "Make a secret store known",
                    "A server that speaks the KV engine, version 2, of HashiCorp Vault and OpenBao. Key/value secrets can have their \
                     values there.",
                )
                .needs(SECRETS_WRITE, Asks::Tenant)
                .takes::<NewStoreDoc>()
                .creates::<StoreDoc>("The new secret store."),
            create,
        )
        .add(
            Operation::get(ONE, "get_secret_store")
                .says("Read a secret store", "")
                .needs(SECRETS_READ, Asks::Tenant)
                .answers::<StoreDoc>("The secret store.")
                .versioned(),
            get,
        )
        .add(
            Operation::patch(ONE, "update_secret_store")
                .says("Change a secret store", "A JSON merge patch.")
                .needs(SECRETS_WRITE, Asks::Tenant)
                .takes::<StorePatchDoc>()
                .answers::<StoreDoc>("The secret store as it is now.")
                .versioned()
                .conflicts(),
            update,
        )
        .add(
            Operation::delete(ONE, "delete_secret_store")
                .says("Forget a secret store", "Unless a secret has its value there. What it keeps stays there.")
                .needs(SECRETS_WRITE, Asks::Tenant)
                .versioned()
                .conflicts(),
            delete,
        )
        .add(
            Operation::post("/api/v1/secret-stores/{id}/check", "check_secret_store")
                .says(
                    "Try to reach a secret store",
                    "With its credential, and without reading a secret. That it does not answer is no failure of this operation.",
                )
                .needs(SECRETS_WRITE, Asks::Tenant)
                .answers::<FindingDoc>("What was found."),
            check,
        )
}

/// What a store speaks.
#[derive(Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = SecretStoreKind)]
#[serde(rename_all = "snake_case")]
enum StoreKindDoc {
    /// Vault's KV engine, version 2.
    #[default]
    Kv2,
}

/// A store elsewhere.
#[derive(Serialize, ToSchema)]
#[schema(as = SecretStore)]
struct StoreDoc {
    id: String,
    name: String,
    kind: StoreKindDoc,
    /// The address of the server, without `/v1`.
    url: String,
    /// The mount of the KV engine.
    mount: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// The service authentication that it is reached with.
    authentication: String,
    /// How long it has for an answer, in milliseconds.
    timeout_ms: u32,
    created_at: When,
    updated_at: When,
    /// Counts the changes; also the `ETag`.
    version: i64,
}

impl From<&SecretStore> for StoreDoc {
    fn from(store: &SecretStore) -> Self {
        Self {
            id: store.id.to_string(),
            name: store.name.clone(),
            kind: StoreKindDoc::Kv2,
            url: store.url.clone(),
            mount: store.mount.clone(),
            namespace: store.namespace.clone(),
            authentication: store.authentication.to_string(),
            timeout_ms: store.timeout_ms,
            created_at: store.created_at.into(),
            updated_at: store.updated_at.into(),
            version: store.version,
        }
    }
}

const fn usual_timeout() -> u32 {
    DEFAULT_TIMEOUT_MS
}

/// A store to make known.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewSecretStore)]
#[serde(deny_unknown_fields)]
struct NewStoreDoc {
    /// The name, unique in the tenant.
    name: String,
    #[serde(default)]
    #[allow(dead_code, reason = "there is one kind, and whoever names another is told so")]
    kind: StoreKindDoc,
    /// The address of the server, without `/v1`: that of its service authentication.
    url: String,
    /// The mount of the KV engine.
    mount: String,
    #[serde(default)]
    namespace: Option<String>,
    /// The service authentication that it is reached with.
    authentication: String,
    /// How long it has for an answer, in milliseconds; 5000 where it is not said.
    #[serde(default = "usual_timeout")]
    #[schema(minimum = 100, maximum = 15_000)]
    timeout_ms: u32,
}

/// What to change of a store.
#[derive(Deserialize, ToSchema)]
#[schema(as = SecretStorePatch)]
#[serde(deny_unknown_fields)]
struct StorePatchDoc {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    mount: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    namespace: Patch<String>,
    #[serde(default)]
    authentication: Option<String>,
    #[serde(default)]
    #[schema(minimum = 100, maximum = 15_000)]
    timeout_ms: Option<u32>,
}

/// What a check of a store found.
#[derive(Serialize, ToSchema)]
#[schema(as = SecretStoreFinding)]
struct FindingDoc {
    /// Whether secrets can be read from it, as far as can be told without reading one.
    works: bool,
    /// Whether it answered at all.
    reached: bool,
    /// Whether it let this server in.
    admitted: bool,
    /// In words.
    detail: String,
}

/// What a list of records is searched by, filtered and ordered.
pub(super) fn search(
    call: &Call,
    field: impl Fn(&Path) -> Option<RecordField>,
) -> Result<(Paging, RecordSearch), Refused> {
    let paging = call.paging()?;
    let query = call.query();
    let sort = match query.get("sort") {
        None | Some("created_at") => (Sort::Made, Direction::Ascending),
        Some("-created_at") => (Sort::Made, Direction::Descending),
        Some("name") => (Sort::Name, Direction::Ascending),
        Some("-name") => (Sort::Name, Direction::Descending),
        Some(_) => return Err(Refused::parameter("sort", "must be created_at or name, with or without a -")),
    };
    let filter = query.get("filter").map(|text| filter(text, field)).transpose()?;
    let after = paging.after.as_deref().map(str::parse).transpose()?;
    let limit = paging.limit;
    Ok((paging, RecordSearch { filter, sort, after, limit }))
}

/// The page that was found.
pub(super) fn page<T, V: Serialize + for<'a> From<&'a T>>(
    paging: &Paging,
    found: &FoundRecords<T>,
) -> Result<Reply, Refused> {
    let items: Vec<V> = found.items.iter().map(V::from).collect();
    paging.reply(&items, found.next.as_ref().map(ToString::to_string).as_deref(), None)
}

fn field(path: &Path) -> Option<RecordField> {
    if path.sub.is_some() {
        return None;
    }
    match path.name.to_ascii_lowercase().as_str() {
        "id" => Some(RecordField::Id),
        "name" => Some(RecordField::Name),
        "url" => Some(RecordField::Url),
        "mount" => Some(RecordField::Mount),
        "namespace" => Some(RecordField::Namespace),
        "authentication" => Some(RecordField::Authentication),
        "created_at" => Some(RecordField::CreatedAt),
        "updated_at" => Some(RecordField::UpdatedAt),
        _ => None,
    }
}

/// The store that the path names. A text that can be no identifier names none.
fn named(call: &Call) -> Result<StoreId, Refused> {
    call.part("id").parse().map_err(|_| Refused::not_found("secret store"))
}

fn authentication(text: &str) -> Result<ServiceAuthId, Refused> {
    let problem = "is not the identifier of a service authentication";
    text.parse().map_err(|_| Refused::of(INVALID_BODY).at("/authentication", problem))
}

fn reply(store: &SecretStore) -> Result<Reply, Refused> {
    Ok(Reply::ok(&StoreDoc::from(store))?.version(store.version))
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let (paging, search) = search(&call, field)?;
    page::<_, StoreDoc>(&paging, &secrets(&call).secret_stores(call.authority(), &search).await?)
}

async fn create(call: Call) -> Result<Reply, Refused> {
    let doc: NewStoreDoc = call.body()?;
    let new = NewStore {
        name: doc.name,
        url: doc.url,
        mount: doc.mount,
        namespace: doc.namespace,
        authentication: authentication(&doc.authentication)?,
        timeout_ms: doc.timeout_ms,
    };
    let made = Made::of(secrets(&call).create_store(call.authority(), new, &call.cause().await?).await)?;
    let (id, replayed) = made.id(|store| store.id.uuid());
    let store = secrets(&call).secret_store(call.authority(), StoreId::from_uuid(id)).await?;
    let location = format!("{PATH}/{}", store.id);
    Ok(Reply::created(&StoreDoc::from(&store), location)?.version(store.version).replayed(replayed))
}

async fn get(call: Call) -> Result<Reply, Refused> {
    reply(&secrets(&call).secret_store(call.authority(), named(&call)?).await?)
}

async fn update(call: Call) -> Result<Reply, Refused> {
    let doc: StorePatchDoc = call.body()?;
    let patch = StorePatch {
        name: doc.name,
        url: doc.url,
        mount: doc.mount,
        namespace: doc.namespace,
        authentication: doc.authentication.as_deref().map(authentication).transpose()?,
        timeout_ms: doc.timeout_ms,
    };
    let (which, cause) = ((named(&call)?, call.if_match()?), call.cause().await?);
    reply(&secrets(&call).update_store(call.authority(), which, patch, &cause).await?)
}

async fn delete(call: Call) -> Result<Reply, Refused> {
    let which = (named(&call)?, call.if_match()?);
    secrets(&call).delete_store(call.authority(), which, &call.cause().await?).await?;
    Ok(Reply::done())
}

async fn check(call: Call) -> Result<Reply, Refused> {
    let (id, cause) = (named(&call)?, call.cause().await?);
    let Finding { works, reached, admitted, told } =
        secrets(&call).check_store(call.authority(), id, &cause).await?;
    Reply::ok(&FindingDoc { works, reached, admitted, detail: told })
}
