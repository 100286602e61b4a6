//! The authorization code grant: redeeming a code (RFC 6749 section 4.1.3, RFC 7636 section 4.6).

use super::{Grant, Issue, REFRESH_PREFIX, TokenResponse, lookup_digest};
use crate::clients::{AuthenticatedClient, GrantType};
use crate::error::TokenError;
use crate::pkce::CodeChallenge;
use crate::schema;
use crate::service::{Refused, Tokens};
use keyreeve_audit::Actor;
use keyreeve_base::{ClientId, GrantId, Origin, TenantId, Timestamp};
use keyreeve_crypto::{OpaqueToken, constant_time_eq};
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
}

impl RedeemedCode {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        Ok(Self {
            grant: Grant::from_row(row)?,
            code_expires_at: row.get(12)?,
            redirect_uri: row.get(13)?,
            challenge: row.get(14)?,
        })
    }

    /// What stands against it, for the audit log.
    fn obstacle(&self, presented: &Presented, now: Timestamp) -> Option<&'static str> {
        if self.grant.client != presented.client {
            return Some("code_of_another_client");
        }
        if self.code_expires_at <= now {
            return Some("code_expired");
        }
        let same_uri = presented
            .redirect_uri
            .as_ref()
            .is_some_and(|uri| constant_time_eq(uri.as_bytes(), self.redirect_uri.as_bytes()));
        if !same_uri {
            return Some("other_redirect_uri");
        }
        match (&self.challenge, &presented.verifier) {
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
struct Presented {
    tenant: TenantId,
    client: ClientId,
    origin: Origin,
    digest: [u8; 32],
    redirect_uri: Option<String>,
    verifier: Option<String>,
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
        let client = client.client();
        if !client.settings.allows(GrantType::AuthorizationCode) {
            return Err(TokenError::UnauthorizedClient);
        }
        let digest = lookup_digest(redemption.code).ok_or(TokenError::InvalidGrant(INVALID))?;
        let signers = self.signers(client).await?;
        let refresh = client
            .settings
            .allows(GrantType::RefreshToken)
            .then(|| OpaqueToken::generate_with_prefix(&self.0.world, REFRESH_PREFIX));
        let refresh_digest = refresh.as_ref().map(|token| *token.digest().as_bytes());
        let presented = Presented {
            tenant: tenant.id,
            client: client.id,
            origin: origin.clone(),
            digest,
            redirect_uri: redemption.redirect_uri.map(str::to_owned),
            verifier: redemption.code_verifier.map(str::to_owned),
        };
        let (room, lifetimes) = (self.clone(), signers.lifetimes);
        let redeemed = self
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let now = room.now();
                let (expires_at, refresh_expires_at) = lifetimes.of_grant(now, refresh_digest.is_some());
                let (whose, digest) = (presented.tenant, presented.digest);
                let row = params![whose, digest, now, expires_at, refresh_digest, refresh_expires_at];
                match tx.query_opt(&schema::REDEEM_CODE, &row, RedeemedCode::from_row).await? {
                    Some(code) => room.admit_code(tx, code, &presented).await,
                    None => room.refuse_code(tx, &presented).await.map(Err),
                }
            })
            .await?;
        let (grant, admitted) = redeemed?;
        let nonce = grant.nonce.as_deref();
        let scope = grant.scope.clone();
        let issue = Issue {
            tenant,
            client,
            admitted: &admitted,
            grant: Some(&grant),
            scope,
            nonce,
            refresh_token: refresh,
        };
        self.issue(issue, &signers)
    }

    async fn admit_code(
        &self,
        tx: &mut Tx<'_>,
        code: RedeemedCode,
        presented: &Presented,
    ) -> Result<Result<(Grant, Admitted), TokenError>, TokenError> {
        let tenant = presented.tenant;
        if let Some(reason) = code.obstacle(presented, self.now()) {
            self.end_grant(tx, tenant, code.grant.id).await?;
            let refusal = Refused {
                tenant,
                actor: Actor::Client(presented.client),
                action: "admission.code",
                target: Some(("grant", code.grant.id.to_string())),
                reason,
            };
            self.record_refusal(tx, refusal, &presented.origin).await?;
            return Ok(Err(TokenError::InvalidGrant(INVALID)));
        }
        let proof = Proof::code(code.grant.redeemed(tenant));
        match self.0.identity.admission().admit(tx, &proof, &presented.origin).await? {
            Ok(admitted) => Ok(Ok((code.grant, admitted))),
            Err(refusal) => {
                self.end_grant(tx, tenant, code.grant.id).await?;
                Ok(Err(TokenError::refused(&refusal, TokenError::InvalidGrant(INVALID))))
            }
        }
    }

    /// A code that cannot be consumed: it never was one, or it was consumed before. In the latter case somebody has a
    /// copy, and which of the two was the thief is not known: the grant ends (RFC 6749 section 4.1.2).
    async fn refuse_code(&self, tx: &mut Tx<'_>, presented: &Presented) -> Result<TokenError, TokenError> {
        let tenant = presented.tenant;
        let found = tx
            .query_opt(&schema::GRANT_OF_CODE, &params![tenant, presented.digest], |row| {
                row.get::<GrantId>(0)
            })
            .await?;
        let (action, reason) = match found {
            Some(_) => ("token.reuse", "code_used_again"),
            None => ("admission.code", "unknown_code"),
        };
        if let Some(grant) = found {
            self.end_grant(tx, tenant, grant).await?;
        }
        let target = found.map(|grant| ("grant", grant.to_string()));
        let actor = Actor::Client(presented.client);
        self.record_refusal(tx, Refused { tenant, actor, action, target, reason }, &presented.origin).await?;
        Ok(TokenError::InvalidGrant(INVALID))
    }
}
