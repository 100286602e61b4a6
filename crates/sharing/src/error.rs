//! What can go wrong in this room, by what the caller can do about it. A denied check is not among it: that is an answer.

use std::time::Duration;

/// An error of the sharing room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing in this tenant, or none that the asker may know of.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The asker may know of it, and not do this to it; says what it takes.
    #[error("this takes {0}")]
    Denied(&'static str),
    /// Something else has this value already; names the field.
    #[error("the {0} is taken")]
    Taken(&'static str),
    /// It cannot go while it has what depends on it; names that.
    #[error("it still has {0}")]
    InUse(&'static str),
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
    /// Another request had the same name.
    #[error("the request's key was used for another request")]
    KeyReused,
    /// The identity room failed.
    #[error(transparent)]
    Identity(keyreeve_identity::Error),
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
}

impl From<keyreeve_identity::Error> for Error {
    fn from(error: keyreeve_identity::Error) -> Self {
        use keyreeve_identity::Error as Other;
        match error {
            Other::NotFound(what) => Self::NotFound(what),
            Other::VersionConflict => Self::VersionConflict,
            Other::Invalid { field, problem } => Self::Invalid { field, problem },
            Other::KeyReused => Self::KeyReused,
            Other::Store(error) => Self::Store(error),
            other => Self::Identity(other),
        }
    }
}
