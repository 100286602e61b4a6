//! Mail as operators set it up, send it and watch it.

use crate::harness::{Installation, OK, REFUSED, USAGE};
use keyreeve_testkit::{Engine, MailServer, Manner, on_both_engines};
use std::time::{Duration, Instant};

const ADA: [&str; 6] = ["user", "create", "--username", "ada", "--email", "ada@example.org"];

/// Waits until `keyreeve user mail` has the newest message in this state.
async fn until(place: &Installation, state: &str) -> serde_json::Value {
    let begun = Instant::now();
    loop {
        let records = place.run(&["user", "mail", "ada", "--json"]).expect(OK).json();
        if records[0]["state"] == state {
            return records;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{records}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn set_up(place: &mut Installation, mail: &MailServer) {
    place.set("KEYREEVE_SMTP_URL", &mail.url());
    place.set("KEYREEVE_MAIL_FROM", "Keys <keys@id.example>");
}

on_both_engines! {
    async fn a_message_waits_for_the_server_and_outlives_it(engine: Engine) {
        let mail = MailServer::start().await;
        let (mut place, _) = Installation::initialised(engine).await;
        place.run(&ADA).expect(OK);
        let refused = place.run(&["user", "send-reset", "ada"]);
        assert!(refused.code != OK && refused.stderr.contains("smtp_url"), "{}", refused.stderr);

        set_up(&mut place, &mail);
        place.run(&["user", "send-reset", "ada"]).expect(OK);
        mail.behave(Manner::Hangs);
        let server = place.serve();
        mail.wait_for_connections(1).await;
        // Killed while the mail server had the message in hand.
        drop(server);
        mail.behave(Manner::Takes);
        place.tamper("UPDATE outgoing_mail SET next_at = 0").await;
        let server = place.serve();
        let [message] = &mail.wait_for(1).await[..] else { panic!("one message") };
        assert_eq!(message.to, ["ada@example.org"]);
        assert!(message.link().starts_with("http://127.0.0.1:") && message.link().contains("/reset?token=kr_pr_"));
        let records = until(&place, "sent").await;
        assert_eq!((&records[0]["attempts"], records.as_array().unwrap().len()), (&2.into(), 1));
        assert!(!records.to_string().contains("kr_pr_"));
        let token = message.link().split_once("token=").unwrap().1.to_owned();
        let (code, log) = server.stop();
        assert!(code == 0 && !log.contains(&token), "{log}");
        assert_eq!(mail.mails().len(), 1, "it is sent once");
        place.run(&["audit", "verify"]).expect(OK);
    }

    async fn a_message_that_is_refused_is_given_up(engine: Engine) {
        let mail = MailServer::start().await;
        let (mut place, _) = Installation::initialised(engine).await;
        set_up(&mut place, &mail);
        place.run(&ADA).expect(OK);
        let server = place.serve();
        mail.behave(Manner::RefusesContent(554));
        place.run(&["user", "send-verification", "ada"]).expect(OK);
        let records = until(&place, "failed").await;
        assert_eq!(records[0]["problem"], "the mail server answered 554");
        assert_eq!(records[0]["kind"], "email_verification");
        let begun = Instant::now();
        let audit = loop {
            // On PostgreSQL an entry gets its place in the chain a moment later.
            let audit = place.run(&["audit", "list", "--json"]).expect(OK).stdout;
            if audit.contains("mail.send") {
                break audit;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{audit}");
        };
        assert!(audit.contains("recovery.request") && !audit.contains("kr_ev_"), "{audit}");
        let (_, log) = server.stop();
        assert!(log.contains("could not be sent") && !log.contains("kr_ev_"), "{log}");
    }

    async fn doctor_asks_the_mail_server(engine: Engine) {
        let mail = MailServer::start().await;
        let (mut place, _) = Installation::initialised(engine).await;
        set_up(&mut place, &mail);
        assert!(place.run(&["doctor"]).expect(OK).stdout.contains("ok    mail"));
        std::fs::write(place.path().join("password"), "wrong\n").unwrap();
        place.set("KEYREEVE_SMTP_URL", &mail.url().replace("://", "://keys@"));
        place.set("KEYREEVE_SMTP_PASSWORD_FILE", "password");
        let report = place.run(&["doctor"]).expect(REFUSED).stdout;
        assert!(report.contains("FAIL  mail") && report.contains("answered 535"), "{report}");
        assert!(report.contains("password is open to others"), "{report}");
        std::fs::write(place.path().join("password"), "right\n").unwrap();
        place.run(&["doctor"]).expect(OK);
        drop(mail);
        let report = place.run(&["doctor"]).expect(REFUSED).stdout;
        assert!(report.contains("cannot be reached"), "{report}");
    }
}

#[test]
fn a_password_file_that_is_missing_or_empty_is_named() {
    let mut place = Installation::sqlite();
    place.set("KEYREEVE_SMTP_URL", "smtps://keys@mail.example");
    place.set("KEYREEVE_MAIL_FROM", "keys@id.example");
    place.set("KEYREEVE_SMTP_PASSWORD_FILE", "password");
    let ran = place.run(&["init"]);
    assert!(
        ran.code != OK && ran.stderr.contains("smtp_password_file: password cannot be read"),
        "{}",
        ran.stderr
    );
    std::fs::write(place.path().join("password"), "\n").unwrap();
    assert!(place.run(&["init"]).stderr.contains("password is empty"));
    assert!(!place.data("").exists());
    place.set("KEYREEVE_SMTP_URL", "smtps://keys:own@mail.example");
    std::fs::write(place.path().join("password"), "hunter2\n").unwrap();
    let ran = place.run(&["init"]);
    assert!(
        ran.code != OK && ran.stderr.contains("no password when smtp_password_file is set"),
        "{}",
        ran.stderr
    );
    place.set("KEYREEVE_MAIL_FROM", "nobody");
    place.run(&["init"]).expect(USAGE);
}
