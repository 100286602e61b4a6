//! Stores elsewhere that keep values: servers that speak Vault's KV engine, version 2.
//!
//! A store names the service authentication by which it is reached, and both name the same server: a credential goes to no
//! other than the one that it was given for, whoever changes the store.

use crate::access::record_of;
use crate::authentications::{check_mount, hold as hold_authentication, named};
use crate::model::check_name;
use crate::policies::require_tenant;
use crate::records::{FoundRecords, Record, RecordField, RecordSearch, page_of};
use crate::{Error, Secrets, ServiceAuthId, StoreId, schema};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_fetch::FetchError;
use keyreeve_identity::{Authority, Cause, Patch};
use keyreeve_store::{Row, Tx, params};
use serde_json::json;

/// The most stores of a tenant.
pub const MAX_STORES: u32 = 200;
/// How long a store has for an answer where nobody says, in milliseconds.
pub const DEFAULT_TIMEOUT_MS: u32 = 5_000;
/// How long it has at most, in milliseconds.
pub const MAX_TIMEOUT_MS: u32 = 15_000;
/// How long it has at least, in milliseconds.
const MIN_TIMEOUT_MS: u32 = 100;
/// The longest address of a server, in bytes.
const MAX_URL_BYTES: usize = 1_024;
/// The longest namespace, in bytes.
const MAX_NAMESPACE_BYTES: usize = 256;

/// A store elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretStore {
    pub(crate) key: i64,
    /// Its identifier.
    pub id: StoreId,
    /// Its name, unique in the tenant.
    pub name: String,
    /// The address of the server, without `/v1`.
    pub url: String,
    /// The mount of the KV engine.
    pub mount: String,
    /// The namespace, of servers that have such.
    pub namespace: Option<String>,
    /// What it is reached with.
    pub authentication: ServiceAuthId,
    /// How long it has for an answer, in milliseconds.
    pub timeout_ms: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts the changes.
    pub version: i64,
}

impl SecretStore {
    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        Ok(Self {
            key: row.get(0)?,
            id: row.get(1)?,
            name: row.get(2)?,
            url: row.get(3)?,
            mount: row.get(4)?,
            namespace: row.get(5)?,
            authentication: row.get(6)?,
            timeout_ms: u32::try_from(row.get::<i64>(7)?).unwrap_or(DEFAULT_TIMEOUT_MS),
            created_at: row.get(8)?,
            updated_at: row.get(9)?,
            version: row.get(10)?,
        })
    }

    fn check(&self) -> Result<(), Error> {
        check_name(&self.name)?;
        check_mount(&self.mount)?;
        if let Some(namespace) = &self.namespace {
            let graphic = namespace.bytes().all(|byte| byte.is_ascii_graphic());
            if !graphic || !(1..=MAX_NAMESPACE_BYTES).contains(&namespace.len()) {
                let problem = format!("is not 1 to {MAX_NAMESPACE_BYTES} visible ASCII characters");
                return Err(Error::invalid("namespace", problem));
            }
        }
        if !(MIN_TIMEOUT_MS..=MAX_TIMEOUT_MS).contains(&self.timeout_ms) {
            let problem = format!("is not from {MIN_TIMEOUT_MS} to {MAX_TIMEOUT_MS}");
            return Err(Error::invalid("timeout_ms", problem));
        }
        Ok(())
    }
}

impl Record for SecretStore {
    fn place(&self) -> (i64, &str) {
        (self.key, &self.name)
    }

    fn text(&self, field: RecordField) -> Option<String> {
        match field {
            RecordField::Id => Some(self.id.to_string()),
            RecordField::Name => Some(self.name.clone()),
            RecordField::Url => Some(self.url.clone()),
            RecordField::Mount => Some(self.mount.clone()),
            RecordField::Namespace => self.namespace.clone(),
            RecordField::Authentication => Some(self.authentication.to_string()),
            RecordField::CreatedAt => Some(self.created_at.to_string()),
            RecordField::UpdatedAt => Some(self.updated_at.to_string()),
            RecordField::Method | RecordField::RoleId => None,
        }
    }
}

/// A store to make known.
#[derive(Debug, Clone)]
pub struct NewStore {
    /// Its name.
    pub name: String,
    /// The address of the server: that of its service authentication.
    pub url: String,
    /// The mount of the KV engine.
    pub mount: String,
    /// The namespace.
    pub namespace: Option<String>,
    /// What it is reached with.
    pub authentication: ServiceAuthId,
    /// How long it has for an answer, in milliseconds.
    pub timeout_ms: u32,
}

