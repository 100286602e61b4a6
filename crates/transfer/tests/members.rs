//! Groups, their members, roles and who has them.

use crate::house::{create, dry, house, upsert};
use keyreeve_testkit::{Engine, on_both_engines};

const TEXT: &str = r#"{"type":"client","client_id":"wiki","settings":{"name":"Wiki","auth_method":"none"}}
{"type":"role","name":"auditor","description":"reads"}
{"type":"role","name":"editor","application":"wiki"}
{"type":"group","name":"Staff","attributes":{"site":["HH"]}}
{"type":"group","name":"Data Admins"}
{"type":"user","username":"ada","email":"ada@example.org"}
{"type":"user","username":"bob"}
{"type":"membership","group":"staff","member":{"group":"data admins"}}
{"type":"membership","group":"DATA ADMINS","member":{"user":"ADA@example.org"},"kind":"OWNER"}
{"type":"membership","group":"staff","member":{"user":"bob"}}
{"type":"membership","group":"staff","member":{"user":"bob"}}
{"type":"role_holder","role":"auditor","holder":{"group":"staff"}}
{"type":"role_holder","role":"editor","application":"wiki","holder":{"user":"bob"}}
{"type":"role_holder","role":"tenant-admin","holder":{"user":"ada"}}"#;

on_both_engines! {
    async fn what_a_line_names_may_stand_before_it(engine: Engine) {
        let house = house(engine).await;
        let mut expected = vec!["created"; 14];
        expected[10] = "skipped";
        for trial in [true, false] {
            let begin = if trial { dry(create()) } else { create() };
            let mut expected = expected.clone();
            if trial {
                // Made when it is first given.
                expected[13] = "failed /role names a role that does not exist";
            }
            assert_eq!(house.words(begin, TEXT).await, expected, "trial: {trial}");
        }
        let ada = house.user("ada").await;
        let roles = house.identity.roles().effective_of(house.tenant, keyreeve_identity::Party::User(ada.id)).await.unwrap();
        let mut names: Vec<_> = roles.of_tenant().collect();
        names.sort_unstable();
        assert_eq!(names, ["auditor", "tenant-admin"]);
        assert_eq!(house.words(create(), TEXT).await, vec!["skipped"; 14]);
        assert_eq!(house.words(upsert(), TEXT).await, vec!["unchanged"; 14]);
        let promoted = r#"{"type":"membership","group":"staff","member":{"user":"bob"},"kind":"ADMIN"}"#;
        assert_eq!(house.words(upsert(), promoted).await, ["updated"]);
        let log = house.log().await;
        assert_eq!(log.iter().filter(|entry| *entry == "role.assign success").count(), 3);
        assert!(log.contains(&"group.member.change success".to_owned()));
        house.check().await;
    }

    async fn ac_70_no_circle_and_no_bottomless_nest_comes_in(engine: Engine) {
        let house = house(engine).await;
        let mut text = String::new();
        for number in 0..40 {
            text.push_str(&format!("{{\"type\":\"group\",\"name\":\"g{number}\"}}\n"));
        }
        let nest = |parent: u32, child: u32| format!("{{\"type\":\"membership\",\"group\":\"g{parent}\",\"member\":{{\"group\":\"g{child}\"}}}}\n");
        for (parent, child) in [(0, 1), (1, 2), (2, 0), (2, 2), (0, 1)] {
            text.push_str(&nest(parent, child));
        }
        for parent in 3..39 {
            text.push_str(&nest(parent, parent + 1));
        }
        let real = house.words(dry(create()), &text).await;
        for trial in [true, false] {
            let begin = if trial { dry(create()) } else { create() };
            let words = house.words(begin, &text).await;
            assert_eq!(words[40..45], [
                "created", "created",
                "failed /member would, by way of others, be nested in itself",
                "failed /member would, by way of others, be nested in itself",
                "skipped",
            ], "trial: {trial}");
            assert!(words.iter().any(|word| word.contains("deep")), "trial: {trial}");
            assert_eq!(words, real, "what a dry run says is what happens");
        }
        house.check().await;
    }

    async fn what_is_named_and_does_not_exist_is_said(engine: Engine) {
        let house = house(engine).await;
        let text = r#"{"type":"membership","group":"none","member":{"user":"none"}}
{"type":"group","name":"g"}
{"type":"membership","group":"g","member":{"user":"none"}}
{"type":"membership","group":"g","group_id":"0190b2f4-6f6e-7c3a-8f55-0f6f2f2f2f2f","member":{"user":"none"}}
{"type":"membership","group":"g","member":{"group":"g"},"kind":"OWNER"}
{"type":"role","name":"tenant-admin"}
{"type":"role","name":"r","application":"none"}
{"type":"role_holder","role":"r","holder":{"service_account":"s"}}
{"type":"client","client_id":"c","settings":{"name":"C"},"secret":"short"}
{"type":"client","client_id":"c","settings":{"name":"C","grant_types":["authorization_code"]}}
{"type":"client","client_id":"c","settings":{"name":"C"},"secret":"0123456789abcdefghijklmnopqrstuv"}"#;
        assert_eq!(house.words(create(), text).await, [
            "failed /group names a group that does not exist",
            "created",
            "failed /member names a user that does not exist",
            "failed /group or group_id is needed, and not both",
            "failed /kind of a nested group must be MEMBER",
            "failed /name is reserved",
            "failed /application names a client that does not exist",
            "failed /holder names a service account that does not exist",
            "failed /secret is shorter than 24 bytes, and could be guessed",
            "failed /settings/redirect_uris must name at least one for authorization_code",
            "created",
        ]);
        house.check().await;
    }
}
