//! From the parameters of an authorization request, however they come, to a request that is valid.

use super::object::{self, Expected};
use super::request::{AuthorizationRequest, Parameters, RequestError, ReturnAddress};
use super::{Authorize, Pending};
use crate::clients::{Client, ClientRecord};
use crate::error::Error;
use crate::service::Tokens;
use keyreeve_base::UserId;
use keyreeve_identity::Tenant;
use std::sync::Arc;

/// A request that is not acceptable.
#[derive(Debug)]
pub(super) struct Misfit {
    /// Where that may be said, where it is certain; else the person is told.
    pub(super) address: Option<ReturnAddress>,
    pub(super) error: RequestError,
}

impl Misfit {
    /// A mistake that makes the request as a whole unusable: said to the client if the address beside it is one of its own.
    pub(super) fn beside(
        params: &(impl Parameters + Sync),
        client: &Client,
        (code, description): (&'static str, &str),
    ) -> Self {
        let address = ReturnAddress::parse(params, &client.settings).ok();
        Self { address, error: RequestError::new(code, description) }
    }

    pub(super) const fn nowhere(error: RequestError) -> Self {
        Self { address: None, error }
    }
}

impl Tokens {
    /// The client of a request, enabled and in an active tenant.
    pub(super) async fn requesting_client(
        &self,
        tenant: &Tenant,
        params: &(impl Parameters + Sync),
    ) -> Result<Result<Arc<ClientRecord>, RequestError>, Error> {
        let Some(client_id) = params.get("client_id") else {
            return Ok(Err(RequestError::new("invalid_request", "client_id is missing")));
        };
        let found = self.clients().record(tenant.id, client_id).await?;
        let usable = found.filter(|record| record.client.settings.enabled && tenant.is_active());
        Ok(usable.ok_or_else(|| RequestError::new("invalid_request", "there is no such client")))
    }

    /// Reads a request that a browser brings: pushed before, or as it is.
    pub(super) async fn bring(
        &self,
        tenant: &Tenant,
        record: &ClientRecord,
        params: &(impl Parameters + Sync),
    ) -> Result<Result<Pending, Misfit>, Error> {
        let client = &record.client;
        match params.get("request_uri") {
            // What else the browser brings does not count (RFC 9126 section 4).
            Some(uri) if params.get("request").is_none() => {
                self.take_pushed(tenant, client, params, uri).await
            }
            Some(_) => {
                let both = ("invalid_request", "request and request_uri exclude each other");
                Ok(Err(Misfit::beside(params, client, both)))
            }
            None if client.settings.require_pushed_authorization_requests => {
                let direct =
                    ("invalid_request", "this client must push its authorization requests (RFC 9126)");
                Ok(Err(Misfit::beside(params, client, direct)))
            }
            None => self.read(tenant, record, params).await,
        }
    }

    /// Reads a request from its parameters, or from the signed object that they hold.
    pub(super) async fn read(
        &self,
        tenant: &Tenant,
        record: &ClientRecord,
        params: &(impl Parameters + Sync),
    ) -> Result<Result<Pending, Misfit>, Error> {
        let client = &record.client;
        match params.get("request") {
            Some(jwt) => match self.open_object(tenant, record, jwt).await? {
                // From here on nothing counts that is not signed (RFC 9101 section 5).
                Ok(signed) => self.read_parameters(tenant, client, &signed).await,
                Err((code, description)) => Ok(Err(Misfit::beside(params, client, (code, description)))),
            },
            None if client.settings.require_signed_request_object => {
                let unsigned =
                    ("invalid_request", "this client must sign its authorization requests (RFC 9101)");
                Ok(Err(Misfit::beside(params, client, unsigned)))
            }
            None => self.read_parameters(tenant, client, params).await,
        }
    }

    /// Verifies a request object. One that has a `jti` is accepted once.
    async fn open_object(
        &self,
        tenant: &Tenant,
        record: &ClientRecord,
        jwt: &str,
    ) -> Result<Result<object::Signed, (&'static str, &'static str)>, Error> {
        let settings = &record.client.settings;
        if record.keys.is_empty() {
            return Ok(Err((
                "request_not_supported",
                "this client has registered no key to sign request objects with",
            )));
        }
        let expected = Expected {
            client_id: &record.client.client_id,
            keys: &record.keys,
            algorithm: settings.request_object_signing_alg,
            issuer: &self.issuer(tenant),
            now: self.now(),
        };
        let object = match object::verify(jwt, &expected) {
            Ok(object) => object,
            Err(reason) => return Ok(Err((object::INVALID, reason))),
        };
        if let Some((digest, until)) = object.once
            && !self.use_jti(record.client.id, digest, until).await?
        {
            return Ok(Err((object::INVALID, "the request object was used before")));
        }
        Ok(Ok(object.signed))
    }

    async fn read_parameters(
        &self,
        tenant: &Tenant,
        client: &Client,
        params: &(impl Parameters + Sync),
    ) -> Result<Result<Pending, Misfit>, Error> {
        let settings = &client.settings;
        let address = match ReturnAddress::parse(params, settings) {
            Ok(address) => address,
            Err(error) => return Ok(Err(Misfit::nowhere(error))),
        };
        let at = |address: &ReturnAddress, error| Misfit { address: Some(address.clone()), error };
        let request = match AuthorizationRequest::parse(params, &client.client_id, settings, &address) {
            Ok(request) => request,
            Err(error) => return Ok(Err(at(&address, error))),
        };
        if let Err(problem) = self.may_reach(tenant, Some(client), &request.resources).await? {
            return Ok(Err(at(&address, RequestError::new("invalid_target", problem))));
        }
        let hinted = match params.get("id_token_hint") {
            Some(hint) => self.hinted_user(tenant, hint).await?,
            None => Ok(None),
        };
        Ok(match hinted {
            // A hint that cannot be read is no reason not to sign in, but it is one not to do so silently.
            Err(()) if request.prompt.none => {
                let error = RequestError::new("login_required", "the id_token_hint cannot be verified");
                Err(at(&request.address, error))
            }
            Err(()) => Ok(Pending { request, hinted: None }),
            Ok(hinted) => Ok(Pending { request, hinted }),
        })
    }

    async fn hinted_user(&self, tenant: &Tenant, hint: &str) -> Result<Result<Option<UserId>, ()>, Error> {
        let claims = self.read_hint(tenant, hint).await?;
        Ok(claims.and_then(|claims| claims.sub.parse().ok()).map(Some).ok_or(()))
    }

    /// The answer to a request that is not acceptable.
    pub(super) fn answer_misfit(&self, tenant: &Tenant, misfit: Misfit) -> Authorize {
        match misfit.address {
            Some(address) => Authorize::Redirect(self.refusal(tenant, &address, misfit.error)),
            None => Authorize::fail(misfit.error),
        }
    }
}
