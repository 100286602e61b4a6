//! What a subject can see, in an order that can be read page by page without knowing all of it.
//!
//! The order: the *tops*, which are what the subject has something on and nothing above, by their keys; behind each top
//! that passes its rights on, everything below it, parents before children, siblings by their keys. So a page costs what
//! is on it and not what there is: nothing is collected and sorted, and where it stopped is the path from the top down.
//!
//! A top is found by the index over grants and owners, block by block, and held against the engine's walk like every other
//! question; what lies below a top that passes its rights on needs no further question.

use super::{Ground, Who};
use crate::model::Model;
use crate::{Error, ResourceCursor, Sharing, schema};
use keyreeve_base::TenantId;
use keyreeve_store::{Param, Row, Statement, ToParam, Tx, Value, params};
use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write;
use std::sync::{Arc, LazyLock};
use uuid::Uuid;

/// How many resources one page looks at, at most; it may be short for that, and go on in the next.
const VISITS: usize = 5_000;
/// How many children are read at once.
const CHILDREN: i64 = 64;
/// How many grants, and how many owned resources, of one party in one block are read at once.
const CANDIDATES: i64 = 192;
/// How many parties one statement asks for.
const PARTIES: usize = 32;
/// What stands for "all of it was read" behind a top.
const END: i64 = i64::MAX;

/// Which rights count.
#[derive(Debug, Clone)]
pub(crate) enum Accept {
    /// Ownership, and permissions of these names, in order.
    Names(Box<[u32]>),
    /// Whatever there is.
    Any,
}

impl Accept {
    fn name(&self, name: u32) -> bool {
        match self {
            Self::Names(names) => names.binary_search(&name).is_ok(),
            Self::Any => true,
        }
    }

    fn ground(&self, ground: &Ground) -> bool {
        ground.name.is_none_or(|name| self.name(name))
    }
}

/// A resource that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) key: i64,
    pub(crate) id: String,
    pub(crate) type_key: i64,
}

impl Item {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        Ok(Self { key: row.get(0)?, id: row.get(1)?, type_key: row.get(2)? })
    }
}

/// A walk over what a subject can see.
pub(crate) struct Visible<'a> {
    sharing: &'a Sharing,
    tenant: TenantId,
    model: Arc<Model>,
    who: &'a Who,
    accept: Accept,
    visits: usize,
    /// Everything up to this top, or candidate for one, was looked at; the walk may be below it.
    top: i64,
    frames: Vec<Frame>,
    candidates: VecDeque<i64>,
    /// Up to where the candidates are known.
    known: i64,
}

/// A resource whose children are being read.
struct Frame {
    key: i64,
    after: i64,
    /// Each with whether it has children itself.
    children: VecDeque<(Item, bool)>,
    exhausted: bool,
}

impl Frame {
    fn new(key: i64, after: i64) -> Self {
        Self { key, after, children: VecDeque::new(), exhausted: false }
    }
}

impl<'a> Visible<'a> {
    /// A walk that begins behind `after`.
    pub(crate) async fn new(
        sharing: &'a Sharing,
        (tenant, model): (TenantId, Arc<Model>),
        (who, accept): (&'a Who, Accept),
        after: Option<&ResourceCursor>,
    ) -> Result<Self, Error> {
        let mut walk = Self {
            sharing,
            tenant,
            model,
            who,
            accept,
            visits: VISITS,
            top: 0,
            frames: Vec::new(),
            candidates: VecDeque::new(),
            known: 0,
        };
        if let Some(after) = after {
            walk.resume(after.keys()).await?;
        }
        Ok(walk)
    }

    /// The next so many resources that are `wanted`, and where to go on; none at the end.
    pub(crate) async fn page(
        &mut self,
        limit: usize,
        wanted: impl Fn(&Item) -> bool,
    ) -> Result<(Vec<Item>, Option<ResourceCursor>), Error> {
        let mut items = Vec::new();
        loop {
            if items.len() >= limit || self.visits == 0 {
                return Ok((items, Some(self.place())));
            }
            let Some(item) = self.next().await? else { return Ok((items, None)) };
            items.extend(item.filter(&wanted));
        }
    }

    /// The next resource; an empty answer where there may be more further on.
    async fn next(&mut self) -> Result<Option<Option<Item>>, Error> {
        self.visits = self.visits.saturating_sub(1);
        if self.visits.is_multiple_of(64) {
            // A long page lets others have the thread.
            tokio::task::yield_now().await;
        }
        if !self.frames.is_empty() {
            return self.next_below().await.map(Some);
        }
        if let Some(candidate) = self.candidates.pop_front() {
            self.top = candidate;
            return self.next_top(candidate).await.map(Some);
        }
        let from = self.known.max(self.top).saturating_add(1);
        let Some(key) = self.sharing.next_key(self.tenant, from).await? else { return Ok(None) };
        self.find_candidates(key >> schema::BLOCK_BITS, from.saturating_sub(1)).await?;
        self.top = self.top.max(from.saturating_sub(1));
        Ok(Some(None))
    }

    /// The next resource below the top.
    async fn next_below(&mut self) -> Result<Option<Item>, Error> {
        let Some(frame) = self.frames.last_mut() else { return Ok(None) };
        if frame.children.is_empty() && !frame.exhausted {
            let (key, after) = (frame.key, frame.after);
            let read = async move |tx: &mut Tx<'_>| {
                let page = params![key, after, CHILDREN];
                tx.query(&schema::CHILD_PAGE, &page, |row| Ok((Item::from_row(row)?, row.get(3)?))).await
            };
            let found: Vec<(Item, bool)> = self.sharing.store().read(read).await?;
            frame.exhausted = i64::try_from(found.len()).is_ok_and(|found| found < CHILDREN);
            frame.children = found.into();
        }
        let Some((child, has_children)) = frame.children.pop_front() else {
            self.frames.pop();
            return Ok(None);
        };
        frame.after = child.key;
        if self.frames.len() > self.sharing.engine().walk_limit {
            return Err(keyreeve_store::Error::corrupt("a resource has too much above it").into());
        }
        self.frames.push(Frame { exhausted: !has_children, ..Frame::new(child.key, 0) });
        Ok(Some(child))
    }

