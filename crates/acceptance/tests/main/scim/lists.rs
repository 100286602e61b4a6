//! Lists: filters, orders, pages, what is shown.

use super::{ENTERPRISE, Provisioner, SEARCH, id, names, path, refused};
use keyreeve_acceptance::{Server, on_a_server};
use serde_json::{Value, json};

/// Five users and two groups.
async fn people(scim: &Provisioner) -> Vec<Value> {
    let mut made = Vec::new();
    for (name, family, town, kind) in [
        ("ada", "Lovelace", "London", "work"),
        ("bob", "Babbage", "London", "home"),
        ("cyd", "Charisse", "Amarillo", "work"),
        ("dan", "Dare", "Manchester", "home"),
        ("eve", "Adams", "London", "work"),
    ] {
        let user = scim.user(json!({
            "userName": name, "externalId": format!("x-{name}"), "name": {"familyName": family}, "title": kind,
            "emails": [{"value": format!("{name}@example.org"), "type": kind, "primary": true},
                {"value": format!("{name}@second.example"), "type": "other"}],
            "addresses": [{"locality": town}], (ENTERPRISE): {"department": town},
        }));
        made.push(user.await);
    }
    made.push(scim.group("crew", &[id(&made[0])]).await);
    made.push(scim.group("aside", &[]).await);
    made
}

