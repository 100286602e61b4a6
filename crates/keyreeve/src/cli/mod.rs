//! The command line.
//!
//! A command runs in its own process on the data directory or the PostgreSQL database; when a server has the SQLite
//! database open, it is handed to that server ([`remote`]). What it prints goes to standard output, as text or, with
//! `--json`, as one JSON value; what went wrong goes to standard error; logs go there too. The exit codes are [`exit::Exit`].

pub mod args;
mod config_command;
mod doctor;
pub mod exit;
mod failure;
mod init;
pub mod input;
mod logs;
#[cfg(unix)]
pub mod remote;
pub mod run;
mod serve;

use crate::config::{Config, Inputs};
use crate::{App, Error, Purpose};
use args::{Cli, Command, ConfigCommand};
use clap::Parser as _;
use exit::{Exit, Failure, Output};
use input::Input;
use keyreeve_base::{SystemClock, World};
use keyreeve_crypto::SystemRandom;
use serde_json::json;
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a command waits for another one that has the database at this moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// The program: reads the command line, runs the command, prints, answers the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            drop(error.print());
            // Help and version are no mistakes; clap tells them apart by where they are printed.
            return ExitCode::from(if error.use_stderr() { Exit::Usage as u8 } else { Exit::Ok as u8 });
        }
    };
    let json = cli.global.json;
    let own_arguments = arguments.get(1..).unwrap_or_default();
    let exit = match dispatch(cli, own_arguments) {
        Ok(None) => Exit::Ok,
        Ok(Some(output)) => {
            print(&output, json);
            output.exit
        }
        Err(failure) => {
            print_failure(&failure, json);
            failure.exit
        }
    };
    ExitCode::from(exit as u8)
}

/// The clock and the generator of a real server.
#[must_use]
pub fn system_world() -> World {
    World::new(Arc::new(SystemClock), Arc::new(SystemRandom))
}

fn dispatch(cli: Cli, arguments: &[OsString]) -> Result<Option<Output>, Failure> {
    let inputs = Inputs {
        flags: cli.global.settings(),
        environment: std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            })
            .collect(),
        file: cli.global.config.clone(),
    };
    let config = match (&cli.command, Config::load(inputs)) {
        (Command::Config(ConfigCommand::Check), checked) => return config_command::check(checked).map(Some),
        (Command::Doctor, Err(error)) => return Ok(Some(doctor::without_configuration(&error))),
        (_, loaded) => loaded?,
    };
    match cli.command {
        Command::Serve => {
            // At a terminal the first words should be where to sign in, not what happened inside.
            let at_terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
            let quiet = at_terminal && config.source("log") == crate::config::Source::Default;
            logs::install(&config, if quiet { "warn" } else { &config.log })?;
            serve::run(config, cli.global.json).map(|()| None)
        }
        command => {
            // A command speaks by its output; its log is for what went wrong.
            let filter =
                if config.source("log") == crate::config::Source::Default { "error" } else { &config.log };
            logs::install(&config, filter)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
            runtime.block_on(Box::pin(command_in(config, command, arguments))).map(Some)
        }
    }
}

async fn command_in(config: Config, command: Command, arguments: &[OsString]) -> Result<Output, Failure> {
    match command {
        Command::Config(_) => Ok(config_command::show(&config)),
        Command::Init => init::run(config).await,
        Command::Doctor => Ok(doctor::run(config).await),
        Command::Audit(args::AuditCommand::Verify { file: Some(file), expect, .. }) => {
            run::audit::verify_file(&file, expect.as_deref())
        }
        command => {
            let input = Input::read(&command)?;
            on_installation(config, &command, arguments, input).await
        }
    }
}

/// Runs a command on the installation: through the server that has it open, or by opening it.
async fn on_installation(
    config: Config,
    command: &Command,
    arguments: &[OsString],
    input: Input,
) -> Result<Output, Failure> {
    let started = Instant::now();
    #[cfg(unix)]
    if config.database_url.is_none()
        && let Some(output) = remote::call(&config.data_dir, arguments, &input).await?
    {
        return Ok(output);
    }
    let config = Arc::new(config);
    let app = loop {
        match App::open_for(Purpose::Command, config.clone(), system_world(), None).await {
            Ok(app) => break app,
            Err(Error::Store(keyreeve_store::Error::InUse { .. })) if started.elapsed() < LOCK_PATIENCE => {
                // A server that has just started, or another command that is about to end.
                #[cfg(unix)]
                if let Some(output) = remote::call(&config.data_dir, arguments, &input).await? {
                    return Ok(output);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    run::run(&app, command, input).await
}

fn print(output: &Output, json: bool) {
    let text = if json {
        // A `Value` always prints.
        serde_json::to_string_pretty(&output.json).unwrap_or_default()
    } else {
        output.text.clone()
    };
    // A closed pipe (`| head`) is no failure of the command.
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

fn print_failure(failure: &Failure, json: bool) {
    let text = if json {
        json!({"error": {"message": failure.message, "exit_code": failure.exit as u8}}).to_string()
    } else {
        format!("keyreeve: {}", failure.message)
    };
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}
