//! The change feed: which caches must forget what.

use keyreeve_base::TenantId;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Something that a cache may hold has changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    /// One thing.
    One {
        /// Whose it is; none for what belongs to the whole installation.
        tenant: Option<TenantId>,
        /// The kind of thing, a word that the room chose.
        topic: Cow<'static, str>,
        /// Which one, in the room's own form.
        key: String,
    },
    /// Anything: the node may have missed changes. Forget all.
    Everything,
}

/// How [`Change::Everything`] is written in the table: a topic that no room may use.
const EVERYTHING: &str = "*";

impl Change {
    /// The change as the table has it: tenant, topic, key.
    pub(crate) fn row(&self) -> (Option<TenantId>, &str, &str) {
        match self {
            Self::One { tenant, topic, key } => (*tenant, topic, key),
            Self::Everything => (None, EVERYTHING, ""),
        }
    }

    /// The change that a row of the table stands for.
    pub(crate) fn from_row(tenant: Option<TenantId>, topic: String, key: String) -> Self {
        if topic == EVERYTHING {
            Self::Everything
        } else {
            Self::One { tenant, topic: Cow::Owned(topic), key }
        }
    }
}

/// Who wants to know of changes.
pub type OnChange = Arc<dyn Fn(&Change) + Send + Sync>;

/// Never yet, in [`Feed::known_at`].
const NEVER: u64 = u64::MAX;

/// The subscribers of this node, and how current its knowledge is.
pub(crate) struct Feed {
    subscribers: RwLock<Vec<OnChange>>,
    start: Instant,
    /// Microseconds after `start` up to which every change by anyone has been announced here. Elapsed real time, not
    /// the injected clock: it is compared with how long a message took, and a test that turns the clock by a day has
    /// not made its caches a day old.
    known_at: AtomicU64,
    /// The mark (by the database's clock) up to which the same is so; on SQLite the last that was given out.
    mark: AtomicI64,
    /// Every change is announced before its writer is answered (SQLite): always current.
    synchronous: bool,
}

impl Feed {
    pub(crate) fn new(synchronous: bool) -> Self {
        Self {
            subscribers: RwLock::default(),
            start: Instant::now(),
            known_at: AtomicU64::new(NEVER),
            mark: AtomicI64::new(i64::MIN),
            synchronous,
        }
    }

    pub(crate) fn subscribe(&self, subscriber: OnChange) {
        self.subscribers.write().unwrap_or_else(PoisonError::into_inner).push(subscriber);
    }

    pub(crate) fn publish(&self, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        let subscribers = self.subscribers.read().unwrap_or_else(PoisonError::into_inner).clone();
        for change in changes {
            for subscriber in &subscribers {
                // A subscriber's defect must not stop the writer or the follower, on whose thread this runs.
                if catch_unwind(AssertUnwindSafe(|| subscriber(change))).is_err() {
                    tracing::error!(?change, "a subscriber of the change feed panicked");
                }
            }
        }
    }

    fn elapsed(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_micros()).unwrap_or(NEVER - 1)
    }

    /// A mark that is greater than every one that was given out here, and not before `now`.
    pub(crate) fn next_mark(&self, now: i64) -> i64 {
        let next = |last: i64| Some(now.max(last.saturating_add(1)));
        match self.mark.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) {
            Ok(last) | Err(last) => now.max(last.saturating_add(1)),
        }
    }

    pub(crate) fn heard(&self, mark: i64) -> bool {
        self.mark.load(Ordering::Acquire) >= mark
    }

    /// Everything that was committed before `at`, which by the database's clock was `mark`, has been announced.
    pub(crate) fn current_as_of(&self, at: Instant, mark: i64) {
        self.mark.store(mark, Ordering::Release);
        self.known_at.store(self.elapsed(at), Ordering::Release);
    }

    pub(crate) fn fresh(&self, within: Duration) -> bool {
        if self.synchronous {
            return true;
        }
        let known_at = self.known_at.load(Ordering::Acquire);
        let within = u64::try_from(within.as_micros()).unwrap_or(NEVER);
        known_at != NEVER && self.elapsed(Instant::now()).saturating_sub(known_at) <= within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_fresh_only_as_long_as_it_has_heard() {
        let feed = Feed::new(false);
        assert!(!feed.fresh(Duration::MAX), "nothing was heard yet");
        feed.current_as_of(Instant::now(), 7);
        assert!(feed.heard(7) && !feed.heard(8));
        assert!(feed.fresh(Duration::from_secs(60)));
        std::thread::sleep(Duration::from_millis(5));
        assert!(!feed.fresh(Duration::from_millis(1)));
        assert!(Feed::new(true).fresh(Duration::ZERO));
    }

    #[test]
    fn a_panicking_subscriber_does_not_keep_the_others_from_hearing() {
        let feed = Feed::new(true);
        let heard = Arc::new(AtomicU64::new(0));
        feed.subscribe(Arc::new(|_| panic!("on purpose")));
        let count = heard.clone();
        feed.subscribe(Arc::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        }));
        feed.publish(&[Change::Everything]);
        assert_eq!(heard.load(Ordering::Relaxed), 1);
    }
}
