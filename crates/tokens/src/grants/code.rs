//! The authorization code grant: redeeming a code (RFC 6749 section 4.1.3, RFC 7636 section 4.6).

use super::handle::{Kind, Presented};
use super::{Grant, Holder, Issue, TokenResponse};
use crate::clients::{AuthenticatedClient, GrantType};
use crate::error::TokenError;
use crate::pkce::CodeChallenge;
use crate::resource;
use crate::schema;
use crate::service::{Refused, Tokens};
use keyreeve_audit::Actor;
use keyreeve_base::{ClientId, Origin, TenantId, Timestamp};
use keyreeve_crypto::constant_time_eq;
use keyreeve_identity::{Admitted, Proof, Tenant};
use keyreeve_store::{Row, Tx, params};

/// What every refused code is answered with: which rule it broke is nobody's business but the auditor's.
const INVALID: &str =
    "the code is invalid, has expired, was used before, or belongs to another client or redirect_uri";

/// The parameters with which a code is redeemed.
#[derive(Clone, Copy)]
pub struct CodeRedemption<'a> {
    /// The code.
    pub code: &'a str,
    /// The redirect URI of the authorization request, once more.
    pub redirect_uri: Option<&'a str>,
    /// What the code challenge was made from.
    pub code_verifier: Option<&'a str>,
}

impl std::fmt::Debug for CodeRedemption<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeRedemption").field("redirect_uri", &self.redirect_uri).finish_non_exhaustive()
    }
}

/// A code that was consumed just now.
struct RedeemedCode {
    grant: Grant,
    code_expires_at: Timestamp,
    redirect_uri: String,
    challenge: Option<String>,
    /// The key that it is bound to.
    key: Option<String>,
}

impl RedeemedCode {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        Ok(Self {
            grant: Grant::from_row(row)?,
            code_expires_at: row.get(13)?,
            redirect_uri: row.get(14)?,
            challenge: row.get(15)?,
            key: row.get(16)?,
        })
    }

    /// What stands against it, for the audit log.
    fn obstacle(&self, attempt: &Attempt, now: Timestamp) -> Option<&'static str> {
        if self.grant.client != attempt.client {
            return Some("code_of_another_client");
        }
        if self.code_expires_at <= now {
            return Some("code_expired");
        }
        let same_uri = attempt
            .redirect_uri
            .as_ref()
            .is_some_and(|uri| constant_time_eq(uri.as_bytes(), self.redirect_uri.as_bytes()));
        if !same_uri {
            return Some("other_redirect_uri");
        }
        if self.key.is_some() && self.key != attempt.key {
            return Some("other_dpop_key");
        }
        match (&self.challenge, &attempt.verifier) {
            (None, None) => None,
            // A challenge that was dropped on the way, or never sent (AC-09).
            (None, Some(_)) => Some("verifier_without_challenge"),
            (Some(_), None) => Some("verifier_missing"),
            (Some(challenge), Some(verifier)) => {
                let met =
                    CodeChallenge::parse(challenge).is_ok_and(|challenge| challenge.is_met_by(verifier));
                (!met).then_some("verifier_wrong")
            }
        }
    }
}

/// The same parameters, owned by the transaction.
struct Attempt {
    tenant: TenantId,
    client: ClientId,
    origin: Origin,
    code: Presented,
    redirect_uri: Option<String>,
    verifier: Option<String>,
    /// The key of which possession was proven.
    key: Option<String>,
    resources: Vec<String>,
}

