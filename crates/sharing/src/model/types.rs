//! Types of resources.

use super::{MAX_TYPES, TOPIC, check_description, check_id, check_name};
use crate::resources::chain;
use crate::standing::require_tenant;
use crate::write::{Change, Target, Written, claimed, lock_tenant};
use crate::{Error, Revision, Sharing, schema};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_identity::{Authority, Cause, Patch};
use keyreeve_store::{Tx, params};
use serde_json::json;

/// How often removed resources are cleared away before their type is taken to be in use.
const ROUNDS: u32 = 20;

/// A type of resources.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ResourceType {
    #[serde(skip)]
    pub(crate) key: i64,
    /// The identifier, unique in the tenant, as its maker chose it.
    pub id: String,
    /// The name that people read.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts the changes; an update names the version that it changes.
    pub version: i64,
}

/// What a new type is made of.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewType {
    /// The identifier: at most 255 bytes, without control characters.
    pub id: String,
    /// The name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
}

/// What changes of a type; what is left out stays.
#[derive(Debug, Clone, Default)]
pub struct TypePatch {
    /// Another name.
    pub name: Option<String>,
    /// Another description, or none.
    pub description: Patch<String>,
}

/// The use cases of types. Making and changing them takes the authority over the tenant; everybody in it may read them.
#[derive(Clone, Copy)]
pub struct Types<'a>(pub(crate) &'a Sharing);

