//! The native API as the command line speaks to it: every command is requests of [`Call`]s and a view of the answers,
//! whether they go to a server elsewhere ([`elsewhere`]) or to the installation that this process has open ([`here`]).

mod elsewhere;
mod here;
mod session;

pub use elsewhere::Elsewhere;
pub(super) use elsewhere::{names_server, post_openly};
pub use session::{login, logout};

use super::exit::{Exit, Failure};
use crate::App;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use keyreeve_fetch::Broken;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::sync::mpsc::Receiver;

/// Pages that one command follows at most.
const MAX_PAGES: usize = 100_000;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One request of the native API.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path below `/api/v1`, with a leading slash; its parts are encoded.
    pub path: String,
    /// The query.
    pub query: Vec<(&'static str, String)>,
    /// The document to send.
    pub body: Option<Value>,
    /// The version that is to be changed.
    pub version: Option<i64>,
}

/// A path from its parts, each encoded: `at!["users", id]`.
macro_rules! at {
    ($($part:expr),+ $(,)?) => {{
        let mut path = String::new();
        $(
            path.push('/');
            path.push_str(&$crate::cli::client::segment(AsRef::<str>::as_ref(&$part)));
        )+
        path
    }};
}
pub(crate) use at;

/// A part of a path, so that it stays one part whatever it holds.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

impl Call {
    fn new(method: Method, path: String) -> Self {
        Self { method, path, query: Vec::new(), body: None, version: None }
    }

    /// Reads.
    pub fn get(path: String) -> Self {
        Self::new(Method::GET, path)
    }

    /// Makes, or does something.
    pub fn post(path: String) -> Self {
        Self::new(Method::POST, path)
    }

    /// Sets.
    pub fn put(path: String) -> Self {
        Self::new(Method::PUT, path)
    }

    /// Changes fields.
    pub fn patch(path: String) -> Self {
        Self::new(Method::PATCH, path)
    }

    /// Removes.
    pub fn delete(path: String) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// A call by the method's name.
    ///
    /// # Errors
    /// When it is no method.
    pub fn any(method: &str, path: String) -> Result<Self, Failure> {
        let wrong = || Failure::usage(format!("{method:?} is not a method; GET, POST, PUT, PATCH or DELETE"));
        let known = ["GET", "POST", "PUT", "PATCH", "DELETE"];
        let upper = method.to_ascii_uppercase();
        let method = known.contains(&&*upper).then(|| Method::from_bytes(upper.as_bytes()).ok()).flatten();
        Ok(Self::new(method.ok_or_else(wrong)?, path))
    }

    /// With a document.
    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// With a part of the query, where there is a value.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// Only at this version.
    #[must_use]
    pub fn version(mut self, version: Option<i64>) -> Self {
        self.version = version;
        self
    }

    /// The path with the query.
    fn target(&self) -> String {
        let mut target = self.path.clone();
        for (name, value) in &self.query {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(name);
            target.push('=');
            target.push_str(&segment(value));
        }
        target
    }
}

/// What was answered, whatever the status.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Reply {
    /// The document of a good answer.
    fn accept(self) -> Result<Value, Failure> {
        if self.status.is_success() { Ok(self.body) } else { Err(self.failure()) }
    }

    /// The sentence and the exit code of a problem document (RFC 9457).
    fn failure(&self) -> Failure {
        let exit = match self.status {
            StatusCode::NOT_FOUND => Exit::NotFound,
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Exit::Conflict,
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Exit::Unavailable,
            status if status.is_client_error() => Exit::Refused,
            _ => Exit::Failed,
        };
        let text = |name: &str| self.body.get(name).and_then(Value::as_str);
        let mut message = match (text("title"), text("detail")) {
            (_, Some(detail)) => detail.to_owned(),
            (Some(title), None) => title.to_owned(),
            (None, None) => format!("the server answered {}", self.status),
        };
        for error in self.body.get("errors").and_then(Value::as_array).into_iter().flatten() {
            let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
            let place = [part("pointer"), part("parameter")].concat();
            message.push_str(&format!("\n  {place}: {}", part("detail")));
        }
        if let Some(seconds) = self.headers.get(http::header::RETRY_AFTER).and_then(|v| v.to_str().ok()) {
            message.push_str(&format!(" (again in {seconds} s)"));
        }
        Failure::new(exit, message)
    }
}

/// The body of a good answer, read as it comes.
pub enum Pieces {
    /// Of the installation that this process has open.
    Here(axum::body::Body),
    /// Of a server elsewhere.
    Elsewhere(Box<keyreeve_fetch::Flow>),
}

