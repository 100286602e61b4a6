//! Many users, groups, members and roles in one transaction of the caller's: what imports write and exports read.
//!
//! The caller owns the transaction and cuts the work into transactions of bounded size. Whether a row can be written is
//! found out before anything of it is: a row that cannot be answers its problems, and the others go on. Where another
//! transaction was in the way nevertheless (on PostgreSQL a name that was free a moment ago), the whole transaction
//! fails with [`crate::Error::Taken`] or [`crate::Error::VersionConflict`], and the caller runs it again.
//!
//! Audit. Rows that make something have no entry of their own: the caller records one for the whole of them, by which a
//! million new users are a thousand entries and not a million. A row that changes what was there has its own entry, the
//! same as if it had been changed alone, and so has every role that is given: those are what an auditor looks for.
//!
//! A trial ([`How::trial`]) decides the same and writes nothing. What earlier rows of the trial would have made is in
//! [`Seen`], which the caller carries along.
//!
//! To add a kind of row: a type with a `check` that does all that needs no database, and a method of [`Bulk`] that looks
//! up what the rows name, decides, and writes.

mod export;
mod groups;
mod members;
mod party;
mod roles;
mod seen;
mod users;

pub use export::{HashedUser, NamedHolding, NamedMember, NamedParty};
pub use groups::GroupRow;
pub use members::MemberRow;
pub use party::{GroupRef, PartyRef};
pub use roles::{HolderRow, RoleRef, RoleRow};
pub use seen::{Seen, SeenKey};
pub use users::{CheckedUser, UserRow};

use crate::{Cause, Error, Identity, Sealer};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_store::Tx;
use std::sync::Arc;
use uuid::Uuid;

/// The use cases of bulk changes.
#[derive(Clone, Copy)]
pub struct Bulk<'a>(pub(crate) &'a Identity);

/// What to do with a row that names what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Leave it as it is.
    Create,
    /// Give it what the row says; what the row leaves out stays.
    Upsert,
}

/// How rows are to be applied.
#[derive(Clone)]
pub struct How {
    /// The tenant.
    pub tenant: TenantId,
    /// What to do with what is there.
    pub mode: Mode,
    /// Decide everything and write nothing.
    pub trial: bool,
    /// Who, and from where.
    pub cause: Cause,
    limits: Limits,
    sealer: Arc<Sealer>,
}

/// What the tenant's settings say about it.
#[derive(Debug, Clone, Copy)]
struct Limits {
    max_depth: u16,
    password_history: u8,
}

/// What became of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What was done.
    pub fate: Fate,
    /// What the row is about, where that has an identifier. In a trial that of something new is one of the moment.
    pub id: Option<Uuid>,
}

/// What was done, or would have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It was made.
    Created,
    /// It was there, and has changed.
    Updated,
    /// It was there, and as the row wants it.
    Unchanged,
    /// It was there, and is left as it is ([`Mode::Create`]).
    Skipped,
    /// The row cannot be applied.
    Failed(Vec<Problem>),
}

/// What is wrong with a row, and where.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// A JSON pointer into the record (RFC 6901).
    pub pointer: String,
    /// What is wrong with it, so that it reads on from the field's name.
    pub detail: String,
}

impl Problem {
    /// A problem with the field `name`.
    pub fn new(name: &str, detail: impl Into<String>) -> Self {
        let pointer = if name.is_empty() { String::new() } else { format!("/{name}") };
        Self { pointer, detail: detail.into() }
    }
}

impl Outcome {
    fn of(fate: Fate, id: Uuid) -> Self {
        Self { fate, id: Some(id) }
    }

    /// A row that cannot be applied for this one reason.
    #[must_use]
    pub fn failed(problem: Problem) -> Self {
        Self { fate: Fate::Failed(vec![problem]), id: None }
    }

    fn refused(name: &str, detail: impl Into<String>) -> Self {
        Self::failed(Problem::new(name, detail))
    }
}

impl Bulk<'_> {
    /// How rows are applied to this tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant.
    pub async fn how(self, tenant: TenantId, mode: Mode, trial: bool, cause: &Cause) -> Result<How, Error> {
        let found = self.0.tenants().get(tenant).await?;
        let limits = Limits {
            max_depth: found.settings.directory.max_depth,
            password_history: found.settings.password.history,
        };
        let sealer = self.0.tenants().sealer(tenant).await?;
        Ok(How { tenant, mode, trial, cause: cause.clone(), limits, sealer })
    }

    fn now(self) -> Timestamp {
        self.0.world().now()
    }

    /// Records, in the transaction that changes it, that something which was there has changed.
    async fn record(
        self,
        tx: &mut Tx<'_>,
        how: &How,
        (kind, id): (&'static str, Uuid),
        (action, detail): (&'static str, serde_json::Value),
    ) -> Result<(), Error> {
        let event = how.cause.done(how.tenant, action, (kind, id.to_string()), detail);
        keyreeve_audit::record(tx, self.0.world(), &event).await?;
        Ok(())
    }
}

/// What a row's own error says about the row; the errors that are not its own stay errors.
fn problem(error: Error) -> Result<Problem, Error> {
    match error {
        Error::Invalid { field, problem } => Ok(Problem::new(field, problem)),
        Error::NotFound(what) => Ok(Problem::new("", format!("names a {what} that does not exist"))),
        other => Err(other),
    }
}

/// The moment that a record gives for when something was made, which cannot be later than now.
fn moment(field: &'static str, given: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Error> {
    match given {
        Some(at) if at > now => Err(Error::invalid(field, "is in the future")),
        Some(at) if at < Timestamp::from_micros(0) => Err(Error::invalid(field, "is before 1970")),
        Some(at) => Ok(at),
        None => Ok(now),
    }
}
