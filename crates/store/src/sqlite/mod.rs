//! SQLite: one file, one process, one writer thread, reads inline.

mod backup;
mod errors;
mod lock;
mod pool;
mod statement;
mod writer;

pub(crate) use statement::{column, each, execute, execute_each, query_each, script};

use crate::job::Job;
use crate::tx::Mode;
use crate::{Error, Ground, Options, Statement, Tx};
use errors::engine_error;
use futures_util::FutureExt;
use pool::Pool;
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use writer::Writer;

/// How long a connection waits for another process (the writer itself never competes within this one).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// What a closure must not do here.
const AWAITED: &str = "a store closure awaited something other than its transaction";
/// Prepared statements that each connection keeps.
const STATEMENT_CACHE: usize = 256;

/// An open SQLite database.
pub(crate) struct Sqlite {
    file: Arc<File>,
    readers: Pool,
    scanners: Arc<Scanners>,
    /// None when the file is only read.
    writer: Option<Writer>,
}

/// Where the database is, and how its connections are to be opened.
pub(crate) struct File {
    path: PathBuf,
}

struct Scanners {
    pool: Pool,
    turns: Arc<Semaphore>,
}

impl File {
    fn connect(&self, flags: OpenFlags) -> Result<Connection, Error> {
        let failed = |error| engine_error(None, &error);
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        for (setting, on) in [
            // As on PostgreSQL, "x" is a name and never a text.
            (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
            (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            // A plan that looks at the parameters' values is made anew, at several times the cost of running it,
            // whenever they change: at each run of a statement on a table with a partial index.
            (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
        ] {
            connection.set_db_config(setting, on).map_err(failed)?;
        }
        connection
            .execute_batch(
                "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA case_sensitive_like = ON;",
            )
            .map_err(failed)?;
        Ok(connection)
    }

    /// A connection for reads. Its page cache is small: it is dropped whenever another connection has written, and
    /// the operating system has the file's pages anyway.
    fn reader(&self) -> Result<Connection, Error> {
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection
            .execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -1024;")
            .map_err(|error| engine_error(None, &error))?;
        Ok(connection)
    }

    /// The one connection that writes.
    fn writer(&self) -> Result<Connection, Error> {
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let mode: String = connection
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
            .map_err(|error| engine_error(None, &error))?;
        if mode != "wal" {
            return Err(Error::unsupported(format!(
                "SQLite cannot use a write-ahead log for {} (journal mode `{mode}`): is it on a network file system?",
                self.path.display()
            )));
        }
        // The pages that an import's batch touches fit into the cache twice over, or they would be written once for want of
        // room and once more at the end. It is filled as it is used.
        connection
            .execute_batch(
                "PRAGMA synchronous = FULL; PRAGMA cache_size = -12288; PRAGMA wal_autocheckpoint = 2000; \
                 PRAGMA journal_size_limit = 33554432;",
            )
            .map_err(|error| engine_error(None, &error))?;
        Ok(connection)
    }
}

impl Sqlite {
    pub(crate) fn open(path: &Path, options: &Options, ground: &Ground) -> Result<Self, Error> {
        let file = Arc::new(File { path: path.to_owned() });
        let writer = if options.exclusive {
            let lock = lock::take(path)?;
            lock::create_private(path)?;
            Some(Writer::start(file.clone(), lock, options, ground.clone())?)
        } else if path.exists() {
            None
        } else {
            return Err(Error::unavailable(format!("there is no database at {}", path.display())));
        };
        Ok(Self {
            readers: Pool::new(file.clone(), options.read_connections),
            scanners: Arc::new(Scanners {
                pool: Pool::new(file.clone(), options.scan_connections),
                turns: Arc::new(Semaphore::new(options.scan_connections.max(1))),
            }),
            file,
            writer,
        })
    }

    pub(crate) fn read<T, E, F>(&self, f: &F) -> Result<T, E>
    where
        F: AsyncFn(&mut Tx<'_>) -> Result<T, E>,
        E: From<Error>,
    {
        let connection = self.readers.take()?;
        let mut tx = Tx::sqlite(&connection, Mode::Read);
        now(f(&mut tx))
    }

    /// Puts a transaction into the writer's queue; it answers when it is on disk.
    pub(crate) fn write(&self, job: Box<dyn Job>) -> Result<(), Error> {
        self.writer()?.submit(job)
    }

    fn writer(&self) -> Result<&Writer, Error> {
        self.writer.as_ref().ok_or_else(|| Error::unsupported("the database was opened only for reading"))
    }

    pub(crate) fn writer_is_alive(&self) -> Result<(), Error> {
        match &self.writer {
            Some(writer) if !writer.is_alive() => Err(Error::unavailable("the writer has stopped")),
            _ => Ok(()),
        }
    }

    pub(crate) async fn scan<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: AsyncFn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.aside(move |connection| {
            let mut tx = Tx::sqlite(connection, Mode::Scan);
            now(f(&mut tx))
        })
        .await
    }

    /// Runs `work` on a thread of its own, on a connection that sees one snapshot throughout.
    async fn aside<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let scanners = self.scanners.clone();
        let turn = scanners
            .turns
            .clone()
            .acquire_owned()
            .await
            .map_err(|error| Error::internal_from("no turn for a scan", error))?;
        let (reply, answer) = oneshot::channel();
        let run = move || {
            let _turn = turn;
            let done = scanners.pool.take().map_err(E::from).and_then(|connection| {
                snapshot(&connection, "BEGIN").map_err(E::from)?;
                let done = work(&connection);
                let ended = snapshot(&connection, "ROLLBACK");
                let value = done?;
                ended.map_err(E::from)?;
                Ok(value)
            });
            // Nobody waits any more: nobody needs the answer.
            drop(reply.send(done));
        };
        std::thread::Builder::new()
            .name("store-scan".to_owned())
            .spawn(run)
            .map_err(|error| Error::unavailable_from("no thread for a scan", error))?;
        answer.await.map_err(|_| Error::internal("a scan panicked"))?
    }

    pub(crate) async fn backup(&self, to: &Path) -> Result<(), Error> {
        let to = to.to_owned();
        self.aside(move |connection| backup::copy(connection, &to)).await
    }

    pub(crate) async fn integrity(&self) -> Result<Vec<String>, Error> {
        self.aside(backup::findings).await
    }

    pub(crate) fn prepare(&self, statement: &'static Statement) -> Result<(), Error> {
        let connection = self.readers.take()?;
        statement::prepare(&connection, statement).map(drop)
    }
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sqlite({})", self.file.path.display())
    }
}

/// `BEGIN` and a first read fix the snapshot; `ROLLBACK` lets it go.
fn snapshot(connection: &Connection, verb: &str) -> Result<(), Error> {
    connection.execute_batch(verb).map_err(|error| engine_error(Some(connection), &error))
}

/// The value of a closure that awaits nothing but its transaction, all of whose futures are ready at once.
fn now<T, E: From<Error>>(closure: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    closure.now_or_never().unwrap_or_else(|| Err(Error::internal(AWAITED).into()))
}
