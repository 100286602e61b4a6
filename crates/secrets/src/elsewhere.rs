//! Values that lie in stores elsewhere, which speak Vault's KV engine, version 2. Nothing of them is kept here.
//!
//! **Reading**: decided, recorded, on disk, and only then asked for. **Changing**: that the store is about to be asked is in the
//! log (`secret.ask_store`) before it is, and what became of it after. So whoever is told that something was written can rely on
//! the store's own word and on the log; a process that dies in between leaves an entry that says that it asked, and no claim.
//! Where a store did not answer, or failed, the log says that the outcome is not known. No transaction waits for the network.

mod client;
mod wire;

pub(crate) use client::Sessions;

use crate::access::{Attempt, record, record_of};
use crate::policies::require_tenant;
use crate::{
    Elsewhere, Error, Fate, Lease, LeaseWish, Opened, Secret, SecretStore, Secrets, ServiceAuthentication,
    StoreId, Version, schema,
};
use client::{Ask, Reach};
use keyreeve_base::TenantId;
use keyreeve_crypto::SecretBytes;
use keyreeve_fetch::StatusCode;
use keyreeve_identity::{Authority, Cause};
use keyreeve_store::{Tx, params};
use serde_json::{Value, json};

/// What a check of a store found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether secrets can be read from it, as far as can be told without reading one.
    pub works: bool,
    /// Whether it answered at all.
    pub reached: bool,
    /// Whether it let this server in.
    pub admitted: bool,
    /// In words.
    pub told: String,
}

/// A store as its rows have it.
struct Rows {
    store: SecretStore,
    authentication: ServiceAuthentication,
    sealed: Vec<u8>,
}

async fn rows(tx: &mut Tx<'_>, tenant: TenantId, id: StoreId) -> Result<Rows, Error> {
    let found = tx.query_opt(&schema::STORE, &params![tenant, id], SecretStore::from_row).await?;
    let store: SecretStore = found.ok_or(Error::NotFound("secret store"))?;
    let by = params![tenant, store.authentication];
    let authentication = tx.query_one(&schema::AUTHENTICATION, &by, ServiceAuthentication::from_row).await?;
    let sealed = tx.query_one(&schema::CREDENTIAL, &by, |row| row.get(0)).await?;
    Ok(Rows { store, authentication, sealed })
}

/// Where the value of a secret lies; there is no version of any other secret elsewhere.
fn place(secret: &Secret) -> Result<&Elsewhere, Error> {
    secret.elsewhere.as_ref().ok_or(Error::NotFound("version"))
}

fn detail_of(place: &Elsewhere) -> Value {
    json!({"store": place.store.to_string(), "store_path": place.path})
}

impl Secrets {
    async fn reach(&self, tenant: TenantId, rows: Rows) -> Result<Reach, Error> {
        let Rows { store, authentication, sealed } = rows;
        let sealer = self.identity().tenants().sealer(tenant).await?;
        let (id, url) = (authentication.id.uuid(), authentication.url.as_str());
        let opened = sealer.open(&crate::authentications::bound_to(&id, url), &sealed)?;
        let credential = opened.into_text();
        let credential =
            credential.map_err(|_| keyreeve_store::Error::corrupt("a credential is not text"))?;
        Ok(Reach { store, authentication, credential })
    }

