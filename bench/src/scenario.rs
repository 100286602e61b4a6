//! The operations that are measured, and the server they are measured on.

use crate::load::{self, Load, Plan, Same, Script, Scripts};
use crate::report::Report;
use crate::server::{Server, free_address, keyreeve};
use crate::{compat, passwords, pki, secrets, sharing, size};
use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;

/// The password of every user.
pub const PASSWORD: &str = "a bench passphrase of some length";

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// From starting the process to the first token.
    Start,
    /// The memory of an idle server.
    Idle,
    /// `GET /jwks`.
    Jwks,
    /// `POST /introspect` about a user's access token.
    Introspection,
    /// `GET /userinfo`.
    Userinfo,
    /// `GET /api/v1/users/{id}` with an administrator's token.
    ApiRead,
    /// The client credentials grant.
    ClientCredentials,
    /// The refresh token grant.
    Refresh,
    /// Sign-in, tokens and checks by the interfaces of other systems, beside the native doors.
    Compat,
    /// Sign-ins by password, and what a flood of them does to a refresh.
    Passwords,
    /// A secret read over HTTP, with its value and without.
    Secrets,
    /// Keys and certificates, made in this process.
    Pki,
    /// A directory of one million users beside one of a thousand, and the import that makes it. Takes minutes.
    Size,
    /// A million resources, ten million grants, and every question about them. Takes minutes.
    Sharing,
}

/// What the sharing part is measured on.
pub struct SharingSet {
    /// The share of a million resources that there are.
    pub scale: f64,
    /// A PostgreSQL database; SQLite, where there is none.
    pub database: Option<String>,
}

/// Measures these parts.
pub async fn run(binary: &Path, plan: &Plan, parts: &[Part], set: &SharingSet) -> Result<Report> {
    let mut report = Report::default();
    if parts.contains(&Part::Pki) {
        pki::measure(plan.measured * plan.rounds, &mut report)?;
    }
    // Nothing else to do: no server is needed.
    if parts == [Part::Pki] {
        return Ok(report.finish());
    }
    if !binary.exists() {
        let built = tokio::process::Command::new("cargo")
            .args(["build", "--release", "-p", "keyreeve"])
            .status()
            .await?;
        anyhow::ensure!(built.success(), "cargo build --release failed");
    }
    if parts.contains(&Part::Sharing) {
        let database = set.database.as_deref();
        let setting = sharing::Setting { binary, plan, scale: set.scale, database };
        sharing::measure(&setting, &mut report).await?;
        if parts.len() == 1 {
            return Ok(report.finish());
        }
    }
    // The server makes the directory itself, for nobody else to read.
    let scratch = tempfile::tempdir()?;
    let data = scratch.path().join("data");
    let bench = Bench::provision(binary, &data, plan).await?;
    if parts.contains(&Part::Start) {
        bench.start_up(&mut report).await?;
    }
    let server = bench.serve().await?;
    if parts.contains(&Part::Idle) {
        bench.idle(&server, &mut report).await?;
    }
    bench.endpoints(&server, parts, &mut report).await?;
    if parts.contains(&Part::Passwords) {
        passwords::measure(&bench, &server, &mut report).await?;
    }
    if parts.contains(&Part::Compat) {
        compat::measure(&bench, &server, &mut report).await?;
    }
    if parts.contains(&Part::Secrets) {
        secrets::measure(&bench, &server, &mut report).await?;
    }
    server.stop().await?;
    if parts.contains(&Part::Size) {
        size::measure(binary, plan, &mut report).await?;
    }
    Ok(report.finish())
}

/// A provisioned data directory.
pub struct Bench<'a> {
    binary: &'a Path,
    data: &'a Path,
    /// How it is loaded.
    pub plan: &'a Plan,
    address: SocketAddr,
    /// HTTP Basic credentials of a confidential client that may use client_credentials, password and refresh_token.
    basic: String,
    /// Those of the first client, which may administer.
    admin: String,
    /// The path of a user in the native API.
    user: String,
}

