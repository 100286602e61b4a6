//! The resources, each with its operations, handlers and documents in one file.

mod audit;
mod clients;
mod groups;
mod initial_tokens;
mod issuers;
mod keys;
mod logouts;
mod mail;
mod mappers;
mod me;
mod merging;
mod roles;
mod second_factors;
pub(crate) mod secrets;
mod service_accounts;
mod sessions;
mod sharing;
mod tenants;
mod transfers;
mod users;
mod webhooks;

use crate::operation::Table;
use crate::refused::Refused;
use keyreeve_identity::{MembershipKind, Party};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Every operation.
pub(crate) fn table() -> Table {
    [
        groups::table(),
        roles::table(),
        service_accounts::table(),
        sessions::table(),
        mail::table(),
        second_factors::table(),
        merging::table(),
        clients::table(),
        mappers::table(),
        logouts::table(),
        initial_tokens::table(),
        issuers::table(),
        keys::table(),
        tenants::table(),
        transfers::table(),
        audit::table(),
        webhooks::table(),
        sharing::table(),
        secrets::table(),
        me::table(),
    ]
    .into_iter()
    .fold(users::table(), Table::merge)
}

/// What can be a member of a group and hold a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PartyKind {
    User,
    ServiceAccount,
    Group,
}

/// A user, a service account or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartyRef {
    /// What it is.
    pub(crate) kind: PartyKind,
    /// Its identifier.
    pub(crate) id: Uuid,
}

impl From<Party> for PartyRef {
    fn from(party: Party) -> Self {
        let kind = match party {
            Party::User(_) => PartyKind::User,
            Party::Service(_) => PartyKind::ServiceAccount,
            Party::Group(_) => PartyKind::Group,
        };
        Self { kind, id: party.uuid() }
    }
}

impl From<PartyRef> for Party {
    fn from(party: PartyRef) -> Self {
        party.kind.party(party.id)
    }
}

impl PartyKind {
    /// The kind in a path.
    pub(crate) fn of(text: &str) -> Result<Self, Refused> {
        match text {
            "user" => Ok(Self::User),
            "service_account" => Ok(Self::ServiceAccount),
            "group" => Ok(Self::Group),
            _ => Err(Refused::parameter("kind", "must be user, service_account or group")),
        }
    }

    pub(crate) fn party(self, id: Uuid) -> Party {
        match self {
            Self::User => Party::User(keyreeve_base::UserId::from_uuid(id)),
            Self::ServiceAccount => Party::Service(keyreeve_base::ServiceAccountId::from_uuid(id)),
            Self::Group => Party::Group(keyreeve_base::GroupId::from_uuid(id)),
        }
    }
}

/// What a member may do in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Kind {
    /// Belongs to it.
    Member,
    /// Administers it and what is nested below it.
    Admin,
    /// The same, and decides who its owners are and whether it goes on.
    Owner,
}

impl From<MembershipKind> for Kind {
    fn from(kind: MembershipKind) -> Self {
        match kind {
            MembershipKind::Member => Self::Member,
            MembershipKind::Admin => Self::Admin,
            MembershipKind::Owner => Self::Owner,
        }
    }
}

impl From<Kind> for MembershipKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Member => Self::Member,
            Kind::Admin => Self::Admin,
            Kind::Owner => Self::Owner,
        }
    }
}
