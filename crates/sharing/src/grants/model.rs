//! What a grant is.

use crate::Error;
use keyreeve_audit::Actor;
use keyreeve_base::{ClientId, GroupId, ServiceAccountId, Timestamp, UserId};
use keyreeve_crypto::base64url;
use keyreeve_identity::Party;
use keyreeve_store::{FromColumn, Param, Row, ToParam, Value};
use std::str::FromStr;
use uuid::Uuid;

/// The kind of a party, as this room stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PartyKind {
    User,
    Service,
    Group,
}

impl PartyKind {
    pub(crate) const fn of(party: Party) -> Self {
        match party {
            Party::User(_) => Self::User,
            Party::Service(_) => Self::Service,
            Party::Group(_) => Self::Group,
        }
    }

    /// As it is stored.
    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::User => 0,
            Self::Service => 1,
            Self::Group => 2,
        }
    }

    pub(crate) const fn party(self, id: Uuid) -> Party {
        match self {
            Self::User => Party::User(UserId::from_uuid(id)),
            Self::Service => Party::Service(ServiceAccountId::from_uuid(id)),
            Self::Group => Party::Group(GroupId::from_uuid(id)),
        }
    }
}

impl ToParam for PartyKind {
    fn to_param(&self) -> Param<'_> {
        Value::Int(self.number())
    }
}

impl FromColumn for PartyKind {
    fn from_column(value: Value<'_>) -> Result<Self, keyreeve_store::Error> {
        match i64::from_column(value)? {
            0 => Ok(Self::User),
            1 => Ok(Self::Service),
            2 => Ok(Self::Group),
            _ => Err(keyreeve_store::Error::corrupt("a stored subject is of no known kind")),
        }
    }
}

/// Who made a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum GrantedBy {
    /// Keyreeve itself.
    System,
    /// The operator of the machine.
    Operator,
    /// A user.
    User(UserId),
    /// An OAuth client for itself.
    Client(ClientId),
    /// A service account.
    Service(ServiceAccountId),
}

impl GrantedBy {
    pub(crate) const fn of(actor: Actor) -> Self {
        match actor {
            Actor::System | Actor::Anonymous => Self::System,
            Actor::Operator => Self::Operator,
            Actor::User(id) => Self::User(id),
            Actor::Client(id) => Self::Client(id),
            Actor::Service(id) => Self::Service(id),
        }
    }

    pub(crate) const fn columns(self) -> (i64, Option<Uuid>) {
        match self {
            Self::System => (0, None),
            Self::Operator => (1, None),
            Self::User(id) => (2, Some(id.uuid())),
            Self::Client(id) => (3, Some(id.uuid())),
            Self::Service(id) => (4, Some(id.uuid())),
        }
    }

    fn from_columns(kind: i64, id: Option<Uuid>) -> Result<Self, keyreeve_store::Error> {
        Ok(match (kind, id) {
            (0, None) => Self::System,
            (1, None) => Self::Operator,
            (2, Some(id)) => Self::User(UserId::from_uuid(id)),
            (3, Some(id)) => Self::Client(ClientId::from_uuid(id)),
            (4, Some(id)) => Self::Service(ServiceAccountId::from_uuid(id)),
            _ => return Err(keyreeve_store::Error::corrupt("a stored grant was made by nobody known")),
        })
    }
}

/// The identifier of a grant: opaque, and the same whenever the same is granted to the same subject on the same resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShareId {
    pub(crate) resource: i64,
    pub(crate) party: Uuid,
    pub(crate) permission: i64,
}

impl std::fmt::Display for ShareId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers = [self.resource.to_be_bytes(), self.permission.to_be_bytes()].concat();
        f.write_str(&base64url::encode([numbers.as_slice(), self.party.as_bytes()].concat()))
    }
}

impl FromStr for ShareId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let read = || {
            let bytes = if text.len() <= 64 { base64url::decode(text).ok()? } else { return None };
            let (resource, rest) = bytes.split_first_chunk::<8>()?;
            let (permission, party) = rest.split_first_chunk::<8>()?;
            Some(Self {
                resource: i64::from_be_bytes(*resource),
                permission: i64::from_be_bytes(*permission),
                party: Uuid::from_slice(party).ok()?,
            })
        };
        read().ok_or_else(|| Error::invalid("id", "is not that of a grant"))
    }
}

impl serde::Serialize for ShareId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A permission in the hands of a subject, on a resource and perhaps on everything below it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Grant {
    /// The identifier.
    pub id: ShareId,
    /// The resource.
    pub resource: String,
    /// The permission.
    pub permission: String,
    /// Who has it.
    pub subject: Party,
    /// Whether it holds on everything below the resource as well.
    pub cascade: bool,
    /// Who made it.
    pub granted_by: GrantedBy,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// What a new grant is made of.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewGrant {
    /// The resource.
    pub resource: String,
    /// The permission, one of the resource's type; never [`crate::OWNER`].
    pub permission: String,
    /// Who is to have it.
    pub subject: Party,
    /// Whether it is to hold on everything below the resource as well.
    #[serde(default)]
    pub cascade: bool,
    /// When it is to end by itself: later than now; in JSON a text as in RFC 3339.
    #[serde(default, with = "crate::wire::moment")]
    pub expires_at: Option<Timestamp>,
}

/// How a grant comes to a resource.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GrantKind {
    /// Made on the resource, for it alone.
    Direct,
    /// Made on the resource, for everything below it as well.
    DirectCascading,
    /// Made on a resource above it.
    Inherited,
}

/// A grant as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredGrant {
    pub(crate) id: ShareId,
    pub(crate) subject: Party,
    pub(crate) cascade: bool,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) granted_by: GrantedBy,
    pub(crate) created_at: Timestamp,
}

impl StoredGrant {
    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let id = ShareId { resource: row.get(0)?, party: row.get(1)?, permission: row.get(2)? };
        Ok(Self {
            id,
            subject: row.get::<PartyKind>(3)?.party(id.party),
            cascade: row.get(4)?,
            expires_at: row.get(5)?,
            granted_by: GrantedBy::from_columns(row.get(6)?, row.get(7)?)?,
            created_at: row.get(8)?,
        })
    }

    pub(crate) fn named(self, resource: &str, permission: &str) -> Grant {
        Grant {
            id: self.id,
            resource: resource.to_owned(),
            permission: permission.to_owned(),
            subject: self.subject,
            cascade: self.cascade,
            granted_by: self.granted_by,
            created_at: self.created_at,
            expires_at: self.expires_at,
        }
    }

    pub(crate) fn holds(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_reads_back_what_it_prints() {
        let id = ShareId { resource: 7, party: Uuid::from_u128(9), permission: i64::MAX };
        assert_eq!(id.to_string().parse::<ShareId>().unwrap(), id);
        for bad in ["", "a", "%%", &"A".repeat(100), &id.to_string()[1..]] {
            assert!(bad.parse::<ShareId>().is_err(), "{bad}");
        }
    }
}