impl Pieces {
    /// The next piece; none at the end.
    ///
    /// # Errors
    /// When it broke off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let broke = |error: &dyn std::fmt::Display| {
            Failure::new(Exit::Unavailable, format!("the answer broke off: {error}"))
        };
        match self {
            Self::Here(body) => loop {
                match body.frame().await {
                    None => return Ok(None),
                    Some(Err(error)) => return Err(broke(&error)),
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            return Ok(Some(data));
                        }
                    }
                }
            },
            Self::Elsewhere(flow) => flow.next().await.map_err(|error| broke(&error)),
        }
    }
}

/// Where the calls go.
pub enum Api {
    /// To the installation that this process has open, as its operator.
    Here(App),
    /// To a server elsewhere.
    Elsewhere(Box<Elsewhere>),
}

impl Api {
    /// Sends a call to a tenant's API, and answers the document.
    ///
    /// # Errors
    /// The problem that was answered; that the server cannot be reached.
    pub async fn send(&self, tenant: &str, call: Call) -> Result<Value, Failure> {
        self.reply(tenant, call).await?.accept()
    }

    async fn reply(&self, tenant: &str, call: Call) -> Result<Reply, Failure> {
        match self {
            Self::Here(app) => here::send(app, tenant, call).await,
            Self::Elsewhere(server) => server.send(tenant, call).await,
        }
    }

    /// Sends a call whose answer is of this media type and is read as it comes.
    ///
    /// # Errors
    /// The problem that was answered; that the server cannot be reached.
    pub async fn open(&self, tenant: &str, call: Call, accept: &'static str) -> Result<Pieces, Failure> {
        match self {
            Self::Here(app) => here::open(app, tenant, call, accept).await,
            Self::Elsewhere(server) => server.open(tenant, call, accept).await,
        }
    }

    /// Sends lines of JSON as they come, and answers with lines as they come.
    ///
    /// # Errors
    /// As [`Api::open`].
    pub async fn send_lines(
        &self,
        tenant: &str,
        call: Call,
        lines: Receiver<Result<Bytes, Broken>>,
    ) -> Result<Pieces, Failure> {
        match self {
            Self::Here(app) => here::send_lines(app, tenant, call, lines).await,
            Self::Elsewhere(server) => server.send_lines(tenant, call, lines).await,
        }
    }

    /// Lets go of the access token for this tenant, so that the next call gets a new one.
    pub fn forget(&self, tenant: &str) {
        if let Self::Elsewhere(server) = self {
            server.forget(tenant);
        }
    }

    /// The document, or none where there is no such thing.
    ///
    /// # Errors
    /// As [`Api::send`].
    pub async fn find(&self, tenant: &str, call: Call) -> Result<Option<Value>, Failure> {
        let reply = self.reply(tenant, call).await?;
        if reply.status == StatusCode::NOT_FOUND { Ok(None) } else { reply.accept().map(Some) }
    }

    /// The items of a list, of one page or of all that follow, and where to go on.
    ///
    /// # Errors
    /// As [`Api::send`].
    pub async fn list(
        &self,
        tenant: &str,
        call: Call,
        all: bool,
    ) -> Result<(Vec<Value>, Option<String>), Failure> {
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut page = call.clone();
            if let Some(cursor) = next.take() {
                page.query.retain(|(name, _)| *name != "after");
                page.query.push(("after", cursor));
            }
            let mut page = self.send(tenant, page).await?;
            if let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            next = page.get("next").and_then(Value::as_str).map(str::to_owned);
            if !all || next.is_none() {
                break;
            }
        }
        Ok((items, next))
    }

    /// The installation, for what only its own machine may do.
    ///
    /// # Errors
    /// With a server elsewhere.
    pub fn installation(&self) -> Result<&App, Failure> {
        match self {
            Self::Here(app) => Ok(app),
            Self::Elsewhere(_) => Err(Failure::usage(
                "this command works on the machine of the server only; leave out --server",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_part_of_a_path_cannot_leave_its_place() {
        assert_eq!(at!["users", "../keys?x=1#y"], "/users/..%2Fkeys%3Fx%3D1%23y");
        let call = Call::get(at!["users"]).query("filter", Some("a eq \"b&c\"")).query("sort", None::<&str>);
        assert_eq!(call.target(), "/users?filter=a%20eq%20%22b%26c%22");
    }

    #[test]
    fn problems_become_sentences_and_exit_codes() {
        let body = json!({"title": "Invalid", "detail": "the document is not acceptable",
            "errors": [{"pointer": "/name", "detail": "is missing"}]});
        let reply = Reply { status: StatusCode::UNPROCESSABLE_ENTITY, headers: HeaderMap::new(), body };
        let failure = reply.accept().unwrap_err();
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(failure.message, "the document is not acceptable\n  /name: is missing");
        let bare = Reply { status: StatusCode::NOT_FOUND, headers: HeaderMap::new(), body: Value::Null };
        assert_eq!(bare.accept().unwrap_err().exit, Exit::NotFound);
        assert!(Call::any("CONNECT", String::new()).is_err());
    }
}
