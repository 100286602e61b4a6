//! Pages and exports of the log, on both engines.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use futures_util::{StreamExt, TryStreamExt, pin_mut};
use keyreeve_audit::{
    ActionPattern, Actor, Entry, Event, FileReport, FileVerdict, FileVerifier, Filter, MIGRATIONS, Order,
    Outcome, Page, Query, export, find, record, seal, verify,
};
use keyreeve_base::{Origin, TenantId, Timestamp, UserId};
use keyreeve_store::Tx;
use keyreeve_testkit::{Engine, TestStore, on_both_engines, store};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

const ACTIONS: [&str; 6] =
    ["user.create", "user.update", "username.seize", "client.create", "session.end", "user.delete"];

fn user(number: usize) -> UserId {
    UserId::from_uuid(Uuid::from_u128(number as u128 + 1))
}

/// A log of `count` entries of every kind, several at a moment; and some of another tenant.
async fn log(test: &TestStore, count: usize) -> TenantId {
    let (tenant, other): (TenantId, TenantId) = (test.world.new_id(), test.world.new_id());
    for start in (0..count).step_by(7) {
        let world = test.world.clone();
        test.store
            .write(async move |tx: &mut Tx<'_>| -> Result<(), keyreeve_store::Error> {
                for n in start..(start + 7).min(count) {
                    for tenant in [tenant, other] {
                        let event = Event {
                            tenant,
                            actor: if n % 5 == 0 { Actor::Operator } else { Actor::User(user(n % 4)) },
                            action: ACTIONS[(n * n + n / 3) % ACTIONS.len()],
                            target: (n % 3 != 0).then(|| ("user", user(n % 6).to_string())),
                            outcome: if n % 11 == 3 { Outcome::Refused } else { Outcome::Success },
                            reason: (n % 11 == 3).then_some("because"),
                            origin: &Origin { request_id: Some(format!("r{}", n / 2)), ..Origin::default() },
                            detail: if n % 2 == 0 {
                                json!({"n": n, "text": "ü \"quoted\""})
                            } else {
                                json!(null)
                            },
                        };
                        record(tx, &world, &event).await?;
                    }
                }
                Ok(())
            })
            .await
            .expect("entries");
        test.clock.advance(Duration::from_secs(1));
    }
    while test.store.write(async |tx: &mut Tx<'_>| seal(tx).await).await.expect("sealing") > 0 {}
    tenant
}

