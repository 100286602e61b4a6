//! Authorization requests: from parameters to a value that exists only when valid (RFC 6749 section 4.1.1, OpenID
//! Connect Core section 3.1.2.1). Pure: the client is given, nothing is looked up.
//!
//! In two steps, because the answer to a mistake depends on where it is: until the client and its redirect URI are
//! certain, a mistake is shown to the person and goes nowhere; from then on it is returned to the client.

use crate::claims::ClaimsRequest;
use crate::clients::{ClientSettings, GrantType};
use crate::pkce::CodeChallenge;
use crate::resource;
use crate::scope::{self, ScopeSet};
use keyreeve_crypto::base64url;

/// The longest `state` that is returned, in bytes.
pub const MAX_STATE_BYTES: usize = 2_000;
/// The longest `nonce` that is kept, in bytes.
pub const MAX_NONCE_BYTES: usize = 512;
/// The longest `login_hint` or `ui_locales`, in bytes.
const MAX_HINT_BYTES: usize = 320;

/// Where the parameters of a request come from. A door implements it for its own parameter map, which must have
/// refused duplicates (AC-05) and treats an empty value as absent (RFC 6749 section 3.1).
pub trait Parameters {
    /// The value of a parameter.
    fn get(&self, name: &str) -> Option<&str>;

    /// All values of a parameter that may be given more than once; only `resource` may (RFC 8707 section 2).
    fn all(&self, name: &str) -> Vec<&str> {
        self.get(name).into_iter().collect()
    }
}

/// The parameters that mean something here.
pub(super) const PARAMETERS: [&str; 18] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "login_hint",
    "ui_locales",
    "claims",
    "id_token_hint",
    "registration",
    "resource",
    "dpop_jkt",
];

impl Parameters for std::collections::BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        Self::get(self, name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// How the authorization response travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseMode {
    /// In the query of the redirect URI.
    #[default]
    Query,
    /// In a form that the browser posts (OAuth 2.0 Form Post Response Mode).
    FormPost,
}

/// A mistake that is returned to the client: an error code and a description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {description}")]
pub struct RequestError {
    /// The registered error code.
    pub code: &'static str,
    /// What is wrong, for developers.
    pub description: String,
}

impl RequestError {
    pub(crate) fn new(code: &'static str, description: impl Into<String>) -> Self {
        Self { code, description: description.into() }
    }

    fn invalid(description: impl Into<String>) -> Self {
        Self::new("invalid_request", description)
    }
}

/// Where the response to a request goes: only ever a redirect URI that the client registered.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReturnAddress {
    /// The redirect URI as it was presented.
    pub uri: String,
    /// How the response travels.
    pub mode: ResponseMode,
    /// What is returned unchanged.
    pub state: Option<String>,
}

impl ReturnAddress {
    /// Finds where the response goes. An unusable `state` or `response_mode` is left out here and reported by
    /// [`AuthorizationRequest::parse`].
    ///
    /// # Errors
    /// What to tell the person: the redirect URI is missing or not registered (AC-01 to AC-04, AC-07).
    pub fn parse(params: &impl Parameters, client: &ClientSettings) -> Result<Self, RequestError> {
        let uri =
            params.get("redirect_uri").ok_or_else(|| RequestError::invalid("redirect_uri is missing"))?;
        if !client.redirect_uris.iter().any(|registered| registered.matches(uri)) {
            return Err(RequestError::invalid("redirect_uri is not registered for this client"));
        }
        Ok(Self {
            uri: uri.to_owned(),
            mode: response_mode(params).unwrap_or_default(),
            state: state(params).unwrap_or_default(),
        })
    }
}

fn response_mode(params: &impl Parameters) -> Result<ResponseMode, RequestError> {
    match params.get("response_mode") {
        None | Some("query") => Ok(ResponseMode::Query),
        Some("form_post") => Ok(ResponseMode::FormPost),
        Some(_) => Err(RequestError::invalid("response_mode must be query or form_post")),
    }
}

fn state(params: &impl Parameters) -> Result<Option<String>, RequestError> {
    printable(params, "state", MAX_STATE_BYTES)
}

