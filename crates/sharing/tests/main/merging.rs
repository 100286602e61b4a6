//! Two accounts of one person become one: what was the one's is the other's, at one moment.

use crate::house::{House, by, house, may, new_grant};
use keyreeve_base::UserId;
use keyreeve_identity::Merge;
use keyreeve_sharing::{Check, Error, Freshness, NewGrant, Party, Reach, ResourcesOf, SubjectsOf};
use keyreeve_testkit::{Engine, on_both_engines};
use std::time::Duration;

fn id_of(party: Party) -> UserId {
    let Party::User(id) = party else { panic!("{party} is no user") };
    id
}

async fn merge(house: &House, keep: Party, absorb: Party) -> Result<(), keyreeve_identity::Error> {
    let merge = Merge { keep: id_of(keep), absorb: id_of(absorb), take: Vec::new(), version: None };
    house.identity.users().merge(&house.admin, merge, &by()).await.map(drop)
}

/// All that somebody can read.
async fn reads(house: &House, subject: Party) -> Vec<String> {
    let of = ResourcesOf {
        subject,
        resource_type: "FILE".to_owned(),
        permission: "READ".to_owned(),
        after: None,
        limit: 100,
    };
    let page = house.sharing.questions().resources_of(&house.admin, &of, Freshness::Bounded).await.unwrap();
    assert!(page.next.is_none());
    page.items.into_iter().map(|one| one.id).collect()
}

