//! Commands beside a running server.
//!
//! One process at a time may write the SQLite database, because a server trusts what it holds in memory. So when the
//! server runs, a command is handed to it: it listens on a socket in the data directory, which only the directory's
//! owner can reach, runs the command as its own, and sends back what there is to print. A command is one line of JSON,
//! so is the answer; imports and exports go on with pieces of their own.

use super::answer::Answer;
use super::args::{AuditCommand, Cli, Command};
use super::client::Api;
use super::exit::{Exit, Failure, Output};
use super::input::Input;
use super::{run, transfer};
use crate::unseal::Gathering;
use crate::{App, data_dir};
use clap::Parser as _;
use keyreeve_crypto::Secret;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use zeroize::Zeroizing;

/// The longest command, in bytes: a set of public keys fits many times over.
const MAX_REQUEST_BYTES: u64 = 1024 * 1024;
/// The longest answer, in bytes.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;
/// How long a caller may take to say what it wants.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Commands that run at the same time; more wait.
const CONCURRENT: usize = 4;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Both sides must be the same version: the command line is the protocol.
    version: String,
    arguments: Vec<String>,
    /// The caller's working directory, to which its paths are relative.
    directory: PathBuf,
    secret: Option<String>,
    file: Option<String>,
}

/// Hands a command to the server that runs on this data directory.
///
/// # Errors
/// `None` inside when no server listens there; else what the command failed with.
pub async fn call(dir: &Path, arguments: &[OsString], input: &Input) -> Result<Option<Output>, Failure> {
    let Some(mut stream) = open(dir, arguments, input).await? else { return Ok(None) };
    let failed = |error: io::Error| unanswered(dir, &error);
    stream.shutdown().await.map_err(failed)?;
    let mut answer = Zeroizing::new(Vec::new());
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await.map_err(failed)?;
    let answer: Answer = serde_json::from_slice(&answer).map_err(|error| failed(error.into()))?;
    Result::from(answer).map(Some)
}

/// Asks the server that runs on this data directory to carry out a command; what follows on the stream is the command's.
///
/// # Errors
/// `None` inside when no server listens there; else what asking failed with.
pub async fn open(dir: &Path, arguments: &[OsString], input: &Input) -> Result<Option<UnixStream>, Failure> {
    let Ok(mut stream) = UnixStream::connect(data_dir::socket(dir)).await else { return Ok(None) };
    let arguments = arguments
        .iter()
        .map(|argument| argument.to_str().map(str::to_owned))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Failure::usage("the command line is not UTF-8"))?;
    let request = Request {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        arguments,
        directory: input.directory.clone(),
        secret: input.secret.as_ref().map(|secret| secret.expose().to_owned()),
        file: input.file.clone(),
    };
    let failed = |error: io::Error| unanswered(dir, &error);
    let mut line = Zeroizing::new(serde_json::to_vec(&request).map_err(|error| failed(error.into()))?);
    drop(request.secret.map(Zeroizing::new));
    line.push(b'\n');
    stream.write_all(&line).await.map_err(failed)?;
    Ok(Some(stream))
}

fn unanswered(dir: &Path, error: &io::Error) -> Failure {
    let path = data_dir::socket(dir);
    Failure::new(
        Exit::Unavailable,
        format!("the running server did not answer on {}: {error}", path.display()),
    )
}

