//! Proof of possession (RFC 9449) over HTTP.

use keyreeve_acceptance::possession::Holder;
use keyreeve_acceptance::{Answer, CodeFlow, Mount, Server, TestClient, jwt, on_a_server};
use keyreeve_crypto::sign::Algorithm;
use serde_json::{Value, json};

const TOKEN: (&str, &str) = ("POST", "/token");
const USERINFO: (&str, &str) = ("GET", "/userinfo");

async fn spa(mount: &Mount) -> TestClient {
    mount.user("ada").create().await;
    mount.client("spa").web_app().public().create().await
}

/// A code of ada's, redeemed with these proofs.
async fn redeem(mount: &Mount, client: &TestClient, proofs: &[&str]) -> Answer {
    let flow = mount.code_flow(client);
    let callback = flow.walk(&mount.browser(), "ada").await;
    send(mount, client, &flow.redemption(callback.code()), proofs).await
}

async fn send(mount: &Mount, client: &TestClient, form: &[(&str, &str)], proofs: &[&str]) -> Answer {
    let call = mount.post_as(client, "/token", form);
    proofs.iter().fold(call, |call, proof| call.header("dpop", proof)).send().await
}

fn text<'j>(json: &'j Value, name: &str) -> &'j str {
    json[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}"))
}

async fn userinfo(mount: &Mount, scheme: &str, token: &str, proofs: &[&str]) -> Answer {
    let call = mount.get("/userinfo").header("authorization", &format!("{scheme} {token}"));
    proofs.iter().fold(call, |call, proof| call.header("dpop", proof)).send().await
}

/// The challenges of a refusal.
#[track_caller]
fn challenged(answer: &Answer, status: u16, says: &str) {
    answer.check(status);
    let challenge = answer.headers.get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok());
    let challenge: Vec<&str> = challenge.collect();
    assert!(
        challenge.iter().any(|one| one.starts_with("DPoP ") && one.contains(says)),
        "{challenge:?}\n{answer}"
    );
}

