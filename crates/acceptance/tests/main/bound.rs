//! Tokens that are bound to keys (RFC 9449) and meant for resources (RFC 8707), whatever the grant that they come of.

use crate::assertions::{BEARER, Idp};
use crate::device::{DEVICE_CODE, Device, signed_in};
use keyreeve_acceptance::possession::Holder;
use keyreeve_acceptance::{Answer, Mount, Server, TestClient, jwt, on_a_server};
use keyreeve_crypto::sign::Algorithm;
use keyreeve_identity::{Cause, MembershipKind, NewServiceAccount, Party};
use keyreeve_tokens::clients::GrantType;
use serde_json::{Value, json};

const API: &str = "https://api.example/";
const FILES: &str = "https://files.example/";
const UNKNOWN: &str = "https://unknown.example/";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const TOKEN: (&str, &str) = ("POST", "/token");

/// A resource server that answers for both resources.
async fn resource_server(mount: &Mount) -> TestClient {
    let client = mount.client("api").service();
    client.with(|settings| settings.resources = vec![API.to_owned(), FILES.to_owned()]).create().await
}

fn holder() -> Holder {
    Holder::new(Algorithm::Es256)
}

/// Asks the token endpoint with these proofs.
async fn ask(mount: &Mount, client: &TestClient, form: &[(&str, &str)], proofs: &[&str]) -> Answer {
    let call = mount.post_as(client, "/token", form);
    proofs.iter().fold(call, |call, proof| call.header("dpop", proof)).send().await
}

/// The same with a fresh proof.
async fn prove(mount: &Mount, client: &TestClient, form: &[(&str, &str)], by: &Holder) -> Answer {
    ask(mount, client, form, &[&by.proof(mount, TOKEN.0, TOKEN.1)]).await
}

/// What was issued, and its verified claims: bound to this holder's key, or to none.
async fn issued(mount: &Mount, answer: &Answer, to: Option<&Holder>) -> (Value, Value) {
    answer.check(200);
    let json = answer.json();
    assert_eq!(json["token_type"], if to.is_some() { "DPoP" } else { "Bearer" }, "{answer}");
    let claims = jwt::verify(mount, json["access_token"].as_str().unwrap()).await.claims;
    let cnf = to.map_or(Value::Null, |holder| json!({"jkt": holder.jkt()}));
    assert_eq!(claims.get("cnf").cloned().unwrap_or_default(), cnf, "{answer}");
    (json, claims)
}

fn text<'j>(json: &'j Value, name: &str) -> &'j str {
    json[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}"))
}

async fn userinfo(mount: &Mount, token: &str, by: &Holder) -> u16 {
    let proof = by.proof_of(mount, ("GET", "/userinfo"), token);
    let call = mount.get("/userinfo").header("authorization", &format!("DPoP {token}"));
    call.header("dpop", &proof).send().await.status.as_u16()
}

async fn tv(mount: &Mount) -> TestClient {
    let client = mount.client("tv").public().scopes("openid profile");
    client.grants(&[GrantType::DeviceCode, GrantType::RefreshToken]).create().await
}

/// A device whose user has said yes.
async fn allowed(mount: &Mount, client: &TestClient, resources: &[&str]) -> Device {
    let device = Device::begin_for(mount, client, "openid", resources).await;
    let browser = signed_in(mount, "ada").await;
    device.decide(&browser, "allow").await.check(200);
    device
}

fn question(device: &Device) -> [(&str, &str); 2] {
    [("grant_type", DEVICE_CODE), ("device_code", device.code.as_str())]
}

