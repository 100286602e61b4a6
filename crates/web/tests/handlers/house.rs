//! A house to test in: the rooms over a store of its own, this door's router, and browsers that keep cookies.

use crate::pages::dom::{Element, Page};
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use keyreeve_crypto::password::{HashPolicy, PoolSize};
use keyreeve_crypto::seal::MasterKey;
use keyreeve_crypto::{Secret, base64url, sha256};
use keyreeve_http::front::{Front, Fronted};
use keyreeve_http::origin::TrustedProxies;
use keyreeve_identity::{
    Cause, Credential, Identity, IdentityOptions, NewTenant, NewUser, Profile, Tenant, TenantSettings, User,
};
use keyreeve_testkit::{Engine, TestStore, store};
use keyreeve_tokens::clients::{GrantType, RedirectUri};
use keyreeve_tokens::{Authorize, Browser as Sender, ClientSettings, NewClient, Tokens, TokensOptions};
use keyreeve_web::WebState;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use tower::ServiceExt as _;

pub const PASSWORD: &str = "Wq7-tulip-oxcart";
pub const PUBLIC: &str = "https://id.example";
pub const REDIRECT: &str = "https://portal.example/cb";

pub struct House {
    pub tokens: Tokens,
    pub identity: Identity,
    pub tenant: Arc<Tenant>,
    pub ada: Arc<User>,
    router: Fronted,
    pub test: TestStore,
}

pub async fn house() -> House {
    let migrations =
        [keyreeve_audit::MIGRATIONS, keyreeve_identity::MIGRATIONS, keyreeve_tokens::MIGRATIONS].concat();
    let test = store(Engine::Sqlite, &migrations).await;
    let options = IdentityOptions {
        hash_policy: HashPolicy { memory_kib: 64, iterations: 1, parallelism: 1 },
        hash_pool: PoolSize { workers: 1, queue: 64 },
        ..IdentityOptions::default()
    };
    let master = MasterKey::generate(&test.world).into();
    let identity = Identity::new(test.store.clone(), test.world.clone(), master, &options).expect("a room");
    let public_url: url::Url = PUBLIC.parse().expect("a URL");
    let options = TokensOptions::new(public_url.clone());
    let tokens = Tokens::new(test.store.clone(), test.world.clone(), identity.clone(), &options);
    let tenant = new_tenant(&identity, "default", "Default").await;
    let other = new_tenant(&identity, "acme", "Acme <Ltd>").await;
    let ada = new_user(&identity, &tenant, "ada", false).await;
    new_user(&identity, &other, "ada", false).await;
    let mut settings = ClientSettings::new("Portal");
    settings.redirect_uris = vec![RedirectUri::parse(REDIRECT).expect("a URI")];
    settings.grant_types = [GrantType::AuthorizationCode].into();
    settings.scopes = "openid profile email".parse().expect("scopes");
    let new = NewClient { tenant_id: tenant.id, client_id: Some("portal".to_owned()), settings };
    tokens.clients().create(new, &Cause::operator()).await.expect("a client");
    let state = WebState::new(tokens.clone(), test.world.clone(), public_url.clone());
    let front = Front::new(&test.world, &public_url, TrustedProxies::default());
    let router = front.wrap(keyreeve_web::routes(state).into_router());
    House { tokens, identity, tenant, ada, router, test }
}

async fn new_tenant(identity: &Identity, slug: &str, name: &str) -> Arc<Tenant> {
    let new = NewTenant { slug: slug.to_owned(), name: name.to_owned(), settings: TenantSettings::default() };
    identity.tenants().create(new, &Cause::system()).await.expect("a tenant")
}

pub async fn new_user(identity: &Identity, tenant: &Tenant, name: &str, must_change: bool) -> Arc<User> {
    let profile = Profile { username: Some(name.to_owned()), ..Profile::default() };
    let new = NewUser {
        profile,
        credential: Credential::Password(Secret::new(PASSWORD)),
        must_change_password: must_change,
        ..NewUser::default()
    };
    identity.users().create(tenant.id, new, &Cause::operator()).await.expect("a user")
}

impl House {
    pub fn browser(&self) -> Browser<'_> {
        Browser { house: self, cookies: RefCell::default() }
    }

    /// How many sessions of Ada live.
    pub async fn sessions(&self) -> usize {
        self.identity.sessions().list(self.tenant.id, self.ada.id).await.expect("a list").len()
    }
}

