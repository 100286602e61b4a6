//! Work that no request waits for. Each job does a bounded piece of work, survives its errors (logged, with a growing
//! pause), and ends with the server.
//!
//! To add a job: a function that does one round, and a line in [`Jobs::start`].

use crate::App;
use keyreeve_identity::SendOutcome;
use keyreeve_mail::SendError;
use keyreeve_store::{Engine, Tx};
use metrics_exporter_prometheus::PrometheusHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument as _;

/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Tenants that are looked at between two reads.
const TENANTS_PER_PAGE: u16 = 100;

/// Messages that are handed over at the same time.
const MAILS_AT_A_TIME: u16 = 8;

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// Nothing more to do for now.
    Done,
    /// It stopped at its bound; go on at once.
    More,
}

type RoundResult = Result<Round, Box<dyn std::error::Error + Send + Sync>>;

/// The running jobs of one server.
#[derive(Debug)]
pub struct Jobs {
    running: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Jobs {
    /// Starts every job that this server needs.
    #[must_use]
    pub fn start(app: &App) -> Self {
        let mut jobs = Self { running: JoinSet::new(), stop: watch::Sender::new(false) };
        if app.store.engine() == Engine::Postgres {
            // On SQLite each entry gets its place in the chain as it is written.
            jobs.spawn(app, "audit-seal", Duration::from_millis(250), seal_audit);
        }
        jobs.spawn(app, "signing-keys", Duration::from_secs(600), maintain_keys);
        jobs.spawn(app, "reseal", Duration::from_secs(1), reseal);
        jobs.spawn(app, "data_keys", Duration::from_secs(3_600), destroy_data_keys);
        jobs.spawn(app, "webhooks", Duration::from_millis(500), deliver_webhooks);
        jobs.spawn(app, "logouts", Duration::from_secs(2), tell_of_logouts);
        jobs.spawn(app, "sharing_sweep", Duration::from_secs(10), sweep_sharing);
        jobs.spawn(app, "secrets_sweep", Duration::from_secs(30), sweep_secrets);
        jobs.spawn(app, "prune", Duration::from_secs(300), prune);
        jobs.spawn(app, "search_keys", Duration::from_secs(3_600), refresh_keys);
        if app.compat.is_some() {
            jobs.spawn(app, "compat", Duration::from_millis(500), deliver_of_dialects);
        }
        if app.mailer.is_some() {
            jobs.spawn(app, "mail", Duration::from_secs(1), send_mail);
        }
        if let Some(recorder) = app.metrics().cloned() {
            jobs.spawn(app, "metrics", Duration::from_secs(5), move |app| upkeep(app, recorder.clone()));
        }
        jobs
    }

    fn spawn<F>(
        &mut self,
        app: &App,
        name: &'static str,
        every: Duration,
        round: impl Fn(App) -> F + Send + 'static,
    ) where
        F: Future<Output = RoundResult> + Send,
    {
        let (app, mut stop) = (app.clone(), self.stop.subscribe());
        self.running.spawn(async move {
            let mut failures = 0_u32;
            loop {
                let began = Instant::now();
                let ended = round(app.clone()).instrument(tracing::debug_span!("job", job = name)).await;
                metrics::histogram!("keyreeve_job_seconds", "job" => name).record(began.elapsed());
                let pause = pause(every, ended.as_ref().ok().copied(), &mut failures);
                if let Err(error) = ended {
                    metrics::counter!("keyreeve_job_failures_total", "job" => name).increment(1);
                    tracing::warn!(job = name, error = %error, failures, "a background job failed; it goes on later");
                }
                // Between two rounds only: a round is never cut.
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
    }

    /// Ends the jobs, each after the round that it is in.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.running.join_next().await.is_some() {}
    }
}

/// The pause after a round: none when there is more to do, growing while it fails.
fn pause(every: Duration, ended: Option<Round>, failures: &mut u32) -> Duration {
    match ended {
        Some(Round::More) => {
            *failures = 0;
            Duration::ZERO
        }
        Some(Round::Done) => {
            *failures = 0;
            every
        }
        None => {
            *failures = failures.saturating_add(1);
            let grown = every.saturating_mul(1_u32.checked_shl(*failures).unwrap_or(u32::MAX));
            grown.clamp(every, LONGEST_PAUSE.max(every))
        }
    }
}

async fn seal_audit(app: App) -> RoundResult {
    let sealed = app.store.write(async |tx: &mut Tx<'_>| keyreeve_audit::seal(tx).await).await;
    match sealed {
        Ok(0) => Ok(Round::Done),
        Ok(_) => Ok(Round::More),
        // Another node is at it.
        Err(keyreeve_store::Error::Conflict { .. }) => Ok(Round::Done),
        Err(error) => Err(error.into()),
    }
}

/// Clears away what is left of removed resources, and grants that count for nothing any more.
async fn sweep_sharing(app: App) -> RoundResult {
    let swept = app.sharing.sweep().await?;
    Ok(if swept.more { Round::More } else { Round::Done })
}

/// Clears away secrets that are gone with what lay above them, and versions that were kept long enough; announces what ends soon.
async fn sweep_secrets(app: App) -> RoundResult {
    let (_, more) = app.secrets.sweep().await?;
    let (_, aged) = app.secrets.sweep_aged().await?;
    let (announced, also) = app.secrets.announce_expiring().await?;
    if announced > 0 {
        tracing::info!(announced, "secrets that end soon were announced");
    }
    let more = more || aged || also;
    Ok(if more { Round::More } else { Round::Done })
}

/// Seals anew what lies under a data key that was changed.
async fn reseal(app: App) -> RoundResult {
    Ok(if app.reseal_all().await? { Round::More } else { Round::Done })
}

/// Destroys data keys when nothing that they sealed is in use any more.
async fn destroy_data_keys(app: App) -> RoundResult {
    let keys = app.destroy_data_keys().await?;
    if keys > 0 {
        tracing::info!(keys, "data keys that nothing needs any more were destroyed");
    }
    Ok(Round::Done)
}

async fn deliver_webhooks(app: App) -> RoundResult {
    app.events.deliver().await?;
    Ok(Round::Done)
}

/// Sends what dialects send later.
async fn deliver_of_dialects(app: App) -> RoundResult {
    Ok(if app.compat.deliver().await? { Round::More } else { Round::Done })
}

/// Cares for the signing keys of every tenant. One tenant's trouble is not another's.
async fn maintain_keys(app: App) -> RoundResult {
    let mut after = None;
    let mut first_failure = None;
    loop {
        let page = app.identity.tenants().list(after, TENANTS_PER_PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for tenant in page.iter().filter(|tenant| tenant.is_active()) {
            if let Err(error) = app.tokens.keys().maintain(tenant.id).await {
                tracing::warn!(tenant = %tenant.slug, %error, "the signing keys could not be cared for");
                first_failure.get_or_insert(error);
            }
        }
    }
    first_failure.map_or(Ok(Round::Done), |error| Err(error.into()))
}

/// Derives what users and groups are found by where an older version of the program stored them.
async fn refresh_keys(app: App) -> RoundResult {
    match app.identity.users().refresh().await? {
        0 => Ok(Round::Done),
        rows => {
            tracing::info!(rows, "users and groups of an older version can be searched for");
            Ok(Round::More)
        }
    }
}

/// Tells clients of sessions that have ended.
async fn tell_of_logouts(app: App) -> RoundResult {
    let taken = app.tokens.spread_logouts().await?;
    let tried = app.tokens.deliver_logouts().await?;
    Ok(if taken > 0 || tried > 0 { Round::More } else { Round::Done })
}

/// Forgets what has expired: announced changes, sessions, counters of attempts, codes, grants, used assertions.
async fn prune(app: App) -> RoundResult {
    let pruned = [
        ("changes", app.store.prune_changes().await.map_err(crate::Error::from)?),
        ("sessions", app.identity.sessions().prune().await?),
        ("counters", app.identity.admission().prune().await?),
        ("recovery", app.identity.recovery().prune().await?),
        ("tokens", app.tokens.prune().await?),
        ("webhook_deliveries", app.events.prune().await?),
        ("requests", app.identity.prune_requests().await?),
        ("leases", app.secrets.prune().await?.0),
    ];
    for (what, rows) in pruned {
        if rows > 0 {
            metrics::counter!("keyreeve_pruned_rows_total", "kind" => what).increment(rows);
            tracing::debug!(what, rows, "expired rows were forgotten");
        }
    }
    Ok(Round::Done)
}

/// Hands over the mail that waits. What a mail server does not take is no failure of the job: it waits for its next
/// attempt.
async fn send_mail(app: App) -> RoundResult {
    let Some(mailer) = &app.mailer else { return Ok(Round::Done) };
    let outbox = app.identity.recovery().outbox();
    let waiting = outbox.claim(MAILS_AT_A_TIME).await?;
    let round = if waiting.len() < usize::from(MAILS_AT_A_TIME) { Round::Done } else { Round::More };
    let mut sending = JoinSet::new();
    for outgoing in waiting {
        let mailer = mailer.clone();
        sending.spawn(async move {
            let sent = mailer.send(outgoing.id.uuid(), &outgoing.message).await;
            (outgoing, sent)
        });
    }
    while let Some(joined) = sending.join_next().await {
        let (outgoing, sent) = joined?;
        let outcome = match sent {
            Ok(()) => SendOutcome::Sent,
            Err(error) => {
                tracing::warn!(mail = %outgoing.id, %error, "a message could not be sent");
                match error {
                    SendError::Temporary(why) => SendOutcome::Later(why),
                    SendError::Permanent(why) => SendOutcome::Never(why),
                }
            }
        };
        outbox.settle(outgoing, outcome).await?;
    }
    Ok(round)
}

async fn upkeep(app: App, recorder: PrometheusHandle) -> RoundResult {
    recorder.run_upkeep();
    let waiting = app.tokens.waiting_logouts().await?;
    #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
    metrics::gauge!("keyreeve_logout_queue_length").set(waiting as f64);
    if app.mailer.is_some() {
        let waiting = app.identity.recovery().outbox().waiting().await?;
        #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!("keyreeve_mail_queue_length").set(waiting as f64);
    }
    Ok(Round::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_failures_and_end_with_a_success() {
        let (every, mut failures) = (Duration::from_secs(10), 0);
        assert_eq!(pause(every, Some(Round::More), &mut failures), Duration::ZERO);
        assert_eq!(pause(every, None, &mut failures), Duration::from_secs(20));
        assert_eq!(pause(every, None, &mut failures), Duration::from_secs(40));
        for _ in 0..100 {
            assert!(pause(every, None, &mut failures) <= LONGEST_PAUSE);
        }
        assert_eq!(pause(every, Some(Round::Done), &mut failures), every);
        assert_eq!(pause(every, None, &mut failures), Duration::from_secs(20));
        let rare = Duration::from_secs(600);
        assert_eq!(pause(rare, None, &mut failures), rare, "never sooner than a success would");
    }
}
