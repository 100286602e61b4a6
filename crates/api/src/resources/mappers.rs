//! Protocol mappers: what tokens say of attributes, roles and groups.
//!
//! Whoever decides what a client's tokens say decides what others believe of those who use it. So a mapper of one client
//! takes a token that opens all that the client's own tokens could, and one of the whole tenant, which speaks in the
//! tokens of every client, the whole scope of an administrator.

use crate::body;
use crate::call::{Call, Made};
use crate::operation::{Operation, Table};
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::when::When;
use keyreeve_base::ClientId;
use keyreeve_tokens::scope::{ADMIN, CLIENTS_READ, CLIENTS_WRITE};
use keyreeve_tokens::{Mapper, MapperSettings};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

pub(super) fn table() -> Table {
    use Asks::Tenant;
    let one = "/api/v1/mappers/{id}";
    let of_client = "/api/v1/clients/{id}/mappers";
    Table::new("Mappers")
        .add(
            Operation::get("/api/v1/mappers", "list_mappers")
                .says(
                    "List the mappers of the tenant",
                    "Those for the tokens of every client, in the order in which they are evaluated; at most 50.",
                )
                .needs(CLIENTS_READ, Tenant)
                .answers::<MappersDoc>("The mappers."),
            list,
        )
        .add(
            Operation::post("/api/v1/mappers", "create_mapper")
                .says(
                    "Make a mapper for the tokens of every client",
                    "Without a mapper, tokens say nothing of roles, groups and attributes. It speaks in the tokens of administrators' \
                     clients, too, and so needs `keyreeve:admin`.",
                )
                .needs(ADMIN, Tenant)
                .takes::<NewMapperDoc>()
                .creates::<MapperDoc>("The new mapper."),
            create,
        )
        .add(
            Operation::get(of_client, "list_client_mappers")
                .says(
                    "List the mappers of an OAuth client",
                    "Those for its tokens alone, in the order in which they are evaluated, which is after those of the tenant; at \
                     most 50.",
                )
                .needs(CLIENTS_READ, Tenant)
                .answers::<MappersDoc>("The mappers."),
            list_of_client,
        )
        .add(
            Operation::post(of_client, "create_client_mapper")
                .says("Make a mapper for the tokens of one client", "")
                .needs(CLIENTS_WRITE, Tenant)
                .takes::<NewMapperDoc>()
                .creates::<MapperDoc>("The new mapper."),
            create_of_client,
        )
        .add(
            Operation::get(one, "get_mapper")
                .says("Read a mapper", "")
                .needs(CLIENTS_READ, Tenant)
                .answers::<MapperDoc>("The mapper.")
                .versioned(),
            get,
        )
        .add(
            Operation::patch(one, "update_mapper")
                .says(
                    "Change a mapper",
                    "A JSON merge patch; `null` sets a field to its default. A `source` is replaced as a whole. One of the whole \
                     tenant needs `keyreeve:admin`.",
                )
                .needs(CLIENTS_WRITE, Tenant)
                .takes::<MapperPatchDoc>()
                .answers::<MapperDoc>("The mapper as it is now.")
                .versioned()
                .conflicts(),
            update,
        )
        .add(
            Operation::delete(one, "delete_mapper")
                .says(
                    "Remove a mapper",
                    "Tokens that were issued keep what they say. One of the whole tenant needs `keyreeve:admin`.",
                )
                .needs(CLIENTS_WRITE, Tenant)
                .versioned(),
            delete,
        )
}

/// Where a mapper's values come from.
#[derive(Serialize, ToSchema)]
#[schema(as = MapperSource)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[allow(dead_code, reason = "it describes what the room reads and writes")]
enum SourceDoc {
    /// The values of an attribute of the user or of the service account.
    UserAttribute { attribute: String },
    /// The names of the tenant's roles that the subject has, by itself and by its groups.
    TenantRoles {},
    /// The names of the roles of a client that the subject has; without `client`, of the one that the token is issued to.
    ClientRoles {
        #[schema(required = false)]
        client: Option<Uuid>,
    },
    /// The groups that the subject is in: `full` for all that hold it through whatever nest, or `direct`; their `name` or
    /// `id`.
    Groups {
        #[schema(required = false)]
        membership: MembershipDoc,
        #[schema(required = false)]
        value: GroupValueDoc,
    },
    /// Always the same value.
    Constant { value: Value },
    /// A further audience of the access token; such a mapper has no claim.
    Audience { audience: String },
}

