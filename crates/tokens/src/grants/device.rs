//! The device grant at the token endpoint (RFC 8628 sections 3.4 and 3.5): a device asks whether its user has decided.

use super::handle::{Handle, Kind, Presented};
use super::password::{self, Refreshable};
use super::{Grant, Holder, Issue, TokenResponse, refresh_key, resources_of};
use crate::claims::ClaimsRequest;
use crate::clients::{AuthenticatedClient, GrantType};
use crate::consent::scope_of;
use crate::error::TokenError;
use crate::policy::Lifetimes;
use crate::resource;
use crate::schema::device as sql;
use crate::scope::{self, ScopeSet};
use crate::service::{Refused, Tokens};
use keyreeve_audit::Actor;
use keyreeve_base::{ClientId, Origin, SessionId, TenantId, Timestamp, UserId};
use keyreeve_identity::{Admitted, Proof, Tenant};
use keyreeve_store::{Row, Tx, params};
use std::sync::Arc;
use std::time::Duration;

const INVALID: &str = "the device code is invalid, was used before, or belongs to another client";

/// By how much the pause grows when a device asks too often, in seconds (RFC 8628 section 3.5).
const SLOWER_BY_S: i64 = 5;
/// The longest pause that grows so, in seconds: beyond it, the code will have expired anyway.
const LONGEST_PAUSE_S: i64 = 600;

/// A device's request, as its device code finds it.
struct Request {
    client: ClientId,
    scope: ScopeSet,
    state: String,
    expires_at: Timestamp,
    interval_s: i64,
    next_poll_at: Timestamp,
    resources: Vec<String>,
    /// Who allowed it, in which session, when they had signed in and how.
    allowed: Option<Allowed>,
}

struct Allowed {
    user: UserId,
    session: Option<SessionId>,
    auth_time: Timestamp,
    amr: Arc<[String]>,
    acr: Option<String>,
}

impl Request {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let corrupt = |e: serde_json::Error| keyreeve_store::Error::corrupt(format!("a device request: {e}"));
        let user: Option<UserId> = row.get(6)?;
        let allowed = match (user, row.get::<Option<Timestamp>>(8)?, row.get::<Option<String>>(9)?) {
            (Some(user), Some(auth_time), Some(amr)) => Some(Allowed {
                user,
                session: row.get(7)?,
                auth_time,
                amr: serde_json::from_str(&amr).map_err(corrupt)?,
                acr: row.get(10)?,
            }),
            _ => None,
        };
        Ok(Self {
            client: row.get(0)?,
            scope: scope_of(&row.get::<String>(1)?)?,
            state: row.get(2)?,
            expires_at: row.get(3)?,
            interval_s: row.get(4)?,
            next_poll_at: row.get(5)?,
            resources: resources_of(row.get::<Option<String>>(11)?.as_deref())?,
            allowed,
        })
    }
}

/// One question, owned by its transaction.
struct Question {
    tenant: TenantId,
    client: ClientId,
    presented: Presented,
    refresh: Option<[u8; 32]>,
    /// The key that the refresh token is bound to.
    refresh_key: Option<String>,
    /// The resources that are asked for.
    resources: Vec<String>,
    lifetimes: Lifetimes,
    origin: Origin,
}

