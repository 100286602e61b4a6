//! Clients of a realm.

use super::shape::Client;
use crate::convert::{Sink, note};
use crate::record::{ClientRecord, Word};
use keyreeve_tokens::clients::{AuthMethod, GrantType, MIN_SECRET_BYTES, RedirectUri};
use keyreeve_tokens::{ClientSettings, ScopeSet};
use std::io;

/// Client scopes of Keycloak that steer what is in a token and are asked for by nobody.
const INTERNAL_SCOPES: [&str; 7] =
    ["web-origins", "acr", "basic", "roles", "microprofile-jwt", "organization", "service_account"];
/// What is written in place of a secret where an export was made without secrets.
const MASKED: &str = "**********";

/// The record of a client; none for one that cannot be carried over.
pub(super) fn convert(client: &Client, sink: &mut dyn Sink) -> io::Result<Option<ClientRecord>> {
    let about = format!("client {}", client.client_id);
    if client.protocol.as_deref().is_some_and(|protocol| protocol != "openid-connect") {
        note(sink, &about, "a client of another protocol", client.protocol.clone().unwrap_or_default())?;
        return Ok(None);
    }
    if client.bearer_only {
        note(sink, &about, "a client that only takes tokens", "name it among the `resources` of others")?;
        return Ok(None);
    }
    let by = client.client_authenticator_type.as_deref().unwrap_or("client-secret");
    if !client.public_client && by != "client-secret" {
        note(sink, &about, "a client that authenticates otherwise than by a secret", by)?;
        return Ok(None);
    }
    let name = client.name.as_deref().filter(|name| !name.trim().is_empty() && !name.starts_with("${"));
    let mut settings = ClientSettings::new(name.unwrap_or(&client.client_id).trim());
    settings.auth_method =
        if client.public_client { AuthMethod::None } else { AuthMethod::ClientSecretBasic };
    settings.enabled = client.enabled.unwrap_or(true);
    settings.first_party = !client.consent_required;
    settings.require_pkce = attribute(client, "pkce.code.challenge.method").is_some();
    let given = client.redirect_uris.iter().map(String::as_str);
    settings.redirect_uris = uris(client, given, (&about, "a redirect URI that is a pattern or none"), sink)?;
    let after = attribute(client, "post.logout.redirect.uris").unwrap_or_default();
    let after = after.split("##").filter(|uri| !uri.is_empty() && !matches!(*uri, "+" | "-"));
    let what = "a post-logout redirect URI that is a pattern or none";
    settings.post_logout_redirect_uris = uris(client, after, (&about, what), sink)?;
    grants(client, &mut settings, &about, sink)?;
    settings.scopes = scopes(client, &about, sink)?;
    if client.authorization_services_enabled {
        note(sink, &about, "authorization services", "")?;
    }
    if !client.protocol_mappers.is_empty() {
        note(sink, &about, "protocol mappers", client.protocol_mappers.len().to_string())?;
    }
    let secret = secret(client, &about, sink)?;
    Ok(Some(ClientRecord {
        kind_word: Word,
        client_id: client.client_id.clone(),
        settings,
        secret,
        secrets: Vec::new(),
    }))
}

fn attribute<'c>(client: &'c Client, name: &str) -> Option<&'c str> {
    client.attributes.get(name).and_then(serde_json::Value::as_str).filter(|value| !value.is_empty())
}

/// The URIs that can be compared exactly, which is the only way in which ours are.
fn uris<'u>(
    client: &Client,
    given: impl Iterator<Item = &'u str>,
    (about, what): (&str, &'static str),
    sink: &mut dyn Sink,
) -> io::Result<Vec<RedirectUri>> {
    let mut uris = Vec::new();
    for uri in given {
        let root = client.root_url.as_deref().unwrap_or_default();
        let whole = if uri.starts_with('/') {
            format!("{}{uri}", root.trim_end_matches('/'))
        } else {
            uri.to_owned()
        };
        if whole.contains('*') {
            note(sink, about, what, whole)?;
            continue;
        }
        match RedirectUri::parse(&whole) {
            Ok(uri) => uris.push(uri),
            Err(error) => note(sink, about, what, format!("{whole}: {error}"))?,
        }
    }
    Ok(uris)
}

fn grants(
    client: &Client,
    settings: &mut ClientSettings,
    about: &str,
    sink: &mut dyn Sink,
) -> io::Result<()> {
    let mut refreshes = false;
    if client.standard_flow_enabled.unwrap_or(true) {
        if settings.redirect_uris.is_empty() {
            note(sink, about, "the authorization code flow, since no redirect URI is left", "")?;
        } else {
            settings.grant_types.insert(GrantType::AuthorizationCode);
            refreshes = true;
        }
    }
    if client.direct_access_grants_enabled {
        settings.grant_types.insert(GrantType::Password);
        refreshes = true;
        note(sink, about, "the password grant works only where the tenant allows it", "")?;
    }
    if refreshes {
        settings.grant_types.insert(GrantType::RefreshToken);
    }
    if client.service_accounts_enabled && !client.public_client {
        settings.grant_types.insert(GrantType::ClientCredentials);
    }
    if client.implicit_flow_enabled {
        note(sink, about, "the implicit flow", "")?;
    }
    Ok(())
}

fn scopes(client: &Client, about: &str, sink: &mut dyn Sink) -> io::Result<ScopeSet> {
    let named = client.default_client_scopes.iter().chain(&client.optional_client_scopes);
    let named = named.map(String::as_str).filter(|scope| !INTERNAL_SCOPES.contains(scope));
    let mut scopes = ScopeSet::parse("openid").unwrap_or_default();
    for scope in named {
        match ScopeSet::parse(scope) {
            Ok(one) if !scope.contains(' ') => scopes = scopes.union(&one),
            _ => note(sink, about, "a scope that is none", scope)?,
        }
    }
    Ok(scopes)
}

fn secret(client: &Client, about: &str, sink: &mut dyn Sink) -> io::Result<Option<String>> {
    if client.public_client {
        return Ok(None);
    }
    match client.secret.as_deref() {
        None | Some("") => note(sink, about, "a secret that the export does not hold; make a new one", "")?,
        Some(secret) if secret == MASKED => {
            note(sink, about, "a secret that the export does not hold; make a new one", "it is masked")?;
        }
        Some(secret) if secret.len() < MIN_SECRET_BYTES => {
            note(sink, about, "a secret that could be guessed; make a new one", "")?;
        }
        Some(secret) => return Ok(Some(secret.to_owned())),
    }
    Ok(None)
}
