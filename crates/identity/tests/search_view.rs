//! Who finds what: delegated administrators, other tenants, archived users, rows of an older version.

use crate::house::{House, house};
use crate::search::{administrator, authority, filter};
use keyreeve_base::{GroupId, UserId};
use keyreeve_identity::{
    Authority, Cause, Direction, MembershipKind, NewServiceAccount, NewTenant, Party, RoleField, Search,
    ServiceField, StateChange, TenantSettings, UserField,
};
use keyreeve_store::{Tx, params, statements};
use keyreeve_testkit::{Engine, on_both_engines};

statements! {
    /// Users as they were stored before there were keys.
    STRIP_USERS = "UPDATE user_account SET username_key = $1, email_key = $1, given_name_key = $1, family_name_key = $1, \
        display_name_key = $1, key_form = 0";
    /// Groups likewise.
    STRIP_GROUPS = "UPDATE directory_group SET key_form = 0";
    /// Without an index of attributes.
    STRIP_ATTRIBUTES = "DELETE FROM user_attribute";
    /// Sixty thousand users, on SQLite.
    CROWD_OF_SQLITE = "INSERT INTO user_account (id, tenant_id, username, email_verified, attributes, enabled, locked, \
        must_change_password, created_at, updated_at, version, username_key, key_form) \
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) \
        SELECT CAST(printf('%016d', i) AS BLOB), CAST($1 AS BLOB), 'c' || i, 0, '{}', 1, 0, 0, 1, 1, 1, 'c' || i, 1 FROM n";
    /// The same on PostgreSQL.
    CROWD_OF_POSTGRES = "INSERT INTO user_account (id, tenant_id, username, email_verified, attributes, enabled, locked, \
        must_change_password, created_at, updated_at, version, username_key, key_form) \
        SELECT CAST(lpad(CAST(i AS TEXT), 32, '0') AS uuid), CAST($1 AS uuid), 'c' || i, false, '{}', true, false, false, \
        1, 1, 1, 'c' || i, 1 FROM generate_series(1, 60000) AS n(i)";
    /// The same of groups.
    STRIP_GROUP_ATTRIBUTES = "DELETE FROM group_attribute";
}

async fn user(house: &House, name: &str) -> UserId {
    house.try_user(Some(name), None, keyreeve_identity::Credential::None).await.unwrap().id
}

async fn add(house: &House, group: GroupId, party: Party, kind: MembershipKind) {
    house.identity.groups().add((house.id(), group), party, kind, &Cause::operator()).await.unwrap();
}

async fn names(house: &House, authority: &Authority, search: Search<UserField>) -> Vec<String> {
    let found = house.identity.users().search(authority, Search { count: true, ..search }).await.unwrap();
    assert_eq!(found.total, Some(found.items.len() as u64), "on one page");
    found.items.into_iter().map(|user| user.profile.username.unwrap()).collect()
}

