//! What the server says about itself, held against what it does: every member of the metadata is exercised, and a member
//! that is not known here fails.

use keyreeve_acceptance::jwt::{decode, verify_with};
use keyreeve_acceptance::possession::Holder;
use keyreeve_acceptance::{Answer, Mount, Server, TokenSet, on_a_server};
use keyreeve_crypto::sign::Algorithm;
use keyreeve_tokens::clients::GrantType;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

async fn metadata(mount: &Mount) -> Map<String, Value> {
    let answer = mount.get("/.well-known/openid-configuration").send().await.expect(200);
    answer.json().as_object().expect("an object").clone()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().expect("an array").iter().map(|value| value.as_str().expect("a text")).collect()
}

/// Exercises one member of the metadata.
async fn exercise(mount: &Mount, name: &str, value: &Value) {
    match name {
        "issuer" => assert_eq!(value.as_str(), Some(mount.issuer().as_str())),
        "authorization_endpoint" | "end_session_endpoint" => {
            let answer = mount.get(value.as_str().unwrap()).send().await;
            assert!(answer.status != 404 && answer.status != 405, "{answer}");
        }
        "token_endpoint"
        | "introspection_endpoint"
        | "revocation_endpoint"
        | "pushed_authorization_request_endpoint"
        | "device_authorization_endpoint" => {
            mount.post(value.as_str().unwrap()).send().await.refused(401, "invalid_client");
        }
        // Registered clients are driven by the tests of that.
        "registration_endpoint" => mount.post(value.as_str().unwrap()).send().await.check(400),
        "userinfo_endpoint" => mount.get(value.as_str().unwrap()).send().await.check(401),
        "jwks_uri" => {
            let keys = mount.get(value.as_str().unwrap()).send().await.expect(200).json();
            assert!(!keys["keys"].as_array().unwrap().is_empty());
        }
        "scopes_supported" => scopes(mount, texts(value)).await,
        "response_types_supported" => assert_eq!(texts(value), ["code"]),
        "response_modes_supported" => response_modes(mount, texts(value)).await,
        "grant_types_supported" => grant_types(mount, texts(value)).await,
        "token_endpoint_auth_methods_supported" => auth_methods(mount, "/token", texts(value)).await,
        "introspection_endpoint_auth_methods_supported" => {
            auth_methods(mount, "/introspect", texts(value)).await;
        }
        "revocation_endpoint_auth_methods_supported" => auth_methods(mount, "/revoke", texts(value)).await,
        "token_endpoint_auth_signing_alg_values_supported"
        | "introspection_endpoint_auth_signing_alg_values_supported"
        | "revocation_endpoint_auth_signing_alg_values_supported" => {
            assertion_algorithms(mount, name, texts(value)).await;
        }
        "id_token_signing_alg_values_supported" => id_token_algorithms(mount, texts(value)).await,
        "prompt_values_supported" => prompts(mount, texts(value)).await,
        "ui_locales_supported" => ui_locales(mount, texts(value)).await,
        "claims_supported" => claims(mount, texts(value)).await,
        "code_challenge_methods_supported" => assert_eq!(texts(value), ["S256"]),
        "subject_types_supported" => assert_eq!(texts(value), ["public"]),
        "claim_types_supported" => assert_eq!(texts(value), ["normal"]),
        "backchannel_logout_supported" | "backchannel_logout_session_supported" => {
            // Shown by the tests of `backchannel`.
            assert_eq!(value, &json!(true));
        }
        "authorization_response_iss_parameter_supported" | "claims_parameter_supported" => {
            // Both are shown by the Basic OP tests `oidcc_server` and `oidcc_claims_essential`.
            assert_eq!(value, &json!(true));
        }
        "request_parameter_supported" => assert_eq!(value, &json!(true)),
        "request_object_signing_alg_values_supported" => signed_requests(mount, texts(value)).await,
        "dpop_signing_alg_values_supported" => proofs(mount, texts(value)).await,
        // Clients are held to these one by one.
        "require_pushed_authorization_requests"
        | "require_signed_request_object"
        | "request_uri_parameter_supported"
        | "require_request_uri_registration" => {
            assert_eq!(value, &json!(false));
        }
        _ => panic!("{name} is advertised, and no test knows whether it is true: {value}"),
    }
}

