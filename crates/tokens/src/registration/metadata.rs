//! Client metadata on the wire (RFC 7591 section 2, OpenID Connect Dynamic Client Registration 1.0 section 2): from it to
//! settings, and back. Pure.

use super::{RegistrationError, RegistrationPolicy};
use crate::clients::{AuthMethod, Client, ClientKind, ClientSettings, GrantType, RedirectUri};
use crate::error::Error;
use crate::scope::{self, ScopeSet};
use keyreeve_crypto::Secret;
use keyreeve_crypto::sign::{Algorithm, Jwk};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use url::Url;

/// What a client says about itself. Members that are not known are ignored (RFC 7591 section 2); null is as good as
/// absent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClientMetadata {
    redirect_uris: Option<Vec<String>>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    client_name: Option<String>,
    client_uri: Option<String>,
    scope: Option<String>,
    jwks: Option<JwkSet>,
    jwks_uri: Option<String>,
    software_statement: Option<String>,
    post_logout_redirect_uris: Option<Vec<String>>,
    id_token_signed_response_alg: Option<String>,
    subject_type: Option<String>,
    application_type: Option<String>,
    sector_identifier_uri: Option<String>,
    backchannel_logout_uri: Option<String>,
    backchannel_logout_session_required: Option<bool>,
    require_pushed_authorization_requests: Option<bool>,
    require_signed_request_object: Option<bool>,
    request_object_signing_alg: Option<String>,
    dpop_bound_access_tokens: Option<bool>,
    // Of updates (RFC 7592 section 2.2).
    client_id: Option<String>,
    registration_access_token: Option<serde::de::IgnoredAny>,
    registration_client_uri: Option<serde::de::IgnoredAny>,
    client_secret_expires_at: Option<serde::de::IgnoredAny>,
    client_id_issued_at: Option<serde::de::IgnoredAny>,
}

/// A set of keys (RFC 7517 section 5).
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

fn metadata(problem: impl Into<String>) -> RegistrationError {
    RegistrationError::Metadata(problem.into())
}

