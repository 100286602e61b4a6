//! What is kept of an import, so that it can be resumed.

use super::{Begin, ImportId, LineResult, SEED, Status};
use crate::{Error, Right, Transfer, schema};
use keyreeve_audit::{Event, Outcome};
use keyreeve_base::{TenantId, Timestamp, World};
use keyreeve_crypto::digest::sha256_of_parts;
use keyreeve_identity::Cause;
use keyreeve_identity::bulk::Mode;
use keyreeve_store::{Row, Tx, params};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

/// The most imports that a page has.
const MAX_PAGE: u16 = 500;

/// How many lines ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Made.
    pub created: u64,
    /// Changed.
    pub updated: u64,
    /// As they were to be.
    pub unchanged: u64,
    /// Left as they were.
    pub skipped: u64,
    /// Not applied.
    pub failed: u64,
}

impl Counts {
    pub(super) fn of(results: &[LineResult]) -> Self {
        let mut counts = Self::default();
        for result in results {
            let count = match result.status {
                Status::Created => &mut counts.created,
                Status::Updated => &mut counts.updated,
                Status::Unchanged => &mut counts.unchanged,
                Status::Skipped => &mut counts.skipped,
                Status::Failed => &mut counts.failed,
            };
            *count = count.saturating_add(1);
        }
        counts
    }

    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            created: self.created.saturating_add(other.created),
            updated: self.updated.saturating_add(other.updated),
            unchanged: self.unchanged.saturating_add(other.unchanged),
            skipped: self.skipped.saturating_add(other.skipped),
            failed: self.failed.saturating_add(other.failed),
        }
    }
}

/// What an import did altogether.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Its identifier; none for a dry run, which is kept nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<ImportId>,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// How many lines there were.
    pub lines: u64,
    /// How they ended.
    #[serde(flatten)]
    pub counts: Counts,
}

/// An import as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportStatus {
    /// Its identifier.
    pub id: ImportId,
    /// What is done with what is there.
    pub mode: Mode,
    /// Where the lines come from.
    pub source: String,
    /// Whether it has come to its end; one that has not can be resumed.
    pub finished: bool,
    /// The last line that is done.
    pub lines: u64,
    /// How the lines ended.
    #[serde(flatten)]
    pub counts: Counts,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it last came further.
    pub updated_at: Timestamp,
    /// When it came to its end.
    pub finished_at: Option<Timestamp>,
    #[serde(skip)]
    digest: [u8; 32],
}

impl ImportStatus {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let corrupt = |error: serde_json::Error| keyreeve_store::Error::corrupt(error.to_string());
        let (mode, counts): (String, String) = (row.get(1)?, row.get(6)?);
        let finished_at: Option<Timestamp> = row.get(3)?;
        Ok(Self {
            id: row.get(0)?,
            mode: serde_json::from_value(json!(mode)).map_err(corrupt)?,
            source: row.get(2)?,
            finished: finished_at.is_some(),
            lines: row.get(4)?,
            counts: serde_json::from_str(&counts).map_err(corrupt)?,
            created_at: row.get(7)?,
            updated_at: row.get(8)?,
            finished_at,
            digest: row.get(5)?,
        })
    }
}

/// How far an import goes with one batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Advance {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) digest: [u8; 32],
}

/// An import as it goes on.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) id: ImportId,
    pub(super) tenant: TenantId,
    pub(super) lines: u64,
    pub(super) digest: [u8; 32],
    pub(super) counts: Counts,
}

impl Run {
    /// One that is kept nowhere.
    pub(super) fn trial(world: &World, tenant: TenantId) -> Self {
        let digest = sha256_of_parts(&[SEED]);
        Self { id: world.new_uuid(), tenant, lines: 0, digest, counts: Counts::default() }
    }

    pub(super) fn took(&mut self, advance: Advance, results: &[LineResult]) {
        self.lines = advance.to;
        self.digest = advance.digest;
        self.counts = self.counts.plus(Counts::of(results));
    }

    pub(super) fn summary(&self, dry_run: bool) -> Summary {
        let import = (!dry_run).then_some(self.id);
        Summary { import, dry_run, lines: self.lines, counts: self.counts }
    }

    /// Notes, in the transaction of a batch, that the import has come further, with the batch's entry in the audit log.
    pub(super) async fn advance(
        &self,
        tx: &mut Tx<'_>,
        world: &World,
        (advance, results): (Advance, &[LineResult]),
        cause: &Cause,
    ) -> Result<(), Error> {
        let of_batch = Counts::of(results);
        let counts = json!(self.counts.plus(of_batch)).to_string();
        let (from, to) = (signed(advance.from), signed(advance.to));
        let now = world.now();
        let row = params![self.tenant, self.id, from, to, advance.digest, counts, now];
        if tx.execute(&schema::ADVANCE, &row).await? == 0 {
            return Err(Error::Elsewhere);
        }
        let lines = [advance.from.saturating_add(1), advance.to];
        let detail = json!({"lines": lines, "counts": of_batch, "changed_sha256": changed(results)});
        record(tx, world, (self.tenant, self.id), ("import.batch", detail), cause).await
    }
}

