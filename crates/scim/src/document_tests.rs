use super::*;
use crate::schema::{ENTERPRISE_URN, USER_URN};
use proptest::prelude::*;
use serde_json::json;

fn user(mut members: Value) -> Result<Document, ScimError> {
    members["schemas"] = json!([USER_URN, ENTERPRISE_URN]);
    read(Resource::User, members)
}

fn select(only: &[&str], without: &[&str]) -> Selection {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    Selection::read(Resource::User, &owned(only), &owned(without)).unwrap()
}

#[test]
fn names_get_the_schemas_spelling_and_what_is_no_value_goes() {
    let read = user(json!({
        "USERNAME": "ada", "name": {"GIVENNAME": "Ada", "familyName": null}, "emails": [], "title": "",
        "Id": "mine", "meta": {"version": "x"}, "groups": [{"value": "x"}],
        "URN:ietf:params:scim:schemas:extension:enterprise:2.0:user": {"Department": "Engines", "manager": "7"},
        "active": "False",
    }))
    .unwrap();
    assert_eq!(
        Value::Object(read),
        json!({
            "userName": "ada", "name": {"givenName": "Ada"}, "active": false,
            (ENTERPRISE_URN): {"department": "Engines", "manager": {"value": "7"}},
        })
    );
}

#[test]
fn what_the_schema_does_not_know_is_refused() {
    for (bad, said) in [
        (json!({"userName": "ada", "shoeSize": 7}), "shoeSize"),
        (json!({"userName": "ada", "name": {"first": "Ada"}}), "first"),
        (json!({"userName": "ada", "active": 1}), "active"),
        (json!({"userName": 7}), "userName"),
        (json!({"displayName": "ada"}), "userName"),
        (json!({"userName": "ada", "emails": ["a@b.example", 7]}), "emails"),
        (json!({"userName": "ada", "x509Certificates": [{"value": "?"}]}), "x509Certificates"),
        (json!({"userName": "a".repeat(3_000)}), "userName"),
        (
            json!({"userName": "ada", "emails": [{"value": "a", "primary": true}, {"value": "b", "primary": true}]}),
            "primary",
        ),
    ] {
        let error = user(bad).unwrap_err();
        assert_eq!(error.status, 400);
        assert!(error.document()["detail"].as_str().unwrap().contains(said), "{said}");
    }
}

#[test]
fn the_schemas_must_be_named() {
    for schemas in [
        json!(null),
        json!([]),
        json!("x"),
        json!([USER_URN, "urn:x"]),
        json!([ENTERPRISE_URN]),
        json!([USER_URN, 7]),
    ] {
        assert!(read(Resource::User, json!({"schemas": schemas, "userName": "ada"})).is_err(), "{schemas}");
    }
    assert!(read(Resource::User, json!({"userName": "ada"})).is_err());
    assert!(read(Resource::User, json!([])).is_err());
}

fn ada() -> Document {
    let Value::Object(document) = json!({
        "schemas": [USER_URN], "id": "1", "userName": "ada", "externalId": "x",
        "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "emails": [{"value": "ada@example.org", "type": "work"}],
        "password": "never",
        (ENTERPRISE_URN): {"department": "Engines", "manager": {"value": "7", "displayName": "Charles"}},
    }) else {
        unreachable!()
    };
    document
}

fn shown(selection: &Selection) -> Value {
    Value::Object(selection.of(Resource::User, ada()))
}

#[test]
fn an_answer_shows_what_was_asked_for_and_never_a_password() {
    let all = shown(&Selection::default());
    assert_eq!(all["name"], json!({"givenName": "Ada", "familyName": "Lovelace"}));
    assert_eq!(all[ENTERPRISE_URN], json!({"department": "Engines", "manager": {"value": "7"}}));
    assert!(all.get("password").is_none());

    let base = |more: Value| {
        let mut expected = json!({"schemas": [USER_URN], "id": "1"});
        expected.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        expected
    };
    assert_eq!(
        shown(&select(&["NAME.givenname", "password"], &[])),
        base(json!({"name": {"givenName": "Ada"}}))
    );
    assert_eq!(shown(&select(&["nothing"], &[])), base(json!({})));
    let manager = format!("{ENTERPRISE_URN}:manager.displayName");
    assert_eq!(
        shown(&select(&[&manager], &[])),
        base(json!({(ENTERPRISE_URN): {"manager": {"displayName": "Charles"}}}))
    );
    let core = format!("{USER_URN}:userName");
    assert_eq!(shown(&select(&[&core], &[])), base(json!({"userName": "ada"})));
    assert_eq!(
        shown(&select(&[], &[ENTERPRISE_URN, "emails", "name.givenName", "id", "userName"])),
        base(json!({"externalId": "x", "name": {"familyName": "Lovelace"}}))
    );
}

#[test]
fn what_is_dear_is_found_out_only_for_those_who_see_it() {
    assert!(Selection::default().wants("groups"));
    assert!(!select(&[], &["groups"]).wants("groups"));
    assert!(select(&[], &["groups.display"]).wants("groups"));
    assert!(select(&["groups.value"], &[]).wants("groups"));
    assert!(!select(&["userName"], &[]).wants("groups"));
    assert!(select(&["groups.display"], &[]).asks_for(None, "groups", "display"));
    assert!(!select(&["groups"], &[]).asks_for(None, "groups", "display"));
    assert!(Selection::read(Resource::User, &["id".into()], &["name".into()]).is_err());
}

proptest! {
    #[test]
    fn reading_is_stable(
        name in "[a-z]{1,8}",
        given in "\\PC{0,20}",
        active: bool,
        emails in proptest::collection::btree_set("[a-z]{1,5}@[a-z]{1,5}\\.example", 0..4),
    ) {
        let emails: Vec<Value> = emails.into_iter().map(|value| json!({"value": value, "type": "home"})).collect();
        let members = json!({"userName": name, "name": {"givenName": given}, "active": active, "emails": emails});
        let once = user(members).unwrap();
        prop_assert_eq!(user(Value::Object(once.clone())).unwrap(), once);
    }

    #[test]
    fn no_document_makes_the_reading_panic(text in "[{}\\[\\]\":,a-zA-Z0-9.$ ]{0,60}") {
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            let _ = read(Resource::User, value);
        }
    }
}
