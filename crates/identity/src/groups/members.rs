//! Who is in a group.

use super::Groups;
use super::model::{Group, MembershipKind};
use super::nest::{self, MAX_WALK, Nesting};
use crate::admission::Subject;
use crate::directory::{self, MAX_PAGE, Party, PartyKind};
use crate::{Cause, Error, Identity, schema};
use keyreeve_base::{GroupId, TenantId, Timestamp};
use keyreeve_store::{Statement, Tx, params};
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// How far a list of members goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// What is in the group itself.
    Direct,
    /// That, and what is in the groups nested below it.
    Effective,
}

/// A member of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Membership {
    /// Who.
    #[serde(rename = "member")]
    pub party: Party,
    /// The kind of a direct membership; none where only a nested group holds the party.
    pub kind: Option<MembershipKind>,
    /// When the party was added directly.
    pub added_at: Option<Timestamp>,
}

impl Groups<'_> {
    /// Adds a member; false when it is one already, which then stays of the kind that it is. A nested group is a
    /// [`MembershipKind::Member`].
    ///
    /// # Errors
    /// [`Error::NotFound`] for the group or the party; [`Error::Invalid`] for a nested group of another kind, and where
    /// nesting would close a circle or go too deep.
    pub async fn add(
        self,
        (tenant, group): (TenantId, GroupId),
        party: Party,
        kind: MembershipKind,
        cause: &Cause,
    ) -> Result<bool, Error> {
        if matches!(party, Party::Group(_)) && kind != MembershipKind::Member {
            return Err(Error::invalid("kind", "of a nested group must be MEMBER"));
        }
        let max_depth = self.0.tenants().get(tenant).await?.settings.directory.max_depth;
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let now = identity.world().now();
                let added = if let Party::Group(child) = party {
                    directory::change_shape(tx, tenant).await?;
                    for id in [group, child] {
                        exists(tx, tenant, id).await?;
                    }
                    nest(tx, tenant, (group, child), max_depth, now).await?
                } else {
                    directory::hold_party(tx, tenant, party).await?;
                    exists(tx, tenant, group).await?;
                    insert(tx, (tenant, group), party, kind, now).await?
                };
                if added {
                    let detail = json!({"member": party, "kind": kind});
                    let event = cause.done(tenant, "group.member.add", ("group", group.to_string()), detail);
                    keyreeve_audit::record(tx, identity.world(), &event).await?;
                }
                Ok(added)
            })
            .await
    }

    /// Makes a member one of another kind; false when it is of this kind already.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a party that is no direct member; [`Error::Invalid`] for a nested group.
    pub async fn change_kind(
        self,
        (tenant, group): (TenantId, GroupId),
        party: Party,
        kind: MembershipKind,
        cause: &Cause,
    ) -> Result<bool, Error> {
        if matches!(party, Party::Group(_)) {
            return Err(Error::invalid("kind", "of a nested group cannot be changed"));
        }
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                directory::hold_party(tx, tenant, party).await?;
                let former: MembershipKind = tx
                    .query_opt(&schema::KIND_OF, &params![tenant, group, party.uuid()], |row| row.get(0))
                    .await?
                    .ok_or(Error::NotFound("member"))?;
                if tx.execute(&schema::CHANGE_KIND, &params![tenant, group, party.uuid(), kind]).await? == 0 {
                    return Ok(false);
                }
                directory::party_changed(tx, tenant, party).await?;
                let detail = json!({"member": party, "kind": kind, "former": former});
                let event = cause.done(tenant, "group.member.change", ("group", group.to_string()), detail);
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                Ok(true)
            })
            .await
    }

    /// Removes a direct member; false when there is none such.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn remove(
        self,
        (tenant, group): (TenantId, GroupId),
        party: Party,
        cause: &Cause,
    ) -> Result<bool, Error> {
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let statement = if matches!(party, Party::Group(_)) {
                    directory::change_shape(tx, tenant).await?;
                    &schema::DELETE_NEST
                } else {
                    directory::party_changed(tx, tenant, party).await?;
                    &schema::DELETE_MEMBER
                };
                if tx.execute(statement, &params![tenant, group, party.uuid()]).await? == 0 {
                    return Ok(false);
                }
                let detail = json!({"member": party});
                let event = cause.done(tenant, "group.member.remove", ("group", group.to_string()), detail);
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                Ok(true)
            })
            .await
    }

    /// Makes a user or service account a member of these groups and of those no longer, in the caller's transaction; whoever
    /// is a member already stays of the kind that they are.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the party or a group; [`Error::Invalid`] for a group as the party.
    pub async fn reassign(
        self,
        tx: &mut Tx<'_>,
        (tenant, party): (TenantId, Party),
        (join, leave): (&[GroupId], &[GroupId]),
        cause: &Cause,
    ) -> Result<(), Error> {
        if matches!(party, Party::Group(_)) {
            return Err(Error::invalid("member", "must be a user or a service account"));
        }
        let (world, now) = (self.0.world(), self.0.world().now());
        directory::hold_party(tx, tenant, party).await?;
        let mut done = Vec::new();
        for group in join {
            exists(tx, tenant, *group).await?;
            if insert(tx, (tenant, *group), party, MembershipKind::Member, now).await? {
                done.push((
                    *group,
                    "group.member.add",
                    json!({"member": party, "kind": MembershipKind::Member}),
                ));
            }
        }
        for group in leave {
            if tx.execute(&schema::DELETE_MEMBER, &params![tenant, *group, party.uuid()]).await? > 0 {
                done.push((*group, "group.member.remove", json!({"member": party})));
            }
        }
        for (group, action, detail) in done {
            let event = cause.done(tenant, action, ("group", group.to_string()), detail);
            keyreeve_audit::record(tx, world, &event).await?;
        }
        directory::party_changed(tx, tenant, party).await
    }

    /// A page of a group's members in the order of their identifiers, those after `after`; at most 500. With
    /// [`Reach::Effective`] each user, service account and group that the group transitively holds, once.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the group.
    pub async fn members(
        self,
        (tenant, group): (TenantId, GroupId),
        reach: Reach,
        after: Option<Uuid>,
        limit: u16,
    ) -> Result<Vec<Membership>, Error> {
        self.get(tenant, group).await?;
        let after = after.unwrap_or(Uuid::nil());
        let limit = i64::from(limit.clamp(1, MAX_PAGE));
        let page = async move |tx: &mut Tx<'_>| {
            let statement = match reach {
                Reach::Direct => &schema::DIRECT_MEMBERS,
                Reach::Effective => &schema::EFFECTIVE_MEMBERS,
            };
            let members = tx
                .query(statement, &params![tenant, group, after, limit], |row| {
                    Ok(Membership {
                        party: Party::new(row.get::<PartyKind>(1)?, row.get(0)?),
                        kind: row.get(2)?,
                        added_at: row.get(3)?,
                    })
                })
                .await;
            Ok::<_, Error>(members?)
        };
        match reach {
            Reach::Direct => self.0.store().read(page).await,
            // As long as everything below the group is large.
            Reach::Effective => self.0.store().scan(page).await,
        }
    }

    /// The groups that hold a party directly, each with the kind of the membership.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn direct_of(
        self,
        tenant: TenantId,
        party: Party,
    ) -> Result<Vec<(GroupId, MembershipKind)>, Error> {
        let read = async move |tx: &mut Tx<'_>| {
            let statement = of_kind(party, &schema::GROUPS_OF_PRINCIPAL, &schema::GROUPS_OF_GROUP);
            Ok(tx
                .query(statement, &params![tenant, party.uuid()], |row| Ok((row.get(0)?, row.get(1)?)))
                .await?)
        };
        self.0.store().read(read).await
    }

    /// The first `limit` users and service accounts behind `after` whom these groups hold, however indirectly, in the order
    /// of their identifiers.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn principals_in(
        self,
        tenant: TenantId,
        groups: Vec<GroupId>,
        after: Uuid,
        limit: u16,
    ) -> Result<Vec<Party>, Error> {
        let scan = async move |tx: &mut Tx<'_>| {
            let mut first = std::collections::BTreeSet::new();
            for part in groups.chunks(GROUPS_AT_ONCE) {
                let fixed = params![tenant, after, limit];
                let mut bound = fixed.to_vec();
                bound.extend(part.iter().map(keyreeve_store::ToParam::to_param));
                let found = tx
                    .query_composed(&within(part.len()), &bound, |row| {
                        Ok((row.get::<Uuid>(0)?, Party::new(row.get::<PartyKind>(1)?, row.get(0)?)))
                    })
                    .await?;
                first.extend(found);
                while first.len() > usize::from(limit) {
                    first.pop_last();
                }
            }
            Ok::<_, Error>(first.into_iter().map(|(_, party)| party).collect())
        };
        self.0.store().scan(scan).await
    }

    /// All groups that transitively hold whoever was admitted, in the order of their identifiers; none for an OAuth
    /// client. From memory where that is allowed.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of_subject(self, tenant: TenantId, subject: Subject) -> Result<Arc<[GroupId]>, Error> {
        match subject.party() {
            Some(party) => self.of_party(tenant, party).await,
            None => Ok(Arc::new([])),
        }
    }

    /// All groups that transitively hold a party, in the order of their identifiers; a group is not in itself. From
    /// memory where that is allowed.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of_party(self, tenant: TenantId, party: Party) -> Result<Arc<[GroupId]>, Error> {
        let store = self.0.store();
        let load = || async move {
            let read = async move |tx: &mut Tx<'_>| {
                let statement = of_kind(party, &schema::ABOVE_PRINCIPAL, &schema::ABOVE_GROUP);
                tx.query(statement, &params![tenant, party.uuid()], |row| row.get::<GroupId>(0)).await
            };
            Ok::<Arc<[GroupId]>, Error>(store.read(read).await?.into())
        };
        directory::derive(self.0, (tenant, party), |held| &held.groups, load).await
    }
}

