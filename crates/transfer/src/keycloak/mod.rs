//! Realm exports of Keycloak: the single file, and the directory with `REALM-realm.json` and `REALM-users-N.json`.
//!
//! The realm's clients, roles and groups are read first and held in memory; users are read one at a time, from wherever
//! they stand in the file, which is read a second time for them. What Keycloak knows and Keyreeve does not (composite
//! roles, patterns of redirect URIs, required actions of other kinds) is carried over as closely as is safe, and each case
//! is noted: a composite role is given together with all that it is composed of, a pattern is left out.

mod clients;
mod roles;
mod shape;
mod stream;
mod users;

use crate::convert::{Sink, note};
use crate::record::{GroupRecord, MembershipRecord, PartyName, Record, Word, set};
use keyreeve_identity::{MembershipKind, Patch};
use roles::Roles;
use shape::{Group, Realm};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Clients that every realm of Keycloak has for itself.
const INTERNAL_CLIENTS: [&str; 7] = [
    "account",
    "account-console",
    "admin-cli",
    "broker",
    "realm-management",
    "security-admin-console",
    "admin-permissions",
];
/// How deep groups may be nested in an export; the tenant's own limit is far below.
const MAX_GROUP_DEPTH: usize = 100;

/// The files of an export: the realm's, and those of its users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    realm: PathBuf,
    users: Vec<PathBuf>,
}

impl Export {
    /// The export in a file, or in a directory.
    ///
    /// # Errors
    /// A directory without a realm's file, or with several.
    pub fn open(path: &Path) -> io::Result<Self> {
        if !path.is_dir() {
            return Ok(Self { realm: path.to_owned(), users: vec![path.to_owned()] });
        }
        let mut files: Vec<(String, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            files.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
        files.sort_by_key(|(name, _)| (name.len(), name.clone()));
        let realms: Vec<_> = files.iter().filter(|(name, _)| name.ends_with("-realm.json")).collect();
        let [(name, realm)] = realms.as_slice() else {
            let what =
                format!("there are {} files REALM-realm.json in the directory; one is needed", realms.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        };
        let prefix = format!("{}-users-", name.strip_suffix("-realm.json").unwrap_or_default());
        let users = files.iter().filter(|(name, _)| name.starts_with(&prefix) && name.ends_with(".json"));
        let users = users.map(|(_, path)| path.clone()).collect::<Vec<_>>();
        // With `--users same_file` they are in the realm's.
        let users = if users.is_empty() { vec![realm.clone()] } else { users };
        Ok(Self { realm: realm.clone(), users })
    }
}

/// Reads an export.
///
/// # Errors
/// Those of reading, with the place where a file is not the JSON of an export; those of the sink.
pub fn convert(export: &Export, sink: &mut dyn Sink) -> io::Result<()> {
    let open = |path: &PathBuf| File::open(path).map(|file| BufReader::with_capacity(128 * 1024, file));
    let realm = read_realm(open(&export.realm)?, sink)?;
    for path in &export.users {
        read_users(open(path)?, &realm, sink)?;
    }
    Ok(())
}

/// What users refer to.
struct Known {
    roles: Roles,
    /// The names that groups have here, by their paths.
    groups: BTreeMap<String, String>,
}

fn read_realm(input: impl Read, sink: &mut dyn Sink) -> io::Result<Known> {
    let realm: Realm = stream::realm(input)?;
    let name = realm.realm.clone().unwrap_or_default();
    for other in &realm.others {
        note(sink, &format!("realm {name}"), "settings of the realm", other.clone())?;
    }
    let internal = |client: &str| INTERNAL_CLIENTS.contains(&client) || client.ends_with("-realm");
    let mut kept = Vec::new();
    for client in &realm.clients {
        if !internal(&client.client_id)
            && let Some(record) = clients::convert(client, sink)?
        {
            kept.push(client.client_id.clone());
            sink.record(Record::Client(Box::new(record)))?;
        }
    }
    let roles = Roles::new(&realm, &name, &kept);
    roles.write(&realm, sink)?;
    let mut groups = BTreeMap::new();
    for group in &realm.groups {
        write_group(group, None, &mut groups, sink)?;
    }
    for group in &realm.groups {
        write_group_roles(group, &groups, &roles, sink)?;
    }
    Ok(Known { roles, groups })
}

fn read_users(input: impl Read, known: &Known, sink: &mut dyn Sink) -> io::Result<()> {
    stream::users(input, &mut |user| users::convert(user, known, sink))
}

/// A group, with what is nested in it. It is called by its path: Keycloak lets two groups have one name if they are in
/// different ones.
fn write_group(
    group: &Group,
    parent: Option<(&str, &str, usize)>,
    groups: &mut BTreeMap<String, String>,
    sink: &mut dyn Sink,
) -> io::Result<()> {
    let (path, name, depth) = match parent {
        None => (format!("/{}", escaped(&group.name)), group.name.clone(), 0),
        Some((path, name, depth)) => {
            (format!("{path}/{}", escaped(&group.name)), format!("{name}/{}", group.name), depth + 1)
        }
    };
    if depth > MAX_GROUP_DEPTH {
        return note(sink, &format!("group {name}"), "a group nested too deep", "");
    }
    let attributes = group.attributes.clone().unwrap_or_default();
    sink.record(Record::Group(GroupRecord {
        id: group.id.as_deref().and_then(|id| id.parse().ok()),
        name: Some(name.clone()),
        description: set(group.description.clone().filter(|text| !text.is_empty())),
        attributes: (!attributes.is_empty()).then_some(attributes),
        ..GroupRecord::default()
    }))?;
    if let Some((_, parent, _)) = parent {
        sink.record(membership(parent, PartyName::Group(name.clone())))?;
    }
    groups.insert(path.clone(), name.clone());
    if let Some(given) = &group.path {
        groups.insert(given.clone(), name.clone());
    }
    for nested in &group.sub_groups {
        write_group(nested, Some((&path, &name, depth)), groups, sink)?;
    }
    Ok(())
}

/// The roles of a group and of those nested in it.
fn write_group_roles(
    group: &Group,
    groups: &BTreeMap<String, String>,
    roles: &Roles,
    sink: &mut dyn Sink,
) -> io::Result<()> {
    let mut open = vec![(format!("/{}", escaped(&group.name)), group)];
    while let Some((path, group)) = open.pop() {
        if let Some(name) = groups.get(&path) {
            let about = format!("group {name}");
            let holder = PartyName::Group(name.clone());
            roles.give(&group.realm_roles, &group.client_roles, (&about, &holder), sink)?;
        }
        for nested in &group.sub_groups {
            open.push((format!("{path}/{}", escaped(&nested.name)), nested));
        }
    }
    Ok(())
}

/// A name as it stands in a path: its own slashes are marked.
fn escaped(name: &str) -> String {
    name.replace('/', "~/")
}

fn membership(group: &str, member: PartyName) -> Record {
    Record::Membership(MembershipRecord {
        kind_word: Word,
        group: Some(group.to_owned()),
        group_id: None,
        member,
        kind: MembershipKind::Member,
        added_at: None,
    })
}

/// A text that is not empty.
fn text(value: Option<&String>) -> Patch<String> {
    set(value.filter(|text| !text.trim().is_empty()).cloned())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