fn encoded(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

fn algorithm(name: &str) -> Algorithm {
    name.parse().unwrap_or_else(|_| panic!("an unknown algorithm is advertised: {name}"))
}

/// A request signed with every advertised algorithm is accepted.
async fn signed_requests(mount: &Mount, advertised: Vec<&str>) {
    for name in advertised {
        let client = mount.client(&format!("requests-{}", name.to_lowercase())).web_app().first_party();
        let client = client.private_key(algorithm(name)).create().await;
        let flow = mount.code_flow(&client);
        let object = crate::pushed::signed(&flow, mount, &json!({}));
        let callback = flow.with("request", &object).walk(&mount.browser(), "ada").await;
        assert!(!callback.code().is_empty(), "{name}");
    }
}

/// A proof signed with every advertised algorithm is accepted.
async fn proofs(mount: &Mount, advertised: Vec<&str>) {
    let client = mount.client("proofs").service().create().await;
    for name in advertised {
        let proof = Holder::new(algorithm(name)).proof(mount, "POST", "/token");
        let call = mount.post_as(&client, "/token", &[("grant_type", "client_credentials")]);
        let answer = call.header("dpop", &proof).send().await.expect(200);
        assert_eq!(answer.json()["token_type"], "DPoP", "{name}");
    }
}

async fn scopes(mount: &Mount, advertised: Vec<&str>) {
    let client = mount.client("scopes").web_app().first_party().create().await;
    let all = advertised.join(" ");
    let tokens = mount.code_flow(&client).scope(&all).tokens(&mount.browser(), "ada").await;
    let granted: BTreeSet<&str> = tokens.json["scope"].as_str().unwrap().split(' ').collect();
    assert_eq!(granted, advertised.into_iter().collect());
}

async fn response_modes(mount: &Mount, advertised: Vec<&str>) {
    assert_eq!(advertised, ["query", "form_post"]);
    let client = mount.client("modes").web_app().first_party().create().await;
    for mode in advertised {
        let callback =
            mount.code_flow(&client).with("response_mode", mode).walk(&mount.browser(), "ada").await;
        assert_eq!(callback.mode, mode);
        assert!(!callback.code().is_empty());
    }
}

/// Every advertised grant type leads to a token.
async fn grant_types(mount: &Mount, advertised: Vec<&str>) {
    let client = mount.client("grants").web_app().first_party().grants(&GrantType::ALL).create().await;
    let tokens = mount.code_flow(&client).tokens(&mount.browser(), "ada").await;
    for grant in advertised {
        let form = match grant {
            "authorization_code" => continue,
            "refresh_token" => vec![("refresh_token", tokens.refresh())],
            "client_credentials" => vec![("scope", "profile")],
            "urn:ietf:params:oauth:grant-type:device_code" => {
                // Its own tests walk the whole way.
                let form = [("grant_type", grant), ("device_code", "x")];
                mount.token(&client, &form).await.refused(400, "invalid_grant");
                continue;
            }
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
                let form = [("grant_type", grant), ("assertion", "x")];
                mount.token(&client, &form).await.refused(400, "invalid_grant");
                continue;
            }
            "urn:ietf:params:oauth:grant-type:token-exchange" => vec![
                ("subject_token", tokens.access.as_str()),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ],
            "password" => vec![("username", "ada"), ("password", keyreeve_acceptance::PASSWORD)],
            other => panic!("an unknown grant type is advertised: {other}"),
        };
        let form: Vec<_> = form.into_iter().chain([("grant_type", grant)]).collect();
        TokenSet::read(&mount.token(&client, &form).await);
    }
}

/// Every advertised method is accepted at the endpoint.
async fn auth_methods(mount: &Mount, endpoint: &str, advertised: Vec<&str>) {
    for method in advertised {
        let name = format!("{method}-at-{}", &endpoint[1..]);
        let client = mount.client(&name.replace('_', "-")).web_app();
        let client = match method {
            "client_secret_basic" => client.confidential(),
            "client_secret_post" => client.secret_post(),
            "private_key_jwt" => client.private_key(Algorithm::Es256),
            "none" => client.public(),
            other => panic!("an unknown method is advertised: {other}"),
        };
        let client = client.create().await;
        let form = [("token", "x"), ("grant_type", "refresh_token"), ("refresh_token", "x")];
        let answer = mount.post_as(&client, endpoint, &form).send().await;
        // The client is past its authentication: at the token endpoint, the token is what is wrong.
        if endpoint == "/token" { answer.refused(400, "invalid_grant") } else { answer.check(200) }
    }
}

async fn assertion_algorithms(mount: &Mount, name: &str, advertised: Vec<&str>) {
    assert_eq!(advertised.len(), Algorithm::ALL.len());
    for alg in Algorithm::ALL {
        assert!(advertised.contains(&alg.as_str()), "{name}");
        let client_id = format!("{}-{}", &name[..6], alg.as_str()).to_lowercase();
        let client = mount.client(&client_id).service().private_key(alg).create().await;
        mount.post_as(&client, "/revoke", &[("token", "x")]).send().await.check(200);
    }
}

