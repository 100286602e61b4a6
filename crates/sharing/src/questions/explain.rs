//! Why a subject has a permission, or has not.

use super::{Check, Decision, Denial, Questions};
use crate::engine::{Ground, Held, Seen, Who};
use crate::grants::StoredGrant;
use crate::standing::over_tenant;
use crate::{Error, Freshness, Grant, OWNER, ShareId, Sharing, schema};
use keyreeve_base::{GroupId, TenantId};
use keyreeve_identity::{Authority, Party};
use keyreeve_store::{Tx, params};
use std::collections::{HashMap, VecDeque};
use uuid::Uuid;

/// How many groups are looked at to find the way from a subject to one of them.
const MAX_GROUPS: usize = 10_000;

/// The answer of a check, and what it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The answer.
    pub decision: Decision,
    /// What grants it, where it is a yes: the nearest of several.
    pub via: Option<Via>,
}

/// What grants something.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Via {
    /// The way up: the resource that was asked about, and what lies above it up to where the right was given.
    pub resources: Vec<String>,
    /// The way to whoever was given it: the group that the subject is in, the group that this one is in, and so on. Empty
    /// where the subject was given it itself.
    pub groups: Vec<GroupId>,
    /// The way from the permission that was given to the one that was asked for, by what implies what; [`OWNER`] first
    /// where it is ownership that gives it.
    pub permissions: Vec<String>,
    /// Who was given it.
    pub party: Party,
    /// The grant; none where it is ownership.
    pub grant: Option<Grant>,
}

impl Questions<'_> {
    /// The same answer as [`Questions::check`]'s, with its reason.
    ///
    /// # Errors
    /// As [`Questions::check`].
    pub async fn explain(
        self,
        authority: &Authority,
        check: &Check,
        at: Freshness,
    ) -> Result<Explanation, Error> {
        self.0.await_freshness(at).await?;
        self.0.may_ask(authority, check.subject, &check.resource).await?;
        let tenant = authority.tenant();
        let mut attempt = 1;
        loop {
            let before = self.0.engine().changes(tenant);
            let explanation = self.0.explain_once(tenant, check).await?;
            if before == self.0.engine().changes(tenant) || attempt >= super::ATTEMPTS {
                let decision = super::check::told(explanation.decision, over_tenant(authority));
                return Ok(Explanation { decision, ..explanation });
            }
            attempt += 1;
        }
    }
}

impl Sharing {
    async fn explain_once(&self, tenant: TenantId, check: &Check) -> Result<Explanation, Error> {
        let denied = |why| Ok(Explanation { decision: Decision::Denied(why), via: None });
        let Some(seen) = self.look_up(tenant, &check.resource).await? else {
            return denied(Denial::NoResource);
        };
        let Some(entry) = seen.entry() else { return denied(Denial::NoResource) };
        let Some(by) = entry.satisfying(&check.permission) else { return denied(Denial::NoPermission) };
        let Some(who) = self.who(tenant, check.subject).await? else { return denied(Denial::NoSubject) };
        let grounds = self.grounds(&who, &seen).await?;
        let own = who.party.uuid();
        // The nearest; of those ownership first, then what the subject has itself.
        let nearest = grounds
            .into_iter()
            .filter(|ground| ground.name.is_none_or(|name| by.binary_search(&name).is_ok()))
            .min_by_key(|ground| {
                let held = ground.held.map(|held| (held.party != own, held.party, held.permission));
                (ground.above, held)
            });
        let Some(ground) = nearest else { return denied(Denial::NotGranted) };
        let via = self.via(&who, &seen, ground, &check.permission).await?;
        Ok(Explanation { decision: Decision::Allowed, via: Some(via) })
    }

