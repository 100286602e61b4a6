//! `key list` and `key rotate`.

use crate::harness::{Installation, OK, USAGE};
use keyreeve_testkit::{Engine, on_both_engines};
use serde_json::Value;

fn kids(keys: &Value, state: &str) -> Vec<String> {
    let of_state = keys.as_array().unwrap().iter().filter(|key| key["state"] == state);
    of_state.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

on_both_engines! {
    async fn signing_keys_change_over_with_overlap(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        let before = place.run(&["key", "list", "--json"]).expect(OK).json();
        let after = place.run(&["key", "rotate", "--json"]).expect(OK).json();
        assert_eq!(kids(&after, "retired"), kids(&before, "signing"), "the old key stays published");
        assert_eq!(kids(&after, "signing"), kids(&before, "next"), "the key that was announced signs now");
        place.run(&["key", "rotate", "--alg", "HS256"]).expect(USAGE);
    }

    async fn the_master_key_changes_and_everything_still_opens(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        place.run(&["tenant", "create", "acme"]).expect(OK);
        let old = std::fs::read_to_string(place.data("master.key")).unwrap();
        let changed = place.run(&["key", "rotate", "--master", "--json"]).expect(OK).json();
        assert_eq!(changed["data_keys"], 2);
        let new = std::fs::read_to_string(place.data("master.key")).unwrap();
        assert_ne!(new, old);
        assert_eq!(std::fs::read_to_string(place.data("master.key.previous")).unwrap(), old);
        assert!(!place.data("master.key.next").exists());
        // The new key alone opens everything.
        std::fs::remove_file(place.data("master.key.previous")).unwrap();
        place.run(&["key", "rotate", "--data"]).expect(OK);
        place.run(&["key", "rotate"]).expect(OK);
        place.run(&["doctor"]).expect(OK);
    }

    async fn a_change_of_the_master_key_resumes(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        place.run(&["key", "rotate", "--master"]).expect(OK);
        // As if the power had gone when everything was wrapped anew, and the files had not changed places.
        std::fs::rename(place.data("master.key"), place.data("master.key.next")).unwrap();
        std::fs::rename(place.data("master.key.previous"), place.data("master.key")).unwrap();
        place.run(&["key", "list"]).expect(OK);
        let resumed = place.run(&["key", "rotate", "--master", "--json"]).expect(OK).json();
        assert_eq!(resumed["data_keys"], 0, "they were wrapped already");
        std::fs::remove_file(place.data("master.key.previous")).unwrap();
        place.run(&["key", "list"]).expect(OK);
    }

    async fn a_master_key_from_outside_changes_too(engine: Engine) {
        let mut place = Installation::new(engine).await;
        let (one, two) = (
            "fedcba98765432100123456789abcdeff0e1d2c3b4a5968778695a4b3c2d1e0f",
            "0123456789abcdeffedcba9876543210a1b2c3d4e5f60718293a4b5c6d7e8f90",
        );
        place.set("KEYREEVE_MASTER_KEY", one);
        place.run(&["init"]).expect(OK);
        let ran = place.run(&["key", "rotate", "--master"]).expect(USAGE);
        assert!(ran.stderr.contains("previous_master_key_file"), "{}", ran.stderr);
        let old = place.path().join("old.key");
        std::fs::write(&old, one).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        place.set("KEYREEVE_MASTER_KEY", two);
        place.set("KEYREEVE_PREVIOUS_MASTER_KEY_FILE", "old.key");
        place.run(&["key", "rotate", "--master"]).expect(OK);
        place.set("KEYREEVE_PREVIOUS_MASTER_KEY_FILE", "");
        place.run(&["key", "list"]).expect(OK);
    }
}
