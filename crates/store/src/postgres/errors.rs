//! What PostgreSQL's errors mean.

use crate::Error;
use crate::tx::{Failure, Retry};
use std::error::Error as _;
use std::sync::Arc;
use tokio_postgres::error::DbError;

/// The store's error for PostgreSQL's. Of the server's message only the first line is kept: the details quote values.
pub(super) fn failure(error: tokio_postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(db) => Failure { error: db_error(db), retry: retry(db.code().code()) },
        None if is_lost(&error) => Failure {
            error: Error::unavailable_from("the connection to PostgreSQL was lost", error),
            retry: Retry::Lost,
        },
        None => Failure::from(Error::internal_from("PostgreSQL client", error)),
    }
}

fn is_lost(error: &tokio_postgres::Error) -> bool {
    error.is_closed() || error.source().is_some_and(|source| source.is::<std::io::Error>())
}

fn retry(code: &str) -> Retry {
    match code {
        // Serialization failure, deadlock; a plan that a migration has outdated.
        "40001" | "40P01" | "0A000" | "26000" => Retry::Contention,
        // The server is going away, or says that the connection is.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Retry::Lost,
        code if code.starts_with("08") => Retry::Lost,
        _ => Retry::No,
    }
}

fn db_error(db: &DbError) -> Error {
    let code = db.code().code();
    let reason = || format!("PostgreSQL {code}: {}", db.message());
    let constraint = || db.constraint().unwrap_or("unnamed").to_owned();
    match code {
        "23505" | "23P01" => Error::Conflict { constraint: constraint() },
        "23503" | "23001" => Error::ForeignKey,
        "23514" => Error::Invalid { reason: format!("CHECK constraint {}", constraint()) },
        "23502" => Error::Invalid { reason: format!("NOT NULL constraint {}", db.column().unwrap_or("")) },
        "22021" | "22P05" | "22001" | "22003" | "54000" => Error::Invalid { reason: db.message().to_owned() },
        "40001" | "40P01" | "55P03" | "57014" => Error::Busy { reason: reason() },
        "40003" => Error::Ambiguous { cause: None },
        // 25006: the server has become a read-only stand-by.
        "25006" | "25P03" | "58030" => Error::unavailable(reason()),
        code if ["08", "53", "57"].iter().any(|class| code.starts_with(class)) => {
            Error::unavailable(reason())
        }
        _ => Error::internal(reason()),
    }
}

/// What a failed COMMIT means.
pub(super) fn commit_failure(error: tokio_postgres::Error) -> Failure {
    let failure = failure(error);
    if failure.retry == Retry::Lost {
        // The commit may have happened before the connection broke.
        let cause = match failure.error {
            Error::Unavailable { cause, .. } => cause,
            other => Some(Arc::new(other) as crate::Cause),
        };
        return Failure::from(Error::Ambiguous { cause });
    }
    failure
}
