//! Shapes that are as large as they get: a chain of a thousand, a nest of a thousand groups, very many children of one
//! resource (100,000 here; `bench/` has a million). What something costs is told in rows that were read and steps that the
//! database made, not in time.

use crate::house::{House, by, house};
use keyreeve_identity::Party;
use keyreeve_sharing::{
    Check, Delete, Error, Freshness, Line, NewGrant, NewResource, Order, Reach, ResourcesOf, Search,
    SubjectsOf,
};
use keyreeve_testkit::{Engine, on_both_engines};
use std::time::Instant;

fn line(id: String, of: &str, owner: Party, parent: Option<String>) -> Line {
    Line::Resource(Box::new(NewResource {
        id: Some(id),
        resource_type: of.to_owned(),
        owner: Some(owner),
        parent,
        name: "one of many".to_owned(),
        ..NewResource::default()
    }))
}

fn grant(resource: String, subject: Party) -> Line {
    let permission = "READ".to_owned();
    Line::Grant(NewGrant { resource, permission, subject, cascade: true, expires_at: None })
}

async fn load(house: &House, lines: &[Line]) {
    let cause = by();
    let mut load = house.sharing.bulk().load(&house.admin, &cause).unwrap();
    for batch in lines.chunks(20_000) {
        let results = load.batch(batch).await.unwrap();
        assert!(results.iter().all(Result::is_ok));
    }
}

async fn first_page(house: &House, subject: Party, of: &str) -> Vec<String> {
    let of = ResourcesOf {
        subject,
        resource_type: of.to_owned(),
        permission: "READ".to_owned(),
        after: None,
        limit: 100,
    };
    let page = house.sharing.questions().resources_of(&house.admin, &of, Freshness::Bounded).await.unwrap();
    page.items.into_iter().map(|found| found.id).collect()
}

