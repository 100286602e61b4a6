//! Users.

use super::{About, Shown, attempts, contended, settled};
use crate::call::{Call, Versions};
use crate::document::{Document, Selection, read};
use crate::error::ScimError;
use crate::patch::{self, Operation};
use crate::schema::{ENTERPRISE_URN, Resource};
use crate::user;
use futures_util::future::try_join;
use keyreeve_base::UserId;
use keyreeve_identity::{Credential, NewUser, Party, Revision, Standing, StateChange, Subject, User};
use serde_json::{Value, json};
use std::sync::Arc;

/// A user whom the caller may see, and how the user stands to the caller.
///
/// # Errors
/// 404 for everyone else.
async fn seen(call: &Call, id: &str) -> Result<(Arc<User>, Option<Standing>), ScimError> {
    let id: UserId = id.parse().map_err(|_| ScimError::not_found())?;
    let found = call.identity().users().by_id(call.tenant(), id).await?;
    let user = found.filter(|user| user.archived_at.is_none()).ok_or_else(ScimError::not_found)?;
    if call.authority().may_manage_tenant() {
        return Ok((user, None));
    }
    let standing = call.identity().standing_of(call.tenant(), Subject::User(id)).await?;
    if call.authority().may_see(&standing) { Ok((user, Some(standing))) } else { Err(ScimError::not_found()) }
}

/// A user whom the caller may change.
async fn managed(call: &Call, id: &str) -> Result<Arc<User>, ScimError> {
    let (user, standing) = seen(call, id).await?;
    match standing {
        Some(standing) if !call.authority().may_manage_user(&standing) => {
            Err(ScimError::forbidden("you may see this user, not change them"))
        }
        _ => Ok(user),
    }
}

/// Shows one user; none when the caller has it at one of these versions and nothing else belongs to it.
pub(crate) async fn get(
    call: &Call,
    id: &str,
    selection: &Selection,
    unless: &Versions,
) -> Result<Option<Shown>, ScimError> {
    let (user, _) = seen(call, id).await?;
    let only_its_own = !selection.wants("groups") && !selection.wants("roles");
    if only_its_own && unless.name(user.version) {
        return Ok(None);
    }
    show(call, &user, selection).await.map(Some)
}

/// Makes a user.
pub(crate) async fn create(call: &Call, body: Value) -> Result<Arc<User>, ScimError> {
    let mut document = read(Resource::User, body)?;
    if !call.authority().may_create_user(None) {
        return Err(ScimError::forbidden("you may not make users here"));
    }
    let credential = user::take_password(&mut document).map_or(Credential::None, Credential::Password);
    let enabled = document.get("active").and_then(Value::as_bool).unwrap_or(true);
    let new = NewUser { profile: user::new_profile(&document)?, credential, enabled, ..NewUser::default() };
    Ok(call.identity().users().create(call.tenant(), new, call.cause()).await?)
}

/// How a user is to change.
enum Edit<'o> {
    Replace(Document),
    Patch(&'o [Operation]),
}

impl Edit<'_> {
    /// The user as they are to be. What a replacement does not say of `active` stays.
    fn apply(&self, former: &Document) -> Result<Document, ScimError> {
        match self {
            Self::Replace(document) => {
                let mut document = document.clone();
                if let (false, Some(active)) = (document.contains_key("active"), former.get("active")) {
                    document.insert("active".to_owned(), active.clone());
                }
                Ok(document)
            }
            Self::Patch(operations) => {
                let mut document = former.clone();
                patch::apply(Resource::User, &mut document, operations.to_vec())?;
                Ok(document)
            }
        }
    }
}

/// Replaces a user by what the body says (RFC 7644 section 3.5.1).
pub(crate) async fn replace(
    call: &Call,
    id: &str,
    versions: &Versions,
    body: Value,
) -> Result<Arc<User>, ScimError> {
    change(call, id, versions, Edit::Replace(read(Resource::User, body)?)).await
}

/// Applies operations to a user.
pub(crate) async fn patch(
    call: &Call,
    id: &str,
    versions: &Versions,
    operations: &[Operation],
) -> Result<Arc<User>, ScimError> {
    change(call, id, versions, Edit::Patch(operations)).await
}

