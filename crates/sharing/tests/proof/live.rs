//! Many at once. Each of some rights is given and taken in turns by one writer, in a way of its own, while readers ask on
//! this node and on another. A reader notes which write was finished before it asked and which had begun when it was
//! answered: an answer must be that of one of the writes from the first to the last of them. So it is a register's history,
//! and this is what it means for one to be linearizable.

use crate::histories::lived;
use crate::house::{House, by, house, house_with, new_grant};
use crate::steps::{MAX_DEPTH, Step, history};
use keyreeve_identity::Party;
use keyreeve_sharing::{Check, Delete, Freshness, NewResource, Revision, Sharing, SharingOptions};
use keyreeve_testkit::{Engine, on_both_engines};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How stale an answer may be that asks for no revision.
const BOUND: Duration = Duration::from_secs(1);

/// How a right is given and taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Grant,
    GrantAbove,
    Member,
    Nest,
    Owner,
    Move,
    Remove,
}

const WAYS: [Way; 7] =
    [Way::Grant, Way::GrantAbove, Way::Member, Way::Nest, Way::Owner, Way::Move, Way::Remove];

/// One right, and the writes that gave and took it: an odd number of them, and it is there.
struct Register {
    way: Way,
    check: Check,
    begun: AtomicUsize,
    finished: AtomicUsize,
    /// When each write was finished, and the revision behind it.
    log: Mutex<Vec<(Instant, Revision)>>,
}

/// What a right is about.
struct Place {
    ada: Party,
    bob: Party,
    inner: Party,
    outer: Party,
}

impl Register {
    async fn new(house: &House, way: Way) -> (Self, Place) {
        let name = format!("{way:?}");
        let (ada, bob) = (house.user(&format!("ada-{name}")).await, house.user(&format!("bob-{name}")).await);
        let inner = house.group(&format!("inner {name}"), &[bob]).await;
        let outer = house.group(&format!("outer {name}"), &[]).await;
        let place = Place { ada, bob, inner, outer };
        let [top, middle, leaf] = ["top", "middle", "leaf"].map(|level| format!("{level} {name}"));
        house.folder(&top, ada, None).await;
        house.folder(&middle, ada, Some(&top).filter(|_| way != Way::Move).map(String::as_str)).await;
        house.file(&leaf, ada, Some(&middle)).await;
        match way {
            Way::Member | Way::Nest => drop(house.share(&top, "READ", outer, true).await),
            Way::Move => drop(house.share(&top, "READ", bob, true).await),
            Way::Remove => {
                house.share(&middle, "READ", bob, true).await;
                let delete = house
                    .sharing
                    .resources()
                    .delete(&house.admin, leaf.as_str().into(), Delete::Alone, &by())
                    .await;
                delete.unwrap();
            }
            Way::Grant | Way::GrantAbove | Way::Owner => {}
        }
        let check = Check { subject: bob, resource: leaf, permission: "READ".to_owned() };
        let register = Self {
            way,
            check,
            begun: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            log: Mutex::new(vec![(Instant::now(), house.sharing.revision().await.unwrap())]),
        };
        (register, place)
    }

