//! Some lines that are applied in one transaction.

use super::item::{Item, client_key};
use super::run::{Advance, Run};
use super::{LineResult, Status};
use crate::{Error, Transfer};
use keyreeve_base::ClientId;
use keyreeve_identity::bulk::{Fate, How, Mode, Outcome, Problem, RoleRef, Seen};
use keyreeve_store::Tx;
use std::sync::Arc;
use std::time::Duration;

/// How often a batch is run again because others were in its way.
const ATTEMPTS: u32 = 8;
/// The pause before the second attempt; doubled each time.
const PAUSE: Duration = Duration::from_millis(20);

/// Lines, each with what it is or what is wrong with it.
#[derive(Default)]
pub(super) struct Batch {
    lines: Vec<(u64, Result<Item, Vec<Problem>>)>,
    /// What the record of each line is called.
    about: Vec<String>,
}

/// What became of a batch.
pub(super) struct Done {
    pub(super) advance: Advance,
    pub(super) results: Vec<LineResult>,
}

impl Batch {
    pub(super) fn push(&mut self, line: u64, about: String, item: Result<Item, Vec<Problem>>) {
        self.lines.push((line, item));
        self.about.push(about);
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.lines.iter().filter_map(|(_, item)| item.as_ref().ok())
    }

    /// Writes all lines that can be written, and how far the import has come, in one transaction.
    pub(super) async fn write(
        self,
        room: Transfer,
        how: How,
        run: Run,
        advance: Advance,
    ) -> Result<Done, Error> {
        let this = Arc::new(self);
        let mut attempt = 1;
        loop {
            let (batch, how, run, within) = (this.clone(), how.clone(), run.clone(), room.clone());
            let work = async move |tx: &mut Tx<'_>| {
                let results = batch.apply(tx, &within, &how, &mut Seen::default()).await?;
                run.advance(tx, &within.0.world, (advance, &results), &how.cause).await?;
                Ok::<_, Error>(results)
            };
            match room.0.store.write(work).await {
                Ok(results) => return Ok(Done { advance, results }),
                Err(error) if error.is_collision() && attempt < ATTEMPTS => {
                    tracing::debug!(%error, attempt, "a batch of an import is run again");
                    tokio::time::sleep(PAUSE.saturating_mul(1 << attempt)).await;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Applies the lines in their order, those of one kind that follow each other together.
    pub(super) async fn apply(
        &self,
        tx: &mut Tx<'_>,
        room: &Transfer,
        how: &How,
        seen: &mut Seen,
    ) -> Result<Vec<LineResult>, Error> {
        let bulk = room.0.identity.bulk();
        let mut results = Vec::with_capacity(self.lines.len());
        let mut rest = self.lines.as_slice();
        while let Some((line, item)) = rest.first() {
            let mut taken = 1;
            match item {
                Err(problems) => {
                    let fate = Fate::Failed(problems.clone());
                    results.push(LineResult::new(*line, Outcome { fate, id: None }));
                }
                Ok(Item::User(_)) => {
                    let (lines, rows) = same(rest, |item| match item {
                        Item::User(row) => Some(row),
                        _ => None,
                    });
                    let outcomes = bulk.users(tx, &rows, how, seen).await?;
                    taken = lines.len();
                    results
                        .extend(lines.into_iter().zip(outcomes).map(|(line, of)| LineResult::new(line, of)));
                }
                Ok(Item::Member(_)) => {
                    let (lines, rows) = same(rest, |item| match item {
                        Item::Member(row) => Some(row),
                        _ => None,
                    });
                    let outcomes = bulk.members(tx, &rows, how, seen).await?;
                    taken = lines.len();
                    results
                        .extend(lines.into_iter().zip(outcomes).map(|(line, of)| LineResult::new(line, of)));
                }
                Ok(item) => {
                    let outcome = one(tx, room, item, how, seen).await?;
                    results.push(LineResult::new(*line, outcome));
                }
            }
            rest = rest.get(taken..).unwrap_or_default();
        }
        for (result, about) in results.iter_mut().zip(&self.about) {
            if result.status == Status::Failed && !about.is_empty() {
                result.about = Some(about.clone());
            }
        }
        Ok(results)
    }
}

/// The lines from the beginning that are of one kind.
fn same<'l, T>(
    lines: &'l [(u64, Result<Item, Vec<Problem>>)],
    pick: impl Fn(&'l Item) -> Option<&'l T>,
) -> (Vec<u64>, Vec<&'l T>) {
    lines.iter().map_while(|(line, item)| Some((*line, pick(item.as_ref().ok()?)?))).unzip()
}

/// Applies a line of a kind of which there are few.
async fn one(
    tx: &mut Tx<'_>,
    room: &Transfer,
    item: &Item,
    how: &How,
    seen: &mut Seen,
) -> Result<Outcome, Error> {
    let bulk = room.0.identity.bulk();
    match item {
        Item::Group(row) => Ok(bulk.group(tx, row, how, seen).await?),
        Item::Role(row, application) => {
            let mut row = row.clone();
            match of_client(tx, room, application.as_deref(), (how, seen)).await? {
                Ok(client) => row.application = client,
                Err(problem) => return Ok(Outcome::failed(problem)),
            }
            Ok(bulk.role(tx, &row, how, seen).await?)
        }
        Item::Holder(row, application) => {
            let mut row = row.clone();
            match of_client(tx, room, application.as_deref(), (how, seen)).await? {
                Ok(client) => {
                    if let RoleRef::Name { application, .. } = &mut row.role {
                        *application = client;
                    }
                }
                Err(problem) => return Ok(Outcome::failed(problem)),
            }
            Ok(bulk.holder(tx, &row, how, seen).await?)
        }
        Item::Client(row) => {
            let key = client_key(&row.client_id);
            if let Some(id) = seen.get(key) {
                let fate = if how.mode == Mode::Create { Fate::Skipped } else { Fate::Updated };
                return Ok(Outcome { fate, id: Some(id) });
            }
            let outcome = room.0.tokens.clients().apply_row(tx, row, how).await?;
            if let (true, Fate::Created, Some(id)) = (how.trial, &outcome.fate, outcome.id) {
                seen.note(key, id);
            }
            Ok(outcome)
        }
        // Taken together with their like.
        Item::User(row) => first(bulk.users(tx, &[row], how, seen).await?),
        Item::Member(row) => first(bulk.members(tx, &[row], how, seen).await?),
    }
}

fn first(outcomes: Vec<Outcome>) -> Result<Outcome, Error> {
    outcomes.into_iter().next().ok_or_else(|| Error::Internal("a row without an outcome".to_owned()))
}

/// The client of this name, if one is named.
async fn of_client(
    tx: &mut Tx<'_>,
    room: &Transfer,
    client_id: Option<&str>,
    (how, seen): (&How, &Seen),
) -> Result<Result<Option<ClientId>, Problem>, Error> {
    let Some(name) = client_id else { return Ok(Ok(None)) };
    match room.0.tokens.clients().id_of(tx, how.tenant, name).await? {
        Some(id) => Ok(Ok(Some(id))),
        None if seen.get(client_key(name)).is_some() => {
            Ok(Ok(seen.get(client_key(name)).map(ClientId::from_uuid)))
        }
        None => Ok(Err(Problem::new("application", "names a client that does not exist"))),
    }
}
