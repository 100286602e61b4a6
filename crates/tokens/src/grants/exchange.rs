//! Token exchange (RFC 8693): a client that was handed an access token gets one of its own to go on with: for less, for
//! somebody else to accept, and with it written down who acts for whom.
//!
//! What can be exchanged are access tokens of this tenant that the client may hold: those that were issued to it, and
//! those that name it (or a resource that it answers for) as their audience. ID tokens cannot: they say that somebody
//! signed in at a client, not what may be done, and nobody can take them back. An exchanged token has no more scope, and
//! no longer a life, than the token that it came of; it ends when that one is revoked, with its grant and session, and
//! with any client on the way (AC-16). It never reaches this server's own interfaces.

use super::{Grant, Holder, Issue, TokenResponse, scope_within};
use crate::access::{AccessToken, Act, Source, TokenSubject, VerifiedClaims};
use crate::claims::ClaimsRequest;
use crate::clients::{AuthenticatedClient, Client, GrantType};
use crate::error::TokenError;
use crate::scope::{self, ScopeSet};
use crate::service::{Refused, Tokens};
use keyreeve_audit::Actor;
use keyreeve_base::{Origin, Timestamp};
use keyreeve_identity::{Method, Proof, Redeemed, Tenant};
use keyreeve_store::Tx;
use std::sync::Arc;

/// How often a token can be exchanged on: longer chains of who acts for whom are nobody's to follow.
pub(crate) const MAX_CHAIN: usize = 4;

/// The most audiences and resources that one exchange names.
const MAX_TARGETS: usize = 8;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// What every token that is no good is answered with (RFC 8693 section 2.2.2).
const NOT_ACCEPTABLE: &str = "the subject_token or the actor_token is not acceptable";

/// The parameters of an exchange (RFC 8693 section 2.1).
#[derive(Clone, Copy)]
pub struct ExchangeRequest<'a> {
    /// On whose behalf the new token is.
    pub subject_token: &'a str,
    /// What kind of token that is.
    pub subject_token_type: &'a str,
    /// Who acts, and what kind of token that is.
    pub actor: Option<(&'a str, &'a str)>,
    /// What kind of token is wanted.
    pub requested_token_type: Option<&'a str>,
    /// Whom the new token is for, beside the resources that are named; without either, whom the operator lets the client
    /// reach, else whom the subject token is for.
    pub audiences: &'a [&'a str],
    /// What is asked for; without it, everything that the subject token is good for.
    pub scope: Option<&'a str>,
}

impl std::fmt::Debug for ExchangeRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeRequest").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// What an exchanged token takes over from the token that it came of.
pub(crate) struct Exchanged {
    pub(crate) sub: String,
    pub(crate) audience: Vec<String>,
    pub(crate) act: Option<Act>,
    pub(crate) source: Source,
    pub(crate) expires_at: Timestamp,
    pub(crate) claims: VerifiedClaims,
}

