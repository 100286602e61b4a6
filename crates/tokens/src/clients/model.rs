//! What a client is, and which settings are acceptable.

use crate::clients::redirect_uri::RedirectUri;
use crate::error::Error;
use crate::policy::{MAX_GRANT_LIFETIME_S, MAX_TOKEN_LIFETIME_S, bounded};
use crate::scope::{self, ScopeSet};
use keyreeve_base::{ClientId, TenantId, Timestamp};
use keyreeve_crypto::sign::{Algorithm, Jwk, VerifyingKey};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The most redirect URIs (and, apart from them, post-logout redirect URIs) of a client.
pub const MAX_REDIRECT_URIS: usize = 50;
/// The most keys that a client may register.
pub const MAX_CLIENT_KEYS: usize = 10;
const MAX_AUDIENCES: usize = 20;
const MAX_NAME_CHARS: usize = 100;
const MAX_TEXT_BYTES: usize = 500;

/// How a client authenticates at the token endpoint (OpenID Connect Core section 9). A client authenticates in its
/// registered way and in no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// Not at all: a public client.
    None,
    /// By its secret in the `Authorization` header.
    #[default]
    ClientSecretBasic,
    /// By its secret in the body.
    ClientSecretPost,
    /// By an assertion signed with its own key (RFC 7523).
    PrivateKeyJwt,
}

impl AuthMethod {
    /// Every method that is supported, as metadata lists them.
    pub const ALL: [Self; 4] =
        [Self::ClientSecretBasic, Self::ClientSecretPost, Self::PrivateKeyJwt, Self::None];

    /// The name that the registry of RFC 8414 gives it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// Whether the method presents a shared secret.
    #[must_use]
    pub const fn uses_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

impl std::str::FromStr for AuthMethod {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|method| method.as_str() == text)
            .ok_or_else(|| Error::invalid("auth_method", "is not one of the supported methods"))
    }
}

/// Whether a client can keep a secret (RFC 6749 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// It cannot: a browser or native application.
    Public,
    /// It can: a server.
    Confidential,
}

/// The grant types that a client may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// A user signs in through the browser (RFC 6749 section 4.1).
    AuthorizationCode,
    /// Access is renewed without the user (RFC 6749 section 6).
    RefreshToken,
    /// The client acts for itself (RFC 6749 section 4.4).
    ClientCredentials,
    /// The user's password through the client (RFC 6749 section 4.3); only where the tenant switches it on.
    Password,
    /// A device without a keyboard, approved elsewhere (RFC 8628).
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code")]
    DeviceCode,
    /// An assertion of an issuer that the tenant trusts (RFC 7523 section 2.1).
    #[serde(rename = "urn:ietf:params:oauth:grant-type:jwt-bearer")]
    JwtBearer,
    /// An access token, exchanged for another (RFC 8693).
    #[serde(rename = "urn:ietf:params:oauth:grant-type:token-exchange")]
    TokenExchange,
}

impl GrantType {
    /// Every grant type, as metadata lists them.
    pub const ALL: [Self; 7] = [
        Self::AuthorizationCode,
        Self::RefreshToken,
        Self::ClientCredentials,
        Self::Password,
        Self::DeviceCode,
        Self::JwtBearer,
        Self::TokenExchange,
    ];

    /// The value of the `grant_type` parameter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::Password => "password",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
        }
    }
}

impl std::str::FromStr for GrantType {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|grant| grant.as_str() == text)
            .ok_or_else(|| Error::invalid("grant_types", "names a grant type that is not supported"))
    }
}

/// Lifetimes of a client's own, in seconds, where they differ from the tenant's policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LifetimeOverrides {
    /// Life of an access token.
    pub access_token_s: Option<u32>,
    /// Life of an ID token.
    pub id_token_s: Option<u32>,
    /// How long a refresh token may lie unused.
    pub refresh_idle_s: Option<u32>,
    /// How long a grant lives at most.
    pub refresh_absolute_s: Option<u32>,
}

/// What a client may do by token exchange (RFC 8693), beside getting tokens for less of what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExchangeSettings {
    /// The audiences for which it may get tokens in exchange for those that it was handed.
    pub audiences: Vec<String>,
    /// Whether it may get tokens that do not say that it acts for their subject.
    pub impersonation: bool,
}

