//! Many secrets at once, as lines of JSON in and out. Values come in with their lines; out goes what is known without them.

use super::documents::{NewSecretDoc, SecretDoc};
use super::one::read;
use super::secrets;
use crate::call::Call;
use crate::operation::{Operation, Table};
use crate::policy::Asks;
use crate::refused::Refused;
use crate::reply::Reply;
use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use keyreeve_identity::Cause;
use keyreeve_secrets::SecretSearch;
use keyreeve_tokens::scope::{SECRETS_READ, SECRETS_WRITE};
use keyreeve_transfer::{Line, Lines};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc::{Sender, channel};

/// Lines of JSON.
const NDJSON: &str = "application/x-ndjson";
/// How many pieces of an answer may wait for its reader.
const WAITING: usize = 16;
/// How long the next piece of the lines may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn table() -> Table {
    Table::new("Secrets")
        .add(
            Operation::post("/api/v1/secrets/import", "import_secrets")
                .says(
                    "Make many secrets",
                    "The body is lines of JSON, each with the document that makes one. The answer has a line for each, in their order, \
                     with the identifier of what was made or the problem that kept it from being made. A line that cannot be taken \
                     in fails alone. Read the answer while you send.",
                )
                .needs(SECRETS_WRITE, Asks::CreateSecret)
                .takes_stream(NDJSON)
                .streams(&[NDJSON], "What became of each line."),
            import,
        )
        .add(
            Operation::get("/api/v1/secrets/export", "export_secrets")
                .says(
                    "Export what is known of secrets",
                    "Lines of JSON, one for each secret that the caller sees, without values. An answer that breaks off, or ends with \
                     an `error`, is not whole.",
                )
                .needs(SECRETS_READ, Asks::Visible)
                .streams(&[NDJSON], "The lines."),
            export,
        )
}

/// Where lines go.
struct Told(Sender<Result<Bytes, Infallible>>);

impl Told {
    /// None when nobody listens any more.
    async fn tell(&self, what: &Value) -> Option<()> {
        self.0.send(Ok(Bytes::from(format!("{what}\n")))).await.ok()
    }
}

async fn import(call: Call) -> Result<Reply, Refused> {
    let cause = call.cause().await?;
    let lines = call.take_stream();
    let (sender, receiver) = channel(WAITING);
    // Who listens no more ends it: what was made stays.
    tokio::spawn(async move { take_in(&call, &cause, lines, Told(sender)).await });
    Ok(Reply::stream(receiver, NDJSON))
}

async fn take_in(call: &Call, cause: &Cause, mut body: Body, told: Told) -> Option<()> {
    let (mut cutter, mut number) = (Lines::new(), 0_u64);
    loop {
        let lines = match tokio::time::timeout(PATIENCE, body.frame()).await {
            Err(_) => return told.tell(&json!({"error": "no lines came for a minute"})).await,
            Ok(Some(Err(_))) => {
                return told
                    .tell(&json!({"error": "the lines broke off, or are longer than is taken"}))
                    .await;
            }
            Ok(Some(Ok(frame))) => cutter.push(&frame.into_data().unwrap_or_default()),
            Ok(None) => {
                let Some(line) = cutter.end() else { return Some(()) };
                number = number.saturating_add(1);
                return told.tell(&made(call, cause, number, line).await).await;
            }
        };
        for line in lines {
            number = number.saturating_add(1);
            told.tell(&made(call, cause, number, line).await).await?;
        }
    }
}

/// Makes one secret, and says what became of it.
async fn made(call: &Call, cause: &Cause, number: u64, line: Line) -> Value {
    match make(call, cause, line).await {
        Ok(id) => json!({"line": number, "status": "created", "id": id}),
        Err(refused) => json!({"line": number, "problem": refused.problem()}),
    }
}

async fn make(call: &Call, cause: &Cause, line: Line) -> Result<String, Refused> {
    let Line::Text(text) = line else {
        return Err(Refused::of(crate::refused::LONG_BODY).detail("the line is longer than a line may be"));
    };
    let doc: NewSecretDoc = crate::body::read(&text)?;
    let made = secrets(call).create(call.authority(), read(doc)?, cause).await?;
    Ok(made.id.to_string())
}

async fn export(call: Call) -> Result<Reply, Refused> {
    let (sender, receiver) = channel(WAITING);
    tokio::spawn(async move { send_all(&call, Told(sender)).await });
    Ok(Reply::stream(receiver, NDJSON))
}

async fn send_all(call: &Call, told: Told) -> Option<()> {
    let mut search = SecretSearch { limit: keyreeve_secrets::MAX_PAGE, ..SecretSearch::default() };
    loop {
        let found = match secrets(call).search(call.authority(), &search).await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "an export of secrets failed");
                return told.tell(&json!({"error": "the server failed; this export is not whole"})).await;
            }
        };
        for secret in &found.items {
            // A document of texts and numbers always prints.
            told.tell(&serde_json::to_value(SecretDoc::from(secret)).unwrap_or_default()).await?;
        }
        search.after = Some(found.next?);
    }
}
