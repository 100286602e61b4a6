//! The store's metrics: named once, looked up once.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

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
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            queue_length: gauge!("keyreeve_store_queue_length"),
            refused: counter!("keyreeve_store_refused_total"),
            group_size: histogram!("keyreeve_store_group_size"),
            commit_seconds: histogram!("keyreeve_store_commit_seconds"),
            wait_seconds: histogram!("keyreeve_store_wait_seconds"),
            retries: counter!("keyreeve_store_retries_total"),
        }
    }
}
