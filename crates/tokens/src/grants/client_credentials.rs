//! The client credentials grant: a client acts for itself (RFC 6749 section 4.4).

use super::{BEYOND_CLIENT, Holder, Issue, TokenResponse, scope_within};
use crate::clients::{AuthenticatedClient, Client, GrantType};
use crate::error::TokenError;
use crate::scope::ScopeSet;
use crate::service::Tokens;
use keyreeve_base::Origin;
use keyreeve_identity::Tenant;
use keyreeve_store::Tx;
use std::sync::Arc;

impl Tokens {
    /// Issues an access token to a confidential client. Without `scope` it is good for all that the client may be
    /// given. Its one trace in the database is the audit entry of its admission.
    ///
    /// # Errors
    /// [`TokenError::UnauthorizedClient`], [`TokenError::InvalidScope`], [`TokenError::InvalidClient`].
    pub async fn client_credentials(
        &self,
        tenant: &Tenant,
        client: &AuthenticatedClient,
        scope: Option<&str>,
        origin: &Origin,
    ) -> Result<TokenResponse, TokenError> {
        let authenticated = client;
        let client = client.client();
        if !client.settings.allows(GrantType::ClientCredentials) {
            return Err(TokenError::UnauthorizedClient);
        }
        let scope = requested_scope(client, scope)?;
        let proof = Arc::new(authenticated.proof().ok_or(TokenError::InvalidClient)?);
        let signers = self.signers(client).await?;
        let (room, origin) = (self.clone(), origin.clone());
        let admitted = self
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                room.0.identity.admission().admit(tx, &proof, &origin).await.map_err(TokenError::from)
            })
            .await?
            .map_err(|refusal| TokenError::refused(&refusal, TokenError::InvalidClient))?;
        let issue = Issue::new(tenant, (Holder::Client(client), authenticated.bounds()), &admitted, scope);
        self.issue(issue, &signers).await
    }
}

/// What a request without a user is good for: nothing that needs one.
fn requested_scope(client: &Client, scope: Option<&str>) -> Result<ScopeSet, TokenError> {
    let allowed = client.settings.scopes.without(crate::scope::OPENID).without(crate::scope::OFFLINE_ACCESS);
    scope_within(allowed, scope, BEYOND_CLIENT)
}
