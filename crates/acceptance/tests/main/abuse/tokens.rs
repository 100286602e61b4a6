//! Tokens and assertions (AC-30 to AC-38).

use super::redirects::session_cookie;
use super::{Stage, granted, stages};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyreeve_acceptance::build::ASSERTION_TYPE;
use keyreeve_acceptance::{Answer, Mount, Server, TestClient, TokenSet, jwt, on_a_server};
use keyreeve_crypto::jws::{Header, sign_compact};
use keyreeve_crypto::sign::{Algorithm, SigningKey};
use keyreeve_identity::Cause;
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn hmac(key: &[u8], text: &str) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, text.as_bytes())))
}

/// The same claims as those of a sound token, in every disguise that some verifier has fallen for.
fn forgeries(sound: &str, public: &Value, bait: &str) -> Vec<String> {
    let (head, rest) = sound.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let header = jwt::decode(sound).header;
    let with = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        encode(&header)
    };
    let own = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let own_jwk = serde_json::to_value(own.public_jwk()).unwrap();
    let resigned = |extra: &[(&str, Value)]| {
        let mut header = header.clone();
        for (name, value) in extra {
            header[*name] = value.clone();
        }
        let text = format!("{}.{claims}", encode(&header));
        let signature = own.sign(text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let public_bytes = URL_SAFE_NO_PAD.decode(public["x"].as_str().unwrap()).unwrap();
    let hs = format!("{}.{claims}", with("alg", json!("HS256")));
    let mut forged = vec![
        // No signature at all.
        format!("{}.{claims}.", with("alg", json!("none"))),
        format!("{}.{claims}.", with("alg", json!("NonE"))),
        format!("{}.{claims}.{signature}", with("alg", json!("none"))),
        format!("{head}.{claims}."),
        format!("{head}.{claims}"),
        // The public key as a shared secret.
        hmac(&public_bytes, &hs),
        hmac(public.to_string().as_bytes(), &hs),
        hmac(b"", &hs),
        // Another key, and a header that says where to find it.
        resigned(&[]),
        resigned(&[("kid", json!(own.kid()))]),
        resigned(&[("jwk", own_jwk.clone())]),
        resigned(&[("jku", json!(bait)), ("kid", json!(own.kid()))]),
        resigned(&[("x5u", json!(bait)), ("kid", json!(own.kid()))]),
        resigned(&[("x5c", json!(["MIIB"]))]),
        resigned(&[("kid", json!(bait))]),
        resigned(&[("kid", json!("../../../../dev/null"))]),
        resigned(&[("kid", json!("' UNION SELECT 'x"))]),
        resigned(&[("kid", json!(["a"]))]),
        resigned(&[("kid", json!(""))]),
        // Another algorithm than the key's.
        format!("{}.{claims}.{signature}", with("alg", json!("ES256"))),
        format!("{}.{claims}.{signature}", with("alg", json!("RS256"))),
        // What must be understood and is not.
        format!("{}.{claims}.{signature}", with("crit", json!(["exp"]))),
        format!("{}.{claims}.{signature}", with("b64", json!(false))),
        // Other containers.
        format!("{head}.{claims}.{signature}.{claims}.{signature}"),
        format!("{}..{claims}.{claims}.{signature}", encode(&json!({"alg": "dir", "enc": "A256GCM"}))),
        json!({"payload": claims, "protected": head, "signature": signature}).to_string(),
        URL_SAFE_NO_PAD.decode(claims).map(|bytes| String::from_utf8(bytes).unwrap()).unwrap(),
        // The signature, nearly.
        format!("{head}.{claims}.{signature}A"),
        format!("{head}.{claims}.{signature}="),
        format!("{head}.{claims}.{}", "A".repeat(signature.len())),
        format!("{head}.{claims}.{}", &signature[..signature.len() - 4]),
        format!("{head}.{}.{signature}", encode(&json!({"sub": "admin"}))),
        "..".to_owned(),
        "a.b.c".to_owned(),
    ];
    // One claim more, under the old signature.
    let mut more = jwt::decode(sound).claims;
    more["scope"] = json!("openid keyreeve:admin");
    forged.push(format!("{head}.{}.{signature}", encode(&more)));
    forged
}

/// The members of an assertion request of a client with a key.
fn assertion_form(assertion: &str) -> [(&str, &str); 3] {
    [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion),
    ]
}

async fn assert_with(mount: &Mount, assertion: &str) -> Answer {
    mount.post("/token").form(&assertion_form(assertion)).send().await
}

async fn own_token(mount: &Mount, client: &TestClient) -> TokenSet {
    TokenSet::read(&mount.token(client, &[("grant_type", "client_credentials")]).await)
}

