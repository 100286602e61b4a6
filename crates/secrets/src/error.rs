//! What can go wrong in this room, by what the caller can do about it.

use crate::{SecretId, Version};
use keyreeve_identity::Patch;
use std::time::Duration;

/// An error of the secrets room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing in this tenant, or none that the asker may know of.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// There was such a version: it was deleted, or destroyed.
    #[error("this version was {}", if .0.destroyed { "destroyed" } else { "deleted" })]
    Gone(Box<Version>),
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
    /// The newest version is not the one that the writer names, or none was named where one has to be.
    #[error("the newest version is {current}, not the one that was named")]
    CheckAndSet {
        /// The newest version; 0 where there is none.
        current: i64,
    },
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
    Repeated(uuid::Uuid),
    /// Another request had the same name.
    #[error("the request's key was used for another request")]
    KeyReused,
    /// The workshop has too much to do.
    #[error("the server is busy; try again in {} s", .retry_after.as_secs().max(1))]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// A sealed value does not open: it was changed or moved where it is kept.
    #[error("version {number} of secret {id} does not open")]
    Damaged {
        /// The secret.
        id: SecretId,
        /// The version.
        number: i64,
        /// What the sealing says.
        #[source]
        source: keyreeve_crypto::seal::SealError,
    },
    /// A store elsewhere did not do what it was asked.
    #[error("the secret store {store} {said}")]
    Elsewhere {
        /// The name of the store.
        store: String,
        /// What it did instead; nothing of a value or a credential.
        said: String,
        /// The status of its answer; none where there was no answer.
        status: Option<u16>,
        /// Whether it took too long.
        late: bool,
    },
    /// The identity room failed.
    #[error(transparent)]
    Identity(keyreeve_identity::Error),
    /// The sharing room failed.
    #[error(transparent)]
    Sharing(keyreeve_sharing::Error),
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
            Self::Identity(error) => error.retry_after(),
            Self::Sharing(error) => error.retry_after(),
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }

    pub(crate) fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { field, problem: problem.into() }
    }

    pub(crate) fn failed(what: &'static str) -> impl FnOnce(serde_json::Error) -> Self {
        move |error| keyreeve_store::Error::corrupt(format!("{what} cannot be read: {error}")).into()
    }
}

impl From<keyreeve_identity::Error> for Error {
    fn from(error: keyreeve_identity::Error) -> Self {
        use keyreeve_identity::Error as Other;
        match error {
            Other::NotFound(what) => Self::NotFound(what),
            Other::VersionConflict => Self::VersionConflict,
            Other::Invalid { field, problem } => Self::Invalid { field, problem },
            Other::Repeated { id, .. } => Self::Repeated(id),
            Other::KeyReused => Self::KeyReused,
            Other::Store(error) => Self::Store(error),
            other => Self::Identity(other),
        }
    }
}

impl From<keyreeve_sharing::Error> for Error {
    fn from(error: keyreeve_sharing::Error) -> Self {
        use keyreeve_sharing::Error as Other;
        match error {
            Other::NotFound(what) => Self::NotFound(what),
            Other::Denied(what) => Self::Denied(what),
            Other::Invalid { field, problem } => Self::Invalid { field, problem },
            Other::Store(error) => Self::Store(error),
            other => Self::Sharing(other),
        }
    }
}

/// Applies a patch of a number, text or moment; says whether it touches it.
pub(crate) fn apply<T: Clone>(patch: &Patch<T>, value: &mut Option<T>) -> bool {
    patch.apply(value)
}
