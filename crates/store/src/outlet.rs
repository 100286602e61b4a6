//! How a scan hands out what it finds while it goes on, so that all of it is of one snapshot and little of it in memory.

use crate::tx::Mode;
use crate::{Engine, Error, Tx};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// How long a scan waits for its reader to take something. A reader that takes nothing holds a snapshot open, for which
/// the database keeps what was deleted since.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a scan on SQLite, which has a thread of its own, sleeps while its reader is slow.
const NAP: Duration = Duration::from_millis(2);

/// Where a closure of [`crate::Store::scan`] puts what it found; the other end is read meanwhile.
///
/// A scan that has put something cannot be run again, as others can when their connection was lost: what was read would
/// be there twice. So it fails instead.
#[derive(Debug)]
pub struct Outlet<T> {
    items: mpsc::Sender<T>,
    opened: AtomicBool,
}

impl<T> Outlet<T> {
    /// An outlet, and where it is read. `length` things may wait for the reader.
    #[must_use]
    pub fn new(length: usize) -> (Self, mpsc::Receiver<T>) {
        let (items, reader) = mpsc::channel(length.max(1));
        (Self { items, opened: AtomicBool::new(false) }, reader)
    }

    /// Opens the outlet; the first thing that the closure does.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the scan is run for the second time.
    pub fn open(&self) -> Result<(), Error> {
        if self.opened.swap(true, Ordering::Relaxed) {
            return Err(Error::unavailable("the connection was lost while its answer was read"));
        }
        Ok(())
    }

    /// Hands one thing to the reader, and waits while it has enough.
    ///
    /// # Errors
    /// [`Error::Busy`] when the reader takes nothing for a minute; [`Error::Unavailable`] when it is gone;
    /// [`Error::Internal`] outside of a scan.
    pub async fn put(&self, tx: &Tx<'_>, item: T) -> Result<(), Error> {
        if tx.mode() != Mode::Scan {
            return Err(Error::internal("only a scan can wait for its reader"));
        }
        match tx.engine() {
            Engine::Sqlite => self.put_here(item),
            Engine::Postgres => {
                let sent = tokio::time::timeout(PATIENCE, self.items.send(item)).await;
                sent.map_err(|_| slow())?.map_err(|_| gone())
            }
        }
    }

    fn put_here(&self, mut item: T) -> Result<(), Error> {
        let start = Instant::now();
        loop {
            match self.items.try_send(item) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(_)) => return Err(gone()),
                Err(TrySendError::Full(_)) if start.elapsed() > PATIENCE => return Err(slow()),
                Err(TrySendError::Full(back)) => {
                    item = back;
                    std::thread::sleep(NAP);
                }
            }
        }
    }
}

fn gone() -> Error {
    Error::unavailable("nobody reads the answer any more")
}

fn slow() -> Error {
    Error::Busy { reason: "the answer was not read for a minute".to_owned() }
}
