//! IMQS Auth: users, groups, permission numbers and session cookies of that server, over the rooms.
//!
//! | module | what |
//! |---|---|
//! | `operations` | the table of operations |
//! | `call` | what every request goes through: method, signature, credential, level, in the original's order |
//! | `sign_in` | passwords and sessions, all by admission; the delay after failures |
//! | `people`, `catalogue` | side rows of users and groups |
//! | `sessions`, `users`, `passwords`, `groups`, `lists`, `exchange`, `others` | the operations |
//! | `mail`, `notices` | what leaves the server |
//! | `fixture`, `import` | users and groups from a file, and from the original's database |
//!
//! The texts, statuses and orders of checks are the original's; where sources contradict each other, the choice is written
//! down in `docs/compatibility.md`. What is a rule for every door (lockout, second factors, who outranks whom) is not among
//! what is imitated: the rooms decide it here as everywhere.

mod call;
mod catalogue;
mod credential;
mod exchange;
mod failure;
mod fixture;
mod groups;
mod import;
mod lists;
mod mail;
mod notices;
mod operations;
mod options;
mod others;
mod passwords;
mod people;
mod reply;
mod schema;
mod sessions;
mod sign_in;
mod users;

pub use fixture::{Fixture, FixtureError};
pub use import::{ImportError, Imported};
pub use operations::DIALECT;
pub use options::Options;
pub use schema::{MIGRATIONS, STATEMENTS};

use crate::Ground;
use crate::mount::{Mount, Operation, Verb, Where};
use call::{Call, Entry as Handled, Level};
use catalogue::Entry;
use failure::Failure;
use keyreeve_base::{SessionId, TenantId, UserId, World};
use keyreeve_crypto::TokenDigest;
use keyreeve_http::rate::Limiter;
use keyreeve_http::route::{Guard, Routes};
use keyreeve_identity::Identity;
use keyreeve_store::{Cache, Store};
use people::Person;
use reply::{Answer, Reply};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{OnceCell, Semaphore};

/// How many side rows of users, and sessions, are kept in memory.
const REMEMBERED: usize = 10_000;
/// How many requests may wait out their delay at the same time.
const WAITING: usize = 2_000;
/// How many letters one account is sent a minute because somebody asks for them.
const LETTERS_PER_MINUTE: u32 = 6;

/// The dialect. Cheap to clone.
#[derive(Clone)]
pub struct Imqs(Arc<Inner>);

struct Inner {
    ground: Ground,
    slug: String,
    options: Options,
    people: Arc<Cache<UserId, Option<Arc<Person>>>>,
    catalogues: Arc<Cache<TenantId, Arc<[Entry]>>>,
    /// A representation belongs to one session for ever; whether that is live is asked each time.
    sessions: quick_cache::sync::Cache<(TenantId, TokenDigest), SessionId>,
    /// Whether the guaranteed groups are there.
    ready: OnceCell<()>,
    waiting: Semaphore,
    /// Letters that anybody may ask for, by account.
    letters: Limiter,
}

