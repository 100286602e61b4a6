//! The command line.
//!
//! A command runs in its own process on the data directory or the PostgreSQL database; when a server has the SQLite
//! database open, it is handed to that server ([`remote`]). With `--server` it is requests to a server elsewhere. What it prints goes to standard output, as text or, with
//! `--json`, as one JSON value; what went wrong goes to standard error; logs go there too. The exit codes are [`exit::Exit`].

mod answer;
pub mod args;
pub mod client;
mod config_command;
mod doctor;
mod edits;
pub mod exit;
mod failure;
mod imqs;
mod init;
pub mod input;
mod logs;
#[cfg(unix)]
pub mod remote;
mod rotation;
pub mod run;
mod serve;
mod shell;
mod split;
mod transfer;
pub mod view;

use crate::config::{Config, Inputs};
use crate::traces::Exporter;
use crate::{App, Error, Purpose, hardening};
use args::{Cli, Command, ConfigCommand, KeyCommand};
use clap::Parser as _;
use client::{Api, Elsewhere};
use exit::{Exit, Failure, Output};
use input::Input;
use keyreeve_base::{SystemClock, World};
use keyreeve_crypto::SystemRandom;
use serde_json::json;
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

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
    match &cli.command {
        Command::Completions { shell } => return Ok(Some(shell::completions(*shell))),
        Command::Man { directory } => return shell::manual(directory).map(Some),
        Command::Login(arguments) => {
            return block_on(client::login(&cli.global.remote, &inputs, arguments)).map(Some);
        }
        Command::Logout => return block_on(client::logout(&cli.global.remote, &inputs)).map(Some),
        Command::Unseal if client::names_server(&cli.global.remote, &inputs)? => {
            let hand_in = async |share| split::hand_in_elsewhere(&cli.global.remote, &inputs, &share).await;
            return block_on(async { split::unseal(&mut split::Typed::new()?, hand_in).await }).map(Some);
        }
        _ => {}
    }
    if cli.global.remote.server.is_some() && !cli.command.works_elsewhere() {
        return Err(Failure::usage(
            "this command works on the machine of the installation only; leave out --server",
        ));
    }
    if cli.command.works_elsewhere()
        && let Some(server) = Elsewhere::of(&cli.global.remote, &inputs)?
    {
        if transfer::serve::streams(&cli.command) {
            let place = Place::Elsewhere(Box::new(server));
            return block_on(transfer::run(place, Arc::new(cli.command), cli.global.json)).map(Some);
        }
        let input = Input::read(&cli.command)?;
        let api = Api::Elsewhere(Box::new(server));
        return block_on(on_server(&api, &cli.command, input)).map(Some);
    }
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
            let traces = Exporter::of(&config).map_err(Failure::usage)?;
            logs::install(&config, if quiet { "warn" } else { &config.log }, traces.as_ref())?;
            hardening::close(&config);
            let served = serve::run(config, cli.global.json);
            if let Some(traces) = traces {
                traces.finish();
            }
            served.map(|()| None)
        }
        Command::Imqs(arguments) => {
            let filter =
                if config.source("log") == crate::config::Source::Default { "warn" } else { &config.log };
            logs::install(&config, filter, None)?;
            imqs::run(config, arguments, cli.global.json)
        }
        command => {
            // A command speaks by its output; its log is for what went wrong.
            let filter =
                if config.source("log") == crate::config::Source::Default { "error" } else { &config.log };
            logs::install(&config, filter, None)?;
            hardening::close(&config);
            block_on(command_in(config, command, arguments, cli.global.json)).map(Some)
        }
    }
}

fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    runtime.block_on(Box::pin(work))
}

