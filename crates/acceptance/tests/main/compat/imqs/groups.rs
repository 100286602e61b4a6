//! Groups, their permissions, and the notices of changes.

use super::house::{ADMIN, JOE, TENANT, basic, says};
use super::{House, on_imqs};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyreeve_acceptance::{Engine, Setup, StandIn};
use keyreeve_testkit::block_on;
use serde_json::{Value, json};
use std::io::Write as _;

on_imqs! {
    async fn b15_a_users_groups_are_replaced(house: &House) {
        let set = async |id: &str, groups: &str| {
            house.post(ADMIN, "/set_user_groups", &[("userid", id), ("groups", groups)]).await
        };
        says(&set("999", "enabled").await, 200, "'999' groups set to (enabled)");
        let without = house.post(ADMIN, "/set_user_groups", &[("groups", "enabled")]).await;
        says(&without, 403, "No userid specified");
        says(&set("1", "NOT_A_GROUP").await, 403, "Invalid groups: Group does not exist");
        says(&set("1", "Enabled").await, 403, "Invalid groups: Group does not exist");
        says(&set("1", "enabled, admin").await, 403, "Invalid groups: Group does not exist");
        let lists = async || {
            let brief = house.get(ADMIN, "/users").await.expect(200).json();
            let brief = brief.as_array().unwrap().iter().find(|user| user["Email"] == "joe").unwrap()["Groups"].clone();
            (brief, house.user_object(1).await.unwrap()["Groups"].clone())
        };
        says(&set("1", "filedrop,enabled").await, 200, "'1' groups set to (filedrop,enabled)");
        assert_eq!(lists().await, (json!(["filedrop", "enabled"]), json!(["filedrop", "enabled"])));
        says(&set("1", "").await, 200, "'1' groups set to ()");
        assert_eq!(lists().await, (json!([]), json!([])));
        let joe = house.user_object(1).await.unwrap();
        assert_ne!(joe["DisabledDate"], json!("0001-01-01T00:00:00Z"));
        assert_eq!(joe["EnabledDate"], json!("0001-01-01T00:00:00Z"));
        // Nobody inherits what was set for a number that nobody had.
        house.put(ADMIN, "/create_user", &[("email", "sam"), ("password", "x")]).await.check(200);
        says(&house.login(("sam", "x")).await, 401, "Identity permit not found");
    }

    async fn b16_users_are_found_by_permission(house: &House) {
        house.put(ADMIN, "/create_user", &[("email", "bilbo"), ("password", "x")]).await.check(200);
        house.put(ADMIN, "/create_group", &[("groupname", "fellowship")]).await.check(200);
        house.put(ADMIN, "/set_group_roles", &[("groupname", "fellowship"), ("roles", "1,999")]).await.check(200);
        let count = async || house.get(ADMIN, "/userobjects?permission=999").await.expect(200).json().as_array().unwrap().len();
        assert_eq!(count().await, 0);
        house.post(ADMIN, "/set_user_groups", &[("userid", "5"), ("groups", "fellowship")]).await.check(200);
        assert_eq!(count().await, 1);
        house.post(ADMIN, "/set_user_groups", &[("userid", "5"), ("groups", "")]).await.check(200);
        assert_eq!(count().await, 0);
        for all in ["0", "x", "70000"] {
            let found = house.get(ADMIN, &format!("/userobjects?permission={all}")).await.expect(200).json();
            assert_eq!(found.as_array().unwrap().len(), 5, "{all}");
        }
    }

    async fn b18_b19_groups_are_made_once(house: &House) {
        assert_eq!(house.roles("admin").await, Some(vec!["1".to_owned()]));
        assert_eq!(house.roles("enabled").await, Some(vec!["2".to_owned()]));
        assert_eq!(house.roles("filedrop").await, Some(vec!["301".to_owned()]));
        let all = house.call("GET", "/groups").send().await.expect(200).json();
        let numbers: Vec<(&Value, &Value)> = all.as_array().unwrap().iter().map(|group| (&group["Name"], &group["ID"])).collect();
        let expected = [("PCS", "1"), ("admin", "2"), ("enabled", "3"), ("filedrop", "4")];
        assert_eq!(numbers, expected.iter().map(|(name, id)| (json!(name), json!(id))).collect::<Vec<_>>().iter().map(|(a, b)| (a, b)).collect::<Vec<_>>());
        let create = async |who, name: &str| house.put(who, "/create_group", &[("groupname", name)]).await;
        says(&create(JOE, "testgroup").await, 403, "You are not an administrator");
        for _ in 0..2 {
            says(&create(ADMIN, "testgroup").await, 200, "");
        }
        assert_eq!(house.roles("testgroup").await, Some(vec![]));
        says(&create(ADMIN, " ").await, 406, "Group name may not be blank.");
        says(&create(ADMIN, "a,b").await, 400, "Error creating group (a,b): Group name may not contain a comma");
        // A group of another door is not the dialect's to hand out.
        let new = keyreeve_identity::NewGroup { name: "ledger".to_owned(), ..Default::default() };
        let (identity, cause) = (house.server.identity(), keyreeve_identity::Cause::operator());
        identity.groups().create(house.mount.id(), new, &cause).await.unwrap();
        says(&create(ADMIN, "ledger").await, 400, "Error creating group (ledger): A group with that name already exists");
        assert_eq!(house.roles("ledger").await, None);
    }

    async fn b20_b21_a_groups_roles_are_replaced(house: &House) {
        let set = async |who, name: &str, roles: &str| {
            house.put(who, "/set_group_roles", &[("groupname", name), ("roles", roles)]).await
        };
        says(&set(JOE, "testgroup1", "1").await, 403, "You are not an administrator");
        let none = "Group 'testgroup1' not found: Group does not exist: testgroup1";
        says(&set(ADMIN, "testgroup1", "1").await, 404, none);
        says(&set(ADMIN, "", "1").await, 404, "Group '' not found: Group does not exist: ");
        house.put(ADMIN, "/create_group", &[("groupname", "socketusergroup")]).await.check(200);
        let set = async |roles: &str| set(ADMIN, "socketusergroup", roles).await;
        let told = |added: &str, removed: &str| format!("Group: socketusergroup roles updated: Added: {added} Removed: {removed}");
        says(&set("1").await, 200, &told("admin", "<none>"));
        says(&set("2,3").await, 200, &told("enabled pcsmoduleaccess", "admin"));
        says(&set("2,3").await, 200, &told("<none>", "<none>"));
        assert_eq!(house.roles("socketusergroup").await, Some(vec!["2".to_owned(), "3".to_owned()]));
        says(&set("2,65536").await, 400, "Invalid role '65536'");
        assert_eq!(house.roles("socketusergroup").await, Some(vec!["2".to_owned(), "3".to_owned()]), "nothing of it was written");
        says(&set("").await, 200, &told("<none>", "enabled pcsmoduleaccess"));
        let entries = house.mount.audited("imqs.group.permissions").await;
        assert!(entries.len() >= 4, "every change is in the log");
    }

    async fn b31_what_is_left_of_a_permit_applies_when_a_group_is_gone(house: &House) {
        house.put(ADMIN, "/create_group", &[("groupname", "gone")]).await.check(200);
        house.post(ADMIN, "/set_user_groups", &[("userid", "1"), ("groups", "gone,enabled")]).await.check(200);
        let delete = async |name: &str| house.put(ADMIN, "/delete_group", &[("groupname", name)]).await;
        says(&delete("gone").await, 200, "");
        says(&delete("gone").await, 400, "Error deleting group (gone): Group does not exist: gone");
        says(&delete("").await, 406, "Group name may not be blank.");
        for kept in ["admin", "enabled"] {
            says(&delete(kept).await, 405, &format!("Deleting group {kept} is not permitted"));
        }
        house.login(JOE).await.check(200);
        assert_eq!(house.user_object(1).await.unwrap()["Groups"], json!(["enabled"]));
        // Nor does another door's removal leave anything behind.
        house.put(ADMIN, "/create_group", &[("groupname", "other")]).await.check(200);
        house.post(ADMIN, "/set_user_groups", &[("userid", "1"), ("groups", "other,enabled")]).await.check(200);
        let (identity, tenant) = (house.server.identity(), house.mount.id());
        let other = identity.groups().find(tenant, "other").await.unwrap().unwrap().id;
        identity.groups().delete((tenant, other), None, &keyreeve_identity::Cause::operator()).await.unwrap();
        assert_eq!(house.user_object(1).await.unwrap()["Groups"], json!(["enabled"]));
        assert_eq!(house.roles("other").await, None);
    }

    async fn a_group_is_renamed(house: &House) {
        house.put(ADMIN, "/create_group", &[("groupname", "one")]).await.check(200);
        let rename = async |name: &str, new: &str| house.post(ADMIN, "/update_group", &[("name", name), ("newname", new)]).await;
        says(&rename("one", "enabled").await, 400, "A group with that name already exists");
        says(&rename("none", "two").await, 400, "Group does not exist: none");
        says(&rename("one", "").await, 406, "Group name may not be blank.");
        says(&rename("one", "two").await, 200, "");
        assert!(house.roles("one").await.is_none() && house.roles("two").await.is_some());
    }

    async fn names_of_permissions(house: &House) {
        let names = house.get(ADMIN, "/groups_perm_names").await.expect(200).json();
        assert_eq!((&names["1"], &names["2"], &names["999"]), (&json!("admin"), &json!("enabled"), &json!("imqsdeveloper")));
    }
}

