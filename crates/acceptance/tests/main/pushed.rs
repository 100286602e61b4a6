//! Authorization requests that are pushed (RFC 9126), signed (RFC 9101) and for certain resources (RFC 8707), over HTTP.

use keyreeve_acceptance::{Answer, Auth, CodeFlow, Mount, Server, TestClient, TokenSet, on_a_server};
use keyreeve_crypto::sign::Algorithm;
use keyreeve_tokens::clients::GrantType;
use serde_json::{Value, json};

const API: &str = "https://api.example/";
const FILES: &str = "https://files.example/";

pub async fn portal(mount: &Mount) -> TestClient {
    mount.user("ada").create().await;
    mount.client("portal").web_app().first_party().create().await
}

pub async fn push(flow: &CodeFlow, mount: &Mount) -> Answer {
    let client = flow.client();
    // Those that authenticate by their name alone, or by secret in the form, add it themselves.
    let adds = matches!(client.auth, Auth::None | Auth::Post(_));
    let pairs: Vec<_> = flow.pairs().into_iter().filter(|(name, _)| !adds || *name != "client_id").collect();
    mount.post_as(client, "/par", &pairs).send().await
}

/// The reference of a request that was accepted.
pub fn reference(answer: &Answer) -> String {
    answer.check(201);
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer}");
    let json = answer.json();
    assert!((5..=600).contains(&json["expires_in"].as_i64().unwrap()), "{answer}");
    json["request_uri"].as_str().unwrap().to_owned()
}

fn by_reference(client: &TestClient, uri: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("client_id", client.client_id.as_str()), ("request_uri", uri)])
        .finish();
    format!("/authorize?{query}")
}

/// A request signed by its client, as its parameters say.
pub fn signed(flow: &CodeFlow, mount: &Mount, changes: &Value) -> String {
    let client = flow.client();
    let mut claims: serde_json::Map<String, Value> =
        flow.pairs().into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    let now = mount.now().seconds();
    let own = json!({"iss": client.client_id, "aud": mount.issuer(), "exp": now + 60, "nbf": now});
    for more in [&own, changes] {
        claims.extend(more.as_object().unwrap().clone());
    }
    client.sign(&Value::Object(claims))
}