on_a_server! {
    async fn rfc9449_5_and_7_a_token_is_bound_and_used_with_proofs(server: &Server) {
        for mount in [(**server).clone(), server.tenant("acme").create().await] {
            let client = spa(&mount).await;
            for alg in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
                let device = Holder::new(alg);
                let answer = redeem(&mount, &client, &[&device.proof(&mount, TOKEN.0, TOKEN.1)]).await.expect(200);
                let tokens = answer.json();
                assert_eq!(tokens["token_type"], "DPoP");
                let token = text(&tokens, "access_token");
                assert_eq!(jwt::verify(&mount, token).await.claims["cnf"], json!({"jkt": device.jkt()}));
                let proof = device.proof_of(&mount, USERINFO, token);
                userinfo(&mount, "DPoP", token, &[&proof]).await.check(200);
                challenged(&userinfo(&mount, "DPoP", token, &[&proof]).await, 401, "invalid_token");
                userinfo(&mount, "Bearer", token, &[]).await.check(401);
                userinfo(&mount, "Bearer", token, &[&device.proof_of(&mount, USERINFO, token)]).await.check(401);
                let posted = mount.post("/userinfo").form(&[("access_token", token)]).send().await;
                posted.check(401);
                let form = mount.post("/userinfo").header("authorization", &format!("DPoP {token}"))
                    .header("dpop", &device.proof_of(&mount, ("POST", "/userinfo"), token));
                form.send().await.check(200);
            }
        }
    }

    async fn rfc9449_7_1_what_is_not_proven_is_refused(server: &Server) {
        let client = spa(server).await;
        let (device, thief) = (Holder::new(Algorithm::Es256), Holder::new(Algorithm::Es256));
        let tokens = redeem(server, &client, &[&device.proof(server, TOKEN.0, TOKEN.1)]).await.expect(200).json();
        let token = text(&tokens, "access_token");
        for proofs in [
            vec![],
            vec!["x".to_owned()],
            vec![thief.proof_of(server, USERINFO, token)],
            vec![device.proof(server, USERINFO.0, USERINFO.1)],
            vec![device.proof_of(server, USERINFO, "another")],
            vec![device.proof_of(server, ("POST", "/userinfo"), token)],
            vec![device.proof_of(server, ("GET", "/account"), token)],
            vec![device.proof_with(server, USERINFO, &json!({"iat": 1}))],
            vec![device.proof_of(server, USERINFO, token), device.proof_of(server, USERINFO, token)],
        ] {
            let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
            challenged(&userinfo(server, "DPoP", token, &proofs).await, 401, "invalid_token");
        }
        let plain = server.code_flow(&client).tokens(&server.browser(), "ada").await;
        let proof = device.proof_of(server, USERINFO, &plain.access);
        challenged(&userinfo(server, "DPoP", &plain.access, &[&proof]).await, 401, "invalid_token");
        let nobody = server.get("/userinfo").send().await;
        challenged(&nobody, 401, "algs=\"EdDSA ES256 RS256\"");
    }

    async fn rfc9449_5_a_bad_proof_is_refused_at_the_token_endpoint(server: &Server) {
        let client = spa(server).await;
        let device = Holder::new(Algorithm::Es256);
        let good = device.proof(server, TOKEN.0, TOKEN.1);
        for proofs in [
            vec!["x".to_owned()],
            vec![device.proof(server, "GET", "/token")],
            vec![device.proof(server, "POST", "/par")],
            vec![device.proof_with(server, TOKEN, &json!({"iat": server.now().seconds() - 300}))],
            vec![device.proof_with(server, TOKEN, &json!({"htu": "https://evil.example/token"}))],
            vec![device.proof_with(server, TOKEN, &json!({"jti": ""}))],
            vec![good.clone(), good.clone()],
        ] {
            let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
            redeem(server, &client, &proofs).await.refused(400, "invalid_dpop_proof");
        }
        redeem(server, &client, &[&good]).await.check(200);
        redeem(server, &client, &[&good]).await.refused(400, "invalid_dpop_proof");
    }

    async fn rfc9449_5_a_public_clients_refresh_token_needs_its_key(server: &Server) {
        let client = spa(server).await;
        let (device, thief) = (Holder::new(Algorithm::EdDsa), Holder::new(Algorithm::EdDsa));
        let tokens = redeem(server, &client, &[&device.proof(server, TOKEN.0, TOKEN.1)]).await.expect(200).json();
        let form = [("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token"))];
        send(server, &client, &form, &[]).await.refused(400, "invalid_grant");
        send(server, &client, &form, &[&thief.proof(server, TOKEN.0, TOKEN.1)]).await.refused(400, "invalid_grant");
        let next = send(server, &client, &form, &[&device.proof(server, TOKEN.0, TOKEN.1)]).await.expect(200).json();
        assert_eq!(next["token_type"], "DPoP");
    }

    async fn rfc9449_5_2_and_10_a_client_is_held_to_its_key(server: &Server) {
        let client = spa(server).await;
        client.set(|s| s.dpop_bound_access_tokens = true).await;
        let (device, thief) = (Holder::new(Algorithm::Es256), Holder::new(Algorithm::Es256));
        redeem(server, &client, &[]).await.refused(400, "invalid_dpop_proof");
        let flow = server.code_flow(&client).with("dpop_jkt", device.jkt());
        let code = async || flow.walk(&server.browser(), "ada").await.code().to_owned();
        let redeem_by = async |flow: &CodeFlow, code: &str, holder: &Holder| {
            let proof = holder.proof(server, TOKEN.0, TOKEN.1);
            send(server, &client, &flow.redemption(code), &[&proof]).await
        };
        redeem_by(&flow, &code().await, &thief).await.refused(400, "invalid_grant");
        redeem_by(&flow, &code().await, &device).await.check(200);
        // A proof beside a pushed request binds its code as well.
        let flow = server.code_flow(&client);
        let pushed = server.post("/par").form(&flow.pairs()).header("dpop", &device.proof(server, "POST", "/par"));
        let uri = crate::pushed::reference(&pushed.send().await);
        let browser = server.browser();
        let answer = browser.get("/authorize").query(&[("client_id", "spa"), ("request_uri", &uri)]).send().await;
        let code = browser.walk(answer, "ada").await.code().to_owned();
        redeem_by(&flow, &code, &thief).await.refused(400, "invalid_grant");
        let bad = server.post("/par").form(&flow.pairs()).header("dpop", &device.proof(server, "POST", "/token"));
        bad.send().await.refused(400, "invalid_dpop_proof");
    }

    async fn rfc9449_8_and_9_nonces_are_asked_for_and_given(server: &Server) {
        let client = spa(server).await;
        server.set_policy(|policy| policy.require_dpop_nonce = true).await;
        let device = Holder::new(Algorithm::Es256);
        let form = [("grant_type", "refresh_token"), ("refresh_token", "x")];
        let asked = send(server, &client, &form, &[&device.proof(server, TOKEN.0, TOKEN.1)]).await;
        asked.refused(400, "use_dpop_nonce");
        let nonce = asked.header("dpop-nonce").expect("a nonce").to_owned();
        let proof = device.proof_with(server, TOKEN, &json!({"nonce": nonce}));
        let answer = redeem(server, &client, &[&proof]).await.expect(200);
        assert!(answer.header("dpop-nonce").is_some(), "the next one comes along");
        let tokens = answer.json();
        let token = text(&tokens, "access_token");
        let asked = userinfo(server, "DPoP", token, &[&device.proof_of(server, USERINFO, token)]).await;
        challenged(&asked, 401, "use_dpop_nonce");
        let nonce = asked.header("dpop-nonce").expect("a nonce");
        let proof = device.proof_of(server, USERINFO, token);
        let ath = jwt::decode(&proof).claims["ath"].clone();
        let proof = device.proof_with(server, USERINFO, &json!({"ath": ath, "nonce": nonce}));
        userinfo(server, "DPoP", token, &[&proof]).await.check(200);
        // Nobody who shows no proof is bothered with one.
        assert!(server.code_flow(&client).tokens(&server.browser(), "ada").await.json.is_object());
    }

    async fn rfc9449_6_2_introspection_tells_the_key(server: &Server) {
        let client = spa(server).await;
        let api = server.client("api").service().with(|s| s.resources = vec![server.issuer()]).create().await;
        let device = Holder::new(Algorithm::Es256);
        let tokens = redeem(server, &client, &[&device.proof(server, TOKEN.0, TOKEN.1)]).await.expect(200).json();
        let told = server.post_as(&api, "/introspect", &[("token", text(&tokens, "access_token"))]).send().await;
        let told = told.expect(200).json();
        assert_eq!((&told["active"], &told["token_type"]), (&json!(true), &json!("DPoP")), "{told}");
        assert_eq!(told["cnf"], json!({"jkt": device.jkt()}));
    }

    async fn rfc9449_10_what_names_a_key_must_agree(server: &Server) {
        let client = spa(server).await;
        let (device, thief) = (Holder::new(Algorithm::Es256), Holder::new(Algorithm::Es256));
        let flow = server.code_flow(&client);
        for bad in ["short", "", &"x".repeat(44)] {
            let answer = server.post("/par").form(&flow.clone().with("dpop_jkt", bad).pairs()).send().await;
            if bad.is_empty() {
                // Sent without a value is not sent (RFC 6749 section 3.1).
                answer.check(201);
                continue;
            }
            answer.refused(400, "invalid_request");
            assert_eq!(flow.clone().with("dpop_jkt", bad).refusal(&server.browser()).await.error(), "invalid_request");
        }
        let flow = flow.with("dpop_jkt", device.jkt());
        let push = async |by: &Holder, more: &Value| {
            let proof = by.proof_with(server, ("POST", "/par"), more);
            server.post("/par").form(&flow.pairs()).header("dpop", &proof).send().await
        };
        push(&thief, &json!({})).await.refused(400, "invalid_dpop_proof");
        push(&device, &json!({})).await.check(201);
        server.set_policy(|policy| policy.require_dpop_nonce = true).await;
        let asked = push(&device, &json!({})).await;
        asked.refused(400, "use_dpop_nonce");
        let nonce = asked.header("dpop-nonce").expect("a nonce");
        let answer = push(&device, &json!({"nonce": nonce})).await.expect(201);
        assert!(answer.header("dpop-nonce").is_some(), "the next one comes along");
        push(&device, &json!({"nonce": "made up"})).await.refused(400, "use_dpop_nonce");
    }
}
