//! Service accounts: what programs sign in as, and their secrets.

use crate::call::{Call, Made};
use crate::operation::{Operation, Table};
use crate::paging::PAGING;
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::resources::PartyRef;
use crate::resources::users::{GroupsOfDoc, RolesOfDoc, groups_of, roles_of};
use crate::search::{self, SEARCHING};
use crate::when::When;
use keyreeve_base::ServiceAccountId;
use keyreeve_filter::Path;
use keyreeve_identity::search::ServiceField;
use keyreeve_identity::service_accounts::{SecretInfo, ServiceAccount};
use keyreeve_identity::{NewServiceAccount, Party, Patch, ServiceAccountPatch};
use keyreeve_tokens::scope::{GROUPS_READ, ROLES_READ, SERVICE_ACCOUNTS_READ, SERVICE_ACCOUNTS_WRITE};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

pub(super) fn table() -> Table {
    use Asks::{CreateServiceAccount, ManageServiceAccount, SeeServiceAccount, Visible};
    Table::new("Service accounts")
        .add(
            Operation::get("/api/v1/service-accounts", "list_service_accounts")
                .says("Search service accounts", "In the order of their making where no other is asked for.")
                .needs(SERVICE_ACCOUNTS_READ, Visible)
                .query(PAGING)
                .query(SEARCHING)
                .pages::<ServiceAccountDoc>("A page of service accounts."),
            list,
        )
        .add(
            Operation::post("/api/v1/service-accounts", "create_service_account")
                .says("Make a service account", "Without a secret yet. Names are unique in every spelling.")
                .needs(SERVICE_ACCOUNTS_WRITE, CreateServiceAccount)
                .takes::<NewServiceAccountDoc>()
                .creates::<ServiceAccountDoc>("The new service account."),
            create,
        )
        .add(
            Operation::get("/api/v1/service-accounts/{id}", "get_service_account")
                .says("Read a service account", "")
                .needs(SERVICE_ACCOUNTS_READ, SeeServiceAccount)
                .answers::<ServiceAccountDoc>("The service account.")
                .versioned(),
            get,
        )
        .add(
            Operation::patch("/api/v1/service-accounts/{id}", "update_service_account")
                .says("Change a service account", "A JSON merge patch; `attributes` are replaced as a whole.")
                .needs(SERVICE_ACCOUNTS_WRITE, ManageServiceAccount)
                .takes::<ServiceAccountPatchDoc>()
                .answers::<ServiceAccountDoc>("The service account as it is now.")
                .versioned()
                .conflicts(),
            update,
        )
        .add(
            Operation::delete("/api/v1/service-accounts/{id}", "delete_service_account")
                .says("Remove a service account", "With its secrets, memberships and roles.")
                .needs(SERVICE_ACCOUNTS_WRITE, ManageServiceAccount)
                .versioned(),
            delete,
        )
        .add(
            Operation::get("/api/v1/service-accounts/{id}/secrets", "list_service_account_secrets")
                .says("List the secrets of a service account", "Everything but the secrets themselves, oldest first.")
                .needs(SERVICE_ACCOUNTS_READ, ManageServiceAccount)
                .answers::<SecretsDoc>("The secrets."),
            secrets,
        )
        .add(
            Operation::post("/api/v1/service-accounts/{id}/secrets", "create_service_account_secret")
                .says(
                    "Make a secret",
                    "It is shown this once. Others stay good; at most ten are at once. A repeated request is not shown it again.",
                )
                .needs(SERVICE_ACCOUNTS_WRITE, ManageServiceAccount)
                .takes::<NewSecretDoc>()
                .creates::<IssuedSecretDoc>("The new secret."),
            create_secret,
        )
        .add(
            Operation::delete("/api/v1/service-accounts/{id}/secrets/{secret}", "delete_service_account_secret")
                .says("End a secret at once", "")
                .needs(SERVICE_ACCOUNTS_WRITE, ManageServiceAccount),
            delete_secret,
        )
        .add(
            Operation::get("/api/v1/service-accounts/{id}/groups", "list_groups_of_service_account")
                .says("List the groups of a service account", "")
                .needs(GROUPS_READ, SeeServiceAccount)
                .answers::<GroupsOfDoc>("The groups."),
            groups,
        )
        .add(
            Operation::get("/api/v1/service-accounts/{id}/roles", "list_roles_of_service_account")
                .says("List the roles of a service account", "")
                .needs(ROLES_READ, SeeServiceAccount)
                .answers::<RolesOfDoc>("The roles."),
            roles,
        )
}

