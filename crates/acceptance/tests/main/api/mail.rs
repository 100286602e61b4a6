//! Mail to users, at an administrator's word.

use crate::abuse::recovery::with_mail;
use keyreeve_acceptance::{Engine, Server, Setup, on_a_server};
use keyreeve_testkit::{MailServer, block_on};
use serde_json::json;

with_mail! {
    async fn links_are_sent_and_their_way_is_told(server: &Server, mail: &MailServer) {
        let admin = server.administrator().await;
        let ada = server.user("ada").email("ada@example.org").create().await;
        let path = format!("/users/{}", ada.sub());
        let waits = admin.call("POST", &format!("{path}/send-reset")).send().await.expect(200).json();
        assert_eq!((&waits["kind"], &waits["state"], &waits["attempts"]), (&json!("password_reset"), &json!("queued"), &json!(0)));
        let sent = mail.wait_for(1).await;
        assert_eq!(sent[0].to, ["ada@example.org"]);
        admin.call("POST", &format!("{path}/send-verification")).send().await.check(200);
        mail.wait_for(2).await;
        let begun = std::time::Instant::now();
        let log = loop {
            let log = admin.get(&format!("{path}/mail")).send().await.expect(200);
            if log.json()["items"].as_array().unwrap().iter().all(|mail| mail["state"] == "sent") {
                break log;
            }
            assert!(begun.elapsed().as_secs() < 20, "{log}");
        };
        let kinds: Vec<_> = log.json()["items"].as_array().unwrap().iter().map(|mail| mail["kind"].clone()).collect();
        assert_eq!(kinds, ["email_verification", "password_reset"], "the newest first");
        // What a message says is told to nobody.
        for mail in mail.mails() {
            let token = mail.link().split_once("token=").unwrap().1.to_owned();
            assert!(!log.text().contains(&token) && !waits.to_string().contains(&token));
        }
    }

    async fn nobody_gets_mail_who_cannot(server: &Server, mail: &MailServer) {
        let admin = server.administrator().await;
        let ada = server.user("ada").create().await;
        let path = format!("/users/{}", ada.sub());
        for what in ["send-reset", "send-verification"] {
            let refused = admin.call("POST", &format!("{path}/{what}")).send().await.expect(422);
            assert!(refused.json()["detail"].as_str().unwrap().contains("e-mail address is missing"), "{refused}");
        }
        admin.patch(&path, &json!({"email": "ada@example.org"})).send().await.check(200);
        admin.call("POST", &format!("{path}/disable")).send().await.check(200);
        let refused = admin.call("POST", &format!("{path}/send-reset")).send().await.expect(422);
        assert!(refused.json()["detail"].as_str().unwrap().contains("disabled or locked"), "{refused}");
        admin.call("POST", "/users/0190f0f0-0000-7000-8000-000000000001/send-reset").send().await.check(404);
        assert_eq!(admin.get(&format!("{path}/mail")).send().await.expect(200).json()["items"], json!([]));
        assert!(mail.mails().is_empty());
    }

    /// A link opens an account: whoever may not change an administrator may not send one's links about, or read of them.
    async fn a_narrow_token_sends_an_administrator_nothing(server: &Server, mail: &MailServer) {
        let chief = server.user("chief").email("chief@example.org").create().await;
        let role = server.identity().roles().tenant_admin(server.id()).await.unwrap().id;
        let party = keyreeve_identity::Party::User(chief.user.id);
        let operator = keyreeve_identity::Cause::operator();
        server.identity().roles().assign((server.id(), role), party, &operator).await.unwrap();
        let path = format!("/users/{}", chief.sub());
        let narrow = server.api("keyreeve:users:write").await;
        for (method, what) in [("POST", "send-reset"), ("POST", "send-verification"), ("GET", "mail"), ("DELETE", "second-factor")] {
            narrow.call(method, &format!("{path}/{what}")).send().await.check(403);
        }
        server.administrator().await.call("POST", &format!("{path}/send-reset")).send().await.check(200);
        assert_eq!(mail.wait_for(1).await.len(), 1);
    }
}

on_a_server! {
    async fn a_server_without_mail_says_so(server: &Server) {
        let admin = server.administrator().await;
        let ada = server.user("ada").email("ada@example.org").create().await;
        let refused = admin.call("POST", &format!("/users/{}/send-reset", ada.sub())).send().await.expect(422);
        assert!(refused.json()["detail"].as_str().unwrap().contains("not set up on this server"), "{refused}");
    }
}
