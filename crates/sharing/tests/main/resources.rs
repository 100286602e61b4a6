//! The tree: making, moving, transferring, removing.

use crate::house::{House, by, house, house_with, new_grant};
use keyreeve_identity::{Party, RequestKey};
use keyreeve_sharing::{Delete, Error, Line, NewResource, Patch, ResourcePatch, SharingOptions, Target};
use keyreeve_testkit::{Engine, on_both_engines};

async fn move_to(house: &House, id: &str, parent: Option<&str>) -> Result<(), Error> {
    house.sharing.resources().move_to(&house.admin, id.into(), parent, &by()).await.map(drop)
}

async fn delete(house: &House, id: &str, how: Delete) -> Result<(), Error> {
    house.sharing.resources().delete(&house.admin, id.into(), how, &by()).await.map(drop)
}

fn is_invalid<T>(result: &Result<T, Error>, of: &str) -> bool {
    matches!(result, Err(Error::Invalid { field, .. }) if *field == of)
}

async fn chain(house: &House, owner: Party, prefix: &str, length: usize) {
    for n in 0..length {
        let parent = n.checked_sub(1).map(|n| format!("{prefix}{n}"));
        house.folder(&format!("{prefix}{n}"), owner, parent.as_deref()).await;
    }
}

on_both_engines! {
    async fn a_resource_is_made_as_it_is_read_back(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let ada = house.user("ada").await;
        house.folder("top", ada, None).await;
        let new = NewResource {
            id: None,
            resource_type: "FILE".to_owned(),
            owner: Some(ada),
            parent: Some("top".to_owned()),
            name: "a paper".to_owned(),
            description: Some("of mine".to_owned()),
            text: Some("full of words".to_owned()),
            attributes: [("lang".to_owned(), "en".to_owned())].into(),
            metadata: Some(vec![0, 255]),
        };
        let resources = house.sharing.resources();
        let made = resources.create(&house.admin, new.clone(), &by()).await.unwrap().value;
        assert_eq!(resources.get(&house.admin, &made.id).await.unwrap(), made);
        assert_eq!((made.owner, made.parent.as_deref(), made.version), (ada, Some("top"), 1));
        let patch = ResourcePatch { name: Some("b".to_owned()), text: Patch::Clear, ..ResourcePatch::default() };
        let changed = resources.update(&house.admin, Target::new(&made.id, Some(1)), patch.clone(), &by()).await.unwrap().value;
        assert_eq!(resources.get(&house.admin, &made.id).await.unwrap(), changed);
        assert_eq!((changed.name.as_str(), changed.text, changed.version), ("b", None, 2));
        let late = resources.update(&house.admin, Target::new(&made.id, Some(1)), patch, &by()).await;
        assert!(matches!(late, Err(Error::VersionConflict)));
        for (field, new) in [
            ("name", NewResource { name: " ".to_owned(), ..new.clone() }),
            ("id", NewResource { id: Some("x".repeat(300)), ..new.clone() }),
            ("metadata", NewResource { metadata: Some(vec![0; 70_000]), ..new.clone() }),
            ("attributes", NewResource { attributes: [(String::new(), String::new())].into(), ..new.clone() }),
        ] {
            assert!(is_invalid(&resources.create(&house.admin, new, &by()).await, field), "{field}");
        }
        for (what, new) in [
            ("resource type", NewResource { resource_type: "NONE".to_owned(), ..new.clone() }),
            ("parent", NewResource { parent: Some("none".to_owned()), ..new.clone() }),
            ("owner", NewResource { owner: Some(Party::User(house.test.world.new_id())), ..new.clone() }),
        ] {
            let made = resources.create(&house.admin, new, &by()).await;
            assert!(matches!(made, Err(Error::NotFound(found)) if found == what), "{what}");
        }
        assert!(matches!(house.try_resource(("FILE", "top"), ada, None).await, Err(Error::Taken("id"))));
    }

    async fn ac_70_no_circle_and_no_tree_that_is_too_deep(engine: Engine) {
        let house = house_with(engine, SharingOptions { max_depth: 6, ..SharingOptions::default() }).await;
        house.model().await;
        let ada = house.user("ada").await;
        chain(&house, ada, "a", 6).await;
        chain(&house, ada, "b", 3).await;
        assert!(is_invalid(&house.try_resource(("FILE", "deep"), ada, Some("a5")).await, "parent"));
        for below in ["a0", "a1", "a5"] {
            assert!(is_invalid(&move_to(&house, "a0", Some(below)).await, "parent"), "{below}");
        }
        assert!(is_invalid(&move_to(&house, "b0", Some("a3")).await, "parent"), "seven levels");
        move_to(&house, "b0", Some("a2")).await.unwrap();
        assert!(is_invalid(&move_to(&house, "a0", Some("b2")).await, "parent"), "a circle by way of b");
        move_to(&house, "b0", None).await.unwrap();
        assert_eq!(house.sharing.resources().get(&house.admin, "b0").await.unwrap().parent, None);
    }

    async fn ac_70_of_two_moves_that_close_a_circle_together_one_fails(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let ada = house.user("ada").await;
        for _ in 0..5 {
            let [a, b] = [house.test.world.new_uuid().to_string(), house.test.world.new_uuid().to_string()];
            house.folder(&a, ada, None).await;
            house.folder(&b, ada, None).await;
            let (one, two) = tokio::join!(move_to(&house, &a, Some(&b)), move_to(&house, &b, Some(&a)));
            assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        }
    }

    async fn ac_72_rights_come_from_where_a_resource_lies(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob, eve) = (house.user("ada").await, house.user("bob").await, house.user("eve").await);
        for id in ["one", "two"] {
            house.folder(id, ada, None).await;
        }
        house.folder("mid", ada, Some("one")).await;
        house.file("doc", ada, Some("mid")).await;
        house.share("one", "READ", bob, true).await;
        house.share("two", "WRITE", eve, true).await;
        assert!(house.may(bob, "READ", "doc").await && !house.may(eve, "READ", "doc").await);
        move_to(&house, "mid", Some("two")).await.unwrap();
        assert!(!house.may(bob, "READ", "doc").await && house.may(eve, "READ", "doc").await);
        move_to(&house, "mid", None).await.unwrap();
        assert!(!house.may(bob, "READ", "doc").await && !house.may(eve, "READ", "doc").await);
        assert!(house.may(ada, "OWNER", "doc").await);
    }

    async fn who_is_given_a_resource_has_it_and_all_below(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        house.folder("top", ada, None).await;
        house.file("doc", ada, Some("top")).await;
        let resources = house.sharing.resources();
        resources.transfer(&house.admin, Target::new("top", Some(1)), bob, &by()).await.unwrap();
        for permission in ["READ", "WRITE", "SHARE", "OWNER"] {
            assert!(house.may(bob, permission, "doc").await, "{permission}");
        }
        assert!(!house.may(ada, "READ", "top").await && house.may(ada, "READ", "doc").await);
        let nobody = Party::User(house.test.world.new_id());
        let given = resources.transfer(&house.admin, "top".into(), nobody, &by()).await;
        assert!(matches!(given, Err(Error::NotFound("owner"))));
    }

    async fn what_lies_below_goes_at_once_or_keeps_it_from_going(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        chain(&house, ada, "a", 4).await;
        house.share("a3", "READ", bob, false).await;
        assert!(matches!(delete(&house, "a1", Delete::Alone).await, Err(Error::InUse(_))));
        delete(&house, "a1", Delete::WithChildren).await.unwrap();
        for gone in ["a1", "a2", "a3"] {
            assert!(!house.may(bob, "READ", gone).await && !house.may(ada, "OWNER", gone).await, "{gone}");
            let found = house.sharing.resources().get(&house.admin, gone).await;
            assert!(matches!(found, Err(Error::NotFound("resource"))), "{gone}");
            let shared = house.share_as(&house.admin, new_grant(gone, "READ", bob, false)).await;
            assert!(matches!(shared, Err(Error::NotFound("resource"))), "{gone}");
        }
        assert!(house.may(ada, "OWNER", "a0").await);
        // The identifiers are free, and nothing of before comes back with them.
        chain_below(&house, ada).await;
        assert!(house.may(ada, "OWNER", "a3").await && !house.may(bob, "READ", "a3").await);
        delete(&house, "a3", Delete::Alone).await.unwrap();
        assert!(matches!(delete(&house, "a3", Delete::Alone).await, Err(Error::NotFound(_))));
    }

    async fn ac_70_a_chain_of_a_thousand_is_walked(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        let lines: Vec<Line> = (0..1_000)
            .map(|n: usize| {
                let parent = n.checked_sub(1).map(|n| format!("n{n}"));
                Line::Resource(Box::new(NewResource {
                    id: Some(format!("n{n}")),
                    resource_type: "FOLDER".to_owned(),
                    owner: Some(ada),
                    parent,
                    name: "one of many".to_owned(),
                    ..NewResource::default()
                }))
            })
            .collect();
        let cause = by();
        house.sharing.bulk().load(&house.admin, &cause).unwrap().batch(&lines).await.unwrap();
        house.share("n0", "READ", bob, true).await;
        assert!(house.may(bob, "READ", "n999").await);
        let (_, fresh) = house.second().await;
        assert!(crate::house::may(&fresh, &house.admin, bob, "READ", "n999").await, "with nothing in memory");
        move_to(&house, "n1", None).await.unwrap();
        assert!(!house.may(bob, "READ", "n999").await);
    }

    async fn a_request_that_is_repeated_makes_nothing_twice(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        let named = async |name: &str, content: &str| {
            let key = RequestKey::new(&house.identity, house.tenant, name, content.as_bytes()).await.unwrap();
            by().of_request(key)
        };
        let new = NewResource {
            resource_type: "FOLDER".to_owned(),
            owner: Some(ada),
            name: "once".to_owned(),
            ..NewResource::default()
        };
        let resources = house.sharing.resources();
        let first = resources.create(&house.admin, new.clone(), &named("r", "new").await).await.unwrap();
        let again = resources.create(&house.admin, new.clone(), &named("r", "new").await).await.unwrap();
        assert_eq!((&first.value, first.repeated, again.repeated), (&again.value, false, true));
        let other = resources.create(&house.admin, new.clone(), &named("r", "other").await).await;
        assert!(matches!(other, Err(Error::KeyReused)));
        let chosen = NewResource { id: Some("chosen".to_owned()), ..new };
        for repeated in [false, true] {
            let made = resources.create(&house.admin, chosen.clone(), &named("c", "chosen").await).await.unwrap();
            assert_eq!((made.value.id.as_str(), made.repeated), ("chosen", repeated));
        }
        let grants = house.sharing.grants();
        let share = new_grant("chosen", "READ", bob, false);
        for repeated in [false, true] {
            let made = grants.share(&house.admin, share.clone(), &named("g", "share").await).await.unwrap();
            assert_eq!(made.repeated, repeated);
        }
        grants.revoke_from(&house.admin, ("chosen", bob), None, &by()).await.unwrap();
        let late = grants.share(&house.admin, share, &named("g", "share").await).await;
        assert!(matches!(late, Err(Error::NotFound("grant"))), "it does not come back");
        assert!(!house.may(bob, "READ", "chosen").await);
    }
}

async fn chain_below(house: &House, owner: Party) {
    house.folder("a3", owner, Some("a0")).await;
    house.folder("a1", owner, Some("a0")).await;
}
