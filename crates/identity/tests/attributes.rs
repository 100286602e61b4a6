//! Users by what their attributes hold.

use crate::house::{House, INDEXED_OF, house};
use keyreeve_base::UserId;
use keyreeve_identity::{Cause, NewUser, Profile, ProfilePatch, StateChange};
use keyreeve_testkit::{Engine, on_both_engines};
use std::collections::BTreeMap;

type Attributes = BTreeMap<String, Vec<String>>;

fn attributes(of: &[(&str, &[&str])]) -> Attributes {
    of.iter()
        .map(|(name, values)| ((*name).to_owned(), values.iter().map(|v| (*v).to_owned()).collect()))
        .collect()
}

async fn make(house: &House, name: &str, attributes: Attributes) -> UserId {
    let profile = Profile { username: Some(name.to_owned()), attributes, ..Profile::default() };
    let new = NewUser { profile, ..NewUser::default() };
    house.identity.users().create(house.id(), new, &Cause::operator()).await.unwrap().id
}

async fn change(house: &House, user: UserId, attributes: Attributes) {
    let patch = ProfilePatch { attributes: Some(attributes), ..ProfilePatch::default() };
    house.identity.users().update((house.id(), user), patch, None, &Cause::operator()).await.unwrap();
}

async fn find(house: &House, name: &str, value: &str) -> Vec<UserId> {
    let found = house.identity.users().find_by_attribute(house.id(), (name, value), None, 500).await;
    found.unwrap().iter().map(|user| user.id).collect()
}

on_both_engines! {
    async fn users_are_found_by_any_value_in_any_spelling(engine: Engine) {
        let house = house(engine).await;
        let long = "ä".repeat(1_000);
        let ada = make(&house, "ada", attributes(&[("team", &["Physics Dept.", "B"]), ("note", &[&long])])).await;
        let bob = make(&house, "bob", attributes(&[("team", &["b", "B", ""]), ("Team", &["x"])])).await;
        assert_eq!(find(&house, "team", "physics DEPT.").await, [ada]);
        assert_eq!(find(&house, "team", "b").await, [ada, bob]);
        assert_eq!(find(&house, "team", "").await, [bob]);
        assert_eq!(find(&house, "note", &long.to_uppercase()).await, [ada]);
        for (name, value) in [("team", "physics"), ("team", "x"), ("TEAM", "b"), ("note", "ä"), ("te\0am", "b"), ("team", "%")] {
            assert!(find(&house, name, value).await.is_empty(), "{name} {value}");
        }
        let users = house.identity.users();
        let first = users.find_by_attribute(house.id(), ("team", "b"), None, 1).await.unwrap();
        let rest = users.find_by_attribute(house.id(), ("team", "b"), Some(first[0].id), 1).await.unwrap();
        assert_eq!((first[0].id, rest[0].id), (ada, bob));
        let other = house.test.world.new_id();
        assert!(users.find_by_attribute(other, ("team", "b"), None, 500).await.unwrap().is_empty(), "AC-52");
        house.check().await;
    }

    async fn the_index_follows_the_profile(engine: Engine) {
        let house = house(engine).await;
        let ada = make(&house, "ada", attributes(&[("team", &["a", "A", "b"]), ("site", &["x"])])).await;
        assert_eq!(house.count(&INDEXED_OF, ada.uuid()).await, 3, "one row for all spellings");
        change(&house, ada, attributes(&[("team", &["b", "c"])])).await;
        assert_eq!(house.count(&INDEXED_OF, ada.uuid()).await, 2);
        assert!(find(&house, "team", "a").await.is_empty() && find(&house, "site", "x").await.is_empty());
        assert_eq!((find(&house, "team", "b").await, find(&house, "team", "c").await), (vec![ada], vec![ada]));
        let rename = ProfilePatch { given_name: keyreeve_identity::Patch::Clear, ..ProfilePatch::default() };
        house.identity.users().update((house.id(), ada), rename, None, &Cause::operator()).await.unwrap();
        assert_eq!(house.count(&INDEXED_OF, ada.uuid()).await, 2);
        house.change_state(ada, StateChange::Archive).await;
        assert_eq!(house.count(&INDEXED_OF, ada.uuid()).await, 0);
        assert!(find(&house, "team", "b").await.is_empty());
        house.check().await;
    }

    /// Parallel changes leave the index of the profile that stands in the end.
    async fn parallel_changes_leave_index_and_profile_agreed(engine: Engine) {
        let house = std::sync::Arc::new(house(engine).await);
        let ada = make(&house, "ada", Attributes::new()).await;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..8 {
            let house = house.clone();
            tasks.spawn(async move {
                let values = [format!("own {number}"), "shared".to_owned()];
                change(&house, ada, BTreeMap::from([("k".to_owned(), values.to_vec())])).await;
            });
        }
        tasks.join_all().await;
        let user = house.identity.users().get(house.id(), ada).await.unwrap();
        assert_eq!(house.count(&INDEXED_OF, ada.uuid()).await, 2);
        for value in &user.attributes["k"] {
            assert_eq!(find(&house, "k", value).await, [ada], "{value}");
        }
        house.check().await;
    }
}
