//! Migrations run once, resume, and keep away from what they do not know.

use crate::TABLES;
use futures_util::future::join_all;
use keyreeve_store::{Engine, Error, Migration, Store, Tx, params, statements};
use keyreeve_testkit::{Database, on_both_engines, store, test_world};

statements! {
    APPLIED = "SELECT id FROM schema_migration ORDER BY id";
    LEASES = "SELECT COUNT(*) FROM schema_lease";
    LEFT = "INSERT INTO schema_lease (id, holder, until) VALUES (1, $1, $2)";
    EXPIRE = "UPDATE schema_lease SET until = 0";
    SECOND = "SELECT COUNT(*) FROM second";
}

const SECOND_TABLE: Migration = Migration {
    id: "test/0002_second",
    // It would fail if it were applied twice.
    sql: "CREATE TABLE second (id {int} PRIMARY KEY) {strict}; INSERT INTO second (id) VALUES (1);",
};
const BROKEN: Migration = Migration {
    id: "test/0003_broken",
    sql: "CREATE TABLE third (id {int} PRIMARY KEY) {strict}; INSERT INTO nowhere (id) VALUES (1);",
};
const MENDED: Migration = Migration { sql: "CREATE TABLE third (id {int} PRIMARY KEY) {strict};", ..BROKEN };

async fn open(database: &Database, migrations: &[Migration]) -> Result<Store, Error> {
    Store::open(database.options(), test_world().0, migrations).await
}

async fn new_database(engine: Engine) -> Database {
    match engine {
        Engine::Sqlite => Database::sqlite(),
        Engine::Postgres => Database::postgres().await,
    }
}

async fn applied(store: &Store) -> Vec<String> {
    store
        .read(async |tx: &mut Tx<'_>| -> Result<_, Error> { tx.query(&APPLIED, &[], |row| row.get(0)).await })
        .await
        .unwrap()
}

fn both() -> Vec<Migration> {
    vec![TABLES[0], SECOND_TABLE]
}

on_both_engines! {
    async fn each_migration_runs_once(engine: Engine) {
        let database = new_database(engine).await;
        drop(open(&database, TABLES).await.unwrap());
        drop(open(&database, &both()).await.unwrap());
        let store = open(&database, &both()).await.unwrap();
        assert_eq!(applied(&store).await, ["store/0001_change", "test/0001_tables", "test/0002_second"]);
        let (rows, leases) = store.read(async |tx: &mut Tx<'_>| -> Result<(i64, i64), Error> {
            Ok((tx.scalar(&SECOND, &[]).await?, tx.scalar(&LEASES, &[]).await?))
        }).await.unwrap();
        assert_eq!((rows, leases), (1, 0));
    }

    async fn a_migration_that_fails_leaves_nothing_and_can_be_mended(engine: Engine) {
        let database = new_database(engine).await;
        let failed = open(&database, &[both(), vec![BROKEN]].concat()).await;
        assert!(failed.is_err());
        // What came before it stays; `third` was undone, or it could not be created now.
        let store = open(&database, &[both(), vec![MENDED]].concat()).await.unwrap();
        assert_eq!(applied(&store).await.len(), 4);
    }

    async fn a_newer_or_changed_database_is_refused(engine: Engine) {
        let database = new_database(engine).await;
        drop(open(&database, &both()).await.unwrap());
        let newer = open(&database, TABLES).await.err();
        assert!(matches!(&newer, Some(Error::NewerSchema { migration }) if migration == "test/0002_second"), "{newer:?}");
        let changed = Migration { sql: "SELECT 1", ..SECOND_TABLE };
        let changed = open(&database, &[TABLES[0], changed]).await.err();
        assert!(matches!(&changed, Some(Error::ChangedMigration { migration }) if migration == "test/0002_second"));
        drop(open(&database, &both()).await.unwrap());
    }

    async fn a_word_that_does_not_exist_stops_a_migration(engine: Engine) {
        let database = new_database(engine).await;
        let wrong = Migration { id: "test/0001_wrong", sql: "CREATE TABLE a (id {number})" };
        let error = open(&database, &[wrong]).await.unwrap_err();
        assert!(error.to_string().contains("test/0001_wrong"), "{error}");
    }

    async fn the_lease_of_a_node_that_died_is_taken_over(engine: Engine) {
        let test = store(engine, TABLES).await;
        let dead = crate::fresh_id();
        test.store.write(async move |tx: &mut Tx<'_>| -> Result<u64, Error> {
            tx.execute(&LEFT, &params![dead, i64::MAX / 4]).await
        }).await.unwrap();
        if engine == Engine::Postgres {
            let migrations = both();
            let waiting = test.open_again(&migrations);
            let expire = async {
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                assert_eq!(applied(&test.store).await.len(), 2, "the lease was not waited for");
                test.store.write(async |tx: &mut Tx<'_>| -> Result<u64, Error> {
                    tx.execute(&EXPIRE, &[]).await
                }).await.unwrap();
            };
            let (store, ()) = tokio::join!(waiting, expire);
            assert_eq!(applied(&store.unwrap()).await.len(), 3);
        } else {
            let database = test.database;
            drop(test.store);
            assert_eq!(applied(&open(&database, &both()).await.unwrap()).await.len(), 3);
        }
    }
}

#[test]
fn nodes_that_start_together_migrate_once() {
    keyreeve_testkit::block_on(async {
        let database = new_database(Engine::Postgres).await;
        let migrations = both();
        let nodes = join_all((0..6).map(|_| open(&database, &migrations))).await;
        for node in nodes {
            assert_eq!(applied(&node.unwrap()).await.len(), 3);
        }
    });
}
