//! What a browser is sent through: authorization requests, and RP-initiated logout.

use crate::answer;
use crate::params::{Form, Given, Query};
use crate::state::{Arrival, OidcState, prefix};
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use keyreeve_base::Origin;
use keyreeve_http::browser::{ErrorPage, FormPost, TenantCookies, path};
use keyreeve_http::csrf::browser_nonce;
use keyreeve_http::params::{ParamError, Params, StrictForm, StrictQuery};
use keyreeve_identity::{Admitted, Tenant};
use keyreeve_tokens::logout::{Logout, LogoutRequest};
use keyreeve_tokens::{Authorize, Browser, Error, Redirect, ResponseMode};
use std::sync::Arc;

/// Where authorization requests go, below an issuer.
pub(crate) const AUTHORIZE: &str = "/authorize";
/// Where logout requests go.
pub(crate) const END_SESSION: &str = "/end-session";

/// The longest address to which a browser is sent with the parameters that it posted, in bytes: what proxies bear.
const MAX_CARRIED_BYTES: usize = 6_000;

/// `GET /authorize`.
pub(crate) async fn authorize_get(visit: Visit, query: Result<Query, ParamError>) -> Response {
    match query {
        Ok(Query(params)) => visit.authorize(&params).await,
        Err(error) => visit.bad_params(&error),
    }
}

/// `POST /authorize`: the same parameters in a form (OpenID Connect Core section 3.1.2.1).
pub(crate) async fn authorize_post(visit: Visit, form: Result<Form, ParamError>) -> Response {
    match form {
        Ok(Form(params)) => match visit.once_more_by_get(AUTHORIZE, &params) {
            Some(response) => response,
            None => visit.authorize(&params).await,
        },
        Err(error) => visit.bad_params(&error),
    }
}

/// `GET /authorize/resume`: on from the sign-in page.
pub(crate) async fn resume(visit: Visit, query: Result<StrictQuery, ParamError>) -> Response {
    let request = query.and_then(|StrictQuery(mut params)| {
        params.take(path::REQUEST).ok_or_else(|| ParamError::Missing(path::REQUEST.into()))
    });
    match request {
        Ok(request) => {
            let outcome = visit.state.tokens().resume(&visit.tenant, &request, visit.browser()).await;
            visit.answer(outcome)
        }
        Err(error) => visit.bad_params(&error),
    }
}

/// `GET /end-session` (OpenID Connect RP-Initiated Logout 1.0 section 2).
pub(crate) async fn end_session_get(visit: Visit, query: Result<StrictQuery, ParamError>) -> Response {
    match query {
        Ok(StrictQuery(params)) => visit.end_session(&params).await,
        Err(error) => visit.bad_params(&error),
    }
}

/// `POST /end-session`.
pub(crate) async fn end_session_post(visit: Visit, form: Result<StrictForm, ParamError>) -> Response {
    match form {
        Ok(StrictForm(params)) => match visit.once_more_by_get(END_SESSION, &params) {
            Some(response) => response,
            None => visit.end_session(&params).await,
        },
        Err(error) => visit.bad_params(&error),
    }
}

/// One step of a browser at one tenant: who it is, and who is signed in there.
pub(crate) struct Visit {
    state: OidcState,
    tenant: Arc<Tenant>,
    prefix: String,
    cookies: TenantCookies,
    headers: HeaderMap,
    origin: Origin,
    /// The value of the cookie that marks the browser, and whether it still has to be set.
    mark: (String, bool),
    session: Option<Admitted>,
}

impl FromRequestParts<OidcState> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &OidcState) -> Result<Self, Response> {
        let Arrival { name, tenant, origin } = Arrival::from_request_parts(parts, state).await?;
        let cookies = TenantCookies::of(state.cookies(), name.0.as_deref());
        let mark = match cookies.read(&parts.headers, &cookies.browser()) {
            Some(mark) => (mark.to_owned(), false),
            None => (browser_nonce(state.world()), true),
        };
        let session = match cookies.read(&parts.headers, &cookies.session()) {
            Some(cookie) => {
                let admission = state.tokens().identity().admission();
                admission.session(tenant.id, cookie).await.map_err(|error| answer::room(&error.into()))?
            }
            None => None,
        };
        let headers = parts.headers.clone();
        Ok(Self {
            state: state.clone(),
            tenant,
            prefix: prefix(&name),
            cookies,
            headers,
            origin,
            mark,
            session,
        })
    }
}

