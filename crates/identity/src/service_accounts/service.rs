//! The use cases of service accounts themselves.

use super::model::{NewServiceAccount, ServiceAccount, ServiceAccountPatch};
use super::{ServiceAccounts, TOPIC};
use crate::directory::name::Name;
use crate::directory::{self, MAX_PAGE, Party};
use crate::{Cause, Error, Patch, schema};
use keyreeve_base::{ServiceAccountId, TenantId};
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::sync::Arc;

/// The unique index over names.
const NAME_INDEX: &str = "service_account_name";

impl ServiceAccounts<'_> {
    /// Makes a service account, without a secret yet.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant or the owner; [`Error::Invalid`] for a field; [`Error::Taken`] for `name`.
    pub async fn create(
        self,
        tenant: TenantId,
        new: NewServiceAccount,
        cause: &Cause,
    ) -> Result<Arc<ServiceAccount>, Error> {
        self.0.tenants().get(tenant).await?;
        let world = self.0.world();
        let mut account = ServiceAccount {
            id: world.new_id(),
            tenant_id: tenant,
            name: new.name,
            description: new.description,
            attributes: new.attributes,
            enabled: new.enabled,
            expires_at: new.expires_at,
            owner: new.owner,
            token_lifetime_s: new.token_lifetime_s,
            created_at: world.now(),
            updated_at: world.now(),
            version: 1,
        };
        let name = account.check()?;
        let (identity, cause, made) = (self.0.clone(), cause.clone(), account.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                cause.claim(tx, identity.world(), ("service_account", made.id.uuid())).await?;
                if let Some(owner) = made.owner {
                    directory::hold_party(tx, tenant, owner).await?;
                }
                insert(tx, &made, &name).await?;
                let detail = json!({"name": made.name, "owner": made.owner, "enabled": made.enabled});
                let target = ("service_account", made.id.to_string());
                let event = cause.done(tenant, "service_account.create", target, detail);
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                tx.changed(Some(tenant), TOPIC, &made.id.to_string()).await?;
                Ok::<_, Error>(())
            })
            .await?;
        Ok(Arc::new(account))
    }

    /// The service account, from memory where that is allowed.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn by_id(
        self,
        tenant: TenantId,
        id: ServiceAccountId,
    ) -> Result<Option<Arc<ServiceAccount>>, Error> {
        Ok(self.credentials(tenant, id).await?.map(|credentials| Arc::clone(&credentials.account)))
    }

    /// The service account, which has to be there.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(self, tenant: TenantId, id: ServiceAccountId) -> Result<Arc<ServiceAccount>, Error> {
        self.by_id(tenant, id).await?.ok_or(Error::NotFound("service account"))
    }

    /// The service account of this name, in any spelling.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn find(self, tenant: TenantId, name: &str) -> Result<Option<Arc<ServiceAccount>>, Error> {
        match self.id_of(tenant, name).await? {
            Some(id) => self.by_id(tenant, id).await,
            None => Ok(None),
        }
    }

    /// The identifier that a name or an identifier as text means.
    pub(crate) async fn id_of(self, tenant: TenantId, name: &str) -> Result<Option<ServiceAccountId>, Error> {
        let Some(canonical) = Name::canonical(name) else { return Ok(None) };
        if let Ok(id) = canonical.parse() {
            return Ok(Some(id));
        }
        self.0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                Ok(tx
                    .query_opt(&schema::SERVICE_BY_NAME, &params![tenant, &canonical], |row| row.get(0))
                    .await?)
            })
            .await
    }

    /// A page of the tenant's service accounts in the order of their making, those after `after`; at most 500.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(
        self,
        tenant: TenantId,
        after: Option<ServiceAccountId>,
        limit: u16,
    ) -> Result<Vec<ServiceAccount>, Error> {
        let after = after.unwrap_or(ServiceAccountId::from_uuid(uuid::Uuid::nil()));
        let limit = i64::from(limit.clamp(1, MAX_PAGE));
        self.0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                Ok(tx
                    .query(&schema::SERVICE_PAGE, &params![tenant, after, limit], ServiceAccount::from_row)
                    .await?)
            })
            .await
    }

    /// The service account, if it and its owner are active now, from memory where that is allowed: what whoever accepts
    /// something that was issued to it asks each time (ABUSE-CASES AC-77). It says nothing about the tenant.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn active(
        self,
        tenant: TenantId,
        id: ServiceAccountId,
    ) -> Result<Option<Arc<ServiceAccount>>, Error> {
        let now = self.0.world().now();
        let Some(account) = self.by_id(tenant, id).await?.filter(|account| account.is_active(now)) else {
            return Ok(None);
        };
        let answered_for = match account.owner {
            None => true,
            Some(Party::User(user)) => {
                self.0.users().by_id(tenant, user).await?.is_some_and(|user| user.is_active())
            }
            Some(Party::Group(group)) => self.0.groups().by_id(tenant, group).await?.is_some(),
            Some(Party::Service(_)) => false,
        };
        Ok(answered_for.then_some(account))
    }

    /// Changes a service account. With `version`, only if it still is at that version.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the account or a new owner, [`Error::VersionConflict`], [`Error::Invalid`],
    /// [`Error::Taken`].
    pub async fn update(
        self,
        (tenant, id): (TenantId, ServiceAccountId),
        patch: ServiceAccountPatch,
        version: Option<i64>,
        cause: &Cause,
    ) -> Result<Arc<ServiceAccount>, Error> {
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                if let Patch::Set(owner @ (Party::User(_) | Party::Group(_))) = &patch.owner {
                    directory::hold_party(tx, tenant, *owner).await?;
                }
                let mut account = hold(tx, tenant, id).await?;
                crate::check_version(version, account.version)?;
                let (name, touched) = patch.apply(&mut account)?;
                account.updated_at = identity.world().now();
                account.version = account.version.saturating_add(1);
                write(tx, &account, &name).await?;
                let detail = json!({
                    "fields": touched, "name": account.name, "owner": account.owner,
                    "enabled": account.enabled,
                });
                let target = ("service_account", id.to_string());
                let event = cause.done(tenant, "service_account.update", target, detail);
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                tx.changed(Some(tenant), TOPIC, &id.to_string()).await?;
                Ok(Arc::new(account))
            })
            .await
    }

    /// Removes a service account with its secrets, memberships and roles. With `version`, only if it still is at that
    /// version.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionConflict`].
    pub async fn delete(
        self,
        (tenant, id): (TenantId, ServiceAccountId),
        version: Option<i64>,
        cause: &Cause,
    ) -> Result<(), Error> {
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let account = hold(tx, tenant, id).await?;
                crate::check_version(version, account.version)?;
                tx.execute(&schema::CLEAR_SECRETS, &params![id]).await?;
                directory::forget_party(tx, tenant, Party::Service(id)).await?;
                tx.execute(&schema::DELETE_SERVICE, &params![tenant, id]).await?;
                let target = ("service_account", id.to_string());
                let detail = json!({"name": account.name});
                let event = cause.done(tenant, "service_account.delete", target, detail);
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                tx.changed(Some(tenant), TOPIC, &id.to_string()).await?;
                Ok(())
            })
            .await
    }
}