fn printable(params: &impl Parameters, name: &str, most: usize) -> Result<Option<String>, RequestError> {
    match params.get(name) {
        None => Ok(None),
        Some(value) if value.len() > most => {
            Err(RequestError::invalid(format!("{name} is longer than {most} bytes")))
        }
        Some(value) if value.chars().any(char::is_control) => {
            Err(RequestError::invalid(format!("{name} contains a control character")))
        }
        Some(value) => Ok(Some(value.to_owned())),
    }
}

/// What `prompt` asks for (OpenID Connect Core section 3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Prompt {
    /// No page may be shown.
    pub none: bool,
    /// The user must sign in anew; `select_account` asks for the same, since that is how to choose another account.
    pub login: bool,
    /// The user must be asked for consent, whatever was agreed before.
    pub consent: bool,
}

impl Prompt {
    fn parse(text: Option<&str>) -> Result<Self, RequestError> {
        let mut prompt = Self::default();
        for word in text.unwrap_or_default().split(' ').filter(|word| !word.is_empty()) {
            match word {
                "none" => prompt.none = true,
                "login" | "select_account" => prompt.login = true,
                "consent" => prompt.consent = true,
                _ => return Err(RequestError::invalid("prompt holds a value that is not supported")),
            }
        }
        if prompt.none && (prompt.login || prompt.consent) {
            return Err(RequestError::invalid("prompt=none excludes every other value"));
        }
        Ok(prompt)
    }
}

/// A valid authorization request.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AuthorizationRequest {
    /// The client's `client_id`.
    pub client_id: String,
    /// Where the response goes.
    pub address: ReturnAddress,
    /// What is asked for, as far as the client may be given it.
    pub scope: ScopeSet,
    /// Returned in the ID token.
    pub nonce: Option<String>,
    /// What the code verifier must hash to.
    pub challenge: Option<CodeChallenge>,
    /// Which pages must, or must not, be shown.
    pub prompt: Prompt,
    /// How long ago the sign-in may be, in seconds.
    pub max_age_s: Option<u32>,
    /// Whom the client expects.
    pub login_hint: Option<String>,
    /// In which languages, best first.
    pub ui_locales: Option<String>,
    /// Single claims that are asked for.
    pub claims: ClaimsRequest,
    /// For which resources access is asked (RFC 8707); which the client may name is looked up.
    #[serde(default)]
    pub resources: Vec<String>,
    /// The key that the code is to be bound to: its RFC 7638 thumbprint (RFC 9449 section 10).
    #[serde(default)]
    pub dpop_jkt: Option<String>,
}

impl AuthorizationRequest {
    /// Reads the rest of a request whose client and return address are certain.
    ///
    /// # Errors
    /// The first mistake, to be returned to the client.
    pub fn parse(
        params: &impl Parameters,
        client_id: &str,
        client: &ClientSettings,
        address: &ReturnAddress,
    ) -> Result<Self, RequestError> {
        let address =
            ReturnAddress { mode: response_mode(params)?, state: state(params)?, ..address.clone() };
        refuse_unsupported(params)?;
        if !client.allows(GrantType::AuthorizationCode) {
            return Err(RequestError::new(
                "unauthorized_client",
                "the client may not use authorization codes",
            ));
        }
        let prompt = Prompt::parse(params.get("prompt"))?;
        let max_age_s = params
            .get("max_age")
            .map(|text| {
                text.parse::<u32>().map_err(|_| RequestError::invalid("max_age must be a number of seconds"))
            })
            .transpose()?;
        let claims = params
            .get("claims")
            .map(|text| ClaimsRequest::parse(text).map_err(|e| RequestError::invalid(e.to_string())))
            .transpose()?
            .unwrap_or_default();
        Ok(Self {
            client_id: client_id.to_owned(),
            address,
            scope: requested_scope(params, client, prompt)?,
            nonce: printable(params, "nonce", MAX_NONCE_BYTES)?,
            challenge: challenge(params, client)?,
            prompt,
            max_age_s,
            login_hint: printable(params, "login_hint", MAX_HINT_BYTES)?,
            ui_locales: printable(params, "ui_locales", MAX_HINT_BYTES)?,
            claims,
            resources: resource::parse(&params.all("resource"))
                .map_err(|problem| RequestError::new("invalid_target", problem))?,
            dpop_jkt: thumbprint(params)?,
        })
    }
}

