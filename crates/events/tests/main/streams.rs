//! Following the log.

use crate::house::House;
use keyreeve_audit::{ActionPattern, Filter};
use keyreeve_events::{Error, STREAMS_PER_TENANT, Start};
use keyreeve_testkit::{Engine, on_both_engines};
use std::time::Duration;
use tokio::time::timeout;

on_both_engines! {
    async fn a_stream_shows_what_happens_and_goes_on_where_it_stood(engine: Engine) {
        let house = House::new(engine).await;
        house.happen("user.early", 3).await;
        let users = Filter { actions: vec![ActionPattern::parse("user.").unwrap()], ..Filter::default() };
        let mut live = house.events.follow(house.tenant, users.clone(), Start::Now).await.unwrap();
        house.happen("client.create", 1).await;
        house.happen("user.create", 2).await;
        let mut seen = Vec::new();
        while seen.len() < 2 {
            let batch = timeout(Duration::from_secs(5), live.next()).await.expect("in time").unwrap().unwrap();
            seen.extend(batch.entries);
        }
        assert!(seen.iter().all(|entry| entry.action == "user.create"));
        let behind = seen[0].seq.unwrap();
        drop(live);
        let mut again = house.events.follow(house.tenant, users, Start::After(behind)).await.unwrap();
        let batch = again.next().await.unwrap().unwrap();
        assert_eq!(batch.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [Some(behind + 1)]);
        assert_eq!(batch.position, again.position());
        // What another node writes comes as well.
        let second = house.second().await;
        let mut there = second.follow(house.tenant, Filter::default(), Start::Now).await.unwrap();
        house.happen("user.delete", 1).await;
        let batch = timeout(Duration::from_secs(5), there.next()).await.expect("in time").unwrap().unwrap();
        assert_eq!(batch.entries[0].action, "user.delete");
    }

    async fn a_number_of_another_log_is_the_end_of_this_one(engine: Engine) {
        let house = House::new(engine).await;
        let head = house.entries().await.last().unwrap().seq.unwrap();
        for (start, position) in [(Start::After(i64::MAX), head), (Start::After(-3), 0), (Start::Now, head)] {
            let stream = house.events.follow(house.tenant, Filter::default(), start).await.unwrap();
            assert_eq!(stream.position(), position);
        }
    }

    async fn there_are_only_so_many_streams(engine: Engine) {
        let house = House::new(engine).await;
        let follow = async |tenant| house.events.follow(tenant, Filter::default(), Start::Now).await;
        let mut streams = Vec::new();
        for _ in 0..STREAMS_PER_TENANT {
            streams.push(follow(house.tenant).await.unwrap());
        }
        assert!(matches!(follow(house.tenant).await, Err(Error::TooMany { .. })));
        assert!(follow(house.test.world.new_id()).await.is_ok(), "another tenant has its own");
        streams.pop();
        assert!(follow(house.tenant).await.is_ok());
    }

    async fn streams_end_with_the_server(engine: Engine) {
        let house = House::new(engine).await;
        let mut stream = house.events.follow(house.tenant, Filter::default(), Start::Now).await.unwrap();
        let events = house.events.clone();
        let (ended, ()) = tokio::join!(timeout(Duration::from_secs(5), stream.next()), async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            events.stop().await;
        });
        assert!(ended.expect("at once").unwrap().is_none());
    }
}
