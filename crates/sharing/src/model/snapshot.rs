//! One tenant's types and permissions, as they are looked up.

use super::{OWNER, Permission, ResourceType};
use crate::{Error, schema};
use keyreeve_base::TenantId;
use keyreeve_store::{Tx, params};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A tenant's model.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// In the order of their identifiers.
    types: Vec<Arc<TypeEntry>>,
    by_id: HashMap<String, Arc<TypeEntry>>,
    by_key: HashMap<i64, Arc<TypeEntry>>,
    common: Vec<Permission>,
    /// The number of each permission's name, by the permission's key.
    names: HashMap<i64, u32>,
}

/// A type with its permissions.
#[derive(Debug)]
pub(crate) struct TypeEntry {
    pub(crate) of: ResourceType,
    pub(crate) permissions: Vec<Permission>,
    /// By a permission's identifier, of those that resources of this type have.
    known: HashMap<String, Known>,
    /// The names of which one lets its holder share.
    sharing: Box<[u32]>,
    /// Every name that means something here.
    all: Box<[u32]>,
}

#[derive(Debug)]
struct Known {
    key: i64,
    /// The names whose holders have this permission.
    by: Box<[u32]>,
}

impl TypeEntry {
    /// The names by which somebody has this permission: none of them for [`OWNER`]; `None` for what the type does not have.
    pub(crate) fn satisfying(&self, permission: &str) -> Option<&[u32]> {
        match self.known.get(permission) {
            Some(known) => Some(&known.by),
            None if permission == OWNER => Some(&[]),
            None => None,
        }
    }

    /// The key under which a permission is granted on resources of this type.
    pub(crate) fn key_of(&self, permission: &str) -> Option<i64> {
        self.known.get(permission).map(|known| known.key)
    }

    pub(crate) fn sharing(&self) -> &[u32] {
        &self.sharing
    }

    pub(crate) fn all(&self) -> &[u32] {
        &self.all
    }
}

impl Model {
    pub(crate) fn types(&self) -> &[Arc<TypeEntry>] {
        &self.types
    }

    pub(crate) fn type_of(&self, id: &str) -> Option<&Arc<TypeEntry>> {
        self.by_id.get(id)
    }

    pub(crate) fn type_by_key(&self, key: i64) -> Option<&Arc<TypeEntry>> {
        self.by_key.get(&key)
    }

    pub(crate) fn common(&self) -> &[Permission] {
        &self.common
    }

    /// The number of the name of the permission with this key; none when it was removed.
    pub(crate) fn name_of(&self, permission_key: i64) -> Option<u32> {
        self.names.get(&permission_key).copied()
    }

    /// The permission with this key.
    pub(crate) fn permission_by_key(&self, key: i64) -> Option<&Permission> {
        let own = self.types.iter().flat_map(|entry| &entry.permissions);
        own.chain(&self.common).find(|permission| permission.key == key)
    }

    /// A permission that one type has of its own, or all have.
    pub(crate) fn permission(&self, of: Option<&str>, id: &str) -> Option<&Permission> {
        let list = match of {
            Some(of) => &self.by_id.get(of)?.permissions,
            None => &self.common,
        };
        list.iter().find(|permission| permission.id == id)
    }

    fn build(types: Vec<ResourceType>, permissions: Vec<(Option<i64>, Permission)>) -> Self {
        let mut numbers: HashMap<String, u32> = HashMap::new();
        let mut names = HashMap::new();
        for (_, permission) in &permissions {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            let number = *numbers.entry(permission.id.clone()).or_insert(next);
            names.insert(permission.key, number);
        }
        let mut own: HashMap<i64, Vec<Permission>> = HashMap::new();
        let mut common = Vec::new();
        for (of, permission) in permissions {
            match of {
                Some(of) => own.entry(of).or_default().push(permission),
                None => common.push(permission),
            }
        }
        let types: Vec<_> = types
            .into_iter()
            .map(|of| {
                let permissions = own.remove(&of.key).unwrap_or_default();
                Arc::new(entry(of, permissions, &common, &numbers))
            })
            .collect();
        Self {
            by_id: types.iter().map(|entry| (entry.of.id.clone(), Arc::clone(entry))).collect(),
            by_key: types.iter().map(|entry| (entry.of.key, Arc::clone(entry))).collect(),
            types,
            common,
            names,
        }
    }
}

