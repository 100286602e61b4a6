//! Tenants, users and clients, in calls that read like sentences.

use crate::call::Call;
use crate::server::Mount;
use keyreeve_crypto::Secret;
use keyreeve_crypto::jws::{Header, sign_compact};
use keyreeve_crypto::sign::{Algorithm, SigningKey};
use keyreeve_identity::{
    Cause, Credential, NewTenant, NewUser, Patch, Profile, ProfilePatch, StateChange, TenantPatch,
    TenantSettings, User,
};
use keyreeve_tokens::clients::{AuthMethod, GrantType, RedirectUri};
use keyreeve_tokens::{Client, ClientSettings, NewClient, TokenPolicy};
use serde_json::{Value, json};
use std::sync::Arc;

/// The password of every user, unless a test says otherwise.
pub const PASSWORD: &str = "Wq7-tulip-oxcart";

/// A tenant to be made.
#[must_use = "nothing is made before `create`"]
pub struct TenantBuilder<'a> {
    mount: &'a Mount,
    new: NewTenant,
}

impl<'a> TenantBuilder<'a> {
    pub(crate) fn new(mount: &'a Mount, slug: &str) -> Self {
        let name = format!("Tenant {slug}");
        Self { mount, new: NewTenant { slug: slug.to_owned(), name, settings: TenantSettings::default() } }
    }

    /// With these settings.
    pub fn settings(mut self, change: impl FnOnce(&mut TenantSettings)) -> Self {
        change(&mut self.new.settings);
        self
    }

    /// Makes it, with its signing keys.
    pub async fn create(self) -> Mount {
        let slug = self.new.slug.clone();
        let tenants = self.mount.identity().tenants();
        let tenant = tenants.create(self.new, &Cause::operator()).await.expect("a tenant");
        self.mount.tokens().keys().prepare(tenant.id).await.expect("its keys");
        self.mount.beside(tenant, &slug)
    }
}

impl Mount {
    /// Changes the tenant's settings.
    pub async fn set_settings(&self, change: impl FnOnce(&mut TenantSettings)) {
        let tenant = self.identity().tenants().get(self.id()).await.expect("the tenant");
        let mut settings = tenant.settings.clone();
        change(&mut settings);
        let patch = TenantPatch { settings: Some(settings), ..TenantPatch::default() };
        self.patch(patch).await;
    }

    /// Takes the tenant out of use, or into use again.
    pub async fn set_enabled(&self, enabled: bool) {
        self.patch(TenantPatch { enabled: Some(enabled), ..TenantPatch::default() }).await;
    }

    async fn patch(&self, patch: TenantPatch) {
        let tenants = self.identity().tenants();
        let version = tenants.get(self.id()).await.expect("the tenant").version;
        tenants.update(self.id(), version, patch, &Cause::operator()).await.expect("a change");
    }

    /// Changes the tenant's rules for tokens.
    pub async fn set_policy(&self, change: impl FnOnce(&mut TokenPolicy)) {
        let mut policy = TokenPolicy::clone(&*self.tokens().policy(self.id()).await.expect("a policy"));
        change(&mut policy);
        self.tokens().set_policy(self.id(), &policy, &Cause::operator()).await.expect("a change");
    }

    /// Lets the next signing key of this algorithm sign.
    pub async fn rotate_keys(&self, alg: Algorithm) {
        self.tokens().keys().rotate(self.id(), alg, &Cause::operator()).await.expect("a rotation");
    }
}

/// A user to be made.
#[must_use = "nothing is made before `create`"]
pub struct UserBuilder<'a> {
    mount: &'a Mount,
    new: NewUser,
}

impl<'a> UserBuilder<'a> {
    pub(crate) fn new(mount: &'a Mount, name: &str) -> Self {
        let profile = Profile { username: Some(name.to_owned()), ..Profile::default() };
        let credential = Credential::Password(Secret::new(PASSWORD));
        Self { mount, new: NewUser { profile, credential, ..NewUser::default() } }
    }

    /// With this verified e-mail address.
    pub fn email(mut self, address: &str) -> Self {
        self.new.profile.email = Some(address.to_owned());
        self.new.profile.email_verified = true;
        self
    }

    /// With this password.
    pub fn password(mut self, password: &str) -> Self {
        self.new.credential = Credential::Password(Secret::new(password));
        self
    }

    /// With a change of the profile.
    pub fn profile(mut self, change: impl FnOnce(&mut Profile)) -> Self {
        change(&mut self.new.profile);
        self
    }

