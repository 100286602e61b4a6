//! Whoever calls this server's own interfaces, the native API and SCIM, with an access token.
//!
//! A token does what its scope *and* its holder's [`Authority`] allow: the scope says what the application may do, the
//! authority whom its holder may do it to. A user's and a service account's authority comes from their roles and groups. A
//! client that acts for itself has no place in the directory: an operator gave it its scopes, and they are its authority.

use crate::access::{AccessToken, TokenSubject};
use crate::clients::Client;
use crate::dpop::NoProof;
use crate::error::Error;
use crate::scope;
use crate::service::Tokens;
use keyreeve_audit::Actor;
use keyreeve_base::{Origin, Presentation, SessionId};
use keyreeve_crypto::constant_time_eq;
use keyreeve_identity::{Authority, Cause, Subject, Tenant, User};
use std::sync::Arc;
use uuid::Uuid;

/// Whoever presented an access token that is good at this moment for this server, or the operator of the machine. Only
/// this room makes one.
#[derive(Clone, Debug)]
pub struct Caller {
    tenant: Arc<Tenant>,
    /// None for the operator.
    token: Option<AccessToken>,
    authority: Authority,
    cause: Cause,
}

impl Caller {
    /// The tenant that was called, which is the one that issued the token.
    #[must_use]
    pub const fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }

    /// The token; the operator of the machine needs none.
    #[must_use]
    pub const fn token(&self) -> Option<&AccessToken> {
        self.token.as_ref()
    }

    /// The user for whom the token speaks, if it is one.
    #[must_use]
    pub fn user(&self) -> Option<&Arc<User>> {
        self.token.as_ref().and_then(AccessToken::user)
    }

    /// The session that the token hangs on, if it does.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.token.as_ref().and_then(|token| token.claims().sid)
    }

    /// What its holder may change of others.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The holder, as the one who causes what is asked for, at the other end of this request.
    #[must_use]
    pub const fn cause(&self) -> &Cause {
        &self.cause
    }

    /// Who holds the token, as their calls are counted; none for the operator.
    #[must_use]
    pub fn holder(&self) -> Option<Uuid> {
        match self.token.as_ref()?.subject() {
            TokenSubject::User(user) => Some(user.id.uuid()),
            TokenSubject::Client(client) => Some(client.id.uuid()),
            TokenSubject::Service(account) => Some(account.id.uuid()),
        }
    }

    /// Whether the token is bound to a key, which its holder has proven to possess (RFC 9449).
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.token.as_ref().is_some_and(|token| token.claims().cnf.is_some())
    }

    /// Whether the token opens what `scope` opens, see [`crate::ScopeSet::allows`]. A scope that was taken from the client
    /// since is gone from its tokens, too.
    #[must_use]
    pub fn allows(&self, scope: &str) -> bool {
        let Some(token) = &self.token else { return true };
        let of_client = |client: &Arc<Client>| client.settings.scopes.allows(scope);
        token.claims().scope.allows(scope) && token.client().is_none_or(of_client)
    }

    /// Whether nothing but its holder's authority limits it.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.allows(scope::ADMIN)
    }
}

impl Tokens {
    /// Verifies an access token as it was presented: one that is bound to a key needs a proof of that key, one that is not
    /// must not be presented as if it were (RFC 9449 section 7.1). Otherwise as [`Tokens::verify_access`].
    ///
    /// # Errors
    /// [`Error::UseDpopNonce`] when the proof must contain a nonce and does not; those of the store.
    pub async fn verify_presented(
        &self,
        tenant: &Tenant,
        presented: Presentation<'_>,
    ) -> Result<Option<AccessToken>, Error> {
        let (token, shown) = match presented {
            Presentation::Bearer(text) => return self.verify_access(tenant, text).await,
            Presentation::Dpop { token, shown } => (token, shown),
        };
        let Some(access) = self.check_own(tenant, token).await? else { return Ok(None) };
        let Some(bound) = access.claims().cnf.as_ref() else { return Ok(None) };
        match self.use_proof(tenant, shown, Some(token)).await? {
            Ok(key) if constant_time_eq(key.as_bytes(), bound.jkt.as_bytes()) => Ok(Some(access)),
            Ok(_) | Err(NoProof::Invalid(_)) => Ok(None),
            Err(NoProof::Nonce(nonce)) => Err(Error::UseDpopNonce { nonce }),
        }
    }

    /// Who presents this token to the tenant. None for whatever is not an access token that the tenant issued for this
    /// server and that is good at this moment: what was wrong is nothing that the bearer needs to know.
    ///
    /// # Errors
    /// [`Error::UseDpopNonce`], and those of the store.
    pub async fn caller(
        &self,
        tenant: &Arc<Tenant>,
        presented: Presentation<'_>,
        origin: &Origin,
    ) -> Result<Option<Caller>, Error> {
        let Some(token) = self.verify_presented(tenant, presented).await? else { return Ok(None) };
        self.caller_with(tenant, token, origin).await.map(Some)
    }

    /// The same caller at this later moment of one answer. A bound token's key was proved when the answer began, and the
    /// proof is used up; whether the token is still good is asked anew.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn caller_again(&self, caller: &Caller, token: Option<&str>) -> Result<Option<Caller>, Error> {
        let Some(text) = token.filter(|_| caller.token.is_some()) else {
            return Ok(caller.token.is_none().then(|| caller.clone()));
        };
        match self.check_own(&caller.tenant, text).await? {
            Some(token) => self.caller_with(&caller.tenant, token, &caller.cause.origin).await.map(Some),
            None => Ok(None),
        }
    }

    async fn caller_with(
        &self,
        tenant: &Arc<Tenant>,
        token: AccessToken,
        origin: &Origin,
    ) -> Result<Caller, Error> {
        let (actor, subject) = match token.subject() {
            TokenSubject::User(user) => (Actor::User(user.id), Subject::User(user.id)),
            TokenSubject::Client(client) => (Actor::Client(client.id), Subject::Client(client.id)),
            TokenSubject::Service(account) => (Actor::Service(account.id), Subject::Service(account.id)),
        };
        let identity = self.identity();
        let by_scope = matches!(subject, Subject::Client(_)) && token.claims().scope.is_for_api();
        let authority = if by_scope {
            identity.authority_of_bearer_by_scope(tenant.id, subject).await?
        } else {
            identity.authority_of_bearer(tenant.id, subject).await?
        };
        let cause = Cause::new(actor, origin.clone());
        Ok(Caller { tenant: Arc::clone(tenant), token: Some(token), authority, cause })
    }

    /// The operator of the machine, as a caller of this tenant. To be asked for only where no request from the network
    /// can come.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn operator(&self, tenant: &Arc<Tenant>) -> Result<Caller, Error> {
        let authority = self.identity().authority_of_operator(tenant.id).await?;
        Ok(Caller { tenant: Arc::clone(tenant), token: None, authority, cause: Cause::operator() })
    }
}