/// A browser with its cookies.
pub struct Browser<'h> {
    house: &'h House,
    cookies: RefCell<BTreeMap<String, String>>,
}

/// An answer as it arrived.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        self.header("location")
    }

    pub fn page(&self) -> Page {
        Page::parse(&self.text)
    }

    pub fn h1(&self) -> String {
        self.page().all("h1").map(|h1| h1.text.trim().to_owned()).collect()
    }

    /// What the form that posts to `action` would send as it stands.
    pub fn form(&self, action: &str) -> Vec<(String, String)> {
        let page = self.page();
        let form = page.all("form").find(|form| form.get("action") == Some(action));
        let form = form.unwrap_or_else(|| panic!("no form for {action}: {}", self.text));
        let pair = |input: &Element| {
            Some((input.get("name")?.to_owned(), input.get("value").unwrap_or_default().to_owned()))
        };
        page.inputs_in(form).filter_map(pair).collect()
    }

    /// The directive of the content security policy that says where forms may lead.
    pub fn form_action(&self) -> String {
        let policy = self.header("content-security-policy");
        let found = policy.split("; ").find(|directive| directive.starts_with("form-action"));
        found.unwrap_or_default().to_owned()
    }
}

impl Browser<'_> {
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.borrow().get(name).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    pub fn forget(&self, name: &str) {
        self.cookies.borrow_mut().remove(name);
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], String::new()).await
    }

    pub async fn post(&self, path: &str, fields: &[(String, String)]) -> Answer {
        let from = [("origin", PUBLIC), ("sec-fetch-site", "same-origin")];
        self.post_from(path, fields, &from).await
    }

    pub async fn post_from(&self, path: &str, fields: &[(String, String)], from: &[(&str, &str)]) -> Answer {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        self.send(Method::POST, path, from, body.finish()).await
    }

    /// Posts the form of the page with these fields filled in.
    pub async fn submit(&self, page: &Answer, action: &str, filled: &[(&str, &str)]) -> Answer {
        let mut fields = page.form(action);
        fields.retain(|(name, _)| !filled.iter().any(|(other, _)| other == name));
        fields.extend(filled.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.post(action, &fields).await
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
        let path = path.strip_prefix(PUBLIC).unwrap_or(path);
        let mut request = Request::builder().method(&method).uri(path).header("host", "evil.example");
        if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = self.cookies.borrow().iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>();
        if !sent.is_empty() {
            request = request.header(header::COOKIE, sent.join("; "));
        }
        let request = request.body(Body::from(body)).expect("a request");
        let response = self.house.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        self.keep(&parts.headers);
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        Answer { status: parts.status, headers: parts.headers, text }
    }

    fn keep(&self, headers: &HeaderMap) {
        for cookie in headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().expect("text");
            for part in ["__Host-", "; Path=/; Secure; HttpOnly; SameSite=Lax"] {
                assert!(cookie.contains(part), "{cookie}");
            }
            let (name, value) =
                cookie.split(';').next().and_then(|pair| pair.split_once('=')).expect("a pair");
            if cookie.contains("Max-Age=0") {
                self.forget(name);
            } else {
                self.set_cookie(name, value);
            }
        }
    }

    /// Signs in and stands at the account page.
    pub async fn sign_in(&self, name: &str) {
        let page = self.get("/signin").await;
        let answer = self.submit(&page, "/signin", &[("username", name), ("password", PASSWORD)]).await;
        assert_eq!(answer.location(), format!("{PUBLIC}/account"));
    }

    /// A sealed request of the portal for this browser, as the neighbouring door makes them.
    pub async fn request(&self, changes: &[(&str, &str)]) -> String {
        if self.cookie("__Host-browser").is_none() {
            self.get("/signin").await;
        }
        let challenge = base64url::encode(sha256(b"a verifier of forty-three characters at least"));
        let usual = [
            ("client_id", "portal"),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("scope", "openid profile email"),
            ("state", "xyz"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        let params: BTreeMap<String, String> =
            usual.iter().chain(changes).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let (cookie, origin) =
            (self.cookie("__Host-browser").expect("a mark"), keyreeve_base::Origin::local());
        let sender = Sender { cookie: &cookie, session: None, origin: &origin };
        match self.house.tokens.authorize(&self.house.tenant, &params, sender).await.expect("an answer") {
            Authorize::SignIn { request, .. } => request,
            other => panic!("no sign-in: {other:?}"),
        }
    }
}
