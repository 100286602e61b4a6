//! One connection and the statements that are prepared on it.

use super::errors::failure;
use crate::tx::{EachRow, EachRowOf, Failure, Retry};
use crate::value::{Row, RowKind, mismatch};
use crate::{Engine, Error, Param, Statement, Value};
use bytes::BytesMut;
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::pin;
use tokio_postgres::Client;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// How many statements are under way at a time where one is run for many rows.
const PIPELINED: usize = 256;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// A connection with its prepared statements. Concurrent statements are pipelined.
pub(crate) struct Session {
    client: Client,
    /// By the address of the [`Statement`], of which there is one for each text.
    prepared: RefCell<HashMap<usize, tokio_postgres::Statement>>,
    /// Those that were composed, by their text: the ones used last. What is forgotten here is closed there.
    composed: RefCell<quick_cache::unsync::Cache<Box<str>, tokio_postgres::Statement>>,
}

/// How many composed statements each connection keeps prepared.
const COMPOSED: usize = 128;

impl Session {
    pub(super) fn new(client: Client) -> Self {
        let composed = RefCell::new(quick_cache::unsync::Cache::new(COMPOSED));
        Self { client, prepared: RefCell::default(), composed }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) async fn prepare(
        &self,
        statement: &'static Statement,
    ) -> Result<tokio_postgres::Statement, Failure> {
        let key = std::ptr::from_ref(statement).addr();
        if let Some(prepared) = self.prepared.borrow().get(&key) {
            return Ok(prepared.clone());
        }
        let rendered = statement.render(Engine::Postgres)?;
        let prepared =
            self.client.prepare(&rendered.sql).await.map_err(|error| self.failed(error, statement))?;
        self.prepared.borrow_mut().insert(key, prepared.clone());
        Ok(prepared)
    }

    async fn prepare_composed(&self, statement: &Statement) -> Result<tokio_postgres::Statement, Failure> {
        let sql = &statement.render(Engine::Postgres)?.sql;
        if let Some(prepared) = self.composed.borrow().get(sql) {
            return Ok(prepared.clone());
        }
        let prepared = self.client.prepare(sql).await.map_err(|error| self.failed(error, statement))?;
        self.composed.borrow_mut().insert(sql.clone(), prepared.clone());
        Ok(prepared)
    }

    fn failed(&self, error: tokio_postgres::Error, statement: &Statement) -> Failure {
        let mut failure = failure(error);
        if let Error::Internal { reason, .. } = &mut failure.error {
            *reason = format!("{}: {reason}", statement.name());
        }
        if failure.retry != Retry::No {
            // A plan may be out of date; preparing anew is cheap.
            self.prepared.borrow_mut().clear();
            self.composed.borrow_mut().clear();
        }
        failure
    }