on_both_engines! {
    async fn ac_70_a_chain_of_a_thousand_resources(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        let id = |level: usize| format!("n{level}");
        let chain: Vec<Line> = (0..1_000)
            .map(|level| line(id(level), "FOLDER", ada, level.checked_sub(1).map(id)))
            .collect();
        load(&house, &chain).await;
        house.share("n0", "READ", bob, true).await;
        house.share("n500", "WRITE", bob, true).await;
        let fresh = house.second().await;
        for sharing in [&house.sharing, &fresh.1] {
            let questions = sharing.questions();
            let check = Check { subject: bob, resource: "n999".to_owned(), permission: "READ".to_owned() };
            assert!(questions.check(&house.admin, &check, Freshness::Bounded).await.unwrap().is_allowed());
            let all: Vec<Check> = (0..1_000).map(|level| Check { resource: id(level), ..check.clone() }).collect();
            let many = questions.check_many(&house.admin, &all, Freshness::Bounded).await.unwrap();
            assert!(many.iter().all(|decision| decision.is_allowed()));
            let why = questions.explain(&house.admin, &check, Freshness::Bounded).await.unwrap();
            assert_eq!(why.via.unwrap().resources.len(), 500, "the nearest");
            let of = SubjectsOf {
                resource: "n999".to_owned(),
                permission: "READ".to_owned(),
                reach: Reach::Effective,
                expand: true,
                exact: false,
                after: None,
                limit: 10,
            };
            let page = questions.subjects_of(&house.admin, &of, Freshness::Bounded).await.unwrap();
            assert_eq!(page.items.len(), 2);
        }
        let listed: Vec<String> = (0..100).map(id).collect();
        assert_eq!(first_page(&house, bob, "FOLDER").await, listed);
        // As deep as it may be, and no deeper; and no circle of a thousand.
        let resources = house.sharing.resources();
        let circle = resources.move_to(&house.admin, "n0".into(), Some("n999"), &by()).await;
        assert!(matches!(circle, Err(Error::Invalid { field: "parent", .. })));
        house.folder("tall", ada, None).await;
        let deeper: Vec<Line> = (1..30)
            .map(|level| line(format!("tall{level}"), "FOLDER", ada, Some(match level {
                1 => "tall".to_owned(),
                _ => format!("tall{}", level - 1),
            })))
            .collect();
        load(&house, &deeper).await;
        let deep = resources.move_to(&house.admin, "tall".into(), Some("n999"), &by()).await;
        assert!(matches!(deep, Err(Error::Invalid { field: "parent", .. })), "1,030 levels");
        // Gone at once, and cleared away a step at a time.
        resources.delete(&house.admin, "n0".into(), Delete::WithChildren, &by()).await.unwrap();
        assert!(!house.may(ada, "OWNER", "n999").await && first_page(&house, bob, "FOLDER").await.is_empty());
        let mut swept = 0;
        for _ in 0..1_100 {
            let round = house.sharing.sweep().await.unwrap();
            swept += round.resources;
            if round.complete {
                break;
            }
        }
        assert_eq!(swept, 1_000);
    }

    async fn ac_70_a_nest_of_a_thousand_groups(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        house.folder("top", ada, None).await;
        house.file("doc", ada, Some("top")).await;
        // As deep as the tenant's directory may be. Links between short nests first, so that not each looks at all of it.
        let mut groups = Vec::new();
        for number in 0..1_000 {
            groups.push(house.group(&format!("g{number}"), &[]).await);
        }
        let mut links: Vec<usize> = (1..1_000).collect();
        links.sort_by_key(|link| link.trailing_zeros());
        for link in links {
            let Party::Group(outer) = groups[link] else { panic!("no group") };
            house.join(outer, groups[link - 1]).await;
        }
        let Party::Group(innermost) = groups[0] else { panic!("no group") };
        house.join(innermost, bob).await;
        let outermost = groups[999];
        assert!(!house.may(bob, "READ", "doc").await);
        house.share("top", "READ", outermost, true).await;
        assert!(house.may(bob, "READ", "doc").await && house.may(groups[0], "READ", "doc").await);
        let (_, fresh) = house.second().await;
        assert!(crate::house::may(&fresh, &house.admin, bob, "READ", "doc").await, "with nothing in memory");
        let questions = house.sharing.questions();
        let check = Check { subject: bob, resource: "doc".to_owned(), permission: "READ".to_owned() };
        let why = questions.explain(&house.admin, &check, Freshness::Bounded).await.unwrap();
        assert_eq!(why.via.unwrap().groups.len(), 1_000);
        assert_eq!(first_page(&house, bob, "FILE").await, ["doc"]);
        house.leave(groups[500], groups[499]).await;
        assert!(!house.may(bob, "READ", "doc").await && house.may(groups[500], "READ", "doc").await);
        assert!(first_page(&house, bob, "FILE").await.is_empty());
    }
}

