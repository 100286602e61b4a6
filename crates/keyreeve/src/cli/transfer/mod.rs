//! Imports, exports, and the audit log as it is written. The file is read, converted and written where the command was typed; its lines go in pieces to
//! whoever has the database, which is this process or a running server ([`serve`]), and what became of them comes back.

mod frame;
mod progress;
mod relay;
pub(super) mod serve;
mod source;

use super::answer::Answer;
use super::args::{AuditCommand, Command, ImportArgs, SharingCommand};
use super::exit::{Exit, Failure, Output, printable};
use super::run::audit::ENTRIES;
use super::{Link, Place, link, view};
use frame::{Kind, receive, send};
use progress::{Progress, rate};
use serde::Deserialize;
use serde_json::{Value, json};
use source::{Piece, Source};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

/// How many failed lines are shown.
const SHOWN: u64 = 20;
/// How many examples of one kind of note the summary has.
const EXAMPLES: usize = 3;

/// What is read of a result.
#[derive(Deserialize)]
struct Told {
    line: Option<u64>,
    status: Option<String>,
    about: Option<String>,
    #[serde(default)]
    errors: Vec<Problem>,
    import: Option<String>,
    resumed_after: Option<u64>,
}

#[derive(Deserialize)]
struct Problem {
    pointer: String,
    detail: String,
}

/// Notes of one kind.
#[derive(Default)]
struct Notes {
    count: u64,
    examples: Vec<String>,
}

/// Runs a command that streams.
///
/// # Errors
/// What it failed with.
pub async fn run(place: Place, command: Arc<Command>, json: bool) -> Result<Output, Failure> {
    match &*command {
        Command::Import(args) => import(place, &command, args).await,
        Command::Export(args) => {
            let note = "\nIt holds password hashes: keep it as you keep the master key.";
            export(place, &command, &args.file, if args.with_hashes { note } else { "" }).await
        }
        Command::Audit(AuditCommand::Export(args)) => export(place, &command, &args.file, "").await,
        Command::Sharing(SharingCommand::Load(args)) => import(place, &command, &args.as_import()).await,
        Command::Sharing(SharingCommand::Export(args)) => export(place, &command, &args.file, "").await,
        Command::Audit(AuditCommand::Follow(_)) => follow(place, &command, json).await,
        _ => Err(Failure::usage("this command does not stream")),
    }
}

/// Prints what comes, line by line.
async fn follow(place: Place, command: &Arc<Command>, json: bool) -> Result<Output, Failure> {
    let Link { mut input, output: _output, _stop } = link(place, command.clone()).await?;
    let broke = |error: io::Error| Failure::new(Exit::Unavailable, format!("the stream broke: {error}"));
    loop {
        match receive(&mut input).await.map_err(broke)? {
            Some((Kind::Data, lines)) => {
                if print(&lines, json).is_err() {
                    // Nobody reads on (`| head`): that is no failure of the command.
                    return Ok(Output::new(String::new(), Value::Null));
                }
            }
            Some((Kind::Answer, answer)) => return read_answer(&answer),
            _ => return Err(Failure::new(Exit::Unavailable, "the server went away")),
        }
    }
}

fn print(lines: &[u8], json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        if json {
            out.write_all(line)?;
            out.write_all(b"\n")?;
        } else {
            let entry: Value = serde_json::from_slice(line)?;
            writeln!(out, "{}", view::line(&entry, ENTRIES))?;
        }
    }
    out.flush()
}

fn read_answer(answer: &[u8]) -> Result<Output, Failure> {
    let answer: Answer = serde_json::from_slice(answer)
        .map_err(|error| Failure::new(Exit::Failed, format!("no answer that can be read: {error}")))?;
    answer.into()
}

async fn import(place: Place, command: &Arc<Command>, args: &ImportArgs) -> Result<Output, Failure> {
    let source = source::open(args)?;
    let report = args.report.as_deref().map(Report::create).transpose()?;
    let Link { input, output, _stop } = link(place, command.clone()).await?;
    let mut desk = Desk {
        progress: Progress::new(source.size, source.read.clone()),
        report,
        notes: BTreeMap::new(),
        failed: 0,
        id: None,
        resumed_after: 0,
    };
    let (notes, mut told) = tokio::sync::mpsc::channel(64);
    let feeding = tokio::spawn(feed(source, output, notes));
    let mut done = desk.follow(input, &mut told).await;
    // What the source did wrong is what went wrong.
    if done.is_err()
        && feeding.is_finished()
        && let Ok(Err(failure)) = feeding.await
    {
        done = Err(failure);
    }
    let took = desk.progress.end();
    if let Some(report) = desk.report.take() {
        report.close()?;
    }
    let output = done.map_err(|failure| desk.resumable(failure, args))?;
    let lines = output.json.get("lines").and_then(Value::as_u64).unwrap_or_default();
    Ok(desk.summary(output, rate(lines.saturating_sub(desk.resumed_after), took), took.as_secs_f64()))
}

