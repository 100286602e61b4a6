//! `audit verify` and `audit list`.

use crate::harness::{Installation, NOT_FOUND, OK, REFUSED, USAGE};
use futures_util::TryStreamExt;
use keyreeve_audit::{Actor, Event, Filter, Outcome};
use keyreeve_base::Origin;
use keyreeve_store::Tx;
use keyreeve_testkit::{Engine, on_both_engines};

/// Makes the log longer: commands write their entries, and on PostgreSQL a serving node seals them.
fn write_some(place: &Installation) {
    for name in ["ada", "bob", "eve"] {
        place.run(&["user", "create", "--username", name]).expect(OK);
    }
    place.run(&["audit", "seal"]).expect(OK);
}

on_both_engines! {
    async fn an_intact_log_verifies_and_lists(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        write_some(&place);
        let verified = place.run(&["audit", "verify", "--json"]).expect(OK).json();
        assert_eq!(verified["intact"], true);
        assert_eq!(verified["tenants"][0]["tenant"], "default");
        assert_eq!(verified["tenants"][0]["waiting"], 0);
        let head = verified["tenants"][0]["head"].as_str().unwrap();
        place.run(&["audit", "verify", "--tenant", "default", "--expect", head]).expect(OK);
        place.run(&["user", "lock", "ada"]).expect(OK);
        place.run(&["audit", "seal"]).expect(OK);
        place.run(&["audit", "verify", "--tenant", "default", "--expect", head]).expect(OK);
        place.run(&["audit", "verify", "--tenant", "nowhere"]).expect(NOT_FOUND);
        place.run(&["audit", "verify", "--tenant", "default", "--expect", "1:zz"]).expect(USAGE);

        let entries = place.run(&["audit", "list", "--json"]).expect(OK).json();
        let entries = entries["items"].as_array().unwrap();
        let actions: Vec<&str> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
        for action in ["tenant.create", "user.create", "client.create", "user.lock"] {
            assert!(actions.contains(&action), "{actions:?}");
        }
        let lock = entries.iter().find(|entry| entry["action"] == "user.lock").unwrap();
        assert_eq!(lock["actor"]["kind"], "operator");
        assert_eq!(lock["outcome"], "success");
        let found = place.run(&["audit", "list", "--json", "--action", "user.lock", "--limit", "1"]).expect(OK);
        assert_eq!(found.json()["items"], serde_json::json!([lock]));
    }

    /// An exported file is checked in a place where nothing is installed.
    async fn an_export_verifies_by_itself(engine: Engine) {
        let test = keyreeve_testkit::store(engine, keyreeve_audit::MIGRATIONS).await;
        let (tenant, world) = (test.world.new_id(), test.world.clone());
        let written = test.store.write(async move |tx: &mut Tx<'_>| {
            for _ in 0..3 {
                let event = Event {
                    tenant, actor: Actor::System, action: "test.event", target: None, outcome: Outcome::Success,
                    reason: None, origin: &Origin::local(), detail: serde_json::json!({"n": 1}),
                };
                keyreeve_audit::record(tx, &world, &event).await?;
            }
            keyreeve_audit::seal(tx).await.map(drop)
        }).await;
        written.expect("a log");
        let pieces: Vec<Vec<u8>> =
            keyreeve_audit::export(&test.store, tenant, 0, Filter::default()).try_collect().await.expect("an export");
        let place = Installation::new(Engine::Sqlite).await;
        let file = place.path().join("audit.ndjson");
        std::fs::write(&file, pieces.concat()).unwrap();
        let name = file.to_str().unwrap();
        let intact = place.run(&["audit", "verify", name, "--json"]).expect(OK).json();
        assert_eq!((&intact["intact"], &intact["checked"]), (&true.into(), &3.into()));
        let head = intact["head"].as_str().unwrap();
        place.run(&["audit", "verify", name, "--expect", head]).expect(OK);
        let changed = String::from_utf8(pieces.concat()).unwrap().replacen("\"n\":1", "\"n\":2", 1);
        std::fs::write(&file, changed).unwrap();
        let ran = place.run(&["audit", "verify", name]).expect(REFUSED);
        assert!(ran.stdout.contains("BROKEN: entry 1 in line 1 was changed"), "{}", ran.stdout);
        place.run(&["audit", "verify", name, "--tenant", "default"]).expect(USAGE);
        place.run(&["audit", "verify", "--expect", head]).expect(USAGE);
    }

    async fn a_changed_entry_is_named(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        write_some(&place);
        place.tamper("UPDATE audit_entry SET reason = 'nothing to see' WHERE seq = 2").await;
        let ran = place.run(&["audit", "verify", "--json"]).expect(REFUSED);
        assert_eq!(ran.json()["tenants"][0]["verdict"], "altered");
        assert_eq!(ran.json()["tenants"][0]["seq"], 2);
        let text = place.run(&["audit", "verify"]).expect(REFUSED).stdout;
        assert!(text.contains("BROKEN: entry 2 was changed"), "{text}");
        place.run(&["doctor"]).expect(REFUSED);
    }

    async fn a_removed_entry_is_named(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        write_some(&place);
        place.tamper("DELETE FROM audit_entry WHERE seq = 2").await;
        let ran = place.run(&["audit", "verify", "--json"]).expect(REFUSED);
        assert_eq!((ran.json()["tenants"][0]["verdict"].as_str(), ran.json()["tenants"][0]["seq"].as_i64()), (Some("missing"), Some(2)));
    }

    async fn a_log_that_was_cut_off_is_noticed(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        write_some(&place);
        place.tamper("DELETE FROM audit_entry WHERE seq = (SELECT MAX(seq) FROM audit_entry)").await;
        let ran = place.run(&["audit", "verify", "--json"]).expect(REFUSED);
        assert_eq!(ran.json()["tenants"][0]["verdict"], "head_differs");
    }
}
