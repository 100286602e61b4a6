//! `keyreeve tenant …`

use super::said;
use crate::cli::args::TenantCommand;
use crate::cli::client::{Api, Call, at};
use crate::cli::edits;
use crate::cli::exit::{Failure, Output, record};
use crate::cli::view::{self, Fields};
use keyreeve_identity::{DEFAULT_SLUG, TenantSettings};
use keyreeve_tokens::TokenPolicy;
use serde_json::{Map, Value, json};

const TENANT: Fields = &[
    ("tenant", "/slug"),
    ("name", "/name"),
    ("issuer", "/issuer"),
    ("enabled", "/enabled"),
    ("archived", "/archived_at"),
    ("created", "/created_at"),
    ("version", "/version"),
    ("id", "/id"),
];
const TENANTS: Fields =
    &[("TENANT", "/slug"), ("NAME", "/name"), ("ENABLED", "/enabled"), ("ISSUER", "/issuer")];

/// The part of the policy document that is the token policy.
const TOKENS: &str = "tokens";

pub(super) async fn run(api: &Api, command: &TenantCommand) -> Result<Output, Failure> {
    match command {
        TenantCommand::Create { slug, name } => {
            let new = json!({"slug": slug, "name": name.as_ref().unwrap_or(slug)});
            let made = api.send(DEFAULT_SLUG, Call::post(at!["tenants"]).body(new)).await?;
            Ok(view::one(made, TENANT))
        }
        TenantCommand::Show { slug } => Ok(view::one(find(api, slug).await?, TENANT)),
        TenantCommand::List => Ok(view::many(all(api).await?, TENANTS)),
        TenantCommand::Update { slug, edits } => {
            let id = id(api, slug).await?;
            let call = Call::patch(at!["tenants", id]).body(edits::patch(edits)?).version(edits.version);
            Ok(view::one(api.send(DEFAULT_SLUG, call).await?, TENANT))
        }
        TenantCommand::Enable { slug } => change(api, slug, "enable").await,
        TenantCommand::Disable { slug } => change(api, slug, "disable").await,
        TenantCommand::Archive { slug } => {
            let id = id(api, slug).await?;
            api.send(DEFAULT_SLUG, Call::delete(at!["tenants", id])).await?;
            Ok(said(format!("The tenant {slug} was archived."), json!({"archived": id})))
        }
        TenantCommand::Policy { slug, set } => policy(api, slug, set).await,
    }
}

async fn all(api: &Api) -> Result<Vec<Value>, Failure> {
    let call = Call::get(at!["tenants"]).query("limit", Some(500));
    Ok(api.list(DEFAULT_SLUG, call, true).await?.0)
}

async fn find(api: &Api, slug: &str) -> Result<Value, Failure> {
    let found = all(api).await?.into_iter().find(|tenant| tenant.get("slug") == Some(&json!(slug)));
    found.ok_or_else(|| {
        Failure::not_found(format!("there is no tenant {slug:?}; `keyreeve tenant list` shows them"))
    })
}

async fn id(api: &Api, slug: &str) -> Result<String, Failure> {
    let tenant = find(api, slug).await?;
    Ok(tenant.get("id").and_then(Value::as_str).unwrap_or_default().to_owned())
}

async fn change(api: &Api, slug: &str, what: &str) -> Result<Output, Failure> {
    let id = id(api, slug).await?;
    Ok(view::one(api.send(DEFAULT_SLUG, Call::post(at!["tenants", id, what])).await?, TENANT))
}

