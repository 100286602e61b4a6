//! Mail that waits to be sent.
//!
//! A message is written in the transaction of what it tells of, so that neither is without the other, and sealed, since
//! it holds a token. Whoever sends takes it for a while by one conditional UPDATE, so that of two nodes one does; if that
//! one dies, it is taken again when the while is over. Once it was handed over, or given up, its content is erased.

use super::{LinkKind, Recovery};
use crate::{Cause, Error, Identity, schema};
use keyreeve_audit::{Event, Outcome};
use keyreeve_base::{MailId, TenantId, Timestamp, UserId};
use keyreeve_mail::Message;
use keyreeve_store::{Row, Tx, params};
use serde_json::json;
use std::time::Duration;

/// For how long whoever took a message has it. Longer than sending may take.
const LEASE: Duration = Duration::from_secs(120);
/// The pause after the first failure; each further one is four times as long.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// After so many attempts a message is given up.
const MAX_ATTEMPTS: i64 = 12;
/// For how long it is known that a message was sent.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// The most messages that a list shows.
const MAX_LISTED: i64 = 100;
/// How many rows one statement of the pruning touches.
const PRUNE_BATCH: i64 = 500;

/// What the content of a message is bound to.
pub(crate) fn bound_to(mail: &uuid::Uuid) -> [&[u8]; 2] {
    [b"outgoing mail", mail.as_bytes()]
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MailState {
    /// It waits, for its first attempt or a further one.
    Queued,
    /// A mail server took it.
    Sent,
    /// It was given up.
    Failed,
    /// It was not sent, because its link was dead before that.
    Dropped,
}

impl MailState {
    /// Its name in the database.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// A message as administrators see it: never what it says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MailRecord {
    /// The message.
    pub id: MailId,
    /// What it is for.
    pub kind: LinkKind,
    /// Where it stands.
    pub state: MailState,
    /// When it was written.
    pub queued_at: Timestamp,
    /// When it is tried again, while it waits.
    pub next_at: Option<Timestamp>,
    /// How often it was tried.
    pub attempts: i64,
    /// Why the last attempt failed.
    pub problem: Option<String>,
    /// When it was sent, given up or dropped.
    pub done_at: Option<Timestamp>,
}

impl MailRecord {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let state = match row.get::<String>(2)?.as_str() {
            "queued" => MailState::Queued,
            "sent" => MailState::Sent,
            "dropped" => MailState::Dropped,
            _ => MailState::Failed,
        };
        Ok(Self {
            id: row.get(0)?,
            kind: row.get(1)?,
            state,
            queued_at: row.get(3)?,
            next_at: Some(row.get(4)?).filter(|_| state == MailState::Queued),
            attempts: row.get(5)?,
            problem: row.get(6)?,
            done_at: row.get(7)?,
        })
    }
}

/// A message that its holder must send now.
pub struct Outgoing {
    /// The message's identifier; the same whenever it is tried again.
    pub id: MailId,
    /// What it says, and to whom.
    pub message: Message,
    claimed: Claimed,
}

#[derive(Clone)]
struct Claimed {
    id: MailId,
    tenant: TenantId,
    user: UserId,
    kind: LinkKind,
    attempts: i64,
    expires_at: Timestamp,
}

/// How sending ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// A server took it.
    Sent,
    /// It may work later; says why it did not.
    Later(String),
    /// It never will; says why.
    Never(String),
}

/// The use cases of mail that waits to be sent.
#[derive(Clone, Copy)]
pub struct Outbox<'a>(pub(super) &'a Identity);

impl Recovery<'_> {
    /// A user's mail, newest first; at most 100.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn mail_of(self, tenant: TenantId, user: UserId) -> Result<Vec<MailRecord>, Error> {
        self.0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                let of = &params![tenant, user, MAX_LISTED];
                Ok(tx.query(&schema::MAIL_OF, of, MailRecord::from_row).await?)
            })
            .await
    }
}

