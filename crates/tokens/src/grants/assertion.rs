//! The JWT bearer grant (RFC 7523 section 2.1): an issuer that the tenant trusts vouches for a user.
//!
//! There is no refresh token (RFC 7521 section 4.1): whoever wants more asks the issuer again. There is no ID token
//! either, since nobody has signed in here.

use super::password::{self, Refreshable};
use super::{Grant, Holder, Issue, TokenResponse, scope_within};
use crate::assertion::Once;
use crate::claims::ClaimsRequest;
use crate::clients::{AuthenticatedClient, Client, GrantType};
use crate::error::{Error, TokenError};
use crate::issuers::{Expected, SubjectField, TrustedIssuer, VerifiedAssertion, claimed_issuer, verify};
use crate::policy::Lifetimes;
use crate::schema::issuers as sql;
use crate::scope::{self, ScopeSet};
use crate::service::{Refused, Tokens};
use keyreeve_audit::Actor;
use keyreeve_base::{GrantId, Origin, TenantId, UserId};
use keyreeve_identity::{Admitted, Proof, Tenant};
use keyreeve_store::{Tx, params};
use std::sync::Arc;

/// What every refused assertion is answered with; the audit log has the reason.
const INVALID: &str = "the assertion is invalid, has expired, was used before, or is about nobody here";

/// The parameters of an assertion grant.
#[derive(Clone, Copy)]
pub struct AssertionRequest<'a> {
    /// The assertion.
    pub assertion: &'a str,
    /// What is asked for; without it, everything that issuer and client allow together.
    pub scope: Option<&'a str>,
}

impl std::fmt::Debug for AssertionRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AssertionRequest").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// An assertion about to be used, owned by its transaction.
struct Use {
    tenant: TenantId,
    issuer: TrustedIssuer,
    assertion: VerifiedAssertion,
    /// Whom it is about, if that was found.
    user: Result<UserId, &'static str>,
    client: Arc<Client>,
    id: GrantId,
    scope: ScopeSet,
    lifetimes: Lifetimes,
    origin: Origin,
}

impl Tokens {
    /// Issues an access token about the user whom an assertion is about. Admission weighs the user as it does everybody.
    ///
    /// # Errors
    /// [`TokenError::InvalidGrant`] for anything that is wrong with the assertion or stands against its user;
    /// [`TokenError::InvalidScope`], [`TokenError::UnauthorizedClient`].
    pub async fn use_assertion_grant(
        &self,
        tenant: &Tenant,
        client: &AuthenticatedClient,
        request: AssertionRequest<'_>,
        origin: &Origin,
    ) -> Result<TokenResponse, TokenError> {
        let bounds = client.bounds();
        let client = client.client();
        if !client.settings.allows(GrantType::JwtBearer) {
            return Err(TokenError::UnauthorizedClient);
        }
        let read = self.read_assertion(tenant, client, request.assertion).await?;
        let (issuer, assertion) = match read {
            Ok(read) => read,
            Err(reason) => return Err(self.refuse_assertion((tenant.id, client), reason, origin).await?),
        };
        let scope = requested_scope(client, &issuer, request.scope)?;
        let user = self.asserted_user(&issuer, &assertion.subject).await?;
        let signers = self.signers(client).await?;
        let it = Use {
            tenant: tenant.id,
            issuer,
            assertion,
            user,
            client: Arc::clone(client),
            id: self.0.world.new_id(),
            scope,
            lifetimes: signers.lifetimes,
            origin: origin.clone(),
        };
        let room = self.clone();
        let admitted =
            self.0.store.write(async move |tx: &mut Tx<'_>| room.consume_assertion(tx, &it).await).await?;
        let (grant, admitted) = admitted?;
        let to = (Holder::Client(client), bounds);
        let issue = Issue { grant: Some(&grant), ..Issue::new(tenant, to, &admitted, grant.scope.clone()) };
        self.issue(issue, &signers).await
    }

    /// The issuer and what it says, if it is one that this client may bring the word of.
    async fn read_assertion(
        &self,
        tenant: &Tenant,
        client: &Client,
        jwt: &str,
    ) -> Result<Result<(TrustedIssuer, VerifiedAssertion), &'static str>, Error> {
        let Some((name, kid)) = claimed_issuer(jwt) else { return Ok(Err("assertion_unreadable")) };
        let trusted = self.issuers().list(tenant.id).await?;
        let Some(issuer) = trusted.iter().find(|one| one.issuer == name && one.settings.enabled) else {
            return Ok(Err("issuer_not_trusted"));
        };
        if !issuer.settings.clients.contains(&client.client_id) {
            return Ok(Err("issuer_not_trusted_for_this_client"));
        }
        let keys = self.issuer_keys(issuer, kid.as_deref()).await?;
        let (ours, endpoint) = (self.issuer(tenant), self.token_endpoint(tenant));
        let expected = Expected { issuer, keys: &keys, audiences: [&ours, &endpoint], now: self.now() };
        Ok(verify(jwt, &expected).map(|assertion| (issuer.clone(), assertion)))
    }

