//! Messages over a real connection, to a server that keeps them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

use keyreeve_base::World;
use keyreeve_crypto::Secret;
use keyreeve_mail::{Mailer, Message, SendError, Sender, SmtpServer, Transport};
use keyreeve_testkit::{MailServer, Manner, test_world};
use std::time::Duration;

fn world() -> World {
    test_world().0
}

fn mailer(url: &str, extra_roots: Option<&str>) -> Mailer {
    let transport = Transport::Smtp {
        server: SmtpServer::parse(url).unwrap(),
        extra_roots: extra_roots.map(str::to_owned),
        hello: "id.example".to_owned(),
    };
    Mailer::new(world(), Sender::parse("Schlüssel <keys@id.example>").unwrap(), transport).unwrap()
}

fn message() -> Message {
    Message {
        to: "ada@example.org".to_owned(),
        subject: "Grüße\r\nBcc: evil@example.org".to_owned(),
        text: Secret::new(
            "Hallo Ä\n\n.\nhttps://id.example/reset?token=kr_pr_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG&x=1\n",
        ),
        html: Secret::new("<p>Hallo Ä</p>"),
    }
}

async fn sent(mailer: &Mailer) -> Result<(), SendError> {
    mailer.send(world().new_uuid(), &message()).await
}

#[tokio::test]
async fn a_message_arrives_as_it_was_written() {
    let server = MailServer::start().await;
    sent(&mailer(&server.url(), None)).await.unwrap();
    let [mail] = &server.mails()[..] else { panic!("one message") };
    assert_eq!((mail.from.as_str(), &mail.to[..]), ("keys@id.example", &["ada@example.org".to_owned()][..]));
    assert_eq!(mail.text().trim_end(), message().text.expose().trim_end());
    assert_eq!(mail.html().trim_end(), "<p>Hallo Ä</p>");
    assert_eq!(
        mail.link(),
        "https://id.example/reset?token=kr_pr_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG&x=1"
    );
    assert!(mail.header("message-id").unwrap().ends_with("@id.example>"));
    assert_eq!(mail.header("auto-submitted").as_deref(), Some("auto-generated"));
    assert!(mail.header("date").unwrap().contains("01 Jan 2026 00:00:00"), "the clock is the world's");
    assert_eq!(mail.header("bcc"), None, "a subject adds no header:\n{}", mail.raw);
    assert!(mail.raw.is_ascii() && !mail.encrypted);
}

#[tokio::test]
async fn encryption_is_had_or_nothing_is_sent() {
    for server in [MailServer::start_with_starttls().await, MailServer::start_with_tls().await] {
        // Nobody has vouched for its certificate; without TLS it takes nothing.
        let error = sent(&mailer(&server.url(), None)).await.unwrap_err();
        assert!(matches!(error, SendError::Temporary(_)), "{error}");
        assert!(server.mails().is_empty());
    }
    let server = MailServer::start_with_tls().await;
    sent(&mailer(&server.url(), server.root())).await.unwrap();
    assert!(server.mails()[0].encrypted);
}

#[tokio::test]
async fn starttls_is_required_where_the_url_says_smtp() {
    let server = MailServer::start_with_starttls().await;
    let mut trusting = SmtpServer::parse(&server.url()).unwrap();
    trusting.security = keyreeve_mail::Security::StartTls;
    let over = |server: SmtpServer, roots: Option<&str>| {
        let extra_roots = roots.map(str::to_owned);
        let transport = Transport::Smtp { server, extra_roots, hello: "id.example".to_owned() };
        Mailer::new(world(), Sender::parse("keys@id.example").unwrap(), transport).unwrap()
    };
    sent(&over(trusting, server.root())).await.unwrap();
    assert!(server.mails()[0].encrypted);

    let plain = MailServer::start().await;
    let mut wanting = SmtpServer::parse(&plain.url()).unwrap();
    wanting.security = keyreeve_mail::Security::StartTls;
    assert!(matches!(sent(&over(wanting, None)).await, Err(SendError::Temporary(_))));
    assert!(plain.mails().is_empty(), "nothing goes in the clear");
}

#[tokio::test]
async fn credentials_are_given_and_refused_ones_can_be_mended() {
    let server = MailServer::start().await;
    let at = |login: &str| server.url().replace("://", &format!("://{login}@"));
    let good = mailer(&at("ada:secret%21"), None);
    good.check().await.unwrap();
    sent(&good).await.unwrap();
    assert_eq!(server.mails()[0].credentials.as_deref(), Some(":ada:secret!"));
    let bad = mailer(&at("ada:wrong"), None);
    assert_eq!(bad.check().await, Err(SendError::Temporary("the mail server answered 535".to_owned())));
    assert!(matches!(sent(&bad).await, Err(SendError::Temporary(_))));
}

#[tokio::test]
async fn refusals_are_sorted_and_never_repeated() {
    let server = MailServer::start().await;
    let mailer = mailer(&server.url(), None);
    server.behave(Manner::Refuses(550));
    assert_eq!(sent(&mailer).await, Err(SendError::Permanent("the mail server answered 550".to_owned())));
    server.behave(Manner::Refuses(451));
    assert_eq!(sent(&mailer).await, Err(SendError::Temporary("the mail server answered 451".to_owned())));
    server.behave(Manner::RefusesContent(554));
    let error = sent(&mailer).await.unwrap_err();
    assert!(matches!(error, SendError::Permanent(_)) && !format!("{error:?}").contains("kr_pr"), "{error:?}");
    server.behave(Manner::HangsUp);
    assert!(matches!(sent(&mailer).await, Err(SendError::Temporary(_))));
    server.behave(Manner::Takes);
    sent(&mailer).await.unwrap();
}

#[tokio::test]
async fn nobody_there_and_nobody_answering_are_told_apart() {
    let server = MailServer::start().await;
    let url = server.url();
    let mailer = mailer(&url, None).within(Duration::from_secs(1));
    server.behave(Manner::Hangs);
    let hung = tokio::time::timeout(Duration::from_secs(15), sent(&mailer)).await.expect("bounded");
    assert_eq!(hung, Err(SendError::Temporary("the mail server took too long".to_owned())));
    drop(server);
    assert_eq!(
        mailer.check().await,
        Err(SendError::Temporary("the mail server cannot be reached".to_owned()))
    );
}

#[test]
fn a_sender_is_an_address_perhaps_with_a_name() {
    assert_eq!(Sender::parse("keys@id.example").unwrap().to_string(), "keys@id.example");
    assert!(Sender::parse("Keys <keys@id.example>").is_ok());
    for bad in ["", "keys", "Keys keys@id.example", "a@b\r\nBcc: c@d"] {
        assert!(Sender::parse(bad).is_err(), "{bad:?}");
    }
}
