//! One request and its answer, over a connection of their own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use url::Url;

/// No request of a test takes longer, unless the server hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The way to a server. Cheap to clone.
#[derive(Clone)]
pub struct Http(Arc<Target>);

struct Target {
    address: SocketAddr,
    /// The public URL without a slash at its end.
    base: String,
    failures: Mutex<Vec<String>>,
}

impl Http {
    pub(crate) fn new(address: SocketAddr, base: &str) -> Self {
        Self(Arc::new(Target { address, base: base.to_owned(), failures: Mutex::default() }))
    }

    /// The public URL without a slash at its end.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.0.base
    }

    /// The exchanges that the server answered with 5xx.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.0.failures.lock().expect("the failures").clone()
    }
}

/// A request in the making. Send it with [`Call::send`].
#[must_use = "a call that is not sent does nothing"]
pub struct Call {
    http: Http,
    method: String,
    target: String,
    headers: HeaderMap,
    body: Bytes,
    from: Option<IpAddr>,
}

impl Call {
    /// `target` is a path with its query, or a URL below the public URL.
    pub(crate) fn new(http: &Http, method: &str, target: &str) -> Self {
        let own =
            target.strip_prefix(http.base()).filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        let target = match own {
            Some("") => "/",
            Some(path) => path,
            None => target,
        };
        assert!(target.starts_with('/'), "{target} is not on this server");
        let mut headers = HeaderMap::new();
        let base = Url::parse(http.base()).expect("a public URL");
        let host = &base[url::Position::BeforeHost..url::Position::AfterPort];
        headers.insert(header::HOST, HeaderValue::from_str(host).expect("a host"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static("keyreeve-acceptance"));
        Self {
            http: http.clone(),
            method: method.to_owned(),
            target: target.to_owned(),
            headers,
            body: Bytes::new(),
            from: None,
        }
    }

    /// With these parameters in its query.
    pub fn query(mut self, params: &[(&str, &str)]) -> Self {
        let separator = if self.target.contains('?') { '&' } else { '?' };
        self.target = format!("{}{separator}{}", self.target, encode(params));
        self
    }

    /// With one more header of this name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
        self.headers.append(HeaderName::try_from(name).expect("a header name"), value);
        self
    }

    /// With this header, and no other of its name.
    pub fn set_header(mut self, name: &str, value: &str) -> Self {
        self.headers.remove(name);
        self.header(name, value)
    }

    /// With an access token in its header (RFC 6750 section 2.1).
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With a client's secret in its header (RFC 6749 section 2.3.1).
    pub fn basic(self, client_id: &str, secret: &str) -> Self {
        let escape = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let text = STANDARD.encode(format!("{}:{}", escape(client_id), escape(secret)));
        self.header("authorization", &format!("Basic {text}"))
    }

    /// With a form as its body.
    pub fn form(self, params: &[(&str, &str)]) -> Self {
        let text = encode(params);
        self.body("application/x-www-form-urlencoded", text.into_bytes())
    }

    /// With this body.
    pub fn body(mut self, content_type: &str, bytes: impl Into<Bytes>) -> Self {
        self.body = bytes.into();
        self.set_header("content-type", content_type)
    }

    /// With a JSON document as its body.
    pub fn json(self, document: &Value) -> Self {
        self.body("application/json", document.to_string())
    }

    /// From this address of the machine: any of `127.0.0.0/8`.
    pub fn from(mut self, address: &str) -> Self {
        self.from = Some(address.parse().expect("an address"));
        self
    }

    /// The path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Sends it, and reads the whole answer.
    pub async fn send(self) -> Answer {
        let shown = self.to_string();
        let http = self.http.clone();
        let answer = match tokio::time::timeout(PATIENCE, self.exchange()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => panic!("no answer: {error}\n{shown}"),
            Err(_) => panic!("the server hangs\n{shown}"),
        };
        let answer = Answer { request: shown, ..answer };
        if answer.status.is_server_error() {
            http.0.failures.lock().expect("the failures").push(answer.to_string());
        }
        answer
    }

    async fn exchange(self) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = self.from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let stream = socket.connect(self.http.0.address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request = http::Request::new(Full::new(self.body));
        *request.method_mut() = Method::try_from(self.method.as_str())?;
        *request.uri_mut() = Uri::try_from(self.target.as_str())?;
        *request.headers_mut() = self.headers;
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        drop(sender);
        connection.abort();
        Ok(Answer {
            request: String::new(),
            status: parts.status,
            headers: parts.headers,
            body,
            base: self.http.0.base.clone(),
        })
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.method, self.target)?;
        show(f, &self.headers, &self.body)
    }
}

