//! Service accounts at the token endpoint: the client credentials grant (RFC 6749 section 4.4) with the account's
//! identifier as `client_id` and one of its secrets.
//!
//! There is no refresh token: an account that may no longer come in must not find a way around its secret (AC-77).

use super::{Holder, Issue, TokenResponse};
use crate::bounds::Bounds;
use crate::error::TokenError;
use crate::scope::{self, ScopeSet};
use crate::service::Tokens;
use keyreeve_base::Origin;
use keyreeve_crypto::Secret;
use keyreeve_identity::{Admitted, Authority, ServiceAccount, ServiceAttempt, Tenant};
use std::sync::Arc;

/// What a service account that looks after groups may be given: what there is to do with their members.
const OF_GROUPS: &str = "keyreeve:groups:read keyreeve:groups:write keyreeve:service_accounts:read \
    keyreeve:sessions:read keyreeve:sessions:write keyreeve:users:read keyreeve:users:write";

/// What every service account may be given: which secrets it sees and reads is shared with it, one by one.
const OF_SECRETS: &str = "keyreeve:secrets:read keyreeve:secrets:write";

/// What a service account presented.
#[derive(Clone, Copy)]
pub struct ServiceCredential<'a> {
    /// The account's identifier, in any spelling of a UUID.
    pub account: &'a str,
    /// The secret.
    pub secret: &'a Secret,
}

impl std::fmt::Debug for ServiceCredential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceCredential").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Issues an access token to a service account. What it is good for on this server is what the account's roles and
    /// memberships let it administer; without `scope` it is all of that.
    ///
    /// # Errors
    /// [`TokenError::InvalidClient`] for a wrong secret and for an account that is not admitted, alike;
    /// [`TokenError::InvalidScope`], [`TokenError::Throttled`].
    pub async fn service_credentials(
        &self,
        tenant: &Tenant,
        credential: ServiceCredential<'_>,
        (scope, bounds): (Option<&str>, &Bounds),
        origin: &Origin,
    ) -> Result<TokenResponse, TokenError> {
        let (admitted, account) = self.admit_service(tenant, credential, origin).await?;
        let authority = self.0.identity.authority_of(&admitted).await?;
        let scope = requested_scope(&authority, scope)?;
        let signers = self.service_signers(&account).await?;
        let issue = Issue::new(tenant, (Holder::Service(&account), bounds), &admitted, scope);
        self.issue(issue, &signers).await
    }

    /// Has admission decide on a service account.
    pub(crate) async fn admit_service(
        &self,
        tenant: &Tenant,
        credential: ServiceCredential<'_>,
        origin: &Origin,
    ) -> Result<(Admitted, Arc<ServiceAccount>), TokenError> {
        let ServiceCredential { account, secret } = credential;
        let attempt = ServiceAttempt { tenant: tenant.id, account, secret, origin };
        let admitted = match self.0.identity.admission().service(attempt).await? {
            Ok(admitted) => admitted,
            Err(refusal) => return Err(TokenError::refused(&refusal, TokenError::InvalidClient)),
        };
        let account = admitted.service().cloned().ok_or(TokenError::InvalidClient)?;
        Ok((admitted, account))
    }
}

/// What the account may be given: nothing of this server's that it would not be let do.
fn allowed(authority: &Authority) -> ScopeSet {
    let text = if authority.may_manage_tenant() {
        scope::ADMIN.to_owned()
    } else if authority.is_some() {
        format!("{OF_GROUPS} {OF_SECRETS}")
    } else {
        OF_SECRETS.to_owned()
    };
    ScopeSet::parse(&text).unwrap_or_default()
}

fn requested_scope(authority: &Authority, scope: Option<&str>) -> Result<ScopeSet, TokenError> {
    let allowed = allowed(authority);
    let Some(text) = scope else { return Ok(allowed) };
    let asked = ScopeSet::parse(text).map_err(|e| TokenError::InvalidScope(e.to_string()))?;
    if asked.iter().all(|token| scope::API.contains(&token) && allowed.allows(token)) {
        Ok(asked)
    } else {
        Err(TokenError::InvalidScope("the service account may not be given this scope".to_owned()))
    }
}
