//! What can be done with users and groups: each function reads a document, calls one use case of the room, and shows what
//! came of it. HTTP and bulk requests both come here.

pub(crate) mod groups;
pub(crate) mod members;
pub(crate) mod users;

use crate::answer;
use crate::call::Call;
use crate::document::{Document, Selection};
use crate::error::ScimError;
use crate::schema::Resource;
use http::StatusCode;
use keyreeve_base::Timestamp;
use keyreeve_identity::Error as IdentityError;
use serde_json::{Value, json};

/// How often a change is worked out anew when somebody else was faster.
const ATTEMPTS: usize = 5;

/// A resource as an answer shows it.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) document: Value,
    pub(crate) version: i64,
    pub(crate) location: String,
}

/// What every resource says of itself.
struct About {
    kind: Resource,
    id: String,
    created: Timestamp,
    changed: Timestamp,
    version: i64,
}

impl About {
    /// Completes a document and shows what was asked for.
    fn show(self, call: &Call, mut document: Document, selection: &Selection) -> Shown {
        let Self { kind, id, created, changed, version } = self;
        let location = call.location(kind, &id);
        let mut schemas = vec![Value::from(kind.core().id)];
        schemas.extend(
            kind.extensions()
                .iter()
                .filter(|schema| document.contains_key(schema.id))
                .map(|schema| schema.id.into()),
        );
        document.insert("schemas".to_owned(), schemas.into());
        document.insert("id".to_owned(), id.into());
        document.insert(
            "meta".to_owned(),
            json!({
                "resourceType": kind.name(),
                "created": created.to_string(),
                "lastModified": changed.to_string(),
                "location": location,
                "version": answer::etag(version),
            }),
        );
        Shown { document: Value::Object(selection.of(kind, document)), version, location }
    }
}

/// Who changes a resource without naming the version that is changed is not told of others who were faster: the change is
/// worked out anew, so often.
fn attempts(held: bool) -> std::ops::Range<usize> {
    0..if held { 1 } else { ATTEMPTS }
}

/// What became of a change; none when it is to be tried again.
fn settled<T>(held: bool, done: Result<T, IdentityError>) -> Option<Result<T, IdentityError>> {
    match done {
        Err(IdentityError::VersionConflict) if !held => None,
        done => Some(done),
    }
}

fn contended() -> ScimError {
    ScimError::new(StatusCode::CONFLICT, "the resource is being changed by others; try again")
}
