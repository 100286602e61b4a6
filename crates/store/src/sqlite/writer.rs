//! The one writer: it folds the transactions that wait into one commit.
//!
//! Each transaction is answered only when the commit that carries it is on disk. What limits the rate is then the work
//! itself and no longer the disk's answer to each. One that fails leaves its neighbours alone: what it wrote is undone
//! together with what they wrote, and they run again, each in a savepoint of its own. That is rare, and savepoints from
//! the start would make SQLite copy each page that a transaction touches.

use super::errors::engine_error;
use super::{AWAITED, File};
use crate::change::Change;
use crate::job::Job;
use crate::tx::Mode;
use crate::{Error, Ground, Options, Tx};
use futures_util::FutureExt;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

/// The writer, as those who have something to write see it.
pub(super) struct Writer {
    /// None only while being dropped.
    jobs: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    waiting: Arc<AtomicUsize>,
    ground: Ground,
}

impl Writer {
    pub(super) fn start(
        file: Arc<File>,
        lock: std::fs::File,
        options: &Options,
        ground: Ground,
    ) -> Result<Self, Error> {
        let (jobs, queue) = sync_channel(options.queue_length.max(1));
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut desk = Desk {
            connection: file.writer()?,
            file,
            ground: ground.clone(),
            waiting: waiting.clone(),
            group_size: options.group_size.max(1),
            _lock: lock,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || desk.serve(&queue))
            .map_err(|error| Error::unavailable_from("no thread for the writer", error))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), waiting, ground })
    }

    pub(super) fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Puts a transaction into the queue; the answer comes when it is on disk.
    pub(super) fn submit(&self, job: Box<dyn Job>) -> Result<(), Error> {
        let stopped = || Error::unavailable("the writer has stopped");
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        jobs.try_send(job).map_err(|error| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => {
                    self.ground.meter.refused.increment(1);
                    Error::unavailable("too many transactions are waiting")
                }
                TrySendError::Disconnected(_) => stopped(),
            }
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The writer ends when it has served the queue; then the file is closed and the lock free.
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            drop(thread.join());
        }
    }
}

/// The writer's own side.
struct Desk {
    connection: Connection,
    file: Arc<File>,
    ground: Ground,
    waiting: Arc<AtomicUsize>,
    group_size: usize,
    _lock: std::fs::File,
}

/// What ends a group before its time.
enum Broken {
    /// A deferred constraint, found at COMMIT: one transaction spoils all, and nobody can say which.
    Constraint(Error),
    /// The engine gave up the transaction.
    Lost(Error),
}

/// What becomes of what a job did.
enum Outcome {
    /// It stays, with what it announced.
    Keep(Vec<Change>),
    /// It must not be committed.
    Undo,
}

/// Runs a job, all of whose futures are ready at once; whether it may be committed.
fn run(job: &mut dyn Job, tx: &mut Tx<'_>) -> bool {
    // A closure that panics leaves nothing behind that anyone looks at: what it wrote is undone.
    let problem = match catch_unwind(AssertUnwindSafe(|| job.run(tx).now_or_never())) {
        Ok(Some(wanted)) => return wanted,
        Ok(None) => AWAITED,
        Err(_) => "a store closure panicked",
    };
    job.reset();
    job.fail(Error::internal(problem));
    false
}

fn failed_unseen() -> Error {
    Error::internal("a store closure answered Ok after a statement had failed")
}

impl Desk {
    fn serve(&mut self, queue: &Receiver<Box<dyn Job>>) {
        while let Ok(first) = queue.recv() {
            let mut group = Vec::new();
            let mut next = Some(first);
            let done = self.run(&mut group, || next.take().or_else(|| queue.try_recv().ok()));
            let served = group.len();
            if let Err(broken) = done {
                self.recover(&mut group, broken);
            }
            group.into_iter().for_each(Job::answer);
            let waiting = self.waiting.fetch_sub(served, Ordering::Relaxed).saturating_sub(served);
            #[allow(clippy::cast_precision_loss, reason = "a gauge")]
            self.ground.meter.queue_length.set(waiting as f64);
        }
    }

    /// Runs the jobs that `next` hands out, up to the size of a group, and commits them.
    fn run(
        &mut self,
        group: &mut Vec<Box<dyn Job>>,
        mut next: impl FnMut() -> Option<Box<dyn Job>>,
    ) -> Result<(), Broken> {
        let mut changes = Vec::new();
        let begun = self.sql("BEGIN IMMEDIATE");
        while group.len() < self.group_size
            && let Some(mut job) = next()
        {
            if let Err(error) = &begun {
                group.push(job);
                return Err(Broken::Lost(error.clone()));
            }
            let outcome = self.attempt(job.as_mut());
            match outcome {
                Outcome::Keep(announced) => changes.extend(announced),
                Outcome::Undo => {
                    let rerun = self.without(group);
                    group.push(job);
                    return rerun;
                }
            }
            group.push(job);
        }
        self.commit(group.len())?;
        self.ground.feed.publish(&changes);
        Ok(())
    }

