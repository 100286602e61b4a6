//! kill -9 under load: what was acknowledged is there afterwards, and nothing by halves.

use crate::{INSERT, TABLES, fresh_id};
use keyreeve_store::{Engine, Error, Location, Options, Store, Tx, params, statements};
use keyreeve_testkit::{Database, on_both_engines, test_world};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

statements! {
    PART = "INSERT INTO part (id, item_id, size) VALUES ($1, $2, $3)";
    WHOLE = "SELECT i.name, COUNT(p.id) FROM item i LEFT JOIN part p ON p.item_id = i.id GROUP BY i.name";
}

/// The variable that makes this test the child that is to be killed: where it writes.
const CHILD: &str = "KEYREEVE_STORE_TEST_CHILD";

on_both_engines! {
    async fn nothing_that_was_acknowledged_is_lost(engine: Engine) {
        if let Ok(location) = std::env::var(CHILD) {
            return write_until_killed(&location).await;
        }
        let database = match engine {
            Engine::Sqlite => Database::sqlite(),
            Engine::Postgres => Database::postgres().await,
        };
        let mut acknowledged = HashSet::new();
        for round in 0..3 {
            let url = match database.location() {
                Location::SqliteFile(path) => path.display().to_string(),
                Location::Postgres(url) => url,
            };
            let name = format!("kill::nothing_that_was_acknowledged_is_lost::{engine}");
            let more = tokio::task::spawn_blocking(move || run_and_kill(&name, &url)).await.unwrap();
            assert!(more.len() > 50, "only {} writes", more.len());
            acknowledged.extend(more);
            let store = Store::open(database.options(), test_world().0, TABLES).await.unwrap();
            let rows: Vec<(String, i64)> = store.scan(async |tx: &mut Tx<'_>| -> Result<_, Error> {
                tx.query(&WHOLE, &[], |row| Ok((row.get(0)?, row.get(1)?))).await
            }).await.unwrap();
            assert!(rows.iter().all(|(_, parts)| *parts == 2), "a transaction by halves");
            let there: HashSet<String> = rows.into_iter().map(|(name, _)| name).collect();
            let lost: Vec<_> = acknowledged.difference(&there).collect();
            assert!(lost.is_empty(), "round {round}: {} of {} lost", lost.len(), acknowledged.len());
            assert!(store.integrity().await.unwrap().is_empty());
        }
    }
}

/// Runs this test as a child, lets it write for a while, kills it, and answers what it said was written.
fn run_and_kill(name: &str, location: &str) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, location)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || {
        let mut names: Vec<_> = lines
            .map_while(Result::ok)
            .filter_map(|line| Some(line.strip_prefix("ack ")?.to_owned()))
            .collect();
        // The last line may have been cut.
        names.retain(|name| name.len() == 36);
        names
    });
    std::thread::sleep(Duration::from_millis(1_500));
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

async fn write_until_killed(location: &str) {
    let location = if location.starts_with("postgres") {
        Location::Postgres(location.to_owned())
    } else {
        Location::SqliteFile(location.into())
    };
    let store = Store::open(Options::new(location), test_world().0, TABLES).await.unwrap();
    let writers = (0..32).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let deadline = Instant::now() + Duration::from_secs(30);
            while Instant::now() < deadline {
                let id = fresh_id();
                let write = async move |tx: &mut Tx<'_>| -> Result<(), Error> {
                    tx.execute(&INSERT, &params![id, &id.to_string()]).await?;
                    for part in [0, 1] {
                        let part =
                            i64::from_be_bytes(*id.as_bytes().last_chunk().unwrap()).wrapping_add(part);
                        tx.execute(&PART, &params![part, id, part & 1 | 2]).await?;
                    }
                    Ok(())
                };
                store.write(write).await.unwrap();
                // One write, so that lines of several threads do not mix.
                std::io::stdout().write_all(format!("\nack {id}\n").as_bytes()).unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}
