//! What sharing costs on a large data set: one tree of a million resources, ten million grants, 100,000 users in 10,000
//! groups (`--sharing-scale` makes it smaller), all of it over HTTP. On SQLite, or on the PostgreSQL database that
//! `--database` names, which has to be empty. What a check costs within the process, hot and cold:
//! `cargo bench -p keyreeve-sharing`.

mod data;

use crate::load::{self, Load, Measured, Plan, Round, Same, Script, Scripts};
use crate::report::Report;
use crate::scenario::{Cli, basic, get, get_with, post_form, text};
use crate::server::{Server, free_address};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use data::{GRANTS, Size, mixed, resource, user, zipf};
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Lines of one request of the load.
const LINES: u64 = 100_000;
/// How many questions are the hot set.
const HOT: u64 = 1_000;
/// How many checks are asked in one request.
const BATCH: u64 = 100;

/// What is measured, and on what.
pub struct Setting<'a> {
    /// The server's binary.
    pub binary: &'a Path,
    /// How it is loaded.
    pub plan: &'a Plan,
    /// The share of a million resources that there are.
    pub scale: f64,
    /// A PostgreSQL database; SQLite, where there is none.
    pub database: Option<&'a str>,
}

/// Loads the data set and measures it.
pub async fn measure(setting: &Setting<'_>, report: &mut Report) -> Result<()> {
    let size = Size::of(setting.scale);
    let scratch = tempfile::tempdir()?;
    let (data, file) = (scratch.path().join("data"), scratch.path().join("directory.ndjson"));
    size.write_directory(&file)?;
    let address = free_address()?;
    let cli = Cli { binary: setting.binary, data: &data, address, database: setting.database };
    let made = cli.run(&["init", "--json"], None).await?;
    let client = made.get("client").context("no client")?;
    let basic = basic(&text(client, "client_id")?, &text(client, "client_secret")?);
    cli.run(&["import", file.to_str().context("a path that is text")?, "--json"], None).await?;
    let server = Server::start(cli.command().arg("serve"), address).await?;
    let bearer = format!("Bearer {}", token(&server, &basic).await?);
    let run = Run { setting, size, server, bearer: bearer.into() };
    run.load(report).await?;
    run.checks(report).await?;
    run.writes(report).await?;
    run.lists(report).await?;
    report.fact(
        "sharing: resident memory after all of it",
        run.server.resident_mib()?,
        "MiB",
        Some("≤ 500 MiB"),
    );
    run.server.stop().await
}

struct Run<'a> {
    setting: &'a Setting<'a>,
    size: Size,
    server: Server,
    bearer: Arc<str>,
}

