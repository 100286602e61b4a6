//! Tenants, users and clients from the command line.

use crate::harness::{CONFLICT, Installation, NOT_FOUND, OK, REFUSED, USAGE};
use keyreeve_testkit::{Engine, on_both_engines};
use serde_json::json;

const PASSWORD: &str = "correct horse battery staple";

on_both_engines! {
    async fn tenants(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        let made = place.run(&["tenant", "create", "acme", "--name", "Acme Ltd", "--json"]).expect(OK).json();
        assert_eq!(made["slug"], "acme");
        assert_eq!(made["name"], "Acme Ltd");
        assert_eq!(made["issuer"], "http://127.0.0.1:8080/t/acme");
        assert!(made["created_at"].as_str().unwrap().ends_with('Z'));
        place.run(&["tenant", "create", "acme"]).expect(CONFLICT);
        place.run(&["tenant", "create", "Not A Slug"]).expect(REFUSED);
        place.run(&["tenant", "show", "nobody"]).expect(NOT_FOUND);
        let disabled = place.run(&["tenant", "disable", "acme", "--json"]).expect(OK).json();
        assert_eq!(disabled["enabled"], false);
        let enabled = place.run(&["tenant", "enable", "acme", "--json"]).expect(OK).json();
        assert_eq!(enabled["enabled"], true);
        let list = place.run(&["tenant", "list", "--json"]).expect(OK).json();
        let slugs: Vec<_> = list.as_array().unwrap().iter().map(|tenant| tenant["slug"].clone()).collect();
        assert_eq!(slugs, ["default", "acme"]);
        assert!(place.run(&["tenant", "list"]).expect(OK).stdout.starts_with("TENANT"));
    }

    async fn the_policy_of_a_tenant(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        let policy = place.run(&["tenant", "policy", "default", "--json"]).expect(OK).json();
        assert_eq!(policy["tokens"]["access_token_s"], 300);
        assert_eq!(policy["tokens"]["password_grant"], false);
        assert_eq!(policy["password"]["min_chars"], 12);
        let set = ["--set", "tokens.access_token_s=600", "--set", "tokens.default_alg=ES256", "--set", "session.idle_s=900"];
        place.run(&[&["tenant", "policy", "default"], &set[..]].concat()).expect(OK);
        let policy = place.run(&["tenant", "policy", "default", "--json"]).expect(OK).json();
        assert_eq!(policy["tokens"]["access_token_s"], 600);
        assert_eq!(policy["tokens"]["default_alg"], "ES256");
        assert_eq!(policy["session"]["idle_s"], 900);
        // A value out of bounds leaves everything as it was, also what stands beside it.
        place
            .run(&["tenant", "policy", "default", "--set", "tokens.code_s=60", "--set", "session.idle_s=1"])
            .expect(REFUSED);
        place.run(&["tenant", "policy", "default", "--set", "tokens.nothing=1"]).expect(USAGE);
        place.run(&["tenant", "policy", "default", "--set", "tokens.code_s=soon"]).expect(USAGE);
        let after = place.run(&["tenant", "policy", "default", "--json"]).expect(OK).json();
        assert_eq!(after, policy);
    }

    async fn users(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        let create = [
            "user", "create", "--username", "ada", "--email", "ada@example.com", "--email-verified", "--given-name", "Ada",
            "--family-name", "Lovelace", "--attribute", "team=a", "--attribute", "team=b", "--password-stdin", "--json",
        ];
        let made = place.run_with(&create, PASSWORD).expect(OK).json();
        assert_eq!(made["username"], "ada");
        assert_eq!(made["email_verified"], true);
        assert_eq!(made["attributes"], json!({"team": ["a", "b"]}));
        assert_eq!(made["must_change_password"], false);
        assert!(made.get("password").is_none());
        let id = made["id"].as_str().unwrap();
        for name in ["ada", "ADA@Example.com", id] {
            assert_eq!(place.run(&["user", "show", name, "--json"]).expect(OK).json()["id"], made["id"]);
        }
        place.run_with(&create, PASSWORD).expect(CONFLICT);
        let short = place.run_with(&["user", "create", "--username", "bob", "--password-stdin"], "short\n").expect(REFUSED);
        assert!(short.stderr.contains("policy") && !short.stderr.contains("short\n"), "{}", short.stderr);
        place.run_with(&["user", "create", "--username", "bob", "--password-stdin"], "").expect(USAGE);
        place.run(&["user", "create", "--username", "a b"]).expect(REFUSED);
        place.run(&["user", "show", "nobody"]).expect(NOT_FOUND);
        place.run(&["user", "show", "ada", "--tenant", "nowhere"]).expect(NOT_FOUND);

        let made = place.run(&["user", "create", "--username", "bob", "--generate-password", "--json"]).expect(OK).json();
        assert_eq!(made["password"].as_str().unwrap().len(), 20);
        let list = place.run(&["user", "list", "--json", "--limit", "2"]).expect(OK).json();
        let last = list["next"].as_str().unwrap().to_owned();
        assert_eq!(list["items"].as_array().unwrap().len(), 2);
        let rest = place.run(&["user", "list", "--json", "--after", &last]).expect(OK).json();
        assert_eq!(rest["items"].as_array().unwrap().len(), 1);
        place.run(&["user", "list", "--limit", "0"]).expect(USAGE);
    }

    async fn states_and_passwords_of_users(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        place.run_with(&["user", "create", "--username", "ada", "--password-stdin"], PASSWORD).expect(OK);
        let run = |arguments: &[&str]| place.run(&[arguments, &["--json"]].concat()).expect(OK).json();
        assert_eq!(run(&["user", "lock", "ada"])["locked"], true);
        assert_eq!(run(&["user", "unlock", "ada"])["locked"], false);
        assert_eq!(run(&["user", "disable", "ada"])["enabled"], false);
        assert_eq!(run(&["user", "enable", "ada"])["enabled"], true);
        assert_eq!(run(&["user", "require-password-change", "ada"])["must_change_password"], true);
        let new = "another long enough sentence";
        let set = place.run_with(&["user", "set-password", "ada", "--password-stdin", "--keep", "--json"], new).expect(OK);
        assert_eq!(set.json()["must_change_password"], false);
        let generated = run(&["user", "set-password", "ada", "--generate-password"]);
        assert_eq!(generated["must_change_password"], true);
        assert_eq!(generated["password"].as_str().unwrap().len(), 20);
        // One of the last passwords is refused, and neither is repeated in the answer.
        let again = place.run_with(&["user", "set-password", "ada", "--password-stdin"], new).expect(REFUSED);
        assert!(!again.stderr.contains(new));
        assert_eq!(run(&["user", "sessions", "ada"]), json!([]));
        assert_eq!(run(&["user", "end-sessions", "ada"])["ended"], 0);
        place.run(&["user", "end-sessions", "ada", "--session", "nonsense"]).expect(USAGE);
        place.run(&["user", "end-sessions", "ada", "--session", "0190f0f0-0000-7000-8000-000000000001"]).expect(NOT_FOUND);
        let hash = "$2b$10$abcdefghijklmnopqrstuuN0tAR3alHa5hButIsB1gEnoughToBeRead";
        let ran = place.run_with(&["user", "create", "--username", "eve", "--password-hash-stdin"], "plainly no hash");
        ran.expect(REFUSED);
        place.run_with(&["user", "create", "--username", "eve", "--password-hash-stdin"], hash);
    }

    async fn clients(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        let callback = "https://wiki.example.com/callback";
        let create = ["client", "create", "--name", "Wiki", "--client-id", "wiki", "--redirect-uri", callback, "--json"];
        let made = place.run(&create).expect(OK).json();
        assert_eq!(made["client_id"], "wiki");
        assert_eq!(made["auth_method"], "client_secret_basic");
        assert_eq!(made["redirect_uris"], json!([callback]));
        assert_eq!(made["grant_types"], json!(["authorization_code", "refresh_token"]));
        let secret = made["client_secret"].as_str().unwrap().to_owned();
        place.run(&create).expect(CONFLICT);
        let shown = place.run(&["client", "show", "wiki", "--json"]).expect(OK);
        assert!(!shown.stdout.contains(&secret), "ac_38: a secret is shown once");
        for bad in ["https://wiki.example.com/*", "javascript:alert(1)", "http://wiki.example.com/cb", "//x"] {
            place.run(&["client", "create", "--name", "Bad", "--redirect-uri", bad]).expect(USAGE);
            place.run(&["client", "add-redirect", "wiki", bad]).expect(USAGE);
        }
        let more = place.run(&["client", "add-redirect", "wiki", "http://127.0.0.1/cb", "--json"]).expect(OK).json();
        assert_eq!(more["redirect_uris"], json!([callback, "http://127.0.0.1/cb"]));

        let added = place.run(&["client", "add-secret", "wiki", "--json"]).expect(OK).json();
        assert_ne!(added["client_secret"], json!(secret));
        assert_eq!(added["secrets"].as_array().unwrap().len(), 2);
        let id = added["secret_id"].as_str().unwrap();
        let left = place.run(&["client", "revoke-secret", "wiki", id, "--json"]).expect(OK).json();
        assert_eq!(left["secrets"].as_array().unwrap().len(), 1);
        place.run(&["client", "revoke-secret", "wiki", id]).expect(NOT_FOUND);

        assert_eq!(place.run(&["client", "disable", "wiki", "--json"]).expect(OK).json()["enabled"], false);
        assert_eq!(place.run(&["client", "enable", "wiki", "--json"]).expect(OK).json()["enabled"], true);
        let list = place.run(&["client", "list", "--json"]).expect(OK).json();
        assert_eq!(list.as_array().unwrap().len(), 2);
        place.run(&["client", "delete", "wiki"]).expect(OK);
        place.run(&["client", "show", "wiki"]).expect(NOT_FOUND);
    }

    async fn kinds_of_clients(engine: Engine) {
        let (place, _) = Installation::initialised(engine).await;
        let create = |more: &[&str]| place.run(&[&["client", "create", "--json", "--name", "App"], more].concat());
        let public = create(&["--public", "--redirect-uri", "com.example.app:/cb"]).expect(OK).json();
        assert_eq!(public["auth_method"], "none");
        assert!(public.get("client_secret").is_none());
        let machine = create(&["--scope", "reports:read", "--audience", "https://api.example.com"]).expect(OK).json();
        assert_eq!(machine["grant_types"], json!(["client_credentials"]));
        assert_eq!(machine["scopes"], "reports:read");
        create(&["--grant-type", "magic"]).expect(REFUSED);
        create(&["--id-token-alg", "none", "--redirect-uri", "https://a.example/cb"]).expect(USAGE);
        create(&["--auth-method", "private_key_jwt"]).expect(USAGE);
        std::fs::write(
            place.path().join("keys.json"),
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"1"}]}"#,
        )
        .unwrap();
        let by_key = create(&["--auth-method", "private_key_jwt", "--jwks-file", "keys.json"]).expect(OK).json();
        assert_eq!(by_key["jwks"][0]["kid"], "1");
        create(&["--auth-method", "private_key_jwt", "--jwks-file", "nowhere.json"]).expect(USAGE);
    }
}