impl<'a> Bench<'a> {
    async fn provision(binary: &'a Path, data: &'a Path, plan: &'a Plan) -> Result<Bench<'a>> {
        let address = free_address()?;
        let cli = Cli { binary, data, address, database: None };
        let first = cli.run(&["init", "--json"], None).await?;
        let first = first.get("client").context("no client")?;
        let admin = basic(&text(first, "client_id")?, &text(first, "client_secret")?);
        cli.run(&["tenant", "policy", "default", "--set", "tokens.password_grant=true", "--json"], None)
            .await?;
        let mut create = vec!["client", "create", "--name", "Bench", "--json"];
        for grant in ["client_credentials", "refresh_token", "password"] {
            create.extend(["--grant-type", grant]);
        }
        for scope in ["openid", "profile", "email"] {
            create.extend(["--scope", scope]);
        }
        let client = cli.run(&create, None).await?;
        let mut user = String::new();
        for i in 0..plan.connections {
            let name = format!("bench-{i}");
            let create = ["user", "create", "--username", &name, "--password-stdin", "--json"];
            let created = cli.run(&create, Some(PASSWORD)).await?;
            user = format!("/api/v1/users/{}", text(&created, "id")?);
        }
        let (id, secret) = (text(&client, "client_id")?, text(&client, "client_secret")?);
        Ok(Self { binary, data, plan, address, basic: basic(&id, &secret), admin, user })
    }

    async fn serve(&self) -> Result<Server> {
        Server::keyreeve(self.binary, self.data, self.address).await
    }

    /// From starting the process to the first answered token, on a database with nothing but its first start in it.
    async fn start_up(&self, report: &mut Report) -> Result<()> {
        let mut best = f64::MAX;
        for _ in 0..5 {
            let started = Instant::now();
            let server = self.serve().await?;
            let mut connection = load::connect(server.address).await?;
            let (status, body) =
                load::send(&mut connection, self.token("grant_type=client_credentials")?).await?;
            let elapsed = started.elapsed().as_secs_f64() * 1e3;
            anyhow::ensure!(status == 200, "the first token: {status} {}", String::from_utf8_lossy(&body));
            best = best.min(elapsed);
            server.stop().await?;
        }
        report.fact("start to first answered token (best of 5)", best, "ms", Some("≤ 150 ms"));
        Ok(())
    }

    async fn idle(&self, server: &Server, report: &mut Report) -> Result<()> {
        tokio::time::sleep(Duration::from_secs(2)).await;
        report.fact("resident memory, idle", server.resident_mib()?, "MiB", Some("≤ 40 MiB"));
        Ok(())
    }

    async fn endpoints(&self, server: &Server, parts: &[Part], report: &mut Report) -> Result<()> {
        let bare = Server::bare().await?;
        for (part, name, target) in [
            (Part::Jwks, "JWKS", 1.3),
            (Part::Introspection, "introspection", 3.0),
            (Part::Userinfo, "userinfo", 3.0),
            (Part::ApiRead, "native API, point read", 4.0),
            (Part::ClientCredentials, "client_credentials, EdDSA JWT, audited", 6.0),
            (Part::Refresh, "refresh with rotation, durable, audited", 12.0),
        ] {
            if parts.contains(&part) {
                let scripts = self.scripts(part).await?;
                report.operation(name, self.beside(&bare, server, scripts).await?, target);
            }
        }
        bare.stop().await
    }

    /// The scripts of an operation, one for each connection.
    async fn scripts(&self, part: Part) -> Result<Scripts> {
        match part {
            Part::Jwks => self.same(|_| get("/jwks")),
            Part::Introspection => {
                let tokens = self.user_tokens().await?;
                self.same(|i| {
                    let token = tokens.get(i).map(|t| t.access.as_str()).unwrap_or_default();
                    self.post("/introspect", &format!("token={token}"))
                })
            }
            Part::Userinfo => {
                let tokens = self.user_tokens().await?;
                self.same(|i| {
                    let token = tokens.get(i).map(|t| t.access.as_str()).unwrap_or_default();
                    Ok(Request::get("/userinfo")
                        .header("host", "bench")
                        .header("authorization", format!("Bearer {token}"))
                        .body(Full::default())?)
                })
            }
            Part::ApiRead => {
                let bearer = basic_token(self).await?;
                self.same(|_| get_with(&self.user, &bearer))
            }
            Part::ClientCredentials => self.same(|_| self.token("grant_type=client_credentials")),
            Part::Refresh => self.refreshers().await,
            Part::Start
            | Part::Idle
            | Part::Compat
            | Part::Passwords
            | Part::Secrets
            | Part::Pki
            | Part::Size
            | Part::Sharing => Ok(Vec::new()),
        }
    }

    /// Rounds of `scripts`, each with a round of the bare handler before it.
    async fn beside(
        &self,
        bare: &Server,
        server: &Server,
        scripts: Scripts,
    ) -> Result<Vec<(load::Round, load::Round)>> {
        let floor = self.same(|_| get("/bare"))?;
        self.beside_of((bare, floor), (server, scripts)).await
    }

    /// The same of any two servers.
    pub async fn beside_of(
        &self,
        (bare, floor): (&Server, Scripts),
        (server, scripts): (&Server, Scripts),
    ) -> Result<Vec<(load::Round, load::Round)>> {
        let mut floor = Load::open(bare, floor).await?;
        let mut own = Load::open(server, scripts).await?;
        let mut rounds = Vec::new();
        for _ in 0..self.plan.rounds {
            rounds.push((floor.round(bare, self.plan).await?, own.round(server, self.plan).await?));
        }
        Ok(rounds)
    }

    /// A script for each connection that sends the same request again and again.
    fn same(&self, make: impl Fn(usize) -> Result<Request<Full<Bytes>>>) -> Result<Scripts> {
        (0..self.plan.connections)
            .map(|i| {
                let request = make(i)?;
                Ok(Box::new(Same { make: Arc::new(move || Ok(request.clone())) }) as Box<dyn Script>)
            })
            .collect()
    }

    /// One access and refresh token for each connection, each of a user of its own.
    async fn user_tokens(&self) -> Result<Vec<UserTokens>> {
        let mut connection = load::connect(self.address).await?;
        let mut tokens = Vec::new();
        for i in 0..self.plan.connections {
            let password = PASSWORD.replace(' ', "+");
            let form = format!(
                "grant_type=password&username=bench-{i}&password={password}&scope=openid+profile+email"
            );
            let (status, body) = load::send(&mut connection, self.token(&form)?).await?;
            anyhow::ensure!(status == 200, "password grant: {status} {}", String::from_utf8_lossy(&body));
            let answer: Value = serde_json::from_slice(&body)?;
            tokens.push(UserTokens {
                access: text(&answer, "access_token")?,
                refresh: text(&answer, "refresh_token")?,
            });
        }
        Ok(tokens)
    }

    /// Scripts that ask who an access token is of, each with one of its own.
    pub async fn introspections(&self) -> Result<Scripts> {
        self.scripts(Part::Introspection).await
    }

    /// Scripts that ask for userinfo, each with an access token of its own.
    pub async fn userinfos(&self) -> Result<Scripts> {
        self.scripts(Part::Userinfo).await
    }

    /// Runs a command of the program on this installation; `stdin` is what it is told.
    pub async fn command(&self, arguments: &[&str], stdin: Option<&str>) -> Result<Value> {
        let cli = Cli { binary: self.binary, data: self.data, address: self.address, database: None };
        cli.run(arguments, stdin).await
    }

    /// Scripts that refresh, each with a grant of its own.
    pub async fn refreshers(&self) -> Result<Scripts> {
        let tokens = self.user_tokens().await?;
        let refresher = |tokens: UserTokens| {
            Box::new(Refresher { basic: self.basic.clone(), token: tokens.refresh }) as Box<dyn Script>
        };
        Ok(tokens.into_iter().map(refresher).collect())
    }

    fn token(&self, form: &str) -> Result<Request<Full<Bytes>>> {
        self.post("/token", form)
    }

    fn post(&self, path: &str, form: &str) -> Result<Request<Full<Bytes>>> {
        post_form(path, form, &[("authorization", &self.basic)])
    }
}

struct UserTokens {
    access: String,
    refresh: String,
}

/// Redeems its refresh token, keeps the new one, and goes on.
struct Refresher {
    basic: String,
    token: String,
}

impl Script for Refresher {
    fn request(&mut self) -> Result<Request<Full<Bytes>>> {
        let form = format!("grant_type=refresh_token&refresh_token={}", self.token);
        post_form("/token", &form, &[("authorization", &self.basic)])
    }

