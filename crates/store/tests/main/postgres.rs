//! What only PostgreSQL has: contention between nodes, and connections that break.

use crate::{ADD, COUNT_OF, TABLES, count, insert};
use futures_util::future::join_all;
use keyreeve_store::{Engine, Error, Location, Options, Store, Tx, params, statements};
use keyreeve_testkit::postgres::Cluster;
use keyreeve_testkit::{Database, block_on, store, test_world};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

statements! {
    SERIALIZABLE = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE";
    ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    HANG = "SELECT CAST(pg_sleep(0.3) AS TEXT)";
}

#[test]
fn deadlocks_are_run_again() {
    block_on(async {
        let test = store(Engine::Postgres, TABLES).await;
        let runs = Arc::new(AtomicUsize::new(0));
        let mut writes = Vec::new();
        for n in 0..3 {
            let a = insert(&test.store, &format!("a{n}")).await.unwrap();
            let b = insert(&test.store, &format!("b{n}")).await.unwrap();
            for (first, second) in [(a, b), (b, a)] {
                let (store, runs) = (test.store.clone(), runs.clone());
                writes.push(tokio::spawn(async move {
                    store
                        .write(async move |tx: &mut Tx<'_>| -> Result<(), Error> {
                            runs.fetch_add(1, Ordering::SeqCst);
                            tx.execute(&ADD, &params![first, 1]).await?;
                            tokio::time::sleep(Duration::from_millis(100)).await;
                            tx.execute(&ADD, &params![second, 1]).await?;
                            Ok(())
                        })
                        .await
                }));
            }
        }
        for done in join_all(writes).await {
            done.unwrap().unwrap();
        }
        let sum = test
            .store
            .read(async |tx: &mut Tx<'_>| -> Result<i64, Error> { tx.scalar(&crate::SUM, &[]).await });
        assert_eq!(sum.await.unwrap(), 12);
        assert!(runs.load(Ordering::SeqCst) > 6, "no deadlock happened");
    });
}

#[test]
fn serialization_failures_are_run_again() {
    block_on(async {
        let test = store(Engine::Postgres, TABLES).await;
        let id = insert(&test.store, "a").await.unwrap();
        let runs = Arc::new(AtomicUsize::new(0));
        let writes = (0..6).map(|_| {
            let (store, runs) = (test.store.clone(), runs.clone());
            tokio::spawn(async move {
                store
                    .write(async move |tx: &mut Tx<'_>| -> Result<(), Error> {
                        runs.fetch_add(1, Ordering::SeqCst);
                        tx.execute(&SERIALIZABLE, &[]).await?;
                        let before: i64 = tx.scalar(&COUNT_OF, &params![id]).await?;
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        tx.execute(&ADD, &params![id, before + 1 - before]).await?;
                        Ok(())
                    })
                    .await
            })
        });
        for done in join_all(writes).await {
            done.unwrap().unwrap();
        }
        let value = test.store.read(async move |tx: &mut Tx<'_>| -> Result<i64, Error> {
            tx.scalar(&COUNT_OF, &params![id]).await
        });
        assert_eq!(value.await.unwrap(), 6);
        assert!(runs.load(Ordering::SeqCst) > 6, "nobody was in the way of anybody");
    });
}

#[test]
fn reads_share_a_connection_without_waiting_for_each_other() {
    block_on(async {
        let test = store(Engine::Postgres, TABLES).await;
        insert(&test.store, "a").await.unwrap();
        let reads = (0..500).map(|_| {
            let store = test.store.clone();
            tokio::spawn(async move { count(&store).await })
        });
        assert!(join_all(reads).await.into_iter().all(|count| count.unwrap() == 1));
        let client = test.database.client().await;
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'keyreeve' \
                   AND datname = current_database()";
        let connections: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
        assert!(connections <= 2 + 2 + 1, "{connections} connections");
    });
}

