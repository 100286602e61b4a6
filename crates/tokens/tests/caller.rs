//! Who calls with an access token, and what scope and authority they bring.

use crate::house::{House, house, new_user, origin, robot, web_app};
use keyreeve_audit::Actor;
use keyreeve_base::Presentation;
use keyreeve_identity::{Cause, Subject, Tenant};
use keyreeve_testkit::{Engine, on_both_engines};
use keyreeve_tokens::scope::{ADMIN, USERS_READ, USERS_WRITE};
use keyreeve_tokens::{Caller, ClientSettings};
use std::sync::Arc;

async fn caller(house: &House, tenant: &Arc<Tenant>, token: &str) -> Option<Caller> {
    house.tokens.caller(tenant, Presentation::Bearer(token), &origin()).await.expect("an answer")
}

fn reader() -> ClientSettings {
    let mut settings = robot();
    settings.scopes = "keyreeve:users:read".parse().unwrap();
    settings
}

on_both_engines! {
    async fn a_client_has_the_authority_of_its_scopes(engine: Engine) {
        let house = house(engine).await;
        let app = house.app("reader", reader()).await;
        let token = house.client_credentials(&app, None).await.expect("a token").access_token;
        let found = caller(&house, &house.tenant, &token).await.expect("a caller");
        assert_eq!(found.cause().actor, Actor::Client(app.client.id));
        assert_eq!(found.authority().subject(), Some(Subject::Client(app.client.id)));
        assert!(found.authority().may_manage_tenant());
        assert!(found.allows(USERS_READ) && !found.allows(USERS_WRITE) && !found.is_unlimited());
        // A scope that is taken away is gone at once.
        house.set(&app, |settings| settings.scopes = "keyreeve:groups:read".parse().unwrap()).await;
        let found = caller(&house, &house.tenant, &token).await.expect("a caller");
        assert!(!found.allows(USERS_READ));
        house.check().await;
    }

    async fn a_client_without_a_scope_of_ours_has_no_authority(engine: Engine) {
        let house = house(engine).await;
        let app = house.app("robot", robot()).await;
        let token = house.client_credentials(&app, None).await.expect("a token").access_token;
        let found = caller(&house, &house.tenant, &token).await.expect("a caller");
        assert!(!found.authority().is_some() && !found.allows(USERS_READ));
    }

    async fn a_user_has_their_own_authority_whatever_the_scope(engine: Engine) {
        let house = house(engine).await;
        let mut settings = web_app();
        settings.scopes = format!("openid {ADMIN}").parse().unwrap();
        let app = house.app("portal", settings).await;
        let session = house.sign_in().await;
        let code = house.code(&[("scope", &format!("openid {ADMIN}"))], &session).await;
        let token = house.redeem(&app, &code).await.expect("tokens").access_token;
        let found = caller(&house, &house.tenant, &token).await.expect("a caller");
        assert_eq!(found.cause().actor, Actor::User(house.ada.id));
        assert!(found.is_unlimited() && !found.authority().is_some());

        let role = house.identity.roles().tenant_admin(house.tenant.id).await.expect("the role").id;
        let (tenant, party) = (house.tenant.id, keyreeve_identity::Party::User(house.ada.id));
        let cause = Cause::operator();
        house.identity.roles().assign((tenant, role), party, &cause).await.expect("a role given");
        let found = caller(&house, &house.tenant, &token).await.expect("a caller");
        assert!(found.authority().may_manage_tenants());
        house.check().await;
    }

    async fn ac_34_nobody_calls_with_a_token_of_elsewhere(engine: Engine) {
        let house = house(engine).await;
        house.tokens.keys().prepare(house.other.id).await.expect("keys");
        new_user(&house.identity, house.other.id).await;
        let app = house.app("admin", ClientSettings::administrator("admin")).await;
        let token = house.client_credentials(&app, None).await.expect("a token").access_token;
        assert!(caller(&house, &house.tenant, &token).await.is_some());
        assert!(caller(&house, &house.other, &token).await.is_none());
        // A token for another server opens nothing here.
        let mut settings = robot();
        settings.audiences = vec!["https://api.example".into()];
        let app = house.app("robot", settings).await;
        let elsewhere = house.client_credentials(&app, None).await.expect("a token").access_token;
        assert!(caller(&house, &house.tenant, &elsewhere).await.is_none());
        // Nor does an ID token.
        let portal = house.portal().await;
        let id_token = house.tokens_for(&portal, &house.sign_in().await).await.id_token.expect("an ID token");
        assert!(caller(&house, &house.tenant, &id_token).await.is_none());
        assert!(caller(&house, &house.tenant, "").await.is_none());
        house.check().await;
    }
}
