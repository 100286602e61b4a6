//! Many types, permissions, resources and grants at once, as lines of JSON in and out. Both are streams, which no memory
//! has to hold.

use crate::call::Call;
use crate::operation::{Operation, Table};
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::resources::sharing::grants::NewGrantDoc;
use crate::resources::sharing::permissions::PermissionLineDoc;
use crate::resources::sharing::resources::NewResourceDoc;
use crate::resources::sharing::types::NewTypeDoc;
use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use keyreeve_identity::Cause;
use keyreeve_sharing::{Error, Export, Line, LineError, LineOutcome, Load, MAX_BATCH};
use keyreeve_tokens::scope::SHARING_WRITE;
use keyreeve_transfer::{Line as Text, Lines};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_path_to_error::Segment;
use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Lines of JSON.
const NDJSON: &str = "application/x-ndjson";
/// How many pieces of an answer may wait for its reader.
const WAITING: usize = 16;
/// After how long without a further line those are taken in that came.
const LULL: Duration = Duration::from_secs(1);
/// How long the next piece of the lines may take to come.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is told, and what an export writes, comes in pieces of about this many bytes.
const PIECE_BYTES: usize = 64 * 1024;

pub(super) fn table() -> Table {
    Table::new("Sharing")
        .add(
            Operation::post("/api/v1/sharing/load", "load_sharing")
                .says(
                    "Load types, permissions, resources and grants",
                    "The body is lines of JSON: `{\"type\": …}`, `{\"permission\": …}`, `{\"resource\": …}` or `{\"grant\": …}`, each with the \
                     document that makes one. Parents come before children, resources before their grants. The answer has a line for \
                     each, in their order, and a summary last. A line that cannot be taken in fails alone; what is there already is \
                     left as it is, so a load can be repeated. Read the answer while you send.",
                )
                .needs(SHARING_WRITE, Asks::Tenant)
                .takes_stream(NDJSON)
                .streams(&[NDJSON], "What became of each line."),
            load,
        )
        .add(
            Operation::get("/api/v1/sharing/export", "export_sharing")
                .says(
                    "Export types, permissions, resources and grants",
                    "Lines of JSON that a load reads, all of one moment. An answer that breaks off, or ends with an `error`, is not \
                     whole.",
                )
                .needs(SHARING_WRITE, Asks::Tenant)
                .streams(&[NDJSON], "The lines."),
            export,
        )
}

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LineDoc {
    Type(NewTypeDoc),
    Permission(PermissionLineDoc),
    Resource(Box<NewResourceDoc>),
    Grant(NewGrantDoc),
}

impl LineDoc {
    fn read(self) -> Result<Line, Error> {
        Ok(match self {
            Self::Type(doc) => Line::Type(doc.into()),
            Self::Permission(doc) => Line::Permission(doc.into()),
            Self::Resource(doc) => Line::Resource(Box::new((*doc).read()?)),
            Self::Grant(doc) => Line::Grant(doc.into()),
        })
    }

    fn of(line: Line) -> Self {
        match line {
            Line::Type(new) => Self::Type(new.into()),
            Line::Permission(new) => Self::Permission(new.into()),
            Line::Resource(new) => Self::Resource(Box::new((*new).into())),
            Line::Grant(new) => Self::Grant(new.into()),
        }
    }
}

/// What is wrong with a line: a pointer to it, and a sentence.
struct Fault {
    pointer: String,
    detail: String,
}

impl Fault {
    fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }

    /// What the room says of a line of this kind.
    fn of(kind: &str, LineError { field, detail }: LineError) -> Self {
        match &*field {
            "" => Self::new(format!("/{kind}"), detail),
            // As the document names it.
            "resource_type" | "resource type" => Self::new(format!("/{kind}/type"), detail),
            field => Self::new(format!("/{kind}/{field}"), detail),
        }
    }
}

