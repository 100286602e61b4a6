//! The running server, and a tenant of it as it is reached from outside.

use crate::browser::Browser;
use crate::build::{ClientBuilder, TenantBuilder, UserBuilder};
use crate::call::{Call, Http};
use crate::flow::CodeFlow;
use crate::{Answer, TestClient};
use keyreeve::App;
use keyreeve::config::{Config, Inputs};
use keyreeve::first_start::FirstStart;
use keyreeve_audit::{Entry, Verdict};
use keyreeve_base::{TenantId, Timestamp, World};
use keyreeve_identity::{Identity, Tenant};
use keyreeve_store::{Engine, Location, Store, Tx};
use keyreeve_testkit::{Database, TestClock, block_on, test_world};
use keyreeve_tokens::Tokens;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

/// A server in the making.
pub struct Setup {
    engine: Engine,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// A server with the settings of every test: cheap password hashes, few connections.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        let environment = [
            ("KEYREEVE_HASH_MEMORY_KIB", "8192"),
            ("KEYREEVE_HASH_ITERATIONS", "1"),
            ("KEYREEVE_HASH_WORKERS", "2"),
            ("KEYREEVE_DATABASE_CONNECTIONS", "6"),
            ("KEYREEVE_ADMIN_PASSWORD", crate::PASSWORD),
            // Nobody who walks all routes runs into it.
            ("KEYREEVE_API_RATE_LIMIT", "1000000"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { engine, environment }
    }

    /// With this setting, by the name of its environment variable.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self = self.unset(name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without this setting, by the name of its environment variable.
    #[must_use]
    pub fn unset(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// Reached under this URL, as far as the server knows. Requests go to the listener all the same.
    #[must_use]
    pub fn public_url(self, url: &str) -> Self {
        self.set("KEYREEVE_PUBLIC_URL", url)
    }

    /// Starts it.
    pub async fn start(mut self) -> Server {
        let data = tempfile::tempdir().expect("a directory");
        let database = match self.engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Database::postgres_migrated(&keyreeve::migrations()).await),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        self = self.set("KEYREEVE_DATA_DIR", &data.path().display().to_string());
        self = self.set("KEYREEVE_LISTEN", &address.to_string());
        if let Some(Location::Postgres(url)) = database.as_ref().map(Database::location) {
            self = self.set("KEYREEVE_DATABASE_URL", &url);
        }
        let inputs = Inputs { environment: self.environment, ..Inputs::default() };
        let config = Config::load(inputs).unwrap_or_else(|error| panic!("the configuration: {error}"));
        let (world, clock) = test_world();
        let app = match App::open(config, world.clone()).await {
            Ok(app) => app,
            Err(error) => panic!("the server cannot be opened: {}", keyreeve::chain(&error)),
        };
        let first_start = match app.first_start().await {
            Ok(made) => made.expect("a new installation"),
            Err(error) => panic!("the first start failed: {}", keyreeve::chain(&error)),
        };
        let tenant = app.identity.tenants().by_slug("default").await.expect("an answer").expect("a tenant");
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(app.clone().serve(listener, async { drop(stopped.await) }));
        let http = Http::new(address, app.tokens.base_url());
        let inner =
            Arc::new(Inner { app, world, clock, http, address, allow_failures: AtomicBool::new(false) });
        let main = Mount { server: inner, tenant, prefix: String::new() };
        let running = Mutex::new(Some((stop, serving)));
        Server { main, first_start, running, _data: data, _database: database }
    }
}

/// What a server's mounts and browsers share.
pub(crate) struct Inner {
    app: App,
    world: World,
    clock: Arc<TestClock>,
    http: Http,
    address: SocketAddr,
    allow_failures: AtomicBool,
}

type Serving = JoinHandle<Result<(), keyreeve::Error>>;

/// A running server. It stands for its default tenant as well: `server.user("ada")` is a user there.
///
/// End it with [`Server::finish`]; the macro [`crate::on_a_server`] does.
pub struct Server {
    main: Mount,
    /// What the first start made, as it is told once.
    pub first_start: FirstStart,
    running: Mutex<Option<(oneshot::Sender<()>, Serving)>>,
    _data: tempfile::TempDir,
    /// After the store, so that it outlives it.
    _database: Option<Database>,
}

