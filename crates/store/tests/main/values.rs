//! What goes in comes out, and what cannot go in is refused alike.

use crate::{INSERT, TABLES, fresh_id, insert};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_store::{Engine, Error, Param, Statement, Tx, Value, own_statements, params, statements};
use keyreeve_testkit::{on_both_engines, store};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

statements! {
    PART = "INSERT INTO part (id, item_id, size) VALUES ($1, $2, $3)";
    NOTE = "INSERT INTO item (id, name, note) VALUES ($1, $2, $3)";
    OUT_OF_ORDER = "SELECT $2, $1, $2 WHERE CAST($3 AS TEXT) = CAST($2 AS TEXT)";
    LIKE = "SELECT COUNT(*) FROM item WHERE name LIKE $1";
    PORTABLE = "WITH RECURSIVE n (i) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < 5) \
        SELECT i, i > 2, NULL FROM n WHERE (i, i) > (1, 0) AND i IS DISTINCT FROM 4 ORDER BY i DESC NULLS LAST";
    UPSERT = "INSERT INTO item (id, name, count) VALUES ($1, $2, 1) \
        ON CONFLICT (name) DO UPDATE SET count = item.count + 1 RETURNING count, id";
    UNFINISHED = "SELECT FROM WHERE";
    FOR_UPDATE = "SELECT id FROM item WHERE id = $1 {for_update}";
}

#[derive(Debug, Clone, PartialEq)]
struct Item {
    id: Uuid,
    name: String,
    count: i64,
    flag: bool,
    at: Option<Timestamp>,
    data: Option<Vec<u8>>,
    note: Option<String>,
}

/// Without U+0000, which no text may hold.
fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.replace('\0', ""))
}

fn item() -> impl Strategy<Value = Item> {
    let blob = proptest::collection::vec(any::<u8>(), 0..64);
    (
        any::<u128>(),
        any::<i64>(),
        any::<bool>(),
        any::<Option<i64>>(),
        proptest::option::of(blob),
        proptest::option::of(text()),
    )
        .prop_map(|(id, count, flag, at, data, note)| Item {
            id: Uuid::from_u128(id),
            name: Uuid::from_u128(id).to_string(),
            count,
            flag,
            at: at.map(Timestamp::from_micros),
            data,
            // Its index is over the lower-case form; make each its own.
            note: note.map(|note| format!("{id}{note}")),
        })
}

