//! The authorization code flow of a client, from the request to the tokens.

use crate::browser::{Browser, Callback};
use crate::build::TestClient;
use crate::call::{Answer, encode};
use crate::jwt::{self, Jwt};
use crate::server::Mount;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::collections::BTreeMap;

/// The code verifier of every flow: that of RFC 7636 appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// The S256 challenge of a verifier (RFC 7636 section 4.2).
#[must_use]
pub fn challenge_of(verifier: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.as_ref())
}

/// A flow in the making. It starts as a sound request of its client: `code`, `openid profile email`, state, nonce, PKCE.
#[derive(Clone)]
#[must_use = "a flow that is not begun does nothing"]
pub struct CodeFlow {
    mount: Mount,
    client: TestClient,
    params: BTreeMap<String, String>,
    verifier: Option<String>,
}

impl CodeFlow {
    pub(crate) fn new(mount: &Mount, client: &TestClient) -> Self {
        let challenge = challenge_of(VERIFIER);
        let params = [
            ("client_id", client.client_id.as_str()),
            ("redirect_uri", &client.redirect),
            ("response_type", "code"),
            ("scope", "openid profile email"),
            ("state", "af0ifjsldkj"),
            ("nonce", "n-0S6_WzA2Mj"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let params = params.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { mount: mount.clone(), client: client.clone(), params, verifier: Some(VERIFIER.to_owned()) }
    }

    /// With another parameter.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.params.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Without a parameter.
    pub fn without(mut self, name: &str) -> Self {
        self.params.remove(name);
        self
    }

    /// Without PKCE.
    pub fn without_pkce(mut self) -> Self {
        self.verifier = None;
        self.without("code_challenge").without("code_challenge_method")
    }

    /// For these scopes.
    pub fn scope(self, scope: &str) -> Self {
        self.with("scope", scope)
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &TestClient {
        &self.client
    }

    /// The parameters.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        self.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// The path and query of the request, below the tenant.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/authorize?{}", encode(&self.pairs()))
    }

    /// Brings the request; answers what it is answered with.
    pub async fn begin(&self, browser: &Browser) -> Answer {
        browser.at(&self.mount).get(&self.path()).send().await
    }

    /// Brings the request, and walks through the pages as `person` would.
    pub async fn walk(&self, browser: &Browser, person: &str) -> Callback {
        let answer = self.begin(browser).await;
        let callback = browser.at(&self.mount).walk(answer, person).await;
        let expected = self.params.get("redirect_uri").map(String::as_str).unwrap_or_default();
        assert_eq!(callback.uri, expected.split('?').next().unwrap_or_default());
        callback
    }

    /// The error with which the request is answered to the client, without a page in between.
    pub async fn refusal(&self, browser: &Browser) -> Callback {
        let callback = self.walk(browser, "nobody, since no page may be shown").await;
        assert!(callback.pages.is_empty(), "a page was shown: {:?}", callback.pages);
        assert!(!callback.error().is_empty());
        callback
    }

    /// What the client sends to redeem a code.
    #[must_use]
    pub fn redemption<'a>(&'a self, code: &'a str) -> Vec<(&'a str, &'a str)> {
        let redirect = self.params.get("redirect_uri").map(String::as_str).unwrap_or_default();
        let mut form = vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirect)];
        form.extend(self.verifier.as_deref().map(|verifier| ("code_verifier", verifier)));
        form
    }

    /// Redeems a code.
    pub async fn redeem(&self, code: &str) -> Answer {
        self.mount.token(&self.client, &self.redemption(code)).await
    }

    /// The whole way: the request, the pages, the tokens.
    pub async fn tokens(&self, browser: &Browser, person: &str) -> TokenSet {
        let callback = self.walk(browser, person).await;
        TokenSet::read(&self.redeem(callback.code()).await)
    }
}

/// The answer of the token endpoint to a sound request.
#[derive(Clone, Debug)]
pub struct TokenSet {
    /// The access token.
    pub access: String,
    /// The ID token, where there is one.
    pub id: Option<String>,
    /// The refresh token, where there is one.
    pub refresh: Option<String>,
    /// The whole answer.
    pub json: Value,
}

impl TokenSet {
    /// Reads it, and checks what RFC 6749 section 5.1 says of each.
    ///
    /// # Panics
    /// When it is a refusal, or not as the RFC has it.
    #[track_caller]
    #[allow(clippy::must_use_candidate, reason = "reading it is an expectation of its own")]
    pub fn read(answer: &Answer) -> Self {
        answer.check(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer}");
        let json = answer.json();
        assert_eq!(json["token_type"], "Bearer", "{answer}");
        assert!(json["expires_in"].as_i64().is_some_and(|seconds| seconds > 0), "{answer}");
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        let access = text("access_token").unwrap_or_else(|| panic!("no access token\n{answer}"));
        Self { access, id: text("id_token"), refresh: text("refresh_token"), json }
    }

    /// The refresh token.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    #[must_use]
    pub fn refresh(&self) -> &str {
        self.refresh.as_deref().expect("a refresh token")
    }

    /// The ID token's text.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_deref().expect("an ID token")
    }

    /// The verified ID token.
    pub async fn id_token(&self, mount: &Mount) -> Jwt {
        jwt::verify(mount, self.id()).await
    }

    /// The verified access token.
    pub async fn access_token(&self, mount: &Mount) -> Jwt {
        jwt::verify(mount, &self.access).await
    }
}

impl Mount {
    /// Refreshes; answers the new tokens.
    pub async fn refresh(&self, client: &TestClient, refresh_token: &str) -> TokenSet {
        TokenSet::read(&self.try_refresh(client, refresh_token).await)
    }

    /// Tries to refresh.
    pub async fn try_refresh(&self, client: &TestClient, refresh_token: &str) -> Answer {
        self.token(client, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }
}
