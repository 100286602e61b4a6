//! What an argument names: an identifier as it is, a name by asking.

use crate::cli::args::{MemberArg, PartyKind};
use crate::cli::client::{Api, Call, at};
use crate::cli::exit::Failure;
use serde_json::Value;
use uuid::Uuid;

/// The identifier of a user, by identifier, user name or e-mail address in any spelling.
pub(super) async fn user(api: &Api, tenant: &str, name: &str) -> Result<String, Failure> {
    let filter = |name: &str| format!("username eq {name} or email eq {name}");
    by_filter(api, tenant, ("users", "user"), name, filter).await
}

/// The identifier of a group, by identifier or name.
pub(super) async fn group(api: &Api, tenant: &str, name: &str) -> Result<String, Failure> {
    by_filter(api, tenant, ("groups", "group"), name, by_name).await
}

/// The identifier of a role, by identifier or name. A name that the tenant and a client, or two clients, have is refused.
pub(super) async fn role(api: &Api, tenant: &str, name: &str) -> Result<String, Failure> {
    by_filter(api, tenant, ("roles", "role"), name, by_name).await
}

/// The identifier of a service account, by identifier or name.
pub(super) async fn service_account(api: &Api, tenant: &str, name: &str) -> Result<String, Failure> {
    by_filter(api, tenant, ("service-accounts", "service account"), name, by_name).await
}

/// The identifier of an OAuth client, by identifier or `client_id`.
pub(super) async fn client(api: &Api, tenant: &str, name: &str) -> Result<String, Failure> {
    if Uuid::parse_str(name).is_ok() {
        return Ok(name.to_owned());
    }
    let call = Call::get(at!["clients"]).query("client_id", Some(name));
    let (found, _) = api.list(tenant, call, false).await?;
    match found.first().and_then(|client| client.get("id")).and_then(Value::as_str) {
        Some(id) => Ok(id.to_owned()),
        None => Err(Failure::not_found(format!("there is no client {name:?} in the tenant {tenant}"))),
    }
}

/// The word of the API for what a party is, and its identifier.
pub(super) async fn party(
    api: &Api,
    tenant: &str,
    member: &MemberArg,
) -> Result<(&'static str, String), Failure> {
    Ok(match member.kind {
        PartyKind::User => ("user", user(api, tenant, &member.member).await?),
        PartyKind::Group => ("group", group(api, tenant, &member.member).await?),
        PartyKind::ServiceAccount => ("service_account", service_account(api, tenant, &member.member).await?),
    })
}

fn by_name(name: &str) -> String {
    format!("name eq {name}")
}

async fn by_filter(
    api: &Api,
    tenant: &str,
    (collection, what): (&str, &str),
    name: &str,
    filter: impl FnOnce(&str) -> String,
) -> Result<String, Failure> {
    if Uuid::parse_str(name).is_ok() {
        return Ok(name.to_owned());
    }
    // A JSON string is what the filter language takes for a value.
    let quoted = Value::String(name.to_owned()).to_string();
    let call = Call::get(at![collection]).query("filter", Some(filter(&quoted))).query("limit", Some(2));
    let (found, _) = api.list(tenant, call, false).await?;
    match &found[..] {
        [one] => {
            let id = one.get("id").and_then(Value::as_str);
            id.map(str::to_owned)
                .ok_or_else(|| Failure::new(crate::cli::exit::Exit::Failed, "the answer holds no identifier"))
        }
        [] => Err(Failure::not_found(format!("there is no {what} {name:?} in the tenant {tenant}"))),
        _ => Err(Failure::usage(format!("several are called {name:?}; name the {what} by its identifier"))),
    }
}
