//! Tenants, OAuth clients, signing keys and sessions.

use keyreeve_acceptance::{PASSWORD, Server, on_a_server};
use serde_json::{Value, json};

on_a_server! {
    async fn a_client_changes_its_secret_with_an_overlap(server: &Server) {
        let admin = server.administrator().await;
        let new = json!({"client_id": "wiki", "name": "Wiki", "grant_types": ["client_credentials"]});
        let made = admin.post("/clients", &new).send().await.expect(201).json();
        let path = format!("/clients/{}", made["id"].as_str().unwrap());
        let old = made["client_secret"].as_str().unwrap().to_owned();
        assert!(!admin.get(&path).send().await.expect(200).text().contains(&old), "a secret is shown once");
        let issued = admin.post(&format!("{path}/secrets"), &json!({"overlap_s": 60})).send().await.expect(201).json();
        let form = [("grant_type", "client_credentials")];
        let token = |secret: &str| server.post("/token").basic("wiki", secret).form(&form).send();
        token(&old).await.check(200);
        token(issued["secret"].as_str().unwrap()).await.check(200);
        server.advance(61);
        token(&old).await.check(401);
        token(issued["secret"].as_str().unwrap()).await.check(200);

        let admin = server.administrator().await;
        admin.patch(&path, &json!({"enabled": false})).send().await.check(200);
        token(issued["secret"].as_str().unwrap()).await.check(401);
        let wrong = admin.patch(&path, &json!({"redirect_uris": ["javascript:alert(1)"]})).send().await.expect(400).json();
        assert_eq!(wrong["errors"][0]["pointer"], "/redirect_uris/0", "{wrong}");
        admin.delete(&path).send().await.check(204);
        admin.get(&path).send().await.check(404);
    }

    async fn a_rotated_key_signs_at_once_and_the_old_one_is_published_still(server: &Server) {
        let admin = server.administrator().await;
        let state = |keys: &Value, kid: &str| {
            let all = keys["items"].as_array().unwrap();
            all.iter().find(|key| key["kid"] == kid).map(|key| key["state"].clone())
        };
        let before = admin.get("/keys").send().await.expect(200).json();
        let signing = before["items"].as_array().unwrap().iter().find(|key| key["state"] == "signing").unwrap();
        let old = signing["kid"].as_str().unwrap();
        let new = admin.post("/keys/rotate", &json!({"alg": signing["alg"]})).send().await.expect(200).json();
        let after = admin.get("/keys").send().await.expect(200);
        assert_eq!(state(&after.json(), old), Some(json!("retired")));
        assert_eq!(state(&after.json(), new["kid"].as_str().unwrap()), Some(json!("signing")));
        assert!(!after.text().contains("\"d\""), "no private part: {after}");
        let published = server.get("/jwks").send().await.expect(200);
        assert!(published.text().contains(old), "what it signed is good still");
        admin.post("/keys/rotate", &json!({"alg": "HS256"})).send().await.check(400);
    }

    async fn sessions_are_seen_and_ended_by_their_user_and_by_an_administrator(server: &Server) {
        let admin = server.administrator().await;
        let ada = server.user("ada").create().await;
        let (laptop, phone, borrowed) = (server.browser(), server.browser(), server.browser());
        for browser in [&laptop, &phone, &borrowed] {
            browser.sign_in("ada").await;
        }
        let own = server.api_of(&ada, "keyreeve:me:write keyreeve:me:read").await;
        let list = own.get("/me/sessions").send().await.expect(200).json();
        let ids: Vec<_> = list["items"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap().to_owned()).collect();
        assert!(ids.len() >= 3, "{list}");
        let path = format!("/users/{}/sessions", ada.user.id);
        let seen = admin.get(&path).send().await.expect(200).json();
        assert_eq!(seen["items"].as_array().unwrap().len(), ids.len());

        // Somebody else's session is not there for one's own eyes.
        let bob = server.user("bob").create().await;
        let stranger = server.api_of(&bob, "keyreeve:me:write").await;
        stranger.delete(&format!("/me/sessions/{}", ids[0])).send().await.check(404);
        stranger.delete(&format!("/sessions/{}", ids[0])).send().await.check(403);
        own.delete(&format!("/me/sessions/{}", ids[0])).send().await.check(204);
        admin.delete(&format!("/sessions/{}", ids[1])).send().await.check(204);
        assert_eq!(admin.get(&path).send().await.expect(200).json()["items"].as_array().unwrap().len(), ids.len() - 2);
        admin.delete(&path).send().await.check(204);
        for browser in [&laptop, &phone, &borrowed] {
            assert!(!browser.is_signed_in().await);
        }
    }

    async fn one_changes_the_own_profile_and_password(server: &Server) {
        let ada = server.user("ada").create().await;
        let own = server.api_of(&ada, "keyreeve:me:write keyreeve:me:read").await;
        let changed = own.patch("/me", &json!({"given_name": "Ada", "zoneinfo": "Europe/London"})).send().await.expect(200);
        assert_eq!(changed.json()["given_name"], "Ada");
        own.patch("/me", &json!({"enabled": false})).send().await.check(400);
        let change = |old: &str, new: &str| own.put("/me/password", &json!({"current_password": old, "password": new})).send();
        let wrong = change("not the present one", "Another-sound-0ne").await;
        assert!(wrong.json()["status"].as_u64().unwrap() >= 400, "{wrong}");
        change(PASSWORD, "Another-sound-0ne").await.check(204);
        let left = server.browser().try_sign_in("ada", PASSWORD).await;
        assert!(left.is_page(), "the old password opens nothing: {left}");
    }

    async fn a_tenant_is_made_closed_and_put_away(server: &Server) {
        let root = server.administrator().await;
        let new = json!({"slug": "acme", "name": "Acme"});
        let acme = root.post("/tenants", &new).send().await.expect(201).json();
        assert!(acme["issuer"].as_str().unwrap().ends_with("/t/acme"), "{acme}");
        let path = format!("/tenants/{}", acme["id"].as_str().unwrap());
        let first = json!({"username": "chief", "password": PASSWORD});
        root.post(&format!("{path}/administrators"), &first).send().await.check(201);
        let mount = server.mount("acme").await;
        let arrived = mount.browser().try_sign_in("chief", PASSWORD).await;
        assert!(arrived.text().contains("Choose a new password"), "a password that somebody else chose is changed first: {arrived}");
        mount.user("ada").create().await;
        mount.browser().sign_in("ada").await;
        root.post(&format!("{path}/disable"), &json!({})).send().await.check(200);
        let closed = mount.browser().get("/signin").send().await;
        assert_ne!(closed.status, 200, "{closed}");
        root.post(&format!("{path}/enable"), &json!({})).send().await.check(200);
        mount.browser().sign_in("ada").await;
        // Another tenant's administrator neither sees nor changes any.
        let other = mount.administrator().await;
        for tenant in [path.clone(), format!("/tenants/{}", server.id())] {
            let answer = other.get(&tenant).send().await;
            assert!(matches!(answer.status.as_u16(), 403 | 404), "{answer}");
        }
        root.delete(&path).send().await.check(204);
        assert_eq!(mount.audited("tenant.archive").await.len(), 1);
        let gone = mount.get("/.well-known/openid-configuration").send().await;
        assert_eq!(gone.status, 404, "{gone}");
        root.delete(&format!("/tenants/{}", server.id())).send().await.check(422);
    }
}
