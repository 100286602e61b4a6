//! `kill -9` under load, again and again: nothing that was acknowledged is lost, no session ends, no code and no
//! refresh token is good twice, and the audit log has everything once.
//!
//! The ledger (`load`) knows what the server acknowledged and what it owed an answer for when it died. What was under
//! way is settled after each restart by asking once more: the second attempt succeeds only if the first one left no
//! trace. So the audit log must hold exactly one successful admission for each code and each refresh token that was
//! ever used, answered or not.

mod load;

use crate::program::wire::{self, Client, Lost, Wire};
use crate::program::{Program, Running};
use keyreeve_audit::{Entry, Verdict};
use keyreeve_store::Tx;
use keyreeve_testkit::{Engine, on_both_engines};
use load::{Cast, Dice, Family, InFlight, Ledger, Session, redeem, refresh};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;

const KILLS: usize = 4;
/// The load goes on for a random time between these, in milliseconds.
const SHORTEST_MS: u64 = 120;
const LONGEST_MS: u64 = 900;
const GRANTERS: usize = 4;
const SIGNERS: usize = 2;
const ROBOTS: usize = 2;

on_both_engines! {
    async fn nothing_acknowledged_is_lost_and_nothing_is_good_twice(engine: Engine) {
        let program = Program::new(engine).await;
        let cast = Arc::new(cast(&program));
        let ledger = Arc::new(Ledger::default());
        let seed = RandomState::new().hash_one(0);
        println!("the kills of this run follow from {seed}");
        let dice = Dice::new(seed);
        for kill in 0..KILLS {
            let server = program.serve();
            settle(&server, &cast, &ledger).await;
            let load = start_load(&server, &cast, &ledger, seed ^ kill as u64).await;
            tokio::time::sleep(Duration::from_millis(SHORTEST_MS + dice.roll(LONGEST_MS - SHORTEST_MS)))
                .await;
            server.kill();
            load.join_all().await;
        }
        println!("{}", ledger.summary());
        let server = program.serve();
        settle(&server, &cast, &ledger).await;
        check_sessions(&server, &ledger).await;
        check_audit(&program, &ledger).await;
        check_grants(&server, &cast, &ledger).await;
        check_log(&server);
        program.run(&["audit", "verify", "--json"], "");
        server.kill();
        program.run(&["doctor", "--json"], "");
    }
}

fn cast(program: &Program) -> Cast {
    let client = |arguments: &[&str]| {
        let made = program.run(&[&["client", "create", "--json"], arguments].concat(), "");
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        Client { id: text("client_id"), secret: text("client_secret") }
    };
    let users = (0..GRANTERS + SIGNERS).map(|number| {
        let (name, password) = (format!("user{number}"), format!("a sentence for number {number}"));
        program.run(&["user", "create", "--username", &name, "--password-stdin", "--json"], &password);
        (name, password)
    });
    Cast {
        users: users.collect(),
        portal: client(&["--name", "Portal", "--first-party", "--redirect-uri", load::CALLBACK]),
        robot: client(&["--name", "Robot"]),
    }
}

async fn start_load(server: &Running, cast: &Arc<Cast>, ledger: &Arc<Ledger>, seed: u64) -> JoinSet<Lost> {
    let address = server.address;
    let mut wire = Wire::open(address).await.unwrap();
    let mut load = JoinSet::new();
    for number in 0..GRANTERS {
        let session = load::sign_in(&mut wire, &cast.users[number]).await.unwrap();
        ledger.sign_ins.acknowledged.fetch_add(1, Ordering::Relaxed);
        ledger.sessions.lock().unwrap().push(session.clone());
        let (cast, ledger, dice) =
            (cast.clone(), ledger.clone(), Dice::new(seed.rotate_left(8).wrapping_add(number as u64)));
        load.spawn(async move { load::keep_granting(address, (&cast, &ledger), session, dice).await });
    }
    for number in 0..SIGNERS {
        let (cast, ledger) = (cast.clone(), ledger.clone());
        load.spawn(async move { load::keep_signing_in(address, &cast, &ledger, GRANTERS + number).await });
    }
    for _ in 0..ROBOTS {
        let (cast, ledger) = (cast.clone(), ledger.clone());
        load.spawn(async move { load::keep_robots_going(address, &cast, &ledger).await });
    }
    load
}

/// Asks once more for what was under way when the server died. Each of these happens exactly once, now or then.
async fn settle(server: &Running, cast: &Cast, ledger: &Ledger) {
    let in_flight = std::mem::take(&mut *ledger.in_flight.lock().unwrap());
    let mut wire = Wire::open(server.address).await.unwrap();
    for what in in_flight {
        match what {
            InFlight::Code(code) => {
                let answer = redeem(&mut wire, cast, &code).await.unwrap();
                ledger.codes.fetch_add(1, Ordering::Relaxed);
                if answer.status == 200 {
                    ledger.families.lock().unwrap().push(Family::of_code(code, &answer));
                } else {
                    refused(&answer);
                }
            }
            InFlight::Refresh(family) => {
                let answer = refresh(&mut wire, cast, &family.refresh_token).await.unwrap();
                ledger.rotations.fetch_add(1, Ordering::Relaxed);
                if answer.status == 200 {
                    ledger.families.lock().unwrap().push(family.rotated(&answer));
                } else {
                    refused(&answer);
                    // It had been rotated: whoever asks again ends the grant.
                    ledger.revoked.lock().unwrap().push(family);
                }
            }
            InFlight::Revocation(family) => {
                let answer = refresh(&mut wire, cast, &family.refresh_token).await.unwrap();
                if answer.status == 200 {
                    ledger.rotations.fetch_add(1, Ordering::Relaxed);
                    ledger.families.lock().unwrap().push(family.rotated(&answer));
                } else {
                    refused(&answer);
                    ledger.revoked.lock().unwrap().push(family);
                }
            }
        }
    }
}

