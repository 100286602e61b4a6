//! What people do, from the first page to the last.

use super::house::{PASSWORD, PUBLIC, house, new_user};
use http::StatusCode;

const NEW_PASSWORD: &str = "Nine-violet-doors";

#[tokio::test]
async fn somebody_signs_in_looks_around_and_signs_out() {
    let house = house().await;
    let browser = house.browser();
    assert_eq!(browser.get("/account").await.location(), format!("{PUBLIC}/signin"));
    let page = browser.get("/signin").await;
    assert_eq!((page.status, page.h1().as_str()), (StatusCode::OK, "Sign in"));
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.form_action(), "form-action 'self'");
    let fields = [("username", " ADA "), ("password", PASSWORD)];
    let answer = browser.submit(&page, "/signin", &fields).await;
    assert_eq!(answer.location(), format!("{PUBLIC}/account"));
    assert!(browser.cookie("__Host-device").is_some());
    assert_eq!(browser.get("/signin").await.location(), format!("{PUBLIC}/account"));
    let account = browser.get("/account").await;
    assert_eq!((account.h1().as_str(), house.sessions().await), ("Your account", 1));
    let ask = browser.get("/signout").await;
    assert_eq!(ask.h1(), "Sign out?");
    assert_eq!(browser.submit(&ask, "/signout", &[]).await.location(), format!("{PUBLIC}/signout/done"));
    assert_eq!((house.sessions().await, browser.cookie("__Host-session")), (0, None));
    assert_eq!(browser.get("/signout/done").await.h1(), "You are signed out");
}

#[tokio::test]
async fn a_request_goes_from_page_to_page() {
    let house = house().await;
    let browser = house.browser();
    let request = browser.request(&[("login_hint", "ada"), ("ui_locales", "de")]).await;
    let page = browser.get(&format!("/signin?request={request}")).await;
    assert!(page.text.contains("lang=\"de\"") && page.text.contains("Portal"), "{}", page.text);
    assert_eq!(page.form_action(), "form-action 'self' https://portal.example");
    assert_eq!(page.page().by_id("username").and_then(|input| input.get("value")), Some("ada"));
    let answer = browser.submit(&page, "/signin", &[("password", PASSWORD)]).await;
    assert_eq!(answer.location(), format!("{PUBLIC}/authorize/resume?request={request}"));
    let consent = browser.get(&format!("/consent?request={request}")).await;
    assert_eq!(consent.form_action(), "form-action 'self' https://portal.example");
    let answer = browser.submit(&consent, "/consent", &[("decision", "allow")]).await;
    assert!(answer.location().starts_with("https://portal.example/cb?code=kr_ac_"), "{}", answer.location());
    // What was agreed to is not asked again.
    let again = browser.request(&[]).await;
    let answer = browser.get(&format!("/signin?request={again}")).await;
    assert_eq!(answer.location(), format!("{PUBLIC}/authorize/resume?request={again}"));
    let again = browser.request(&[("prompt", "consent")]).await;
    let consent = browser.get(&format!("/consent?request={again}")).await;
    let answer = browser.submit(&consent, "/consent", &[("decision", "deny")]).await;
    assert!(answer.location().starts_with("https://portal.example/cb?error=access_denied"));
}

#[tokio::test]
async fn an_answer_by_form_names_no_other_target() {
    let house = house().await;
    let browser = house.browser();
    browser.sign_in("ada").await;
    let request = browser.request(&[("response_mode", "form_post")]).await;
    let consent = browser.get(&format!("/consent?request={request}")).await;
    let answer = browser.submit(&consent, "/consent", &[("decision", "allow")]).await;
    assert_eq!(answer.status, StatusCode::OK);
    let names: Vec<String> =
        answer.form("https://portal.example/cb").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["code", "state", "iss"]);
    assert_eq!(answer.form_action(), "form-action 'self' https://portal.example");
}

#[tokio::test]
async fn who_must_sign_in_again_need_not_say_who() {
    let house = house().await;
    let browser = house.browser();
    browser.sign_in("ada").await;
    let old = browser.cookie("__Host-session");
    house.test.clock.advance(std::time::Duration::from_secs(5));
    let request = browser.request(&[("prompt", "login")]).await;
    let page = browser.get(&format!("/signin?request={request}")).await;
    assert!(page.text.contains("Please confirm that it is you"));
    assert_eq!(page.page().by_id("username").and_then(|input| input.get("value")), Some("ada"));
    let answer = browser.submit(&page, "/signin", &[("password", PASSWORD)]).await;
    assert!(answer.location().contains("/authorize/resume?"));
    assert_ne!(browser.cookie("__Host-session"), old, "the session has another name after a sign-in");
    assert_eq!(house.sessions().await, 1);
}

