//! Following the change feed: hearing what other nodes have committed.
//!
//! A notification is only a hint to look at once; what counts is the table, which is looked at several times a second
//! anyway. Rows become visible in another order than the moments that they bear, so each look goes back by
//! [`OVERLAP`] and passes over what it has seen before.

use super::connect::{Target, connect};
use super::executor::announce;
use super::{NOW, RETENTION, Session};
use crate::change::Change;
use crate::tx::{Failure, Mode};
use crate::{Error, Ground, params, statements};
use futures_util::future::try_join;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

/// How far each look goes back. A commit that takes a third of this is announced once more.
pub(super) const OVERLAP: Duration = Duration::from_secs(9);
/// How often to look without a hint.
const POLL: Duration = Duration::from_millis(300);
/// How long to let hints gather.
const GATHER: Duration = Duration::from_millis(10);
/// How many changes one look takes in; beyond, everything counts as changed.
const LOOK_LIMIT: i64 = 50_000;
/// How long to wait before connecting again.
const PAUSE: Duration = Duration::from_millis(250);
/// How far the database's clock may step back before everything counts as changed.
const CLOCK_STEP_MICROS: i64 = 1_000_000;

statements! {
    /// What has changed since.
    SINCE = "SELECT id, at, tenant_id, topic, key FROM change WHERE at >= $1 ORDER BY at, id LIMIT $2";
}

/// What executors tell the follower.
pub(super) enum News {
    /// This announcement is about to be committed; this node will hear of it without the follower.
    Own(Uuid),
    /// They are committed: other nodes should look.
    Committed,
    /// Nobody can be sure that these were heard: announce them again.
    Again(Vec<Change>),
    /// The store is closed.
    Stop,
}

