//! The client itself.

use crate::FetchError;
use crate::connect::{self, Stream};
use crate::request::{MAX_BODY_BYTES, Request, Response};
use crate::resolve::{Resolve, SystemResolver};
use crate::target::Target;
use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

/// The head of an answer, in bytes, and the number of its headers.
pub(crate) const MAX_HEAD_BYTES: usize = 32 * 1024;
pub(crate) const MAX_HEADERS: usize = 64;

/// Headers that are about the connection or the message's framing: ours, never the caller's.
const OWN_HEADERS: [HeaderName; 8] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
];

/// How a [`Fetcher`] behaves.
pub struct FetchOptions {
    /// Whether requests may go to private and loopback addresses, and over plain HTTP.
    pub allow_private: bool,
    /// A PEM file of certificate authorities to trust besides the platform's.
    pub authorities: Option<PathBuf>,
    /// Who resolves names.
    pub resolver: Arc<dyn Resolve>,
    /// The longest that a connection to one address may take.
    pub connect_timeout: Duration,
    /// The longest that a request may take from the look-up of its host to the last byte of its answer.
    pub timeout: Duration,
    /// Requests under way at a time; more wait for their turn, within their time.
    pub concurrency: usize,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            allow_private: false,
            authorities: None,
            resolver: Arc::new(SystemResolver),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            concurrency: 128,
        }
    }
}

/// The client for requests that leave the server. Cheap to clone.
#[derive(Clone)]
pub struct Fetcher {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) allow_private: bool,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) turns: Arc<Semaphore>,
    authorities: Vec<CertificateDer<'static>>,
    /// Made when first needed: reading the platform's authorities takes milliseconds that a start can do without.
    tls: OnceLock<TlsConnector>,
}

impl Shared {
    pub(crate) fn tls(&self) -> Result<&TlsConnector, FetchError> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls);
        }
        let made = connect::tls_client(&self.authorities)?;
        Ok(self.tls.get_or_init(|| made))
    }
}

impl Fetcher {
    /// A client with these options.
    ///
    /// # Errors
    /// [`FetchError::Setup`] when the file of authorities cannot be read.
    pub fn new(options: FetchOptions) -> Result<Self, FetchError> {
        let authorities = match &options.authorities {
            Some(path) => connect::read_authorities(path)?,
            None => Vec::new(),
        };
        let shared = Shared {
            allow_private: options.allow_private,
            resolver: options.resolver,
            connect_timeout: options.connect_timeout,
            timeout: options.timeout,
            turns: Arc::new(Semaphore::new(options.concurrency.clamp(1, Semaphore::MAX_PERMITS))),
            authorities,
            tls: OnceLock::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Whether `url` is one that could be fetched, as far as its text tells: for whoever stores it. Asks no name server.
    ///
    /// # Errors
    /// [`FetchError::Url`] with what is wrong; [`FetchError::Refused`] for an address that may not be reached.
    pub fn check(&self, url: &str) -> Result<Target, FetchError> {
        Target::parse(url, self.shared.allow_private)
    }

    /// Sends the request and reads the answer, whatever its status.
    ///
    /// # Errors
    /// Why there is none; [`FetchError::class`] sorts them.
    pub async fn send(&self, request: Request) -> Result<Response, FetchError> {
        let target = self.check(&request.url)?;
        let timeout = request.timeout.unwrap_or(self.shared.timeout).min(self.shared.timeout);
        let exchange = async {
            let _turn = self.shared.turns.acquire().await.map_err(|_| FetchError::Busy)?;
            let stream = connect::connect(&self.shared, &target).await?;
            exchange(stream, &target, request).await
        };
        tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(FetchError::Timeout))
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("allow_private", &self.shared.allow_private).finish_non_exhaustive()
    }
}

/// One request and its answer on a connection of their own, which ends with them.
async fn exchange(stream: Stream, target: &Target, request: Request) -> Result<Response, FetchError> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(FetchError::Protocol)?;
    let limit = request.max_body.map(|bytes| bytes.min(MAX_BODY_BYTES));
    let wanted = head_of(target, request)?.map(Full::new);
    let mut answer = pin!(async move {
        let answer = sender.send_request(wanted).await.map_err(FetchError::Protocol)?;
        receive(answer, limit).await
    });
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        // Whatever ended the connection, the answer knows: it is complete, or it failed for that reason.
        _ = connection => {}
    }
    answer.await
}

/// The request as it goes over the wire.
pub(crate) fn head_of(target: &Target, request: Request) -> Result<http::Request<Bytes>, FetchError> {
    let invalid = FetchError::Url("cannot be put into a request");
    let has_body = !request.body.is_empty() || matches!(request.method, Method::POST | Method::PUT);
    let mut wanted = http::Request::new(if has_body { request.body } else { Bytes::new() });
    *wanted.method_mut() = request.method;
    match target.path_and_query().parse() {
        Ok(uri) => *wanted.uri_mut() = uri,
        Err(_) => return Err(invalid),
    }
    let Ok(host) = HeaderValue::try_from(target.authority()) else { return Err(invalid) };
    let headers = wanted.headers_mut();
    *headers = request.headers;
    for name in OWN_HEADERS {
        headers.remove(name);
    }
    headers.insert(header::HOST, host);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    // An encoded body can be far larger than it looks.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let agent = HeaderValue::from_static(concat!("Keyreeve/", env!("CARGO_PKG_VERSION")));
    headers.entry(header::USER_AGENT).or_insert(agent);
    Ok(wanted)
}

async fn receive(answer: http::Response<Incoming>, limit: Option<usize>) -> Result<Response, FetchError> {
    let (head, mut body) = answer.into_parts();
    let mut read = BytesMut::new();
    if let Some(limit) = limit {
        let encoding = head.headers.get(header::CONTENT_ENCODING);
        if encoding.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(FetchError::Encoded);
        }
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(FetchError::Protocol)?;
            let Ok(data) = frame.into_data() else { continue };
            if data.len() > limit.saturating_sub(read.len()) {
                return Err(FetchError::TooLarge);
            }
            read.extend_from_slice(&data);
        }
    }
    Ok(Response { status: head.status, headers: head.headers, body: read.freeze() })
}
