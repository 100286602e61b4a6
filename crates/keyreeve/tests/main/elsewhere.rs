//! Commands on a server elsewhere: the same words, over the native API.

use crate::harness::{CONFLICT, Installation, NOT_FOUND, OK, REFUSED, Ran, UNAVAILABLE, USAGE};
use keyreeve_crypto::sign::{Algorithm, SigningKey};
use keyreeve_testkit::{Engine, MailServer, on_both_engines};
use serde_json::{Value, json};
use std::io::{BufRead as _, Read as _};

/// A desk without an installation, and the credentials of the client that `init` made.
async fn desk(address: &str, made: &Value) -> Installation {
    let mut desk = Installation::new(Engine::Sqlite).await;
    desk.set("KEYREEVE_SERVER", &format!("http://{address}"));
    desk.set("KEYREEVE_CLIENT_ID", made["client"]["client_id"].as_str().unwrap());
    desk.set("KEYREEVE_CLIENT_SECRET", made["client"]["client_secret"].as_str().unwrap());
    desk.set("HOME", &desk.path().display().to_string());
    desk
}

on_both_engines! {
    async fn everything_is_done_from_a_desk(engine: Engine) {
        let (place, made) = Installation::initialised(engine).await;
        let server = place.serve();
        let desk = desk(&server.address, &made).await;
        let run = |arguments: &[&str]| -> Ran { desk.run(&[arguments, &["--json"]].concat()) };
        let ok = |arguments: &[&str]| run(arguments).expect(OK).json();

        let ada = ok(&["user", "create", "--username", "ada", "--email", "ada@example.com", "--generate-password"]);
        assert_eq!(ada["password"].as_str().unwrap().len(), 20);
        assert_eq!(ok(&["user", "show", "ADA@example.com"])["id"], ada["id"]);
        run(&["user", "create", "--username", "Ada"]).expect(CONFLICT);
        run(&["user", "show", "nobody"]).expect(NOT_FOUND);
        let changed = ok(&["user", "update", "ada", "--set", "given_name=Ada", "--set", "attributes.team=[\"blue\"]"]);
        assert_eq!((&changed["given_name"], &changed["attributes"]["team"]), (&json!("Ada"), &json!(["blue"])));
        run(&["user", "update", "ada", "--set", "given_name=Eve", "--version", "1"]).expect(CONFLICT);
        run(&["user", "update", "ada", "--set", "nothing=1"]).expect(REFUSED);
        assert_eq!(ok(&["user", "lock", "ada"])["locked"], true);
        assert_eq!(ok(&["user", "unlock", "ada"])["locked"], false);

        let physics = ok(&["group", "create", "physics", "--description", "All of physics", "--owner", "ada"]);
        ok(&["group", "create", "optics", "--parent", "physics"]);
        ok(&["user", "create", "--username", "bob"]);
        ok(&["group", "add", "optics", "bob", "--kind", "admin"]);
        run(&["group", "add", "optics", "physics", "--type", "group"]).expect(REFUSED);
        let members = ok(&["group", "members", "physics"]);
        let kinds: Vec<_> = members["items"].as_array().unwrap().iter().map(|m| m["kind"].clone()).collect();
        assert!(kinds.contains(&json!("OWNER")), "{members}");
        let all = ok(&["group", "members", "physics", "--transitive", "--all"]);
        assert_eq!(all["items"].as_array().unwrap().len(), 3);
        assert_eq!(ok(&["group", "show", "Physics"])["id"], physics["id"]);

        ok(&["role", "create", "auditor"]);
        ok(&["role", "give", "auditor", "physics", "--type", "group"]);
        assert_eq!(ok(&["user", "roles", "bob"]), json!([]));
        assert_eq!(ok(&["user", "roles", "bob", "--effective"])[0]["name"], "auditor");
        assert_eq!(ok(&["role", "holders", "auditor"])["items"][0]["holder"]["kind"], "group");
        ok(&["role", "take", "auditor", "physics", "--type", "group"]);
        assert_eq!(ok(&["user", "roles", "bob", "--effective"]), json!([]));

        ok(&["service-account", "create", "nightly", "--owner-user", "ada"]);
        let secret = ok(&["service-account", "add-secret", "nightly", "--expires-in-days", "30"]);
        assert!(secret["secret"].as_str().unwrap().starts_with("kr_sa_"));
        let shown = desk.run(&["service-account", "show", "nightly"]).expect(OK);
        assert!(!shown.stdout.contains(secret["secret"].as_str().unwrap()), "a secret is shown once");
        run(&["service-account", "revoke-secret", "nightly", secret["id"].as_str().unwrap()]).expect(OK);

        let wiki = ok(&["client", "create", "--client-id", "wiki", "--name", "Wiki", "--redirect-uri", "https://wiki.example/cb"]);
        assert!(wiki["client_secret"].as_str().unwrap().starts_with("kr_cs_"));
        assert_eq!(ok(&["client", "update", "wiki", "--set", "require_pkce=true"])["require_pkce"], true);
        assert_eq!(ok(&["key", "list"])[0]["alg"], "EdDSA");
        let everything = ok(&["user", "list", "--all", "--sort", "-username"]);
        let names: Vec<_> = everything["items"].as_array().unwrap().iter().map(|u| u["username"].clone()).collect();
        assert_eq!(names, ["bob", "admin", "ada"]);
        assert_eq!(ok(&["api", "GET", "/usernames/ada"])["available"], false);
        run(&["api", "GET", "/nothing"]).expect(NOT_FOUND);

        // What belongs to the machine itself is not done from afar.
        run(&["key", "rotate", "--master"]).expect(USAGE);
        assert_eq!(server.stop().0, 0);
        run(&["user", "list"]).expect(UNAVAILABLE);
        // The audit log has the client that did it.
        place.run(&["audit", "verify"]).expect(OK);
    }
}

