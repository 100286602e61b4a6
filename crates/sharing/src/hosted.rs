//! Resources that another room keeps: their types begin with [`RESERVED`], and what they are made of changes in that
//! room's transactions alone. Grants on them are shared and revoked like any other.

use crate::engine::{ID_TOPIC, NODE_TOPIC, Seen};
use crate::grants::PartyKind;
use crate::model::{TOPIC, load};
use crate::questions::MAX_ATTEMPTS;
use crate::resources::{Insert, NewResource, check_parent, find_parent, insert};
use crate::standing::{asker, over_tenant};
use crate::write::lock_tenant;
use crate::{Error, Sharing, schema};
use keyreeve_base::{GroupId, TenantId, Timestamp};
use keyreeve_identity::{Authority, Party};
use keyreeve_store::{Tx, params};
use uuid::Uuid;

/// What the identifiers of types begin with that belong to this server's own rooms.
pub const RESERVED: &str = "keyreeve.";

/// A type of resources that a room keeps.
#[derive(Debug, Clone, Copy)]
pub struct HostedType {
    /// Its identifier, which begins with [`RESERVED`].
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its permissions; what one implies stands before it.
    pub permissions: &'static [HostedPermission],
}

/// A permission of such a type. Where all types of the tenant have one of this name already, that one counts.
#[derive(Debug, Clone, Copy)]
pub struct HostedPermission {
    /// Its identifier.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What else it gives.
    pub implies: &'static [&'static str],
}

/// A resource that a room makes.
#[derive(Debug, Clone, Copy)]
pub struct NewHosted<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// The identifier, which nobody can guess.
    pub id: &'a str,
    /// The key of its type ([`Hosted::ensure`]).
    pub type_key: i64,
    /// The key of what it lies below ([`Hosted::parent`]).
    pub parent: Option<i64>,
    /// Who owns it; nobody where only whoever administers the tenant is to.
    pub owner: Option<Party>,
    /// The name.
    pub name: &'a str,
    /// When.
    pub now: Timestamp,
}

/// What an asker has on such a resource, as one moment had it.
#[derive(Debug, Clone)]
pub struct Access {
    seen: Seen,
    owns: bool,
    names: Vec<u32>,
}

impl Access {
    /// Whether the asker has this permission, or owns the resource.
    #[must_use]
    pub fn has(&self, permission: &str) -> bool {
        let by = || self.seen.entry().and_then(|entry| entry.satisfying(permission));
        self.owns || by().is_some_and(|by| self.names.iter().any(|name| by.binary_search(name).is_ok()))
    }

    /// Who owns the resource; none where only whoever administers the tenant does.
    #[must_use]
    pub fn owner(&self) -> Option<Party> {
        self.seen.node().map(|node| node.owner).filter(|owner| *owner != NOBODY)
    }

    /// Whether the asker owns the resource, or something above it, or administers the tenant.
    #[must_use]
    pub const fn owns(&self) -> bool {
        self.owns
    }
}

/// The use cases of rooms that keep resources.
#[derive(Clone, Copy)]
pub struct Hosted<'a>(pub(crate) &'a Sharing);

