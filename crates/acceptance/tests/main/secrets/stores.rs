//! Secrets whose values lie in a store elsewhere: another Keyreeve, which speaks the KV engine, version 2.

use super::{keeper, make, share};
use keyreeve_acceptance::{Answer, Api, Engine, Server, Setup, StandIn, on_a_server_that_fetches};
use serde_json::{Value, json};

/// The other Keyreeve, with its key/value door.
pub struct Vault {
    pub server: Server,
    pub admin: Api,
}

impl Vault {
    pub async fn start(public_url: bool) -> Self {
        let setup = Setup::new(Engine::Sqlite);
        let setup = if public_url { setup.public_url("http://127.0.0.1:8080") } else { setup };
        let server = setup.start().await;
        let admin = server.administrator().await;
        Self { server, admin }
    }

    pub fn url(&self) -> String {
        format!("http://{}/vault", self.server.address())
    }

    /// Asked directly, as its own clients do.
    async fn send(&self, method: &str, path: &str, document: Value) -> Answer {
        let call = self.server.call(method, &format!("/vault/v1/{path}"));
        call.header("x-vault-token", &self.admin.token).json(&document).send().await
    }

    async fn value(&self, path: &str) -> Value {
        self.send("GET", &format!("kv/data/{path}"), json!({})).await.expect(200).json()["data"]["data"]
            .clone()
    }

    /// A service account there, as an AppRole: its identifier and its secret.
    async fn role(&self, name: &str) -> (String, String) {
        let account =
            self.admin.post("/service-accounts", &json!({"name": name})).send().await.expect(201).json();
        let id = account["id"].as_str().unwrap().to_owned();
        let secret = self.admin.post(&format!("/service-accounts/{id}/secrets"), &json!({})).send().await;
        let secret = secret.expect(201).json()["secret"].as_str().unwrap().to_owned();
        (id, secret)
    }
}

/// Keeps a token for this server; answers the identifier.
pub async fn token(api: &Api, url: &str, token: &str) -> String {
    let new = json!({"name": format!("token {url}"), "method": "token", "url": url, "credential": token});
    let made = api.post("/service-authentications", &new).send().await.expect(201);
    assert!(!made.text().contains(token), "{made}");
    made.json()["id"].as_str().unwrap().to_owned()
}

/// Makes a store known; answers its path.
pub async fn store(api: &Api, url: &str, authentication: &str) -> String {
    let new = json!({"name": format!("store {authentication}"), "url": url, "mount": "kv", "authentication": authentication});
    let made = api.post("/secret-stores", &new).send().await.expect(201).json();
    format!("/secret-stores/{}", made["id"].as_str().unwrap())
}

/// Makes a secret whose value lies there; answers its path.
pub async fn secret(api: &Api, store: &str, path: &str) -> String {
    let store = store.strip_prefix("/secret-stores/").unwrap();
    let new = json!({"kind": "key_value", "name": path, "store": store, "store_path": path, "mount": "kv", "path": path});
    let made = make(api, new).await;
    assert_eq!((&made["store"], &made["store_path"]), (&json!(store), &json!(path)));
    format!("/secrets/{}", made["id"].as_str().unwrap())
}

async fn by_token(server: &Server, vault: &Vault) -> (Api, String) {
    let admin = server.administrator().await;
    let with = token(&admin, &vault.url(), &vault.admin.token).await;
    let store = store(&admin, &vault.url(), &with).await;
    (admin, store)
}

async fn read(api: &Api, path: &str) -> Answer {
    api.post(&format!("{path}/read"), &json!({})).send().await
}

async fn write(api: &Api, path: &str, data: Value, follows: Option<u32>) -> Answer {
    api.post(&format!("{path}/versions"), &json!({"value": {"data": data}, "follows": follows})).send().await
}

