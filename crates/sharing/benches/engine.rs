//! What the engine costs within a process.
//!
//! `cargo bench -p keyreeve-sharing --bench engine -- [postgres] [RESOURCES [GRANTS]]`, on SQLite unless told: loads trees of depth 10 with so many resources
//! (100,000 unless told) and grants (ten for each), for a tenth as many users and a hundredth as many groups nested five
//! deep, and prints the rate of the load and the median and 99th percentile of each question: hot, with everything in
//! memory, and cold, with nothing. Nothing is asserted.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::cast_precision_loss,
    reason = "a program that measures and prints"
)]

use keyreeve_base::{GroupId, TenantId};
use keyreeve_crypto::password::{HashPolicy, PoolSize};
use keyreeve_crypto::seal::MasterKey;
use keyreeve_identity::groups::MembershipKind;
use keyreeve_identity::{
    Authority, Cause, Identity, IdentityOptions, NewGroup, NewTenant, NewUser, Profile, TenantSettings,
};
use keyreeve_sharing::{
    Check, Freshness, Line, NewGrant, NewPermission, NewResource, NewType, Party, ResourcesOf, Sharing,
    SharingOptions,
};
use keyreeve_testkit::{Engine, TestStore, block_on, store};
use std::time::{Duration, Instant};

/// Lines of a batch.
const BATCH: usize = 20_000;
/// Times that each question is asked.
const ROUNDS: usize = 2_000;

/// A generator of numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    /// Few numbers often, most seldom: as who asks is distributed.
    fn skewed(&mut self, bound: usize) -> usize {
        let within = 1 + self.below(bound);
        self.below(within)
    }
}

struct Set {
    identity: Identity,
    sharing: Sharing,
    tenant: TenantId,
    admin: Authority,
    test: TestStore,
    users: Vec<Party>,
    groups: Vec<Party>,
    resources: usize,
}

fn identity(test: &TestStore) -> Identity {
    let options = IdentityOptions {
        hash_policy: HashPolicy { memory_kib: 64, iterations: 1, parallelism: 1 },
        hash_pool: PoolSize { workers: 1, queue: 4 },
        ..IdentityOptions::default()
    };
    let master = MasterKey::generate(&test.world);
    Identity::new(test.store.clone(), test.world.clone(), master.into(), &options).unwrap()
}

fn name(resource: usize) -> String {
    format!("resource-{resource}")
}

/// The tenth of them have no parent; each other lies below one of its tree, ten levels at most.
fn parent(resource: usize) -> Option<usize> {
    (!resource.is_multiple_of(10)).then(|| resource - 1)
}

async fn people(test: &TestStore, count: usize) -> (Identity, TenantId, Vec<Party>, Vec<Party>) {
    let identity = identity(test);
    let by = Cause::operator();
    let new =
        NewTenant { slug: "default".to_owned(), name: "x".to_owned(), settings: TenantSettings::default() };
    let tenant = identity.tenants().create(new, &by).await.unwrap().id;
    let (mut users, mut groups) = (Vec::new(), Vec::<GroupId>::new());
    let mut dice = Dice(3);
    for chunk in 0..count.div_ceil(500) {
        let made = (0..500.min(count - chunk * 500)).map(|n| {
            let (identity, by) = (identity.clone(), by.clone());
            tokio::spawn(async move {
                let username = Some(format!("user-{}", chunk * 500 + n));
                let profile = Profile { username, ..Profile::default() };
                let new = NewUser { profile, ..NewUser::default() };
                Party::User(identity.users().create(tenant, new, &by).await.unwrap().id)
            })
        });
        for task in made.collect::<Vec<_>>() {
            users.push(task.await.unwrap());
        }
    }
    for n in 0..count / 10 {
        // Chains of five, each in the one before.
        let parent = groups.last().copied().filter(|_| n % 5 != 0);
        let new = NewGroup { name: format!("group {n}"), parent, ..NewGroup::default() };
        let group = identity.groups().create(tenant, new, &by).await.unwrap().id;
        for _ in 0..10 {
            let user = users[dice.below(users.len())];
            identity.groups().add((tenant, group), user, MembershipKind::Member, &by).await.unwrap();
        }
        groups.push(group);
    }
    (identity, tenant, users, groups.into_iter().map(Party::Group).collect())
}

async fn set_up(engine: Engine, resources: usize, grants: usize) -> Set {
    let migrations =
        [keyreeve_audit::MIGRATIONS, keyreeve_identity::MIGRATIONS, keyreeve_sharing::MIGRATIONS].concat();
    let test = store(engine, &migrations).await;
    let (identity, tenant, users, groups) = people(&test, resources / 10).await;
    let sharing =
        Sharing::new(test.store.clone(), test.world.clone(), identity.clone(), &SharingOptions::default());
    let admin = identity.authority_of_operator(tenant).await.unwrap();
    let by = Cause::operator();
    let new = NewType { id: "FOLDER".to_owned(), name: "folder".to_owned(), description: None };
    sharing.types().create(&admin, new, &by).await.unwrap();
    for id in ["READ", "WRITE"] {
        let resource_type = Some("FOLDER".to_owned());
        let new = NewPermission {
            resource_type,
            id: id.to_owned(),
            name: id.to_owned(),
            ..NewPermission::default()
        };
        sharing.permissions().create(&admin, new, &by).await.unwrap();
    }
    let set = Set { identity, sharing, tenant, admin, test, users, groups, resources };
    load(&set, resources, |n, dice| {
        Line::Resource(Box::new(NewResource {
            id: Some(name(n)),
            resource_type: "FOLDER".to_owned(),
            owner: Some(set.users[dice.below(set.users.len())]),
            parent: parent(n).map(name),
            name: "a folder".to_owned(),
            ..NewResource::default()
        }))
    })
    .await;
    load(&set, grants, |n, dice| {
        let group = n % 5 == 0;
        let parties = if group { &set.groups } else { &set.users };
        Line::Grant(NewGrant {
            // In the order of the resources, as an export has them.
            resource: name(n * resources / grants),
            permission: if n % 3 == 0 { "WRITE" } else { "READ" }.to_owned(),
            subject: parties[dice.skewed(parties.len())],
            cascade: n % 2 == 0,
            expires_at: None,
        })
    })
    .await;
    set
}