on_both_engines! {
    async fn mappers_accounts_and_mail_are_looked_after_from_a_desk(engine: Engine) {
        let mail = MailServer::start().await;
        let (mut place, made) = Installation::initialised(engine).await;
        place.set("KEYREEVE_SMTP_URL", &mail.url());
        place.set("KEYREEVE_MAIL_FROM", "Keys <keys@id.example>");
        let server = place.serve();
        let desk = desk(&server.address, &made).await;
        let run = |arguments: &[&str]| -> Ran { desk.run(&[arguments, &["--json"]].concat()) };
        let ok = |arguments: &[&str]| run(arguments).expect(OK).json();

        ok(&["client", "create", "--client-id", "wiki", "--name", "Wiki", "--redirect-uri", "https://wiki.example/cb"]);
        let team = ["mapper", "create", "--client", "wiki", "--set", "name=team", "--set", "claim=team",
            "--set", "source.kind=user_attribute", "--set", "source.attribute=team", "--set", "targets=[\"id_token\"]"];
        let mapper = ok(&team);
        run(&team).expect(CONFLICT);
        let id = mapper["id"].as_str().unwrap();
        assert_eq!(ok(&["mapper", "show", id]), mapper);
        assert_eq!(ok(&["mapper", "list", "--client", "wiki"]), json!([mapper]));
        assert_eq!(ok(&["mapper", "list"]), json!([]));
        assert_eq!(ok(&["mapper", "update", id, "--set", "multivalued=true", "--version", "1"])["multivalued"], true);
        run(&["mapper", "update", id, "--set", "claim=x", "--version", "1"]).expect(CONFLICT);
        let refused = run(&["mapper", "update", id, "--set", "claim=sub"]).expect(REFUSED);
        assert!(refused.stderr.contains("/claim"), "{}", refused.stderr);
        ok(&["mapper", "delete", id]);
        run(&["mapper", "show", id]).expect(NOT_FOUND);

        ok(&["user", "create", "--username", "ada", "--email", "ada@example.com", "--phone-number", "+43 1 2"]);
        ok(&["user", "create", "--username", "twin", "--phone-number", "+43-1-2", "--given-name", "Ada"]);
        assert_eq!(ok(&["user", "send-reset", "ada"])["kind"], "password_reset");
        assert_eq!(mail.wait_for(1).await[0].to, ["ada@example.com"]);
        assert_eq!(ok(&["user", "mail", "ada"])[0]["kind"], "password_reset");
        run(&["user", "send-verification", "twin"]).expect(REFUSED);
        assert_eq!(ok(&["user", "second-factor", "ada"])["devices"], json!([]));
        assert!(desk.run(&["user", "second-factor", "ada"]).expect(OK).stdout.contains("password alone"));
        ok(&["user", "remove-second-factor", "ada"]);
        let found = ok(&["user", "duplicates", "--by", "phone_number", "--all"]);
        assert_eq!(found["items"][0]["count"], 2);
        run(&["user", "merge", "ada", "twin", "--take", "password"]).expect(REFUSED);
        let kept = ok(&["user", "merge", "ada", "twin", "--take", "given_name"]);
        assert_eq!((&kept["username"], &kept["given_name"]), (&json!("ada"), &json!("Ada")));
        run(&["user", "show", "twin"]).expect(NOT_FOUND);
        assert_eq!(server.stop().0, 0);
    }
}

