//! The side of a command that streams which asks the native API: of a server elsewhere, or of the installation that this
//! process has open. What it hands on to its other side is what `serve` would: pieces, results, an answer.

use super::frame::{Kind, receive, send};
use crate::cli::args::{
    AuditExport, AuditFollow, ExportArgs, ImportArgs, ImportMode, LoadArgs, SharingExport,
};
use crate::cli::client::{Api, Call, Elsewhere, Pieces, at};
use crate::cli::exit::{Exit, Failure, Output};
use crate::cli::run;
use bytes::Bytes;
use keyreeve_fetch::Broken;
use serde_json::{Value, json};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{Sender, channel};

const NDJSON: &str = "application/x-ndjson";
const EVENTS: &str = "text/event-stream";

/// How many pieces of an import may wait to be sent.
const WAITING: usize = 4;
/// The longest line that is taken from a server, in bytes.
const MAX_LINE: usize = 4 * 1024 * 1024;
/// The pause before a stream that ended is opened again, and the longest one when that fails.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// After so many failures in a row, nobody is followed any more.
const MAX_FAILURES: u32 = 10;

/// Sends an import's lines to a server elsewhere, and hands on what becomes of them.
pub(super) async fn import<R, W>(
    server: &Elsewhere,
    args: &ImportArgs,
    input: &mut R,
    output: &mut W,
) -> Result<Output, Failure>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mode = match args.mode {
        ImportMode::Create => "create",
        ImportMode::Upsert => "upsert",
    };
    let call = Call::post(at!["imports"])
        .query("mode", Some(mode))
        .query("dry_run", args.dry_run.then_some("true"))
        .query("drop_totp", args.drop_totp.then_some("true"))
        .query("id", args.resume);
    let (pieces, sent) = channel(WAITING);
    let answer = server.send_lines(&args.tenant.tenant, call, sent).await?;
    through(answer, pieces, args.dry_run, (input, output)).await
}

/// Sends the lines of a load, and hands on what becomes of them.
pub(super) async fn load<R, W>(
    api: &Api,
    args: &LoadArgs,
    input: &mut R,
    output: &mut W,
) -> Result<Output, Failure>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (pieces, sent) = channel(WAITING);
    let answer = api.send_lines(&args.tenant.tenant, Call::post(at!["sharing", "load"]), sent).await?;
    through(answer, pieces, false, (input, output)).await
}

/// Hands on the lines of an export of types, permissions, resources and grants.
pub(super) async fn sharing_export<W: AsyncWrite + Unpin>(
    api: &Api,
    args: &SharingExport,
    output: &mut W,
) -> Result<Output, Failure> {
    let call = Call::get(at!["sharing", "export"]);
    hand_on(api.open(&args.tenant.tenant, call, NDJSON).await?, output).await
}

/// Sends what the input has, and hands on what is answered.
async fn through<R, W>(
    mut answer: Pieces,
    pieces: Sender<Result<Bytes, Broken>>,
    dry_run: bool,
    (input, output): (&mut R, &mut W),
) -> Result<Output, Failure>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    // Both at once: who only sends, or only reads, would wait for the other side for ever.
    let feeding = async {
        feed(input, &pieces).await?;
        drop(pieces);
        std::future::pending().await
    };
    let reading = results(&mut answer, dry_run, output);
    tokio::select! {
        done = reading => done,
        broke = feeding => broke,
    }
}

/// Hands on what the input has, up to its end.
async fn feed<R: AsyncRead + Unpin>(
    input: &mut R,
    pieces: &Sender<Result<Bytes, Broken>>,
) -> Result<(), Failure> {
    loop {
        match receive(input).await.map_err(lost)? {
            Some((Kind::Data, bytes)) => {
                // Whoever takes no more has said why in the answer.
                if pieces.send(Ok(Bytes::from(bytes))).await.is_err() {
                    return Ok(());
                }
            }
            Some((Kind::End, _)) => return Ok(()),
            _ => {
                // The request must not end as if this were all.
                drop(pieces.send(Err(Broken)).await);
                return Err(Failure::new(Exit::Failed, "the input broke off"));
            }
        }
    }
}

