//! Imports: lines in, a result for each out.
//!
//! [`Transfer::begin`] begins an import or takes one up again; [`Import::line`] takes its lines one after the other, and
//! answers the results of the lines that are decided by then; [`Import::finish`] takes the rest. While one batch is
//! written the next is read. Lines of one kind that follow each other are applied together; the order of kinds is the
//! input's, so what a line names has to stand before it or be there already.

mod batch;
mod item;
mod run;
mod trial;

pub use run::{ImportStatus, Summary};

use crate::record::Record;
use crate::{Error, Line, Right, Transfer, record};
use batch::{Batch, Done};
use item::Item;
use keyreeve_base::{TenantId, World};
use keyreeve_crypto::digest::sha256_of_parts;
use keyreeve_identity::Cause;
use keyreeve_identity::bulk::{Fate, How, Mode, Outcome, Problem};
use run::Run;
use serde::Serialize;
use tokio::task::JoinHandle;
use trial::Trial;
use uuid::Uuid;

/// How many lines one transaction applies at most, so that others who write wait for a fraction of a second.
const BATCH_LINES: usize = 1_000;
/// How many bytes of lines one transaction applies.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Before the digest of the first line.
const SEED: &[u8] = b"keyreeve import v1";
/// The longest name of a source, in characters.
const MAX_SOURCE: usize = 200;

/// The identifier of an import.
pub type ImportId = Uuid;

/// What an import is begun with.
#[derive(Debug, Clone)]
pub struct Begin {
    /// Its identifier: a new one to be able to resume, that of an import that was stopped to resume it.
    pub id: Option<ImportId>,
    /// What to do with what is there.
    pub mode: Mode,
    /// Check everything and write nothing.
    pub dry_run: bool,
    /// Where the lines come from, for people.
    pub source: String,
    /// Take users over without their second factors. Else one that cannot be kept fails its user.
    pub drop_totp: bool,
}

impl Default for Begin {
    fn default() -> Self {
        Self { id: None, mode: Mode::Create, dry_run: false, source: String::new(), drop_totp: false }
    }
}

/// What became of one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineResult {
    /// Which line, counted from one.
    pub line: u64,
    /// What became of it.
    pub status: Status,
    /// What the line is about, where that has an identifier: of a membership the group, of a holding the role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// What the record of a failed line is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Problem>,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It was made.
    Created,
    /// It was there, and has changed.
    Updated,
    /// It was there, and as the line wants it.
    Unchanged,
    /// It was there, and was left as it is.
    Skipped,
    /// Nothing of it was applied.
    Failed,
}

impl LineResult {
    fn new(line: u64, outcome: Outcome) -> Self {
        let (status, errors) = match outcome.fate {
            Fate::Created => (Status::Created, Vec::new()),
            Fate::Updated => (Status::Updated, Vec::new()),
            Fate::Unchanged => (Status::Unchanged, Vec::new()),
            Fate::Skipped => (Status::Skipped, Vec::new()),
            Fate::Failed(problems) => (Status::Failed, problems),
        };
        Self { line, status, id: outcome.id, about: None, errors }
    }
}

/// An import under way. What it has not been told to finish can be resumed.
pub struct Import {
    room: Transfer,
    how: How,
    run: Run,
    drop_totp: bool,
    trial: Option<Trial>,
    /// The last line that was given, and the digest of all up to it.
    line: u64,
    digest: [u8; 32],
    /// The last line that was done before this import was taken up again, and the digest of all up to it.
    resumed: (u64, [u8; 32]),
    batch: Batch,
    bytes: usize,
    /// The batch that is being written.
    writing: Option<JoinHandle<Result<Done, Error>>>,
}

impl Transfer {
    /// Begins an import, or takes up one that was stopped.
    ///
    /// # Errors
    /// [`Error::Denied`]; [`Error::Invalid`] for an import that was begun in another mode or is somebody else's; those of
    /// the store.
    pub async fn begin(
        &self,
        tenant: TenantId,
        begin: Begin,
        right: Right<'_>,
        cause: &Cause,
    ) -> Result<Import, Error> {
        if !right.covers(tenant) {
            self.refuse(tenant, "import.start", cause).await?;
            return Err(Error::Denied);
        }
        if begin.source.chars().count() > MAX_SOURCE || begin.source.chars().any(char::is_control) {
            return Err(Error::invalid(
                "source",
                format!("is longer than {MAX_SOURCE} characters, or has control characters"),
            ));
        }
        let how = self.0.identity.bulk().how(tenant, begin.mode, begin.dry_run, cause).await?;
        let (run, trial) = if begin.dry_run {
            if begin.id.is_some() {
                return Err(Error::invalid("id", "is of no use for a dry run, which keeps nothing"));
            }
            (Run::trial(self.world(), tenant), Some(Trial::open(self.world()).await?))
        } else {
            (self.open_run(tenant, &begin, cause).await?, None)
        };
        let resumed = (run.lines, run.digest);
        Ok(Import {
            room: self.clone(),
            how,
            drop_totp: begin.drop_totp,
            trial,
            line: 0,
            digest: sha256_of_parts(&[SEED]),
            resumed,
            batch: Batch::default(),
            bytes: 0,
            writing: None,
            run,
        })
    }

