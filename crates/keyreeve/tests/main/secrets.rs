//! Secrets from the command line.

use crate::harness::{CONFLICT, Installation, NOT_FOUND, OK, REFUSED, USAGE};
use keyreeve_testkit::{Engine, on_both_engines};
use serde_json::json;

on_both_engines! {
    async fn values_come_from_files_and_standard_input_alone(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        let run = |args: &[&str]| place.run(&[&["secret"], args, &["--json"]].concat());
        let id = |made: &serde_json::Value| made["id"].as_str().unwrap().to_owned();
        let made = run(&["create", "generated", "--generate", "--length", "30"]).expect(OK).json();
        let generated = id(&made);
        let read = place.run(&["secret", "read", &generated]).expect(OK);
        assert_eq!(read.stdout.trim_end().len(), 30, "the value alone");
        run(&["create", "nothing"]).expect(USAGE);
        let brought = place.run_with(&["secret", "create", "brought", "--stdin", "--json"], "from stdin\n").expect(OK).json();
        let brought = id(&brought);
        assert_eq!(run(&["read", &brought]).expect(OK).json()["value"]["password"], "from stdin");
        place.run_with(&["secret", "write", &brought, "--stdin", "--follows", "1"], "second").expect(OK);
        place.run_with(&["secret", "write", &brought, "--stdin", "--follows", "1"], "third").expect(CONFLICT);
        assert_eq!(run(&["versions", &brought]).expect(OK).json().as_array().unwrap().len(), 2);
        run(&["version", &brought, "destroy", "1"]).expect(OK);
        run(&["read", &brought, "--number", "1"]).expect(NOT_FOUND);
        let file = place.path().join("settings.json");
        std::fs::write(&file, r#"{"a": {"b": [1]}}"#).unwrap();
        let made = run(&["create", "settings", "--kind", "key_value", "--file", file.to_str().unwrap(), "--mount", "kv", "--path", "app/settings"]).expect(OK).json();
        assert_eq!(run(&["read", &id(&made)]).expect(OK).json()["value"]["data"], json!({"a": {"b": [1]}}));
        std::fs::write(&file, [0_u8, 255, 7]).unwrap();
        let made = run(&["create", "bytes", "--kind", "file", "--file", file.to_str().unwrap()]).expect(OK).json();
        assert_eq!(run(&["read", &id(&made)]).expect(OK).json()["value"]["base64"], "AP8H");
        let listed = run(&["list", "--filter", "kind eq \"password\"", "--sort", "name"]).expect(OK).json();
        assert_eq!(listed["items"].as_array().unwrap().len(), 2);
        place.run_with(&["user", "create", "--username", "ada", "--password-stdin"], "correct horse battery staple").expect(OK);
        assert_eq!(run(&["transfer", &generated, "ada"]).expect(OK).json()["owner"]["kind"], "user");
        assert_eq!(run(&["update", &generated, "--set", "name=renamed"]).expect(OK).json()["name"], "renamed");
        assert_eq!(run(&["rotate", &generated]).expect(OK).json()["number"], 2);
        run(&["delete", &generated]).expect(OK);
        run(&["show", &generated]).expect(NOT_FOUND);
    }

    async fn keys_are_signed_by_policies(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        let made = place.run(&["secret", "create", "users-ca", "--kind", "ssh_user_ca", "--json"]).expect(OK).json();
        let authority = made["id"].as_str().unwrap();
        place.run(&["ssh", "create-policy", "deploys", authority, "--name", "deploy", "--seconds", "600", "--extension", "permit-pty"]).expect(OK);
        let key = place.run(&["secret", "create", "laptop", "--kind", "ssh_key", "--json"]).expect(OK).json();
        let file = place.path().join("id.pub");
        std::fs::write(&file, key["facts"]["public_key"].as_str().unwrap()).unwrap();
        let signed = place.run(&["ssh", "sign", "deploys", file.to_str().unwrap()]).expect(OK);
        assert!(signed.stdout.starts_with("ssh-ed25519-cert-v01@openssh.com "), "{}", signed.stdout);
        let listed = place.run(&["ssh", "certificates", "--json"]).expect(OK).json();
        let certificate = listed[0]["id"].as_str().unwrap();
        assert_eq!(listed[0]["names"], json!(["deploy"]));
        let revoked = place.run(&["ssh", "revoke", certificate, "--reason", "superseded", "--json"]).expect(OK).json();
        assert_eq!(revoked["reason"], "superseded");
        assert_eq!(place.run(&["ssh", "policies", "--json"]).expect(OK).json()[0]["name"], "deploys");
        place.run(&["ssh", "delete-policy", "deploys"]).expect(OK);
        place.run(&["ssh", "sign", "deploys", file.to_str().unwrap()]).expect(NOT_FOUND);
    }

    async fn tokens_are_signed_by_policies(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        let made = place.run(&["secret", "create", "ci-key", "--kind", "signing_key", "--algorithm", "ES256", "--json"]).expect(OK).json();
        let key = made["id"].as_str().unwrap();
        let create = ["jwt", "create-policy", "ci", key, "--subject", "deploy", "--issuer", "https://ci.example.org", "--audience", "a", "--audience", "b"];
        place.run(&[&create[..], &["--fixed", "team=blue", "--claim", "stage=1", "--claim", "stage=two", "--claim", "ref"]].concat()).expect(OK);
        let file = place.path().join("claims.json");
        std::fs::write(&file, r#"{"ref": {"branch": "main"}}"#).unwrap();
        place.run(&["jwt", "sign", "ci"]).expect(REFUSED);
        place.run(&["jwt", "sign", "ci", "--audience", "a", "--claim", "stage=2"]).expect(REFUSED);
        let signed = place.run(&["jwt", "sign", "ci", "--audience", "a", "--claims", file.to_str().unwrap(), "--claim", "stage=two", "--seconds", "60"]).expect(OK);
        let payload = signed.stdout.trim_end().split('.').nth(1).unwrap().to_owned();
        let claims: serde_json::Value = serde_json::from_slice(&keyreeve_crypto::base64url::decode(&payload).unwrap()).unwrap();
        assert_eq!((&claims["sub"], &claims["aud"], &claims["team"]), (&json!("deploy"), &json!("a"), &json!("blue")));
        assert_eq!((&claims["stage"], &claims["ref"]), (&json!("two"), &json!({"branch": "main"})));
        let all = place.run(&["jwt", "keys", "--json"]).expect(OK).json();
        assert_eq!(all, place.run(&["jwt", "keys", key, "--json"]).expect(OK).json());
        assert_eq!((&all["keys"][0]["kid"], &all["keys"][0]["alg"]), (&made["facts"]["fingerprint"], &json!("ES256")));
        // A key that was brought is rotated into one of the same kind.
        place.run(&["secret", "delete", key]).expect(OK);
        std::fs::write(&file, "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n").unwrap();
        let brought = place.run(&["secret", "create", "brought", "--kind", "signing_key", "--file", file.to_str().unwrap(), "--json"]).expect(OK).json();
        assert_eq!(brought["facts"]["jwk"]["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "RFC 8037 appendix A");
        assert_eq!(brought["facts"]["fingerprint"], "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let rotated = place.run(&["secret", "rotate", brought["id"].as_str().unwrap(), "--json"]).expect(OK).json();
        assert_eq!(rotated["facts"]["jwk"]["alg"], "EdDSA");
    }
}
