//! Permissions: what can be granted on resources of a type.

use super::snapshot::closure;
use super::{MAX_PERMISSIONS, Model, OWNER, TOPIC, TypeEntry, check_description, check_id, check_name};
use crate::standing::require_tenant;
use crate::write::{Change, Target, Written, claimed, lock_tenant};
use crate::{Error, Revision, Sharing, schema};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_identity::{Authority, Cause, Patch};
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

/// A permission of one type of resources, or of all.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Permission {
    #[serde(skip)]
    pub(crate) key: i64,
    /// The type that has it; none where every type has it.
    pub resource_type: Option<String>,
    /// The identifier, unique in the type, as its maker chose it.
    pub id: String,
    /// The name that people read.
    pub name: String,
    /// What it allows.
    pub description: Option<String>,
    /// Whether who holds it may grant and revoke permissions on the resource.
    pub shares: bool,
    /// What else who holds it may do: identifiers of permissions of the same type, or of every type.
    pub implies: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts the changes; an update names the version that it changes.
    pub version: i64,
}

/// What a new permission is made of.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPermission {
    /// The type that has it; none for every type, those to come included.
    #[serde(default)]
    pub resource_type: Option<String>,
    /// The identifier: at most 255 bytes, without control characters, and not [`OWNER`] in any spelling.
    pub id: String,
    /// The name.
    pub name: String,
    /// What it allows.
    #[serde(default)]
    pub description: Option<String>,
    /// Whether who holds it may share.
    #[serde(default)]
    pub shares: bool,
    /// What it implies.
    #[serde(default)]
    pub implies: Vec<String>,
}

/// What changes of a permission; what is left out stays.
#[derive(Debug, Clone, Default)]
pub struct PermissionPatch {
    /// Another name.
    pub name: Option<String>,
    /// Another description, or none.
    pub description: Patch<String>,
    /// Whether who holds it may share.
    pub shares: Option<bool>,
    /// What it implies, all of it.
    pub implies: Option<Vec<String>>,
}

/// The use cases of permissions. Making and changing them takes the authority over the tenant; everybody in it may read
/// them. Wherever a type is asked for, none means the permissions that all types have.
#[derive(Clone, Copy)]
pub struct Permissions<'a>(pub(crate) &'a Sharing);

