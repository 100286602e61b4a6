//! The token endpoint: how clients authenticate, each error by its name (RFC 6749 section 5.2), each grant.

use keyreeve_acceptance::build::ASSERTION_TYPE;
use keyreeve_acceptance::jwt::decode;
use keyreeve_acceptance::{Server, TestClient, TokenSet, on_a_server};
use keyreeve_crypto::sign::Algorithm;
use keyreeve_identity::StateChange;
use keyreeve_tokens::clients::GrantType;
use serde_json::json;

async fn portal(server: &Server) -> TestClient {
    server.user("ada").create().await;
    server.client("portal").web_app().create().await
}

const CREDENTIALS: [(&str, &str); 1] = [("grant_type", "client_credentials")];

on_a_server! {
    async fn rfc6749_5_2_invalid_request(server: &Server) {
        let client = portal(server).await;
        for form in [
            &[][..],
            &[("grant_type", "")],
            &[("grant_type", "authorization_code")],
            &[("grant_type", "refresh_token")],
            &[("grant_type", "refresh_token"), ("refresh_token", "")],
            &[("grant_type", "client_credentials"), ("grant_type", "client_credentials")],
            &[("grant_type", "authorization_code"), ("code", "a"), ("code", "b")],
            &[("grant_type", "client_credentials"), ("client_id", "somebody-else")],
            &[("grant_type", "client_credentials"), ("client_secret", "x"), ("client_id", "portal")],
            &[("grant_type", "client_credentials"), ("client_assertion", "x")],
        ] {
            server.token(&client, form).await.refused(400, "invalid_request");
        }
        let basic = || server.post("/token").basic("portal", client.secret());
        basic().body("application/json", r#"{"grant_type":"client_credentials"}"#).send().await
            .refused(400, "invalid_request");
        basic().body("application/x-www-form-urlencoded", "grant_type=%zz").send().await
            .refused(400, "invalid_request");
        basic().body("application/x-www-form-urlencoded", b"grant_type=\xff".to_vec()).send().await
            .refused(400, "invalid_request");
        // What stands in the query is not looked at (RFC 6749 section 2.3.1 keeps secrets out of URLs).
        basic().query(&CREDENTIALS).send().await.refused(400, "invalid_request");
        let secret = [("client_id", "portal"), ("client_secret", client.secret())];
        server.post("/token").query(&secret).form(&CREDENTIALS).send().await.refused(401, "invalid_client");
    }

    async fn rfc6749_5_2_invalid_client(server: &Server) {
        let client = portal(server).await;
        let poster = server.client("poster").web_app().secret_post().create().await;
        let public = server.client("spa").web_app().public().create().await;
        let challenged = |answer: &keyreeve_acceptance::Answer| {
            answer.refused(401, "invalid_client");
            answer.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Basic "))
        };
        // The challenge is for those who used the header (RFC 6749 section 5.2).
        for (id, secret) in [("portal", "wrong"), ("nobody", "x"), ("poster", poster.secret()), ("spa", "x")] {
            let answer = server.post("/token").basic(id, secret).form(&CREDENTIALS).send().await;
            assert!(challenged(&answer), "{answer}");
        }
        for header in ["Basic", "Basic !!!", "Basic YQ==", "Bearer abc", "Digest x"] {
            let answer = server.post("/token").header("authorization", header).form(&CREDENTIALS).send().await;
            assert!(challenged(&answer), "{answer}");
        }
        for form in [
            &[("client_id", "portal"), ("client_secret", client.secret())][..],
            &[("client_id", "poster"), ("client_secret", "wrong")],
            &[("client_id", "poster")],
            &[("client_id", "portal")],
            &[("client_id", "spa"), ("client_secret", "x")],
            &[],
        ] {
            let form: Vec<_> = form.iter().chain(&CREDENTIALS).copied().collect();
            let answer = server.post("/token").form(&form).send().await;
            assert!(!challenged(&answer), "{answer}");
        }
        let reasons = server.refusals("admission.client").await;
        for reason in ["wrong_secret", "unknown_client", "other_method_registered"] {
            assert!(reasons.iter().any(|known| known == reason), "{reason} in {reasons:?}");
        }
        client.set(|settings| settings.enabled = false).await;
        server.token(&client, &CREDENTIALS).await.refused(401, "invalid_client");
        drop(public);
    }

    async fn rfc6749_5_2_invalid_grant(server: &Server) {
        let client = portal(server).await;
        let other = server.client("other").web_app().create().await;
        let browser = server.browser();
        let flow = server.code_flow(&client);
        flow.redeem("kr_ac_unknown").await.refused(400, "invalid_grant");
        flow.redeem(&"x".repeat(5_000)).await.refused(400, "invalid_grant");
        // A code is good for thirty seconds.
        let code = flow.walk(&browser, "ada").await.code().to_owned();
        server.advance(30);
        flow.redeem(&code).await.refused(400, "invalid_grant");
        // For the client that it was given to.
        let code = flow.walk(&browser, "ada").await.code().to_owned();
        server.token(&other, &flow.redemption(&code)).await.refused(400, "invalid_grant");
        flow.redeem(&code).await.refused(400, "invalid_grant");
        // With the redirect URI and the verifier of its request.
        for (name, value) in [
            ("redirect_uri", ""),
            ("redirect_uri", "https://other.example/cb"),
            ("code_verifier", ""),
            ("code_verifier", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ] {
            let code = flow.walk(&browser, "ada").await.code().to_owned();
            let mut form = flow.redemption(&code);
            form.iter_mut().filter(|(known, _)| *known == name).for_each(|pair| pair.1 = value);
            server.token(&client, &form).await.refused(400, "invalid_grant");
        }
        let without = server.code_flow(&client).without_pkce();
        let code = without.walk(&browser, "ada").await.code().to_owned();
        flow.redeem(&code).await.refused(400, "invalid_grant");
        server.try_refresh(&client, "kr_rt_unknown").await.refused(400, "invalid_grant");
        let reasons = server.refusals("admission.code").await;
        for reason in ["unknown_code", "code_expired", "code_of_another_client", "other_redirect_uri",
            "verifier_missing", "verifier_wrong", "verifier_without_challenge"] {
            assert!(reasons.iter().any(|known| known == reason), "{reason} in {reasons:?}");
        }
    }

    async fn rfc6749_5_2_unauthorized_client(server: &Server) {
        let client = portal(server).await;
        let robot = server.client("robot").service().create().await;
        server.token(&client, &CREDENTIALS).await.refused(400, "unauthorized_client");
        server.try_refresh(&robot, "x").await.refused(400, "unauthorized_client");
        let code = [("grant_type", "authorization_code"), ("code", "x")];
        server.token(&robot, &code).await.refused(400, "unauthorized_client");
        server.set_policy(|policy| policy.password_grant = true).await;
        let password = [("grant_type", "password"), ("username", "ada"), ("password", "x")];
        server.token(&client, &password).await.refused(400, "unauthorized_client");
    }

    async fn rfc6749_5_2_unsupported_grant_type(server: &Server) {
        let client = portal(server).await;
        for grant in ["implicit", "urn:ietf:params:oauth:grant-type:saml2-bearer", "AUTHORIZATION_CODE", "password"] {
            let form = [("grant_type", grant), ("username", "ada"), ("password", "x")];
            server.token(&client, &form).await.refused(400, "unsupported_grant_type");
        }
    }

    async fn rfc6749_5_2_invalid_scope(server: &Server) {
        let client = portal(server).await;
        let robot = server.client("robot").service().create().await;
        for scope in ["read admin", "keyreeve:admin", "openid", "a\"b"] {
            let form = [("grant_type", "client_credentials"), ("scope", scope)];
            server.token(&robot, &form).await.refused(400, "invalid_scope");
        }
        let tokens = server.code_flow(&client).scope("openid email").tokens(&server.browser(), "ada").await;
        let more = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh()), ("scope", "openid phone")];
        server.token(&client, &more).await.refused(400, "invalid_scope");
        // Nothing was consumed: it may ask again, for less, and later for all that was granted.
        let less = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh()), ("scope", "openid")];
        let second = TokenSet::read(&server.token(&client, &less).await);
        assert_eq!(second.json["scope"], "openid");
        assert!(server.userinfo(&second.access).await.expect(200).json().get("email").is_none());
        let third = server.refresh(&client, second.refresh()).await;
        assert_eq!(third.json["scope"], "email openid");
    }

    async fn each_way_to_authenticate_works(server: &Server) {
        server.user("ada").create().await;
        for alg in Algorithm::ALL {
            let name = format!("key-{}", alg.as_str().to_lowercase());
            let robot = server.client(&name).service().private_key(alg).create().await;
            let tokens = TokenSet::read(&server.token(&robot, &CREDENTIALS).await);
            assert_eq!(tokens.access_token(server).await.text("sub"), name);
        }
        let basic = server.client("basic").service().create().await;
        let post = server.client("post").service().secret_post().create().await;
        for robot in [basic, post] {
            TokenSet::read(&server.token(&robot, &CREDENTIALS).await);
        }
        let public = server.client("spa").web_app().public().create().await;
        server.code_flow(&public).tokens(&server.browser(), "ada").await;
    }

    async fn an_assertion_is_used_once_and_only_as_rfc7523_says(server: &Server) {
        let robot = server.client("robot").service().private_key(Algorithm::EdDsa).create().await;
        let sound = robot.assertion_claims(server);
        let send = async |kind: &str, jwt: &str| {
            let form = [("client_assertion_type", kind), ("client_assertion", jwt), CREDENTIALS[0]];
            server.post("/token").form(&form).send().await
        };
        let assertion = robot.sign(&sound);
        send(ASSERTION_TYPE, &assertion).await.check(200);
        send(ASSERTION_TYPE, &assertion).await.refused(401, "invalid_client");
        let mut for_endpoint = robot.assertion_claims(server);
        for_endpoint["aud"] = json!(format!("{}/token", server.issuer()));
        send(ASSERTION_TYPE, &robot.sign(&for_endpoint)).await.check(200);
        send("urn:example:other", &robot.sign(&robot.assertion_claims(server))).await.refused(401, "invalid_client");
        let now = server.now().seconds();
        for (index, (name, value)) in [
            ("aud", json!("https://other.example")),
            ("iss", json!("other")),
            ("exp", json!(now - 60)),
            ("exp", json!(now + 3_600)),
            ("exp", json!(null)),
            ("jti", json!(null)),
        ]
        .into_iter()
        .enumerate()
        {
            // Failures slow further attempts of the same client down; that is not what this is about.
            server.advance(1_000);
            let mut claims = robot.assertion_claims(server);
            claims[name] = if name == "exp" && value.is_i64() {
                json!(server.now().seconds() + if index == 2 { -60 } else { 3_600 })
            } else {
                value
            };
            send(ASSERTION_TYPE, &robot.sign(&claims)).await.refused(401, "invalid_client");
        }
    }

    async fn client_credentials_speak_for_the_client_alone(server: &Server) {
        let robot = server.client("robot").service().create().await;
        let tokens = TokenSet::read(&server.token(&robot, &CREDENTIALS).await);
        assert!(tokens.refresh.is_none() && tokens.id.is_none(), "RFC 6749 section 4.4.3");
        assert_eq!(tokens.json["scope"], "read write");
        let token = tokens.access_token(server).await;
        assert_eq!(token.header["typ"], "at+jwt", "RFC 9068 section 2.1");
        assert_eq!((token.text("sub"), token.text("client_id")), ("robot", "robot"));
        assert_eq!((token.text("iss"), token.claims["aud"].as_str()), (&*server.issuer(), Some(&*server.issuer())));
        assert_eq!(token.number("exp") - token.number("iat"), tokens.json["expires_in"].as_i64().unwrap());
        for name in ["jti", "scope"] {
            assert!(!token.text(name).is_empty());
        }
        assert_eq!(server.audited("admission.client").await.len(), 1, "one entry for each token");
    }

    async fn access_tokens_of_users_are_as_rfc9068_has_them(server: &Server) {
        let client = portal(server).await;
        let tokens = server.code_flow(&client).tokens(&server.browser(), "ada").await;
        let token = tokens.access_token(server).await;
        let id = tokens.id_token(server).await;
        assert_eq!(token.header["typ"], "at+jwt");
        assert_eq!(id.header["typ"], "JWT");
        for same in ["iss", "sub", "auth_time", "amr", "sid"] {
            assert_eq!(token.claims[same], id.claims[same], "{same}");
        }
        assert_eq!(token.claims["amr"], json!(["pwd"]));
        assert_ne!(decode(&server.refresh(&client, tokens.refresh()).await.access).claims["jti"], token.claims["jti"]);
    }

    async fn a_spent_refresh_token_ends_the_family(server: &Server) {
        let client = portal(server).await;
        let first = server.code_flow(&client).tokens(&server.browser(), "ada").await;
        let second = server.refresh(&client, first.refresh()).await;
        let third = server.refresh(&client, second.refresh()).await;
        server.userinfo(&third.access).await.check(200);
        server.try_refresh(&client, first.refresh()).await.refused(400, "invalid_grant");
        server.try_refresh(&client, third.refresh()).await.refused(400, "invalid_grant");
        for tokens in [&first, &second, &third] {
            server.userinfo(&tokens.access).await.check(401);
        }
        assert_eq!(server.refusals("token.reuse").await, ["refresh_token_used_again"]);
    }

    async fn refresh_tokens_lapse_when_idle_and_in_the_end(server: &Server) {
        let client = portal(server).await;
        server.set_policy(|policy| (policy.refresh_idle_s, policy.refresh_absolute_s) = (3_600, 10_000)).await;
        let offline = server.code_flow(&client).scope("openid offline_access").with("prompt", "consent");
        let browser = server.browser();
        let mut tokens = offline.tokens(&browser, "ada").await;
        server.advance(3_601);
        server.try_refresh(&client, tokens.refresh()).await.refused(400, "invalid_grant");
        tokens = offline.tokens(&browser, "ada").await;
        for _ in 0..3 {
            server.advance(3_000);
            tokens = server.refresh(&client, tokens.refresh()).await;
        }
        server.advance(900);
        tokens = server.refresh(&client, tokens.refresh()).await;
        assert_eq!(tokens.json["expires_in"], 100, "a token does not outlive its grant");
        server.advance(101);
        server.try_refresh(&client, tokens.refresh()).await.refused(400, "invalid_grant");
    }

    async fn whoever_may_not_sign_in_gets_no_tokens_either(server: &Server) {
        let ada = server.user("ada").create().await;
        let client = server.client("portal").web_app().create().await;
        let flow = server.code_flow(&client);
        for (bar, lift) in [(StateChange::Disable, StateChange::Enable), (StateChange::Lock, StateChange::Unlock)] {
            let browser = server.browser();
            let tokens = flow.tokens(&browser, "ada").await;
            let code = flow.walk(&browser, "ada").await.code().to_owned();
            ada.change(bar).await;
            flow.redeem(&code).await.refused(400, "invalid_grant");
            server.try_refresh(&client, tokens.refresh()).await.refused(400, "invalid_grant");
            server.userinfo(&tokens.access).await.check(401);
            assert!(!browser.is_signed_in().await);
            ada.change(lift).await;
        }
    }

    async fn the_password_grant_works_where_it_is_opened(server: &Server) {
        server.user("ada").create().await;
        let client = server
            .client("legacy")
            .web_app()
            .grants(&[GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::Password])
            .create()
            .await;
        let form = |password| [("grant_type", "password"), ("username", "Ada"), ("password", password), ("scope", "openid profile")];
        server.token(&client, &form(keyreeve_acceptance::PASSWORD)).await.refused(400, "unsupported_grant_type");
        server.set_policy(|policy| policy.password_grant = true).await;
        let tokens = TokenSet::read(&server.token(&client, &form(keyreeve_acceptance::PASSWORD)).await);
        assert_eq!(server.userinfo(&tokens.access).await.expect(200).json()["preferred_username"], "ada");
        server.refresh(&client, tokens.refresh()).await;
        server.token(&client, &form("wrong")).await.refused(400, "invalid_grant");
        assert_eq!(server.refusals("admission.password").await.len(), 1);
    }
}
