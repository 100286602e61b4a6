//! `keyreeve key …`

use crate::cli::args::KeyCommand;
use crate::cli::client::{Api, Call, at};
use crate::cli::exit::{Exit, Failure, Output};
use crate::cli::view::{self, Fields};
use crate::{App, master_key};
use keyreeve_crypto::sign::Algorithm;
use keyreeve_identity::Cause;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const KEYS: Fields = &[
    ("ALGORITHM", "/alg"),
    ("STATE", "/state"),
    ("KID", "/kid"),
    ("CREATED", "/created_at"),
    ("PUBLISHED UNTIL", "/publish_until"),
];

const DATA_KEYS: Fields = &[
    ("ID", "/id"),
    ("STATE", "/state"),
    ("CREATED", "/created_at"),
    ("RETIRED", "/retired_at"),
    ("NEEDED UNTIL", "/needed_until"),
];

const MASTER_KEYS: Fields =
    &[("MASTER KEY", "/master_key"), ("DATA KEYS", "/data_keys"), ("CURRENT", "/current")];

pub(super) async fn run(api: &Api, command: &KeyCommand) -> Result<Output, Failure> {
    match command {
        KeyCommand::List { tenant } => Ok(view::many(list(api, &tenant.tenant).await?, KEYS)),
        KeyCommand::Rotate { master: true, .. } => rotate_master(api.installation()?).await,
        KeyCommand::Rotate { tenant, data: true, .. } | KeyCommand::RotateData { tenant, .. } => {
            let call = Call::post(at!["keys", "data", "rotate"]);
            Ok(data_keys(api.send(&tenant.tenant, call).await?))
        }
        KeyCommand::DataKeys { tenant } => {
            Ok(data_keys(api.send(&tenant.tenant, Call::get(at!["keys", "data"])).await?))
        }
        KeyCommand::Note { what, set, shares, threshold } => {
            let action = if what == "split" { "key.split" } else { "key.join" };
            let detail = json!({"set": set, "shares": shares, "threshold": threshold});
            api.installation()?.note_master_key(action, detail, &Cause::operator()).await?;
            Ok(Output::new("Noted.", Value::Null))
        }
        KeyCommand::Split { .. } | KeyCommand::Join => {
            Err(Failure::usage("this is done where it was typed, not by a running server"))
        }
        KeyCommand::MasterKeys => master_keys(api.installation()?).await,
        KeyCommand::Rotate { tenant, alg, .. } => rotate(api, &tenant.tenant, alg.as_deref()).await,
    }
}

async fn list(api: &Api, tenant: &str) -> Result<Vec<Value>, Failure> {
    Ok(api.list(tenant, Call::get(at!["keys"]), true).await?.0)
}

async fn rotate(api: &Api, tenant: &str, alg: Option<&str>) -> Result<Output, Failure> {
    let chosen: BTreeSet<String> = match alg {
        Some(alg) if alg.parse::<Algorithm>().is_err() => {
            let allowed = "allowed: EdDSA, ES256, RS256";
            return Err(Failure::usage(format!("{alg:?} is not an algorithm; {allowed}")));
        }
        Some(alg) => [alg.to_owned()].into(),
        None => {
            let present = list(api, tenant).await?;
            present.iter().filter_map(|key| key.get("alg")?.as_str().map(str::to_owned)).collect()
        }
    };
    if chosen.is_empty() {
        return Err(Failure::new(Exit::NotFound, format!("the tenant {tenant} has no signing keys yet")));
    }
    for alg in chosen {
        api.send(tenant, Call::post(at!["keys", "rotate"]).body(json!({"alg": alg}))).await?;
    }
    Ok(view::many(list(api, tenant).await?, KEYS))
}

/// The data keys of a tenant, and a line on how far it is.
fn data_keys(status: Value) -> Output {
    let rows: Vec<Value> =
        status.get("items").and_then(Value::as_array).map(|items| items.to_vec()).unwrap_or_default();
    let mut text = view::many(rows, DATA_KEYS).text;
    if let Some(rotation) = status.get("rotation").filter(|rotation| !rotation.is_null()) {
        let number = |name: &str| rotation.get(name).and_then(Value::as_u64);
        let resealed = number("resealed").unwrap_or(0);
        let done = rotation.get("finished_at").is_some_and(|at| !at.is_null());
        text.push_str(&match (done, number("total")) {
            (true, _) => format!("\n{resealed} values were sealed anew."),
            (false, Some(total)) => format!("\n{resealed} of {total} values are sealed anew."),
            (false, None) => "\nThe values that have to be sealed anew are counted.".to_owned(),
        });
        if let Some(failed) = number("failed").filter(|failed| *failed > 0) {
            text.push_str(&format!(
                "\n{failed} values do not open, and were left as they are; the server's log names them."
            ));
        }
    }
    Output::new(text, status)
}

async fn master_keys(app: &App) -> Result<Output, Failure> {
    let keys = app.identity.tenants().data_keys().master_keys().await?;
    let rows = keys.iter().map(|key| {
        json!({"master_key": key.fingerprint.to_string(), "data_keys": key.data_keys, "current": key.current})
    });
    Ok(view::many(rows.collect(), MASTER_KEYS))
}

async fn rotate_master(app: &App) -> Result<Output, Failure> {
    let (ring, file) = master_key::begin_change(&app.config, &app.world)?.into_parts();
    let fingerprint = ring.current().fingerprint().to_string();
    let tenants = app.identity.tenants();
    let wrapped = tenants.rewrap(ring, &Cause::operator()).await?;
    master_key::finish_change(file.as_deref())?;
    // What another node wrapped in the meantime, before it knew of the new key.
    let wrapped =
        wrapped.saturating_add(tenants.rewrap(master_key::load(&app.config)?, &Cause::operator()).await?);
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
