//! The OpenAPI 3.1 document, made from the operations.

use crate::call::IDEMPOTENCY_KEY;
use crate::operation::{Content, Operation, QueryKind, QueryParam, SchemaOf};
use http::{Method, StatusCode};
use keyreeve_tokens::scope;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::openapi::{RefOr, Schema};

const ABOUT: &str = "The native API of Keyreeve: tenants, users, groups, roles, service accounts, OAuth clients, sessions, \
    signing keys and the audit log.\n\nEvery operation exists twice: for the default tenant at the root, and below `/t/{tenant}` \
    for each other one. A call needs an access token of the tenant that is called, whose scope opens the operation and whose \
    holder has the authority that the operation asks for. What a caller may not see is answered like what does not exist.\n\n\
    Documents are read strictly: a member that is unknown or stands twice is refused. Lists come in pages; `next` and the `Link` \
    header lead on. An `ETag` is the version of what was read: send it in `If-Match` to change nothing that somebody else has \
    changed. Send an `Idempotency-Key` with what makes something: within 24 hours the same request makes it once. Refusals \
    are problem documents (RFC 9457).";

/// The document.
pub(crate) fn document(operations: &[Arc<Operation>]) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
    for operation in operations {
        let verb = operation.method.as_str().to_ascii_lowercase();
        paths.entry(operation.path).or_default().insert(verb, describe(operation));
        let described = [operation.body, content_schema(operation.content)];
        for schema in described.into_iter().flatten() {
            let mut collected: Vec<(String, RefOr<Schema>)> = Vec::new();
            (schema.collect)(&mut collected);
            for (name, schema) in collected {
                schemas.insert(name, serde_json::to_value(schema).unwrap_or_default());
            }
        }
    }
    schemas.insert("Problem".to_owned(), problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Keyreeve API",
            "version": "1",
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {"url": "/", "description": "The default tenant."},
            {
                "url": "/t/{tenant}",
                "description": "Another tenant.",
                "variables": {"tenant": {"default": "acme", "description": "The tenant's slug."}},
            },
        ],
        "tags": tags(operations),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": refusals(),
            "headers": headers(),
            "securitySchemes": {"oauth2": security()},
        },
    })
}

/// The headings, in the order of the operations.
fn tags(operations: &[Arc<Operation>]) -> Value {
    let mut tags: Vec<&str> = Vec::new();
    for operation in operations {
        if !tags.contains(&operation.tag) {
            tags.push(operation.tag);
        }
    }
    tags.into_iter().map(|tag| json!({"name": tag})).collect()
}

fn security() -> Value {
    let scopes: Map<String, Value> =
        scope::API_DESCRIBED.iter().map(|(scope, told)| ((*scope).to_owned(), json!(told))).collect();
    json!({
        "type": "oauth2",
        "description": "An access token of the tenant. `write` implies `read`, and `keyreeve:admin` implies every scope.",
        "flows": {
            "clientCredentials": {"tokenUrl": "/token", "scopes": scopes},
            "authorizationCode": {"authorizationUrl": "/authorize", "tokenUrl": "/token", "scopes": scopes},
        },
    })
}

const fn content_schema(content: Content) -> Option<SchemaOf> {
    match content {
        Content::One(schema) | Content::Page(schema) => Some(schema),
        Content::Nothing | Content::Stream(_) => None,
    }
}

fn reference(schema: SchemaOf) -> Value {
    json!({"$ref": format!("#/components/schemas/{}", (schema.name)())})
}

fn describe(operation: &Operation) -> Value {
    let mut responses = Map::new();
    for status in operation.statuses() {
        let answer = if status == operation.status {
            success(operation)
        } else {
            json!({"$ref": format!("#/components/responses/{}", status.as_str())})
        };
        responses.insert(status.as_str().to_owned(), answer);
    }
    let asks = operation.asks.told();
    let description = if operation.description.is_empty() {
        asks.to_owned()
    } else {
        format!("{}\n\n{asks}", operation.description)
    };
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": description,
        "security": [{"oauth2": [operation.scope]}],
        "parameters": parameters(operation),
        "responses": responses,
    });
    if let (Some(schema), Some(object)) = (operation.body, described.as_object_mut()) {
        let mut content = json!({"application/json": {"schema": reference(schema)}});
        if operation.method == Method::PATCH {
            content = json!({
                "application/merge-patch+json": {"schema": reference(schema)},
                "application/json": {"schema": reference(schema)},
            });
        }
        object.insert("requestBody".to_owned(), json!({"required": true, "content": content}));
    }
    if let (Some(kind), Some(object)) = (operation.stream, described.as_object_mut()) {
        let content = json!({kind: {"schema": {"type": "string"}}});
        object.insert("requestBody".to_owned(), json!({"required": true, "content": content}));
    }
    described
}