impl Outbox<'_> {
    /// How many messages wait to be sent, now or later.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn waiting(self) -> Result<u64, Error> {
        let count = async move |tx: &mut Tx<'_>| Ok(tx.scalar(&schema::WAITING_MAIL, &[]).await?);
        self.0.store().read(count).await
    }

    /// Takes up to `limit` messages that are to be sent now. Each must be sent within two minutes and then be
    /// [settled](Outbox::settle).
    ///
    /// # Errors
    /// Those of the store; [`Error::MasterKey`].
    pub async fn claim(self, limit: u16) -> Result<Vec<Outgoing>, Error> {
        let now = self.0.world().now();
        let limit = i64::from(limit);
        // Most rounds find nothing, so they write nothing.
        let due = self
            .0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                tx.query(&schema::DUE_MAIL, &params![now, limit], |row| {
                    Ok((row.get::<MailId>(0)?, row.get::<i64>(1)?))
                })
                .await
            })
            .await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let claimed =
            self.0.store().write(async move |tx: &mut Tx<'_>| claim_all(tx, &due, now).await).await?;
        let mut outgoing = Vec::with_capacity(claimed.len());
        for (claimed, sealed) in claimed {
            match self.open(&claimed, &sealed).await {
                Ok(message) => outgoing.push(Outgoing { id: claimed.id, message, claimed }),
                Err(Error::Seal(_)) => {
                    let never = SendOutcome::Never("the message cannot be opened".to_owned());
                    self.finish(claimed, never).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(outgoing)
    }

    async fn open(self, claimed: &Claimed, sealed: &[u8]) -> Result<Message, Error> {
        let id = claimed.id.uuid();
        let opened = self.0.tenants().open(claimed.tenant, &bound_to(&id), sealed).await?;
        Message::from_bytes(opened.expose())
            .map_err(|error| keyreeve_store::Error::corrupt(error.to_string()).into())
    }

    /// Says how sending ended. A message that was not taken waits for its next attempt, after a growing pause; after
    /// twelve, or when its link would be dead by then, it is given up, and the audit log says so.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn settle(self, outgoing: Outgoing, outcome: SendOutcome) -> Result<(), Error> {
        self.finish(outgoing.claimed, outcome).await
    }

    async fn finish(self, claimed: Claimed, outcome: SendOutcome) -> Result<(), Error> {
        let identity = self.0.clone();
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let now = identity.world().now();
                let (id, attempts) = (claimed.id, claimed.attempts);
                let (state, problem) = match &outcome {
                    SendOutcome::Sent => (MailState::Sent, None),
                    SendOutcome::Never(why) => (MailState::Failed, Some(why.as_str())),
                    SendOutcome::Later(why) => {
                        let next_at = now.plus(pause(attempts));
                        if attempts < MAX_ATTEMPTS && next_at < claimed.expires_at {
                            tx.execute(&schema::PUT_OFF_MAIL, &params![id, attempts, next_at, why]).await?;
                            return Ok(());
                        }
                        (MailState::Failed, Some(why.as_str()))
                    }
                };
                let state = state.text();
                let finished =
                    tx.execute(&schema::FINISH_MAIL, &params![id, attempts, state, problem, now]).await?;
                if finished == 0 {
                    // Its link died meanwhile, or somebody else has it: nothing to say.
                    return Ok(());
                }
                record(tx, &identity, &claimed, problem).await
            })
            .await
    }

    pub(super) async fn prune(self) -> Result<u64, Error> {
        let mut touched = 0_u64;
        loop {
            let identity = self.0.clone();
            let batch = self
                .0
                .store()
                .write(async move |tx: &mut Tx<'_>| {
                    let now = identity.world().now();
                    let expired = tx
                        .query(&schema::EXPIRE_MAIL, &params![now, PRUNE_BATCH], |row| {
                            Ok(Claimed {
                                id: row.get(0)?,
                                tenant: row.get(1)?,
                                user: row.get(2)?,
                                kind: row.get(3)?,
                                attempts: row.get(4)?,
                                expires_at: now,
                            })
                        })
                        .await?;
                    for claimed in &expired {
                        record(tx, &identity, claimed, Some("it was not sent in its time")).await?;
                    }
                    let before = now.minus(KEPT);
                    let forgotten = tx.execute(&schema::PRUNE_MAIL, &params![before, PRUNE_BATCH]).await?;
                    Ok::<_, Error>(forgotten.saturating_add(expired.len() as u64))
                })
                .await?;
            touched = touched.saturating_add(batch);
            if batch == 0 {
                return Ok(touched);
            }
        }
    }
}

async fn claim_all(
    tx: &mut Tx<'_>,
    due: &[(MailId, i64)],
    now: Timestamp,
) -> Result<Vec<(Claimed, Vec<u8>)>, Error> {
    let mut all = Vec::with_capacity(due.len());
    for (id, attempts) in due {
        let until = now.plus(LEASE);
        let claimed = tx
            .query_opt(&schema::CLAIM_MAIL, &params![*id, *attempts, now, until], |row| {
                let claimed = Claimed {
                    id: *id,
                    tenant: row.get(0)?,
                    user: row.get(1)?,
                    kind: row.get(2)?,
                    attempts: row.get(3)?,
                    expires_at: row.get(5)?,
                };
                Ok((claimed, row.get::<Option<Vec<u8>>>(4)?.unwrap_or_default()))
            })
            .await?;
        all.extend(claimed);
    }
    Ok(all)
}

/// Records that a message was sent, or given up.
async fn record(
    tx: &mut Tx<'_>,
    identity: &Identity,
    claimed: &Claimed,
    problem: Option<&str>,
) -> Result<(), Error> {
    let outcome = if problem.is_none() { "sent" } else { "given_up" };
    metrics::counter!("keyreeve_mail_total", "kind" => claimed.kind.text(), "outcome" => outcome)
        .increment(1);
    let cause = Cause::system();
    let event = Event {
        tenant: claimed.tenant,
        actor: cause.actor,
        action: "mail.send",
        target: Some(("user", claimed.user.to_string())),
        outcome: if problem.is_none() { Outcome::Success } else { Outcome::Refused },
        reason: problem,
        origin: &cause.origin,
        detail: json!({"mail": claimed.id, "kind": claimed.kind, "attempts": claimed.attempts}),
    };
    keyreeve_audit::record(tx, identity.world(), &event).await?;
    Ok(())
}

/// The pause after so many attempts.
fn pause(attempts: i64) -> Duration {
    let exponent = u32::try_from(attempts.saturating_sub(1).clamp(0, 8)).unwrap_or(0);
    FIRST_PAUSE.saturating_mul(4_u32.saturating_pow(exponent)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_hour() {
        let seconds = |attempts| pause(attempts).as_secs();
        assert_eq!(
            [1, 2, 3, 4, 5, 6, 12, i64::MAX].map(seconds),
            [15, 60, 240, 960, 3_600, 3_600, 3_600, 3_600]
        );
        assert_eq!(pause(0), FIRST_PAUSE);
    }
}
