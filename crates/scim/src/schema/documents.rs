//! The documents that describe the service (RFC 7643 sections 5 to 7).

use super::{Attribute, ENTERPRISE, GROUP, Kind, Resource, Schema, USER};
use crate::limits;
use serde_json::{Map, Value, json};

const SCHEMA_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";
const RESOURCE_TYPE_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
const CONFIG_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";

/// `/ServiceProviderConfig`.
pub(crate) fn service_provider_config(base: &str) -> Value {
    json!({
        "schemas": [CONFIG_URN],
        "patch": {"supported": true},
        "bulk": {
            "supported": true,
            "maxOperations": limits::MAX_BULK_OPERATIONS,
            "maxPayloadSize": limits::MAX_BODY_BYTES,
        },
        "filter": {"supported": true, "maxResults": limits::MAX_PAGE},
        "changePassword": {"supported": true},
        "sort": {"supported": true},
        "etag": {"supported": true},
        "pagination": {
            "cursor": true,
            "index": true,
            "defaultPaginationMethod": "index",
            "defaultPageSize": limits::DEFAULT_PAGE,
            "maxPageSize": limits::MAX_PAGE,
        },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "OAuth 2 bearer token",
            "description": "An access token of this tenant with the scopes keyreeve:users:* and keyreeve:groups:*.",
            "specUri": "https://www.rfc-editor.org/rfc/rfc6750",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{base}/ServiceProviderConfig"),
        },
    })
}

/// `/ResourceTypes`.
pub(crate) fn resource_types(base: &str) -> Vec<Value> {
    [Resource::User, Resource::Group].into_iter().map(|kind| describe_type(kind, base)).collect()
}

/// `/ResourceTypes/{id}`.
pub(crate) fn resource_type(base: &str, id: &str) -> Option<Value> {
    [Resource::User, Resource::Group]
        .into_iter()
        .find(|kind| kind.name() == id)
        .map(|kind| describe_type(kind, base))
}

fn describe_type(kind: Resource, base: &str) -> Value {
    let extensions: Vec<Value> =
        kind.extensions().iter().map(|schema| json!({"schema": schema.id, "required": false})).collect();
    let mut described = json!({
        "schemas": [RESOURCE_TYPE_URN],
        "id": kind.name(),
        "name": kind.name(),
        "description": kind.core().description,
        "endpoint": format!("/{}", kind.endpoint()),
        "schema": kind.core().id,
        "meta": {
            "resourceType": "ResourceType",
            "location": format!("{base}/ResourceTypes/{}", kind.name()),
        },
    });
    if let (false, Some(members)) = (extensions.is_empty(), described.as_object_mut()) {
        members.insert("schemaExtensions".to_owned(), Value::Array(extensions));
    }
    described
}

fn all() -> [&'static Schema; 3] {
    [&USER, &ENTERPRISE, &GROUP]
}

/// `/Schemas`.
pub(crate) fn schemas(base: &str) -> Vec<Value> {
    all().into_iter().map(|schema| describe_schema(schema, base)).collect()
}

/// `/Schemas/{id}`.
pub(crate) fn schema(base: &str, id: &str) -> Option<Value> {
    all().into_iter().find(|schema| schema.id == id).map(|schema| describe_schema(schema, base))
}

fn describe_schema(schema: &Schema, base: &str) -> Value {
    json!({
        "schemas": [SCHEMA_URN],
        "id": schema.id,
        "name": schema.name,
        "description": schema.description,
        "attributes": schema.attributes.iter().map(describe).collect::<Vec<_>>(),
        "meta": {"resourceType": "Schema", "location": format!("{base}/Schemas/{}", schema.id)},
    })
}

fn describe(attribute: &Attribute) -> Value {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    put("name", attribute.name.into());
    put("type", attribute.kind.word().into());
    put("multiValued", attribute.many.into());
    put("description", attribute.description.into());
    put("required", attribute.required.into());
    put("mutability", attribute.mutability.word().into());
    put("returned", attribute.returned.word().into());
    if attribute.kind != Kind::Complex {
        put("caseExact", attribute.case_exact.into());
        put("uniqueness", if attribute.unique { "server" } else { "none" }.into());
    }
    if !attribute.canonical.is_empty() {
        put("canonicalValues", attribute.canonical.into());
    }
    if !attribute.references.is_empty() {
        put("referenceTypes", attribute.references.into());
    }
    if !attribute.sub.is_empty() {
        put("subAttributes", attribute.sub.iter().map(describe).collect());
    }
    Value::Object(members)
}
