//! The use cases of roles themselves.

use super::Roles;
use super::model::{NewRole, Role, RolePatch};
use crate::directory::name::Name;
use crate::directory::{self, MAX_PAGE};
use crate::{Cause, Error, Identity, schema};
use keyreeve_base::{ClientId, RoleId, TenantId};
use keyreeve_store::{Tx, params};
use serde_json::json;

/// The unique indexes over names.
const NAME_INDEXES: [&str; 2] = ["directory_role_of_tenant", "directory_role_of_client"];

impl Roles<'_> {
    /// Makes a role.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; [`Error::Invalid`] for a field; [`Error::Taken`] for `name`.
    pub async fn create(self, tenant: TenantId, new: NewRole, cause: &Cause) -> Result<Role, Error> {
        self.0.tenants().get(tenant).await?;
        let world = self.0.world();
        let mut role = Role {
            id: world.new_id(),
            tenant_id: tenant,
            application: new.application,
            name: new.name,
            description: new.description,
            created_at: world.now(),
            updated_at: world.now(),
            version: 1,
            canonical: String::new(),
        };
        role.check()?;
        let (identity, cause, made) = (self.0.clone(), cause.clone(), role.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                cause.claim(tx, identity.world(), ("role", made.id.uuid())).await?;
                if !insert(tx, &made).await? {
                    return Err(Error::Taken("name"));
                }
                let detail = json!({"name": made.name, "application": made.application});
                let event = cause.done(tenant, "role.create", ("role", made.id.to_string()), detail);
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                Ok(())
            })
            .await?;
        Ok(role)
    }

    /// The role.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(self, tenant: TenantId, id: RoleId) -> Result<Role, Error> {
        self.0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                let found = tx.query_opt(&schema::ROLE_BY_ID, &params![tenant, id], Role::from_row).await?;
                found.ok_or(Error::NotFound("role"))
            })
            .await
    }

    /// The role of this name, in any spelling: one of the tenant, or of this client.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn find(
        self,
        tenant: TenantId,
        application: Option<ClientId>,
        name: &str,
    ) -> Result<Option<Role>, Error> {
        let Some(canonical) = Name::canonical(name) else { return Ok(None) };
        let read = async move |tx: &mut Tx<'_>| by_name(tx, tenant, application, &canonical).await;
        self.0.store().read(read).await
    }

    /// A page of all roles of the tenant, its clients' among them, in the order of their making, those after `after`; at
    /// most 500.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(self, tenant: TenantId, after: Option<RoleId>, limit: u16) -> Result<Vec<Role>, Error> {
        let after = after.unwrap_or(RoleId::from_uuid(uuid::Uuid::nil()));
        let limit = i64::from(limit.clamp(1, MAX_PAGE));
        self.0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                Ok(tx.query(&schema::ROLE_PAGE, &params![tenant, after, limit], Role::from_row).await?)
            })
            .await
    }

    /// The same of the tenant's own roles alone, or of one client's.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list_of(
        self,
        tenant: TenantId,
        application: Option<ClientId>,
        after: Option<RoleId>,
        limit: u16,
    ) -> Result<Vec<Role>, Error> {
        let after = after.unwrap_or(RoleId::from_uuid(uuid::Uuid::nil()));
        let limit = i64::from(limit.clamp(1, MAX_PAGE));
        self.0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                Ok(tx
                    .query(&schema::ROLE_PAGE_OF, &params![tenant, after, limit, application], Role::from_row)
                    .await?)
            })
            .await
    }

    /// Changes a role. With `version`, only if it still is at that version.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionConflict`], [`Error::Invalid`] (also for the reserved role), [`Error::Taken`].
    pub async fn update(
        self,
        (tenant, id): (TenantId, RoleId),
        patch: RolePatch,
        version: Option<i64>,
        cause: &Cause,
    ) -> Result<Role, Error> {
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                // Whoever has the role sees its name.
                directory::change_shape(tx, tenant).await?;
                let mut role = hold(tx, tenant, id).await?;
                not_reserved(&role)?;
                crate::check_version(version, role.version)?;
                let touched = patch.apply(&mut role)?;
                role.updated_at = identity.world().now();
                role.version = role.version.saturating_add(1);
                write(tx, &role).await?;
                let detail = json!({"fields": touched, "name": role.name});
                let event = cause.done(tenant, "role.update", ("role", id.to_string()), detail);
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                Ok(role)
            })
            .await
    }

    /// Removes a role, which nobody has any longer then. With `version`, only if it still is at that version.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionConflict`]; [`Error::Invalid`] for the reserved role.
    pub async fn delete(
        self,
        (tenant, id): (TenantId, RoleId),
        version: Option<i64>,
        cause: &Cause,
    ) -> Result<(), Error> {
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                directory::change_shape(tx, tenant).await?;
                remove(tx, &identity, (tenant, id), version, &cause).await
            })
            .await
    }

    /// Removes all roles of an OAuth client, in the transaction that removes the client; answers how many.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn remove_application(
        self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        application: ClientId,
        cause: &Cause,
    ) -> Result<usize, Error> {
        let roles = tx
            .query(&schema::ROLES_OF_CLIENT, &params![tenant, application], |row| row.get::<RoleId>(0))
            .await?;
        if roles.is_empty() {
            return Ok(0);
        }
        directory::change_shape(tx, tenant).await?;
        for role in &roles {
            match remove(tx, self.0, (tenant, *role), None, cause).await {
                // Removed by somebody else since it was read.
                Ok(()) | Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(roles.len())
    }
}

/// Removes a role in a transaction that changes the tenant's shape.
async fn remove(
    tx: &mut Tx<'_>,
    identity: &Identity,
    (tenant, id): (TenantId, RoleId),
    version: Option<i64>,
    cause: &Cause,
) -> Result<(), Error> {
    // Held, so that whoever is giving it is done, or comes too late and finds no role.
    let role = hold(tx, tenant, id).await?;
    crate::check_version(version, role.version)?;
    not_reserved(&role)?;
    tx.execute(&schema::CLEAR_HOLDERS, &params![tenant, id]).await?;
    tx.execute(&schema::DELETE_ROLE, &params![tenant, id]).await?;
    let detail = json!({"name": role.name, "application": role.application});
    let event = cause.done(tenant, "role.delete", ("role", id.to_string()), detail);
    keyreeve_audit::record(tx, identity.world(), &event).await?;
    Ok(())
}

fn not_reserved(role: &Role) -> Result<(), Error> {
    if role.is_reserved() { Err(Error::invalid("role", "is reserved")) } else { Ok(()) }
}

async fn hold(tx: &mut Tx<'_>, tenant: TenantId, id: RoleId) -> Result<Role, Error> {
    let found = tx.query_opt(&schema::HOLD_ROLE, &params![tenant, id], Role::from_row).await?;
    found.ok_or(Error::NotFound("role"))
}

pub(crate) async fn by_name(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    application: Option<ClientId>,
    canonical: &str,
) -> Result<Option<Role>, Error> {
    Ok(tx.query_opt(&schema::ROLE_BY_NAME, &params![tenant, application, canonical], Role::from_row).await?)
}

/// Inserts a role; false when its name is taken.
pub(crate) async fn insert(tx: &mut Tx<'_>, role: &Role) -> Result<bool, Error> {
    let inserted = tx
        .execute(
            &schema::INSERT_ROLE,
            &params![
                role.id,
                role.tenant_id,
                role.application,
                &role.name,
                &role.canonical,
                &role.description,
                role.created_at
            ],
        )
        .await?;
    Ok(inserted == 1)
}

pub(crate) async fn write(tx: &mut Tx<'_>, role: &Role) -> Result<(), Error> {
    let written = tx
        .execute(
            &schema::UPDATE_ROLE,
            &params![
                role.tenant_id,
                role.id,
                &role.name,
                &role.canonical,
                &role.description,
                role.updated_at
            ],
        )
        .await;
    match written {
        Err(error) if NAME_INDEXES.iter().any(|index| error.is_conflict_on(index)) => {
            Err(Error::Taken("name"))
        }
        written => Ok(written.map(drop)?),
    }
}
