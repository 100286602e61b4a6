//! `keyreeve client …`

use super::{listed, names, said, with_secret};
use crate::cli::args::{AuthMethod, ClientArg, ClientCommand, ClientCreate};
use crate::cli::client::{Api, Call, at};
use crate::cli::edits;
use crate::cli::exit::{Failure, Output};
use crate::cli::input::Input;
use crate::cli::view::{self, Fields};
use keyreeve_crypto::sign::Algorithm;
use keyreeve_tokens::clients::RedirectUri;
use serde_json::{Map, Value, json};

/// What a client that signs users in may ask for, unless it is said otherwise.
const USUAL_SCOPES: &str = "openid profile email address phone offline_access";

const CLIENT: Fields = &[
    ("client_id", "/client_id"),
    ("name", "/name"),
    ("authenticates by", "/auth_method"),
    ("grant types", "/grant_types"),
    ("scopes", "/scopes"),
    ("redirect URIs", "/redirect_uris"),
    ("after sign-out", "/post_logout_redirect_uris"),
    ("audiences", "/audiences"),
    ("first party", "/first_party"),
    ("enabled", "/enabled"),
    ("secrets", "/secrets"),
    ("created", "/created_at"),
    ("version", "/version"),
    ("id", "/id"),
];
const LOGOUTS: Fields = &[
    ("WHEN", "/created_at"),
    ("USER", "/user"),
    ("SESSION", "/session"),
    ("STATE", "/state"),
    ("STATUS", "/status"),
    ("ATTEMPTS", "/attempts"),
    ("ERROR", "/error"),
];
const CLIENTS: Fields = &[
    ("CLIENT_ID", "/client_id"),
    ("NAME", "/name"),
    ("AUTHENTICATES BY", "/auth_method"),
    ("ENABLED", "/enabled"),
];

pub(super) async fn run(api: &Api, command: &ClientCommand, input: Input) -> Result<Output, Failure> {
    match command {
        ClientCommand::Create(new) => create(api, new, input.file.as_deref()).await,
        ClientCommand::Show(client) => {
            let id = find(api, client).await?;
            show(api, client, &id).await
        }
        ClientCommand::Logouts { client, paging } => {
            let id = find(api, client).await?;
            let call = Call::get(at!["clients", id, "logout-deliveries"]);
            listed(api, &client.tenant.tenant, call, paging, LOGOUTS).await
        }
        ClientCommand::List { tenant } => {
            let call = Call::get(at!["clients"]).query("limit", Some(500));
            Ok(view::many(api.list(&tenant.tenant, call, true).await?.0, CLIENTS))
        }
        ClientCommand::Update { client, edits } => {
            update(api, client, edits::patch(edits)?, edits.version).await
        }
        ClientCommand::AddSecret { client, keep_old_hours } => {
            let id = find(api, client).await?;
            let body = json!({"overlap_s": u64::from(*keep_old_hours) * 3_600});
            let call = Call::post(at!["clients", id, "secrets"]).body(body);
            let mut made = api.send(&client.tenant.tenant, call).await?;
            let shown = show(api, client, &id).await?;
            let mut json = shown.json;
            if let Value::Object(members) = &mut json {
                let mut part = |name: &str| made.get_mut(name).map(Value::take).unwrap_or_default();
                members.insert("secret_id".to_owned(), part("id"));
                members.insert("client_secret".to_owned(), part("secret"));
            }
            Ok(with_secret(Output { json, ..Output::new(shown.text, Value::Null) }, "client_secret"))
        }
        ClientCommand::RevokeSecret { client, secret } => {
            let id = find(api, client).await?;
            let call = Call::delete(at!["clients", id, "secrets", secret]);
            api.send(&client.tenant.tenant, call).await?;
            show(api, client, &id).await
        }
        ClientCommand::AddRedirect { client, uri } => {
            check_redirect(uri)?;
            let id = find(api, client).await?;
            let mut present = api.send(&client.tenant.tenant, Call::get(at!["clients", id])).await?;
            let version = present.get("version").and_then(Value::as_i64);
            let mut uris = match present.get_mut("redirect_uris").map(Value::take) {
                Some(Value::Array(uris)) => uris,
                _ => Vec::new(),
            };
            if !uris.contains(&json!(uri)) {
                uris.push(json!(uri));
            }
            update(api, client, json!({"redirect_uris": uris}), version).await
        }
        ClientCommand::Enable(client) => update(api, client, json!({"enabled": true}), None).await,
        ClientCommand::Disable(client) => update(api, client, json!({"enabled": false}), None).await,
        ClientCommand::Delete(client) => {
            let id = find(api, client).await?;
            api.send(&client.tenant.tenant, Call::delete(at!["clients", id])).await?;
            let text = format!("The client {} was deleted, and its tokens with it.", client.client_id);
            Ok(said(text, json!({"deleted": client.client_id})))
        }
    }
}

