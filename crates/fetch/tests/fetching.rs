//! The fetcher against servers that answer well, badly and not at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use keyreeve_fetch::{
    Addresses, ErrorClass, FetchError, FetchOptions, Fetcher, HeaderValue, Request, Resolve, StatusCode,
    header,
};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(93, 184, 215, 14));

/// Answers each look-up with the next list, and the last one ever after.
struct Scripted {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Scripted {
    fn new(answers: &[&[IpAddr]]) -> Arc<Self> {
        let answers = answers.iter().map(|list| list.to_vec()).collect();
        Arc::new(Self { answers, asked: AtomicUsize::new(0) })
    }
}

impl Resolve for Scripted {
    fn resolve(&self, _host: &str) -> Addresses {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst).min(self.answers.len() - 1);
        let answer = self.answers[turn].clone();
        Box::pin(async move { Ok(answer) })
    }
}

fn fetcher(allow_private: bool, resolver: Arc<dyn Resolve>) -> Fetcher {
    let options =
        FetchOptions { allow_private, resolver, timeout: Duration::from_secs(5), ..FetchOptions::default() };
    Fetcher::new(options).expect("a fetcher")
}

fn inner_fetcher() -> Fetcher {
    fetcher(true, Scripted::new(&[&[LOOPBACK]]))
}

/// A server that sends `answer` to whoever has sent a head, and tells what it was sent.
async fn server(answer: impl Into<Vec<u8>>) -> (u16, mpsc::UnboundedReceiver<String>) {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (told, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                match socket.read(&mut buffer).await {
                    Ok(0) | Err(_) => break,
                    Ok(n) => request.extend_from_slice(&buffer[..n]),
                }
            }
            drop(told.send(String::from_utf8_lossy(&request).into_owned()));
            drop(socket.write_all(&answer).await);
            drop(socket.shutdown().await);
        }
    });
    (port, heard)
}

#[tokio::test]
async fn fetches_and_says_who_asks() {
    let (port, mut heard) = server(
        "HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}",
    )
    .await;
    let request = Request::post(format!("http://app.test:{port}/hook?x=1"), "application/json", "[1]")
        .header(header::AUTHORIZATION, HeaderValue::from_static("Bearer abc"))
        .header(header::HOST, HeaderValue::from_static("other.test"))
        .header(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    let response = inner_fetcher().send(request).await.expect("an answer");
    assert_eq!((response.status, &response.body[..]), (StatusCode::OK, &b"{}"[..]));
    assert_eq!(response.media_type().as_deref(), Some("application/json"));
    let sent = heard.recv().await.expect("a request").to_lowercase();
    assert!(sent.starts_with("post /hook?x=1 http/1.1\r\n"), "{sent}");
    for line in [
        &format!("host: app.test:{port}\r\n"),
        "content-length: 3\r\n",
        "authorization: bearer abc\r\n",
        "user-agent: keyreeve/",
        "accept-encoding: identity\r\n",
    ] {
        assert!(sent.contains(line), "{line} in {sent}");
    }
    assert!(!sent.contains("other.test") && !sent.contains("chunked"), "{sent}");
}

#[tokio::test]
async fn ac_50_a_host_of_the_inner_network_is_not_reached() {
    let (port, mut heard) = server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    for addresses in [&[LOOPBACK][..], &[PUBLIC, LOOPBACK], &["::ffff:127.0.0.1".parse().unwrap()]] {
        let fetcher = fetcher(false, Scripted::new(&[addresses]));
        let refused = fetcher.send(Request::get(format!("https://app.test:{port}/"))).await;
        assert!(matches!(refused, Err(FetchError::Refused(_))), "{addresses:?}: {refused:?}");
    }
    for url in [
        format!("https://127.0.0.1:{port}/"),
        format!("https://[::1]:{port}/"),
        format!("http://app.test:{port}/"),
    ] {
        let refused = fetcher(false, Scripted::new(&[&[PUBLIC]])).send(Request::get(url)).await;
        assert_eq!(refused.expect_err("a refusal").class(), ErrorClass::Refused);
    }
    assert!(heard.try_recv().is_err(), "nobody connected");
}

#[tokio::test]
async fn ac_50_a_name_that_changes_its_address_is_looked_up_once() {
    let (port, mut heard) = server("HTTP/1.1 204 No Content\r\n\r\n").await;
    // The check sees one address; whoever asks again would be told another.
    let resolver = Scripted::new(&[&[LOOPBACK], &["169.254.169.254".parse().unwrap()]]);
    let fetcher = fetcher(true, resolver.clone());
    let url = format!("http://rebind.test:{port}/");
    assert_eq!(fetcher.send(Request::get(&url)).await.expect("an answer").status, StatusCode::NO_CONTENT);
    assert!(heard.recv().await.expect("a request").contains(&format!("host: rebind.test:{port}")));
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);
    let refused = fetcher.send(Request::get(&url)).await;
    assert!(
        matches!(refused, Err(FetchError::Refused(_))),
        "what was good once is checked again: {refused:?}"
    );
}

