//! Attacks on and by way of stores elsewhere (AC-50, AC-55, AC-76).

use crate::secrets::stores::{secret, store, token};
use keyreeve_acceptance::{Server, StandIn, on_a_server, on_a_server_that_fetches};
use serde_json::json;

const CANARY: &str = "Canary-credential-of-a-store-81";

on_a_server! {
    async fn ac_50_no_store_lies_within_the_house(server: &Server) {
        let admin = server.administrator().await;
        for url in [
            "http://vault.example.com", "https://127.0.0.1:8200", "https://10.0.0.1", "https://169.254.169.254/x", "https://[::1]:8200",
            "https://[::ffff:10.0.0.1]", "https://2130706433", "file:///etc/passwd", "https://a:b@vault.example.com", "https://vault.example.com/#x",
        ] {
            let new = json!({"name": "x", "method": "token", "url": url, "credential": "t"});
            let refused = admin.post("/service-authentications", &new).send().await.expect(422).json();
            assert_eq!(refused["errors"][0]["pointer"], "/url", "{url}");
        }
        // What a name means is known when it is asked for, and not told.
        server.expect_failures();
        let with = token(&admin, "https://localhost:8200", CANARY).await;
        let store = store(&admin, "https://localhost:8200", &with).await;
        let path = secret(&admin, &store, "x").await;
        let refused = admin.post(&format!("{path}/read"), &json!({})).send().await.expect(502);
        assert!(refused.text().contains("has an address that requests may not go to"), "{refused}");
        assert!(!refused.text().contains("127.0.0.1") && !refused.text().contains("::1"), "{refused}");
        let checked = admin.call("POST", &format!("{store}/check")).send().await.expect(200).json();
        assert_eq!((&checked["works"], &checked["reached"]), (&json!(false), &json!(false)));
    }
}

on_a_server_that_fetches! {
    async fn ac_50_a_store_leads_to_no_other_host(server: &Server) {
        server.expect_failures();
        let admin = server.administrator().await;
        let (stand_in, other) = (StandIn::start().await, StandIn::start().await);
        let with = token(&admin, &stand_in.url(""), CANARY).await;
        let path = secret(&admin, &store(&admin, &stand_in.url(""), &with).await, "x").await;
        for status in [301, 302, 303, 307, 308] {
            stand_in.answer(status, &[("location", &other.url("/v1/kv/data/x"))], "");
            let refused = admin.post(&format!("{path}/read"), &json!({})).send().await.expect(502);
            assert!(refused.text().contains("redirects are not followed"), "{refused}");
        }
        assert!(other.rest().await.is_empty());
        // Nor is a store turned to another host that would be given its credential.
        let new = json!({"name": "y", "url": other.url(""), "mount": "kv", "authentication": with});
        let refused = admin.post("/secret-stores", &new).send().await.expect(422).json();
        assert_eq!(refused["errors"][0]["pointer"], "/url");
        assert!(other.rest().await.is_empty());
    }

    async fn ac_55_no_path_leads_out_of_the_mount_of_a_store(server: &Server) {
        let admin = server.administrator().await;
        let stand_in = StandIn::start().await;
        let with = token(&admin, &stand_in.url("/base"), CANARY).await;
        let store = store(&admin, &stand_in.url("/base"), &with).await;
        let id = store.strip_prefix("/secret-stores/").unwrap();
        for path in ["..", "../../sys/seal", "a/../../sys", "./a", "a//b", "/a", "a/", "a\\..\\b", "a\nb", ""] {
            let new = json!({"kind": "key_value", "name": "x", "store": id, "store_path": path});
            let refused = admin.post("/secrets", &new).send().await.expect(422).json();
            assert_eq!(refused["errors"][0]["pointer"], "/store_path", "{path:?}");
        }
        for mount in ["..", "a/../b", "", "/kv", "kv/"] {
            admin.patch(&store, &json!({"mount": mount})).send().await.check(422);
        }
        stand_in.answer(404, &[], r#"{"errors":[]}"#);
        for (path, target) in [
            ("%2e%2e/sys", "/base/v1/kv/data/%252e%252e/sys"),
            ("a%2fb", "/base/v1/kv/data/a%252fb"),
            ("a?version=1", "/base/v1/kv/data/a%3Fversion=1"),
            ("a#b", "/base/v1/kv/data/a%23b"),
            ("a;b&c=d e", "/base/v1/kv/data/a;b&c=d%20e"),
        ] {
            let path = secret(&admin, &store, path).await;
            admin.post(&format!("{path}/read"), &json!({})).send().await.check(404);
            assert_eq!(stand_in.next().await.target, target);
        }
    }

    async fn ac_76_a_credential_of_a_store_comes_out_nowhere(server: &Server) {
        server.expect_failures();
        let admin = server.administrator().await;
        let stand_in = StandIn::start().await;
        // Whatever it is asked, it says what it was asked with.
        stand_in.answer(403, &[], &json!({"errors": [format!("token {CANARY} is not good")]}).to_string());
        let with = token(&admin, &stand_in.url(""), CANARY).await;
        let store = store(&admin, &stand_in.url(""), &with).await;
        let path = secret(&admin, &store, "x").await;
        let of = format!("/service-authentications/{with}");
        let value = json!({"value": {"data": {"a": CANARY}}});
        let answers = [
            admin.get(&of).send().await,
            admin.get("/service-authentications").send().await,
            admin.patch(&of, &json!({"credential": CANARY, "name": "another"})).send().await,
            admin.patch(&of, &json!({"credential": format!("{CANARY} ")})).send().await,
            admin.patch(&of, &json!({"credential": {"a": CANARY}})).send().await,
            admin.call("POST", &format!("{store}/check")).send().await,
            admin.get(&store).send().await,
            admin.post(&format!("{path}/read"), &json!({})).send().await,
            admin.get(&format!("{path}/versions")).send().await,
            admin.post(&format!("{path}/versions"), &value).send().await,
            admin.delete(&of).send().await,
        ];
        for answer in answers {
            assert!(!answer.text().contains(CANARY), "{answer}");
        }
        assert!(stand_in.rest().await.len() >= 4, "it was asked");
        assert!(!format!("{:?}", server.audit().await).contains(CANARY));
    }
}
