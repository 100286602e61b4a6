//! What every use case that changes something shares.

use crate::{Error, Revision, Sharing, schema};
use keyreeve_audit::{Event, Outcome};
use keyreeve_base::TenantId;
use keyreeve_crypto::sha256;
use keyreeve_identity::Cause;
use keyreeve_store::{Tx, params};
use serde_json::Value;
use uuid::Uuid;

/// What a write made or changed, and the revision from which on every question takes it into account.
#[derive(Debug, Clone)]
pub struct Written<T> {
    /// What was made or changed.
    pub value: T,
    /// The revision to ask for ([`crate::Freshness::AtLeast`]).
    pub revision: Revision,
    /// Nothing was changed: the same request had made it before, or it was as wanted.
    pub repeated: bool,
}

/// What a change is to, and the version that whoever asks for it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<I> {
    /// By what it is called.
    pub id: I,
    /// The version that it is expected to be at; none where any will do.
    pub version: Option<i64>,
}

impl<I> Target<I> {
    /// The one of this name, at this version if one is named.
    pub const fn new(id: I, version: Option<i64>) -> Self {
        Self { id, version }
    }
}

impl<I> From<I> for Target<I> {
    fn from(id: I) -> Self {
        Self { id, version: None }
    }
}

impl Sharing {
    pub(crate) async fn written<T>(&self, value: T, repeated: bool) -> Result<Written<T>, Error> {
        Ok(Written { value, revision: self.revision().await?, repeated })
    }
}

/// One change, as the audit log names it.
pub(crate) struct Change<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) action: &'static str,
    pub(crate) target: (&'static str, &'a str),
}

impl Change<'_> {
    pub(crate) async fn record(
        &self,
        tx: &mut Tx<'_>,
        sharing: &Sharing,
        cause: &Cause,
        detail: Value,
    ) -> Result<(), Error> {
        let event = Event {
            tenant: self.tenant,
            actor: cause.actor,
            action: self.action,
            target: Some((self.target.0, self.target.1.to_owned())),
            outcome: Outcome::Success,
            reason: None,
            origin: &cause.origin,
            detail,
        };
        keyreeve_audit::record(tx, sharing.world(), &event).await?;
        Ok(())
    }
}

/// Notes that the request of this cause makes what is called so; whether it has made it before.
pub(crate) async fn claimed(
    tx: &mut Tx<'_>,
    sharing: &Sharing,
    cause: &Cause,
    (kind, tenant, name): (&'static str, TenantId, &str),
) -> Result<bool, Error> {
    let digest = sha256(format!("{kind} {tenant} {name}").as_bytes());
    let (head, _) = digest.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
    match cause.claim(tx, sharing.world(), (kind, Uuid::from_bytes(*head))).await {
        Ok(()) => Ok(false),
        Err(keyreeve_identity::Error::Repeated { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Raises the tenant's epoch and holds it; answers the new one.
pub(crate) async fn lock_tenant(tx: &mut Tx<'_>, tenant: TenantId) -> Result<i64, Error> {
    match tx.query_one(&schema::RAISE_EPOCH, &params![tenant], |row| row.get(0)).await {
        Ok(epoch) => Ok(epoch),
        Err(keyreeve_store::Error::ForeignKey) => Err(Error::NotFound("tenant")),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn check_version(wanted: Option<i64>, found: i64) -> Result<(), Error> {
    if wanted.is_some_and(|wanted| wanted != found) { Err(Error::VersionConflict) } else { Ok(()) }
}
