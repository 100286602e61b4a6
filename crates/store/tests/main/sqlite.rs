//! What only SQLite has: the group, the lock, the backup.

use crate::{ADD, INSERT, TABLES, count, fresh_id, insert, names};
use futures_util::future::join_all;
use keyreeve_store::{Engine, Error, Location, Migration, Options, Store, Tx, params, statements};
use keyreeve_testkit::{TestStore, block_on, store, test_world};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

statements! {
    LATE = "INSERT INTO late (id, parent) VALUES ($1, $2)";
    LATE_COUNT = "SELECT COUNT(*) FROM late";
}

async fn sqlite() -> TestStore {
    store(Engine::Sqlite, TABLES).await
}

/// One that fails is undone with all that it wrote; its neighbours in the group are not, and nothing of theirs is
/// there twice.
#[test]
fn one_that_fails_leaves_its_group_alone() {
    block_on(async {
        let test = sqlite().await;
        let total = insert(&test.store, "total").await.unwrap();
        // While the writer is held up, the others gather into one group.
        let hold = test.store.write(async |_: &mut Tx<'_>| -> Result<(), Error> {
            std::thread::sleep(Duration::from_millis(200));
            Ok(())
        });
        let runs: Arc<Vec<AtomicUsize>> = Arc::new((0..100).map(|_| AtomicUsize::new(0)).collect());
        let writes = (0..100).map(|n| {
            let (store, runs) = (test.store.clone(), runs.clone());
            let write = async move |tx: &mut Tx<'_>| -> Result<(), Error> {
                runs[n].fetch_add(1, Ordering::SeqCst);
                if n % 10 == 1 {
                    // Nothing is written before it fails.
                    return Err(Error::NotFound);
                }
                tx.execute(&ADD, &params![total, 1]).await?;
                tx.execute(&INSERT, &params![fresh_id(), &format!("item {n}")]).await?;
                match n % 10 {
                    3 => Err(Error::NotFound),
                    5 => panic!("on purpose"),
                    7 => {
                        // It looks away: the answer is an error all the same.
                        let twice = tx.execute(&INSERT, &params![total, &format!("again {n}")]).await;
                        assert!(matches!(twice, Err(Error::Conflict { .. })), "{twice:?}");
                        Ok(())
                    }
                    _ => Ok(()),
                }
            };
            async move { (n, store.write(write).await) }
        });
        let gathered = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            join_all(writes).await
        };
        let (held, done) = tokio::join!(hold, gathered);
        held.unwrap();
        for (n, done) in done {
            let fails = [1, 3, 5, 7].contains(&(n % 10));
            assert_eq!(done.is_err(), fails, "{n}: {done:?}");
            if [3, 5, 7].contains(&(n % 10)) {
                assert_eq!(runs[n].load(Ordering::SeqCst), 1, "{n} failed, and need not run again");
            }
        }
        let read = async move |tx: &mut Tx<'_>| -> Result<i64, Error> {
            tx.scalar(&crate::COUNT_OF, &params![total]).await
        };
        assert_eq!(test.store.read(read).await.unwrap(), 60);
        assert_eq!(count(&test.store).await, 61);
    });
}

/// A deferred constraint is checked at COMMIT, where it would spoil the whole group.
#[test]
fn one_that_fails_at_commit_does_not_spoil_its_group() {
    const LATE_TABLE: Migration = Migration {
        id: "test/0002_late",
        sql: "CREATE TABLE late (id {uuid} PRIMARY KEY,
              parent {uuid} REFERENCES late (id) DEFERRABLE INITIALLY DEFERRED) {strict};",
    };
    block_on(async {
        let test = store(Engine::Sqlite, &[TABLES[0], LATE_TABLE]).await;
        let writes = (0..50).map(|n| {
            let store = test.store.clone();
            async move {
                let (id, orphan) = (fresh_id(), n % 10 == 0);
                let parent = if orphan { fresh_id() } else { id };
                let write = async move |tx: &mut Tx<'_>| -> Result<u64, Error> {
                    tx.execute(&LATE, &params![id, parent]).await
                };
                (orphan, store.write(write).await)
            }
        });
        for (orphan, done) in join_all(writes).await {
            assert_eq!(matches!(done, Err(Error::ForeignKey)), orphan, "{done:?}");
        }
        let left = test
            .store
            .read(async |tx: &mut Tx<'_>| -> Result<i64, Error> { tx.scalar(&LATE_COUNT, &[]).await });
        assert_eq!(left.await.unwrap(), 45);
    });
}

#[test]
fn a_second_server_is_refused_and_a_reader_is_not() {
    block_on(async {
        let test = sqlite().await;
        insert(&test.store, "a").await.unwrap();
        let second = test.open_again(TABLES).await.unwrap_err();
        let me = format!("process {}", std::process::id());
        assert!(matches!(&second, Error::InUse { holder, .. } if *holder == me), "{second}");
        let options = Options { exclusive: false, ..test.database.options() };
        let reader = Store::open(options.clone(), test.world.clone(), TABLES).await.unwrap();
        assert_eq!(names(&reader).await, ["a"]);
        assert!(matches!(insert(&reader, "b").await, Err(Error::Unsupported { .. })));
        insert(&test.store, "c").await.unwrap();
        assert_eq!(count(&reader).await, 2);
        assert!(reader.integrity().await.unwrap().is_empty());
        let more = [TABLES[0], Migration { id: "test/0002_more", sql: "SELECT 1" }];
        let older = Store::open(options, test.world.clone(), &more).await.unwrap_err();
        assert!(matches!(older, Error::OlderSchema { migration } if migration == "test/0002_more"));
        drop(reader);
        let database = test.database;
        drop(test.store);
        // Free as soon as the first is closed.
        drop(Store::open(database.options(), test.world, TABLES).await.unwrap());
        let nowhere = Location::SqliteFile(database.directory().unwrap().join("nowhere.db"));
        let options = Options { exclusive: false, ..Options::new(nowhere) };
        assert!(matches!(Store::open(options, test_world().0, TABLES).await, Err(Error::Unavailable { .. })));
    });
}

