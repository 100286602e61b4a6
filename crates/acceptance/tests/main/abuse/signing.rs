//! Attacks by tokens that the server signs for others (AC-34, AC-57).

use super::stages;
use crate::secrets::{keeper, make, password};
use keyreeve_acceptance::{Server, on_a_server};
use serde_json::{Value, json};

fn rules(issuer: &str, typ: &str) -> Value {
    let claims = json!({"scope": [], "client_id": [], "azp": [], "events": [], "nonce": [], "sid": [], "token_use": []});
    let jwt = json!({"issuer": issuer, "audiences": ["https://id.keyreeve.test", issuer], "typ": typ, "claims": claims});
    json!({"names": ["{{username}}", "service", "0190f0f0-0000-7000-8000-000000000001"], "max_seconds": 600, "jwt": jwt})
}

on_a_server! {
    async fn ac_34_what_is_signed_for_others_opens_no_door(server: &Server) {
        for stage in stages(server).await {
            let (mount, admin) = (&stage.mount, stage.mount.administrator().await);
            let value = json!({"make": {"make": "signing_key", "algorithm": "EdDSA"}});
            let key = make(&admin, json!({"kind": "signing_key", "name": "k", "value": value})).await;
            let policy = |name: &str, rules: Value| json!({"name": name, "authority": key["id"], "rules": rules});
            // Nothing is signed in the name of this server, of any tenant, and no kind of token that it makes.
            let base = server.issuer();
            let host = base.replace("http://", "http://x@");
            for issuer in [mount.issuer(), base.clone(), format!("{base}/"), format!("{base}/t/acme"), host, base.to_uppercase()] {
                let refused = admin.post("/signing-policies", &policy("own", rules(&issuer, "JWT"))).send().await.expect(422);
                assert!(refused.text().contains("issuer"), "{issuer}: {refused}");
            }
            for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "logout+jwt", "token-introspection+jwt", "dpop+jwt", "oauth-authz-req+jwt"] {
                admin.post("/signing-policies", &policy("own", rules("https://ci.example.org", typ))).send().await.check(422);
            }
            admin.post("/signing-policies", &policy("ci", rules("https://ci.example.org", "JWT"))).send().await.check(200);
            let (ada, portal) = ("0190f0f0-0000-7000-8000-000000000001", &stage.portal);
            let claims = json!({"scope": "openid keyreeve:admin", "client_id": portal.client_id, "azp": portal.client_id, "token_use": "access"});
            let asked = json!({"policy": "ci", "subject": ada, "audience": ["https://ci.example.org"], "claims": claims});
            let signed = admin.post("/jwt/sign", &asked).send().await.expect(200).json();
            let token = signed["token"].as_str().unwrap();
            // No door of the server believes it, of whatever kind it is taken for.
            mount.bearer(token).get("/me").send().await.check(401);
            mount.bearer(token).get("/secrets").send().await.check(401);
            let scim = format!("/scim/v2/{}/Users", mount.tenant_row().slug);
            server.get(&scim).header("authorization", &format!("Bearer {token}")).send().await.check(401);
            mount.get("/vault/v1/secret/data/x").header("x-vault-token", token).send().await.check(403);
            mount.userinfo(token).await.check(401);
            assert!(!mount.is_active(portal, token).await);
            for form in [
                vec![("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", token)],
                vec![("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"), ("subject_token", token),
                     ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token")],
                vec![("grant_type", "refresh_token"), ("refresh_token", token)],
                vec![("grant_type", "client_credentials"), ("client_assertion", token),
                     ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")],
            ] {
                let answer = mount.token(portal, &form).await;
                assert!(answer.status.is_client_error() && !answer.text().contains("access_token\""), "{form:?}: {answer}");
            }
            // The keys are none of those that the tenant's clients are told to believe.
            let own = mount.get("/jwks").send().await.expect(200);
            assert!(!own.text().contains(signed["kid"].as_str().unwrap()));
        }
    }

    async fn ac_57_anybody_reads_public_keys_and_nothing_else(server: &Server) {
        let acme = server.tenant("acme").create().await;
        let admin = acme.administrator().await;
        let value = json!({"make": {"make": "signing_key", "algorithm": "ES256"}});
        let made = make(&admin, json!({"kind": "signing_key", "name": "k", "description": "of the release", "value": value})).await;
        let (id, kid) = (made["id"].as_str().unwrap(), made["facts"]["fingerprint"].as_str().unwrap());
        let set = acme.get("/api/v1/secrets/jwks").send().await.expect(200);
        assert!(set.text().contains(kid) && !set.text().contains("release") && !set.text().contains(id));
        let members: Vec<_> = set.json()["keys"][0].as_object().unwrap().keys().cloned().collect();
        assert_eq!(members.len(), 7, "kty, kid, alg, use, crv, x and y: {members:?}");
        // Another tenant's, another kind's, and what can be no identifier are all the same.
        let secret = password(&admin, "x").await;
        let (_, ada) = keeper(&acme, "ada").await;
        let own = password(&ada, "y").await;
        let other = secret.strip_prefix("/secrets/").unwrap();
        let hers = own.strip_prefix("/secrets/").unwrap();
        let before = acme.audit().await.len();
        for path in [
            format!("/api/v1/secrets/{id}/jwks"), format!("/t/acme/api/v1/secrets/{other}/jwks"), format!("/t/acme/api/v1/secrets/{hers}/jwks"),
            "/t/acme/api/v1/secrets/none/jwks".to_owned(), format!("/t/acme/api/v1/ssh/authorities/{id}/keys"), format!("/t/acme/api/v1/pki/authorities/{id}/crl"),
        ] {
            server.get(&path).send().await.check(404);
        }
        assert!(!server.get("/api/v1/secrets/jwks").send().await.expect(200).text().contains(kid));
        assert_eq!(acme.audit().await.len(), before, "nobody is there to be named");
        // Of a tenant that is switched off nothing is shown, and of a secret that was removed neither.
        acme.set_enabled(false).await;
        server.get("/t/acme/api/v1/secrets/jwks").send().await.check(404);
        acme.set_enabled(true).await;
        server.get("/t/acme/api/v1/secrets/jwks").send().await.check(200);
        admin.delete(&format!("/secrets/{id}")).send().await.check(204);
        server.get(&format!("/t/acme/api/v1/secrets/{id}/jwks")).send().await.check(404);
        assert_eq!(server.get("/t/acme/api/v1/secrets/jwks").send().await.expect(200).json(), json!({"keys": []}));
    }
}