    fn answer(&mut self, status: u16, body: &[u8]) -> Result<()> {
        if status != 200 {
            bail!("refresh answered {status}: {}", String::from_utf8_lossy(body));
        }
        self.token = text(&serde_json::from_slice(body)?, "refresh_token")?;
        Ok(())
    }
}

/// The command line of the server under measurement.
pub struct Cli<'a> {
    /// The program.
    pub binary: &'a Path,
    /// The data directory.
    pub data: &'a Path,
    /// Where a server would listen.
    pub address: SocketAddr,
    /// A PostgreSQL database; SQLite, where there is none.
    pub database: Option<&'a str>,
}

impl Cli<'_> {
    /// The program, on this data.
    pub fn command(&self) -> tokio::process::Command {
        let mut command = keyreeve(self.binary, self.data, self.address);
        if let Some(database) = self.database {
            command.env("KEYREEVE_DATABASE_URL", database);
        }
        command
    }

    /// Runs a command and answers what it prints, and the most memory that it was seen to have, in MiB.
    pub async fn run_and_weigh(&self, arguments: &[&str]) -> Result<(Value, f64)> {
        let mut command = self.command();
        let child = command.args(arguments).stdout(Stdio::piped()).stdin(Stdio::null()).spawn()?;
        let status = format!("/proc/{}/status", child.id().context("the command has ended")?);
        let (weigh, peak) = (tokio::spawn(peak_mib(status)), child.wait_with_output());
        let output = peak.await?;
        anyhow::ensure!(output.status.success(), "keyreeve {} failed", arguments.join(" "));
        let printed = serde_json::from_slice(&output.stdout).unwrap_or_default();
        Ok((printed, weigh.await?))
    }

    /// Runs a command and answers what it prints.
    pub async fn run(&self, arguments: &[&str], stdin: Option<&str>) -> Result<Value> {
        let mut command = self.command();
        command.args(arguments).stdout(Stdio::piped()).stdin(Stdio::piped());
        let mut child = command.spawn()?;
        let mut pipe = child.stdin.take().context("no stdin")?;
        pipe.write_all(stdin.unwrap_or_default().as_bytes()).await?;
        drop(pipe);
        let output = child.wait_with_output().await?;
        anyhow::ensure!(output.status.success(), "keyreeve {} failed", arguments.join(" "));
        serde_json::from_slice(&output.stdout).with_context(|| format!("keyreeve {}", arguments.join(" ")))
    }
}

