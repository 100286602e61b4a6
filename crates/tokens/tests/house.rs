//! A house to test in: a store, the rooms over it, two tenants, a user, clients of each kind.

use keyreeve_audit::Entry;
use keyreeve_base::{Origin, TenantId};
use keyreeve_crypto::jws::Unverified;
use keyreeve_crypto::password::{HashPolicy, PoolSize};
use keyreeve_crypto::seal::MasterKey;
use keyreeve_crypto::{Secret, base64url, sha256};
use keyreeve_identity::{
    Admitted, Cause, Credential, Identity, IdentityOptions, Method, NewTenant, NewUser, PasswordAttempt,
    Profile, SignIn, StateChange, Tenant, TenantSettings, User,
};
use keyreeve_store::{Migration, Store, Tx};
use keyreeve_testkit::{Engine, TestStore, store};
use keyreeve_tokens::clients::{AuthMethod, GrantType, RedirectUri};
use keyreeve_tokens::grants::{CodeRedemption, RefreshRequest};
use keyreeve_tokens::{
    AuthenticatedClient, Authorize, Browser, Client, ClientCredential, ClientSettings, NewClient, Redirect,
    TokenError, TokenResponse, Tokens, TokensOptions,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub const PASSWORD: &str = "Wq7-tulip-oxcart";
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const REDIRECT: &str = "https://portal.example/cb";
pub const BROWSER: &str = "the cookie of this browser";
pub const ISSUER: &str = "https://id.example";

pub fn migrations() -> Vec<Migration> {
    [keyreeve_audit::MIGRATIONS, keyreeve_identity::MIGRATIONS, keyreeve_tokens::MIGRATIONS].concat()
}

pub fn challenge() -> String {
    base64url::encode(sha256(VERIFIER.as_bytes()))
}

pub fn origin() -> Origin {
    Origin { address: "192.0.2.1".parse().ok(), user_agent: Some("a browser".to_owned()), request_id: None }
}

/// A registered client and its secret.
pub struct App {
    pub client: Arc<Client>,
    pub secret: Option<String>,
}

pub struct House {
    pub tokens: Tokens,
    pub identity: Identity,
    pub tenant: Arc<Tenant>,
    /// Another tenant, with the same names in it.
    pub other: Arc<Tenant>,
    pub ada: Arc<User>,
    pub master_text: String,
    pub test: TestStore,
}

fn rooms(store: &Store, test: &TestStore, master: MasterKey) -> (Identity, Tokens) {
    let options = IdentityOptions {
        hash_policy: HashPolicy { memory_kib: 64, iterations: 1, parallelism: 1 },
        hash_pool: PoolSize { workers: 1, queue: 64 },
        ..IdentityOptions::default()
    };
    let identity = Identity::new(store.clone(), test.world.clone(), master.into(), &options).expect("a room");
    let options = TokensOptions::new(format!("{ISSUER}/").parse().expect("a URL"));
    let tokens = Tokens::new(store.clone(), test.world.clone(), identity.clone(), &options);
    (identity, tokens)
}

pub async fn house(engine: Engine) -> House {
    let house = bare_house(engine).await;
    house.tokens.keys().prepare(house.tenant.id).await.expect("keys");
    house
}

/// A house without signing keys.
pub async fn bare_house(engine: Engine) -> House {
    let test = store(engine, &migrations()).await;
    let master = MasterKey::generate(&test.world);
    let master_text = master.to_text().expose().to_owned();
    let (identity, tokens) = rooms(&test.store, &test, master);
    let tenant = new_tenant(&identity, "default").await;
    let other = new_tenant(&identity, "other").await;
    let ada = new_user(&identity, tenant.id).await;
    House { tokens, identity, tenant, other, ada, master_text, test }
}

async fn new_tenant(identity: &Identity, slug: &str) -> Arc<Tenant> {
    let new = NewTenant { slug: slug.to_owned(), name: slug.to_owned(), settings: TenantSettings::default() };
    identity.tenants().create(new, &Cause::system()).await.expect("a tenant")
}

pub async fn new_user(identity: &Identity, tenant: TenantId) -> Arc<User> {
    let profile = Profile {
        username: Some("ada".into()),
        email: Some("ada@example.org".into()),
        email_verified: true,
        given_name: Some("Ada".into()),
        family_name: Some("Lovelace".into()),
        ..Profile::default()
    };
    let new =
        NewUser { profile, credential: Credential::Password(Secret::new(PASSWORD)), ..NewUser::default() };
    identity.users().create(tenant, new, &Cause::operator()).await.expect("a user")
}

/// A web application with every right that one usually has.
pub fn web_app() -> ClientSettings {
    let mut settings = ClientSettings::new("Portal");
    settings.redirect_uris = vec![RedirectUri::parse(REDIRECT).expect("a URI")];
    settings.post_logout_redirect_uris =
        vec![RedirectUri::parse("https://portal.example/bye").expect("a URI")];
    settings.grant_types = [GrantType::AuthorizationCode, GrantType::RefreshToken].into();
    settings.scopes = "openid profile email offline_access".parse().expect("scopes");
    settings.first_party = true;
    settings
}

/// A service that acts for itself.
pub fn robot() -> ClientSettings {
    let mut settings = ClientSettings::new("Robot");
    settings.grant_types = [GrantType::ClientCredentials].into();
    settings.scopes = "read write".parse().expect("scopes");
    settings
}

impl House {
    pub fn advance(&self, seconds: u64) {
        self.test.clock.advance(Duration::from_secs(seconds));
    }

    /// Another node over the same database.
    pub async fn other_node(&self) -> (Identity, Tokens) {
        let store = self.test.open_again(&migrations()).await.expect("the same database");
        rooms(&store, &self.test, MasterKey::from_text(&self.master_text).expect("the key"))
    }

    pub async fn app(&self, name: &str, settings: ClientSettings) -> App {
        self.app_of(self.tenant.id, name, settings).await
    }

    pub async fn app_of(&self, tenant: TenantId, name: &str, settings: ClientSettings) -> App {
        let new = NewClient { tenant_id: tenant, client_id: Some(name.to_owned()), settings };
        let (client, secret) = self.tokens.clients().create(new, &Cause::operator()).await.expect("a client");
        App { client, secret: secret.map(|secret| secret.expose().to_owned()) }
    }

    pub async fn portal(&self) -> App {
        self.app("portal", web_app()).await
    }

    /// A public client of the same user.
    pub async fn spa(&self) -> App {
        let mut settings = web_app();
        settings.auth_method = AuthMethod::None;
        self.app("spa", settings).await
    }

    /// Gives a client other settings.
    pub async fn set(&self, app: &App, change: impl FnOnce(&mut ClientSettings)) {
        let now = self.tokens.clients().get(app.client.tenant_id, app.client.id).await.expect("a client");
        let mut settings = now.settings.clone();
        change(&mut settings);
        self.tokens.clients().update(&now, settings, &Cause::operator()).await.expect("an update");
    }

    pub async fn try_login(
        &self,
        tenant: &Tenant,
        credential: ClientCredential<'_>,
    ) -> Result<AuthenticatedClient, TokenError> {
        self.tokens.clients().authenticate(tenant, credential, &origin()).await
    }

    /// Authenticates a client in its registered way.
    pub async fn login(&self, app: &App) -> AuthenticatedClient {
        let client_id = &app.client.client_id;
        let credential = match &app.secret {
            Some(secret) => ClientCredential::Basic { client_id, secret: Secret::new(secret) },
            None => ClientCredential::None { client_id },
        };
        let tenant = self.identity.tenants().get(app.client.tenant_id).await.expect("a tenant");
        self.try_login(&tenant, credential).await.expect("an authenticated client")
    }

    /// Ada signs in at her browser.
    pub async fn sign_in(&self) -> Admitted {
        self.sign_in_to(self.tenant.id).await
    }

    pub async fn sign_in_to(&self, tenant: TenantId) -> Admitted {
        let attempt = PasswordAttempt {
            tenant,
            identifier: "ada",
            password: Secret::new(PASSWORD),
            origin: origin(),
            method: Method::Password,
            device: None,
        };
        match self.identity.admission().sign_in(attempt, None).await.expect("an answer") {
            SignIn::SignedIn { admitted, .. } => admitted,
            other => panic!("not signed in: {other:?}"),
        }
    }

    pub async fn authorize(&self, changes: &[(&str, &str)], session: Option<&Admitted>) -> Authorize {
        let from = origin();
        let browser = Browser { cookie: BROWSER, session, origin: &from };
        self.tokens.authorize(&self.tenant, &request(changes), browser).await.expect("an answer")
    }

    /// A code for `portal`, or for whom the changes name.
    pub async fn code(&self, changes: &[(&str, &str)], session: &Admitted) -> String {
        code_of(self.authorize(changes, Some(session)).await)
    }

    pub async fn redeem(&self, app: &App, code: &str) -> Result<TokenResponse, TokenError> {
        self.redeem_with(
            app,
            CodeRedemption { code, redirect_uri: Some(REDIRECT), code_verifier: Some(VERIFIER) },
        )
        .await
    }

    pub async fn redeem_with(
        &self,
        app: &App,
        redemption: CodeRedemption<'_>,
    ) -> Result<TokenResponse, TokenError> {
        let client = self.login(app).await;
        self.tokens.redeem_code(&self.tenant, &client, redemption, &origin()).await
    }

    pub async fn refresh(&self, app: &App, refresh_token: &str) -> Result<TokenResponse, TokenError> {
        let client = self.login(app).await;
        let request = RefreshRequest { refresh_token, scope: None };
        self.tokens.refresh(&self.tenant, &client, request, &origin()).await
    }

    /// The whole way from the request to the tokens.
    pub async fn tokens_for(&self, app: &App, session: &Admitted) -> TokenResponse {
        let code = self.code(&[("client_id", &app.client.client_id)], session).await;
        self.redeem(app, &code).await.expect("tokens")
    }

    /// The session of a browser ends.
    pub async fn end(&self, session: &Admitted) {
        let (tenant, user) = (self.tenant.id, self.ada.id);
        let session = session.session().expect("a session");
        let ended = self.identity.sessions().end(tenant, user, session, &Cause::operator()).await;
        assert!(ended.expect("an answer"), "there was no such session");
    }

    pub async fn client_credentials(
        &self,
        app: &App,
        scope: Option<&str>,
    ) -> Result<TokenResponse, TokenError> {
        let client = self.login(app).await;
        self.tokens.client_credentials(&self.tenant, &client, scope, &origin()).await
    }

    pub async fn is_good(&self, token: &str) -> bool {
        self.tokens.verify_access(&self.tenant, token).await.expect("an answer").is_some()
    }

    pub async fn change_user(&self, change: StateChange) {
        let who = (self.tenant.id, self.ada.id);
        self.identity.users().change_state(who, change, None, &Cause::operator()).await.expect("a change");
    }

    /// The tenant's audit log as lines (action, outcome, reason), after the chain was found intact.
    pub async fn lines(&self) -> Vec<String> {
        self.log().await.iter().map(line).collect()
    }

    pub async fn log(&self) -> Vec<Entry> {
        let (store, tenant) = (&self.test.store, self.tenant.id);
        while store.write(async |tx: &mut Tx<'_>| keyreeve_audit::seal(tx).await).await.expect("sealing") > 0
        {
        }
        store
            .scan(async move |tx: &mut Tx<'_>| {
                let report = keyreeve_audit::verify(tx, tenant, None).await?;
                assert_eq!(report.verdict, keyreeve_audit::Verdict::Intact);
                keyreeve_audit::list(tx, tenant, 0, 1_000).await
            })
            .await
            .expect("the log")
    }

    /// The lines that `work` adds.
    pub async fn lines_of<T>(&self, work: impl Future<Output = T>) -> (T, Vec<String>) {
        let before = self.lines().await.len();
        let done = work.await;
        (done, self.lines().await.split_off(before))
    }

    /// What must hold after every test.
    pub async fn check(&self) {
        assert_eq!(self.test.store.integrity().await.expect("a check"), Vec::<String>::new());
        self.log().await;
    }
}

fn line(entry: &Entry) -> String {
    let reason = entry.reason.as_deref().map(|reason| format!(" {reason}")).unwrap_or_default();
    format!("{} {}{reason}", entry.action, entry.outcome)
}

/// The parameters of a request of `portal`; an empty value takes one away.
pub fn request(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
    let challenge = challenge();
    let usual = [
        ("client_id", "portal"),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", "openid profile email"),
        ("state", "xyz"),
        ("nonce", "n-0S6"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    let mut params: BTreeMap<String, String> =
        usual.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    params.retain(|_, value| !value.is_empty());
    params
}

pub fn redirect_of(answer: Authorize) -> Redirect {
    match answer {
        Authorize::Redirect(redirect) => redirect,
        other => panic!("no redirect: {other:?}"),
    }
}

pub fn param(redirect: &Redirect, name: &str) -> Option<String> {
    redirect.params.iter().find(|(found, _)| *found == name).map(|(_, value)| value.clone())
}

pub fn code_of(answer: Authorize) -> String {
    let redirect = redirect_of(answer);
    param(&redirect, "code").unwrap_or_else(|| panic!("no code: {redirect:?}"))
}

pub fn error_of(answer: Authorize) -> String {
    let redirect = redirect_of(answer);
    param(&redirect, "error").unwrap_or_else(|| panic!("no error: {redirect:?}"))
}

/// The code of a refused token request.
#[track_caller]
pub fn refused(answer: Result<TokenResponse, TokenError>) -> &'static str {
    match answer {
        Ok(_) => panic!("it was not refused"),
        Err(TokenError::Internal(error)) => panic!("internal: {error:?}"),
        Err(error) => error.code(),
    }
}

/// The claims of a token, unverified.
pub fn claims(token: &str) -> Map<String, Value> {
    Unverified::parse(token).expect("a token").unverified_claims().expect("claims")
}

pub fn refresh_token(response: &TokenResponse) -> &str {
    response.refresh_token.as_deref().expect("a refresh token")
}