/// How many groups one statement looks into.
const GROUPS_AT_ONCE: usize = 100;

/// Those whom so many groups hold.
fn within(groups: usize) -> Statement {
    let list: Vec<String> = (0..groups).map(|place| format!("${}", place.saturating_add(4))).collect();
    let sql = format!(
        "WITH RECURSIVE down (id) AS (SELECT id FROM directory_group WHERE tenant_id = $1 AND id IN ({}) \
         UNION SELECT n.child_id FROM down JOIN group_nest n ON n.parent_id = down.id) \
         SELECT DISTINCT m.party_id, m.party_kind FROM down JOIN group_member m ON m.group_id = down.id \
         WHERE m.party_id > $2 ORDER BY m.party_id LIMIT $3",
        list.join(", ")
    );
    Statement::composed("identity::groups::within", sql)
}

/// The statement for this kind of party.
const fn of_kind(
    party: Party,
    principal: &'static Statement,
    group: &'static Statement,
) -> &'static Statement {
    match party {
        Party::User(_) | Party::Service(_) => principal,
        Party::Group(_) => group,
    }
}

async fn exists(tx: &mut Tx<'_>, tenant: TenantId, group: GroupId) -> Result<(), Error> {
    let found = tx.query_opt(&schema::GROUP_BY_ID, &params![tenant, group], Group::from_row).await?;
    found.map(drop).ok_or(Error::NotFound("group"))
}

