//! Several changes at once: of a user, of a group with its members.

use crate::house::{House, OTHER_PASSWORD, PASSWORD, house};
use keyreeve_base::{GroupId, UserId};
use keyreeve_crypto::Secret;
use keyreeve_identity::{
    Authority, Cause, Credential, Error, GroupPatch, GroupRevision, MemberChange, MembershipKind, NewGroup,
    NewUser, Party, Patch, Profile, ProfilePatch, Reach, Revision, StateChange, Subject,
};
use keyreeve_testkit::{Engine, on_both_engines};
use std::collections::BTreeSet;

async fn someone(house: &House, name: &str) -> UserId {
    house.try_user(Some(name), None, Credential::None).await.unwrap().id
}

async fn of(house: &House, user: UserId) -> Authority {
    house.identity.standing_of(house.id(), Subject::User(user)).await.unwrap().authority
}

/// Somebody who may do everything in the tenant.
async fn administrator(house: &House) -> Authority {
    let profile = Profile { username: Some("root".into()), ..Profile::default() };
    let new = NewUser { profile, tenant_administrator: true, ..NewUser::default() };
    let root = house.identity.users().create(house.id(), new, &Cause::operator()).await.unwrap();
    of(house, root.id).await
}

async fn revise(house: &House, by: &Authority, group: GroupId, members: MemberChange) -> Result<i64, Error> {
    let revision = GroupRevision { members, ..GroupRevision::default() };
    let revised = house.identity.groups().revise((by, group), revision, None, &Cause::operator()).await?;
    Ok(revised.version)
}

async fn members(house: &House, group: GroupId) -> Vec<(Party, Option<MembershipKind>)> {
    let found = house.identity.groups().members((house.id(), group), Reach::Direct, None, 500).await.unwrap();
    found.into_iter().map(|member| (member.party, member.kind)).collect()
}

fn add(parties: &[Party]) -> MemberChange {
    MemberChange { add: parties.iter().copied().collect(), ..MemberChange::default() }
}

fn only(parties: &[Party]) -> MemberChange {
    MemberChange { only: true, ..add(parties) }
}

fn remove(parties: &[Party]) -> MemberChange {
    MemberChange { remove: parties.iter().copied().collect(), ..MemberChange::default() }
}

const MEMBER: Option<MembershipKind> = Some(MembershipKind::Member);

