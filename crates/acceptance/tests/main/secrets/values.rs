//! Values and their versions.

use super::{keeper, make, password, share};
use keyreeve_acceptance::{Server, on_a_server};
use serde_json::json;

on_a_server! {
    async fn a_secret_is_made_read_written_and_removed(server: &Server) {
        let (_, ada) = keeper(server, "ada").await;
        let new = json!({
            "kind": "password", "name": "database", "labels": {"env": "prod"},
            "value": {"make": {"make": "password", "length": 30, "symbol": 2}},
        });
        let made = ada.post("/secrets", &new).header("idempotency-key", "k1").send().await.expect(201);
        let again = ada.post("/secrets", &new).header("idempotency-key", "k1").send().await.expect(201);
        assert_eq!((&made.json()["id"], again.header("idempotency-replayed")), (&again.json()["id"], Some("true")));
        let secret = made.json();
        assert!(!made.text().contains("\"password\":"), "{made}");
        let path = format!("/secrets/{}", secret["id"].as_str().unwrap());
        assert_eq!(secret["facts"]["recipe"]["length"], 30);
        let read = ada.post(&format!("{path}/read"), &json!({})).send().await.expect(200);
        assert_eq!(read.header("cache-control"), Some("no-store"));
        assert_eq!(read.json()["value"]["password"].as_str().unwrap().len(), 30);
        let entry = &server.audited("secret.read").await[0];
        assert_eq!(entry.target_id.as_deref(), secret["id"].as_str());

        let etag = ada.get(&path).send().await.expect(200).header("etag").unwrap().to_owned();
        ada.get(&path).header("if-none-match", &etag).send().await.check(304);
        let patch = json!({"description": "the primary", "labels": {}});
        ada.patch(&path, &patch).header("if-match", "\"99\"").send().await.check(412);
        let after = ada.patch(&path, &patch).header("if-match", &etag).send().await.expect(200).json();
        assert_eq!((&after["description"], &after["version"]), (&json!("the primary"), &json!(2)));
        let write = json!({"value": {"password": "mine"}, "follows": 3});
        ada.post(&format!("{path}/versions"), &write).send().await.check(409);
        let write = json!({"value": {"password": "mine"}, "follows": 1});
        assert_eq!(ada.post(&format!("{path}/versions"), &write).send().await.expect(200).json()["number"], 2);
        ada.call("POST", &format!("{path}/rotate")).send().await.check(422);
        let old = ada.post(&format!("{path}/read"), &json!({"version": 1})).send().await.expect(200).json();
        assert_eq!(old["value"], read.json()["value"]);
        let one = json!({"versions": [1]});
        for (word, status) in [("delete", 404), ("undelete", 200), ("destroy", 404)] {
            let done = ada.post(&format!("{path}/versions/{word}"), &one).send().await.expect(200).json();
            assert_eq!(done["changed"], 1, "{word}");
            ada.post(&format!("{path}/read"), &json!({"version": 1})).send().await.check(status);
        }
        let versions = ada.get(&format!("{path}/versions?limit=1")).send().await.expect(200).json();
        assert_eq!((&versions["items"][0]["number"], &versions["next"]), (&json!(2), &json!("2")));
        ada.delete(&path).send().await.check(204);
        ada.get(&path).send().await.check(404);
    }

    async fn data_is_kept_as_it_was_written(server: &Server) {
        let (_, ada) = keeper(server, "ada").await;
        let text = r#"{"kind":"key_value","name":"k","mount":"kv","path":"a/b","value":{"data":{"z":1.50,"a":123456789012345678901234567890,"b":{"c":[null,"é"]}}}}"#;
        let made = ada.call("POST", "/secrets").body("application/json", text).send().await.expect(201).json();
        let path = format!("/secrets/{}", made["id"].as_str().unwrap());
        let read = ada.post(&format!("{path}/read"), &json!({})).send().await.expect(200);
        assert!(read.text().contains(r#"{"z":1.50,"a":123456789012345678901234567890,"b":{"c":[null,"é"]}}"#), "{read}");
        let patch = json!({"data": {"z": null, "b": {"d": 1}}, "follows": 1});
        assert_eq!(ada.post(&format!("{path}/patch"), &patch).send().await.expect(200).json()["number"], 2);
        let read = ada.post(&format!("{path}/read"), &json!({})).send().await.expect(200).json();
        assert_eq!(read["value"]["data"]["b"], json!({"c": [null, "é"], "d": 1}));
        assert!(read["value"]["data"]["z"].is_null());
        let taken = json!({"kind": "key_value", "name": "k", "mount": "kv", "path": "a/b", "value": {"data": {}}});
        ada.post("/secrets", &taken).send().await.check(409);
        let wrong = json!({"kind": "key_value", "name": "k", "mount": "kv", "path": "a/../b"});
        assert_eq!(ada.post("/secrets", &wrong).send().await.expect(422).json()["errors"][0]["pointer"], "/path");
    }

    async fn files_go_in_and_out_as_bytes(server: &Server) {
        let (_, ada) = keeper(server, "ada").await;
        let made = make(&ada, json!({"kind": "file", "name": "f"})).await;
        let path = format!("/secrets/{}/content", made["id"].as_str().unwrap());
        let bytes: Vec<u8> = (0..500_000_u32).map(|n| (n % 251) as u8).collect();
        let put = ada.call("PUT", &format!("{path}?file_name=a.jks&media_type=x%2Fy")).body("application/octet-stream", bytes.clone());
        let version = put.send().await.expect(200).json();
        assert_eq!((&version["facts"]["bytes"], &version["facts"]["file_name"]), (&json!(500_000), &json!("a.jks")));
        let got = ada.get(&path).send().await.expect(200);
        assert_eq!((got.body.as_ref(), got.header("cache-control")), (&bytes[..], Some("no-store")));
        // As long as the server is set to take, and a byte longer.
        let most = ada.call("PUT", &path).body("application/octet-stream", vec![7_u8; 1_048_576]).send().await.expect(200).json();
        assert_eq!(most["facts"]["bytes"], 1_048_576);
        assert_eq!(ada.get(&path).send().await.expect(200).body.len(), 1_048_576);
        let long = vec![0_u8; 1_048_577];
        ada.call("PUT", &path).body("application/octet-stream", long).send().await.check(413);
        ada.call("PUT", &path).body("text/plain", "x").send().await.check(415);
    }

    async fn lists_are_filtered_ordered_and_paged(server: &Server) {
        let (ben, as_ben) = keeper(server, "ben").await;
        let (_, ada) = keeper(server, "ada").await;
        for name in ["m", "a", "z"] {
            make(&ada, json!({"kind": "key_value", "name": name, "labels": {"of": name}, "value": {"data": {}}})).await;
        }
        let shared = password(&ada, "x").await;
        let names = async |api: &keyreeve_acceptance::Api, query: &str| {
            let page = api.get(&format!("/secrets?{query}")).send().await.expect(200).json();
            page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&ada, "sort=name").await, ["a", "a password", "m", "z"]);
        assert_eq!(names(&ada, "sort=-created_at&limit=2").await, ["a password", "z"]);
        assert_eq!(names(&ada, "filter=labels.of%20eq%20%22m%22").await, ["m"]);
        assert_eq!(names(&ada, "filter=kind%20eq%20%22password%22").await, ["a password"]);
        let first = ada.get("/secrets?limit=3&sort=name").send().await.expect(200).json();
        let rest = format!("limit=3&sort=name&after={}", first["next"].as_str().unwrap());
        assert_eq!(names(&ada, &rest).await, ["z"]);
        assert!(names(&as_ben, "").await.is_empty());
        share(&ada, &shared, "METADATA", &ben).await;
        assert_eq!(names(&as_ben, "").await, ["a password"]);
        for bad in ["sort=value", "filter=value%20pr", "limit=0", "after=x"] {
            ada.get(&format!("/secrets?{bad}")).send().await.check(400);
        }
    }

    async fn a_leased_reading_is_listed_and_taken_away(server: &Server) {
        let (ben, as_ben) = keeper(server, "ben").await;
        let (_, ada) = keeper(server, "ada").await;
        let path = password(&ada, "x").await;
        share(&ada, &path, "READ", &ben).await;
        let read = as_ben.post(&format!("{path}/read"), &json!({"lease_seconds": 60})).send().await.expect(200).json();
        let lease = read["lease"]["id"].as_str().unwrap().to_owned();
        as_ben.post(&format!("{path}/read"), &json!({"lease": lease})).send().await.check(200);
        let listed = ada.get(&format!("{path}/leases")).send().await.expect(200).json();
        assert_eq!(listed["items"][0]["id"], json!(lease));
        as_ben.post(&format!("/leases/{lease}/renew"), &json!({"seconds": 120})).send().await.check(200);
        ada.call("POST", &format!("/leases/{lease}/revoke")).send().await.check(200);
        as_ben.post(&format!("{path}/read"), &json!({"lease": lease})).send().await.check(404);
        as_ben.post(&format!("/leases/{lease}/renew"), &json!({"seconds": 120})).send().await.check(404);
    }

    async fn many_are_taken_in_and_written_out_by_lines(server: &Server) {
        let (_, ada) = keeper(server, "ada").await;
        let lines = [
            r#"{"kind":"password","name":"one","value":{"password":"Canary-line-one"}}"#,
            r#"{"kind":"password","name":"two"}"#,
            "not json",
            r#"{"kind":"key_value","name":"three","value":{"data":{"x":1}}}"#,
        ];
        let import = ada.call("POST", "/secrets/import").body("application/x-ndjson", lines.join("\n"));
        let told = import.send().await.expect(200);
        let told: Vec<serde_json::Value> = told.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&told[0]["status"], &told[3]["status"]), (&json!("created"), &json!("created")));
        assert_eq!((&told[1]["problem"]["status"], &told[2]["problem"]["status"]), (&json!(422), &json!(400)));
        let exported = ada.get("/secrets/export").send().await.expect(200);
        assert_eq!(exported.text().lines().count(), 2);
        assert!(exported.text().contains("\"one\"") && !exported.text().contains("Canary"));
    }
}
