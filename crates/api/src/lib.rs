//! The native REST API, below `/api/v1` and `/t/{tenant}/api/v1`.
//!
//! | module | what |
//! |---|---|
//! | `operation` | one value for each operation: its route, scope, authority, parameters, documents, answers |
//! | `call` | what is done before every handler: caller, rate, scope, parameters, body |
//! | `policy` | the questions that operations ask of the caller's authority, answered in one place |
//! | `refused`, `reply` | every answer: problem documents (RFC 9457), and what was asked for |
//! | `body`, `paging`, `search`, `when` | strict JSON and merge patches, pages, filters, moments |
//! | `openapi`, `reference` | the OpenAPI 3.1 document, and the page that shows it to people |
//! | `authzen` | the OpenID Authorization API 1.0, below `/access/v1` |
//! | `resources` | a file for each resource: its table, its documents, its handlers |
//!
//! What it is not: it holds no rule. A handler reads documents, makes one call of a room, and renders what came of it.
//!
//! # To add a resource
//!
//! 1. A file in `resources/` with a `table()` of operations, and its line in `resources::table`:
//!
//! ```ignore
//! Table::new("Widgets").add(
//!     Operation::patch("/api/v1/widgets/{id}", "update_widget")
//!         .says("Change a widget", "A JSON merge patch.")     // a line, and what is worth knowing besides
//!         .needs(scope::WIDGETS_WRITE, Asks::Tenant)          // the scope, and the question of authority
//!         .takes::<WidgetPatchDoc>()                          // the body; absent: none is read
//!         .answers::<WidgetDoc>("The widget as it is now.")   // or .pages, .creates; absent: 204
//!         .versioned()                                        // ETag, If-Match and If-None-Match
//!         .conflicts(),                                       // 409
//!     update,
//! )
//! ```
//!
//! 2. Documents: structs that derive `ToSchema` (`#[schema(as = Widget)]` names them, doc comments describe them) and
//!    `Serialize` or `Deserialize`, the latter with `deny_unknown_fields`. In a patch an optional field is a
//!    [`keyreeve_identity::Patch`] with `#[serde(default)]` and `#[schema(value_type = Option<T>)]`. Moments are `when::When`.
//! 3. Handlers: `async fn update(call: Call) -> Result<Reply, Refused>`. `call.id("id")?` is a part of the path, `call.body()?`
//!    the document, `call.paging()?` the page that is asked for, `call.if_match()?` the version, `call.cause().await?` who
//!    causes the change. Errors of rooms become answers by `?`.
//! 4. Authority: a question of the tenant is asked before the handler. One of a target is asked by the function of `policy`
//!    that finds the target (`call.user()`, `call.group()`), so that a handler cannot have the one without the other; a
//!    new kind of target gets a variant of `Asks` and such a function. What the caller may not see is
//!    [`Refused::not_found`](refused::Refused), what it sees and may not change is `not_allowed`.
//! 5. What makes something: the room calls `cause.claim(tx, world, (kind, id))` first in its transaction, and the
//!    handler reads the result through `call::Made`, which knows a repeated request. A secret is shown when it is made, not
//!    when the request is repeated.
//! 6. `docs/openapi.json` is written anew with `KEYREEVE_WRITE=1 cargo nextest run -p keyreeve-api`; the acceptance tests have
//!    a policy table with a line for each operation, written the same way.

mod authzen;
mod body;
mod call;
mod openapi;
mod operation;
mod paging;
mod policy;
mod reference;
mod refused;
mod reply;
mod resources;
mod search;
mod state;
mod when;

pub use call::Operator;
pub use state::ApiState;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use keyreeve_http::route::{Guard, Routes, TenantName};
use keyreeve_http::security_headers::Csp;
use std::sync::Arc;

/// What the paths of the native API begin with, below the root of a tenant.
const ROOT: &str = "/api/v1/";

/// Where the OpenAPI document is.
pub const OPENAPI_PATH: &str = "/api/v1/openapi.json";

/// Where the reference is.
const REFERENCE_PATH: &str = "/api/v1/";
const STYLE_PATH: &str = "/api/v1/reference.css";

/// The longest import, in bytes. It is read as it comes, and none of it is kept.
pub const MAX_IMPORT_BYTES: u64 = 64 * 1024 * 1024 * 1024;

/// Whether a path takes a body that is read as it comes.
#[must_use]
pub fn streams(path: &str) -> bool {
    path.ends_with("/api/v1/imports")
        || path.ends_with("/api/v1/sharing/load")
        || path.ends_with("/api/v1/secrets/import")
        || (path.contains("/api/v1/secrets/") && path.ends_with("/content"))
}

