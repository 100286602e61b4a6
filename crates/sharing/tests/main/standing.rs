//! Who may do what, and ask about whom.

use crate::house::{House, by, house, may, new_grant};
use keyreeve_identity::Authority;
use keyreeve_sharing::{
    Check, Decision, Delete, Denial, Error, Freshness, NewResource, NewType, Party, ResourcePatch,
};
use keyreeve_testkit::{Engine, on_both_engines};

async fn ask(house: &House, asker: &Authority, subject: Party, resource: &str) -> Result<Decision, Error> {
    let check = Check { subject, resource: resource.to_owned(), permission: "READ".to_owned() };
    house.sharing.questions().check(asker, &check, Freshness::Bounded).await
}

fn new_file(id: Option<&str>, parent: Option<&str>) -> NewResource {
    NewResource {
        id: id.map(str::to_owned),
        resource_type: "FILE".to_owned(),
        parent: parent.map(str::to_owned),
        name: "new".to_owned(),
        ..NewResource::default()
    }
}

fn denied<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Denied(_)))
}

fn missing<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::NotFound("resource")))
}

on_both_engines! {
    async fn ac_73_only_owners_and_sharers_share(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob, eve) = (house.user("ada").await, house.user("bob").await, house.user("eve").await);
        house.folder("top", ada, None).await;
        house.file("doc", ada, Some("top")).await;
        let (as_ada, as_bob) = (house.as_party(ada).await, house.as_party(bob).await);
        let share = new_grant("doc", "READ", eve, false);
        assert!(missing(&house.share_as(&as_bob, share.clone()).await), "what he does not see is not there");
        house.share("doc", "WRITE", bob, false).await;
        assert!(denied(&house.share_as(&as_bob, share.clone()).await), "a writer does not share");
        house.share_as(&as_ada, share.clone()).await.unwrap();
        house.share("top", "SHARE", bob, true).await;
        house.share_as(&as_bob, share).await.unwrap();
        let revoked = house.sharing.grants().revoke_from(&as_bob, ("doc", eve), None, &by()).await;
        assert_eq!(revoked.unwrap().grants, 1);
        let owner = house.share_as(&as_bob, new_grant("doc", "OWNER", bob, false)).await;
        assert!(matches!(owner, Err(Error::Invalid { field: "permission", .. })));
        // Who shares owns nothing: no change, no transfer, no removal.
        let resources = house.sharing.resources();
        assert!(denied(&resources.update(&as_bob, "doc".into(), ResourcePatch::default(), &by()).await));
        assert!(denied(&resources.transfer(&as_bob, "doc".into(), bob, &by()).await));
        assert!(denied(&resources.delete(&as_bob, "doc".into(), Delete::Alone, &by()).await));
        assert!(denied(&resources.move_to(&as_bob, "doc".into(), None, &by()).await));
    }

    async fn ac_72_a_move_takes_rights_at_both_ends(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        house.folder("adas", ada, None).await;
        house.file("secret", ada, Some("adas")).await;
        house.folder("bobs", bob, None).await;
        house.file("bait", bob, Some("bobs")).await;
        let as_bob = house.as_party(bob).await;
        let resources = house.sharing.resources();
        assert!(missing(&resources.move_to(&as_bob, "secret".into(), Some("bobs"), &by()).await));
        let into = resources.move_to(&as_bob, "bait".into(), Some("adas"), &by()).await;
        assert!(matches!(into, Err(Error::NotFound("parent"))));
        house.share("adas", "WRITE", bob, true).await;
        assert!(denied(&resources.move_to(&as_bob, "secret".into(), Some("bobs"), &by()).await));
        assert!(denied(&resources.move_to(&as_bob, "bait".into(), Some("adas"), &by()).await));
        house.share("adas", "SHARE", bob, false).await;
        resources.move_to(&as_bob, "bait".into(), Some("adas"), &by()).await.unwrap();
        assert!(house.may(ada, "OWNER", "bait").await, "what lies in a tree is its owner's");
    }

    async fn ac_73_who_does_not_manage_the_tenant_makes_only_what_is_theirs(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        house.folder("top", ada, None).await;
        let (as_ada, as_bob) = (house.as_party(ada).await, house.as_party(bob).await);
        let resources = house.sharing.resources();
        assert!(denied(&resources.create(&as_ada, new_file(None, None), &by()).await), "at the top");
        assert!(denied(&resources.create(&as_ada, new_file(Some("doc"), Some("top")), &by()).await), "named");
        let other = NewResource { owner: Some(bob), ..new_file(None, Some("top")) };
        assert!(denied(&resources.create(&as_ada, other, &by()).await), "another's");
        let made = resources.create(&as_ada, new_file(None, Some("top")), &by()).await.unwrap().value;
        assert_eq!(made.owner, ada);
        let below = resources.create(&as_bob, new_file(None, Some("top")), &by()).await;
        assert!(matches!(below, Err(Error::NotFound("parent"))));
        let new = NewType { id: "X".to_owned(), name: "x".to_owned(), description: None };
        assert!(denied(&house.sharing.types().create(&as_ada, new, &by()).await));
        assert!(denied(&house.sharing.types().delete(&as_ada, "FILE".into(), &by()).await));
        assert!(denied(&house.sharing.permissions().delete(&as_ada, (Some("FILE"), "READ").into(), &by()).await));
        assert!(denied(&house.sharing.grants().revoke_all_of(&as_ada, bob, &by()).await));
    }

    async fn everybody_asks_about_themselves_and_sharers_about_theirs(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        house.file("doc", ada, None).await;
        let (as_ada, as_bob) = (house.as_party(ada).await, house.as_party(bob).await);
        let no = Decision::Denied(Denial::NotGranted);
        // To Bob, what he has nothing on and what there is not look alike.
        for resource in ["doc", "none", "", "a\u{0}b"] {
            assert_eq!(ask(&house, &as_bob, bob, resource).await.unwrap(), no);
            assert!(missing(&ask(&house, &as_bob, ada, resource).await), "{resource:?}");
        }
        house.share("doc", "READ", bob, false).await;
        assert_eq!(ask(&house, &as_bob, bob, "doc").await.unwrap(), Decision::Allowed);
        assert!(denied(&ask(&house, &as_bob, ada, "doc").await));
        assert_eq!(ask(&house, &as_ada, bob, "doc").await.unwrap(), Decision::Allowed);
        // The tenant's administrators learn why.
        let nobody = Party::User(house.test.world.new_id());
        for (subject, resource, why) in [
            (bob, "none", Denial::NoResource),
            (nobody, "doc", Denial::NoSubject),
        ] {
            assert_eq!(ask(&house, &house.admin, subject, resource).await.unwrap(), Decision::Denied(why));
        }
        let other = house.other_tenant().await;
        let decision = ask(&house, &other, bob, "doc").await.unwrap();
        assert_eq!(decision, Decision::Denied(Denial::NoResource));
        assert!(!may(&house.sharing, &other, bob, "READ", "doc").await);
    }

    async fn many_are_answered_as_each_alone(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        house.folder("top", ada, None).await;
        house.share("top", "READ", bob, true).await;
        let mut checks = Vec::new();
        for n in 0..20 {
            house.file(&format!("f{n}"), ada, Some("top").filter(|_| n % 2 == 0)).await;
            for (subject, permission) in [(bob, "READ"), (bob, "WRITE"), (ada, "OWNER"), (bob, "NONE")] {
                let resource = if n == 19 { "none".to_owned() } else { format!("f{n}") };
                checks.push(Check { subject, resource, permission: permission.to_owned() });
            }
        }
        let questions = house.sharing.questions();
        let many = questions.check_many(&house.admin, &checks, Freshness::Bounded).await.unwrap();
        for (check, decision) in checks.iter().zip(many) {
            let alone = questions.check(&house.admin, check, Freshness::Bounded).await.unwrap();
            assert_eq!(alone, decision, "{check:?}");
        }
        let too_many = vec![checks[0].clone(); 1_001];
        let refused = questions.check_many(&house.admin, &too_many, Freshness::Bounded).await;
        assert!(matches!(refused, Err(Error::Invalid { field: "checks", .. })));
    }
}
