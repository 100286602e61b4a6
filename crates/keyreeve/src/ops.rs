//! What operators and their tools ask: `/healthz`, `/readyz`, `/metrics`.
//!
//! `/metrics` tells how much this server is used and by how many. With `metrics_listen` set it is served there and
//! nowhere else, for whoever can reach that address. Without, it is on the public listener, but only while
//! `public_url` is a loopback address, and only for a peer on this machine that no proxy speaks for: a proxy on the
//! same machine would otherwise make the whole world a local peer.

use crate::App;
use crate::process::Usage;
use axum::Extension;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use keyreeve_http::problem::Problem;
use keyreeve_http::route::{Guard, Routes};
use std::net::SocketAddr;

/// The routes of the public listener.
#[must_use]
pub fn routes(app: &App) -> Routes {
    let routes = Routes::new().get("/healthz", Guard::Public, "healthz", async || "ok\n").get(
        "/readyz",
        Guard::Public,
        "readyz",
        ready,
    );
    let routes = match app.config.metrics_listen {
        Some(_) => routes,
        None => routes.get("/metrics", Guard::Operator, "metrics", metrics_for_this_machine),
    };
    routes.with_state(app.clone())
}

/// The routes of the listener of metrics alone.
#[must_use]
pub fn metrics_routes(app: &App) -> Routes {
    Routes::new().get("/metrics", Guard::Operator, "metrics", metrics_for_all).with_state(app.clone())
}

/// Ready means that the database answers; that its tables are up to date was settled when it was opened.
async fn ready(State(app): State<App>) -> Response {
    match app.store.ping().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            tracing::warn!(%error, "not ready: the database does not answer");
            let wait = [(header::RETRY_AFTER, HeaderValue::from_static("1"))];
            let problem = Problem::of(StatusCode::SERVICE_UNAVAILABLE).detail("the database does not answer");
            (wait, problem).into_response()
        }
    }
}

async fn metrics_for_all(State(app): State<App>) -> Response {
    render(&app)
}

async fn metrics_for_this_machine(
    State(app): State<App>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Response {
    let local = peer.is_some_and(|Extension(ConnectInfo(peer))| peer.ip().to_canonical().is_loopback());
    let forwarded = ["x-forwarded-for", "forwarded", "x-real-ip", "via"];
    if local && app.public_url.is_loopback() && !forwarded.iter().any(|name| headers.contains_key(*name)) {
        render(&app)
    } else {
        // Not 403: from outside there is nothing here.
        Problem::of(StatusCode::NOT_FOUND).into_response()
    }
}

fn render(app: &App) -> Response {
    let Some(recorder) = app.metrics() else {
        return Problem::of(StatusCode::NOT_FOUND).detail("no metrics are recorded").into_response();
    };
    if let Some(usage) = Usage::now() {
        usage.record();
    }
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], recorder.render()).into_response()
}
