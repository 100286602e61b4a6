//! The log output of this process: structured lines on standard error.

use super::exit::Failure;
use crate::config::{Config, LogFormat};
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Installs the output. A process has one; where it has one already (tests), that stays.
///
/// # Errors
/// When `filter` is not a filter.
pub(super) fn install(config: &Config, filter: &str) -> Result<(), Failure> {
    let filter =
        EnvFilter::builder().parse(filter).map_err(|error| Failure::usage(format!("log {error}")))?;
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
