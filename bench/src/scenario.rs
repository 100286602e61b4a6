//! The operations that are measured, and the server they are measured on.

use crate::hashing;
use crate::load::{self, Measured, Plan, Same, Script};
use crate::report::Report;
use crate::server::{Server, free_address, keyreeve};
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

const PASSWORD: &str = "a bench passphrase of some length";

/// Runs everything.
pub async fn run(binary: &Path, plan: &Plan) -> Result<Report> {
    if !binary.exists() {
        let built = tokio::process::Command::new("cargo")
            .args(["build", "--release", "-p", "keyreeve"])
            .status()
            .await?;
        anyhow::ensure!(built.success(), "cargo build --release failed");
    }
    let bare = Server::bare().await?;
    let mut report = Report::new(same(&bare, plan, |_| get("/bare")).await?);
    bare.stop().await?;

    let data = tempfile::tempdir()?;
    let bench = Bench::provision(binary, data.path(), plan).await?;
    bench.start_up(&mut report).await?;
    let server = bench.serve().await?;
    bench.idle(&server, &mut report).await?;
    bench.endpoints(&server, &mut report).await?;
    bench.passwords(&server, &mut report).await?;
    server.stop().await?;
    Ok(report)
}

/// A provisioned data directory.
struct Bench<'a> {
    binary: &'a Path,
    data: &'a Path,
    plan: &'a Plan,
    address: SocketAddr,
    /// HTTP Basic credentials of a confidential client that may use client_credentials, password and refresh_token.
    basic: String,
}