impl Deref for Server {
    type Target = Mount;

    fn deref(&self) -> &Mount {
        &self.main
    }
}

impl Server {
    /// A new installation on a database of its own, serving on a free port.
    pub async fn start(engine: Engine) -> Self {
        Setup::new(engine).start().await
    }

    /// The server as a library.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.main.server.app
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.app().store
    }

    /// The clock and the randomness of the server.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.main.server.world
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &TestClock {
        &self.main.server.clock
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.main.server.address
    }

    /// A further tenant.
    pub fn tenant(&self, slug: &str) -> TenantBuilder<'_> {
        TenantBuilder::new(&self.main, slug)
    }

    /// The mount of a tenant, below `/t/SLUG`, as it is now.
    pub async fn mount(&self, slug: &str) -> Mount {
        let tenant = self.identity().tenants().by_slug(slug).await.expect("an answer").expect("a tenant");
        self.beside(tenant, slug)
    }

    /// Allows answers with a status of 500 and above in this test.
    pub fn expect_failures(&self) {
        self.main.server.allow_failures.store(true, Ordering::SeqCst);
    }

    /// Sends bytes as they are over a connection of their own, and answers what comes back until the server closes it
    /// or nothing has come for a second.
    pub async fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        crate::call::raw(self.address(), bytes).await
    }

    /// Ends the server, and checks what must hold after every test: it answered nothing with 5xx, the database is
    /// consistent, and the audit chain of each tenant is intact.
    ///
    /// # Panics
    /// When one of these does not hold.
    pub async fn finish(&self) {
        let Some((stop, serving)) = self.running.lock().await.take() else { return };
        drop(stop);
        serving.await.expect("the server ends").expect("the server ends well");
        let failures = self.main.server.http.failures();
        if !self.main.server.allow_failures.load(Ordering::SeqCst) {
            assert!(failures.is_empty(), "the server failed:\n{}", failures.join("\n"));
        }
        assert_eq!(self.store().integrity().await.expect("a check"), Vec::<String>::new());
        for tenant in self.identity().tenants().list(None, 500).await.expect("the tenants") {
            self.main.audit_of(tenant.id).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let finished = self.running.try_lock().is_ok_and(|running| running.is_none());
        assert!(finished || std::thread::panicking(), "a server must be ended with `finish`");
    }
}

/// Runs a test against a new server that may reach this machine, and ends it.
pub fn run_fetching(engine: Engine, test: impl AsyncFnOnce(&Server)) {
    block_on(async {
        let server = Setup::new(engine).set("KEYREEVE_ALLOW_PRIVATE_FETCH", "1").start().await;
        test(&server).await;
        server.finish().await;
    });
}

/// Runs a test against a new server, and ends it.
pub fn run(engine: Engine, test: impl AsyncFnOnce(&Server)) {
    block_on(async {
        let server = Server::start(engine).await;
        test(&server).await;
        server.finish().await;
    });
}

/// A tenant as it is reached from outside: the default one at the root, others below `/t/SLUG`. Cheap to clone.
#[derive(Clone)]
pub struct Mount {
    pub(crate) server: Arc<Inner>,
    tenant: Arc<Tenant>,
    prefix: String,
}

impl Mount {
    /// The tenant as it was when the mount was made.
    #[must_use]
    pub fn id(&self) -> TenantId {
        self.tenant.id
    }

    /// The tenant as it was when the mount was made.
    #[must_use]
    pub fn tenant_row(&self) -> &Tenant {
        &self.tenant
    }

