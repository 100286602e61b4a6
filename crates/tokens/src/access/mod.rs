//! Access tokens in use: verification, introspection, userinfo.
//!
//! A signature that was verified stays verified, so it is remembered. Everything that can change is asked anew at every
//! use, from caches that the change feed keeps right: the key still published, the token not revoked, the grant not
//! ended, the session live, and user, client and tenant still in good standing (AC-15, AC-16).

mod claims;
mod introspection;

pub(crate) use claims::{AccessClaims, HintClaims, IdClaims, access_hash};
pub use claims::{Act, Confirmation, Source, VerifiedClaims};
pub use introspection::Introspection;

use crate::claims::{ClaimSet, describe};
use crate::clients::Client;
use crate::error::Error;
use crate::grants::GrantState;
use crate::mappers::{About, Target, Wanted};
use crate::schema;
use crate::scope;
use crate::service::Tokens;
use keyreeve_base::{SessionId, TenantId, Timestamp};
use keyreeve_crypto::jws::{MAX_TOKEN_BYTES, Unverified};
use keyreeve_crypto::sha256;
use keyreeve_identity::{Party, ServiceAccount, Tenant, User};
use keyreeve_store::{Tx, params};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How far ahead of this node's clock another's may have been when it issued a token.
const SKEW: Duration = Duration::from_secs(60);

/// Claims whose signature was verified, and the key that did.
pub(crate) struct Verified {
    claims: VerifiedClaims,
    kid: String,
}

/// Whom a token speaks for.
#[derive(Clone, Debug)]
pub enum TokenSubject {
    /// A user.
    User(Arc<User>),
    /// The client itself.
    Client(Arc<Client>),
    /// A service account, for itself.
    Service(Arc<ServiceAccount>),
}

/// An access token that is good at this moment. Only this room makes one.
#[derive(Clone)]
pub struct AccessToken {
    verified: Arc<Verified>,
    client: Option<Arc<Client>>,
    subject: TokenSubject,
    grant: Option<Arc<GrantState>>,
}

impl AccessToken {
    /// The claims.
    #[must_use]
    pub fn claims(&self) -> &VerifiedClaims {
        &self.verified.claims
    }

    /// The client that it was issued to; none for a service account, which is its own client.
    #[must_use]
    pub const fn client(&self) -> Option<&Arc<Client>> {
        self.client.as_ref()
    }

    /// Whom it speaks for.
    #[must_use]
    pub const fn subject(&self) -> &TokenSubject {
        &self.subject
    }

    /// The user, as of now; none for a client or service account that acts for itself.
    #[must_use]
    pub const fn user(&self) -> Option<&Arc<User>> {
        match &self.subject {
            TokenSubject::User(user) => Some(user),
            TokenSubject::Client(_) | TokenSubject::Service(_) => None,
        }
    }

    /// The session that it leans on; none for what outlives the session in which it was granted.
    pub(crate) fn leans_on(&self) -> Option<SessionId> {
        self.grant.as_ref().and_then(|grant| grant.session)
    }