on_a_server! {
    async fn rfc9449_5_a_devices_tokens_are_bound_to_its_key(server: &Server) {
        server.user("ada").create().await;
        let tv = tv(server).await;
        let (own, thief) = (holder(), holder());
        let device = Device::begin(server, &tv, "openid").await;
        // Each question needs a proof of its own, and what is wrong with the proof is said before anything else.
        let proof = own.proof(server, TOKEN.0, TOKEN.1);
        ask(server, &tv, &question(&device), &[&proof]).await.refused(400, "authorization_pending");
        server.advance(5);
        ask(server, &tv, &question(&device), &[&proof]).await.refused(400, "invalid_dpop_proof");
        let browser = signed_in(server, "ada").await;
        device.decide(&browser, "allow").await.check(200);
        for bad in ["x".to_owned(), own.proof(server, "POST", "/par"), own.proof(server, "GET", "/token")] {
            ask(server, &tv, &question(&device), &[&bad]).await.refused(400, "invalid_dpop_proof");
        }
        tv.set(|settings| settings.dpop_bound_access_tokens = true).await;
        ask(server, &tv, &question(&device), &[]).await.refused(400, "invalid_dpop_proof");
        // None of that has used the approval up.
        let answer = prove(server, &tv, &question(&device), &own).await;
        let (tokens, _) = issued(server, &answer, Some(&own)).await;
        let access = text(&tokens, "access_token");
        assert_eq!(userinfo(server, access, &own).await, 200);
        assert_eq!(userinfo(server, access, &thief).await, 401);
        server.userinfo(access).await.check(401);
        let form = [("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token"))];
        prove(server, &tv, &form, &thief).await.refused(400, "invalid_grant");
        ask(server, &tv, &form, &[]).await.refused(400, "invalid_dpop_proof");
        let answer = prove(server, &tv, &form, &own).await;
        issued(server, &answer, Some(&own)).await;
    }

    async fn rfc8707_2_a_device_names_resources(server: &Server) {
        server.user("ada").create().await;
        resource_server(server).await;
        let tv = tv(server).await;
        for bad in [UNKNOWN, "api", "/api", "https://api.example/#x", ""] {
            let form = [("scope", "openid"), ("resource", bad)];
            let answer = server.post_as(&tv, "/device_authorization", &form).send().await;
            if bad.is_empty() {
                // Sent without a value is not sent (RFC 6749 section 3.1).
                answer.check(200);
            } else {
                answer.refused(400, "invalid_target");
            }
        }
        let device = allowed(server, &tv, &[API, FILES]).await;
        let with = |device: &Device, resource: &str| {
            let mut form = question(device).map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
            form.push(("resource".to_owned(), resource.to_owned()));
            form
        };
        let send = async |form: &[(String, String)]| {
            let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            ask(server, &tv, &form, &[]).await
        };
        // Beyond what it began with there is nothing, and asking for it uses nothing up.
        send(&with(&device, &server.issuer())).await.refused(400, "invalid_target");
        send(&with(&device, UNKNOWN)).await.refused(400, "invalid_target");
        let (tokens, claims) = issued(server, &send(&with(&device, API)).await, None).await;
        assert_eq!(claims["aud"], API);
        server.userinfo(text(&tokens, "access_token")).await.check(401);
        let refresh = async |tokens: &Value, more: &[(&str, &str)]| {
            let token = text(tokens, "refresh_token");
            let form: Vec<_> = [("grant_type", "refresh_token"), ("refresh_token", token)].iter().chain(more).copied().collect();
            ask(server, &tv, &form, &[]).await
        };
        let (tokens, claims) = issued(server, &refresh(&tokens, &[]).await, None).await;
        assert_eq!(claims["aud"], json!([API, FILES]), "what it was granted");
        let (tokens, claims) = issued(server, &refresh(&tokens, &[("resource", FILES)]).await, None).await;
        assert_eq!(claims["aud"], FILES);
        refresh(&tokens, &[("resource", &server.issuer())]).await.refused(400, "invalid_target");
        // One that began with none in particular names them as it goes.
        let device = allowed(server, &tv, &[]).await;
        let (tokens, claims) = issued(server, &send(&with(&device, FILES)).await, None).await;
        assert_eq!(claims["aud"], FILES);
        let (_, claims) = issued(server, &refresh(&tokens, &[]).await, None).await;
        assert_eq!(claims["aud"], server.issuer());
    }

    async fn rfc7523_assertions_lead_to_bound_tokens_for_resources(server: &Server) {
        server.user("ada").create().await;
        resource_server(server).await;
        let (idp, _) = Idp::trusted(server, |_| ()).await;
        let bridge = server.client("bridge").confidential().grants(&[GrantType::JwtBearer]).scopes("profile read");
        let bridge = bridge.create().await;
        let (own, assertion) = (holder(), idp.say(&json!({})));
        let with = |resource: &'static str| {
            [("grant_type", BEARER), ("assertion", assertion.as_str()), ("resource", resource)]
        };
        // What is wrong beside the assertion leaves it unused.
        ask(server, &bridge, &with(UNKNOWN), &[]).await.refused(400, "invalid_target");
        prove(server, &bridge, &with("api"), &own).await.refused(400, "invalid_target");
        ask(server, &bridge, &with(API), &["x"]).await.refused(400, "invalid_dpop_proof");
        bridge.set(|settings| settings.dpop_bound_access_tokens = true).await;
        ask(server, &bridge, &with(API), &[]).await.refused(400, "invalid_dpop_proof");
        let answer = prove(server, &bridge, &with(API), &own).await;
        let (tokens, claims) = issued(server, &answer, Some(&own)).await;
        assert_eq!((&claims["aud"], tokens.get("refresh_token")), (&json!(API), None));
        prove(server, &bridge, &with(API), &own).await.refused(400, "invalid_grant");
    }

    async fn rfc8693_exchanged_tokens_are_bound_to_the_key_of_who_exchanges(server: &Server) {
        let scene = Chain::set(server).await;
        let (own, device) = (holder(), holder());
        let answer = scene.exchange(&scene.access, &[], Some(&own)).await;
        let (tokens, claims) = issued(server, &answer, Some(&own)).await;
        assert_eq!((&tokens["issued_token_type"], &claims["act"]), (&json!(ACCESS), &json!({"sub": "service"})));
        // What is bound already is not handed on: nobody but its holder can prove to be that one.
        let bound = scene.portal_token(&device).await;
        scene.exchange(&bound, &[], None).await.refused(400, "invalid_request");
        scene.exchange(&bound, &[], Some(&own)).await.refused(400, "invalid_request");
        scene.exchange(text(&tokens, "access_token"), &[], Some(&own)).await.refused(400, "invalid_request");
        let actor = prove(server, &scene.service, &[("grant_type", "client_credentials")], &own).await;
        let (actor, _) = issued(server, &actor, Some(&own)).await;
        let actor = [("actor_token", text(&actor, "access_token")), ("actor_token_type", ACCESS)];
        scene.exchange(&scene.access, &actor, Some(&own)).await.refused(400, "invalid_request");
        let reasons = server.refusals("admission.exchange").await;
        assert_eq!(reasons.iter().filter(|reason| *reason == "token_bound_to_a_key").count(), 3, "{reasons:?}");
        assert!(reasons.contains(&"actor_is_somebody_else".to_owned()), "{reasons:?}");
        let form = [("grant_type", EXCHANGE), ("subject_token", &*scene.access), ("subject_token_type", ACCESS)];
        ask(server, &scene.service, &form, &["x"]).await.refused(400, "invalid_dpop_proof");
        scene.service.set(|settings| settings.dpop_bound_access_tokens = true).await;
        ask(server, &scene.service, &form, &[]).await.refused(400, "invalid_dpop_proof");
    }

    async fn rfc8693_2_1_audiences_and_resources_choose_together(server: &Server) {
        let scene = Chain::set(server).await;
        let exchanged = async |form: &[(&str, &str)]| {
            issued(server, &scene.exchange(&scene.access, form, None).await, None).await.1["aud"].clone()
        };
        assert_eq!(exchanged(&[]).await, json!(["store", FILES]), "whom the operator lets it reach");
        assert_eq!(exchanged(&[("audience", "store")]).await, "store");
        // The operator's word suffices: nobody has to have registered this resource.
        assert_eq!(exchanged(&[("resource", FILES)]).await, FILES);
        assert_eq!(exchanged(&[("resource", FILES), ("audience", "store")]).await, json!(["store", FILES]));
        assert_eq!(exchanged(&[("audience", "store"), ("audience", "service")]).await, json!(["store", "service"]));
        assert_eq!(exchanged(&[("resource", API)]).await, API, "the token was for it before");
        let beyond: [&[(&str, &str)]; 5] = [
            &[("resource", UNKNOWN)],
            &[("resource", FILES), ("resource", UNKNOWN)],
            &[("audience", "store"), ("audience", "bank")],
            &[("resource", "store")],
            &[("resource", "https://files.example/#x")],
        ];
        for form in beyond {
            scene.exchange(&scene.access, form, None).await.refused(400, "invalid_target");
        }
        let many: Vec<_> = (0..9).map(|_| ("audience", "store")).collect();
        scene.exchange(&scene.access, &many, None).await.refused(400, "invalid_target");
    }

    async fn a_refresh_that_is_refused_uses_nothing_up(server: &Server) {
        server.user("ada").create().await;
        resource_server(server).await;
        let spa = server.client("spa").web_app().public().first_party().create().await;
        let (own, thief) = (holder(), holder());
        let flow = server.code_flow(&spa).with("resource", API);
        let code = flow.walk(&server.browser(), "ada").await.code().to_owned();
        let answer = prove(server, &spa, &flow.redemption(&code), &own).await;
        let (tokens, claims) = issued(server, &answer, Some(&own)).await;
        assert_eq!(claims["aud"], API);
        let form = |resource: &'static str| {
            let token = text(&tokens, "refresh_token");
            [("grant_type", "refresh_token"), ("refresh_token", token), ("resource", resource)]
        };
        prove(server, &spa, &form(FILES), &own).await.refused(400, "invalid_target");
        prove(server, &spa, &form(UNKNOWN), &own).await.refused(400, "invalid_target");
        prove(server, &spa, &form(API), &thief).await.refused(400, "invalid_grant");
        ask(server, &spa, &form(API), &["x"]).await.refused(400, "invalid_dpop_proof");
        ask(server, &spa, &form(API), &[]).await.refused(400, "invalid_grant");
        let answer = prove(server, &spa, &form(API), &own).await;
        let (next, claims) = issued(server, &answer, Some(&own)).await;
        assert_eq!(claims["aud"], API);
        assert_ne!(next["refresh_token"], tokens["refresh_token"]);
    }

    async fn programs_and_service_accounts_prove_keys_and_name_resources(server: &Server) {
        resource_server(server).await;
        let robot = server.client("robot").service().create().await;
        let own = holder();
        let form = |resource| [("grant_type", "client_credentials"), ("resource", resource)];
        let answer = prove(server, &robot, &form(API), &own).await;
        assert_eq!(issued(server, &answer, Some(&own)).await.1["aud"], API);
        prove(server, &robot, &form(UNKNOWN), &own).await.refused(400, "invalid_target");

        let accounts = server.identity().service_accounts();
        let cause = Cause::operator();
        let new = NewServiceAccount { name: "agent".to_owned(), ..NewServiceAccount::default() };
        let agent = accounts.create(server.id(), new, &cause).await.expect("an account");
        let group = server.identity().groups().create(server.id(), keyreeve_identity::NewGroup {
            name: "crew".to_owned(), ..keyreeve_identity::NewGroup::default() }, &cause).await.expect("a group");
        let of = (server.id(), group.id);
        server.identity().groups().add(of, Party::Service(agent.id), MembershipKind::Admin, &cause).await.expect("a member");
        let secret = accounts.add_secret((server.id(), agent.id), None, &cause).await.expect("a secret");
        let ask = async |resource: &'static str, proof: &str| {
            let call = server.post("/token").basic(&agent.id.to_string(), secret.secret.expose());
            call.form(&form(resource)).header("dpop", proof).send().await
        };
        let proof = || own.proof(server, TOKEN.0, TOKEN.1);
        let answer = ask(API, &proof()).await;
        let (_, claims) = issued(server, &answer, Some(&own)).await;
        assert_eq!((&claims["aud"], &claims["sub"]), (&json!(API), &json!(agent.id.to_string())));
        ask(UNKNOWN, &proof()).await.refused(400, "invalid_target");
        ask(API, "x").await.refused(400, "invalid_dpop_proof");
    }

    async fn rfc9449_7_the_native_api_takes_bound_tokens_with_proofs(server: &Server) {
        const USERS: &str = "/api/v1/users";
        let acme = server.tenant("acme").create().await;
        for mount in [&**server, &acme] {
            let (own, thief) = (holder(), holder());
            let admin = mount.client("admin").service().scopes("keyreeve:users:write").create().await;
            let answer = prove(mount, &admin, &[("grant_type", "client_credentials")], &own).await;
            let (tokens, _) = issued(mount, &answer, Some(&own)).await;
            let token = text(&tokens, "access_token");
            let call = async |scheme: &str, proof: Option<String>| {
                let call = mount.get(USERS).header("authorization", &format!("{scheme} {token}"));
                let call = proof.iter().fold(call, |call, proof| call.header("dpop", proof));
                call.send().await
            };
            let proof = own.proof_of(mount, ("GET", USERS), token);
            call("DPoP", Some(proof.clone())).await.check(200);
            for (scheme, bad) in [
                ("DPoP", Some(proof)),
                ("DPoP", None),
                ("Bearer", None),
                ("Bearer", Some(own.proof_of(mount, ("GET", USERS), token))),
                ("DPoP", Some(thief.proof_of(mount, ("GET", USERS), token))),
                ("DPoP", Some(own.proof(mount, "GET", USERS))),
                ("DPoP", Some(own.proof_of(mount, ("GET", "/userinfo"), token))),
                ("DPoP", Some(own.proof_of(mount, ("POST", USERS), token))),
            ] {
                let answer = call(scheme, bad).await.expect(401);
                let challenge = answer.challenge().unwrap();
                assert!(challenge.starts_with(scheme) && challenge.contains("invalid_token"), "{answer}");
            }
            let groups = "/api/v1/groups";
            let proof = own.proof_of(mount, ("GET", groups), token);
            let narrow = mount.get(groups).header("authorization", &format!("DPoP {token}")).header("dpop", &proof);
            let narrow = narrow.send().await.expect(403);
            assert!(narrow.challenge().unwrap().starts_with("DPoP "), "{narrow}");
            mount.set_policy(|policy| policy.require_dpop_nonce = true).await;
            let proof = own.proof_of(mount, ("GET", USERS), token);
            let asked = call("DPoP", Some(proof.clone())).await.expect(401);
            assert!(asked.challenge().unwrap().contains("use_dpop_nonce"), "{asked}");
            let ath = jwt::decode(&proof).claims["ath"].clone();
            let more = json!({"ath": ath, "nonce": asked.header("dpop-nonce").unwrap()});
            call("DPoP", Some(own.proof_with(mount, ("GET", USERS), &more))).await.check(200);
        }
    }
}

