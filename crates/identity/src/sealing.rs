//! Sealing for each tenant: data keys, wrapped by the master key in the database, unwrapped in memory only.
//!
//! A tenant has one or more data keys. The newest seals; the others still open what they sealed. Everything sealed is
//! bound to its tenant and to what the caller says it is (kind of record, row), so that it opens nowhere else.

use crate::tenants::Tenants;
use crate::{Cause, Error, Identity, resealing, schema};
use keyreeve_base::{TenantId, Timestamp, World};
use keyreeve_crypto::seal::{DataKey, KeyFingerprint, MasterKeyring, SealError, aad, sealing_key};
use keyreeve_crypto::{SecretBytes, base64url};
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use uuid::Uuid;

/// The change-feed topic of data keys; the key is the tenant's identifier.
pub(crate) const TOPIC: &str = "data_key";

/// How often the master keys are read anew at most.
const READ_ANEW: Duration = Duration::from_secs(1);

/// How many data keys one transaction of a re-wrapping touches.
const REWRAP_BATCH: i64 = 200;

/// Reads the master keys from where they are configured to be.
type Read = dyn Fn() -> Pin<Box<dyn Future<Output = Option<MasterKeyring>> + Send>> + Send + Sync;

/// Where the master keys are read anew, when a data key turns out to be wrapped by one that this node does not know yet;
/// nowhere by default.
#[derive(Clone, Default)]
pub struct MasterSource(Option<Arc<Read>>);

impl MasterSource {
    /// This function reads them, about once a second at most.
    pub fn new<F>(read: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<MasterKeyring>> + Send + 'static,
    {
        Self(Some(Arc::new(move || Box::pin(read()))))
    }
}

impl fmt::Debug for MasterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "MasterSource(set)" } else { "MasterSource(none)" })
    }
}

/// The master key in use. It can be exchanged while serving.
pub(crate) struct Master {
    ring: RwLock<Arc<MasterKeyring>>,
    source: MasterSource,
    /// When the keys were last read anew.
    read_at: Mutex<Option<Timestamp>>,
}

impl Master {
    pub(crate) fn new(ring: MasterKeyring, source: MasterSource) -> Self {
        Self { ring: RwLock::new(Arc::new(ring)), source, read_at: Mutex::new(None) }
    }

    pub(crate) fn ring(&self) -> Arc<MasterKeyring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn exchange(&self, ring: MasterKeyring) {
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }

    /// Reads the keys anew where they are kept; answers whether there may be others now.
    async fn read_anew(&self, now: Timestamp) -> bool {
        let Some(read) = self.source.0.clone() else { return false };
        let last = *self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|at| now.since(at) < READ_ANEW) {
            return true;
        }
        let ring = read().await;
        *self.read_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        let found = ring.is_some();
        if let Some(ring) = ring {
            self.exchange(ring);
        }
        found
    }
}

/// The data keys of one tenant, unwrapped. Cheap to keep for one use case; not longer, or a rotation passes it by.
pub struct Sealer {
    tenant: TenantId,
    world: World,
    /// Newest first; at least one.
    keys: Vec<(Uuid, DataKey)>,
}

impl Sealer {
    /// Seals `plaintext` for this tenant. `parts` say what it is, best a kind and the row's identifier; only the same
    /// parts open it.
    ///
    /// # Errors
    /// [`Error::Seal`].
    pub fn seal(&self, parts: &[&[u8]], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        self.newest()?.seal(&self.world, plaintext, &self.bound_to(parts)).map_err(Error::Seal)
    }

    /// Opens what [`Sealer::seal`] sealed.
    ///
    /// # Errors
    /// [`Error::Seal`].
    pub fn open(&self, parts: &[&[u8]], sealed: &[u8]) -> Result<SecretBytes, Error> {
        self.key_of(sealed)?.open(sealed, &self.bound_to(parts)).map_err(Error::Seal)
    }

