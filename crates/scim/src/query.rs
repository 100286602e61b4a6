//! What a query asks for (RFC 7644 sections 3.4.2 and 3.4.3, RFC 9865): the same in a URL and in the body of `/.search`.

use crate::document::{Selection, shown};
use crate::error::{ScimError, ScimType};
use crate::limits::{DEFAULT_PAGE, MAX_PAGE};
use crate::patch::take;
use crate::schema::Resource;
use axum::extract::FromRequestParts;
use http::request::Parts;
use keyreeve_filter::{Filter, PatchPath, Path, parse};
use keyreeve_http::params::{ParamError, StrictQuery};
use keyreeve_identity::search::Direction;
use serde_json::Value;

const SEARCH_URN: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// At this resource, counted from 1.
    Index(u32),
    /// Where a cursor points; without one, at the beginning.
    Cursor(Option<String>),
}

/// A query, before anything is said of what its names mean.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    pub(crate) only: Vec<String>,
    pub(crate) without: Vec<String>,
    pub(crate) filter: Option<Filter<Path>>,
    pub(crate) sort: Option<(Path, Direction)>,
    pub(crate) start: Start,
    /// How many resources at most; none for the count alone.
    pub(crate) count: u16,
}

/// The parameters as they came.
#[derive(Debug, Default)]
struct Given {
    only: Vec<String>,
    without: Vec<String>,
    filter: Option<String>,
    sort_by: Option<String>,
    sort_order: Option<String>,
    start_index: Option<i64>,
    count: Option<i64>,
    cursor: Option<String>,
}

impl Query {
    /// What of a resource is shown.
    ///
    /// # Errors
    /// As [`Selection::read`].
    pub(crate) fn selection(&self, kind: Resource) -> Result<Selection, ScimError> {
        Selection::read(kind, &self.only, &self.without)
    }

    /// Reads the body of `/.search`.
    ///
    /// # Errors
    /// `invalidSyntax`, `invalidValue`, `invalidFilter`, `invalidPath`.
    pub(crate) fn read(body: Value) -> Result<Self, ScimError> {
        let Value::Object(mut members) = body else {
            return Err(ScimError::syntax("the request is no JSON object"));
        };
        let named =
            |schema: &Value| schema.as_str().is_some_and(|text| text.eq_ignore_ascii_case(SEARCH_URN));
        let schemas = take(&mut members, "schemas");
        if !schemas.as_ref().and_then(Value::as_array).is_some_and(|schemas| schemas.iter().any(named)) {
            return Err(ScimError::syntax(format!("schemas does not name {SEARCH_URN}")));
        }
        let given = Given {
            only: names(take(&mut members, "attributes"), "attributes")?,
            without: names(take(&mut members, "excludedAttributes"), "excludedAttributes")?,
            filter: text(take(&mut members, "filter"), "filter")?,
            sort_by: text(take(&mut members, "sortBy"), "sortBy")?,
            sort_order: text(take(&mut members, "sortOrder"), "sortOrder")?,
            start_index: number(take(&mut members, "startIndex"), "startIndex")?,
            count: number(take(&mut members, "count"), "count")?,
            cursor: text(take(&mut members, "cursor"), "cursor")?,
        };
        match members.keys().next() {
            Some(unknown) => Err(ScimError::syntax(format!("a search has no member {}", shown(unknown)))),
            None => given.check(),
        }
    }
}

impl Given {
    fn check(self) -> Result<Query, ScimError> {
        let filter =
            match self.filter {
                Some(text) => Some(parse(&text).map_err(|error| {
                    ScimError::bad(ScimType::InvalidFilter, format!("the filter, {error}"))
                })?),
                None => None,
            };
        let direction = match self.sort_order.as_deref() {
            None => Direction::Ascending,
            Some(text) if text.eq_ignore_ascii_case("ascending") => Direction::Ascending,
            Some(text) if text.eq_ignore_ascii_case("descending") => Direction::Descending,
            Some(_) => return Err(ScimError::value("sortOrder must be ascending or descending")),
        };
        let sort = match self.sort_by {
            None => None,
            Some(text) => {
                let invalid = |what: String| ScimError::bad(ScimType::InvalidPath, format!("sortBy: {what}"));
                let path = PatchPath::parse(&text).map_err(|error| invalid(error.to_string()))?;
                if path.filter.is_some() {
                    return Err(invalid("a filter cannot stand here".to_owned()));
                }
                Some((path.path(), direction))
            }
        };
        let start = match (self.start_index, self.cursor) {
            (Some(_), Some(_)) => return Err(ScimError::value("startIndex and cursor exclude each other")),
            (None, Some(cursor)) => Start::Cursor(Some(cursor).filter(|cursor| !cursor.is_empty())),
            // RFC 7644 section 3.4.2.4: what is less than 1 is 1.
            (index, None) => Start::Index(u32::try_from(index.unwrap_or(1).max(1)).unwrap_or(u32::MAX)),
        };
        // The same section: what is less than 0 is 0; and no page is larger than the largest.
        let count = self.count.unwrap_or(i64::from(DEFAULT_PAGE)).clamp(0, i64::from(MAX_PAGE));
        let count = u16::try_from(count).unwrap_or(MAX_PAGE);
        Ok(Query { only: self.only, without: self.without, filter, sort, start, count })
    }
}

