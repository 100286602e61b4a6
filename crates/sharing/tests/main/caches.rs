//! Freshness: what one node writes, every node knows (ABUSE-CASES AC-74).

use crate::house::{by, house, may, new_grant};
use keyreeve_sharing::{Check, Error, Freshness, Revision};
use keyreeve_testkit::{Engine, on_both_engines};
use std::time::{Duration, Instant};

on_both_engines! {
    async fn ac_74_a_node_answers_as_currently_as_is_asked_for(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        house.file("doc", ada, None).await;
        let (_, second) = house.second().await;
        let check = Check { subject: bob, resource: "doc".to_owned(), permission: "READ".to_owned() };
        for round in 0..20 {
            let new = new_grant("doc", "READ", bob, false);
            let shared = house.sharing.grants().share(&house.admin, new, &by()).await.unwrap();
            let at = Freshness::AtLeast(shared.revision.to_string().parse().unwrap());
            let decision = second.questions().check(&house.admin, &check, at).await.unwrap();
            assert!(decision.is_allowed(), "round {round}");
            let revoked = house.sharing.grants().revoke(&house.admin, shared.value.id, &by()).await.unwrap();
            assert!(revoked > shared.revision);
            let at = Freshness::AtLeast(revoked);
            let decision = second.questions().check(&house.admin, &check, at).await.unwrap();
            assert!(!decision.is_allowed(), "round {round}");
        }
        let future: Revision = "rfffffffffffff".parse().unwrap();
        let asked = second.questions().check(&house.admin, &check, Freshness::AtLeast(future)).await;
        assert!(matches!(asked, Err(Error::Invalid { field: "revision", .. })), "{asked:?}");
        for bad in ["", "r", "17", "rx", "r1234567890123456", "r-1"] {
            assert!(bad.parse::<Revision>().is_err(), "{bad}");
        }
    }

    /// No yes outlives the bound, whatever was in memory: a grant, a group's member, a place in the tree.
    async fn ac_74_a_right_that_was_taken_is_gone_everywhere_within_the_bound(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        let team = house.group("team", &[bob]).await;
        for id in ["granted", "by group", "from above", "owned", "removed"] {
            house.folder(id, ada, None).await;
        }
        house.folder("moved", ada, Some("from above")).await;
        house.share("granted", "READ", bob, false).await;
        house.share("by group", "READ", team, false).await;
        house.share("from above", "READ", bob, true).await;
        house.share("removed", "READ", bob, true).await;
        house.sharing.resources().transfer(&house.admin, "owned".into(), bob, &by()).await.unwrap();
        let (_, second) = house.second().await;
        let asked = ["granted", "by group", "moved", "owned", "removed"];
        for id in asked {
            assert!(may(&second, &house.admin, bob, "READ", id).await, "{id}");
        }
        let resources = house.sharing.resources();
        house.sharing.grants().revoke_from(&house.admin, ("granted", bob), None, &by()).await.unwrap();
        house.leave(team, bob).await;
        resources.move_to(&house.admin, "moved".into(), None, &by()).await.unwrap();
        resources.transfer(&house.admin, "owned".into(), ada, &by()).await.unwrap();
        resources.delete(&house.admin, "removed".into(), keyreeve_sharing::Delete::Alone, &by()).await.unwrap();
        for id in asked {
            assert!(!house.may(bob, "READ", id).await, "{id}: the node that wrote it knows at once");
        }
        let start = Instant::now();
        for id in asked {
            while may(&second, &house.admin, bob, "READ", id).await {
                assert!(start.elapsed() < Duration::from_secs(1), "{id}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// Many grants on one resource are not kept with it, and are right all the same.
    async fn a_resource_with_very_many_grants_is_answered_by_party(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        let team = house.group("team", &[bob]).await;
        house.folder("top", ada, None).await;
        house.file("doc", ada, Some("top")).await;
        house.crowd("top", 2_100).await;
        assert!(!house.may(bob, "READ", "doc").await);
        house.share("top", "READ", team, true).await;
        assert!(house.may(bob, "READ", "doc").await);
        house.sharing.grants().revoke_from(&house.admin, ("top", team), None, &by()).await.unwrap();
        assert!(!house.may(bob, "READ", "doc").await && house.may(ada, "READ", "doc").await);
    }
}
