//! What people keep: values of every kind, brought in and made here, written and read through the door of key/value stores;
//! their data key changed, a copy of the database taken.

use super::Search;
use crate::program::Program;
use crate::program::wire::{Client, Wire};
use http::Method;
use keyreeve::Purpose;
use keyreeve_crypto::{Secret, SecretBytes};
use keyreeve_identity::Cause;
use keyreeve_secrets::{Content, NewSecret, PasswordRecipe, Recipe};
use serde_json::{Value, json};

const FILE: &str = "Canary-file-of-a-stork-61";
const KEPT: &str = "Canary-kept-osprey-62";
const OLD: &str = "Canary-old-value-osprey-63";
const PATCHED: &str = "Canary-patched-osprey-64";
const DESTROYED: &str = "Canary-destroyed-osprey-65";
const MISPLACED: &str = "Canary-misplaced-osprey-66";

/// Values of every kind, kept before the server starts.
pub async fn keep(program: &Program, search: &mut Search) {
    let app = program.open(Purpose::Command).await;
    let tenant = app.identity.tenants().by_slug("default").await.unwrap().unwrap().id;
    let authority = app.identity.authority_of_operator(tenant).await.unwrap();
    let cause = Cause::operator();
    search.secret("a file", FILE);
    let file = Content::File {
        bytes: SecretBytes::from(FILE.as_bytes().to_vec()),
        media_type: Some("text/plain".to_owned()),
        file_name: Some("notes.txt".to_owned()),
    };
    let ssh = |key_type: &str| {
        Content::Made(Recipe::SshKey { key_type: key_type.to_owned(), comment: "made here".to_owned() })
    };
    let made = [
        ("a password", Content::Password(Secret::new(KEPT))),
        ("a password that was made", Content::Made(Recipe::Password(PasswordRecipe::default()))),
        ("a file", file),
        ("an SSH key", ssh("ed25519")),
        ("an SSH key", ssh("ecdsa-p256")),
    ];
    for (what, content) in made {
        let secret = app.secrets.create(&authority, NewSecret::of(what, content), &cause).await.unwrap();
        let opened = app.secrets.read(&authority, secret.id, None, &cause).await.unwrap();
        match std::str::from_utf8(opened.value.expose()) {
            Ok(text) => search.secret(what, text),
            Err(_) => search.bytes(what, opened.value.expose()),
        }
    }
}

/// A secret at a path: versions of it, refusals, and what becomes of them.
pub async fn use_them(program: &Program, address: std::net::SocketAddr, search: &mut Search) {
    let made = &program.made["client"];
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    let client = Client { id: text("client_id"), secret: text("client_secret") };
    let mut wire = Wire::open(address).await.unwrap();
    let form = [("grant_type", "client_credentials"), ("scope", "keyreeve:admin")];
    let token = wire.call("/token", &client, &form).await.unwrap().expect(200).text("access_token");
    search.secret("an operator's token", &token);
    for (what, secret) in [
        ("a value", KEPT),
        ("an old value", OLD),
        ("a value that was patched in", PATCHED),
        ("a value that was destroyed", DESTROYED),
        ("a value in the wrong place", MISPLACED),
    ] {
        search.secret(what, secret);
    }
    let path = "/vault/v1/secret/data/canary";
    let mut send = async |method: Method, path: &str, document: Value| {
        wire.send((method, path), &token, &document.to_string()).await.unwrap()
    };
    for value in [DESTROYED, OLD, KEPT] {
        send(Method::POST, path, json!({"data": {"password": value}})).await.check(200);
    }
    send(Method::PUT, "/vault/v1/secret/destroy/canary", json!({"versions": [1]})).await.check(204);
    assert!(send(Method::GET, path, json!({})).await.expect(200).body.contains(KEPT));
    for (bad, status) in [
        (json!({"data": {"password": MISPLACED}, "options": {"cas": 99}}), 400),
        (json!({"data": MISPLACED}), 400),
        (json!({"data": {"password": MISPLACED}, "options": MISPLACED}), 400),
        (json!([MISPLACED]), 400),
    ] {
        let answer = send(Method::POST, path, bad).await.expect(status);
        search.place("the answer to a bad write", format!("{answer:?}"));
    }
    let nowhere = send(Method::POST, "/vault/v1/sys/data/x", json!({"data": {"password": MISPLACED}})).await;
    search.place("the answer to a write where there is no mount", format!("{nowhere:?}"));
    send(Method::POST, "/api/v1/keys/data/rotate", json!({})).await.check(200);
    for _ in 0..300 {
        let status = send(Method::GET, "/api/v1/keys/data", json!({})).await.expect(200).json();
        if !status["rotation"]["finished_at"].is_null() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    if program.database().is_none() {
        // Beside the database, where it is looked through as every file there is.
        let copy = program.data().join("copy.db");
        program.run(&["backup", copy.to_str().unwrap(), "--json"], "");
        assert!(copy.exists());
    }
}
