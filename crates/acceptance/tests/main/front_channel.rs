//! The authorization endpoint: errors by their registered names, where they go, and how responses travel.

use keyreeve_acceptance::{Callback, CodeFlow, PASSWORD, Server, TestClient, TokenSet, on_a_server};
use keyreeve_tokens::clients::GrantType;

async fn portal(server: &Server) -> TestClient {
    server.user("ada").email("ada@example.org").create().await;
    server.client("portal").web_app().create().await
}

/// A refusal that goes to the client must bear its state, the issuer, and a description in plain ASCII.
fn check_refusal(server: &Server, refused: &Callback, error: &str) {
    assert_eq!(refused.error(), error);
    assert_eq!(refused.get("state"), Some("af0ifjsldkj"), "RFC 6749 section 4.1.2.1");
    assert_eq!(refused.get("iss"), Some(server.issuer().as_str()), "RFC 9207 section 2");
    let description = refused.get("error_description").unwrap_or_default();
    assert!(!description.is_empty());
    assert!(description.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'));
}

async fn refused(server: &Server, flow: CodeFlow, error: &str) {
    check_refusal(server, &flow.refusal(&server.browser()).await, error);
}

on_a_server! {
    async fn rfc6749_4_1_2_1_invalid_request(server: &Server) {
        let flow = server.code_flow(&portal(server).await);
        for (name, value) in [
            ("response_mode", "fragment"),
            ("response_mode", "web_message"),
            ("prompt", "none login"),
            ("prompt", "create"),
            ("max_age", "-1"),
            ("max_age", "soon"),
            ("max_age", "99999999999999999999"),
            ("claims", "{"),
            ("claims", r#"{"userinfo":[]}"#),
            ("code_challenge_method", "plain"),
            ("code_challenge_method", "s256"),
            ("code_challenge", "too-short"),
            ("nonce", &"n".repeat(513)),
            ("login_hint", "a\u{1}b"),
        ] {
            refused(server, flow.clone().with(name, value), "invalid_request").await;
        }
        refused(server, flow.clone().without("code_challenge"), "invalid_request").await;
        refused(server, flow.clone().without("code_challenge_method"), "invalid_request").await;
        refused(server, flow.without("response_type"), "invalid_request").await;
    }

    async fn rfc6749_4_1_2_1_unauthorized_client(server: &Server) {
        portal(server).await;
        let robot = server.client("robot").web_app().grants(&[GrantType::ClientCredentials]).create().await;
        refused(server, server.code_flow(&robot), "unauthorized_client").await;
    }

    async fn rfc6749_4_1_2_1_access_denied(server: &Server) {
        let client = portal(server).await;
        let (flow, browser) = (server.code_flow(&client), server.browser());
        browser.sign_in("ada").await;
        let page = browser.follow(flow.begin(&browser).await).await.expect(200).page();
        let answer = browser.submit(&page.form("/consent").press("decision", "deny")).await;
        let denied = browser.walk(answer, "ada").await;
        check_refusal(server, &denied, "access_denied");
        assert_eq!(server.refusals("consent.grant").await, ["denied_by_user"]);
        assert!(server.audited("code.issue").await.is_empty());
        // Nothing was agreed to: the next request asks again.
        assert_eq!(flow.walk(&browser, "ada").await.pages, ["consent"]);
    }

    async fn rfc6749_4_1_2_1_unsupported_response_type(server: &Server) {
        let flow = server.code_flow(&portal(server).await);
        for kind in ["token", "id_token", "code id_token", "none", "CODE", "code code"] {
            refused(server, flow.clone().with("response_type", kind), "unsupported_response_type").await;
        }
    }

    async fn rfc6749_4_1_2_1_invalid_scope(server: &Server) {
        let flow = server.code_flow(&portal(server).await);
        for scope in ["keyreeve:admin", "unknown", "a\"b", "open\u{e9}id", &"x".repeat(2_001)] {
            refused(server, flow.clone().scope(scope), "invalid_scope").await;
        }
        refused(server, flow.without("scope"), "invalid_scope").await;
    }

    async fn oidc_core_3_1_2_6_errors_of_openid_connect(server: &Server) {
        let client = portal(server).await;
        let flow = server.code_flow(&client);
        refused(server, flow.clone().with("prompt", "none"), "login_required").await;
        refused(server, flow.clone().with("registration", "{}"), "registration_not_supported").await;
        let browser = server.browser();
        browser.sign_in("ada").await;
        let silent = flow.clone().with("prompt", "none").refusal(&browser).await;
        check_refusal(server, &silent, "consent_required");
        let bad_hint = flow.clone().with("prompt", "none").with("id_token_hint", "x.y.z");
        check_refusal(server, &bad_hint.refusal(&browser).await, "login_required");
        let claims = r#"{"id_token":{"acr":{"essential":true,"values":["urn:example:gold"]}}}"#;
        let essential = flow.clone().with("claims", claims).refusal(&browser).await;
        check_refusal(server, &essential, "unmet_authentication_requirements");
        let old = flow.clone().with("prompt", "none").with("max_age", "0");
        server.advance(1);
        check_refusal(server, &old.refusal(&browser).await, "login_required");
    }

    async fn a_request_about_another_user_is_not_answered_with_this_one(server: &Server) {
        let client = portal(server).await;
        let bob = server.user("bob").create().await;
        let browser = server.browser();
        browser.sign_in("ada").await;
        let claims = format!(r#"{{"id_token":{{"sub":{{"value":"{}"}}}}}}"#, bob.sub());
        let flow = server.code_flow(&client).with("claims", &claims);
        check_refusal(server, &flow.clone().with("prompt", "none").refusal(&browser).await, "login_required");
        server.advance(1);
        // Ada signs in once more where Bob was asked for: that does not make her Bob.
        let answered = flow.walk(&browser, "ada").await;
        assert_eq!(answered.pages, ["sign_in"]);
        check_refusal(server, &answered, "login_required");
        server.advance(1);
        let answered = flow.walk(&browser, "bob").await;
        assert_eq!(answered.pages, ["sign_in", "consent"]);
        let tokens = TokenSet::read(&flow.redeem(answered.code()).await);
        assert_eq!(tokens.id_token(server).await.text("sub"), bob.sub());
    }

    async fn without_a_certain_client_and_address_the_browser_goes_nowhere(server: &Server) {
        let client = portal(server).await;
        let flow = server.code_flow(&client);
        let browser = server.browser();
        let disabled = server.client("disabled").web_app().with(|settings| settings.enabled = false).create().await;
        for (bad, why) in [
            (flow.clone().without("client_id"), "client_id is missing"),
            (flow.clone().with("client_id", "nobody"), "there is no such client"),
            (server.code_flow(&disabled), "there is no such client"),
            (flow.clone().without("redirect_uri"), "redirect_uri is missing"),
            (flow.clone().with("redirect_uri", "https://portal.example/cb/"), "redirect_uri is not registered"),
        ] {
            let answer = bad.begin(&browser).await.expect(400);
            assert!(answer.header("location").is_none(), "{answer}");
            let page = answer.page();
            assert!(page.text.contains(why), "{why:?} was expected in {:?}", page.text);
            assert!(page.forms.is_empty(), "{answer}");
        }
        for path in [format!("{}&state=again", flow.path()), format!("{}&x=%zz", flow.path())] {
            assert!(browser.get(&path).send().await.expect(400).is_page());
        }
    }

    async fn a_request_that_the_application_posts_finds_whoever_is_signed_in(server: &Server) {
        let client = portal(server).await;
        let (flow, browser) = (server.code_flow(&client), server.browser());
        flow.walk(&browser, "ada").await;
        let before = browser.cookies();
        let silent = flow.clone().with("prompt", "none");
        let answer = browser.post_from("https://portal.example", "/authorize", &silent.pairs()).send().await;
        let callback = browser.walk(answer, "ada").await;
        assert!(!callback.code().is_empty());
        assert_eq!(browser.cookies(), before, "the browser is still the one that it was");
        // One that was never here signs in, as ever.
        let fresh = server.browser();
        let answer = fresh.post_from("https://portal.example", "/authorize", &flow.pairs()).send().await;
        assert_eq!(fresh.walk(answer, "ada").await.pages, ["sign_in"]);
    }

    async fn the_response_may_be_posted(server: &Server) {
        let client = portal(server).await;
        let flow = server.code_flow(&client).with("response_mode", "form_post");
        let browser = server.browser();
        let callback = flow.walk(&browser, "ada").await;
        assert_eq!((callback.mode, callback.uri.as_str()), ("form_post", "https://portal.example/cb"));
        assert_eq!(callback.params.keys().collect::<Vec<_>>(), ["code", "iss", "state"]);
        TokenSet::read(&flow.redeem(callback.code()).await);
        // The browser is already known: the page itself is the answer. It lets its form leave, and nothing else.
        let answer = flow.begin(&browser).await.expect(200);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("form-action 'self' https://portal.example;"), "{policy}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let page = answer.page();
        assert_eq!(page.forms.len(), 1);
        assert!(page.forms[0].get("csrf").is_none(), "no token of ours goes to the client");
        let submits = page.elements.iter().any(|(tag, a)| tag == "button" && a.get("type").is_some_and(|t| t == "submit"));
        assert!(submits, "without a script, a person can press a button");
        // Errors travel the same way.
        let refused = flow.clone().scope("unknown").refusal(&browser).await;
        assert_eq!(refused.mode, "form_post");
        check_refusal(server, &refused, "invalid_scope");
    }

    async fn a_query_of_the_redirect_uri_is_kept(server: &Server) {
        portal(server).await;
        let client = server
            .client("query")
            .redirect("https://query.example/cb?tenant=7&next=a%20b")
            .grants(&[GrantType::AuthorizationCode])
            .scopes("openid profile email")
            .create()
            .await;
        let flow = server.code_flow(&client);
        let callback = flow.walk(&server.browser(), "ada").await;
        assert_eq!((callback.get("tenant"), callback.get("next")), (Some("7"), Some("a b")));
        TokenSet::read(&flow.redeem(callback.code()).await);
        let other = "https://query.example/cb?tenant=8&next=a%20b";
        flow.with("redirect_uri", other).begin(&server.browser()).await.check(400);
    }

    async fn a_native_application_listens_on_any_port_of_the_loopback_address(server: &Server) {
        portal(server).await;
        let client = server
            .client("native")
            .public()
            .redirect("http://127.0.0.1/cb")
            .redirect("com.example.native:/cb")
            .grants(&[GrantType::AuthorizationCode])
            .scopes("openid profile email")
            .create()
            .await;
        let browser = server.browser();
        for uri in ["http://127.0.0.1:51004/cb", "http://127.0.0.1/cb"] {
            let flow = server.code_flow(&client).with("redirect_uri", uri);
            let callback = flow.walk(&browser, "ada").await;
            // Any application can claim such an address, so the user is asked each time (RFC 8252 section 8.6).
            assert!(callback.pages.contains(&"consent"), "{callback:?}");
            TokenSet::read(&flow.redeem(callback.code()).await);
        }
        let flow = server.code_flow(&client).with("redirect_uri", "com.example.native:/cb");
        TokenSet::read(&flow.redeem(flow.walk(&browser, "ada").await.code()).await);
        // What is sent to the token endpoint is what was asked with.
        let flow = server.code_flow(&client).with("redirect_uri", "http://127.0.0.1:51004/cb");
        let callback = flow.walk(&browser, "ada").await;
        let other = flow.with("redirect_uri", "http://127.0.0.1:51005/cb");
        other.redeem(callback.code()).await.refused(400, "invalid_grant");
        let evil = server.code_flow(&client).with("redirect_uri", "http://127.0.0.2:51004/cb");
        evil.begin(&browser).await.check(400);
    }

    async fn a_public_client_must_use_pkce(server: &Server) {
        portal(server).await;
        let client = server.client("spa").web_app().public().create().await;
        let flow = server.code_flow(&client);
        refused(server, flow.clone().without_pkce(), "invalid_request").await;
        let tokens = flow.tokens(&server.browser(), "ada").await;
        assert!(tokens.refresh.is_some());
        // A confidential client may leave it out, unless it is registered otherwise.
        let client = server.client("server-side").web_app().create().await;
        let flow = server.code_flow(&client).without_pkce();
        flow.tokens(&server.browser(), "ada").await;
        client.set(|settings| settings.require_pkce = true).await;
        refused(server, flow, "invalid_request").await;
    }

    async fn consent_is_asked_for_once_and_again_for_more(server: &Server) {
        let client = portal(server).await;
        let browser = server.browser();
        let pages = async |flow: &CodeFlow| flow.walk(&browser, "ada").await.pages;
        let flow = server.code_flow(&client);
        assert_eq!(pages(&flow.clone().scope("openid")).await, ["sign_in", "consent"]);
        assert!(pages(&flow.clone().scope("openid")).await.is_empty());
        assert_eq!(pages(&flow.clone().scope("openid email")).await, ["consent"]);
        assert!(pages(&flow.clone().scope("openid email")).await.is_empty());
        assert!(pages(&flow.clone().scope("openid")).await.is_empty(), "less was agreed to, too");
        assert_eq!(pages(&flow.clone().scope("openid").with("prompt", "consent")).await, ["consent"]);
        // Another user has agreed to nothing.
        server.user("bob").create().await;
        assert_eq!(flow.clone().scope("openid").walk(&server.browser(), "bob").await.pages, ["sign_in", "consent"]);
        // Nobody is asked about the applications of the house.
        let own = server.client("own").web_app().first_party().create().await;
        assert!(pages(&server.code_flow(&own)).await.is_empty());
        assert_eq!(pages(&server.code_flow(&own).with("prompt", "consent")).await, ["consent"]);
    }

    async fn offline_access_is_given_only_with_consent(server: &Server) {
        let client = portal(server).await;
        let flow = server.code_flow(&client).scope("openid offline_access");
        let browser = server.browser();
        let granted = async |flow: &CodeFlow| flow.tokens(&browser, "ada").await.json["scope"].clone();
        assert_eq!(granted(&flow).await, "openid");
        assert_eq!(granted(&flow.clone().with("prompt", "consent")).await, "offline_access openid");
    }

    async fn a_request_waits_for_half_an_hour(server: &Server) {
        let client = portal(server).await;
        let (flow, browser) = (server.code_flow(&client), server.browser());
        let answer = browser.follow(flow.begin(&browser).await).await.expect(200);
        server.advance(29 * 60);
        let form = answer.page().form("/signin").with("username", "ada").with("password", PASSWORD);
        let page = browser.follow(browser.submit(&form).await).await.expect(200).page();
        server.advance(2 * 60);
        let answer = browser.submit(&page.form("/consent").press("decision", "allow")).await;
        let answer = browser.follow(answer).await.expect(400);
        assert!(answer.is_page());
        assert!(server.audited("code.issue").await.is_empty());
        assert!(browser.is_signed_in().await, "the sign-in itself stands");
    }

    async fn a_client_that_changes_meanwhile_gets_no_answer(server: &Server) {
        let client = portal(server).await;
        let (flow, browser) = (server.code_flow(&client), server.browser());
        browser.sign_in("ada").await;
        let page = browser.follow(flow.begin(&browser).await).await.expect(200).page();
        client.set(|settings| settings.redirect_uris = settings.post_logout_redirect_uris.clone()).await;
        let answer = browser.submit(&page.form("/consent").press("decision", "allow")).await;
        browser.follow(answer).await.check(400);
        assert!(server.audited("code.issue").await.is_empty());
    }

    async fn a_request_of_a_tenant_is_answered_by_its_own_issuer(server: &Server) {
        portal(server).await;
        let acme = server.tenant("acme").create().await;
        acme.user("ada").create().await;
        let client = acme.client("portal").web_app().create().await;
        let flow = acme.code_flow(&client);
        let callback = flow.walk(&acme.browser(), "ada").await;
        let issuer = format!("{}/t/acme", server.issuer());
        assert_eq!(callback.get("iss"), Some(issuer.as_str()));
        let tokens = TokenSet::read(&flow.redeem(callback.code()).await);
        assert_eq!(tokens.id_token(&acme).await.text("iss"), issuer);
        // The same names at the default tenant are other people.
        server.userinfo(&tokens.access).await.check(401);
        acme.userinfo(&tokens.access).await.check(200);
    }
}
