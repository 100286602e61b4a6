//! What comes back: the response of the code flow, and the ID token in it.

use super::stage;
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyreeve_acceptance::jwt::Jwt;
use keyreeve_acceptance::{Mount, Server, TestClient, TestUser, TokenSet, on_a_server};
use keyreeve_crypto::sign::Algorithm;
use serde_json::json;

/// The ID token as OpenID Connect Core section 3.1.3.7 has a client check it.
async fn checked(mount: &Mount, client: &TestClient, ada: &TestUser, tokens: &TokenSet) -> Jwt {
    let id = tokens.id_token(mount).await;
    let now = mount.now().seconds();
    assert_eq!(id.text("iss"), mount.issuer());
    assert_eq!(id.claims["aud"], json!(client.client_id));
    assert_eq!(id.text("sub"), ada.sub());
    assert!(id.text("sub").is_ascii() && id.text("sub").len() <= 255);
    assert!(id.number("exp") > now && id.number("exp") <= now + 3_600);
    assert!(id.number("iat") <= now && id.number("auth_time") <= now);
    let hashed = match id.header["alg"].as_str() {
        Some("EdDSA") => digest(&SHA512, tokens.access.as_bytes()),
        _ => digest(&SHA256, tokens.access.as_bytes()),
    };
    let left = &hashed.as_ref()[..hashed.as_ref().len() / 2];
    assert_eq!(id.text("at_hash"), URL_SAFE_NO_PAD.encode(left));
    id
}

on_a_server! {
    async fn oidcc_server(server: &Server) {
        let (ada, client) = stage(server).await;
        let flow = server.code_flow(&client);
        let browser = server.browser();
        let callback = flow.walk(&browser, "ada").await;
        assert_eq!(callback.pages, ["sign_in", "consent"]);
        assert_eq!(callback.get("state"), Some("af0ifjsldkj"));
        assert_eq!(callback.get("iss"), Some(server.issuer().as_str()), "RFC 9207");
        assert_eq!(callback.params.len(), 3, "code, state, iss and nothing else: {callback:?}");
        let tokens = TokenSet::read(&flow.redeem(callback.code()).await);
        let id = checked(server, &client, &ada, &tokens).await;
        assert_eq!(id.text("nonce"), "n-0S6_WzA2Mj");
        let visible = |text: &str| text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
        assert!(visible(&tokens.access) && visible(tokens.refresh()), "RFC 6749 appendix A");
        let told = server.userinfo(&tokens.access).await.expect(200).json();
        assert_eq!(told["sub"], id.claims["sub"]);
    }

    async fn oidcc_server_client_secret_post(server: &Server) {
        let (ada, _) = stage(server).await;
        let client = server.client("poster").web_app().secret_post().create().await;
        let tokens = server.code_flow(&client).tokens(&server.browser(), "ada").await;
        checked(server, &client, &ada, &tokens).await;
    }

    async fn oidcc_response_type_missing(server: &Server) {
        let (_, client) = stage(server).await;
        let refused = server.code_flow(&client).without("response_type").refusal(&server.browser()).await;
        assert_eq!(refused.error(), "invalid_request");
        assert_eq!(refused.get("state"), Some("af0ifjsldkj"));
        assert_eq!(refused.get("iss"), Some(server.issuer().as_str()));
    }

    async fn oidcc_idtoken_signature(server: &Server) {
        let (ada, _) = stage(server).await;
        for alg in Algorithm::ALL {
            let name = format!("suite-{}", alg.as_str().to_lowercase());
            let client = server.client(&name).web_app().with(|s| s.id_token_alg = Some(alg)).create().await;
            let tokens = server.code_flow(&client).tokens(&server.browser(), "ada").await;
            let id = checked(server, &client, &ada, &tokens).await;
            assert_eq!(id.header["alg"], alg.as_str());
            assert!(id.header["kid"].is_string());
            let told = server.get("/.well-known/openid-configuration").send().await.expect(200).json();
            let algorithms = told["id_token_signing_alg_values_supported"].as_array().unwrap();
            assert!(algorithms.contains(&json!(alg.as_str())));
        }
    }

    async fn oidcc_idtoken_unsigned(server: &Server) {
        let (_, client) = stage(server).await;
        let told = server.get("/.well-known/openid-configuration").send().await.expect(200).json();
        for (name, value) in told.as_object().unwrap() {
            let methods = name.ends_with("auth_methods_supported") || name.starts_with("prompt");
            assert!(methods || !value.to_string().contains("\"none\""), "{name}: {value}");
        }
        // Nor can a client be registered for it: the setting has no such value.
        let mut settings = serde_json::to_value(&client.client.settings).unwrap();
        settings["id_token_alg"] = json!("none");
        assert!(serde_json::from_value::<keyreeve_tokens::ClientSettings>(settings).is_err());
    }
}
