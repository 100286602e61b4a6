//! The token endpoint (RFC 6749 section 3.2).

use crate::answer::{self, bad_params};
use crate::client_auth::{self, Presented};
use crate::params::Form;
use crate::state::{Arrival, OidcState};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::Response;
use http::{StatusCode, header};
use keyreeve_base::Origin;
use keyreeve_crypto::Secret;
use keyreeve_http::params::{ParamError, Params};
use keyreeve_http::possession::{self, Described, Unreadable};
use keyreeve_identity::Tenant;
use keyreeve_tokens::grants::{
    AssertionRequest, CodeRedemption, ExchangeRequest, PasswordRequest, RefreshRequest,
};
use keyreeve_tokens::{
    AuthenticatedClient, Bounds, Client, ServiceCredential, Targets, TokenError, TokenResponse,
};
use std::sync::Arc;

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// `POST /token`.
pub(crate) async fn token(mut request: ClientRequest) -> Response {
    match answer_grant(&mut request).await {
        Ok(tokens) => request.with_nonce(answer::json(StatusCode::OK, &tokens)).await,
        Err(error) => request.refuse(&error),
    }
}

async fn answer_grant(request: &mut ClientRequest) -> Result<TokenResponse, TokenError> {
    if let Some(account) = request.service()
        && request.params.get("grant_type") == Some("client_credentials")
    {
        let bounds = request.bounds(None, Targets::Registered(&request.resources())).await?;
        let asked = (request.params.get("scope"), &bounds);
        let tokens = request.state.tokens();
        return tokens.service_credentials(&request.tenant, account, asked, &request.origin).await;
    }
    let client = request.authenticate().await?;
    let resources = request.resources();
    let asked = match request.params.get("grant_type") {
        Some(TOKEN_EXCHANGE) => Targets::Exchange(&resources),
        _ => Targets::Registered(&resources),
    };
    let client = request.bind(client, asked).await?;
    let ClientRequest { state, tenant, origin, params, .. } = request;
    let (tokens, tenant, origin) = (state.tokens(), &**tenant, &*origin);
    let password = params.take("password");
    let required = |name: &'static str| params.require(name).map_err(|error| bad_params(&error));
    match required("grant_type")? {
        "authorization_code" => {
            let redemption = CodeRedemption {
                code: required("code")?,
                redirect_uri: params.get("redirect_uri"),
                code_verifier: params.get("code_verifier"),
            };
            tokens.redeem_code(tenant, &client, redemption, origin).await
        }
        "refresh_token" => {
            let rotation =
                RefreshRequest { refresh_token: required("refresh_token")?, scope: params.get("scope") };
            tokens.refresh(tenant, &client, rotation, origin).await
        }
        "client_credentials" => tokens.client_credentials(tenant, &client, params.get("scope"), origin).await,
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
            let asked = AssertionRequest { assertion: required("assertion")?, scope: params.get("scope") };
            tokens.use_assertion_grant(tenant, &client, asked, origin).await
        }
        TOKEN_EXCHANGE => {
            let audiences: Vec<&str> = params.all("audience").collect();
            let actor = match (params.get("actor_token"), params.get("actor_token_type")) {
                (None, None) => None,
                _ => Some((required("actor_token")?, required("actor_token_type")?)),
            };
            let asked = ExchangeRequest {
                subject_token: required("subject_token")?,
                subject_token_type: required("subject_token_type")?,
                actor,
                requested_token_type: params.get("requested_token_type"),
                audiences: &audiences,
                scope: params.get("scope"),
            };
            tokens.exchange(tenant, &client, asked, origin).await
        }
        "urn:ietf:params:oauth:grant-type:device_code" => {
            tokens.redeem_device(tenant, &client, required("device_code")?, origin).await
        }
        "password" => {
            let missing = || bad_params(&ParamError::Missing("password".into()));
            let password = Secret::new(&password.ok_or_else(missing)?);
            let asked =
                PasswordRequest { username: required("username")?, password, scope: params.get("scope") };
            tokens.password(tenant, &client, asked, origin).await
        }
        _ => Err(TokenError::UnsupportedGrantType),
    }
}

