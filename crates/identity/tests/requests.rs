//! Requests that have a name: what they make is made once ([`Cause::of_request`]).

use crate::house::{House, PASSWORD, house, origin};
use keyreeve_audit::Actor;
use keyreeve_base::{ServiceAccountId, TenantId};
use keyreeve_crypto::{Secret, sha256};
use keyreeve_identity::{
    Cause, Credential, Error, NewGroup, NewRole, NewTenant, NewUser, Profile, RequestKey, TenantSettings,
};
use keyreeve_store::{Tx, params, statements};
use keyreeve_testkit::{Engine, on_both_engines};
use std::sync::Arc;
use tokio::task::JoinSet;
use uuid::Uuid;

const KEY: &str = "one-request";
const DAY_S: u64 = 86_400;

statements! {
    /// What is kept of a request's content.
    FINGERPRINT = "SELECT fingerprint FROM request_key WHERE tenant_id = $1";
    /// How many requests are remembered.
    REMEMBERED = "SELECT COUNT(*) FROM request_key WHERE tenant_id = $1";
}

/// Who names requests: a service account, by its number.
fn caller(number: u128) -> Cause {
    Cause::new(Actor::Service(ServiceAccountId::from_uuid(Uuid::from_u128(number))), origin("192.0.2.1"))
}

/// A cause of this name that asks for this.
async fn named(house: &House, tenant: TenantId, (who, key): (u128, &str), asks: &str) -> Cause {
    let key = RequestKey::new(&house.identity, tenant, key, asks.as_bytes()).await.expect("a name");
    caller(who).of_request(key)
}

/// Makes a group called `name` by a request of this name, which asks for `asks`.
async fn make(house: &House, by: (u128, &str), asks: &str, name: &str) -> Result<Uuid, Error> {
    let cause = named(house, house.id(), by, asks).await;
    let new = NewGroup { name: name.to_owned(), ..NewGroup::default() };
    house.identity.groups().create(house.id(), new, &cause).await.map(|group| group.id.uuid())
}

async fn groups(house: &House) -> usize {
    house.identity.groups().list(house.id(), None, 100).await.expect("a list").len()
}

