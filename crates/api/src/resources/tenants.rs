//! Tenants: all of them for administrators of the default tenant, one's own for its administrators.
//!
//! Settings and token policy are documents that the rooms read and check; they are changed by merge patches.

use crate::body;
use crate::call::{Call, Made};
use crate::operation::{Operation, Table};
use crate::paging::PAGING;
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::resources::users::UserDoc;
use crate::when::When;
use keyreeve_base::{TenantId, UserId};
use keyreeve_crypto::Secret;
use keyreeve_identity::{Credential, NewTenant, NewUser, Profile, Tenant, TenantPatch, TenantSettings};
use keyreeve_tokens::TokenPolicy;
use keyreeve_tokens::scope::{ADMIN, TENANTS_READ, TENANTS_WRITE};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

pub(super) fn table() -> Table {
    own(all(Table::new("Tenants")))
}

fn all(table: Table) -> Table {
    let state = |path, id, summary| {
        Operation::post(path, id)
            .says(summary, "")
            .needs(TENANTS_WRITE, Asks::Tenants)
            .answers::<TenantDoc>("The tenant as it is now.")
    };
    table
        .add(
            Operation::get("/api/v1/tenants", "list_tenants")
                .says("List tenants", "In the order of their making, archived ones among them.")
                .needs(TENANTS_READ, Asks::Tenants)
                .query(PAGING)
                .pages::<TenantDoc>("A page of tenants."),
            list,
        )
        .add(
            Operation::post("/api/v1/tenants", "create_tenant")
                .says("Make a tenant", "A slug that was ever used is taken for good.")
                .needs(TENANTS_WRITE, Asks::Tenants)
                .takes::<NewTenantDoc>()
                .creates::<TenantDoc>("The new tenant."),
            create,
        )
        .add(
            Operation::get("/api/v1/tenants/{id}", "get_tenant")
                .says("Read a tenant", "")
                .needs(TENANTS_READ, Asks::Tenants)
                .answers::<TenantDoc>("The tenant.")
                .versioned(),
            get,
        )
        .add(
            Operation::patch("/api/v1/tenants/{id}", "update_tenant")
                .says("Change a tenant", "A JSON merge patch; a setting that is `null` gets its default.")
                .needs(TENANTS_WRITE, Asks::Tenants)
                .takes::<TenantPatchDoc>()
                .answers::<TenantDoc>("The tenant as it is now.")
                .versioned(),
            update,
        )
        .add(
            Operation::delete("/api/v1/tenants/{id}", "archive_tenant")
                .says("Archive a tenant", "Nobody is admitted any more, and there is no way back.")
                .needs(TENANTS_WRITE, Asks::Tenants),
            archive,
        )
        .add(state("/api/v1/tenants/{id}/enable", "enable_tenant", "Let people into a tenant"), |call| {
            enable(call, true)
        })
        .add(state("/api/v1/tenants/{id}/disable", "disable_tenant", "Let nobody into a tenant"), |call| {
            enable(call, false)
        })
        .add(
            Operation::post("/api/v1/tenants/{id}/administrators", "create_tenant_administrator")
                .says(
                    "Make a user who administers a tenant",
                    "The way into a tenant that has no administrator yet.",
                )
                .needs(ADMIN, Asks::Tenants)
                .takes::<NewAdministratorDoc>()
                .creates::<UserDoc>("The new user."),
            create_administrator,
        )
}

fn own(table: Table) -> Table {
    table
        .add(
            Operation::get("/api/v1/tenant", "get_own_tenant")
                .says("Read one's own tenant", "")
                .needs(TENANTS_READ, Asks::Tenant)
                .answers::<TenantDoc>("The tenant.")
                .versioned(),
            get_own,
        )
        .add(
            Operation::patch("/api/v1/tenant", "update_own_tenant")
                .says("Change one's own tenant", "A JSON merge patch; a setting that is `null` gets its default.")
                .needs(TENANTS_WRITE, Asks::Tenant)
                .takes::<OwnTenantPatchDoc>()
                .answers::<TenantDoc>("The tenant as it is now.")
                .versioned(),
            update_own,
        )
        .add(
            Operation::get("/api/v1/tenant/token-policy", "get_token_policy")
                .says("Read the token policy of one's own tenant", "")
                .needs(TENANTS_READ, Asks::Tenant)
                .answers::<TokenPolicyDoc>("The policy."),
            get_policy,
        )
        .add(
            Operation::patch("/api/v1/tenant/token-policy", "update_token_policy")
                .says(
                    "Change the token policy of one's own tenant",
                    "A JSON merge patch; what is `null` gets its default. What was issued before keeps the life that it was given.",
                )
                .needs(TENANTS_WRITE, Asks::Tenant)
                .takes::<TokenPolicyDoc>()
                .answers::<TokenPolicyDoc>("The policy as it is now."),
            update_policy,
        )
}

