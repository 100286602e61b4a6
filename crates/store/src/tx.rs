//! The transaction that a closure gets, on either engine.

use crate::change::Change;
use crate::value::Row;
use crate::{Engine, Error, FromColumn, Param, Statement, postgres, sqlite};
use keyreeve_base::TenantId;
use std::borrow::Cow;

/// A transaction under way (in [`crate::Store::read`]: just a connection).
///
/// A statement that fails ends the transaction, on both engines alike: everything after it fails too, and nothing is
/// committed, even if the closure answers `Ok`. To insert what may be there already, write `ON CONFLICT DO NOTHING`
/// and look at the number of rows.
pub struct Tx<'a> {
    kind: Kind<'a>,
    state: State,
}

enum Kind<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres(&'a postgres::Session),
}

/// How many things one transaction may announce; beyond, it announces that everything has changed.
const MAX_CHANGES: usize = 256;

/// What a transaction leaves behind for the store to act upon.
#[derive(Default)]
pub(crate) struct State {
    mode: Mode,
    /// A statement failed: the transaction cannot be committed.
    pub(crate) failed: bool,
    /// Whether running it again may help.
    pub(crate) retry: Retry,
    /// A script was run: who counts changed rows does not see what it did.
    pub(crate) scripted: bool,
    /// What to announce when it is committed.
    pub(crate) changes: Vec<Change>,
}

/// What kind of work a closure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    #[default]
    Read,
    Write,
    Scan,
}

/// Whether running the closure again may help after a failed statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Retry {
    #[default]
    No,
    /// Another transaction was in the way (SQLSTATE 40001, 40P01).
    Contention,
    /// The connection was lost before anything was committed.
    Lost,
}

/// A failed statement, as an engine reports it.
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) retry: Retry,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, retry: Retry::No }
    }
}