/// A request in which a client authenticates: the form, and the credential taken out of it. As a handler's argument it
/// is made before the handler runs, and answers for it when something cannot be read.
pub(crate) struct ClientRequest {
    pub(crate) state: OidcState,
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) origin: Origin,
    pub(crate) params: Params,
    presented: Presented,
    described: Described,
    /// Whether the client used the `Authorization` header, which decides how a failure is answered.
    basic: bool,
}

impl ClientRequest {
    /// Has the room authenticate the client.
    ///
    /// # Errors
    /// Those of the room.
    pub(crate) async fn authenticate(&self) -> Result<AuthenticatedClient, TokenError> {
        self.state
            .tokens()
            .clients()
            .authenticate(&self.tenant, self.presented.credential(), &self.origin)
            .await
    }

    /// The credential, if it is that of a service account.
    pub(crate) fn service(&self) -> Option<ServiceCredential<'_>> {
        self.presented.service()
    }

    /// The resources that the request names.
    fn resources(&self) -> Vec<&str> {
        self.params.all("resource").collect()
    }

    /// What the request is bound to: the key of the proof that it shows, and what it asks for. Call it once.
    ///
    /// # Errors
    /// Those of the room.
    pub(crate) async fn bounds(
        &self,
        client: Option<&Client>,
        asked: Targets<'_>,
    ) -> Result<Bounds, TokenError> {
        let shown = self.described.shown().map_err(|Unreadable| {
            TokenError::InvalidDpopProof("there is more than one DPoP proof, or one that cannot be read")
        })?;
        self.state.tokens().bounds(&self.tenant, client, shown, asked).await
    }

    /// The client, bound as its request says. Call it once.
    ///
    /// # Errors
    /// Those of the room.
    pub(crate) async fn bind(
        &self,
        client: AuthenticatedClient,
        asked: Targets<'_>,
    ) -> Result<AuthenticatedClient, TokenError> {
        let bounds = self.bounds(Some(client.client()), asked).await?;
        Ok(client.bound(bounds))
    }

    /// Whether the request shows a proof of possession.
    pub(crate) fn shows_proof(&self) -> bool {
        self.described.is_shown()
    }

    /// Sends the next nonce along, where the tenant demands them and the client shows proofs.
    pub(crate) async fn with_nonce(&self, response: Response) -> Response {
        if !self.shows_proof() {
            return response;
        }
        match self.state.tokens().next_dpop_nonce(self.tenant.id).await {
            Ok(Some(nonce)) => possession::with_nonce(response, &nonce),
            // What was asked for is done: without a nonce, the client will ask for one.
            Ok(None) | Err(_) => response,
        }
    }

    /// The token that the client asks about.
    ///
    /// # Errors
    /// `invalid_request` without one.
    pub(crate) fn subject_token(&self) -> Result<&str, TokenError> {
        self.params.require("token").map_err(|error| bad_params(&error))
    }

    /// The answer to a client that is refused.
    pub(crate) fn refuse(&self, error: &TokenError) -> Response {
        answer::refused(error, self.basic)
    }
}

impl FromRequest<OidcState> for ClientRequest {
    type Rejection = Response;

    async fn from_request(request: Request, state: &OidcState) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let Arrival { tenant, origin, .. } = Arrival::from_request_parts(&mut parts, state).await?;
        let basic = parts.headers.contains_key(header::AUTHORIZATION);
        let credentials = client_auth::basic(&parts.headers);
        let described = Described::new(&parts.method, parts.uri.path(), &parts.headers);
        let form = Form::from_request(Request::from_parts(parts, body), state).await;
        let Form(mut params) = form.map_err(|error| answer::refused(&bad_params(&error), basic))?;
        let presented = credentials
            .and_then(|credentials| Presented::read(credentials, &mut params))
            .map_err(|error| answer::refused(&error, basic))?;
        Ok(Self { state: state.clone(), tenant, origin, params, presented, described, basic })
    }
}
