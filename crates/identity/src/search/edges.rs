//! The stretch of an index that a page reads: from where to where along the column that orders it. An engine starts at
//! one lower bound; so the strongest of the filter's and the cursor's is worked out here, and nothing else is said.

use super::compose::{Bound, Column, Field, MISSING, Params};
use super::cursor::{Cursor, Key};
use super::plan::{By, Ordering};
use super::test::moment;
use crate::Error;
use crate::users::keys;
use keyreeve_filter::{Filter, Op, Value};
use uuid::Uuid;

/// One end of the stretch.
struct Edge {
    key: Key,
    inclusive: bool,
}

/// Both ends, as far as the filter sets them.
#[derive(Default)]
pub(super) struct Edges {
    lower: Option<Edge>,
    upper: Option<Edge>,
}

/// The place of the last match of the page before.
pub(super) struct Place {
    key: Key,
    id: Uuid,
}

/// The place that a cursor names in this order.
///
/// # Errors
/// [`Error::Invalid`] for the cursor of another order.
pub(super) fn place(cursor: &Cursor, ordering: Ordering) -> Result<Place, Error> {
    let fits = matches!(
        (ordering.by, &cursor.key),
        (By::Id, Key::None) | (By::Text(_), Key::Text(_)) | (By::Time(_), Key::Int(_))
    );
    if !fits || (cursor.order, cursor.descending) != (ordering.order, ordering.descending) {
        return Err(Error::invalid("cursor", "belongs to another order"));
    }
    Ok(Place { key: cursor.key.clone(), id: cursor.id })
}

impl Edges {
    /// Takes what this part of the filter says about the column that orders; false if it says something else.
    pub(super) fn take<F: Field>(&mut self, part: &Filter<F>, by: By) -> bool {
        let Filter::Compare(field, op, Value::Text(text)) = part else { return false };
        if text.contains('\0') {
            return false;
        }
        let key = match (field.column(), by) {
            (Column::Key(column, _), By::Text(ordering)) if column == ordering => {
                Key::Text(keys::of_text(text))
            }
            (Column::Time(column, _), By::Time(ordering)) if column == ordering => match moment(text) {
                Some(at) if *op != Op::Sw => Key::Int(at),
                _ => return false,
            },
            _ => return false,
        };
        let (lower, upper) = match (op, &key) {
            (Op::Sw, Key::Text(text)) => {
                let end = Key::Text(format!("{text}{MISSING}"));
                (Some(Edge { key, inclusive: true }), Some(Edge { key: end, inclusive: false }))
            }
            (Op::Gt | Op::Ge, _) => {
                // What has no value comes last, and is not greater than anything.
                let end = matches!(key, Key::Text(_))
                    .then(|| Edge { key: Key::Text(MISSING.to_owned()), inclusive: false });
                (Some(Edge { key, inclusive: *op == Op::Ge }), end)
            }
            (Op::Lt | Op::Le, _) => (None, Some(Edge { key, inclusive: *op == Op::Le })),
            _ => return false,
        };
        self.lower = stronger(self.lower.take(), lower, |new, old| new > old);
        self.upper = stronger(self.upper.take(), upper, |new, old| new < old);
        true
    }

    /// The conditions of the stretch, which begins behind `behind`.
    pub(super) fn conditions(
        self,
        behind: Option<Place>,
        ordering: Ordering,
        id: &str,
        params: &mut Params,
    ) -> Vec<String> {
        let column = match ordering.by {
            By::Id => {
                let symbol = if ordering.descending { "<" } else { ">" };
                let behind =
                    behind.map(|place| format!("{id} {symbol} {}", params.bind(Bound::Uuid(place.id))));
                return behind.into_iter().collect();
            }
            By::Text(column) | By::Time(column) => column,
        };
        let Self { lower, upper } = self;
        let (mut lower, mut upper) = (lower, upper);
        let mut conditions = Vec::new();
        if let Some(Place { key, id }) = behind {
            let near = if ordering.descending { &mut upper } else { &mut lower };
            let inside = near.as_ref().is_none_or(|edge| {
                let beyond = if ordering.descending { key < edge.key } else { key > edge.key };
                beyond || (key == edge.key && edge.inclusive)
            });
            if inside {
                *near = None;
                let symbol = if ordering.descending { "<" } else { ">" };
                let (key, id) = (bind(key, params), params.bind(Bound::Uuid(id)));
                conditions.push(format!("(r.{column}, r.id) {symbol} ({key}, {id})"));
            }
        }
        for (edge, open, closed) in [(lower, ">", ">="), (upper, "<", "<=")] {
            if let Some(Edge { key, inclusive }) = edge {
                let symbol = if inclusive { closed } else { open };
                conditions.push(format!("r.{column} {symbol} {}", bind(key, params)));
            }
        }
        conditions
    }
}

fn stronger(old: Option<Edge>, new: Option<Edge>, beats: fn(&Key, &Key) -> bool) -> Option<Edge> {
    match (old, new) {
        (Some(old), Some(new)) => {
            let wins = beats(&new.key, &old.key) || (new.key == old.key && old.inclusive && !new.inclusive);
            Some(if wins { new } else { old })
        }
        (old, new) => old.or(new),
    }
}

fn bind(key: Key, params: &mut Params) -> String {
    params.bind(match key {
        Key::Text(text) => Bound::Text(text),
        Key::Int(number) => Bound::Int(number),
        // Only the order by identifiers has no key.
        Key::None => Bound::Int(0),
    })
}
