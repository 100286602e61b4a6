//! Where the database is, and how much of the machine it may use.

use std::path::PathBuf;

/// Which engine holds the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// SQLite, embedded, one process.
    Sqlite,
    /// PostgreSQL, or what speaks its protocol, for any number of nodes.
    Postgres,
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        })
    }
}

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file. Its directory must exist; the file is created, readable by its owner alone.
    SqliteFile(PathBuf),
    /// A `postgres://` URL. `sslmode` is `disable`, `prefer` (default), `require` (encrypted, the server is not
    /// verified) or `verify-full`; `sslrootcert` names a PEM file of authorities to trust instead of the system's.
    Postgres(String),
}

impl std::fmt::Debug for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SqliteFile(path) => write!(f, "SqliteFile({})", path.display()),
            // The URL may hold a password.
            Self::Postgres(_) => f.write_str("Postgres(…)"),
        }
    }
}

/// How to open a store. Start from [`Options::new`] and change what must differ.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the database is.
    pub location: Location,
    /// Connections for reads. On SQLite each answers one read at a time, inline on the thread that asks, so as many as
    /// there are worker threads suffice; on PostgreSQL reads of many callers share one, pipelined.
    pub read_connections: usize,
    /// Connections for write transactions (PostgreSQL; SQLite has its one writer).
    pub write_connections: usize,
    /// Connections for long reads ([`crate::Store::scan`]).
    pub scan_connections: usize,
    /// Transactions that may wait or run at once; beyond, [`crate::Error::Unavailable`].
    pub queue_length: usize,
    /// The most transactions that one SQLite commit may carry.
    pub group_size: usize,
    /// SQLite: take the lock that keeps a second server away, apply migrations, allow writes. Without it the file is
    /// only read, which is allowed while a server runs; writes are refused.
    pub exclusive: bool,
}

impl Options {
    /// What suits this location.
    #[must_use]
    pub fn new(location: Location) -> Self {
        let cores = std::thread::available_parallelism().map_or(4, std::num::NonZero::get);
        let (read_connections, write_connections) = match location {
            Location::SqliteFile(_) => (cores.clamp(2, 64), 1),
            Location::Postgres(_) => (cores.clamp(2, 4), 16),
        };
        Self {
            location,
            read_connections,
            write_connections,
            scan_connections: 2,
            queue_length: 8_192,
            group_size: 512,
            exclusive: true,
        }
    }

    /// The engine of the location.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self.location {
            Location::SqliteFile(_) => Engine::Sqlite,
            Location::Postgres(_) => Engine::Postgres,
        }
    }
}
