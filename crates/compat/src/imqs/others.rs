//! Operations that need little or nothing of the rooms.

use super::DIALECT;
use super::call::Call;
use super::reply::{Answer, Reply};
use serde_json::{Map, Value, json};

pub(super) async fn hello(_: Call) -> Answer {
    Ok(Reply::text(200, "Hello!"))
}

pub(super) async fn ping(call: Call) -> Answer {
    let now = call.imqs.world().now().seconds();
    Ok(Reply::text(200, format!("{{\"Timestamp\": {now}}}")))
}

pub(super) async fn login_yellowfin(_: Call) -> Answer {
    Err(Reply::text(404, "Yellowfin is disabled"))
}

pub(super) async fn has_active_directory(call: Call) -> Answer {
    Ok(Reply::json(&u8::from(call.imqs.options().has_ldap)))
}

pub(super) async fn hostname(call: Call) -> Answer {
    let hostname = serde_json::to_string(call.imqs.hostname()).map_err(|error| Reply::internal(&error))?;
    Ok(Reply::text(200, format!("{{\"Hostname\": {hostname}}}")))
}

pub(super) async fn permission_names(call: Call) -> Answer {
    let named = call.imqs.named_permissions();
    let names: Map<String, Value> = named
        .into_iter()
        .map(|number| (number.to_string(), json!(call.imqs.permission_name(number))))
        .collect();
    Ok(Reply::json(&names))
}

pub(super) async fn dynamic_permissions(call: Call) -> Answer {
    Ok(Reply::json(&call.imqs.options().permissions))
}

pub(super) async fn document(_: Call) -> Answer {
    Ok(Reply::json(&crate::openapi::document(&DIALECT)))
}

// ── what an installation without a provider answers ──

pub(super) async fn oauth_providers(_: Call) -> Answer {
    Ok(Reply::json_line(&Vec::<Value>::new()))
}

pub(super) async fn oauth_start(call: Call) -> Answer {
    let form = call.form();
    let provider = form.get("provider").map_or_else(|| call.query("provider"), String::as_str);
    Err(Reply::text(400, format!("OAuth provider '{provider}' not configured")))
}

pub(super) async fn oauth_finish(_: Call) -> Answer {
    Ok(Reply::found("/?oauthError=OAuth+provider+%27%27+not+configured"))
}

pub(super) async fn app_roles(_: Call) -> Answer {
    Err(Reply::text(501, "MSAAD is not configured"))
}
