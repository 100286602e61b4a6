//! `keyreeve group …`

use super::{listed, names, said};
use crate::cli::args::GroupCommand;
use crate::cli::client::{Api, Call, at};
use crate::cli::edits;
use crate::cli::exit::{Failure, Output};
use crate::cli::view::{self, Fields};
use serde_json::{Map, Value, json};

const GROUP: Fields = &[
    ("name", "/name"),
    ("description", "/description"),
    ("attributes", "/attributes"),
    ("created", "/created_at"),
    ("changed", "/updated_at"),
    ("version", "/version"),
    ("id", "/id"),
];
const GROUPS: Fields = &[("ID", "/id"), ("NAME", "/name"), ("DESCRIPTION", "/description")];
const MEMBERS: Fields =
    &[("TYPE", "/member/kind"), ("ID", "/member/id"), ("KIND", "/kind"), ("SINCE", "/added_at")];

pub(super) async fn run(api: &Api, command: &GroupCommand) -> Result<Output, Failure> {
    match command {
        GroupCommand::Create { name, tenant, description, parent, owner } => {
            let tenant = &*tenant.tenant;
            let mut new = Map::from_iter([("name".to_owned(), json!(name))]);
            if let Some(description) = description {
                new.insert("description".to_owned(), json!(description));
            }
            if let Some(parent) = parent {
                new.insert("parent".to_owned(), json!(names::group(api, tenant, parent).await?));
            }
            if let Some(owner) = owner {
                let owner = names::user(api, tenant, owner).await?;
                new.insert("owner".to_owned(), json!({"kind": "user", "id": owner}));
            }
            let made = api.send(tenant, Call::post(at!["groups"]).body(Value::Object(new))).await?;
            Ok(view::one(made, GROUP))
        }
        GroupCommand::Show { group, tenant } => {
            let id = names::group(api, &tenant.tenant, group).await?;
            Ok(view::one(api.send(&tenant.tenant, Call::get(at!["groups", id])).await?, GROUP))
        }
        GroupCommand::List { tenant, paging } => {
            listed(api, &tenant.tenant, Call::get(at!["groups"]), paging, GROUPS).await
        }
        GroupCommand::Update { group, tenant, edits } => {
            let id = names::group(api, &tenant.tenant, group).await?;
            let call = Call::patch(at!["groups", id]).body(edits::patch(edits)?).version(edits.version);
            Ok(view::one(api.send(&tenant.tenant, call).await?, GROUP))
        }
        GroupCommand::Delete { group, tenant } => {
            let id = names::group(api, &tenant.tenant, group).await?;
            api.send(&tenant.tenant, Call::delete(at!["groups", id])).await?;
            Ok(said(format!("The group {group} was removed."), json!({"deleted": id})))
        }
        GroupCommand::Members { group, tenant, transitive, paging } => {
            let id = names::group(api, &tenant.tenant, group).await?;
            let call =
                Call::get(at!["groups", id, "members"]).query("reach", transitive.then_some("effective"));
            listed(api, &tenant.tenant, call, paging, MEMBERS).await
        }
        GroupCommand::Add { group, member, tenant, kind } => {
            let id = names::group(api, &tenant.tenant, group).await?;
            let (what, whom) = names::party(api, &tenant.tenant, member).await?;
            let call = Call::put(at!["groups", id, "members", what, whom])
                .body(json!({"kind": kind.to_ascii_uppercase()}));
            api.send(&tenant.tenant, call).await?;
            let text = format!("{} is now a {kind} of {group}.", member.member);
            Ok(said(text, json!({"group": id, "type": what, "id": whom, "kind": kind.to_ascii_uppercase()})))
        }
        GroupCommand::Remove { group, member, tenant } => {
            let id = names::group(api, &tenant.tenant, group).await?;
            let (what, whom) = names::party(api, &tenant.tenant, member).await?;
            api.send(&tenant.tenant, Call::delete(at!["groups", id, "members", what, whom])).await?;
            let text = format!("{} is no longer in {group}.", member.member);
            Ok(said(text, json!({"group": id, "type": what, "id": whom})))
        }
    }
}
