//! Clients that misbehave, over real sockets.

use crate::support::{LONG, Raw, Served, front, served, status};
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{HeaderMap, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use keyreeve_http::cookie::CookieNames;
use keyreeve_http::front::Fronted;
use keyreeve_http::limits::{Limits, MAX_HEADERS};
use keyreeve_http::params::StrictForm;
use keyreeve_http::route::{Guard, Routes};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

const SHORT: Duration = Duration::from_millis(400);

/// The limits of a server that waits for nobody.
fn hasty() -> Limits {
    Limits { head_read_time: SHORT, ..Limits::default() }
}

async fn session(headers: HeaderMap) -> Result<String, StatusCode> {
    let session = CookieNames { secure: false }.read(&headers, "sid");
    session.map(str::to_owned).ok_or(StatusCode::UNAUTHORIZED)
}

/// Holds the requests to `/wait` until it is opened.
struct Gate {
    entered: Semaphore,
    open: Semaphore,
}

impl Gate {
    fn closed() -> Arc<Self> {
        Arc::new(Self { entered: Semaphore::new(0), open: Semaphore::new(0) })
    }

    async fn pass(&self) {
        self.entered.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }

    /// Waits until one more request has come to the gate.
    async fn reached(&self) {
        tokio::time::timeout(LONG, self.entered.acquire()).await.unwrap().unwrap().forget();
    }
}

fn router(gate: &Arc<Gate>) -> Fronted {
    let gate = Arc::clone(gate);
    let wait = async move || gate.pass().await;
    let routes = Routes::new()
        .get("/peer", Guard::Public, "peer", async |ConnectInfo(peer): ConnectInfo<SocketAddr>| {
            peer.to_string()
        })
        .get("/session", Guard::Browser, "session", session)
        .get("/wait", Guard::Public, "wait", wait)
        .get("/large", Guard::Public, "large", async || vec![b'x'; 64 * 1024 * 1024])
        .post("/form", Guard::Public, "form", async |form: StrictForm| {
            form.0.get("a").unwrap_or("-").to_owned()
        });
    front("http://127.0.0.1:8080").wrap(routes.into_router())
}

async fn plain() -> Served {
    served(router(&Gate::closed()), Limits::default()).await
}

async fn hasty_one() -> Served {
    served(router(&Gate::closed()), hasty()).await
}

/// Sends `bytes` and returns what comes back until the server closes, and how long that took.
async fn spoken(served: &Served, bytes: impl AsRef<[u8]>) -> (String, Duration) {
    let start = Instant::now();
    let mut raw = Raw::to(served).await;
    raw.send(bytes).await;
    (raw.rest().await, start.elapsed())
}

#[tokio::test]
async fn a_connection_carries_many_requests_and_names_its_peer() {
    let served = plain().await;
    let mut raw = Raw::to(&served).await;
    let peer = raw.0.local_addr().unwrap().to_string();
    for _ in 0..3 {
        raw.send("GET /peer HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(raw.answer().await.ends_with(&peer));
    }
    raw.send("HEAD /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let head = raw.rest().await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    let (refused, _) = spoken(&served, "POST /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&refused), 405);
    assert!(refused.contains("allow: GET,HEAD"), "{refused}");
}

#[tokio::test]
async fn ac_58_a_client_that_is_slow_with_its_head_is_cut() {
    let served = hasty_one().await;
    for start in ["", "P", "PRI * HTTP/2.0\r\n", "GET", "GET /peer HTTP/1.1\r\nHost: x\r\nX-A: "] {
        let (answer, took) = spoken(&served, start).await;
        assert!(!answer.contains(" 200 "), "{start:?}: {answer}");
        assert!(took >= SHORT / 2 && took < LONG / 2, "{start:?}: {took:?}");
    }
}

#[tokio::test]
async fn ac_58_a_client_that_trickles_its_head_is_cut() {
    let served = hasty_one().await;
    let mut raw = Raw::to(&served).await;
    raw.send("GET /peer HTTP/1.1\r\nHost: x\r\nX-A: ").await;
    let (mut reading, mut writing) = raw.0.split();
    let trickle = async {
        // Far more pieces than the time allows.
        for _ in 0..1000 {
            tokio::time::sleep(SHORT / 20).await;
            if tokio::io::AsyncWriteExt::write_all(&mut writing, b"a").await.is_err() {
                return;
            }
        }
        panic!("the server read on");
    };
    let mut byte = [0];
    let closed = tokio::io::AsyncReadExt::read(&mut reading, &mut byte);
    tokio::select! { () = trickle => {}, read = closed => assert!(matches!(read, Ok(0) | Err(_))) }
}

#[tokio::test]
async fn ac_58_a_connection_without_requests_is_closed() {
    let served = hasty_one().await;
    let mut raw = Raw::to(&served).await;
    raw.send("GET /peer HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(status(&raw.answer().await), 200);
    assert_eq!(raw.rest().await, "");
}

#[tokio::test]
async fn a_slow_handler_is_no_idle_connection() {
    let gate = Gate::closed();
    let impatient = Limits { idle_time: SHORT, linger_time: SHORT / 10, ..hasty() };
    let served = served(router(&gate), impatient).await;
    let mut raw = Raw::to(&served).await;
    raw.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    gate.reached().await;
    tokio::time::sleep(SHORT * 3).await;
    gate.open.add_permits(1);
    assert_eq!(status(&raw.answer().await), 200);
}

#[tokio::test]
async fn ac_58_a_client_that_does_not_read_its_answer_is_cut() {
    let impatient = Limits { idle_time: SHORT, linger_time: SHORT, ..hasty() };
    let served = served(router(&Gate::closed()), impatient).await;
    let mut raw = Raw::to(&served).await;
    raw.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    tokio::time::sleep(SHORT * 6).await;
    assert!(raw.rest().await.len() < 64 * 1024 * 1024, "the server waited for a reader who never read");
}

#[tokio::test]
async fn ac_58_a_header_bomb_is_refused() {
    let served = plain().await;
    let with = |fields: &str| format!("GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n");
    let many = |count: usize| with(&(0..count).map(|i| format!("X-{i}: 1\r\n")).collect::<String>());
    let long = |bytes: usize| with(&format!("X-A: {}\r\n", "a".repeat(bytes)));
    assert_eq!(status(&spoken(&served, many(MAX_HEADERS - 2)).await.0), 200);
    assert_eq!(status(&spoken(&served, many(MAX_HEADERS - 1)).await.0), 431);
    assert_eq!(status(&spoken(&served, long(24 * 1024)).await.0), 200);
    assert_eq!(status(&spoken(&served, long(40 * 1024)).await.0), 431);
    let path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(70_000));
    assert!(matches!(status(&spoken(&served, path).await.0), 414 | 431));
}

#[tokio::test]
async fn ac_58_a_body_bomb_is_refused_before_it_is_read() {
    let served = plain().await;
    let post = |fields: &str, body: &str| {
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        format!("POST /form HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{kind}{fields}\r\n{body}")
    };
    let good = spoken(&served, post("Content-Length: 3\r\n", "a=1")).await.0;
    assert!(status(&good) == 200 && good.ends_with("\r\n\r\n1"), "{good}");
    // Declared only: nothing of it is ever sent, and still the answer is there.
    assert_eq!(status(&spoken(&served, post("Content-Length: 99999999999\r\n", "")).await.0), 413);
    let chunk = format!("a\r\n{}\r\n", "&".repeat(10)).repeat(7000);
    let chunked = post("Transfer-Encoding: chunked\r\n", &format!("{chunk}0\r\n\r\n"));
    assert_eq!(status(&spoken(&served, chunked).await.0), 413);
}

#[tokio::test]
async fn ac_12_a_malformed_cookie_opens_nothing() {
    let served = plain().await;
    let with = |cookie: &[u8]| {
        let head = b"GET /session HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: ";
        [head, cookie, b"\r\n\r\n"].concat()
    };
    assert_eq!(status(&spoken(&served, with(b"a=b; sid=good")).await.0), 200);
    for bad in [
        &b"sid"[..],
        b"sid=",
        b"sid=\xff\xfe",
        b"sid=\"good\"",
        b"sid=good; sid=good",
        b"sid=a b",
        b";;;",
        b"",
        b"=sid",
    ] {
        assert_eq!(status(&spoken(&served, with(bad)).await.0), 401, "{}", bad.escape_ascii());
    }
    let twice =
        b"GET /session HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: sid=a\r\nCookie: sid=b\r\n\r\n";
    assert_eq!(status(&spoken(&served, twice).await.0), 401);
    assert_eq!(status(&spoken(&served, with(b"sid=a\0b")).await.0), 400);
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let served = plain().await;
    let form = "POST /form HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    for bad in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03 hello\r\n\r\n".to_owned(),
        "GET /peer HTTP/9.9\r\n\r\n".to_owned(),
        "GET  /peer HTTP/1.1\r\n\r\n".to_owned(),
        "GET /peer HTTP/1.1\r\nHost : x\r\n\r\n".to_owned(),
        // Two readings of where the body ends are how requests are smuggled past a proxy.
        format!("{form}Content-Length: 3\r\nContent-Length: 4\r\n\r\na=1"),
        format!("{form}Content-Length: +3\r\n\r\na=1"),
        format!("{form}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    ] {
        let (answer, _) = spoken(&served, &bad).await;
        assert!(matches!(status(&answer), 0 | 400 | 505), "{bad:?}: {answer}");
    }
}

#[tokio::test]
async fn beyond_the_limit_of_connections_the_next_one_waits() {
    let served = served(router(&Gate::closed()), Limits { connections: 1, ..Limits::default() }).await;
    let ask = "GET /peer HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut first = Raw::to(&served).await;
    first.send(ask).await;
    first.answer().await;
    let mut second = Raw::to(&served).await;
    second.send(ask).await;
    let mut byte = [0];
    assert!(
        tokio::time::timeout(SHORT, second.0.peek(&mut byte)).await.is_err(),
        "answered beyond the limit"
    );
    drop(first);
    assert_eq!(status(&second.answer().await), 200);
}

#[tokio::test]
async fn shutting_down_lets_open_requests_finish_and_takes_no_more() {
    let gate = Gate::closed();
    let served = served(router(&gate), Limits::default()).await;
    let mut idle = Raw::to(&served).await;
    idle.send("GET /peer HTTP/1.1\r\nHost: x\r\n\r\n").await;
    idle.answer().await;
    let mut busy = Raw::to(&served).await;
    busy.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    gate.reached().await;
    served.stop.send(()).unwrap();
    assert_eq!(idle.rest().await, "", "an idle connection is closed at once");
    assert!(TcpStream::connect(served.address).await.is_err(), "a new connection was taken");
    assert!(!served.ended.is_finished());
    gate.open.add_permits(1);
    assert_eq!(status(&busy.rest().await), 200);
    tokio::time::timeout(LONG, served.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn shutting_down_cuts_what_does_not_finish() {
    let gate = Gate::closed();
    let served = served(router(&gate), Limits { shutdown_time: SHORT, ..Limits::default() }).await;
    let mut busy = Raw::to(&served).await;
    busy.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    gate.reached().await;
    served.stop.send(()).unwrap();
    tokio::time::timeout(LONG, served.ended).await.unwrap().unwrap();
    assert_eq!(busy.rest().await, "");
}

type Http2 = hyper::client::conn::http2::SendRequest<Body>;

async fn http2(served: &Served) -> (Http2, tokio::task::JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(served.address).await.unwrap();
    let mut client = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    client.timer(TokioTimer::new()).max_header_list_size(1 << 20);
    let (send, connection) = client.handshake(TokioIo::new(stream)).await.unwrap();
    (send, tokio::spawn(connection))
}

#[tokio::test]
async fn http_2_is_spoken_in_plain_text_within_the_same_limits() {
    let impatient = Limits { idle_time: SHORT * 3, linger_time: SHORT, ..Limits::default() };
    let served = served(router(&Gate::closed()), impatient).await;
    let (mut send, connection) = http2(&served).await;
    let get = |size: usize| {
        Request::get("http://x/peer").header("x-a", "a".repeat(size)).body(Body::empty()).unwrap()
    };
    assert_eq!(send.send_request(get(10)).await.unwrap().status(), 200);
    let bomb = send.send_request(get(40 * 1024)).await;
    assert!(bomb.is_err() || bomb.is_ok_and(|answer| answer.status() == 431));
    // Kept open by its client, closed by the server since it asks nothing more.
    assert!(tokio::time::timeout(LONG, connection).await.is_ok());
    drop(send);
}
