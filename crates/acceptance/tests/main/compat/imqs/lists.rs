//! Lists of users and groups.

use super::house::{ADMIN, JOE, says};
use super::{House, on_imqs};
use serde_json::{Value, json};

on_imqs! {
    async fn b17_who_may_list_what(house: &House) {
        house.get(JOE, "/users").await.check(200);
        house.get(JOE, "/groups").await.check(200);
        house.call("GET", "/groups").send().await.check(200);
        house.get(ADMIN, "/userobjects").await.check(200);
        says(&house.get(JOE, "/userobjects").await, 403, "You are not an administrator");
        says(&house.call("GET", "/users").send().await, 401, "No authorization information");
    }

    async fn users_in_the_order_of_their_numbers_with_every_field(house: &House) {
        let users = house.get(JOE, "/users").await.expect(200).json();
        let names: Vec<&str> = users.as_array().unwrap().iter().map(|user| user["Email"].as_str().unwrap()).collect();
        assert_eq!(names, ["joe", "jack", "admin", "admin_disabled"]);
        assert_eq!(users[2]["Groups"], json!(["admin", "enabled"]));
        let objects = house.get(ADMIN, "/userobjects").await.expect(200).json();
        let mut keys: Vec<&String> = objects[0].as_object().unwrap().keys().collect();
        keys.sort();
        let expected = [
            "AccountLocked", "Archived", "AuthUserType", "Created", "CreatedBy", "DisabledDate", "Email", "EnabledDate",
            "Groups", "InternalUUID", "LastLogin", "Mobile", "Modified", "ModifiedBy", "Name", "Remarks", "Surname",
            "Telephone", "UserId", "Username",
        ];
        assert_eq!(keys, expected.iter().collect::<Vec<_>>());
        let joe = &objects[0];
        assert_eq!((&joe["UserId"], &joe["CreatedBy"], &joe["AuthUserType"]), (&json!(1), &json!("Administrator"), &json!(0)));
        assert_eq!(joe["LastLogin"], json!("0001-01-01T00:00:00Z"));
        assert_eq!(house.login(JOE).await.status, 200);
        let joe = house.user_object(1).await.unwrap();
        let at = joe["LastLogin"].as_str().unwrap();
        assert!(at.ends_with('Z') && !at.starts_with("0001"), "{at}");
    }

    async fn whoever_another_door_made_has_a_number_as_well(house: &House) {
        house.mount.user("ada").email("ada@example.org").create().await;
        let ada = house.user_object(5).await.unwrap();
        assert_eq!((&ada["Email"], &ada["Username"], &ada["Groups"]), (&json!("ada@example.org"), &json!("ada"), &json!([])));
        assert_eq!(house.user_object(5).await.unwrap()["InternalUUID"], ada["InternalUUID"]);
        says(&house.login(("ada", keyreeve_acceptance::PASSWORD)).await, 401, "Identity permit not found");
        house.post(ADMIN, "/set_user_groups", &[("userid", "5"), ("groups", "enabled")]).await.check(200);
        house.login(("ada@example.org", keyreeve_acceptance::PASSWORD)).await.check(200);
        let all: Vec<Value> = house.get(ADMIN, "/userobjects").await.expect(200).json().as_array().unwrap().clone();
        assert_eq!(all.len(), 5);
    }
}
