//! Requests byte by byte, since no client would send these.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// No answer takes longer, unless the server hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request.
#[derive(Clone)]
pub struct Request {
    method: String,
    target: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, path: &[u8]) -> Self {
        Self { method: method.to_owned(), target: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn query(mut self, query: &[u8]) -> Self {
        self.target.push(b'?');
        self.target.extend_from_slice(query);
        self
    }

    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    pub fn basic(self, id: &str, secret: &str) -> Self {
        self.header("authorization", format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
    }

    /// An empty type sends none.
    pub fn body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        if kind.is_empty() { self } else { self.header("content-type", kind) }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(self.method.as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(&self.target);
        bytes.extend_from_slice(b" HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n");
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        let told =
            self.headers.iter().any(|(name, _)| name == "content-length" || name == "transfer-encoding");
        if self.method != "GET" && !told {
            bytes.extend_from_slice(format!("content-length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes();
        write!(f, "{}", bytes[..bytes.len().min(600)].escape_ascii())
    }
}

/// An answer.
pub struct Reply {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Reply {
    /// Reads what came back; none when nothing did.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = bytes[end + 4..].to_vec();
        let chunked = head.contains("transfer-encoding: chunked");
        Some(Self { status, body: if chunked { joined(&body) } else { body }, head })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// The chunks of a body.
fn joined(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(at) = rest.windows(2).position(|window| window == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..at]).unwrap(), 16).unwrap();
        if length == 0 {
            break;
        }
        body.extend_from_slice(&rest[at + 2..at + 2 + length]);
        rest = &rest[at + 4 + length..];
    }
    body
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n\n{}", self.head, String::from_utf8_lossy(&self.body))
    }
}

/// What a client does when it has sent everything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Waits for the answer.
    Wait,
    /// Hangs up a little later: the server need not wait for the rest of what was no request.
    HangUp,
}

/// Sends bytes and reads until the server closes.
pub async fn send(address: SocketAddr, bytes: &[u8], then: Then) -> Vec<u8> {
    let exchange = async {
        let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
        let bytes = bytes.to_vec();
        // Meanwhile: the server may answer, and close, before it has read everything.
        let writing = tokio::spawn(async move {
            drop(writer.write_all(&bytes).await);
            if then == Then::HangUp {
                tokio::time::sleep(Duration::from_millis(300)).await;
                drop(writer.shutdown().await);
            }
            writer
        });
        let mut answer = Vec::new();
        drop(reader.read_to_end(&mut answer).await);
        writing.abort();
        answer
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await;
    answer.unwrap_or_else(|_| panic!("the server hangs: {}", bytes[..bytes.len().min(2_000)].escape_ascii()))
}

/// Sends a request and reads its answer.
pub async fn exchange(address: SocketAddr, request: &Request) -> Reply {
    let answer = send(address, &request.bytes(), Then::Wait).await;
    Reply::read(&answer).unwrap_or_else(|| panic!("no answer to {request}\n{}", answer.escape_ascii()))
}
