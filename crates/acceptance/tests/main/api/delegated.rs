//! What an administrator of a group sees and changes: theirs, and nothing else.

use keyreeve_acceptance::{Api, Server, on_a_server};
use keyreeve_identity::{Cause, MembershipKind, NewGroup, Party};
use serde_json::json;

/// The administrator of a group that holds `ada`; `otto` is in none.
async fn deputy(server: &Server) -> (Api, String) {
    let (deputy, ada) = (server.user("deputy").create().await, server.user("ada").create().await);
    server.user("otto").create().await;
    let cause = Cause::operator();
    let new =
        NewGroup { name: "physics".into(), owner: Some(Party::User(deputy.user.id)), ..NewGroup::default() };
    let group = server.identity().groups().create(server.id(), new, &cause).await.unwrap();
    let (which, party) = ((server.id(), group.id), Party::User(ada.user.id));
    server.identity().groups().add(which, party, MembershipKind::Member, &cause).await.unwrap();
    (server.api_of(&deputy, "keyreeve:admin").await, group.id.to_string())
}

async fn names(api: &Api, path: &str, member: &str) -> Vec<String> {
    let page = api.get(path).send().await.expect(200).json();
    let mut names: Vec<_> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item[member].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

on_a_server! {
    async fn a_group_administrator_finds_only_their_own(server: &Server) {
        let (api, _) = deputy(server).await;
        assert_eq!(names(&api, "/users", "username").await, ["ada", "deputy"]);
        assert_eq!(names(&api, "/users?filter=username%20eq%20%22otto%22", "username").await, [""; 0]);
        assert_eq!(names(&api, "/groups", "name").await, ["physics"]);
        let counted = api.get("/users?count=true").send().await.expect(200).json();
        assert_eq!(counted["total"], 2, "nobody else is counted either");
    }

    async fn ac_52_what_is_elsewhere_is_not_there(server: &Server) {
        let (api, _) = deputy(server).await;
        let admin = server.administrator().await;
        let otto = admin.get("/users?filter=username%20eq%20%22otto%22").send().await.expect(200).json();
        let otto = otto["items"][0]["id"].as_str().unwrap().to_owned();
        let missing = api.get("/users/0190f0f0-0000-7000-8000-000000000001").send().await.expect(404);
        let hidden = api.get(&format!("/users/{otto}")).send().await.expect(404);
        let without_instance = |answer: &keyreeve_acceptance::Answer| {
            let mut document = answer.json();
            document.as_object_mut().unwrap().remove("instance");
            document
        };
        assert_eq!(without_instance(&missing), without_instance(&hidden), "they look alike");
        api.patch(&format!("/users/{otto}"), &json!({"given_name": "X"})).send().await.check(404);
        api.delete(&format!("/users/{otto}")).send().await.check(404);
        // The same identifier at another tenant is nobody.
        let acme = server.tenant("acme").create().await;
        acme.administrator().await.get(&format!("/users/{otto}")).send().await.check(404);
    }

    async fn nobody_reaches_further_by_a_group(server: &Server) {
        let (api, group) = deputy(server).await;
        let admin = server.administrator().await;
        let otto = admin.get("/users?filter=username%20eq%20%22otto%22").send().await.expect(200).json();
        let otto = otto["items"][0]["id"].as_str().unwrap().to_owned();
        // Whom one does not see one cannot take into a group.
        api.put(&format!("/groups/{group}/members/user/{otto}"), &json!({})).send().await.check(404);
        // One's own users are made in the group; without it, in the tenant, they are not.
        let made = api.post("/users", &json!({"username": "new", "group": group})).send().await.expect(201).json();
        assert_eq!(names(&api, "/users", "username").await, ["ada", "deputy", "new"]);
        api.post("/users", &json!({"username": "other"})).send().await.check(403);
        let path = format!("/users/{}", made["id"].as_str().unwrap());
        api.patch(&path, &json!({"given_name": "New"})).send().await.check(200);
        // Who joins another group as well is seen, and changed no more.
        let other = admin.post("/groups", &json!({"name": "chemistry"})).send().await.expect(201).json();
        let member = format!("/groups/{}/members/user/{}", other["id"].as_str().unwrap(), made["id"].as_str().unwrap());
        admin.put(&member, &json!({"kind": "MEMBER"})).send().await.check(204);
        api.get(&path).send().await.check(200);
        api.patch(&path, &json!({"given_name": "Old"})).send().await.check(403);
    }

    async fn a_token_with_less_than_everything_makes_no_administrator(server: &Server) {
        let chief = server.user("chief").create().await;
        let role = server.identity().roles().tenant_admin(server.id()).await.unwrap().id;
        let (which, party) = ((server.id(), role), Party::User(chief.user.id));
        server.identity().roles().assign(which, party, &Cause::operator()).await.unwrap();
        let plain = server.user("plain").create().await;
        let api = server
            .api("keyreeve:users:write keyreeve:groups:write keyreeve:roles:write keyreeve:clients:write keyreeve:sessions:write")
            .await;
        let refused = async |call: keyreeve_acceptance::Call| {
            let answer = call.send().await.expect(403);
            assert_eq!(answer.json()["type"], "/api/v1/problems#insufficient-scope", "{answer}");
            assert!(answer.header("www-authenticate").unwrap().contains("scope=\"keyreeve:"), "{answer}");
        };
        let password = json!({"password": "Mine-from-now-0n"});
        refused(api.put(&format!("/users/{}/password", chief.sub()), &password)).await;
        refused(api.call("DELETE", &format!("/users/{}/sessions", chief.sub()))).await;
        refused(api.call("PUT", &format!("/roles/{role}/holders/user/{}", plain.sub()))).await;
        let admin = server.administrator().await;
        let group = admin.post("/groups", &json!({"name": "chiefs"})).send().await.expect(201).json();
        let group = group["id"].as_str().unwrap();
        admin.call("PUT", &format!("/roles/{role}/holders/group/{group}")).send().await.check(204);
        refused(api.put(&format!("/groups/{group}/members/user/{}", plain.sub()), &json!({}))).await;
        let client = json!({"name": "x", "grant_types": ["client_credentials"], "scopes": "keyreeve:admin"});
        refused(api.post("/clients", &client)).await;
        let client = admin.post("/clients", &client).send().await.expect(201).json();
        refused(api.post(&format!("/clients/{}/secrets", client["id"].as_str().unwrap()), &json!({}))).await;
        refused(api.patch(&format!("/clients/{}", client["id"].as_str().unwrap()), &json!({"enabled": false}))).await;
        // What is no administrator's is theirs to change.
        api.put(&format!("/users/{}/password", plain.sub()), &password).send().await.check(204);
    }
}
