use super::*;
use crate::document::read;
use crate::schema::{Resource, USER_URN};
use keyreeve_base::{TenantId, Timestamp, UserId};
use proptest::prelude::*;
use uuid::Uuid;

fn document(mut members: Value) -> Document {
    members["schemas"] = json!([USER_URN]);
    read(Resource::User, members).unwrap()
}

fn user(profile: Profile) -> User {
    let now = Timestamp::from_micros(0);
    User {
        id: UserId::from_uuid(Uuid::from_u128(1)),
        tenant_id: TenantId::from_uuid(Uuid::from_u128(2)),
        profile,
        enabled: true,
        locked: false,
        must_change_password: false,
        archived_at: None,
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

fn full() -> Value {
    json!({
        "userName": "ada", "externalId": "e-1", "displayName": "Ada L.", "nickName": "A", "title": "Countess",
        "profileUrl": "https://example.org/ada", "userType": "Employee", "preferredLanguage": "en",
        "locale": "en-GB", "timezone": "Europe/London", "active": true,
        "name": {"givenName": "Ada", "familyName": "Lovelace", "middleName": "King", "formatted": "Ada King"},
        "emails": [
            {"value": "home@example.org", "type": "home"},
            {"value": "ada@example.org", "type": "work", "display": "at work", "primary": true},
        ],
        "phoneNumbers": [{"value": "+441", "type": "mobile"}],
        "photos": [{"value": "https://example.org/a.png", "type": "photo", "primary": true}],
        "addresses": [{"locality": "London", "country": "GB"}],
        "entitlements": [{"value": "printer"}],
        (ENTERPRISE_URN): {"department": "Engines", "employeeNumber": "7", "manager": {"value": "boss"}},
    })
}

#[test]
fn what_the_room_knows_is_in_its_own_fields() {
    let profile = new_profile(&document(full())).unwrap();
    assert_eq!(profile.username.as_deref(), Some("ada"));
    assert_eq!(profile.email.as_deref(), Some("ada@example.org"));
    assert_eq!(profile.phone_number.as_deref(), Some("+441"));
    assert_eq!(
        (profile.given_name.as_deref(), profile.zoneinfo.as_deref()),
        (Some("Ada"), Some("Europe/London"))
    );
    assert_eq!(profile.attributes["scim:externalId"], ["e-1"]);
    assert_eq!(profile.attributes["scim:department"], ["Engines"]);
    assert_eq!(profile.attributes["scim:manager"], ["boss"]);
    assert_eq!(profile.attributes["scim:emails.value"], ["home@example.org"]);
    assert_eq!(Value::Object(to_document(&user(profile))), full());
}

#[test]
fn a_user_whom_others_made_has_the_usual_shape() {
    let ada = user(Profile {
        email: Some("ada@example.org".into()),
        phone_number: Some("+441".into()),
        ..Profile::default()
    });
    let shown = to_document(&ada);
    assert_eq!(
        Value::Object(shown.clone()),
        json!({
            "userName": "ada@example.org", "active": true,
            "emails": [{"value": "ada@example.org", "type": "work", "primary": true}],
            "phoneNumbers": [{"value": "+441", "type": "work", "primary": true}],
        })
    );
    // Sent back as it was shown, it changes nothing.
    let same = change(&shown, &ada).unwrap();
    assert_eq!((same.profile, same.enabled), (ProfilePatch::default(), Some(true)));
}

#[test]
fn what_others_keep_of_a_user_stays() {
    let mut ada = user(new_profile(&document(full())).unwrap());
    ada.profile.attributes.insert("badge".into(), vec!["x".into()]);
    let bare = document(json!({"userName": "ada", "active": true}));
    let patch = change(&bare, &ada).unwrap().profile;
    assert_eq!(patch.attributes, Some(BTreeMap::from([("badge".to_owned(), vec!["x".to_owned()])])));
    assert_eq!((patch.email, patch.username), (Patch::Clear, Patch::Keep));
}

#[test]
fn an_address_changed_elsewhere_takes_the_place_of_the_main_one() {
    let mut ada = user(new_profile(&document(full())).unwrap());
    ada.profile.email = Some("new@example.org".into());
    let main = |user: &User| to_document(user)["emails"][1].clone();
    assert_eq!(main(&ada)["value"], "new@example.org");
    assert_eq!(main(&ada)["display"], "at work");
    ada.profile.email = None;
    assert_eq!(to_document(&ada)["emails"], json!([{"value": "home@example.org", "type": "home"}]));
}

#[test]
fn active_can_be_removed_and_the_account_stays_as_it_is() {
    let ada = user(new_profile(&document(full())).unwrap());
    let mut without = to_document(&ada);
    without.remove("active");
    let removal = change(&without, &ada).unwrap();
    assert_eq!(removal.enabled, None);
    let mut after = ada;
    after.profile.attributes = removal.profile.attributes.unwrap();
    assert!(!to_document(&after).contains_key("active"));
    // Whoever takes it out of use says something about it again.
    after.enabled = false;
    assert_eq!(to_document(&after)["active"], false);
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let many: Vec<Value> = (0..101).map(|n| json!({"value": n.to_string()})).collect();
    let long = "x".repeat(1_500);
    for bad in [
        json!({"userName": "a", "emails": [{"type": "work"}]}),
        json!({"userName": "a", "ims": many}),
        json!({"userName": "a", "ims": [{"value": long, "display": long}]}),
        json!({"userName": "a", (ENTERPRISE_URN): {"manager": {"$ref": "https://example.org/"}}}),
    ] {
        let document = document(bad);
        assert!(new_profile(&document).is_err());
    }
}

#[test]
fn a_password_is_taken_out() {
    let mut with = document(json!({"userName": "ada", "password": "correct horse"}));
    assert!(take_password(&mut with).is_some());
    assert!(take_password(&mut with).is_none());
    assert!(new_profile(&with).unwrap().attributes.is_empty());
}

fn some_text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[a-zA-Z0-9 äß\"\\\\{}]{1,12}")
}

fn some_values() -> impl Strategy<Value = Vec<Value>> {
    let kinds = proptest::option::of(prop_oneof![Just("work"), Just("home"), Just("other")]);
    proptest::collection::btree_map("[a-z]{1,6}@[a-z]{1,3}\\.example", (kinds, some_text()), 0..4).prop_map(|values| {
        let of = |(value, (kind, display)): (String, (Option<&str>, Option<String>))| {
            json!({"value": value, "type": kind, "display": display})
        };
        values.into_iter().map(of).collect()
    })
}

proptest! {
    #[test]
    fn what_comes_in_comes_out(
        name in "[a-z]{1,8}",
        texts in proptest::collection::vec(some_text(), 6),
        emails in some_values(),
        photos in some_values(),
        primary in proptest::option::of(0..4_usize),
        active: bool,
    ) {
        let mut emails = emails;
        if let Some(email) = primary.and_then(|at| emails.get_mut(at)) {
            email["primary"] = true.into();
        }
        let [given, middle, title, external, department, manager] = <[Option<String>; 6]>::try_from(texts).unwrap();
        let read = document(json!({
            "userName": name, "name": {"givenName": given, "middleName": middle}, "title": title,
            "externalId": external, "emails": emails, "photos": photos, "active": active,
        }));
        let mut read = read;
        let enterprise = json!({"department": department, "manager": manager.map(|id| json!({"value": id}))});
        let enterprise: Map<String, Value> =
            enterprise.as_object().unwrap().clone().into_iter().filter(|(_, value)| !value.is_null()).collect();
        if !enterprise.is_empty() {
            read.insert(ENTERPRISE_URN.to_owned(), Value::Object(enterprise));
        }
        let ada = User { enabled: active, ..user(new_profile(&read).unwrap()) };
        prop_assert_eq!(to_document(&ada), read.clone());
        let same = change(&read, &ada).unwrap();
        prop_assert_eq!(same.profile, ProfilePatch::default());
    }
}
