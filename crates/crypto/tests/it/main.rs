//! What the crate promises to those who use it, tested through its public interface alone.
#![allow(clippy::unwrap_used, reason = "in a test, what cannot go on fails the test")]

mod imported;
mod jose;
mod passwords;

use keyreeve_base::{Clock, Timestamp, World};
use keyreeve_crypto::SystemRandom;
use keyreeve_crypto::password::{HashPolicy, Hasher, PoolSize};
use std::sync::Arc;

/// Cheap enough for tests by the hundred.
pub const SMALL: HashPolicy = HashPolicy { memory_kib: 64, iterations: 1, parallelism: 1 };

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_700_000_000)
    }
}

/// The system's randomness at a moment that does not pass.
pub fn world() -> World {
    World::new(Arc::new(Still), Arc::new(SystemRandom))
}

/// A hasher of one thread.
pub fn hasher(policy: HashPolicy) -> Hasher {
    Hasher::new(world(), policy, PoolSize { workers: 1, queue: 64 }).unwrap()
}

/// Runs a future to its end.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
