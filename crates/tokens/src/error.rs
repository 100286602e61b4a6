//! What can go wrong in this room, by what the caller can do about it, and what the token endpoint may say.

use crate::authorization::RequestError;
use keyreeve_identity::Refusal;
use std::time::Duration;

/// An error of the tokens room. A refused token request is not among it: that is an outcome ([`TokenError`]).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing in this tenant.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Somebody else has this value already; names the field.
    #[error("the {0} is taken")]
    Taken(&'static str),
    /// It was changed since it was read: read it again, and decide anew.
    #[error("it was changed by someone else in the meantime")]
    VersionConflict,
    /// A value is not acceptable; says which and why.
    #[error("{field} {problem}")]
    Invalid {
        /// The field, by the name that the API gives it.
        field: &'static str,
        /// What is wrong with it, so that it reads on from the field's name.
        problem: String,
    },
    /// What is stored cannot be read; it was damaged or written by something else.
    #[error("a stored {what} cannot be read: {problem}")]
    Corrupt {
        /// The kind of value.
        what: &'static str,
        /// What is wrong with it; never its content.
        problem: String,
    },
    /// A signing key could not be made or used.
    #[error("a signing key cannot be used: {0}")]
    Key(String),
    /// A DPoP proof beside an access token must contain this nonce (RFC 9449 section 9).
    #[error("the DPoP proof must contain a nonce of this server")]
    UseDpopNonce {
        /// The nonce.
        nonce: String,
    },
    /// The identity room failed.
    #[error(transparent)]
    Identity(#[from] keyreeve_identity::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] keyreeve_store::Error),
}

impl Error {
    /// When to ask again, if it is an error of load that passes; none for everything else.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Identity(error) => error.retry_after(),
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }

    pub(crate) fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { field, problem: problem.into() }
    }

    pub(crate) fn corrupt(what: &'static str, problem: impl std::fmt::Display) -> Self {
        Self::Corrupt { what, problem: problem.to_string() }
    }

    pub(crate) fn key(problem: impl std::fmt::Display) -> Self {
        Self::Key(problem.to_string())
    }
}

/// Why the token endpoint, or another endpoint where clients authenticate, refuses (RFC 6749 section 5.2).
///
/// What a client may learn is the code and the description; why an admission was refused is in the audit log only.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// `invalid_request`: a parameter is missing, malformed or not allowed here.
    #[error("{0}")]
    InvalidRequest(String),
    /// `invalid_client`: the client is unknown, or did not authenticate in its registered way.
    #[error("client authentication failed")]
    InvalidClient,
    /// `invalid_grant`: the code, refresh token or password is not valid (any more), or is not this client's.
    #[error("{0}")]
    InvalidGrant(&'static str),
    /// `authorization_pending` (RFC 8628 section 3.5): the user has not decided yet.
    #[error("the user has not decided yet")]
    Pending,
    /// `slow_down` (RFC 8628 section 3.5): the device asks too often; the interval grows by five seconds.
    #[error("ask less often: the interval has grown by 5 seconds")]
    SlowDown,
    /// `expired_token` (RFC 8628 section 3.5): nobody has decided in time.
    #[error("the device code has expired")]
    ExpiredToken,
    /// `access_denied` (RFC 8628 section 3.5): the user said no.
    #[error("the user did not agree")]
    AccessDenied,
    /// `unauthorized_client`: the client may not use this grant type.
    #[error("the client may not use this grant type")]
    UnauthorizedClient,
    /// `unsupported_grant_type`.
    #[error("the grant type is not supported")]
    UnsupportedGrantType,
    /// `invalid_scope`: the scope is malformed, or exceeds what was granted.
    #[error("{0}")]
    InvalidScope(String),
    /// `invalid_target`: a resource is malformed, unknown, or exceeds what was granted (RFC 8707 section 2).
    #[error("{0}")]
    InvalidTarget(&'static str),
    /// `invalid_dpop_proof`: the proof of possession is missing where it is demanded, or does not hold (RFC 9449 section 5).
    #[error("{0}")]
    InvalidDpopProof(&'static str),
    /// `use_dpop_nonce`: the proof must contain this nonce (RFC 9449 section 8).
    #[error("the DPoP proof must contain the nonce that comes with this answer")]
    UseDpopNonce {
        /// The nonce.
        nonce: String,
    },
    /// A pushed authorization request is refused, with a code of the authorization endpoint (RFC 9126 section 2.3).
    #[error("{}", .0.description)]
    Request(RequestError),
    /// Too many failed attempts; answered with 429.
    #[error("too many attempts; try again in {} s", .retry_after.as_secs().max(1))]
    Throttled {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too much to do; answered with 503 and Retry-After.
    #[error("the server is busy; try again in {} s", .retry_after.as_secs().max(1))]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The server failed; answered with 500, without the reason.
    #[error(transparent)]
    Internal(#[from] Error),
}

impl TokenError {
    /// The error code of RFC 6749 section 5.2.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant(_) => "invalid_grant",
            Self::Pending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::AccessDenied => "access_denied",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope(_) => "invalid_scope",
            Self::InvalidTarget(_) => "invalid_target",
            Self::InvalidDpopProof(_) => "invalid_dpop_proof",
            Self::UseDpopNonce { .. } => "use_dpop_nonce",
            Self::Request(error) => error.code,
            Self::Throttled { .. } | Self::Busy { .. } => "temporarily_unavailable",
            Self::Internal(_) => "server_error",
        }
    }

    /// The outcome of a refused admission: throttling and load as they are, everything else as `denied`.
    pub(crate) fn refused(refusal: &Refusal, denied: Self) -> Self {
        match refusal {
            Refusal::Denied => denied,
            Refusal::Throttled { retry_after } => Self::Throttled { retry_after: *retry_after },
            Refusal::Busy { retry_after } => Self::Busy { retry_after: *retry_after },
        }
    }
}

impl From<keyreeve_store::Error> for TokenError {
    fn from(error: keyreeve_store::Error) -> Self {
        Self::Internal(Error::Store(error))
    }
}

impl From<keyreeve_identity::Error> for TokenError {
    fn from(error: keyreeve_identity::Error) -> Self {
        match error {
            keyreeve_identity::Error::Busy { retry_after } => Self::Busy { retry_after },
            other => Self::Internal(Error::Identity(other)),
        }
    }
}
