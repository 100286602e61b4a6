//! Who calls, where, and under which conditions.

use crate::error::ScimError;
use crate::schema::Resource;
use axum::extract::{FromRequestParts, Request};
use axum::handler::Handler;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use keyreeve_base::TenantId;
use keyreeve_http::origin::ClientOrigin;
use keyreeve_http::possession::Described;
use keyreeve_http::presented::{Challenge, Scheme, presented};
use keyreeve_http::rate::{Allowance, Limiter};
use keyreeve_http::route::TenantName;
use keyreeve_identity::{Authority, Cause, Identity, Subject, Tenant};
use keyreeve_tokens::{Caller, Tokens, scope};
use std::pin::Pin;
use std::sync::Arc;

/// The state of this door's handlers. Cheap to clone.
#[derive(Clone)]
pub struct ScimState {
    tokens: Tokens,
    limiter: Limiter,
}

impl ScimState {
    /// The door to this room and the one below it, and who counts those who come to it.
    #[must_use]
    pub const fn new(tokens: Tokens, limiter: Limiter) -> Self {
        Self { tokens, limiter }
    }
}

/// The tenant that a path names. One that does not exist and one that is disabled are both simply not there.
pub(crate) struct Base {
    pub(crate) tenant: Arc<Tenant>,
    /// The URL below which all of the tenant's resources lie.
    pub(crate) url: String,
}

impl FromRequestParts<ScimState> for Base {
    type Rejection = ScimError;

    async fn from_request_parts(parts: &mut Parts, state: &ScimState) -> Result<Self, ScimError> {
        let name = TenantName::from_request_parts(parts, state).await.map_err(|_| ScimError::not_found())?;
        let slug = name.0.ok_or_else(ScimError::not_found)?;
        let tenants = state.tokens.identity().tenants();
        let tenant = tenants.by_slug(&slug).await?.filter(|tenant| tenant.is_active());
        let tenant = tenant.ok_or_else(ScimError::not_found)?;
        let url = format!("{}/scim/v2/{}", state.tokens.base_url().trim_end_matches('/'), tenant.slug);
        Ok(Self { tenant, url })
    }
}

/// A request of somebody whose access token is good.
#[derive(Clone)]
pub(crate) struct Call {
    tokens: Tokens,
    caller: Caller,
    pub(crate) base: String,
}

impl Call {
    async fn identify(parts: &mut Parts, state: &ScimState) -> Result<Self, ScimError> {
        let base = Base::from_request_parts(parts, state).await?;
        let origin = ClientOrigin::from_request_parts(parts, state).await;
        let ClientOrigin(origin) = origin.map_err(|_| ScimError::internal(&"a request without a front"))?;
        let described = Described::new(&parts.method, parts.uri.path(), &parts.headers);
        let presented = presented(&parts.headers, &described)?;
        let caller = state.tokens.caller(&base.tenant, presented, &origin).await?;
        let caller = caller.ok_or(Challenge::InvalidToken(Scheme::of(presented.is_proven())))?;
        Ok(Self { tokens: state.tokens.clone(), caller, base: base.url })
    }

    /// Counts this call; what its holder has left.
    fn count(&self, limiter: &Limiter) -> Result<Option<Allowance>, Allowance> {
        self.caller.holder().map_or(Ok(None), |holder| limiter.count(self.tenant(), holder))
    }
}

/// A handler for those who have shown a good token and have not come too often: it takes a [`Call`]. Whatever it answers tells
/// them what they have left.
#[derive(Clone)]
pub(crate) struct Called<H>(pub(crate) H);

impl<H, T> Handler<T, ScimState> for Called<H>
where
    H: Handler<T, ScimState>,
    T: 'static,
{
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, state: ScimState) -> Self::Future {
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let call = match Call::identify(&mut parts, &state).await {
                Ok(call) => call,
                Err(error) => return error.into_response(),
            };
            let (mut response, allowance) = match call.count(&state.limiter) {
                Ok(allowance) => {
                    parts.extensions.insert(call);
                    (self.0.call(Request::from_parts(parts, body), state).await, allowance)
                }
                Err(allowance) => (ScimError::too_many(allowance.wait()).into_response(), Some(allowance)),
            };
            if let Some(allowance) = allowance {
                allowance.write(response.headers_mut());
            }
            response
        })
    }
}

impl FromRequestParts<ScimState> for Call {
    type Rejection = ScimError;

    async fn from_request_parts(parts: &mut Parts, _state: &ScimState) -> Result<Self, ScimError> {
        parts
            .extensions
            .remove()
            .ok_or_else(|| ScimError::internal(&"a route that nobody has to be called for"))
    }
}

impl Call {
    pub(crate) fn identity(&self) -> &Identity {
        self.tokens.identity()
    }

    pub(crate) fn tenant(&self) -> TenantId {
        self.caller.tenant().id
    }

