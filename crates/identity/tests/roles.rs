//! Roles: of the tenant and of clients, given to parties, effective through groups.

use crate::house::{House, house};
use keyreeve_base::{ClientId, TenantId, UserId};
use keyreeve_identity::{
    Cause, Credential, EffectiveRoles, Error, MembershipKind, NewRole, NewUser, Party, Patch, Profile, Role,
    RolePatch, StateChange, Subject, TENANT_ADMIN,
};
use keyreeve_store::Tx;
use keyreeve_testkit::{Engine, on_both_engines};
use std::time::{Duration, Instant};

async fn role(house: &House, name: &str, application: Option<ClientId>) -> Result<Role, Error> {
    let new = NewRole { name: name.to_owned(), application, ..NewRole::default() };
    house.identity.roles().create(house.id(), new, &Cause::operator()).await
}

async fn someone(house: &House, name: &str) -> UserId {
    house.try_user(Some(name), None, Credential::None).await.unwrap().id
}

async fn assign(house: &House, role: &Role, party: Party) -> Result<bool, Error> {
    house.identity.roles().assign((house.id(), role.id), party, &Cause::operator()).await
}

async fn effective(house: &House, user: UserId) -> std::sync::Arc<EffectiveRoles> {
    house.identity.roles().effective(house.id(), Subject::User(user)).await.unwrap()
}

async fn names(house: &House, user: UserId) -> Vec<String> {
    effective(house, user).await.iter().map(|role| role.name.clone()).collect()
}

async fn join(house: &House, group: keyreeve_base::GroupId, party: Party) {
    let of = (house.id(), group);
    house.identity.groups().add(of, party, MembershipKind::Member, &Cause::operator()).await.unwrap();
}

