//! What reading a secret costs over HTTP.

use crate::load::{self, Same, Script, Scripts};
use crate::report::Report;
use crate::scenario::{Bench, basic_token, get, get_with};
use crate::server::Server;
use anyhow::{Context, Result};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use std::sync::Arc;

/// A request with a JSON document.
fn post(path: &str, bearer: &str, document: &Value) -> Result<Request<Full<Bytes>>> {
    let request = Request::post(path)
        .header("host", "bench")
        .header("authorization", bearer)
        .header("content-type", "application/json");
    Ok(request.body(Full::from(document.to_string()))?)
}

/// Reads a key/value secret of 1 KiB, which is recorded durably each time, and what is known of it, which is not: the
/// difference between the two is the audit write and the opening.
pub async fn measure(bench: &Bench<'_>, server: &Server, report: &mut Report) -> Result<()> {
    let bearer = basic_token(bench).await?;
    let mut connection = load::connect(server.address).await?;
    let data = json!({"value": "v".repeat(1_000)});
    let new = json!({"kind": "key_value", "name": "bench", "value": {"data": data}});
    let (status, body) = load::send(&mut connection, post("/api/v1/secrets", &bearer, &new)?).await?;
    anyhow::ensure!(status == 201, "a secret: {status} {}", String::from_utf8_lossy(&body));
    let made: Value = serde_json::from_slice(&body)?;
    let path = format!("/api/v1/secrets/{}", made.get("id").and_then(Value::as_str).context("no id")?);
    let bare = Server::bare().await?;
    let scripts = |make: &dyn Fn() -> Result<Request<Full<Bytes>>>| -> Result<Scripts> {
        let script = |_| {
            let request = make()?;
            Ok(Box::new(Same { make: Arc::new(move || Ok(request.clone())) }) as Box<dyn Script>)
        };
        (0..bench.plan.connections).map(script).collect()
    };
    let read = scripts(&|| post(&format!("{path}/read"), &bearer, &json!({})))?;
    let floor = || scripts(&|| get("/bare"));
    let rounds = bench.beside_of((&bare, floor()?), (server, read)).await?;
    report.operation("key/value secret of 1 KiB read, audited durably", rounds, 12.0);
    let known = scripts(&|| get_with(&path, &bearer))?;
    let rounds = bench.beside_of((&bare, floor()?), (server, known)).await?;
    report.operation("the same secret without its value, not audited", rounds, 4.0);
    bare.stop().await
}
