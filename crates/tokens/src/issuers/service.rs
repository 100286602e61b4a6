//! The use cases of whoever manages trusted issuers.

use super::model::{IssuerSettings, MAX_ISSUERS, TrustedIssuer};
use crate::error::Error;
use crate::schema::issuers as sql;
use crate::service::{Tokens, topic};
use keyreeve_base::TenantId;
use keyreeve_identity::Cause;
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// The use cases of trusted issuers.
#[derive(Clone, Copy)]
pub struct Issuers<'a>(pub(crate) &'a Tokens);

fn settings_text(settings: &IssuerSettings) -> Result<String, Error> {
    serde_json::to_string(settings).map_err(|e| Error::corrupt("issuer settings", e))
}

impl Issuers<'_> {
    /// Trusts an issuer from now on, for what its settings say.
    ///
    /// # Errors
    /// [`Error::Invalid`] names what is not acceptable; [`Error::Taken`] for the `issuer`.
    pub async fn create(
        self,
        tenant: TenantId,
        (issuer, settings): (&str, IssuerSettings),
        cause: &Cause,
    ) -> Result<TrustedIssuer, Error> {
        crate::clients::check_identifier("issuer", issuer)?;
        self.check(&settings)?;
        let ours = self.0.identity().tenants().get(tenant).await?;
        if self.0.issuer(&ours) == issuer {
            return Err(Error::invalid("issuer", "must be another than this tenant's own"));
        }
        let now = self.0.now();
        let made = TrustedIssuer {
            id: self.0.0.world.new_uuid(),
            tenant_id: tenant,
            issuer: issuer.to_owned(),
            settings,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let (room, cause, stored) = (self.0.clone(), cause.clone(), made.clone());
        self.0
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                cause.claim(tx, &room.0.world, ("issuer", stored.id)).await?;
                let there = tx.scalar::<i64>(&sql::COUNT_ISSUERS, &params![tenant]).await?;
                if usize::try_from(there).is_ok_and(|there| there >= MAX_ISSUERS) {
                    return Err(Error::invalid("issuer", format!("would be more than {MAX_ISSUERS}")));
                }
                let text = settings_text(&stored.settings)?;
                let row = params![stored.id, tenant, stored.issuer, text, stored.created_at];
                if tx.execute(&sql::INSERT_ISSUER, &row).await? == 0 {
                    return Err(Error::Taken("issuer"));
                }
                announce(tx, &room, &cause, &stored, "issuer.create").await
            })
            .await?;
        Ok(made)
    }

    fn check(self, settings: &IssuerSettings) -> Result<(), Error> {
        settings.validate()?;
        if let (Some(uri), Some(fetcher)) = (&settings.jwks_uri, &self.0.0.fetcher) {
            fetcher.check(uri).map_err(|error| Error::invalid("jwks_uri", error.to_string()))?;
        }
        Ok(())
    }

    /// The issuers that a tenant trusts, from memory where that is allowed, oldest first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(self, tenant: TenantId) -> Result<Arc<Vec<TrustedIssuer>>, Error> {
        let store = &self.0.0.store;
        self.0
            .0
            .issuers
            .get_with(tenant, &tenant, || async move {
                let most = i64::try_from(MAX_ISSUERS).unwrap_or(i64::MAX);
                let found = store
                    .read(async move |tx: &mut Tx<'_>| {
                        tx.query(&sql::ISSUERS, &params![tenant, most], TrustedIssuer::from_row).await
                    })
                    .await?;
                Ok(Arc::new(found))
            })
            .await
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(self, tenant: TenantId, id: Uuid) -> Result<TrustedIssuer, Error> {
        self.0
            .0
            .store
            .read(async move |tx: &mut Tx<'_>| {
                let found = tx.query_opt(&sql::ISSUER, &params![tenant, id], TrustedIssuer::from_row).await?;
                found.ok_or(Error::NotFound("issuer"))
            })
            .await
    }

    /// Replaces an issuer's settings, if it still is at its version.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionConflict`], [`Error::Invalid`].
    pub async fn update(
        self,
        issuer: &TrustedIssuer,
        settings: IssuerSettings,
        cause: &Cause,
    ) -> Result<TrustedIssuer, Error> {
        self.check(&settings)?;
        let (tenant, version) = (issuer.tenant_id, issuer.version);
        let changed = TrustedIssuer {
            settings,
            updated_at: self.0.now(),
            version: version.saturating_add(1),
            ..issuer.clone()
        };
        let (room, cause, after) = (self.0.clone(), cause.clone(), changed.clone());
        self.0
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let text = settings_text(&after.settings)?;
                let row = params![tenant, after.id, version, text, after.updated_at];
                if tx.execute(&sql::UPDATE_ISSUER, &row).await? == 0 {
                    let row = params![tenant, after.id];
                    let there = tx.query_opt(&sql::ISSUER, &row, TrustedIssuer::from_row).await?;
                    return Err(there.map_or(Error::NotFound("issuer"), |_| Error::VersionConflict));
                }
                announce(tx, &room, &cause, &after, "issuer.update").await
            })
            .await?;
        Ok(changed)
    }

    /// Trusts an issuer no longer. What its assertions have led to lives on for the minutes that it was given.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete(self, tenant: TenantId, id: Uuid, cause: &Cause) -> Result<(), Error> {
        let (room, cause) = (self.0.clone(), cause.clone());
        self.0
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let found = tx.query_opt(&sql::ISSUER, &params![tenant, id], TrustedIssuer::from_row).await?;
                let issuer = found.ok_or(Error::NotFound("issuer"))?;
                tx.execute(&sql::DELETE_ISSUER, &params![tenant, id]).await?;
                announce(tx, &room, &cause, &issuer, "issuer.delete").await
            })
            .await
    }
}

async fn announce(
    tx: &mut Tx<'_>,
    room: &Tokens,
    cause: &Cause,
    issuer: &TrustedIssuer,
    action: &'static str,
) -> Result<(), Error> {
    let tenant = issuer.tenant_id;
    let detail = json!({"issuer": issuer.issuer, "settings": issuer.settings});
    room.record(tx, cause, tenant, action, ("issuer", issuer.id.to_string()), detail).await?;
    tx.changed(Some(tenant), topic::ISSUER, &tenant.to_string()).await?;
    Ok(())
}
