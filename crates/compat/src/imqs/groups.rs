//! Groups, their permissions, and who is in them.

use super::call::Call;
use super::catalogue::{Entry, TOPIC};
use super::failure::{Failure, NOT_ADMIN};
use super::people::{self, Person, numbers};
use super::reply::{Answer, Reply};
use super::{Imqs, schema};
use keyreeve_base::{GroupId, TenantId, Timestamp, UserId};
use keyreeve_identity::{Cause, Error, GroupPatch, Party, Reach, Subject, User};
use keyreeve_store::{Tx, params};
use serde_json::json;

/// The group whose coming and going is written down.
const ENABLED: &str = "enabled";
/// Groups that cannot be removed.
const KEPT: [&str; 2] = ["admin", ENABLED];
/// The most permissions of one group, and groups of one request.
const MAX_LISTED: usize = 1_000;
const NAME_TAKEN: &str = "A group with that name already exists";
const NO_GROUP: &str = "Group does not exist";

fn blank() -> Reply {
    Reply::text(406, "Group name may not be blank.")
}

pub(super) async fn create(call: Call) -> Answer {
    let name = call.query("groupname");
    if name.is_empty() {
        return Err(blank());
    }
    let failed = |why: &str| Reply::text(400, format!("Error creating group ({name}): {why}"));
    // No list of groups could name it.
    if name.contains(',') {
        return Err(failed("Group name may not contain a comma"));
    }
    let (imqs, tenant) = (&call.imqs, call.tenant().await?);
    if imqs.group(tenant, name).await.map_err(|failure| failure.reply(400))?.is_some() {
        return Ok(Reply::empty());
    }
    match imqs.make_group(tenant, (name, &[]), &call.cause()).await {
        Ok(Some(_)) => Ok(Reply::empty()),
        // Another door's, of which the dialect's administrators must not dispose.
        Ok(None) => Err(failed(NAME_TAKEN)),
        Err(failure) => Err(failure.behind(400, &format!("Error creating group ({name}): "))),
    }
}

pub(super) async fn update(call: Call) -> Answer {
    let (name, new) = (call.query("name"), call.query("newname"));
    if name.is_empty() || new.is_empty() {
        return Err(blank());
    }
    let (imqs, tenant) = (&call.imqs, call.tenant().await?);
    let found = imqs.group(tenant, name).await.map_err(|failure| failure.reply(400))?;
    let group = found.ok_or_else(|| Reply::text(400, format!("{NO_GROUP}: {name}")))?.group;
    if new.contains(',') {
        return Err(Reply::text(400, "Group name may not contain a comma"));
    }
    let patch = GroupPatch { name: Some(new.to_owned()), ..GroupPatch::default() };
    match imqs.identity().groups().update((tenant, group), patch, None, &call.cause()).await {
        Ok(_) => Ok(Reply::empty()),
        Err(Error::Taken(_)) => Err(Reply::text(400, NAME_TAKEN)),
        Err(error) => Err(Failure::from(error).reply(400)),
    }
}

pub(super) async fn delete(call: Call) -> Answer {
    let name = call.query("groupname");
    if name.is_empty() {
        return Err(blank());
    }
    if KEPT.contains(&name) {
        return Err(Reply::text(405, format!("Deleting group {name} is not permitted")));
    }
    let (imqs, tenant) = (&call.imqs, call.tenant().await?);
    let gone = || Reply::text(400, format!("Error deleting group ({name}): {NO_GROUP}: {name}"));
    let found = imqs.group(tenant, name).await.map_err(|failure| failure.reply(400))?;
    let group = found.ok_or_else(gone)?.group;
    match imqs.identity().groups().delete((tenant, group), None, &call.cause()).await {
        Ok(()) => {
            let announce =
                async move |tx: &mut Tx<'_>| tx.changed(Some(tenant), TOPIC, &tenant.to_string()).await;
            imqs.store().write(announce).await?;
            Ok(Reply::empty())
        }
        Err(Error::NotFound(_)) => Err(gone()),
        Err(error) => Err(Failure::from(error).reply(500)),
    }
}