fn thumbprint(params: &impl Parameters) -> Result<Option<String>, RequestError> {
    let Some(text) = params.get("dpop_jkt") else { return Ok(None) };
    match base64url::decode(text) {
        Ok(digest) if digest.len() == 32 => Ok(Some(text.to_owned())),
        _ => Err(RequestError::invalid("dpop_jkt must be a thumbprint: 43 characters of base64url")),
    }
}

fn refuse_unsupported(params: &impl Parameters) -> Result<(), RequestError> {
    if params.get("registration").is_some() {
        return Err(RequestError::new("registration_not_supported", "self-issued clients are not supported"));
    }
    match params.get("response_type") {
        Some("code") => Ok(()),
        None => Err(RequestError::invalid("response_type is missing")),
        Some(_) => Err(RequestError::new("unsupported_response_type", "the only response_type is code")),
    }
}

/// What is asked for and allowed. Scopes that are not known or not this client's are ignored (OpenID Connect Core
/// section 3.1.2.1); the token response says what was granted.
fn requested_scope(
    params: &impl Parameters,
    client: &ClientSettings,
    prompt: Prompt,
) -> Result<ScopeSet, RequestError> {
    let invalid = |description: &str| RequestError::new("invalid_scope", description);
    let text = params.get("scope").ok_or_else(|| invalid("scope is missing"))?;
    let asked = ScopeSet::parse(text).map_err(|e| invalid(&e.to_string()))?;
    let mut scope = asked.intersection(&client.scopes);
    // Access without the user needs the user's word (OpenID Connect Core section 11), and a token to use it with.
    let offline = client.allows(GrantType::RefreshToken) && (prompt.consent || client.first_party);
    if !offline {
        scope = scope.without(scope::OFFLINE_ACCESS);
    }
    if scope.is_empty() {
        return Err(invalid("the client may be given none of these scopes"));
    }
    Ok(scope)
}

