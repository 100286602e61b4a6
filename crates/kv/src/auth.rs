//! AppRole, and what a token says of itself.

use crate::answer::{self, Refused};
use crate::call::{Arrival, Call, KvState, Sent};
use axum::extract::State;
use axum::response::Response;
use keyreeve_base::Timestamp;
use keyreeve_crypto::{Secret, base64url, sha256};
use keyreeve_tokens::{Bounds, ServiceCredential};
use serde::Deserialize;
use serde_json::{Value, json};

/// The longest identifier of a role that is looked at.
const MAX_ROLE_BYTES: usize = 128;

/// A service account's identifier, and one of its secrets.
#[derive(Deserialize)]
pub(crate) struct Login {
    role_id: Option<String>,
    secret_id: Option<Secret>,
}

pub(crate) async fn login(
    State(state): State<KvState>,
    arrival: Arrival,
    Sent(login): Sent<Login>,
) -> Result<Response, Refused> {
    let Arrival { tenant, origin } = arrival;
    let role =
        login.role_id.filter(|role| !role.is_empty()).ok_or_else(|| Refused::bad("missing role_id"))?;
    let secret = login
        .secret_id
        .filter(|secret| !secret.is_empty())
        .ok_or_else(|| Refused::bad("missing secret_id"))?;
    if role.len() > MAX_ROLE_BYTES {
        return Err(Refused::bad("invalid role or secret ID"));
    }
    let credential = ServiceCredential { account: &role, secret: &secret };
    let bounds = Bounds::default();
    let issued = state.tokens.service_credentials(&tenant, credential, (None, &bounds), &origin).await?;
    let mut body = answer::envelope(Value::Null);
    let auth = json!({
        "client_token": issued.access_token,
        "accessor": accessor(&issued.access_token),
        "policies": ["default"],
        "token_policies": ["default"],
        "identity_policies": [],
        "metadata": {"role_id": role},
        "lease_duration": issued.expires_in,
        "renewable": false,
        "entity_id": role,
        "token_type": "service",
        "orphan": true,
        "mfa_requirement": null,
        "num_uses": 0,
    });
    if let Some(body) = body.as_object_mut() {
        body.insert("auth".to_owned(), auth);
        if let Some(id) = &origin.request_id {
            body.insert("request_id".to_owned(), json!(id));
        }
    }
    Ok(answer::plain(&body))
}

/// A name for a token that is no token.
fn accessor(token: &str) -> String {
    base64url::encode(sha256(token.as_bytes())).chars().take(24).collect()
}

pub(crate) async fn lookup(call: Call) -> Result<Response, Refused> {
    let holder = call.caller.holder().map(|holder| holder.to_string()).unwrap_or_default();
    let claims = call.caller.token().map(keyreeve_tokens::AccessToken::claims);
    let (issued, expires) = claims.map_or((0, 0), |claims| (claims.iat, claims.exp));
    let now = call.now();
    let policies = claims.map(|claims| claims.scope.to_string()).unwrap_or_default();
    let policies: Vec<&str> = policies.split(' ').filter(|scope| !scope.is_empty()).collect();
    let data = json!({
        "accessor": accessor(call.token.expose()),
        "creation_time": issued,
        "creation_ttl": expires.saturating_sub(issued),
        "display_name": holder,
        "entity_id": holder,
        "expire_time": Timestamp::from_seconds(expires).to_string(),
        "explicit_max_ttl": 0,
        "id": call.token.expose(),
        "issue_time": Timestamp::from_seconds(issued).to_string(),
        "meta": null,
        "num_uses": 0,
        "orphan": true,
        "path": "auth/token/create",
        "policies": policies,
        "renewable": false,
        "ttl": expires.saturating_sub(now).max(0),
        "type": "service",
    });
    Ok(call.ok(data))
}

/// Access tokens end when they end; another login gives another one.
pub(crate) async fn renew(call: Call) -> Result<Response, Refused> {
    drop(call);
    Err(Refused::bad("lease is not renewable"))
}

pub(crate) async fn revoke(call: Call) -> Result<Response, Refused> {
    call.state.tokens.revoke_own(&call.caller).await?;
    Ok(answer::done())
}
