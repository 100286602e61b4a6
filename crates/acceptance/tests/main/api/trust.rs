//! Whom a tenant trusts: issuers whose assertions it believes, tokens by which clients register themselves, and the log of
//! what clients were told.

use keyreeve_acceptance::{Server, StandIn, on_a_server, on_a_server_that_fetches};
use keyreeve_crypto::sign::{Algorithm, SigningKey};
use serde_json::{Value, json};

const IDP: &str = "https://idp.example";

fn key() -> Value {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    serde_json::to_value(key.public_jwk()).unwrap()
}

fn issuer(key: &Value) -> Value {
    json!({"issuer": IDP, "settings": {"jwks": [key], "clients": ["bridge"], "scopes": "profile"}})
}

on_a_server! {
    async fn a_trusted_issuer_is_made_read_changed_and_removed(server: &Server) {
        let admin = server.administrator().await;
        let key = key();
        let post = || admin.post("/trusted-issuers", &issuer(&key)).header("idempotency-key", "k");
        let made = post().send().await.expect(201);
        let again = post().send().await.expect(201);
        assert_eq!((made.json(), again.header("idempotency-replayed")), (again.json(), Some("true")));
        let one = made.json();
        assert_eq!((&one["issuer"], &one["settings"]["enabled"], &one["settings"]["max_lifetime_s"]), (&json!(IDP), &json!(true), &json!(300)));
        let path = format!("/trusted-issuers/{}", one["id"].as_str().unwrap());
        assert_eq!(admin.get(&path).send().await.expect(200).json(), one);
        admin.get(&path).header("if-none-match", "\"1\"").send().await.check(304);
        let taken = admin.post("/trusted-issuers", &issuer(&key)).send().await.expect(409);
        assert_eq!(taken.json()["errors"][0]["pointer"], "/issuer");

        let patch = json!({"enabled": false, "subject": {"claim": "mail", "field": "email"}, "max_lifetime_s": null});
        let changed = admin.patch(&path, &patch).header("if-match", "\"1\"").send().await.expect(200).json();
        assert_eq!((&changed["settings"]["enabled"], &changed["settings"]["subject"]["claim"]), (&json!(false), &json!("mail")));
        assert_eq!((&changed["settings"]["max_lifetime_s"], &changed["version"]), (&json!(300), &json!(2)));
        admin.patch(&path, &patch).header("if-match", "\"1\"").send().await.check(412);
        assert_eq!(admin.get("/trusted-issuers").send().await.expect(200).json()["items"], json!([changed]));
        admin.delete(&path).send().await.check(204);
        admin.get(&path).send().await.check(404);
        admin.delete(&path).send().await.check(404);
        for action in ["issuer.create", "issuer.update", "issuer.delete"] {
            assert_eq!(server.audited(action).await.len(), 1, "{action}");
        }
    }

    async fn what_is_wrong_with_a_trusted_issuer_is_pointed_at(server: &Server) {
        let admin = server.administrator().await;
        let key = key();
        let with = |changes: Value| {
            let mut document = issuer(&key);
            for (name, value) in changes.as_object().unwrap() {
                document["settings"][name] = value.clone();
            }
            document
        };
        for (document, status, pointer) in [
            (with(json!({"jwks": []})), 422, "/settings/jwks"),
            (with(json!({"jwks": [{"kty": "oct", "k": "c2VjcmV0"}]})), 422, "/settings/jwks"),
            (with(json!({"jwks": [], "jwks_uri": "https://user:pass@idp.example/keys"})), 422, "/settings/jwks_uri"),
            (with(json!({"jwks": [], "jwks_uri": "https://127.0.0.1/keys"})), 422, "/settings/jwks_uri"),
            (with(json!({"max_lifetime_s": 9})), 422, "/settings/max_lifetime_s"),
            (with(json!({"max_lifetime_s": "x"})), 400, "/settings/max_lifetime_s"),
            (with(json!({"scopes": ["a"]})), 400, "/settings/scopes"),
            (with(json!({"colour": "red"})), 400, "/settings/colour"),
            (json!({"issuer": "", "settings": {"jwks": [key]}}), 422, "/issuer"),
            (json!({"issuer": server.issuer(), "settings": {"jwks": [key]}}), 422, "/issuer"),
            (json!({"issuer": 7, "settings": {}}), 400, "/issuer"),
        ] {
            let refused = admin.post("/trusted-issuers", &document).send().await.expect(status);
            assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{document}: {refused}");
        }
        assert_eq!(admin.get("/trusted-issuers").send().await.expect(200).json()["items"], json!([]));
        // Whoever names an issuer can be anybody: that takes more than writing clients.
        server.api("keyreeve:clients:write").await.post("/trusted-issuers", &issuer(&key)).send().await.check(403);
    }

    async fn an_initial_access_token_registers_as_often_as_it_says(server: &Server) {
        let admin = server.administrator().await;
        let document = json!({"name": "team", "uses": 1, "lasts_s": 3_600});
        let post = || admin.post("/initial-access-tokens", &document).header("idempotency-key", "k");
        let made = post().send().await.expect(201).json();
        let token = made["token"].as_str().unwrap().to_owned();
        let again = post().send().await.expect(201);
        assert_eq!((&again.json()["id"], &again.json()["token"]), (&made["id"], &Value::Null), "it is shown once");
        let listed = admin.get("/initial-access-tokens").send().await.expect(200);
        assert_eq!(listed.json()["items"][0]["uses_left"], 1);
        assert!(!listed.text().contains(&token));

        server.set_policy(|policy| {
            policy.registration.initial_token = true;
            policy.registration.redirect_hosts = vec!["app.example".to_owned()];
        }).await;
        let metadata = json!({"client_name": "Notebooks", "redirect_uris": ["https://app.example/cb"]}).to_string();
        let register = |token: &str| server.post("/register").body("application/json", metadata.clone()).bearer(token);
        register(&token).send().await.check(201);
        register(&token).send().await.refused(401, "invalid_token");
        let other = admin.post("/initial-access-tokens", &json!({"name": "more"})).send().await.expect(201).json();
        let path = format!("/initial-access-tokens/{}", other["id"].as_str().unwrap());
        admin.delete(&path).send().await.check(204);
        admin.delete(&path).send().await.check(404);
        register(other["token"].as_str().unwrap()).send().await.refused(401, "invalid_token");
        let late = admin.post("/initial-access-tokens", &json!({"name": "late", "lasts_s": 60})).send().await.expect(201).json();
        server.advance(61);
        register(late["token"].as_str().unwrap()).send().await.refused(401, "invalid_token");
    }

    async fn what_is_wrong_with_an_initial_access_token_is_pointed_at(server: &Server) {
        let admin = server.administrator().await;
        for (document, status, pointer) in [
            (json!({"name": ""}), 422, "/name"),
            (json!({"name": 1}), 400, "/name"),
            (json!({"name": "x", "uses": 0}), 422, "/uses"),
            (json!({"name": "x", "uses": -1}), 400, "/uses"),
            (json!({"name": "x", "lasts_s": 0}), 422, "/lasts_s"),
            (json!({"name": "x", "lasts_s": 315_360_001}), 422, "/lasts_s"),
            (json!({"name": "x", "colour": "red"}), 400, "/colour"),
        ] {
            let refused = admin.post("/initial-access-tokens", &document).send().await.expect(status);
            assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{document}: {refused}");
        }
        assert_eq!(admin.get("/initial-access-tokens").send().await.expect(200).json()["items"], json!([]));
    }
}

