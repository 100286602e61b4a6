use super::*;
use keyreeve_base::{Clock, Timestamp};
use proptest::prelude::*;
use std::sync::mpsc;

/// A clock that stands still: nothing here depends on how fast the machine is.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_700_000_000)
    }
}

fn world() -> World {
    World::new(Arc::new(Still), Arc::new(crate::random::SystemRandom))
}

type Answer = oneshot::Receiver<Result<(), Busy>>;

/// A pool of one worker that is held at its first job until the gate opens, so that tests fill the queue behind it.
struct Held {
    pool: Pool,
    gate: mpsc::Sender<()>,
    first: Answer,
    order: Arc<Mutex<Vec<String>>>,
}

impl Held {
    fn new(capacity: usize) -> Self {
        let pool = Pool::start(world(), 1, capacity).unwrap();
        let (started, has_started) = mpsc::channel();
        let (gate, opened) = mpsc::channel();
        let first = pool
            .submit("gate", move |_| {
                started.send(()).unwrap();
                opened.recv().unwrap();
            })
            .unwrap();
        has_started.recv().unwrap();
        Self { pool, gate, first, order: Arc::default() }
    }

    fn submit(&self, lane: &str, name: &str) -> Result<Answer, Busy> {
        let (order, name) = (Arc::clone(&self.order), name.to_owned());
        self.pool.submit(lane, move |_| order.lock().unwrap().push(name))
    }

    /// Opens the gate and gives the order in which the jobs ran once these have.
    fn run(self, answers: Vec<Answer>) -> Vec<String> {
        self.gate.send(()).unwrap();
        self.first.blocking_recv().unwrap().unwrap();
        for answer in answers {
            answer.blocking_recv().unwrap().unwrap();
        }
        self.order.lock().unwrap().clone()
    }
}

#[test]
fn a_quiet_lane_waits_for_one_job_of_a_loud_one() {
    let held = Held::new(100);
    let mut answers: Vec<Answer> =
        (0..5).map(|n| held.submit("loud", &format!("loud {n}")).unwrap()).collect();
    answers.push(held.submit("quiet", "quiet 0").unwrap());
    answers.push(held.submit("other", "other 0").unwrap());
    answers.push(held.submit("other", "other 1").unwrap());
    let expected = ["loud 0", "quiet 0", "other 0", "loud 1", "other 1", "loud 2", "loud 3", "loud 4"];
    assert_eq!(held.run(answers), expected);
}

#[test]
fn a_full_queue_refuses_with_the_time_to_come_again() {
    let held = Held::new(200);
    let answers: Vec<Answer> = (0..200).map(|n| held.submit("one", &n.to_string()).unwrap()).collect();
    // 200 jobs of a guessed 25 ms on one worker, and one second for rounding up.
    assert_eq!(held.submit("one", "late").err(), Some(Busy { retry_after: Duration::from_secs(6) }));
    let order = held.run(answers);
    assert_eq!(order.len(), 200);
    assert!(!order.contains(&"late".to_owned()));
}

#[test]
fn when_full_the_newest_job_of_the_longest_lane_gives_way() {
    let held = Held::new(3);
    let kept: Vec<Answer> = (0..2).map(|n| held.submit("flood", &format!("flood {n}")).unwrap()).collect();
    let pushed_out = held.submit("flood", "flood 2").unwrap();
    let quiet = held.submit("quiet", "quiet").unwrap();
    assert!(matches!(pushed_out.blocking_recv(), Ok(Err(Busy { .. }))));
    // Two lanes of two and one: another of the flood finds no longer lane, and a third lane would only swap places.
    assert!(held.submit("flood", "flood 3").is_err());
    assert!(held.submit("quiet", "quiet 1").is_err());
    let third = held.submit("third", "third").unwrap();
    let mut kept = kept.into_iter();
    let first = kept.next().unwrap();
    assert!(matches!(kept.next().unwrap().blocking_recv(), Ok(Err(Busy { .. }))));
    assert_eq!(held.run(vec![first, quiet, third]), ["flood 0", "quiet", "third"]);
}

#[test]
fn a_job_whose_caller_left_is_not_run() {
    let held = Held::new(10);
    drop(held.submit("a", "left").unwrap());
    let stays = held.submit("a", "stays").unwrap();
    assert_eq!(held.run(vec![stays]), ["stays"]);
}

