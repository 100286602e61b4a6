//! PostgreSQL: any number of nodes, a few connections each.
//!
//! A closure is shipped to one of a few executor threads, each with a runtime of its own, and runs there to its end,
//! whatever becomes of its caller. Reads of many callers share one connection and are pipelined on it; a write has a
//! connection for itself for as long as its transaction lasts.

mod connect;
mod errors;
mod executor;
mod follow;
mod session;

pub(crate) use session::{Session, column};

use crate::job::Job;
use crate::tx::Mode;
use crate::{Error, Ground, Options, Statement, Store, Tx, params, statements};
use connect::Target;
use executor::Executor;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long an announced change is kept. A node that was cut off for longer than half of it forgets everything.
const RETENTION: Duration = Duration::from_secs(3600);

/// A connection to another system's database, for reading alone.
pub(crate) async fn connect_elsewhere(url: &str) -> Result<tokio_postgres::Client, Error> {
    let fresh = connect::connect(&Target::parse(url)?, Mode::Scan, None).await?;
    Ok(fresh.spawn())
}

// Not among the `STATEMENTS` that both engines must take: these are PostgreSQL's own.
statements! {
    /// The database's clock, in microseconds.
    pub(crate) NOW = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";
    /// Forgets old changes.
    PRUNE = "DELETE FROM change \
        WHERE at < CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) - CAST($1 AS BIGINT)";
    /// Constraints and indexes that are declared and not in force.
    NOT_IN_FORCE = "SELECT 'the index ' || c.relname || ' is not valid' FROM pg_index i \
        JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = current_schema() AND NOT i.indisvalid \
        UNION ALL SELECT 'the constraint ' || c.conname || ' is not validated' FROM pg_constraint c \
        JOIN pg_namespace n ON n.oid = c.connamespace WHERE n.nspname = current_schema() AND NOT c.convalidated";
}

/// All of PostgreSQL's own.
pub(crate) fn statements() -> Vec<&'static Statement> {
    [STATEMENTS, executor::STATEMENTS, follow::STATEMENTS].concat()
}

/// An open PostgreSQL database.
pub(crate) struct Postgres {
    executors: Vec<Executor>,
    next: AtomicUsize,
    load: Arc<Load>,
    target: Arc<Target>,
    ground: Ground,
    /// Where executors tell the follower of their commits; its receiving end until the follower starts.
    news: mpsc::UnboundedSender<follow::News>,
    inbox: std::sync::Mutex<Option<mpsc::UnboundedReceiver<follow::News>>>,
}

/// How many closures wait or run, and how many may.
struct Load {
    now: AtomicUsize,
    limit: usize,
}

impl Postgres {
    #[allow(clippy::unused_async, reason = "the first connection is made by the first closure")]
    pub(crate) async fn open(url: &str, options: &Options, ground: &Ground) -> Result<Self, Error> {
        let target = Arc::new(Target::parse(url)?);
        let (news, inbox) = mpsc::unbounded_channel();
        let count = options.read_connections.max(1);
        let executors = (0..count)
            .map(|number| {
                let share = |total: usize| total.div_ceil(count).max(1);
                let sizes = executor::Sizes {
                    writers: share(options.write_connections),
                    scanners: share(options.scan_connections),
                };
                Executor::start(number, target.clone(), sizes, ground.clone(), news.clone())
            })
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(Self {
            executors,
            next: AtomicUsize::new(0),
            load: Arc::new(Load { now: AtomicUsize::new(0), limit: options.queue_length.max(1) }),
            target,
            ground: ground.clone(),
            news,
            inbox: std::sync::Mutex::new(Some(inbox)),
        })
    }

    /// Starts to listen for what other nodes change; returns when this node is up to date.
    pub(crate) async fn follow(&self) -> Result<(), Error> {
        let inbox = self.inbox.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(inbox) = inbox else { return Ok(()) };
        let (ready, is_ready) = oneshot::channel();
        follow::start(self.target.clone(), self.ground.clone(), inbox, ready)?;
        is_ready.await.map_err(|_| Error::internal("the follower of the change feed has stopped"))?
    }

    /// Hands a closure to an executor.
    pub(crate) fn submit(&self, mode: Mode, job: Box<dyn Job>) -> Result<(), Error> {
        let place = self.enter()?;
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.executors.len().max(1);
        let executor = self.executors.get(index).ok_or_else(|| Error::internal("no executor"))?;
        executor.submit(mode, job, place)
    }

    fn enter(&self) -> Result<Place, Error> {
        let before = self.load.now.fetch_add(1, Ordering::Relaxed);
        let place = Place { load: self.load.clone(), ground: self.ground.clone() };
        place.report(before + 1);
        if before >= self.load.limit {
            self.ground.meter.refused.increment(1);
            return Err(Error::unavailable("too many transactions are waiting"));
        }
        Ok(place)
    }

    pub(crate) async fn prepare(&self, statement: &'static Statement) -> Result<(), Error> {
        let session = connect::connect(&self.target, Mode::Read, None).await?;
        let session = Session::new(session.spawn());
        session.prepare(statement).await.map(drop).map_err(|failure| failure.error)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Executors may finish what they have; the follower has nobody left to follow for.
        drop(self.news.send(follow::News::Stop));
    }
}

/// A place among those that wait or run, given back when dropped.
struct Place {
    load: Arc<Load>,
    ground: Ground,
}

impl Place {
    fn report(&self, now: usize) {
        #[allow(clippy::cast_precision_loss, reason = "a gauge")]
        self.ground.meter.queue_length.set(now as f64);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let before = self.load.now.fetch_sub(1, Ordering::Relaxed);
        self.report(before.saturating_sub(1));
    }
}

pub(crate) async fn prune_changes(store: &Store) -> Result<u64, Error> {
    let keep = i64::try_from(RETENTION.as_micros()).unwrap_or(i64::MAX);
    store.write(async move |tx: &mut Tx<'_>| tx.execute(&PRUNE, &params![keep]).await).await
}

pub(crate) async fn integrity(store: &Store) -> Result<Vec<String>, Error> {
    store.scan(async |tx: &mut Tx<'_>| tx.query(&NOT_IN_FORCE, &[], |row| row.get(0)).await).await
}
