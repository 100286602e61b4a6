//! Reading a value: the one way by which it leaves.
//!
//! Decided, then recorded, then opened: the entry of the audit log is on disk before the value is in memory. Where it cannot
//! be written there is no value.

use crate::sealed::Bound;
use crate::{Error, Kind, LeaseWish, SecretId, Secrets, Settings, Version, schema};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_crypto::SecretBytes;
use keyreeve_identity::{Authority, Cause};
use keyreeve_store::{Row, Tx, params};
use std::time::Duration;

/// A value that was opened. It prints nothing of it.
#[derive(Debug)]
pub struct Opened {
    /// Of which secret.
    pub id: SecretId,
    /// What kind of thing it is.
    pub kind: Kind,
    /// The name of the secret.
    pub name: String,
    /// Which version, and what is known of it.
    pub version: Version,
    /// The value: the text of a JSON object, a password, a file; of an SSH key or a certificate the private key in PKCS#8.
    pub value: SecretBytes,
}

/// What is read of a version in the transaction that records it.
pub(crate) struct Stored {
    pub(crate) key: i64,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) settings: Settings,
    pub(crate) version: Version,
    pub(crate) wrapped: Option<Vec<u8>>,
    pub(crate) sealed: Option<Vec<u8>>,
    /// When a newer version came.
    replaced_at: Option<Timestamp>,
}

impl Stored {
    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let corrupt =
            |what: &str| keyreeve_store::Error::corrupt(format!("a secret's {what} cannot be read"));
        let version = Version {
            number: row.get(6)?,
            facts: serde_json::from_str(&row.get::<String>(7)?).map_err(|_| corrupt("facts"))?,
            created_at: row.get(8)?,
            created_by: row.get(9)?,
            deleted_at: row.get(10)?,
            destroyed: row.get(11)?,
        };
        Ok(Self {
            key: row.get(0)?,
            kind: row.get::<String>(2)?.parse().map_err(|_| corrupt("kind"))?,
            name: row.get(3)?,
            settings: serde_json::from_str(&row.get::<String>(4)?).map_err(|_| corrupt("settings"))?,
            version,
            wrapped: row.get(12)?,
            sealed: row.get(13)?,
            replaced_at: row.get(14)?,
        })
    }

    /// Whether it was replaced longer ago than it is kept, and only waits to be removed.
    fn is_aged(&self, now: Timestamp) -> bool {
        let kept = self.settings.keep_seconds.map(Duration::from_secs);
        self.replaced_at.zip(kept).is_some_and(|(at, kept)| at.plus(kept) <= now)
    }
}

impl Secrets {
    /// Opens a value; takes [`crate::READ`]. The newest version, or the one of this number.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`]; [`Error::Gone`] for a version that was deleted or destroyed;
    /// [`Error::Damaged`]; those of the store, when the reading could not be recorded.
    pub async fn read(
        &self,
        authority: &Authority,
        id: SecretId,
        number: Option<i64>,
        cause: &Cause,
    ) -> Result<Opened, Error> {
        Ok(self.read_leased(authority, id, number, LeaseWish::AsSet, cause).await?.0)
    }

    pub(crate) async fn open_stored(
        &self,
        (tenant, id): (TenantId, SecretId),
        stored: Stored,
    ) -> Result<Opened, Error> {
        let sealer = self.identity().tenants().sealer(tenant).await?;
        let Stored { kind, name, version, wrapped, sealed, .. } = stored;
        let (Some(wrapped), Some(sealed)) = (wrapped, sealed) else {
            return Err(keyreeve_store::Error::corrupt("a version has no value").into());
        };
        let bound = Bound { tenant, id, kind, number: version.number };
        let value = bound.open(&sealer, &wrapped, &sealed)?;
        Ok(Opened { id, kind, name, version, value })
    }
}

/// A version that can be read.
pub(crate) async fn find_version(
    tx: &mut Tx<'_>,
    secrets: &Secrets,
    (tenant, id): (TenantId, SecretId),
    number: Option<i64>,
) -> Result<Stored, Error> {
    let found = tx.query_opt(&schema::READ, &params![tenant, id, number], Stored::from_row).await?;
    let stored: Stored = found.ok_or(Error::NotFound("version"))?;
    if stored.kind.is_authority() {
        return Err(Error::Denied("more than there is: the key of an authority never leaves"));
    }
    let now = secrets.world().now();
    if stored.is_aged(now) {
        return Err(Error::NotFound("version"));
    }
    if !stored.version.is_there(now) {
        return Err(Error::Gone(Box::new(stored.version)));
    }
    Ok(stored)
}
