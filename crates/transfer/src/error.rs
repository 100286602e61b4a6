//! What can go wrong in this room as a whole. What is wrong with one line is an outcome of that line.

use std::time::Duration;

/// An error of the transfer room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's right is not over all of the tenant.
    #[error("only an administrator of the tenant may do this")]
    Denied,
    /// There is no such thing in this tenant.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// A value is not acceptable; says which and why.
    #[error("{field} {problem}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it, so that it reads on from the field's name.
        problem: String,
    },
    /// The lines of a resumed import are not those that it began with.
    #[error(
        "up to line {line}, which is how far the import had come, the input is not what it was then; begin a new import"
    )]
    Different {
        /// The last line that was imported before.
        line: u64,
    },
    /// The input of a resumed import ends before the line up to which it was imported.
    #[error("the input ends at line {line}, before the line {wanted} up to which it was imported")]
    Short {
        /// The last line there is.
        line: u64,
        /// The line up to which the import had come.
        wanted: u64,
    },
    /// Somebody else runs the same import.
    #[error("the same import runs elsewhere, or was ended")]
    Elsewhere,
    /// The identity room failed.
    #[error(transparent)]
    Identity(#[from] keyreeve_identity::Error),
    /// The tokens room failed.
    #[error(transparent)]
    Tokens(#[from] keyreeve_tokens::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] keyreeve_store::Error),
    /// Something outside of the database failed.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A defect.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// When to ask again, if it is an error of load that passes; none for everything else.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Identity(error) => error.retry_after(),
            Self::Tokens(error) => error.retry_after(),
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }

    /// Whether another transaction was in the way of this one, so that running it again may help.
    pub(crate) fn is_collision(&self) -> bool {
        use keyreeve_store::Error as Stored;
        let stored = |error: &Stored| {
            matches!(error, Stored::Conflict { .. } | Stored::ForeignKey | Stored::Busy { .. })
        };
        let identity = |error: &keyreeve_identity::Error| match error {
            keyreeve_identity::Error::Taken(_)
            | keyreeve_identity::Error::VersionConflict
            | keyreeve_identity::Error::NotFound(_) => true,
            keyreeve_identity::Error::Store(error) => stored(error),
            _ => false,
        };
        match self {
            Self::Identity(error) => identity(error),
            Self::Tokens(error) => match error {
                keyreeve_tokens::Error::Taken(_) | keyreeve_tokens::Error::VersionConflict => true,
                keyreeve_tokens::Error::Identity(error) => identity(error),
                keyreeve_tokens::Error::Store(error) => stored(error),
                _ => false,
            },
            Self::Store(error) => stored(error),
            _ => false,
        }
    }

    pub(crate) fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { field, problem: problem.into() }
    }
}
