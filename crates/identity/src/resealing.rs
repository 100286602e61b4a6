//! Changing a tenant's data key while serving: a new key seals from then on; what older keys sealed is sealed anew, a batch
//! at a time; what travels sealed in other people's hands keeps opening until it has expired; then the old keys are
//! destroyed.
//!
//! Each room says which of its columns hold sealed values ([`SealedColumn`]); the binary has the list of all. A batch and
//! how far it got are one transaction, so that a process that dies loses and repeats nothing, and nodes that go on with the
//! same tenant wait for each other. No key is destroyed while a value names it: that is asked in the transaction that
//! destroys it.

use crate::sealing::{Keys, Sealer, TOPIC};
use crate::tenants::Tenants;
use crate::{Cause, Error, Identity, recovery, schema, second_factor};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_crypto::seal::KeyFingerprint;
use keyreeve_store::{Row, Statement, Tx, params};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// How many values one transaction seals anew.
const BATCH: i64 = 200;
/// How far is counted beforehand.
const COUNTED: i64 = 10_000_000;
/// How long an old key opens at least. Form tokens are the longest-lived of what nobody keeps a row for, with 12 hours.
const LEAST: Duration = Duration::from_secs(86_400);
const TENANTS_PER_PAGE: i64 = 100;
const SECONDS_PER_DAY: u64 = 86_400;

/// A column that holds values which a tenant's data keys sealed.
pub struct SealedColumn {
    /// `table.column`.
    pub name: &'static str,
    /// How many values name another key than `$2`, at most `$3`, in the tenant `$1`.
    pub left: &'static Statement,
    /// How they are sealed anew.
    pub renewal: Renewal,
}

/// How the values of a column are sealed anew.
pub enum Renewal {
    /// Row by row.
    ByRow(Rows),
    /// Its room has a way of its own; see [`DataKeys::note_resealed`].
    ByRoom,
    /// Not at all: they are gone within an hour or a day by themselves.
    Expires,
}

/// How rows are sealed anew, one by one.
pub struct Rows {
    /// The rows of the tenant `$1` behind `$2` whose value names another key than `$3`, by identifier, at most `$4`.
    pub page: &'static Statement,
    /// Reads a row of them.
    pub read: fn(&Row<'_>) -> Result<SealedRow, keyreeve_store::Error>,
    /// Replaces the value `$3` of the row `$2` in the tenant `$1` by `$4`.
    pub replace: &'static Statement,
}

/// A sealed value, and what it is bound to.
pub struct SealedRow {
    /// The row.
    pub id: Uuid,
    /// The parts that it was sealed with.
    pub parts: Vec<Vec<u8>>,
    /// The value.
    pub sealed: Vec<u8>,
}

/// What this room keeps sealed.
pub static SEALED: &[SealedColumn] = &[
    SealedColumn {
        name: "outgoing_mail.sealed",
        left: &schema::MAIL_LEFT,
        renewal: Renewal::ByRow(Rows {
            page: &schema::MAIL_TO_RESEAL,
            read: |row| {
                let id: Uuid = row.get(0)?;
                let parts = recovery::mail_bound_to(&id).map(<[u8]>::to_vec).into();
                Ok(SealedRow { id, parts, sealed: row.get(2)? })
            },
            replace: &schema::RESEAL_MAIL,
        }),
    },
    SealedColumn { name: "request_key.fingerprint", left: &schema::REQUESTS_LEFT, renewal: Renewal::Expires },
    SealedColumn {
        name: "totp_device.sealed_secret",
        left: &schema::TOTP_LEFT,
        renewal: Renewal::ByRow(Rows {
            page: &schema::TOTP_TO_RESEAL,
            read: |row| {
                let parts = vec![second_factor::totp_bound_to(row.get(1)?, row.get(0)?)];
                Ok(SealedRow { id: row.get(0)?, parts, sealed: row.get(2)? })
            },
            replace: &schema::RESEAL_TOTP,
        }),
    },
];

/// A data key, as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataKeyInfo {
    /// Its row.
    pub id: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a newer one took its place; none for the one that seals.
    pub retired_at: Option<Timestamp>,
}

