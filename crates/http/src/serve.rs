//! The connection loop: HTTP/1.1 and HTTP/2 in plain text on one listener, with a bound on everything a client could
//! stretch (ABUSE-CASES AC-58), and an orderly end.

use crate::limits::Limits;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Sleep;
use tower::Service;

/// Serves `site` on `listener` within [`Limits::default`] until `shutdown` is ready; see [`serve_with`].
pub async fn serve(listener: TcpListener, site: impl Site, shutdown: impl Future<Output = ()>) {
    serve_with(listener, site, Limits::default(), shutdown).await;
}

/// What can be served: a [`crate::front::Fronted`] router, or a bare one.
pub trait Site:
    Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> Site for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Serves `site` on `listener` until `shutdown` is ready; then accepts nothing more, lets open requests finish for
/// [`Limits::shutdown_time`], cuts what is left, and returns.
///
/// Each request bears `ConnectInfo<SocketAddr>` of its peer among its extensions.
pub async fn serve_with(
    listener: TcpListener,
    site: impl Site,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let shared = Arc::new(Shared { builder: builder(&limits), site, limits });
    // Each connection holds a receiver, so that the sender knows when the last one has ended.
    let (phase, watching) = watch::channel(Phase::Serving);
    let mut shutdown = pin!(shutdown);
    loop {
        let next = async {
            // The slot first: beyond the limit, connections wait in the kernel's queue.
            let slot = Arc::clone(&slots).acquire_owned().await.ok();
            let (stream, peer) = accept(&listener).await;
            (slot, stream, peer)
        };
        let (slot, stream, peer) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            next = next => next,
        };
        let client = Client { stream, peer, phase: watching.clone(), _slot: slot };
        tokio::spawn(connection(Arc::clone(&shared), client));
    }
    drop((listener, watching));
    phase.send_replace(Phase::Draining);
    if tokio::time::timeout(shared.limits.shutdown_time, phase.closed()).await.is_err() {
        tracing::warn!(
            connections = phase.receiver_count(),
            "open connections are cut at the end of the shutdown time"
        );
        phase.send_replace(Phase::Cut);
        phase.closed().await;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    Draining,
    Cut,
}

struct Shared<S> {
    builder: auto::Builder<TokioExecutor>,
    site: S,
    limits: Limits,
}

struct Client {
    stream: TcpStream,
    peer: SocketAddr,
    phase: watch::Receiver<Phase>,
    _slot: Option<OwnedSemaphorePermit>,
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // hyper refuses a buffer below 8 KiB.
    let head_bytes = limits.head_bytes.max(8 * 1024);
    builder.http1().timer(BeatTimer).header_read_timeout(limits.head_read_time).max_buf_size(head_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.streams)
        .keep_alive_interval(limits.head_read_time)
        .keep_alive_timeout(limits.linger_time);
    builder
}

/// The next connection; waits out the errors of `accept`.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY could not be set");
                }
                return (stream, peer);
            }
            // The peer went away before it was served.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                // Most often there are no file descriptors left: some will be given back soon.
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves one connection to its end.
async fn connection<S: Site>(shared: Arc<Shared<S>>, client: Client) {
    let Client { stream, peer, phase, _slot } = client;
    let limits = &shared.limits;
    let activity = Arc::new(Activity::default());
    let service = {
        let (activity, site) = (Arc::clone(&activity), shared.site.clone());
        service_fn(move |request: hyper::Request<Incoming>| {
            let open = OpenRequest::begin(&activity);
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let running = site.clone().call(request);
            let activity = Arc::clone(&activity);
            async move {
                let answer = running.await;
                drop(open);
                answer.map(|answer| watched(answer, activity))
            }
        })
    };
    let io = TokioIo::new(Opening::new(stream, limits.head_read_time));
    let mut serving = pin!(shared.builder.serve_connection(io, service));
    // Each byte wakes this task. What else it waits for sleeps in a set that polls only what was woken: polled
    // directly, the phase would cost every request a lock that all connections share.
    let mut events = FuturesUnordered::new();
    events.push(phase_change(phase).boxed());
    events.push(idle_check(limits.idle_time).boxed());
    events.push(beat(limits.head_read_time).boxed());
    let mut answered = 0;
    let mut closing = false;
    loop {
        let event = tokio::select! {
            biased;
            ended = serving.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, error = error.as_ref(), "a connection ended with an error");
                }
                return;
            }
            event = events.next() => event,
        };
        match event {
            None | Some(Event::Phase(Phase::Cut, _)) => return,
            Some(Event::Phase(Phase::Serving | Phase::Draining, phase)) => {
                serving.as_mut().graceful_shutdown();
                events.push(phase_change(phase).boxed());
            }
            // That this task was woken is all it takes.
            Some(Event::Beat) => events.push(beat(limits.head_read_time).boxed()),
            Some(Event::IdleCheck) => {
                let now_answered = activity.answered.load(Ordering::Relaxed);
                let idle = now_answered == answered && activity.open.load(Ordering::Relaxed) == 0;
                if idle && closing {
                    return;
                }
                if idle {
                    serving.as_mut().graceful_shutdown();
                }
                closing = idle;
                answered = now_answered;
                let next = if idle { limits.linger_time } else { limits.idle_time };
                events.push(idle_check(next).boxed());
            }
        }
    }
}