    /// The same as text (base64url), for what travels through a browser.
    ///
    /// # Errors
    /// [`Error::Seal`].
    pub fn seal_text(&self, parts: &[&[u8]], plaintext: &[u8]) -> Result<String, Error> {
        self.newest()?.seal_text(&self.world, plaintext, &self.bound_to(parts)).map_err(Error::Seal)
    }

    /// Opens what [`Sealer::seal_text`] sealed.
    ///
    /// # Errors
    /// [`Error::Seal`].
    pub fn open_text(&self, parts: &[&[u8]], sealed: &str) -> Result<SecretBytes, Error> {
        let bytes = base64url::decode(sealed).map_err(|_| Error::Seal(SealError::Malformed))?;
        self.key_of(&bytes)?.open_text(sealed, &self.bound_to(parts)).map_err(Error::Seal)
    }

    /// A value that any of the keys sealed, under the newest one.
    pub(crate) fn reseal(&self, parts: &[Vec<u8>], sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let opened = self.open(&parts, sealed)?;
        self.seal(&parts, opened.expose())
    }

    /// The name of the key that seals.
    pub(crate) fn fingerprint(&self) -> Result<KeyFingerprint, Error> {
        self.newest().map(DataKey::fingerprint)
    }

    /// The row of the key that seals.
    pub(crate) fn newest_id(&self) -> Result<Uuid, Error> {
        self.keys.first().map(|(id, _)| *id).ok_or(Error::NotFound("data key"))
    }

    fn newest(&self) -> Result<&DataKey, Error> {
        self.keys.first().map(|(_, key)| key).ok_or(Error::NotFound("data key"))
    }

    fn key_of(&self, sealed: &[u8]) -> Result<&DataKey, Error> {
        let needed = sealing_key(sealed).map_err(Error::Seal)?;
        let known = self.keys.iter().map(|(_, key)| key).find(|key| key.fingerprint() == needed);
        let given = self.newest()?.fingerprint();
        known.ok_or(Error::Seal(SealError::OtherKey { needed, given }))
    }

    fn bound_to(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut all: Vec<&[u8]> = Vec::with_capacity(parts.len().saturating_add(1));
        let tenant = self.tenant.uuid();
        all.push(tenant.as_bytes());
        all.extend_from_slice(parts);
        aad(&all)
    }
}

/// A new data key on its way into the database.
pub(crate) struct NewDataKey {
    tenant: TenantId,
    id: Uuid,
    wrapped: Vec<u8>,
    at: Timestamp,
}

impl NewDataKey {
    pub(crate) async fn insert(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let insert = &schema::INSERT_DATA_KEY;
        tx.execute(insert, &params![self.tenant, self.id, self.wrapped, self.at]).await?;
        tx.changed(Some(self.tenant), TOPIC, &self.tenant.to_string()).await?;
        Ok(())
    }
}

/// The wrapped form of a data key is bound to its row.
fn row_aad(tenant: TenantId, id: Uuid) -> Vec<u8> {
    aad(&[b"tenant_data_key", tenant.uuid().as_bytes(), id.as_bytes()])
}

/// Makes and unwraps data keys.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a>(pub(crate) &'a Identity);

impl Keys<'_> {
    pub(crate) fn generate(self, tenant: TenantId) -> Result<NewDataKey, Error> {
        let world = self.0.world();
        let id = world.new_uuid();
        let key = DataKey::generate(world);
        let wrapped = self.0.master().ring().wrap(world, &key, &row_aad(tenant, id)).map_err(Error::Seal)?;
        Ok(NewDataKey { tenant, id, wrapped, at: world.now() })
    }

    pub(crate) async fn load(self, tenant: TenantId) -> Result<Arc<Sealer>, Error> {
        let rows = self
            .0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                tx.query(&schema::DATA_KEYS, &params![tenant], |row| {
                    Ok((row.get::<Uuid>(0)?, row.get::<Vec<u8>>(1)?))
                })
                .await
            })
            .await?;
        let keys = match unwrap_all(&self.0.master().ring(), tenant, &rows) {
            // Changed by another node, most likely.
            Err(Error::MasterKey { source: SealError::UnknownMasterKey { .. }, .. })
                if self.0.master().read_anew(self.0.world().now()).await =>
            {
                unwrap_all(&self.0.master().ring(), tenant, &rows)?
            }
            unwrapped => unwrapped?,
        };
        if keys.is_empty() {
            return Err(Error::NotFound("tenant"));
        }
        Ok(Arc::new(Sealer { tenant, world: self.0.world().clone(), keys }))
    }
}