    /// With a value for every claim that can be told.
    pub fn with_every_claim(self) -> Self {
        self.email("ada@example.org").profile(|profile| {
            let text = |text: &str| Some(text.to_owned());
            profile.given_name = text("Ada");
            profile.family_name = text("Lovelace");
            profile.display_name = text("Ada Lovelace");
            profile.phone_number = text("+44 20 7946 0123");
            profile.locale = text("en-GB");
            profile.zoneinfo = text("Europe/London");
            for (name, value) in [
                ("middle_name", "King"),
                ("nickname", "countess"),
                ("profile", "https://ada.example/profile"),
                ("picture", "https://ada.example/picture"),
                ("website", "https://ada.example/"),
                ("gender", "female"),
                ("birthdate", "1815-12-10"),
                ("street_address", "12 St James's Square"),
                ("locality", "London"),
                ("postal_code", "SW1Y 4JH"),
                ("country", "GB"),
            ] {
                profile.attributes.insert(name.to_owned(), vec![value.to_owned()]);
            }
        })
    }

    /// Who must choose a new password before anything else.
    pub fn must_change_password(mut self) -> Self {
        self.new.must_change_password = true;
        self
    }

    /// Makes the user.
    pub async fn create(self) -> TestUser {
        let name = self.new.profile.username.clone().unwrap_or_default();
        let made = self.mount.identity().users().create(self.mount.id(), self.new, &Cause::operator()).await;
        let user = made.unwrap_or_else(|error| panic!("no user: {error}"));
        TestUser { mount: self.mount.clone(), name, user }
    }
}

/// A user that was made.
#[derive(Clone)]
pub struct TestUser {
    mount: Mount,
    /// The user name.
    pub name: String,
    /// The user as they were made.
    pub user: Arc<User>,
}

impl TestUser {
    /// The identifier as tokens have it.
    #[must_use]
    pub fn sub(&self) -> String {
        self.user.id.to_string()
    }

    /// Changes the state of the account.
    pub async fn change(&self, change: StateChange) {
        let who = (self.mount.id(), self.user.id);
        self.mount
            .identity()
            .users()
            .change_state(who, change, None, &Cause::operator())
            .await
            .expect("a change");
    }

    /// Changes the given name.
    pub async fn rename(&self, given_name: &str) {
        let patch = ProfilePatch { given_name: Patch::Set(given_name.to_owned()), ..ProfilePatch::default() };
        let who = (self.mount.id(), self.user.id);
        self.mount.identity().users().update(who, patch, None, &Cause::operator()).await.expect("a change");
    }

    /// How many live sessions there are.
    pub async fn sessions(&self) -> usize {
        let sessions = self.mount.identity().sessions().list(self.mount.id(), self.user.id).await;
        sessions.expect("the sessions").len()
    }
}

/// How a test's client authenticates.
#[derive(Clone)]
pub enum Auth {
    /// Not at all.
    None,
    /// By its secret in the header.
    Basic(String),
    /// By its secret in the body.
    Post(String),
    /// By an assertion signed with this key.
    Key(Arc<SigningKey>),
}

/// A client to be made.
#[must_use = "nothing is made before `create`"]
pub struct ClientBuilder<'a> {
    mount: &'a Mount,
    client_id: String,
    settings: ClientSettings,
    key: Option<Arc<SigningKey>>,
}

impl<'a> ClientBuilder<'a> {
    pub(crate) fn new(mount: &'a Mount, client_id: &str) -> Self {
        let settings = ClientSettings::new(&format!("Application {client_id}"));
        Self { mount, client_id: client_id.to_owned(), settings, key: None }
    }

    /// A web application of somebody else: it signs users in by `client_secret_basic`, at this address, and users are
    /// asked for consent.
    pub fn web_app(self) -> Self {
        let cb = format!("https://{}.example/cb", self.client_id);
        let bye = format!("https://{}.example/bye", self.client_id);
        self.redirect(&cb)
            .after_logout(&bye)
            .grants(&[GrantType::AuthorizationCode, GrantType::RefreshToken])
            .scopes("openid profile email address phone offline_access")
    }

    /// A service that acts for itself.
    pub fn service(self) -> Self {
        self.grants(&[GrantType::ClientCredentials]).scopes("read write")
    }

    /// By `client_secret_basic`.
    pub fn confidential(self) -> Self {
        self.with(|settings| settings.auth_method = AuthMethod::ClientSecretBasic)
    }

    /// By `client_secret_post`.
    pub fn secret_post(self) -> Self {
        self.with(|settings| settings.auth_method = AuthMethod::ClientSecretPost)
    }

    /// By `private_key_jwt`, with a key of this algorithm.
    pub fn private_key(mut self, alg: Algorithm) -> Self {
        let key = Arc::new(SigningKey::generate(alg).expect("a key"));
        self.settings.auth_method = AuthMethod::PrivateKeyJwt;
        self.settings.jwks = vec![key.public_jwk().clone()];
        self.key = Some(key);
        self
    }

    /// Without a secret.
    pub fn public(self) -> Self {
        self.with(|settings| settings.auth_method = AuthMethod::None)
    }

    /// With one more redirect URI.
    pub fn redirect(self, uri: &str) -> Self {
        let uri = RedirectUri::parse(uri).expect("a redirect URI");
        self.with(|settings| settings.redirect_uris.push(uri))
    }

