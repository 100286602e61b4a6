//! Groups: names, members, nesting, and what is kept of them in memory.

use crate::house::{House, house, house_with};
use keyreeve_base::{GroupId, TenantId, UserId};
use keyreeve_identity::{
    Cause, Credential, Error, GroupPatch, MembershipKind, NewGroup, NewTenant, Party, Patch, Reach,
    StateChange, Subject, TenantSettings,
};
use keyreeve_store::{Tx, params, statements};
use keyreeve_testkit::{Engine, on_both_engines};
use std::sync::Arc;
use std::time::{Duration, Instant};

use MembershipKind::{Admin, Member, Owner};

async fn add(house: &House, group: GroupId, party: Party, kind: MembershipKind) -> Result<bool, Error> {
    house.identity.groups().add((house.id(), group), party, kind, &Cause::operator()).await
}

async fn nest(house: &House, parent: GroupId, child: GroupId) -> Result<bool, Error> {
    add(house, parent, Party::Group(child), Member).await
}

async fn remove(house: &House, group: GroupId, party: Party) -> bool {
    house.identity.groups().remove((house.id(), group), party, &Cause::operator()).await.unwrap()
}

async fn groups_of(house: &House, user: UserId) -> Vec<GroupId> {
    house.identity.groups().of_subject(house.id(), Subject::User(user)).await.unwrap().to_vec()
}

async fn someone(house: &House, name: &str) -> UserId {
    house.try_user(Some(name), None, Credential::None).await.unwrap().id
}

statements! {
    /// A group, past the room.
    pub(crate) RAW_GROUP = "INSERT INTO directory_group (id, tenant_id, name, canonical, attributes, created_at, updated_at, \
        version) VALUES ($1, $2, $3, $3, '{}', 0, 0, 1)";
    /// A nesting, past the room.
    pub(crate) RAW_NEST = "INSERT INTO group_nest (parent_id, child_id, tenant_id, added_at) VALUES ($1, $2, $3, 0)";
}

/// So many groups, each nested in the one before; past the room, which would look at all of them each time.
async fn raw_chain(house: &House, length: usize) -> Vec<GroupId> {
    let chain: Vec<GroupId> = (0..length).map(|_| house.test.world.new_id()).collect();
    let (tenant, groups) = (house.id(), chain.clone());
    let write = async move |tx: &mut Tx<'_>| {
        for (number, group) in groups.iter().enumerate() {
            tx.execute(&RAW_GROUP, &params![group, tenant, format!("level {number}")]).await?;
        }
        for pair in groups.windows(2) {
            tx.execute(&RAW_NEST, &params![pair[0], pair[1], tenant]).await?;
        }
        Ok::<_, keyreeve_store::Error>(())
    };
    house.test.store.write(write).await.unwrap();
    chain
}

fn is_invalid(result: &Result<bool, Error>, part: &str) -> bool {
    matches!(result, Err(error @ Error::Invalid { .. }) if error.to_string().contains(part))
}