fn unwrap_all(
    ring: &MasterKeyring,
    tenant: TenantId,
    rows: &[(Uuid, Vec<u8>)],
) -> Result<Vec<(Uuid, DataKey)>, Error> {
    let unwrap = |(key, wrapped): &(Uuid, Vec<u8>)| {
        let opened = ring.unwrap(wrapped, &row_aad(tenant, *key));
        opened.map(|opened| (*key, opened)).map_err(|source| Error::MasterKey { tenant, key: *key, source })
    };
    rows.iter().map(unwrap).collect()
}

impl Tenants<'_> {
    /// The tenant's keys, for code that seals inside a transaction or often.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; [`Error::MasterKey`] when the master key is the wrong one.
    pub async fn sealer(self, tenant: TenantId) -> Result<Arc<Sealer>, Error> {
        let keys = Keys(self.0);
        self.0.caches().sealers.get_with(tenant, &tenant, || keys.load(tenant)).await
    }

    /// [`Sealer::seal`] under the tenant's newest key.
    ///
    /// # Errors
    /// Those of [`Tenants::sealer`] and [`Error::Seal`].
    pub async fn seal(self, tenant: TenantId, parts: &[&[u8]], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        self.sealer(tenant).await?.seal(parts, plaintext)
    }

    /// [`Sealer::open`].
    ///
    /// # Errors
    /// Those of [`Tenants::sealer`] and [`Error::Seal`].
    pub async fn open(self, tenant: TenantId, parts: &[&[u8]], sealed: &[u8]) -> Result<SecretBytes, Error> {
        self.sealer(tenant).await?.open(parts, sealed)
    }

    /// [`Sealer::seal_text`] under the tenant's newest key.
    ///
    /// # Errors
    /// Those of [`Tenants::sealer`] and [`Error::Seal`].
    pub async fn seal_text(
        self,
        tenant: TenantId,
        parts: &[&[u8]],
        plaintext: &[u8],
    ) -> Result<String, Error> {
        self.sealer(tenant).await?.seal_text(parts, plaintext)
    }

    /// [`Sealer::open_text`].
    ///
    /// # Errors
    /// Those of [`Tenants::sealer`] and [`Error::Seal`].
    pub async fn open_text(
        self,
        tenant: TenantId,
        parts: &[&[u8]],
        sealed: &str,
    ) -> Result<SecretBytes, Error> {
        self.sealer(tenant).await?.open_text(parts, sealed)
    }

    /// Gives the tenant a new data key, which seals from now on. What older keys sealed still opens, and is sealed anew by
    /// [`crate::DataKeys::reseal`].
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; those of the store.
    pub async fn rotate_data_key(self, tenant: TenantId, cause: &Cause) -> Result<(), Error> {
        self.get(tenant).await?;
        let key = Keys(self.0).generate(tenant)?;
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                key.insert(tx).await?;
                resealing::start(tx, tenant, key.id, key.at).await?;
                let target = ("data_key", key.id.to_string());
                let event = cause.done(tenant, "key.rotate", target, json!({"kind": "data_key"}));
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                Ok(())
            })
            .await
    }

    /// Exchanges the master key while serving: `ring` holds the new one as its current key and the old one among its
    /// previous keys. Wraps all data keys anew and answers how many; run again after an interruption, it goes on. Values
    /// need not be touched.
    ///
    /// # Errors
    /// [`Error::MasterKey`] for a data key that no key of the ring opens; those of the store.
    pub async fn rewrap(self, ring: MasterKeyring, cause: &Cause) -> Result<u64, Error> {
        self.0.master().exchange(ring);
        let mut after = (TenantId::from_uuid(Uuid::nil()), Uuid::nil());
        let mut total = 0_u64;
        loop {
            let (identity, cause, from) = (self.0.clone(), cause.clone(), after);
            let batch = self
                .0
                .store()
                .write(async move |tx: &mut Tx<'_>| rewrap_batch(tx, &identity, from, &cause).await)
                .await?;
            total = total.saturating_add(batch.rewrapped);
            match batch.last {
                Some(last) => after = last,
                None => return Ok(total),
            }
        }
    }

    /// Whether the master key opens every data key; for the start of the server and for `doctor`.
    ///
    /// # Errors
    /// [`Error::MasterKey`] for the first that does not open; those of the store.
    pub async fn check_master_key(self) -> Result<(), Error> {
        let mut after = (TenantId::from_uuid(Uuid::nil()), Uuid::nil());
        loop {
            let (identity, from) = (self.0.clone(), after);
            let page =
                self.0.store().read(async move |tx: &mut Tx<'_>| page(tx, &identity, from).await).await?;
            match page.last() {
                Some(last) => after = (last.tenant, last.id),
                None => return Ok(()),
            }
        }
    }
}

/// A data key as a page of all of them has it, with what is in it.
struct Held {
    tenant: TenantId,
    id: Uuid,
    wrapped: Vec<u8>,
    key: DataKey,
}

/// The data keys that follow `after`, all of which have to open.
async fn page(tx: &mut Tx<'_>, identity: &Identity, after: (TenantId, Uuid)) -> Result<Vec<Held>, Error> {
    let ring = identity.master().ring();
    let rows = tx
        .query(&schema::DATA_KEY_PAGE, &params![after.0, after.1, REWRAP_BATCH], |row| {
            Ok((row.get::<TenantId>(0)?, row.get::<Uuid>(1)?, row.get::<Vec<u8>>(2)?))
        })
        .await?;
    rows.into_iter()
        .map(|(tenant, id, wrapped)| {
            let key = ring.unwrap(&wrapped, &row_aad(tenant, id)).map_err(|source| Error::MasterKey {
                tenant,
                key: id,
                source,
            })?;
            Ok(Held { tenant, id, wrapped, key })
        })
        .collect()
}

struct Batch {
    rewrapped: u64,
    last: Option<(TenantId, Uuid)>,
}

async fn rewrap_batch(
    tx: &mut Tx<'_>,
    identity: &Identity,
    after: (TenantId, Uuid),
    cause: &Cause,
) -> Result<Batch, Error> {
    let ring = identity.master().ring();
    let held = page(tx, identity, after).await?;
    let mut rewrapped = 0_u64;
    for Held { tenant, id, wrapped, key } in &held {
        if !ring.needs_rewrap(wrapped).map_err(Error::Seal)? {
            continue;
        }
        let anew = ring.wrap(identity.world(), key, &row_aad(*tenant, *id)).map_err(Error::Seal)?;
        let done = tx.execute(&schema::REWRAP_DATA_KEY, &params![*tenant, *id, wrapped, &anew]).await?;
        if done == 1 {
            let detail = json!({"kind": "master", "master_key": ring.current().fingerprint().to_string()});
            let event = cause.done(*tenant, "key.rotate", ("data_key", id.to_string()), detail);
            keyreeve_audit::record(tx, identity.world(), &event).await?;
        }
        rewrapped = rewrapped.saturating_add(done);
    }
    Ok(Batch { rewrapped, last: held.last().map(|held| (held.tenant, held.id)) })
}