impl Imqs {
    /// The dialect for the tenant of this slug.
    #[must_use]
    pub fn new(ground: Ground, slug: String, options: Options) -> Self {
        let (people, catalogues) = (
            Cache::new(&ground.store, people::TOPIC, REMEMBERED),
            Cache::new(&ground.store, catalogue::TOPIC, 64),
        );
        let sessions = quick_cache::sync::Cache::new(REMEMBERED);
        let (ready, waiting) = (OnceCell::new(), Semaphore::new(WAITING));
        let letters = Limiter::new(ground.world.clone(), LETTERS_PER_MINUTE);
        Self(Arc::new(Inner { ground, slug, options, people, catalogues, sessions, ready, waiting, letters }))
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

    /// The tenant, which has to be there and active.
    async fn tenant(&self) -> Result<TenantId, Failure> {
        let tenant = self.identity().tenants().by_slug(&self.0.slug).await?;
        let active = tenant.filter(|tenant| tenant.is_active());
        active.map(|tenant| tenant.id).ok_or_else(|| Failure::Invalid("Connect failed".to_owned()))
    }

    /// The tenant with the groups that there always are.
    async fn ready_tenant(&self) -> Result<TenantId, Failure> {
        let tenant = self.tenant().await?;
        self.0.ready.get_or_try_init(|| self.guarantee(tenant)).await?;
        Ok(tenant)
    }

    /// The routes.
    #[must_use]
    pub fn routes(&self, at: Where) -> Routes {
        let mut mount = Mount::new(&DIALECT, at);
        let mut paths = BTreeSet::new();
        for operation in DIALECT.operations {
            mount = self.serve(mount, operation);
            if operation.verb != Verb::Any {
                paths.insert((operation.path, operation.verb));
            }
        }
        // The page that describes the original calls it so.
        mount = mount.also(
            Verb::Post,
            "/hello",
            (Guard::Public, "imqs_hello"),
            Handled::new(Verb::Post, Level::None, others::hello),
        );
        for (path, verb) in paths {
            let wrong = Handled::new(verb, Level::None, wrong_method);
            mount = mount.also(Verb::Any, path, (Guard::Public, "imqs_wrong_method"), wrong);
        }
        let unknown = Handled::new(Verb::Any, Level::None, unknown_path);
        let document = Handled::new(Verb::Get, Level::None, others::document);
        mount
            .also(Verb::Get, "/openapi.json", (Guard::Public, "imqs_openapi"), document)
            .also(Verb::Any, "/", (Guard::Public, "imqs_nothing"), unknown.clone())
            .also(Verb::Any, "/{*rest}", (Guard::Public, "imqs_nothing"), unknown)
            .finish(self.clone())
    }

    /// Puts the handler of one operation in place.
    fn serve(&self, mount: Mount<Self>, operation: &'static Operation) -> Mount<Self> {
        use Level::{Admin, None, Service, Token};
        macro_rules! at {
            ($level:expr, $handler:expr) => {
                mount.serve(operation, Handled::new(operation.verb, $level, $handler))
            };
        }
        match operation.path {
            "/hello" => at!(None, others::hello),
            "/ping" => at!(None, others::ping),
            "/login" => at!(None, sessions::login),
            "/logout" => at!(None, sessions::logout),
            "/login_yellowfin" => at!(Token, others::login_yellowfin),
            "/check" => at!(Token, sessions::check),
            "/create_user" => at!(Admin, users::create),
            "/update_user" => at!(Admin, users::update),
            "/archive_user" => at!(Admin, users::archive),
            "/create_group" => at!(Admin, groups::create),
            "/rename_user" => at!(Token, users::rename),
            "/set_group_roles" => at!(Admin, groups::set_roles),
            "/set_user_groups" => at!(Admin, groups::set_of_user),
            "/set_password" => at!(Token, passwords::set),
            "/reset_password_start" => at!(None, passwords::reset_start),
            "/reset_password_finish" => at!(None, passwords::reset_finish),
            "/users" => at!(Token, lists::users),
            "/userobjects" => at!(Admin, lists::user_objects),
            "/groups" => at!(None, lists::groups),
            "/hasactivedirectory" => at!(None, others::has_active_directory),
            "/hostname" => at!(None, others::hostname),
            "/unlock_user" => at!(Admin, users::unlock),
            "/update_group" => at!(Admin, groups::update),
            "/delete_group" => at!(Admin, groups::delete),
            "/update_password" => at!(None, passwords::update),
            "/check_password" => at!(None, passwords::check),
            "/userobject" => at!(Admin, lists::user_object),
            "/exportgroups" => at!(Admin, exchange::export),
            "/importgroups" => at!(Service, exchange::import),
            "/groups_perm_names" => at!(Admin, others::permission_names),
            "/dynamic_permissions" => at!(None, others::dynamic_permissions),
            "/oauth/providers" => at!(None, others::oauth_providers),
            "/oauth/start" => at!(None, others::oauth_start),
            "/oauth/finish" => at!(None, others::oauth_finish),
            "/msaad/approles" => at!(Admin, others::app_roles),
            // An operation without a handler is found by `Mount::finish`.
            _ => mount,
        }
    }
}

/// Every other method than the one of the path.
async fn wrong_method(call: Call) -> Answer {
    Err(Reply::text(400, format!("API must be accessed using an HTTP {} method", call.verb.text())))
}

async fn unknown_path(_: Call) -> Answer {
    Err(Reply::no_such_path())
}