    /// The second half of [`Secrets::read_leased`], where the value lies elsewhere.
    pub(crate) async fn read_elsewhere(
        &self,
        attempt: Attempt<'_>,
        number: Option<i64>,
        wish: LeaseWish,
    ) -> Result<(Opened, Option<Lease>), Error> {
        let (tenant, id, action) = (attempt.authority.tenant(), attempt.id, attempt.action);
        let secret = self.load(tenant, id).await?;
        let place = place(&secret)?.clone();
        if wish != LeaseWish::AsSet {
            return Err(Error::invalid("lease_seconds", "is not for a value that lies in a store elsewhere"));
        }
        if number.is_some_and(|number| number < 1) {
            return Err(Error::NotFound("version"));
        }
        let (secrets, cause, from) = (self.clone(), attempt.cause.clone(), place.clone());
        let rows = self
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let rows = rows(tx, tenant, from.store).await?;
                let mut detail = detail_of(&from);
                if let (Some(number), Some(detail)) = (number, detail.as_object_mut()) {
                    detail.insert("version".to_owned(), json!(number));
                }
                record(tx, &secrets, (tenant, action, id), (&cause, detail)).await?;
                Ok::<_, Error>(rows)
            })
            .await?;
        let reach = self.reach(tenant, rows).await?;
        let (value, version) = match self.value_at(&reach, &place.path, number).await {
            Ok(found) => found,
            Err(error) => {
                self.record_refusal(&attempt, "the store did not hand it out").await?;
                return Err(error);
            }
        };
        Ok((Opened { id, kind: secret.kind, name: secret.name, version, value }, None))
    }

    async fn value_at(
        &self,
        reach: &Reach,
        path: &str,
        number: Option<i64>,
    ) -> Result<(SecretBytes, Version), Error> {
        let ask = Ask::get(&[&reach.store.mount, "data", path]);
        let ask = match number {
            Some(number) => ask.query(format!("version={number}")),
            None => ask,
        };
        let answer = self.ask(reach, &ask).await?;
        match answer.status {
            StatusCode::OK => {
                let (value, version) =
                    wire::value(answer.body()).ok_or_else(|| reach.garbled(answer.status))?;
                let value = value.into_text().map_err(|_| reach.garbled(answer.status))?;
                // No more is handed on than could be kept here.
                let material = self
                    .key_value(&value)
                    .map_err(|_| reach.said("keeps a value there that is too long, or no object"))?;
                Ok((material.value, version))
            }
            StatusCode::NOT_FOUND => Err(wire::gone(answer.body())
                .map_or(Error::NotFound("version"), |version| Error::Gone(Box::new(version)))),
            _ => Err(reach.refused(&answer)),
        }
    }

    /// Notes that a store is about to be asked for a change, and answers how to reach it.
    async fn asking(&self, attempt: Attempt<'_>, place: &Elsewhere) -> Result<Reach, Error> {
        let (tenant, id, action) = (attempt.authority.tenant(), attempt.id, attempt.action);
        let (secrets, cause, place) = (self.clone(), attempt.cause.clone(), place.clone());
        let rows = self
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let rows = rows(tx, tenant, place.store).await?;
                let mut detail = detail_of(&place);
                if let Some(detail) = detail.as_object_mut() {
                    detail.insert("for".to_owned(), json!(action));
                }
                record(tx, &secrets, (tenant, "secret.ask_store", id), (&cause, detail)).await?;
                Ok::<_, Error>(rows)
            })
            .await?;
        self.reach(tenant, rows).await
    }

    /// Notes what became of a change.
    async fn settle<T>(
        &self,
        attempt: Attempt<'_>,
        secret: &Secret,
        (done, told): (Result<T, Error>, impl Fn(&T) -> Value),
    ) -> Result<T, Error> {
        let (tenant, id, action) = (attempt.authority.tenant(), attempt.id, attempt.action);
        let done = match done {
            Ok(done) => done,
            Err(error) => {
                // Only a refusal says that nothing was done: what failed behind the store, or cannot be read, says nothing.
                let refused = match error {
                    Error::Elsewhere { status, .. } => {
                        status.is_some_and(|status| (300..500).contains(&status))
                    }
                    _ => true,
                };
                let why =
                    if refused { "the store did not do it" } else { "whether the store did it is not known" };
                self.record_refusal(&attempt, why).await?;
                return Err(error);
            }
        };
        let (secrets, cause, key, detail) = (self.clone(), attempt.cause.clone(), secret.key, told(&done));
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                tx.execute(&schema::TOUCH, &params![tenant, key, secrets.world().now()]).await?;
                record(tx, &secrets, (tenant, action, id), (&cause, detail.clone())).await
            })
            .await?;
        Ok(done)
    }

    /// Writes a value, or merges a patch into the one that is there.
    pub(crate) async fn write_elsewhere(
        &self,
        attempt: Attempt<'_>,
        secret: &Secret,
        (value, follows, merges): (SecretBytes, Option<i64>, bool),
    ) -> Result<Version, Error> {
        let place = place(secret)?;
        let cas = match follows {
            None => None,
            Some(follows) => Some(
                u64::try_from(follows)
                    .map_err(|_| Error::invalid("follows", "is not the number of a version"))?,
            ),
        };
        if secret.settings.cas_required && cas.is_none() {
            let rows = self.rows_of(attempt.authority.tenant(), place.store).await?;
            let reach = self.reach(attempt.authority.tenant(), rows).await?;
            return Err(Error::CheckAndSet { current: self.newest_at(&reach, &place.path).await? });
        }
        let reach = self.asking(attempt, place).await?;
        let ask = Ask::write(&[&reach.store.mount, "data", &place.path], wire::writing(&value, cas), merges);
        let done = self.written(&reach, &ask, &place.path).await;
        self.settle(attempt, secret, (done, |version: &Version| json!({"version": version.number}))).await
    }

    async fn written(&self, reach: &Reach, ask: &Ask, path: &str) -> Result<Version, Error> {
        let answer = self.ask(reach, ask).await?;
        match answer.status {
            StatusCode::OK => wire::version(answer.body()).ok_or_else(|| reach.garbled(answer.status)),
            StatusCode::BAD_REQUEST if wire::is_check_and_set(answer.body()) => {
                Err(Error::CheckAndSet { current: self.newest_at(reach, path).await? })
            }
            StatusCode::NOT_FOUND => Err(wire::gone(answer.body())
                .map_or(Error::NotFound("version"), |version| Error::Gone(Box::new(version)))),
            _ => Err(reach.refused(&answer)),
        }
    }

    /// Deletes versions there, has them back, or destroys them.
    pub(crate) async fn decide_elsewhere(
        &self,
        attempt: Attempt<'_>,
        secret: &Secret,
        (fate, numbers): (Fate, &[i64]),
    ) -> Result<u64, Error> {
        let place = place(secret)?;
        let numbers: Vec<i64> = numbers.iter().copied().filter(|number| *number > 0).collect();
        if numbers.is_empty() {
            return Ok(0);
        }
        let reach = self.asking(attempt, place).await?;
        let word = match fate {
            Fate::Delete => "delete",
            Fate::Undelete => "undelete",
            Fate::Destroy => "destroy",
        };
        let ask = Ask::post(&[&reach.store.mount, word, &place.path], &json!({"versions": numbers}));
        let changed = u64::try_from(numbers.len()).unwrap_or(u64::MAX);
        let done = match self.ask(&reach, &ask).await {
            Ok(answer) => match answer.status {
                StatusCode::OK | StatusCode::NO_CONTENT => Ok(changed),
                StatusCode::NOT_FOUND => Ok(0),
                _ => Err(reach.refused(&answer)),
            },
            Err(error) => Err(error),
        };
        self.settle(attempt, secret, (done, |_: &u64| json!({"versions": numbers}))).await
    }

    /// The versions that there are, newest first; none where there is nothing.
    pub(crate) async fn versions_elsewhere(
        &self,
        tenant: TenantId,
        secret: &Secret,
        (before, limit): (Option<i64>, u16),
    ) -> Result<Vec<Version>, Error> {
        let place = place(secret)?;
        let rows = self.rows_of(tenant, place.store).await?;
        let reach = self.reach(tenant, rows).await?;
        let mut versions = self.versions_at(&reach, &place.path).await?;
        versions.retain(|version| before.is_none_or(|before| version.number < before));
        versions.truncate(usize::from(limit.clamp(1, crate::MAX_PAGE + 1)));
        Ok(versions)
    }

    async fn versions_at(&self, reach: &Reach, path: &str) -> Result<Vec<Version>, Error> {
        let answer = self.ask(reach, &Ask::get(&[&reach.store.mount, "metadata", path])).await?;
        match answer.status {
            StatusCode::OK => wire::versions(answer.body()).ok_or_else(|| reach.garbled(answer.status)),
            StatusCode::NOT_FOUND => Ok(Vec::new()),
            _ => Err(reach.refused(&answer)),
        }
    }

    async fn newest_at(&self, reach: &Reach, path: &str) -> Result<i64, Error> {
        Ok(self.versions_at(reach, path).await?.first().map_or(0, |version| version.number))
    }

    async fn rows_of(&self, tenant: TenantId, store: StoreId) -> Result<Rows, Error> {
        self.store().read(async move |tx: &mut Tx<'_>| rows(tx, tenant, store).await).await
    }

    /// Tries to reach a store with its credential, and says what it found; takes authority over the tenant. No secret is read.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::NotFound`]; that a store does not answer is no error of this.
    pub async fn check_store(
        &self,
        authority: &Authority,
        id: StoreId,
        cause: &Cause,
    ) -> Result<Finding, Error> {
        require_tenant(authority)?;
        let (tenant, secrets, cause) = (authority.tenant(), self.clone(), cause.clone());
        let rows = self
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let rows = rows(tx, tenant, id).await?;
                let target = ("secret_store", id.to_string());
                record_of(tx, &secrets, (tenant, "secret_store.check"), target, (&cause, Value::Null))
                    .await?;
                Ok::<_, Error>(rows)
            })
            .await?;
        let reach = self.reach(tenant, rows).await?;
        let own = self.ask(&reach, &Ask::get(&["auth", "token", "lookup-self"])).await;
        let own = match own {
            Ok(answer) if answer.status == StatusCode::OK => answer,
            Ok(answer) => return found((true, false), reach.refused(&answer)),
            Err(error) => return found((false, false), error),
        };
        drop(own);
        let mount = Ask::get(&["sys", "internal", "ui", "mounts", &reach.store.mount]);
        match self.ask(&reach, &mount).await {
            Ok(answer) if answer.status == StatusCode::OK && wire::is_kv2(answer.body()) => {
                let told = "it lets this server in, and the mount is a KV engine of version 2".to_owned();
                Ok(Finding { works: true, reached: true, admitted: true, told })
            }
            Ok(answer) if answer.status == StatusCode::OK => {
                let error = reach.said("has no KV engine of version 2 at that mount");
                found((true, true), error)
            }
            Ok(answer) => found((true, true), reach.refused(&answer)),
            Err(error) => found((true, true), error),
        }
    }
}

/// What was found short of all; an error that is none of the store's stays one.
fn found((reached, admitted): (bool, bool), error: Error) -> Result<Finding, Error> {
    match &error {
        Error::Elsewhere { status, .. } => {
            let reached = reached || status.is_some();
            Ok(Finding { works: false, reached, admitted, told: error.to_string() })
        }
        _ => Err(error),
    }
}
