//! The audit log over HTTP: pages, the export, the stream.

use keyreeve_acceptance::{Server, on_a_server};
use keyreeve_audit::{FileVerdict, FileVerifier};
use serde_json::{Value, json};

/// A stream's first words: what comes until nothing has come for a second.
async fn stream(server: &Server, token: &str, query: &str, headers: &str) -> String {
    let host = server.address();
    let request = format!(
        "GET /api/v1/audit/events{query} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{headers}\r\n"
    );
    String::from_utf8(server.raw(request.as_bytes()).await).unwrap()
}

fn ids(text: &str) -> Vec<i64> {
    text.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().unwrap()).collect()
}

on_a_server! {
    async fn entries_are_found_by_who_what_and_how_it_ended(server: &Server) {
        let admin = server.administrator().await;
        let made = admin.post("/users", &json!({"username": "ada"})).send().await.expect(201).json();
        let id = made["id"].as_str().unwrap();
        let find = async |query: &[(&str, &str)]| -> Vec<Value> {
            let page = admin.get("/audit").query(query).send().await.expect(200).json();
            page["items"].as_array().unwrap().clone()
        };
        let found = find(&[("target_id", id), ("action", "user.")]).await;
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0]["action"], &found[0]["target"]["kind"]), (&json!("user.create"), &json!("user")));
        let request = found[0]["request_id"].as_str().unwrap();
        assert!(find(&[("request_id", request)]).await.contains(&found[0]));
        assert!(find(&[("target_id", id), ("outcome", "refused")]).await.is_empty());
        assert!(find(&[("before", "2001-01-01T00:00:00Z")]).await.is_empty());
        let all = find(&[("limit", "500")]).await;
        let oldest = find(&[("limit", "500"), ("order", "oldest")]).await;
        assert_eq!(all.iter().rev().cloned().collect::<Vec<_>>(), oldest);
        // Forward, and back again.
        let first = admin.get("/audit").query(&[("limit", "2")]).send().await.expect(200).json();
        let second = admin.get("/audit").query(&[("limit", "2"), ("after", first["next"].as_str().unwrap())]);
        let second = second.send().await.expect(200).json();
        assert_eq!(second["items"], json!(all[2..4]));
        let back = admin.get("/audit").query(&[("limit", "2"), ("after", second["previous"].as_str().unwrap())]);
        assert_eq!(back.send().await.expect(200).json()["items"], first["items"]);
        for (name, bad) in [
            ("outcome", "maybe"), ("from", "yesterday"), ("action", "User.*"), ("after", "zz"), ("color", "red"),
            ("after_seq", "3"),
        ] {
            let answer = admin.get("/audit").query(&[(name, bad)]).send().await.expect(400);
            assert!(answer.text().contains(name), "{name}: {answer}");
        }
    }

    async fn an_export_is_a_chain_that_can_be_checked(server: &Server) {
        let admin = server.administrator().await;
        server.user("ada").create().await;
        // On PostgreSQL entries get their numbers within a moment.
        let mut lines = Vec::new();
        for _ in 0..50 {
            let answer = admin.get("/audit").header("accept", "application/x-ndjson").send().await.expect(200);
            assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
            lines = answer.text().lines().map(ToOwned::to_owned).collect::<Vec<_>>();
            if lines.iter().any(|line| line.contains("user.create")) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let mut verifier = FileVerifier::new(None);
        assert!(lines.iter().all(|line| verifier.line(line)));
        let report = verifier.finish();
        assert_eq!((report.verdict, report.first), (FileVerdict::Intact, Some(1)));
        assert!(report.checked > 3);
        let rest = admin.get("/audit").query(&[("after_seq", "2")]).header("accept", "application/x-ndjson");
        let rest = rest.send().await.expect(200);
        assert!(rest.text().starts_with("{\"id\":") && rest.text().lines().next().unwrap().contains("\"seq\":3"));
        let mixed = admin.get("/audit").query(&[("limit", "2")]).header("accept", "application/x-ndjson");
        mixed.send().await.check(400);
    }

    async fn a_stream_shows_what_happens_and_goes_on_where_it_stood(server: &Server) {
        let admin = server.administrator().await;
        let token = admin.token.as_str();
        // What happened is there once it has its number.
        let mut seen = String::new();
        for _ in 0..20 {
            seen = stream(server, token, "?after_seq=0", "").await;
            if ids(&seen).len() > 3 {
                break;
            }
        }
        assert!(seen.starts_with("HTTP/1.1 200 ") && seen.contains("content-type: text/event-stream"), "{seen}");
        assert!(seen.contains("event: entry\ndata: {\"id\":") && seen.contains("tenant.create"), "{seen}");
        let ids_seen = ids(&seen);
        assert_eq!(ids_seen[..3], [0, 1, 2], "where it begins, and what happened since");
        let rest = stream(server, token, "", "Last-Event-ID: 2\r\n").await;
        assert_eq!(ids(&rest)[..2], [2, 3], "{rest}");
        let only = stream(server, token, "?after_seq=0&action=client.", "").await;
        assert!(only.contains("client.create") && !only.contains("tenant.create"));
        for (query, headers) in [("", "Last-Event-ID: x\r\n"), ("?limit=3", ""), ("?action=*", "")] {
            assert!(stream(server, token, query, headers).await.starts_with("HTTP/1.1 400 "), "{query} {headers}");
        }
        assert!(stream(server, "no-token", "", "").await.starts_with("HTTP/1.1 401 "));
    }

    async fn the_log_is_for_administrators_with_the_scope(server: &Server) {
        let ada = server.user("ada").create().await;
        server.api_of(&ada, "keyreeve:audit:read").await.get("/audit").send().await.check(403);
        server.api("keyreeve:users:read").await.get("/audit").send().await.check(403);
        server.api("keyreeve:audit:read").await.get("/audit").send().await.check(200);
        let stream = stream(server, &server.api("keyreeve:users:read").await.token, "", "").await;
        assert!(stream.starts_with("HTTP/1.1 403 "), "{stream}");
    }
}