impl Tokens {
    /// Redeems a code. It is consumed by the attempt, successful or not; a second attempt ends the whole grant with
    /// every token that it led to (AC-08).
    ///
    /// # Errors
    /// [`TokenError::InvalidGrant`] for anything that is wrong with the code; [`TokenError::UnauthorizedClient`].
    pub async fn redeem_code(
        &self,
        tenant: &Tenant,
        client: &AuthenticatedClient,
        redemption: CodeRedemption<'_>,
        origin: &Origin,
    ) -> Result<TokenResponse, TokenError> {
        let bounds = client.bounds();
        let client = client.client();
        if !client.settings.allows(GrantType::AuthorizationCode) {
            return Err(TokenError::UnauthorizedClient);
        }
        let Some(presented) = self.read_handle(tenant.id, Kind::Code, redemption.code).await? else {
            self.refuse_unknown(tenant.id, client.id, ("admission.code", "unknown_code"), origin).await?;
            return Err(TokenError::InvalidGrant(INVALID));
        };
        let signers = self.signers(client).await?;
        let refresh = self.first_refresh_token(client, presented.grant).await?;
        let refresh_digest = refresh.as_ref().map(|token| token.digest);
        let attempt = Attempt {
            tenant: tenant.id,
            client: client.id,
            origin: origin.clone(),
            code: presented,
            redirect_uri: redemption.redirect_uri.map(str::to_owned),
            verifier: redemption.code_verifier.map(str::to_owned),
            key: bounds.key().map(str::to_owned),
            resources: bounds.resources().to_vec(),
        };
        let refresh_key = super::refresh_key(client, bounds);
        let (room, lifetimes) = (self.clone(), signers.lifetimes);
        let redeemed = self
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let now = room.now();
                let (expires_at, refresh_expires_at) = lifetimes.of_grant(now, refresh_digest.is_some());
                let (whose, Presented { grant, digest }) = (attempt.tenant, attempt.code);
                let key = refresh_key.as_deref();
                let row =
                    params![whose, grant, digest, now, expires_at, refresh_digest, refresh_expires_at, key];
                match tx.query_opt(&schema::REDEEM_CODE, &row, RedeemedCode::from_row).await? {
                    Some(code) => room.admit_code(tx, code, &attempt).await,
                    None => room.refuse_code(tx, &attempt).await.map(Err),
                }
            })
            .await?;
        let (grant, admitted) = redeemed?;
        let resources =
            resource::narrow(&grant.resources, bounds.resources()).map_err(TokenError::InvalidTarget)?;
        let to = (Holder::Client(client), bounds);
        let issue = Issue {
            grant: Some(&grant),
            nonce: grant.nonce.as_deref(),
            refresh_token: refresh.map(|token| token.text),
            resources: &resources,
            ..Issue::new(tenant, to, &admitted, grant.scope.clone())
        };
        self.issue(issue, &signers).await
    }

    async fn admit_code(
        &self,
        tx: &mut Tx<'_>,
        code: RedeemedCode,
        attempt: &Attempt,
    ) -> Result<Result<(Grant, Admitted), TokenError>, TokenError> {
        let tenant = attempt.tenant;
        let beyond = resource::narrow(&code.grant.resources, &attempt.resources).err();
        let error = beyond.map_or(TokenError::InvalidGrant(INVALID), TokenError::InvalidTarget);
        let obstacle = code.obstacle(attempt, self.now());
        if let Some(reason) = obstacle.or_else(|| beyond.map(|_| "resource_beyond_grant")) {
            self.end_grant(tx, tenant, code.grant.id).await?;
            let refusal = Refused {
                tenant,
                actor: Actor::Client(attempt.client),
                action: "admission.code",
                target: Some(("grant", code.grant.id.to_string())),
                reason,
            };
            self.record_refusal(tx, refusal, &attempt.origin).await?;
            return Ok(Err(if obstacle.is_some() { TokenError::InvalidGrant(INVALID) } else { error }));
        }
        let proof = Proof::code(code.grant.redeemed(tenant));
        match self.0.identity.admission().admit(tx, &proof, &attempt.origin).await? {
            Ok(admitted) => Ok(Ok((code.grant, admitted))),
            Err(refusal) => {
                self.end_grant(tx, tenant, code.grant.id).await?;
                Ok(Err(TokenError::refused(&refusal, TokenError::InvalidGrant(INVALID))))
            }
        }
    }

    /// A code of ours that cannot be consumed, because it was before, or its grant has ended. Somebody has a copy, and which of the two was the thief is not known: the grant ends (RFC 6749 section 4.1.2).
    async fn refuse_code(&self, tx: &mut Tx<'_>, attempt: &Attempt) -> Result<TokenError, TokenError> {
        let tenant = attempt.tenant;
        let grant = attempt.code.grant;
        let exists = tx.scalar::<i64>(&schema::GRANT_EXISTS, &params![tenant, grant]).await? > 0;
        // What is over for long was forgotten.
        let (action, reason) =
            if exists { ("token.reuse", "code_used_again") } else { ("admission.code", "unknown_code") };
        self.end_grant(tx, tenant, grant).await?;
        let target = Some(("grant", grant.to_string()));
        let actor = Actor::Client(attempt.client);
        self.record_refusal(tx, Refused { tenant, actor, action, target, reason }, &attempt.origin).await?;
        Ok(TokenError::InvalidGrant(INVALID))
    }
}
