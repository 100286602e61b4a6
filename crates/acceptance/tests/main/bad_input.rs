//! Malformed, oversized, repeated, misencoded and random input at every route of the table: the server answers, at once,
//! in the shape of the door, says what is wrong, gives nothing of itself away, and changes nothing.
//!
//! A new route is walked without being named here. A new parameter of an old one belongs into the request of [`sound`]
//! that has the others.

mod corpus;
pub mod exchange;
mod protocol;

use crate::abuse::granted;
use corpus::{bodies, encoded, headers, queries, values};
use exchange::{Reply, Request, exchange};
use keyreeve_acceptance::{Browser, Mount, Server, TestClient, VERIFIER, on_a_server};
use keyreeve_http::route::{Guard, RouteSpec};
use keyreeve_tokens::clients::GrantType;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinSet;

/// How many routes are walked at once.
const AT_ONCE: usize = 6;
/// How many random requests are made.
const RANDOM: u32 = 300;

/// What a request needs to get past a guard.
struct Keys {
    portal: TestClient,
    access: String,
    /// A token that opens the whole native API.
    administrator: String,
    cookies: String,
    base: String,
    asset: String,
}

impl Keys {
    async fn of(mount: &Mount) -> Self {
        mount.user("ada").create().await;
        let grants = [
            GrantType::AuthorizationCode,
            GrantType::RefreshToken,
            GrantType::Password,
            GrantType::ClientCredentials,
        ];
        let portal = mount.client("portal").web_app().grants(&grants).create().await;
        mount.set_policy(|policy| policy.password_grant = true).await;
        let browser = mount.browser();
        let tokens = mount.code_flow(&portal).tokens(&browser, "ada").await;
        let page = browser.get("/account").send().await.page();
        let asset = page
            .elements
            .iter()
            .find_map(|(_, attributes)| attributes.get("src")?.strip_prefix("/assets/").map(str::to_owned));
        let administrator = mount.administrator().await.token;
        let base = mount.tokens().base_url().to_owned();
        Self {
            portal,
            access: tokens.access,
            administrator,
            cookies: cookies(&browser),
            base,
            asset: asset.unwrap(),
        }
    }

    /// The request with what the guard asks for.
    fn unlock(&self, spec: &RouteSpec, request: Request) -> Request {
        match spec.guard {
            // It would be of no use for what follows.
            Guard::Bearer if spec.name == "kv_revoke_self" => request,
            Guard::Bearer if is_of_api(spec) || is_of_vault(spec) => {
                request.header("authorization", format!("Bearer {}", self.administrator))
            }
            Guard::Public | Guard::Operator => request,
            Guard::Browser => request.header("cookie", &self.cookies),
            Guard::BrowserForm => request.header("cookie", &self.cookies).header("origin", &self.base),
            Guard::Client => request.basic(&self.portal.client_id, self.portal.secret()),
            Guard::Bearer => request.header("authorization", format!("Bearer {}", self.access)),
        }
    }
}

fn cookies(browser: &Browser) -> String {
    let pairs: Vec<_> =
        browser.cookies().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("; ")
}

/// Whether its refusals are those of the native API: AuthZEN's are, too.
fn is_of_api(spec: &RouteSpec) -> bool {
    spec.path.contains("/api/v1/") || spec.path.contains("/access/v1/")
}

/// Whether it answers in the words of Vault's API.
fn is_of_vault(spec: &RouteSpec) -> bool {
    spec.path.contains("/vault/v1/")
}

/// The path of a route with its parameters filled in.
fn path_of(spec: &RouteSpec, keys: &Keys) -> String {
    let path = spec.path.replace("{tenant}", "acme").replace("{file}", &keys.asset);
    path.replace("{client_id}", "portal")
        .replace("{kind}", "user")
        .replace("{*rest}", "nothing/here")
        .replace("{mount}", "secret")
        .replace("{*path}", "a/b")
}