/// Reads a line; tells what is wrong with it otherwise.
fn parse(text: &Text) -> Result<Line, Fault> {
    let bytes = match text {
        Text::Text(bytes) => bytes,
        Text::TooLong(_) => return Err(Fault::new("", "is longer than a line may be")),
    };
    // Where something is wrong is found out when something is.
    if let Ok(doc) = serde_json::from_slice::<LineDoc>(bytes) {
        return doc.read().map_err(|error| Fault::new("/resource", error.to_string()));
    }
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let doc: LineDoc = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
        // Which kind of line it is, the path says by itself.
        let kind = error.path().iter().find_map(|segment| match segment {
            Segment::Enum { variant } => Some(format!("/{variant}")),
            _ => None,
        });
        let pointer = kind.unwrap_or_default() + &crate::body::pointer(error.path());
        Fault::new(pointer, crate::body::told(&error.inner().to_string()))
    })?;
    parser.end().map_err(|_| Fault::new("", "is more than one document"))?;
    doc.read().map_err(|error| Fault::new("/resource", error.to_string()))
}

const fn kind_of(line: &Line) -> &'static str {
    match line {
        Line::Type(_) => "type",
        Line::Permission(_) => "permission",
        Line::Resource(_) => "resource",
        Line::Grant(_) => "grant",
    }
}

#[derive(Default, Serialize)]
struct Summary {
    lines: u64,
    created: u64,
    unchanged: u64,
    failed: u64,
}

async fn load(call: Call) -> Result<Reply, Refused> {
    let cause = call.cause().await?;
    // Refused at once, rather than in the stream.
    drop(call.sharing().bulk().load(call.authority(), &cause)?);
    let lines = call.take_stream();
    let (sender, receiver) = channel(WAITING);
    // One batch is read while the one before it is taken in.
    let (read, batches) = channel(1);
    tokio::spawn(async move { read_all(lines, read).await });
    tokio::spawn(async move { run(&call, &cause, batches, Told(sender)).await });
    Ok(Reply::stream(receiver, NDJSON))
}