    /// Gives the right, or takes it; answers the revision behind it.
    async fn write(&self, house: &House, place: &Place, give: bool) -> Revision {
        let (name, leaf) = (format!("{:?}", self.way), self.check.resource.as_str());
        let (sharing, admin, cause) = (&house.sharing, &house.admin, by());
        let (top, middle) = (format!("top {name}"), format!("middle {name}"));
        match self.way {
            Way::Grant | Way::GrantAbove => {
                let at = if self.way == Way::Grant { leaf } else { &top };
                let grants = sharing.grants();
                if give {
                    let new = new_grant(at, "READ", place.bob, true);
                    return grants.share(admin, new, &cause).await.unwrap().revision;
                }
                grants.revoke_from(admin, (at, place.bob), None, &cause).await.unwrap().revision
            }
            Way::Member | Way::Nest => {
                let member = if self.way == Way::Member { place.bob } else { place.inner };
                let Party::Group(outer) = place.outer else { panic!("no group") };
                if give {
                    house.join(outer, member).await;
                } else {
                    house.leave(place.outer, member).await;
                }
                sharing.revision().await.unwrap()
            }
            Way::Owner => {
                let owner = if give { place.bob } else { place.ada };
                sharing
                    .resources()
                    .transfer(admin, middle.as_str().into(), owner, &cause)
                    .await
                    .unwrap()
                    .revision
            }
            Way::Move => {
                let to = give.then_some(top.as_str());
                sharing.resources().move_to(admin, middle.as_str().into(), to, &cause).await.unwrap().revision
            }
            Way::Remove if give => {
                let new = NewResource {
                    id: Some(leaf.to_owned()),
                    resource_type: "FILE".to_owned(),
                    owner: Some(place.ada),
                    parent: Some(middle),
                    name: "again".to_owned(),
                    ..NewResource::default()
                };
                sharing.resources().create(admin, new, &cause).await.unwrap().revision
            }
            Way::Remove => {
                sharing.resources().delete(admin, leaf.into(), Delete::Alone, &cause).await.unwrap()
            }
        }
    }

    /// The latest write that was finished, and that before whose end so much time has passed.
    fn finished(&self, before: Instant) -> (usize, Revision, usize) {
        let latest = self.finished.load(Ordering::SeqCst);
        let log = self.log.lock().unwrap();
        let settled = (0..=latest).rev().find(|number| log[*number].0 <= before).unwrap_or(0);
        (latest, log[latest].1, settled)
    }
}

