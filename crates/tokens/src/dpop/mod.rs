//! Demonstrating proof of possession (RFC 9449): tokens that are bound to a key, and worth nothing without a fresh proof of
//! it.
//!
//! A proof is accepted once: its digest is kept, for all nodes, as long as it could be shown again. Where the tenant's policy
//! demands it, a proof contains a nonce of ours, which is sealed and not stored.

mod proof;

use crate::bounds::{Bounds, Targets};
use crate::clients::Client;
use crate::error::{Error, TokenError};
use crate::resource;
use crate::schema;
use crate::service::Tokens;
use keyreeve_base::{ShownProof, TenantId, Timestamp};
use keyreeve_identity::Tenant;
use keyreeve_store::{Tx, params};
use proof::{Expected, Proof};
use std::time::Duration;

/// How long a nonce is good for.
const NONCE_LIFETIME: Duration = Duration::from_secs(300);
const NONCE_PURPOSE: &[u8] = b"tokens/dpop_nonce";

/// What came of a proof that does not hold.
pub(crate) enum NoProof {
    /// It is wrong; says how.
    Invalid(&'static str),
    /// It lacks a nonce of ours; here is one.
    Nonce(String),
}

impl From<NoProof> for TokenError {
    fn from(problem: NoProof) -> Self {
        match problem {
            NoProof::Invalid(problem) => Self::InvalidDpopProof(problem),
            NoProof::Nonce(nonce) => Self::UseDpopNonce { nonce },
        }
    }
}

impl Tokens {
    /// What a token request is bound to: verifies the proof that it shows and the resources that it names. `client` is who
    /// asks; none for a service account. Call it once for each request, since a proof counts once.
    ///
    /// # Errors
    /// [`TokenError::InvalidDpopProof`] also where the client must show a proof and does not,
    /// [`TokenError::UseDpopNonce`], [`TokenError::InvalidTarget`].
    pub async fn bounds(
        &self,
        tenant: &Tenant,
        client: Option<&Client>,
        shown: Option<ShownProof<'_>>,
        asked: Targets<'_>,
    ) -> Result<Bounds, TokenError> {
        let (resources, targets) = match asked {
            Targets::Registered(values) => (self.named_resources(tenant, client, values).await?, Vec::new()),
            Targets::Exchange(values) => {
                (Vec::new(), resource::parse(values).map_err(TokenError::InvalidTarget)?)
            }
        };
        let key = match shown {
            Some(shown) => Some(self.use_proof(tenant, shown, None).await??),
            None if client.is_some_and(|client| client.settings.dpop_bound_access_tokens) => {
                return Err(TokenError::InvalidDpopProof("this client must show a DPoP proof"));
            }
            None => None,
        };
        Ok(Bounds::new(key, resources, targets))
    }

    /// A nonce for the client's next proof, where the tenant's policy demands one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn next_dpop_nonce(&self, tenant: TenantId) -> Result<Option<String>, Error> {
        if !self.policy(tenant).await?.require_dpop_nonce {
            return Ok(None);
        }
        self.new_nonce(tenant).await.map(Some)
    }

    /// Accepts a proof, once: answers the thumbprint of its key.
    pub(crate) async fn use_proof(
        &self,
        tenant: &Tenant,
        shown: ShownProof<'_>,
        access_token: Option<&str>,
    ) -> Result<Result<String, NoProof>, Error> {
        let url = format!("{}{}", self.base_url(), shown.path);
        let now = self.now();
        let expected = Expected { method: shown.method, url: &url, access_token, now };
        let Proof { key, digest, until, nonce } = match proof::verify(shown.proof, &expected) {
            Ok(proof) => proof,
            Err(problem) => return Ok(Err(NoProof::Invalid(problem))),
        };
        let fresh = match &nonce {
            Some(nonce) => self.is_nonce(tenant.id, nonce).await?,
            None => !self.policy(tenant.id).await?.require_dpop_nonce,
        };
        if !fresh {
            return Ok(Err(NoProof::Nonce(self.new_nonce(tenant.id).await?)));
        }
        // Committed by itself, and before the answer: the proof stays used, whatever becomes of the request.
        let whose = tenant.id;
        let seen = self
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                tx.execute(&schema::SEE_PROOF, &params![whose, digest, until]).await
            })
            .await?;
        Ok(if seen == 1 { Ok(key) } else { Err(NoProof::Invalid("the DPoP proof was used before")) })
    }

    async fn new_nonce(&self, tenant: TenantId) -> Result<String, Error> {
        let now = self.now().seconds().to_be_bytes();
        Ok(self.0.identity.tenants().seal_text(tenant, &[NONCE_PURPOSE], &now).await?)
    }

    /// Whether this is a nonce of ours that is not too old.
    async fn is_nonce(&self, tenant: TenantId, nonce: &str) -> Result<bool, Error> {
        let opened = match self.0.identity.tenants().open_text(tenant, &[NONCE_PURPOSE], nonce).await {
            Ok(opened) => opened,
            Err(keyreeve_identity::Error::Seal(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let Ok(made_at) = <[u8; 8]>::try_from(opened.expose()) else { return Ok(false) };
        let made_at = Timestamp::from_seconds(i64::from_be_bytes(made_at));
        Ok(made_at.plus(NONCE_LIFETIME) > self.now())
    }
}
