//! Bulk requests (RFC 7644 section 3.7): operations that are carried out one by one, each in a transaction of its own.
//!
//! An operation that refers to what another one makes (`bulkId:…`) waits for that one, wherever it stands; operations that
//! wait for each other in a circle, or for one that failed, are answered 409.

use crate::answer;
use crate::call::{Call, Versions};
use crate::document::shown;
use crate::error::{ScimError, ScimType};
use crate::limits::MAX_BULK_OPERATIONS;
use crate::patch::{self, take};
use crate::resources::{groups, users};
use crate::schema::Resource;
use http::StatusCode;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};

const REQUEST_URN: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const RESPONSE_URN: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";
const REFERENCE: &str = "bulkId:";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Post,
    Put,
    Patch,
    Delete,
}

/// One operation as it was sent.
struct Operation {
    method: Method,
    bulk_id: Option<String>,
    path: String,
    versions: Versions,
    data: Value,
}

/// What came of an operation.
struct Done {
    status: StatusCode,
    location: Option<String>,
    version: Option<i64>,
    error: Option<Value>,
}

/// Carries out a bulk request.
///
/// # Errors
/// `invalidSyntax` for what is none; 413 `tooMany` for more operations than are taken.
pub(crate) async fn run(call: &Call, body: Value) -> Result<Value, ScimError> {
    let (operations, fail_on_errors) = read(body)?;
    let mut made: HashMap<String, String> = HashMap::new();
    let mut failed: BTreeSet<String> = BTreeSet::new();
    let mut answers: Vec<Option<Value>> = operations.iter().map(|_| None).collect();
    let mut waiting: Vec<usize> = (0..operations.len()).collect();
    let mut errors = 0_usize;
    let expected: BTreeSet<String> =
        operations.iter().filter_map(|operation| operation.bulk_id.clone()).collect();
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut still = Vec::new();
        for at in std::mem::take(&mut waiting) {
            let Some(operation) = operations.get(at) else { continue };
            if fail_on_errors.is_some_and(|limit| errors >= limit) {
                break;
            }
            let needs = operation.needs();
            let comes = |id: &String| expected.contains(id) && !made.contains_key(id) && !failed.contains(id);
            if needs.iter().any(comes) {
                still.push(at);
                continue;
            }
            let done = if needs.iter().all(|id| made.contains_key(id)) {
                operation.carry_out(call, &made).await
            } else {
                Done::error(&unresolved())
            };
            errors = errors.saturating_add(usize::from(done.error.is_some()));
            operation.note(&done, &mut made, &mut failed);
            if let Some(answer) = answers.get_mut(at) {
                *answer = Some(operation.answer(done));
            }
        }
        // Nobody got any further: those who are left wait for each other.
        if still.len() == before {
            for at in still {
                if let (Some(operation), Some(answer)) = (operations.get(at), answers.get_mut(at)) {
                    *answer = Some(operation.answer(Done::error(&unresolved())));
                }
            }
            break;
        }
        waiting = still;
    }
    let answers: Vec<Value> = answers.into_iter().flatten().collect();
    Ok(json!({"schemas": [RESPONSE_URN], "Operations": answers}))
}

fn unresolved() -> ScimError {
    ScimError::new(StatusCode::CONFLICT, "a bulkId that it refers to was not made")
}

fn read(body: Value) -> Result<(Vec<Operation>, Option<usize>), ScimError> {
    let Value::Object(mut members) = body else {
        return Err(ScimError::syntax("the request is no JSON object"));
    };
    let schemas = take(&mut members, "schemas");
    let named = |schema: &Value| schema.as_str().is_some_and(|text| text.eq_ignore_ascii_case(REQUEST_URN));
    if !schemas.as_ref().and_then(Value::as_array).is_some_and(|schemas| schemas.iter().any(named)) {
        return Err(ScimError::syntax(format!("schemas does not name {REQUEST_URN}")));
    }
    let fail_on_errors = match take(&mut members, "failOnErrors") {
        None | Some(Value::Null) => None,
        Some(value) => match value.as_u64().and_then(|limit| usize::try_from(limit).ok()) {
            Some(limit) if limit > 0 => Some(limit),
            _ => return Err(ScimError::value("failOnErrors must be a whole number above 0")),
        },
    };
    let Some(Value::Array(operations)) = take(&mut members, "Operations") else {
        return Err(ScimError::syntax("Operations must be an array"));
    };
    if operations.len() > MAX_BULK_OPERATIONS {
        let detail = format!("there are more than {MAX_BULK_OPERATIONS} Operations");
        return Err(ScimError::too_large(detail));
    }
    let mut ids = BTreeSet::new();
    let mut read = Vec::with_capacity(operations.len());
    for (at, operation) in operations.into_iter().enumerate() {
        let operation = Operation::read(at, operation)?;
        if operation.bulk_id.as_ref().is_some_and(|id| !ids.insert(id.clone())) {
            return Err(ScimError::value(format!("Operations[{at}].bulkId is that of another operation")));
        }
        read.push(operation);
    }
    Ok((read, fail_on_errors))
}

