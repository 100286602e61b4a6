//! Where slow work is done: RSA keys and passphrases take a good part of a second. A few at a time, beside the threads that
//! answer requests; beyond the queue whoever comes is told at once when to come again.

use crate::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long whoever finds the queue full is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// How much is done at a time, and how much may wait.
#[derive(Debug, Clone, Copy)]
pub struct WorkshopSize {
    /// At a time.
    pub workers: usize,
    /// Waiting, those at work not counted.
    pub queue: usize,
}

impl Default for WorkshopSize {
    fn default() -> Self {
        Self { workers: 2, queue: 16 }
    }
}

pub(crate) struct Workshop {
    turns: Arc<Semaphore>,
    inside: Arc<AtomicUsize>,
    most: usize,
}

/// A place in the workshop, freed when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Workshop {
    pub(crate) fn new(size: WorkshopSize) -> Self {
        let workers = size.workers.max(1);
        Self {
            turns: Arc::new(Semaphore::new(workers)),
            inside: Arc::default(),
            most: workers.saturating_add(size.queue),
        }
    }

    /// Does the work on a thread of its own when its turn comes.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let enter = |inside: usize| (inside < self.most).then_some(inside.saturating_add(1));
        let busy = || Error::Busy { retry_after: RETRY_AFTER };
        self.inside.fetch_update(Ordering::AcqRel, Ordering::Acquire, enter).map_err(|_| busy())?;
        let place = Place(Arc::clone(&self.inside));
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| busy())?;
        let done = tokio::task::spawn_blocking(move || {
            // Whoever asked may have gone: the place is free when the work is done, not before.
            let (_place, _turn) = (place, turn);
            work()
        });
        done.await.map_err(|error| {
            Error::from(keyreeve_store::Error::internal(format!("the workshop failed: {error}")))
        })?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn beyond_the_queue_nobody_waits() {
        let shop = Arc::new(Workshop::new(WorkshopSize { workers: 1, queue: 1 }));
        let (send, wait) = std::sync::mpsc::channel::<()>();
        let (first, second) = (Arc::clone(&shop), Arc::clone(&shop));
        let first = tokio::spawn(async move { first.run(move || Ok(wait.recv().is_ok())).await });
        let second = tokio::spawn(async move { second.run(|| Ok(true)).await });
        while shop.inside.load(Ordering::Acquire) < 2 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(shop.run(|| Ok(())).await, Err(Error::Busy { .. })));
        send.send(()).unwrap();
        assert!(first.await.unwrap().unwrap() && second.await.unwrap().unwrap());
        assert!(shop.run(|| Ok(())).await.is_ok(), "there is room again");
    }
}
