//! One SQL text on two engines: SQLite and PostgreSQL.
//!
//! A room writes its statements once ([`statements!`]), in the subset that both engines understand, and runs them in
//! closures: [`Store::read`], [`Store::write`], [`Store::scan`]. What differs between the engines has a name and lives
//! here: the type words of DDL (`{uuid}`, `{time}`, …), how values are bound and read, which error is which, how a
//! transaction is committed and repeated, how one node hears what another has changed.
//!
//! ```
//! use keyreeve_store::{Error, Store, Tx, params, statements};
//!
//! statements! {
//!     /// Gives a user another name.
//!     pub(crate) RENAME = "UPDATE app_user SET name = $2 WHERE id = $1";
//! }
//!
//! async fn rename(store: &Store, id: uuid::Uuid, name: String) -> Result<bool, Error> {
//!     store
//!         .write(async move |tx: &mut Tx<'_>| {
//!             let rows = tx.execute(&RENAME, &params![id, &name]).await?;
//!             if rows == 1 {
//!                 tx.changed(None, "user", &id.to_string()).await?;
//!             }
//!             Ok(rows == 1)
//!         })
//!         .await
//! }
//!
//! // A handler's future must be `Send`.
//! fn is_send<T: Send>(_: &T) {}
//! fn handler(store: &Store) { is_send(&rename(store, uuid::Uuid::nil(), String::new())); }
//! # fn main() {}
//! ```
//!
//! The closure's error type is whatever the function returns, as long as it is `From<Error>`; where nothing else fixes
//! it, say so: `async move |tx: &mut Tx<'_>| -> Result<(), Error> { … }`.
//!
//! # The rules for closures
//! - Await nothing but `tx` (and, in a scan, an [`Outlet`]): on SQLite the closure runs to its end on the thread that has the connection.
//! - Have no side effect but the transaction: on PostgreSQL a write is run again when another was in its way.
//! - The transaction ends with the first statement that fails (see [`Tx`]).
//! - A write is `READ COMMITTED` on PostgreSQL: each statement sees what others have committed before it. So a rule is
//!   held by one conditional statement (`UPDATE … WHERE used_at IS NULL`, then look at the number of rows) or by a
//!   unique index, never by a SELECT and a later write; where a SELECT must hold, end it with `{for_update}`,
//!   or with `{for_share}` where others may rely on the same row.
//!
//! # The portable subset
//! `$1` parameters; `RETURNING`; `ON CONFLICT`; recursive CTEs; row values; `UPDATE … FROM`; `IS [NOT] DISTINCT FROM`;
//! partial unique indexes. Say `NULLS FIRST` or `LAST` where it matters; `CAST(SUM(x) AS BIGINT)`, since PostgreSQL
//! answers a `numeric`; `CAST($1 AS TEXT)` where nothing else tells a parameter's type. Name unique indexes
//! (`CREATE UNIQUE INDEX name ON …`): [`Error::Conflict`] bears that name on both engines. `LIKE` minds case on both.
//!
//! # What it is not
//! It knows no table but its own (`schema_migration`, `schema_lease`, `change`), and holds no rule of any room. It is no query builder and no ORM.
//!
//! # How to add to it
//! A new type of value: `value`. A new word for a difference between the engines: `sql::WORDS`. A new operation:
//! implement it in `sqlite` and in `postgres`, and test it in `tests/` through `on_both_engines!`.

mod cache;
mod change;
mod error;
pub mod foreign;
mod job;
mod meter;
mod migrate;
mod options;
mod outlet;
mod postgres;
mod sql;
mod sqlite;
mod tx;
mod value;

pub use cache::{Cache, STALENESS, Watch};
pub use change::{Change, OnChange};
pub use error::{Cause, Error};
pub use migrate::Migration;
pub use options::{Engine, Location, Options};
pub use outlet::Outlet;
pub use sql::{Statement, count_statements, joined_statements};
pub use tx::Tx;
pub use value::{FromColumn, Param, Row, ToParam, Value};

use change::Feed;
use job::{Job, job};
use keyreeve_base::World;
use meter::Meter;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::Instrument as _;
use tx::Mode;

/// A database of either engine. Cheap to clone; the last clone closes it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Backend,
    world: World,
    feed: Arc<Feed>,
    meter: Arc<Meter>,
}

