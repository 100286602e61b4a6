//! The walk up from a resource, and what a subject has there.

use super::node::{HeldKey, MAX_KEPT};
use super::{Grants, Held, Node, Who};
use crate::model::{Model, TypeEntry};
use crate::{Error, Sharing, schema};
use foldhash::HashMap;
use keyreeve_base::TenantId;
use keyreeve_store::{Row, Tx, params};
use std::sync::Arc;
use uuid::Uuid;

/// The most rows that a walk reads in one statement; where there are more, they are read node by node.
const AT_ONCE: i64 = 4_096;

/// Where the nodes of these keys stand.
pub(super) type Places = HashMap<i64, usize>;

/// A resource with everything above it: itself first, what has no parent last.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) tenant: TenantId,
    pub(crate) model: Arc<Model>,
    pub(crate) nodes: Vec<Arc<Node>>,
}

/// One reason why a subject has something on a resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ground {
    /// How far above the resource: 0 is the resource itself.
    pub(crate) above: usize,
    /// The name of the permission; none for ownership.
    pub(crate) name: Option<u32>,
    /// The grant; none for ownership.
    pub(crate) held: Option<Held>,
}

impl Seen {
    pub(crate) fn node(&self) -> Option<&Arc<Node>> {
        self.nodes.first()
    }

    pub(crate) fn key(&self) -> i64 {
        self.node().map_or(0, |node| node.key)
    }

    /// The resource's type.
    pub(crate) fn entry(&self) -> Option<&Arc<TypeEntry>> {
        self.node().and_then(|node| self.model.type_by_key(node.type_key))
    }
}

impl Sharing {
    /// The resource of this identifier, if it is there.
    pub(crate) async fn look_up(&self, tenant: TenantId, id: &str) -> Result<Option<Seen>, Error> {
        match self.key_of(tenant, id).await? {
            Some(key) => self.walk(tenant, key).await,
            None => Ok(None),
        }
    }

