//! The token endpoint: what each grant type redeems, and the tokens that it leads to.
//!
//! Each use case is one transaction: it consumes something by one conditional update, asks admission, which writes the
//! audit entry, and commits. Only then are tokens signed, from the [`Admitted`] that came of it.

mod assertion;
mod client_credentials;
mod code;
mod device;
mod exchange;
mod handle;
mod password;
mod refresh;
mod service;

pub use assertion::AssertionRequest;
pub use code::CodeRedemption;
pub use exchange::ExchangeRequest;
pub(crate) use handle::Kind as HandleKind;
pub use password::PasswordRequest;
pub use refresh::RefreshRequest;
pub use service::ServiceCredential;

use self::exchange::Exchanged;
use crate::access::{AccessClaims, Confirmation, IdClaims, access_hash};
use crate::bounds::Bounds;
use crate::claims::{self, ClaimsRequest};
use crate::clients::{Client, ClientKind, LifetimeOverrides};
use crate::consent::scope_of;
use crate::error::{Error, TokenError};
use crate::mappers::{About, Target, Wanted};
use crate::policy::{Lifetimes, TokenPolicy};
use crate::schema;
use crate::scope::{self, ScopeSet};
use crate::service::{Refused, Tokens};
use keyreeve_audit::Actor;
use keyreeve_base::{ClientId, GrantId, Origin, SessionId, TenantId, Timestamp, UserId};
use keyreeve_crypto::Secret;
use keyreeve_crypto::jws::{Header, sign_compact};
use keyreeve_crypto::sign::SigningKey;
use keyreeve_identity::{Admitted, Redeemed, ServiceAccount, Subject, Tenant};
use keyreeve_store::{Row, Tx, params};
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The answer of the token endpoint (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3). It is made to be sent,
/// once, to the client: that is why it serializes, although it holds secrets; it has no `Debug`.
#[derive(Serialize)]
pub struct TokenResponse {
    /// The access token: a JWT (RFC 9068).
    pub access_token: String,
    /// `Bearer`, or `DPoP` for a token that is bound to a key (RFC 9449 section 5).
    pub token_type: &'static str,
    /// The life of the access token in seconds.
    pub expires_in: i64,
    /// The refresh token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// The ID token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// What kind of token an exchange has led to (RFC 8693 section 2.2.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<&'static str>,
    /// What was granted, which may be less than what was asked for.
    pub scope: ScopeSet,
}

/// A grant as redeeming or rotating it answers it.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) id: GrantId,
    pub(crate) client: ClientId,
    pub(crate) user: UserId,
    pub(crate) session: Option<SessionId>,
    pub(crate) offline: bool,
    pub(crate) scope: ScopeSet,
    pub(crate) claims: ClaimsRequest,
    pub(crate) nonce: Option<String>,
    pub(crate) auth_time: Timestamp,
    pub(crate) amr: Arc<[String]>,
    pub(crate) acr: Option<String>,
    pub(crate) expires_at: Timestamp,
    /// For which resources it was made (RFC 8707); none for what its client's tokens are usually for.
    pub(crate) resources: Vec<String>,
}

pub(crate) fn resources_of(text: Option<&str>) -> Result<Vec<String>, keyreeve_store::Error> {
    text.map_or_else(|| Ok(Vec::new()), serde_json::from_str)
        .map_err(|e| keyreeve_store::Error::corrupt(format!("a grant's resources: {e}")))
}

/// The column of a grant's resources: nothing where there are none.
pub(crate) fn resources_text(resources: &[String]) -> Result<Option<String>, Error> {
    if resources.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(resources).map(Some).map_err(|e| Error::corrupt("grant", e))
}

pub(crate) fn claims_of(text: Option<&str>) -> Result<ClaimsRequest, keyreeve_store::Error> {
    text.map_or_else(|| Ok(ClaimsRequest::default()), serde_json::from_str)
        .map_err(|e| keyreeve_store::Error::corrupt(format!("a grant's claims: {e}")))
}

impl Grant {
    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let amr: String = row.get(9)?;
        Ok(Self {
            id: row.get(0)?,
            client: row.get(1)?,
            user: row.get(2)?,
            session: row.get(3)?,
            offline: row.get(4)?,
            scope: scope_of(&row.get::<String>(5)?)?,
            claims: claims_of(row.get::<Option<String>>(6)?.as_deref())?,
            nonce: row.get(7)?,
            auth_time: row.get(8)?,
            amr: serde_json::from_str(&amr)
                .map_err(|e| keyreeve_store::Error::corrupt(format!("a grant's methods: {e}")))?,
            acr: row.get(10)?,
            expires_at: row.get(11)?,
            resources: resources_of(row.get::<Option<String>>(12)?.as_deref())?,
        })
    }

    /// What admission weighs. An offline grant leans on no session.
    pub(crate) fn redeemed(&self, tenant: TenantId) -> Redeemed {
        Redeemed {
            tenant,
            user: self.user,
            client: self.client,
            session: self.session.filter(|_| !self.offline),
            auth_time: self.auth_time,
            amr: Arc::clone(&self.amr),
        }
    }
}