fn success(operation: &Operation) -> Value {
    let schema = match operation.content {
        Content::Nothing | Content::Stream(_) => None,
        Content::One(schema) => Some(reference(schema)),
        Content::Page(schema) => Some(page(&reference(schema))),
    };
    let mut headers = vec!["RateLimit-Policy", "RateLimit"];
    if operation.versioned || operation.creates {
        headers.push("ETag");
    }
    if operation.creates {
        headers.extend(["Location", "Idempotency-Replayed"]);
    }
    if operation.revises {
        headers.push("Keyreeve-Revision");
    }
    if matches!(operation.content, Content::Page(_)) {
        headers.push("Link");
    }
    let mut answer = json!({"description": operation.told, "headers": header_references(&headers)});
    let mut content = Map::new();
    if let Some(schema) = schema {
        content.insert("application/json".to_owned(), json!({"schema": schema}));
    }
    if let Some(media) = operation.media {
        content.insert(media.to_owned(), piece(media));
    }
    if let Content::Stream(kinds) = operation.content {
        content.extend(kinds.iter().map(|kind| ((*kind).to_owned(), piece(kind))));
    }
    if let (false, Some(object)) = (content.is_empty(), answer.as_object_mut()) {
        object.insert("content".to_owned(), Value::Object(content));
    }
    answer
}

/// What a stream is made of. OpenAPI 3.1 has no word for it; a schema beside `text/event-stream` is read as that of one event.
fn piece(media: &str) -> Value {
    if media != "text/event-stream" {
        return json!({"schema": {"type": "string"}});
    }
    json!({"schema": {
        "type": "object",
        "required": ["event", "data"],
        "properties": {
            "id": {"type": "string", "description": "What to send as `Last-Event-ID` to go on behind it."},
            "event": {"type": "string", "description": "What kind of event it is."},
            "data": {"type": "string", "description": "A JSON document."},
        },
    }})
}

fn header_references(names: &[&str]) -> Map<String, Value> {
    names
        .iter()
        .map(|name| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")})))
        .collect()
}

fn page(entry: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": {"type": "array", "items": entry},
            "next": {"type": "string", "description": "Where the next page begins; absent on the last one."},
            "previous": {"type": "string", "description": "Where the page before begins, in lists that can be read both ways."},
            "total": {"type": "integer", "minimum": 0, "description": "How many entries all pages have, where it was asked for."},
        },
    })
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let mut all: Vec<Value> = path_names(operation.path).map(path_parameter).collect();
    all.extend(operation.query.iter().map(query_parameter));
    let header = |name: &str, description: &str| json!({"name": name, "in": "header", "description": description, "schema": {"type": "string"}});
    if operation.versioned && operation.method == Method::GET {
        all.push(header("If-None-Match", "The `ETag` of what the caller has; 304 if it is the present one."));
    } else if operation.versioned {
        all.push(header(
            "If-Match",
            "The `ETag` of what is to be changed; 412 if it is not the present one.",
        ));
    }
    if operation.creates {
        let mut key = header(
            "Idempotency-Key",
            "A name for this request, 1 to 255 visible ASCII characters: within 24 hours it makes what it makes once.",
        );
        debug_assert_eq!(IDEMPOTENCY_KEY, "idempotency-key");
        if let Some(object) = key.as_object_mut() {
            let schema = json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"});
            object.insert("schema".to_owned(), schema);
        }
        all.push(key);
    }
    all
}

/// The names in braces.
pub(crate) fn path_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn path_parameter(name: &str) -> Value {
    let schema = match name {
        "kind" => json!({"type": "string", "enum": ["user", "service_account", "group"]}),
        "type" | "permission" | "resource" => {
            json!({"type": "string", "minLength": 1, "maxLength": 255})
        }
        "grant" => json!({"type": "string", "minLength": 1, "maxLength": 64}),
        "name" => json!({"type": "string", "minLength": 1}),
        _ => json!({"type": "string", "format": "uuid"}),
    };
    json!({"name": name, "in": "path", "required": true, "schema": schema})
}

