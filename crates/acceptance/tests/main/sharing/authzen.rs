//! The OpenID Authorization API 1.0, by its sections.

use super::house::{House, group, user};
use keyreeve_acceptance::{Server, TestUser, on_a_server};
use serde_json::{Value, json};

const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";

fn who(of: &TestUser) -> Value {
    json!({"type": "user", "id": of.sub()})
}

fn file(id: &str) -> Value {
    json!({"type": "file", "id": id})
}

fn access(of: &TestUser, action: &str, resource: &str) -> Value {
    json!({"subject": who(of), "action": {"name": action}, "resource": file(resource)})
}

/// The same with other members.
fn with(document: &Value, change: &Value) -> Value {
    let mut document = document.clone();
    document.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    document
}

/// Two records, one of which is shared with bob to be read.
async fn records(server: &Server) -> (House, TestUser, TestUser) {
    let house = House::at(server).await;
    let (alice, bob) = (house.user("alice").await, house.user("bob").await);
    for record in ["record-1", "record-2"] {
        house.make(("file", record), &alice, None).await;
    }
    house.share("record-1", "READ", &user(&bob), false).await;
    (house, alice, bob)
}

on_a_server! {
    async fn section_6_an_access_is_evaluated(server: &Server) {
        let (house, alice, bob) = records(server).await;
        let decide = async |document: &Value| house.admin.post(EVALUATION, document).send().await.expect(200).json();
        let permit = json!({"decision": true});
        assert_eq!(decide(&access(&alice, "READ", "record-1")).await, permit);
        assert_eq!(decide(&access(&bob, "READ", "record-1")).await, permit);
        let deny = decide(&access(&bob, "WRITE", "record-1")).await;
        assert_eq!(deny, json!({"decision": false, "context": {"reason": "not_granted"}}));
        // What is unknown is passed over, and properties and context decide nothing.
        let more = with(&access(&bob, "READ", "record-1"), &json!({"context": {"time": "2024-10-26T01:22-07:00"}, "future": {"a": [1]}}));
        assert_eq!(decide(&more).await, permit);
        let mut more = access(&bob, "READ", "record-1");
        for entity in ["subject", "action", "resource"] {
            more[entity]["properties"] = json!({"department": ["Sales"], "n": 1.5});
            more[entity]["later"] = json!(null);
        }
        assert_eq!(decide(&more).await, permit);
        // What there is not is denied: also a resource that is of another type than is said.
        for change in [
            json!({"subject": {"type": "robot", "id": bob.sub()}}),
            json!({"subject": {"type": "user", "id": "bob"}}),
            json!({"resource": {"type": "folder", "id": "record-1"}}),
            json!({"resource": {"type": "unheard", "id": "record-1"}}),
            json!({"resource": {"type": "file", "id": "record-9"}}),
            json!({"action": {"name": "UNHEARD"}}),
        ] {
            let denied = decide(&with(&access(&bob, "READ", "record-1"), &change)).await;
            assert_eq!(denied["decision"], false, "{change}");
        }
    }

    async fn section_10_whatever_cannot_be_read_is_400(server: &Server) {
        let (house, _, bob) = records(server).await;
        let sound = access(&bob, "READ", "record-1");
        for path in [EVALUATION, EVALUATIONS] {
            for missing in ["subject", "action", "resource"] {
                let mut document = sound.clone();
                document.as_object_mut().unwrap().remove(missing);
                house.admin.post(path, &document).send().await.check(400);
                house.admin.post(path, &with(&sound, &json!({missing: "alice"}))).send().await.check(400);
                house.admin.post(path, &with(&sound, &json!({missing: {}}))).send().await.check(400);
                house.admin.post(path, &with(&sound, &json!({missing: {"type": 1, "id": 2, "name": 3}}))).send().await.check(400);
            }
            for body in ["", "{", "[]", "null"] {
                house.admin.call("POST", path).body("application/json", body).send().await.check(400);
            }
            house.admin.call("POST", path).body("text/plain", sound.to_string()).send().await.check(400);
            let twice = sound.to_string().replacen('{', "{\"subject\":{},", 1);
            house.admin.call("POST", path).body("application/json", twice).send().await.check(400);
            // The caller's own identifier of the request comes back; without one there is the server's.
            let answer = house.admin.post(path, &sound).header("x-request-id", "bfe9eb29-ab87").send().await.expect(200);
            assert_eq!(answer.header("x-request-id"), Some("bfe9eb29-ab87"));
            assert!(house.admin.post(path, &sound).send().await.header("x-request-id").is_some());
            house.mount.call("POST", path).json(&sound).send().await.check(401);
            house.mount.api("keyreeve:users:read").await.post(path, &sound).send().await.check(403);
        }
    }

    async fn section_7_many_accesses_are_evaluated(server: &Server) {
        let (house, alice, bob) = records(server).await;
        let ask = async |document: Value| house.admin.post(EVALUATIONS, &document).send().await.expect(200).json();
        let decisions = |answer: &Value| -> Vec<bool> {
            answer["evaluations"].as_array().unwrap().iter().map(|one| one["decision"].as_bool().unwrap()).collect()
        };
        // Without evaluations, or with none of them, it is the single one.
        let single = access(&bob, "READ", "record-1");
        assert_eq!(ask(single.clone()).await, json!({"decision": true}));
        assert_eq!(ask(with(&single, &json!({"evaluations": []}))).await, json!({"decision": true}));
        // Each whole, with defaults, and with defaults that some replace.
        let whole = [access(&alice, "WRITE", "record-2"), access(&bob, "WRITE", "record-1"), single.clone()];
        let answer = ask(json!({"evaluations": whole})).await;
        assert_eq!(decisions(&answer), [true, false, true]);
        assert!(answer.get("decision").is_none(), "section 7.2");
        let defaults = json!({
            "subject": who(&bob), "action": {"name": "READ"}, "context": {"time": "2024-05-31T15:22-07:00"},
            "evaluations": [{"resource": file("record-1")}, {"resource": file("record-2")}, {"resource": file("record-2"), "subject": who(&alice), "action": {"name": "WRITE"}}],
        });
        assert_eq!(decisions(&ask(defaults).await), [true, false, true]);
        let partly = json!({
            "subject": who(&bob), "action": {"name": "READ"}, "resource": {"type": "file"},
            "evaluations": [{"resource": {"id": "record-1", "properties": {"status": "active"}}}],
        });
        assert_eq!(decisions(&ask(partly).await), [true]);
        // Section 7.2.1: what is wrong with one is told in its place.
        let broken = json!({
            "subject": who(&bob), "action": {"name": "READ"},
            "evaluations": [{"resource": file("record-1")}, {}, 7, {"resource": "record-1"}, {"resource": file("record-1")}],
        });
        let answer = ask(broken).await;
        assert_eq!(decisions(&answer), [true, false, false, false, true]);
        for at in 1..4 {
            assert_eq!(answer["evaluations"][at]["context"]["error"]["status"], 400, "{at}");
        }
        // Semantics: all, up to the first denial, up to the first permission.
        let three = |order: [&str; 3], semantic: &str| json!({
            "subject": who(&bob), "action": {"name": "READ"}, "options": {"evaluations_semantic": semantic, "another": "value"},
            "evaluations": order.map(|id| json!({"resource": file(id)})),
        });
        let (one, two) = ("record-1", "record-2");
        for (order, semantic, expected) in [
            ([one, two, one], "execute_all", vec![true, false, true]),
            ([one, two, one], "deny_on_first_deny", vec![true, false]),
            ([one, one, one], "deny_on_first_deny", vec![true, true, true]),
            ([two, one, two], "permit_on_first_permit", vec![false, true]),
            ([two, two, two], "permit_on_first_permit", vec![false, false, false]),
        ] {
            assert_eq!(decisions(&ask(three(order, semantic)).await), expected, "{semantic} {order:?}");
        }
        house.admin.post(EVALUATIONS, &three([one, one, one], "guess")).send().await.check(400);
        let too_many = json!({"evaluations": vec![single; 1_001]});
        house.admin.post(EVALUATIONS, &too_many).send().await.check(400);
        for bad in [json!({"evaluations": {}}), json!({"evaluations": "all"})] {
            house.admin.post(EVALUATIONS, &bad).send().await.check(400);
        }
    }

    async fn section_8_subjects_resources_and_actions_are_found(server: &Server) {
        let (house, alice, bob) = records(server).await;
        let cleo = house.user("cleo").await;
        let crew = house.group("crew", &[&cleo]).await;
        house.share("record-1", "WRITE", &group(crew), false).await;
        let search = async |kind: &str, document: Value| house.admin.post(&format!("/access/v1/search/{kind}"), &document).send().await.expect(200).json();
        let found = |answer: &Value, member: &str| -> Vec<String> {
            let results = answer["results"].as_array().unwrap().clone();
            results.iter().map(|one| one[member].as_str().unwrap().to_owned()).collect()
        };
        let readers = json!({"subject": {"type": "user"}, "action": {"name": "READ"}, "resource": file("record-1")});
        let mut everybody = [alice.sub(), bob.sub(), cleo.sub()];
        everybody.sort();
        let answer = search("subject", readers.clone()).await;
        assert_eq!((found(&answer, "id"), &answer["page"]), (everybody.to_vec(), &json!({"next_token": "", "count": 3})));
        assert!(answer["results"].as_array().unwrap().iter().all(|one| one["type"] == "user"));
        // Every one of them is permitted, and an id that is sent is passed over.
        for id in &everybody {
            let evaluation = with(&readers, &json!({"subject": {"type": "user", "id": id}}));
            assert_eq!(house.admin.post(EVALUATION, &evaluation).send().await.expect(200).json()["decision"], true);
            assert_eq!(found(&search("subject", evaluation).await, "id"), everybody);
        }
        let first = search("subject", with(&readers, &json!({"page": {"limit": 2}}))).await;
        let token = first["page"]["next_token"].as_str().unwrap();
        assert_eq!(found(&first, "id"), everybody[..2]);
        let second = search("subject", with(&readers, &json!({"page": {"limit": 2, "token": token}}))).await;
        assert_eq!((found(&second, "id"), &second["page"]["next_token"]), (everybody[2..].to_vec(), &json!("")));
        let groups = with(&readers, &json!({"subject": {"type": "group"}}));
        assert_eq!(found(&search("subject", groups).await, "id"), [crew.to_string()]);
        for nothing in [json!({"subject": {"type": "robot"}}), json!({"resource": {"type": "folder", "id": "record-1"}}), json!({"action": {"name": "UNHEARD"}}), json!({"resource": file("record-9")})] {
            assert!(found(&search("subject", with(&readers, &nothing)).await, "id").is_empty(), "{nothing}");
        }

        let files = json!({"subject": who(&alice), "action": {"name": "READ"}, "resource": {"type": "file"}});
        assert_eq!(found(&search("resource", files.clone()).await, "id"), ["record-1", "record-2"]);
        let bobs = with(&files, &json!({"subject": who(&bob)}));
        assert_eq!(search("resource", bobs).await["results"], json!([file("record-1")]));
        let page = search("resource", with(&files, &json!({"page": {"limit": 1}}))).await;
        let next = with(&files, &json!({"page": {"token": page["page"]["next_token"], "limit": 5_000}}));
        assert_eq!(found(&search("resource", next).await, "id"), ["record-2"]);
        assert!(found(&search("resource", with(&files, &json!({"resource": {"type": "unheard"}}))).await, "id").is_empty());

        let actions = |of: &TestUser| json!({"subject": who(of), "resource": file("record-1")});
        assert_eq!(found(&search("action", actions(&cleo)).await, "name"), ["READ", "WRITE"]);
        assert_eq!(found(&search("action", actions(&bob)).await, "name"), ["READ"]);
        assert_eq!(found(&search("action", actions(&alice)).await, "name"), ["OWNER", "READ", "SHARE", "WRITE"]);
        let page = search("action", with(&actions(&alice), &json!({"page": {"limit": 3}}))).await;
        let next = with(&actions(&alice), &json!({"page": {"token": page["page"]["next_token"]}}));
        assert_eq!((found(&page, "name").len(), found(&search("action", next).await, "name")), (3, vec!["WRITE".to_owned()]));
        for (kind, bad) in [
            ("subject", json!({"subject": {}, "action": {"name": "READ"}, "resource": file("record-1")})),
            ("subject", with(&readers, &json!({"page": {"token": "made up"}}))),
            ("subject", with(&readers, &json!({"page": {"limit": 0}}))),
            ("subject", with(&readers, &json!({"page": {"limit": -1}}))),
            ("resource", json!({"subject": {"type": "user"}, "action": {"name": "READ"}, "resource": {"type": "file"}})),
            ("resource", with(&files, &json!({"page": "first"}))),
            ("action", json!({"subject": who(&bob)})),
        ] {
            house.admin.post(&format!("/access/v1/search/{kind}"), &bad).send().await.check(400);
        }
    }

    async fn section_9_the_server_says_where_to_ask(server: &Server) {
        let acme = server.tenant("acme").create().await;
        for (mount, paths) in [
            (&**server, &["/.well-known/authzen-configuration"][..]),
            (&acme, &["/.well-known/authzen-configuration"]),
        ] {
            for path in paths {
                let told = mount.get(path).send().await.expect(200).json();
                let root = mount.issuer();
                assert_eq!(told["policy_decision_point"], json!(root));
                for (member, path) in [
                    ("access_evaluation_endpoint", "evaluation"), ("access_evaluations_endpoint", "evaluations"),
                    ("search_subject_endpoint", "search/subject"), ("search_resource_endpoint", "search/resource"),
                    ("search_action_endpoint", "search/action"),
                ] {
                    assert_eq!(told[member], json!(format!("{root}/access/v1/{path}")), "{member}");
                }
            }
        }
        let before = server.get("/.well-known/authzen-configuration/t/acme").send().await.expect(200).json();
        assert_eq!(before["policy_decision_point"], json!(acme.issuer()));
        server.get("/.well-known/authzen-configuration/t/unheard").send().await.check(404);
    }

    async fn whoever_is_no_administrator_asks_about_what_is_its_own(server: &Server) {
        let (house, alice, bob) = records(server).await;
        let by_bob = house.api_of(&bob).await;
        assert_eq!(by_bob.post(EVALUATION, &access(&bob, "READ", "record-1")).send().await.expect(200).json()["decision"], true);
        by_bob.post(EVALUATION, &access(&alice, "READ", "record-1")).send().await.check(403);
        // Unseen and not there are alike.
        let denied = json!({"decision": false, "context": {"reason": "not_granted"}});
        for record in ["record-2", "record-9"] {
            for of in [&alice, &bob] {
                assert_eq!(by_bob.post(EVALUATION, &access(of, "READ", record)).send().await.expect(200).json(), denied);
            }
        }
        let mixed = json!({"evaluations": [access(&bob, "READ", "record-1"), access(&alice, "READ", "record-1"), access(&alice, "READ", "record-2"), access(&bob, "WRITE", "record-1")]});
        let answer = by_bob.post(EVALUATIONS, &mixed).send().await.expect(200).json();
        assert_eq!((&answer["evaluations"][0], &answer["evaluations"][2]), (&json!({"decision": true}), &denied));
        assert_eq!((&answer["evaluations"][1]["context"]["error"]["status"], &answer["evaluations"][3]), (&json!(403), &denied));
        let readers = json!({"subject": {"type": "user"}, "action": {"name": "READ"}, "resource": file("record-1")});
        by_bob.post("/access/v1/search/subject", &readers).send().await.check(403);
        house.api_of(&alice).await.post("/access/v1/search/subject", &readers).send().await.check(200);
    }
}
