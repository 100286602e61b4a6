//! The table of routes, and what the router that is made of it does.

use crate::support::{ask, request, text};
use axum::extract::State;
use http::{Method, StatusCode};
use keyreeve_http::cors::Cors;
use keyreeve_http::route::{Guard, Routes, TenantName};
use metrics_exporter_prometheus::PrometheusBuilder;
use url::Url;

async fn tenant(TenantName(name): TenantName) -> String {
    name.unwrap_or_else(|| "default".to_owned())
}

fn table() -> Routes {
    Routes::new()
        .get("/", Guard::Public, "home", async || "home")
        .get("/userinfo", Guard::Bearer, "userinfo", tenant)
        .post("/userinfo", Guard::Bearer, "userinfo", tenant)
        .post("/token", Guard::Client, "token", async || StatusCode::BAD_REQUEST)
}

#[tokio::test]
async fn every_route_of_the_table_answers_and_nothing_else_does() {
    let routes = table().tenanted();
    let specs = routes.specs().to_vec();
    let router = routes.into_router();
    let paths: Vec<_> = specs.iter().map(|spec| format!("{} {}", spec.method, spec.path)).collect();
    assert_eq!(
        paths,
        [
            "GET /",
            "GET /userinfo",
            "POST /userinfo",
            "POST /token",
            "GET /t/{tenant}",
            "GET /t/{tenant}/userinfo",
            "POST /t/{tenant}/userinfo",
            "POST /t/{tenant}/token",
        ]
    );
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        for path in ["/", "/userinfo", "/token"] {
            for mount in ["", "/t/acme"] {
                let full = format!("{mount}{path}");
                let full = if full == "/t/acme/" { "/t/acme" } else { &full };
                let status = ask(&router, request(method, full)).await.status();
                let known = specs.iter().any(|spec| {
                    spec.method.as_str() == method && spec.path.replace("{tenant}", "acme") == full
                });
                assert_eq!(status != StatusCode::METHOD_NOT_ALLOWED, known, "{method} {full}");
            }
        }
    }
    for unknown in
        ["/nope", "/userinfo/", "/t", "/t/", "/t/acme/nope", "/t/a/b/userinfo", "//userinfo", "/Userinfo"]
    {
        assert_eq!(ask(&router, request("GET", unknown)).await.status(), StatusCode::NOT_FOUND, "{unknown}");
    }
}

#[tokio::test]
async fn head_is_answered_as_get_without_a_body_and_other_methods_name_what_is_allowed() {
    let router = table().into_router();
    let head = ask(&router, request("HEAD", "/")).await;
    assert_eq!((head.status(), &head.headers()["content-length"]), (StatusCode::OK, &"4".parse().unwrap()));
    assert_eq!(text(head).await, "");
    let refused = ask(&router, request("DELETE", "/userinfo")).await;
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    let mut allowed: Vec<_> = refused.headers()["allow"].to_str().unwrap().split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    assert_eq!(ask(&router, request("BREW", "/token")).await.headers()["allow"], "POST");
}

#[tokio::test]
async fn a_handler_learns_which_tenant_the_path_names() {
    let router = table().tenanted().into_router();
    for (path, name) in [
        ("/userinfo", "default"),
        ("/t/acme/userinfo", "acme"),
        ("/t/a%2Fb/userinfo", "a/b"),
        ("/t/%C3%A9/userinfo", "é"),
    ] {
        assert_eq!(text(ask(&router, request("GET", path)).await).await, name);
    }
    // Not text: this must not pass for the default tenant.
    assert_eq!(ask(&router, request("GET", "/t/%FF/userinfo")).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn tables_of_two_doors_with_states_of_their_own_are_merged() {
    let one = Routes::new().get("/one", Guard::Public, "one", async |State(n): State<u8>| n.to_string());
    let two = Routes::new().get("/two", Guard::Public, "two", async |State(s): State<&'static str>| s);
    let routes: Routes = one.with_state(1).merge(two.with_state("two"));
    assert_eq!(routes.specs().iter().map(|spec| spec.name).collect::<Vec<_>>(), ["one", "two"]);
    let router = routes.into_router();
    assert_eq!(text(ask(&router, request("GET", "/one")).await).await, "1");
    assert_eq!(text(ask(&router, request("GET", "/two")).await).await, "two");
}

#[test]
#[should_panic(expected = "Overlapping method route")]
fn a_route_defined_twice_does_not_start() {
    let _ = table().merge(table()).into_router();
}

async fn from_page(
    router: &impl keyreeve_http::serve::Site,
    method: &str,
    path: &str,
    origin: &str,
) -> http::HeaderMap {
    let mut asked = request(method, path);
    asked.headers_mut().insert("origin", origin.parse().unwrap());
    asked.headers_mut().insert("access-control-request-method", "POST".parse().unwrap());
    ask(router, asked).await.headers().clone()
}

#[tokio::test]
async fn ac_60_pages_of_listed_origins_read_answers_and_others_do_not() {
    let app = Url::parse("https://app.example").unwrap();
    let routes = table()
        .cors(&Cors::listed([&app]))
        .merge(Routes::new().get("/jwks", Guard::Public, "jwks", async || "{}").cors(&Cors::public()));
    let options = routes.specs().iter().filter(|spec| spec.method == Method::OPTIONS).count();
    assert_eq!(options, 4, "one preflight route for each path");
    let router = routes.tenanted().into_router();
    for path in ["/token", "/t/acme/token"] {
        let own = from_page(&router, "POST", path, "https://app.example").await;
        assert_eq!(own["access-control-allow-origin"], "https://app.example");
        assert_eq!(own["vary"], "Origin");
        let preflight = from_page(&router, "OPTIONS", path, "https://app.example").await;
        assert_eq!(preflight["access-control-allow-methods"], "POST, OPTIONS");
        assert!(preflight["access-control-allow-headers"].to_str().unwrap().contains("Authorization"));
        for method in ["POST", "OPTIONS"] {
            let foreign = from_page(&router, method, path, "https://badapp.example").await;
            assert!(foreign.keys().all(|name| !name.as_str().starts_with("access-control")), "{foreign:?}");
        }
    }
    let both = from_page(&router, "OPTIONS", "/userinfo", "https://app.example").await;
    assert_eq!(both["access-control-allow-methods"], "GET, POST, HEAD, OPTIONS");
    for method in ["GET", "OPTIONS"] {
        let public = from_page(&router, method, "/jwks", "https://evil.test").await;
        assert_eq!(public["access-control-allow-origin"], "*");
        assert!(!public.contains_key("access-control-allow-credentials"));
    }
}

#[tokio::test]
async fn requests_are_counted_by_route_method_and_class_and_timed() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let router = table().tenanted().measured(&recorder).into_router();
    for (method, path) in [
        ("GET", "/userinfo"),
        ("GET", "/t/acme/userinfo"),
        ("HEAD", "/userinfo"),
        ("POST", "/token"),
        ("GET", "/nope"),
    ] {
        ask(&router, request(method, path)).await;
    }
    let page = recorder.handle().render();
    for line in [
        r#"keyreeve_http_requests_total{route="userinfo",method="GET",status="2xx"} 3"#,
        r#"keyreeve_http_requests_total{route="token",method="POST",status="4xx"} 1"#,
        r#"keyreeve_http_request_seconds_count{route="userinfo"} 3"#,
    ] {
        assert!(page.lines().any(|known| known == line), "{line}\n{page}");
    }
    assert!(!page.contains("acme") && !page.contains("nope"), "a label that a caller made up:\n{page}");
}
