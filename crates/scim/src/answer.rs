//! Answers: JSON of SCIM's media type that nobody may keep.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use keyreeve_http::front::ADDED_HEADERS;
use serde_json::{Value, json};

const SCIM_JSON: HeaderValue = HeaderValue::from_static("application/scim+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const LIST_URN: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// A document (RFC 7644 section 3.8).
pub(crate) fn json(status: StatusCode, document: &Value) -> Response {
    let mut response = Response::new(Body::from(document.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(4 + ADDED_HEADERS);
    headers.insert(header::CONTENT_TYPE, SCIM_JSON);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    response
}

/// An answer without a document.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The entity tag of a version: weak, since what a resource refers to is not counted in it.
pub(crate) fn etag(version: i64) -> String {
    format!("W/\"{version}\"")
}

/// A single resource, with its entity tag and, where it is new, its place.
pub(crate) fn resource(status: StatusCode, document: &Value, version: i64, location: &str) -> Response {
    let mut response = json(status, document);
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::try_from(etag(version)) {
        headers.insert(header::ETAG, tag);
    }
    if status == StatusCode::CREATED
        && let Ok(location) = HeaderValue::try_from(location)
    {
        headers.insert(header::LOCATION, location);
    }
    response
}

/// One page of a list (RFC 7644 section 3.4.2, RFC 9865 section 2).
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) resources: Vec<Value>,
    pub(crate) total: Option<u64>,
    /// The place of the first resource, where the list was asked for by index.
    pub(crate) start_index: Option<u32>,
    pub(crate) next_cursor: Option<String>,
}

impl Page {
    /// All there is, of a short list.
    pub(crate) fn whole(resources: Vec<Value>) -> Self {
        let total = u64::try_from(resources.len()).ok();
        Self { resources, total, start_index: Some(1), next_cursor: None }
    }

    pub(crate) fn into_document(self) -> Value {
        let mut document = json!({
            "schemas": [LIST_URN],
            "itemsPerPage": self.resources.len(),
            "Resources": self.resources,
        });
        if let Some(members) = document.as_object_mut() {
            let numbers = [
                ("totalResults", self.total.map(Value::from)),
                ("startIndex", self.start_index.map(Value::from)),
                ("nextCursor", self.next_cursor.map(Value::from)),
            ];
            members.extend(numbers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        }
        document
    }
}
