//! The threads on which closures run, and how a closure becomes a committed transaction.

use super::connect::{Target, connect};
use super::errors::{commit_failure, failure};
use super::follow::{News, OVERLAP};
use super::{Place, Session};
use crate::change::Change;
use crate::job::Job;
use crate::tx::{Failure, Mode, Retry, State};
use crate::{Error, Ground, Tx, params, statements};
use futures_util::FutureExt;
use futures_util::future::join;
use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;
use uuid::Uuid;

/// How often a closure is run again because others were in its way.
const CONTENTION_ATTEMPTS: u32 = 10;
/// How often a closure is run again because its connection was lost before anything was committed.
const LOST_ATTEMPTS: u32 = 3;
/// The first pause before running a closure again; doubled each time, and taken by a random part.
const FIRST_PAUSE: Duration = Duration::from_millis(4);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long a closure waits for a connection of its own.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one run of a closure may take. A commit that takes longer than the follower's overlap is announced again.
const WRITE_DEADLINE: Duration = Duration::from_secs(15);
const SCAN_DEADLINE: Duration = Duration::from_secs(900);
/// How long to try to stop a statement that took too long.
const CANCEL_PATIENCE: Duration = Duration::from_secs(2);

statements! {
    /// Announces a change, by the database's clock.
    pub(super) ANNOUNCE = "INSERT INTO change (id, tenant_id, topic, key, at) \
        VALUES ($1, $2, $3, $4, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT))";
}

/// How many connections one executor has for each kind of work, beside the one that its reads share.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) writers: usize,
    pub(super) scanners: usize,
}

/// An executor thread, as those who have work for it see it.
pub(super) struct Executor {
    tasks: mpsc::UnboundedSender<Task>,
}

/// A closure that waits for an executor.
struct Task {
    job: Box<dyn Job>,
    mode: Mode,
    place: Place,
}

impl Executor {
    pub(super) fn start(
        number: usize,
        target: Arc<Target>,
        sizes: Sizes,
        ground: Ground,
        news: mpsc::UnboundedSender<News>,
    ) -> Result<Self, Error> {
        let (tasks, mut queue) = mpsc::unbounded_channel::<Task>();
        let failed = |error| Error::unavailable_from("no thread for the store", error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let serve = move || {
            let desk = Rc::new(Desk {
                reader: Mutex::default(),
                writers: Sessions::new(Mode::Write, sizes.writers),
                scanners: Sessions::new(Mode::Scan, sizes.scanners),
                target,
                ground,
                news,
            });
            LocalSet::new().block_on(&runtime, async move {
                let mut running = JoinSet::new();
                loop {
                    tokio::select! {
                        task = queue.recv() => match task {
                            Some(task) => drop(running.spawn_local(carry_out(desk.clone(), task))),
                            None => break,
                        },
                        Some(_) = running.join_next() => {}
                    }
                }
                while running.join_next().await.is_some() {}
            });
        };
        std::thread::Builder::new().name(format!("store-{number}")).spawn(serve).map_err(failed)?;
        Ok(Self { tasks })
    }

    pub(super) fn submit(&self, mode: Mode, job: Box<dyn Job>, place: Place) -> Result<(), Error> {
        let stopped = |_| Error::unavailable("the store's executor has stopped");
        self.tasks.send(Task { job, mode, place }).map_err(stopped)
    }
}

async fn carry_out(desk: Rc<Desk>, Task { mut job, mode, place }: Task) {
    // A panic loses its connection, which ends the transaction; the executor goes on.
    if AssertUnwindSafe(desk.settle(mode, job.as_mut())).catch_unwind().await.is_err() {
        job.reset();
        job.fail(Error::internal("a store closure panicked"));
    }
    drop(place);
    job.answer();
}

/// An executor's own side.
struct Desk {
    /// The connection that all reads of this executor share.
    reader: Mutex<Option<Rc<Session>>>,
    writers: Sessions,
    scanners: Sessions,
    target: Arc<Target>,
    ground: Ground,
    news: mpsc::UnboundedSender<News>,
}

/// Connections that one transaction has for itself.
struct Sessions {
    mode: Mode,
    turns: Arc<Semaphore>,
    idle: RefCell<Vec<Session>>,
}

/// One of them, in use. Put back only when its transaction is over; else closed, which ends the transaction.
struct Turn {
    session: Session,
    _permit: OwnedSemaphorePermit,
}

impl Sessions {
    fn new(mode: Mode, size: usize) -> Self {
        Self { mode, turns: Arc::new(Semaphore::new(size)), idle: RefCell::default() }
    }