on_a_server_that_fetches! {
    async fn values_are_written_to_a_store_and_read_from_it(server: &Server) {
        let vault = Vault::start(false).await;
        let (admin, store) = by_token(server, &vault).await;
        let checked = admin.call("POST", &format!("{store}/check")).send().await.expect(200).json();
        assert_eq!((&checked["works"], &checked["reached"], &checked["admitted"]), (&json!(true), &json!(true), &json!(true)), "{checked}");
        let path = secret(&admin, &store, "team/päss word?#%/x").await;
        read(&admin, &path).await.check(404);
        assert_eq!(admin.get(&format!("{path}/versions")).send().await.expect(200).json()["items"], json!([]));
        let first = write(&admin, &path, json!({"password": "Canary-one", "n": 1}), Some(0)).await.expect(200).json();
        assert_eq!((&first["number"], &first["created_by"]), (&json!(1), &json!("store")));
        assert_eq!(vault.value("team/p%C3%A4ss%20word%3F%23%25/x").await, json!({"password": "Canary-one", "n": 1}));
        let opened = read(&admin, &path).await.expect(200);
        assert_eq!(opened.header("cache-control"), Some("no-store"));
        assert_eq!((&opened.json()["value"]["data"]["password"], &opened.json()["version"]), (&json!("Canary-one"), &json!(1)));
        // Of two who write behind the same version, one is told.
        let late = write(&admin, &path, json!({"password": "x"}), Some(0)).await.expect(409);
        assert!(late.text().contains("the newest version is 1"), "{late}");
        let patch = json!({"data": {"n": null, "port": 5432}, "follows": 1});
        assert_eq!(admin.post(&format!("{path}/patch"), &patch).send().await.expect(200).json()["number"], 2);
        let second = read(&admin, &path).await.expect(200).json();
        assert_eq!(second["value"]["data"], json!({"password": "Canary-one", "port": 5432}));
        let old = admin.post(&format!("{path}/read"), &json!({"version": 1})).send().await.expect(200).json();
        assert_eq!(old["value"]["data"]["n"], 1);
        admin.post(&format!("{path}/read"), &json!({"version": 7})).send().await.check(404);
        // Whoever changes it there changes what is read here: nothing is kept.
        vault.send("POST", "kv/data/team/p%C3%A4ss%20word%3F%23%25/x", json!({"data": {"a": "there"}})).await.check(200);
        assert_eq!(read(&admin, &path).await.expect(200).json()["value"]["data"], json!({"a": "there"}));
        let listed = admin.get(&format!("{path}/versions?limit=2")).send().await.expect(200).json();
        assert_eq!((&listed["items"][0]["number"], &listed["next"]), (&json!(3), &json!("2")));
        let one = json!({"versions": [1]});
        for (word, status) in [("delete", 404), ("undelete", 200), ("destroy", 404)] {
            admin.post(&format!("{path}/versions/{word}"), &one).send().await.check(200);
            let old = admin.post(&format!("{path}/read"), &json!({"version": 1})).send().await;
            old.check(status);
            assert!(status == 200 || old.text().contains("this version was de"), "{old}");
        }
        let document = admin.get(&path).send().await.expect(200).json();
        assert_eq!((&document["current"], &document["version"]), (&json!(0), &json!(6)));
        // The record goes; what the store keeps stays there.
        admin.delete(&path).send().await.check(204);
        assert_eq!(vault.value("team/p%C3%A4ss%20word%3F%23%25/x").await, json!({"a": "there"}));
        assert!(!format!("{:?}", server.audit().await).contains("Canary"));
        assert_eq!(server.audited("secret.ask_store").await.len(), 6);
        assert!(server.audited("secret.write").await.iter().any(|entry| entry.detail.as_deref() == Some(r#"{"version":1}"#)));
        vault.server.finish().await;
    }

    async fn an_approle_is_signed_in_once_and_anew_where_its_token_ends(server: &Server) {
        let vault = Vault::start(false).await;
        let admin = server.administrator().await;
        let (role, credential) = vault.role("keyreeve").await;
        let new = json!({"name": "a", "method": "approle", "url": vault.url(), "role_id": role, "credential": credential});
        let with = admin.post("/service-authentications", &new).send().await.expect(201).json();
        assert_eq!((&with["mount"], &with["role_id"]), (&json!("approle"), &json!(role)));
        let store = store(&admin, &vault.url(), with["id"].as_str().unwrap()).await;
        let path = secret(&admin, &store, "own").await;
        write(&admin, &path, json!({"a": 1}), Some(0)).await.check(200);
        let logins = async || vault.server.audit().await.iter().filter(|entry| entry.action.starts_with("token.issue")).count();
        let before = logins().await;
        for _ in 0..5 {
            read(&admin, &path).await.check(200);
        }
        assert_eq!(logins().await, before, "one login for all");
        // Its tokens are revoked there: it signs in again.
        let account = vault.admin.get(&format!("/service-accounts/{role}")).send().await.expect(200).json();
        assert_eq!(account["name"], "keyreeve");
        vault.server.advance(100_000);
        read(&admin, &path).await.check(200);
        // With another secret it goes on; without a good one the store is named, and what it said.
        let renewed = vault.server.administrator().await;
        let other = renewed.post(&format!("/service-accounts/{role}/secrets"), &json!({})).send().await.expect(201).json();
        let of = format!("/service-authentications/{}", with["id"].as_str().unwrap());
        let changed = admin.patch(&of, &json!({"credential": other["secret"]})).send().await.expect(200);
        assert!(!changed.text().contains(other["secret"].as_str().unwrap()));
        read(&admin, &path).await.check(200);
        server.expect_failures();
        admin.patch(&of, &json!({"credential": "Canary-of-no-use"})).send().await.check(200);
        let refused = read(&admin, &path).await.expect(502).json();
        assert!(refused["detail"].as_str().unwrap().ends_with("answered 400: invalid role or secret ID"), "{refused}");
        let checked = admin.call("POST", &format!("{store}/check")).send().await.expect(200).json();
        assert_eq!((&checked["works"], &checked["reached"], &checked["admitted"]), (&json!(false), &json!(true), &json!(false)));
        vault.server.finish().await;
    }

    async fn our_own_door_serves_what_lies_elsewhere(server: &Server) {
        let vault = Vault::start(false).await;
        let (admin, store) = by_token(server, &vault).await;
        secret(&admin, &store, "app/x").await;
        let send = async |method: &str, path: &str, document: Value| {
            let call = server.call(method, &format!("/vault/v1/{path}"));
            call.header("x-vault-token", &admin.token).json(&document).send().await
        };
        send("POST", "kv/data/app/x", json!({"data": {"a": 1}, "options": {"cas": 0}})).await.check(200);
        send("POST", "kv/data/app/x", json!({"data": {"a": 2}, "options": {"cas": 0}})).await.check(400);
        send("POST", "kv/data/app/x", json!({"data": {"a": 2}})).await.check(200);
        assert_eq!(vault.value("app/x").await, json!({"a": 2}));
        let got = send("GET", "kv/data/app/x", json!({})).await.expect(200).json();
        assert_eq!((&got["data"]["data"], &got["data"]["metadata"]["version"]), (&json!({"a": 2}), &json!(2)));
        let metadata = send("GET", "kv/metadata/app/x", json!({})).await.expect(200).json();
        assert_eq!((&metadata["data"]["current_version"], &metadata["data"]["oldest_version"]), (&json!(2), &json!(1)));
        send("DELETE", "kv/data/app/x", json!({})).await.check(204);
        let gone = send("GET", "kv/data/app/x", json!({})).await.expect(404).json();
        assert_eq!(gone["data"]["metadata"]["version"], 2);
        vault.send("GET", "kv/data/app/x", json!({})).await.check(404);
        send("PUT", "kv/undelete/app/x", json!({"versions": [2]})).await.check(204);
        assert_eq!(send("GET", "kv/subkeys/app/x", json!({})).await.expect(200).json()["data"]["subkeys"], json!({"a": null}));
        send("PUT", "kv/destroy/app/x", json!({"versions": [1]})).await.check(204);
        vault.send("GET", "kv/data/app/x?version=1", json!({})).await.check(404);
        // How many versions are kept is the store's to say.
        send("POST", "kv/metadata/app/x", json!({"max_versions": 3})).await.check(400);
        send("POST", "kv/metadata/app/x", json!({"cas_required": true, "custom_metadata": {"team": "blue"}})).await.check(204);
        send("POST", "kv/data/app/x", json!({"data": {"a": 3}})).await.check(400);
        send("POST", "kv/data/app/x", json!({"data": {"a": 3}, "options": {"cas": 2}})).await.check(200);
        vault.server.finish().await;
        server.expect_failures();
        let silent = send("GET", "kv/data/app/x", json!({})).await.expect(502).json();
        assert!(silent["errors"][0].as_str().unwrap().ends_with("cannot be connected to"), "{silent}");
    }

    async fn who_may_is_decided_here(server: &Server) {
        let vault = Vault::start(false).await;
        let (admin, store) = by_token(server, &vault).await;
        let (ada, as_ada) = keeper(server, "ada").await;
        let path = secret(&admin, &store, "shared").await;
        write(&admin, &path, json!({"a": "Canary-shared"}), None).await.check(200);
        let before = vault.server.audited("secret.read").await.len();
        let stranger = read(&as_ada, &path).await.expect(404);
        assert!(!stranger.text().contains("store"), "{stranger}");
        share(&admin, &path, "METADATA", &ada).await;
        read(&as_ada, &path).await.check(403);
        write(&as_ada, &path, json!({"a": 2}), None).await.check(403);
        assert_eq!(vault.server.audited("secret.read").await.len(), before, "it was not asked");
        share(&admin, &path, "READ", &ada).await;
        assert_eq!(read(&as_ada, &path).await.expect(200).json()["value"]["data"]["a"], "Canary-shared");
        // Nobody but an administrator points a secret at what the credential opens.
        let id = store.strip_prefix("/secret-stores/").unwrap();
        let own = json!({"kind": "key_value", "name": "x", "store": id, "store_path": "shared"});
        as_ada.post("/secrets", &own).send().await.check(403);
        for path in [store.as_str(), "/secret-stores", "/service-authentications"] {
            as_ada.get(path).send().await.check(403);
        }
        as_ada.call("POST", &format!("{store}/check")).send().await.check(403);
        vault.server.finish().await;
    }

    async fn a_store_that_fails_is_named_and_nothing_is_a_fault_of_ours(server: &Server) {
        server.expect_failures();
        let admin = server.administrator().await;
        let stand_in = StandIn::start().await;
        let with = token(&admin, &stand_in.url(""), "Canary-token-of-a-store").await;
        let store = store(&admin, &stand_in.url(""), &with).await;
        let path = secret(&admin, &store, "x").await;
        let name = format!("the secret store store {with}");
        let meta = r#"{"created_time":"2026-01-02T03:04:05Z","deletion_time":"","destroyed":false,"version":1}"#;
        let long = format!(r#"{{"data":{{"data":{{"a":"{}"}},"metadata":{meta}}}}}"#, "x".repeat(1_100_000));
        let twice = format!(r#"{{"data":{{"data":{{"a":1,"a":2}},"metadata":{meta}}}}}"#);
        let huge = "x".repeat(3_000_000);
        for (status, body, told) in [
            (500, r#"{"errors":["internal error"]}"#, "answered 500: internal error"),
            (503, "Vault is sealed", "answered 503"),
            (403, r#"{"errors":["token Canary-token-of-a-store is bad"]}"#, "answered 403"),
            (400, r#"{"errors":["a\nb"]}"#, "answered 400: a b"),
            (429, "{}", "answered 429"),
            (200, "", "answered 200 with what is none of its API"),
            (200, "<html>", "answered 200 with what is none of its API"),
            (200, r#"{"data":{"data":"text"}}"#, "answered 200 with what is none of its API"),
            (200, long.as_str(), "keeps a value there that is too long, or no object"),
            (200, twice.as_str(), "keeps a value there that is too long, or no object"),
            (200, huge.as_str(), "answered with what cannot be read"),
            (307, "", "answered 307: redirects are not followed"),
        ] {
            let elsewhere = stand_in.url("/v1/other");
            stand_in.answer(status, &[("location", &elsewhere)], body);
            let answer = read(&admin, &path).await.expect(502);
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert_eq!(detail, format!("{name} {told}"));
            let heard = stand_in.rest().await;
            assert_eq!(heard.iter().map(|one| one.target.as_str()).collect::<Vec<_>>(), ["/v1/kv/data/x"]);
        }
        // A write tells nothing but the status, so that no value comes back in an error.
        stand_in.answer(400, &[], r#"{"errors":["Canary-of-a-value is bad"]}"#);
        let failed = write(&admin, &path, json!({"a": "Canary-of-a-value"}), None).await.expect(502);
        assert_eq!(failed.json()["detail"], json!(format!("{name} answered 400")));
        // What failed on the way back may have been done.
        for (status, body) in [(502, ""), (200, "<html>")] {
            stand_in.answer(status, &[], body);
            write(&admin, &path, json!({"a": 1}), None).await.check(502);
        }
        let unknown = "whether the store did it is not known";
        assert_eq!(server.refusals("secret.write").await, ["the store did not do it", unknown, unknown]);
        stand_in.answer(404, &[], r#"{"errors":[]}"#);
        read(&admin, &path).await.check(404);
        assert!(!format!("{:?}", server.audit().await).contains("Canary"));
    }

    async fn a_store_that_is_silent_costs_no_more_than_its_time(server: &Server) {
        server.expect_failures();
        let admin = server.administrator().await;
        // It takes connections, and says nothing.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let with = token(&admin, &url, "Canary-token").await;
        let store = store(&admin, &url, &with).await;
        admin.patch(&store, &json!({"timeout_ms": 200})).send().await.check(200);
        let path = secret(&admin, &store, "x").await;
        let late = read(&admin, &path).await.expect(504).json();
        assert!(late["detail"].as_str().unwrap().ends_with("did not answer in time"), "{late}");
        let asked = write(&admin, &path, json!({"a": 1}), None);
        // Meanwhile everybody else writes: no transaction waits for the network.
        let (asked, other) = tokio::join!(asked, admin.post("/groups", &json!({"name": "beside"})).send());
        asked.check(504);
        other.check(201);
        let refused = server.refusals("secret.write").await;
        assert_eq!(refused, ["whether the store did it is not known"]);
    }

    async fn records_are_listed_changed_and_held_on_to(server: &Server) {
        let admin = server.administrator().await;
        let (a, b) = ("http://127.0.0.1:9/a", "http://127.0.0.1:9/b");
        let new = json!({"name": "n", "method": "token", "url": a, "credential": "Canary-credential"});
        let made = admin.post("/service-authentications", &new).header("idempotency-key", "k").send().await.expect(201);
        let again = admin.post("/service-authentications", &new).header("idempotency-key", "k").send().await.expect(201);
        assert_eq!((made.json(), again.header("idempotency-replayed")), (again.json(), Some("true")));
        let with = made.json()["id"].as_str().unwrap().to_owned();
        admin.post("/service-authentications", &new).send().await.check(409);
        let store = store(&admin, a, &with).await;
        let second = json!({"name": "second", "url": a, "mount": "team/kv", "namespace": "ns", "authentication": with, "timeout_ms": 100});
        admin.post("/secret-stores", &second).send().await.check(201);
        admin.post("/secret-stores", &second).send().await.check(409);
        let etag = admin.get(&store).send().await.expect(200).header("etag").unwrap().to_owned();
        admin.get(&store).header("if-none-match", &etag).send().await.check(304);
        admin.patch(&store, &json!({"mount": "other"})).header("if-match", "\"9\"").send().await.check(412);
        admin.patch(&store, &json!({"mount": "other"})).header("if-match", &etag).send().await.check(200);
        let names = async |query: &str| {
            let page = admin.get(&format!("/secret-stores?{query}")).send().await.expect(200).json();
            page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("filter=namespace%20pr").await, ["second"]);
        assert_eq!(names(&format!("filter=authentication%20eq%20%22{with}%22&sort=-name")).await, [format!("store {with}"), "second".to_owned()]);
        let first = admin.get("/secret-stores?sort=name&limit=1").send().await.expect(200).json();
        assert_eq!(names(&format!("sort=name&limit=1&after={}", first["next"].as_str().unwrap())).await, [format!("store {with}")]);
        for bad in ["sort=url", "filter=credential%20pr", "after=x", "limit=0"] {
            admin.get(&format!("/secret-stores?{bad}")).send().await.check(400);
            admin.get(&format!("/service-authentications?{bad}")).send().await.check(400);
        }
        let of = format!("/service-authentications/{with}");
        let used = admin.delete(&of).send().await.expect(409).json();
        assert_eq!(used["detail"], "it still has secret stores that are reached with it");
        let path = secret(&admin, &store, "x").await;
        let used = admin.delete(&store).send().await.expect(409).json();
        assert_eq!(used["detail"], "it still has secrets whose values lie in it");
        // A credential goes to no server but its own.
        let moved = admin.patch(&store, &json!({"url": b})).send().await.expect(422).json();
        assert_eq!(moved["errors"][0]["pointer"], "/url");
        admin.patch(&of, &json!({"url": b})).send().await.check(400);
        for (body, status, at) in [
            (json!({"name": "x", "url": a, "mount": "kv", "authentication": "nobody"}), 400, "/authentication"),
            (json!({"name": "x", "url": a, "mount": "kv", "authentication": with, "kind": "kv1"}), 400, "/kind"),
            (json!({"name": "x", "url": a, "mount": "../sys", "authentication": with}), 422, "/mount"),
            (json!({"name": "x", "url": a, "mount": "kv", "authentication": with, "timeout_ms": 15_001}), 422, "/timeout_ms"),
            (json!({"name": "x", "url": "file:///etc", "mount": "kv", "authentication": with}), 422, "/url"),
        ] {
            let answer = admin.post("/secret-stores", &body).send().await.expect(status).json();
            assert_eq!(answer["errors"][0]["pointer"], at, "{answer}");
        }
        for (body, at) in [
            (json!({"kind": "key_value", "name": "x", "store": "s", "store_path": "x"}), "/store"),
            (json!({"kind": "key_value", "name": "x", "store_path": "x"}), "/store_path"),
        ] {
            assert_eq!(admin.post("/secrets", &body).send().await.expect(400).json()["errors"][0]["pointer"], at);
        }
        admin.delete(&path).send().await.check(204);
        admin.delete(&store).send().await.check(204);
        let listed = admin.get("/service-authentications?filter=name%20eq%20%22n%22").send().await.expect(200);
        assert!(listed.text().contains(&with) && !listed.text().contains("Canary"), "{listed}");
    }
}