async fn policy(api: &Api, slug: &str, set: &[String]) -> Result<Output, Failure> {
    let mut document = read_policy(api, slug).await?;
    if !set.is_empty() {
        let mut changes = json!({});
        for assignment in set {
            assign(&document, &mut changes, assignment)?;
        }
        let Value::Object(mut settings) = changes else { return Err(Failure::usage("nothing to change")) };
        check(&document, set)?;
        if let Some(tokens) = settings.remove(TOKENS) {
            api.send(slug, Call::patch(at!["tenant", "token-policy"]).body(tokens)).await?;
        }
        if !settings.is_empty() {
            let patch = json!({"settings": settings});
            api.send(slug, Call::patch(at!["tenant"]).body(patch)).await?;
        }
        document = read_policy(api, slug).await?;
    }
    let mut lines = Vec::new();
    flatten("", &document, &mut lines);
    let fields: Vec<_> = lines.iter().map(|(key, value)| (key.as_str(), Some(value.clone()))).collect();
    Ok(Output::new(record(&fields), document))
}

/// The tenant's settings, and its token policy as one more part of them.
async fn read_policy(api: &Api, slug: &str) -> Result<Value, Failure> {
    let mut tenant = api.send(slug, Call::get(at!["tenant"])).await?;
    let tokens = api.send(slug, Call::get(at!["tenant", "token-policy"])).await?;
    let mut document = match tenant.get_mut("settings").map(Value::take) {
        Some(Value::Object(settings)) => settings,
        _ => Map::new(),
    };
    document.insert(TOKENS.to_owned(), tokens);
    Ok(Value::Object(document))
}

/// Whether the policy can be as it would be: looked at before anything is sent, since settings and token policy are two
/// changes, and a mistake in one should leave the other as it was.
fn check(document: &Value, set: &[String]) -> Result<(), Failure> {
    let wrong = |error: serde_json::Error| Failure::usage(format!("this policy cannot be: {error}"));
    let mut whole = document.clone();
    for assignment in set {
        assign(document, &mut whole, assignment)?;
    }
    let tokens = whole.as_object_mut().and_then(|parts| parts.remove(TOKENS)).unwrap_or_default();
    serde_json::from_value::<TokenPolicy>(tokens).map_err(wrong)?.validate()?;
    serde_json::from_value::<TenantSettings>(whole).map_err(wrong)?.validate()?;
    Ok(())
}

/// Puts `KEY=VALUE` into the changes, where the document has KEY.
fn assign(document: &Value, changes: &mut Value, assignment: &str) -> Result<(), Failure> {
    let unknown = |key: &str| {
        Failure::usage(format!(
            "{key:?} is not a key of the policy; `keyreeve tenant policy TENANT` prints them all"
        ))
    };
    let (key, text) = assignment
        .split_once('=')
        .ok_or_else(|| Failure::usage(format!("{assignment:?} is not of the form KEY=VALUE")))?;
    let pointer = format!("/{}", key.replace('.', "/"));
    if document.pointer(&pointer).is_none_or(Value::is_object) {
        return Err(unknown(key));
    }
    let mut place = changes;
    for part in key.split('.') {
        let Value::Object(members) = place else { return Err(unknown(key)) };
        place = members.entry(part).or_insert_with(|| json!({}));
    }
    // A number, a switch or null as JSON has it; anything else is text.
    *place = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    Ok(())
}

fn flatten(prefix: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&key, field, lines);
            }
        }
        Value::String(text) => lines.push((prefix.to_owned(), text.clone())),
        other => lines.push((prefix.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;

    #[test]
    fn only_keys_that_exist_can_be_set() {
        let document = json!({"tokens": {"access_token_s": 300, "default_alg": "EdDSA"}});
        let mut changes = json!({});
        assign(&document, &mut changes, "tokens.access_token_s=600").unwrap();
        assign(&document, &mut changes, "tokens.default_alg=ES256").unwrap();
        assert_eq!(changes, json!({"tokens": {"access_token_s": 600, "default_alg": "ES256"}}));
        for bad in ["tokens.nothing=1", "tokens=1", "tokens.access_token_s", "=1"] {
            assert_eq!(assign(&document, &mut changes, bad).unwrap_err().exit, Exit::Usage, "{bad}");
        }
    }
}
