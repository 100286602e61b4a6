//! Tenants: the outermost boundary. Every user, client, key and record belongs to one.

use crate::settings::TenantSettings;
use crate::{Cause, Error, Identity, schema};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_store::{Row, Tx, params};
use serde_json::json;
use std::sync::Arc;

/// The slug of the tenant whose issuer is the public URL itself.
pub const DEFAULT_SLUG: &str = "default";

/// The change-feed topic of tenants; the key is the tenant's identifier.
pub(crate) const TOPIC: &str = "tenant";

const MAX_SLUG: usize = 63;
const MAX_PAGE: u16 = 500;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Tenant {
    /// Its identifier.
    pub id: TenantId,
    /// Its name in URLs: `^[a-z0-9](-?[a-z0-9])*$`, at most 63 characters. Never changes, never given out again:
    /// issuers are made from it.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Whether anyone is admitted to it.
    pub enabled: bool,
    /// When it was archived, for good; nobody is admitted since.
    pub archived_at: Option<Timestamp>,
    /// Its settings.
    pub settings: TenantSettings,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts its changes; an update names the version that it changes.
    pub version: i64,
}

impl Tenant {
    /// Whether anyone is admitted to it.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.enabled && self.archived_at.is_none()
    }

    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let settings: String = row.get(5)?;
        Ok(Self {
            id: row.get(0)?,
            slug: row.get(1)?,
            name: row.get(2)?,
            enabled: row.get(3)?,
            archived_at: row.get(4)?,
            settings: crate::read_json("tenant settings", &settings)?,
            created_at: row.get(6)?,
            updated_at: row.get(7)?,
            version: row.get(8)?,
        })
    }
}

/// What a new tenant is made of.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// Its name in URLs.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Its settings.
    pub settings: TenantSettings,
}

/// What to change of a tenant; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct TenantPatch {
    /// A new name for people.
    pub name: Option<String>,
    /// Let people in, or no longer.
    pub enabled: Option<bool>,
    /// New settings, all of them.
    pub settings: Option<TenantSettings>,
    /// Archive it: nobody is admitted any more, and there is no way back.
    pub archive: bool,
}

/// The use cases of tenants.
#[derive(Clone, Copy)]
pub struct Tenants<'a>(pub(crate) &'a Identity);

impl Tenants<'_> {
    /// Makes a tenant, with its first data key.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the slug, the name or a setting; [`Error::Taken`] when the slug was ever used.
    pub async fn create(self, new: NewTenant, cause: &Cause) -> Result<Arc<Tenant>, Error> {
        check_slug(&new.slug)?;
        check_name(&new.name)?;
        new.settings.validate()?;
        let world = self.0.world();
        let tenant = Tenant {
            id: world.new_id(),
            slug: new.slug,
            name: new.name.trim().to_owned(),
            enabled: true,
            archived_at: None,
            settings: new.settings,
            created_at: world.now(),
            updated_at: world.now(),
            version: 1,
        };
        let key = self.0.keys().generate(tenant.id)?;
        let (identity, cause, made) = (self.0.clone(), cause.clone(), tenant.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let t = &made;
                cause.claim(tx, identity.world(), ("tenant", t.id.uuid())).await?;
                let settings = crate::write_json(&t.settings)?;
                let inserted = tx
                    .execute(
                        &schema::INSERT_TENANT,
                        &params![t.id, &t.slug, &t.name, t.enabled, &settings, t.created_at],
                    )
                    .await?;
                if inserted == 0 {
                    return Err(Error::Taken("slug"));
                }
                key.insert(tx).await?;
                let event = cause.done(
                    t.id,
                    "tenant.create",
                    ("tenant", t.id.to_string()),
                    json!({"slug": t.slug, "name": t.name}),
                );
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                tx.changed(Some(t.id), TOPIC, &t.id.to_string()).await?;
                Ok(())
            })
            .await?;
        Ok(Arc::new(tenant))
    }

    /// The tenant, from memory where that is allowed. A disabled tenant is answered too; see [`Tenant::is_active`].
    ///
    /// # Errors
    /// Those of the store.
    pub async fn by_id(self, id: TenantId) -> Result<Option<Arc<Tenant>>, Error> {
        let store = self.0.store();
        self.0
            .caches()
            .tenants
            .get_with(id, &id, || async move {
                let found = store
                    .read(async move |tx: &mut Tx<'_>| {
                        tx.query_opt(&schema::TENANT_BY_ID, &params![id], Tenant::from_row).await
                    })
                    .await?;
                Ok(found.map(Arc::new))
            })
            .await
    }

    /// The tenant, which has to be there.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(self, id: TenantId) -> Result<Arc<Tenant>, Error> {
        self.by_id(id).await?.ok_or(Error::NotFound("tenant"))
    }

    /// The tenant of this slug.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn by_slug(self, slug: &str) -> Result<Option<Arc<Tenant>>, Error> {
        if check_slug(slug).is_err() {
            return Ok(None);
        }
        let slugs = &self.0.caches().slugs;
        if let Some(id) = slugs.get(slug) {
            return self.by_id(id).await;
        }
        let wanted = slug.to_owned();
        let found = self
            .0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                tx.query_opt(&schema::TENANT_BY_SLUG, &params![&wanted], |row| row.get::<TenantId>(0)).await
            })
            .await?;
        let Some(id) = found else { return Ok(None) };
        // A slug belongs to one tenant for ever, so that this needs no change feed; only what exists is remembered.
        slugs.insert(slug.to_owned(), id);
        self.by_id(id).await
    }

    /// The active tenant that a path names: the default tenant where it names none. The default tenant is not found under
    /// its slug, so that each tenant has one issuer and one address.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn at_path(self, name: Option<&str>) -> Result<Option<Arc<Tenant>>, Error> {
        let slug = match name {
            Some(DEFAULT_SLUG) => return Ok(None),
            Some(slug) => slug,
            None => DEFAULT_SLUG,
        };
        Ok(self.by_slug(slug).await?.filter(|tenant| tenant.is_active()))
    }

    /// A page of tenants in the order of their making, those after `after`; at most 500.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(self, after: Option<TenantId>, limit: u16) -> Result<Vec<Tenant>, Error> {
        let after = after.unwrap_or(TenantId::from_uuid(uuid::Uuid::nil()));
        let limit = i64::from(limit.clamp(1, MAX_PAGE));
        self.0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                Ok(tx.query(&schema::TENANT_PAGE, &params![after, limit], Tenant::from_row).await?)
            })
            .await
    }

    /// Changes a tenant. With `version`, only if it still is at that version.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionConflict`], [`Error::Invalid`] for a value, for a tenant that is archived
    /// and for archiving the first one.
    pub async fn update(
        self,
        id: TenantId,
        version: impl Into<Option<i64>>,
        patch: TenantPatch,
        cause: &Cause,
    ) -> Result<Arc<Tenant>, Error> {
        let version = version.into();
        if let Some(name) = &patch.name {
            check_name(name)?;
        }
        if let Some(settings) = &patch.settings {
            settings.validate()?;
        }
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let before = tx
                    .query_opt(&schema::TENANT_BY_ID, &params![id], Tenant::from_row)
                    .await?
                    .ok_or(Error::NotFound("tenant"))?;
                crate::check_version(version, before.version)?;
                let read_version = before.version;
                let after = patch.apply(before, identity.world().now())?;
                let settings = crate::write_json(&after.settings)?;
                let written = tx
                    .execute(
                        &schema::UPDATE_TENANT,
                        &params![
                            id,
                            read_version,
                            &after.name,
                            after.enabled,
                            after.archived_at,
                            &settings,
                            after.updated_at
                        ],
                    )
                    .await?;
                if written == 0 {
                    return Err(Error::VersionConflict);
                }
                let action = if patch.archive { "tenant.archive" } else { "tenant.update" };
                let event = cause.done(id, action, ("tenant", id.to_string()), patch.detail());
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                tx.changed(Some(id), TOPIC, &id.to_string()).await?;
                Ok(Arc::new(after))
            })
            .await
    }
}

