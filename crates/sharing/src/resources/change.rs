//! Changing, transferring and removing resources.

use super::Resources;
use super::model::{Resource, ResourcePatch, StoredResource, attributes_text};
use crate::claim::{Hold, Need};
use crate::engine::{ID_TOPIC, NODE_TOPIC};
use crate::grants::PartyKind;
use crate::write::{Change, Target, Written, check_version};
use crate::{Error, Revision, schema};
use keyreeve_base::TenantId;
use keyreeve_identity::{Authority, Cause, Party};
use keyreeve_store::{Tx, params};
use serde_json::json;

/// What to do with what lies below a resource that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delete {
    /// Refuse if there is anything.
    #[default]
    Alone,
    /// Remove it as well.
    WithChildren,
}

/// What a transaction that changes a resource knows of it.
pub(super) struct HeldResource {
    pub(super) parent: Option<i64>,
    pub(super) owner: Party,
}

/// Reads what decides about a change, and keeps others from changing the resource until the transaction ends.
pub(super) async fn hold(
    tx: &mut Tx<'_>,
    (tenant, key): (TenantId, i64),
    version: Option<i64>,
) -> Result<HeldResource, Error> {
    let found = tx
        .query_opt(&schema::HOLD_RESOURCE, &params![tenant, key], |row| {
            let owner = row.get::<PartyKind>(3)?.party(row.get(4)?);
            Ok((HeldResource { parent: row.get(2)?, owner }, row.get::<i64>(5)?))
        })
        .await?;
    let (held, present) = found.ok_or(Error::NotFound("resource"))?;
    check_version(version, present)?;
    Ok(held)
}