#[test]
fn lost_connections_are_replaced() {
    block_on(async {
        let test = store(Engine::Postgres, TABLES).await;
        insert(&test.store, "a").await.unwrap();
        let client = test.database.client().await;
        for round in 0..5 {
            let killed = client
                .execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE datname = current_database() AND pid <> pg_backend_pid()",
                    &[],
                )
                .await
                .unwrap();
            assert!(killed >= 1);
            assert_eq!(count(&test.store).await, round + 1);
            insert(&test.store, &round.to_string()).await.unwrap();
        }
    });
}

#[test]
fn a_transaction_that_loses_its_connection_is_run_again() {
    block_on(async {
        let test = store(Engine::Postgres, TABLES).await;
        let id = insert(&test.store, "a").await.unwrap();
        let killer = test.database.client().await;
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let write = test.store.write(async move |tx: &mut Tx<'_>| -> Result<(), Error> {
            counted.fetch_add(1, Ordering::SeqCst);
            tx.execute(&ADD, &params![id, 1]).await?;
            tx.query(&HANG, &[], |_| Ok(())).await?;
            tx.execute(&ADD, &params![id, 1]).await?;
            Ok(())
        });
        let kill = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(0.3)%' \
                       AND pid <> pg_backend_pid() AND datname = current_database()";
            assert_eq!(killer.execute(sql, &[]).await.unwrap(), 1);
        };
        let (done, ()) = tokio::join!(write, kill);
        done.unwrap();
        assert_eq!(runs.load(Ordering::SeqCst), 2);
        let value = test.store.read(async move |tx: &mut Tx<'_>| -> Result<i64, Error> {
            tx.scalar(&COUNT_OF, &params![id]).await
        });
        assert_eq!(value.await.unwrap(), 2);
    });
}

