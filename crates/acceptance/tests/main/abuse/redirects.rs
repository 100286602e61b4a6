//! Redirects and the front channel (AC-01 to AC-09).

use super::{granted, leads_nowhere, stages};
use keyreeve_acceptance::{Answer, Browser, CodeFlow, Mount, Server, VERIFIER, challenge_of, on_a_server};
use keyreeve_tokens::clients::{GrantType, RedirectUri};

/// Addresses that some comparison or some parser takes for `https://portal.example/cb`, or that do harm by themselves.
const FOREIGN: &[&str] = &[
    // AC-01: the registered one read as a pattern.
    "https://portalxexample/cb",
    "https://portal-example/cb",
    "https://*.example/cb",
    "*",
    // AC-02: a prefix, a suffix, a part.
    "https://portal.example.evil.test/cb",
    "https://portal.example/cb.evil.test",
    "https://portal.example/cb/",
    "https://portal.example/cbx",
    "https://portal.example/cb/../evil",
    "https://portal.example/cb?x=1",
    "https://portal.example/cb?",
    "https://portal.example",
    "https://portal.example/",
    "https://evil.portal.example/cb",
    "https://evilportal.example/cb",
    "https://evil.test/?u=https://portal.example/cb",
    // AC-04: schemes that run or show what they carry.
    "javascript:alert(1)",
    "javascript://portal.example/cb%0aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:https://portal.example/cb",
    // AC-07: other spellings.
    "https://portal.example/cb#",
    "https://portal.example/cb#fragment",
    "https://user@portal.example/cb",
    "https://portal.example@evil.test/cb",
    "https://evil.test\\@portal.example/cb",
    "https:\\\\portal.example\\cb",
    "https://portal.example\\.evil.test/cb",
    "https://portal.example/%63b",
    "https://portal.example/cb%2f..",
    "https://portal.example/%2e/cb",
    "https://portal.example/./cb",
    "https://portal.example//cb",
    "https://portal.example/cb;x",
    "https://portal.example/CB",
    "https://PORTAL.example/cb",
    "HTTPS://portal.example/cb",
    "https://portal.example:443/cb",
    "https://portal.example:8443/cb",
    "https://portal.example:/cb",
    "https://portal.example./cb",
    "https://p\u{43e}rtal.example/cb",
    "https://portal.ex\u{ad}ample/cb",
    "https://portal\u{3002}example/cb",
    "https://xn--prtal-jye.example/cb",
    "http://portal.example/cb",
    "//portal.example/cb",
    "/cb",
    "portal.example/cb",
    " https://portal.example/cb",
    "https://portal.example/cb ",
    "https://portal.example/cb\n",
    "https://portal.example/\tcb",
    // Registered, but by somebody else.
    "https://other.example/cb",
];

async fn post(flow: &CodeFlow, browser: &Browser) -> Answer {
    browser.post("/authorize").form(&flow.pairs()).send().await
}