/// What an operator sets. Kept as one JSON document; every field but the name has a default.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSettings {
    /// The name that people see.
    pub name: String,
    /// How it authenticates; [`AuthMethod::None`] makes it a public client.
    #[serde(default)]
    pub auth_method: AuthMethod,
    /// Its public keys, for [`AuthMethod::PrivateKeyJwt`] and for signed requests (RFC 9101).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jwks: Vec<Jwk>,
    /// Where authorization responses may go. Empty: nowhere (AC-03).
    #[serde(default)]
    pub redirect_uris: Vec<RedirectUri>,
    /// Where the browser may go after sign-out.
    #[serde(default)]
    pub post_logout_redirect_uris: Vec<RedirectUri>,
    /// What it may ask the token endpoint for.
    #[serde(default)]
    pub grant_types: BTreeSet<GrantType>,
    /// Which scopes it may be given.
    #[serde(default)]
    pub scopes: ScopeSet,
    /// The audiences of its access tokens. Empty: this server itself.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// The audiences for which it answers as a resource server, besides its own `client_id`: it may introspect
    /// tokens that carry one of them.
    #[serde(default)]
    pub resources: Vec<String>,
    /// Belongs to whoever runs this server: users are not asked for consent.
    #[serde(default)]
    pub first_party: bool,
    /// Whether a code challenge is demanded; always so for public clients.
    #[serde(default)]
    pub require_pkce: bool,
    /// The signature algorithm of its ID tokens, where it is not the tenant's default.
    #[serde(default)]
    pub id_token_alg: Option<Algorithm>,
    /// The signature algorithm of its access tokens, where it is not the tenant's default.
    #[serde(default)]
    pub access_token_alg: Option<Algorithm>,
    /// Lifetimes of its own.
    #[serde(default)]
    pub lifetimes: LifetimeOverrides,
    /// Its home page, shown (as a host) where users are asked for consent.
    #[serde(default)]
    pub client_uri: Option<String>,
    /// What it may do by token exchange, beside narrowing (RFC 8693).
    #[serde(default)]
    pub exchange: ExchangeSettings,
    /// Where it is told that a session has ended in which it got tokens (OpenID Connect Back-Channel Logout 1.0).
    #[serde(default)]
    pub backchannel_logout_uri: Option<String>,
    /// Whether it must be told which session; it is told always.
    #[serde(default)]
    pub backchannel_logout_session_required: bool,
    /// Whether its authorization requests must be pushed (RFC 9126 section 6).
    #[serde(default)]
    pub require_pushed_authorization_requests: bool,
    /// Whether its authorization requests must be signed (RFC 9101 section 10.5), with one of its `jwks`.
    #[serde(default)]
    pub require_signed_request_object: bool,
    /// The one algorithm of its request objects, where it is not any that its keys have.
    #[serde(default)]
    pub request_object_signing_alg: Option<Algorithm>,
    /// Whether its access tokens are always bound to a key (RFC 9449 section 5.2).
    #[serde(default)]
    pub dpop_bound_access_tokens: bool,
    /// Whether it may do anything at all.
    #[serde(default = "enabled")]
    pub enabled: bool,
}

const fn enabled() -> bool {
    true
}

