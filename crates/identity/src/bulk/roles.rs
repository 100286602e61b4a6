//! Roles and who has them, in bulk.

use super::party::{Parties, PartyRef};
use super::users::existing;
use super::{Bulk, Fate, How, Mode, Outcome, Problem, Seen, SeenKey, moment, problem};
use crate::directory::name::Name;
use crate::directory::{self, Party};
use crate::roles::{self, Role, RolePatch, TENANT_ADMIN};
use crate::{Error, Patch, schema};
use keyreeve_base::{ClientId, RoleId, TenantId, Timestamp};
use keyreeve_store::{Tx, params};
use serde_json::json;

/// A role by its identifier, or by its name in the tenant or in an OAuth client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RoleRef {
    /// By its identifier.
    Id(RoleId),
    /// By its name.
    Name {
        /// The OAuth client that it is a role of; none for the tenant's.
        application: Option<ClientId>,
        /// The name, in any spelling.
        name: String,
    },
}

/// A role as an import has it.
#[derive(Debug, Clone, Default)]
pub struct RoleRow {
    /// The identifier to find the role by, or to give a new one.
    pub id: Option<RoleId>,
    /// The OAuth client that it is a role of.
    pub application: Option<ClientId>,
    /// The name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Patch<String>,
    /// When a new role was made, wherever that was.
    pub created_at: Option<Timestamp>,
    /// When it was last changed there.
    pub updated_at: Option<Timestamp>,
}

/// A role in somebody's hands, as an import has it.
#[derive(Debug, Clone)]
pub struct HolderRow {
    /// The role.
    pub role: RoleRef,
    /// Who is to have it.
    pub holder: PartyRef,
    /// Since when, wherever that was.
    pub given_at: Option<Timestamp>,
}

fn by_name(application: Option<ClientId>, canonical: &str) -> SeenKey {
    let application = application.map(|id| id.to_string()).unwrap_or_default();
    SeenKey::new("role", &format!("{application}\0{canonical}"))
}

fn by_id(id: RoleId) -> SeenKey {
    SeenKey::new("role-id", &id.to_string())
}

impl RoleRef {
    fn seen_key(&self) -> SeenKey {
        match self {
            Self::Id(id) => by_id(*id),
            Self::Name { application, name } => {
                by_name(*application, &Name::canonical(name).unwrap_or_default())
            }
        }
    }
}

impl RoleRow {
    /// What the row looks for.
    pub fn seen_keys(&self) -> impl Iterator<Item = SeenKey> {
        let name = self.name.as_deref().and_then(Name::canonical);
        name.map(|name| by_name(self.application, &name)).into_iter().chain(self.id.map(by_id))
    }
}

impl HolderRow {
    /// What the row looks for.
    pub fn seen_keys(&self) -> impl Iterator<Item = SeenKey> {
        [self.role.seen_key(), self.holder.seen_key(), self.pair_key()].into_iter()
    }

    fn pair_key(&self) -> SeenKey {
        let (role, holder) = (self.role.seen_key(), self.holder.seen_key());
        SeenKey::new("holder", &format!("{}{}", role.id(), holder.id()))
    }
}

