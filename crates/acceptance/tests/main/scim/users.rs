//! Users: their whole life, and what clients in the field send.

use super::{ENTERPRISE, PATCH, Provisioner, USER, id, path, refused};
use keyreeve_acceptance::{Server, on_a_server};
use serde_json::{Value, json};

const PASSWORD: &str = "Wq7-tulip-oxcart";
const OTHER: &str = "gK2-heron-basalt";

on_a_server! {
    async fn a_user_is_made_shown_changed_and_archived(server: &Server) {
        let acme = server.tenant("acme").create().await;
        for scim in [Provisioner::at(server).await, Provisioner::new(server, &acme, "acme").await] {
            let document = json!({
                "schemas": [USER, ENTERPRISE], "userName": "ada", "externalId": "e-1", "password": PASSWORD,
                "name": {"givenName": "Ada", "familyName": "Lovelace"}, "title": "Countess",
                "emails": [{"value": "ada@example.org", "type": "work", "primary": true}, {"value": "a@home.example", "type": "home"}],
                (ENTERPRISE): {"department": "Engines"}, "groups": [{"value": "mine"}], "id": "mine",
            });
            let made = scim.send("POST", "/Users", &document).await.expect(201);
            let ada = made.json();
            assert_eq!(made.header("location"), ada["meta"]["location"].as_str());
            assert_eq!(made.header("etag"), ada["meta"]["version"].as_str());
            assert_eq!(ada["schemas"], json!([USER, ENTERPRISE]));
            for name in ["userName", "externalId", "name", "title", "emails", ENTERPRISE] {
                assert_eq!(ada[name], document[name], "{name}");
            }
            assert_ne!(ada["id"], "mine");
            assert!(!made.text().contains(PASSWORD) && ada.get("groups").is_none());
            assert_eq!(scim.get(&path(&ada)).await.expect(200).json(), ada);
            scim.mount.browser().try_sign_in("ada@example.org", PASSWORD).await.check(303);

            // Without what is not said again.
            let whole = json!({"schemas": [USER], "userName": "ada", "displayName": "Ada L.", "active": true});
            let replaced = scim.send("PUT", &path(&ada), &whole).await.expect(200).json();
            assert_eq!(replaced["displayName"], "Ada L.");
            for name in ["title", "emails", ENTERPRISE, "externalId", "name"] {
                assert!(replaced.get(name).is_none(), "{name}");
            }
            scim.mount.browser().try_sign_in("ada", PASSWORD).await.check(303);

            scim.delete(&path(&ada)).await.check(204);
            for gone in [scim.get(&path(&ada)).await, scim.delete(&path(&ada)).await, scim.send("PUT", &path(&ada), &whole).await] {
                refused(&gone, 404, "");
            }
            let actions: Vec<String> = scim.mount.audit().await.into_iter().map(|entry| entry.action).collect();
            for action in ["user.create", "user.update", "user.archive"] {
                assert!(actions.iter().any(|known| known == action), "{action}");
            }
            // The name is free again.
            scim.user(json!({"userName": "ada"})).await;
        }
    }

    async fn passwords_and_states_change_by_patch(server: &Server) {
        let scim = Provisioner::at(server).await;
        let ada = scim.user(json!({"userName": "ada", "password": PASSWORD})).await;
        let browser = server.browser();
        browser.try_sign_in("ada", PASSWORD).await.check(303);
        let set = |value: &str| json!([{"op": "replace", "path": "password", "value": value}]);
        let weak = scim.patch(&path(&ada), set("short")).await;
        refused(&weak, 400, "invalidValue");
        let changed = scim.patch(&path(&ada), set(OTHER)).await.expect(200);
        assert!(!changed.text().contains(OTHER));
        assert!(!browser.is_signed_in().await, "a new password ends what was");
        let browser = server.browser();
        browser.try_sign_in("ada", OTHER).await.check(303);
        // As Entra ID writes it.
        let off = scim.patch(&path(&ada), json!([{"op": "Replace", "path": "active", "value": "False"}])).await;
        assert_eq!(off.expect(200).json()["active"], false);
        assert!(!browser.is_signed_in().await);
        // As Okta writes it.
        let on = scim.patch(&path(&ada), json!([{"op": "replace", "value": {"active": true}}])).await;
        assert_eq!(on.expect(200).json()["active"], true);
        server.browser().try_sign_in("ada", OTHER).await.check(303);
        // All or nothing.
        let both = json!([
            {"op": "replace", "path": "userName", "value": "countess"},
            {"op": "replace", "path": "password", "value": "short"},
        ]);
        refused(&scim.patch(&path(&ada), both).await, 400, "invalidValue");
        assert_eq!(scim.get(&path(&ada)).await.json()["userName"], "ada");
    }

    async fn what_entra_and_okta_send_is_understood(server: &Server) {
        let scim = Provisioner::at(server).await;
        let boss = scim.user(json!({"userName": "boss", "displayName": "The Boss"})).await;
        let ada = scim.user(json!({"userName": "ada", "emails": [{"value": "ada@example.org", "type": "work"}]})).await;
        let entra = json!([
            {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "ada@example.com"},
            {"op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "+441"},
            {"op": "Add", "path": format!("{ENTERPRISE}:manager"), "value": id(&boss)},
            {"op": "Add", "value": {"name.givenName": "Ada", (format!("{ENTERPRISE}:department")): "Engines"}},
            {"op": "Add", "path": "externalId", "value": "object-7"},
        ]);
        let now = scim.patch(&path(&ada), entra).await.expect(200).json();
        assert_eq!(now["emails"], json!([{"value": "ada@example.com", "type": "work"}]));
        assert_eq!(now["phoneNumbers"], json!([{"value": "+441", "type": "mobile"}]));
        assert_eq!(now["name"]["givenName"], "Ada");
        assert_eq!(now[ENTERPRISE]["department"], "Engines");
        assert_eq!(now[ENTERPRISE]["manager"], json!({"value": id(&boss), "$ref": boss["meta"]["location"]}));
        let named = format!("{}?attributes={ENTERPRISE}:manager.displayName", path(&ada));
        assert_eq!(scim.get(&named).await.expect(200).json()[ENTERPRISE], json!({"manager": {"displayName": "The Boss"}}));
        assert_eq!(scim.found("externalId eq \"object-7\"").await, ["ada"]);
        // What changes nothing leaves the version as it is.
        let same = json!([{"op": "Add", "path": "externalId", "value": "object-7"}]);
        assert_eq!(scim.patch(&path(&ada), same).await.expect(200).json()["meta"], now["meta"]);
    }

    async fn versions_are_minded(server: &Server) {
        let scim = Provisioner::at(server).await;
        let ada = scim.user(json!({"userName": "ada"})).await;
        let first = ada["meta"]["version"].as_str().unwrap().to_owned();
        let title = |title: &str| json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "title", "value": title}]}).to_string();
        let patch = |version: &str, text: &str| {
            scim.call("PATCH", &path(&ada)).header("if-match", version).body("application/scim+json", title(text)).send()
        };
        let second = patch(&first, "Countess").await.expect(200).header("etag").unwrap().to_owned();
        assert_ne!(first, second);
        refused(&patch(&first, "Duchess").await, 412, "");
        refused(&scim.call("DELETE", &path(&ada)).header("if-match", &first).send().await, 412, "");
        patch("*", "Princess").await.check(200);
        let own = format!("{}?excludedAttributes=groups,roles", path(&ada));
        let now = scim.get(&own).await.expect(200).header("etag").unwrap().to_owned();
        let unchanged = scim.call("GET", &own).header("if-none-match", &now).send().await.expect(304);
        assert!(unchanged.body.is_empty());
        scim.call("GET", &own).header("if-none-match", &first).send().await.check(200);
        // Others keep the groups: whether they changed, this version does not tell.
        scim.call("GET", &path(&ada)).header("if-none-match", &now).send().await.check(200);
        scim.call("DELETE", &path(&ada)).header("if-match", &now).send().await.check(204);
    }

    async fn what_is_wrong_is_said_where_it_is(server: &Server) {
        let scim = Provisioner::at(server).await;
        let ada = scim.user(json!({"userName": "ada", "emails": [{"value": "ada@example.org"}]})).await;
        let post = async |members: Value| {
            let mut members = members;
            members["schemas"] = json!([USER]);
            scim.send("POST", "/Users", &members).await
        };
        for (members, kind, said) in [
            (json!({}), "invalidValue", "userName"),
            (json!({"userName": "bob", "emails": [{"value": "nothing"}]}), "invalidValue", "emails"),
            (json!({"userName": "bob", "shoeSize": 7}), "invalidSyntax", "shoeSize"),
            (json!({"userName": "bob", "active": "perhaps"}), "invalidValue", "active"),
            (json!({"userName": "bob", "password": "short"}), "invalidValue", "password"),
            (json!({"userName": "b".repeat(300)}), "invalidValue", "userName"),
            (json!({"userName": "bob", "locale": "x".repeat(40)}), "invalidValue", "locale"),
        ] {
            let answer = post(members).await;
            refused(&answer, 400, kind);
            assert!(answer.json()["detail"].as_str().unwrap().contains(said), "{answer}");
        }
        refused(&post(json!({"userName": "ADA"})).await, 409, "uniqueness");
        refused(&post(json!({"userName": "bob", "emails": [{"value": "Ada@Example.org"}]})).await, 409, "uniqueness");
        assert_eq!(scim.names("/Users").await, ["ada"]);

        let at = |kind: &str, body: &str| scim.call("PUT", &path(&ada)).body(kind, body.to_owned()).send();
        refused(&at("text/plain", "{}").await, 415, "");
        refused(&at("application/scim+json", "{").await, 400, "invalidSyntax");
        refused(&at("application/scim+json", r#"{"userName":"a","username":"b"}"#).await, 400, "invalidSyntax");
        refused(&at("application/json", &format!("{{\"a\":\"{}\"}}", "x".repeat(600_000))).await, 413, "");
        let both = format!("{}?attributes=userName&excludedAttributes=name", path(&ada));
        refused(&scim.get(&both).await, 400, "invalidValue");
        for id in ["x", "01900000-0000-7000-8000-000000000000", "..%2fUsers"] {
            refused(&scim.get(&format!("/Users/{id}")).await, 404, "");
        }
    }
}
