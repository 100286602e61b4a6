//! `keyreeve sharing …`

use super::{listed, names, said};
use crate::cli::args::{
    GrantCommand, MemberArg, OfType, PageArgs, PermissionCommand, QuestionArgs, ResourceCommand,
    ResourceTypeCommand, SharingCommand,
};
use crate::cli::client::{Api, Call, at};
use crate::cli::edits;
use crate::cli::exit::{Exit, Failure, Output};
use crate::cli::view::{self, Fields};
use serde_json::{Map, Value, json};

const TYPE: Fields = &[
    ("id", "/id"),
    ("name", "/name"),
    ("description", "/description"),
    ("created", "/created_at"),
    ("changed", "/updated_at"),
    ("version", "/version"),
];
const TYPES: Fields = &[("ID", "/id"), ("NAME", "/name"), ("DESCRIPTION", "/description")];
const PERMISSION: Fields = &[
    ("id", "/id"),
    ("type", "/type"),
    ("name", "/name"),
    ("description", "/description"),
    ("shares", "/shares"),
    ("implies", "/implies"),
    ("version", "/version"),
];
const PERMISSIONS: Fields =
    &[("ID", "/id"), ("NAME", "/name"), ("SHARES", "/shares"), ("IMPLIES", "/implies")];
const RESOURCE: Fields = &[
    ("id", "/id"),
    ("type", "/type"),
    ("name", "/name"),
    ("description", "/description"),
    ("owner", "/owner/id"),
    ("owner type", "/owner/kind"),
    ("parent", "/parent"),
    ("attributes", "/attributes"),
    ("text", "/text"),
    ("created", "/created_at"),
    ("changed", "/updated_at"),
    ("version", "/version"),
];
const RESOURCES: Fields = &[("ID", "/id"), ("TYPE", "/type"), ("NAME", "/name"), ("PARENT", "/parent")];
const GRANT: Fields = &[
    ("resource", "/resource"),
    ("permission", "/permission"),
    ("subject", "/subject/id"),
    ("subject type", "/subject/kind"),
    ("cascade", "/cascade"),
    ("expires", "/expires_at"),
    ("created", "/created_at"),
    ("id", "/id"),
];
const GRANTS: Fields = &[
    ("KIND", "/kind"),
    ("PERMISSION", "/grant/permission"),
    ("TYPE", "/grant/subject/kind"),
    ("SUBJECT", "/grant/subject/id"),
    ("FROM", "/grant/resource"),
    ("EXPIRES", "/grant/expires_at"),
    ("ID", "/grant/id"),
];
const EXPLANATION: Fields = &[
    ("allowed", "/allowed"),
    ("reason", "/reason"),
    ("permissions", "/via/permissions"),
    ("resources", "/via/resources"),
    ("groups", "/via/groups"),
    ("given to", "/via/party/id"),
    ("grant", "/via/grant/id"),
];
const SUBJECTS: Fields = &[("TYPE", "/kind"), ("ID", "/id")];
const REACHED: Fields = &[("ID", "/id"), ("TYPE", "/type")];

pub(super) async fn run(api: &Api, command: &SharingCommand) -> Result<Output, Failure> {
    match command {
        SharingCommand::Type(command) => types(api, command).await,
        SharingCommand::Permission(command) => permissions(api, command).await,
        SharingCommand::Resource(command) => resources(api, command).await,
        SharingCommand::Grant(command) => grants(api, command).await,
        SharingCommand::Check(question) => check(api, question).await,
        SharingCommand::Explain(question) => {
            let answer = ask(api, "explain", question).await?;
            Ok(view::one(answer, EXPLANATION))
        }
        SharingCommand::Load(_) | SharingCommand::Export(_) => Err(Failure::usage("this command streams")),
        SharingCommand::Subjects { resource, permission, tenant, direct, groups, page } => {
            let call = Call::get(at!["sharing", "resources", resource, "subjects"])
                .query("permission", Some(permission))
                .query("reach", direct.then_some("direct"))
                .query("expand", groups.then_some("false"));
            paged(api, &tenant.tenant, call, page, SUBJECTS).await
        }
        SharingCommand::Resources { resource_type, permission, member, tenant, page } => {
            let (kind, id) = names::party(api, &tenant.tenant, member).await?;
            let call = Call::get(at!["sharing", "subjects", kind, id, "resources"])
                .query("type", Some(resource_type))
                .query("permission", Some(permission));
            paged(api, &tenant.tenant, call, page, REACHED).await
        }
    }
}

async fn paged(
    api: &Api,
    tenant: &str,
    call: Call,
    page: &PageArgs,
    columns: Fields,
) -> Result<Output, Failure> {
    listed(api, tenant, call, &page.into(), columns).await
}