enum Backend {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

/// What both engines need to work.
#[derive(Clone)]
pub(crate) struct Ground {
    world: World,
    feed: Arc<Feed>,
    meter: Arc<Meter>,
}

/// The span of one transaction in a trace. It bears the place in the room that asked for it, which names the use case; the
/// statements and their parameters it does not.
macro_rules! span {
    ($name:literal) => {{
        let caller = std::panic::Location::caller();
        tracing::debug_span!(
            $name,
            otel.kind = "client",
            code.file.path = caller.file(),
            code.line.number = caller.line()
        )
    }};
}

/// The store's own statements for this engine, for the test that prepares every statement of the server.
#[must_use]
pub fn own_statements(engine: Engine) -> Vec<&'static Statement> {
    let own = match engine {
        Engine::Sqlite => Vec::new(),
        Engine::Postgres => postgres::statements(),
    };
    [migrate::STATEMENTS.to_vec(), own].concat()
}

#[allow(
    clippy::manual_async_fn,
    reason = "the signature promises `Send`, so that a closure that breaks it is named"
)]
impl Store {
    /// Opens the database and applies the migrations that it lacks, in the order given, each once, on whichever node
    /// comes first.
    ///
    /// # Errors
    /// [`Error::NewerSchema`] and [`Error::ChangedMigration`] when the database is not one that this software may touch;
    /// [`Error::OlderSchema`] when it was opened without the right to migrate it; [`Error::InUse`] when another process
    /// has it; else those of the engine.
    pub async fn open(options: Options, world: World, migrations: &[Migration]) -> Result<Self, Error> {
        let engine = options.engine();
        let ground = Ground {
            world,
            feed: Arc::new(Feed::new(engine == Engine::Sqlite)),
            meter: Arc::new(Meter::new()),
        };
        let exclusive = options.exclusive;
        let backend = match &options.location {
            Location::SqliteFile(path) => Backend::Sqlite(sqlite::Sqlite::open(path, &options, &ground)?),
            Location::Postgres(url) => {
                Backend::Postgres(postgres::Postgres::open(url, &options, &ground).await?)
            }
        };
        let store = Self {
            inner: Arc::new(Inner {
                backend,
                world: ground.world.clone(),
                feed: ground.feed.clone(),
                meter: ground.meter.clone(),
            }),
        };
        if exclusive {
            migrate::run(&store, &ground.world, migrations).await?;
        } else {
            migrate::verify(&store, migrations).await?;
        }
        if let Backend::Postgres(postgres) = &store.inner.backend {
            postgres.follow().await?;
        }
        Ok(store)
    }

