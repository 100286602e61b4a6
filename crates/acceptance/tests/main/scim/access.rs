//! How those who provision show who they are, and how often they may come.

use super::{Provisioner, USER, path, refused};
use keyreeve_acceptance::possession::Holder;
use keyreeve_acceptance::server::Setup;
use keyreeve_acceptance::{Answer, Mount, Server, on_a_server};
use keyreeve_crypto::sign::Algorithm;
use keyreeve_testkit::{Engine, on_both_engines};
use keyreeve_tokens::clients::GrantType;
use serde_json::json;

const USERS: &str = "/scim/v2/default/Users";

/// A token for users, bound to the key of its holder.
async fn bound(mount: &Mount, name: &str, holder: &Holder) -> String {
    let client = mount.client(name).grants(&[GrantType::ClientCredentials]).scopes("keyreeve:users:write");
    let client = client.with(|settings| settings.dpop_bound_access_tokens = true).create().await;
    let form = [("grant_type", "client_credentials")];
    let call = mount.post_as(&client, "/token", &form).header("dpop", &holder.proof(mount, "POST", "/token"));
    let answer = call.send().await.expect(200).json();
    assert_eq!(answer["token_type"], "DPoP");
    answer["access_token"].as_str().unwrap().to_owned()
}

async fn ask(scim: &Provisioner, method: &str, authorization: &str, proofs: &[&str]) -> Answer {
    let mut call = scim.bare(method, "/Users").header("authorization", authorization);
    if method == "POST" {
        let document = json!({"schemas": [USER], "userName": "ada"});
        call = call.body("application/scim+json", document.to_string());
    }
    proofs.iter().fold(call, |call, proof| call.header("dpop", proof)).send().await
}

/// Expects a refusal whose one challenge is of this scheme and says this.
#[track_caller]
fn challenged(answer: &Answer, status: u16, scheme: &str, says: &str) {
    refused(answer, status, "");
    let challenge =
        answer.header("www-authenticate").unwrap_or_else(|| panic!("not one challenge\n{answer}"));
    assert!(challenge.starts_with(scheme) && challenge.contains(says), "{challenge}\n{answer}");
}

on_a_server! {
    async fn rfc9449_7_1_a_bound_token_is_taken_with_a_proof(server: &Server) {
        let scim = Provisioner::at(server).await;
        let (device, thief) = (Holder::new(Algorithm::Es256), Holder::new(Algorithm::Es256));
        let token = bound(server, "robot", &device).await;
        let by = format!("DPoP {token}");
        let get = ("GET", USERS);
        let proof = device.proof_of(server, get, &token);
        ask(&scim, "GET", &by, &[&proof]).await.check(200);
        challenged(&ask(&scim, "GET", &by, &[&proof]).await, 401, "DPoP ", "invalid_token");
        for proofs in [
            vec![],
            vec!["x".to_owned()],
            vec![thief.proof_of(server, get, &token)],
            vec![device.proof(server, get.0, get.1)],
            vec![device.proof_of(server, get, "another")],
            vec![device.proof_of(server, ("POST", USERS), &token)],
            vec![device.proof_of(server, ("GET", "/scim/v2/default/Groups"), &token)],
            vec![device.proof_with(server, get, &json!({"iat": 1}))],
            vec![device.proof_of(server, get, &token), device.proof_of(server, get, &token)],
        ] {
            let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
            challenged(&ask(&scim, "GET", &by, &proofs).await, 401, "DPoP ", "invalid_token");
        }
        let bearer = format!("Bearer {token}");
        challenged(&ask(&scim, "GET", &bearer, &[]).await, 401, "Bearer ", "invalid_token");
        let proof = device.proof_of(server, get, &token);
        challenged(&ask(&scim, "GET", &bearer, &[&proof]).await, 401, "Bearer ", "invalid_token");
        // Neither is a token that is bound to nothing presented as if it were.
        let proof = device.proof_of(server, get, &scim.token);
        let plain = ask(&scim, "GET", &format!("DPoP {}", scim.token), &[&proof]).await;
        challenged(&plain, 401, "DPoP ", "invalid_token");
        // What is changed is changed by a proof for that request, and by no other.
        let make = device.proof_of(server, ("POST", USERS), &token);
        ask(&scim, "POST", &by, &[&device.proof_of(server, get, &token)]).await.check(401);
        let ada = ask(&scim, "POST", &by, &[&make]).await.expect(201).json();
        ask(&scim, "POST", &by, &[&make]).await.check(401);
        assert_eq!(scim.names("/Users").await, ["ada"]);
        let place = format!("/scim/v2/default{}", path(&ada));
        let proof = device.proof_of(server, ("DELETE", &place), &token);
        let gone = scim.bare("DELETE", &path(&ada)).header("authorization", &by).header("dpop", &proof);
        gone.send().await.check(204);
    }

    async fn rfc9449_9_a_nonce_is_asked_for_where_the_tenant_wants_one(server: &Server) {
        let scim = Provisioner::at(server).await;
        let device = Holder::new(Algorithm::EdDsa);
        let token = bound(server, "robot", &device).await;
        server.set_policy(|policy| policy.require_dpop_nonce = true).await;
        let (by, get) = (format!("DPoP {token}"), ("GET", USERS));
        let proof = device.proof_of(server, get, &token);
        let asked = ask(&scim, "GET", &by, &[&proof]).await;
        challenged(&asked, 401, "DPoP ", "use_dpop_nonce");
        let ath = keyreeve_acceptance::jwt::decode(&proof).claims["ath"].clone();
        let nonce = asked.header("dpop-nonce").expect("a nonce");
        let proof = device.proof_with(server, get, &json!({"ath": ath, "nonce": nonce}));
        ask(&scim, "GET", &by, &[&proof]).await.check(200);
        // Those who show no proof go on as before.
        scim.get("/Users").await.check(200);
    }

    async fn rfc6750_3_each_refusal_has_its_challenge(server: &Server) {
        let scim = Provisioner::at(server).await;
        let nothing = scim.bare("GET", "/Users").send().await;
        refused(&nothing, 401, "");
        let schemes: Vec<_> = nothing.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(schemes.len(), 2, "{nothing}");
        assert!(schemes.iter().all(|challenge| !challenge.to_str().unwrap().contains("error")), "{nothing}");
        let twice = scim.call("GET", "/Users").bearer(&scim.token).send().await;
        challenged(&twice, 400, "Bearer ", "invalid_request");
        let device = Holder::new(Algorithm::Es256);
        let token = bound(server, "robot", &device).await;
        let groups = device.proof_of(server, ("GET", "/scim/v2/default/Groups"), &token);
        let call = scim.bare("GET", "/Groups").header("authorization", &format!("DPoP {token}"));
        let narrow = call.header("dpop", &groups).send().await;
        challenged(&narrow, 403, "DPoP ", "error=\"insufficient_scope\", scope=\"keyreeve:groups:read\"");
    }
}

