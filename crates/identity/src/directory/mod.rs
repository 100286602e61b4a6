//! What groups, roles and service accounts share: the parties that they are about, the epoch of a tenant's directory,
//! and what is derived from it and kept in memory.
//!
//! What a party holds (its groups, its roles, what it administers) is worked out once and kept until something it
//! depends on changes. A change of the party's own rows names the party on the change feed. A change of the shape that
//! parties share (a nest, a group's removal, a role, a role given to a group) may concern everyone: it raises the
//! tenant's epoch, and what was derived under another epoch is not believed. The epoch's row is also the lock that
//! those changes take first, so that what one of them has checked still holds when it writes.

mod held;
pub(crate) mod name;

pub(crate) use held::{Epochs, derive};

use crate::{Error, groups, schema, service_accounts, users};
use keyreeve_base::id::Id;
use keyreeve_base::{GroupId, ServiceAccountId, TenantId, UserId};
use keyreeve_store::{FromColumn, Param, ToParam, Tx, Value, params};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// The change-feed topic of epochs; the key is the tenant's identifier.
pub(crate) const EPOCH_TOPIC: &str = "directory";
/// The change-feed topic of what parties hold; the key is the party.
pub(crate) const PARTY_TOPIC: &str = "party";

/// The most entries that a page of anything in the directory has.
pub(crate) const MAX_PAGE: u16 = 500;

/// A user, a service account or a group: what can be a member of a group and be given a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Party {
    /// A user.
    User(UserId),
    /// A service account.
    Service(ServiceAccountId),
    /// A group.
    Group(GroupId),
}

/// The kind of a [`Party`], as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartyKind {
    User,
    Service,
    Group,
}

impl PartyKind {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::Group => "group",
        }
    }

    fn of(text: &str) -> Option<Self> {
        [Self::User, Self::Service, Self::Group].into_iter().find(|kind| kind.text() == text)
    }
}

impl ToParam for PartyKind {
    fn to_param(&self) -> Param<'_> {
        Value::Text(self.text())
    }
}

impl FromColumn for PartyKind {
    fn from_column(value: Value<'_>) -> Result<Self, keyreeve_store::Error> {
        let text = String::from_column(value)?;
        Self::of(&text).ok_or_else(|| keyreeve_store::Error::corrupt("a stored party is of no known kind"))
    }
}

impl Party {
    pub(crate) const fn kind(self) -> PartyKind {
        match self {
            Self::User(_) => PartyKind::User,
            Self::Service(_) => PartyKind::Service,
            Self::Group(_) => PartyKind::Group,
        }
    }

    /// Its identifier, whatever it is.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        match self {
            Self::User(id) => id.uuid(),
            Self::Service(id) => id.uuid(),
            Self::Group(id) => id.uuid(),
        }
    }

    pub(crate) fn new(kind: PartyKind, id: Uuid) -> Self {
        match kind {
            PartyKind::User => Self::User(Id::from_uuid(id)),
            PartyKind::Service => Self::Service(Id::from_uuid(id)),
            PartyKind::Group => Self::Group(Id::from_uuid(id)),
        }
    }
}

impl fmt::Display for Party {
    /// `user:`, `service:` or `group:`, and the identifier.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind().text(), self.uuid())
    }
}

/// A text that names no [`Party`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not `user:`, `service:` or `group:` and an identifier")]
pub struct NoParty;

impl FromStr for Party {
    type Err = NoParty;

    fn from_str(text: &str) -> Result<Self, NoParty> {
        let (kind, id) = text.split_once(':').ok_or(NoParty)?;
        let kind = PartyKind::of(kind).ok_or(NoParty)?;
        Ok(Self::new(kind, id.parse().map_err(|_| NoParty)?))
    }
}

/// Raises the tenant's epoch, which takes the lock that everyone who changes the directory's shape takes first.
pub(crate) async fn change_shape(tx: &mut Tx<'_>, tenant: TenantId) -> Result<(), Error> {
    match tx.execute(&schema::RAISE_EPOCH, &params![tenant]).await {
        Ok(_) => {}
        Err(keyreeve_store::Error::ForeignKey) => return Err(Error::NotFound("tenant")),
        Err(error) => return Err(error.into()),
    }
    tx.changed(Some(tenant), EPOCH_TOPIC, &tenant.to_string()).await?;
    Ok(())
}

/// Announces that what a party holds has changed.
pub(crate) async fn party_changed(tx: &mut Tx<'_>, tenant: TenantId, party: Party) -> Result<(), Error> {
    tx.changed(Some(tenant), PARTY_TOPIC, &party.to_string()).await?;
    Ok(())
}

/// Keeps a party from being changed or removed until the transaction ends.
///
/// # Errors
/// [`Error::NotFound`] with its kind, also for archived users.
pub(crate) async fn hold_party(tx: &mut Tx<'_>, tenant: TenantId, party: Party) -> Result<(), Error> {
    match party {
        Party::User(id) => users::hold_user(tx, tenant, id).await.map(drop),
        Party::Service(id) => service_accounts::hold(tx, tenant, id).await.map(drop),
        Party::Group(id) => groups::hold(tx, tenant, id).await.map(drop),
    }
}

/// Takes a party that is on its way out of all groups and from all roles.
pub(crate) async fn forget_party(tx: &mut Tx<'_>, tenant: TenantId, party: Party) -> Result<(), Error> {
    tx.execute(&schema::LEAVE_GROUPS, &params![tenant, party.uuid()]).await?;
    tx.execute(&schema::DROP_ROLES, &params![tenant, party.uuid()]).await?;
    party_changed(tx, tenant, party).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_reads_back_what_it_prints() {
        let id = Uuid::from_u128(7);
        for kind in [PartyKind::User, PartyKind::Service, PartyKind::Group] {
            let party = Party::new(kind, id);
            assert_eq!(party.to_string().parse(), Ok(party));
            assert_eq!((party.kind(), party.uuid()), (kind, id));
        }
        for bad in ["", "user", "user:", "client:00000000-0000-0000-0000-000000000007", "group:x"] {
            assert_eq!(bad.parse::<Party>(), Err(NoParty), "{bad}");
        }
    }
}
