//! The userinfo endpoint, in each way in which a token may be shown to it.

use super::stage;
use keyreeve_acceptance::{Answer, Server, TestUser, on_a_server};

fn tells_about(answer: Answer, ada: &TestUser) {
    let told = answer.expect(200).json();
    assert_eq!(told["sub"], ada.sub().as_str());
    assert_eq!(told["email"], "ada@example.org");
    assert_eq!(told["email_verified"], true);
    assert_eq!(told["given_name"], "Ada");
}

on_a_server! {
    async fn oidcc_userinfo_get(server: &Server) {
        let (ada, client) = stage(server).await;
        let tokens = server.code_flow(&client).tokens(&server.browser(), "ada").await;
        tells_about(server.get("/userinfo").bearer(&tokens.access).send().await, &ada);
    }

    async fn oidcc_userinfo_post_header(server: &Server) {
        let (ada, client) = stage(server).await;
        let tokens = server.code_flow(&client).tokens(&server.browser(), "ada").await;
        tells_about(server.post("/userinfo").bearer(&tokens.access).send().await, &ada);
    }

    async fn oidcc_userinfo_post_body(server: &Server) {
        let (ada, client) = stage(server).await;
        let tokens = server.code_flow(&client).tokens(&server.browser(), "ada").await;
        let form = [("access_token", tokens.access.as_str())];
        tells_about(server.post("/userinfo").form(&form).send().await, &ada);
    }

    async fn oidcc_claims_essential(server: &Server) {
        let (ada, client) = stage(server).await;
        let claims = r#"{"userinfo":{"name":{"essential":true}}}"#;
        let flow = server.code_flow(&client).scope("openid").with("claims", claims);
        let tokens = flow.tokens(&server.browser(), "ada").await;
        let told = server.userinfo(&tokens.access).await.expect(200).json();
        assert_eq!(told["name"], "Ada Lovelace");
        assert_eq!(told["sub"], ada.sub().as_str());
        assert!(told.get("email").is_none(), "only what was asked for: {told}");
        assert!(tokens.id_token(server).await.claims.get("name").is_none(), "asked for userinfo only");

        // What is asked for the ID token stands there.
        let claims = r#"{"id_token":{"name":{"essential":true}}}"#;
        let flow = server.code_flow(&client).scope("openid").with("claims", claims);
        let tokens = flow.tokens(&server.browser(), "ada").await;
        assert_eq!(tokens.id_token(server).await.text("name"), "Ada Lovelace");
        assert!(server.userinfo(&tokens.access).await.expect(200).json().get("name").is_none());
    }
}
