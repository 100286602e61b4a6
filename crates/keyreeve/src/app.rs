//! The server as one value: configuration, store, rooms, doors.

use crate::config::{Config, PublicUrl};
use crate::jobs::Jobs;
use crate::traces::Continued;
use crate::{Error, compat, data_dir, doors, mailing, master_key, ops};
use keyreeve_base::World;
use keyreeve_compat::{Compat, Ground};
use keyreeve_crypto::password::{HashPolicy, PoolSize};
use keyreeve_crypto::seal::MasterKey;
use keyreeve_events::Events;
use keyreeve_fetch::{FetchOptions, Fetcher};
use keyreeve_http::front::{Front, Fronted};
use keyreeve_http::origin::TrustedProxies;
use keyreeve_http::route::{RouteSpec, Routes};
use keyreeve_identity::{Identity, IdentityOptions, MasterSource};
use keyreeve_mail::Mailer;
use keyreeve_secrets::{Secrets, SecretsOptions};
use keyreeve_sharing::{Sharing, SharingOptions};
use keyreeve_store::{Location, Migration, Options, Store};
use keyreeve_tokens::{Tokens, TokensOptions};
use keyreeve_transfer::Transfer;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// An opened server. Cheap to clone; two of them can run in one process.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// What an [`App`] holds.
pub struct Inner {
    /// The configuration.
    pub config: Arc<Config>,
    /// Where people reach the server.
    pub public_url: PublicUrl,
    /// Time and randomness.
    pub world: World,
    /// The database.
    pub store: Store,
    /// Tenants, users, sessions, admission.
    pub identity: Identity,
    /// Clients, grants, tokens, signing keys.
    pub tokens: Tokens,
    /// Resources, grants, and who may do what.
    pub sharing: Sharing,
    /// What is kept sealed.
    pub secrets: Secrets,
    /// Imports and exports.
    pub transfer: Transfer,
    /// The client for requests that leave the server.
    pub fetcher: Fetcher,
    /// Hands mail over; none where no way to send it is set.
    pub mailer: Option<Mailer>,
    /// Webhooks and streams of the audit log.
    pub events: Events,
    /// The interfaces of other systems.
    pub compat: Compat,
    proxies: TrustedProxies,
    metrics: Option<PrometheusHandle>,
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// What opening may do to an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Serve: create what is missing, bring the tables up to date.
    Serve,
    /// Run one command on an installation that exists.
    Command,
    /// Look only, also beside a running server.
    Inspect,
}

/// Every table of every room, in the order in which they are made.
#[must_use]
pub fn migrations() -> Vec<Migration> {
    let mut all = [
        keyreeve_audit::MIGRATIONS,
        keyreeve_identity::MIGRATIONS,
        keyreeve_tokens::MIGRATIONS,
        keyreeve_transfer::MIGRATIONS,
        keyreeve_events::MIGRATIONS,
        keyreeve_sharing::MIGRATIONS,
        keyreeve_secrets::MIGRATIONS,
    ]
    .concat();
    all.extend(keyreeve_compat::migrations());
    all
}

impl App {
    /// Opens an installation to serve it, creating it where there is none.
    ///
    /// # Errors
    /// What stands in the way, with the remedy.
    pub async fn open(config: Config, world: World) -> Result<Self, Error> {
        Self::open_for(Purpose::Serve, config, world, None).await
    }

    /// Opens an installation for this purpose. `metrics` is what `/metrics` prints; a process has one recorder, so
    /// whoever installed it hands it over.
    ///
    /// # Errors
    /// What stands in the way, with the remedy.
    pub async fn open_for(
        purpose: Purpose,
        config: impl Into<Arc<Config>>,
        world: World,
        metrics: Option<PrometheusHandle>,
    ) -> Result<Self, Error> {
        Self::open_with(purpose, config, world, metrics, None).await
    }

