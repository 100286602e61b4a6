//! What must not work.

use super::house::{Answer, PASSWORD, PUBLIC, house};
use http::{Method, StatusCode};
use keyreeve_identity::StateChange;

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The answer without what differs from one request to the next.
fn seen(answer: &Answer) -> (StatusCode, String) {
    let page = answer.page();
    let texts: Vec<&str> = page.texts.iter().map(|(_, text)| text.as_str()).collect();
    (answer.status, texts.join("|"))
}

#[tokio::test]
async fn ac_21_every_refusal_looks_the_same() {
    let house = house().await;
    let mut seen_first = None;
    for (name, password) in [("ada", "wrong"), ("nobody", "wrong"), ("nobody", PASSWORD), ("a\u{202e}b", "x")]
    {
        let browser = house.browser();
        let page = browser.get("/signin").await;
        let answer = browser.submit(&page, "/signin", &[("username", name), ("password", password)]).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.header("www-authenticate"), "Form");
        assert!(!answer.text.contains(password) || password == "x", "the password is not shown again");
        assert_eq!(*seen_first.get_or_insert_with(|| seen(&answer)), seen(&answer), "{name}");
    }
    let who = (house.tenant.id, house.ada.id);
    let cause = keyreeve_identity::Cause::operator();
    house.identity.users().change_state(who, StateChange::Disable, None, &cause).await.expect("a change");
    let browser = house.browser();
    let page = browser.get("/signin").await;
    let answer = browser.submit(&page, "/signin", &[("username", "ada"), ("password", PASSWORD)]).await;
    assert_eq!(seen_first, Some(seen(&answer)), "a disabled account");
}

#[tokio::test]
async fn too_many_attempts_are_told_to_wait() {
    let house = house().await;
    let browser = house.browser();
    let mut last = browser.get("/signin").await;
    for _ in 0..6 {
        last = browser.submit(&last, "/signin", &[("username", "ada"), ("password", "wrong")]).await;
    }
    assert_eq!((last.status, last.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "1"));
    assert!(last.text.contains("You can try again in 1 second."));
}