/// ada's portal, whose tokens are for a service and for one of the resources; the service may go on to the store and to a
/// resource that nobody has registered.
struct Chain {
    mount: Mount,
    portal: TestClient,
    service: TestClient,
    access: String,
}

impl Chain {
    async fn set(mount: &Mount) -> Self {
        mount.user("ada").create().await;
        let portal = mount.client("portal").web_app().first_party();
        let portal = portal.with(|settings| settings.audiences = vec!["service".to_owned(), API.to_owned()]);
        let portal = portal.scopes("openid profile read").create().await;
        let grants = [GrantType::TokenExchange, GrantType::ClientCredentials];
        let service = mount.client("service").service().grants(&grants);
        let reach = vec!["store".to_owned(), FILES.to_owned()];
        let service = service.with(|settings| settings.exchange.audiences = reach).create().await;
        let tokens = mount.code_flow(&portal).scope("openid read").tokens(&mount.browser(), "ada").await;
        Self { mount: mount.clone(), portal, service, access: tokens.access }
    }

    async fn exchange(&self, token: &str, form: &[(&str, &str)], by: Option<&Holder>) -> Answer {
        let base = [("grant_type", EXCHANGE), ("subject_token", token), ("subject_token_type", ACCESS)];
        let form: Vec<_> = base.iter().chain(form).copied().collect();
        match by {
            Some(holder) => prove(&self.mount, &self.service, &form, holder).await,
            None => ask(&self.mount, &self.service, &form, &[]).await,
        }
    }

    /// A token of ada's portal, bound to a key.
    async fn portal_token(&self, by: &Holder) -> String {
        let flow = self.mount.code_flow(&self.portal).scope("openid read");
        let code = flow.walk(&self.mount.browser(), "ada").await.code().to_owned();
        let answer = prove(&self.mount, &self.portal, &flow.redemption(&code), by).await;
        text(&issued(&self.mount, &answer, Some(by)).await.0, "access_token").to_owned()
    }
}
