//! Imports and exports: lines of JSON in, a result for each out, and everything out again. Both are streams, which no
//! memory has to hold.

use crate::call::Call;
use crate::operation::{Operation, QueryKind, QueryParam, Table};
use crate::paging::{PAGING, strict_uuid};
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use crate::when::When;
use axum::body::Body;
use bytes::Bytes;

use http_body_util::BodyExt as _;
use keyreeve_tokens::scope::ADMIN;
use keyreeve_transfer::export::Kind;
use keyreeve_transfer::{
    Begin, Error, Export, Import, ImportStatus, Line, LineResult, Lines, Mode, Right, Summary, What,
};
use serde::Serialize;
use serde_json::json;
use std::time::Duration;
use tokio::sync::mpsc::{Sender, channel};
use utoipa::ToSchema;
use uuid::Uuid;

/// Lines of JSON.
const NDJSON: &str = "application/x-ndjson";
/// Server-sent events.
const EVENTS: &str = "text/event-stream";
/// How many pieces of an answer may wait for its reader.
const WAITING: usize = 16;
/// How long the next piece of the lines may take to come.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often an answer that has nothing to say shows that it goes on.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// What a flag may be.
const FLAG: QueryKind = QueryKind::OneOf(&["true", "false"]);

pub(super) fn table() -> Table {
    let param = |name, description, kind| QueryParam { name, description, kind };
    Table::new("Imports and exports")
        .add(
            Operation::post("/api/v1/imports", "create_import")
                .says(
                    "Import users, groups, members, roles and clients",
                    "The body is lines of JSON, each a record with its `type`; the answer has a line for each of them as \
                     they are decided, and a summary last. Read the answer while you send. With `Accept: text/event-stream` \
                     the same comes as events, with the progress. A line that cannot be applied fails alone. An import that \
                     was stopped goes on when the same lines are sent with its `id`.",
                )
                .needs(ADMIN, Asks::Tenant)
                .query(&[
                    param("dry_run", "Check everything and write nothing.", FLAG),
                    param("mode", "What to do with what is there already.", QueryKind::OneOf(&["create", "upsert"])),
                    param("id", "The import's identifier, a UUID: a new one, or that of the one to go on with.", QueryKind::Text),
                    param("drop_totp", "Take users over without their second factors.", FLAG),
                ])
                .takes_stream(NDJSON)
                .streams(&[NDJSON, EVENTS], "What became of each line."),
            import,
        )
        .add(
            Operation::get("/api/v1/imports", "list_imports")
                .says("List imports", "Newest first.")
                .needs(ADMIN, Asks::Tenant)
                .query(PAGING)
                .pages::<ImportDoc>("A page of imports."),
            list,
        )
        .add(
            Operation::get("/api/v1/imports/{id}", "read_import")
                .says("Read how far an import is", "")
                .needs(ADMIN, Asks::Tenant)
                .answers::<ImportDoc>("The import."),
            read,
        )
        .add(
            Operation::get("/api/v1/export", "export")
                .says(
                    "Export users, groups, members, roles and clients",
                    "Lines of JSON that an import reads, all of one moment. An answer that breaks off, or ends with \
                     an `error`, is not whole.",
                )
                .needs(ADMIN, Asks::Tenant)
                .query(&[
                    param("types", "Some of client, role, group, user, membership, role_holder, between commas.", QueryKind::Text),
                    param("with_hashes", "With hashes of passwords, second factors and digests of secrets.", FLAG),
                ])
                .streams(&[NDJSON], "The records."),
            export,
        )
}

/// An import.
#[derive(Serialize, ToSchema)]
#[schema(as = Import)]
struct ImportDoc {
    id: Uuid,
    /// `create` or `upsert`.
    mode: String,
    /// Where its lines come from.
    source: String,
    /// Whether it has come to its end.
    finished: bool,
    /// The last line that is done.
    lines: u64,
    created: u64,
    updated: u64,
    unchanged: u64,
    skipped: u64,
    failed: u64,
    created_at: When,
    updated_at: When,
    finished_at: Option<When>,
}