    fn attempt(&self, job: &mut dyn Job) -> Outcome {
        let written_before = self.connection.total_changes();
        let mut tx = Tx::sqlite(&self.connection, Mode::Write);
        let wanted = run(job, &mut tx);
        let state = tx.into_state();
        if wanted && !state.failed {
            return Outcome::Keep(state.changes);
        }
        if wanted {
            job.fail(failed_unseen());
        }
        let wrote_nothing =
            !state.failed && !state.scripted && self.connection.total_changes() == written_before;
        if wrote_nothing { Outcome::Keep(Vec::new()) } else { Outcome::Undo }
    }

    /// After a job that must be undone: undoes everything, runs the jobs before it again, and commits those.
    fn without(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), Broken> {
        let gave_up = || Broken::Lost(Error::unavailable("SQLite gave up the transaction"));
        if self.connection.is_autocommit() {
            return if group.is_empty() { Ok(()) } else { Err(gave_up()) };
        }
        self.sql("ROLLBACK").map_err(Broken::Lost)?;
        if group.is_empty() {
            return Ok(());
        }
        self.sql("BEGIN IMMEDIATE").map_err(Broken::Lost)?;
        let mut changes = Vec::new();
        for job in group.iter_mut() {
            match self.in_savepoint(job.as_mut()) {
                Ok(announced) => changes.extend(announced),
                Err(error) => {
                    job.fail(error);
                    if self.connection.is_autocommit() {
                        return Err(gave_up());
                    }
                }
            }
        }
        self.commit(group.len())?;
        self.ground.feed.publish(&changes);
        Ok(())
    }

    /// Runs `job` so that it leaves either all of its traces or none; answers what it announced. An error is one that
    /// the job does not know of.
    fn in_savepoint(&self, job: &mut dyn Job) -> Result<Vec<Change>, Error> {
        self.sql("SAVEPOINT job")?;
        let mut tx = Tx::sqlite(&self.connection, Mode::Write);
        let wanted = run(job, &mut tx);
        let state = tx.into_state();
        if wanted && !state.failed {
            self.sql("RELEASE job")?;
            return Ok(state.changes);
        }
        if self.connection.is_autocommit() {
            return Err(Error::unavailable("SQLite gave up the transaction"));
        }
        self.sql("ROLLBACK TO job")?;
        self.sql("RELEASE job")?;
        if wanted { Err(failed_unseen()) } else { Ok(Vec::new()) }
    }

    fn commit(&self, size: usize) -> Result<(), Broken> {
        let start = Instant::now();
        let committed = self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        let meter = &self.ground.meter;
        #[allow(clippy::cast_precision_loss, reason = "a histogram")]
        meter.group_size.record(size as f64);
        meter.commit_seconds.record(start.elapsed());
        let Err(error) = committed else { return Ok(()) };
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ConstraintViolation) => {
                Err(Broken::Constraint(engine_error(Some(&self.connection), &error)))
            }
            // The log may have reached the disk although the engine was told that it did not.
            Some(rusqlite::ErrorCode::SystemIoFailure) => {
                Err(Broken::Lost(Error::Ambiguous { cause: Some(Arc::new(error)) }))
            }
            _ => Err(Broken::Lost(engine_error(Some(&self.connection), &error))),
        }
    }

    /// After a group that was not committed: puts the connection into order, then either tells everyone or, if one
    /// spoilt it for all, runs each alone.
    fn recover(&mut self, group: &mut Vec<Box<dyn Job>>, broken: Broken) {
        self.reset();
        match broken {
            Broken::Lost(error) => {
                tracing::error!(%error, transactions = group.len(), "a commit failed");
                group.iter_mut().for_each(|job| job.fail(error.clone()));
            }
            Broken::Constraint(error) => match group.as_mut_slice() {
                [only] => only.fail(error),
                _ => {
                    for job in std::mem::take(group) {
                        let mut alone = Vec::new();
                        let mut next = Some(job);
                        if let Err(broken) = self.run(&mut alone, || next.take()) {
                            self.recover(&mut alone, broken);
                        }
                        group.append(&mut alone);
                    }
                }
            },
        }
    }

    fn reset(&mut self) {
        if !self.connection.is_autocommit() {
            drop(self.sql("ROLLBACK"));
        }
        if self.connection.is_autocommit() {
            return;
        }
        match self.file.writer() {
            Ok(connection) => self.connection = connection,
            Err(error) => tracing::error!(%error, "cannot open the database anew"),
        }
    }

    fn sql(&self, sql: &str) -> Result<(), Error> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map(drop)
            .map_err(|error| engine_error(Some(&self.connection), &error))
    }
}