    /// Which engine holds the data.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self.inner.backend {
            Backend::Sqlite(_) => Engine::Sqlite,
            Backend::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs reads. Each statement sees the latest committed state by itself; they are not one snapshot. On SQLite it
    /// runs inline on the calling thread, so it must be short: look-ups by index, pages of bounded size.
    ///
    /// # Errors
    /// Those of `f`, and those of the engine as `E`.
    #[track_caller]
    pub fn read<T, E, F>(&self, f: F) -> impl Future<Output = Result<T, E>> + Send + use<'_, T, E, F>
    where
        F: AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let span = span!("store.read");
        async move {
            let began = self.inner.meter.read_begins();
            let answer = match &self.inner.backend {
                Backend::Sqlite(sqlite) => sqlite.read(&f),
                Backend::Postgres(_) => self.carried_out(Mode::Read, job(f)).await,
            };
            self.inner.meter.read_ends(began);
            answer
        }
        .instrument(span)
    }

    /// Runs a write transaction: committed, and on disk, if `f` answers `Ok`; undone if it answers `Err`. May run `f`
    /// more than once. If the caller stops waiting, the transaction still runs to its end.
    ///
    /// # Errors
    /// Those of `f`, and those of the engine as `E`; see [`Error::Ambiguous`].
    #[track_caller]
    pub fn write<T, E, F>(&self, f: F) -> impl Future<Output = Result<T, E>> + Send + use<'_, T, E, F>
    where
        F: AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let span = span!("store.write");
        self.carried_out(Mode::Write, job(f)).instrument(span)
    }

    /// Hands a job to the engine, and waits for its answer.
    async fn carried_out<T, E: From<Error>>(
        &self,
        mode: Mode,
        (job, answer): (Box<dyn Job>, oneshot::Receiver<Result<T, E>>),
    ) -> Result<T, E> {
        match &self.inner.backend {
            Backend::Sqlite(sqlite) => sqlite.write(job)?,
            Backend::Postgres(postgres) => postgres.submit(mode, job)?,
        }
        answer.await.map_err(|_| Error::unavailable("the store has stopped"))?
    }

    /// Runs long reads, off the threads that answer requests, on one consistent snapshot.
    ///
    /// # Errors
    /// Those of `f`, and those of the engine as `E`.
    #[track_caller]
    pub fn scan<T, E, F>(&self, f: F) -> impl Future<Output = Result<T, E>> + Send + use<'_, T, E, F>
    where
        F: AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let span = span!("store.scan");
        async move {
            match &self.inner.backend {
                Backend::Sqlite(sqlite) => sqlite.scan(f).await,
                Backend::Postgres(_) => self.carried_out(Mode::Scan, job(f)).await,
            }
        }
        .instrument(span)
    }

    /// Whether the database answers; for readiness checks.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn ping(&self) -> Result<(), Error> {
        if let Backend::Sqlite(sqlite) = &self.inner.backend {
            sqlite.writer_is_alive()?;
        }
        self.read(async |tx: &mut Tx<'_>| tx.scalar::<i64>(&migrate::PING, &[]).await).await.map(drop)
    }

    /// Calls `subscriber` for each change that is committed: on SQLite, and for this node's own writes on PostgreSQL,
    /// before the writer is answered; for other nodes' writes on PostgreSQL within about half a second of their
    /// commit. It runs on the store's own threads: it must be cheap, and not call the store.
    ///
    /// A subscriber that holds a [`Store`] keeps it open for ever; hold a `Weak` instead. [`Cache`] does this right.
    pub fn on_change(&self, subscriber: OnChange) {
        self.inner.feed.subscribe(subscriber);
    }

    /// Whether every change that anyone committed longer than `within` ago has been announced on this node. Always so
    /// on SQLite. Costs no lock.
    #[must_use]
    pub fn fresh(&self, within: Duration) -> bool {
        self.inner.feed.fresh(within)
    }

    /// A mark behind everything that was committed before this call, whoever committed it: microseconds by the database's
    /// clock. See [`Store::heard`].
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn mark(&self) -> Result<i64, Error> {
        match &self.inner.backend {
            Backend::Sqlite(_) => Ok(self.inner.feed.next_mark(self.inner.world.now().micros())),
            Backend::Postgres(_) => {
                self.read(async |tx: &mut Tx<'_>| tx.scalar::<i64>(&postgres::NOW, &[]).await).await
            }
        }
    }

    /// Whether everything before `mark` has been announced on this node. Costs no lock. On SQLite, where everything always
    /// has been: whether such a mark has been given out since the store was opened.
    #[must_use]
    pub fn heard(&self, mark: i64) -> bool {
        self.inner.feed.heard(mark)
    }

    /// Forgets announced changes that every node has long heard of; answers how many. For a background job.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn prune_changes(&self) -> Result<u64, Error> {
        match &self.inner.backend {
            // Announced in memory, never written.
            Backend::Sqlite(_) => Ok(0),
            Backend::Postgres(_) => postgres::prune_changes(self).await,
        }
    }

    /// Copies the SQLite database, as it is at this moment, into the new file `to`, while reads and writes go on.
    ///
    /// # Errors
    /// [`Error::Unsupported`] on PostgreSQL (use `pg_dump`) and when `to` exists; else those of the engine.
    pub async fn backup(&self, to: &Path) -> Result<(), Error> {
        match &self.inner.backend {
            Backend::Sqlite(sqlite) => sqlite.backup(to).await,
            Backend::Postgres(_) => Err(Error::unsupported(
                "the data is in PostgreSQL: back it up with pg_dump or its base backups",
            )),
        }
    }

    /// Looks for damage; answers a line for each finding, none if the database is sound. On SQLite it reads the whole
    /// file; on PostgreSQL, which checks itself, only that its constraints and indexes are in force.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn integrity(&self) -> Result<Vec<String>, Error> {
        match &self.inner.backend {
            Backend::Sqlite(sqlite) => sqlite.integrity().await,
            Backend::Postgres(_) => postgres::integrity(self).await,
        }
    }

    /// Lets the engine check a statement without running it. For the test that walks every `STATEMENTS`.
    ///
    /// # Errors
    /// What the engine has against it.
    pub async fn prepare(&self, statement: &'static Statement) -> Result<(), Error> {
        match &self.inner.backend {
            Backend::Sqlite(sqlite) => sqlite.prepare(statement),
            Backend::Postgres(postgres) => postgres.prepare(statement).await,
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.engine())
    }
}
