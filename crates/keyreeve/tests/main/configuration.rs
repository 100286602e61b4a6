//! `config check`, `config show`, and the precedence of sources.

use crate::harness::{Installation, OK, USAGE};

#[test]
fn check_names_file_line_column_and_key() {
    let place = Installation::sqlite();
    let file = place.path().join("keyreeve.toml");
    std::fs::write(&file, "log = \"info\"\n\nlistn = \"127.0.0.1:1\"\nhash_workers = 0\n").unwrap();
    let ran = place.run(&["--config", "keyreeve.toml", "config", "check"]).expect(USAGE);
    assert_eq!(ran.stdout, "");
    assert!(
        ran.stderr.contains("keyreeve.toml:3:1: listn is not a setting; did you mean listen?"),
        "{}",
        ran.stderr
    );

    std::fs::write(&file, "hash_workers = 0\n").unwrap();
    let ran = place.run(&["--config", "keyreeve.toml", "config", "check"]).expect(USAGE);
    assert!(
        ran.stderr.contains("keyreeve.toml:1:16: hash_workers 0 is not a whole number from 1 to 256"),
        "{}",
        ran.stderr
    );

    std::fs::write(&file, "hash_workers = 2\n").unwrap();
    let ran = place.run(&["--config", "keyreeve.toml", "config", "check", "--json"]).expect(OK);
    assert_eq!(ran.json()["ok"], true);
    assert_eq!(ran.json()["file"], "keyreeve.toml");
}

#[test]
fn every_command_refuses_a_wrong_configuration() {
    let mut place = Installation::sqlite();
    place.set("KEYREEVE_PUBLIC_URL", "http://id.example.com");
    for command in [&["init"][..], &["serve"], &["user", "list"], &["config", "show"]] {
        let ran = place.run(command).expect(USAGE);
        assert!(ran.stderr.contains("KEYREEVE_PUBLIC_URL: public_url"), "{command:?}: {}", ran.stderr);
    }
    assert!(!place.data("").exists(), "nothing is created under a wrong configuration");
}

#[test]
fn show_prints_values_with_their_sources_and_no_secret() {
    let mut place = Installation::sqlite();
    place.set("KEYREEVE_ADMIN_PASSWORD", "hunter2-hunter2");
    place.set("KEYREEVE_LISTEN", "127.0.0.1:4000");
    let file = place.path().join("k.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:3000\"\nlog = \"warn\"\n").unwrap();
    place.set("KEYREEVE_CONFIG", "k.toml");
    let ran = place.run(&["config", "show", "--json", "--log", "error"]).expect(OK);
    let shown = ran.json();
    let find = |key: &str| shown.as_array().unwrap().iter().find(|line| line["key"] == key).unwrap().clone();
    assert_eq!(find("listen")["value"], "127.0.0.1:4000");
    assert_eq!(find("listen")["source"], "KEYREEVE_LISTEN");
    assert_eq!(find("log")["source"], "--log");
    assert_eq!(find("public_url")["value"], "http://127.0.0.1:4000");
    assert_eq!(find("hash_parallelism")["source"], "default");
    assert_eq!(find("admin_password")["value"], "********");
    assert!(!ran.stdout.contains("hunter2"));
    let text = place.run(&["config", "show"]).expect(OK).stdout;
    assert!(text.contains("k.toml:2:7") && !text.contains("hunter2"), "{text}");
}

#[test]
fn help_and_mistakes_have_their_codes() {
    let place = Installation::sqlite();
    let help = place.run(&["--help"]).expect(OK).stdout;
    assert!(help.contains("keyreeve serve") && help.contains("Exit codes"), "{help}");
    let help = place.run(&["user", "create", "--help"]).expect(OK).stdout;
    assert!(help.contains("Examples:") && !help.contains("--password "), "{help}");
    place.run(&["frobnicate"]).expect(USAGE);
    place.run(&["user", "create", "--password", "x"]).expect(USAGE);
    place.run(&["--version"]).expect(OK);
}
