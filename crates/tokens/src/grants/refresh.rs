//! The refresh token grant: rotation with detection of reuse (RFC 6749 section 6, RFC 9700 section 4.14).

use super::handle::{Kind, Presented};
use super::{Grant, Holder, Issue, TokenResponse, resources_of};
use crate::clients::{AuthenticatedClient, GrantType};
use crate::consent::scope_of;
use crate::error::TokenError;
use crate::resource;
use crate::schema;
use crate::scope::ScopeSet;
use crate::service::{Refused, Tokens};
use keyreeve_audit::Actor;
use keyreeve_base::{ClientId, Origin, TenantId, Timestamp};
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
    presented: Presented,
    successor: [u8; 32],
    /// What is asked for, where that is less than everything.
    scope: Option<ScopeSet>,
    /// The key of which possession was proven.
    key: Option<String>,
    /// The resources that are asked for.
    resources: Vec<String>,
    idle: Duration,
    origin: Origin,
}

/// What a refresh token's grant says of it.
struct Owner {
    client: ClientId,
    scope: ScopeSet,
    revoked: bool,
    /// Whether it is the grant's present one.
    present: bool,
    resources: Vec<String>,
    /// The key that it is bound to.
    key: Option<String>,
}

impl Owner {
    async fn find(tx: &mut Tx<'_>, it: &Rotation) -> Result<Option<Self>, keyreeve_store::Error> {
        tx.query_opt(&schema::GRANT_OWNER, &params![it.tenant, it.presented.grant], |row| {
            Ok(Self {
                client: row.get(0)?,
                scope: scope_of(&row.get::<String>(1)?)?,
                revoked: row.get::<Option<Timestamp>>(2)?.is_some(),
                present: row.get::<Option<[u8; 32]>>(3)? == Some(it.presented.digest),
                resources: resources_of(row.get::<Option<String>>(4)?.as_deref())?,
                key: row.get(5)?,
            })
        })
        .await
    }

    /// How the audit log has the refusal, and whether it ends the grant.
    fn refusal(&self, it: &Rotation) -> (&'static str, &'static str, bool) {
        if self.client != it.client {
            ("token.reuse", "refresh_token_of_another_client", true)
        } else if !self.present {
            ("token.reuse", "refresh_token_used_again", true)
        } else if self.revoked {
            ("admission.refresh", "grant_revoked", false)
        } else if self.key.is_some() && self.key != it.key {
            // Whoever has the token without the key has nothing: no reason to take it from whoever has both.
            ("admission.refresh", "other_dpop_key", false)
        } else {
            ("admission.refresh", "refresh_token_expired", false)
        }
    }
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
        let bounds = client.bounds();
        let client = client.client();
        if !client.settings.allows(GrantType::RefreshToken) {
            return Err(TokenError::UnauthorizedClient);
        }
        let scope = request
            .scope
            .map(ScopeSet::parse)
            .transpose()
            .map_err(|e| TokenError::InvalidScope(e.to_string()))?;
        let presented = self.read_handle(tenant.id, Kind::Refresh, request.refresh_token).await?;
        let Some(presented) = presented else {
            self.refuse_unknown(tenant.id, client.id, ("admission.refresh", "unknown_refresh_token"), origin)
                .await?;
            return Err(TokenError::InvalidGrant(INVALID));
        };
        let signers = self.signers(client).await?;
        let successor = self.new_handle(tenant.id, Kind::Refresh, presented.grant).await?;
        let rotation = Rotation {
            tenant: tenant.id,
            client: client.id,
            presented,
            successor: successor.digest,
            scope: scope.clone(),
            key: bounds.key().map(str::to_owned),
            resources: bounds.resources().to_vec(),
            idle: signers.lifetimes.refresh_idle,
            origin: origin.clone(),
        };
        let room = self.clone();
        let rotated =
            self.0.store.write(async move |tx: &mut Tx<'_>| room.rotate(tx, &rotation).await).await?;
        let (grant, admitted) = rotated?;
        let resources =
            resource::narrow(&grant.resources, bounds.resources()).map_err(TokenError::InvalidTarget)?;
        let (to, scope) = ((Holder::Client(client), bounds), scope.unwrap_or_else(|| grant.scope.clone()));
        let issue = Issue {
            grant: Some(&grant),
            refresh_token: Some(successor.text),
            resources: &resources,
            ..Issue::new(tenant, to, &admitted, scope)
        };
        self.issue(issue, &signers).await
    }

    async fn rotate(
        &self,
        tx: &mut Tx<'_>,
        it: &Rotation,
    ) -> Result<Result<(Grant, Admitted), TokenError>, TokenError> {
        if let Some(refusal) = self.excess(tx, it).await? {
            // Nothing was consumed: the client may ask again, for less.
            return Ok(Err(refusal));
        }
        let now = self.now();
        let lapses_at = now.plus(it.idle);
        let Presented { grant: id, digest } = it.presented;
        let row = params![it.tenant, id, it.client, digest, now, it.successor, lapses_at, it.key];
        let Some(grant) = tx.query_opt(&schema::ROTATE, &row, Grant::from_row).await? else {
            return self.refuse_refresh(tx, it).await.map(Err);
        };
        let proof = Proof::refresh(grant.redeemed(it.tenant));
        match self.0.identity.admission().admit(tx, &proof, &it.origin).await? {
            Ok(admitted) => Ok(Ok((grant, admitted))),
            Err(refusal) => {
                // The client keeps the token that it has: an account that is enabled again goes on where it was.
                tx.execute(&schema::UNROTATE, &params![it.tenant, id, digest, lapses_at]).await?;
                Ok(Err(TokenError::refused(&refusal, TokenError::InvalidGrant(INVALID))))
            }
        }
    }

    /// What is asked for beyond the grant. Asks the database only of who asks for something in particular.
    async fn excess(&self, tx: &mut Tx<'_>, it: &Rotation) -> Result<Option<TokenError>, TokenError> {
        if it.scope.is_none() && it.resources.is_empty() {
            return Ok(None);
        }
        // Of a token that is not this client's, the rotation itself says no.
        let Some(owner) = Owner::find(tx, it).await?.filter(|owner| owner.client == it.client) else {
            return Ok(None);
        };
        if it.scope.as_ref().is_some_and(|scope| !scope.is_subset_of(&owner.scope)) {
            return Ok(Some(TokenError::InvalidScope("the scope exceeds what was granted".to_owned())));
        }
        Ok(resource::narrow(&owner.resources, &it.resources).err().map(TokenError::InvalidTarget))
    }

    /// Tells a token that lapsed from one that was stolen, and ends the grant of the latter.
    async fn refuse_refresh(&self, tx: &mut Tx<'_>, it: &Rotation) -> Result<TokenError, TokenError> {
        let owner = Owner::find(tx, it).await?;
        let (action, reason, end) = owner.map_or(
            // Over for so long that it was forgotten.
            ("admission.refresh", "unknown_refresh_token", false),
            |owner| owner.refusal(it),
        );
        if end {
            self.end_grant(tx, it.tenant, it.presented.grant).await?;
        }
        let target = Some(("grant", it.presented.grant.to_string()));
        let refusal = Refused { tenant: it.tenant, actor: Actor::Client(it.client), action, target, reason };
        self.record_refusal(tx, refusal, &it.origin).await?;
        Ok(TokenError::InvalidGrant(INVALID))
    }
}
