//! The use cases of groups themselves.

use super::model::{self, Group, GroupPatch, MembershipKind, NewGroup};
use super::{Groups, TOPIC, members};
use crate::directory::name::Name;
use crate::directory::{self, MAX_PAGE, Party};
use crate::users::{self, keys};
use crate::{Cause, Error, schema};
use keyreeve_base::{GroupId, TenantId};
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::sync::Arc;

/// The unique index over names.
const NAME_INDEX: &str = "directory_group_name";

/// A new group that was checked, on its way into a transaction.
pub struct ReadyGroup {
    group: Group,
    name: Name,
    owner: Option<Party>,
    parent: Option<GroupId>,
    max_depth: u16,
}

impl ReadyGroup {
    /// The group as it will be.
    #[must_use]
    pub const fn group(&self) -> &Group {
        &self.group
    }
}

impl Groups<'_> {
    /// Makes a group, with its first owner and in its parent where these are given.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant, the owner or the parent; [`Error::Invalid`] for a field, for an owner that is
    /// a group, for a parent that is nested too deep; [`Error::Taken`] for `name`.
    pub async fn create(self, tenant: TenantId, new: NewGroup, cause: &Cause) -> Result<Arc<Group>, Error> {
        let ready = self.ready(tenant, new).await?;
        let (identity, cause, made) = (self.0.clone(), cause.clone(), ready.group.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| identity.groups().put(tx, &ready, &cause).await)
            .await?;
        Ok(Arc::new(made))
    }

    /// Checks a new group; nothing is stored yet. For a transaction that does more than make the group.
    ///
    /// # Errors
    /// Those of [`Groups::create`] that need no look at other groups.
    pub async fn ready(self, tenant: TenantId, new: NewGroup) -> Result<ReadyGroup, Error> {
        let settings = self.0.tenants().get(tenant).await?;
        if matches!(new.owner, Some(Party::Group(_))) {
            return Err(Error::invalid("owner", "must be a user or a service account"));
        }
        let world = self.0.world();
        let mut group = Group {
            id: world.new_id(),
            tenant_id: tenant,
            name: new.name,
            description: new.description,
            attributes: new.attributes,
            created_at: world.now(),
            updated_at: world.now(),
            version: 1,
        };
        let name = model::check(&mut group)?;
        let max_depth = settings.settings.directory.max_depth;
        Ok(ReadyGroup { group, name, owner: new.owner, parent: new.parent, max_depth })
    }

    /// Makes the group in the caller's transaction.
    ///
    /// # Errors
    /// Those of [`Groups::create`].
    pub async fn put(self, tx: &mut Tx<'_>, ready: &ReadyGroup, cause: &Cause) -> Result<(), Error> {
        let ReadyGroup { group: made, name, owner, parent, max_depth } = ready;
        let tenant = made.tenant_id;
        cause.claim(tx, self.0.world(), ("group", made.id.uuid())).await?;
        if parent.is_some() {
            directory::change_shape(tx, tenant).await?;
        }
        if let Some(owner) = owner {
            directory::hold_party(tx, tenant, *owner).await?;
        }
        insert(tx, made, name).await?;
        if let Some(owner) = owner {
            let of = (tenant, made.id);
            members::insert(tx, of, *owner, MembershipKind::Owner, made.created_at).await?;
        }
        if let Some(parent) = parent {
            members::nest(tx, tenant, (*parent, made.id), *max_depth, made.created_at).await?;
        }
        let detail = json!({"name": made.name, "owner": owner, "parent": parent});
        let event = cause.done(tenant, "group.create", ("group", made.id.to_string()), detail);
        keyreeve_audit::record(tx, self.0.world(), &event).await?;
        tx.changed(Some(tenant), TOPIC, &made.id.to_string()).await?;
        Ok(())
    }

    /// The group, from memory where that is allowed.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn by_id(self, tenant: TenantId, id: GroupId) -> Result<Option<Arc<Group>>, Error> {
        let store = self.0.store();
        self.0
            .caches()
            .groups
            .get_with(tenant, &id, || async move {
                let found = store
                    .read(async move |tx: &mut Tx<'_>| {
                        tx.query_opt(&schema::GROUP_BY_ID, &params![tenant, id], Group::from_row).await
                    })
                    .await?;
                Ok(found.map(Arc::new))
            })
            .await
    }

    /// The group, which has to be there.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(self, tenant: TenantId, id: GroupId) -> Result<Arc<Group>, Error> {
        self.by_id(tenant, id).await?.ok_or(Error::NotFound("group"))
    }

    /// The group of this name, in any spelling.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn find(self, tenant: TenantId, name: &str) -> Result<Option<Group>, Error> {
        let Some(canonical) = Name::canonical(name) else { return Ok(None) };
        self.0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                Ok(tx
                    .query_opt(&schema::GROUP_BY_NAME, &params![tenant, &canonical], Group::from_row)
                    .await?)
            })
            .await
    }

    /// A page of the tenant's groups in the order of their making, those after `after`; at most 500.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(
        self,
        tenant: TenantId,
        after: Option<GroupId>,
        limit: u16,
    ) -> Result<Vec<Group>, Error> {
        let after = after.unwrap_or(GroupId::from_uuid(uuid::Uuid::nil()));
        let limit = i64::from(limit.clamp(1, MAX_PAGE));
        self.0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                Ok(tx.query(&schema::GROUP_PAGE, &params![tenant, after, limit], Group::from_row).await?)
            })
            .await
    }

    /// Changes a group. With `version`, only if it still is at that version.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionConflict`], [`Error::Invalid`], [`Error::Taken`].
    pub async fn update(
        self,
        (tenant, id): (TenantId, GroupId),
        patch: GroupPatch,
        version: Option<i64>,
        cause: &Cause,
    ) -> Result<Arc<Group>, Error> {
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let mut group = hold(tx, tenant, id).await?;
                crate::check_version(version, group.version)?;
                let (name, touched) = patch.apply(&mut group)?;
                group.updated_at = identity.world().now();
                group.version = group.version.saturating_add(1);
                write(tx, &group, &name).await?;
                let detail = json!({"fields": touched, "name": group.name});
                let event = cause.done(tenant, "group.update", ("group", id.to_string()), detail);
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                tx.changed(Some(tenant), TOPIC, &id.to_string()).await?;
                Ok(Arc::new(group))
            })
            .await
    }

    /// Removes a group: its members are in it no longer, nor in what held it; what was nested in it goes on. Service
    /// accounts that it owns are admitted no more until they get another owner. With `version`, only if it still is at
    /// that version.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionConflict`].
    pub async fn delete(
        self,
        (tenant, id): (TenantId, GroupId),
        version: Option<i64>,
        cause: &Cause,
    ) -> Result<(), Error> {
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                directory::change_shape(tx, tenant).await?;
                // Held, so that whoever is adding a member is done, or comes too late and finds no group.
                let group = hold(tx, tenant, id).await?;
                crate::check_version(version, group.version)?;
                tx.execute(&schema::CLEAR_MEMBERS, &params![tenant, id]).await?;
                tx.execute(&schema::CLEAR_NESTS, &params![tenant, id]).await?;
                directory::forget_party(tx, tenant, Party::Group(id)).await?;
                tx.execute(&schema::FORGET_GROUP_ATTRIBUTES, &params![tenant, id]).await?;
                tx.execute(&schema::DELETE_GROUP, &params![tenant, id]).await?;
                let detail = json!({"name": group.name});
                let event = cause.done(tenant, "group.delete", ("group", id.to_string()), detail);
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                tx.changed(Some(tenant), TOPIC, &id.to_string()).await?;
                Ok(())
            })
            .await
    }
}

