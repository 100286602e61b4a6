//! Who calls, where, and under which conditions.

use crate::error::ScimError;
use crate::schema::Resource;
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode, header};
use keyreeve_base::TenantId;
use keyreeve_http::origin::ClientOrigin;
use keyreeve_http::route::TenantName;
use keyreeve_identity::{Authority, Cause, Identity, Subject, Tenant};
use keyreeve_tokens::{Caller, Presentation, Tokens, scope};
use std::sync::Arc;

/// The state of this door's handlers. Cheap to clone.
#[derive(Clone)]
pub struct ScimState(Tokens);

impl ScimState {
    /// The door to this room and the one below it.
    #[must_use]
    pub const fn new(tokens: Tokens) -> Self {
        Self(tokens)
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
        let tenants = state.0.identity().tenants();
        let tenant = tenants.by_slug(&slug).await?.filter(|tenant| tenant.is_active());
        let tenant = tenant.ok_or_else(ScimError::not_found)?;
        let url = format!("{}/scim/v2/{}", state.0.base_url().trim_end_matches('/'), tenant.slug);
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

impl FromRequestParts<ScimState> for Call {
    type Rejection = ScimError;

    async fn from_request_parts(parts: &mut Parts, state: &ScimState) -> Result<Self, ScimError> {
        let base = Base::from_request_parts(parts, state).await?;
        let origin = ClientOrigin::from_request_parts(parts, state).await;
        let ClientOrigin(origin) = origin.map_err(|_| ScimError::internal(&"a request without a front"))?;
        let token = bearer(&parts.headers).ok_or_else(ScimError::unauthorized)?;
        let presented = Presentation::Bearer(token);
        let caller = state.0.caller(&base.tenant, presented, &origin).await;
        let caller = caller.map_err(|error| ScimError::tokens(&error))?.ok_or_else(ScimError::bad_token)?;
        Ok(Self { tokens: state.0.clone(), caller, base: base.url })
    }
}

/// The one access token of a request (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
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
        self.caller.allows(match kind {
            Resource::User => scope::USERS_READ,
            Resource::Group => scope::GROUPS_READ,
        })
    }

    /// Whether the token's scope opens what the user's own resource says.
    pub(crate) fn may_read_own(&self) -> bool {
        self.caller.allows(scope::ME_READ) || self.may_read(Resource::User)
    }

    /// # Errors
    /// 403 unless the token's scope opens reading this kind of resource.
    pub(crate) fn reads(&self, kind: Resource) -> Result<(), ScimError> {
        if self.may_read(kind) { Ok(()) } else { Err(out_of_scope(kind, "read")) }
    }

    /// # Errors
    /// 403 unless the token's scope opens changing this kind of resource.
    pub(crate) fn writes(&self, kind: Resource) -> Result<(), ScimError> {
        let allowed = self.caller.allows(match kind {
            Resource::User => scope::USERS_WRITE,
            Resource::Group => scope::GROUPS_WRITE,
        });
        if allowed { Ok(()) } else { Err(out_of_scope(kind, "write")) }
    }

    /// Where a resource lies.
    pub(crate) fn location(&self, kind: Resource, id: impl std::fmt::Display) -> String {
        format!("{}/{}/{id}", self.base, kind.endpoint())
    }
}

fn out_of_scope(kind: Resource, verb: &str) -> ScimError {
    let what = kind.endpoint().to_ascii_lowercase();
    ScimError::forbidden(format!("the access token lacks the scope keyreeve:{what}:{verb}"))
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

    #[test]
    fn one_token_is_read_and_two_are_not() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(of(&["bearer abc"]).as_deref(), Some("abc"));
        for none in [&[][..], &["Basic abc"], &["Bearer a", "Bearer b"], &["Bearer"]] {
            assert_eq!(of(none), None);
        }
    }
}
