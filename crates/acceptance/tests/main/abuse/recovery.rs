//! Attacks on the way back into an account: links by mail.

use keyreeve_acceptance::{Answer, Browser, Engine, Mount, PASSWORD, Server, Setup};
use keyreeve_identity::{Cause, LinkKind, Patch, ProfilePatch, StateChange};
use keyreeve_testkit::{MailServer, block_on};

const NEW: &str = "Wren-harbour-lantern-7";
const OTHER: &str = "Basalt-heron-ferry-9";

/// Makes two tests of each function, each with a server that can send mail, and the mail server that gets it.
macro_rules! with_mail {
    ($($(#[$meta:meta])* async fn $name:ident($server:ident: $type:ty, $mail:ident: $mail_type:ty) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn test($server: $type, $mail: $mail_type) $body

            fn run(engine: Engine) {
                block_on(async {
                    let mail = MailServer::start().await;
                    let setup = Setup::new(engine).public_url("http://localhost:4567");
                    let setup = setup.set("KEYREEVE_SMTP_URL", &mail.url());
                    let server = setup.set("KEYREEVE_MAIL_FROM", "Keys <keys@id.example>").start().await;
                    test(&server, &mail).await;
                    server.finish().await;
                });
            }

            #[test]
            fn sqlite() {
                run(Engine::Sqlite);
            }

            #[test]
            fn postgres() {
                run(Engine::Postgres);
            }
        }
    )*};
}
pub(crate) use with_mail;

/// The default tenant and another one, each with ada, who has an address.
async fn stages(server: &Server) -> [Mount; 2] {
    let acme = server.tenant("acme").create().await;
    let mounts = [(**server).clone(), acme];
    for mount in &mounts {
        mount.user("ada").email("ada@example.org").create().await;
    }
    mounts
}

/// Asks for a link at the page, as a person does.
pub async fn ask(browser: &Browser, name: &str) -> Answer {
    let prefix = browser.mount().prefix().to_owned();
    let page = browser.get("/forgot").send().await.expect(200).page();
    browser.submit(&page.form(&format!("{prefix}/forgot")).with("username", name)).await
}

/// Asks for a link, and answers the newest that arrives.
pub async fn link(mount: &Mount, mail: &MailServer, name: &str) -> String {
    let before = mail.mails().len();
    ask(&mount.browser(), name).await.check(303);
    mail.wait_for(before + 1).await[before].link()
}

/// Opens a link, and answers the page behind it.
pub async fn open(browser: &Browser, link: &str) -> Answer {
    let answer = browser.get(link).send().await.expect(303);
    browser.follow(answer).await
}

/// Chooses a password on the page of a link.
pub async fn choose(browser: &Browser, page: &Answer, password: &str) -> Answer {
    let form = page.page().form(&format!("{}/reset", browser.mount().prefix()));
    browser.submit(&form.with("new_password", password).with("repeat_password", password)).await
}

async fn user_of(mount: &Mount) -> keyreeve_base::UserId {
    mount.identity().users().find(mount.id(), "ada").await.unwrap().unwrap().id
}

/// The password is the one that every user has.
async fn is_unharmed(mount: &Mount) {
    mount.browser().sign_in("ada").await;
}

