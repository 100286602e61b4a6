//! OAuth clients and their secrets.
//!
//! A client's settings are one document, which the tokens room reads and checks; [`ClientSettingsDoc`] describes it, and a
//! test holds the description to what the room writes.

use crate::body;
use crate::call::{Call, Made};
use crate::operation::{Operation, QueryKind, QueryParam, Table};
use crate::paging::PAGING;
use crate::policy::Asks;
use crate::refused::{Refused, UNACCEPTABLE};
use crate::reply::Reply;
use crate::resources::service_accounts::{IssuedSecretDoc, SecretDoc, SecretsDoc};
use crate::when::When;
use keyreeve_base::ClientId;
use keyreeve_tokens::clients::SecretInfo;
use keyreeve_tokens::scope::{CLIENTS_READ, CLIENTS_WRITE};
use keyreeve_tokens::{Client, ClientSettings, NewClient};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

/// The longest overlap of two secrets, in seconds: 90 days.
const MAX_OVERLAP_S: u32 = 90 * 86_400;

const CLIENT_ID: QueryParam =
    QueryParam { name: "client_id", description: "Only the client of this name.", kind: QueryKind::Text };

pub(super) fn table() -> Table {
    use Asks::Tenant;
    Table::new("OAuth clients")
        .add(
            Operation::get("/api/v1/clients", "list_clients")
                .says("List OAuth clients", "In the order of their making.")
                .needs(CLIENTS_READ, Tenant)
                .query(PAGING)
                .query(&[CLIENT_ID])
                .pages::<ClientDoc>("A page of clients."),
            list,
        )
        .add(
            Operation::post("/api/v1/clients", "create_client")
                .says(
                    "Register an OAuth client",
                    "A client that authenticates by a secret gets its first one, which is shown this once; a repeated request is \
                     not shown it again. Scopes of this API can be given by whoever has them.",
                )
                .needs(CLIENTS_WRITE, Tenant)
                .takes::<NewClientDoc>()
                .creates::<NewClientAnswerDoc>("The new client, and its secret."),
            create,
        )
        .add(
            Operation::get("/api/v1/clients/{id}", "get_client")
                .says("Read an OAuth client", "")
                .needs(CLIENTS_READ, Tenant)
                .answers::<ClientDoc>("The client.")
                .versioned(),
            get,
        )
        .add(
            Operation::patch("/api/v1/clients/{id}", "update_client")
                .says("Change an OAuth client", "A JSON merge patch of its settings; `null` sets a setting to its default.")
                .needs(CLIENTS_WRITE, Tenant)
                .takes::<ClientPatchDoc>()
                .answers::<ClientDoc>("The client as it is now.")
                .versioned(),
            update,
        )
        .add(
            Operation::delete("/api/v1/clients/{id}", "delete_client")
                .says("Remove an OAuth client", "With its secrets, grants, consents and roles. Its tokens end with it.")
                .needs(CLIENTS_WRITE, Tenant),
            delete,
        )
        .add(
            Operation::get("/api/v1/clients/{id}/secrets", "list_client_secrets")
                .says("List the secrets of an OAuth client", "Everything but the secrets themselves, oldest first.")
                .needs(CLIENTS_READ, Tenant)
                .answers::<SecretsDoc>("The secrets."),
            secrets,
        )
        .add(
            Operation::post("/api/v1/clients/{id}/secrets", "create_client_secret")
                .says(
                    "Make a secret",
                    "It is shown this once. The others go on working for `overlap_s` seconds. A repeated request is not shown it \
                     again.",
                )
                .needs(CLIENTS_WRITE, Tenant)
                .takes::<NewClientSecretDoc>()
                .creates::<IssuedSecretDoc>("The new secret."),
            create_secret,
        )
        .add(
            Operation::delete("/api/v1/clients/{id}/secrets/{secret}", "delete_client_secret")
                .says("End a secret at once", "")
                .needs(CLIENTS_WRITE, Tenant),
            delete_secret,
        )
}

