//! What surrounds every answer: a request identifier, the body limit, the time limit, the answer to a panic, and the
//! security headers; one layer, so that its cost is paid once.

use crate::current;
use crate::limits::{MAX_BODY_BYTES, REQUEST_TIME};
use crate::origin::{RequestContext, RequestId, RequestIds, TrustedProxies};
use crate::patience::{Within, within};
use crate::problem::Problem;
use crate::security_headers::SecurityHeaders;
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use futures_util::FutureExt as _;
use futures_util::future::CatchUnwind;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::Limited;
use keyreeve_base::World;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tracing::Span;
use tracing::field::Empty;
use url::Url;

/// The name of the header that carries the request identifier in every answer.
pub const REQUEST_ID: http::HeaderName = http::HeaderName::from_static("x-request-id");

/// About as many headers as every answer gets here and in its route. A handler that builds a header map makes room for
/// them beforehand, so that it need not grow.
pub const ADDED_HEADERS: usize = 6;

/// Which paths take a body that is read as it comes, and how long that may be.
type Streams = (fn(&str) -> bool, u64);

/// The target of the span of a request, which is made where traces are carried out of the process. Its lines in the log
/// bear the identifier without it (see [`current::request_id`]).
pub const REQUEST_SPAN: &str = "keyreeve::request";

/// The target of the line that is logged for each request; a filter can leave it out.
const ACCESS: &str = "keyreeve::access";

/// Who else wants to know of the span of a request: whatever carries traces out of the process.
pub trait Traces: Send + Sync + 'static {
    /// A request begins. `headers` are those of the request if they come from a proxy that is trusted, so that they may say
    /// which trace the request belongs to (W3C Trace Context); a stranger's may not.
    fn begin(&self, span: &Span, headers: Option<&HeaderMap>);
}

/// The outermost layer of a router.
pub struct Front {
    ids: RequestIds,
    proxies: Arc<TrustedProxies>,
    headers: SecurityHeaders,
    body_bytes: u64,
    /// Which paths take a body of any length, and how long that is.
    streams: Option<Streams>,
    request_time: Duration,
    traces: Option<Arc<dyn Traces>>,
    /// Who knows methods that HTTP has not.
    understands: Option<fn(&mut Request)>,
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").field("proxies", &self.proxies).finish_non_exhaustive()
    }
}

impl Front {
    /// The layer of a server with this public URL behind these proxies.
    #[must_use]
    pub fn new(world: &World, public_url: &Url, proxies: TrustedProxies) -> Self {
        Self {
            ids: RequestIds::new(world),
            proxies: Arc::new(proxies),
            headers: SecurityHeaders::of(public_url),
            body_bytes: MAX_BODY_BYTES,
            streams: None,
            request_time: REQUEST_TIME,
            traces: None,
            understands: None,
        }
    }

    /// With somebody who carries traces out of the process.
    #[must_use]
    pub fn traced(mut self, traces: Option<Arc<dyn Traces>>) -> Self {
        self.traces = traces;
        self
    }

    /// The span of a request, where somebody carries traces out of the process.
    fn span(&self, id: RequestId, request: &Request) -> Option<Span> {
        let traces = self.traces.as_ref()?;
        let span = tracing::error_span!(
            target: REQUEST_SPAN,
            "request",
            request_id = id.as_str(),
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = request.method().as_str(),
            http.route = Empty,
            http.response.status_code = Empty,
        );
        if span.is_disabled() {
            return None;
        }
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let trusted = peer.is_some_and(|peer| self.proxies.trusts(peer.0.ip().to_canonical()));
        traces.begin(&span, trusted.then(|| request.headers()));
        Some(span)
    }

    /// With another limit for request bodies than [`MAX_BODY_BYTES`].
    #[must_use]
    pub fn body_bytes(mut self, limit: u64) -> Self {
        self.body_bytes = limit;
        self
    }

    /// With another limit for the request bodies of the paths that read theirs as it comes.
    #[must_use]
    pub fn streams(mut self, is: fn(&str) -> bool, limit: u64) -> Self {
        self.streams = Some((is, limit));
        self
    }

    /// With somebody who is shown requests of methods that HTTP has not, before they are routed, and may make others of them.
    #[must_use]
    pub fn understanding(mut self, understands: fn(&mut Request)) -> Self {
        self.understands = Some(understands);
        self
    }

    /// With another time limit for requests than [`REQUEST_TIME`].
    #[must_use]
    pub fn request_time(mut self, limit: Duration) -> Self {
        self.request_time = limit;
        self
    }

    /// The router within this layer. Everything is inside: routes, 404 and 405 too.
    #[must_use]
    pub fn wrap(self, router: Router) -> Fronted {
        Fronted { front: Arc::new(self), router }
    }