/// What is left, as the headers tell it.
#[track_caller]
fn left(answer: &Answer) -> u32 {
    assert_eq!(answer.header("ratelimit-policy"), Some("\"caller\";q=6;w=60"), "{answer}");
    let state = answer.header("ratelimit").unwrap_or_else(|| panic!("no RateLimit\n{answer}"));
    let rest = state.strip_prefix("\"caller\";r=").unwrap_or_else(|| panic!("{state}"));
    rest.split(';').next().unwrap().parse().unwrap()
}

on_both_engines! {
    async fn callers_have_one_share_of_a_minute_for_both_interfaces(engine: Engine) {
        let server = Setup::new(engine).set("KEYREEVE_API_RATE_LIMIT", "6").start().await;
        let (scim, other) = (Provisioner::at(&server).await, Holder::new(Algorithm::Es256));
        assert_eq!(left(&scim.get("/Users").await.expect(200)), 5);
        assert_eq!(left(&scim.get("/Users/nothing").await.expect(404)), 4, "refusals count");
        assert_eq!(left(&scim.send("POST", "/Users", &json!({})).await.expect(400)), 3);
        let native = server.get("/api/v1/users").bearer(&scim.token).send().await.expect(200);
        assert_eq!(left(&native), 2, "it is the same caller");
        assert_eq!(left(&scim.get("").await.expect(200)), 1);
        // What is open to everybody, and what shows no good token, is nobody's share.
        let open = scim.bare("GET", "/ServiceProviderConfig").send().await.expect(200);
        assert_eq!(open.header("ratelimit"), None);
        assert_eq!(scim.by("x").get("/Users").await.expect(401).header("ratelimit"), None);
        assert_eq!(left(&scim.get("/Me").await.expect(404)), 0);
        for path in ["/Users", "/Bulk"] {
            let method = if path == "/Bulk" { "POST" } else { "GET" };
            let answer = scim.send(method, path, &json!({})).await;
            refused(&answer, 429, "");
            assert_eq!((left(&answer), answer.header("retry-after")), (0, Some("10")), "{answer}");
        }
        server.get("/api/v1/users").bearer(&scim.token).send().await.check(429);
        // Another has a share of its own, and after ten seconds there is one call more.
        let token = bound(&server, "robot", &other).await;
        let proof = other.proof_of(&server, ("GET", USERS), &token);
        let theirs = ask(&scim, "GET", &format!("DPoP {token}"), &[&proof]).await.expect(200);
        assert_eq!(left(&theirs), 5);
        server.advance(10);
        scim.get("/Users").await.check(200);
        scim.get("/Users").await.check(429);
        server.finish().await;
    }
}
