//! Roles of the realm and of its clients, and who has them. Composite roles are given together with all that they are
//! composed of.

use super::shape::{Realm, Role};
use super::text;
use crate::convert::{Sink, note};
use crate::record::{PartyName, Record, RoleHolderRecord, RoleRecord, Word};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Roles by which Keycloak itself steers.
const INTERNAL_ROLES: [&str; 2] = ["offline_access", "uma_authorization"];

/// A role: the client that it is of, and its name.
type RoleKey = (Option<String>, String);

/// The roles of an export.
pub(super) struct Roles {
    /// What each role is composed of directly.
    parts: BTreeMap<RoleKey, BTreeSet<RoleKey>>,
    /// The roles that are carried over.
    kept: BTreeSet<RoleKey>,
    /// The name of the role that every user has.
    default: String,
}

impl Roles {
    /// The roles of the realm and of the clients in `clients`.
    pub(super) fn new(realm: &Realm, name: &str, clients: &[String]) -> Self {
        let default = format!("default-roles-{}", name.to_lowercase());
        let (mut parts, mut kept) = (BTreeMap::new(), BTreeSet::new());
        let all = realm.roles.realm.iter().map(|role| (None, role));
        let of_clients = realm.roles.client.iter();
        let of_clients =
            of_clients.flat_map(|(client, roles)| roles.iter().map(move |role| (Some(client.clone()), role)));
        for (client, role) in all.chain(of_clients) {
            let carried = match &client {
                None => role.name != default && !INTERNAL_ROLES.contains(&role.name.as_str()),
                Some(client) => clients.contains(client),
            };
            let key = (client, role.name.clone());
            if carried {
                kept.insert(key.clone());
            }
            parts.insert(key, components(role));
        }
        Self { parts, kept, default }
    }

    /// Writes the roles that are carried over.
    pub(super) fn write(&self, realm: &Realm, sink: &mut dyn Sink) -> io::Result<()> {
        for (client, roles) in std::iter::once((None, &realm.roles.realm))
            .chain(realm.roles.client.iter().map(|(client, roles)| (Some(client), roles)))
        {
            for role in roles {
                if !self.kept.contains(&(client.cloned(), role.name.clone())) {
                    continue;
                }
                let about = format!("role {}", shown(client.map(String::as_str), &role.name));
                if self
                    .parts
                    .get(&(client.cloned(), role.name.clone()))
                    .is_some_and(|parts| !parts.is_empty())
                {
                    note(
                        sink,
                        &about,
                        "a composite role; who has it is given its parts, once and for all",
                        "",
                    )?;
                }
                if role.attributes.as_ref().is_some_and(|attributes| !attributes.is_empty()) {
                    note(sink, &about, "attributes of a role", "")?;
                }
                sink.record(Record::Role(RoleRecord {
                    id: role.id.as_deref().and_then(|id| id.parse().ok()),
                    name: Some(role.name.clone()),
                    application: client.cloned(),
                    description: text(role.description.as_ref().filter(|text| !text.starts_with("${"))),
                    ..RoleRecord::default()
                }))?;
            }
        }
        Ok(())
    }

    /// Gives roles, with all that they are composed of.
    pub(super) fn give(
        &self,
        realm_roles: &[String],
        client_roles: &BTreeMap<String, Vec<String>>,
        (about, holder): (&str, &PartyName),
        sink: &mut dyn Sink,
    ) -> io::Result<()> {
        let of_clients = client_roles.iter();
        let of_clients = of_clients
            .flat_map(|(client, names)| names.iter().map(move |name| (Some(client.clone()), name.clone())));
        let mut open: Vec<RoleKey> =
            realm_roles.iter().map(|name| (None, name.clone())).chain(of_clients).collect();
        let mut all = BTreeSet::new();
        for key in &open {
            let known = self.kept.contains(key) || (key.0.is_none() && self.is_internal(&key.1));
            if !known {
                note(sink, about, "a role that is not carried over", shown(key.0.as_deref(), &key.1))?;
            }
        }
        while let Some(key) = open.pop() {
            if !all.contains(&key) {
                open.extend(self.parts.get(&key).into_iter().flatten().cloned());
                all.insert(key);
            }
        }
        for (application, name) in all.intersection(&self.kept) {
            sink.record(Record::RoleHolder(RoleHolderRecord {
                kind_word: Word,
                role: Some(name.clone()),
                application: application.clone(),
                role_id: None,
                holder: holder.clone(),
                given_at: None,
            }))?;
        }
        Ok(())
    }

    fn is_internal(&self, name: &str) -> bool {
        name == self.default || INTERNAL_ROLES.contains(&name)
    }
}

fn components(role: &Role) -> BTreeSet<RoleKey> {
    let composites = &role.composites;
    let of_clients = composites.client.iter();
    let of_clients = of_clients
        .flat_map(|(client, names)| names.iter().map(move |name| (Some(client.clone()), name.clone())));
    composites.realm.iter().map(|name| (None, name.clone())).chain(of_clients).collect()
}

fn shown(client: Option<&str>, name: &str) -> String {
    client.map_or_else(|| name.to_owned(), |client| format!("{name} of {client}"))
}
