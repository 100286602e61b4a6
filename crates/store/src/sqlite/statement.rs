//! Running one statement on SQLite.

use super::errors::engine_error;
use crate::sql::Rendered;
use crate::tx::{EachRow, EachRowOf, Failure};
use crate::value::{Row, RowKind};
use crate::{Engine, Error, Param, Statement, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection};

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Bool(truth) => ValueRef::Integer(i64::from(*truth)),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
            Value::Uuid(uuid) => ValueRef::Blob(uuid.as_bytes()),
        }))
    }
}

/// The prepared statement, and which parameter stands at each of its places.
pub(super) fn prepare<'c, 's>(
    connection: &'c Connection,
    statement: &'s Statement,
) -> Result<(CachedStatement<'c>, &'s [usize]), Error> {
    let rendered = statement.render(Engine::Sqlite)?;
    let prepared =
        connection.prepare_cached(&rendered.sql).map_err(|error| match engine_error(None, &error) {
            Error::Internal { .. } => {
                Error::internal_from(format!("cannot prepare {}", statement.name()), error)
            }
            other => other,
        })?;
    let order = order(&prepared, rendered, statement)?;
    Ok((prepared, order))
}

fn order<'s>(
    prepared: &CachedStatement<'_>,
    rendered: &'s Rendered,
    statement: &Statement,
) -> Result<&'s [usize], Error> {
    if let Some(order) = rendered.order.get() {
        return Ok(order);
    }
    let order = (1..=prepared.parameter_count())
        .map(|place| {
            prepared
                .parameter_name(place)
                .and_then(|name| name.strip_prefix('$'))
                .and_then(|number| number.parse().ok())
                .filter(|number| *number > 0)
                .ok_or_else(|| Error::internal(format!("{} has a parameter other than $n", statement.name())))
        })
        .collect::<Result<Box<[usize]>, Error>>()?;
    Ok(rendered.order.get_or_init(|| order))
}

/// Prepares and binds.
fn bind<'c>(
    connection: &'c Connection,
    statement: &Statement,
    params: &[Param<'_>],
) -> Result<CachedStatement<'c>, Error> {
    let (mut prepared, order) = prepare(connection, statement)?;
    bind_to(&mut prepared, order, statement, params)?;
    Ok(prepared)
}

fn bind_to(
    prepared: &mut CachedStatement<'_>,
    order: &[usize],
    statement: &Statement,
    params: &[Param<'_>],
) -> Result<(), Error> {
    if order.iter().copied().max().unwrap_or(0) != params.len() {
        return Err(Error::internal(format!("{} was given {} parameters", statement.name(), params.len())));
    }
    for (place, number) in (1..).zip(order) {
        let value = number.checked_sub(1).and_then(|index| params.get(index)).unwrap_or(&Value::Null);
        if let Value::Text(text) = value
            && memchr::memchr(0, text.as_bytes()).is_some()
        {
            return Err(nul_in_text());
        }
        prepared.raw_bind_parameter(place, value).map_err(|error| engine_error(None, &error))?;
    }
    Ok(())
}

/// PostgreSQL cannot hold U+0000 in a text, so neither engine gets one.
pub(crate) fn nul_in_text() -> Error {
    Error::Invalid { reason: "text with the character U+0000".to_owned() }
}

pub(crate) fn each(
    connection: &Connection,
    statement: &Statement,
    params: &[Param<'_>],
    row: EachRow<'_>,
) -> Result<(), Failure> {
    let failed = |error: rusqlite::Error| Failure::from(engine_error(Some(connection), &error));
    let mut prepared = bind(connection, statement, params)?;
    let mut rows = prepared.raw_query();
    while let Some(found) = rows.next().map_err(failed)? {
        row(&Row(RowKind::Sqlite(found)))?;
    }
    Ok(())
}

pub(crate) fn execute(
    connection: &Connection,
    statement: &Statement,
    params: &[Param<'_>],
) -> Result<u64, Failure> {
    let mut prepared = bind(connection, statement, params)?;
    let touched = prepared.raw_execute().map_err(|error| engine_error(Some(connection), &error))?;
    Ok(u64::try_from(touched).unwrap_or(u64::MAX))
}

/// Runs a statement for each of `rows`, prepared once; answers how many rows each run touched.
pub(crate) fn execute_each<'p, R: AsRef<[Param<'p>]>>(
    connection: &Connection,
    statement: &Statement,
    rows: &[R],
) -> Result<Vec<u64>, Failure> {
    let (mut prepared, order) = prepare(connection, statement)?;
    let mut touched = Vec::with_capacity(rows.len());
    for row in rows {
        bind_to(&mut prepared, order, statement, row.as_ref())?;
        let count = prepared.raw_execute().map_err(|error| engine_error(Some(connection), &error))?;
        touched.push(u64::try_from(count).unwrap_or(u64::MAX));
    }
    Ok(touched)
}

/// Runs a query for each of `rows`, prepared once; calls `found` with the place of the run and each row of its answer.
pub(crate) fn query_each<'p, R: AsRef<[Param<'p>]>>(
    connection: &Connection,
    statement: &Statement,
    rows: &[R],
    found: EachRowOf<'_>,
) -> Result<(), Failure> {
    let failed = |error: rusqlite::Error| Failure::from(engine_error(Some(connection), &error));
    let (mut prepared, order) = prepare(connection, statement)?;
    for (place, row) in rows.iter().enumerate() {
        bind_to(&mut prepared, order, statement, row.as_ref())?;
        let mut answer = prepared.raw_query();
        while let Some(one) = answer.next().map_err(failed)? {
            found(place, &Row(RowKind::Sqlite(one)))?;
        }
    }
    Ok(())
}

pub(crate) fn script(connection: &Connection, sql: &str) -> Result<(), Failure> {
    Ok(connection.execute_batch(sql).map_err(|error| engine_error(Some(connection), &error))?)
}

/// The value in a column.
pub(crate) fn column<'r>(row: &'r rusqlite::Row<'_>, index: usize) -> Result<Value<'r>, Error> {
    match row.get_ref(index).map_err(|error| engine_error(None, &error))? {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(number) => Ok(Value::Int(number)),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes)
            .map(Value::Text)
            .map_err(|error| Error::internal_from("a stored text is not UTF-8", error)),
        ValueRef::Blob(bytes) => Ok(Value::Blob(bytes)),
        ValueRef::Real(_) => Err(Error::corrupt("a stored number is not whole")),
    }
}
