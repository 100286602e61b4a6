//! What was there before a migration is there after it.

use crate::house::{INDEXED_OF, PASSWORD, house_before, migrations};
use keyreeve_identity::{Cause, ProfilePatch, SignIn, StateChange};
use keyreeve_store::{Error, Store};
use keyreeve_testkit::{Engine, TestStore, on_both_engines};
use std::collections::BTreeMap;
use std::time::Duration;

on_both_engines! {
    async fn names_passwords_and_attributes_outlive_the_change_of_their_tables(engine: Engine) {
        let mut house = house_before(engine, "identity/0030_clustered").await;
        let ada = house.ada().await;
        let attributes = BTreeMap::from([("team".to_owned(), vec!["Physics".to_owned()])]);
        let patch = ProfilePatch { attributes: Some(attributes), ..ProfilePatch::default() };
        house.identity.users().update((house.id(), ada.id), patch, None, &Cause::operator()).await.unwrap();

        let TestStore { store, clock, world, database } = house.test;
        drop((house.identity, store));
        // The database is closed when the last that was under way in it is over.
        let store = loop {
            match Store::open(database.options(), world.clone(), &migrations()).await {
                Err(Error::InUse { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                opened => break opened.unwrap(),
            }
        };
        house.test = TestStore { store: store.clone(), clock, world, database };
        house.identity = crate::house::identity(&house.test, &house.master_text, 64);

        for name in ["ada", "lovelace@example.org"] {
            assert!(matches!(house.try_sign_in(name, PASSWORD).await, SignIn::SignedIn { .. }), "{name}");
        }
        assert!(house.try_user(Some("ADA"), None, keyreeve_identity::Credential::None).await.is_err());
        let users = house.identity.users();
        let found = users.find_by_attribute(house.id(), ("team", "physics"), None, 9).await.unwrap();
        assert_eq!(found.iter().map(|user| user.id).collect::<Vec<_>>(), [ada.id]);
        house.change_state(ada.id, StateChange::Archive).await;
        assert_eq!(house.count(&INDEXED_OF, ada.id.uuid()).await, 0);
        assert!(house.try_user(Some("ADA"), None, keyreeve_identity::Credential::None).await.is_ok());
        house.check().await;
    }
}
