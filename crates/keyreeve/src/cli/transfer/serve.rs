//! The side of a command that streams which has the database: this process, or a running server; or which asks a server
//! elsewhere for it.

use super::frame::{Kind, receive, send};
use super::relay;
use crate::App;
use crate::cli::answer::Answer;
use crate::cli::args::{AuditCommand, Command, ExportArgs, ImportArgs, ImportMode, SharingCommand};
use crate::cli::client::Api;
use crate::cli::exit::{Exit, Failure, Output};
use crate::cli::run;
use keyreeve_identity::Cause;
use keyreeve_transfer::export::Kind as RecordKind;
use keyreeve_transfer::{Begin, Import, LineResult, Lines, Mode, Right, What};
use serde_json::json;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

/// Whether a command is one of those that stream.
#[must_use]
pub fn streams(command: &Command) -> bool {
    matches!(
        command,
        Command::Import(_)
            | Command::Export(_)
            | Command::Audit(AuditCommand::Export(_) | AuditCommand::Follow(_))
            | Command::Sharing(SharingCommand::Load(_) | SharingCommand::Export(_))
    )
}

/// Carries a command out: takes what comes on `input`, sends what becomes of it on `output`, and the answer last. Ends
/// early when `stop` says so; an import can be resumed then.
///
/// # Errors
/// Those of the stream.
pub async fn serve<R, W>(
    api: &Api,
    command: &Command,
    (mut input, mut output): (R, W),
    mut stop: watch::Receiver<bool>,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let stopped = async move {
        // Never, if whoever could say so is gone.
        if stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let work = async {
        match (api, command) {
            (Api::Here(app), Command::Import(args)) => import(app, args, &mut input, &mut output).await,
            (Api::Elsewhere(server), Command::Import(args)) => {
                relay::import(server, args, &mut input, &mut output).await
            }
            (Api::Here(app), Command::Export(args)) => export(app, args, &mut output).await,
            (Api::Elsewhere(_), Command::Export(args)) => relay::export(api, args, &mut output).await,
            (_, Command::Audit(AuditCommand::Export(args))) => {
                relay::audit_export(api, args, &mut output).await
            }
            (_, Command::Sharing(SharingCommand::Load(args))) => {
                relay::load(api, args, &mut input, &mut output).await
            }
            (_, Command::Sharing(SharingCommand::Export(args))) => {
                relay::sharing_export(api, args, &mut output).await
            }
            (_, Command::Audit(AuditCommand::Follow(args))) => relay::follow(api, args, &mut output).await,
            _ => Err(Failure::usage("this command does not stream")),
        }
    };
    let done = tokio::select! {
        done = work => done,
        () = stopped => Err(Failure::new(Exit::Unavailable, "the server is stopping")),
    };
    let answer = serde_json::to_vec(&Answer::from(done))?;
    send(&mut output, Kind::Answer, &answer).await
}

async fn import<R, W>(app: &App, args: &ImportArgs, input: &mut R, output: &mut W) -> Result<Output, Failure>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let tenant = run::within(app, &args.tenant).await?;
    let begin = Begin {
        id: args.resume,
        mode: match args.mode {
            ImportMode::Create => Mode::Create,
            ImportMode::Upsert => Mode::Upsert,
        },
        dry_run: args.dry_run,
        source: args.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        drop_totp: args.drop_totp,
    };
    let mut import = app.transfer.begin(tenant.id, begin, Right::Operator, &Cause::operator()).await?;
    let id = (!args.dry_run).then(|| import.id());
    let begun = json!({"import": id, "resumed_after": import.resumed_after()}).to_string();
    send(output, Kind::Results, format!("{begun}\n").as_bytes()).await.map_err(lost)?;
    let mut lines = Lines::new();
    loop {
        let (ended, cut) = match receive(input).await.map_err(lost)? {
            Some((Kind::Data, bytes)) => (false, lines.push(&bytes)),
            Some((Kind::End, _)) => (true, lines.end().into_iter().collect()),
            // Nothing tells whether the file ended there: what is written can be resumed.
            _ => return Err(Failure::new(Exit::Failed, "the input broke off")),
        };
        for line in cut {
            let results = import.line(&line).await?;
            tell(output, &results).await?;
        }
        if ended {
            return finish(import, output).await;
        }
    }
}

async fn finish<W: AsyncWrite + Unpin>(import: Import, output: &mut W) -> Result<Output, Failure> {
    let (results, summary) = import.finish().await?;
    tell(output, &results).await?;
    let json =
        serde_json::to_value(&summary).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let exit = if summary.counts.failed > 0 { Exit::Refused } else { Exit::Ok };
    Ok(Output::new(String::new(), json).exit(exit))
}

async fn tell<W: AsyncWrite + Unpin>(output: &mut W, results: &[LineResult]) -> Result<(), Failure> {
    let mut text = Vec::new();
    for result in results {
        serde_json::to_writer(&mut text, result).map_err(|error| lost(error.into()))?;
        text.push(b'\n');
    }
    if text.is_empty() { Ok(()) } else { send(output, Kind::Results, &text).await.map_err(lost) }
}

async fn export<W: AsyncWrite + Unpin>(
    app: &App,
    args: &ExportArgs,
    output: &mut W,
) -> Result<Output, Failure> {
    let tenant = run::within(app, &args.tenant).await?;
    let kinds = args.types.iter().map(|kind| kind.parse::<RecordKind>()).collect::<Result<_, _>>()?;
    let what = What {
        kinds: if args.types.is_empty() { What::default().kinds } else { kinds },
        with_hashes: args.with_hashes,
    };
    let mut export = app.transfer.export(tenant.id, what, Right::Operator, &Cause::operator()).await?;
    while let Some(piece) = export.next().await? {
        send(output, Kind::Data, &piece).await.map_err(lost)?;
    }
    Ok(Output::new(String::new(), json!({"records": export.records()})))
}

#[allow(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn lost(error: io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("the stream broke: {error}"))
}