impl Operation {
    fn read(at: usize, operation: Value) -> Result<Self, ScimError> {
        let Value::Object(mut members) = operation else {
            return Err(ScimError::syntax(format!("Operations[{at}] is no JSON object")));
        };
        let mut text = |name: &str| match take(&mut members, name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.len() <= 1_000 => Ok(Some(text)),
            Some(_) => Err(ScimError::syntax(format!("Operations[{at}].{name} must be a short text"))),
        };
        let method = match text("method")?.map(|word| word.to_ascii_uppercase()).as_deref() {
            Some("POST") => Method::Post,
            Some("PUT") => Method::Put,
            Some("PATCH") => Method::Patch,
            Some("DELETE") => Method::Delete,
            _ => {
                let detail = format!("Operations[{at}].method must be POST, PUT, PATCH or DELETE");
                return Err(ScimError::syntax(detail));
            }
        };
        let bulk_id = text("bulkId")?;
        let Some(path) = text("path")? else {
            return Err(ScimError::syntax(format!("Operations[{at}].path is missing")));
        };
        if method == Method::Post && bulk_id.is_none() {
            return Err(ScimError::syntax(format!("Operations[{at}].bulkId is missing")));
        }
        let versions = text("version")?.map_or(Versions::None, |version| Versions::parse(&version));
        let data = take(&mut members, "data").unwrap_or(Value::Null);
        match members.keys().next() {
            Some(unknown) => {
                Err(ScimError::syntax(format!("Operations[{at}] has no member {}", shown(unknown))))
            }
            None => Ok(Self { method, bulk_id, path, versions, data }),
        }
    }

    /// The bulk identifiers that it refers to.
    fn needs(&self) -> BTreeSet<String> {
        let mut needs = BTreeSet::new();
        references(&self.data, &mut needs);
        needs.extend(self.path.split('/').filter_map(|part| part.strip_prefix(REFERENCE)).map(str::to_owned));
        needs
    }

    async fn carry_out(&self, call: &Call, made: &HashMap<String, String>) -> Done {
        match self.try_carry_out(call, made).await {
            Ok(done) => done,
            Err(error) => Done::error(&error),
        }
    }

    async fn try_carry_out(&self, call: &Call, made: &HashMap<String, String>) -> Result<Done, ScimError> {
        let data = resolved(self.data.clone(), made);
        let (kind, id) = self.target(made)?;
        call.writes(kind)?;
        let (id, versions) = (id.as_deref(), &self.versions);
        let done = |status, id: String, version| Done {
            status,
            location: Some(call.location(kind, id)),
            version: Some(version),
            error: None,
        };
        Ok(match (self.method, kind, id) {
            (Method::Post, Resource::User, None) => {
                let user = users::create(call, data).await?;
                done(StatusCode::CREATED, user.id.to_string(), user.version)
            }
            (Method::Post, Resource::Group, None) => {
                let group = groups::create(call, data).await?;
                done(StatusCode::CREATED, group.id.to_string(), group.version)
            }
            (Method::Put, Resource::User, Some(id)) => {
                let user = users::replace(call, id, versions, data).await?;
                done(StatusCode::OK, user.id.to_string(), user.version)
            }
            (Method::Put, Resource::Group, Some(id)) => {
                let group = groups::replace(call, id, versions, data).await?;
                done(StatusCode::OK, group.id.to_string(), group.version)
            }
            (Method::Patch, Resource::User, Some(id)) => {
                let user = users::patch(call, id, versions, &patch::read(data)?).await?;
                done(StatusCode::OK, user.id.to_string(), user.version)
            }
            (Method::Patch, Resource::Group, Some(id)) => {
                let group = groups::patch(call, id, versions, &patch::read(data)?).await?;
                done(StatusCode::OK, group.id.to_string(), group.version)
            }
            (Method::Delete, Resource::User, Some(id)) => {
                users::delete(call, id, versions).await?;
                Done { version: None, ..done(StatusCode::NO_CONTENT, id.to_owned(), 0) }
            }
            (Method::Delete, Resource::Group, Some(id)) => {
                groups::delete(call, id, versions).await?;
                Done { version: None, ..done(StatusCode::NO_CONTENT, id.to_owned(), 0) }
            }
            (Method::Post, _, Some(_)) | (Method::Put | Method::Patch | Method::Delete, _, None) => {
                return Err(ScimError::bad(ScimType::InvalidPath, "the path does not fit the method"));
            }
        })
    }