#[tokio::test]
async fn who_must_choose_a_password_does_so_before_anything_else() {
    let house = house().await;
    new_user(&house.identity, &house.tenant, "bob", true).await;
    let browser = house.browser();
    let request = browser.request(&[]).await;
    let page = browser.get(&format!("/signin?request={request}")).await;
    let page = browser.submit(&page, "/signin", &[("username", "bob"), ("password", PASSWORD)]).await;
    assert_eq!((page.status, page.h1().as_str()), (StatusCode::OK, "Choose a new password"));
    assert_eq!(browser.cookie("__Host-session"), None);
    let short = [("new_password", "short"), ("repeat_password", "shore")];
    let again = browser.submit(&page, "/password", &short).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    assert!(again.text.contains("not the same"), "{}", again.text);
    let same = [("new_password", PASSWORD), ("repeat_password", PASSWORD)];
    let again = browser.submit(&again, "/password", &same).await;
    assert!(again.text.contains("Do not use one of your last 5 passwords again."));
    let good = [("new_password", NEW_PASSWORD), ("repeat_password", NEW_PASSWORD)];
    let answer = browser.submit(&again, "/password", &good).await;
    assert_eq!(answer.location(), format!("{PUBLIC}/authorize/resume?request={request}"));
    assert!(browser.cookie("__Host-session").is_some());
    // The ticket has been used.
    let other = [("new_password", "Ten-orange-gates"), ("repeat_password", "Ten-orange-gates")];
    let answer = browser.submit(&again, "/password", &other).await;
    assert_eq!((answer.status, answer.h1().as_str()), (StatusCode::BAD_REQUEST, "Sign in"));
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions() {
    let house = house().await;
    let (here, there) = (house.browser(), house.browser());
    here.sign_in("ada").await;
    there.sign_in("ada").await;
    let page = here.get("/password").await;
    let wrong =
        [("current_password", "x"), ("new_password", NEW_PASSWORD), ("repeat_password", NEW_PASSWORD)];
    let page = here.submit(&page, "/password", &wrong).await;
    assert!(page.text.contains("This is not your current password."));
    let right =
        [("current_password", PASSWORD), ("new_password", NEW_PASSWORD), ("repeat_password", NEW_PASSWORD)];
    let told = here.submit(&page, "/password", &right).await;
    assert_eq!(told.location(), format!("{PUBLIC}/account?done=password"));
    assert!(here.get(told.location()).await.text.contains("Your new password is now in force."));
    assert_eq!(there.get("/account").await.location(), format!("{PUBLIC}/signin"));
}

#[tokio::test]
async fn sessions_are_ended_one_by_one_and_all_others_at_once() {
    let house = house().await;
    let (here, there, third) = (house.browser(), house.browser(), house.browser());
    for browser in [&there, &third, &here] {
        browser.sign_in("ada").await;
    }
    let account = here.get("/account").await;
    assert_eq!(
        here.submit(&account, "/account/sessions/end", &[]).await.location(),
        format!("{PUBLIC}/account?done=session")
    );
    assert_eq!(house.sessions().await, 2);
    let told = here.submit(&account, "/account/sessions/end-others", &[]).await;
    assert_eq!(told.location(), format!("{PUBLIC}/account?done=others"));
    assert_eq!((house.sessions().await, here.get("/account").await.status), (1, StatusCode::OK));
}

#[tokio::test]
async fn each_tenant_has_its_own_pages_cookies_and_sessions() {
    let house = house().await;
    let browser = house.browser();
    browser.sign_in("ada").await;
    let page = browser.get("/t/acme/signin").await;
    assert!(page.text.contains("Acme &#60;Ltd&#62;"), "{}", page.text);
    let answer =
        browser.submit(&page, "/t/acme/signin", &[("username", "ada"), ("password", PASSWORD)]).await;
    assert_eq!(answer.location(), format!("{PUBLIC}/t/acme/account"));
    assert_ne!(browser.cookie("__Host-session-acme"), browser.cookie("__Host-session"));
    // The form of one tenant is none of another's.
    let here = browser.get("/account").await.form("/signout");
    assert_eq!(browser.post("/t/acme/signout", &here).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(house.sessions().await, 1);
    for missing in ["/t/nobody/signin", "/t/default/signin", "/t/ACME/account", "/t/%ff/signin"] {
        assert_eq!(browser.get(missing).await.status, StatusCode::NOT_FOUND, "{missing}");
    }
}
