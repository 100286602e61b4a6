//! Random histories: after each step the room answers everything as the oracle does, with its caches warm from the step
//! before; and so does another node on the same database, asked for an answer no older than the step.

use crate::compare::compare;
use crate::house::{House, house_with};
use crate::oracle::Oracle;
use crate::room::Room;
use crate::steps::{MAX_DEPTH, Step, beginning, history};
use keyreeve_sharing::{Freshness, SharingOptions};
use keyreeve_testkit::Engine;
use proptest::test_runner::{Config, TestRunner};

pub async fn lived(house: &House, steps: Vec<Step>, two_nodes: bool) {
    let room = Room::new(house).await;
    let mut oracle = Oracle { now: house.test.world.now().micros(), ..Oracle::default() };
    let first = (house.identity.clone(), house.sharing.clone());
    let nodes = if two_nodes { vec![first, house.second().await] } else { vec![first] };
    let begun = beginning().len();
    for (number, step) in beginning().into_iter().chain(steps).enumerate() {
        // Of two nodes, each writes in turn, and each is asked.
        let (identity, sharing) = &nodes[number % nodes.len()];
        let (answer, generated, revision) = room.apply((identity, sharing), &step, &oracle).await;
        assert_eq!(answer, oracle.apply(&step, generated), "{step:?}");
        if number + 1 < begun {
            continue;
        }
        for (_, sharing) in &nodes {
            let at = if two_nodes { Freshness::AtLeast(revision) } else { Freshness::Bounded };
            compare(&room, sharing, &oracle, (at, number)).await;
        }
    }
}

fn run(engine: Engine, (cases, length): (u32, usize), two_nodes: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let max_depth = u16::try_from(MAX_DEPTH).unwrap();
    let options = SharingOptions { max_depth, ..SharingOptions::default() };
    let house = runtime.block_on(house_with(engine, options));
    // Few by themselves, for they are long; as many as are asked for by proptest's own variable.
    let defaults = Config::default();
    let cases = std::env::var_os("PROPTEST_CASES").map_or(cases, |_| defaults.cases);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..defaults };
    let history = history(length);
    let live = |steps: Vec<Step>| {
        runtime.block_on(lived(&house, steps, two_nodes));
        Ok(())
    };
    TestRunner::new(config).run(&history, live).unwrap();
}

#[test]
fn ac_74_every_history_is_that_of_the_oracle_on_sqlite() {
    run(Engine::Sqlite, (16, 40), false);
}

#[test]
fn ac_74_every_history_is_that_of_the_oracle_on_postgres() {
    run(Engine::Postgres, (7, 40), false);
}

#[test]
fn ac_74_two_nodes_answer_as_the_oracle_on_sqlite() {
    run(Engine::Sqlite, (5, 30), true);
}

#[test]
fn ac_74_two_nodes_answer_as_the_oracle_on_postgres() {
    run(Engine::Postgres, (4, 30), true);
}
