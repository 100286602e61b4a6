//! Clearing away what counts for nothing any more, in bounded steps: resources that were removed, with what lay below
//! them, and grants that have ended, or whose subject or permission is gone.
//!
//! No answer waits for it: whatever is swept was of no account before. So it has no entries in the audit log either;
//! those are with what made it so.

use crate::engine::NODE_TOPIC;
use crate::grants::PartyKind;
use crate::{Error, Sharing, schema};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_store::{Tx, params};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// Removed resources that one round looks at.
const GONE: i64 = 100;
/// Rows below or on one of them that one round removes.
const ROWS: i64 = 1_000;
/// Grants that one round looks at.
const GRANTS: i64 = 2_000;
/// How old a grant is before its subject is looked for: one that was made for somebody new is left alone until every node
/// knows them.
const SETTLED: Duration = Duration::from_secs(60);

/// How far the round over all grants has come.
#[derive(Default)]
pub(crate) struct Sweeper(Mutex<Place>);

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    resource: i64,
    party: Uuid,
    permission: i64,
}

/// What a round of sweeping did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Rows of resources that were removed, or found to be gone with what lay above.
    pub resources: u64,
    /// Rows of grants that were removed.
    pub grants: u64,
    /// There is more to do at once.
    pub more: bool,
    /// The round over all grants came to its end.
    pub complete: bool,
}

/// A grant that may have to go.
struct Suspect {
    place: Place,
    kind: PartyKind,
    expires_at: Option<Timestamp>,
    tenant: TenantId,
    created_at: Timestamp,
}

impl Sharing {
    /// One bounded round of sweeping; for a background job, on as many nodes as there are.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn sweep(&self) -> Result<Swept, Error> {
        let mut swept = self.sweep_resources().await?;
        let (grants, complete) = self.sweep_grants().await?;
        swept.grants = swept.grants.saturating_add(grants);
        swept.complete = complete && !swept.more;
        Ok(swept)
    }

    /// Clears away some of the resources that were removed.
    pub(crate) async fn sweep_resources(&self) -> Result<Swept, Error> {
        let gone = self
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                tx.query(&schema::GONE, &params![GONE], |row| {
                    Ok((row.get::<i64>(0)?, row.get::<TenantId>(1)?))
                })
                .await
            })
            .await?;
        let mut swept =
            Swept { more: i64::try_from(gone.len()).is_ok_and(|found| found >= GONE), ..Swept::default() };
        for (key, tenant) in gone {
            let write = async move |tx: &mut Tx<'_>| sweep_one(tx, tenant, key).await;
            match self.store().write(write).await {
                Ok((resources, grants, more)) => {
                    swept.resources = swept.resources.saturating_add(resources);
                    swept.grants = swept.grants.saturating_add(grants);
                    swept.more |= more;
                }
                // Another node is at it, or somebody has just put something there; next time.
                Err(Error::Store(
                    keyreeve_store::Error::ForeignKey | keyreeve_store::Error::Conflict { .. },
                )) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(swept)
    }

    async fn sweep_grants(&self) -> Result<(u64, bool), Error> {
        let from = *self.sweeper().0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = async move |tx: &mut Tx<'_>| {
            let page = params![from.resource, from.party, from.permission, GRANTS];
            tx.query(&schema::GRANTS_FROM, &page, |row| {
                Ok(Suspect {
                    place: Place { resource: row.get(0)?, party: row.get(1)?, permission: row.get(2)? },
                    kind: row.get(3)?,
                    expires_at: row.get(4)?,
                    tenant: row.get(5)?,
                    created_at: row.get(6)?,
                })
            })
            .await
        };
        let suspects: Vec<Suspect> = self.store().read(read).await?;
        let complete = i64::try_from(suspects.len()).is_ok_and(|found| found < GRANTS);
        let next = suspects.last().filter(|_| !complete).map(|suspect| suspect.place).unwrap_or_default();
        let now = self.world().now();
        let mut dead = Vec::new();
        for suspect in suspects {
            if self.is_dead(&suspect, now).await? {
                dead.push((suspect.tenant, suspect.place));
            }
        }
        let grants = if dead.is_empty() {
            0
        } else {
            let write = async move |tx: &mut Tx<'_>| {
                let settled = now.minus(SETTLED);
                let rows: Vec<_> = dead
                    .iter()
                    .map(|(_, place)| {
                        let Place { resource, party, permission } = place;
                        params![*resource, *party, *permission, now, settled]
                    })
                    .collect();
                let removed = tx.execute_each(&schema::SWEEP_GRANT, &rows).await?;
                if dead.len() > 100 {
                    // Names none, so all nodes are forgotten.
                    tx.changed(None, NODE_TOPIC, "*").await?;
                } else {
                    for (tenant, place) in &dead {
                        tx.changed(Some(*tenant), NODE_TOPIC, &place.resource.to_string()).await?;
                    }
                }
                Ok::<_, Error>(removed.into_iter().sum())
            };
            self.store().write(write).await?
        };
        *self.sweeper().0.lock().unwrap_or_else(PoisonError::into_inner) = next;
        Ok((grants, complete))
    }

    async fn is_dead(&self, suspect: &Suspect, now: Timestamp) -> Result<bool, Error> {
        if suspect.expires_at.is_some_and(|end| end <= now) {
            return Ok(true);
        }
        if suspect.created_at > now.minus(SETTLED) {
            return Ok(false);
        }
        if self.model(suspect.tenant).await?.name_of(suspect.place.permission).is_none() {
            return Ok(true);
        }
        let party = suspect.kind.party(suspect.place.party);
        Ok(!self.exists(suspect.tenant, party).await?)
    }
}

/// Removes one resource's rows as far as one transaction goes: buries its children, which are swept like it then, removes
/// its grants, and at last itself. Answers how many of each, and whether there is more to do.
async fn sweep_one(tx: &mut Tx<'_>, tenant: TenantId, key: i64) -> Result<(u64, u64, bool), Error> {
    let children = tx.query(&schema::CHILDREN_OF_GONE, &params![key, ROWS], |row| row.get::<i64>(0)).await?;
    let rows: Vec<_> = children.iter().map(|child| params![tenant, *child]).collect();
    let buried: u64 = tx.execute_each(&schema::BURY_RESOURCE, &rows).await?.into_iter().sum();
    let grants = tx.execute(&schema::SWEEP_GRANTS, &params![key, ROWS]).await?;
    let full = i64::try_from(children.len()).is_ok_and(|found| found >= ROWS)
        || i64::try_from(grants).is_ok_and(|found| found >= ROWS);
    if full {
        return Ok((0, grants, true));
    }
    let removed = tx.execute(&schema::DELETE_RESOURCE, &params![key]).await?;
    Ok((removed, grants, buried > 0))
}