/// Sends what the source has, and that it has ended.
async fn feed(
    mut source: Source,
    mut output: Box<dyn AsyncWrite + Send + Unpin>,
    notes: tokio::sync::mpsc::Sender<keyreeve_transfer::convert::Note>,
) -> Result<(), Failure> {
    let lost = |error: io::Error| Failure::new(Exit::Failed, format!("the stream broke: {error}"));
    while let Some(piece) = source.pieces.recv().await {
        match piece {
            Piece::Data(bytes) => send(&mut output, Kind::Data, &bytes).await.map_err(lost)?,
            Piece::Note(note) => drop(notes.send(note).await),
            Piece::Failed(why) => {
                // The stream ends without its end, so that nobody takes this for the whole file.
                drop(output.shutdown().await);
                return Err(Failure::new(Exit::Failed, format!("the input cannot be read on: {why}")));
            }
        }
    }
    send(&mut output, Kind::End, b"").await.map_err(lost)
}

/// What is known of an import that runs.
struct Desk {
    progress: Progress,
    report: Option<Report>,
    notes: BTreeMap<&'static str, Notes>,
    failed: u64,
    id: Option<String>,
    resumed_after: u64,
}

impl Desk {
    /// Takes results and notes until there is the answer.
    async fn follow(
        &mut self,
        mut input: Box<dyn AsyncRead + Send + Unpin>,
        notes: &mut tokio::sync::mpsc::Receiver<keyreeve_transfer::convert::Note>,
    ) -> Result<Output, Failure> {
        let (pieces, mut received) = tokio::sync::mpsc::channel(8);
        // A piece is received whole, whatever else comes meanwhile.
        let receiving = tokio::spawn(async move {
            while let Ok(Some(piece)) = receive(&mut input).await {
                let last = piece.0 == Kind::Answer;
                if pieces.send(piece).await.is_err() || last {
                    break;
                }
            }
        });
        let mut noting = true;
        let answer = loop {
            tokio::select! {
                note = notes.recv(), if noting => match note {
                    Some(note) => self.note(&note)?,
                    None => noting = false,
                },
                piece = received.recv() => match piece {
                    Some((Kind::Results, lines)) => self.results(&lines)?,
                    Some((Kind::Answer, answer)) => break answer,
                    Some(_) | None => return Err(Failure::new(Exit::Unavailable, "the server went away")),
                },
            }
        };
        drop(receiving);
        while let Ok(note) = notes.try_recv() {
            self.note(&note)?;
        }
        read_answer(&answer)
    }

    fn results(&mut self, lines: &[u8]) -> Result<(), Failure> {
        let (mut count, mut failed) = (0_u64, 0_u64);
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Ok(result) = serde_json::from_slice::<Told>(line) else { continue };
            if let Some(report) = &mut self.report {
                report.line(line)?;
            }
            let Some(number) = result.line else {
                self.id = result.import;
                self.resumed_after = result.resumed_after.unwrap_or_default();
                continue;
            };
            count = count.saturating_add(1);
            if result.status.as_deref() == Some("failed") {
                failed = failed.saturating_add(1);
                self.failed = self.failed.saturating_add(1);
                self.show(number, &result);
            }
        }
        self.progress.took(count, failed);
        Ok(())
    }

    fn show(&self, line: u64, result: &Told) {
        if self.failed == SHOWN + 1 {
            self.progress.say("keyreeve: further lines failed; --report FILE has them all");
        }
        if self.failed > SHOWN {
            return;
        }
        let about = result.about.as_deref().map(|about| format!(" ({about})")).unwrap_or_default();
        let problems = result.errors.iter().map(|of| format!("{} {}", of.pointer, of.detail));
        let problems = problems.map(|text| text.trim().to_owned()).collect::<Vec<_>>().join("; ");
        self.progress.say(&printable(&format!("keyreeve: line {line}{about}: {problems}")));
    }

    fn note(&mut self, note: &keyreeve_transfer::convert::Note) -> Result<(), Failure> {
        if let Some(report) = &mut self.report {
            let line = serde_json::to_vec(&json!({"not_taken_over": note})).unwrap_or_default();
            report.line(&line)?;
        }
        let of = self.notes.entry(note.what).or_default();
        of.count = of.count.saturating_add(1);
        if of.examples.len() < EXAMPLES {
            let text = format!("{} {}", note.about, note.detail);
            of.examples.push(printable(text.trim()));
        }
        Ok(())
    }

    /// A failure, with how to go on after it.
    fn resumable(&self, failure: Failure, args: &ImportArgs) -> Failure {
        match &self.id {
            Some(id) if !args.dry_run => Failure::new(
                failure.exit,
                format!(
                    "{}; what was written stays, and --resume {id} with the same file goes on",
                    failure.message
                ),
            ),
            _ => failure,
        }
    }

    fn summary(&self, output: Output, rate: u64, seconds: f64) -> Output {
        let of = |name: &str| output.json.get(name).and_then(Value::as_u64).unwrap_or_default();
        let verb = if of("dry_run") == 1 || output.json.get("dry_run") == Some(&Value::Bool(true)) {
            "Checked, and wrote nothing:"
        } else {
            "Imported:"
        };
        let mut text = format!(
            "{verb} {} lines in {seconds:.1} s ({rate}/s): {} created, {} updated, {} unchanged, {} skipped, {} failed.",
            of("lines"),
            of("created"),
            of("updated"),
            of("unchanged"),
            of("skipped"),
            of("failed")
        );
        if self.resumed_after > 0 {
            text.push_str(&format!("\nLines up to {} were done before.", self.resumed_after));
        }
        if let Some(id) = &self.id {
            text.push_str(&format!("\nImport {id}"));
        }
        let mut notes = Vec::new();
        if !self.notes.is_empty() {
            text.push_str("\n\nNot taken over, or not as it was:");
        }
        for (what, Notes { count, examples }) in &self.notes {
            text.push_str(&format!("\n  {count} × {what}, such as {}", examples.join(" | ")));
            notes.push(json!({"what": what, "count": count, "examples": examples}));
        }
        let mut json = output.json;
        if let Value::Object(fields) = &mut json {
            fields.insert("not_taken_over".to_owned(), Value::Array(notes));
            fields.insert("seconds".to_owned(), json!(seconds));
        }
        Output { text, json, exit: output.exit }
    }
}

