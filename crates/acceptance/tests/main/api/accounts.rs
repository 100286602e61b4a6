//! What happens to accounts besides their profiles: lost second factors, and two accounts of one person.

use keyreeve_acceptance::{Server, TestUser, on_a_server};
use keyreeve_crypto::SecretBytes;
use keyreeve_identity::Cause;
use keyreeve_identity::{ImportedTotp, MembershipKind, NewGroup, Party, TotpParameters};
use serde_json::{Value, json};

/// Gives a user a device of another system.
async fn device(server: &Server, user: &TestUser) {
    let (identity, tenant, id) = (server.identity().clone(), server.id(), user.user.id);
    let sealer = identity.tenants().sealer(tenant).await.unwrap();
    let secret = SecretBytes::from(b"twenty bytes of it!!".to_vec());
    let totp = ImportedTotp { name: "Telephone".to_owned(), secret, parameters: TotpParameters::default() };
    let prepared = std::sync::Arc::new(identity.second_factors().prepare(&sealer, id, &totp).unwrap());
    let store = identity.clone();
    server
        .store()
        .write(async move |tx: &mut keyreeve_store::Tx<'_>| {
            store.second_factors().import(tx, tenant, &prepared).await
        })
        .await
        .unwrap();
}

on_a_server! {
    async fn a_lost_second_factor_is_removed(server: &Server) {
        let admin = server.administrator().await;
        let ada = server.user("ada").create().await;
        let path = format!("/users/{}/second-factor", ada.sub());
        assert_eq!(admin.get(&path).send().await.expect(200).json(), json!({"devices": [], "recovery_codes": 0}));
        device(server, &ada).await;
        let shown = admin.get(&path).send().await.expect(200);
        assert_eq!(shown.json()["devices"][0]["name"], "Telephone");
        assert!(!shown.text().contains("secret"), "{shown}");
        let browser = server.browser();
        let asked = browser.try_sign_in("ada", keyreeve_acceptance::PASSWORD).await;
        assert_ne!(asked.status, 303, "a code is asked for");
        server.api("keyreeve:users:read").await.delete(&path).send().await.check(403);
        admin.delete(&path).send().await.check(204);
        assert_eq!(admin.get(&path).send().await.expect(200).json()["devices"], json!([]));
        server.browser().sign_in("ada").await;
        assert_eq!(server.audited("user.second_factor.reset").await.len(), 1);
        admin.get("/users/0190f0f0-0000-7000-8000-000000000001/second-factor").send().await.check(404);
    }

    async fn accounts_of_one_person_are_found_and_merged(server: &Server) {
        let admin = server.administrator().await;
        let person = |name: &'static str, phone: &'static str| {
            let user = server.user(name).profile(move |profile| {
                profile.given_name = Some("Ada".to_owned());
                profile.family_name = Some("Lovelace".to_owned());
                profile.phone_number = Some(phone.to_owned());
            });
            async move { user.create().await }
        };
        let (ada, twin) = (person("ada", "+43 1 234").await, person("twin", "+43-1-234").await);
        let other = person("other", "+44 9").await;
        let find = async |by: &str| admin.get("/users/duplicates").query(&[("by", by)]).send().await;
        let found = find("phone_number").await.expect(200).json();
        assert_eq!(found["items"][0]["users"], json!([ada.sub(), twin.sub()]), "{found}");
        assert_eq!(found["items"].as_array().unwrap().len(), 1);
        assert_eq!(find("full_name").await.expect(200).json()["items"][0]["count"], 3);
        assert_eq!(find("full_name,phone_number").await.expect(200).json()["items"][0]["count"], 2);
        let page = admin.get("/users/duplicates?by=phone_number&limit=1").send().await.expect(200);
        let next = page.json()["next"].as_str().unwrap().to_owned();
        let query = [("by", "phone_number"), ("limit", "1"), ("after", &*next)];
        let rest = admin.get("/users/duplicates").query(&query).send().await.expect(200).json();
        assert_eq!((&rest["items"], &rest["next"]), (&json!([]), &Value::Null));

        let group = NewGroup { name: "physics".to_owned(), ..NewGroup::default() };
        let group = server.identity().groups().create(server.id(), group, &Cause::operator()).await.unwrap().id;
        let (which, party) = ((server.id(), group), Party::User(twin.user.id));
        server.identity().groups().add(which, party, MembershipKind::Admin, &Cause::operator()).await.unwrap();
        let browser = server.browser();
        browser.sign_in("twin").await;
        let path = format!("/users/{}/merge", ada.sub());
        let document = json!({"absorb": twin.sub(), "take": ["username", "phone_number"]});
        admin.post(&path, &document).header("if-match", "\"9\"").send().await.check(412);
        let kept = admin.post(&path, &document).header("if-match", "\"1\"").send().await.expect(200).json();
        assert_eq!((&kept["username"], &kept["phone_number"]), (&json!("twin"), &json!("+43-1-234")), "{kept}");
        assert!(!browser.is_signed_in().await, "the other's sessions end");
        admin.get(&format!("/users/{}", twin.sub())).send().await.check(404);
        let groups = admin.get(&format!("/users/{}/groups", ada.sub())).send().await.expect(200).json();
        assert_eq!(groups["items"][0]["kind"], "ADMIN");
        let again = admin.post(&path, &document).send().await.expect(422);
        assert_eq!(again.json()["errors"][0]["pointer"], "/absorb");
        assert_eq!(find("phone_number").await.expect(200).json()["items"], json!([]));
        assert_eq!(server.audited("user.merge").await.len(), 1);
        drop(other);
    }

    async fn what_is_wrong_with_a_merge_is_pointed_at(server: &Server) {
        let admin = server.administrator().await;
        let (ada, bob) = (server.user("ada").create().await, server.user("bob").create().await);
        let path = format!("/users/{}/merge", ada.sub());
        for (document, status, pointer) in [
            (json!({"absorb": ada.sub()}), 422, "/absorb"),
            (json!({"absorb": "bob"}), 400, "/absorb"),
            (json!({"absorb": "0190f0f0-0000-7000-8000-000000000001"}), 422, "/absorb"),
            (json!({"absorb": bob.sub(), "take": ["password"]}), 400, "/take/0"),
            (json!({"absorb": bob.sub(), "take": "email"}), 400, "/take"),
            (json!({"absorb": bob.sub(), "keep": true}), 400, "/keep"),
        ] {
            let refused = admin.post(&path, &document).send().await.expect(status);
            assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{document}: {refused}");
        }
        admin.post(&path, &json!({})).send().await.check(400);
        for query in ["", "by=", "by=email", "by=attributes.", "by=phone_number,", "by=full_name&limit=0", "by=full_name&after=x",
            "by=full_name&after=WyJhIiwiYiJd", "by=phone_number,full_name,display_name,attributes.a,attributes.b"] {
            admin.get(&format!("/users/duplicates?{query}")).send().await.check(400);
        }
        admin.get(&format!("/users/{}", bob.sub())).send().await.check(200);
    }

    /// Roles go with an account that is merged: whoever merges gives them.
    async fn who_may_write_users_does_not_merge_them(server: &Server) {
        let (ada, bob) = (server.user("ada").create().await, server.user("bob").create().await);
        let document = json!({"absorb": bob.sub()});
        let path = format!("/users/{}/merge", ada.sub());
        let every = "keyreeve:users:write keyreeve:groups:write keyreeve:roles:write";
        let refused = server.api(every).await.post(&path, &document).send().await.expect(403);
        assert!(refused.challenge().unwrap().contains("keyreeve:admin"), "{refused}");
        server.api_of(&ada, "keyreeve:admin").await.post(&path, &document).send().await.check(403);
        server.api_of(&ada, "keyreeve:admin").await.get("/users/duplicates?by=full_name").send().await.check(403);
        let acme = server.tenant("acme").create().await.administrator().await;
        acme.post(&path, &document).send().await.check(404);
    }
}