on_a_server_that_fetches! {
    async fn what_a_client_was_told_of_ended_sessions_is_listed(server: &Server) {
        let admin = server.administrator().await;
        let them = StandIn::start().await;
        let ada = server.user("ada").create().await;
        let uri = them.url("/bye");
        let client = server.client("portal").web_app().first_party().with(|s| s.backchannel_logout_uri = Some(uri)).create().await;
        let path = format!("/clients/{}/logout-deliveries", client.client.id);
        assert_eq!(admin.get(&path).send().await.expect(200).json()["items"], json!([]));
        let end = async |status: u16| {
            let browser = server.browser();
            server.code_flow(&client).tokens(&browser, "ada").await;
            them.answer(status, &[], "");
            browser.sign_out().await;
            let tokens = server.tokens();
            while tokens.spread_logouts().await.unwrap() + tokens.deliver_logouts().await.unwrap() > 0 {}
        };
        end(200).await;
        end(500).await;
        assert_eq!(server.tokens().waiting_logouts().await.unwrap(), 1);
        let log = admin.get(&path).send().await.expect(200).json();
        let of = |at: usize, name: &str| log["items"][at][name].clone();
        assert_eq!((of(0, "state"), of(0, "status"), of(0, "error"), of(0, "attempts")), (json!("waiting"), json!(500), json!("status"), json!(1)));
        assert_eq!((of(1, "state"), of(1, "status"), of(1, "user")), (json!("delivered"), json!(200), json!(ada.sub())));
        assert!(of(0, "next_at").is_string() && of(1, "next_at").is_null() && of(1, "finished_at").is_string());
        let page = admin.get(&format!("{path}?limit=1")).send().await.expect(200).json();
        let next = page["next"].as_str().unwrap();
        let rest = admin.get(&format!("{path}?limit=1&after={next}")).send().await.expect(200).json();
        assert_eq!(rest["items"], json!([log["items"][1]]));
        admin.get(&format!("{path}?after=x")).send().await.check(400);
        let nobody = "/clients/0190f0f0-0000-7000-8000-000000000001/logout-deliveries";
        admin.get(nobody).send().await.check(404);
        let acme = server.tenant("acme").create().await.administrator().await;
        acme.get(&path).send().await.check(404);
        server.api("keyreeve:users:read").await.get(&path).send().await.check(403);
    }
}
