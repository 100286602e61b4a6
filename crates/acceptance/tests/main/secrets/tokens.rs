//! Tokens that are signed for others, and the keys to check them by.

use super::{keeper, make};
use keyreeve_acceptance::{Mount, Server, on_a_server};
use keyreeve_crypto::jws::Unverified;
use keyreeve_crypto::sign::{JwkSet, VerifyingKey};
use serde_json::{Value, json};

/// A key of this algorithm; answers the identifier of its secret.
async fn key(mount: &Mount, algorithm: &str) -> Value {
    let make_it = json!({"make": {"make": "signing_key", "algorithm": algorithm}});
    make(&mount.administrator().await, json!({"kind": "signing_key", "name": algorithm, "value": make_it}))
        .await
}

async fn checked(mount: &Mount, path: &str, token: &str) -> Option<Value> {
    let answer = mount.get(path).send().await.expect(200);
    assert_eq!(answer.header("content-type"), Some("application/jwk-set+json"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
    assert!(!answer.text().contains("\"d\""), "nothing private");
    let set: JwkSet = serde_json::from_str(answer.text()).unwrap();
    let token = Unverified::parse(token).unwrap();
    let key = set.keys.iter().find(|key| key.kid.as_deref() == token.kid())?;
    Some(Value::Object(token.verify(&VerifyingKey::from_jwk(key).unwrap()).unwrap()))
}

async fn signs(mount: &Mount) {
    let admin = mount.administrator().await;
    let (alice, as_alice) = keeper(mount, "alice").await;
    let open_to = json!([{"kind": "user", "id": alice.sub()}]);
    for algorithm in ["EdDSA", "ES256", "RS256"] {
        let secret = key(mount, algorithm).await;
        let id = secret["id"].as_str().unwrap();
        let jwt = json!({"issuer": "https://ci.example.org", "audiences": ["https://a.example.org", "b"], "fixed": {"team": "blue"}, "claims": {"ref": []}});
        let rules = json!({"names": ["{{username}}"], "max_seconds": 600, "open_to": open_to, "jwt": jwt});
        let policy = json!({"name": algorithm, "authority": id, "rules": rules});
        let made = admin.post("/signing-policies", &policy).send().await.expect(200).json();
        assert_eq!(
            (&made["rules"]["jwt"]["typ"], &made["rules"]["jwt"]["fixed"]),
            (&json!("JWT"), &json!({"team": "blue"}))
        );
        let asked = json!({"policy": algorithm, "audience": ["b"], "claims": {"ref": "main"}, "seconds": 60});
        let out = as_alice.post("/jwt/sign", &asked).send().await.expect(200);
        assert_eq!(out.header("cache-control"), Some("no-store"));
        let out = out.json();
        let token = out["token"].as_str().unwrap().to_owned();
        let now = mount.now().seconds();
        let expected = json!({
            "iss": "https://ci.example.org", "sub": "alice", "aud": "b", "iat": now, "exp": now + 60, "jti": out["jti"],
            "team": "blue", "ref": "main",
        });
        let (all, own) = ("/api/v1/secrets/jwks".to_owned(), format!("/api/v1/secrets/{id}/jwks"));
        assert_eq!(checked(mount, &all, &token).await, Some(expected.clone()));
        admin.call("POST", &format!("/secrets/{id}/rotate")).send().await.check(200);
        assert_eq!(
            checked(mount, &own, &token).await,
            Some(expected.clone()),
            "what was replaced stays for a while"
        );
        admin
            .post(&format!("/secrets/{id}/versions/destroy"), &json!({"versions": [1]}))
            .send()
            .await
            .check(200);
        assert_eq!(
            (checked(mount, &own, &token).await, checked(mount, &all, &token).await),
            (None, None),
            "and goes at once"
        );
        for (wrong, status) in [
            (json!({"policy": algorithm}), 422),
            (json!({"policy": algorithm, "audience": ["b"], "alg": "none"}), 400),
            (json!({"policy": algorithm, "audience": ["c"]}), 403),
            (json!({"policy": "none", "audience": ["b"]}), 404),
            (json!({"policy": algorithm, "audience": ["b"], "claims": {"iss": "x"}}), 403),
            (json!({"policy": algorithm, "audience": ["b"], "claims": []}), 400),
        ] {
            let refused = as_alice.post("/jwt/sign", &wrong).send().await.expect(status);
            assert_eq!(refused.header("content-type"), Some("application/problem+json"), "{wrong}");
        }
        // Each operation takes policies of its own.
        let ssh = json!({"policy": algorithm, "public_key": "ssh-ed25519 AAAA"});
        as_alice.post("/ssh/sign", &ssh).send().await.check(400);
    }
    let entries = mount.audited("jwt.sign").await;
    let done: Vec<_> = entries.iter().filter(|entry| entry.outcome == "success").collect();
    assert_eq!(done.len(), 3);
    assert!(
        done.iter().all(|entry| entry.detail.as_deref().is_some_and(|detail| detail.contains("\"jti\"")))
    );
}

on_a_server! {
    async fn tokens_are_signed_for_others(server: &Server) {
        let acme = server.tenant("acme").create().await;
        signs(server).await;
        signs(&acme).await;
    }

    async fn a_key_that_was_brought_signs_and_stays(server: &Server) {
        let admin = server.administrator().await;
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
        let new = |kind: &str| json!({"kind": kind, "name": "k", "value": {"private_key": pem}});
        let made = make(&admin, new("signing_key")).await;
        assert_eq!(made["facts"]["fingerprint"], "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "RFC 8037 appendix A.3");
        let path = format!("/secrets/{}", made["id"].as_str().unwrap());
        admin.post(&format!("{path}/read"), &json!({})).send().await.check(403);
        admin.post(&format!("{path}/versions"), &json!({"value": {"private_key": pem}})).send().await.check(422);
        let (_, ada) = keeper(server, "ada").await;
        ada.post("/secrets", &new("signing_key")).send().await.check(403);
        for (wrong, pointer) in [("no key", "/value/private_key"), ("", "/value/private_key")] {
            let new = json!({"kind": "signing_key", "name": "k", "value": {"private_key": wrong}});
            let refused = admin.post("/secrets", &new).send().await.expect(422).json();
            assert_eq!(refused["errors"][0]["pointer"], pointer);
        }
        let unknown = json!({"kind": "signing_key", "name": "k", "value": {"make": {"make": "signing_key", "algorithm": "HS256"}}});
        admin.post("/secrets", &unknown).send().await.check(400);
    }
}