/// The listening side. The socket is removed when it is dropped.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Listens in the data directory. The caller holds the directory's lock, so a socket that is there is a dead
    /// server's.
    ///
    /// # Errors
    /// Those of the operating system; most likely that the path is too long for a socket.
    pub fn listen(dir: &Path) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = data_dir::socket(dir);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        let control = Self { listener, path };
        std::fs::set_permissions(&control.path, std::fs::Permissions::from_mode(0o600))?;
        Ok(control)
    }

    /// Listens beside no other server: one that runs on the data directory keeps its socket. None where the path is no
    /// good for a socket.
    ///
    /// # Errors
    /// [`Exit::Conflict`] when a server runs there.
    pub async fn listen_alone(dir: &Path) -> Result<Option<Self>, Failure> {
        if UnixStream::connect(data_dir::socket(dir)).await.is_ok() {
            let message = format!("a server runs on the data directory {} already", dir.display());
            return Err(Failure::new(Exit::Conflict, message));
        }
        match Self::listen(dir) {
            Ok(control) => Ok(Some(control)),
            Err(error) => {
                tracing::warn!(%error, data_dir = %dir.display(), "shares can be handed in over HTTP only");
                Ok(None)
            }
        }
    }

    /// Takes shares of the master key until `stop` is ready.
    pub async fn gather(self, gathering: Gathering, stop: impl Future<Output = ()>) {
        let own = std::fs::metadata(self.path.parent().unwrap_or(Path::new(".")))
            .map(|dir| std::os::unix::fs::MetadataExt::uid(&dir));
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut stop => return,
                accepted = self.listener.accept() => accepted,
            };
            let (Ok((stream, _)), Ok(own)) = (accepted, &own) else {
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            };
            // One after the other: each takes a moment.
            if let Err(error) = take_share(&gathering, stream, *own).await {
                tracing::warn!(%error, "a command could not be answered");
            }
        }
    }

    /// Answers commands until `stop` is ready; one that is being answered then is still finished, but for those that
    /// stream, which may be long: an import can be resumed.
    pub async fn serve(self, app: App, stop: impl Future<Output = ()>) {
        let slots = std::sync::Arc::new(Semaphore::new(CONCURRENT));
        let (stopping, stopped) = watch::channel(false);
        let mut running = tokio::task::JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut stop => break,
                accepted = self.listener.accept() => accepted,
            };
            while running.try_join_next().is_some() {}
            match accepted {
                Ok((stream, _)) => {
                    let (app, slots, stopped) = (app.clone(), slots.clone(), stopped.clone());
                    running.spawn(async move {
                        let slot = slots.acquire_owned().await;
                        if let Err(error) = answer(&app, stream, (slot.ok(), stopped)).await {
                            tracing::warn!(%error, "a command could not be answered");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the command socket failed");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
        stopping.send_replace(true);
        while running.join_next().await.is_some() {}
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}

async fn answer(
    app: &App,
    stream: UnixStream,
    (slot, stopped): (Option<OwnedSemaphorePermit>, watch::Receiver<bool>),
) -> io::Result<()> {
    // The directory is closed to others already; this holds even where somebody opened it.
    let own = std::fs::metadata(&app.config.data_dir).map(|dir| std::os::unix::fs::MetadataExt::uid(&dir))?;
    let caller = stream.peer_cred()?.uid();
    if caller != own && caller != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the caller is another user"));
    }
    let (input, mut output) = stream.into_split();
    let mut input = BufReader::with_capacity(64 * 1024, input);
    let mut line = Zeroizing::new(Vec::with_capacity(4096));
    let mut reading = (&mut input).take(MAX_REQUEST_BYTES);
    tokio::time::timeout(REQUEST_TIME, reading.read_until(b'\n', &mut line)).await??;
    let answer = match understand(&line) {
        Ok((command, _)) if transfer::serve::streams(&command) => {
            // Whoever follows the log may do so for days; the others need not wait.
            let follows = matches!(command, Command::Audit(AuditCommand::Follow(_)));
            let _slot = slot.filter(|_| !follows);
            let api = Api::Here(app.clone());
            return transfer::serve::serve(&api, &command, (input, output), stopped).await;
        }
        Ok((command, given)) => Answer::from(execute(app, &command, given).await),
        Err(failure) => Answer::from(Err(failure)),
    };
    let answer = Zeroizing::new(serde_json::to_vec(&answer)?);
    output.write_all(&answer).await?;
    output.shutdown().await
}

/// Answers one command of a sealed server.
async fn take_share(gathering: &Gathering, stream: UnixStream, own: u32) -> io::Result<()> {
    let caller = stream.peer_cred()?.uid();
    if caller != own && caller != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the caller is another user"));
    }
    let (input, mut output) = stream.into_split();
    let mut line = Zeroizing::new(Vec::with_capacity(4096));
    let mut reading = BufReader::new(input).take(MAX_REQUEST_BYTES);
    tokio::time::timeout(REQUEST_TIME, reading.read_until(b'\n', &mut line)).await??;
    let answer = match understand(&line) {
        Ok((Command::Unseal, Input { secret: Some(share), .. })) => match gathering.take(share.expose()) {
            Ok(so_far) => Ok(Output::new("", so_far.to_json())),
            Err(error) => Err(Failure::new(Exit::Refused, format!("the share {error}"))),
        },
        Ok(_) => {
            Err(Failure::new(Exit::Unavailable, "the server is sealed; hand in shares by `keyreeve unseal`"))
        }
        Err(failure) => Err(failure),
    };
    let answer = Zeroizing::new(serde_json::to_vec(&Answer::from(answer))?);
    output.write_all(&answer).await?;
    output.shutdown().await
}

/// The command of a request, and what comes with it.
fn understand(line: &[u8]) -> Result<(Command, Input), Failure> {
    let request: Request = serde_json::from_slice(line).map_err(|_| {
        Failure::usage("the running server does not understand this command; is it another version?")
    })?;
    let (ours, theirs) = (env!("CARGO_PKG_VERSION"), &request.version);
    if theirs != ours {
        let message = format!("the running server is version {ours}, this command is {theirs}; use the same");
        return Err(Failure::new(Exit::Unavailable, message));
    }
    let name = std::iter::once("keyreeve".to_owned());
    let cli = Cli::try_parse_from(name.chain(request.arguments))
        .map_err(|error| Failure::usage(error.to_string()))?;
    let input =
        Input { secret: request.secret.map(Secret::from), file: request.file, directory: request.directory };
    Ok((cli.command, input))
}

async fn execute(app: &App, command: &Command, input: Input) -> Result<Output, Failure> {
    match command {
        Command::Serve
        | Command::Init
        | Command::Config(_)
        | Command::Doctor
        | Command::Imqs(_)
        | Command::Login(_)
        | Command::Logout
        | Command::Completions { .. }
        | Command::Man { .. } => Err(Failure::usage("this command is not one for a running server")),
        command => run::run(&Api::Here(app.clone()), command, input).await,
    }
}
