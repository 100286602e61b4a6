//! Following the log while it grows.

use crate::{Error, Events};
use keyreeve_audit::{Entry, Filter};
use keyreeve_base::TenantId;
use keyreeve_store::Tx;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How many streams of one tenant there may be on one node.
pub const STREAMS_PER_TENANT: usize = 16;

/// How many streams there may be on one node.
pub const STREAMS: usize = 256;

/// The longest that a batch is waited for; then an empty one shows that the stream lives.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// How often the log is looked at. On every node, whichever wrote the entry.
const POLL: Duration = Duration::from_millis(300);

/// Entries that are read at a time.
const PAGE: i64 = 200;

/// Where a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what happens from now on.
    Now,
    /// Behind this number.
    After(i64),
}

/// Who follows, by tenant.
#[derive(Default)]
pub(crate) struct Seats(Arc<Mutex<HashMap<TenantId, usize>>>);

/// One stream's place among those that there may be.
struct Seat {
    taken: Weak<Mutex<HashMap<TenantId, usize>>>,
    tenant: TenantId,
}

impl Seats {
    fn take(&self, tenant: TenantId) -> Result<Seat, Error> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= STREAMS {
            return Err(Error::TooMany { what: "streams on this server", limit: STREAMS });
        }
        let own = taken.entry(tenant).or_default();
        if *own >= STREAMS_PER_TENANT {
            return Err(Error::TooMany { what: "streams of this tenant", limit: STREAMS_PER_TENANT });
        }
        *own = own.saturating_add(1);
        Ok(Seat { taken: Arc::downgrade(&self.0), tenant })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(taken) = self.taken.upgrade() else { return };
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.tenant) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

/// Entries that came together.
#[derive(Debug, Default)]
pub struct Batch {
    /// Those that are meant; none for a heartbeat.
    pub entries: Vec<Entry>,
    /// The number up to which the log was looked at: whoever goes on behind it misses nothing.
    pub position: i64,
}

/// A stream of the entries of one tenant. What is not asked for is not read: a slow reader costs no memory.
pub struct Follow {
    events: Events,
    tenant: TenantId,
    filter: Filter,
    position: i64,
    ending: watch::Receiver<bool>,
    _seat: Seat,
}

impl Events {
    /// Follows the log of `tenant`.
    ///
    /// # Errors
    /// [`Error::TooMany`] when there are as many streams as there may be; those of the store.
    pub async fn follow(&self, tenant: TenantId, filter: Filter, start: Start) -> Result<Follow, Error> {
        let seat = self.0.streams.take(tenant)?;
        let head = async move |tx: &mut Tx<'_>| keyreeve_audit::head(tx, tenant).await;
        let head = self.0.store.read(head).await?.seq;
        let position = match start {
            Start::Now => head,
            // Behind the end there is nothing yet; whoever asks for it has the number of another log.
            Start::After(seq) => seq.clamp(0, head),
        };
        let (events, ending) = (self.clone(), self.0.ending.subscribe());
        Ok(Follow { events, tenant, filter, position, ending, _seat: seat })
    }
}

impl Follow {
    /// The number behind which the next batch begins.
    #[must_use]
    pub const fn position(&self) -> i64 {
        self.position
    }

    /// Waits for entries that are meant, for at most [`HEARTBEAT`]. None when the server ends.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn next(&mut self) -> Result<Option<Batch>, Error> {
        let deadline = Instant::now() + HEARTBEAT;
        loop {
            if *self.ending.borrow() {
                return Ok(None);
            }
            let (tenant, after) = (self.tenant, self.position);
            let page = async move |tx: &mut Tx<'_>| keyreeve_audit::list(tx, tenant, after, PAGE).await;
            let page: Vec<Entry> = self.events.0.store.read(page).await?;
            let idle = page.is_empty();
            if let Some(last) = page.last().and_then(|entry| entry.seq) {
                self.position = last;
            }
            let entries: Vec<Entry> = page.into_iter().filter(|entry| self.filter.matches(entry)).collect();
            if !entries.is_empty() || Instant::now() >= deadline {
                return Ok(Some(Batch { entries, position: self.position }));
            }
            if idle {
                // The sender lives as long as the room, of which this holds a part.
                let _ = tokio::time::timeout(POLL, self.ending.wait_for(|ending| *ending)).await;
            }
        }
    }
}