/// Expects an answer that a caller of this guard can read, and that gives nothing away.
fn check(spec: &RouteSpec, request: &Request, reply: &Reply) {
    let about = || format!("{} {}\n{request}\n{reply}", spec.method, spec.path);
    assert!((200..500).contains(&reply.status), "{}", about());
    let text = String::from_utf8_lossy(&reply.body);
    for leak in
        ["panicked", ".rs:", "SELECT ", "INSERT ", "sqlite", "postgres", "stack backtrace", "/root/", "serde"]
    {
        assert!(!text.contains(leak), "{leak}: {}", about());
    }
    if reply.status < 400 {
        return;
    }
    let kind = reply.header("content-type").unwrap_or_default();
    // RFC 7644 section 3.12.
    if kind.starts_with("application/scim+json") {
        let document: serde_json::Value =
            serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{}", about()));
        assert_eq!(document["status"], reply.status.to_string(), "{}", about());
        assert!(spec.path.starts_with("/scim/") && document["detail"].is_string(), "{}", about());
        return;
    }
    let problem = kind.starts_with("application/problem+json");
    if problem {
        let document: serde_json::Value =
            serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{}", about()));
        assert_eq!(document["status"], reply.status, "{}", about());
    }
    // What the connection loop refuses has no body at all; what the front refuses is a problem document.
    let by_the_loop = reply.body.is_empty() && [400, 414, 431].contains(&reply.status);
    let before_the_door = by_the_loop || (problem && [404, 405, 408, 413].contains(&reply.status));
    match spec.guard {
        _ if before_the_door || spec.method == "OPTIONS" => {}
        _ if is_of_vault(spec) => {
            let json: serde_json::Value =
                serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{}", about()));
            assert!(json["errors"].is_array() || json["data"]["metadata"].is_object(), "{}", about());
        }
        Guard::Bearer if is_of_api(spec) => assert!(problem, "{}", about()),
        Guard::Client | Guard::Bearer => {
            assert!(kind.starts_with("application/json"), "{}", about());
            let json: serde_json::Value =
                serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{}", about()));
            let challenged = reply.header("www-authenticate").is_some();
            assert!(json["error"].is_string() || (spec.guard == Guard::Bearer && challenged), "{}", about());
        }
        // Open to anybody, and in the shape of its standard (RFC 7591 section 3.2.2).
        Guard::Public if spec.name == "register" => {
            assert!(kind.starts_with("application/json"), "{}", about());
        }
        Guard::Public | Guard::Browser | Guard::BrowserForm | Guard::Operator => {
            assert!((kind.starts_with("text/html") || problem) && !reply.body.is_empty(), "{}", about());
        }
    }
}

/// Every bad request of the corpora at one route, by nobody and by somebody who may.
async fn walk(address: SocketAddr, spec: &RouteSpec, keys: &Keys) -> usize {
    let path = path_of(spec, keys);
    let plain = || Request::new(spec.method.as_str(), path.as_bytes());
    let mut requests = Vec::new();
    for query in queries() {
        requests.push(plain().query(&query));
    }
    if spec.method == "POST" {
        for (kind, body) in bodies() {
            requests.push(plain().body(kind, body));
        }
    }
    for (name, value) in headers() {
        requests.push(plain().header(name, value));
    }
    // Below another tenant the same handlers are mounted once more, and all operations of the native API are read by the
    // same code: a sample tells.
    let step = if path.starts_with("/t/") { 5 } else { 1 };
    let step = if path.contains("/api/v1/") { step * 11 } else { step };
    let requests: Vec<_> = requests.into_iter().step_by(step).collect();
    let count = requests.len() * 2;
    for request in requests {
        for request in [request.clone(), keys.unlock(spec, request)] {
            check(spec, &request, &exchange(address, &request).await);
        }
    }
    count
}