/// Passes bytes on until it sees a COMMIT, which it passes on too, and then breaks the connection before the answer.
async fn cutting_proxy(upstream: String, armed: Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (upstream, armed) = (upstream.clone(), armed.clone());
            tokio::spawn(async move {
                let server = TcpStream::connect(upstream).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let back =
                    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
                let mut buffer = vec![0; 65_536];
                while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                    let commits = buffer[..read].windows(6).any(|window| window == b"COMMIT");
                    if commits && armed.load(Ordering::SeqCst) > 0 {
                        armed.fetch_sub(1, Ordering::SeqCst);
                        back.abort();
                        drop(back.await);
                        to_server.write_all(&buffer[..read]).await.unwrap();
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        return;
                    }
                    if to_server.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// Waits until there are so many rows: the proxy's client may know of the break before the server has committed.
async fn becomes(store: &Store, rows: i64) {
    for _ in 0..200 {
        if count(store).await == rows {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(count(store).await, rows);
}

#[test]
fn a_commit_whose_answer_is_lost_is_ambiguous_and_not_repeated() {
    block_on(async {
        let test = store(Engine::Postgres, TABLES).await;
        let Location::Postgres(url) = test.database.location() else { panic!("not PostgreSQL") };
        let (before, after) = url.split_once('@').unwrap();
        let (upstream, path) = after.split_once('/').unwrap();
        let armed = Arc::new(AtomicUsize::new(0));
        let port = cutting_proxy(upstream.to_owned(), armed.clone()).await;
        let through = format!("{before}@127.0.0.1:{port}/{path}");
        let options = Options { location: Location::Postgres(through), ..test.database.options() };
        let node = Store::open(options, test.world.clone(), TABLES).await.unwrap();
        let heard = Arc::new(AtomicUsize::new(0));
        let counter = heard.clone();
        test.store.on_change(Arc::new(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
        }));
        armed.store(1, Ordering::SeqCst);
        let outcome = insert(&node, "maybe").await;
        assert!(matches!(outcome, Err(Error::Ambiguous { .. })), "{outcome:?}");
        becomes(&test.store, 1).await;
        // With a change to announce, which travels together with the COMMIT.
        armed.store(1, Ordering::SeqCst);
        let id = crate::fresh_id();
        let outcome = node.write(async move |tx: &mut Tx<'_>| -> Result<(), Error> {
            tx.execute(&crate::INSERT, &params![id, "announced"]).await?;
            tx.changed(None, "user", "maybe").await
        });
        let outcome = outcome.await;
        assert!(matches!(outcome, Err(Error::Ambiguous { .. })), "{outcome:?}");
        becomes(&test.store, 2).await;
        for _ in 0..300 {
            if heard.load(Ordering::SeqCst) >= 2 {
                assert_eq!(count(&test.store).await, 2, "each was committed once");
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("a change whose commit was in doubt was not announced again");
    });
}

#[test]
fn a_server_that_is_killed_loses_nothing_and_is_found_again() {
    block_on(async {
        let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
        let database = Database::postgres_on(&cluster.url()).await;
        let node = Store::open(database.options(), test_world().0, TABLES).await.unwrap();
        for n in 0..50 {
            insert(&node, &n.to_string()).await.unwrap();
        }
        let heard = Arc::new(AtomicUsize::new(0));
        let counter = heard.clone();
        node.on_change(Arc::new(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
        }));
        cluster.kill();
        assert!(matches!(insert(&node, "down").await, Err(Error::Unavailable { .. })));
        assert!(matches!(node.ping().await, Err(Error::Unavailable { .. })));
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        assert!(!node.fresh(keyreeve_store::STALENESS), "a node that hears nothing knows nothing");
        cluster.restart();
        assert_eq!(count(&node).await, 50);
        insert(&node, "up").await.unwrap();
        for _ in 0..300 {
            if node.fresh(keyreeve_store::STALENESS) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the change feed did not come back");
    });
}

#[test]
fn an_unreachable_server_is_a_clear_error_without_the_password() {
    block_on(async {
        for (url, expected) in [
            ("postgres://u:hunter2@127.0.0.1:1/db", "cannot connect"),
            ("postgres://u:hunter2@127.0.0.1:1/db?sslmode=allow", "sslmode=allow"),
            ("mysql://u:hunter2@127.0.0.1/db", "cannot be read"),
        ] {
            let options = Options::new(Location::Postgres(url.to_owned()));
            let error = Store::open(options.clone(), test_world().0, TABLES).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!format!("{error} {error:?} {options:?}").contains("hunter2"));
        }
    });
}

#[test]
fn tls_is_used_and_verified_as_the_url_says() {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let authority_of = |name: &str| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        (Issuer::new(params, key), pem)
    };
    let (authority, trusted) = authority_of("authority");
    let (_, stranger) = authority_of("stranger");
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap().pem();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let (trusted, stranger) = (file("trusted", &trusted), file("stranger", &stranger));
    let cluster = Cluster::start_with_tls(&certificate, &key.serialize_pem());
    block_on(async {
        let base = cluster.url().replace("127.0.0.1", "localhost");
        let base = base.split_once('?').unwrap().0;
        let attempt = async |url: String| {
            let options = Options::new(Location::Postgres(url));
            let store = Store::open(options, test_world().0, &[]).await?;
            let read = async |tx: &mut Tx<'_>| -> Result<bool, Error> { tx.scalar(&ENCRYPTED, &[]).await };
            store.read(read).await
        };
        for (parameters, expected) in [
            ("sslmode=disable".to_owned(), false),
            ("sslmode=prefer".to_owned(), true),
            ("sslmode=require".to_owned(), true),
            (format!("sslmode=verify-full&sslrootcert={trusted}"), true),
        ] {
            assert_eq!(attempt(format!("{base}?{parameters}")).await.unwrap(), expected, "{parameters}");
        }
        let another_name = base.replace("localhost", "127.0.0.1");
        for url in [
            format!("{base}?sslmode=verify-full&sslrootcert={stranger}"),
            format!("{base}?sslmode=verify-full"),
            format!("{another_name}?sslmode=verify-full&sslrootcert={trusted}"),
        ] {
            let error = attempt(url.clone()).await.unwrap_err();
            assert!(matches!(error, Error::Unavailable { .. }), "{url}: {error:?}");
        }
    });
}
