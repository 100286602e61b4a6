//! The OpenAPI document of a dialect, from its table of operations. It is served below the dialect's prefix, and a copy is kept
//! in `docs/`.

use crate::mount::{Dialect, Input, InputPlace, Operation, Scheme, Verb};
use keyreeve_http::route::Guard;
use serde_json::{Map, Value, json};

/// The document: OpenAPI 3.1.
#[must_use]
pub fn document(dialect: &Dialect) -> Value {
    let mut paths = Map::new();
    for operation in dialect.operations {
        let verbs: &[&str] = match operation.verb {
            Verb::Get => &["get"],
            Verb::Post => &["post"],
            Verb::Put => &["put"],
            Verb::Patch => &["patch"],
            Verb::Delete => &["delete"],
            Verb::Any => &["get", "post"],
        };
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        let Some(path) = path.as_object_mut() else { continue };
        for verb in verbs {
            let id = if verbs.len() == 1 {
                operation.name.to_owned()
            } else {
                format!("{}_{verb}", operation.name)
            };
            path.insert((*verb).to_owned(), described(dialect, operation, &id));
        }
    }
    let schemes: Map<String, Value> =
        dialect.schemes.iter().map(|scheme| (name_of(*scheme).to_owned(), scheme_of(*scheme))).collect();
    json!({
        "openapi": "3.1.0",
        "info": { "title": format!("{}, as Keyreeve speaks it", dialect.title), "version": dialect.version },
        "servers": [{ "url": if dialect.prefix.is_empty() { "/" } else { dialect.prefix } }],
        "paths": paths,
        "components": { "securitySchemes": schemes },
    })
}

/// The same as text, as it is kept in `docs/`.
#[must_use]
pub fn text(dialect: &Dialect) -> String {
    let mut text = serde_json::to_string_pretty(&document(dialect)).unwrap_or_default();
    text.push('\n');
    text
}

fn described(dialect: &Dialect, operation: &Operation, id: &str) -> Value {
    let answers: Map<String, Value> = operation
        .answers
        .iter()
        .map(|(status, when)| (status.to_string(), json!({ "description": when })))
        .collect();
    let mut described = json!({
        "operationId": id,
        "summary": operation.summary,
        "description": format!("Access: {}.", operation.level),
        "responses": answers,
    });
    let Some(members) = described.as_object_mut() else { return described };
    let parameters: Vec<Value> = operation.inputs.iter().filter_map(parameter).collect();
    if !parameters.is_empty() {
        members.insert("parameters".to_owned(), Value::Array(parameters));
    }
    if let Some(body) = body(operation.inputs) {
        members.insert("requestBody".to_owned(), body);
    }
    if operation.guard != Guard::Public {
        let any: Vec<Value> = dialect.schemes.iter().map(|scheme| json!({ name_of(*scheme): [] })).collect();
        members.insert("security".to_owned(), Value::Array(any));
    }
    described
}

fn parameter(input: &Input) -> Option<Value> {
    let place = match input.place {
        InputPlace::Query => "query",
        InputPlace::Path => "path",
        InputPlace::Header => "header",
        InputPlace::Form | InputPlace::Json => return None,
    };
    Some(json!({
        "name": input.name, "in": place, "required": input.required, "description": input.what,
        "schema": { "type": "string" },
    }))
}

fn body(inputs: &[Input]) -> Option<Value> {
    let of = |place: InputPlace, kind: &str| {
        let fields: Vec<&Input> = inputs.iter().filter(|input| input.place == place).collect();
        if fields.is_empty() {
            return None;
        }
        let properties: Map<String, Value> = fields
            .iter()
            .map(|input| (input.name.to_owned(), json!({ "description": input.what })))
            .collect();
        let required: Vec<&str> =
            fields.iter().filter(|input| input.required).map(|input| input.name).collect();
        let schema = json!({ "type": "object", "properties": properties, "required": required });
        Some(json!({ "required": !required.is_empty(), "content": { kind: { "schema": schema } } }))
    };
    of(InputPlace::Json, "application/json")
        .or_else(|| of(InputPlace::Form, "application/x-www-form-urlencoded"))
}

const fn name_of(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Basic => "basic",
        Scheme::Bearer => "bearer",
        Scheme::Cookie(_) => "cookie",
        Scheme::Header(_) => "header",
    }
}

fn scheme_of(scheme: Scheme) -> Value {
    match scheme {
        Scheme::Basic => json!({ "type": "http", "scheme": "basic" }),
        Scheme::Bearer => json!({ "type": "http", "scheme": "bearer" }),
        Scheme::Cookie(name) => json!({ "type": "apiKey", "in": "cookie", "name": name }),
        Scheme::Header(name) => json!({ "type": "apiKey", "in": "header", "name": name }),
    }
}
