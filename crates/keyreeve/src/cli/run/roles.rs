//! `keyreeve role …`

use super::{listed, names, said};
use crate::cli::args::RoleCommand;
use crate::cli::client::{Api, Call, at};
use crate::cli::edits;
use crate::cli::exit::{Failure, Output};
use crate::cli::view::{self, Fields};
use serde_json::json;

const ROLE: Fields = &[
    ("name", "/name"),
    ("client", "/client"),
    ("description", "/description"),
    ("created", "/created_at"),
    ("changed", "/updated_at"),
    ("version", "/version"),
    ("id", "/id"),
];
const ROLES: Fields =
    &[("ID", "/id"), ("NAME", "/name"), ("CLIENT", "/client"), ("DESCRIPTION", "/description")];
const HOLDERS: Fields = &[("TYPE", "/holder/kind"), ("ID", "/holder/id"), ("SINCE", "/given_at")];

pub(super) async fn run(api: &Api, command: &RoleCommand) -> Result<Output, Failure> {
    match command {
        RoleCommand::Create { name, tenant, client, description } => {
            let client = match client {
                Some(client) => Some(names::client(api, &tenant.tenant, client).await?),
                None => None,
            };
            let new = json!({"name": name, "client": client, "description": description});
            Ok(view::one(api.send(&tenant.tenant, Call::post(at!["roles"]).body(new)).await?, ROLE))
        }
        RoleCommand::Show { role, tenant } => {
            let id = names::role(api, &tenant.tenant, role).await?;
            Ok(view::one(api.send(&tenant.tenant, Call::get(at!["roles", id])).await?, ROLE))
        }
        RoleCommand::List { tenant, paging } => {
            listed(api, &tenant.tenant, Call::get(at!["roles"]), paging, ROLES).await
        }
        RoleCommand::Update { role, tenant, edits } => {
            let id = names::role(api, &tenant.tenant, role).await?;
            let call = Call::patch(at!["roles", id]).body(edits::patch(edits)?).version(edits.version);
            Ok(view::one(api.send(&tenant.tenant, call).await?, ROLE))
        }
        RoleCommand::Delete { role, tenant } => {
            let id = names::role(api, &tenant.tenant, role).await?;
            api.send(&tenant.tenant, Call::delete(at!["roles", id])).await?;
            Ok(said(format!("The role {role} was removed from everyone."), json!({"deleted": id})))
        }
        RoleCommand::Holders { role, tenant, paging } => {
            let id = names::role(api, &tenant.tenant, role).await?;
            let call = Call::get(at!["roles", id, "holders"]);
            listed(api, &tenant.tenant, call, paging, HOLDERS).await
        }
        RoleCommand::Give { role, member, tenant } => {
            let id = names::role(api, &tenant.tenant, role).await?;
            let (what, whom) = names::party(api, &tenant.tenant, member).await?;
            let call = Call::put(at!["roles", id, "holders", what, whom]);
            api.send(&tenant.tenant, call).await?;
            Ok(said(
                format!("{} has the role {role}.", member.member),
                json!({"role": id, "type": what, "id": whom}),
            ))
        }
        RoleCommand::Take { role, member, tenant } => {
            let id = names::role(api, &tenant.tenant, role).await?;
            let (what, whom) = names::party(api, &tenant.tenant, member).await?;
            api.send(&tenant.tenant, Call::delete(at!["roles", id, "holders", what, whom])).await?;
            Ok(said(
                format!("{} has the role {role} no longer.", member.member),
                json!({"role": id, "type": what, "id": whom}),
            ))
        }
    }
}
