//! Sessions and the integrity of flows (AC-10 to AC-19).

use super::redirects::{request_of, session_cookie};
use super::{Stage, granted, leads_nowhere, stages};
use keyreeve_acceptance::{
    Answer, Browser, Form, Mount, PASSWORD, Server, Setup, TestClient, TokenSet, on_a_server,
};
use keyreeve_identity::StateChange;
use keyreeve_testkit::{Engine, block_on};
use keyreeve_tokens::clients::GrantType;

const NEW_PASSWORD: &str = "Vb4-walnut-harbour";
/// How many try the same thing at once.
const AT_ONCE: usize = 8;

/// A client that may use the password grant, in a tenant that has opened it.
pub async fn password_client(mount: &Mount) -> TestClient {
    mount.set_policy(|policy| policy.password_grant = true).await;
    let grants = [GrantType::Password, GrantType::RefreshToken];
    mount.client("cli").grants(&grants).scopes("openid profile").create().await
}

/// A password grant.
pub async fn password_grant(mount: &Mount, client: &TestClient, name: &str, password: &str) -> Answer {
    mount.token(client, &[("grant_type", "password"), ("username", name), ("password", password)]).await
}

/// The form on which somebody who must change their password chooses one.
pub async fn forced_form(browser: &Browser, name: &str) -> Form {
    let answer = browser.try_sign_in(name, PASSWORD).await.expect(200);
    answer.page().form(&format!("{}/password", browser.mount().prefix()))
}

fn chosen(form: Form) -> Form {
    form.with("new_password", NEW_PASSWORD).with("repeat_password", NEW_PASSWORD)
}

/// Runs the same request so many times at once; the answers' statuses, sorted.
async fn at_once<F: Future<Output = Answer> + Send + 'static>(make: impl Fn(usize) -> F) -> Vec<u16> {
    let running: Vec<_> = (0..AT_ONCE).map(|number| tokio::spawn(make(number))).collect();
    let mut statuses = Vec::new();
    for one in running {
        statuses.push(one.await.unwrap().status.as_u16());
    }
    statuses.sort_unstable();
    statuses
}

/// One that succeeds, the others that do not.
fn one_of_many(success: u16, refusal: u16) -> Vec<u16> {
    let mut statuses = vec![refusal; AT_ONCE - 1];
    statuses.push(success);
    statuses.sort_unstable();
    statuses
}