/// A hundred thousand children, each shared by itself as well.
#[test]
fn ac_70_very_many_children_of_one_resource() {
    const CHILDREN: usize = 100_000;
    keyreeve_testkit::block_on(async {
        let house = house(Engine::Sqlite).await;
        house.model().await;
        let (ada, bob, eve) = (house.user("ada").await, house.user("bob").await, house.user("eve").await);
        house.folder("top", ada, None).await;
        house.folder("leaf", ada, None).await;
        let id = |child: usize| format!("c{child:06}");
        let children: Vec<Line> =
            (0..CHILDREN).map(|child| line(id(child), "FILE", ada, Some("top".to_owned()))).collect();
        load(&house, &children).await;
        let grants: Vec<Line> = (0..CHILDREN).map(|child| grant(id(child), eve)).collect();
        load(&house, &grants).await;
        // To share and to revoke what has so much below it is what it is on a leaf: it writes the same rows.
        let before = house.entries().await.len();
        for resource in ["top", "leaf"] {
            let rows = rows(&house).await;
            house.share(resource, "READ", bob, true).await;
            assert_eq!(rows + 1, self::rows(&house).await, "{resource}");
            assert!(house.may(bob, "READ", resource).await);
        }
        assert_eq!(house.entries().await.len(), before + 2);
        let last = id(CHILDREN - 1);
        assert!(house.may(bob, "READ", &last).await && house.may(eve, "READ", &last).await);
        // Pages of what is visible cost what is on them.
        let expected: Vec<String> = (0..100).map(id).collect();
        let began = Instant::now();
        assert_eq!(first_page(&house, bob, "FILE").await, expected, "by what comes down");
        assert_eq!(first_page(&house, eve, "FILE").await, expected, "one by one");
        assert_eq!(first_page(&house, ada, "FILE").await, expected, "what is owned");
        let children = house.sharing.resources().children(&house.admin, "top", (None, 100)).await.unwrap();
        assert_eq!(children.items.len(), 100);
        let search = Search { visible_to: Some(bob), order: Order::Newest, limit: 100, ..Search::default() };
        let found =
            house.sharing.questions().search(&house.admin, &search, Freshness::Bounded).await.unwrap();
        assert_eq!(
            found.items.last().map(|found| found.id.clone()),
            Some(id(CHILDREN - 100)),
            "the newest first"
        );
        // Even here, where nothing is optimised: all of them read would take many times as long.
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
        all_of_it(&house, bob, CHILDREN).await;
        house.sharing.grants().revoke_from(&house.admin, ("top", bob), None, &by()).await.unwrap();
        assert!(!house.may(bob, "READ", &last).await && first_page(&house, bob, "FILE").await.is_empty());
        // One row, and everything is gone; it is cleared away in rounds that are bounded.
        house
            .sharing
            .resources()
            .delete(&house.admin, "top".into(), Delete::WithChildren, &by())
            .await
            .unwrap();
        assert!(!house.may(eve, "READ", &last).await && first_page(&house, eve, "FILE").await.is_empty());
        let round = house.sharing.sweep().await.unwrap();
        assert!(round.more && round.resources <= 1_100 && round.grants <= 5_000, "{round:?}");
    });
}

/// A list goes on past a resource on which one party has more grants than are read at once: of permissions that were removed,
/// and whose grants are not swept away yet.
#[test]
fn more_grants_of_one_party_than_are_read_at_once() {
    keyreeve_testkit::block_on(async {
        let house = house(Engine::Sqlite).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        for id in ["before", "crowded", "behind"] {
            house.folder(id, ada, None).await;
        }
        for number in 0..200 {
            let name = format!("P{number}");
            house.permission(Some("FOLDER"), &name, false, &[]).await.unwrap();
            house.share("crowded", &name, bob, true).await;
            let of = (Some("FOLDER"), &*name);
            house.sharing.permissions().delete(&house.admin, of.into(), &by()).await.unwrap();
        }
        for id in ["before", "crowded", "behind"] {
            house.share(id, "READ", bob, true).await;
        }
        let mut of = ResourcesOf {
            subject: bob,
            resource_type: "FOLDER".to_owned(),
            permission: "READ".to_owned(),
            after: None,
            limit: 100,
        };
        let mut found = Vec::new();
        for _ in 0..10 {
            let page =
                house.sharing.questions().resources_of(&house.admin, &of, Freshness::Bounded).await.unwrap();
            found.extend(page.items.into_iter().map(|found| found.id));
            of.after = page.next;
            if of.after.is_none() {
                break;
            }
        }
        assert_eq!(found, ["before", "crowded", "behind"]);
        assert!(of.after.is_none(), "a list without an end");
    });
}

/// Every page of a long list, each child once.
async fn all_of_it(house: &House, subject: Party, children: usize) {
    let mut of = ResourcesOf {
        subject,
        resource_type: "FILE".to_owned(),
        permission: "READ".to_owned(),
        after: None,
        limit: 500,
    };
    let mut seen = 0;
    loop {
        let page =
            house.sharing.questions().resources_of(&house.admin, &of, Freshness::Bounded).await.unwrap();
        for found in page.items {
            assert_eq!(found.id, format!("c{seen:06}"));
            seen += 1;
        }
        let Some(next) = page.next else { break };
        of.after = Some(next);
    }
    assert_eq!(seen, children);
}

keyreeve_store::statements! {
    /// How many grants there are.
    GRANTS = "SELECT COUNT(*) FROM sharing_grant";
}

async fn rows(house: &House) -> i64 {
    let count = async move |tx: &mut keyreeve_store::Tx<'_>| tx.scalar::<i64>(&GRANTS, &[]).await;
    house.test.store.scan(count).await.unwrap()
}
