//! Authorization requests, from the first page to the code.

use crate::house::{
    BROWSER, House, ISSUER, claims, code_of, error_of, house, origin, param, redirect_of, request, web_app,
};
use keyreeve_identity::Admitted;
use keyreeve_testkit::{Engine, on_both_engines};
use keyreeve_tokens::clients::RedirectUri;
use keyreeve_tokens::{Authorize, Browser, ResponseMode};

fn request_of(answer: Authorize) -> String {
    match answer {
        Authorize::SignIn { request, .. } | Authorize::Consent { request, .. } => request,
        other => panic!("no page: {other:?}"),
    }
}

async fn resume(house: &House, request: &str, cookie: &str, session: Option<&Admitted>) -> Authorize {
    let from = origin();
    let browser = Browser { cookie, session, origin: &from };
    house.tokens.resume(&house.tenant, request, browser).await.expect("an answer")
}

async fn decide(house: &House, request: &str, allow: bool, session: Option<&Admitted>) -> Authorize {
    let from = origin();
    let browser = Browser { cookie: BROWSER, session, origin: &from };
    house.tokens.decide(&house.tenant, request, allow, browser).await.expect("an answer")
}

#[track_caller]
fn failed(answer: &Authorize) {
    assert!(matches!(answer, Authorize::Fail { .. }), "{answer:?}");
}