/// The high-water mark of a process's resident memory, read until the process is gone.
async fn peak_mib(status: String) -> f64 {
    let mut peak = 0.0_f64;
    while let Ok(text) = std::fs::read_to_string(&status) {
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let Some(kib) = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()) else {
            break;
        };
        peak = peak.max(kib / 1024.0);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    peak
}

/// An administrator's token, as it is sent.
pub async fn basic_token(bench: &Bench<'_>) -> Result<String> {
    let form = post_form("/token", "grant_type=client_credentials", &[("authorization", &bench.admin)])?;
    let (status, body) = load::send(&mut load::connect(bench.address).await?, form).await?;
    anyhow::ensure!(status == 200, "an administrator's token: {status}");
    Ok(format!("Bearer {}", text(&serde_json::from_slice(&body)?, "access_token")?))
}

/// HTTP Basic credentials (RFC 7617).
pub fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// A GET request with these credentials.
pub fn get_with(path: &str, authorization: &str) -> Result<Request<Full<Bytes>>> {
    let request = Request::get(path).header("host", "bench").header("authorization", authorization);
    Ok(request.body(Full::default())?)
}

/// A GET request.
pub fn get(path: &str) -> Result<Request<Full<Bytes>>> {
    Ok(Request::get(path).header("host", "bench").body(Full::default())?)
}

/// A form post.
pub fn post_form(path: &str, form: &str, headers: &[(&str, &str)]) -> Result<Request<Full<Bytes>>> {
    let mut request = Request::post(path)
        .header("host", "bench")
        .header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(request.body(Full::from(form.to_owned()))?)
}

/// A text of a document.
pub fn text(value: &Value, field: &str) -> Result<String> {
    Ok(value.get(field).and_then(Value::as_str).with_context(|| format!("no {field} in {value}"))?.to_owned())
}
