//! A group and who is in it, changed at once: as those need who send a group whole.

use super::model::{self, Group, GroupPatch, MembershipKind, NewGroup};
use super::{Groups, TOPIC, members, service};
use crate::admission::Subject;
use crate::authority::{Authority, Standing};
use crate::directory::{self, MAX_PAGE, Party, PartyKind};
use crate::{Cause, Error, Identity, schema};
use keyreeve_base::{GroupId, TenantId, Timestamp};
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// The most members that come and go in one transaction.
const MAX_CHANGES: usize = 10_000;

/// How the users and nested groups of a group change. Service accounts stay where they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberChange {
    /// Whether all go that are not in `add`.
    pub only: bool,
    /// Who comes, as a [`MembershipKind::Member`]; who is there already stays of the kind that they are.
    pub add: BTreeSet<Party>,
    /// Who goes; who is not there is passed over.
    pub remove: BTreeSet<Party>,
}

impl MemberChange {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.only && self.add.is_empty() && self.remove.is_empty()
    }
}

/// What to change of a group at once; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupRevision {
    /// Of the group itself.
    pub group: GroupPatch,
    /// Of its members.
    pub members: MemberChange,
}

/// One transaction's part of a change of members.
struct Changing<'c> {
    identity: &'c Identity,
    by: &'c Authority,
    cause: &'c Cause,
    group: (TenantId, GroupId),
    max_depth: u16,
    now: Timestamp,
    /// Whether the transaction may change what is nested in what.
    shape: bool,
}

impl Groups<'_> {
    /// Makes a group with these members.
    ///
    /// # Errors
    /// Those of [`Groups::create`] and [`Groups::revise`].
    pub async fn create_with(
        self,
        by: &Authority,
        new: NewGroup,
        add: BTreeSet<Party>,
        cause: &Cause,
    ) -> Result<Arc<Group>, Error> {
        let tenant = by.tenant();
        let (world, change) = (self.0.world(), MemberChange { add, ..MemberChange::default() });
        let mut group = Group {
            id: world.new_id(),
            tenant_id: tenant,
            name: new.name,
            description: new.description,
            attributes: new.attributes,
            created_at: world.now(),
            updated_at: world.now(),
            version: 1,
        };
        let name = model::check(&mut group)?;
        self.check_members(by, None, &change).await?;
        let max_depth = self.0.tenants().get(tenant).await?.settings.directory.max_depth;
        let (identity, by, cause, made) = (self.0.clone(), by.clone(), cause.clone(), Arc::new(group));
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let shape = hold_all(tx, (tenant, None), &change).await?;
                service::insert(tx, &made, &name).await?;
                let detail = json!({"name": made.name});
                let event = cause.done(tenant, "group.create", ("group", made.id.to_string()), detail);
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                tx.changed(Some(tenant), TOPIC, &made.id.to_string()).await?;
                let (group, now) = ((tenant, made.id), made.created_at);
                let changing =
                    Changing { identity: &identity, by: &by, cause: &cause, group, max_depth, now, shape };
                changing.add_all(tx, &change.add).await?;
                Ok(Arc::clone(&made))
            })
            .await
    }

    /// Changes a group and its members at once, all or nothing, as far as `by` may. With `version`, only if it still is at
    /// that version. What changes nothing raises no version; members who come or go here do.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the group, and for a member that is not there or that `by` may not see;
    /// [`Error::VersionConflict`], [`Error::Taken`]; [`Error::Invalid`] for a field, for too many members at once, for an
    /// owner whom `by` may not remove, and where nesting would close a circle or go too deep.
    pub async fn revise(
        self,
        (by, id): (&Authority, GroupId),
        revision: GroupRevision,
        version: Option<i64>,
        cause: &Cause,
    ) -> Result<Arc<Group>, Error> {
        let tenant = by.tenant();
        if !by.may_manage_group(id) {
            return Err(Error::NotFound("group"));
        }
        self.check_members(by, Some(id), &revision.members).await?;
        let max_depth = self.0.tenants().get(tenant).await?.settings.directory.max_depth;
        let (identity, by, cause, revision) = (self.0.clone(), by.clone(), cause.clone(), Arc::new(revision));
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                // Members before the group, as everywhere: nobody waits for each other in a circle.
                let shape = hold_all(tx, (tenant, Some(id)), &revision.members).await?;
                let mut group = service::hold(tx, tenant, id).await?;
                if version.is_some_and(|version| version != group.version) {
                    return Err(Error::VersionConflict);
                }
                let now = identity.world().now();
                let (by, cause, of) = (&by, &cause, (tenant, id));
                let changing = Changing { identity: &identity, by, cause, group: of, max_depth, now, shape };
                let moved = changing.members(tx, &revision.members).await?;
                let former = group.clone();
                let (name, touched) = revision.group.apply(&mut group)?;
                let renewed = group != former;
                if !moved && !renewed {
                    return Ok(Arc::new(former));
                }
                group.updated_at = now;
                group.version = group.version.saturating_add(1);
                service::write(tx, &group, &name).await?;
                if renewed {
                    let detail = json!({"fields": touched, "name": group.name});
                    let event = cause.done(tenant, "group.update", ("group", id.to_string()), detail);
                    keyreeve_audit::record(tx, identity.world(), &event).await?;
                }
                tx.changed(Some(tenant), TOPIC, &id.to_string()).await?;
                Ok(Arc::new(group))
            })
            .await
    }

    /// Whether those who are to come are within reach of `by`.
    async fn check_members(
        self,
        by: &Authority,
        group: Option<GroupId>,
        change: &MemberChange,
    ) -> Result<(), Error> {
        if change.add.len().max(change.remove.len()) > MAX_CHANGES {
            return Err(too_many());
        }
        if by.may_manage_tenant() {
            return Ok(());
        }
        let unseen = Error::NotFound("member");
        let Some(group) = group else { return Err(unseen) };
        for party in &change.add {
            let allowed = match *party {
                Party::Group(child) => by.may_nest(group, child),
                Party::User(id) => by.may_add_member(
                    group,
                    &self.standing(by, Subject::User(id)).await?,
                    MembershipKind::Member,
                ),
                Party::Service(id) => by.may_add_member(
                    group,
                    &self.standing(by, Subject::Service(id)).await?,
                    MembershipKind::Member,
                ),
            };
            if !allowed {
                return Err(unseen);
            }
        }
        Ok(())
    }

    async fn standing(self, by: &Authority, subject: Subject) -> Result<Standing, Error> {
        self.0.standing_of(by.tenant(), subject).await
    }
}

