//! Accounts of one person: found, and merged.

use crate::house::{House, PASSWORD, house, refusal};
use crate::search::{administrator, authority};
use keyreeve_base::UserId;
use keyreeve_identity::{
    Cause, Credential, DuplicateBy, Error, MembershipKind, Merge, MergeField, NewRole, NewServiceAccount,
    NewTenant, NewUser, Party, Profile, Refusal, StateChange, TenantSettings, User,
};
use keyreeve_testkit::{Engine, on_both_engines};
use std::collections::BTreeMap;

async fn make(house: &House, profile: Profile) -> User {
    let new = NewUser { profile, credential: Credential::None, ..NewUser::default() };
    let made = house.identity.users().create(house.id(), new, &Cause::operator()).await.unwrap();
    (*made).clone()
}

fn named(username: &str) -> Profile {
    Profile { username: Some(username.to_owned()), ..Profile::default() }
}

fn of(keep: UserId, absorb: UserId, take: &[MergeField]) -> Merge {
    Merge { keep, absorb, take: take.to_vec(), version: None }
}

async fn join(house: &House, group: keyreeve_base::GroupId, user: UserId, kind: MembershipKind) {
    let of = (house.id(), group);
    house.identity.groups().add(of, Party::User(user), kind, &Cause::operator()).await.unwrap();
}

