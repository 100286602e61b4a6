//! Dynamic client registration (RFC 7591) and its management (RFC 7592).

use keyreeve_acceptance::{Answer, Mount, Server, TokenSet, VERIFIER, challenge_of, on_a_server};
use keyreeve_identity::Cause;
use keyreeve_tokens::clients::GrantType;
use keyreeve_tokens::registration::NewInitialToken;
use serde_json::{Value, json};
use std::time::Duration;

async fn open(mount: &Mount) {
    mount
        .set_policy(|policy| {
            policy.registration.open = true;
            policy.registration.redirect_hosts = vec!["app.example".to_owned()];
            policy.registration.grant_types.insert(GrantType::ClientCredentials);
            policy.registration.scopes = "openid profile offline_access read".parse().expect("scopes");
        })
        .await;
}

async fn register(mount: &Mount, token: Option<&str>, metadata: &Value) -> Answer {
    let call = mount.post("/register").body("application/json", metadata.to_string());
    let call = match token {
        Some(token) => call.bearer(token),
        None => call,
    };
    call.send().await
}

fn usual() -> Value {
    json!({"client_name": "Notebooks", "redirect_uris": ["https://app.example/cb"]})
}

fn with(changes: &Value) -> Value {
    let mut metadata = usual();
    for (name, value) in changes.as_object().expect("an object") {
        metadata[name] = value.clone();
    }
    metadata
}

fn text<'a>(json: &'a Value, name: &str) -> &'a str {
    json[name].as_str().unwrap_or_else(|| panic!("{name} is missing in {json}"))
}

/// An answer to a registration, with what only it holds.
struct Registered {
    mount: Mount,
    json: Value,
}

impl Registered {
    async fn new(mount: &Mount, metadata: &Value) -> Self {
        let answer = register(mount, None, metadata).await.expect(201);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        Self { mount: mount.clone(), json: answer.json() }
    }

    fn id(&self) -> &str {
        text(&self.json, "client_id")
    }

    fn token(&self) -> &str {
        text(&self.json, "registration_access_token")
    }

    async fn call(&self, method: &str, token: &str, body: Option<&Value>) -> Answer {
        let call = self.mount.call(method, text(&self.json, "registration_client_uri")).bearer(token);
        match body {
            Some(body) => call.body("application/json", body.to_string()).send().await,
            None => call.send().await,
        }
    }

    fn update(&self, changes: &Value) -> Value {
        let mut metadata = with(&json!({"client_id": self.id()}));
        for (name, value) in changes.as_object().expect("an object") {
            metadata[name] = value.clone();
        }
        metadata
    }
}

