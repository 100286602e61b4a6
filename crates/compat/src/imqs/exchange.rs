//! Groups and who is in them, taken out of one server and into another.

use super::call::Call;
use super::catalogue::Entry;
use super::failure::Failure;
use super::groups::By;
use super::reply::{Answer, Reply};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Export {
    groups: Vec<ExportedGroup>,
    users: Vec<ExportedUser>,
    overwrite_groups: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExportedGroup {
    #[serde(rename = "ID")]
    id: i64,
    name: String,
    #[serde(default)]
    perm_list: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExportedUser {
    /// `email: …` or `username: …`.
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    groups: Vec<i64>,
}

/// Permissions as the original keeps them: big-endian numbers of sixteen bits, in base64.
pub(super) fn pack(permissions: &[u16]) -> String {
    STANDARD.encode(permissions.iter().flat_map(|permission| permission.to_be_bytes()).collect::<Vec<u8>>())
}

/// What [`pack`] wrote, or the original.
pub(super) fn unpack(text: &str) -> Option<Vec<u16>> {
    let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() % 2 == 0)?;
    Some(bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok()).map(u16::from_be_bytes).collect())
}

/// A permit as the original keeps it: big-endian numbers of 32 bits, in base64.
pub(super) fn unpack_permit(text: &str) -> Option<Vec<i64>> {
    let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() % 4 == 0)?;
    let numbers = bytes.chunks_exact(4).filter_map(|four| four.try_into().ok()).map(u32::from_be_bytes);
    Some(numbers.map(i64::from).collect())
}

pub(super) async fn export(call: Call) -> Answer {
    let (imqs, tenant) = (&call.imqs, call.tenant().await?);
    let failed = |failure: Failure| failure.reply(500);
    let groups = imqs.named(tenant).await.map_err(failed)?;
    let exported = groups.iter().map(|(entry, group)| ExportedGroup {
        id: entry.serial,
        name: group.name.clone(),
        perm_list: pack(&entry.permissions),
    });
    let mut export = Export { groups: exported.collect(), users: Vec::new(), overwrite_groups: true };
    for (user, person) in imqs.everyone(tenant, false).await.map_err(failed)? {
        let held = imqs.groups_of(tenant, &person).await.map_err(failed)?;
        let id = match person.email_of(&user.profile) {
            "" => format!("username: {}", person.username_of(&user.profile)),
            email => format!("email: {email}"),
        };
        export.users.push(ExportedUser { id, groups: held.iter().map(|entry| entry.serial).collect() });
    }
    Ok(Reply::json(&export))
}

pub(super) async fn import(call: Call) -> Answer {
    let (imqs, tenant) = (&call.imqs, call.tenant().await?);
    let failed = |failure: Failure| failure.reply(500);
    let import: Export = serde_json::from_slice(&call.body)
        .map_err(|error| Reply::text(400, format!("Invalid import: {error}")))?;
    // Everything is read before anything is written.
    let mut read = Vec::new();
    for group in &import.groups {
        let wrong = |what: String| Reply::text(400, format!("{what} in group {}", group.name));
        let permissions = unpack(&group.perm_list).ok_or_else(|| wrong("Invalid PermList".to_owned()))?;
        if let Some(bad) = permissions.iter().find(|permission| **permission == 0) {
            return Err(Reply::text(
                400,
                format!("Invalid Permission from import {bad} in group {}", group.name),
            ));
        }
        if group.name.trim() != group.name || group.name.is_empty() || group.name.contains(',') {
            return Err(wrong("Invalid name".to_owned()));
        }
        read.push((group, permissions));
    }
    let mut by_number: HashMap<i64, Entry> = HashMap::new();
    for (group, permissions) in read {
        let entry = match imqs.group(tenant, &group.name).await.map_err(failed)? {
            Some(entry) => {
                if import.overwrite_groups && *entry.permissions != *permissions {
                    let detail = json!({"group": group.name, "permissions": permissions, "by": "import"});
                    let audit = (detail, &call.cause());
                    imqs.set_permissions(tenant, entry.group, permissions, audit).await.map_err(failed)?;
                }
                Some(entry)
            }
            None => {
                imqs.make_group(tenant, (&group.name, &permissions), &call.cause()).await.map_err(failed)?
            }
        };
        let taken = || Reply::text(400, format!("A group with that name already exists: {}", group.name));
        by_number.insert(group.id, entry.ok_or_else(taken)?);
    }
    for user in &import.users {
        let identity = user.id.split_once(':').map_or(user.id.as_str(), |(_, identity)| identity).trim();
        let Some((found, person)) = imqs.resolve(tenant, identity).await.map_err(failed)? else { continue };
        // Nobody's word about who administers the tenant is taken from a file.
        if call.may_touch(tenant, found.id).await.is_err() {
            continue;
        }
        let mut wanted = imqs.groups_of(tenant, &person).await.map_err(failed)?;
        for entry in user.groups.iter().filter_map(|number| by_number.get(number)) {
            // Roles of the server are not a service's to give.
            if wanted.iter().all(|known| known.group != entry.group)
                && !imqs.gives_roles(tenant, entry.group).await.map_err(failed)?
            {
                wanted.push(entry.clone());
            }
        }
        imqs.assign(
            tenant,
            (&found, &person),
            &wanted,
            By { serial: call.serial(), cause: &call.cause(), tells: true },
        )
        .await
        .map_err(failed)?;
    }
    Ok(Reply::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_packed_as_the_original_does() {
        assert_eq!((pack(&[1]), pack(&[])), ("AAE=".to_owned(), String::new()));
        assert_eq!(unpack(&pack(&[1, 999, 65_535])), Some(vec![1, 999, 65_535]));
        assert_eq!(unpack_permit("AAAAAQAAAAI="), Some(vec![1, 2]));
        assert_eq!((unpack("AA=="), unpack("%"), unpack_permit("AAE=")), (None, None, None));
    }
}