impl Types<'_> {
    /// Declares a type.
    ///
    /// # Errors
    /// [`Error::Denied`]; [`Error::Invalid`]; [`Error::Taken`] for `id`.
    pub async fn create(
        self,
        authority: &Authority,
        new: NewType,
        cause: &Cause,
    ) -> Result<Written<ResourceType>, Error> {
        require_tenant(authority)?;
        crate::hosted::keep_out(&new.id)?;
        check_id("id", &new.id)?;
        check_name(&new.name)?;
        check_description(new.description.as_deref())?;
        let tenant = authority.tenant();
        let (sharing, cause, id) = (self.0.clone(), cause.clone(), new.id.clone());
        let made = self
            .0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                if claimed(tx, &sharing, &cause, ("resource_type", tenant, &new.id)).await? {
                    return Ok(None);
                }
                lock_tenant(tx, tenant).await?;
                let model = super::load(tx, tenant).await?;
                if model.type_of(&new.id).is_some() {
                    return Err(Error::Taken("id"));
                }
                if model.types().len() >= MAX_TYPES {
                    return Err(Error::invalid("id", format!("would be the {}th type", MAX_TYPES + 1)));
                }
                // A permission that all types have is one of this type as well; nothing of its own can collide yet.
                let now = sharing.world().now();
                let row = params![tenant, new.id, new.name, new.description, now];
                let key = tx.query_one(&schema::INSERT_TYPE, &row, |row| row.get::<i64>(0)).await?;
                let detail = json!({"name": new.name});
                let change =
                    Change { tenant, action: "resource_type.create", target: ("resource_type", &new.id) };
                change.record(tx, &sharing, &cause, detail).await?;
                tx.changed(Some(tenant), TOPIC, &tenant.to_string()).await?;
                Ok(Some(ResourceType {
                    key,
                    id: new.id.clone(),
                    name: new.name.clone(),
                    description: new.description.clone(),
                    created_at: now,
                    updated_at: now,
                    version: 1,
                }))
            })
            .await?;
        let repeated = made.is_none();
        let value = match made {
            Some(made) => made,
            None => self.get(authority, &id).await?,
        };
        self.0.written(value, repeated).await
    }

    /// The type.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(self, authority: &Authority, id: &str) -> Result<ResourceType, Error> {
        let model = self.0.model(authority.tenant()).await?;
        model.type_of(id).map(|entry| entry.of.clone()).ok_or(Error::NotFound("resource type"))
    }

    /// A page of the tenant's types in the order of their identifiers, those after `after`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(
        self,
        authority: &Authority,
        after: Option<&str>,
        limit: u16,
    ) -> Result<Vec<ResourceType>, Error> {
        let model = self.0.model(authority.tenant()).await?;
        let types = model.types().iter().map(|entry| &entry.of);
        let page = types.filter(|of| after.is_none_or(|after| of.id.as_str() > after));
        Ok(page.take(usize::from(limit.clamp(1, crate::MAX_PAGE))).cloned().collect())
    }

    /// Changes a type.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::NotFound`], [`Error::VersionConflict`], [`Error::Invalid`].
    pub async fn update(
        self,
        authority: &Authority,
        Target { id, version }: Target<&str>,
        patch: TypePatch,
        cause: &Cause,
    ) -> Result<Written<ResourceType>, Error> {
        require_tenant(authority)?;
        crate::hosted::keep_out(id)?;
        let tenant = authority.tenant();
        let (sharing, cause, id) = (self.0.clone(), cause.clone(), id.to_owned());
        let changed = self
            .0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                lock_tenant(tx, tenant).await?;
                let model = super::load(tx, tenant).await?;
                let entry = model.type_of(&id).ok_or(Error::NotFound("resource type"))?;
                let mut of = entry.of.clone();
                crate::write::check_version(version, of.version)?;
                if let Some(name) = &patch.name {
                    of.name.clone_from(name);
                }
                patch.description.apply(&mut of.description);
                check_name(&of.name)?;
                check_description(of.description.as_deref())?;
                of.updated_at = sharing.world().now();
                of.version = of.version.saturating_add(1);
                let row = params![tenant, of.key, of.name, of.description, of.updated_at];
                tx.execute(&schema::UPDATE_TYPE, &row).await?;
                let change =
                    Change { tenant, action: "resource_type.update", target: ("resource_type", &id) };
                change.record(tx, &sharing, &cause, json!({"name": of.name})).await?;
                tx.changed(Some(tenant), TOPIC, &tenant.to_string()).await?;
                Ok::<_, Error>(of)
            })
            .await?;
        self.0.written(changed, false).await
    }

    /// Removes a type, with its permissions.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::NotFound`], [`Error::VersionConflict`]; [`Error::InUse`] while there are resources of
    /// this type, or very many that were removed and are still being cleared away.
    pub async fn delete(
        self,
        authority: &Authority,
        Target { id, version }: Target<&str>,
        cause: &Cause,
    ) -> Result<Revision, Error> {
        require_tenant(authority)?;
        crate::hosted::keep_out(id)?;
        let tenant = authority.tenant();
        if let Some(entry) = self.0.model(tenant).await?.type_of(id) {
            self.clear_away(tenant, entry.of.key).await?;
        }
        let (sharing, cause, id) = (self.0.clone(), cause.clone(), id.to_owned());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                lock_tenant(tx, tenant).await?;
                let model = super::load(tx, tenant).await?;
                let entry = model.type_of(&id).ok_or(Error::NotFound("resource type"))?;
                crate::write::check_version(version, entry.of.version)?;
                let key = entry.of.key;
                if tx.query_opt(&schema::TYPE_IN_USE, &params![key], |row| row.get::<i64>(0)).await?.is_some()
                {
                    return Err(Error::InUse("resources"));
                }
                for permission in &entry.permissions {
                    tx.execute(&schema::CLEAR_IMPLIED, &params![permission.key]).await?;
                }
                tx.execute(&schema::DELETE_PERMISSIONS_OF, &params![tenant, key]).await?;
                match tx.execute(&schema::DELETE_TYPE, &params![tenant, key]).await {
                    // One was made at this moment.
                    Err(keyreeve_store::Error::ForeignKey) => return Err(Error::InUse("resources")),
                    done => done?,
                };
                let change =
                    Change { tenant, action: "resource_type.delete", target: ("resource_type", &id) };
                change.record(tx, &sharing, &cause, json!({"name": entry.of.name})).await?;
                tx.changed(Some(tenant), TOPIC, &tenant.to_string()).await?;
                Ok(())
            })
            .await?;
        self.0.revision().await
    }

    /// Clears away resources of a type that were removed, or are gone with what lay above them: their rows name it still.
    async fn clear_away(self, tenant: TenantId, type_key: i64) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            let sharing = self.0.clone();
            let gone = self
                .0
                .store()
                .read(async move |tx: &mut Tx<'_>| {
                    let in_use = params![type_key];
                    let first = tx.query_opt(&schema::TYPE_IN_USE, &in_use, |row| row.get(0)).await?;
                    let Some(first) = first else { return Ok(false) };
                    Ok::<_, Error>(chain(tx, &sharing, tenant, first).await?.is_none())
                })
                .await?;
            if !gone {
                break;
            }
            self.0.sweep_resources().await?;
        }
        Ok(())
    }
}