/// A service account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServiceAccount)]
struct ServiceAccountDoc {
    /// The identifier; never given out again.
    id: Uuid,
    /// The name; unique in the tenant in every spelling.
    name: String,
    /// What it is for.
    description: Option<String>,
    attributes: BTreeMap<String, Vec<String>>,
    /// Whether it is in use.
    enabled: bool,
    /// When it is over by itself.
    expires_at: Option<When>,
    /// The user or group that answers for it: without an active owner it is not admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<PartyRef>,
    /// How long its access tokens live, in seconds, where that is not as long as the tenant's others.
    token_lifetime_s: Option<u32>,
    created_at: When,
    updated_at: When,
    /// Counts the changes; also the `ETag`. Secrets coming and going are none.
    version: i64,
}

impl From<&ServiceAccount> for ServiceAccountDoc {
    fn from(account: &ServiceAccount) -> Self {
        Self {
            id: account.id.uuid(),
            name: account.name.clone(),
            description: account.description.clone(),
            attributes: account.attributes.clone(),
            enabled: account.enabled,
            expires_at: account.expires_at.map(When::from),
            owner: account.owner.map(PartyRef::from),
            token_lifetime_s: account.token_lifetime_s,
            created_at: account.created_at.into(),
            updated_at: account.updated_at.into(),
            version: account.version,
        }
    }
}

const fn yes() -> bool {
    true
}

/// A service account to make.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewServiceAccount)]
#[serde(deny_unknown_fields)]
struct NewServiceAccountDoc {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, Vec<String>>,
    /// Whether it is in use from the start.
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    expires_at: Option<When>,
    /// The user or group that answers for it.
    #[serde(default)]
    owner: Option<PartyRef>,
    #[serde(default)]
    token_lifetime_s: Option<u32>,
}

/// What to change of a service account.
#[derive(Deserialize, ToSchema)]
#[schema(as = ServiceAccountPatch)]
#[serde(deny_unknown_fields)]
struct ServiceAccountPatchDoc {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Patch<String>,
    #[serde(default)]
    attributes: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    #[schema(value_type = Option<When>)]
    expires_at: Patch<When>,
    #[serde(default)]
    #[schema(value_type = Option<PartyRef>)]
    owner: Patch<PartyRef>,
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    token_lifetime_s: Patch<u32>,
}

/// A secret, without the secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Secret)]
pub(super) struct SecretDoc {
    /// Its identifier, which is no secret.
    pub(super) id: Uuid,
    pub(super) created_at: When,
    /// When it is over by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<When>,
    /// When it was last used, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_used_at: Option<When>,
}

impl From<&SecretInfo> for SecretDoc {
    fn from(info: &SecretInfo) -> Self {
        Self {
            id: info.id,
            created_at: info.created_at.into(),
            expires_at: info.expires_at.map(When::from),
            last_used_at: info.last_used_at.map(When::from),
        }
    }
}

/// The secrets of somebody, without the secrets.
#[derive(Serialize, ToSchema)]
#[schema(as = Secrets)]
pub(super) struct SecretsDoc {
    pub(super) items: Vec<SecretDoc>,
}

/// A secret to make.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewSecret)]
#[serde(deny_unknown_fields)]
struct NewSecretDoc {
    /// For how many seconds it is good; for ever where it is not said.
    #[serde(default)]
    #[schema(minimum = 1)]
    lasts_s: Option<u32>,
}

/// A secret that was just made.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuedSecret)]
pub(super) struct IssuedSecretDoc {
    /// Its identifier, which is no secret.
    pub(super) id: Uuid,
    pub(super) created_at: When,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<When>,
    /// The secret, shown this once: absent when the same request was made before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<String>,
}

fn reply(account: &ServiceAccount) -> Result<Reply, Refused> {
    Ok(Reply::ok(&ServiceAccountDoc::from(account))?.version(account.version))
}

fn field(path: &Path) -> Option<ServiceField> {
    let known = [
        ("id", ServiceField::Id),
        ("name", ServiceField::Name),
        ("description", ServiceField::Description),
        ("enabled", ServiceField::Enabled),
        ("owner", ServiceField::Owner),
        ("group", ServiceField::Group),
        ("role", ServiceField::Role),
        ("created_at", ServiceField::CreatedAt),
        ("updated_at", ServiceField::UpdatedAt),
    ];
    known.into_iter().find(|(name, _)| path.is(name)).map(|(_, field)| field)
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let (paging, search) = search::read(&call, field)?;
    search::reply::<_, ServiceAccountDoc>(
        &paging,
        call.identity().service_accounts().search(call.authority(), search).await,
    )
}

