//! `keyreeve jwt …`

use super::secrets::{POLICY, parties};
use crate::cli::args::{JwtCommand, JwtPolicy, JwtSign};
use crate::cli::client::{Api, Call, at};
use crate::cli::exit::{Failure, Output};
use crate::cli::input::Input;
use crate::cli::view;
use serde_json::{Map, Value, json};

pub(super) async fn run(api: &Api, command: &JwtCommand, input: Input) -> Result<Output, Failure> {
    match command {
        JwtCommand::Sign(asked) => sign(api, asked, &input).await,
        JwtCommand::CreatePolicy(new) => create_policy(api, new).await,
        JwtCommand::Keys { secret, tenant } => {
            let path = match secret {
                Some(secret) => at!["secrets", secret, "jwks"],
                None => at!["secrets", "jwks"],
            };
            let keys = api.send(&tenant.tenant, Call::get(path)).await?;
            Ok(Output::new(serde_json::to_string_pretty(&keys).unwrap_or_default(), keys))
        }
    }
}

/// A value as JSON, or else as the text that it is.
fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

fn named(pair: &str) -> Result<(String, Value), Failure> {
    let (name, text) = pair
        .split_once('=')
        .ok_or_else(|| Failure::usage(format!("{pair:?} is no claim with a value: NAME=VALUE")))?;
    Ok((name.to_owned(), value(text)))
}

async fn sign(api: &Api, asked: &JwtSign, input: &Input) -> Result<Output, Failure> {
    let mut claims = match input.file.as_deref().map(super::document).transpose()? {
        None => Map::new(),
        Some(Value::Object(claims)) => claims,
        Some(_) => return Err(Failure::usage("the file of claims is not a JSON object")),
    };
    for pair in &asked.claims {
        let (name, value) = named(pair)?;
        claims.insert(name, value);
    }
    let body = json!({
        "policy": asked.policy, "subject": asked.subject, "audience": asked.audience, "claims": claims, "seconds": asked.seconds,
    });
    let out = api.send(&asked.tenant.tenant, Call::post(at!["jwt", "sign"]).body(body)).await?;
    let token = out.get("token").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Output::new(token, out))
}

async fn create_policy(api: &Api, new: &JwtPolicy) -> Result<Output, Failure> {
    let tenant = &new.tenant.tenant;
    let open_to = parties(api, tenant, (&new.open_to, &new.open_to_groups)).await?;
    let fixed = new.fixed.iter().map(|pair| named(pair)).collect::<Result<Map<_, _>, _>>()?;
    let mut claims = Map::new();
    for claim in &new.claims {
        let (name, allowed) =
            claim.split_once('=').map_or((claim.as_str(), None), |(n, v)| (n, Some(value(v))));
        if let Value::Array(values) = claims.entry(name).or_insert_with(|| json!([])) {
            values.extend(allowed);
        }
    }
    let jwt = json!({
        "issuer": new.issuer, "audiences": new.audiences, "typ": new.typ, "fixed": fixed, "claims": claims,
    });
    let rules = json!({"names": new.subjects, "max_seconds": new.seconds, "open_to": open_to, "jwt": jwt});
    let body = json!({"name": new.policy, "authority": new.secret, "rules": rules});
    Ok(view::one(api.send(tenant, Call::post(at!["signing-policies"]).body(body)).await?, POLICY))
}
