//! Who can reach a resource.

use super::{ATTEMPTS, Page, Questions};
use crate::engine::{Grants, Held, Seen};
use crate::grants::PartyKind;
use crate::standing::{Found, over_tenant};
use crate::{Error, Freshness, MAX_PAGE, OWNER, Sharing, schema};
use keyreeve_base::GroupId;
use keyreeve_crypto::base64url;
use keyreeve_identity::{Authority, Party};
use keyreeve_store::{Tx, params};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use uuid::Uuid;

/// How many grants are read at once from a resource that has very many.
const ROWS: i64 = 2_000;

/// How far a list of subjects goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those who have it from the resource itself: granted on it, or owning it.
    Direct,
    /// Those, and whoever has it from something above.
    Effective,
}

/// Which subjects are asked for.
#[derive(Debug, Clone)]
pub struct SubjectsOf {
    /// On which resource.
    pub resource: String,
    /// Who have this permission; [`crate::OWNER`] asks for owners.
    pub permission: String,
    /// From where.
    pub reach: Reach,
    /// Users and service accounts one by one, those in groups included; otherwise groups as such, and no one for being in
    /// one.
    pub expand: bool,
    /// Only who was granted this very permission: neither who has it by another that implies it, nor by ownership.
    pub exact: bool,
    /// Where the page begins.
    pub after: Option<SubjectCursor>,
    /// How many it holds, from 1 to 500.
    pub limit: u16,
}

/// Where a page of subjects ended. Opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubjectCursor(Uuid);

impl std::fmt::Display for SubjectCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&base64url::encode(self.0.as_bytes()))
    }
}

impl FromStr for SubjectCursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = if text.len() <= 32 { base64url::decode(text).ok() } else { None };
        bytes
            .and_then(|bytes| Uuid::from_slice(&bytes).ok())
            .map(Self)
            .ok_or_else(|| Error::invalid("cursor", "is not one that was given out here"))
    }
}

/// What a grant must be to count.
struct Wanted<'a> {
    seen: &'a Seen,
    names: &'a [u32],
    owners: bool,
    levels: usize,
    now: i64,
}

impl Wanted<'_> {
    fn counts(&self, held: &Held, above: usize) -> bool {
        held.holds(self.now)
            && (above == 0 || held.cascades)
            && self
                .seen
                .model
                .name_of(held.permission)
                .is_some_and(|name| self.names.binary_search(&name).is_ok())
    }
}

impl Questions<'_> {
    /// A page of the subjects who have a permission on a resource, in the order of their identifiers, each once. Expanded
    /// and effective, they are exactly the users and service accounts for whom the check says yes. Whoever is disabled or
    /// gone is not among them. A page may hold fewer than `limit` and still have a next one. Expanded, each page reads all
    /// grants on the resource and above it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the resource and the permission; [`Error::Denied`] for whoever may not share it.
    pub async fn subjects_of(
        self,
        authority: &Authority,
        of: &SubjectsOf,
        at: Freshness,
    ) -> Result<Page<Party, SubjectCursor>, Error> {
        self.0.await_freshness(at).await?;
        let tenant = authority.tenant();
        let mut attempt = 1;
        loop {
            let before = self.0.engine().changes(tenant);
            let Found { seen, standing, .. } = self.0.find(authority, &of.resource).await?;
            if !over_tenant(authority) {
                standing.require_sharer()?;
            }
            let page = self.0.subjects_once(&seen, of).await?;
            if before == self.0.engine().changes(tenant) || attempt >= ATTEMPTS {
                return Ok(page);
            }
            attempt += 1;
        }
    }
}

impl Sharing {
    async fn subjects_once(&self, seen: &Seen, of: &SubjectsOf) -> Result<Page<Party, SubjectCursor>, Error> {
        let entry = seen.entry().ok_or(Error::NotFound("resource"))?;
        let satisfying = entry.satisfying(&of.permission).ok_or(Error::NotFound("permission"))?;
        let own = entry.key_of(&of.permission).and_then(|key| seen.model.name_of(key));
        let wanted = Wanted {
            seen,
            names: if of.exact { own.as_slice() } else { satisfying },
            owners: !of.exact || of.permission == OWNER,
            levels: if of.reach == Reach::Direct { 1 } else { seen.nodes.len() },
            now: self.world().now().micros(),
        };
        let after = of.after.map_or(Uuid::nil(), |cursor| cursor.0);
        let limit = usize::from(of.limit.clamp(1, MAX_PAGE));
        let found = if of.expand {
            self.expanded(&wanted, after, limit.saturating_add(1)).await?
        } else {
            self.granted(&wanted, after, limit.saturating_add(1)).await?
        };
        let more = found.len() > limit;
        let mut items = Vec::new();
        let mut last = None;
        for (id, kind) in found.into_iter().take(limit) {
            last = Some(SubjectCursor(id));
            let party = kind.party(id);
            if self.is_active(seen.tenant, party).await? {
                items.push(party);
            }
        }
        Ok(Page { items, next: last.filter(|_| more) })
    }

