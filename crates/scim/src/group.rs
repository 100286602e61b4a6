//! Groups of the room as SCIM resources and back. Pure; the members, and where the resource lies, others add.

use crate::document::Document;
use crate::user::{RESERVED, kept_as};
use keyreeve_identity::{Group, GroupPatch};
use serde_json::Value;
use std::collections::BTreeMap;

const EXTERNAL_ID: &str = "externalId";

/// The resource of a group, without `id`, `meta` and `members`.
pub(crate) fn to_document(group: &Group) -> Document {
    let mut document = Document::new();
    document.insert("displayName".to_owned(), group.name.clone().into());
    let external = group.attributes.get(&kept_as(EXTERNAL_ID)).and_then(|values| values.first());
    if let Some(external) = external {
        document.insert(EXTERNAL_ID.to_owned(), external.clone().into());
    }
    document
}

/// The name that a document gives.
pub(crate) fn name(document: &Document) -> String {
    document.get("displayName").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The attributes of the group that a document describes.
pub(crate) fn attributes(
    document: &Document,
    former: &BTreeMap<String, Vec<String>>,
) -> BTreeMap<String, Vec<String>> {
    let mut attributes: BTreeMap<_, _> = former
        .iter()
        .filter(|(name, _)| !name.starts_with(RESERVED))
        .map(|(name, values)| (name.clone(), values.clone()))
        .collect();
    if let Some(external) = document.get(EXTERNAL_ID).and_then(Value::as_str) {
        attributes.insert(kept_as(EXTERNAL_ID), vec![external.to_owned()]);
    }
    attributes
}

/// What makes `former` the group that the document describes.
pub(crate) fn change(document: &Document, former: &Group) -> GroupPatch {
    let (name, attributes) = (name(document), attributes(document, &former.attributes));
    GroupPatch {
        name: (name != former.name).then_some(name),
        attributes: (attributes != former.attributes).then_some(attributes),
        ..GroupPatch::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyreeve_base::{GroupId, TenantId, Timestamp};
    use serde_json::json;
    use uuid::Uuid;

    #[test]
    fn a_group_comes_out_as_it_came_in() {
        let now = Timestamp::from_micros(0);
        let mut engines = Group {
            id: GroupId::from_uuid(Uuid::from_u128(1)),
            tenant_id: TenantId::from_uuid(Uuid::from_u128(2)),
            name: "Engines".into(),
            description: Some("of difference".into()),
            attributes: BTreeMap::from([("floor".into(), vec!["2".into()])]),
            created_at: now,
            updated_at: now,
            version: 1,
        };
        assert_eq!(change(&to_document(&engines), &engines), GroupPatch::default());
        let Value::Object(wanted) = json!({"displayName": "Mills", "externalId": "m"}) else {
            unreachable!()
        };
        let patch = change(&wanted, &engines);
        engines.name = patch.name.unwrap();
        engines.attributes = patch.attributes.unwrap();
        assert_eq!(to_document(&engines), wanted);
        assert_eq!(engines.attributes["floor"], ["2"]);
    }
}