/// What changes of a store.
#[derive(Debug, Clone, Default)]
pub struct StorePatch {
    /// Another name.
    pub name: Option<String>,
    /// Another address: that of its service authentication, or of the new one.
    pub url: Option<String>,
    /// Another mount.
    pub mount: Option<String>,
    /// Another namespace, or none.
    pub namespace: Patch<String>,
    /// Something else to reach it with.
    pub authentication: Option<ServiceAuthId>,
    /// How long it has for an answer, in milliseconds.
    pub timeout_ms: Option<u32>,
}

impl StorePatch {
    fn apply(&self, store: &mut SecretStore) -> Vec<&'static str> {
        let mut touched = Vec::new();
        let texts = [
            ("name", &self.name, &mut store.name),
            ("url", &self.url, &mut store.url),
            ("mount", &self.mount, &mut store.mount),
        ];
        for (field, new, old) in texts {
            if let Some(new) = new {
                old.clone_from(new);
                touched.push(field);
            }
        }
        if self.namespace.apply(&mut store.namespace) {
            touched.push("namespace");
        }
        if let Some(authentication) = self.authentication {
            store.authentication = authentication;
            touched.push("authentication");
        }
        if let Some(timeout_ms) = self.timeout_ms {
            store.timeout_ms = timeout_ms;
            touched.push("timeout_ms");
        }
        touched
    }
}

impl Secrets {
    /// The address of a server as it is kept, if requests may go there as far as its text tells.
    pub(crate) fn server_url(&self, url: &str) -> Result<String, Error> {
        let wrong = |problem: &str| Err(Error::invalid("url", problem));
        let Some(fetcher) = &self.options().fetcher else {
            return wrong("cannot be reached: this server sends no requests");
        };
        let target = match fetcher.check(url) {
            Ok(target) => target,
            Err(FetchError::Url(problem)) => return wrong(problem),
            Err(_) => return wrong("is one that requests may not go to"),
        };
        if target.url().query().is_some() {
            return wrong("has a query");
        }
        let text = target.url().as_str().trim_end_matches('/');
        if text.len() > MAX_URL_BYTES {
            return wrong("is longer than 1024 bytes");
        }
        if text.ends_with("/v1") {
            return wrong("ends with /v1, which is put behind it");
        }
        Ok(text.to_owned())
    }