impl Run<'_> {
    /// Loads types, resources and grants, through the server's own bulk interface.
    async fn load(&self, report: &mut Report) -> Result<()> {
        let mut connection = load::connect(self.server.address).await?;
        self.send_lines(&mut connection, data::model()).await?;
        let size = self.size;
        let resources = self.stream(&mut connection, LINES, move |range| size.resources(range)).await?;
        report.fact("sharing: load of resources", resources, "resources/s", None);
        let grants = self.stream(&mut connection, LINES / GRANTS, move |range| size.grants(range)).await?;
        let per_second = grants * GRANTS as f64;
        report.fact("sharing: load of grants", per_second, "grants/s", Some("≥ 200,000 grants/s"));
        report.fact(
            "sharing: resident memory after the load",
            self.server.resident_mib()?,
            "MiB",
            Some("≤ 500 MiB"),
        );
        Ok(())
    }

    /// Sends the lines of all resources, so many at once; how many resources a second. The next lines are made while the
    /// present ones are taken in.
    async fn stream(
        &self,
        connection: &mut SendRequest<Full<Bytes>>,
        step: u64,
        lines: impl Fn(std::ops::Range<u64>) -> Bytes + Send + Clone + 'static,
    ) -> Result<f64> {
        let all = self.size.resources;
        let make = |from: u64| {
            let lines = lines.clone();
            tokio::task::spawn_blocking(move || lines(from..(from + step).min(all)))
        };
        let began = Instant::now();
        let (mut from, mut next) = (0, make(0));
        while from < all {
            let body = next.await?;
            from += step;
            next = make(from.min(all));
            self.send_lines(connection, body).await?;
        }
        Ok(all as f64 / began.elapsed().as_secs_f64())
    }

    async fn send_lines(&self, connection: &mut SendRequest<Full<Bytes>>, lines: Bytes) -> Result<()> {
        let request = Request::post("/api/v1/sharing/load")
            .header("host", "bench")
            .header("authorization", &*self.bearer)
            .header("content-type", "application/x-ndjson")
            .body(Full::from(lines))?;
        let (status, body) = load::send(connection, request).await?;
        let last = body.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let last: Value = serde_json::from_slice(last).unwrap_or_default();
        let failed = last.pointer("/summary/failed").and_then(Value::as_u64);
        anyhow::ensure!(status == 200 && failed == Some(0), "the load: {status} {last}");
        Ok(())
    }

    /// Checks: hot, mixed, in batches, and at half load.
    async fn checks(&self, report: &mut Report) -> Result<()> {
        let bare = Server::bare().await?;
        let hot = self.asking(|draw, size| check(draw % HOT + (1 << 50), size));
        let rounds = self.beside(&bare, hot()?).await?;
        let capacity = Measured::of_own(&rounds);
        let one_cpu = report.operation("sharing: one check, hot", rounds, 4.0);
        let rate = capacity / 2.0;
        let plan = self.setting.plan;
        let mut own = Load::open(&self.server, hot()?).await?;
        let mut other = Load::open(&bare, floor(plan.connections)).await?;
        let (mut paced, mut paced_bare) = (Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            paced.push(Measured::of(vec![own.paced(&self.server, plan, rate).await?]).p99_us as f64);
            paced_bare.push(Measured::of(vec![other.paced(&bare, plan, rate).await?]).p99_us as f64);
        }
        let name = "sharing: p99 of one check, hot, at half load (median of the rounds)";
        report.fact(name, load::median(paced.into_iter()), "µs", Some("≤ 1,000 µs"));
        let name = "sharing: p99 of the bare handler at that rate (the same)";
        report.fact(name, load::median(paced_bare.into_iter()), "µs", None);
        let mixed = self.asking(check);
        let measured = load::measure(&self.server, self.setting.plan, mixed()?).await?;
        report.fact("sharing: one check, hot and cold by Zipf, CPU", measured.cpu_us, "µs", None);
        report.fact("sharing: one check, hot and cold by Zipf, p99", measured.p99_us as f64, "µs", None);
        let many = self.asking(|draw, size| batch(draw, size, true));
        let measured = load::measure(&self.server, self.setting.plan, many()?).await?;
        let name = "sharing: 100 checks in one request, hot, CPU as a multiple of one";
        report.fact(name, measured.cpu_us / one_cpu, "×", Some("≤ 10 ×"));
        let many = self.asking(|draw, size| batch(draw, size, false));
        let measured = load::measure(&self.server, self.setting.plan, many()?).await?;
        report.fact("sharing: 100 checks in one request, by Zipf, CPU", measured.cpu_us, "µs", None);
        bare.stop().await
    }

    /// Sharing and revoking, of what has everything below it, and of what has nothing.
    async fn writes(&self, report: &mut Report) -> Result<()> {
        let mut cost = [Vec::new(), Vec::new()];
        // In turns, so that what else the machine does falls on both.
        for _ in 0..self.setting.plan.rounds {
            for (cost, at) in cost.iter_mut().zip([0, self.size.resources - 1]) {
                let script: Box<dyn Script> = Box::new(Sharer {
                    resource: resource(at),
                    subject: user(mixed(77) % self.size.users),
                    bearer: Arc::clone(&self.bearer),
                    shared: false,
                });
                cost.push(
                    Load::open(&self.server, vec![script])
                        .await?
                        .round(&self.server, self.setting.plan)
                        .await?,
                );
            }
        }
        let [root, leaf] = cost.map(Measured::of);
        let below = self.size.resources - 1;
        let name = format!(
            "sharing: share or revoke on a root with {below} below it, CPU as a multiple of a leaf's"
        );
        report.fact("sharing: share or revoke on a leaf, CPU", leaf.cpu_us, "µs", None);
        report.fact(&name, root.cpu_us / leaf.cpu_us, "×", Some("≤ 2 ×"));
        report.fact(
            "sharing: the same by the median of the latencies",
            ratio(root.p50_us, leaf.p50_us),
            "×",
            Some("≤ 2 ×"),
        );
        Ok(())
    }

    /// The first page of what somebody can see.
    async fn lists(&self, report: &mut Report) -> Result<()> {
        let (bearer, users, next) = (Arc::clone(&self.bearer), self.size.users, Arc::new(AtomicU64::new(0)));
        let draw = move || {
            let subject = user(zipf(next.fetch_add(1, Ordering::Relaxed) + (1 << 51), users));
            let path = format!(
                "/api/v1/sharing/subjects/user/{subject}/resources?type=FOLDER&permission=READ&limit=100"
            );
            get_with(&path, &bearer)
        };
        let script = Same { make: Arc::new(draw) };
        // A few connections: what is measured is the answer, not the queue before it.
        let scripts: Scripts = (0..2).map(|_| Box::new(script.clone()) as Box<dyn Script>).collect();
        let measured = load::measure(&self.server, self.setting.plan, scripts).await?;
        report.fact(
            "sharing: p99 of the first 100 visible resources",
            measured.p99_us as f64,
            "µs",
            Some("≤ 5,000 µs"),
        );
        report.fact("sharing: the median of the same", measured.p50_us as f64, "µs", None);
        Ok(())
    }

    /// Makes scripts that ask, each request drawn anew.
    fn asking(
        &self,
        question: impl Fn(u64, Size) -> (&'static str, String) + Copy + Send + Sync + 'static,
    ) -> impl Fn() -> Result<Scripts> {
        let (bearer, size, connections) =
            (Arc::clone(&self.bearer), self.size, self.setting.plan.connections);
        move || {
            let next = Arc::new(AtomicU64::new(0));
            let bearer = Arc::clone(&bearer);
            let make = move || {
                let (path, body) = question(next.fetch_add(1, Ordering::Relaxed), size);
                post_json(path, &body, &bearer)
            };
            let script = Same { make: Arc::new(make) };
            Ok((0..connections).map(|_| Box::new(script.clone()) as Box<dyn Script>).collect())
        }
    }

    /// Rounds of `scripts`, each with a round of the bare handler before it.
    async fn beside(&self, bare: &Server, scripts: Scripts) -> Result<Vec<(Round, Round)>> {
        let mut floor = Load::open(bare, floor(scripts.len())).await?;
        let mut own = Load::open(&self.server, scripts).await?;
        let mut rounds = Vec::new();
        for _ in 0..self.setting.plan.rounds {
            rounds.push((
                floor.round(bare, self.setting.plan).await?,
                own.round(&self.server, self.setting.plan).await?,
            ));
        }
        Ok(rounds)
    }
}