on_both_engines! {
    async fn whom_a_tenant_trusts_is_said_from_a_desk(engine: Engine) {
        let (place, made) = Installation::initialised(engine).await;
        let server = place.serve();
        let desk = desk(&server.address, &made).await;
        let run = |arguments: &[&str]| -> Ran { desk.run(&[arguments, &["--json"]].concat()) };
        let ok = |arguments: &[&str]| run(arguments).expect(OK).json();
        let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
        std::fs::write(desk.path().join("keys.json"), json!({"keys": [key.public_jwk()]}).to_string()).unwrap();
        let create = ["issuer", "create", "https://idp.example", "--jwks-file", "keys.json", "--set", "clients=[\"bridge\"]",
            "--set", "subject.claim=email", "--set", "subject.field=email"];
        let issuer = ok(&create);
        assert_eq!((&issuer["settings"]["clients"], &issuer["settings"]["subject"]["claim"]), (&json!(["bridge"]), &json!("email")));
        run(&create).expect(CONFLICT);
        let id = issuer["id"].as_str().unwrap();
        assert_eq!(ok(&["issuer", "show", id]), issuer);
        assert_eq!(ok(&["issuer", "list"]), json!([issuer]));
        assert_eq!(ok(&["issuer", "update", id, "--set", "enabled=false", "--version", "1"])["settings"]["enabled"], false);
        run(&["issuer", "update", id, "--set", "enabled=true", "--version", "1"]).expect(CONFLICT);
        let refused = run(&["issuer", "update", id, "--set", "max_lifetime_s=1"]).expect(REFUSED);
        assert!(refused.stderr.contains("/max_lifetime_s"), "{}", refused.stderr);
        ok(&["issuer", "delete", id]);
        run(&["issuer", "show", id]).expect(NOT_FOUND);
        std::fs::write(desk.path().join("keys.json"), "none").unwrap();
        run(&create).expect(USAGE);

        let shown = desk.run(&["initial-token", "create", "lab", "--uses", "2", "--expires-in-days", "30"]).expect(OK).stdout;
        assert!(shown.contains("kr_it_"), "{shown}");
        let listed = ok(&["initial-token", "list"]);
        assert_eq!((&listed[0]["name"], &listed[0]["uses_left"]), (&json!("lab"), &json!(2)));
        assert!(!listed.to_string().contains("kr_it_"));
        ok(&["initial-token", "delete", listed[0]["id"].as_str().unwrap()]);
        assert_eq!(ok(&["initial-token", "list"]), json!([]));

        ok(&["client", "create", "--client-id", "wiki", "--name", "Wiki", "--redirect-uri", "https://wiki.example/cb"]);
        assert_eq!(ok(&["client", "logouts", "wiki"])["items"], json!([]));
        run(&["client", "logouts", "nobody"]).expect(NOT_FOUND);
        assert_eq!(server.stop().0, 0);
    }
}

/// The number of the newest entry; on PostgreSQL an entry gets it a moment later.
fn present_end(place: &Installation) -> i64 {
    let begun = std::time::Instant::now();
    loop {
        let newest = place.run(&["audit", "list", "--limit", "1", "--json"]).expect(OK).json();
        if let Some(seq) = newest["items"][0]["seq"].as_i64() {
            return seq;
        }
        assert!(begun.elapsed().as_secs() < 20, "{newest}");
    }
}

/// The lines that a command prints until it ends, or is stopped.
fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

