//! The profile: authorities by groups, and what is absent.

use super::{House, on_insight};
use keyreeve_base::{GroupId, RoleId};
use keyreeve_identity::{Cause, MembershipKind, NewGroup, NewRole, Party};
use serde_json::{Value, json};

async fn role(house: &House, name: &str) -> RoleId {
    let new = NewRole { name: name.to_owned(), ..NewRole::default() };
    house.server.identity().roles().create(house.mount.id(), new, &Cause::operator()).await.unwrap().id
}

async fn group(house: &House, name: &str) -> GroupId {
    let new = NewGroup { name: name.to_owned(), ..NewGroup::default() };
    house.server.identity().groups().create(house.mount.id(), new, &Cause::operator()).await.unwrap().id
}

async fn give(house: &House, role: RoleId, party: Party) {
    let of = (house.mount.id(), role);
    house.server.identity().roles().assign(of, party, &Cause::operator()).await.unwrap();
}

async fn join(house: &House, group: GroupId, party: Party) {
    let (of, kind) = ((house.mount.id(), group), MembershipKind::Member);
    house.server.identity().groups().add(of, party, kind, &Cause::operator()).await.unwrap();
}

async fn profile(house: &House, name: &str) -> Value {
    let cookie = house.login(name).await;
    let answer = house.by_cookie(&cookie, "GET", "/currentuser").send().await.expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.json()
}

on_insight! {
    async fn authorities_are_the_union_over_the_groups(house: &House) {
        let user = house.mount.user("bob").email("bob@example.org").profile(|profile| {
            profile.given_name = Some("William".to_owned());
            profile.family_name = Some("Gates".to_owned());
            profile.attributes.insert("insight_evaluation_user".to_owned(), vec!["true".to_owned()]);
        });
        let user = user.create().await;
        let id = Party::User(user.user.id);
        let (all, edit, own) = (role(house, "APP_ALL").await, role(house, "SCENARIO_EDIT").await, role(house, "DEVELOPER").await);
        let (planners, experts) = (group(house, "Planners").await, group(house, "Experts").await);
        let (plain, others) = (group(house, "Everybody").await, group(house, "Others").await);
        give(house, all, Party::Group(planners)).await;
        give(house, edit, Party::Group(planners)).await;
        give(house, edit, Party::Group(experts)).await;
        give(house, own, id).await;
        give(house, role(house, "SYS_SERVER").await, Party::Group(others)).await;
        // Experts are planners, too.
        join(house, planners, Party::Group(experts)).await;
        join(house, experts, id).await;
        join(house, plain, id).await;
        assert_eq!(profile(house, "bob").await, json!({
            "objectType": "USER_PROFILE", "id": user.sub(), "firstName": "William", "lastName": "Gates",
            "displayName": "William Gates", "authorities": ["APP_ALL", "DEVELOPER", "SCENARIO_EDIT"],
            "url": "/insightservices/rest/v1/auth/currentuser", "email": "bob@example.org",
            "authorityGroups": ["Everybody", "Experts", "Planners"], "evaluationUser": true,
        }));
        // Whoever administers the tenant administers users.
        let admin = house.server.identity().roles().tenant_admin(house.mount.id()).await.unwrap();
        give(house, admin.id, Party::Group(plain)).await;
        assert_eq!(profile(house, "bob").await["authorities"], json!(["APP_ALL", "DEVELOPER", "SCENARIO_EDIT", "SYS_USER"]));
    }

    async fn what_is_absent_is_empty_and_never_null(house: &House) {
        let user = house.mount.user("eve").create().await;
        assert_eq!(profile(house, "eve").await, json!({
            "objectType": "USER_PROFILE", "id": user.sub(), "firstName": "", "lastName": "", "displayName": "eve",
            "authorities": [], "url": "/insightservices/rest/v1/auth/currentuser", "email": "",
            "authorityGroups": [], "evaluationUser": false,
        }));
        let cookie = house.login("eve").await;
        let pair = house.generate(&cookie).await;
        let token = house.token(&pair).await;
        let said = house.token_info(&token).await.expect(200).json();
        assert_eq!((&said["cn"], &said["mail"]), (&json!("eve"), &json!("")));
    }
}