async fn find(api: &Api, client: &ClientArg) -> Result<String, Failure> {
    names::client(api, &client.tenant.tenant, &client.client_id).await
}

/// The client with what is known of its secrets.
async fn show(api: &Api, client: &ClientArg, id: &str) -> Result<Output, Failure> {
    let tenant = &*client.tenant.tenant;
    let mut document = api.send(tenant, Call::get(at!["clients", id])).await?;
    let (secrets, _) = api.list(tenant, Call::get(at!["clients", id, "secrets"]), true).await?;
    let ids: Vec<Value> = secrets.iter().filter_map(|secret| secret.get("id").cloned()).collect();
    put(&mut document, "secrets", Value::Array(ids));
    let output = view::one(document, CLIENT);
    let mut json = output.json;
    put(&mut json, "secrets", Value::Array(secrets));
    Ok(Output { json, ..Output::new(output.text, Value::Null) })
}

fn put(document: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = document {
        members.insert(name.to_owned(), value);
    }
}

async fn update(
    api: &Api,
    client: &ClientArg,
    patch: Value,
    version: Option<i64>,
) -> Result<Output, Failure> {
    let id = find(api, client).await?;
    let call = Call::patch(at!["clients", id]).body(patch).version(version);
    api.send(&client.tenant.tenant, call).await?;
    show(api, client, &id).await
}

async fn create(api: &Api, new: &ClientCreate, jwks: Option<&str>) -> Result<Output, Failure> {
    let mut document = Map::from_iter([("name".to_owned(), json!(new.name))]);
    let mut set = |field: &str, value: Value| document.insert(field.to_owned(), value);
    let auth_method = match new.auth_method {
        _ if new.public => "none",
        AuthMethod::ClientSecretBasic => "client_secret_basic",
        AuthMethod::ClientSecretPost => "client_secret_post",
        AuthMethod::PrivateKeyJwt => "private_key_jwt",
    };
    set("auth_method", json!(auth_method));
    if let Some(text) = jwks {
        set("jwks", keys(text)?);
    }
    if let Some(client_id) = &new.client_id {
        set("client_id", json!(client_id));
    }
    for uri in new.redirect_uris.iter().chain(&new.post_logout_redirect_uris) {
        check_redirect(uri)?;
    }
    set("redirect_uris", json!(new.redirect_uris));
    set("post_logout_redirect_uris", json!(new.post_logout_redirect_uris));
    let grants: Vec<&str> = match (new.grant_types.is_empty(), new.redirect_uris.is_empty()) {
        (false, _) => new.grant_types.iter().map(String::as_str).collect(),
        (true, false) => vec!["authorization_code", "refresh_token"],
        (true, true) => vec!["client_credentials"],
    };
    let signs_in = grants.iter().any(|grant| matches!(*grant, "authorization_code" | "password"));
    let scopes = match new.scopes.is_empty() {
        false => new.scopes.join(" "),
        true if signs_in => USUAL_SCOPES.to_owned(),
        true => String::new(),
    };
    set("grant_types", json!(grants));
    set("scopes", json!(scopes));
    set("audiences", json!(new.audiences));
    set("first_party", json!(new.first_party));
    for (field, value) in [
        ("id_token_alg", &new.id_token_alg),
        ("access_token_alg", &new.access_token_alg),
        ("client_uri", &new.client_uri),
    ] {
        if let Some(value) = value {
            if field.ends_with("_alg") && value.parse::<Algorithm>().is_err() {
                let allowed = "allowed: EdDSA, ES256, RS256";
                return Err(Failure::usage(format!("{value:?} is not an algorithm; {allowed}")));
            }
            set(field, json!(value));
        }
    }
    let call = Call::post(at!["clients"]).body(Value::Object(document));
    let made = api.send(&new.tenant.tenant, call).await?;
    Ok(with_secret(view::one(made, CLIENT), "client_secret"))
}

/// A mistake in an address is one in the command line, and is told with the address.
fn check_redirect(text: &str) -> Result<(), Failure> {
    RedirectUri::parse(text).map(drop).map_err(|error| Failure::usage(format!("{text:?}: {error}")))
}

/// The keys of a JWK set, or one key alone.
pub(super) fn keys(text: &str) -> Result<Value, Failure> {
    let mut read: Value = serde_json::from_str(text)
        .map_err(|error| Failure::usage(format!("the file is not a set of public keys: {error}")))?;
    Ok(match read.get_mut("keys").map(Value::take) {
        Some(keys) => keys,
        None => Value::Array(vec![read]),
    })
}
