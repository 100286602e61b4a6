//! Lists of what a tenant has few of: read whole, and then filtered, ordered and cut into pages.

use crate::{MAX_PAGE, SecretCursor, Sort};
use keyreeve_filter::{Filter, Value};
use keyreeve_identity::search::Direction;

/// What stores and service authentications are searched by. What one of the two does not have matches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordField {
    /// The identifier.
    Id,
    /// The name.
    Name,
    /// The address of the server.
    Url,
    /// The mount, of the store or of the method.
    Mount,
    /// The namespace.
    Namespace,
    /// The service authentication of a store.
    Authentication,
    /// The method of a service authentication.
    Method,
    /// The role of one.
    RoleId,
    /// When it was made.
    CreatedAt,
    /// When it was last changed.
    UpdatedAt,
}

/// What is searched for.
#[derive(Debug, Clone, Default)]
pub struct RecordSearch {
    /// What matches; everything, without one.
    pub filter: Option<Filter<RecordField>>,
    /// The order.
    pub sort: (Sort, Direction),
    /// Where the page begins.
    pub after: Option<SecretCursor>,
    /// How many it holds, from 1 to 500.
    pub limit: u16,
}

/// A page of what was found.
#[derive(Debug, Clone)]
pub struct FoundRecords<T> {
    /// What it holds, in order.
    pub items: Vec<T>,
    /// Where the next page begins; none after the last.
    pub next: Option<SecretCursor>,
}

/// What can be listed so.
pub(crate) trait Record {
    /// The key of its row, and its name.
    fn place(&self) -> (i64, &str);
    /// What it has in a field.
    fn text(&self, field: RecordField) -> Option<String>;
}

pub(crate) fn page_of<T: Record>(rows: Vec<T>, search: &RecordSearch) -> FoundRecords<T> {
    let (sort, direction) = search.sort;
    let place = |record: &T| {
        let (key, name) = record.place();
        (if sort == Sort::Name { name.to_owned() } else { String::new() }, key)
    };
    let matches = |record: &T| {
        let values = |field: &RecordField| record.text(*field).map(Value::Text).into_iter().collect();
        search.filter.as_ref().is_none_or(|filter| filter.matches(&values))
    };
    let behind = |record: &T| {
        search.after.as_ref().is_none_or(|after| {
            let (own, after) = (place(record), (after.name.clone(), after.key));
            if direction == Direction::Descending { own < after } else { own > after }
        })
    };
    let mut items: Vec<T> = rows.into_iter().filter(|record| behind(record) && matches(record)).collect();
    items.sort_by_cached_key(place);
    if direction == Direction::Descending {
        items.reverse();
    }
    let limit = usize::from(search.limit.clamp(1, MAX_PAGE));
    let more = items.len() > limit;
    items.truncate(limit);
    let cursor = |record: &T| {
        let (name, key) = place(record);
        SecretCursor { key, name }
    };
    let next = if more { items.last().map(cursor) } else { None };
    FoundRecords { items, next }
}
