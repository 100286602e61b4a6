//! Sign-ins by password: how near they come to the raw rate of hashing, and what a flood of them does to others.

use crate::hashing;
use crate::load::{self, Load, Measured, Plan, Script, Scripts, median};
use crate::report::Report;
use crate::scenario::{Bench, PASSWORD, get, post_form};
use crate::server::Server;
use anyhow::{Result, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use std::net::SocketAddr;

/// Measures on a server with users.
pub async fn measure(bench: &Bench<'_>, server: &Server, report: &mut Report) -> Result<()> {
    sign_in_rate(bench, server, report).await?;
    flood(bench, server, report).await
}

/// Sign-ins beside raw hashing, in turns.
async fn sign_in_rate(bench: &Bench<'_>, server: &Server, report: &mut Report) -> Result<()> {
    let plan = bench.plan;
    let mut load = Load::open(server, sign_ins(bench, server).await?).await?;
    let (mut raw, mut rounds) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let span = plan.measured;
        raw.push(tokio::task::spawn_blocking(move || hashing::raw(span)).await??);
        rounds.push(load.round(server, plan).await?);
    }
    let by_cpu = median(raw.iter().zip(&rounds).map(|(raw, own)| raw.cpu_ms * 1e3 / own.cpu_us));
    let (per_second, cpu_ms) =
        (median(raw.iter().map(|raw| raw.per_second)), median(raw.iter().map(|raw| raw.cpu_ms)));
    let own = Measured::of(rounds);
    report.fact("raw Argon2id (19 MiB, t=2, p=1), all cores", per_second, "hashes/s", None);
    report.fact("password sign-in, all of it", own.per_second, "sign-ins/s", None);
    report.fact("its share of the raw rate", 100.0 * own.per_second / per_second, "%", Some("≥ 95 %"));
    report.fact("CPU time of a raw hash", cpu_ms, "ms", None);
    report.fact("CPU time of a password sign-in", own.cpu_us / 1e3, "ms", None);
    report.fact("its share of the raw rate, by CPU time", 100.0 * by_cpu, "%", Some("≥ 95 %"));
    Ok(())
}

/// What a flood of sign-ins does to refreshes at the load of a few busy applications.
async fn flood(bench: &Bench<'_>, server: &Server, report: &mut Report) -> Result<()> {
    let few = Plan { connections: 4, ..bench.plan.clone() };
    let quiet = load::measure(server, &few, bench.refreshers().await?).await?;
    let refreshers = bench.refreshers().await?;
    let sign_ins = sign_ins(bench, server).await?;
    let (flood, during) =
        tokio::join!(load::measure(server, bench.plan, sign_ins), load::measure(server, &few, refreshers));
    let (flood, during) = (flood?, during?);
    report.fact("p99 of a refresh, quiet", quiet.p99_us as f64 / 1e3, "ms", None);
    report.fact("p99 of a refresh during a flood of sign-ins", during.p99_us as f64 / 1e3, "ms", None);
    let growth = during.p99_us as f64 / quiet.p99_us.max(1) as f64;
    report.fact("its growth", growth, "×", Some("≤ 3 ×"));
    report.fact("sign-ins during that flood", flood.per_second, "sign-ins/s", None);
    report.fact("resident memory after the flood", server.resident_mib()?, "MiB", None);
    Ok(())
}

/// Scripts that sign in through the page, each as a user of its own.
pub async fn sign_ins(bench: &Bench<'_>, server: &Server) -> Result<Scripts> {
    let mut scripts: Scripts = Vec::new();
    for i in 0..bench.plan.connections {
        scripts.push(Box::new(SignIn::prepare(server.address, &format!("bench-{i}")).await?));
    }
    Ok(scripts)
}

/// Signs in through the page again and again, as a browser with its cookie and its form would.
struct SignIn {
    cookie: String,
    form: String,
}

impl SignIn {
    async fn prepare(address: SocketAddr, user: &str) -> Result<Self> {
        let mut connection = load::connect(address).await?;
        connection.ready().await?;
        let response = connection.send_request(get("/signin")?).await?;
        let cookies: Vec<String> = response
            .headers()
            .get_all("set-cookie")
            .iter()
            .filter_map(|v| v.to_str().ok()?.split(';').next().map(str::to_owned))
            .collect();
        let page = http_body_util::BodyExt::collect(response.into_body()).await?.to_bytes();
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in hidden_fields(&String::from_utf8_lossy(&page)) {
            form.append_pair(&name, &value);
        }
        form.append_pair("username", user).append_pair("password", PASSWORD);
        Ok(Self { cookie: cookies.join("; "), form: form.finish() })
    }
}

impl Script for SignIn {
    fn request(&mut self) -> Result<Request<Full<Bytes>>> {
        post_form("/signin", &self.form, &[("cookie", &self.cookie)])
    }

    fn answer(&mut self, status: u16, body: &[u8]) -> Result<()> {
        if status != 303 {
            bail!("sign-in answered {status}: {}", String::from_utf8_lossy(body));
        }
        Ok(())
    }
}

/// The hidden inputs of a page, name and value.
fn hidden_fields(page: &str) -> Vec<(String, String)> {
    let attribute = |tag: &str, name: &str| {
        let rest = tag.split_once(&format!("{name}=\""))?.1;
        rest.split_once('"').map(|(value, _)| value.replace("&amp;", "&").replace("&#38;", "&"))
    };
    page.split("<input")
        .skip(1)
        .filter_map(|rest| rest.split_once('>').map(|(tag, _)| tag))
        .filter(|tag| tag.contains("type=\"hidden\""))
        .filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value")?)))
        .collect()
}