impl Tokens {
    /// Exchanges an access token.
    ///
    /// # Errors
    /// [`TokenError::InvalidRequest`] for a token that is not acceptable (RFC 8693 section 2.2.2),
    /// [`TokenError::InvalidTarget`], [`TokenError::InvalidScope`], [`TokenError::UnauthorizedClient`].
    pub async fn exchange(
        &self,
        tenant: &Tenant,
        client: &AuthenticatedClient,
        request: ExchangeRequest<'_>,
        origin: &Origin,
    ) -> Result<TokenResponse, TokenError> {
        let (confidential, bounds) = (client.is_confidential(), client.bounds());
        let client = client.client();
        if !confidential || !client.settings.allows(GrantType::TokenExchange) {
            return Err(TokenError::UnauthorizedClient);
        }
        check_types(&request)?;
        let subject = match self.exchangeable(tenant, client, request.subject_token).await? {
            Ok(subject) => subject,
            Err(reason) => return Err(self.refuse_exchange(tenant, client, reason, origin).await?),
        };
        let actor = match request.actor {
            None => None,
            Some((token, _)) => match self.acting(tenant, client, token).await? {
                Ok(sub) => Some(sub),
                Err(reason) => return Err(self.refuse_exchange(tenant, client, reason, origin).await?),
            },
        };
        let claims = subject.claims();
        let targets = bounds.targets().iter().map(String::as_str);
        let named = request.audiences.iter().copied().chain(targets);
        let audience = audience(client, claims, named)?;
        let scope = narrowed(claims, request.scope, audience.contains(&self.issuer(tenant)))?;
        let signers = self.signers(client).await?;
        let exchanged = Exchanged {
            sub: claims.sub.clone(),
            act: act(client, claims, actor),
            source: Source {
                jti: claims.jti,
                client_id: claims.client_id.clone(),
                src: claims.src.clone().map(Box::new),
            },
            audience,
            expires_at: Timestamp::from_seconds(claims.exp),
            claims: claims.clone(),
        };
        let (proof, grant) = proof_of(tenant, client, &subject);
        let (room, from) = (self.clone(), origin.clone());
        let admitted = self
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                room.0.identity.admission().admit(tx, &proof, &from).await.map_err(TokenError::from)
            })
            .await?
            .map_err(|refusal| TokenError::refused(&refusal, not_acceptable()))?;
        let issue = Issue {
            grant: grant.as_ref(),
            exchanged: Some(&exchanged),
            ..Issue::new(tenant, (Holder::Client(client), bounds), &admitted, scope)
        };
        let mut response = self.issue(issue, &signers).await?;
        response.issued_token_type = Some(ACCESS_TOKEN);
        Ok(response)
    }

    /// The token, if it is good at this moment and this client may exchange it; else why not, for the audit log.
    async fn exchangeable(
        &self,
        tenant: &Tenant,
        client: &Client,
        token: &str,
    ) -> Result<Result<AccessToken, &'static str>, TokenError> {
        let Some(access) = self.check_access(tenant, token).await? else { return Ok(Err("token_not_good")) };
        let claims = access.claims();
        let for_it =
            |audience: &String| *audience == client.client_id || client.settings.resources.contains(audience);
        if claims.client_id != client.client_id && !claims.aud.iter().any(for_it) {
            return Ok(Err("token_for_others"));
        }
        if claims.cnf.is_some() {
            // Whoever holds the key uses it; whoever was handed the token cannot prove to be that one.
            return Ok(Err("token_bound_to_a_key"));
        }
        if claims.src.as_ref().map_or(0, Source::depth) >= MAX_CHAIN {
            return Ok(Err("chain_too_long"));
        }
        Ok(Ok(access))
    }

    /// Who acts: the client itself, by a token that was issued to it. Nobody presents somebody else as the actor.
    async fn acting(
        &self,
        tenant: &Tenant,
        client: &Client,
        token: &str,
    ) -> Result<Result<String, &'static str>, TokenError> {
        let Some(access) = self.check_access(tenant, token).await? else { return Ok(Err("actor_not_good")) };
        let claims = access.claims();
        if claims.client_id != client.client_id || claims.cnf.is_some() {
            return Ok(Err("actor_is_somebody_else"));
        }
        Ok(Ok(claims.sub.clone()))
    }

    async fn refuse_exchange(
        &self,
        tenant: &Tenant,
        client: &Client,
        reason: &'static str,
        origin: &Origin,
    ) -> Result<TokenError, TokenError> {
        let (room, origin, tenant, client) = (self.clone(), origin.clone(), tenant.id, client.id);
        let record = async move |tx: &mut Tx<'_>| {
            let actor = Actor::Client(client);
            let refusal = Refused { tenant, actor, action: "admission.exchange", target: None, reason };
            room.record_refusal(tx, refusal, &origin).await
        };
        self.0.store.write(record).await?;
        Ok(not_acceptable())
    }
}

fn not_acceptable() -> TokenError {
    TokenError::InvalidRequest(NOT_ACCEPTABLE.to_owned())
}

