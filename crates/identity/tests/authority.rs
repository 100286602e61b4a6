//! Delegated administration over what is stored: the rules themselves are tested beside them.

use crate::house::{House, house};
use keyreeve_base::{GroupId, UserId};
use keyreeve_identity::{Authority, Cause, Credential, MembershipKind, Party, Standing, Subject};
use keyreeve_testkit::{Engine, on_both_engines};

use MembershipKind::{Admin, Member, Owner};

async fn someone(house: &House, name: &str) -> UserId {
    house.try_user(Some(name), None, Credential::None).await.unwrap().id
}

async fn add(house: &House, group: GroupId, party: Party, kind: MembershipKind) {
    let groups = house.identity.groups();
    assert!(groups.add((house.id(), group), party, kind, &Cause::operator()).await.unwrap());
}

async fn standing(house: &House, user: UserId) -> Standing {
    house.identity.standing_of(house.id(), Subject::User(user)).await.unwrap()
}

async fn authority(house: &House, user: UserId) -> Authority {
    standing(house, user).await.authority
}

on_both_engines! {
    async fn who_administers_a_group_administers_what_is_nested_below(engine: Engine) {
        let house = house(engine).await;
        let [top, mid, low, aside] = [
            house.group("top").await.id, house.group("mid").await.id, house.group("low").await.id, house.group("aside").await.id,
        ];
        add(&house, top, Party::Group(mid), Member).await;
        add(&house, mid, Party::Group(low), Member).await;
        let (ada, bob, eve) = (someone(&house, "ada").await, someone(&house, "bob").await, someone(&house, "eve").await);
        add(&house, mid, Party::User(ada), Admin).await;
        add(&house, low, Party::User(bob), Owner).await;
        add(&house, low, Party::User(eve), Member).await;
        let over = async |user| {
            let authority = authority(&house, user).await;
            [top, mid, low, aside].map(|group| authority.may_manage_group(group))
        };
        assert_eq!(over(ada).await, [false, true, true, false]);
        assert_eq!(over(bob).await, [false, false, true, false]);
        assert_eq!(over(eve).await, [false; 4]);
        let of_ada = authority(&house, ada).await;
        assert!(of_ada.may_manage_user(&standing(&house, eve).await));
        assert!(!of_ada.may_manage_user(&standing(&house, bob).await), "who owns what she only administers");
        add(&house, aside, Party::User(eve), Member).await;
        assert!(!of_ada.may_manage_user(&standing(&house, eve).await), "who is elsewhere too");
        let groups = house.identity.groups();
        groups.remove((house.id(), mid), Party::Group(low), &Cause::operator()).await.unwrap();
        assert_eq!(over(ada).await, [false, true, false, false]);
        groups.change_kind((house.id(), mid), Party::User(ada), Member, &Cause::operator()).await.unwrap();
        assert_eq!(over(ada).await, [false; 4]);
        house.check().await;
    }

    async fn a_tenants_administrator_is_one_by_the_role_however_it_came(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await.id;
        let signed_in = house.sign_in("ada", crate::house::PASSWORD).await.admitted;
        let before = house.identity.authority_of(&signed_in).await.unwrap();
        assert!(!before.is_some() && before.tenant() == house.id() && before.subject() == Some(Subject::User(ada)));
        let group = house.group("administrators").await.id;
        add(&house, group, Party::User(ada), Member).await;
        let role = house.identity.roles().tenant_admin(house.id()).await.unwrap();
        let of = (house.id(), role.id);
        house.identity.roles().assign(of, Party::Group(group), &Cause::operator()).await.unwrap();
        let after = house.identity.authority_of(&signed_in).await.unwrap();
        assert!(after.may_manage_tenant() && after.may_manage_tenants(), "of the default tenant");
        house.identity.groups().remove((house.id(), group), Party::User(ada), &Cause::operator()).await.unwrap();
        assert!(!house.identity.authority_of(&signed_in).await.unwrap().is_some());
        let by_scope = house.identity.authority_by_scope(&signed_in).await.unwrap();
        assert!(by_scope.may_manage_tenant());
        house.check().await;
    }
}
