//! The installation that this process has open, asked by its operator: the same router, without the network.

use super::{Call, Pieces, Reply};
use crate::App;
use crate::cli::exit::{Exit, Failure};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Limited};
use keyreeve_api::Operator;
use keyreeve_fetch::Broken;
use serde_json::Value;
use tokio::sync::mpsc::Receiver;
use tower::ServiceExt as _;

/// The largest answer, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

pub(super) async fn send(app: &App, tenant: &str, call: Call) -> Result<Reply, Failure> {
    let answer = ask(app, tenant, call, "application/json").await?;
    let (head, body) = answer.into_parts();
    let bytes = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|error| failed(&error))?;
    let bytes = bytes.to_bytes();
    let body = if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&bytes).map_err(|error| failed(&error))?
    };
    Ok(Reply { status: head.status, headers: head.headers, body })
}

/// The same for an answer that is read as it comes.
pub(super) async fn open(
    app: &App,
    tenant: &str,
    call: Call,
    accept: &'static str,
) -> Result<Pieces, Failure> {
    opened(ask(app, tenant, call, accept).await?).await
}

/// The pieces of a good answer.
async fn opened(answer: Response<Body>) -> Result<Pieces, Failure> {
    let (head, body) = answer.into_parts();
    if head.status.is_success() {
        return Ok(Pieces::Here(body));
    }
    let bytes = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|error| failed(&error))?;
    let body = serde_json::from_slice(&bytes.to_bytes()).unwrap_or_default();
    Err(Reply { status: head.status, headers: head.headers, body }.failure())
}

/// Sends lines as they come, and answers with lines as they come.
pub(super) async fn send_lines(
    app: &App,
    tenant: &str,
    call: Call,
    lines: Receiver<Result<Bytes, Broken>>,
) -> Result<Pieces, Failure> {
    let lines = futures_util::stream::unfold(lines, async |mut lines| {
        let piece = lines.recv().await?;
        Some((piece, lines))
    });
    let uri = format!("{}/api/v1{}", super::elsewhere::issuer("", tenant), call.target());
    let request = Request::builder().method(call.method.clone()).uri(uri);
    let request = request.header(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    let request = request.extension(Operator::of_the_machine()).body(Body::from_stream(lines));
    let request = request.map_err(|_| Failure::usage(format!("{:?} is not a path of the API", call.path)))?;
    opened(app.router().oneshot(request).await.map_err(|error| failed(&error))?).await
}

async fn ask(app: &App, tenant: &str, call: Call, accept: &'static str) -> Result<Response<Body>, Failure> {
    let uri = format!("{}/api/v1{}", super::elsewhere::issuer("", tenant), call.target());
    let mut request = Request::builder().method(call.method.clone()).uri(uri).header(header::ACCEPT, accept);
    if let Some(version) = call.version {
        request = request.header(header::IF_MATCH, format!("\"{version}\""));
    }
    let body = match &call.body {
        None => Body::empty(),
        Some(document) => {
            let kind = if call.method == Method::PATCH {
                "application/merge-patch+json"
            } else {
                "application/json"
            };
            request = request.header(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            Body::from(serde_json::to_vec(document).map_err(|error| failed(&error))?)
        }
    };
    // What makes the caller the operator: no request from the network can hold it.
    let request = request.extension(Operator::of_the_machine()).body(body);
    let request = request.map_err(|_| Failure::usage(format!("{:?} is not a path of the API", call.path)))?;
    app.router().oneshot(request).await.map_err(|error| failed(&error))
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}
