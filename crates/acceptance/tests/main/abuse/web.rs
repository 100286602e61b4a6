//! The web side: scripts, other people's identifiers, foreign posts, odd headers (AC-50 to AC-61).

use super::redirects::session_cookie;
use super::sessions::password_client;
use super::{Stage, granted, stages};
use crate::bad_input::exchange::{Request, exchange};
use crate::program::Program;
use keyreeve_acceptance::{Answer, Browser, Form, PASSWORD, Page, Server, Setup, on_a_server};
use keyreeve_testkit::{Engine, block_on};
use std::io::ErrorKind;
use std::net::TcpListener;

const SCRIPT: &str = "<script>alert(1)</script>";
const BREAKOUT: &str = "\"><img src=x onerror=alert(1)>";

/// Whatever could run or load: none of it is in a page but our own script and style sheet.
#[track_caller]
fn is_inert(answer: &Answer) -> Page {
    let page = answer.page();
    for (tag, attributes) in &page.elements {
        assert!(attributes.keys().all(|name| !name.starts_with("on")), "{tag} {attributes:?}\n{answer}");
        let own = |name: &str| attributes.get(name).is_none_or(|url| url.starts_with("/assets/"));
        match tag.as_str() {
            "script" => assert!(attributes.contains_key("src") && own("src"), "{attributes:?}\n{answer}"),
            "img" | "iframe" | "embed" | "source" => assert!(own("src"), "{attributes:?}\n{answer}"),
            "style" | "object" | "base" | "svg" | "math" => panic!("{tag}\n{answer}"),
            _ => {}
        }
    }
    let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("{answer}"));
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    page
}

/// Every form that changes something, each on its page: who is signed in has two sessions and a question to answer.
async fn changing_forms(stage: &Stage, browser: &Browser) -> Vec<Form> {
    let prefix = stage.mount.prefix();
    let begun = stage.flow().with("prompt", "consent").begin(browser).await;
    let consent = browser.follow(begun).await.expect(200).page().form(&format!("{prefix}/consent"));
    let account = browser.get("/account").send().await.expect(200).page();
    let password =
        browser.get("/password").send().await.expect(200).page().form(&format!("{prefix}/password"));
    let new = "Vb4-walnut-harbour";
    let password =
        password.with("current_password", PASSWORD).with("new_password", new).with("repeat_password", new);
    let other =
        browser.get("/signin?other=1").send().await.expect(200).page().form(&format!("{prefix}/signin"));
    let mut forms = vec![
        consent.press("decision", "allow"),
        password,
        other.with("username", "ada").with("password", PASSWORD),
        account.form(&format!("{prefix}/account/sessions/end")),
        account.form(&format!("{prefix}/account/sessions/end-others")),
    ];
    forms.extend(account.form_ending("/signout"));
    assert_eq!(forms.len(), 6);
    forms
}

/// A form's token from somebody else's page.
async fn foreign_token(browser: &Browser) -> String {
    let page = browser.get("/account").send().await.expect(200).page();
    page.form_ending("/signout").unwrap().get("csrf").unwrap().to_owned()
}

/// Whether a post had the effect that it was meant to have: each leads to where that is told.
fn was_done(answer: &Answer) -> bool {
    let leads_to = |path: &str| {
        ["/signout/done", "?done=", "/authorize/resume"].iter().any(|part| path.contains(part))
            || path.ends_with("/account")
    };
    answer.status == 303 && answer.own_location().is_none_or(leads_to)
}