async fn command_in(
    config: Config,
    command: Command,
    arguments: &[OsString],
    json: bool,
) -> Result<Output, Failure> {
    match command {
        Command::Config(_) => Ok(config_command::show(&config)),
        Command::Init => init::run(config).await,
        Command::Doctor => Ok(doctor::run(config).await),
        Command::Key(KeyCommand::Split { shares, threshold }) => {
            split_key(config, (shares, threshold), json).await
        }
        Command::Key(KeyCommand::Join) => {
            let plan = split::join(&config)?;
            note(config, &split::note("join", &plan)).await?;
            let done = json!({"master_key": plan.master_key().to_string()});
            Ok(Output::new(
                "The master key is whole again, in its file. The shares are worth nothing new: split it anew.",
                done,
            ))
        }
        #[cfg(unix)]
        Command::Unseal => {
            let dir = &config.data_dir;
            let hand_in = async |share| {
                let input = Input { secret: Some(share), ..Input::default() };
                let answer = remote::call(dir, arguments, &input).await?;
                let nobody = "no server listens on this data directory; start it, or name one by --server";
                Ok(answer.ok_or_else(|| Failure::new(Exit::Unavailable, nobody))?.json)
            };
            split::unseal(&mut split::Typed::new()?, hand_in).await
        }
        Command::Audit(args::AuditCommand::Verify { file: Some(file), expect, .. }) => {
            run::audit::verify_file(&file, expect.as_deref())
        }
        command if transfer::serve::streams(&command) => {
            let place = Place::Machine(Box::new(config), arguments.to_vec());
            transfer::run(place, Arc::new(command), json).await
        }
        command => {
            let input = Input::read(&command)?;
            Box::pin(on_installation(config, &command, arguments, input)).await
        }
    }
}

/// Splits the master key: notes it, hands the shares out, and only then takes the key away.
async fn split_key(config: Config, (shares, threshold): (u8, u8), json: bool) -> Result<Output, Failure> {
    let (path, key) = crate::master_key::to_split(&config)?;
    let made = key.split(&system_world(), threshold, shares);
    let (plan, dealt) = made.map_err(|error| Failure::usage(error.to_string()))?;
    let done = split::done(crate::master_key::kept_beside(&path));
    note(config, &split::note("split", &plan)).await?;
    split::hand_out(&plan, &dealt, json)?;
    crate::master_key::replace_by(&path, &plan)?;
    Ok(if json {
        Output::new("", serde_json::Value::Null)
    } else {
        Output::new(done, serde_json::Value::Null)
    })
}

/// Has it written into the audit log, by whoever has the database open.
async fn note(config: Config, arguments: &[OsString]) -> Result<(), Failure> {
    let name = std::iter::once(OsString::from("keyreeve"));
    let cli = Cli::try_parse_from(name.chain(arguments.iter().cloned()))
        .map_err(|error| Failure::usage(error.to_string()))?;
    Box::pin(on_installation(config, &cli.command, arguments, Input::default())).await.map(drop)
}

/// Runs a command on the installation: through the server that has it open, or by opening it.
async fn on_installation(
    config: Config,
    command: &Command,
    arguments: &[OsString],
    input: Input,
) -> Result<Output, Failure> {
    let status = rotation::status_of(command);
    #[cfg(unix)]
    let ask = async |dir: &Path| match &status {
        None => remote::call(dir, arguments, &input).await,
        Some(status) => through_server(dir, arguments, &input, status).await,
    };
    #[cfg(not(unix))]
    let ask = async |_: &Path| Ok(None);
    match (reach(config, ask).await?, &status) {
        (Reached::Server(output), _) => Ok(output),
        (Reached::Here(app), None) => run::run(&Api::Here(app), command, input).await,
        (Reached::Here(app), Some(status)) => {
            let (api, at) = (Api::Here(app.clone()), || Input::default());
            let look = async || run::run(&api, status, at()).await;
            let begun = rotation::beside(run::run(&api, command, input), look).await?;
            if !rotation::goes_on(status) {
                return Ok(begun);
            }
            // Where no server runs, this process does the work.
            rotation::follow(async || {
                app.reseal_all().await?;
                look().await
            })
            .await
        }
    }
}

/// Runs a command on a server elsewhere, and waits for what it began, if it is asked to.
async fn on_server(api: &Api, command: &Command, input: Input) -> Result<Output, Failure> {
    let begun = run::run(api, command, input).await?;
    match rotation::status_of(command) {
        Some(status) if rotation::goes_on(&status) => {
            rotation::follow(async || run::run(api, &status, Input::default()).await).await
        }
        _ => Ok(begun),
    }
}