async fn everything(test: &TestStore, tenant: TenantId) -> Vec<Entry> {
    let mut entries = test
        .store
        .scan(async move |tx: &mut Tx<'_>| keyreeve_audit::list(tx, tenant, 0, 1_000).await)
        .await
        .expect("the log");
    entries.sort_by_key(|entry| (entry.at, entry.id));
    entries
}

fn filters(start: Timestamp) -> Vec<Filter> {
    let text = |text: &str| Some(text.to_owned());
    let pattern = |text: &str| ActionPattern::parse(text).expect("a pattern");
    let none = Filter::default;
    let at = |seconds| Some(start.plus(Duration::from_secs(seconds)));
    vec![
        none(),
        Filter { actor_id: text(&user(2).to_string()), ..none() },
        Filter { actor_kind: text("operator"), ..none() },
        Filter { actor_kind: text("client"), actor_id: text(&user(2).to_string()), ..none() },
        Filter { actions: vec![pattern("user.create")], ..none() },
        Filter { actions: vec![pattern("user.")], ..none() },
        Filter { actions: vec![pattern("user."), pattern("session.end"), pattern("user.create")], ..none() },
        Filter { actions: vec![pattern("nothing.")], ..none() },
        Filter { target_id: text(&user(1).to_string()), outcome: Some(Outcome::Success), ..none() },
        Filter { target_kind: text("user"), ..none() },
        Filter { outcome: Some(Outcome::Refused), ..none() },
        Filter { outcome: Some(Outcome::Success), from: at(3), ..none() },
        Filter { from: at(3), before: at(9), ..none() },
        Filter { from: at(9), before: at(3), ..none() },
        Filter { request_id: text("r20"), ..none() },
        Filter {
            actions: vec![pattern("user.")],
            outcome: Some(Outcome::Refused),
            from: at(2),
            before: at(11),
            ..none()
        },
    ]
}

async fn ask(test: &TestStore, tenant: TenantId, query: Query) -> Page {
    find(&test.store, tenant, query).await.expect("a page")
}

async fn lines(test: &TestStore, tenant: TenantId, after: i64, filter: Filter) -> Vec<String> {
    let pieces: Vec<Vec<u8>> =
        export(&test.store, tenant, after, filter).try_collect().await.expect("an export");
    String::from_utf8(pieces.concat()).unwrap().lines().map(ToOwned::to_owned).collect()
}

fn check(lines: &[String], expected: Option<keyreeve_audit::Head>) -> FileReport {
    let mut verifier = FileVerifier::new(expected);
    for line in lines {
        if !verifier.line(line) {
            break;
        }
    }
    verifier.finish()
}

on_both_engines! {
    async fn pages_are_exactly_what_the_filter_means_in_both_orders_and_both_ways(engine: Engine) {
        let test = store(engine, MIGRATIONS).await;
        let start = test.world.now();
        let tenant = log(&test, 100).await;
        let all = everything(&test, tenant).await;
        assert_eq!(all.len(), 100);
        for filter in filters(start) {
            for (order, limit) in [(Order::NewestFirst, 7), (Order::OldestFirst, 7), (Order::NewestFirst, 1_000)] {
                let mut wanted: Vec<_> = all.iter().filter(|entry| filter.matches(entry)).cloned().collect();
                if order == Order::NewestFirst {
                    wanted.reverse();
                }
                let (mut pages, mut at) = (Vec::new(), None);
                loop {
                    let page = ask(&test, tenant, Query { filter: filter.clone(), order, start: at, limit }).await;
                    assert_eq!(page.previous.is_some(), !pages.is_empty(), "{filter:?}");
                    at = page.next;
                    pages.push(page);
                    if at.is_none() {
                        break;
                    }
                }
                let found: Vec<_> = pages.iter().flat_map(|page| page.entries.clone()).collect();
                assert_eq!(found, wanted, "{filter:?} {order:?} {limit}");
                // And all the way back.
                let mut back = pages.last().and_then(|page| page.previous);
                for expected in pages.iter().rev().skip(1) {
                    let page = ask(&test, tenant, Query { filter: filter.clone(), order, start: back, limit }).await;
                    assert_eq!(page.entries, expected.entries, "{filter:?} {order:?} back");
                    assert!(page.next.is_some());
                    back = page.previous;
                }
                assert_eq!(back, None, "{filter:?} {order:?}: nothing comes before the first page");
            }
        }
    }

    async fn what_happens_meanwhile_does_not_shift_a_page(engine: Engine) {
        let test = store(engine, MIGRATIONS).await;
        let tenant = log(&test, 20).await;
        let first = ask(&test, tenant, Query { limit: 5, ..Query::default() }).await;
        let world = test.world.clone();
        test.store.write(async move |tx: &mut Tx<'_>| {
            let event = Event {
                tenant, actor: Actor::System, action: "later.event", target: None, outcome: Outcome::Success,
                reason: None, origin: &Origin::default(), detail: json!(null),
            };
            record(tx, &world, &event).await.map(drop)
        }).await.expect("an entry");
        let second = ask(&test, tenant, Query { start: first.next, limit: 5, ..Query::default() }).await;
        let all = everything(&test, tenant).await;
        let before: Vec<_> = all.iter().filter(|entry| entry.action != "later.event").rev().skip(5).take(5).cloned().collect();
        assert_eq!(second.entries, before);
        // What is not yet in the chain is there all the same.
        let newest = ask(&test, tenant, Query { limit: 1, ..Query::default() }).await;
        assert_eq!(newest.entries[0].action, "later.event");
    }

    async fn an_export_can_be_checked_without_the_database(engine: Engine) {
        let test = store(engine, MIGRATIONS).await;
        let tenant = log(&test, 60).await;
        let whole = lines(&test, tenant, 0, Filter::default()).await;
        let head = test.store.scan(async move |tx: &mut Tx<'_>| verify(tx, tenant, None).await).await.unwrap().head;
        let report = check(&whole, Some(head.clone()));
        assert_eq!((report.checked, report.first, &report.verdict), (60, Some(1), &FileVerdict::Intact));
        assert_eq!((report.head.as_ref(), report.tenant), (Some(&head), Some(tenant)));
        // From a number on.
        let rest = check(&lines(&test, tenant, 40, Filter::default()).await, None);
        assert_eq!((rest.checked, rest.first, rest.verdict), (20, Some(41), FileVerdict::Intact));
        // Filtered, it is no chain, and says so.
        let refused = Filter { outcome: Some(Outcome::Refused), ..Filter::default() };
        let some = lines(&test, tenant, 0, refused).await;
        assert!(some.len() > 3 && some.iter().all(|line| line.contains("\"refused\"")));
        assert!(matches!(check(&some, None).verdict, FileVerdict::Missing { line: 2, .. }));
    }

    async fn what_was_done_to_an_export_is_found(engine: Engine) {
        let test = store(engine, MIGRATIONS).await;
        let tenant = log(&test, 30).await;
        let whole = lines(&test, tenant, 0, Filter::default()).await;
        let head = check(&whole, None).head;
        let with = |change: &dyn Fn(&mut Vec<String>)| {
            let mut copy = whole.clone();
            change(&mut copy);
            check(&copy, head.clone()).verdict
        };
        for (from, to) in [
            ("\"success\"", "\"refused\""), ("user.", "usfr."), ("\"n\":1", "\"n\":2"), ("\"text\":\"ü", "\"text\":\"u"), ("000", "001"),
        ] {
            let (line, _) = whole.iter().enumerate().find(|(_, text)| text.contains(from)).expect(from);
            let verdict = with(&|copy| copy[line] = copy[line].replacen(from, to, 1));
            assert!(matches!(&verdict, FileVerdict::Altered { line: l, .. } | FileVerdict::Unreadable { line: l, .. }
                if *l == line as u64 + 1), "{from} in {line}: {verdict:?}");
        }
        assert_eq!(with(&|copy| drop(copy.remove(4))), FileVerdict::Missing { line: 5, seq: 5 });
        assert_eq!(with(&|copy| copy.swap(4, 5)), FileVerdict::Missing { line: 5, seq: 5 });
        assert_eq!(with(&|copy| drop(copy.pop())), FileVerdict::NotTheExpected { seq: 30 });
        assert!(matches!(with(&|copy| copy[3] = "{}".to_owned()), FileVerdict::Unreadable { line: 4, .. }));
        assert_eq!(with(&|copy| copy[1].insert_str(1, "  ")), FileVerdict::Intact, "spaces say nothing");
        let wide = |copy: &mut Vec<String>| copy.iter_mut().for_each(|line| *line = line.replace("{\"n\":", "{ \"n\" : "));
        assert_eq!(with(&wide), FileVerdict::Intact, "nor do spaces in the detail");
    }

    async fn an_export_ends_where_the_log_ended_when_it_began(engine: Engine) {
        let test = store(engine, MIGRATIONS).await;
        let tenant = log(&test, 700).await;
        let stream = export(&test.store, tenant, 0, Filter::default());
        pin_mut!(stream);
        let first = stream.next().await.unwrap().unwrap();
        assert_eq!(first.iter().filter(|byte| **byte == b'\n').count(), 500);
        let world = test.world.clone();
        test.store.write(async move |tx: &mut Tx<'_>| {
            let event = Event {
                tenant, actor: Actor::System, action: "later.event", target: None, outcome: Outcome::Success,
                reason: None, origin: &Origin::default(), detail: json!(null),
            };
            record(tx, &world, &event).await?;
            seal(tx).await
        }).await.expect("an entry");
        let rest: Vec<Vec<u8>> = stream.try_collect().await.unwrap();
        assert_eq!(rest.concat().iter().filter(|byte| **byte == b'\n').count(), 200);
    }
}
