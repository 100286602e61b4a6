//! The headers that every answer bears.

use keyreeve_acceptance::{Answer, Engine, Setup};
use keyreeve_testkit::block_on;

/// Checks them.
pub fn check_headers(answer: &Answer) {
    let header = |name: &str| answer.header(name).unwrap_or_else(|| panic!("no {name}\n{answer}"));
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(!header("cache-control").is_empty());
    let policy = header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{answer}");
    assert!(!policy.contains("unsafe"), "{answer}");
    assert_eq!(header("x-request-id").len(), 16);
    for leak in ["server", "x-powered-by"] {
        assert!(answer.header(leak).is_none(), "{leak} tells what runs here\n{answer}");
    }
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(answer.body.is_empty() || !kind.is_empty(), "a body without a type\n{answer}");
    if answer.is_page() {
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert!(policy.contains("base-uri 'none'") && policy.contains("form-action 'self'"), "{answer}");
    }
    for (name, _, cookie) in answer.cookies() {
        let kept =
            cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax") && cookie.contains("; Path=/");
        assert!(kept && !cookie.contains("Domain"), "the cookie {name} is not protected\n{answer}");
    }
    if header("content-security-policy").contains("script-src 'self'") {
        assert!(answer.is_page(), "{answer}");
    }
    assert!(answer.header("access-control-allow-credentials").is_none(), "{answer}");
}

#[test]
fn an_https_server_says_so_and_protects_its_cookies() {
    block_on(async {
        let server = Setup::new(Engine::Sqlite).public_url("https://id.example").start().await;
        server.user("ada").create().await;
        let browser = server.browser();
        let answer = browser.get("/signin").send().await.expect(200);
        check_headers(&answer);
        assert_eq!(answer.header("strict-transport-security"), Some("max-age=63072000"));
        let form = answer
            .page()
            .form("/signin")
            .with("username", "ada")
            .with("password", keyreeve_acceptance::PASSWORD);
        let answer = browser.submit(&form).await.expect(303);
        assert_eq!(answer.location(), "https://id.example/account");
        let cookies: Vec<(&str, &str)> = answer.cookies().map(|(name, _, whole)| (name, whole)).collect();
        assert_eq!(cookies.len(), 2);
        for (name, whole) in cookies {
            assert!(name.starts_with("__Host-") && whole.contains("; Secure"), "{whole}");
        }
        assert!(browser.is_signed_in().await);
        // A cookie that plain http could have planted is not read.
        let planted = server.browser();
        planted.set_cookie("session", &browser.cookie("__Host-session").unwrap());
        assert!(!planted.is_signed_in().await);
        server.finish().await;
    });
}
