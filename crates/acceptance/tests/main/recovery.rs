//! Links by mail as people use them: a forgotten password, a confirmed address.

use crate::abuse::recovery::{ask, choose, link, open, with_mail};
use keyreeve_acceptance::{Engine, PASSWORD, Server, Setup, on_a_server};
use keyreeve_testkit::{MailServer, Manner, block_on};

const NEW: &str = "Wren-harbour-lantern-7";

with_mail! {
    async fn a_forgotten_password_is_replaced(server: &Server, mail: &MailServer) {
        server.user("ada").email("ada@example.org").create().await;
        let browser = server.browser().sending("accept-language", "de");
        let sign_in = browser.get("/signin").send().await.expect(200);
        assert!(sign_in.page().links.iter().any(|link| link == "/forgot"), "{sign_in}");
        let sent = ask(&browser, "ada").await;
        let told = browser.follow(sent).await.expect(200);
        assert!(told.text().contains("Sehen Sie in Ihre Post"), "{told}");
        let mails = mail.wait_for(1).await;
        assert_eq!(mails[0].header("from").as_deref(), Some("Keys <keys@id.example>"));
        assert!(mails[0].text().contains("neues Passwort für das Konto ada"), "{}", mails[0].text());

        let page = open(&browser, &mails[0].link()).await.expect(200);
        assert!(page.text().contains("Für das Konto <bdi>ada</bdi>"), "{page}");
        // What is wrong with a password is said, and the link still works.
        for bad in ["short", PASSWORD, "Password1234"] {
            choose(&browser, &page, bad).await.check(400);
        }
        let form = page.page().form("/reset").with("new_password", NEW).with("repeat_password", "another");
        browser.submit(&form).await.check(400);
        browser.submit(&form.without("csrf").with("repeat_password", NEW)).await.check(400);
        let done = choose(&browser, &page, NEW).await.expect(303);
        let done = browser.follow(done).await.expect(200);
        assert!(done.text().contains("Ihr neues Passwort gilt"), "{done}");
        assert_eq!(browser.try_sign_in("ada", NEW).await.status, 303);
    }

    async fn an_address_is_confirmed_from_the_account_page(server: &Server, mail: &MailServer) {
        let ada = server.user("ada").email("ada@example.org").profile(|p| p.email_verified = false).create().await;
        let browser = server.browser();
        browser.sign_in("ada").await;
        let account = browser.get("/account").send().await.expect(200);
        let form = account.page().form("/account/email/verify");
        browser.submit(&form.clone().without("csrf")).await.check(400);
        let sent = browser.submit(&form).await.expect(303);
        let told = browser.follow(sent).await.expect(200);
        assert!(told.text().contains("on its way to your address"), "{told}");
        let link = mail.wait_for(1).await[0].link();
        // On another device.
        let other = server.browser();
        let page = open(&other, &link).await.expect(200);
        assert!(page.text().contains("ada@example.org"), "{page}");
        let user = async || server.identity().users().get(server.id(), ada.user.id).await.unwrap();
        assert!(!user().await.email_verified, "a link that was only opened confirms nothing");
        let form = page.page().form("/verify");
        other.submit(&form.clone().without("csrf")).await.check(400);
        let done = other.submit(&form).await.expect(303);
        other.follow(done).await.check(200);
        assert!(user().await.email_verified);
        let account = browser.get("/account").send().await.expect(200);
        assert!(account.page().form_ending("/account/email/verify").is_none(), "{account}");
        open(&server.browser(), &link).await.check(410);
    }

    async fn somebody_can_ask_for_confirmation_only_so_often(server: &Server, mail: &MailServer) {
        server.user("ada").email("ada@example.org").profile(|p| p.email_verified = false).create().await;
        let browser = server.browser();
        browser.sign_in("ada").await;
        let form = browser.get("/account").send().await.expect(200).page().form("/account/email/verify");
        for _ in 0..4 {
            browser.submit(&form).await.check(303);
        }
        let refused = browser.submit(&form).await.expect(429);
        assert!(refused.header("retry-after").is_some(), "{refused}");
        mail.wait_for(1).await;
    }

    async fn mail_that_is_not_taken_comes_later(server: &Server, mail: &MailServer) {
        server.user("ada").email("ada@example.org").create().await;
        mail.behave(Manner::Refuses(451));
        ask(&server.browser(), "ada").await.check(303);
        mail.wait_for_connections(1).await;
        mail.behave(Manner::Takes);
        let begun = std::time::Instant::now();
        while mail.mails().is_empty() {
            assert!(begun.elapsed() < std::time::Duration::from_secs(20), "it does not come");
            server.advance(20);
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
        assert_eq!(mail.mails().len(), 1);
    }

    async fn each_tenant_writes_in_its_own_name(server: &Server, mail: &MailServer) {
        let acme = server.tenant("acme").create().await;
        acme.user("ada").email("ada@example.org").create().await;
        let link = link(&acme, mail, "ada").await;
        assert!(link.starts_with("http://localhost:4567/t/acme/reset?token="), "{link}");
        let name = &acme.tenant_row().name;
        assert!(mail.mails()[0].text().contains(name.as_str()));
        // The same link at another tenant.
        open(&server.browser(), &link.replace("/t/acme", "")).await.check(410);
        open(&acme.browser(), &link).await.check(200);
    }
}

on_a_server! {
    async fn without_mail_nothing_of_it_is_offered(server: &Server) {
        server.user("ada").email("ada@example.org").profile(|p| p.email_verified = false).create().await;
        let browser = server.browser();
        let page = browser.get("/signin").send().await.expect(200).page();
        assert!(!page.links.iter().any(|link| link.contains("forgot")));
        browser.get("/forgot").send().await.check(404);
        browser.sign_in("ada").await;
        let page = browser.get("/account").send().await.expect(200).page();
        assert!(page.form_ending("/account/email/verify").is_none());
    }
}