with_mail! {
    async fn ac_14_a_link_is_kept_by_the_browser_that_opened_it(server: &Server, mail: &MailServer) {
        for mount in stages(server).await {
            let link = link(&mount, mail, "ada").await;
            let ada = mount.browser();
            let page = open(&ada, &link).await.expect(200);
            // Her cookie is of no use in another browser, nor is her form.
            let thief = mount.browser();
            thief.get("/signin").send().await.check(200);
            for (name, value) in ada.cookies() {
                if name.starts_with("reset") {
                    thief.set_cookie(&name, &value);
                }
            }
            thief.get("/reset").send().await.check(410);
            choose(&thief, &page, NEW).await.check(410);
            // Nor is a link of one kind of use on the page of the other.
            let token = link.split_once("token=").unwrap().1;
            let page = open(&mount.browser(), &format!("/verify?token={token}")).await;
            page.check(410);
            is_unharmed(&mount).await;
        }
    }

    async fn ac_17_of_two_resets_with_one_link_one_wins(server: &Server, mail: &MailServer) {
        for mount in stages(server).await {
            let link = link(&mount, mail, "ada").await;
            let (one, other) = (mount.browser(), mount.browser());
            let pages = (open(&one, &link).await.expect(200), open(&other, &link).await.expect(200));
            let answers = tokio::join!(choose(&one, &pages.0, NEW), choose(&other, &pages.1, OTHER));
            let statuses = [answers.0.status.as_u16(), answers.1.status.as_u16()];
            assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
            let works = async |password| mount.browser().try_sign_in("ada", password).await.status == 303;
            assert!(works(NEW).await != works(OTHER).await);
            assert_eq!(mount.audited("recovery.reset").await.iter().filter(|e| e.outcome == "success").count(), 1);
        }
    }

    async fn ac_20_no_header_decides_where_a_link_by_mail_leads(server: &Server, mail: &MailServer) {
        for mount in stages(server).await {
            for (name, value) in [
                ("host", "evil.test"),
                ("x-forwarded-host", "evil.test"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-server", "evil.test"),
                ("forwarded", "host=evil.test;proto=https"),
                ("x-original-url", "https://evil.test/"),
            ] {
                mount.advance(3_601);
                let before = mail.mails().len();
                let browser = mount.browser();
                let page = browser.get("/forgot").send().await.expect(200).page();
                let form = page.form(&format!("{}/forgot", mount.prefix())).with("username", "ada");
                browser.form(&form).with(|call| call.set_header(name, value)).send().await.check(303);
                let arrived = mail.wait_for(before + 1).await.swap_remove(before);
                let expected = format!("http://localhost:4567{}/reset?token=kr_pr_", mount.prefix());
                assert!(arrived.link().starts_with(&expected), "{name}: {}", arrived.link());
                assert!(!arrived.raw.contains("evil.test"), "{}", arrived.raw);
                assert!(!arrived.html().contains("evil.test"));
            }
        }
    }

    async fn ac_21_asking_for_a_link_tells_nobody_who_has_an_account(server: &Server, mail: &MailServer) {
        for mount in stages(server).await {
            mount.user("bob").create().await;
            let eve = mount.user("eve").email("eve@example.org").create().await;
            eve.change(StateChange::Disable).await;
            let before = mail.mails().len();
            let mut seen: Option<(String, String)> = None;
            for name in ["ada", "nobody", "bob", "eve", "ada@example.org", "nobody@example.org", "\u{202e}x", "a b"] {
                let browser = mount.browser();
                let answer = ask(&browser, name).await.expect(303);
                let location = answer.location().to_owned();
                let page = browser.follow(answer).await.expect(200).text().to_owned();
                let (expected, text) = seen.get_or_insert_with(|| (location.clone(), page.clone()));
                assert_eq!((&location, &page), (&*expected, &*text), "{name}");
            }
            // One message at least; a link that was replaced before it was sent is not sent.
            mail.wait_for(before + 1).await;
            // More than are sent looks the same as well.
            for _ in 0..8 {
                for name in ["ada", "nobody"] {
                    assert_eq!(ask(&mount.browser(), name).await.expect(303).location(), seen.as_ref().unwrap().0);
                }
            }
            let sent = mount.audited("recovery.request").await;
            let of = |reason: Option<&str>| sent.iter().filter(|e| e.reason.as_deref() == reason).count();
            assert_eq!((of(None), of(Some("no_email")), of(Some("user_disabled"))), (4, 1, 1));
            // From one address there is an end, whoever is asked for.
            let mut last = ask(&mount.browser(), "someone").await;
            for number in 0..30 {
                last = ask(&mount.browser(), &format!("name{number}")).await;
            }
            last.check(429);
            assert!(last.header("retry-after").is_some());
            ask(&mount.browser(), "ada").await.check(429);
            is_unharmed(&mount).await;
            mount.advance(3_601);
        }
    }

    async fn ac_29_a_link_dies_with_what_it_was_made_for(server: &Server, mail: &MailServer) {
        for mount in stages(server).await {
            let user = user_of(&mount).await;
            let of = (mount.id(), user);
            let users = mount.identity().users();
            let dead = async |link: &str, why: &str| {
                let page = open(&mount.browser(), link).await;
                assert_eq!(page.status, 410, "{why}\n{page}");
            };
            let opened = async |link: &str| {
                let browser = mount.browser();
                let page = open(&browser, link).await.expect(200);
                (browser, page)
            };

            // A second request, also when the page of the first one is open already.
            let first = link(&mount, mail, "ada").await;
            let (browser, page) = opened(&first).await;
            let second = link(&mount, mail, "ada@example.org").await;
            dead(&first, "a second request").await;
            choose(&browser, &page, NEW).await.check(410);

            // A change of the password.
            let (browser, page) = opened(&second).await;
            let secret = keyreeve_crypto::Secret::new(OTHER);
            mount.identity().passwords().set(of, secret, false, &Cause::operator()).await.unwrap();
            dead(&second, "a new password").await;
            choose(&browser, &page, NEW).await.check(410);

            // A change of the address.
            let third = link(&mount, mail, "ada").await;
            let (browser, page) = opened(&third).await;
            for email in ["ada@example.com", "ada@example.org"] {
                let patch = ProfilePatch { email: Patch::Set(email.to_owned()), ..ProfilePatch::default() };
                users.update(of, patch, None, &Cause::operator()).await.unwrap();
                dead(&third, "another address").await;
            }
            choose(&browser, &page, NEW).await.check(410);

            // Time.
            let fourth = link(&mount, mail, "ada").await;
            mount.advance(1_801);
            dead(&fourth, "too late").await;

            // Use.
            mount.advance(3_601);
            let fifth = link(&mount, mail, "ada").await;
            let (browser, page) = opened(&fifth).await;
            let (again, same) = opened(&fifth).await;
            choose(&browser, &page, NEW).await.check(303);
            dead(&fifth, "it was used").await;
            choose(&again, &same, OTHER).await.check(410);
            assert_eq!(mount.browser().try_sign_in("ada", NEW).await.status, 303);
            assert_eq!(mount.browser().try_sign_in("ada", OTHER).await.status, 401);
            let refused = mount.audited("recovery.reset").await;
            assert!(refused.iter().filter(|e| e.outcome == "success").count() == 1, "{refused:?}");
        }
    }

    async fn ac_29_a_token_leaves_the_url_before_a_page_is_shown(server: &Server, mail: &MailServer) {
        for mount in stages(server).await {
            let user = user_of(&mount).await;
            let recovery = mount.identity().recovery();
            let before = mail.mails().len();
            recovery.send_email_verification((mount.id(), user), &Cause::operator()).await.unwrap();
            let verification = mail.wait_for(before + 1).await[before].link();
            let reset = link(&mount, mail, "ada").await;
            for (link, path, kind) in [
                (verification, "/verify", LinkKind::EmailVerification),
                (reset, "/reset", LinkKind::PasswordReset),
            ] {
                let token = link.split_once("token=").unwrap().1.to_owned();
                let browser = mount.browser();
                let answer = browser.get(&link).send().await.expect(303);
                let location = answer.location();
                assert_eq!(location, format!("http://localhost:4567{}{path}", mount.prefix()), "{answer}");
                assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
                assert!(answer.header("cache-control").is_some_and(|value| value.contains("no-store")), "{answer}");
                assert!(browser.cookies().values().all(|value| !value.contains(&token)), "it is sealed there");
                assert!(answer.text().is_empty());
                let page = browser.follow(answer).await.expect(200);
                assert!(!page.text().contains(&token), "{page}");
                assert!(page.page().links.iter().all(|link| link.starts_with('/')), "nothing leads elsewhere");
                // Whoever only follows links, like a scanner of mail, uses nothing up.
                for _ in 0..3 {
                    open(&mount.browser(), &link).await.check(200);
                    mount.call("HEAD", &format!("{path}?token={token}")).send().await;
                }
                assert!(recovery.look(mount.id(), kind, &token).await.unwrap().is_some());
            }
        }
    }

    async fn ac_29_a_reset_ends_every_session(server: &Server, mail: &MailServer) {
        for mount in stages(server).await {
            let thief = mount.browser();
            thief.sign_in("ada").await;
            let link = link(&mount, mail, "ada").await;
            let ada = mount.browser();
            let page = open(&ada, &link).await.expect(200);
            let answer = choose(&ada, &page, NEW).await.expect(303);
            ada.follow(answer).await.check(200);
            assert!(!thief.is_signed_in().await && !ada.is_signed_in().await, "a reset signs nobody in");
            assert_eq!(mount.browser().try_sign_in("ada", PASSWORD).await.status, 401);
            assert_eq!(ada.try_sign_in("ada", NEW).await.status, 303);
            assert!(!ada.cookies().keys().any(|name| name.starts_with("reset")), "its cookie is gone");
        }
    }
}
