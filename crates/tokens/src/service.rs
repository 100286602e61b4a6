//! The room itself: what its use cases share.

use crate::access::Verified;
use crate::clients::{ClientRecord, Clients};
use crate::error::Error;
use crate::grants::GrantState;
use crate::issuers::{Issuers, KeyCache, TrustedIssuer};
use crate::keys::{KeySet, Keys};
use crate::mappers::Mapper;
use crate::policy::TokenPolicy;
use crate::schema;
use keyreeve_audit::{Event, Outcome};
use keyreeve_base::{ClientId, GrantId, Origin, TenantId, Timestamp, World};
use keyreeve_crypto::SecretBytes;
use keyreeve_fetch::Fetcher;
use keyreeve_identity::{Cause, Identity, Tenant};
use keyreeve_store::{Cache, Store, Tx, params};
use std::sync::Arc;
use url::Url;
use uuid::Uuid;

/// The slug of the tenant whose issuer is the public URL itself.
pub const DEFAULT_TENANT: &str = keyreeve_identity::DEFAULT_SLUG;

/// The change-feed topics of this room.
pub(crate) mod topic {
    /// A tenant's policy; the key is the tenant.
    pub(crate) const POLICY: &str = "token_policy";
    /// A tenant's signing keys; the key is the tenant.
    pub(crate) const KEYS: &str = "signing_key";
    /// A client; the key is its `client_id`.
    pub(crate) const CLIENT: &str = "client";
    /// A tenant's trusted issuers; the key is the tenant.
    pub(crate) const ISSUER: &str = "trusted_issuer";
    /// A grant that was revoked; the key is its identifier.
    pub(crate) const GRANT: &str = "grant";
    /// The mappers of a client, or (`*`) of all clients of a tenant; the key is the client's row.
    pub(crate) const MAPPER: &str = "claim_mapper";
    /// A single access token that was revoked; the key is its `jti`.
    pub(crate) const TOKEN: &str = "access_token";
}

const TENANTS_CACHED: usize = 1_000;
const CLIENTS_CACHED: usize = 10_000;
const GRANTS_CACHED: usize = 50_000;
/// Verified signatures kept in memory; about one KiB each.
const TOKENS_CACHED: usize = 10_000;

/// What the room is given at its start.
#[derive(Clone, Debug)]
pub struct TokensOptions {
    /// The address under which users and applications reach this server; the only source of issuers and links (AC-20).
    pub public_url: Url,
    /// Where the token endpoint lies below an issuer, with a leading slash: an audience that client assertions may name.
    pub token_path: String,
    /// Where people type the codes that their devices show, below an issuer, with a leading slash.
    pub device_path: String,
    /// The guarded client for what leaves the server. Without one nothing does: nobody is told of a sign-out.
    pub fetcher: Option<Fetcher>,
    /// Where authorization requests are pushed, below an issuer: another audience that client assertions may name.
    pub pushed_path: String,
}

impl TokensOptions {
    /// The options for this address, with the token endpoint at `/oauth2/token`, that for pushed requests at `/oauth2/par`,
    /// and the devices' page at `/device`.
    #[must_use]
    pub fn new(public_url: Url) -> Self {
        Self {
            public_url,
            token_path: "/oauth2/token".to_owned(),
            device_path: "/device".to_owned(),
            fetcher: None,
            pushed_path: "/oauth2/par".to_owned(),
        }
    }
}

/// The tokens room. Cheap to clone.
#[derive(Clone)]
pub struct Tokens(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) world: World,
    pub(crate) identity: Identity,
    base_url: String,
    token_path: String,
    pub(crate) device_path: String,
    pub(crate) fetcher: Option<Fetcher>,
    pushed_path: String,
    policies: Arc<Cache<TenantId, Arc<TokenPolicy>>>,
    pub(crate) keys: Arc<Cache<TenantId, Arc<KeySet>>>,
    pub(crate) clients: Arc<Cache<String, Arc<ClientRecord>>>,
    pub(crate) mappers: Arc<Cache<ClientId, Arc<[Mapper]>>>,
    pub(crate) issuers: Arc<Cache<TenantId, Arc<Vec<TrustedIssuer>>>>,
    pub(crate) issuer_keys: KeyCache,
    pub(crate) grants: Arc<Cache<GrantId, Option<Arc<GrantState>>>>,
    pub(crate) revoked: Arc<Cache<Uuid, bool>>,
    /// Tokens whose signature was verified, by the digest of their text. Holds nothing that can change: whether the
    /// token is still good is asked anew every time.
    pub(crate) verified: quick_cache::sync::Cache<(TenantId, [u8; 32]), Arc<Verified>>,
}

impl Tokens {
    /// The room over this store. Registers its caches on the change feed.
    #[must_use]
    pub fn new(store: Store, world: World, identity: Identity, options: &TokensOptions) -> Self {
        let base_url = options.public_url.as_str().trim_end_matches('/').to_owned();
        Self(Arc::new(Inner {
            policies: Cache::new(&store, topic::POLICY, TENANTS_CACHED),
            keys: Cache::new(&store, topic::KEYS, TENANTS_CACHED),
            clients: Cache::new(&store, topic::CLIENT, CLIENTS_CACHED),
            mappers: Cache::new(&store, topic::MAPPER, CLIENTS_CACHED),
            issuers: Cache::new(&store, topic::ISSUER, TENANTS_CACHED),
            issuer_keys: KeyCache::default(),
            grants: Cache::new(&store, topic::GRANT, GRANTS_CACHED),
            revoked: Cache::new(&store, topic::TOKEN, TOKENS_CACHED),
            verified: quick_cache::sync::Cache::new(TOKENS_CACHED),
            store,
            world,
            identity,
            base_url,
            token_path: options.token_path.clone(),
            device_path: options.device_path.clone(),
            fetcher: options.fetcher.clone(),
            pushed_path: options.pushed_path.clone(),
        }))
    }

