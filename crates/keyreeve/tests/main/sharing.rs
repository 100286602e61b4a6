//! Sharing from the command line.

use crate::harness::{CONFLICT, Installation, NOT_FOUND, OK, REFUSED, USAGE};
use keyreeve_testkit::{Engine, on_both_engines};
use serde_json::json;

on_both_engines! {
    async fn resources_are_shared_and_asked_about(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        let run = |args: &[&str]| place.run(&[&["sharing"], args, &["--json"]].concat());
        for name in ["ada", "ben"] {
            place.run_with(&["user", "create", "--username", name, "--password-stdin"], "correct horse battery staple").expect(OK);
        }
        place.run(&["group", "create", "crew"]).expect(OK);
        place.run(&["group", "add", "crew", "ben"]).expect(OK);
        for of in ["folder", "file"] {
            run(&["type", "create", of]).expect(OK);
        }
        run(&["type", "create", "file"]).expect(CONFLICT);
        assert_eq!(run(&["type", "list"]).expect(OK).json()["items"].as_array().unwrap().len(), 2);
        assert_eq!(run(&["type", "update", "file", "--set", "name=File"]).expect(OK).json()["name"], "File");
        run(&["permission", "create", "READ"]).expect(OK);
        run(&["permission", "create", "WRITE", "--of", "file", "--implies", "READ", "--shares"]).expect(OK);
        assert_eq!(run(&["permission", "show", "WRITE", "--of", "file"]).expect(OK).json()["implies"], json!(["READ"]));
        assert_eq!(run(&["permission", "list"]).expect(OK).json().as_array().unwrap().len(), 1);
        run(&["resource", "create", "folder", "Plans", "--id", "a/b c", "--owner", "ada"]).expect(OK);
        run(&["resource", "create", "file", "2027", "--id", "2027", "--owner", "ada", "--parent", "a/b c"]).expect(OK);
        assert_eq!(run(&["resource", "show", "a/b c"]).expect(OK).json()["name"], "Plans");
        run(&["resource", "show", "nothing"]).expect(NOT_FOUND);
        assert_eq!(run(&["resource", "children", "a/b c"]).expect(OK).json()["items"][0]["id"], "2027");
        let found = run(&["resource", "list", "--filter", "type eq \"file\""]).expect(OK).json();
        assert_eq!(found["items"][0]["id"], "2027");
        run(&["check", "2027", "READ", "ben"]).expect(REFUSED);
        let grant = run(&["grant", "create", "a/b c", "READ", "crew", "--type", "group", "--cascade"]).expect(OK).json();
        assert_eq!(run(&["check", "2027", "READ", "ben"]).expect(OK).json()["allowed"], true);
        assert_eq!(run(&["explain", "2027", "READ", "ben"]).expect(OK).json()["via"]["grant"]["id"], grant["id"]);
        assert_eq!(run(&["grant", "list", "2027"]).expect(OK).json()["items"][0]["kind"], "inherited");
        assert!(run(&["grant", "list", "2027", "--direct"]).expect(OK).json()["items"].as_array().unwrap().is_empty());
        assert_eq!(run(&["subjects", "2027", "READ", "--all"]).expect(OK).json()["items"].as_array().unwrap().len(), 2);
        assert_eq!(run(&["resources", "file", "READ", "ben"]).expect(OK).json()["items"][0]["id"], "2027");
        run(&["grant", "revoke", grant["id"].as_str().unwrap()]).expect(OK);
        run(&["check", "2027", "READ", "ben"]).expect(REFUSED);
        run(&["grant", "create", "2027", "WRITE", "ben"]).expect(OK);
        assert_eq!(run(&["grant", "revoke-from", "ben", "--on", "2027", "--permission", "WRITE"]).expect(OK).json()["grants"], 1);
        assert_eq!(run(&["grant", "revoke-from", "ben"]).expect(OK).json()["grants"], 0);
        run(&["grant", "revoke-from", "ben", "--permission", "READ"]).expect(USAGE);
        run(&["grant", "revoke-all", "2027"]).expect(OK);
        run(&["grant", "create", "2027", "OWNER", "ben"]).expect(REFUSED);
        run(&["resource", "move", "2027"]).expect(USAGE);
        assert_eq!(run(&["resource", "move", "2027", "--out"]).expect(OK).json()["parent"], json!(null));
        assert_eq!(run(&["resource", "move", "2027", "--to", "a/b c"]).expect(OK).json()["parent"], "a/b c");
        run(&["resource", "transfer", "2027", "ben"]).expect(OK);
        assert_eq!(run(&["check", "2027", "OWNER", "ben"]).expect(OK).json()["allowed"], true);
        run(&["resource", "delete", "a/b c"]).expect(CONFLICT);
        run(&["resource", "delete", "a/b c", "--children"]).expect(OK);
        run(&["resource", "show", "2027"]).expect(NOT_FOUND);
        run(&["permission", "delete", "WRITE", "--of", "file"]).expect(OK);
        run(&["permission", "update", "READ", "--set", "shares=true", "--version", "9"]).expect(CONFLICT);
        place.run(&["sharing", "resource", "create", "file", "Kept", "--id", "kept", "--owner", "ada"]).expect(OK);
        let file = place.path().join("sharing.ndjson");
        let file = file.to_str().unwrap();
        let written = run(&["export", file]).expect(OK).json();
        assert!(written["records"].as_u64().unwrap() >= 4, "{written}");
        run(&["resource", "delete", "kept"]).expect(OK);
        let loaded = run(&["load", file]).expect(OK).json();
        assert_eq!((&loaded["created"], &loaded["failed"]), (&json!(1), &json!(0)), "{loaded}");
        run(&["resource", "show", "kept"]).expect(OK);
        std::fs::write(file, "{\"grant\": 7}\n").unwrap();
        assert_eq!(run(&["load", file]).expect(REFUSED).json()["failed"], 1);
    }
}