impl ClientSettings {
    /// A confidential client without any right.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            auth_method: AuthMethod::ClientSecretBasic,
            jwks: Vec::new(),
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            grant_types: BTreeSet::new(),
            scopes: ScopeSet::empty(),
            audiences: Vec::new(),
            resources: Vec::new(),
            first_party: false,
            require_pkce: false,
            id_token_alg: None,
            access_token_alg: None,
            lifetimes: LifetimeOverrides::default(),
            client_uri: None,
            exchange: ExchangeSettings::default(),
            backchannel_logout_uri: None,
            backchannel_logout_session_required: false,
            require_pushed_authorization_requests: false,
            require_signed_request_object: false,
            request_object_signing_alg: None,
            dpop_bound_access_tokens: false,
            enabled: true,
        }
    }

    /// A confidential client that administers its tenant by `client_credentials`.
    #[must_use]
    pub fn administrator(name: &str) -> Self {
        let mut settings = Self::new(name);
        settings.grant_types.insert(GrantType::ClientCredentials);
        settings.scopes = ScopeSet::empty().union(&scope::ADMIN.parse().unwrap_or_default());
        settings.first_party = true;
        settings
    }

    /// Whether it can keep a secret.
    #[must_use]
    pub const fn kind(&self) -> ClientKind {
        match self.auth_method {
            AuthMethod::None => ClientKind::Public,
            AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost | AuthMethod::PrivateKeyJwt => {
                ClientKind::Confidential
            }
        }
    }

    /// Whether it may use this grant type.
    #[must_use]
    pub fn allows(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }

    /// Whether an authorization request needs a code challenge (AC-09).
    #[must_use]
    pub const fn demands_pkce(&self) -> bool {
        self.require_pkce || matches!(self.auth_method, AuthMethod::None)
    }

    /// Checks the settings against each other and against their limits.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the first field that is not acceptable.
    pub fn validate(&self) -> Result<(), Error> {
        check_name(&self.name)?;
        self.check_authentication()?;
        self.check_redirects()?;
        if self.exchange.audiences.len() > MAX_AUDIENCES {
            return Err(Error::invalid(
                "exchange.audiences",
                format!("has more than {MAX_AUDIENCES} members"),
            ));
        }
        self.exchange.audiences.iter().try_for_each(|text| check_identifier("exchange.audiences", text))?;
        for text in self.audiences.iter().chain(&self.resources) {
            check_identifier("audiences", text)?;
        }
        if self.audiences.len() > MAX_AUDIENCES || self.resources.len() > MAX_AUDIENCES {
            return Err(Error::invalid("audiences", format!("has more than {MAX_AUDIENCES} members")));
        }
        if let Some(uri) = &self.client_uri {
            check_web_uri("client_uri", uri)?;
        }
        if let Some(uri) = &self.backchannel_logout_uri {
            check_web_uri("backchannel_logout_uri", uri)?;
            if uri.contains('#') {
                return Err(Error::invalid("backchannel_logout_uri", "must have no fragment"));
            }
        }
        let own = &self.lifetimes;
        for (field, value, most) in [
            ("access_token_s", own.access_token_s, MAX_TOKEN_LIFETIME_S),
            ("id_token_s", own.id_token_s, MAX_TOKEN_LIFETIME_S),
            ("refresh_idle_s", own.refresh_idle_s, MAX_GRANT_LIFETIME_S),
            ("refresh_absolute_s", own.refresh_absolute_s, MAX_GRANT_LIFETIME_S),
        ] {
            value.map_or(Ok(()), |seconds| bounded(field, seconds, 10, most))?;
        }
        Ok(())
    }

    fn check_authentication(&self) -> Result<(), Error> {
        let by_key = self.auth_method == AuthMethod::PrivateKeyJwt;
        if self.jwks.len() > MAX_CLIENT_KEYS {
            return Err(Error::invalid("jwks", format!("has more than {MAX_CLIENT_KEYS} keys")));
        }
        let signs = self.require_signed_request_object || self.request_object_signing_alg.is_some();
        if (by_key || signs) && self.jwks.is_empty() {
            return Err(Error::invalid("jwks", "needs a key for private_key_jwt and for signed requests"));
        }
        for jwk in &self.jwks {
            VerifyingKey::from_jwk(jwk)
                .map_err(|e| Error::invalid("jwks", format!("holds an unusable key: {e}")))?;
        }
        if self.kind() == ClientKind::Public && self.allows(GrantType::TokenExchange) {
            return Err(Error::invalid("grant_types", "cannot hold token-exchange for a public client"));
        }
        if self.kind() == ClientKind::Public && self.allows(GrantType::ClientCredentials) {
            return Err(Error::invalid("grant_types", "cannot hold client_credentials for a public client"));
        }
        Ok(())
    }

    fn check_redirects(&self) -> Result<(), Error> {
        for (field, uris) in [
            ("redirect_uris", &self.redirect_uris),
            ("post_logout_redirect_uris", &self.post_logout_redirect_uris),
        ] {
            if uris.len() > MAX_REDIRECT_URIS {
                return Err(Error::invalid(field, format!("has more than {MAX_REDIRECT_URIS} members")));
            }
        }
        let by_code = self.allows(GrantType::AuthorizationCode);
        if by_code && self.redirect_uris.is_empty() {
            return Err(Error::invalid("redirect_uris", "must name at least one for authorization_code"));
        }
        let leads_to_one = by_code || self.allows(GrantType::Password) || self.allows(GrantType::DeviceCode);
        if self.allows(GrantType::RefreshToken) && !leads_to_one {
            return Err(Error::invalid(
                "grant_types",
                "holds refresh_token without a grant type that leads to one",
            ));
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let length = name.chars().count();
    if name.trim() != name || length == 0 || length > MAX_NAME_CHARS {
        return Err(Error::invalid(
            "name",
            format!("must have 1 to {MAX_NAME_CHARS} characters, without space around"),
        ));
    }
    // Bidirectional overrides could make one application's name read as another's on the consent page.
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    if name.chars().any(hidden) {
        return Err(Error::invalid("name", "contains an invisible character"));
    }
    Ok(())
}

pub(crate) fn check_identifier(field: &'static str, text: &str) -> Result<(), Error> {
    let printable = text.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'"' && b != b'\\');
    if text.is_empty() || text.len() > MAX_TEXT_BYTES || !printable {
        return Err(Error::invalid(field, format!("must be 1 to {MAX_TEXT_BYTES} visible ASCII characters")));
    }
    Ok(())
}

fn check_web_uri(field: &'static str, uri: &str) -> Result<(), Error> {
    let parsed = url::Url::parse(uri).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
    let harmless = parsed.is_some_and(|url| url.username().is_empty() && url.password().is_none());
    if !harmless || uri.len() > MAX_TEXT_BYTES {
        return Err(Error::invalid(field, "must be an http or https address without user information"));
    }
    Ok(())
}