async fn id_token_algorithms(mount: &Mount, advertised: Vec<&str>) {
    assert_eq!(advertised.len(), Algorithm::ALL.len());
    for alg in Algorithm::ALL {
        assert!(advertised.contains(&alg.as_str()));
        let client = mount.client(&format!("id-{}", alg.as_str()).to_lowercase()).web_app().first_party();
        let client = client.with(|settings| settings.id_token_alg = Some(alg)).create().await;
        let tokens = mount.code_flow(&client).tokens(&mount.browser(), "ada").await;
        assert_eq!(tokens.id_token(mount).await.header["alg"], alg.as_str());
    }
}

async fn prompts(mount: &Mount, advertised: Vec<&str>) {
    let client = mount.client("prompts").web_app().first_party().create().await;
    let browser = mount.browser();
    browser.sign_in("ada").await;
    for prompt in advertised {
        let expected: &[&str] = match prompt {
            "none" => &[],
            "login" | "select_account" => &["sign_in"],
            "consent" => &["consent"],
            other => panic!("an unknown prompt is advertised: {other}"),
        };
        mount.advance(1);
        let callback = mount.code_flow(&client).with("prompt", prompt).walk(&browser, "ada").await;
        assert_eq!(callback.pages, expected, "{prompt}");
    }
}

async fn ui_locales(mount: &Mount, advertised: Vec<&str>) {
    for language in advertised {
        let client = mount.client(&format!("speaks-{language}")).web_app().create().await;
        let browser = mount.browser();
        let answer = mount.code_flow(&client).with("ui_locales", language).begin(&browser).await;
        assert_eq!(browser.follow(answer).await.expect(200).page().lang, language);
    }
}

/// Every advertised claim is told somewhere: in the ID token, or at the userinfo endpoint.
async fn claims(mount: &Mount, advertised: Vec<&str>) {
    let client = mount.client("claims").web_app().first_party().create().await;
    let scope = "openid profile email address phone";
    let tokens = mount.code_flow(&client).scope(scope).tokens(&mount.browser(), "ada").await;
    let id = tokens.id_token(mount).await.claims;
    let told = mount.userinfo(&tokens.access).await.expect(200).json();
    for name in advertised.iter().filter(|name| **name != "acr") {
        assert!(id.get(*name).or_else(|| told.get(*name)).is_some(), "{name} is told nowhere");
    }
    let known = |name: &String| advertised.contains(&name.as_str());
    for claims in [&id, &told] {
        assert!(
            claims.as_object().unwrap().keys().all(known),
            "a claim is told and not advertised: {claims}"
        );
    }
}

