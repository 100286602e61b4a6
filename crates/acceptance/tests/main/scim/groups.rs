//! Groups and who is in them.

use super::{GROUP, Provisioner, USER, id, path, refused};
use keyreeve_acceptance::{Server, on_a_server};
use keyreeve_identity::{Cause, MembershipKind, NewServiceAccount, Party, Reach};
use serde_json::{Value, json};

/// The members that a group shows, sorted.
fn members(group: &Value) -> Vec<&str> {
    let members = group["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut ids: Vec<&str> = members.iter().map(|member| member["value"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids
}

on_a_server! {
    async fn members_come_and_go(server: &Server) {
        let scim = Provisioner::at(server).await;
        let mut people = Vec::new();
        for name in ["ada", "bob", "eve"] {
            people.push(scim.user(json!({"userName": name, "displayName": name.to_uppercase()})).await);
        }
        let [ada, bob, eve] = [id(&people[0]), id(&people[1]), id(&people[2])];
        let low = scim.group("low", &[]).await;
        let crew = scim.group("crew", &[ada, id(&low)]).await;
        let shown = &crew["members"];
        assert_eq!(shown.as_array().unwrap().len(), 2);
        let user = shown.as_array().unwrap().iter().find(|member| member["type"] == "User").unwrap();
        assert_eq!(user, &json!({"value": ada, "type": "User", "$ref": people[0]["meta"]["location"]}));
        let of_ada = scim.get(&path(&people[0])).await.json();
        assert_eq!(of_ada["groups"], json!([{"value": id(&crew), "display": "crew", "type": "direct", "$ref": crew["meta"]["location"]}]));
        scim.patch(&path(&low), json!([{"op": "add", "path": "members", "value": [{"value": eve}]}])).await.check(200);
        let of_eve = scim.get(&path(&people[2])).await.json();
        let kinds: Vec<_> = of_eve["groups"].as_array().unwrap().iter().map(|group| (&group["display"], &group["type"])).collect();
        assert!(kinds.contains(&(&json!("crew"), &json!("indirect"))) && kinds.contains(&(&json!("low"), &json!("direct"))));

        let after = async |operations: Value| scim.patch(&path(&crew), operations).await.expect(200).json();
        // Entra ID: adding twice changes nothing; removing by value, by filter, by list.
        let both = json!([{"op": "Add", "path": "members", "value": [{"value": bob}, {"value": ada}]}]);
        let added = after(both.clone()).await;
        assert_eq!(members(&added).len(), 3);
        assert_eq!(after(both).await["meta"]["version"], added["meta"]["version"]);
        let gone = after(json!([{"op": "Remove", "path": format!("members[value eq \"{bob}\"]")}])).await;
        assert_eq!(members(&gone).len(), 2);
        let listed = after(json!([{"op": "Remove", "path": "members", "value": [{"value": ada}, {"value": bob}]}])).await;
        assert_eq!(members(&listed), [id(&low)]);
        // Okta: the group as a whole, with its name and identifier along.
        let whole = after(json!([{"op": "replace", "value": {"id": id(&crew), "displayName": "Crew", "members": [{"value": bob}]}}])).await;
        assert_eq!((whole["displayName"].as_str(), members(&whole)), (Some("Crew"), vec![bob]));
        // By what members are.
        let typed = after(json!([
            {"op": "add", "path": "members", "value": [{"value": id(&low)}, {"value": ada}]},
            {"op": "remove", "path": "members[type eq \"Group\" or display eq \"BOB\"]"},
        ])).await;
        assert_eq!(members(&typed), [ada]);
        let swapped = after(json!([{"op": "replace", "path": format!("members[value eq \"{ada}\"]"), "value": {"value": eve}}])).await;
        assert_eq!(members(&swapped), [eve]);
        let document = json!({"schemas": [GROUP], "displayName": "Crew", "members": [{"value": ada}, {"value": bob}]});
        let replaced = scim.send("PUT", &path(&crew), &document).await.expect(200).json();
        let mut expected = vec![ada, bob];
        expected.sort_unstable();
        assert_eq!(members(&replaced), expected);
        assert!(members(&after(json!([{"op": "remove", "path": "members"}])).await).is_empty());
        let actions: Vec<String> = server.audit().await.into_iter().map(|entry| entry.action).collect();
        for action in ["group.create", "group.update", "group.member.add", "group.member.remove"] {
            assert!(actions.iter().any(|known| known == action), "{action}");
        }
        scim.delete(&path(&crew)).await.check(204);
        refused(&scim.get(&path(&crew)).await, 404, "");
    }

    async fn names_of_members_are_told_on_request_and_members_left_out(server: &Server) {
        let scim = Provisioner::at(server).await;
        let ada = scim.user(json!({"userName": "ada", "displayName": "Ada L."})).await;
        let crew = scim.group("crew", &[id(&ada)]).await;
        let named = scim.get(&format!("{}?attributes=members.display,members.value", path(&crew))).await.expect(200).json();
        assert_eq!(named["members"], json!([{"value": id(&ada), "display": "Ada L."}]));
        let without = scim.get("/Groups?excludedAttributes=members").await.expect(200).json();
        assert!(without["Resources"][0].get("members").is_none());
        let found = scim.call("GET", "/Groups").query(&[("filter", &format!("members[value eq \"{}\"]", id(&ada)))]).send().await;
        assert_eq!(found.expect(200).json()["totalResults"], 1);
    }

    async fn service_accounts_are_neither_shown_nor_touched(server: &Server) {
        let scim = Provisioner::at(server).await;
        let ada = scim.user(json!({"userName": "ada"})).await;
        let crew = scim.group("crew", &[id(&ada)]).await;
        let (identity, tenant, cause) = (server.identity(), server.id(), Cause::operator());
        let new = NewServiceAccount { name: "agent".to_owned(), ..NewServiceAccount::default() };
        let agent = identity.service_accounts().create(tenant, new, &cause).await.unwrap();
        let (group, party) = (id(&crew).parse().unwrap(), Party::Service(agent.id));
        identity.groups().add((tenant, group), party, MembershipKind::Member, &cause).await.unwrap();
        assert_eq!(members(&scim.get(&path(&crew)).await.json()), [id(&ada)]);
        scim.patch(&path(&crew), json!([{"op": "remove", "path": "members"}])).await.check(200);
        let left = identity.groups().members((tenant, group), Reach::Direct, None, 10).await.unwrap();
        assert_eq!(left.iter().map(|member| member.party).collect::<Vec<_>>(), [party]);
    }

    async fn what_cannot_be_a_group_is_refused(server: &Server) {
        let scim = Provisioner::at(server).await;
        let crew = scim.group("crew", &[]).await;
        let low = scim.group("low", &[]).await;
        let nobody = "01900000-0000-7000-8000-000000000000";
        for (document, status, kind) in [
            (json!({"schemas": [GROUP]}), 400, "invalidValue"),
            (json!({"schemas": [GROUP], "displayName": " CREW "}), 409, "uniqueness"),
            (json!({"schemas": [GROUP], "displayName": "new", "members": [{"value": nobody}]}), 400, "invalidValue"),
            (json!({"schemas": [GROUP], "displayName": "new", "members": [{"type": "User"}]}), 400, "invalidValue"),
            (json!({"schemas": [GROUP], "displayName": "new", "members": vec![json!({"value": nobody}); 2_001]}), 400, "tooMany"),
        ] {
            refused(&scim.send("POST", "/Groups", &document).await, status, kind);
        }
        scim.patch(&path(&crew), json!([{"op": "add", "path": "members", "value": [{"value": id(&low)}]}])).await.check(200);
        for (operation, kind) in [
            (json!({"op": "add", "path": "members", "value": [{"value": nobody}]}), "invalidValue"),
            (json!({"op": "add", "path": "members", "value": [{"value": id(&crew)}]}), "invalidValue"),
            (json!({"op": "replace", "path": "members.value", "value": nobody}), "mutability"),
            (json!({"op": "replace", "path": format!("members[value eq \"{nobody}\"]"), "value": {"value": id(&low)}}), "noTarget"),
            (json!({"op": "remove", "path": "members[size eq \"7\"]"}), "invalidFilter"),
            (json!({"op": "remove", "path": "displayName"}), "mutability"),
            (json!({"op": "add", "path": "description", "value": "x"}), "invalidPath"),
        ] {
            refused(&scim.patch(&path(&crew), json!([operation])).await, 400, kind);
        }
        // Who is not there can be removed: they are not there afterwards.
        scim.patch(&path(&crew), json!([{"op": "remove", "path": format!("members[value eq \"{nobody}\"]")}])).await.check(200);
        assert_eq!(members(&scim.get(&path(&crew)).await.json()), [id(&low)]);
        let circle = scim.patch(&path(&low), json!([{"op": "add", "path": "members", "value": [{"value": id(&crew)}]}])).await;
        refused(&circle, 400, "invalidValue");
    }

    async fn who_administers_a_group_provisions_that_group(server: &Server) {
        let scim = Provisioner::at(server).await;
        let ada = scim.user(json!({"userName": "ada"})).await;
        let eve = scim.user(json!({"userName": "eve"})).await;
        let crew = scim.group("crew", &[id(&ada)]).await;
        let aside = scim.group("aside", &[id(&eve)]).await;
        let chief = scim.administrator_of(id(&crew)).await;
        assert_eq!(chief.names("/Users").await, ["ada"]);
        assert_eq!(chief.names("/Groups").await, ["crew"]);
        chief.patch(&path(&ada), json!([{"op": "add", "path": "title", "value": "Countess"}])).await.check(200);
        for hidden in [path(&eve), path(&aside)] {
            refused(&chief.get(&hidden).await, 404, "");
            refused(&chief.delete(&hidden).await, 404, "");
            refused(&chief.patch(&hidden, json!([{"op": "add", "path": "externalId", "value": "x"}])).await, 404, "");
        }
        let add = |id: &str| json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
        let unseen = chief.patch(&path(&crew), add(id(&eve))).await;
        refused(&unseen, 400, "invalidValue");
        let nobody = chief.patch(&path(&crew), add("01900000-0000-7000-8000-000000000000")).await;
        assert_eq!(unseen.text(), nobody.text(), "who may not be seen is not there");
        refused(&chief.send("POST", "/Users", &json!({"schemas": [USER], "userName": "new"})).await, 403, "");
        refused(&chief.send("POST", "/Groups", &json!({"schemas": [GROUP], "displayName": "new"})).await, 403, "");
        // Whom another group holds too is seen, not changed; and of the other group nothing is told.
        scim.patch(&path(&aside), add(id(&ada))).await.check(200);
        refused(&chief.patch(&path(&ada), json!([{"op": "remove", "path": "title"}])).await, 403, "");
        let seen = chief.get(&path(&ada)).await.expect(200).json();
        assert_eq!(seen["groups"].as_array().unwrap().len(), 1);
        chief.patch(&path(&crew), json!([{"op": "remove", "path": "members"}])).await.check(200);
        refused(&chief.get(&path(&ada)).await, 404, "");
        refused(&chief.delete(&path(&crew)).await, 403, "");
    }
}
