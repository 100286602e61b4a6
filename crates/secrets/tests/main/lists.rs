//! Lists: filters, orders, pages, and who sees what.

use crate::house::{House, by, data, house, password};
use keyreeve_identity::search::Direction;
use keyreeve_identity::{Authority, MembershipKind};
use keyreeve_secrets::{NewSecret, Party, SecretField, SecretSearch, Sort};
use keyreeve_sharing::NewGrant;
use keyreeve_testkit::{Engine, on_both_engines};

async fn names(
    house: &House,
    authority: &Authority,
    filter: Option<&str>,
    sort: (Sort, Direction),
    limit: u16,
) -> Vec<String> {
    let filter = filter.map(|text| {
        let field = &mut |path: &keyreeve_filter::Path| match path.name.as_str() {
            "name" => Ok(SecretField::Name),
            "kind" => Ok(SecretField::Kind),
            "labels" => Ok(SecretField::Label(path.sub.clone().unwrap())),
            other => Err(other.to_owned()),
        };
        keyreeve_filter::parse(text).unwrap().resolve(field).unwrap()
    });
    let mut search = SecretSearch { filter, sort, after: None, limit };
    let mut all = Vec::new();
    for _ in 0..100 {
        let found = house.secrets.search(authority, &search).await.unwrap();
        assert!(found.items.len() <= usize::from(limit));
        all.extend(found.items.into_iter().map(|secret| secret.name));
        match found.next {
            Some(next) => search.after = Some(next.to_string().parse().unwrap()),
            None => return all,
        }
    }
    panic!("a list without an end");
}

on_both_engines! {
    /// AC-75: what a list shows is what may be seen, whatever is asked for.
    async fn ac_75_lists_show_what_the_asker_sees(engine: Engine) {
        let house = house(engine).await;
        let (ada, bob) = (house.user("ada").await, house.user("bob").await);
        let (as_ada, as_bob) = (house.as_party(ada).await, house.as_party(bob).await);
        assert!(names(&house, &as_bob, None, (Sort::Made, Direction::Ascending), 3).await.is_empty());
        for name in ["m", "a", "z"] {
            house.make(&house.admin, name, password("x")).await;
        }
        let labels = [("env".to_owned(), "prod".to_owned())].into();
        let new = NewSecret { labels, ..NewSecret::of("k", data("{}")) };
        let shared = house.secrets.create(&as_ada, new, &by()).await.unwrap();
        house.make(&as_ada, "b", password("x")).await;
        house.share(shared.id, "METADATA", bob).await;
        for limit in [1, 2, 10] {
            let up = Direction::Ascending;
            assert_eq!(names(&house, &house.admin, None, (Sort::Made, up), limit).await, ["m", "a", "z", "k", "b"]);
            let down = Direction::Descending;
            assert_eq!(names(&house, &house.admin, None, (Sort::Made, down), limit).await, ["b", "k", "z", "a", "m"]);
            assert_eq!(names(&house, &house.admin, None, (Sort::Name, up), limit).await, ["a", "b", "k", "m", "z"]);
            assert_eq!(names(&house, &house.admin, None, (Sort::Name, down), limit).await, ["z", "m", "k", "b", "a"]);
            assert_eq!(names(&house, &as_ada, None, (Sort::Name, up), limit).await, ["b", "k"]);
            assert_eq!(names(&house, &as_ada, None, (Sort::Made, down), limit).await, ["b", "k"]);
            assert_eq!(names(&house, &as_bob, None, (Sort::Made, up), limit).await, ["k"]);
            assert_eq!(names(&house, &house.admin, Some(r#"kind eq "key_value""#), (Sort::Made, up), limit).await, ["k"]);
            assert_eq!(names(&house, &house.admin, Some(r#"labels.env eq "prod""#), (Sort::Made, up), limit).await, ["k"]);
            assert_eq!(names(&house, &as_ada, Some(r#"not (name eq "k")"#), (Sort::Made, up), limit).await, ["b"]);
        }
    }

    /// Through a group, through a group in a group, and no longer when either is taken away.
    async fn ac_75_what_a_group_sees_its_members_see_while_they_are(engine: Engine) {
        let house = house(engine).await;
        let bob = house.user("bob").await;
        let as_bob = house.as_party(bob).await;
        let (outer, inner) = (house.group("outer").await, house.group("inner").await);
        let (Party::Group(outer_id), Party::Group(inner_id)) = (outer, inner) else { panic!("groups") };
        let groups = house.identity.groups();
        groups.add((house.tenant, inner_id), bob, MembershipKind::Member, &by()).await.unwrap();
        groups.add((house.tenant, outer_id), inner, MembershipKind::Member, &by()).await.unwrap();
        let secret = house.make(&house.admin, "shared", password("x")).await;
        let seen = async || {
            let names = names(&house, &as_bob, None, (Sort::Made, Direction::Ascending), 10).await;
            // What a list shows is what may be read, at every moment.
            let read = house.open(&as_bob, secret.id).await;
            assert_eq!(read.is_ok(), !names.is_empty(), "{read:?}");
            names
        };
        assert!(seen().await.is_empty());
        let grant = |subject| NewGrant { resource: secret.id.to_string(), permission: "READ".into(), subject, cascade: false, expires_at: None };
        let share = async |subject| house.sharing.grants().share(&house.admin, grant(subject), &by()).await.unwrap().value.id;
        for group in [inner, outer] {
            let id = share(group).await;
            assert_eq!(seen().await, ["shared"]);
            house.sharing.grants().revoke(&house.admin, id, &by()).await.unwrap();
            assert!(seen().await.is_empty(), "at once");
        }
        share(outer).await;
        assert_eq!(seen().await, ["shared"]);
        groups.remove((house.tenant, outer_id), inner, &by()).await.unwrap();
        assert!(seen().await.is_empty(), "the group is in the other no more");
        groups.add((house.tenant, outer_id), inner, MembershipKind::Member, &by()).await.unwrap();
        assert_eq!(seen().await, ["shared"]);
        groups.remove((house.tenant, inner_id), bob, &by()).await.unwrap();
        assert!(seen().await.is_empty(), "nor are they in it");
    }
}
