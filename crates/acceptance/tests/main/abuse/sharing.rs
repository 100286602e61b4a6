//! Attacks on shared resources through the native API (AC-70 to AC-74).

use crate::sharing::house::{House, group, path, user};
use keyreeve_acceptance::{Server, on_a_server};
use serde_json::json;

on_a_server! {
    async fn ac_70_no_circle_no_bottomless_tree_and_no_dear_cascade(server: &Server) {
        let house = House::at(server).await;
        let ada = house.user("ada").await;
        let depth = usize::from(server.app().sharing.max_depth());
        let level = |level: usize| format!("level {level}");
        let (top, bottom) = (level(0), level(depth - 1));
        // All at once, each below the one before.
        let lines = (0..depth).map(|at| {
            let parent = at.checked_sub(1).map(level);
            let folder = json!({"id": level(at), "type": "folder", "name": "n", "owner": user(&ada), "parent": parent});
            format!("{}\n", json!({"resource": folder}))
        });
        let load = house.admin.call("POST", "/sharing/load").body("application/x-ndjson", lines.collect::<String>());
        let told = load.send().await.expect(200);
        assert!(told.text().contains("\"failed\":0"), "{told}");
        let deeper = json!({"type": "file", "name": "n", "owner": user(&ada), "parent": bottom});
        let refused = house.admin.post("/sharing/resources", &deeper).send().await.expect(422);
        assert_eq!(refused.json()["errors"][0]["pointer"], "/parent");
        house.make(("folder", "beside"), &ada, None).await;
        house.admin.post(&format!("{}/move", path(&top)), &json!({"parent": "beside"})).send().await.check(422);
        for low in [bottom.as_str(), "level 7", &top] {
            house.admin.post(&format!("{}/move", path(&top)), &json!({"parent": low})).send().await.check(422);
        }
        // A grant on the root is one, however much lies below, and the lowest resource is answered for.
        let ben = house.user("ben").await;
        house.share(&top, "READ", &user(&ben), true).await;
        assert!(house.may(&ben, "READ", &bottom).await);
        let gone = house.admin.delete(&format!("{}/grants", path(&top))).send().await.expect(200);
        assert_eq!(gone.json()["grants"], 1);
        assert!(!house.may(&ben, "READ", &bottom).await);
        house.admin.delete(&format!("{}?children=remove", path(&top))).send().await.check(204);
        house.admin.get(&path(&bottom)).send().await.check(404);
    }

    async fn ac_71_what_is_revoked_above_is_gone_below_and_what_was_granted_below_stays(server: &Server) {
        let house = House::at(server).await;
        let (ada, ben, cleo) = (house.user("ada").await, house.user("ben").await, house.user("cleo").await);
        house.make(("folder", "top"), &ada, None).await;
        house.make(("file", "inner"), &ada, Some("top")).await;
        let above = house.share("top", "READ", &user(&ben), true).await;
        house.share("top", "READ", &user(&cleo), true).await;
        house.share("inner", "READ", &user(&cleo), false).await;
        assert!(house.may(&ben, "READ", "inner").await);
        house.admin.delete(&format!("/sharing/grants/{}", above["id"].as_str().unwrap())).send().await.check(204);
        for resource in ["top", "inner"] {
            assert!(!house.may(&ben, "READ", resource).await, "{resource}");
        }
        house.admin.delete(&format!("{}/grants", path("top"))).send().await.check(200);
        assert!(house.may(&cleo, "READ", "inner").await && !house.may(&cleo, "READ", "top").await);
        // And the other way round: what comes from above is not taken below.
        house.share("top", "READ", &user(&cleo), true).await;
        house.admin.delete(&format!("{}/grants/user/{}", path("inner"), cleo.sub())).send().await.check(200);
        assert!(house.may(&cleo, "READ", "inner").await);
        // A grant that does not cascade never went down.
        house.share("top", "WRITE", &user(&ben), false).await;
        assert!(house.may(&ben, "READ", "top").await && !house.may(&ben, "READ", "inner").await);
    }

    async fn ac_72_nothing_is_moved_to_gain_rights_or_to_show_it_to_others(server: &Server) {
        let house = House::at(server).await;
        let (ada, eve, mob) = (house.user("ada").await, house.user("eve").await, house.user("mob").await);
        house.make(("folder", "adas"), &ada, None).await;
        house.make(("file", "secret"), &ada, Some("adas")).await;
        house.make(("folder", "eves"), &eve, None).await;
        house.make(("file", "bait"), &eve, Some("eves")).await;
        house.share("eves", "READ", &user(&mob), true).await;
        let by_eve = house.api_of(&eve).await;
        let to = |parent: &str| json!({"parent": parent});
        // Unseen, then seen, then with everything but ownership: it does not come under what is hers.
        by_eve.post(&format!("{}/move", path("secret")), &to("eves")).send().await.check(404);
        for (permission, cascade) in [("READ", false), ("WRITE", false), ("SHARE", true)] {
            house.share("secret", permission, &user(&eve), cascade).await;
            by_eve.post(&format!("{}/move", path("secret")), &to("eves")).send().await.check(403);
        }
        assert!(!house.may(&mob, "READ", "secret").await && !house.may(&eve, "OWNER", "secret").await);
        // Nor does what is hers come under what is another's, where she may not share.
        by_eve.post(&format!("{}/move", path("bait")), &to("adas")).send().await.check(404);
        house.share("adas", "WRITE", &user(&eve), true).await;
        by_eve.post(&format!("{}/move", path("bait")), &to("adas")).send().await.check(403);
        assert!(!house.may(&ada, "READ", "bait").await);
        let below = json!({"type": "file", "name": "n", "parent": "adas"});
        by_eve.post("/sharing/resources", &below).send().await.check(403);
        // Out of a tree, and its rights are out of it.
        assert!(house.may(&mob, "READ", "bait").await);
        by_eve.post(&format!("{}/move", path("bait")), &json!({"parent": null})).send().await.check(200);
        assert!(!house.may(&mob, "READ", "bait").await);
    }

    async fn ac_73_who_only_reads_neither_shares_nor_owns(server: &Server) {
        let house = House::at(server).await;
        let (ada, eve) = (house.user("ada").await, house.user("eve").await);
        house.make(("file", "plan"), &ada, None).await;
        let by_eve = house.api_of(&eve).await;
        house.try_share(&by_eve, "plan", "READ", &user(&eve)).await.check(404);
        for permission in ["READ", "WRITE"] {
            house.share("plan", permission, &user(&eve), false).await;
            for wanted in ["READ", "SHARE", "OWNER"] {
                house.try_share(&by_eve, "plan", wanted, &user(&eve)).await.check(403);
            }
        }
        house.share("plan", "SHARE", &user(&eve), false).await;
        // To share is not to own, and nobody grants ownership, not even the administrator.
        for (api, status) in [(&by_eve, 422), (&house.admin, 422)] {
            for owner in ["OWNER", "owner"] {
                let answer = house.try_share(api, "plan", owner, &user(&eve)).await;
                assert!(answer.status == status || answer.status == 404, "{answer}");
            }
        }
        by_eve.post(&format!("{}/owner", path("plan")), &json!({"owner": user(&eve)})).send().await.check(403);
        for member in ["owner", "owner_id", "parent", "type", "id"] {
            let patch = json!({member: eve.sub()});
            for api in [&by_eve, &house.admin] {
                api.patch(&path("plan"), &patch).send().await.check(400);
            }
        }
        by_eve.delete(&path("plan")).send().await.check(403);
        by_eve.patch(&path("plan"), &json!({"name": "mine"})).send().await.check(403);
        assert!(!house.may(&eve, "OWNER", "plan").await && house.may(&ada, "OWNER", "plan").await);
        // In another's name nothing is granted: who granted it is who asked.
        let ben = house.user("ben").await;
        let forged = json!({"resource": "plan", "permission": "READ", "subject": user(&ben), "granted_by": user(&ada)});
        by_eve.post("/sharing/grants", &forged).send().await.check(400);
        let made = house.try_share(&by_eve, "plan", "READ", &user(&ben)).await.expect(201).json();
        assert_eq!(made["granted_by"], user(&eve));
    }

    async fn ac_74_every_answer_follows_a_revocation_at_once(server: &Server) {
        let house = House::at(server).await;
        let (ada, ben) = (house.user("ada").await, house.user("ben").await);
        let (crew, outer) = (house.group("crew", &[&ben]).await, house.group("outer", &[]).await);
        let nested = keyreeve_identity::Party::Group(crew);
        let kind = keyreeve_identity::MembershipKind::Member;
        let groups = house.mount.identity();
        groups.groups().add((house.mount.id(), outer), nested, kind, &keyreeve_identity::Cause::operator()).await.unwrap();
        house.make(("folder", "top"), &ada, None).await;
        house.make(("file", "plan"), &ada, Some("top")).await;
        let agree = async |allowed: bool| {
            assert_eq!(house.may(&ben, "READ", "plan").await, allowed, "check");
            assert_eq!(house.who_may("READ", "plan").await.contains(&ben.sub()), allowed, "subjects");
            assert_eq!(house.files_of(&ben, "READ").await == ["plan"], allowed, "resources");
            let by_ben = house.api_of(&ben).await;
            by_ben.get(&path("plan")).send().await.check(if allowed { 200 } else { 404 });
            let found = by_ben.get("/sharing/resources").send().await.expect(200).json();
            assert_eq!(found["items"].as_array().unwrap().len(), 2 * usize::from(allowed), "search");
        };
        for _ in 0..3 {
            agree(false).await;
            let grant = house.share("top", "READ", &group(outer), true).await;
            agree(true).await;
            house.leave(crew, &ben).await;
            agree(false).await;
            house.join(crew, &ben).await;
            agree(true).await;
            let answer = house.admin.delete(&format!("/sharing/grants/{}", grant["id"].as_str().unwrap())).send().await.expect(204);
            // Whoever names the revision is answered behind it.
            let revision = answer.header("keyreeve-revision").unwrap();
            let check = json!({"subject": user(&ben), "permission": "READ", "resource": "plan", "at_least": revision});
            assert_eq!(house.admin.post("/sharing/check", &check).send().await.expect(200).json()["allowed"], false);
        }
        agree(false).await;
        let made_up = json!({"subject": user(&ben), "permission": "READ", "resource": "plan", "at_least": "r-1"});
        house.admin.post("/sharing/check", &made_up).send().await.check(422);
    }
}
