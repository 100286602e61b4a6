//! Every change has its audit entry, in the tenant's chain.

use crate::house::{bare_house, house, refresh_token, web_app};
use keyreeve_identity::Cause;
use keyreeve_testkit::{Engine, on_both_engines};
use keyreeve_tokens::TokenPolicy;

on_both_engines! {
    async fn each_use_case_leaves_its_entry(engine: Engine) {
        let house = bare_house(engine).await;
        let (tokens, tenant, cause) = (&house.tokens, house.tenant.id, Cause::operator());
        let (_, lines) = house.lines_of(tokens.keys().prepare(tenant)).await;
        assert_eq!(lines, ["key.create success", "key.create success"]);
        let (_, lines) = house.lines_of(tokens.set_policy(tenant, &TokenPolicy::default(), &cause)).await;
        assert_eq!(lines, ["policy.update success"]);
        let (portal, lines) = house.lines_of(house.portal()).await;
        assert_eq!(lines, ["client.create success"]);
        let ((), lines) = house.lines_of(house.set(&portal, |settings| settings.name = "Other".into())).await;
        assert_eq!(lines, ["client.update success"]);
        let session = house.sign_in().await;
        let (code, lines) = house.lines_of(house.code(&[], &session)).await;
        assert_eq!(lines, ["code.issue success"]);
        let (response, lines) = house.lines_of(house.redeem(&portal, &code)).await;
        assert_eq!(lines, ["admission.code success"]);
        let response = response.expect("tokens");
        let (second, lines) = house.lines_of(house.refresh(&portal, refresh_token(&response))).await;
        assert_eq!(lines, ["admission.refresh success"]);
        assert!(second.is_ok());
        let grant = tokens.grants(tenant, house.ada.id).await.expect("a list").remove(0);
        let (revoked, lines) = house.lines_of(tokens.revoke_grant(tenant, grant.id, &cause)).await;
        revoked.expect("a revocation");
        assert_eq!(lines, ["grant.revoke success"]);
        assert!(tokens.revoke_grant(tenant, grant.id, &cause).await.is_err());
        let (_, lines) = house.lines_of(tokens.clients().delete(tenant, portal.client.id, &cause)).await;
        assert_eq!(lines, ["client.delete success"]);
        house.check().await;
    }

    async fn what_is_refused_by_its_own_rules_changes_nothing(engine: Engine) {
        let house = house(engine).await;
        let (tokens, tenant, cause) = (&house.tokens, house.tenant.id, Cause::operator());
        let wrong = TokenPolicy { access_token_s: 0, ..TokenPolicy::default() };
        let mut nameless = web_app();
        nameless.name = String::new();
        let new = keyreeve_tokens::NewClient { tenant_id: tenant, client_id: None, settings: nameless };
        let (answers, lines) = house.lines_of(async {
            (tokens.set_policy(tenant, &wrong, &cause).await.is_err(), tokens.clients().create(new, &cause).await.is_err())
        }).await;
        assert_eq!((answers, lines.len()), ((true, true), 0));
        assert_eq!(*tokens.policy(tenant).await.expect("a policy"), TokenPolicy::default());
    }
}
