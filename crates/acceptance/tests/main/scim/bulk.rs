//! Bulk requests.

use super::{BULK, GROUP, PATCH, Provisioner, USER, id, path, refused};
use keyreeve_acceptance::{Server, on_a_server};
use serde_json::{Value, json};

async fn bulk(scim: &Provisioner, operations: Value) -> Vec<Value> {
    let body = json!({"schemas": [BULK], "Operations": operations});
    let answer = scim.send("POST", "/Bulk", &body).await.expect(200).json();
    answer["Operations"].as_array().unwrap().clone()
}

fn statuses(answers: &[Value]) -> Vec<&str> {
    answers.iter().map(|answer| answer["status"].as_str().unwrap()).collect()
}

fn user(name: &str, bulk_id: &str) -> Value {
    json!({"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": {"schemas": [USER], "userName": name}})
}

fn group(name: &str, bulk_id: &str, member: &str) -> Value {
    let data = json!({"schemas": [GROUP], "displayName": name, "members": [{"value": member}]});
    json!({"method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": data})
}

on_a_server! {
    async fn operations_refer_to_what_others_make(server: &Server) {
        let scim = Provisioner::at(server).await;
        let old = scim.user(json!({"userName": "old"})).await;
        let done = bulk(&scim, json!([
            // Before what it refers to.
            group("crew", "g", "bulkId:a"),
            user("ada", "a"),
            {"method": "PATCH", "path": "/Users/bulkId:a", "data": {"schemas": [PATCH], "Operations": [{"op": "add", "path": "title", "value": "Countess"}]}},
            {"method": "PUT", "path": path(&old), "version": old["meta"]["version"], "data": {"schemas": [USER], "userName": "older"}},
            {"method": "DELETE", "path": path(&old)},
        ])).await;
        assert_eq!(statuses(&done), ["201", "201", "200", "200", "204"]);
        assert_eq!((&done[0]["bulkId"], &done[0]["method"]), (&json!("g"), &json!("POST")));
        let ada = done[1]["location"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let shown = scim.get(&format!("/Users/{ada}")).await.expect(200).json();
        assert_eq!(shown["title"], "Countess");
        assert_eq!(shown["groups"][0]["display"], "crew");
        assert_eq!(done[2]["version"], shown["meta"]["version"]);
        refused(&scim.get(&path(&old)).await, 404, "");
    }

    async fn a_circle_and_what_failed_are_conflicts(server: &Server) {
        let scim = Provisioner::at(server).await;
        let done = bulk(&scim, json!([
            group("one", "1", "bulkId:2"), group("two", "2", "bulkId:1"), user("ada", "a"), user("ADA", "b"),
            group("three", "3", "bulkId:b"), group("four", "4", "bulkId:nowhere"),
        ])).await;
        assert_eq!(statuses(&done), ["409", "409", "201", "409", "409", "409"]);
        assert_eq!(done[3]["response"]["scimType"], "uniqueness");
        assert_eq!(done[0]["response"]["status"], "409");
        assert_eq!(scim.get("/Groups").await.json()["totalResults"], 0);
    }

    async fn errors_end_it_where_that_is_asked_for(server: &Server) {
        let scim = Provisioner::at(server).await;
        let operations = json!([user("ada", "a"), user("ada", "b"), user("ada", "c"), user("bob", "d")]);
        let body = json!({"schemas": [BULK], "failOnErrors": 2, "Operations": operations});
        let answer = scim.send("POST", "/Bulk", &body).await.expect(200).json();
        assert_eq!(statuses(answer["Operations"].as_array().unwrap()), ["201", "409", "409"]);
        assert_eq!(scim.names("/Users").await, ["ada"]);
    }

    async fn each_operation_is_held_to_the_same_rules(server: &Server) {
        let scim = Provisioner::at(server).await;
        let ada = scim.user(json!({"userName": "ada"})).await;
        let crew = scim.group("crew", &[]).await;
        let chief = scim.administrator_of(id(&crew)).await;
        let done = bulk(&chief, json!([
            user("new", "n"),
            {"method": "DELETE", "path": path(&ada)},
            {"method": "DELETE", "path": path(&crew)},
            {"method": "DELETE", "path": "/Users"},
            {"method": "POST", "bulkId": "x", "path": path(&ada), "data": {}},
            {"method": "DELETE", "path": "/Tenants/1"},
            {"method": "PATCH", "path": path(&crew), "version": "W/\"9\"", "data": {"schemas": [PATCH], "Operations": [{"op": "remove", "path": "members"}]}},
        ])).await;
        assert_eq!(statuses(&done), ["403", "404", "403", "400", "400", "400", "412"]);
        let many = json!({"schemas": [BULK], "Operations": vec![json!({"method": "DELETE", "path": "/Users/x"}); 201]});
        refused(&scim.send("POST", "/Bulk", &many).await, 413, "tooMany");
        refused(&scim.send("POST", "/Bulk", &json!({"schemas": [BULK], "Operations": [{"method": "GET", "path": "/Users"}]})).await, 400, "invalidSyntax");
    }
}