impl Hosted<'_> {
    /// The key of the type in this tenant, which is declared there if it was not.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; those of the store.
    pub async fn ensure(self, tenant: TenantId, of: &'static HostedType) -> Result<i64, Error> {
        if let Some(entry) = self.0.model(tenant).await?.type_of(of.id) {
            return Ok(entry.of.key);
        }
        let sharing = self.0.clone();
        self.0.store().write(async move |tx: &mut Tx<'_>| declare(tx, &sharing, tenant, of).await).await
    }

    /// What somebody who wants to put something below a resource has to name; takes ownership of it, or a permission to
    /// share it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the parent; [`Error::Denied`].
    pub async fn parent(self, authority: &Authority, id: &str) -> Result<i64, Error> {
        match self.0.find(authority, id).await {
            Ok(found) => {
                found.standing.require_sharer()?;
                Ok(found.seen.key())
            }
            Err(Error::NotFound(_)) => Err(Error::NotFound("parent")),
            Err(error) => Err(error),
        }
    }

    /// What the asker has on the resource; none where there is no such one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn access(self, authority: &Authority, id: &str) -> Result<Option<Access>, Error> {
        let tenant = authority.tenant();
        let mut attempt = 1;
        loop {
            let before = self.0.engine().changes(tenant);
            let access = self.access_once(authority, id).await?;
            if before == self.0.engine().changes(tenant) || attempt >= MAX_ATTEMPTS {
                return Ok(access);
            }
            attempt += 1;
        }
    }

    async fn access_once(self, authority: &Authority, id: &str) -> Result<Option<Access>, Error> {
        let tenant = authority.tenant();
        let Some(seen) = self.0.look_up(tenant, id).await? else { return Ok(None) };
        let mut access = Access { seen, owns: over_tenant(authority), names: Vec::new() };
        let (false, Some(party)) = (access.owns, asker(authority)) else { return Ok(Some(access)) };
        let Some(who) = self.0.who(tenant, party).await? else { return Ok(Some(access)) };
        for ground in self.0.grounds(&who, &access.seen).await? {
            match ground.name {
                None => access.owns = true,
                Some(name) => access.names.push(name),
            }
        }
        Ok(Some(access))
    }

    /// Whether there is such a party, if only disabled, so that it can own something.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none.
    pub async fn check_owner(self, tenant: TenantId, owner: Party) -> Result<(), Error> {
        if self.0.exists(tenant, owner).await? { Ok(()) } else { Err(Error::NotFound("owner")) }
    }

    /// Makes a resource in the caller's transaction; answers its key.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the parent; [`Error::Taken`]; [`Error::Invalid`] where it would lie too deep.
    pub async fn make(self, tx: &mut Tx<'_>, new: &NewHosted<'_>) -> Result<i64, Error> {
        let NewHosted { tenant, id, type_key, parent, owner, name, now } = *new;
        let place = match parent {
            Some(parent) => Some(find_parent(tx, self.0, tenant, parent).await?),
            None => None,
        };
        let content = NewResource { name: name.to_owned(), ..NewResource::default() };
        let owner = owner.unwrap_or(NOBODY);
        let insertion = Insert { tenant, id, type_key, parent: place, owner, new: &content, now };
        let key = insert(tx, self.0, &insertion).await?;
        if let Some(parent) = parent {
            check_parent(tx, tenant, parent).await?;
        }
        tx.changed(Some(tenant), ID_TOPIC, id).await?;
        Ok(key)
    }

    /// Gives a resource another name, in the caller's transaction.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn rename(
        self,
        tx: &mut Tx<'_>,
        (tenant, key): (TenantId, i64),
        name: &str,
    ) -> Result<(), Error> {
        let now = self.0.world().now();
        tx.execute(&schema::RENAME_RESOURCE, &params![tenant, key, name, now]).await?;
        Ok(())
    }

    /// Gives a resource to another owner, in the caller's transaction; the former one keeps what was granted.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn transfer(
        self,
        tx: &mut Tx<'_>,
        (tenant, key): (TenantId, i64),
        owner: Option<Party>,
    ) -> Result<(), Error> {
        let owner = owner.unwrap_or(NOBODY);
        let (kind, party, now) = (PartyKind::of(owner), owner.uuid(), self.0.world().now());
        tx.execute(&schema::TRANSFER_RESOURCE, &params![tenant, key, kind, party, now]).await?;
        tx.changed(Some(tenant), NODE_TOPIC, &key.to_string()).await?;
        Ok(())
    }

    /// Removes a resource and all that was granted on it, in the caller's transaction.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn remove(
        self,
        tx: &mut Tx<'_>,
        (tenant, key): (TenantId, i64),
        id: &str,
    ) -> Result<(), Error> {
        tx.execute(&schema::BURY_RESOURCE, &params![tenant, key]).await?;
        tx.changed(Some(tenant), ID_TOPIC, id).await?;
        tx.changed(Some(tenant), NODE_TOPIC, &key.to_string()).await?;
        Ok(())
    }
}

/// The owner of what has none: a group that there never is.
const NOBODY: Party = Party::Group(GroupId::from_uuid(Uuid::nil()));

async fn declare(
    tx: &mut Tx<'_>,
    sharing: &Sharing,
    tenant: TenantId,
    of: &'static HostedType,
) -> Result<i64, Error> {
    lock_tenant(tx, tenant).await?;
    let model = load(tx, tenant).await?;
    if let Some(entry) = model.type_of(of.id) {
        return Ok(entry.of.key);
    }
    let (now, none) = (sharing.world().now(), None::<String>);
    let row = params![tenant, of.id, of.name, none, now];
    let key = tx.query_one(&schema::INSERT_TYPE, &row, |row| row.get::<i64>(0)).await?;
    let mut keys: Vec<(&str, i64)> = Vec::new();
    for permission in of.permissions {
        if let Some(common) = model.permission(None, permission.id) {
            keys.push((permission.id, common.key));
            continue;
        }
        let row = params![tenant, key, permission.id, permission.name, none, false, now];
        let own = tx.query_one(&schema::INSERT_PERMISSION, &row, |row| row.get::<i64>(0)).await?;
        for (_, implied) in keys.iter().filter(|(id, _)| permission.implies.contains(id)) {
            tx.execute(&schema::INSERT_IMPLICATION, &params![own, *implied]).await?;
        }
        keys.push((permission.id, own));
    }
    tx.changed(Some(tenant), TOPIC, &tenant.to_string()).await?;
    Ok(key)
}

/// Refuses to touch what another room keeps.
pub(crate) fn keep_out(resource_type: &str) -> Result<(), Error> {
    if resource_type.starts_with(RESERVED) {
        return Err(Error::Denied("the use case of the room that keeps what is of this type"));
    }
    Ok(())
}

impl Seen {
    /// [`keep_out`] of a resource.
    pub(crate) fn keep_out(&self) -> Result<(), Error> {
        self.entry().map_or(Ok(()), |entry| keep_out(&entry.of.id))
    }
}