    /// The identity room below.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The public URL without a trailing slash.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.0.base_url
    }

    /// The tenant's issuer identifier (RFC 8414 section 2), without a trailing slash. The endpoints lie below it.
    #[must_use]
    pub fn issuer(&self, tenant: &Tenant) -> String {
        if tenant.slug == DEFAULT_TENANT {
            self.0.base_url.clone()
        } else {
            format!("{}/t/{}", self.0.base_url, tenant.slug)
        }
    }

    /// The address of the tenant's token endpoint.
    #[must_use]
    pub fn token_endpoint(&self, tenant: &Tenant) -> String {
        format!("{}{}", self.issuer(tenant), self.0.token_path)
    }

    /// Where authorization requests are pushed, below an issuer.
    pub(crate) fn pushed_path(&self) -> &str {
        &self.0.pushed_path
    }

    /// The use cases of clients.
    #[must_use]
    pub const fn clients(&self) -> Clients<'_> {
        Clients(self)
    }

    /// The use cases of trusted issuers.
    #[must_use]
    pub const fn issuers(&self) -> Issuers<'_> {
        Issuers(self)
    }

    /// The use cases of signing keys.
    #[must_use]
    pub const fn keys(&self) -> Keys<'_> {
        Keys(self)
    }

    /// The tenant's policy.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn policy(&self, tenant: TenantId) -> Result<Arc<TokenPolicy>, Error> {
        let store = &self.0.store;
        self.0
            .policies
            .get_with(tenant, &tenant, || async move {
                let text = store
                    .read(async move |tx: &mut Tx<'_>| {
                        tx.query_opt(&schema::POLICY, &params![tenant], |row| row.get::<String>(0)).await
                    })
                    .await?;
                let policy = match text {
                    Some(text) => {
                        serde_json::from_str(&text).map_err(|e| Error::corrupt("token policy", e))?
                    }
                    None => TokenPolicy::default(),
                };
                Ok(Arc::new(policy))
            })
            .await
    }

    /// Sets the tenant's policy. What was issued before keeps the life that it was given.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a value out of bounds.
    pub async fn set_policy(
        &self,
        tenant: TenantId,
        policy: &TokenPolicy,
        cause: &Cause,
    ) -> Result<(), Error> {
        policy.validate()?;
        let detail = serde_json::to_value(policy).map_err(|e| Error::corrupt("token policy", e))?;
        let (room, cause) = (self.clone(), cause.clone());
        self.0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let text = detail.to_string();
                tx.execute(&schema::SET_POLICY, &params![tenant, &text, room.now()]).await?;
                let target = ("tenant", tenant.to_string());
                room.record(tx, &cause, tenant, "policy.update", target, detail.clone()).await?;
                tx.changed(Some(tenant), topic::POLICY, &tenant.to_string()).await?;
                Ok(())
            })
            .await
    }

    /// Seals bytes for the tenant, bound to what they belong to.
    pub(crate) async fn seal(
        &self,
        tenant: TenantId,
        aad: &[&[u8]],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Error> {
        Ok(self.0.identity.tenants().seal(tenant, aad, plaintext).await?)
    }

    /// Opens what [`Tokens::seal`] sealed.
    pub(crate) async fn open(
        &self,
        tenant: TenantId,
        aad: &[&[u8]],
        sealed: &[u8],
    ) -> Result<SecretBytes, Error> {
        Ok(self.0.identity.tenants().open(tenant, aad, sealed).await?)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.world.now()
    }

    /// Writes the audit entry of a change that was made.
    #[allow(
        clippy::too_many_arguments,
        reason = "an audit entry has this many parts, and each call names them all"
    )]
    pub(crate) async fn record(
        &self,
        tx: &mut Tx<'_>,
        cause: &Cause,
        tenant: TenantId,
        action: &'static str,
        target: (&'static str, String),
        detail: serde_json::Value,
    ) -> Result<(), keyreeve_store::Error> {
        let event = Event {
            tenant,
            actor: cause.actor,
            action,
            target: Some(target),
            outcome: Outcome::Success,
            reason: None,
            origin: &cause.origin,
            detail,
        };
        keyreeve_audit::record(tx, &self.0.world, &event).await.map(drop)
    }

    /// Writes the audit entry of a request that was refused.
    pub(crate) async fn record_refusal(
        &self,
        tx: &mut Tx<'_>,
        refusal: Refused<'_>,
        origin: &Origin,
    ) -> Result<(), keyreeve_store::Error> {
        let event = Event {
            tenant: refusal.tenant,
            actor: refusal.actor,
            action: refusal.action,
            target: refusal.target,
            outcome: Outcome::Refused,
            reason: Some(refusal.reason),
            origin,
            detail: serde_json::Value::Null,
        };
        keyreeve_audit::record(tx, &self.0.world, &event).await.map(drop)
    }
}

/// A refusal for the audit log.
pub(crate) struct Refused<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) actor: keyreeve_audit::Actor,
    pub(crate) action: &'static str,
    pub(crate) target: Option<(&'static str, String)>,
    pub(crate) reason: &'a str,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({})", self.0.base_url)
    }
}