    async fn take(&self, desk: &Desk) -> Result<Turn, Failure> {
        let start = Instant::now();
        let permit = timeout(PATIENCE, self.turns.clone().acquire_owned())
            .await
            .map_err(|_| Error::Busy { reason: "every connection is in use".to_owned() })?
            .map_err(|error| Error::internal_from("no turn for a transaction", error))?;
        desk.ground.meter.wait_seconds.record(start.elapsed());
        self.idle.borrow_mut().retain(|session| !session.is_closed());
        let idle = self.idle.borrow_mut().pop();
        let session = match idle {
            Some(session) => session,
            None => Session::new(connect(&desk.target, self.mode, None).await?.spawn()),
        };
        Ok(Turn { session, _permit: permit })
    }

    fn put_back(&self, turn: Turn) {
        if !turn.session.is_closed() {
            self.idle.borrow_mut().push(turn.session);
        }
    }
}

/// A run of a closure that did not succeed.
struct Unsuccessful {
    /// None where the closure failed by itself: then it knows.
    error: Option<Error>,
    retry: Retry,
}

impl From<Failure> for Unsuccessful {
    fn from(Failure { error, retry }: Failure) -> Self {
        Self { error: Some(error), retry }
    }
}

impl From<Error> for Unsuccessful {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}

impl Desk {
    /// Runs a closure, again if need be, until there is an answer.
    async fn settle(&self, mode: Mode, job: &mut dyn Job) {
        let (mut contended, mut lost) = (0, 0);
        loop {
            let done = match mode {
                Mode::Read => self.read(job).await,
                Mode::Write => self.transaction(&self.writers, "BEGIN", job).await,
                Mode::Scan => {
                    self.transaction(&self.scanners, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", job)
                        .await
                }
            };
            let Err(Unsuccessful { error, retry }) = done else { return };
            let (count, limit) = match retry {
                Retry::No => (&mut lost, 0),
                Retry::Contention => (&mut contended, CONTENTION_ATTEMPTS),
                Retry::Lost => (&mut lost, LOST_ATTEMPTS),
            };
            *count += 1;
            if *count >= limit {
                return error.into_iter().for_each(|error| job.fail(error));
            }
            job.reset();
            self.ground.meter.retries.increment(1);
            tokio::time::sleep(self.pause(*count)).await;
        }
    }

    /// Between nothing and the whole of a doubling pause, so that two that met do not meet again.
    fn pause(&self, count: u32) -> Duration {
        let whole = FIRST_PAUSE.saturating_mul(1 << count.min(10)).min(LONGEST_PAUSE);
        let part = f64::from(u32::from_be_bytes(self.ground.world.random_bytes())) / f64::from(u32::MAX);
        whole.mul_f64(part)
    }

    async fn shared_reader(&self) -> Result<Rc<Session>, Error> {
        let mut reader = self.reader.lock().await;
        if let Some(session) = reader.as_ref().filter(|session| !session.is_closed()) {
            return Ok(session.clone());
        }
        let session = Rc::new(Session::new(connect(&self.target, Mode::Read, None).await?.spawn()));
        *reader = Some(session.clone());
        Ok(session)
    }

    async fn read(&self, job: &mut dyn Job) -> Result<(), Unsuccessful> {
        let session = self.shared_reader().await?;
        let mut tx = Tx::postgres(&session, Mode::Read);
        let done = timeout(WRITE_DEADLINE, job.run(&mut tx)).await.map_err(|_| too_long(WRITE_DEADLINE))?;
        if done { Ok(()) } else { Err(Unsuccessful { error: None, retry: tx.into_state().retry }) }
    }

    async fn transaction(
        &self,
        sessions: &Sessions,
        begin: &str,
        job: &mut dyn Job,
    ) -> Result<(), Unsuccessful> {
        let turn = sessions.take(self).await?;
        turn.session.client().batch_execute(begin).await.map_err(failure)?;
        let mut tx = Tx::postgres(&turn.session, sessions.mode);
        let deadline = if sessions.mode == Mode::Scan { SCAN_DEADLINE } else { WRITE_DEADLINE };
        let done = timeout(deadline, job.run(&mut tx)).await;
        let state = tx.into_state();
        let Ok(wanted) = done else {
            // A statement may still be running; the connection is given up with it.
            let cancel = turn.session.client().cancel_token();
            drop(timeout(CANCEL_PATIENCE, self.target.cancel(&cancel)).await);
            return Err(too_long(deadline).into());
        };
        if wanted && !state.failed {
            self.commit(&turn.session, state).await?;
            sessions.put_back(turn);
            return Ok(());
        }
        if turn.session.client().batch_execute("ROLLBACK").await.is_ok() {
            sessions.put_back(turn);
        }
        let swallowed = || Error::internal("a store closure answered Ok after a statement had failed");
        Err(Unsuccessful { error: wanted.then(swallowed), retry: state.retry })
    }

    async fn commit(&self, session: &Session, state: State) -> Result<(), Failure> {
        let start = Instant::now();
        if let Err(failure) = self.announce_and_commit(session, &state.changes).await {
            if matches!(failure.error, Error::Ambiguous { .. }) && !state.changes.is_empty() {
                // If it was committed, it must be heard of.
                self.ground.feed.publish(&state.changes);
                self.tell(News::Again(state.changes));
            }
            return Err(failure);
        }
        let took = start.elapsed();
        self.ground.meter.commit_seconds.record(took);
        if !state.changes.is_empty() {
            self.ground.feed.publish(&state.changes);
            self.tell(News::Committed);
            if took > OVERLAP / 3 {
                // Others may have looked past the moment that the announcement bears.
                self.tell(News::Again(state.changes));
            }
        }
        Ok(())
    }

    /// Announcements come last, so that little time passes between the moment that they bear and the one at which
    /// others can see them; the last travels together with the COMMIT.
    async fn announce_and_commit(&self, session: &Session, changes: &[Change]) -> Result<(), Failure> {
        let commit = async { session.client().batch_execute("COMMIT").await.map_err(commit_failure) };
        let Some((last, others)) = changes.split_last() else {
            return commit.await;
        };
        for change in others {
            announce(session, self.own_id(), change).await?;
        }
        session.prepare(&ANNOUNCE).await?;
        // COMMIT of a failed transaction answers success; so the announcement's own outcome counts first.
        match join(announce(session, self.own_id(), last), commit).await {
            (Ok(()), committed) => committed,
            // Lost: the announcement may have arrived, and the COMMIT with it.
            (Err(failure), _) if failure.retry == Retry::Lost => {
                Err(Error::Ambiguous { cause: Some(Arc::new(failure.error)) }.into())
            }
            (Err(failure), _) => Err(failure),
        }
    }

    /// An identifier that this node's follower passes over.
    fn own_id(&self) -> Uuid {
        let id = self.ground.world.new_uuid();
        self.tell(News::Own(id));
        id
    }

    fn tell(&self, news: News) {
        // Without a follower nobody on this node listens.
        drop(self.news.send(news));
    }
}

/// Appends one announcement.
pub(super) async fn announce(session: &Session, id: Uuid, change: &Change) -> Result<(), Failure> {
    let (tenant, topic, key) = change.row();
    session.execute(&ANNOUNCE, &params![id, tenant, topic, key]).await.map(drop)
}

fn too_long(deadline: Duration) -> Error {
    Error::Busy { reason: format!("the transaction took longer than {} s", deadline.as_secs()) }
}
