//! Leases: readings and certificates for a time.

use super::{named, secrets};
use crate::call::Call;
use crate::operation::{Operation, Table};
use crate::paging::{PAGING, Paging};
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::when::When;
use keyreeve_secrets::{Lease, LeaseId};
use keyreeve_tokens::scope::SECRETS_READ;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) fn table() -> Table {
    Table::new("Secrets")
        .add(
            Operation::get("/api/v1/secrets/{id}/leases", "list_secret_leases")
                .says("List leases of a secret", "Newest first: one's own; all of them for whoever may delete it.")
                .needs(SECRETS_READ, Asks::UseSecret)
                .query(PAGING)
                .pages::<LeaseDoc>("A page of leases."),
            list,
        )
        .add(
            Operation::post("/api/v1/leases/{lease}/renew", "renew_lease")
                .says("Make a lease longer", "For its holder, up to the moment that was set when it was given.")
                .needs(SECRETS_READ, Asks::Visible)
                .takes::<RenewalDoc>()
                .answers::<LeaseDoc>("The lease as it is now."),
            renew,
        )
        .add(
            Operation::post("/api/v1/leases/{lease}/revoke", "revoke_lease")
                .says(
                    "End a lease",
                    "For its holder, and for whoever may delete the secret. A certificate that hangs on it is revoked.",
                )
                .needs(SECRETS_READ, Asks::Visible)
                .answers::<LeaseDoc>("The lease as it is now."),
            revoke,
        )
}

/// A lease.
#[derive(Serialize, ToSchema)]
#[schema(as = Lease)]
pub(super) struct LeaseDoc {
    id: String,
    /// Of which secret; of a certificate, its authority.
    secret: String,
    /// Of which version.
    version: i64,
    /// The certificate that ends with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    holder: String,
    created_at: When,
    expires_at: When,
    /// Until when it can be renewed.
    max_at: When,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<When>,
}

impl From<&Lease> for LeaseDoc {
    fn from(lease: &Lease) -> Self {
        Self {
            id: lease.id.to_string(),
            secret: lease.secret.to_string(),
            version: lease.number,
            certificate: lease.certificate.map(|id| id.to_string()),
            holder: lease.holder.clone(),
            created_at: lease.created_at.into(),
            expires_at: lease.expires_at.into(),
            max_at: lease.max_at.into(),
            revoked_at: lease.revoked_at.map(When::from),
        }
    }
}

impl From<&(i64, Lease)> for LeaseDoc {
    fn from((_, lease): &(i64, Lease)) -> Self {
        Self::from(lease)
    }
}

/// For how long.
#[derive(Deserialize, ToSchema)]
#[schema(as = LeaseRenewal)]
#[serde(deny_unknown_fields)]
struct RenewalDoc {
    /// From now.
    seconds: u64,
}

/// The place before which a page begins.
pub(super) fn place(paging: &Paging) -> Result<Option<i64>, Refused> {
    let read = |text: &str| crate::paging::number(text).map(i64::from);
    let place = paging.after.as_deref().map(read);
    match place {
        Some(None) => Err(Refused::parameter("after", "is not the `next` of a page")),
        place => Ok(place.flatten()),
    }
}

fn lease(call: &Call) -> Result<LeaseId, Refused> {
    call.part("lease").parse().map_err(|_| Refused::not_found("lease"))
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let paging = call.paging()?;
    let (page, cause) = ((place(&paging)?, paging.with_one_more()), call.cause().await?);
    let found = secrets(&call).leases(call.authority(), named(&call)?, page, &cause).await?;
    paging.page::<_, LeaseDoc>(found, |(place, _)| place.to_string())
}

async fn renew(call: Call) -> Result<Reply, Refused> {
    let doc: RenewalDoc = call.body()?;
    let cause = call.cause().await?;
    let renewed = secrets(&call).renew_lease(call.authority(), (lease(&call)?, doc.seconds), &cause).await?;
    Reply::ok(&LeaseDoc::from(&renewed))
}

async fn revoke(call: Call) -> Result<Reply, Refused> {
    let cause = call.cause().await?;
    Reply::ok(&LeaseDoc::from(&secrets(&call).revoke_lease(call.authority(), lease(&call)?, &cause).await?))
}
