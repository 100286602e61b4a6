//! Who hears of what, and when.

use crate::{INSERT, TABLES, fresh_id, insert};
use keyreeve_base::TenantId;
use keyreeve_store::{Cache, Change, Engine, Error, STALENESS, Store, Tx, params, statements};
use keyreeve_testkit::{on_both_engines, store};
use std::sync::{Arc, Mutex};
use std::time::Duration;

statements! {
    STORED = "SELECT COUNT(*) FROM change";
    AGE = "UPDATE change SET at = at - 7200000000";
}

type Heard = Arc<Mutex<Vec<Change>>>;

fn listen(store: &Store) -> Heard {
    let heard = Heard::default();
    let sink = heard.clone();
    store.on_change(Arc::new(move |change: &Change| sink.lock().unwrap().push(change.clone())));
    heard
}

fn one(tenant: Option<TenantId>, key: &str) -> Change {
    Change::One { tenant, topic: "user".into(), key: key.to_owned() }
}

fn count_of(heard: &Heard, change: &Change) -> usize {
    heard.lock().unwrap().iter().filter(|heard| *heard == change).count()
}

async fn announce(store: &Store, tenant: Option<TenantId>, key: &'static str) -> Result<(), Error> {
    let id = fresh_id();
    store
        .write(async move |tx: &mut Tx<'_>| {
            tx.execute(&INSERT, &params![id, &id.to_string()]).await?;
            tx.changed(tenant, "user", key).await?;
            tx.changed(tenant, "user", key).await
        })
        .await
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain: {what}");
}

on_both_engines! {
    async fn a_change_is_heard_before_its_writer_is_answered(engine: Engine) {
        let test = store(engine, TABLES).await;
        let heard = listen(&test.store);
        let tenant = Some(test.world.new_id());
        for round in 1..30 {
            announce(&test.store, tenant, "ada").await.unwrap();
            assert_eq!(count_of(&heard, &one(tenant, "ada")), round);
        }
        assert!(test.store.fresh(STALENESS));
    }

    async fn what_is_not_committed_is_not_announced(engine: Engine) {
        let test = store(engine, TABLES).await;
        let heard = listen(&test.store);
        let refused = test.store.write(async |tx: &mut Tx<'_>| -> Result<(), Error> {
            tx.changed(None, "user", "nobody").await?;
            Err(Error::NotFound)
        }).await;
        assert!(refused.is_err());
        announce(&test.store, None, "ada").await.unwrap();
        assert_eq!(*heard.lock().unwrap(), [one(None, "ada")]);
        assert!(test.store.read(async |tx: &mut Tx<'_>| tx.changed(None, "user", "x").await).await.is_err());
    }

    async fn too_many_changes_are_everything(engine: Engine) {
        let test = store(engine, TABLES).await;
        let nodes = if engine == Engine::Postgres { vec![test.open_again(TABLES).await.unwrap()] } else { vec![] };
        let heard: Vec<_> = nodes.iter().chain([&test.store]).map(listen).collect();
        test.store.write(async |tx: &mut Tx<'_>| -> Result<(), Error> {
            for n in 0..1_000 {
                tx.changed(None, "user", &n.to_string()).await?;
            }
            Ok(())
        }).await.unwrap();
        for heard in heard {
            until("everything", || !heard.lock().unwrap().is_empty()).await;
            assert_eq!(*heard.lock().unwrap(), [Change::Everything]);
        }
    }

    async fn what_was_read_before_a_change_is_not_kept(engine: Engine) {
        let test = store(engine, TABLES).await;
        let tenant: TenantId = test.world.new_id();
        let cache = Cache::<String, i64>::weighted(&test.store, "user", (100, 1_000), |weight| weight.unsigned_abs());
        let (ada, bob) = ("ada".to_owned(), "bob".to_owned());
        let before = cache.watch();
        announce(&test.store, Some(tenant), "bob").await.unwrap();
        cache.put(before, tenant, ada.clone(), 1);
        assert_eq!(cache.peek(tenant, &ada), None, "something changed since");
        cache.put(cache.watch(), tenant, ada.clone(), 1);
        cache.put(cache.watch(), tenant, bob.clone(), 2);
        assert_eq!((cache.peek(tenant, &ada), cache.peek(tenant, &bob)), (Some(1), Some(2)));
        announce(&test.store, Some(tenant), "bob").await.unwrap();
        assert_eq!(cache.peek(tenant, &bob), None);
        // What weighs more than the cache holds is not kept at all.
        cache.put(cache.watch(), tenant, bob.clone(), 100_000);
        assert_eq!(cache.peek(tenant, &bob), None);
    }

    async fn a_mark_is_heard_of_once_everything_before_it_is(engine: Engine) {
        let test = store(engine, TABLES).await;
        let other = if engine == Engine::Postgres { test.open_again(TABLES).await.unwrap() } else { test.store.clone() };
        let heard = listen(&other);
        let tenant = Some(test.world.new_id());
        let mut last = i64::MIN;
        for round in 1..15 {
            announce(&test.store, tenant, "ada").await.unwrap();
            let mark = test.store.mark().await.unwrap();
            assert!(mark > last, "{mark} {last}");
            last = mark;
            until("the mark", || other.heard(mark)).await;
            assert_eq!(count_of(&heard, &one(tenant, "ada")), round);
        }
        assert!(!other.heard(last + 60_000_000), "a moment that has not come");
    }

    async fn a_cache_forgets_what_changed(engine: Engine) {
        let test = store(engine, TABLES).await;
        let cache = Cache::<String, i64>::new(&test.store, "user", 100);
        let (tenant, other): (TenantId, TenantId) = (test.world.new_id(), test.world.new_id());
        let (ada, bob) = ("ada".to_owned(), "bob".to_owned());
        let load = async |tenant, key, value| {
            cache.get_with(tenant, key, || async move { Ok::<i64, Error>(value) }).await.unwrap()
        };
        assert_eq!(load(tenant, &ada, 1).await, 1);
        assert_eq!(load(tenant, &ada, 2).await, 1, "from memory");
        assert_eq!(load(other, &ada, 3).await, 3, "another tenant's");
        assert_eq!(load(tenant, &bob, 4).await, 4);
        announce(&test.store, Some(tenant), "ada").await.unwrap();
        assert_eq!(cache.peek(tenant, &ada), None);
        assert_eq!(load(tenant, &ada, 5).await, 5);
        // A change that happens while a value is being read makes that value useless to others.
        let late = cache.get_with(tenant, &bob, || async { Ok::<i64, Error>(6) }).await.unwrap();
        assert_eq!(late, 4);
        announce(&test.store, Some(tenant), "bob").await.unwrap();
        let during = cache.get_with(tenant, &bob, || async {
            announce(&test.store, Some(tenant), "bob").await?;
            Ok::<i64, Error>(7)
        }).await.unwrap();
        assert_eq!((during, cache.peek(tenant, &bob)), (7, None));
    }
}

