//! What the interface of Xpress Insight costs beside the native doors: a sign-in beside that of the page, a token beside a
//! refresh, the question whose a token is beside userinfo.

use super::TARGET;
use crate::load::{self, Load, Script, Scripts, median};
use crate::passwords::sign_ins;
use crate::report::Report;
use crate::scenario::{Bench, PASSWORD, text};
use crate::server::Server;
use anyhow::{Result, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use std::sync::Arc;

const AUTH: &str = "/insightservices/rest/v1/auth";

/// Measures on a server with users.
pub async fn measure(bench: &Bench<'_>, server: &Server, report: &mut Report) -> Result<()> {
    let pairs = pairs(bench, server).await?;
    let (native, own) = (sign_ins(bench, server).await?, insight_sign_ins(bench)?);
    beside((bench, server), ("Xpress Insight, sign-in", "a sign-in page's"), (native, own), report).await?;
    let (native, own) = (bench.refreshers().await?, insight_tokens(&pairs)?);
    beside((bench, server), ("Xpress Insight, token", "a refresh's"), (native, own), report).await?;
    let (native, own) = (bench.userinfos().await?, insight_checks(server, &pairs).await?);
    beside((bench, server), ("Xpress Insight, check", "userinfo's"), (native, own), report).await
}

/// Rounds of one after the other; says what each costs, and the median of their ratios.
async fn beside(
    (bench, server): (&Bench<'_>, &Server),
    (name, of): (&str, &str),
    (native, own): (Scripts, Scripts),
    report: &mut Report,
) -> Result<()> {
    let (mut native, mut own) = (Load::open(server, native).await?, Load::open(server, own).await?);
    let mut rounds = Vec::new();
    for _ in 0..bench.plan.rounds {
        let first = native.round(server, bench.plan).await?.cpu_us;
        rounds.push((first, own.round(server, bench.plan).await?.cpu_us));
    }
    report.fact(&format!("{name}: CPU"), median(rounds.iter().map(|(_, own)| *own)), "µs", None);
    let multiple = median(rounds.iter().map(|(native, own)| own / native));
    report.fact(&format!("{name}, of {of} CPU"), multiple, "×", Some(TARGET));
    Ok(())
}

/// The same request again and again.
fn same(request: Request<Full<Bytes>>) -> Box<dyn Script> {
    Box::new(load::Same { make: Arc::new(move || Ok(request.clone())) })
}

fn post(path: &str, body: &Value, headers: &[(&str, &str)]) -> Result<Request<Full<Bytes>>> {
    let mut request = Request::post(path).header("host", "bench").header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(request.body(Full::from(body.to_string()))?)
}

fn login(i: usize) -> Result<Request<Full<Bytes>>> {
    let body = json!({"username": format!("bench-{i}"), "password": PASSWORD});
    post("/insightservices/login", &body, &[])
}

fn token(pair: &Value, max_age: u32) -> Result<Request<Full<Bytes>>> {
    let (client_id, secret) = (text(pair, "clientId")?, text(pair, "secret")?);
    let body = json!({"clientId": client_id, "secret": secret, "maxAge": max_age});
    post(&format!("{AUTH}/token"), &body, &[])
}

/// A pair of each user's.
async fn pairs(bench: &Bench<'_>, server: &Server) -> Result<Vec<Value>> {
    let mut connection = load::connect(server.address).await?;
    let mut pairs = Vec::new();
    for i in 0..bench.plan.connections {
        connection.ready().await?;
        let answer = connection.send_request(login(i)?).await?;
        let cookie = answer.headers().get("set-cookie").and_then(|value| value.to_str().ok());
        let Some(cookie) = cookie.and_then(|value| value.split(';').next()).map(str::to_owned) else {
            bail!("a sign-in answered {}", answer.status());
        };
        answer.into_body().collect().await?;
        let shown = [("cookie", cookie.as_str()), ("x-requested-with", "bench")];
        let asked = post(&format!("{AUTH}/currentuser/credentials"), &json!({}), &shown)?;
        let (status, body) = load::send(&mut connection, asked).await?;
        anyhow::ensure!(status == 200, "a pair: {status} {}", String::from_utf8_lossy(&body));
        pairs.push(serde_json::from_slice(&body)?);
    }
    Ok(pairs)
}

fn insight_sign_ins(bench: &Bench<'_>) -> Result<Scripts> {
    (0..bench.plan.connections).map(|i| Ok(same(login(i)?))).collect()
}

/// Tokens that are over soon: a user has a thousand at a time at most.
fn insight_tokens(pairs: &[Value]) -> Result<Scripts> {
    pairs.iter().map(|pair| Ok(same(token(pair, 1)?))).collect()
}

async fn insight_checks(server: &Server, pairs: &[Value]) -> Result<Scripts> {
    let mut connection = load::connect(server.address).await?;
    let mut scripts = Vec::new();
    for pair in pairs {
        let (status, body) = load::send(&mut connection, token(pair, 900)?).await?;
        anyhow::ensure!(status == 200, "a token: {status} {}", String::from_utf8_lossy(&body));
        let token: String = serde_json::from_slice(&body)?;
        scripts.push(same(crate::scenario::get_with(&format!("{AUTH}/user"), &format!("Bearer {token}"))?));
    }
    Ok(scripts)
}
