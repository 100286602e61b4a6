//! Searches, held against the plainest evaluation of the same filters.

use crate::house::{House, house};
use keyreeve_base::UserId;
use keyreeve_filter::{Filter, Value, parse};
use keyreeve_identity::{
    Authority, Cause, Credential, Cursor, Direction, Error, Group, GroupField, MembershipKind, NewGroup,
    NewRole, NewUser, Party, Profile, Search, Start, StateChange, Subject, User, UserField,
};
use keyreeve_testkit::{Engine, on_both_engines};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// What an administrator of the tenant may do.
pub async fn administrator(house: &House) -> Authority {
    let new = NewUser {
        profile: Profile { username: Some("root".to_owned()), ..Profile::default() },
        tenant_administrator: true,
        ..NewUser::default()
    };
    let admin = house.identity.users().create(house.id(), new, &Cause::system()).await.unwrap();
    authority(house, admin.id).await
}

pub async fn authority(house: &House, user: UserId) -> Authority {
    house.identity.standing_of(house.id(), Subject::User(user)).await.unwrap().authority
}

pub fn filter(text: &str) -> Filter<UserField> {
    parse(text)
        .unwrap()
        .resolve(&mut |path| {
            Ok::<_, String>(match path.name.as_str() {
                "id" => UserField::Id,
                "username" => UserField::Username,
                "email" => UserField::Email,
                "email_verified" => UserField::EmailVerified,
                "given_name" => UserField::GivenName,
                "family_name" => UserField::FamilyName,
                "display_name" => UserField::DisplayName,
                "phone_number" => UserField::PhoneNumber,
                "locale" => UserField::Locale,
                "enabled" => UserField::Enabled,
                "locked" => UserField::Locked,
                "created_at" => UserField::CreatedAt,
                "updated_at" => UserField::UpdatedAt,
                "attributes" => UserField::Attribute(path.sub.clone().unwrap_or_default()),
                "group" => UserField::Group,
                "role" => UserField::Role,
                other => return Err(other.to_owned()),
            })
        })
        .unwrap()
}

/// A tenant of people of all sorts, and what holds them.
struct Town {
    house: House,
    root: Authority,
    users: Vec<User>,
    holds: BTreeMap<UserId, (Vec<Value>, Vec<Value>)>,
    group: String,
    role: String,
}

async fn town(engine: Engine) -> Town {
    let house = house(engine).await;
    let root = administrator(&house).await;
    let group = house.group("Choir").await.id;
    let new = NewRole { name: "singer".to_owned(), description: None, application: None };
    let role = house.identity.roles().create(house.id(), new, &Cause::operator()).await.unwrap().id;
    let families = ["Ångström", "ångström", "de la Cruz", "O'Malley", "100%_\\Sure", "Zoë"];
    for number in 0..23_usize {
        house.advance(1);
        let pick = |every: usize, text: &str| (number % every == 0).then(|| text.to_owned());
        let attributes = BTreeMap::from([
            ("team".to_owned(), vec![format!("T{}", number % 3), "All".to_owned()]),
            (format!("only{}", number % 5), vec![format!("Value {number}"), String::new()]),
        ]);
        let profile = Profile {
            username: (number % 7 != 6).then(|| format!("User{number:02}")),
            email: (number % 4 != 1 || number % 7 == 6)
                .then(|| format!("u{number}@Example{}.org", number % 2)),
            email_verified: number % 4 == 0,
            given_name: pick(2, "Maria"),
            family_name: families.get(number % 8).map(|name| (*name).to_owned()),
            display_name: (number % 3 != 0).then(|| format!("Display {}", number % 4)),
            phone_number: pick(3, "+41 44 000 00 00"),
            locale: pick(2, "de-CH"),
            zoneinfo: None,
            attributes: if number % 6 == 5 { BTreeMap::new() } else { attributes },
        };
        let new =
            NewUser { profile, credential: Credential::None, enabled: number % 5 != 0, ..NewUser::default() };
        let made = house.identity.users().create(house.id(), new, &Cause::operator()).await.unwrap();
        let party = Party::User(made.id);
        if number % 4 == 2 {
            let of = (house.id(), group);
            house.identity.groups().add(of, party, MembershipKind::Member, &Cause::operator()).await.unwrap();
        }
        if number % 6 == 1 {
            house.identity.roles().assign((house.id(), role), party, &Cause::operator()).await.unwrap();
        }
        if number % 9 == 4 {
            house.advance(1);
            house.change_state(made.id, StateChange::Lock).await;
        }
    }
    let users = house.identity.users().list(house.id(), None, 500).await.unwrap();
    let mut holds = BTreeMap::new();
    for user in &users {
        let party = Party::User(user.id);
        let groups = house.identity.groups().direct_of(house.id(), party).await.unwrap();
        let roles = house.identity.roles().assigned_to(house.id(), party).await.unwrap();
        let text = |id: String| Value::Text(id);
        let groups = groups.iter().map(|(id, _)| text(id.to_string())).collect();
        holds.insert(user.id, (groups, roles.iter().map(|role| text(role.id.to_string())).collect()));
    }
    Town { house, root, users, holds, group: group.to_string(), role: role.to_string() }
}

