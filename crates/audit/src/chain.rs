//! The hash chain: sealing and verifying.

use crate::event::{Entry, MAX_PAGE};
use crate::schema;
use aws_lc_rs::digest::{Context, SHA256, digest};
use keyreeve_base::id::AuditId;
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_store::{Error, Tx, params};

/// How many entries one call of [`seal`] places at most, so that no transaction grows without bound.
const SEAL_BATCH: i64 = 1_000;

/// The end of a chain: how long it is, and the hash that stands for all of it. Whoever notes a head elsewhere can
/// later tell whether the log up to there is still the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The number of sealed entries.
    pub seq: i64,
    /// The hash of the last one.
    pub hash: Vec<u8>,
}

impl Head {
    /// What an empty chain ends in: a constant that no other tenant shares.
    pub(crate) fn genesis(tenant: TenantId) -> Self {
        let mut digest = Context::new(&SHA256);
        digest.update(b"keyreeve audit chain v1");
        digest.update(tenant.uuid().as_bytes());
        Self { seq: 0, hash: digest.finish().as_ref().to_vec() }
    }

    pub(crate) async fn load(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Self, Error> {
        let stored = tx
            .query_opt(&schema::HEAD, &params![tenant], |row| {
                Ok(Self { seq: row.get(0)?, hash: row.get(1)? })
            })
            .await?;
        Ok(stored.unwrap_or_else(|| Self::genesis(tenant)))
    }

    /// Claims the numbers up to `self.seq`. On PostgreSQL the update waits for a sealer that is under way and then
    /// finds the head moved; the caller gives way.
    async fn advance(&self, tx: &mut Tx<'_>, tenant: TenantId, from: i64) -> Result<bool, Error> {
        let rows = if from == 0 {
            tx.execute(&schema::START_HEAD, &params![tenant, self.seq, &self.hash]).await?
        } else {
            tx.execute(&schema::MOVE_HEAD, &params![tenant, from, self.seq, &self.hash]).await?
        };
        Ok(rows == 1)
    }
}

impl std::fmt::Display for Head {
    /// `SEQ:HEX`, as the command line prints and takes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.seq)?;
        self.hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What an entry's hash covers, besides its place.
pub(crate) struct Content<'a> {
    pub(crate) id: AuditId,
    pub(crate) tenant: TenantId,
    pub(crate) at: Timestamp,
    /// The texts, in the order of the table's columns.
    pub(crate) texts: [Option<&'a str>; 11],
}

/// The hash of an entry behind `previous`: SHA-256 over every field, each with its length before it, so that no two
/// different entries can read the same.
pub(crate) fn link(previous: &[u8], seq: i64, content: &Content<'_>) -> Vec<u8> {
    // Put together first: the digest is then made in one go.
    let mut bytes = Vec::with_capacity(640);
    let mut field = |field: Option<&[u8]>| match field {
        None => bytes.push(0),
        Some(field) => {
            bytes.push(1);
            bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
            bytes.extend_from_slice(field);
        }
    };
    field(Some(previous));
    field(Some(&seq.to_be_bytes()));
    field(Some(content.id.uuid().as_bytes()));
    field(Some(content.tenant.uuid().as_bytes()));
    field(Some(&content.at.micros().to_be_bytes()));
    for text in content.texts {
        field(text.map(str::as_bytes));
    }
    digest(&SHA256, &bytes).as_ref().to_vec()
}

/// The place of an entry in its tenant's chain.
pub(crate) struct Place {
    pub(crate) seq: i64,
    pub(crate) previous: Vec<u8>,
    pub(crate) hash: Vec<u8>,
}

/// Takes the next place in the chain for an entry that is about to be inserted, where no other writer can be waiting for
/// the head; elsewhere none, and [`seal`] gives it one later.
pub(crate) async fn next_place(tx: &mut Tx<'_>, content: &Content<'_>) -> Result<Option<Place>, Error> {
    if !tx.writes_alone() {
        return Ok(None);
    }
    let start = Head::load(tx, content.tenant).await?;
    let seq = start.seq + 1;
    let head = Head { seq, hash: link(&start.hash, seq, content) };
    if !head.advance(tx, content.tenant, start.seq).await? {
        return Err(Error::conflict("audit_head"));
    }
    Ok(Some(Place { seq, previous: start.hash, hash: head.hash }))
}

/// Places the oldest waiting entries of all tenants in their chains, at most a thousand; answers how many it placed.
///
/// # Errors
/// Those of the store; [`Error::Conflict`] when another node is sealing the same chain, in which case nothing is
/// placed and the next call goes on from there.
pub async fn seal(tx: &mut Tx<'_>) -> Result<usize, Error> {
    let waiting = tx.query(&schema::UNSEALED, &params![SEAL_BATCH], Entry::from_row).await?;
    let placed = waiting.len();
    let mut rest = waiting;
    while let Some(first) = rest.first() {
        let tenant = first.tenant_id;
        let (own, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|entry| entry.tenant_id == tenant);
        rest = others;
        seal_tenant(tx, tenant, &own).await?;
    }
    Ok(placed)
}

async fn seal_tenant(tx: &mut Tx<'_>, tenant: TenantId, entries: &[Entry]) -> Result<(), Error> {
    let start = Head::load(tx, tenant).await?;
    let mut head = start.clone();
    let mut places = Vec::with_capacity(entries.len());
    for entry in entries {
        let seq = head.seq + 1;
        let hash = link(&head.hash, seq, &entry.content());
        places.push((entry.id, seq, std::mem::replace(&mut head.hash, hash.clone()), hash));
        head.seq = seq;
    }
    // The head first: it is what two sealers would meet at.
    if !head.advance(tx, tenant, start.seq).await? {
        return Err(Error::conflict("audit_head"));
    }
    for (id, seq, previous, hash) in places {
        if tx.execute(&schema::PLACE, &params![id, seq, previous, hash]).await? != 1 {
            return Err(Error::conflict("audit_entry"));
        }
    }
    Ok(())
}

/// Where the chain of `tenant` ends at this moment. The numbers up to it have no gaps.
///
/// # Errors
/// Those of the store.
pub async fn head(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Head, Error> {
    Head::load(tx, tenant).await
}

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Sealed entries that were walked.
    pub checked: i64,
    /// Entries recorded but not yet sealed (PostgreSQL only, for a fraction of a second).
    pub waiting: i64,
    /// The head that the walk arrived at.
    pub head: Head,
    /// Whether the chain holds.
    pub verdict: Verdict,
}

/// Whether a chain holds, and if not, where it breaks first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every entry follows from its predecessor, and the last one is the recorded head.
    Intact,
    /// The number that should follow is not there: an entry was removed.
    Missing {
        /// The first number that is absent.
        seq: i64,
    },
    /// The entry's content or its link to the predecessor was changed.
    Altered {
        /// Its number.
        seq: i64,
    },
    /// All entries follow from each other, but the recorded head says otherwise: the end was cut off or replaced.
    HeadDiffers {
        /// The recorded length.
        recorded: i64,
    },
    /// The chain holds, but does not pass through the head that the caller noted earlier.
    NotTheExpected {
        /// The number of the noted head.
        seq: i64,
    },
}

/// Walks the chain of `tenant` from its start. With `expected`, the walk must also pass through that head, noted at
/// an earlier time: that proves that nobody rewrote the whole log since.
///
/// # Errors
/// Those of the store.
pub async fn verify(tx: &mut Tx<'_>, tenant: TenantId, expected: Option<&Head>) -> Result<Report, Error> {
    let waiting = tx.query_one(&schema::WAITING, &params![tenant], |row| row.get::<i64>(0)).await?;
    let recorded = Head::load(tx, tenant).await?;
    let mut head = Head::genesis(tenant);
    let mut expectation_met = expected.is_none_or(|e| *e == head);
    loop {
        let page = tx.query(&schema::PAGE, &params![tenant, head.seq, MAX_PAGE], Entry::from_row).await?;
        if page.is_empty() {
            break;
        }
        for entry in &page {
            let seq = head.seq + 1;
            let verdict = match entry.seq {
                Some(found) if found == seq => None,
                _ => Some(Verdict::Missing { seq }),
            };
            let hash = link(&head.hash, seq, &entry.content());
            let verdict = verdict.or_else(|| {
                let holds =
                    entry.previous.as_deref() == Some(&head.hash) && entry.hash.as_deref() == Some(&hash);
                (!holds).then_some(Verdict::Altered { seq })
            });
            if let Some(verdict) = verdict {
                return Ok(Report { checked: head.seq, waiting, head, verdict });
            }
            head = Head { seq, hash };
            expectation_met = expectation_met || expected.is_some_and(|e| *e == head);
        }
    }
    let verdict = match expected {
        _ if head != recorded => Verdict::HeadDiffers { recorded: recorded.seq },
        Some(noted) if !expectation_met => Verdict::NotTheExpected { seq: noted.seq },
        _ => Verdict::Intact,
    };
    Ok(Report { checked: head.seq, waiting, head, verdict })
}
