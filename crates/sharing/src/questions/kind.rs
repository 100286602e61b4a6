//! What a resource is.

use super::Questions;
use crate::Error;
use keyreeve_identity::Authority;

impl Questions<'_> {
    /// The type of a resource, from memory where that is allowed; none where there is no such resource, or the asker has no
    /// permission on it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn type_of(self, authority: &Authority, resource: &str) -> Result<Option<String>, Error> {
        match self.0.find(authority, resource).await {
            Ok(found) => Ok(found.seen.entry().map(|entry| entry.of.id.clone())),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
