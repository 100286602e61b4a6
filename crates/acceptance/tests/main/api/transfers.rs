//! Imports and exports over HTTP.

use keyreeve_acceptance::{Server, on_a_server};
use serde_json::{Value, json};

const NDJSON: &str = "application/x-ndjson";
/// The password of every user of these tests, as an LDAP server keeps it.
const SSHA: &str = "{SSHA}NbDb2Sq32MRfPcZu4kpwhKUGEV5zYWx0c2FsdA==";

fn lines(text: &str) -> Vec<Value> {
    text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn users() -> String {
    let ada = json!({"type": "user", "username": "ada", "email": "ada@example.org", "password_hash": SSHA});
    format!("{ada}\n{{\"type\":\"user\",\"username\":\"b c\"}}\n{{\"type\":\"group\",\"name\":\"staff\"}}\n")
}

on_a_server! {
    async fn what_is_imported_signs_in_and_is_exported(server: &Server) {
        let admin = server.administrator().await;
        let dry = admin.call("POST", "/imports").query(&[("dry_run", "true")]).body(NDJSON, users()).send().await.expect(200);
        let told = lines(dry.text());
        assert_eq!(told.last().unwrap()["summary"]["created"], 2, "{dry}");
        let id = "0190f0f0-0000-7000-8000-000000000007";
        let import = |text: String| admin.call("POST", "/imports").query(&[("id", id)]).body(NDJSON, text).send();
        let done = import(users()).await.expect(200);
        let told = lines(done.text());
        assert_eq!((told.len(), &told[0]["import"]), (5, &json!(id)), "{done}");
        assert_eq!((&told[1]["status"], &told[2]["status"], &told[2]["about"]), (&json!("created"), &json!("failed"), &json!("user b c")));
        assert_eq!(told[2]["errors"][0]["pointer"], "/username");
        // The hash of the other system lets its owner in.
        server.browser().sign_in("ada").await;
        // The same lines again do nothing; other lines are another import.
        let again = lines(import(users()).await.expect(200).text());
        assert_eq!((again.len(), &again[0]["resumed_after"]), (2, &json!(3)));
        let other = lines(import("{}\n{}\n{}\n".to_owned()).await.expect(200).text());
        assert!(other.last().unwrap()["error"].as_str().unwrap().contains("begin a new import"), "{other:?}");
        let read = admin.get(&format!("/imports/{id}")).send().await.expect(200).json();
        assert_eq!((&read["finished"], &read["created"], &read["failed"]), (&json!(true), &json!(2), &json!(1)));
        assert_eq!(admin.get("/imports").send().await.expect(200).json()["items"][0]["id"], id);
        let export = admin.get("/export").query(&[("types", "user,group")]).send().await.expect(200);
        assert_eq!(export.header("content-type"), Some(NDJSON));
        assert!(export.text().contains("ada@example.org") && !export.text().contains("SSHA") && !export.text().contains("argon2"));
        let hashed = admin.get("/export").query(&[("with_hashes", "true")]).send().await.expect(200);
        assert!(hashed.text().contains("password_hash"));
        let events = admin.call("POST", "/imports").header("accept", "text/event-stream").body(NDJSON, users()).send().await.expect(200);
        assert_eq!(events.header("content-type"), Some("text/event-stream"));
        for event in ["event: begun\n", "event: result\ndata: {\"line\":1,\"status\":\"skipped\"", "event: progress\n", "event: summary\n"] {
            assert!(events.text().contains(event), "{event} in {events}");
        }
    }

    async fn ac_52_ac_61_nobody_else_imports_or_exports(server: &Server) {
        let admin = server.administrator().await;
        admin.call("POST", "/imports").body("text/plain", users()).send().await.check(415);
        admin.call("POST", "/imports").query(&[("mode", "replace")]).body(NDJSON, users()).send().await.check(400);
        admin.call("POST", "/imports").query(&[("id", "7")]).body(NDJSON, users()).send().await.check(400);
        admin.get("/export").query(&[("types", "secret")]).send().await.check(400);
        admin.get("/imports/0190f0f0-0000-7000-8000-000000000001").send().await.check(404);
        server.user("eve").create().await;
        server.call("POST", "/api/v1/imports").body(NDJSON, users()).send().await.check(401);
        server.call("GET", "/api/v1/export").send().await.check(401);
        let there = admin.get("/users").send().await.expect(200).json();
        assert!(!there["items"].as_array().unwrap().iter().any(|user| user["username"] == "ada"), "nothing came in");
    }

    async fn more_than_a_megabyte_comes_in_as_a_stream(server: &Server) {
        let admin = server.administrator().await;
        let line = |number| format!("{{\"type\":\"user\",\"username\":\"u{number}\",\"attributes\":{{\"a\":[\"{}\"]}}}}\n", "x".repeat(1_500));
        let text: String = (0..1_500).map(line).collect();
        assert!(text.len() > 2 * 1024 * 1024);
        let done = admin.call("POST", "/imports").body(NDJSON, text).send().await.expect(200);
        assert_eq!(lines(done.text()).last().unwrap()["summary"]["created"], 1_500);
        assert_eq!(lines(admin.get("/export").query(&[("types", "user")]).send().await.expect(200).text()).len(), 1_501);
    }
}