async fn create(call: Call) -> Result<Reply, Refused> {
    let doc: NewServiceAccountDoc = call.body()?;
    let owner = doc.owner.map(Party::from);
    call.may_own(owner)?;
    let new = NewServiceAccount {
        name: doc.name,
        description: doc.description,
        attributes: doc.attributes,
        enabled: doc.enabled,
        expires_at: doc.expires_at.map(|at| at.0),
        owner,
        token_lifetime_s: doc.token_lifetime_s,
    };
    let accounts = call.identity().service_accounts();
    let made = Made::of(accounts.create(call.tenant_id(), new, &call.cause().await?).await)?;
    let (id, replayed) = made.id(|account| account.id.uuid());
    let account = accounts.get(call.tenant_id(), ServiceAccountId::from_uuid(id)).await?;
    let reply =
        Reply::created(&ServiceAccountDoc::from(&*account), format!("/api/v1/service-accounts/{id}"))?;
    Ok(reply.version(account.version).replayed(replayed))
}

async fn get(call: Call) -> Result<Reply, Refused> {
    reply(&*call.service_account().await?)
}

async fn update(call: Call) -> Result<Reply, Refused> {
    let doc: ServiceAccountPatchDoc = call.body()?;
    let account = call.service_account().await?;
    let owner = match doc.owner {
        Patch::Keep => Patch::Keep,
        Patch::Clear => {
            call.may_own(None)?;
            Patch::Clear
        }
        Patch::Set(owner) => {
            call.may_own(Some(owner.into()))?;
            Patch::Set(owner.into())
        }
    };
    let patch = ServiceAccountPatch {
        name: doc.name,
        description: doc.description,
        attributes: doc.attributes,
        enabled: doc.enabled,
        expires_at: match doc.expires_at {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(at) => Patch::Set(at.0),
        },
        owner,
        token_lifetime_s: doc.token_lifetime_s,
    };
    let (which, version) = ((call.tenant_id(), account.id), call.if_match()?);
    reply(&*call.identity().service_accounts().update(which, patch, version, &call.cause().await?).await?)
}

async fn delete(call: Call) -> Result<Reply, Refused> {
    let account = call.service_account().await?;
    call.identity()
        .service_accounts()
        .delete((call.tenant_id(), account.id), call.if_match()?, &call.cause().await?)
        .await?;
    Ok(Reply::done())
}

async fn secrets(call: Call) -> Result<Reply, Refused> {
    let account = call.service_account().await?;
    let found = call.identity().service_accounts().secrets(call.tenant_id(), account.id).await?;
    Reply::ok(&SecretsDoc { items: found.iter().map(SecretDoc::from).collect() })
}

async fn create_secret(call: Call) -> Result<Reply, Refused> {
    let doc: NewSecretDoc = call.body()?;
    if doc.lasts_s == Some(0) {
        return Err(Refused::of(crate::refused::UNACCEPTABLE).at("/lasts_s", "must be at least 1"));
    }
    let account = call.service_account().await?;
    let (accounts, which) = (call.identity().service_accounts(), (call.tenant_id(), account.id));
    let lasts = doc.lasts_s.map(|seconds| Duration::from_secs(u64::from(seconds)));
    let made = Made::of(accounts.add_secret(which, lasts, &call.cause().await?).await)?;
    let (id, replayed) = made.id(|issued| issued.info.id);
    let (info, secret) = match made {
        Made::Now(issued) => (issued.info, Some(issued.secret.expose().to_owned())),
        Made::Before(_) => {
            let all = accounts.secrets(call.tenant_id(), account.id).await?;
            let info =
                all.into_iter().find(|info| info.id == id).ok_or_else(|| Refused::not_found("secret"))?;
            (info, None)
        }
    };
    let doc = IssuedSecretDoc {
        id,
        created_at: info.created_at.into(),
        expires_at: info.expires_at.map(When::from),
        secret,
    };
    let place = format!("/api/v1/service-accounts/{}/secrets/{id}", account.id);
    Ok(Reply::created(&doc, place)?.replayed(replayed))
}

async fn delete_secret(call: Call) -> Result<Reply, Refused> {
    let account = call.service_account().await?;
    let secret: ServiceAccountId = call.id("secret")?;
    let which = (call.tenant_id(), account.id);
    let accounts = call.identity().service_accounts();
    if accounts.revoke_secret(which, secret.uuid(), &call.cause().await?).await? {
        Ok(Reply::done())
    } else {
        Err(Refused::not_found("secret"))
    }
}

async fn groups(call: Call) -> Result<Reply, Refused> {
    let account = call.service_account().await?;
    Reply::ok(&groups_of(&call, Party::Service(account.id)).await?)
}

async fn roles(call: Call) -> Result<Reply, Refused> {
    let account = call.service_account().await?;
    Reply::ok(&roles_of(&call, Party::Service(account.id)).await?)
}