fn show(f: &mut fmt::Formatter<'_>, headers: &HeaderMap, body: &[u8]) -> fmt::Result {
    for (name, value) in headers {
        writeln!(f, "{name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
    }
    let text = String::from_utf8_lossy(body);
    let shown: String = text.chars().take(6_000).collect();
    let cut = if shown.len() < text.len() { "…" } else { "" };
    writeln!(f, "\n{shown}{cut}")
}

/// A form or query as text.
#[must_use]
pub fn encode(params: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish()
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    request: String,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    base: String,
}

impl Answer {
    /// The answer, if it has this status.
    ///
    /// # Panics
    /// Otherwise, with the request and the answer.
    #[track_caller]
    #[must_use = "this is the answer itself; `check` expects the same and gives nothing back"]
    pub fn expect(self, status: u16) -> Self {
        self.check(status);
        self
    }

    /// Expects this status.
    ///
    /// # Panics
    /// When it is another one.
    #[track_caller]
    pub fn check(&self, status: u16) {
        assert!(self.status == status, "{status} was expected, {} came\n{self}", self.status);
    }

    /// A header, if it is there once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    /// The first challenge of the answer; an endpoint that takes tokens of several kinds has one for each (RFC 9110
    /// section 11.6.1).
    pub fn challenge(&self) -> Option<&str> {
        self.headers.get("www-authenticate").and_then(|value| value.to_str().ok())
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[track_caller]
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_else(|_| panic!("the body is not UTF-8\n{self}"))
    }

    /// The body as JSON, which the content type says that it is.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.contains("json"), "the content type is not JSON\n{self}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }

    /// The error code of a JSON answer (RFC 6749 section 5.2).
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    #[must_use]
    pub fn error(&self) -> String {
        let json = self.json();
        json["error"].as_str().unwrap_or_else(|| panic!("there is no error code\n{self}")).to_owned()
    }

    /// Expects a refusal in the shape of RFC 6749 section 5.2.
    ///
    /// # Panics
    /// When it is something else.
    #[track_caller]
    pub fn refused(&self, status: u16, error: &str) {
        self.check(status);
        assert!(self.error() == error, "the error {error} was expected\n{self}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self}");
    }

    /// Where a redirect leads.
    ///
    /// # Panics
    /// When it is no redirect.
    #[track_caller]
    #[must_use]
    pub fn location(&self) -> &str {
        assert!(self.status.is_redirection(), "a redirect was expected\n{self}");
        self.header("location").unwrap_or_else(|| panic!("there is no location\n{self}"))
    }

    /// Where a redirect leads on this server: the path and query below the public URL. None when it leads elsewhere.
    #[must_use]
    pub fn own_location(&self) -> Option<&str> {
        let rest = self.header("location")?.strip_prefix(&self.base)?;
        (self.status.is_redirection() && (rest.is_empty() || rest.starts_with(['/', '?']))).then_some(rest)
    }

    /// The page, as a browser reads it.
    ///
    /// # Panics
    /// When it is no valid HTML.
    #[track_caller]
    #[must_use]
    pub fn page(&self) -> crate::Page {
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/html"), "a page was expected\n{self}");
        crate::Page::parse(self.text())
    }

    /// Whether it is a page.
    #[must_use]
    pub fn is_page(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.starts_with("text/html"))
    }

    /// Every cookie that is set: its name, its value, and the whole header.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.headers.get_all(header::SET_COOKIE).iter().filter_map(|value| {
            let text = value.to_str().ok()?;
            let (name, value) = text.split(';').next()?.split_once('=')?;
            Some((name.trim(), value.trim(), text))
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "──── request\n{}──── answer\n{}", self.request, self.status)?;
        show(f, &self.headers, &self.body)
    }
}

/// Sends bytes as they are, and reads until the server closes or is silent for a second.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // The server may answer and close before it has read everything.
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    let mut buffer = [0; 8_192];
    while let Ok(Ok(read @ 1..)) =
        tokio::time::timeout(Duration::from_secs(1), stream.read(&mut buffer)).await
    {
        answer.extend_from_slice(&buffer[..read]);
    }
    answer
}