macro_rules! settings_docs {
    ($($(#[$meta:meta])* $field:ident: $kind:ty,)*) => {
        /// An OAuth client. Its secrets are not part of it.
        #[derive(Serialize, ToSchema)]
        #[schema(as = Client)]
        #[allow(dead_code, reason = "it describes what is written")]
        struct ClientDoc {
            /// The identifier of the registration.
            id: Uuid,
            /// The name on the wire.
            client_id: String,
            /// What people see.
            name: String,
            $($(#[$meta])* $field: $kind,)*
            created_at: When,
            updated_at: When,
            /// Counts the changes; also the `ETag`.
            version: i64,
        }

        /// An OAuth client that was just registered.
        #[derive(Serialize, ToSchema)]
        #[schema(as = NewClientAnswer)]
        #[allow(dead_code, reason = "it describes what is written")]
        struct NewClientAnswerDoc {
            id: Uuid,
            client_id: String,
            /// The secret, shown this once: absent when the client has none or the same request was made before.
            client_secret: Option<String>,
            name: String,
            $($(#[$meta])* $field: $kind,)*
            created_at: When,
            updated_at: When,
            version: i64,
        }

        /// An OAuth client to register. Only `name` is needed.
        #[derive(Serialize, ToSchema)]
        #[schema(as = NewClient)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "it describes what is read")]
        struct NewClientDoc {
            /// The name on the wire; one is made up where there is none.
            client_id: Option<String>,
            name: String,
            $($(#[$meta])* #[schema(required = false)] $field: $kind,)*
        }

        /// What to change of an OAuth client.
        #[derive(Serialize, ToSchema)]
        #[schema(as = ClientPatch)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "it describes what is read")]
        struct ClientPatchDoc {
            name: Option<String>,
            $($(#[$meta])* #[schema(required = false, nullable)] $field: $kind,)*
        }

        /// The settings that are described.
        #[cfg(test)]
        const DESCRIBED: &[&str] = &[$(stringify!($field)),*];
    };
}

settings_docs! {
    /// How it authenticates: `none`, `client_secret_basic`, `client_secret_post` or `private_key_jwt`.
    auth_method: String,
    /// Its public keys (RFC 7517), for `private_key_jwt` and for signed requests.
    jwks: Vec<Map<String, Value>>,
    /// Where authorization responses may go; compared exactly.
    redirect_uris: Vec<String>,
    /// Where the browser may go after sign-out.
    post_logout_redirect_uris: Vec<String>,
    /// What it may ask the token endpoint for.
    grant_types: Vec<String>,
    /// Which scopes it may be given, separated by spaces.
    scopes: String,
    /// The audiences of its access tokens; empty: this server.
    audiences: Vec<String>,
    /// The audiences for which it answers as a resource server.
    resources: Vec<String>,
    /// Belongs to whoever runs this server: users are not asked for consent.
    first_party: bool,
    /// Whether a code challenge is demanded; always so for public clients.
    require_pkce: bool,
    /// `EdDSA`, `ES256` or `RS256`, where it is not the tenant's default.
    id_token_alg: Option<String>,
    /// `EdDSA`, `ES256` or `RS256`, where it is not the tenant's default.
    access_token_alg: Option<String>,
    /// Lifetimes of its own, in seconds.
    lifetimes: LifetimesDoc,
    /// What it may do by token exchange, beside narrowing.
    exchange: ExchangeDoc,
    /// Its home page.
    client_uri: Option<String>,
    /// Where it is told that a session has ended in which it got tokens.
    backchannel_logout_uri: Option<String>,
    /// Whether it must be told which session; it is told always.
    backchannel_logout_session_required: bool,
    /// Whether its authorization requests must be pushed (RFC 9126).
    require_pushed_authorization_requests: bool,
    /// Whether its authorization requests must be signed (RFC 9101).
    require_signed_request_object: bool,
    /// `EdDSA`, `ES256` or `RS256`, where its signed requests must have this one.
    request_object_signing_alg: Option<String>,
    /// Whether its access tokens are always bound to a key (DPoP, RFC 9449).
    dpop_bound_access_tokens: bool,
    /// Whether it may do anything at all.
    enabled: bool,
}

/// Lifetimes of a client's own, in seconds, where they differ from the tenant's.
#[derive(Serialize, ToSchema)]
#[schema(as = ClientLifetimes)]
#[allow(dead_code, reason = "it describes what the room reads and writes")]
struct LifetimesDoc {
    access_token_s: Option<u32>,
    id_token_s: Option<u32>,
    refresh_idle_s: Option<u32>,
    refresh_absolute_s: Option<u32>,
}

/// What a client may do by token exchange (RFC 8693), beside getting tokens for less of what it holds.
#[derive(Serialize, ToSchema)]
#[schema(as = ClientExchange)]
#[allow(dead_code, reason = "it describes what the room reads and writes")]
struct ExchangeDoc {
    /// The audiences for which it may get tokens in exchange for those that it was handed.
    audiences: Vec<String>,
    /// Whether it may get tokens that do not say that it acts for their subject.
    impersonation: bool,
}

/// A secret to make.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewClientSecret)]
#[serde(deny_unknown_fields)]
struct NewClientSecretDoc {
    /// For how many seconds the other secrets go on working, at most 90 days.
    #[serde(default)]
    #[schema(maximum = 7776000)]
    overlap_s: u32,
}

impl From<&SecretInfo> for SecretDoc {
    fn from(info: &SecretInfo) -> Self {
        Self {
            id: info.id,
            created_at: info.created_at.into(),
            expires_at: info.expires_at.map(When::from),
            last_used_at: None,
        }
    }
}

/// The document of a client, with the members that the room's settings do not have.
struct Document(Value);

impl Serialize for Document {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl From<&Client> for Document {
    fn from(client: &Client) -> Self {
        let mut document = written(&client.settings);
        if let Some(members) = document.as_object_mut() {
            // A setting that is left out where it is empty is told all the same.
            members.entry("jwks").or_insert_with(|| Value::Array(Vec::new()));
            members.insert("id".to_owned(), client.id.to_string().into());
            members.insert("client_id".to_owned(), client.client_id.clone().into());
            members.insert("created_at".to_owned(), client.created_at.to_string().into());
            members.insert("updated_at".to_owned(), client.updated_at.to_string().into());
            members.insert("version".to_owned(), client.version.into());
        }
        Self(document)
    }
}

/// Settings as a document. They are made of texts, numbers and lists, which always print.
fn written(settings: &ClientSettings) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

fn reply(client: &Client) -> Result<Reply, Refused> {
    Ok(Reply::ok(&Document::from(client))?.version(client.version))
}

/// The client that the path names.
async fn client(call: &Call) -> Result<Client, Refused> {
    Ok(call.state().tokens().clients().get(call.tenant_id(), call.id("id")?).await?)
}

/// The client, if the token opens all that the client's own tokens could: to change it, or to get a secret of it, is to
/// get such tokens.
async fn client_to_change(call: &Call) -> Result<Client, Refused> {
    let client = client(call).await?;
    call.may_open(&client.settings.scopes)?;
    Ok(client)
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let paging = call.paging()?;
    let (after, clients) = (paging.after_id()?, call.state().tokens().clients());
    if let Some(name) = call.query().get("client_id") {
        let found = clients.by_client_id(call.tenant_id(), name).await?;
        let items: Vec<Document> = found.iter().map(|client| Document::from(&**client)).collect();
        return paging.reply(&items, None, None);
    }
    let found = clients.list(call.tenant_id(), after, paging.with_one_more()).await?;
    paging.page::<_, Document>(found, |client| client.id.to_string())
}

async fn create(call: Call) -> Result<Reply, Refused> {
    let mut document: Map<String, Value> = call.body()?;
    let client_id = match document.remove("client_id") {
        None | Some(Value::Null) => None,
        Some(value) => Some(body::from_value::<String>(value, "/client_id")?),
    };
    let settings: ClientSettings = body::from_value(Value::Object(document), "")?;
    call.may_open(&settings.scopes)?;
    let new = NewClient { tenant_id: call.tenant_id(), client_id, settings };
    let clients = call.state().tokens().clients();
    let made = Made::of(clients.create(new, &call.cause().await?).await)?;
    let (id, replayed) = made.id(|(client, _)| client.id.uuid());
    let (client, secret) = match made {
        Made::Now((client, secret)) => (Client::clone(&client), secret),
        Made::Before(_) => (clients.get(call.tenant_id(), ClientId::from_uuid(id)).await?, None),
    };
    let Document(mut document) = Document::from(&client);
    if let (Some(secret), Some(members)) = (&secret, document.as_object_mut()) {
        members.insert("client_secret".to_owned(), secret.expose().into());
    }
    let reply = Reply::created(&document, format!("/api/v1/clients/{id}"))?;
    Ok(reply.version(client.version).replayed(replayed))
}

async fn get(call: Call) -> Result<Reply, Refused> {
    reply(&client(&call).await?)
}

async fn update(call: Call) -> Result<Reply, Refused> {
    let patch: Map<String, Value> = call.body()?;
    let before = client_to_change(&call).await?;
    if call.if_match()?.is_some_and(|version| version != before.version) {
        return Err(keyreeve_tokens::Error::VersionConflict.into());
    }
    let mut document = written(&before.settings);
    body::merge(&mut document, Value::Object(patch));
    let settings: ClientSettings = body::from_value(document, "")?;
    call.may_open(&settings.scopes)?;
    let cause = call.cause().await?;
    reply(&call.state().tokens().clients().update(&before, settings, &cause).await?)
}

async fn delete(call: Call) -> Result<Reply, Refused> {
    let client = client_to_change(&call).await?;
    let cause = call.cause().await?;
    call.state().tokens().clients().delete(call.tenant_id(), client.id, &cause).await?;
    Ok(Reply::done())
}

async fn secrets(call: Call) -> Result<Reply, Refused> {
    let client = client(&call).await?;
    let found = call.state().tokens().clients().secrets(&client).await?;
    Reply::ok(&SecretsDoc { items: found.iter().map(SecretDoc::from).collect() })
}

async fn create_secret(call: Call) -> Result<Reply, Refused> {
    let doc: NewClientSecretDoc = call.body()?;
    if doc.overlap_s > MAX_OVERLAP_S {
        return Err(Refused::of(UNACCEPTABLE).at("/overlap_s", format!("must be at most {MAX_OVERLAP_S}")));
    }
    let client = client_to_change(&call).await?;
    let (clients, cause) = (call.state().tokens().clients(), call.cause().await?);
    let overlap = Duration::from_secs(u64::from(doc.overlap_s));
    let made = Made::of(clients.add_secret(&client, overlap, &cause).await)?;
    let (id, replayed) = made.id(|(info, _)| info.id);
    let (info, secret) = match made {
        Made::Now((info, secret)) => (info, Some(secret.expose().to_owned())),
        Made::Before(_) => {
            let all = clients.secrets(&client).await?;
            let info =
                all.into_iter().find(|info| info.id == id).ok_or_else(|| Refused::not_found("secret"))?;
            (info, None)
        }
    };
    let expires_at = info.expires_at.map(When::from);
    let doc = IssuedSecretDoc { id, created_at: info.created_at.into(), expires_at, secret };
    Ok(Reply::created(&doc, format!("/api/v1/clients/{}/secrets/{id}", client.id))?.replayed(replayed))
}

async fn delete_secret(call: Call) -> Result<Reply, Refused> {
    let client = client_to_change(&call).await?;
    let secret: ClientId = call.id("secret")?;
    let cause = call.cause().await?;
    call.state().tokens().clients().revoke_secret(&client, secret.uuid(), &cause).await?;
    Ok(Reply::done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_setting_is_described() {
        let settings = written(&ClientSettings::new("x"));
        let mut known: BTreeSet<&str> = settings.as_object().unwrap().keys().map(String::as_str).collect();
        known.insert("jwks");
        let described: BTreeSet<&str> = DESCRIBED.iter().copied().chain(["name"]).collect();
        assert_eq!(known, described);
    }
}
