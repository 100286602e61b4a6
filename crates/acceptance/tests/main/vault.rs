//! The key/value door, in the words of Vault's API. What foreign clients make of it is tried in `interop`.

use keyreeve_acceptance::{Answer, Api, Server, on_a_server};
use serde_json::{Value, json};

/// Whoever holds a token, at this door.
struct Vault<'a> {
    server: &'a Server,
    token: String,
}

impl Vault<'_> {
    async fn send(&self, method: &str, path: &str, document: Option<Value>) -> Answer {
        let call =
            self.server.call(method, &format!("/vault/v1/{path}")).header("x-vault-token", &self.token);
        match document {
            Some(document) if method == "PATCH" => {
                call.body("application/merge-patch+json", document.to_string()).send().await
            }
            Some(document) => call.json(&document).send().await,
            None => call.send().await,
        }
    }

    async fn write(&self, path: &str, data: Value, cas: Option<u32>) -> Answer {
        let options = cas.map_or(json!({}), |cas| json!({"cas": cas}));
        self.send("POST", &format!("secret/data/{path}"), Some(json!({"data": data, "options": options})))
            .await
    }

    async fn read(&self, path: &str) -> Answer {
        self.send("GET", &format!("secret/data/{path}"), None).await
    }
}

fn vault<'a>(server: &'a Server, api: &Api) -> Vault<'a> {
    Vault { server, token: api.token.clone() }
}

fn errors(answer: &Answer) -> Vec<String> {
    answer.json()["errors"].as_array().unwrap().iter().map(|e| e.as_str().unwrap().to_owned()).collect()
}

