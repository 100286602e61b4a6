//! Types, permissions, resources and grants over HTTP.

use super::house::{House, group, ids, path, user};
use keyreeve_acceptance::{Answer, Server, on_a_server};
use serde_json::{Value, json};

/// The member that a refusal points at.
fn pointer(answer: &Answer) -> Value {
    answer.json()["errors"][0]["pointer"].clone()
}

on_a_server! {
    async fn a_model_is_declared_changed_and_removed(server: &Server) {
        let admin = server.administrator().await;
        let document = json!({"id": "a/b", "name": "Slashed", "description": "odd"});
        let post = || admin.post("/sharing/types", &document).header("idempotency-key", "once");
        let made = post().send().await.expect(201);
        assert!(made.header("location").unwrap().ends_with("/api/v1/sharing/types/a%2Fb"), "{made}");
        let revision = made.header("keyreeve-revision").unwrap().to_owned();
        let again = post().send().await.expect(201);
        assert_eq!((again.header("idempotency-replayed"), again.json()), (Some("true"), made.json()));
        let taken = admin.post("/sharing/types", &document).send().await.expect(409);
        assert_eq!(pointer(&taken), "/id");
        let one = "/sharing/types/a%2Fb";
        let patch = json!({"name": "Renamed", "description": null});
        let changed = admin.patch(one, &patch).header("if-match", "\"1\"").send().await.expect(200);
        assert_eq!((changed.header("etag"), &changed.json()["description"]), (Some("\"2\""), &Value::Null));
        assert!(changed.header("keyreeve-revision").unwrap() > revision.as_str());
        admin.patch(one, &patch).header("if-match", "\"1\"").send().await.check(412);
        admin.get(one).header("if-none-match", "\"2\"").send().await.check(304);

        let permissions = format!("{one}/permissions");
        let read = admin.post(&permissions, &json!({"id": "READ"})).send().await.expect(201);
        assert!(read.header("location").unwrap().ends_with("/types/a%2Fb/permissions/READ"), "{read}");
        let write = json!({"id": "WRITE", "implies": ["READ"], "shares": true});
        admin.post(&permissions, &write).send().await.check(201);
        for owner in ["OWNER", "owner"] {
            let refused = admin.post(&permissions, &json!({"id": owner})).send().await.expect(422);
            assert_eq!(pointer(&refused), "/id");
        }
        let circle = admin.patch(&format!("{permissions}/READ"), &json!({"implies": ["WRITE"]})).send().await.expect(422);
        assert_eq!(pointer(&circle), "/implies");
        assert_eq!(ids(&admin.get(&permissions).send().await.expect(200)), ["READ", "WRITE"]);
        admin.post("/sharing/permissions", &json!({"id": "LIST"})).send().await.check(201);
        assert_eq!(ids(&admin.get("/sharing/permissions").send().await.expect(200)), ["LIST"]);
        admin.delete(&format!("{permissions}/WRITE")).send().await.check(204);
        admin.get(&format!("{permissions}/WRITE")).send().await.check(404);

        for id in ["b", "c", "d"] {
            admin.post("/sharing/types", &json!({"id": id})).send().await.check(201);
        }
        let first = admin.get("/sharing/types?limit=2").send().await.expect(200);
        assert_eq!(ids(&first), ["a/b", "b"]);
        assert!(first.header("link").unwrap().contains("/api/v1/sharing/types?limit=2&after=b>"), "{first}");
        assert_eq!(ids(&admin.get("/sharing/types?limit=2&after=b").send().await.expect(200)), ["c", "d"]);
        admin.delete(one).send().await.check(204);
        admin.get(one).send().await.check(404);
        for action in ["resource_type.create", "resource_type.update", "resource_type.delete", "permission.delete"] {
            assert!(!server.audited(action).await.is_empty(), "{action}");
        }
    }

    async fn a_resource_is_made_changed_moved_given_away_and_removed(server: &Server) {
        let house = House::at(server).await;
        let (ada, ben) = (house.user("ada").await, house.user("ben").await);
        // Whatever a caller's identifiers look like, they are one part of a path.
        for id in ["plain", "../../etc/passwd", "a/b?c#d", "ünï cödé", "%2F", "...", "r'; DROP TABLE x --"] {
            house.make(("folder", id), &ada, None).await;
            let read = house.admin.get(&path(id)).send().await.expect(200);
            assert_eq!((&read.json()["id"], read.header("etag")), (&json!(id), Some("\"1\"")));
        }
        for id in [".", ".."] {
            let step = json!({"type": "folder", "name": id, "id": id, "owner": user(&ada)});
            let refused = house.admin.post("/sharing/resources", &step).send().await.expect(422);
            assert_eq!(pointer(&refused), "/id");
        }
        let new = json!({
            "type": "file", "name": "Plan", "parent": "plain", "owner": user(&ada), "description": "d", "text": "t",
            "attributes": {"colour": "red"}, "metadata": "AAEC",
        });
        let post = || house.admin.post("/sharing/resources", &new).header("idempotency-key", "k");
        let made = post().send().await.expect(201);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        assert!(made.header("location").unwrap().ends_with(&format!("/api/v1/sharing/resources/{id}")), "{made}");
        assert_eq!(post().send().await.expect(201).json(), made.json());
        for (name, value) in new.as_object().unwrap() {
            assert_eq!(&made.json()[name], value, "{name}");
        }
        let patch = json!({"name": "Plans", "description": null, "attributes": {"size": "7"}, "metadata": null});
        let changed = house.admin.patch(&path(&id), &patch).header("if-match", "\"1\"").send().await.expect(200).json();
        assert_eq!((&changed["name"], &changed["metadata"], &changed["attributes"]), (&json!("Plans"), &Value::Null, &json!({"size": "7"})));
        house.admin.patch(&path(&id), &patch).header("if-match", "\"1\"").send().await.check(412);
        assert_eq!(ids(&house.admin.get(&format!("{}/children", path("plain"))).send().await.expect(200)), std::slice::from_ref(&id));

        let moved = house.admin.post(&format!("{}/move", path(&id)), &json!({"parent": "..."})).send().await.expect(200);
        assert_eq!((&moved.json()["parent"], moved.header("keyreeve-revision").is_some()), (&json!("..."), true));
        let silent = house.admin.post(&format!("{}/move", path(&id)), &json!({})).send().await.expect(422);
        assert_eq!(pointer(&silent), "/parent");
        let given = house.admin.post(&format!("{}/owner", path(&id)), &json!({"owner": user(&ben)})).send().await.expect(200).json();
        assert_eq!(given["owner"], user(&ben));
        let kept = house.admin.delete(&path("...")).send().await.expect(409).json();
        assert!(kept["type"].as_str().unwrap().ends_with("#in-use"), "{kept}");
        house.admin.delete(&format!("{}?children=remove", path("..."))).send().await.check(204);
        house.admin.get(&path(&id)).send().await.check(404);
        house.admin.delete("/sharing/types/folder").send().await.check(409);
    }

    async fn a_resource_is_shared_listed_and_revoked(server: &Server) {
        let house = House::at(server).await;
        let (ada, ben, cleo) = (house.user("ada").await, house.user("ben").await, house.user("cleo").await);
        let crew = house.group("crew", &[&cleo]).await;
        house.make(("folder", "top"), &ada, None).await;
        house.make(("file", "plan"), &ada, Some("top")).await;
        let grant = house.share("plan", "READ", &user(&ben), false).await;
        assert_eq!((&grant["granted_by"]["kind"], &grant["expires_at"]), (&json!("client"), &Value::Null));
        // The same once more is the same.
        assert_eq!(house.share("plan", "READ", &user(&ben), false).await["id"], grant["id"]);
        house.share("plan", "WRITE", &group(crew), true).await;
        house.share("top", "READ", &group(crew), true).await;
        let all = house.admin.get(&format!("{}/grants", path("plan"))).send().await.expect(200).json();
        let mut kinds: Vec<_> = all["items"].as_array().unwrap().iter().map(|held| held["kind"].as_str().unwrap().to_owned()).collect();
        assert_eq!(kinds.pop().as_deref(), Some("inherited"));
        kinds.sort();
        assert_eq!(kinds, ["direct", "direct_cascading"]);
        let first = house.admin.get(&format!("{}/grants?limit=1", path("plan"))).send().await.expect(200);
        let link = first.header("link").unwrap().to_owned();
        let next = link.split_once("/api/v1").and_then(|(_, rest)| rest.split_once('>')).unwrap().0;
        assert!(next.starts_with(&path("plan")), "a page of what was asked for: {link}");
        let second = house.admin.get(next).send().await.expect(200).json();
        assert_eq!(second["items"][0], all["items"][1]);

        let end = "2999-01-01T00:00:00Z";
        let ending = json!({"resource": "plan", "permission": "SHARE", "subject": user(&ben), "expires_at": end});
        let ending = house.admin.post("/sharing/grants", &ending).send().await.expect(201).json();
        assert!(ending["expires_at"].is_string());
        let one = format!("/sharing/grants/{}", grant["id"].as_str().unwrap());
        assert_eq!(house.admin.get(&one).send().await.expect(200).json(), grant);
        house.admin.delete(&one).send().await.check(204);
        house.admin.delete(&one).send().await.check(404);
        house.admin.get("/sharing/grants/nonsense").send().await.check(404);
        assert!(!house.may(&ben, "READ", "plan").await);
        let bens = format!("{}/grants/user/{}", path("plan"), ben.sub());
        let gone = house.admin.delete(&format!("{bens}?permission=READ")).send().await.expect(200);
        assert_eq!(gone.json()["grants"], 0);
        assert_eq!(house.admin.delete(&bens).send().await.expect(200).json()["grants"], 1);
        let gone = house.admin.delete(&format!("{}/grants", path("plan"))).send().await.expect(200);
        assert_eq!((&gone.json()["grants"], gone.json()["revision"].as_str()), (&json!(1), gone.header("keyreeve-revision")));
        assert!(house.may(&cleo, "READ", "plan").await && !house.may(&cleo, "WRITE", "plan").await);
        let crews = format!("/sharing/subjects/group/{crew}/grants");
        assert_eq!(house.admin.delete(&crews).send().await.expect(200).json()["grants"], 1);
        assert!(!house.may(&cleo, "READ", "plan").await);
    }

    async fn bad_input_is_told_where_it_is(server: &Server) {
        let house = House::at(server).await;
        let ada = house.user("ada").await;
        house.make(("folder", "top"), &ada, None).await;
        house.make(("folder", "low"), &ada, Some("top")).await;
        let nobody = json!({"kind": "user", "id": "0190f0f0-0000-7000-8000-000000000001"});
        let new = |change: Value| {
            let mut new = json!({"type": "file", "name": "n", "owner": user(&ada)});
            new.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            new
        };
        for (change, status, at) in [
            (json!({"type": "unheard"}), 404, "/type"),
            (json!({"parent": "unheard"}), 404, "/parent"),
            (json!({"owner": nobody}), 404, "/owner"),
            (json!({"id": "top"}), 409, "/id"),
            (json!({"id": ""}), 422, "/id"),
            (json!({"id": " x"}), 422, "/id"),
            (json!({"id": "a\u{0}b"}), 422, "/id"),
            (json!({"id": "x".repeat(256)}), 422, "/id"),
            (json!({"name": ""}), 422, "/name"),
            (json!({"metadata": "!"}), 422, "/metadata"),
            (json!({"text": "x".repeat(65_537)}), 422, "/text"),
            (json!({"owner": {"kind": "robot", "id": ada.sub()}}), 400, "/owner/kind"),
            (json!({"colour": "red"}), 400, "/colour"),
        ] {
            let refused = house.admin.post("/sharing/resources", &new(change.clone())).send().await.expect(status);
            assert_eq!(pointer(&refused), at, "{change}");
        }
        let circle = house.admin.post(&format!("{}/move", path("top")), &json!({"parent": "low"})).send().await.expect(422);
        assert_eq!(pointer(&circle), "/parent");
        let same = house.admin.post(&format!("{}/move", path("top")), &json!({"parent": "top"})).send().await.expect(422);
        assert_eq!(pointer(&same), "/parent");
        for (permission, whom, status, at) in [
            ("OWNER", user(&ada), 422, "/permission"),
            ("UNHEARD", user(&ada), 404, "/permission"),
            ("READ", nobody.clone(), 404, "/subject"),
        ] {
            let refused = house.try_share(&house.admin, "top", permission, &whom).await.expect(status);
            assert_eq!(pointer(&refused), at, "{permission}");
        }
        let past = json!({"resource": "top", "permission": "READ", "subject": user(&ada), "expires_at": "2001-01-01T00:00:00Z"});
        assert_eq!(pointer(&house.admin.post("/sharing/grants", &past).send().await.expect(422)), "/expires_at");
        for query in ["limit=0", "limit=501", "limit=-1", "after=%00", "after=never-given", "filter=name", "filter=%00", "order=random", "colour=red", "at_least=x", "at_least=r", "visible_to=ada", "filter=unheard%20eq%201"] {
            house.admin.get(&format!("/sharing/resources?{query}")).send().await.check(400);
        }
        house.admin.get(&format!("{}/subjects", path("top"))).send().await.check(400);
        house.admin.get(&format!("/sharing/subjects/robot/{}/resources?type=file&permission=READ", ada.sub())).send().await.check(400);
        house.admin.get(&format!("/sharing/subjects/user/{}/resources?type=unheard&permission=READ", ada.sub())).send().await.check(404);
        house.admin.get(&format!("/sharing/resources/{}", "x".repeat(3_000))).send().await.check(404);
        for checks in [json!({"checks": "all"}), json!({}), json!({"checks": [{}]})] {
            house.admin.post("/sharing/checks", &checks).send().await.check(400);
        }
        let check = json!({"subject": nobody, "resource": "r", "permission": "p"});
        let many = house.admin.post("/sharing/checks", &json!({"checks": vec![check; 1_001]})).send().await.expect(422);
        assert_eq!(pointer(&many), "/checks");
    }
}
