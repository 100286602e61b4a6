//! `keyreeve tenant …`

use super::{shown, tenant, with, yes};
use crate::App;
use crate::cli::args::TenantCommand;
use crate::cli::exit::{Failure, Output, record, table};
use keyreeve_identity::{Cause, NewTenant, Tenant, TenantPatch, TenantSettings};
use keyreeve_tokens::TokenPolicy;
use serde_json::{Value, json};

pub(super) async fn run(app: &App, command: &TenantCommand) -> Result<Output, Failure> {
    match command {
        TenantCommand::Create { slug, name } => create(app, slug, name.as_deref()).await,
        TenantCommand::Show { slug } => show(app, &*tenant(app, slug).await?),
        TenantCommand::List => list(app).await,
        TenantCommand::Enable { slug } => enable(app, slug, true).await,
        TenantCommand::Disable { slug } => enable(app, slug, false).await,
        TenantCommand::Policy { slug, set } => policy(app, slug, set).await,
    }
}

async fn create(app: &App, slug: &str, name: Option<&str>) -> Result<Output, Failure> {
    let new = NewTenant {
        slug: slug.to_owned(),
        name: name.unwrap_or(slug).to_owned(),
        settings: TenantSettings::default(),
    };
    let tenant = app.identity.tenants().create(new, &Cause::operator()).await?;
    app.tokens.keys().prepare(tenant.id).await?;
    show(app, &tenant)
}

fn show(app: &App, tenant: &Tenant) -> Result<Output, Failure> {
    let issuer = app.tokens.issuer(tenant);
    let text = record(&[
        ("tenant", Some(tenant.slug.clone())),
        ("name", Some(tenant.name.clone())),
        ("issuer", Some(issuer.clone())),
        ("enabled", Some(yes(tenant.enabled))),
        ("archived", tenant.archived_at.map(|at| at.to_string())),
        ("created", Some(tenant.created_at.to_string())),
        ("id", Some(tenant.id.to_string())),
    ]);
    Ok(Output::new(text, with(shown(tenant)?, json!({"issuer": issuer}))))
}

async fn list(app: &App) -> Result<Output, Failure> {
    let mut tenants = Vec::new();
    loop {
        let after = tenants.last().map(|tenant: &Tenant| tenant.id);
        let page = app.identity.tenants().list(after, 500).await?;
        if page.is_empty() {
            break;
        }
        tenants.extend(page);
    }
    let rows: Vec<_> = tenants
        .iter()
        .map(|tenant| {
            vec![tenant.slug.clone(), tenant.name.clone(), yes(tenant.is_active()), app.tokens.issuer(tenant)]
        })
        .collect();
    let json =
        tenants.iter().map(|tenant| Ok(show(app, tenant)?.json)).collect::<Result<Vec<_>, Failure>>()?;
    Ok(Output::new(table(&["TENANT", "NAME", "ACTIVE", "ISSUER"], &rows), Value::Array(json)))
}

async fn enable(app: &App, slug: &str, enabled: bool) -> Result<Output, Failure> {
    let before = tenant(app, slug).await?;
    let patch = TenantPatch { enabled: Some(enabled), ..TenantPatch::default() };
    let after = app.identity.tenants().update(before.id, before.version, patch, &Cause::operator()).await?;
    show(app, &after)
}

async fn policy(app: &App, slug: &str, set: &[String]) -> Result<Output, Failure> {
    let tenant = tenant(app, slug).await?;
    let wrong = |error: serde_json::Error| Failure::usage(format!("this policy cannot be: {error}"));
    let tokens = app.tokens.policy(tenant.id).await?;
    let mut document = serde_json::to_value(&tenant.settings).map_err(wrong)?;
    if let Value::Object(parts) = &mut document {
        parts.insert("tokens".to_owned(), serde_json::to_value(&*tokens).map_err(wrong)?);
    }
    for assignment in set {
        assign(&mut document, assignment)?;
    }
    if !set.is_empty() {
        let mut settings = document.clone();
        let new_tokens =
            settings.as_object_mut().and_then(|parts| parts.remove("tokens")).unwrap_or_default();
        let new_tokens: TokenPolicy = serde_json::from_value(new_tokens).map_err(wrong)?;
        let settings: TenantSettings = serde_json::from_value(settings).map_err(wrong)?;
        // Both are checked before either is written, so that a mistake in one leaves the other as it was.
        new_tokens.validate()?;
        settings.validate()?;
        if new_tokens != *tokens {
            app.tokens.set_policy(tenant.id, &new_tokens, &Cause::operator()).await?;
        }
        if settings != tenant.settings {
            let patch = TenantPatch { settings: Some(settings), ..TenantPatch::default() };
            app.identity.tenants().update(tenant.id, tenant.version, patch, &Cause::operator()).await?;
        }
    }
    let mut lines = Vec::new();
    flatten("", &document, &mut lines);
    let fields: Vec<_> = lines.iter().map(|(key, value)| (key.as_str(), Some(value.clone()))).collect();
    Ok(Output::new(record(&fields), document))
}

/// Puts `KEY=VALUE` into the document, where KEY is there already.
fn assign(document: &mut Value, assignment: &str) -> Result<(), Failure> {
    let unknown = |key: &str| {
        Failure::usage(format!(
            "{key:?} is not a key of the policy; `keyreeve tenant policy TENANT` prints them all"
        ))
    };
    let (key, text) = assignment
        .split_once('=')
        .ok_or_else(|| Failure::usage(format!("{assignment:?} is not of the form KEY=VALUE")))?;
    let pointer = format!("/{}", key.replace('.', "/"));
    let place = document.pointer_mut(&pointer).ok_or_else(|| unknown(key))?;
    if place.is_object() {
        return Err(unknown(key));
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
        let mut document = json!({"tokens": {"access_token_s": 300, "default_alg": "EdDSA"}});
        assign(&mut document, "tokens.access_token_s=600").unwrap();
        assign(&mut document, "tokens.default_alg=ES256").unwrap();
        assert_eq!(document, json!({"tokens": {"access_token_s": 600, "default_alg": "ES256"}}));
        for bad in ["tokens.nothing=1", "tokens=1", "tokens.access_token_s", "=1"] {
            assert_eq!(assign(&mut document, bad).unwrap_err().exit, Exit::Usage, "{bad}");
        }
    }
}
