//! Authorization requests that are pushed, signed, and for certain resources.

use crate::house::{
    App, BROWSER, House, ISSUER, REDIRECT, claims, code_of, error_of, house, origin, redirect_of,
    refresh_token, refused, request, robot, web_app,
};
use keyreeve_crypto::jws::{Header, sign_compact};
use keyreeve_crypto::sign::{Algorithm, SigningKey};
use keyreeve_identity::Admitted;
use keyreeve_testkit::{Engine, on_both_engines};
use keyreeve_tokens::clients::AuthMethod;
use keyreeve_tokens::grants::{CodeRedemption, RefreshRequest};
use keyreeve_tokens::{
    AuthenticatedClient, Authorize, Browser, Client, Parameters, Targets, TokenError, TokenResponse,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const API: &str = "https://api.example/";
const FILES: &str = "https://files.example/v1";

/// Parameters of which `resource` may repeat.
struct Several(BTreeMap<String, String>, Vec<&'static str>);

impl Parameters for Several {
    fn get(&self, name: &str) -> Option<&str> {
        Parameters::get(&self.0, name)
    }

    fn all(&self, name: &str) -> Vec<&str> {
        if name == "resource" { self.1.clone() } else { self.get(name).into_iter().collect() }
    }
}

async fn push(house: &House, app: &App, changes: &[(&str, &str)]) -> Result<String, TokenError> {
    let client = house.login(app).await;
    house.tokens.push(&house.tenant, &client, &request(changes)).await.map(|pushed| pushed.request_uri)
}

/// A browser brings nothing but these.
async fn bring(house: &House, params: &[(&str, &str)], session: Option<&Admitted>) -> Authorize {
    let from = origin();
    let browser = Browser { cookie: BROWSER, session, origin: &from };
    let params: BTreeMap<String, String> =
        params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    house.tokens.authorize(&house.tenant, &params, browser).await.expect("an answer")
}

#[track_caller]
fn failed(answer: Authorize) -> &'static str {
    match answer {
        Authorize::Fail { error, .. } => error,
        other => panic!("expected a failure, found {other:?}"),
    }
}

/// A client that signs its requests, and its key.
async fn signer(house: &House, alg: Algorithm) -> (App, SigningKey) {
    let key = SigningKey::generate(alg).expect("a key");
    let mut settings = web_app();
    settings.jwks = vec![key.public_jwk().clone()];
    (house.app("portal", settings).await, key)
}

fn object(house: &House, key: &SigningKey, changes: &Value) -> String {
    let mut signed = json!({"iss": "portal", "aud": ISSUER});
    let signed = signed.as_object_mut().unwrap();
    signed.extend(request(&[]).into_iter().map(|(name, value)| (name, Value::from(value))));
    let now = house.test.world.now().seconds();
    signed.extend(json!({"exp": now + 60, "scope": "openid email"}).as_object().unwrap().clone());
    signed.extend(changes.as_object().unwrap().clone());
    sign_compact(key, &Header::of_type("oauth-authz-req+jwt"), signed).expect("an object")
}

/// A resource server that answers for these.
async fn resource_server(house: &House, name: &str, resources: &[&str]) -> App {
    let mut settings = robot();
    settings.resources = resources.iter().map(|resource| (*resource).to_owned()).collect();
    house.app(name, settings).await
}

async fn asking(house: &House, app: &App, resources: &[&str]) -> Result<AuthenticatedClient, TokenError> {
    let client = house.login(app).await;
    let of: &Client = client.client();
    let bounds = house.tokens.bounds(&house.tenant, Some(of), None, Targets::Registered(resources)).await?;
    Ok(client.bound(bounds))
}

async fn redeem_for(
    house: &House,
    app: &App,
    code: &str,
    resources: &[&str],
) -> Result<TokenResponse, TokenError> {
    let client = asking(house, app, resources).await?;
    let code =
        CodeRedemption { code, redirect_uri: Some(REDIRECT), code_verifier: Some(crate::house::VERIFIER) };
    house.tokens.redeem_code(&house.tenant, &client, code, &origin()).await
}

async fn refresh_for(
    house: &House,
    app: &App,
    token: &str,
    resources: &[&str],
) -> Result<TokenResponse, TokenError> {
    let client = asking(house, app, resources).await?;
    let request = RefreshRequest { refresh_token: token, scope: None };
    house.tokens.refresh(&house.tenant, &client, request, &origin()).await
}

fn aud(response: &TokenResponse) -> Value {
    claims(&response.access_token)["aud"].clone()
}

on_both_engines! {
    async fn rfc9126_4_a_pushed_request_leads_to_a_code_once(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let session = house.sign_in().await;
        let uri = push(&house, &portal, &[("state", "pushed")]).await.expect("a reference");
        assert!(uri.starts_with("urn:ietf:params:oauth:request_uri:"));
        // What else the browser brings does not count, however it contradicts.
        let params = [("client_id", "portal"), ("request_uri", uri.as_str()), ("state", "mine"), ("scope", "phone"),
            ("redirect_uri", "https://evil.example/"), ("prompt", "none login")];
        let answer = redirect_of(bring(&house, &params, Some(&session)).await);
        assert_eq!(crate::house::param(&answer, "state").as_deref(), Some("pushed"));
        let code = crate::house::param(&answer, "code").expect("a code");
        let tokens = house.redeem(&portal, &code).await.expect("tokens");
        assert_eq!(tokens.scope.as_str(), "email openid profile");
        let again = bring(&house, &params[..2], Some(&session)).await;
        assert_eq!(failed(again), "invalid_request_uri");
        house.check().await;
    }

    async fn ac_17_of_many_browsers_with_one_pushed_request_one_gets_it(engine: Engine) {
        let house = std::sync::Arc::new(house(engine).await);
        let portal = house.portal().await;
        let uri = push(&house, &portal, &[]).await.expect("a reference");
        let attempts: Vec<_> = (0..12)
            .map(|_| {
                let (house, uri) = (house.clone(), uri.clone());
                tokio::spawn(async move {
                    let answer = bring(&house, &[("client_id", "portal"), ("request_uri", &uri)], None).await;
                    matches!(answer, Authorize::SignIn { .. })
                })
            })
            .collect();
        let mut won = 0;
        for attempt in attempts {
            won += usize::from(attempt.await.expect("an attempt"));
        }
        assert_eq!(won, 1);
    }

    async fn rfc9126_2_3_what_is_wrong_the_client_learns_at_once(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        for (changes, code) in [
            ([("redirect_uri", "https://evil.example/cb")], "invalid_request"),
            ([("redirect_uri", "")], "invalid_request"),
            ([("response_type", "token")], "unsupported_response_type"),
            ([("scope", "keyreeve:admin")], "invalid_scope"),
            ([("request_uri", "urn:ietf:params:oauth:request_uri:x")], "invalid_request"),
            ([("client_id", "other")], "invalid_request"),
            ([("code_challenge_method", "plain")], "invalid_request"),
            ([("resource", "https://unknown.example/")], "invalid_target"),
        ] {
            let refused = push(&house, &portal, &changes).await.expect_err("a refusal");
            assert_eq!(refused.code(), code, "{changes:?}");
        }
    }

    async fn rfc9126_4_a_reference_is_its_clients_and_short_lived(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let spa = house.spa().await;
        let uri = push(&house, &portal, &[]).await.expect("a reference");
        let stolen = bring(&house, &[("client_id", "spa"), ("request_uri", &uri)], None).await;
        assert_eq!(failed(stolen), "invalid_request_uri");
        assert!(matches!(
            bring(&house, &[("client_id", "portal"), ("request_uri", &uri)], None).await,
            Authorize::SignIn { .. }
        ), "another client's attempt does not use it up");
        let uri = push(&house, &spa, &[("client_id", "spa")]).await.expect("a public client may push, too");
        house.advance(60);
        assert_eq!(failed(bring(&house, &[("client_id", "spa"), ("request_uri", &uri)], None).await), "invalid_request_uri");
        for unknown in ["urn:ietf:params:oauth:request_uri:", "urn:ietf:params:oauth:request_uri:AAAA", &"x".repeat(9_000)] {
            let answer = bring(&house, &[("client_id", "portal"), ("request_uri", unknown)], None).await;
            assert!(["invalid_request_uri", "request_uri_not_supported"].contains(&failed(answer)), "{unknown}");
        }
        let elsewhere = push(&house, &portal, &[]).await.expect("a reference");
        let params: BTreeMap<String, String> =
            [("client_id".to_owned(), "portal".to_owned()), ("request_uri".to_owned(), elsewhere)].into();
        house.app_of(house.other.id, "portal", web_app()).await;
        let from = origin();
        let browser = Browser { cookie: BROWSER, session: None, origin: &from };
        let there = house.tokens.authorize(&house.other, &params, browser).await.expect("an answer");
        assert_eq!(failed(there), "invalid_request_uri", "a reference of one tenant is none at another");
        house.check().await;
    }

    /// What was registered when it was pushed is not what counts.
    async fn ac_01_a_pushed_request_goes_only_where_the_client_is_still_at_home(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let uri = push(&house, &portal, &[]).await.expect("a reference");
        house.set(&portal, |s| s.redirect_uris = vec!["https://moved.example/cb".parse().unwrap()]).await;
        assert_eq!(failed(bring(&house, &[("client_id", "portal"), ("request_uri", &uri)], None).await), "invalid_request");
    }

    async fn rfc9126_6_a_client_can_be_held_to_pushing(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        house.set(&portal, |s| s.require_pushed_authorization_requests = true).await;
        assert_eq!(error_of(house.authorize(&[], None).await), "invalid_request");
        let uri = push(&house, &portal, &[]).await.expect("a reference");
        let answer = bring(&house, &[("client_id", "portal"), ("request_uri", &uri)], None).await;
        assert!(matches!(answer, Authorize::SignIn { .. }));
    }

    /// Nothing is fetched to read a request.
    async fn ac_50_a_request_uri_of_somebody_elses_is_refused(engine: Engine) {
        let house = house(engine).await;
        house.portal().await;
        for uri in ["https://portal.example/request.jwt", "http://169.254.169.254/", "file:///etc/passwd"] {
            assert_eq!(error_of(house.authorize(&[("request_uri", uri)], None).await), "request_uri_not_supported");
        }
    }

    async fn rfc9101_5_only_what_is_signed_counts(engine: Engine) {
        let house = house(engine).await;
        let (portal, key) = signer(&house, Algorithm::Es256).await;
        let session = house.sign_in().await;
        let jwt = object(&house, &key, &json!({"state": "signed"}));
        let outside = [("request", jwt.as_str()), ("state", "outside"), ("scope", "openid profile"), ("nonce", "other")];
        let answer = redirect_of(house.authorize(&outside, Some(&session)).await);
        assert_eq!(crate::house::param(&answer, "state").as_deref(), Some("signed"));
        let tokens = house.redeem(&portal, &crate::house::param(&answer, "code").unwrap()).await.expect("tokens");
        assert_eq!(tokens.scope.as_str(), "email openid");
        let alone = bring(&house, &[("client_id", "portal"), ("request", &jwt)], Some(&session)).await;
        code_of(alone);
        let pushed = push(&house, &portal, &[("request", &jwt), ("scope", "phone")]).await.expect("a reference");
        let answer = bring(&house, &[("client_id", "portal"), ("request_uri", &pushed)], Some(&session)).await;
        assert_eq!(crate::house::param(&redirect_of(answer), "state").as_deref(), Some("signed"));
    }

    async fn rfc9101_6_an_object_that_does_not_hold_is_refused(engine: Engine) {
        let house = house(engine).await;
        let (portal, key) = signer(&house, Algorithm::Es256).await;
        let session = house.sign_in().await;
        let said = async |jwt: &str| error_of(house.authorize(&[("request", jwt)], Some(&session)).await);
        let stranger = SigningKey::generate(Algorithm::Es256).unwrap();
        assert_eq!(said(&object(&house, &stranger, &json!({}))).await, "invalid_request_object");
        assert_eq!(said(&object(&house, &key, &json!({"aud": "https://other.example"}))).await, "invalid_request_object");
        assert_eq!(said(&object(&house, &key, &json!({"client_id": "other"}))).await, "invalid_request_object");
        assert_eq!(said(&object(&house, &key, &json!({"request_uri": "x"}))).await, "invalid_request_object");
        assert_eq!(said("eyJhbGciOiJub25lIn0.e30.").await, "invalid_request_object");
        // Within a sound object, mistakes are those of any request.
        assert_eq!(said(&object(&house, &key, &json!({"prompt": "create"}))).await, "invalid_request");
        let elsewhere = object(&house, &key, &json!({"redirect_uri": "https://evil.example/"}));
        assert_eq!(failed(house.authorize(&[("request", &elsewhere)], None).await), "invalid_request");
        let both = [("request", "x"), ("request_uri", "urn:ietf:params:oauth:request_uri:x")];
        assert_eq!(error_of(house.authorize(&both, None).await), "invalid_request");
        let refused = push(&house, &portal, &[("request", "x")]).await.expect_err("a refusal");
        assert_eq!(refused.code(), "invalid_request_object");
        // A mistake in an object leads nowhere that the client is not at home.
        let lost = bring(&house, &[("client_id", "portal"), ("request", "x"), ("redirect_uri", "https://evil.example/")], None);
        assert_eq!(failed(lost.await), "invalid_request_object");
    }

    async fn ac_32_an_object_with_a_jti_counts_once(engine: Engine) {
        let house = house(engine).await;
        let (_portal, key) = signer(&house, Algorithm::EdDsa).await;
        let session = house.sign_in().await;
        let jwt = object(&house, &key, &json!({"jti": "1"}));
        code_of(house.authorize(&[("request", &jwt)], Some(&session)).await);
        assert_eq!(error_of(house.authorize(&[("request", &jwt)], Some(&session)).await), "invalid_request_object");
    }

    async fn rfc9101_10_5_a_client_can_be_held_to_signing(engine: Engine) {
        let house = house(engine).await;
        let (portal, key) = signer(&house, Algorithm::Es256).await;
        house.set(&portal, |s| {
            s.require_signed_request_object = true;
            s.request_object_signing_alg = Some(Algorithm::Es256);
        })
        .await;
        assert_eq!(error_of(house.authorize(&[], None).await), "invalid_request");
        assert_eq!(push(&house, &portal, &[]).await.expect_err("a refusal").code(), "invalid_request");
        let jwt = object(&house, &key, &json!({}));
        assert!(matches!(house.authorize(&[("request", &jwt)], None).await, Authorize::SignIn { .. }));
        house.set(&portal, |s| s.request_object_signing_alg = Some(Algorithm::Rs256)).await;
        assert_eq!(error_of(house.authorize(&[("request", &jwt)], None).await), "invalid_request_object");
    }

    async fn a_client_without_keys_cannot_sign_requests(engine: Engine) {
        let house = house(engine).await;
        house.portal().await;
        assert_eq!(error_of(house.authorize(&[("request", "eyJ")], None).await), "request_not_supported");
    }

    async fn rfc8707_2_a_token_is_for_the_resources_that_were_asked_for(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        resource_server(&house, "api", &[API, FILES]).await;
        let session = house.sign_in().await;
        let from = origin();
        let browser = Browser { cookie: BROWSER, session: Some(&session), origin: &from };
        let params = Several(request(&[]), vec![API, FILES]);
        let code = code_of(house.tokens.authorize(&house.tenant, &params, browser).await.expect("an answer"));
        let both = redeem_for(&house, &portal, &code, &[]).await.expect("tokens");
        assert_eq!(aud(&both), json!([API, FILES]));
        assert!(!house.is_good(&both.access_token).await, "a token for others is not for this server");
        let one = refresh_for(&house, &portal, refresh_token(&both), &[API]).await.expect("tokens");
        assert_eq!(aud(&one), API);
        let all = refresh_for(&house, &portal, refresh_token(&one), &[]).await.expect("tokens");
        assert_eq!(aud(&all), json!([API, FILES]), "the grant is not narrowed");
        let more = refresh_for(&house, &portal, refresh_token(&all), &[ISSUER]).await;
        assert_eq!(refused(more), "invalid_target");
        refresh_for(&house, &portal, refresh_token(&all), &[]).await.expect("nothing was consumed");
        house.check().await;
    }

    async fn rfc8707_2_1_what_nobody_answers_for_cannot_be_asked_for(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        let api = resource_server(&house, "api", &[API]).await;
        let session = house.sign_in().await;
        for resource in ["https://unknown.example/", "api", "https://api.example/#x", FILES] {
            assert_eq!(error_of(house.authorize(&[("resource", resource)], Some(&session)).await), "invalid_target");
        }
        code_of(house.authorize(&[("resource", ISSUER)], Some(&session)).await);
        code_of(house.authorize(&[("resource", API)], Some(&session)).await);
        // A client with audiences of its own is kept to them.
        house.set(&portal, |s| s.audiences = vec![FILES.to_owned()]).await;
        assert_eq!(error_of(house.authorize(&[("resource", API)], Some(&session)).await), "invalid_target");
        code_of(house.authorize(&[("resource", FILES)], Some(&session)).await);
        house.set(&portal, |s| s.audiences.clear()).await;
        house.set(&api, |s| s.resources = vec![FILES.to_owned()]).await;
        assert_eq!(error_of(house.authorize(&[("resource", API)], Some(&session)).await), "invalid_target");
        let operator = keyreeve_identity::Cause::operator();
        house.tokens.clients().delete(house.tenant.id, api.client.id, &operator).await.expect("a removal");
        assert_eq!(error_of(house.authorize(&[("resource", FILES)], Some(&session)).await), "invalid_target");
    }

    async fn rfc8707_2_2_the_token_request_narrows_and_never_widens(engine: Engine) {
        let house = house(engine).await;
        let portal = house.portal().await;
        resource_server(&house, "api", &[API, FILES]).await;
        let session = house.sign_in().await;
        let code = house.code(&[("resource", API)], &session).await;
        let (widened, lines) = house.lines_of(redeem_for(&house, &portal, &code, &[API, FILES])).await;
        assert_eq!(refused(widened), "invalid_target");
        assert_eq!(lines, ["admission.code refused resource_beyond_grant"]);
        assert_eq!(refused(house.redeem(&portal, &code).await), "invalid_grant", "a code is spent by any attempt");
        let code = house.code(&[], &session).await;
        let named = redeem_for(&house, &portal, &code, &[FILES]).await.expect("tokens");
        assert_eq!(aud(&named), FILES);
        assert_eq!(asking(&house, &portal, &["urn:unknown"]).await.expect_err("a refusal").code(), "invalid_target");
    }

    async fn rfc8707_2_programs_name_resources_too(engine: Engine) {
        let house = house(engine).await;
        let robot = house.app("robot", robot()).await;
        resource_server(&house, "api", &[API]).await;
        let client = asking(&house, &robot, &[API]).await.expect("a client");
        let tokens = house.tokens.client_credentials(&house.tenant, &client, None, &origin()).await.expect("tokens");
        assert_eq!(aud(&tokens), API);
        let mut public = web_app();
        public.auth_method = AuthMethod::None;
        let spa = house.app("spa", public).await;
        asking(&house, &spa, &[API]).await.expect("a public client may, too");
    }
}
