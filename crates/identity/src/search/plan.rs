//! How a search is answered: what drives it (an index of few, or the order itself), what is left to be tested of each
//! row, and whether it may run on the thread that asks.

use super::compose::{Bound, Column, Field, Index, Link, Params, Table, unfit};
use super::cursor::Order;
use super::edges::{Edges, place};
use super::test::{attribute_name, condition};
use super::{Direction, MAX_OFFSET, MAX_PAGE, Search, Start};
use crate::Error;
use crate::directory::Party;
use crate::users::keys;
use keyreeve_base::TenantId;
use keyreeve_filter::{Filter, Op, Value};
use keyreeve_store::Statement;
use uuid::Uuid;

/// The order by identifiers; no field's tag.
const BY_ID: Order = Order(0);

/// A search as a statement.
pub(super) struct Plan {
    pub(super) statement: Statement,
    pub(super) params: Vec<Bound>,
    pub(super) order: Ordering,
    pub(super) limit: usize,
    /// Whether it is short whatever the tenant holds.
    pub(super) short: bool,
    /// Whether so few rows match that to count them costs nothing either.
    pub(super) few: bool,
    /// Where the statement tests only the next [`VISITED`] rows: the one that answers the last of them, if there are so
    /// many. The page goes on behind it, however little was found.
    pub(super) rest: Option<(Statement, Vec<Bound>)>,
}

/// How many rows a page tests at most.
const VISITED: i64 = 50_000;

