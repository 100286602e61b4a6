//! The commands on an installation. Each is one or two calls of the native API and a view of what was answered, so that
//! it does the same here, in a running server on behalf of another process, and on a server elsewhere. Only what belongs
//! to the machine itself (copies of the database, the keys that seal it, its chains) goes round the API.

pub(super) mod audit;
mod clients;
mod groups;
mod insight;
mod jwt;
mod keys;
mod mappers;
mod names;
mod roles;
mod secrets;
mod service_accounts;
mod sharing;
mod stores;
mod tenants;
mod trust;
mod users;
mod webhooks;

use super::args::{Command, InTenant, Paging};
use super::client::{Api, Call};
use super::exit::{Exit, Failure, Output};
use super::input::Input;
use super::view::{self, Fields};
use crate::App;
use keyreeve_identity::Tenant;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// Runs a command.
///
/// # Errors
/// What it failed with.
pub async fn run(api: &Api, command: &Command, input: Input) -> Result<Output, Failure> {
    match command {
        Command::Tenant(command) => tenants::run(api, command).await,
        Command::User(command) => users::run(api, command, input).await,
        Command::Group(command) => groups::run(api, command).await,
        Command::Role(command) => roles::run(api, command).await,
        Command::ServiceAccount(command) => service_accounts::run(api, command).await,
        Command::Mapper(command) => mappers::run(api, command).await,
        Command::Client(command) => clients::run(api, command, input).await,
        Command::Issuer(command) => trust::issuers(api, command, input).await,
        Command::InitialToken(command) => trust::initial_tokens(api, command).await,
        Command::Key(command) => keys::run(api, command).await,
        Command::Audit(command) => audit::run(api, command, &input).await,
        Command::Sharing(command) => sharing::run(api, command).await,
        Command::Secret(command) => secrets::run(api, command, input).await,
        Command::Ssh(command) => secrets::ssh(api, command, input).await,
        Command::Jwt(command) => jwt::run(api, command, input).await,
        Command::Webhook(command) => webhooks::run(api, command).await,
        Command::Insight(command) => insight::run(api.installation()?, command).await,
        Command::Api { method, path, tenant, version, .. } => {
            let document = input.file.as_deref().map(document).transpose()?;
            let call = Call { body: document, ..Call::any(method, path.clone())? }.version(*version);
            let answer = api.send(&tenant.tenant, call).await?;
            let text = serde_json::to_string_pretty(&answer).unwrap_or_default();
            Ok(Output::new(if answer.is_null() { "Done.".to_owned() } else { text }, answer))
        }
        Command::Backup { file } => backup(api.installation()?, &input.directory.join(file)).await,
        Command::Unseal => Ok(Output::new("The server is not sealed.", json!({"sealed": false}))),
        Command::Serve
        | Command::Init
        | Command::Config(_)
        | Command::Doctor
        | Command::Imqs(_)
        | Command::Import(_)
        | Command::Export(_)
        | Command::Login(_)
        | Command::Logout
        | Command::Completions { .. }
        | Command::Man { .. } => Err(Failure::usage("this command does not work on an opened installation")),
    }
}

fn document(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::usage(format!("the document is not JSON: {error}")))
}

/// A page of a list, or all of it.
async fn listed(
    api: &Api,
    tenant: &str,
    call: Call,
    paging: &Paging,
    columns: Fields,
) -> Result<Output, Failure> {
    let limit = if paging.all { 500 } else { paging.limit };
    let call = call
        .query("filter", paging.filter.as_ref())
        .query("sort", paging.sort.as_ref())
        .query("after", paging.after.as_ref())
        .query("limit", Some(limit));
    let (items, next) = api.list(tenant, call, paging.all).await?;
    Ok(view::page(items, next.as_deref(), columns))
}

/// Something that was done.
fn said(text: impl Into<String>, json: Value) -> Output {
    Output::new(text, json)
}

/// A document with a secret in it, which the text shows, too.
fn with_secret(output: Output, member: &str) -> Output {
    match output.json.get(member).and_then(Value::as_str) {
        None => output,
        Some(secret) => {
            let text = format!("{}\n\nSecret, shown this once: {secret}", output.text);
            Output { text, ..output }
        }
    }
}

async fn backup(app: &App, file: &Path) -> Result<Output, Failure> {
    if file.exists() {
        return Err(Failure::new(Exit::Conflict, format!("{} exists already", file.display())));
    }
    app.store.backup(file).await?;
    let bytes = std::fs::metadata(file).map(|metadata| metadata.len()).unwrap_or_default();
    Ok(Output::new(
        format!(
            "The database was copied to {} ({bytes} bytes). The master key is not in it.",
            file.display()
        ),
        json!({"file": file, "bytes": bytes}),
    ))
}

pub(super) async fn within(app: &App, tenant_of: &InTenant) -> Result<Arc<Tenant>, Failure> {
    let slug = &*tenant_of.tenant;
    let found = app.identity.tenants().by_slug(slug).await?;
    found.ok_or_else(|| {
        Failure::not_found(format!("there is no tenant {slug:?}; `keyreeve tenant list` shows them"))
    })
}
