//! Lists, explanations, search; and that all questions agree.

use crate::house::{House, by, house, may, new_grant};
use keyreeve_filter::parse;
use keyreeve_sharing::{
    Check, Decision, Delete, Denial, Error, Freshness, Grant, Order, Party, Reach, ResourceField,
    ResourcesOf, Search, SubjectsOf,
};
use keyreeve_testkit::{Engine, on_both_engines};
use std::collections::BTreeSet;

async fn resources_of(
    house: &House,
    subject: Party,
    kind: &str,
    permission: &str,
    limit: u16,
) -> Vec<String> {
    let mut of = ResourcesOf {
        subject,
        resource_type: kind.to_owned(),
        permission: permission.to_owned(),
        after: None,
        limit,
    };
    let mut all = Vec::new();
    loop {
        let page =
            house.sharing.questions().resources_of(&house.admin, &of, Freshness::Bounded).await.unwrap();
        assert!(page.items.len() <= usize::from(limit));
        all.extend(page.items.into_iter().map(|found| found.id));
        match page.next {
            Some(next) => of.after = Some(next.to_string().parse().unwrap()),
            None => return all,
        }
    }
}

fn subjects(resource: &str, permission: &str) -> SubjectsOf {
    SubjectsOf {
        resource: resource.to_owned(),
        permission: permission.to_owned(),
        reach: Reach::Effective,
        expand: true,
        exact: false,
        after: None,
        limit: 500,
    }
}

async fn subjects_of(house: &House, mut of: SubjectsOf) -> Vec<Party> {
    let mut all = Vec::new();
    loop {
        let page =
            house.sharing.questions().subjects_of(&house.admin, &of, Freshness::Bounded).await.unwrap();
        all.extend(page.items);
        match page.next {
            Some(next) => of.after = Some(next.to_string().parse().unwrap()),
            None => return all,
        }
    }
}

fn search(filter: &str) -> Search {
    let filter = parse(filter).unwrap().resolve(&mut |path: &keyreeve_filter::Path| {
        Ok::<_, String>(match path.name.as_str() {
            "id" => ResourceField::Id,
            "type" => ResourceField::Type,
            "owner" => ResourceField::Owner,
            "parent" => ResourceField::Parent,
            "name" => ResourceField::Name,
            "text" => ResourceField::Text,
            "created" => ResourceField::CreatedAt,
            "shared" => ResourceField::SharedCount,
            "permission" => ResourceField::Permission,
            other => ResourceField::Attribute(other.to_owned()),
        })
    });
    Search { filter: Some(filter.unwrap()), limit: 500, ..Search::default() }
}

async fn found(house: &House, search: &Search) -> Vec<String> {
    let mut search = search.clone();
    let mut all = Vec::new();
    loop {
        let page = house.sharing.questions().search(&house.admin, &search, Freshness::Bounded).await.unwrap();
        all.extend(page.items.into_iter().map(|resource| resource.id));
        match page.next {
            Some(next) => search.after = Some(next.to_string().parse().unwrap()),
            None => return all,
        }
    }
}

/// A generator of numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

