//! The throttle of clients' credentials.

use crate::house::{House, house, origin};
use keyreeve_identity::{ClientAttempt, Method, Refusal};
use keyreeve_store::{Tx, statements};
use keyreeve_testkit::{Engine, on_both_engines};

statements! {
    /// What makes every further access to the counters fail.
    pub(crate) TAKE_AWAY = "ALTER TABLE throttle RENAME TO throttle_away";
}

async fn attempt(house: &House, client: &str, address: &str) -> Result<ClientAttempt, Refusal> {
    house.identity.admission().client_attempt(house.id(), client, &origin(address)).await.unwrap()
}

async fn fail(house: &House, client: &str, address: &str) -> Refusal {
    match attempt(house, client, address).await {
        Ok(attempt) => attempt.failed(Method::ClientSecret, "wrong_secret").await.unwrap(),
        Err(refusal) => refusal,
    }
}

on_both_engines! {
    async fn wrong_secrets_are_slowed_down_for_that_client_and_address(engine: Engine) {
        let house = house(engine).await;
        for _ in 0..5 {
            assert_eq!(fail(&house, "app", "192.0.2.1").await, Refusal::Denied);
        }
        let (refused, lines) = house.lines_of(fail(&house, "app", "192.0.2.1")).await;
        assert!(matches!(refused, Refusal::Throttled { .. }));
        assert_eq!(lines, ["admission.client refused throttled"]);
        assert!(attempt(&house, "app", "192.0.2.2").await.is_ok(), "AC-26: a client's name is public");
        assert!(attempt(&house, "other", "192.0.2.1").await.is_ok());
        house.advance(1);
        attempt(&house, "app", "192.0.2.1").await.unwrap().succeeded().await.unwrap();
        for _ in 0..5 {
            assert_eq!(fail(&house, "app", "192.0.2.1").await, Refusal::Denied);
        }
        let locks = house.lines().await.iter().filter(|line| *line == "throttle.lock success").count();
        assert_eq!(locks, 2);
        house.check().await;
    }

    async fn an_address_that_tries_every_client_must_wait(engine: Engine) {
        let house = house(engine).await;
        let limit = house.tenant.settings.throttle.address_failures;
        for number in 0..limit {
            assert_eq!(fail(&house, &format!("app-{number}"), "192.0.2.1").await, Refusal::Denied);
        }
        assert!(matches!(attempt(&house, "app", "192.0.2.1").await, Err(Refusal::Throttled { .. })));
        assert!(attempt(&house, "app", "192.0.2.2").await.is_ok());
        house.advance(900);
        assert!(attempt(&house, "app", "192.0.2.1").await.is_ok());
        house.check().await;
    }

    /// The hot path: once it is known that there are no failures, neither asking nor succeeding touches the database.
    async fn a_success_without_failures_costs_no_database_access(engine: Engine) {
        let house = house(engine).await;
        // On PostgreSQL a node first has to hear that it is up to date.
        let mut warm = false;
        for _ in 0..50 {
            attempt(&house, "app", "192.0.2.1").await.unwrap().succeeded().await.unwrap();
            warm = house.test.store.fresh(keyreeve_store::STALENESS);
            if warm {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert!(warm, "the node never heard that it is up to date");
        attempt(&house, "app", "192.0.2.1").await.unwrap().succeeded().await.unwrap();
        let take_away = async |tx: &mut Tx<'_>| tx.execute(&TAKE_AWAY, &[]).await;
        house.test.store.write(take_away).await.unwrap();
        attempt(&house, "app", "192.0.2.1").await.unwrap().succeeded().await.unwrap();
        let unknown = house.identity.admission().client_attempt(house.id(), "app", &origin("192.0.2.3")).await;
        assert!(unknown.is_err(), "the table is gone indeed");
    }
}
