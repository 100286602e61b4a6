//! Who may do what: every use case asks here, and here the sharing room is asked.

use crate::{Error, Secret, SecretId, Secrets, schema};
use keyreeve_audit::{Event, Outcome};
use keyreeve_base::TenantId;
use keyreeve_identity::{Authority, Cause};
use keyreeve_sharing::{Access, HostedPermission, HostedType};
use keyreeve_store::{Tx, params};
use serde_json::Value;

/// See that there is a secret, and all about it but its value.
pub const METADATA: &str = "METADATA";
/// Read values.
pub const READ: &str = "READ";
/// Give it a new value of one's own, and change what is said about it.
pub const WRITE: &str = "WRITE";
/// Have a new value made by what made the last.
pub const ROTATE: &str = "ROTATE";
/// Delete versions, and the secret.
pub const DELETE: &str = "DELETE";

/// The type of resources that secrets are.
pub const RESOURCE_TYPE: &str = "keyreeve.secret";

pub(crate) static TYPE: HostedType = HostedType {
    id: RESOURCE_TYPE,
    name: "Secret",
    permissions: &[
        HostedPermission { id: METADATA, name: "See that it is there", implies: &[] },
        HostedPermission { id: READ, name: "Read its value", implies: &[METADATA] },
        HostedPermission { id: ROTATE, name: "Have a new value made", implies: &[METADATA] },
        HostedPermission { id: WRITE, name: "Give it a new value", implies: &[METADATA, ROTATE] },
        HostedPermission { id: DELETE, name: "Delete it and its versions", implies: &[METADATA] },
    ],
};

/// Any permission shows the metadata: where all types of a tenant have one of these names in common, what it implies is
/// the tenant's to say, and not held against its holder.
pub(crate) fn sees(access: &Access) -> bool {
    [METADATA, READ, ROTATE, WRITE, DELETE].iter().any(|permission| access.has(permission))
}

pub(crate) const fn takes(permission: &'static str) -> &'static str {
    match permission.as_bytes() {
        b"READ" => "the permission to read its value",
        b"WRITE" => "the permission to write it",
        b"ROTATE" => "the permission to rotate it",
        b"DELETE" => "the permission to delete it",
        _ => "ownership of the secret",
    }
}

/// One attempt: whose, at what, and by what word the log calls it.
#[derive(Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) authority: &'a Authority,
    pub(crate) id: SecretId,
    pub(crate) action: &'static str,
    pub(crate) cause: &'a Cause,
}

impl Secrets {
    /// Lets through who has this permission. A refusal is recorded; whoever does not even see it is told that there is no
    /// such secret.
    pub(crate) async fn require(&self, attempt: Attempt<'_>, permission: &'static str) -> Result<(), Error> {
        self.judge(attempt, permission, |access| access.has(permission)).await
    }

    /// The same of ownership.
    pub(crate) async fn require_owner(&self, attempt: Attempt<'_>) -> Result<(), Error> {
        self.judge(attempt, "OWNER", Access::owns).await
    }

    async fn judge(
        &self,
        attempt: Attempt<'_>,
        permission: &'static str,
        may: impl Fn(&Access) -> bool,
    ) -> Result<(), Error> {
        let found = self.sharing().hosted().access(attempt.authority, &attempt.id.to_string()).await?;
        let Some(access) = found else { return Err(Error::NotFound("secret")) };
        if may(&access) {
            return Ok(());
        }
        self.record_refusal(&attempt, "not granted").await?;
        if sees(&access) { Err(Error::Denied(takes(permission))) } else { Err(Error::NotFound("secret")) }
    }

    pub(crate) async fn record_refusal(&self, attempt: &Attempt<'_>, why: &'static str) -> Result<(), Error> {
        let (tenant, id, action) = (attempt.authority.tenant(), attempt.id, attempt.action);
        let (world, cause) = (self.world().clone(), attempt.cause.clone());
        let record = async move |tx: &mut Tx<'_>| {
            let event = Event {
                tenant,
                actor: cause.actor,
                action,
                target: Some(("secret", id.to_string())),
                outcome: Outcome::Refused,
                reason: Some(why),
                origin: &cause.origin,
                detail: Value::Null,
            };
            keyreeve_audit::record(tx, &world, &event).await.map(drop)
        };
        Ok(self.store().write(record).await?)
    }

    /// The secret, for whoever sees it.
    pub(crate) async fn find(&self, authority: &Authority, id: SecretId) -> Result<Secret, Error> {
        let access = self.sharing().hosted().access(authority, &id.to_string()).await?;
        let Some(access) = access.filter(sees) else { return Err(Error::NotFound("secret")) };
        // An account that was merged into another leaves it what it owned.
        let owner = access.owner();
        Ok(Secret { owner, ..self.load(authority.tenant(), id).await? })
    }

    pub(crate) async fn load(&self, tenant: TenantId, id: SecretId) -> Result<Secret, Error> {
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::SECRET, &params![tenant, id], Secret::from_row).await
        };
        let found: Option<Secret> = self.store().read(read).await?;
        found.ok_or(Error::NotFound("secret"))
    }
}

/// One change, as the audit log names it.
pub(crate) async fn record(
    tx: &mut Tx<'_>,
    secrets: &Secrets,
    (tenant, action, id): (TenantId, &'static str, SecretId),
    (cause, detail): (&Cause, Value),
) -> Result<(), Error> {
    record_of(tx, secrets, (tenant, action), ("secret", id.to_string()), (cause, detail)).await
}

/// The same of what is no secret.
pub(crate) async fn record_of(
    tx: &mut Tx<'_>,
    secrets: &Secrets,
    (tenant, action): (TenantId, &'static str),
    target: (&'static str, String),
    (cause, detail): (&Cause, Value),
) -> Result<(), Error> {
    let event = Event {
        tenant,
        actor: cause.actor,
        action,
        target: Some(target),
        outcome: Outcome::Success,
        reason: None,
        origin: &cause.origin,
        detail,
    };
    keyreeve_audit::record(tx, secrets.world(), &event).await?;
    Ok(())
}
