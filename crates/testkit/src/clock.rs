//! Time that stands still until a test moves it.

use keyreeve_base::{Clock, Random, Timestamp, World};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Where a [`TestClock`] starts: 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_seconds(1_767_225_600);

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct TestClock(AtomicI64);

impl Default for TestClock {
    fn default() -> Self {
        Self(AtomicI64::new(START.micros()))
    }
}

impl TestClock {
    /// Moves the clock forward.
    pub fn advance(&self, span: Duration) {
        let micros = i64::try_from(span.as_micros()).expect("a span that fits a clock");
        self.0.fetch_add(micros, Ordering::SeqCst);
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, moment: Timestamp) {
        self.0.store(moment.micros(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// The operating system's randomness: what is random must be so in tests too, or two of them would meet in one database.
struct OsRandom;

impl Random for OsRandom {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("randomness of the operating system");
    }
}

/// A world whose clock the test turns.
#[must_use]
pub fn test_world() -> (World, Arc<TestClock>) {
    let clock = Arc::new(TestClock::default());
    (World::new(clock.clone(), Arc::new(OsRandom)), clock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_stands_until_it_is_turned() {
        let (world, clock) = test_world();
        assert_eq!(world.now(), START);
        clock.advance(Duration::from_secs(60));
        assert_eq!(world.now().since(START), Duration::from_secs(60));
        clock.set(START);
        assert_eq!(world.now().to_string(), "2026-01-01T00:00:00.000000Z");
    }
}