/// Adds a user who is being made to a group.
pub(crate) async fn join(
    tx: &mut Tx<'_>,
    identity: &Identity,
    (tenant, group, party): (TenantId, GroupId, Party),
    kind: MembershipKind,
    cause: &Cause,
) -> Result<(), Error> {
    exists(tx, tenant, group).await?;
    insert(tx, (tenant, group), party, kind, identity.world().now()).await?;
    let detail = json!({"member": party, "kind": kind});
    let event = cause.done(tenant, "group.member.add", ("group", group.to_string()), detail);
    keyreeve_audit::record(tx, identity.world(), &event).await?;
    Ok(())
}

/// Adds a user or service account, which the transaction holds, to a group of the tenant.
pub(super) async fn insert(
    tx: &mut Tx<'_>,
    (tenant, group): (TenantId, GroupId),
    party: Party,
    kind: MembershipKind,
    now: Timestamp,
) -> Result<bool, Error> {
    match tx
        .execute(&schema::INSERT_MEMBER, &params![tenant, group, party.uuid(), party.kind(), kind, now])
        .await
    {
        Ok(0) => Ok(false),
        Ok(_) => {
            directory::party_changed(tx, tenant, party).await?;
            Ok(true)
        }
        // It was removed since it was seen.
        Err(keyreeve_store::Error::ForeignKey) => Err(Error::NotFound("group")),
        Err(error) => Err(error.into()),
    }
}

/// Nests a group in another, both of the tenant, in a transaction that changes the tenant's shape.
pub(crate) async fn nest(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    (parent, child): (GroupId, GroupId),
    max_depth: u16,
    now: Timestamp,
) -> Result<bool, Error> {
    let above = around(tx, tenant, parent, &schema::NESTS_ABOVE).await?;
    let below = around(tx, tenant, child, &schema::NESTS_BELOW).await?;
    nest::check((parent, child), &above, &below, max_depth)?;
    match tx.execute(&schema::INSERT_NEST, &params![tenant, parent, child, now]).await {
        Ok(inserted) => Ok(inserted == 1),
        Err(keyreeve_store::Error::ForeignKey) => Err(Error::NotFound("group")),
        Err(error) => Err(error.into()),
    }
}

async fn around(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    group: GroupId,
    statement: &'static Statement,
) -> Result<Nesting, Error> {
    let limit = i64::try_from(MAX_WALK).unwrap_or(i64::MAX).saturating_add(1);
    let pairs =
        tx.query(statement, &params![tenant, group, limit], |row| Ok((row.get(0)?, row.get(1)?))).await?;
    Nesting::new(pairs)
}
