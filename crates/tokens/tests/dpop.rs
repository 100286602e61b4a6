//! Proof of possession: proofs, what is bound to their keys, nonces.

use crate::house::{
    App, BROWSER, House, ISSUER, REDIRECT, VERIFIER, claims, code_of, house, origin, refresh_token, refused,
    request, robot,
};
use keyreeve_base::{Presentation, ShownProof};
use keyreeve_crypto::sign::{Algorithm, SigningKey};
use keyreeve_crypto::{base64url, sha256};
use keyreeve_identity::{Admitted, Cause};
use keyreeve_testkit::{Engine, on_both_engines};
use keyreeve_tokens::grants::{CodeRedemption, RefreshRequest};
use keyreeve_tokens::{AuthenticatedClient, Browser, Error, Targets, TokenError, TokenResponse};
use serde_json::{Value, json};

const TOKEN: &str = "/oauth2/token";
const API: &str = "/api/v1/users";

/// The device that holds the key.
struct Device(SigningKey, std::cell::Cell<u32>);

impl Device {
    fn new() -> Self {
        Self(SigningKey::generate(Algorithm::Es256).expect("a key"), std::cell::Cell::new(0))
    }

    /// A fresh proof for a request, with further claims.
    fn proof(&self, house: &House, (method, path): (&str, &str), more: &Value) -> String {
        self.1.set(self.1.get() + 1);
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.0.public_jwk()});
        let mut claims = json!({"jti": format!("{}", self.1.get()), "htm": method, "htu": format!("{ISSUER}{path}"),
            "iat": house.test.world.now().seconds()});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let input =
            format!("{}.{}", base64url::encode(header.to_string()), base64url::encode(claims.to_string()));
        let signature = base64url::encode(self.0.sign(input.as_bytes()).expect("a signature"));
        format!("{input}.{signature}")
    }

    fn for_token(&self, house: &House) -> String {
        self.proof(house, ("POST", TOKEN), &json!({}))
    }

    fn with_token(&self, house: &House, token: &str) -> String {
        self.proof(house, ("GET", API), &json!({"ath": base64url::encode(sha256(token.as_bytes()))}))
    }
}

async fn showing(house: &House, app: &App, proof: Option<&str>) -> Result<AuthenticatedClient, TokenError> {
    let client = house.login(app).await;
    let shown = proof.map(|proof| ShownProof { proof, method: "POST", path: TOKEN });
    let bounds =
        house.tokens.bounds(&house.tenant, Some(client.client()), shown, Targets::Registered(&[])).await?;
    Ok(client.bound(bounds))
}

async fn redeem(
    house: &House,
    app: &App,
    code: &str,
    proof: Option<&str>,
) -> Result<TokenResponse, TokenError> {
    let client = showing(house, app, proof).await?;
    let code = CodeRedemption { code, redirect_uri: Some(REDIRECT), code_verifier: Some(VERIFIER) };
    house.tokens.redeem_code(&house.tenant, &client, code, &origin()).await
}

async fn refresh(
    house: &House,
    app: &App,
    token: &str,
    proof: Option<&str>,
) -> Result<TokenResponse, TokenError> {
    let client = showing(house, app, proof).await?;
    let request = RefreshRequest { refresh_token: token, scope: None };
    house.tokens.refresh(&house.tenant, &client, request, &origin()).await
}

async fn code_for(house: &House, app: &App, session: &Admitted) -> String {
    house.code(&[("client_id", &app.client.client_id)], session).await
}

/// Whether a token is good as it is presented.
async fn is_good(house: &House, token: &str, proof: Option<&str>) -> bool {
    let presented = match proof {
        None => Presentation::Bearer(token),
        Some(proof) => Presentation::Dpop { token, shown: ShownProof { proof, method: "GET", path: API } },
    };
    let caller = house.tokens.caller(&house.tenant, presented, &origin()).await.expect("an answer");
    caller.is_some()
}