/// A request signed by a service.
fn signed(house: &House, secret: &str, body: &Value) -> keyreeve_acceptance::Call {
    let at = house.server.now().seconds();
    let date = jiff::Timestamp::from_second(at).unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let body = body.to_string();
    let digest: String =
        keyreeve_crypto::sha256(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("POST\n/auth2/importgroups\n{date}\n{digest}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mac = STANDARD.encode(hmac::sign(&key, text.as_bytes()));
    let call = house.call("POST", "/importgroups").body("application/json", body).header("date", &date);
    call.header("authorization", &format!("IMQS-Service importer:{mac}"))
}

#[test]
fn b33_groups_go_from_one_server_to_another_by_a_service() {
    block_on(async {
        let mut secret = tempfile::NamedTempFile::new().unwrap();
        secret.write_all(b"shared between services").unwrap();
        let setup = Setup::new(Engine::Sqlite)
            .set("KEYREEVE_COMPAT_IMQS_SERVICE_SECRET_FILE", &secret.path().display().to_string());
        let house = House::start(setup, "{}").await;
        house.server.expect_failures();
        house.put(ADMIN, "/create_group", &[("groupname", "pumps")]).await.check(200);
        house.put(ADMIN, "/set_group_roles", &[("groupname", "pumps"), ("roles", "3,999")]).await.check(200);
        house
            .post(ADMIN, "/set_user_groups", &[("userid", "2"), ("groups", "enabled,pumps")])
            .await
            .check(200);
        let export = house.get(ADMIN, "/exportgroups").await.expect(200).json();
        let jack = json!({"ID": "email: jack", "Groups": [3, 5]});
        assert!(export["Users"].as_array().unwrap().contains(&jack), "{export}");
        assert!(
            export["Groups"]
                .as_array()
                .unwrap()
                .contains(&json!({"ID": 5, "Name": "pumps", "PermList": "AAMD5w=="}))
        );
        assert_eq!(export["OverwriteGroups"], json!(true));

        house.post(ADMIN, "/set_user_groups", &[("userid", "2"), ("groups", "enabled")]).await.check(200);
        house.put(ADMIN, "/delete_group", &[("groupname", "pumps")]).await.check(200);
        let refused = "API requires interservice permissions";
        says(&house.post(ADMIN, "/importgroups", &[]).await, 500, refused);
        says(&signed(&house, "another secret", &export).send().await, 500, refused);
        says(&signed(&house, "shared between services", &export).send().await, 200, "");
        assert_eq!(house.roles("pumps").await, Some(vec!["3".to_owned(), "999".to_owned()]));
        let groups = house.user_object(2).await.unwrap()["Groups"].clone();
        assert_eq!(groups, json!(["enabled", "pumps"]));
        let bad = json!({"Groups": [{"ID": 1, "Name": "x", "PermList": "AAA="}]});
        let answer = signed(&house, "shared between services", &bad).send().await;
        says(&answer, 400, "Invalid Permission from import 0 in group x");
        assert_eq!(house.roles("x").await, None);
        signed(&house, "shared between services", &json!([1])).send().await.check(400);
        house.server.finish().await;
    });
}

fn notices(engine: Engine) {
    block_on(async {
        let sink = StandIn::start().await;
        let config = json!({"NotificationUrl": sink.url("/notify")}).to_string();
        let house = House::start(Setup::new(engine).set("KEYREEVE_ALLOW_PRIVATE_FETCH", "1"), &config).await;
        let _ = sink.rest().await;
        let cookie = house.cookie(ADMIN).await;
        let put = |path: &str, query: &[(&str, &str)]| {
            house.call("PUT", path).query(query).header("cookie", &cookie).send()
        };
        put("/create_group", &[("groupname", "socketusergroup")]).await.check(200);
        // The first attempt is not taken: it is made again.
        sink.answer(503, &[], "");
        let set = house
            .call("POST", "/set_user_groups")
            .query(&[("userid", "1"), ("groups", "enabled,socketusergroup")]);
        set.header("cookie", &cookie).send().await.check(200);
        let heard = sink.next().await;
        let expected = json!({"Channel": "authNotifications", "Msg": "permissions_changed:1"});
        assert_eq!(serde_json::from_str::<Value>(&heard.body).unwrap(), expected);
        sink.answer(200, &[], "");
        // Whenever the attempt was settled, its pause is over one of these times.
        let mut again = sink.rest().await;
        while again.is_empty() {
            house.server.advance(60);
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            again = sink.rest().await;
        }
        assert_eq!(serde_json::from_str::<Value>(&again[0].body).unwrap(), expected);
        for roles in ["1", "2,3", "2,3"] {
            put("/set_group_roles", &[("groupname", "socketusergroup"), ("roles", roles)]).await.check(200);
            assert_eq!(serde_json::from_str::<Value>(&sink.next().await.body).unwrap(), expected);
        }
        assert!(basic("a", "b").starts_with("Basic ") && !TENANT.is_empty());
        house.server.finish().await;
    });
}

#[test]
fn b21_members_are_told_of_every_change_sqlite() {
    notices(Engine::Sqlite);
}

#[test]
fn b21_members_are_told_of_every_change_postgres() {
    notices(Engine::Postgres);
}