async fn results<W: AsyncWrite + Unpin>(
    answer: &mut Pieces,
    dry_run: bool,
    output: &mut W,
) -> Result<Output, Failure> {
    let mut lines = Cut::default();
    while let Some(piece) = answer.next().await? {
        let mut told = Vec::new();
        let mut last = None;
        for line in lines.push(&piece)? {
            match Said::of(&line, dry_run)? {
                Said::Nothing => {}
                Said::Result(line) => {
                    told.extend_from_slice(&line);
                    told.push(b'\n');
                }
                Said::Summary(summary) => last = Some(summary),
            }
        }
        if !told.is_empty() {
            send(output, Kind::Results, &told).await.map_err(lost)?;
        }
        if let Some(summary) = last {
            let failed = summary.get("failed").and_then(Value::as_u64).unwrap_or_default();
            let exit = if failed > 0 { Exit::Refused } else { Exit::Ok };
            return Ok(Output::new(String::new(), summary).exit(exit));
        }
    }
    Err(Failure::new(Exit::Unavailable, "the server's answer ended before the import did"))
}

/// A line of an import's answer.
enum Said {
    /// A sign of life.
    Nothing,
    /// What became of a line, or that it has begun.
    Result(Vec<u8>),
    /// The end of it.
    Summary(Value),
}

impl Said {
    fn of(line: &[u8], dry_run: bool) -> Result<Self, Failure> {
        // Most lines are results: they are handed on without being read.
        if line.starts_with(b"{\"line\"") {
            return Ok(Self::Result(line.to_vec()));
        }
        if line.trim_ascii().is_empty() {
            return Ok(Self::Nothing);
        }
        let mut said: Value = serde_json::from_slice(line)
            .map_err(|_| Failure::new(Exit::Failed, "the server's answer is not lines of JSON"))?;
        if let Some(problem) = said.get("error").and_then(Value::as_str) {
            return Err(Failure::new(Exit::Failed, problem));
        }
        if let Some(summary) = said.get_mut("summary").map(Value::take) {
            return Ok(Self::Summary(summary));
        }
        if let (true, Some(begun)) = (dry_run, said.get_mut("import")) {
            // There is nothing to go on with.
            *begun = Value::Null;
        }
        Ok(Self::Result(said.to_string().into_bytes()))
    }
}

/// Hands on the lines of an export from a server elsewhere.
pub(super) async fn export<W: AsyncWrite + Unpin>(
    api: &Api,
    args: &ExportArgs,
    output: &mut W,
) -> Result<Output, Failure> {
    let types = (!args.types.is_empty()).then(|| args.types.join(","));
    let call = Call::get(at!["export"])
        .query("types", types)
        .query("with_hashes", args.with_hashes.then_some("true"));
    hand_on(api.open(&args.tenant.tenant, call, NDJSON).await?, output).await
}

/// Hands on the lines of an export of the audit log.
pub(super) async fn audit_export<W: AsyncWrite + Unpin>(
    api: &Api,
    args: &AuditExport,
    output: &mut W,
) -> Result<Output, Failure> {
    let call = run::audit::filtered(Call::get(at!["audit"]), &args.filter).query("after_seq", args.after_seq);
    hand_on(api.open(&args.tenant.tenant, call, NDJSON).await?, output).await
}

async fn hand_on<W: AsyncWrite + Unpin>(mut answer: Pieces, output: &mut W) -> Result<Output, Failure> {
    let (mut records, mut lines) = (0_u64, Cut::default());
    while let Some(piece) = answer.next().await? {
        for line in lines.push(&piece)? {
            records = records.saturating_add(1);
            if let Some(problem) = line.strip_prefix(b"{\"error\":") {
                let text = String::from_utf8_lossy(problem);
                let text = text.trim_matches(['"', '}']).to_owned();
                return Err(Failure::new(Exit::Failed, text));
            }
        }
        send(output, Kind::Data, &piece).await.map_err(lost)?;
    }
    Ok(Output::new(String::new(), json!({"records": records})))
}

/// Hands on the entries of the audit log as they come, as lines, until there were as many as were asked for. A stream that
/// ends, as it does with its access token, is opened again where it was.
pub(super) async fn follow<W: AsyncWrite + Unpin>(
    api: &Api,
    args: &AuditFollow,
    output: &mut W,
) -> Result<Output, Failure> {
    let mut seen = Seen { position: args.after_seq.map(i64::from), left: args.count, begun: false };
    let mut failures = 0_u32;
    loop {
        let before = seen.position;
        let pause = match listen(api, args, &mut seen, output).await {
            Ok(()) if seen.left == Some(0) => {
                return Ok(Output::new(String::new(), Value::Null));
            }
            Ok(()) => PAUSE,
            Err(Stopped::Reader(failure)) => return Err(failure),
            Err(Stopped::Server(failure)) => {
                failures = if before == seen.position { failures.saturating_add(1) } else { 1 };
                // What did not even begin, or will not get better, is a mistake of whoever asked.
                if !seen.begun || failure.exit != Exit::Unavailable || failures > MAX_FAILURES {
                    return Err(failure);
                }
                PAUSE.saturating_mul(1 << failures.min(5)).min(LONGEST_PAUSE)
            }
        };
        tokio::time::sleep(pause).await;
        api.forget(&args.tenant.tenant);
    }
}