/// Method, path, and parameters.
type Sound = (&'static str, &'static str, Vec<(&'static str, String)>);

/// Sound requests, and where they go; each of their parameters is then replaced by every bad value.
fn sound(keys: &Keys) -> Vec<Sound> {
    let text = |pairs: &[(&'static str, &str)]| {
        pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect::<Vec<_>>()
    };
    let portal = &keys.portal;
    let authorize = text(&[
        ("client_id", "portal"),
        ("redirect_uri", &portal.redirect),
        ("response_type", "code"),
        ("scope", "openid"),
        ("state", "s"),
        ("nonce", "n"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
        ("prompt", "login"),
        ("max_age", "10"),
        ("login_hint", "ada"),
        ("ui_locales", "de"),
        ("claims", "{}"),
        ("id_token_hint", "x"),
        ("response_mode", "query"),
        ("acr_values", "1"),
        ("display", "page"),
    ]);
    let code = text(&[
        ("grant_type", "authorization_code"),
        ("code", "kr_ac_x"),
        ("redirect_uri", &portal.redirect),
        ("code_verifier", VERIFIER),
    ]);
    let refresh = text(&[("grant_type", "refresh_token"), ("refresh_token", "kr_rt_x"), ("scope", "openid")]);
    let own = text(&[("grant_type", "client_credentials"), ("scope", "profile")]);
    let password =
        text(&[("grant_type", "password"), ("username", "nobody"), ("password", "x"), ("scope", "profile")]);
    let token = text(&[("token", "x"), ("token_type_hint", "access_token")]);
    let assertion = text(&[
        ("grant_type", "client_credentials"),
        ("client_assertion_type", keyreeve_acceptance::build::ASSERTION_TYPE),
        ("client_assertion", "a.b.c"),
    ]);
    let bye = text(&[
        ("id_token_hint", "x"),
        ("client_id", "portal"),
        ("post_logout_redirect_uri", "https://portal.example/bye"),
        ("state", "s"),
    ]);
    let device = text(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", "portal"),
        ("device_code", "x"),
    ]);
    let sign_in = text(&[("csrf", "x"), ("username", "nobody"), ("password", "x"), ("request", "x")]);
    let consent = text(&[("csrf", "x"), ("request", "x"), ("decision", "allow")]);
    let choose = text(&[
        ("csrf", "x"),
        ("ticket", "x"),
        ("username", "x"),
        ("new_password", "x"),
        ("repeat_password", "x"),
        ("current_password", "x"),
    ]);
    vec![
        ("GET", "/authorize", authorize.clone()),
        ("POST", "/authorize", authorize),
        ("POST", "/token", code),
        ("POST", "/token", refresh),
        ("POST", "/token", own),
        ("POST", "/token", password),
        ("POST", "/token", assertion),
        ("POST", "/token", device),
        ("POST", "/introspect", token.clone()),
        ("POST", "/revoke", token),
        ("GET", "/end-session", bye.clone()),
        ("POST", "/end-session", bye),
        ("POST", "/signin", sign_in),
        ("POST", "/consent", consent),
        ("POST", "/password", choose),
        ("POST", "/account/sessions/end", text(&[("csrf", "x"), ("session", "x")])),
        ("GET", "/authorize/resume", text(&[("request", "x")])),
        ("GET", "/signin", text(&[("request", "x"), ("other", "1")])),
        ("POST", "/device_authorization", text(&[("client_id", "portal"), ("scope", "openid")])),
        ("POST", "/device", text(&[("csrf", "x"), ("user_code", "BCDF-GHJK")])),
        ("POST", "/device/decision", text(&[("csrf", "x"), ("request", "x"), ("decision", "allow")])),
        ("GET", "/device", text(&[("user_code", "BCDF-GHJK")])),
        ("POST", "/userinfo", text(&[("access_token", "x")])),
    ]
}

fn spec_of<'a>(specs: &'a [RouteSpec], method: &str, path: &str) -> &'a RouteSpec {
    specs
        .iter()
        .find(|spec| spec.method == method && spec.path == path)
        .unwrap_or_else(|| panic!("no route {method} {path}"))
}

/// Every route but the stream of audit entries: once granted, it does not end. What it refuses is among its own tests.
fn routes_that_end(server: &Server) -> Vec<RouteSpec> {
    let mut specs = server.app().route_specs();
    specs.retain(|spec| spec.name != "stream_audit_entries");
    specs
}

on_a_server! {
    async fn every_route_answers_bad_input_with_what_is_wrong(server: &Server) {
        let acme = server.tenant("acme").create().await;
        let here = Arc::new(Keys::of(server).await);
        let there = Arc::new(Keys::of(&acme).await);
        let before = [granted(server).await, granted(&acme).await];
        let (address, mut specs) = (server.address(), routes_that_end(server));
        let (mut running, mut requests) = (JoinSet::new(), 0);
        while !specs.is_empty() || !running.is_empty() {
            while running.len() < AT_ONCE
                && let Some(spec) = specs.pop()
            {
                let keys = if spec.path.starts_with("/t/") { Arc::clone(&there) } else { Arc::clone(&here) };
                running.spawn(async move { walk(address, &spec, &keys).await });
            }
            requests += running.join_next().await.unwrap().unwrap();
        }
        assert!(requests > 2_000, "only {requests} requests");
        assert_eq!([granted(server).await, granted(&acme).await], before);
    }

    async fn every_parameter_is_read_with_suspicion(server: &Server) {
        let keys = Arc::new(Keys::of(server).await);
        let specs = Arc::new(routes_that_end(server));
        let address = server.address();
        let mut running = JoinSet::new();
        for (method, path, pairs) in sound(&keys) {
            let (keys, specs) = (Arc::clone(&keys), Arc::clone(&specs));
            running.spawn(async move {
                let spec = spec_of(&specs, method, path);
                for (at, _) in pairs.iter().enumerate() {
                    for value in values() {
                        let text = encoded(&pairs, at, &value);
                        let request = Request::new(method, path.as_bytes());
                        let request = match method {
                            "GET" => request.query(text.as_bytes()),
                            _ => request.body("application/x-www-form-urlencoded", text),
                        };
                        // An assertion is a credential of its own.
                        let assertion = pairs.iter().any(|(name, _)| *name == "client_assertion");
                        let request = if assertion { request } else { keys.unlock(spec, request) };
                        check(spec, &request, &exchange(address, &request).await);
                    }
                }
            });
        }
        running.join_all().await;
    }

    async fn random_bytes_are_answered_too(server: &Server) {
        let keys = Keys::of(server).await;
        let specs: Vec<RouteSpec> =
            routes_that_end(server).into_iter().filter(|spec| !spec.path.starts_with("/t/")).collect();
        let (address, runtime) = (server.address(), tokio::runtime::Handle::current());
        let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
        // What could be text is tried more often than what cannot.
        let formlike = || {
            proptest::string::bytes_regex("([a-z_]{1,12}=(%[0-9a-fA-F]{0,2}|[ -~]|\\PC){0,20}&?){0,6}")
                .unwrap()
        };
        let input = (
            any::<prop::sample::Index>(),
            any::<bool>(),
            prop_oneof![bytes(80), formlike()],
            prop_oneof![bytes(300), formlike()],
            bytes(60),
        );
        let config = Config { cases: RANDOM, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let run = runner.run(&input, |(route, unlocked, query, body, cookie)| {
            let spec = route.get(&specs);
            let request =
                Request::new(spec.method.as_str(), path_of(spec, &keys).as_bytes()).query(&visible(query));
            let request = request.header("cookie", in_header(cookie));
            let request = if spec.method == "POST" {
                request.body("application/x-www-form-urlencoded", body)
            } else {
                request
            };
            let request = if unlocked { keys.unlock(spec, request) } else { request };
            let reply = runtime_block(&runtime, exchange(address, &request));
            check(spec, &request, &reply);
            Ok(())
        });
        run.unwrap();
    }
}

/// Waits for a future within a task.
fn runtime_block<T>(runtime: &tokio::runtime::Handle, future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| runtime.block_on(future))
}

/// Bytes that can stand in a request line: others end the line or the request (see `protocol`).
fn visible(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().filter(|byte| byte.is_ascii_graphic() && !b"#<>\"".contains(byte)).collect()
}

/// Bytes that can stand in a header.
fn in_header(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().filter(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)).collect()
}