/// Checks a `client_id` that an operator chose.
pub(crate) fn check_client_id(text: &str) -> Result<(), Error> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'~');
    if text.is_empty() || text.len() > 100 || !text.bytes().all(allowed) {
        return Err(Error::invalid("client_id", "must be 1 to 100 letters, digits, and . _ - ~"));
    }
    // A user's `sub` is a UUID. A client of that name would be taken for the user by whoever looks at `sub` alone
    // (RFC 9068 section 5).
    if Uuid::parse_str(text).is_ok() {
        return Err(Error::invalid("client_id", "must not be a UUID, since users have those"));
    }
    Ok(())
}

/// A registered client. Holds no secret and no digest of one (AC-38).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The row.
    pub id: ClientId,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// Its name on the wire.
    pub client_id: String,
    /// What an operator set.
    pub settings: ClientSettings,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Raised by every change.
    pub version: i64,
}

/// A client to register.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// Its tenant.
    pub tenant_id: TenantId,
    /// Its name on the wire; one is made up where there is none.
    pub client_id: Option<String>,
    /// What the operator sets.
    pub settings: ClientSettings,
}

/// What may be known of a client's secret: everything but the secret (AC-38).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SecretInfo {
    /// Its identifier.
    pub id: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working, if ever.
    pub expires_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web_app() -> ClientSettings {
        let mut settings = ClientSettings::new("Portal");
        settings.redirect_uris = vec![RedirectUri::parse("https://app.example/cb").unwrap()];
        settings.grant_types = [GrantType::AuthorizationCode, GrantType::RefreshToken].into();
        settings.scopes = "openid profile".parse().unwrap();
        settings
    }

    #[track_caller]
    fn refused(field: &str, change: impl FnOnce(&mut ClientSettings)) {
        let mut settings = web_app();
        change(&mut settings);
        match settings.validate() {
            Err(Error::Invalid { field: named, .. }) => assert_eq!(named, field),
            other => panic!("expected {field} to be refused, found {other:?}"),
        }
    }

    #[test]
    fn sound_settings_pass_and_survive_a_round_trip() {
        web_app().validate().unwrap();
        ClientSettings::administrator("cli").validate().unwrap();
        assert!(ClientSettings::administrator("cli").scopes.contains(scope::ADMIN));
        let text = serde_json::to_string(&web_app()).unwrap();
        assert_eq!(serde_json::from_str::<ClientSettings>(&text).unwrap(), web_app());
    }

    #[test]
    fn a_stored_document_needs_only_a_name() {
        let settings: ClientSettings = serde_json::from_str(r#"{"name":"x"}"#).unwrap();
        assert_eq!(settings, ClientSettings::new("x"));
    }

    #[test]
    fn contradictions_are_refused_by_field() {
        refused("name", |s| s.name = String::new());
        refused("name", |s| s.name = "a\u{202e}b".into());
        refused("name", |s| s.name = "x".repeat(101));
        refused("redirect_uris", |s| s.redirect_uris.clear());
        refused("redirect_uris", |s| s.redirect_uris = vec![s.redirect_uris.first().unwrap().clone(); 51]);
        refused("jwks", |s| s.auth_method = AuthMethod::PrivateKeyJwt);
        refused("grant_types", |s| s.grant_types = [GrantType::RefreshToken].into());
        refused("grant_types", |s| {
            s.auth_method = AuthMethod::None;
            s.grant_types.insert(GrantType::ClientCredentials);
        });
        refused("audiences", |s| s.audiences = vec!["a b".into()]);
        refused("client_uri", |s| s.client_uri = Some("javascript:alert(1)".into()));
        refused("client_uri", |s| s.client_uri = Some("https://u:p@app.example".into()));
        refused("access_token_s", |s| s.lifetimes.access_token_s = Some(MAX_TOKEN_LIFETIME_S + 1));
    }

    #[test]
    fn ac_09_public_clients_always_need_a_challenge() {
        let mut settings = web_app();
        assert!(!settings.demands_pkce());
        settings.auth_method = AuthMethod::None;
        assert!(settings.demands_pkce());
        assert_eq!(settings.kind(), ClientKind::Public);
    }

    #[test]
    fn client_ids_cannot_pass_for_users() {
        check_client_id("portal-1").unwrap();
        for bad in [
            "",
            "a b",
            "a/b",
            "ä",
            "0190f0f0-0000-7000-8000-000000000001",
            "0190f0f0000070008000000000000001",
        ] {
            assert!(check_client_id(bad).is_err(), "{bad}");
        }
    }
}