/// People, groups in groups, and a tree of two types.
struct Town {
    people: Vec<Party>,
    groups: Vec<Party>,
    resources: Vec<(&'static str, String)>,
}

async fn town(house: &House, dice: &mut Dice) -> Town {
    house.model().await;
    let mut town = Town { people: Vec::new(), groups: Vec::new(), resources: Vec::new() };
    for n in 0..5 {
        town.people.push(house.user(&format!("user{n}")).await);
    }
    for n in 0..4 {
        let mut members = vec![dice.pick(&town.people)];
        members.extend(town.groups.last().copied().filter(|_| n % 2 == 1));
        town.groups.push(house.group(&format!("group{n}"), &members).await);
    }
    for n in 0..16_usize {
        let kind = dice.pick(&["FOLDER", "FILE"]);
        let parent = (n > 2).then(|| dice.pick(&town.resources).1);
        let id = format!("r{n}");
        let owner = if n == 5 { town.groups[0] } else { dice.pick(&town.people) };
        house.try_resource((kind, &id), owner, parent.as_deref()).await.unwrap();
        town.resources.push((kind, id));
    }
    town
}

async fn change(house: &House, town: &mut Town, dice: &mut Dice, grants: &mut Vec<Grant>) {
    let (_, id) = dice.pick(&town.resources);
    let parties = [town.people.as_slice(), &town.groups].concat();
    match dice.below(10) {
        0..6 => {
            let new = new_grant(
                &id,
                dice.pick(&["READ", "WRITE", "SHARE"]),
                dice.pick(&parties),
                dice.below(2) == 0,
            );
            grants.push(house.share_as(&house.admin, new).await.unwrap());
        }
        6 if !grants.is_empty() => {
            let grant = grants.swap_remove(dice.below(grants.len()));
            let _ = house.sharing.grants().revoke(&house.admin, grant.id, &by()).await;
        }
        7 => {
            let (_, to) = dice.pick(&town.resources);
            let to = Some(to.as_str()).filter(|_| dice.below(4) > 0);
            let _ = house.sharing.resources().move_to(&house.admin, id.as_str().into(), to, &by()).await;
        }
        8 => {
            let owner = dice.pick(&parties);
            house.sharing.resources().transfer(&house.admin, id.as_str().into(), owner, &by()).await.unwrap();
        }
        9 if town.resources.len() > 8 => {
            house
                .sharing
                .resources()
                .delete(&house.admin, id.as_str().into(), Delete::WithChildren, &by())
                .await
                .unwrap();
            let mut left = Vec::new();
            for (kind, id) in &town.resources {
                if house.sharing.resources().get(&house.admin, id).await.is_ok() {
                    left.push((*kind, id.clone()));
                }
            }
            town.resources = left;
        }
        _ => {
            house.sharing.sweep().await.unwrap();
        }
    }
}

/// Holds every list against the check.
async fn compare(house: &House, town: &Town) {
    let parties = [town.people.as_slice(), &town.groups].concat();
    let (_, second) = house.second().await;
    for permission in ["READ", "SHARE", "OWNER"] {
        for party in &parties {
            let mut allowed = BTreeSet::new();
            for (kind, id) in &town.resources {
                if house.may(*party, permission, id).await {
                    allowed.insert((*kind, id.clone()));
                }
                assert_eq!(
                    may(&second, &house.admin, *party, permission, id).await,
                    allowed.contains(&(*kind, id.clone())),
                    "a node with nothing in memory"
                );
            }
            for kind in ["FOLDER", "FILE"] {
                let wanted: BTreeSet<String> =
                    allowed.iter().filter(|(of, _)| *of == kind).map(|(_, id)| id.clone()).collect();
                let listed = resources_of(house, *party, kind, permission, 2).await;
                assert_eq!(listed.len(), wanted.len(), "each once: {listed:?} {wanted:?}");
                assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), wanted, "{party} {permission}");
                assert_eq!(resources_of(house, *party, kind, permission, 500).await, listed, "one order");
                let seen = Search {
                    visible_to: Some(*party),
                    ..search(&format!(r#"permission eq "{permission}" and type eq "{kind}""#))
                };
                assert_eq!(found(house, &seen).await.into_iter().collect::<BTreeSet<_>>(), wanted);
            }
        }
        for (_, id) in &town.resources {
            let mut allowed = BTreeSet::new();
            for person in &town.people {
                if house.may(*person, permission, id).await {
                    allowed.insert(*person);
                }
                let check =
                    Check { subject: *person, resource: id.clone(), permission: permission.to_owned() };
                let questions = house.sharing.questions();
                let explained = questions.explain(&house.admin, &check, Freshness::Bounded).await.unwrap();
                assert_eq!(explained.decision.is_allowed(), allowed.contains(person));
                assert_eq!(explained.via.is_some(), allowed.contains(person));
            }
            let listed = subjects_of(house, SubjectsOf { limit: 2, ..subjects(id, permission) }).await;
            assert_eq!(listed.len(), allowed.len());
            assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), allowed, "{permission} on {id}");
            let mut direct = BTreeSet::new();
            for party in subjects_of(house, SubjectsOf { expand: false, ..subjects(id, permission) }).await {
                assert!(house.may(party, permission, id).await, "{party}");
                direct.insert(party);
            }
            for party in &parties {
                assert!(direct.contains(party) <= house.may(*party, permission, id).await);
            }
        }
    }
}

