//! Token exchange (RFC 8693): tokens for less, for others, with who acts for whom.

use keyreeve_acceptance::{Answer, Browser, Mount, Server, TestClient, TestUser, jwt, on_a_server};
use keyreeve_identity::{Cause, StateChange};
use keyreeve_tokens::clients::GrantType;
use serde_json::Value;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";

/// ada's portal, and the service that it calls with her tokens, which calls the store.
struct Scene {
    mount: Mount,
    ada: TestUser,
    portal: TestClient,
    service: TestClient,
    browser: Browser,
    access: String,
}

impl Scene {
    async fn set(mount: &Mount) -> Self {
        let ada = mount.user("ada").create().await;
        let portal =
            mount.client("portal").web_app().first_party().with(|s| s.audiences = vec!["service".to_owned()]);
        let portal = portal.scopes("openid profile read write keyreeve:users:read").create().await;
        let service = mount
            .client("service")
            .service()
            .grants(&[GrantType::TokenExchange, GrantType::ClientCredentials]);
        let service = service.with(|s| s.exchange.audiences = vec!["store".to_owned()]).create().await;
        let browser = mount.browser();
        let tokens = mount
            .code_flow(&portal)
            .scope("openid profile read write keyreeve:users:read")
            .tokens(&browser, "ada")
            .await;
        Self { mount: mount.clone(), ada, portal, service, browser, access: tokens.access }
    }

    async fn exchange_of(&self, client: &TestClient, token: &str, form: &[(&str, &str)]) -> Answer {
        let base = [("grant_type", EXCHANGE), ("subject_token", token), ("subject_token_type", ACCESS)];
        let form: Vec<_> = base.iter().chain(form).copied().collect();
        self.mount.token(client, &form).await
    }

    async fn exchange(&self, form: &[(&str, &str)]) -> Answer {
        self.exchange_of(&self.service, &self.access, form).await
    }

    async fn is_good(&self, token: &str) -> bool {
        self.mount.is_active(&self.service, token).await
    }
}

fn token(answer: &Answer) -> String {
    answer.check(200);
    answer.json()["access_token"].as_str().expect("a token").to_owned()
}

async fn claims(mount: &Mount, token: &str) -> Value {
    jwt::verify(mount, token).await.claims
}

