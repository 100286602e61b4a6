//! What can go wrong, in words that tell the operator what to do and a stranger nothing.

use std::net::IpAddr;

/// Why a request had no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The URL is not one that may be fetched; the text says why, and does not repeat it.
    #[error("the URL {0}")]
    Url(&'static str),
    /// The host has an address that requests may not go to. For logs: whoever wrote the URL must not learn what a
    /// name of the inner network means.
    #[error("the host has the address {0}, which outbound requests may not reach")]
    Refused(IpAddr),
    /// Too many requests are under way.
    #[error("too many outbound requests are under way")]
    Busy,
    /// The name has no address, or the name server does not answer.
    #[error("the host name cannot be resolved")]
    Resolve(#[source] Option<std::io::Error>),
    /// No address took the connection.
    #[error("the host cannot be connected to")]
    Connect(#[source] Option<std::io::Error>),
    /// The TLS handshake failed: most often a certificate that is not trusted or not for this host.
    #[error("the TLS handshake failed")]
    Tls(#[source] std::io::Error),
    /// No TLS client can be made: the authorities to trust cannot be read.
    #[error("no certificate authorities to trust: {0}")]
    Setup(String),
    /// It took longer than allowed.
    #[error("there was no answer in time")]
    Timeout,
    /// The answer is not HTTP, ended early, or its head is too large.
    #[error("the answer is not valid HTTP")]
    Protocol(#[source] hyper::Error),
    /// The body is larger than allowed.
    #[error("the body of the answer is larger than allowed")]
    TooLarge,
    /// The body is compressed, though none was asked for.
    #[error("the body of the answer is encoded, which was not asked for")]
    Encoded,
}

/// The kinds of failure that logs of deliveries and metrics distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The address may not be fetched: no attempt was made, and none will do better.
    Refused,
    /// The name could not be resolved.
    Resolve,
    /// The connection could not be made.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// There was no answer in time.
    Timeout,
    /// The answer could not be used.
    Answer,
    /// This server could not make the request.
    Internal,
}

impl ErrorClass {
    /// Its name, as logs have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Answer => "answer",
            Self::Internal => "internal",
        }
    }
}

impl FetchError {
    /// Which kind of failure it is.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Url(_) | Self::Refused(_) => ErrorClass::Refused,
            Self::Resolve(_) => ErrorClass::Resolve,
            Self::Connect(_) => ErrorClass::Connect,
            Self::Tls(_) => ErrorClass::Tls,
            Self::Timeout => ErrorClass::Timeout,
            Self::Protocol(_) | Self::TooLarge | Self::Encoded => ErrorClass::Answer,
            Self::Setup(_) | Self::Busy => ErrorClass::Internal,
        }
    }
}
