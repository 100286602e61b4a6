//! Signing keys: made at first use, rotated with overlap, private parts sealed.
//!
//! A key's life: *next* (published, so that whoever caches the JWKS knows it before it signs) → *signing* → *retired*
//! (published until no token that it signed can still be valid) → gone.

use crate::error::Error;
use crate::policy::MAX_TOKEN_LIFETIME_S;
use crate::schema;
use crate::service::{Tokens, topic};
use bytes::Bytes;
use keyreeve_base::{KeyId, TenantId, Timestamp};
use keyreeve_crypto::sign::{Algorithm, Jwk, JwkSet, SigningKey, VerifyingKey};
use keyreeve_identity::Cause;
use keyreeve_store::{Row, Tx, params};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How long a retired key stays published: longer than any token lives, with an hour for clocks that differ.
const OVERLAP: Duration = Duration::from_secs(MAX_TOKEN_LIFETIME_S as u64 + 3_600);
/// How long a key is published before an automatic rotation lets it sign.
const PUBLISHED_AHEAD: Duration = Duration::from_secs(86_400);

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Published, does not sign yet.
    Next,
    /// Signs.
    Signing,
    /// Published, does not sign any more.
    Retired,
}

impl KeyState {
    const fn slot(self) -> Option<&'static str> {
        match self {
            Self::Next => Some("next"),
            Self::Signing => Some("signing"),
            Self::Retired => None,
        }
    }
}

/// What may be known of a signing key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeyInfo {
    /// The row.
    pub id: KeyId,
    /// What it signs with.
    pub alg: Algorithm,
    /// Its name in token headers and in the JWKS: the RFC 7638 thumbprint.
    pub kid: String,
    /// Where it is in its life.
    pub state: KeyState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it began to sign.
    pub signing_since: Option<Timestamp>,
    /// When it stopped signing.
    pub retired_at: Option<Timestamp>,
    /// When it leaves the JWKS.
    pub publish_until: Option<Timestamp>,
}

/// A row of `signing_key`.
struct KeyRow {
    info: KeyInfo,
    public: Jwk,
    sealed: Vec<u8>,
}

impl KeyRow {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let corrupt = |what: &str| keyreeve_store::Error::corrupt(format!("a signing key's {what}"));
        let alg: String = row.get(1)?;
        let slot: Option<String> = row.get(3)?;
        let public: String = row.get(4)?;
        Ok(Self {
            info: KeyInfo {
                id: row.get(0)?,
                alg: alg.parse().map_err(|_| corrupt("algorithm"))?,
                kid: row.get(2)?,
                state: match slot.as_deref() {
                    None => KeyState::Retired,
                    Some("next") => KeyState::Next,
                    Some("signing") => KeyState::Signing,
                    Some(_) => return Err(corrupt("slot")),
                },
                created_at: row.get(6)?,
                signing_since: row.get(7)?,
                retired_at: row.get(8)?,
                publish_until: row.get(9)?,
            },
            public: serde_json::from_str(&public).map_err(|_| corrupt("public part"))?,
            sealed: row.get(5)?,
        })
    }
}

/// A tenant's published keys, ready for use.
pub(crate) struct KeySet {
    keys: Vec<(KeyInfo, VerifyingKey)>,
    signing: Vec<Arc<SigningKey>>,
    published: PublishedKeys,
    /// When the first of its keys must leave it.
    stale_at: Option<Timestamp>,
}

/// The public keys of a tenant, as they are sent. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct PublishedKeys {
    /// A JWK set (RFC 7517 section 5).
    pub json: Bytes,
    /// The SHA-256 of that text in base64url: by it, a reader knows whether it has changed.
    pub digest: Bytes,
}

impl KeySet {
    /// The published key of this name.
    pub(crate) fn verifying(&self, kid: &str) -> Option<&VerifyingKey> {
        self.keys.iter().find(|(info, _)| info.kid == kid).map(|(_, key)| key)
    }