on_both_engines! {
    async fn every_type_comes_back_as_it_went_in(engine: Engine) {
        let test = store(engine, TABLES).await;
        let mut runner = TestRunner::default();
        for _ in 0..200 {
            let item = item().new_tree(&mut runner).unwrap().current();
            let given = item.clone();
            let read: Option<Item> = test.store.write(async move |tx: &mut Tx<'_>| -> Result<_, Error> {
                let (name, data, note) = (&given.name, &given.data, &given.note);
                let values = params![given.id, name, given.count, given.flag, given.at, data, note];
                assert_eq!(tx.execute(&crate::INSERT_ALL, &values).await?, 1);
                tx.query_opt(&crate::BY_ID, &params![given.id], |row| Ok(Item {
                    id: row.get(0)?, name: row.get(1)?, count: row.get(2)?, flag: row.get(3)?,
                    at: row.get(4)?, data: row.get(5)?, note: row.get(6)?,
                })).await
            }).await.unwrap();
            assert_eq!(read, Some(item));
        }
    }

    async fn a_statement_run_for_many_rows_answers_for_each_in_their_order(engine: Engine) {
        let test = store(engine, TABLES).await;
        let ids: Vec<Uuid> = (0..700).map(|_| fresh_id()).collect();
        let wanted = ids.clone();
        let (made, counts, found) = test.store.write(async move |tx: &mut Tx<'_>| -> Result<_, Error> {
            let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
            let rows: Vec<_> = ids.iter().zip(&names).map(|(id, name)| params![*id, *name]).collect();
            let made = tx.execute_each(&INSERT, &rows).await?;
            // Every other one is there; of each the name is read.
            let nobody = Uuid::nil();
            let rows: Vec<_> = ids.iter().step_by(2).flat_map(|id| [params![*id], [Value::Uuid(nobody)]]).collect();
            let found = tx.query_each(&crate::BY_ID, &rows, |row| row.get::<String>(1)).await?;
            let rows = [params![ids[3], 4_i64], params![nobody, 4_i64], params![ids[3], 5_i64]];
            let counts = tx.execute_each(&crate::ADD, &rows).await?;
            let none: [[Param<'_>; 1]; 0] = [];
            assert!(tx.execute_each(&crate::BY_ID, &none).await?.is_empty());
            Ok((made, counts, found))
        }).await.unwrap();
        assert_eq!((made, counts), (vec![1; 700], vec![1, 0, 1]));
        let expected: Vec<_> =
            wanted.iter().step_by(2).flat_map(|id| [Some(id.to_string()), None]).collect();
        assert_eq!(found, expected);
    }

    async fn of_many_rows_one_that_fails_takes_all_along(engine: Engine) {
        let test = store(engine, TABLES).await;
        let done = test.store.write(async move |tx: &mut Tx<'_>| -> Result<Vec<u64>, Error> {
            let [a, b, c] = [fresh_id(), fresh_id(), fresh_id()];
            let rows = [params![a, "a"], params![b, "b"], params![c, "a"]];
            tx.execute_each(&INSERT, &rows).await
        }).await;
        assert!(matches!(done, Err(Error::Conflict { constraint }) if constraint == "item_by_name"));
        assert_eq!(crate::count(&test.store).await, 0);
        let wrong = test.store.write(async move |tx: &mut Tx<'_>| -> Result<Vec<u64>, Error> {
            tx.execute_each(&INSERT, &[params![fresh_id()]]).await
        }).await;
        assert!(matches!(wrong, Err(Error::Internal { .. })));
    }

    async fn typed_ids_are_values(engine: Engine) {
        let test = store(engine, TABLES).await;
        let id: TenantId = test.world.new_id();
        let read = test.store.write(async move |tx: &mut Tx<'_>| -> Result<TenantId, Error> {
            tx.execute(&INSERT, &params![id, "a"]).await?;
            tx.query_one(&crate::BY_ID, &params![Some(id)], |row| row.get(0)).await
        }).await.unwrap();
        assert_eq!(read, id);
    }

    async fn a_column_that_reads_as_nothing_asked_for_is_an_error(engine: Engine) {
        let test = store(engine, TABLES).await;
        let id = insert(&test.store, "a").await.unwrap();
        for (column, wanted) in [(1, "column 1: expected an integer, found text"), (99, "")] {
            let error = test.store.read(async move |tx: &mut Tx<'_>| -> Result<i64, Error> {
                tx.query_one(&crate::BY_ID, &params![id], |row| row.get(column)).await
            }).await.unwrap_err();
            assert!(matches!(error, Error::Internal { .. }) && error.to_string().contains(wanted), "{error}");
        }
        let missing = test.store.read(async |tx: &mut Tx<'_>| -> Result<i64, Error> {
            tx.query_one(&crate::COUNT_OF, &params![Uuid::nil()], |row| row.get(0)).await
        }).await;
        assert!(matches!(missing, Err(Error::NotFound)));
    }

    async fn violated_constraints_are_named_alike(engine: Engine) {
        let test = store(engine, TABLES).await;
        let id = insert(&test.store, "a").await.unwrap();
        let run = async |sql: &'static Statement, values: Vec<Param<'static>>| {
            test.store
                .write(async move |tx: &mut Tx<'_>| tx.execute(sql, &values).await)
                .await
                .unwrap_err()
        };
        let conflict = |error: Error| match error {
            Error::Conflict { constraint } => constraint,
            other => panic!("{other}"),
        };
        let (other, text, int) = (Value::Uuid(fresh_id()), Value::Text, Value::Int);
        assert_eq!(conflict(run(&INSERT, vec![other, text("a")]).await), "item_by_name");
        assert_eq!(conflict(run(&INSERT, vec![Value::Uuid(id), text("b")]).await), "item_pkey");
        insert_note(&test.store, "n1", "Note").await.unwrap();
        assert!(insert_note(&test.store, "n2", "NOTE").await.unwrap_err().is_conflict_on("item_by_lower_note"));
        let part = |part: i64, item: Uuid, size: i64| vec![int(part), Value::Uuid(item), int(size)];
        test.store.write(async move |tx: &mut Tx<'_>| -> Result<u64, Error> {
            tx.execute(&PART, &params![1, id, 7]).await
        }).await.unwrap();
        assert_eq!(conflict(run(&PART, part(1, id, 8)).await), "part_pkey");
        assert_eq!(conflict(run(&PART, part(2, id, 7)).await), "part_item_id_size_key");
        assert!(matches!(run(&PART, part(2, fresh_id(), 8)).await, Error::ForeignKey));
        assert!(matches!(run(&PART, part(2, id, 0)).await, Error::Invalid { reason } if reason.contains("part_size")));
        let null = run(&INSERT, vec![other, Value::Null]).await;
        assert!(matches!(&null, Error::Invalid { reason } if reason.contains("NOT NULL")), "{null}");
    }

    async fn text_with_a_nul_is_refused(engine: Engine) {
        let test = store(engine, TABLES).await;
        let error = insert(&test.store, "a\0b").await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
        assert_eq!(crate::count(&test.store).await, 0);
    }

    async fn parameters_count_by_their_numbers(engine: Engine) {
        let test = store(engine, TABLES).await;
        let row = test.store.read(async |tx: &mut Tx<'_>| -> Result<(String, String), Error> {
            tx.query_one(&OUT_OF_ORDER, &params!["one", "two", "two"], |row| Ok((row.get(0)?, row.get(1)?))).await
        }).await.unwrap();
        assert_eq!(row, ("two".to_owned(), "one".to_owned()));
        for values in [&params!["one"][..], &params!["one", "two", "two", "four"]] {
            let values: Vec<Param<'static>> = values.iter().map(|_| Value::Text("x")).collect();
            let error = test.store.read(async move |tx: &mut Tx<'_>| -> Result<Vec<()>, Error> {
                tx.query(&OUT_OF_ORDER, &values, |_| Ok(())).await
            }).await.unwrap_err();
            assert!(error.to_string().contains("parameters"), "{error}");
        }
    }

    async fn the_portable_subset_means_the_same(engine: Engine) {
        let test = store(engine, TABLES).await;
        insert(&test.store, "Zoë").await.unwrap();
        for name in ["a", "B", "é", "z", "_", "Z"] {
            insert(&test.store, name).await.unwrap();
        }
        assert_eq!(crate::names(&test.store).await, ["B", "Z", "Zoë", "_", "a", "z", "é"], "by bytes");
        let like = test.store.read(async |tx: &mut Tx<'_>| -> Result<i64, Error> {
            tx.scalar(&LIKE, &params!["zo%"]).await
        }).await.unwrap();
        assert_eq!(like, 0, "LIKE minds case");
        let rows: Vec<(i64, bool, Option<i64>)> = test.store.scan(async |tx: &mut Tx<'_>| -> Result<_, Error> {
            tx.query(&PORTABLE, &params![1], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).await
        }).await.unwrap();
        assert_eq!(rows, [(5, true, None), (3, true, None), (2, false, None), (1, false, None)]);
        let first = fresh_id();
        for expected in 1..4 {
            let id = if expected == 1 { first } else { fresh_id() };
            let found = test.store.write(async move |tx: &mut Tx<'_>| -> Result<(i64, Uuid), Error> {
                tx.query_one(&UPSERT, &params![id, "upsert"], |row| Ok((row.get(0)?, row.get(1)?))).await
            }).await.unwrap();
            assert_eq!(found, (expected, first));
        }
    }

    async fn statements_are_checked_without_being_run(engine: Engine) {
        let test = store(engine, TABLES).await;
        let mine = [PORTABLE.name(), UPSERT.name(), FOR_UPDATE.name()];
        let all = STATEMENTS.iter().chain(crate::STATEMENTS).copied().chain(own_statements(engine));
        for statement in all.filter(|statement| statement.name() != UNFINISHED.name()) {
            test.store.prepare(statement).await.unwrap_or_else(|error| panic!("{}: {error:?}", statement.name()));
        }
        assert!(mine.iter().all(|name| name.starts_with("main::values::")));
        let error = test.store.prepare(&UNFINISHED).await.unwrap_err();
        assert!(error.to_string().contains("UNFINISHED"), "{error}");
        assert_eq!(crate::count(&test.store).await, 0);
    }

    async fn a_sound_database_has_no_findings(engine: Engine) {
        let test = store(engine, TABLES).await;
        insert(&test.store, "a").await.unwrap();
        assert_eq!(test.store.integrity().await.unwrap(), Vec::<String>::new());
        test.store.ping().await.unwrap();
    }
}

async fn insert_note(
    store: &keyreeve_store::Store,
    name: &'static str,
    note: &'static str,
) -> Result<u64, Error> {
    let id = fresh_id();
    store.write(async move |tx: &mut Tx<'_>| tx.execute(&NOTE, &params![id, name, note]).await).await
}