on_both_engines! {
    async fn ac_74_all_questions_agree_at_any_moment(engine: Engine) {
        let rounds = if engine == Engine::Sqlite { 12 } else { 4 };
        let house = house(engine).await;
        let mut dice = Dice(7);
        let mut town = town(&house, &mut dice).await;
        let mut grants = Vec::new();
        for _ in 0..rounds {
            for _ in 0..5 {
                change(&house, &mut town, &mut dice, &mut grants).await;
            }
            compare(&house, &town).await;
        }
    }

    async fn an_explanation_names_the_way(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        let inner = house.group("inner", &[bob]).await;
        let outer = house.group("outer", &[inner]).await;
        house.folder("top", ada, None).await;
        house.folder("mid", ada, Some("top")).await;
        house.file("doc", ada, Some("mid")).await;
        house.share("top", "WRITE", outer, true).await;
        let ask = async |subject, permission: &str, resource: &str| {
            let (resource, permission) = (resource.to_owned(), permission.to_owned());
            let check = Check { subject, resource, permission };
            house.sharing.questions().explain(&house.admin, &check, Freshness::Bounded).await.unwrap()
        };
        let via = ask(bob, "READ", "doc").await.via.unwrap();
        assert_eq!(via.resources, ["doc", "mid", "top"]);
        assert_eq!(via.groups.iter().map(|id| Party::Group(*id)).collect::<Vec<_>>(), [inner, outer]);
        assert_eq!(via.permissions, ["WRITE", "READ"]);
        assert_eq!((via.party, via.grant.unwrap().resource.as_str()), (outer, "top"));
        house.share("doc", "READ", bob, false).await;
        let via = ask(bob, "READ", "doc").await.via.unwrap();
        assert_eq!((via.resources.len(), via.groups.len(), via.party), (1, 0, bob), "the nearest");
        let via = ask(ada, "READ", "doc").await.via.unwrap();
        assert_eq!((via.permissions, via.grant, via.party), (vec!["OWNER".to_owned(), "READ".to_owned()], None, ada));
        for (subject, permission, resource, why) in [
            (bob, "SHARE", "doc", Denial::NotGranted),
            (bob, "NONE", "doc", Denial::NoPermission),
            (bob, "READ", "none", Denial::NoResource),
        ] {
            let explained = ask(subject, permission, resource).await;
            assert_eq!((explained.decision, explained.via), (Decision::Denied(why), None));
        }
    }

    async fn direct_and_exact_lists_say_what_was_granted(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob, eve) = (house.user("ada").await, house.user("bob").await, house.user("eve").await);
        let team = house.group("team", &[eve]).await;
        house.folder("top", ada, None).await;
        house.file("doc", eve, Some("top")).await;
        house.share("top", "READ", bob, true).await;
        house.share("doc", "WRITE", team, false).await;
        let list = async |reach, expand, exact, permission: &str| {
            subjects_of(&house, SubjectsOf { reach, expand, exact, ..subjects("doc", permission) }).await
        };
        assert_eq!(list(Reach::Direct, false, false, "READ").await, [eve, team]);
        assert_eq!(list(Reach::Effective, false, false, "READ").await, [ada, bob, eve, team]);
        assert_eq!(list(Reach::Effective, true, false, "READ").await, [ada, bob, eve]);
        assert_eq!(list(Reach::Effective, false, true, "READ").await, [bob]);
        assert_eq!(list(Reach::Effective, false, true, "WRITE").await, [team]);
        assert_eq!(list(Reach::Direct, false, true, "OWNER").await, [eve]);
        let questions = house.sharing.questions();
        let unknown = questions.subjects_of(&house.admin, &subjects("doc", "NONE"), Freshness::Bounded).await;
        assert!(matches!(unknown, Err(Error::NotFound("permission"))));
        let as_bob = house.as_party(bob).await;
        let stranger = questions.subjects_of(&as_bob, &subjects("doc", "READ"), Freshness::Bounded).await;
        assert!(matches!(stranger, Err(Error::Denied(_))));
    }

    async fn resources_are_found_by_criteria_and_only_as_far_as_they_may_be_seen(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        house.folder("top", ada, None).await;
        for n in 0..6 {
            let parent = (n % 2 == 0).then_some("top");
            house.file(&format!("doc{n}"), ada, parent).await;
        }
        house.share("top", "READ", bob, true).await;
        house.share("doc3", "WRITE", bob, false).await;
        let admin = |filter: &str| search(filter);
        assert_eq!(found(&house, &admin(r#"name co "DOC""#)).await, ["doc5", "doc4", "doc3", "doc2", "doc1", "doc0"]);
        assert_eq!(found(&house, &admin(r#"id eq "doc3""#)).await, ["doc3"]);
        assert!(found(&house, &admin(r#"id eq "DOC3""#)).await.is_empty(), "identifiers are as they are");
        let oldest = Search { order: Order::Oldest, limit: 2, ..admin(r#"parent eq "top" and name sw "the""#) };
        assert_eq!(found(&house, &oldest).await, ["doc0", "doc2", "doc4"]);
        assert_eq!(found(&house, &admin(r#"shared ge 1 and type eq "FILE""#)).await, ["doc3"]);
        assert_eq!(found(&house, &admin(&format!(r#"owner eq "{}" and not (id sw "doc")"#, ada.uuid()))).await, ["top"]);
        let bobs = |filter: &str| Search { visible_to: Some(bob), ..search(filter) };
        assert_eq!(found(&house, &bobs(r#"id pr"#)).await, ["doc4", "doc3", "doc2", "doc0", "top"]);
        assert_eq!(found(&house, &bobs(r#"permission eq "WRITE""#)).await, ["doc3"]);
        assert_eq!(found(&house, &bobs(r#"permission ne "WRITE" and type eq "FILE""#)).await, ["doc4", "doc2", "doc0"]);
        let questions = house.sharing.questions();
        let as_bob = house.as_party(bob).await;
        let own = questions.search(&as_bob, &admin("id pr"), Freshness::Bounded).await.unwrap();
        assert_eq!(own.items.len(), 5);
        let others = Search { visible_to: Some(ada), ..admin("id pr") };
        assert!(matches!(questions.search(&as_bob, &others, Freshness::Bounded).await, Err(Error::Denied(_))));
        let of = ResourcesOf {
            subject: ada,
            resource_type: "FILE".to_owned(),
            permission: "READ".to_owned(),
            after: None,
            limit: 9,
        };
        assert!(matches!(questions.resources_of(&as_bob, &of, Freshness::Bounded).await, Err(Error::Denied(_))));
        for bad in [r#"permission eq "READ""#, r#"permission pr"#, r#"permission co "R""#] {
            let asked = questions.search(&house.admin, &admin(bad), Freshness::Bounded).await;
            assert!(matches!(asked, Err(Error::Invalid { field: "filter", .. })), "{bad}");
        }
        let other = house.other_tenant().await;
        assert!(questions.search(&other, &admin("id pr"), Freshness::Bounded).await.unwrap().items.is_empty());
    }

    /// A page goes on behind where the last one stopped, though what stood there was moved or removed.
    async fn a_list_goes_on_where_it_stopped(engine: Engine) {
        let house = house(engine).await;
        house.model().await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        house.folder("top", ada, None).await;
        for branch in ["a", "b", "c"] {
            house.folder(branch, ada, Some("top")).await;
            for leaf in 0..3 {
                house.file(&format!("{branch}{leaf}"), ada, Some(branch)).await;
            }
        }
        house.share("top", "READ", bob, true).await;
        let whole = resources_of(&house, bob, "FILE", "READ", 500).await;
        assert_eq!(whole, ["a0", "a1", "a2", "b0", "b1", "b2", "c0", "c1", "c2"]);
        let mut of = ResourcesOf {
            subject: bob,
            resource_type: "FILE".to_owned(),
            permission: "READ".to_owned(),
            after: None,
            limit: 5,
        };
        let questions = house.sharing.questions();
        let first = questions.resources_of(&house.admin, &of, Freshness::Bounded).await.unwrap();
        assert_eq!(first.items.last().unwrap().id, "b1");
        of.after = first.next;
        let resources = house.sharing.resources();
        resources.delete(&house.admin, "b1".into(), Delete::Alone, &by()).await.unwrap();
        let rest = questions.resources_of(&house.admin, &of, Freshness::Bounded).await.unwrap();
        assert_eq!(rest.items.iter().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["b2", "c0", "c1", "c2"]);
        resources.move_to(&house.admin, "b".into(), None, &by()).await.unwrap();
        let rest = questions.resources_of(&house.admin, &of, Freshness::Bounded).await.unwrap();
        assert_eq!(rest.items.iter().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["c0", "c1", "c2"]);
    }
}
