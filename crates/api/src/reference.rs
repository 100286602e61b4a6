//! The reference: the OpenAPI document as a page that people read, and the page that explains the kinds of problems. Both
//! are rendered once; what differs between tenants is their address.

#![allow(
    clippy::indexing_slicing,
    reason = "a JSON value is null where it has no such member; nothing is indexed by number beyond it"
)]

use crate::openapi::path_names;
use crate::refused::{KINDS, Kind};
use askama::Template;
use serde_json::Value;

/// Stands in the rendered page for the address of the tenant.
pub(crate) const ADDRESS: &str = "https://address.of.the.tenant.invalid";

/// The look of both pages.
pub(crate) const STYLE: &str = include_str!("../assets/reference.css");

/// How deep an example shows documents within documents.
const EXAMPLE_DEPTH: usize = 4;

#[derive(Template)]
#[template(path = "reference.html")]
struct Page<'a> {
    about: Vec<&'a str>,
    groups: Vec<Group>,
    scopes: Vec<(&'a str, &'a str)>,
    schemas: Vec<SchemaView>,
}

#[derive(Template)]
#[template(path = "problems.html")]
struct Problems {
    kinds: &'static [&'static Kind],
}

struct Group {
    name: String,
    anchor: String,
    operations: Vec<OperationView>,
}

struct OperationView {
    id: String,
    verb: String,
    path: String,
    summary: String,
    description: Vec<String>,
    scope: String,
    parameters: Vec<Member>,
    body: Option<TypeView>,
    answer: String,
    told: String,
    answered: Option<TypeView>,
    refusals: Vec<RefusalView>,
    example: String,
}

/// A refusal: its status, the first digit of it, what it means.
struct RefusalView {
    status: String,
    class: String,
    told: String,
}

/// A parameter, or a member of a document.
struct Member {
    name: String,
    place: String,
    kind: TypeView,
    needed: bool,
    about: String,
}

struct SchemaView {
    name: String,
    about: String,
    members: Vec<Member>,
    values: Vec<String>,
}

/// The type of a value in words, and the schema that it leads to.
struct TypeView {
    text: String,
    to: Option<String>,
}