fn entry(
    of: ResourceType,
    permissions: Vec<Permission>,
    common: &[Permission],
    numbers: &HashMap<String, u32>,
) -> TypeEntry {
    let all: Vec<&Permission> = permissions.iter().chain(common).collect();
    let implies: HashMap<&str, Vec<&str>> = all
        .iter()
        .map(|permission| (permission.id.as_str(), permission.implies.iter().map(String::as_str).collect()))
        .collect();
    let number = |name: &str| numbers.get(name).copied();
    let mut known: HashMap<String, (i64, Vec<u32>)> =
        all.iter().map(|permission| (permission.id.clone(), (permission.key, Vec::new()))).collect();
    let mut sharing = Vec::new();
    for permission in &all {
        let Some(own) = number(&permission.id) else { continue };
        let closure = closure(&permission.id, &implies);
        if all.iter().any(|other| other.shares && closure.contains(other.id.as_str())) {
            sharing.push(own);
        }
        for implied in closure {
            if let Some((_, by)) = known.get_mut(implied) {
                by.push(own);
            }
        }
    }
    let known = known
        .into_iter()
        .map(|(id, (key, mut by))| {
            by.sort_unstable();
            (id, Known { key, by: by.into() })
        })
        .collect();
    let mut names: Vec<u32> = all.iter().filter_map(|permission| number(&permission.id)).collect();
    names.sort_unstable();
    sharing.sort_unstable();
    TypeEntry { of, permissions, known, sharing: sharing.into(), all: names.into() }
}

/// A permission and all that it implies. Each is visited once, so that a circle, which no write makes, would do no harm.
pub(super) fn closure<'a>(start: &'a str, implies: &HashMap<&'a str, Vec<&'a str>>) -> HashSet<&'a str> {
    let mut seen = HashSet::from([start]);
    let mut open = vec![start];
    while let Some(name) = open.pop() {
        for next in implies.get(name).map(Vec::as_slice).unwrap_or_default() {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen
}

/// Reads a tenant's model.
pub(crate) async fn load(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Model, Error> {
    let types = tx
        .query(&schema::TYPES, &params![tenant], |row| {
            Ok(ResourceType {
                key: row.get(0)?,
                id: row.get(1)?,
                name: row.get(2)?,
                description: row.get(3)?,
                created_at: row.get(4)?,
                updated_at: row.get(5)?,
                version: row.get(6)?,
            })
        })
        .await?;
    let type_ids: HashMap<i64, String> = types.iter().map(|of| (of.key, of.id.clone())).collect();
    let mut permissions = tx
        .query(&schema::PERMISSIONS, &params![tenant], |row| {
            let of: Option<i64> = row.get(1)?;
            Ok((
                of,
                Permission {
                    key: row.get(0)?,
                    resource_type: of.and_then(|key| type_ids.get(&key).cloned()),
                    id: row.get(2)?,
                    name: row.get(3)?,
                    description: row.get(4)?,
                    shares: row.get(5)?,
                    implies: Vec::new(),
                    created_at: row.get(6)?,
                    updated_at: row.get(7)?,
                    version: row.get(8)?,
                },
            ))
        })
        .await?;
    let ids: HashMap<i64, String> =
        permissions.iter().map(|(_, permission)| (permission.key, permission.id.clone())).collect();
    let mut implied: HashMap<i64, Vec<String>> = HashMap::new();
    let pairs = tx
        .query(&schema::IMPLICATIONS, &params![tenant], |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?)))
        .await?;
    for (from, to) in pairs {
        implied.entry(from).or_default().extend(ids.get(&to).cloned());
    }
    for (_, permission) in &mut permissions {
        permission.implies = implied.remove(&permission.key).unwrap_or_default();
        permission.implies.sort_unstable();
    }
    Ok(Model::build(types, permissions))
}
