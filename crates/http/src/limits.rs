//! Every bound of the HTTP side, in one place. The binary may change those in [`Limits`] and on
//! [`crate::front::Front`]; the others are constants.

use std::time::Duration;

/// The longest form body, in bytes: a private-key assertion with a certificate chain fits ten times over.
pub const MAX_FORM_BYTES: usize = 64 * 1024;
/// The most parameters in one query or form.
pub const MAX_PARAMS: usize = 64;
/// The longest parameter name, decoded, in bytes.
pub const MAX_PARAM_NAME_BYTES: usize = 128;
/// The longest parameter value, decoded, in bytes: room for a signed assertion or an ID token hint.
pub const MAX_PARAM_VALUE_BYTES: usize = 16 * 1024;
/// The longest JSON document that a door reads in one piece, in bytes.
pub const MAX_JSON_BYTES: usize = 256 * 1024;
/// How long a client may take to send a form or a document, once its head has been read.
pub const FORM_READ_TIME: Duration = Duration::from_secs(10);
/// The longest cookie value that is set or read, in bytes; browsers drop a cookie beyond 4096 with its name.
pub const MAX_COOKIE_VALUE_BYTES: usize = 3800;
/// The most addresses that are read from a forwarding header.
pub const MAX_FORWARDED_HOPS: usize = 32;
/// The most header fields of one request. This is hyper's own default, which it keeps on the stack; more: 431.
pub const MAX_HEADERS: usize = 100;

/// The longest request body that any handler gets to read, in bytes; more is answered 413.
pub const MAX_BODY_BYTES: u64 = 1024 * 1024;
/// How long a handler may take before the request is answered 503 (see [`crate::front::Front`]).
pub const REQUEST_TIME: Duration = Duration::from_secs(30);

/// What the connection loop allows. [`Limits::default`] is what the server runs with.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The longest request head (request line and header fields), in bytes; more is answered 431.
    pub head_bytes: usize,
    /// How long a client may take to send a request head. On HTTP/1.1 it also bounds the wait between two requests.
    pub head_read_time: Duration,
    /// How long a connection may stand without an answered request before it is closed. Whatever is still being
    /// written to it then has [`Limits::linger_time`] left.
    pub idle_time: Duration,
    /// How long a connection may linger after it was told to close.
    pub linger_time: Duration,
    /// The most connections at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// The most concurrent streams of one HTTP/2 connection.
    pub streams: u32,
    /// How long open requests may take to finish after the signal to shut down.
    pub shutdown_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 32 * 1024,
            head_read_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(90),
            linger_time: Duration::from_secs(10),
            connections: 10_000,
            streams: 100,
            shutdown_time: Duration::from_secs(20),
        }
    }
}
