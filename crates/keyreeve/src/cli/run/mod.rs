//! The commands that work on an opened installation. Each is one call into a room and what there is to say about it;
//! they run in the command's own process, or in a running server on behalf of one.

pub(super) mod audit;
mod clients;
mod keys;
mod tenants;
mod users;

use super::args::{Command, InTenant};
use super::exit::{Exit, Failure, Output};
use super::input::Input;
use crate::App;
use keyreeve_base::Timestamp;
use keyreeve_identity::Tenant;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// Runs a command.
///
/// # Errors
/// What it failed with.
pub async fn run(app: &App, command: &Command, input: Input) -> Result<Output, Failure> {
    match command {
        Command::Tenant(command) => tenants::run(app, command).await,
        Command::User(command) => users::run(app, command, input).await,
        Command::Client(command) => clients::run(app, command, input).await,
        Command::Key(command) => keys::run(app, command).await,
        Command::Audit(command) => audit::run(app, command).await,
        Command::Backup { file } => backup(app, &input.directory.join(file)).await,
        Command::Serve
        | Command::Init
        | Command::Config(_)
        | Command::Doctor
        | Command::Import(_)
        | Command::Export(_) => Err(Failure::usage("this command does not work on an opened installation")),
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

async fn tenant(app: &App, slug: &str) -> Result<Arc<Tenant>, Failure> {
    let found = app.identity.tenants().by_slug(slug).await?;
    found.ok_or_else(|| {
        Failure::not_found(format!("there is no tenant {slug:?}; `keyreeve tenant list` shows them"))
    })
}

pub(super) async fn within(app: &App, tenant_of: &InTenant) -> Result<Arc<Tenant>, Failure> {
    tenant(app, &tenant_of.tenant).await
}

/// A value as JSON, its moments (microseconds inside) as RFC 3339.
fn shown<T: Serialize>(value: &T) -> Result<Value, Failure> {
    let mut value =
        serde_json::to_value(value).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    if let Value::Object(fields) = &mut value {
        for (name, field) in fields.iter_mut() {
            let moment =
                name == "at" || name.ends_with("_at") || name.ends_with("_since") || name.ends_with("_until");
            if let (true, Some(micros)) = (moment, field.as_i64()) {
                *field = Value::String(Timestamp::from_micros(micros).to_string());
            }
        }
    }
    Ok(value)
}

/// Adds members to a JSON object.
fn with(mut value: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut value, more) {
        fields.extend(more);
    }
    value
}

/// A switch as people read it.
fn yes(switch: bool) -> String {
    if switch { "yes" } else { "no" }.to_owned()
}