on_both_engines! {
    async fn a_request_goes_through_the_sign_in_page(engine: Engine) {
        let house = house(engine).await;
        house.portal().await;
        let (page, lines) = house.lines_of(house.authorize(&[("login_hint", "ada"), ("ui_locales", "de en")], None)).await;
        assert!(lines.is_empty(), "nobody's request writes nothing");
        let Authorize::SignIn { request, client, login_hint, ui_locales } = page else { panic!("no sign-in page") };
        assert_eq!(client.settings.name, "Portal");
        assert_eq!((login_hint.as_deref(), ui_locales.as_deref()), (Some("ada"), Some("de en")));
        let session = house.sign_in().await;
        let redirect = redirect_of(resume(&house, &request, BROWSER, Some(&session)).await);
        assert_eq!(redirect.uri, "https://portal.example/cb");
        assert_eq!(redirect.mode, ResponseMode::Query);
        assert_eq!(param(&redirect, "state").as_deref(), Some("xyz"));
        assert_eq!(param(&redirect, "iss").as_deref(), Some(ISSUER));
        assert!(redirect.location().starts_with("https://portal.example/cb?code=kr_ac_"));
        house.check().await;
    }

    async fn ac_01_ac_02_ac_03_ac_07_nothing_goes_to_an_address_that_is_not_registered(engine: Engine) {
        let house = house(engine).await;
        house.portal().await;
        let mut nowhere = web_app();
        nowhere.grant_types.clear();
        nowhere.redirect_uris.clear();
        house.app("nowhere", nowhere).await;
        let session = house.sign_in().await;
        for uri in [
            "",
            "https://portalaexample/cb",
            "https://portal.example.evil.tld/cb",
            "https://portal.example@evil.tld/cb",
            "https://portal.example/cb/../evil",
            "https://portal.example/cb/%2e%2e/evil",
            "https://PORTAL.example/cb",
            "https://portal.example:443/cb",
            "https://portal.example./cb",
            "https://portal.example/cb#x",
            "https://portal.example/cb?x=1",
            "https://portal.example\\@evil.tld/cb",
            "http://portal.example/cb",
            "//portal.example/cb",
            "javascript:alert(1)",
            "data:text/html,x",
        ] {
            failed(&house.authorize(&[("redirect_uri", uri)], Some(&session)).await);
            failed(&house.authorize(&[("redirect_uri", uri), ("client_id", "nowhere")], Some(&session)).await);
        }
        failed(&house.authorize(&[("client_id", "nowhere")], Some(&session)).await);
        failed(&house.authorize(&[("client_id", "nobody")], Some(&session)).await);
        failed(&house.authorize(&[("client_id", "")], Some(&session)).await);
    }

    async fn ac_04_only_harmless_schemes_can_be_registered_at_all(engine: Engine) {
        let house = house(engine).await;
        let text = |uri: &str| format!(r#"{{"name":"x","redirect_uris":["{uri}"]}}"#);
        for uri in ["javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "https://*.example/cb"] {
            assert!(serde_json::from_str::<keyreeve_tokens::ClientSettings>(&text(uri)).is_err(), "{uri}");
        }
        assert!(serde_json::from_str::<keyreeve_tokens::ClientSettings>(&text("https://a.example/cb")).is_ok());
        house.check().await;
    }

    async fn ac_06_ac_10_a_request_stays_in_the_browser_that_began_it(engine: Engine) {
        let house = house(engine).await;
        house.portal().await;
        let session = house.sign_in().await;
        let pending = request_of(house.authorize(&[], None).await);
        failed(&resume(&house, &pending, "another browser", Some(&session)).await);
        failed(&resume(&house, &format!("{pending}A"), BROWSER, Some(&session)).await);
        failed(&resume(&house, "", BROWSER, Some(&session)).await);
        let from = origin();
        let browser = Browser { cookie: BROWSER, session: None, origin: &from };
        failed(&house.tokens.resume(&house.other, &pending, browser).await.expect("an answer"));
        house.advance(1_799);
        code_of(resume(&house, &pending, BROWSER, Some(&house.sign_in().await)).await);
        house.advance(1);
        failed(&resume(&house, &pending, BROWSER, Some(&session)).await);
    }

    async fn what_was_registered_when_the_request_began_does_not_count(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let pending = request_of(house.authorize(&[], None).await);
        house.set(&portal, |settings| {
            settings.redirect_uris = vec![RedirectUri::parse("https://portal.example/new").unwrap()];
        })
        .await;
        let session = house.sign_in().await;
        failed(&resume(&house, &pending, BROWSER, Some(&session)).await);
    }

    async fn mistakes_go_back_to_the_client(engine: Engine) {
        let house = house(engine).await;
        house.portal().await;
        let session = house.sign_in().await;
        for (name, value, error) in [
            ("response_type", "", "invalid_request"),
            ("response_type", "token", "unsupported_response_type"),
            ("request", "eyJ", "request_not_supported"),
            ("request_uri", "https://portal.example/r", "request_uri_not_supported"),
            ("scope", "unknown", "invalid_scope"),
            ("code_challenge_method", "plain", "invalid_request"),
        ] {
            let redirect = redirect_of(house.authorize(&[(name, value)], Some(&session)).await);
            assert_eq!(param(&redirect, "error").as_deref(), Some(error), "{name}={value}");
            assert_eq!(param(&redirect, "state").as_deref(), Some("xyz"));
            assert_eq!(param(&redirect, "iss").as_deref(), Some(ISSUER));
        }
        let posted = redirect_of(house.authorize(&[("response_mode", "form_post")], Some(&session)).await);
        assert_eq!(posted.mode, ResponseMode::FormPost);
    }

    async fn prompts_and_ages_are_honoured(engine: Engine) {
        let house = house(engine).await;
        house.portal().await;
        assert_eq!(error_of(house.authorize(&[("prompt", "none")], None).await), "login_required");
        let session = house.sign_in().await;
        code_of(house.authorize(&[("prompt", "none")], Some(&session)).await);
        house.advance(100);
        let pending = request_of(house.authorize(&[("prompt", "login")], Some(&session)).await);
        assert!(matches!(resume(&house, &pending, BROWSER, Some(&session)).await, Authorize::SignIn { .. }));
        house.advance(1);
        let anew = house.sign_in().await;
        code_of(resume(&house, &pending, BROWSER, Some(&anew)).await);
        code_of(house.authorize(&[("max_age", "101")], Some(&session)).await);
        assert!(matches!(house.authorize(&[("max_age", "100")], Some(&session)).await, Authorize::SignIn { .. }));
        assert_eq!(error_of(house.authorize(&[("max_age", "100"), ("prompt", "none")], Some(&session)).await), "login_required");
    }

    async fn consent_is_asked_once_and_noted(engine: Engine) {
        let house = house(engine).await;
        let mut theirs = web_app();
        theirs.first_party = false;
        let app = house.app("portal", theirs).await;
        let session = house.sign_in().await;
        assert_eq!(error_of(house.authorize(&[("prompt", "none")], Some(&session)).await), "consent_required");
        let page = house.authorize(&[], Some(&session)).await;
        let Authorize::Consent { request, scope, .. } = page else { panic!("no consent page") };
        assert_eq!(scope.as_str(), "email openid profile");

        let (denied, lines) = house.lines_of(decide(&house, &request, false, Some(&session))).await;
        assert_eq!(error_of(denied), "access_denied");
        assert_eq!(lines, ["consent.grant refused denied_by_user"]);
        let (allowed, lines) = house.lines_of(decide(&house, &request, true, Some(&session))).await;
        code_of(allowed);
        assert_eq!(lines, ["consent.grant success", "code.issue success"]);
        code_of(house.authorize(&[("prompt", "none")], Some(&session)).await);
        assert!(matches!(house.authorize(&[("prompt", "consent")], Some(&session)).await, Authorize::Consent { .. }));

        let consents = house.tokens.consents(house.tenant.id, house.ada.id).await.expect("a list");
        assert_eq!(consents.iter().map(|c| (c.client_name.as_str(), c.scope.as_str())).collect::<Vec<_>>(), [("Portal", "email openid profile")]);
        let response = house.tokens_for(&app, &session).await;
        assert!(house.is_good(&response.access_token).await);
        let grants = house.tokens.grants(house.tenant.id, house.ada.id).await.expect("a list");
        assert_eq!(grants.len(), 1, "codes that were not redeemed are no grants");
        let cause = keyreeve_identity::Cause::user(house.ada.id, origin());
        let withdraw = house.tokens.withdraw_consent(house.tenant.id, house.ada.id, app.client.id, &cause);
        let (withdrawn, lines) = house.lines_of(withdraw).await;
        withdrawn.expect("a withdrawal");
        assert_eq!(lines, ["consent.withdraw success"]);
        assert!(!house.is_good(&response.access_token).await);
        assert_eq!(error_of(house.authorize(&[("prompt", "none")], Some(&session)).await), "consent_required");
        house.check().await;
    }

    async fn offline_access_is_dropped_without_consent(engine: Engine) {
        let house = house(engine).await;
        let mut theirs = web_app();
        theirs.first_party = false;
        house.app("portal", theirs).await;
        let session = house.sign_in().await;
        let scope_of = |answer: Authorize| match answer {
            Authorize::Consent { scope, .. } => scope.as_str().to_owned(),
            other => panic!("no consent page: {other:?}"),
        };
        let asked = ("scope", "openid offline_access");
        assert_eq!(scope_of(house.authorize(&[asked], Some(&session)).await), "openid");
        assert_eq!(scope_of(house.authorize(&[asked, ("prompt", "consent")], Some(&session)).await), "offline_access openid");
    }

    async fn a_decision_without_a_session_decides_nothing(engine: Engine) {
        let house = house(engine).await;
        let mut theirs = web_app();
        theirs.first_party = false;
        house.app("portal", theirs).await;
        let pending = request_of(house.authorize(&[], Some(&house.sign_in().await)).await);
        assert!(matches!(decide(&house, &pending, true, None).await, Authorize::SignIn { .. }));
    }

    async fn a_session_of_another_tenant_is_none(engine: Engine) {
        let house = house(engine).await;
        house.portal().await;
        crate::house::new_user(&house.identity, house.other.id).await;
        let foreign = house.sign_in_to(house.other.id).await;
        assert!(matches!(house.authorize(&[], Some(&foreign)).await, Authorize::SignIn { .. }));
    }

    async fn a_hint_names_who_must_be_signed_in(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let response = house.tokens_for(&portal, &session).await;
        let hint = response.id_token.as_deref().unwrap();
        assert_eq!(claims(hint)["sub"], house.ada.id.to_string());
        code_of(house.authorize(&[("id_token_hint", hint), ("prompt", "none")], Some(&session)).await);
        for bad in ["x", response.access_token.as_str(), "e30.e30."] {
            let silent = house.authorize(&[("id_token_hint", bad), ("prompt", "none")], Some(&session)).await;
            assert_eq!(error_of(silent), "login_required");
        }
        house.advance(86_400);
        let later = house.sign_in().await;
        code_of(house.authorize(&[("id_token_hint", hint), ("prompt", "none")], Some(&later)).await);
        let someone = format!(r#"{{"id_token":{{"sub":{{"value":"{}"}}}}}}"#, house.other.id);
        assert_eq!(error_of(house.authorize(&[("claims", someone.as_str()), ("prompt", "none")], Some(&later)).await), "login_required");
    }

    async fn single_claims_reach_the_id_token_and_userinfo(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let wanted = r#"{"id_token":{"email":{"essential":true}},"userinfo":{"given_name":null,"nickname":null}}"#;
        let code = house.code(&[("claims", wanted), ("scope", "openid")], &session).await;
        let response = house.redeem(&portal, &code).await.expect("tokens");
        let id = claims(response.id_token.as_deref().unwrap());
        assert_eq!(id["email"], "ada@example.org");
        let token = house.tokens.verify_access(&house.tenant, &response.access_token).await.expect("an answer").unwrap();
        let told = serde_json::Value::Object(house.tokens.userinfo(&token).await.expect("an answer").unwrap());
        assert_eq!(told, serde_json::json!({"sub": house.ada.id, "given_name": "Ada"}));
    }

    async fn disabled_clients_and_tenants_get_nothing(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let pending = request_of(house.authorize(&[], None).await);
        house.set(&portal, |settings| settings.enabled = false).await;
        failed(&house.authorize(&[], Some(&session)).await);
        failed(&resume(&house, &pending, BROWSER, Some(&session)).await);
        house.set(&portal, |settings| settings.enabled = true).await;
        let patch = keyreeve_identity::TenantPatch { enabled: Some(false), ..Default::default() };
        let cause = keyreeve_identity::Cause::operator();
        let off = house.identity.tenants().update(house.tenant.id, house.tenant.version, patch, &cause).await.expect("a change");
        let from = origin();
        let browser = Browser { cookie: BROWSER, session: Some(&session), origin: &from };
        failed(&house.tokens.authorize(&off, &request(&[]), browser).await.expect("an answer"));
    }
}
