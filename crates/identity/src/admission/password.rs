//! Proving a password.

use super::device::Device;
use super::proof::{Kind, PasswordProof, Proof, Second};
use super::throttle::{self, Count, Counted, Counter, Scope};
use super::{Admission, Method, Refusal};
use crate::passwords::credential::Stored;
use crate::settings::PasswordPolicy;
use crate::tenants::Tenant;
use crate::{Error, schema};
use keyreeve_audit::{Actor, Event, Outcome};
use keyreeve_base::{CanonicalName, Origin, TenantId, UserId};
use keyreeve_crypto::Secret;
use keyreeve_crypto::password::{HashError, Verified};
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// An attempt to prove a password.
pub struct PasswordAttempt<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// Username or e-mail address, as typed.
    pub identifier: &'a str,
    /// The password, as typed.
    pub password: Secret,
    /// Where it comes from.
    pub origin: Origin,
    /// What for: [`Method::Password`] or [`Method::PasswordGrant`].
    pub method: Method,
    /// The device cookie, if the browser sent one.
    pub device: Option<&'a str>,
}

/// An attempt after it was counted.
struct Counting {
    count: Count,
    /// The user whom the identifier names, and their password.
    user: Option<UserId>,
    stored: Option<Stored>,
}

/// What is known of an attempt when its refusal is recorded.
#[derive(Clone)]
struct Attempted {
    tenant: TenantId,
    method: Method,
    name: String,
    user: Option<UserId>,
    counted: Counted,
}