/// A tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = Tenant)]
struct TenantDoc {
    /// The identifier.
    id: Uuid,
    /// Its name in URLs.
    slug: String,
    /// Its name for people.
    name: String,
    /// Its issuer: the address below which its endpoints lie.
    issuer: String,
    /// Whether people are let in.
    enabled: bool,
    /// When it was archived, for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    archived_at: Option<When>,
    /// What its administrators set.
    #[schema(value_type = TenantSettingsDoc)]
    settings: Value,
    created_at: When,
    updated_at: When,
    /// Counts the changes; also the `ETag`.
    version: i64,
}

macro_rules! settings_docs {
    ($($(#[$meta:meta])* $name:ident $shown:ident { $($(#[$about:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Serialize, ToSchema)]
        #[schema(as = $shown)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "it describes what the rooms read and write")]
        struct $name { $($(#[$about])* $field: Option<$kind>,)* }

        #[cfg(test)]
        impl $name {
            const FIELDS: &[&str] = &[$(stringify!($field)),*];
        }
    )*};
}

settings_docs! {
    /// What administrators of a tenant set. What is left out has its default.
    TenantSettingsDoc TenantSettings {
        /// What a password must be like.
        password: PasswordPolicyDoc,
        /// How guessing is slowed down.
        throttle: ThrottlePolicyDoc,
        /// How long a browser session lives.
        session: SessionPolicyDoc,
        /// What the directory may look like.
        directory: DirectoryPolicyDoc,
        /// How long links by mail work.
        recovery: RecoveryPolicyDoc,
    }
    /// What a new password must be like.
    PasswordPolicyDoc PasswordPolicy {
        /// The least number of characters, 8 to 128.
        min_chars: u16,
        /// How many of the latest passwords may not be used again, at most 24.
        history: u8,
        /// After how many days a password must be replaced; never by default.
        max_age_days: u16,
        /// Refuse passwords made of the user's own names.
        refuse_own_names: bool,
        /// Refuse passwords that everyone tries first.
        refuse_common: bool,
    }
    /// How guessing is slowed down.
    ThrottlePolicyDoc ThrottlePolicy {
        /// Failures of one name from one address before each further one costs a delay.
        free_failures: u16,
        /// The first delay, in seconds; it doubles with each failure.
        first_delay_s: u32,
        /// The longest delay, in seconds.
        longest_delay_s: u32,
        /// After how many quiet seconds such a count is forgotten.
        forget_after_s: u32,
        /// Failures of one name within `window_s` before it is locked for the rest of it.
        name_failures: u32,
        /// Failures of one address within `window_s` before it must wait for the rest of it.
        address_failures: u32,
        /// The window of the two, in seconds.
        window_s: u32,
        /// How long a browser counts as the user's own after a sign-in, in days.
        device_days: u16,
        /// How often one caller may ask within `window_s` whether a name is free.
        availability_asks: u32,
        /// How many mails one account is sent within `mail_window_s`.
        mails_per_account: u32,
        /// How often one address may ask for mails within `mail_window_s`.
        mail_asks: u32,
        /// The window of the two, in seconds.
        mail_window_s: u32,
    }
    /// How long a browser session lives.
    SessionPolicyDoc SessionPolicy {
        /// Seconds without use after which it is over.
        idle_s: u32,
        /// Seconds after the sign-in at which it is over in any case.
        absolute_s: u32,
    }
    /// How long links by mail work.
    RecoveryPolicyDoc RecoveryPolicy {
        /// Seconds for which a link to choose a new password works.
        reset_s: u32,
        /// Seconds for which a link to confirm an e-mail address works.
        verify_s: u32,
    }
    /// What the directory may look like.
    DirectoryPolicyDoc DirectoryPolicy {
        /// How many groups a chain of nested groups may have.
        max_depth: u16,
    }
    /// How long tokens live, and what a tenant allows. Lifetimes are in seconds.
    TokenPolicyDoc TokenPolicy {
        /// Life of an access token.
        access_token_s: u32,
        /// Life of an ID token.
        id_token_s: u32,
        /// Life of an authorization code.
        code_s: u32,
        /// A grant dies when its refresh token lies unused for this long.
        refresh_idle_s: u32,
        /// A grant dies this long after the sign-in, however often it is refreshed.
        refresh_absolute_s: u32,
        /// The signature algorithm where a client names none: `EdDSA`, `ES256` or `RS256`.
        default_alg: String,
        /// Whether the resource owner password credentials grant is open.
        password_grant: bool,
        /// Whether a DPoP proof must contain a nonce of this server's (RFC 9449 section 8).
        require_dpop_nonce: bool,
        /// A signing key signs for this long before the next one takes over.
        key_rotation_s: u32,
        /// Who may register clients, and what these can be.
        registration: RegistrationPolicyDoc,
    }
    /// Who may register clients (RFC 7591), and what these can be.
    RegistrationPolicyDoc RegistrationPolicy {
        /// Whether anybody may.
        open: bool,
        /// Whether whoever shows an initial access token may.
        initial_token: bool,
        /// The hosts to which redirect URIs may lead, each exactly; `*`: any. Empty: none.
        redirect_hosts: Vec<String>,
        /// The grant types that can be had.
        grant_types: Vec<String>,
        /// The scopes that can be had, separated by spaces.
        scopes: String,
        /// How many clients there can be that registered themselves.
        max_clients: u32,
    }
}

/// A tenant to make.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewTenant)]
#[serde(deny_unknown_fields)]
struct NewTenantDoc {
    /// Its name in URLs, for good.
    slug: String,
    /// Its name for people; the slug where it is not said.
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<TenantSettingsDoc>)]
    settings: Option<Map<String, Value>>,
}

/// What to change of a tenant.
#[derive(Deserialize, ToSchema)]
#[schema(as = TenantPatch)]
#[serde(deny_unknown_fields)]
struct TenantPatchDoc {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    #[schema(value_type = Option<TenantSettingsDoc>)]
    settings: Option<Map<String, Value>>,
}

/// What to change of one's own tenant.
#[derive(Deserialize, ToSchema)]
#[schema(as = OwnTenantPatch)]
#[serde(deny_unknown_fields)]
struct OwnTenantPatchDoc {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<TenantSettingsDoc>)]
    settings: Option<Map<String, Value>>,
}