#[tokio::test]
async fn ac_60_no_other_site_posts_here() {
    let house = house().await;
    let browser = house.browser();
    browser.sign_in("ada").await;
    let form = browser.get("/signout").await.form("/signout");
    for from in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "https://id.example.evil.example")],
        &[("sec-fetch-site", "cross-site")],
        &[("origin", "null")],
    ] {
        let answer = browser.post_from("/signout", &form, from).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{from:?}");
    }
    assert_eq!(house.sessions().await, 1);
    assert_eq!(browser.post("/signout", &form).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn ac_11_an_empty_post_does_nothing() {
    let house = house().await;
    let (nobody, ada) = (house.browser(), house.browser());
    ada.sign_in("ada").await;
    let request = ada.request(&[("prompt", "consent")]).await;
    let posts = [
        "/signin",
        "/consent",
        "/signout",
        "/password",
        "/account/sessions/end",
        "/account/sessions/end-others",
    ];
    for path in posts {
        for browser in [&nobody, &ada] {
            for fields in [vec![], pairs(&[("request", &request), ("decision", "allow"), ("ticket", "x")])] {
                let answer = browser.post(path, &fields).await;
                let harmless = answer.status.is_client_error()
                    || (answer.status == StatusCode::SEE_OTHER && answer.location().starts_with(PUBLIC));
                assert!(harmless, "{path}: {}", answer.status);
                assert!(!answer.header("location").contains("resume"), "{path}");
            }
        }
    }
    assert_eq!(house.sessions().await, 1);
    // Neither button.
    let consent = ada.get(&format!("/consent?request={request}")).await;
    assert_eq!(ada.submit(&consent, "/consent", &[]).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        ada.submit(&consent, "/consent", &[("decision", "ALLOW")]).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_form_serves_one_browser_one_purpose_one_session_and_one_day() {
    let house = house().await;
    let (ada, other) = (house.browser(), house.browser());
    ada.sign_in("ada").await;
    other.sign_in("ada").await;
    let ask = ada.get("/signout").await.form("/signout");
    assert_eq!(other.post("/signout", &ask).await.status, StatusCode::BAD_REQUEST);
    let account = ada.get("/account").await;
    let others = account.form("/account/sessions/end-others");
    assert_eq!(ada.post("/signout", &others).await.status, StatusCode::BAD_REQUEST);
    let page = ada.get("/password").await;
    house.test.clock.advance(std::time::Duration::from_secs(11 * 3_600));
    assert_eq!(ada.get("/account").await.status, StatusCode::OK);
    house.test.clock.advance(std::time::Duration::from_secs(2 * 3_600));
    let fields = [("current_password", PASSWORD), ("new_password", "x"), ("repeat_password", "x")];
    let answer = ada.submit(&page, "/password", &fields).await;
    assert!(answer.text.contains("This page was open for too long."), "{}", answer.text);
    // Another sign-in in the same browser: what was shown to the one before acts for nobody.
    let stale = ada.get("/signout").await.form("/signout");
    let signed = ada.get("/signout").await;
    ada.submit(&signed, "/signout", &[]).await;
    ada.sign_in("ada").await;
    assert_eq!(ada.post("/signout", &stale).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(ada.get("/account").await.status, StatusCode::OK);
}

#[tokio::test]
async fn ac_06_a_request_of_another_browser_leads_nowhere() {
    let house = house().await;
    let (one, two) = (house.browser(), house.browser());
    let request = one.request(&[]).await;
    two.sign_in("ada").await;
    for path in ["/signin", "/consent", "/signout"] {
        let answer = two.get(&format!("{path}?request={request}")).await;
        assert_eq!(
            (answer.status, answer.h1().as_str()),
            (StatusCode::BAD_REQUEST, "This page has expired"),
            "{path}"
        );
    }
    let page = two.get("/signin?other=1").await;
    let fields = [("username", "ada"), ("password", PASSWORD), ("request", request.as_str())];
    let answer = two.submit(&page, "/signin", &fields).await;
    assert_eq!(answer.h1(), "This page has expired");
    house.test.clock.advance(std::time::Duration::from_secs(1_801));
    assert_eq!(one.get(&format!("/signin?request={request}")).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn ac_10_a_planted_session_is_of_no_use() {
    let house = house().await;
    let (attacker, victim) = (house.browser(), house.browser());
    attacker.sign_in("ada").await;
    let planted = attacker.cookie("__Host-session").expect("a session");
    victim.set_cookie("__Host-session", &planted);
    let page = victim.get("/signin?other=1").await;
    victim.submit(&page, "/signin", &[("username", "ada"), ("password", PASSWORD)]).await;
    assert_ne!(victim.cookie("__Host-session"), Some(planted));
    assert_eq!(attacker.get("/account").await.location(), format!("{PUBLIC}/signin"));
}

#[tokio::test]
async fn ac_12_a_malformed_cookie_is_nobody() {
    let house = house().await;
    for cookie in
        ["", "kr_se_", "\"x\"", &"x".repeat(4_000), "kr_se_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
    {
        let browser = house.browser();
        browser.set_cookie("__Host-session", cookie);
        browser.set_cookie("__Host-browser", cookie);
        assert_eq!(browser.get("/account").await.location(), format!("{PUBLIC}/signin"), "{cookie}");
    }
    let browser = house.browser();
    browser.sign_in("ada").await;
    let session = browser.cookie("__Host-session").expect("a session");
    browser.forget("__Host-session");
    let twice = format!("__Host-session={session}; __Host-session={session}");
    let answer = browser.send(Method::GET, "/account", &[("cookie", &twice)], String::new()).await;
    assert_eq!(answer.location(), format!("{PUBLIC}/signin"));
}

#[tokio::test]
async fn nobody_ends_the_session_of_somebody_else() {
    let house = house().await;
    super::house::new_user(&house.identity, &house.tenant, "eve", false).await;
    let (ada, eve) = (house.browser(), house.browser());
    ada.sign_in("ada").await;
    eve.sign_in("eve").await;
    let second = house.browser();
    second.sign_in("eve").await;
    let target = house.identity.sessions().list(house.tenant.id, house.ada.id).await.expect("a list");
    let token = eve.get("/account").await.form("/account/sessions/end-others");
    let mut fields = token.clone();
    fields.extend(pairs(&[("session", &target[0].id.to_string())]));
    // The token of another form does not do; the right one ends nothing that is not Eve's.
    assert_eq!(eve.post("/account/sessions/end", &fields).await.status, StatusCode::BAD_REQUEST);
    let account = eve.get("/account").await;
    let answer =
        eve.submit(&account, "/account/sessions/end", &[("session", &target[0].id.to_string())]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(house.sessions().await, 1);
    let bad = eve.get("/account").await;
    let answer = eve.submit(&bad, "/account/sessions/end", &[("session", "../x")]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn bad_input_is_never_an_error_of_ours() {
    let house = house().await;
    let browser = house.browser();
    browser.sign_in("ada").await;
    let long = "x".repeat(17_000);
    for query in
        ["request=", "request=%", "request=a&request=b", "request=%00", "request=%ff", "x=%zz", &long]
    {
        for path in ["/signin", "/consent", "/signout", "/account"] {
            let status = browser.get(&format!("{path}?{query}")).await.status;
            assert!(!status.is_server_error(), "{path}?{query}: {status}");
        }
    }
    for body in ["csrf=%", "csrf=a&csrf=b", "csrf=%ff", "\u{0}", &long] {
        for path in ["/signin", "/consent", "/signout", "/password", "/account/sessions/end"] {
            let status = browser.send(Method::POST, path, &[], body.to_owned()).await.status;
            assert!(status.is_client_error() || status == StatusCode::SEE_OTHER, "{path}: {status}");
        }
    }
}

#[tokio::test]
async fn ac_20_the_host_header_has_no_say() {
    let house = house().await;
    let browser = house.browser();
    let headers = [("x-forwarded-host", "evil.example"), ("forwarded", "host=evil.example")];
    let answer = browser.send(Method::GET, "/account", &headers, String::new()).await;
    assert_eq!(answer.location(), format!("{PUBLIC}/signin"));
    assert!(!browser.get("/signin").await.text.contains("evil.example"));
}

#[tokio::test]
async fn ac_51_what_was_typed_comes_back_as_text() {
    let house = house().await;
    let browser = house.browser();
    let page = browser.get("/signin").await;
    let fields = [("username", "\"><script>alert(1)</script>"), ("password", "x")];
    let answer = browser.submit(&page, "/signin", &fields).await;
    let scripts = answer.page().all("script").filter(|script| !script.has("src")).count();
    assert_eq!(scripts, 0, "{}", answer.text);
}
