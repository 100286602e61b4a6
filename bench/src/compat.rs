//! What the interfaces of other systems cost beside the native doors. IMQS Auth: the same sign-in, and the same question of who
//! somebody is.

mod insight;

use crate::load::{self, Load, Measured, Same, Script, Scripts};
use crate::passwords::sign_ins;
use crate::report::Report;
use crate::scenario::{Bench, PASSWORD, basic};
use crate::server::Server;
use anyhow::{Context, Result};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use std::sync::Arc;

/// The most that the dialect may cost, as a multiple of the native door.
const TARGET: &str = "≤ 1.5 ×";

/// Measures on a server with users.
pub async fn measure(bench: &Bench<'_>, server: &Server, report: &mut Report) -> Result<()> {
    enable(bench, server).await?;
    let native = sign_ins(bench, server).await?;
    let scripts = same(bench, |i| sign_in(&format!("bench-{i}")))?;
    compare(bench, server, report, "sign-in", (native, scripts)).await?;
    let mut cookies = Vec::new();
    for i in 0..bench.plan.connections {
        cookies.push(cookie(server, &format!("bench-{i}")).await?);
    }
    let scripts = same(bench, |i| {
        let cookie = cookies.get(i).map(String::as_str).unwrap_or_default();
        Ok(Request::get("/auth2/check")
            .header("host", "bench")
            .header("cookie", cookie)
            .body(Full::default())?)
    })?;
    compare(bench, server, report, "check", (bench.introspections().await?, scripts)).await?;
    insight::measure(bench, server, report).await
}

/// Puts every user into the group that may sign in; the first use of the interface makes it.
async fn enable(bench: &Bench<'_>, server: &Server) -> Result<()> {
    load::send(&mut load::connect(server.address).await?, sign_in("bench-0")?).await?;
    for i in 0..bench.plan.connections {
        let user = format!("bench-{i}");
        bench.command(&["group", "add", "enabled", &user, "--json"], None).await?;
    }
    Ok(())
}

fn sign_in(user: &str) -> Result<Request<Full<Bytes>>> {
    let request = Request::post("/auth2/login").header("host", "bench").header("content-length", "0");
    Ok(request.header("authorization", basic(user, PASSWORD)).body(Full::default())?)
}

/// The cookie of a new session.
async fn cookie(server: &Server, user: &str) -> Result<String> {
    let mut connection = load::connect(server.address).await?;
    connection.ready().await?;
    let answer = connection.send_request(sign_in(user)?).await?;
    let cookie = answer.headers().get("set-cookie").and_then(|value| value.to_str().ok());
    let pair = cookie.and_then(|text| text.split(';').next());
    Ok(pair.with_context(|| format!("{user} is answered {}", answer.status()))?.to_owned())
}

fn same(bench: &Bench<'_>, make: impl Fn(usize) -> Result<Request<Full<Bytes>>>) -> Result<Scripts> {
    (0..bench.plan.connections)
        .map(|i| {
            let request = make(i)?;
            Ok(Box::new(Same { make: Arc::new(move || Ok(request.clone())) }) as Box<dyn Script>)
        })
        .collect()
}

/// Rounds of the one and of the other, in turns.
async fn compare(
    bench: &Bench<'_>,
    server: &Server,
    report: &mut Report,
    what: &str,
    (native, dialect): (Scripts, Scripts),
) -> Result<()> {
    let mut native = Load::open(server, native).await?;
    let mut dialect = Load::open(server, dialect).await?;
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for _ in 0..bench.plan.rounds {
        own.push(native.round(server, bench.plan).await?);
        other.push(dialect.round(server, bench.plan).await?);
    }
    let (own, other) = (Measured::of(own), Measured::of(other));
    report.fact(&format!("CPU time of a {what}, natively"), own.cpu_us, "µs", None);
    report.fact(&format!("CPU time of a {what}, by IMQS Auth"), other.cpu_us, "µs", None);
    report.fact(
        &format!("{what} by IMQS Auth, beside the native one"),
        other.cpu_us / own.cpu_us,
        "×",
        Some(TARGET),
    );
    Ok(())
}
