#![allow(clippy::needless_pass_by_value, reason = "documents are written where they are used")]

use super::*;
use crate::schema::{ENTERPRISE_URN, Resource, USER_URN};
use proptest::prelude::*;
use serde_json::json;

fn ada() -> Value {
    json!({
        "userName": "ada", "active": true, "title": "Countess",
        "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "emails": [
            {"value": "ada@example.org", "type": "work", "primary": true},
            {"value": "home@example.org", "type": "home"},
        ],
        (ENTERPRISE_URN): {"department": "Engines"},
    })
}

fn patched(operations: Value) -> Result<Value, ScimError> {
    let operations = read(json!({"schemas": [PATCH_URN], "Operations": operations}))?;
    let Value::Object(mut document) = ada() else { unreachable!() };
    apply(Resource::User, &mut document, operations)?;
    Ok(Value::Object(document))
}

/// The resource after one operation.
fn after(op: &str, path: &str, value: Value) -> Value {
    patched(json!([{"op": op, "path": path, "value": value}])).unwrap()
}

fn refused(operation: Value) -> (u16, String) {
    let document = patched(json!([operation])).unwrap_err().document();
    let status = document["status"].as_str().unwrap().parse().unwrap();
    (status, document["scimType"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn single_values_are_set_and_removed() {
    assert_eq!(after("add", "nickName", json!("A"))["nickName"], "A");
    assert_eq!(after("replace", "TITLE", json!("Dr"))["title"], "Dr");
    assert!(after("remove", "title", json!(null)).get("title").is_none());
    assert!(after("replace", "title", json!(null)).get("title").is_none());
    assert_eq!(
        after("replace", "name.givenName", json!("A."))["name"],
        json!({"givenName": "A.", "familyName": "Lovelace"})
    );
    assert_eq!(after("replace", "name", json!({"givenName": "A."}))["name"]["familyName"], "Lovelace");
    assert_eq!(after("remove", "name.givenName", json!(null))["name"], json!({"familyName": "Lovelace"}));
    assert_eq!(after("replace", &format!("{USER_URN}:userName"), json!("b"))["userName"], "b");
}

#[test]
fn extensions_are_reached_by_their_urn() {
    let department = format!("{ENTERPRISE_URN}:department");
    assert_eq!(after("replace", &department, json!("Mills"))[ENTERPRISE_URN]["department"], "Mills");
    assert!(after("remove", &department, json!(null)).get(ENTERPRISE_URN).is_none());
    assert!(after("remove", ENTERPRISE_URN, json!(null)).get(ENTERPRISE_URN).is_none());
    let more = after("add", ENTERPRISE_URN, json!({"division": "North"}));
    assert_eq!(more[ENTERPRISE_URN], json!({"department": "Engines", "division": "North"}));
    let manager = after("add", &format!("{ENTERPRISE_URN}:manager"), json!("boss"));
    assert_eq!(manager[ENTERPRISE_URN]["manager"], json!({"value": "boss"}));
}

#[test]
fn values_are_added_once_and_one_is_primary() {
    let home = json!({"value": "home@example.org", "type": "home"});
    assert_eq!(after("add", "emails", home)["emails"].as_array().unwrap().len(), 2);
    let new = json!([{"value": "new@example.org", "primary": true}]);
    let emails = &after("add", "emails", new.clone())["emails"];
    assert_eq!(emails[0], json!({"value": "ada@example.org", "type": "work"}));
    assert_eq!(emails[2]["primary"], true);
    assert_eq!(after("replace", "emails", new.clone())["emails"], new);
    assert!(after("remove", "emails", json!(null)).get("emails").is_none());
    let left = &after("remove", "emails", json!([{"value": "home@example.org"}]))["emails"];
    assert_eq!(left.as_array().unwrap().len(), 1);
}

#[test]
fn a_filter_selects_values() {
    let path = r#"emails[type eq "home"]"#;
    let part = format!("{path}.value");
    assert_eq!(after("replace", &part, json!("h@example.org"))["emails"][1]["value"], "h@example.org");
    assert_eq!(
        after("replace", path, json!({"value": "h@example.org"}))["emails"][1],
        json!({"value": "h@example.org"})
    );
    assert_eq!(
        after("add", path, json!({"display": "H"}))["emails"][1],
        json!({"value": "home@example.org", "type": "home", "display": "H"})
    );
    assert_eq!(after("remove", path, json!(null))["emails"].as_array().unwrap().len(), 1);
    assert_eq!(after("remove", r#"emails[type eq "fax"]"#, json!(null)), ada());
    let other = after("add", r#"emails[type eq "other"].value"#, json!("o@example.org"));
    assert_eq!(other["emails"][2], json!({"type": "other", "value": "o@example.org"}));
    let primary = after("replace", &format!("{path}.primary"), json!(true));
    assert_eq!(primary["emails"][0].get("primary"), None);
    assert_eq!(
        after("remove", r#"emails[primary eq "True"]"#, json!(null))["emails"].as_array().unwrap().len(),
        1
    );
    assert_eq!(
        refused(json!({"op": "replace", "path": r#"emails[type eq "fax"].value"#, "value": "x"})),
        (400, "noTarget".into())
    );
}

#[test]
fn what_clients_in_the_field_send_is_understood() {
    // Entra ID.
    assert_eq!(after("Replace", "active", json!("False"))["active"], false);
    let dotted = patched(json!([{"op": "Add", "value": {
        "name.givenName": "A.", (format!("{ENTERPRISE_URN}:department")): "Mills",
        "emails[type eq \"work\"].value": "a@example.org",
    }}]))
    .unwrap();
    assert_eq!(dotted["name"]["givenName"], "A.");
    assert_eq!(dotted[ENTERPRISE_URN]["department"], "Mills");
    assert_eq!(dotted["emails"][0]["value"], "a@example.org");
    // Okta.
    let okta =
        patched(json!([{"op": "replace", "value": {"id": "x", "schemas": [], "active": false}}])).unwrap();
    assert_eq!(okta["active"], false);
}

#[test]
fn what_must_not_be_is_refused_by_its_kind() {
    for (operation, kind) in [
        (json!({"op": "remove"}), "noTarget"),
        (json!({"op": "move", "path": "title"}), "invalidSyntax"),
        (json!({"op": "add", "path": "title"}), "invalidValue"),
        (json!({"op": "add", "path": "shoeSize", "value": 1}), "invalidPath"),
        (json!({"op": "add", "path": "name.first", "value": "A"}), "invalidPath"),
        (json!({"op": "add", "path": "emails[", "value": "A"}), "invalidPath"),
        (json!({"op": "add", "path": "name[givenName pr]", "value": {"givenName": "A"}}), "invalidPath"),
        (json!({"op": "add", "path": "emails[size eq 1].value", "value": "A"}), "invalidFilter"),
        (json!({"op": "replace", "path": "id", "value": "2"}), "mutability"),
        (json!({"op": "replace", "path": "meta.version", "value": "2"}), "mutability"),
        (json!({"op": "add", "path": "groups", "value": [{"value": "2"}]}), "mutability"),
        (json!({"op": "remove", "path": "userName"}), "mutability"),
        (json!({"op": "remove", "path": "password"}), "mutability"),
        (json!({"op": "replace", "value": "ada"}), "invalidValue"),
        (json!({"op": "replace", "path": "active", "value": "perhaps"}), "invalidValue"),
        (json!({"op": "replace", "path": "name", "value": "Ada"}), "invalidValue"),
        (json!({"op": "add", "path": 7, "value": "A"}), "invalidPath"),
        (json!({"op": "add", "path": "title", "value": "A", "from": "x"}), "invalidSyntax"),
        (json!("add"), "invalidSyntax"),
    ] {
        assert_eq!(refused(operation.clone()), (400, kind.to_owned()), "{operation}");
    }
}

#[test]
fn all_operations_count_or_none() {
    let both =
        json!([{"op": "replace", "path": "title", "value": "Dr"}, {"op": "remove", "path": "userName"}]);
    assert!(patched(both).is_err());
    for bad in [
        json!({}),
        json!([]),
        json!({"schemas": [PATCH_URN]}),
        json!({"schemas": [PATCH_URN], "Operations": []}),
        json!({"Operations": [{"op": "remove", "path": "title"}]}),
    ] {
        assert!(read(bad).is_err());
    }
    let many = vec![json!({"op": "remove", "path": "title"}); 201];
    assert!(patched(json!(many)).is_err());
}

proptest! {
    #[test]
    fn no_path_and_no_value_make_it_panic(
        op in "(add|remove|replace)",
        path in "(emails|name|title|active|groups)(\\[(type|value|primary) (eq|co|pr) ?(\"[a-z]{0,4}\"|true)?\\])?(\\.[a-z]{1,7})?",
        value in prop_oneof![
            Just(json!(null)), Just(json!([])), Just(json!({})), Just(json!("x")), Just(json!(true)),
            Just(json!([{"value": "x"}, {"value": "x", "primary": true}])), Just(json!({"value": {"value": 1}})),
        ],
    ) {
        if let Ok(after) = patched(json!([{"op": op, "path": path, "value": value}])) {
            prop_assert_eq!(&after["userName"], "ada");
            let primaries = after["emails"].as_array().map_or(0, |emails| emails.iter().filter(|email| crate::document::is_primary(email)).count());
            prop_assert!(primaries <= 1);
        }
    }
}
