//! The resource owner password credentials grant (RFC 6749 section 4.3), for what cannot show a sign-in page. Closed
//! unless the tenant opens it.

use super::{BEYOND_CLIENT, Grant, Holder, Issue, TokenResponse, scope_within};
use crate::claims::ClaimsRequest;
use crate::clients::{AuthenticatedClient, Client, GrantType};
use crate::error::TokenError;
use crate::schema;
use crate::scope::{self, ScopeSet};
use crate::service::Tokens;
use keyreeve_base::{GrantId, Origin};
use keyreeve_crypto::Secret;
use keyreeve_identity::{Admitted, Method, PasswordAttempt, Subject, Tenant};
use keyreeve_store::{Tx, params};
use std::sync::Arc;

const INVALID: &str = "the user name or the password is wrong";

/// The parameters of a password grant.
#[derive(Debug)]
pub struct PasswordRequest<'a> {
    /// The user name or e-mail address.
    pub username: &'a str,
    /// The password.
    pub password: Secret,
    /// What is asked for; without it, everything that the client may be given.
    pub scope: Option<&'a str>,
}

impl Tokens {
    /// Issues tokens to whoever knows a user's password. Counted, throttled and recorded like a sign-in (AC-22).
    ///
    /// # Errors
    /// [`TokenError::UnsupportedGrantType`] where the tenant has not opened it; [`TokenError::InvalidGrant`] for a
    /// wrong password and for an account that may not sign in, alike.
    pub async fn password(
        &self,
        tenant: &Tenant,
        client: &AuthenticatedClient,
        request: PasswordRequest<'_>,
        origin: &Origin,
    ) -> Result<TokenResponse, TokenError> {
        let bounds = client.bounds();
        let client = client.client();
        if !self.policy(tenant.id).await?.password_grant {
            return Err(TokenError::UnsupportedGrantType);
        }
        if !client.settings.allows(GrantType::Password) {
            return Err(TokenError::UnauthorizedClient);
        }
        let scope = requested_scope(client, request.scope)?;
        let signers = self.signers(client).await?;
        let attempt = PasswordAttempt {
            tenant: tenant.id,
            identifier: request.username,
            password: request.password,
            origin: origin.clone(),
            method: Method::PasswordGrant,
            device: None,
        };
        let denied = || TokenError::InvalidGrant(INVALID);
        let proof = match self.0.identity.admission().prove_password(attempt).await? {
            Ok(proof) => Arc::new(proof),
            Err(refusal) => return Err(TokenError::refused(&refusal, denied())),
        };
        let id: GrantId = self.0.world.new_id();
        let refresh = self.first_refresh_token(client, id).await?;
        let refresh_digest = refresh.as_ref().map(|token| token.digest);
        let (room, origin, lifetimes) = (self.clone(), origin.clone(), signers.lifetimes);
        let (granted, owner) = (scope.clone(), Arc::clone(client));
        let (resources, refresh_key) = (bounds.resources().to_vec(), super::refresh_key(client, bounds));
        let admitted = self
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let admitted = match room.0.identity.admission().admit(tx, &proof, &origin).await? {
                    Ok(admitted) => admitted,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                let now = room.now();
                let (expires_at, refresh_expires_at) = lifetimes.of_grant(now, refresh_digest.is_some());
                let mut grant = grant_of(id, &owner, &admitted, granted.clone(), expires_at)?;
                grant.resources.clone_from(&resources);
                let refreshable = Refreshable {
                    now,
                    digest: refresh_digest,
                    lapses_at: refresh_expires_at,
                    key: refresh_key.as_deref(),
                };
                insert(tx, &grant, &admitted, refreshable).await?;
                Ok::<_, TokenError>(Ok((grant, admitted)))
            })
            .await?;
        let (grant, admitted) = admitted.map_err(|refusal| TokenError::refused(&refusal, denied()))?;
        let issue = Issue {
            grant: Some(&grant),
            refresh_token: refresh.map(|token| token.text),
            resources: &grant.resources,
            ..Issue::new(tenant, (Holder::Client(client), bounds), &admitted, scope)
        };
        self.issue(issue, &signers).await
    }
}

fn requested_scope(client: &Client, scope: Option<&str>) -> Result<ScopeSet, TokenError> {
    // Without a consent page there is no consent to offline access.
    let allowed = client.settings.scopes.without(scope::OFFLINE_ACCESS);
    scope_within(allowed, scope, BEYOND_CLIENT)
}

fn grant_of(
    id: GrantId,
    client: &Client,
    admitted: &Admitted,
    scope: ScopeSet,
    expires_at: keyreeve_base::Timestamp,
) -> Result<Grant, TokenError> {
    let Subject::User(user) = admitted.subject() else { return Err(TokenError::InvalidGrant(INVALID)) };
    Ok(Grant {
        id,
        client: client.id,
        user,
        session: None,
        offline: false,
        scope,
        claims: ClaimsRequest::default(),
        nonce: None,
        auth_time: admitted.auth_time(),
        amr: admitted.shared_amr(),
        acr: admitted.acr().map(str::to_owned),
        expires_at,
        resources: Vec::new(),
    })
}

/// When a grant is made, and what is stored of its refresh token.
pub(super) struct Refreshable<'a> {
    pub(super) now: keyreeve_base::Timestamp,
    pub(super) digest: Option<[u8; 32]>,
    pub(super) lapses_at: Option<keyreeve_base::Timestamp>,
    /// The key that it is bound to.
    pub(super) key: Option<&'a str>,
}

pub(super) async fn insert(
    tx: &mut Tx<'_>,
    grant: &Grant,
    admitted: &Admitted,
    refreshable: Refreshable<'_>,
) -> Result<(), TokenError> {
    let amr = serde_json::to_string(&*grant.amr).map_err(|e| crate::Error::corrupt("grant", e))?;
    let resources = super::resources_text(&grant.resources)?;
    tx.execute(
        &schema::INSERT_GRANT,
        &params![
            grant.id,
            admitted.tenant(),
            grant.client,
            grant.user,
            grant.session,
            grant.offline,
            grant.scope.as_str(),
            grant.auth_time,
            &amr,
            &grant.acr,
            refreshable.now,
            grant.expires_at,
            refreshable.digest,
            refreshable.lapses_at,
            resources,
            refreshable.key
        ],
    )
    .await?;
    Ok(())
}
