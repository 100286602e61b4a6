//! Issuers whose assertions a tenant trusts (RFC 7523).
//!
//! Whoever can name one can be any user, within the scopes that are named with it: that takes the whole scope of an
//! administrator.

use crate::body;
use crate::call::{Call, Made};
use crate::operation::{Operation, Table};
use crate::policy::Asks;
use crate::refused::{Refused, UNACCEPTABLE};
use crate::reply::Reply;
use crate::when::When;
use keyreeve_tokens::Error;
use keyreeve_tokens::issuers::{IssuerSettings, TrustedIssuer};
use keyreeve_tokens::scope::{ADMIN, CLIENTS_READ};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

pub(super) fn table() -> Table {
    Table::new("Trusted issuers")
        .add(
            Operation::get("/api/v1/trusted-issuers", "list_trusted_issuers")
                .says("List trusted issuers", "All of them, oldest first.")
                .needs(CLIENTS_READ, Asks::Tenant)
                .answers::<IssuersDoc>("The issuers."),
            list,
        )
        .add(
            Operation::post("/api/v1/trusted-issuers", "create_trusted_issuer")
                .says(
                    "Trust an issuer",
                    "Its assertions lead to tokens about the users of this tenant, as its settings say.",
                )
                .needs(ADMIN, Asks::Tenant)
                .takes::<NewIssuerDoc>()
                .creates::<IssuerDoc>("The issuer."),
            create,
        )
        .add(
            Operation::get("/api/v1/trusted-issuers/{id}", "get_trusted_issuer")
                .says("Read a trusted issuer", "")
                .needs(CLIENTS_READ, Asks::Tenant)
                .answers::<IssuerDoc>("The issuer.")
                .versioned(),
            get,
        )
        .add(
            Operation::patch("/api/v1/trusted-issuers/{id}", "update_trusted_issuer")
                .says(
                    "Change a trusted issuer",
                    "A JSON merge patch of its settings; `null` sets one to its default.",
                )
                .needs(ADMIN, Asks::Tenant)
                .takes::<IssuerSettingsDoc>()
                .answers::<IssuerDoc>("The issuer as it is now.")
                .versioned(),
            update,
        )
        .add(
            Operation::delete("/api/v1/trusted-issuers/{id}", "delete_trusted_issuer")
                .says("Trust an issuer no longer", "")
                .needs(ADMIN, Asks::Tenant),
            delete,
        )
}

/// A trusted issuer.
#[derive(Serialize, ToSchema)]
#[schema(as = TrustedIssuer)]
struct IssuerDoc {
    id: Uuid,
    /// The `iss` of its assertions.
    issuer: String,
    #[schema(value_type = IssuerSettingsDoc)]
    settings: Value,
    created_at: When,
    updated_at: When,
    /// Counts the changes; also the `ETag`.
    version: i64,
}

/// The issuers that a tenant trusts.
#[derive(Serialize, ToSchema)]
#[schema(as = TrustedIssuers)]
struct IssuersDoc {
    items: Vec<IssuerDoc>,
}

/// An issuer to trust.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewTrustedIssuer)]
#[serde(deny_unknown_fields)]
struct NewIssuerDoc {
    /// The `iss` of its assertions.
    issuer: String,
    #[schema(value_type = IssuerSettingsDoc)]
    settings: Map<String, Value>,
}