    pub(crate) fn authority(&self) -> &Authority {
        self.caller.authority()
    }

    pub(crate) fn cause(&self) -> &Cause {
        self.caller.cause()
    }

    /// The user whose token it is.
    pub(crate) fn user(&self) -> Option<keyreeve_base::UserId> {
        match self.authority().subject() {
            Some(Subject::User(id)) => Some(id),
            Some(Subject::Service(_) | Subject::Client(_)) | None => None,
        }
    }

    /// Whether the token's scope opens reading this kind of resource.
    pub(crate) fn may_read(&self, kind: Resource) -> bool {
        self.caller.allows(scope_of(kind, false))
    }

    /// Whether the token's scope opens what the user's own resource says.
    pub(crate) fn may_read_own(&self) -> bool {
        self.caller.allows(scope::ME_READ) || self.may_read(Resource::User)
    }

    /// # Errors
    /// 403 unless the token's scope opens reading this kind of resource.
    pub(crate) fn reads(&self, kind: Resource) -> Result<(), ScimError> {
        if self.may_read(kind) { Ok(()) } else { Err(self.out_of_scope(kind, false)) }
    }

    /// # Errors
    /// 403 unless the token's scope opens changing this kind of resource.
    pub(crate) fn writes(&self, kind: Resource) -> Result<(), ScimError> {
        let allowed = self.caller.allows(scope_of(kind, true));
        if allowed { Ok(()) } else { Err(self.out_of_scope(kind, true)) }
    }

    fn out_of_scope(&self, kind: Resource, writes: bool) -> ScimError {
        Challenge::InsufficientScope(Scheme::of(self.caller.is_bound()), scope_of(kind, writes).into()).into()
    }

    /// Where a resource lies.
    pub(crate) fn location(&self, kind: Resource, id: impl std::fmt::Display) -> String {
        format!("{}/{}/{id}", self.base, kind.endpoint())
    }
}

/// The scope that opens reading or changing this kind of resource.
const fn scope_of(kind: Resource, writes: bool) -> &'static str {
    match (kind, writes) {
        (Resource::User, false) => scope::USERS_READ,
        (Resource::User, true) => scope::USERS_WRITE,
        (Resource::Group, false) => scope::GROUPS_READ,
        (Resource::Group, true) => scope::GROUPS_WRITE,
    }
}

/// A header that names versions (RFC 9110 section 13.1), compared weakly: it is the resource that counts, not its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Versions {
    /// No such header.
    #[default]
    None,
    /// `*`.
    Any,
    /// These; tags that were never given out match nothing.
    These(Vec<i64>),
}

impl Versions {
    /// Reads `If-Match` or `If-None-Match`.
    pub(crate) fn read(headers: &HeaderMap, name: HeaderName) -> Self {
        let mut found = Self::None;
        for value in headers.get_all(name) {
            found = match (found, Self::parse(value.to_str().unwrap_or_default())) {
                (Self::These(mut all), Self::These(more)) => {
                    all.extend(more);
                    Self::These(all)
                }
                (Self::Any, _) => Self::Any,
                (_, read) => read,
            };
        }
        found
    }

    pub(crate) fn parse(text: &str) -> Self {
        if text.trim() == "*" {
            return Self::Any;
        }
        let version = |tag: &str| {
            let tag = tag.trim();
            let quoted = tag.strip_prefix("W/").unwrap_or(tag);
            quoted.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
        };
        Self::These(text.split(',').filter_map(version).collect())
    }

    /// Whether a resource at this version is named.
    pub(crate) fn name(&self, version: i64) -> bool {
        match self {
            Self::None => false,
            Self::Any => true,
            Self::These(versions) => versions.contains(&version),
        }
    }

    /// # Errors
    /// 412 when versions are named, but not this one.
    pub(crate) fn demand(&self, version: i64) -> Result<(), ScimError> {
        if *self == Self::None || self.name(version) {
            return Ok(());
        }
        Err(ScimError::new(StatusCode::PRECONDITION_FAILED, "the resource is at another version"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header;

    #[test]
    fn versions_are_compared_weakly_and_strangers_match_nothing() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, text.parse().unwrap());
            Versions::read(&headers, header::IF_MATCH)
        };
        assert_eq!(of("W/\"3\""), Versions::These(vec![3]));
        assert_eq!(of("\"3\", W/\"4\", \"x\""), Versions::These(vec![3, 4]));
        assert_eq!(of("*"), Versions::Any);
        assert_eq!(of("3"), Versions::These(vec![]));
        assert!(
            of("W/\"3\"").demand(3).is_ok() && of("W/\"3\"").demand(4).is_err() && of("3").demand(3).is_err()
        );
        assert!(Versions::None.demand(3).is_ok() && !Versions::None.name(3));
    }
}
