use super::*;
use keyreeve_base::id::Id;
use keyreeve_base::{ClientId, ServiceAccountId, UserId};
use uuid::Uuid;

fn id<T: Id>(number: u128) -> T {
    T::from_uuid(Uuid::from_u128(number))
}

fn user(number: u128) -> Subject {
    Subject::User(id(number))
}

fn of_groups(subject: Subject, reach: &[(u128, MembershipKind)]) -> Authority {
    let reach: GroupReach = reach.iter().map(|(group, kind)| (id(*group), *kind)).collect();
    Authority { tenant: id(1), subject: Some(subject), over: Over::Groups(Arc::new(reach)) }
}

fn of_tenant(subject: Subject, first: bool) -> Authority {
    Authority { tenant: id(1), subject: Some(subject), over: Over::Tenant { first } }
}

fn standing(authority: Authority, groups: &[u128]) -> Standing {
    Standing { authority, groups: groups.iter().map(|group| id(*group)).collect() }
}

/// A user without any power, in these groups.
fn plain(groups: &[u128]) -> Standing {
    standing(of_groups(user(99), &[]), groups)
}

use MembershipKind::{Admin, Member, Owner};

#[test]
fn a_tenants_administrator_may_all_of_it_and_nothing_else() {
    let admin = of_tenant(user(7), false);
    assert!(admin.may_manage_tenant() && admin.may_manage_roles() && admin.is_some());
    assert!(!admin.may_manage_tenants(), "other tenants are for the default tenant's");
    assert!(of_tenant(user(7), true).may_manage_tenants());
    assert!(admin.may_delete_group(id(10)) && admin.may_create_group(None) && admin.may_create_user(None));
    assert!(admin.may_nest(id(10), id(11)));
    assert!(admin.may_manage_user(&plain(&[])));
    assert!(admin.may_manage_user(&standing(of_tenant(user(8), false), &[])), "its peers too");
    assert!(admin.may_add_member(id(10), &plain(&[]), Owner));
    assert!(admin.may_manage_service_account(None));
    assert!(admin.may_manage_service_account(Some(Party::User(id(3)))));
}

#[test]
fn who_administers_nothing_may_nothing() {
    let client = of_groups(Subject::Client(id::<ClientId>(5)), &[]);
    for nobody in [of_groups(user(7), &[]), client] {
        assert!(!nobody.is_some() && !nobody.may_manage_tenant() && !nobody.may_manage_tenants());
        assert!(!nobody.may_manage_group(id(10)) && !nobody.may_delete_group(id(10)));
        assert!(!nobody.may_create_group(None) && !nobody.may_create_group(Some(id(10))));
        assert!(!nobody.may_manage_user(&plain(&[])) && !nobody.may_see(&plain(&[10])));
        assert!(!nobody.may_add_member(id(10), &plain(&[10]), Member));
        assert!(!nobody.may_manage_service_account(None) && !nobody.may_manage_roles());
    }
    let own = of_groups(user(7), &[]);
    assert!(own.may_see(&standing(own.clone(), &[10])), "but themselves they see");
}

#[test]
fn an_admin_may_change_the_group_but_not_its_owners_or_its_end() {
    let admin = of_groups(user(7), &[(10, Admin), (11, Admin)]);
    assert!(admin.may_manage_group(id(10)) && !admin.may_manage_group(id(20)));
    assert!(!admin.may_delete_group(id(10)));
    assert!(admin.may_create_group(Some(id(10))) && !admin.may_create_group(None));
    assert!(admin.may_create_user(Some(id(10))) && !admin.may_create_user(None));
    for (from, to, may) in [
        (None, Some(Member), true),
        (None, Some(Admin), true),
        (None, Some(Owner), false),
        (Some(Member), Some(Owner), false),
        (Some(Owner), Some(Member), false),
        (Some(Owner), None, false),
        (Some(Admin), None, true),
    ] {
        assert_eq!(admin.may_change_member(id(10), from, to), may, "{from:?} to {to:?}");
        assert!(!admin.may_change_member(id(20), from, to));
        assert!(of_groups(user(7), &[(10, Owner)]).may_change_member(id(10), from, to));
    }
    assert!(of_groups(user(7), &[(10, Owner)]).may_delete_group(id(10)));
}

#[test]
fn only_who_is_there_and_nowhere_else_can_be_changed() {
    let admin = of_groups(user(7), &[(10, Owner), (11, Owner)]);
    assert!(admin.may_manage_user(&plain(&[10])) && admin.may_manage_user(&plain(&[11, 10])));
    for elsewhere in [plain(&[10, 20]), plain(&[20]), plain(&[])] {
        assert!(!admin.may_manage_user(&elsewhere), "{elsewhere:?}");
    }
    assert!(admin.may_see(&plain(&[10, 20])), "seen, not changed");
    assert!(!admin.may_see(&plain(&[20])) && !admin.may_see(&plain(&[])));
}

#[test]
fn nobody_changes_who_has_more_power() {
    let admin = of_groups(user(7), &[(10, Admin)]);
    let other = |reach: &[(u128, MembershipKind)]| standing(of_groups(user(8), reach), &[10]);
    assert!(admin.may_manage_user(&other(&[])) && admin.may_manage_user(&other(&[(10, Admin)])));
    assert!(!admin.may_manage_user(&other(&[(10, Owner)])), "an owner's password makes an owner");
    assert!(!admin.may_manage_user(&other(&[(20, Admin)])));
    assert!(!admin.may_manage_user(&standing(of_tenant(user(8), false), &[10])));
}

#[test]
fn nobody_extends_their_own_reach() {
    let admin = of_groups(user(7), &[(10, Owner), (11, Owner)]);
    assert!(admin.may_add_member(id(11), &plain(&[10]), Owner));
    assert!(!admin.may_add_member(id(11), &plain(&[]), Member), "a stranger would be theirs to change");
    assert!(!admin.may_add_member(id(11), &plain(&[20]), Member));
    assert!(!admin.may_add_member(id(20), &plain(&[10]), Member));
    assert!(admin.may_nest(id(10), id(11)));
    assert!(!admin.may_nest(id(10), id(20)) && !admin.may_nest(id(20), id(10)));
}

/// AC-77: an agent creates no agents.
#[test]
fn ac_77_a_service_account_makes_no_service_accounts() {
    let service = Subject::Service(id::<ServiceAccountId>(6));
    let owner = Some(Party::Group(id(10)));
    for agent in [of_tenant(service, true), of_groups(service, &[(10, Owner)])] {
        assert!(!agent.may_manage_service_account(None) && !agent.may_manage_service_account(owner));
        assert!(agent.may_manage_group(id(10)));
    }
    let admin = of_groups(user(7), &[(10, Admin)]);
    assert!(admin.may_manage_service_account(owner));
    for other in [None, Some(Party::Group(id(20))), Some(Party::User(id::<UserId>(7)))] {
        assert!(!admin.may_manage_service_account(other), "{other:?}");
    }
}
