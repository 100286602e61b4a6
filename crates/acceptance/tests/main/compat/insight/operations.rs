//! Every operation of the table, tried with success, without a credential, with a wrong one, by a stranger, and with a bad
//! body. An operation without a case fails the test.

use super::house::fails;
use super::{House, Pair, on_insight};
use keyreeve_acceptance::{Call, PASSWORD};
use keyreeve_compat::insight::DIALECT;
use keyreeve_compat::mount::Operation;
use serde_json::json;

const LATER_JSON: &str = "application/vnd.com.fico.xpress.insight.v2+json";

/// What a caller shows.
enum Shows<'a> {
    Nothing,
    Cookie(&'a str),
    Token(&'a str),
}

/// How an operation is called, and what it answers.
struct Case {
    /// With a session cookie, with a bearer token, with neither.
    by: (u16, u16, u16),
    body: Body,
}

enum Body {
    None,
    /// There may be one.
    Optional,
    Pair(&'static str),
    Password,
}

fn case(operation: &Operation) -> Case {
    let (by, body) = match operation.name {
        "insight_current_user" | "insight_later_current_user" | "insight_credentials" => {
            ((200, 200, 401), Body::None)
        }
        "insight_user" | "insight_later_token_details" => ((401, 200, 401), Body::None),
        "insight_generate" => ((200, 403, 401), Body::Optional),
        "insight_revoke" | "insight_logout" => ((204, 403, 401), Body::None),
        "insight_token" => ((200, 200, 200), Body::Pair("application/json")),
        "insight_later_token" => ((200, 200, 200), Body::Pair(LATER_JSON)),
        "insight_login" => ((200, 200, 200), Body::Password),
        other => panic!("{other} has no case"),
    };
    Case { by, body }
}

fn call(house: &House, operation: &Operation, shows: &Shows<'_>) -> Call {
    let call = house.call(operation.verb.text(), operation.path).header("x-requested-with", "XMLHttpRequest");
    match shows {
        Shows::Nothing => call,
        Shows::Cookie(cookie) => call.header("cookie", cookie),
        Shows::Token(token) => call.bearer(token),
    }
}

fn with_body(call: Call, body: &Body, pair: &Pair, password: &str) -> Call {
    match body {
        Body::None | Body::Optional => call,
        Body::Pair(kind) => {
            call.body(kind, json!({"clientId": pair.client_id, "secret": pair.secret}).to_string())
        }
        Body::Password => call.json(&json!({"username": "ada", "password": password})),
    }
}

on_insight! {
    async fn every_operation_answers_every_caller(house: &House) {
        assert_eq!(DIALECT.operations.len(), 11);
        for operation in DIALECT.operations {
            let Case { by: (by_cookie, by_token, by_nobody), body } = case(operation);
            for (what, expected) in [("cookie", by_cookie), ("token", by_token), ("nobody", by_nobody)] {
                // Some operations end what was shown: each try has its own.
                let (cookie, pair, token) = house.armed().await;
                let shows = match what {
                    "cookie" => Shows::Cookie(&cookie),
                    "token" => Shows::Token(&token),
                    _ => Shows::Nothing,
                };
                let answer = with_body(call(house, operation, &shows), &body, &pair, PASSWORD).send().await;
                assert_eq!(answer.status.as_u16(), expected, "{} by {what}: {answer}", operation.name);
                if expected >= 400 {
                    fails(&answer, expected);
                }
                let known = operation.answers.iter().any(|(status, _)| *status == expected);
                assert!(known, "{} does not say that it answers {expected}", operation.name);
            }
        }
    }

    async fn no_operation_takes_a_wrong_credential_or_a_strangers(house: &House) {
        // Of another tenant, by the same name and password.
        house.server.user("ada").create().await;
        let browser = house.server.browser();
        browser.sign_in("ada").await;
        let foreign = browser.cookie("session").unwrap();
        let client = house.server.client("service").service().create().await;
        let native = house.server.token(&client, &[("grant_type", "client_credentials")]).await.expect(200).json();
        let native = native["access_token"].as_str().unwrap().to_owned();
        let (cookie, pair, token) = house.armed().await;
        let wrong = Pair { secret: token.clone(), ..pair.clone() };
        let longer = format!("{token}x");
        let half = token.split_at(20).0.to_owned();
        for operation in DIALECT.operations {
            let Case { body, .. } = case(operation);
            if matches!(body, Body::Pair(_) | Body::Password) {
                let answer = with_body(call(house, operation, &Shows::Nothing), &body, &wrong, "wrong").send().await;
                fails(&answer, 401);
                house.server.advance(3_600);
                continue;
            }
            for shown in ["", "x", &longer, &half, &native, &pair.secret] {
                fails(&call(house, operation, &Shows::Token(shown)).send().await, 401);
            }
            for shown in [format!("insight_session={foreign}"), format!("insight_session={token}"), "insight_session=".to_owned()] {
                fails(&call(house, operation, &Shows::Cookie(&shown)).send().await, 401);
            }
            // Two tokens, another scheme, or a bad token beside a good cookie.
            let twice = call(house, operation, &Shows::Token(&token)).bearer(&token);
            fails(&twice.send().await, 401);
            let basic = call(house, operation, &Shows::Cookie(&cookie)).basic(&pair.client_id, &pair.secret);
            fails(&basic.send().await, 401);
            fails(&call(house, operation, &Shows::Cookie(&cookie)).bearer("x").send().await, 401);
        }
    }

    async fn no_operation_takes_a_bad_body(house: &House) {
        let (cookie, ..) = house.armed().await;
        for operation in DIALECT.operations {
            let Case { body, .. } = case(operation);
            let call = || call(house, operation, &Shows::Cookie(&cookie));
            let kind = match body {
                Body::None => continue,
                Body::Optional | Body::Password => "application/json",
                Body::Pair(kind) => kind,
            };
            fails(&call().body(kind, "{").send().await, 400);
            fails(&call().body("text/plain", "{}").send().await, 415);
            fails(&call().body(kind, "{}").header("content-encoding", "gzip").send().await, 415);
        }
    }
}
