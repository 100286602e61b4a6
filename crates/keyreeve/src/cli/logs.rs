//! The log output of this process: structured lines on standard error.

use super::exit::Failure;
use crate::config::{Config, LogFormat};
use crate::traces::Exporter;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// The driver of PostgreSQL tells the parameters of every statement at its lower levels: hashes of passwords, digests of
/// tokens, sealed keys. No filter gets it to.
const NEVER_LOGGED: &str = "tokio_postgres=info";

/// Installs the output, and the traces where `traces` is set. A process has one; where it has one already (tests), that
/// stays.
///
/// # Errors
/// When `filter` is not a filter.
pub(super) fn install(config: &Config, filter: &str, traces: Option<&Exporter>) -> Result<(), Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("log {error}"));
    let filter = EnvFilter::builder().parse(filter).map_err(|error| wrong(&error))?;
    let filter = filter.add_directive(NEVER_LOGGED.parse().map_err(|error| wrong(&error))?);
    let output = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let output = match config.log_format {
        LogFormat::Text => output.with_filter(filter).boxed(),
        LogFormat::Json => output.json().flatten_event(true).with_filter(filter).boxed(),
    };
    let _ = tracing_subscriber::registry().with(output).with(traces.map(Exporter::layer)).try_init();
    Ok(())
}
