//! The refresh token grant: rotation with detection of reuse (RFC 6749 section 6, RFC 9700 section 4.14).

use super::{Grant, Issue, REFRESH_PREFIX, TokenResponse, lookup_digest};
use crate::clients::{AuthenticatedClient, GrantType};
use crate::consent::scope_of;
use crate::error::TokenError;
use crate::schema;
use crate::scope::ScopeSet;
use crate::service::{Refused, Tokens};
use keyreeve_audit::Actor;
use keyreeve_base::{ClientId, GrantId, Origin, TenantId, Timestamp};
use keyreeve_crypto::OpaqueToken;
use keyreeve_identity::{Admitted, Proof, Tenant};
use keyreeve_store::{Tx, params};
use std::time::Duration;

const INVALID: &str =
    "the refresh token is invalid, has expired, was used before, or belongs to another client";

/// The parameters with which a refresh token is used.
#[derive(Clone, Copy)]
pub struct RefreshRequest<'a> {
    /// The refresh token.
    pub refresh_token: &'a str,
    /// What is asked for; without it, everything that was granted.
    pub scope: Option<&'a str>,
}

impl std::fmt::Debug for RefreshRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefreshRequest").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// A rotation, owned by its transaction.
struct Rotation {
    tenant: TenantId,
    client: ClientId,
    presented: [u8; 32],
    successor: [u8; 32],
    /// What is asked for, where that is less than everything.
    scope: Option<ScopeSet>,
    idle: Duration,
    origin: Origin,
}

/// The grant that a refused refresh token belongs to.
struct Owner {
    grant: GrantId,
    client: ClientId,
    revoked: bool,
}

impl Tokens {
    /// Rotates a refresh token: the presented one is spent, and a successor comes with the new tokens. A spent one that
    /// is presented again ends the grant, since one of its two holders is a thief. There is no grace period: a client
    /// that loses the answer signs its user in again.
    ///
    /// # Errors
    /// [`TokenError::InvalidGrant`] for anything that is wrong with the token; [`TokenError::InvalidScope`] when more is
    /// asked for than was granted; [`TokenError::UnauthorizedClient`].
    pub async fn refresh(
        &self,
        tenant: &Tenant,
        client: &AuthenticatedClient,
        request: RefreshRequest<'_>,
        origin: &Origin,
    ) -> Result<TokenResponse, TokenError> {
        let client = client.client();
        if !client.settings.allows(GrantType::RefreshToken) {
            return Err(TokenError::UnauthorizedClient);
        }
        let scope = request
            .scope
            .map(ScopeSet::parse)
            .transpose()
            .map_err(|e| TokenError::InvalidScope(e.to_string()))?;
        let presented = lookup_digest(request.refresh_token).ok_or(TokenError::InvalidGrant(INVALID))?;
        let signers = self.signers(client).await?;
        let successor = OpaqueToken::generate_with_prefix(&self.0.world, REFRESH_PREFIX);
        let rotation = Rotation {
            tenant: tenant.id,
            client: client.id,
            presented,
            successor: *successor.digest().as_bytes(),
            scope: scope.clone(),
            idle: signers.lifetimes.refresh_idle,
            origin: origin.clone(),
        };
        let room = self.clone();
        let rotated =
            self.0.store.write(async move |tx: &mut Tx<'_>| room.rotate(tx, &rotation).await).await?;
        let (grant, admitted) = rotated?;
        let issue = Issue {
            tenant,
            client,
            admitted: &admitted,
            grant: Some(&grant),
            scope: scope.unwrap_or_else(|| grant.scope.clone()),
            nonce: None,
            refresh_token: Some(successor),
        };
        self.issue(issue, &signers)
    }

    async fn rotate(
        &self,
        tx: &mut Tx<'_>,
        it: &Rotation,
    ) -> Result<Result<(Grant, Admitted), TokenError>, TokenError> {
        if let Some(scope) = &it.scope
            && let Some(refusal) = exceeds(tx, it, scope).await?
        {
            // Nothing was consumed: the client may ask again, for less.
            return Ok(Err(refusal));
        }
        let now = self.now();
        let lapses_at = now.plus(it.idle);
        let row = params![it.tenant, it.client, it.presented, now, it.successor, lapses_at];
        let Some(grant) = tx.query_opt(&schema::ROTATE, &row, Grant::from_row).await? else {
            return self.refuse_refresh(tx, it).await.map(Err);
        };
        let proof = Proof::refresh(grant.redeemed(it.tenant));
        match self.0.identity.admission().admit(tx, &proof, &it.origin).await? {
            Ok(admitted) => {
                tx.execute(&schema::INSERT_SPENT, &params![it.presented, grant.id]).await?;
                Ok(Ok((grant, admitted)))
            }
            Err(refusal) => {
                // The client keeps the token that it has: an account that is enabled again goes on where it was.
                tx.execute(&schema::UNROTATE, &params![it.tenant, grant.id, it.presented, now.plus(it.idle)])
                    .await?;
                Ok(Err(TokenError::refused(&refusal, TokenError::InvalidGrant(INVALID))))
            }
        }
    }

    /// Tells a token that lapsed from one that was stolen, and ends the grant of the latter.
    async fn refuse_refresh(&self, tx: &mut Tx<'_>, it: &Rotation) -> Result<TokenError, TokenError> {
        let owner = |row: &keyreeve_store::Row<'_>| {
            let revoked = row.get::<Option<Timestamp>>(2)?.is_some();
            Ok(Owner { grant: row.get(0)?, client: row.get(1)?, revoked })
        };
        let present =
            tx.query_opt(&schema::GRANT_OF_REFRESH, &params![it.tenant, it.presented], owner).await?;
        let spent = match &present {
            Some(_) => None,
            None => tx.query_opt(&schema::GRANT_OF_SPENT, &params![it.tenant, it.presented], owner).await?,
        };
        let (action, reason, end) = match (&present, &spent) {
            (Some(owner), _) if owner.client != it.client => {
                ("token.reuse", "refresh_token_of_another_client", true)
            }
            (Some(owner), _) if owner.revoked => ("admission.refresh", "grant_revoked", false),
            (Some(_), _) => ("admission.refresh", "refresh_token_expired", false),
            (None, Some(_)) => ("token.reuse", "refresh_token_used_again", true),
            (None, None) => ("admission.refresh", "unknown_refresh_token", false),
        };
        let grant = present.or(spent).map(|owner| owner.grant);
        if let (Some(grant), true) = (grant, end) {
            self.end_grant(tx, it.tenant, grant).await?;
        }
        let target = grant.map(|grant| ("grant", grant.to_string()));
        let refusal = Refused { tenant: it.tenant, actor: Actor::Client(it.client), action, target, reason };
        self.record_refusal(tx, refusal, &it.origin).await?;
        Ok(TokenError::InvalidGrant(INVALID))
    }
}

/// Whether more is asked for than was granted.
async fn exceeds(tx: &mut Tx<'_>, it: &Rotation, asked: &ScopeSet) -> Result<Option<TokenError>, TokenError> {
    let granted = tx
        .query_opt(&schema::REFRESH_SCOPE, &params![it.tenant, it.client, it.presented], |row| {
            scope_of(&row.get::<String>(0)?)
        })
        .await?;
    // For a token that is not this client's, the rotation itself will say no.
    let within = granted.is_none_or(|granted| asked.is_subset_of(&granted));
    Ok((!within).then(|| TokenError::InvalidScope("the scope exceeds what was granted".to_owned())))
}