on_a_server! {
    async fn ac_10_a_planted_session_is_of_no_use(server: &Server) {
        for stage in stages(server).await {
            let cookie = session_cookie(&stage.mount);
            stage.mount.user("mallory").create().await;
            let attacker = stage.mount.browser();
            attacker.sign_in("mallory").await;
            // The attacker's cookies are planted in the victim's browser, before its sign-in.
            let victim = attacker.copy();
            victim.get("/signin?other=1").send().await.check(200);
            let form = victim
                .get("/signin?other=1")
                .send()
                .await
                .page()
                .form(&format!("{}/signin", stage.mount.prefix()));
            victim.submit(&form.with("username", "ada").with("password", PASSWORD)).await.check(303);
            assert_ne!(victim.cookie(&cookie), attacker.cookie(&cookie));
            assert!(victim.get("/account").send().await.expect(200).text().contains("ada"));
            assert!(!attacker.is_signed_in().await, "the planted session is over, and nobody's");

            // A made-up cookie is not taken over either, and a second sign-in renews the first one's.
            let browser = stage.mount.browser();
            browser.set_cookie(&cookie, "kr_se_chosen-by-somebody-else");
            browser.sign_in("ada").await;
            let first = browser.cookie(&cookie).unwrap();
            assert_ne!(first, "kr_se_chosen-by-somebody-else");
            let old = browser.copy();
            let form = browser
                .get("/signin?other=1")
                .send()
                .await
                .page()
                .form(&format!("{}/signin", stage.mount.prefix()));
            browser.submit(&form.with("username", "ada").with("password", PASSWORD)).await.check(303);
            assert_ne!(browser.cookie(&cookie), Some(first));
            assert!(!old.is_signed_in().await);
        }
    }

    async fn ac_10_a_new_password_ends_every_other_session(server: &Server) {
        for stage in stages(server).await {
            let (own, elsewhere) = (stage.mount.browser(), stage.mount.browser());
            own.sign_in("ada").await;
            elsewhere.sign_in("ada").await;
            let form = own
                .get("/password")
                .send()
                .await
                .expect(200)
                .page()
                .form(&format!("{}/password", stage.mount.prefix()));
            let done = own.submit(&chosen(form.with("current_password", PASSWORD))).await;
            own.follow(done).await.check(200);
            assert!(own.is_signed_in().await);
            assert!(!elsewhere.is_signed_in().await);
            assert_eq!(stage.mount.audited("user.password.change").await.len(), 1);
        }
    }

    async fn ac_11_no_stage_is_skipped_by_an_empty_post(server: &Server) {
        for stage in stages(server).await {
            let browser = stage.mount.browser();
            browser.sign_in("ada").await;
            let before = granted(&stage.mount).await;
            let consent = stage.flow().begin(&browser).await;
            let consent = browser.follow(consent).await.expect(200).page();
            let form = consent.form(&format!("{}/consent", stage.mount.prefix()));
            // Neither button pressed, both pressed, another word.
            browser.submit(&form).await.check(400);
            browser.submit(&form.clone().with("decision", "yes")).await.check(400);
            let twice = browser.form(&form).with(|call| {
                call.form(&[form.pairs(), vec![("decision", "allow"), ("decision", "deny")]].concat())
            });
            twice.send().await.check(400);
            let prefix = stage.mount.prefix();
            let account = browser.get("/account").send().await.expect(200).page();
            for form in account.forms.iter().chain([&form]) {
                for fields in [vec![], vec![("csrf", "")], vec![("csrf", "x"), ("decision", "allow")]] {
                    let answer = browser.form(form).with(|call| call.form(&fields)).send().await;
                    assert!(
                        answer.status != 200 || answer.page().form_ending("/signout").is_some(),
                        "{answer}"
                    );
                    let leads_to = answer.own_location().unwrap_or_default().replacen(prefix, "", 1);
                    assert!(
                        !leads_to.starts_with("/signout/done") && !leads_to.contains("done="),
                        "{answer}"
                    );
                }
            }
            // Without the page of the sign-in nothing is signed in.
            let nobody = stage.mount.browser();
            for fields in
                [vec![], vec![("username", "ada")], vec![("username", "ada"), ("password", PASSWORD)]]
            {
                nobody.post("/signin").form(&fields).send().await.check(400);
                nobody.post("/password").form(&fields).send().await.check(303);
            }
            assert!(!nobody.is_signed_in().await);
            assert!(browser.is_signed_in().await);
            assert_eq!(granted(&stage.mount).await, before);
        }
    }

    async fn ac_11_whoever_must_change_the_password_does_nothing_before(server: &Server) {
        for stage in stages(server).await {
            let cli = password_client(&stage.mount).await;
            stage.mount.user("newcomer").must_change_password().create().await;
            let browser = stage.mount.browser();
            let form = forced_form(&browser, "newcomer").await;
            assert_eq!(browser.cookie(&session_cookie(&stage.mount)), None);
            for path in ["/account", "/password"] {
                assert!(browser.get(path).send().await.location().contains("/signin"), "{path}");
            }
            let begun = stage.flow().begin(&browser).await;
            assert!(begun.location().contains("/signin?request="), "{begun}");
            password_grant(&stage.mount, &cli, "newcomer", PASSWORD).await.refused(400, "invalid_grant");
            // The ticket is for this step alone, and the step is not skipped by leaving its answer out.
            for form in [
                form.clone(),
                form.clone().with("new_password", NEW_PASSWORD),
                chosen(form.clone()).with("repeat_password", "something else entirely"),
                chosen(form.clone()).with("ticket", "x"),
                chosen(form.clone()).with("csrf", "x"),
            ] {
                browser.submit(&form).await.check(400);
            }
            assert!(!browser.is_signed_in().await);
            browser.submit(&chosen(form)).await.check(303);
            assert!(browser.is_signed_in().await);
        }
    }

    async fn ac_12_a_malformed_cookie_is_nobody(server: &Server) {
        for stage in stages(server).await {
            let browser = stage.agreed().await;
            let name = session_cookie(&stage.mount);
            let good = browser.cookie(&name).unwrap();
            let mark = name.replace("session", "browser");
            let mark = format!("{mark}={}", browser.cookie(&mark).unwrap());
            let ask = async |cookie: &str, path: &str| {
                let cookies = format!("{mark}; {cookie}");
                stage.mount.get(path).header("cookie", &cookies).send().await
            };
            ask(&format!("{name}={good}"), "/account").await.check(200);
            let long = "x".repeat(6_000);
            for bad in [
                format!("{name}={good}; {name}={good}"),
                format!("{name}=x; {name}={good}"),
                format!("{name}=\"{good}\""),
                format!("{name}={good}x"),
                format!("{name}={}", &good[..good.len() - 1]),
                format!("{name}={}", good.to_lowercase()),
                format!("{name}= {good} x"),
                format!("{name}={good},x"),
                format!("{name}=%6Br_se_"),
                format!("{name}={long}"),
                format!("{name}={good}{}", '\u{e9}'),
                format!("{}={good}", name.to_uppercase()),
                name.clone(),
                format!("{name}="),
                format!("other={good}"),
            ] {
                for path in ["/account", "/password", "/consent"] {
                    assert!(ask(&bad, path).await.location().contains("/signin"), "{bad} at {path}");
                }
                ask(&bad, "/signin").await.check(200);
                let begun = ask(&bad, &stage.flow().path()).await;
                assert!(begun.location().contains("/signin?request="), "{bad}: {begun}");
                let silent = ask(&bad, &stage.flow().with("prompt", "none").path()).await;
                assert!(silent.location().contains("error=login_required"), "{bad}: {silent}");
            }
        }
    }

    async fn ac_14_the_step_of_one_browser_is_of_no_use_in_another(server: &Server) {
        for stage in stages(server).await {
            stage.mount.user("newcomer").must_change_password().create().await;
            let (own, foreign) = (stage.mount.browser(), stage.mount.browser());
            let form = forced_form(&own, "newcomer").await;
            foreign.sign_in_form().await;
            foreign.submit(&chosen(form.clone())).await.check(400);
            own.submit(&chosen(form.clone())).await.check(303);
            // Used once: the same ticket, and a new one that was made for the old password, are over.
            let again = stage.mount.browser();
            let csrf = again.sign_in_form().await;
            again.submit(&chosen(form.clone()).with("csrf", csrf.get("csrf").unwrap())).await.check(400);
            own.submit(
                &form
                    .with("new_password", "Another-long-one-77")
                    .with("repeat_password", "Another-long-one-77"),
            )
            .await
            .check(400);
            assert!(!again.is_signed_in().await);
            assert_eq!(stage.mount.audited("user.password.change").await.len(), 1);
        }
    }

    async fn ac_15_whoever_is_shut_out_is_shut_out_at_every_door(server: &Server) {
        for (number, stage) in stages(server).await.iter().enumerate() {
            let cli = password_client(&stage.mount).await;
            for (shut, open) in
                [(StateChange::Disable, StateChange::Enable), (StateChange::Lock, StateChange::Unlock)]
            {
                let name = format!("user{number}{open:?}");
                let user = stage.mount.user(&name).create().await;
                let browser = stage.mount.browser();
                let tokens = stage.flow().tokens(&browser, &name).await;
                let granted = TokenSet::read(&password_grant(&stage.mount, &cli, &name, PASSWORD).await);
                let code = stage.flow().walk(&browser, &name).await.code().to_owned();
                user.change(shut).await;

                assert!(!browser.is_signed_in().await);
                browser.try_sign_in(&name, PASSWORD).await.check(401);
                password_grant(&stage.mount, &cli, &name, PASSWORD).await.refused(400, "invalid_grant");
                stage.flow().redeem(&code).await.refused(400, "invalid_grant");
                stage.mount.try_refresh(&stage.portal, tokens.refresh()).await.refused(400, "invalid_grant");
                stage.mount.try_refresh(&cli, granted.refresh()).await.refused(400, "invalid_grant");
                for (client, token) in [(&stage.portal, &tokens.access), (&cli, &granted.access)] {
                    stage.mount.userinfo(token).await.check(401);
                    assert!(!stage.mount.is_active(client, token).await);
                }
                assert!(!stage.mount.is_active(&stage.portal, tokens.refresh()).await);
                user.change(open).await;
                browser.try_sign_in(&name, PASSWORD).await.check(303);
                assert!(!stage.mount.is_active(&stage.portal, &tokens.access).await, "what ended has ended");
            }
        }
    }

    async fn ac_15_a_disabled_tenant_or_client_lets_nobody_in(server: &Server) {
        let [_, acme] = stages(server).await;
        let service = acme.mount.client("service").service().create().await;
        let browser = acme.mount.browser();
        let tokens = acme.flow().tokens(&browser, "ada").await;
        let own = TokenSet::read(&acme.mount.token(&service, &[("grant_type", "client_credentials")]).await);
        let code = acme.flow().walk(&browser, "ada").await.code().to_owned();

        acme.portal.set(|settings| settings.enabled = false).await;
        leads_nowhere(&acme.flow().begin(&browser).await);
        acme.flow().redeem(&code).await.refused(401, "invalid_client");
        acme.mount.try_refresh(&acme.portal, tokens.refresh()).await.refused(401, "invalid_client");
        acme.mount.userinfo(&tokens.access).await.check(401);
        acme.portal.set(|settings| settings.enabled = true).await;
        acme.mount.userinfo(&tokens.access).await.check(200);

        acme.mount.set_enabled(false).await;
        for path in ["/signin", "/account", "/jwks", "/.well-known/openid-configuration", &acme.flow().path()]
        {
            acme.mount.get(path).send().await.check(404);
        }
        acme.mount.token(&service, &[("grant_type", "client_credentials")]).await.check(404);
        acme.mount.userinfo(&tokens.access).await.check(404);
        acme.mount.post_as(&service, "/introspect", &[("token", &own.access)]).send().await.check(404);
        server.userinfo(&tokens.access).await.check(401);
        acme.mount.set_enabled(true).await;
        acme.mount.userinfo(&tokens.access).await.check(200);
    }

    async fn ac_16_what_was_revoked_is_refused_at_once(server: &Server) {
        for stage in stages(server).await {
            let service = stage.mount.client("service").service().create().await;
            let own =
                TokenSet::read(&stage.mount.token(&service, &[("grant_type", "client_credentials")]).await);
            let (one, two) = (stage.tokens().await, stage.tokens().await);
            for (client, token) in
                [(&service, &*own.access), (&stage.portal, &one.access), (&stage.portal, two.refresh())]
            {
                assert!(stage.mount.is_active(client, token).await);
                stage.mount.post_as(client, "/revoke", &[("token", token)]).send().await.check(200);
                assert!(!stage.mount.is_active(client, token).await);
            }
            for token in [&one.access, &two.access] {
                stage.mount.userinfo(token).await.check(401);
            }
            stage.mount.refresh(&stage.portal, one.refresh()).await;
            stage.mount.try_refresh(&stage.portal, two.refresh()).await.refused(400, "invalid_grant");
            // A client's own credential.
            let clients = stage.mount.tokens().clients();
            let secret = clients.secrets(&service.client).await.unwrap()[0].id;
            clients
                .revoke_secret(&service.client, secret, &keyreeve_identity::Cause::operator())
                .await
                .unwrap();
            stage
                .mount
                .token(&service, &[("grant_type", "client_credentials")])
                .await
                .refused(401, "invalid_client");
            assert_eq!(stage.mount.audited("token.revoke").await.len(), 3);
        }
    }

    async fn ac_17_of_many_at_once_one_wins(server: &Server) {
        let [stage, _] = stages(server).await;
        let browser = stage.agreed().await;
        let flow = stage.flow();
        let code = flow.walk(&browser, "ada").await.code().to_owned();
        let redeem = |_| {
            let (flow, code) = (flow.clone(), code.clone());
            async move { flow.redeem(&code).await }
        };
        assert_eq!(at_once(redeem).await, one_of_many(200, 400));

        let refresh = stage.tokens().await.refresh().to_owned();
        let rotate = |_| {
            let (mount, portal, refresh) = (stage.mount.clone(), stage.portal.clone(), refresh.clone());
            async move { mount.try_refresh(&portal, &refresh).await }
        };
        assert_eq!(at_once(rotate).await, one_of_many(200, 400));

        let robot = server
            .client("robot")
            .service()
            .private_key(keyreeve_crypto::sign::Algorithm::EdDsa)
            .create()
            .await;
        let assertion = robot.sign(&robot.assertion_claims(server));
        let assert = |_| {
            let (mount, assertion) = (stage.mount.clone(), assertion.clone());
            async move {
                let kind = keyreeve_acceptance::build::ASSERTION_TYPE;
                let form = [
                    ("grant_type", "client_credentials"),
                    ("client_assertion_type", kind),
                    ("client_assertion", &assertion),
                ];
                mount.post("/token").form(&form).send().await
            }
        };
        assert_eq!(at_once(assert).await, one_of_many(200, 401));

        server.user("newcomer").must_change_password().create().await;
        let newcomer = server.browser();
        let form = chosen(forced_form(&newcomer, "newcomer").await);
        let choose = |number: usize| {
            // Each in its own copy: the cookies of one must not help another.
            let (browser, password) = (newcomer.copy(), format!("{NEW_PASSWORD}{number}"));
            let form = form.clone().with("new_password", &password).with("repeat_password", &password);
            async move { browser.submit(&form).await }
        };
        assert_eq!(at_once(choose).await, one_of_many(303, 400));
        assert_eq!(server.audited("user.password.change").await.len(), 1);
        let successes = |entries: Vec<keyreeve_audit::Entry>| {
            entries.iter().filter(|entry| entry.outcome == "success").count()
        };
        assert_eq!(successes(server.audited("admission.refresh").await), 1);
    }

    async fn ac_18_nothing_of_a_request_is_written_into_a_cookie_or_readable_in_the_url(server: &Server) {
        for stage in stages(server).await {
            let browser = stage.mount.browser();
            let marks = ["state-canary-1", "nonce-canary-2", "hint-canary-3"];
            let flow =
                stage.flow().with("state", marks[0]).with("nonce", marks[1]).with("login_hint", marks[2]);
            let mut answer = flow.begin(&browser).await;
            let sealed = request_of(&answer);
            for mark in marks.into_iter().chain(["portal"]) {
                assert!(!sealed.contains(mark));
            }
            for _ in 0..3 {
                for (name, value, _) in answer.cookies() {
                    assert!(marks.iter().all(|mark| !value.contains(mark)), "{name}");
                    assert!(!value.contains(&sealed[..40]), "{name}");
                }
                let Some(path) = answer.own_location() else { break };
                answer = browser.get(&format!("{}{path}", server.tokens().base_url())).send().await;
            }
        }
    }

    async fn ac_19_nobody_else_signs_a_user_out(server: &Server) {
        let [one, two] = stages(server).await;
        for (stage, elsewhere) in [(&one, &two), (&two, &one)] {
            stage.mount.user("mallory").create().await;
            let browser = stage.mount.browser();
            let own = stage.flow().tokens(&browser, "ada").await;
            let mallory = stage.flow().tokens(&stage.mount.browser(), "mallory").await;
            let abroad = elsewhere.tokens().await;
            let former = stage.tokens().await;
            let (head, rest) = own.id().split_once('.').unwrap();
            let (claims, signature) = rest.split_once('.').unwrap();
            let unsigned = format!("eyJhbGciOiJub25lIn0.{claims}.");
            let crossed = format!("{head}.{}.{signature}", mallory.id().split('.').nth(1).unwrap());
            let hints = [
                mallory.id(),
                abroad.id(),
                former.id(),
                &unsigned,
                &crossed,
                &own.access,
                own.refresh(),
                "x",
                "",
            ];
            for hint in hints {
                for answer in [
                    browser.get("/end-session").query(&[("id_token_hint", hint)]).send().await,
                    browser.post("/end-session").form(&[("id_token_hint", hint)]).send().await,
                    browser
                        .post("/end-session")
                        .header("origin", "https://evil.test")
                        .form(&[("id_token_hint", hint)])
                        .send()
                        .await,
                ] {
                    let path = answer.own_location().unwrap_or_else(|| panic!("{hint}: {answer}"));
                    assert!(
                        path.starts_with(&format!("{}/signout?", stage.mount.prefix())),
                        "the user is asked: {answer}"
                    );
                }
            }
            assert!(browser.is_signed_in().await);
            // The answer to the question is the user's own.
            let asked = browser.get("/end-session").send().await;
            let page = browser.follow(asked).await.expect(200).page();
            let form = page.form(&format!("{}/signout", stage.mount.prefix()));
            browser
                .form(&form)
                .with(|call| call.set_header("origin", "https://evil.test"))
                .send()
                .await
                .check(403);
            let forged = browser.submit(&form.clone().with("csrf", "x")).await;
            assert!(forged.status != 303 && browser.is_signed_in().await, "{forged}");
            assert!(stage.mount.audited("session.end").await.is_empty());
            // With the token of this very session there is nothing to ask.
            let done = browser.get("/end-session").query(&[("id_token_hint", own.id())]).send().await;
            assert!(done.own_location().is_some_and(|path| path.ends_with("/signout/done")), "{done}");
            assert!(!browser.is_signed_in().await);
        }
    }
}

