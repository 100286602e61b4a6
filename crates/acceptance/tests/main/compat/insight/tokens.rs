//! How long tokens live, and what ends them.

use super::house::fails;
use super::{House, Pair, on_insight};
use keyreeve_acceptance::{Engine, Setup};
use keyreeve_identity::{Cause, StateChange};
use serde_json::json;

on_insight! {
    async fn a_token_lives_as_long_as_asked_but_no_longer_than_allowed(house: &House) {
        let cookie = house.login("ada").await;
        let pair = house.generate(&cookie).await;
        for (max_age, lives) in [(json!(1), 1), (json!(60), 60), (json!(900), 900), (json!(100_000), 900), (json!(null), 900)] {
            let token = house.try_token(&pair, max_age.clone()).await.expect(200).json();
            let token = token.as_str().unwrap();
            house.server.advance(lives - 1);
            house.token_info(token).await.check(200);
            house.server.advance(1);
            fails(&house.token_info(token).await, 401);
            fails(&house.v1("GET", "/currentuser").bearer(token).send().await, 401);
        }
        let absent = json!({"clientId": pair.client_id, "secret": pair.secret});
        house.v1("POST", "/token").json(&absent).send().await.check(200);
        for max_age in [json!(0), json!(-1), json!(i64::MIN)] {
            let error = fails(&house.try_token(&pair, max_age).await, 422);
            assert_eq!(error["innerError"]["code"], json!("FICO-Platform-Validation-InvalidValue"));
            assert_eq!(error["details"][0]["target"], json!("maxAge"));
        }
        for max_age in [json!("60"), json!(60.5), json!(true), json!([60])] {
            fails(&house.try_token(&pair, max_age).await, 400);
        }
        // What is wrong with the request counts as no attempt.
        assert_eq!(house.mount.refusals("admission.credential").await, Vec::<String>::new());
    }

    async fn whoever_is_switched_off_has_no_token_and_gets_none(house: &House) {
        let user = house.mount.user("bob").create().await;
        for (off, on, reason) in [
            (StateChange::Disable, Some(StateChange::Enable), "user_disabled"),
            (StateChange::Lock, Some(StateChange::Unlock), "user_locked"),
            (StateChange::Archive, None, "unknown_user"),
        ] {
            let cookie = house.login("bob").await;
            let pair = house.generate(&cookie).await;
            let token = house.token(&pair).await;
            user.change(off).await;
            fails(&house.token_info(&token).await, 401);
            fails(&house.by_cookie(&cookie, "GET", "/currentuser").send().await, 401);
            let refused = fails(&house.try_token(&pair, json!(900)).await, 401);
            let unknown = Pair { client_id: uuid::Uuid::max().to_string(), ..pair.clone() };
            let other = fails(&house.try_token(&unknown, json!(900)).await, 401);
            assert_eq!(refused["message"], other["message"]);
            let reasons = house.mount.refusals("admission.credential").await;
            assert!(reasons.iter().any(|known| known == reason), "{reasons:?}");
            house.server.advance(3_600);
            if let Some(on) = on {
                user.change(on).await;
                // The pair is good again, former tokens are not.
                house.token(&pair).await;
                fails(&house.token_info(&token).await, 401);
            }
        }
    }

    async fn a_token_stands_for_a_session_and_ends_with_it(house: &House) {
        let (_, pair, token) = house.armed().await;
        let identity = house.server.identity();
        let id = house.token_info(&token).await.expect(200).json()["uid"].as_str().unwrap().parse().unwrap();
        let sessions = identity.sessions().list(house.mount.id(), id).await.unwrap();
        assert_eq!(sessions.len(), 2, "that of the cookie, and that of the token");
        let newest = sessions.first().unwrap();
        assert_eq!(newest.expires_at, house.server.now().plus(std::time::Duration::from_secs(900)));
        identity.sessions().end(house.mount.id(), id, newest.id, &Cause::operator()).await.unwrap();
        fails(&house.token_info(&token).await, 401);
        // The cookie's session is another, and so are further tokens'.
        let token = house.token(&pair).await;
        identity.sessions().end_all(house.mount.id(), id, None, &Cause::operator()).await.unwrap();
        fails(&house.token_info(&token).await, 401);
    }

    async fn a_tenant_that_is_switched_off_lets_nobody_in(house: &House) {
        let (cookie, pair, token) = house.armed().await;
        house.mount.set_enabled(false).await;
        fails(&house.token_info(&token).await, 401);
        fails(&house.by_cookie(&cookie, "GET", "/currentuser").send().await, 401);
        fails(&house.try_token(&pair, json!(900)).await, 401);
        fails(&house.try_login("ada", keyreeve_acceptance::PASSWORD).await, 401);
        house.mount.set_enabled(true).await;
        house.token(&pair).await;
    }
}

/// With the longest life that the original allows.
fn an_hour(engine: Engine) {
    let setup = Setup::new(engine).set("KEYREEVE_COMPAT_INSIGHT_TOKEN_MAX_AGE_S", "3600");
    House::run_with(setup, async |house: &House| {
        let cookie = house.login("ada").await;
        let pair = house.generate(&cookie).await;
        for max_age in [json!(100_000), json!(null)] {
            let token = house.try_token(&pair, max_age).await.expect(200).json();
            house.server.advance(3_599);
            house.token_info(token.as_str().unwrap()).await.check(200);
            house.server.advance(1);
            fails(&house.token_info(token.as_str().unwrap()).await, 401);
        }
    });
}

#[test]
fn tokens_may_be_set_to_live_an_hour() {
    an_hour(Engine::Sqlite);
    an_hour(Engine::Postgres);
}