fn too_many() -> Error {
    Error::invalid("members", format!("cannot change by more than {MAX_CHANGES} at once"))
}

/// Holds whoever is to come; and the tenant's shape, which it says, where groups are concerned.
async fn hold_all(
    tx: &mut Tx<'_>,
    (tenant, group): (TenantId, Option<GroupId>),
    change: &MemberChange,
) -> Result<bool, Error> {
    let is_group = |party: &Party| matches!(party, Party::Group(_));
    let mut shape = change.add.iter().chain(&change.remove).any(is_group);
    if let (true, false, Some(group)) = (change.only, shape, group) {
        shape =
            tx.query_opt(&schema::NESTS_BELOW, &params![tenant, group, 1_i64], |_| Ok(())).await?.is_some();
    }
    if shape {
        directory::change_shape(tx, tenant).await?;
    }
    for party in &change.add {
        directory::hold_party(tx, tenant, *party).await?;
    }
    Ok(shape)
}

impl Changing<'_> {
    /// Says whether anybody came or went.
    async fn members(&self, tx: &mut Tx<'_>, change: &MemberChange) -> Result<bool, Error> {
        let mut moved = false;
        let gone = if change.only { self.all_but(tx, &change.add).await? } else { change.remove.clone() };
        for party in gone {
            moved |= self.remove(tx, party).await?;
        }
        Ok(self.add_all(tx, &change.add).await? || moved)
    }

    /// The users and groups in the group that are none of these.
    async fn all_but(&self, tx: &mut Tx<'_>, keep: &BTreeSet<Party>) -> Result<BTreeSet<Party>, Error> {
        let (tenant, group) = self.group;
        let (mut found, mut after) = (BTreeSet::new(), Uuid::nil());
        loop {
            let page = tx
                .query(&schema::DIRECT_MEMBERS, &params![tenant, group, after, i64::from(MAX_PAGE)], |row| {
                    Ok(Party::new(row.get::<PartyKind>(1)?, row.get(0)?))
                })
                .await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = last.uuid();
            let goes = |party: &Party| !matches!(party, Party::Service(_)) && !keep.contains(party);
            found.extend(page.into_iter().filter(goes));
            if found.len() > MAX_CHANGES {
                return Err(too_many());
            }
        }
    }

    async fn remove(&self, tx: &mut Tx<'_>, party: Party) -> Result<bool, Error> {
        let (tenant, group) = self.group;
        let id = party.uuid();
        let row = params![tenant, group, id];
        if !self.by.may_manage_tenant() {
            let kind: Option<MembershipKind> = tx.query_opt(&schema::KIND_OF, &row, |row| row.get(0)).await?;
            if kind.is_some_and(|kind| !self.by.may_change_member(group, Some(kind), None)) {
                return Err(Error::invalid("members", "include an owner, whom owners alone can remove"));
            }
        }
        let statement = match party {
            // Nested since the transaction looked.
            Party::Group(_) if !self.shape => return Err(Error::VersionConflict),
            Party::Group(_) => &schema::DELETE_NEST,
            Party::User(_) | Party::Service(_) => &schema::DELETE_MEMBER,
        };
        if tx.execute(statement, &row).await? == 0 {
            return Ok(false);
        }
        if !matches!(party, Party::Group(_)) {
            directory::party_changed(tx, tenant, party).await?;
        }
        self.record(tx, "group.member.remove", json!({"member": party})).await?;
        Ok(true)
    }

    async fn add_all(&self, tx: &mut Tx<'_>, add: &BTreeSet<Party>) -> Result<bool, Error> {
        let (tenant, group) = self.group;
        let kind = MembershipKind::Member;
        let mut moved = false;
        for party in add {
            let added = match *party {
                Party::Group(child) => {
                    members::nest(tx, tenant, (group, child), self.max_depth, self.now).await?
                }
                Party::User(_) | Party::Service(_) => {
                    members::insert(tx, self.group, *party, kind, self.now).await?
                }
            };
            if added {
                self.record(tx, "group.member.add", json!({"member": party, "kind": kind})).await?;
            }
            moved |= added;
        }
        Ok(moved)
    }

    async fn record(
        &self,
        tx: &mut Tx<'_>,
        action: &'static str,
        detail: serde_json::Value,
    ) -> Result<(), Error> {
        let (tenant, group) = self.group;
        let event = self.cause.done(tenant, action, ("group", group.to_string()), detail);
        keyreeve_audit::record(tx, self.identity.world(), &event).await?;
        Ok(())
    }
}