impl Permissions<'_> {
    /// Declares a permission.
    ///
    /// # Errors
    /// [`Error::Denied`]; [`Error::NotFound`] for the type; [`Error::Taken`] for `id`; [`Error::Invalid`], also where a
    /// permission would imply itself or what there is not.
    pub async fn create(
        self,
        authority: &Authority,
        new: NewPermission,
        cause: &Cause,
    ) -> Result<Written<Permission>, Error> {
        require_tenant(authority)?;
        crate::hosted::keep_out(new.resource_type.as_deref().unwrap_or_default())?;
        check_id("id", &new.id)?;
        if new.id.eq_ignore_ascii_case(OWNER) {
            return Err(Error::invalid("id", "is reserved for what ownership gives"));
        }
        check_name(&new.name)?;
        check_description(new.description.as_deref())?;
        let tenant = authority.tenant();
        let (sharing, cause) = (self.0.clone(), cause.clone());
        let (of, id) = (new.resource_type.clone(), new.id.clone());
        let made = self
            .0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let name = format!("{} {}", new.resource_type.as_deref().unwrap_or_default(), new.id);
                if claimed(tx, &sharing, &cause, ("permission", tenant, &name)).await? {
                    return Ok(None);
                }
                insert(tx, &sharing, tenant, &new, &cause).await.map(Some)
            })
            .await?;
        let repeated = made.is_none();
        let value = match made {
            Some(made) => made,
            None => self.get(authority, of.as_deref(), &id).await?,
        };
        self.0.written(value, repeated).await
    }

    /// The permission.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(self, authority: &Authority, of: Option<&str>, id: &str) -> Result<Permission, Error> {
        let model = self.0.model(authority.tenant()).await?;
        model.permission(of, id).cloned().ok_or(Error::NotFound("permission"))
    }

    /// The permissions of a type alone, or of every type, in the order of their identifiers; at most 64.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the type.
    pub async fn list(self, authority: &Authority, of: Option<&str>) -> Result<Vec<Permission>, Error> {
        let model = self.0.model(authority.tenant()).await?;
        Ok(match of {
            Some(of) => model.type_of(of).ok_or(Error::NotFound("resource type"))?.permissions.clone(),
            None => model.common().to_vec(),
        })
    }

    /// Changes a permission.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::NotFound`], [`Error::VersionConflict`], [`Error::Invalid`].
    pub async fn update(
        self,
        authority: &Authority,
        Target { id: (of, id), version }: Target<(Option<&str>, &str)>,
        patch: PermissionPatch,
        cause: &Cause,
    ) -> Result<Written<Permission>, Error> {
        require_tenant(authority)?;
        crate::hosted::keep_out(of.unwrap_or_default())?;
        let tenant = authority.tenant();
        let (sharing, cause) = (self.0.clone(), cause.clone());
        let (of, id) = (of.map(str::to_owned), id.to_owned());
        let changed = self
            .0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                lock_tenant(tx, tenant).await?;
                let model = super::load(tx, tenant).await?;
                let found = model.permission(of.as_deref(), &id).cloned();
                let mut permission = found.ok_or(Error::NotFound("permission"))?;
                crate::write::check_version(version, permission.version)?;
                if let Some(name) = &patch.name {
                    permission.name.clone_from(name);
                }
                patch.description.apply(&mut permission.description);
                permission.shares = patch.shares.unwrap_or(permission.shares);
                check_name(&permission.name)?;
                check_description(permission.description.as_deref())?;
                permission.updated_at = sharing.world().now();
                permission.version = permission.version.saturating_add(1);
                let Permission { key, name, description, shares, updated_at, .. } = &permission;
                let row = params![tenant, key, name, description, shares, updated_at];
                tx.execute(&schema::UPDATE_PERMISSION, &row).await?;
                if let Some(implies) = &patch.implies {
                    permission.implies = checked_implied(&model, of.as_deref(), &id, implies)?;
                    tx.execute(&schema::CLEAR_IMPLIED, &params![permission.key]).await?;
                    imply(tx, &model, &permission).await?;
                }
                record(tx, &sharing, &cause, (tenant, "permission.update"), &permission).await?;
                Ok::<_, Error>(permission)
            })
            .await?;
        self.0.written(changed, false).await
    }

    /// Removes a permission: at once nobody has it, and nothing implies it. Its grants are swept up later; a permission
    /// of the same name does not bring them back.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::NotFound`], [`Error::VersionConflict`].
    pub async fn delete(
        self,
        authority: &Authority,
        Target { id: (of, id), version }: Target<(Option<&str>, &str)>,
        cause: &Cause,
    ) -> Result<Revision, Error> {
        require_tenant(authority)?;
        crate::hosted::keep_out(of.unwrap_or_default())?;
        let tenant = authority.tenant();
        let (sharing, cause) = (self.0.clone(), cause.clone());
        let (of, id) = (of.map(str::to_owned), id.to_owned());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                lock_tenant(tx, tenant).await?;
                let model = super::load(tx, tenant).await?;
                let permission = model.permission(of.as_deref(), &id).ok_or(Error::NotFound("permission"))?;
                crate::write::check_version(version, permission.version)?;
                for statement in [&schema::CLEAR_IMPLIED, &schema::CLEAR_IMPLYING] {
                    tx.execute(statement, &params![permission.key]).await?;
                }
                tx.execute(&schema::DELETE_PERMISSION, &params![tenant, permission.key]).await?;
                record(tx, &sharing, &cause, (tenant, "permission.delete"), permission).await
            })
            .await?;
        self.0.revision().await
    }
}

