//! What a large directory costs: the same requests at one thousand and at one million users.

use crate::load::{self, Plan, Same, Script, Scripts};
use crate::report::Report;
use crate::scenario::{Cli, basic, get_with, post_form, text};
use crate::server::{Server, free_address};
use anyhow::{Context, Result};
use serde_json::Value;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const SMALL: u64 = 1_000;
const LARGE: u64 = 1_000_000;
const SESSIONS: u64 = 100_000;

/// The hash of no password that anybody knows: what is measured is not the hashing.
const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ";

/// A request for a number out of `0..users`.
type Make = fn(u64) -> String;

/// What is asked of both directories. Each draws its users by a stride, so that no request is the one before.
const QUESTIONS: [(&str, Make); 7] = [
    ("get by id", |_| String::new()),
    ("list, first page", |_| "/api/v1/users?limit=50".to_owned()),
    ("list by username, a deep page", |n| {
        format!("/api/v1/users?limit=50&sort=username&filter=username%20ge%20%22user{n:07}%22")
    }),
    ("username eq", |n| format!("/api/v1/users?filter=username%20eq%20%22USER{n:07}%22")),
    ("username sw", |n| format!("/api/v1/users?limit=10&filter=username%20sw%20%22user{:06}%22", n / 10)),
    ("email eq", |n| format!("/api/v1/users?filter=email%20eq%20%22user{n:07}@example.org%22")),
    ("attribute eq", |n| format!("/api/v1/users?limit=50&filter=attributes.badge%20eq%20%22b{n:07}%22")),
];

/// Measures both.
pub async fn measure(binary: &Path, plan: &Plan, report: &mut Report) -> Result<()> {
    let small = directory(binary, plan, SMALL, report).await?;
    let large = directory(binary, plan, LARGE, report).await?;
    for ((name, _), (small, large)) in QUESTIONS.iter().zip(small.into_iter().zip(large)) {
        let line = format!("p99 of {name} at one million users, as a multiple of that at one thousand");
        report.fact(&line, large as f64 / small.max(1) as f64, "×", Some("≤ 1.5 ×"));
    }
    Ok(())
}

/// The p99 of each question, in microseconds, in a directory of so many users.
async fn directory(binary: &Path, plan: &Plan, users: u64, report: &mut Report) -> Result<Vec<u64>> {
    let scratch = tempfile::tempdir()?;
    let (data, file) = (scratch.path().join("data"), scratch.path().join("users.ndjson"));
    write_users(&file, users)?;
    let address = free_address()?;
    let cli = Cli { binary, data: &data, address, database: None };
    let made = cli.run(&["init", "--json"], None).await?;
    let client = made.get("client").context("no client")?;
    let basic = basic(&text(client, "client_id")?, &text(client, "client_secret")?);
    let started = Instant::now();
    let path = file.to_str().context("a path that is text")?;
    let (_, peak_mib) = cli.run_and_weigh(&["import", path, "--json"]).await?;
    if users == LARGE {
        let per_second = users as f64 / started.elapsed().as_secs_f64();
        report.fact("import of users with their hashes", per_second, "users/s", Some("≥ 30,000 users/s"));
        report.fact("resident memory of that import, at most", peak_mib, "MiB", None);
        sessions(&data)?;
        let began = Instant::now();
        let server = Server::keyreeve(binary, &data, address).await?;
        token(address, &basic).await?;
        let name = "start to first token with one million users and 100,000 sessions";
        report.fact(name, began.elapsed().as_secs_f64() * 1e3, "ms", Some("≤ 300 ms"));
        report.fact("resident memory then", server.resident_mib()?, "MiB", Some("≤ 150 MiB"));
        server.stop().await?;
    }
    let server = Server::keyreeve(binary, &data, address).await?;
    let bearer = format!("Bearer {}", token(address, &basic).await?);
    let ids = ids(address, &bearer, users).await?;
    let mut answers = Vec::new();
    for (name, make) in QUESTIONS {
        let (ids, bearer, next) = (ids.clone(), bearer.clone(), Arc::new(AtomicU64::new(0)));
        let draw = move || {
            // A stride that shares no factor with the number of users visits them all.
            let n = next.fetch_add(1, Ordering::Relaxed).wrapping_mul(7_919) % users;
            let path = match name {
                "get by id" => {
                    let at = usize::try_from(n)? % ids.len();
                    format!("/api/v1/users/{}", ids.get(at).context("an identifier")?)
                }
                _ => make(n),
            };
            get_with(&path, &bearer)
        };
        let script = Same { make: Arc::new(draw) };
        // A few connections: what is measured is the answer, not the queue before it.
        let scripts: Scripts = (0..2).map(|_| Box::new(script.clone()) as Box<dyn Script>).collect();
        let measured = load::measure(&server, plan, scripts).await?;
        report.fact(&format!("p99 of {name} at {users} users"), measured.p99_us as f64, "µs", None);
        answers.push(measured.p99_us);
    }
    report.fact(&format!("resident memory after that at {users} users"), server.resident_mib()?, "MiB", None);
    server.stop().await?;
    Ok(answers)
}