/// Permission numbers of a list; nothing is none.
fn parse_roles(text: &str) -> Result<Vec<u16>, String> {
    let mut roles = Vec::new();
    for item in text.split(',').map(str::trim).filter(|_| !text.is_empty()) {
        roles.push(item.parse().map_err(|_| format!("Invalid role '{item}'"))?);
    }
    if roles.len() > MAX_LISTED { Err(format!("There are more than {MAX_LISTED} roles")) } else { Ok(roles) }
}

pub(super) async fn set_roles(call: Call) -> Answer {
    let (name, imqs, tenant) = (call.query("groupname"), &call.imqs, call.tenant().await?);
    let failed = |failure: Failure| failure.behind(406, &format!("Could not set group roles for {name}: "));
    let found = imqs.group(tenant, name).await.map_err(failed)?;
    let entry =
        found.ok_or_else(|| Reply::text(404, format!("Group '{name}' not found: {NO_GROUP}: {name}")))?;
    let roles = parse_roles(call.query("roles")).map_err(|text| Reply::text(400, text))?;
    let beyond = |list: &[u16], other: &[u16]| {
        let mut names = Vec::new();
        for permission in list.iter().filter(|permission| !other.contains(permission)) {
            let name = imqs.permission_name(*permission);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.is_empty() { "<none>".to_owned() } else { names.join(" ") }
    };
    let (added, removed) = (beyond(&roles, &entry.permissions), beyond(&entry.permissions, &roles));
    let detail = json!({"group": name, "added": added, "removed": removed, "permissions": roles});
    imqs.set_permissions(tenant, entry.group, roles, (detail, &call.cause())).await.map_err(failed)?;
    let members = imqs.members(tenant, entry.group).await.map_err(failed)?;
    let caller = call.actor.as_ref().map(|actor| actor.user.id);
    let others: Vec<UserId> = members.into_iter().filter(|user| Some(*user) != caller).collect();
    imqs.notify(tenant, &others).await.map_err(failed)?;
    match &call.actor {
        None => Ok(Reply::empty()),
        Some(_) => {
            Ok(Reply::text(200, format!("Group: {name} roles updated: Added: {added} Removed: {removed}")))
        }
    }
}

impl Imqs {
    /// Whom a group holds, by however many groups in between.
    pub(super) async fn members(&self, tenant: TenantId, group: GroupId) -> Result<Vec<UserId>, Failure> {
        self.members_by(tenant, group, Reach::Effective).await
    }

    /// The same by this reach.
    pub(super) async fn members_by(
        &self,
        tenant: TenantId,
        group: GroupId,
        reach: Reach,
    ) -> Result<Vec<UserId>, Failure> {
        let (mut users, mut after) = (Vec::new(), None);
        loop {
            let page = self.identity().groups().members((tenant, group), reach, after, 500).await?;
            after = page.last().map(|member| member.party.uuid());
            users.extend(page.iter().filter_map(|member| match member.party {
                Party::User(user) => Some(user),
                Party::Service(_) | Party::Group(_) => None,
            }));
            if page.len() < 500 {
                return Ok(users);
            }
        }
    }

    /// Whether nobody but the tenant's administrators may put users into a group, because it gives roles of the server.
    pub(super) async fn gives_roles(&self, tenant: TenantId, group: GroupId) -> Result<bool, Failure> {
        let roles = self.identity().roles().effective_of(tenant, Party::Group(group)).await?;
        Ok(roles.iter().next().is_some())
    }

    /// Sets a user's groups: memberships, permit, moments, and the notice of it, in one transaction.
    pub(super) async fn assign(
        &self,
        tenant: TenantId,
        (user, person): (&User, &Person),
        wanted: &[Entry],
        by: By<'_>,
    ) -> Result<(), Failure> {
        let enabled = self.group(tenant, ENABLED).await?.map(|entry| entry.group);
        let current = self.groups_of(tenant, person).await?;
        let groups = |of: &[Entry], other: &[Entry]| -> Vec<GroupId> {
            of.iter()
                .map(|entry| entry.group)
                .filter(|group| other.iter().all(|entry| entry.group != *group))
                .collect()
        };
        let (join, leave) = (groups(wanted, &current), groups(&current, wanted));
        let now = self.world().now();
        let stamps = stamps(person, enabled, (&join, &leave), now);
        let permit = numbers(&wanted.iter().map(|entry| entry.serial).collect::<Vec<_>>());
        let notice = if by.tells { self.notice(&[person.serial]) } else { None };
        let (identity, cause, id, by) = (self.identity().clone(), by.cause.clone(), user.id, by.serial);
        let notice_id = self.world().new_uuid();
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                let of = (tenant, Party::User(id));
                identity.groups().reassign(tx, of, (&join, &leave), &cause).await?;
                tx.execute(&schema::SET_PERMIT, &params![tenant, id, &permit, by, stamps.0, stamps.1])
                    .await?;
                people::changed(tx, tenant, id).await?;
                if let Some(body) = &notice {
                    tx.execute(&schema::INSERT_NOTICE, &params![notice_id, tenant, body, now]).await?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        Ok(())
    }
}

/// Who changes a user's groups.
#[derive(Clone, Copy)]
pub(super) struct By<'a> {
    /// By number.
    pub(super) serial: i64,
    pub(super) cause: &'a Cause,
    /// Whether other systems are told.
    pub(super) tells: bool,
}

/// When the user was enabled and disabled, after these changes.
fn stamps(
    person: &Person,
    enabled: Option<GroupId>,
    (join, leave): (&[GroupId], &[GroupId]),
    now: Timestamp,
) -> (Option<Timestamp>, Option<Timestamp>) {
    match enabled {
        Some(group) if join.contains(&group) => (Some(now), None),
        Some(group) if leave.contains(&group) => (None, Some(now)),
        Some(_) | None => (person.enabled_at, person.disabled_at),
    }
}

pub(super) async fn set_of_user(call: Call) -> Answer {
    let serial = call.user_id().map_err(|text| Reply::text(403, text))?;
    let (imqs, tenant) = (&call.imqs, call.tenant().await?);
    let refused = |failure: Failure| failure.reply(403);
    let text = call.query("groups");
    let mut wanted: Vec<Entry> = Vec::new();
    for name in text.split(',').filter(|_| !text.is_empty()) {
        let entry = imqs.group(tenant, name).await.map_err(refused)?;
        let entry = entry.ok_or_else(|| Reply::text(403, format!("Invalid groups: {NO_GROUP}")))?;
        if wanted.iter().all(|known| known.group != entry.group) {
            wanted.push(entry);
        }
        if wanted.len() > MAX_LISTED {
            return Err(Reply::text(403, "Invalid groups: there are too many"));
        }
    }
    let done = Reply::text(200, format!("'{serial}' groups set to ({text})"));
    // The original keeps a permit for whoever gets this number one day; here nobody inherits one.
    let Some((user, person)) = imqs.by_serial(tenant, serial).await.map_err(refused)? else {
        return Ok(done);
    };
    call.may_touch(tenant, user.id).await?;
    let current = imqs.groups_of(tenant, &person).await.map_err(refused)?;
    for entry in wanted.iter().filter(|entry| current.iter().all(|known| known.group != entry.group)) {
        if imqs.gives_roles(tenant, entry.group).await.map_err(refused)?
            && !administers(&call, tenant).await?
        {
            return Err(Reply::text(403, NOT_ADMIN));
        }
    }
    imqs.assign(
        tenant,
        (&user, &person),
        &wanted,
        By { serial: call.serial(), cause: &call.cause(), tells: true },
    )
    .await
    .map_err(refused)?;
    Ok(done)
}

/// Whether the caller administers the tenant itself.
async fn administers(call: &Call, tenant: TenantId) -> Result<bool, Reply> {
    let Some(actor) = &call.actor else { return Ok(false) };
    let authority = call.imqs.identity().authority_of_bearer(tenant, Subject::User(actor.user.id)).await?;
    Ok(authority.may_manage_tenant())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_numbers_of_sixteen_bits() {
        assert_eq!(parse_roles(""), Ok(vec![]));
        assert_eq!(parse_roles("1, 999,1"), Ok(vec![1, 999, 1]));
        for (bad, item) in [("65536", "65536"), ("-1", "-1"), ("1,x", "x"), ("1,,2", "")] {
            assert_eq!(parse_roles(bad), Err(format!("Invalid role '{item}'")), "{bad}");
        }
        assert!(parse_roles(&"1,".repeat(2_000)).is_err());
    }
}