/// A master key, and what it wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MasterKeyUse {
    /// The key's name.
    pub fingerprint: KeyFingerprint,
    /// How many data keys it wraps.
    pub data_keys: u64,
    /// Whether it is the one that wraps from now on.
    pub current: bool,
}

/// How far the values of a tenant are sealed anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The key that seals.
    pub data_key: Uuid,
    /// How many values have been sealed anew.
    pub resealed: u64,
    /// How many did not open, and were left as they are.
    pub failed: u64,
    /// How many there were to seal; none until they are counted.
    pub total: Option<u64>,
    /// When it began.
    pub started_at: Timestamp,
    /// When all of them were.
    pub finished_at: Option<Timestamp>,
    place: String,
    reached: Uuid,
}

impl Rotation {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let count = |value: i64| u64::try_from(value).unwrap_or(0);
        Ok(Self {
            data_key: row.get(0)?,
            place: row.get(1)?,
            reached: row.get(2)?,
            resealed: count(row.get(3)?),
            failed: count(row.get(4)?),
            total: row.get::<Option<i64>>(5)?.map(count),
            started_at: row.get(6)?,
            finished_at: row.get(7)?,
        })
    }
}

/// Begins with the rotation towards `key` in the transaction that makes it.
pub(crate) async fn start(tx: &mut Tx<'_>, tenant: TenantId, key: Uuid, now: Timestamp) -> Result<(), Error> {
    // This row first: two who rotate at the same time wait for each other here, and the later one retires the other's key.
    tx.execute(&schema::START_ROTATION, &params![tenant, key, Uuid::nil(), now]).await?;
    tx.execute(&schema::RETIRE_DATA_KEYS, &params![tenant, key, now]).await?;
    Ok(())
}

/// The use cases of a data key's life.
#[derive(Clone, Copy)]
pub struct DataKeys<'a>(pub(crate) &'a Identity);

