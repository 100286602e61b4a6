//! `keyreeve client …`

use super::{shown, tenant, with, within, yes};
use crate::App;
use crate::cli::args::{AuthMethod as AuthMethodArg, ClientArg, ClientCommand, ClientCreate};
use crate::cli::exit::{Failure, Output, record, table};
use crate::cli::input::Input;
use keyreeve_base::TenantId;
use keyreeve_crypto::OpaqueToken;
use keyreeve_crypto::sign::Jwk;
use keyreeve_identity::Cause;
use keyreeve_tokens::clients::{AuthMethod, ClientKind, GrantType, RedirectUri};
use keyreeve_tokens::{Client, ClientSettings, NewClient, ScopeSet};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// What a client that signs users in may ask for, unless it is said otherwise.
const USUAL_SCOPES: &str = "openid profile email address phone offline_access";

pub(super) async fn run(app: &App, command: &ClientCommand, input: Input) -> Result<Output, Failure> {
    match command {
        ClientCommand::Create(new) => create(app, new, input.file.as_deref()).await,
        ClientCommand::Show(client) => show(app, &*find(app, client).await?).await,
        ClientCommand::List { tenant } => list(app, within(app, tenant).await?.id).await,
        ClientCommand::AddSecret { client, keep_old_hours } => {
            let client = find(app, client).await?;
            let overlap = Duration::from_secs(u64::from(*keep_old_hours) * 3_600);
            let (info, secret) =
                app.tokens.clients().add_secret(&client, overlap, &Cause::operator()).await?;
            let output = with_secret(show(app, &client).await?, Some(&secret));
            Ok(Output { json: with(output.json, json!({"secret_id": info.id})), ..output })
        }
        ClientCommand::RevokeSecret { client, secret } => {
            let client = find(app, client).await?;
            let id = secret
                .parse()
                .map_err(|_| Failure::usage(format!("{secret:?} is not the identifier of a secret")))?;
            app.tokens.clients().revoke_secret(&client, id, &Cause::operator()).await?;
            show(app, &client).await
        }
        ClientCommand::AddRedirect { client, uri } => {
            let uri = redirect(uri)?;
            let client = find(app, client).await?;
            let mut settings = client.settings.clone();
            if !settings.redirect_uris.contains(&uri) {
                settings.redirect_uris.push(uri);
            }
            update(app, &client, settings).await
        }
        ClientCommand::Enable(client) => enable(app, client, true).await,
        ClientCommand::Disable(client) => enable(app, client, false).await,
        ClientCommand::Delete(client) => {
            let client = find(app, client).await?;
            app.tokens.clients().delete(client.tenant_id, client.id, &Cause::operator()).await?;
            let text = format!("The client {} was deleted, and its tokens with it.", client.client_id);
            Ok(Output::new(text, json!({"deleted": client.client_id})))
        }
    }
}

async fn find(app: &App, argument: &ClientArg) -> Result<Arc<Client>, Failure> {
    let tenant = tenant(app, &argument.tenant.tenant).await?.id;
    let found = app.tokens.clients().by_client_id(tenant, &argument.client_id).await?;
    found.ok_or_else(|| {
        Failure::not_found(format!("there is no client {:?} in this tenant", argument.client_id))
    })
}

async fn create(app: &App, new: &ClientCreate, jwks: Option<&str>) -> Result<Output, Failure> {
    let tenant = within(app, &new.tenant).await?.id;
    let mut settings = ClientSettings::new(&new.name);
    settings.auth_method = match new.auth_method {
        _ if new.public => AuthMethod::None,
        AuthMethodArg::ClientSecretBasic => AuthMethod::ClientSecretBasic,
        AuthMethodArg::ClientSecretPost => AuthMethod::ClientSecretPost,
        AuthMethodArg::PrivateKeyJwt => AuthMethod::PrivateKeyJwt,
    };
    if let Some(text) = jwks {
        settings.jwks = keys(text)?;
    }
    settings.redirect_uris = new.redirect_uris.iter().map(|uri| redirect(uri)).collect::<Result<_, _>>()?;
    settings.post_logout_redirect_uris =
        new.post_logout_redirect_uris.iter().map(|uri| redirect(uri)).collect::<Result<_, _>>()?;
    settings.grant_types = grant_types(new)?;
    let signs_in = settings.allows(GrantType::AuthorizationCode) || settings.allows(GrantType::Password);
    let scopes = match new.scopes.is_empty() {
        false => new.scopes.join(" "),
        true if signs_in => USUAL_SCOPES.to_owned(),
        true => String::new(),
    };
    settings.scopes = ScopeSet::parse(&scopes).map_err(|error| Failure::usage(error.to_string()))?;
    settings.audiences.clone_from(&new.audiences);
    settings.first_party = new.first_party;
    settings.id_token_alg = algorithm(new.id_token_alg.as_deref())?;
    settings.access_token_alg = algorithm(new.access_token_alg.as_deref())?;
    settings.client_uri.clone_from(&new.client_uri);
    let new = NewClient { tenant_id: tenant, client_id: new.client_id.clone(), settings };
    let (client, secret) = app.tokens.clients().create(new, &Cause::operator()).await?;
    Ok(with_secret(show(app, &client).await?, secret.as_ref()))
}