    async fn via(&self, who: &Who, seen: &Seen, ground: Ground, permission: &str) -> Result<Via, Error> {
        let mut resources = Vec::new();
        for node in seen.nodes.iter().take(ground.above.saturating_add(1)) {
            resources.extend(self.id_of(seen.tenant, node.key).await?);
        }
        let owner = seen.nodes.get(ground.above).map(|node| node.owner);
        let party = match (ground.held, owner) {
            (Some(held), _) => held.kind.party(held.party),
            (None, Some(owner)) => owner,
            (None, None) => who.party,
        };
        let grant = match (ground.held, resources.last()) {
            (Some(held), Some(resource)) => self.whole(seen, ground.above, (held, resource)).await?,
            _ => None,
        };
        let given = grant.as_ref().map(|grant| grant.permission.as_str());
        let permissions = implied_way(seen, given, permission);
        let groups = self.way_to(seen.tenant, who.party, party).await?;
        Ok(Via { resources, groups, permissions, party, grant })
    }

    /// The grant behind what the engine holds; none where it was revoked at this moment.
    async fn whole(
        &self,
        seen: &Seen,
        above: usize,
        (held, resource): (Held, &str),
    ) -> Result<Option<Grant>, Error> {
        let Some(node) = seen.nodes.get(above) else { return Ok(None) };
        let id = ShareId { resource: node.key, party: held.party, permission: held.permission };
        let read = async move |tx: &mut Tx<'_>| {
            let row = params![id.resource, id.party, id.permission];
            tx.query_opt(&schema::GRANT, &row, StoredGrant::from_row).await
        };
        let found: Option<StoredGrant> = self.store().read(read).await?;
        let name = seen.model.permission_by_key(id.permission).map(|permission| permission.id.clone());
        Ok(found.zip(name).map(|(grant, name)| grant.named(resource, &name)))
    }

    /// The groups by which a subject is in another, the nearest first; the shortest way, and of several the first by
    /// identifiers.
    async fn way_to(&self, tenant: TenantId, from: Party, to: Party) -> Result<Vec<GroupId>, Error> {
        if from == to {
            return Ok(Vec::new());
        }
        let mut came_from: HashMap<Uuid, Option<GroupId>> = HashMap::new();
        let mut open = VecDeque::from([(from, None)]);
        while let Some((party, group)) = open.pop_front() {
            let mut above: Vec<GroupId> = self
                .identity()
                .groups()
                .direct_of(tenant, party)
                .await?
                .into_iter()
                .map(|(id, _)| id)
                .collect();
            above.sort_unstable();
            for next in above {
                if came_from.contains_key(&next.uuid()) || came_from.len() >= MAX_GROUPS {
                    continue;
                }
                came_from.insert(next.uuid(), group);
                if Party::Group(next) == to {
                    return Ok(way_back(next, &came_from));
                }
                open.push_back((Party::Group(next), Some(next)));
            }
        }
        Ok(Vec::new())
    }
}

fn way_back(last: GroupId, came_from: &HashMap<Uuid, Option<GroupId>>) -> Vec<GroupId> {
    let mut way = vec![last];
    let mut at = last;
    // Each step leads to a group that was found earlier.
    while let Some(Some(before)) = came_from.get(&at.uuid()) {
        way.push(*before);
        at = *before;
    }
    way.reverse();
    way
}

/// The permissions from what was given to what was asked for: the shortest way.
fn implied_way(seen: &Seen, given: Option<&str>, wanted: &str) -> Vec<String> {
    let Some(given) = given else {
        let owner = [OWNER].into_iter().chain(Some(wanted).filter(|wanted| *wanted != OWNER));
        return owner.map(str::to_owned).collect();
    };
    let own = seen.entry().map(|entry| entry.permissions.as_slice()).unwrap_or_default();
    let mut ways = VecDeque::from([vec![given.to_owned()]]);
    let mut visited = vec![given.to_owned()];
    while let Some(way) = ways.pop_front() {
        let Some(last) = way.last() else { continue };
        if last == wanted {
            return way;
        }
        let found = own.iter().chain(seen.model.common()).find(|permission| permission.id == *last);
        for next in found.map(|permission| permission.implies.as_slice()).unwrap_or_default() {
            if !visited.contains(next) {
                visited.push(next.clone());
                ways.push_back(way.iter().chain([next]).cloned().collect());
            }
        }
    }
    vec![given.to_owned()]
}
