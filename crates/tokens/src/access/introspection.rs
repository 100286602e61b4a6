//! Introspection (RFC 7662).

use super::{Confirmation, TokenSubject};
use crate::access::Act;
use crate::clients::{AuthenticatedClient, Client};
use crate::error::{Error, TokenError};
use crate::grants::{Grant, HandleKind};
use crate::mappers::Target;
use crate::schema;
use crate::scope::ScopeSet;
use crate::service::Tokens;
use keyreeve_base::{GrantId, SessionId, Timestamp};
use keyreeve_identity::Tenant;
use keyreeve_store::{Tx, params};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// The answer (RFC 7662 section 2.2). Of a token that is not active, or not for the asking client to know of, nothing
/// else is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Introspection {
    /// Whether the token is good.
    pub active: bool,
    /// What it is good for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<ScopeSet>,
    /// The client that it was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The user's or service account's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// `Bearer` for access tokens, or `DPoP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_type: Option<&'static str>,
    /// When it expires, in seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// When it was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// Whom it speaks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Whom it is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aud: Vec<String>,
    /// Who issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Its identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<Uuid>,
    /// When the user signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// The authentication context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// How the user signed in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// The browser session that it ends with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    /// The grant that it ends with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<GrantId>,
    /// Who acts for the subject (RFC 8693 section 4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Act>,
    /// The key that it is bound to (RFC 9449 section 6.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// What mappers say of whom it speaks for, as of now.
    #[serde(flatten)]
    pub mapped: Map<String, Value>,
}

/// Whether a client may know of a token that carries these audiences: as the client that it was issued to, or as the
/// resource server that it is for.
fn may_know(asking: &Client, issued_to: &str, audiences: &[String]) -> bool {
    issued_to == asking.client_id
        || audiences.iter().any(|aud| *aud == asking.client_id || asking.settings.resources.contains(aud))
}

impl Tokens {
    /// Tells a confidential client about a token. The hint is not needed: what the token is shows from its form.
    ///
    /// # Errors
    /// [`TokenError::InvalidClient`] for a public client, which cannot prove who is asking.
    pub async fn introspect(
        &self,
        tenant: &Tenant,
        asking: &AuthenticatedClient,
        token: &str,
    ) -> Result<Introspection, TokenError> {
        if !asking.is_confidential() {
            return Err(TokenError::InvalidClient);
        }
        let told = if token.starts_with(HandleKind::Refresh.prefix()) {
            self.introspect_refresh(tenant, asking.client(), token).await?
        } else {
            self.introspect_access(tenant, asking.client(), token).await?
        };
        Ok(told.unwrap_or_default())
    }

    async fn introspect_access(
        &self,
        tenant: &Tenant,
        asking: &Client,
        token: &str,
    ) -> Result<Option<Introspection>, Error> {
        let Some(access) = self.check_access(tenant, token).await? else { return Ok(None) };
        let claims = access.claims();
        if !may_know(asking, &claims.client_id, &claims.aud) {
            return Ok(None);
        }
        let username = match access.subject() {
            TokenSubject::User(user) => user.username.clone().or_else(|| user.email.clone()),
            TokenSubject::Service(account) => Some(account.name.clone()),
            TokenSubject::Client(_) => None,
        };
        Ok(Some(Introspection {
            active: true,
            scope: Some(claims.scope.clone()),
            client_id: Some(claims.client_id.clone()),
            username,
            token_type: Some(if claims.cnf.is_some() { "DPoP" } else { "Bearer" }),
            exp: Some(claims.exp),
            iat: Some(claims.iat),
            sub: Some(claims.sub.clone()),
            aud: claims.aud.clone(),
            iss: Some(claims.iss.clone()),
            jti: Some(claims.jti),
            auth_time: claims.auth_time,
            acr: claims.acr.clone(),
            amr: claims.amr.clone(),
            sid: claims.sid,
            gid: claims.gid,
            act: claims.act.clone(),
            cnf: claims.cnf.clone(),
            mapped: self.mapped(tenant.id, &access, Target::Introspection).await?,
        }))
    }

    /// A refresh token is known to the client that it was issued to, and to nobody else.
    async fn introspect_refresh(
        &self,
        tenant: &Tenant,
        asking: &Client,
        token: &str,
    ) -> Result<Option<Introspection>, Error> {
        let (id, now) = (tenant.id, self.now());
        let Some(presented) = self.read_handle(id, HandleKind::Refresh, token).await? else {
            return Ok(None);
        };
        let found = self
            .0
            .store
            .read(async move |tx: &mut Tx<'_>| {
                tx.query_opt(
                    &schema::GRANT_BY_REFRESH,
                    &params![id, presented.grant, presented.digest],
                    |row| Ok((Grant::from_row(row)?, row.get::<Timestamp>(13)?)),
                )
                .await
            })
            .await?;
        let Some((grant, lapses_at)) = found else { return Ok(None) };
        let expires_at = lapses_at.min(grant.expires_at);
        if grant.client != asking.id || expires_at <= now || !tenant.is_active() {
            return Ok(None);
        }
        let identity = &self.0.identity;
        let Some(user) = identity.users().by_id(id, grant.user).await?.filter(|user| user.is_active()) else {
            return Ok(None);
        };
        if let Some(session) = grant.session.filter(|_| !grant.offline)
            && identity.sessions().live(id, session).await?.is_none()
        {
            return Ok(None);
        }
        Ok(Some(Introspection {
            active: true,
            scope: Some(grant.scope.clone()),
            client_id: Some(asking.client_id.clone()),
            username: user.username.clone().or_else(|| user.email.clone()),
            exp: Some(expires_at.seconds()),
            sub: Some(grant.user.to_string()),
            iss: Some(self.issuer(tenant)),
            auth_time: Some(grant.auth_time.seconds()),
            gid: Some(grant.id),
            ..Introspection::default()
        }))
    }
}