fn text(value: Option<Value>, name: &str) -> Result<Option<String>, ScimError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ScimError::value(format!("{name} must be a text"))),
    }
}

fn names(value: Option<Value>, name: &str) -> Result<Vec<String>, ScimError> {
    let wrong = || ScimError::value(format!("{name} must be an array of texts"));
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) => {
            values.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

fn no_number(name: &str) -> ScimError {
    let kind = if name == "count" { ScimType::InvalidCount } else { ScimType::InvalidValue };
    ScimError::bad(kind, format!("{name} must be a whole number"))
}

fn number(value: Option<Value>, name: &str) -> Result<Option<i64>, ScimError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or_else(|| no_number(name)),
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = ScimError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ScimError> {
        // An empty cursor asks for the first page (RFC 9865 section 2); elsewhere an empty parameter is none.
        let query = parts.uri.query().unwrap_or_default();
        let empty_cursor = query.split('&').any(|pair| pair == "cursor" || pair == "cursor=");
        let StrictQuery(params) = StrictQuery::from_request_parts(parts, state)
            .await
            .map_err(|error: ParamError| ScimError::from(error))?;
        let owned = |name: &str| params.get(name).map(str::to_owned);
        let list = |name: &str| -> Vec<String> {
            let names = params.get(name).unwrap_or_default().split(',').map(str::trim);
            names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        let number = |name: &str| match params.get(name) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| no_number(name)),
        };
        Given {
            only: list("attributes"),
            without: list("excludedAttributes"),
            filter: owned("filter"),
            sort_by: owned("sortBy"),
            sort_order: owned("sortOrder"),
            start_index: number("startIndex")?,
            count: number("count")?,
            cursor: owned("cursor").or(empty_cursor.then(String::new)),
        }
        .check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    async fn url(query: &str) -> Result<Query, ScimError> {
        let uri: http::Uri = format!("/Users?{query}").parse().unwrap();
        let (mut parts, ()) = http::Request::builder().uri(uri).body(()).unwrap().into_parts();
        Query::from_request_parts(&mut parts, &()).await
    }

    fn body(mut members: Value) -> Result<Query, ScimError> {
        members["schemas"] = json!([SEARCH_URN]);
        Query::read(members)
    }

    #[tokio::test]
    async fn a_url_and_a_body_ask_for_the_same() {
        let in_url = url("attributes=userName,%20emails&filter=title%20pr&sortBy=userName&sortOrder=Descending&startIndex=5&count=7").await;
        let in_body = body(json!({
            "attributes": ["userName", "emails"], "filter": "title pr", "sortBy": "userName",
            "sortOrder": "descending", "startIndex": 5, "COUNT": 7,
        }));
        assert_eq!(in_url.unwrap(), in_body.unwrap());
    }

    #[tokio::test]
    async fn ac_56_pages_have_bounds_whatever_is_asked() {
        let page = async |query: &str| url(query).await.map(|query| (query.start, query.count));
        assert_eq!(page("").await.unwrap(), (Start::Index(1), DEFAULT_PAGE));
        assert_eq!(page("startIndex=0&count=0").await.unwrap(), (Start::Index(1), 0));
        assert_eq!(page("startIndex=-7&count=-7").await.unwrap(), (Start::Index(1), 0));
        let huge = i64::MAX;
        assert_eq!(
            page(&format!("startIndex={huge}&count={huge}")).await.unwrap(),
            (Start::Index(u32::MAX), MAX_PAGE)
        );
        assert_eq!(page("cursor").await.unwrap().0, Start::Cursor(None));
        assert_eq!(page("cursor=&count=5").await.unwrap(), (Start::Cursor(None), 5));
        assert_eq!(page("cursor=abc").await.unwrap().0, Start::Cursor(Some("abc".into())));
        for bad in [
            "count=x",
            "count=1.5",
            "startIndex=99999999999999999999",
            "startIndex=1&cursor",
            "sortOrder=up&sortBy=id",
            "sortBy=a%5Bb%20pr%5D",
            "filter=a",
            "count=1&count=2",
        ] {
            assert!(url(bad).await.is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_search_is_refused() {
        for bad in [
            json!({"count": "7"}),
            json!({"attributes": "id"}),
            json!({"attributes": [7]}),
            json!({"filter": 7}),
            json!({"limit": 7}),
            json!({"startIndex": 1, "cursor": ""}),
        ] {
            assert!(body(bad.clone()).is_err(), "{bad}");
        }
        assert!(Query::read(json!({"count": 7})).is_err());
        assert!(Query::read(json!([])).is_err());
        assert_eq!(body(json!({"cursor": ""})).unwrap().start, Start::Cursor(None));
    }
}
