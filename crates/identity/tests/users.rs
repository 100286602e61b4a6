//! Users: identifiers, uniqueness, patches, states.

use crate::house::{House, PASSWORD, house};
use keyreeve_crypto::Secret;
use keyreeve_identity::{Cause, Credential, Error, Patch, ProfilePatch, StateChange};
use keyreeve_testkit::{Engine, on_both_engines};
use std::collections::BTreeMap;

fn patch(change: impl FnOnce(&mut ProfilePatch)) -> ProfilePatch {
    let mut patch = ProfilePatch::default();
    change(&mut patch);
    patch
}

async fn update(house: &House, user: &keyreeve_identity::User, patch: ProfilePatch) -> Result<(), Error> {
    let of = (house.id(), user.id);
    house.identity.users().update(of, patch, None, &Cause::operator()).await.map(drop)
}

on_both_engines! {
    async fn a_user_is_found_under_either_name_in_any_spelling(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        for spelling in ["ada", "ADA", " ａｄａ ", "lovelace@example.org", "LOVELACE@EXAMPLE.ORG"] {
            let found = house.identity.users().find(house.id(), spelling).await.unwrap();
            assert_eq!(found.map(|user| user.id), Some(ada.id), "{spelling}");
        }
        assert_eq!(house.identity.users().find(house.id(), "bob").await.unwrap(), None);
        assert_eq!(house.identity.users().find(house.id(), "a\u{200b}da").await.unwrap(), None);
        let kept = house.identity.users().get(house.id(), ada.id).await.unwrap();
        assert_eq!(kept.username.as_deref(), Some("Ada"), "kept as given");
        assert_eq!(*kept, *ada);
        house.check().await;
    }

    async fn a_name_is_taken_across_usernames_and_addresses(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        let try_user = async |username, email| house.try_user(username, email, Credential::None).await;
        assert!(matches!(try_user(Some("ADA"), None).await, Err(Error::Taken("username"))));
        assert!(matches!(try_user(Some("bob"), Some("LOVELACE@example.org")).await, Err(Error::Taken("email"))));
        assert!(matches!(try_user(Some("lovelace@EXAMPLE.org"), None).await, Err(Error::Taken("username"))));
        // Nothing of the refused ones is left: bob is still free, also as a name and an address in one.
        let bob = try_user(Some("bob@example.org"), Some("Bob@example.org")).await.unwrap();
        assert!(matches!(try_user(None, Some("bob@example.org")).await, Err(Error::Taken("email"))));
        let found = house.identity.users().find(house.id(), "bob@example.org").await.unwrap();
        assert_eq!(found.map(|user| user.id), Some(bob.id));
        house.check().await;
    }

    async fn of_many_who_claim_a_name_at_once_one_gets_it(engine: Engine) {
        let house = std::sync::Arc::new(house(engine).await);
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..12 {
            let house = house.clone();
            tasks.spawn(async move {
                let own = format!("user-{number}");
                // Half of them as a username, half as an address, so that the two kinds race too.
                let (username, email) = if number % 2 == 0 {
                    (Some("Shared@example.org"), None)
                } else {
                    (Some(own.as_str()), Some("SHARED@example.org"))
                };
                house.try_user(username, email, Credential::None).await
            });
        }
        let answers = tasks.join_all().await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(Error::Taken(_)))), "{answers:?}");
        assert_eq!(house.identity.users().list(house.id(), None, 500).await.unwrap().len(), 1);
        house.check().await;
    }

    async fn an_update_changes_what_it_names_and_minds_the_version(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let users = house.identity.users();
        let change = patch(|p| {
            p.given_name = Patch::Clear;
            p.family_name = Patch::Set(" King ".to_owned());
            p.username = Patch::Set("countess".to_owned());
            p.attributes = Some(BTreeMap::from([("team".to_owned(), vec!["a".to_owned(), "b".to_owned()])]));
        });
        let of = (house.id(), ada.id);
        let after = users.update(of, change, Some(1), &Cause::operator()).await.unwrap();
        assert_eq!((after.given_name.as_deref(), after.family_name.as_deref(), after.version), (None, Some("King"), 2));
        assert_eq!(*users.get(house.id(), ada.id).await.unwrap(), *after, "nothing stale is answered");
        assert!(users.find(house.id(), "ada").await.unwrap().is_none(), "the former name is free");
        assert!(users.find(house.id(), "countess").await.unwrap().is_some());
        let late = users.update(of, ProfilePatch::default(), Some(1), &Cause::operator()).await;
        assert!(matches!(late, Err(Error::VersionConflict)));
        house.check().await;
    }

    async fn an_update_cannot_take_somebody_elses_name(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        let bob = house.try_user(Some("bob"), None, Credential::None).await.unwrap();
        let taken = update(&house, &bob, patch(|p| p.email = Patch::Set("lovelace@example.org".to_owned()))).await;
        assert!(matches!(taken, Err(Error::Taken("email"))));
        assert!(house.identity.users().find(house.id(), "bob").await.unwrap().is_some(), "bob still has his own");
        let none = update(&house, &bob, patch(|p| p.username = Patch::Clear)).await;
        assert!(matches!(none, Err(Error::Invalid { field: "username", .. })));
        house.check().await;
    }

    /// Each change of a state reads the others' before it writes its own.
    async fn of_parallel_changes_of_a_state_none_is_lost(engine: Engine) {
        let house = std::sync::Arc::new(house(engine).await);
        let ada = house.ada().await.id;
        let before = house.identity.users().get(house.id(), ada).await.unwrap();
        assert!(before.is_active(), "and memory knows it now");
        let mut tasks = tokio::task::JoinSet::new();
        for change in [StateChange::Lock, StateChange::Disable, StateChange::RequirePasswordChange] {
            let house = house.clone();
            tasks.spawn(async move { house.change_state(ada, change).await });
        }
        tasks.join_all().await;
        let after = house.identity.users().get(house.id(), ada).await.unwrap();
        assert_eq!((after.enabled, after.locked, after.must_change_password, after.version), (false, true, true, 4));
        house.check().await;
    }

    async fn an_archived_user_is_gone_and_the_names_are_free(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let cookie = house.sign_in("ada", PASSWORD).await.cookie;
        house.change_state(ada.id, StateChange::Archive).await;
        assert!(house.session(&cookie).await.is_none());
        assert!(house.identity.users().list(house.id(), None, 500).await.unwrap().is_empty());
        let (of, cause) = ((house.id(), ada.id), Cause::operator());
        let again = house.identity.users().change_state(of, StateChange::Enable, None, &cause).await;
        assert!(matches!(again, Err(Error::NotFound("user"))));
        let next = house.ada().await;
        assert_ne!(next.id, ada.id, "an identifier is never given out again");
        house.sign_in("ada", PASSWORD).await;
        house.check().await;
    }

    async fn lists_come_in_pages_and_know_their_tenant(engine: Engine) {
        let house = house(engine).await;
        let mut made = Vec::new();
        for number in 0..5 {
            let name = format!("user-{number}");
            made.push(house.try_user(Some(&name), None, Credential::None).await.unwrap().id);
            house.advance(1);
        }
        let users = house.identity.users();
        let first = users.list(house.id(), None, 3).await.unwrap();
        let rest = users.list(house.id(), first.last().map(|user| user.id), 3).await.unwrap();
        let listed: Vec<_> = first.iter().chain(&rest).map(|user| user.id).collect();
        assert_eq!((first.len(), listed), (3, made.clone()));
        assert_eq!(users.list(house.id(), None, 0).await.unwrap().len(), 1, "a page has one at least");
        let other: keyreeve_base::TenantId = house.test.world.new_id();
        assert!(users.list(other, None, 500).await.unwrap().is_empty());
        assert!(users.by_id(other, made[0]).await.unwrap().is_none(), "AC-52: not from another tenant");
        house.check().await;
    }

    async fn what_is_no_user_is_refused_with_the_reason(engine: Engine) {
        let house = house(engine).await;
        let refused = async |username, email, credential| {
            house.try_user(username, email, credential).await.unwrap_err().to_string()
        };
        assert_eq!(refused(None, None, Credential::None).await, "username or an e-mail address is needed");
        assert_eq!(
            refused(Some("a\u{202e}b"), None, Credential::None).await,
            "username contains the character U+202E, which a name may not contain"
        );
        assert_eq!(refused(None, Some("ada"), Credential::None).await, "email has no @");
        let hash = Credential::ImportedHash("$md4$x".to_owned());
        assert_eq!(refused(Some("ada"), None, hash).await, "imported_hash is of no kind that is known here");
        let weak = Credential::Password(Secret::new("Password1234"));
        let error = house.try_user(Some("ada"), None, weak).await.unwrap_err();
        assert!(matches!(error, Error::Policy(_)), "{error}");
        assert!(house.identity.users().list(house.id(), None, 500).await.unwrap().is_empty());
        house.check().await;
    }
}