/// What happens to a connection from outside.
enum Event {
    Phase(Phase, watch::Receiver<Phase>),
    IdleCheck,
    /// Time to look at the timers of [`BeatTimer`].
    Beat,
}

async fn phase_change(mut phase: watch::Receiver<Phase>) -> Event {
    let changed = phase.changed().await;
    // Without its sender the server is gone.
    let now = if changed.is_ok() { *phase.borrow_and_update() } else { Phase::Cut };
    Event::Phase(now, phase)
}

async fn idle_check(after: Duration) -> Event {
    tokio::time::sleep(after).await;
    Event::IdleCheck
}

async fn beat(head_read_time: Duration) -> Event {
    tokio::time::sleep(head_read_time / 4).await;
    Event::Beat
}

/// The timer of hyper's wait for a request head, which it sets and clears for each request. It wakes nobody: each
/// connection wakes itself four times within that wait and then looks at the clock. An entry in the runtime's timer for
/// each request cost a tenth of what surrounds a small one.
#[derive(Debug, Clone, Copy)]
struct BeatTimer;

/// Ready when it is looked at after the deadline.
struct BeatSleep(Instant);

impl Future for BeatSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl hyper::rt::Sleep for BeatSleep {}

impl hyper::rt::Timer for BeatTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(BeatSleep(deadline))
    }
}

/// What a connection is doing: by this the idle check tells a slow handler from a silent client.
#[derive(Default)]
struct Activity {
    open: AtomicU64,
    answered: AtomicU64,
}

/// A request being handled; its end is counted however it ends.
struct OpenRequest(Arc<Activity>);

impl OpenRequest {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.answered.fetch_add(1, Ordering::Relaxed);
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Marks an answer whose body goes on for as long as it likes: a stream of events, an export. Among the answer's
/// extensions, it lets each piece that the client takes count as life of the connection. A client that takes none for
/// [`Limits::idle_time`] is cut like any other, so such a body sends a sign of life now and then.
#[derive(Debug, Clone, Copy)]
pub struct LongAnswer;

/// An answer whose pieces are counted, if it is marked as a long one.
fn watched(answer: Response, activity: Arc<Activity>) -> Response {
    if answer.extensions().get::<LongAnswer>().is_none() {
        return answer;
    }
    answer.map(|body| {
        Body::new(body.map_frame(move |frame| {
            activity.answered.fetch_add(1, Ordering::Relaxed);
            frame
        }))
    })
}

/// What an HTTP/2 client says first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection whose first bytes must come in time. hyper's own time-out starts when it knows the protocol, so a
/// client that says nothing, or half a preface, would otherwise hold its connection for ever.
struct Opening {
    stream: TcpStream,
    /// The bytes of the preface seen, and the end of the patience; none once the protocol is known.
    pending: Option<(usize, Pin<Box<Sleep>>)>,
}

impl Opening {
    fn new(stream: TcpStream, patience: Duration) -> Self {
        Self { stream, pending: Some((0, Box::pin(tokio::time::sleep(patience)))) }
    }
}

impl AsyncRead for Opening {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        let Some((seen, patience)) = &mut this.pending else { return polled };
        if polled.is_pending() && patience.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let fresh = buf.filled().get(before..).unwrap_or_default();
        let awaited = PREFACE.get(*seen..).unwrap_or_default();
        // Known: the preface is whole, or what came is not the preface.
        if fresh.len() >= awaited.len() || !awaited.starts_with(fresh) {
            this.pending = None;
        } else {
            *seen += fresh.len();
        }
        polled
    }
}

impl AsyncWrite for Opening {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