/// Gives and takes until told to stop.
async fn writer(house: Arc<House>, register: Arc<Register>, place: Place, stop: Arc<AtomicBool>) {
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        register.begun.store(number, Ordering::SeqCst);
        let revision = register.write(&house, &place, number % 2 == 1).await;
        register.log.lock().unwrap().push((Instant::now(), revision));
        register.finished.store(number, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Asks until told to stop; answers how often it was plain what the answer had to be.
async fn reader(
    (sharing, house): (Sharing, Arc<House>),
    registers: Arc<Vec<Arc<Register>>>,
    (own, stop): (bool, Arc<AtomicBool>),
) -> usize {
    let mut plain = 0;
    let mut round = 0_usize;
    while !stop.load(Ordering::SeqCst) {
        round += 1;
        let register = &registers[round % registers.len()];
        let exact = !round.is_multiple_of(3);
        let (latest, revision, settled) = register.finished(Instant::now().checked_sub(BOUND).unwrap());
        let at = if exact { Freshness::AtLeast(revision) } else { Freshness::Bounded };
        let questions = sharing.questions();
        let yes = if round.is_multiple_of(2) {
            questions.check(&house.admin, &register.check, at).await.unwrap().is_allowed()
        } else {
            let many = [register.check.clone(), register.check.clone()];
            questions.check_many(&house.admin, &many, at).await.unwrap()[1].is_allowed()
        };
        let begun = register.begun.load(Ordering::SeqCst);
        // What this node wrote, it knows at once; so does any that is asked for a revision.
        let from = if exact || own { latest } else { settled };
        let may_be = (from..=begun).any(|number| (number % 2 == 1) == yes);
        assert!(
            may_be,
            "{:?} at {at:?}: {yes} after {from}, before {begun}, on the writer's node: {own}",
            register.way
        );
        plain += usize::from(from == begun);
        tokio::task::yield_now().await;
    }
    plain
}

on_both_engines! {
    async fn ac_74_what_is_given_and_taken_is_a_register(engine: Engine) {
        let house = Arc::new(house(engine).await);
        house.model().await;
        let (_, second) = house.second().await;
        let stop = Arc::new(AtomicBool::new(false));
        let (mut registers, mut writers) = (Vec::new(), Vec::new());
        for way in WAYS {
            let (register, place) = Register::new(&house, way).await;
            let register = Arc::new(register);
            writers.push((Arc::clone(&register), place));
            registers.push(register);
        }
        let registers = Arc::new(registers);
        let mut readers = Vec::new();
        for number in 0..4 {
            let own = number % 2 == 0 || engine == Engine::Sqlite;
            let sharing = if number % 2 == 0 { house.sharing.clone() } else { second.clone() };
            let reader = reader((sharing, Arc::clone(&house)), Arc::clone(&registers), (own, Arc::clone(&stop)));
            readers.push(tokio::spawn(reader));
        }
        let writers: Vec<_> = writers
            .into_iter()
            .map(|(register, place)| tokio::spawn(writer(Arc::clone(&house), register, place, Arc::clone(&stop))))
            .collect();
        tokio::time::sleep(Duration::from_secs(6)).await;
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.await.unwrap();
        }
        let mut plain = 0;
        for reader in readers {
            plain += reader.await.unwrap();
        }
        assert!(plain > 40, "readers that were always in doubt prove nothing: {plain}");
        for register in registers.iter() {
            let writes = register.finished.load(Ordering::SeqCst);
            assert!(writes > 5, "{:?}: {writes}", register.way);
        }
    }

    /// A thing that is in one of two places is never in both, nor in neither.
    async fn ac_74_many_answers_are_of_one_moment(engine: Engine) {
        let house = Arc::new(house(engine).await);
        house.model().await;
        let (ada, bob, eve) = (house.user("ada").await, house.user("bob").await, house.user("eve").await);
        for (tree, reader) in [("left", bob), ("right", eve)] {
            house.folder(tree, ada, None).await;
            house.share(tree, "READ", reader, true).await;
        }
        house.folder("box", ada, Some("left")).await;
        for number in 0..5 {
            house.file(&format!("f{number}"), ada, Some("box")).await;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let moves = tokio::spawn({
            let (house, stop) = (Arc::clone(&house), Arc::clone(&stop));
            async move {
                let mut moves = 0_u32;
                while !stop.load(Ordering::SeqCst) {
                    let to = if moves.is_multiple_of(2) { "right" } else { "left" };
                    let resources = house.sharing.resources();
                    resources.move_to(&house.admin, "box".into(), Some(to), &by()).await.unwrap();
                    moves += 1;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                moves
            }
        });
        let checks: Vec<Check> = (0..5)
            .flat_map(|number| {
                let check = move |subject| {
                    Check { subject, resource: format!("f{number}"), permission: "READ".to_owned() }
                };
                [check(bob), check(eve)]
            })
            .collect();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(2) {
            let asked = house.sharing.questions().check_many(&house.admin, &checks, Freshness::Bounded).await;
            let asked: Vec<bool> = asked.unwrap().into_iter().map(|decision| decision.is_allowed()).collect();
            assert!(asked.chunks(2).all(|two| two == &asked[..2] && two[0] != two[1]), "{asked:?}");
            tokio::task::yield_now().await;
        }
        stop.store(true, Ordering::SeqCst);
        assert!(moves.await.unwrap() > 3);
    }

    /// Histories of several tenants at once: what one tenant does says nothing to another, whatever is kept for both.
    async fn histories_side_by_side_keep_out_of_each_others_way(engine: Engine) {
        let max_depth = u16::try_from(MAX_DEPTH).unwrap();
        let options = SharingOptions { max_depth, cache_bytes: 1 << 20 };
        let house = Arc::new(house_with(engine, options).await);
        let mut runner = TestRunner::deterministic();
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let mut steps = history(16).new_tree(&mut runner).unwrap().current();
            // Time and sweeping are everybody's.
            steps.retain(|step| !matches!(step, Step::Wait(_) | Step::Sweep));
            let house = Arc::clone(&house);
            tasks.push(tokio::spawn(async move { lived(&house, steps, false).await }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    }
}