impl ClientMetadata {
    /// The settings that this makes, from those that there are.
    pub(super) fn settings(
        &self,
        policy: &RegistrationPolicy,
        before: Option<&ClientSettings>,
    ) -> Result<ClientSettings, RegistrationError> {
        self.refuse_what_is_not_supported()?;
        let auth_method: AuthMethod = match self.token_endpoint_auth_method.as_deref() {
            None => AuthMethod::default(),
            Some(text) => text
                .parse()
                .map_err(|_| metadata("token_endpoint_auth_method is not one of the supported methods"))?,
        };
        let grant_types = self.grants(policy)?;
        let redirect_uris = uris("redirect_uris", self.redirect_uris.as_deref(), policy)?;
        let after = uris("post_logout_redirect_uris", self.post_logout_redirect_uris.as_deref(), policy)?;
        let scopes = self.scopes(policy, &grant_types)?;
        let name = self.client_name.clone().unwrap_or_else(|| unnamed(&redirect_uris));
        let id_token_alg = match self.id_token_signed_response_alg.as_deref() {
            None => None,
            Some(text) => Some(algorithm("id_token_signed_response_alg", text)?),
        };
        let request_object_signing_alg = match self.request_object_signing_alg.as_deref() {
            None => None,
            Some(text) => Some(algorithm("request_object_signing_alg", text)?),
        };
        let settings = ClientSettings {
            name,
            auth_method,
            jwks: self.jwks.clone().unwrap_or_default().keys,
            redirect_uris,
            post_logout_redirect_uris: after,
            grant_types,
            scopes,
            id_token_alg,
            client_uri: self.client_uri.clone(),
            backchannel_logout_uri: self.backchannel_logout_uri.clone(),
            backchannel_logout_session_required: self.backchannel_logout_session_required.unwrap_or(false),
            require_pushed_authorization_requests: self
                .require_pushed_authorization_requests
                .unwrap_or(false),
            require_signed_request_object: self.require_signed_request_object.unwrap_or(false),
            request_object_signing_alg,
            dpop_bound_access_tokens: self.dpop_bound_access_tokens.unwrap_or(false),
            require_pkce: true,
            first_party: false,
            ..before.cloned().unwrap_or_else(|| ClientSettings::new(""))
        };
        if settings.kind() == ClientKind::Public && settings.allows(GrantType::ClientCredentials) {
            return Err(metadata("grant_types holds client_credentials, which needs a secret or a key"));
        }
        match settings.validate() {
            Ok(()) => Ok(settings),
            Err(Error::Invalid { field: "redirect_uris", problem }) => {
                Err(RegistrationError::RedirectUri(format!("redirect_uris {problem}")))
            }
            Err(Error::Invalid { field: "name", problem }) => Err(metadata(format!("client_name {problem}"))),
            Err(error @ Error::Invalid { .. }) => Err(metadata(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    fn refuse_what_is_not_supported(&self) -> Result<(), RegistrationError> {
        if self.software_statement.is_some() {
            return Err(RegistrationError::SoftwareStatement);
        }
        if self.jwks_uri.is_some() {
            return Err(metadata("jwks_uri is not supported: send the keys themselves, as jwks"));
        }
        if self.sector_identifier_uri.is_some() || self.subject_type.as_deref().is_some_and(|t| t != "public")
        {
            return Err(metadata("subject_type must be public"));
        }
        if self.application_type.as_deref().is_some_and(|kind| !matches!(kind, "web" | "native")) {
            return Err(metadata("application_type must be web or native"));
        }
        Ok(())
    }

    fn grants(&self, policy: &RegistrationPolicy) -> Result<BTreeSet<GrantType>, RegistrationError> {
        let mut grants = BTreeSet::new();
        match self.grant_types.as_deref() {
            None => drop(grants.insert(GrantType::AuthorizationCode)),
            Some(names) => {
                for name in names {
                    let grant = name
                        .parse()
                        .map_err(|_| metadata("grant_types names a grant type that is not supported"))?;
                    grants.insert(grant);
                }
            }
        }
        if !grants.is_subset(&policy.grant_types) {
            return Err(metadata("grant_types names a grant type that cannot be registered here"));
        }
        let by_code = grants.contains(&GrantType::AuthorizationCode);
        // What is left out means `code`, where that makes sense (RFC 7591 section 2.1).
        let fits = self
            .response_types
            .as_deref()
            .is_none_or(|types| types.iter().all(|kind| kind == "code") && by_code != types.is_empty());
        if !fits {
            return Err(metadata("response_types must be code for authorization_code, and else empty"));
        }
        Ok(grants)
    }

    fn scopes(
        &self,
        policy: &RegistrationPolicy,
        grants: &BTreeSet<GrantType>,
    ) -> Result<ScopeSet, RegistrationError> {
        let refreshes = grants.contains(&GrantType::RefreshToken);
        let Some(text) = self.scope.as_deref() else {
            let all = policy.scopes.clone();
            return Ok(if refreshes { all } else { all.without(scope::OFFLINE_ACCESS) });
        };
        let asked = ScopeSet::parse(text).map_err(|error| metadata(error.to_string()))?;
        // The server may register less than was asked for, and says what (RFC 7591 section 3.2.1).
        let granted = asked.intersection(&policy.scopes);
        if granted.is_empty() && !asked.is_empty() {
            return Err(metadata("scope holds nothing that can be registered here"));
        }
        Ok(granted)
    }

    /// Checks what only an update has to say.
    pub(super) fn check_update(&self, client: &Client) -> Result<(), RegistrationError> {
        if self.client_id.as_deref() != Some(client.client_id.as_str()) {
            return Err(metadata("client_id must be that of the client"));
        }
        let told = self.registration_access_token.is_some()
            || self.registration_client_uri.is_some()
            || self.client_secret_expires_at.is_some()
            || self.client_id_issued_at.is_some();
        if told {
            return Err(metadata("what the server has said of the registration itself must be left out"));
        }
        Ok(())
    }
}

fn uris(
    field: &'static str,
    texts: Option<&[String]>,
    policy: &RegistrationPolicy,
) -> Result<Vec<RedirectUri>, RegistrationError> {
    let mut uris = Vec::new();
    for text in texts.unwrap_or_default() {
        let uri = RedirectUri::parse(text)
            .map_err(|error| RegistrationError::RedirectUri(format!("{field}: {error}")))?;
        if !policy.allows(&uri) {
            let problem = format!("{field} leads to a host that cannot be registered here");
            return Err(RegistrationError::RedirectUri(problem));
        }
        uris.push(uri);
    }
    Ok(uris)
}

/// What a client is called that has not said it: by the host to which it sends people.
fn unnamed(uris: &[RedirectUri]) -> String {
    let first = uris.first().and_then(|uri| Url::parse(uri.as_str()).ok());
    let host = first.as_ref().and_then(Url::host_str).filter(|host| host.len() <= 100);
    host.unwrap_or("Application").to_owned()
}

fn algorithm(field: &str, text: &str) -> Result<Algorithm, RegistrationError> {
    let all = [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256];
    all.into_iter()
        .find(|alg| serde_json::to_value(alg).is_ok_and(|name| name == text))
        .ok_or_else(|| metadata(format!("{field} is not one of the supported algorithms")))
}

/// The answer (RFC 7591 section 3.2.1, RFC 7592 section 3). It is made to be sent, once, to the client: that is why it
/// serializes, although it can hold secrets; it has no `Debug`.
#[derive(Serialize)]
pub struct ClientInformation {
    client_id: String,
    client_id_issued_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_access_token: Option<String>,
    registration_client_uri: String,
    client_name: String,
    redirect_uris: Vec<String>,
    grant_types: Vec<&'static str>,
    response_types: Vec<&'static str>,
    token_endpoint_auth_method: &'static str,
    scope: ScopeSet,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<JwkSet>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    post_logout_redirect_uris: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token_signed_response_alg: Option<Algorithm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backchannel_logout_uri: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    backchannel_logout_session_required: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    require_pushed_authorization_requests: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    require_signed_request_object: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_object_signing_alg: Option<Algorithm>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dpop_bound_access_tokens: bool,
}

impl ClientInformation {
    pub(super) fn of(client: &Client, secret: Option<Secret>, token: Option<Secret>, uri: String) -> Self {
        let settings = &client.settings;
        let texts = |uris: &[RedirectUri]| uris.iter().map(ToString::to_string).collect::<Vec<_>>();
        let by_code = settings.allows(GrantType::AuthorizationCode);
        Self {
            client_id: client.client_id.clone(),
            client_id_issued_at: client.created_at.seconds(),
            // Zero: it does not expire.
            client_secret_expires_at: secret.as_ref().map(|_| 0),
            client_secret: secret.map(|secret| secret.expose().to_owned()),
            registration_access_token: token.map(|token| token.expose().to_owned()),
            registration_client_uri: uri,
            client_name: settings.name.clone(),
            redirect_uris: texts(&settings.redirect_uris),
            grant_types: settings.grant_types.iter().map(|grant| grant.as_str()).collect(),
            response_types: if by_code { vec!["code"] } else { Vec::new() },
            token_endpoint_auth_method: settings.auth_method.as_str(),
            scope: settings.scopes.clone(),
            client_uri: settings.client_uri.clone(),
            jwks: (!settings.jwks.is_empty()).then(|| JwkSet { keys: settings.jwks.clone() }),
            post_logout_redirect_uris: texts(&settings.post_logout_redirect_uris),
            id_token_signed_response_alg: settings.id_token_alg,
            backchannel_logout_uri: settings.backchannel_logout_uri.clone(),
            backchannel_logout_session_required: settings.backchannel_logout_session_required,
            require_pushed_authorization_requests: settings.require_pushed_authorization_requests,
            require_signed_request_object: settings.require_signed_request_object,
            request_object_signing_alg: settings.request_object_signing_alg,
            dpop_bound_access_tokens: settings.dpop_bound_access_tokens,
        }
    }

    /// The `client_id`.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }
}
