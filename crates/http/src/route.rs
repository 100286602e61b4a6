//! Route tables: one value from which both the router and the tests that walk every route are made, so that the two
//! cannot drift apart.
//!
//! HEAD is answered wherever GET is; another method on a known path is 405 with `Allow`; an unknown path is 404.

use crate::cors::Cors;
use crate::current;
use crate::metrics::RouteMeter;
use crate::problem::Problem;
use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use metrics::Recorder;
use pin_project_lite::pin_project;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// The path under which every tenanted route is mounted a second time.
pub const TENANT_PREFIX: &str = "/t/{tenant}";

/// What a caller must show. The table only says so; the handler's extractors enforce it, and the tests that walk the
/// table hold them to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guard {
    /// Nothing.
    Public,
    /// A browser session (or a redirect to sign in).
    Browser,
    /// A form post of a browser: its cookie, a CSRF token, and the same origin.
    BrowserForm,
    /// OAuth client authentication (RFC 6749 section 2.3).
    Client,
    /// An access token (RFC 6750).
    Bearer,
    /// An operator's own means (metrics and the like).
    Operator,
}

/// One route: a method on a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSpec {
    /// The method; HEAD is implied by GET.
    pub method: Method,
    /// The whole path with its parameters in braces: `/t/{tenant}/userinfo`.
    pub path: Cow<'static, str>,
    /// What a caller must show.
    pub guard: Guard,
    /// The name in metrics and tests; the same for each mount and method of one use.
    pub name: &'static str,
}

/// What surrounds a handler; filled in after the handler has lost its type.
#[derive(Debug)]
struct Hooks {
    /// The path without the tenant's prefix, for logs.
    path: Arc<str>,
    meter: OnceLock<RouteMeter>,
    cors: OnceLock<Cors>,
    /// For the OPTIONS route of a path with CORS: the methods of the path.
    preflight: Option<HeaderValue>,
}

impl Hooks {
    fn of(spec: &RouteSpec, preflight: Option<HeaderValue>) -> Arc<Self> {
        let path = Arc::from(&*spec.path);
        Arc::new(Self { path, meter: OnceLock::new(), cors: OnceLock::new(), preflight })
    }
}

/// What stands in a table for every method that the path's other routes do not answer: a method that no client sends.
#[must_use]
pub fn any_method() -> Method {
    Method::from_bytes(b"ANY").unwrap_or_default()
}

struct Entry<S> {
    handler: MethodRouter<S>,
    hooks: Arc<Hooks>,
}

/// A table of routes whose handlers take the state `S`.
pub struct Routes<S = ()> {
    specs: Vec<RouteSpec>,
    entries: Vec<Entry<S>>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident $method:ident)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name<H, T>(self, path: &'static str, guard: Guard, name: &'static str, handler: H) -> Self
        where
            H: Handler<T, S>,
            T: 'static,
        {
            let spec = RouteSpec { method: Method::$method, path: Cow::Borrowed(path), guard, name };
            self.with(spec, MethodFilter::$method, None, handler)
        }
    )*};
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self { specs: Vec::new(), entries: Vec::new() }
    }

    methods! {
        /// Adds a GET route (and HEAD).
        get GET
        /// Adds a POST route.
        post POST
        /// Adds a PUT route.
        put PUT
        /// Adds a PATCH route.
        patch PATCH
        /// Adds a DELETE route.
        delete DELETE
    }

    fn with<H, T>(
        mut self,
        spec: RouteSpec,
        filter: MethodFilter,
        preflight: Option<HeaderValue>,
        handler: H,
    ) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let hooks = Hooks::of(&spec, preflight);
        let handler = on(filter, Hooked { handler, hooks: Arc::clone(&hooks) });
        self.specs.push(spec);
        self.entries.push(Entry { handler, hooks });
        self
    }

    /// Adds a route whose path is put together (a dialect's, below its prefix). The method [`any_method`] stands for every
    /// method that no other route of the path answers.
    #[must_use]
    pub fn add<H, T>(mut self, spec: RouteSpec, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        match MethodFilter::try_from(spec.method.clone()) {
            Ok(filter) => self.with(spec, filter, None, handler),
            Err(_) => {
                let hooks = Hooks::of(&spec, None);
                let handler = MethodRouter::new().fallback(Hooked { handler, hooks: Arc::clone(&hooks) });
                self.specs.push(spec);
                self.entries.push(Entry { handler, hooks });
                self
            }
        }
    }

    /// All routes of both tables.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.specs.extend(other.specs);
        self.entries.extend(other.entries);
        self
    }

    /// Every route twice: as it stands, for the default tenant, and below [`TENANT_PREFIX`]. Handlers learn by
    /// [`TenantName`] which it was.
    #[must_use]
    pub fn tenanted(mut self) -> Self {
        for at in 0..self.specs.len() {
            let (Some(spec), Some(entry)) = (self.specs.get(at), self.entries.get(at)) else { continue };
            let below = if spec.path == "/" { "" } else { &spec.path };
            let path = Cow::Owned(format!("{TENANT_PREFIX}{below}"));
            let spec = RouteSpec { path, ..spec.clone() };
            let entry = Entry { handler: entry.handler.clone(), hooks: Arc::clone(&entry.hooks) };
            self.specs.push(spec);
            self.entries.push(entry);
        }
        self
    }

    /// Lets pages of other origins read the answers of all routes so far, and answers their preflight requests.
    /// Routes that have a [`Cors`] already keep it.
    #[must_use]
    pub fn cors(mut self, cors: &Cors) -> Self {
        let mut paths: BTreeMap<Cow<'static, str>, (Vec<Method>, &'static str)> = BTreeMap::new();
        for (spec, entry) in self.specs.iter().zip(&self.entries) {
            if entry.hooks.cors.set(cors.clone()).is_ok() {
                let known = paths.entry(spec.path.clone()).or_insert_with(|| (Vec::new(), spec.name));
                known.0.push(spec.method.clone());
            }
        }
        for (path, (methods, name)) in paths {
            let mut names: Vec<&str> = methods.iter().map(Method::as_str).collect();
            if methods.contains(&Method::GET) {
                names.push("HEAD");
            }
            names.push("OPTIONS");
            let allow = HeaderValue::try_from(names.join(", ")).ok();
            let spec = RouteSpec { method: Method::OPTIONS, path, guard: Guard::Public, name };
            self = self.with(spec, MethodFilter::OPTIONS, allow, async || StatusCode::NO_CONTENT);
            if let Some(entry) = self.entries.last() {
                // A fresh entry has no value yet, so this cannot fail.
                let _ = entry.hooks.cors.set(cors.clone());
            }
        }
        self
    }

    /// Counts and times every route so far in `recorder` (see [`crate::metrics`]); routes measured already stay so.
    #[must_use]
    pub fn measured(self, recorder: &dyn Recorder) -> Self {
        for (spec, entry) in self.specs.iter().zip(&self.entries) {
            entry.hooks.meter.get_or_init(|| RouteMeter::register(recorder, spec));
        }
        self
    }

    /// The table with its state filled in, to be merged with those of other doors.
    #[must_use]
    pub fn with_state<S2>(self, state: S) -> Routes<S2> {
        let fill =
            |entry: Entry<S>| Entry { handler: entry.handler.with_state(state.clone()), hooks: entry.hooks };
        Routes { specs: self.specs, entries: self.entries.into_iter().map(fill).collect() }
    }

    /// All routes, in the order of their addition.
    #[must_use]
    pub fn specs(&self) -> &[RouteSpec] {
        &self.specs
    }

    /// The router.
    ///
    /// # Panics
    /// When two routes have the same method and path, or a path is not in axum's syntax: the table is wrong, and the
    /// server must not start.
    pub fn into_router(self) -> Router<S> {
        let routes = self.specs.into_iter().zip(self.entries);
        routes.fold(Router::new(), |router, (spec, entry)| router.route(&spec.path, entry.handler))
    }
}