on_a_server! {
    async fn filters_find_what_they_say(server: &Server) {
        let scim = Provisioner::at(server).await;
        let people = people(&scim).await;
        let crew = id(&people[5]).to_owned();
        for (filter, expected) in [
            (r#"userName eq "ADA""#, "ada"),
            (r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "A""#, "ada"),
            (r#"externalId eq "x-bob""#, "bob"),
            (r#"emails eq "cyd@example.org""#, "cyd"),
            (r#"emails.value eq "cyd@second.example""#, "cyd"),
            (r#"emails[type eq "work" and value co "example.org"]"#, "ada cyd eve"),
            (r#"emails[type eq "other" and value ew "example.org"]"#, ""),
            (r#"emails.type eq "home""#, "bob dan"),
            (r#"name.familyName co "a" and not (title eq "home")"#, "ada cyd eve"),
            (r#"addresses.locality eq "london" and userName gt "b""#, "bob eve"),
            (r#"not (addresses[locality eq "London"])"#, "cyd dan"),
            (r#"title eq "home" or userName eq "eve""#, "bob dan eve"),
            (r#"active eq true and displayName pr"#, ""),
            (r#"displayName eq null and userName lt "c""#, "ada bob"),
            (&format!("{ENTERPRISE}:department eq \"Amarillo\""), "cyd"),
            (&format!("groups.value eq \"{crew}\""), "ada"),
            (&format!("id eq \"{}\"", id(&people[1])), "bob"),
            (r#"id eq "x""#, ""),
            (r#"userName ne "ada" and title eq "work""#, "cyd eve"),
            (r#"meta.created gt "2000-01-01T00:00:00Z" and meta.resourceType eq "User" and userName ge "dan""#, "dan eve"),
        ] {
            assert_eq!(scim.found(filter).await.join(" "), expected, "{filter}");
        }
        for bad in ["userName", "userName eq ada", "shoeSize pr", r#"password eq "x""#, r#"active gt "x""#, r#"roles.value eq "x""#] {
            refused(&scim.call("GET", "/Users").query(&[("filter", bad)]).send().await, 400, "invalidFilter");
        }
        // A user without a username is found by what is shown instead.
        let mail = keyreeve_identity::Profile { email: Some("zoe@example.org".into()), ..Default::default() };
        let new = keyreeve_identity::NewUser { profile: mail, ..Default::default() };
        server.identity().users().create(server.id(), new, &keyreeve_identity::Cause::operator()).await.unwrap();
        assert_eq!(scim.found(r#"userName eq "Zoe@example.org""#).await, ["zoe@example.org"]);
        let groups = scim.call("GET", "/Groups").query(&[("filter", r#"displayName sw "c""#)]).send().await.expect(200);
        assert_eq!(names(&groups.json()), ["crew"]);
    }

    async fn lists_have_orders_and_pages(server: &Server) {
        let scim = Provisioner::at(server).await;
        people(&scim).await;
        assert_eq!(scim.names("/Users?sortBy=name.familyName").await, ["eve", "bob", "cyd", "dan", "ada"]);
        assert_eq!(scim.names("/Users?sortBy=userName&sortOrder=descending&count=2").await, ["eve", "dan"]);
        let page = scim.get("/Users?sortBy=userName&startIndex=4&count=3").await.expect(200).json();
        assert_eq!(names(&page), ["dan", "eve"]);
        assert_eq!((&page["totalResults"], &page["startIndex"], &page["itemsPerPage"]), (&json!(5), &json!(4), &json!(2)));
        // Also where the resources are looked at one by one.
        let filter = [("filter", r#"addresses.locality eq "London""#), ("sortBy", "userName"), ("startIndex", "2"), ("count", "1")];
        let page = scim.call("GET", "/Users").query(&filter).send().await.expect(200).json();
        assert_eq!((names(&page), &page["totalResults"]), (vec!["bob".to_owned()], &json!(3)));
        refused(&scim.get("/Users?sortBy=title").await, 400, "invalidPath");

        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let query = [("cursor", cursor.as_str()), ("count", "2"), ("sortBy", "userName")];
            let page = scim.call("GET", "/Users").query(&query).send().await.expect(200).json();
            assert_eq!(page["totalResults"], 5);
            assert!(page.get("startIndex").is_none());
            seen.extend(names(&page));
            match page.get("nextCursor") {
                Some(next) => cursor = next.as_str().unwrap().to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, ["ada", "bob", "cyd", "dan", "eve"]);
        refused(&scim.get("/Users?cursor=x").await, 400, "invalidCursor");
        refused(&scim.get("/Users?cursor=&startIndex=1").await, 400, "invalidValue");
        refused(&scim.get("/Users?count=x").await, 400, "invalidCount");
    }

    async fn a_search_is_a_list_by_post(server: &Server) {
        let scim = Provisioner::at(server).await;
        let people = people(&scim).await;
        let search = async |path: &str, mut body: Value| {
            body["schemas"] = json!([SEARCH]);
            scim.send("POST", path, &body).await
        };
        let found = search("/Users/.search", json!({"filter": "title eq \"home\"", "attributes": ["userName"], "count": 1})).await;
        let found = found.expect(200).json();
        assert_eq!((names(&found), &found["totalResults"]), (vec!["bob".to_owned()], &json!(2)));
        let only: Vec<&String> = found["Resources"][0].as_object().unwrap().keys().collect();
        assert_eq!(only, ["id", "schemas", "userName"]);

        // Over everything: users first, then groups.
        let all = search("/.search", json!({})).await.expect(200).json();
        assert_eq!((names(&all).len(), &all["totalResults"]), (7, &json!(7)));
        let page = search("/.search", json!({"startIndex": 5, "count": 2, "sortBy": "id"})).await.expect(200).json();
        assert_eq!(names(&page), ["eve", "crew"]);
        let external = search("/.search", json!({"filter": "externalId eq \"x-ada\" or meta.resourceType eq \"Group\""})).await;
        assert_eq!(names(&external.expect(200).json()), ["ada", "crew", "aside"]);
        // What one kind does not have finds nothing of it.
        let users = search("/.search", json!({"filter": "userName sw \"e\""})).await.expect(200).json();
        assert_eq!(names(&users), ["eve"]);
        refused(&search("/.search", json!({"filter": "shoeSize pr"})).await, 400, "invalidFilter");
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        for _ in 0..10 {
            let page = search("/.search", json!({"cursor": cursor, "count": 3})).await.expect(200).json();
            assert_eq!(page["totalResults"], 7);
            seen.extend(names(&page));
            match page.get("nextCursor") {
                Some(next) => cursor = next.as_str().unwrap().to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, ["ada", "bob", "cyd", "dan", "eve", "crew", "aside"]);
        refused(&search("/.search", json!({"cursor": "x.y"})).await, 400, "invalidCursor");
        refused(&scim.send("POST", "/.search", &json!({})).await, 400, "invalidSyntax");
        // A list leaves out what is not asked for, as a single resource does.
        let bare = scim.get(&format!("{}?attributes=emails.value", path(&people[0]))).await.expect(200).json();
        assert_eq!(bare["emails"], json!([{"value": "ada@example.org"}, {"value": "ada@second.example"}]));
    }
}