#[test]
fn a_panic_ends_the_job_and_not_the_worker() {
    let held = Held::new(10);
    let panics = held.pool.submit("a", |_| -> () { panic!("on purpose") }).unwrap();
    let after = held.submit("a", "after").unwrap();
    assert_eq!(held.run(vec![after]), ["after"]);
    assert!(panics.blocking_recv().is_err());
}

#[test]
fn who_waits_when_the_pool_ends_is_told() {
    let held = Held::new(10);
    let waiting = held.submit("a", "never").unwrap();
    let Held { pool, gate, first, order } = held;
    drop(pool);
    assert!(waiting.blocking_recv().is_err());
    // The job that was being worked on is finished.
    gate.send(()).unwrap();
    assert!(matches!(first.blocking_recv(), Ok(Ok(()))));
    assert!(order.lock().unwrap().is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn workers_give_way_to_the_threads_of_requests() {
    let pool = Pool::start(world(), 1, 1).unwrap();
    let own = rustix::process::getpriority_process(None).unwrap();
    let worker = pool.submit("a", |_| rustix::process::getpriority_process(None).unwrap()).unwrap();
    assert_eq!(worker.blocking_recv().unwrap().unwrap(), (own + NICENESS).min(19));
    assert_eq!(rustix::process::getpriority_process(None).unwrap(), own, "only the worker's own thread");
}

/// A job that only counts itself.
struct Counted;

impl Job for Counted {
    fn is_abandoned(&self) -> bool {
        false
    }
    fn run(self: Box<Self>, _: &mut Arena) {}
    fn refuse(self: Box<Self>, _: Busy) {}
}

fn waiting(number: usize) -> Waiting {
    Waiting { job: Box::new(Counted), since: Timestamp::from_micros(i64::try_from(number).unwrap()) }
}

proptest! {
    /// Every job comes out once, in the order of its lane, and no lane is passed over while another gets two turns.
    #[test]
    fn the_queue_is_fair_and_loses_nothing(lanes in prop::collection::vec(0usize..5, 0..60)) {
        let mut queue = Queue::default();
        for (number, lane) in lanes.iter().enumerate() {
            queue.push(&lane.to_string(), waiting(number));
        }
        prop_assert_eq!(queue.length, lanes.len());
        let mut left: Vec<usize> = (0..lanes.len()).collect();
        let mut turns: HashMap<usize, usize> = HashMap::new();
        while let Some(next) = queue.pop() {
            let number = usize::try_from(next.since.micros()).unwrap();
            let lane = lanes[number];
            prop_assert_eq!(left.iter().find(|other| lanes[**other] == lane), Some(&number), "oldest of its lane");
            left.retain(|other| *other != number);
            let own = turns.entry(lane).or_default();
            *own += 1;
            let own = *own;
            for other in &left {
                let others = turns.get(&lanes[*other]).copied().unwrap_or(0);
                prop_assert!(others + 1 >= own, "lane {} had {} turns, lane {} {}", lane, own, lanes[*other], others);
            }
            prop_assert_eq!(queue.length, left.len());
        }
        prop_assert!(left.is_empty() && queue.lanes.is_empty() && queue.turns.is_empty());
    }

    /// Under any sequence of arrivals at a full queue, no lane is pushed below the share that the newcomer gets.
    #[test]
    fn giving_way_never_starves(arrivals in prop::collection::vec(0usize..6, 0..80), capacity in 1usize..12) {
        let mut queue = Queue::default();
        for (number, lane) in arrivals.iter().enumerate() {
            let name = lane.to_string();
            let had_job = queue.lanes.contains_key(name.as_str());
            let room = queue.length < capacity || queue.make_room_for(&name).is_some();
            if room {
                queue.push(&name, waiting(number));
            }
            prop_assert!(queue.length <= capacity);
            prop_assert_eq!(queue.length, queue.lanes.values().map(VecDeque::len).sum::<usize>());
            // A lane without a job is refused only when every lane has a single one.
            prop_assert!(room || had_job || queue.lanes.values().all(|jobs| jobs.len() == 1));
        }
    }
}
