//! Mappers over HTTP, and what tokens say by them.

use keyreeve_acceptance::{Api, Mount, Server, TestClient, on_a_server};
use serde_json::{Value, json};

fn document(name: &str, claim: &str) -> Value {
    json!({"name": name, "source": {"kind": "constant", "value": "x"}, "claim": claim, "targets": ["access_token"]})
}

/// The claims of a token that a client gets for itself.
async fn claims(mount: &Mount, client: &TestClient) -> Value {
    let answer = mount.token(client, &[("grant_type", "client_credentials")]).await.expect(200).json();
    let body = answer["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let bytes = keyreeve_crypto::base64url::decode(body).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

async fn id_of(mount: &Mount, client: &TestClient) -> String {
    let found = mount.tokens().clients().by_client_id(mount.id(), &client.client_id).await.unwrap();
    found.unwrap().id.to_string()
}

async fn refused(admin: &Api, (method, path): (&str, &str), document: &Value, status: u16, pointer: &str) {
    let answer = admin.call(method, path).json(document).send().await;
    answer.check(status);
    assert!(answer.header("content-type").unwrap().starts_with("application/problem+json"));
    let named = &answer.json()["errors"][0]["pointer"];
    assert_eq!(named, pointer, "{document}\n{answer}");
}

on_a_server! {
    async fn a_mapper_is_made_read_changed_and_removed(server: &Server) {
        let admin = server.administrator().await;
        let robot = server.client("robot").service().create().await;
        let made = admin.post("/mappers", &document("all", "house.name")).send().await.expect(201);
        let mapper = made.json();
        let path = format!("/mappers/{}", mapper["id"].as_str().unwrap());
        assert_eq!(made.header("etag"), Some("\"1\""));
        assert_eq!(made.header("location"), Some(format!("{}/api/v1{path}", server.issuer()).as_str()));
        assert_eq!((&mapper["client"], &mapper["value_type"], &mapper["multivalued"], &mapper["scope"]),
            (&Value::Null, &json!("string"), &json!(false), &Value::Null));
        assert_eq!(claims(server, &robot).await["house"]["name"], "x");

        let read = admin.get(&path).send().await.expect(200);
        assert_eq!(read.json(), mapper);
        admin.get(&path).header("if-none-match", "\"1\"").send().await.check(304);
        // The source is replaced as a whole, whatever it was before.
        let patch = json!({"source": {"kind": "constant", "value": 7}, "value_type": "integer", "claim": "number"});
        let changed = admin.patch(&path, &patch).header("if-match", "\"1\"").send().await.expect(200).json();
        assert_eq!((&changed["source"]["value"], &changed["version"]), (&json!(7), &json!(2)));
        let told = claims(server, &robot).await;
        assert_eq!((&told["number"], &told["house"]), (&json!(7), &Value::Null));
        let patch = json!({"source": {"kind": "tenant_roles"}, "value_type": null});
        assert_eq!(admin.patch(&path, &patch).send().await.expect(200).json()["source"], json!({"kind": "tenant_roles"}));
        admin.patch(&path, &patch).header("if-match", "\"1\"").send().await.check(412);
        admin.delete(&path).header("if-match", "\"1\"").send().await.check(412);

        // One client's own, beside those of the tenant.
        let of_robot = format!("/clients/{}/mappers", id_of(server, &robot).await);
        let own = admin.post(&of_robot, &document("all", "own")).send().await.expect(201).json();
        assert_eq!(own["client"], json!(id_of(server, &robot).await));
        assert_eq!(admin.get(&of_robot).send().await.expect(200).json()["items"], json!([own]));
        assert_eq!(admin.get("/mappers").send().await.expect(200).json()["items"].as_array().unwrap().len(), 1);
        assert_eq!(claims(server, &robot).await["own"], "x");
        let other = server.client("other").service().create().await;
        assert_eq!(claims(server, &other).await["own"], Value::Null);

        admin.delete(&path).header("if-match", "\"3\"").send().await.check(204);
        admin.get(&path).send().await.check(404);
        admin.delete(&path).send().await.check(404);
        for action in ["mapper.create", "mapper.update", "mapper.delete"] {
            assert!(!server.audited(action).await.is_empty(), "{action}");
        }
    }

    async fn a_repeated_request_makes_one_mapper(server: &Server) {
        let admin = server.administrator().await;
        let post = |document| admin.post("/mappers", &document).header("idempotency-key", "k");
        let first = post(document("one", "a")).send().await.expect(201);
        let again = post(document("one", "a")).send().await.expect(201);
        assert_eq!(first.json(), again.json());
        assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
        post(document("two", "b")).send().await.check(422);
        assert_eq!(server.audited("mapper.create").await.len(), 1);
    }

    async fn what_is_wrong_with_a_mapper_is_pointed_at(server: &Server) {
        let admin = server.administrator().await;
        let made = admin.post("/mappers", &document("one", "a")).send().await.expect(201).json();
        let one = format!("/mappers/{}", made["id"].as_str().unwrap());
        let with = |name: &str, value: Value| {
            let mut document = document("two", "b");
            document[name] = value;
            document
        };
        let post = ("POST", "/mappers");
        refused(&admin, post, &with("name", json!("one")), 409, "/name").await;
        refused(&admin, post, &with("name", json!(" x")), 422, "/name").await;
        refused(&admin, post, &with("name", json!(7)), 400, "/name").await;
        refused(&admin, post, &with("claim", json!("sub")), 400, "/claim").await;
        refused(&admin, post, &with("claim", json!("a..b")), 400, "/claim").await;
        refused(&admin, post, &with("claim", Value::Null), 422, "/claim").await;
        refused(&admin, post, &with("targets", json!([])), 422, "/targets").await;
        refused(&admin, post, &with("targets", json!(["moon"])), 400, "/targets/0").await;
        refused(&admin, post, &with("value_type", json!("integer")), 422, "/source/value").await;
        refused(&admin, post, &with("scope", json!("a b")), 422, "/scope").await;
        refused(&admin, post, &with("source", json!({"kind": "script"})), 400, "/source/kind").await;
        refused(&admin, post, &with("source", json!({"kind": "user_attribute", "attribute": ""})), 422, "/source/attribute").await;
        let nobody = "0190f0f0-0000-7000-8000-000000000001";
        refused(&admin, post, &with("source", json!({"kind": "client_roles", "client": nobody})), 422, "/source/client").await;
        refused(&admin, post, &with("colour", json!("red")), 400, "/colour").await;
        let patch = ("PATCH", &*one);
        refused(&admin, patch, &json!({"targets": []}), 422, "/targets").await;
        refused(&admin, patch, &json!({"id": nobody}), 400, "/id").await;
        admin.patch(&one, &json!({"name": null})).send().await.check(400);
        admin.get(&format!("/clients/{nobody}/mappers")).send().await.check(404);
        admin.post(&format!("/clients/{nobody}/mappers"), &document("x", "y")).send().await.check(404);
        admin.get("/mappers/none").send().await.check(400);
        assert_eq!(admin.get(&one).send().await.expect(200).json(), made, "nothing of it was written");
    }

    /// A mapper speaks in the tokens of a client: to make one takes what the client's tokens open.
    async fn a_narrow_token_decides_nothing_in_the_tokens_of_administrators(server: &Server) {
        let admin = server.administrator().await;
        let chief = server.client("chief").service().scopes("keyreeve:admin").create().await;
        let plain = server.client("plain").service().create().await;
        let narrow = server.api("keyreeve:clients:write").await;
        let (of_chief, of_plain) = (id_of(server, &chief).await, id_of(server, &plain).await);
        let doc = document("one", "a");
        narrow.post("/mappers", &doc).send().await.check(403);
        let refused = narrow.post(&format!("/clients/{of_chief}/mappers"), &doc).send().await.expect(403);
        assert!(refused.challenge().unwrap().contains("scope=\"keyreeve:admin\""), "{refused}");
        narrow.post(&format!("/clients/{of_plain}/mappers"), &doc).send().await.check(201);
        for collection in ["/mappers".to_owned(), format!("/clients/{of_chief}/mappers")] {
            let made = admin.post(&collection, &doc).send().await.expect(201).json();
            let path = format!("/mappers/{}", made["id"].as_str().unwrap());
            narrow.get(&path).send().await.check(200);
            narrow.patch(&path, &json!({"claim": "b"})).send().await.check(403);
            narrow.delete(&path).send().await.check(403);
        }
        // Another tenant's are not there.
        let made = admin.post("/mappers", &document("two", "c")).send().await.expect(201).json();
        let acme = server.tenant("acme").create().await.administrator().await;
        let path = format!("/mappers/{}", made["id"].as_str().unwrap());
        acme.get(&path).send().await.check(404);
        acme.patch(&path, &json!({"claim": "d"})).send().await.check(404);
        acme.delete(&path).send().await.check(404);
        acme.post(&format!("/clients/{of_plain}/mappers"), &doc).send().await.check(404);
    }
}