    fn signing(&self, alg: Algorithm) -> Option<Arc<SigningKey>> {
        self.signing.iter().find(|key| key.algorithm() == alg).cloned()
    }
}

/// What the associated data of a sealed private key binds it to.
pub(crate) fn bound_to(kid: &str) -> [&[u8]; 2] {
    [b"tokens/signing_key", kid.as_bytes()]
}

/// A key that was made and is not stored yet.
struct Fresh {
    id: KeyId,
    alg: Algorithm,
    kid: String,
    public: String,
    sealed: Vec<u8>,
}

impl Fresh {
    /// Stores the key in a slot; false when the slot is taken.
    async fn insert(
        &self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        state: KeyState,
        now: Timestamp,
    ) -> Result<bool, keyreeve_store::Error> {
        let since = (state == KeyState::Signing).then_some(now);
        let rows = tx
            .execute(
                &schema::INSERT_KEY,
                &params![
                    self.id,
                    tenant,
                    self.alg.as_str(),
                    &self.kid,
                    state.slot(),
                    &self.public,
                    &self.sealed,
                    now,
                    since
                ],
            )
            .await?;
        Ok(rows == 1)
    }
}

/// The use cases of signing keys.
#[derive(Clone, Copy)]
pub struct Keys<'a>(pub(crate) &'a Tokens);

