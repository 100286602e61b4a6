//! Back-channel logout (OpenID Connect Back-Channel Logout 1.0): whichever way a session ends, its clients are told.

use keyreeve_acceptance::{
    Mount, Server, StandIn, TestClient, TokenSet, jwt, on_a_server, on_a_server_that_fetches,
};
use keyreeve_crypto::Secret;
use keyreeve_identity::{Cause, StateChange};
use keyreeve_tokens::backchannel::DeliveryState;
use std::time::Duration;

async fn portal(mount: &Mount, name: &str, uri: &str) -> TestClient {
    mount
        .client(name)
        .web_app()
        .first_party()
        .with(|s| s.backchannel_logout_uri = Some(uri.to_owned()))
        .create()
        .await
}

/// Tells of everything that is due, as the jobs do.
async fn tell(mount: &Mount) {
    let tokens = mount.tokens();
    while tokens.spread_logouts().await.expect("an answer")
        + tokens.deliver_logouts().await.expect("an answer")
        > 0
    {}
}

fn sid(id: &jwt::Jwt) -> String {
    id.claims["sid"].as_str().expect("a sid").to_owned()
}

on_a_server_that_fetches! {
    async fn section_2_4_a_logout_token_is_what_it_should_be(server: &Server) {
        let acme = server.tenant("acme").create().await;
        let them = StandIn::start().await;
        for mount in [&**server, &acme] {
            let ada = mount.user("ada").create().await;
            let client = portal(mount, "portal", &them.url("/bye?x=1")).await;
            let browser = mount.browser();
            let tokens = mount.code_flow(&client).tokens(&browser, "ada").await;
            let id = tokens.id_token(mount).await;
            browser.sign_out().await;
            tell(mount).await;
            let heard = them.next().await;
            assert_eq!((heard.method.as_str(), heard.target.as_str()), ("POST", "/bye?x=1"));
            assert_eq!(heard.content_type, "application/x-www-form-urlencoded");
            let text = heard.form("logout_token").expect("a logout token");
            let token = jwt::verify(mount, &text).await;
            assert_eq!(token.header["typ"], "logout+jwt");
            let claims = &token.claims;
            assert_eq!(claims["iss"], mount.issuer().as_str());
            assert_eq!((&claims["aud"], &claims["sub"]), (&"portal".into(), &ada.sub().into()));
            assert_eq!(claims["sid"], sid(&id).as_str());
            assert_eq!(claims["events"]["http://schemas.openid.net/event/backchannel-logout"], serde_json::json!({}));
            assert!(claims["jti"].is_string() && claims["iat"].is_i64() && claims.get("nonce").is_none(), "{claims}");
            assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 120);
            let log = mount.tokens().logout_deliveries((mount.id(), client.client.id), None, 10).await.expect("a log");
            assert_eq!((log.len(), log[0].state, log[0].status, log[0].attempts), (1, DeliveryState::Delivered, Some(200), 1));

            // AC-19: it passes for no ID token.
            let again = mount.browser();
            mount.code_flow(&client).tokens(&again, "ada").await;
            let answer = again.get("/end-session").query(&[("id_token_hint", &*text)]).send().await;
            assert!(again.is_signed_in().await, "{answer}");
            tell(mount).await;
            assert!(them.rest().await.is_empty());
        }
    }

    async fn whichever_way_a_session_ends_its_clients_are_told(server: &Server) {
        let them = StandIn::start().await;
        let ada = server.user("ada").create().await;
        let client = portal(server, "portal", &them.url("/bye")).await;
        let who = (server.id(), ada.user.id);
        let begin = async || {
            let browser = server.browser();
            let tokens: TokenSet = server.code_flow(&client).tokens(&browser, "ada").await;
            (browser, sid(&tokens.id_token(server).await), tokens)
        };
        let told = async |sid: &str, why: &str| {
            tell(server).await;
            let heard = them.next().await;
            let token = jwt::verify(server, &heard.form("logout_token").expect("a token")).await;
            assert_eq!(token.claims["sid"], sid, "{why}");
            assert!(them.rest().await.is_empty(), "{why}");
        };
        let (browser, sid, _) = begin().await;
        browser.sign_out().await;
        told(&sid, "by its user").await;

        let (browser, sid, tokens) = begin().await;
        browser.get("/end-session").query(&[("id_token_hint", tokens.id())]).send().await.check(303);
        told(&sid, "by a client").await;

        let (_, sid, _) = begin().await;
        server.identity().sessions().end_all(who.0, who.1, None, &Cause::operator()).await.expect("an end");
        told(&sid, "by an administrator").await;

        let (_, sid, _) = begin().await;
        let new = Secret::new("another-tulip-oxcart");
        server.identity().passwords().set(who, new, false, &Cause::operator()).await.expect("a change");
        told(&sid, "by a new password").await;
    }

    async fn a_disabled_user_is_signed_out_of_the_clients(server: &Server) {
        let them = StandIn::start().await;
        let ada = server.user("ada").create().await;
        let client = portal(server, "portal", &them.url("/bye")).await;
        let quiet = server.client("quiet").web_app().first_party().create().await;
        let elsewhere = portal(server, "elsewhere", &them.url("/elsewhere")).await;
        let browser = server.browser();
        server.code_flow(&client).tokens(&browser, "ada").await;
        server.code_flow(&quiet).tokens(&browser, "ada").await;
        ada.change(StateChange::Disable).await;
        tell(server).await;
        assert_eq!(them.next().await.target, "/bye");
        assert!(them.rest().await.is_empty(), "who got no tokens in the session is not told");
        let log = server.tokens().logout_deliveries((server.id(), elsewhere.client.id), None, 10).await.expect("a log");
        assert!(log.is_empty());
    }

    async fn what_fails_is_tried_again_with_growing_pauses_and_given_up(server: &Server) {
        let them = StandIn::start().await;
        server.user("ada").create().await;
        let client = portal(server, "portal", &them.url("/bye")).await;
        let browser = server.browser();
        server.code_flow(&client).tokens(&browser, "ada").await;
        // Whether the client refuses the token (section 2.8) or cannot be spoken to: it has not said yes.
        let statuses = [400, 503, 404, 500, 429, 501, 400];
        them.answer(statuses[0], &[], "");
        browser.sign_out().await;
        let last = async || {
            let log = server.tokens().logout_deliveries((server.id(), client.client.id), None, 10).await.expect("a log");
            log.into_iter().next().expect("a delivery")
        };
        for (attempt, pause_s) in [10_u64, 30, 120, 600, 1_800, 7_200, 21_600].into_iter().enumerate() {
            tell(server).await;
            them.next().await;
            tell(server).await;
            assert!(them.rest().await.is_empty(), "not before its time");
            let line = last().await;
            let status = Some(statuses[attempt]);
            assert_eq!((line.state, line.status, line.error.as_deref()), (DeliveryState::Waiting, status, Some("status")));
            them.answer(statuses.get(attempt + 1).copied().unwrap_or(503), &[], "");
            assert_eq!(line.attempts as usize, attempt + 1);
            let next_at = line.next_at.expect("another attempt");
            let pause = next_at.since(server.now()).as_secs();
            assert!((pause_s - 1..=pause_s + pause_s / 5 + 1).contains(&pause), "{pause} after {attempt}");
            server.advance(pause_s + pause_s / 5 + 1);
        }
        tell(server).await;
        them.next().await;
        tell(server).await;
        let line = last().await;
        assert_eq!((line.state, line.attempts), (DeliveryState::Failed, 8));
        assert_eq!(server.refusals("logout.deliver").await, ["status"]);
        // Nothing more comes of it, and the line is forgotten after a month.
        server.advance(86_400);
        tell(server).await;
        assert!(them.rest().await.is_empty());
        server.advance(31 * 86_400);
        server.tokens().prune().await.expect("a pruning");
        let log = server.tokens().logout_deliveries((server.id(), client.client.id), None, 10).await.expect("a log");
        assert!(log.is_empty());
    }

    async fn a_client_that_comes_back_is_told_late(server: &Server) {
        let them = StandIn::start().await;
        server.user("ada").create().await;
        let client = portal(server, "portal", &them.url("/bye")).await;
        let browser = server.browser();
        server.code_flow(&client).tokens(&browser, "ada").await;
        them.answer(302, &[("location", "http://127.0.0.1:1/")], "");
        browser.sign_out().await;
        tell(server).await;
        let first = them.next().await;
        tell(server).await;
        let log = server.tokens().logout_deliveries((server.id(), client.client.id), None, 10).await.expect("a log");
        assert_eq!((log[0].state, log[0].status), (DeliveryState::Waiting, Some(302)), "a redirect is not followed");
        them.answer(204, &[], "");
        server.advance(13);
        tell(server).await;
        let second = them.next().await;
        let (first, second) = (first.form("logout_token").unwrap(), second.form("logout_token").unwrap());
        assert_ne!(first, second, "each attempt has a token of its own");
        tell(server).await;
        let log = server.tokens().logout_deliveries((server.id(), client.client.id), None, 10).await.expect("a log");
        assert_eq!((log[0].state, log[0].status, log[0].attempts), (DeliveryState::Delivered, Some(204), 2));
        assert_eq!(log[0].next_at, None);
    }
}

on_a_server! {
    async fn ac_50_no_notice_goes_to_an_address_inside(server: &Server) {
        let them = StandIn::start().await;
        let ada = server.user("ada").create().await;
        for (n, uri) in [them.url("/bye"), "http://169.254.169.254/latest".to_owned(), "https://[::1]/".to_owned()].iter().enumerate() {
            let client = portal(server, &format!("portal{n}"), uri).await;
            let browser = server.browser();
            server.code_flow(&client).tokens(&browser, "ada").await;
            browser.sign_out().await;
            tell(server).await;
            // The background job may have been faster, and be at it still.
            let log = async || {
                server.tokens().logout_deliveries((server.id(), client.client.id), None, 10).await.expect("a log").remove(0)
            };
            let mut line = log().await;
            for _ in 0..600 {
                if line.state != DeliveryState::Waiting {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
                line = log().await;
            }
            assert_eq!((line.state, line.error.as_deref(), line.attempts), (DeliveryState::Failed, Some("refused"), 1), "{uri}");
        }
        assert!(them.rest().await.is_empty());
        assert!(!ada.sub().is_empty());
    }
}