on_both_engines! {
    async fn the_audit_log_is_exported_and_followed(engine: Engine) {
        let (place, made) = Installation::initialised(engine).await;
        // On the machine itself, with no server there. (On PostgreSQL, it is a server that chains entries.)
        place.run(&["audit", "seal"]).expect(OK);
        let alone = place.run(&["audit", "export", "alone.ndjson", "--json"]).expect(OK).json();
        assert!(alone["records"].as_u64().unwrap() > 2, "{alone}");
        assert_eq!(place.run(&["audit", "verify", "alone.ndjson", "--json"]).expect(OK).json()["checked"], alone["records"]);
        place.run(&["audit", "export", "alone.ndjson"]).expect(CONFLICT);
        let first = place.run(&["audit", "follow", "--after-seq", "0", "--count", "2", "--json"]).expect(OK);
        assert_eq!(lines(&first.stdout).iter().map(|entry| entry["seq"].as_i64().unwrap()).collect::<Vec<_>>(), [1, 2]);

        let server = place.serve();
        let desk = desk(&server.address, &made).await;
        for here in [&place, &desk] {
            let out = here.run(&["audit", "export", "-", "--action", "user.create"]).expect(OK);
            assert_eq!(lines(&out.stdout).len(), 1, "{}", out.stdout);
            let text = here.run(&["audit", "follow", "--after-seq", "0", "--action", "user.create", "--count", "1"]).expect(OK);
            assert!(text.stdout.contains("  user.create  "), "{}", text.stdout);
            here.run(&["audit", "export", "nothing.ndjson", "--action", "?"]).expect(REFUSED);
            assert!(!here.path().join("nothing.ndjson").exists());
            here.run(&["audit", "follow", "--action", "?"]).expect(REFUSED);
            let nowhere = here.run(&["audit", "follow", "--tenant", "nowhere"]);
            assert!([NOT_FOUND, UNAVAILABLE].contains(&nowhere.code), "{}", nowhere.stderr);
        }
        let whole = desk.run(&["audit", "export", "whole.ndjson", "--json"]).expect(OK).json();
        assert_eq!(desk.run(&["audit", "verify", "whole.ndjson", "--json"]).expect(OK).json()["checked"], whole["records"]);

        // What happens while somebody follows.
        for here in [&place, &desk] {
            let from = present_end(here).to_string();
            let follow = ["audit", "follow", "--after-seq", &from, "--action", "group.create", "--count", "2", "--json"];
            let mut following = here.command(&follow).spawn().unwrap();
            for name in ["one", "two", "three"] {
                place.run(&["group", "create", &format!("{name} {from}")]).expect(OK);
            }
            let mut printed = String::new();
            following.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
            assert_eq!(following.wait().unwrap().code(), Some(OK));
            let names: Vec<_> = lines(&printed).iter().map(|entry| entry["detail"]["name"].as_str().unwrap().to_owned()).collect();
            assert_eq!(names, [format!("one {from}"), format!("two {from}")], "{printed}");
        }
        assert_eq!(server.stop().0, 0);
    }

    async fn what_is_followed_goes_on_after_a_break(engine: Engine) {
        let (place, made) = Installation::initialised(engine).await;
        let server = place.serve();
        let address = server.address.clone();
        let desk = desk(&address, &made).await;
        let follow = ["audit", "follow", "--action", "group.create", "--count", "2", "--json"];
        let mut following = desk.command(&follow).spawn().unwrap();
        let mut printed = std::io::BufReader::new(following.stdout.take().unwrap());
        let mut line = String::new();
        // It begins with what happens from some moment on.
        let mut groups = 0;
        let begun = std::time::Instant::now();
        let (sender, first) = std::sync::mpsc::channel();
        let reading = std::thread::spawn(move || {
            printed.read_line(&mut line).unwrap();
            sender.send(()).unwrap();
            let mut rest = String::new();
            printed.read_to_string(&mut rest).unwrap();
            (line, rest)
        });
        while first.try_recv().is_err() {
            groups += 1;
            place.run(&["group", "create", &format!("group {groups}")]).expect(OK);
            assert!(begun.elapsed().as_secs() < 60, "nothing is printed");
        }
        drop(server);
        let server = place.serve_on(&address);
        place.run(&["group", "create", "after the break"]).expect(OK);
        let (first, second) = reading.join().unwrap();
        assert_eq!(following.wait().unwrap().code(), Some(OK));
        assert!(first.contains("group.create") && second.contains("group.create"), "{first}{second}");
        let seq = |text: &str| serde_json::from_str::<Value>(text).unwrap()["seq"].as_i64().unwrap();
        assert!(seq(&second) > seq(&first));
        assert_eq!(server.stop().0, 0);
    }

    async fn what_is_moved_in_and_out_goes_by_the_server(engine: Engine) {
        let (place, made) = Installation::initialised(engine).await;
        let server = place.serve();
        let desk = desk(&server.address, &made).await;
        let users: String = (0..2_500).map(|n| format!("{{\"type\":\"user\",\"username\":\"user{n}\"}}\n")).collect();
        std::fs::write(desk.path().join("users.ndjson"), format!("{users}{{\"type\":\"user\",\"username\":\"\"}}\n")).unwrap();
        let dry = desk.run(&["import", "users.ndjson", "--dry-run", "--json"]).expect(REFUSED).json();
        assert_eq!((&dry["created"], &dry["failed"], &dry["dry_run"]), (&json!(2_500), &json!(1), &json!(true)));
        let ran = desk.run(&["import", "users.ndjson", "--report", "report.ndjson", "--json"]).expect(REFUSED);
        let done = ran.json();
        assert_eq!((&done["lines"], &done["created"], &done["failed"]), (&json!(2_501), &json!(2_500), &json!(1)));
        assert!(ran.stderr.contains("line 2501"), "{}", ran.stderr);
        let report = std::fs::read_to_string(desk.path().join("report.ndjson")).unwrap();
        assert_eq!(report.lines().count(), 2_502);
        // The same once more is taken up where it ended.
        let id = done["import"].as_str().unwrap();
        let again = desk.run(&["import", "users.ndjson", "--resume", id]);
        assert!(again.code == OK || again.code == REFUSED, "{}", again.stderr);
        let again = desk.run(&["import", "users.ndjson", "--json"]).expect(REFUSED).json();
        assert_eq!((&again["created"], &again["skipped"]), (&json!(0), &json!(2_500)), "{again}");

        let out = desk.run(&["export", "out.ndjson", "--types", "user", "--json"]).expect(OK).json();
        assert_eq!(out["records"], 2_501, "the first administrator is one");
        let text = std::fs::read_to_string(desk.path().join("out.ndjson")).unwrap();
        assert!(text.lines().count() == 2_501 && !text.contains("password_hash"));
        let piped = desk.run(&["export", "-", "--types", "user", "--with-hashes"]).expect(OK);
        assert!(piped.stdout.contains("password_hash") && piped.stderr.contains("2501 records"), "{}", piped.stderr);
        desk.run(&["export", "out.ndjson"]).expect(CONFLICT);
        desk.run(&["export", "bad.ndjson", "--types", "moon"]).expect(REFUSED);
        assert!(!desk.path().join("bad.ndjson").exists());
        desk.run_with(&["import", "-", "--json"], "{\"type\":\"user\",\"username\":\"piped\"}\n").expect(OK);
        desk.run(&["user", "show", "piped"]).expect(OK);
        // The copy of the database stays with the machine.
        desk.run(&["--server", &format!("http://{}", server.address), "backup", "copy.db"]).expect(USAGE);
        assert_eq!(server.stop().0, 0);
    }
}