impl DataKeys<'_> {
    /// The tenant's data keys, newest first, and how far the last change of them is.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn status(self, tenant: TenantId) -> Result<(Vec<DataKeyInfo>, Option<Rotation>), Error> {
        let status = async move |tx: &mut Tx<'_>| -> Result<_, Error> {
            let info = |row: &Row<'_>| {
                Ok(DataKeyInfo { id: row.get(0)?, created_at: row.get(1)?, retired_at: row.get(2)? })
            };
            let keys = tx.query(&schema::DATA_KEY_STATES, &params![tenant], info).await?;
            let rotation = tx.query_opt(&schema::ROTATION, &params![tenant], Rotation::from_row).await?;
            Ok((keys, rotation))
        };
        self.0.store().read(status).await
    }

    /// How many data keys each master key wraps.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn master_keys(self) -> Result<Vec<MasterKeyUse>, Error> {
        let current = self.0.master().ring().current().fingerprint();
        let count = async move |tx: &mut Tx<'_>| {
            tx.query(&schema::MASTER_KEYS, &params![], |row| {
                let bytes: Vec<u8> = row.get(0)?;
                let bytes =
                    bytes.as_slice().try_into().map_err(|_| corrupt("a wrapped data key is too short"))?;
                let fingerprint = KeyFingerprint::from_bytes(bytes);
                let data_keys = u64::try_from(row.get::<i64>(1)?).unwrap_or(0);
                Ok(MasterKeyUse { fingerprint, data_keys, current: fingerprint == current })
            })
            .await
        };
        Ok(self.0.store().scan(count).await?)
    }

    /// Tenants whose values are not all sealed anew, a bounded number of them.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn unfinished(self) -> Result<Vec<TenantId>, Error> {
        let page = async |tx: &mut Tx<'_>| {
            tx.query(&schema::OPEN_ROTATIONS, &params![TENANTS_PER_PAGE], |row| row.get(0)).await
        };
        Ok(self.0.store().read(page).await?)
    }

    /// Tenants behind `after` that have keys which do not seal any more, a page of them.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn with_retired(self, after: Option<TenantId>) -> Result<Vec<TenantId>, Error> {
        let after = after.unwrap_or(TenantId::from_uuid(Uuid::nil()));
        let page = async move |tx: &mut Tx<'_>| {
            tx.query(&schema::RETIRED_PAGE, &params![after, TENANTS_PER_PAGE], |row| row.get(0)).await
        };
        Ok(self.0.store().read(page).await?)
    }

    /// Seals one batch of the tenant's values anew; answers whether there is more to do.
    ///
    /// `columns` are those of every room, ordered by name.
    ///
    /// # Errors
    /// Those of [`Tenants::sealer`] and of the store.
    pub async fn reseal(
        self,
        tenant: TenantId,
        columns: &'static [&'static SealedColumn],
    ) -> Result<bool, Error> {
        let sealer = Keys(self.0).load(tenant).await?;
        self.prepare(tenant, columns).await?;
        let identity = self.0.clone();
        let (more, unreadable) = self
            .0
            .store()
            .write(async move |tx: &mut Tx<'_>| batch(tx, &identity, (tenant, &sealer), columns).await)
            .await?;
        for (column, row, error) in unreadable {
            tracing::error!(%tenant, column, %row, %error, "a sealed value does not open, and was left as it is");
        }
        Ok(more)
    }

    async fn count(
        self,
        tenant: TenantId,
        rotation: &Rotation,
        columns: &'static [&'static SealedColumn],
        newest: KeyFingerprint,
    ) -> Result<(), Error> {
        let counting = async move |tx: &mut Tx<'_>| -> Result<i64, Error> {
            let (mut total, newest) = (0_i64, newest.as_bytes().to_vec());
            for column in columns.iter().filter(|column| !matches!(column.renewal, Renewal::Expires)) {
                let left: i64 = tx.scalar(column.left, &params![tenant, &newest, COUNTED]).await?;
                total = total.saturating_add(left);
            }
            Ok(total)
        };
        let total = self.0.store().scan(counting).await?;
        let (key, done) = (rotation.data_key, i64::try_from(rotation.resealed).unwrap_or(i64::MAX));
        let write = async move |tx: &mut Tx<'_>| -> Result<(), Error> {
            tx.execute(&schema::SET_ROTATION_TOTAL, &params![tenant, key, total.saturating_add(done)])
                .await?;
            Ok(())
        };
        self.0.store().write(write).await
    }

    /// Until when the tenant's keys that were retired at this moment have to open what browsers hold.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; those of the store.
    pub async fn browsers_until(self, tenant: TenantId, retired_at: Timestamp) -> Result<Timestamp, Error> {
        let settings = self.0.tenants().get(tenant).await?;
        let days = u64::from(settings.settings.throttle.device_days);
        let device = Duration::from_secs(SECONDS_PER_DAY.saturating_mul(days));
        Ok(retired_at.plus(LEAST.max(device)))
    }

    /// Counts what a room has sealed anew in its own way, in the transaction in which it did.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note_resealed(tx: &mut Tx<'_>, tenant: TenantId, values: u64) -> Result<(), Error> {
        let values = i64::try_from(values).unwrap_or(i64::MAX);
        tx.execute(&schema::NOTE_RESEALED, &params![tenant, values]).await?;
        Ok(())
    }

    /// Counts what is to be done, where that was not yet done.
    ///
    /// # Errors
    /// Those of [`Tenants::sealer`] and of the store.
    pub async fn prepare(
        self,
        tenant: TenantId,
        columns: &'static [&'static SealedColumn],
    ) -> Result<(), Error> {
        let (_, rotation) = self.status(tenant).await?;
        match rotation.filter(|rotation| rotation.finished_at.is_none() && rotation.total.is_none()) {
            None => Ok(()),
            Some(rotation) => {
                let newest = Keys(self.0).load(tenant).await?.fingerprint()?;
                self.count(tenant, &rotation, columns, newest).await
            }
        }
    }

    /// Writes into a tenant's audit log what was done with the master key.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note_master_key(
        self,
        tenant: TenantId,
        action: &'static str,
        detail: serde_json::Value,
        cause: &Cause,
    ) -> Result<(), Error> {
        let (identity, cause) = (self.0.clone(), cause.clone());
        let key = identity.master().ring().current().fingerprint().to_string();
        let note = async move |tx: &mut Tx<'_>| -> Result<(), Error> {
            let event = cause.done(tenant, action, ("master_key", key.clone()), detail.clone());
            keyreeve_audit::record(tx, identity.world(), &event).await?;
            Ok(())
        };
        self.0.store().write(note).await
    }

    /// Destroys a data key, if nothing is left under any but the newest; else begins to seal anew once more. Answers
    /// whether it is gone.
    ///
    /// # Errors
    /// Those of [`Tenants::sealer`] and of the store.
    pub async fn destroy(
        self,
        tenant: TenantId,
        key: Uuid,
        columns: &'static [&'static SealedColumn],
    ) -> Result<bool, Error> {
        let newest = Keys(self.0).load(tenant).await?.fingerprint()?;
        let identity = self.0.clone();
        let destroy = async move |tx: &mut Tx<'_>| -> Result<bool, Error> {
            let open = tx.query_opt(&schema::OPEN_ROTATION, &params![tenant], Rotation::from_row).await?;
            if open.is_some() {
                return Ok(false);
            }
            for column in columns {
                let left: i64 =
                    tx.scalar(column.left, &params![tenant, newest.as_bytes().to_vec(), 1_i64]).await?;
                if left > 0 {
                    tx.execute(&schema::REOPEN_ROTATION, &params![tenant, Uuid::nil()]).await?;
                    return Ok(false);
                }
            }
            let gone = tx.execute(&schema::DELETE_DATA_KEY, &params![tenant, key]).await? > 0;
            if gone {
                let cause = Cause::system();
                let event = cause.done(tenant, "key.destroy", ("data_key", key.to_string()), json!({}));
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                tx.changed(Some(tenant), TOPIC, &tenant.to_string()).await?;
            }
            Ok(gone)
        };
        self.0.store().write(destroy).await
    }
}

