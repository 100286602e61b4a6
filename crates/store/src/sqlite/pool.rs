//! Connections for reads, lent for the length of one closure.

use super::File;
use crate::Error;
use rusqlite::Connection;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a thread waits for a connection. Holders never wait for anything but the disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// A bounded number of read connections, opened when first needed. The last used is lent first: its caches are warm.
pub(super) struct Pool {
    file: Arc<File>,
    state: Mutex<State>,
    returned: Condvar,
    limit: usize,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    lent: usize,
}

/// A connection on loan; goes back when dropped.
pub(super) struct Loan<'a> {
    pool: &'a Pool,
    /// Taken out only by `drop`.
    connection: Option<Connection>,
}

impl Pool {
    pub(super) fn new(file: Arc<File>, limit: usize) -> Self {
        Self { file, state: Mutex::default(), returned: Condvar::new(), limit: limit.max(1) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self) -> Result<Loan<'_>, Error> {
        let (mut state, timeout) = self
            .returned
            .wait_timeout_while(self.state(), PATIENCE, |state| state.lent >= self.limit)
            .unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return Err(Error::Busy { reason: "every read connection is in use".to_owned() });
        }
        state.lent += 1;
        let idle = state.idle.pop();
        drop(state);
        let connection = match idle {
            Some(connection) => Ok(connection),
            None => self.file.reader(),
        };
        match connection {
            Ok(connection) => Ok(Loan { pool: self, connection: Some(connection) }),
            Err(error) => {
                self.state().lent -= 1;
                self.returned.notify_one();
                Err(error)
            }
        }
    }
}

impl std::ops::Deref for Loan<'_> {
    type Target = Connection;

    #[allow(clippy::expect_used, reason = "only `drop` takes the connection out")]
    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a loan holds its connection until it is dropped")
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.lent -= 1;
        // One on which a panic left a transaction open is closed instead.
        state.idle.extend(self.connection.take().filter(Connection::is_autocommit));
        drop(state);
        self.pool.returned.notify_one();
    }
}