    /// Refuses a body that says it is too long, and bounds the reading of one that does not say.
    fn limit_body(&self, body: &mut Body, path: &str) -> Result<(), Box<Problem>> {
        let own = self.streams.filter(|(is, _)| is(path));
        let longest = own.map_or(self.body_bytes, |(_, longest)| longest);
        let hint = body.size_hint();
        if hint.upper().is_some_and(|upper| upper <= longest) {
            return Ok(());
        }
        if hint.lower() > longest {
            let detail = format!("the request body is longer than {longest} bytes");
            return Err(Box::new(Problem::of(StatusCode::PAYLOAD_TOO_LARGE).detail(detail)));
        }
        let limit = usize::try_from(longest).unwrap_or(usize::MAX);
        *body = Body::new(Limited::new(std::mem::take(body), limit));
        Ok(())
    }
}

/// A router within its [`Front`]: what [`crate::serve::serve`] serves. Around the router and not a layer of it, which
/// axum would box and clone for each request once more. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fronted {
    front: Arc<Front>,
    router: Router,
}

impl tower::Service<Request> for Fronted {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Answering {
        let front = &self.front;
        if let Some(understands) = front.understands
            && !is_known(request.method())
        {
            understands(&mut request);
        }
        let id = front.ids.next();
        let span = front.span(id, &request);
        // A latency is no moment in time: it is read from the monotonic clock.
        let since = current::is_heard().then(Instant::now);
        let context = RequestContext { id, proxies: Arc::clone(&front.proxies) };
        request.extensions_mut().insert(context);
        let about = About { id, method: request.method().clone(), uri: request.uri().clone() };
        // What runs before the first await runs within the request as well.
        let entered = (current::enter(id), span.as_ref().map(Span::enter));
        let running = match front.limit_body(request.body_mut(), about.uri.path()) {
            // What a handler leaves behind when it panics is what it leaves behind when its client goes away: the
            // transaction it was in is rolled back when dropped.
            Ok(()) => Running::Handler {
                handler: within(
                    front.request_time,
                    AssertUnwindSafe(self.router.call(request)).catch_unwind(),
                ),
            },
            Err(problem) => Running::Refused { problem },
        };
        drop(entered);
        Answering { running, headers: front.headers, about, since, span }
    }
}

/// Whether HTTP has this method (RFC 9110 section 9, RFC 5789).
fn is_known(method: &Method) -> bool {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::TRACE,
        Method::CONNECT,
    ];
    KNOWN.contains(method)
}

/// What is known of a request when its handler fails.
#[derive(Debug)]
struct About {
    id: RequestId,
    method: Method,
    uri: Uri,
}

impl About {
    /// Logs the line of a request that began `since`, and completes its span.
    fn answered(&self, since: Instant, span: Option<&Span>, answer: &Response) {
        let met = current::take_met();
        let route = met.as_deref().unwrap_or("-");
        let (method, status) = (self.method.as_str(), answer.status().as_u16());
        let us = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::info!(target: ACCESS, method, route, status, us, "answered");
        if let Some(span) = span {
            span.record("http.route", route).record("http.response.status_code", status);
            if answer.status().is_server_error() {
                span.record("otel.status_code", "ERROR");
            }
        }
    }
}

pin_project! {
    #[project = RunningProjection]
    enum Running {
        Handler { #[pin] handler: Within<CatchUnwind<AssertUnwindSafe<RouteFuture<Infallible>>>> },
        Refused { problem: Box<Problem> },
    }
}

pin_project! {
    /// The answer of a [`Fronted`] router under way.
    // Written out, since it is moved for each request: as an async block it would hold the handler's future thrice.
    pub struct Answering {
        #[pin]
        running: Running,
        headers: SecurityHeaders,
        about: About,
        since: Option<Instant>,
        span: Option<Span>,
    }
}

impl Future for Answering {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let entered = (current::enter(this.about.id), this.span.as_ref().map(Span::enter));
        let mut answer = match this.running.project() {
            RunningProjection::Handler { handler } => match ready!(handler.poll(cx)) {
                Some(Ok(Ok(answer))) => answer,
                Some(Err(_panic)) => panicked(this.about),
                None => too_slow(this.about),
            },
            RunningProjection::Refused { problem } => problem.clone().into_response(),
        };
        if let Some(since) = *this.since {
            this.about.answered(since, this.span.as_ref(), &answer);
        }
        drop(entered);
        // Grown once, not at each step, for what is added here.
        answer.headers_mut().reserve(ADDED_HEADERS);
        this.headers.apply(answer.headers_mut());
        if let Ok(id) = HeaderValue::from_str(this.about.id.as_str()) {
            // One is there already where a standard wants the caller's own.
            answer.headers_mut().entry(REQUEST_ID).or_insert(id);
        }
        Poll::Ready(Ok(answer))
    }
}

impl std::fmt::Debug for Answering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answering").field("about", &self.about).finish_non_exhaustive()
    }
}

// Both log the path alone: a query may hold what no log may.

fn panicked(About { method, uri, .. }: &About) -> Response {
    tracing::error!(%method, path = uri.path(), "a handler panicked");
    Problem::of(StatusCode::INTERNAL_SERVER_ERROR).into_response()
}

fn too_slow(About { method, uri, .. }: &About) -> Response {
    tracing::warn!(%method, path = uri.path(), "a request took too long");
    let wait = [(header::RETRY_AFTER, HeaderValue::from_static("5"))];
    (wait, Problem::of(StatusCode::SERVICE_UNAVAILABLE)).into_response()
}
