//! One request of one browser at one tenant.

use super::state::WebState;
use super::stop::{self, Stop, see_other, with_policy};
use crate::pages::{self, Application, Chrome, PRODUCT, Template};
use crate::texts::Locale;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use keyreeve_base::Origin;
use keyreeve_http::browser::{TenantCookies, path};
use keyreeve_http::csrf::{self, browser_nonce};
use keyreeve_http::origin::ClientOrigin;
use keyreeve_http::route::TenantName;
use keyreeve_http::security_headers::Csp;
use keyreeve_identity::{Admitted, DEFAULT_SLUG, Tenant, User};
use keyreeve_tokens::{Browser, Client, Preview};
use std::sync::Arc;
use url::Url;

/// The name that a tenant has when nobody has given it one.
const UNNAMED: &str = "Default";

/// Who asks, where, and how to answer.
pub(crate) struct Visit {
    pub(crate) state: WebState,
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) headers: HeaderMap,
    pub(crate) origin: Origin,
    pub(crate) cookies: TenantCookies,
    /// Who is signed in.
    pub(crate) session: Option<Admitted>,
    /// The path prefix of the tenant: empty, or `/t/SLUG`.
    pub(crate) prefix: String,
    locale: Locale,
    /// The value of the cookie that marks the browser, and whether it still has to be set.
    mark: (String, bool),
    /// Whether a page of another site posts here. Browsers send no cookie with that, so the browser may well have its
    /// mark, and must keep it.
    posted_from_elsewhere: bool,
}

impl FromRequestParts<WebState> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Response> {
        let name = TenantName::from_request_parts(parts, state).await?;
        let ClientOrigin(origin) =
            ClientOrigin::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let locale = locale(&parts.headers, None);
        let stop = |stop: Stop| {
            let chrome = Chrome { locale, brand: PRODUCT, base: "", home: "/" };
            stop.respond(chrome, origin.request_id.as_deref())
        };
        let tenant = match state.identity().tenants().at_path(name.0.as_deref()).await {
            Ok(Some(tenant)) => tenant,
            Ok(None) => return Err(stop(Stop::NotFound)),
            Err(error) => return Err(stop(error.into())),
        };
        let cookies = TenantCookies::of(state.cookies(), name.0.as_deref());
        let mark = match cookies.read(&parts.headers, &cookies.browser()) {
            Some(mark) => (mark.to_owned(), false),
            None => (browser_nonce(state.world()), true),
        };
        let session = match cookies.read(&parts.headers, &cookies.session()) {
            Some(cookie) => {
                let admitted = state.identity().admission().session(tenant.id, cookie).await;
                admitted.map_err(|error| stop(error.into()))?
            }
            None => None,
        };
        let posted_from_elsewhere =
            parts.method == Method::POST && csrf::same_origin(&parts.headers, state.public_url()).is_err();
        Ok(Self {
            state: state.clone(),
            tenant,
            headers: parts.headers.clone(),
            origin,
            cookies,
            session,
            prefix: name.0.map(|slug| format!("/t/{slug}")).unwrap_or_default(),
            locale,
            mark,
            posted_from_elsewhere,
        })
    }
}

/// The language of the answer (see [`Locale::choose`]).
pub(crate) fn locale(headers: &HeaderMap, ui_locales: Option<&str>) -> Locale {
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Locale::choose(ui_locales, accepted)
}

/// A client as pages show it.
pub(crate) fn application(client: &Client) -> Application<'_> {
    Application::new(&client.settings.name, client.settings.client_uri.as_deref())
}

