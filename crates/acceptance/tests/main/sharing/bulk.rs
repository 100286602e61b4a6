//! Loads and exports as lines of JSON.

use super::house::{House, group, path, user};
use keyreeve_acceptance::{Answer, Api, Server, on_a_server};
use serde_json::{Value, json};

async fn load(api: &Api, lines: &[Value]) -> Answer {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    api.call("POST", "/sharing/load").body("application/x-ndjson", text).send().await
}

fn told(answer: &Answer) -> Vec<Value> {
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

on_a_server! {
    async fn what_is_exported_is_loaded_elsewhere(server: &Server) {
        let house = House::at(server).await;
        let (ada, ben) = (house.user("ada").await, house.user("ben").await);
        let crew = house.group("crew", &[&ben]).await;
        let lines = [
            json!({"type": {"id": "deed", "name": "Deed"}}),
            json!({"permission": {"type": "deed", "id": "SEAL", "implies": ["READ"], "shares": true}}),
            json!({"resource": {"id": "a/b", "type": "folder", "name": "Top", "owner": user(&ada), "attributes": {"colour": "red"}}}),
            json!({"resource": {"id": "inner", "type": "deed", "name": "Inner", "owner": user(&ada), "parent": "a/b", "metadata": "AAEC"}}),
            json!({"grant": {"resource": "a/b", "permission": "READ", "subject": group(crew), "cascade": true}}),
            json!({"grant": {"resource": "inner", "permission": "SEAL", "subject": user(&ben), "cascade": false, "expires_at": "2999-01-01T00:00:00.000000Z"}}),
        ];
        let first = load(&house.admin, &lines).await.expect(200);
        assert_eq!(first.header("content-type"), Some("application/x-ndjson"));
        let results = told(&first);
        assert_eq!(results[6]["summary"], json!({"lines": 6, "created": 6, "unchanged": 0, "failed": 0}), "{first}");
        assert!(house.may(&ben, "READ", "inner").await && house.may(&ben, "SEAL", "inner").await);
        assert_eq!(house.admin.get(&path("inner")).send().await.expect(200).json()["metadata"], "AAEC");
        // Once more is nothing new.
        let again = told(&load(&house.admin, &lines).await.expect(200));
        assert_eq!(again[6]["summary"], json!({"lines": 6, "created": 0, "unchanged": 6, "failed": 0}));
        let exported = house.admin.get("/sharing/export").send().await.expect(200);
        let all = told(&exported);
        for line in &lines[2..] {
            assert!(all.contains(line), "{line}\n{exported}");
        }
        house.admin.delete(&format!("{}?children=remove", path("a/b"))).send().await.check(204);
        let restored = load(&house.admin, &all).await.expect(200);
        assert_eq!(told(&restored).last().unwrap()["summary"]["created"], 4, "{restored}");
        assert!(house.may(&ben, "SEAL", "inner").await);
    }

    async fn a_bad_line_fails_alone_and_only_administrators_load(server: &Server) {
        let house = House::at(server).await;
        let ada = house.user("ada").await;
        let file = |change: Value| {
            let mut file = json!({"id": "x", "type": "file", "name": "n", "owner": user(&ada)});
            file.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            json!({"resource": file})
        };
        let nobody = json!({"kind": "user", "id": "0190f0f0-0000-7000-8000-000000000001"});
        let cases = [
            (file(json!({"type": "unheard"})), "/resource/type"),
            (file(json!({"parent": "unheard"})), "/resource/parent"),
            (file(json!({"owner": nobody})), "/resource/owner"),
            (file(json!({"id": ""})), "/resource/id"),
            (file(json!({"owner": {"kind": "robot", "id": ada.sub()}})), "/resource/owner/kind"),
            (json!({"grant": {"resource": "unheard", "permission": "READ", "subject": user(&ada)}}), "/grant/resource"),
            (json!({"permission": {"id": "OWNER"}}), "/permission/id"),
        ];
        let mut lines: Vec<Value> = cases.iter().map(|(line, _)| line.clone()).collect();
        lines.push(file(json!({})));
        lines.push(json!({"grant": {"resource": "x", "permission": "OWNER", "subject": user(&ada)}}));
        let answer = load(&house.admin, &lines).await.expect(200);
        let results = told(&answer);
        for (at, (line, pointer)) in cases.iter().enumerate() {
            assert_eq!((&results[at]["line"], &results[at]["status"]), (&json!(at + 1), &json!("failed")), "{line}");
            assert_eq!(results[at]["errors"][0]["pointer"], json!(pointer), "{line}: {answer}");
        }
        assert_eq!((&results[7]["status"], &results[8]["status"]), (&json!("created"), &json!("failed")));
        assert_eq!(results[9]["summary"], json!({"lines": 9, "created": 1, "unchanged": 0, "failed": 8}));
        let garbage = house.admin.call("POST", "/sharing/load").body("application/x-ndjson", "{\n\n[]\n{\"type\":{}} {}\n\u{0}").send().await.expect(200);
        assert!(told(&garbage).iter().filter(|line| line["line"].is_number()).all(|line| line["status"] == "failed"), "{garbage}");
        house.admin.call("POST", "/sharing/load").body("application/json", "{}").send().await.check(415);
        let by_ada = house.api_of(&ada).await;
        load(&by_ada, &lines).await.check(403);
        by_ada.get("/sharing/export").send().await.check(403);
        server.api("keyreeve:sharing:read").await.get("/sharing/export").send().await.check(403);
    }
}