/// Starts the follower; `ready` is told when the node is up to date for the first time, or why it cannot be.
pub(super) fn start(
    target: Arc<Target>,
    ground: Ground,
    inbox: mpsc::UnboundedReceiver<News>,
    ready: oneshot::Sender<Result<(), Error>>,
) -> Result<(), Error> {
    let failed = |error| Error::unavailable_from("no thread for the change feed", error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let follower = Follower {
        target,
        ground,
        inbox,
        ready: Some(ready),
        seen: HashMap::new(),
        clock: None,
        again: Vec::new(),
        hint: false,
        stopped: false,
    };
    let serve = move || tokio::task::LocalSet::new().block_on(&runtime, follower.run());
    std::thread::Builder::new().name("store-follow".to_owned()).spawn(serve).map_err(failed)?;
    Ok(())
}

struct Follower {
    target: Arc<Target>,
    ground: Ground,
    inbox: mpsc::UnboundedReceiver<News>,
    ready: Option<oneshot::Sender<Result<(), Error>>>,
    /// Announcements that are passed over, with the moment after which no look can find them any more.
    seen: HashMap<Uuid, i64>,
    /// The database's clock at the last look.
    clock: Option<i64>,
    /// What is still to be announced again.
    again: Vec<Change>,
    /// Other nodes are to be told to look.
    hint: bool,
    stopped: bool,
}

/// Why a connection is no longer followed.
enum End {
    Stopped,
    Failed(Error),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.error)
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

impl Follower {
    async fn run(mut self) {
        loop {
            let Err(end) = self.follow().await;
            let error = match end {
                End::Stopped => return,
                End::Failed(_) if self.stopped => return,
                End::Failed(error) => error,
            };
            match self.ready.take() {
                // The store is being opened: its opener hears of it.
                Some(ready) => return drop(ready.send(Err(error))),
                None => tracing::warn!(%error, "lost the change feed; caches are bypassed until it is back"),
            }
            if tokio::time::timeout(PAUSE, self.wait_for_stop()).await.is_ok() {
                return;
            }
        }
    }

    /// Takes in news while there is no connection.
    async fn wait_for_stop(&mut self) {
        while !self.stopped {
            let news = self.inbox.recv().await;
            self.take_in(news);
        }
    }

    /// Follows on one connection for as long as it lasts.
    async fn follow(&mut self) -> Result<std::convert::Infallible, End> {
        let heard = Arc::new(Notify::new());
        // For reads and, now and then, an announcement.
        let fresh = connect(&self.target, Mode::Write, Some(heard.clone())).await?;
        let session = Session::new(fresh.spawn());
        // Engines that only speak PostgreSQL's protocol may have no notifications; then looking must do.
        let hints = session.script("LISTEN keyreeve_change").await.is_ok();
        loop {
            self.announce_again(&session).await?;
            self.look(&session).await?;
            if let Some(ready) = self.ready.take() {
                drop(ready.send(Ok(())));
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = heard.notified() => tokio::time::sleep(GATHER).await,
                news = self.inbox.recv() => {
                    self.take_in(news);
                    tokio::time::sleep(GATHER).await;
                    self.take_in_all();
                }
            }
            if self.stopped {
                return Err(End::Stopped);
            }
            if std::mem::take(&mut self.hint) && hints {
                session.script("NOTIFY keyreeve_change").await?;
            }
        }
    }

    fn take_in(&mut self, news: Option<News>) {
        match news {
            None | Some(News::Stop) => self.stopped = true,
            Some(News::Committed) => self.hint = true,
            Some(News::Own(id)) => {
                // When it is announced is not known here, but it is about now.
                let until = self.clock.unwrap_or(0).saturating_add(2 * micros(OVERLAP));
                self.seen.insert(id, until);
            }
            Some(News::Again(changes)) => self.again.extend(changes),
        }
    }

    fn take_in_all(&mut self) {
        while let Ok(news) = self.inbox.try_recv() {
            self.take_in(Some(news));
        }
    }

    async fn announce_again(&mut self, session: &Session) -> Result<(), Failure> {
        while let Some(change) = self.again.last() {
            let start = Instant::now();
            announce(session, self.ground.world.new_uuid(), change).await?;
            if start.elapsed() < OVERLAP / 3 {
                self.again.pop();
            }
        }
        Ok(())
    }

    async fn look(&mut self, session: &Session) -> Result<(), Failure> {
        // Whatever was committed before this moment is visible to the look that follows.
        let start = Instant::now();
        let since = match self.clock {
            Some(clock) => clock,
            None => now(session).await?,
        }
        .saturating_sub(micros(OVERLAP));
        let mut rows = Vec::new();
        let mut row = |row: &crate::Row<'_>| {
            let change = Change::from_row(row.get(2)?, row.get(3)?, row.get(4)?);
            rows.push((row.get::<Uuid>(0)?, row.get::<i64>(1)?, change));
            Ok(())
        };
        let limits = params![since, LOOK_LIMIT];
        let (clock, ()) = try_join(now(session), session.each(&SINCE, &limits, &mut row)).await?;
        // Of its own announcements this node was told before they could be among the rows.
        self.take_in_all();
        let too_many = rows.len() >= usize::try_from(LOOK_LIMIT).unwrap_or(usize::MAX);
        let mut changes = Vec::new();
        for (id, at, change) in rows {
            if self.seen.insert(id, at.saturating_add(micros(OVERLAP))).is_none() {
                changes.push(change);
            }
        }
        if too_many || self.may_have_missed(clock) {
            changes = vec![Change::Everything];
        }
        self.ground.feed.publish(&changes);
        self.ground.feed.current_as_of(start, clock);
        self.clock = Some(clock);
        self.seen.retain(|_, until| *until >= clock.saturating_sub(micros(OVERLAP)));
        Ok(())
    }

    /// The database's clock was set back, or this node was away for so long that announcements may be gone.
    fn may_have_missed(&self, clock: i64) -> bool {
        self.clock.is_some_and(|before| {
            clock < before.saturating_sub(CLOCK_STEP_MICROS)
                || clock.saturating_sub(before) > micros(RETENTION) / 2
        })
    }
}

async fn now(session: &Session) -> Result<i64, Failure> {
    let mut clock = None;
    session
        .each(&NOW, &[], &mut |row| {
            clock = Some(row.get(0)?);
            Ok(())
        })
        .await?;
    clock.ok_or_else(|| Error::NotFound.into())
}