on_a_server! {
    async fn everything_that_is_advertised_works(server: &Server) {
        server.user("ada").with_every_claim().create().await;
        for (name, value) in metadata(server).await {
            exercise(server, &name, &value).await;
        }
    }

    async fn everything_that_is_advertised_works_at_a_tenant(server: &Server) {
        let acme = server.tenant("acme").create().await;
        acme.user("ada").with_every_claim().create().await;
        acme.set_policy(|policy| (policy.password_grant, policy.default_alg) = (true, Algorithm::Es256)).await;
        let told = metadata(&acme).await;
        assert!(texts(&told["grant_types_supported"]).contains(&"password"), "the tenant has opened it");
        assert_eq!(texts(&told["id_token_signing_alg_values_supported"])[0], "ES256", "its own comes first");
        for (name, value) in told {
            if let Some(url) = value.as_str() {
                assert!(url.starts_with(&acme.issuer()), "{name} is not of this tenant: {url}");
            }
            exercise(&acme, &name, &value).await;
        }
    }

    async fn rfc8414_the_oauth_metadata_say_the_same(server: &Server) {
        let acme = server.tenant("acme").create().await;
        let openid = metadata(&acme).await;
        // Section 3.1 puts the well-known part before the issuer's path; many clients put it behind.
        for path in ["/.well-known/oauth-authorization-server/t/acme", "/t/acme/.well-known/oauth-authorization-server"] {
            let told = server.get(path).send().await.expect(200).json();
            for (name, value) in told.as_object().unwrap() {
                assert_eq!(openid.get(name), Some(value), "{name}");
            }
            assert_eq!(told["issuer"], acme.issuer().as_str());
        }
    }

    async fn documents_can_be_kept_for_a_while_and_read_from_any_page(server: &Server) {
        for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks"] {
            let answer = server.get(path).header("origin", "https://spa.example").send().await.expect(200);
            assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            let tag = answer.header("etag").expect("a tag").to_owned();
            let again = server.get(path).header("if-none-match", &tag).send().await.expect(304);
            assert!(again.body.is_empty());
            assert_eq!(again.header("etag"), Some(tag.as_str()));
        }
    }

    async fn the_issuer_is_the_public_url_whatever_the_host_header_says(server: &Server) {
        let answer = server
            .get("/.well-known/openid-configuration")
            .set_header("host", "evil.example")
            .header("x-forwarded-host", "evil.example")
            .header("forwarded", "host=evil.example")
            .send()
            .await
            .expect(200);
        assert!(!answer.text().contains("evil"), "{answer}");
        let begun = server.browser().get("/account").header("x-forwarded-host", "evil.example").send().await;
        assert_eq!(begun.own_location(), Some("/signin"));
    }

    async fn only_the_tenants_own_keys_verify_a_token(server: &Server) {
        let acme = server.tenant("acme").create().await;
        let client = server.client("robot").service().create().await;
        let token = TokenSet::read(&server.token(&client, &[("grant_type", "client_credentials")]).await).access;
        let jwks = async |mount: &Mount| mount.get("/jwks").send().await.expect(200).json();
        let (own, foreign) = (jwks(server).await, jwks(&acme).await);
        verify_with(&own, &token).expect("it verifies");
        verify_with(&foreign, &token).expect_err("another tenant's keys");
        let (head, signature) = token.rsplit_once('.').unwrap();
        let claims = decode(&token).claims.to_string().replace("read write", "read admin");
        let forged = format!("{}.{}.{signature}", head.split('.').next().unwrap(), encoded(&claims));
        verify_with(&own, &forged).expect_err("other claims under the same signature");
        for text in [own.to_string(), foreign.to_string()] {
            assert!(!text.contains("\"d\""), "a private key is published: {text}");
        }
    }

    async fn keys_rotate_with_an_overlap(server: &Server) {
        server.user("ada").create().await;
        let client = server.client("portal").web_app().create().await;
        let tokens = server.code_flow(&client).tokens(&server.browser(), "ada").await;
        let old_kid = decode(&tokens.access).header["kid"].clone();
        let jwks = async || server.get("/jwks").send().await.expect(200);
        let kept = jwks().await;
        let kids = |answer: &Answer| -> Vec<Value> {
            answer.json()["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect()
        };
        assert_eq!(kids(&kept).len(), 2, "the next key is published ahead");

        server.rotate_keys(Algorithm::EdDsa).await;
        let second = server.refresh(&client, tokens.refresh()).await;
        let new_kid = decode(&second.access).header["kid"].clone();
        assert_ne!(old_kid, new_kid);
        // A client that kept the keys of before the rotation verifies the new tokens, and one that reads them now the old.
        verify_with(&kept.json(), &second.access).expect("the key was known");
        verify_with(&kept.json(), second.id()).expect("the key was known");
        verify_with(&jwks().await.json(), &tokens.access).expect("the key is still published");
        server.userinfo(&tokens.access).await.check(200);
        assert!(server.is_active(&client, &tokens.access).await);
        let hinted = [("id_token_hint", tokens.id())];
        let changed = server.get("/jwks").header("if-none-match", kept.header("etag").unwrap()).send().await;
        changed.check(200);

        // When no token of the old key can be alive any more, it goes.
        server.advance(2 * 86_400);
        server.tokens().keys().maintain(server.id()).await.expect("the care of the keys");
        let now = kids(&jwks().await);
        assert!(!now.contains(&old_kid) && now.contains(&new_kid), "{now:?}");
        let fresh = server.browser();
        fresh.sign_in("ada").await;
        let answer = fresh.get("/end-session").query(&hinted).send().await;
        assert!(answer.own_location().is_some_and(|to| to.starts_with("/signout?request=")), "{answer}");
        let actions: Vec<String> = server.audit().await.into_iter().map(|entry| entry.action).collect();
        assert!(actions.contains(&"key.rotate".to_owned()) && actions.contains(&"key.remove".to_owned()));
    }

    async fn keys_rotate_by_themselves_in_time(server: &Server) {
        let client = server.client("robot").service().create().await;
        let kid = async || {
            let tokens = TokenSet::read(&server.token(&client, &[("grant_type", "client_credentials")]).await);
            decode(&tokens.access).header["kid"].clone()
        };
        let first = kid().await;
        server.advance(89 * 86_400);
        server.tokens().keys().maintain(server.id()).await.unwrap();
        assert_eq!(kid().await, first);
        server.advance(2 * 86_400);
        server.tokens().keys().maintain(server.id()).await.unwrap();
        assert_ne!(kid().await, first);
    }
}
