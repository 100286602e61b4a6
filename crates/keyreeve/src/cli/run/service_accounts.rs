//! `keyreeve service-account …`

use super::{listed, names, said, with_secret};
use crate::cli::args::ServiceAccountCommand;
use crate::cli::client::{Api, Call, at};
use crate::cli::edits;
use crate::cli::exit::{Failure, Output};
use crate::cli::view::{self, Fields};
use serde_json::{Map, Value, json};

const ACCOUNT: Fields = &[
    ("name", "/name"),
    ("description", "/description"),
    ("attributes", "/attributes"),
    ("enabled", "/enabled"),
    ("owner", "/owner"),
    ("token lifetime, s", "/token_lifetime_s"),
    ("ends", "/expires_at"),
    ("created", "/created_at"),
    ("version", "/version"),
    ("id (client_id)", "/id"),
];
const ACCOUNTS: Fields = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("ENABLED", "/enabled"),
    ("ENDS", "/expires_at"),
    ("DESCRIPTION", "/description"),
];
const SECRETS: Fields =
    &[("SECRET", "/id"), ("CREATED", "/created_at"), ("ENDS", "/expires_at"), ("LAST USED", "/last_used_at")];

pub(super) async fn run(api: &Api, command: &ServiceAccountCommand) -> Result<Output, Failure> {
    match command {
        ServiceAccountCommand::Create {
            name,
            tenant,
            description,
            owner_user,
            owner_group,
            token_lifetime,
            expires_at,
        } => {
            let tenant = &*tenant.tenant;
            let mut new = Map::from_iter([("name".to_owned(), json!(name))]);
            for (field, value) in [
                ("description", description.as_ref().map(|text| json!(text))),
                ("token_lifetime_s", token_lifetime.map(|seconds| json!(seconds))),
                ("expires_at", expires_at.as_ref().map(|text| json!(text))),
            ] {
                new.extend(value.map(|value| (field.to_owned(), value)));
            }
            if let Some(user) = owner_user {
                let id = names::user(api, tenant, user).await?;
                new.insert("owner".to_owned(), json!({"kind": "user", "id": id}));
            }
            if let Some(group) = owner_group {
                let id = names::group(api, tenant, group).await?;
                new.insert("owner".to_owned(), json!({"kind": "group", "id": id}));
            }
            let call = Call::post(at!["service-accounts"]).body(Value::Object(new));
            let output = view::one(api.send(tenant, call).await?, ACCOUNT);
            let hint = "\n\nIt has no secret yet: `keyreeve service-account add-secret` gives one.";
            Ok(Output { text: output.text + hint, ..output })
        }
        ServiceAccountCommand::Show { account, tenant } => {
            let id = names::service_account(api, &tenant.tenant, account).await?;
            show(api, &tenant.tenant, &id).await
        }
        ServiceAccountCommand::List { tenant, paging } => {
            listed(api, &tenant.tenant, Call::get(at!["service-accounts"]), paging, ACCOUNTS).await
        }
        ServiceAccountCommand::Update { account, tenant, edits } => {
            let id = names::service_account(api, &tenant.tenant, account).await?;
            let call =
                Call::patch(at!["service-accounts", id]).body(edits::patch(edits)?).version(edits.version);
            Ok(view::one(api.send(&tenant.tenant, call).await?, ACCOUNT))
        }
        ServiceAccountCommand::Delete { account, tenant } => {
            let id = names::service_account(api, &tenant.tenant, account).await?;
            api.send(&tenant.tenant, Call::delete(at!["service-accounts", id])).await?;
            Ok(said(format!("The service account {account} was removed."), json!({"deleted": id})))
        }
        ServiceAccountCommand::AddSecret { account, tenant, expires_in_days } => {
            let id = names::service_account(api, &tenant.tenant, account).await?;
            let body = match expires_in_days {
                Some(days) => json!({"lasts_s": u64::from(*days) * 86_400}),
                None => json!({}),
            };
            let call = Call::post(at!["service-accounts", id, "secrets"]).body(body);
            Ok(with_secret(view::one(api.send(&tenant.tenant, call).await?, SECRETS), "secret"))
        }
        ServiceAccountCommand::RevokeSecret { account, secret, tenant } => {
            let id = names::service_account(api, &tenant.tenant, account).await?;
            api.send(&tenant.tenant, Call::delete(at!["service-accounts", id, "secrets", secret])).await?;
            Ok(said(format!("The secret {secret} is no longer good."), json!({"revoked": secret})))
        }
    }
}

async fn show(api: &Api, tenant: &str, id: &str) -> Result<Output, Failure> {
    let mut account = api.send(tenant, Call::get(at!["service-accounts", id])).await?;
    let (secrets, _) = api.list(tenant, Call::get(at!["service-accounts", id, "secrets"]), true).await?;
    let table = view::many(secrets.clone(), SECRETS).text;
    if let Value::Object(members) = &mut account {
        members.insert("secrets".to_owned(), Value::Array(secrets));
    }
    let output = view::one(account, ACCOUNT);
    Ok(Output { text: format!("{}\n\n{table}", output.text), ..output })
}