    pub(crate) async fn key_of(&self, tenant: TenantId, id: &str) -> Result<Option<i64>, Error> {
        if !crate::model::can_be_id(id) {
            return Ok(None);
        }
        let owned = id.to_owned();
        if let Some(known) = self.engine().ids.peek(tenant, &owned) {
            return Ok(known);
        }
        let wanted = owned.clone();
        let load = || async {
            let read = async move |tx: &mut Tx<'_>| {
                tx.query_opt(&schema::KEY_OF, &params![tenant, &wanted], |row| row.get::<i64>(0)).await
            };
            Ok::<_, Error>(self.store().read(read).await?)
        };
        self.engine().ids.get_with(tenant, &owned, load).await
    }

    /// The resource of this key and everything above it; none where it, or something above it, was removed.
    pub(crate) async fn walk(&self, tenant: TenantId, key: i64) -> Result<Option<Seen>, Error> {
        let model = self.model(tenant).await?;
        let nodes = self.walk_until(tenant, key, &Places::default()).await?;
        Ok(nodes.map(|nodes| Seen { tenant, model, nodes }))
    }

    /// The same, up to what is known to be there already.
    pub(crate) async fn walk_until(
        &self,
        tenant: TenantId,
        key: i64,
        known: &Places,
    ) -> Result<Option<Vec<Arc<Node>>>, Error> {
        let cache = &self.engine().nodes;
        let mut nodes = Vec::with_capacity(12);
        let mut next = Some(key);
        let mut misses = 0_u64;
        while let Some(key) = next.filter(|key| !known.contains_key(key)) {
            let node = match cache.look(tenant, &key) {
                Some(node) => node,
                None => {
                    misses = misses.saturating_add(1);
                    self.load(tenant, key).await?
                }
            };
            let Some(node) = node.filter(|node| node.alive) else { return Ok(None) };
            next = node.parent;
            nodes.push(node);
            if nodes.len() > self.engine().walk_limit {
                return Err(keyreeve_store::Error::corrupt("a resource has too much above it").into());
            }
        }
        let walked = u64::try_from(nodes.len()).unwrap_or(u64::MAX);
        // What was not there, the load has counted.
        cache.count(walked.saturating_sub(misses), 0);
        Ok(Some(nodes))
    }

    /// A resource that is not in memory, with its grants, and with everything above it unless that is in memory. Where
    /// nothing is, it takes two statements.
    async fn load(&self, tenant: TenantId, key: i64) -> Result<Option<Arc<Node>>, Error> {
        let cache = Arc::clone(&self.engine().nodes);
        let watch = cache.watch();
        let known = Arc::clone(&cache);
        let limit = i64::try_from(self.engine().walk_limit).unwrap_or(i64::MAX);
        let read = async move |tx: &mut Tx<'_>| {
            let mut nodes = Collected::default();
            let one = params![tenant, key, AT_ONCE];
            tx.query(&schema::NODE, &one, |row| nodes.add(row)).await?;
            let above = nodes.nodes.first().and_then(|node| node.parent);
            if let Some(parent) = above.filter(|parent| known.look(tenant, parent).is_none()) {
                let up = params![tenant, parent, limit, AT_ONCE];
                tx.query(&schema::NODES_UP, &up, |row| nodes.add(row)).await?;
            }
            nodes.finish(tx, (tenant, limit)).await
        };
        let load = || async {
            let mut found = None;
            for node in self.store().read(read).await? {
                let node = Arc::new(node);
                if node.key == key {
                    found = Some(node);
                } else {
                    cache.put(watch, tenant, node.key, Some(node));
                }
            }
            Ok::<_, Error>(found)
        };
        cache.get_with(tenant, &key, load).await
    }

    /// Every reason why a subject has something on a resource, from the resource upwards.
    pub(crate) async fn grounds(&self, who: &Who, seen: &Seen) -> Result<Vec<Ground>, Error> {
        let mut grounds = Vec::new();
        for above in 0..seen.nodes.len() {
            self.grounds_at(who, seen, above, &mut |ground| {
                grounds.push(ground);
                false
            })
            .await?;
        }
        Ok(grounds)
    }

    /// The reasons at one of the nodes, until `found` says that it has what it wants; whether it has.
    pub(crate) async fn grounds_at(
        &self,
        who: &Who,
        seen: &Seen,
        above: usize,
        found: &mut (dyn FnMut(Ground) -> bool + Send),
    ) -> Result<bool, Error> {
        let Some(node) = seen.nodes.get(above) else { return Ok(false) };
        self.grounds_of(who, &seen.model, (seen.tenant, node, above), found).await
    }

    /// The same at one node, which lies so far above the resource in question.
    pub(crate) async fn grounds_of(
        &self,
        who: &Who,
        model: &Model,
        (tenant, node, above): (TenantId, &Node, usize),
        found: &mut (dyn FnMut(Ground) -> bool + Send),
    ) -> Result<bool, Error> {
        if who.has(node.owner.uuid()) && found(Ground { above, name: None, held: None }) {
            return Ok(true);
        }
        let now = who.now;
        let mut test = |held: &Held| {
            if !held.holds(now) || above > 0 && !held.cascades {
                return false;
            }
            let name = model.name_of(held.permission);
            name.is_some() && found(Ground { above, name, held: Some(*held) })
        };
        match &node.grants {
            Grants::All(grants) if grants.len() <= who.len().saturating_mul(2) => {
                Ok(grants.iter().any(|held| who.has(held.party) && test(held)))
            }
            Grants::All(grants) => {
                Ok(who.parties().any(|party| of_party(grants, party).iter().any(&mut test)))
            }
            Grants::Many => {
                for party in who.parties() {
                    let held = self.held_by(tenant, HeldKey { resource: node.key, party }).await?;
                    if held.iter().any(&mut test) {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// What one party was granted on one resource.
    async fn held_by(&self, tenant: TenantId, key: HeldKey) -> Result<Arc<[Held]>, Error> {
        let load = || async {
            let read = async move |tx: &mut Tx<'_>| {
                let of = params![key.resource, key.party];
                let found = tx.query(&schema::GRANTS_TO, &of, |row| Ok(Held::from_row(row)?.1)).await?;
                Ok::<Arc<[Held]>, keyreeve_store::Error>(found.into())
            };
            Ok::<_, Error>(self.store().read(read).await?)
        };
        self.engine().held.get_with(tenant, &key, load).await
    }
}

/// The grants of one party, of grants in the order of the parties.
fn of_party(grants: &[Held], party: Uuid) -> &[Held] {
    let start = grants.partition_point(|held| held.party < party);
    let rest = grants.get(start..).unwrap_or_default();
    let length = rest.iter().take_while(|held| held.party == party).count();
    rest.get(..length).unwrap_or_default()
}

/// Nodes that are being read, each with its grants.
#[derive(Default)]
struct Collected {
    nodes: Vec<Node>,
    grants: Vec<Vec<Held>>,
    places: Places,
    rows: i64,
}

impl Collected {
    /// Takes in a row: a node with one of its grants, or with none.
    fn add(&mut self, row: &Row<'_>) -> Result<(), keyreeve_store::Error> {
        self.rows = self.rows.saturating_add(1);
        let key: i64 = row.get(0)?;
        // Rows of one node mostly stand together.
        let last = self.nodes.last().is_some_and(|node| node.key == key);
        let place = if last {
            self.nodes.len().saturating_sub(1)
        } else {
            let next = self.nodes.len();
            let place = *self.places.entry(key).or_insert(next);
            if place == next {
                self.nodes.push(Node::from_row(row)?);
                self.grants.push(Vec::with_capacity(16));
            }
            place
        };
        if let (Some(party), Some(grants)) = (row.get::<Option<Uuid>>(6)?, self.grants.get_mut(place)) {
            grants.push(Held::beside(party, row)?);
        }
        Ok(())
    }

    /// The nodes. Where there was more than is read at once, each is read by itself.
    async fn finish(
        mut self,
        tx: &mut Tx<'_>,
        (tenant, limit): (TenantId, i64),
    ) -> Result<Vec<Node>, keyreeve_store::Error> {
        if self.rows < AT_ONCE {
            for (node, grants) in self.nodes.iter_mut().zip(self.grants) {
                node.grants = kept(grants);
            }
            return Ok(self.nodes);
        }
        let Some(lowest) = self.nodes.first().map(|node| node.key) else { return Ok(self.nodes) };
        let mut nodes = tx.query(&schema::UP, &params![tenant, lowest, limit], Node::from_row).await?;
        for node in &mut nodes {
            node.grants = grants_on(tx, node.key).await?;
        }
        Ok(nodes)
    }
}

async fn grants_on(tx: &mut Tx<'_>, key: i64) -> Result<Grants, keyreeve_store::Error> {
    let limit = i64::try_from(MAX_KEPT).unwrap_or(i64::MAX).saturating_add(1);
    let found = tx.query(&schema::GRANTS_ON, &params![key, limit], |row| Ok(Held::from_row(row)?.1)).await?;
    Ok(kept(found))
}

fn kept(mut grants: Vec<Held>) -> Grants {
    if grants.len() > MAX_KEPT {
        return Grants::Many;
    }
    grants.sort_unstable_by_key(|held| held.party);
    Grants::All(grants.into())
}