/// What the use of a token asks of its grant, kept in memory.
#[derive(Debug)]
pub(crate) struct GrantState {
    pub(crate) user: UserId,
    pub(crate) client: ClientId,
    /// The session that it leans on.
    pub(crate) session: Option<SessionId>,
    pub(crate) claims: ClaimsRequest,
    pub(crate) revoked: bool,
}

impl Tokens {
    /// The state of a grant, from memory where that is allowed; none when it is long over.
    pub(crate) async fn grant_state(
        &self,
        tenant: TenantId,
        id: GrantId,
    ) -> Result<Option<Arc<GrantState>>, Error> {
        let store = &self.0.store;
        self.0
            .grants
            .get_with(tenant, &id, || async move {
                let found = store
                    .read(async move |tx: &mut Tx<'_>| {
                        tx.query_opt(&schema::GRANT_STATE, &params![tenant, id], |row| {
                            let offline: bool = row.get(2)?;
                            Ok(GrantState {
                                user: row.get(0)?,
                                session: row.get::<Option<SessionId>>(1)?.filter(|_| !offline),
                                client: row.get(3)?,
                                claims: claims_of(row.get::<Option<String>>(4)?.as_deref())?,
                                revoked: row.get::<Option<Timestamp>>(5)?.is_some(),
                            })
                        })
                        .await
                    })
                    .await?;
                Ok(found.map(Arc::new))
            })
            .await
    }
}

/// Who asks for tokens and gets them: what `client_id` says in them.
#[derive(Clone, Copy)]
pub(crate) enum Holder<'a> {
    /// An OAuth client, for a user or for itself.
    Client(&'a Client),
    /// A service account, which speaks for itself.
    Service(&'a ServiceAccount),
}

impl Holder<'_> {
    /// The client's row.
    const fn client(&self) -> Option<ClientId> {
        match self {
            Self::Client(client) => Some(client.id),
            Self::Service(_) => None,
        }
    }

    /// Its `client_id`. No client's can be that of a service account, which is a UUID.
    fn client_id(&self) -> String {
        match self {
            Self::Client(client) => client.client_id.clone(),
            Self::Service(account) => account.id.to_string(),
        }
    }
}

/// What tokens are made of, once admission has said yes.
pub(crate) struct Issue<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) holder: Holder<'a>,
    pub(crate) admitted: &'a Admitted,
    /// The grant; none where a client acts for itself.
    pub(crate) grant: Option<&'a Grant>,
    /// What the access token is good for; not more than the grant.
    pub(crate) scope: ScopeSet,
    /// The first ID token of a grant bears the nonce, later ones do not (OpenID Connect Core section 12.2).
    pub(crate) nonce: Option<&'a str>,
    pub(crate) refresh_token: Option<Secret>,
    /// For which resources the access token is; none for what the client's tokens are usually for.
    pub(crate) resources: &'a [String],
    /// The key that the access token is bound to: its RFC 7638 thumbprint.
    pub(crate) key: Option<&'a str>,
    /// What it takes over from the token that it is exchanged for.
    pub(crate) exchanged: Option<&'a Exchanged>,
}

impl<'a> Issue<'a> {
    /// To somebody who was admitted, within the bounds of the request: without a grant, and with nothing but an access token.
    fn new(
        tenant: &'a Tenant,
        (holder, bounds): (Holder<'a>, &'a Bounds),
        admitted: &'a Admitted,
        scope: ScopeSet,
    ) -> Self {
        Self {
            tenant,
            holder,
            admitted,
            grant: None,
            scope,
            nonce: None,
            refresh_token: None,
            resources: bounds.resources(),
            key: bounds.key(),
            exchanged: None,
        }
    }
}

/// What signing needs, fetched before anything is consumed.
pub(crate) struct Signers {
    access: Arc<SigningKey>,
    id: Arc<SigningKey>,
    pub(crate) lifetimes: Lifetimes,
}

