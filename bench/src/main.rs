//! `cargo run --release -p keyreeve-bench`: starts the release server on an empty SQLite directory, loads it over
//! loopback and prints what each operation costs, beside a bare axum handler loaded the same way in the same run.
//!
//! The figure to hold is CPU time of the server for each request; throughput and latency on a shared machine are
//! context. Nothing here is asserted: `docs/performance.md` says what was reached, and on what.

mod compat;
mod hashing;
mod load;
mod passwords;
mod pki;
mod report;
mod scenario;
mod secrets;
mod server;
mod sharing;
mod size;

use anyhow::Result;
use clap::{Parser, ValueEnum as _};
use scenario::Part;
use std::path::PathBuf;
use std::time::Duration;

/// Measures the release server.
#[derive(Parser)]
#[command(name = "keyreeve-bench", version)]
struct Arguments {
    /// Seconds that each operation is measured, all rounds together, after a warm-up of a fifth of that.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// In how many rounds: the bare handler is measured before each, so that what else the machine does falls on both.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Measures only these.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The server's binary; built with `cargo build --release` when it is not there.
    #[arg(long, default_value = "target/release/keyreeve")]
    server: PathBuf,
    /// How large the data set of the sharing part is: 1 is a million resources and ten million grants.
    #[arg(long, default_value_t = 1.0)]
    sharing_scale: f64,
    /// An empty PostgreSQL database (`postgres://…`) for the sharing part, which else is measured on SQLite.
    #[arg(long)]
    database: Option<String>,
    /// Prints one JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// Serves the bare handler that everything is compared with (used by the benchmark itself).
    #[arg(long, hide = true)]
    bare: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.bare {
        return server::serve_bare().await;
    }
    let measured = Duration::from_secs(arguments.seconds) / arguments.rounds.max(1);
    let plan = load::Plan {
        connections: arguments.connections,
        rounds: arguments.rounds.max(1),
        warm_up: measured / 5,
        measured,
    };
    let parts = if arguments.only.is_empty() { Part::value_variants() } else { &arguments.only };
    let set = scenario::SharingSet { scale: arguments.sharing_scale, database: arguments.database };
    let report = scenario::run(&arguments.server, &plan, parts, &set).await?;
    if arguments.json { report.print_json() } else { report.print_table() }
}