/// Which groups are meant.
#[derive(Serialize, ToSchema)]
#[schema(as = MapperMembership)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "it describes what the room reads and writes")]
enum MembershipDoc {
    Full,
    Direct,
}

/// What is told of a group.
#[derive(Serialize, ToSchema)]
#[schema(as = MapperGroupValue)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "it describes what the room reads and writes")]
enum GroupValueDoc {
    Name,
    Id,
}

/// What a value is written as.
#[derive(Serialize, ToSchema)]
#[schema(as = MapperValueType)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "it describes what the room reads and writes")]
enum ValueTypeDoc {
    String,
    Integer,
    Boolean,
    Json,
}

/// Where a claim is told.
#[derive(Serialize, ToSchema)]
#[schema(as = MapperTarget)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "it describes what the room reads and writes")]
enum TargetDoc {
    AccessToken,
    IdToken,
    Userinfo,
    Introspection,
}

macro_rules! settings_docs {
    ($($(#[$meta:meta])* $field:ident: $kind:ty ;)*) => {
        /// A mapper.
        #[derive(Serialize, ToSchema)]
        #[schema(as = Mapper)]
        #[allow(dead_code, reason = "it describes what is written")]
        struct MapperDoc {
            /// The identifier.
            id: Uuid,
            /// The client whose tokens it is for; none for those of every client of the tenant.
            client: Option<Uuid>,
            $($(#[$meta])* $field: $kind,)*
            created_at: When,
            updated_at: When,
            /// Counts the changes; also the `ETag`.
            version: i64,
        }

        /// What to change of a mapper.
        #[derive(Serialize, ToSchema)]
        #[schema(as = MapperPatch)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "it describes what is read")]
        struct MapperPatchDoc {
            $($(#[$meta])* #[schema(required = false)] $field: Option<$kind>,)*
        }

        /// The settings that are described.
        #[cfg(test)]
        const DESCRIBED: &[&str] = &[$(stringify!($field)),*];
    };
}

settings_docs! {
    /// What people call it; unique among the mappers of the tenant, or of the client.
    name: String;
    source: SourceDoc;
    /// The claim: names joined by dots, each but the last one an object; a backslash takes a dot into a name. None for an
    /// audience. What the server says itself (`sub`, `scope`, …) no mapper says.
    claim: Option<String>;
    value_type: ValueTypeDoc;
    /// Whether the claim is an array of all values; else it is the first one.
    multivalued: bool;
    /// Where it is told; at least one.
    targets: Vec<TargetDoc>;
    /// The scope that has to be granted for it; without it, it is told always.
    scope: Option<String>;
}

/// A mapper to make.
#[derive(Serialize, ToSchema)]
#[schema(as = NewMapper)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "it describes what is read")]
struct NewMapperDoc {
    /// What people call it; unique among the mappers of the tenant, or of the client.
    name: String,
    source: SourceDoc,
    /// The claim: names joined by dots. Every source but `audience` needs it.
    claim: Option<String>,
    /// `string` where it is not said.
    #[schema(required = false)]
    value_type: ValueTypeDoc,
    /// Whether the claim is an array of all values; `false` where it is not said.
    #[schema(required = false)]
    multivalued: bool,
    /// Where it is told; at least one.
    targets: Vec<TargetDoc>,
    /// The scope that has to be granted for it.
    scope: Option<String>,
}

/// Mappers of one owner.
#[derive(Serialize, ToSchema)]
#[schema(as = Mappers)]
struct MappersDoc {
    #[schema(value_type = Vec<MapperDoc>)]
    items: Vec<Value>,
}

/// A mapper as a document.
fn document(mapper: &Mapper) -> Value {
    let mut document = written(&mapper.settings);
    if let Some(members) = document.as_object_mut() {
        members.insert("id".to_owned(), mapper.id.to_string().into());
        members.insert("client".to_owned(), mapper.client.map(|id| id.to_string()).into());
        members.insert("created_at".to_owned(), mapper.created_at.to_string().into());
        members.insert("updated_at".to_owned(), mapper.updated_at.to_string().into());
        members.insert("version".to_owned(), mapper.version.into());
    }
    document
}

/// Settings as a document. They are made of texts, numbers and lists, which always print.
fn written(settings: &MapperSettings) -> Value {
    let mut document = serde_json::to_value(settings).unwrap_or_default();
    if let Some(members) = document.as_object_mut() {
        // A setting that is left out where it is empty is told all the same.
        for name in ["claim", "scope"] {
            members.entry(name).or_insert(Value::Null);
        }
    }
    document
}

fn reply(mapper: &Mapper) -> Result<Reply, Refused> {
    Ok(Reply::ok(&document(mapper))?.version(mapper.version))
}

/// The client that the path names.
async fn client(call: &Call) -> Result<ClientId, Refused> {
    Ok(call.state().tokens().clients().get(call.tenant_id(), call.id("id")?).await?.id)
}

/// The mapper that the path names.
async fn mapper(call: &Call) -> Result<Mapper, Refused> {
    let id: ClientId = call.id("id")?;
    Ok(call.state().tokens().mappers().get(call.tenant_id(), id.uuid()).await?)
}

/// Whether the token may decide what is said in the tokens of this client, or of every one.
async fn may_speak(call: &Call, client: Option<ClientId>) -> Result<(), Refused> {
    match client {
        Some(id) => {
            let client = call.state().tokens().clients().get(call.tenant_id(), id).await?;
            call.may_open(&client.settings.scopes)
        }
        None if call.caller().is_unlimited() => Ok(()),
        None => Err(Refused::insufficient_scope(ADMIN)),
    }
}

async fn list(call: Call) -> Result<Reply, Refused> {
    listed(&call, None).await
}

async fn list_of_client(call: Call) -> Result<Reply, Refused> {
    listed(&call, Some(client(&call).await?)).await
}

async fn listed(call: &Call, client: Option<ClientId>) -> Result<Reply, Refused> {
    let found = call.state().tokens().mappers().list(call.tenant_id(), client).await?;
    Reply::ok(&MappersDoc { items: found.iter().map(document).collect() })
}

async fn create(call: Call) -> Result<Reply, Refused> {
    make(&call, None).await
}

async fn create_of_client(call: Call) -> Result<Reply, Refused> {
    let client = client(&call).await?;
    make(&call, Some(client)).await
}

async fn make(call: &Call, client: Option<ClientId>) -> Result<Reply, Refused> {
    may_speak(call, client).await?;
    let settings: MapperSettings = call.body()?;
    let mappers = call.state().tokens().mappers();
    let cause = call.cause().await?;
    let made = Made::of(mappers.create((call.tenant_id(), client), settings, &cause).await)?;
    let (id, replayed) = made.id(|mapper| mapper.id);
    let mapper = mappers.get(call.tenant_id(), id).await?;
    let reply = Reply::created(&document(&mapper), format!("/api/v1/mappers/{id}"))?;
    Ok(reply.version(mapper.version).replayed(replayed))
}

async fn get(call: Call) -> Result<Reply, Refused> {
    reply(&mapper(&call).await?)
}

async fn update(call: Call) -> Result<Reply, Refused> {
    let patch: Map<String, Value> = call.body()?;
    let before = mapper(&call).await?;
    may_speak(&call, before.client).await?;
    if call.if_match()?.is_some_and(|version| version != before.version) {
        return Err(keyreeve_tokens::Error::VersionConflict.into());
    }
    let mut document = written(&before.settings);
    if let (Some(members), true) = (document.as_object_mut(), patch.contains_key("source")) {
        // What belongs to one kind of source means nothing to another.
        members.remove("source");
    }
    body::merge(&mut document, Value::Object(patch));
    let settings: MapperSettings = body::from_value(document, "")?;
    let cause = call.cause().await?;
    reply(&call.state().tokens().mappers().update(&before, settings, &cause).await?)
}

async fn delete(call: Call) -> Result<Reply, Refused> {
    let mapper = mapper(&call).await?;
    may_speak(&call, mapper.client).await?;
    let (version, cause) = (call.if_match()?, call.cause().await?);
    call.state().tokens().mappers().delete((call.tenant_id(), mapper.id), version, &cause).await?;
    Ok(Reply::done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyreeve_tokens::mappers::Source;
    use std::collections::BTreeSet;

    #[test]
    fn every_setting_is_described() {
        let settings = written(&MapperSettings::new("x", Source::TenantRoles {}, "roles").unwrap());
        let known: BTreeSet<&str> = settings.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(known, DESCRIBED.iter().copied().collect());
    }
}
