//! What the command line says about itself: completions and manual pages.

use super::args::{Cli, ShellKind};
use super::exit::{Exit, Failure, Output};
use clap::CommandFactory as _;
use clap_complete::Shell;
use serde_json::json;
use std::path::Path;

/// `keyreeve completions SHELL`
pub(super) fn completions(kind: ShellKind) -> Output {
    let shell = match kind {
        ShellKind::Bash => Shell::Bash,
        ShellKind::Elvish => Shell::Elvish,
        ShellKind::Fish => Shell::Fish,
        ShellKind::Powershell => Shell::PowerShell,
        ShellKind::Zsh => Shell::Zsh,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "keyreeve", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    Output::new(script.clone(), json!({"shell": shell.to_string(), "script": script}))
}

/// `keyreeve man DIRECTORY`: a page for the program and for each of its commands.
///
/// # Errors
/// When the directory does not take the files.
pub(super) fn manual(directory: &Path) -> Result<Output, Failure> {
    let failed =
        |error: std::io::Error| Failure::new(Exit::Failed, format!("{}: {error}", directory.display()));
    clap_mangen::generate_to(Cli::command(), directory).map_err(failed)?;
    let mut pages: Vec<String> = std::fs::read_dir(directory)
        .map_err(failed)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("keyreeve") && name.ends_with(".1"))
        .collect();
    pages.sort_unstable();
    let text = format!("{} pages were written to {}.", pages.len(), directory.display());
    Ok(Output::new(text, json!({"directory": directory, "pages": pages})))
}
