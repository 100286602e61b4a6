//! A world that is the same on each run, a small router, and a client that speaks raw bytes.

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use http::Request;
use http_body_util::BodyExt;
use keyreeve_base::world::Random;
use keyreeve_base::{SystemClock, World};
use keyreeve_http::front::Front;
use keyreeve_http::limits::Limits;
use keyreeve_http::origin::{ForwardedBy, TrustedProxies};
use keyreeve_http::serve::{Site, serve_with};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt;
use url::Url;

struct Counting(AtomicU8);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
    }
}

pub fn world() -> World {
    World::new(Arc::new(SystemClock), Arc::new(Counting(AtomicU8::new(1))))
}

/// The front of a server that trusts the proxies of 10.0.0.0/8.
pub fn front(public_url: &str) -> Front {
    let proxies = TrustedProxies::parse(&["10.0.0.0/8"], ForwardedBy::XForwardedFor).unwrap();
    Front::new(&world(), &Url::parse(public_url).unwrap(), proxies)
}

/// Asks the router as if the request came from `peer`.
pub async fn ask_from(router: &impl Site, peer: &str, mut request: Request<Body>) -> Response {
    let peer: SocketAddr = peer.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    router.clone().oneshot(request).await.unwrap()
}

pub async fn ask(router: &impl Site, request: Request<Body>) -> Response {
    ask_from(router, "192.0.2.1:4711", request).await
}

pub fn request(method: &str, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
}

pub async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// A served router and the switch that ends it.
pub struct Served {
    pub address: SocketAddr,
    pub stop: oneshot::Sender<()>,
    pub ended: JoinHandle<()>,
}

pub async fn served(router: impl Site, limits: Limits) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        // A test that drops the switch without using it wants the server to go on.
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let ended = tokio::spawn(async move { serve_with(listener, router, limits, shutdown).await });
    Served { address, stop, ended }
}

/// Far longer than anything here takes; a test that meets it has failed.
pub const LONG: Duration = Duration::from_secs(20);

pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn to(served: &Served) -> Self {
        Self(TcpStream::connect(served.address).await.unwrap())
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Everything up to the end of the connection.
    pub async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        // A reset ends a connection as well as a FIN does.
        let _ = tokio::time::timeout(LONG, self.0.read_to_end(&mut bytes))
            .await
            .expect("the server never closed");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The next answer: its head, and a body of the declared length.
    pub async fn answer(&mut self) -> String {
        tokio::time::timeout(LONG, self.read_answer()).await.expect("the server never answered")
    }

    async fn read_answer(&mut self) -> String {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            text.push(char::from(self.0.read_u8().await.expect("the connection ended within a head")));
        }
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        text + &String::from_utf8(body).unwrap()
    }
}

/// The status line's code of a raw answer; zero when there is none.
pub fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}