on_both_engines! {
    async fn what_one_account_had_the_other_has(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, eve) = (house.user("ada").await, house.user("eve").await);
        let (keep, absorb) = (house.user("keep").await, house.user("absorb").await);
        house.folder("top", ada, None).await;
        for (id, owner, parent) in [
            ("above", ada, Some("top")), ("granted", ada, None), ("both", ada, None), ("ended", ada, None),
            ("owned", absorb, None), ("kept", keep, None),
        ] {
            house.file(id, owner, parent).await;
        }
        let (now, hour) = (house.test.world.now(), Duration::from_secs(3_600));
        let ending = |resource: &str, subject, hours: u32| NewGrant {
            expires_at: Some(now.plus(hour * hours)),
            ..new_grant(resource, "READ", subject, hours == 2)
        };
        house.share("top", "READ", absorb, true).await;
        house.share("granted", "WRITE", absorb, false).await;
        for grant in [ending("both", absorb, 3), ending("both", keep, 2), ending("ended", absorb, 1)] {
            house.share_as(&house.admin, grant).await.unwrap();
        }
        house.test.clock.advance(hour + hour / 2);
        assert_eq!(reads(&house, absorb).await, ["above", "granted", "both", "owned"]);
        assert_eq!(reads(&house, keep).await, ["both", "kept"]);
        merge(&house, keep, absorb).await.unwrap();
        assert_eq!(reads(&house, keep).await, ["above", "granted", "both", "owned", "kept"]);
        assert_eq!(reads(&house, absorb).await, Vec::<String>::new());
        assert!(house.may(keep, "OWNER", "owned").await && house.may(keep, "WRITE", "granted").await);
        assert!(!house.may(absorb, "OWNER", "owned").await && !house.may(keep, "READ", "ended").await);
        let owned = house.sharing.resources().get(&house.admin, "owned").await.unwrap();
        assert_eq!((owned.owner, owned.version), (keep, 2));
        let held = house.sharing.grants().on(&house.admin, "both", false, (None, 10)).await.unwrap().items;
        let held: Vec<_> = held.into_iter().map(|held| held.grant).collect();
        assert_eq!(held.len(), 1, "{held:?}");
        let is = (held[0].subject, held[0].cascade, held[0].expires_at);
        assert_eq!(is, (keep, true, Some(now.plus(hour * 3))), "as if it had been granted to one of them twice");
        let of = SubjectsOf {
            resource: "granted".to_owned(),
            permission: "READ".to_owned(),
            reach: Reach::Effective,
            expand: true,
            exact: false,
            after: None,
            limit: 10,
        };
        let who = house.sharing.questions().subjects_of(&house.admin, &of, Freshness::Bounded).await.unwrap();
        let mut expected = [ada, keep];
        expected.sort_unstable_by_key(|party| party.uuid());
        assert_eq!(who.items, expected);
        // Whoever is not there any more is given nothing.
        let late = house.share_as(&house.admin, new_grant("kept", "READ", absorb, false)).await;
        assert!(matches!(late, Err(Error::NotFound("subject"))), "{late:?}");
        let entries = house.entries().await;
        let entry = entries.iter().find(|entry| entry.action == "user.merge").unwrap();
        assert!(entry.detail.clone().unwrap().contains(r#""carried":{"grants":3,"resources":1}"#), "{:?}", entry.detail);
        assert!(!house.may(eve, "READ", "granted").await);
    }

    /// At every moment one of the two has it, and never both.
    async fn ac_74_no_question_sees_half_of_a_merge(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let ada = house.user("ada").await;
        let (_, second) = house.second().await;
        for round in 0..3 {
            let (keep, absorb) =
                (house.user(&format!("keep-{round}")).await, house.user(&format!("absorb-{round}")).await);
            let ids: Vec<String> = (0..40).map(|n| format!("{round}.{n}")).collect();
            for (n, id) in ids.iter().enumerate() {
                if n % 2 == 0 {
                    house.file(id, absorb, None).await;
                } else {
                    house.file(id, ada, None).await;
                    house.share(id, "READ", absorb, false).await;
                }
            }
            let checks: Vec<Check> = ids
                .iter()
                .flat_map(|id| [keep, absorb].map(|subject| (subject, id.clone())))
                .map(|(subject, resource)| Check { subject, resource, permission: "READ".to_owned() })
                .collect();
            let (first, admin) = (house.sharing.clone(), house.admin.clone());
            let both = [first, second.clone()];
            for sharing in &both {
                // What is in memory is of one moment; what is read for the first time may be newer than that.
                sharing.questions().check_many(&admin, &checks, Freshness::Bounded).await.unwrap();
            }
            let asked: Vec<_> = both
                .into_iter()
                .map(|sharing| {
                    let (admin, checks) = (admin.clone(), checks.clone());
                    tokio::spawn(async move {
                        for _ in 0..10_000 {
                            let found =
                                sharing.questions().check_many(&admin, &checks, Freshness::Bounded).await.unwrap();
                            let keeps: Vec<bool> =
                                found.iter().step_by(2).map(|decision| decision.is_allowed()).collect();
                            let absorbs: Vec<bool> =
                                found.iter().skip(1).step_by(2).map(|decision| decision.is_allowed()).collect();
                            let one = keeps[0];
                            assert!(keeps.iter().all(|keeps| *keeps == one), "{keeps:?} {absorbs:?}");
                            assert!(absorbs.iter().all(|absorbs| *absorbs != one), "{keeps:?} {absorbs:?}");
                            if one {
                                return;
                            }
                            tokio::task::yield_now().await;
                        }
                        panic!("it was never heard of");
                    })
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(20)).await;
            merge(&house, keep, absorb).await.unwrap();
            for asked in asked {
                asked.await.unwrap();
            }
            assert!(may(&second, &house.admin, keep, "OWNER", &ids[0]).await);
        }
    }

    /// A share and a merge at one moment: either it goes along, or there is nobody to share with.
    async fn nothing_is_shared_with_an_account_on_its_way_out(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let ada = house.user("ada").await;
        for round in 0..10 {
            let (keep, absorb) =
                (house.user(&format!("keep-{round}")).await, house.user(&format!("absorb-{round}")).await);
            let ids = [format!("a {round}"), format!("b {round}"), format!("c {round}")];
            for id in &ids {
                house.file(id, ada, None).await;
            }
            let share = async |id: &str| {
                house.share_as(&house.admin, new_grant(id, "READ", absorb, false)).await.map(drop)
            };
            let give = async |id: &str| {
                house.sharing.resources().transfer(&house.admin, id.into(), absorb, &by()).await.map(drop)
            };
            let (shared, given, merged, late) =
                tokio::join!(share(&ids[0]), give(&ids[1]), merge(&house, keep, absorb), share(&ids[2]));
            merged.unwrap();
            for (id, done) in ids.iter().zip([shared, given, late]) {
                let gone = matches!(done, Err(Error::NotFound("subject" | "owner")));
                assert!(gone || done.is_ok(), "{id}: {done:?}");
                assert_eq!(house.may(keep, "READ", id).await, done.is_ok(), "{id}");
            }
        }
    }
}