/// By what a result is ordered.
#[derive(Clone, Copy)]
pub(super) struct Ordering {
    pub(super) order: Order,
    pub(super) descending: bool,
    pub(super) by: By,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Id,
    Text(&'static str),
    Time(&'static str),
}

/// Who asks, where that limits what is found.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub(super) tenant: TenantId,
    /// Whoever administers groups, and sees what is in them; none for whoever administers the tenant.
    pub(super) me: Option<Party>,
}

/// The statement of a page.
pub(super) fn page<F: Field>(search: &Search<F>, view: View) -> Result<Plan, Error> {
    let table = F::table();
    let driver = Driver::of(search, view);
    let (ordering, indexed) = ordering(search, &driver)?;
    let mut params = Params::of(view.tenant);
    let base = driver.from(table, view, &mut params)?;
    let Base { from, mut conditions, id } = base;
    conditions.extend(live(search));
    let mut edges = Edges::default();
    let mut tested = Vec::new();
    for part in search.filter.iter().flat_map(conjuncts) {
        if !(driver.answers(part) || driver.is_order() && edges.take(part, ordering.by)) {
            tested.push(part);
        }
    }
    let behind = match &search.page {
        Start::After(cursor) => Some(place(cursor, ordering)?),
        Start::First | Start::Offset(_) => None,
    };
    conditions.extend(edges.conditions(behind, ordering, id, &mut params));
    let offset = offset(search)?;
    let limit = search.limit.clamp(1, MAX_PAGE);
    let way = if ordering.descending { "DESC" } else { "ASC" };
    let (extra, by) = match ordering.by {
        By::Id => (String::new(), format!("{id} {way}")),
        By::Text(key) | By::Time(key) => (format!(", r.{key}"), format!("r.{key} {way}, r.id {way}")),
    };
    let indexed = indexed && !(search.include_archived && ordering.by != By::Id);
    let short =
        offset <= u32::from(MAX_PAGE) && driver.is_short(tested.is_empty(), indexed, ordering.by == By::Id);
    // Whoever counts reads everything anyway, and whoever pages by numbers expects full pages.
    let by_place = !search.count && !matches!(search.page, Start::Offset(_));
    let bounded = driver.is_order() && indexed && by_place && !tested.is_empty();
    let conditions = conditions.join(" AND ");
    let (from, conditions, rest) = if bounded {
        // Rows are read along the index, so many and no more, and tested then.
        let read = format!("{from} WHERE {conditions} ORDER BY {by}");
        let rest = read_behind(&format!("SELECT r.id{extra} FROM {read}"), &params);
        let visited = params.bind(Bound::Int(VISITED));
        (format!("(SELECT r.* FROM {read} LIMIT {visited}) AS r"), "1 = 1".to_owned(), Some(rest))
    } else {
        (from, conditions, None)
    };
    let mut conditions = vec![conditions];
    for part in tested {
        conditions.push(condition(part, &mut params)?);
    }
    let mut sql = format!(
        "SELECT {}{extra} FROM {from} WHERE {} ORDER BY {by} LIMIT {}",
        table.columns,
        conditions.join(" AND "),
        params.bind(Bound::Int(i64::from(limit).saturating_add(1)))
    );
    if offset > 0 {
        sql.push_str(" OFFSET ");
        sql.push_str(&params.bind(Bound::Int(i64::from(offset))));
    }
    Ok(Plan {
        statement: Statement::composed("identity::search::page", sql),
        params: params.done(),
        order: ordering,
        limit: usize::from(limit),
        short,
        few: matches!(driver, Driver::Set(_, ONE)),
        rest,
    })
}

/// The statement of the last row that a bounded page reads: with `read`, all rows in order.
fn read_behind(read: &str, params: &Params) -> (Statement, Vec<Bound>) {
    let mut params = params.clone();
    let skipped = params.bind(Bound::Int(VISITED.saturating_sub(1)));
    let sql = format!("{read} LIMIT 1 OFFSET {skipped}");
    (Statement::composed("identity::search::rest", sql), params.done())
}

fn offset<F>(search: &Search<F>) -> Result<u32, Error> {
    match search.page {
        Start::Offset(offset) if offset > MAX_OFFSET => {
            Err(Error::invalid("offset", format!("is larger than {MAX_OFFSET}; page by cursors")))
        }
        Start::Offset(offset) => Ok(offset),
        Start::First | Start::After(_) => Ok(0),
    }
}

/// The statement that counts all matches.
pub(super) fn count<F: Field>(search: &Search<F>, view: View) -> Result<(Statement, Vec<Bound>), Error> {
    let driver = Driver::of(search, view);
    let mut params = Params::of(view.tenant);
    let Base { from, mut conditions, .. } = driver.from(F::table(), view, &mut params)?;
    conditions.extend(live(search));
    for part in search.filter.iter().flat_map(conjuncts) {
        if !driver.answers(part) {
            conditions.push(condition(part, &mut params)?);
        }
    }
    let sql = format!("SELECT COUNT(*) FROM {from} WHERE {}", conditions.join(" AND "));
    Ok((Statement::composed("identity::search::count", sql), params.done()))
}

/// Whether anything but the view limits what is found.
pub(super) fn is_everything<F>(search: &Search<F>) -> bool {
    !search.include_archived
        && match &search.filter {
            None => true,
            Some(Filter::And(parts)) => parts.is_empty(),
            Some(_) => false,
        }
}

/// That a row is not archived, where that matters.
fn live<F: Field>(search: &Search<F>) -> Option<String> {
    let archived = F::table().archived.filter(|_| !search.include_archived)?;
    Some(format!("r.{archived} IS NULL"))
}

fn ordering<F: Field>(search: &Search<F>, driver: &Driver<'_, F>) -> Result<(Ordering, bool), Error> {
    let descending = |direction: &Direction| *direction == Direction::Descending;
    match (&search.sort, driver) {
        (Some((field, direction)), _) => by(field, descending(direction))
            .ok_or_else(|| Error::invalid("sort", format!("cannot be by {}", field.label()))),
        (None, Driver::Order(Some(field))) => {
            by(*field, false).ok_or_else(|| unfit("cannot be ordered by what it compares"))
        }
        (None, _) => Ok((Ordering { order: BY_ID, descending: false, by: By::Id }, true)),
    }
}

fn by<F: Field>(field: &F, descending: bool) -> Option<(Ordering, bool)> {
    let (by, indexed) = match field.column() {
        Column::Id => return Some((Ordering { order: BY_ID, descending, by: By::Id }, true)),
        Column::Key(column, index) => (By::Text(column), index),
        Column::Time(column, index) => (By::Time(column), index),
        Column::Plain(_)
        | Column::Flag(_)
        | Column::Reference(_)
        | Column::Linked(_)
        | Column::Attribute(..) => {
            return None;
        }
    };
    Some((Ordering { order: Order(field.tag()), descending, by }, indexed != Index::None))
}

/// What finds the rows.
enum Driver<'f, F> {
    /// The order of the result: rows are read along it and tested. With a field that the filter bounds, along that one.
    Order(Option<&'f F>),
    /// What this part of the filter names, by an index: how little that is, and whether in the order of identifiers.
    Set(&'f Filter<F>, u8),
    /// What whoever asks may see.
    Visible(&'static str),
}

/// The beginning of a statement.
struct Base {
    from: String,
    conditions: Vec<String>,
    /// The identifier, by the name under which the driver has it in order.
    id: &'static str,
}

/// Ranks of sets: at most one row for each term; as many as people have one name; any number.
const ONE: u8 = 1;
const SOME: u8 = 2;
const MANY: u8 = 3;

impl<'f, F: Field> Driver<'f, F> {
    fn of(search: &'f Search<F>, view: View) -> Self {
        if view.me.is_some()
            && let Some(visible) = F::table().visible
        {
            return Self::Visible(visible);
        }
        if search.include_archived {
            // The indexes know nothing of archived rows.
            return Self::Order(None);
        }
        let parts = || search.filter.iter().flat_map(conjuncts);
        let best =
            parts().filter_map(|part| rank(part).map(|rank| (part, rank))).min_by_key(|(_, rank)| *rank);
        match best {
            Some((part, rank)) => Self::Set(part, rank),
            None => Self::Order(parts().find_map(bounded)),
        }
    }

    const fn is_order(&self) -> bool {
        matches!(self, Self::Order(_))
    }

    /// Whether this part of the filter needs no test any more.
    fn answers(&self, part: &Filter<F>) -> bool {
        match self {
            Self::Set(driving, _) => std::ptr::eq(*driving, part),
            Self::Order(_) | Self::Visible(_) => false,
        }
    }

    fn from(&self, table: &Table, view: View, params: &mut Params) -> Result<Base, Error> {
        let set = match self {
            Self::Order(_) => {
                let from = format!("{} r", table.name);
                return Ok(Base { from, conditions: vec!["r.tenant_id = $1".to_owned()], id: "r.id" });
            }
            Self::Set(part, _) => selects(*part, table, params)?.join(" UNION "),
            Self::Visible(visible) => {
                let me = params.bind(Bound::Uuid(view.me.map_or(Uuid::nil(), Party::uuid)));
                visible.replace("{me}", &me)
            }
        };
        // A cross join, so that SQLite reads the set first; PostgreSQL knows by itself how small it is.
        let from = format!("({set}) AS d CROSS JOIN {} r", table.name);
        Ok(Base { from, conditions: vec!["r.id = d.id AND r.tenant_id = $1".to_owned()], id: "d.id" })
    }

    /// Whether a page costs the same whatever the tenant holds.
    fn is_short(&self, untested: bool, indexed_order: bool, by_id: bool) -> bool {
        match self {
            Self::Order(_) => untested && indexed_order,
            Self::Set(_, ONE) => true,
            // In the order of identifiers as they are found, if nothing is sifted out.
            Self::Set(part, _) => untested && by_id && !matches!(part, Filter::Or(_)),
            Self::Visible(_) => false,
        }
    }
}

/// The parts all of which have to match.
fn conjuncts<F>(filter: &Filter<F>) -> Vec<&Filter<F>> {
    match filter {
        Filter::And(parts) => parts.iter().flat_map(conjuncts).collect(),
        Filter::Within(_, inner) => conjuncts(inner),
        other => vec![other],
    }
}

/// How little a part of the filter leaves, if an index names it.
fn rank<F: Field>(part: &Filter<F>) -> Option<u8> {
    match part {
        Filter::Compare(field, Op::Eq, Value::Text(text)) if !text.contains('\0') => match field.column() {
            Column::Id | Column::Key(_, Index::Unique) => Some(ONE),
            Column::Key(_, Index::Many) => Some(SOME),
            Column::Linked(_) | Column::Attribute(..) => Some(MANY),
            Column::Key(_, Index::None)
            | Column::Plain(_)
            | Column::Flag(_)
            | Column::Time(..)
            | Column::Reference(_) => None,
        },
        Filter::Or(parts) if !parts.is_empty() => {
            parts.iter().map(rank).collect::<Option<Vec<_>>>()?.into_iter().max()
        }
        Filter::Within(_, inner) => rank(inner),
        _ => None,
    }
}

/// The field that a part of the filter bounds from one side at least, if an index is in its order.
fn bounded<F: Field>(part: &Filter<F>) -> Option<&F> {
    match part {
        Filter::Compare(field, Op::Sw | Op::Gt | Op::Ge | Op::Lt | Op::Le, Value::Text(_)) => {
            match field.column() {
                Column::Key(_, index) | Column::Time(_, index) if index != Index::None => Some(field),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The SELECTs of the identifiers that a part of the filter names, which has a [`rank`].
fn selects<F: Field>(part: &Filter<F>, table: &Table, params: &mut Params) -> Result<Vec<String>, Error> {
    match part {
        Filter::Or(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(selects(part, table, params)?);
            }
            Ok(all)
        }
        Filter::Within(_, inner) => selects(inner, table, params),
        Filter::Compare(field, Op::Eq, Value::Text(text)) => select(&field.column(), text, table, params),
        Filter::And(_) | Filter::Not(_) | Filter::Present(_) | Filter::Compare(..) => {
            Ok(vec![nothing(table)])
        }
    }
}

fn select(column: &Column<'_>, text: &str, table: &Table, params: &mut Params) -> Result<Vec<String>, Error> {
    let name = table.name;
    let linked = |link: &Link, value: &str, more: &str| {
        let Link { table, id, key } = link;
        format!("SELECT x.{id} AS id FROM {table} x WHERE x.tenant_id = $1{more} AND x.{key} = {value}")
    };
    Ok(match (column, Uuid::parse_str(text)) {
        (Column::Id, Ok(id)) => {
            let id = params.bind(Bound::Uuid(id));
            vec![format!("SELECT x.id AS id FROM {name} x WHERE x.id = {id}")]
        }
        (Column::Key(key, _), _) => {
            let live =
                table.archived.map(|archived| format!(" AND x.{archived} IS NULL")).unwrap_or_default();
            let value = params.text(keys::of_text(text));
            vec![format!(
                "SELECT x.id AS id FROM {name} x WHERE x.tenant_id = $1 AND x.{key} = {value}{live}"
            )]
        }
        (Column::Linked(links), Ok(id)) => {
            let id = params.bind(Bound::Uuid(id));
            links.iter().map(|link| linked(link, &id, "")).collect()
        }
        (Column::Attribute(link, attribute), _) => {
            let attribute = attribute_name(attribute, params)?;
            let value = params.text(keys::of_value(text));
            vec![linked(link, &value, &format!(" AND x.name = {attribute}"))]
        }
        _ => vec![nothing(table)],
    })
}

/// No identifiers.
fn nothing(table: &Table) -> String {
    format!("SELECT x.id AS id FROM {} x WHERE 1 = 0", table.name)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
