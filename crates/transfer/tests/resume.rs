//! An import that was stopped goes on where it was, once.

use crate::house::{create, feed, house, upsert};
use keyreeve_testkit::{Engine, on_both_engines};
use keyreeve_transfer::{Begin, Error, Right};
use uuid::Uuid;

fn users(range: std::ops::Range<u32>) -> String {
    range.map(|number| format!("{{\"type\":\"user\",\"username\":\"u{number}\"}}\n")).collect()
}

fn with_id() -> Begin {
    Begin { id: Some(Uuid::from_u128(7)), ..create() }
}

on_both_engines! {
    async fn what_was_done_is_skipped_and_the_rest_is_done(engine: Engine) {
        let house = house(engine).await;
        let text = users(0..3_500);
        let mut import = house.begin(with_id()).await.unwrap();
        // Two batches are taken, of which the first is known to be written; then the caller is gone.
        let results = feed(&mut import, &users(0..2_500)).await.unwrap();
        assert_eq!(results.len(), 1_000);
        drop(import);
        let there = loop {
            let found = house.room.import(house.tenant, Uuid::from_u128(7), Right::Operator).await.unwrap();
            if found.lines == 2_000 {
                break found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        };
        assert_eq!((there.finished, there.counts.created), (false, 2_000));
        for finished in [false, true] {
            let mut import = house.begin(with_id()).await.unwrap();
            let done = if finished { 3_500 } else { 2_000 };
            assert_eq!(import.resumed_after(), done);
            let mut results = feed(&mut import, &text).await.unwrap();
            let (rest, summary) = import.finish().await.unwrap();
            results.extend(rest);
            assert_eq!(results.len() as u64, 3_500 - done);
            assert_eq!((summary.lines, summary.counts.created, summary.counts.skipped), (3_500, 3_500, 0));
        }
        let log = house.log().await;
        assert_eq!(log.iter().filter(|entry| *entry == "import.start success").count(), 1);
        assert_eq!(log.iter().filter(|entry| *entry == "import.finish success").count(), 1);
        house.check().await;
    }

    async fn other_lines_are_another_import(engine: Engine) {
        let house = house(engine).await;
        let mut import = house.begin(with_id()).await.unwrap();
        feed(&mut import, &users(0..3)).await.unwrap();
        import.finish().await.unwrap();
        let mut import = house.begin(with_id()).await.unwrap();
        assert!(matches!(feed(&mut import, &users(1..4)).await, Err(Error::Different { line: 3 })));
        let mut import = house.begin(with_id()).await.unwrap();
        feed(&mut import, &users(0..2)).await.unwrap();
        assert!(matches!(import.finish().await, Err(Error::Short { line: 2, wanted: 3 })));
        let begin = Begin { id: Some(Uuid::from_u128(7)), ..upsert() };
        assert!(matches!(house.begin(begin).await, Err(Error::Invalid { field: "mode", .. })));
        // Another tenant cannot take it up, nor see it.
        let cause = keyreeve_identity::Cause::operator();
        let elsewhere = house.room.begin(house.other, with_id(), Right::Operator, &cause).await;
        assert!(matches!(elsewhere, Err(Error::Invalid { field: "id", .. })));
        let elsewhere = house.room.import(house.other, Uuid::from_u128(7), Right::Operator).await;
        assert!(matches!(elsewhere, Err(Error::NotFound("import"))));
    }

    async fn of_two_that_run_the_same_import_one_goes_on(engine: Engine) {
        let house = house(engine).await;
        let mut one = house.begin(with_id()).await.unwrap();
        let mut two = house.begin(with_id()).await.unwrap();
        feed(&mut one, &users(0..10)).await.unwrap();
        feed(&mut two, &users(0..10)).await.unwrap();
        let (one, two) = tokio::join!(one.finish(), two.finish());
        let ended = [one.map(drop), two.map(drop)];
        assert_eq!(ended.iter().filter(|end| end.is_ok()).count(), 1, "{ended:?}");
        assert!(ended.iter().any(|end| matches!(end, Err(Error::Elsewhere))), "{ended:?}");
        let there = house.identity.users().list(house.tenant, None, 100).await.unwrap();
        assert_eq!(there.len(), 10);
        house.check().await;
    }
}
