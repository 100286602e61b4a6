//! Exchanges without an end: both ways at once, broken off on either side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use keyreeve_fetch::{Broken, FetchError, FetchOptions, Fetcher, Request};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::channel;

fn fetcher(timeout: Duration) -> Fetcher {
    let options = FetchOptions { allow_private: true, timeout, ..FetchOptions::default() };
    Fetcher::new(options).expect("a fetcher")
}

async fn accept() -> (String, tokio::task::JoinHandle<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://127.0.0.1:{}/", listener.local_addr().expect("an address").port());
    (url, tokio::spawn(async move { listener.accept().await.expect("a caller").0 }))
}

/// What the caller has sent up to and with this text.
async fn until(socket: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        read.push(socket.read_u8().await.expect("more"));
    }
    String::from_utf8(read).expect("text")
}

#[tokio::test]
async fn the_answer_is_read_while_the_request_is_sent() {
    let (url, accepted) = accept().await;
    let (pieces, sent) = channel(1);
    let request = Request::post(url, "application/x-ndjson", "");
    let opened = tokio::spawn(async move { fetcher(Duration::from_secs(5)).open(request, Some(sent)).await });
    let mut socket = accepted.await.unwrap();
    let head = until(&mut socket, "\r\n\r\n").await.to_ascii_lowercase();
    assert!(
        head.contains("transfer-encoding: chunked") && head.contains("content-type: application/x-ndjson"),
        "{head}"
    );
    socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfoo\r\n").await.unwrap();
    let mut flow = opened.await.unwrap().expect("a flow");
    assert_eq!(flow.status, 200);
    assert_eq!(flow.next().await.unwrap().unwrap(), "foo");
    pieces.send(Ok("bar".into())).await.unwrap();
    assert_eq!(until(&mut socket, "bar\r\n").await, "3\r\nbar\r\n");
    drop(pieces);
    assert_eq!(until(&mut socket, "\r\n\r\n").await, "0\r\n\r\n");
    socket.write_all(b"1\r\n!\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(flow.next().await.unwrap().unwrap(), "!");
    assert!(flow.next().await.unwrap().is_none(), "it has ended");
}

#[tokio::test]
async fn what_breaks_off_does_not_end() {
    // What is sent: the receiver sees no last chunk.
    let (url, accepted) = accept().await;
    let (pieces, sent) = channel(2);
    pieces.send(Ok("foo".into())).await.unwrap();
    let opened = tokio::spawn(async move {
        fetcher(Duration::from_secs(5)).open(Request::post(url, "text/plain", ""), Some(sent)).await
    });
    let mut socket = accepted.await.unwrap();
    until(&mut socket, "foo\r\n").await;
    pieces.send(Err(Broken)).await.unwrap();
    let mut rest = String::new();
    socket.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "");
    assert!(matches!(opened.await.unwrap(), Err(FetchError::Protocol(_))));

    // What is answered.
    let (url, accepted) = accept().await;
    let opened =
        tokio::spawn(async move { fetcher(Duration::from_secs(5)).open(Request::get(url), None).await });
    let mut socket = accepted.await.unwrap();
    until(&mut socket, "\r\n\r\n").await;
    socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfoo\r\n").await.unwrap();
    drop(socket);
    let mut flow = opened.await.unwrap().expect("a flow");
    assert_eq!(flow.next().await.unwrap().unwrap(), "foo");
    assert!(matches!(flow.next().await, Err(FetchError::Protocol(_))));
}

#[tokio::test]
async fn silence_is_not_waited_for_without_end() {
    let (url, accepted) = accept().await;
    let opened =
        tokio::spawn(async move { fetcher(Duration::from_millis(300)).open(Request::get(url), None).await });
    let mut socket = accepted.await.unwrap();
    until(&mut socket, "\r\n\r\n").await;
    socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
    let mut flow = opened.await.unwrap().expect("a flow");
    assert!(matches!(flow.next().await, Err(FetchError::Timeout)));
    drop(flow);
    assert_eq!(socket.read(&mut [0; 8]).await.unwrap_or(0), 0, "the connection ends with it");
}