#[track_caller]
fn refused(answer: &wire::Answer) {
    assert_eq!((answer.status.as_u16(), answer.text("error").as_str()), (400, "invalid_grant"), "{answer:?}");
}

async fn check_sessions(server: &Running, ledger: &Ledger) {
    let sessions: Vec<Session> = ledger.sessions.lock().unwrap().clone();
    assert!(sessions.len() > GRANTERS * KILLS, "there was no load");
    let mut wire = Wire::open(server.address).await.unwrap();
    for (number, session) in sessions.iter().enumerate() {
        assert!(load::is_live(&mut wire, session).await, "session {number} of {} is gone", sessions.len());
    }
    let nobody = Session { cookies: "browser=x; session=kr_s_none".to_owned() };
    assert!(!load::is_live(&mut wire, &nobody).await, "the check tells the live from the dead");
}

/// Every grant that was acknowledged is live, its refresh token good exactly once, and nothing that was used is good
/// again. This spends them.
async fn check_grants(server: &Running, cast: &Arc<Cast>, ledger: &Ledger) {
    let families = std::mem::take(&mut *ledger.families.lock().unwrap());
    assert!(families.len() > KILLS, "there was no load");
    let mut wire = Wire::open(server.address).await.unwrap();
    let mut other = Wire::open(server.address).await.unwrap();
    for (number, family) in families.into_iter().enumerate() {
        let token = &family.refresh_token;
        let active = wire.call("/introspect", &cast.portal, &[("token", token)]).await.unwrap().expect(200);
        assert_eq!(active.json()["active"], true, "grant {number} is gone");
        let access = [("token", family.access_token.as_str())];
        let active = wire.call("/introspect", &cast.portal, &access).await.unwrap().expect(200);
        assert_eq!(active.json()["active"], true, "the access token of grant {number} is gone");
        if number % 3 == 0 {
            let used = family.spent.iter().rev().take(1);
            for token in used {
                refused(&refresh(&mut wire, cast, token).await.unwrap());
            }
        } else if number % 3 == 1 {
            refused(&redeem(&mut wire, cast, &family.code).await.unwrap());
        } else {
            let (one, two) = tokio::join!(refresh(&mut wire, cast, token), refresh(&mut other, cast, token));
            let (one, two) = (one.unwrap(), two.unwrap());
            let (won, lost) = if one.status == 200 { (one, two) } else { (two, one) };
            refused(&lost);
            let won = won.expect(200);
            refused(&refresh(&mut wire, cast, &won.text("refresh_token")).await.unwrap());
        }
        if number % 3 != 0 || !family.spent.is_empty() {
            ledger.revoked.lock().unwrap().push(family);
        } else {
            refresh(&mut wire, cast, token).await.unwrap().expect(200);
        }
    }
    let revoked = std::mem::take(&mut *ledger.revoked.lock().unwrap());
    for family in revoked {
        refused(&refresh(&mut wire, cast, &family.refresh_token).await.unwrap());
        let access = [("token", family.access_token.as_str())];
        let gone = wire.call("/introspect", &cast.portal, &access).await.unwrap().expect(200);
        assert_eq!(gone.json()["active"], false);
    }
}

/// The log has each admission that was acknowledged, none twice, and its chain holds.
async fn check_audit(program: &Program, ledger: &Ledger) {
    let app = program.look().await;
    let tenant = app.identity.tenants().by_slug("default").await.unwrap().unwrap().id;
    let report = loop {
        let verify = async move |tx: &mut Tx<'_>| keyreeve_audit::verify(tx, tenant, None).await;
        let report = app.store.scan(verify).await.unwrap();
        if report.waiting == 0 || report.verdict != Verdict::Intact {
            break report;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(report.verdict, Verdict::Intact);
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().and_then(|entry| entry.seq).unwrap_or(0);
        let page = async move |tx: &mut Tx<'_>| keyreeve_audit::list(tx, tenant, after, 1_000).await;
        let page = app.store.scan(page).await.unwrap();
        if page.is_empty() {
            break;
        }
        entries.extend(page);
    }
    let successes = |action: &str| {
        entries.iter().filter(|entry| entry.action == action && entry.outcome == "success").count()
    };
    assert_eq!(successes("admission.code"), ledger.codes.load(Ordering::Relaxed), "codes");
    assert_eq!(successes("admission.refresh"), ledger.rotations.load(Ordering::Relaxed), "refresh tokens");
    for (action, count) in [("admission.client", &ledger.robots), ("session.create", &ledger.sign_ins)] {
        let acknowledged = count.acknowledged.load(Ordering::Relaxed);
        let known = acknowledged..=acknowledged + count.lost.load(Ordering::Relaxed);
        assert!(known.contains(&successes(action)), "{action}: {} of {known:?}", successes(action));
    }
    assert_eq!(app.store.integrity().await.unwrap(), Vec::<String>::new());
}

fn check_log(server: &Running) {
    let log = server.log();
    assert!(!log.contains("\"ERROR\""), "{log}");
}
