//! Signing in with a cookie.

use super::house::fails;
use super::{House, on_insight};
use keyreeve_acceptance::{Engine, PASSWORD, Setup};
use serde_json::json;

on_insight! {
    async fn signing_in_sets_a_cookie_that_scripts_and_other_sites_do_not_see(house: &House) {
        let answer = house.try_login("ada", PASSWORD).await.expect(200);
        assert_eq!(answer.json()["displayName"], json!("Ada Lovelace"));
        let cookie = answer.header("set-cookie").unwrap();
        assert!(cookie.starts_with("insight_session=kr_se_"), "{cookie}");
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
        let form = [("username", " ADA "), ("password", PASSWORD)];
        house.call("POST", "/insightservices/login").form(&form).send().await.check(200);
        house.try_login("ada@example.org", PASSWORD).await.check(200);
    }

    async fn signing_out_ends_the_session_and_no_token(house: &House) {
        let (cookie, _, token) = house.armed().await;
        let out = |cookie: &str| {
            let call = house.call("POST", "/insightservices/logout").header("cookie", cookie);
            call.header("x-requested-with", "XMLHttpRequest").send()
        };
        let answer = out(&cookie).await.expect(204);
        assert_eq!(answer.header("set-cookie"), Some("insight_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"));
        fails(&house.by_cookie(&cookie, "GET", "/currentuser").send().await, 401);
        fails(&out(&cookie).await, 401);
        house.token_info(&token).await.check(200);
    }

    async fn what_is_no_sign_in_is_told_so(house: &House) {
        let login = || house.call("POST", "/insightservices/login");
        fails(&house.try_login("ada", "wrong").await, 401);
        fails(&house.try_login("nobody", PASSWORD).await, 401);
        for body in ["", "{", "[]", "\"ada\"", "{\"username\":\"ada\"}", "{\"username\":\"ada\",\"password\":7}",
            "{\"username\":\"ada\",\"username\":\"bob\",\"password\":\"x\"}"]
        {
            fails(&login().body("application/json", body).send().await, 400);
        }
        fails(&login().form(&[("username", "ada"), ("username", "bob"), ("password", "x")]).send().await, 400);
        fails(&login().form(&[("username", "ada")]).send().await, 400);
        fails(&login().body("text/plain", "{}").send().await, 415);
        fails(&login().send().await, 415);
        house.mount.user("new").must_change_password().create().await;
        let answer = house.try_login("new", PASSWORD).await;
        let error = fails(&answer, 403);
        assert!(error["message"].as_str().unwrap().contains("password must be changed"), "{answer}");
        assert_eq!(answer.cookies().count(), 0);
    }
}

#[test]
fn over_https_the_cookie_is_bound_to_the_host() {
    House::run_with(
        Setup::new(Engine::Sqlite).public_url("https://insight.example"),
        async |house: &House| {
            let answer = house.try_login("ada", PASSWORD).await.expect(200);
            let cookie = answer.header("set-cookie").unwrap().to_owned();
            assert!(cookie.starts_with("__Host-insight_session="), "{cookie}");
            assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"), "{cookie}");
            let cookie = cookie.split(';').next().unwrap();
            house.by_cookie(cookie, "GET", "/currentuser").send().await.check(200);
            let bare = cookie.trim_start_matches("__Host-");
            fails(&house.by_cookie(bare, "GET", "/currentuser").send().await, 401);
        },
    );
}
