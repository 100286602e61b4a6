//! Setting and changing passwords.

use crate::house::{
    House, OTHER_PASSWORD, PASSWORD, house, house_with, is_throttled, origin, refusal, ticket,
};
use keyreeve_crypto::Secret;
use keyreeve_identity::{Admitted, Cause, Credential, Error, PolicyViolation, Refusal, TenantSettings};
use keyreeve_testkit::{Engine, on_both_engines};

async fn change_own(
    house: &House,
    admitted: &Admitted,
    current: &str,
    new: &str,
) -> Result<Result<(), Refusal>, Error> {
    let (current, new) = (Secret::new(current), Secret::new(new));
    house.identity.passwords().change_own(admitted, current, new, &origin("192.0.2.1")).await
}

async fn set(
    house: &House,
    user: keyreeve_base::UserId,
    password: &str,
    must_change: bool,
) -> Result<(), Error> {
    let (of, password) = ((house.id(), user), Secret::new(password));
    house.identity.passwords().set(of, password, must_change, &Cause::operator()).await
}

fn violations(answer: Result<impl std::fmt::Debug, Error>) -> Vec<PolicyViolation> {
    match answer {
        Err(Error::Policy(violations)) => violations,
        other => panic!("no violation: {other:?}"),
    }
}

on_both_engines! {
    async fn an_administrator_sets_a_password_and_all_sessions_end(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let cookie = house.sign_in("ada", PASSWORD).await.cookie;
        let (done, lines) = house.lines_of(set(&house, ada.id, OTHER_PASSWORD, false)).await;
        done.unwrap();
        assert_eq!(lines, ["user.password.change success", "session.end success"]);
        assert!(house.session(&cookie).await.is_none());
        assert_eq!(refusal(&house.try_sign_in("ada", PASSWORD).await), Refusal::Denied);
        house.sign_in("ada", OTHER_PASSWORD).await;
        set(&house, ada.id, "Third-password-9", true).await.unwrap();
        ticket(house.try_sign_in("ada", "Third-password-9").await);
        let nobody = set(&house, house.test.world.new_id(), OTHER_PASSWORD, false).await;
        assert!(matches!(nobody, Err(Error::NotFound("user"))));
        let first = house.try_user(Some("bob"), None, Credential::None).await.unwrap();
        set(&house, first.id, OTHER_PASSWORD, false).await.unwrap();
        house.sign_in("bob", OTHER_PASSWORD).await;
        house.check().await;
    }

    async fn the_latest_five_passwords_may_not_come_back(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let numbered = |number: usize| format!("numbered-Heron-{number}");
        for number in 1..=4 {
            set(&house, ada.id, &numbered(number), false).await.unwrap();
        }
        // PASSWORD and 1 to 4 are the latest five.
        let reused = [PolicyViolation::Reused { last: 5 }];
        assert_eq!(violations(set(&house, ada.id, PASSWORD, false).await), reused);
        assert_eq!(violations(set(&house, ada.id, &numbered(1), false).await), reused);
        assert_eq!(violations(set(&house, ada.id, &numbered(4), false).await), reused);
        set(&house, ada.id, &numbered(5), false).await.unwrap();
        set(&house, ada.id, PASSWORD, false).await.unwrap();
        assert_eq!(violations(set(&house, ada.id, &numbered(2), false).await), reused);
        set(&house, ada.id, &numbered(1), false).await.unwrap();
        house.sign_in("ada", &numbered(1)).await;
        house.check().await;
    }

    async fn a_history_of_none_allows_everything(engine: Engine) {
        let mut settings = TenantSettings::default();
        settings.password.history = 0;
        let house = house_with(engine, settings).await;
        let ada = house.ada().await;
        for _ in 0..2 {
            set(&house, ada.id, PASSWORD, false).await.unwrap();
        }
        house.check().await;
    }

    async fn a_user_changes_their_own_and_the_other_sessions_end(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        let other = house.sign_in("ada", PASSWORD).await;
        let own = house.sign_in("lovelace@example.org", PASSWORD).await;
        let found = violations(change_own(&house, &own.admitted, PASSWORD, "Lovelace-7").await);
        assert_eq!(found, [PolicyViolation::TooShort { min_chars: 12 }, PolicyViolation::OwnName]);
        let (done, lines) = house.lines_of(change_own(&house, &own.admitted, PASSWORD, OTHER_PASSWORD)).await;
        done.unwrap().unwrap();
        let expected = ["admission.password success", "user.password.change success", "session.end success"];
        assert_eq!(lines, expected);
        assert!(house.session(&own.cookie).await.is_some());
        assert!(house.session(&other.cookie).await.is_none());
        house.sign_in("ada", OTHER_PASSWORD).await;
        house.check().await;
    }

    /// AC-22: guessing the present password here is counted where guessing at the sign-in is.
    async fn ac_22_the_change_form_is_no_way_around_the_throttle(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        let done = house.sign_in("ada", PASSWORD).await;
        for _ in 0..5 {
            let refused = change_own(&house, &done.admitted, "wrong", OTHER_PASSWORD).await.unwrap();
            assert_eq!(refused, Err(Refusal::Denied));
        }
        let refused = change_own(&house, &done.admitted, PASSWORD, OTHER_PASSWORD).await.unwrap();
        assert!(matches!(refused, Err(Refusal::Throttled { .. })));
        assert!(is_throttled(&house.try_sign_in("ada", PASSWORD).await));
        house.advance(1);
        change_own(&house, &done.admitted, PASSWORD, OTHER_PASSWORD).await.unwrap().unwrap();
        house.check().await;
    }

    /// AC-28: nothing looks at a password of unbounded length.
    async fn ac_28_a_very_long_new_password_is_refused(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let found = violations(set(&house, ada.id, &"long-Heron-7 ".repeat(100_000), false).await);
        assert_eq!(found, [PolicyViolation::TooLong { max_bytes: 1024 }]);
        house.check().await;
    }

    async fn a_password_past_its_age_must_be_replaced(engine: Engine) {
        let mut settings = TenantSettings::default();
        settings.password.max_age_days = Some(90);
        let house = house_with(engine, settings).await;
        house.ada().await;
        house.advance(90 * 86_400);
        house.sign_in("ada", PASSWORD).await;
        house.advance(1);
        let ticket = ticket(house.try_sign_in("ada", PASSWORD).await);
        let finish = keyreeve_identity::FinishPasswordChange {
            tenant: house.id(),
            ticket: &ticket,
            password: Secret::new(OTHER_PASSWORD),
            old_cookie: None,
            origin: origin("192.0.2.1"),
        };
        crate::house::signed_in(house.identity.admission().finish_password_change(finish).await.unwrap());
        house.sign_in("ada", OTHER_PASSWORD).await;
        house.check().await;
    }

    async fn of_parallel_changes_one_wins(engine: Engine) {
        let house = std::sync::Arc::new(house(engine).await);
        let ada = house.ada().await.id;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..6 {
            let house = house.clone();
            tasks.spawn(async move {
                let password = format!("parallel-Heron-{number}");
                let done = set(&house, ada, &password, false).await;
                assert!(matches!(done, Ok(()) | Err(Error::VersionConflict)), "{done:?}");
                done.is_ok().then_some(password)
            });
        }
        let won: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
        assert!(!won.is_empty());
        let mut works = 0;
        for password in &won {
            works += usize::from(!matches!(
                house.try_sign_in("ada", password).await,
                keyreeve_identity::SignIn::Refused(_)
            ));
        }
        assert_eq!(works, 1, "the last of those that were told yes");
        house.check().await;
    }
}