    /// Makes a store elsewhere known; takes authority over the tenant. It is not asked anything yet.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Invalid`]; [`Error::Taken`] for the name; [`Error::Repeated`].
    pub async fn create_store(
        &self,
        authority: &Authority,
        new: NewStore,
        cause: &Cause,
    ) -> Result<SecretStore, Error> {
        require_tenant(authority)?;
        let (tenant, now) = (authority.tenant(), self.world().now());
        let store = SecretStore {
            key: 0,
            id: StoreId::generate(self.world()),
            name: new.name,
            url: self.server_url(&new.url)?,
            mount: new.mount,
            namespace: new.namespace,
            authentication: new.authentication,
            timeout_ms: new.timeout_ms,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        store.check()?;
        let (secrets, cause, id) = (self.clone(), cause.clone(), store.id);
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                cause.claim(tx, secrets.world(), ("secret_store", id.uuid())).await?;
                let count: i64 = tx.scalar(&schema::COUNT_STORES, &params![tenant]).await?;
                if count >= i64::from(MAX_STORES) {
                    let problem = format!("would be more than the {MAX_STORES} that a tenant has");
                    return Err(Error::invalid("name", problem));
                }
                let by = reached_with(tx, tenant, &store).await?;
                let SecretStore { name, url, mount, namespace, .. } = &store;
                let timeout = i64::from(store.timeout_ms);
                let row = params![tenant, id, name, url, mount, namespace, by, timeout, now];
                named(tx.execute(&schema::INSERT_STORE, &row).await)?;
                let authentication = store.authentication.to_string();
                let detail =
                    json!({"name": name, "url": url, "mount": mount, "authentication": authentication});
                let target = ("secret_store", id.to_string());
                record_of(tx, &secrets, (tenant, "secret_store.create"), target, (&cause, detail)).await
            })
            .await?;
        self.secret_store(authority, id).await
    }

    /// One store; takes authority over the tenant.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::NotFound`].
    pub async fn secret_store(&self, authority: &Authority, id: StoreId) -> Result<SecretStore, Error> {
        require_tenant(authority)?;
        let tenant = authority.tenant();
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::STORE, &params![tenant, id], SecretStore::from_row).await
        };
        let found: Option<SecretStore> = self.store().read(read).await?;
        found.ok_or(Error::NotFound("secret store"))
    }

    /// A page of the tenant's stores; takes authority over the tenant.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub async fn secret_stores(
        &self,
        authority: &Authority,
        search: &RecordSearch,
    ) -> Result<FoundRecords<SecretStore>, Error> {
        require_tenant(authority)?;
        let (tenant, most) = (authority.tenant(), i64::from(MAX_STORES));
        let read = async move |tx: &mut Tx<'_>| {
            tx.query(&schema::STORES_OF, &params![tenant, most], SecretStore::from_row).await
        };
        Ok(page_of(self.store().read(read).await?, search))
    }

    /// Changes a store; with `version`, only if it still is at that. Takes authority over the tenant.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::NotFound`], [`Error::VersionConflict`], [`Error::Invalid`], [`Error::Taken`].
    pub async fn update_store(
        &self,
        authority: &Authority,
        (id, version): (StoreId, Option<i64>),
        mut patch: StorePatch,
        cause: &Cause,
    ) -> Result<SecretStore, Error> {
        require_tenant(authority)?;
        if let Some(url) = &mut patch.url {
            *url = self.server_url(url)?;
        }
        let (tenant, secrets, cause) = (authority.tenant(), self.clone(), cause.clone());
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                let mut store = hold(tx, (tenant, id), version).await?;
                let touched = patch.apply(&mut store);
                store.check()?;
                let (by, now) = (reached_with(tx, tenant, &store).await?, secrets.world().now());
                let SecretStore { key, name, url, mount, namespace, .. } = &store;
                let timeout = i64::from(store.timeout_ms);
                let row = params![*key, name, url, mount, namespace, by, timeout, now];
                named(tx.execute(&schema::UPDATE_STORE, &row).await)?;
                let (target, detail) = (("secret_store", id.to_string()), json!({"fields": touched}));
                record_of(tx, &secrets, (tenant, "secret_store.update"), target, (&cause, detail)).await
            })
            .await?;
        self.secret_store(authority, id).await
    }

    /// Forgets a store; takes authority over the tenant. What it keeps stays there.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::NotFound`], [`Error::VersionConflict`]; [`Error::InUse`] where a secret has its value there.
    pub async fn delete_store(
        &self,
        authority: &Authority,
        (id, version): (StoreId, Option<i64>),
        cause: &Cause,
    ) -> Result<(), Error> {
        require_tenant(authority)?;
        let (tenant, secrets, cause) = (authority.tenant(), self.clone(), cause.clone());
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                let store = hold(tx, (tenant, id), version).await?;
                let used = tx.query_opt(&schema::SECRET_IN, &params![id], |row| row.get::<i64>(0)).await?;
                if used.is_some() {
                    return Err(Error::InUse("secrets whose values lie in it"));
                }
                tx.execute(&schema::DELETE_STORE, &params![store.key]).await?;
                let (target, detail) = (("secret_store", id.to_string()), json!({"name": store.name}));
                record_of(tx, &secrets, (tenant, "secret_store.delete"), target, (&cause, detail)).await
            })
            .await
    }
}

/// Keeps others from changing it, and from putting secrets into it, until the transaction ends.
async fn hold(
    tx: &mut Tx<'_>,
    (tenant, id): (TenantId, StoreId),
    version: Option<i64>,
) -> Result<SecretStore, Error> {
    tx.query_opt(&schema::HOLD_STORE, &params![tenant, id], |row| row.get::<i64>(0)).await?;
    let found = tx.query_opt(&schema::STORE, &params![tenant, id], SecretStore::from_row).await?;
    let store = found.ok_or(Error::NotFound("secret store"))?;
    if version.is_some_and(|version| version != store.version) {
        return Err(Error::VersionConflict);
    }
    Ok(store)
}

/// The key of what a store is reached with, which is for the same server.
async fn reached_with(tx: &mut Tx<'_>, tenant: TenantId, store: &SecretStore) -> Result<i64, Error> {
    let by = hold_authentication(tx, tenant, store.authentication).await;
    let by = by.map_err(|error| match error {
        Error::NotFound(_) => Error::invalid("authentication", "is none that there is"),
        error => error,
    })?;
    if by.url != store.url {
        return Err(Error::invalid(
            "url",
            "is not that of the service authentication, whose credential is for no other",
        ));
    }
    Ok(by.key)
}