impl Admission<'_> {
    /// Counts the attempt, then checks the password; a refusal is recorded. Costs one password hash whether or not there
    /// is such a user, and whatever their state (ABUSE-CASES AC-21).
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; [`Error::Hash`]; those of the store.
    pub async fn prove_password(self, attempt: PasswordAttempt<'_>) -> Result<Result<Proof, Refusal>, Error> {
        let tenant = self.tenant(attempt.tenant).await?;
        let device = match attempt.device {
            Some(cookie) => self.open_device(&tenant, cookie).await?,
            None => None,
        };
        let counting = self.count_attempt(&tenant, &attempt, device).await?;
        let mut attempted = Attempted {
            tenant: tenant.id,
            method: attempt.method,
            name: throttle::counted_name(attempt.identifier),
            user: counting.user,
            counted: Counted::default(),
        };
        match counting.count {
            // Recorded by the transaction that counted.
            Count::Blocked(retry_after) => {
                metrics::counter!("keyreeve_password_refusals_total", "reason" => "throttled").increment(1);
                return Ok(Err(Refusal::Throttled { retry_after }));
            }
            Count::Counted(counted) => attempted.counted = counted,
        }
        let lane = attempt.origin.throttle_key();
        let stored = counting.stored.as_ref();
        let verified = match self.verify(&lane, &attempt.password, stored).await {
            Ok(verified) => verified,
            Err(HashError::Busy { retry_after }) => {
                self.refuse(&tenant, attempted, "busy", &attempt.origin).await?;
                return Ok(Err(Refusal::Busy { retry_after }));
            }
            Err(error @ HashError::Unavailable) => return Err(Error::Hash(error)),
            Err(error) => {
                let reason = match error {
                    HashError::Empty => "password_empty",
                    HashError::TooLong => "password_too_long",
                    _ => "hash_unreadable",
                };
                self.refuse(&tenant, attempted, reason, &attempt.origin).await?;
                return Ok(Err(Refusal::Denied));
            }
        };
        let (Some(user), Some(stored), true) = (counting.user, stored, verified.ok) else {
            let reason = match (counting.user, stored) {
                (None, _) => "unknown_user",
                (Some(_), None) => "no_password",
                _ => "wrong_password",
            };
            self.refuse(&tenant, attempted, reason, &attempt.origin).await?;
            return Ok(Err(Refusal::Denied));
        };
        let rehashed = if verified.needs_rehash {
            // If the pool is full, the next sign-in does it.
            self.0.hasher().hash(&lane, &attempt.password).await.ok().map(|hash| hash.into_string())
        } else {
            None
        };
        let max_age = max_age(&tenant.settings.password);
        let proof = PasswordProof {
            user,
            version: stored.version,
            rehashed,
            max_age,
            second: match attempt.method {
                Method::PasswordChange => Second::NotAsked,
                _ => Second::Wanted,
            },
            counted: attempted.counted,
            throttle: tenant.settings.throttle.clone(),
        };
        Ok(Ok(Proof { tenant: tenant.id, method: attempt.method, kind: Kind::Password(proof) }))
    }

    /// One transaction: whom the identifier names, and the counts.
    async fn count_attempt(
        self,
        tenant: &Arc<Tenant>,
        attempt: &PasswordAttempt<'_>,
        device: Option<Device>,
    ) -> Result<Counting, Error> {
        let (identity, tenant) = (self.0.clone(), Arc::clone(tenant));
        let (method, origin) = (attempt.method, attempt.origin.clone());
        let canonical = CanonicalName::parse(attempt.identifier).ok();
        let name = throttle::counted_name(attempt.identifier);
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let id = tenant.id;
                let found = match &canonical {
                    Some(canonical) => find(tx, id, canonical).await?,
                    None => None,
                };
                let (user, stored) = found.map_or((None, None), |(user, stored)| (Some(user), stored));
                let counters = match device.filter(|device| Some(device.user) == user) {
                    Some(device) => vec![device.counter()],
                    None => Counter::of_name(&name, &origin),
                };
                let now = identity.world().now();
                let count = throttle::count(tx, id, counters, &tenant.settings.throttle, now).await?;
                if matches!(count, Count::Blocked(_)) {
                    let name = name.clone();
                    let attempted = Attempted { tenant: id, method, name, user, counted: Counted::default() };
                    identity.admission().record_refusal(tx, &attempted, "throttled", &origin).await?;
                }
                Ok::<_, Error>(Counting { count, user, stored })
            })
            .await
    }

    /// The one place that checks a password. Where there is nothing to check, or what there is cannot be read, the same
    /// work is done in vain.
    async fn verify(
        self,
        lane: &str,
        password: &Secret,
        stored: Option<&Stored>,
    ) -> Result<Verified, HashError> {
        let Some(stored) = stored else { return self.0.hasher().verify_nobody(lane, password).await };
        let verified = self.0.hasher().verify(lane, password, &stored.hash).await;
        if verified == Err(HashError::Unrecognised) {
            tracing::error!("a stored password hash is of no kind that is known; its user cannot sign in");
            self.0.hasher().verify_nobody(lane, password).await?;
        }
        verified
    }

    /// Records a refusal after the attempt was counted.
    async fn refuse(
        self,
        tenant: &Arc<Tenant>,
        attempted: Attempted,
        reason: &'static str,
        origin: &Origin,
    ) -> Result<(), Error> {
        metrics::counter!("keyreeve_password_refusals_total", "reason" => reason).increment(1);
        let (identity, tenant, origin) = (self.0.clone(), Arc::clone(tenant), origin.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                if reason == "busy" {
                    attempted.counted.uncount(tx, tenant.id, &tenant.settings.throttle).await?;
                }
                identity.admission().record_refusal(tx, &attempted, reason, &origin).await
            })
            .await
    }

    async fn record_refusal(
        self,
        tx: &mut Tx<'_>,
        attempted: &Attempted,
        reason: &'static str,
        origin: &Origin,
    ) -> Result<(), Error> {
        // The name itself is not written down: people type passwords into the wrong field. Its digest still tells which
        // refusals belong together.
        let digest = Counter::new(Scope::Name, &[attempted.name.as_bytes()]).short_text();
        let mut event = Event {
            tenant: attempted.tenant,
            actor: Actor::Anonymous,
            action: attempted.method.action(),
            target: Some(match attempted.user {
                Some(user) => ("user", user.to_string()),
                None => ("name", digest.clone()),
            }),
            outcome: Outcome::Refused,
            reason: Some(reason),
            origin,
            detail: json!({"method": attempted.method.text(), "name": digest}),
        };
        keyreeve_audit::record(tx, self.0.world(), &event).await?;
        if reason == "busy" {
            return Ok(());
        }
        for scope in &attempted.counted.blocked {
            (event.actor, event.outcome, event.reason) = (Actor::System, Outcome::Success, None);
            event.action = "throttle.lock";
            event.detail = json!({"scope": scope.text(), "name": digest});
            keyreeve_audit::record(tx, self.0.world(), &event).await?;
        }
        Ok(())
    }
}

/// How old a password may be.
pub(super) fn max_age(policy: &PasswordPolicy) -> Option<Duration> {
    policy.max_age_days.map(|days| Duration::from_secs(86_400 * u64::from(days)))
}

async fn find(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    name: &CanonicalName,
) -> Result<Option<(UserId, Option<Stored>)>, keyreeve_store::Error> {
    tx.query_opt(&schema::PASSWORD_BY_IDENTIFIER, &params![tenant, name], |row| {
        let stored = match (row.get::<Option<String>>(1)?, row.get::<Option<i64>>(2)?) {
            (Some(hash), Some(version)) => Some(Stored { hash, version }),
            _ => None,
        };
        Ok((row.get(0)?, stored))
    })
    .await
}