async fn change(call: &Call, id: &str, versions: &Versions, edit: Edit<'_>) -> Result<Arc<User>, ScimError> {
    let held = *versions != Versions::None;
    for _ in attempts(held) {
        let user = managed(call, id).await?;
        versions.demand(user.version)?;
        let mut document = edit.apply(&user::to_document(&user))?;
        let password = user::take_password(&mut document);
        let change = user::change(&document, &user)?;
        let revision = Revision { profile: change.profile, enabled: change.enabled, password };
        let whom = (call.tenant(), user.id);
        let done = call.identity().users().revise(whom, revision, Some(user.version), call.cause()).await;
        if let Some(done) = settled(held, done) {
            return Ok(done?);
        }
    }
    Err(contended())
}

/// Archives a user.
pub(crate) async fn delete(call: &Call, id: &str, versions: &Versions) -> Result<(), ScimError> {
    let user = managed(call, id).await?;
    versions.demand(user.version)?;
    let version = (*versions != Versions::None).then_some(user.version);
    let whom = (call.tenant(), user.id);
    call.identity().users().change_state(whom, StateChange::Archive, version, call.cause()).await?;
    Ok(())
}

/// Shows a user, with as much of what others keep as is asked for.
pub(crate) async fn show(call: &Call, user: &User, selection: &Selection) -> Result<Shown, ScimError> {
    let mut document = user::to_document(user);
    let (groups, roles) = try_join(
        async { if selection.wants("groups") { groups_of(call, user.id).await } else { Ok(Vec::new()) } },
        async { if selection.wants("roles") { roles_of(call, user.id).await } else { Ok(Vec::new()) } },
    )
    .await?;
    for (name, values) in [("groups", groups), ("roles", roles)] {
        if !values.is_empty() {
            document.insert(name.to_owned(), Value::Array(values));
        }
    }
    let asks_for_name = selection.asks_for(Some(ENTERPRISE_URN), "manager", "displayName");
    if let Some(manager) = document.get_mut(ENTERPRISE_URN).and_then(|members| members.get_mut("manager")) {
        complete_manager(call, manager, asks_for_name).await?;
    }
    let about = About {
        kind: Resource::User,
        id: user.id.to_string(),
        created: user.created_at,
        changed: user.updated_at,
        version: user.version,
    };
    Ok(about.show(call, document, selection))
}

/// The groups of a user, as far as the caller may know of them.
async fn groups_of(call: &Call, id: UserId) -> Result<Vec<Value>, ScimError> {
    let (groups, tenant, party) = (call.identity().groups(), call.tenant(), Party::User(id));
    let (direct, all) = try_join(groups.direct_of(tenant, party), groups.of_party(tenant, party)).await?;
    let own = call.user() == Some(id);
    let mut values = Vec::new();
    for group in all.iter().filter(|group| own || call.authority().may_manage_group(**group)) {
        // One that is gone by now is none of the user's.
        if let Some(found) = groups.by_id(tenant, *group).await? {
            let is_direct = direct.iter().any(|(direct, _)| direct == group);
            values.push(json!({
                "value": group.to_string(),
                "$ref": call.location(Resource::Group, group),
                "display": found.name,
                "type": if is_direct { "direct" } else { "indirect" },
            }));
        }
    }
    Ok(values)
}

/// The tenant's roles that a user has.
async fn roles_of(call: &Call, id: UserId) -> Result<Vec<Value>, ScimError> {
    let roles = call.identity().roles().effective(call.tenant(), Subject::User(id)).await?;
    Ok(roles.of_tenant().map(|name| json!({"value": name, "display": name})).collect())
}

/// Adds where a manager's resource lies and, where asked for, the name.
async fn complete_manager(call: &Call, manager: &mut Value, with_name: bool) -> Result<(), ScimError> {
    let Some(id) = manager.get("value").and_then(Value::as_str).map(str::to_owned) else { return Ok(()) };
    if id.parse::<UserId>().is_err() {
        return Ok(());
    }
    let name = match with_name {
        // Whom the caller may not see has no name either.
        true => seen(call, &id).await.ok().map(|(user, _)| user.greeting()),
        false => None,
    };
    if let Some(members) = manager.as_object_mut() {
        members.insert("$ref".to_owned(), call.location(Resource::User, &id).into());
        members.extend(name.map(|name| ("displayName".to_owned(), name.into())));
    }
    Ok(())
}