on_both_engines! {
    async fn rfc9449_5_tokens_are_bound_to_the_key_of_the_proof(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let device = Device::new();
        let code = code_for(&house, &portal, &session).await;
        let tokens = redeem(&house, &portal, &code, Some(&device.for_token(&house))).await.expect("tokens");
        assert_eq!(tokens.token_type, "DPoP");
        assert_eq!(claims(&tokens.access_token)["cnf"], json!({"jkt": device.0.kid()}));
        let token = tokens.access_token.as_str();

        assert!(is_good(&house, token, Some(&device.with_token(&house, token))).await);
        assert!(!is_good(&house, token, None).await, "a bound token is no bearer token");
        assert!(!house.is_good(token).await);
        let thief = Device::new();
        assert!(!is_good(&house, token, Some(&thief.with_token(&house, token))).await, "another key");
        assert!(!is_good(&house, token, Some(&device.with_token(&house, "another"))).await, "another token's proof");
        assert!(!is_good(&house, token, Some(&device.for_token(&house))).await, "another request's proof");
        let unbound = house.tokens_for(&portal, &session).await;
        assert_eq!(unbound.token_type, "Bearer");
        let unbound = unbound.access_token.as_str();
        assert!(!is_good(&house, unbound, Some(&device.with_token(&house, unbound))).await, "not bound to a key");

        let asking = house.login(&portal).await;
        let told = house.tokens.introspect(&house.tenant, &asking, token).await.expect("an answer");
        let told = serde_json::to_value(&told).unwrap();
        assert_eq!((&told["token_type"], &told["cnf"]), (&json!("DPoP"), &json!({"jkt": device.0.kid()})));
        house.check().await;
    }

    async fn rfc9449_5_refresh_tokens_of_public_clients_are_bound(engine: Engine) {
        let house = house(engine).await;
        let spa = house.spa().await;
        let session = house.sign_in().await;
        let (device, thief) = (Device::new(), Device::new());
        let code = code_for(&house, &spa, &session).await;
        let first = redeem(&house, &spa, &code, Some(&device.for_token(&house))).await.expect("tokens");
        for proof in [None, Some(thief.for_token(&house))] {
            let stolen = house.lines_of(refresh(&house, &spa, refresh_token(&first), proof.as_deref())).await;
            assert_eq!(refused(stolen.0), "invalid_grant");
            assert_eq!(stolen.1, ["admission.refresh refused other_dpop_key"]);
        }
        let second = refresh(&house, &spa, refresh_token(&first), Some(&device.for_token(&house))).await.expect("tokens");
        assert_eq!(second.token_type, "DPoP");
        let again = refresh(&house, &spa, refresh_token(&first), Some(&device.for_token(&house))).await;
        assert_eq!(refused(again), "invalid_grant", "reuse is still reuse");
        house.check().await;
    }

    /// The refresh token of a confidential client is bound to its credentials, so that it may change its key.
    async fn rfc9449_5_confidential_clients_change_keys(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let (old, new) = (Device::new(), Device::new());
        let code = code_for(&house, &portal, &session).await;
        let first = redeem(&house, &portal, &code, Some(&old.for_token(&house))).await.expect("tokens");
        let second = refresh(&house, &portal, refresh_token(&first), Some(&new.for_token(&house))).await.expect("tokens");
        assert_eq!(claims(&second.access_token)["cnf"], json!({"jkt": new.0.kid()}));
        let third = refresh(&house, &portal, refresh_token(&second), None).await.expect("tokens");
        assert_eq!(third.token_type, "Bearer");
    }

    async fn rfc9449_5_2_a_client_can_be_held_to_proofs(engine: Engine) {
        let house = house(engine).await;
        let robot = house.app("robot", robot()).await;
        house.set(&robot, |s| s.dpop_bound_access_tokens = true).await;
        assert_eq!(showing(&house, &robot, None).await.expect_err("a refusal").code(), "invalid_dpop_proof");
        // Even where a door forgets to ask.
        assert_eq!(refused(house.client_credentials(&robot, None).await), "invalid_dpop_proof");
        let device = Device::new();
        let client = showing(&house, &robot, Some(&device.for_token(&house))).await.expect("a client");
        let tokens = house.tokens.client_credentials(&house.tenant, &client, None, &origin()).await.expect("tokens");
        assert_eq!(tokens.token_type, "DPoP");
    }

    async fn rfc9449_10_a_code_is_bound_to_the_key_that_the_request_names(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let (device, thief) = (Device::new(), Device::new());
        let code = async || house.code(&[("dpop_jkt", device.0.kid())], &session).await;
        for proof in [None, Some(thief.for_token(&house))] {
            let code = code().await;
            let (stolen, lines) = house.lines_of(redeem(&house, &portal, &code, proof.as_deref())).await;
            assert_eq!(refused(stolen), "invalid_grant");
            assert_eq!(lines, ["admission.code refused other_dpop_key"]);
        }
        redeem(&house, &portal, &code().await, Some(&device.for_token(&house))).await.expect("tokens");
        house.check().await;
    }

    async fn rfc9449_10_1_a_proof_beside_a_pushed_request_names_the_key(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let (device, thief) = (Device::new(), Device::new());
        let client = showing(&house, &portal, Some(&device.for_token(&house))).await.expect("a client");
        let other = request(&[("dpop_jkt", thief.0.kid())]);
        let refused_push = house.tokens.push(&house.tenant, &client, &other).await.expect_err("a refusal");
        assert_eq!(refused_push.code(), "invalid_dpop_proof");
        let pushed = house.tokens.push(&house.tenant, &client, &request(&[])).await.expect("a reference");
        let params = [("client_id".to_owned(), "portal".to_owned()), ("request_uri".to_owned(), pushed.request_uri)];
        let from = origin();
        let browser = Browser { cookie: BROWSER, session: Some(&session), origin: &from };
        let params = std::collections::BTreeMap::from(params);
        let code = code_of(house.tokens.authorize(&house.tenant, &params, browser).await.expect("an answer"));
        assert_eq!(refused(redeem(&house, &portal, &code, Some(&thief.for_token(&house))).await), "invalid_grant");
    }

    async fn ac_32_a_proof_counts_once_and_is_then_forgotten(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let device = Device::new();
        let proof = device.for_token(&house);
        showing(&house, &portal, Some(&proof)).await.expect("a client");
        assert_eq!(showing(&house, &portal, Some(&proof)).await.expect_err("a refusal").code(), "invalid_dpop_proof");
        // As old as it may be, it still is remembered; pruning forgets what nobody could show again (AC-33).
        house.advance(89);
        house.tokens.prune().await.expect("pruning");
        assert_eq!(showing(&house, &portal, Some(&proof)).await.expect_err("a refusal").code(), "invalid_dpop_proof");
        house.advance(2);
        house.tokens.prune().await.expect("pruning");
        let left = house.test.store.read(async |tx: &mut keyreeve_store::Tx<'_>| {
            tx.scalar::<i64>(&COUNT_PROOFS, &[]).await
        });
        assert_eq!(left.await.expect("a count"), 0);
        assert_eq!(showing(&house, &portal, Some(&proof)).await.expect_err("a refusal").code(), "invalid_dpop_proof");
    }

    async fn ac_17_of_many_requests_with_one_proof_one_is_answered(engine: Engine) {
        let house = std::sync::Arc::new(house(engine).await);
        let portal = std::sync::Arc::new(house.portal().await);
        let proof = Device::new().for_token(&house);
        let attempts: Vec<_> = (0..12)
            .map(|_| {
                let (house, portal, proof) = (house.clone(), portal.clone(), proof.clone());
                tokio::spawn(async move { showing(&house, &portal, Some(&proof)).await.is_ok() })
            })
            .collect();
        let mut won = 0;
        for attempt in attempts {
            won += usize::from(attempt.await.expect("an attempt"));
        }
        assert_eq!(won, 1);
    }

    async fn rfc9449_8_and_9_a_tenant_can_demand_its_nonces(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let device = Device::new();
        assert_eq!(house.tokens.next_dpop_nonce(house.tenant.id).await.expect("an answer"), None);
        let mut policy = (*house.tokens.policy(house.tenant.id).await.expect("a policy")).clone();
        policy.require_dpop_nonce = true;
        house.tokens.set_policy(house.tenant.id, &policy, &Cause::operator()).await.expect("a change");

        let refused = showing(&house, &portal, Some(&device.for_token(&house))).await.expect_err("a refusal");
        let TokenError::UseDpopNonce { nonce } = refused else { panic!("{refused:?}") };
        let with = |nonce: &str| device.proof(&house, ("POST", TOKEN), &json!({"nonce": nonce}));
        let code = code_for(&house, &portal, &session).await;
        let tokens = redeem(&house, &portal, &code, Some(&with(&nonce))).await.expect("tokens");
        assert!(house.tokens.next_dpop_nonce(house.tenant.id).await.expect("an answer").is_some());
        for bad in ["", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            let refused = showing(&house, &portal, Some(&with(bad))).await.expect_err("a refusal");
            assert_eq!(refused.code(), "use_dpop_nonce", "{bad}");
        }
        let token = tokens.access_token.as_str();
        let proof = device.with_token(&house, token);
        let presented = Presentation::Dpop { token, shown: ShownProof { proof: &proof, method: "GET", path: API } };
        match house.tokens.caller(&house.tenant, presented, &origin()).await {
            Err(Error::UseDpopNonce { nonce }) => {
                let more = json!({"nonce": nonce, "ath": base64url::encode(sha256(token.as_bytes()))});
                assert!(is_good(&house, token, Some(&device.proof(&house, ("GET", API), &more))).await);
            }
            other => panic!("{other:?}"),
        }
        house.advance(300);
        let stale = showing(&house, &portal, Some(&with(&nonce))).await.expect_err("a refusal");
        assert_eq!(stale.code(), "use_dpop_nonce", "a nonce gets old");
    }
}

keyreeve_store::statements! {
    /// How many proofs are remembered.
    COUNT_PROOFS = "SELECT COUNT(*) FROM seen_proof";
}
