//! What a change of a tenant's data key has to do with this room: private keys that are sealed anew, and codes and refresh
//! tokens that have to open for as long as their grants live.

use crate::Error;
use crate::keys;
use crate::schema;
use crate::service::Tokens;
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_identity::{DataKeyInfo, Renewal, Rotation, Rows, SealedColumn, SealedRow};
use keyreeve_store::{Tx, params};

/// What this room keeps sealed.
pub static SEALED: &[SealedColumn] = &[
    SealedColumn { name: "pushed_request.sealed", left: &schema::PUSHED_LEFT, renewal: Renewal::Expires },
    SealedColumn {
        name: "signing_key.sealed_private",
        left: &schema::KEYS_LEFT,
        renewal: Renewal::ByRow(Rows {
            page: &schema::KEYS_TO_RESEAL,
            read: |row| {
                let kid: String = row.get(1)?;
                let parts = keys::bound_to(&kid).map(<[u8]>::to_vec).into();
                Ok(SealedRow { id: row.get(0)?, parts, sealed: row.get(2)? })
            },
            replace: &schema::RESEAL_KEY,
        }),
    },
];

/// A data key, and until when it is needed.
#[derive(Debug, Clone)]
pub struct DataKey {
    /// What may be known of it.
    pub info: DataKeyInfo,
    /// Until when what it sealed travels in the hands of browsers and clients; none for the key that seals.
    pub needed_until: Option<Timestamp>,
}

impl Tokens {
    /// The tenant's data keys, newest first, and how far the last change of them is.
    ///
    /// # Errors
    /// Those of the identity room and of the store.
    pub async fn data_keys(&self, tenant: TenantId) -> Result<(Vec<DataKey>, Option<Rotation>), Error> {
        let life = self.0.identity.tenants();
        let (found, rotation) = life.data_keys().status(tenant).await?;
        let mut keys = Vec::with_capacity(found.len());
        for info in found {
            let needed_until = match info.retired_at {
                Some(retired_at) => Some(self.sealed_until(tenant, retired_at).await?),
                None => None,
            };
            keys.push(DataKey { info, needed_until });
        }
        Ok((keys, rotation))
    }

    /// Destroys the tenant's data keys that are not needed any more; answers how many.
    ///
    /// # Errors
    /// Those of the identity room and of the store.
    pub async fn destroy_data_keys(
        &self,
        tenant: TenantId,
        columns: &'static [&'static SealedColumn],
    ) -> Result<u64, Error> {
        let (keys, rotation) = self.data_keys(tenant).await?;
        let mut destroyed = 0_u64;
        if rotation.is_none_or(|rotation| rotation.finished_at.is_none()) {
            return Ok(destroyed);
        }
        for key in keys.into_iter().filter(|key| key.needed_until.is_some_and(|until| until <= self.now())) {
            let gone = self.0.identity.tenants().data_keys().destroy(tenant, key.info.id, columns).await?;
            destroyed = destroyed.saturating_add(u64::from(gone));
        }
        Ok(destroyed)
    }

    /// Until when something is in use that was sealed before that moment.
    async fn sealed_until(&self, tenant: TenantId, retired_at: Timestamp) -> Result<Timestamp, Error> {
        let browsers = self.0.identity.tenants().data_keys().browsers_until(tenant, retired_at).await?;
        let last = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::GRANTS_UNTIL, &params![tenant, retired_at], |row| row.get::<Timestamp>(0))
                .await
        };
        let grants = self.0.store.scan(last).await?;
        Ok(grants.map_or(browsers, |grants| grants.max(browsers)))
    }
}