on_a_server! {
    async fn values_have_versions(server: &Server) {
        let vault = vault(server, &server.administrator().await);
        let none = vault.read("db/main").await.expect(404);
        assert_eq!(none.json(), json!({"errors": []}));
        let made = vault.write("db/main", json!({"user": "ada", "n": 1}), Some(0)).await.expect(200).json();
        assert_eq!((&made["data"]["version"], &made["data"]["destroyed"], &made["data"]["deletion_time"]), (&json!(1), &json!(false), &json!("")));
        assert!(made["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{made}");
        let wrong = vault.write("db/main", json!({"user": "eve"}), Some(0)).await.expect(400);
        assert_eq!(errors(&wrong), ["check-and-set parameter did not match the current version"]);
        vault.write("db/main", json!({"user": "bob"}), Some(1)).await.check(200);
        let read = vault.read("db/main").await.expect(200);
        assert_eq!(read.header("cache-control"), Some("no-store"));
        assert_eq!(read.json()["data"]["data"], json!({"user": "bob"}));
        assert_eq!(read.json()["data"]["metadata"]["version"], 2);
        let first = vault.read("db/main?version=1").await.expect(200).json();
        assert_eq!(first["data"]["data"], json!({"user": "ada", "n": 1}));
        vault.read("db/main?version=9").await.check(404);
        vault.read("db/main?version=x").await.check(400);
        vault.read("db/main?version=1&version=2").await.check(400);
        let patched = vault.send("PATCH", "secret/data/db/main", Some(json!({"data": {"port": 5432, "user": null}, "options": {"cas": 2}}))).await.expect(200);
        assert_eq!(patched.json()["data"]["version"], 3);
        assert_eq!(vault.read("db/main").await.json()["data"]["data"], json!({"port": 5432}));
        let plain = server.call("PATCH", "/vault/v1/secret/data/db/main").header("x-vault-token", &vault.token);
        plain.json(&json!({"data": {}})).send().await.check(415);
        vault.send("POST", "secret/data/db/main", Some(json!({"options": {}}))).await.check(400);
        vault.send("POST", "secret/data/db/main", Some(json!({"data": "text"}))).await.check(400);
        assert_eq!(server.audited("secret.read").await.len(), 3);
    }

    async fn versions_are_deleted_had_back_and_destroyed(server: &Server) {
        let vault = vault(server, &server.administrator().await);
        for number in 1..=3 {
            vault.write("x", json!({"n": number}), None).await.check(200);
        }
        vault.send("DELETE", "secret/data/x", None).await.check(204);
        let gone = vault.read("x").await.expect(404).json();
        assert_eq!((&gone["data"]["data"], &gone["data"]["metadata"]["version"]), (&Value::Null, &json!(3)));
        assert_ne!(gone["data"]["metadata"]["deletion_time"], "");
        vault.send("POST", "secret/undelete/x", Some(json!({"versions": [3]}))).await.check(204);
        assert_eq!(vault.read("x").await.expect(200).json()["data"]["data"], json!({"n": 3}));
        vault.send("PUT", "secret/delete/x", Some(json!({"versions": [1, "2"]}))).await.check(204);
        vault.send("PUT", "secret/destroy/x", Some(json!({"versions": [1]}))).await.check(204);
        vault.send("PUT", "secret/undelete/x", Some(json!({"versions": [1, 2]}))).await.check(204);
        let destroyed = vault.read("x?version=1").await.expect(404).json();
        assert_eq!(destroyed["data"]["metadata"]["destroyed"], true);
        vault.read("x?version=2").await.check(200);
        let metadata = vault.send("GET", "secret/metadata/x", None).await.expect(200).json();
        let told = &metadata["data"];
        assert_eq!((&told["current_version"], &told["oldest_version"], &told["max_versions"]), (&json!(3), &json!(1), &json!(0)));
        assert_eq!((&told["versions"]["1"]["destroyed"], &told["versions"]["2"]["destroyed"]), (&json!(true), &json!(false)));
        for bad in [json!({}), json!({"versions": []}), json!({"versions": ["x"]}), json!({"versions": [-1]}), json!([])] {
            vault.send("POST", "secret/delete/x", Some(bad)).await.check(400);
        }
        // What is not there is gone already.
        vault.send("DELETE", "secret/data/nothing", None).await.check(204);
        vault.send("POST", "secret/destroy/nothing", Some(json!({"versions": [1]}))).await.check(204);
        vault.send("DELETE", "secret/metadata/x", None).await.check(204);
        vault.read("x").await.check(404);
        vault.send("GET", "secret/metadata/x", None).await.check(404);
    }

    async fn metadata_says_how_a_secret_is_kept(server: &Server) {
        let vault = vault(server, &server.administrator().await);
        let kept = json!({"max_versions": 2, "cas_required": true, "delete_version_after": "3h25m19s", "custom_metadata": {"team": "blue"}});
        vault.send("POST", "secret/metadata/m", Some(kept)).await.check(204);
        let required = vault.write("m", json!({"a": 1}), None).await.expect(400);
        assert_eq!(errors(&required), ["check-and-set parameter required for this call"]);
        for version in 0..3 {
            vault.write("m", json!({"a": version}), Some(version)).await.check(200);
        }
        let told = vault.send("GET", "secret/metadata/m", None).await.expect(200).json()["data"].clone();
        assert_eq!((&told["delete_version_after"], &told["max_versions"], &told["cas_required"]), (&json!("3h25m19s"), &json!(2), &json!(true)));
        assert_eq!((&told["custom_metadata"], &told["oldest_version"]), (&json!({"team": "blue"}), &json!(2)));
        vault.read("m?version=1").await.check(404);
        let read = vault.read("m").await.expect(200).json();
        assert_eq!(read["data"]["metadata"]["custom_metadata"], json!({"team": "blue"}));
        server.advance(12_400);
        let vault = self::vault(server, &server.administrator().await);
        vault.read("m").await.check(404);
        let patch = json!({"custom_metadata": {"team": null, "cost": "low"}, "cas_required": false, "delete_version_after": "0s"});
        vault.send("PATCH", "secret/metadata/m", Some(patch)).await.check(204);
        let told = vault.send("GET", "secret/metadata/m", None).await.expect(200).json()["data"].clone();
        assert_eq!((&told["custom_metadata"], &told["max_versions"], &told["delete_version_after"]), (&json!({"cost": "low"}), &json!(2), &json!("0s")));
        vault.send("PATCH", "secret/metadata/nothing", Some(json!({}))).await.check(404);
        for bad in [json!({"delete_version_after": "soon"}), json!({"custom_metadata": {"a": 1}}), json!({"max_versions": -1}), json!({"max_versions": 4_000_000_000_u32})] {
            vault.send("POST", "secret/metadata/m", Some(bad)).await.check(400);
        }
        let names = vault.write("k", json!({"a": {"b": 1}, "c": "x"}), None).await;
        names.check(200);
        let keys = vault.send("GET", "secret/subkeys/k?depth=1", None).await.expect(200).json();
        assert_eq!(keys["data"]["subkeys"], json!({"a": null, "c": null}));
    }

    async fn lists_show_what_lies_below(server: &Server) {
        let vault = vault(server, &server.administrator().await);
        for path in ["a", "a/b", "a/c/d", "z"] {
            vault.write(path, json!({}), None).await.check(200);
        }
        for (method, path, keys) in [
            ("LIST", "secret/metadata", json!(["a", "a/", "z"])),
            ("LIST", "secret/metadata/", json!(["a", "a/", "z"])),
            ("GET", "secret/metadata/?list=true", json!(["a", "a/", "z"])),
            ("LIST", "secret/metadata/a/", json!(["b", "c/"])),
            ("LIST", "secret/metadata/a", json!(["b", "c/"])),
        ] {
            let listed = vault.send(method, path, None).await.expect(200).json();
            assert_eq!(listed["data"]["keys"], keys, "{method} {path}");
        }
        vault.send("LIST", "secret/metadata/nothing", None).await.check(404);
        vault.send("LIST", "other/metadata", None).await.check(404);
        server.call("LIST", "/api/v1/users").bearer(&vault.token).send().await.check(405);
    }

    async fn an_approle_is_a_service_account(server: &Server) {
        let admin = server.administrator().await;
        let account = admin.post("/service-accounts", &json!({"name": "deployer"})).send().await.expect(201).json();
        let id = account["id"].as_str().unwrap().to_owned();
        let secret = admin.post(&format!("/service-accounts/{id}/secrets"), &json!({})).send().await.expect(201).json();
        let secret = secret["value"].as_str().or(secret["secret"].as_str()).unwrap().to_owned();
        let login = |role: &str, secret: &str| {
            server.post("/vault/v1/auth/approle/login").json(&json!({"role_id": role, "secret_id": secret}))
        };
        let signed = login(&id, &secret).send().await.expect(200).json();
        let token = signed["auth"]["client_token"].as_str().unwrap().to_owned();
        assert_eq!(signed["auth"]["renewable"], false);
        for (role, wrong) in [(id.as_str(), "wrong"), ("nobody", secret.as_str()), ("", &secret), (&id, "")] {
            login(role, wrong).send().await.check(400);
        }
        let own = Vault { server, token };
        let told = own.send("GET", "auth/token/lookup-self", None).await.expect(200).json();
        assert_eq!(told["data"]["entity_id"], json!(id));
        assert_eq!(told["data"]["policies"], json!(["keyreeve:secrets:read", "keyreeve:secrets:write"]));
        // What it makes is its own; what others have it does not see.
        own.write("own", json!({"a": 1}), None).await.check(200);
        own.read("own").await.check(200);
        vault(server, &admin).write("theirs", json!({"a": 1}), None).await.check(200);
        own.read("theirs").await.check(404);
        assert_eq!(own.send("LIST", "secret/metadata", None).await.expect(200).json()["data"]["keys"], json!(["own"]));
        own.send("POST", "auth/token/renew-self", None).await.check(400);
        own.send("POST", "auth/token/revoke-self", None).await.check(204);
        own.read("own").await.check(403);
    }

    async fn ac_55_paths_are_opaque_and_lists_are_no_way_around(server: &Server) {
        let admin = server.administrator().await;
        let vault = vault(server, &admin);
        vault.write("hidden/deep", json!({"a": "planted"}), None).await.check(200);
        let reader = server.user("eve").create().await;
        let stranger_user = server.api_of(&reader, "keyreeve:secrets:read keyreeve:secrets:write").await;
        let other = Vault { server, token: stranger_user.token.clone() };
        for path in [
            "hidden/deep", "hidden%2Fdeep", "hidden//deep", "./hidden/deep", "x/../hidden/deep", "x/%2e%2e/hidden/deep",
            "%2e/hidden/deep", "hidden/deep/", "/hidden/deep", "hidden\\deep", "hidden/deep%00", "*", "hidden/*", "%",
        ] {
            for method in ["GET", "DELETE"] {
                let answer = other.send(method, &format!("secret/data/{path}"), None).await;
                assert!([400, 404, 204].contains(&answer.status.as_u16()), "{method} {path}: {answer}");
                assert!(!answer.text().contains("planted"), "{answer}");
            }
            other.send("LIST", &format!("secret/metadata/{path}"), None).await.refused_or_empty();
        }
        other.send("LIST", "secret/metadata", None).await.check(404);
        other.send("LIST", "secret/metadata/hidden", None).await.check(404);
        other.write("hidden/deep", json!({}), None).await.check(403);
        vault.read("hidden/deep").await.check(200);
        for path in ["auth/data/x", "sys/data/x", "identity/data/x", "cubbyhole/data/x", "Secret/data/x", "a%2Fb/data/x", "sys/policies/acl/x", "sys/seal", "sys/unseal", "sys/generate-root/attempt"] {
            let answer = vault.send("POST", path, Some(json!({"data": {}}))).await;
            assert!([400, 404].contains(&answer.status.as_u16()), "{path}: {answer}");
        }
        for (name, value) in [("x-vault-namespace", "acme"), ("x-vault-wrap-ttl", "60")] {
            server.get("/vault/v1/secret/data/x").header("x-vault-token", &admin.token).header(name, value).send().await.check(400);
        }
        let both = server.get("/vault/v1/secret/data/hidden/deep").header("x-vault-token", &admin.token);
        both.bearer(&other.token).send().await.check(400);
        server.get("/vault/v1/secret/data/hidden/deep").bearer(&admin.token).send().await.check(200);
    }

    async fn what_clients_ask_before_they_begin(server: &Server) {
        let vault = vault(server, &server.administrator().await);
        for path in ["sys/health", "sys/seal-status"] {
            let told = server.get(&format!("/vault/v1/{path}")).send().await.expect(200).json();
            assert_eq!((&told["initialized"], &told["sealed"]), (&json!(true), &json!(false)));
        }
        let mounts = vault.send("GET", "sys/mounts", None).await.expect(200).json();
        assert_eq!(mounts["data"]["secret/"]["options"]["version"], "2");
        let mount = vault.send("GET", "sys/internal/ui/mounts/team/a/b", None).await.expect(200).json();
        assert_eq!((&mount["data"]["path"], &mount["data"]["type"]), (&json!("team/"), &json!("kv")));
        vault.send("GET", "secret/config", None).await.check(200);
        let tenant = server.tenant("acme").create().await;
        let theirs = tenant.administrator().await;
        let path = "/t/acme/vault/v1/secret/data/x";
        send_to(server, "POST", path, &theirs.token, Some(json!({"data": {"a": 1}}))).await.check(200);
        vault.read("x").await.check(404);
        send_to(server, "GET", "/vault/v1/secret/data/x", &theirs.token, None).await.check(403);
    }
}

async fn send_to(server: &Server, method: &str, path: &str, token: &str, document: Option<Value>) -> Answer {
    let call = server.call(method, path).header("x-vault-token", token);
    match document {
        Some(document) => call.json(&document).send().await,
        None => call.send().await,
    }
}

trait Refusal {
    fn refused_or_empty(&self);
}

impl Refusal for Answer {
    fn refused_or_empty(&self) {
        assert!([400, 404].contains(&self.status.as_u16()), "{self}");
    }
}
