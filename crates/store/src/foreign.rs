//! A connection to a PostgreSQL database of another system, to move from there. Nothing of the store's own holds for it: no
//! transactions that are repeated, no change feed, no statements that are prepared by a test.

use crate::{Error, postgres};

/// Connects to the database of this `postgres://` URL, for reading. The connection ends with the client.
///
/// # Errors
/// [`Error::Unsupported`] for a URL that cannot be read, [`Error::Unavailable`] when nobody answers.
pub async fn connect(url: &str) -> Result<tokio_postgres::Client, Error> {
    postgres::connect_elsewhere(url).await
}
