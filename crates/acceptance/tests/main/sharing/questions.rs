//! The questions over HTTP, and that they agree.

use super::house::{House, grant, group, ids, path, user};
use keyreeve_acceptance::{Server, on_a_server};
use serde_json::{Value, json};

on_a_server! {
    async fn questions_are_answered_and_agree(server: &Server) {
        let house = House::at(server).await;
        let (ada, ben, cleo) = (house.user("ada").await, house.user("ben").await, house.user("cleo").await);
        let crew = house.group("crew", &[&cleo]).await;
        house.make(("folder", "top"), &ada, None).await;
        for file in ["one", "two", "three"] {
            house.make(("file", file), &ada, Some("top")).await;
        }
        house.share("one", "READ", &user(&ben), false).await;
        let document = grant("top", "WRITE", &group(crew), true);
        let made = house.admin.post("/sharing/grants", &document).send().await.expect(201);
        let revision = made.header("keyreeve-revision").unwrap();
        let check = |who: Value, permission: &str, resource: &str| json!({"subject": who, "permission": permission, "resource": resource});
        let asked = [
            (check(user(&cleo), "READ", "three"), true, Value::Null),
            (check(user(&ben), "READ", "one"), true, Value::Null),
            (check(user(&ben), "READ", "two"), false, json!("not_granted")),
            (check(user(&ada), "OWNER", "two"), true, Value::Null),
            (check(group(crew), "WRITE", "one"), true, Value::Null),
            (check(user(&ben), "READ", "unheard"), false, json!("no_resource")),
            (check(user(&ben), "UNHEARD", "one"), false, json!("no_permission")),
            (check(json!({"kind": "user", "id": "0190f0f0-0000-7000-8000-000000000001"}), "READ", "one"), false, json!("no_subject")),
        ];
        let all: Vec<_> = asked.iter().map(|(check, ..)| check).collect();
        let many = house.admin.post("/sharing/checks", &json!({"checks": all, "at_least": revision})).send().await.expect(200).json();
        for (at, (check, allowed, reason)) in asked.iter().enumerate() {
            let mut check = check.clone();
            check["at_least"] = json!(revision);
            let one = house.admin.post("/sharing/check", &check).send().await.expect(200).json();
            assert_eq!((&one["allowed"], &one["reason"]), (&json!(allowed), reason), "{check}");
            assert_eq!(many["decisions"][at], one, "{check}");
            let why = house.admin.post("/sharing/explain", &check).send().await.expect(200).json();
            assert_eq!((&why["allowed"], why["via"].is_object()), (&json!(allowed), *allowed), "{check}");
        }
        let why = house.admin.post("/sharing/explain", asked.first().map(|(check, ..)| check).unwrap()).send().await.expect(200).json();
        assert_eq!(why["via"]["resources"], json!(["three", "top"]));
        assert_eq!((&why["via"]["groups"], &why["via"]["permissions"]), (&json!([crew.to_string()]), &json!(["WRITE", "READ"])));
        assert_eq!(why["via"]["grant"]["subject"], group(crew));

        let mut everybody = [ada.sub(), ben.sub(), cleo.sub()];
        everybody.sort();
        assert_eq!(house.who_may("READ", "one").await, everybody);
        let subjects = |query: &'static [(&'static str, &'static str)]| {
            let path = format!("{}/subjects", path("one"));
            let call = house.admin.get(&path).query(query);
            async move { ids(&call.send().await.expect(200)) }
        };
        let mut direct = [ada.sub(), ben.sub()];
        direct.sort();
        assert_eq!(subjects(&[("permission", "READ"), ("reach", "direct")]).await, direct);
        assert_eq!(subjects(&[("permission", "READ"), ("exact", "true"), ("reach", "direct")]).await, [ben.sub()]);
        assert!(subjects(&[("permission", "WRITE"), ("expand", "false")]).await.contains(&crew.to_string()));
        assert_eq!(subjects(&[("permission", "READ"), ("limit", "1")]).await.len(), 1);

        let mut files = house.files_of(&cleo, "WRITE").await;
        files.sort();
        assert_eq!(files, ["one", "three", "two"]);
        assert_eq!(house.files_of(&ben, "READ").await, ["one"]);
        assert!(house.files_of(&ben, "WRITE").await.is_empty());
        let search = |query: Vec<(&'static str, String)>| {
            let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let call = house.admin.get("/sharing/resources").query(&query);
            async move { ids(&call.send().await.expect(200)) }
        };
        assert_eq!(search(vec![("filter", "type eq \"file\" and name sw \"t\"".into()), ("order", "oldest".into())]).await, ["two", "three"]);
        assert_eq!(search(vec![("visible_to", format!("user:{}", ben.sub()))]).await, ["one"]);
        let of_cleo = format!("user:{}", cleo.sub());
        let filter = "permission eq \"WRITE\" and id eq \"two\"".to_owned();
        assert_eq!(search(vec![("filter", filter), ("visible_to", of_cleo)]).await, ["two"]);
        assert!(search(vec![("filter", "name eq \"' or 1=1 --\"".into())]).await.is_empty());
        assert!(search(vec![("filter", "name co \"%\"".into())]).await.is_empty(), "no wildcard comes in");
    }

    async fn who_is_no_administrator_asks_about_what_is_its_own(server: &Server) {
        let house = House::at(server).await;
        let (ada, ben, eve) = (house.user("ada").await, house.user("ben").await, house.user("eve").await);
        house.make(("folder", "top"), &ada, None).await;
        house.make(("file", "plan"), &ada, Some("top")).await;
        house.share("plan", "READ", &user(&ben), false).await;
        let (by_ada, by_ben, by_eve) = (house.api_of(&ada).await, house.api_of(&ben).await, house.api_of(&eve).await);
        let check = |who: &Value, resource: &str| json!({"subject": who, "permission": "READ", "resource": resource});
        for (api, who, status) in [(&by_ada, &ben, 200), (&by_ada, &eve, 200), (&by_ben, &ben, 200), (&by_ben, &ada, 403), (&by_eve, &ben, 404)] {
            for question in ["check", "explain"] {
                api.post(&format!("/sharing/{question}"), &check(&user(who), "plan")).send().await.check(status);
            }
        }
        // What there is not, and what one has nothing on, are alike to everybody but administrators.
        for resource in ["plan", "unheard"] {
            let told = by_eve.post("/sharing/check", &check(&user(&eve), resource)).send().await.expect(200).json();
            assert_eq!(told, json!({"allowed": false, "reason": "not_granted"}));
        }
        by_eve.get(&path("plan")).send().await.check(404);
        by_ben.get(&path("plan")).send().await.check(200);
        by_ben.get(&path("top")).send().await.check(404);
        by_ben.get(&format!("{}/grants", path("plan"))).send().await.check(403);
        by_ben.get(&format!("{}/subjects?permission=READ", path("plan"))).send().await.check(403);
        assert_eq!(ids(&by_ben.get("/sharing/resources").send().await.expect(200)), ["plan"]);
        assert!(ids(&by_eve.get("/sharing/resources").send().await.expect(200)).is_empty());
        by_ben.get(&format!("/sharing/resources?visible_to=user:{}", ada.sub())).send().await.check(403);
        by_ben.get(&format!("/sharing/subjects/user/{}/resources?type=file&permission=READ", ada.sub())).send().await.check(403);
        by_ben.post("/sharing/types", &json!({"id": "own"})).send().await.check(403);
        // Below what is hers, ada makes her own.
        let own = json!({"type": "file", "name": "n", "parent": "top"});
        assert_eq!(by_ada.post("/sharing/resources", &own).send().await.expect(201).json()["owner"], user(&ada));
        by_ada.post("/sharing/resources", &json!({"type": "file", "name": "n"})).send().await.check(403);
        // Without the scope nothing.
        let other = house.mount.api_of(&ada, "keyreeve:users:write").await;
        other.get(&path("plan")).send().await.check(403);
        let reader = house.mount.api_of(&ada, "keyreeve:sharing:read").await;
        reader.get(&path("plan")).send().await.check(200);
        reader.delete(&path("plan")).send().await.check(403);
    }

    async fn nothing_of_another_tenant_is_there(server: &Server) {
        let acme = server.tenant("acme").create().await;
        let (here, there) = (House::at(server).await, House::at(&acme).await);
        let (ada, eve) = (here.user("ada").await, there.user("eve").await);
        here.make(("file", "plan"), &ada, None).await;
        here.share("plan", "READ", &user(&ada), false).await;
        let grant = here.share("plan", "SHARE", &user(&ada), false).await;
        for foreign in [path("plan"), format!("{}/grants", path("plan")), format!("{}/children", path("plan")), format!("/sharing/grants/{}", grant["id"].as_str().unwrap())] {
            there.admin.get(&foreign).send().await.check(404);
        }
        there.admin.delete(&format!("/sharing/grants/{}", grant["id"].as_str().unwrap())).send().await.check(404);
        there.admin.delete(&path("plan")).send().await.check(404);
        here.try_share(&here.admin, "plan", "READ", &user(&eve)).await.check(404);
        there.try_share(&there.admin, "plan", "READ", &user(&eve)).await.check(404);
        let check = json!({"subject": user(&ada), "permission": "READ", "resource": "plan"});
        assert_eq!(there.admin.post("/sharing/check", &check).send().await.expect(200).json()["allowed"], false);
        assert!(ids(&there.admin.get("/sharing/resources").send().await.expect(200)).is_empty());
        there.make(("file", "plan"), &eve, None).await;
        assert!(here.may(&ada, "SHARE", "plan").await && !there.may(&ada, "SHARE", "plan").await);
    }
}
