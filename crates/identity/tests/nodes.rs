//! Two nodes over one database: what one ends, the other no longer lets in, within the stated staleness.

use crate::house::{PASSWORD, house};
use keyreeve_identity::{Cause, Identity, StateChange};
use keyreeve_testkit::{Engine, block_on};
use std::time::{Duration, Instant};

/// The bound on staleness, and some for a machine under load.
const BOUND: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_secs(4);

/// Waits until the other node no longer knows the cookie; how long that took.
async fn until_refused(other: &Identity, tenant: keyreeve_base::TenantId, cookie: &str) -> Duration {
    let start = Instant::now();
    while other.admission().session(tenant, cookie).await.unwrap().is_some() {
        assert!(start.elapsed() < BOUND + SLACK, "the other node still lets the cookie in");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    start.elapsed()
}

/// Fills the other node's caches.
async fn warm(other: &Identity, tenant: keyreeve_base::TenantId, cookie: &str) {
    for _ in 0..10 {
        assert!(other.admission().session(tenant, cookie).await.unwrap().is_some());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn another_node_hears_of_an_ended_session() {
    block_on(async {
        let house = house(Engine::Postgres).await;
        let ada = house.ada().await;
        let other = house.other_node(64).await;
        let done = house.sign_in("ada", PASSWORD).await;
        warm(&other, house.id(), &done.cookie).await;
        house.identity.sessions().end(house.id(), ada.id, done.session.id, &Cause::operator()).await.unwrap();
        assert!(house.session(&done.cookie).await.is_none(), "the node that ended it knows at once");
        until_refused(&other, house.id(), &done.cookie).await;
        house.check().await;
    });
}

#[test]
fn another_node_hears_of_a_disabled_user_and_a_disabled_tenant() {
    block_on(async {
        let house = house(Engine::Postgres).await;
        let ada = house.ada().await;
        let other = house.other_node(64).await;
        let cookie = house.sign_in("ada", PASSWORD).await.cookie;
        warm(&other, house.id(), &cookie).await;
        house.change_state(ada.id, StateChange::Disable).await;
        until_refused(&other, house.id(), &cookie).await;
        house.change_state(ada.id, StateChange::Enable).await;
        let cookie = house.sign_in("ada", PASSWORD).await.cookie;
        warm(&other, house.id(), &cookie).await;
        let off = keyreeve_identity::TenantPatch { enabled: Some(false), ..Default::default() };
        house.identity.tenants().update(house.id(), 1, off, &Cause::operator()).await.unwrap();
        until_refused(&other, house.id(), &cookie).await;
        house.check().await;
    });
}

#[test]
fn the_throttle_is_shared_by_all_nodes() {
    block_on(async {
        let house = house(Engine::Postgres).await;
        house.ada().await;
        let other = house.other_node(64).await;
        for number in 0..5 {
            let node = if number % 2 == 0 { &house.identity } else { &other };
            node.admission().sign_in(house.attempt("ada", "wrong"), None).await.unwrap();
        }
        for node in [&house.identity, &other] {
            let answer = node.admission().sign_in(house.attempt("ada", PASSWORD), None).await.unwrap();
            assert!(crate::house::is_throttled(&answer));
        }
        house.check().await;
    });
}

#[test]
fn a_new_data_key_of_one_node_opens_at_another() {
    block_on(async {
        let house = house(Engine::Postgres).await;
        let other = house.other_node(64).await;
        other.tenants().seal(house.id(), &[], b"warm").await.unwrap();
        house.advance(1);
        house.identity.tenants().rotate_data_key(house.id(), &Cause::operator()).await.unwrap();
        let sealed = house.identity.tenants().seal(house.id(), &[], b"x").await.unwrap();
        let start = Instant::now();
        while other.tenants().open(house.id(), &[], &sealed).await.is_err() {
            assert!(start.elapsed() < BOUND + SLACK, "the other node does not know the new key");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        house.check().await;
    });
}
