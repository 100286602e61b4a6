//! Attacks through the native API (AC-21, AC-38, AC-56, AC-60). Where an attack can be tried at many operations, it is
//! tried at all that the API's own document has.

use keyreeve_acceptance::{Answer, Api, Server, on_a_server};
use keyreeve_identity::{Cause, MembershipKind, NewGroup, Party};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NOBODY: &str = "0190f0f0-0000-7000-8000-000000000001";

/// An operation of the document.
struct Described {
    id: String,
    method: String,
    path: String,
    has_body: bool,
    /// The names of its parameters in the query.
    query: Vec<String>,
}

async fn operations(server: &Server) -> Vec<Described> {
    let document = server.get("/api/v1/openapi.json").send().await.expect(200).json();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let query =
                parameters.filter(|p| p["in"] == "query").map(|p| p["name"].as_str().unwrap().to_owned());
            all.push(Described {
                id: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_ascii_uppercase(),
                path: path.clone(),
                has_body: operation["requestBody"].is_object(),
                query: query.collect(),
            });
        }
    }
    assert!(all.len() > 60);
    all
}

/// The path with these things of each kind in it, nobody's where there is none.
fn filled(path: &str, things: &BTreeMap<&str, String>) -> String {
    let kind = path.split('/').nth(3).unwrap_or_default();
    let id = things.get(kind).map_or(NOBODY, String::as_str);
    let path = path.replace("{id}", id).replace("{kind}", "user").replace("{name}", "somebody");
    let parts: Vec<&str> =
        path.split('/').map(|part| if part.starts_with('{') { NOBODY } else { part }).collect();
    parts.join("/")
}

/// What an answer says, without the identifier of the request.
fn said(answer: &Answer) -> (u16, Value) {
    let mut document = answer.json();
    document.as_object_mut().unwrap().remove("instance");
    (answer.status.as_u16(), document)
}

fn text(document: &Value, pointer: &str) -> String {
    document
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{pointer}: {document}"))
        .to_owned()
}