on_a_server! {
    async fn a_client_registers_and_signs_a_user_in(server: &Server) {
        let acme = server.tenant("acme").create().await;
        for mount in [&**server, &acme] {
            mount.user("ada").create().await;
            open(mount).await;
            let asked = with(&json!({"grant_types": ["authorization_code", "refresh_token"],
                "scope": "openid profile unheard-of keyreeve:admin", "logo_uri": "javascript:alert(1)",
                "contacts": ["x@app.example"], "client_uri": "https://app.example/"}));
            let client = Registered::new(mount, &asked).await;
            let json = &client.json;
            assert_eq!((text(json, "client_name"), text(json, "scope")), ("Notebooks", "openid profile"));
            assert_eq!(json["response_types"], json!(["code"]));
            assert_eq!(text(json, "token_endpoint_auth_method"), "client_secret_basic");
            assert_eq!(json["client_secret_expires_at"], 0);
            assert!(json.get("logo_uri").is_none() && json.get("contacts").is_none(), "what is not kept is not told");
            let uri = format!("{}/register/{}", mount.issuer(), client.id());
            assert_eq!(text(json, "registration_client_uri"), uri);
            let stored = mount.tokens().clients().by_client_id(mount.id(), client.id()).await.unwrap().unwrap();
            assert!(!stored.settings.first_party && stored.settings.require_pkce);
            // It asks for consent, and demands PKCE.
            let browser = mount.browser();
            let query = [("client_id", client.id()), ("redirect_uri", "https://app.example/cb"), ("response_type", "code"),
                ("scope", "openid profile"), ("state", "s"), ("code_challenge_method", "S256")];
            let bare = browser.get("/authorize").query(&query).send().await;
            assert!(bare.location().contains("error=invalid_request"), "{bare}");
            let challenge = challenge_of(VERIFIER);
            let answer = browser.get("/authorize").query(&query).query(&[("code_challenge", challenge.as_str())]).send().await;
            let callback = browser.walk(answer, "ada").await;
            assert_eq!(callback.pages, ["sign_in", "consent"]);
            let form = [("grant_type", "authorization_code"), ("code", callback.code()),
                ("redirect_uri", "https://app.example/cb"), ("code_verifier", VERIFIER)];
            let call = mount.post("/token").basic(client.id(), text(json, "client_secret")).form(&form);
            let tokens = TokenSet::read(&call.send().await);
            assert_eq!(tokens.id_token(mount).await.claims["aud"], client.id());
            assert_eq!(mount.audited("client.register").await.len(), 1);
        }
    }

    async fn closed_open_or_by_token_as_the_tenant_says(server: &Server) {
        register(server, None, &usual()).await.refused(403, "access_denied");
        let metadata = async || server.get("/.well-known/openid-configuration").send().await.expect(200).json();
        assert!(metadata().await.get("registration_endpoint").is_none());
        let make = async |uses, lasts_s: Option<u64>| {
            let new = NewInitialToken { name: "team".to_owned(), uses, lasts: lasts_s.map(Duration::from_secs) };
            let made = server.tokens().initial_tokens().create(server.id(), new, &Cause::operator()).await;
            let (info, token) = made.expect("a token");
            (info, token.expose().to_owned())
        };
        let (_, once) = make(Some(1), None).await;
        let (info, many) = make(None, Some(60)).await;
        register(server, Some(&once), &usual()).await.refused(403, "access_denied");
        server
            .set_policy(|policy| {
                policy.registration.initial_token = true;
                policy.registration.redirect_hosts = vec!["app.example".to_owned()];
            })
            .await;
        assert_eq!(metadata().await["registration_endpoint"], format!("{}/register", server.issuer()));
        for wrong in [None, Some("kr_it_wrong"), Some(""), Some(&*"x".repeat(500))] {
            let refused = register(server, wrong, &usual()).await;
            refused.refused(401, "invalid_token");
            assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer "), "{refused}");
        }
        // What is refused for another reason uses nothing up.
        register(server, Some(&once), &json!({"redirect_uris": ["https://evil.example/"]})).await.refused(400, "invalid_redirect_uri");
        register(server, Some(&once), &usual()).await.check(201);
        register(server, Some(&once), &usual()).await.refused(401, "invalid_token");
        register(server, Some(&many), &usual()).await.check(201);
        register(server, Some(&many), &usual()).await.check(201);
        server.advance(60);
        register(server, Some(&many), &usual()).await.refused(401, "invalid_token");
        let (gone, token) = make(None, None).await;
        let listed = server.tokens().initial_tokens().list(server.id()).await.expect("a list");
        assert!(listed.iter().any(|one| one.id == gone.id) && !listed.iter().any(|one| one.id == info.id));
        server.tokens().initial_tokens().revoke(server.id(), gone.id, &Cause::operator()).await.expect("removed");
        register(server, Some(&token), &usual()).await.refused(401, "invalid_token");
        let acme = server.tenant("acme").create().await;
        open(&acme).await;
        acme.set_policy(|policy| {
            policy.registration.open = false;
            policy.registration.initial_token = true;
        })
        .await;
        let (_, ours) = make(None, None).await;
        register(&acme, Some(&ours), &usual()).await.refused(401, "invalid_token");
    }

    async fn rfc7591_section_3_2_2_errors(server: &Server) {
        open(server).await;
        for (code, changes) in [
            ("invalid_redirect_uri", json!({"redirect_uris": ["not a uri"]})),
            ("invalid_redirect_uri", json!({"redirect_uris": []})),
            ("invalid_redirect_uri", json!({"redirect_uris": null})),
            ("invalid_redirect_uri", json!({"redirect_uris": ["https://app.example/cb#f"]})),
            ("invalid_client_metadata", json!({"redirect_uris": "https://app.example/cb"})),
            ("invalid_client_metadata", json!({"token_endpoint_auth_method": "client_secret_jwt"})),
            ("invalid_client_metadata", json!({"token_endpoint_auth_method": "private_key_jwt"})),
            ("invalid_client_metadata", json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "oct", "k": "AA"}]}})),
            ("invalid_client_metadata", json!({"jwks_uri": "http://169.254.169.254/keys"})),
            ("invalid_client_metadata", json!({"grant_types": ["implicit"]})),
            ("invalid_client_metadata", json!({"grant_types": ["password"]})),
            ("invalid_client_metadata", json!({"grant_types": ["urn:ietf:params:oauth:grant-type:token-exchange"]})),
            ("invalid_client_metadata", json!({"grant_types": ["refresh_token"]})),
            ("invalid_client_metadata", json!({"response_types": ["token"]})),
            ("invalid_client_metadata", json!({"grant_types": ["client_credentials"], "token_endpoint_auth_method": "none"})),
            ("invalid_client_metadata", json!({"scope": "keyreeve:admin"})),
            ("invalid_client_metadata", json!({"scope": "a\"b"})),
            ("invalid_client_metadata", json!({"client_name": "a\u{202e}b"})),
            ("invalid_client_metadata", json!({"client_name": ""})),
            ("invalid_client_metadata", json!({"client_name": 5})),
            ("invalid_client_metadata", json!({"client_uri": "javascript:alert(1)"})),
            ("invalid_client_metadata", json!({"backchannel_logout_uri": "file:///etc/passwd"})),
            ("invalid_client_metadata", json!({"id_token_signed_response_alg": "none"})),
            ("invalid_client_metadata", json!({"subject_type": "pairwise"})),
            ("invalid_client_metadata", json!({"application_type": "toaster"})),
            ("unapproved_software_statement", json!({"software_statement": "eyJ"})),
        ] {
            let answer = register(server, None, &with(&changes)).await;
            assert!(answer.status == 400, "{changes}\n{answer}");
            answer.refused(400, code);
        }
        for body in ["", "[]", "{", "null", r#"{"client_name":"a","client_name":"b"}"#] {
            let answer = server.post("/register").body("application/json", body.to_owned()).send().await;
            answer.refused(400, "invalid_client_metadata");
        }
        let form = server.post("/register").form(&[("client_name", "x")]).send().await;
        form.refused(400, "invalid_client_metadata");
        let huge = server.post("/register").body("application/json", vec![b' '; 70_000]).send().await;
        huge.refused(400, "invalid_client_metadata");
        assert!(server.audited("client.register").await.is_empty());
    }

    async fn ac_01_ac_02_ac_04_ac_07_only_addresses_of_the_listed_hosts_are_registered(server: &Server) {
        open(server).await;
        for uri in ["https://app.example.evil.tld/", "https://evil.example/app.example", "https://xapp.example/cb",
            "https://app.example@evil.example/", "javascript:alert(1)//app.example", "data:text/html,app.example",
            "https://app.example\\@evil.example/", "https://APP.example/cb", "https://app.example./cb", "http://app.example/cb",
            "com.example.app:/cb", "http://127.0.0.1/cb", "https://app.example/a/../b"] {
            let answer = register(server, None, &with(&json!({"redirect_uris": [uri]}))).await;
            assert!(answer.status == 400, "{uri}\n{answer}");
            answer.refused(400, "invalid_redirect_uri");
            let after = with(&json!({"post_logout_redirect_uris": [uri]}));
            register(server, None, &after).await.refused(400, "invalid_redirect_uri");
        }
        server.set_policy(|policy| policy.registration.redirect_hosts.clear()).await;
        register(server, None, &usual()).await.refused(400, "invalid_redirect_uri");
    }

    async fn rfc7592_a_client_reads_changes_and_removes_itself(server: &Server) {
        open(server).await;
        let client = Registered::new(server, &usual()).await;
        let first = client.token().to_owned();
        let read = client.call("GET", &first, None).await.expect(200).json();
        assert!(read.get("client_secret").is_none() && read.get("registration_access_token").is_none(), "{read}");
        assert_eq!(text(&read, "client_name"), "Notebooks");

        let changed = client.update(&json!({"client_name": "Pads", "token_endpoint_auth_method": "none"}));
        let answer = client.call("PUT", &first, Some(&changed)).await.expect(200).json();
        assert_eq!(text(&answer, "client_name"), "Pads");
        assert!(answer.get("client_secret").is_none());
        let second = text(&answer, "registration_access_token").to_owned();
        // Replaced at each update: the old one is worth nothing.
        assert_ne!(first, second);
        for (method, body) in [("GET", None), ("PUT", Some(&changed)), ("DELETE", None)] {
            client.call(method, &first, body).await.refused(401, "invalid_token");
        }
        // The old secret died with the method, and a new one comes with the way back.
        let back = client.update(&json!({"token_endpoint_auth_method": "client_secret_post"}));
        let answer = client.call("PUT", &second, Some(&back)).await.expect(200).json();
        let secret = text(&answer, "client_secret").to_owned();
        assert_ne!(secret, text(&client.json, "client_secret"));
        let third = text(&answer, "registration_access_token").to_owned();
        for (secret, status) in [(text(&client.json, "client_secret"), 401), (&*secret, 400)] {
            let form = [("grant_type", "refresh_token"), ("refresh_token", "x"), ("client_id", client.id()), ("client_secret", secret)];
            server.post("/token").form(&form).send().await.check(status);
        }
        for wrong in [
            usual(),
            client.update(&json!({"client_id": "portal"})),
            client.update(&json!({"registration_access_token": third})),
            client.update(&json!({"client_secret_expires_at": 0})),
            client.update(&json!({"scope": "keyreeve:admin"})),
        ] {
            client.call("PUT", &third, Some(&wrong)).await.refused(400, "invalid_client_metadata");
        }
        client.call("GET", &third, None).await.check(200);
        client.call("DELETE", &third, None).await.check(204);
        client.call("GET", &third, None).await.refused(401, "invalid_token");
        let form = [("grant_type", "refresh_token"), ("refresh_token", "x"), ("client_id", client.id()), ("client_secret", &*secret)];
        server.post("/token").form(&form).send().await.refused(401, "invalid_client");
    }

    async fn ac_52_nobody_manages_what_another_has_registered(server: &Server) {
        let acme = server.tenant("acme").create().await;
        open(server).await;
        open(&acme).await;
        let (mine, yours) = (Registered::new(server, &usual()).await, Registered::new(server, &usual()).await);
        let theirs = Registered::new(&acme, &usual()).await;
        let portal = server.client("portal").web_app().create().await;
        for token in [yours.token(), theirs.token(), text(&mine.json, "client_secret"), portal.secret(), "x"] {
            mine.call("GET", token, None).await.refused(401, "invalid_token");
            mine.call("PUT", token, Some(&mine.update(&json!({})))).await.refused(401, "invalid_token");
            mine.call("DELETE", token, None).await.refused(401, "invalid_token");
        }
        // One that an operator registered has no such token at all.
        server.get("/register/portal").bearer(mine.token()).send().await.refused(401, "invalid_token");
        server.get("/register/nobody").bearer(mine.token()).send().await.refused(401, "invalid_token");
        // One that an operator has switched off does nothing more.
        let client = server.tokens().clients().by_client_id(server.id(), mine.id()).await.unwrap().unwrap();
        let settings = keyreeve_tokens::ClientSettings { enabled: false, ..client.settings.clone() };
        server.tokens().clients().update(&client, settings, &Cause::operator()).await.expect("a change");
        mine.call("GET", mine.token(), None).await.refused(401, "invalid_token");
        yours.call("GET", yours.token(), None).await.check(200);
    }

    async fn what_an_operator_has_set_stays(server: &Server) {
        open(server).await;
        let mine = Registered::new(server, &usual()).await;
        let client = server.tokens().clients().by_client_id(server.id(), mine.id()).await.unwrap().unwrap();
        let audiences = vec!["https://api.example".to_owned()];
        let settings = keyreeve_tokens::ClientSettings { audiences: audiences.clone(), ..client.settings.clone() };
        server.tokens().clients().update(&client, settings, &Cause::operator()).await.expect("a change");
        mine.call("PUT", mine.token(), Some(&mine.update(&json!({"client_name": "Pads"})))).await.check(200);
        let client = server.tokens().clients().by_client_id(server.id(), mine.id()).await.unwrap().unwrap();
        assert_eq!((client.settings.name.as_str(), &client.settings.audiences), ("Pads", &audiences));
    }

    async fn registrations_are_bounded(server: &Server) {
        open(server).await;
        server.set_policy(|policy| policy.registration.max_clients = 2).await;
        Registered::new(server, &usual()).await;
        let last = Registered::new(server, &usual()).await;
        register(server, None, &usual()).await.refused(403, "access_denied");
        last.call("DELETE", last.token(), None).await.check(204);
        Registered::new(server, &usual()).await;
        server.set_policy(|policy| policy.registration.max_clients = 1_000).await;
        server.set_settings(|settings| settings.throttle.address_failures = 5).await;
        let mut last = 201;
        for _ in 0..6 {
            last = register(server, None, &usual()).await.status.as_u16();
        }
        assert_eq!(last, 429, "nobody registers without end from one address");
    }

    async fn ac_17_of_many_updates_with_one_token_one_wins(server: &Server) {
        open(server).await;
        let client = Registered::new(server, &usual()).await;
        let body = client.update(&json!({"client_name": "Pads"}));
        let update = || client.call("PUT", client.token(), Some(&body));
        let (a, b, c) = tokio::join!(update(), update(), update());
        let statuses = [a, b, c].map(|answer| answer.status.as_u16());
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 401)), "{statuses:?}");
    }
}
