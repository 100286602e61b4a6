//! Groups, roles and service accounts: what hangs together in the directory.

use keyreeve_acceptance::{Api, Server, on_a_server};
use serde_json::{Value, json};

/// Makes something and answers its identifier.
async fn made(api: &Api, path: &str, document: &Value) -> String {
    let answer = api.post(path, document).send().await.expect(201).json();
    answer["id"].as_str().unwrap().to_owned()
}

/// A member of each item of a list, in its order.
async fn told(api: &Api, path: &str, pointer: &str) -> Vec<Value> {
    let page = api.get(path).send().await.expect(200).json();
    page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item.pointer(pointer).cloned().unwrap_or_default())
        .collect()
}

on_a_server! {
    async fn a_role_reaches_whom_nested_groups_hold(server: &Server) {
        let admin = server.administrator().await;
        let ada = made(&admin, "/users", &json!({"username": "ada"})).await;
        let science = made(&admin, "/groups", &json!({"name": "science"})).await;
        let physics = made(&admin, "/groups", &json!({"name": "physics", "parent": science})).await;
        let reader = made(&admin, "/roles", &json!({"name": "reader"})).await;
        let member = format!("/groups/{physics}/members/user/{ada}");
        admin.put(&member, &json!({"kind": "ADMIN"})).send().await.check(204);
        let holder = format!("/roles/{reader}/holders/group/{science}");
        admin.put(&holder, &json!({})).send().await.check(204);

        assert_eq!(told(&admin, &format!("/groups/{science}/members"), "/member/id").await, [json!(physics)]);
        let reached = told(&admin, &format!("/groups/{science}/members?reach=effective"), "/member/id").await;
        assert!(reached.contains(&json!(ada)), "{reached:?}");
        assert_eq!(told(&admin, &format!("/roles/{reader}/holders"), "/holder/id").await, [json!(science)]);
        let roles = admin.get(&format!("/users/{ada}/roles")).send().await.expect(200).json();
        assert_eq!((&roles["direct"], &roles["effective"][0]["name"]), (&json!([]), &json!("reader")));
        let groups = admin.get(&format!("/users/{ada}/groups")).send().await.expect(200).json();
        let of = |id: &str| groups["items"].as_array().unwrap().iter().find(|group| group["id"] == id).unwrap().clone();
        assert_eq!((&of(&physics)["kind"], of(&science).get("kind")), (&json!("ADMIN"), None));
        assert_eq!(told(&admin, &format!("/groups/{physics}/groups"), "/name").await, [json!("science")]);

        admin.delete(&member).send().await.check(204);
        let roles = admin.get(&format!("/users/{ada}/roles")).send().await.expect(200).json();
        assert_eq!(roles["effective"], json!([]), "who is out of the group has nothing of it");
        admin.delete(&member).send().await.check(404);
        admin.delete(&holder).send().await.check(204);
        assert_eq!(told(&admin, &format!("/roles/{reader}/holders"), "/holder/id").await, [Value::Null; 0]);
    }

    async fn ac_70_a_group_never_holds_itself(server: &Server) {
        let admin = server.administrator().await;
        let outer = made(&admin, "/groups", &json!({"name": "outer"})).await;
        let inner = made(&admin, "/groups", &json!({"name": "inner", "parent": outer})).await;
        for (group, member) in [(&inner, &outer), (&outer, &outer)] {
            let path = format!("/groups/{group}/members/group/{member}");
            let refused = admin.put(&path, &json!({})).send().await;
            refused.check(422);
        }
        assert_eq!(told(&admin, &format!("/groups/{inner}/members"), "/member/id").await, [Value::Null; 0]);
    }

    async fn groups_and_roles_are_changed_by_version(server: &Server) {
        let admin = server.administrator().await;
        for (path, new, patch) in [
            ("/groups", json!({"name": "physics"}), json!({"description": "Those below"})),
            ("/roles", json!({"name": "reader"}), json!({"description": "May read"})),
            ("/service-accounts", json!({"name": "nightly"}), json!({"description": "Every night"})),
        ] {
            let id = made(&admin, path, &new).await;
            let one = format!("{path}/{id}");
            let changed = admin.patch(&one, &patch).header("if-match", "\"1\"").send().await.expect(200);
            assert_eq!((changed.header("etag"), &changed.json()["description"]), (Some("\"2\""), &patch["description"]));
            admin.patch(&one, &json!({"description": null})).header("if-match", "\"1\"").send().await.check(412);
            let taken = admin.post(path, &new).send().await.expect(409).json();
            assert_eq!(taken["errors"][0]["pointer"], "/name", "{taken}");
            let unknown = admin.patch(&one, &json!({"colour": "red"})).send().await.expect(400).json();
            assert_eq!(unknown["errors"][0]["pointer"], "/colour", "{unknown}");
            admin.delete(&one).header("if-match", "\"1\"").send().await.check(412);
            admin.delete(&one).header("if-match", "\"2\"").send().await.check(204);
            admin.get(&one).send().await.check(404);
        }
    }

    async fn a_service_account_has_secrets_that_one_sees_once(server: &Server) {
        let admin = server.administrator().await;
        let ada = made(&admin, "/users", &json!({"username": "ada"})).await;
        let owner = json!({"kind": "user", "id": ada});
        let id = made(&admin, "/service-accounts", &json!({"name": "nightly", "owner": owner, "token_lifetime_s": 120})).await;
        let path = format!("/service-accounts/{id}");
        let issued = admin.post(&format!("{path}/secrets"), &json!({"lasts_s": 3_600})).send().await.expect(201).json();
        let secret = issued["secret"].as_str().unwrap();
        let listed = admin.get(&format!("{path}/secrets")).send().await.expect(200);
        assert!(!listed.text().contains(secret), "{listed}");

        let form = [("grant_type", "client_credentials")];
        let token = || server.post("/token").basic(&id, secret).form(&form).send();
        let granted = token().await.expect(200).json();
        assert_eq!(granted["expires_in"], 120);
        admin.patch(&path, &json!({"enabled": false})).send().await.check(200);
        token().await.check(401);
        admin.patch(&path, &json!({"enabled": true})).send().await.check(200);
        // Without somebody who answers for it, it is not admitted either.
        admin.post(&format!("/users/{ada}/disable"), &json!({})).send().await.check(200);
        token().await.check(401);
        admin.post(&format!("/users/{ada}/enable"), &json!({})).send().await.check(200);
        token().await.check(200);
        let one = format!("{path}/secrets/{}", issued["id"].as_str().unwrap());
        admin.delete(&one).send().await.check(204);
        token().await.check(401);
    }
}
