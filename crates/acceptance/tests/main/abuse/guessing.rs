//! Enumeration and guessing (AC-20 to AC-28).

use super::sessions::{password_client, password_grant};
use super::{Stage, stages, stripped};
use keyreeve_acceptance::{Answer, Browser, Mount, PASSWORD, Server, on_a_server};
use keyreeve_identity::StateChange;

/// Failures before each further one costs a delay.
const FREE: usize = 5;

/// An attempt at the sign-in page from an address of its own, by a browser without history.
async fn guess(mount: &Mount, from: &str, name: &str, password: &str) -> Answer {
    let browser = mount.browser();
    let form = browser.sign_in_form().await.with("username", name).with("password", password);
    browser.form(&form).with(|call| call.from(from)).send().await
}

/// Another attempt in the same browser, from this address.
async fn guess_in(browser: &Browser, from: &str, name: &str, password: &str) -> Answer {
    let form = browser.sign_in_form().await.with("username", name).with("password", password);
    browser.form(&form).with(|call| call.from(from)).send().await
}

/// The password form of somebody who is signed in.
async fn change(browser: &Browser, current: &str) -> Answer {
    let action = format!("{}/password", browser.mount().prefix());
    let form = browser.get("/password").send().await.expect(200).page().form(&action);
    let new = "Vb4-walnut-harbour";
    let form = form.with("current_password", current).with("new_password", new).with("repeat_password", new);
    browser.submit(&form).await
}