    /// The same with a master key that came in shares.
    ///
    /// # Errors
    /// What stands in the way, with the remedy.
    pub async fn open_with(
        purpose: Purpose,
        config: impl Into<Arc<Config>>,
        world: World,
        metrics: Option<PrometheusHandle>,
        joined: Option<&MasterKey>,
    ) -> Result<Self, Error> {
        let config = config.into();
        let public_url = config.public_url(config.listen).map_err(Error::Setup)?;
        let proxies = trusted_proxies(&config)?;
        let fetcher = fetcher(&config)?;
        let mailer = mailing::mailer(&config, &public_url, &world, &fetcher)?;
        if purpose == Purpose::Serve {
            data_dir::create(&config.data_dir).map_err(Error::Setup)?;
            if let Some(mode) = data_dir::too_open(&config.data_dir) {
                let dir = config.data_dir.display();
                tracing::warn!(data_dir = %dir, mode, "the data directory is open to others; chmod 700 closes it");
            }
        } else {
            check_exists(&config)?;
        }
        let store = Store::open(store_options(&config, purpose), world.clone(), &migrations()).await?;
        // After the store: its lock keeps a second process from making a second key.
        let (keyring, created) = match (joined, purpose) {
            (Some(key), _) => (master_key::ring_of(&config, key.duplicate())?, None),
            (None, Purpose::Serve) => master_key::load_or_create(&config, &world)?,
            (None, Purpose::Command | Purpose::Inspect) => (master_key::load(&config)?, None),
        };
        let identity =
            Identity::new(store.clone(), world.clone(), keyring, &identity_options(&config, &public_url))
                .map_err(|error| Error::Setup(format!("the password hashing that is configured: {error}")))?;
        if let Err(error) = identity.tenants().check_master_key().await {
            if let Some(path) = created {
                // A key that was made a moment ago opens nothing: the right one got lost, or was not mounted.
                drop(std::fs::remove_file(&path));
                return Err(Error::MasterKey(format!(
                    "the database is already in use, but there is no master key at {}; put the one that belongs to it there",
                    path.display()
                )));
            }
            return Err(error.into());
        }
        let tokens = Tokens::new(
            store.clone(),
            world.clone(),
            identity.clone(),
            &TokensOptions {
                public_url: public_url.url().clone(),
                token_path: doors::TOKEN_PATH.to_owned(),
                device_path: doors::DEVICE_PATH.to_owned(),
                fetcher: Some(fetcher.clone()),
                pushed_path: doors::PUSHED_PATH.to_owned(),
            },
        );
        let sharing = Sharing::new(store.clone(), world.clone(), identity.clone(), &sharing_options(&config));
        let options = SecretsOptions {
            max_value_bytes: usize::try_from(config.secret_max_kib)
                .unwrap_or(usize::MAX)
                .saturating_mul(1_024),
            public_url: Some(public_url.url().clone()),
            fetcher: Some(fetcher.clone()),
            ..SecretsOptions::default()
        };
        let rooms = (identity.clone(), sharing.clone());
        let secrets = Secrets::new(store.clone(), world.clone(), rooms, &options);
        let transfer = Transfer::new(store.clone(), world.clone(), identity.clone(), tokens.clone());
        let ground = Ground {
            store: store.clone(),
            world: world.clone(),
            identity: identity.clone(),
            mailer: mailer.clone(),
            fetcher: fetcher.clone(),
            public_url: public_url.to_string(),
        };
        let compat = Compat::new(&ground, compat::settings(&config)?);
        let events = Events::new(store.clone(), world.clone(), identity.clone(), fetcher.clone());
        Ok(Self(Arc::new(Inner {
            config,
            public_url,
            world,
            store,
            identity,
            sharing,
            secrets,
            transfer,
            tokens,
            fetcher,
            mailer,
            events,
            compat,
            proxies,
            metrics,
        })))
    }

    /// What `/metrics` prints, when this process records metrics.
    #[must_use]
    pub fn metrics(&self) -> Option<&PrometheusHandle> {
        self.0.metrics.as_ref()
    }

    fn routes(&self) -> Routes {
        ops::routes(self).merge(doors::routes(self))
    }

    /// Every route of our own doors on the public listener, for the tests that try each of them.
    #[must_use]
    pub fn route_specs(&self) -> Vec<RouteSpec> {
        self.routes().specs().to_vec()
    }

    /// Every route there of the interfaces of other systems, which have rules of their own.
    #[must_use]
    pub fn compat_specs(&self) -> Vec<RouteSpec> {
        self.compat.routes().specs().to_vec()
    }

    /// These routes, measured and within the front.
    fn fronted(&self, routes: Routes) -> Fronted {
        let front = Front::new(&self.world, self.public_url.url(), self.0.proxies.clone())
            .streams(keyreeve_api::streams, keyreeve_api::MAX_IMPORT_BYTES)
            .understanding(keyreeve_kv::understand)
            .traced(Continued::of(&self.config));
        let routes = metrics::with_recorder(|recorder| routes.measured(recorder));
        front.wrap(routes.into_router())
    }

    /// The router of the public listener: every door, health and metrics, within the front.
    #[must_use]
    pub fn router(&self) -> Fronted {
        self.fronted(self.routes().merge(self.compat.routes()))
    }