on_a_server! {
    async fn ac_50_no_parameter_makes_the_server_fetch_anything(server: &Server) {
        let bait = TcpListener::bind("127.0.0.1:0").unwrap();
        bait.set_nonblocking(true).unwrap();
        let url = format!("http://{}/x", bait.local_addr().unwrap());
        for stage in stages(server).await {
            let browser = stage.agreed().await;
            for (name, error) in [
                ("request_uri", "request_uri_not_supported"),
                ("request", "request_not_supported"),
                ("registration", "registration_not_supported"),
            ] {
                assert_eq!(stage.flow().with(name, &url).refusal(&browser).await.error(), error);
            }
            // Parameters that nobody defined change nothing.
            for name in [
                "jwks_uri",
                "logo_uri",
                "sector_identifier_uri",
                "backchannel_logout_uri",
                "client_uri",
            ] {
                assert!(!stage.flow().with(name, &url).walk(&browser, "ada").await.code().is_empty());
            }
        }
        assert_eq!(bait.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "the server followed a link");
    }

    async fn ac_51_nothing_that_somebody_chose_runs_in_a_page(server: &Server) {
        for stage in stages(server).await {
            let mount = &stage.mount;
            mount
                .user("eve")
                .email("eve@example.org")
                .profile(|profile| {
                    profile.display_name = Some(format!("{SCRIPT}{BREAKOUT}"));
                    profile.given_name = Some(SCRIPT.to_owned());
                })
                .create()
                .await;
            let evil = mount
                .client("evil")
                .web_app()
                .with(|settings| settings.name = format!("{BREAKOUT}{SCRIPT}"))
                .create()
                .await;
            let browser = mount.browser().sending("user-agent", SCRIPT);
            let flow = mount
                .code_flow(&evil)
                .with("login_hint", BREAKOUT)
                .with("ui_locales", "de\" onload=x")
                .with("state", SCRIPT);
            let mut answer = flow.begin(&browser).await;
            answer = browser.follow(answer).await.expect(200);
            let page = is_inert(&answer);
            let form = page.form(&format!("{}/signin", mount.prefix()));
            assert_eq!(form.get("username"), Some(BREAKOUT), "it comes back as text");
            answer = browser
                .submit(&form.clone().with("username", SCRIPT).with("password", "wrong"))
                .await
                .expect(401);
            is_inert(&answer);
            answer = browser.submit(&form.with("username", "eve").with("password", PASSWORD)).await;
            answer = browser.follow(answer).await.expect(200);
            let page = is_inert(&answer);
            assert!(page.text.contains("<script>"), "the names are shown as they are: {}", page.text);
            let form_post = flow.clone().with("response_mode", "form_post");
            browser
                .submit(&page.form(&format!("{}/consent", mount.prefix())).press("decision", "allow"))
                .await
                .check(303);
            is_inert(&form_post.begin(&browser).await.expect(200));
            is_inert(&browser.get("/account").send().await.expect(200));
            is_inert(&browser.get("/password").send().await.expect(200));
            let bye = browser.get("/end-session").query(&[("client_id", "evil")]).send().await;
            is_inert(&browser.follow(bye).await.expect(200));
            for path in [
                format!("/authorize?client_id={SCRIPT}"),
                format!("/authorize?{SCRIPT}=1&{SCRIPT}=2"),
                format!("/signin?request={BREAKOUT}"),
                format!("/signin?{SCRIPT}=%"),
                format!("/account?done={SCRIPT}"),
                format!("/end-session?client_id=portal&post_logout_redirect_uri=javascript:{SCRIPT}"),
            ] {
                let path =
                    path.replace('<', "%3C").replace('>', "%3E").replace('"', "%22").replace(' ', "%20");
                let answer = browser.get(&path).send().await;
                is_inert(&answer);
                assert!(!answer.text().contains(SCRIPT), "{answer}");
            }
            // A description that goes to a client is text in a URL, and of RFC 6749's characters.
            let refused = flow.with("prompt", SCRIPT).refusal(&browser).await;
            let description = refused.get("error_description").unwrap();
            assert!(
                description.chars().all(|c| matches!(c, ' '..='~') && c != '"' && c != '\\' && c != '<'),
                "{description}"
            );
        }
    }

    async fn ac_52_somebody_elses_session_is_not_ones_own_to_end(server: &Server) {
        let [one, two] = stages(server).await;
        for (here, there) in [(&one, &two), (&two, &one)] {
            here.mount.user("mallory").create().await;
            let (ada, abroad) = (here.mount.browser(), there.mount.browser());
            let before = here.mount.audited("session.end").await.len();
            ada.sign_in("ada").await;
            abroad.sign_in("ada").await;
            let mallory = here.mount.browser();
            mallory.sign_in("mallory").await;
            here.mount.browser().sign_in("mallory").await;
            let form = mallory
                .get("/account")
                .send()
                .await
                .page()
                .form(&format!("{}/account/sessions/end", here.mount.prefix()));
            for mount in [&here.mount, &there.mount] {
                let user = mount.identity().users().find(mount.id(), "ada").await.unwrap().unwrap();
                for session in mount.identity().sessions().list(mount.id(), user.id).await.unwrap() {
                    let answer = mallory.submit(&form.clone().with("session", &session.id.to_string())).await;
                    assert!(answer.status == 303, "{answer}");
                }
            }
            for nonsense in ["x", "00000000-0000-0000-0000-000000000000", "' OR 1=1", "*", "%"] {
                let status = mallory.submit(&form.clone().with("session", nonsense)).await.status.as_u16();
                assert!(status == 303 || status == 400);
            }
            assert!(ada.is_signed_in().await && abroad.is_signed_in().await && mallory.is_signed_in().await);
            assert_eq!(here.mount.audited("session.end").await.len(), before);
            ada.sign_out().await;
            abroad.sign_out().await;
        }
    }

    async fn ac_59_ac_60_no_other_site_posts_a_form(server: &Server) {
        for stage in stages(server).await {
            let browser = stage.agreed().await;
            let second = stage.mount.browser();
            second.sign_in("ada").await;
            let base = server.tokens().base_url();
            let before = granted(&stage.mount).await;
            for form in changing_forms(&stage, &browser).await {
                let bare = |origin: Option<&str>, site: Option<&str>| {
                    let target = format!("{base}{}", form.action);
                    let mut visit = browser.post(&target).form(&form.pairs());
                    if let Some(origin) = origin {
                        visit = visit.header("origin", origin);
                    }
                    match site {
                        Some(site) => visit.header("sec-fetch-site", site),
                        None => visit,
                    }
                };
                let port = server.address().port();
                for origin in [
                    "https://evil.test",
                    "null",
                    "",
                    "http://127.0.0.1",
                    &format!("http://127.0.0.1:{port}.evil.test"),
                    &format!("http://evil127.0.0.1:{port}"),
                    &format!("https://127.0.0.1:{port}"),
                    &format!("http://127.0.0.1:{port}/"),
                    &format!("http://localhost:{port}"),
                    &format!("http://user@127.0.0.1:{port}"),
                    "http://127.0.0.1:1",
                ] {
                    bare(Some(origin), None).send().await.check(403);
                    bare(Some(origin), Some("cross-site")).send().await.check(403);
                }
                for site in ["cross-site", "same-site", "", "Same-Origin"] {
                    bare(Some(base), Some(site)).send().await.check(403);
                }
                bare(Some(base), None).header("origin", "https://evil.test").send().await.check(403);
                // The right origin without the token of the form, or with that of another one.
                let stale = foreign_token(&second).await;
                for token in ["", "x", &stale] {
                    assert!(!was_done(&browser.submit(&form.clone().with("csrf", token)).await));
                }
                // Neither as JSON in plain text nor in a query.
                for kind in [
                    "text/plain",
                    "application/json",
                    "multipart/form-data; boundary=x",
                    "application/x-www-form-urlencoded; charset=utf-16",
                ] {
                    let body = serde_json::to_string(&form.pairs()).unwrap();
                    let visit =
                        browser.post(&format!("{base}{}", form.action)).with(|call| call.body(kind, body));
                    visit.header("origin", base).send().await.check(415);
                }
                let query = browser
                    .post(&format!("{base}{}", form.action))
                    .query(&form.pairs())
                    .header("origin", base);
                assert!(!was_done(&query.send().await));
            }
            assert!(browser.is_signed_in().await && second.is_signed_in().await);
            assert_eq!(granted(&stage.mount).await, before);
            assert!(stage.mount.audited("session.end").await.is_empty());
        }
    }

    async fn ac_60_no_page_of_another_site_reads_what_is_a_users(server: &Server) {
        for stage in stages(server).await {
            let browser = stage.mount.browser();
            browser.sign_in("ada").await;
            for path in [
                "/account",
                "/password",
                "/signin",
                "/authorize",
                "/introspect",
                "/end-session",
                "/userinfo",
                "/token",
                "/jwks",
            ] {
                for origin in ["https://evil.test", "null", server.tokens().base_url()] {
                    for method in ["GET", "POST", "OPTIONS"] {
                        let call = stage
                            .mount
                            .call(method, path)
                            .header("origin", origin)
                            .header("access-control-request-method", "POST");
                        let answer = call.send().await;
                        assert_eq!(answer.header("access-control-allow-credentials"), None, "{answer}");
                        let allowed = answer.header("access-control-allow-origin");
                        assert!(allowed.is_none() || allowed == Some("*"), "{answer}");
                        let readable = ["/userinfo", "/token", "/jwks"].contains(&path);
                        assert!(readable || allowed.is_none(), "{answer}");
                    }
                }
            }
            assert!(browser.is_signed_in().await);
        }
    }

    async fn ac_61_every_refusal_is_in_the_log_and_on_one_line(server: &Server) {
        for stage in stages(server).await {
            let cli = password_client(&stage.mount).await;
            let crafted = "ada\r\n2026-01-01 INFO admin signed in";
            let browser = stage.mount.browser().sending("user-agent", "agent\u{9}with\u{9}tabs");
            let before = stage.mount.audit().await.len();
            browser.try_sign_in(crafted, "wrong").await.check(401);
            let form = [("grant_type", "password"), ("username", crafted), ("password", "wrong")];
            stage.mount.token(&cli, &form).await.check(400);
            stage.mount.post("/token").basic("p\r\nq", "x").form(&form[..1]).send().await.check(401);
            stage.mount.try_refresh(&stage.portal, "x\r\ny").await.check(400);
            stage.flow().redeem("x\r\ny").await.check(400);
            let entries = stage.mount.audit().await.split_off(before);
            assert!(
                entries.len() >= 5 && entries.iter().all(|entry| entry.outcome == "refused"),
                "{entries:#?}"
            );
            for entry in entries {
                assert_eq!(entry.address.as_deref(), Some("127.0.0.1"));
                assert!(entry.reason.is_some() && entry.request_id.is_some(), "{entry:?}");
                let texts = [entry.user_agent, entry.reason, entry.target_id];
                let plain = |text: &String| !text.contains("signed in") && !text.contains(char::is_control);
                assert!(texts.iter().flatten().all(plain), "{texts:?}");
            }
        }
    }
}

