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
use keyreeve_fetch::{FetchOptions, Fetcher};
use keyreeve_mail::{Mailer, Message, SendError, Sender, SmtpServer, Transport, Webhook, WebhookSecret};
use keyreeve_testkit::{MailServer, Manner, test_world};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

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

/// Answers one request with this status line, and hands it over as it came.
async fn service(status: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mail?key=own", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !String::from_utf8_lossy(&request).trim_end().ends_with("}}") {
            let mut some = [0; 4_096];
            let read = stream.read(&mut some).await.unwrap();
            request.extend_from_slice(&some[..read]);
        }
        let answer =
            format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nlocation: http://127.0.0.1:1/\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    (url, served)
}

fn over_webhook(url: &str, allow_private: bool) -> Mailer {
    let fetcher = Fetcher::new(FetchOptions { allow_private, ..FetchOptions::default() }).unwrap();
    let secret = WebhookSecret::parse("a secret of both sides").unwrap();
    let webhook = Webhook::new(fetcher, Secret::new(url), secret);
    Mailer::new(world(), Sender::parse("keys@id.example").unwrap(), Transport::Webhook(webhook)).unwrap()
}

#[tokio::test]
async fn a_service_gets_the_message_signed() {
    let (url, served) = service("202 Accepted").await;
    sent(&over_webhook(&url, true)).await.unwrap();
    let request = served.await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let header = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {head}")).to_owned()
    };
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"a secret of both sides");
    let signed = format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp"));
    let tag = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        header("webhook-signature").strip_prefix("v1,").unwrap(),
    )
    .unwrap();
    aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &tag).unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["data"]["to"], "ada@example.org");
    assert_eq!(body["data"]["text"], message().text.expose());
    assert_eq!((&body["type"], &body["id"]), (&"mail".into(), &header("webhook-id").into()));
    assert_eq!(header("webhook-timestamp"), "1767225600");
}

#[tokio::test]
async fn a_service_that_does_not_take_it_is_asked_again_or_not() {
    for (status, permanent) in
        [("302 Found", false), ("401 no", false), ("500 no", false), ("429 no", false), ("422 no", true)]
    {
        let (url, served) = service(status).await;
        let error = sent(&over_webhook(&url, true)).await.unwrap_err();
        assert_eq!(matches!(error, SendError::Permanent(_)), permanent, "{status}: {error}");
        served.await.unwrap();
    }
}

#[tokio::test]
async fn ac_50_a_private_service_is_asked_only_where_that_is_allowed() {
    let guarded = over_webhook("http://127.0.0.1:9/mail?key=own", false);
    for error in [sent(&guarded).await.unwrap_err(), guarded.check().await.unwrap_err()] {
        assert!(matches!(error, SendError::Temporary(_)) && !error.to_string().contains("own"), "{error}");
    }
    let reachable = over_webhook("http://127.0.0.1:9/mail", true);
    reachable.check().await.unwrap();
}
