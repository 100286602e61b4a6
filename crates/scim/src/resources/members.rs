//! Who is in a group: shown, and changed by operations. Service accounts are no SCIM resources: they are neither shown here
//! nor touched.

use crate::call::Call;
use crate::document::value;
use crate::error::{ScimError, ScimType};
use crate::limits::{MAX_MEMBERS_CHANGED, MAX_MEMBERS_SHOWN};
use crate::patch::{Change, Place, Verb};
use crate::schema::{GROUP, Resource};
use keyreeve_base::{GroupId, UserId};
use keyreeve_filter::{Filter, Op, Path, Value as Literal};
use keyreeve_identity::{Group, MemberChange, Party, Reach};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// How many members the room hands out at a time.
const PAGE: u16 = 500;

/// How many more members an answer may show.
#[derive(Debug)]
pub(crate) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_MEMBERS_SHOWN)
    }
}

/// A member as SCIM shows one.
async fn show(call: &Call, party: Party, named: bool) -> Result<Option<Value>, ScimError> {
    let identity = call.identity();
    let (kind, name) = match party {
        Party::User(id) => {
            let user = if named { identity.users().by_id(call.tenant(), id).await? } else { None };
            (Resource::User, user.map(|user| user.greeting()))
        }
        Party::Group(id) => {
            let group = if named { identity.groups().by_id(call.tenant(), id).await? } else { None };
            (Resource::Group, group.map(|group| group.name.clone()))
        }
        Party::Service(_) => return Ok(None),
    };
    let id = party.uuid();
    let mut member = json!({"value": id.to_string(), "$ref": call.location(kind, id), "type": kind.name()});
    if let (Some(name), Some(parts)) = (name, member.as_object_mut()) {
        parts.insert("display".to_owned(), name.into());
    }
    Ok(Some(member))
}

/// All direct members of a group, with their names where these are wanted.
///
/// # Errors
/// `tooMany` beyond what the answer may show.
pub(crate) async fn list(
    call: &Call,
    group: GroupId,
    named: bool,
    budget: &mut Budget,
) -> Result<Vec<Value>, ScimError> {
    let (mut shown, mut after) = (Vec::new(), None);
    loop {
        let of = (call.tenant(), group);
        let page = call.identity().groups().members(of, Reach::Direct, after, PAGE).await?;
        let full = page.len() >= usize::from(PAGE);
        after = page.last().map(|member| member.party.uuid());
        for member in page {
            let Some(member) = show(call, member.party, named).await? else { continue };
            budget.0 = budget.0.checked_sub(1).ok_or_else(|| {
                let detail = format!(
                    "there are more than {MAX_MEMBERS_SHOWN} members to show; ask with excludedAttributes=members"
                );
                ScimError::bad(ScimType::TooMany, detail)
            })?;
            shown.push(member);
        }
        if !full {
            return Ok(shown);
        }
    }
}

/// A member that is none of the tenant's users and groups, or that the caller may not see: one answer for both.
pub(crate) fn unknown() -> ScimError {
    ScimError::value("members names somebody who is not there")
}

/// What operations make of the members of a group.
#[derive(Debug, Default)]
pub(crate) struct Plan(MemberChange);

impl Plan {
    /// The change as a whole.
    pub(crate) fn done(self) -> MemberChange {
        self.0
    }

    /// The group is to have these members and no others.
    pub(crate) async fn replace(&mut self, call: &Call, members: Value) -> Result<(), ScimError> {
        let add = found(call, members).await?;
        self.0 = MemberChange { only: true, add: add.into_iter().collect(), remove: BTreeSet::new() };
        Ok(())
    }

    fn add(&mut self, parties: Vec<Party>) {
        for party in parties {
            self.0.remove.remove(&party);
            self.0.add.insert(party);
        }
    }

    fn remove(&mut self, parties: impl IntoIterator<Item = Party>) {
        for party in parties {
            self.0.add.remove(&party);
            if !self.0.only {
                self.0.remove.insert(party);
            }
        }
    }

    /// Applies one operation of a PATCH.
    ///
    /// # Errors
    /// `mutability` for parts of a member, `noTarget`, `invalidValue` for whoever is not there.
    pub(crate) async fn apply(
        &mut self,
        call: &Call,
        group: &Group,
        place: &Place,
        operation: &Change,
    ) -> Result<(), ScimError> {
        if let Some(part) = place.target.sub {
            let detail = format!("members.{} cannot be changed; add and remove members instead", part.name);
            return Err(ScimError::bad(ScimType::Mutability, detail));
        }
        let given = operation.value.clone();
        match (operation.verb, &place.filter) {
            (Verb::Remove, None) if given.is_null() => self.replace(call, Value::Null).await?,
            (Verb::Replace, None) => self.replace(call, given).await?,
            (Verb::Add, None) => self.add(found(call, given).await?),
            (Verb::Remove, None) => self.remove(known(call, given).await?),
            (Verb::Remove, Some(filter)) => {
                let selected = self.selected(call, group, filter).await?;
                self.remove(selected);
            }
            (Verb::Add | Verb::Replace, Some(filter)) => {
                let selected = self.selected(call, group, filter).await?;
                if selected.is_empty() {
                    return Err(ScimError::bad(ScimType::NoTarget, "no member matches the filter"));
                }
                let added = found(call, given).await?;
                if operation.verb == Verb::Replace {
                    self.remove(selected);
                }
                self.add(added);
            }
        }
        let Self(change) = self;
        if change.add.len().max(change.remove.len()) > MAX_MEMBERS_CHANGED {
            return Err(too_many());
        }
        Ok(())
    }