/// The scope of a request: what it asks for, if all of that is allowed; everything that is, where it asks for nothing in
/// particular. `beyond` says why more than that is refused.
pub(crate) fn scope_within(
    allowed: ScopeSet,
    asked: Option<&str>,
    beyond: &str,
) -> Result<ScopeSet, TokenError> {
    let Some(text) = asked else { return Ok(allowed) };
    let asked = ScopeSet::parse(text).map_err(|e| TokenError::InvalidScope(e.to_string()))?;
    if asked.is_subset_of(&allowed) { Ok(asked) } else { Err(TokenError::InvalidScope(beyond.to_owned())) }
}

/// What a client that asks for more than it may have is told.
const BEYOND_CLIENT: &str = "the client may not be given this scope";

/// The key that a grant's refresh tokens are bound to. Those of a confidential client are bound to its credentials already
/// (RFC 9449 section 5).
pub(crate) fn refresh_key(client: &Client, bounds: &Bounds) -> Option<String> {
    let public = client.settings.kind() == ClientKind::Public;
    bounds.key().filter(|_| public).map(str::to_owned)
}

impl Tokens {
    /// The keys and lifetimes of a client's tokens.
    pub(crate) async fn signers(&self, client: &Client) -> Result<Signers, Error> {
        let policy: Arc<TokenPolicy> = self.policy(client.tenant_id).await?;
        let settings = &client.settings;
        let access_alg = settings.access_token_alg.unwrap_or(policy.default_alg);
        let id_alg = settings.id_token_alg.unwrap_or(policy.default_alg);
        let access = self.keys().signing(client.tenant_id, access_alg).await?;
        let id = if id_alg == access_alg {
            access.clone()
        } else {
            self.keys().signing(client.tenant_id, id_alg).await?
        };
        Ok(Signers { access, id, lifetimes: policy.lifetimes(&settings.lifetimes) })
    }

    /// The key and lifetime of a service account's tokens.
    async fn service_signers(&self, account: &ServiceAccount) -> Result<Signers, Error> {
        let policy = self.policy(account.tenant_id).await?;
        let key = self.keys().signing(account.tenant_id, policy.default_alg).await?;
        let own =
            LifetimeOverrides { access_token_s: account.token_lifetime_s, ..LifetimeOverrides::default() };
        Ok(Signers { access: Arc::clone(&key), id: key, lifetimes: policy.lifetimes(&own) })
    }

