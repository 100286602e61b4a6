//! Groups as the original knows them: a number, a name, and a list of permission numbers.

use super::failure::Failure;
use super::people::{Person, numbers};
use super::{Imqs, schema};
use keyreeve_base::{GroupId, TenantId, UserId};
use keyreeve_identity::{Cause, Error, Group, NewGroup, Party};
use keyreeve_store::{Row, Tx, params};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The change-feed topic of side rows of groups; the key is the tenant's identifier.
pub(super) const TOPIC: &str = "compat_imqs_group";
/// The most groups of a tenant.
const MAX_GROUPS: i64 = 10_000;

/// Permission numbers that mean something here.
pub(super) mod permission {
    pub(in super::super) const ADMIN: u16 = 1;
    pub(in super::super) const ENABLED: u16 = 2;
    pub(super) const FILE_DROP: u16 = 301;
    pub(super) const GONE_FROM_PCS: u16 = 1112;
}

/// The names of permissions that are built in.
const BUILT_IN: [(u16, &str); 6] = [
    (permission::ADMIN, "admin"),
    (permission::ENABLED, "enabled"),
    (3, "pcsmoduleaccess"),
    (4, "bulksms"),
    (permission::FILE_DROP, "filedrop"),
    (999, "imqsdeveloper"),
];

/// The side row of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The number on the wire.
    pub(super) serial: i64,
    pub(super) group: GroupId,
    /// In the order in which they were set.
    pub(super) permissions: Arc<[u16]>,
}

impl Entry {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let permissions: String = row.get(2)?;
        let permissions: Vec<u16> = serde_json::from_str(&permissions)
            .map_err(|_| keyreeve_store::Error::corrupt("a stored list of permissions cannot be read"))?;
        Ok(Self { serial: row.get(0)?, group: row.get(1)?, permissions: permissions.into() })
    }
}

/// What a user's groups come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Effective {
    /// Permission numbers, each once.
    pub(super) permissions: Vec<u16>,
    /// Whether the user has a permit at all, be it an empty one.
    pub(super) has_permit: bool,
}

impl Effective {
    pub(super) fn has(&self, permission: u16) -> bool {
        self.permissions.contains(&permission)
    }
}

