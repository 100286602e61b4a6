//! How rows name groups and parties, and who those are.

use super::users::by_name;
use super::{How, Problem, Seen, SeenKey};
use crate::directory::Party;
use crate::directory::name::Name;
use crate::{Error, schema};
use keyreeve_base::{CanonicalName, GroupId, ServiceAccountId, UserId};
use keyreeve_store::{Tx, params};
use std::collections::HashMap;
use uuid::Uuid;

/// A group by its identifier or its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GroupRef {
    /// By its identifier.
    Id(GroupId),
    /// By its name, in any spelling.
    Name(String),
}

/// A party by its identifier, or by its kind and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PartyRef {
    /// By its identifier.
    Id(Party),
    /// A user by username or e-mail address.
    User(String),
    /// A group by its name.
    Group(String),
    /// A service account by its name.
    Service(String),
}

impl PartyRef {
    pub(super) const fn is_group(&self) -> bool {
        matches!(self, Self::Id(Party::Group(_)) | Self::Group(_))
    }

    /// What is looked up.
    #[must_use]
    pub fn seen_key(&self) -> SeenKey {
        match self {
            Self::Id(Party::User(id)) => SeenKey::new("user-id", &id.to_string()),
            Self::Id(Party::Group(id)) => SeenKey::new("group-id", &id.to_string()),
            Self::Id(Party::Service(id)) => SeenKey::new("service-id", &id.to_string()),
            Self::User(name) => by_name(CanonicalName::parse(name).as_ref().map_or("", |name| name.as_str())),
            Self::Group(name) => group_by_name(&Name::canonical(name).unwrap_or_default()),
            Self::Service(name) => SeenKey::new("service", &Name::canonical(name).unwrap_or_default()),
        }
    }
}

impl From<GroupRef> for PartyRef {
    fn from(group: GroupRef) -> Self {
        match group {
            GroupRef::Id(id) => Self::Id(Party::Group(id)),
            GroupRef::Name(name) => Self::Group(name),
        }
    }
}

pub(super) fn group_by_name(canonical: &str) -> SeenKey {
    SeenKey::new("group", canonical)
}

/// The parties that some rows name.
#[derive(Default)]
pub(super) struct Parties(HashMap<PartyRef, Party>);

impl Parties {
    /// The party of this reference.
    pub(super) fn get(&self, field: &str, name: &PartyRef) -> Result<Party, Problem> {
        self.0.get(name).copied().ok_or_else(|| {
            let what = match name {
                PartyRef::Id(Party::User(_)) | PartyRef::User(_) => "user",
                PartyRef::Id(Party::Group(_)) | PartyRef::Group(_) => "group",
                PartyRef::Id(Party::Service(_)) | PartyRef::Service(_) => "service account",
            };
            Problem::new(field, format!("names a {what} that does not exist"))
        })
    }

    /// Looks up all that `names` name, users held until the transaction ends.
    pub(super) async fn find<'n>(
        tx: &mut Tx<'_>,
        names: impl Iterator<Item = &'n PartyRef>,
        how: &How,
        seen: &Seen,
    ) -> Result<Self, Error> {
        let mut wanted: Wanted<'_> = Wanted::default();
        let mut parties = Self::default();
        for name in names {
            if parties.0.contains_key(name) || !wanted.all.insert(name) {
                continue;
            }
            match seen.get(name.seen_key()) {
                Some(id) => parties.imagine(name, id),
                None => wanted.add(name),
            }
        }
        let tenant = how.tenant;
        for (statement, rows) in [
            (&schema::HOLD_BY_IDENTIFIER, &wanted.users),
            (&schema::GROUP_ID_BY_NAME, &wanted.groups),
            (&schema::SERVICE_BY_NAME, &wanted.services),
        ] {
            let keys: Vec<_> = rows.iter().map(|(_, canonical)| params![tenant, *canonical]).collect();
            let found = tx.query_each(statement, &keys, |row| row.get::<Uuid>(0)).await?;
            for ((name, _), id) in rows.iter().zip(found) {
                if let Some(id) = id {
                    parties.imagine(name, id);
                }
            }
        }
        for (statement, rows) in [
            (&schema::HOLD_USER_ID, &wanted.user_ids),
            (&schema::GROUP_ID_BY_ID, &wanted.group_ids),
            (&schema::SERVICE_ID_BY_ID, &wanted.service_ids),
        ] {
            let keys: Vec<_> = rows.iter().map(|(_, id)| params![tenant, *id]).collect();
            let found = tx.query_each(statement, &keys, |row| row.get::<Uuid>(0)).await?;
            for ((name, _), id) in rows.iter().zip(found) {
                if let Some(id) = id {
                    parties.imagine(name, id);
                }
            }
        }
        Ok(parties)
    }

    fn imagine(&mut self, name: &PartyRef, id: Uuid) {
        let party = match name {
            PartyRef::Id(Party::User(_)) | PartyRef::User(_) => Party::User(UserId::from_uuid(id)),
            PartyRef::Id(Party::Group(_)) | PartyRef::Group(_) => Party::Group(GroupId::from_uuid(id)),
            PartyRef::Id(Party::Service(_)) | PartyRef::Service(_) => {
                Party::Service(ServiceAccountId::from_uuid(id))
            }
        };
        self.0.insert(name.clone(), party);
    }
}

/// What is to be looked up, by the statement that does it.
#[derive(Default)]
struct Wanted<'n> {
    all: std::collections::HashSet<&'n PartyRef>,
    users: Vec<(&'n PartyRef, String)>,
    groups: Vec<(&'n PartyRef, String)>,
    services: Vec<(&'n PartyRef, String)>,
    user_ids: Vec<(&'n PartyRef, Uuid)>,
    group_ids: Vec<(&'n PartyRef, Uuid)>,
    service_ids: Vec<(&'n PartyRef, Uuid)>,
}

impl<'n> Wanted<'n> {
    fn add(&mut self, name: &'n PartyRef) {
        match name {
            PartyRef::User(text) => {
                self.users
                    .extend(CanonicalName::parse(text).ok().map(|text| (name, text.as_str().to_owned())));
            }
            PartyRef::Group(text) => self.groups.extend(Name::canonical(text).map(|text| (name, text))),
            PartyRef::Service(text) => self.services.extend(Name::canonical(text).map(|text| (name, text))),
            PartyRef::Id(Party::User(id)) => self.user_ids.push((name, id.uuid())),
            PartyRef::Id(Party::Group(id)) => self.group_ids.push((name, id.uuid())),
            PartyRef::Id(Party::Service(id)) => self.service_ids.push((name, id.uuid())),
        }
    }
}
