//! The store's metrics: named once, looked up once.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// One read in so many is timed: a read inline on SQLite is as short as its timing.
const READS_PER_SAMPLE: u64 = 16;

/// Handles of all metrics; they bind to the recorder that is installed when the store is opened.
pub(crate) struct Meter {
    /// Transactions that wait or run.
    pub(crate) queue_length: Gauge,
    /// Transactions refused because too many waited.
    pub(crate) refused: Counter,
    /// Transactions that one SQLite commit carried.
    pub(crate) group_size: Histogram,
    /// Seconds that a commit took.
    pub(crate) commit_seconds: Histogram,
    /// Seconds that a closure waited for a connection.
    pub(crate) wait_seconds: Histogram,
    /// Closures that were run again.
    pub(crate) retries: Counter,
    /// Seconds that a read took, of one in [`READS_PER_SAMPLE`].
    read_seconds: Histogram,
    reads: AtomicU64,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            queue_length: gauge!("keyreeve_store_queue_length"),
            refused: counter!("keyreeve_store_refused_total"),
            group_size: histogram!("keyreeve_store_commit_transactions"),
            commit_seconds: histogram!("keyreeve_store_commit_seconds"),
            wait_seconds: histogram!("keyreeve_store_wait_seconds"),
            retries: counter!("keyreeve_store_retries_total"),
            read_seconds: histogram!("keyreeve_store_read_seconds"),
            reads: AtomicU64::new(0),
        }
    }

    /// When a read begins: the moment, if this is one that is timed.
    pub(crate) fn read_begins(&self) -> Option<Instant> {
        let count = self.reads.fetch_add(1, Ordering::Relaxed);
        count.is_multiple_of(READS_PER_SAMPLE).then(Instant::now)
    }

    /// When a read ends.
    pub(crate) fn read_ends(&self, began: Option<Instant>) {
        if let Some(began) = began {
            self.read_seconds.record(began.elapsed());
        }
    }
}