/// A user to make who administers the tenant.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewAdministrator)]
#[serde(deny_unknown_fields)]
struct NewAdministratorDoc {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    email: Option<String>,
    /// A password, which must be changed at the first sign-in.
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

fn document(call: &Call, tenant: &Tenant) -> TenantDoc {
    TenantDoc {
        id: tenant.id.uuid(),
        slug: tenant.slug.clone(),
        name: tenant.name.clone(),
        issuer: call.state().tokens().issuer(tenant),
        enabled: tenant.enabled,
        archived_at: tenant.archived_at.map(When::from),
        settings: written(&tenant.settings),
        created_at: tenant.created_at.into(),
        updated_at: tenant.updated_at.into(),
        version: tenant.version,
    }
}

/// Settings as a document. They are made of numbers and truth values, which always print.
fn written(settings: &impl Serialize) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

/// The settings after a patch.
fn patched(before: &TenantSettings, patch: Map<String, Value>) -> Result<TenantSettings, Refused> {
    let mut document = written(before);
    body::merge(&mut document, Value::Object(patch));
    body::from_value(document, "/settings")
}

fn reply(call: &Call, tenant: &Tenant) -> Result<Reply, Refused> {
    Ok(Reply::ok(&document(call, tenant))?.version(tenant.version))
}

/// The tenant that the path names.
async fn tenant(call: &Call) -> Result<Arc<Tenant>, Refused> {
    let id: TenantId = call.id("id")?;
    Ok(call.identity().tenants().get(id).await?)
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let paging = call.paging()?;
    let found = call.identity().tenants().list(paging.after_id()?, paging.with_one_more()).await?;
    let more = found.len() > usize::from(paging.limit);
    let items: Vec<_> =
        found.iter().take(usize::from(paging.limit)).map(|tenant| document(&call, tenant)).collect();
    let next = items.last().filter(|_| more).map(|last| last.id.to_string());
    paging.reply(&items, next.as_deref(), None)
}

async fn create(call: Call) -> Result<Reply, Refused> {
    let doc: NewTenantDoc = call.body()?;
    let settings = patched(&TenantSettings::default(), doc.settings.unwrap_or_default())?;
    let name = doc.name.unwrap_or_else(|| doc.slug.clone());
    let tenants = call.identity().tenants();
    let new = NewTenant { slug: doc.slug, name, settings };
    let made = Made::of(tenants.create(new, &call.cause().await?).await)?;
    let (id, replayed) = made.id(|tenant| tenant.id.uuid());
    let tenant = tenants.get(TenantId::from_uuid(id)).await?;
    if !replayed {
        call.state().tokens().keys().prepare(tenant.id).await?;
    }
    let reply = Reply::created(&document(&call, &tenant), format!("/api/v1/tenants/{id}"))?;
    Ok(reply.version(tenant.version).replayed(replayed))
}

async fn get(call: Call) -> Result<Reply, Refused> {
    reply(&call, &*tenant(&call).await?)
}

async fn change(call: &Call, before: &Tenant, patch: TenantPatch) -> Result<Reply, Refused> {
    let version = call.if_match()?.unwrap_or(before.version);
    let cause = call.cause().await?;
    reply(call, &*call.identity().tenants().update(before.id, version, patch, &cause).await?)
}

async fn update(call: Call) -> Result<Reply, Refused> {
    let doc: TenantPatchDoc = call.body()?;
    let before = tenant(&call).await?;
    let settings = doc.settings.map(|patch| patched(&before.settings, patch)).transpose()?;
    let patch = TenantPatch { name: doc.name, enabled: doc.enabled, settings, archive: false };
    change(&call, &before, patch).await
}

async fn archive(call: Call) -> Result<Reply, Refused> {
    let before = tenant(&call).await?;
    change(&call, &before, TenantPatch { archive: true, ..TenantPatch::default() }).await?;
    Ok(Reply::done())
}

async fn enable(call: Call, enabled: bool) -> Result<Reply, Refused> {
    let before = tenant(&call).await?;
    change(&call, &before, TenantPatch { enabled: Some(enabled), ..TenantPatch::default() }).await
}

async fn create_administrator(call: Call) -> Result<Reply, Refused> {
    let doc: NewAdministratorDoc = call.body()?;
    let tenant = tenant(&call).await?;
    let new = NewUser {
        profile: Profile { username: doc.username, email: doc.email, ..Profile::default() },
        credential: Credential::Password(doc.password),
        must_change_password: true,
        tenant_administrator: true,
        ..NewUser::default()
    };
    let users = call.identity().users();
    let made = Made::of(users.create(tenant.id, new, &call.cause().await?).await)?;
    let (id, replayed) = made.id(|user| user.id.uuid());
    let user = users.get(tenant.id, UserId::from_uuid(id)).await?;
    let reply = Reply::created(&UserDoc::from(&*user), format!("/t/{}/api/v1/users/{id}", tenant.slug))?;
    Ok(reply.version(user.version).replayed(replayed))
}

async fn get_own(call: Call) -> Result<Reply, Refused> {
    reply(&call, call.tenant())
}

async fn update_own(call: Call) -> Result<Reply, Refused> {
    let doc: OwnTenantPatchDoc = call.body()?;
    let before = Arc::clone(call.tenant());
    let settings = doc.settings.map(|patch| patched(&before.settings, patch)).transpose()?;
    change(&call, &before, TenantPatch { name: doc.name, settings, ..TenantPatch::default() }).await
}

async fn get_policy(call: Call) -> Result<Reply, Refused> {
    Reply::ok(&written(&*call.state().tokens().policy(call.tenant_id()).await?))
}

async fn update_policy(call: Call) -> Result<Reply, Refused> {
    let patch: Map<String, Value> = call.body()?;
    let tokens = call.state().tokens();
    let mut document = written(&*tokens.policy(call.tenant_id()).await?);
    body::merge(&mut document, Value::Object(patch));
    let policy: TokenPolicy = body::from_value(document, "")?;
    call.may_open(&policy.registration.scopes)?;
    tokens.set_policy(call.tenant_id(), &policy, &call.cause().await?).await?;
    Reply::ok(&written(&policy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[track_caller]
    fn described(document: &Value, fields: &[&str]) {
        let known: BTreeSet<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(known, fields.iter().copied().collect());
    }

    #[test]
    fn every_setting_is_described() {
        let settings = written(&TenantSettings::default());
        described(&settings, TenantSettingsDoc::FIELDS);
        described(&settings["password"], PasswordPolicyDoc::FIELDS);
        described(&settings["throttle"], ThrottlePolicyDoc::FIELDS);
        described(&settings["session"], SessionPolicyDoc::FIELDS);
        described(&settings["directory"], DirectoryPolicyDoc::FIELDS);
        described(&settings["recovery"], RecoveryPolicyDoc::FIELDS);
        let policy = written(&TokenPolicy::default());
        described(&policy, TokenPolicyDoc::FIELDS);
        described(&policy["registration"], RegistrationPolicyDoc::FIELDS);
    }
}
