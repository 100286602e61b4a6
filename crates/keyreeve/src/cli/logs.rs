//! The log output of this process: structured lines on standard error.

use super::exit::Failure;
use crate::config::{Config, LogFormat};
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The driver of PostgreSQL tells the parameters of every statement at its lower levels: hashes of passwords, digests of
/// tokens, sealed keys. No filter gets it to.
const NEVER_LOGGED: &str = "tokio_postgres=info";

/// Installs the output. A process has one; where it has one already (tests), that stays.
///
/// # Errors
/// When `filter` is not a filter.
pub(super) fn install(config: &Config, filter: &str) -> Result<(), Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("log {error}"));
    let filter = EnvFilter::builder().parse(filter).map_err(|error| wrong(&error))?;
    let filter = filter.add_directive(NEVER_LOGGED.parse().map_err(|error| wrong(&error))?);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let _ = match config.log_format {
        LogFormat::Text => builder.finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    Ok(())
}