impl Tokens {
    /// Answers a device that asks. Once its user has allowed it, the first question after that gets the tokens, and no
    /// other.
    ///
    /// # Errors
    /// [`TokenError::Pending`], [`TokenError::SlowDown`], [`TokenError::ExpiredToken`], [`TokenError::AccessDenied`];
    /// [`TokenError::InvalidGrant`] for a code that is none of this client's; [`TokenError::InvalidTarget`] for a resource
    /// beyond those that it began with; [`TokenError::UnauthorizedClient`].
    pub async fn redeem_device(
        &self,
        tenant: &Tenant,
        client: &AuthenticatedClient,
        device_code: &str,
        origin: &Origin,
    ) -> Result<TokenResponse, TokenError> {
        let bounds = client.bounds();
        let client = client.client();
        if !client.settings.allows(GrantType::DeviceCode) {
            return Err(TokenError::UnauthorizedClient);
        }
        let Some(presented) = self.read_handle(tenant.id, Kind::Device, device_code).await? else {
            let what = ("admission.device", "unknown_device_code");
            self.refuse_unknown(tenant.id, client.id, what, origin).await?;
            return Err(TokenError::InvalidGrant(INVALID));
        };
        let signers = self.signers(client).await?;
        let refresh: Option<Handle> = self.first_refresh_token(client, presented.grant).await?;
        let question = Question {
            tenant: tenant.id,
            client: client.id,
            presented,
            refresh: refresh.as_ref().map(|token| token.digest),
            refresh_key: refresh_key(client, bounds),
            resources: bounds.resources().to_vec(),
            lifetimes: signers.lifetimes,
            origin: origin.clone(),
        };
        let room = self.clone();
        let answered =
            self.0.store.write(async move |tx: &mut Tx<'_>| room.answer_device(tx, &question).await).await?;
        let (grant, admitted) = answered?;
        let resources =
            resource::narrow(&grant.resources, bounds.resources()).map_err(TokenError::InvalidTarget)?;
        let to = (Holder::Client(client), bounds);
        let issue = Issue {
            grant: Some(&grant),
            refresh_token: refresh.map(|token| token.text),
            resources: &resources,
            ..Issue::new(tenant, to, &admitted, grant.scope.clone())
        };
        self.issue(issue, &signers).await
    }

    async fn answer_device(
        &self,
        tx: &mut Tx<'_>,
        it: &Question,
    ) -> Result<Result<(Grant, Admitted), TokenError>, TokenError> {
        let Presented { grant: id, digest } = it.presented;
        let (tenant, now) = (it.tenant, self.now());
        let found = tx.query_opt(&sql::HOLD_DEVICE, &params![tenant, id, digest], Request::from_row).await?;
        let reason = match &found {
            None => "unknown_device_code",
            Some(request) if request.client != it.client => "device_code_of_another_client",
            Some(request) if request.state == "redeemed" => "device_code_used_again",
            Some(_) => "",
        };
        let Some(request) = found.filter(|_| reason.is_empty()) else {
            let target = Some(("device", id.to_string()));
            let actor = Actor::Client(it.client);
            let refusal = Refused { tenant, actor, action: "admission.device", target, reason };
            self.record_refusal(tx, refusal, &it.origin).await?;
            return Ok(Err(TokenError::InvalidGrant(INVALID)));
        };
        if request.expires_at <= now {
            return Ok(Err(TokenError::ExpiredToken));
        }
        match (request.state.as_str(), request.allowed) {
            ("allowed", Some(allowed)) => {
                if let Err(beyond) = resource::narrow(&request.resources, &it.resources) {
                    // Nothing was consumed: the device may ask again, for less.
                    return Ok(Err(TokenError::InvalidTarget(beyond)));
                }
                self.redeem_allowed(tx, it, (request.scope, request.resources, allowed)).await
            }
            ("denied", _) => Ok(Err(TokenError::AccessDenied)),
            _ => {
                let too_soon = now < request.next_poll_at;
                let slower = request.interval_s.saturating_add(if too_soon { SLOWER_BY_S } else { 0 });
                let interval_s = slower.min(LONGEST_PAUSE_S);
                // A second less, so that a device whose clock is a little fast is not told off.
                let pause = Duration::from_secs(u64::try_from(interval_s).unwrap_or(0).saturating_sub(1));
                tx.execute(&sql::PACE_DEVICE, &params![tenant, id, interval_s, now.plus(pause)]).await?;
                Ok(Err(if too_soon { TokenError::SlowDown } else { TokenError::Pending }))
            }
        }
    }

    async fn redeem_allowed(
        &self,
        tx: &mut Tx<'_>,
        it: &Question,
        (scope, resources, allowed): (ScopeSet, Vec<String>, Allowed),
    ) -> Result<Result<(Grant, Admitted), TokenError>, TokenError> {
        let (tenant, id, now) = (it.tenant, it.presented.grant, self.now());
        if tx.execute(&sql::REDEEM_DEVICE, &params![tenant, id]).await? == 0 {
            return Ok(Err(TokenError::InvalidGrant(INVALID)));
        }
        let (expires_at, refresh_expires_at) = it.lifetimes.of_grant(now, it.refresh.is_some());
        let grant = Grant {
            id,
            client: it.client,
            user: allowed.user,
            session: allowed.session,
            offline: scope.contains(scope::OFFLINE_ACCESS),
            scope,
            claims: ClaimsRequest::default(),
            nonce: None,
            auth_time: allowed.auth_time,
            amr: allowed.amr,
            acr: allowed.acr,
            expires_at,
            resources,
        };
        let proof = Proof::device(grant.redeemed(tenant));
        match self.0.identity.admission().admit(tx, &proof, &it.origin).await? {
            Ok(admitted) => {
                let refreshable = Refreshable {
                    now,
                    digest: it.refresh,
                    lapses_at: refresh_expires_at,
                    key: it.refresh_key.as_deref(),
                };
                password::insert(tx, &grant, &admitted, refreshable).await?;
                Ok(Ok((grant, admitted)))
            }
            Err(refusal) => Ok(Err(TokenError::refused(&refusal, TokenError::InvalidGrant(INVALID)))),
        }
    }
}