    /// The first so many parties behind `after` to whom it was granted, or who own.
    async fn granted(
        &self,
        wanted: &Wanted<'_>,
        after: Uuid,
        limit: usize,
    ) -> Result<BTreeMap<Uuid, PartyKind>, Error> {
        let mut first = BTreeMap::new();
        for (above, node) in wanted.seen.nodes.iter().take(wanted.levels).enumerate() {
            let owner = node.owner;
            if wanted.owners && owner.uuid() > after {
                keep(&mut first, limit, owner.uuid(), PartyKind::of(owner));
            }
            let mut from = (after, i64::MAX);
            loop {
                let rows = match &node.grants {
                    Grants::All(grants) => grants.to_vec(),
                    Grants::Many => self.grants_from(node.key, from).await?,
                };
                for held in rows.iter().filter(|held| held.party > after && wanted.counts(held, above)) {
                    keep(&mut first, limit, held.party, held.kind);
                }
                let (Grants::Many, Some(last)) = (&node.grants, rows.last()) else { break };
                let beyond =
                    first.len() >= limit && first.last_key_value().is_some_and(|(id, _)| *id < last.party);
                if beyond {
                    break;
                }
                from = (last.party, last.permission);
            }
        }
        Ok(first)
    }

    /// The first so many users and service accounts behind `after` who have it, by a group or by themselves.
    async fn expanded(
        &self,
        wanted: &Wanted<'_>,
        after: Uuid,
        limit: usize,
    ) -> Result<BTreeMap<Uuid, PartyKind>, Error> {
        let mut groups = BTreeSet::new();
        let mut first = BTreeMap::new();
        for (above, node) in wanted.seen.nodes.iter().take(wanted.levels).enumerate() {
            let mut note = |id: Uuid, kind: PartyKind| match kind {
                PartyKind::Group => {
                    groups.insert(GroupId::from_uuid(id));
                }
                PartyKind::User | PartyKind::Service if id > after => keep(&mut first, limit, id, kind),
                PartyKind::User | PartyKind::Service => {}
            };
            if wanted.owners {
                note(node.owner.uuid(), PartyKind::of(node.owner));
            }
            let mut from = (Uuid::nil(), -1);
            loop {
                let rows = match &node.grants {
                    Grants::All(grants) => grants.to_vec(),
                    Grants::Many => self.grants_from(node.key, from).await?,
                };
                for held in rows.iter().filter(|held| wanted.counts(held, above)) {
                    note(held.party, held.kind);
                }
                let (Grants::Many, Some(last)) = (&node.grants, rows.last()) else { break };
                from = (last.party, last.permission);
            }
        }
        let groups: Vec<GroupId> = groups.into_iter().collect();
        let want = u16::try_from(limit).unwrap_or(u16::MAX);
        let within = self.identity().groups().principals_in(wanted.seen.tenant, groups, after, want).await?;
        for party in within {
            keep(&mut first, limit, party.uuid(), PartyKind::of(party));
        }
        Ok(first)
    }

    /// The next grants on a resource, in the order of the parties.
    async fn grants_from(&self, key: i64, from: (Uuid, i64)) -> Result<Vec<Held>, Error> {
        let read = async move |tx: &mut Tx<'_>| {
            let page = params![key, from.0, from.1, ROWS];
            tx.query(&schema::HELD_PAGE, &page, |row| Ok(Held::from_row(row)?.1)).await
        };
        Ok(self.store().read(read).await?)
    }
}

/// Keeps the first `limit` of what comes.
fn keep(first: &mut BTreeMap<Uuid, PartyKind>, limit: usize, id: Uuid, kind: PartyKind) {
    first.insert(id, kind);
    if first.len() > limit {
        first.pop_last();
    }
}