fn write_users(file: &Path, users: u64) -> Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(file)?);
    for n in 0..users {
        writeln!(
            out,
            r#"{{"type":"user","username":"user{n:07}","email":"user{n:07}@example.org","email_verified":true,"given_name":"Given{n}","family_name":"Family{:05}","display_name":"Person {n:07}","attributes":{{"badge":["b{n:07}"]}},"password_hash":"{HASH}"}}"#,
            n % 50_000
        )?;
    }
    out.flush()?;
    Ok(())
}

/// Live sessions, written as a sign-in would have, behind the server's back: to make them by signing in would take an hour
/// of hashing.
fn sessions(data: &Path) -> Result<()> {
    let database = rusqlite::Connection::open(data.join("keyreeve.db"))?;
    database.execute(
        "INSERT INTO session (id, tenant_id, user_id, token_digest, created_at, last_seen_at, auth_time, expires_at, \
         idle_expires_at, amr) SELECT randomblob(16), tenant_id, id, randomblob(32), created_at, created_at, created_at, \
         created_at + 604800000000, created_at + 43200000000, '[\"pwd\"]' FROM user_account LIMIT ?1",
        [i64::try_from(SESSIONS)?],
    )?;
    Ok(())
}

async fn token(address: SocketAddr, basic: &str) -> Result<String> {
    let form = "grant_type=client_credentials&scope=keyreeve:admin";
    let mut connection = load::connect(address).await?;
    let request = post_form("/token", form, &[("authorization", basic)])?;
    let (status, body) = load::send(&mut connection, request).await?;
    anyhow::ensure!(status == 200, "the first token: {status} {}", String::from_utf8_lossy(&body));
    text(&serde_json::from_slice(&body)?, "access_token")
}

/// Identifiers of users, from all over the directory.
async fn ids(address: SocketAddr, bearer: &str, users: u64) -> Result<Vec<String>> {
    let mut connection = load::connect(address).await?;
    let mut ids = Vec::new();
    for part in 0..50 {
        let n = part * users / 50;
        let path = format!("/api/v1/users?limit=100&sort=username&filter=username%20ge%20%22user{n:07}%22");
        let (status, body) = load::send(&mut connection, get_with(&path, bearer)?).await?;
        anyhow::ensure!(status == 200, "a list: {status} {}", String::from_utf8_lossy(&body));
        let page: Value = serde_json::from_slice(&body)?;
        let items = page.get("items").and_then(Value::as_array).context("no items")?;
        for item in items {
            ids.push(text(item, "id")?);
        }
    }
    anyhow::ensure!(ids.len() > 500, "too few users: {}", ids.len());
    Ok(ids)
}