    fn world(&self) -> &World {
        &self.0.world
    }
}

impl Import {
    /// The identifier by which it can be resumed.
    #[must_use]
    pub const fn id(&self) -> ImportId {
        self.run.id
    }

    /// The last line that was done before; no results are answered for the lines up to it.
    #[must_use]
    pub const fn resumed_after(&self) -> u64 {
        self.resumed.0
    }

    /// The last line that was given.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.line
    }

    /// Takes the next line; answers the results that are there by now, in the order of the lines.
    ///
    /// # Errors
    /// [`Error::Different`], [`Error::Elsewhere`], those of the store. Nothing of the batch in question is written then,
    /// and the import can be resumed.
    pub async fn line(&mut self, line: &Line) -> Result<Vec<LineResult>, Error> {
        let bytes = match line {
            Line::Text(bytes) | Line::TooLong(bytes) => bytes,
        };
        self.line = self.line.saturating_add(1);
        self.digest = sha256_of_parts(&[&self.digest[..], bytes, b"\n"]);
        if self.line <= self.resumed.0 {
            if self.line == self.resumed.0 && self.digest != self.resumed.1 {
                return Err(Error::Different { line: self.line });
            }
            return Ok(Vec::new());
        }
        if bytes.iter().all(u8::is_ascii_whitespace) && matches!(line, Line::Text(_)) {
            return Ok(Vec::new());
        }
        let item = match line {
            Line::Text(bytes) => record::read(bytes).map_err(|problem| vec![problem]),
            Line::TooLong(_) => Err(vec![Problem::new("", "is longer than 1 MiB")]),
        };
        self.add(item, bytes.len()).await
    }

    /// Takes a record that was read from something else than lines. It counts as the line `content`.
    ///
    /// # Errors
    /// Those of [`Import::line`].
    pub async fn record(
        &mut self,
        record: Result<Record, Vec<Problem>>,
        content: &[u8],
    ) -> Result<Vec<LineResult>, Error> {
        self.line = self.line.saturating_add(1);
        self.digest = sha256_of_parts(&[&self.digest[..], content, b"\n"]);
        if self.line <= self.resumed.0 {
            if self.line == self.resumed.0 && self.digest != self.resumed.1 {
                return Err(Error::Different { line: self.line });
            }
            return Ok(Vec::new());
        }
        self.add(record, content.len()).await
    }

    async fn add(
        &mut self,
        record: Result<Record, Vec<Problem>>,
        bytes: usize,
    ) -> Result<Vec<LineResult>, Error> {
        let about = record.as_ref().map(Record::about).unwrap_or_default();
        let item = record.and_then(|record| Item::check(&self.room, &self.how, record, self.drop_totp));
        self.batch.push(self.line, about, item);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.batch.len() >= BATCH_LINES || self.bytes >= BATCH_BYTES {
            self.flush().await
        } else {
            Ok(Vec::new())
        }
    }

    /// Takes the results of the batch that is being written, and begins to write the next.
    async fn flush(&mut self) -> Result<Vec<LineResult>, Error> {
        let results = self.settle().await?;
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        let advance = run::Advance { from: self.run.lines, to: self.line, digest: self.digest };
        if let Some(trial) = &mut self.trial {
            let done = trial.apply(&self.room, &self.how, batch).await?;
            self.run.took(advance, &done.results);
            return Ok(results.into_iter().chain(done.results).collect());
        }
        let work = batch.write(self.room.clone(), self.how.clone(), self.run.clone(), advance);
        self.writing = Some(tokio::spawn(work));
        Ok(results)
    }

    async fn settle(&mut self) -> Result<Vec<LineResult>, Error> {
        let Some(writing) = self.writing.take() else { return Ok(Vec::new()) };
        let done = writing.await.map_err(|error| Error::Internal(error.to_string()))??;
        self.run.took(done.advance, &done.results);
        Ok(done.results)
    }

    /// Writes what is left, and notes the end. Answers the remaining results and what the import did altogether.
    ///
    /// # Errors
    /// [`Error::Short`] when a resumed import's input ends before the line where it was stopped; those of
    /// [`Import::line`].
    pub async fn finish(mut self) -> Result<(Vec<LineResult>, Summary), Error> {
        if self.line < self.resumed.0 {
            return Err(Error::Short { line: self.line, wanted: self.resumed.0 });
        }
        let mut results = self.settle().await?;
        // What is left, be it nothing but empty lines, is a batch of its own.
        if self.batch.len() > 0 || self.run.lines < self.line {
            results.extend(self.flush().await?);
            results.extend(self.settle().await?);
        }
        if self.trial.is_none() {
            self.room.end_run(&mut self.run, &self.how.cause).await?;
        }
        Ok((results, self.run.summary(self.how.trial)))
    }
}
