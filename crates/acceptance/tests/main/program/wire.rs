//! One connection to a server that may die at any moment: an answer, or the knowledge that there was none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use url::form_urlencoded::Serializer;

/// No request takes this long on a server that lives; one that does is a hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server died before it answered. Whether it did what was asked is not known.
#[derive(Debug)]
pub struct Lost(#[allow(dead_code, reason = "shown when it was not expected")] String);

impl<E: std::error::Error> From<E> for Lost {
    fn from(error: E) -> Self {
        Self(format!("{error:?}"))
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub location: Option<String>,
    /// `NAME=VALUE` of every cookie that was set.
    pub cookies: Vec<String>,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A field of a JSON answer.
    #[track_caller]
    pub fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_else(|| panic!("no {field} in {self:?}")).to_owned()
    }

    #[track_caller]
    pub fn check(&self, status: u16) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    /// The cookie of this name, as it is to be sent back.
    #[track_caller]
    pub fn cookie(&self, name: &str) -> String {
        let found = self.cookies.iter().find(|cookie| cookie.starts_with(&format!("{name}=")));
        found.unwrap_or_else(|| panic!("no cookie {name} in {self:?}")).clone()
    }
}

/// A connection.
pub struct Wire {
    sender: SendRequest<Full<Bytes>>,
}

impl Wire {
    pub async fn open(address: SocketAddr) -> Result<Self, Lost> {
        let stream = TcpStream::connect(address).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the server or with the sender.
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    pub async fn get(&mut self, path: &str, cookies: &str) -> Result<Answer, Lost> {
        let request = Request::builder().uri(path).header(header::COOKIE, cookies);
        self.ask(request.body(Full::default()).unwrap()).await
    }

    /// Posts a form with these cookies.
    pub async fn post(&mut self, path: &str, cookies: &str, form: &[(&str, &str)]) -> Result<Answer, Lost> {
        self.ask(form_post(path).header(header::COOKIE, cookies).body(body(form)).unwrap()).await
    }

    /// Posts a form as a client that authenticates by its secret.
    pub async fn call(&mut self, path: &str, client: &Client, form: &[(&str, &str)]) -> Result<Answer, Lost> {
        let credentials = STANDARD.encode(format!("{}:{}", client.id, client.secret));
        let request = form_post(path).header(header::AUTHORIZATION, format!("Basic {credentials}"));
        self.ask(request.body(body(form)).unwrap()).await
    }

    /// Sends a document with an access token.
    pub async fn send(
        &mut self,
        (method, path): (Method, &str),
        token: &str,
        document: &str,
    ) -> Result<Answer, Lost> {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        let request = request.header(header::CONTENT_TYPE, "application/json");
        self.ask(request.body(Full::from(document.to_owned())).unwrap()).await
    }

    /// Sends a document, or nothing, without a token; any status is an answer.
    pub async fn plain(&mut self, (method, path): (Method, &str), document: &str) -> Result<Answer, Lost> {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        self.hear(request.body(Full::from(document.to_owned())).unwrap()).await
    }

    /// Sends a document with these headers.
    pub async fn with(
        &mut self,
        (method, path): (Method, &str),
        headers: &[(&str, &str)],
        document: &str,
    ) -> Result<Answer, Lost> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header(header::CONTENT_TYPE, "application/json");
        self.ask(request.body(Full::from(document.to_owned())).unwrap()).await
    }

    async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Lost> {
        let shown = format!("{} {}", request.method(), request.uri());
        let answer = self.hear(request).await?;
        assert!(!answer.status.is_server_error(), "{shown}: {answer:?}");
        Ok(answer)
    }

    async fn hear(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Lost> {
        let shown = format!("{} {}", request.method(), request.uri());
        let asking = async {
            self.sender.ready().await?;
            let (parts, body) = self.sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
            let cookies = parts.headers.get_all(header::SET_COOKIE).iter().map(text);
            let pair = |cookie: String| cookie.split(';').next().unwrap_or_default().to_owned();
            Ok::<_, Lost>(Answer {
                status: parts.status,
                location: parts.headers.get(header::LOCATION).map(text),
                cookies: cookies.map(pair).collect(),
                body: String::from_utf8(body.into()).unwrap(),
            })
        };
        let answer = tokio::time::timeout(PATIENCE, asking).await;
        answer.unwrap_or_else(|_| panic!("{shown} hangs"))
    }
}

fn form_post(path: &str) -> http::request::Builder {
    let kind = "application/x-www-form-urlencoded";
    Request::builder().method(Method::POST).uri(path).header(header::CONTENT_TYPE, kind)
}

fn body(form: &[(&str, &str)]) -> Full<Bytes> {
    Full::from(Serializer::new(String::new()).extend_pairs(form).finish())
}

/// A confidential client.
#[derive(Debug, Clone)]
pub struct Client {
    pub id: String,
    pub secret: String,
}