async fn load(set: &Set, count: usize, line: impl Fn(usize, &mut Dice) -> Line) {
    let by = Cause::operator();
    let mut dice = Dice(5);
    let mut loading = set.sharing.bulk().load(&set.admin, &by).unwrap();
    let mut spent = Duration::ZERO;
    let mut kind = "lines";
    for start in (0..count).step_by(BATCH) {
        let lines: Vec<Line> = (start..count.min(start + BATCH)).map(|n| line(n, &mut dice)).collect();
        kind = if matches!(lines[0], Line::Grant(_)) { "grants" } else { "resources" };
        let began = Instant::now();
        loading.batch(&lines).await.unwrap();
        spent += began.elapsed();
    }
    println!("load of {count} {kind}: {:.0} a second", count as f64 / spent.as_secs_f64());
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let micros = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e6;
    println!("{what}: median {:.1} µs, p99 {:.1} µs", micros(50), micros(99));
}

fn question(set: &Set, dice: &mut Dice, hot: bool) -> Check {
    let (users, resources) = if hot {
        (set.users.len().min(100), set.resources.min(1_000))
    } else {
        (set.users.len(), set.resources)
    };
    Check {
        subject: set.users[dice.below(users)],
        resource: name(dice.below(resources)),
        permission: "READ".to_owned(),
    }
}

async fn measure(set: &Set) {
    let questions = set.sharing.questions();
    let mut dice = Dice(11);
    let check = async |check: &Check| {
        let began = Instant::now();
        questions.check(&set.admin, check, Freshness::Bounded).await.unwrap();
        began.elapsed()
    };
    for (what, hot, rounds) in [("check, hot", true, ROUNDS), ("check, cold", false, ROUNDS / 10)] {
        let mut times = Vec::new();
        for round in 0..2 * rounds {
            if !hot {
                set.forget().await;
            }
            let time = check(&question(set, &mut dice, hot)).await;
            if round >= rounds {
                times.push(time);
            }
        }
        report(what, times);
    }
    let mut times = Vec::new();
    for _ in 0..200 {
        let checks: Vec<Check> = (0..100).map(|_| question(set, &mut dice, true)).collect();
        let began = Instant::now();
        questions.check_many(&set.admin, &checks, Freshness::Bounded).await.unwrap();
        times.push(began.elapsed());
    }
    report("100 checks at once, hot", times);
    let mut times = Vec::new();
    for _ in 0..200 {
        let of = ResourcesOf {
            subject: set.users[dice.skewed(set.users.len())],
            resource_type: "FOLDER".to_owned(),
            permission: "READ".to_owned(),
            after: None,
            limit: 100,
        };
        let began = Instant::now();
        questions.resources_of(&set.admin, &of, Freshness::Bounded).await.unwrap();
        times.push(began.elapsed());
    }
    report("the first 100 resources of a subject", times);
    let by = Cause::operator();
    for (place, resource) in [("a root", 0), ("a leaf", 9)] {
        let mut times = Vec::new();
        for n in 0..200 {
            let new = NewGrant {
                resource: name(resource),
                permission: "WRITE".to_owned(),
                subject: set.users[set.users.len() - 1 - n],
                cascade: true,
                expires_at: None,
            };
            let began = Instant::now();
            let grant = set.sharing.grants().share(&set.admin, new, &by).await.unwrap().value;
            set.sharing.grants().revoke(&set.admin, grant.id, &by).await.unwrap();
            times.push(began.elapsed());
        }
        report(&format!("share and revoke on {place}"), times);
    }
}

impl Set {
    /// Has every cache of both rooms forget everything.
    async fn forget(&self) {
        self.test
            .store
            .write(async |tx: &mut keyreeve_store::Tx<'_>| {
                // More than a transaction announces one by one.
                for n in 0..300 {
                    tx.changed(None, "bench", &n.to_string()).await?;
                }
                Ok::<_, keyreeve_store::Error>(())
            })
            .await
            .unwrap();
        // What belongs to the tenant itself is never cold.
        self.identity.tenants().get(self.tenant).await.unwrap();
        self.sharing.types().get(&self.admin, "FOLDER").await.unwrap();
    }
}

fn main() {
    let on_postgres = std::env::args().any(|argument| argument == "postgres");
    let engine = if on_postgres { Engine::Postgres } else { Engine::Sqlite };
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let resources = numbers.next().unwrap_or(100_000).max(1_000);
    let grants = numbers.next().unwrap_or(resources * 10);
    block_on(async {
        let set = set_up(engine, resources, grants).await;
        measure(&set).await;
    });
}
