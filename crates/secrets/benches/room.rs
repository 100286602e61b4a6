//! What the room costs within a process, on SQLite.
//!
//! `cargo bench -p keyreeve-secrets --bench room -- [VERSIONS]`: seals and opens values of 1 KiB, then makes so many versions
//! (20,000 unless told), gives the tenant another data key, and wraps all of them anew while values are read beside it.
//! Prints rates, and the median and 99th percentile of the readings. Nothing is asserted.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::cast_precision_loss,
    reason = "a program that measures and prints"
)]

use keyreeve_crypto::Secret as SecretText;
use keyreeve_crypto::password::{HashPolicy, PoolSize};
use keyreeve_crypto::seal::{MasterKey, ValueKey};
use keyreeve_identity::{Authority, Cause, Identity, IdentityOptions, NewTenant, TenantSettings};
use keyreeve_secrets::{Content, NewSecret, SecretId, Secrets, SecretsOptions, Settings};
use keyreeve_sharing::{Sharing, SharingOptions};
use keyreeve_testkit::{Engine, block_on, store};
use std::time::{Duration, Instant};

/// Versions of one secret.
const EACH: usize = 1_000;

fn seal() {
    let (world, _) = keyreeve_testkit::test_world();
    let value = vec![7_u8; 1_024];
    let rounds = 200_000_u32;
    let started = Instant::now();
    for _ in 0..rounds {
        let (sealed, key) = ValueKey::generate(&world).seal(&value, b"bench").unwrap();
        std::hint::black_box((sealed, key));
    }
    println!("sealing of 1 KiB: {:.0} ns", started.elapsed().as_nanos() as f64 / f64::from(rounds));
    let (sealed, key) = ValueKey::generate(&world).seal(&value, b"bench").unwrap();
    let key = ValueKey::from_bytes(&key).unwrap();
    let started = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(key.open(&sealed, b"bench").unwrap());
    }
    println!("opening of 1 KiB: {:.0} ns", started.elapsed().as_nanos() as f64 / f64::from(rounds));
}

async fn fill(secrets: &Secrets, admin: &Authority, versions: usize) -> SecretId {
    let text = format!("{{\"value\":\"{}\"}}", "v".repeat(1_000));
    let content = || Content::KeyValue(SecretText::new(&text));
    let mut last = None;
    for number in 0..versions.div_ceil(EACH) {
        let settings = Settings { keep_versions: 1_000, ..Settings::default() };
        let new = NewSecret { settings, ..NewSecret::of(&format!("secret {number}"), content()) };
        let id = secrets.create(admin, new, &Cause::operator()).await.unwrap().id;
        for _ in 1..EACH {
            secrets.write(admin, id, content(), None, &Cause::operator()).await.unwrap();
        }
        last = Some(id);
    }
    last.unwrap()
}

fn percentile(times: &mut [Duration], of: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * of / 100).min(times.len() - 1)]
}

fn main() {
    seal();
    let versions = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(20_000);
    block_on(async {
        let migrations = [
            keyreeve_audit::MIGRATIONS,
            keyreeve_identity::MIGRATIONS,
            keyreeve_sharing::MIGRATIONS,
            keyreeve_secrets::MIGRATIONS,
        ]
        .concat();
        let test = store(Engine::Sqlite, &migrations).await;
        let options = IdentityOptions {
            hash_policy: HashPolicy { memory_kib: 64, iterations: 1, parallelism: 1 },
            hash_pool: PoolSize { workers: 1, queue: 4 },
            ..IdentityOptions::default()
        };
        let (database, world) = (test.store.clone(), test.world.clone());
        let master = MasterKey::generate(&world);
        let identity = Identity::new(database.clone(), world.clone(), master.into(), &options).unwrap();
        let sharing =
            Sharing::new(database.clone(), world.clone(), identity.clone(), &SharingOptions::default());
        let rooms = (identity.clone(), sharing);
        let secrets = Secrets::new(database, world, rooms, &SecretsOptions::default());
        let new = NewTenant { slug: "t".into(), name: "t".into(), settings: TenantSettings::default() };
        let tenant = identity.tenants().create(new, &Cause::operator()).await.unwrap().id;
        let admin = identity.authority_of_operator(tenant).await.unwrap();
        let started = Instant::now();
        let id = fill(&secrets, &admin, versions).await;
        println!("versions written one by one: {:.0}/s", versions as f64 / started.elapsed().as_secs_f64());
        let cause = Cause::operator();
        let mut alone = Vec::new();
        for _ in 0..2_000 {
            let started = Instant::now();
            secrets.read(&admin, id, None, &cause).await.unwrap();
            alone.push(started.elapsed());
        }
        println!("reading: p50 {:?}, p99 {:?}", percentile(&mut alone, 50), percentile(&mut alone, 99));
        identity.tenants().rotate_data_key(tenant, &cause).await.unwrap();
        let mut beside = Vec::new();
        let started = Instant::now();
        let (worker, room) = (secrets.clone(), secrets.clone());
        let wrap = async {
            let mut wrapped = 0_u64;
            loop {
                match worker.rewrap(tenant, 500).await.unwrap() {
                    0 => return (started.elapsed(), wrapped),
                    done => wrapped += done,
                }
                tokio::task::yield_now().await;
            }
        };
        let mut wrap = std::pin::pin!(wrap);
        let (took, wrapped) = loop {
            let read = async {
                let started = Instant::now();
                room.read(&admin, id, None, &cause).await.unwrap();
                started.elapsed()
            };
            tokio::select! {
                done = &mut wrap => break done,
                time = read => beside.push(time),
            }
        };
        let rate = wrapped as f64 / took.as_secs_f64();
        println!("keys wrapped anew: {wrapped} in {took:?}, {rate:.0}/s; {} readings beside:", beside.len());
        if !beside.is_empty() {
            println!(
                "reading beside it: p50 {:?}, p99 {:?}",
                percentile(&mut beside, 50),
                percentile(&mut beside, 99)
            );
        }
    });
}