#[test]
fn another_node_hears_of_a_change_soon() {
    keyreeve_testkit::block_on(async {
        let test = store(Engine::Postgres, TABLES).await;
        let other = test.open_again(TABLES).await.unwrap();
        let (here, there) = (listen(&test.store), listen(&other));
        assert!(other.fresh(STALENESS));
        let tenant = Some(test.world.new_id());
        announce(&test.store, tenant, "ada").await.unwrap();
        until("the other node", || count_of(&there, &one(tenant, "ada")) == 1).await;
        announce(&other, None, "bob").await.unwrap();
        until("the first node", || count_of(&here, &one(None, "bob")) == 1).await;
        // Each was heard once, though every look goes back over the last seconds.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!((here.lock().unwrap().len(), there.lock().unwrap().len()), (2, 2));
        assert!(test.store.fresh(STALENESS) && other.fresh(STALENESS));
    });
}

/// An announcement bears the moment of its writing, not of its commit: one that is committed late looks older than
/// what was already heard.
#[test]
fn changes_that_are_committed_out_of_order_are_heard() {
    keyreeve_testkit::block_on(async {
        let test = store(Engine::Postgres, TABLES).await;
        let there = listen(&test.store);
        let mut client = test.database.client().await;
        let late = client.transaction().await.unwrap();
        let sql = "INSERT INTO change (id, topic, key, at) VALUES \
                   ($1, 'user', 'late', CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT))";
        late.execute(sql, &[&fresh_id()]).await.unwrap();
        let other = test.open_again(TABLES).await.unwrap();
        announce(&other, None, "early").await.unwrap();
        until("the early one", || count_of(&there, &one(None, "early")) == 1).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(count_of(&there, &one(None, "late")), 0);
        // Without a notification: only looking finds it.
        late.commit().await.unwrap();
        until("the late one", || count_of(&there, &one(None, "late")) == 1).await;
    });
}

#[test]
fn old_changes_are_pruned() {
    keyreeve_testkit::block_on(async {
        let test = store(Engine::Postgres, TABLES).await;
        announce(&test.store, None, "old").await.unwrap();
        test.store
            .write(async |tx: &mut Tx<'_>| -> Result<u64, Error> { tx.execute(&AGE, &[]).await })
            .await
            .unwrap();
        announce(&test.store, None, "new").await.unwrap();
        assert_eq!(test.store.prune_changes().await.unwrap(), 1);
        let left =
            test.store.read(async |tx: &mut Tx<'_>| -> Result<i64, Error> { tx.scalar(&STORED, &[]).await });
        assert_eq!(left.await.unwrap(), 1);
        let embedded = store(Engine::Sqlite, TABLES).await;
        insert(&embedded.store, "a").await.unwrap();
        assert_eq!(embedded.store.prune_changes().await.unwrap(), 0);
    });
}