on_both_engines! {
    async fn administrators_of_groups_find_what_they_may_see(engine: Engine) {
        let house = house(engine).await;
        let root = administrator(&house).await;
        let (top, inner, other) = (house.group("top").await.id, house.group("inner").await.id, house.group("other").await.id);
        add(&house, top, Party::Group(inner), MembershipKind::Member).await;
        let boss = user(&house, "boss").await;
        for (name, groups) in [("a1", &[top][..]), ("a2", &[inner]), ("a3", &[inner, other]), ("b1", &[other]), ("b2", &[])] {
            let made = user(&house, name).await;
            for group in groups {
                add(&house, *group, Party::User(made), MembershipKind::Member).await;
            }
        }
        add(&house, top, Party::User(boss), MembershipKind::Admin).await;
        add(&house, other, Party::User(boss), MembershipKind::Member).await;
        let boss = authority(&house, boss).await;
        let all = || Search { sort: Some((UserField::Username, Direction::Ascending)), ..Search::default() };
        assert_eq!(names(&house, &boss, all()).await, ["a1", "a2", "a3", "boss"]);
        assert_eq!(names(&house, &root, all()).await, ["a1", "a2", "a3", "b1", "b2", "boss", "root"]);
        let of = |text: &str| Search { filter: Some(filter(text)), ..all() };
        assert_eq!(names(&house, &boss, of(r#"username sw "b" or username eq "a3""#)).await, ["a3", "boss"]);
        assert_eq!(names(&house, &boss, of(r#"username eq "b1""#)).await, [""; 0]);
        // What may be asked of one user agrees with what is found.
        for found in house.identity.users().list(house.id(), None, 500).await.unwrap() {
            let standing = house.identity.standing_of(house.id(), keyreeve_identity::Subject::User(found.id)).await.unwrap();
            let seen = names(&house, &boss, of(&format!(r#"id eq "{}""#, found.id))).await;
            assert_eq!(seen.len(), usize::from(boss.may_see(&standing)), "{:?}", found.username);
        }
        let groups = house.identity.groups().search(&boss, Search::default()).await.unwrap();
        assert_eq!(groups.items.iter().map(|group| group.id).collect::<Vec<_>>(), [top, inner]);
        let roles = house.identity.roles().search(&boss, Search::<RoleField>::default()).await.unwrap();
        assert!(roles.items.is_empty());
        let nobody = authority(&house, user(&house, "nobody").await).await;
        assert_eq!(names(&house, &nobody, all()).await, ["nobody"], "oneself");
        assert!(house.identity.groups().search(&nobody, Search::default()).await.unwrap().items.is_empty());
        house.check().await;
    }

    async fn service_accounts_and_roles_are_found_too(engine: Engine) {
        let house = house(engine).await;
        let root = administrator(&house).await;
        let team = house.group("team").await.id;
        let boss = user(&house, "boss").await;
        add(&house, team, Party::User(boss), MembershipKind::Owner).await;
        let boss = authority(&house, boss).await;
        let accounts = house.identity.service_accounts();
        for (name, owner) in [("own", Some(Party::Group(team))), ("member", None), ("else", None)] {
            let new = NewServiceAccount { name: name.to_owned(), owner, ..NewServiceAccount::default() };
            let made = accounts.create(house.id(), new, &Cause::operator()).await.unwrap();
            if name == "member" {
                add(&house, team, Party::Service(made.id), MembershipKind::Member).await;
            }
        }
        let find = async |authority: &Authority, text: &str| {
            let filter = keyreeve_filter::parse(text).unwrap().resolve(&mut |path| {
                Ok::<_, ()>(if path.is("owner") { ServiceField::Owner } else { ServiceField::Name })
            });
            let search = Search { filter: Some(filter.unwrap()), ..Search::default() };
            let found = accounts.search(authority, search).await.unwrap();
            found.items.into_iter().map(|account| account.name).collect::<Vec<_>>()
        };
        assert_eq!(find(&root, "name pr").await, ["own", "member", "else"]);
        assert_eq!(find(&boss, "name pr").await, ["own", "member"]);
        assert_eq!(find(&root, &format!(r#"owner eq "{team}""#)).await, ["own"]);
        assert_eq!(find(&root, "owner eq null").await, ["member", "else"]);
        assert_eq!(find(&root, r#"name eq "OWN""#).await, ["own"]);
        let roles = house.identity.roles().search(&root, Search::<RoleField>::default()).await.unwrap();
        assert_eq!(roles.items.into_iter().map(|role| role.name).collect::<Vec<_>>(), ["tenant-admin"]);
        house.check().await;
    }

    /// AC-52: nothing of another tenant is found, whatever it is called.
    async fn ac_52_no_search_reaches_into_another_tenant(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let group = house.group("team").await.id;
        add(&house, group, Party::User(ada.id), MembershipKind::Member).await;
        let new = NewTenant { slug: "other".to_owned(), name: "Other".to_owned(), settings: TenantSettings::default() };
        let other = house.identity.tenants().create(new, &Cause::system()).await.unwrap();
        let profile = keyreeve_identity::Profile { username: Some("eve".to_owned()), ..Default::default() };
        let new = keyreeve_identity::NewUser { profile, tenant_administrator: true, ..Default::default() };
        let eve = house.identity.users().create(other.id, new, &Cause::system()).await.unwrap();
        let subject = keyreeve_identity::Subject::User(eve.id);
        let eve = house.identity.standing_of(other.id, subject).await.unwrap().authority;
        for text in [
            r#"username eq "ada""#.to_owned(),
            format!(r#"id eq "{}""#, ada.id),
            format!(r#"group eq "{group}""#),
            format!(r#"group eq "{group}" or id eq "{}""#, ada.id),
            r#"username sw "a""#.to_owned(),
            r#"not (username eq "eve")"#.to_owned(),
        ] {
            let search = Search { filter: Some(filter(&text)), ..Search::default() };
            assert_eq!(names(&house, &eve, search).await, [""; 0], "{text}");
        }
        assert_eq!(names(&house, &eve, Search::default()).await, ["eve"]);
        house.check().await;
    }

    async fn archived_users_are_found_by_those_who_ask_for_them(engine: Engine) {
        let house = house(engine).await;
        let root = administrator(&house).await;
        let gone = user(&house, "gone").await;
        house.change_state(gone, StateChange::Archive).await;
        let of = |text: &str, include_archived| {
            Search { filter: Some(filter(text)), include_archived, ..Search::default() }
        };
        for text in [r#"username eq "gone""#, r#"username sw "go""#, r#"username co "on""#] {
            assert_eq!(names(&house, &root, of(text, false)).await, [""; 0], "{text}");
        }
        let by_id = format!(r#"id eq "{gone}""#);
        assert_eq!(names(&house, &root, of(&by_id, false)).await, [""; 0]);
        assert_eq!(names(&house, &root, of(&by_id, true)).await, ["gone"]);
        for text in [r#"username eq "gone""#, r#"username sw "go""#, r#"username co "on""#] {
            assert_eq!(names(&house, &root, of(text, true)).await, ["gone"], "{text}");
        }
        let all = Search { include_archived: true, ..Search::default() };
        assert_eq!(names(&house, &root, all).await, ["root", "gone"]);
        // The name is free again, the identifier is not.
        let again = user(&house, "gone").await;
        assert_ne!(again, gone);
        assert_eq!(names(&house, &root, of(r#"username eq "gone""#, false)).await.len(), 1);
        assert_eq!(names(&house, &root, of(r#"username eq "gone""#, true)).await.len(), 2);
        house.check().await;
    }

    /// A page tests so many rows and no more; the next goes on from there.
    async fn a_page_that_is_not_full_may_have_a_next(engine: Engine) {
        let house = house(engine).await;
        let root = administrator(&house).await;
        let tenant = house.id();
        let crowd = match engine {
            Engine::Sqlite => &CROWD_OF_SQLITE,
            Engine::Postgres => &CROWD_OF_POSTGRES,
        };
        let made = house.test.store.write(async move |tx: &mut Tx<'_>| tx.execute(crowd, &params![tenant]).await);
        assert_eq!(made.await.unwrap(), 60_000);
        let users = house.identity.users();
        for sort in [None, Some((UserField::Username, Direction::Descending))] {
            // The one comes late in the order of identifiers, the other in that of names.
            let text = if sort.is_none() { r#"username co "55555""# } else { r#"username ew "c10""# };
            let search = |page| Search { filter: Some(filter(text)), sort: sort.clone(), page, ..Search::default() };
            let first = users.search(&root, search(keyreeve_identity::Start::First)).await.unwrap();
            assert!(first.items.is_empty(), "{:?}", first.items.len());
            let next = keyreeve_identity::Start::After(first.next.unwrap());
            let second = users.search(&root, search(next)).await.unwrap();
            assert_eq!((second.items.len(), second.next), (1, None));
        }
        // What all have, and what is counted, is not cut.
        let search = Search { filter: Some(filter(r#"username co "c""#)), count: true, limit: 7, ..Search::default() };
        let found = users.search(&root, search).await.unwrap();
        assert_eq!((found.items.len(), found.total), (7, Some(60_000)));
        let all = Search { count: true, limit: 1, ..Search::default() };
        assert_eq!(users.search(&root, all).await.unwrap().total, Some(60_001));
    }

    async fn rows_of_an_older_version_get_their_keys(engine: Engine) {
        let house = house(engine).await;
        let root = administrator(&house).await;
        house.ada().await;
        let strip = async |tx: &mut Tx<'_>| {
            tx.execute(&STRIP_USERS, &params!["\u{10FFFF}"]).await?;
            for statement in [&STRIP_GROUPS, &STRIP_ATTRIBUTES, &STRIP_GROUP_ATTRIBUTES] {
                tx.execute(statement, &[]).await?;
            }
            Ok::<_, keyreeve_store::Error>(())
        };
        house.group("team").await;
        house.test.store.write(strip).await.unwrap();
        let ada = || Search { filter: Some(filter(r#"username eq "ADA""#)), ..Search::default() };
        assert_eq!(names(&house, &root, ada()).await, [""; 0]);
        assert_eq!(house.identity.users().refresh().await.unwrap(), 3);
        assert_eq!(house.identity.users().refresh().await.unwrap(), 0);
        assert_eq!(names(&house, &root, ada()).await, ["Ada"]);
        let root_id = format!(r#"given_name eq "augusta" and email sw "love" and id ne "{}""#, UserId::from_uuid(uuid::Uuid::nil()));
        assert_eq!(names(&house, &root, Search { filter: Some(filter(&root_id)), ..Search::default() }).await, ["Ada"]);
        house.check().await;
    }
}
