//! `keyreeve webhook …`

use super::{listed, said, with_secret};
use crate::cli::args::WebhookCommand;
use crate::cli::client::{Api, Call, at};
use crate::cli::edits;
use crate::cli::exit::{Failure, Output};
use crate::cli::view::{self, Fields};
use serde_json::json;

const WEBHOOK: Fields = &[
    ("address", "/url"),
    ("actions", "/actions"),
    ("outcome", "/outcome"),
    ("enabled", "/enabled"),
    ("state", "/state"),
    ("created", "/created_at"),
    ("version", "/version"),
    ("id", "/id"),
];
const WEBHOOKS: Fields = &[("ID", "/id"), ("ADDRESS", "/url"), ("ENABLED", "/enabled"), ("STATE", "/state")];
const DELIVERIES: Fields = &[
    ("ID", "/id"),
    ("KIND", "/kind"),
    ("ENTRY", "/seq"),
    ("ACTION", "/action"),
    ("STATE", "/state"),
    ("STATUS", "/status"),
    ("ATTEMPTS", "/attempts"),
    ("ERROR", "/error"),
];

pub(super) async fn run(api: &Api, command: &WebhookCommand) -> Result<Output, Failure> {
    match command {
        WebhookCommand::Create { url, tenant, actions, outcome } => {
            let new = json!({"url": url, "actions": actions, "outcome": outcome});
            let made = api.send(&tenant.tenant, Call::post(at!["webhooks"]).body(new)).await?;
            Ok(issued(made))
        }
        WebhookCommand::Show { webhook, tenant } => {
            Ok(view::one(api.send(&tenant.tenant, Call::get(at!["webhooks", webhook])).await?, WEBHOOK))
        }
        WebhookCommand::List { tenant } => {
            let (items, _) = api.list(&tenant.tenant, Call::get(at!["webhooks"]), true).await?;
            Ok(view::many(items, WEBHOOKS))
        }
        WebhookCommand::Update { webhook, tenant, edits } => {
            let call =
                Call::patch(at!["webhooks", webhook]).body(edits::patch(edits)?).version(edits.version);
            Ok(view::one(api.send(&tenant.tenant, call).await?, WEBHOOK))
        }
        WebhookCommand::Delete { webhook, tenant } => {
            api.send(&tenant.tenant, Call::delete(at!["webhooks", webhook])).await?;
            Ok(said(format!("The webhook {webhook} was removed."), json!({"deleted": webhook})))
        }
        WebhookCommand::RotateSecret { webhook, tenant } => {
            let call = Call::post(at!["webhooks", webhook, "rotate-secret"]).body(json!({}));
            Ok(issued(api.send(&tenant.tenant, call).await?))
        }
        WebhookCommand::Resume { webhook, tenant, skip } => {
            let call = Call::post(at!["webhooks", webhook, "resume"]).body(json!({"skip": skip}));
            Ok(view::one(api.send(&tenant.tenant, call).await?, WEBHOOK))
        }
        WebhookCommand::Ping { webhook, tenant } => {
            let call = Call::post(at!["webhooks", webhook, "ping"]);
            Ok(view::one(api.send(&tenant.tenant, call).await?, DELIVERIES))
        }
        WebhookCommand::Deliveries { webhook, tenant, paging } => {
            let call = Call::get(at!["webhooks", webhook, "deliveries"]);
            listed(api, &tenant.tenant, call, paging, DELIVERIES).await
        }
        WebhookCommand::Redeliver { webhook, delivery, tenant } => {
            let call = Call::post(at!["webhooks", webhook, "deliveries", delivery, "redeliver"]);
            Ok(view::one(api.send(&tenant.tenant, call).await?, DELIVERIES))
        }
    }
}

/// A webhook and its secret, which is told this once.
fn issued(mut answer: serde_json::Value) -> Output {
    let mut document = answer.get_mut("webhook").map(serde_json::Value::take).unwrap_or_default();
    if let (Some(members), Some(secret)) = (document.as_object_mut(), answer.get("secret")) {
        members.insert("secret".to_owned(), secret.clone());
    }
    with_secret(view::one(document, WEBHOOK), "secret")
}