    /// The members that a filter selects, of those in the group and those who come.
    async fn selected(
        &self,
        call: &Call,
        group: &Group,
        filter: &Filter<Path>,
    ) -> Result<Vec<Party>, ScimError> {
        // What nearly everybody sends needs no look at the others.
        if let Filter::Compare(path, Op::Eq, Literal::Text(id)) = filter
            && path.is("value")
        {
            let members = list_of_one(id);
            let mut selected = known(call, members).await?;
            let of = (call.tenant(), group.id);
            let mut present = Vec::new();
            for party in selected.drain(..) {
                let before = Uuid::from_u128(party.uuid().as_u128().saturating_sub(1));
                let page = call.identity().groups().members(of, Reach::Direct, Some(before), 1).await?;
                let in_group = !self.0.only && page.iter().any(|member| member.party == party);
                if (in_group && !self.0.remove.contains(&party)) || self.0.add.contains(&party) {
                    present.push(party);
                }
            }
            return Ok(present);
        }
        let mut members = Vec::new();
        if !self.0.only {
            members = list(call, group.id, true, &mut Budget::default()).await?;
        }
        for party in &self.0.add {
            members.extend(show(call, *party, true).await?);
        }
        let mut selected = Vec::new();
        for member in members.iter().filter(|member| filter.matches_json(member)) {
            let party = party_of(member);
            selected.extend(party.filter(|party| !self.0.remove.contains(party)));
        }
        Ok(selected)
    }
}

fn list_of_one(id: &str) -> Value {
    json!([{"value": id}])
}

/// The party of a member that was shown.
fn party_of(member: &Value) -> Option<Party> {
    let id: Uuid = member.get("value")?.as_str()?.parse().ok()?;
    match member.get("type")?.as_str()? {
        "User" => Some(Party::User(UserId::from_uuid(id))),
        _ => Some(Party::Group(GroupId::from_uuid(id))),
    }
}

fn too_many() -> ScimError {
    let detail = format!("no more than {MAX_MEMBERS_CHANGED} members can be changed at once");
    ScimError::bad(ScimType::TooMany, detail)
}

/// Those whom a request names, all of whom have to be there.
async fn found(call: &Call, members: Value) -> Result<Vec<Party>, ScimError> {
    let members = named(members)?;
    let mut found = Vec::with_capacity(members.len());
    for id in members {
        found.push(look_up(call, &id).await?.ok_or_else(unknown)?);
    }
    Ok(found)
}

/// Those whom a request names and who are there.
async fn known(call: &Call, members: Value) -> Result<Vec<Party>, ScimError> {
    let mut known = Vec::new();
    for id in named(members)? {
        known.extend(look_up(call, &id).await?);
    }
    Ok(known)
}

/// The identifiers that a request names.
fn named(members: Value) -> Result<Vec<String>, ScimError> {
    if members.as_array().is_some_and(|members| members.len() > MAX_MEMBERS_CHANGED) {
        return Err(too_many());
    }
    let Some(attribute) = GROUP.attribute("members") else { return Ok(Vec::new()) };
    let Some(Value::Array(members)) = value(attribute, members, "members")? else { return Ok(Vec::new()) };
    let id_of = |member: &Value| {
        let part = |name: &str| member.get(name).and_then(Value::as_str);
        let id = part("value").or_else(|| part("$ref")?.rsplit('/').next());
        id.map(str::to_owned).ok_or_else(|| ScimError::value("members.value is missing"))
    };
    members.iter().map(id_of).collect()
}

/// The user or group of this identifier.
async fn look_up(call: &Call, id: &str) -> Result<Option<Party>, ScimError> {
    let Ok(id) = id.parse::<Uuid>() else { return Ok(None) };
    let (identity, tenant) = (call.identity(), call.tenant());
    let user = identity.users().by_id(tenant, UserId::from_uuid(id)).await?;
    if let Some(user) = user.filter(|user| user.archived_at.is_none()) {
        return Ok(Some(Party::User(user.id)));
    }
    let group = identity.groups().by_id(tenant, GroupId::from_uuid(id)).await?;
    Ok(group.map(|group| Party::Group(group.id)))
}
