//! What is committed, what is not, and who waits for whom.

use crate::{ADD, COUNT_OF, INSERT, SUM, TABLES, TAKE, count, fresh_id, insert};
use futures_util::future::join_all;
use keyreeve_store::{Engine, Error, Tx, params, statements};
use keyreeve_testkit::{on_both_engines, store, store_with};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use uuid::Uuid;

statements! {
    WRITE_IN_DISGUISE = "UPDATE item SET count = count + 1 RETURNING count";
}

/// A room's error, as rooms have them.
#[derive(Debug, PartialEq)]
enum RoomError {
    Taken,
    Refused,
    Store(String),
}

impl From<Error> for RoomError {
    fn from(error: Error) -> Self {
        match error {
            Error::Conflict { .. } => Self::Taken,
            other => Self::Store(other.to_string()),
        }
    }
}

on_both_engines! {
    async fn a_scan_hands_out_one_snapshot_while_others_write(engine: Engine) {
        let test = store(engine, TABLES).await;
        for number in 0..50 {
            insert(&test.store, &format!("{number:02}")).await.unwrap();
        }
        let (outlet, mut reader) = keyreeve_store::Outlet::new(2);
        let store = test.store.clone();
        let scan = tokio::spawn(async move {
            store.scan(async move |tx: &mut Tx<'_>| -> Result<(), Error> {
                outlet.open()?;
                for name in tx.query(&crate::NAMES, &[], |row| row.get::<String>(0)).await? {
                    outlet.put(tx, name).await?;
                }
                let again = tx.query(&crate::NAMES, &[], |row| row.get::<String>(0)).await?;
                outlet.put(tx, again.len().to_string()).await
            }).await
        });
        let mut read = vec![reader.recv().await.unwrap()];
        insert(&test.store, "late").await.unwrap();
        while let Some(name) = reader.recv().await {
            read.push(name);
        }
        scan.await.unwrap().unwrap();
        assert_eq!((read.len(), read[0].as_str(), read[50].as_str()), (51, "00", "50"));
    }

    async fn a_scan_whose_reader_is_gone_ends_and_none_hands_out_twice(engine: Engine) {
        let test = store(engine, TABLES).await;
        let (outlet, reader) = keyreeve_store::Outlet::new(1);
        drop(reader);
        let done = test.store.scan(async move |tx: &mut Tx<'_>| -> Result<(), Error> {
            outlet.open()?;
            outlet.put(tx, 1).await
        }).await;
        assert!(matches!(done, Err(Error::Unavailable { .. })));
        let (outlet, _reader) = keyreeve_store::Outlet::new(1);
        let done = test.store.write(async move |tx: &mut Tx<'_>| -> Result<(), Error> {
            outlet.open()?;
            assert!(outlet.open().is_err());
            outlet.put(tx, 1).await
        }).await;
        assert!(matches!(done, Err(Error::Internal { .. })));
    }

    async fn what_a_closure_refuses_is_undone(engine: Engine) {
        let test = store(engine, TABLES).await;
        let id = fresh_id();
        let refused = test.store.write(async move |tx: &mut Tx<'_>| -> Result<(), RoomError> {
            tx.execute(&INSERT, &params![id, "a"]).await?;
            Err(RoomError::Refused)
        }).await;
        assert_eq!(refused, Err(RoomError::Refused));
        assert_eq!(count(&test.store).await, 0);
        insert(&test.store, "a").await.unwrap();
        let taken = test.store.write(async move |tx: &mut Tx<'_>| -> Result<(), RoomError> {
            tx.execute(&INSERT, &params![fresh_id(), "b"]).await?;
            tx.execute(&INSERT, &params![id, "a"]).await?;
            Ok(())
        }).await;
        assert_eq!(taken, Err(RoomError::Taken));
        assert_eq!(crate::names(&test.store).await, ["a"]);
    }

    async fn a_failed_statement_ends_the_transaction_even_if_it_is_overlooked(engine: Engine) {
        let test = store(engine, TABLES).await;
        insert(&test.store, "a").await.unwrap();
        let overlooked = test.store.write(async |tx: &mut Tx<'_>| -> Result<(), Error> {
            tx.execute(&INSERT, &params![fresh_id(), "b"]).await?;
            drop(tx.execute(&INSERT, &params![fresh_id(), "a"]).await);
            Ok(())
        }).await;
        assert!(matches!(overlooked, Err(Error::Internal { .. })), "{overlooked:?}");
        let carried_on = test.store.write(async |tx: &mut Tx<'_>| -> Result<u64, Error> {
            drop(tx.execute(&INSERT, &params![fresh_id(), "a"]).await);
            tx.execute(&INSERT, &params![fresh_id(), "c"]).await
        }).await;
        assert!(matches!(carried_on, Err(Error::Internal { .. })), "{carried_on:?}");
        assert_eq!(crate::names(&test.store).await, ["a"]);
    }

    async fn reads_cannot_write(engine: Engine) {
        let test = store(engine, TABLES).await;
        insert(&test.store, "a").await.unwrap();
        let written = async |tx: &mut Tx<'_>| -> Result<Vec<i64>, Error> {
            tx.query(&WRITE_IN_DISGUISE, &[], |row| row.get(0)).await
        };
        assert!(test.store.read(written).await.is_err());
        assert!(test.store.scan(written).await.is_err());
        let sum = test.store.read(async |tx: &mut Tx<'_>| -> Result<i64, Error> { tx.scalar(&SUM, &[]).await }).await;
        assert_eq!(sum.unwrap(), 0);
    }

    async fn of_parallel_conditional_updates_one_wins(engine: Engine) {
        let test = store(engine, TABLES).await;
        for round in 0..20 {
            let id = insert(&test.store, &format!("{round}")).await.unwrap();
            let attempts = (0..16).map(|_| {
                let store = test.store.clone();
                tokio::spawn(async move {
                    store.write(async move |tx: &mut Tx<'_>| -> Result<u64, Error> {
                        tx.execute(&TAKE, &params![id]).await
                    }).await.unwrap()
                })
            });
            let won: u64 = join_all(attempts).await.into_iter().map(Result::unwrap).sum();
            assert_eq!(won, 1);
        }
    }

    async fn no_increment_is_lost(engine: Engine) {
        let test = store(engine, TABLES).await;
        let id = insert(&test.store, "counter").await.unwrap();
        let adds = (0..300).map(|n| {
            let store = test.store.clone();
            tokio::spawn(async move {
                store.write(async move |tx: &mut Tx<'_>| -> Result<(), RoomError> {
                    tx.execute(&ADD, &params![id, 1]).await?;
                    // Every third is refused after it has written.
                    if n % 3 == 0 { Err(RoomError::Refused) } else { Ok(()) }
                }).await
            })
        });
        let done = join_all(adds).await.into_iter().filter(|done| done.as_ref().unwrap().is_ok()).count();
        assert_eq!(done, 200);
        assert_eq!(value_of(&test.store, id).await, 200);
    }

    async fn a_panicking_closure_harms_nobody_else(engine: Engine) {
        let test = store(engine, TABLES).await;
        let writes = (0..30).map(|n| {
            let store = test.store.clone();
            tokio::spawn(async move {
                let id = fresh_id();
                store.write(async move |tx: &mut Tx<'_>| -> Result<(), Error> {
                    tx.execute(&INSERT, &params![id, &n.to_string()]).await?;
                    assert!(n % 5 != 0, "on purpose");
                    Ok(())
                }).await
            })
        });
        let mut failed = 0;
        for done in join_all(writes).await {
            if let Err(error) = done.unwrap() {
                assert!(error.to_string().contains("panicked"), "{error}");
                failed += 1;
            }
        }
        assert_eq!((failed, count(&test.store).await), (6, 24));
        test.store.ping().await.unwrap();
    }

    async fn a_scan_sees_one_moment(engine: Engine) {
        let test = store(engine, TABLES).await;
        insert(&test.store, "a").await.unwrap();
        let (has_read, has_written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (mine, theirs) = (has_read.clone(), has_written.clone());
        let scan = test.store.scan(async move |tx: &mut Tx<'_>| -> Result<(i64, i64), Error> {
            let before = tx.scalar(&crate::COUNT, &[]).await?;
            mine.store(true, Ordering::SeqCst);
            while !theirs.load(Ordering::SeqCst) {
                match tx.engine() {
                    Engine::Sqlite => std::thread::sleep(Duration::from_millis(1)),
                    Engine::Postgres => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
            Ok((before, tx.scalar(&crate::COUNT, &[]).await?))
        });
        let write = async {
            while !has_read.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            insert(&test.store, "b").await.unwrap();
            insert(&test.store, "c").await.unwrap();
            has_written.store(true, Ordering::SeqCst);
        };
        let (seen, ()) = tokio::join!(scan, write);
        assert_eq!(seen.unwrap(), (1, 1));
        assert_eq!(count(&test.store).await, 3);
    }

    async fn a_full_queue_refuses_and_recovers(engine: Engine) {
        let test = store_with(engine, TABLES, |options| {
            options.queue_length = 4;
            options.group_size = 2;
        }).await;
        let (started, has_started) = std::sync::mpsc::channel();
        let gate = Arc::new(std::sync::Barrier::new(2));
        let blocker = {
            let (store, gate) = (test.store.clone(), gate.clone());
            tokio::spawn(async move {
                store.write(async move |_: &mut Tx<'_>| -> Result<(), Error> {
                    started.send(()).unwrap();
                    gate.wait();
                    Ok(())
                }).await
            })
        };
        tokio::task::spawn_blocking(move || has_started.recv().unwrap()).await.unwrap();
        let refused = Arc::new(AtomicUsize::new(0));
        let attempts: Vec<_> = (0..40).map(|n| {
            let (store, refused) = (test.store.clone(), refused.clone());
            tokio::spawn(async move {
                let done = insert(&store, &n.to_string()).await;
                match &done {
                    Err(Error::Unavailable { .. }) => { refused.fetch_add(1, Ordering::SeqCst); }
                    other => { other.as_ref().unwrap(); }
                }
                usize::from(done.is_ok())
            })
        }).collect();
        while refused.load(Ordering::SeqCst) < 36 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        gate.wait();
        blocker.await.unwrap().unwrap();
        let done: usize = join_all(attempts).await.into_iter().map(Result::unwrap).sum();
        assert_eq!(done + refused.load(Ordering::SeqCst), 40);
        assert_eq!(count(&test.store).await, i64::try_from(done).unwrap());
        insert(&test.store, "after").await.unwrap();
    }

    async fn a_caller_that_stops_waiting_stops_nothing(engine: Engine) {
        let test = store(engine, TABLES).await;
        for n in 0..20 {
            let write = insert(&test.store, "once");
            drop(tokio::time::timeout(Duration::from_micros(n * 20), write).await);
        }
        // Whether the first got through or a later one: it is there once, and nothing is stuck.
        insert(&test.store, "last").await.unwrap();
        assert!(crate::names(&test.store).await.iter().filter(|name| *name == "once").count() <= 1);
    }
}

#[test]
fn a_closure_that_waits_for_something_else_is_refused_on_sqlite() {
    keyreeve_testkit::block_on(async {
        let test = store(Engine::Sqlite, TABLES).await;
        let other = test.store.clone();
        let outcome = test
            .store
            .write(async move |_: &mut Tx<'_>| -> Result<i64, Error> {
                tokio::task::yield_now().await;
                Ok(count(&other).await)
            })
            .await;
        assert!(outcome.unwrap_err().to_string().contains("awaited something other"));
        insert(&test.store, "a").await.unwrap();
    });
}

async fn value_of(store: &keyreeve_store::Store, id: Uuid) -> i64 {
    store
        .read(async move |tx: &mut Tx<'_>| -> Result<i64, Error> { tx.scalar(&COUNT_OF, &params![id]).await })
        .await
        .unwrap()
}
