//! Groups.

use super::members::{self, Budget, Plan};
use super::{About, Shown, attempts, contended, settled};
use crate::call::{Call, Versions};
use crate::document::{Document, Selection, read};
use crate::error::ScimError;
use crate::group;
use crate::patch::{self, Change, Operation};
use crate::schema::Resource;
use keyreeve_base::GroupId;
use keyreeve_identity::{Error as IdentityError, Group, GroupRevision, MemberChange, NewGroup};
use serde_json::Value;
use std::sync::Arc;

/// A group that the caller may see and change, which is one thing.
///
/// # Errors
/// 404 for every other.
async fn seen(call: &Call, id: &str) -> Result<Arc<Group>, ScimError> {
    let id: GroupId = id.parse().map_err(|_| ScimError::not_found())?;
    let found = call.identity().groups().by_id(call.tenant(), id).await?;
    let group = found.ok_or_else(ScimError::not_found)?;
    if call.authority().may_manage_group(id) { Ok(group) } else { Err(ScimError::not_found()) }
}

/// Shows one group; none when the caller has it at one of these versions and nothing else belongs to it.
pub(crate) async fn get(
    call: &Call,
    id: &str,
    selection: &Selection,
    unless: &Versions,
) -> Result<Option<Shown>, ScimError> {
    let group = seen(call, id).await?;
    if !selection.wants("members") && unless.name(group.version) {
        return Ok(None);
    }
    show(call, &group, selection, &mut Budget::default()).await.map(Some)
}

/// Makes a group.
pub(crate) async fn create(call: &Call, body: Value) -> Result<Arc<Group>, ScimError> {
    let mut document = read(Resource::Group, body)?;
    if !call.authority().may_create_group(None) {
        return Err(ScimError::forbidden("you may not make groups here"));
    }
    let mut plan = Plan::default();
    plan.replace(call, document.remove("members").unwrap_or(Value::Null)).await?;
    let new = NewGroup {
        name: group::name(&document),
        attributes: group::attributes(&document, &std::collections::BTreeMap::new()),
        ..NewGroup::default()
    };
    let MemberChange { add, .. } = plan.done();
    let groups = call.identity().groups();
    groups.create_with(call.authority(), new, add, call.cause()).await.map_err(|error| translate(None, error))
}

/// How a group is to change.
enum Edit {
    Replace(Document, MemberChange),
    Patch(Vec<Change>),
}

impl Edit {
    /// The group as it is to be, and how its members change.
    async fn apply(&self, call: &Call, group: &Group) -> Result<(Document, MemberChange), ScimError> {
        let changes = match self {
            Self::Replace(document, members) => return Ok((document.clone(), members.clone())),
            Self::Patch(changes) => changes,
        };
        let (mut document, mut plan) = (group::to_document(group), Plan::default());
        for change in changes {
            let place = patch::locate(Resource::Group, &change.path)?;
            if place.target.attribute.name == "members" {
                plan.apply(call, group, &place, change).await?;
            } else {
                patch::apply_at(Resource::Group, &mut document, change.clone())?;
            }
        }
        crate::document::check_required(Resource::Group, &document)?;
        Ok((document, plan.done()))
    }
}

/// Replaces a group by what the body says; without `members`, it has none.
pub(crate) async fn replace(
    call: &Call,
    id: &str,
    versions: &Versions,
    body: Value,
) -> Result<Arc<Group>, ScimError> {
    let mut document = read(Resource::Group, body)?;
    // Whoever may not see the group learns nothing of whom it might have.
    seen(call, id).await?;
    let mut plan = Plan::default();
    plan.replace(call, document.remove("members").unwrap_or(Value::Null)).await?;
    change(call, id, versions, Edit::Replace(document, plan.done())).await
}

/// Applies operations to a group.
pub(crate) async fn patch(
    call: &Call,
    id: &str,
    versions: &Versions,
    operations: &[Operation],
) -> Result<Arc<Group>, ScimError> {
    let mut changes = Vec::new();
    for operation in operations {
        changes.extend(patch::expand(operation.clone())?);
    }
    change(call, id, versions, Edit::Patch(changes)).await
}

async fn change(call: &Call, id: &str, versions: &Versions, edit: Edit) -> Result<Arc<Group>, ScimError> {
    let held = *versions != Versions::None;
    for _ in attempts(held) {
        let group = seen(call, id).await?;
        versions.demand(group.version)?;
        let (document, members) = edit.apply(call, &group).await?;
        let revision = GroupRevision { group: group::change(&document, &group), members };
        let (of, version) = ((call.authority(), group.id), Some(group.version));
        let done = call.identity().groups().revise(of, revision, version, call.cause()).await;
        if let Some(done) = settled(held, done) {
            return done.map_err(|error| translate(Some(group.id), error));
        }
    }
    Err(contended())
}

/// Whoever is to be a member and is not there, or not to be seen, is a wrong value; only the group itself can be missing.
fn translate(group: Option<GroupId>, error: IdentityError) -> ScimError {
    match error {
        IdentityError::NotFound("group") if group.is_some() => ScimError::not_found(),
        IdentityError::NotFound(_) => members::unknown(),
        other => other.into(),
    }
}

/// Removes a group.
pub(crate) async fn delete(call: &Call, id: &str, versions: &Versions) -> Result<(), ScimError> {
    let group = seen(call, id).await?;
    if !call.authority().may_delete_group(group.id) {
        return Err(ScimError::forbidden("only the group's owners may remove it"));
    }
    versions.demand(group.version)?;
    let version = (*versions != Versions::None).then_some(group.version);
    Ok(call.identity().groups().delete((call.tenant(), group.id), version, call.cause()).await?)
}

/// Shows a group, with its members where they are asked for.
pub(crate) async fn show(
    call: &Call,
    group: &Group,
    selection: &Selection,
    budget: &mut Budget,
) -> Result<Shown, ScimError> {
    let mut document = group::to_document(group);
    if selection.wants("members") {
        let named = selection.asks_for(None, "members", "display");
        let members = members::list(call, group.id, named, budget).await?;
        if !members.is_empty() {
            document.insert("members".to_owned(), Value::Array(members));
        }
    }
    let about = About {
        kind: Resource::Group,
        id: group.id.to_string(),
        created: group.created_at,
        changed: group.updated_at,
        version: group.version,
    };
    Ok(about.show(call, document, selection))
}
