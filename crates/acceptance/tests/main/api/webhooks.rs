//! Webhooks over HTTP.

use keyreeve_acceptance::{Server, on_a_server};
use serde_json::{Value, json};

const HOOK: &str = "https://receiver.invalid/hook?key=planted-in-the-query";

on_a_server! {
    async fn a_webhook_is_made_changed_pinged_and_removed(server: &Server) {
        let admin = server.administrator().await;
        let document = json!({"url": HOOK, "actions": ["user.", "client.create"], "description": "ledger"});
        let post = || admin.post("/webhooks", &document).header("idempotency-key", "once");
        let made = post().send().await.expect(201);
        let secret = made.json()["secret"].as_str().unwrap().to_owned();
        assert!(secret.starts_with("whsec_"));
        let again = post().send().await.expect(201);
        assert_eq!((again.header("idempotency-replayed"), &again.json()["secret"]), (Some("true"), &Value::Null));
        let id = made.json()["webhook"]["id"].as_str().unwrap().to_owned();
        assert_eq!(again.json()["webhook"]["id"], json!(id));
        let path = format!("/webhooks/{id}");
        let read = admin.get(&path).send().await.expect(200);
        assert_eq!((read.header("etag"), &read.json()["state"]), (Some("\"1\""), &json!("delivering")));
        assert!(!read.text().contains("whsec_"));
        let patch = json!({"description": null, "outcome": "refused", "enabled": false});
        let changed = admin.patch(&path, &patch).header("if-match", "\"1\"").send().await.expect(200).json();
        assert_eq!((&changed["description"], &changed["outcome"], &changed["state"]), (&Value::Null, &json!("refused"), &json!("disabled")));
        admin.patch(&path, &patch).header("if-match", "\"1\"").send().await.check(412);
        let rotated = admin.post(&format!("{path}/rotate-secret"), &json!({"overlap_seconds": 60})).send().await.expect(200).json();
        assert_ne!(rotated["secret"], json!(secret));
        assert!(rotated["webhook"]["previous_secret_until"].is_string());
        // There is no such host: the message is not delivered, and that is the answer.
        let ping = admin.call("POST", &format!("{path}/ping")).send().await.expect(200).json();
        assert_eq!((&ping["kind"], &ping["state"], &ping["attempts"]), (&json!("ping"), &json!("failed"), &json!(1)));
        let log = admin.get(&format!("{path}/deliveries")).send().await.expect(200).json();
        assert_eq!(log["items"], json!([ping]));
        let line = ping["id"].as_str().unwrap();
        admin.call("POST", &format!("{path}/deliveries/{line}/redeliver")).send().await.check(404);
        let resumed = admin.post(&format!("{path}/resume"), &json!({"skip": "all"})).send().await.expect(200).json();
        assert!(resumed["position"].as_i64().unwrap() >= 0);
        assert_eq!(admin.get("/webhooks").send().await.expect(200).json()["items"].as_array().unwrap().len(), 1);
        admin.delete(&path).send().await.check(204);
        admin.get(&path).send().await.check(404);
        // Nothing of the secrets, and of the address only the host, is in the log.
        let log = format!("{:?}", server.audited("webhook.create").await);
        assert!(log.contains("receiver.invalid") && !log.contains("planted-in-the-query") && !log.contains("whsec_"));
    }

    async fn ac_50_a_webhook_is_not_made_for_an_inner_address(server: &Server) {
        let admin = server.administrator().await;
        for url in [
            "http://receiver.example/", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest", "https://10.1.2.3/",
            "https://0x7f.1/", "https://[::ffff:10.0.0.1]/", "https://user:pass@receiver.example/", "ftp://receiver.example/", "hook", "",
        ] {
            let refused = admin.post("/webhooks", &json!({"url": url})).send().await.expect(422);
            assert_eq!(refused.json()["errors"][0]["pointer"], "/url", "{url}: {refused}");
        }
        for bad in [json!({}), json!({"url": 1}), json!({"url": HOOK, "colour": "red"}), json!({"url": HOOK, "actions": "user."})] {
            admin.post("/webhooks", &bad).send().await.check(400);
        }
        admin.post("/webhooks", &json!({"url": HOOK, "actions": ["*"]})).send().await.check(422);
        assert!(admin.get("/webhooks").send().await.expect(200).json()["items"].as_array().unwrap().is_empty());
    }

    async fn webhooks_are_for_administrators_and_of_one_tenant(server: &Server) {
        let admin = server.administrator().await;
        let made = admin.post("/webhooks", &json!({"url": HOOK})).send().await.expect(201).json();
        let path = format!("/webhooks/{}", made["webhook"]["id"].as_str().unwrap());
        server.api("keyreeve:webhooks:read").await.get(&path).send().await.check(200);
        server.api("keyreeve:webhooks:read").await.delete(&path).send().await.check(403);
        let ada = server.user("ada").create().await;
        server.api_of(&ada, "keyreeve:webhooks:write").await.get(&path).send().await.check(403);
        let acme = server.tenant("acme").create().await;
        acme.administrator().await.get(&path).send().await.check(404);
    }
}