impl Town {
    fn values(&self, user: &User, field: &UserField) -> Vec<Value> {
        let text = |text: &Option<String>| text.iter().map(|text| Value::Text(text.clone())).collect();
        match field {
            UserField::Id => vec![Value::Text(user.id.to_string())],
            UserField::Username => text(&user.username),
            UserField::Email => text(&user.email),
            UserField::EmailVerified => vec![Value::Bool(user.email_verified)],
            UserField::GivenName => text(&user.given_name),
            UserField::FamilyName => text(&user.family_name),
            UserField::DisplayName => text(&user.display_name),
            UserField::PhoneNumber => text(&user.phone_number),
            UserField::Locale => text(&user.locale),
            UserField::Enabled => vec![Value::Bool(user.enabled)],
            UserField::Locked => vec![Value::Bool(user.locked)],
            UserField::CreatedAt => vec![Value::Text(user.created_at.to_string())],
            UserField::UpdatedAt => vec![Value::Text(user.updated_at.to_string())],
            UserField::Attribute(name) => {
                let values = user.attributes.get(name).cloned().unwrap_or_default();
                values.into_iter().map(Value::Text).collect()
            }
            UserField::Group => self.holds[&user.id].0.clone(),
            UserField::Role => self.holds[&user.id].1.clone(),
        }
    }

    /// Who matches, by the plainest evaluation.
    fn expected(&self, filter: &Filter<UserField>) -> BTreeSet<UserId> {
        let matching = self.users.iter().filter(|user| filter.matches(&|field| self.values(user, field)));
        matching.map(|user| user.id).collect()
    }

    async fn search(&self, search: Search<UserField>) -> keyreeve_identity::Found<User> {
        self.house.identity.users().search(&self.root, search).await.unwrap()
    }

    async fn refused(&self, search: Search<UserField>) -> String {
        self.house.identity.users().search(&self.root, search).await.unwrap_err().to_string()
    }

    /// Everything that a search finds, page by page.
    async fn all(&self, search: &Search<UserField>) -> Vec<User> {
        let (mut found, mut page) = (Vec::new(), Start::First);
        loop {
            let answer = self.search(Search { page, ..search.clone() }).await;
            found.extend(answer.items);
            match answer.next {
                Some(next) => page = Start::After(next.to_string().parse().unwrap()),
                None => return found,
            }
        }
    }

