//! A pair's whole life, many at once, and what is kept of it.

use super::house::fails;
use super::{House, Pair, on_insight};
use keyreeve_store::{Tx, params, statements};
use serde_json::json;
use std::collections::BTreeSet;
use tokio::task::JoinSet;

statements! {
    /// Everything that is kept of pairs and tokens.
    KEPT = "SELECT secret_digest FROM compat_insight_credential WHERE secret_digest IS NOT NULL \
        UNION ALL SELECT digest FROM compat_insight_token";
}

on_insight! {
    async fn the_whole_cycle_of_a_pair(house: &House) {
        let cookie = house.login("ada").await;
        let info = house.by_cookie(&cookie, "GET", "/currentuser/credentials");
        let error = fails(&info.send().await, 404);
        assert_eq!(error["innerError"]["message"], json!("The current user has no REST API credentials"));
        assert_eq!(error["innerError"]["code"], json!("OPTI-Insight-Persistence-DocumentNotFound"));

        let first = house.generate(&cookie).await;
        assert_eq!(first.number, 1);
        assert_eq!(first.created, house.server.now().micros() / 1_000);
        assert_eq!(first.secret.len(), 43);
        assert_eq!(uuid::Uuid::parse_str(&first.client_id).unwrap().get_version_num(), 4);
        let info = house.by_cookie(&cookie, "GET", "/currentuser/credentials").send().await.expect(200);
        assert_eq!(info.json(), json!({"createdDate": first.created, "credentialsId": 1}));

        let answer = house.try_token(&first, json!(900)).await.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let token = answer.json().as_str().unwrap().to_owned();
        assert_eq!(answer.text(), format!("\"{token}\""));
        let said = house.token_info(&token).await.expect(200).json();
        let mut expiry = jiff::Timestamp::from_microsecond(house.server.now().micros()).unwrap();
        expiry += jiff::SignedDuration::from_secs(900);
        assert_eq!(said, json!({
            "access_token_expiration_time": format!("{expiry:.3}"),
            "cn": "Ada Lovelace", "mail": "ada@example.org",
            "uid": house.v1("GET", "/currentuser").bearer(&token).send().await.expect(200).json()["id"],
        }));
        let info = house.v1("GET", "/currentuser/credentials").bearer(&token).send().await.expect(200);
        assert_eq!(info.json()["credentialsId"], json!(1));
        // A leaked token neither makes the long-lived pair nor ends it.
        for method in ["POST", "DELETE"] {
            let answer = house.v1(method, "/currentuser/credentials").bearer(&token).send().await;
            fails(&answer, 403);
        }
        house.token_info(&token).await.check(200);

        house.server.advance(1);
        let second = house.generate(&cookie).await;
        assert_eq!(second.number, 2);
        assert!(second.client_id != first.client_id && second.secret != first.secret);
        fails(&house.try_token(&first, json!(900)).await, 401);
        let mixed = Pair { secret: second.secret.clone(), ..first.clone() };
        fails(&house.try_token(&mixed, json!(900)).await, 401);
        fails(&house.token_info(&token).await, 401);
        let token = house.token(&second).await;

        let revoke = || house.by_cookie(&cookie, "DELETE", "/currentuser/credentials");
        let answer = revoke().send().await.expect(204);
        assert_eq!((answer.text(), answer.header("content-type")), ("", None));
        fails(&house.by_cookie(&cookie, "GET", "/currentuser/credentials").send().await, 404);
        fails(&house.token_info(&token).await, 401);
        fails(&house.try_token(&second, json!(900)).await, 401);
        revoke().send().await.check(204);
        // The number goes on where it was.
        assert_eq!(house.generate(&cookie).await.number, 3);

        let actions = ["insight.credentials.generate", "insight.credentials.revoke"];
        let [generated, revoked] = [house.mount.audited(actions[0]).await, house.mount.audited(actions[1]).await];
        assert_eq!((generated.len(), revoked.len()), (3, 1), "a revocation of nothing is no change");
        let reasons = house.mount.refusals("admission.credential").await;
        assert_eq!(reasons, ["unknown_credential", "unknown_credential", "unknown_credential"]);
    }

    async fn of_parallel_generations_one_pair_works_and_numbers_only_grow(house: &House) {
        let cookie = house.login("ada").await;
        let mut made = JoinSet::new();
        for _ in 0..20 {
            let call = house.by_cookie(&cookie, "POST", "/currentuser/credentials");
            made.spawn(async move { call.send().await.expect(200).json() });
        }
        let mut pairs: Vec<Pair> = Vec::new();
        for answer in made.join_all().await {
            let text = |name: &str| answer[name].as_str().unwrap().to_owned();
            let number = answer["credentialsId"].as_i64().unwrap();
            pairs.push(Pair { client_id: text("clientId"), secret: text("secret"), number, created: 0 });
        }
        let numbers: BTreeSet<i64> = pairs.iter().map(|pair| pair.number).collect();
        assert_eq!(numbers, (1..=20).collect());
        let info = house.by_cookie(&cookie, "GET", "/currentuser/credentials").send().await.expect(200);
        assert_eq!(info.json()["credentialsId"], json!(20));
        pairs.sort_by_key(|pair| pair.number);
        let last = pairs.pop().unwrap();
        // The last first, so that the refusals of the others throttle nothing that is looked at.
        house.token(&last).await;
        for pair in pairs.iter().take(3) {
            fails(&house.try_token(pair, json!(900)).await, 401);
        }
    }

    async fn a_token_made_beside_a_revocation_does_not_outlive_it(house: &House) {
        let cookie = house.login("ada").await;
        for _ in 0..5 {
            let pair = house.generate(&cookie).await;
            let mut made = JoinSet::new();
            for _ in 0..8 {
                let body = json!({"clientId": pair.client_id, "secret": pair.secret});
                let call = house.v1("POST", "/token").json(&body);
                made.spawn(async move { call.send().await });
            }
            let revoked = house.by_cookie(&cookie, "DELETE", "/currentuser/credentials").send();
            let (revoked, tokens) = tokio::join!(revoked, made.join_all());
            revoked.check(204);
            for answer in tokens {
                if answer.status.is_success() {
                    fails(&house.token_info(answer.json().as_str().unwrap()).await, 401);
                }
            }
            house.server.advance(3_600);
        }
    }

    async fn no_secret_is_kept_or_told_again(house: &House) {
        let (cookie, pair, token) = house.armed().await;
        let info = house.by_cookie(&cookie, "GET", "/currentuser/credentials").send().await.expect(200);
        let wrong = Pair { secret: "wrong-secret-of-some-length".to_owned(), ..pair.clone() };
        let refused = house.try_token(&wrong, json!(900)).await.expect(401);
        let log = format!("{:?}", house.mount.audit().await);
        let kept = house
            .server
            .store()
            .read(async |tx: &mut Tx<'_>| tx.query(&KEPT, &params![], |row| row.get::<Vec<u8>>(0)).await)
            .await
            .unwrap();
        assert_eq!(kept.len(), 2);
        for secret in [&pair.secret, &token, &wrong.secret] {
            assert!(!info.text().contains(secret.as_str()) && !refused.text().contains(secret.as_str()));
            assert!(!log.contains(secret.as_str()));
            assert!(kept.iter().all(|kept| kept.as_slice() != secret.as_bytes() && kept.len() == 32));
        }
    }
}
