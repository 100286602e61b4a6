//! The load generator: a fixed number of keep-alive connections, each with one request under way at a time.

use crate::server::Server;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How to load.
#[derive(Clone)]
pub struct Plan {
    /// Keep-alive connections.
    pub connections: usize,
    /// What is sent before the measurement starts.
    pub warm_up: Duration,
    /// What is measured.
    pub measured: Duration,
}

/// What one operation cost.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Requests answered as expected while measuring.
    pub requests: u64,
    /// Requests a second.
    pub per_second: f64,
    /// Median latency in microseconds.
    pub p50_us: u64,
    /// 99th percentile in microseconds.
    pub p99_us: u64,
    /// CPU time of the server for each request, in microseconds.
    pub cpu_us: f64,
}

/// One connection's requests: makes the next one, and reads what the last answer gave.
pub trait Script: Send + 'static {
    /// The next request.
    fn request(&mut self) -> Result<Request<Full<Bytes>>>;
    /// Checks an answer (status and body) and keeps what the next request needs.
    ///
    /// # Errors
    /// When the answer is not the expected one: the benchmark stops.
    fn answer(&mut self, status: u16, body: &[u8]) -> Result<()>;
}

/// The same request again and again; every answer must be 200.
#[derive(Clone)]
pub struct Same {
    /// Makes the request.
    pub make: Arc<dyn Fn() -> Result<Request<Full<Bytes>>> + Send + Sync>,
}

impl Script for Same {
    fn request(&mut self) -> Result<Request<Full<Bytes>>> {
        (self.make)()
    }

    fn answer(&mut self, status: u16, body: &[u8]) -> Result<()> {
        if status != 200 {
            bail!("answered {status}: {}", String::from_utf8_lossy(body));
        }
        Ok(())
    }
}

/// Loads `server` with one script for each connection and says what it cost.
pub async fn measure(server: &Server, plan: &Plan, scripts: Vec<Box<dyn Script>>) -> Result<Measured> {
    let measuring = Arc::new(AtomicBool::new(false));
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for script in scripts.into_iter().take(plan.connections) {
        let connection = connect(server.address).await?;
        tasks.push(tokio::spawn(drive(connection, script, Arc::clone(&measuring), Arc::clone(&stop))));
    }
    tokio::time::sleep(plan.warm_up).await;
    let (cpu_before, started) = (server.cpu_seconds()?, Instant::now());
    measuring.store(true, Ordering::Release);
    tokio::time::sleep(plan.measured).await;
    measuring.store(false, Ordering::Release);
    let (cpu, elapsed) = (server.cpu_seconds()? - cpu_before, started.elapsed());
    stop.store(true, Ordering::Release);
    let mut latencies: Vec<u64> = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    latencies.sort_unstable();
    let requests = latencies.len() as u64;
    if requests == 0 {
        bail!("no request was answered while measuring");
    }
    Ok(Measured {
        requests,
        per_second: requests as f64 / elapsed.as_secs_f64(),
        p50_us: percentile(&latencies, 50),
        p99_us: percentile(&latencies, 99),
        cpu_us: cpu * 1e6 / requests as f64,
    })
}

/// Runs one connection until told to stop; answers the latencies of what was answered while measuring.
async fn drive(
    mut connection: SendRequest<Full<Bytes>>,
    mut script: Box<dyn Script>,
    measuring: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
) -> Result<Vec<u64>> {
    let mut latencies = Vec::with_capacity(1 << 16);
    while !stop.load(Ordering::Acquire) {
        let request = script.request()?;
        let started = Instant::now();
        let (status, body) = send(&mut connection, request).await?;
        let elapsed = started.elapsed();
        script.answer(status, &body)?;
        if measuring.load(Ordering::Acquire) {
            latencies.push(u64::try_from(elapsed.as_micros())?);
        }
    }
    Ok(latencies)
}

/// Opens a keep-alive connection.
pub async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Sends one request and reads the whole answer.
pub async fn send(
    connection: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<(u16, Bytes)> {
    connection.ready().await?;
    let response = connection.send_request(request).await.context("the server closed the connection")?;
    let status = response.status().as_u16();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

fn percentile(sorted: &[u64], percent: usize) -> u64 {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}
