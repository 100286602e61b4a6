//! What can go wrong in this room, by what the caller can do about it.

use std::time::Duration;

/// An error of the events room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing in this tenant.
    #[error("there is no such {0}")]
    NotFound(&'static str),
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
    /// There are as many as there may be.
    #[error("there are {limit} {what} already, which is the most")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// What is stored cannot be read; it was damaged or written by something else.
    #[error("a stored {0} cannot be read")]
    Corrupt(&'static str),
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
}
