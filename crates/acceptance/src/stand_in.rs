//! A server of somebody else, on a port of its own: what it hears, and what it answers.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http_body_util::BodyExt as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// No request of the server takes longer to come, unless it does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that it heard.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The method.
    pub method: String,
    /// The path and query.
    pub target: String,
    /// The content type.
    pub content_type: String,
    /// The body.
    pub body: String,
}

impl Heard {
    /// The value of a parameter of its form.
    #[must_use]
    pub fn form(&self, name: &str) -> Option<String> {
        let pairs = url::form_urlencoded::parse(self.body.as_bytes());
        pairs.into_owned().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

/// What it answers.
#[derive(Clone, Debug)]
struct Answers {
    status: StatusCode,
    headers: Vec<(&'static str, String)>,
    body: String,
}

struct Inner {
    answers: Mutex<Answers>,
    heard: mpsc::UnboundedSender<Heard>,
}

/// The stand-in.
pub struct StandIn {
    address: SocketAddr,
    inner: Arc<Inner>,
    heard: tokio::sync::Mutex<mpsc::UnboundedReceiver<Heard>>,
    serving: JoinHandle<()>,
}

impl StandIn {
    /// One that answers 200 with nothing.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (sender, receiver) = mpsc::unbounded_channel();
        let answers = Answers { status: StatusCode::OK, headers: Vec::new(), body: String::new() };
        let inner = Arc::new(Inner { answers: Mutex::new(answers), heard: sender });
        let router = Router::new().fallback(hear).with_state(Arc::clone(&inner));
        let serving = tokio::spawn(async move {
            drop(axum::serve(listener, router).await);
        });
        Self { address, inner, heard: tokio::sync::Mutex::new(receiver), serving }
    }

    /// An address of it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on it answers so.
    pub fn answer(&self, status: u16, headers: &[(&'static str, &str)], body: &str) {
        *self.inner.answers.lock().expect("the answers") = Answers {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            body: body.to_owned(),
        };
    }

    /// The next request that it hears.
    ///
    /// # Panics
    /// When none comes.
    pub async fn next(&self) -> Heard {
        let mut heard = self.heard.lock().await;
        let next = tokio::time::timeout(PATIENCE, heard.recv()).await;
        next.expect("a request should have come").expect("the stand-in serves")
    }

    /// What it has heard and nobody has asked for.
    pub async fn rest(&self) -> Vec<Heard> {
        let mut heard = self.heard.lock().await;
        let mut rest = Vec::new();
        while let Ok(one) = heard.try_recv() {
            rest.push(one);
        }
        rest
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn hear(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let kind = parts.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let heard = Heard {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        content_type: kind.to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let answers = inner.answers.lock().expect("the answers").clone();
    drop(inner.heard.send(heard));
    let mut response = (answers.status, answers.body).into_response();
    for (name, value) in &answers.headers {
        response.headers_mut().insert(*name, value.parse().expect("a header value"));
    }
    response
}