/// What is done with each row of an answer.
pub(crate) type EachRow<'f> = &'f mut dyn FnMut(&Row<'_>) -> Result<(), Error>;

/// What is done with each row of the answers of a query that is run many times: the place of the run, and the row.
pub(crate) type EachRowOf<'f> = &'f mut dyn FnMut(usize, &Row<'_>) -> Result<(), Error>;

impl<'a> Tx<'a> {
    pub(crate) fn sqlite(connection: &'a rusqlite::Connection, mode: Mode) -> Self {
        Self { kind: Kind::Sqlite(connection), state: State { mode, ..State::default() } }
    }

    pub(crate) fn postgres(session: &'a postgres::Session, mode: Mode) -> Self {
        Self { kind: Kind::Postgres(session), state: State { mode, ..State::default() } }
    }

    pub(crate) fn into_state(self) -> State {
        self.state
    }

    /// The engine, for the rare statement that cannot be written once.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self.kind {
            Kind::Sqlite(_) => Engine::Sqlite,
            Kind::Postgres(_) => Engine::Postgres,
        }
    }

    pub(crate) const fn mode(&self) -> Mode {
        self.state.mode
    }

    /// Whether no other transaction can write before this one has ended (SQLite), so that a row which all writers
    /// share keeps nobody waiting.
    #[must_use]
    pub fn writes_alone(&self) -> bool {
        match self.kind {
            Kind::Sqlite(_) => self.state.mode == Mode::Write,
            Kind::Postgres(_) => false,
        }
    }

    /// Runs a query and maps each row of its answer.
    ///
    /// # Errors
    /// Those of the engine and of `map`.
    pub async fn query<T>(
        &mut self,
        sql: &'static Statement,
        params: &[Param<'_>],
        mut map: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut rows = Vec::new();
        self.each(sql, params, &mut |row| {
            rows.push(map(row)?);
            Ok(())
        })
        .await?;
        Ok(rows)
    }

    /// Runs a query that was put together for this call ([`Statement::composed`]) and maps each row of its answer. How it
    /// is prepared is remembered by its text, for the texts that were used last.
    ///
    /// # Errors
    /// Those of the engine and of `map`.
    pub async fn query_composed<T>(
        &mut self,
        sql: &Statement,
        params: &[Param<'_>],
        mut map: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut rows = Vec::new();
        self.alive()?;
        let each: EachRow<'_> = &mut |row| {
            rows.push(map(row)?);
            Ok(())
        };
        let done = match self.kind {
            Kind::Sqlite(connection) => sqlite::each(connection, sql, params, each),
            Kind::Postgres(session) => session.each_composed(sql, params, each).await,
        };
        self.settle(done)?;
        Ok(rows)
    }

    /// Runs a query and maps the first row of its answer, if there is one.
    ///
    /// # Errors
    /// Those of the engine and of `map`.
    pub async fn query_opt<T>(
        &mut self,
        sql: &'static Statement,
        params: &[Param<'_>],
        mut map: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let mut first = None;
        self.each(sql, params, &mut |row| {
            if first.is_none() {
                first = Some(map(row)?);
            }
            Ok(())
        })
        .await?;
        Ok(first)
    }

    /// Runs a query and maps the first row of its answer.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the answer is empty; else those of the engine and of `map`.
    pub async fn query_one<T>(
        &mut self,
        sql: &'static Statement,
        params: &[Param<'_>],
        map: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.query_opt(sql, params, map).await?.ok_or(Error::NotFound)
    }

    /// Runs a query and answers the first column of its first row: a count, an `EXISTS`, one field.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the answer is empty; else those of the engine.
    pub async fn scalar<T: FromColumn>(
        &mut self,
        sql: &'static Statement,
        params: &[Param<'_>],
    ) -> Result<T, Error> {
        self.query_one(sql, params, |row| row.get(0)).await
    }

    async fn each(
        &mut self,
        sql: &'static Statement,
        params: &[Param<'_>],
        row: EachRow<'_>,
    ) -> Result<(), Error> {
        self.alive()?;
        let done = match self.kind {
            Kind::Sqlite(connection) => sqlite::each(connection, sql, params, row),
            Kind::Postgres(session) => session.each(sql, params, row).await,
        };
        self.settle(done)
    }

    /// Runs a statement that answers no rows; says how many rows it touched.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn execute(&mut self, sql: &'static Statement, params: &[Param<'_>]) -> Result<u64, Error> {
        self.alive()?;
        let done = match self.kind {
            Kind::Sqlite(connection) => sqlite::execute(connection, sql, params),
            Kind::Postgres(session) => session.execute(sql, params).await,
        };
        self.settle(done)
    }

    /// Runs a statement once for each of `rows`, in their order, as cheaply as the engine can: prepared once on SQLite,
    /// without waiting for one answer before the next is sent on PostgreSQL. Says how many rows each run touched.
    ///
    /// # Errors
    /// Those of the engine, of the first run that fails.
    pub async fn execute_each<'p, R: AsRef<[Param<'p>]>>(
        &mut self,
        sql: &'static Statement,
        rows: &[R],
    ) -> Result<Vec<u64>, Error> {
        self.alive()?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let done = match self.kind {
            Kind::Sqlite(connection) => sqlite::execute_each(connection, sql, rows),
            Kind::Postgres(session) => session.execute_each(sql, rows).await,
        };
        self.settle(done)
    }

    /// Runs a query once for each of `rows` in the same way, and maps the first row of each answer: as many answers as
    /// there are `rows`.
    ///
    /// # Errors
    /// Those of the engine and of `map`.
    pub async fn query_each<'p, T, R: AsRef<[Param<'p>]>>(
        &mut self,
        sql: &'static Statement,
        rows: &[R],
        mut map: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<Option<T>>, Error> {
        self.alive()?;
        let mut firsts: Vec<Option<T>> = std::iter::repeat_with(|| None).take(rows.len()).collect();
        if rows.is_empty() {
            return Ok(firsts);
        }
        let mut found = |place: usize, row: &Row<'_>| {
            if let Some(first @ None) = firsts.get_mut(place) {
                *first = Some(map(row)?);
            }
            Ok(())
        };
        let done = match self.kind {
            Kind::Sqlite(connection) => sqlite::query_each(connection, sql, rows, &mut found),
            Kind::Postgres(session) => session.query_each(sql, rows, &mut found).await,
        };
        self.settle(done)?;
        Ok(firsts)
    }

    /// Runs a script of DDL, already rendered for the engine.
    pub(crate) async fn script(&mut self, sql: &str) -> Result<(), Error> {
        self.alive()?;
        self.state.scripted = true;
        let done = match self.kind {
            Kind::Sqlite(connection) => sqlite::script(connection, sql),
            Kind::Postgres(session) => session.script(sql).await,
        };
        self.settle(done)
    }

    /// Announces, when this transaction is committed and not before, that what `topic` calls `key` has changed.
    ///
    /// # Errors
    /// [`Error::Internal`] outside of a write.
    #[allow(clippy::unused_async, reason = "an engine may need to write the announcement at once")]
    pub async fn changed(
        &mut self,
        tenant: Option<TenantId>,
        topic: &'static str,
        key: &str,
    ) -> Result<(), Error> {
        self.alive()?;
        if self.state.mode != Mode::Write {
            return Err(Error::internal("a change was announced outside of a write"));
        }
        let change = Change::One { tenant, topic: Cow::Borrowed(topic), key: key.to_owned() };
        let changes = &mut self.state.changes;
        if changes.len() >= MAX_CHANGES {
            *changes = vec![Change::Everything];
        } else if !changes.contains(&change) && *changes != [Change::Everything] {
            changes.push(change);
        }
        Ok(())
    }

    fn alive(&self) -> Result<(), Error> {
        if self.state.failed {
            return Err(Error::internal("a statement was run after one that had failed"));
        }
        Ok(())
    }

    fn settle<T>(&mut self, done: Result<T, Failure>) -> Result<T, Error> {
        done.map_err(|failure| {
            self.state.failed = self.state.mode != Mode::Read;
            self.state.retry = failure.retry;
            failure.error
        })
    }
}
