//! Wrapping the keys of versions anew, under the tenant's newest data key. No value is touched, and nobody waits.

use crate::authentications::bound_to;
use crate::sealed::{Bound, name_of};
use crate::{Error, Kind, SecretId, Secrets, ServiceAuthId, schema};
use keyreeve_base::TenantId;
use keyreeve_identity::{DataKeys, Renewal, Rows, SealedColumn, SealedRow, Sealer};
use keyreeve_store::{Tx, params};

/// What of this room lies under data keys: the keys of versions, under which values lie, and what stores elsewhere are reached
/// with.
pub static SEALED: &[SealedColumn] = &[
    SealedColumn { name: "secret_version.wrapped", left: &schema::WRAPPED_LEFT, renewal: Renewal::ByRoom },
    SealedColumn {
        name: "service_authentication.sealed_credential",
        left: &schema::CREDENTIALS_LEFT,
        renewal: Renewal::ByRow(Rows {
            page: &schema::CREDENTIALS_TO_RESEAL,
            read: |row| {
                let (id, url): (ServiceAuthId, String) = (row.get(0)?, row.get(1)?);
                let parts = bound_to(&id.uuid(), &url).map(<[u8]>::to_vec).into();
                Ok(SealedRow { id: id.uuid(), parts, sealed: row.get(2)? })
            },
            replace: &schema::RESEAL_CREDENTIAL,
        }),
    },
];

/// The most versions of one batch.
pub const MAX_REWRAP: u16 = 2_000;

struct Wrapped {
    key: i64,
    wrapped: Vec<u8>,
    number: i64,
    id: SecretId,
    kind: Kind,
}

impl Secrets {
    /// Wraps the keys of up to `limit` versions anew that another data key than the newest one wraps, and counts them towards
    /// the rotation in the same transaction; answers how many it wrapped. 0 means that nothing that opens is left under older data keys; what does not open is named in the log. It can be interrupted anywhere, run by several nodes,
    /// and beside writers: a key that somebody has wrapped meanwhile is left alone.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; those of the store.
    pub async fn rewrap(&self, tenant: TenantId, limit: u16) -> Result<u64, Error> {
        let sealer = self.identity().tenants().sealer(tenant).await?;
        let newest = newest(&sealer)?;
        let limit = i64::from(limit.clamp(1, MAX_REWRAP));
        let read = async move |tx: &mut Tx<'_>| {
            let mut rows = Vec::new();
            for statement in [&schema::WRAPPED_BELOW, &schema::WRAPPED_ABOVE] {
                let left = limit.saturating_sub(i64::try_from(rows.len()).unwrap_or(limit));
                let found = tx
                    .query(statement, &params![tenant, newest.as_slice(), left], |row| {
                        Ok(Wrapped {
                            key: row.get(0)?,
                            wrapped: row.get(1)?,
                            number: row.get(2)?,
                            id: row.get(3)?,
                            kind: row.get::<String>(4)?.parse().map_err(|_| {
                                keyreeve_store::Error::corrupt("a secret's kind cannot be read")
                            })?,
                        })
                    })
                    .await?;
                rows.extend(found);
            }
            Ok::<_, keyreeve_store::Error>(rows)
        };
        let rows = self.store().read(read).await?;
        let mut anew = Vec::with_capacity(rows.len());
        for Wrapped { key, wrapped, number, id, kind } in rows {
            let bound = Bound { tenant, id, kind, number };
            let opened = match bound.unwrap(&sealer, &wrapped) {
                Ok(opened) => opened,
                Err(error @ Error::Damaged { .. }) => {
                    tracing::error!(%tenant, column = "secret_version.wrapped", %error, "a sealed value was left as it is");
                    continue;
                }
                Err(error) => return Err(error),
            };
            let fresh = bound.wrap(&sealer, &opened)?;
            let name = name_of(&fresh)?;
            anew.push((key, wrapped, fresh, name));
        }
        if anew.is_empty() {
            return Ok(0);
        }
        let wrapped = u64::try_from(anew.len()).unwrap_or(u64::MAX);
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                let rows: Vec<_> = anew.iter().map(|row| params![row.0, row.1, row.2, row.3]).collect();
                let touched: u64 = tx.execute_each(&schema::REWRAP, &rows).await?.into_iter().sum();
                // With it, so that a process that ends between the two leaves nothing uncounted.
                DataKeys::note_resealed(tx, tenant, touched).await?;
                Ok::<_, Error>(())
            })
            .await?;
        Ok(wrapped)
    }

    /// How many versions are left under older data keys; reads the whole index, for progress.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; those of the store.
    pub async fn left_to_rewrap(&self, tenant: TenantId) -> Result<u64, Error> {
        let newest = newest(&*self.identity().tenants().sealer(tenant).await?)?;
        let scan = async move |tx: &mut Tx<'_>| {
            tx.scalar::<i64>(&schema::COUNT_WRAPPED, &params![tenant, newest.as_slice()]).await
        };
        Ok(u64::try_from(self.store().scan(scan).await?).unwrap_or(0))
    }
}

/// The name of the data key that seals at present.
fn newest(sealer: &Sealer) -> Result<[u8; 8], Error> {
    name_of(&sealer.seal(&[b"which key"], &[])?)
}
