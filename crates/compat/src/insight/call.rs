//! What every request goes through: who the caller is, and whether that is enough.

use super::failure::{Failure, Trace};
use super::reply::Answer;
use super::{COOKIE, Insight};
use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request};
use axum::handler::Handler;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use keyreeve_base::{Origin, SessionId, TenantId, Timestamp};
use keyreeve_http::body;
use keyreeve_http::origin::ClientOrigin;
use keyreeve_identity::{Cause, User};
use std::pin::Pin;
use std::sync::Arc;

/// The longest body that is read, in bytes.
const MAX_BODY: usize = 8 * 1024;

/// What a caller must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Nothing.
    Open,
    /// A session cookie or a bearer token.
    Caller,
    /// A session cookie: what outlives a token is not for tokens to make or to end.
    Session,
    /// A bearer token, which is what the answer is about.
    Bearer,
}

/// Somebody whose credential is good.
pub(super) struct Caller {
    pub(super) user: Arc<User>,
    pub(super) session: SessionId,
    /// When the bearer token ends; none for a cookie.
    pub(super) token_until: Option<Timestamp>,
}

/// A request that may go on to its operation.
pub(super) struct Call {
    pub(super) insight: Insight,
    pub(super) tenant: TenantId,
    pub(super) headers: HeaderMap,
    pub(super) origin: Origin,
    body: Body,
    caller: Option<Caller>,
}

impl Call {
    /// Whoever calls; the access that the operation demands has seen to it that there is somebody.
    pub(super) fn caller(&self) -> Result<&Caller, Failure> {
        self.caller.as_ref().ok_or(Failure::Unauthenticated)
    }

    /// Who makes a change.
    pub(super) fn cause(&self) -> Result<Cause, Failure> {
        Ok(Cause::user(self.caller()?.user.id, self.origin.clone()))
    }

    /// The value of the session cookie.
    pub(super) fn cookie(&self) -> Option<&str> {
        self.insight.cookies().read(&self.headers, COOKIE)
    }

    /// The body, which must be of one of these media types (in lower case).
    pub(super) async fn body(&mut self, kinds: &[&str]) -> Result<Bytes, Failure> {
        let body = std::mem::replace(&mut self.body, Body::empty());
        Ok(body::read(&self.headers, body, kinds, MAX_BODY).await?)
    }

    /// The same where there need not be one.
    pub(super) async fn optional_body(&mut self, kinds: &[&str]) -> Result<Bytes, Failure> {
        use axum::body::HttpBody as _;
        let is_absent = self.body.is_end_stream() || self.body.size_hint().exact() == Some(0);
        if is_absent && !self.headers.contains_key(header::CONTENT_TYPE) {
            return Ok(Bytes::new());
        }
        self.body(kinds).await
    }
}

/// An operation behind what every request goes through.
#[derive(Clone)]
pub(super) struct Entry<F> {
    access: Access,
    operation: F,
}

impl<F> Entry<F> {
    pub(super) const fn new(access: Access, operation: F) -> Self {
        Self { access, operation }
    }
}

impl<F, Fut> Handler<(), Insight> for Entry<F>
where
    F: Fn(Call) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send,
{
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, insight: Insight) -> Self::Future {
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let origin = ClientOrigin::from_request_parts(&mut parts, &()).await;
            let (world, headers) = (insight.world().clone(), parts.headers);
            // Only an error has a place for it, and the headers go with the call.
            let sent = headers.clone();
            let answer = match origin {
                Ok(ClientOrigin(origin)) => {
                    let (access, method) = (self.access, parts.method);
                    match admitted((insight, origin), (method, headers, body), access).await {
                        Ok(call) => (self.operation)(call).await,
                        Err(failure) => Err(failure),
                    }
                }
                Err(_) => Err(Failure::Internal),
            };
            answer
                .unwrap_or_else(|failure| failure.reply(&Trace::of(&sent, &world), world.now()))
                .into_response()
        })
    }
}

/// Everything that stands before the operation.
async fn admitted(
    (insight, origin): (Insight, Origin),
    (method, headers, body): (Method, HeaderMap, Body),
    access: Access,
) -> Result<Call, Failure> {
    let tenant = insight.tenant().await?;
    let mut call = Call { insight, tenant, headers, origin, body, caller: None };
    if access == Access::Open {
        return Ok(call);
    }
    let caller = if call.headers.contains_key(header::AUTHORIZATION) {
        let token = bearer(&call.headers).ok_or(Failure::Unauthenticated)?;
        let caller = call.insight.of_token(tenant, token).await?.ok_or(Failure::Unauthenticated)?;
        if access == Access::Session {
            return Err(Failure::Forbidden("A bearer token does not open this; sign in"));
        }
        caller
    } else {
        let cookie = call.cookie().filter(|_| access != Access::Bearer).ok_or(Failure::Unauthenticated)?;
        let caller = call.insight.of_cookie(tenant, cookie).await?.ok_or(Failure::Unauthenticated)?;
        if !matches!(method, Method::GET | Method::HEAD) {
            same_site(&call.headers)?;
            // No form can send it, and no page of another origin may (AC-60).
            if !call.headers.contains_key("x-requested-with") {
                return Err(Failure::Forbidden("Send the header X-Requested-With beside the session cookie"));
            }
        }
        caller
    };
    call.caller = Some(caller);
    Ok(call)
}

/// Refuses what a browser says comes from a page of another site.
pub(super) fn same_site(headers: &HeaderMap) -> Result<(), Failure> {
    match headers.get("sec-fetch-site").map(http::HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(Failure::Forbidden("A page of another site may not do this")),
    }
}

/// The one bearer token of a request (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}