on_both_engines! {
    async fn profile_state_and_password_change_at_once_or_not_at_all(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let users = house.identity.users();
        let session = house.sign_in("ada", PASSWORD).await.cookie;
        let revision = |username: &str, password: &str, enabled| Revision {
            profile: ProfilePatch { username: Patch::Set(username.into()), ..ProfilePatch::default() },
            enabled: Some(enabled),
            password: Some(Secret::new(password)),
        };
        let by = Cause::operator();
        let whom = (house.id(), ada.id);
        // A password that the policy refuses, a name that is taken, a version that is over: nothing happens.
        someone(&house, "bob").await;
        let weak = users.revise(whom, revision("countess", "short", false), None, &by).await;
        assert!(matches!(weak, Err(Error::Policy(_))));
        let own_name = users.revise(whom, revision("Wq7-tulip-oxcart-2", "wq7-tulip-oxcart-2", true), None, &by).await;
        assert!(matches!(own_name, Err(Error::Policy(_))), "checked against the name to come");
        let taken = users.revise(whom, revision("BOB", OTHER_PASSWORD, false), None, &by).await;
        assert!(matches!(taken, Err(Error::Taken("username"))));
        let old = users.revise(whom, revision("countess", OTHER_PASSWORD, false), Some(7), &by).await;
        assert!(matches!(old, Err(Error::VersionConflict)));
        assert_eq!(*users.get(house.id(), ada.id).await.unwrap(), *ada);
        assert!(house.session(&session).await.is_some());

        let (done, lines) = house
            .lines_of(users.revise(whom, revision("countess", OTHER_PASSWORD, true), Some(ada.version), &by))
            .await;
        let done = done.unwrap();
        assert_eq!(done.username.as_deref(), Some("countess"));
        assert_eq!(lines.iter().filter(|line| line.starts_with("user.")).count(), 2, "{lines:?}");
        assert!(house.session(&session).await.is_none(), "a new password ends what was");
        house.sign_in("countess", OTHER_PASSWORD).await;

        let off = users.revise(whom, Revision { enabled: Some(false), ..Revision::default() }, None, &by).await.unwrap();
        assert!(!off.enabled && off.version > done.version);
        let (same, lines) = house
            .lines_of(users.revise(whom, Revision { enabled: Some(false), ..Revision::default() }, None, &by))
            .await;
        assert_eq!((same.unwrap().version, lines.len()), (off.version, 0), "what changes nothing leaves no trace");
        house.check().await;
    }

    async fn archiving_minds_the_version(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let (users, by, whom) = (house.identity.users(), Cause::operator(), (house.id(), ada.id));
        assert!(matches!(users.change_state(whom, StateChange::Archive, Some(9), &by).await, Err(Error::VersionConflict)));
        users.change_state(whom, StateChange::Archive, Some(ada.version), &by).await.unwrap();
        assert!(users.get(house.id(), ada.id).await.unwrap().archived_at.is_some());
        assert!(matches!(users.change_state(whom, StateChange::Archive, None, &by).await, Err(Error::NotFound("user"))));
        let revision = Revision { enabled: Some(true), ..Revision::default() };
        assert!(matches!(users.revise(whom, revision, None, &by).await, Err(Error::NotFound("user"))));
        house.check().await;
    }

    async fn a_group_and_its_members_change_at_once(engine: Engine) {
        let house = house(engine).await;
        let root = administrator(&house).await;
        let (ada, bob, eve) = (someone(&house, "ada").await, someone(&house, "bob").await, someone(&house, "eve").await);
        let [ada, bob, eve] = [ada, bob, eve].map(Party::User);
        let low = house.group("low").await.id;
        let new = NewGroup { name: "crew".into(), ..NewGroup::default() };
        let groups = house.identity.groups();
        let crew = groups.create_with(&root, new, BTreeSet::from([ada, Party::Group(low)]), &Cause::operator()).await.unwrap();
        assert_eq!(members(&house, crew.id).await.len(), 2);

        // Who is there stays of the kind that they are, and what changes nothing raises no version.
        groups.change_kind((house.id(), crew.id), ada, MembershipKind::Owner, &Cause::operator()).await.unwrap();
        assert_eq!(revise(&house, &root, crew.id, add(&[ada])).await.unwrap(), 1);
        assert_eq!(revise(&house, &root, crew.id, add(&[bob])).await.unwrap(), 2);
        assert_eq!(revise(&house, &root, crew.id, remove(&[eve])).await.unwrap(), 2);
        assert_eq!(revise(&house, &root, crew.id, only(&[ada, eve])).await.unwrap(), 3);
        assert_eq!(members(&house, crew.id).await, [(ada, Some(MembershipKind::Owner)), (eve, MEMBER)]);
        let held = house.identity.groups().of_party(house.id(), Party::Group(low)).await.unwrap();
        assert!(held.is_empty(), "it was nested there, and the cache knows that it is not any more");
        let in_crew = house.identity.groups().of_party(house.id(), eve).await.unwrap();
        assert_eq!(&*in_crew, [crew.id]);

        // All or nothing.
        let nobody = Party::User(UserId::from_uuid(uuid::Uuid::from_u128(7)));
        let failing = GroupRevision {
            group: GroupPatch { name: Some("others".into()), ..GroupPatch::default() },
            members: only(&[nobody]),
        };
        let failed = groups.revise((&root, crew.id), failing, None, &Cause::operator()).await;
        assert!(matches!(failed, Err(Error::NotFound("user"))));
        let circle = revise(&house, &root, crew.id, add(&[bob, Party::Group(crew.id)])).await;
        assert!(matches!(circle, Err(Error::Invalid { .. })));
        let old = groups.revise((&root, crew.id), GroupRevision::default(), Some(1), &Cause::operator()).await;
        assert!(matches!(old, Err(Error::VersionConflict)));
        let now = groups.get(house.id(), crew.id).await.unwrap();
        assert_eq!((now.name.as_str(), now.version), ("crew", 3));
        assert_eq!(members(&house, crew.id).await.len(), 2);
        assert!(matches!(groups.delete((house.id(), crew.id), Some(1), &Cause::operator()).await, Err(Error::VersionConflict)));
        groups.delete((house.id(), crew.id), Some(3), &Cause::operator()).await.unwrap();
        house.check().await;
    }

    async fn a_delegated_administrator_stays_within_reach(engine: Engine) {
        let house = house(engine).await;
        let root = administrator(&house).await;
        let [crew, aside] = [house.group("crew").await.id, house.group("aside").await.id];
        let names = ["ada", "bob", "eve", "zoe"];
        let mut users = Vec::new();
        for name in names {
            users.push(someone(&house, name).await);
        }
        let [ada, bob, eve, zoe] = <[UserId; 4]>::try_from(users).unwrap().map(Party::User);
        let groups = house.identity.groups();
        let by = Cause::operator();
        groups.add((house.id(), crew), ada, MembershipKind::Admin, &by).await.unwrap();
        groups.add((house.id(), crew), bob, MembershipKind::Owner, &by).await.unwrap();
        groups.add((house.id(), crew), eve, MembershipKind::Member, &by).await.unwrap();
        let Party::User(admin) = ada else { unreachable!() };
        let admin = of(&house, admin).await;

        assert!(matches!(revise(&house, &admin, aside, only(&[])).await, Err(Error::NotFound("group"))));
        assert!(matches!(revise(&house, &admin, crew, add(&[zoe])).await, Err(Error::NotFound("member"))));
        assert!(matches!(revise(&house, &admin, crew, add(&[Party::Group(aside)])).await, Err(Error::NotFound("member"))));
        assert!(matches!(revise(&house, &admin, crew, remove(&[bob])).await, Err(Error::Invalid { field: "members", .. })));
        assert!(matches!(revise(&house, &admin, crew, only(&[ada])).await, Err(Error::Invalid { field: "members", .. })));
        assert_eq!(members(&house, crew).await.len(), 3);
        revise(&house, &admin, crew, only(&[ada, bob])).await.unwrap();
        assert_eq!(members(&house, crew).await.len(), 2);
        revise(&house, &root, crew, only(&[])).await.unwrap();
        assert_eq!(members(&house, crew).await.len(), 0);
        house.check().await;
    }
}
