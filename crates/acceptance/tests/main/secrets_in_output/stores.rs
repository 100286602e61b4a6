//! Values that lie in a store elsewhere, and what it is reached with: the credential comes in by the command line, a login
//! answers a token, and a value is fetched, written, and refused by a store that repeats what it was asked with.

use super::Search;
use crate::program::Program;
use keyreeve_acceptance::StandIn;
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::Stdio;

const CREDENTIAL: &str = "Canary-secret-id-dunlin-71";
const RENEWED: &str = "Canary-secret-id-dunlin-72";
const TOKEN: &str = "Canary-client-token-dunlin-73";
const FETCHED: &str = "Canary-fetched-dunlin-74";
const WRITTEN: &str = "Canary-written-dunlin-75";
const MISPLACED: &str = "Canary-misplaced-dunlin-76";

/// Runs a command that is to fail; answers what it said.
fn fails(program: &Program, arguments: &[&str], input: &str) -> String {
    let mut child = program.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// The program's server runs, and may reach this machine.
pub(super) async fn elsewhere(program: &Program, search: &mut Search) {
    for (what, secret) in [
        ("what a store is reached with", CREDENTIAL),
        ("what a store is reached with since", RENEWED),
        ("a token of a login", TOKEN),
        ("a value that was fetched", FETCHED),
        ("a value that was written elsewhere", WRITTEN),
        ("a credential in the wrong place", MISPLACED),
    ] {
        search.secret(what, secret);
    }
    let stand_in = StandIn::start().await;
    let metadata = json!({"created_time": "2026-01-02T03:04:05Z", "deletion_time": "", "destroyed": false, "version": 1});
    let mut good = json!({
        "auth": {"client_token": TOKEN, "lease_duration": 600},
        "data": {"data": {"password": FETCHED}, "metadata": metadata},
    });
    for (name, value) in metadata.as_object().unwrap() {
        good["data"][name] = value.clone();
    }
    stand_in.answer(200, &[], &good.to_string());
    let url = stand_in.url("");
    let run = |arguments: &[&str], input: &str| {
        let arguments = [arguments, &["--json"]].concat();
        tokio::task::block_in_place(|| program.run(&arguments, input))
    };
    let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
    let auth = ["secret", "auth", "create", "vault", "--url", &url, "--role", "a-role", "--stdin"];
    let with = run(&auth, CREDENTIAL);
    let store = id(&run(
        &["secret", "store", "create", "vault", "--url", &url, "--mount", "kv", "--auth", &id(&with)],
        "",
    ));
    let made =
        ["secret", "create", "settings", "--kind", "key_value", "--store", &store, "--store-path", "app"];
    let secret = id(&run(&made, ""));
    // What is printed of it is the value itself, as it should be.
    assert_eq!(run(&["secret", "read", &secret], "")["value"]["data"]["password"], FETCHED);
    let file = program.data().with_file_name("written.json");
    std::fs::write(&file, json!({"password": WRITTEN}).to_string()).unwrap();
    let write = ["secret", "write", &secret, "--kind", "key_value", "--file", file.to_str().unwrap()];
    assert_eq!(run(&write, "")["number"], 1);
    let heard = stand_in.rest().await;
    assert!(heard[0].body.contains(CREDENTIAL) && heard.iter().any(|one| one.body.contains(WRITTEN)));
    search.place(
        "what a renewal prints",
        run(&["secret", "auth", "renew", &id(&with), "--stdin"], RENEWED).to_string(),
    );
    let echo = json!({"errors": [format!("{CREDENTIAL} {RENEWED} {TOKEN} {WRITTEN}")]}).to_string();
    for (status, what) in [(403, "a store that repeats its credential"), (500, "a store that fails so")] {
        stand_in.answer(status, &[], &echo);
        for arguments in [&["secret", "read", &secret][..], &write] {
            search.place(what, tokio::task::block_in_place(|| fails(program, arguments, "")));
        }
        search.place(what, run(&["secret", "store", "check", &store], "").to_string());
    }
    let wrong = ["secret", "auth", "create", "x", "--url", "ftp://vault.example.com", "--stdin"];
    search.place(
        "the answer to a bad address",
        tokio::task::block_in_place(|| fails(program, &wrong, MISPLACED)),
    );
    for command in [
        &["secret", "auth", "list"][..],
        &["secret", "auth", "show", &id(&with)],
        &["secret", "store", "list"],
        &["secret", "show", &secret],
    ] {
        search.place(format!("what {command:?} prints"), run(command, "").to_string());
    }
    std::fs::remove_file(&file).unwrap();
}