on_both_engines! {
    async fn a_name_is_unique_in_its_tenant_and_in_each_client(engine: Engine) {
        let house = house(engine).await;
        let (roles, client): (_, ClientId) = (house.identity.roles(), house.test.world.new_id());
        let (made, lines) = house.lines_of(role(&house, "Data Reader", None)).await;
        assert_eq!(lines, ["role.create success"]);
        let made = made.unwrap();
        let of_client = role(&house, "data reader", Some(client)).await.unwrap();
        let of_other = role(&house, "data reader", Some(house.test.world.new_id())).await.unwrap();
        for application in [None, Some(client)] {
            assert!(matches!(role(&house, "DATA  reader", application).await, Err(Error::Taken("name"))));
        }
        assert_eq!(roles.find(house.id(), None, " data READER").await.unwrap(), Some(made.clone()));
        assert_eq!(roles.find(house.id(), Some(client), "Data Reader").await.unwrap(), Some(of_client.clone()));
        let all = roles.list(house.id(), None, 500).await.unwrap();
        assert_eq!(all, [made.clone(), of_client.clone(), of_other]);
        assert_eq!(roles.list_of(house.id(), Some(client), None, 500).await.unwrap(), std::slice::from_ref(&of_client));
        assert_eq!(roles.list_of(house.id(), None, None, 500).await.unwrap(), std::slice::from_ref(&made));
        let other: TenantId = house.test.world.new_id();
        assert!(matches!(roles.get(other, made.id).await, Err(Error::NotFound("role"))), "AC-52");
        let ada = Party::User(someone(&house, "ada").await);
        assign(&house, &of_client, ada).await.unwrap();
        let identity = house.identity.clone();
        let remove = async move |tx: &mut Tx<'_>| {
            identity.roles().remove_application(tx, other, client, &Cause::operator()).await?;
            identity.roles().remove_application(tx, of_client.tenant_id, client, &Cause::operator()).await
        };
        let (removed, lines) = house.lines_of(house.test.store.write(remove)).await;
        assert_eq!((removed.unwrap(), lines), (1, vec!["role.delete success".to_owned()]));
        assert_eq!(roles.list(house.id(), None, 500).await.unwrap().len(), 2);
        house.check().await;
    }

    async fn roles_come_directly_and_through_every_group_above(engine: Engine) {
        let house = house(engine).await;
        let [top, low] = [house.group("top").await.id, house.group("low").await.id];
        let (ada, bob) = (someone(&house, "ada").await, someone(&house, "bob").await);
        join(&house, top, Party::Group(low)).await;
        join(&house, low, Party::User(ada)).await;
        assert!(names(&house, ada).await.is_empty(), "and memory knows it now");
        let mut made = Vec::new();
        for (name, party) in [("own", Party::User(ada)), ("of top", Party::Group(top)), ("of low", Party::Group(low))] {
            let role = role(&house, name, None).await.unwrap();
            let (given, lines) = house.lines_of(assign(&house, &role, party)).await;
            assert_eq!((given.unwrap(), lines), (true, vec!["role.assign success".to_owned()]));
            assert!(!assign(&house, &role, party).await.unwrap(), "again is nothing new");
            made.push(role);
        }
        assert_eq!(names(&house, ada).await, ["own", "of top", "of low"]);
        assert!(names(&house, bob).await.is_empty());
        assert!(effective(&house, ada).await.holds(made[1].id));
        let roles = house.identity.roles();
        let direct: Vec<_> = roles.assigned_to(house.id(), Party::User(ada)).await.unwrap();
        assert_eq!(direct, [made[0].clone()]);
        let of_low = roles.effective_of(house.id(), Party::Group(low)).await.unwrap();
        assert_eq!(of_low.of_tenant().collect::<Vec<_>>(), ["of top", "of low"]);
        let holders = roles.holders((house.id(), made[1].id), None, 500).await.unwrap();
        assert_eq!(holders.iter().map(|holding| holding.party).collect::<Vec<_>>(), [Party::Group(top)]);
        let (taken, lines) = house.lines_of(roles.unassign((house.id(), made[1].id), Party::Group(top), &Cause::operator())).await;
        assert_eq!((taken.unwrap(), lines), (true, vec!["role.unassign success".to_owned()]));
        assert_eq!(names(&house, ada).await, ["own", "of low"]);
        house.identity.groups().remove((house.id(), low), Party::User(ada), &Cause::operator()).await.unwrap();
        assert_eq!(names(&house, ada).await, ["own"]);
        house.check().await;
    }

    async fn a_changed_role_is_seen_at_once_and_a_removed_one_is_nobodys(engine: Engine) {
        let house = house(engine).await;
        let (roles, cause, ada) = (house.identity.roles(), Cause::operator(), someone(&house, "ada").await);
        let made = role(&house, "reader", None).await.unwrap();
        role(&house, "writer", None).await.unwrap();
        assign(&house, &made, Party::User(ada)).await.unwrap();
        assert_eq!(names(&house, ada).await, ["reader"]);
        let of = (house.id(), made.id);
        let patch = RolePatch { name: Some("Viewer".to_owned()), description: Patch::Set("sees".to_owned()) };
        let (after, lines) = house.lines_of(roles.update(of, patch.clone(), Some(1), &cause)).await;
        assert_eq!((after.unwrap().version, lines), (2, vec!["role.update success".to_owned()]));
        assert_eq!(names(&house, ada).await, ["Viewer"]);
        assert!(matches!(roles.update(of, patch, Some(1), &cause).await, Err(Error::VersionConflict)));
        let taken = RolePatch { name: Some("WRITER".to_owned()), ..RolePatch::default() };
        assert!(matches!(roles.update(of, taken, None, &cause).await, Err(Error::Taken("name"))));
        let (_, lines) = house.lines_of(roles.delete(of, None, &cause)).await;
        assert_eq!(lines, ["role.delete success"]);
        assert!(names(&house, ada).await.is_empty());
        assert!(matches!(assign(&house, &made, Party::User(ada)).await, Err(Error::NotFound("role"))));
        assert!(matches!(roles.delete(of, None, &cause).await, Err(Error::NotFound("role"))));
        house.check().await;
    }

    async fn a_role_is_given_only_to_who_is_there(engine: Engine) {
        let house = house(engine).await;
        let made = role(&house, "reader", None).await.unwrap();
        let world = &house.test.world;
        for nobody in [Party::User(world.new_id()), Party::Group(world.new_id()), Party::Service(world.new_id())] {
            assert!(matches!(assign(&house, &made, nobody).await, Err(Error::NotFound(_))), "{nobody}");
        }
        let ada = someone(&house, "ada").await;
        assign(&house, &made, Party::User(ada)).await.unwrap();
        house.change_state(ada, StateChange::Archive).await;
        assert!(names(&house, ada).await.is_empty());
        assert!(house.identity.roles().holders((house.id(), made.id), None, 9).await.unwrap().is_empty());
        let nobody = house.identity.roles().effective(house.id(), Subject::Client(world.new_id())).await.unwrap();
        assert_eq!(nobody.iter().count(), 0);
        house.check().await;
    }

    async fn the_administrators_role_can_be_given_and_taken_and_nothing_else(engine: Engine) {
        let house = house(engine).await;
        let (roles, cause) = (house.identity.roles(), Cause::operator());
        let admin = roles.tenant_admin(house.id()).await.unwrap();
        assert_eq!((admin.name.as_str(), admin.is_reserved()), (TENANT_ADMIN, true));
        assert_eq!(roles.tenant_admin(house.id()).await.unwrap(), admin, "there is one");
        let of = (house.id(), admin.id);
        let rename = RolePatch { name: Some("x".to_owned()), ..RolePatch::default() };
        for refused in [
            role(&house, "Tenant-Admin", None).await.map(drop),
            roles.update(of, rename, None, &cause).await.map(drop),
            roles.delete(of, None, &cause).await,
        ] {
            assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
        }
        let other = role(&house, "other", None).await.unwrap();
        let usurp = RolePatch { name: Some("TENANT-ADMIN".to_owned()), ..RolePatch::default() };
        let refused = roles.update((house.id(), other.id), usurp, None, &cause).await;
        assert!(matches!(refused, Err(Error::Invalid { field: "name", .. })));
        let of_client = role(&house, TENANT_ADMIN, Some(house.test.world.new_id())).await.unwrap();
        let ada = someone(&house, "ada").await;
        assign(&house, &of_client, Party::User(ada)).await.unwrap();
        assert!(!effective(&house, ada).await.is_tenant_admin(), "a client's role of that name is no such");
        let group = house.group("administrators").await.id;
        join(&house, group, Party::User(ada)).await;
        assign(&house, &admin, Party::Group(group)).await.unwrap();
        assert!(effective(&house, ada).await.is_tenant_admin());
        roles.unassign(of, Party::Group(group), &cause).await.unwrap();
        assert!(!effective(&house, ada).await.is_tenant_admin());
        house.check().await;
    }

    async fn a_user_can_be_made_as_an_administrator(engine: Engine) {
        let house = house(engine).await;
        let new = NewUser {
            profile: Profile { username: Some("root".to_owned()), ..Profile::default() },
            tenant_administrator: true,
            ..NewUser::default()
        };
        let (root, lines) = house.lines_of(house.identity.users().create(house.id(), new, &Cause::system())).await;
        assert_eq!(lines, ["user.create success", "role.assign success"]);
        assert!(effective(&house, root.unwrap().id).await.is_tenant_admin());
        assert!(!effective(&house, house.ada().await.id).await.is_tenant_admin());
        house.check().await;
    }
}