/// Writes what comes into a file that is made for it; `note` is said of it, too.
async fn export(place: Place, command: &Arc<Command>, path: &Path, note: &str) -> Result<Output, Failure> {
    let to_stdout = path.as_os_str() == "-";
    let mut file: Box<dyn Write + Send> =
        if to_stdout { Box::new(io::stdout()) } else { Box::new(create_private(path)?) };
    let Link { mut input, output, _stop } = link(place, command.clone()).await?;
    let mut progress = Progress::new(None, Arc::new(AtomicU64::new(0)));
    let done = async {
        loop {
            match receive(&mut input).await.map_err(|error| unwritten(path, &error))? {
                Some((Kind::Data, lines)) => {
                    file.write_all(&lines).map_err(|error| unwritten(path, &error))?;
                    let count = lines.iter().filter(|byte| **byte == b'\n').count();
                    progress.took(u64::try_from(count).unwrap_or(u64::MAX), 0);
                }
                Some((Kind::Answer, answer)) => break read_answer(&answer),
                _ => break Err(Failure::new(Exit::Unavailable, "the server went away")),
            }
        }
    };
    let done = done.await.and_then(|output| {
        file.flush().map_err(|error| unwritten(path, &error))?;
        Ok(output)
    });
    drop(output);
    let took = progress.end();
    match done {
        Ok(output) if to_stdout => {
            // Standard output has the lines.
            progress.say(&format!("keyreeve: {}", exported(&output, "standard output", took)));
            Ok(Output::new(String::new(), Value::Null))
        }
        Ok(output) => {
            let text = exported(&output, &path.display().to_string(), took) + note;
            let mut json = output.json;
            if let Value::Object(fields) = &mut json {
                fields.insert("file".to_owned(), json!(path));
            }
            Ok(Output::new(text, json))
        }
        Err(failure) => {
            if !to_stdout {
                drop(std::fs::remove_file(path));
            }
            Err(failure)
        }
    }
}

fn exported(output: &Output, to: &str, took: std::time::Duration) -> String {
    let records = output.json.get("records").and_then(Value::as_u64).unwrap_or_default();
    format!("{records} records were written to {to} ({}/s).", rate(records, took))
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{} cannot be written: {error}", path.display()))
}

/// A new file that only its owner can read.
fn create_private(path: &Path) -> Result<BufWriter<File>, Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(file) => Ok(BufWriter::new(file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Failure::new(Exit::Conflict, format!("{} exists already", path.display())))
        }
        Err(error) => Err(unwritten(path, &error)),
    }
}

/// The report of an import: a line of JSON for each result and each note.
struct Report {
    file: BufWriter<File>,
    path: std::path::PathBuf,
}

impl Report {
    fn create(path: &Path) -> Result<Self, Failure> {
        Ok(Self { file: create_private(path)?, path: path.to_owned() })
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Failure> {
        let written = self.file.write_all(line).and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|error| unwritten(&self.path, &error))
    }

    fn close(mut self) -> Result<(), Failure> {
        self.file.flush().map_err(|error| unwritten(&self.path, &error))
    }
}
