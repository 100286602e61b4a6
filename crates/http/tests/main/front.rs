//! What every answer bears, and what a handler learns of its request.

use crate::support::{ask, ask_from, front, request, text};
use axum::body::{Body, Bytes};
use http::{Request, StatusCode};
use keyreeve_http::front::Fronted;
use keyreeve_http::origin::ClientOrigin;
use keyreeve_http::route::{Guard, Routes};
use std::time::Duration;

async fn address(ClientOrigin(origin): ClientOrigin) -> String {
    format!("{} {}", origin.throttle_key(), origin.request_id.unwrap_or_default())
}

fn router() -> Fronted {
    let routes = Routes::new()
        .get("/origin", Guard::Public, "origin", address)
        .get("/panic", Guard::Public, "panic", async || -> &'static str { panic!("the secret is hunter2") })
        .get("/slow", Guard::Public, "slow", std::future::pending::<()>)
        .post("/length", Guard::Public, "length", async |body: Bytes| body.len().to_string());
    front("https://id.example")
        .body_bytes(100)
        .request_time(Duration::from_millis(50))
        .wrap(routes.into_router())
}

#[tokio::test]
async fn a_request_gets_an_identifier_of_our_own() {
    let router = router();
    let mut asked = request("GET", "/origin");
    asked.headers_mut().insert("x-request-id", "chosen-by-the-caller".parse().unwrap());
    let answer = ask(&router, asked).await;
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(id.len(), 16);
    assert_eq!(text(answer).await, format!("192.0.2.1 {id}"));
    let other = ask(&router, request("GET", "/origin")).await;
    assert_ne!(other.headers()["x-request-id"], id.as_str());
}

#[tokio::test]
async fn every_answer_is_protected_also_those_that_no_handler_made() {
    let router = router();
    for (method, path, status) in [
        ("GET", "/origin", 200),
        ("GET", "/nope", 404),
        ("PUT", "/origin", 405),
        ("GET", "/panic", 500),
        ("GET", "/slow", 503),
    ] {
        let answer = ask(&router, request(method, path)).await;
        assert_eq!(answer.status(), status, "{path}");
        let headers = answer.headers();
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["strict-transport-security"], "max-age=63072000", "{path}");
        assert!(headers.contains_key("content-security-policy"), "{path}");
        assert!(headers.contains_key("x-request-id"), "{path}");
    }
}

#[tokio::test]
async fn a_panic_and_a_slow_handler_are_answered_without_saying_more() {
    let router = router();
    let panicked = ask(&router, request("GET", "/panic")).await;
    assert_eq!(panicked.headers()["content-type"], "application/problem+json");
    assert_eq!(
        text(panicked).await,
        r#"{"type":"about:blank","title":"Internal Server Error","status":500}"#
    );
    let slow = ask(&router, request("GET", "/slow")).await;
    assert_eq!(slow.headers()["retry-after"], "5");
}

#[tokio::test]
async fn ac_58_a_body_is_read_up_to_the_limit_whether_it_says_its_length_or_not() {
    let router = router();
    let declared = |size: usize| Request::post("/length").body(Body::from("x".repeat(size))).unwrap();
    let streamed = |size: usize| {
        let pieces = (0..size).map(|_| Ok::<_, std::io::Error>("x"));
        Request::post("/length").body(Body::from_stream(futures_util::stream::iter(pieces))).unwrap()
    };
    assert_eq!(text(ask(&router, declared(100)).await).await, "100");
    assert_eq!(text(ask(&router, streamed(100)).await).await, "100");
    assert_eq!(ask(&router, declared(101)).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(ask(&router, streamed(101)).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn ac_13_the_address_is_the_clients_only_when_a_trusted_proxy_says_so() {
    let router = router();
    for (peer, header, address) in [
        ("192.0.2.9:1", "198.51.100.1", "192.0.2.9"),
        ("10.0.0.1:1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1:1", "1.1.1.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1:1", "not an address", "10.0.0.1"),
        ("[2001:db8::1]:1", "198.51.100.1", "2001:db8:0:0::/64"),
    ] {
        let mut asked = request("GET", "/origin");
        asked.headers_mut().insert("x-forwarded-for", header.parse().unwrap());
        let answer = ask_from(&router, peer, asked).await;
        assert_eq!(answer.status(), 200);
        let body = text(answer).await;
        assert_eq!(body.split(' ').next(), Some(address), "{peer} {header}");
    }
}

#[tokio::test]
async fn a_router_without_the_front_is_refused_to_a_handler_that_needs_it() {
    let bare = Routes::<()>::new().get("/origin", Guard::Public, "origin", address).into_router();
    assert_eq!(ask(&bare, request("GET", "/origin")).await.status(), 500);
}