impl Visit {
    /// What surrounds a page.
    pub(crate) fn chrome(&self) -> Chrome<'_> {
        let unnamed = self.tenant.slug == DEFAULT_SLUG && self.tenant.name == UNNAMED;
        let brand = if unnamed { PRODUCT } else { &self.tenant.name };
        Chrome { locale: self.locale, brand, base: "", home: self.home() }
    }

    fn home(&self) -> &str {
        if self.prefix.is_empty() { "/" } else { &self.prefix }
    }

    /// The path of one of our pages.
    pub(crate) fn path(&self, page: &str) -> String {
        format!("{}{page}", self.prefix)
    }

    /// The path of one of our pages with the request that it is for.
    pub(crate) fn path_with(&self, page: &str, request: &str) -> String {
        // Only sealed texts, which are base64url, have come this far unchanged; others are made harmless.
        let request: String = url::form_urlencoded::byte_serialize(request.as_bytes()).collect();
        format!("{}{page}?{}={request}", self.prefix, path::REQUEST)
    }

    /// Whose browser it is, for the tokens room.
    pub(crate) fn browser(&self) -> Browser<'_> {
        Browser { cookie: &self.mark.0, session: self.session.as_ref(), origin: &self.origin }
    }

    pub(crate) fn browser_mark(&self) -> &str {
        &self.mark.0
    }

    /// Whether the browser has shown the cookie that marks it.
    pub(crate) const fn is_known_browser(&self) -> bool {
        !self.mark.1
    }

    /// Speaks the language that a request asks for.
    pub(crate) fn speak(&mut self, ui_locales: Option<&str>) {
        self.locale = locale(&self.headers, ui_locales);
    }

    /// The value of the session cookie, whether or not it is of use.
    pub(crate) fn session_cookie(&self) -> Option<&str> {
        self.cookies.read(&self.headers, &self.cookies.session())
    }

    /// The session and its user; else the browser is sent to sign in, and then back to `request` if there is one.
    pub(crate) fn signed_in(&self, request: Option<&str>) -> Result<(&Admitted, &Arc<User>), Stop> {
        match self.session.as_ref().and_then(|session| session.user().map(|user| (session, user))) {
            Some(found) => Ok(found),
            None => Err(self.to_sign_in(request)?.into()),
        }
    }

    /// Sends the browser to the sign-in page.
    pub(crate) fn to_sign_in(&self, request: Option<&str>) -> Result<Response, Stop> {
        match request {
            Some(request) => self.go(&self.path_with(path::SIGN_IN, request)),
            None => self.go(&self.path(path::SIGN_IN)),
        }
    }

    /// Sends the browser to a path of ours, under the public URL: the `Host` header has no say (ABUSE-CASES AC-20).
    pub(crate) fn go(&self, path: &str) -> Result<Response, Stop> {
        see_other(&format!("{}{path}", self.state.tokens().base_url()))
    }

    /// The waiting request, if the browser names one. From here on the request's language is spoken.
    pub(crate) async fn preview(&mut self, request: Option<&str>) -> Result<Option<Preview>, Stop> {
        let Some(request) = request else { return Ok(None) };
        let tokens = self.state.tokens();
        let Some(preview) = tokens.preview(&self.tenant, request, self.browser()).await? else {
            let device = tokens.open_device_visit(&self.tenant, request, self.browser_mark()).await?;
            // Whoever comes for a device signs in to this server itself.
            return if device.is_some() { Ok(None) } else { Err(Stop::Expired) };
        };
        self.speak(preview.ui_locales.as_deref());
        Ok(Some(preview))
    }

    /// A page whose forms lead to us, and by redirects to `target`.
    pub(crate) fn page(&self, status: StatusCode, page: &impl Template, target: Option<&str>) -> Response {
        let mut policy = Csp::page();
        if let Some(target) = target.and_then(|target| Url::parse(target).ok()) {
            policy = policy.form_target(&target);
        }
        with_policy(pages::respond(status, page), policy)
    }

    /// The answer to this visit: what a handler made, or what stopped it; with the mark for a browser that has none.
    pub(crate) fn settle(&self, outcome: Result<Response, Stop>) -> Response {
        let reference = self.origin.request_id.as_deref();
        let mut response = outcome.unwrap_or_else(|stop| stop.respond(self.chrome(), reference));
        let (mark, fresh) = &self.mark;
        if *fresh
            && !self.posted_from_elsewhere
            && let Ok(cookie) = self.cookies.names().set(&self.cookies.browser(), mark, None)
        {
            stop::set_cookie(&mut response, cookie);
        }
        response
    }

    /// Removes the session cookie.
    pub(crate) fn forget_session(&self, response: &mut Response) -> Result<(), Stop> {
        let cookie = self.cookies.names().clear(&self.cookies.session());
        let cookie: HeaderValue = cookie.map_err(|_| Stop::Internal("a cookie cannot be removed"))?;
        stop::set_cookie(response, cookie);
        Ok(())
    }
}
