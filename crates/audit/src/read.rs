//! Pages of the log, by time, in either direction.
//!
//! Each field that is looked for has an index in the order of time ([`crate::schema`]). The most selective of the fields
//! that a filter names decides which one is walked; the others are compared entry by entry. So that a filter that hardly
//! anything meets cannot make one request walk the whole log, a page ends after [`MAX_EXAMINED`] entries, with the cursor
//! from which the next page goes on: such a page may be short, or empty, though it is not the last.

use crate::event::{Entry, Outcome};
use crate::filter::{ActionPattern, Filter};
use crate::schema;
use keyreeve_base::TenantId;
use keyreeve_store::{Error, Statement, Store, Tx, params};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::str::FromStr;
use uuid::Uuid;

/// The largest page.
pub const MAX_LIMIT: u16 = 1_000;

/// How many entries are looked at for one page.
const MAX_EXAMINED: usize = 50_000;

/// How many entries are read at a time where each must be compared.
const CHUNK: usize = 1_000;

/// How many different actions a prefix may stand for; there are fewer.
const MAX_ACTIONS: i64 = 256;

/// The order of a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// What happened last comes first.
    #[default]
    NewestFirst,
    /// What happened first comes first.
    OldestFirst,
}

/// Which entries are asked for.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Which are meant.
    pub filter: Filter,
    /// In which order.
    pub order: Order,
    /// Where to go on: a cursor of an earlier page of the same query.
    pub start: Option<Cursor>,
    /// How many, at most [`MAX_LIMIT`].
    pub limit: u16,
}

/// A page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The entries, in the order that was asked for.
    pub entries: Vec<Entry>,
    /// Where the page after this one begins; absent on the last.
    pub next: Option<Cursor>,
    /// Where the page before this one begins; absent on the first.
    pub previous: Option<Cursor>,
}

/// A place between two entries, and the way on from there. Opaque to callers; it reads back what it prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    position: Position,
    /// Against the order of the query.
    back: bool,
}

/// A place in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    at: i64,
    id: Uuid,
}

impl Position {
    fn of(entry: &Entry) -> Self {
        Self { at: entry.at.micros(), id: entry.id.uuid() }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let way = if self.back { 'p' } else { 'n' };
        write!(f, "{way}{:x}-{}", self.position.at, self.position.id.simple())
    }
}

/// The text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor that an earlier answer gave")]
pub struct NotACursor;

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let (back, rest) = match text.split_at_checked(1) {
            Some(("n", rest)) => (false, rest),
            Some(("p", rest)) => (true, rest),
            _ => return Err(NotACursor),
        };
        let (at, id) = rest.split_once('-').ok_or(NotACursor)?;
        let at = u64::from_str_radix(at, 16).map_err(|_| NotACursor)?.cast_signed();
        let id = Uuid::try_parse(id).map_err(|_| NotACursor)?;
        Ok(Self { position: Position { at, id }, back })
    }
}

/// One walk along an index.
struct Source {
    newest: &'static Statement,
    oldest: &'static Statement,
    key: Option<String>,
}

/// A direction of time, with where a walk begins and what it does not reach.
#[derive(Clone, Copy)]
struct Way {
    newest_first: bool,
    start: Position,
    bound: i64,
}

/// A page of the entries of `tenant`.
///
/// # Errors
/// Those of the store.
pub async fn find(store: &Store, tenant: TenantId, query: Query) -> Result<Page, Error> {
    // A walk of one index that compares nothing reads what it answers; anything else may read far more.
    let light = names_one_index(&query.filter);
    let page = async move |tx: &mut Tx<'_>| page(tx, tenant, &query).await;
    if light { store.read(page).await } else { store.scan(page).await }
}

