//! Leases: a reading, or a certificate, for a time. Who holds one can make it longer up to a bound, and give it back; whoever
//! may delete the secret can take it away. A certificate ends with its lease.

use crate::access::{Attempt, DELETE, READ, record, record_of};
use crate::issue::revoke;
use crate::model::actor_text;
use crate::read::find_version;
use crate::{CertificateId, Error, LeaseId, MAX_PAGE, Opened, Secret, SecretId, Secrets, Settings, schema};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_identity::{Authority, Cause};
use keyreeve_store::{Row, Tx, params};
use serde_json::json;
use std::time::Duration;

/// The most leases of one secret that are not over.
pub const MAX_LEASES: u32 = 10_000;
/// How long a lease is kept in lists after it is over.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// How many leases one round of the sweep touches.
const ROWS: i64 = 500;

/// Whether a reading is to be leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeaseWish {
    /// As the secret's settings say.
    #[default]
    AsSet,
    /// For so many seconds.
    For(u64),
    /// Under a lease that the reader holds: the version of that lease, while it lasts.
    Under(LeaseId),
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub(crate) key: i64,
    /// Its identifier.
    pub id: LeaseId,
    /// Of which secret; of a certificate, its authority.
    pub secret: SecretId,
    /// Of which version.
    pub number: i64,
    /// The certificate that ends with it.
    pub certificate: Option<CertificateId>,
    /// Who holds it.
    pub holder: String,
    /// When it was given.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Until when it can be renewed.
    pub max_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Lease {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        Ok(Self {
            key: row.get(0)?,
            id: row.get(1)?,
            secret: row.get(2)?,
            number: row.get(3)?,
            certificate: row.get(4)?,
            holder: row.get(5)?,
            created_at: row.get(6)?,
            expires_at: row.get(7)?,
            max_at: row.get(8)?,
            revoked_at: row.get(9)?,
        })
    }

    /// Whether it is on at this moment.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

/// What a lease is of.
#[derive(Clone, Copy)]
pub(crate) struct Of {
    pub(crate) tenant: TenantId,
    pub(crate) id: SecretId,
    pub(crate) key: i64,
    pub(crate) number: i64,
    /// The key of the certificate that ends with it.
    pub(crate) certificate: Option<i64>,
}

/// How long a lease is.
#[derive(Clone, Copy)]
pub(crate) struct Term {
    pub(crate) until: Timestamp,
    /// Until when it can be renewed.
    pub(crate) most: Timestamp,
}

impl Term {
    /// The term of a reading, if it is leased at all.
    fn of(wish: LeaseWish, settings: &Settings, now: Timestamp) -> Result<Option<Self>, Error> {
        let seconds = match wish {
            LeaseWish::For(seconds) => seconds,
            LeaseWish::AsSet | LeaseWish::Under(_) => match settings.lease_seconds {
                Some(seconds) => seconds,
                None => return Ok(None),
            },
        };
        let most = settings.lease_max_seconds.or(settings.lease_seconds).unwrap_or(86_400);
        if seconds < 1 || seconds > most {
            return Err(Error::invalid("lease_seconds", format!("is not from 1 to {most}")));
        }
        let at = |seconds: u64| now.plus(Duration::from_secs(seconds));
        Ok(Some(Self { until: at(seconds), most: at(most) }))
    }
}

/// Notes a lease in the transaction of what it is of.
pub(crate) async fn insert(
    tx: &mut Tx<'_>,
    secrets: &Secrets,
    lease: LeaseId,
    (of, term): (Of, Term),
    cause: &Cause,
) -> Result<Lease, Error> {
    let (now, holder, bound) = (secrets.world().now(), actor_text(cause.actor), i64::from(MAX_LEASES));
    let live: i64 = tx.scalar(&schema::COUNT_LEASES, &params![of.key, now, bound]).await?;
    if live >= bound {
        return Err(Error::invalid("lease_seconds", format!("would make more than {MAX_LEASES} leases")));
    }
    let row =
        params![of.tenant, lease, of.key, of.number, of.certificate, holder, now, term.until, term.most];
    tx.execute(&schema::INSERT_LEASE, &row).await?;
    let target = ("lease", lease.to_string());
    let detail = json!({"secret": of.id.to_string(), "version": of.number, "expires_at": term.until});
    record_of(tx, secrets, (of.tenant, "lease.create"), target, (cause, detail)).await?;
    find(tx, (of.tenant, lease)).await
}