    /// A candidate, if it is a top.
    async fn next_top(&mut self, key: i64) -> Result<Option<Item>, Error> {
        let Some(passes_on) = self.top_kind(key).await? else { return Ok(None) };
        if passes_on {
            self.frames.push(Frame::new(key, 0));
        }
        let tenant = self.tenant;
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::ID_OF, &params![tenant, key], |row| {
                Ok((row.get::<Option<String>>(0)?, row.get::<i64>(1)?))
            })
            .await
        };
        let found = self.sharing.store().read(read).await?;
        Ok(found.and_then(|(id, type_key)| Some(Item { key, id: id?, type_key })))
    }

    /// Whether the subject has something on this resource and nothing above it; and if so, whether it has it below as well.
    async fn top_kind(&self, key: i64) -> Result<Option<bool>, Error> {
        let Some(seen) = self.sharing.walk(self.tenant, key).await? else { return Ok(None) };
        let mut accepted = |ground: Ground| self.accept.ground(&ground);
        for above in 1..seen.nodes.len() {
            if self.sharing.grounds_at(self.who, &seen, above, &mut accepted).await? {
                return Ok(None);
            }
        }
        let mut kind = None;
        let mut here = |ground: Ground| {
            if self.accept.ground(&ground) {
                let passes_on = ground.held.is_none_or(|held| held.cascades);
                kind = Some(kind.unwrap_or(false) || passes_on);
            }
            kind == Some(true)
        };
        self.sharing.grounds_at(self.who, &seen, 0, &mut here).await?;
        Ok(kind)
    }

    /// Where the walk is.
    fn place(&self) -> ResourceCursor {
        match self.frames.as_slice() {
            [] => ResourceCursor::path(vec![self.top, END]),
            frames => ResourceCursor::path(frames.iter().map(|frame| frame.key).collect()),
        }
    }

    /// Goes to a place where a walk was. What was moved or removed meanwhile is passed over, and what stood behind it on
    /// the same level comes next.
    async fn resume(&mut self, path: &[i64]) -> Result<(), Error> {
        let Some((&top, below)) = path.split_first() else { return Ok(()) };
        (self.top, self.known) = (top, top);
        if self.top_kind(top).await? != Some(true) {
            return Ok(());
        }
        let mut parent = top;
        for &key in below.iter().take(self.sharing.engine().walk_limit) {
            self.frames.push(Frame::new(parent, key));
            let seen = if key == END { None } else { self.sharing.walk(self.tenant, key).await? };
            let lies_there = seen.and_then(|seen| seen.node()?.parent) == Some(parent);
            if !lies_there {
                return Ok(());
            }
            parent = key;
        }
        self.frames.push(Frame::new(parent, 0));
        Ok(())
    }

    /// Reads what might be a top in a block, behind a key.
    async fn find_candidates(&mut self, block: i64, after: i64) -> Result<(), Error> {
        let parties: Vec<Uuid> = self.who.parties().collect();
        let chunks = parties.len().div_ceil(PARTIES);
        let read = async move |tx: &mut Tx<'_>| {
            let mut found = Vec::new();
            for parties in parties.chunks(PARTIES) {
                found.extend(candidates_of(tx, parties, block, after).await?);
            }
            Ok::<_, keyreeve_store::Error>(found)
        };
        let store = self.sharing.store();
        let found = if chunks <= 2 { store.read(read).await? } else { store.scan(read).await? };
        let now = self.sharing.world().now().micros();
        let mut known = (block.saturating_add(1) << schema::BLOCK_BITS).saturating_sub(1);
        let mut keys = BTreeSet::new();
        for part in found {
            if let [first, .., last] = part.as_slice()
                && i64::try_from(part.len()).is_ok_and(|length| length >= CANDIDATES)
            {
                if first.key == last.key {
                    // More rows of one resource than are read at once: whether it counts, the walk says.
                    keys.insert(last.key);
                    known = known.min(last.key);
                } else {
                    // The last resource may have more rows than were read.
                    known = known.min(last.key.saturating_sub(1));
                }
            }
            for row in part {
                let name = row.permission.and_then(|permission| self.model.name_of(permission));
                let counts = row.permission.is_none() || name.is_some_and(|name| self.accept.name(name));
                if counts && row.expires.is_none_or(|end| now < end) {
                    keys.insert(row.key);
                }
            }
        }
        self.candidates = keys.range(..=known).copied().collect();
        self.known = known;
        Ok(())
    }
}

