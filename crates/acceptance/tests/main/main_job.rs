//! The main job: on a new installation, a standard client signs a user in, and all that follows from it.

use keyreeve_acceptance::jwt::verify_with;
use keyreeve_acceptance::{Engine, Setup, TokenSet};
use keyreeve_testkit::on_both_engines;

const OWN_PASSWORD: &str = "marble-otter-Zk4-quay";

on_both_engines! {
    async fn a_new_installation_signs_its_first_user_in(engine: Engine) {
        // Nothing is configured: the administrator gets a password that is good once.
        let server = Setup::new(engine).unset("KEYREEVE_ADMIN_PASSWORD").start().await;
        let admin = server.first_start.username.clone();
        let one_time = server.first_start.one_time_password.as_ref().expect("a password").expose().to_owned();
        let client = server.client("notes").web_app().public().create().await;

        // The client finds its way from the issuer alone.
        let metadata = server.get("/.well-known/openid-configuration").send().await.expect(200).json();
        let endpoint = |name: &str| metadata[name].as_str().expect("an endpoint").to_owned();
        assert_eq!(metadata["issuer"], server.issuer().as_str());
        let jwks = server.get(&endpoint("jwks_uri")).send().await.expect(200).json();

        // The person signs in, has to choose a password, and is asked whether the application may.
        let browser = server.browser();
        let flow = server.code_flow(&client);
        let begun = browser.get(&endpoint("authorization_endpoint")).query(&flow.pairs()).send().await;
        let page = browser.follow(begun).await.expect(200).page();
        let form = page.form("/signin").with("username", &admin).with("password", &one_time);
        let form = browser.submit(&form).await.expect(200).page().form("/password");
        let form = form.with("new_password", OWN_PASSWORD).with("repeat_password", OWN_PASSWORD);
        let answer = browser.submit(&form).await;
        let callback = browser.walk(answer, &admin).await;
        assert_eq!(callback.pages, ["consent"]);
        assert_eq!(callback.get("state"), Some("af0ifjsldkj"));

        // Tokens that verify with the published keys, and work.
        let mut redemption = flow.redemption(callback.code());
        redemption.push(("client_id", &client.client_id));
        let answer = server.post(&endpoint("token_endpoint")).form(&redemption).send().await;
        let tokens = TokenSet::read(&answer);
        let id = verify_with(&jwks, tokens.id()).expect("it verifies");
        verify_with(&jwks, &tokens.access).expect("it verifies");
        assert_eq!(id.text("nonce"), "n-0S6_WzA2Mj");
        let told = server.get(&endpoint("userinfo_endpoint")).bearer(&tokens.access).send().await.expect(200).json();
        assert_eq!((&told["sub"], &told["preferred_username"]), (&id.claims["sub"], &admin.as_str().into()));

        // Renewed, and given back with the session at sign-out.
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh()), ("client_id", "notes")];
        let answer = server.post(&endpoint("token_endpoint")).form(&refresh).send().await;
        let second = TokenSet::read(&answer);
        server.userinfo(&second.access).await.check(200);
        let bye = [("id_token_hint", second.id()), ("post_logout_redirect_uri", "https://notes.example/bye")];
        let answer = browser.get(&endpoint("end_session_endpoint")).query(&bye).send().await;
        assert_eq!(answer.location(), "https://notes.example/bye");
        assert!(!browser.is_signed_in().await);
        server.userinfo(&second.access).await.check(401);

        // The log tells it all, in order.
        let log = server.audit().await;
        let mut actions = log.iter().map(|entry| (entry.action.as_str(), entry.outcome.as_str()));
        for expected in [
            "tenant.create",
            "user.create",
            "client.create",
            "user.password.change",
            "session.create",
            "consent.grant",
            "code.issue",
            "admission.code",
            "admission.refresh",
            "session.end",
        ] {
            assert!(actions.any(|found| found == (expected, "success")), "{expected} is missing, or out of order");
        }
        // The one-time password was good once.
        server.browser().try_sign_in(&admin, &one_time).await.check(401);
        server.finish().await;
    }
}
