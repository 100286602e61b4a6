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

pub(super) async fn run(api: &Api, command: &KeyCommand) -> Result<Output, Failure> {
    match command {
        KeyCommand::List { tenant } => Ok(view::many(list(api, &tenant.tenant).await?, KEYS)),
        KeyCommand::Rotate { master: true, .. } => rotate_master(api.installation()?).await,
        KeyCommand::Rotate { tenant, data: true, .. } => {
            rotate_data(api.installation()?, &tenant.tenant).await
        }
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

async fn rotate_data(app: &App, slug: &str) -> Result<Output, Failure> {
    let found = app.identity.tenants().by_slug(slug).await?;
    let tenant = found.ok_or_else(|| Failure::not_found(format!("there is no tenant {slug:?}")))?;
    app.identity.tenants().rotate_data_key(tenant.id, &Cause::operator()).await?;
    let text = format!("What the tenant {slug} seals from now on is under a new data key.");
    Ok(Output::new(text, json!({"tenant": slug, "rotated": "data"})))
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
