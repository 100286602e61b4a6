//! A few threads that do slow work for many callers: bounded, and fair between lanes.
//!
//! **Bounded.** At most `queue` jobs wait; beyond that a caller is told at once when to come again.
//!
//! **Fair.** Each caller names a lane (a tenant, an address). Lanes take turns, one job each, so that a lane with one
//! job waits for at most one job of every other lane, however many those have. And a full queue does not shut a
//! quiet lane out: the newest job of the longest lane gives way to it.
//!
//! Threads of their own, not the runtime's blocking pool: their number is the bound on memory, each keeps its
//! [`Arena`], and they run at a lower priority than the threads that answer requests.

use super::argon::Arena;
use keyreeve_base::{Timestamp, World};
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a worker keeps its memory without work.
const KEEP_MEMORY: Duration = Duration::from_secs(5);

/// What a worker's thread is nicer than the rest by. At 10 it gets about a tenth of a contended core: a token refresh
/// runs at once, and sign-ins still get on while everything else is busy.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// What the estimate of a job's time starts from.
const FIRST_GUESS: Duration = Duration::from_millis(25);

/// The queue was full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busy {
    pub(super) retry_after: Duration,
}

/// A job as the queue sees it.
trait Job: Send {
    /// Nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
    fn run(self: Box<Self>, arena: &mut Arena);
    fn refuse(self: Box<Self>, busy: Busy);
}

struct Call<T, F> {
    work: F,
    reply: oneshot::Sender<Result<T, Busy>>,
}

impl<T: Send, F: FnOnce(&mut Arena) -> T + Send> Job for Call<T, F> {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(self: Box<Self>, arena: &mut Arena) {
        let Self { work, reply } = *self;
        // A defect in a hash function must not take the worker with it; the caller sees its channel close.
        match catch_unwind(AssertUnwindSafe(|| work(arena))) {
            Ok(answer) => drop(reply.send(Ok(answer))),
            Err(_) => tracing::error!("a password hash function panicked"),
        }
    }

    fn refuse(self: Box<Self>, busy: Busy) {
        drop(self.reply.send(Err(busy)));
    }
}

struct Waiting {
    job: Box<dyn Job>,
    since: Timestamp,
}

/// The lanes and whose turn it is. Pure: no thread, no lock.
#[derive(Default)]
struct Queue {
    lanes: HashMap<Box<str>, VecDeque<Waiting>>,
    /// Every lane that has jobs, once, in the order of their turns.
    turns: VecDeque<Box<str>>,
    length: usize,
}

impl Queue {
    fn push(&mut self, lane: &str, waiting: Waiting) {
        if let Some(jobs) = self.lanes.get_mut(lane) {
            jobs.push_back(waiting);
        } else {
            self.lanes.insert(lane.into(), VecDeque::from([waiting]));
            self.turns.push_back(lane.into());
        }
        self.length = self.length.saturating_add(1);
    }

    /// The next job: the oldest of the lane whose turn it is.
    fn pop(&mut self) -> Option<Waiting> {
        let lane = self.turns.pop_front()?;
        let jobs = self.lanes.get_mut(&lane)?;
        let waiting = jobs.pop_front();
        if jobs.is_empty() {
            self.lanes.remove(&lane);
        } else {
            self.turns.push_back(lane);
        }
        if waiting.is_some() {
            self.length = self.length.saturating_sub(1);
        }
        waiting
    }

    /// Takes the newest job of the longest lane out, if that lane would still be no shorter than `lane` with one more.
    fn make_room_for(&mut self, lane: &str) -> Option<Waiting> {
        let own = self.lanes.get(lane).map_or(0, VecDeque::len);
        let longest = self.lanes.values_mut().max_by_key(|jobs| jobs.len())?;
        if longest.len() <= own.saturating_add(1) {
            return None;
        }
        self.length = self.length.saturating_sub(1);
        longest.pop_back()
    }
}