/// Has the running server change keys, and shows how far it is.
#[cfg(unix)]
async fn through_server(
    dir: &Path,
    arguments: &[OsString],
    input: &Input,
    status: &Command,
) -> Result<Option<Output>, Failure> {
    let (words, nothing) = (rotation::arguments_of(status), Input::default());
    let gone = || Failure::new(Exit::Unavailable, "the server has stopped; it goes on when it starts again");
    let look = async || remote::call(dir, &words, &nothing).await?.ok_or_else(gone);
    let Some(begun) = rotation::beside(remote::call(dir, arguments, input), look).await? else {
        return Ok(None);
    };
    if rotation::goes_on(status) { rotation::follow(look).await.map(Some) } else { Ok(Some(begun)) }
}

/// Who has the database.
enum Reached<T> {
    /// A server, and what it answered.
    Server(T),
    /// This process.
    Here(App),
}

/// Asks the server that has the installation open, or opens it.
async fn reach<T>(
    config: Config,
    ask: impl AsyncFn(&Path) -> Result<Option<T>, Failure>,
) -> Result<Reached<T>, Failure> {
    let started = Instant::now();
    if config.database_url.is_none()
        && let Some(answer) = ask(&config.data_dir).await?
    {
        return Ok(Reached::Server(answer));
    }
    let config = Arc::new(config);
    loop {
        match App::open_for(Purpose::Command, config.clone(), system_world(), None).await {
            Ok(app) => return Ok(Reached::Here(app)),
            Err(Error::Store(keyreeve_store::Error::InUse { .. })) if started.elapsed() < LOCK_PATIENCE => {
                // A server that has just started, or another command that is about to end.
                if let Some(answer) = ask(&config.data_dir).await? {
                    return Ok(Reached::Server(answer));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Where a command that streams is carried out.
enum Place {
    /// On this machine, and the command line that a running server is handed.
    Machine(Box<Config>, Vec<OsString>),
    /// On a server elsewhere.
    Elsewhere(Box<Elsewhere>),
}

/// A stream to whoever has the database, for the commands that stream.
struct Link {
    input: Box<dyn AsyncRead + Send + Unpin>,
    output: Box<dyn AsyncWrite + Send + Unpin>,
    /// Says, when it is dropped, that nobody stops this process's own side.
    _stop: Option<watch::Sender<bool>>,
}

/// How much may be on its way within this process.
const LINK_BYTES: usize = 256 * 1024;

/// Opens a stream to the server that has the installation open, or to this process's own side.
async fn link(place: Place, command: Arc<Command>) -> Result<Link, Failure> {
    let api = match place {
        Place::Elsewhere(server) => Api::Elsewhere(server),
        Place::Machine(config, arguments) => {
            #[cfg(unix)]
            let ask = async |dir: &Path| remote::open(dir, &arguments, &Input::default()).await;
            #[cfg(not(unix))]
            let ask = async |_: &Path| Ok(None::<tokio::io::DuplexStream>);
            match reach(*config, ask).await? {
                Reached::Server(stream) => {
                    let (input, output) = tokio::io::split(stream);
                    return Ok(Link { input: Box::new(input), output: Box::new(output), _stop: None });
                }
                Reached::Here(app) => Api::Here(app),
            }
        }
    };
    let (stop, stopped) = watch::channel(false);
    let (ours, theirs) = tokio::io::duplex(LINK_BYTES);
    tokio::spawn(async move {
        let ends = tokio::io::split(theirs);
        if let Err(error) = transfer::serve::serve(&api, &command, ends, stopped).await {
            tracing::debug!(%error, "a stream ended early");
        }
    });
    let (input, output) = tokio::io::split(ours);
    Ok(Link { input: Box::new(input), output: Box::new(output), _stop: Some(stop) })
}

fn print(output: &Output, json: bool) {
    // A command that has written its own output says nothing more.
    if output.text.is_empty() && output.json.is_null() {
        return;
    }
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