impl From<&ImportStatus> for ImportDoc {
    fn from(of: &ImportStatus) -> Self {
        let counts = of.counts;
        Self {
            id: of.id,
            mode: if of.mode == Mode::Upsert { "upsert" } else { "create" }.to_owned(),
            source: of.source.clone(),
            finished: of.finished,
            lines: of.lines,
            created: counts.created,
            updated: counts.updated,
            unchanged: counts.unchanged,
            skipped: counts.skipped,
            failed: counts.failed,
            created_at: of.created_at.into(),
            updated_at: of.updated_at.into(),
            finished_at: of.finished_at.map(When::from),
        }
    }
}

fn flag(call: &Call, name: &str) -> bool {
    call.query().get(name) == Some("true")
}

async fn read(call: Call) -> Result<Reply, Refused> {
    let id = strict_uuid(call.part("id"))
        .ok_or_else(|| Refused::parameter("id", "must be a UUID in lower case"))?;
    let right = Right::Holder(call.caller().authority());
    let found = call.state().transfer().import(call.tenant_id(), id, right).await?;
    Reply::ok(&ImportDoc::from(&found))
}

async fn list(call: Call) -> Result<Reply, Refused> {
    let paging = call.paging()?;
    let before = match &paging.after {
        None => None,
        Some(text) => Some(
            strict_uuid(text).ok_or_else(|| Refused::parameter("after", "is not the `next` of a page"))?,
        ),
    };
    let right = Right::Holder(call.caller().authority());
    let transfer = call.state().transfer();
    let found = transfer.imports(call.tenant_id(), before, paging.with_one_more(), right).await?;
    paging.page::<_, ImportDoc>(found, |import| import.id.to_string())
}

async fn import(call: Call) -> Result<Reply, Refused> {
    let wrong = || Refused::parameter("id", "must be a UUID in lower case");
    let begin = Begin {
        id: call.query().get("id").map(|text| strict_uuid(text).ok_or_else(wrong)).transpose()?,
        mode: if call.query().get("mode") == Some("upsert") { Mode::Upsert } else { Mode::Create },
        dry_run: flag(&call, "dry_run"),
        source: "api".to_owned(),
        drop_totp: flag(&call, "drop_totp"),
    };
    let cause = call.cause().await?;
    let right = Right::Holder(call.caller().authority());
    let import = call.state().transfer().begin(call.tenant_id(), begin, right, &cause).await?;
    let events = call.accepts(EVENTS);
    let lines = call.take_stream();
    let (sender, receiver) = channel(WAITING);
    let told = Told { sender, events };
    tokio::spawn(async move { run(import, lines, told).await });
    Ok(Reply::stream(receiver, if events { EVENTS } else { NDJSON }))
}

/// Applies the lines as they come, and tells what becomes of them. Ends without having finished when the lines break off
/// or nobody listens: the import can be resumed then.
async fn run(mut import: Import, lines: Body, told: Told) {
    let begun = json!({"import": import.id(), "resumed_after": import.resumed_after()});
    if told.tell("begun", &begun).await.is_none() {
        return;
    }
    match feed(&mut import, lines, &told).await {
        Some(Ok(())) => {}
        Some(Err(problem)) => {
            // Who listens no more needs no last word, here and below.
            let _ = told.tell("error", &json!({"error": problem})).await;
            return;
        }
        None => return,
    }
    match import.finish().await {
        Ok((results, summary)) => {
            let summary: Summary = summary;
            if told.results(&results).await.is_some() {
                let _ = told.tell("summary", &json!({"summary": summary})).await;
            }
        }
        Err(error) => {
            let _ = told.tell("error", &json!({"error": sentence(&error)})).await;
        }
    }
}