/// Reads a group, and keeps others from changing or removing it until the transaction ends.
pub(crate) async fn hold(tx: &mut Tx<'_>, tenant: TenantId, id: GroupId) -> Result<Group, Error> {
    let found = tx.query_opt(&schema::HOLD_GROUP, &params![tenant, id], Group::from_row).await?;
    found.ok_or(Error::NotFound("group"))
}

pub(crate) async fn insert(tx: &mut Tx<'_>, group: &Group, name: &Name) -> Result<(), Error> {
    let attributes = crate::write_json(&group.attributes)?;
    let inserted = tx
        .execute(
            &schema::INSERT_GROUP,
            &params![
                group.id,
                group.tenant_id,
                &group.name,
                &name.canonical,
                &group.description,
                &attributes,
                group.created_at,
                keys::FORM
            ],
        )
        .await?;
    if inserted == 0 {
        return Err(Error::Taken("name"));
    }
    index(tx, group).await
}

pub(crate) async fn write(tx: &mut Tx<'_>, group: &Group, name: &Name) -> Result<(), Error> {
    let attributes = crate::write_json(&group.attributes)?;
    let written = tx
        .execute(
            &schema::UPDATE_GROUP,
            &params![
                group.tenant_id,
                group.id,
                &group.name,
                &name.canonical,
                &group.description,
                &attributes,
                group.updated_at
            ],
        )
        .await;
    match written {
        Err(error) if error.is_conflict_on(NAME_INDEX) => return Err(Error::Taken("name")),
        written => written?,
    };
    tx.execute(&schema::FORGET_GROUP_ATTRIBUTES, &params![group.tenant_id, group.id]).await?;
    index(tx, group).await
}

/// Indexes a group's attributes, of which nothing is indexed.
pub(crate) async fn index(tx: &mut Tx<'_>, group: &Group) -> Result<(), Error> {
    let index = users::index_of(&group.attributes);
    let rows: Vec<_> =
        index.iter().map(|(name, key)| params![group.tenant_id, *name, *key, group.id]).collect();
    tx.execute_each(&schema::INDEX_GROUP_ATTRIBUTE, &rows).await?;
    Ok(())
}
