//! RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0).

use keyreeve_acceptance::{Browser, Server, TestClient, TokenSet, on_a_server};

const BYE: &str = "https://portal.example/bye";

struct Scene {
    portal: TestClient,
    browser: Browser,
    tokens: TokenSet,
}

async fn scene(server: &Server) -> Scene {
    server.user("ada").create().await;
    let portal = server.client("portal").web_app().create().await;
    let browser = server.browser();
    let tokens = server.code_flow(&portal).tokens(&browser, "ada").await;
    Scene { portal, browser, tokens }
}

on_a_server! {
    async fn with_the_id_token_of_the_session_it_ends_without_a_question(server: &Server) {
        let Scene { portal, browser, tokens } = scene(server).await;
        let params = [("id_token_hint", tokens.id()), ("post_logout_redirect_uri", BYE), ("state", "a b&c")];
        let answer = browser.get("/end-session").query(&params).send().await;
        assert_eq!(answer.location(), "https://portal.example/bye?state=a+b%26c");
        assert!(!browser.is_signed_in().await);
        // What hung on the session has ended with it.
        server.userinfo(&tokens.access).await.check(401);
        assert!(!server.is_active(&portal, &tokens.access).await);
        server.try_refresh(&portal, tokens.refresh()).await.refused(400, "invalid_grant");
        // Once more: there is nobody to sign out, and the way back is the same.
        let answer = browser.get("/end-session").query(&params).send().await;
        assert_eq!(answer.location(), "https://portal.example/bye?state=a+b%26c");
    }

    async fn by_post_from_the_applications_page_it_is_the_same(server: &Server) {
        let Scene { portal, browser, tokens } = scene(server).await;
        let params = [("id_token_hint", tokens.id()), ("post_logout_redirect_uri", BYE), ("state", "a b&c")];
        let answer = browser.post_from("https://portal.example", "/end-session", &params).send().await;
        let answer = browser.follow(answer).await;
        assert_eq!(answer.location(), "https://portal.example/bye?state=a+b%26c");
        assert!(!browser.is_signed_in().await);
        assert!(!server.is_active(&portal, &tokens.access).await, "the session itself has ended");
    }

    async fn a_page_of_another_site_signs_nobody_out(server: &Server) {
        let Scene { browser, tokens, .. } = scene(server).await;
        for params in [&[][..], &[("client_id", "portal")], &[("id_token_hint", "x.y.z")]] {
            let before = browser.cookies();
            let answer = browser.post_from("https://evil.example", "/end-session", params).send().await;
            let page = browser.follow(answer).await.expect(200).page();
            assert!(page.form_ending("/signout").is_some(), "its user is asked");
            assert_eq!(browser.cookies(), before);
            assert!(browser.is_signed_in().await);
        }
        server.userinfo(&tokens.access).await.check(200);
    }

    async fn an_expired_id_token_will_do(server: &Server) {
        let Scene { browser, tokens, .. } = scene(server).await;
        server.advance(3_600);
        let answer = browser.get("/end-session").query(&[("id_token_hint", tokens.id())]).send().await;
        assert_eq!(answer.own_location(), Some("/signout/done"));
        assert!(!browser.is_signed_in().await);
    }

    async fn without_a_valid_hint_the_user_is_asked(server: &Server) {
        let Scene { portal, browser, tokens } = scene(server).await;
        let altered = format!("{}x", tokens.id());
        for params in [
            &[][..],
            &[("client_id", "portal")],
            &[("client_id", "portal"), ("post_logout_redirect_uri", BYE)],
            &[("id_token_hint", altered.as_str())],
            &[("id_token_hint", tokens.access.as_str())],
            &[("id_token_hint", "not a token")],
        ] {
            let answer = browser.get("/end-session").query(params).send().await;
            assert!(answer.own_location().is_some_and(|to| to.starts_with("/signout?request=")), "{answer}");
            assert!(browser.is_signed_in().await, "nothing ends before the user says so");
        }
        let params = [("client_id", "portal"), ("post_logout_redirect_uri", BYE), ("state", "xyz")];
        let answer = browser.follow(browser.get("/end-session").query(&params).send().await).await.expect(200);
        assert!(answer.page().text.contains("Application portal"), "the page names who asks");
        let answer = browser.submit(&answer.page().form("/signout")).await;
        assert_eq!(answer.location(), "https://portal.example/bye?state=xyz");
        assert!(!browser.is_signed_in().await);
        assert!(!server.is_active(&portal, &tokens.access).await);
    }

    async fn the_id_token_of_another_session_or_user_asks(server: &Server) {
        let Scene { portal, browser, tokens } = scene(server).await;
        server.user("bob").create().await;
        let other = server.browser();
        let of_bob = server.code_flow(&portal).tokens(&other, "bob").await;
        let second = server.browser();
        let same_user = server.code_flow(&portal).tokens(&second, "ada").await;
        for hint in [of_bob.id(), same_user.id()] {
            let answer = browser.get("/end-session").query(&[("id_token_hint", hint)]).send().await;
            assert!(answer.own_location().is_some_and(|to| to.starts_with("/signout?request=")), "{answer}");
        }
        for signed_in in [&browser, &other, &second] {
            assert!(signed_in.is_signed_in().await);
        }
        server.userinfo(&tokens.access).await.check(200);
    }

    async fn an_address_that_is_not_registered_is_refused_and_nothing_ends(server: &Server) {
        let Scene { browser, tokens, .. } = scene(server).await;
        server.client("other").web_app().create().await;
        for params in [
            &[("post_logout_redirect_uri", BYE)][..],
            &[("id_token_hint", tokens.id()), ("post_logout_redirect_uri", "https://portal.example/bye/")],
            &[("id_token_hint", tokens.id()), ("post_logout_redirect_uri", "https://portal.example/cb")],
            &[("id_token_hint", tokens.id()), ("post_logout_redirect_uri", "https://other.example/bye")],
            &[("id_token_hint", tokens.id()), ("client_id", "other")],
            &[("client_id", "nobody"), ("post_logout_redirect_uri", BYE)],
            &[("id_token_hint", tokens.id()), ("post_logout_redirect_uri", BYE), ("state", "a\u{7}")],
        ] {
            let answer = browser.get("/end-session").query(params).send().await.expect(400);
            assert!(answer.is_page() && answer.header("location").is_none(), "{answer}");
            assert!(browser.is_signed_in().await, "{params:?}");
        }
    }

    async fn what_was_granted_for_offline_use_outlives_the_session(server: &Server) {
        let Scene { portal, browser, .. } = scene(server).await;
        let flow = server.code_flow(&portal).scope("openid offline_access").with("prompt", "consent");
        let offline = flow.tokens(&browser, "ada").await;
        browser.sign_out().await;
        let fresh = server.refresh(&portal, offline.refresh()).await;
        server.userinfo(&fresh.access).await.check(200);
    }

    async fn a_tenant_signs_out_by_its_own_id_tokens_only(server: &Server) {
        let Scene { browser, .. } = scene(server).await;
        let acme = server.tenant("acme").create().await;
        acme.user("ada").create().await;
        let client = acme.client("portal").web_app().create().await;
        let there = browser.at(&acme);
        let tokens = acme.code_flow(&client).tokens(&there, "ada").await;
        let answer = browser.get("/end-session").query(&[("id_token_hint", tokens.id())]).send().await;
        assert!(answer.own_location().is_some_and(|to| to.starts_with("/signout?request=")), "{answer}");
        assert!(browser.is_signed_in().await && there.is_signed_in().await);
        let answer = there.get("/end-session").query(&[("id_token_hint", tokens.id())]).send().await;
        assert_eq!(answer.own_location(), Some("/t/acme/signout/done"));
        assert!(browser.is_signed_in().await, "the other tenant's session stands");
        assert!(!there.is_signed_in().await);
    }
}
