//! What the pages between the steps are told: everything that they show, and nothing changes.

use crate::house::{BROWSER, House, REDIRECT, house, origin, web_app};
use keyreeve_identity::Admitted;
use keyreeve_testkit::{Engine, on_both_engines};
use keyreeve_tokens::logout::{Logout, LogoutPreview, LogoutRequest};
use keyreeve_tokens::{Authorize, Browser, Next, Preview};

async fn preview(house: &House, request: &str, cookie: &str, session: Option<&Admitted>) -> Option<Preview> {
    let from = origin();
    let browser = Browser { cookie, session, origin: &from };
    house.tokens.preview(&house.tenant, request, browser).await.expect("an answer")
}

async fn preview_logout(house: &House, request: &str, cookie: &str) -> Option<LogoutPreview> {
    let from = origin();
    let browser = Browser { cookie, session: None, origin: &from };
    house.tokens.preview_logout(&house.tenant, request, browser).await.expect("an answer")
}

on_both_engines! {
    async fn a_request_is_told_step_by_step_and_writes_nothing(engine: Engine) {
        let house = house(engine).await;
        let mut settings = web_app();
        settings.first_party = false;
        let portal = house.app("portal", settings).await;
        let changes = [("login_hint", "ada"), ("ui_locales", "de")];
        let Authorize::SignIn { request, .. } = house.authorize(&changes, None).await else {
            panic!("no sign-in page")
        };
        let told = preview(&house, &request, BROWSER, None).await.expect("a request");
        assert_eq!(told.next, Next::SignIn);
        assert_eq!(told.client.client_id, portal.client.client_id);
        assert_eq!(told.redirect_uri, REDIRECT);
        assert_eq!((told.login_hint.as_deref(), told.ui_locales.as_deref()), (Some("ada"), Some("de")));
        let session = house.sign_in().await;
        let (told, lines) = house.lines_of(preview(&house, &request, BROWSER, Some(&session))).await;
        let told = told.expect("a request");
        assert_eq!((told.next, told.scope.contains("email")), (Next::Consent, true));
        house.set(&portal, |settings| settings.first_party = true).await;
        let answered = preview(&house, &request, BROWSER, Some(&session)).await.expect("a request");
        assert_eq!(answered.next, Next::Answer);
        assert!(lines.is_empty(), "looking issues no code: {lines:?}");
        house.check().await;
    }

    async fn ac_06_only_its_own_browser_is_told_of_a_request_and_not_for_ever(engine: Engine) {
        let house = house(engine).await;
        house.portal().await;
        let Authorize::SignIn { request, .. } = house.authorize(&[], None).await else {
            panic!("no sign-in page")
        };
        assert!(preview(&house, &request, "another browser", None).await.is_none());
        assert!(preview(&house, "", BROWSER, None).await.is_none());
        assert!(preview(&house, &request, BROWSER, None).await.is_some());
        house.advance(1_801);
        assert!(preview(&house, &request, BROWSER, None).await.is_none());
        house.check().await;
    }

    async fn a_logout_is_told_and_ends_nothing(engine: Engine) {
        let house = house(engine).await;
        house.portal().await;
        let session = house.sign_in().await;
        let from = origin();
        let asked = LogoutRequest {
            client_id: Some("portal"),
            post_logout_redirect_uri: Some("https://portal.example/bye"),
            ..LogoutRequest::default()
        };
        let browser = Browser { cookie: BROWSER, session: Some(&session), origin: &from };
        let answer = house.tokens.end_session(&house.tenant, asked, browser).await.expect("an answer");
        let Logout::Confirm { request: sealed, .. } = answer else { panic!("not asked") };
        let (told, lines) = house.lines_of(preview_logout(&house, &sealed, BROWSER)).await;
        let told = told.expect("a request");
        assert_eq!(told.client.map(|client| client.settings.name.clone()).as_deref(), Some("Portal"));
        assert_eq!(told.redirect.as_deref(), Some("https://portal.example/bye"));
        assert!(lines.is_empty());
        assert!(preview_logout(&house, &sealed, "another browser").await.is_none());
        house.check().await;
    }
}