on_a_server! {
    /// Whoever administers one group is told of everybody else what is told of nobody.
    async fn ac_21_who_is_not_seen_reads_like_who_is_not_there(server: &Server) {
        let (deputy, otto) = (server.user("deputy").create().await, server.user("otto").email("otto@example.org").create().await);
        let new = NewGroup { name: "physics".to_owned(), ..NewGroup::default() };
        let group = server.identity().groups().create(server.id(), new, &Cause::operator()).await.unwrap().id;
        let (which, party) = ((server.id(), group), Party::User(deputy.user.id));
        server.identity().groups().add(which, party, MembershipKind::Owner, &Cause::operator()).await.unwrap();
        let api = server.api_of(&deputy, "keyreeve:admin").await;
        let otto = otto.sub();
        let mut asked = 0;
        for one in operations(server).await.iter().filter(|one| one.path.starts_with("/api/v1/users/{id}")) {
            let send = async |id: &str| {
                let call = api.call(&one.method, &filled(&one.path, &BTreeMap::from([("users", id.to_owned())])));
                let body = if one.id == "set_password" { json!({"password": "Another-sound-0ne"}) } else { json!({}) };
                if one.has_body { call.json(&body).send().await } else { call.send().await }
            };
            let (hidden, missing) = (send(&otto).await, send(NOBODY).await);
            assert!(hidden.status.is_client_error(), "{}: {hidden}", one.id);
            assert_eq!(said(&hidden), said(&missing), "{}", one.id);
            asked += 1;
        }
        assert!(asked > 15, "{asked}");
        for filter in ["username eq \"otto\"", "email eq \"otto@example.org\"", "email sw \"o\""] {
            let found = api.get("/users").query(&[("filter", filter), ("count", "true")]).send().await.expect(200).json();
            assert_eq!((&found["items"], &found["total"]), (&json!([]), &json!(0)), "{filter}");
        }
        let add = async |id: &str| api.put(&format!("/groups/{group}/members/user/{id}"), &json!({"kind": "MEMBER"})).send().await;
        assert_eq!(said(&add(&otto).await), said(&add(NOBODY).await));
        // Whether a name is free is told to nobody without a token, and to others only so often.
        for name in ["otto", "free"] {
            server.get(&format!("/api/v1/usernames/{name}")).send().await.check(401);
        }
        server.set_settings(|settings| settings.throttle.availability_asks = 3).await;
        for name in ["otto", "free", "otto@example.org"] {
            api.get(&format!("/usernames/{name}")).send().await.check(200);
        }
        for name in ["otto", "free"] {
            let refused = api.get(&format!("/usernames/{name}")).send().await.expect(429);
            assert!(refused.header("retry-after").is_some());
        }
    }

    /// Everything that can be read, by whoever may read all of it: no secret is in it.
    async fn ac_38_no_document_has_a_secret_in_it(server: &Server) {
        let admin = server.administrator().await;
        let mut secrets: Vec<(&str, String)> = Vec::new();
        let mut things = BTreeMap::new();
        let client = json!({"name": "App", "client_id": "app", "redirect_uris": ["https://app.example/cb"]});
        let made = admin.post("/clients", &client).header("idempotency-key", "c").send().await.expect(201).json();
        secrets.push(("a client's", text(&made, "/client_secret")));
        things.insert("clients", text(&made, "/id"));
        let path = format!("/clients/{}/secrets", things["clients"]);
        let more = admin.post(&path, &json!({"overlap_s": 60})).header("idempotency-key", "s").send().await.expect(201).json();
        secrets.push(("a client's second", text(&more, "/secret")));
        let made = admin.post("/service-accounts", &json!({"name": "nightly"})).send().await.expect(201).json();
        things.insert("service-accounts", text(&made, "/id"));
        let path_of_account = format!("/service-accounts/{}/secrets", things["service-accounts"]);
        let key = json!({});
        let made = admin.post(&path_of_account, &key).header("idempotency-key", "a").send().await.expect(201).json();
        secrets.push(("a service account's", text(&made, "/secret")));
        let hook = json!({"url": "https://receiver.invalid/in"});
        let made = admin.post("/webhooks", &hook).header("idempotency-key", "w").send().await.expect(201).json();
        secrets.push(("a webhook's", text(&made, "/secret")));
        things.insert("webhooks", text(&made, "/webhook/id"));
        let initial = json!({"name": "team"});
        let made = admin.post("/initial-access-tokens", &initial).header("idempotency-key", "i").send().await.expect(201).json();
        secrets.push(("a token to register with", text(&made, "/token")));
        let password = "Canary-plover-anchor-41";
        let ada = json!({"username": "ada", "email": "ada@example.org", "password": password});
        let made = admin.post("/users", &ada).send().await.expect(201).json();
        secrets.push(("a password", password.to_owned()));
        things.insert("users", text(&made, "/id"));
        things.insert("tenants", server.id().to_string());

        let clean = |what: &str, answer: &Answer| {
            for (whose, secret) in &secrets {
                // Neither the whole of it nor enough to guess the rest.
                assert!(!answer.text().contains(&secret[..secret.len() - 4]), "{whose} is in {what}: {answer}");
            }
            for sign in ["$argon2", "password_hash\":\"", "-----BEGIN", "\"d\":", "\"digest\":\""] {
                assert!(!answer.text().contains(sign), "{sign} is in {what}: {answer}");
            }
        };
        let mut read = 0;
        for one in operations(server).await.iter().filter(|one| one.method == "GET" && one.id != "stream_audit_entries") {
            let call = admin.get(&filled(&one.path, &things));
            let call = if one.id == "list_duplicate_users" { call.query(&[("by", "full_name")]) } else { call };
            let answer = call.send().await;
            clean(&one.id, &answer);
            read += usize::from(answer.status == 200);
        }
        assert!(read > 30, "{read}");
        let exported = admin.get("/audit").set_header("accept", "application/x-ndjson").send().await.expect(200);
        assert!(exported.text().contains("client.create"), "{exported}");
        clean("the exported log", &exported);
        // A request that comes again is not shown them again.
        for (path, document, key) in [
            ("/clients", &client, "c"), (&path, &json!({"overlap_s": 60}), "s"), (&path_of_account, &key, "a"),
            ("/webhooks", &hook, "w"), ("/initial-access-tokens", &initial, "i"),
        ] {
            let again = admin.post(path, document).header("idempotency-key", key).send().await.expect(201);
            assert_eq!(again.header("idempotency-replayed"), Some("true"), "{path}");
            clean(path, &again);
        }
    }

    /// Pages of nothing, of everything, of a negative length; places that no page named; orders and filters by what is no
    /// member.
    async fn ac_56_no_page_is_endless_and_no_order_is_made_up(server: &Server) {
        let admin = server.administrator().await;
        let mut lists = 0;
        for one in operations(server).await.iter().filter(|one| one.query.iter().any(|name| name == "limit")) {
            let call = |query: &[(&str, &str)]| {
                let call = admin.get(&filled(&one.path, &BTreeMap::new()));
                let call = if one.id == "list_duplicate_users" { call.query(&[("by", "full_name")]) } else { call };
                call.query(query).send()
            };
            let refused = async |name: &str, value: &str| {
                let answer = call(&[(name, value)]).await.expect(400);
                assert_eq!(answer.json()["errors"][0]["parameter"], name, "{}: {value}: {answer}", one.id);
            };
            for limit in ["0", "501", "-1", "+1", "1e3", "0x10", " 1", "18446744073709551616", "10;DROP TABLE users"] {
                refused("limit", limit).await;
            }
            let twice = call(&[("limit", "1"), ("limit", "2")]).await;
            twice.check(400);
            if one.query.iter().any(|name| name == "sort") {
                for sort in ["password", "id;--", "password_hash", "attributes", "-", "created_at,id", "(select 1)"] {
                    refused("sort", sort).await;
                }
                let deep = "(".repeat(200) + "id pr" + &")".repeat(200);
                for filter in ["password eq \"x\"", "id eq", "1=1", "username re \".*\"", &deep, &"id pr or ".repeat(2_000)] {
                    let answer = call(&[("filter", filter)]).await;
                    assert!([400, 414].contains(&answer.status.as_u16()), "{}: {answer}", one.id);
                }
            }
            for unknown in ["offset", "page_size", "order_by"] {
                refused(unknown, "-1").await;
            }
            lists += 1;
        }
        assert!(lists >= 10, "{lists}");
        for path in ["/users", "/groups", "/roles", "/clients", "/service-accounts", "/audit", "/imports"] {
            for after in ["x", "-1", "0", "' OR 1=1 --", "AAAA"] {
                let answer = admin.get(path).query(&[("after", after)]).send().await;
                assert_eq!(answer.status, 400, "{path}: {after}: {answer}");
            }
        }
    }

    /// What a page of another site can make a browser send: cookies, and bodies of these kinds. No operation takes either.
    async fn ac_60_no_page_of_another_site_calls_an_operation(server: &Server) {
        let admin = server.administrator().await;
        let root = server.user("root").create().await;
        let own = server.api_of(&root, "keyreeve:me:write").await;
        let browser = server.browser();
        browser.sign_in("root").await;
        let cookies: Vec<String> = browser.cookies().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let document = json!({"username": "planted", "name": "planted"}).to_string();
        let unread = |answer: &Answer| answer.header("access-control-allow-origin").is_none();
        let mut written = 0;
        for one in &operations(server).await {
            let path = filled(&one.path, &BTreeMap::new());
            let bare = server.call(&one.method, &path).header("cookie", &cookies).header("origin", "https://evil.example");
            let bare = bare.body("text/plain", document.clone()).send().await;
            bare.check(401);
            assert!(unread(&bare), "{}: {bare}", one.id);
            let asked = server.call("OPTIONS", &path).header("origin", "https://evil.example");
            let asked = asked.header("access-control-request-method", &one.method).send().await;
            assert!(asked.status == 405 && unread(&asked), "{}: {asked}", one.id);
            if !one.has_body {
                continue;
            }
            for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain; application/json"] {
                let caller = if path.starts_with("/api/v1/me") { &own } else { &admin };
                let answer = caller.call(&one.method, &path).header("origin", "https://evil.example");
                let answer = answer.body(kind, document.clone()).send().await;
                // The Authorization API has one status for whatever cannot be read.
                answer.check(if path.starts_with("/access/v1/") { 400 } else { 415 });
                assert!(unread(&answer), "{}: {answer}", one.id);
            }
            written += 1;
        }
        assert!(written > 20, "{written}");
        let import = admin.call("POST", "/imports").body("text/plain", "{\"type\":\"user\",\"username\":\"planted\"}\n");
        import.send().await.check(415);
        assert_eq!(names(&admin).await, ["root"]);
    }
}

async fn names(api: &Api) -> Vec<String> {
    let page = api.get("/users").send().await.expect(200).json();
    let names = page["items"].as_array().unwrap().iter().map(|user| text(user, "/username"));
    names.filter(|name| name != "admin").collect()
}