/// The metrics of the program as it runs.
async fn ac_57_what_operators_use_is_theirs(engine: Engine) {
    let server = Program::new(engine).await.serve();
    let metrics = || Request::new("GET", b"/metrics");
    let own = exchange(server.address, &metrics()).await;
    assert_eq!(own.status, 200, "the operator on this machine sees them\n{own}");
    // Whatever says that it came through a proxy did not come from this machine.
    for (name, value) in [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=192.0.2.1"),
        ("via", "1.1 proxy"),
        ("x-real-ip", "192.0.2.1"),
    ] {
        let reply = exchange(server.address, &metrics().header(name, value)).await;
        assert_eq!(reply.status, 404, "{name}: {value}\n{reply}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        for path in ["/metrics", "/healthz", "/readyz", "/jwks", "/.well-known/openid-configuration"] {
            let reply = exchange(server.address, &Request::new(method, path.as_bytes())).await;
            assert_eq!(reply.status, 405, "{method} {path}\n{reply}");
        }
    }
}

#[test]
fn ac_57_what_operators_use_is_theirs_on_sqlite() {
    block_on(ac_57_what_operators_use_is_theirs(Engine::Sqlite));
}

#[test]
fn ac_57_what_operators_use_is_theirs_on_postgres() {
    block_on(ac_57_what_operators_use_is_theirs(Engine::Postgres));
}

