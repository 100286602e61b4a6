//! Access tokens in use: what is believed, for how long, and who may ask.

use crate::house::{App, House, claims, house, new_user, origin, refresh_token, robot, web_app};
use keyreeve_crypto::base64url;
use keyreeve_crypto::jws::{Header, sign_compact};
use keyreeve_crypto::sign::{Algorithm, SigningKey};
use keyreeve_identity::{Cause, StateChange};
use keyreeve_testkit::{Engine, on_both_engines};
use keyreeve_tokens::clients::AuthMethod;
use keyreeve_tokens::{Introspection, TokenPolicy};
use serde_json::json;

async fn introspect(house: &House, app: &App, token: &str) -> Introspection {
    let client = house.login(app).await;
    house.tokens.introspect(&house.tenant, &client, token).await.expect("an answer")
}

async fn revoke(house: &House, app: &App, token: &str) {
    let client = house.login(app).await;
    house.tokens.revoke(&house.tenant, &client, token, &origin()).await.expect("an answer");
}

fn encode(value: &serde_json::Value) -> String {
    base64url::encode(value.to_string())
}

on_both_engines! {
    async fn a_token_is_good_until_it_expires(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let response = house.tokens_for(&portal, &house.sign_in().await).await;
        house.advance(299);
        assert!(house.is_good(&response.access_token).await);
        house.advance(1);
        assert!(!house.is_good(&response.access_token).await, "a remembered signature is not a remembered token");
        // From another node whose clock is ahead, by a little and by a lot.
        let fresh = house.refresh(&portal, refresh_token(&response)).await.expect("tokens");
        house.test.clock.set(house.test.world.now().minus(std::time::Duration::from_secs(60)));
        assert!(house.is_good(&fresh.access_token).await);
        house.test.clock.set(house.test.world.now().minus(std::time::Duration::from_secs(1)));
        assert!(!house.is_good(&fresh.access_token).await);
    }

    async fn ac_30_forged_tokens_are_refused(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let good = house.tokens_for(&portal, &house.sign_in().await).await.access_token;
        let parts: Vec<&str> = good.split('.').collect();
        let [header, payload, signature] = parts[..] else { panic!("three parts") };
        let header_json: serde_json::Value = serde_json::from_slice(&base64url::decode(header).unwrap()).unwrap();
        let kid = header_json["kid"].as_str().unwrap();
        let with = |header: serde_json::Value| format!("{}.{payload}.{signature}", encode(&header));
        let unsigned = |alg: &str| format!("{}.{payload}.", encode(&json!({"alg": alg, "typ": "at+jwt", "kid": kid})));
        let stranger = SigningKey::generate(Algorithm::EdDsa).unwrap();
        let forge = |header: &Header<'_>| sign_compact(&stranger, header, &claims(&good)).unwrap();
        let mut raised = claims(&good);
        raised.insert("scope".into(), json!("keyreeve:admin"));
        for forged in [
            String::new(),
            "x".into(),
            "x".repeat(20_000),
            unsigned("none"),
            unsigned("None"),
            unsigned(""),
            unsigned("HS256"),
            with(json!({"alg": "HS256", "typ": "at+jwt", "kid": kid})),
            with(json!({"alg": "RS256", "typ": "at+jwt", "kid": kid})),
            with(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid, "crit": ["exp"]})),
            with(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid, "jku": "https://evil.example/jwks"})),
            with(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "../../etc/passwd"})),
            with(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "' OR 1=1 --"})),
            with(json!({"alg": "EdDSA", "typ": "at+jwt"})),
            format!("{header}.{}.{signature}", encode(&serde_json::Value::Object(raised))),
            format!("{header}.{payload}"),
            format!("{header}.{payload}.{signature}="),
            format!("{header}.{payload}.{signature}.x.y"),
            format!("{}.{payload}.{signature}", encode(&json!({"alg": "dir", "enc": "A256GCM", "kid": kid}))),
            forge(&Header::of_type("at+jwt")),
            forge(&Header { typ: "at+jwt", kid: Some(kid) }),
        ] {
            assert!(!house.is_good(&forged).await, "{forged}");
            assert_eq!(introspect(&house, &portal, &forged).await, Introspection::default(), "{forged}");
        }
        assert!(house.is_good(&good).await);
        house.check().await;
    }

    async fn ac_34_one_kind_of_token_is_no_other(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let response = house.tokens_for(&portal, &house.sign_in().await).await;
        assert!(!house.is_good(response.id_token.as_deref().unwrap()).await);
        assert!(!house.is_good(refresh_token(&response)).await);
        assert_eq!(introspect(&house, &portal, response.id_token.as_deref().unwrap()).await, Introspection::default());

        let code = house.code(&[], &house.sign_in().await).await;
        let sealed = code.strip_prefix("kr_ac_").unwrap();
        for text in [&code, &format!("kr_rt_{sealed}"), &format!("kr_rt_{}", refresh_token(&response).to_uppercase())] {
            let (answer, lines) = house.lines_of(house.refresh(&portal, text)).await;
            assert_eq!(crate::house::refused(answer), "invalid_grant");
            assert_eq!(lines, ["admission.refresh refused unknown_refresh_token"]);
        }
        let spent = refresh_token(&response).replace("kr_rt_", "kr_ac_");
        let (answer, lines) = house.lines_of(house.redeem(&portal, &spent)).await;
        assert_eq!(crate::house::refused(answer), "invalid_grant");
        assert_eq!(lines, ["admission.code refused unknown_code"]);
        assert!(house.redeem(&portal, &code).await.is_ok());

        // Of another tenant, with the same names in it.
        let theirs = house.app_of(house.other.id, "portal", web_app()).await;
        new_user(&house.identity, house.other.id).await;
        let there = house.tokens.verify_access(&house.other, &response.access_token).await.expect("an answer");
        assert!(there.is_none());
        let their_client = house.login(&theirs).await;
        let told = house.tokens.introspect(&house.other, &their_client, &response.access_token).await.expect("an answer");
        assert_eq!(told, Introspection::default());
        let stolen = keyreeve_tokens::grants::RefreshRequest { refresh_token: refresh_token(&response), scope: None };
        let answer = house.tokens.refresh(&house.other, &their_client, stolen, &origin()).await;
        assert_eq!(crate::house::refused(answer), "invalid_grant");
        assert!(house.refresh(&portal, refresh_token(&response)).await.is_ok(), "what strangers do there changes nothing here");

        // For another audience.
        let mut settings = robot();
        settings.audiences = vec!["https://api.example".into()];
        let robot = house.app("robot", settings).await;
        let token = house.client_credentials(&robot, None).await.expect("a token").access_token;
        assert_eq!(claims(&token)["aud"], "https://api.example");
        assert!(!house.is_good(&token).await);
        assert!(introspect(&house, &robot, &token).await.active);
    }

    async fn ac_16_a_revoked_token_is_refused_at_once(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let other = house.app("other", web_app()).await;
        let session = house.sign_in().await;
        let response = house.tokens_for(&portal, &session).await;
        let ((), lines) = house.lines_of(revoke(&house, &other, &response.access_token)).await;
        assert_eq!(lines, ["token.revoke refused token_of_another_client"]);
        let ((), lines) = house.lines_of(revoke(&house, &other, refresh_token(&response))).await;
        assert_eq!(lines, ["token.revoke refused token_of_another_client"]);
        assert!(house.is_good(&response.access_token).await);

        let ((), lines) = house.lines_of(revoke(&house, &portal, &response.access_token)).await;
        assert_eq!(lines, ["token.revoke success"]);
        assert!(!house.is_good(&response.access_token).await);
        assert_eq!(introspect(&house, &portal, &response.access_token).await, Introspection::default());
        let second = house.refresh(&portal, refresh_token(&response)).await.expect("the grant goes on");
        assert!(house.is_good(&second.access_token).await);

        let ((), lines) = house.lines_of(revoke(&house, &portal, refresh_token(&second))).await;
        assert_eq!(lines, ["token.revoke success"]);
        assert!(!house.is_good(&second.access_token).await, "with the refresh token goes the grant");
        for nothing in ["", "x", "kr_rt_x", refresh_token(&second), response.id_token.as_deref().unwrap()] {
            let ((), lines) = house.lines_of(revoke(&house, &portal, nothing)).await;
            assert!(lines.is_empty(), "{lines:?}");
        }
        house.check().await;
    }

    async fn ac_15_whoever_is_disabled_takes_their_tokens_along(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let token = house.tokens_for(&portal, &house.sign_in().await).await.access_token;
        house.set(&portal, |settings| settings.enabled = false).await;
        assert!(!house.is_good(&token).await);
        house.set(&portal, |settings| settings.enabled = true).await;
        assert!(house.is_good(&token).await);
        let patch = keyreeve_identity::TenantPatch { enabled: Some(false), ..Default::default() };
        let tenants = house.identity.tenants();
        let off = tenants.update(house.tenant.id, house.tenant.version, patch, &Cause::operator()).await.expect("a change");
        assert!(house.tokens.verify_access(&off, &token).await.expect("an answer").is_none());
        let patch = keyreeve_identity::TenantPatch { enabled: Some(true), ..Default::default() };
        tenants.update(house.tenant.id, off.version, patch, &Cause::operator()).await.expect("a change");
        assert!(house.is_good(&token).await);
        house.change_user(StateChange::Lock).await;
        assert!(!house.is_good(&token).await);
        house.change_user(StateChange::Unlock).await;
        assert!(!house.is_good(&token).await, "locking has ended the session");
        let token = house.tokens_for(&portal, &house.sign_in().await).await.access_token;
        house.tokens.clients().delete(house.tenant.id, portal.client.id, &Cause::operator()).await.expect("a deletion");
        assert!(!house.is_good(&token).await);
        house.check().await;
    }

    async fn a_client_that_is_registered_anew_is_another_one(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let robot = house.app("robot", crate::house::robot()).await;
        let of_portal = house.tokens_for(&portal, &house.sign_in().await).await.access_token;
        let of_robot = house.client_credentials(&robot, None).await.expect("a token").access_token;
        assert!(house.is_good(&of_portal).await && house.is_good(&of_robot).await);
        for app in [&portal, &robot] {
            let clients = house.tokens.clients();
            clients.delete(house.tenant.id, app.client.id, &Cause::operator()).await.expect("a deletion");
        }
        house.portal().await;
        assert!(!house.is_good(&of_portal).await, "its grant was the former client's");
        house.advance(1);
        house.app("robot", crate::house::robot()).await;
        assert!(!house.is_good(&of_robot).await);
        house.check().await;
    }

    async fn userinfo_tells_what_the_scope_opens(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let told = |scope: &'static str| {
            let (house, portal, session) = (&house, &portal, &session);
            async move {
                let code = house.code(&[("scope", scope)], session).await;
                let token = house.redeem(portal, &code).await.expect("tokens").access_token;
                let access = house.tokens.verify_access(&house.tenant, &token).await.expect("an answer");
                match access {
                    Some(access) => {
                        let told = house.tokens.userinfo(&access).await.expect("an answer");
                        told.map(serde_json::Value::Object)
                    }
                    None => None,
                }
            }
        };
        assert_eq!(told("openid").await.unwrap(), json!({"sub": house.ada.id}));
        assert_eq!(told("openid email").await.unwrap(), json!({"sub": house.ada.id, "email": "ada@example.org", "email_verified": true}));
        let profile = told("openid profile").await.unwrap();
        assert_eq!(profile["name"], "Ada Lovelace");
        assert_eq!(profile["preferred_username"], "ada");
        assert!(profile.get("email").is_none());
        // Without openid the audience is whatever the client registered, and userinfo is not for it.
        assert_eq!(told("profile").await, None);
    }

    async fn introspection_is_for_those_whom_it_concerns(engine: Engine) {
        let house = house(engine).await;
        let mut settings = web_app();
        settings.audiences = vec!["https://api.example".into()];
        let portal = house.app("portal", settings).await;
        let mut settings = robot();
        settings.resources = vec!["https://api.example".into()];
        let api = house.app("api", settings).await;
        let stranger = house.app("stranger", robot()).await;
        let session = house.sign_in().await;
        let response = house.tokens_for(&portal, &session).await;
        let told = introspect(&house, &api, &response.access_token).await;
        assert!(told.active);
        assert_eq!(told.username.as_deref(), Some("ada"));
        assert_eq!(told.aud, ["https://api.example", "https://id.example"]);
        assert_eq!(told.sub, Some(house.ada.id.to_string()));
        assert_eq!(introspect(&house, &portal, &response.access_token).await, told);
        assert_eq!(introspect(&house, &stranger, &response.access_token).await, Introspection::default());
        assert_eq!(serde_json::to_string(&Introspection::default()).unwrap(), r#"{"active":false}"#);

        let refresh = introspect(&house, &portal, refresh_token(&response)).await;
        assert!(refresh.active && refresh.token_type.is_none());
        assert_eq!(introspect(&house, &api, refresh_token(&response)).await, Introspection::default());
        house.end(&session).await;
        assert_eq!(introspect(&house, &portal, refresh_token(&response)).await, Introspection::default());
        assert_eq!(introspect(&house, &portal, &response.access_token).await, Introspection::default());

        let spa = house.spa().await;
        let public = house.login(&spa).await;
        let answer = house.tokens.introspect(&house.tenant, &public, &response.access_token).await;
        assert_eq!(answer.expect_err("nobody can be asked who it is").code(), "invalid_client");
    }

    async fn client_credentials_leave_one_trace(engine: Engine) {
        let house = house(engine).await;
        let robot = house.app("robot", robot()).await;
        let (answer, lines) = house.lines_of(house.client_credentials(&robot, None)).await;
        let response = answer.expect("a token");
        assert_eq!(lines, ["admission.client success"]);
        assert_eq!(response.scope.as_str(), "read write");
        assert!(response.refresh_token.is_none() && response.id_token.is_none());
        let told = claims(&response.access_token);
        assert_eq!((told["sub"].as_str(), told["client_id"].as_str()), (Some("robot"), Some("robot")));
        assert!(told.get("gid").is_none() && told.get("auth_time").is_none());
        assert_eq!(house.client_credentials(&robot, Some("read")).await.expect("a token").scope.as_str(), "read");
        for (scope, code) in [("read admin", "invalid_scope"), ("keyreeve:admin", "invalid_scope"), ("a\"b", "invalid_scope")] {
            assert_eq!(crate::house::refused(house.client_credentials(&robot, Some(scope)).await), code);
        }
        let portal = house.portal().await;
        assert_eq!(crate::house::refused(house.client_credentials(&portal, None).await), "unauthorized_client");
        let access = house.tokens.verify_access(&house.tenant, &response.access_token).await.expect("an answer").unwrap();
        assert!(access.user().is_none() && house.tokens.userinfo(&access).await.expect("an answer").is_none());
        house.check().await;
    }

    async fn ac_22_the_password_grant_is_closed_and_throttled(engine: Engine) {
        use keyreeve_crypto::Secret;
        use keyreeve_tokens::grants::PasswordRequest;
        let house = house(engine).await;
        let mut settings = web_app();
        settings.grant_types.insert(keyreeve_tokens::clients::GrantType::Password);
        let app = house.app("terminal", settings).await;
        let ask = |password: &'static str, scope: Option<&'static str>| {
            let (house, app) = (&house, &app);
            async move {
                let client = house.login(app).await;
                let request = PasswordRequest { username: "ADA", password: Secret::new(password), scope };
                house.tokens.password(&house.tenant, &client, request, &origin()).await
            }
        };
        let good = crate::house::PASSWORD;
        assert_eq!(crate::house::refused(ask(good, None).await), "unsupported_grant_type");
        let policy = TokenPolicy { password_grant: true, ..TokenPolicy::default() };
        house.tokens.set_policy(house.tenant.id, &policy, &Cause::operator()).await.expect("a policy");
        let response = ask(good, Some("openid profile")).await.expect("tokens");
        assert!(house.is_good(&response.access_token).await);
        assert!(house.refresh(&app, refresh_token(&response)).await.is_ok());
        assert_eq!(crate::house::refused(ask(good, Some("openid offline_access")).await), "invalid_scope");
        for _ in 0..5 {
            assert_eq!(crate::house::refused(ask("wrong", None).await), "invalid_grant");
        }
        assert_eq!(crate::house::refused(ask(good, None).await), "temporarily_unavailable");
        house.advance(1);
        house.change_user(StateChange::Disable).await;
        let (answer, lines) = house.lines_of(ask(good, None)).await;
        assert_eq!(crate::house::refused(answer), "invalid_grant");
        assert!(lines.contains(&"admission.password refused user_disabled".to_owned()), "{lines:?}");
        house.check().await;
    }

    async fn what_is_over_is_tidied_away(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        house.code(&[], &session).await;
        let response = house.tokens_for(&portal, &session).await;
        house.refresh(&portal, refresh_token(&response)).await.expect("tokens");
        revoke(&house, &portal, &response.access_token).await;
        assert_eq!(house.tokens.prune().await.expect("care"), 0);
        house.advance(86_431);
        assert_eq!(house.tokens.prune().await.expect("care"), 1, "the code that nobody redeemed");
        house.advance(91 * 86_400);
        assert_eq!(house.tokens.prune().await.expect("care"), 1);
        house.check().await;
    }

    async fn public_clients_name_themselves_and_no_more(engine: Engine) {
        let house = house(engine).await;
        let spa = house.spa().await;
        assert_eq!(spa.client.settings.auth_method, AuthMethod::None);
        assert!(spa.secret.is_none());
        let response = house.tokens_for(&spa, &house.sign_in().await).await;
        assert!(house.is_good(&response.access_token).await);
        revoke(&house, &spa, refresh_token(&response)).await;
        assert!(!house.is_good(&response.access_token).await);
    }
}