/// Starts a server behind a proxy on this machine, and ends it after the test.
fn behind_a_proxy(engine: Engine, test: impl AsyncFnOnce(&Server)) {
    block_on(async {
        let server = Setup::new(engine).set("KEYREEVE_TRUSTED_PROXIES", "127.0.0.1").start().await;
        test(&server).await;
        server.finish().await;
    });
}

async fn unreadable_addresses(server: &Server) {
    let stage = Stage::set(server).await;
    let cli = password_client(&stage.mount).await;
    let long = "1,".repeat(4_000);
    for (number, value) in
        ["", "x", "999.1.1.1", "unknown", "'; --", "::ffff:", "[::1", "1.2.3.4:x", "\u{e9}", ",,,", &long]
            .iter()
            .enumerate()
    {
        let name = format!("user{number}");
        server.user(&name).create().await;
        let browser = server.browser().sending("x-forwarded-for", value);
        // The password is asked for, its failures are counted, and the page answers.
        for _ in 0..5 {
            browser.try_sign_in(&name, "wrong").await.check(401);
        }
        browser.try_sign_in(&name, PASSWORD).await.check(429);
        assert!(!browser.is_signed_in().await);
        let form = [("grant_type", "password"), ("username", name.as_str()), ("password", PASSWORD)];
        let answer = server.post_as(&cli, "/token", &form).header("x-forwarded-for", value).send().await;
        answer.check(429);
    }
}

mod ac_13_an_unreadable_forwarding_header_skips_nothing {
    use super::*;

    #[test]
    fn sqlite() {
        behind_a_proxy(Engine::Sqlite, async |server| unreadable_addresses(server).await);
    }

    #[test]
    fn postgres() {
        behind_a_proxy(Engine::Postgres, async |server| unreadable_addresses(server).await);
    }
}
