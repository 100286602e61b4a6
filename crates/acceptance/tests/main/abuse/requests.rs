//! Requests that clients push, sign or prove (AC-05, AC-18, AC-34).

use super::stages;
use crate::pushed::{push, reference};
use keyreeve_acceptance::possession::Holder;
use keyreeve_acceptance::{Server, on_a_server};
use keyreeve_crypto::sign::Algorithm;

on_a_server! {
    /// Whoever sees the browser's addresses and cookies learns nothing of a pushed request.
    async fn ac_18_nothing_of_a_pushed_request_is_seen_on_the_way(server: &Server) {
        for stage in stages(server).await {
            let telling = ["ada@private.example", "the-state-of-it", "the-nonce-of-it", "prompt", "profile"];
            let flow = stage.flow().with("login_hint", telling[0]).with("state", telling[1])
                .with("nonce", telling[2]).with("prompt", "login");
            let uri = reference(&push(&flow, &stage.mount).await);
            let browser = stage.mount.browser();
            let query = [("client_id", "portal"), ("request_uri", uri.as_str())];
            let answer = browser.get("/authorize").query(&query).send().await;
            answer.check(303);
            let cookies = format!("{:?}", browser.cookies());
            for secret in telling {
                assert!(!uri.contains(secret) && !answer.location().contains(secret), "{secret}\n{answer}");
                assert!(!cookies.contains(secret), "{secret} is in a cookie: {cookies}");
            }
        }
    }

    /// The one parameter that may repeat does so only where the standard says; nothing else does.
    async fn ac_05_what_may_repeat_may_not_elsewhere(server: &Server) {
        for stage in stages(server).await {
            let token = async |text: &str| {
                let call = stage.mount.post("/token").basic("portal", stage.portal.secret());
                call.body("application/x-www-form-urlencoded", text.to_owned()).send().await
            };
            token("grant_type=client_credentials&scope=a&scope=b").await.refused(400, "invalid_request");
            let resources = "grant_type=refresh_token&refresh_token=x&resource=urn:a&resource=urn:b";
            token(resources).await.refused(400, "invalid_target");
            let browser = stage.mount.browser();
            let path = format!("{}&client_id=other", stage.flow().path());
            assert!(browser.get(&path).send().await.expect(400).is_page());
        }
    }

    /// A token that is bound to a key opens nothing for whoever has only the token, at any door.
    async fn ac_34_a_bound_token_is_no_bearer_token(server: &Server) {
        for stage in stages(server).await {
            let robot = stage.mount.client("robot").service().scopes("keyreeve:admin").create().await;
            let holder = Holder::new(Algorithm::EdDsa);
            let form = [("grant_type", "client_credentials"), ("scope", "keyreeve:admin")];
            let call = stage.mount.post_as(&robot, "/token", &form);
            let proof = holder.proof(&stage.mount, "POST", "/token");
            let tokens = call.header("dpop", &proof).send().await.expect(200).json();
            let token = tokens["access_token"].as_str().unwrap();
            stage.mount.userinfo(token).await.check(401);
            assert!(stage.mount.is_active(&robot, token).await, "it is a sound token otherwise");
        }
    }
}
