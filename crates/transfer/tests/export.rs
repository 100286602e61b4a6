//! What goes out comes in again, and is the same.

use crate::house::{SSHA, create, house, upsert};
use keyreeve_identity::{Cause, NewServiceAccount, NewUser, Profile};
use keyreeve_testkit::{Engine, on_both_engines};
use keyreeve_transfer::export::Kind;
use keyreeve_transfer::{Error, Right, What};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

fn whole() -> What {
    What { with_hashes: true, ..What::default() }
}

/// A directory of some size, as the lines of an import.
fn directory() -> impl Strategy<Value = String> {
    let text = || "[a-zA-Zäöü0-9 .,'-]{0,12}";
    let user = (
        text(),
        any::<[bool; 5]>(),
        proptest::collection::btree_map("[a-z]{1,4}", proptest::collection::vec(text(), 0..3), 0..3),
    );
    let edges = proptest::collection::vec((0_usize..6, 0_usize..12), 0..12);
    (proptest::collection::vec(user, 1..12), edges.clone(), edges).prop_map(|(users, members, holders)| {
        let mut lines = vec![
            json!({"type":"client","client_id":"wiki","settings":{"name":"Wiki"},"secret":"0123456789abcdefghijklmnopqrstuv"}),
        ];
        for number in 0..6 {
            lines.push(json!({"type":"group","name":format!("Group {number}"),"description":"d"}));
            let mut role = Map::from_iter([("type".to_owned(), json!("role")), ("name".to_owned(), json!(format!("r{number}")))]);
            if number % 2 == 0 {
                role.insert("application".to_owned(), json!("wiki"));
            }
            lines.push(Value::Object(role));
        }
        let count = users.len();
        for (number, (name, [enabled, locked, hash, mail, must], attributes)) in users.into_iter().enumerate() {
            let mut user = json!({"type":"user","username":format!("u{number}"),"display_name":name,"enabled":enabled,"locked":locked,"must_change_password":must,"attributes":attributes});
            if must {
                user["totp"] = json!([{"secret":"GEZDGNBVGY3TQOJQ","digits":8,"label":"phone"}]);
            }
            if hash {
                user["password_hash"] = json!(SSHA);
            }
            if mail {
                user["email"] = json!(format!("u{number}@example.org"));
                user["email_verified"] = json!(locked);
            }
            lines.push(user);
        }
        for (group, user) in members {
            let kind = ["MEMBER", "ADMIN", "OWNER"][user % 3];
            lines.push(json!({"type":"membership","group":format!("group {group}"),"member":{"user":format!("u{}", user % count)},"kind":kind}));
            lines.push(json!({"type":"membership","group":format!("group {group}"),"member":{"group":format!("group {}", user % 6)}}));
        }
        for (role, user) in holders {
            let mut holder = json!({"type":"role_holder","role":format!("r{role}"),"holder":{"user":format!("u{}", user % count)}});
            if role % 2 == 0 {
                holder["application"] = json!("wiki");
            }
            lines.push(holder);
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    })
}

on_both_engines! {
    async fn what_was_exported_is_imported_unchanged(engine: Engine) {
        let mut runner = TestRunner::deterministic();
        for _ in 0..4 {
            let lines = directory().new_tree(&mut runner).unwrap().current();
            let (source, target) = (house(engine).await, house(engine).await);
            let (_, summary) = source.import(create(), &lines).await;
            assert!(summary.counts.created > 12, "{summary:?}");
            let exported = source.export(whole()).await;
            let (results, _) = target.import(create(), &exported).await;
            let failed: Vec<_> = results.iter().filter(|result| crate::house::word(result) != "created").collect();
            assert!(failed.is_empty(), "{failed:?} of {exported}");
            assert_eq!(target.export(whole()).await, exported);
            // And into where it came from: nothing changes.
            let (_, summary) = source.import(upsert(), &exported).await;
            assert_eq!(summary.counts.unchanged, summary.lines);
        }
    }

    async fn hashes_go_out_only_when_asked_for_and_pages_lose_nobody(engine: Engine) {
        let house = house(engine).await;
        let text: String = (0..1_203).map(|number| format!("{{\"type\":\"user\",\"username\":\"u{number}\",\"password_hash\":\"{SSHA}\"}}\n")).collect();
        house.import(create(), &text).await;
        let kinds = [Kind::User].into();
        let plain = house.export(What { kinds, with_hashes: false }).await;
        assert_eq!((plain.lines().count(), plain.contains("SSHA")), (1_203, false));
        let hashed = house.export(whole()).await;
        assert_eq!(hashed.matches(SSHA).count(), 1_203);
        assert!(house.export_of(house.other, whole()).await.is_empty());
        let log = house.log().await;
        assert_eq!(log.iter().filter(|entry| *entry == "directory.export success").count(), 2);
    }

    async fn service_accounts_stay_members(engine: Engine) {
        let house = house(engine).await;
        let new = NewServiceAccount { name: "Robot".to_owned(), ..NewServiceAccount::default() };
        house.identity.service_accounts().create(house.tenant, new, &Cause::operator()).await.unwrap();
        let text = "{\"type\":\"group\",\"name\":\"g\"}\n{\"type\":\"membership\",\"group\":\"g\",\"member\":{\"service_account\":\"robot\"}}";
        assert_eq!(house.words(create(), text).await, ["created", "created"]);
        assert!(house.export(whole()).await.contains(r#""member":{"service_account":"Robot"}"#));
    }

    async fn ac_61_only_administrators_import_and_export_and_refusals_are_recorded(engine: Engine) {
        let house = house(engine).await;
        let profile = Profile { username: Some("eve".to_owned()), ..Profile::default() };
        let admins = [false, true];
        for tenant_administrator in admins {
            let name = format!("user-{tenant_administrator}");
            let profile = Profile { username: Some(name), ..profile.clone() };
            let new = NewUser { profile, tenant_administrator, ..NewUser::default() };
            let user = house.identity.users().create(house.tenant, new, &Cause::operator()).await.unwrap();
            let subject = keyreeve_identity::Subject::User(user.id);
            let authority = house.identity.standing_of(house.tenant, subject).await.unwrap().authority;
            let (right, cause) = (Right::Holder(&authority), Cause::operator());
            let import = house.room.begin(house.tenant, create(), right, &cause).await;
            let export = house.room.export(house.tenant, whole(), right, &cause).await;
            assert_eq!((import.is_ok(), export.is_ok()), (tenant_administrator, tenant_administrator));
            let elsewhere = house.room.begin(house.other, create(), right, &cause).await;
            assert!(matches!(elsewhere, Err(Error::Denied)), "an administrator of another tenant");
        }
        let log = house.log().await;
        for refused in ["import.start refused", "directory.export refused"] {
            assert!(log.iter().any(|entry| entry == refused), "{log:?}");
        }
    }
}