on_both_engines! {
    async fn one_account_goes_up_in_another(engine: Engine) {
        let house = house(engine).await;
        let root = administrator(&house).await;
        let ada = house.ada().await;
        let cookie = house.sign_in("ada", PASSWORD).await.cookie;
        let attributes = |of: &[(&str, &str)]| -> BTreeMap<String, Vec<String>> {
            of.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect()
        };
        let keep = make(&house, Profile {
            given_name: Some("Ada".to_owned()),
            attributes: attributes(&[("team", "own")]),
            ..named("countess")
        }).await;
        let patch = keyreeve_identity::ProfilePatch {
            attributes: Some(attributes(&[("team", "other"), ("site", "x")])),
            email_verified: Some(true),
            ..Default::default()
        };
        house.identity.users().update((house.id(), ada.id), patch, None, &Cause::operator()).await.unwrap();
        let (one, both, up) = (house.group("one").await.id, house.group("both").await.id, house.group("up").await.id);
        join(&house, one, ada.id, MembershipKind::Admin).await;
        for (user, kind) in [(ada.id, MembershipKind::Member), (keep.id, MembershipKind::Owner)] {
            join(&house, both, user, kind).await;
        }
        for (user, kind) in [(ada.id, MembershipKind::Owner), (keep.id, MembershipKind::Member)] {
            join(&house, up, user, kind).await;
        }
        let new = NewRole { name: "reader".to_owned(), description: None, application: None };
        let role = house.identity.roles().create(house.id(), new, &Cause::operator()).await.unwrap().id;
        house.identity.roles().assign((house.id(), role), Party::User(ada.id), &Cause::operator()).await.unwrap();
        let owner = Some(Party::User(ada.id));
        let new = NewServiceAccount { name: "agent".to_owned(), owner, ..NewServiceAccount::default() };
        let agent = house.identity.service_accounts().create(house.id(), new, &Cause::operator()).await.unwrap();

        let take = [MergeField::Email, MergeField::GivenName, MergeField::FamilyName, MergeField::Attributes];
        let cause = Cause::operator();
        let merge = house.identity.users().merge(&root, of(keep.id, ada.id, &take), &cause);
        let (kept, lines) = house.lines_of(merge).await;
        let kept = kept.unwrap();
        assert_eq!(
            lines,
            ["user.archive success", "session.end success", "user.update success", "user.merge success"]
        );
        assert_eq!(kept.username.as_deref(), Some("countess"));
        assert_eq!((kept.email.as_deref(), kept.email_verified), (Some("Lovelace@Example.org"), true));
        assert_eq!((kept.given_name.as_deref(), kept.family_name.as_deref()), (Some("Augusta"), None));
        assert_eq!(kept.attributes, attributes(&[("team", "own"), ("site", "x")]));
        let mut groups = house.identity.groups().direct_of(house.id(), Party::User(keep.id)).await.unwrap();
        groups.sort();
        let mut expected =
            [(one, MembershipKind::Admin), (both, MembershipKind::Owner), (up, MembershipKind::Owner)];
        expected.sort();
        assert_eq!(groups, expected);
        assert!(house.identity.groups().direct_of(house.id(), Party::User(ada.id)).await.unwrap().is_empty());
        let roles = house.identity.roles().effective_of(house.id(), Party::User(keep.id)).await.unwrap();
        assert!(roles.iter().any(|held| held.id == role));
        let agent = house.identity.service_accounts().get(house.id(), agent.id).await.unwrap();
        assert_eq!((agent.owner, agent.version), (Some(Party::User(keep.id)), 2));
        // The absorbed account is over, whatever proves it.
        assert!(house.session(&cookie).await.is_none());
        assert_eq!(refusal(&house.try_sign_in("ada", PASSWORD).await), Refusal::Denied);
        let gone = house.identity.users().get(house.id(), ada.id).await.unwrap();
        assert!(gone.archived_at.is_some());
        assert_eq!(house.identity.users().merged_into(house.id(), ada.id).await.unwrap(), Some(keep.id));
        assert_eq!(house.identity.users().merged_into(house.id(), keep.id).await.unwrap(), None);
        let by_mail = house.identity.users().find(house.id(), "lovelace@example.org").await.unwrap();
        assert_eq!(by_mail.map(|user| user.id), Some(keep.id));
        let again = house.identity.users().merge(&root, of(keep.id, ada.id, &[]), &Cause::operator()).await;
        assert!(matches!(again, Err(Error::NotFound("user"))));
        house.check().await;
    }

    async fn what_must_not_be_merged_is_refused_whole(engine: Engine) {
        let house = house(engine).await;
        let root = administrator(&house).await;
        let (keep, absorb) = (make(&house, named("keep")).await, make(&house, named("absorb")).await);
        let users = house.identity.users();
        let cause = Cause::operator();
        let same = users.merge(&root, of(keep.id, keep.id, &[]), &cause).await.unwrap_err();
        assert_eq!(same.to_string(), "absorb is the account that is kept");
        let stale = Merge { version: Some(9), ..of(keep.id, absorb.id, &[]) };
        assert!(matches!(users.merge(&root, stale, &cause).await, Err(Error::VersionConflict)));
        // An administrator of a group that holds both is not one of the tenant.
        let team = house.group("team").await.id;
        let boss = make(&house, named("boss")).await;
        join(&house, team, boss.id, MembershipKind::Owner).await;
        for user in [keep.id, absorb.id] {
            join(&house, team, user, MembershipKind::Member).await;
        }
        let boss = authority(&house, boss.id).await;
        let raised = users.merge(&boss, of(keep.id, absorb.id, &[]), &cause).await;
        assert!(matches!(raised, Err(Error::NotFound("user"))));
        assert!(matches!(users.duplicates(&boss, &[DuplicateBy::FullName], None, 9).await, Err(Error::NotFound(_))));
        assert!(users.get(house.id(), absorb.id).await.unwrap().archived_at.is_none());
        let roles = house.identity.groups().direct_of(house.id(), Party::User(absorb.id)).await.unwrap();
        assert_eq!(roles.len(), 1);
        house.check().await;
    }

    /// AC-52: accounts of two tenants are never merged.
    async fn ac_52_no_merge_crosses_tenants(engine: Engine) {
        let house = house(engine).await;
        let root = administrator(&house).await;
        let keep = make(&house, named("keep")).await;
        let new = NewTenant { slug: "other".to_owned(), name: "Other".to_owned(), settings: TenantSettings::default() };
        let other = house.identity.tenants().create(new, &Cause::system()).await.unwrap();
        let new = NewUser { profile: named("absorb"), ..NewUser::default() };
        let foreign = house.identity.users().create(other.id, new, &Cause::system()).await.unwrap();
        let users = house.identity.users();
        for merge in [of(keep.id, foreign.id, &[]), of(foreign.id, keep.id, &[])] {
            assert!(matches!(users.merge(&root, merge, &Cause::operator()).await, Err(Error::NotFound("user"))));
        }
        assert!(users.get(other.id, foreign.id).await.unwrap().archived_at.is_none());
        assert!(users.get(house.id(), keep.id).await.unwrap().archived_at.is_none());
        house.check().await;
    }

    /// Of two who merge the same accounts in opposite ways, one does.
    async fn ac_17_merging_both_ways_at_once_keeps_one(engine: Engine) {
        let house = std::sync::Arc::new(house(engine).await);
        let root = administrator(&house).await;
        let (a, b) = (make(&house, named("a")).await.id, make(&house, named("b")).await.id);
        let mut tasks = tokio::task::JoinSet::new();
        for (keep, absorb) in [(a, b), (b, a)] {
            let (house, root) = (house.clone(), root.clone());
            tasks.spawn(async move {
                house.identity.users().merge(&root, of(keep, absorb, &[]), &Cause::operator()).await.is_ok()
            });
        }
        let done = tasks.join_all().await;
        assert_eq!(done.iter().filter(|done| **done).count(), 1);
        house.check().await;
    }

    async fn accounts_that_agree_are_found_in_pages(engine: Engine) {
        let house = house(engine).await;
        let root = administrator(&house).await;
        let person = |username: &str, given: &str, phone: &str, badge: &str| Profile {
            given_name: Some(given.to_owned()),
            family_name: Some("Lovelace".to_owned()),
            phone_number: Some(phone.to_owned()),
            attributes: BTreeMap::from([("badge".to_owned(), vec![badge.to_owned(), format!("x-{username}")])]),
            ..named(username)
        };
        let mut made = Vec::new();
        for (username, given, phone, badge) in [
            ("a", "Ada", "+41 44 1", "7"), ("b", "ADA", "+41-(44)-1", "8"), ("c", "Åke", "+41441", "7"),
            ("d", "åke", "5", "9"), ("e", "Zoe", "6", "10"),
        ] {
            made.push(make(&house, person(username, given, phone, badge)).await.id);
        }
        let users = house.identity.users();
        let find = async |by: &[DuplicateBy]| {
            let sets = users.duplicates(&root, by, None, 100).await.unwrap();
            assert!(sets.iter().all(|set| set.count == set.users.len() as u64));
            sets.into_iter().map(|set| set.users).collect::<Vec<_>>()
        };
        let badge = || DuplicateBy::Attribute("badge".to_owned());
        assert_eq!(find(&[DuplicateBy::PhoneNumber]).await, [made[0..3].to_vec()]);
        assert_eq!(find(&[DuplicateBy::FullName]).await, [made[0..2].to_vec(), made[2..4].to_vec()]);
        assert_eq!(find(&[badge()]).await, [vec![made[0], made[2]]]);
        assert_eq!(find(&[DuplicateBy::FullName, DuplicateBy::PhoneNumber]).await, [made[0..2].to_vec()]);
        assert!(find(&[DuplicateBy::FullName, badge()]).await.is_empty());
        assert!(find(&[DuplicateBy::DisplayName]).await.is_empty());
        let first = users.duplicates(&root, &[DuplicateBy::FullName], None, 1).await.unwrap();
        assert_eq!(first[0].values, ["ada lovelace"]);
        let next = users.duplicates(&root, &[DuplicateBy::FullName], Some(&first[0].values), 1).await.unwrap();
        assert_eq!((next.len(), &next[0].users), (1, &made[2..4].to_vec()));
        assert!(users.duplicates(&root, &[], None, 1).await.is_err());
        assert!(users.duplicates(&root, &[DuplicateBy::FullName], Some(&[]), 1).await.is_err());
        house.change_state(made[1], StateChange::Archive).await;
        assert_eq!(find(&[DuplicateBy::FullName]).await, [made[2..4].to_vec()]);
        house.check().await;
    }
}
