//! Directories come in and go out by the command line: with and without a server, and with the program killed in the
//! middle.

use crate::harness::{CONFLICT, Installation, OK, REFUSED, USAGE};
use keyreeve_testkit::{Engine, on_both_engines};
use serde_json::Value;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// A group, a user with a hash of an LDAP server, a line that fails, a membership.
const LINES: &str = r#"{"type":"group","name":"Staff"}
{"type":"user","username":"ada","email":"ada@example.org","password_hash":"{SSHA}kkH1bF2DYSGLTpH2w7ShdHhiqmFzYWx0c2FsdA=="}
{"type":"user","username":"b c"}
{"type":"membership","group":"staff","member":{"user":"ada"},"kind":"OWNER"}
"#;

fn users(count: usize) -> String {
    (0..count)
        .map(|number| {
            format!("{{\"type\":\"user\",\"username\":\"u{number}\",\"email\":\"u{number}@example.org\"}}\n")
        })
        .collect()
}

fn usernames(exported: &str) -> Vec<String> {
    let user =
        |line: &str| serde_json::from_str::<Value>(line).unwrap()["username"].as_str().map(str::to_owned);
    exported.lines().filter_map(user).collect()
}

on_both_engines! {
    async fn what_comes_in_goes_out_with_and_without_a_server(engine: Engine) {
        let (installation, _) = Installation::initialised(engine).await;
        std::fs::write(installation.path().join("in.ndjson"), LINES).unwrap();
        let dry = installation.run(&["import", "in.ndjson", "--dry-run", "--json"]).expect(REFUSED).json();
        assert_eq!((&dry["created"], &dry["failed"], &dry["dry_run"]), (&3.into(), &1.into(), &true.into()));
        let report = ["import", "in.ndjson", "--report", "report.ndjson", "--json"];
        let done = installation.run(&report).expect(REFUSED);
        assert!(done.stderr.contains("line 3 (user b c): /username contains the character U+0020"), "{}", done.stderr);
        let done = done.json();
        assert_eq!((&done["created"], &done["failed"]), (&3.into(), &1.into()));
        let told = std::fs::read_to_string(installation.path().join("report.ndjson")).unwrap();
        assert_eq!(told.lines().count(), 5, "{told}");
        // The same import again changes nothing; a report is never written over.
        installation.run(&report).expect(CONFLICT);
        let again = installation.run(&["import", "in.ndjson", "--resume", done["import"].as_str().unwrap(), "--json"]);
        assert_eq!(again.expect(REFUSED).json()["created"], 3);
        let server = installation.serve();
        let piped = installation.run_with(&["import", "-", "--mode", "upsert", "--json"], LINES).expect(REFUSED).json();
        assert_eq!((&piped["unchanged"], &piped["failed"]), (&3.into(), &1.into()));
        let hashed = installation.run(&["export", "out.ndjson", "--with-hashes"]).expect(OK);
        assert!(hashed.stdout.contains("records were written"), "{}", hashed.stdout);
        let whole = std::fs::read_to_string(installation.path().join("out.ndjson")).unwrap();
        assert!(whole.contains("{SSHA}") && whole.contains(r#""kind":"OWNER""#), "{whole}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(installation.path().join("out.ndjson")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let plain = installation.run(&["export", "-", "--types", "user,group"]).expect(OK).stdout;
        assert!(!plain.contains("SSHA") && plain.contains(r#""name":"Staff""#) && !plain.contains("membership"));
        installation.run(&["export", "out.ndjson"]).expect(CONFLICT);
        installation.run(&["export", "-", "--types", "secrets"]).expect(REFUSED);
        installation.run(&["import", "none.ndjson"]).expect(USAGE);
        assert_eq!(server.stop().0, OK);
        let log = installation.run(&["audit", "list", "--limit", "500", "--json"]).expect(OK).stdout;
        for action in ["import.start", "import.batch", "import.finish", "directory.export"] {
            assert!(log.contains(action), "{action}");
        }
        assert!(!log.contains("SSHA"));
    }

    async fn other_formats_come_in(engine: Engine) {
        let (installation, _) = Installation::initialised(engine).await;
        let ldif = "dn: uid=ada,dc=x\nobjectClass: inetOrgPerson\nuid: ada\nemployeeNumber: 7\nuserPassword: {MD5}x\n\ndn: cn=staff,dc=x\nobjectClass: groupOfNames\ncn: staff\nmember: uid=ada,dc=x\n";
        let arguments = ["import", "-", "--from", "ldif", "--map", "employeeNumber=attributes.number"];
        let done = installation.run_with(&arguments, ldif).expect(OK).stdout;
        assert!(done.contains("3 created") && done.contains("1 × a password hash of a kind that is not known, such as user ada {MD5}"), "{done}");
        let realm = r#"{"realm":"demo","users":[{"username":"bob","enabled":true,"groups":["/Team"]}],"groups":[{"name":"Team"}],"clients":[{"clientId":"wiki","redirectUris":["https://w.example/*"]}]}"#;
        std::fs::write(installation.path().join("realm.json"), realm).unwrap();
        let done = installation.run(&["import", "realm.json", "--from", "keycloak", "--json"]).expect(OK).json();
        assert_eq!((&done["created"], done["not_taken_over"].as_array().unwrap().len()), (&4.into(), 3), "{done}");
        let broken = installation.run_with(&["import", "-", "--from", "keycloak"], "{").expect(1).stderr;
        assert!(broken.contains("is no realm export of Keycloak"), "{broken}");
        installation.run_with(&["import", "-", "--map", "a=username"], "").expect(USAGE);
    }

    /// Killed without warning while lines are written, and taken up again until it comes to its end: every user is there
    /// once, and so is every batch in the log.
    async fn an_import_that_is_killed_goes_on_where_it_was(engine: Engine) {
        const USERS: usize = 12_000;
        let (installation, _) = Installation::initialised(engine).await;
        std::fs::write(installation.path().join("in.ndjson"), users(USERS)).unwrap();
        // On SQLite the server writes, and is killed; on PostgreSQL the command itself.
        let mut server = (engine == Engine::Sqlite).then(|| installation.serve());
        let mut id: Option<String> = None;
        for kill in 0..3_usize {
            let report = format!("report-{kill}.ndjson");
            let mut arguments = vec!["import", "in.ndjson", "--report", &report];
            if let Some(id) = &id {
                arguments.extend(["--resume", id]);
            }
            let mut child = installation.command(&arguments).spawn().unwrap();
            let begun = Instant::now();
            let told = loop {
                let told = std::fs::read_to_string(installation.path().join(&report)).unwrap_or_default();
                if told.lines().count() > 1_500 || child.try_wait().unwrap().is_some() {
                    break told;
                }
                assert!(begun.elapsed() < Duration::from_secs(120), "nothing is imported");
                std::thread::sleep(Duration::from_millis(5));
            };
            let first: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
            id = Some(first["import"].as_str().unwrap().to_owned());
            match server.take() {
                Some(killed) => {
                    drop(killed);
                    let ended = child.wait_with_output().unwrap();
                    assert!(!ended.status.success());
                    let said = String::from_utf8(ended.stderr).unwrap();
                    assert!(said.contains("--resume"), "{said}");
                    server = Some(installation.serve());
                }
                None => {
                    child.kill().unwrap();
                    child.wait().unwrap();
                }
            }
        }
        let done = installation.run(&["import", "in.ndjson", "--resume", id.as_deref().unwrap(), "--json"]).expect(OK).json();
        assert_eq!((&done["lines"], &done["created"]), (&USERS.into(), &USERS.into()), "{done}");
        let names = usernames(&installation.run(&["export", "-", "--types", "user"]).expect(OK).stdout);
        let distinct: HashSet<&String> = names.iter().filter(|name| name.starts_with('u')).collect();
        assert_eq!((distinct.len(), names.len()), (USERS, USERS + 1), "the administrator besides");
        drop(server);
        if engine == Engine::Postgres {
            installation.run(&["audit", "seal"]).expect(OK);
        }
        installation.run(&["audit", "verify"]).expect(OK);
        let log = installation.run(&["audit", "list", "--limit", "500", "--action", "import.", "--json"]).expect(OK).stdout;
        for (action, count) in [("import.start", 1), ("import.finish", 1), ("import.batch", USERS / 1_000)] {
            assert_eq!(log.matches(action).count(), count, "{action}");
        }
        installation.run(&["doctor"]).expect(OK);
    }
}
