//! What a role is, what a new one is made of, and what can be changed.

use crate::directory::name::Name;
use crate::groups::MAX_DESCRIPTION;
use crate::users::fields;
use crate::{Error, Patch};
use keyreeve_base::{ClientId, RoleId, TenantId, Timestamp};
use keyreeve_store::Row;

/// The role of a tenant's administrators. Every tenant has it; it can be given and taken, not changed or removed.
pub const TENANT_ADMIN: &str = "tenant-admin";

/// A role, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Role {
    /// The identifier; never given out again.
    pub id: RoleId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The OAuth client that it is a role of; none for a role of the tenant.
    pub application: Option<ClientId>,
    /// The name, as given; unique in the tenant or the client, in every spelling.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts the changes; an update names the version that it changes.
    pub version: i64,
    #[serde(skip)]
    pub(crate) canonical: String,
}

impl Role {
    /// Whether it is [`TENANT_ADMIN`].
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        is_reserved(self.application, &self.canonical)
    }

    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        Ok(Self {
            id: row.get(0)?,
            tenant_id: row.get(1)?,
            application: row.get(2)?,
            name: row.get(3)?,
            canonical: row.get(4)?,
            description: row.get(5)?,
            created_at: row.get(6)?,
            updated_at: row.get(7)?,
            version: row.get(8)?,
        })
    }

    /// Tidies the texts and checks them; the reserved name is refused.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        let name = Name::parse("name", &self.name)?;
        (self.name, self.canonical) = (name.shown, name.canonical);
        fields::tidy("description", &mut self.description, MAX_DESCRIPTION)?;
        if self.is_reserved() {
            return Err(Error::invalid("name", "is reserved"));
        }
        Ok(())
    }
}

fn is_reserved(application: Option<ClientId>, canonical: &str) -> bool {
    application.is_none() && canonical == TENANT_ADMIN
}

/// What a new role is made of.
#[derive(Debug, Clone, Default)]
pub struct NewRole {
    /// The name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The OAuth client that it is a role of; whether there is such a client, the caller knows.
    pub application: Option<ClientId>,
}

/// What to change of a role; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RolePatch {
    /// A new name.
    pub name: Option<String>,
    /// See [`Role::description`].
    pub description: Patch<String>,
}

impl RolePatch {
    /// Applies the patch, and answers the names of the fields that it touches.
    pub(crate) fn apply(&self, role: &mut Role) -> Result<Vec<&'static str>, Error> {
        let mut touched = Vec::new();
        if let Some(name) = &self.name {
            role.name.clone_from(name);
            touched.push("name");
        }
        if self.description.apply(&mut role.description) {
            touched.push("description");
        }
        role.check()?;
        Ok(touched)
    }
}

/// One role that a party has, by itself or by a group.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct EffectiveRole {
    /// The role.
    pub id: RoleId,
    /// The OAuth client that it is a role of; none for a role of the tenant.
    pub application: Option<ClientId>,
    /// The name.
    pub name: String,
}

/// All roles that a party has, by itself and by its groups, in the order of their identifiers.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct EffectiveRoles(Box<[EffectiveRole]>);

impl EffectiveRoles {
    pub(super) fn new(mut roles: Vec<EffectiveRole>) -> Self {
        roles.sort_unstable_by_key(|role| role.id);
        Self(roles.into())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &EffectiveRole> {
        self.0.iter()
    }

    /// Whether this role is among them.
    #[must_use]
    pub fn holds(&self, role: RoleId) -> bool {
        self.0.binary_search_by_key(&role, |role| role.id).is_ok()
    }

    /// The names of the tenant's roles among them.
    pub fn of_tenant(&self) -> impl Iterator<Item = &str> {
        self.of(None)
    }

    /// The names of this client's roles among them.
    pub fn of_application(&self, client: ClientId) -> impl Iterator<Item = &str> {
        self.of(Some(client))
    }

    /// Whether [`TENANT_ADMIN`] is among them.
    #[must_use]
    pub fn is_tenant_admin(&self) -> bool {
        self.of_tenant().any(|name| name == TENANT_ADMIN)
    }

    fn of(&self, application: Option<ClientId>) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |role| role.application == application).map(|role| role.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_clients_role_is_not_the_tenants_of_the_same_name() {
        let client = ClientId::from_uuid(Uuid::from_u128(9));
        let role = |number, application, name: &str| EffectiveRole {
            id: RoleId::from_uuid(Uuid::from_u128(number)),
            application,
            name: name.to_owned(),
        };
        let roles = EffectiveRoles::new(vec![role(2, Some(client), TENANT_ADMIN), role(1, None, "reader")]);
        assert!(!roles.is_tenant_admin());
        assert_eq!(roles.of_tenant().collect::<Vec<_>>(), ["reader"]);
        assert_eq!(roles.of_application(client).collect::<Vec<_>>(), [TENANT_ADMIN]);
        assert!(roles.holds(RoleId::from_uuid(Uuid::from_u128(2))));
        assert!(!roles.holds(RoleId::from_uuid(Uuid::from_u128(3))));
        assert!(EffectiveRoles::new(vec![role(1, None, TENANT_ADMIN)]).is_tenant_admin());
    }
}
