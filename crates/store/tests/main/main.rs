//! The store on both engines.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where something is not as it should be"
)]

mod changes;
mod kill;
mod migrations;
mod postgres;
mod sqlite;
mod transactions;
mod values;

use keyreeve_store::{Error, Migration, Store, Tx, params, statements};
use uuid::Uuid;

/// Tables of every kind of column and constraint.
const TABLES: &[Migration] = &[Migration {
    id: "test/0001_tables",
    sql: "
CREATE TABLE item (
    id {uuid} PRIMARY KEY,
    name {text} NOT NULL,
    count {int} NOT NULL DEFAULT 0,
    flag {bool} NOT NULL DEFAULT TRUE,
    at {time},
    data {blob},
    note {json}
) {strict};
CREATE UNIQUE INDEX item_by_name ON item (name);
CREATE UNIQUE INDEX item_by_lower_note ON item (LOWER(note)) WHERE note IS NOT NULL;
CREATE TABLE part (
    id {int} PRIMARY KEY,
    item_id {uuid} NOT NULL REFERENCES item (id),
    size {int} NOT NULL,
    CONSTRAINT part_size CHECK (size > 0),
    UNIQUE (item_id, size)
) {strict};
",
}];

statements! {
    INSERT = "INSERT INTO item (id, name) VALUES ($1, $2)";
    INSERT_ALL = "INSERT INTO item (id, name, count, flag, at, data, note) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    BY_ID = "SELECT id, name, count, flag, at, data, note FROM item WHERE id = $1";
    COUNT = "SELECT COUNT(*) FROM item";
    NAMES = "SELECT name FROM item ORDER BY name";
    ADD = "UPDATE item SET count = count + $2 WHERE id = $1";
    TAKE = "UPDATE item SET flag = FALSE WHERE id = $1 AND flag";
    COUNT_OF = "SELECT count FROM item WHERE id = $1";
    SUM = "SELECT CAST(SUM(count) AS BIGINT) FROM item";
}

async fn insert(store: &Store, name: &str) -> Result<Uuid, Error> {
    let (id, name) = (fresh_id(), name.to_owned());
    store
        .write(async move |tx: &mut Tx<'_>| {
            tx.execute(&INSERT, &params![id, &name]).await?;
            Ok(id)
        })
        .await
}

fn fresh_id() -> Uuid {
    keyreeve_testkit::test_world().0.new_uuid()
}

async fn count(store: &Store) -> i64 {
    store.read(async |tx: &mut Tx<'_>| -> Result<i64, Error> { tx.scalar(&COUNT, &[]).await }).await.unwrap()
}

async fn names(store: &Store) -> Vec<String> {
    store
        .read(async |tx: &mut Tx<'_>| -> Result<_, Error> { tx.query(&NAMES, &[], |row| row.get(0)).await })
        .await
        .unwrap()
}