struct State {
    queue: Queue,
    closed: bool,
    /// A moving average of how long a job takes.
    mean: Duration,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    workers: usize,
    capacity: usize,
    world: World,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock, so what it guards is whole even if it is poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn busy(&self, state: &State) -> Busy {
        metrics::counter!("keyreeve_password_busy_total").increment(1);
        let waiting = u32::try_from(state.queue.length).unwrap_or(u32::MAX);
        let workers = u32::try_from(self.workers).unwrap_or(1).max(1);
        let seconds = (state.mean.saturating_mul(waiting) / workers).as_secs();
        // One more than the whole seconds: rounds up, and is never zero.
        Busy { retry_after: Duration::from_secs(seconds.saturating_add(1).min(60)) }
    }

    /// The next job, or none once the pool is closed. Looks after the arena while there is none.
    fn next(&self, arena: &mut Arena) -> Option<Waiting> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            if let Some(waiting) = state.queue.pop() {
                metrics::gauge!("keyreeve_password_queue_length").set(gauge(state.queue.length));
                return Some(waiting);
            }
            if arena.is_dirty() {
                drop(state);
                arena.wipe();
                state = self.state();
            } else if arena.is_empty() {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else {
                let (woken, waited) =
                    self.wake.wait_timeout(state, KEEP_MEMORY).unwrap_or_else(PoisonError::into_inner);
                state = woken;
                if waited.timed_out() {
                    drop(state);
                    arena.release();
                    state = self.state();
                }
            }
        }
    }

    fn work(&self) {
        let mut arena = Arena::default();
        while let Some(Waiting { job, since }) = self.next(&mut arena) {
            if job.is_abandoned() {
                continue;
            }
            let start = self.world.now();
            metrics::histogram!("keyreeve_password_wait_seconds").record(start.since(since).as_secs_f64());
            job.run(&mut arena);
            let taken = self.world.now().since(start);
            let mut state = self.state();
            state.mean = (state.mean.saturating_mul(7).saturating_add(taken)) / 8;
        }
    }
}

/// Queue lengths are far below 2^32.
fn gauge(length: usize) -> f64 {
    f64::from(u32::try_from(length).unwrap_or(u32::MAX))
}

/// The pool. Dropping it lets each worker finish the job it is at; callers that still wait see their channel close.
pub(super) struct Pool {
    shared: Arc<Shared>,
}

impl Pool {
    /// Starts `workers` threads for a queue of at most `capacity` jobs (each at least one).
    pub(super) fn start(world: World, workers: usize, capacity: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { queue: Queue::default(), closed: false, mean: FIRST_GUESS }),
            wake: Condvar::new(),
            workers: workers.max(1),
            capacity: capacity.max(1),
            world,
        });
        // Built first, so that its Drop stops the threads already started if a later one cannot be.
        let pool = Self { shared };
        for number in 0..pool.shared.workers {
            let shared = Arc::clone(&pool.shared);
            std::thread::Builder::new().name(format!("password-{number}")).spawn(move || {
                lower_priority();
                shared.work();
            })?;
        }
        Ok(pool)
    }

    /// Queues `work`; the answer comes through the channel, which closes without one if the work panics or the pool
    /// ends, and which carries [`Busy`] if the job had to give way to a quieter lane. A job whose receiver is gone
    /// when its turn comes is skipped.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        lane: &str,
        work: impl FnOnce(&mut Arena) -> T + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, Busy>>, Busy> {
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { job: Box::new(Call { work, reply }), since: self.shared.world.now() };
        let mut state = self.shared.state();
        if state.queue.length >= self.shared.capacity {
            match state.queue.make_room_for(lane) {
                Some(given_way) => given_way.job.refuse(self.shared.busy(&state)),
                None => return Err(self.shared.busy(&state)),
            }
        }
        state.queue.push(lane, waiting);
        metrics::gauge!("keyreeve_password_queue_length").set(gauge(state.queue.length));
        drop(state);
        self.shared.wake.notify_one();
        Ok(answer)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let left = {
            let mut state = self.shared.state();
            state.closed = true;
            std::mem::take(&mut state.queue)
        };
        self.shared.wake.notify_all();
        drop(left);
    }
}

/// Makes this thread give way to the threads that answer requests. On Linux a thread has a nice value of its own;
/// elsewhere it stays as it is.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        let nicer = getpriority_process(None).map(|own| own.saturating_add(NICENESS).min(19));
        let set = nicer.and_then(|nicer| setpriority_process(Some(rustix::thread::gettid()), nicer));
        if let Err(error) = set {
            tracing::debug!(%error, "password workers run at normal priority");
        }
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
