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
    /// How often an operation is measured, in turns with the bare handler.
    pub rounds: u32,
    /// What is sent in each round before the measurement starts.
    pub warm_up: Duration,
    /// What is measured in each round.
    pub measured: Duration,
}

/// What one round cost.
pub struct Round {
    /// Of the requests answered while measuring, in microseconds.
    latencies_us: Vec<u64>,
    elapsed_s: f64,
    /// CPU time of the server for each request, in microseconds.
    pub cpu_us: f64,
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
    /// CPU time of the server for each request, in microseconds: the median of the rounds.
    pub cpu_us: f64,
}

impl Measured {
    /// How many requests a second those of the second kind made.
    pub fn of_own(rounds: &[(Round, Round)]) -> f64 {
        let requests: usize = rounds.iter().map(|(_, own)| own.latencies_us.len()).sum();
        let elapsed_s: f64 = rounds.iter().map(|(_, own)| own.elapsed_s).sum();
        requests as f64 / elapsed_s
    }

    /// What these rounds come to.
    pub fn of(rounds: Vec<Round>) -> Self {
        let cpu_us = median(rounds.iter().map(|round| round.cpu_us));
        let elapsed_s: f64 = rounds.iter().map(|round| round.elapsed_s).sum();
        let mut latencies: Vec<u64> = rounds.into_iter().flat_map(|round| round.latencies_us).collect();
        latencies.sort_unstable();
        Self {
            requests: latencies.len() as u64,
            per_second: latencies.len() as f64 / elapsed_s,
            p50_us: percentile(&latencies, 50),
            p99_us: percentile(&latencies, 99),
            cpu_us,
        }
    }
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

/// What the connections of a load do, one for each.
pub type Scripts = Vec<Box<dyn Script>>;

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

/// Open connections to one server, each with its script.
pub struct Load {
    clients: Vec<Client>,
}

struct Client {
    connection: SendRequest<Full<Bytes>>,
    script: Box<dyn Script>,
    latencies_us: Vec<u64>,
}

impl Load {
    /// Connects each script to `server`.
    pub async fn open(server: &Server, scripts: Vec<Box<dyn Script>>) -> Result<Self> {
        let mut clients = Vec::new();
        for script in scripts {
            let connection = connect(server.address).await?;
            clients.push(Client { connection, script, latencies_us: Vec::with_capacity(1 << 16) });
        }
        Ok(Self { clients })
    }

    /// Loads `server`, the one that the connections lead to, for one round.
    pub async fn round(&mut self, server: &Server, plan: &Plan) -> Result<Round> {
        self.drive(server, plan, None).await
    }

    /// The same with so many requests a second, all connections together. A request that is late because the one before it
    /// was counts from when it was due. The connections take turns: they do not all send at one moment.
    pub async fn paced(&mut self, server: &Server, plan: &Plan, per_second: f64) -> Result<Round> {
        let every = Duration::from_secs_f64(self.clients.len() as f64 / per_second.max(1.0));
        self.drive(server, plan, Some(every)).await
    }

    async fn drive(&mut self, server: &Server, plan: &Plan, every: Option<Duration>) -> Result<Round> {
        let measuring = Arc::new(AtomicBool::new(false));
        let stop = Arc::new(AtomicBool::new(false));
        let count = self.clients.len() as f64;
        let tasks: Vec<_> = self
            .clients
            .drain(..)
            .enumerate()
            .map(|(i, client)| {
                let pace = every.map(|every| (every, every.mul_f64(i as f64 / count)));
                tokio::spawn(client.drive(pace, Arc::clone(&measuring), Arc::clone(&stop)))
            })
            .collect();
        tokio::time::sleep(plan.warm_up).await;
        let (cpu_before, started) = (server.cpu_seconds()?, Instant::now());
        measuring.store(true, Ordering::Release);
        tokio::time::sleep(plan.measured).await;
        measuring.store(false, Ordering::Release);
        let (cpu_s, elapsed_s) = (server.cpu_seconds()? - cpu_before, started.elapsed().as_secs_f64());
        stop.store(true, Ordering::Release);
        let mut latencies_us = Vec::new();
        for task in tasks {
            let mut client = task.await??;
            latencies_us.append(&mut client.latencies_us);
            self.clients.push(client);
        }
        if latencies_us.is_empty() {
            bail!("no request was answered while measuring");
        }
        let cpu_us = cpu_s * 1e6 / latencies_us.len() as f64;
        Ok(Round { latencies_us, elapsed_s, cpu_us })
    }
}

impl Client {
    /// Sends one request after the other, or one each time that some time has passed, first after another, until told to
    /// stop; notes the latencies of what is answered while measuring.
    async fn drive(
        mut self,
        pace: Option<(Duration, Duration)>,
        measuring: Arc<AtomicBool>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self> {
        let mut due = Instant::now() + pace.map(|(_, first)| first).unwrap_or_default();
        while !stop.load(Ordering::Acquire) {
            let mut late = None;
            if let Some((every, _)) = pace {
                due += every;
                if due > Instant::now() {
                    tokio::time::sleep_until(due.into()).await;
                } else {
                    late = Some(due);
                }
            }
            let request = self.script.request()?;
            let started = late.unwrap_or_else(Instant::now);
            let (status, body) = send(&mut self.connection, request).await?;
            let elapsed = started.elapsed();
            self.script.answer(status, &body)?;
            if measuring.load(Ordering::Acquire) {
                self.latencies_us.push(u64::try_from(elapsed.as_micros())?);
            }
        }
        Ok(self)
    }
}

/// Loads `server` with one script for each connection, for all rounds in a row, and says what it cost.
pub async fn measure(server: &Server, plan: &Plan, scripts: Vec<Box<dyn Script>>) -> Result<Measured> {
    let mut load = Load::open(server, scripts.into_iter().take(plan.connections).collect()).await?;
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        rounds.push(load.round(server, plan).await?);
    }
    Ok(Measured::of(rounds))
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

/// The middle one of some figures; zero of none.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn percentile(sorted: &[u64], percent: usize) -> u64 {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}