    /// Whom a value means, by the issuer's mapping; one person or nobody.
    async fn asserted_user(
        &self,
        issuer: &TrustedIssuer,
        value: &str,
    ) -> Result<Result<UserId, &'static str>, Error> {
        const UNKNOWN: &str = "assertion_about_nobody_here";
        let (users, tenant) = (self.identity().users(), issuer.tenant_id);
        let found = match &issuer.settings.subject.field {
            SubjectField::Id => match value.parse() {
                Ok(id) => users.by_id(tenant, id).await?.map(|user| user.id),
                Err(_) => None,
            },
            field @ (SubjectField::Username | SubjectField::Email) => {
                let by_email = *field == SubjectField::Email;
                let found = users.find(tenant, value).await?;
                // Names and addresses share one index: what was found must be of the kind that was meant.
                let same = |own: Option<&String>| own.is_some_and(|own| same_name(own, value));
                match found {
                    Some(user) if by_email && !same(user.email.as_ref()) => None,
                    Some(user) if by_email && !user.email_verified => {
                        return Ok(Err("assertion_about_an_unverified_address"));
                    }
                    Some(user) if !by_email && !same(user.username.as_ref()) => None,
                    found => found.map(|user| user.id),
                }
            }
            SubjectField::Attribute(name) => {
                let found = users.find_by_attribute(tenant, (name, value), None, 2).await?;
                match found.as_slice() {
                    [only] => Some(only.id),
                    [] => None,
                    _ => return Ok(Err("assertion_about_several_users")),
                }
            }
        };
        Ok(found.ok_or(UNKNOWN))
    }

    async fn consume_assertion(
        &self,
        tx: &mut Tx<'_>,
        it: &Use,
    ) -> Result<Result<(Grant, Admitted), TokenError>, TokenError> {
        let Once { jti, until } = it.assertion.once;
        let noted = tx.execute(&sql::USE_ISSUER_JTI, &params![it.issuer.id, jti, until]).await?;
        let obstacle = if noted == 0 { Err("assertion_replayed") } else { it.user };
        let user = match obstacle {
            Ok(user) => user,
            Err(reason) => {
                let refusal = refused((it.tenant, &it.client), reason);
                self.record_refusal(tx, refusal, &it.origin).await?;
                return Ok(Err(TokenError::InvalidGrant(INVALID)));
            }
        };
        let now = self.now();
        let (expires_at, _) = it.lifetimes.of_grant(now, false);
        let grant = Grant {
            id: it.id,
            client: it.client.id,
            user,
            session: None,
            offline: false,
            scope: it.scope.clone(),
            claims: ClaimsRequest::default(),
            nonce: None,
            auth_time: now,
            amr: Arc::new([]),
            acr: None,
            expires_at,
            resources: Vec::new(),
        };
        let proof = Proof::assertion(grant.redeemed(it.tenant));
        match self.0.identity.admission().admit(tx, &proof, &it.origin).await? {
            Ok(admitted) => {
                let refreshable = Refreshable { now, digest: None, lapses_at: None, key: None };
                password::insert(tx, &grant, &admitted, refreshable).await?;
                Ok(Ok((grant, admitted)))
            }
            Err(refusal) => Ok(Err(TokenError::refused(&refusal, TokenError::InvalidGrant(INVALID)))),
        }
    }

    async fn refuse_assertion(
        &self,
        (tenant, client): (TenantId, &Client),
        reason: &'static str,
        origin: &Origin,
    ) -> Result<TokenError, Error> {
        let (room, origin, client) = (self.clone(), origin.clone(), client.clone());
        let record = async move |tx: &mut Tx<'_>| {
            room.record_refusal(tx, refused((tenant, &client), reason), &origin).await
        };
        self.0.store.write(record).await?;
        Ok(TokenError::InvalidGrant(INVALID))
    }
}

fn refused<'a>((tenant, client): (TenantId, &Client), reason: &'a str) -> Refused<'a> {
    Refused { tenant, actor: Actor::Client(client.id), action: "admission.assertion", target: None, reason }
}

/// Whether two spellings are one name.
fn same_name(one: &str, other: &str) -> bool {
    let canonical = |text: &str| keyreeve_base::CanonicalName::parse(text).ok();
    canonical(one).is_some_and(|one| canonical(other).is_some_and(|other| one.as_str() == other.as_str()))
}

fn requested_scope(
    client: &Client,
    issuer: &TrustedIssuer,
    scope: Option<&str>,
) -> Result<ScopeSet, TokenError> {
    let both = client.settings.scopes.intersection(&issuer.settings.scopes);
    let allowed = both.without(scope::OPENID).without(scope::OFFLINE_ACCESS);
    scope_within(allowed, scope, "this issuer's assertions do not lead to this scope")
}