    /// Serves on `listener` until `shutdown` is ready; then finishes the open requests and the jobs.
    ///
    /// # Errors
    /// [`Error::Io`] when the listener of metrics cannot be bound.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        self.serve_and_say(listener, shutdown, || {}).await
    }

    /// The same; calls `ready` when everything listens, and nothing can keep the server from serving any more.
    ///
    /// # Errors
    /// As [`App::serve`].
    pub async fn serve_and_say(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
        ready: impl FnOnce(),
    ) -> Result<(), Error> {
        let router = self.router();
        let (stop, stopped) = watch::channel(false);
        let wait = |mut stopped: watch::Receiver<bool>| async move {
            // The sender lives until the end of this function.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        let metrics = match self.config.metrics_listen {
            Some(address) => {
                let failed =
                    |source| Error::Io { what: "the address of metrics_listen cannot be bound", source };
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                let router = ops::metrics_routes(&self).into_router();
                Some(tokio::spawn(keyreeve_http::serve::serve(listener, router, wait(stopped.clone()))))
            }
            None => None,
        };
        let mut alone = Vec::new();
        for (dialect, address, routes) in self.compat.listeners() {
            let what = "the address of a dialect (compat_…_listen) cannot be bound";
            let failed = |source| Error::Io { what, source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            tracing::info!(dialect = dialect.name, listen = %address, "serving a dialect alone");
            let serving = keyreeve_http::serve::serve(listener, self.fronted(routes), wait(stopped.clone()));
            alone.push(tokio::spawn(serving));
        }
        #[cfg(unix)]
        let control = self.control(wait(stopped.clone()));
        let jobs = Jobs::start(&self);
        let events = self.events.clone();
        let shutdown = async move {
            shutdown.await;
            // They would otherwise be waited for as open requests.
            events.end_streams();
        };
        ready();
        keyreeve_http::serve::serve(listener, router, shutdown).await;
        stop.send_replace(true);
        jobs.stop().await;
        self.events.stop().await;
        #[cfg(unix)]
        if let Some(control) = control {
            let _ = control.await;
        }
        for serving in metrics.into_iter().chain(alone) {
            let _ = serving.await;
        }
        Ok(())
    }

    /// Takes commands through the data directory's socket, where this process alone has the database.
    #[cfg(unix)]
    fn control(
        &self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Option<tokio::task::JoinHandle<()>> {
        use crate::cli::remote::Control;
        if self.store.engine() != keyreeve_store::Engine::Sqlite {
            return None;
        }
        match Control::listen(&self.config.data_dir) {
            Ok(control) => Some(tokio::spawn(control.serve(self.clone(), stop))),
            Err(error) => {
                let dir = self.config.data_dir.display();
                tracing::warn!(%error, data_dir = %dir, "commands that change something must wait until this server stops");
                None
            }
        }
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "App({}, {})", self.public_url, self.store.engine())
    }
}

/// Where the database of this configuration is.
#[must_use]
pub fn location(config: &Config) -> Location {
    match &config.database_url {
        Some(url) => Location::Postgres(url.expose().to_owned()),
        None => Location::SqliteFile(data_dir::database(&config.data_dir)),
    }
}

fn store_options(config: &Config, purpose: Purpose) -> Options {
    let location = location(config);
    // A command never brings the tables of a cluster up to date under its running nodes.
    let exclusive = match purpose {
        Purpose::Serve => true,
        Purpose::Command => matches!(location, Location::SqliteFile(_)),
        Purpose::Inspect => false,
    };
    let mut options = Options { exclusive, ..Options::new(location) };
    if let Some(connections) = config.database_connections {
        (options.read_connections, options.write_connections) = match config.database_url {
            Some(_) => (connections.div_ceil(4), connections),
            None => (connections, 1),
        };
    }
    options
}

fn trusted_proxies(config: &Config) -> Result<TrustedProxies, Error> {
    let networks: Vec<String> = config.trusted_proxies.iter().map(ToString::to_string).collect();
    TrustedProxies::parse(&networks, config.forwarded_by).map_err(|error| Error::Setup(error.to_string()))
}

fn fetcher(config: &Config) -> Result<Fetcher, Error> {
    let mut options = FetchOptions {
        allow_private: config.allow_private_fetch,
        authorities: config.fetch_authorities_file.clone(),
        ..FetchOptions::default()
    };
    if let Some(resolver) = &config.resolver {
        options.resolver = resolver.clone();
    }
    Fetcher::new(options).map_err(|error| Error::Setup(format!("fetch_authorities_file: {error}")))
}

fn identity_options(config: &Arc<Config>, public_url: &PublicUrl) -> IdentityOptions {
    let hashing = &config.hashing;
    let policy = HashPolicy {
        memory_kib: hashing.memory_kib,
        iterations: hashing.iterations,
        parallelism: hashing.parallelism,
    };
    let usual = PoolSize::default();
    let hash_pool = match hashing.workers {
        // As many may wait for each worker as usual.
        Some(workers) => {
            PoolSize { workers, queue: workers.saturating_mul(usual.queue / usual.workers.max(1)) }
        }
        None => usual,
    };
    let (mail, source) = (mailing::links(config, public_url), config.clone());
    let master_source = MasterSource::new(move || {
        let source = Arc::clone(&source);
        async move {
            // A helper of a key management service may take its time.
            let read = tokio::task::spawn_blocking(move || master_key::load(&source)).await.ok()?;
            read.inspect_err(|error| {
                tracing::warn!(%error, "the master key was changed elsewhere, and cannot be read anew");
            })
            .ok()
        }
    });
    IdentityOptions { hash_policy: policy, hash_pool, mail, master_source }
}

fn sharing_options(config: &Config) -> SharingOptions {
    SharingOptions {
        max_depth: u16::try_from(config.sharing_max_depth).unwrap_or(u16::MAX),
        cache_bytes: u64::from(config.sharing_cache_mib) << 20,
    }
}

fn check_exists(config: &Config) -> Result<(), Error> {
    let database = data_dir::database(&config.data_dir);
    if config.database_url.is_none() && !database.exists() {
        return Err(Error::NotSetUp(format!(
            "there is no installation in {}; `keyreeve serve` or `keyreeve init` creates one, --data-dir names another",
            config.data_dir.display()
        )));
    }
    Ok(())
}
