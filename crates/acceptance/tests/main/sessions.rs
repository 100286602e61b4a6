//! Browser sessions and passwords, through the pages; languages; health.

use keyreeve_acceptance::{Browser, PASSWORD, Server, TestUser, on_a_server};
use keyreeve_identity::StateChange;

const NEW_PASSWORD: &str = "marble-otter-Zk4-quay";

/// Sends the change-password form with these passwords.
async fn change_password(browser: &Browser, current: &str, new: &str) -> keyreeve_acceptance::Answer {
    let form = browser.get("/password").send().await.expect(200).page().form("/password");
    let form = form.with("current_password", current).with("new_password", new).with("repeat_password", new);
    browser.submit(&form).await
}

/// Two browsers in which the user is signed in.
async fn twice(server: &Server) -> (TestUser, Browser, Browser) {
    let ada = server.user("ada").create().await;
    let (first, second) = (server.browser(), server.browser());
    first.sign_in("ada").await;
    second.sign_in("ada").await;
    (ada, first, second)
}

on_a_server! {
    async fn somebody_signs_in_and_out(server: &Server) {
        let ada = server.user("ada").create().await;
        let browser = server.browser();
        assert!(!browser.is_signed_in().await);
        browser.sign_in("ada").await;
        assert!(browser.is_signed_in().await);
        assert_eq!(ada.sessions().await, 1);
        browser.sign_out().await;
        assert!(!browser.is_signed_in().await);
        assert_eq!(ada.sessions().await, 0);
        assert_eq!(server.audited("session.create").await.len(), 1);
        assert_eq!(server.audited("session.end").await.len(), 1);
    }

    async fn either_name_signs_in_in_any_spelling(server: &Server) {
        server.user("Ada").email("ada@example.org").create().await;
        for name in ["ada", "ADA", " ada ", "ａｄａ", "ada@example.org", "Ada@Example.ORG"] {
            server.browser().sign_in(name).await;
        }
    }

    async fn a_wrong_attempt_shows_the_page_again(server: &Server) {
        server.user("ada").create().await;
        let browser = server.browser();
        let answer = browser.try_sign_in("ada", "wrong").await.expect(401);
        let page = answer.page();
        assert_eq!(page.alerts.len(), 1, "spoken at once");
        let form = page.form("/signin");
        assert_eq!((form.get("username"), form.get("password")), (Some("ada"), Some("")), "the name stays");
        assert!(!browser.is_signed_in().await);
        // What is missing is named at its field.
        for (name, password) in [("", "x"), ("ada", ""), ("", "")] {
            let page = browser.try_sign_in(name, password).await.expect(400).page();
            let marked = page.elements.iter().filter(|(_, a)| a.contains_key("aria-invalid")).count();
            assert_eq!(marked, usize::from(name.is_empty()) + usize::from(password.is_empty()));
        }
        // From the page that came back, the right password works.
        let answer = browser.submit(&form.with("password", PASSWORD)).await;
        assert_eq!(answer.own_location(), Some("/account"));
        let refusals = server.refusals("admission.password").await;
        assert_eq!(refusals.len(), 1, "{refusals:?}");
    }

    async fn a_session_ends_when_it_lies_idle(server: &Server) {
        server.set_settings(|settings| (settings.session.idle_s, settings.session.absolute_s) = (600, 6_000)).await;
        let ada = server.user("ada").create().await;
        let browser = server.browser();
        browser.sign_in("ada").await;
        // Each use puts the end off.
        for _ in 0..5 {
            server.advance(500);
            assert!(browser.is_signed_in().await);
        }
        server.advance(601);
        assert!(!browser.is_signed_in().await);
        assert_eq!(ada.sessions().await, 0);
    }

    async fn a_session_ends_at_last_however_it_is_used(server: &Server) {
        server.set_settings(|settings| (settings.session.idle_s, settings.session.absolute_s) = (600, 3_600)).await;
        server.user("ada").create().await;
        let client = server.client("portal").web_app().create().await;
        let browser = server.browser();
        let tokens = server.code_flow(&client).tokens(&browser, "ada").await;
        let mut refreshed = tokens.clone();
        for _ in 0..7 {
            server.advance(500);
            assert!(browser.is_signed_in().await);
            refreshed = server.refresh(&client, refreshed.refresh()).await;
        }
        server.userinfo(&refreshed.access).await.check(200);
        server.advance(100);
        assert!(!browser.is_signed_in().await);
        // What hangs on it ends with it.
        server.userinfo(&refreshed.access).await.check(401);
        server.try_refresh(&client, refreshed.refresh()).await.refused(400, "invalid_grant");
        // And the front channel asks for a sign-in.
        assert_eq!(server.code_flow(&client).walk(&browser, "ada").await.pages, ["sign_in"]);
    }

    async fn the_session_id_is_new_after_each_sign_in(server: &Server) {
        let ada = server.user("ada").create().await;
        let browser = server.browser();
        browser.sign_in("ada").await;
        let (old, thief) = (browser.cookie("session").unwrap(), browser.copy());
        let client = server.client("portal").web_app().create().await;
        server.advance(1);
        server.code_flow(&client).with("prompt", "login").walk(&browser, "ada").await;
        assert_ne!(browser.cookie("session").unwrap(), old);
        assert!(!thief.is_signed_in().await, "the cookie of before opens nothing");
        assert!(browser.is_signed_in().await);
        assert_eq!(ada.sessions().await, 1);
    }

    async fn another_user_at_the_same_browser_ends_the_first_ones_session(server: &Server) {
        let ada = server.user("ada").create().await;
        let bob = server.user("bob").create().await;
        let browser = server.browser();
        browser.sign_in("ada").await;
        let form = browser.get("/signin?other=1").send().await.expect(200).page().form("/signin");
        let answer = browser.submit(&form.with("username", "bob").with("password", PASSWORD)).await;
        assert_eq!(answer.own_location(), Some("/account"));
        assert!(browser.get("/account").send().await.expect(200).page().text.contains("bob"));
        assert_eq!((ada.sessions().await, bob.sessions().await), (0, 1));
    }

    async fn one_session_can_be_ended_from_the_account_page(server: &Server) {
        let (ada, here, there) = twice(server).await;
        let page = here.get("/account").send().await.expect(200).page();
        let form = page.form("/account/sessions/end");
        let answer = here.follow(here.submit(&form).await).await.expect(200);
        assert!(answer.page().elements.iter().any(|(_, a)| a.get("role").is_some_and(|role| role == "status")));
        assert!(here.is_signed_in().await && !there.is_signed_in().await);
        assert_eq!(ada.sessions().await, 1);
        // Once more is no error: it is what was wanted.
        assert_eq!(here.submit(&form).await.own_location(), Some("/account?done=session"));
    }

    async fn all_other_sessions_can_be_ended_at_once(server: &Server) {
        let (ada, here, there) = twice(server).await;
        let third = server.browser();
        third.sign_in("ada").await;
        let page = here.get("/account").send().await.expect(200).page();
        let answer = here.submit(&page.form("/account/sessions/end-others")).await;
        assert_eq!(answer.own_location(), Some("/account?done=others"));
        assert!(here.is_signed_in().await && !there.is_signed_in().await && !third.is_signed_in().await);
        assert_eq!(ada.sessions().await, 1);
    }

    async fn somebody_elses_session_cannot_be_ended(server: &Server) {
        let (ada, first, second) = twice(server).await;
        server.user("mallory").create().await;
        let mallory = server.browser();
        mallory.sign_in("mallory").await;
        server.browser().sign_in("mallory").await;
        let victim = server.identity().sessions().list(server.id(), ada.user.id).await.unwrap()[0].id.to_string();
        let page = mallory.get("/account").send().await.expect(200).page();
        let form = page.form("/account/sessions/end").with("session", &victim);
        mallory.submit(&form).await.check(303);
        let others = page.form("/account/sessions/end-others");
        mallory.submit(&others).await.check(303);
        assert!(first.is_signed_in().await && second.is_signed_in().await);
        // A form that was made for one user acts for no other, and not for the next at the same browser.
        first.submit(&form).await.check(400);
        assert_eq!(ada.sessions().await, 2);
    }

    async fn a_password_is_changed_and_every_other_session_ends(server: &Server) {
        let (_, here, there) = twice(server).await;
        let client = server.client("portal").web_app().create().await;
        let tokens = server.code_flow(&client).tokens(&there, "ada").await;
        change_password(&here, "not the current one", NEW_PASSWORD).await.check(400);
        let answer = change_password(&here, PASSWORD, NEW_PASSWORD).await;
        assert_eq!(answer.own_location(), Some("/account?done=password"));
        assert!(here.is_signed_in().await && !there.is_signed_in().await);
        server.userinfo(&tokens.access).await.check(401);
        server.try_refresh(&client, tokens.refresh()).await.refused(400, "invalid_grant");
        server.browser().try_sign_in("ada", PASSWORD).await.check(401);
        let answer = server.browser().try_sign_in("ada", NEW_PASSWORD).await;
        assert_eq!(answer.own_location(), Some("/account"));
        assert_eq!(server.audited("user.password.change").await.len(), 1);
    }

    async fn a_new_password_must_keep_the_rules(server: &Server) {
        server.user("ada").email("ada.lovelace@example.org").create().await;
        let browser = server.browser();
        browser.sign_in("ada").await;
        for bad in ["short", PASSWORD, "password1234", "ada.lovelace-1815", "qwertyuiop[]"] {
            let page = change_password(&browser, PASSWORD, bad).await.expect(400).page();
            assert!(!page.alerts.is_empty(), "{bad}");
        }
        let form = browser.get("/password").send().await.expect(200).page().form("/password");
        let form = form.with("current_password", PASSWORD).with("new_password", NEW_PASSWORD);
        browser.submit(&form.clone().with("repeat_password", "another-one-entirely")).await.check(400);
        browser.submit(&form.with("repeat_password", "")).await.check(400);
        browser.sign_out().await;
        browser.sign_in("ada").await;
        // One of the latest does not come back.
        change_password(&browser, PASSWORD, NEW_PASSWORD).await.check(303);
        change_password(&browser, NEW_PASSWORD, PASSWORD).await.check(400);
    }

    async fn whoever_must_choose_a_password_does_so_before_anything_else(server: &Server) {
        let ada = server.user("ada").must_change_password().create().await;
        let client = server.client("portal").web_app().create().await;
        let flow = server.code_flow(&client);
        let browser = server.browser();
        let page = browser.follow(flow.begin(&browser).await).await.expect(200).page();
        let answer = browser.submit(&page.form("/signin").with("username", "ada").with("password", PASSWORD)).await;
        let form = answer.expect(200).page().form("/password");
        assert!(!browser.is_signed_in().await && ada.sessions().await == 0, "a ticket is no session");
        let typed = |new: &str| form.clone().with("new_password", new).with("repeat_password", new);
        assert!(!browser.submit(&typed("short")).await.expect(400).page().alerts.is_empty());
        let answer = browser.submit(&typed(PASSWORD)).await.expect(400);
        assert!(answer.is_page(), "the one that must go is no new one");
        let answer = browser.submit(&typed(NEW_PASSWORD)).await;
        let callback = browser.walk(answer, "ada").await;
        assert_eq!(callback.pages, ["consent"], "and then the request goes on");
        assert!(!callback.code().is_empty());
        // The ticket was good once.
        let again = browser.copy();
        again.submit(&typed("yet-another-Qv7-lantern")).await.check(400);
        server.browser().try_sign_in("ada", "yet-another-Qv7-lantern").await.check(401);
    }

    async fn the_ticket_for_a_password_is_good_for_ten_minutes(server: &Server) {
        server.user("ada").must_change_password().create().await;
        let browser = server.browser();
        let form = browser.try_sign_in("ada", PASSWORD).await.expect(200).page().form("/password");
        server.advance(601);
        let form = form.with("new_password", NEW_PASSWORD).with("repeat_password", NEW_PASSWORD);
        let page = browser.submit(&form).await.expect(400).page();
        assert!(page.form_ending("/signin").is_some(), "the sign-in begins anew");
        server.browser().try_sign_in("ada", NEW_PASSWORD).await.check(401);
    }

    async fn the_first_administrator_signs_in(server: &Server) {
        // The password was configured, so that it need not be replaced.
        server.browser().sign_in("admin").await;
    }

    async fn a_change_of_the_account_is_felt_at_once(server: &Server) {
        let ada = server.user("ada").create().await;
        for (bar, lift) in [(StateChange::Disable, Some(StateChange::Enable)), (StateChange::Lock, Some(StateChange::Unlock)),
            (StateChange::Archive, None)] {
            let browser = server.browser();
            browser.sign_in("ada").await;
            ada.change(bar).await;
            assert!(!browser.is_signed_in().await);
            // The same answer as for a wrong password.
            browser.try_sign_in("ada", PASSWORD).await.check(401);
            if let Some(lift) = lift {
                ada.change(lift).await;
                assert!(!browser.is_signed_in().await, "what ended stays ended");
            }
        }
    }

    async fn a_tenant_that_is_disabled_is_gone(server: &Server) {
        let acme = server.tenant("acme").create().await;
        acme.user("ada").create().await;
        let browser = acme.browser();
        browser.sign_in("ada").await;
        acme.set_enabled(false).await;
        browser.get("/account").send().await.check(404);
        browser.get("/signin").send().await.check(404);
        acme.set_enabled(true).await;
        browser.get("/signin").send().await.check(303);
    }

    async fn pages_speak_the_language_that_is_asked_for(server: &Server) {
        server.user("ada").create().await;
        let lang = async |browser: &Browser, path: &str| {
            let page = browser.follow(browser.get(path).send().await).await.page();
            assert!(!page.title.is_empty());
            page.lang
        };
        for (accepted, language) in [("de", "de"), ("fr, de;q=0.8, en;q=0.5", "de"), ("en-GB, de;q=0.9", "en"), ("fr", "en")] {
            let browser = server.browser().sending("accept-language", accepted);
            for path in ["/", "/signin", "/signout/done", "/authorize"] {
                assert_eq!(lang(&browser, path).await, language, "{accepted} {path}");
            }
            browser.sign_in("ada").await;
            for path in ["/account", "/password", "/signout"] {
                assert_eq!(lang(&browser, path).await, language, "{accepted} {path}");
            }
        }
        // The application's wish comes first, on every page of its request.
        let client = server.client("portal").web_app().create().await;
        let browser = server.browser().sending("accept-language", "en");
        let flow = server.code_flow(&client).with("ui_locales", "de");
        let page = browser.follow(flow.begin(&browser).await).await.expect(200).page();
        assert_eq!(page.lang, "de");
        let form = page.form("/signin").with("username", "ada").with("password", "wrong");
        assert_eq!(browser.submit(&form).await.expect(401).page().lang, "de");
        let answer = browser.submit(&form.with("password", PASSWORD)).await;
        assert_eq!(browser.follow(answer).await.expect(200).page().lang, "de", "the consent page");
    }

    async fn health_is_told_without_credentials(server: &Server) {
        for (path, body) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
            let answer = server.get(path).send().await.expect(200);
            assert_eq!((answer.text(), answer.header("cache-control")), (body, Some("no-store")));
        }
    }
}