/// A listener that somebody who follows a link in a token would connect to.
struct Bait(TcpListener);

impl Bait {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn url(&self) -> String {
        format!("http://{}/keys.json", self.0.local_addr().unwrap())
    }

    fn assert_untouched(&self) {
        assert_eq!(self.0.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "the server followed a link");
    }
}

on_a_server! {
    async fn ac_30_ac_50_a_forged_token_opens_nothing_and_fetches_nothing(server: &Server) {
        let bait = Bait::new();
        for stage in stages(server).await {
            let browser = stage.mount.browser();
            let tokens = stage.flow().tokens(&browser, "ada").await;
            let jwks = stage.mount.get("/jwks").send().await.json();
            let kid = jwt::decode(&tokens.access).header["kid"].clone();
            let public =
                jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid).unwrap().clone();
            for forged in forgeries(&tokens.access, &public, &bait.url()) {
                stage.mount.get("/userinfo").bearer(&forged).send().await.check(401);
                stage.mount.post("/userinfo").form(&[("access_token", &forged)]).send().await.check(401);
                assert!(!stage.mount.is_active(&stage.portal, &forged).await, "{forged}");
                stage.mount.post_as(&stage.portal, "/revoke", &[("token", &forged)]).send().await.check(200);
            }
            for forged in forgeries(tokens.id(), &public, &bait.url()) {
                let asked = browser.get("/end-session").query(&[("id_token_hint", &forged)]).send().await;
                assert!(asked.own_location().is_some_and(|path| path.contains("/signout?")), "{asked}");
                let silent = stage.flow().with("prompt", "none").with("id_token_hint", &forged);
                assert_eq!(silent.refusal(&browser).await.error(), "login_required");
            }
            stage.mount.userinfo(&tokens.access).await.check(200);
            assert!(browser.is_signed_in().await && stage.mount.audited("token.revoke").await.is_empty());
        }
        bait.assert_untouched();
    }

    async fn ac_30_ac_50_a_forged_assertion_is_nobody(server: &Server) {
        let bait = Bait::new();
        for stage in stages(server).await {
            let robot = stage.mount.client("robot").service().private_key(Algorithm::EdDsa).create().await;
            let public = serde_json::to_value(robot.key().public_jwk()).unwrap();
            let sound = robot.sign(&robot.assertion_claims(&stage.mount));
            // Throttled or not, none of them is the client.
            for forged in forgeries(&sound, &public, &bait.url()) {
                let answer = assert_with(&stage.mount, &forged).await;
                assert!(answer.status == 401 || answer.status == 429, "{forged}\n{answer}");
                server.advance(2);
            }
            server.advance(4_000);
            assert_eq!(granted(&stage.mount).await, 0);
            let sound = robot.sign(&robot.assertion_claims(&stage.mount));
            assert_with(&stage.mount, &sound).await.check(200);
        }
        bait.assert_untouched();
    }

    async fn ac_31_ac_33_an_assertion_has_an_end_and_a_near_one(server: &Server) {
        for stage in stages(server).await {
            let robot = stage.mount.client("robot").service().private_key(Algorithm::Es256).create().await;
            let now = stage.mount.now().seconds();
            let change = |name: &str, value: Option<Value>| {
                let mut claims = robot.assertion_claims(&stage.mount);
                match value {
                    Some(value) => claims[name] = value,
                    None => drop(claims.as_object_mut().unwrap().remove(name)),
                }
                robot.sign(&claims)
            };
            let refused = [
                change("exp", None),
                change("jti", None),
                change("iss", None),
                change("sub", None),
                change("aud", None),
                change("exp", Some(json!("never"))),
                change("exp", Some(json!(null))),
                change("exp", Some(json!(i64::MAX))),
                change("exp", Some(json!(now + 3_600))),
                change("exp", Some(json!(now + 400))),
                change("exp", Some(json!(now - 60))),
                change("exp", Some(json!(-1))),
                change("nbf", Some(json!(now + 3_600))),
                change("iat", Some(json!(now + 3_600))),
                change("jti", Some(json!(""))),
                change("jti", Some(json!("j".repeat(300)))),
                change("aud", Some(json!([]))),
                change("aud", Some(json!("https://elsewhere.example"))),
                change("aud", Some(json!([stage.mount.issuer(), "https://elsewhere.example"]))),
                change("iss", Some(json!("portal"))),
                change("sub", Some(json!("portal"))),
            ];
            for (number, assertion) in refused.iter().enumerate() {
                let from = format!("127.0.8.{number}");
                let call = stage.mount.post("/token").form(&assertion_form(assertion)).from(&from);
                call.send().await.refused(401, "invalid_client");
            }
            assert_eq!(granted(&stage.mount).await, 0);
            assert_eq!(stage.mount.refusals("admission.client").await.len(), refused.len());
        }
    }

    async fn ac_32_an_assertion_is_good_once_wherever_it_is_used(server: &Server) {
        for stage in stages(server).await {
            let robot = stage.mount.client("robot").service().private_key(Algorithm::EdDsa).create().await;
            let other = stage.mount.client("other").service().private_key(Algorithm::EdDsa).create().await;
            for first in ["/token", "/introspect", "/revoke"] {
                let claims = robot.assertion_claims(&stage.mount);
                let assertion = robot.sign(&claims);
                let form = [&assertion_form(&assertion)[..], &[("token", "x")]].concat();
                stage.mount.post(first).form(&form).send().await.check(200);
                for (number, second) in ["/token", "/introspect", "/revoke"].iter().enumerate() {
                    let from = format!("127.0.9.{}", number + 1);
                    stage
                        .mount
                        .post(second)
                        .form(&form)
                        .from(&from)
                        .send()
                        .await
                        .refused(401, "invalid_client");
                }
                // The same identifier under a new signature is the same assertion; another client's is its own.
                let again = robot.sign(&{
                    let mut claims = claims.clone();
                    claims["exp"] = json!(claims["exp"].as_i64().unwrap() + 1);
                    claims
                });
                let call = stage.mount.post("/token").form(&assertion_form(&again)).from("127.0.9.9");
                call.send().await.refused(401, "invalid_client");
                let mut theirs = other.assertion_claims(&stage.mount);
                theirs["jti"] = claims["jti"].clone();
                assert_with(&stage.mount, &other.sign(&theirs)).await.check(200);
            }
            // Not even a restarted memory forgets it before it has expired.
            let assertion = robot.sign(&robot.assertion_claims(&stage.mount));
            assert_with(&stage.mount, &assertion).await.check(200);
            server.advance(59);
            server.app().tokens.prune().await.unwrap();
            assert_with(&stage.mount, &assertion).await.refused(401, "invalid_client");
            server.advance(40);
            server.app().tokens.prune().await.unwrap();
            assert_with(&stage.mount, &assertion).await.refused(401, "invalid_client");
        }
    }

    async fn ac_34_one_kind_of_token_is_no_other(server: &Server) {
        for stage in stages(server).await {
            let browser = stage.mount.browser();
            let tokens = stage.flow().tokens(&browser, "ada").await;
            let code = stage.flow().walk(&browser, "ada").await.code().to_owned();
            let cookie = browser.cookie(&session_cookie(&stage.mount)).unwrap();
            let service = stage.mount.client("service").service().create().await;
            let own = own_token(&stage.mount, &service).await;
            for wrong in [tokens.id(), tokens.refresh(), &code, &cookie] {
                stage.mount.userinfo(wrong).await.check(401);
            }
            stage.mount.userinfo(&own.access).await.check(403);
            for wrong in [tokens.id(), &code, &cookie] {
                assert!(!stage.mount.is_active(&stage.portal, wrong).await);
            }
            for wrong in [&*tokens.access, tokens.id(), &code, &cookie] {
                stage.mount.try_refresh(&stage.portal, wrong).await.refused(400, "invalid_grant");
            }
            for wrong in [&*tokens.access, tokens.id(), tokens.refresh(), &cookie] {
                stage.flow().redeem(wrong).await.refused(400, "invalid_grant");
            }
            for wrong in [&*tokens.access, tokens.id(), tokens.refresh(), &code] {
                let fresh = stage.mount.browser();
                fresh.set_cookie(&session_cookie(&stage.mount), wrong);
                assert!(!fresh.is_signed_in().await);
            }
            let hint = [("id_token_hint", tokens.access.as_str())];
            let asked = browser.get("/end-session").query(&hint).send().await;
            assert!(asked.own_location().is_some_and(|path| path.contains("/signout?")), "{asked}");
            // None of this was taken for an attack on what is good.
            stage.mount.userinfo(&tokens.access).await.check(200);
            stage.flow().redeem(&code).await.check(200);
            stage.mount.refresh(&stage.portal, tokens.refresh()).await;
        }
    }

    async fn ac_34_ac_52_what_is_one_tenants_is_nothing_in_another(server: &Server) {
        let [one, two] = stages(server).await;
        for (here, there) in [(&one, &two), (&two, &one)] {
            let browser = here.mount.browser();
            let tokens = here.flow().tokens(&browser, "ada").await;
            let code = here.flow().walk(&browser, "ada").await.code().to_owned();
            let service = here.mount.client("service").service().create().await;
            let own = own_token(&here.mount, &service).await;
            for token in [&*tokens.access, &*own.access, tokens.id(), tokens.refresh()] {
                there.mount.userinfo(token).await.check(401);
                assert!(!there.mount.is_active(&there.portal, token).await);
                there.mount.post_as(&there.portal, "/revoke", &[("token", token)]).send().await.check(200);
            }
            there.flow().redeem(&code).await.refused(400, "invalid_grant");
            there.mount.try_refresh(&there.portal, tokens.refresh()).await.refused(400, "invalid_grant");
            // Clients of the same name are two, and one that is only here is nobody there.
            there
                .mount
                .token(&here.portal, &[("grant_type", "client_credentials")])
                .await
                .refused(401, "invalid_client");
            there
                .mount
                .token(&service, &[("grant_type", "client_credentials")])
                .await
                .refused(401, "invalid_client");
            // A session is one tenant's, under whatever name its cookie comes.
            let (name, value) = (session_cookie(&there.mount), session_cookie(&here.mount));
            let abroad = browser.at(&there.mount);
            abroad.set_cookie(&name, &browser.cookie(&value).unwrap());
            assert!(!abroad.is_signed_in().await);
            let keys = async |stage: &Stage| stage.mount.get("/jwks").send().await.json()["keys"].clone();
            let (ours, theirs) = (keys(here).await, keys(there).await);
            assert!(ours.as_array().unwrap().iter().all(|key| !theirs.as_array().unwrap().contains(key)));
            // All of it is still good where it belongs.
            here.mount.userinfo(&tokens.access).await.check(200);
            here.flow().redeem(&code).await.check(200);
            here.mount.refresh(&here.portal, tokens.refresh()).await;
        }
    }

    async fn ac_34_a_client_learns_nothing_of_anothers_tokens(server: &Server) {
        for stage in stages(server).await {
            let other = stage.mount.client("other").web_app().create().await;
            let tokens = stage.tokens().await;
            for token in [&*tokens.access, tokens.refresh()] {
                let told =
                    stage.mount.post_as(&other, "/introspect", &[("token", token)]).send().await.expect(200);
                assert_eq!(told.json(), json!({"active": false}));
                stage.mount.post_as(&other, "/revoke", &[("token", token)]).send().await.check(200);
                assert!(stage.mount.is_active(&stage.portal, token).await);
            }
            let reasons = stage.mount.refusals("token.revoke").await;
            assert_eq!(reasons, ["token_of_another_client", "token_of_another_client"]);
            // A public client can prove nothing, and is told nothing.
            let spa = stage.mount.client("spa").web_app().public().create().await;
            let asked = stage.mount.post_as(&spa, "/introspect", &[("token", &tokens.access)]).send().await;
            asked.refused(401, "invalid_client");
            // To use somebody else's refresh token is theft: it ends.
            stage.mount.try_refresh(&other, tokens.refresh()).await.refused(400, "invalid_grant");
            stage.mount.try_refresh(&stage.portal, tokens.refresh()).await.refused(400, "invalid_grant");
        }
    }

    async fn ac_35_a_replaced_secret_works_as_long_as_it_was_said_to(server: &Server) {
        for stage in stages(server).await {
            let service = stage.mount.client("service").service().create().await;
            let clients = stage.mount.tokens().clients();
            let (_, fresh) = clients
                .add_secret(&service.client, Duration::from_secs(3_600), &Cause::operator())
                .await
                .unwrap();
            let form = [("grant_type", "client_credentials")];
            let with = async |secret: &str| {
                stage.mount.post("/token").basic("service", secret).form(&form).send().await
            };
            server.advance(3_599);
            with(service.secret()).await.check(200);
            server.advance(2);
            with(service.secret()).await.refused(401, "invalid_client");
            with(fresh.expose()).await.check(200);
        }
    }

    async fn ac_36_every_tenant_has_keys_of_its_own_and_publishes_no_private_part(server: &Server) {
        let mut kids = Vec::new();
        for stage in stages(server).await {
            let jwks = stage.mount.get("/jwks").send().await.expect(200).json();
            for key in jwks["keys"].as_array().unwrap() {
                for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
                    assert!(key.get(private).is_none(), "{key}");
                }
                kids.push(key["kid"].as_str().unwrap().to_owned());
            }
            // A key that is no longer published verifies nothing any more.
            let tokens = stage.tokens().await;
            let old = SigningKey::generate(Algorithm::EdDsa).unwrap();
            let header = Header { typ: "at+jwt", kid: Some(old.kid()) };
            let forged = sign_compact(&old, &header, &jwt::decode(&tokens.access).claims).unwrap();
            stage.mount.userinfo(&forged).await.check(401);
        }
        let count = kids.len();
        kids.sort();
        kids.dedup();
        assert_eq!((kids.len(), count > 3), (count, true));
    }
}
