//! `keyreeve key …`

use super::clients::algorithm;
use super::{shown, within};
use crate::cli::args::KeyCommand;
use crate::cli::exit::{Exit, Failure, Output, table};
use crate::{App, master_key};
use keyreeve_crypto::sign::Algorithm;
use keyreeve_identity::{Cause, Tenant};
use keyreeve_tokens::keys::{KeyInfo, KeyState};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) async fn run(app: &App, command: &KeyCommand) -> Result<Output, Failure> {
    match command {
        KeyCommand::List { tenant } => list(app, &*within(app, tenant).await?).await,
        KeyCommand::Rotate { master: true, .. } => rotate_master(app).await,
        KeyCommand::Rotate { tenant, data: true, .. } => {
            let tenant = within(app, tenant).await?;
            app.identity.tenants().rotate_data_key(tenant.id, &Cause::operator()).await?;
            let text = format!("What the tenant {} seals from now on is under a new data key.", tenant.slug);
            Ok(Output::new(text, json!({"tenant": tenant.slug, "rotated": "data"})))
        }
        KeyCommand::Rotate { tenant, alg, .. } => {
            let alg = algorithm::<Algorithm>(alg.as_deref())?;
            rotate(app, &*within(app, tenant).await?, alg).await
        }
    }
}

const fn state(state: KeyState) -> &'static str {
    match state {
        KeyState::Next => "next",
        KeyState::Signing => "signing",
        KeyState::Retired => "retired",
    }
}

async fn list(app: &App, tenant: &Tenant) -> Result<Output, Failure> {
    let keys = app.tokens.keys().list(tenant.id).await?;
    output(&keys)
}

fn output(keys: &[KeyInfo]) -> Result<Output, Failure> {
    let rows: Vec<_> = keys
        .iter()
        .map(|key| {
            let until = key.publish_until.map(|at| at.to_string()).unwrap_or_default();
            vec![
                key.alg.to_string(),
                state(key.state).to_owned(),
                key.kid.clone(),
                key.created_at.to_string(),
                until,
            ]
        })
        .collect();
    let json = keys.iter().map(shown).collect::<Result<Vec<_>, _>>()?;
    let headings = ["ALGORITHM", "STATE", "KID", "CREATED", "PUBLISHED UNTIL"];
    Ok(Output::new(table(&headings, &rows), Value::Array(json)))
}

async fn rotate(app: &App, tenant: &Tenant, alg: Option<Algorithm>) -> Result<Output, Failure> {
    let keys = app.tokens.keys();
    let chosen: Vec<Algorithm> = match alg {
        Some(alg) => vec![alg],
        None => {
            let present = keys.list(tenant.id).await?;
            let names: BTreeSet<String> = present.iter().map(|key| key.alg.to_string()).collect();
            names.iter().filter_map(|name| name.parse().ok()).collect()
        }
    };
    if chosen.is_empty() {
        return Err(Failure::new(
            Exit::NotFound,
            format!("the tenant {} has no signing keys yet", tenant.slug),
        ));
    }
    for alg in chosen {
        keys.rotate(tenant.id, alg, &Cause::operator()).await?;
    }
    list(app, tenant).await
}

async fn rotate_master(app: &App) -> Result<Output, Failure> {
    let (ring, file) = master_key::begin_change(&app.config, &app.world)?.into_parts();
    let fingerprint = ring.current().fingerprint().to_string();
    let wrapped = app.identity.tenants().rewrap(ring, &Cause::operator()).await?;
    master_key::finish_change(file.as_deref())?;
    let mut text = format!("{wrapped} data keys are now wrapped by the master key {fingerprint}.");
    if let Some(file) = &file {
        text.push_str(&format!(
            "\nKeep a copy of {} apart from the database. The old key is beside it as {}.previous; older backups need it.",
            file.display(),
            file.display()
        ));
    }
    Ok(Output::new(text, json!({"rotated": "master", "master_key": fingerprint, "data_keys": wrapped})))
}