    /// The identity room.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.server.app.identity
    }

    /// The tokens room.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.server.app.tokens
    }

    /// Another tenant of the same server.
    pub(crate) fn beside(&self, tenant: Arc<Tenant>, slug: &str) -> Self {
        Self { server: Arc::clone(&self.server), tenant, prefix: format!("/t/{slug}") }
    }

    /// Moves the server's clock forward by so many seconds.
    pub fn advance(&self, seconds: u64) {
        self.server.clock.advance(Duration::from_secs(seconds));
    }

    /// The moment that the server's clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.server.world.now()
    }

    pub(crate) fn new_uuid(&self) -> uuid::Uuid {
        self.server.world.new_uuid()
    }

    /// Empty, or `/t/SLUG`.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The issuer: the address below which the tenant's endpoints lie.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.tokens().issuer(&self.tenant)
    }

    /// A user to be made.
    pub fn user(&self, name: &str) -> UserBuilder<'_> {
        UserBuilder::new(self, name)
    }

    /// A client to be made.
    pub fn client(&self, client_id: &str) -> ClientBuilder<'_> {
        ClientBuilder::new(self, client_id)
    }

    /// A new browser, without cookies.
    #[must_use]
    pub fn browser(&self) -> Browser {
        Browser::new(self)
    }

    /// A GET of a path below this tenant, without cookies.
    pub fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    /// A POST to a path below this tenant, without cookies.
    pub fn post(&self, path: &str) -> Call {
        self.call("POST", path)
    }

    /// A request of any method. A path is one below this tenant; an absolute URL stays as it is.
    pub fn call(&self, method: &str, path: &str) -> Call {
        if path.contains("://") {
            return Call::new(&self.server.http, method, path);
        }
        let path = if path == "/" && !self.prefix.is_empty() { "" } else { path };
        Call::new(&self.server.http, method, &format!("{}{path}", self.prefix))
    }

    /// A POST by which `client` authenticates in its registered way.
    pub fn post_as(&self, client: &TestClient, path: &str, form: &[(&str, &str)]) -> Call {
        let form: Vec<_> = form.iter().copied().chain(client.in_body()).collect();
        let assertion = client.assertion(self);
        let assertion: Vec<_> = assertion.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let form: Vec<_> = form.into_iter().chain(assertion).collect();
        client.in_header(self.post(path).form(&form))
    }

    /// A token request of `client`.
    pub async fn token(&self, client: &TestClient, form: &[(&str, &str)]) -> Answer {
        self.post_as(client, "/token", form).send().await
    }

    /// What the userinfo endpoint says to the bearer of this token.
    pub async fn userinfo(&self, access_token: &str) -> Answer {
        self.get("/userinfo").bearer(access_token).send().await
    }

    /// Whether `asking` is told that this token is good.
    pub async fn is_active(&self, asking: &TestClient, token: &str) -> bool {
        let answer = self.post_as(asking, "/introspect", &[("token", token)]).send().await.expect(200);
        answer.json()["active"].as_bool().expect("active is a boolean")
    }

    /// The authorization code flow of a client.
    pub fn code_flow(&self, client: &TestClient) -> CodeFlow {
        CodeFlow::new(self, client)
    }

    /// The audit log of the tenant, oldest first, after its chain was found intact.
    pub async fn audit(&self) -> Vec<Entry> {
        self.audit_of(self.id()).await
    }

    /// The entries of one action.
    pub async fn audited(&self, action: &str) -> Vec<Entry> {
        self.audit().await.into_iter().filter(|entry| entry.action == action).collect()
    }

    /// The reasons of the refusals of one action, oldest first.
    pub async fn refusals(&self, action: &str) -> Vec<String> {
        self.audited(action).await.into_iter().filter_map(|entry| entry.reason).collect()
    }

    async fn audit_of(&self, tenant: TenantId) -> Vec<Entry> {
        let store = &self.server.app.store;
        loop {
            match store.write(async |tx: &mut Tx<'_>| keyreeve_audit::seal(tx).await).await {
                Ok(0) => break,
                // More to seal, or the background job is at it.
                Ok(_) | Err(keyreeve_store::Error::Conflict { .. }) => {}
                Err(error) => panic!("the audit log cannot be sealed: {error}"),
            }
        }
        let read = async move |tx: &mut Tx<'_>| {
            let report = keyreeve_audit::verify(tx, tenant, None).await?;
            assert_eq!(report.verdict, Verdict::Intact, "the audit chain of {tenant}");
            let mut entries: Vec<Entry> = Vec::new();
            loop {
                let after = entries.last().and_then(|entry| entry.seq).unwrap_or(0);
                let page = keyreeve_audit::list(tx, tenant, after, 1_000).await?;
                if page.is_empty() {
                    return Ok::<_, keyreeve_store::Error>(entries);
                }
                entries.extend(page);
            }
        };
        store.scan(read).await.expect("the audit log")
    }
}
