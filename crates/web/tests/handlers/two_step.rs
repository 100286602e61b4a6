//! Signing in with a one-time code, and what leads to being asked for one.

use super::house::{Answer, House, PASSWORD, PUBLIC, house};
use http::StatusCode;
use totp_rs::{Builder, Secret};

/// What an authenticator app shows at this moment, for a secret as the page shows it.
fn app(house: &House, shown: &str) -> String {
    let secret = Secret::try_from_base32(shown.replace(' ', "")).expect("base32");
    let totp = Builder::new().with_secret(secret).build().expect("a secret of the usual length");
    totp.generate(house.test.world.now().seconds().try_into().expect("a time")).to_string()
}

/// The first secret that a page shows.
fn secret_of(answer: &Answer) -> String {
    answer.page().all("code").next().expect("a secret").text.trim().to_owned()
}

#[tokio::test]
async fn a_device_is_added_and_asked_for_and_removed() {
    let house = house().await;
    let browser = house.browser();
    browser.sign_in("ada").await;
    assert!(browser.get("/account").await.text.contains("/account/two-step"));
    let page = browser.get("/account/two-step").await;
    assert!(page.text.contains("Your password alone signs you in."), "{}", page.text);
    let wrong = [("password", "x"), ("name", "Phone"), ("action", "add")];
    let page = browser.submit(&page, "/account/two-step", &wrong).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let right = [("password", PASSWORD), ("name", "Pocket"), ("action", "add")];
    let adding = browser.submit(&page, "/account/two-step", &right).await;
    assert_eq!((adding.status, adding.h1().as_str()), (StatusCode::OK, "Add a device"));
    assert!(adding.text.contains("<svg") && adding.header("cache-control") == "no-store");
    let secret = secret_of(&adding);
    let wrong =
        browser.submit(&adding, "/account/two-step", &[("code", "000000"), ("action", "confirm")]).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(!wrong.text.contains(&secret), "the secret is shown once");
    let code = app(&house, &secret);
    let done = browser.submit(&wrong, "/account/two-step", &[("code", &code), ("action", "confirm")]).await;
    assert_eq!(done.h1(), "Your recovery codes");
    let recovery = secret_of(&done);

    // From now on a code is asked for, within the waiting request.
    house.test.clock.advance(std::time::Duration::from_secs(60));
    let other = house.browser();
    let request = other.request(&[]).await;
    let page = other.get(&format!("/signin?request={request}")).await;
    let asked = other.submit(&page, "/signin", &[("username", "ada"), ("password", PASSWORD)]).await;
    assert_eq!((asked.status, asked.h1().as_str()), (StatusCode::OK, "Enter a code"));
    assert_eq!(other.cookie("__Host-session"), None);
    let asked = other.submit(&asked, "/signin/code", &[("code", "")]).await;
    assert_eq!(asked.status, StatusCode::BAD_REQUEST);
    let asked = other.submit(&asked, "/signin/code", &[("code", &code)]).await;
    assert_eq!(asked.status, StatusCode::BAD_REQUEST, "it was used to take the device into use");
    let answer = other.submit(&asked, "/signin/code", &[("code", &app(&house, &secret))]).await;
    assert_eq!(answer.location(), format!("{PUBLIC}/authorize/resume?request={request}"));
    assert!(other.cookie("__Host-session").is_some());

    // A recovery code does as well, and the device goes with the password.
    let third = house.browser();
    let page = third.get("/signin").await;
    let asked = third.submit(&page, "/signin", &[("username", "ada"), ("password", PASSWORD)]).await;
    let answer = third.submit(&asked, "/signin/code", &[("code", &recovery.to_uppercase())]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "its letters are what they are");
    let answer = third.submit(&answer, "/signin/code", &[("code", &recovery)]).await;
    assert_eq!(answer.location(), format!("{PUBLIC}/account"));
    let page = third.get("/account/two-step").await;
    assert!(page.text.contains("9 recovery codes left") && page.text.contains("Pocket"), "{}", page.text);
    let factors = house.identity.second_factors().of(house.tenant.id, house.ada.id).await.expect("devices");
    let remove = format!("remove {}", factors.devices[0].id);
    let fields = [("password", PASSWORD), ("action", &*remove)];
    assert_eq!(third.submit(&page, "/account/two-step", &fields).await.status, StatusCode::SEE_OTHER);
    house.browser().sign_in("ada").await;
}

/// AC-14: a ticket is of no use in another browser's form, nor after its time.
#[tokio::test]
async fn ac_14_the_second_step_belongs_to_the_first() {
    let house = house().await;
    let browser = house.browser();
    browser.sign_in("ada").await;
    let page = browser.get("/account/two-step").await;
    let fields = [("password", PASSWORD), ("name", "Phone"), ("action", "add")];
    let adding = browser.submit(&page, "/account/two-step", &fields).await;
    let secret = secret_of(&adding);
    let fields = [("code", &*app(&house, &secret)), ("action", "confirm")];
    browser.submit(&adding, "/account/two-step", &fields).await;
    house.test.clock.advance(std::time::Duration::from_secs(60));
    let (mine, theirs) = (house.browser(), house.browser());
    let page = mine.get("/signin").await;
    let asked = mine.submit(&page, "/signin", &[("username", "ada"), ("password", PASSWORD)]).await;
    theirs.get("/signin").await;
    let code = app(&house, &secret);
    let stolen = theirs.submit(&asked, "/signin/code", &[("code", &code)]).await;
    assert_eq!((stolen.status, stolen.h1().as_str()), (StatusCode::BAD_REQUEST, "Sign in"));
    house.test.clock.advance(std::time::Duration::from_secs(660));
    let late = mine.submit(&asked, "/signin/code", &[("code", &app(&house, &secret))]).await;
    assert_eq!(late.status, StatusCode::BAD_REQUEST);
    assert_eq!(mine.cookie("__Host-session"), None);
}