impl Tenants<'_> {
    /// The life of the tenants' data keys.
    #[must_use]
    pub const fn data_keys(&self) -> DataKeys<'_> {
        DataKeys(self.0)
    }
}

/// Values that did not open: the column, the row, and why.
type Unreadable = Vec<(&'static str, Uuid, Error)>;

/// One batch in its transaction; whether there is more, and what did not open.
async fn batch(
    tx: &mut Tx<'_>,
    identity: &Identity,
    (tenant, sealer): (TenantId, &Sealer),
    columns: &'static [&'static SealedColumn],
) -> Result<(bool, Unreadable), Error> {
    let mut unreadable = Vec::new();
    let open = tx.query_opt(&schema::OPEN_ROTATION, &params![tenant], Rotation::from_row).await?;
    let Some(mut at) = open else { return Ok((false, unreadable)) };
    if sealer.newest_id()? != at.data_key {
        // Rotated again since the keys were loaded.
        return Ok((true, unreadable));
    }
    let newest = sealer.fingerprint()?.as_bytes().to_vec();
    for column in columns.iter().filter(|column| column.name >= at.place.as_str()) {
        let Renewal::ByRow(renewal) = &column.renewal else { continue };
        let after = if column.name == at.place { at.reached } else { Uuid::nil() };
        let rows = tx.query(renewal.page, &params![tenant, after, &newest, BATCH], renewal.read).await?;
        let Some(last) = rows.last() else { continue };
        (at.place, at.reached) = (column.name.to_owned(), last.id);
        for row in rows {
            match sealer.reseal(&row.parts, &row.sealed) {
                Ok(anew) => {
                    let done =
                        tx.execute(renewal.replace, &params![tenant, row.id, &row.sealed, &anew]).await?;
                    at.resealed = at.resealed.saturating_add(done);
                }
                Err(error) => {
                    at.failed = at.failed.saturating_add(1);
                    unreadable.push((column.name, row.id, error));
                }
            }
        }
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let (done, failed) = (number(at.resealed), number(at.failed));
        let advance = &schema::ADVANCE_ROTATION;
        tx.execute(advance, &params![tenant, at.data_key, &at.place, at.reached, done, failed]).await?;
        return Ok((true, unreadable));
    }
    tx.execute(&schema::FINISH_ROTATION, &params![tenant, at.data_key, identity.world().now()]).await?;
    Ok((false, unreadable))
}

fn corrupt(what: &str) -> keyreeve_store::Error {
    keyreeve_store::Error::corrupt(what)
}
