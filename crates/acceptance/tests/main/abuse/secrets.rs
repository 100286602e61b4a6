//! Attacks on secrets through the native API (AC-54, AC-55, AC-57, AC-75, AC-76).

use crate::secrets::{keeper, make, password, share};
use keyreeve_acceptance::{Server, on_a_server};
use serde_json::json;

on_a_server! {
    async fn ac_54_no_name_widens_what_a_policy_signs(server: &Server) {
        let admin = server.administrator().await;
        let new = json!({"kind": "ssh_user_ca", "name": "ca", "value": {"make": {"make": "ssh_ca", "hosts": false, "key_type": "ed25519"}}});
        let authority = make(&admin, new).await["id"].as_str().unwrap().to_owned();
        let policy = |name: &str, names: serde_json::Value, open_to: serde_json::Value| {
            json!({"name": name, "authority": authority, "rules": {"names": names, "max_seconds": 600, "open_to": open_to}})
        };
        for pattern in ["*", "adm*", "{{email}}", "{{username}},root", "x{{username}}"] {
            admin.post("/signing-policies", &policy("p", json!([pattern]), json!([]))).send().await.check(422);
        }
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJtYQ4ObbnBTl9yzAzoaT8dRrgFXEHJmBUvU3fkwVJlD a";
        for name in ["ada*", "Ada", "a/b", "a+b", "{{username}}", "1ada"] {
            let (user, api) = keeper(server, name).await;
            let open_to = json!([{"kind": "user", "id": user.sub()}]);
            let named = format!("of {}", user.sub());
            admin.post("/signing-policies", &policy(&named, json!(["{{username}}"]), open_to)).send().await.check(200);
            for principals in [json!([]), json!([name]), json!(["root"])] {
                let asked = json!({"policy": named, "public_key": key, "principals": principals});
                api.post("/ssh/sign", &asked).send().await.check(403);
            }
        }
        assert!(server.audited("certificate.issue").await.iter().all(|entry| entry.outcome == "refused"));
        assert_eq!(server.refusals("certificate.issue").await.len(), 18);
    }

    async fn ac_55_nothing_is_found_by_its_path_or_a_list_that_may_not_be_seen(server: &Server) {
        let (_, ada) = keeper(server, "ada").await;
        let (_, eve) = keeper(server, "eve").await;
        let new = json!({"kind": "key_value", "name": "k", "mount": "kv", "path": "team/db", "value": {"data": {"x": 1}}});
        let id = make(&ada, new).await["id"].as_str().unwrap().to_owned();
        for filter in ["path eq \"team/db\"", "mount pr", "not (name eq \"x\")", "path sw \"team/../team\""] {
            let listed = eve.get("/secrets").query(&[("filter", filter)]).send().await.expect(200).json();
            assert_eq!(listed["items"], json!([]), "{filter}");
        }
        for path in ["team/../team/db", "./team/db", "/team/db", "team//db", "team/db/", "team\\db", "team/%2e%2e\u{0}"] {
            let new = json!({"kind": "key_value", "name": "k", "mount": "kv", "path": path, "value": {"data": {}}});
            eve.post("/secrets", &new).send().await.check(422);
        }
        for path in [format!("/secrets/{id}/../{id}"), format!("/secrets/{id}%2Fread"), "/secrets/..%2F..%2Fme".to_owned(), format!("/secrets/{}", id.to_uppercase())] {
            let answer = eve.get(&path).send().await;
            assert!(matches!(answer.status.as_u16(), 400 | 403 | 404), "{answer}");
        }
    }

    async fn ac_57_what_anybody_reads_of_authorities_changes_nothing(server: &Server) {
        let admin = server.administrator().await;
        let new = json!({"kind": "ssh_user_ca", "name": "ca", "value": {"make": {"make": "ssh_ca", "hosts": false, "key_type": "ed25519"}}});
        let authority = make(&admin, new).await["id"].as_str().unwrap().to_owned();
        let secret = password(&admin, "x").await;
        let before = server.audit().await.len();
        for _ in 0..3 {
            server.get(&format!("/api/v1/ssh/authorities/{authority}/krl")).send().await.check(200);
            // Neither another kind of list nor another kind of secret is answered for.
            server.get(&format!("/api/v1/pki/authorities/{authority}/crl")).send().await.check(404);
            server.get(&format!("/api/v1/ssh/authorities{}/keys", secret.strip_prefix("/secrets").unwrap())).send().await.check(404);
        }
        assert_eq!(server.audit().await.len(), before);
        let (_, eve) = keeper(server, "eve").await;
        for (method, path) in [("POST", format!("/secrets/{authority}/rotate")), ("DELETE", format!("/secrets/{authority}"))] {
            eve.call(method, &path).send().await.check(404);
        }
        let made = json!({"kind": "ssh_user_ca", "name": "x", "value": {"make": {"make": "ssh_ca", "hosts": false, "key_type": "ed25519"}}});
        eve.post("/secrets", &made).send().await.check(403);
        let policy = json!({"name": "mine", "authority": authority, "rules": {"names": ["root"], "max_seconds": 600}});
        eve.post("/signing-policies", &policy).send().await.check(403);
    }

    async fn ac_75_a_list_tells_of_nothing_that_its_reader_may_not_see(server: &Server) {
        let (_, ada) = keeper(server, "ada").await;
        let (ben, as_ben) = keeper(server, "ben").await;
        let hidden = password(&ada, "hidden").await;
        let shared = password(&ada, "shared").await;
        share(&ada, &shared, "METADATA", &ben).await;
        let all = as_ben.get("/secrets").send().await.expect(200);
        assert!(all.text().contains(shared.strip_prefix("/secrets/").unwrap()));
        assert!(!all.text().contains(hidden.strip_prefix("/secrets/").unwrap()));
        // What is only seen is not read, and what is not seen is as if it were not there.
        as_ben.post(&format!("{shared}/read"), &json!({})).send().await.check(403);
        let strange = as_ben.post(&format!("{hidden}/read"), &json!({})).send().await.expect(404).json();
        let none = as_ben.post("/secrets/sec_AAAAAAAAAAAAAAAAAAAAAA/read", &json!({})).send().await.expect(404).json();
        assert_eq!((&strange["title"], &strange["detail"]), (&none["title"], &none["detail"]));
        assert_eq!(server.refusals("secret.read").await.len(), 2);
        // The sharing room does not hand over what the room of secrets keeps.
        let (admin, id) = (server.administrator().await, hidden.strip_prefix("/secrets/").unwrap());
        let owner = json!({"owner": {"kind": "user", "id": ben.sub()}});
        admin.post(&format!("/sharing/resources/{id}/owner"), &owner).send().await.check(403);
        admin.delete(&format!("/sharing/resources/{id}")).send().await.check(403);
        admin.delete("/sharing/types/keyreeve.secret").send().await.check(403);
    }

    async fn ac_76_no_value_is_told_but_by_reading_and_none_after_its_end(server: &Server) {
        const CANARY: &str = "Canary-wheatear-basalt-71";
        let (_, ada) = keeper(server, "ada").await;
        let path = password(&ada, CANARY).await;
        let answers = [
            ada.get(&path).send().await,
            ada.get("/secrets").send().await,
            ada.get(&format!("{path}/versions")).send().await,
            ada.post(&format!("{path}/versions"), &json!({"value": {"password": CANARY}, "follows": 7})).send().await,
            ada.post("/secrets", &json!({"kind": "password", "name": "x", "value": {"password": {"a": CANARY}}})).send().await,
            ada.post("/secrets", &json!({"kind": "key_value", "name": "x", "value": {"password": CANARY}})).send().await,
            ada.post("/secrets", &json!({"kind": "ssh_key", "name": "x", "value": {"private_key": CANARY, "passphrase": CANARY}})).send().await,
        ];
        for answer in answers {
            assert!(!answer.text().contains(CANARY), "{}", answer.text());
        }
        let log = format!("{:?}", server.audit().await);
        assert!(!log.contains(CANARY));
        ada.post(&format!("{path}/versions"), &json!({"value": {"password": "another"}})).send().await.check(200);
        ada.post(&format!("{path}/versions/destroy"), &json!({"versions": [1]})).send().await.check(200);
        ada.post(&format!("{path}/read"), &json!({"version": 1})).send().await.check(404);
        ada.delete(&path).send().await.check(204);
        ada.post(&format!("{path}/read"), &json!({})).send().await.check(404);
    }
}
