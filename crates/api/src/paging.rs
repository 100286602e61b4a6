//! Pages of lists: `?limit=&after=`, answered as `{items, next}` with a `Link` to the next page.

use crate::operation::{QueryKind, QueryParam};
use crate::refused::Refused;
use crate::reply::Reply;
use keyreeve_http::params::Params;
use serde::Serialize;

/// The entries of a page where nobody says how many.
pub(crate) const DEFAULT_LIMIT: u16 = 50;
/// The most entries of a page.
pub(crate) const MAX_LIMIT: u16 = 500;

/// The parameters of every list.
pub(crate) const PAGING: &[QueryParam] = &[
    QueryParam {
        name: "limit",
        description: "How many entries the page has at most; 50 where it is not said.",
        kind: QueryKind::Count { least: 1, most: MAX_LIMIT as u32 },
    },
    QueryParam { name: "after", description: "The `next` of the page before.", kind: QueryKind::Text },
];

/// What part of a list is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Paging {
    pub(crate) limit: u16,
    pub(crate) after: Option<String>,
    /// The query, without `after`.
    rest: String,
    path: String,
}

#[derive(Serialize)]
struct Page<'a, T> {
    items: &'a [T],
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

impl Paging {
    pub(crate) fn read(query: &Params, path: &str) -> Result<Self, Refused> {
        let limit = match query.get("limit") {
            None => DEFAULT_LIMIT,
            Some(text) => {
                number(text).filter(|limit| (1..=u32::from(MAX_LIMIT)).contains(limit)).map_or_else(
                    || Err(Refused::parameter("limit", format!("must be a number from 1 to {MAX_LIMIT}"))),
                    |limit| Ok(u16::try_from(limit).unwrap_or(MAX_LIMIT)),
                )?
            }
        };
        let mut rest = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in query.iter().filter(|(name, _)| *name != "after") {
            rest.append_pair(name, value);
        }
        let after = query.get("after").map(str::to_owned);
        Ok(Self { limit, after, rest: rest.finish(), path: path.to_owned() })
    }

    /// The place after which the page begins, where places are identifiers.
    pub(crate) fn after_id<T: keyreeve_base::id::Id>(&self) -> Result<Option<T>, Refused> {
        let Some(text) = &self.after else { return Ok(None) };
        let id =
            strict_uuid(text).ok_or_else(|| Refused::parameter("after", "is not the `next` of a page"))?;
        Ok(Some(T::from_uuid(id)))
    }

    /// The same where places are of several kinds.
    pub(crate) fn after_uuid(&self) -> Result<Option<uuid::Uuid>, Refused> {
        Ok(self.after_id::<keyreeve_base::UserId>()?.map(keyreeve_base::UserId::uuid))
    }

    /// One entry more than the page has: whether it is there tells whether there is a next page.
    pub(crate) fn with_one_more(&self) -> u16 {
        self.limit.saturating_add(1)
    }

    /// The answer out of [`Paging::with_one_more`] entries, each with its place.
    pub(crate) fn page<T, V: Serialize + for<'a> From<&'a T>>(
        &self,
        mut found: Vec<T>,
        place: impl Fn(&T) -> String,
    ) -> Result<Reply, Refused> {
        let more = found.len() > usize::from(self.limit);
        found.truncate(usize::from(self.limit));
        let next = if more { found.last().map(place) } else { None };
        let items: Vec<V> = found.iter().map(V::from).collect();
        self.reply(&items, next.as_deref(), None)
    }

    /// The answer out of these entries.
    pub(crate) fn reply<V: Serialize>(
        &self,
        items: &[V],
        next: Option<&str>,
        total: Option<u64>,
    ) -> Result<Reply, Refused> {
        Ok(Reply::ok(&Page { items, next, previous: None, total })?.next(self.link(next)))
    }

    /// The answer of a list that can be read both ways.
    pub(crate) fn reply_both_ways<V: Serialize>(
        &self,
        items: &[V],
        next: Option<&str>,
        previous: Option<&str>,
    ) -> Result<Reply, Refused> {
        Ok(Reply::ok(&Page { items, next, previous, total: None })?.next(self.link(next)))
    }

    fn link(&self, next: Option<&str>) -> Option<String> {
        next.map(|next| {
            let mut query = url::form_urlencoded::Serializer::new(self.rest.clone());
            query.append_pair("after", next);
            format!("{}?{}", self.path, query.finish())
        })
    }
}

/// A number as it is usually written: digits alone, no sign, no leading zero.
pub(crate) fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// An identifier in its one spelling: hyphens, lower case.
pub(crate) fn strict_uuid(text: &str) -> Option<uuid::Uuid> {
    let id = uuid::Uuid::try_parse(text).ok()?;
    (id.hyphenated().to_string() == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> Result<u16, Refused> {
        Paging::read(&Params::parse(text).unwrap(), "/x").map(|paging| paging.limit)
    }

    #[test]
    fn ac_56_only_sensible_limits_are_taken() {
        assert_eq!(limit("").unwrap(), 50);
        assert_eq!(limit("limit=1").unwrap(), 1);
        assert_eq!(limit("limit=500").unwrap(), 500);
        for bad in ["0", "501", "-1", "%2B1", "1e2", "01", "1.0", "x", "99999999999999999999"] {
            assert!(limit(&format!("limit={bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn identifiers_have_one_spelling() {
        assert!(strict_uuid("0190f0f0-0000-7000-8000-000000000001").is_some());
        for other in ["0190F0F0-0000-7000-8000-000000000001", "0190f0f0000070008000000000000001", "x", ""] {
            assert!(strict_uuid(other).is_none(), "{other}");
        }
    }
}