impl TenantPatch {
    fn apply(&self, before: Tenant, now: Timestamp) -> Result<Tenant, Error> {
        if before.archived_at.is_some() {
            return Err(Error::invalid("tenant", "is archived"));
        }
        if self.archive && before.slug == DEFAULT_SLUG {
            let problem =
                "is the first one, whose administrators keep all others: it is not put away for good";
            return Err(Error::invalid("tenant", problem));
        }
        Ok(Tenant {
            name: self.name.as_deref().map_or(before.name, |name| name.trim().to_owned()),
            enabled: !self.archive && self.enabled.unwrap_or(before.enabled),
            archived_at: self.archive.then_some(now),
            settings: self.settings.clone().unwrap_or(before.settings),
            updated_at: now,
            version: before.version.saturating_add(1),
            ..before
        })
    }

    /// What the audit log says of it. Settings hold no secret.
    fn detail(&self) -> serde_json::Value {
        let mut detail = serde_json::Map::new();
        if let Some(name) = &self.name {
            detail.insert("name".to_owned(), json!(name));
        }
        if let Some(enabled) = self.enabled {
            detail.insert("enabled".to_owned(), json!(enabled));
        }
        if let Some(settings) = &self.settings {
            detail.insert("settings".to_owned(), json!(settings));
        }
        detail.into()
    }
}

fn check_slug(slug: &str) -> Result<(), Error> {
    let wrong = |problem| Err(Error::invalid("slug", problem));
    match slug.as_bytes() {
        [] => wrong("is empty"),
        bytes if bytes.len() > MAX_SLUG => wrong("is longer than 63 characters"),
        [b'-', ..] | [.., b'-'] => wrong("begins or ends with a hyphen"),
        bytes if !bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')) => {
            wrong("has a character other than a-z, 0-9 and the hyphen")
        }
        bytes if bytes.windows(2).any(|pair| pair == b"--") => wrong("has two hyphens in a row"),
        _ => Ok(()),
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    crate::users::fields::check_line("name", name, 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_dns_labels_without_double_hyphens() {
        for good in ["a", "default", "team-1", "0", &"x".repeat(63)] {
            assert!(check_slug(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "a--b", "A", "a_b", "a.b", "ä", "a/b", "..", &"x".repeat(64)] {
            assert!(check_slug(bad).is_err(), "{bad}");
        }
    }
}