    /// Whether it is good for `scope`.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.verified.claims.scope.contains(scope)
    }
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessToken").field("claims", &self.verified.claims).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Verifies an access token that was presented to this server itself: issued by it, for it, to this tenant, and
    /// good at this moment. None for anything else: what was wrong is nothing that the bearer needs to know.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn verify_access(&self, tenant: &Tenant, token: &str) -> Result<Option<AccessToken>, Error> {
        // One that is bound to a key is worth nothing by itself (RFC 9449 section 7.1).
        Ok(self.check_own(tenant, token).await?.filter(|access| access.claims().cnf.is_none()))
    }

    /// The same, bound to a key or not.
    pub(crate) async fn check_own(&self, tenant: &Tenant, token: &str) -> Result<Option<AccessToken>, Error> {
        let Some(access) = self.check_access(tenant, token).await? else { return Ok(None) };
        let issuer = self.issuer(tenant);
        Ok(Some(access).filter(|access| access.claims().aud.contains(&issuer)))
    }

    /// The same for a token that may be for somebody else.
    pub(crate) async fn check_access(
        &self,
        tenant: &Tenant,
        token: &str,
    ) -> Result<Option<AccessToken>, Error> {
        let Some(verified) = self.verified(tenant, token).await? else { return Ok(None) };
        let claims = &verified.claims;
        let now = self.now();
        let in_time = Timestamp::from_seconds(claims.exp) > now
            && Timestamp::from_seconds(claims.iat) <= now.plus(SKEW);
        if !in_time || !tenant.is_active() || self.is_revoked(tenant.id, claims.jti).await? {
            return Ok(None);
        }
        let service = claims.service_account();
        let own = service.is_some() && claims.src.is_none();
        let client =
            if own { None } else { self.good_client(tenant.id, &claims.client_id, claims.iat).await? };
        if !own && client.is_none() {
            return Ok(None);
        }
        // Each token on the way to this one, and each client that had it (AC-16).
        let mut first = client.clone();
        for source in claims.src.iter().flat_map(Source::chain) {
            if self.is_revoked(tenant.id, source.jti).await? {
                return Ok(None);
            }
            let by_service = service.is_some() && source.client_id == claims.sub;
            first = self.good_client(tenant.id, &source.client_id, claims.iat).await?;
            if first.is_none() && !by_service {
                return Ok(None);
            }
        }
        if let Some(account) = service {
            // The account and whoever answers for it, as they are now (AC-77).
            let account = self.0.identity.service_accounts().active(tenant.id, account).await?;
            return Ok(account.map(|account| {
                let subject = TokenSubject::Service(account);
                AccessToken { verified, client, subject, grant: None }
            }));
        }
        let Some(first) = first else { return Ok(None) };
        let Some((subject, grant)) = self.subject_of(&first, claims).await? else { return Ok(None) };
        Ok(Some(AccessToken { verified, client, subject, grant }))
    }

    /// The client of this name, if it may do anything, and is the one that the name meant at `iat`: one that was removed
    /// and registered anew under the same name is another one.
    async fn good_client(
        &self,
        tenant: TenantId,
        client_id: &str,
        iat: i64,
    ) -> Result<Option<Arc<Client>>, Error> {
        let found = self.clients().by_client_id(tenant, client_id).await?;
        Ok(found.filter(|client| client.settings.enabled && client.created_at.seconds() <= iat))
    }

    /// The claims of a token that one of the tenant's published keys has signed, from memory if it was seen before.
    async fn verified(&self, tenant: &Tenant, token: &str) -> Result<Option<Arc<Verified>>, Error> {
        if token.len() > MAX_TOKEN_BYTES {
            return Ok(None);
        }
        let keys = self.keys().set(tenant.id).await?;
        let seen = (tenant.id, sha256(token.as_bytes()));
        if let Some(verified) = self.0.verified.get(&seen) {
            return Ok(Some(verified).filter(|verified| keys.verifying(&verified.kid).is_some()));
        }
        let Ok(unverified) = Unverified::parse(token) else { return Ok(None) };
        let key = unverified.kid().and_then(|kid| keys.verifying(kid));
        // The type tells an access token from an ID token, which the same key has signed (AC-34).
        let (Some(key), true) = (key, unverified.is_type(AccessClaims::TYPE)) else { return Ok(None) };
        let Ok(claims) = unverified.verify::<VerifiedClaims>(key) else { return Ok(None) };
        if claims.iss != self.issuer(tenant) {
            return Ok(None);
        }
        let verified = Arc::new(Verified { claims, kid: key.kid().to_owned() });
        self.0.verified.insert(seen, verified.clone());
        Ok(Some(verified))
    }

    async fn is_revoked(&self, tenant: TenantId, jti: Uuid) -> Result<bool, Error> {
        let store = &self.0.store;
        self.0
            .revoked
            .get_with(tenant, &jti, || async move {
                let count = store
                    .read(async move |tx: &mut Tx<'_>| {
                        tx.scalar::<i64>(&schema::IS_REVOKED, &params![tenant, jti]).await
                    })
                    .await?;
                Ok(count > 0)
            })
            .await
    }

    /// Whom a token speaks for, if nothing stands against them.
    async fn subject_of(
        &self,
        client: &Arc<Client>,
        claims: &VerifiedClaims,
    ) -> Result<Option<(TokenSubject, Option<Arc<GrantState>>)>, Error> {
        let tenant = client.tenant_id;
        let Some(gid) = claims.gid else {
            return Ok((claims.sub == claims.first_client())
                .then(|| (TokenSubject::Client(Arc::clone(client)), None)));
        };
        let found = self.grant_state(tenant, gid).await?;
        let Some(grant) = found.filter(|grant| !grant.revoked && grant.client == client.id) else {
            return Ok(None);
        };
        let identity = &self.0.identity;
        if let Some(session) = grant.session
            && identity.sessions().live(tenant, session).await?.is_none()
        {
            return Ok(None);
        }
        let user = identity.users().by_id(tenant, grant.user).await?;
        let standing = user.filter(|user| user.is_active() && !user.must_change_password);
        Ok(standing.map(|user| (TokenSubject::User(user), Some(grant))))
    }

    /// What the userinfo endpoint answers (OpenID Connect Core section 5.3): the claims that the token's scope and the
    /// grant's `claims` parameter ask for, and what mappers add. None when the token lacks the `openid` scope or speaks for
    /// no user.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn userinfo(&self, token: &AccessToken) -> Result<Option<Map<String, Value>>, Error> {
        let Some(user) = token.user().filter(|_| token.has_scope(scope::OPENID)) else { return Ok(None) };
        let single = token.grant.as_ref().map_or(ClaimSet::default(), |grant| grant.claims.userinfo);
        let mut claims = describe(user, ClaimSet::of_scope(&token.claims().scope).union(single));
        claims.extend(self.mapped(user.tenant_id, token, Target::Userinfo).await?);
        claims.insert("sub".to_owned(), Value::String(token.claims().sub.clone()));
        Ok(Some(claims))
    }

    /// What mappers say of whom a token speaks for, as of now.
    async fn mapped(
        &self,
        tenant: TenantId,
        token: &AccessToken,
        target: Target,
    ) -> Result<Map<String, Value>, Error> {
        let (party, attributes) = match token.subject() {
            TokenSubject::User(user) => (Some(Party::User(user.id)), Some(&user.attributes)),
            TokenSubject::Service(account) => (Some(Party::Service(account.id)), Some(&account.attributes)),
            TokenSubject::Client(_) => (None, None),
        };
        let client = token.client().map(|client| client.id);
        let known = self.known(About { tenant, party, attributes, client }).await?;
        Ok(known.say(&Wanted { client, scope: &token.claims().scope, target }).claims)
    }

    /// The claims of an ID token that this tenant issued, expired or not, for use as a hint (OpenID Connect Core section
    /// 3.1.2.1, RP-Initiated Logout section 2). None for anything else (AC-19).
    pub(crate) async fn read_hint(&self, tenant: &Tenant, token: &str) -> Result<Option<HintClaims>, Error> {
        let keys = self.keys().set(tenant.id).await?;
        let Ok(unverified) = Unverified::parse(token) else { return Ok(None) };
        let key = unverified.kid().and_then(|kid| keys.verifying(kid));
        let (Some(key), true) = (key, unverified.is_type(IdClaims::TYPE)) else { return Ok(None) };
        let issuer = self.issuer(tenant);
        Ok(unverified.verify::<HintClaims>(key).ok().filter(|claims| claims.iss == issuer))
    }
}