#[tokio::test]
async fn ac_50_a_redirect_is_not_followed() {
    let (inner, mut heard) = server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let (port, _) = server(format!(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{inner}/\r\nContent-Length: 0\r\n\r\n"
    ))
    .await;
    let answer =
        inner_fetcher().send(Request::get(format!("http://app.test:{port}/"))).await.expect("an answer");
    assert_eq!(answer.status, StatusCode::FOUND);
    assert!(heard.try_recv().is_err(), "nobody went there");
}

#[tokio::test]
async fn bodies_heads_and_encodings_are_bounded() {
    let url = async |answer: Vec<u8>| format!("http://app.test:{}/", server(answer).await.0);
    let body = |size: usize| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{}", "x".repeat(size)).into_bytes()
    };
    let fetcher = inner_fetcher();
    let fits = fetcher.send(Request::get(url(body(1_000)).await).max_body(1_000)).await.expect("an answer");
    assert_eq!(fits.body.len(), 1_000);
    let large = fetcher.send(Request::get(url(body(1_001)).await).max_body(1_000)).await;
    assert!(matches!(large, Err(FetchError::TooLarge)), "{large:?}");
    let unread = fetcher.send(Request::get(url(body(1_001)).await).status_only()).await.expect("an answer");
    assert!(unread.body.is_empty());
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(64 * 1024)).into_bytes();
    let refused = fetcher.send(Request::get(url(endless).await)).await;
    assert!(matches!(refused, Err(FetchError::Protocol(_))), "{refused:?}");
    let bomb = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx".to_vec();
    let refused = fetcher.send(Request::get(url(bomb).await)).await;
    assert!(matches!(refused, Err(FetchError::Encoded)), "{refused:?}");
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx".to_vec();
    let refused = fetcher.send(Request::get(url(cut).await)).await;
    assert_eq!(refused.expect_err("an error").class(), ErrorClass::Answer);
}

#[tokio::test]
async fn silence_ends_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let start = Instant::now();
    let request = Request::get(format!("http://app.test:{port}/")).timeout(Duration::from_millis(200));
    let ended = inner_fetcher().send(request).await;
    assert!(matches!(ended, Err(FetchError::Timeout)), "{ended:?}");
    assert!(start.elapsed() < Duration::from_secs(3));
    drop(listener);
    let refused = inner_fetcher().send(Request::get(format!("http://app.test:{port}/"))).await;
    assert_eq!(refused.expect_err("an error").class(), ErrorClass::Connect);
}

/// A TLS server with a certificate for `app.test`, and the file of the authority that issued it.
async fn tls_server(directory: &std::path::Path) -> (u16, std::path::PathBuf) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let file = directory.join("authority.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let issuer = rcgen::Issuer::new(params, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["app.test".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(socket).await else { continue };
            drop(stream.read(&mut [0; 4096]).await);
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await);
            drop(stream.shutdown().await);
        }
    });
    (port, file)
}

#[tokio::test]
async fn certificates_are_checked_for_the_name_that_was_asked() {
    let directory = tempfile::tempdir().unwrap();
    let (port, file) = tls_server(directory.path()).await;
    let make = |authorities| {
        let resolver = Scripted::new(&[&[LOOPBACK]]);
        let options = FetchOptions { allow_private: true, authorities, resolver, ..FetchOptions::default() };
        Fetcher::new(options).expect("a fetcher")
    };
    let trusting = make(Some(file));
    let answer = trusting.send(Request::get(format!("https://app.test:{port}/"))).await.expect("an answer");
    assert_eq!(&answer.body[..], b"ok");
    for wrong in ["other.test", "127.0.0.1"] {
        let refused = trusting.send(Request::get(format!("https://{wrong}:{port}/"))).await;
        assert!(matches!(refused, Err(FetchError::Tls(_))), "{wrong}: {refused:?}");
    }
    let stranger = make(None).send(Request::get(format!("https://app.test:{port}/"))).await;
    assert!(matches!(stranger, Err(FetchError::Tls(_) | FetchError::Setup(_))), "{stranger:?}");
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let options = FetchOptions { authorities: Some(empty), ..FetchOptions::default() };
    assert!(matches!(Fetcher::new(options), Err(FetchError::Setup(_))));
}

#[tokio::test]
async fn only_so_many_requests_are_under_way() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let options = FetchOptions {
        allow_private: true,
        concurrency: 1,
        timeout: Duration::from_millis(900),
        resolver: Scripted::new(&[&[LOOPBACK]]),
        ..FetchOptions::default()
    };
    let fetcher = Fetcher::new(options).expect("a fetcher");
    let send = || {
        let fetcher = fetcher.clone();
        tokio::spawn(async move { fetcher.send(Request::get(format!("http://app.test:{port}/"))).await })
    };
    let (first, second) = (send(), send());
    let (held, _) = listener.accept().await.expect("a connection");
    let more = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(more.is_err(), "a second connection was made while the first was under way");
    drop(held);
    assert!(listener.accept().await.is_ok(), "the turn passes on");
    assert!(first.await.expect("an end").is_err() && second.await.expect("an end").is_err());
}