#[track_caller]
fn repeats(answer: Result<Uuid, Error>, made: Uuid) {
    match answer {
        Err(Error::Repeated { kind: "group", id }) => assert_eq!(id, made),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn reused(answer: &Result<Uuid, Error>) {
    assert!(matches!(answer, Err(Error::KeyReused)), "{answer:?}");
}

on_both_engines! {
    async fn the_same_request_makes_what_it_makes_once(engine: Engine) {
        let house = house(engine).await;
        let made = make(&house, (1, KEY), "crew", "crew").await.expect("a group");
        for _ in 0..3 {
            repeats(make(&house, (1, KEY), "crew", "crew").await, made);
        }
        assert_eq!(groups(&house).await, 1);
        // Another name makes another, as does no name at all.
        make(&house, (1, "another"), "crew", "crew 2").await.expect("a group");
        house.group("crew 3").await;
        house.group("crew 4").await;
        assert_eq!(groups(&house).await, 4);
    }

    async fn the_name_of_another_request_is_refused(engine: Engine) {
        let house = house(engine).await;
        let made = make(&house, (1, KEY), "crew", "crew").await.expect("a group");
        reused(&make(&house, (1, KEY), "other", "other").await);
        // The same words to make something else of.
        let cause = named(&house, house.id(), (1, KEY), "crew").await;
        let role = NewRole { name: "crew".to_owned(), description: None, application: None };
        let role = house.identity.roles().create(house.id(), role, &cause).await;
        reused(&role.map(|role| role.id.uuid()));
        assert_eq!(groups(&house).await, 1, "nothing was made");
        repeats(make(&house, (1, KEY), "crew", "crew").await, made);
    }

    async fn ac_17_of_many_requests_of_one_name_one_makes_it(engine: Engine) {
        let house = Arc::new(house(engine).await);
        let mut tasks = JoinSet::new();
        for number in 0..12 {
            let house = house.clone();
            // Each would make a group of another name, so that nothing but the request's name stands in the way.
            tasks.spawn(async move { make(&house, (1, KEY), "crew", &format!("crew {number}")).await });
        }
        let mut won = None;
        let mut repeated = Vec::new();
        while let Some(done) = tasks.join_next().await {
            match done.expect("an answer") {
                Ok(id) => assert_eq!(won.replace(id), None, "two have made it"),
                other => repeated.push(other),
            }
        }
        let won = won.expect("one has made it");
        assert_eq!(repeated.len(), 11);
        for answer in repeated {
            repeats(answer, won);
        }
        assert_eq!(groups(&house).await, 1);
    }

    async fn ac_17_of_two_requests_that_share_a_name_one_is_refused(engine: Engine) {
        let house = Arc::new(house(engine).await);
        let mut tasks = JoinSet::new();
        for asks in ["crew", "staff"] {
            let house = house.clone();
            tasks.spawn(async move { make(&house, (1, KEY), asks, asks).await });
        }
        let answers: Vec<_> = tasks.join_all().await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        reused(answers.iter().find(|answer| answer.is_err()).expect("a refusal"));
        assert_eq!(groups(&house).await, 1);
    }

    async fn ac_52_names_of_other_callers_and_tenants_are_other_names(engine: Engine) {
        let house = house(engine).await;
        let made = make(&house, (1, KEY), "crew", "crew").await.expect("a group");
        let others = make(&house, (2, KEY), "crew", "crew of another").await.expect("a group");
        assert_ne!(made, others);
        let new = NewTenant { slug: "acme".into(), name: "Acme".into(), settings: TenantSettings::default() };
        let acme = house.identity.tenants().create(new, &Cause::operator()).await.expect("a tenant").id;
        let cause = named(&house, acme, (1, KEY), "crew").await;
        let new = NewGroup { name: "crew".to_owned(), ..NewGroup::default() };
        let theirs = house.identity.groups().create(acme, new, &cause).await.expect("a group");
        assert_ne!(theirs.id.uuid(), made);
        // An actor of another kind with the same number is another caller, too.
        let key = RequestKey::new(&house.identity, house.id(), KEY, b"crew").await.expect("a name");
        let client = Actor::Client(keyreeve_base::ClientId::from_uuid(Uuid::from_u128(1)));
        let cause = Cause::new(client, origin("192.0.2.1")).of_request(key);
        let new = NewGroup { name: "crew of a client".to_owned(), ..NewGroup::default() };
        house.identity.groups().create(house.id(), new, &cause).await.expect("a group");
        // Each goes on with its own.
        repeats(make(&house, (1, KEY), "crew", "x").await, made);
        repeats(make(&house, (2, KEY), "crew", "x").await, others);
    }

    async fn what_was_not_made_leaves_its_name_free(engine: Engine) {
        let house = house(engine).await;
        house.group("crew").await;
        let taken = make(&house, (1, KEY), "crew", "crew").await;
        assert!(matches!(taken, Err(Error::Taken("name"))), "{taken:?}");
        make(&house, (1, KEY), "other", "other").await.expect("a group");
    }

    async fn a_day_later_it_is_another_request(engine: Engine) {
        let house = house(engine).await;
        let made = make(&house, (1, KEY), "crew", "crew").await.expect("a group");
        house.advance(DAY_S - 1);
        assert_eq!(house.identity.prune_requests().await.expect("a number"), 0);
        repeats(make(&house, (1, KEY), "crew", "crew 2").await, made);
        house.advance(2);
        let later = make(&house, (1, KEY), "other", "crew 3").await.expect("a group");
        repeats(make(&house, (1, KEY), "other", "x").await, later);
        assert_eq!(house.count(&REMEMBERED, house.id().uuid()).await, 1);
        house.advance(DAY_S + 1);
        assert_eq!(house.identity.prune_requests().await.expect("a number"), 1);
        assert_eq!(house.count(&REMEMBERED, house.id().uuid()).await, 0, "nothing stays for ever");
    }

    async fn ac_76_what_a_request_asks_for_cannot_be_guessed_from_what_is_kept(engine: Engine) {
        let house = house(engine).await;
        let asks = format!(r#"{{"username":"ada","password":"{PASSWORD}"}}"#);
        let cause = named(&house, house.id(), (1, KEY), &asks).await;
        let profile = Profile { username: Some("ada".to_owned()), ..Profile::default() };
        let credential = Credential::Password(Secret::new(PASSWORD));
        let new = NewUser { profile, credential, ..NewUser::default() };
        house.identity.users().create(house.id(), new, &cause).await.expect("a user");
        let tenant = house.id();
        let kept = house.test.store.read(async move |tx: &mut Tx<'_>| {
            tx.query_opt(&FINGERPRINT, &params![tenant], |row| row.get::<Vec<u8>>(0)).await
        });
        let kept = kept.await.expect("an answer").expect("a row");
        let plain = sha256(asks.as_bytes());
        assert!(!kept.windows(plain.len()).any(|window| window == plain));
        assert!(kept.len() > plain.len(), "it is sealed");
    }
}
