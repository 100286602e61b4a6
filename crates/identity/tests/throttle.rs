//! Guessing: counted, slowed down, never a weapon against the guessed-at.

use crate::house::{House, OTHER_PASSWORD, PASSWORD, house, house_with, is_throttled, refusal};
use keyreeve_crypto::Secret;
use keyreeve_identity::{PasswordAttempt, Refusal, SignIn, TenantSettings};
use keyreeve_testkit::{Engine, on_both_engines};
use std::sync::Arc;
use std::time::Duration;

async fn guess(house: &House, address: &str, identifier: &str) -> SignIn {
    house.try_attempt(house.attempt_from(address, identifier, OTHER_PASSWORD)).await
}

/// Many guesses at once; answers how many were looked at.
async fn guess_in_parallel(house: &Arc<House>, count: usize, address: impl Fn(usize) -> String) -> usize {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..count {
        let (house, address) = (house.clone(), address(number));
        tasks.spawn(async move { guess(&house, &address, "ada").await });
    }
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(|answer| is_throttled(answer) || refusal(answer) == Refusal::Denied));
    answers.iter().filter(|answer| !is_throttled(answer)).count()
}

fn few_per_name(limit: u32) -> TenantSettings {
    let mut settings = TenantSettings::default();
    settings.throttle.name_failures = limit;
    settings
}

