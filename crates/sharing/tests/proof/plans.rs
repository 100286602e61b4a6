//! How the room's statements are answered: each by an index, on both engines, whatever there is in the tables.

use crate::house::migrations;
use keyreeve_sharing::{STATEMENTS, composed_statements};
use keyreeve_store::{Statement, Tx, Value};
use keyreeve_testkit::{Engine, store};
use tokio_postgres::SimpleQueryMessage;

/// Statements that read from the first row of an index on, a page of it: the index holds nothing else than what they want.
const FROM_THE_START: [&str; 2] = ["GONE", "GONE_IN"];
/// Statements that sort what they have read, which is as much as the tree is deep, or a page, or a tenant's model.
const SORTING: [&str; 4] = ["UP", "TYPES", "PERMISSIONS", "IMPLICATIONS"];

/// The room's tables, and the names that statements give them.
const TABLES: [&str; 10] = [
    "sharing_tree",
    "sharing_type",
    "sharing_permission",
    "sharing_implication",
    "sharing_resource",
    "sharing_grant",
    "g",
    "i",
    "p",
    "r",
];

fn name(statement: &Statement) -> &str {
    statement.name().rsplit("::").next().unwrap()
}

/// The number of a statement's parameters.
fn parameters(sql: &str) -> usize {
    let numbers = sql.split('$').skip(1).map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().unwrap()
    });
    numbers.max().unwrap_or(0)
}

#[test]
fn every_statement_is_answered_by_an_index_on_sqlite() {
    keyreeve_testkit::block_on(async {
        let test = store(Engine::Sqlite, &migrations()).await;
        let mut wrong = Vec::new();
        for statement in STATEMENTS.iter().copied().chain(composed_statements()) {
            let explain = Statement::composed("explain", format!("EXPLAIN QUERY PLAN {}", statement.sql()));
            let nulls = vec![Value::Null; parameters(statement.sql())];
            let steps = test
                .store
                .read(async move |tx: &mut Tx<'_>| {
                    tx.query_composed(&explain, &nulls, |row| row.get::<String>(3)).await
                })
                .await;
            let steps: Vec<String> =
                steps.unwrap_or_else(|error: keyreeve_store::Error| panic!("{statement:?}: {error:?}"));
            for step in &steps {
                let whole = TABLES.iter().any(|table| {
                    *step == format!("SCAN {table}") || step.starts_with(&format!("SCAN {table} "))
                });
                let allowed = FROM_THE_START.contains(&name(statement)) && step.contains("USING");
                let sorts = step.contains("TEMP B-TREE") && !SORTING.contains(&name(statement));
                if whole && !allowed || sorts || step.contains("AUTOMATIC") {
                    wrong.push(format!("{statement:?}: {steps:#?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn every_statement_is_answered_by_an_index_on_postgres() {
    keyreeve_testkit::block_on(async {
        let test = store(Engine::Postgres, &migrations()).await;
        let client = test.database.client().await;
        // The tables are empty, and such are read whole; what can be told is whether they have to be.
        client
            .batch_execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
            .await
            .unwrap();
        let mut wrong = Vec::new();
        for (number, statement) in STATEMENTS.iter().copied().chain(composed_statements()).enumerate() {
            let sql = statement
                .sql()
                .replace("{for_update}", "FOR UPDATE")
                .replace("{for_share}", "FOR SHARE")
                .replace("{skip_locked}", "FOR UPDATE SKIP LOCKED");
            client.batch_execute(&format!("PREPARE p{number} AS {sql}")).await.unwrap();
            let nulls = vec!["NULL"; parameters(&sql)].join(", ");
            let call = if nulls.is_empty() { format!("p{number}") } else { format!("p{number} ({nulls})") };
            let plan = client.simple_query(&format!("EXPLAIN EXECUTE {call}")).await.unwrap();
            let lines: Vec<&str> = plan
                .iter()
                .filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => row.get(0),
                    _ => None,
                })
                .collect();
            let count = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
            let by_index = count("Index Scan") + count("Index Only Scan");
            let free = FROM_THE_START.contains(&name(statement));
            if count("Seq Scan") > 0 || !free && by_index != count("Index Cond") {
                wrong.push(format!("{statement:?}: {lines:#?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}