    /// Records that a client presented what is no code or refresh token of this tenant's: an action and a reason.
    async fn refuse_unknown(
        &self,
        tenant: TenantId,
        client: ClientId,
        (action, reason): (&'static str, &'static str),
        origin: &Origin,
    ) -> Result<(), Error> {
        let (room, origin) = (self.clone(), origin.clone());
        let record = async move |tx: &mut Tx<'_>| {
            let refusal = Refused { tenant, actor: Actor::Client(client), action, target: None, reason };
            room.record_refusal(tx, refusal, &origin).await
        };
        Ok(self.0.store.write(record).await?)
    }

    /// Signs the tokens of an admitted principal.
    pub(crate) async fn issue(
        &self,
        issue: Issue<'_>,
        signers: &Signers,
    ) -> Result<TokenResponse, TokenError> {
        if let (Holder::Client(client), None) = (issue.holder, issue.key)
            && client.settings.dpop_bound_access_tokens
        {
            return Err(TokenError::InvalidDpopProof("this client must show a DPoP proof"));
        }
        let now = self.now();
        let issuer = self.issuer(issue.tenant);
        let mut expires_at = now.plus(signers.lifetimes.access_token);
        if let Some(grant) = issue.grant {
            expires_at = expires_at.min(grant.expires_at);
        }
        if let Some(exchanged) = issue.exchanged {
            expires_at = expires_at.min(exchanged.expires_at);
        }
        let client_id = issue.holder.client_id();
        let sub = match (issue.exchanged, issue.admitted.subject()) {
            (Some(exchanged), _) => exchanged.sub.clone(),
            (None, Subject::User(user)) => user.to_string(),
            (None, Subject::Client(_)) => client_id.clone(),
            (None, Subject::Service(account)) => account.to_string(),
        };
        let known = self.known(about(&issue)).await?;
        let mapped = known.say(&wanted(&issue, Target::AccessToken));
        let audience = audience(&issue, &mapped.audiences, &issuer);
        let user_facts = issue.grant.map(|grant| (grant, issue.admitted.auth_time().seconds()));
        let claims = AccessClaims {
            iss: &issuer,
            sub: &sub,
            aud: &audience,
            exp: expires_at.seconds(),
            iat: now.seconds(),
            jti: self.0.world.new_uuid(),
            client_id: &client_id,
            scope: &issue.scope,
            auth_time: user_facts.map(|(_, auth_time)| auth_time),
            acr: user_facts.and_then(|(grant, _)| grant.acr.as_deref()),
            amr: user_facts.map_or(&[], |(grant, _)| &grant.amr),
            sid: match issue.exchanged {
                Some(exchanged) => exchanged.claims.sid,
                None => issue.admitted.session(),
            },
            gid: issue.grant.map(|grant| grant.id),
            cnf: issue.key.map(|jkt| Confirmation { jkt }),
            act: issue.exchanged.and_then(|exchanged| exchanged.act.as_ref()),
            src: issue.exchanged.map(|exchanged| &exchanged.source),
            mapped: mapped.claims,
        };
        let access_token = sign_compact(&signers.access, &Header::of_type(AccessClaims::TYPE), &claims)
            .map_err(Error::key)?;
        let id_token = match issue.grant {
            Some(grant) if issue.exchanged.is_none() && issue.scope.contains(scope::OPENID) => {
                let mapped = known.say(&wanted(&issue, Target::IdToken)).claims;
                Some(self.sign_id_token(&issue, grant, signers, (&client_id, &access_token), mapped)?)
            }
            _ => None,
        };
        metrics::counter!("keyreeve_tokens_issued_total", "method" => issue.admitted.method().text())
            .increment(1);
        Ok(TokenResponse {
            access_token,
            token_type: if issue.key.is_some() { "DPoP" } else { "Bearer" },
            expires_in: expires_at.seconds().saturating_sub(now.seconds()),
            refresh_token: issue.refresh_token.map(|token| token.expose().to_owned()),
            id_token,
            issued_token_type: None,
            scope: issue.scope,
        })
    }

    #[allow(clippy::too_many_arguments, reason = "an ID token is made of this much")]
    fn sign_id_token(
        &self,
        issue: &Issue<'_>,
        grant: &Grant,
        signers: &Signers,
        (client_id, access_token): (&str, &str),
        mapped: Map<String, Value>,
    ) -> Result<String, Error> {
        let now = self.now();
        let wanted = grant.claims.id_token;
        let user = issue.admitted.user().filter(|_| !wanted.is_empty());
        let mut described = user.map(|user| claims::describe(user, wanted)).unwrap_or_default();
        described.extend(mapped);
        let claims = IdClaims {
            iss: &self.issuer(issue.tenant),
            sub: &grant.user.to_string(),
            aud: client_id,
            exp: now.plus(signers.lifetimes.id_token).seconds(),
            iat: now.seconds(),
            auth_time: grant.auth_time.seconds(),
            nonce: issue.nonce,
            at_hash: &access_hash(signers.id.algorithm(), access_token),
            acr: grant.acr.as_deref(),
            amr: &grant.amr,
            sid: grant.session,
            described,
        };
        sign_compact(&signers.id, &Header::of_type(IdClaims::TYPE), &claims).map_err(Error::key)
    }
}

/// Of whom the tokens tell.
fn about<'a>(issue: &'a Issue<'_>) -> About<'a> {
    let attributes = match (issue.admitted.user(), issue.admitted.service()) {
        (Some(user), _) => Some(&user.attributes),
        (None, Some(service)) => Some(&service.attributes),
        (None, None) => None,
    };
    let party = issue.admitted.subject().party();
    About { tenant: issue.tenant.id, party, attributes, client: issue.holder.client() }
}

fn wanted<'a>(issue: &'a Issue<'_>, target: Target) -> Wanted<'a> {
    Wanted { client: issue.holder.client(), scope: &issue.scope, target }
}

/// Whom an access token is for: the resources that were asked for; else the registered audiences, and this server itself
/// where its own endpoints (userinfo, administration) are among what the scope opens.
fn audience<'a>(issue: &'a Issue<'_>, mapped: &'a [String], issuer: &'a str) -> Vec<&'a str> {
    if let Some(exchanged) = issue.exchanged {
        return exchanged.audience.iter().map(String::as_str).collect();
    }
    let registered: &'a [String] = match issue.holder {
        Holder::Client(client) => &client.settings.audiences,
        Holder::Service(_) => &[],
    };
    let asked = !issue.resources.is_empty();
    let named = if asked { issue.resources } else { registered };
    let mut audience: Vec<&str> = named.iter().map(String::as_str).collect();
    for further in mapped {
        if !audience.contains(&further.as_str()) {
            audience.push(further);
        }
    }
    // A token for the resources that were asked for is for nobody else: none of them could use it here.
    let ours = !asked && (issue.scope.contains(scope::OPENID) || issue.scope.is_for_api());
    if (audience.is_empty() || ours) && !audience.contains(&issuer) {
        audience.push(issuer);
    }
    audience
}