on_both_engines! {
    async fn a_group_is_found_under_its_name_in_any_spelling(engine: Engine) {
        let house = house(engine).await;
        let groups = house.identity.groups();
        let (made, lines) = house.lines_of(house.group("Data  Admins")).await;
        assert_eq!(lines, ["group.create success"]);
        assert_eq!(made.name, "Data Admins");
        for spelling in ["Data Admins", " DATA admins", "ｄata\tadmins"] {
            assert_eq!(groups.find(house.id(), spelling).await.unwrap().as_ref(), Some(&*made), "{spelling}");
            let again = NewGroup { name: spelling.to_owned(), ..NewGroup::default() };
            let taken = groups.create(house.id(), again, &Cause::operator()).await;
            assert!(matches!(taken, Err(Error::Taken("name"))));
        }
        assert_eq!(groups.find(house.id(), "data\0").await.unwrap(), None);
        assert_eq!(*groups.get(house.id(), made.id).await.unwrap(), *made);
        let other: TenantId = house.test.world.new_id();
        assert!(groups.by_id(other, made.id).await.unwrap().is_none(), "AC-52: not from another tenant");
        house.check().await;
    }

    async fn an_update_changes_what_it_names_and_minds_version_and_name(engine: Engine) {
        let house = house(engine).await;
        let (groups, cause) = (house.identity.groups(), Cause::operator());
        let made = house.group("first").await;
        house.group("second").await;
        let patch = GroupPatch {
            name: Some("Renamed".to_owned()),
            description: Patch::Set(" what for ".to_owned()),
            attributes: Some([("k".to_owned(), vec!["v".to_owned()])].into()),
        };
        let of = (house.id(), made.id);
        let (after, lines) = house.lines_of(groups.update(of, patch.clone(), Some(1), &cause)).await;
        let after = after.unwrap();
        assert_eq!(lines, ["group.update success"]);
        assert_eq!((after.name.as_str(), after.description.as_deref(), after.version), ("Renamed", Some("what for"), 2));
        assert_eq!(*groups.get(house.id(), made.id).await.unwrap(), *after, "nothing stale is answered");
        assert!(matches!(groups.update(of, patch, Some(1), &cause).await, Err(Error::VersionConflict)));
        let taken = GroupPatch { name: Some("SECOND".to_owned()), ..GroupPatch::default() };
        assert!(matches!(groups.update(of, taken, None, &cause).await, Err(Error::Taken("name"))));
        let same = GroupPatch { name: Some("RENAMED".to_owned()), ..GroupPatch::default() };
        assert_eq!(groups.update(of, same, None, &cause).await.unwrap().name, "RENAMED");
        let ids: Vec<_> = groups.list(house.id(), Some(made.id), 500).await.unwrap().iter().map(|g| g.name.clone()).collect();
        assert_eq!(ids, ["second"]);
        house.check().await;
    }

    async fn members_come_go_and_change_their_kind_and_each_is_recorded(engine: Engine) {
        let house = house(engine).await;
        let groups = house.identity.groups();
        let (group, ada) = (house.group("team").await.id, someone(&house, "ada").await);
        let (of, party, cause) = ((house.id(), group), Party::User(ada), Cause::operator());
        let (added, lines) = house.lines_of(add(&house, group, party, Member)).await;
        assert_eq!((added.unwrap(), lines), (true, vec!["group.member.add success".to_owned()]));
        let (added, lines) = house.lines_of(add(&house, group, party, Owner)).await;
        assert_eq!((added.unwrap(), lines.len()), (false, 0), "who is a member stays what they are");
        let (changed, lines) = house.lines_of(groups.change_kind(of, party, Admin, &cause)).await;
        assert_eq!((changed.unwrap(), lines), (true, vec!["group.member.change success".to_owned()]));
        assert!(!groups.change_kind(of, party, Admin, &cause).await.unwrap());
        assert_eq!(groups.direct_of(house.id(), party).await.unwrap(), [(group, Admin)]);
        let (removed, lines) = house.lines_of(remove(&house, group, party)).await;
        assert_eq!((removed, lines), (true, vec!["group.member.remove success".to_owned()]));
        let (removed, lines) = house.lines_of(remove(&house, group, party)).await;
        assert_eq!((removed, lines.len()), (false, 0));
        let gone = groups.change_kind(of, party, Admin, &cause).await;
        assert!(matches!(gone, Err(Error::NotFound("member"))));
        house.check().await;
    }

    async fn a_group_is_made_with_its_owner_and_in_its_parent_or_not_at_all(engine: Engine) {
        let house = house(engine).await;
        let (parent, ada) = (house.group("parent").await.id, someone(&house, "ada").await);
        let new = |name: &str| NewGroup {
            name: name.to_owned(),
            owner: Some(Party::User(ada)),
            parent: Some(parent),
            ..NewGroup::default()
        };
        let groups = house.identity.groups();
        assert!(groups_of(&house, ada).await.is_empty(), "and memory knows it now");
        let child = groups.create(house.id(), new("child"), &Cause::operator()).await.unwrap().id;
        assert_eq!(groups_of(&house, ada).await, [parent, child]);
        assert_eq!(groups.direct_of(house.id(), Party::User(ada)).await.unwrap(), [(child, Owner)]);
        let nobody = NewGroup { owner: Some(Party::User(house.test.world.new_id())), ..new("x") };
        let nowhere = NewGroup { parent: Some(house.test.world.new_id()), ..new("y") };
        let odd = NewGroup { owner: Some(Party::Group(parent)), ..new("z") };
        for (new, what) in [(nobody, "user"), (nowhere, "group"), (odd, "owner")] {
            let error = groups.create(house.id(), new, &Cause::operator()).await.unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
        assert_eq!(groups.list(house.id(), None, 500).await.unwrap().len(), 2);
        house.check().await;
    }

    /// AC-70: no cycle, of whatever length.
    async fn ac_70_a_group_is_never_nested_in_itself(engine: Engine) {
        let house = house(engine).await;
        let [a, b, c] = [house.group("a").await.id, house.group("b").await.id, house.group("c").await.id];
        assert!(nest(&house, a, b).await.unwrap() && nest(&house, b, c).await.unwrap());
        assert!(!nest(&house, a, b).await.unwrap(), "again is nothing new");
        for (parent, child) in [(a, a), (b, a), (c, a), (c, b)] {
            let (refused, lines) = house.lines_of(nest(&house, parent, child)).await;
            assert!(is_invalid(&refused, "nested in itself"), "{refused:?}");
            assert!(lines.is_empty());
        }
        assert!(nest(&house, a, c).await.unwrap(), "two ways to one group are no circle");
        assert!(is_invalid(&add(&house, b, Party::Group(house.group("d").await.id), Admin).await, "MEMBER"));
        house.check().await;
    }

    async fn nests_are_as_deep_as_the_tenant_allows(engine: Engine) {
        let mut settings = TenantSettings::default();
        settings.directory.max_depth = 3;
        let house = house_with(engine, settings).await;
        let mut ids = Vec::new();
        for name in ["a", "b", "c", "d", "e"] {
            ids.push(house.group(name).await.id);
        }
        let [a, b, c, d, e] = ids[..] else { panic!("five") };
        assert!(nest(&house, a, b).await.unwrap() && nest(&house, b, c).await.unwrap());
        assert!(nest(&house, d, e).await.unwrap());
        for (parent, child) in [(c, d), (b, d), (d, a), (e, a)] {
            assert!(is_invalid(&nest(&house, parent, child).await, "more than 3 deep"));
        }
        assert!(nest(&house, a, d).await.unwrap());
        let new = NewGroup { name: "f".to_owned(), parent: Some(c), ..NewGroup::default() };
        assert!(house.identity.groups().create(house.id(), new, &Cause::operator()).await.is_err());
        house.check().await;
    }

    /// AC-70: a depth bomb. A thousand levels are walked without recursion, and the thousand-and-first is refused.
    async fn ac_70_a_chain_of_a_thousand_groups_works(engine: Engine) {
        let house = house(engine).await;
        let (groups, ada) = (house.identity.groups(), someone(&house, "ada").await);
        let mut chain = raw_chain(&house, 999).await;
        let end = NewGroup { name: "end".to_owned(), parent: chain.last().copied(), ..NewGroup::default() };
        chain.push(groups.create(house.id(), end, &Cause::operator()).await.unwrap().id);
        let (top, last) = (chain[0], chain[999]);
        add(&house, last, Party::User(ada), Member).await.unwrap();
        assert_eq!(groups_of(&house, ada).await, chain);
        let below = house.group("below").await.id;
        assert!(is_invalid(&nest(&house, last, below).await, "more than 1000 deep"));
        assert!(is_invalid(&nest(&house, last, top).await, "nested in itself"));
        let of = (house.id(), top);
        let held = groups.members(of, Reach::Effective, Some(last.uuid()), 500).await.unwrap();
        assert_eq!(held.len(), usize::from(ada.uuid() > last.uuid()));
        let first = groups.members(of, Reach::Effective, None, 500).await.unwrap();
        assert_eq!(first.len(), 500);
        groups.delete((house.id(), chain[500]), None, &Cause::operator()).await.unwrap();
        assert_eq!(groups_of(&house, ada).await, chain[501..], "what is above the gap is out of reach");
        house.check().await;
    }

    /// AC-70: two that together would close a circle: one wins, on whichever nodes they are.
    async fn ac_70_of_parallel_nestings_that_close_a_circle_one_fails(engine: Engine) {
        let house = Arc::new(house(engine).await);
        let other = match engine {
            Engine::Postgres => house.other_node(64).await,
            Engine::Sqlite => house.identity.clone(),
        };
        for round in 0..8 {
            let size = 2 + round % 4;
            let mut ring = Vec::new();
            for number in 0..size {
                ring.push(house.group(&format!("{round}-{number}")).await.id);
            }
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..size {
                let (parent, child) = (ring[number], ring[(number + 1) % size]);
                let node = if number % 2 == 0 { house.identity.clone() } else { other.clone() };
                let tenant = house.id();
                tasks.spawn(async move {
                    let party = Party::Group(child);
                    node.groups().add((tenant, parent), party, Member, &Cause::operator()).await
                });
            }
            let answers = tasks.join_all().await;
            let won = answers.iter().filter(|answer| matches!(answer, Ok(true))).count();
            assert_eq!(won, size - 1, "{answers:?}");
            assert!(answers.iter().all(|answer| answer.is_ok() || is_invalid(answer, "nested in itself")));
        }
        house.check().await;
    }

    async fn lists_of_members_come_in_pages_direct_or_through_every_nest(engine: Engine) {
        let house = house(engine).await;
        let groups = house.identity.groups();
        let [top, left, right, low] =
            [house.group("top").await.id, house.group("left").await.id, house.group("right").await.id, house.group("low").await.id];
        for (parent, child) in [(top, left), (top, right), (left, low), (right, low)] {
            nest(&house, parent, child).await.unwrap();
        }
        let (ada, bob) = (someone(&house, "ada").await, someone(&house, "bob").await);
        add(&house, low, Party::User(ada), Owner).await.unwrap();
        add(&house, top, Party::User(ada), Admin).await.unwrap();
        add(&house, right, Party::User(bob), Member).await.unwrap();
        let pages = async |reach, limit: u16| {
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let page = groups.members((house.id(), top), reach, after, limit).await.unwrap();
                assert!(page.len() <= usize::from(limit));
                let Some(last) = page.last() else { return all };
                after = Some(last.party.uuid());
                all.extend(page.iter().map(|member| (member.party, member.kind)));
            }
        };
        for limit in [1, 2, 500] {
            let mut direct = vec![
                (Party::Group(left), Some(Member)), (Party::Group(right), Some(Member)), (Party::User(ada), Some(Admin)),
            ];
            assert_eq!(pages(Reach::Direct, limit).await, direct);
            direct.extend([(Party::Group(low), None), (Party::User(bob), None)]);
            direct.sort_by_key(|(party, _)| party.uuid());
            assert_eq!(pages(Reach::Effective, limit).await, direct, "each once, however many ways lead there");
        }
        let nowhere = (house.id(), house.test.world.new_id());
        let unknown = groups.members(nowhere, Reach::Direct, None, 9).await;
        assert!(matches!(unknown, Err(Error::NotFound("group"))));
        house.check().await;
    }

    async fn a_removed_group_takes_its_members_along_and_nothing_else(engine: Engine) {
        let house = house(engine).await;
        let [top, mid, low] = [house.group("top").await.id, house.group("mid").await.id, house.group("low").await.id];
        nest(&house, top, mid).await.unwrap();
        nest(&house, mid, low).await.unwrap();
        let ada = someone(&house, "ada").await;
        add(&house, low, Party::User(ada), Member).await.unwrap();
        assert_eq!(groups_of(&house, ada).await, [top, mid, low]);
        let groups = house.identity.groups();
        let (_, lines) = house.lines_of(groups.delete((house.id(), mid), None, &Cause::operator())).await;
        assert_eq!(lines, ["group.delete success"]);
        assert_eq!(groups_of(&house, ada).await, [low]);
        assert!(groups.by_id(house.id(), mid).await.unwrap().is_none());
        let again = groups.delete((house.id(), mid), None, &Cause::operator()).await;
        assert!(matches!(again, Err(Error::NotFound("group"))));
        house.group("mid").await;
        house.check().await;
    }

    async fn an_archived_user_is_in_no_group(engine: Engine) {
        let house = house(engine).await;
        let (group, ada) = (house.group("team").await.id, someone(&house, "ada").await);
        add(&house, group, Party::User(ada), Owner).await.unwrap();
        assert_eq!(groups_of(&house, ada).await, [group]);
        house.change_state(ada, StateChange::Archive).await;
        assert!(groups_of(&house, ada).await.is_empty());
        let back = add(&house, group, Party::User(ada), Member).await;
        assert!(matches!(back, Err(Error::NotFound("user"))));
        house.check().await;
    }

    /// AC-52: a group has no members, and no nests, of another tenant.
    async fn ac_52_tenants_do_not_mix(engine: Engine) {
        let house = house(engine).await;
        let new = NewTenant { slug: "other".to_owned(), name: "Other".to_owned(), settings: TenantSettings::default() };
        let other = house.identity.tenants().create(new, &Cause::operator()).await.unwrap().id;
        let (ours, ada) = (house.group("team").await.id, someone(&house, "ada").await);
        let (groups, cause) = (house.identity.groups(), Cause::operator());
        let new = NewGroup { name: "team".to_owned(), ..NewGroup::default() };
        let theirs = groups.create(other, new, &cause).await.unwrap().id;
        for (of, party) in [
            ((other, theirs), Party::User(ada)),
            ((other, theirs), Party::Group(ours)),
            ((other, ours), Party::Group(theirs)),
            ((house.id(), theirs), Party::User(ada)),
            ((house.id(), theirs), Party::Group(ours)),
        ] {
            let refused = groups.add(of, party, Member, &cause).await;
            assert!(matches!(refused, Err(Error::NotFound(_))), "{of:?} {party:?}");
        }
        add(&house, ours, Party::User(ada), Member).await.unwrap();
        assert!(groups.of_subject(other, Subject::User(ada)).await.unwrap().is_empty());
        assert!(!groups.remove((other, ours), Party::User(ada), &cause).await.unwrap());
        assert!(matches!(groups.delete((other, ours), None, &cause).await, Err(Error::NotFound("group"))));
        house.check().await;
    }

    /// Members added while their group is removed are in nothing that does not exist.
    async fn a_group_that_is_removed_meanwhile_gains_no_member(engine: Engine) {
        let house = Arc::new(house(engine).await);
        for round in 0..6 {
            let group = house.group(&format!("team {round}")).await.id;
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..4 {
                let user = someone(&house, &format!("user-{round}-{number}")).await;
                let house = house.clone();
                tasks.spawn(async move { add(&house, group, Party::User(user), Member).await });
            }
            let removing = house.clone();
            tasks.spawn(async move {
                let of = (removing.id(), group);
                removing.identity.groups().delete(of, None, &Cause::operator()).await.map(|()| true)
            });
            for answer in tasks.join_all().await {
                assert!(matches!(answer, Ok(true) | Err(Error::NotFound("group"))), "{answer:?}");
            }
            let members = house.count(&crate::house::MEMBERS_OF, group.uuid()).await;
            assert_eq!(members, 0);
        }
        house.check().await;
    }
}