impl<'a> Bench<'a> {
    async fn provision(binary: &'a Path, data: &'a Path, plan: &'a Plan) -> Result<Bench<'a>> {
        let address = free_address()?;
        let cli = Cli { binary, data, address };
        cli.run(&["init", "--json"], None).await?;
        cli.run(&["tenant", "policy", "default", "--set", "tokens.password_grant=true", "--json"], None)
            .await?;
        let mut create = vec!["client", "create", "--name", "Bench", "--json"];
        for grant in ["client_credentials", "refresh_token", "password"] {
            create.extend(["--grant-type", grant]);
        }
        for scope in ["openid", "profile", "email", "offline_access"] {
            create.extend(["--scope", scope]);
        }
        let client = cli.run(&create, None).await?;
        for i in 0..plan.connections {
            let name = format!("bench-{i}");
            cli.run(&["user", "create", "--username", &name, "--password-stdin", "--json"], Some(PASSWORD))
                .await?;
        }
        let (id, secret) = (text(&client, "client_id")?, text(&client, "client_secret")?);
        Ok(Self {
            binary,
            data,
            plan,
            address,
            basic: format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))),
        })
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

    async fn endpoints(&self, server: &Server, report: &mut Report) -> Result<()> {
        let jwks = same(server, self.plan, |_| get("/jwks")).await?;
        report.operation("JWKS", jwks, Some(1.3));

        let tokens = self.user_tokens().await?;
        let introspection = same(server, self.plan, |i| {
            let token = tokens.get(i).map(|t| t.access.clone()).unwrap_or_default();
            self.post("/introspect", &format!("token={token}"))
        })
        .await?;
        report.operation("introspection", introspection, Some(3.0));

        let userinfo = same(server, self.plan, |i| {
            let token = tokens.get(i).map(|t| t.access.as_str()).unwrap_or_default();
            Ok(Request::get("/userinfo")
                .header("host", "bench")
                .header("authorization", format!("Bearer {token}"))
                .body(Full::default())?)
        })
        .await?;
        report.operation("userinfo", userinfo, Some(3.0));

        let credentials = same(server, self.plan, |_| self.token("grant_type=client_credentials")).await?;
        report.operation("client_credentials, EdDSA JWT, audited", credentials, Some(6.0));

        let refresh = load::measure(server, self.plan, self.refreshers(&tokens)).await?;
        report.operation("refresh with rotation, durable, audited", refresh, Some(12.0));
        Ok(())
    }

    async fn passwords(&self, server: &Server, report: &mut Report) -> Result<()> {
        let raw = tokio::task::spawn_blocking({
            let span = self.plan.measured;
            move || hashing::raw_rate(span)
        })
        .await??;
        report.fact("raw Argon2id rate (19 MiB, t=2, p=1), all cores", raw, "hashes/s", None);

        // The quiet p99 of a refresh, at the load of a few busy applications.
        let few = Plan { connections: 4, ..self.plan.clone() };
        let tokens = self.user_tokens().await?;
        let quiet = load::measure(server, &few, self.refreshers(&tokens)).await?;
        let tokens = self.user_tokens().await?;
        let (flood, during) =
            tokio::join!(load::measure(server, self.plan, self.sign_ins(server).await?), async {
                load::measure(server, &few, self.refreshers(&tokens)).await
            });
        let (flood, during) = (flood?, during?);
        report.fact("password sign-ins during the flood", flood.per_second, "sign-ins/s", None);
        report.fact("share of the raw Argon2id rate", 100.0 * flood.per_second / raw, "%", Some("≥ 95 %"));
        report.fact("p99 of a refresh, quiet", quiet.p99_us as f64 / 1e3, "ms", None);
        report.fact("p99 of a refresh during the flood", during.p99_us as f64 / 1e3, "ms", None);
        let growth = during.p99_us as f64 / quiet.p99_us.max(1) as f64;
        report.fact("growth of the refresh p99 under the flood", growth, "×", Some("≤ 3 ×"));
        report.fact("resident memory after the flood", server.resident_mib()?, "MiB", None);
        Ok(())
    }

    /// One access and refresh token for each connection, each of a user of its own.
    async fn user_tokens(&self) -> Result<Vec<UserTokens>> {
        let mut connection = load::connect(self.address).await?;
        let mut tokens = Vec::new();
        for i in 0..self.plan.connections {
            let password = PASSWORD.replace(' ', "+");
            let form = format!(
                "grant_type=password&username=bench-{i}&password={password}&scope=openid+profile+email+offline_access"
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

    fn refreshers(&self, tokens: &[UserTokens]) -> Vec<Box<dyn Script>> {
        tokens
            .iter()
            .map(|t| {
                Box::new(Refresher { basic: self.basic.clone(), token: t.refresh.clone() }) as Box<dyn Script>
            })
            .collect()
    }

    async fn sign_ins(&self, server: &Server) -> Result<Vec<Box<dyn Script>>> {
        let mut scripts: Vec<Box<dyn Script>> = Vec::new();
        for i in 0..self.plan.connections {
            scripts.push(Box::new(SignIn::prepare(server.address, &format!("bench-{i}")).await?));
        }
        Ok(scripts)
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

/// The command line of the server under measurement.
struct Cli<'a> {
    binary: &'a Path,
    data: &'a Path,
    address: SocketAddr,
}

impl Cli<'_> {
    async fn run(&self, arguments: &[&str], stdin: Option<&str>) -> Result<Value> {
        let mut command = keyreeve(self.binary, self.data, self.address);
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

async fn same(
    server: &Server,
    plan: &Plan,
    make: impl Fn(usize) -> Result<Request<Full<Bytes>>>,
) -> Result<Measured> {
    let mut scripts: Vec<Box<dyn Script>> = Vec::new();
    for i in 0..plan.connections {
        let request = make(i)?;
        let (parts, body) = request.into_parts();
        let make = Arc::new(move || {
            let mut request = Request::new(body.clone());
            *request.method_mut() = parts.method.clone();
            *request.uri_mut() = parts.uri.clone();
            *request.headers_mut() = parts.headers.clone();
            Ok(request)
        });
        scripts.push(Box::new(Same { make }));
    }
    load::measure(server, plan, scripts).await
}

fn get(path: &str) -> Result<Request<Full<Bytes>>> {
    Ok(Request::get(path).header("host", "bench").body(Full::default())?)
}

fn post_form(path: &str, form: &str, headers: &[(&str, &str)]) -> Result<Request<Full<Bytes>>> {
    let mut request = Request::post(path)
        .header("host", "bench")
        .header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(request.body(Full::from(form.to_owned()))?)
}

fn text(value: &Value, field: &str) -> Result<String> {
    Ok(value.get(field).and_then(Value::as_str).with_context(|| format!("no {field} in {value}"))?.to_owned())
}
