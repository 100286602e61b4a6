//! The one error of the store, by what a caller can do about it.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

/// The cause below an [`Error`], shared so that one failed commit can answer every transaction it carried.
pub type Cause = Arc<dyn StdError + Send + Sync>;

/// Why the store could not do what was asked. No variant carries a value that was being stored: engines put those
/// into their messages, and messages end in logs.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A row that had to be there is not ([`crate::Tx::query_one`]).
    #[error("no such row")]
    NotFound,
    /// A unique index already holds this key. Nothing was written.
    #[error("a row with this key exists already ({constraint})")]
    Conflict {
        /// The name of the unique index; `TABLE_pkey` for a primary key. The same on both engines.
        constraint: String,
    },
    /// A row refers to one that does not exist, or is still referred to. Nothing was written.
    #[error("a reference between rows would be broken")]
    ForeignKey,
    /// The value cannot be stored: it breaks a CHECK or NOT NULL of the table, or is text with U+0000.
    #[error("the value cannot be stored: {reason}")]
    Invalid {
        /// Which rule it breaks; never the value itself.
        reason: String,
    },
    /// Others were in the way for too long (a lock, a serialization failure after every retry). Nothing was written;
    /// asking again later may succeed.
    #[error("the database is busy: {reason}")]
    Busy {
        /// What was waited for.
        reason: String,
    },
    /// The database cannot be reached, or refuses work for now (full queue, full disk, read-only). Nothing was written.
    #[error("the database is not available: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
        /// The error below, where there is one.
        #[source]
        cause: Option<Cause>,
    },
    /// The connection broke, or the disk failed, while the commit was under way: it may or may not have happened.
    /// Whoever asks again must be able to tell (by an idempotent key, or a conditional update).
    #[error("whether the transaction was committed is not known")]
    Ambiguous {
        /// The error below, where there is one.
        #[source]
        cause: Option<Cause>,
    },
    /// The database was written by a newer version of this software, whose migrations this one does not know.
    #[error(
        "the database was written by a newer version (it has the migration `{migration}`, unknown to this one)"
    )]
    NewerSchema {
        /// The first migration that is unknown here.
        migration: String,
    },
    /// A migration that was applied to this database reads differently now.
    #[error("the migration `{migration}` was applied with a different text")]
    ChangedMigration {
        /// Which one.
        migration: String,
    },
    /// The database lacks migrations, and was opened without the right to apply them.
    #[error("the database lacks the migration `{migration}`; start the server once to apply it")]
    OlderSchema {
        /// The first that is missing.
        migration: String,
    },
    /// Another process has the database open for itself.
    #[error("{path} is in use by another process ({holder}); stop that one first")]
    InUse {
        /// The lock file.
        path: String,
        /// What the lock file says about its holder.
        holder: String,
    },
    /// The options make no sense, or ask for what the engine cannot do.
    #[error("{reason}")]
    Unsupported {
        /// What is wrong, and what to do instead.
        reason: String,
    },
    /// A defect: in a statement, in a caller, in the database file.
    #[error("internal storage error: {reason}")]
    Internal {
        /// What happened.
        reason: String,
        /// The error below, where there is one.
        #[source]
        cause: Option<Cause>,
    },
}

impl Error {
    /// When to ask again, if it is an error of load or reach that passes; none for everything else.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { .. } | Self::Unavailable { .. } => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// The error of a conditional write that lost to another writer under the rule that `constraint` names.
    pub fn conflict(constraint: impl Into<String>) -> Self {
        Self::Conflict { constraint: constraint.into() }
    }

    /// The error of a stored value that does not read as what it should be.
    pub fn corrupt(reason: impl Into<String>) -> Self {
        Self::internal(reason)
    }

    /// The error of a defect without an error below it.
    pub fn internal(reason: impl Into<String>) -> Self {
        Self::Internal { reason: reason.into(), cause: None }
    }

    pub(crate) fn internal_from(
        reason: impl Into<String>,
        cause: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self::Internal { reason: reason.into(), cause: Some(Arc::new(cause)) }
    }

    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), cause: None }
    }

    pub(crate) fn unavailable_from(
        reason: impl Into<String>,
        cause: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self::Unavailable { reason: reason.into(), cause: Some(Arc::new(cause)) }
    }

    pub(crate) fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported { reason: reason.into() }
    }

    /// Whether this is [`Error::Conflict`] over the unique index of this name.
    #[must_use]
    pub fn is_conflict_on(&self, name: &str) -> bool {
        matches!(self, Self::Conflict { constraint } if constraint == name)
    }
}
