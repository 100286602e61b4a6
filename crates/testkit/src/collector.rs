//! A throw-away receiver of what a server posts over plain HTTP: traces, webhooks.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Takes every POST, answers 200, and keeps what came. Ends with the process.
#[derive(Debug, Clone)]
pub struct Collector {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Posted>>>,
}

/// What came in one request.
#[derive(Debug, Clone)]
pub struct Posted {
    /// The request line and the headers, as they were sent.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Collector {
    /// Listens on a free port of the loopback interface.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let collector = Self { address, got: Arc::default() };
        let got = Arc::clone(&collector.got);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let got = Arc::clone(&got);
                std::thread::spawn(move || {
                    if let Some(posted) = take(socket) {
                        got.lock().unwrap_or_else(PoisonError::into_inner).push(posted);
                    }
                });
            }
        });
        collector
    }

    /// Its URL, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What came so far.
    #[must_use]
    pub fn got(&self) -> Vec<Posted> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads one request and answers it.
fn take(mut socket: TcpStream) -> Option<Posted> {
    socket.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let read = socket.read(&mut buffer).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(buffer.get(..read)?);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
        let length = head.lines().filter_map(|line| line.split_once(':'));
        let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize =
            length.map(|(_, value)| value.trim()).next().and_then(|value| value.parse().ok())?;
        let body = bytes.get(end + 4..)?;
        if body.len() >= length {
            let posted = Posted { head, body: body.to_vec() };
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
            return Some(posted);
        }
    }
}
