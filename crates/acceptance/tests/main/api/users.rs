//! Users.

use keyreeve_acceptance::{PASSWORD, Server, on_a_server};
use serde_json::json;

on_a_server! {
    async fn a_user_is_made_read_changed_and_archived(server: &Server) {
        let admin = server.administrator().await;
        let document = json!({"username": "ada", "email": "ada@example.org", "attributes": {"dept": ["physics"]},
            "password": PASSWORD});
        let made = admin.post("/users", &document).send().await.expect(201);
        let user = made.json();
        let id = user["id"].as_str().unwrap();
        assert_eq!(made.header("etag"), Some("\"1\""));
        assert_eq!(made.header("location"), Some(format!("{}/api/v1/users/{id}", server.issuer()).as_str()));
        assert!(made.header("ratelimit").unwrap().starts_with("\"caller\";r="), "{made}");
        assert_eq!(user["attributes"]["dept"], json!(["physics"]));
        assert!(!made.text().contains(PASSWORD));
        server.browser().sign_in("ada").await;

        let path = format!("/users/{id}");
        let read = admin.get(&path).send().await.expect(200);
        assert_eq!(read.json(), user);
        admin.get(&path).header("if-none-match", "\"1\"").send().await.check(304);

        let patch = json!({"email": null, "given_name": "Ada"});
        let changed = admin.patch(&path, &patch).header("if-match", "\"1\"").send().await.expect(200).json();
        assert_eq!((&changed["email"], &changed["given_name"], &changed["username"]), (&json!(null), &json!("Ada"), &json!("ada")));
        admin.patch(&path, &patch).header("if-match", "\"1\"").send().await.check(412);

        let locked = admin.call("POST", &format!("{path}/lock")).send().await.expect(200).json();
        assert_eq!(locked["locked"], true);
        admin.call("POST", &format!("{path}/unlock")).send().await.check(200);
        admin.put(&format!("{path}/password"), &json!({"password": "Another-sound-0ne"})).send().await.check(204);
        admin.delete(&path).send().await.check(204);
        admin.get(&path).send().await.check(404);
    }

    async fn lists_come_in_pages(server: &Server) {
        let admin = server.administrator().await;
        for name in ["ada", "bob", "cyd"] {
            server.user(name).create().await;
        }
        let first = admin.get("/users").query(&[("limit", "2")]).send().await.expect(200);
        assert_eq!(first.json()["items"].as_array().unwrap().len(), 2);
        let link = first.header("link").unwrap();
        let next = link.trim_start_matches('<').split('>').next().unwrap();
        let second = admin.get(next).send().await.expect(200).json();
        let names: Vec<_> = second["items"].as_array().unwrap().iter().map(|user| user["username"].clone()).collect();
        assert_eq!(names, [json!("bob"), json!("cyd")], "after the first administrator and Ada");
        assert!(second["next"].is_null());
    }

    async fn a_repeated_request_makes_one_user(server: &Server) {
        let admin = server.administrator().await;
        let document = json!({"username": "ada", "password": PASSWORD});
        let post = |document| admin.post("/users", document).header("idempotency-key", "a-key");
        let made = post(&document).send().await.expect(201);
        let again = post(&document).send().await.expect(201);
        assert_eq!(made.json()["id"], again.json()["id"]);
        assert_eq!((made.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
        let other = post(&json!({"username": "bob"})).send().await;
        other.check(422);
        assert_eq!(other.json()["type"], "/api/v1/problems#key-reused");
        assert_eq!(server.audited("user.create").await.len(), 2, "the first administrator, and Ada");
        // Another caller's keys are its own.
        let elsewhere = server.administrator().await;
        elsewhere.post("/users", &json!({"username": "cyd"})).header("idempotency-key", "a-key").send().await.check(201);
        // A day later the key is free.
        server.advance(86_401);
        let admin = server.administrator().await;
        admin.post("/users", &json!({"username": "dan"})).header("idempotency-key", "a-key").send().await.check(201);
    }

    async fn a_refused_request_leaves_its_key_free(server: &Server) {
        let admin = server.administrator().await;
        server.user("ada").create().await;
        let post = |name: &str| admin.post("/users", &json!({"username": name})).header("idempotency-key", "k");
        let taken = post("ADA").send().await;
        taken.check(409);
        assert_eq!(taken.json()["errors"][0]["pointer"], "/username");
        post("bob").send().await.check(201);
    }

    async fn whether_a_name_is_free_is_told_to_those_who_may_know(server: &Server) {
        let admin = server.administrator().await;
        server.user("ada").create().await;
        let asked = |name: &'static str| admin.get(&format!("/usernames/{name}"));
        assert_eq!(asked("ADA").send().await.expect(200).json()["available"], false);
        assert_eq!(asked("bob").send().await.expect(200).json()["available"], true);
        let impossible = asked("a%1Cb").send().await.expect(400).json();
        assert_eq!(impossible["errors"][0]["parameter"], "name", "{impossible}");
    }
}
