//! What every handler of this door needs.

use crate::BrowserPages;
use crate::answer;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use keyreeve_base::{Origin, World};
use keyreeve_http::cookie::CookieNames;
use keyreeve_http::origin::ClientOrigin;
use keyreeve_http::problem::Problem;
use keyreeve_http::route::TenantName;
use keyreeve_identity::Tenant;
use keyreeve_tokens::Tokens;
use std::sync::Arc;

/// The state of this door's handlers. Cheap to clone.
#[derive(Clone)]
pub struct OidcState(Arc<Inner>);

struct Inner {
    tokens: Tokens,
    world: World,
    cookies: CookieNames,
    pages: Arc<dyn BrowserPages>,
}

impl OidcState {
    /// The door to this room. `pages` renders what a person is shown.
    #[must_use]
    pub fn new(tokens: Tokens, world: World, cookies: CookieNames, pages: Arc<dyn BrowserPages>) -> Self {
        Self(Arc::new(Inner { tokens, world, cookies, pages }))
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    pub(crate) fn world(&self) -> &World {
        &self.0.world
    }

    pub(crate) fn cookies(&self) -> CookieNames {
        self.0.cookies
    }

    pub(crate) fn pages(&self) -> &dyn BrowserPages {
        self.0.pages.as_ref()
    }

    /// The tenant that the path names. One that does not exist and one that is disabled are both simply not there.
    pub(crate) async fn tenant(&self, name: &TenantName) -> Result<Arc<Tenant>, Response> {
        match self.0.tokens.identity().tenants().at_path(name.0.as_deref()).await {
            Ok(Some(tenant)) => Ok(tenant),
            Ok(None) => Err(Problem::of(StatusCode::NOT_FOUND).into_response()),
            Err(error) => Err(answer::internal(&error)),
        }
    }
}

/// Where a request comes to, and where it comes from.
pub(crate) struct Arrival {
    pub(crate) name: TenantName,
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) origin: Origin,
}

impl FromRequestParts<OidcState> for Arrival {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &OidcState) -> Result<Self, Response> {
        let name = TenantName::from_request_parts(parts, state).await?;
        let tenant = state.tenant(&name).await?;
        let origin = ClientOrigin::from_request_parts(parts, state).await;
        let ClientOrigin(origin) = origin.map_err(IntoResponse::into_response)?;
        Ok(Self { name, tenant, origin })
    }
}

/// The path prefix of the tenant that the path names.
pub(crate) fn prefix(name: &TenantName) -> String {
    name.0.as_ref().map(|slug| format!("/t/{slug}")).unwrap_or_default()
}
