//! A read-through cache that the change feed keeps right.
//!
//! Each key falls into one of a fixed number of slots, and each slot has a version. A change of a key raises its
//! slot's version, which makes every value read under an earlier version invisible. A reader notes the version *before*
//! it asks the database and stores the value under it, so a value that was read while a change was under way is never
//! taken for a fresh one; no lock is held across the read.
//!
//! The tenant is part of every key, so that nothing that a caller chooses can reach another tenant's entry.

use crate::{Change, Store};
use foldhash::fast::RandomState;
use keyreeve_base::TenantId;
use metrics::{Counter, counter};
use std::hash::{BuildHasher, Hash};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How stale an answer from a cache may be (the design's bound for every node).
pub const STALENESS: Duration = Duration::from_secs(1);

const SLOTS: usize = 1024;

/// A bounded cache of what one change-feed topic names. Share it as the [`Arc`] that [`Cache::new`] answers.
pub struct Cache<K, V> {
    store: Store,
    hasher: RandomState,
    /// Raised when everything must go.
    epoch: AtomicU64,
    /// Raised before anything goes; see [`Cache::watch`].
    changes: AtomicU64,
    slots: Box<[AtomicU64]>,
    hits: Counter,
    misses: Counter,
    entries: quick_cache::sync::Cache<(TenantId, K), Held<V>, Weigher<V>>,
}

/// How much a value weighs.
#[derive(Clone)]
struct Weigher<V>(fn(&V) -> u64);

impl<K, V> quick_cache::Weighter<(TenantId, K), Held<V>> for Weigher<V> {
    fn weight(&self, _: &(TenantId, K), held: &Held<V>) -> u64 {
        (self.0)(&held.value)
    }
}

/// A moment before something was read; see [`Cache::watch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch(u64);

#[derive(Clone)]
struct Held<V> {
    version: Version,
    value: V,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Version {
    epoch: u64,
    slot: u64,
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Clone + FromStr + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A cache of at most `capacity` values, which forgets what the change feed names under `topic`. A change's key
    /// is read as a `K`; one that cannot be read, or that names no tenant, empties the cache.
    #[must_use]
    pub fn new(store: &Store, topic: &'static str, capacity: usize) -> Arc<Self> {
        let weight = u64::try_from(capacity).unwrap_or(u64::MAX);
        Self::weighted(store, topic, (capacity, weight), |_| 1)
    }

    /// The same, of values that differ in size: about `items` of them, and at most `weight` by what `weigh` says of each
    /// (bytes, say).
    #[must_use]
    pub fn weighted(
        store: &Store,
        topic: &'static str,
        (items, weight): (usize, u64),
        weigh: fn(&V) -> u64,
    ) -> Arc<Self> {
        let cache = Arc::new(Self {
            store: store.clone(),
            hasher: RandomState::default(),
            epoch: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            hits: counter!("keyreeve_cache_hits_total", "cache" => topic),
            misses: counter!("keyreeve_cache_misses_total", "cache" => topic),
            entries: quick_cache::sync::Cache::with_weighter(items, weight, Weigher(weigh)),
        });
        // Weak, or the store's callback would keep the cache, and the cache the store, alive for ever.
        let weak = Arc::downgrade(&cache);
        store.on_change(Arc::new(move |change: &Change| {
            if let Some(cache) = weak.upgrade() {
                cache.apply(topic, change);
            }
        }));
        cache
    }

    fn apply(&self, topic: &str, change: &Change) {
        match change {
            Change::Everything => self.forget_all(),
            Change::One { tenant, topic: named, key } if named.as_ref() as &str == topic => {
                match (tenant, key.parse::<K>()) {
                    (Some(tenant), Ok(key)) => self.forget(*tenant, &key),
                    _ => self.forget_all(),
                }
            }
            Change::One { .. } => {}
        }
    }

    /// Forgets one value.
    pub fn forget(&self, tenant: TenantId, key: &K) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.slot(tenant, key).fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets everything.
    pub fn forget_all(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// The value of `key`, from memory when that is allowed, else from `load`, which is then remembered.
    ///
    /// # Errors
    /// Those of `load`; nothing is remembered then.
    pub async fn get_with<E, F>(&self, tenant: TenantId, key: &K, load: impl FnOnce() -> F) -> Result<V, E>
    where
        F: Future<Output = Result<V, E>>,
    {
        if let Some(value) = self.peek(tenant, key) {
            return Ok(value);
        }
        let version = self.version(tenant, key);
        let value = load().await?;
        if self.store.fresh(STALENESS) {
            self.entries.insert((tenant, key.clone()), Held { version, value: value.clone() });
        }
        Ok(value)
    }

    /// Notes the moment before something is read of which several values may come: [`Cache::put`] keeps them.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(self.changes.load(Ordering::Acquire))
    }

    /// Keeps a value that was read since `watch`, if nothing at all has been forgotten meanwhile.
    pub fn put(&self, watch: Watch, tenant: TenantId, key: K, value: V) {
        // In this order: whoever forgets raises `changes` before the version, so that a version which is read here and
        // is a new one is found out by the comparison.
        let version = self.version(tenant, &key);
        if self.changes.load(Ordering::Acquire) == watch.0 && self.store.fresh(STALENESS) {
            self.entries.insert((tenant, key), Held { version, value });
        }
    }

    /// The value of `key` if memory holds a current one.
    #[must_use]
    pub fn peek(&self, tenant: TenantId, key: &K) -> Option<V> {
        let found = self.look(tenant, key);
        self.count(u64::from(found.is_some()), u64::from(found.is_none()));
        found
    }

    /// The same, not counted: for who looks many up, and counts them together ([`Cache::count`]).
    #[must_use]
    pub fn look(&self, tenant: TenantId, key: &K) -> Option<V> {
        if !self.store.fresh(STALENESS) {
            return None;
        }
        let held = self.entries.get(&(tenant, key.clone()))?;
        (held.version == self.version(tenant, key)).then_some(held.value)
    }

    /// Counts so many values that were in memory, and so many that were not.
    pub fn count(&self, hits: u64, misses: u64) {
        // All threads write to these counters.
        for (counter, more) in [(&self.hits, hits), (&self.misses, misses)] {
            if more > 0 {
                counter.increment(more);
            }
        }
    }

    fn version(&self, tenant: TenantId, key: &K) -> Version {
        Version {
            epoch: self.epoch.load(Ordering::Acquire),
            slot: self.slot(tenant, key).load(Ordering::Acquire),
        }
    }

    #[allow(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "the remainder is below SLOTS"
    )]
    fn slot(&self, tenant: TenantId, key: &K) -> &AtomicU64 {
        &self.slots[(self.hasher.hash_one((tenant, key)) % SLOTS as u64) as usize]
    }
}