    async fn bind(
        &self,
        statement: &'static Statement,
        params: &[Param<'_>],
    ) -> Result<tokio_postgres::Statement, Failure> {
        let prepared = self.prepare(statement).await?;
        check(statement, &prepared, params)?;
        Ok(prepared)
    }

    pub(crate) async fn each(
        &self,
        statement: &'static Statement,
        params: &[Param<'_>],
        row: EachRow<'_>,
    ) -> Result<(), Failure> {
        let prepared = self.prepare(statement).await?;
        self.run(statement, &prepared, params, row).await
    }

    pub(crate) async fn each_composed(
        &self,
        statement: &Statement,
        params: &[Param<'_>],
        row: EachRow<'_>,
    ) -> Result<(), Failure> {
        let prepared = self.prepare_composed(statement).await?;
        self.run(statement, &prepared, params, row).await
    }

    async fn run(
        &self,
        statement: &Statement,
        prepared: &tokio_postgres::Statement,
        params: &[Param<'_>],
        row: EachRow<'_>,
    ) -> Result<(), Failure> {
        check(statement, prepared, params)?;
        let failed = |error| self.failed(error, statement);
        let mut rows = pin!(self.client.query_raw(prepared, params).await.map_err(failed)?);
        while let Some(found) = rows.try_next().await.map_err(failed)? {
            row(&Row(RowKind::Postgres(&found)))?;
        }
        Ok(())
    }

    pub(crate) async fn execute(
        &self,
        statement: &'static Statement,
        params: &[Param<'_>],
    ) -> Result<u64, Failure> {
        let prepared = self.bind(statement, params).await?;
        self.client.execute_raw(&prepared, params).await.map_err(|error| self.failed(error, statement))
    }

    /// Runs a statement for each of `rows`, without waiting for one answer before the next is sent; answers how many
    /// rows each run touched.
    pub(crate) async fn execute_each<'p, R: AsRef<[Param<'p>]>>(
        &self,
        statement: &'static Statement,
        rows: &[R],
    ) -> Result<Vec<u64>, Failure> {
        let mut touched = Vec::with_capacity(rows.len());
        for part in rows.chunks(PIPELINED) {
            let mut runs = Vec::with_capacity(part.len());
            for row in part {
                let prepared = self.bind(statement, row.as_ref()).await?;
                runs.push(async move { self.client.execute_raw(&prepared, row.as_ref()).await });
            }
            for done in join_all(runs).await {
                touched.push(done.map_err(|error| self.failed(error, statement))?);
            }
        }
        Ok(touched)
    }

    /// Runs a query for each of `rows` in the same way; calls `found` with the place of the run and each row of its
    /// answer.
    pub(crate) async fn query_each<'p, R: AsRef<[Param<'p>]>>(
        &self,
        statement: &'static Statement,
        rows: &[R],
        found: EachRowOf<'_>,
    ) -> Result<(), Failure> {
        let mut place = 0_usize;
        for part in rows.chunks(PIPELINED) {
            let mut runs = Vec::with_capacity(part.len());
            for row in part {
                let prepared = self.bind(statement, row.as_ref()).await?;
                runs.push(async move {
                    self.client.query_raw(&prepared, row.as_ref()).await?.try_collect::<Vec<_>>().await
                });
            }
            for answer in join_all(runs).await {
                for one in answer.map_err(|error| self.failed(error, statement))? {
                    found(place, &Row(RowKind::Postgres(&one)))?;
                }
                place = place.saturating_add(1);
            }
        }
        Ok(())
    }

    pub(crate) async fn script(&self, sql: &str) -> Result<(), Failure> {
        self.client.batch_execute(sql).await.map_err(failure)
    }
}

/// Whether these can be the statement's parameters.
fn check(
    statement: &Statement,
    prepared: &tokio_postgres::Statement,
    params: &[Param<'_>],
) -> Result<(), Failure> {
    if params.iter().any(|value| matches!(value, Value::Text(text) if text.contains('\0'))) {
        return Err(Error::Invalid { reason: "text with the character U+0000".to_owned() }.into());
    }
    if prepared.params().len() != params.len() {
        let reason = format!("{} was given {} parameters", statement.name(), params.len());
        return Err(Error::internal(reason).into());
    }
    Ok(())
}

impl ToSql for Value<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        match (self, ty) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Int(number), &Type::INT8) => number.to_sql(ty, out),
            (Value::Int(number), &Type::INT4) => i32::try_from(*number)?.to_sql(ty, out),
            (Value::Int(number), &Type::INT2) => i16::try_from(*number)?.to_sql(ty, out),
            (Value::Bool(truth), &Type::BOOL) => truth.to_sql(ty, out),
            (
                Value::Text(text),
                &(Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN),
            ) => text.to_sql(ty, out),
            (Value::Blob(bytes), &Type::BYTEA) => bytes.to_sql(ty, out),
            (Value::Uuid(uuid), &Type::UUID) => uuid.to_sql(ty, out),
            (value, ty) => Err(format!("{} was given for a parameter of type {ty}", value.kind()).into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Fault> {
        Ok(match *ty {
            Type::INT8 => Value::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Value::Int(i64::from(i32::from_sql(ty, raw)?)),
            Type::INT2 => Value::Int(i64::from(i16::from_sql(ty, raw)?)),
            Type::BOOL => Value::Bool(bool::from_sql(ty, raw)?),
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
                Value::Text(<&str>::from_sql(ty, raw)?)
            }
            Type::BYTEA => Value::Blob(raw),
            Type::UUID => Value::Uuid(uuid::Uuid::from_sql(ty, raw)?),
            _ => return Err(format!("a column of type {ty} cannot be read").into()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Fault> {
        Ok(Value::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The value in a column.
pub(crate) fn column(row: &tokio_postgres::Row, index: usize) -> Result<Value<'_>, Error> {
    if index >= row.len() {
        return Err(mismatch("a column", &Value::Null));
    }
    row.try_get(index).map_err(|error| Error::internal_from("a column cannot be read", error))
}