on_a_server! {
    async fn rfc9126_2_a_request_is_pushed_and_answered(server: &Server) {
        for mount in [(**server).clone(), server.tenant("acme").create().await] {
            let client = portal(&mount).await;
            let flow = mount.code_flow(&client).with("state", "pushed");
            let uri = reference(&push(&flow, &mount).await);
            let browser = mount.browser();
            let answer = browser.get(&by_reference(&client, &uri)).send().await;
            let callback = browser.walk(answer, "ada").await;
            assert_eq!(callback.get("state"), Some("pushed"));
            TokenSet::read(&flow.redeem(callback.code()).await);
            let again = browser.get(&by_reference(&client, &uri)).send().await;
            assert!(again.expect(400).text().contains("invalid_request_uri"));
        }
    }

    /// Each method of authentication works at this endpoint as at the others, and none of them can be left out.
    async fn rfc9126_2_1_the_client_authenticates(server: &Server) {
        server.user("ada").create().await;
        let clients = [
            server.client("basic").web_app().confidential(),
            server.client("post").web_app().secret_post(),
            server.client("key").web_app().private_key(Algorithm::Es256),
            server.client("public").web_app().public(),
        ];
        for client in clients {
            let client = client.create().await;
            reference(&push(&server.code_flow(&client), server).await);
        }
        let client = server.client("portal").web_app().create().await;
        let flow = server.code_flow(&client);
        server.post("/par").form(&flow.pairs()).send().await.refused(401, "invalid_client");
        server.post("/par").basic("portal", "wrong").form(&flow.pairs()).send().await.refused(401, "invalid_client");
        server.post("/par").send().await.refused(401, "invalid_client");
        server.get("/par").send().await.check(405);
        // An assertion may name this very endpoint as its audience.
        let keyed = server.client("keyed").web_app().private_key(Algorithm::EdDsa).create().await;
        let mut claims = keyed.assertion_claims(server);
        claims["aud"] = json!(format!("{}/par", server.issuer()));
        let assertion = keyed.sign(&claims);
        let flow = server.code_flow(&keyed);
        let mut form = flow.pairs();
        form.extend([("client_assertion_type", keyreeve_acceptance::build::ASSERTION_TYPE), ("client_assertion", &assertion)]);
        reference(&server.post("/par").form(&form).send().await);
    }

    async fn rfc9126_2_3_mistakes_are_answered_to_the_client(server: &Server) {
        let client = portal(server).await;
        let flow = || server.code_flow(&client);
        for (changed, code) in [
            (flow().with("redirect_uri", "https://evil.example/"), "invalid_request"),
            (flow().without("redirect_uri"), "invalid_request"),
            (flow().without("response_type"), "invalid_request"),
            (flow().with("response_type", "token"), "unsupported_response_type"),
            (flow().with("scope", "keyreeve:admin"), "invalid_scope"),
            (flow().with("prompt", "none login"), "invalid_request"),
            (flow().with("request_uri", "urn:ietf:params:oauth:request_uri:x"), "invalid_request"),
            (flow().with("request", "x"), "request_not_supported"),
            (flow().with("resource", "https://unknown.example"), "invalid_target"),
            (flow().with("client_id", "other"), "invalid_request"),
        ] {
            push(&changed, server).await.refused(400, code);
        }
        let text = format!("{}&state=1&state=2", keyreeve_acceptance::call::encode(&flow().pairs()));
        let twice = server.post("/par").basic("portal", client.secret()).body("application/x-www-form-urlencoded", text);
        twice.send().await.refused(400, "invalid_request");
    }

    async fn rfc9126_6_a_client_that_must_push_is_held_to_it(server: &Server) {
        let client = portal(server).await;
        client.set(|s| s.require_pushed_authorization_requests = true).await;
        let flow = server.code_flow(&client);
        assert_eq!(flow.refusal(&server.browser()).await.error(), "invalid_request");
        let uri = reference(&push(&flow, server).await);
        let browser = server.browser();
        let answer = browser.get(&by_reference(&client, &uri)).send().await;
        assert!(!browser.walk(answer, "ada").await.code().is_empty());
    }

    async fn rfc9101_5_a_signed_request_is_what_counts(server: &Server) {
        server.user("ada").create().await;
        for alg in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256] {
            let name = format!("signer-{}", alg.as_str().to_lowercase());
            let client = server.client(&name).web_app().first_party().private_key(alg).create().await;
            let flow = server.code_flow(&client);
            let object = signed(&flow, server, &json!({"state": "inside", "scope": "openid"}));
            let callback = flow.clone().with("request", &object).walk(&server.browser(), "ada").await;
            assert_eq!(callback.get("state"), Some("inside"), "{alg:?}");
            let tokens = TokenSet::read(&flow.redeem(callback.code()).await);
            assert_eq!(tokens.json["scope"], "openid");
        }
    }

    async fn rfc9101_6_and_7_a_bad_object_is_refused(server: &Server) {
        server.user("ada").create().await;
        let client = server.client("signer").web_app().first_party().private_key(Algorithm::Es256).create().await;
        let flow = server.code_flow(&client);
        for changes in [
            json!({"aud": "https://other.example"}),
            json!({"iss": "other"}),
            json!({"client_id": "other"}),
            json!({"exp": null}),
            json!({"exp": 1}),
            json!({"request": "x"}),
            json!({"request_uri": "https://evil.example"}),
            json!({"sub": "signer"}),
        ] {
            let object = signed(&flow, server, &changes);
            let refused = flow.clone().with("request", &object).refusal(&server.browser()).await;
            assert_eq!(refused.error(), "invalid_request_object", "{changes}");
            push(&flow.clone().with("request", &object), server).await.refused(400, "invalid_request_object");
        }
        client.set(|s| s.require_signed_request_object = true).await;
        assert_eq!(flow.refusal(&server.browser()).await.error(), "invalid_request");
        push(&flow, server).await.refused(400, "invalid_request");
    }

    async fn rfc8707_2_resources_go_all_the_way(server: &Server) {
        let client = portal(server).await;
        server.client("api").service().with(|s| s.resources = vec![API.into(), FILES.into()]).create().await;
        let flow = server.code_flow(&client);
        let browser = server.browser();
        let path = format!("{}&resource={API}&resource={FILES}", flow.path());
        let answer = browser.get(&path).send().await;
        let callback = browser.walk(answer, "ada").await;
        let both = TokenSet::read(&flow.redeem(callback.code()).await);
        assert_eq!(both.access_token(server).await.claims["aud"], json!([API, FILES]));
        server.userinfo(&both.access).await.check(401);
        let refresh = async |token: &str, more: &[(&str, &str)]| {
            let form: Vec<_> = [("grant_type", "refresh_token"), ("refresh_token", token)].into_iter()
                .chain(more.iter().copied()).collect();
            server.token(&client, &form).await
        };
        let one = TokenSet::read(&refresh(both.refresh(), &[("resource", FILES)]).await);
        assert_eq!(one.access_token(server).await.claims["aud"], FILES);
        let both = TokenSet::read(&refresh(one.refresh(), &[("resource", API), ("resource", FILES)]).await);
        assert_eq!(both.access_token(server).await.claims["aud"], json!([API, FILES]));
        refresh(both.refresh(), &[("resource", &server.issuer())]).await.refused(400, "invalid_target");
        refresh(both.refresh(), &[("resource", "api")]).await.refused(400, "invalid_target");
        // At the endpoint for pushed requests, too.
        let text = format!("{}&resource={API}&resource={FILES}", keyreeve_acceptance::call::encode(&flow.pairs()));
        let pushed = server.post("/par").basic("portal", client.secret()).body("application/x-www-form-urlencoded", text);
        let uri = reference(&pushed.send().await);
        let answer = browser.get(&by_reference(&client, &uri)).send().await;
        let callback = browser.walk(answer, "ada").await;
        let tokens = TokenSet::read(&flow.redeem(callback.code()).await);
        assert_eq!(tokens.access_token(server).await.claims["aud"], json!([API, FILES]));
    }

    async fn rfc8707_2_programs_name_resources(server: &Server) {
        server.client("api").service().with(|s| s.resources = vec![API.into()]).create().await;
        let robot = server.client("robot").service().create().await;
        let form = [("grant_type", "client_credentials"), ("resource", API)];
        let tokens = TokenSet::read(&server.token(&robot, &form).await);
        assert_eq!(tokens.access_token(server).await.claims["aud"], API);
        let form = [("grant_type", "client_credentials"), ("resource", FILES)];
        server.token(&robot, &form).await.refused(400, "invalid_target");
    }

    /// What a reference can have wrong is said on a page: whose request it is, nobody knows.
    async fn rfc9126_4_and_rfc9101_7_a_bad_reference_leads_nowhere(server: &Server) {
        let client = portal(server).await;
        let other = server.client("other").web_app().first_party().create().await;
        let (flow, browser) = (server.code_flow(&client), server.browser());
        let bring = async |client: &TestClient, uri: &str| browser.get(&by_reference(client, uri)).send().await;
        let uri = reference(&push(&flow, server).await);
        let changed = format!("{}{}", &uri[..uri.len() - 1], if uri.ends_with('A') { 'Q' } else { 'A' });
        let never_made = "urn:ietf:params:oauth:request_uri:AAAA";
        for (who, uri) in [(&other, uri.as_str()), (&client, &changed), (&client, never_made), (&client, &uri[..40])] {
            let answer = bring(who, uri).await.expect(400);
            assert!(answer.is_page() && answer.text().contains("invalid_request_uri"), "{uri}\n{answer}");
        }
        // None of them has used it up, and it is not good for long.
        assert!(!browser.walk(bring(&client, &uri).await, "ada").await.code().is_empty());
        let late = reference(&push(&flow, server).await);
        server.advance(61);
        assert!(bring(&client, &late).await.expect(400).text().contains("invalid_request_uri"));
        // Nothing is fetched from elsewhere, and a request comes in one way.
        let of = |name: &str, value: &str| flow.clone().with(name, value);
        let foreign = of("request_uri", "https://portal.example/request.jwt").refusal(&browser).await;
        assert_eq!(foreign.error(), "request_uri_not_supported");
        let both = of("request_uri", never_made).with("request", "x").refusal(&browser).await;
        assert_eq!(both.error(), "invalid_request");
    }

    async fn rfc9126_2_3_further_errors_of_the_endpoint(server: &Server) {
        let robot = server.client("robot").service().create().await;
        let client = portal(server).await;
        let flow = server.code_flow(&client);
        let form = [("response_type", "code"), ("redirect_uri", "https://robot.example/cb"), ("scope", "read")];
        server.post_as(&robot, "/par", &form).send().await.refused(400, "invalid_request");
        let codes = [GrantType::AuthorizationCode, GrantType::RefreshToken];
        client.set(|settings| settings.grant_types = [GrantType::DeviceCode].into()).await;
        push(&flow, server).await.refused(400, "unauthorized_client");
        client.set(|settings| settings.grant_types = codes.into()).await;
        let long = flow.clone().with("state", &"x".repeat(70_000));
        push(&long, server).await.refused(400, "invalid_request");
        let json = server.post("/par").basic("portal", client.secret()).body("application/json", "{}");
        json.send().await.refused(400, "invalid_request");
        client.set(|settings| settings.enabled = false).await;
        push(&flow, server).await.refused(401, "invalid_client");
    }

    async fn rfc9101_6_what_is_not_signed_is_no_object(server: &Server) {
        server.user("ada").create().await;
        let client = server.client("signer").web_app().first_party().private_key(Algorithm::Es256).create().await;
        let flow = server.code_flow(&client);
        let good = signed(&flow, server, &json!({}));
        let (header, rest) = good.split_once('.').unwrap();
        let payload = rest.split('.').next().unwrap();
        for bad in [
            // {"alg":"none"}
            format!("eyJhbGciOiJub25lIn0.{payload}."),
            format!("eyJhbGciOiJub25lIn0.{payload}.AAAA"),
            format!("{header}.{payload}."),
            format!("{header}.{payload}"),
            format!("{header}.{payload}.AAAA"),
            format!("{header}.{payload}.AAAA.AAAA.AAAA"),
            "x".to_owned(),
        ] {
            let refused = flow.clone().with("request", &bad).refusal(&server.browser()).await;
            assert_eq!(refused.error(), "invalid_request_object", "{bad}");
            push(&flow.clone().with("request", &bad), server).await.refused(400, "invalid_request_object");
        }
        // The algorithm that is registered is the only one.
        client.set(|settings| settings.request_object_signing_alg = Some(Algorithm::Rs256)).await;
        let other = flow.clone().with("request", &signed(&flow, server, &json!({}))).refusal(&server.browser()).await;
        assert_eq!(other.error(), "invalid_request_object");
    }

    async fn rfc8707_2_a_target_that_is_none_is_refused(server: &Server) {
        let client = portal(server).await;
        server.client("api").service().with(|s| s.resources = vec![API.into()]).create().await;
        let flow = server.code_flow(&client);
        for bad in ["https://unknown.example/", "https://api.example", "api", "//api.example/", "https://api.example/#x"] {
            let refused = flow.clone().with("resource", bad).refusal(&server.browser()).await;
            assert_eq!((refused.error(), refused.get("state")), ("invalid_target", Some("af0ifjsldkj")), "{bad}");
        }
        let many: Vec<String> = (0..9).map(|n| format!("resource=https%3A%2F%2Fapi.example%2F%3F{n}")).collect();
        let answer = server.browser().get(&format!("{}&{}", flow.path(), many.join("&"))).send().await;
        assert!(answer.location().contains("error=invalid_target"), "{answer}");
        // A client with audiences of its own names these, and this server.
        client.set(|settings| settings.audiences = vec!["https://own.example/".to_owned()]).await;
        assert_eq!(flow.clone().with("resource", API).refusal(&server.browser()).await.error(), "invalid_target");
        for good in ["https://own.example/", &server.issuer()] {
            let tokens = flow.clone().with("resource", good).tokens(&server.browser(), "ada").await;
            assert_eq!(tokens.access_token(server).await.claims["aud"], good);
        }
    }
}
