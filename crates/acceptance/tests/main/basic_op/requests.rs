//! Authorization requests with parameters that a provider must bear, follow, or refuse by name.

use super::stage;
use keyreeve_acceptance::{Server, TokenSet, challenge_of, on_a_server};
use keyreeve_crypto::sign::Algorithm;
use serde_json::json;

/// A request object without a signature.
fn unsigned(claims: &serde_json::Value) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", encode(&json!({"alg": "none"})), encode(claims))
}

/// The sign-in succeeds with one more parameter.
async fn succeeds_with(server: &Server, name: &str, value: &str) -> TokenSet {
    let (ada, client) = stage(server).await;
    let tokens = server.code_flow(&client).with(name, value).tokens(&server.browser(), "ada").await;
    assert_eq!(tokens.id_token(server).await.text("sub"), ada.sub());
    tokens
}

on_a_server! {
    async fn oidcc_ensure_request_without_nonce_succeeds_for_code_flow(server: &Server) {
        let (_, client) = stage(server).await;
        let tokens = server.code_flow(&client).without("nonce").tokens(&server.browser(), "ada").await;
        assert!(tokens.id_token(server).await.claims.get("nonce").is_none());
    }

    async fn oidcc_display_page(server: &Server) {
        succeeds_with(server, "display", "page").await;
    }

    async fn oidcc_display_popup(server: &Server) {
        succeeds_with(server, "display", "popup").await;
    }

    async fn oidcc_ensure_request_with_unknown_parameter_succeeds(server: &Server) {
        succeeds_with(server, "extra", "foobar").await;
    }

    async fn oidcc_claims_locales(server: &Server) {
        succeeds_with(server, "claims_locales", "se").await;
    }

    async fn oidcc_ensure_request_with_acr_values_succeeds(server: &Server) {
        succeeds_with(server, "acr_values", "1 2").await;
    }

    async fn oidcc_login_hint(server: &Server) {
        let (_, client) = stage(server).await;
        let (flow, browser) = (server.code_flow(&client).with("login_hint", "bob@example.com"), server.browser());
        let answer = browser.follow(flow.begin(&browser).await).await;
        let form = answer.clone().expect(200).page().form("/signin");
        assert_eq!(form.get("username"), Some("bob@example.com"), "what is hinted at is filled in");
        // It is a hint: another user may sign in.
        assert!(!browser.walk(answer, "ada").await.code().is_empty());
    }

    async fn oidcc_ui_locales(server: &Server) {
        let (_, client) = stage(server).await;
        for (wishes, language) in [("se", "en"), ("de-CH en", "de"), ("fr de", "de"), ("en de", "en")] {
            let (flow, browser) = (server.code_flow(&client).with("ui_locales", wishes), server.browser());
            let answer = browser.follow(flow.begin(&browser).await).await;
            assert_eq!(answer.clone().expect(200).page().lang, language, "{wishes}");
            assert!(!browser.walk(answer, "ada").await.code().is_empty());
        }
    }

    async fn oidcc_ensure_registered_redirect_uri(server: &Server) {
        let (_, client) = stage(server).await;
        let browser = server.browser();
        browser.sign_in("ada").await;
        let uri = format!("{}/unregistered", client.redirect);
        let answer = server.code_flow(&client).with("redirect_uri", &uri).begin(&browser).await;
        let page = answer.expect(400).page();
        assert!(page.text.contains("redirect_uri is not registered"), "{}", page.text);
        assert!(page.forms.is_empty() && !page.links.iter().any(|link| link.contains("unregistered")));
        assert_eq!(server.audited("code.issue").await.len(), 0);
    }

    async fn oidcc_ensure_post_request_succeeds(server: &Server) {
        let (ada, client) = stage(server).await;
        let (flow, browser) = (server.code_flow(&client), server.browser());
        let answer = browser.post("/authorize").form(&flow.pairs()).send().await;
        let callback = browser.walk(answer, "ada").await;
        assert_eq!(callback.get("state"), Some("af0ifjsldkj"));
        let tokens = TokenSet::read(&flow.redeem(callback.code()).await);
        assert_eq!(tokens.id_token(server).await.text("sub"), ada.sub());
    }

    async fn oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(server: &Server) {
        let (_, client) = stage(server).await;
        let flow = server.code_flow(&client).with("request_uri", "https://suite.example/request.jwt");
        let refused = flow.refusal(&server.browser()).await;
        assert_eq!(refused.error(), "request_uri_not_supported");
        let told = server.get("/.well-known/openid-configuration").send().await.expect(200).json();
        assert_eq!(told["request_uri_parameter_supported"], false);
    }

    async fn oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(server: &Server) {
        let (_, client) = stage(server).await;
        let object = unsigned(&json!({"state": "inside", "scope": "openid"}));
        let refused = server.code_flow(&client).with("request", &object).refusal(&server.browser()).await;
        assert_eq!(refused.error(), "request_not_supported");
        assert_eq!(refused.get("state"), Some("af0ifjsldkj"), "nothing of the object is used");
        let told = server.get("/.well-known/openid-configuration").send().await.expect(200).json();
        assert_eq!(told["request_parameter_supported"], true, "signed ones are");
        let signed = told["request_object_signing_alg_values_supported"].to_string();
        assert!(!signed.contains("none"), "{signed}");
        let signer = server.client("signer").web_app().private_key(Algorithm::Es256).create().await;
        let refused = server.code_flow(&signer).with("request", &object).refusal(&server.browser()).await;
        assert_eq!(refused.error(), "invalid_request_object");
    }

    async fn oidcc_ensure_request_object_with_redirect_uri(server: &Server) {
        let (_, client) = stage(server).await;
        let object = unsigned(&json!({"redirect_uri": client.redirect}));
        let flow = server.code_flow(&client).with("request", &object);
        assert_eq!(flow.refusal(&server.browser()).await.error(), "request_not_supported");
        // The parameter is what counts: the object cannot make a bad one good, nor a good one bad.
        let answer = flow.with("redirect_uri", "https://elsewhere.example/").begin(&server.browser()).await;
        assert!(answer.expect(400).is_page());
    }

    async fn oidcc_ensure_request_with_valid_pkce_succeeds(server: &Server) {
        let (_, client) = stage(server).await;
        let (flow, browser) = (server.code_flow(&client), server.browser());
        assert!(flow.pairs().contains(&("code_challenge_method", "S256")));
        flow.tokens(&browser, "ada").await;
        // With another verifier than the one that was promised, there is nothing.
        let other = flow.with("code_challenge", &challenge_of(&"x".repeat(43)));
        let callback = other.walk(&browser, "ada").await;
        other.redeem(callback.code()).await.refused(400, "invalid_grant");
    }
}