    /// The kind of resource and, unless it is to be made, which one.
    fn target(&self, made: &HashMap<String, String>) -> Result<(Resource, Option<String>), ScimError> {
        let wrong =
            || ScimError::bad(ScimType::InvalidPath, "the path is no /Users, /Groups or resource below");
        let mut parts = self.path.strip_prefix('/').ok_or_else(wrong)?.split('/');
        let kind = match parts.next() {
            Some("Users") => Resource::User,
            Some("Groups") => Resource::Group,
            _ => return Err(wrong()),
        };
        let id = parts.next().map(|id| {
            let of_bulk = id.strip_prefix(REFERENCE).and_then(|id| made.get(id));
            of_bulk.map_or_else(|| id.to_owned(), Clone::clone)
        });
        if parts.next().is_some() { Err(wrong()) } else { Ok((kind, id)) }
    }

    fn note(&self, done: &Done, made: &mut HashMap<String, String>, failed: &mut BTreeSet<String>) {
        let Some(bulk_id) = &self.bulk_id else { return };
        let id = done.location.as_deref().and_then(|location| location.rsplit('/').next());
        match (id, &done.error) {
            (Some(id), None) => drop(made.insert(bulk_id.clone(), id.to_owned())),
            _ => drop(failed.insert(bulk_id.clone())),
        }
    }

    /// RFC 7644 section 3.7.3: the place for all but a resource that could not be made; the document for errors.
    fn answer(&self, done: Done) -> Value {
        let method = match self.method {
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        };
        let mut members = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                members.insert(name.to_owned(), value);
            }
        };
        put("method", Some(method.into()));
        put("bulkId", self.bulk_id.clone().map(Into::into));
        put("location", done.location.map(Into::into));
        put("version", done.version.map(|version| answer::etag(version).into()));
        put("status", Some(done.status.as_u16().to_string().into()));
        put("response", done.error);
        Value::Object(members)
    }
}

impl Done {
    fn error(error: &ScimError) -> Self {
        Self { status: error.status, location: None, version: None, error: Some(error.document()) }
    }
}

/// Collects the bulk identifiers that a document refers to; it is as deep as the parser lets it be.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => found.extend(text.strip_prefix(REFERENCE).map(str::to_owned)),
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        Value::Object(members) => members.values().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The document with identifiers for bulk identifiers.
fn resolved(value: Value, made: &HashMap<String, String>) -> Value {
    match value {
        Value::String(text) => {
            let of_bulk = text.strip_prefix(REFERENCE).and_then(|id| made.get(id));
            Value::String(of_bulk.map_or(text.clone(), Clone::clone))
        }
        Value::Array(values) => values.into_iter().map(|value| resolved(value, made)).collect(),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name, resolved(value, made))).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "documents are written where they are used")]
    fn request(operations: Value) -> Value {
        json!({"schemas": [REQUEST_URN], "Operations": operations})
    }

    #[test]
    fn references_are_found_and_resolved_wherever_they_stand() {
        let data = json!({"members": [{"value": "bulkId:a"}, {"value": "x"}], "note": "bulkId:b"});
        let mut found = BTreeSet::new();
        references(&data, &mut found);
        assert_eq!(found, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
        let made = HashMap::from([("a".to_owned(), "1".to_owned())]);
        assert_eq!(
            resolved(data, &made),
            json!({"members": [{"value": "1"}, {"value": "x"}], "note": "bulkId:b"})
        );
        let (operations, _) =
            read(request(json!([{"method": "patch", "path": "/Users/bulkId:a", "data": {}}])))
                .unwrap_or_else(|_| unreachable!());
        assert_eq!(operations[0].needs(), BTreeSet::from(["a".to_owned()]));
        assert_eq!(operations[0].target(&made).unwrap(), (Resource::User, Some("1".to_owned())));
    }

    #[test]
    fn what_is_no_bulk_request_is_refused() {
        let post = json!({"method": "POST", "bulkId": "a", "path": "/Users", "data": {}});
        for (bad, status) in [
            (json!([]), 400),
            (json!({"Operations": []}), 400),
            (json!({"schemas": [REQUEST_URN]}), 400),
            (json!({"schemas": [REQUEST_URN], "Operations": [], "failOnErrors": 0}), 400),
            (request(json!([post, post])), 400),
            (request(json!([{"method": "POST", "path": "/Users"}])), 400),
            (request(json!([{"method": "GET", "path": "/Users"}])), 400),
            (request(json!([{"method": "PUT"}])), 400),
            (request(json!([{"method": "DELETE", "path": "/Users/1", "if": 1}])), 400),
            (
                request(json!(vec![
                    json!({"method": "DELETE", "path": "/Users/1"});
                    MAX_BULK_OPERATIONS + 1
                ])),
                413,
            ),
        ] {
            match read(bad.clone()) {
                Err(error) => assert_eq!(error.status, status, "{bad}"),
                Ok(_) => panic!("{bad}"),
            }
        }
    }
}