impl Visit {
    fn browser(&self) -> Browser<'_> {
        Browser { cookie: &self.mark.0, session: self.session.as_ref(), origin: &self.origin }
    }

    async fn authorize(&self, params: &Params) -> Response {
        let outcome = self.state.tokens().authorize(&self.tenant, &Given(params), self.browser()).await;
        self.answer(outcome)
    }

    fn answer(&self, outcome: Result<Authorize, Error>) -> Response {
        match outcome {
            Ok(Authorize::Redirect(redirect)) => self.respond(&redirect),
            Ok(Authorize::SignIn { request, .. }) => self.step(path::SIGN_IN, &request),
            Ok(Authorize::Consent { request, .. }) => self.step(path::CONSENT, &request),
            Ok(Authorize::Device { user_code }) => self.to_device(user_code.as_deref()),
            Ok(Authorize::Fail { error, description }) => self.fail(error, &description),
            Err(error) => answer::room(&error),
        }
    }

    /// Sends the browser to the page where one types the code of a device.
    fn to_device(&self, user_code: Option<&str>) -> Response {
        let page = format!("{}{}{}", self.state.tokens().base_url(), self.prefix, path::DEVICE);
        // User codes are letters and a hyphen.
        let query = user_code.map(|code| format!("?{}={code}", path::USER_CODE)).unwrap_or_default();
        self.see_other(&format!("{page}{query}"))
    }

    /// Sends the authorization response.
    fn respond(&self, redirect: &Redirect) -> Response {
        match redirect.mode {
            ResponseMode::Query => self.see_other(&redirect.location()),
            ResponseMode::FormPost => {
                let page = FormPost { prefix: &self.prefix, action: &redirect.uri, fields: &redirect.params };
                self.marked(self.state.pages().form_post(&self.headers, &page))
            }
        }
    }

    /// Sends the browser to one of our pages, with the sealed request.
    fn step(&self, page: &str, request: &str) -> Response {
        // Below the public URL, like every link: the Host header has no say (AC-20). Sealed texts are base64url.
        let base = self.state.tokens().base_url();
        self.see_other(&format!("{base}{}{page}?{}={request}", self.prefix, path::REQUEST))
    }

    fn see_other(&self, location: &str) -> Response {
        self.marked(see_other(location))
    }

    /// Has a browser that posts without a cookie of ours ask again by GET, with the same parameters.
    ///
    /// With what a page of another site posts, browsers send no `SameSite=Lax` cookie, and any page may post here. Who is
    /// signed in shows only when the browser comes by GET; until then, no cookie that was not seen may be replaced or
    /// removed (ABUSE-CASES AC-19).
    fn once_more_by_get(&self, path: &str, params: &Params) -> Option<Response> {
        if !self.mark.1 || self.shows_session() {
            return None;
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params.iter()).finish();
        let location = format!("{}{}{path}?{query}", self.state.tokens().base_url(), self.prefix);
        (location.len() <= MAX_CARRIED_BYTES).then(|| see_other(&location))
    }

    /// Whether the browser sends a session cookie, of use or not.
    fn shows_session(&self) -> bool {
        self.cookies.read(&self.headers, &self.cookies.session()).is_some()
    }

    /// Sets the cookie that marks the browser, where it has none.
    fn marked(&self, mut response: Response) -> Response {
        let (mark, fresh) = &self.mark;
        if *fresh && let Ok(cookie) = self.cookies.names().set(&self.cookies.browser(), mark, None) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }

    fn bad_params(&self, error: &ParamError) -> Response {
        self.fail("invalid_request", &error.to_string())
    }

    fn fail(&self, error: &str, description: &str) -> Response {
        let page = ErrorPage { prefix: &self.prefix, status: StatusCode::BAD_REQUEST, error, description };
        self.state.pages().error(&self.headers, &page)
    }

    async fn end_session(&self, params: &Params) -> Response {
        let request = LogoutRequest {
            id_token_hint: params.get("id_token_hint"),
            client_id: params.get("client_id"),
            post_logout_redirect_uri: params.get("post_logout_redirect_uri"),
            state: params.get("state"),
        };
        match self.state.tokens().end_session(&self.tenant, request, self.browser()).await {
            Ok(Logout::Confirm { request, .. }) => self.step(path::SIGN_OUT, &request),
            Ok(Logout::Done { redirect }) => {
                let ours =
                    || format!("{}{}{}", self.state.tokens().base_url(), self.prefix, path::SIGNED_OUT);
                let mut response = self.see_other(&redirect.unwrap_or_else(ours));
                if self.shows_session()
                    && let Ok(cookie) = self.cookies.names().clear(&self.cookies.session())
                {
                    response.headers_mut().append(header::SET_COOKIE, cookie);
                }
                response
            }
            Ok(Logout::Fail { error, description }) => self.fail(error, &description),
            Err(error) => answer::room(&error),
        }
    }
}

/// A 303 to an address of ours, or to one that a client registered.
fn see_other(location: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(location) else {
        return answer::internal(&"a redirect is not a header value");
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    response
}