    /// With one more address to which browsers may go after a sign-out.
    pub fn after_logout(self, uri: &str) -> Self {
        let uri = RedirectUri::parse(uri).expect("a redirect URI");
        self.with(|settings| settings.post_logout_redirect_uris.push(uri))
    }

    /// With these grant types.
    pub fn grants(self, grants: &[GrantType]) -> Self {
        self.with(|settings| settings.grant_types = grants.iter().copied().collect())
    }

    /// With these scopes.
    pub fn scopes(self, scopes: &str) -> Self {
        let scopes = scopes.parse().expect("scopes");
        self.with(|settings| settings.scopes = scopes)
    }

    /// Of whoever runs the server: nobody is asked for consent.
    pub fn first_party(self) -> Self {
        self.with(|settings| settings.first_party = true)
    }

    /// With a change of its settings.
    pub fn with(mut self, change: impl FnOnce(&mut ClientSettings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Makes the client.
    pub async fn create(self) -> TestClient {
        let method = self.settings.auth_method;
        let redirect = self.settings.redirect_uris.first().map(ToString::to_string).unwrap_or_default();
        let new = NewClient {
            tenant_id: self.mount.id(),
            client_id: Some(self.client_id.clone()),
            settings: self.settings,
        };
        let made = self.mount.tokens().clients().create(new, &Cause::operator()).await;
        let (client, secret) = made.unwrap_or_else(|error| panic!("no client: {error}"));
        let secret = secret.map(|secret| secret.expose().to_owned()).unwrap_or_default();
        let auth = match (method, self.key) {
            (AuthMethod::None, _) => Auth::None,
            (AuthMethod::ClientSecretBasic, _) => Auth::Basic(secret),
            (AuthMethod::ClientSecretPost, _) => Auth::Post(secret),
            (AuthMethod::PrivateKeyJwt, key) => Auth::Key(key.expect("a key")),
        };
        TestClient { client_id: self.client_id, redirect, auth, client, mount: self.mount.clone() }
    }
}

/// A client that was made.
#[derive(Clone)]
pub struct TestClient {
    /// Its name on the wire.
    pub client_id: String,
    /// Its first redirect URI.
    pub redirect: String,
    /// How it authenticates.
    pub auth: Auth,
    /// The client as it was made.
    pub client: Arc<Client>,
    mount: Mount,
}

impl TestClient {
    /// Its secret.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn secret(&self) -> &str {
        match &self.auth {
            Auth::Basic(secret) | Auth::Post(secret) => secret,
            Auth::None | Auth::Key(_) => panic!("{} has no secret", self.client_id),
        }
    }

    /// Its key.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        match &self.auth {
            Auth::Key(key) => key,
            Auth::None | Auth::Basic(_) | Auth::Post(_) => panic!("{} has no key", self.client_id),
        }
    }

    /// The claims of a sound assertion for this tenant.
    #[must_use]
    pub fn assertion_claims(&self, mount: &Mount) -> Value {
        let now = mount.now().seconds();
        let jti = mount.new_uuid().to_string();
        json!({"iss": self.client_id, "sub": self.client_id, "aud": mount.issuer(), "iat": now, "exp": now + 60,
            "jti": jti})
    }

    /// Signs an assertion with its key.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let key = self.key();
        let header = Header { typ: "JWT", kid: Some(key.kid()) };
        sign_compact(key, &header, claims).expect("a signature")
    }

    /// The parameters by which a client with a key authenticates; none for others.
    pub(crate) fn assertion(&self, mount: &Mount) -> Vec<(&'static str, String)> {
        match &self.auth {
            Auth::Key(_) => vec![
                ("client_assertion_type", ASSERTION_TYPE.to_owned()),
                ("client_assertion", self.sign(&self.assertion_claims(mount))),
            ],
            Auth::None | Auth::Basic(_) | Auth::Post(_) => Vec::new(),
        }
    }

    /// What it sends in the body to authenticate, without an assertion.
    pub(crate) fn in_body(&self) -> Vec<(&str, &str)> {
        match &self.auth {
            Auth::None => vec![("client_id", &self.client_id)],
            Auth::Post(secret) => vec![("client_id", &self.client_id), ("client_secret", secret)],
            Auth::Basic(_) | Auth::Key(_) => Vec::new(),
        }
    }

    pub(crate) fn in_header(&self, call: Call) -> Call {
        match &self.auth {
            Auth::Basic(secret) => call.basic(&self.client_id, secret),
            Auth::None | Auth::Post(_) | Auth::Key(_) => call,
        }
    }

    /// Changes its settings.
    pub async fn set(&self, change: impl FnOnce(&mut ClientSettings)) {
        let clients = self.mount.tokens().clients();
        let now = clients.get(self.mount.id(), self.client.id).await.expect("the client");
        let mut settings = now.settings.clone();
        change(&mut settings);
        clients.update(&now, settings, &Cause::operator()).await.expect("a change");
    }
}

/// The value of `client_assertion_type` (RFC 7523 section 2.2).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
