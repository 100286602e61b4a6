//! Xpress Insight: the REST interface by which programs sign in to that server, over the rooms.
//!
//! | module | what |
//! |---|---|
//! | `operations` | the table of operations |
//! | `call` | what every request goes through: cookie or bearer token, and whether that is enough |
//! | `sign_in` | the session cookie, by admission |
//! | `credentials` | the pair of identifier and secret that a user gives to programs |
//! | `tokens` | bearer tokens, made of such a pair by admission; each stands for a session of the identity room |
//! | `people` | the profile: authorities are roles, authority groups are groups |
//! | `reply`, `failure` | the shapes of answers and errors |
//!
//! What the original leaves open was chosen once, and is written down in `docs/insight.md`.

mod call;
mod credentials;
mod failure;
mod operations;
mod people;
mod reply;
mod schema;
mod sign_in;
mod tokens;

pub use credentials::Generated;
pub use operations::DIALECT;
pub use schema::{MIGRATIONS, STATEMENTS};

use crate::Ground;
use crate::mount::{Mount, Operation, Verb, Where};
use call::{Access, Call, Entry};
use failure::Failure;
use http::HeaderValue;
use keyreeve_base::{SessionId, TenantId, Timestamp, World};
use keyreeve_crypto::TokenDigest;
use keyreeve_http::cookie::CookieNames;
use keyreeve_http::route::{Guard, Routes};
use keyreeve_identity::Identity;
use keyreeve_store::Store;
use reply::{Answer, JSON, Reply};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The cookie of a session.
const COOKIE: &str = "insight_session";
/// What a profile says its address is.
const CURRENT_USER: &str = "/insightservices/rest/v1/auth/currentuser";
/// How many tokens are kept in memory.
const REMEMBERED: usize = 10_000;

/// The longest that tokens may be set to live, in seconds: an hour, as in the original.
pub const LONGEST_TOKEN_S: u32 = 3_600;

/// How the dialect is set up.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The longest that a token lives, in seconds: 1 to [`LONGEST_TOKEN_S`]; beyond that, this.
    pub token_max_age_s: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { token_max_age_s: 900 }
    }
}

/// The dialect. Cheap to clone.
#[derive(Clone)]
pub struct Insight(Arc<Inner>);

/// A token's digest within its tenant.
type Shown = (TenantId, TokenDigest);

struct Inner {
    ground: Ground,
    slug: String,
    options: Options,
    cookies: CookieNames,
    /// A token stands for one session for ever; whether that is live is asked each time.
    tokens: quick_cache::sync::Cache<Shown, (SessionId, Timestamp)>,
}

impl Insight {
    /// The dialect for the tenant of this slug.
    #[must_use]
    pub fn new(ground: Ground, slug: String, options: Options) -> Self {
        let cookies = CookieNames { secure: ground.public_url.starts_with("https://") };
        let token_max_age_s = options.token_max_age_s.clamp(1, LONGEST_TOKEN_S);
        let tokens = quick_cache::sync::Cache::new(REMEMBERED);
        Self(Arc::new(Inner { ground, slug, options: Options { token_max_age_s }, cookies, tokens }))
    }

    fn store(&self) -> &Store {
        &self.0.ground.store
    }

    fn world(&self) -> &World {
        &self.0.ground.world
    }

    fn identity(&self) -> &Identity {
        &self.0.ground.identity
    }

    fn options(&self) -> &Options {
        &self.0.options
    }

    fn cookies(&self) -> CookieNames {
        self.0.cookies
    }

    fn slug(&self) -> &str {
        &self.0.slug
    }

    fn remembered(&self, shown: &Shown) -> Option<(SessionId, Timestamp)> {
        self.0.tokens.get(shown)
    }

    fn remember(&self, shown: Shown, known: (SessionId, Timestamp)) {
        self.0.tokens.insert(shown, known);
    }

    /// The tenant. Where it is not there or switched off, nobody has a credential.
    async fn tenant(&self) -> Result<TenantId, Failure> {
        let tenant = self.identity().tenants().by_slug(self.slug()).await?;
        let active = tenant.filter(|tenant| tenant.is_active());
        active.map(|tenant| tenant.id).ok_or(Failure::Unauthenticated)
    }

    /// The routes.
    #[must_use]
    pub fn routes(&self, at: Where) -> Routes {
        let mut mount = Mount::new(&DIALECT, at);
        let mut paths: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for operation in DIALECT.operations {
            mount = serve(mount, operation);
            paths.entry(operation.path).or_default().push(operation.verb.text());
        }
        for (path, verbs) in paths {
            let allow = HeaderValue::try_from(verbs.join(", ")).unwrap_or(HeaderValue::from_static("GET"));
            let wrong = move |_: Call| std::future::ready(Err(Failure::Method(allow.clone())));
            let wrong = Entry::new(Access::Open, wrong);
            mount = mount.also(Verb::Any, path, (Guard::Public, "insight_wrong_method"), wrong);
        }
        let unknown = Entry::new(Access::Open, unknown_path);
        let document = Entry::new(Access::Open, document);
        mount
            .also(Verb::Get, "/insightservices/openapi.json", (Guard::Public, "insight_openapi"), document)
            .also(Verb::Any, "/insightservices/{*rest}", (Guard::Public, "insight_nothing"), unknown.clone())
            .also(Verb::Any, "/api/authentication/{*rest}", (Guard::Public, "insight_nothing"), unknown)
            .finish(self.clone())
    }
}

/// Puts the handler of one operation in place.
fn serve(mount: Mount<Insight>, operation: &'static Operation) -> Mount<Insight> {
    use Access::{Bearer, Caller, Open, Session};
    macro_rules! at {
        ($access:expr, $handler:expr) => {
            mount.serve(operation, Entry::new($access, $handler))
        };
    }
    match operation.name {
        "insight_current_user" => at!(Caller, people::current_user),
        "insight_credentials" => at!(Caller, credentials::info),
        "insight_generate" => at!(Session, credentials::generate),
        "insight_revoke" => at!(Session, credentials::revoke),
        "insight_token" => at!(Open, tokens::mint),
        "insight_user" => at!(Bearer, tokens::details),
        "insight_later_token" => at!(Open, tokens::mint_later),
        "insight_later_token_details" => at!(Bearer, tokens::details_later),
        "insight_later_current_user" => at!(Caller, people::current_user_later),
        "insight_login" => at!(Open, sign_in::login),
        "insight_logout" => at!(Session, sign_in::logout),
        // An operation without a handler is found by `Mount::finish`.
        _ => mount,
    }
}

async fn unknown_path(_: Call) -> Answer {
    Err(Failure::NoPath)
}

async fn document(_: Call) -> Answer {
    Reply::json(JSON, &crate::openapi::document(&DIALECT))
}