/// A role that is given to a group, or renamed, reaches the members on another node.
#[test]
fn another_node_hears_of_a_groups_role() {
    keyreeve_testkit::block_on(async {
        let house = house(Engine::Postgres).await;
        let other = house.other_node(64).await;
        let (group, ada) = (house.group("team").await.id, someone(&house, "ada").await);
        join(&house, group, Party::User(ada)).await;
        let until = async |expected: &[&str]| {
            let start = Instant::now();
            loop {
                let seen = other.roles().effective(house.id(), Subject::User(ada)).await.unwrap();
                if seen.of_tenant().eq(expected.iter().copied()) {
                    break;
                }
                assert!(start.elapsed() < Duration::from_secs(5), "the other node still sees {seen:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            for _ in 0..10 {
                other.roles().effective(house.id(), Subject::User(ada)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        until(&[]).await;
        let made = role(&house, "reader", None).await.unwrap();
        assign(&house, &made, Party::Group(group)).await.unwrap();
        until(&["reader"]).await;
        let patch = RolePatch { name: Some("viewer".to_owned()), ..RolePatch::default() };
        house.identity.roles().update((house.id(), made.id), patch, None, &Cause::operator()).await.unwrap();
        until(&["viewer"]).await;
        house.identity.groups().delete((house.id(), group), None, &Cause::operator()).await.unwrap();
        until(&[]).await;
        house.check().await;
    });
}
