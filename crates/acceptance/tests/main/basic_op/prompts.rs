//! Requests that say which pages shall be shown, and how recent the sign-in must be.

use super::stage;
use keyreeve_acceptance::jwt::Jwt;
use keyreeve_acceptance::{Browser, CodeFlow, Server, on_a_server};

/// The pages of a flow, and its ID token.
async fn signed_in(server: &Server, flow: &CodeFlow, browser: &Browser) -> (Vec<&'static str>, Jwt) {
    let callback = flow.walk(browser, "ada").await;
    let tokens = keyreeve_acceptance::TokenSet::read(&flow.redeem(callback.code()).await);
    (callback.pages, tokens.id_token(server).await)
}

on_a_server! {
    async fn oidcc_prompt_login(server: &Server) {
        let (_, client) = stage(server).await;
        let (flow, browser) = (server.code_flow(&client), server.browser());
        let (_, first) = signed_in(server, &flow, &browser).await;
        server.advance(5);
        let (pages, second) = signed_in(server, &flow.clone().with("prompt", "login"), &browser).await;
        assert_eq!(pages, ["sign_in"], "signed in once more, without being asked again for consent");
        assert_eq!(first.claims["sub"], second.claims["sub"]);
        assert_eq!(second.number("auth_time"), first.number("auth_time") + 5);
    }

    async fn oidcc_prompt_none_not_logged_in(server: &Server) {
        let (_, client) = stage(server).await;
        let refused = server.code_flow(&client).with("prompt", "none").refusal(&server.browser()).await;
        assert_eq!(refused.error(), "login_required");
        assert_eq!(refused.get("state"), Some("af0ifjsldkj"));
    }

    async fn oidcc_prompt_none_logged_in(server: &Server) {
        let (_, client) = stage(server).await;
        let (flow, browser) = (server.code_flow(&client), server.browser());
        let (_, first) = signed_in(server, &flow, &browser).await;
        server.advance(60);
        let (pages, second) = signed_in(server, &flow.clone().with("prompt", "none"), &browser).await;
        assert!(pages.is_empty(), "{pages:?}");
        assert_eq!(first.claims["sub"], second.claims["sub"]);
        assert_eq!(first.claims["auth_time"], second.claims["auth_time"]);
    }

    async fn oidcc_max_age_1(server: &Server) {
        let (_, client) = stage(server).await;
        let (flow, browser) = (server.code_flow(&client), server.browser());
        let (_, first) = signed_in(server, &flow, &browser).await;
        server.advance(2);
        let (pages, second) = signed_in(server, &flow.clone().with("max_age", "1"), &browser).await;
        assert_eq!(pages, ["sign_in"]);
        assert_eq!(first.claims["sub"], second.claims["sub"]);
        assert_eq!(second.number("auth_time"), server.now().seconds());
    }

    async fn oidcc_max_age_10000(server: &Server) {
        let (_, client) = stage(server).await;
        let (flow, browser) = (server.code_flow(&client), server.browser());
        let (_, first) = signed_in(server, &flow, &browser).await;
        server.advance(9_000);
        let (pages, second) = signed_in(server, &flow.clone().with("max_age", "10000"), &browser).await;
        assert!(pages.is_empty(), "{pages:?}");
        assert_eq!(first.claims["auth_time"], second.claims["auth_time"]);
    }

    async fn oidcc_id_token_hint(server: &Server) {
        let (_, client) = stage(server).await;
        let (flow, browser) = (server.code_flow(&client), server.browser());
        let first = flow.tokens(&browser, "ada").await;
        let hinted = flow.clone().with("prompt", "none").with("id_token_hint", first.id());
        let (pages, second) = signed_in(server, &hinted, &browser).await;
        assert!(pages.is_empty(), "{pages:?}");
        assert_eq!(first.id_token(server).await.claims["sub"], second.claims["sub"]);

        // About somebody else, the same request gets no answer without a page.
        server.user("bob").create().await;
        let other = server.browser();
        other.sign_in("bob").await;
        assert_eq!(hinted.refusal(&other).await.error(), "login_required");
    }
}