mod ac_60_cookies_are_bound_to_the_host_where_it_is_reached_by_https {
    use super::*;

    fn cookies(engine: Engine) {
        block_on(async {
            let server = Setup::new(engine).public_url("https://id.example.com").start().await;
            for stage in stages(&server).await {
                let browser = stage.mount.browser();
                let answer = browser.try_sign_in("ada", PASSWORD).await.expect(303);
                let set: Vec<_> =
                    answer.cookies().map(|(name, _, text)| (name.to_owned(), text.to_owned())).collect();
                assert!(set.len() >= 2, "{set:?}");
                for (name, text) in set {
                    assert!(name.starts_with("__Host-"), "{name}");
                    for attribute in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
                        assert!(text.contains(attribute), "{text}");
                    }
                    assert!(!text.contains("Domain"), "{text}");
                }
                let own = format!("__Host-{}", session_cookie(&stage.mount));
                let value = browser.cookie(&own).unwrap();
                assert!(browser.is_signed_in().await);
                // A cookie of that value without the prefix is one that a sibling host planted.
                for name in
                    [session_cookie(&stage.mount), format!("__Secure-{}", session_cookie(&stage.mount))]
                {
                    let call = stage.mount.get("/account").header("cookie", &format!("{name}={value}"));
                    assert!(call.send().await.location().contains("/signin"));
                }
                assert!(answer.header("strict-transport-security").is_some(), "{answer}");
            }
            server.finish().await;
        });
    }

    #[test]
    fn sqlite() {
        cookies(Engine::Sqlite);
    }

    #[test]
    fn postgres() {
        cookies(Engine::Postgres);
    }
}