/// What was read.
enum Read {
    Lines(Vec<Result<Line, Fault>>),
    /// Nothing more comes, for this reason.
    Broken(&'static str),
}

/// Reads the lines as they come, in batches; ends when nobody takes them any more.
async fn read_all(mut body: Body, batches: Sender<Read>) {
    let mut cutter = Lines::new();
    let mut lines = Vec::new();
    let mut waited = Duration::ZERO;
    loop {
        let piece = match tokio::time::timeout(LULL, body.frame()).await {
            Err(_) if waited >= PATIENCE => {
                break drop(batches.send(Read::Broken("no lines came for a minute")).await);
            }
            Err(_) => {
                waited = waited.saturating_add(LULL);
                if !lines.is_empty() && batches.send(Read::Lines(std::mem::take(&mut lines))).await.is_err() {
                    break;
                }
                continue;
            }
            Ok(Some(Err(_))) => {
                break drop(
                    batches.send(Read::Broken("the lines broke off, or are longer than is taken")).await,
                );
            }
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(None) => {
                lines.extend(cutter.end().as_ref().map(parse));
                break drop(batches.send(Read::Lines(lines)).await);
            }
        };
        waited = Duration::ZERO;
        for line in cutter.push(&piece) {
            lines.push(parse(&line));
            if lines.len() >= MAX_BATCH
                && batches.send(Read::Lines(std::mem::take(&mut lines))).await.is_err()
            {
                return;
            }
        }
    }
}

/// Takes the batches in as they come, and tells what becomes of their lines. Whoever listens no more ends it: what was
/// taken in stays.
async fn run(call: &Call, cause: &Cause, mut batches: Receiver<Read>, told: Told) {
    let mut load = match call.sharing().bulk().load(call.authority(), cause) {
        Ok(load) => load,
        Err(error) => return told.failed(&error).await,
    };
    let mut summary = Summary::default();
    while let Some(read) = batches.recv().await {
        let lines = match read {
            Read::Lines(lines) => lines,
            Read::Broken(problem) => return told.error(problem).await,
        };
        if take_in(&mut load, lines, &mut summary, &told).await.is_none() {
            return;
        }
    }
    match load.revision().await {
        Ok(revision) => {
            // Who listens no more needs no last word, here and below.
            let _ = told.tell(&json!({"summary": summary, "revision": revision.to_string()})).await;
        }
        Err(error) => told.failed(&error).await,
    }
}

/// Takes a batch in, and tells of it; none when it is over.
async fn take_in(
    load: &mut Load<'_>,
    lines: Vec<Result<Line, Fault>>,
    summary: &mut Summary,
    told: &Told,
) -> Option<()> {
    let mut sound = Vec::with_capacity(lines.len());
    let mut faults = Vec::with_capacity(lines.len());
    for line in lines {
        match line {
            Ok(line) => {
                sound.push(line);
                faults.push(None);
            }
            Err(fault) => faults.push(Some(fault)),
        }
    }
    let mut results = match load.batch(&sound).await {
        Ok(results) => results.into_iter(),
        Err(error) => {
            told.failed(&error).await;
            return None;
        }
    };
    let mut kinds = sound.iter().map(kind_of);
    let mut text = Vec::with_capacity(PIECE_BYTES.saturating_add(256));
    for fault in faults {
        let result = match fault {
            Some(fault) => Err(fault),
            None => {
                let kind = kinds.next()?;
                results.next()?.map_err(|error| Fault::of(kind, error))
            }
        };
        summary.add(result, &mut text)?;
        if text.len() >= PIECE_BYTES {
            told.send(std::mem::take(&mut text)).await?;
        }
    }
    if text.is_empty() { Some(()) } else { told.send(text).await }
}

impl Summary {
    /// Counts what became of a line, and writes it down.
    fn add(&mut self, result: Result<LineOutcome, Fault>, text: &mut Vec<u8>) -> Option<()> {
        self.lines = self.lines.saturating_add(1);
        let line = self.lines;
        // Of these there are very many.
        let mut done = |count: &mut u64, status: &str| {
            *count = count.saturating_add(1);
            writeln!(text, r#"{{"line":{line},"status":"{status}"}}"#).ok()
        };
        match result {
            Ok(LineOutcome::Created) => done(&mut self.created, "created"),
            Ok(LineOutcome::Exists) => done(&mut self.unchanged, "unchanged"),
            Err(Fault { pointer, detail }) => {
                self.failed = self.failed.saturating_add(1);
                let errors = [json!({"pointer": pointer, "detail": detail})];
                writeln!(text, "{}", json!({"line": line, "status": "failed", "errors": errors})).ok()
            }
        }
    }
}

/// Where a load tells what it does.
struct Told(Sender<Result<Bytes, Infallible>>);

impl Told {
    async fn send(&self, text: Vec<u8>) -> Option<()> {
        self.0.send(Ok(Bytes::from(text))).await.ok()
    }

    async fn tell(&self, what: &serde_json::Value) -> Option<()> {
        self.send(format!("{what}\n").into_bytes()).await
    }

    async fn error(&self, problem: &str) {
        let _ = self.tell(&json!({"error": problem})).await;
    }

    async fn failed(&self, error: &Error) {
        tracing::error!(%error, "a load failed");
        self.error("the server failed; what was taken in stays, and the load can be repeated").await;
    }
}

async fn export(call: Call) -> Result<Reply, Refused> {
    let export = call.sharing().bulk().export(call.authority())?;
    let (sender, receiver) = channel(WAITING);
    tokio::spawn(async move { send_all(export, Told(sender)).await });
    Ok(Reply::stream(receiver, NDJSON))
}

async fn send_all(mut export: Export, told: Told) {
    let mut text = Vec::with_capacity(PIECE_BYTES);
    loop {
        match export.next().await {
            Ok(Some(line)) => {
                // A line is made of texts and numbers, and always prints.
                if serde_json::to_writer(&mut text, &LineDoc::of(line)).is_err() {
                    return;
                }
                text.push(b'\n');
                if text.len() >= PIECE_BYTES && told.send(std::mem::take(&mut text)).await.is_none() {
                    return;
                }
            }
            Ok(None) => {
                let _ = told.send(text).await;
                return;
            }
            Err(error) => {
                tracing::error!(%error, "an export failed");
                let _ = told.send(text).await;
                told.error("the server failed; this export is not whole").await;
                return;
            }
        }
    }
}