impl Keys<'_> {
    /// The tenant's public keys as a JWK set (RFC 7517 section 5), the text that is served.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn jwks(&self, tenant: TenantId) -> Result<PublishedKeys, Error> {
        let set = self.set(tenant).await?;
        if !set.keys.is_empty() {
            return Ok(set.published.clone());
        }
        let alg = self.0.policy(tenant).await?.default_alg;
        self.create(tenant, alg).await?;
        Ok(self.set(tenant).await?.published.clone())
    }

    /// What there is to know of the tenant's keys, in the order of their making.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(&self, tenant: TenantId) -> Result<Vec<KeyInfo>, Error> {
        Ok(self.set(tenant).await?.keys.iter().map(|(info, _)| info.clone()).collect())
    }

    /// Makes the keys that the tenant's default algorithm needs, where there are none: done at a tenant's making, so
    /// that its first token does not wait for it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn prepare(&self, tenant: TenantId) -> Result<(), Error> {
        let alg = self.0.policy(tenant).await?.default_alg;
        self.signing(tenant, alg).await.map(drop)
    }

    /// The key that signs with `alg`, made now if there is none.
    pub(crate) async fn signing(&self, tenant: TenantId, alg: Algorithm) -> Result<Arc<SigningKey>, Error> {
        if let Some(key) = self.set(tenant).await?.signing(alg) {
            return Ok(key);
        }
        self.create(tenant, alg).await?;
        self.set(tenant).await?.signing(alg).ok_or_else(|| Error::key("there is none that signs"))
    }

    /// The tenant's published keys.
    pub(crate) async fn set(&self, tenant: TenantId) -> Result<Arc<KeySet>, Error> {
        let cache = &self.0.0.keys;
        let load = || self.load(tenant);
        let set = cache.get_with(tenant, &tenant, load).await?;
        if set.stale_at.is_none_or(|at| at > self.0.now()) {
            return Ok(set);
        }
        cache.forget(tenant, &tenant);
        cache.get_with(tenant, &tenant, load).await
    }

    async fn rows(&self, tenant: TenantId) -> Result<Vec<KeyRow>, Error> {
        let rows = self
            .0
            .0
            .store
            .read(async move |tx: &mut Tx<'_>| {
                tx.query(&schema::KEYS, &params![tenant], KeyRow::from_row).await
            })
            .await?;
        Ok(rows)
    }

    async fn load(&self, tenant: TenantId) -> Result<Arc<KeySet>, Error> {
        let now = self.0.now();
        let mut rows = self.rows(tenant).await?;
        rows.retain(|row| row.info.publish_until.is_none_or(|until| until > now));
        let mut set = KeySet {
            keys: Vec::with_capacity(rows.len()),
            signing: Vec::new(),
            published: PublishedKeys::default(),
            stale_at: rows.iter().filter_map(|row| row.info.publish_until).min(),
        };
        let mut published = JwkSet::default();
        for row in rows {
            if row.info.state == KeyState::Signing {
                let private = self.0.open(tenant, &bound_to(&row.info.kid), &row.sealed).await?;
                let key = SigningKey::from_pkcs8(row.info.alg, private.expose()).map_err(Error::key)?;
                set.signing.push(Arc::new(key));
            }
            let verifying = VerifyingKey::from_jwk(&row.public).map_err(Error::key)?;
            published.keys.push(row.public);
            set.keys.push((row.info, verifying));
        }
        let json = serde_json::to_vec(&published).map_err(|e| Error::corrupt("JWK set", e))?;
        let digest = keyreeve_crypto::base64url::encode(keyreeve_crypto::sha256(&json));
        set.published = PublishedKeys { json: json.into(), digest: digest.into() };
        Ok(Arc::new(set))
    }

    async fn generate(&self, tenant: TenantId, alg: Algorithm) -> Result<Fresh, Error> {
        // An RSA key takes a tenth of a second to find: not on a thread that answers requests.
        let key = match alg {
            Algorithm::EdDsa | Algorithm::Es256 => SigningKey::generate(alg),
            Algorithm::Rs256 => {
                tokio::task::spawn_blocking(move || SigningKey::generate(alg)).await.map_err(Error::key)?
            }
        }
        .map_err(Error::key)?;
        let private = key.to_pkcs8().map_err(Error::key)?;
        let public = serde_json::to_string(key.public_jwk()).map_err(|e| Error::corrupt("JWK", e))?;
        let kid = key.kid().to_owned();
        let sealed = self.0.seal(tenant, &bound_to(&kid), private.expose()).await?;
        Ok(Fresh { id: self.0.0.world.new_id(), alg, kid, public, sealed })
    }

    /// Makes the first keys of an algorithm: one that signs and, where that costs nothing, the next one. If somebody else
    /// is faster, theirs stay.
    async fn create(&self, tenant: TenantId, alg: Algorithm) -> Result<(), Error> {
        let signing = self.generate(tenant, alg).await?;
        let next = match alg {
            Algorithm::EdDsa | Algorithm::Es256 => Some(self.generate(tenant, alg).await?),
            Algorithm::Rs256 => None,
        };
        let room = self.0.clone();
        self.0
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let now = room.now();
                let fresh =
                    [Some((&signing, KeyState::Signing)), next.as_ref().map(|key| (key, KeyState::Next))];
                for (key, state) in fresh.into_iter().flatten() {
                    if key.insert(tx, tenant, state, now).await? {
                        let detail = json!({"alg": key.alg, "kid": key.kid, "state": state});
                        let target = ("signing_key", key.id.to_string());
                        room.record(tx, &Cause::system(), tenant, "key.create", target, detail).await?;
                    }
                }
                tx.changed(Some(tenant), topic::KEYS, &tenant.to_string()).await?;
                Ok(())
            })
            .await
    }

    /// Lets the next key sign from now on. The one that signed so far stays published until every token that it signed
    /// has expired.
    ///
    /// # Errors
    /// [`Error::VersionConflict`] when somebody else rotates at this moment.
    pub async fn rotate(&self, tenant: TenantId, alg: Algorithm, cause: &Cause) -> Result<KeyInfo, Error> {
        let current = self.current(tenant, alg).await?;
        let fresh = self.generate(tenant, alg).await?;
        let (room, cause) = (self.0.clone(), cause.clone());
        let retired = current.clone();
        self.0
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let now = room.now();
                let until = now.plus(OVERLAP);
                let name = alg.as_str();
                if let Some(old) = &retired {
                    let rows =
                        tx.execute(&schema::RETIRE_KEY, &params![tenant, name, old.id, now, until]).await?;
                    if rows == 0 {
                        return Err(Error::VersionConflict);
                    }
                }
                let promoted = tx.execute(&schema::PROMOTE_KEY, &params![tenant, name, now]).await?;
                let state = if promoted == 1 { KeyState::Next } else { KeyState::Signing };
                if !fresh.insert(tx, tenant, state, now).await? {
                    return Err(Error::VersionConflict);
                }
                let detail = json!({
                    "alg": alg, "retired": retired.as_ref().map(|old| &old.kid), "created": fresh.kid,
                });
                let target = ("signing_key", fresh.id.to_string());
                room.record(tx, &cause, tenant, "key.rotate", target, detail).await?;
                tx.changed(Some(tenant), topic::KEYS, &tenant.to_string()).await?;
                Ok(())
            })
            .await?;
        self.current(tenant, alg).await?.ok_or_else(|| Error::key("there is none that signs"))
    }

    async fn current(&self, tenant: TenantId, alg: Algorithm) -> Result<Option<KeyInfo>, Error> {
        let rows = self.rows(tenant).await?;
        Ok(rows.into_iter().map(|row| row.info).find(|k| k.alg == alg && k.state == KeyState::Signing))
    }

    /// The regular care of one tenant's keys: makes the next key of each algorithm in use, rotates what has signed for
    /// long enough, forgets what was published for long enough. Any number of nodes may call it, at any time.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn maintain(&self, tenant: TenantId) -> Result<(), Error> {
        let period = Duration::from_secs(self.0.policy(tenant).await?.key_rotation_s.into());
        let now = self.0.now();
        let keys: Vec<KeyInfo> = self.rows(tenant).await?.into_iter().map(|row| row.info).collect();
        for key in &keys {
            if key.publish_until.is_some_and(|until| until <= now) {
                self.drop_key(tenant, key).await?;
            }
            let Some(since) = key.signing_since.filter(|_| key.state == KeyState::Signing) else { continue };
            match keys.iter().find(|next| next.alg == key.alg && next.state == KeyState::Next) {
                None => self.add_next(tenant, key.alg).await?,
                Some(next) if now.since(since) >= period && now.since(next.created_at) >= PUBLISHED_AHEAD => {
                    match self.rotate(tenant, key.alg, &Cause::system()).await {
                        // Another node was faster.
                        Ok(_) | Err(Error::VersionConflict) => {}
                        Err(error) => return Err(error),
                    }
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    async fn add_next(&self, tenant: TenantId, alg: Algorithm) -> Result<(), Error> {
        let fresh = self.generate(tenant, alg).await?;
        let room = self.0.clone();
        self.0
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                if fresh.insert(tx, tenant, KeyState::Next, room.now()).await? {
                    let detail = json!({"alg": alg, "kid": fresh.kid, "state": KeyState::Next});
                    let target = ("signing_key", fresh.id.to_string());
                    room.record(tx, &Cause::system(), tenant, "key.create", target, detail).await?;
                    tx.changed(Some(tenant), topic::KEYS, &tenant.to_string()).await?;
                }
                Ok(())
            })
            .await
    }

    async fn drop_key(&self, tenant: TenantId, key: &KeyInfo) -> Result<(), Error> {
        let (room, key) = (self.0.clone(), key.clone());
        self.0
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let rows = tx.execute(&schema::DROP_KEY, &params![tenant, key.id, room.now()]).await?;
                if rows == 1 {
                    let target = ("signing_key", key.id.to_string());
                    let detail = json!({"alg": key.alg, "kid": key.kid});
                    room.record(tx, &Cause::system(), tenant, "key.remove", target, detail).await?;
                    tx.changed(Some(tenant), topic::KEYS, &tenant.to_string()).await?;
                }
                Ok(())
            })
            .await
    }
}