fn check_types(request: &ExchangeRequest<'_>) -> Result<(), TokenError> {
    let known = |kind: &str| kind == ACCESS_TOKEN || kind == JWT;
    let invalid = |text: &str| Err(TokenError::InvalidRequest(text.to_owned()));
    if !known(request.subject_token_type) {
        return invalid("subject_token_type must be that of an access token");
    }
    if request.actor.is_some_and(|(_, kind)| !known(kind)) {
        return invalid("actor_token_type must be that of an access token");
    }
    if request.requested_token_type.is_some_and(|kind| !known(kind)) {
        return invalid("requested_token_type must be that of an access token");
    }
    Ok(())
}

/// What admission weighs: the user of the token, or, where it speaks for no user, the client that exchanges it.
fn proof_of(tenant: &Tenant, client: &Arc<Client>, subject: &AccessToken) -> (Proof, Option<Grant>) {
    let claims = subject.claims();
    let TokenSubject::User(user) = subject.subject() else {
        return (Proof::client(tenant.id, client.id, Method::Exchange), None);
    };
    let auth_time = Timestamp::from_seconds(claims.auth_time.unwrap_or(claims.iat));
    let amr: Arc<[String]> = claims.amr.clone().into();
    let redeemed = Redeemed {
        tenant: tenant.id,
        user: user.id,
        client: client.id,
        session: subject.leans_on(),
        auth_time,
        amr: Arc::clone(&amr),
    };
    let grant = claims.gid.map(|id| Grant {
        id,
        client: client.id,
        user: user.id,
        session: claims.sid,
        offline: claims.sid.is_none(),
        scope: claims.scope.clone(),
        claims: ClaimsRequest::default(),
        nonce: None,
        auth_time,
        amr,
        acr: claims.acr.clone(),
        expires_at: Timestamp::from_seconds(claims.exp),
        resources: Vec::new(),
    });
    (Proof::exchange(redeemed), grant)
}

/// Who acts in the new token (RFC 8693 section 4.1). A client that narrows its own token acts for nobody; one that the
/// operator lets impersonate leaves no trace of itself but `client_id`.
fn act(client: &Client, claims: &VerifiedClaims, actor: Option<String>) -> Option<Act> {
    let before = claims.act.clone();
    let own = claims.client_id == client.client_id || client.settings.exchange.impersonation;
    match actor {
        None if own => before,
        None => Some(Act { sub: client.client_id.clone(), act: before.map(Box::new) }),
        Some(sub) => Some(Act { sub, act: before.map(Box::new) }),
    }
}

/// Whom the new token is for: only whom the subject token is for already, or whom the operator lets this client reach.
fn audience<'a>(
    client: &Client,
    claims: &VerifiedClaims,
    named: impl Iterator<Item = &'a str>,
) -> Result<Vec<String>, TokenError> {
    let reach = &client.settings.exchange.audiences;
    let mut audience: Vec<String> = Vec::new();
    for (count, asked) in named.map(str::to_owned).enumerate() {
        if count >= MAX_TARGETS {
            return Err(TokenError::InvalidTarget("there are too many audiences and resources"));
        }
        if !claims.aud.contains(&asked) && !reach.contains(&asked) {
            return Err(TokenError::InvalidTarget("the client may not exchange tokens for this audience"));
        }
        if !audience.contains(&asked) {
            audience.push(asked);
        }
    }
    if !audience.is_empty() {
        return Ok(audience);
    }
    Ok(if reach.is_empty() { claims.aud.clone() } else { reach.clone() })
}

/// The scope of the new token: never more than the old one's, nothing of this server's own interfaces, and what belongs
/// to userinfo only where this server is to accept it.
fn narrowed(claims: &VerifiedClaims, scope: Option<&str>, ours: bool) -> Result<ScopeSet, TokenError> {
    let mut allowed = claims.scope.without(scope::OFFLINE_ACCESS);
    for own in scope::API {
        allowed = allowed.without(own);
    }
    if !ours {
        allowed = allowed.without(scope::OPENID);
    }
    scope_within(allowed, scope, "the scope exceeds that of the subject_token")
}
