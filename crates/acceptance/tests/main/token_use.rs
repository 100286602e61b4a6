//! What is done with tokens: userinfo (RFC 6750), introspection (RFC 7662), revocation (RFC 7009).

use keyreeve_acceptance::jwt::with_another_signature;
use keyreeve_acceptance::{Server, TestClient, TokenSet, on_a_server};
use serde_json::json;

async fn scene(server: &Server) -> (TestClient, TokenSet) {
    server.user("ada").email("ada@example.org").create().await;
    let client = server.client("portal").web_app().create().await;
    let tokens = server.code_flow(&client).tokens(&server.browser(), "ada").await;
    (client, tokens)
}

on_a_server! {
    async fn rfc6750_errors_of_bearers(server: &Server) {
        let (_, tokens) = scene(server).await;
        let robot = server.client("robot").service().create().await;
        let of_robot = server.token(&robot, &[("grant_type", "client_credentials")]).await.expect(200);
        let of_robot = of_robot.json()["access_token"].as_str().unwrap().to_owned();
        let good = tokens.access.as_str();
        let bearer = |token: &str| server.get("/userinfo").bearer(token);
        let altered = with_another_signature(good);
        for (call, status, error) in [
            (server.get("/userinfo"), 401, None),
            (server.get("/userinfo").basic("portal", "x"), 401, None),
            (bearer("nonsense"), 401, Some("invalid_token")),
            (bearer(&altered), 401, Some("invalid_token")),
            (bearer(tokens.id()), 401, Some("invalid_token")),
            (bearer(tokens.refresh()), 401, Some("invalid_token")),
            (bearer(good).bearer(good), 400, Some("invalid_request")),
            (server.post("/userinfo").bearer(good).form(&[("access_token", good)]), 400, Some("invalid_request")),
            (server.post("/userinfo").form(&[("access_token", good), ("access_token", good)]), 400, Some("invalid_request")),
            // Section 2.3 lets a server refuse tokens in URLs, and RFC 9700 section 4.3.2 wants it so.
            (server.get("/userinfo").query(&[("access_token", good)]), 400, Some("invalid_request")),
            (bearer(&of_robot), 403, Some("insufficient_scope")),
        ] {
            let answer = call.send().await.expect(status);
            let challenge = answer.challenge().unwrap_or_else(|| panic!("no challenge\n{answer}"));
            assert!(challenge.starts_with("Bearer realm=\"keyreeve\""), "{answer}");
            match error {
                Some(error) => assert!(challenge.contains(&format!("error=\"{error}\"")), "{answer}"),
                None => assert!(!challenge.contains("error"), "section 3.1: no code without a token\n{answer}"),
            }
        }
        server.advance(301);
        let expired = bearer(good).send().await.expect(401);
        assert!(expired.challenge().unwrap().contains("invalid_token"));
    }

    async fn userinfo_tells_what_is_true_now(server: &Server) {
        let ada = server.user("ada").profile(|profile| profile.given_name = Some("Ada".to_owned())).create().await;
        let client = server.client("portal").web_app().create().await;
        let tokens = server.code_flow(&client).tokens(&server.browser(), "ada").await;
        assert_eq!(server.userinfo(&tokens.access).await.expect(200).json()["given_name"], "Ada");
        ada.rename("Augusta").await;
        assert_eq!(server.userinfo(&tokens.access).await.expect(200).json()["given_name"], "Augusta");
    }

    async fn rfc7662_a_good_token_is_described(server: &Server) {
        let (client, tokens) = scene(server).await;
        let claims = tokens.access_token(server).await;
        let answer = server.post_as(&client, "/introspect", &[("token", &tokens.access), ("token_type_hint", "access_token")]);
        let told = answer.send().await.expect(200).json();
        assert_eq!((&told["active"], &told["token_type"]), (&json!(true), &json!("Bearer")));
        assert_eq!(told["username"], "ada");
        for same in ["scope", "client_id", "exp", "iat", "sub", "iss", "jti"] {
            assert_eq!(told[same], claims.claims[same], "{same}");
        }
        // A hint that is wrong does no harm (section 2.1).
        let hinted = [("token", tokens.refresh()), ("token_type_hint", "access_token")];
        let told = server.post_as(&client, "/introspect", &hinted).send().await.expect(200).json();
        assert_eq!((&told["active"], &told["client_id"]), (&json!(true), &json!("portal")));
    }

    async fn rfc7662_of_anything_else_nothing_is_told(server: &Server) {
        let (client, tokens) = scene(server).await;
        let other = server.client("other").web_app().create().await;
        let answer = async |asking: &TestClient, token: &str| {
            server.post_as(asking, "/introspect", &[("token", token)]).send().await.expect(200).json()
        };
        let nothing = json!({"active": false});
        for (asking, token) in [
            (&client, "nonsense"),
            (&client, tokens.id()),
            (&client, "kr_rt_unknown"),
            (&other, tokens.access.as_str()),
            (&other, tokens.refresh()),
        ] {
            assert_eq!(answer(asking, token).await, nothing);
        }
        server.advance(301);
        assert_eq!(answer(&client, &tokens.access).await, nothing, "expired");
    }

    async fn rfc7662_only_who_proves_itself_is_told(server: &Server) {
        let (_, tokens) = scene(server).await;
        let public = server.client("spa").web_app().public().create().await;
        let form = [("token", tokens.access.as_str())];
        server.post_as(&public, "/introspect", &form).send().await.refused(401, "invalid_client");
        server.post("/introspect").form(&form).send().await.refused(401, "invalid_client");
        server.post("/introspect").bearer(&tokens.access).form(&form).send().await.refused(401, "invalid_client");
        let robot = server.client("robot").service().create().await;
        server.post_as(&robot, "/introspect", &[]).send().await.refused(400, "invalid_request");
    }

    async fn rfc7662_a_resource_server_is_told_of_tokens_for_it(server: &Server) {
        server.user("ada").create().await;
        let audience = "https://api.example";
        let client = server.client("portal").web_app().with(|s| s.audiences = vec![audience.to_owned()]).create().await;
        let api = server.client("api").service().with(|s| s.resources = vec![audience.to_owned()]).create().await;
        let tokens = server.code_flow(&client).scope("openid").tokens(&server.browser(), "ada").await;
        let aud = tokens.access_token(server).await.claims["aud"].clone();
        assert_eq!(aud, json!([audience, server.issuer()]), "its own endpoints are for the openid scope");
        assert!(server.is_active(&api, &tokens.access).await);
        assert!(!server.is_active(&api, tokens.refresh()).await, "a refresh token is its client's alone");
        let api_without = server.client("api2").service().create().await;
        assert!(!server.is_active(&api_without, &tokens.access).await);
    }

    async fn rfc7009_an_access_token_ends_alone(server: &Server) {
        let (client, tokens) = scene(server).await;
        let revoke = server.post_as(&client, "/revoke", &[("token", &tokens.access), ("token_type_hint", "refresh_token")]);
        revoke.send().await.check(200);
        server.userinfo(&tokens.access).await.check(401);
        assert!(!server.is_active(&client, &tokens.access).await);
        let next = server.refresh(&client, tokens.refresh()).await;
        server.userinfo(&next.access).await.check(200);
    }

    async fn rfc7009_a_refresh_token_ends_everything_of_its_grant(server: &Server) {
        let (client, tokens) = scene(server).await;
        let next = server.refresh(&client, tokens.refresh()).await;
        server.post_as(&client, "/revoke", &[("token", next.refresh())]).send().await.check(200);
        for tokens in [&tokens, &next] {
            server.userinfo(&tokens.access).await.check(401);
        }
        server.try_refresh(&client, next.refresh()).await.refused(400, "invalid_grant");
        assert_eq!(server.audited("token.revoke").await.len(), 1);
        // Once more is no error (section 2.2).
        server.post_as(&client, "/revoke", &[("token", next.refresh())]).send().await.check(200);
    }

    async fn rfc7009_errors(server: &Server) {
        let (client, tokens) = scene(server).await;
        let other = server.client("other").web_app().create().await;
        server.post_as(&client, "/revoke", &[]).send().await.refused(400, "invalid_request");
        server.post("/revoke").form(&[("token", &tokens.access)]).send().await.refused(401, "invalid_client");
        for token in ["nonsense", tokens.id(), "kr_rt_unknown"] {
            server.post_as(&client, "/revoke", &[("token", token)]).send().await.check(200);
        }
        for token in [tokens.access.as_str(), tokens.refresh()] {
            server.post_as(&other, "/revoke", &[("token", token)]).send().await.check(200);
        }
        assert_eq!(server.refusals("token.revoke").await, ["token_of_another_client"; 2]);
        server.userinfo(&tokens.access).await.check(200);
        server.refresh(&client, tokens.refresh()).await;
    }

    async fn rfc7009_a_public_client_gives_its_own_tokens_back(server: &Server) {
        server.user("ada").create().await;
        let public = server.client("spa").web_app().public().create().await;
        let tokens = server.code_flow(&public).tokens(&server.browser(), "ada").await;
        server.post_as(&public, "/revoke", &[("token", tokens.refresh())]).send().await.check(200);
        server.userinfo(&tokens.access).await.check(401);
    }
}
