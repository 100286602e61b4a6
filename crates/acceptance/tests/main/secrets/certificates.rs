//! Certificates by policies, and what authorities publish.

use super::{keeper, make, sshd::Scene};
use keyreeve_acceptance::{Server, on_a_server};
use keyreeve_base::{Clock as _, SystemClock};
use serde_json::{Value, json};

on_a_server! {
    /// A real OpenSSH server takes what is signed over the API, and refuses it for another principal, after its lifetime,
    /// and once it is revoked.
    async fn a_real_server_takes_and_refuses_what_was_signed(server: &Server) {
        // OpenSSH knows the real time alone.
        server.clock().set(SystemClock.now());
        let admin = server.administrator().await;
        let (alice, as_alice) = keeper(server, "alice").await;
        let new = json!({"kind": "ssh_user_ca", "name": "users", "value": {"make": {"make": "ssh_ca", "hosts": false, "key_type": "ed25519"}}});
        let authority = make(&admin, new).await["id"].as_str().unwrap().to_owned();
        let open_to = json!([{"kind": "user", "id": alice.sub()}]);
        let rules = json!({"open_to": open_to, "names": ["{{username}}", "deploy"], "max_seconds": 600, "extensions": ["permit-pty"]});
        admin.post("/signing-policies", &json!({"name": "users", "authority": authority, "rules": rules})).send().await.check(200);
        let published = async |what: &str| {
            let answer = server.get(&format!("/api/v1/ssh/authorities/{authority}/{what}")).send().await.expect(200);
            assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
            answer.body.to_vec()
        };
        let scene = Scene::new(&published("keys").await, &published("krl").await);
        let sign = async |more: Value| -> Value {
            let mut asked = json!({"policy": "users", "public_key": scene.public_key()});
            asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            as_alice.post("/ssh/sign", &asked).send().await.expect(200).json()
        };
        let text = |out: &Value| out["certificate"].as_str().unwrap().to_owned();
        let good = sign(json!({})).await;
        scene.let_in(&text(&good));
        scene.refused(&text(&sign(json!({"principals": ["deploy"]})).await), "does not contain an authorized principal");
        let short = sign(json!({"seconds": 1})).await;
        std::thread::sleep(std::time::Duration::from_millis(2_100));
        scene.refused(&text(&short), "expired");
        let id = good["issued"]["id"].as_str().unwrap();
        as_alice.post(&format!("/certificates/{id}/revoke"), &json!({"reason": "keyCompromise"})).send().await.check(200);
        scene.revoke(&published("krl").await);
        scene.refused(&text(&good), "revoked");
        // What a lease brought goes with it.
        let leased = sign(json!({"leased": true})).await;
        scene.let_in(&text(&leased));
        let lease = leased["lease"]["id"].as_str().unwrap();
        as_alice.call("POST", &format!("/leases/{lease}/revoke")).send().await.check(200);
        scene.revoke(&published("krl").await);
        scene.refused(&text(&leased), "revoked");
        let listed = as_alice.get("/certificates").send().await.expect(200).json();
        assert_eq!(listed["items"].as_array().unwrap().len(), 4);
    }

    async fn certificates_are_issued_for_requests(server: &Server) {
        server.clock().set(SystemClock.now());
        let admin = server.administrator().await;
        let recipe = json!({"make": "x509_ca", "key_type": "ecdsa-p256", "common_name": "Our CA", "seconds": 864_000});
        let authority = make(&admin, json!({"kind": "x509_ca", "name": "root", "value": {"make": recipe}})).await;
        let authority = authority["id"].as_str().unwrap();
        admin.post(&format!("/secrets/{authority}/read"), &json!({})).send().await.check(403);
        let rules = json!({"names": ["*.example.org"], "max_seconds": 86_400});
        admin.post("/signing-policies", &json!({"name": "tls", "authority": authority, "rules": rules})).send().await.check(200);
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let openssl = |arguments: &[&str]| {
            let output = std::process::Command::new("openssl").args(arguments).output().expect("no openssl; scripts/deps installs it");
            (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
        };
        let request = |name: &str| {
            let (subject, names) = (format!("/CN={name}"), format!("subjectAltName=DNS:{name}"));
            let made = openssl(&["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", &at("key"), "-out", &at("csr"), "-subj", &subject, "-addext", &names]);
            assert!(made.0, "{}", made.1);
            json!({"policy": "tls", "request": std::fs::read_to_string(at("csr")).unwrap()})
        };
        admin.post("/pki/sign", &request("www.example.com")).send().await.check(403);
        let out = admin.post("/pki/sign", &request("www.example.org")).send().await.expect(200).json();
        std::fs::write(at("leaf"), out["certificate"].as_str().unwrap()).unwrap();
        let published = async |what: &str| {
            let answer = server.get(&format!("/api/v1/pki/authorities/{authority}/{what}")).send().await.expect(200);
            answer.body.to_vec()
        };
        std::fs::write(at("root"), published("chain").await).unwrap();
        let verify = async || {
            std::fs::write(at("crl.der"), published("crl").await).unwrap();
            assert!(openssl(&["crl", "-inform", "DER", "-in", &at("crl.der"), "-out", &at("crl")]).0);
            openssl(&["verify", "-crl_check", "-CAfile", &at("root"), "-CRLfile", &at("crl"), &at("leaf")])
        };
        let told = verify().await;
        assert!(told.0, "{}", told.1);
        let id = out["issued"]["id"].as_str().unwrap();
        admin.post(&format!("/certificates/{id}/revoke"), &json!({})).send().await.check(200);
        let told = verify().await;
        assert!(!told.0 && told.1.contains("revoked"), "{}", told.1);
    }
}
