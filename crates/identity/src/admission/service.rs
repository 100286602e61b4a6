//! Service accounts: proving a secret, and weighing what was proved.

use super::client::{ClientAttempt, Machine};
use super::proof::{Kind, Proof};
use super::weigh::Verdict;
use super::{Admission, Admitted, Method, Refusal, Subject};
use crate::directory::Party;
use crate::directory::name::Name;
use crate::service_accounts::{SECRET_PREFIX, ServiceAccount};
use crate::{Error, schema, sessions};
use keyreeve_base::{Origin, ServiceAccountId, TenantId, Timestamp};
use keyreeve_crypto::{Secret, TokenDigest, constant_time_eq};
use keyreeve_store::{Row, Tx, params};
use std::sync::Arc;
use uuid::Uuid;

/// The longest secret that is looked at, in bytes.
const MAX_SECRET: usize = 128;

/// An attempt to be admitted as a service account.
pub struct ServiceAttempt<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// The account: its identifier, or its name in any spelling.
    pub account: &'a str,
    /// The secret.
    pub secret: &'a Secret,
    /// Where it comes from.
    pub origin: &'a Origin,
}

/// Proof of a service account's secret.
pub(super) struct ServiceProof {
    pub(super) account: ServiceAccountId,
    secret: Uuid,
    /// How it ended is known only when it is weighed, so that the counters of an account that is switched off run like
    /// those of a wrong secret.
    attempt: ClientAttempt,
}

impl Admission<'_> {
    /// Admits a service account by its secret: [`Admission::prove_service`] and [`Admission::admit`] in one.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; those of the store.
    pub async fn service(self, attempt: ServiceAttempt<'_>) -> Result<Result<Admitted, Refusal>, Error> {
        let origin = attempt.origin.clone();
        let proof = match self.prove_service(attempt).await? {
            Ok(proof) => proof,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let identity = self.0.clone();
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| identity.admission().admit(tx, &proof, &origin).await)
            .await
    }

    /// Checks a service account's secret. A refusal is counted and recorded, like that of a client's secret.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; those of the store.
    pub async fn prove_service(self, attempt: ServiceAttempt<'_>) -> Result<Result<Proof, Refusal>, Error> {
        let ServiceAttempt { tenant, account, secret, origin } = attempt;
        let accounts = self.0.service_accounts();
        let credentials = match accounts.id_of(tenant, account).await? {
            Some(id) => accounts.credentials(tenant, id).await?,
            None => None,
        };
        // One account is one counter, whether it was called by its name, in some spelling, or by its identifier.
        let key = match &credentials {
            Some(credentials) => credentials.account.id.to_string(),
            None => unknown(account),
        };
        let counted = match self.machine_attempt(Machine::Service, tenant, &key, origin).await? {
            Ok(counted) => counted,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if secret.expose().len() > MAX_SECRET {
            return Ok(Err(counted.failed(Method::ServiceSecret, "secret_too_long").await?));
        }
        let presented = TokenDigest::of(secret.expose());
        let Some(credentials) = credentials else {
            // The same work as for an account with one secret.
            std::hint::black_box(constant_time_eq(presented.as_bytes(), &[0; 32]));
            return Ok(Err(counted.failed(Method::ServiceSecret, "unknown_service_account").await?));
        };
        let Some(secret) = credentials.matching(&presented) else {
            return Ok(Err(counted.failed(Method::ServiceSecret, "wrong_secret").await?));
        };
        let proof = ServiceProof { account: credentials.account.id, secret, attempt: counted };
        Ok(Ok(Proof { tenant, method: Method::ServiceSecret, kind: Kind::Service(proof) }))
    }

    pub(super) async fn weigh_service(
        self,
        tx: &mut Tx<'_>,
        proof: &Proof,
        service: &ServiceProof,
    ) -> Result<Verdict, Error> {
        let (tenant, now) = (proof.tenant, self.0.world().now());
        let state = tx
            .query_opt(
                &schema::SERVICE_STATE,
                &params![tenant, service.account, service.secret],
                State::from_row,
            )
            .await?;
        let account = match state.ok_or("service_account_removed").and_then(|state| state.weigh(now)) {
            Ok(account) => account,
            Err(reason) => {
                service.attempt.count(tx).await?;
                return Ok(Verdict::Refused(reason));
            }
        };
        service.attempt.settle(tx).await?;
        let due = now.minus(sessions::TOUCH_EVERY);
        tx.execute(&schema::TOUCH_SECRET, &params![account.id, service.secret, now, due]).await?;
        Ok(Verdict::Admitted(Box::new(Admitted {
            tenant,
            subject: Subject::Service(account.id),
            user: None,
            service: Some(Arc::new(account)),
            session: None,
            auth_time: now,
            amr: Arc::new([]),
            acr: None,
            method: proof.method,
        })))
    }
}

/// The key of an account that is not there, fit for the log.
fn unknown(account: &str) -> String {
    match Name::canonical(account) {
        // Secrets are pasted into the wrong field.
        Some(name) if name.contains(SECRET_PREFIX) => "a secret".to_owned(),
        Some(name) => name,
        None => account.chars().take(MAX_SECRET).flat_map(char::escape_default).collect(),
    }
}

/// The state by which a service account is admitted.
struct State {
    account: ServiceAccount,
    tenant_active: bool,
    /// The secret, if it is still there: when it is over.
    secret: Option<Option<Timestamp>>,
    /// What stands against the owner.
    owner: Option<&'static str>,
}

impl State {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let account = ServiceAccount::from_row(row)?;
        let secret: Option<Uuid> = row.get(15)?;
        let owner = match account.owner {
            None => None,
            Some(Party::User(_)) => match row.get::<Option<bool>>(17)? {
                None => Some("owner_gone"),
                Some(_) if row.get::<Option<Timestamp>>(19)?.is_some() => Some("owner_archived"),
                Some(false) => Some("owner_disabled"),
                Some(true) if row.get::<bool>(18)? => Some("owner_locked"),
                Some(true) => None,
            },
            Some(Party::Group(_)) => match row.get::<Option<Uuid>>(20)? {
                None => Some("owner_gone"),
                Some(_) => None,
            },
            Some(Party::Service(_)) => Some("owner_gone"),
        };
        Ok(Self {
            account,
            tenant_active: row.get::<bool>(13)? && row.get::<Option<Timestamp>>(14)?.is_none(),
            secret: match secret {
                Some(_) => Some(row.get(16)?),
                None => None,
            },
            owner,
        })
    }

    /// The account, or what stands against it.
    fn weigh(self, now: Timestamp) -> Result<ServiceAccount, &'static str> {
        let is_over = |at: Option<Timestamp>| at.is_some_and(|at| now >= at);
        match &self {
            Self { tenant_active: false, .. } => Err("tenant_inactive"),
            Self { account: ServiceAccount { enabled: false, .. }, .. } => Err("service_account_disabled"),
            Self { account, .. } if is_over(account.expires_at) => Err("service_account_expired"),
            Self { secret: None, .. } => Err("secret_revoked"),
            Self { secret: Some(expires_at), .. } if is_over(*expires_at) => Err("secret_expired"),
            Self { owner: Some(reason), .. } => Err(reason),
            _ => Ok(self.account),
        }
    }
}
