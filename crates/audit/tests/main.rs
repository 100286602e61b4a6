//! The log and its chain, on both engines.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use keyreeve_audit::{Actor, Event, Head, MIGRATIONS, Outcome, Report, Verdict};
use keyreeve_audit::{list, record, seal, verify};
use keyreeve_base::{Origin, TenantId, World};
use keyreeve_store::{Error, Store, Tx, params, statements};
use keyreeve_testkit::{Engine, TestStore, on_both_engines, store};
use serde_json::json;

statements! {
    /// What an attacker with access to the database might do.
    pub(crate) REWRITE = "UPDATE audit_entry SET reason = 'nothing to see' WHERE tenant_id = $1 AND seq = $2";
    pub(crate) REMOVE = "DELETE FROM audit_entry WHERE tenant_id = $1 AND seq >= $2 AND seq <= $3";
    pub(crate) SET_HEAD = "UPDATE audit_head SET seq = $2, hash = (SELECT hash FROM audit_entry WHERE tenant_id = $1 AND seq = $2) \
        WHERE tenant_id = $1";
}

async fn open(engine: Engine) -> TestStore {
    store(engine, MIGRATIONS).await
}

async fn append(store: &Store, world: &World, tenant: TenantId, reason: &'static str) -> Result<(), Error> {
    let world = world.clone();
    store
        .write(async move |tx: &mut Tx<'_>| {
            let event = Event {
                tenant,
                actor: Actor::Anonymous,
                action: "admission.password",
                target: Some(("user", "ada".to_owned())),
                outcome: Outcome::Refused,
                reason: Some(reason),
                origin: &Origin { address: "192.0.2.7".parse().ok(), ..Origin::default() },
                detail: json!({ "door": "test" }),
            };
            record(tx, &world, &event).await.map(drop)
        })
        .await
}

/// Seals all that waits, as the background job does; on SQLite nothing waits.
async fn seal_all(store: &Store) {
    while store.write(async |tx: &mut Tx<'_>| seal(tx).await).await.expect("sealing") > 0 {}
}

async fn check(store: &Store, tenant: TenantId, expected: Option<Head>) -> Report {
    store
        .scan(async move |tx: &mut Tx<'_>| verify(tx, tenant, expected.as_ref()).await)
        .await
        .expect("a walk")
}

async fn three_entries(test: &TestStore) -> TenantId {
    let tenant: TenantId = test.world.new_id();
    for reason in ["one", "two", "three"] {
        append(&test.store, &test.world, tenant, reason).await.expect("an entry");
    }
    seal_all(&test.store).await;
    tenant
}

on_both_engines! {
    async fn every_statement_is_understood(engine: Engine) {
        let test = open(engine).await;
        for statement in keyreeve_audit::STATEMENTS {
            test.store.prepare(statement).await.unwrap_or_else(|e| panic!("{statement:?}: {e}"));
        }
    }

    async fn an_untouched_chain_holds_and_reads_back_in_order(engine: Engine) {
        let test = open(engine).await;
        let tenant = three_entries(&test).await;
        let report = check(&test.store, tenant, None).await;
        assert_eq!((report.checked, report.waiting, report.verdict), (3, 0, Verdict::Intact));
        let entries = test.store.read(async move |tx: &mut Tx<'_>| list(tx, tenant, 1, 10).await).await.unwrap();
        let read: Vec<_> = entries.iter().map(|e| (e.seq, e.reason.as_deref())).collect();
        assert_eq!(read, [(Some(2), Some("two")), (Some(3), Some("three"))]);
        assert_eq!(entries[0].address.as_deref(), Some("192.0.2.7"));
    }

    async fn chains_of_tenants_are_apart(engine: Engine) {
        let test = open(engine).await;
        let (first, second) = (three_entries(&test).await, three_entries(&test).await);
        let (one, two) = (check(&test.store, first, None).await, check(&test.store, second, None).await);
        assert_eq!((one.verdict, two.verdict), (Verdict::Intact, Verdict::Intact));
        assert_ne!(one.head.hash, two.head.hash);
    }

    async fn what_is_rolled_back_leaves_no_entry(engine: Engine) {
        let test = open(engine).await;
        let tenant = three_entries(&test).await;
        let world = test.world.clone();
        let undone: Result<(), Error> = test.store.write(async move |tx: &mut Tx<'_>| {
            let event = Event {
                tenant, actor: Actor::System, action: "never.happened", target: None, outcome: Outcome::Success,
                reason: None, origin: &Origin::local(), detail: serde_json::Value::Null,
            };
            record(tx, &world, &event).await?;
            Err(Error::NotFound)
        }).await;
        assert!(undone.is_err());
        seal_all(&test.store).await;
        assert_eq!(check(&test.store, tenant, None).await.checked, 3);
    }

    async fn tampering_is_named(engine: Engine) {
        let test = open(engine).await;
        let altered = three_entries(&test).await;
        test.store.write(async move |tx: &mut Tx<'_>| tx.execute(&REWRITE, &params![altered, 2_i64]).await).await.unwrap();
        assert_eq!(check(&test.store, altered, None).await.verdict, Verdict::Altered { seq: 2 });

        let removed = three_entries(&test).await;
        test.store.write(async move |tx: &mut Tx<'_>| tx.execute(&REMOVE, &params![removed, 2_i64, 2_i64]).await).await.unwrap();
        assert_eq!(check(&test.store, removed, None).await.verdict, Verdict::Missing { seq: 2 });

        let cut = three_entries(&test).await;
        test.store.write(async move |tx: &mut Tx<'_>| tx.execute(&REMOVE, &params![cut, 3_i64, 3_i64]).await).await.unwrap();
        assert_eq!(check(&test.store, cut, None).await.verdict, Verdict::HeadDiffers { recorded: 3 });
    }

    async fn a_noted_head_shows_that_the_end_was_cut_and_the_head_set_back(engine: Engine) {
        let test = open(engine).await;
        let tenant = three_entries(&test).await;
        let noted = check(&test.store, tenant, None).await.head;
        assert_eq!(check(&test.store, tenant, Some(noted.clone())).await.verdict, Verdict::Intact);
        test.store.write(async move |tx: &mut Tx<'_>| {
            tx.execute(&REMOVE, &params![tenant, 3_i64, 3_i64]).await?;
            tx.execute(&SET_HEAD, &params![tenant, 2_i64]).await
        }).await.unwrap();
        assert_eq!(check(&test.store, tenant, None).await.verdict, Verdict::Intact, "by itself the chain looks whole");
        assert_eq!(check(&test.store, tenant, Some(noted)).await.verdict, Verdict::NotTheExpected { seq: 3 });
    }

    async fn many_writers_and_several_sealers_make_one_chain(engine: Engine) {
        let test = open(engine).await;
        let tenant: TenantId = test.world.new_id();
        let writers: Vec<_> = (0..8).map(|_| {
            let (store, world) = (test.store.clone(), test.world.clone());
            tokio::spawn(async move {
                for _ in 0..25 {
                    append(&store, &world, tenant, "busy").await.expect("an entry");
                }
            })
        }).collect();
        let sealers: Vec<_> = (0..3).map(|_| {
            let store = test.store.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    match store.write(async |tx: &mut Tx<'_>| seal(tx).await).await {
                        Ok(_) | Err(Error::Conflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        }).collect();
        for task in writers.into_iter().chain(sealers) {
            task.await.expect("a task");
        }
        seal_all(&test.store).await;
        let report = check(&test.store, tenant, None).await;
        assert_eq!((report.checked, report.waiting, report.verdict), (200, 0, Verdict::Intact));
    }
}