impl Bulk<'_> {
    /// Applies one row.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn role(
        self,
        tx: &mut Tx<'_>,
        row: &RoleRow,
        how: &How,
        seen: &mut Seen,
    ) -> Result<Outcome, Error> {
        if row.id.is_none() && row.name.is_none() {
            return Ok(Outcome::refused("name", "or an id is needed"));
        }
        if let Some(id) = row.id {
            let owner: Option<TenantId> =
                tx.query_opt(&schema::OWNER_OF_ROLE_ID, &params![id], |row| row.get(0)).await?;
            match owner {
                Some(owner) if owner != how.tenant => return Ok(Outcome::refused("id", "is in use")),
                Some(_) => return self.change_role(tx, id, row, how).await,
                None => {}
            }
        }
        if let Some(id) = row.seen_keys().find_map(|key| seen.get(key)) {
            return Ok(Outcome::of(existing(how.mode, Fate::Updated), id));
        }
        if let Some(canonical) = row.name.as_deref().and_then(Name::canonical) {
            match roles::by_name(tx, how.tenant, row.application, &canonical).await? {
                Some(_) if row.id.is_some() => return Ok(Outcome::refused("name", "is another role's")),
                Some(role) => return self.change_role(tx, role.id, row, how).await,
                None => {}
            }
        }
        let role = match self.new_role(row, how) {
            Ok(role) => role,
            Err(error) => return Ok(Outcome::failed(problem(error)?)),
        };
        if how.trial {
            row.seen_keys().for_each(|key| seen.note(key, role.id.uuid()));
        } else if !roles::insert_role(tx, &role).await? {
            return Err(Error::Taken("name"));
        }
        Ok(Outcome::of(Fate::Created, role.id.uuid()))
    }

    fn new_role(self, row: &RoleRow, how: &How) -> Result<Role, Error> {
        let now = self.now();
        let created_at = moment("created_at", row.created_at, now)?;
        let mut role = Role {
            id: row.id.unwrap_or_else(|| self.0.world().new_id()),
            tenant_id: how.tenant,
            application: row.application,
            name: row.name.clone().unwrap_or_default(),
            description: None,
            created_at,
            updated_at: moment("updated_at", row.updated_at, now)?.max(created_at),
            version: 1,
            canonical: String::new(),
        };
        row.description.apply(&mut role.description);
        role.check()?;
        Ok(role)
    }

    async fn change_role(
        self,
        tx: &mut Tx<'_>,
        id: RoleId,
        row: &RoleRow,
        how: &How,
    ) -> Result<Outcome, Error> {
        if how.mode == Mode::Create {
            return Ok(Outcome::of(Fate::Skipped, id.uuid()));
        }
        let found = tx.query_opt(&schema::HOLD_ROLE, &params![how.tenant, id], Role::from_row).await?;
        let before = found.ok_or(Error::NotFound("role"))?;
        if before.is_reserved() {
            return Ok(Outcome::refused("name", "is reserved"));
        }
        let mut after = before.clone();
        let patch = RolePatch { name: row.name.clone(), description: row.description.clone() };
        let fields = match patch.apply(&mut after) {
            Ok(fields) => fields,
            Err(error) => return Ok(Outcome::failed(problem(error)?)),
        };
        if after == before {
            return Ok(Outcome::of(Fate::Unchanged, id.uuid()));
        }
        let namesake = roles::by_name(tx, how.tenant, after.application, &after.canonical).await?;
        if namesake.is_some_and(|other| other.id != id) {
            return Ok(Outcome::refused("name", "is another role's"));
        }
        if !how.trial {
            // Its name is in everyone's effective roles.
            directory::change_shape(tx, how.tenant).await?;
            after.updated_at = self.now();
            roles::write_role(tx, &after).await?;
            let detail = json!({"fields": fields, "name": after.name});
            self.record(tx, how, ("role", id.uuid()), ("role.update", detail)).await?;
        }
        Ok(Outcome::of(Fate::Updated, id.uuid()))
    }

    /// Gives a role. Each that is given has an entry of its own in the audit log.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn holder(
        self,
        tx: &mut Tx<'_>,
        row: &HolderRow,
        how: &How,
        seen: &mut Seen,
    ) -> Result<Outcome, Error> {
        if row.holder.is_group() && !how.trial {
            directory::change_shape(tx, how.tenant).await?;
        }
        let parties = Parties::find(tx, std::iter::once(&row.holder), how, seen).await?;
        let party = match parties.get("holder", &row.holder) {
            Ok(party) => party,
            Err(problem) => return Ok(Outcome::failed(problem)),
        };
        let given_at = match moment("given_at", row.given_at, self.now()) {
            Ok(at) => at,
            Err(error) => return Ok(Outcome::failed(problem(error)?)),
        };
        let imagined = seen.get(row.role.seen_key());
        let role = match self.held_role(tx, &row.role, how).await? {
            Some(role) => role.id.uuid(),
            None => match imagined {
                Some(id) => id,
                None => return Ok(Outcome::failed(Problem::new("role", "names a role that does not exist"))),
            },
        };
        if seen.get(row.pair_key()).is_some() {
            return Ok(Outcome::of(existing(how.mode, Fate::Unchanged), role));
        }
        let given = if how.trial {
            let held = party.uuid();
            let held = params![how.tenant, held];
            let held = tx.query(&schema::ROLES_OF, &held, |row| row.get::<uuid::Uuid>(0)).await?;
            seen.note(row.pair_key(), role);
            !held.contains(&role)
        } else {
            self.give(tx, (role, party), given_at, how).await?
        };
        let fate = if given { Fate::Created } else { existing(how.mode, Fate::Unchanged) };
        Ok(Outcome::of(fate, role))
    }

    async fn held_role(self, tx: &mut Tx<'_>, name: &RoleRef, how: &How) -> Result<Option<Role>, Error> {
        let tenant = how.tenant;
        match name {
            RoleRef::Id(id) => {
                Ok(tx.query_opt(&schema::HOLD_ROLE, &params![tenant, *id], Role::from_row).await?)
            }
            RoleRef::Name { application, name } => {
                let Some(canonical) = Name::canonical(name) else { return Ok(None) };
                let found = roles::by_name(tx, tenant, *application, &canonical).await?;
                if found.is_none() && application.is_none() && canonical == TENANT_ADMIN && !how.trial {
                    return roles::administrators_role(tx, self.0, tenant).await.map(Some);
                }
                Ok(found)
            }
        }
    }

    async fn give(
        self,
        tx: &mut Tx<'_>,
        (role, party): (uuid::Uuid, Party),
        given_at: Timestamp,
        how: &How,
    ) -> Result<bool, Error> {
        let (holder, kind) = (party.uuid(), party.kind());
        let row = params![how.tenant, role, holder, kind, given_at];
        if tx.execute(&schema::INSERT_HOLDER, &row).await? == 0 {
            return Ok(false);
        }
        if !matches!(party, Party::Group(_)) {
            directory::party_changed(tx, how.tenant, party).await?;
        }
        let detail = json!({"holder": party});
        self.record(tx, how, ("role", role), ("role.assign", detail)).await?;
        Ok(true)
    }
}
