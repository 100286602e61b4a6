//! The master key in the hands of several people, with the real program.

use crate::program::wire::{Answer, Wire};
use crate::program::{Program, Running};
use http::Method;
use keyreeve_testkit::{Engine, on_both_engines};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::Stdio;

/// Every file below the data directory, by name.
fn files(program: &Program) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(program.data()).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

async fn hand_in(server: &Running, share: &Value) -> Answer {
    let document = json!({"share": share});
    let mut wire = Wire::open(server.address).await.unwrap();
    wire.plain((Method::POST, "/unseal"), &document.to_string()).await.unwrap()
}

async fn get(server: &Running, path: &str) -> u16 {
    let mut wire = Wire::open(server.address).await.unwrap();
    wire.plain((Method::GET, path), "").await.unwrap().status.as_u16()
}

/// Runs a command that must fail; its code, and what it said.
fn fails(program: &Program, arguments: &[&str], input: &str) -> (i32, String) {
    let mut child = program.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn split(program: &Program) -> Vec<Value> {
    let made = program.run(&["key", "split", "--shares", "4", "--threshold", "3", "--json"], "");
    made["shares"].as_array().unwrap().clone()
}

/// Waits until the server answers as one that has its key.
async fn until_ready(server: &Running) {
    for _ in 0..300 {
        if let Ok(mut wire) = Wire::open(server.address).await
            && let Ok(answer) = wire.plain((Method::GET, "/readyz"), "").await
            && answer.status == 200
        {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it is not ready:\n{}", server.log());
}

on_both_engines! {
    async fn a_server_whose_key_is_split_waits_for_enough_shares(engine: Engine) {
        let program = Program::new(engine).await;
        let key = std::fs::read_to_string(program.data().join("master.key")).unwrap().trim().to_owned();
        let shares = split(&program);
        assert_eq!(shares.len(), 4);
        for (name, content) in files(&program) {
            assert!(!holds(&content, &key) && !holds(&content, &key.to_uppercase()), "the key is still in {name}");
            for share in &shares {
                let digits = share.as_str().unwrap().replace('-', "");
                assert!(!holds(&content, &digits[14..78]) && !holds(&content, share.as_str().unwrap()), "{name} holds a share");
            }
        }
        // Nothing opens by itself.
        for command in [&["user", "list"][..], &["key", "split", "--shares", "2", "--threshold", "2"], &["key", "rotate", "--master"]] {
            let (code, said) = fails(&program, command, "");
            assert_eq!(code, 6, "{said}");
            assert!(said.contains("keyreeve unseal") && said.contains("key join"), "{said}");
        }
        let server = program.serve_sealed();
        assert_eq!((get(&server, "/healthz").await, get(&server, "/readyz").await), (200, 503));
        for path in ["/", "/sign-in", "/.well-known/openid-configuration", "/api/v1/users", "/scim/v2/default/Users", "/metrics", "/nowhere"] {
            assert_eq!(get(&server, path).await, 503, "{path}");
        }
        let first = hand_in(&server, &shares[3]).await.expect(200).json();
        assert_eq!(first, json!({"sealed": true, "gathered": 1, "threshold": 3, "shares": 4}));
        // The same one again counts once; by the socket, another one.
        assert_eq!(hand_in(&server, &shares[3]).await.expect(200).json()["gathered"], 1);
        let second = program.run(&["unseal", "--json"], shares[0].as_str().unwrap());
        assert_eq!(second["gathered"], 2);
        let third = hand_in(&server, &shares[1]).await.expect(200).json();
        assert_eq!(third["sealed"], false);
        until_ready(&server).await;
        let created = program.made["client"].clone();
        let mut wire = Wire::open(server.address).await.unwrap();
        let client = crate::program::wire::Client {
            id: created["client_id"].as_str().unwrap().to_owned(),
            secret: created["client_secret"].as_str().unwrap().to_owned(),
        };
        let form = [("grant_type", "client_credentials"), ("scope", "keyreeve:admin")];
        let token = wire.call("/token", &client, &form).await.unwrap().expect(200).text("access_token");
        let log = wire.send((Method::GET, "/api/v1/audit?limit=200"), &token, "").await.unwrap().expect(200);
        for action in ["key.split", "key.unseal"] {
            assert!(log.body.contains(action), "{action} is not in the audit log");
        }
        assert_eq!(get(&server, "/unseal").await, 404, "there is nothing to hand in any more");
        for share in &shares {
            assert!(!server.log().contains(share.as_str().unwrap()));
        }
        server.kill();
        // Dead and started again, it has forgotten what came.
        let server = program.serve_sealed();
        assert_eq!(hand_in(&server, &shares[2]).await.expect(200).json()["gathered"], 1);
        server.kill();
    }

    async fn a_key_is_joined_again(engine: Engine) {
        let program = Program::new(engine).await;
        let key = std::fs::read_to_string(program.data().join("master.key")).unwrap();
        let shares: Vec<String> = split(&program).iter().map(|share| share.as_str().unwrap().to_owned()).collect();
        let (code, said) = fails(&program, &["key", "join"], &shares[..2].join("\n"));
        assert_eq!(code, 5, "{said}");
        assert!(said.contains("2 different shares are not enough, 3 are wanted"), "{said}");
        let mistyped = format!("krs1{}", shares[0].strip_prefix("krs1").unwrap().replace(['0', '1'], "2"));
        let (code, said) = fails(&program, &["key", "join"], &[&mistyped, &shares[1], &shares[2]].map(String::as_str).join("\n"));
        assert_eq!(code, 5, "{said}");
        assert!(said.contains("mistyped"), "{said}");
        program.run(&["key", "join", "--json"], &shares[1..].join("\n"));
        assert_eq!(std::fs::read_to_string(program.data().join("master.key")).unwrap(), key);
        program.run(&["user", "list", "--json"], "");
        let (code, said) = fails(&program, &["key", "join"], &shares.join("\n"));
        assert_eq!(code, 4, "{said}");
    }

    async fn ac_57_a_stranger_starts_ends_and_spoils_nothing(engine: Engine) {
        let program = Program::new(engine).await;
        let shares = split(&program);
        let other = Program::new(Engine::Sqlite).await;
        let foreign = split(&other);
        let server = program.serve_sealed();
        hand_in(&server, &shares[0]).await.check(200);
        let made_up = shares[1].as_str().unwrap().replace('a', "b").replace('7', "8");
        for wrong in [foreign[0].clone(), json!(made_up), json!("krs1-00"), json!(""), json!("x".repeat(1_500))] {
            let refused = hand_in(&server, &wrong).await.expect(422);
            assert_eq!(refused.json()["errors"][0]["pointer"], "/share", "{refused:?}");
        }
        let mut wire = Wire::open(server.address).await.unwrap();
        for document in [json!({}), json!([]), json!({"share": 1}), json!({"share": shares[1], "reset": true}), json!({"reset": true})] {
            wire.plain((Method::POST, "/unseal"), &document.to_string()).await.unwrap().check(400);
        }
        for method in [Method::PUT, Method::DELETE, Method::PATCH] {
            wire.plain((method, "/unseal"), &json!({"share": shares[1]}).to_string()).await.unwrap().check(503);
        }
        wire.plain((Method::POST, "/api/v1/keys/data/rotate"), "").await.unwrap().check(503);
        // What was gathered is still there, and a stranger who goes on is told to wait.
        let so_far = Wire::open(server.address).await.unwrap().get("/unseal", "").await.unwrap().expect(200);
        assert_eq!(so_far.json()["gathered"], 1);
        let mut refused = 0;
        for _ in 0..100 {
            refused += u32::from(hand_in(&server, &json!("krs1-00")).await.status == 429);
        }
        assert!(refused > 20, "{refused}");
        // Those who hold shares have another way in.
        let two = format!("{}\n{}\n", shares[1].as_str().unwrap(), shares[2].as_str().unwrap());
        assert_eq!(program.run(&["unseal", "--json"], &two)["sealed"], false);
        until_ready(&server).await;
        // A server that runs takes no shares, and nobody splits its key but the operator of the machine.
        let mut wire = Wire::open(server.address).await.unwrap();
        wire.plain((Method::POST, "/unseal"), &json!({"share": shares[0]}).to_string()).await.unwrap().check(404);
        server.kill();
    }
}
