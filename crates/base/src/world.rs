//! The outside world that rooms may ask: the time and randomness, injected together.

use crate::id::Id;
use crate::time::{Clock, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// A source of randomness fit for keys.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes` with unpredictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// The clock and the generator that one server uses throughout. Cheap to clone.
#[derive(Clone)]
pub struct World {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Milliseconds and a 12-bit counter of the identifier made last.
    last_id: Arc<AtomicU64>,
}

impl World {
    /// A world with this clock and this generator.
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { clock, random, last_id: Arc::default() }
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// `N` unpredictable bytes.
    #[must_use]
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }

    /// A new identifier (see [`World::new_uuid`]).
    #[must_use]
    pub fn new_id<T: Id>(&self) -> T {
        T::from_uuid(self.new_uuid())
    }

    /// A new UUID of version 7, greater than every one that this world made before: the 12 bits behind the
    /// milliseconds count (RFC 9562 section 6.2, method 1), the other 62 are random. Rows made in one process sort in
    /// the order of their making, even within a millisecond, and even when the clock is set back.
    #[must_use]
    pub fn new_uuid(&self) -> Uuid {
        let millis = u64::try_from(self.now().micros().div_euclid(1_000)).unwrap_or(0);
        let tick = self.next_tick(millis << 12);
        let mut bytes = self.random_bytes::<10>();
        let [.., high, low] = (tick & 0xfff).to_be_bytes();
        let [first, second, ..] = &mut bytes;
        (*first, *second) = (high, low);
        uuid::Builder::from_unix_timestamp_millis(tick >> 12, &bytes).into_uuid()
    }

    /// The moment's tick, or the one after the last if that is later.
    fn next_tick(&self, now: u64) -> u64 {
        let next = |last: u64| Some(now.max(last.saturating_add(1)));
        match self.last_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(last) | Err(last) => now.max(last.saturating_add(1)),
        }
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World({})", self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Still;
    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(1_700_000_000)
        }
    }
    impl Random for Still {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0xff);
        }
    }

    #[test]
    fn identifiers_grow_even_when_the_clock_stands() {
        let world = World::new(Arc::new(Still), Arc::new(Still));
        let ids: Vec<Uuid> = (0..10_000).map(|_| world.new_uuid()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        let (seconds, _) = ids[0].get_timestamp().expect("a time").to_unix();
        assert_eq!(seconds, 1_700_000_000);
    }
}
