//! Attacks through the provisioning door (AC-05, AC-21, AC-47, AC-52, AC-56, AC-60).

use crate::scim::{GROUP, Provisioner, USER, id, path, refused};
use keyreeve_acceptance::{Server, on_a_server};
use serde_json::json;

on_a_server! {
    async fn ac_47_a_nested_filter_ends_at_its_bound(server: &Server) {
        let scim = Provisioner::at(server).await;
        let ada = scim.user(json!({"userName": "ada"})).await;
        for levels in [40, 1_000] {
            let deep = format!("{}userName pr{}", "not (".repeat(levels), ")".repeat(levels));
            let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": deep});
            for path in ["/Users/.search", "/Groups/.search", "/.search"] {
                refused(&scim.send("POST", path, &body).await, 400, "invalidFilter");
            }
            let place = format!("emails[{}value pr{}]", "(".repeat(levels), ")".repeat(levels));
            refused(&scim.patch(&path(&ada), json!([{"op": "remove", "path": place}])).await, 400, "invalidPath");
        }
        let wide = vec!["userName pr"; 5_000].join(" or ");
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": wide});
        refused(&scim.send("POST", "/Users/.search", &body).await, 400, "invalidFilter");
        let nested = format!("{}{}", "{\"a\":".repeat(400), "}".repeat(400));
        let answer = scim.call("POST", "/Users").body("application/scim+json", nested).send().await;
        refused(&answer, 400, "invalidSyntax");
    }

    async fn ac_52_nothing_of_another_tenant_is_reached(server: &Server) {
        let acme = server.tenant("acme").create().await;
        let here = Provisioner::at(server).await;
        let there = Provisioner::new(server, &acme, "acme").await;
        let ada = there.user(json!({"userName": "ada", "emails": [{"value": "ada@example.org"}]})).await;
        let crew = there.group("crew", &[id(&ada)]).await;
        let own = here.group("own", &[]).await;
        let eve = here.user(json!({"userName": "eve"})).await;
        for foreign in [path(&ada), path(&crew)] {
            refused(&here.get(&foreign).await, 404, "");
            refused(&here.delete(&foreign).await, 404, "");
            refused(&here.patch(&foreign, json!([{"op": "add", "path": "externalId", "value": "mine"}])).await, 404, "");
            let document = match foreign.starts_with("/Users") {
                true => json!({"schemas": [USER], "userName": "x"}),
                false => json!({"schemas": [GROUP], "displayName": "x"}),
            };
            refused(&here.send("PUT", &foreign, &document).await, 404, "");
        }
        for stranger in [id(&ada), id(&crew)] {
            let add = json!([{"op": "add", "path": "members", "value": [{"value": stranger}]}]);
            refused(&here.patch(&path(&own), add).await, 400, "invalidValue");
        }
        // Of a manager elsewhere nothing is told but what was said.
        let enterprise = crate::scim::ENTERPRISE;
        let manager = json!([{"op": "add", "path": format!("{enterprise}:manager"), "value": {"value": id(&ada)}}]);
        here.patch(&path(&eve), manager).await.check(200);
        let asked = format!("{}?attributes={enterprise}:manager.displayName", path(&eve));
        assert!(here.get(&asked).await.expect(200).json().get(enterprise).is_none());
        // Neither is a token good elsewhere, nor a cursor or filter a way there.
        refused(&there.by(&here.token).get("/Users").await, 401, "");
        refused(&here.by(&there.token).get(&path(&eve)).await, 401, "");
        assert!(here.found(&format!("id eq \"{}\"", id(&ada))).await.is_empty());
        assert!(here.found("emails eq \"ada@example.org\"").await.is_empty());
        let version = &there.get(&path(&ada)).await.expect(200).json()["meta"]["version"];
        assert_eq!(version, &ada["meta"]["version"], "nobody changed her");
        assert_eq!(there.names("/Groups").await, ["crew"]);
        // The same name is free in each.
        here.user(json!({"userName": "ada", "emails": [{"value": "ada@example.org"}]})).await;
    }

    async fn ac_56_pages_have_bounds(server: &Server) {
        let scim = Provisioner::at(server).await;
        for name in ["ada", "bob"] {
            scim.user(json!({"userName": name})).await;
        }
        let counted = scim.get("/Users?count=0").await.expect(200).json();
        assert_eq!((&counted["totalResults"], counted["Resources"].as_array().unwrap().len()), (&json!(2), 0));
        for query in ["count=-1", "count=0&startIndex=-5"] {
            let page = scim.get(&format!("/Users?{query}")).await.expect(200).json();
            assert_eq!((&page["totalResults"], &page["itemsPerPage"]), (&json!(2), &json!(0)), "{query}");
        }
        for query in ["count=9223372036854775807", "startIndex=-9223372036854775808", "startIndex=0&count=501"] {
            assert_eq!(scim.names(&format!("/Users?{query}")).await.len(), 2, "{query}");
        }
        for query in ["startIndex=3", "startIndex=4294967296", "startIndex=9223372036854775807"] {
            let page = scim.get(&format!("/Users?{query}")).await.expect(200).json();
            assert_eq!((&page["totalResults"], &page["itemsPerPage"]), (&json!(2), &json!(0)), "{query}");
        }
        for query in ["count=1e3", "startIndex=99999999999999999999", "count=", "sortBy=userName%3B--", "sortBy=password", "sortOrder=x"] {
            let answer = scim.get(&format!("/Users?{query}")).await;
            if query != "count=" {
                assert_eq!(answer.status, 400, "{answer}");
            }
        }
    }

    async fn ac_21_who_may_not_provision_learns_of_nobody(server: &Server) {
        let scim = Provisioner::at(server).await;
        let ada = scim.user(json!({"userName": "ada"})).await;
        let crew = scim.group("crew", &[]).await;
        let chief = scim.administrator_of(id(&crew)).await;
        let nobody = "/Users/01900000-0000-7000-8000-000000000000";
        assert_eq!(chief.get(&path(&ada)).await.text(), chief.get(nobody).await.text());
        assert_eq!(scim.by("x").get(&path(&ada)).await.text(), scim.by("x").get(nobody).await.text());
        let make = |name: &str| json!({"schemas": [USER], "userName": name});
        let taken = chief.send("POST", "/Users", &make("ada")).await;
        let free = chief.send("POST", "/Users", &make("free")).await;
        assert_eq!((taken.status, taken.text()), (free.status, free.text()));
        assert!(chief.found("userName eq \"ada\"").await.is_empty());
        let counted = chief.get("/Users?count=0").await.expect(200).json();
        assert_eq!(counted["totalResults"], chief.names("/Users").await.len());
    }

    async fn ac_60_a_foreign_page_provisions_nobody(server: &Server) {
        let scim = Provisioner::at(server).await;
        server.user("root").create().await;
        let browser = server.browser();
        browser.sign_in("root").await;
        let document = json!({"schemas": [USER], "userName": "planted"}).to_string();
        // What a page can send without being asked: cookies, and these content types.
        let cookies: Vec<String> = browser.cookies().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain; application/json"] {
            let call = scim.bare("POST", "/Users").header("cookie", &cookies.join("; ")).header("origin", "https://evil.example");
            refused(&call.body(kind, document.clone()).send().await, 401, "");
            refused(&scim.call("POST", "/Users").body(kind, document.clone()).send().await, 415, "");
        }
        let answer = scim.call("GET", "/Users").header("origin", "https://evil.example").send().await;
        assert!(answer.header("access-control-allow-origin").is_none());
        let asked = scim.bare("OPTIONS", "/Users").header("origin", "https://evil.example").send().await;
        assert_eq!(asked.status, 405);
        assert_eq!(scim.names("/Users").await, ["root"]);
    }

    async fn ac_05_a_member_that_stands_twice_is_refused(server: &Server) {
        let scim = Provisioner::at(server).await;
        for twice in [
            r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ada","userName":"bob"}"#,
            r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ada","USERNAME":"bob"}"#,
            r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ada","name":{"givenName":"a","givenname":"b"}}"#,
        ] {
            refused(&scim.call("POST", "/Users").body("application/scim+json", twice).send().await, 400, "invalidSyntax");
        }
        refused(&scim.get("/Users?filter=userName%20pr&filter=title%20pr").await, 400, "invalidValue");
        assert!(scim.names("/Users").await.is_empty());
    }
}