impl Resources<'_> {
    /// Changes a resource; takes ownership.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`], [`Error::VersionConflict`], [`Error::Invalid`].
    pub async fn update(
        self,
        authority: &Authority,
        target: Target<&str>,
        patch: ResourcePatch,
        cause: &Cause,
    ) -> Result<Written<Resource>, Error> {
        let changed = self.0.with_standing(|| self.try_update(authority, target, &patch, cause)).await?;
        self.0.written(changed, false).await
    }

    async fn try_update(
        self,
        authority: &Authority,
        Target { id, version }: Target<&str>,
        patch: &ResourcePatch,
        cause: &Cause,
    ) -> Result<Option<Resource>, Error> {
        let tenant = authority.tenant();
        let found = self.0.find(authority, id).await?;
        let claim = found.claim(authority, Need::Own)?;
        found.seen.keep_out()?;
        let (key, model) = (found.seen.key(), std::sync::Arc::clone(&found.seen.model));
        let (sharing, cause, patch) = (self.0.clone(), cause.clone(), patch.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                if !claim.holds(tx, &sharing, Hold::Alone).await? {
                    return Ok(None);
                }
                hold(tx, (tenant, key), version).await?;
                let stored =
                    tx.query_one(&schema::RESOURCE, &params![tenant, key], StoredResource::from_row).await?;
                let mut resource = stored.typed(&model);
                let touched = patch.apply(&mut resource)?;
                resource.updated_at = sharing.world().now();
                resource.version = resource.version.saturating_add(1);
                let attributes = attributes_text(&resource.attributes)?;
                let row = params![
                    tenant,
                    key,
                    resource.name,
                    resource.description,
                    resource.text,
                    attributes,
                    resource.metadata,
                    resource.updated_at
                ];
                tx.execute(&schema::UPDATE_RESOURCE, &row).await?;
                let change = Change { tenant, action: "resource.update", target: ("resource", &resource.id) };
                change.record(tx, &sharing, &cause, json!({"fields": touched})).await?;
                Ok::<_, Error>(Some(resource))
            })
            .await
    }

    /// Gives a resource to another owner; takes ownership. The former owner keeps what was granted, or comes from above.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the resource and the owner; [`Error::Denied`], [`Error::VersionConflict`].
    pub async fn transfer(
        self,
        authority: &Authority,
        target: Target<&str>,
        owner: Party,
        cause: &Cause,
    ) -> Result<Written<Resource>, Error> {
        let attempt = || self.try_transfer(authority, target, owner, cause);
        let (key, repeated) = self.0.with_standing(attempt).await?;
        let resource = self.0.resource_now(authority.tenant(), key).await?;
        self.0.written(resource, repeated).await
    }

    /// Answers the resource, and whether it was the new owner's already.
    async fn try_transfer(
        self,
        authority: &Authority,
        Target { id, version }: Target<&str>,
        owner: Party,
        cause: &Cause,
    ) -> Result<Option<(i64, bool)>, Error> {
        let tenant = authority.tenant();
        let found = self.0.find(authority, id).await?;
        let claim = found.claim(authority, Need::Own)?;
        found.seen.keep_out()?;
        if !self.0.is_active(tenant, owner).await? {
            return Err(Error::NotFound("owner"));
        }
        let key = found.seen.key();
        let (sharing, cause, name) = (self.0.clone(), cause.clone(), id.to_owned());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                if !claim.holds(tx, &sharing, Hold::Alone).await? {
                    return Ok(None);
                }
                let held = hold(tx, (tenant, key), version).await?;
                if held.owner == owner {
                    return Ok(Some((key, true)));
                }
                if !sharing.identity().groups().hold(tx, (tenant, owner), None).await? {
                    return Err(Error::NotFound("owner"));
                }
                let now = sharing.world().now();
                let (kind, party) = (PartyKind::of(owner), owner.uuid());
                let row = params![tenant, key, kind, party, now];
                tx.execute(&schema::TRANSFER_RESOURCE, &row).await?;
                let detail = json!({"from": held.owner, "to": owner});
                let change = Change { tenant, action: "resource.transfer", target: ("resource", &name) };
                change.record(tx, &sharing, &cause, detail).await?;
                tx.changed(Some(tenant), NODE_TOPIC, &key.to_string()).await?;
                Ok::<_, Error>(Some((key, false)))
            })
            .await
    }

    /// Removes a resource with its grants; takes ownership. What lies below it goes with it, or keeps it from going, as
    /// `delete` says. Both are one row: at once everything below is gone, however much it is, and its identifiers are
    /// free; the rows are swept away later.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`], [`Error::VersionConflict`]; [`Error::InUse`] where there are children.
    pub async fn delete(
        self,
        authority: &Authority,
        target: Target<&str>,
        delete: Delete,
        cause: &Cause,
    ) -> Result<Revision, Error> {
        self.0.with_standing(|| self.try_delete(authority, target, delete, cause)).await?;
        self.0.revision().await
    }

    async fn try_delete(
        self,
        authority: &Authority,
        Target { id, version }: Target<&str>,
        delete: Delete,
        cause: &Cause,
    ) -> Result<Option<()>, Error> {
        let tenant = authority.tenant();
        let found = self.0.find(authority, id).await?;
        let claim = found.claim(authority, Need::Own)?;
        found.seen.keep_out()?;
        let key = found.seen.key();
        let (sharing, cause, name) = (self.0.clone(), cause.clone(), id.to_owned());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                if !claim.holds(tx, &sharing, Hold::Alone).await? {
                    return Ok(None);
                }
                // Whoever is making a child is done, or comes too late and finds no parent.
                hold(tx, (tenant, key), version).await?;
                let child =
                    tx.query_opt(&schema::FIRST_CHILD, &params![key], |row| row.get::<i64>(0)).await?;
                if child.is_some() && delete == Delete::Alone {
                    return Err(Error::InUse("resources below it"));
                }
                tx.execute(&schema::BURY_RESOURCE, &params![tenant, key]).await?;
                let detail = json!({"with_children": child.is_some()});
                let change = Change { tenant, action: "resource.delete", target: ("resource", &name) };
                change.record(tx, &sharing, &cause, detail).await?;
                tx.changed(Some(tenant), ID_TOPIC, &name).await?;
                tx.changed(Some(tenant), NODE_TOPIC, &key.to_string()).await?;
                Ok::<_, Error>(Some(()))
            })
            .await
    }
}
