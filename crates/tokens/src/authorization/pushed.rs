//! Pushed authorization requests (RFC 9126): the client brings its request by itself, authenticated, and the browser only
//! carries a reference that can be used once. Nothing of the request is seen on the way (AC-18).

use super::Pending;
use super::read::Misfit;
use super::request::{Parameters, RequestError};
use crate::clients::{AuthenticatedClient, Client};
use crate::error::{Error, TokenError};
use crate::schema;
use crate::service::Tokens;
use keyreeve_base::Timestamp;
use keyreeve_identity::Tenant;
use keyreeve_store::{Tx, params};
use serde::Serialize;
use std::time::Duration;
use uuid::Uuid;

/// How long a pushed request waits for its browser, in seconds (RFC 9126 section 2.2 wants it short).
pub const PUSHED_LIFETIME_S: u64 = 60;
const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";
const PURPOSE: &[u8] = b"tokens/pushed_request";
const MAX_URI_BYTES: usize = 256;

/// The answer to a pushed request (RFC 9126 section 2.2).
#[derive(Debug, Serialize)]
pub struct Pushed {
    /// What the browser is to bring as `request_uri`, once.
    pub request_uri: String,
    /// How long it is good for, in seconds.
    pub expires_in: u64,
}

impl Tokens {
    /// Takes a request that its client pushes. Whatever is wrong with it the client learns now.
    ///
    /// # Errors
    /// [`TokenError::Request`] with the code that the authorization endpoint would have answered;
    /// [`TokenError::InvalidDpopProof`] when the proof beside it is of another key than `dpop_jkt`.
    pub async fn push(
        &self,
        tenant: &Tenant,
        client: &AuthenticatedClient,
        params: &(impl Parameters + Sync),
    ) -> Result<Pushed, TokenError> {
        let invalid =
            |description: &str| TokenError::Request(RequestError::new("invalid_request", description));
        if params.get("request_uri").is_some() {
            return Err(invalid("request_uri cannot be pushed"));
        }
        let owner = client.client();
        if params.get("client_id").is_some_and(|named| named != owner.client_id) {
            return Err(invalid("client_id is not the client that authenticated"));
        }
        let record =
            self.clients().record(tenant.id, &owner.client_id).await?.ok_or(TokenError::InvalidClient)?;
        let mut pending = match self.read(tenant, &record, params).await? {
            Ok(pending) => pending,
            Err(Misfit { error, .. }) => return Err(TokenError::Request(error)),
        };
        if let Some(key) = client.key() {
            match &pending.request.dpop_jkt {
                Some(named) if named != key => {
                    return Err(TokenError::InvalidDpopProof(
                        "the proof is not of the key that dpop_jkt names",
                    ));
                }
                _ => pending.request.dpop_jkt = Some(key.to_owned()),
            }
        }
        Ok(self.store_pushed(tenant, owner, &pending).await?)
    }

    async fn store_pushed(
        &self,
        tenant: &Tenant,
        client: &Client,
        pending: &Pending,
    ) -> Result<Pushed, Error> {
        let id = self.0.world.new_uuid();
        let text = serde_json::to_vec(pending).map_err(|e| Error::corrupt("pushed request", e))?;
        let sealed = self.seal(tenant.id, &[PURPOSE, id.as_bytes()], &text).await?;
        let reference = self.0.identity.tenants().seal_text(tenant.id, &[PURPOSE], id.as_bytes()).await?;
        let expires_at = self.now().plus(Duration::from_secs(PUSHED_LIFETIME_S));
        let (tenant, client) = (tenant.id, client.id);
        self.0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let row = params![id, tenant, client, sealed, expires_at];
                tx.execute(&schema::INSERT_PUSHED, &row).await
            })
            .await?;
        Ok(Pushed { request_uri: format!("{PREFIX}{reference}"), expires_in: PUSHED_LIFETIME_S })
    }

    /// The request that a browser brings by reference. It is gone then, whatever becomes of it.
    pub(super) async fn take_pushed(
        &self,
        tenant: &Tenant,
        client: &Client,
        params: &(impl Parameters + Sync),
        uri: &str,
    ) -> Result<Result<Pending, Misfit>, Error> {
        let Some(reference) = uri.strip_prefix(PREFIX).filter(|_| uri.len() <= MAX_URI_BYTES) else {
            // Nothing is fetched from anywhere (AC-50).
            let foreign =
                ("request_uri_not_supported", "request_uri must be one that was pushed to this server");
            return Ok(Err(Misfit::beside(params, client, foreign)));
        };
        let unknown = || {
            let description = "the request_uri is unknown, was used before, or has expired";
            Misfit::nowhere(RequestError::new("invalid_request_uri", description))
        };
        // Nobody but us makes one, so that asking for what never was costs no write.
        let opened = self.0.identity.tenants().open_text(tenant.id, &[PURPOSE], reference).await;
        let id = match opened {
            Ok(id) => Uuid::from_slice(id.expose()),
            Err(keyreeve_identity::Error::Seal(_)) => return Ok(Err(unknown())),
            Err(error) => return Err(error.into()),
        };
        let Ok(id) = id else { return Ok(Err(unknown())) };
        let (whose, of) = (tenant.id, client.id);
        let taken = self
            .0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                tx.query_opt(&schema::TAKE_PUSHED, &params![whose, id, of], |row| {
                    Ok((row.get::<Vec<u8>>(0)?, row.get::<Timestamp>(1)?))
                })
                .await
            })
            .await?;
        let Some((sealed, _)) = taken.filter(|(_, expires_at)| *expires_at > self.now()) else {
            return Ok(Err(unknown()));
        };
        let text = self.open(tenant.id, &[PURPOSE, id.as_bytes()], &sealed).await?;
        let pending: Pending =
            serde_json::from_slice(text.expose()).map_err(|e| Error::corrupt("pushed request", e))?;
        // The client may have been changed since: its list of addresses is the one that counts now (AC-01).
        if !super::is_registered(client, &pending.request.address.uri) {
            return Ok(Err(Misfit::nowhere(super::not_registered())));
        }
        Ok(Ok(pending))
    }
}
