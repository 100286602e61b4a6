//! Hashing and verifying with the service.

use crate::{SMALL, block_on, hasher, world};
use keyreeve_crypto::Secret;
use keyreeve_crypto::password::{
    HashError, HashPolicy, Hasher, MAX_PASSWORD_BYTES, PoolSize, SetupError, Verified,
};

const RIGHT: Verified = Verified { ok: true, needs_rehash: false };
const WRONG: Verified = Verified { ok: false, needs_rehash: false };

#[test]
fn a_password_verifies_against_its_own_hash_alone() {
    let hasher = hasher(HashPolicy::default());
    block_on(async {
        let hash = hasher.hash("t", &Secret::new("secret")).await.unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        assert_eq!(hasher.verify("t", &Secret::new("secret"), hash.as_str()).await, Ok(RIGHT));
        assert_eq!(hasher.verify("t", &Secret::new("Secret"), hash.as_str()).await, Ok(WRONG));
        let again = hasher.hash("t", &Secret::new("secret")).await.unwrap();
        assert_ne!(again, hash, "salted");
    });
}

#[test]
fn spellings_of_one_password_are_one_password() {
    let hasher = hasher(SMALL);
    block_on(async {
        let hash = hasher.hash("t", &Secret::new("caf\u{e9} \u{fb01}n")).await.unwrap();
        for typed in ["cafe\u{301} fin", "caf\u{e9} fin", "ｃａｆé fin"] {
            assert_eq!(hasher.verify("t", &Secret::new(typed), hash.as_str()).await, Ok(RIGHT), "{typed:?}");
        }
        assert_eq!(hasher.verify("t", &Secret::new("cafe fin"), hash.as_str()).await, Ok(WRONG));
    });
}

#[test]
fn a_raised_policy_asks_for_a_new_hash_and_a_lowered_one_does_not() {
    let stored = block_on(hasher(SMALL).hash("t", &Secret::new("secret"))).unwrap();
    let verified = |policy: HashPolicy| {
        block_on(hasher(policy).verify("t", &Secret::new("secret"), stored.as_str())).unwrap()
    };
    assert_eq!(verified(SMALL), RIGHT);
    assert_eq!(verified(HashPolicy { memory_kib: 32, ..SMALL }), RIGHT);
    assert_eq!(verified(HashPolicy { memory_kib: 128, ..SMALL }), Verified { ok: true, needs_rehash: true });
    assert_eq!(verified(HashPolicy { iterations: 2, ..SMALL }), Verified { ok: true, needs_rehash: true });
}

#[test]
fn ac_28_ac_46_long_and_empty_passwords_are_refused_before_any_work() {
    // A pool whose only thread is told to use the most memory there is would take seconds, were anything computed.
    let hasher = hasher(HashPolicy { memory_kib: 262_144, iterations: 8, parallelism: 1 });
    let long = "x".repeat(MAX_PASSWORD_BYTES + 1);
    for (password, expected) in [("", HashError::Empty), (long.as_str(), HashError::TooLong)] {
        let password = Secret::new(password);
        block_on(async {
            assert_eq!(hasher.hash("t", &password).await.err(), Some(expected));
            assert_eq!(hasher.verify("t", &password, "nonsense").await.err(), Some(expected));
            assert_eq!(hasher.verify_nobody("t", &password).await.err(), Some(expected));
        });
    }
}

#[test]
fn nobody_never_signs_in() {
    let hasher = hasher(SMALL);
    assert_eq!(block_on(hasher.verify_nobody("t", &Secret::new("secret"))), Ok(WRONG));
}

#[test]
fn a_stored_text_that_is_no_hash_is_an_error_and_not_a_wrong_password() {
    let hasher = hasher(SMALL);
    for stored in ["", "secret", "$argon2id$", "{SSHA}"] {
        let verified = block_on(hasher.verify("t", &Secret::new("secret"), stored));
        assert_eq!(verified, Err(HashError::Unrecognised), "{stored}");
    }
}

#[test]
fn a_flood_gets_busy_and_everything_accepted_is_answered() {
    let hasher = Hasher::new(world(), SMALL, PoolSize { workers: 2, queue: 8 }).unwrap();
    let password = Secret::new("secret");
    let stored = block_on(hasher.hash("t", &password)).unwrap();
    let answers = block_on(async {
        let mut attempts = tokio::task::JoinSet::new();
        for _ in 0..500 {
            let (hasher, password, stored) = (hasher.clone(), password.duplicate(), stored.clone());
            attempts.spawn(async move { hasher.verify("t", &password, stored.as_str()).await });
        }
        attempts.join_all().await
    });
    assert_eq!(answers.len(), 500);
    let refused = answers.iter().filter(|answer| matches!(answer, Err(HashError::Busy { .. }))).count();
    assert!(answers.iter().all(|answer| matches!(answer, Ok(RIGHT) | Err(HashError::Busy { .. }))));
    // The runtime has one thread: it submits every attempt before it yields to an answer, far faster than two
    // workers hash; at the very least the eight that fit are answered.
    assert!(refused > 0 && answers.len() - refused >= 8, "{refused}");
    assert!(answers.iter().all(|answer| match answer {
        Err(HashError::Busy { retry_after }) => (1..=60).contains(&retry_after.as_secs()),
        _ => true,
    }));
}

#[test]
fn a_policy_out_of_bounds_makes_no_hasher() {
    let policy = HashPolicy { memory_kib: 1, ..SMALL };
    assert!(matches!(Hasher::new(world(), policy, PoolSize::default()), Err(SetupError::Policy(_))));
}
