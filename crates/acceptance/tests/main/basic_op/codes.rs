//! Codes that are used twice, and refresh tokens.

use super::stage;
use keyreeve_acceptance::{Server, TokenSet, on_a_server};

/// Redeems a code, waits, and redeems it again.
async fn reused(server: &Server, seconds: u64) {
    let (_, client) = stage(server).await;
    let flow = server.code_flow(&client);
    let callback = flow.walk(&server.browser(), "ada").await;
    let tokens = TokenSet::read(&flow.redeem(callback.code()).await);
    server.userinfo(&tokens.access).await.check(200);
    server.advance(seconds);
    flow.redeem(callback.code()).await.refused(400, "invalid_grant");
    // What it led to ends with it (RFC 6749 section 4.1.2).
    server.userinfo(&tokens.access).await.check(401);
    server.try_refresh(&client, tokens.refresh()).await.refused(400, "invalid_grant");
    assert_eq!(server.refusals("token.reuse").await[0], "code_used_again");
}

on_a_server! {
    async fn oidcc_codereuse(server: &Server) {
        reused(server, 0).await;
    }

    async fn oidcc_codereuse_30seconds(server: &Server) {
        reused(server, 30).await;
    }

    async fn oidcc_refresh_token(server: &Server) {
        let (ada, client) = stage(server).await;
        let other = server.client("suite2").web_app().create().await;
        let browser = server.browser();
        let flow = server.code_flow(&client).scope("openid email offline_access").with("prompt", "consent");
        let first = flow.tokens(&browser, "ada").await;
        let told = server.get("/.well-known/openid-configuration").send().await.expect(200).json();
        assert!(told["grant_types_supported"].to_string().contains("refresh_token"));

        server.advance(10);
        let second = server.refresh(&client, first.refresh()).await;
        let (before, after) = (first.id_token(server).await, second.id_token(server).await);
        for same in ["iss", "sub", "aud", "auth_time"] {
            assert_eq!(before.claims[same], after.claims[same], "{same} (OpenID Connect Core section 12.2)");
        }
        assert_eq!(after.number("iat"), before.number("iat") + 10);
        assert!(after.claims.get("nonce").is_none_or(|nonce| *nonce == before.claims["nonce"]));
        assert_ne!(first.access, second.access);
        assert_eq!(server.userinfo(&second.access).await.expect(200).json()["sub"], ada.sub().as_str());

        // A refresh token is bound to its client.
        let foreign = server.code_flow(&other).tokens(&browser, "ada").await;
        server.try_refresh(&client, foreign.refresh()).await.refused(400, "invalid_grant");
        server.try_refresh(&client, second.refresh()).await.check(200);
    }
}