on_a_server! {
    async fn ac_01_ac_02_ac_04_ac_07_nothing_is_sent_to_an_address_that_only_looks_like_it(server: &Server) {
        for stage in stages(server).await {
            stage.mount.client("other").web_app().create().await;
            // Everything else is in order: with the right address a code would come at once.
            let browser = stage.agreed().await;
            let before = granted(&stage.mount).await;
            for address in FOREIGN {
                for mode in ["query", "form_post"] {
                    let flow = stage.flow().with("redirect_uri", address).with("response_mode", mode);
                    leads_nowhere(&flow.begin(&browser).await);
                    leads_nowhere(&post(&flow, &browser).await);
                }
                let silent = stage.flow().with("redirect_uri", address).with("prompt", "none");
                leads_nowhere(&silent.begin(&browser).await);
            }
            leads_nowhere(&stage.flow().without("redirect_uri").begin(&browser).await);
            assert_eq!(granted(&stage.mount).await, before);
            assert!(
                !stage.flow().walk(&browser, "ada").await.code().is_empty(),
                "the right address still works"
            );
        }
    }

    async fn ac_01_only_a_loopback_addresss_port_may_differ(server: &Server) {
        let portal = server
            .client("native")
            .public()
            .redirect("http://127.0.0.1/cb")
            .redirect("http://localhost:5000/cb")
            .redirect("http://[::1]:7/cb")
            .redirect("https://native.example:8443/cb")
            .grants(&[GrantType::AuthorizationCode])
            .scopes("openid")
            .create()
            .await;
        server.user("ada").create().await;
        let browser = server.browser();
        let flow = |uri: &str| server.code_flow(&portal).scope("openid").with("redirect_uri", uri);
        for good in [
            "http://127.0.0.1:49152/cb",
            "http://127.0.0.1/cb",
            "http://[::1]:1/cb",
            "http://localhost:5000/cb",
        ] {
            assert!(!flow(good).walk(&browser, "ada").await.code().is_empty());
        }
        for bad in [
            "http://localhost:5001/cb",
            "http://localhost/cb",
            "https://native.example:8444/cb",
            "https://127.0.0.1:5/cb",
            "http://127.0.0.1:5/other",
            "http://127.0.0.1:5/cb?x",
            "http://127.0.0.2:5/cb",
            "http://0x7f.0.0.1:5/cb",
            "http://127.0.0.1:5@evil.test/cb",
            "http://127.0.0.1:99999/cb",
            "http://127.0.0.1:/cb",
            "http://[::2]:1/cb",
            "http://127.1:5/cb",
            "http://127.0.0.1.evil.test:5/cb",
            "http://127.0.0.1:5evil.test/cb",
        ] {
            leads_nowhere(&flow(bad).begin(&browser).await);
        }
    }

    async fn ac_02_ac_07_after_a_sign_out_the_browser_goes_only_where_the_client_registered(server: &Server) {
        for stage in stages(server).await {
            stage.mount.client("other").web_app().create().await;
            let browser = stage.mount.browser();
            let tokens = stage.flow().tokens(&browser, "ada").await;
            let foreign = FOREIGN.iter().map(|address| address.replace("/cb", "/bye"));
            for address in foreign.chain(["https://portal.example/cb".to_owned()]) {
                let params = [("id_token_hint", tokens.id()), ("post_logout_redirect_uri", &address)];
                leads_nowhere(&browser.get("/end-session").query(&params).send().await);
                leads_nowhere(&browser.post("/end-session").form(&params).send().await);
                let by_name = [("client_id", "portal"), ("post_logout_redirect_uri", &address)];
                leads_nowhere(&browser.get("/end-session").query(&by_name).send().await);
            }
            let nobody = [("post_logout_redirect_uri", "https://portal.example/bye")];
            leads_nowhere(&browser.get("/end-session").query(&nobody).send().await);
            assert!(browser.is_signed_in().await);
            assert!(stage.mount.audited("session.end").await.is_empty());
        }
    }

    async fn ac_03_a_client_without_addresses_learns_none(server: &Server) {
        for stage in stages(server).await {
            let bare = stage.mount.client("bare").service().create().await;
            let browser = stage.agreed().await;
            for address in ["https://bare.example/cb", "https://portal.example/cb", ""] {
                let flow = stage.mount.code_flow(&bare).with("redirect_uri", address);
                leads_nowhere(&flow.begin(&browser).await);
                leads_nowhere(&flow.begin(&browser).await);
            }
            let now = stage.mount.tokens().clients().get(stage.mount.id(), bare.client.id).await.unwrap();
            assert!(now.settings.redirect_uris.is_empty());
        }
    }

    async fn ac_04_a_form_that_posts_itself_goes_to_the_client_and_nowhere_else(server: &Server) {
        for stage in stages(server).await {
            for scheme in [
                "javascript:alert(1)",
                "data:text/html,x",
                "vbscript:x",
                "file:///x",
                "about:blank",
                "http://portal.example/cb",
            ] {
                assert!(RedirectUri::parse(scheme).is_err(), "{scheme} can be registered");
            }
            let browser = stage.agreed().await;
            let state = "\"><script>alert(1)</script>";
            let answer = stage
                .flow()
                .with("response_mode", "form_post")
                .with("state", state)
                .begin(&browser)
                .await
                .expect(200);
            let page = answer.page();
            assert_eq!(page.forms.len(), 1, "{answer}");
            assert_eq!(page.forms[0].action, "https://portal.example/cb");
            assert_eq!(page.forms[0].get("state"), Some(state));
            let policy = answer.header("content-security-policy").unwrap();
            let targets =
                policy.split(';').find_map(|part| part.trim().strip_prefix("form-action ")).unwrap();
            assert_eq!(
                targets.split(' ').filter(|target| *target != "'self'").collect::<Vec<_>>(),
                ["https://portal.example"]
            );
            assert!(!policy.contains("unsafe-inline"), "{policy}");
        }
    }

    async fn ac_05_no_parameter_is_given_twice(server: &Server) {
        for stage in stages(server).await {
            let browser = stage.agreed().await;
            let flow = stage.flow();
            let code = flow.walk(&browser, "ada").await.code().to_owned();
            let before = granted(&stage.mount).await;
            for (name, value) in flow.pairs() {
                for twice in [
                    [("A", value), ("B", value)],
                    [("A", "evil"), ("B", value)],
                    [("A", value), ("B", "evil")],
                ] {
                    let extra = twice.map(|(_, value)| (name, value));
                    let pairs: Vec<_> =
                        flow.pairs().into_iter().filter(|(known, _)| *known != name).chain(extra).collect();
                    leads_nowhere(&browser.get("/authorize").query(&pairs).send().await);
                    leads_nowhere(&browser.post("/authorize").form(&pairs).send().await);
                }
            }
            // The names of parameters are percent-encoded text too.
            let hidden = format!("{}&redirect%5Furi=https%3A%2F%2Fevil.test", flow.path());
            leads_nowhere(&browser.get(&hidden).send().await);
            for form in [
                vec![("grant_type", "authorization_code"), ("code", &*code), ("code", &*code)],
                [flow.redemption(&code), vec![("redirect_uri", "https://evil.test/")]].concat(),
                [flow.redemption(&code), vec![("grant_type", "client_credentials")]].concat(),
                [flow.redemption(&code), vec![("client_id", "portal"), ("client_id", "portal")]].concat(),
            ] {
                for path in ["/token", "/introspect", "/revoke"] {
                    stage
                        .mount
                        .post_as(&stage.portal, path, &form)
                        .send()
                        .await
                        .refused(400, "invalid_request");
                }
            }
            let hint = [("client_id", "portal"), ("client_id", "other")];
            leads_nowhere(&browser.get("/end-session").query(&hint).send().await);
            assert_eq!(granted(&stage.mount).await, before);
            flow.redeem(&code).await.check(200);
        }
    }

    async fn ac_05_a_client_authenticates_in_one_way_only(server: &Server) {
        for stage in stages(server).await {
            let form = [
                ("grant_type", "refresh_token"),
                ("refresh_token", "x"),
                ("client_id", "portal"),
                ("client_secret", stage.portal.secret()),
            ];
            let both = stage.mount.post_as(&stage.portal, "/token", &form).send().await;
            both.refused(400, "invalid_request");
            let other = stage
                .mount
                .post_as(&stage.portal, "/token", &[("grant_type", "refresh_token"), ("client_id", "other")])
                .send()
                .await;
            other.refused(400, "invalid_request");
            let twice = stage
                .mount
                .post_as(&stage.portal, "/token", &form[..2])
                .basic("portal", stage.portal.secret());
            twice.send().await.refused(400, "invalid_request");
            // A registered way is the only one.
            stage.mount.post("/token").form(&form).send().await.refused(401, "invalid_client");
            // What stands in the query is no parameter of the token endpoint.
            let call = stage.mount.post_as(&stage.portal, "/token", &[]).query(&form[..2]);
            call.send().await.refused(400, "invalid_request");
        }
    }

    async fn ac_06_ac_10_every_step_belongs_to_the_browser_that_began(server: &Server) {
        for stage in stages(server).await {
            let (attacker, victim) = (stage.mount.browser(), stage.agreed().await);
            stage.mount.user("mallory").create().await;
            let started = stage.flow().begin(&attacker).await;
            let sealed = request_of(&started);
            for path in ["/signin", "/consent", "/authorize/resume"] {
                let link = format!("{path}?request={sealed}");
                let answer = victim.get(&link).send().await;
                assert!(
                    answer.status == 400,
                    "the attacker's request goes on in the victim's browser: {answer}"
                );
                assert_eq!(answer.header("location"), None);
            }
            // Nor does a page that the victim has take it in.
            let form = stage.mount.browser().sign_in_form().await;
            let fresh = stage.mount.browser();
            let own = fresh.sign_in_form().await;
            let answer = fresh
                .submit(
                    &own.with("request", &sealed)
                        .with("username", "ada")
                        .with("password", keyreeve_acceptance::PASSWORD),
                )
                .await;
            answer.check(400);
            assert_eq!(fresh.cookie(&session_cookie(&stage.mount)), None, "nobody was signed in by it");
            // A form belongs to its browser as well.
            let answer = attacker
                .submit(&form.with("username", "mallory").with("password", keyreeve_acceptance::PASSWORD))
                .await;
            answer.check(400);
            assert_eq!(attacker.cookie(&session_cookie(&stage.mount)), None);
            // And in the browser that began, it still goes on.
            let callback = attacker.walk(started, "mallory").await;
            assert!(!callback.code().is_empty());
        }
    }

    async fn ac_06_a_request_of_one_tenant_is_none_of_another(server: &Server) {
        let [one, two] = stages(server).await;
        let browser = one.mount.browser();
        let sealed = request_of(&one.flow().begin(&browser).await);
        let there = browser.at(&two.mount);
        there.sign_in("ada").await;
        // The very same cookie, if it were taken for the other tenant's.
        there.set_cookie("browser-acme", &browser.cookie("browser").unwrap());
        for path in ["/signin", "/consent", "/authorize/resume"] {
            there.get(&format!("{path}?request={sealed}")).send().await.check(400);
        }
    }

    async fn ac_08_a_code_used_twice_revokes_what_it_gave(server: &Server) {
        for stage in stages(server).await {
            let flow = stage.flow();
            let code = flow.walk(&stage.mount.browser(), "ada").await.code().to_owned();
            let tokens = keyreeve_acceptance::TokenSet::read(&flow.redeem(&code).await);
            let next = stage.mount.refresh(&stage.portal, tokens.refresh()).await;
            assert!(stage.mount.is_active(&stage.portal, &next.access).await);
            flow.redeem(&code).await.refused(400, "invalid_grant");
            for token in [&tokens.access, &next.access] {
                assert!(!stage.mount.is_active(&stage.portal, token).await);
                stage.mount.userinfo(token).await.check(401);
            }
            stage.mount.try_refresh(&stage.portal, next.refresh()).await.refused(400, "invalid_grant");
            assert_eq!(stage.mount.refusals("token.reuse").await, ["code_used_again"]);
        }
    }

    async fn ac_08_a_code_is_for_one_client_one_address_and_thirty_seconds(server: &Server) {
        let [one, two] = stages(server).await;
        for (stage, elsewhere) in [(&one, &two), (&two, &one)] {
            let browser = stage.agreed().await;
            let flow = stage.flow();
            let other = stage.mount.client("other").web_app().create().await;
            let code = async || flow.walk(&browser, "ada").await.code().to_owned();

            let without = code().await;
            let form: Vec<_> =
                flow.redemption(&without).into_iter().filter(|(name, _)| *name != "redirect_uri").collect();
            stage.mount.token(&stage.portal, &form).await.refused(400, "invalid_grant");
            for address in
                ["https://portal.example/cb/", "https://portal.example/CB", "https://other.example/cb"]
            {
                let code = code().await;
                let flow = flow.clone().with("redirect_uri", address);
                stage.mount.token(&stage.portal, &flow.redemption(&code)).await.refused(400, "invalid_grant");
                stage
                    .mount
                    .token(&stage.portal, &stage.flow().redemption(&code))
                    .await
                    .refused(400, "invalid_grant");
            }
            let theirs = code().await;
            stage.mount.token(&other, &flow.redemption(&theirs)).await.refused(400, "invalid_grant");
            let abroad = code().await;
            elsewhere
                .mount
                .token(&elsewhere.portal, &elsewhere.flow().redemption(&abroad))
                .await
                .refused(400, "invalid_grant");
            let late = code().await;
            server.advance(31);
            flow.redeem(&late).await.refused(400, "invalid_grant");
            let refusals = stage.mount.refusals("admission.code").await;
            for reason in ["other_redirect_uri", "code_of_another_client", "code_expired"] {
                assert!(refusals.iter().any(|known| known == reason), "{reason}: {refusals:?}");
            }
            assert!(
                stage
                    .mount
                    .audit()
                    .await
                    .iter()
                    .all(|entry| entry.action != "admission.code" || entry.outcome == "refused")
            );
        }
    }

    async fn ac_09_pkce_can_be_neither_left_out_nor_weakened(server: &Server) {
        for stage in stages(server).await {
            let public = stage.mount.client("spa").web_app().public().create().await;
            let browser = stage.agreed().await;
            let spa = stage.mount.code_flow(&public);
            spa.walk(&browser, "ada").await;
            for flow in [stage.flow(), spa.clone()] {
                assert_eq!(
                    flow.clone().with("code_challenge_method", "plain").refusal(&browser).await.error(),
                    "invalid_request"
                );
                // Without a method the RFC means `plain`.
                assert_eq!(
                    flow.clone().without("code_challenge_method").refusal(&browser).await.error(),
                    "invalid_request"
                );
                assert_eq!(
                    flow.clone().without("code_challenge").refusal(&browser).await.error(),
                    "invalid_request"
                );
                assert_eq!(
                    flow.clone().with("code_challenge", "short").refusal(&browser).await.error(),
                    "invalid_request"
                );

                let client = flow.client().clone();
                let code = flow.walk(&browser, "ada").await.code().to_owned();
                let bare: Vec<_> =
                    flow.redemption(&code).into_iter().filter(|(name, _)| *name != "code_verifier").collect();
                stage.mount.token(&client, &bare).await.refused(400, "invalid_grant");
                for wrong in
                    [challenge_of(VERIFIER), VERIFIER.to_lowercase(), format!("{VERIFIER}A"), "a".repeat(43)]
                {
                    let code = flow.walk(&browser, "ada").await.code().to_owned();
                    let form: Vec<_> = flow
                        .redemption(&code)
                        .into_iter()
                        .map(|(name, value)| {
                            (name, if name == "code_verifier" { wrong.as_str() } else { value })
                        })
                        .collect();
                    stage.mount.token(&client, &form).await.refused(400, "invalid_grant");
                }
            }
            assert_eq!(spa.without_pkce().refusal(&browser).await.error(), "invalid_request");
            // A confidential client that began without a challenge: somebody took it out, or puts a verifier in.
            stage.portal.set(|settings| settings.require_pkce = false).await;
            let plain = stage.flow().without_pkce();
            let code = plain.walk(&browser, "ada").await.code().to_owned();
            stage
                .mount
                .token(&stage.portal, &stage.flow().redemption(&code))
                .await
                .refused(400, "invalid_grant");
            let refusals = stage.mount.refusals("admission.code").await;
            for reason in ["verifier_missing", "verifier_wrong", "verifier_without_challenge"] {
                assert!(refusals.iter().any(|known| known == reason), "{reason}: {refusals:?}");
            }
        }
    }
}

/// The sealed request in a redirect to one of our pages.
#[track_caller]
pub fn request_of(answer: &Answer) -> String {
    answer
        .own_location()
        .and_then(|path| path.split_once("request="))
        .unwrap_or_else(|| panic!("{answer}"))
        .1
        .to_owned()
}

/// The name of a tenant's session cookie.
pub fn session_cookie(mount: &Mount) -> String {
    format!("session{}", mount.prefix().replace("/t/", "-"))
}
