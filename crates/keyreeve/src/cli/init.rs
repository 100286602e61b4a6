//! `keyreeve init`: the first start without a server, for scripts.

use super::exit::{Exit, Failure, Output, record};
use super::system_world;
use crate::config::Config;
use crate::{App, Error};
use keyreeve_identity::Cause;
use keyreeve_tokens::{ClientSettings, NewClient};
use serde_json::json;

/// The `client_id` of the client for scripts.
const CLIENT_ID: &str = "keyreeve-admin";

pub(super) async fn run(config: Config) -> Result<Output, Failure> {
    let dir = config.data_dir.display().to_string();
    let exists = |what: &str| {
        Failure::new(
            Exit::Conflict,
            format!(
                "{what} is set up already; nothing was changed. `keyreeve client create` makes a client for scripts, \
                 `keyreeve user set-password` gives the administrator a new password"
            ),
        )
    };
    let place = if config.database_url.is_some() { "the database".to_owned() } else { dir };
    let chosen = config.administrator.password.as_ref().map(|password| password.expose().to_owned());
    let app = match App::open(config, system_world()).await {
        // Whoever has it open has set it up.
        Err(Error::Store(keyreeve_store::Error::InUse { .. })) => return Err(exists(&place)),
        opened => opened?,
    };
    let Some(first) = app.first_start().await? else { return Err(exists(&place)) };
    let new = NewClient {
        tenant_id: first.tenant.id,
        client_id: Some(CLIENT_ID.to_owned()),
        settings: ClientSettings::administrator("Administration by scripts"),
    };
    let (client, secret) = app.tokens.clients().create(new, &Cause::operator()).await?;
    let secret = secret.map(|secret| secret.expose().to_owned());
    let one_time = first.one_time_password.is_some();
    let password = first.one_time_password.map(|password| password.expose().to_owned()).or(chosen);
    let issuer = app.tokens.issuer(&first.tenant);
    let text = record(&[
        ("issuer", Some(issuer.clone())),
        ("tenant", Some(first.tenant.slug.clone())),
        ("administrator", Some(first.username.clone())),
        (if one_time { "one-time password" } else { "password" }, password.clone()),
        ("client_id", Some(client.client_id.clone())),
        ("client_secret", secret.clone()),
    ]);
    let json = json!({
        "issuer": issuer,
        "tenant": first.tenant.slug,
        "admin": {"username": first.username, "password": password, "must_change_password": one_time},
        "client": {"client_id": client.client_id, "client_secret": secret},
    });
    Ok(Output::new(
        format!("{text}\n\nThese secrets are shown this once. `keyreeve serve` starts the server."),
        json,
    ))
}