#[test]
fn credentials_are_wanted_and_go_nowhere_in_the_clear() {
    let mut desk = Installation::sqlite();
    desk.set("HOME", &desk.path().display().to_string());
    desk.set("KEYREEVE_SERVER", "http://id.example.com");
    desk.set("KEYREEVE_TOKEN", "eyJhbGciOiJub25lIn0.e30.");
    let refused = desk.run(&["user", "list"]).expect(USAGE);
    assert!(refused.stderr.contains("take https"), "{}", refused.stderr);
    desk.set("KEYREEVE_SERVER", "https://id.example.invalid");
    desk.run(&["user", "list"]).expect(UNAVAILABLE);
    desk.set("KEYREEVE_TOKEN", "");
    let refused = desk.run(&["user", "list"]).expect(REFUSED);
    assert!(refused.stderr.contains("login"), "{}", refused.stderr);
}

#[test]
fn a_token_that_is_none_is_refused() {
    let place = Installation::sqlite();
    let server = place.serve();
    let mut desk = Installation::sqlite();
    desk.set("KEYREEVE_SERVER", &format!("http://{}", server.address));
    desk.set("KEYREEVE_TOKEN", "eyJhbGciOiJub25lIn0.e30.");
    let refused = desk.run(&["user", "list"]).expect(REFUSED);
    assert!(!refused.stderr.contains("eyJ"), "{}", refused.stderr);
    desk.run(&["user", "list", "--token-file", "nowhere"]).expect(USAGE);
}

#[test]
fn completions_and_manual_pages_come_without_an_installation() {
    let desk = Installation::sqlite();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = desk.run(&["completions", shell]).expect(OK).stdout;
        assert!(script.contains("service-account"), "{shell}");
    }
    std::fs::create_dir(desk.path().join("man")).unwrap();
    let made = desk.run(&["man", "man", "--json"]).expect(OK).json();
    let pages: Vec<&str> = made["pages"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(pages.len() > 60 && pages.contains(&"keyreeve-group-add.1"), "{pages:?}");
    let page = std::fs::read_to_string(desk.path().join("man/keyreeve-group-add.1")).unwrap();
    assert!(page.contains("keyreeve group add physics ada"), "{page}");
    desk.run(&["man", "nowhere"]).expect(1);
}