async fn page(tx: &mut Tx<'_>, tenant: TenantId, query: &Query) -> Result<Page, Error> {
    let back = query.start.is_some_and(|cursor| cursor.back);
    let newest_first = (query.order == Order::NewestFirst) != back;
    let way = Way::new(newest_first, &query.filter, query.start);
    let sources = sources(tx, tenant, &query.filter).await?;
    let limit = usize::from(query.limit.clamp(1, MAX_LIMIT));
    let (mut entries, more) = walk(tx, tenant, &query.filter, &sources, (way, limit)).await?;
    // On the way back: where the first of this page ends. Coming from somewhere, there is something behind.
    let here = entries.first().map(Position::of).or(query.start.map(|cursor| cursor.position));
    let behind = query.start.and(here);
    let (ahead, behind) = (more.map(|p| (p, back)), behind.map(|p| (p, !back)));
    if back {
        entries.reverse();
    }
    let (next, previous) = if back { (behind, ahead) } else { (ahead, behind) };
    let cursor = |(position, back)| Cursor { position, back };
    Ok(Page { entries, next: next.map(cursor), previous: previous.map(cursor) })
}

impl Way {
    /// From the cursor, or from the end of the range that the filter leaves.
    fn new(newest_first: bool, filter: &Filter, start: Option<Cursor>) -> Self {
        let from = filter.from.map_or(i64::MIN, |from| from.micros());
        let before = filter.before.map_or(i64::MAX, |before| before.micros());
        // Before the least identifier of the moment, so that the first statement finds exactly `at < before`, and
        // `at >= from` the other way: no entry has the nil identifier.
        let (edge, bound) = if newest_first { (before, from) } else { (from, before) };
        let edge = Position { at: edge, id: Uuid::nil() };
        let start = start.map_or(edge, |cursor| {
            if newest_first { cursor.position.min(edge) } else { cursor.position.max(edge) }
        });
        Self { newest_first, start, bound }
    }

    fn compare(self, a: Position, b: Position) -> Ordering {
        if self.newest_first { b.cmp(&a) } else { a.cmp(&b) }
    }
}

/// Walks all sources at once from where the way begins, until `limit` entries are found, nothing is left, or enough was
/// looked at. Answers where to go on, if there may be more.
async fn walk(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    filter: &Filter,
    sources: &[Source],
    (way, limit): (Way, usize),
) -> Result<(Vec<Entry>, Option<Position>), Error> {
    let chunk = if names_one_index(filter) { limit.saturating_add(1) } else { CHUNK / sources.len().max(1) };
    let chunk = chunk.clamp(20, CHUNK + 1);
    let (mut found, mut examined, mut position) = (Vec::new(), 0_usize, way.start);
    loop {
        let mut batch = Vec::new();
        // Beyond the nearest end of a chunk, that source may have entries which the others' would wrongly precede.
        let mut horizon: Option<Position> = None;
        for source in sources {
            let rows = source.rows(tx, tenant, Way { start: position, ..way }, chunk).await?;
            if let Some(last) = rows.last().map(Position::of).filter(|_| rows.len() == chunk) {
                horizon = Some(match horizon {
                    Some(nearer) if way.compare(nearer, last).is_lt() => nearer,
                    _ => last,
                });
            }
            batch.extend(rows);
        }
        batch.sort_by(|a, b| way.compare(Position::of(a), Position::of(b)));
        batch.retain(|entry| horizon.is_none_or(|end| way.compare(Position::of(entry), end).is_le()));
        examined = examined.saturating_add(batch.len());
        for entry in batch.into_iter().filter(|entry| filter.matches(entry)) {
            if found.len() == limit {
                let end = found.last().map(Position::of);
                return Ok((found, end));
            }
            found.push(entry);
        }
        match horizon {
            None => return Ok((found, None)),
            Some(end) if examined >= MAX_EXAMINED => return Ok((found, Some(end))),
            Some(end) => position = end,
        }
    }
}

impl Source {
    async fn rows(
        &self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        way: Way,
        limit: usize,
    ) -> Result<Vec<Entry>, Error> {
        let statement = if way.newest_first { self.newest } else { self.oldest };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (at, id, bound) = (way.start.at, way.start.id, way.bound);
        match &self.key {
            None => tx.query(statement, &params![tenant, at, id, bound, limit], Entry::from_row).await,
            Some(key) => {
                tx.query(statement, &params![tenant, at, id, bound, limit, key], Entry::from_row).await
            }
        }
    }
}