/// A digest of the identifiers that a batch made or changed, in the order of its lines, by which the results that
/// somebody kept can be told to be those of this import.
fn changed(results: &[LineResult]) -> String {
    let touched = |result: &&LineResult| matches!(result.status, Status::Created | Status::Updated);
    let ids: Vec<u8> =
        results.iter().filter(touched).filter_map(|result| result.id).flat_map(Uuid::into_bytes).collect();
    let digest = sha256_of_parts(&[&ids]);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn signed(line: u64) -> i64 {
    i64::try_from(line).unwrap_or(i64::MAX)
}

async fn record(
    tx: &mut Tx<'_>,
    world: &World,
    (tenant, id): (TenantId, ImportId),
    (action, detail): (&'static str, serde_json::Value),
    cause: &Cause,
) -> Result<(), Error> {
    let event = Event {
        tenant,
        actor: cause.actor,
        action,
        target: Some(("import", id.to_string())),
        outcome: Outcome::Success,
        reason: None,
        origin: &cause.origin,
        detail,
    };
    keyreeve_audit::record(tx, world, &event).await?;
    Ok(())
}

impl Transfer {
    /// An import of the tenant.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::NotFound`].
    pub async fn import(
        &self,
        tenant: TenantId,
        id: ImportId,
        right: Right<'_>,
    ) -> Result<ImportStatus, Error> {
        if !right.covers(tenant) {
            return Err(Error::Denied);
        }
        self.find_run(tenant, id).await?.ok_or(Error::NotFound("import"))
    }

    /// A page of the tenant's imports, newest first, those before `before`; at most 500.
    ///
    /// # Errors
    /// [`Error::Denied`]; those of the store.
    pub async fn imports(
        &self,
        tenant: TenantId,
        before: Option<ImportId>,
        limit: u16,
        right: Right<'_>,
    ) -> Result<Vec<ImportStatus>, Error> {
        if !right.covers(tenant) {
            return Err(Error::Denied);
        }
        let before = before.unwrap_or(Uuid::max());
        let limit = i64::from(limit.clamp(1, MAX_PAGE));
        let page = async move |tx: &mut Tx<'_>| {
            let page = params![tenant, before, limit];
            Ok(tx.query(&schema::RUN_PAGE, &page, ImportStatus::from_row).await?)
        };
        self.0.store.read(page).await
    }

    async fn find_run(&self, tenant: TenantId, id: ImportId) -> Result<Option<ImportStatus>, Error> {
        let read = async move |tx: &mut Tx<'_>| {
            Ok::<_, Error>(tx.query_opt(&schema::RUN, &params![tenant, id], ImportStatus::from_row).await?)
        };
        self.0.store.read(read).await
    }

    /// The import of this identifier, or a new one.
    pub(super) async fn open_run(
        &self,
        tenant: TenantId,
        begin: &Begin,
        cause: &Cause,
    ) -> Result<Run, Error> {
        let id = begin.id.unwrap_or_else(|| self.0.world.new_uuid());
        if begin.id.is_some()
            && let Some(found) = self.find_run(tenant, id).await?
        {
            if found.mode != begin.mode {
                return Err(Error::invalid("mode", "is not the one that this import was begun in"));
            }
            let ImportStatus { lines, digest, counts, .. } = found;
            return Ok(Run { id, tenant, lines, digest, counts });
        }
        let run = Run { id, ..Run::trial(&self.0.world, tenant) };
        let (new, world, begin, cause) = (run.clone(), self.0.world.clone(), begin.clone(), cause.clone());
        self.0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let mode = match begin.mode {
                    Mode::Create => "create",
                    Mode::Upsert => "upsert",
                };
                let counts = json!(Counts::default()).to_string();
                let now = world.now();
                let row = params![id, tenant, mode, begin.source, new.digest, counts, now];
                if tx.execute(&schema::INSERT_RUN, &row).await? == 0 {
                    // Another tenant's, or begun at this moment.
                    return Err(Error::invalid("id", "is in use"));
                }
                let detail =
                    json!({"mode": begin.mode, "source": begin.source, "drop_totp": begin.drop_totp});
                record(tx, &world, (tenant, id), ("import.start", detail), &cause).await
            })
            .await?;
        Ok(run)
    }

    /// Notes that an import has come to its end.
    pub(super) async fn end_run(&self, run: &mut Run, cause: &Cause) -> Result<(), Error> {
        let (ended, world, cause) = (run.clone(), self.0.world.clone(), cause.clone());
        self.0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let (lines, now) = (signed(ended.lines), world.now());
                let row = params![ended.tenant, ended.id, lines, now];
                if tx.execute(&schema::FINISH, &row).await? == 0 {
                    return Ok(());
                }
                let detail = json!({"lines": ended.lines, "counts": ended.counts});
                record(tx, &world, (ended.tenant, ended.id), ("import.finish", detail), &cause).await
            })
            .await
    }

    /// Records that somebody without the right asked for this.
    pub(crate) async fn refuse(
        &self,
        tenant: TenantId,
        action: &'static str,
        cause: &Cause,
    ) -> Result<(), Error> {
        let (world, cause) = (self.0.world.clone(), cause.clone());
        self.0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let event = Event {
                    tenant,
                    actor: cause.actor,
                    action,
                    target: Some(("tenant", tenant.to_string())),
                    outcome: Outcome::Refused,
                    reason: Some("not an administrator of the tenant"),
                    origin: &cause.origin,
                    detail: serde_json::Value::Null,
                };
                keyreeve_audit::record(tx, &world, &event).await?;
                Ok(())
            })
            .await
    }
}