async fn insert(
    tx: &mut Tx<'_>,
    sharing: &Sharing,
    tenant: TenantId,
    new: &NewPermission,
    cause: &Cause,
) -> Result<Permission, Error> {
    lock_tenant(tx, tenant).await?;
    let model = super::load(tx, tenant).await?;
    let of = new.resource_type.as_deref();
    let siblings = match of {
        Some(of) => &model.type_of(of).ok_or(Error::NotFound("resource type"))?.permissions,
        None => model.common(),
    };
    if siblings.len() >= MAX_PERMISSIONS {
        return Err(Error::invalid("id", format!("would be one of more than {MAX_PERMISSIONS} permissions")));
    }
    if is_taken(&model, of, &new.id) {
        return Err(Error::Taken("id"));
    }
    let implies = checked_implied(&model, of, &new.id, &new.implies)?;
    let now = sharing.world().now();
    let type_key = of.and_then(|of| model.type_of(of)).map(|entry| entry.of.key);
    let row = params![tenant, type_key, new.id, new.name, new.description, new.shares, now];
    let key = tx.query_one(&schema::INSERT_PERMISSION, &row, |row| row.get::<i64>(0)).await?;
    let permission = Permission {
        key,
        resource_type: new.resource_type.clone(),
        id: new.id.clone(),
        name: new.name.clone(),
        description: new.description.clone(),
        shares: new.shares,
        implies,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    imply(tx, &model, &permission).await?;
    record(tx, sharing, cause, (tenant, "permission.create"), &permission).await?;
    Ok(permission)
}

/// Whether the types concerned have a permission of this identifier.
fn is_taken(model: &Model, of: Option<&str>, id: &str) -> bool {
    let has = |entry: &Arc<TypeEntry>| entry.permissions.iter().any(|permission| permission.id == id);
    let own = match of {
        Some(of) => model.type_of(of).is_some_and(has),
        None => model.types().iter().any(has),
    };
    own || model.permission(None, id).is_some()
}

/// What a permission is to imply, each once and in order.
fn checked_implied(
    model: &Model,
    of: Option<&str>,
    id: &str,
    wanted: &[String],
) -> Result<Vec<String>, Error> {
    let mut implies = wanted.to_vec();
    implies.sort_unstable();
    implies.dedup();
    if implies.len() > 2 * MAX_PERMISSIONS {
        return Err(Error::invalid("implies", "names more than there can be"));
    }
    let own = of.and_then(|of| model.type_of(of)).map(|entry| entry.permissions.as_slice());
    let all: Vec<&Permission> = own.unwrap_or_default().iter().chain(model.common()).collect();
    let edges: HashMap<&str, Vec<&str>> = all
        .iter()
        .map(|permission| (permission.id.as_str(), permission.implies.iter().map(String::as_str).collect()))
        .collect();
    for implied in &implies {
        if implied == id || closure(implied, &edges).contains(id) {
            return Err(Error::invalid(
                "implies",
                "would, by way of others, lead back to the permission itself",
            ));
        }
        if !edges.contains_key(implied.as_str()) {
            let problem = match of {
                Some(_) => "names a permission that resources of this type do not have",
                None => "names a permission that not every type has",
            };
            return Err(Error::invalid("implies", problem));
        }
    }
    Ok(implies)
}

async fn imply(tx: &mut Tx<'_>, model: &Model, permission: &Permission) -> Result<(), Error> {
    let of = permission.resource_type.as_deref();
    for implied in &permission.implies {
        let found = model.permission(of, implied).or_else(|| model.permission(None, implied));
        if let Some(found) = found {
            tx.execute(&schema::INSERT_IMPLICATION, &params![permission.key, found.key]).await?;
        }
    }
    Ok(())
}

async fn record(
    tx: &mut Tx<'_>,
    sharing: &Sharing,
    cause: &Cause,
    (tenant, action): (TenantId, &'static str),
    permission: &Permission,
) -> Result<(), Error> {
    let detail = json!({
        "resource_type": permission.resource_type, "shares": permission.shares, "implies": permission.implies,
    });
    let change = Change { tenant, action, target: ("permission", &permission.id) };
    change.record(tx, sharing, cause, detail).await?;
    tx.changed(Some(tenant), TOPIC, &tenant.to_string()).await?;
    Ok(())
}
