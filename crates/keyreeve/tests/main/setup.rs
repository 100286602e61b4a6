//! The first start, and what stands in the way of a second one.

use crate::harness::{CONFLICT, Installation, NOT_FOUND, OK, REFUSED, UNAVAILABLE, USAGE};
use keyreeve_testkit::{Engine, on_both_engines};

on_both_engines! {
    async fn init_prints_what_a_script_needs_once(engine: Engine) {
        let place = Installation::new(engine).await;
        let ran = place.run(&["init", "--json"]).expect(OK);
        let printed = ran.json();
        assert_eq!(printed["issuer"], "http://127.0.0.1:8080");
        assert_eq!(printed["tenant"], "default");
        assert_eq!(printed["admin"]["username"], "admin");
        assert_eq!(printed["admin"]["password"].as_str().unwrap().len(), 20);
        assert_eq!(printed["admin"]["must_change_password"], true);
        assert_eq!(printed["client"]["client_id"], "keyreeve-admin");
        assert!(printed["client"]["client_secret"].as_str().unwrap().starts_with("kr_cs_"));
        assert_eq!(ran.stderr, "", "nothing goes wrong, so nothing is logged");

        let again = place.run(&["init", "--json"]).expect(CONFLICT);
        assert_eq!(again.stdout, "");
        let refusal: serde_json::Value = serde_json::from_str(&again.stderr).unwrap();
        assert_eq!(refusal["error"]["exit_code"], 4);
        assert!(refusal["error"]["message"].as_str().unwrap().contains("set up already"));

        let client = place.run(&["client", "show", "keyreeve-admin", "--json"]).expect(OK).json();
        assert_eq!(client["scopes"], "keyreeve:admin");
        assert_eq!(client["grant_types"], serde_json::json!(["client_credentials"]));
        assert_eq!(client["secrets"].as_array().unwrap().len(), 1);
        let keys = place.run(&["key", "list", "--json"]).expect(OK).json();
        assert!(keys.as_array().unwrap().iter().any(|key| key["state"] == "signing"));
    }

    async fn a_chosen_administrator_needs_no_change(engine: Engine) {
        let mut place = Installation::new(engine).await;
        place.set("KEYREEVE_ADMIN_USERNAME", "root");
        place.set("KEYREEVE_ADMIN_PASSWORD", "short");
        let ran = place.run(&["init"]).expect(USAGE);
        assert!(ran.stderr.contains("admin_password"), "{}", ran.stderr);
        place.set("KEYREEVE_ADMIN_PASSWORD", "a long enough sentence");
        let printed = place.run(&["init", "--json"]).expect(OK).json();
        assert_eq!(printed["admin"]["username"], "root");
        assert_eq!(printed["admin"]["must_change_password"], false);
        let user = place.run(&["user", "show", "root", "--json"]).expect(OK).json();
        assert_eq!(user["must_change_password"], false);
    }

    async fn a_wrong_master_key_is_named(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        let key = place.data("master.key");
        let kept = std::fs::read(&key).unwrap();
        std::fs::remove_file(&key).unwrap();
        // Missing: a command says so; a start does not quietly make another one.
        place.run(&["user", "list"]).expect(NOT_FOUND);
        let ran = place.run(&["init"]).expect(UNAVAILABLE);
        assert!(ran.stderr.contains("put the one that belongs to it there"), "{}", ran.stderr);
        assert!(!key.exists(), "the key that was made for nothing is gone again");
        // Another one.
        let other = "0123456789abcdeffedcba9876543210a1b2c3d4e5f60718293a4b5c6d7e8f90";
        std::fs::write(&key, other).unwrap();
        private(&key);
        let ran = place.run(&["user", "list"]).expect(UNAVAILABLE);
        assert!(ran.stderr.contains("master key"), "{}", ran.stderr);
        assert!(!ran.stderr.contains(other));
        let report = place.run(&["doctor", "--json"]).expect(REFUSED).json();
        let failed = report["checks"].as_array().unwrap().iter().find(|check| check["state"] == "fail").unwrap();
        assert_eq!(failed["name"], "master key");
        // The right one again.
        std::fs::write(&key, kept).unwrap();
        place.run(&["user", "list"]).expect(OK);
    }

    async fn the_master_key_may_come_from_the_environment_or_a_command(engine: Engine) {
        let mut place = Installation::new(engine).await;
        let key = "fedcba98765432100123456789abcdeff0e1d2c3b4a5968778695a4b3c2d1e0f";
        place.set("KEYREEVE_MASTER_KEY", key);
        place.run(&["init"]).expect(OK);
        assert!(!place.data("master.key").exists());
        place.set("KEYREEVE_MASTER_KEY", "");
        place.set("KEYREEVE_MASTER_KEY_COMMAND", &format!("echo {key}"));
        place.run(&["user", "list"]).expect(OK);
        place.set("KEYREEVE_MASTER_KEY_COMMAND", "false");
        let ran = place.run(&["user", "list"]).expect(UNAVAILABLE);
        assert!(ran.stderr.contains("command failed"), "{}", ran.stderr);
    }
}

#[cfg(unix)]
fn private(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(unix)]
#[test]
fn directory_and_files_are_closed_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let (place, _) = keyreeve_testkit::block_on(Installation::initialised(Engine::Sqlite));
    let mode = |name: &str| std::fs::metadata(place.data(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("master.key"), 0o600);
    assert_eq!(mode("keyreeve.db"), 0o600);

    std::fs::set_permissions(place.data("master.key"), std::fs::Permissions::from_mode(0o640)).unwrap();
    let ran = place.run(&["user", "list"]).expect(UNAVAILABLE);
    assert!(ran.stderr.contains("0640") && ran.stderr.contains("chmod 600"), "{}", ran.stderr);
}

#[test]
fn a_command_creates_nothing_where_nothing_is() {
    let place = Installation::sqlite();
    for command in [&["user", "list"][..], &["tenant", "list"], &["audit", "verify"], &["backup", "x.db"]] {
        let ran = place.run(command).expect(NOT_FOUND);
        assert!(ran.stderr.contains("keyreeve serve"), "{}", ran.stderr);
    }
    assert!(!place.data("").exists());
    place.run(&["doctor"]).expect(REFUSED);
    assert!(!place.data("").exists());
}

on_both_engines! {
    async fn doctor_is_content_with_a_new_installation(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        let report = place.run(&["doctor", "--json"]).expect(OK).json();
        assert_eq!(report["ok"], true);
        let names: Vec<&str> =
            report["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect();
        for name in ["configuration", "data directory", "master key", "database", "integrity", "signing keys", "audit log", "clock"] {
            assert!(names.contains(&name), "{names:?}");
        }
        for check in report["checks"].as_array().unwrap() {
            assert!(check["state"] == "ok" || check["remedy"].is_string(), "{check}");
        }
        let text = place.run(&["doctor"]).expect(OK).stdout;
        assert!(text.contains("ok    database"), "{text}");
    }
}