on_a_server! {
    async fn rfc8693_a_service_gets_a_token_to_go_on_with(server: &Server) {
        let acme = server.tenant("acme").create().await;
        for mount in [&**server, &acme] {
            let scene = Scene::set(mount).await;
            let answer = scene.exchange(&[]).await.expect(200);
            let json = answer.json();
            assert_eq!((&json["issued_token_type"], &json["token_type"]), (&ACCESS.into(), &"Bearer".into()));
            assert!(json.get("refresh_token").is_none() && json.get("id_token").is_none(), "{answer}");
            assert_eq!(json["scope"], "profile read write", "nothing of this server's own");
            let text = token(&answer);
            let claims = claims(mount, &text).await;
            assert_eq!((&claims["sub"], &claims["client_id"]), (&scene.ada.sub().into(), &"service".into()));
            assert_eq!(claims["aud"], "store", "for whom the operator lets it");
            assert_eq!(claims["act"], serde_json::json!({"sub": "service"}));
            let told = mount.post_as(&scene.service, "/introspect", &[("token", &text)]).send().await.expect(200).json();
            assert_eq!(told["act"]["sub"], "service");
            // It opens nothing here.
            mount.userinfo(&text).await.check(401);
            assert_eq!(mount.audited("admission.exchange").await.len(), 1);
        }
    }

    async fn scope_and_audience_are_only_narrowed(server: &Server) {
        let scene = Scene::set(server).await;
        let narrow = scene.exchange(&[("scope", "read")]).await;
        assert_eq!(narrow.json()["scope"], "read");
        for beyond in ["read admin", "keyreeve:users:read", "keyreeve:admin", "offline_access", "openid"] {
            scene.exchange(&[("scope", beyond)]).await.refused(400, "invalid_scope");
        }
        let own = token(&scene.exchange(&[("audience", "service")]).await);
        assert_eq!(claims(server, &own).await["aud"], "service");
        for beyond in ["bank", "portal"] {
            scene.exchange(&[("audience", beyond)]).await.refused(400, "invalid_target");
        }
        // What was narrowed stays so.
        let again = scene.exchange_of(&scene.service, &token(&narrow), &[("scope", "read write")]).await;
        again.refused(400, "invalid_scope");
        // It does not outlive the token that it came of.
        server.advance(200);
        let late = scene.exchange(&[]).await.expect(200).json();
        assert_eq!(late["expires_in"], 100);
    }

    async fn rfc8693_section_2_2_2_errors(server: &Server) {
        let scene = Scene::set(server).await;
        let exchange = async |form: &[(&str, &str)]| {
            let form: Vec<_> = [("grant_type", EXCHANGE)].iter().chain(form).copied().collect();
            server.token(&scene.service, &form).await
        };
        let access = scene.access.as_str();
        exchange(&[]).await.refused(400, "invalid_request");
        exchange(&[("subject_token", access)]).await.refused(400, "invalid_request");
        for kind in ["urn:ietf:params:oauth:token-type:id_token", "urn:ietf:params:oauth:token-type:refresh_token", "x"] {
            exchange(&[("subject_token", access), ("subject_token_type", kind)]).await.refused(400, "invalid_request");
            scene.exchange(&[("requested_token_type", kind)]).await.refused(400, "invalid_request");
            scene.exchange(&[("actor_token", access), ("actor_token_type", kind)]).await.refused(400, "invalid_request");
        }
        scene.exchange(&[("actor_token", access)]).await.refused(400, "invalid_request");
        scene.exchange(&[("actor_token_type", ACCESS)]).await.refused(400, "invalid_request");
        scene.exchange_of(&scene.service, "x", &[]).await.refused(400, "invalid_request");
        scene.exchange_of(&scene.portal, access, &[]).await.refused(400, "unauthorized_client");
        let reasons = server.refusals("admission.exchange").await;
        assert_eq!(reasons, ["token_not_good"]);
    }

    async fn who_acts_is_written_down(server: &Server) {
        let scene = Scene::set(server).await;
        let own = server.token(&scene.service, &[("grant_type", "client_credentials")]).await;
        let own = token(&own);
        let with_actor = [("actor_token", own.as_str()), ("actor_token_type", ACCESS), ("audience", "service")];
        let first = token(&scene.exchange(&with_actor).await);
        assert_eq!(claims(server, &first).await["act"], serde_json::json!({"sub": "service"}));
        // Nobody presents somebody else as the actor.
        let theirs = [("actor_token", scene.access.as_str()), ("actor_token_type", ACCESS)];
        scene.exchange(&theirs).await.refused(400, "invalid_request");
        // Who acted before stays in it, and the chain has an end.
        let store = server.client("store").service().grants(&[GrantType::TokenExchange]);
        let store = store.with(|s| s.exchange.audiences = vec!["store".to_owned()]).create().await;
        let handed = token(&scene.exchange(&[("audience", "store")]).await);
        let mut last = token(&scene.exchange_of(&store, &handed, &[]).await);
        assert_eq!(claims(server, &last).await["act"], serde_json::json!({"sub": "store", "act": {"sub": "service"}}));
        for _ in 0..2 {
            last = token(&scene.exchange_of(&store, &last, &[]).await);
        }
        scene.exchange_of(&store, &last, &[]).await.refused(400, "invalid_request");
        assert!(server.refusals("admission.exchange").await.contains(&"chain_too_long".to_owned()));
        // Only whom the operator lets leaves no trace.
        scene.service.set(|settings| settings.exchange.impersonation = true).await;
        let hidden = token(&scene.exchange(&[]).await);
        assert!(claims(server, &hidden).await.get("act").is_none());
    }

    async fn a_client_that_speaks_for_itself_is_a_subject_too(server: &Server) {
        let scene = Scene::set(server).await;
        let robot = server.client("robot").service().with(|s| s.audiences = vec!["service".to_owned()]).create().await;
        let of_robot = token(&server.token(&robot, &[("grant_type", "client_credentials")]).await);
        let handed = token(&scene.exchange_of(&scene.service, &of_robot, &[]).await);
        let told = claims(server, &handed).await;
        assert_eq!((&told["sub"], &told["client_id"]), (&"robot".into(), &"service".into()));
        assert!(scene.is_good(&handed).await);
        robot.set(|settings| settings.enabled = false).await;
        assert!(!scene.is_good(&handed).await, "it ends with the client that it speaks for");
    }

    async fn ac_16_an_exchanged_token_dies_with_its_source(server: &Server) {
        let scene = Scene::set(server).await;
        let fresh = async || {
            let browser = server.browser();
            let flow = server.code_flow(&scene.portal).scope("openid profile read");
            let tokens = flow.tokens(&browser, "ada").await;
            let handed = token(&scene.exchange_of(&scene.service, &tokens.access, &[("audience", "service")]).await);
            let further = token(&scene.exchange_of(&scene.service, &handed, &[]).await);
            assert!(scene.is_good(&handed).await && scene.is_good(&further).await);
            (browser, tokens, handed, further)
        };
        let dead = async |handed: &str, further: &str, why: &str| {
            assert!(!scene.is_good(handed).await && !scene.is_good(further).await, "{why}");
            scene.exchange_of(&scene.service, handed, &[]).await.refused(400, "invalid_request");
        };
        let (_, tokens, handed, further) = fresh().await;
        server.post_as(&scene.portal, "/revoke", &[("token", &tokens.access)]).send().await.check(200);
        scene.exchange_of(&scene.service, &tokens.access, &[]).await.refused(400, "invalid_request");
        dead(&handed, &further, "the source was revoked").await;

        let (_, _, handed, further) = fresh().await;
        server.post_as(&scene.service, "/revoke", &[("token", &handed)]).send().await.check(200);
        dead(&handed, &further, "one on the way was revoked").await;

        let (_, tokens, handed, further) = fresh().await;
        server.post_as(&scene.portal, "/revoke", &[("token", tokens.refresh())]).send().await.check(200);
        dead(&handed, &further, "the grant was revoked").await;

        let (browser, _, handed, further) = fresh().await;
        browser.sign_out().await;
        dead(&handed, &further, "the session has ended").await;

        let (_, _, handed, further) = fresh().await;
        scene.ada.change(StateChange::Disable).await;
        dead(&handed, &further, "the user is disabled").await;
        scene.ada.change(StateChange::Enable).await;

        let (_, _, handed, further) = fresh().await;
        scene.portal.set(|settings| settings.enabled = false).await;
        assert!(!scene.is_good(&handed).await && !scene.is_good(&further).await, "the first client is disabled");
        server.tokens().clients().delete(server.id(), scene.portal.client.id, &Cause::operator()).await.expect("removed");
        assert!(!scene.is_good(&handed).await, "the first client is gone");
        assert!(!scene.browser.cookies().is_empty());
    }

    async fn ac_34_only_whom_a_token_is_for_exchanges_it(server: &Server) {
        let acme = server.tenant("acme").create().await;
        let (ours, theirs) = (Scene::set(server).await, Scene::set(&acme).await);
        // Of another tenant.
        ours.exchange_of(&ours.service, &theirs.access, &[]).await.refused(400, "invalid_request");
        theirs.exchange_of(&theirs.service, &ours.access, &[]).await.refused(400, "invalid_request");
        // For somebody else.
        let thief = server.client("thief").service().grants(&[GrantType::TokenExchange]).create().await;
        ours.exchange_of(&thief, &ours.access, &[]).await.refused(400, "invalid_request");
        // Another kind of token.
        let tokens = server.code_flow(&ours.portal).tokens(&server.browser(), "ada").await;
        for other in [tokens.id(), tokens.refresh()] {
            ours.exchange_of(&ours.service, other, &[]).await.refused(400, "invalid_request");
        }
        let reasons = server.refusals("admission.exchange").await;
        assert_eq!(reasons.iter().filter(|reason| *reason == "token_for_others").count(), 1, "{reasons:?}");
    }
}
