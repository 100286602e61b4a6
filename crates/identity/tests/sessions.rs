//! Browser sessions.

use crate::house::{COOKIE_OF, OTHER_PASSWORD, PASSWORD, house, origin, signed_in};
use keyreeve_base::SessionId;
use keyreeve_crypto::Secret;
use keyreeve_identity::{Cause, Credential, Method, StateChange};
use keyreeve_store::{Tx, params};
use keyreeve_testkit::{Engine, on_both_engines};

on_both_engines! {
    async fn a_cookie_lets_in_and_only_its_digest_is_stored(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let done = house.sign_in("ada", PASSWORD).await;
        let admitted = house.session(&done.cookie).await.unwrap();
        assert_eq!((admitted.method(), admitted.session()), (Method::Session, Some(done.session.id)));
        assert_eq!(admitted.user().map(|user| user.id), Some(ada.id));
        assert_eq!(admitted.auth_time(), done.session.auth_time);
        let id = done.session.id;
        let stored: Vec<u8> = house
            .test
            .store
            .read(async move |tx: &mut Tx<'_>| tx.scalar(&COOKIE_OF, &params![id]).await)
            .await
            .unwrap();
        assert_eq!(stored, keyreeve_crypto::TokenDigest::of(&done.cookie).as_bytes());
        assert_eq!(done.session.address.as_deref(), Some("192.0.2.1"));
        assert_eq!(done.session.user_agent.as_deref(), Some("a browser"));
        let other = house.test.world.new_id();
        let elsewhere = house.identity.admission().session(other, &done.cookie).await.unwrap();
        assert!(elsewhere.is_none(), "AC-52: not at another tenant");
        house.check().await;
    }

    /// AC-12: a malformed cookie is no cookie.
    async fn ac_12_a_malformed_cookie_lets_nobody_in(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        let cookie = house.sign_in("ada", PASSWORD).await.cookie;
        let long = "x".repeat(100_000);
        for malformed in ["", " ", "\0", "'; DROP TABLE session; --", &long, &cookie[..40], &format!("{cookie} ")] {
            assert!(house.session(malformed).await.is_none(), "{malformed:?}");
        }
        house.check().await;
    }

    /// AC-10: the cookie is new at every sign-in, and the former one is worth nothing.
    async fn ac_10_the_cookie_is_renewed_at_sign_in(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        let bob = Credential::Password(Secret::new(OTHER_PASSWORD));
        house.try_user(Some("bob"), None, bob).await.unwrap();
        let admission = house.identity.admission();
        let first = house.sign_in("ada", PASSWORD).await;
        assert!(house.session(&first.cookie).await.is_some(), "and it is known to memory now");
        house.advance(30);
        // The same user again: the session goes on, what depends on it too, under another cookie.
        let (answer, lines) =
            house.lines_of(admission.sign_in(house.attempt("ada", PASSWORD), Some(&first.cookie))).await;
        let second = signed_in(answer.unwrap());
        assert_eq!(lines, ["admission.password success", "session.renew success"]);
        assert_ne!(second.cookie, first.cookie);
        assert!(house.session(&first.cookie).await.is_none());
        assert_eq!(second.session.id, first.session.id);
        let admitted = house.session(&second.cookie).await.unwrap();
        assert_eq!(admitted.auth_time(), house.test.world.now());
        // Somebody else in the same browser (or with a planted cookie): the former session ends.
        let (answer, lines) =
            house.lines_of(admission.sign_in(house.attempt("bob", OTHER_PASSWORD), Some(&second.cookie))).await;
        let third = signed_in(answer.unwrap());
        assert_eq!(lines, ["admission.password success", "session.end success", "session.create success"]);
        assert!(house.session(&second.cookie).await.is_none());
        assert_ne!(third.session.id, second.session.id);
        // A cookie that nobody was given, or one that is over, is not taken up.
        for planted in ["kr_se_planted", second.cookie.as_str()] {
            let done = signed_in(admission.sign_in(house.attempt("ada", PASSWORD), Some(planted)).await.unwrap());
            assert!(done.cookie != planted && house.session(planted).await.is_none());
            assert_ne!(done.session.id, second.session.id);
        }
        house.check().await;
    }

    async fn a_failed_attempt_leaves_the_session_alone(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        let done = house.sign_in("ada", PASSWORD).await;
        let attempt = house.attempt("ada", OTHER_PASSWORD);
        house.identity.admission().sign_in(attempt, Some(&done.cookie)).await.unwrap();
        assert!(house.session(&done.cookie).await.is_some());
        house.check().await;
    }

    async fn a_session_ends_when_idle(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let done = house.sign_in("ada", PASSWORD).await;
        let idle = u64::from(house.tenant.settings.session.idle_s);
        for _ in 0..3 {
            house.advance(idle - 1);
            assert!(house.session(&done.cookie).await.is_some(), "use keeps it alive");
        }
        let listed = house.identity.sessions().list(house.id(), ada.id).await.unwrap();
        assert_eq!(listed[0].last_seen_at, house.test.world.now());
        house.advance(idle - 1);
        assert!(house.identity.sessions().live(house.id(), done.session.id).await.unwrap().is_some());
        house.advance(1);
        assert!(house.session(&done.cookie).await.is_none());
        assert!(house.identity.sessions().live(house.id(), done.session.id).await.unwrap().is_none());
        assert!(house.identity.sessions().list(house.id(), ada.id).await.unwrap().is_empty());
        house.check().await;
    }

    /// Its use is written down at most once a minute, which costs at most a minute of the idle lifetime.
    async fn use_is_noted_once_a_minute(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let done = house.sign_in("ada", PASSWORD).await;
        let last_seen = async || house.identity.sessions().list(house.id(), ada.id).await.unwrap()[0].last_seen_at;
        house.advance(59);
        house.session(&done.cookie).await.unwrap();
        assert_eq!(last_seen().await, done.session.created_at);
        house.advance(1);
        house.session(&done.cookie).await.unwrap();
        assert_eq!(last_seen().await, house.test.world.now());
        house.check().await;
    }

    async fn a_session_ends_at_its_time_however_busy(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        let done = house.sign_in("ada", PASSWORD).await;
        let hours = u64::from(house.tenant.settings.session.absolute_s) / 3_600;
        for _ in 1..hours {
            house.advance(3_600);
            assert!(house.session(&done.cookie).await.is_some());
        }
        house.advance(3_600);
        assert!(house.session(&done.cookie).await.is_none());
        house.check().await;
    }

    async fn one_or_all_can_be_ended_by_their_owner_alone(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let bob = house.try_user(Some("bob"), None, Credential::None).await.unwrap();
        let mut signed = Vec::new();
        for _ in 0..4 {
            signed.push(house.sign_in("ada", PASSWORD).await);
            house.advance(1);
        }
        let sessions = house.identity.sessions();
        let listed: Vec<SessionId> = sessions.list(house.id(), ada.id).await.unwrap().iter().map(|s| s.id).collect();
        let newest_first: Vec<SessionId> = signed.iter().rev().map(|done| done.session.id).collect();
        assert_eq!(listed, newest_first);
        let cause = Cause::user(ada.id, origin("192.0.2.1"));
        let first = signed[0].session.id;
        assert!(!sessions.end(house.id(), bob.id, first, &cause).await.unwrap(), "AC-52: not bob's");
        assert!(house.session(&signed[0].cookie).await.is_some());
        let (ended, lines) = house.lines_of(sessions.end(house.id(), ada.id, first, &cause)).await;
        assert!(ended.unwrap());
        assert_eq!(lines, ["session.end success"]);
        assert!(house.session(&signed[0].cookie).await.is_none());
        assert!(!sessions.end(house.id(), ada.id, first, &cause).await.unwrap(), "it is over");
        let kept = signed[3].session.id;
        let (ended, lines) = house.lines_of(sessions.end_all(house.id(), ada.id, Some(kept), &cause)).await;
        assert_eq!((ended.unwrap(), lines.len()), (2, 2));
        assert!(house.session(&signed[1].cookie).await.is_none());
        assert!(house.session(&signed[3].cookie).await.is_some());
        assert_eq!(sessions.end_all(house.id(), ada.id, None, &cause).await.unwrap(), 1);
        assert!(house.session(&signed[3].cookie).await.is_none());
        house.check().await;
    }

    /// AC-15: what takes a user out of use ends their sessions, and putting them back does not revive them.
    async fn ac_15_a_disabled_users_sessions_are_over(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        for (out, back) in [(StateChange::Disable, StateChange::Enable), (StateChange::Lock, StateChange::Unlock)] {
            let cookie = house.sign_in("ada", PASSWORD).await.cookie;
            assert!(house.session(&cookie).await.is_some());
            house.change_state(ada.id, out).await;
            assert!(house.session(&cookie).await.is_none());
            house.change_state(ada.id, back).await;
            assert!(house.session(&cookie).await.is_none());
        }
        house.check().await;
    }

    /// A change of the password ends all sessions, also those of sign-ins with the former password that are under way.
    async fn no_sign_in_slips_past_a_password_change(engine: Engine) {
        let house = std::sync::Arc::new(house(engine).await);
        let ada = house.ada().await.id;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..12 {
            let house = house.clone();
            tasks.spawn(async move {
                let attempt = house.attempt_from(&format!("198.51.100.{number}"), "ada", PASSWORD);
                match house.try_attempt(attempt).await {
                    keyreeve_identity::SignIn::SignedIn { cookie, .. } => Some(cookie.expose().to_owned()),
                    _ => None,
                }
            });
        }
        let set = async {
            tokio::task::yield_now().await;
            let new = Secret::new(OTHER_PASSWORD);
            house.identity.passwords().set((house.id(), ada), new, false, &Cause::operator()).await.unwrap();
        };
        let (cookies, ()) = tokio::join!(tasks.join_all(), set);
        for cookie in cookies.into_iter().flatten() {
            assert!(house.session(&cookie).await.is_none());
        }
        assert!(house.identity.sessions().list(house.id(), ada).await.unwrap().is_empty());
        house.check().await;
    }

    async fn what_is_long_over_is_forgotten(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        house.sign_in("ada", PASSWORD).await;
        let absolute = u64::from(house.tenant.settings.session.absolute_s);
        house.advance(absolute + 29 * 86_400);
        assert_eq!(house.identity.sessions().prune().await.unwrap(), 0);
        house.advance(2 * 86_400);
        assert_eq!(house.identity.sessions().prune().await.unwrap(), 1);
        house.check().await;
    }
}