impl<S> std::fmt::Debug for Routes<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.specs).finish()
    }
}

/// A handler within its hooks. It wraps the handler's own future, so that measuring costs no allocation.
#[derive(Clone)]
struct Hooked<H> {
    handler: H,
    hooks: Arc<Hooks>,
}

impl<H, T, S> Handler<T, S> for Hooked<H>
where
    H: Handler<T, S>,
{
    type Future = HookedFuture<H::Future>;

    fn call(self, request: Request, state: S) -> Self::Future {
        let origin = self.hooks.cors.get().and_then(|_| request.headers().get(header::ORIGIN).cloned());
        // A latency is no moment in time: it is read from the monotonic clock and shown to nobody but the metrics.
        let start = self.hooks.meter.get().map(|_| Instant::now());
        HookedFuture { inner: self.handler.call(request, state), hooks: self.hooks, origin, start }
    }
}

pin_project! {
    struct HookedFuture<F> {
        #[pin]
        inner: F,
        hooks: Arc<Hooks>,
        origin: Option<HeaderValue>,
        start: Option<Instant>,
    }
}

impl<F: Future<Output = Response>> Future for HookedFuture<F> {
    type Output = Response;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx));
        if let Some(cors) = this.hooks.cors.get() {
            cors.apply(this.origin.as_ref(), response.headers_mut());
        }
        if let Some(methods) = &this.hooks.preflight {
            if let Some(cors) = this.hooks.cors.get() {
                cors.apply_preflight(methods, response.headers_mut());
            }
            response.headers_mut().insert(header::ALLOW, methods.clone());
        }
        if current::is_heard() {
            current::met(&this.hooks.path);
        }
        if let (Some(meter), Some(start)) = (this.hooks.meter.get(), *this.start) {
            meter.record(response.status(), start.elapsed());
        }
        Poll::Ready(response)
    }
}

/// The tenant that the path names, where the route is mounted below [`TENANT_PREFIX`]; none for the default tenant.
/// The text is percent-decoded and otherwise as sent: the door asks the room whether there is such a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantName(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for TenantName {
    type Rejection = Response;

    /// 404 when the path is not UTF-8; it must not pass for the default tenant's.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        use axum::extract::rejection::RawPathParamsRejection as Rejection;
        match RawPathParams::from_request_parts(parts, state).await {
            Ok(params) => {
                let tenant = params.iter().find(|(name, _)| *name == "tenant");
                Ok(Self(tenant.map(|(_, value)| value.to_owned())))
            }
            Err(Rejection::InvalidUtf8InPathParam(_)) => {
                Err(Problem::of(StatusCode::NOT_FOUND).into_response())
            }
            Err(_) => Ok(Self(None)),
        }
    }
}