/// The code challenge: S256 or none, and none only where none is demanded (AC-09).
fn challenge(
    params: &impl Parameters,
    client: &ClientSettings,
) -> Result<Option<CodeChallenge>, RequestError> {
    match (params.get("code_challenge"), params.get("code_challenge_method")) {
        (Some(text), Some("S256")) => {
            CodeChallenge::parse(text).map(Some).map_err(|e| RequestError::invalid(e.to_string()))
        }
        // A missing method means `plain` (RFC 7636 section 4.3).
        (Some(_), _) => Err(RequestError::invalid("code_challenge_method must be S256")),
        (None, Some(_)) => Err(RequestError::invalid("code_challenge is missing")),
        (None, None) if client.demands_pkce() => {
            Err(RequestError::invalid("this client must send a code_challenge (PKCE, S256)"))
        }
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::{AuthMethod, RedirectUri};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn client() -> ClientSettings {
        let mut client = ClientSettings::new("Portal");
        client.redirect_uris = vec![RedirectUri::parse("https://app.example/cb").unwrap()];
        client.grant_types = [GrantType::AuthorizationCode, GrantType::RefreshToken].into();
        client.scopes = "openid profile email offline_access".parse().unwrap();
        client
    }

    fn with(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut params: BTreeMap<String, String> = [
            ("client_id", "portal"),
            ("redirect_uri", "https://app.example/cb"),
            ("response_type", "code"),
            ("scope", "openid profile"),
            ("state", "xyz"),
        ]
        .iter()
        .chain(changes)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
        params.retain(|_, value| !value.is_empty());
        params
    }

    fn parse(
        client: &ClientSettings,
        changes: &[(&str, &str)],
    ) -> Result<AuthorizationRequest, RequestError> {
        let params = with(changes);
        let address = ReturnAddress::parse(&params, client)?;
        AuthorizationRequest::parse(&params, "portal", client, &address)
    }

    #[track_caller]
    fn refused(code: &str, changes: &[(&str, &str)]) {
        assert_eq!(parse(&client(), changes).unwrap_err().code, code, "{changes:?}");
    }

    #[test]
    fn a_plain_request_is_read() {
        let request =
            parse(&client(), &[("nonce", "n"), ("max_age", "60"), ("prompt", "login consent")]).unwrap();
        assert_eq!(request.address.state.as_deref(), Some("xyz"));
        assert_eq!(request.scope.as_str(), "openid profile");
        assert_eq!(request.max_age_s, Some(60));
        assert!(request.prompt.login && request.prompt.consent && !request.prompt.none);
        let stored = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<AuthorizationRequest>(&stored).unwrap(), request);
    }

    #[test]
    fn mistakes_have_the_codes_of_the_specifications() {
        refused("invalid_request", &[("response_type", "")]);
        refused("unsupported_response_type", &[("response_type", "token")]);
        refused("unsupported_response_type", &[("response_type", "code id_token")]);
        refused("invalid_target", &[("resource", "api")]);
        refused("invalid_request", &[("dpop_jkt", "short")]);
        refused("registration_not_supported", &[("registration", "{}")]);
        refused("invalid_request", &[("response_mode", "fragment")]);
        refused("invalid_request", &[("response_mode", "web_message")]);
        refused("invalid_request", &[("prompt", "none login")]);
        refused("invalid_request", &[("prompt", "create")]);
        refused("invalid_request", &[("max_age", "-1")]);
        refused("invalid_request", &[("max_age", "soon")]);
        refused("invalid_request", &[("claims", "[]")]);
        refused("invalid_request", &[("nonce", &"n".repeat(513))]);
        refused("invalid_request", &[("state", &"s".repeat(2_001))]);
        refused("invalid_request", &[("state", "a\nb")]);
        refused("invalid_scope", &[("scope", "")]);
        refused("invalid_scope", &[("scope", "keyreeve:admin")]);
        refused("invalid_scope", &[("scope", "a\"b")]);
    }

    #[test]
    fn ac_03_a_client_without_redirect_uris_learns_none() {
        let mut client = client();
        client.redirect_uris.clear();
        assert!(ReturnAddress::parse(&with(&[]), &client).is_err());
        assert!(ReturnAddress::parse(&with(&[("redirect_uri", "")]), &client).is_err());
        assert!(
            ReturnAddress::parse(&with(&[("redirect_uri", "https://evil.example/")]), &self::client())
                .is_err()
        );
    }

    #[test]
    fn ac_09_only_s256_and_never_dropped() {
        let sent = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
        assert!(parse(&client(), &sent).unwrap().challenge.is_some());
        refused("invalid_request", &[("code_challenge", CHALLENGE)]);
        refused("invalid_request", &[("code_challenge", CHALLENGE), ("code_challenge_method", "plain")]);
        refused("invalid_request", &[("code_challenge", "short"), ("code_challenge_method", "S256")]);
        refused("invalid_request", &[("code_challenge_method", "S256")]);
        let mut public = client();
        public.auth_method = AuthMethod::None;
        assert_eq!(parse(&public, &[]).unwrap_err().code, "invalid_request");
        assert!(parse(&public, &sent).is_ok());
    }

    #[test]
    fn offline_access_needs_consent_and_a_refresh_token() {
        let offline = |client: &ClientSettings, prompt: &str| {
            let scope = ("scope", "openid offline_access");
            parse(client, &[scope, ("prompt", prompt)]).unwrap().scope.contains(scope::OFFLINE_ACCESS)
        };
        assert!(!offline(&client(), ""));
        assert!(offline(&client(), "consent"));
        let mut ours = client();
        ours.first_party = true;
        assert!(offline(&ours, ""));
        ours.grant_types.remove(&GrantType::RefreshToken);
        assert!(!offline(&ours, "consent"));
    }

    #[test]
    fn the_answer_to_a_bad_mode_or_state_still_has_an_address() {
        let params = with(&[("response_mode", "fragment"), ("state", "a\0")]);
        let address = ReturnAddress::parse(&params, &client()).unwrap();
        assert_eq!((address.mode, address.state), (ResponseMode::Query, None));
    }

    proptest! {
        #[test]
        fn nothing_makes_the_parser_panic(name in "(prompt|max_age|claims|scope|nonce|state|code_challenge)", value in "\\PC{0,40}") {
            let _ = parse(&client(), &[(name.as_str(), value.as_str())]);
        }
    }
}
