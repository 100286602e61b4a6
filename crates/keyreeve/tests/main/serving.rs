//! A running server: what it says, what operators ask it, commands beside it, its end.

use crate::harness::{CONFLICT, Installation, OK, UNAVAILABLE, get};
use keyreeve_testkit::{Engine, block_on, on_both_engines};

on_both_engines! {
    async fn the_first_start_needs_nothing(engine: Engine) {
        let place = Installation::new(engine).await;
        let server = place.serve();
        assert_eq!(server.announced["first_start"]["username"], "admin");
        let password = server.announced["first_start"]["one_time_password"].as_str().unwrap().to_owned();
        assert_eq!(password.len(), 20);
        assert_eq!(server.get("/healthz").status, 200);
        let ready = server.get("/readyz");
        assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
        assert!(ready.head.contains("x-content-type-options: nosniff") && ready.head.contains("x-request-id:"));
        let (code, log) = server.stop();
        assert_eq!(code, 0, "{log}");
        assert!(log.contains("serving") && log.contains("stopped"), "{log}");
        assert!(!log.contains(&password), "the one-time password is never logged");
        // The second start knows that it is one.
        let server = place.serve();
        assert!(server.announced["first_start"].is_null());
        assert_eq!(server.stop().0, 0);
    }

    async fn commands_work_beside_a_running_server(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        let server = place.serve();
        let made = place.run(&["user", "create", "--username", "ada", "--generate-password", "--json"]).expect(OK).json();
        assert_eq!(made["password"].as_str().unwrap().len(), 20);
        let set = place.run_with(&["user", "set-password", "ada", "--password-stdin"], "a long enough sentence");
        set.expect(OK);
        place.run(&["user", "create", "--username", "ADA"]).expect(CONFLICT);
        place.run(&["tenant", "create", "acme"]).expect(OK);
        place.run(&["key", "rotate"]).expect(OK);
        place.run(&["audit", "verify"]).expect(OK);
        place.run(&["doctor"]).expect(OK);
        assert_eq!(place.run(&["user", "list", "--json"]).expect(OK).json()["items"].as_array().unwrap().len(), 2);
        let (code, log) = server.stop();
        assert_eq!(code, 0);
        assert!(!log.contains("sentence"), "{log}");
        assert_eq!(place.run(&["tenant", "list", "--json"]).expect(OK).json().as_array().unwrap().len(), 2);
    }

    async fn what_waits_to_be_told_is_counted(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        let row = "c.id, c.tenant_id, c.id, c.id, c.id, 'waiting', 1, 9000000000000000, 0";
        let columns = "id, tenant_id, client, user_id, session_id, state, attempts, next_at, created_at";
        place.tamper(&format!("INSERT INTO logout_delivery ({columns}) SELECT {row} FROM oauth_client c")).await;
        let server = place.serve();
        let begun = std::time::Instant::now();
        while !server.get("/metrics").body.contains("keyreeve_logout_queue_length 1\n") {
            assert!(begun.elapsed().as_secs() < 20, "{}", server.get("/metrics").body);
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    async fn metrics_are_for_this_machine(engine: Engine) {
        let place = Installation::new(engine).await;
        let server = place.serve();
        server.get("/healthz");
        let metrics = server.get("/metrics");
        assert_eq!(metrics.status, 200);
        assert!(metrics.head.contains("text/plain; version=0.0.4"));
        for name in ["keyreeve_http_requests_total", "process_resident_memory_bytes", "process_cpu_seconds_total"] {
            assert!(metrics.body.contains(name), "{name}: {}", metrics.body);
        }
        assert!(metrics.body.contains("route=\"healthz\""), "{}", metrics.body);
        for header in ["X-Forwarded-For: 192.0.2.1\r\n", "Forwarded: for=192.0.2.1\r\n", "Via: 1.1 proxy\r\n"] {
            assert_eq!(server.get_with("/metrics", header).status, 404, "{header}");
        }
    }
}

#[test]
fn metrics_have_a_listener_of_their_own() {
    let mut place = Installation::sqlite();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    place.set("KEYREEVE_METRICS_LISTEN", &free);
    let server = place.serve();
    assert_eq!(server.get("/metrics").status, 404);
    assert_eq!(get(&free, "/metrics", "X-Forwarded-For: 192.0.2.1\r\n").status, 200);
    assert_eq!(get(&free, "/healthz", "").status, 404);
}

#[test]
fn metrics_are_not_for_the_world() {
    let mut place = Installation::sqlite();
    place.set("KEYREEVE_PUBLIC_URL", "https://id.example.com");
    let text = place.run(&["config", "show", "--json"]).expect(OK).stdout;
    assert!(text.contains("https://id.example.com"));
    // The announced address is the public one, so the port is asked of the system.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let server = place.serve_on(&free);
    assert_eq!(server.get("/metrics").status, 404);
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn a_backup_is_taken_while_serving_and_opens() {
    let (place, _) = block_on(Installation::initialised(Engine::Sqlite));
    let server = place.serve();
    place.run(&["user", "create", "--username", "ada"]).expect(OK);
    let taken = place.run(&["backup", "copy.db", "--json"]).expect(OK).json();
    assert!(taken["bytes"].as_u64().unwrap() > 0);
    place.run(&["backup", "copy.db"]).expect(CONFLICT);
    place.run(&["user", "create", "--username", "later"]).expect(OK);
    assert_eq!(server.stop().0, 0);

    // Restored as the help says: the copy in place of the database, the master key from elsewhere.
    let mut other = Installation::sqlite();
    std::fs::create_dir(other.data("")).unwrap();
    std::fs::copy(place.path().join("copy.db"), other.data("keyreeve.db")).unwrap();
    other.set("KEYREEVE_MASTER_KEY_FILE", place.data("master.key").to_str().unwrap());
    let users = other.run(&["user", "list", "--json"]).expect(OK).json();
    let names: Vec<_> =
        users["items"].as_array().unwrap().iter().map(|user| user["username"].clone()).collect();
    assert_eq!(names, ["admin", "ada"]);
    other.run(&["audit", "verify"]).expect(OK);
}

#[test]
fn postgres_is_backed_up_by_its_own_tools() {
    let (place, _) = block_on(Installation::initialised(Engine::Postgres));
    let ran = place.run(&["backup", "copy.db"]).expect(1);
    assert!(ran.stderr.contains("pg_dump"), "{}", ran.stderr);
}

#[test]
fn two_servers_do_not_share_a_data_directory() {
    let place = Installation::sqlite();
    let _server = place.serve();
    let ran = place.run(&["serve", "--listen", "127.0.0.1:0"]).expect(UNAVAILABLE);
    assert!(ran.stderr.contains("in use by another process"), "{}", ran.stderr);
}

#[test]
fn a_taken_port_is_named_before_anything_is_created() {
    let place = Installation::sqlite();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = place.run(&["serve", "--listen", &address]).expect(UNAVAILABLE);
    assert!(ran.stderr.contains(&address) && ran.stderr.contains("--listen"), "{}", ran.stderr);
    assert!(!place.data("").exists());
}

#[test]
fn a_socket_of_a_dead_server_does_not_matter() {
    let (place, _) = block_on(Installation::initialised(Engine::Sqlite));
    let server = place.serve();
    drop(server); // killed
    assert!(place.data("keyreeve.sock").exists());
    place.run(&["user", "list"]).expect(OK);
    assert_eq!(place.serve().stop().0, 0);
    assert!(!place.data("keyreeve.sock").exists(), "an orderly end removes it");
}

#[cfg(unix)]
#[test]
fn the_command_socket_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Installation::sqlite();
    let _server = place.serve();
    let mode = std::fs::metadata(place.data("keyreeve.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_command_socket_answers_nonsense_with_a_sentence() {
    use std::io::{Read as _, Write as _};
    let place = Installation::sqlite();
    let server = place.serve();
    let ask = |text: &str| {
        let mut stream = std::os::unix::net::UnixStream::connect(place.data("keyreeve.sock")).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str::<serde_json::Value>(&answer).unwrap()
    };
    assert!(ask("nonsense")["failure"].as_str().unwrap().contains("does not understand"));
    let request = |version: &str, arguments: serde_json::Value| {
        serde_json::json!({"version": version, "arguments": arguments, "directory": "/", "secret": null, "file": null}).to_string()
    };
    let other = ask(&request("99.0.0", serde_json::json!(["user", "list"])));
    assert!(other["failure"].as_str().unwrap().contains("99.0.0"), "{other}");
    let own = env!("CARGO_PKG_VERSION");
    assert!(ask(&request(own, serde_json::json!(["serve"])))["failure"].is_string());
    assert!(ask(&request(own, serde_json::json!(["frobnicate"])))["failure"].is_string());
    assert!(ask(&request(own, serde_json::json!(["user", "list"])))["failure"].is_null());
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn people_see_where_to_sign_in() {
    let place = Installation::sqlite();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let banner = place.banner(&free);
    for text in [&format!("http://{free}/signin"), "admin", "Password", "shown this once", "Ctrl-C"] {
        assert!(banner.contains(text), "{text}: {banner}");
    }
    assert!(!banner.contains('\u{1b}'), "no colours into a pipe");
    let banner = place.banner(&free);
    assert!(!banner.contains("Password") && banner.contains("Sign in"), "{banner}");
}