    fn leaves(&self) -> Vec<String> {
        let user = &self.users[9];
        let (at, id) = (user.created_at, user.id);
        let mut leaves: Vec<String> = [
            r#"username eq "USER03""#,
            r#"username ne "user03""#,
            r#"username sw "user1""#,
            r#"username co "ER2""#,
            r#"username ew "7""#,
            r#"username gt "user11""#,
            r#"username le "USER05""#,
            "username pr",
            "username eq null",
            r#"username sw """#,
            r#"email eq "u4@example0.org""#,
            r#"email ew "@EXAMPLE1.org""#,
            r#"email co "_""#,
            "email ne null",
            "email_verified eq true",
            "email_verified ne true",
            r#"given_name eq "maria""#,
            "given_name eq null",
            r#"given_name ge "a""#,
            r#"family_name eq "ÅNGSTRÖM""#,
            r#"family_name sw "ångs""#,
            r#"family_name co "%_\\""#,
            r#"family_name co "%""#,
            r#"family_name sw "100%""#,
            r#"family_name lt "p""#,
            r#"family_name co "' or 1=1""#,
            r#"family_name co "'""#,
            r#"display_name eq "display 1""#,
            r#"display_name ne "display 1""#,
            r#"display_name ge "display 2""#,
            "not (display_name pr)",
            r#"phone_number sw "+41 44""#,
            r#"phone_number eq "+41 44 000 00 00""#,
            r#"locale eq "DE-ch""#,
            r#"locale co "-""#,
            "locale ne null",
            "enabled eq false",
            "locked eq true",
            "locked eq null",
            r#"attributes.team eq "t1""#,
            r#"attributes.team ne "t1""#,
            r#"attributes.team sw "AL""#,
            r#"attributes.only2 co "LUE 1""#,
            r#"attributes.only2 ew "2""#,
            r#"attributes.only1 eq """#,
            "attributes.only3 pr",
            "attributes.only3 eq null",
            "attributes.none pr",
            r#"attributes.team gt "t1""#,
            "group pr",
            "role pr",
            "group eq null",
            r#"id eq "nonsense""#,
            r#"id ne "nonsense""#,
            r#"group eq "nonsense""#,
        ]
        .map(str::to_owned)
        .to_vec();
        leaves.extend([
            format!(r#"id eq "{id}""#),
            format!(r#"id ne "{id}""#),
            format!(r#"created_at lt "{at}""#),
            format!(r#"created_at ge "{at}""#),
            format!(r#"updated_at eq "{at}""#),
            format!(r#"group eq "{}""#, self.group),
            format!(r#"group ne "{}""#, self.group),
            format!(r#"role eq "{}""#, self.role),
        ]);
        leaves
    }
}

/// The place of a user in an order: what has no value comes last.
fn compare(a: &User, b: &User, field: &UserField) -> Ordering {
    let text = |text: &Option<String>| text.as_deref().map(keyreeve_base::name::fold);
    let key = |user: &User| match field {
        UserField::Username => text(&user.username),
        UserField::Email => text(&user.email),
        UserField::GivenName => text(&user.given_name),
        UserField::FamilyName => text(&user.family_name),
        UserField::DisplayName => text(&user.display_name),
        UserField::CreatedAt => Some(format!("{:020}", user.created_at.micros())),
        UserField::UpdatedAt => Some(format!("{:020}", user.updated_at.micros())),
        _ => None,
    };
    let (left, right) = (key(a), key(b));
    (left.is_none(), left, a.id).cmp(&(right.is_none(), right, b.id))
}

on_both_engines! {
    async fn searches_find_what_the_referee_finds(engine: Engine) {
        let town = town(engine).await;
        let leaves = town.leaves();
        let mut filters = leaves.clone();
        for (index, leaf) in leaves.iter().enumerate() {
            let other = &leaves[(index * 7 + 3) % leaves.len()];
            let third = &leaves[(index * 5 + 11) % leaves.len()];
            filters.push(format!("{leaf} and {other}"));
            filters.push(format!("{leaf} or {other}"));
            filters.push(format!("not ({leaf} or {other}) and {third}"));
            filters.push(format!("{third} and ({leaf} or {other})"));
        }
        for text in &filters {
            let filter = filter(text);
            let search = Search { filter: Some(filter.clone()), count: true, limit: 500, ..Search::default() };
            let found = town.search(search).await;
            let ids: BTreeSet<_> = found.items.iter().map(|user| user.id).collect();
            assert_eq!(ids, town.expected(&filter), "{text}");
            assert_eq!((ids.len(), Some(ids.len() as u64)), (found.items.len(), found.total), "{text}");
        }
        town.house.check().await;
    }

    async fn pages_are_in_order_and_complete(engine: Engine) {
        let town = town(engine).await;
        use UserField as F;
        let orders = [F::Id, F::Username, F::Email, F::GivenName, F::FamilyName, F::DisplayName, F::CreatedAt, F::UpdatedAt];
        let filters = [None, Some(r#"attributes.team eq "all""#), Some("enabled eq true"), Some(r#"username sw "u""#)];
        for (sort, text) in orders.iter().flat_map(|sort| filters.iter().map(move |text| (sort, text))) {
            for direction in [Direction::Ascending, Direction::Descending] {
                let search = Search {
                    filter: text.map(filter),
                    sort: Some((sort.clone(), direction)),
                    limit: 4,
                    ..Search::default()
                };
                let found = town.all(&search).await;
                let expected = text.map_or(town.users.len(), |text| town.expected(&filter(text)).len());
                assert_eq!(found.len(), expected, "{sort:?} {text:?}");
                let in_order = |pair: &[User]| {
                    let order = compare(&pair[0], &pair[1], sort);
                    order == if direction == Direction::Ascending { Ordering::Less } else { Ordering::Greater }
                };
                assert!(found.windows(2).all(in_order), "{sort:?} {direction:?} {text:?}");
                let at = Search { page: Start::Offset(5), ..search };
                let page = town.search(at).await.items;
                assert_eq!(page, found.iter().skip(5).take(4).cloned().collect::<Vec<_>>(), "{sort:?}");
            }
        }
        // Without an order, that of the index.
        let search = Search { filter: Some(filter(r#"family_name sw "å""#)), limit: 2, ..Search::default() };
        assert!(town.all(&search).await.windows(2).all(|pair| compare(&pair[0], &pair[1], &F::FamilyName).is_lt()));
        town.house.check().await;
    }

    /// AC-56: sizes of pages, offsets, and what orders.
    async fn ac_56_pages_have_bounds_and_orders_are_of_a_closed_set(engine: Engine) {
        let town = town(engine).await;
        let none = town.search(Search { limit: 0, ..Search::default() }).await;
        assert_eq!(none.items.len(), 1, "a page has one at least");
        assert_eq!(town.search(Search { limit: u16::MAX, ..Search::default() }).await.items.len(), town.users.len());
        let far = |offset| Search { page: Start::Offset(offset), ..Search::default() };
        assert!(town.search(far(100_000)).await.items.is_empty());
        assert_eq!(town.refused(far(100_001)).await, "offset is larger than 100000; page by cursors");
        for field in [UserField::Enabled, UserField::Group, UserField::Attribute("x; DROP TABLE".to_owned())] {
            let search = Search { sort: Some((field, Direction::Ascending)), ..Search::default() };
            assert!(town.refused(search).await.starts_with("sort cannot be by "));
        }
        let first = town.search(Search { limit: 2, ..Search::default() }).await.next.unwrap();
        let sort = Some((UserField::Username, Direction::Ascending));
        let other = Search { page: Start::After(first), sort, ..Search::default() };
        assert_eq!(town.refused(other).await, "cursor belongs to another order");
        assert!(matches!("garbage".parse::<Cursor>(), Err(Error::Invalid { field: "cursor", .. })));
        town.house.check().await;
    }

    async fn comparisons_that_make_no_sense_are_named(engine: Engine) {
        let town = town(engine).await;
        for (text, said) in [
            ("username eq 1", "filter compares username by eq with 1; it is a text"),
            ("enabled eq \"true\"", "filter compares enabled by eq with \"true\"; it is true or false"),
            ("created_at gt \"today\"", "filter compares created_at by gt with \"today\"; it is a moment, as in \"2026-01-31T12:00:00Z\""),
            ("created_at co \"2026\"", "filter compares created_at by co with \"2026\"; it is a moment, as in \"2026-01-31T12:00:00Z\""),
            ("id gt \"a\"", "filter compares id by gt with \"a\"; it is an identifier, which compares by eq and ne only"),
            ("username eq \"a\\u0000b\"", "filter compares username with a text that contains U+0000"),
            ("attributes.a eq true", "filter compares an attribute by eq with true; it is a text"),
        ] {
            assert_eq!(town.refused(Search { filter: Some(filter(text)), ..Search::default() }).await, said);
        }
        let long = format!("attributes.a sw \"{}\"", "x".repeat(201));
        assert!(town.refused(Search { filter: Some(filter(&long)), ..Search::default() }).await.contains("200 bytes"));
        town.house.check().await;
    }

    async fn groups_are_found_by_name_attribute_and_member(engine: Engine) {
        let house = house(engine).await;
        let root = administrator(&house).await;
        let ada = house.ada().await.id;
        let groups = house.identity.groups();
        let mut made = Vec::new();
        for (name, external) in [("Choir of Å", "x-1"), ("choir B", "x-2"), ("Band", "x-1")] {
            let attributes = BTreeMap::from([("external".to_owned(), vec![external.to_owned()])]);
            let new = NewGroup { name: name.to_owned(), attributes, ..NewGroup::default() };
            made.push(groups.create(house.id(), new, &Cause::operator()).await.unwrap().id);
        }
        let cause = Cause::operator();
        groups.add((house.id(), made[0]), Party::User(ada), MembershipKind::Member, &cause).await.unwrap();
        groups.add((house.id(), made[1]), Party::Group(made[0]), MembershipKind::Member, &cause).await.unwrap();
        let find = async |filter| {
            let search = Search { filter: Some(filter), count: true, ..Search::default() };
            let found = groups.search(&root, search).await.unwrap();
            assert_eq!(found.total, Some(found.items.len() as u64));
            found.items.iter().map(|group: &Group| group.id).collect::<Vec<_>>()
        };
        use keyreeve_filter::Op;
        let is = |field, op, text: &str| Filter::Compare(field, op, Value::from(text));
        assert_eq!(find(is(GroupField::Name, Op::Eq, "CHOIR OF å")).await, [made[0]]);
        assert_eq!(find(is(GroupField::Name, Op::Sw, "Choir")).await, [made[1], made[0]], "in the order of names");
        let external = || GroupField::Attribute("external".to_owned());
        assert_eq!(find(is(external(), Op::Eq, "X-1")).await, [made[0], made[2]]);
        assert_eq!(find(is(GroupField::Member, Op::Eq, &ada.to_string())).await, [made[0]]);
        assert_eq!(find(is(GroupField::Member, Op::Eq, &made[0].to_string())).await, [made[1]]);
        assert_eq!(find(Filter::Not(Box::new(Filter::Present(GroupField::Member)))).await, [made[2]]);
        let patch = keyreeve_identity::GroupPatch {
            attributes: Some(BTreeMap::new()),
            ..keyreeve_identity::GroupPatch::default()
        };
        groups.update((house.id(), made[0]), patch, None, &cause).await.unwrap();
        assert_eq!(find(is(external(), Op::Eq, "x-1")).await, [made[2]], "the index follows");
        groups.delete((house.id(), made[2]), None, &cause).await.unwrap();
        assert!(find(is(external(), Op::Eq, "x-1")).await.is_empty());
        house.check().await;
    }
}