/// Whether one index finds exactly what the filter means.
fn names_one_index(filter: &Filter) -> bool {
    let patterns = match filter.actions.as_slice() {
        [] => 0,
        [ActionPattern::Exact(_)] => 1,
        _ => 2,
    };
    let named = [
        filter.actor_id.is_some(),
        filter.target_id.is_some(),
        filter.request_id.is_some(),
        filter.outcome == Some(Outcome::Refused),
    ];
    let compared = filter.actor_kind.is_some()
        || filter.target_kind.is_some()
        || filter.outcome == Some(Outcome::Success);
    !compared && patterns + named.into_iter().filter(|named| *named).count() <= 1
}

/// The walks that find everything that the filter means, along the index that finds the least else.
async fn sources(tx: &mut Tx<'_>, tenant: TenantId, filter: &Filter) -> Result<Vec<Source>, Error> {
    use schema as s;
    let one = |newest, oldest, key: Option<&String>| vec![Source { newest, oldest, key: key.cloned() }];
    Ok(if filter.request_id.is_some() {
        one(&s::NEWEST_BY_REQUEST, &s::OLDEST_BY_REQUEST, filter.request_id.as_ref())
    } else if filter.target_id.is_some() {
        one(&s::NEWEST_BY_TARGET, &s::OLDEST_BY_TARGET, filter.target_id.as_ref())
    } else if filter.actor_id.is_some() {
        one(&s::NEWEST_BY_ACTOR, &s::OLDEST_BY_ACTOR, filter.actor_id.as_ref())
    } else if !filter.actions.is_empty() {
        let by_action =
            |action| Source { newest: &s::NEWEST_BY_ACTION, oldest: &s::OLDEST_BY_ACTION, key: Some(action) };
        actions(tx, tenant, &filter.actions).await?.into_iter().map(by_action).collect()
    } else if filter.outcome == Some(Outcome::Refused) {
        one(&s::NEWEST_REFUSED, &s::OLDEST_REFUSED, None)
    } else {
        one(&s::NEWEST, &s::OLDEST, None)
    })
}

/// The actions that the patterns mean and that the log has.
async fn actions(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    patterns: &[ActionPattern],
) -> Result<BTreeSet<String>, Error> {
    let mut actions = BTreeSet::new();
    for pattern in patterns {
        match pattern {
            ActionPattern::Exact(action) => drop(actions.insert(action.clone())),
            ActionPattern::Prefix(prefix) => {
                // The slash follows the dot in the order of bytes.
                let end = format!("{}/", prefix.strip_suffix('.').unwrap_or(prefix));
                let row = |row: &keyreeve_store::Row<'_>| row.get::<String>(0);
                let found =
                    tx.query(&schema::ACTIONS, &params![tenant, prefix, &end, MAX_ACTIONS], row).await?;
                actions.extend(found);
            }
        }
    }
    Ok(actions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyreeve_base::Timestamp;

    #[test]
    fn a_cursor_reads_back_what_it_prints() {
        for (at, back) in [(0, false), (1_700_000_000_000_000, true), (-5, false), (i64::MIN, true)] {
            let cursor = Cursor { position: Position { at, id: Uuid::from_u128(7) }, back };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for bad in ["", "n", "n-", "x0-00000000000000000000000000000007", "n0-7", "é", "n-1-00", "nzz-00"] {
            assert_eq!(bad.parse::<Cursor>(), Err(NotACursor), "{bad}");
        }
    }

    #[test]
    fn a_cursor_does_not_lead_out_of_the_range() {
        let filter = Filter { from: Some(Timestamp::from_micros(10)), ..Filter::default() };
        let early = Cursor { position: Position { at: 3, id: Uuid::max() }, back: false };
        assert_eq!(Way::new(false, &filter, Some(early)).start, Position { at: 10, id: Uuid::nil() });
    }
}