/// The route table of this door.
#[must_use]
pub fn routes(state: ApiState) -> Routes {
    let table = resources::table().merge(authzen::table());
    let document = Bytes::from(openapi());
    let description = openapi::document(&table.operations);
    let reference = Arc::<str>::from(reference::render(&description));
    let problems = Arc::<str>::from(reference::render_problems());
    let read = move |State(state): State<ApiState>, name: TenantName| {
        let document = document.clone();
        async move {
            let json = HeaderValue::from_static("application/json");
            public(&state, &name, ([(header::CONTENT_TYPE, json)], document)).await
        }
    };
    let tenanted = resources::secrets::public(table.routes)
        .get(OPENAPI_PATH, Guard::Public, "openapi", read)
        .get(REFERENCE_PATH, Guard::Public, "api_reference", page(reference))
        .get(refused::PROBLEMS_PATH, Guard::Public, "api_problems", page(problems))
        .get(authzen::WELL_KNOWN, Guard::Public, "authzen_configuration", authzen::configuration)
        .tenanted()
        .get(authzen::WELL_KNOWN_OF_TENANT, Guard::Public, "authzen_configuration", authzen::configuration);
    let style = async || {
        let css = HeaderValue::from_static("text/css; charset=utf-8");
        ([(header::CONTENT_TYPE, css)], reference::STYLE)
    };
    tenanted.get(STYLE_PATH, Guard::Public, "api_style", style).with_state(state)
}

type Answering = std::pin::Pin<Box<dyn Future<Output = Response> + Send>>;

/// A handler that answers a page that was rendered, with the address of the tenant in it.
fn page(
    rendered: Arc<str>,
) -> impl Fn(State<ApiState>, TenantName) -> Answering + Clone + Send + Sync + 'static {
    move |State(state), name| {
        let rendered = Arc::clone(&rendered);
        Box::pin(async move {
            let tenant = match state.tenant(&name).await {
                Ok(tenant) => tenant,
                Err(refused) => return refused.answer(None),
            };
            let text = rendered.replace(reference::ADDRESS, &state.tokens().issuer(&tenant));
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            let headers =
                [(header::CONTENT_TYPE, html), (header::CONTENT_SECURITY_POLICY, Csp::page().header())];
            (headers, text).into_response()
        })
    }
}

/// Answers what everyone may read, where there is such a tenant.
async fn public(state: &ApiState, name: &TenantName, answer: impl IntoResponse) -> Response {
    match state.tenant(name).await {
        Ok(_) => answer.into_response(),
        Err(refused) => refused.answer(None),
    }
}

/// Every operation.
fn operations() -> Vec<Arc<operation::Operation>> {
    resources::table().merge(authzen::table()).operations
}

/// The OpenAPI document, as text.
#[must_use]
pub fn openapi() -> String {
    let document = openapi::document(&operations());
    // Values that were made of texts and numbers always print.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Compares a committed file with what it is made from; with `KEYREEVE_WRITE` it is written.
    #[track_caller]
    fn committed(path: &str, made: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
        if std::env::var_os("KEYREEVE_WRITE").is_some() {
            std::fs::write(&path, made).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == made, "{} is not up to date: KEYREEVE_WRITE=1 writes it", path.display());
    }

    #[test]
    fn the_committed_document_is_the_one_that_is_served() {
        committed("docs/openapi.json", &openapi());
    }

    #[test]
    fn the_document_has_every_operation_whole() {
        let table = resources::table().merge(authzen::table());
        let document = openapi::document(&table.operations);
        let mut described = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                described += 1;
                let known = table
                    .routes
                    .specs()
                    .iter()
                    .any(|spec| spec.path == *path && spec.method.as_str().eq_ignore_ascii_case(method));
                assert!(known, "{method} {path} has no route");
                for member in ["summary", "operationId", "description"] {
                    assert!(
                        operation[member].as_str().is_some_and(|text| !text.is_empty()),
                        "{method} {path}: {member}"
                    );
                }
                let scope = operation["security"][0]["oauth2"][0].as_str().unwrap();
                let scopes = &document["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]
                    ["scopes"];
                assert!(scopes[scope].is_string(), "{method} {path}: {scope}");
                for status in ["400", "401", "403", "404", "429"] {
                    assert!(operation["responses"][status].is_object(), "{method} {path}: {status}");
                }
                if operation["requestBody"].is_object() {
                    for status in ["413", "415", "422"] {
                        assert!(operation["responses"][status].is_object(), "{method} {path}: {status}");
                    }
                }
            }
        }
        assert_eq!(described, table.routes.specs().len());
    }

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        fn walk(document: &serde_json::Value, part: &serde_json::Value) {
            match part {
                serde_json::Value::Object(members) => {
                    for (name, value) in members {
                        if let (true, Some(target)) = (name == "$ref", value.as_str()) {
                            let pointer = target.strip_prefix('#').unwrap();
                            assert!(document.pointer(pointer).is_some(), "{target}");
                        }
                        walk(document, value);
                    }
                }
                serde_json::Value::Array(items) => items.iter().for_each(|item| walk(document, item)),
                _ => {}
            }
        }
        let document = openapi::document(&operations());
        walk(&document, &document);
    }
}