#[test]
fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    block_on(async {
        let test = sqlite().await;
        insert(&test.store, "a").await.unwrap();
        test.store.backup(&test.database.directory().unwrap().join("copy.db")).await.unwrap();
        let files: Vec<_> =
            std::fs::read_dir(test.database.directory().unwrap()).unwrap().flatten().collect();
        assert!(files.len() >= 4, "{files:?}");
        for file in files {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{file:?}");
        }
    });
}

async fn open_copy(path: &Path) -> Store {
    Store::open(Options::new(Location::SqliteFile(path.to_owned())), test_world().0, TABLES).await.unwrap()
}

#[test]
fn a_backup_is_whole_while_others_write() {
    block_on(async {
        let test = sqlite().await;
        let filler = "x".repeat(2_000);
        let fill = (0..2_000).map(|n| {
            let (store, name) = (test.store.clone(), format!("{n} {filler}"));
            async move { insert(&store, &name).await }
        });
        assert!(join_all(fill).await.iter().all(Result::is_ok));
        let stop = Arc::new(AtomicBool::new(false));
        // Each transaction writes two rows: a copy must have both or neither.
        let pairs = tokio::spawn({
            let (store, stop) = (test.store.clone(), stop.clone());
            async move {
                let mut pairs = 0;
                while !stop.load(Ordering::SeqCst) {
                    let write = async |tx: &mut Tx<'_>| -> Result<(), Error> {
                        for _ in 0..2 {
                            let id = fresh_id();
                            tx.execute(&INSERT, &params![id, &id.to_string()]).await?;
                        }
                        Ok(())
                    };
                    store.write(write).await.unwrap();
                    pairs += 1;
                }
                pairs
            }
        });
        let directory = tempfile::tempdir().unwrap();
        let mut sizes = Vec::new();
        for n in 0..5 {
            let path = directory.path().join(n.to_string()).join("copy.db");
            std::fs::create_dir(path.parent().unwrap()).unwrap();
            test.store.backup(&path).await.unwrap();
            assert_eq!(
                std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
                1,
                "one file and nothing else"
            );
            let copy = open_copy(&path).await;
            assert!(copy.integrity().await.unwrap().is_empty());
            sizes.push(count(&copy).await);
        }
        stop.store(true, Ordering::SeqCst);
        let pairs: i64 = pairs.await.unwrap();
        assert!(sizes.iter().all(|size| *size >= 2_000 && size % 2 == 0), "{sizes:?}");
        assert!(sizes.is_sorted() && pairs > 5, "{sizes:?}, {pairs} pairs");
        let there = directory.path().join("0").join("copy.db");
        let before = std::fs::read(&there).unwrap();
        assert!(
            matches!(test.store.backup(&there).await, Err(Error::Unsupported { .. })),
            "never overwrites"
        );
        assert_eq!(std::fs::read(&there).unwrap(), before);
        let nowhere = directory.path().join("nowhere").join("copy.db");
        assert!(matches!(test.store.backup(&nowhere).await, Err(Error::Unavailable { .. })));
    });
}

#[test]
fn damage_is_found() {
    block_on(async {
        let test = sqlite().await;
        for n in 0..500 {
            insert(&test.store, &format!("{n} {}", "x".repeat(200))).await.unwrap();
        }
        let file = test.database.file().unwrap();
        let database = test.database;
        drop(test.store);
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 8_192].fill(0xa5);
        std::fs::write(&file, bytes).unwrap();
        let store = Store::open(database.options(), test.world, TABLES).await.unwrap();
        let found = store.integrity().await;
        assert!(found.as_ref().map_or(true, |findings| !findings.is_empty()), "{found:?}");
    });
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    block_on(async {
        let test = sqlite().await;
        let limit = async |pages: &str| {
            // The engine's own way to say that there is no more room.
            let sql = format!("PRAGMA max_page_count = {pages}");
            let leaked =
                Box::leak(Box::new(keyreeve_store::Statement::new("limit", Box::leak(sql.into_boxed_str()))));
            let leaked: &'static keyreeve_store::Statement = leaked;
            test.store
                .write(async move |tx: &mut Tx<'_>| -> Result<Vec<i64>, Error> {
                    tx.query(leaked, &[], |row| row.get(0)).await
                })
                .await
                .unwrap();
        };
        limit("40").await;
        let long = "x".repeat(1_000);
        let inserts = (0..300).map(|n| {
            let (store, name) = (test.store.clone(), format!("{n} {long}"));
            async move { insert(&store, &name).await }
        });
        let done = join_all(inserts).await;
        let written = done.iter().filter(|done| done.is_ok()).count();
        assert!(
            done.iter()
                .filter_map(|done| done.as_ref().err())
                .all(|e| matches!(e, Error::Unavailable { .. }))
        );
        assert!(written < 300, "the limit was never met");
        limit("1000000").await;
        assert_eq!(count(&test.store).await, i64::try_from(written).unwrap());
        insert(&test.store, "after").await.unwrap();
        assert!(test.store.integrity().await.unwrap().is_empty());
    });
}
