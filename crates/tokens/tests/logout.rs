//! RP-initiated logout.

use crate::house::{BROWSER, House, house, origin, web_app};
use keyreeve_identity::Admitted;
use keyreeve_testkit::{Engine, on_both_engines};
use keyreeve_tokens::Browser;
use keyreeve_tokens::logout::{Logout, LogoutRequest};

const BYE: &str = "https://portal.example/bye";

async fn logout(house: &House, request: LogoutRequest<'_>, session: Option<&Admitted>) -> Logout {
    let from = origin();
    let browser = Browser { cookie: BROWSER, session, origin: &from };
    house.tokens.end_session(&house.tenant, request, browser).await.expect("an answer")
}

async fn finish(house: &House, request: &str, session: Option<&Admitted>, cookie: &str) -> Logout {
    let from = origin();
    let browser = Browser { cookie, session, origin: &from };
    house.tokens.finish_logout(&house.tenant, request, browser).await.expect("an answer")
}

async fn is_live(house: &House, session: &Admitted) -> bool {
    let id = session.session().unwrap();
    house.identity.sessions().live(house.tenant.id, id).await.expect("an answer").is_some()
}

#[track_caller]
fn done(answer: Logout) -> Option<String> {
    match answer {
        Logout::Done { redirect } => redirect,
        other => panic!("not done: {other:?}"),
    }
}

#[track_caller]
fn asked(answer: Logout) -> String {
    match answer {
        Logout::Confirm { request, .. } => request,
        other => panic!("not asked: {other:?}"),
    }
}

on_both_engines! {
    async fn the_sessions_own_id_token_ends_it(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let response = house.tokens_for(&portal, &session).await;
        // ID tokens live for minutes, sessions for hours: an expired hint is as good.
        house.advance(3_600);
        let request = LogoutRequest {
            id_token_hint: response.id_token.as_deref(),
            client_id: Some("portal"),
            post_logout_redirect_uri: Some(BYE),
            state: Some("a b&c"),
        };
        let (answer, lines) = house.lines_of(logout(&house, request, Some(&session))).await;
        assert_eq!(done(answer).as_deref(), Some("https://portal.example/bye?state=a+b%26c"));
        assert_eq!(lines, ["session.end success"]);
        assert!(!is_live(&house, &session).await);
        assert!(!house.is_good(&response.access_token).await);
        house.check().await;
    }

    async fn ac_19_nobody_else_ends_it_unasked(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let response = house.tokens_for(&portal, &session).await;
        let elsewhere = house.sign_in().await;
        let of_elsewhere = house.tokens_for(&portal, &elsewhere).await;
        let theirs = house.app_of(house.other.id, "portal", web_app()).await;
        assert_eq!(theirs.client.client_id, "portal");
        let unsigned = response.id_token.as_deref().unwrap().rsplit_once('.').unwrap().0.to_owned() + ".";
        for hint in [
            None,
            Some("x"),
            Some(unsigned.as_str()),
            Some(response.access_token.as_str()),
            of_elsewhere.id_token.as_deref(),
        ] {
            let request = LogoutRequest { id_token_hint: hint, ..LogoutRequest::default() };
            let (answer, lines) = house.lines_of(logout(&house, request, Some(&session))).await;
            asked(answer);
            assert!(lines.is_empty());
            assert!(is_live(&house, &session).await);
        }
        let request = LogoutRequest { client_id: Some("portal"), post_logout_redirect_uri: Some(BYE), ..LogoutRequest::default() };
        let pending = asked(logout(&house, request, Some(&session)).await);
        assert_eq!(done(finish(&house, &pending, Some(&session), BROWSER).await).as_deref(), Some(BYE));
        assert!(!is_live(&house, &session).await);
        assert_eq!(done(finish(&house, &pending, Some(&elsewhere), "another browser").await), None);
    }

    async fn ac_02_the_browser_goes_only_where_the_client_registered(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let response = house.tokens_for(&portal, &session).await;
        let hint = response.id_token.as_deref();
        for uri in [
            "https://portal.example/bye/",
            "https://portal.example/bye.evil.tld",
            "https://portal.example.evil.tld/bye",
            "https://portal.example/cb",
            "https://evil.example/",
            "javascript:alert(1)",
        ] {
            let request = LogoutRequest { id_token_hint: hint, post_logout_redirect_uri: Some(uri), ..LogoutRequest::default() };
            assert!(matches!(logout(&house, request, Some(&session)).await, Logout::Fail { .. }), "{uri}");
        }
        let nobodys = LogoutRequest { post_logout_redirect_uri: Some(BYE), ..LogoutRequest::default() };
        assert!(matches!(logout(&house, nobodys, Some(&session)).await, Logout::Fail { .. }));
        let others = LogoutRequest { id_token_hint: hint, client_id: Some("spa"), ..LogoutRequest::default() };
        assert!(matches!(logout(&house, others, Some(&session)).await, Logout::Fail { .. }));
        assert!(is_live(&house, &session).await);
        let signed_out = LogoutRequest { client_id: Some("portal"), post_logout_redirect_uri: Some(BYE), ..LogoutRequest::default() };
        assert_eq!(done(logout(&house, signed_out, None).await).as_deref(), Some(BYE));
    }
}