/// Reads a service account, and keeps others from changing or removing it until the transaction ends.
pub(crate) async fn hold(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: ServiceAccountId,
) -> Result<ServiceAccount, Error> {
    let found = tx.query_opt(&schema::HOLD_SERVICE, &params![tenant, id], ServiceAccount::from_row).await?;
    found.ok_or(Error::NotFound("service account"))
}

async fn insert(tx: &mut Tx<'_>, account: &ServiceAccount, name: &Name) -> Result<(), Error> {
    let attributes = crate::write_json(&account.attributes)?;
    let inserted = tx
        .execute(
            &schema::INSERT_SERVICE,
            &params![
                account.id,
                account.tenant_id,
                &account.name,
                &name.canonical,
                &account.description,
                &attributes,
                account.enabled,
                account.expires_at,
                account.owner.map(Party::kind),
                account.owner.map(Party::uuid),
                account.token_lifetime_s,
                account.created_at
            ],
        )
        .await?;
    if inserted == 0 { Err(Error::Taken("name")) } else { Ok(()) }
}

async fn write(tx: &mut Tx<'_>, account: &ServiceAccount, name: &Name) -> Result<(), Error> {
    let attributes = crate::write_json(&account.attributes)?;
    let written = tx
        .execute(
            &schema::UPDATE_SERVICE,
            &params![
                account.tenant_id,
                account.id,
                &account.name,
                &name.canonical,
                &account.description,
                &attributes,
                account.enabled,
                account.expires_at,
                account.owner.map(Party::kind),
                account.owner.map(Party::uuid),
                account.token_lifetime_s,
                account.updated_at
            ],
        )
        .await;
    match written {
        Err(error) if error.is_conflict_on(NAME_INDEX) => Err(Error::Taken("name")),
        written => Ok(written.map(drop)?),
    }
}