fn grant_types(new: &ClientCreate) -> Result<BTreeSet<GrantType>, Failure> {
    if !new.grant_types.is_empty() {
        let parse = |text: &String| text.parse::<GrantType>().map_err(Failure::from);
        return new.grant_types.iter().map(parse).collect();
    }
    Ok(match new.redirect_uris.is_empty() {
        false => [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
        true => [GrantType::ClientCredentials].into(),
    })
}

pub(super) fn algorithm<T: FromStr<Err: std::fmt::Display>>(
    text: Option<&str>,
) -> Result<Option<T>, Failure> {
    text.map(|text| {
        text.parse().map_err(|_| {
            Failure::usage(format!("{text:?} is not an algorithm; allowed: EdDSA, ES256, RS256"))
        })
    })
    .transpose()
}

fn redirect(text: &str) -> Result<RedirectUri, Failure> {
    RedirectUri::parse(text).map_err(|error| Failure::usage(format!("{text:?}: {error}")))
}

/// The keys of a JWK set, or one key alone.
fn keys(text: &str) -> Result<Vec<Jwk>, Failure> {
    #[derive(serde::Deserialize)]
    struct Set {
        keys: Vec<Jwk>,
    }
    let wrong =
        |error: serde_json::Error| Failure::usage(format!("the file is not a set of public keys: {error}"));
    match serde_json::from_str::<Set>(text) {
        Ok(set) => Ok(set.keys),
        Err(error) => serde_json::from_str::<Jwk>(text).map(|key| vec![key]).map_err(|_| wrong(error)),
    }
}

fn with_secret(output: Output, secret: Option<&OpaqueToken>) -> Output {
    match secret {
        None => output,
        Some(secret) => Output {
            text: format!("{}\n\nSecret, shown this once: {}", output.text, secret.expose()),
            json: with(output.json, json!({"client_secret": secret.expose()})),
            ..output
        },
    }
}

async fn show(app: &App, client: &Client) -> Result<Output, Failure> {
    let settings = &client.settings;
    let secrets = app.tokens.clients().secrets(client).await?;
    let lines = |items: &[RedirectUri]| {
        let texts: Vec<_> = items.iter().map(ToString::to_string).collect();
        (!texts.is_empty()).then(|| texts.join(" "))
    };
    let grants: Vec<_> = settings.grant_types.iter().map(|grant| grant.as_str()).collect();
    let ids: Vec<_> = secrets.iter().map(|secret| secret.id.to_string()).collect();
    let text = record(&[
        ("client_id", Some(client.client_id.clone())),
        ("name", Some(settings.name.clone())),
        ("authenticates by", Some(settings.auth_method.as_str().to_owned())),
        ("grant types", Some(grants.join(" "))),
        ("scopes", Some(settings.scopes.to_string())),
        ("redirect URIs", lines(&settings.redirect_uris)),
        ("after sign-out", lines(&settings.post_logout_redirect_uris)),
        ("audiences", (!settings.audiences.is_empty()).then(|| settings.audiences.join(" "))),
        ("first party", Some(yes(settings.first_party))),
        ("enabled", Some(yes(settings.enabled))),
        ("secrets", (!ids.is_empty()).then(|| ids.join(" "))),
        ("created", Some(client.created_at.to_string())),
    ]);
    let kind = match settings.kind() {
        ClientKind::Public => "public",
        ClientKind::Confidential => "confidential",
    };
    let secrets = secrets.iter().map(shown).collect::<Result<Vec<_>, _>>()?;
    let json = with(
        shown(settings)?,
        json!({
            "id": client.id,
            "client_id": client.client_id,
            "kind": kind,
            "secrets": secrets,
            "created_at": client.created_at.to_string(),
            "updated_at": client.updated_at.to_string(),
            "version": client.version,
        }),
    );
    Ok(Output::new(text, json))
}

async fn list(app: &App, tenant: TenantId) -> Result<Output, Failure> {
    let mut clients: Vec<Client> = Vec::new();
    loop {
        let after = clients.last().map(|client| client.id);
        let page = app.tokens.clients().list(tenant, after, 500).await?;
        if page.is_empty() {
            break;
        }
        clients.extend(page);
    }
    let rows: Vec<_> = clients
        .iter()
        .map(|client| {
            let settings = &client.settings;
            let state = if settings.enabled { "active" } else { "disabled" };
            vec![
                client.client_id.clone(),
                settings.name.clone(),
                settings.auth_method.as_str().to_owned(),
                state.to_owned(),
            ]
        })
        .collect();
    let mut json = Vec::with_capacity(clients.len());
    for client in &clients {
        json.push(show(app, client).await?.json);
    }
    Ok(Output::new(table(&["CLIENT_ID", "NAME", "AUTHENTICATES BY", "STATE"], &rows), Value::Array(json)))
}

async fn enable(app: &App, client: &ClientArg, enabled: bool) -> Result<Output, Failure> {
    let client = find(app, client).await?;
    let settings = ClientSettings { enabled, ..client.settings.clone() };
    update(app, &client, settings).await
}

async fn update(app: &App, client: &Client, settings: ClientSettings) -> Result<Output, Failure> {
    let client = app.tokens.clients().update(client, settings, &Cause::operator()).await?;
    show(app, &client).await
}
