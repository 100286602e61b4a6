//! Lists that are searched: `?filter=` in the language of SCIM (RFC 7644 section 3.4.2.2), `?sort=`, `?count=`, and pages.

use crate::call::Call;
use crate::operation::{QueryKind, QueryParam};
use crate::paging::Paging;
use crate::refused::Refused;
use crate::reply::Reply;
use keyreeve_filter::{Filter, Path};
use keyreeve_identity::search::{Cursor, Direction, Found, Search, Start};
use serde::Serialize;

/// The parameters of a list that is searched, besides those of every list.
pub(crate) const SEARCHING: &[QueryParam] = &[
    QueryParam {
        name: "filter",
        description: "What matches, in the filter language of SCIM (RFC 7644 section 3.4.2.2), by the names of the members: \
            `username sw \"a\" and enabled eq true`. `attributes.NAME` stands for the values of an attribute.",
        kind: QueryKind::Text,
    },
    QueryParam {
        name: "sort",
        description: "The member that orders; with a `-` before it, from the greatest.",
        kind: QueryKind::Text,
    },
    QueryParam {
        name: "count",
        description: "Whether to say how many match altogether.",
        kind: QueryKind::OneOf(&["true", "false"]),
    },
];

/// The same without counting.
pub(crate) fn listing() -> &'static [QueryParam] {
    SEARCHING.split_last().map_or(&[], |(_, rest)| rest)
}

/// The search that is asked for, by the fields that `field` knows.
pub(crate) fn read<F>(
    call: &Call,
    field: impl Fn(&Path) -> Option<F>,
) -> Result<(Paging, Search<F>), Refused> {
    let paging = call.paging()?;
    let query = call.query();
    let filter = query.get("filter").map(|text| filter(text, &field)).transpose()?;
    let sort = match query.get("sort") {
        None => None,
        Some(text) => {
            let (name, direction) = match text.strip_prefix('-') {
                Some(name) => (name, Direction::Descending),
                None => (text, Direction::Ascending),
            };
            let by = field(&Path::new(name)).ok_or_else(|| {
                Refused::parameter(
                    "sort",
                    format!("there is no member {} to order by", shown(&Path::new(name))),
                )
            })?;
            Some((by, direction))
        }
    };
    let page = match &paging.after {
        None => Start::First,
        Some(text) => Start::After(
            Cursor::parse(text).map_err(|_| Refused::parameter("after", "is not the `next` of a page"))?,
        ),
    };
    let count = query.get("count") == Some("true");
    let search = Search { filter, sort, page, limit: paging.limit, count, ..Search::default() };
    Ok((paging, search))
}

/// A filter by the fields that `field` knows.
pub(crate) fn filter<F>(text: &str, field: impl Fn(&Path) -> Option<F>) -> Result<Filter<F>, Refused> {
    let unknown = |path: &Path| format!("there is no member {} to search by", shown(path));
    let parsed =
        keyreeve_filter::parse(text).map_err(|error| Refused::parameter("filter", error.to_string()))?;
    let resolved = parsed.resolve(&mut |path| field(path).ok_or_else(|| unknown(path)));
    resolved.map_err(|problem| Refused::parameter("filter", problem))
}

/// The page that was found.
pub(crate) fn reply<T, V: Serialize + for<'a> From<&'a T>>(
    paging: &Paging,
    found: Result<Found<T>, keyreeve_identity::Error>,
) -> Result<Reply, Refused> {
    use keyreeve_identity::Error;
    let found = found.map_err(|error| match error {
        Error::Invalid { field: field @ ("filter" | "sort"), problem } => Refused::parameter(field, problem),
        Error::Invalid { field: "cursor", problem } => Refused::parameter("after", problem),
        other => other.into(),
    })?;
    let items: Vec<V> = found.items.iter().map(V::from).collect();
    let next = found.next.map(|cursor| cursor.to_string());
    paging.reply(&items, next.as_deref(), found.total)
}

/// The attribute that `attributes.NAME` names.
pub(crate) fn attribute(path: &Path) -> Option<String> {
    path.name.eq_ignore_ascii_case("attributes").then(|| path.sub.clone()).flatten()
}

fn shown(path: &Path) -> String {
    let name: String = path.name.chars().filter(|c| !c.is_control()).take(60).collect();
    match &path.sub {
        Some(sub) => {
            format!("{name}.{}", sub.chars().filter(|c| !c.is_control()).take(60).collect::<String>())
        }
        None => name,
    }
}