/// Asks the bare handler, over so many connections.
fn floor(connections: usize) -> Scripts {
    let script = Same { make: Arc::new(|| get("/bare")) };
    (0..connections).map(|_| Box::new(script.clone()) as Box<dyn Script>).collect()
}

/// A question: a user by Zipf's law, a resource by another draw.
fn check(draw: u64, size: Size) -> (&'static str, String) {
    ("/api/v1/sharing/check", item(draw, size))
}

/// A hundred questions, drawn from the hot set or from all.
fn batch(draw: u64, size: Size, hot: bool) -> (&'static str, String) {
    let draws = draw * BATCH..(draw + 1) * BATCH;
    let items: Vec<String> =
        draws.map(|draw| item(if hot { draw % HOT + (1 << 50) } else { draw }, size)).collect();
    ("/api/v1/sharing/checks", format!(r#"{{"checks":[{}]}}"#, items.join(",")))
}

fn item(draw: u64, size: Size) -> String {
    let (subject, resource) =
        (user(zipf(2 * draw, size.users)), resource(zipf(2 * draw + 1, size.resources)));
    format!(r#"{{"subject":{{"kind":"user","id":"{subject}"}},"resource":"{resource}","permission":"READ"}}"#)
}

fn ratio(one: u64, other: u64) -> f64 {
    one as f64 / other.max(1) as f64
}

fn post_json(path: &str, body: &str, bearer: &str) -> Result<Request<Full<Bytes>>> {
    let request = Request::post(path)
        .header("host", "bench")
        .header("authorization", bearer)
        .header("content-type", "application/json");
    Ok(request.body(Full::from(body.to_owned()))?)
}

/// Shares a resource, takes it back, and so on.
struct Sharer {
    resource: String,
    subject: String,
    bearer: Arc<str>,
    shared: bool,
}

impl Script for Sharer {
    fn request(&mut self) -> Result<Request<Full<Bytes>>> {
        let Self { resource, subject, bearer, shared } = self;
        if *shared {
            let path = format!("/api/v1/sharing/resources/{resource}/grants/user/{subject}?permission=READ");
            let request = Request::delete(path).header("host", "bench").header("authorization", &**bearer);
            return Ok(request.body(Full::default())?);
        }
        let body = format!(
            r#"{{"resource":"{resource}","permission":"READ","subject":{{"kind":"user","id":"{subject}"}},"cascade":true}}"#
        );
        post_json("/api/v1/sharing/grants", &body, bearer)
    }

    fn answer(&mut self, status: u16, body: &[u8]) -> Result<()> {
        if !(200..300).contains(&status) {
            bail!("sharing answered {status}: {}", String::from_utf8_lossy(body));
        }
        self.shared = !self.shared;
        Ok(())
    }
}

async fn token(server: &Server, basic: &str) -> Result<String> {
    let form = "grant_type=client_credentials&scope=keyreeve:admin";
    let request = post_form("/token", form, &[("authorization", basic)])?;
    let (status, body) = load::send(&mut load::connect(server.address).await?, request).await?;
    anyhow::ensure!(status == 200, "the first token: {status} {}", String::from_utf8_lossy(&body));
    text(&serde_json::from_slice(&body)?, "access_token")
}
