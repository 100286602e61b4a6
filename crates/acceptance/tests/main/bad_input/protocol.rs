//! What is hardly HTTP any more. The connection may be closed without a word; the server goes on.

use super::exchange::{Reply, Then, send};
use keyreeve_acceptance::{Server, on_a_server};

fn requests() -> Vec<Vec<u8>> {
    let head =
        |line: &str, rest: &str| format!("{line}\r\nhost: a\r\nconnection: close\r\n{rest}\r\n").into_bytes();
    let many: String = (0..150).map(|number| format!("x-{number}: y\r\n")).collect();
    let post = "POST /token HTTP/1.1";
    vec![
        b"\r\n\r\n\r\n\r\n".to_vec(),
        b"\0\0\0\0\0\0\0\0\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is TLS\r\n\r\n".to_vec(),
        b"GET /\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\nhost: a\r\n\r\n".to_vec(),
        b"get / http/1.1\r\n\r\n".to_vec(),
        head("GET  /  HTTP/1.1", ""),
        head("GET /\u{e9} HTTP/1.1", ""),
        head("GET /\u{0} HTTP/1.1", ""),
        head("GET /%00 HTTP/1.1", ""),
        head("GET /%ff/%fe HTTP/1.1", ""),
        head("GET /t/%ff/signin HTTP/1.1", ""),
        head("GET /t/%00/jwks HTTP/1.1", ""),
        head("GET /t/../jwks HTTP/1.1", ""),
        head("GET /t/default%2f..%2facme/jwks HTTP/1.1", ""),
        head("GET /../../../../etc/passwd HTTP/1.1", ""),
        head("GET /assets/..%2f..%2fetc%2fpasswd HTTP/1.1", ""),
        head("GET //evil.test/%2e%2e HTTP/1.1", ""),
        head("GET http://evil.test/authorize HTTP/1.1", ""),
        head("OPTIONS * HTTP/1.1", ""),
        head("CONNECT evil.test:443 HTTP/1.1", ""),
        head("TRACE / HTTP/1.1", ""),
        head("BREW /token HTTP/1.1", ""),
        head(&format!("GET /{} HTTP/1.1", "a".repeat(40_000)), ""),
        head(&format!("GET /t/{}/jwks HTTP/1.1", "a".repeat(3_000)), ""),
        head(&format!("{} / HTTP/1.1", "A".repeat(3_000)), ""),
        head("GET / HTTP/1.1", &many),
        head("GET / HTTP/1.1", "a b: c\r\n"),
        head("GET / HTTP/1.1", ": c\r\n"),
        head("GET / HTTP/1.1", "x: a\r\n folded\r\n"),
        head("GET / HTTP/1.1", "x: a\0b\r\n"),
        head(post, "content-length: -1\r\n"),
        head(post, "content-length: 99999999999999999999\r\n"),
        head(post, "content-length: 3\r\ncontent-length: 4\r\n\r\nabcd"),
        head(
            post,
            "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        head(post, "transfer-encoding: chunked\r\n\r\nzz\r\n"),
        head(post, "transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc"),
        head(post, "transfer-encoding: gzip\r\n"),
        head(post, "transfer-encoding: chunked, identity\r\n"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n".to_vec(),
    ]
}

on_a_server! {
    async fn what_is_no_http_is_refused_or_cut_and_the_server_goes_on(server: &Server) {
        let address = server.address();
        let mut running = tokio::task::JoinSet::new();
        for bytes in requests() {
            running.spawn(async move {
                let answer = send(address, &bytes, Then::HangUp).await;
                // HTTP/2 frames, or nothing at all, are answers too.
                if answer.starts_with(b"HTTP/1.") {
                    let reply = Reply::read(&answer).unwrap();
                    let status = reply.status;
                    assert!(
                        (200..500).contains(&status),
                        "{}\n{reply}",
                        bytes[..bytes.len().min(500)].escape_ascii()
                    );
                    let passwd = String::from_utf8_lossy(&reply.body).contains("root:");
                    assert!(!passwd, "{reply}");
                }
            });
        }
        running.join_all().await;
        server.get("/healthz").send().await.check(200);
    }
}