/// A document of these members, those without a value left out.
fn document<const N: usize>(members: [(&str, Value); N]) -> Value {
    let given = members.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(given.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

async fn subject(api: &Api, tenant: &str, member: &MemberArg) -> Result<Value, Failure> {
    let (kind, id) = names::party(api, tenant, member).await?;
    Ok(json!({"kind": kind, "id": id}))
}

async fn ask(api: &Api, question: &str, of: &QuestionArgs) -> Result<Value, Failure> {
    let tenant = &*of.tenant.tenant;
    let body = document([
        ("subject", subject(api, tenant, &of.member).await?),
        ("resource", json!(of.resource)),
        ("permission", json!(of.permission)),
        ("at_least", json!(of.at_least)),
    ]);
    api.send(tenant, Call::post(at!["sharing", question]).body(body)).await
}

async fn check(api: &Api, question: &QuestionArgs) -> Result<Output, Failure> {
    let answer = ask(api, "check", question).await?;
    let QuestionArgs { resource, permission, member, .. } = question;
    if answer.get("allowed").and_then(Value::as_bool) == Some(true) {
        return Ok(said(format!("{} has {permission} on {resource}.", member.member), answer));
    }
    let reason = answer.get("reason").and_then(Value::as_str).unwrap_or("not_granted");
    let text = format!("{} does not have {permission} on {resource}: {reason}", member.member);
    Err(Failure::new(Exit::Refused, text))
}

async fn types(api: &Api, command: &ResourceTypeCommand) -> Result<Output, Failure> {
    use ResourceTypeCommand as Of;
    match command {
        Of::Create { id, tenant, name, description } => {
            let new =
                document([("id", json!(id)), ("name", json!(name)), ("description", json!(description))]);
            let made = api.send(&tenant.tenant, Call::post(at!["sharing", "types"]).body(new)).await?;
            Ok(view::one(made, TYPE))
        }
        Of::Show { id, tenant } => {
            Ok(view::one(api.send(&tenant.tenant, Call::get(at!["sharing", "types", id])).await?, TYPE))
        }
        Of::List { tenant, page } => {
            paged(api, &tenant.tenant, Call::get(at!["sharing", "types"]), page, TYPES).await
        }
        Of::Update { id, tenant, edits } => {
            let call =
                Call::patch(at!["sharing", "types", id]).body(edits::patch(edits)?).version(edits.version);
            Ok(view::one(api.send(&tenant.tenant, call).await?, TYPE))
        }
        Of::Delete { id, tenant } => {
            api.send(&tenant.tenant, Call::delete(at!["sharing", "types", id])).await?;
            Ok(said(format!("The type {id} was removed."), json!({"deleted": id})))
        }
    }
}

/// Where the permissions of a type are, or those of every type; and where one of them is.
fn place(of: &OfType, id: Option<&str>) -> String {
    match (&of.of, id) {
        (Some(of), Some(id)) => at!["sharing", "types", of, "permissions", id],
        (Some(of), None) => at!["sharing", "types", of, "permissions"],
        (None, Some(id)) => at!["sharing", "permissions", id],
        (None, None) => at!["sharing", "permissions"],
    }
}

async fn permissions(api: &Api, command: &PermissionCommand) -> Result<Output, Failure> {
    use PermissionCommand as Of;
    match command {
        Of::Create { id, of, name, description, shares, implies } => {
            let new = document([
                ("id", json!(id)),
                ("name", json!(name)),
                ("description", json!(description)),
                ("shares", json!(shares)),
                ("implies", json!(implies)),
            ]);
            let made = api.send(&of.tenant.tenant, Call::post(place(of, None)).body(new)).await?;
            Ok(view::one(made, PERMISSION))
        }
        Of::Show { id, of } => {
            Ok(view::one(api.send(&of.tenant.tenant, Call::get(place(of, Some(id)))).await?, PERMISSION))
        }
        Of::List { of } => {
            let (items, _) = api.list(&of.tenant.tenant, Call::get(place(of, None)), false).await?;
            Ok(view::many(items, PERMISSIONS))
        }
        Of::Update { id, of, edits } => {
            let call = Call::patch(place(of, Some(id))).body(edits::patch(edits)?).version(edits.version);
            Ok(view::one(api.send(&of.tenant.tenant, call).await?, PERMISSION))
        }
        Of::Delete { id, of } => {
            api.send(&of.tenant.tenant, Call::delete(place(of, Some(id)))).await?;
            Ok(said(format!("The permission {id} was removed."), json!({"deleted": id})))
        }
    }
}

async fn resources(api: &Api, command: &ResourceCommand) -> Result<Output, Failure> {
    use ResourceCommand as Of;
    match command {
        Of::Create { resource_type, name, tenant, id, owner, parent, description } => {
            let tenant = &*tenant.tenant;
            let owner = match owner {
                Some(owner) => json!({"kind": "user", "id": names::user(api, tenant, owner).await?}),
                None => Value::Null,
            };
            let new = document([
                ("type", json!(resource_type)),
                ("name", json!(name)),
                ("id", json!(id)),
                ("owner", owner),
                ("parent", json!(parent)),
                ("description", json!(description)),
            ]);
            let made = api.send(tenant, Call::post(at!["sharing", "resources"]).body(new)).await?;
            Ok(view::one(made, RESOURCE))
        }
        Of::Show { id, tenant } => {
            let call = Call::get(at!["sharing", "resources", id]);
            Ok(view::one(api.send(&tenant.tenant, call).await?, RESOURCE))
        }
        Of::List { tenant, filter, oldest, page } => {
            let call = Call::get(at!["sharing", "resources"])
                .query("filter", filter.as_ref())
                .query("order", oldest.then_some("oldest"));
            paged(api, &tenant.tenant, call, page, RESOURCES).await
        }
        Of::Children { id, tenant, page } => {
            let call = Call::get(at!["sharing", "resources", id, "children"]);
            paged(api, &tenant.tenant, call, page, RESOURCES).await
        }
        Of::Update { id, tenant, edits } => {
            let call = Call::patch(at!["sharing", "resources", id])
                .body(edits::patch(edits)?)
                .version(edits.version);
            Ok(view::one(api.send(&tenant.tenant, call).await?, RESOURCE))
        }
        Of::Move { id, tenant, to, out: _ } => {
            let call = Call::post(at!["sharing", "resources", id, "move"]).body(json!({"parent": to}));
            Ok(view::one(api.send(&tenant.tenant, call).await?, RESOURCE))
        }
        Of::Transfer { id, member, tenant } => {
            let owner = subject(api, &tenant.tenant, member).await?;
            let call = Call::post(at!["sharing", "resources", id, "owner"]).body(json!({"owner": owner}));
            Ok(view::one(api.send(&tenant.tenant, call).await?, RESOURCE))
        }
        Of::Delete { id, tenant, children } => {
            let call =
                Call::delete(at!["sharing", "resources", id]).query("children", children.then_some("remove"));
            api.send(&tenant.tenant, call).await?;
            Ok(said(format!("The resource {id} was removed."), json!({"deleted": id})))
        }
    }
}

async fn grants(api: &Api, command: &GrantCommand) -> Result<Output, Failure> {
    use GrantCommand as Of;
    match command {
        Of::Create { resource, permission, member, tenant, cascade, expires_at } => {
            let new = document([
                ("resource", json!(resource)),
                ("permission", json!(permission)),
                ("subject", subject(api, &tenant.tenant, member).await?),
                ("cascade", json!(cascade)),
                ("expires_at", json!(expires_at)),
            ]);
            let made = api.send(&tenant.tenant, Call::post(at!["sharing", "grants"]).body(new)).await?;
            Ok(view::one(made, GRANT))
        }
        Of::List { resource, tenant, direct, page } => {
            let call = Call::get(at!["sharing", "resources", resource, "grants"])
                .query("inherited", direct.then_some("false"));
            paged(api, &tenant.tenant, call, page, GRANTS).await
        }
        Of::Revoke { grant, tenant } => {
            api.send(&tenant.tenant, Call::delete(at!["sharing", "grants", grant])).await?;
            Ok(said("The grant was revoked.", json!({"revoked": grant})))
        }
        Of::RevokeFrom { member, tenant, on, permission } => {
            let (kind, id) = names::party(api, &tenant.tenant, member).await?;
            let path = match on {
                Some(resource) => at!["sharing", "resources", resource, "grants", kind, id],
                None => at!["sharing", "subjects", kind, id, "grants"],
            };
            let call = Call::delete(path).query("permission", permission.as_ref());
            Ok(revoked(api.send(&tenant.tenant, call).await?))
        }
        Of::RevokeAll { resource, tenant } => {
            let call = Call::delete(at!["sharing", "resources", resource, "grants"]);
            Ok(revoked(api.send(&tenant.tenant, call).await?))
        }
    }
}

fn revoked(answer: Value) -> Output {
    let grants = answer.get("grants").and_then(Value::as_u64).unwrap_or_default();
    said(format!("{grants} grants were revoked."), answer)
}