on_both_engines! {
    async fn five_failures_are_free_then_each_costs_twice_the_time(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        for _ in 0..5 {
            assert_eq!(refusal(&guess(&house, "192.0.2.1", "ada").await), Refusal::Denied);
        }
        let mut wait = 1;
        while wait < 900 {
            let blocked = house.try_sign_in("ada", PASSWORD).await;
            assert_eq!(refusal(&blocked), Refusal::Throttled { retry_after: Duration::from_secs(wait) });
            house.advance(wait);
            assert_eq!(refusal(&guess(&house, "192.0.2.1", "ada").await), Refusal::Denied);
            wait = (wait * 2).min(900);
        }
        house.advance(899);
        assert!(is_throttled(&house.try_sign_in("ada", PASSWORD).await));
        house.advance(1);
        house.sign_in("ada", PASSWORD).await;
        // The count started anew.
        for _ in 0..4 {
            assert_eq!(refusal(&guess(&house, "192.0.2.1", "ada").await), Refusal::Denied);
        }
        house.sign_in("ada", PASSWORD).await;
        house.check().await;
    }

    async fn a_quiet_hour_is_forgiven(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        for _ in 0..4 {
            guess(&house, "192.0.2.1", "ada").await;
        }
        house.advance(3_601);
        for _ in 0..4 {
            assert_eq!(refusal(&guess(&house, "192.0.2.1", "ada").await), Refusal::Denied);
        }
        house.sign_in("ada", PASSWORD).await;
        house.check().await;
    }

    /// AC-21: a name that nobody has is throttled like one that somebody has.
    async fn ac_21_unknown_names_are_throttled_alike(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        for name in ["ada", "nobody", "not a name"] {
            for _ in 0..5 {
                assert_eq!(refusal(&guess(&house, "192.0.2.1", name).await), Refusal::Denied);
            }
            let expected = Refusal::Throttled { retry_after: Duration::from_secs(1) };
            assert_eq!(refusal(&guess(&house, "192.0.2.1", name).await), expected, "{name}");
        }
        house.check().await;
    }

    /// AC-23: every spelling of a name is one counter.
    async fn ac_23_spellings_share_a_counter(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        for spelling in ["ada", "ADA", "Ada", "ａｄａ", " aDa "] {
            assert_eq!(refusal(&guess(&house, "192.0.2.1", spelling).await), Refusal::Denied);
        }
        assert!(is_throttled(&house.try_sign_in("\u{1d41a}da", PASSWORD).await));
        house.check().await;
    }

    /// AC-24: N parallel guesses are N counts; no more of them are looked at than one after the other.
    async fn ac_24_parallel_guesses_count_each(engine: Engine) {
        let house = Arc::new(house(engine).await);
        house.ada().await;
        assert_eq!(guess_in_parallel(&house, 40, |_| "192.0.2.1".to_owned()).await, 5);
        assert_eq!(house.failures("pair").await, 5);
        assert_eq!(house.failures("name").await, 5, "what was not looked at is not held against the name");
        house.check().await;
    }

    async fn ac_24_parallel_guesses_from_everywhere_count_each(engine: Engine) {
        let house = Arc::new(house_with(engine, few_per_name(10)).await);
        house.ada().await;
        assert_eq!(guess_in_parallel(&house, 40, |number| format!("198.51.100.{number}")).await, 10);
        assert_eq!(house.failures("name").await, 10);
        let locks = house.lines().await.iter().filter(|line| *line == "throttle.lock success").count();
        assert_eq!(locks, 1);
        house.check().await;
    }

    /// AC-26: an attacker can make a name wait, not lock it for good; and not at all for a browser that the user signed in
    /// with before.
    async fn ac_26_nobody_can_lock_somebody_else_out(engine: Engine) {
        let house = house_with(engine, few_per_name(10)).await;
        house.ada().await;
        let device = house.sign_in("ada", PASSWORD).await.device;
        for number in 0..10 {
            guess(&house, &format!("198.51.100.{number}"), "ada").await;
        }
        assert!(is_throttled(&house.try_attempt(house.attempt_from("203.0.113.9", "ada", PASSWORD)).await));
        let known = || PasswordAttempt { device: Some(&device), ..house.attempt_from("203.0.113.9", "ada", PASSWORD) };
        crate::house::signed_in(house.try_attempt(known()).await);
        // Hammering on prolongs nothing.
        for number in 0..20 {
            house.advance(40);
            assert!(is_throttled(&guess(&house, &format!("198.51.100.{number}"), "ada").await));
        }
        house.advance(101);
        crate::house::signed_in(house.try_attempt(house.attempt_from("203.0.113.9", "ada", PASSWORD)).await);
        house.check().await;
    }

    /// The exemption is the user's alone, and guesses under it have a counter of their own.
    async fn ac_26_a_device_cookie_is_no_free_ticket(engine: Engine) {
        let house = house_with(engine, few_per_name(10)).await;
        house.ada().await;
        let bob = keyreeve_identity::Credential::Password(Secret::new(OTHER_PASSWORD));
        house.try_user(Some("bob"), None, bob).await.unwrap();
        let device = house.sign_in("ada", PASSWORD).await.device;
        let with = |identifier, password| PasswordAttempt {
            device: Some(&device),
            ..house.attempt_from("203.0.113.9", identifier, password)
        };
        for _ in 0..5 {
            assert_eq!(refusal(&house.try_attempt(with("ada", OTHER_PASSWORD)).await), Refusal::Denied);
        }
        assert!(is_throttled(&house.try_attempt(with("ada", PASSWORD)).await), "its own counter is full");
        assert_eq!(house.failures("name").await, 0, "and no other one knows of it");
        house.sign_in("ada", PASSWORD).await;
        // It is nothing for bob, nothing after its time, nothing when forged.
        for _ in 0..5 {
            house.try_attempt(with("bob", PASSWORD)).await;
        }
        assert!(is_throttled(&house.try_attempt(house.attempt_from("203.0.113.9", "bob", OTHER_PASSWORD)).await));
        for number in 0..10 {
            guess(&house, &format!("198.51.100.{number}"), "ada").await;
        }
        for forged in ["", "x", &device[1..], &"A".repeat(600)] {
            let attempt = PasswordAttempt { device: Some(forged), ..house.attempt_from("203.0.113.8", "ada", PASSWORD) };
            assert!(is_throttled(&house.try_attempt(attempt).await), "{forged}");
        }
        house.advance(181 * 86_400);
        for number in 0..10 {
            guess(&house, &format!("198.51.100.{number}"), "ada").await;
        }
        assert!(is_throttled(&house.try_attempt(with("ada", PASSWORD)).await), "too old");
        house.check().await;
    }

    async fn an_address_that_tries_every_name_must_wait(engine: Engine) {
        let mut settings = TenantSettings::default();
        settings.throttle.address_failures = 8;
        let house = house_with(engine, settings).await;
        house.ada().await;
        // Own successes do not wash the address clean.
        for number in 0..8 {
            assert_eq!(refusal(&guess(&house, "192.0.2.1", &format!("name-{number}")).await), Refusal::Denied);
            if number < 7 {
                house.sign_in("ada", PASSWORD).await;
            }
        }
        assert!(is_throttled(&house.try_sign_in("ada", PASSWORD).await));
        assert!(is_throttled(&guess(&house, "192.0.2.1", "anybody").await));
        crate::house::signed_in(house.try_attempt(house.attempt_from("192.0.2.2", "ada", PASSWORD)).await);
        house.advance(900);
        house.sign_in("ada", PASSWORD).await;
        house.check().await;
    }

    /// Locks are in the log, with the refusals that led to them; names are not.
    async fn locks_are_recorded_and_names_are_not(engine: Engine) {
        let house = house(engine).await;
        for _ in 0..5 {
            guess(&house, "192.0.2.1", "hunter2-typed-in-the-wrong-field").await;
        }
        let (_, lines) = house.lines_of(guess(&house, "192.0.2.1", "hunter2-typed-in-the-wrong-field")).await;
        assert_eq!(lines, ["admission.password refused throttled"]);
        let log = house.log().await;
        assert_eq!(log.iter().filter(|entry| entry.action == "throttle.lock").count(), 1);
        assert!(!format!("{log:?}").contains("hunter2"));
        house.check().await;
    }

    async fn counters_are_forgotten_when_their_time_is_over(engine: Engine) {
        let house = house(engine).await;
        guess(&house, "192.0.2.1", "ada").await;
        assert_eq!(house.identity.admission().prune().await.unwrap(), 0);
        house.advance(3_601);
        assert_eq!(house.identity.admission().prune().await.unwrap(), 3);
        house.check().await;
    }
}