/// How far a stream was read.
struct Seen {
    position: Option<i64>,
    left: Option<u64>,
    /// Whether there was an answer at all.
    begun: bool,
}

/// Why a stream is not read on.
enum Stopped {
    /// Nobody reads what is handed on.
    Reader(Failure),
    /// The server ended it, or could not be reached.
    Server(Failure),
}

async fn listen<W: AsyncWrite + Unpin>(
    api: &Api,
    args: &AuditFollow,
    seen: &mut Seen,
    output: &mut W,
) -> Result<(), Stopped> {
    let call = run::audit::filtered(Call::get(at!["audit", "events"]), &args.filter);
    let call = call.query("after_seq", seen.position);
    let mut stream = api.open(&args.tenant.tenant, call, EVENTS).await.map_err(Stopped::Server)?;
    seen.begun = true;
    let mut lines = Cut::default();
    while let Some(piece) = stream.next().await.map_err(Stopped::Server)? {
        let mut entries = Vec::new();
        for line in lines.push(&piece).map_err(Stopped::Server)? {
            if seen.left == Some(0) {
                break;
            }
            if let Some(number) = field(&line, b"id:") {
                let number = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
                seen.position = number.or(seen.position);
            } else if let Some(entry) = field(&line, b"data:") {
                entries.extend_from_slice(entry);
                entries.push(b'\n');
                seen.left = seen.left.map(|left| left.saturating_sub(1));
            }
        }
        // Also when there is nothing to tell: so it is noticed that nobody listens any more.
        send(output, Kind::Data, &entries).await.map_err(|error| Stopped::Reader(lost(error)))?;
        if seen.left == Some(0) {
            break;
        }
    }
    Ok(())
}

/// The value of a field of an event, without the one space that may stand before it.
fn field<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let value = line.strip_prefix(name)?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// Cuts what comes in pieces into lines.
#[derive(Default)]
struct Cut {
    begun: Vec<u8>,
}

impl Cut {
    /// The lines that end in this piece, without their ends.
    fn push(&mut self, piece: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
        let mut lines = Vec::new();
        let mut parts = piece.split(|byte| *byte == b'\n');
        let last = parts.next_back().unwrap_or_default();
        for part in parts {
            self.begun.extend_from_slice(part);
            lines.push(std::mem::take(&mut self.begun));
        }
        self.begun.extend_from_slice(last);
        if self.begun.len() > MAX_LINE {
            return Err(Failure::new(Exit::Failed, "the server's answer has a line that is too long"));
        }
        Ok(lines)
    }
}

#[allow(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn lost(error: io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("the stream broke: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_wherever_pieces_end() {
        let text = b"id: 1\ndata: {}\n\n: alive\n";
        for size in 1..text.len() {
            let mut cut = Cut::default();
            let lines: Vec<_> = text.chunks(size).flat_map(|piece| cut.push(piece).unwrap()).collect();
            assert_eq!(lines, [&b"id: 1"[..], b"data: {}", b"", b": alive"]);
        }
        let mut cut = Cut::default();
        assert!(cut.push(&vec![b'x'; MAX_LINE]).is_ok());
        assert!(cut.push(b"x").is_err());
    }

    #[test]
    fn an_import_says_what_it_says() {
        let said = |text: &str, dry_run| Said::of(text.as_bytes(), dry_run);
        assert!(matches!(said("", false), Ok(Said::Nothing)));
        assert!(matches!(said("{\"line\":1,\"status\":\"created\"}", false), Ok(Said::Result(_))));
        let begun = "{\"import\":\"0190\",\"resumed_after\":0}";
        assert!(matches!(said(begun, false), Ok(Said::Result(line)) if line == begun.as_bytes()));
        assert!(matches!(said(begun, true), Ok(Said::Result(line)) if line.starts_with(b"{\"import\":null")));
        assert!(matches!(said("{\"summary\":{\"failed\":1}}", false), Ok(Said::Summary(_))));
        assert!(said("{\"error\":\"no\"}", false).is_err());
        assert!(said("<html>", false).is_err());
    }
}
