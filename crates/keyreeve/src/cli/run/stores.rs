//! `keyreeve secret store …` and `keyreeve secret auth …`

use super::{listed, said};
use crate::cli::args::{AuthArg, AuthCommand, AuthCreate, StoreArg, StoreCommand, StoreCreate};
use crate::cli::client::{Api, Call, at};
use crate::cli::edits;
use crate::cli::exit::{Failure, Output};
use crate::cli::input::Input;
use crate::cli::view::{self, Fields};
use serde_json::{Value, json};

const STORES: &str = "secret-stores";
const AUTHENTICATIONS: &str = "service-authentications";

const STORE: Fields = &[
    ("id", "/id"),
    ("name", "/name"),
    ("kind", "/kind"),
    ("url", "/url"),
    ("mount", "/mount"),
    ("namespace", "/namespace"),
    ("reached with", "/authentication"),
    ("milliseconds", "/timeout_ms"),
    ("created", "/created_at"),
    ("changed", "/updated_at"),
    ("version", "/version"),
];
const STORE_COLUMNS: Fields = &[("ID", "/id"), ("NAME", "/name"), ("URL", "/url"), ("MOUNT", "/mount")];
const FINDING: Fields =
    &[("works", "/works"), ("reached", "/reached"), ("let in", "/admitted"), ("found", "/detail")];
const AUTHENTICATION: Fields = &[
    ("id", "/id"),
    ("name", "/name"),
    ("method", "/method"),
    ("url", "/url"),
    ("mount", "/mount"),
    ("role", "/role_id"),
    ("created", "/created_at"),
    ("changed", "/updated_at"),
    ("version", "/version"),
];
const AUTHENTICATION_COLUMNS: Fields =
    &[("ID", "/id"), ("NAME", "/name"), ("METHOD", "/method"), ("URL", "/url")];

pub(super) async fn stores(api: &Api, command: &StoreCommand) -> Result<Output, Failure> {
    match command {
        StoreCommand::Create(new) => create_store(api, new).await,
        StoreCommand::Show(StoreArg { store, tenant }) => {
            Ok(view::one(api.send(&tenant.tenant, Call::get(at![STORES, store])).await?, STORE))
        }
        StoreCommand::List { tenant, paging } => {
            listed(api, &tenant.tenant, Call::get(at![STORES]), paging, STORE_COLUMNS).await
        }
        StoreCommand::Check(StoreArg { store, tenant }) => {
            let found = api.send(&tenant.tenant, Call::post(at![STORES, store, "check"])).await?;
            Ok(view::one(found, FINDING))
        }
        StoreCommand::Update { store: StoreArg { store, tenant }, edits } => {
            let patch = edits::patch(edits)?;
            let call = Call::patch(at![STORES, store]).body(patch).version(edits.version);
            Ok(view::one(api.send(&tenant.tenant, call).await?, STORE))
        }
        StoreCommand::Delete(StoreArg { store, tenant }) => {
            api.send(&tenant.tenant, Call::delete(at![STORES, store])).await?;
            Ok(said(format!("The store {store} is forgotten."), json!({"deleted": store})))
        }
    }
}

async fn create_store(api: &Api, new: &StoreCreate) -> Result<Output, Failure> {
    let mut body = json!({
        "name": new.name, "url": new.url, "mount": new.mount, "namespace": new.namespace, "authentication": new.auth,
    });
    if let (Some(timeout), Some(body)) = (new.timeout_ms, body.as_object_mut()) {
        body.insert("timeout_ms".to_owned(), json!(timeout));
    }
    Ok(view::one(api.send(&new.tenant.tenant, Call::post(at![STORES]).body(body)).await?, STORE))
}

pub(super) async fn authentications(
    api: &Api,
    command: &AuthCommand,
    input: &Input,
) -> Result<Output, Failure> {
    match command {
        AuthCommand::Create(new) => create_authentication(api, new, input).await,
        AuthCommand::Show(of) => Ok(view::one(send(api, of, Call::get).await?, AUTHENTICATION)),
        AuthCommand::List { tenant, paging } => {
            let call = Call::get(at![AUTHENTICATIONS]);
            listed(api, &tenant.tenant, call, paging, AUTHENTICATION_COLUMNS).await
        }
        AuthCommand::Update { of, edits } => {
            let patch = edits::patch(edits)?;
            let changed = send(api, of, |at| Call::patch(at).body(patch).version(edits.version)).await?;
            Ok(view::one(changed, AUTHENTICATION))
        }
        AuthCommand::Renew { of, .. } => {
            let patch = json!({"credential": credential(input)?});
            Ok(view::one(send(api, of, |at| Call::patch(at).body(patch)).await?, AUTHENTICATION))
        }
        AuthCommand::Delete(of) => {
            send(api, of, Call::delete).await?;
            let id = &of.authentication;
            Ok(said(format!("The service authentication {id} was removed."), json!({"deleted": id})))
        }
    }
}

async fn send(api: &Api, of: &AuthArg, call: impl FnOnce(String) -> Call) -> Result<Value, Failure> {
    api.send(&of.tenant.tenant, call(at![AUTHENTICATIONS, of.authentication])).await
}

fn credential(input: &Input) -> Result<&str, Failure> {
    let secret = input.secret.as_ref();
    Ok(secret.ok_or_else(|| Failure::usage("there is no credential: --stdin or --file brings one"))?.expose())
}

async fn create_authentication(api: &Api, new: &AuthCreate, input: &Input) -> Result<Output, Failure> {
    let method = if new.role.is_some() { "approle" } else { "token" };
    let body = json!({
        "name": new.name, "method": method, "url": new.url, "role_id": new.role, "mount": new.mount,
        "credential": credential(input)?,
    });
    let call = Call::post(at![AUTHENTICATIONS]).body(body);
    Ok(view::one(api.send(&new.tenant.tenant, call).await?, AUTHENTICATION))
}
