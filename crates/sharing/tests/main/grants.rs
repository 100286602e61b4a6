//! Sharing and revoking.

use crate::house::{House, by, house, new_grant};
use keyreeve_sharing::{Error, GrantKind, HeldGrant, NewGrant, Party};
use keyreeve_testkit::{Engine, on_both_engines};
use std::time::Duration;

async fn grants_on(house: &House, resource: &str) -> Vec<HeldGrant> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = house.sharing.grants().on(&house.admin, resource, true, (after, 2)).await.unwrap();
        assert!(page.items.len() <= 2);
        all.extend(page.items);
        match page.next {
            Some(next) => after = Some(next.to_string().parse().unwrap()),
            None => return all,
        }
    }
}

async fn revoke(house: &House, resource: &str, subject: Party, permission: Option<&str>) -> u64 {
    let grants = house.sharing.grants();
    grants.revoke_from(&house.admin, (resource, subject), permission, &by()).await.unwrap().grants
}

async fn tree(house: &House) -> Party {
    house.model().await;
    let ada = house.user("ada").await;
    house.folder("top", ada, None).await;
    house.folder("mid", ada, Some("top")).await;
    house.file("doc", ada, Some("mid")).await;
    ada
}

on_both_engines! {
    async fn a_grant_goes_down_only_if_it_cascades(engine: Engine) {
        let house = house(engine).await;
        tree(&house).await;
        let (bob, eve) = (house.user("bob").await, house.user("eve").await);
        house.share("top", "READ", bob, false).await;
        house.share("top", "READ", eve, true).await;
        assert!(house.may(bob, "READ", "top").await && !house.may(bob, "READ", "doc").await);
        assert!(house.may(eve, "READ", "top").await && house.may(eve, "READ", "doc").await);
        house.file("later", eve, Some("mid")).await;
        assert!(!house.may(bob, "READ", "later").await);
        assert!(!house.may(eve, "WRITE", "doc").await);
    }

    async fn what_a_group_has_everybody_has_who_is_in_it(engine: Engine) {
        let house = house(engine).await;
        tree(&house).await;
        let bob = house.user("bob").await;
        let inner = house.group("inner", &[bob]).await;
        let outer = house.group("outer", &[inner]).await;
        house.share("top", "WRITE", outer, true).await;
        assert!(house.may(bob, "READ", "doc").await && house.may(inner, "READ", "doc").await);
        house.leave(inner, bob).await;
        assert!(!house.may(bob, "READ", "doc").await);
    }

    async fn ac_71_revoking_takes_what_was_granted_there_and_nothing_else(engine: Engine) {
        let house = house(engine).await;
        tree(&house).await;
        let bob = house.user("bob").await;
        house.share("top", "READ", bob, true).await;
        house.share("doc", "READ", bob, false).await;
        assert_eq!(revoke(&house, "top", bob, Some("READ")).await, 1);
        assert!(house.may(bob, "READ", "doc").await, "its own grant stays");
        assert!(!house.may(bob, "READ", "mid").await, "what came from above is gone");
        house.share("top", "READ", bob, true).await;
        assert_eq!(revoke(&house, "doc", bob, None).await, 1);
        assert!(house.may(bob, "READ", "doc").await, "what comes from above stays");
        assert_eq!(revoke(&house, "doc", bob, None).await, 0);
    }

    async fn each_listing_tells_how_a_grant_comes_there(engine: Engine) {
        let house = house(engine).await;
        tree(&house).await;
        let mut parties = Vec::new();
        for name in ["bob", "eve", "joe"] {
            parties.push(house.user(name).await);
        }
        let [bob, eve, joe] = parties[..] else { panic!() };
        house.share("doc", "READ", bob, false).await;
        house.share("doc", "WRITE", eve, true).await;
        house.share("mid", "READ", joe, true).await;
        house.share("mid", "READ", eve, false).await;
        house.share("top", "SHARE", bob, true).await;
        let found = grants_on(&house, "doc").await;
        let brief: Vec<_> = found
            .iter()
            .map(|held| (held.grant.resource.as_str(), held.grant.subject, held.kind.clone()))
            .collect();
        assert_eq!(
            brief,
            [
                ("doc", bob, GrantKind::Direct),
                ("doc", eve, GrantKind::DirectCascading),
                ("mid", joe, GrantKind::Inherited),
                ("top", bob, GrantKind::Inherited)
            ]
        );
        let grants = house.sharing.grants();
        let id = found[1].grant.id.to_string().parse().unwrap();
        assert_eq!(grants.get(&house.admin, id).await.unwrap(), found[1].grant);
        grants.revoke(&house.admin, id, &by()).await.unwrap();
        assert!(matches!(grants.revoke(&house.admin, id, &by()).await, Err(Error::NotFound("grant"))));
        assert!(matches!(grants.get(&house.admin, id).await, Err(Error::NotFound("grant"))));
        let other = house.other_tenant().await;
        assert!(matches!(grants.get(&other, found[0].grant.id).await, Err(Error::NotFound("grant"))));
        assert!(matches!(grants.revoke(&other, found[0].grant.id, &by()).await, Err(Error::NotFound("grant"))));
    }

    async fn a_grant_that_is_made_again_only_grows(engine: Engine) {
        let house = house(engine).await;
        tree(&house).await;
        let bob = house.user("bob").await;
        let now = house.test.world.now();
        let hour = now.plus(Duration::from_secs(3_600));
        let until = |end| NewGrant { expires_at: end, ..new_grant("top", "READ", bob, false) };
        house.share_as(&house.admin, until(Some(hour))).await.unwrap();
        let more = house.share_as(&house.admin, new_grant("top", "READ", bob, true)).await.unwrap();
        assert_eq!((more.cascade, more.expires_at), (true, None));
        let less = house.share_as(&house.admin, until(Some(hour))).await.unwrap();
        assert_eq!((less.cascade, less.expires_at), (true, None));
        let past = house.share_as(&house.admin, until(Some(now))).await;
        assert!(matches!(past, Err(Error::Invalid { field: "expires_at", .. })));
    }

    async fn a_grant_ends_at_its_moment(engine: Engine) {
        let house = house(engine).await;
        tree(&house).await;
        let bob = house.user("bob").await;
        let end = house.test.world.now().plus(Duration::from_secs(60));
        let new = NewGrant { expires_at: Some(end), ..new_grant("top", "READ", bob, true) };
        house.share_as(&house.admin, new).await.unwrap();
        house.test.clock.advance(Duration::from_secs(59));
        assert!(house.may(bob, "READ", "doc").await);
        house.test.clock.advance(Duration::from_secs(1));
        assert!(!house.may(bob, "READ", "doc").await);
        assert!(grants_on(&house, "doc").await.is_empty());
        // Made anew, it is as new: nothing of the one that ended lives on.
        let grant = house.share("top", "READ", bob, false).await;
        assert!(!grant.cascade && house.may(bob, "READ", "top").await && !house.may(bob, "READ", "doc").await);
    }

    async fn ac_73_nobody_grants_ownership_or_what_there_is_not(engine: Engine) {
        let house = house(engine).await;
        let ada = tree(&house).await;
        let owner = house.share_as(&house.admin, new_grant("doc", "OWNER", ada, false)).await;
        assert!(matches!(owner, Err(Error::Invalid { field: "permission", .. })));
        let revoked = house.sharing.grants().revoke_from(&house.admin, ("doc", ada), Some("OWNER"), &by()).await;
        assert!(matches!(revoked, Err(Error::Invalid { field: "permission", .. })));
        let none = Party::User(house.test.world.new_id());
        for (new, what) in [
            (new_grant("none", "READ", ada, false), "resource"),
            (new_grant("doc", "NONE", ada, false), "permission"),
            (new_grant("doc", "READ", none, false), "subject"),
        ] {
            let shared = house.share_as(&house.admin, new).await;
            assert!(matches!(shared, Err(Error::NotFound(found)) if found == what), "{what}");
        }
    }

    async fn everything_of_a_resource_or_a_subject_goes_in_bounded_steps(engine: Engine) {
        let house = house(engine).await;
        let ada = tree(&house).await;
        let bob = house.user("bob").await;
        for n in 0..130 {
            let group = house.group(&format!("group {n}"), &[bob]).await;
            house.share("top", "READ", group, true).await;
        }
        assert_eq!(grants_on(&house, "doc").await.len(), 130);
        assert!(house.may(bob, "READ", "doc").await);
        let grants = house.sharing.grants();
        assert_eq!(grants.revoke_all_on(&house.admin, "top", &by()).await.unwrap().grants, 130);
        assert!(!house.may(bob, "READ", "doc").await);
        for n in 0..120 {
            house.file(&format!("file {n}"), ada, None).await;
            house.share(&format!("file {n}"), "READ", bob, false).await;
        }
        assert_eq!(grants.revoke_all_of(&house.admin, bob, &by()).await.unwrap().grants, 120);
        assert!(!house.may(bob, "READ", "file 7").await);
        let revoked = house.entries().await.into_iter().filter(|entry| entry.action == "grant.revoke").count();
        assert_eq!(revoked, 4, "two steps each");
    }

    async fn who_is_disabled_or_gone_has_nothing(engine: Engine) {
        use keyreeve_identity::StateChange;
        let house = house(engine).await;
        tree(&house).await;
        let bob = house.user("bob").await;
        let Party::User(id) = bob else { panic!() };
        let team = house.group("team", &[bob]).await;
        house.share("top", "READ", team, true).await;
        house.share("doc", "WRITE", bob, false).await;
        let users = house.identity.users();
        let change = async |change| users.change_state((house.tenant, id), change, None, &by()).await.unwrap();
        change(StateChange::Disable).await;
        assert!(!house.may(bob, "READ", "doc").await && !house.may(bob, "WRITE", "doc").await);
        change(StateChange::Enable).await;
        assert!(house.may(bob, "WRITE", "doc").await);
        let Party::Group(group) = team else { panic!() };
        house.identity.groups().delete((house.tenant, group), None, &by()).await.unwrap();
        assert!(!house.may(bob, "READ", "top").await && !house.may(team, "READ", "top").await);
        change(StateChange::Archive).await;
        assert!(!house.may(bob, "WRITE", "doc").await);
        assert!(grants_on(&house, "doc").await.is_empty());
    }
}
