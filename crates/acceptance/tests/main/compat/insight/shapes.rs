//! Media types, errors, and the names of later releases.

use super::house::fails;
use super::{House, V1, on_insight};
use keyreeve_acceptance::Answer;
use serde_json::json;

const LATER_JSON: &str = "application/vnd.com.fico.xpress.insight.v2+json";
const LATER_PLAIN: &str = "text/vnd.com.fico.xpress.insight.v2+plain";

on_insight! {
    async fn a_token_is_text_where_text_is_preferred(house: &House) {
        let cookie = house.login("ada").await;
        let pair = house.generate(&cookie).await;
        let body = json!({"clientId": pair.client_id, "secret": pair.secret, "maxAge": 900});
        let ask = async |accept: &str| -> Answer {
            house.v1("POST", "/token").json(&body).header("accept", accept).send().await
        };
        for accept in ["*/*", "application/json", "application/json, text/plain", "text/plain;q=0.5, application/json"] {
            let answer = ask(accept).await.expect(200);
            assert_eq!(answer.header("content-type"), Some("application/json"), "{accept}");
            assert!(answer.text().starts_with("\"kr_xi_") && answer.text().ends_with('"'), "{answer}");
        }
        for accept in ["text/plain", "text/*", "application/json;q=0.5, text/plain"] {
            let answer = ask(accept).await.expect(200);
            assert_eq!(answer.header("content-type"), Some("text/plain"), "{accept}");
            assert!(answer.text().starts_with("kr_xi_") && answer.text().len() == 49, "{answer}");
            house.token_info(answer.text()).await.check(200);
        }
        fails(&ask("image/png").await, 406);
    }

    async fn later_releases_have_other_names_and_media_types(house: &House) {
        let cookie = house.login("ada").await;
        let pair = house.generate(&cookie).await;
        let body = json!({"clientId": pair.client_id, "secret": pair.secret, "maxAge": 900}).to_string();
        let ask = || house.call("POST", "/api/authentication/token").body(LATER_JSON, body.clone());
        // As the published client asks.
        let answer = ask().header("accept", &format!("{LATER_PLAIN}, {LATER_JSON}")).send().await.expect(200);
        assert_eq!(answer.header("content-type"), Some(LATER_PLAIN));
        let token = answer.text().to_owned();
        let answer = ask().header("accept", LATER_JSON).send().await.expect(200);
        assert_eq!(answer.header("content-type"), Some(LATER_JSON));
        assert!(answer.json().is_string());
        fails(&ask().header("accept", "text/html").send().await, 406);
        for kind in ["application/json", "text/plain"] {
            let answer = house.call("POST", "/api/authentication/token").body(kind, body.clone()).send().await;
            fails(&answer, 415);
        }
        for (path, old) in [("/token", "/user"), ("/current-user", "/currentuser")] {
            let get = || house.call("GET", &format!("/api/authentication{path}"));
            let answer = get().bearer(&token).header("accept", LATER_JSON).send().await.expect(200);
            assert_eq!(answer.header("content-type"), Some(LATER_JSON));
            assert_eq!(answer.json(), house.v1("GET", old).bearer(&token).send().await.expect(200).json());
            fails(&get().bearer(&token).header("accept", "application/xml").send().await, 406);
            fails(&get().send().await, 401);
        }
    }

    async fn an_error_bears_the_trace_of_its_request(house: &House) {
        let get = || house.v1("GET", "/user");
        let error = fails(&get().send().await, 401);
        assert_eq!((error["desc"].as_str(), error["parentId"].is_null()), (Some("Unauthorized"), true));
        assert_eq!(error["traceId"].as_str().unwrap().len(), 16);
        let now = jiff::Timestamp::from_microsecond(house.server.now().micros()).unwrap();
        assert_eq!(error["timestamp"], json!(format!("{now:.3}")));
        for (sent, kept) in [("463ac35c9f6413ad", true), ("463AC35C9F6413AD463ac35c9f6413ad", true), ("463ac35c\"9f6413", false), ("xyz", false)] {
            let answer = get().header("x-b3-traceid", sent).header("x-b3-spanid", "a2fb4a1d1a96d312").send().await;
            let error = fails(&answer, 401);
            assert_eq!(error["traceId"] == json!(sent.to_lowercase()), kept, "{answer}");
            assert_eq!(error["parentId"] == json!("a2fb4a1d1a96d312"), kept, "{answer}");
        }
    }

    async fn another_method_or_path_is_told_so(house: &House) {
        for (method, path, allow) in [
            ("PUT", "/currentuser/credentials", "GET, POST, DELETE"),
            ("POST", "/currentuser", "GET"),
            ("GET", "/token", "POST"),
            ("DELETE", "/user", "GET"),
        ] {
            let answer = house.v1(method, path).send().await;
            fails(&answer, 405);
            assert_eq!(answer.header("allow"), Some(allow));
        }
        for path in ["/insightservices/rest/v1/auth/nothing", "/insightservices/x", "/api/authentication/x"] {
            fails(&house.call("GET", path).send().await, 404);
        }
    }

    async fn a_body_is_read_by_its_kind_and_within_bounds(house: &House) {
        let cookie = house.login("ada").await;
        let generate = || house.by_cookie(&cookie, "POST", "/currentuser/credentials");
        for body in ["{}", "null", "[1]", "{\"anything\": 1}"] {
            generate().body("application/json; charset=UTF-8", body).send().await.check(200);
        }
        // A client that declares JSON and sends none.
        generate().body("application/json", "").send().await.check(200);
        fails(&generate().body("application/json", "{").send().await, 400);
        fails(&generate().body("text/plain", "{}").send().await, 415);
        let info = house.by_cookie(&cookie, "GET", "/currentuser/credentials").send().await.expect(200);
        assert_eq!(info.json()["credentialsId"], json!(5), "what was refused changed nothing");
        let token = || house.v1("POST", "/token");
        fails(&token().send().await, 415);
        fails(&token().form(&[("clientId", "x"), ("secret", "y")]).send().await, 415);
        for body in ["", "null", "[]", "\"x\"", "{\"clientId\":\"x\"}", "{\"secret\":\"x\"}", "{\"clientId\":null,\"secret\":\"x\"}",
            "{\"clientId\":1,\"secret\":\"x\"}", "{\"clientId\":\"x\",\"clientId\":\"y\",\"secret\":\"x\"}"]
        {
            fails(&token().body("application/json", body).send().await, 400);
        }
        let long = json!({"clientId": "x".repeat(9_000), "secret": "y"}).to_string();
        fails(&token().body("application/json", long).send().await, 413);
        // Members that are not known are left alone.
        let pair = house.generate(&cookie).await;
        let more = json!({"clientId": pair.client_id.to_uppercase(), "secret": pair.secret, "x": {"y": 1}});
        token().json(&more).send().await.check(200);
    }

    async fn the_document_of_the_interface_is_served_and_complete(house: &House) {
        let document = house.call("GET", "/insightservices/openapi.json").send().await.expect(200).json();
        assert_eq!(document, keyreeve_compat::openapi::document(&keyreeve_compat::insight::DIALECT));
        assert!(document["paths"][format!("{V1}/currentuser/credentials")]["delete"]["responses"]["204"].is_object());
    }
}
