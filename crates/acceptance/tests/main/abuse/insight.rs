//! Attacks through the interface of Xpress Insight.

use crate::compat::insight::{House, Pair, on_insight};
use keyreeve_acceptance::{Answer, PASSWORD};
use serde_json::{Value, json};

/// The message of an error, which is all that one refusal may have in common with another.
fn told(answer: &Answer) -> Value {
    let mut error = answer.json()["error"].clone();
    for of_request in ["traceId", "spanId", "timestamp"] {
        error.as_object_mut().unwrap().remove(of_request);
    }
    error
}

async fn login_from(house: &House, from: &str, name: &str, password: &str) -> Answer {
    let body = json!({"username": name, "password": password});
    house.call("POST", "/insightservices/login").json(&body).from(from).send().await
}

on_insight! {
    async fn ac_21_every_refusal_at_the_insight_door_looks_alike(house: &House) {
        let (_, pair, _) = house.armed().await;
        let off = house.mount.user("off").create().await;
        let cookie = house.login("off").await;
        let of_off = house.generate(&cookie).await;
        off.change(keyreeve_identity::StateChange::Disable).await;
        let wrong = Pair { secret: of_off.secret.clone(), ..pair.clone() };
        let nobody = Pair { client_id: "6f2ce9a1-53e4-4c55-9d55-1e6dbb3bd3ef".to_owned(), ..pair.clone() };
        let no_uuid = Pair { client_id: "' OR 1=1 --".to_owned(), ..pair.clone() };
        let mut all = Vec::new();
        for pair in [wrong, nobody, no_uuid, of_off] {
            all.push(told(&house.try_token(&pair, json!(60)).await.expect(401)));
        }
        for (name, password) in [("ada", "wrong"), ("nobody", PASSWORD), ("off", PASSWORD), ("", "")] {
            all.push(told(&house.try_login(name, password).await.expect(401)));
        }
        for token in ["x", "kr_xi_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            all.push(told(&house.token_info(token).await.expect(401)));
        }
        all.dedup();
        assert_eq!(all.len(), 1, "{all:?}");
        let reasons = house.mount.refusals("admission.credential").await;
        assert_eq!(reasons, ["wrong_secret", "unknown_credential", "unknown_credential", "user_disabled"]);
    }

    async fn ac_22_ac_23_the_insight_door_counts_with_all_others(house: &House) {
        // In every spelling, and by either way in.
        for name in ["ada", "ADA", "ａｄａ", " ada ", "Ada"] {
            login_from(house, "127.0.1.1", name, "wrong").await.check(401);
        }
        let waits = login_from(house, "127.0.1.1", "ada", PASSWORD).await.expect(429);
        assert!(waits.header("retry-after").is_some());
        let browser = house.mount.browser();
        let form = browser.sign_in_form().await.with("username", "ada").with("password", PASSWORD);
        let page = browser.form(&form).with(|call| call.from("127.0.1.1")).send().await;
        page.check(429);
        // Nobody is kept out from elsewhere (AC-26).
        login_from(house, "127.0.1.2", "ada", PASSWORD).await.check(200);
    }

    async fn ac_24_guesses_at_a_pair_are_counted(house: &House) {
        let (_, pair, token) = house.armed().await;
        let wrong = Pair { secret: "wrong".to_owned(), ..pair.clone() };
        let mut last = 401;
        for _ in 0..12 {
            last = house.try_token(&wrong, json!(60)).await.status.as_u16();
        }
        assert_eq!(last, 429);
        // Even the right secret waits, and what was given out goes on.
        house.try_token(&pair, json!(60)).await.check(429);
        house.token_info(&token).await.check(200);
        house.server.advance(3_600);
        house.token(&pair).await;
        assert!(house.mount.refusals("admission.credential").await.iter().any(|reason| reason == "throttled"));
    }

    async fn ac_34_no_other_token_is_an_insight_token_nor_an_insight_token_any_other(house: &House) {
        let (cookie, pair, token) = house.armed().await;
        // At the doors of the same tenant.
        house.mount.userinfo(&token).await.check(401);
        for path in ["/t/plant/api/v1/me", "/t/plant/api/v1/users", "/scim/v2/plant/Users"] {
            house.call("GET", path).bearer(&token).send().await.check(401);
        }
        let client = house.mount.client("asking").service().create().await;
        assert!(!house.mount.is_active(&client, &token).await);
        // As a cookie of the sign-in page, and the secret as anything.
        for (name, value) in [("session-plant", &token), ("session-plant", &pair.secret), ("insight_session", &token)] {
            let call = house.v1("GET", "/currentuser").header("cookie", &format!("{name}={value}"));
            call.send().await.check(401);
        }
        house.call("GET", "/t/plant/account").header("cookie", &format!("session-plant={token}")).send().await.check(303);
        // A pair is no client of the token endpoint, and a client no pair.
        let form = [("grant_type", "client_credentials"), ("client_id", pair.client_id.as_str()), ("client_secret", pair.secret.as_str())];
        house.mount.post("/token").form(&form).send().await.check(401);
        let of_client = Pair { client_id: client.client_id.clone(), secret: client.secret().to_owned(), number: 0, created: 0 };
        house.try_token(&of_client, json!(60)).await.check(401);
        for shown in [&pair.secret, &pair.client_id, cookie.split_once('=').unwrap().1] {
            house.token_info(shown).await.check(401);
        }
    }

    async fn ac_16_ac_38_a_secret_is_shown_once_and_dies_with_its_pair(house: &House) {
        let (cookie, pair, token) = house.armed().await;
        let later = house.token(&pair).await;
        let next = house.generate(&cookie).await;
        for dead in [&token, &later] {
            house.token_info(dead).await.check(401);
            house.v1("GET", "/currentuser").bearer(dead).send().await.check(401);
        }
        house.try_token(&pair, json!(60)).await.check(401);
        for path in ["/currentuser", "/currentuser/credentials"] {
            let answer = house.by_cookie(&cookie, "GET", path).send().await.expect(200);
            assert!(!answer.text().contains(&next.secret) && !answer.text().contains(&next.client_id), "{answer}");
        }
    }

    async fn ac_52_nobody_reaches_anothers_pair(house: &House) {
        let (_, pair, token) = house.armed().await;
        house.mount.user("eve").create().await;
        let eve = house.login("eve").await;
        house.by_cookie(&eve, "GET", "/currentuser/credentials").send().await.check(404);
        house.by_cookie(&eve, "DELETE", "/currentuser/credentials").send().await.check(204);
        let own = house.generate(&eve).await;
        assert_eq!(own.number, 1);
        house.token_info(&token).await.check(200);
        house.token(&pair).await;
        let mixed = Pair { client_id: pair.client_id.clone(), ..own };
        house.try_token(&mixed, json!(60)).await.check(401);
    }

    async fn ac_60_no_other_site_makes_a_pair_or_signs_anybody_in(house: &House) {
        let cookie = house.login("ada").await;
        for (method, path) in [("POST", "/currentuser/credentials"), ("DELETE", "/currentuser/credentials")] {
            let bare = || house.v1(method, path).header("cookie", &cookie);
            // What a form of another site can send, and what its scripts cannot send unasked.
            bare().send().await.check(403);
            for site in ["cross-site", "same-site", "odd"] {
                let call = bare().header("x-requested-with", "XMLHttpRequest").header("sec-fetch-site", site);
                call.send().await.check(403);
            }
        }
        let out = house.call("POST", "/insightservices/logout").header("cookie", &cookie);
        out.send().await.check(403);
        house.by_cookie(&cookie, "GET", "/currentuser/credentials").send().await.check(404);
        let form = [("username", "ada"), ("password", PASSWORD)];
        let login = || house.call("POST", "/insightservices/login").form(&form);
        for site in ["cross-site", "same-site"] {
            let answer = login().header("sec-fetch-site", site).send().await.expect(403);
            assert_eq!(answer.cookies().count(), 0);
        }
        login().header("sec-fetch-site", "same-origin").send().await.check(200);
        let text = json!({"username": "ada", "password": PASSWORD}).to_string();
        house.call("POST", "/insightservices/login").body("text/plain", text).send().await.check(415);
        let answer = house.v1("GET", "/currentuser").header("cookie", &cookie).header("origin", "https://evil.test");
        assert_eq!(answer.send().await.expect(200).header("access-control-allow-origin"), None);
    }

    async fn ac_10_a_planted_insight_cookie_is_worth_nothing_after_a_sign_in(house: &House) {
        let planted = house.login("ada").await;
        let body = json!({"username": "ada", "password": PASSWORD});
        let answer = house.call("POST", "/insightservices/login").json(&body).header("cookie", &planted).send().await;
        let (name, value, _) = answer.cookies().next().unwrap();
        house.by_cookie(&planted, "GET", "/currentuser").send().await.check(401);
        house.by_cookie(&format!("{name}={value}"), "GET", "/currentuser").send().await.check(200);
    }
}