/// A row of the index.
struct Candidate {
    key: i64,
    /// None where it is owned.
    permission: Option<i64>,
    expires: Option<i64>,
}

/// What these parties were granted and what they own in a block, behind a key; for each part of the answer by itself.
async fn candidates_of(
    tx: &mut Tx<'_>,
    parties: &[Uuid],
    block: i64,
    after: i64,
) -> Result<Vec<Vec<Candidate>>, keyreeve_store::Error> {
    let Some((size, statement)) = CANDIDATES_OF.iter().find(|(size, _)| *size >= parties.len()) else {
        return Err(keyreeve_store::Error::internal("more parties than a statement asks for"));
    };
    let padding = std::iter::repeat_n(Uuid::nil(), size.saturating_sub(parties.len()));
    let all: Vec<Uuid> = parties.iter().copied().chain(padding).collect();
    let mut bound: Vec<Param<'_>> = vec![Value::Int(block), Value::Int(after), Value::Int(CANDIDATES)];
    bound.extend(all.iter().map(ToParam::to_param));
    let rows = tx
        .query_composed(statement, &bound, |row| {
            let candidate = Candidate { key: row.get(1)?, permission: row.get(2)?, expires: row.get(3)? };
            Ok((row.get::<usize>(0)?, candidate))
        })
        .await?;
    let mut parts: Vec<Vec<Candidate>> = std::iter::repeat_with(Vec::new).take(size * 2).collect();
    for (part, candidate) in rows {
        if let Some(rows) = parts.get_mut(part) {
            rows.push(candidate);
        }
    }
    for part in &mut parts {
        part.sort_unstable_by_key(|candidate| candidate.key);
    }
    Ok(parts)
}

/// The statements of the walk that are put together.
pub(crate) fn composed() -> impl Iterator<Item = &'static Statement> {
    CANDIDATES_OF.iter().map(|(_, statement)| statement)
}

/// The statements that ask for so many parties at once. Each part of one has its own limit, so that none of them reads
/// more of the index than it answers.
static CANDIDATES_OF: LazyLock<Vec<(usize, Statement)>> = LazyLock::new(|| {
    let sizes = std::iter::successors(Some(1_usize), |size| Some(size * 2));
    sizes.take_while(|size| *size <= PARTIES).map(|size| (size, statement_for(size))).collect()
});

fn statement_for(parties: usize) -> Statement {
    let mut sql = String::new();
    for party in 0..parties {
        let (granted, owned, parameter) = (2 * party, 2 * party + 1, party + 4);
        let union = if party == 0 { "" } else { " UNION ALL " };
        // Writing to a String does not fail.
        let _ = write!(
            sql,
            "{union}SELECT * FROM (SELECT CAST({granted} AS BIGINT) AS part, resource_key AS key, permission_key, \
             expires_at FROM sharing_grant WHERE (resource_key >> 14) = $1 AND party_id = ${parameter} \
             AND resource_key > $2 ORDER BY resource_key LIMIT $3) AS g{party} \
             UNION ALL SELECT * FROM (SELECT CAST({owned} AS BIGINT) AS part, key, CAST(NULL AS BIGINT), \
             CAST(NULL AS BIGINT) FROM sharing_resource WHERE (key >> 14) = $1 AND owner_id = ${parameter} \
             AND key > $2 ORDER BY key LIMIT $3) AS o{party}"
        );
    }
    Statement::composed("sharing::visible::candidates", sql)
}