impl Imqs {
    /// The groups of the tenant, from memory where that is allowed.
    pub(super) async fn catalogue(&self, tenant: TenantId) -> Result<Arc<[Entry]>, Failure> {
        let store = self.store();
        self.0
            .catalogues
            .get_with(tenant, &tenant, || async move {
                let read = async move |tx: &mut Tx<'_>| {
                    tx.query(&schema::GROUPS, &params![tenant, MAX_GROUPS], Entry::from_row).await
                };
                Ok::<Arc<[Entry]>, Failure>(store.read(read).await?.into())
            })
            .await
    }

    /// The entries with the room's groups, which have the names.
    pub(super) async fn named(&self, tenant: TenantId) -> Result<Vec<(Entry, Arc<Group>)>, Failure> {
        let mut named = Vec::new();
        for entry in self.catalogue(tenant).await?.iter() {
            if let Some(group) = self.identity().groups().by_id(tenant, entry.group).await? {
                named.push((entry.clone(), group));
            }
        }
        Ok(named)
    }

    /// The group of this name, spelled exactly so.
    pub(super) async fn group(&self, tenant: TenantId, name: &str) -> Result<Option<Entry>, Failure> {
        let Some(group) = self.identity().groups().find(tenant, name).await? else { return Ok(None) };
        if group.name != name {
            return Ok(None);
        }
        Ok(self.catalogue(tenant).await?.iter().find(|entry| entry.group == group.id).cloned())
    }

    /// What a user may, from memory where that is allowed.
    pub(super) async fn effective(
        &self,
        tenant: TenantId,
        user: UserId,
        person: &Person,
    ) -> Result<Effective, Failure> {
        let held = self.identity().groups().of_party(tenant, Party::User(user)).await?;
        let catalogue = self.catalogue(tenant).await?;
        let mut effective = Effective { has_permit: person.permit.is_some(), ..Effective::default() };
        for entry in in_order(person, &catalogue).filter(|entry| held.contains(&entry.group)) {
            effective.has_permit = true;
            for permission in entry.permissions.iter() {
                if !effective.permissions.contains(permission) {
                    effective.permissions.push(*permission);
                }
            }
        }
        Ok(effective)
    }

    /// The groups that a user is in directly, in the order of the permit.
    pub(super) async fn groups_of(&self, tenant: TenantId, person: &Person) -> Result<Vec<Entry>, Failure> {
        let held = self.identity().groups().direct_of(tenant, Party::User(person.user)).await?;
        let catalogue = self.catalogue(tenant).await?;
        let of = |entry: &&Entry| held.iter().any(|(group, _)| *group == entry.group);
        Ok(in_order(person, &catalogue).filter(of).cloned().collect())
    }

    /// Makes a group; none where the tenant has one of this name that is not the dialect's.
    pub(super) async fn make_group(
        &self,
        tenant: TenantId,
        (name, permissions): (&str, &[u16]),
        cause: &Cause,
    ) -> Result<Option<Entry>, Failure> {
        let new = NewGroup { name: name.to_owned(), ..NewGroup::default() };
        let ready = self.identity().groups().ready(tenant, new).await?;
        let (identity, cause, group) = (self.identity().clone(), cause.clone(), ready.group().id);
        let stored = permissions.to_vec();
        let made = self
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                identity.groups().put(tx, &ready, &cause).await?;
                let serial: i64 = tx.scalar(&schema::NEXT, &params![tenant, "group"]).await?;
                tx.execute(&schema::INSERT_GROUP, &params![tenant, serial, group, &numbers(&stored)]).await?;
                tx.changed(Some(tenant), TOPIC, &tenant.to_string()).await?;
                Ok::<_, Error>(serial)
            })
            .await;
        match made {
            Ok(serial) => Ok(Some(Entry { serial, group, permissions: permissions.into() })),
            // Be it that another request made it a moment ago.
            Err(Error::Taken(_)) => self.group(tenant, name).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a group's permissions.
    pub(super) async fn set_permissions(
        &self,
        tenant: TenantId,
        group: GroupId,
        permissions: Vec<u16>,
        (audit, cause): (serde_json::Value, &Cause),
    ) -> Result<(), Failure> {
        let (cause, ground) = (cause.clone(), self.0.ground.world.clone());
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                tx.execute(&schema::SET_PERMISSIONS, &params![tenant, group, &numbers(&permissions)]).await?;
                tx.changed(Some(tenant), TOPIC, &tenant.to_string()).await?;
                let event = keyreeve_audit::Event {
                    tenant,
                    actor: cause.actor,
                    action: "imqs.group.permissions",
                    target: Some(("group", group.to_string())),
                    outcome: keyreeve_audit::Outcome::Success,
                    reason: None,
                    origin: &cause.origin,
                    detail: audit.clone(),
                };
                keyreeve_audit::record(tx, &ground, &event).await.map(drop)
            })
            .await?;
        Ok(())
    }

    /// Has the groups that the original guarantees at every start.
    pub(super) async fn guarantee(&self, tenant: TenantId) -> Result<(), Failure> {
        let cause = Cause::system();
        for (name, wanted) in [
            ("PCS", None),
            ("admin", Some(permission::ADMIN)),
            ("enabled", Some(permission::ENABLED)),
            ("filedrop", None),
        ] {
            let wanted: Option<Vec<u16>> = wanted.map(|permission| vec![permission]);
            let made = match self.group(tenant, name).await? {
                Some(found) => Some(found),
                None => {
                    self.make_group(tenant, (name, wanted.as_deref().unwrap_or_default()), &cause).await?
                }
            };
            let Some(found) = made else {
                // Its members have not been chosen as those of this group.
                tracing::warn!(
                    group = name,
                    "the tenant has a group of this name that is not the IMQS dialect's: rename it"
                );
                continue;
            };
            let mut permissions: Vec<u16> = wanted.unwrap_or_else(|| found.permissions.to_vec());
            match name {
                "PCS" => permissions.retain(|permission| *permission != permission::GONE_FROM_PCS),
                "filedrop" if !permissions.contains(&permission::FILE_DROP) => {
                    permissions.push(permission::FILE_DROP);
                }
                _ => {}
            }
            if permissions != *found.permissions {
                let detail = serde_json::json!({ "permissions": permissions });
                self.set_permissions(tenant, found.group, permissions, (detail, &cause)).await?;
            }
        }
        Ok(())
    }

    /// The name of a permission; empty where it has none.
    pub(super) fn permission_name(&self, permission: u16) -> &str {
        if let Some(name) = self.options().permission_names.get(&permission) {
            return name;
        }
        BUILT_IN.iter().find(|(number, _)| *number == permission).map_or("", |(_, name)| name)
    }

    /// Every permission that has a name.
    pub(super) fn named_permissions(&self) -> BTreeSet<u16> {
        let built_in = BUILT_IN.iter().map(|(number, _)| *number);
        built_in.chain(self.options().permission_names.keys().copied()).collect()
    }
}

/// The entries in the order of a permit, then those that it does not name.
fn in_order<'a>(person: &'a Person, catalogue: &'a [Entry]) -> impl Iterator<Item = &'a Entry> {
    let permit = person.permit.as_deref().unwrap_or_default();
    let first = permit.iter().filter_map(|serial| catalogue.iter().find(|entry| entry.serial == *serial));
    first.chain(catalogue.iter().filter(|entry| !permit.contains(&entry.serial)))
}