macro_rules! settings_doc {
    ($($(#[$meta:meta])* $field:ident: $kind:ty,)*) => {
        /// What an issuer is trusted for. What is left out has its default.
        #[derive(Serialize, ToSchema)]
        #[schema(as = TrustedIssuerSettings)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "it describes what the room reads and writes")]
        struct IssuerSettingsDoc {
            $($(#[$meta])* #[schema(required = false, nullable)] $field: $kind,)*
        }

        /// The settings that are described.
        #[cfg(test)]
        const DESCRIBED: &[&str] = &[$(stringify!($field)),*];
    };
}

settings_doc! {
    /// Its public keys (RFC 7517); or else `jwks_uri`.
    jwks: Vec<Map<String, Value>>,
    /// Where it publishes them.
    jwks_uri: String,
    /// Audiences that assertions may name, beside this tenant's issuer and token endpoint.
    audiences: Vec<String>,
    /// Whom assertions are about.
    subject: SubjectDoc,
    /// How long an assertion may live, 10 to 3600 seconds.
    max_lifetime_s: u32,
    /// The clients that may present its assertions, by their `client_id`; empty: none.
    clients: Vec<String>,
    /// The scopes that its assertions can lead to, separated by spaces.
    scopes: String,
    /// Whether it is believed at all.
    enabled: bool,
}

/// Which claim says whom an assertion is about.
#[derive(Serialize, ToSchema)]
#[schema(as = SubjectMapping)]
#[allow(dead_code, reason = "it describes what the room reads and writes")]
struct SubjectDoc {
    /// The claim.
    claim: String,
    /// What it is compared with: `id`, `username`, `email` (verified ones), or `{"attribute": NAME}`.
    field: Value,
}

/// Settings as a document. They are made of texts, numbers and lists, which always print.
fn written(settings: &IssuerSettings) -> Value {
    let mut document = serde_json::to_value(settings).unwrap_or_default();
    if let Some(members) = document.as_object_mut() {
        members.entry("jwks").or_insert_with(|| Value::Array(Vec::new()));
        members.entry("jwks_uri").or_insert(Value::Null);
    }
    document
}

impl From<&TrustedIssuer> for IssuerDoc {
    fn from(issuer: &TrustedIssuer) -> Self {
        Self {
            id: issuer.id,
            issuer: issuer.issuer.clone(),
            settings: written(&issuer.settings),
            created_at: issuer.created_at.into(),
            updated_at: issuer.updated_at.into(),
            version: issuer.version,
        }
    }
}

fn reply(issuer: &TrustedIssuer) -> Result<Reply, Refused> {
    Ok(Reply::ok(&IssuerDoc::from(issuer))?.version(issuer.version))
}

async fn issuer(call: &Call) -> Result<TrustedIssuer, Refused> {
    let id: keyreeve_base::ClientId = call.id("id")?;
    Ok(call.state().tokens().issuers().get(call.tenant_id(), id.uuid()).await?)
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let found = call.state().tokens().issuers().list(call.tenant_id()).await?;
    Reply::ok(&IssuersDoc { items: found.iter().map(IssuerDoc::from).collect() })
}

async fn create(call: Call) -> Result<Reply, Refused> {
    let doc: NewIssuerDoc = call.body()?;
    let settings: IssuerSettings = body::from_value(Value::Object(doc.settings), "/settings")?;
    let issuers = call.state().tokens().issuers();
    let cause = call.cause().await?;
    let made = issuers.create(call.tenant_id(), (&doc.issuer, settings), &cause).await;
    let made = Made::of(made.map_err(|error| match error {
        // The room knows no document: here the settings are a part of one.
        Error::Invalid { field, problem } if field != "issuer" => {
            Refused::of(UNACCEPTABLE).at(format!("/settings/{}", field.replace('.', "/")), problem)
        }
        error => error.into(),
    }))?;
    let (id, replayed) = made.id(|issuer| issuer.id);
    let issuer = issuers.get(call.tenant_id(), id).await?;
    let reply = Reply::created(&IssuerDoc::from(&issuer), format!("/api/v1/trusted-issuers/{id}"))?;
    Ok(reply.version(issuer.version).replayed(replayed))
}

async fn get(call: Call) -> Result<Reply, Refused> {
    reply(&issuer(&call).await?)
}

async fn update(call: Call) -> Result<Reply, Refused> {
    let patch: Map<String, Value> = call.body()?;
    let before = issuer(&call).await?;
    if call.if_match()?.is_some_and(|version| version != before.version) {
        return Err(Error::VersionConflict.into());
    }
    let mut document = written(&before.settings);
    body::merge(&mut document, Value::Object(patch));
    let settings: IssuerSettings = body::from_value(document, "")?;
    let cause = call.cause().await?;
    reply(&call.state().tokens().issuers().update(&before, settings, &cause).await?)
}

async fn delete(call: Call) -> Result<Reply, Refused> {
    let issuer = issuer(&call).await?;
    let cause = call.cause().await?;
    call.state().tokens().issuers().delete(call.tenant_id(), issuer.id, &cause).await?;
    Ok(Reply::done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_setting_is_described() {
        let settings = written(&IssuerSettings::default());
        let known: BTreeSet<&str> = settings.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(known, DESCRIBED.iter().copied().collect());
    }
}
