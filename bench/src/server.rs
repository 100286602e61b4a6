//! The processes under measurement, and what the kernel says of them.

use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A running server.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts this program as the bare axum handler.
    pub async fn bare() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--bare")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("no stdout")?;
        let line =
            BufReader::new(stdout).lines().next_line().await?.context("the bare server said nothing")?;
        Ok(Self { child, address: line.parse()? })
    }

    /// Starts `keyreeve serve` on `data`, listening on `address`, and waits until it accepts connections.
    pub async fn keyreeve(binary: &Path, data: &Path, address: SocketAddr) -> Result<Self> {
        Self::start(keyreeve(binary, data, address).arg("serve"), address).await
    }

    /// Starts this command, and waits until it accepts connections.
    pub async fn start(command: &mut Command, address: SocketAddr) -> Result<Self> {
        let child = command.kill_on_drop(true).spawn()?;
        for _ in 0..4_000 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return Ok(Self { child, address });
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        bail!("the server did not listen on {address} within two seconds")
    }

    /// CPU time spent so far, user and system, in seconds.
    pub fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(&self.pid()?.to_string())
    }

    /// Resident memory in MiB.
    pub fn resident_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.split_whitespace().nth(1).context("no VmRSS")?.parse()?;
        Ok(kib / 1024.0)
    }

    /// Ends it.
    pub async fn stop(mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(())
    }

    fn pid(&self) -> Result<u32> {
        self.child.id().context("the server has ended")
    }
}

/// CPU time that a process (a number, or `self`) has spent so far, user and system, in seconds
/// (`/proc/PID/stat`, fields 14 and 15, 100 ticks a second; the kernel makes their sum exact).
pub fn cpu_seconds(process: &str) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let after_name = stat.rsplit_once(')').context("unexpected /proc/PID/stat")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: f64 = [11, 12]
        .into_iter()
        .map(|i| fields.get(i).and_then(|f| f.parse::<f64>().ok()).context("unexpected /proc/PID/stat"))
        .sum::<Result<f64>>()?;
    Ok(ticks / 100.0)
}

/// A `keyreeve` command on `data`.
pub fn keyreeve(binary: &Path, data: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new(binary);
    command
        .env("KEYREEVE_DATA_DIR", data)
        .env("KEYREEVE_LISTEN", address.to_string())
        .env("KEYREEVE_PUBLIC_URL", format!("http://{address}"))
        .env("KEYREEVE_LOG", "warn")
        .env("KEYREEVE_API_RATE_LIMIT", "0")
        .env("KEYREEVE_COMPAT_IMQS_ENABLED", "1")
        .env("KEYREEVE_COMPAT_INSIGHT_ENABLED", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// A loopback address whose port is free now.
pub fn free_address() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The floor: one axum handler that answers a small JSON text.
pub async fn serve_bare() -> Result<()> {
    let router = axum::Router::new().route(
        "/bare",
        axum::routing::get(|| async { ([("content-type", "application/json")], r#"{"status":"ok"}"#) }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    {
        use std::io::Write as _;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", listener.local_addr()?)?;
        out.flush()?;
    }
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await?;
    Ok(())
}