on_a_server! {
    async fn ac_20_no_header_decides_where_links_lead(server: &Server) {
        let base = server.tokens().base_url().to_owned();
        for stage in stages(server).await {
            let portal = &stage.portal;
            for (name, value) in [
                ("host", "evil.test"),
                ("host", "127.0.0.1:1"),
                ("x-forwarded-host", "evil.test"),
                ("x-forwarded-server", "evil.test"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-port", "1"),
                ("x-original-url", "https://evil.test/"),
                ("x-rewrite-url", "/evil"),
                ("forwarded", "host=evil.test;proto=https;for=192.0.2.1"),
                ("x-host", "evil.test"),
            ] {
                let browser = stage.mount.browser();
                let ask = async |path: &str| {
                    browser.get(path).with(|call| call.set_header(name, value)).send().await
                };
                for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
                    let document = ask(path).await.expect(200);
                    assert!(!document.text().contains("evil.test"), "{document}");
                    let urls = document
                        .json()
                        .as_object()
                        .unwrap()
                        .values()
                        .filter_map(|value| value.as_str().map(str::to_owned))
                        .filter(|text| text.contains("://"))
                        .collect::<Vec<_>>();
                    assert!(urls.len() > 5 && urls.iter().all(|url| url.starts_with(&base)), "{urls:?}");
                }
                let begun = ask(&stage.flow().path()).await;
                assert!(
                    begun.location().starts_with(&format!("{base}{}/signin", stage.mount.prefix())),
                    "{begun}"
                );
                let page = ask("/signin").await.expect(200);
                assert!(
                    !page.text().contains("evil") && page.page().forms[0].action.starts_with('/'),
                    "{page}"
                );
                let away = ask("/account").await;
                assert!(away.location().starts_with(&base), "{away}");
                // Issued tokens name the issuer that is configured.
                let callback = stage.flow().walk(&browser, "ada").await;
                assert_eq!(callback.get("iss"), Some(&*stage.mount.issuer()));
                let redemption = stage.flow();
                let form = redemption.redemption(callback.code());
                let answer = stage
                    .mount
                    .post_as(portal, "/token", &form)
                    .set_header(name, value)
                    .send()
                    .await
                    .expect(200);
                let access = answer.json()["access_token"].as_str().unwrap().to_owned();
                assert_eq!(keyreeve_acceptance::jwt::decode(&access).text("iss"), stage.mount.issuer());
            }
        }
    }

    async fn ac_21_every_refusal_looks_the_same(server: &Server) {
        for stage in stages(server).await {
            let cli = password_client(&stage.mount).await;
            let mount = &stage.mount;
            mount.user("disabled").create().await.change(StateChange::Disable).await;
            mount.user("locked").create().await.change(StateChange::Lock).await;
            mount.user("archived").create().await.change(StateChange::Archive).await;
            let attempts = [
                ("ada", "not-the-password"),
                ("nobody", PASSWORD),
                ("nobody", "x"),
                ("disabled", PASSWORD),
                ("disabled", "x"),
                ("locked", PASSWORD),
                ("locked", "x"),
                ("archived", PASSWORD),
                ("not a name \u{200b}", "x"),
                ("' OR 1=1 --", "x"),
                ("ada@example.org", "x"),
            ];
            let mut pages = Vec::new();
            let mut grants = Vec::new();
            for (number, (name, password)) in attempts.into_iter().enumerate() {
                let from = format!("127.0.1.{number}");
                let answer = guess(mount, &from, name, password).await.expect(401);
                let typed = answer
                    .page()
                    .form(&format!("{}/signin", mount.prefix()))
                    .get("username")
                    .unwrap()
                    .to_owned();
                let shown = typed.replace('\'', "&#39;");
                let headers: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
                pages.push((stripped(&answer, &format!("value=\"{shown}\"")), headers));
                let form = [("grant_type", "password"), ("username", name), ("password", password)];
                let answer = mount.post_as(&cli, "/token", &form).from(&from).send().await;
                grants.push((answer.status, answer.text().to_owned()));
            }
            pages.dedup();
            assert_eq!(pages.len(), 1, "{pages:#?}");
            grants.dedup();
            assert_eq!(grants.len(), 1, "{grants:#?}");
            let reasons = mount.refusals("admission.password").await;
            for reason in ["wrong_password", "unknown_user", "user_disabled", "user_locked"] {
                assert!(reasons.iter().any(|known| known == reason), "{reason}: {reasons:?}");
            }
        }
    }

    async fn ac_21_clients_are_not_told_apart_either(server: &Server) {
        for stage in stages(server).await {
            let disabled = stage.mount.client("disabled").web_app().create().await;
            disabled.set(|settings| settings.enabled = false).await;
            let keyed = stage
                .mount
                .client("keyed")
                .private_key(keyreeve_crypto::sign::Algorithm::EdDsa)
                .service()
                .create()
                .await;
            assert!(!keyed.client_id.is_empty());
            for path in ["/token", "/introspect", "/revoke"] {
                let mut answers = Vec::new();
                for (name, secret) in [
                    ("portal", "wrong"),
                    ("nobody", "wrong"),
                    ("disabled", disabled.secret()),
                    ("keyed", "wrong"),
                    ("", "x"),
                ] {
                    let form = [("grant_type", "client_credentials"), ("token", "x")];
                    let answer = stage.mount.post(path).basic(name, secret).form(&form).send().await;
                    answers.push((
                        answer.status,
                        answer.text().to_owned(),
                        answer.header("www-authenticate").map(str::to_owned),
                    ));
                }
                answers.dedup();
                assert_eq!(answers.len(), 1, "{answers:#?}");
            }
        }
    }

    async fn ac_21_the_throttle_is_no_oracle(server: &Server) {
        for stage in stages(server).await {
            let mut ends = Vec::new();
            for (name, from) in [("ada", "127.0.2.1"), ("nobody", "127.0.2.2")] {
                for _ in 0..FREE {
                    guess(&stage.mount, from, name, "wrong").await.check(401);
                }
                let answer = guess(&stage.mount, from, name, "wrong").await.expect(429);
                ends.push((
                    stripped(&answer, &format!("value=\"{name}\"")),
                    answer.header("retry-after").map(str::to_owned),
                ));
            }
            assert_eq!(ends[0], ends[1]);
        }
    }

    async fn ac_22_one_doors_failures_count_at_every_other(server: &Server) {
        for stage in stages(server).await {
            let cli = password_client(&stage.mount).await;
            let mount = &stage.mount;
            for name in ["b", "c", "d"] {
                mount.user(&format!("{name}-user")).create().await;
            }
            // Page, then token endpoint; and the other way round.
            for _ in 0..FREE {
                mount.browser().try_sign_in("b-user", "wrong").await.check(401);
                password_grant(mount, &cli, "c-user", "wrong").await.refused(400, "invalid_grant");
            }
            password_grant(mount, &cli, "b-user", PASSWORD).await.check(429);
            mount.browser().try_sign_in("c-user", PASSWORD).await.check(429);
            // The form for a new password asks for the present one.
            let browser = mount.browser();
            browser.sign_in("d-user").await;
            for _ in 0..FREE {
                change(&browser, "wrong").await.check(400);
            }
            change(&browser, PASSWORD).await.check(429);
            // It is not a door around the others, nor they around it; what the right one opens stays shut meanwhile.
            password_grant(mount, &cli, "d-user", PASSWORD).await.check(429);
            server.advance(1_000);
            password_grant(mount, &cli, "b-user", PASSWORD).await.check(200);
            assert!(mount.audited("user.password.change").await.is_empty());
            let throttled = mount
                .refusals("admission.password")
                .await
                .into_iter()
                .filter(|reason| reason == "throttled")
                .count();
            assert_eq!(throttled, 4);
        }
    }

    async fn ac_22_guessing_a_clients_secret_is_slowed_down_at_every_endpoint(server: &Server) {
        for stage in stages(server).await {
            let post = stage.mount.client("poster").service().secret_post().create().await;
            let form = [("grant_type", "client_credentials"), ("token", "x")];
            for path in ["/token", "/introspect", "/revoke", "/token", "/introspect"] {
                stage
                    .mount
                    .post(path)
                    .basic("portal", "wrong")
                    .form(&form)
                    .from("127.0.3.1")
                    .send()
                    .await
                    .refused(401, "invalid_client");
            }
            for path in ["/token", "/introspect", "/revoke"] {
                let answer = stage.mount.post_as(&stage.portal, path, &form).from("127.0.3.1").send().await;
                answer.check(429);
                assert!(answer.header("retry-after").is_some(), "{answer}");
            }
            // Nobody can shut the client itself out: it comes from elsewhere.
            stage
                .mount
                .post_as(&stage.portal, "/introspect", &form)
                .from("127.0.3.2")
                .send()
                .await
                .check(200);
            for _ in 0..FREE {
                let wrong = [("client_id", "poster"), ("client_secret", "wrong"), form[0]];
                stage
                    .mount
                    .post("/token")
                    .form(&wrong)
                    .from("127.0.3.3")
                    .send()
                    .await
                    .refused(401, "invalid_client");
            }
            stage.mount.post_as(&post, "/token", &form[..1]).from("127.0.3.3").send().await.check(429);
        }
    }

    async fn ac_23_every_spelling_is_one_counter(server: &Server) {
        for stage in stages(server).await {
            let cli = password_client(&stage.mount).await;
            stage.mount.user("\u{e9}milie").email("emilie@example.org").create().await;
            for spelling in ["\u{e9}milie", "\u{c9}MILIE", "e\u{301}milie", " \u{c9}milie "] {
                stage.mount.browser().try_sign_in(spelling, "wrong").await.check(401);
            }
            password_grant(&stage.mount, &cli, "\u{ff45}\u{301}MILIE", "wrong")
                .await
                .refused(400, "invalid_grant");
            for spelling in ["\u{e9}milie", "E\u{301}MILIE"] {
                stage.mount.browser().try_sign_in(spelling, PASSWORD).await.check(429);
            }
            password_grant(&stage.mount, &cli, "\u{e9}milie", PASSWORD).await.check(429);
        }
    }

    async fn ac_24_guesses_at_once_are_counted_one_by_one(server: &Server) {
        let stage = Stage::set(server).await;
        let cli = password_client(server).await;
        let mut running = Vec::new();
        for number in 0..24 {
            let (mount, cli) = (stage.mount.clone(), cli.clone());
            running.push(tokio::spawn(async move {
                // Half of them at each door.
                match number % 2 {
                    0 => mount.browser().try_sign_in("ada", "wrong").await.status.as_u16(),
                    _ => password_grant(&mount, &cli, "ada", "wrong").await.status.as_u16(),
                }
            }));
        }
        let mut looked_at = 0;
        for one in running {
            let status = one.await.unwrap();
            assert!([400, 401, 429].contains(&status), "{status}");
            looked_at += usize::from(status != 429);
        }
        assert!(looked_at <= FREE, "{looked_at} guesses were looked at");
        server.browser().try_sign_in("ada", PASSWORD).await.check(429);
        assert_eq!(server.refusals("admission.password").await.len(), 25, "each of them is in the log");
    }

    async fn ac_26_nobody_shuts_somebody_else_out(server: &Server) {
        for stage in stages(server).await {
            let mount = &stage.mount;
            let (own, abroad) = (mount.browser(), "127.0.4.1");
            own.sign_in("ada").await;
            own.sign_out().await;
            // From one address: only that address must wait.
            for _ in 0..20 {
                guess(mount, abroad, "ada", "wrong").await;
            }
            guess(mount, abroad, "ada", PASSWORD).await.check(429);
            guess(mount, "127.0.4.2", "ada", PASSWORD).await.check(303);
            // From everywhere: the name is shut, but not for the browser that she used before, and not for long.
            for number in 0..60 {
                guess(mount, &format!("127.0.5.{number}"), "ada", "wrong").await;
            }
            guess(mount, "127.0.6.1", "ada", PASSWORD).await.check(429);
            own.sign_in("ada").await;
            assert!(own.is_signed_in().await);
            server.advance(901);
            guess(mount, "127.0.6.1", "ada", PASSWORD).await.check(303);
            let user = mount.identity().users().find(mount.id(), "ada").await.unwrap().unwrap();
            assert!(!user.locked, "no attempt locks an account");
            assert!(!mount.audited("throttle.lock").await.is_empty());
        }
    }

    async fn ac_26_a_browser_that_is_known_is_counted_too(server: &Server) {
        for stage in stages(server).await {
            let browser = stage.mount.browser();
            browser.sign_in("ada").await;
            browser.sign_out().await;
            stage.mount.user("bob").create().await;
            for _ in 0..FREE {
                guess_in(&browser, "127.0.7.1", "ada", "wrong").await.check(401);
            }
            guess_in(&browser, "127.0.7.2", "ada", PASSWORD).await.check(429);
            // The cookie is worth nothing for anybody else's name.
            for _ in 0..FREE {
                guess_in(&browser, "127.0.7.3", "bob", "wrong").await.check(401);
            }
            guess(&stage.mount, "127.0.7.3", "bob", PASSWORD).await.check(429);
        }
    }

    async fn ac_28_ac_46_a_password_that_is_empty_or_endless_costs_nothing(server: &Server) {
        for stage in stages(server).await {
            let cli = password_client(&stage.mount).await;
            let browser = stage.mount.browser();
            // As long as a password may be, longer, as long as a field may be, longer.
            for (bytes, page, grant) in [
                (1_024, 401, 400),
                (1_025, 401, 400),
                (16_000, 401, 400),
                (17_000, 400, 400),
                (70_000, 413, 400),
            ] {
                let password = "p".repeat(bytes);
                browser.try_sign_in("nobody", &password).await.check(page);
                let answer = password_grant(&stage.mount, &cli, "nobody2", &password).await;
                answer.check(grant);
            }
            browser.try_sign_in("ada", "").await.check(400);
            password_grant(&stage.mount, &cli, "ada", "").await.refused(400, "invalid_request");
            let reasons = stage.mount.refusals("admission.password").await;
            assert_eq!(
                reasons.iter().filter(|reason| *reason == "password_too_long").count(),
                4,
                "{reasons:?}"
            );
        }
    }
}