/// What is changed on one node is seen on another within the bound, wherever in the nest it was.
#[test]
fn another_node_hears_of_a_change_high_in_the_nest() {
    keyreeve_testkit::block_on(async {
        let house = house(Engine::Postgres).await;
        let other = house.other_node(64).await;
        let mut chain = Vec::new();
        for number in 0..6 {
            chain.push(house.group(&format!("level {number}")).await.id);
        }
        for pair in chain[1..].windows(2) {
            nest(&house, pair[0], pair[1]).await.unwrap();
        }
        let ada = someone(&house, "ada").await;
        add(&house, chain[5], Party::User(ada), Member).await.unwrap();
        let until = async |expected: &[GroupId]| {
            let start = Instant::now();
            loop {
                let seen = other.groups().of_subject(house.id(), Subject::User(ada)).await.unwrap();
                if *seen == *expected {
                    break;
                }
                assert!(start.elapsed() < Duration::from_secs(5), "the other node still sees {seen:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // Long enough for the answer to be kept in memory.
            for _ in 0..10 {
                other.groups().of_subject(house.id(), Subject::User(ada)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        until(&chain[1..]).await;
        nest(&house, chain[0], chain[1]).await.unwrap();
        assert_eq!(groups_of(&house, ada).await, chain, "the node that did it knows at once");
        until(&chain).await;
        remove(&house, chain[2], Party::Group(chain[3])).await;
        until(&chain[3..]).await;
        remove(&house, chain[5], Party::User(ada)).await;
        until(&[]).await;
        house.check().await;
    });
}
