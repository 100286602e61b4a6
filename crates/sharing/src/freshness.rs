//! How current an answer has to be.

use crate::{Error, Sharing};
use keyreeve_store::STALENESS;
use std::str::FromStr;
use std::time::Duration;

/// How often to look whether this node has heard of a revision.
const LOOK: Duration = Duration::from_millis(3);

/// A moment behind a write: whatever was written before it is taken into account by a question that asks for it. Opaque,
/// and later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(i64);

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "r{:x}", self.0)
    }
}

impl FromStr for Revision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.strip_prefix('r').filter(|digits| {
            (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        digits
            .and_then(|digits| i64::from_str_radix(digits, 16).ok())
            .map(Self)
            .ok_or_else(|| Error::invalid("revision", "is not one that was given out here"))
    }
}

impl serde::Serialize for Revision {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How current an answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Freshness {
    /// As current as any node always is: a write on this node is seen at once, one on another within a second.
    #[default]
    Bounded,
    /// As current as this revision.
    AtLeast(Revision),
}

impl Sharing {
    /// The present revision: behind everything that was written before this call, in this room and in any other, on
    /// whichever node.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn revision(&self) -> Result<Revision, Error> {
        Ok(Revision(self.store().mark().await?))
    }

    /// Waits until this node can answer as currently as is asked for: usually not at all, some milliseconds for what
    /// another node has just written.
    pub(crate) async fn await_freshness(&self, at: Freshness) -> Result<(), Error> {
        let Freshness::AtLeast(Revision(mark)) = at else { return Ok(()) };
        if self.store().heard(mark) {
            return Ok(());
        }
        // A revision from the future, which nobody was given, is not waited for.
        if self.store().mark().await? < mark {
            return Err(Error::invalid("revision", "is not one that was given out here"));
        }
        // A node that hears nothing reads through its caches, and that is as current as can be.
        while !self.store().heard(mark) && self.store().fresh(STALENESS) {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}