/// The reference of this document.
pub(crate) fn render(document: &Value) -> String {
    let mut groups: Vec<Group> = Vec::new();
    for (path, item) in members(&document["paths"]) {
        for (verb, operation) in members(item) {
            let name = text(&operation["tags"][0]);
            let view = operation_view(document, (verb, path), operation);
            match groups.iter_mut().find(|group| group.name == name) {
                Some(group) => group.operations.push(view),
                None => groups.push(Group { anchor: anchor(&name), name, operations: vec![view] }),
            }
        }
    }
    let order: Vec<String> = items(&document["tags"]).map(|tag| text(&tag["name"])).collect();
    groups.sort_by_key(|group| order.iter().position(|name| *name == group.name));
    let flows = &document["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]["scopes"];
    let page = Page {
        about: document["info"]["description"].as_str().unwrap_or_default().split("\n\n").collect(),
        groups,
        scopes: members(flows).map(|(name, told)| (name, told.as_str().unwrap_or_default())).collect(),
        schemas: members(&document["components"]["schemas"])
            .map(|(name, schema)| schema_view(name, schema))
            .collect(),
    };
    // The template has no part that can fail.
    page.render().unwrap_or_default()
}

/// The page that explains the kinds of problems.
pub(crate) fn render_problems() -> String {
    Problems { kinds: KINDS }.render().unwrap_or_default()
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn anchor(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

fn operation_view(document: &Value, (verb, path): (&str, &str), operation: &Value) -> OperationView {
    let responses = &operation["responses"];
    let success = members(responses).find(|(status, _)| status.starts_with('2'));
    let (answer, success) = success.unwrap_or(("", &Value::Null));
    let answered = &success["content"]["application/json"]["schema"];
    let body = items_of_body(&operation["requestBody"]["content"]);
    OperationView {
        id: text(&operation["operationId"]),
        verb: verb.to_ascii_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        description: text(&operation["description"]).split("\n\n").map(str::to_owned).collect(),
        scope: text(&operation["security"][0]["oauth2"][0]),
        parameters: items(&operation["parameters"]).map(parameter).collect(),
        body: body.map(type_of),
        answer: answer.to_owned(),
        told: text(&success["description"]),
        answered: (!answered.is_null()).then(|| type_of(answered)),
        refusals: members(responses)
            .filter(|(status, _)| !status.starts_with('2'))
            .map(|(status, _)| RefusalView {
                status: status.to_owned(),
                class: status.chars().take(1).collect(),
                told: text(&document["components"]["responses"][status]["description"]),
            })
            .collect(),
        example: curl(document, (verb, path), body),
    }
}

fn items_of_body(content: &Value) -> Option<&Value> {
    members(content).last().map(|(_, kind)| &kind["schema"])
}

fn parameter(parameter: &Value) -> Member {
    Member {
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        kind: type_of(&parameter["schema"]),
        needed: parameter["required"] == true,
        about: text(&parameter["description"]),
    }
}

fn schema_view(name: &str, schema: &Value) -> SchemaView {
    let needed: Vec<&str> = items(&schema["required"]).filter_map(Value::as_str).collect();
    let member = |(name, schema): (&str, &Value)| Member {
        name: name.to_owned(),
        place: String::new(),
        kind: type_of(schema),
        needed: needed.contains(&name),
        about: text(&schema["description"]),
    };
    SchemaView {
        name: name.to_owned(),
        about: text(&schema["description"]),
        members: members(&schema["properties"]).map(member).collect(),
        values: items(&schema["enum"]).map(text).collect(),
    }
}

fn type_of(schema: &Value) -> TypeView {
    if let Some(name) = referred(schema) {
        return TypeView { text: name.to_owned(), to: Some(name.to_owned()) };
    }
    let alternatives = items(&schema["oneOf"]).chain(items(&schema["anyOf"])).chain(items(&schema["allOf"]));
    if let Some(one) = alternatives.filter(|one| one["type"] != "null").last() {
        return type_of(one);
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("any")
        }
        kind => kind.as_str().unwrap_or("any"),
    };
    let properties = &schema["properties"];
    if kind == "object" && !properties["items"].is_null() {
        let of = type_of(&properties["items"]["items"]);
        return TypeView { text: format!("page of {}", of.text), to: of.to };
    }
    if kind == "array" {
        let of = type_of(&schema["items"]);
        return TypeView { text: format!("list of {}", of.text), to: of.to };
    }
    if kind == "object" && schema["additionalProperties"].is_object() {
        let of = type_of(&schema["additionalProperties"]);
        return TypeView { text: format!("map to {}", of.text), to: of.to };
    }
    let values: Vec<String> = items(&schema["enum"]).map(text).collect();
    let text = match (values.is_empty(), schema["format"].as_str()) {
        (false, _) => values.join(" | "),
        (true, Some("date-time")) => "moment".to_owned(),
        (true, Some("uuid")) => "UUID".to_owned(),
        (true, _) => kind.to_owned(),
    };
    TypeView { text, to: None }
}

fn referred(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// The call as one would type it.
fn curl(document: &Value, (verb, path): (&str, &str), body: Option<&Value>) -> String {
    let mut line = String::from("curl");
    if verb != "get" {
        line.push_str(" -X ");
        line.push_str(&verb.to_ascii_uppercase());
    }
    let filled = path_names(path).fold(path.to_owned(), |filled, name| {
        filled.replace(&format!("{{{name}}}"), &format!("${}", name.to_ascii_uppercase()))
    });
    line.push_str(&format!(" \"{ADDRESS}{filled}\" \\\n  -H \"Authorization: Bearer $TOKEN\""));
    if let Some(schema) = body {
        let example = example(document, schema, EXAMPLE_DEPTH);
        let example = serde_json::to_string(&example).unwrap_or_default();
        line.push_str(&format!(" \\\n  -H \"Content-Type: application/json\" \\\n  -d '{example}'"));
    }
    line
}

/// A document of this schema: what is needed, or else its first member.
fn example(document: &Value, schema: &Value, depth: usize) -> Value {
    if let Some(name) = referred(schema) {
        return match depth.checked_sub(1) {
            Some(depth) => example(document, &document["components"]["schemas"][name], depth),
            None => Value::Null,
        };
    }
    let alternatives = items(&schema["oneOf"]).chain(items(&schema["allOf"]));
    if let Some(one) = alternatives.filter(|one| one["type"] != "null").last() {
        return example(document, one, depth);
    }
    if let Some(value) = items(&schema["enum"]).next() {
        return value.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    };
    match kind {
        Some("object") => {
            let needed: Vec<&str> = items(&schema["required"]).filter_map(Value::as_str).collect();
            let shown = members(&schema["properties"])
                .enumerate()
                .filter(|(at, (name, _))| needed.contains(name) || (needed.is_empty() && *at == 0));
            shown.map(|(_, (name, schema))| (name.to_owned(), example(document, schema, depth))).collect()
        }
        Some("array") => Value::Array(vec![example(document, &schema["items"], depth)]),
        Some("integer") => schema["minimum"].as_u64().unwrap_or(1).into(),
        Some("boolean") => true.into(),
        Some("string") => match schema["format"].as_str() {
            Some("uuid") => "0190f0f0-0000-7000-8000-000000000001".into(),
            Some("date-time") => "2030-01-01T00:00:00Z".into(),
            _ => "…".into(),
        },
        _ => Value::Null,
    }
}