fn query_parameter(param: &QueryParam) -> Value {
    let schema = match param.kind {
        QueryKind::Text => json!({"type": "string", "minLength": 1}),
        QueryKind::Count { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
        QueryKind::OneOf(all) => json!({"type": "string", "enum": all}),
    };
    json!({"name": param.name, "in": "query", "description": param.description, "schema": schema})
}

fn headers() -> Value {
    let text = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    json!({
        "ETag": text("The version, in quotes."),
        "Location": text("Where what was made is."),
        "Link": text("The next page, where there is one (RFC 8288)."),
        "Idempotency-Replayed": text("`true` when a request before this one has made it; a secret is not shown again."),
        "Keyreeve-Revision": text("What to name as `at_least` for an answer that takes this change into account."),
        "RateLimit-Policy": text("How many requests the caller may make in how many seconds."),
        "RateLimit": text("How many of them are left, and in how many seconds all are there again."),
        "Retry-After": text("In how many seconds to send the request again."),
        "WWW-Authenticate": text("What is wrong with the token, and the scope that is needed (RFC 6750)."),
    })
}

/// The refusals, by status.
fn refusals() -> Map<String, Value> {
    let told = [
        (StatusCode::NOT_MODIFIED, "The caller has the present version.", &[][..]),
        (StatusCode::BAD_REQUEST, "The request cannot be read.", &[]),
        (StatusCode::UNAUTHORIZED, "There is no good access token.", &["WWW-Authenticate"]),
        (
            StatusCode::FORBIDDEN,
            "The token does not open this, or its holder may not do it.",
            &["WWW-Authenticate"],
        ),
        (StatusCode::NOT_FOUND, "There is no such thing, or none that the caller may see.", &[]),
        (StatusCode::REQUEST_TIMEOUT, "The document did not arrive in time.", &[]),
        (StatusCode::CONFLICT, "Somebody else has this value already.", &[]),
        (StatusCode::PRECONDITION_FAILED, "It is not at the version that `If-Match` names.", &[]),
        (StatusCode::PAYLOAD_TOO_LARGE, "The document is too long.", &[]),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The document is of another type.", &[]),
        (StatusCode::UNPROCESSABLE_ENTITY, "A value is not acceptable.", &[]),
        (StatusCode::TOO_MANY_REQUESTS, "The caller asks too often.", &["Retry-After", "RateLimit"]),
        (StatusCode::BAD_GATEWAY, "A secret store elsewhere did not do it.", &[]),
        (StatusCode::GATEWAY_TIMEOUT, "A secret store elsewhere did not answer in time.", &[]),
        (StatusCode::SERVICE_UNAVAILABLE, "The server has too much to do.", &["Retry-After"]),
    ];
    told.iter()
        .map(|(status, description, headers)| {
            let mut answer = json!({"description": description, "headers": header_references(headers)});
            if let (false, Some(object)) = (*status == StatusCode::NOT_MODIFIED, answer.as_object_mut()) {
                let schema = json!({"schema": {"$ref": "#/components/schemas/Problem"}});
                object.insert("content".to_owned(), json!({"application/problem+json": schema}));
            }
            (status.as_str().to_owned(), answer)
        })
        .collect()
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "A problem document (RFC 9457).",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference", "description": "The kind of problem; it leads to its explanation."},
            "title": {"type": "string", "description": "A sentence, the same for every problem of the kind."},
            "status": {"type": "integer", "description": "The status of the answer."},
            "detail": {"type": "string", "description": "What was wrong this time."},
            "instance": {"type": "string", "format": "uri", "description": "The request, as the server's log names it."},
            "errors": {
                "type": "array",
                "description": "The parts of the request that were wrong.",
                "items": {
                    "type": "object",
                    "required": ["detail"],
                    "properties": {
                        "pointer": {"type": "string", "description": "A JSON Pointer (RFC 6901) into the document."},
                        "parameter": {"type": "string", "description": "Or the parameter of the path, the query or a header."},
                        "detail": {"type": "string", "description": "What is wrong with it."},
                    },
                },
            },
        },
    })
}
