//! What can go wrong in this room, by what the caller can do about it. A refused sign-in is not among it: that is
//! an outcome ([`crate::Refusal`]).

use crate::passwords::PolicyViolation;
use keyreeve_crypto::password::HashError;
use keyreeve_crypto::seal::SealError;
use std::time::Duration;

/// An error of the identity room.
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
    /// The same request has made this before.
    #[error("the request was made before")]
    Repeated {
        /// What kind of thing it made.
        kind: &'static str,
        /// Its identifier.
        id: uuid::Uuid,
    },
    /// Another request had the same name.
    #[error("the request's key was used for another request")]
    KeyReused,
    /// The new password does not meet the tenant's policy.
    #[error("the password does not meet the policy: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Policy(Vec<PolicyViolation>),
    /// The server has too much to do.
    #[error("the server is busy; try again in {} s", .retry_after.as_secs().max(1))]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// A sealed value does not open: it was changed, belongs elsewhere, or its key is gone.
    #[error("a sealed value does not open")]
    Seal(#[source] SealError),
    /// A tenant's data key does not open under the master key that this server was given.
    #[error("the master key does not open the data key {key} of tenant {tenant}")]
    MasterKey {
        /// The tenant.
        tenant: keyreeve_base::TenantId,
        /// The data key.
        key: uuid::Uuid,
        /// What the sealing says; it names the master key that is wanted.
        #[source]
        source: SealError,
    },
    /// The password machinery failed.
    #[error("hashing failed")]
    Hash(#[source] HashError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] keyreeve_store::Error),
}

impl Error {
    /// When to ask again, if it is an error of load that passes; none for everything else.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after } => Some(*retry_after),
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }

    pub(crate) fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { field, problem: problem.into() }
    }
}
