//! Revocation (RFC 7009): a client gives back a token. And the pruning of what is over.

use crate::access::VerifiedClaims;
use crate::caller::Caller;
use crate::clients::AuthenticatedClient;
use crate::error::{Error, TokenError};
use crate::grants::{HandleKind, ServiceCredential};
use crate::schema;
use crate::service::{Refused, Tokens, topic};
use keyreeve_audit::Actor;
use keyreeve_base::{ClientId, Origin, TenantId, Timestamp};
use keyreeve_identity::{Cause, Tenant};
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::time::Duration;

/// How long a grant that is over is kept: the account page and the auditor may still ask for it.
const KEPT_AFTER_END: Duration = Duration::from_secs(86_400);
/// How many grants one statement of the pruning deletes.
const PRUNE_BATCH: i64 = 1_000;

impl Tokens {
    /// Takes a token back. A refresh token ends its grant with every token that came of it; an access token ends by
    /// itself. What is no token of this client's is left alone, and answered alike: there is nothing to learn here.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn revoke(
        &self,
        tenant: &Tenant,
        client: &AuthenticatedClient,
        token: &str,
        origin: &Origin,
    ) -> Result<(), TokenError> {
        let client = client.client();
        if token.starts_with(HandleKind::Refresh.prefix()) {
            return Ok(self.revoke_refresh(tenant.id, client.id, token, origin).await?);
        }
        let Some(access) = self.check_access(tenant, token).await? else { return Ok(()) };
        let claims = access.claims();
        if claims.client_id != client.client_id {
            let target = Some(("access_token", claims.jti.to_string()));
            let (room, origin, tenant, id) = (self.clone(), origin.clone(), tenant.id, client.id);
            let record = async move |tx: &mut Tx<'_>| {
                let target = target.clone();
                room.record_refusal(tx, foreign(tenant, id, target), &origin).await
            };
            return Ok(self.0.store.write(record).await?);
        }
        let cause = Cause::new(Actor::Client(client.id), origin.clone());
        Ok(self.revoke_access(tenant.id, claims, cause).await?)
    }

    /// Takes back an access token of a service account's. What is no token of its own is left alone, and answered alike.
    ///
    /// # Errors
    /// [`TokenError::InvalidClient`] where the account is not admitted, [`TokenError::Throttled`]; those of the store.
    pub async fn revoke_as_service(
        &self,
        tenant: &Tenant,
        credential: ServiceCredential<'_>,
        token: &str,
        origin: &Origin,
    ) -> Result<(), TokenError> {
        let account = self.admit_service(tenant, credential, origin).await?.1.id;
        let Some(access) = self.check_access(tenant, token).await? else { return Ok(()) };
        if access.claims().service_account() != Some(account) {
            return Ok(());
        }
        let cause = Cause::new(Actor::Service(account), origin.clone());
        Ok(self.revoke_access(tenant.id, access.claims(), cause).await?)
    }

    /// Takes back the access token by which somebody calls.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn revoke_own(&self, caller: &Caller) -> Result<(), Error> {
        match caller.token() {
            Some(token) => {
                self.revoke_access(caller.tenant().id, token.claims(), caller.cause().clone()).await
            }
            None => Ok(()),
        }
    }

    async fn revoke_access(
        &self,
        tenant: TenantId,
        claims: &VerifiedClaims,
        cause: Cause,
    ) -> Result<(), Error> {
        let (jti, expires_at) = (claims.jti, Timestamp::from_seconds(claims.exp));
        let room = self.clone();
        self.0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                if tx.execute(&schema::REVOKE_JTI, &params![tenant, jti, expires_at]).await? == 1 {
                    let target = ("access_token", jti.to_string());
                    room.record(tx, &cause, tenant, "token.revoke", target, json!({})).await?;
                    tx.changed(Some(tenant), topic::TOKEN, &jti.to_string()).await?;
                }
                Ok(())
            })
            .await
    }

    async fn revoke_refresh(
        &self,
        tenant: TenantId,
        client: ClientId,
        token: &str,
        origin: &Origin,
    ) -> Result<(), Error> {
        // Any of the grant's refresh tokens will do, spent or not: whoever gives one back wants the grant to end.
        let Some(presented) = self.read_handle(tenant, HandleKind::Refresh, token).await? else {
            return Ok(());
        };
        let grant = presented.grant;
        let (room, cause) = (self.clone(), Cause::new(Actor::Client(client), origin.clone()));
        self.0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let owner = tx
                    .query_opt(&schema::GRANT_OWNER, &params![tenant, grant], |row| row.get::<ClientId>(0))
                    .await?;
                let Some(owner) = owner else { return Ok(()) };
                let target = ("grant", grant.to_string());
                if owner != client {
                    room.record_refusal(tx, foreign(tenant, client, Some(target)), &cause.origin).await?;
                } else if room.end_grant(tx, tenant, grant).await? {
                    room.record(tx, &cause, tenant, "token.revoke", target, json!({})).await?;
                }
                Ok(())
            })
            .await
    }

    /// Forgets grants, used assertions and revocations that are over; answers how many grants.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn prune(&self) -> Result<u64, Error> {
        let now = self.now();
        let before = now.minus(KEPT_AFTER_END);
        let room = self.clone();
        self.0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                tx.execute(&schema::PRUNE_JTIS, &params![now]).await?;
                tx.execute(&schema::issuers::PRUNE_ISSUER_JTIS, &params![now]).await?;
                tx.execute(&schema::PRUNE_REVOKED, &params![now]).await?;
                room.prune_deliveries(tx).await?;
                let long_over = now.minus(crate::device::KEPT_AFTER_END);
                tx.execute(&schema::registration::PRUNE_INITIAL, &params![now]).await?;
                tx.execute(&schema::device::PRUNE_DEVICES, &params![long_over]).await?;
                tx.execute(&schema::PRUNE_PUSHED, &params![now]).await?;
                tx.execute(&schema::PRUNE_PROOFS, &params![now]).await?;
                Ok::<_, Error>(())
            })
            .await?;
        let mut pruned = 0_u64;
        loop {
            let batch = self
                .0
                .store
                .write(async move |tx: &mut Tx<'_>| {
                    tx.execute(&schema::PRUNE_GRANTS, &params![before, PRUNE_BATCH]).await
                })
                .await?;
            pruned = pruned.saturating_add(batch);
            if batch == 0 {
                return Ok(pruned);
            }
        }
    }
}

fn foreign(tenant: TenantId, client: ClientId, target: Option<(&'static str, String)>) -> Refused<'static> {
    Refused {
        tenant,
        actor: Actor::Client(client),
        action: "token.revoke",
        target,
        reason: "token_of_another_client",
    }
}
