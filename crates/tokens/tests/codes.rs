//! Authorization codes at the token endpoint.

use crate::house::{REDIRECT, VERIFIER, claims, house, refresh_token, refused};
use keyreeve_testkit::{Engine, on_both_engines};
use keyreeve_tokens::grants::CodeRedemption;

on_both_engines! {
    async fn a_code_becomes_tokens_that_say_what_they_should(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        house.advance(5);
        let response = house.tokens_for(&portal, &session).await;
        assert_eq!((response.token_type, response.expires_in), ("Bearer", 300));
        assert_eq!(response.scope.as_str(), "email openid profile");

        let access = claims(&response.access_token);
        assert_eq!(access["iss"], "https://id.example");
        assert_eq!(access["sub"], house.ada.id.to_string());
        assert_eq!(access["aud"], "https://id.example");
        assert_eq!(access["client_id"], "portal");
        assert_eq!(access["scope"], "email openid profile");
        assert_eq!(access["auth_time"], session.auth_time().seconds());
        assert_eq!(access["exp"].as_i64().unwrap() - access["iat"].as_i64().unwrap(), 300);
        assert_eq!(access["amr"], serde_json::json!(["pwd"]));

        let id = claims(response.id_token.as_deref().unwrap());
        assert_eq!(id["aud"], "portal");
        assert_eq!(id["sub"], access["sub"]);
        assert_eq!(id["nonce"], "n-0S6");
        assert_eq!(id["sid"], session.session().unwrap().to_string());
        assert_eq!(id["auth_time"], access["auth_time"]);
        assert!(id.contains_key("at_hash"));
        assert!(!id.contains_key("email"), "claims of scopes are told at userinfo");
        assert!(house.is_good(&response.access_token).await);
        house.check().await;
    }

    async fn ac_08_a_code_that_comes_twice_ends_what_it_led_to(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let code = house.code(&[], &session).await;
        let response = house.redeem(&portal, &code).await.expect("tokens");
        assert!(house.is_good(&response.access_token).await);
        let (again, lines) = house.lines_of(house.redeem(&portal, &code)).await;
        assert_eq!(refused(again), "invalid_grant");
        assert_eq!(lines, ["token.reuse refused code_used_again"]);
        assert!(!house.is_good(&response.access_token).await);
        assert_eq!(refused(house.refresh(&portal, refresh_token(&response)).await), "invalid_grant");
    }

    async fn ac_08_a_code_is_for_one_client_one_address_and_thirty_seconds(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let spa = house.spa().await;
        let session = house.sign_in().await;
        let good = |code| CodeRedemption { code, redirect_uri: Some(REDIRECT), code_verifier: Some(VERIFIER) };

        let code = house.code(&[], &session).await;
        let (stolen, lines) = house.lines_of(house.redeem(&spa, &code)).await;
        assert_eq!(refused(stolen), "invalid_grant");
        assert_eq!(lines, ["admission.code refused code_of_another_client"]);
        assert_eq!(refused(house.redeem(&portal, &code).await), "invalid_grant", "a code that leaked is burnt");

        for (redirect_uri, reason) in [
            (None, "other_redirect_uri"),
            (Some("https://portal.example/cb/"), "other_redirect_uri"),
            (Some("https://portal.example/cb?x=1"), "other_redirect_uri"),
        ] {
            let code = house.code(&[], &session).await;
            let redemption = CodeRedemption { code: &code, redirect_uri, code_verifier: Some(VERIFIER) };
            let attempt = house.redeem_with(&portal, redemption);
            let (answer, lines) = house.lines_of(attempt).await;
            assert_eq!(refused(answer), "invalid_grant", "{redirect_uri:?}");
            assert_eq!(lines, [format!("admission.code refused {reason}")]);
        }

        let code = house.code(&[], &session).await;
        house.advance(29);
        assert!(house.redeem_with(&portal, good(&code)).await.is_ok());
        let code = house.code(&[], &session).await;
        house.advance(30);
        let (late, lines) = house.lines_of(house.redeem_with(&portal, good(&code))).await;
        assert_eq!(refused(late), "invalid_grant");
        assert_eq!(lines, ["admission.code refused code_expired"]);

        for unknown in ["", "x", "kr_ac_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &"x".repeat(10_000)] {
            assert_eq!(refused(house.redeem_with(&portal, good(unknown)).await), "invalid_grant");
        }
    }

    async fn ac_09_the_verifier_must_be_the_one(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let other = "x".repeat(43);
        for (verifier, reason) in [
            (None, "verifier_missing"),
            (Some(other.as_str()), "verifier_wrong"),
            (Some(crate::house::challenge().as_str()), "verifier_wrong"),
        ] {
            let code = house.code(&[], &session).await;
            let redemption = CodeRedemption { code: &code, redirect_uri: Some(REDIRECT), code_verifier: verifier };
            let (answer, lines) = house.lines_of(house.redeem_with(&portal, redemption)).await;
            assert_eq!(refused(answer), "invalid_grant");
            assert_eq!(lines, [format!("admission.code refused {reason}")]);
        }
        // The challenge was taken away on the way: the client's verifier tells.
        let code = house.code(&[("code_challenge", ""), ("code_challenge_method", "")], &session).await;
        let (answer, lines) = house.lines_of(house.redeem(&portal, &code)).await;
        assert_eq!(refused(answer), "invalid_grant");
        assert_eq!(lines, ["admission.code refused verifier_without_challenge"]);
    }

    async fn ac_17_of_many_attempts_with_one_code_one_wins(engine: Engine) {
        let house = std::sync::Arc::new(house(engine).await);
        let portal = std::sync::Arc::new(house.portal().await);
        let session = house.sign_in().await;
        let code = house.code(&[], &session).await;
        let attempts: Vec<_> = (0..16)
            .map(|_| {
                let (house, portal, code) = (house.clone(), portal.clone(), code.clone());
                tokio::spawn(async move { house.redeem(&portal, &code).await })
            })
            .collect();
        let mut won = Vec::new();
        for attempt in attempts {
            match attempt.await.expect("an attempt") {
                Ok(response) => won.push(response),
                Err(error) => assert_eq!(error.code(), "invalid_grant"),
            }
        }
        assert_eq!(won.len(), 1);
        assert!(!house.is_good(&won[0].access_token).await, "the others showed that the code had leaked");
        house.check().await;
    }

    async fn a_code_asks_admission(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let code = house.code(&[], &session).await;
        house.end(&session).await;
        let (answer, lines) = house.lines_of(house.redeem(&portal, &code)).await;
        assert_eq!(refused(answer), "invalid_grant");
        assert_eq!(lines, ["admission.code refused session_over"]);

        let session = house.sign_in().await;
        let code = house.code(&[], &session).await;
        house.change_user(keyreeve_identity::StateChange::Lock).await;
        let (answer, lines) = house.lines_of(house.redeem(&portal, &code)).await;
        assert_eq!(refused(answer), "invalid_grant");
        assert_eq!(lines, ["admission.code refused user_locked"]);
    }

    async fn a_client_gets_what_it_may_use_and_no_more(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let code = house.code(&[], &session).await;
        house.set(&portal, |settings| {
            settings.grant_types.remove(&keyreeve_tokens::clients::GrantType::RefreshToken);
        })
        .await;
        let response = house.redeem(&portal, &code).await.expect("tokens");
        assert!(response.refresh_token.is_none());
        // Without a refresh token the grant ends with its tokens.
        house.advance(301);
        assert!(!house.is_good(&response.access_token).await);

        let code = house.code(&[("scope", "profile")], &house.sign_in().await).await;
        let response = house.redeem(&portal, &code).await.expect("tokens");
        assert!(response.id_token.is_none(), "without openid it is no OpenID Connect request");

        house.set(&portal, |settings| settings.grant_types.clear()).await;
        assert_eq!(refused(house.redeem(&portal, "x").await), "unauthorized_client");
    }
}
