//! Refresh tokens: rotation, reuse, and what they end with.

use crate::house::{App, House, claims, house, origin, refresh_token, refused};
use keyreeve_crypto::Secret;
use keyreeve_identity::{Cause, StateChange};
use keyreeve_testkit::{Engine, on_both_engines};
use keyreeve_tokens::grants::RefreshRequest;
use keyreeve_tokens::{TokenError, TokenResponse};

async fn refresh_scope(
    house: &House,
    app: &App,
    token: &str,
    scope: &str,
) -> Result<TokenResponse, TokenError> {
    let client = house.login(app).await;
    let request = RefreshRequest { refresh_token: token, scope: Some(scope) };
    house.tokens.refresh(&house.tenant, &client, request, &origin()).await
}

on_both_engines! {
    async fn a_refresh_token_is_rotated(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let first = house.tokens_for(&portal, &session).await;
        house.advance(400);
        assert!(!house.is_good(&first.access_token).await);
        let (second, lines) = house.lines_of(house.refresh(&portal, refresh_token(&first))).await;
        let second = second.expect("tokens");
        assert_eq!(lines, ["admission.refresh success"]);
        assert_ne!(first.refresh_token, second.refresh_token);
        assert!(house.is_good(&second.access_token).await);
        let id = claims(second.id_token.as_deref().unwrap());
        assert_eq!(id["auth_time"], session.auth_time().seconds());
        assert!(!id.contains_key("nonce"));
        assert!(house.refresh(&portal, refresh_token(&second)).await.is_ok());
        house.check().await;
    }

    async fn a_rotated_token_that_comes_again_ends_the_grant(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let first = house.tokens_for(&portal, &session).await;
        let second = house.refresh(&portal, refresh_token(&first)).await.expect("tokens");
        let third = house.refresh(&portal, refresh_token(&second)).await.expect("tokens");
        let (reused, lines) = house.lines_of(house.refresh(&portal, refresh_token(&first))).await;
        assert_eq!(refused(reused), "invalid_grant");
        assert_eq!(lines, ["token.reuse refused refresh_token_used_again"]);
        assert_eq!(refused(house.refresh(&portal, refresh_token(&third)).await), "invalid_grant");
        assert!(!house.is_good(&third.access_token).await);
    }

    async fn ac_17_of_many_attempts_with_one_refresh_token_one_wins(engine: Engine) {
        let house = std::sync::Arc::new(house(engine).await);
        let portal = std::sync::Arc::new(house.portal().await);
        let session = house.sign_in().await;
        let first = house.tokens_for(&portal, &session).await;
        let token = refresh_token(&first).to_owned();
        let attempts: Vec<_> = (0..16)
            .map(|_| {
                let (house, portal, token) = (house.clone(), portal.clone(), token.clone());
                tokio::spawn(async move { house.refresh(&portal, &token).await })
            })
            .collect();
        let mut won = 0;
        for attempt in attempts {
            match attempt.await.expect("an attempt") {
                Ok(_) => won += 1,
                Err(error) => assert_eq!(error.code(), "invalid_grant"),
            }
        }
        assert_eq!(won, 1);
        house.check().await;
    }

    async fn a_refresh_token_is_its_clients_alone(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let spa = house.spa().await;
        let session = house.sign_in().await;
        let first = house.tokens_for(&portal, &session).await;
        let (stolen, lines) = house.lines_of(house.refresh(&spa, refresh_token(&first))).await;
        assert_eq!(refused(stolen), "invalid_grant");
        assert_eq!(lines, ["token.reuse refused refresh_token_of_another_client"]);
        assert_eq!(refused(house.refresh(&portal, refresh_token(&first)).await), "invalid_grant");
        for unknown in ["", "x", "kr_rt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", first.access_token.as_str()] {
            assert_eq!(refused(house.refresh(&portal, unknown).await), "invalid_grant");
        }
    }

    async fn less_may_be_asked_for_but_not_more(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let first = house.tokens_for(&portal, &session).await;
        let more = refresh_scope(&house, &portal, refresh_token(&first), "openid offline_access").await;
        assert_eq!(refused(more), "invalid_scope");
        let less = refresh_scope(&house, &portal, refresh_token(&first), "openid").await.expect("not consumed");
        assert_eq!(less.scope.as_str(), "openid");
        assert_eq!(claims(&less.access_token)["scope"], "openid");
        let whole = house.refresh(&portal, refresh_token(&less)).await.expect("tokens");
        assert_eq!(whole.scope.as_str(), "email openid profile", "the grant is not narrowed");
    }

    async fn a_grant_ends_when_unused_and_when_old(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let scope = [("scope", "openid offline_access")];
        let code = house.code(&scope, &session).await;
        let mut response = house.redeem(&portal, &code).await.expect("tokens");
        // Every 29 days, it goes on until the 90th.
        for _ in 0..3 {
            house.advance(29 * 86_400);
            response = house.refresh(&portal, refresh_token(&response)).await.expect("within the idle life");
        }
        house.advance(4 * 86_400);
        let (old, lines) = house.lines_of(house.refresh(&portal, refresh_token(&response))).await;
        assert_eq!(refused(old), "invalid_grant");
        assert_eq!(lines, ["admission.refresh refused refresh_token_expired"]);

        let session = house.sign_in().await;
        let code = house.code(&scope, &session).await;
        let response = house.redeem(&portal, &code).await.expect("tokens");
        house.advance(30 * 86_400);
        assert_eq!(refused(house.refresh(&portal, refresh_token(&response)).await), "invalid_grant");
    }

    async fn a_grant_ends_with_its_session_unless_it_is_offline(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let online = house.tokens_for(&portal, &session).await;
        let code = house.code(&[("scope", "openid offline_access")], &session).await;
        let offline = house.redeem(&portal, &code).await.expect("tokens");
        assert!(claims(&offline.access_token).get("sid").is_none());
        house.end(&session).await;
        assert!(!house.is_good(&online.access_token).await);
        assert_eq!(refused(house.refresh(&portal, refresh_token(&online)).await), "invalid_grant");
        assert!(house.is_good(&offline.access_token).await);
        assert!(house.refresh(&portal, refresh_token(&offline)).await.is_ok());
    }

    async fn a_password_that_somebody_else_gives_ends_what_was_granted_offline(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let user = session.user().expect("a user").id;
        let code = house.code(&[("scope", "openid offline_access")], &session).await;
        let first = house.redeem(&portal, &code).await.expect("tokens");
        house.advance(60);
        let (of, password) = ((house.tenant.id, user), Secret::new("Grebe-basalt-ferry-3"));
        let set = house.identity.passwords().set(of, password, false, &Cause::operator()).await;
        set.expect("a new password");
        let (refused_now, lines) = house.lines_of(house.refresh(&portal, refresh_token(&first))).await;
        assert_eq!(refused(refused_now), "invalid_grant");
        assert_eq!(lines, ["admission.refresh refused password_reset"]);
    }

    async fn a_disabled_user_is_refused_and_goes_on_when_enabled_again(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let code = house.code(&[("scope", "openid offline_access")], &session).await;
        let first = house.redeem(&portal, &code).await.expect("tokens");
        house.change_user(StateChange::Disable).await;
        assert!(!house.is_good(&first.access_token).await);
        let (answer, lines) = house.lines_of(house.refresh(&portal, refresh_token(&first))).await;
        assert_eq!(refused(answer), "invalid_grant");
        assert_eq!(lines, ["admission.refresh refused user_disabled"]);
        house.change_user(StateChange::Enable).await;
        assert!(house.is_good(&first.access_token).await);
        let second = house.refresh(&portal, refresh_token(&first)).await.expect("the token was not consumed");
        assert_ne!(first.refresh_token, second.refresh_token);
    }
}
