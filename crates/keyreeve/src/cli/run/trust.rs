//! `keyreeve issuer …` and `keyreeve initial-token …`

use super::{clients, said, with_secret};
use crate::cli::args::{InitialTokenCommand, IssuerCommand, IssuerCreate};
use crate::cli::client::{Api, Call, at};
use crate::cli::edits;
use crate::cli::exit::{Failure, Output};
use crate::cli::input::Input;
use crate::cli::view::{self, Fields};
use serde_json::json;

const ISSUER: Fields = &[
    ("issuer", "/issuer"),
    ("clients", "/settings/clients"),
    ("scopes", "/settings/scopes"),
    ("subject", "/settings/subject"),
    ("audiences", "/settings/audiences"),
    ("keys at", "/settings/jwks_uri"),
    ("longest life (s)", "/settings/max_lifetime_s"),
    ("enabled", "/settings/enabled"),
    ("created", "/created_at"),
    ("version", "/version"),
    ("id", "/id"),
];
const ISSUERS: Fields = &[
    ("ID", "/id"),
    ("ISSUER", "/issuer"),
    ("CLIENTS", "/settings/clients"),
    ("SCOPES", "/settings/scopes"),
    ("ENABLED", "/settings/enabled"),
];
const TOKEN: Fields =
    &[("name", "/name"), ("uses left", "/uses_left"), ("until", "/expires_at"), ("id", "/id")];
const TOKENS: Fields =
    &[("ID", "/id"), ("NAME", "/name"), ("USES LEFT", "/uses_left"), ("UNTIL", "/expires_at")];

pub(super) async fn issuers(api: &Api, command: &IssuerCommand, input: Input) -> Result<Output, Failure> {
    match command {
        IssuerCommand::Create(new) => create(api, new, input.file.as_deref()).await,
        IssuerCommand::Show(one) => {
            let call = Call::get(at!["trusted-issuers", one.id]);
            Ok(view::one(api.send(&one.tenant.tenant, call).await?, ISSUER))
        }
        IssuerCommand::List { tenant } => {
            let (items, _) = api.list(&tenant.tenant, Call::get(at!["trusted-issuers"]), true).await?;
            Ok(view::many(items, ISSUERS))
        }
        IssuerCommand::Update { issuer, edits } => {
            let call = Call::patch(at!["trusted-issuers", issuer.id]);
            let call = call.body(edits::patch(edits)?).version(edits.version);
            Ok(view::one(api.send(&issuer.tenant.tenant, call).await?, ISSUER))
        }
        IssuerCommand::Delete(one) => {
            api.send(&one.tenant.tenant, Call::delete(at!["trusted-issuers", one.id])).await?;
            Ok(said(format!("The issuer {} is trusted no longer.", one.id), json!({"deleted": one.id})))
        }
    }
}

async fn create(api: &Api, new: &IssuerCreate, keys: Option<&str>) -> Result<Output, Failure> {
    let mut settings = edits::document(&new.edits)?;
    if let (Some(text), Some(members)) = (keys, settings.as_object_mut()) {
        members.insert("jwks".to_owned(), clients::keys(text)?);
    }
    let body = json!({"issuer": new.issuer, "settings": settings});
    let call = Call::post(at!["trusted-issuers"]).body(body);
    Ok(view::one(api.send(&new.tenant.tenant, call).await?, ISSUER))
}

pub(super) async fn initial_tokens(api: &Api, command: &InitialTokenCommand) -> Result<Output, Failure> {
    match command {
        InitialTokenCommand::Create { name, tenant, uses, expires_in_days } => {
            let lasts_s = expires_in_days.map(|days| u64::from(days) * 86_400);
            let body = json!({"name": name, "uses": uses, "lasts_s": lasts_s});
            let made = api.send(&tenant.tenant, Call::post(at!["initial-access-tokens"]).body(body)).await?;
            Ok(with_secret(view::one(made, TOKEN), "token"))
        }
        InitialTokenCommand::List { tenant } => {
            let call = Call::get(at!["initial-access-tokens"]);
            Ok(view::many(api.list(&tenant.tenant, call, true).await?.0, TOKENS))
        }
        InitialTokenCommand::Delete(one) => {
            api.send(&one.tenant.tenant, Call::delete(at!["initial-access-tokens", one.id])).await?;
            Ok(said(format!("The token {} works no longer.", one.id), json!({"deleted": one.id})))
        }
    }
}