/// Feeds the lines; none when nobody listens any more.
async fn feed(import: &mut Import, mut body: Body, told: &Told) -> Option<Result<(), String>> {
    let mut lines = Lines::new();
    loop {
        let piece = match told.meanwhile(body.frame()).await? {
            None => return Some(Err("no lines came for a minute".to_owned())),
            Some(Some(Err(_))) => {
                return Some(Err("the lines broke off, or are longer than is taken".to_owned()));
            }
            Some(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Some(None) => break,
        };
        let cut = lines.push(&piece);
        match take(import, cut, told).await? {
            Ok(()) => {}
            failed @ Err(_) => return Some(failed),
        }
    }
    take(import, lines.end().into_iter().collect(), told).await
}

async fn take(import: &mut Import, lines: Vec<Line>, told: &Told) -> Option<Result<(), String>> {
    for line in lines {
        match import.line(&line).await {
            Ok(results) => told.results(&results).await?,
            Err(error) => return Some(Err(sentence(&error))),
        }
    }
    Some(Ok(()))
}

/// What of an error is told; the rest is in the log.
fn sentence(error: &Error) -> String {
    match error {
        Error::Different { .. } | Error::Short { .. } | Error::Elsewhere | Error::Invalid { .. } => {
            error.to_string()
        }
        error => {
            tracing::error!(%error, "an import failed");
            "the server failed; what was written stays, and the import can be resumed".to_owned()
        }
    }
}

/// Where an import tells what it does: lines of JSON, or events.
struct Told {
    sender: Sender<Result<Bytes, std::convert::Infallible>>,
    events: bool,
}

impl Told {
    async fn send(&self, text: Vec<u8>) -> Option<()> {
        self.sender.send(Ok(Bytes::from(text))).await.ok()
    }

    async fn tell(&self, event: &str, what: &serde_json::Value) -> Option<()> {
        let text =
            if self.events { format!("event: {event}\ndata: {what}\n\n") } else { format!("{what}\n") };
        self.send(text.into_bytes()).await
    }

    async fn results(&self, results: &[LineResult]) -> Option<()> {
        let Some(last) = results.last() else { return Some(()) };
        let mut text = Vec::with_capacity(results.len().saturating_mul(96));
        for result in results {
            if self.events {
                text.extend_from_slice(b"event: result\ndata: ");
            }
            // A result is made of numbers and texts, and always prints.
            serde_json::to_writer(&mut text, result).ok()?;
            text.extend_from_slice(if self.events { b"\n\n" } else { b"\n" });
        }
        if self.events {
            let progress = json!({"lines": last.line});
            text.extend_from_slice(format!("event: progress\ndata: {progress}\n\n").as_bytes());
        }
        self.send(text).await
    }

    /// Waits for something, and shows now and then that it goes on; none inside when it takes too long.
    async fn meanwhile<F: Future>(&self, waited: F) -> Option<Option<F::Output>> {
        let mut waited = std::pin::pin!(waited);
        let mut left = PATIENCE;
        loop {
            match tokio::time::timeout(SIGN_OF_LIFE, &mut waited).await {
                Ok(output) => return Some(Some(output)),
                Err(_) if left <= SIGN_OF_LIFE => return Some(None),
                Err(_) => {
                    left = left.saturating_sub(SIGN_OF_LIFE);
                    let sign = if self.events { ":\n\n" } else { "\n" };
                    self.send(sign.as_bytes().to_vec()).await?;
                }
            }
        }
    }
}

async fn export(call: Call) -> Result<Reply, Refused> {
    let mut what = What { with_hashes: flag(&call, "with_hashes"), ..What::default() };
    if let Some(types) = call.query().get("types") {
        let kinds = types.split(',').map(str::parse::<Kind>).collect::<Result<_, _>>();
        what.kinds = kinds.map_err(|error| Refused::parameter("types", error.to_string()))?;
    }
    let cause = call.cause().await?;
    let right = Right::Holder(call.caller().authority());
    let export = call.state().transfer().export(call.tenant_id(), what, right, &cause).await?;
    let (sender, receiver) = channel(WAITING);
    tokio::spawn(async move { send_all(export, sender).await });
    Ok(Reply::stream(receiver, NDJSON))
}

async fn send_all(mut export: Export, sender: Sender<Result<Bytes, std::convert::Infallible>>) {
    loop {
        match export.next().await {
            Ok(Some(piece)) => {
                if sender.send(Ok(Bytes::from(piece))).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "an export failed");
                let last = format!("{}\n", json!({"error": "the server failed; this export is not whole"}));
                drop(sender.send(Ok(Bytes::from(last))).await);
                return;
            }
        }
    }
}