async fn find(tx: &mut Tx<'_>, (tenant, id): (TenantId, LeaseId)) -> Result<Lease, Error> {
    let found = tx.query_opt(&schema::LEASE, &params![tenant, id], Lease::from_row).await?;
    found.ok_or(Error::NotFound("lease"))
}

impl Secrets {
    /// [`Secrets::read`], for a time: what the reader has afterwards is a lease, in the same transaction as the entry in the
    /// log. Under a lease that is over, or another's, nothing is read.
    ///
    /// # Errors
    /// As there; [`Error::NotFound`] for the lease; [`Error::Invalid`] for a lifetime that the settings do not allow.
    #[allow(
        clippy::too_many_arguments,
        reason = "who, which, which version, for how long, and by what cause"
    )]
    pub async fn read_leased(
        &self,
        authority: &Authority,
        id: SecretId,
        number: Option<i64>,
        wish: LeaseWish,
        cause: &Cause,
    ) -> Result<(Opened, Option<Lease>), Error> {
        let attempt = Attempt { authority, id, action: "secret.read", cause };
        self.require(attempt, READ).await?;
        let tenant = authority.tenant();
        let lease_id = LeaseId::generate(self.world());
        let (secrets, by) = (self.clone(), cause.clone());
        let read = self
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let now = secrets.world().now();
                let under = match wish {
                    LeaseWish::Under(lease) => {
                        let lease = find(tx, (tenant, lease)).await?;
                        let own = lease.holder == actor_text(by.actor) && lease.secret == id;
                        if !own || !lease.holds(now) || number.is_some_and(|number| number != lease.number) {
                            return Err(Error::NotFound("lease"));
                        }
                        Some(lease)
                    }
                    LeaseWish::AsSet | LeaseWish::For(_) => None,
                };
                let wanted = under.as_ref().map(|lease| lease.number).or(number);
                let stored = find_version(tx, &secrets, (tenant, id), wanted).await?;
                let lease = match under {
                    Some(lease) => Some(lease),
                    None => match Term::of(wish, &stored.settings, now)? {
                        Some(term) => {
                            let (key, number) = (stored.key, stored.version.number);
                            let of = Of { tenant, id, key, number, certificate: None };
                            Some(insert(tx, &secrets, lease_id, (of, term), &by).await?)
                        }
                        None => None,
                    },
                };
                let lease_text = lease.as_ref().map(|lease| lease.id.to_string());
                let detail = match &lease_text {
                    Some(lease) => json!({"version": stored.version.number, "lease": lease}),
                    None => json!({"version": stored.version.number}),
                };
                record(tx, &secrets, (tenant, "secret.read", id), (&by, detail)).await?;
                Ok::<_, Error>((stored, lease))
            })
            .await;
        let (stored, lease) = match read {
            Ok(read) => read,
            // What has no version here may have them elsewhere; asked last, so that what is kept here pays nothing for it.
            Err(Error::NotFound("version")) => return self.read_elsewhere(attempt, number, wish).await,
            Err(error) => {
                if let Error::Gone(_) | Error::Denied(_) | Error::NotFound("lease") = &error {
                    self.record_refusal(&attempt, "there is nothing to read").await?;
                }
                return Err(error);
            }
        };
        Ok((self.open_stored((tenant, id), stored).await?, lease))
    }

    /// A page of a secret's leases, newest first, those before `before`: all of them for whoever may delete it, their own for
    /// everybody else who sees it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the secret.
    pub async fn leases(
        &self,
        authority: &Authority,
        id: SecretId,
        (before, limit): (Option<i64>, u16),
        cause: &Cause,
    ) -> Result<Vec<(i64, Lease)>, Error> {
        let secret: Secret = self.find(authority, id).await?;
        let access = self.sharing().hosted().access(authority, &id.to_string()).await?;
        let all = access.is_some_and(|access| access.has(DELETE));
        let own = actor_text(cause.actor);
        let (before, limit) =
            (before.unwrap_or(i64::MAX), i64::from(limit.clamp(1, MAX_PAGE.saturating_add(1))));
        let holder = (!all).then_some(own);
        let read = async move |tx: &mut Tx<'_>| {
            tx.query(&schema::LEASES, &params![secret.key, before, limit, holder], Lease::from_row).await
        };
        let found: Vec<Lease> = self.store().read(read).await?;
        Ok(found.into_iter().map(|lease| (lease.key, lease)).collect())
    }

    /// Makes a lease longer: `seconds` from now, at most until the moment that was set when it was given. For its holder,
    /// who must still be allowed to read. A certificate's lease ends with the certificate.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for one that is over or another's.
    pub async fn renew_lease(
        &self,
        authority: &Authority,
        (id, seconds): (LeaseId, u64),
        cause: &Cause,
    ) -> Result<Lease, Error> {
        let tenant = authority.tenant();
        let lease = self.store().read(async move |tx: &mut Tx<'_>| find(tx, (tenant, id)).await).await?;
        if lease.holder != actor_text(cause.actor) || !lease.holds(self.world().now()) {
            return Err(Error::NotFound("lease"));
        }
        if lease.certificate.is_some() {
            return Err(Error::invalid("lease", "is a certificate's, and ends with it"));
        }
        let attempt = Attempt { authority, id: lease.secret, action: "lease.renew", cause };
        self.require(attempt, READ).await?;
        let (secrets, cause) = (self.clone(), cause.clone());
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                let now = secrets.world().now();
                let until =
                    now.plus(Duration::from_secs(seconds.clamp(1, crate::MAX_SECONDS))).min(lease.max_at);
                if tx.execute(&schema::RENEW_LEASE, &params![lease.key, until, now]).await? == 0 {
                    return Err(Error::NotFound("lease"));
                }
                let target = ("lease", id.to_string());
                let detail = json!({"expires_at": until});
                record_of(tx, &secrets, (tenant, "lease.renew"), target, (&cause, detail)).await?;
                find(tx, (tenant, id)).await
            })
            .await
    }

    /// Ends a lease, and revokes the certificate that hangs on it. For its holder, and for whoever may delete the secret.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn revoke_lease(
        &self,
        authority: &Authority,
        id: LeaseId,
        cause: &Cause,
    ) -> Result<Lease, Error> {
        let tenant = authority.tenant();
        let lease = self.store().read(async move |tx: &mut Tx<'_>| find(tx, (tenant, id)).await).await?;
        if lease.holder != actor_text(cause.actor) {
            let access = self.sharing().hosted().access(authority, &lease.secret.to_string()).await?;
            if !access.is_some_and(|access| access.has(DELETE)) {
                return Err(Error::NotFound("lease"));
            }
        }
        let (secrets, cause) = (self.clone(), cause.clone());
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                end(tx, &secrets, (tenant, &lease), &cause).await?;
                find(tx, (tenant, id)).await
            })
            .await
    }

    /// Forgets leases that were over long ago, and certificates that expired long ago; answers how many rows went, and whether
    /// there are more. For a background job.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn prune(&self) -> Result<(u64, bool), Error> {
        let before = self.world().now().minus(KEPT);
        let gone = self
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let leases = tx.execute(&schema::PRUNE_LEASES, &params![before, ROWS]).await?;
                let certificates = tx.execute(&schema::PRUNE_CERTIFICATES, &params![before, ROWS]).await?;
                Ok::<_, keyreeve_store::Error>((leases, certificates))
            })
            .await?;
        let most = u64::try_from(ROWS).unwrap_or(u64::MAX);
        Ok((gone.0.saturating_add(gone.1), gone.0 >= most || gone.1 >= most))
    }
}

/// Ends a lease in the caller's transaction.
async fn end(
    tx: &mut Tx<'_>,
    secrets: &Secrets,
    (tenant, lease): (TenantId, &Lease),
    cause: &Cause,
) -> Result<(), Error> {
    let now = secrets.world().now();
    if tx.execute(&schema::REVOKE_LEASE, &params![lease.key, now]).await? == 0 {
        return Ok(());
    }
    if let Some(certificate) = lease.certificate {
        let key: i64 = tx.scalar(&schema::CERTIFICATE_KEY, &params![tenant, certificate]).await?;
        let why = ("cessationOfOperation", cause);
        revoke(tx, secrets, (tenant, certificate, key), why).await?;
    }
    let target = ("lease", lease.id.to_string());
    record_of(tx, secrets, (tenant, "lease.revoke"), target, (cause, json!(null))).await
}
