//! Who has which roles.

use super::Roles;
use super::model::{EffectiveRole, EffectiveRoles, Role, TENANT_ADMIN};
use super::service;
use crate::admission::Subject;
use crate::directory::{self, MAX_PAGE, Party, PartyKind};
use crate::{Cause, Error, Identity, schema};
use keyreeve_base::{RoleId, TenantId, Timestamp};
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// A role in somebody's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct RoleHolding {
    /// Who has it.
    #[serde(rename = "holder")]
    pub party: Party,
    /// Since when.
    pub given_at: Timestamp,
}

impl Roles<'_> {
    /// Gives a role; false when the party has it already.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the role or the party.
    pub async fn assign(
        self,
        (tenant, role): (TenantId, RoleId),
        party: Party,
        cause: &Cause,
    ) -> Result<bool, Error> {
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                touch(tx, tenant, party).await?;
                directory::hold_party(tx, tenant, party).await?;
                let found = tx.query_opt(&schema::ROLE_BY_ID, &params![tenant, role], Role::from_row).await?;
                let role = found.ok_or(Error::NotFound("role"))?;
                give(tx, &identity, &role, party, &cause).await
            })
            .await
    }

    /// Takes a role that was given to the party itself; false when it has none such.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn unassign(
        self,
        (tenant, role): (TenantId, RoleId),
        party: Party,
        cause: &Cause,
    ) -> Result<bool, Error> {
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                touch(tx, tenant, party).await?;
                if tx.execute(&schema::DELETE_HOLDER, &params![tenant, role, party.uuid()]).await? == 0 {
                    return Ok(false);
                }
                let detail = json!({"holder": party});
                let event = cause.done(tenant, "role.unassign", ("role", role.to_string()), detail);
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                Ok(true)
            })
            .await
    }

    /// The role of the tenant's administrators.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant.
    pub async fn tenant_admin(self, tenant: TenantId) -> Result<Role, Error> {
        if let Some(role) = self.find(tenant, None, TENANT_ADMIN).await? {
            return Ok(role);
        }
        self.0.tenants().get(tenant).await?;
        let identity = self.0.clone();
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| administrators_role(tx, &identity, tenant).await)
            .await
    }

    /// A page of those to whom a role was given themselves, in the order of their identifiers, those after `after`; at
    /// most 500.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn holders(
        self,
        (tenant, role): (TenantId, RoleId),
        after: Option<Uuid>,
        limit: u16,
    ) -> Result<Vec<RoleHolding>, Error> {
        let after = after.unwrap_or(Uuid::nil());
        let limit = i64::from(limit.clamp(1, MAX_PAGE));
        self.0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                let holders = tx
                    .query(&schema::HOLDER_PAGE, &params![tenant, role, after, limit], |row| {
                        let party = Party::new(row.get::<PartyKind>(1)?, row.get(0)?);
                        Ok(RoleHolding { party, given_at: row.get(2)? })
                    })
                    .await;
                Ok(holders?)
            })
            .await
    }

    /// The roles that were given to a party itself.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn assigned_to(self, tenant: TenantId, party: Party) -> Result<Vec<Role>, Error> {
        self.0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                Ok(tx.query(&schema::ROLES_OF, &params![tenant, party.uuid()], Role::from_row).await?)
            })
            .await
    }

    /// All roles of whoever was admitted, by themselves and by their groups; none for an OAuth client. From memory where
    /// that is allowed.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn effective(self, tenant: TenantId, subject: Subject) -> Result<Arc<EffectiveRoles>, Error> {
        match subject.party() {
            Some(party) => self.effective_of(tenant, party).await,
            None => Ok(Arc::default()),
        }
    }

    /// All roles of a party, by itself and by the groups that hold it. From memory where that is allowed.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn effective_of(self, tenant: TenantId, party: Party) -> Result<Arc<EffectiveRoles>, Error> {
        let store = self.0.store();
        let load = || async move {
            let read = async move |tx: &mut Tx<'_>| {
                let statement = match party {
                    Party::User(_) | Party::Service(_) => &schema::EFFECTIVE_ROLES_OF_PRINCIPAL,
                    Party::Group(_) => &schema::EFFECTIVE_ROLES_OF_GROUP,
                };
                tx.query(statement, &params![tenant, party.uuid()], |row| {
                    Ok(EffectiveRole { id: row.get(0)?, application: row.get(1)?, name: row.get(2)? })
                })
                .await
            };
            Ok::<_, Error>(Arc::new(EffectiveRoles::new(store.read(read).await?)))
        };
        directory::derive(self.0, (tenant, party), |held| &held.roles, load).await
    }
}

/// Announces that a party's own roles change: for a group, those of everyone in it.
async fn touch(tx: &mut Tx<'_>, tenant: TenantId, party: Party) -> Result<(), Error> {
    if matches!(party, Party::Group(_)) {
        return directory::change_shape(tx, tenant).await;
    }
    directory::party_changed(tx, tenant, party).await
}

/// Gives a role to a party that the transaction holds and has announced.
async fn give(
    tx: &mut Tx<'_>,
    identity: &Identity,
    role: &Role,
    party: Party,
    cause: &Cause,
) -> Result<bool, Error> {
    let tenant = role.tenant_id;
    match tx
        .execute(
            &schema::INSERT_HOLDER,
            &params![tenant, role.id, party.uuid(), party.kind(), identity.world().now()],
        )
        .await
    {
        Ok(0) => return Ok(false),
        Ok(_) => {}
        // It was removed since it was seen.
        Err(keyreeve_store::Error::ForeignKey) => return Err(Error::NotFound("role")),
        Err(error) => return Err(error.into()),
    }
    let detail = json!({"holder": party, "name": role.name, "application": role.application});
    let event = cause.done(tenant, "role.assign", ("role", role.id.to_string()), detail);
    keyreeve_audit::record(tx, identity.world(), &event).await?;
    Ok(true)
}

/// Makes a new user, in the transaction that makes them, an administrator of their tenant.
pub(crate) async fn make_administrator(
    tx: &mut Tx<'_>,
    identity: &Identity,
    (tenant, party): (TenantId, Party),
    cause: &Cause,
) -> Result<(), Error> {
    touch(tx, tenant, party).await?;
    let role = administrators_role(tx, identity, tenant).await?;
    give(tx, identity, &role, party, cause).await.map(drop)
}

/// The reserved role, made when it is first needed. It belongs to the tenant as its first data key does, and has no
/// entry of its own in the audit log.
pub(crate) async fn administrators_role(
    tx: &mut Tx<'_>,
    identity: &Identity,
    tenant: TenantId,
) -> Result<Role, Error> {
    if let Some(role) = service::by_name(tx, tenant, None, TENANT_ADMIN).await? {
        return Ok(role);
    }
    let now = identity.world().now();
    let role = Role {
        id: identity.world().new_id(),
        tenant_id: tenant,
        application: None,
        name: TENANT_ADMIN.to_owned(),
        canonical: TENANT_ADMIN.to_owned(),
        description: Some("Administers this tenant".to_owned()),
        created_at: now,
        updated_at: now,
        version: 1,
    };
    if service::insert(tx, &role).await? {
        return Ok(role);
    }
    // Another node was faster.
    service::by_name(tx, tenant, None, TENANT_ADMIN).await?.ok_or(Error::NotFound("role"))
}
