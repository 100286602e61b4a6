//! The secrets of service accounts.

use super::model::ServiceAccount;
use super::{ServiceAccounts, TOPIC, hold};
use crate::{Cause, Error, schema};
use keyreeve_base::{ServiceAccountId, TenantId, Timestamp};
use keyreeve_crypto::{OpaqueToken, TokenDigest, constant_time_eq};
use keyreeve_store::{Row, Tx, params};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// What every secret begins with.
pub(crate) const SECRET_PREFIX: &str = "kr_sa_";

/// The most secrets of one account that are good at once.
const MAX_SECRETS: usize = 10;

/// A secret of a service account, without the secret.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SecretInfo {
    /// Its identifier, which is no secret.
    pub id: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is over by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// A secret that was just made.
#[derive(Debug)]
pub struct IssuedSecret {
    /// What is known of it from now on.
    pub info: SecretInfo,
    /// The secret, told this once.
    pub secret: OpaqueToken,
}

/// A service account and what it may prove itself by.
pub(crate) struct Credentials {
    pub(crate) account: Arc<ServiceAccount>,
    secrets: Vec<Stored>,
}

struct Stored {
    info: SecretInfo,
    digest: TokenDigest,
}

impl Stored {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let info = SecretInfo {
            id: row.get(0)?,
            created_at: row.get(2)?,
            expires_at: row.get(3)?,
            last_used_at: row.get(4)?,
        };
        Ok(Self { info, digest: TokenDigest::from_bytes(row.get(1)?) })
    }
}

impl Credentials {
    /// The secret that was presented, good or expired. Looks at all of them, each in constant time (ABUSE-CASES AC-37).
    pub(crate) fn matching(&self, presented: &TokenDigest) -> Option<Uuid> {
        let mut found = None;
        for stored in &self.secrets {
            if constant_time_eq(stored.digest.as_bytes(), presented.as_bytes()) {
                found = Some(stored.info.id);
            }
        }
        found
    }
}

impl ServiceAccounts<'_> {
    /// The account and its secrets, from memory where that is allowed. When they were last used is not kept current
    /// there.
    pub(crate) async fn credentials(
        self,
        tenant: TenantId,
        id: ServiceAccountId,
    ) -> Result<Option<Arc<Credentials>>, Error> {
        let store = self.0.store();
        self.0
            .caches()
            .services
            .get_with(tenant, &id, || async move {
                let read = async move |tx: &mut Tx<'_>| {
                    let found = tx
                        .query_opt(&schema::SERVICE_BY_ID, &params![tenant, id], ServiceAccount::from_row)
                        .await?;
                    let Some(account) = found else { return Ok(None) };
                    let secrets = stored(tx, id).await?;
                    Ok::<_, Error>(Some(Arc::new(Credentials { account: Arc::new(account), secrets })))
                };
                store.read(read).await
            })
            .await
    }

    /// Makes a secret that is good from now on, for as long as `lasts` if that is given. Others stay good; at most ten
    /// are at once, and those that are over make room.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] when there are ten already.
    pub async fn add_secret(
        self,
        (tenant, id): (TenantId, ServiceAccountId),
        lasts: Option<Duration>,
        cause: &Cause,
    ) -> Result<IssuedSecret, Error> {
        let world = self.0.world();
        let (now, secret) = (world.now(), OpaqueToken::generate_with_prefix(world, SECRET_PREFIX));
        let info = SecretInfo {
            id: world.new_uuid(),
            created_at: now,
            expires_at: lasts.map(|lasts| now.plus(lasts)),
            last_used_at: None,
        };
        let (identity, cause, made, digest) = (self.0.clone(), cause.clone(), info.clone(), secret.digest());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                cause.claim(tx, identity.world(), ("service_account_secret", made.id)).await?;
                hold(tx, tenant, id).await?;
                tx.execute(&schema::DROP_EXPIRED_SECRETS, &params![id, now]).await?;
                if stored(tx, id).await?.len() >= MAX_SECRETS {
                    return Err(Error::invalid("secret", format!("would be more than {MAX_SECRETS}")));
                }
                tx.execute(
                    &schema::INSERT_SECRET,
                    &params![made.id, id, digest.as_bytes(), made.created_at, made.expires_at],
                )
                .await?;
                let expires_at = made.expires_at.map(|at| at.to_string());
                let detail = json!({"secret": made.id, "expires_at": expires_at});
                let target = ("service_account", id.to_string());
                let event = cause.done(tenant, "service_account.secret.create", target, detail);
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                tx.changed(Some(tenant), TOPIC, &id.to_string()).await?;
                Ok(())
            })
            .await?;
        Ok(IssuedSecret { info, secret })
    }

    /// The secrets of a service account, oldest first, those that are over among them.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn secrets(self, tenant: TenantId, id: ServiceAccountId) -> Result<Vec<SecretInfo>, Error> {
        self.get(tenant, id).await?;
        let read = async move |tx: &mut Tx<'_>| Ok::<_, Error>(stored(tx, id).await?);
        Ok(self.0.store().read(read).await?.into_iter().map(|stored| stored.info).collect())
    }

    /// Removes a secret, which is good no longer; false when there is none such.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the account.
    pub async fn revoke_secret(
        self,
        (tenant, id): (TenantId, ServiceAccountId),
        secret: Uuid,
        cause: &Cause,
    ) -> Result<bool, Error> {
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                hold(tx, tenant, id).await?;
                if tx.execute(&schema::DELETE_SECRET, &params![id, secret]).await? == 0 {
                    return Ok(false);
                }
                let target = ("service_account", id.to_string());
                let detail = json!({"secret": secret});
                let event = cause.done(tenant, "service_account.secret.revoke", target, detail);
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                tx.changed(Some(tenant), TOPIC, &id.to_string()).await?;
                Ok(true)
            })
            .await
    }
}

async fn stored(tx: &mut Tx<'_>, id: ServiceAccountId) -> Result<Vec<Stored>, keyreeve_store::Error> {
    tx.query(&schema::SECRETS_OF, &params![id], Stored::from_row).await
}
