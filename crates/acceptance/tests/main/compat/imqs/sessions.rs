//! Signing in and out, and who somebody is.

use super::house::{ADMIN, ADMIN_DISABLED, JACK, JOE, basic, says};
use super::{House, on_imqs, on_imqs_with};
use keyreeve_acceptance::Setup;
use serde_json::json;
use std::collections::BTreeSet;

const BASIC: &str = "HTTP Basic Authorization must be base64(identity:password)";

on_imqs! {
    async fn b01_a_wrong_method_is_told_the_right_one(house: &House) {
        says(&house.by(JOE, "GET", "/login").send().await, 400, "API must be accessed using an HTTP POST method");
        says(&house.by(JOE, "POST", "/check").send().await, 400, "API must be accessed using an HTTP GET method");
        let head = house.call("HEAD", "/groups").send().await.expect(400);
        assert_eq!(head.header("content-type"), Some("text/plain"));
        house.call("OPTIONS", "/login").send().await.check(400);
        for path in ["/nothing", "/login/", "/", "/Login"] {
            let answer = house.call("GET", path).send().await.expect(404);
            assert_eq!(answer.text(), "404 page not found\n");
            assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
    }

    async fn b02_signing_in_tells_who_it_is_and_sets_the_cookie(house: &House) {
        let answer = house.login(JOE).await.expect(200);
        let said = answer.json();
        assert_eq!((&said["UserId"], &said["Identity"], &said["Roles"]), (&json!(1), &json!("joe"), &json!(["2"])));
        assert_eq!((&said["Email"], &said["Username"]), (&json!("joe"), &json!("joeUsername")));
        assert_eq!(said["InternalUUID"].as_str().unwrap().len(), 36);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let cookie = answer.header("set-cookie").unwrap();
        let (pair, rest) = cookie.split_once("; ").unwrap();
        let value = pair.strip_prefix("session=").unwrap();
        assert_eq!(value.len(), 30);
        assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(rest.starts_with("Path=/; Expires=") && rest.ends_with(" GMT"), "{cookie}");
        for absent in ["HttpOnly", "SameSite", "Domain", "Max-Age", "Secure"] {
            assert!(!cookie.contains(absent), "{cookie}");
        }
        // Only its digest is kept.
        assert!(!house.mount.audit().await.iter().any(|entry| format!("{entry:?}").contains(value)));
    }

    async fn b03_a_header_that_cannot_be_read_is_told_so(house: &House) {
        says(&house.call("POST", "/login").send().await, 400, BASIC);
        says(&house.call("POST", "/login").header("authorization", "Basic invalid_auth").send().await, 400, BASIC);
        says(&house.call("GET", "/check").header("authorization", "Basic invalid_auth").send().await, 400, BASIC);
        says(&house.login(("", "JOE")).await, 401, "Identity may not be empty");
        says(&house.login((" ", "JOE")).await, 401, "Identity may not be empty");
    }

    async fn b04_a_refused_sign_in_is_401_and_says_why(house: &House) {
        says(&house.login(("joe", "JoE")).await, 401, "Invalid password");
        says(&house.login(("jjj", "JOE")).await, 401, "Identity authorization not found");
        says(&house.login(ADMIN_DISABLED).await, 403, "Account disabled");
        let answer = house.login(ADMIN_DISABLED).await;
        assert_eq!(answer.cookies().count(), 0, "nobody who is disabled gets a session");
    }

    async fn b05_a_check_by_basic_leaves_names_out(house: &House) {
        let said = house.get(JOE, "/check").await.expect(200);
        assert_eq!(said.cookies().count(), 0);
        let said = said.json();
        assert_eq!((&said["UserId"], &said["Identity"]), (&json!(1), &json!("joe")));
        assert_eq!((&said["Email"], &said["Username"]), (&json!(""), &json!("")));
        says(&house.call("GET", "/check").send().await, 401, "No authorization information");
        says(&house.get(("joe", "JoE"), "/check").await, 403, "Invalid password");
        says(&house.get(("jjj", "JOE"), "/check").await, 403, "Identity authorization not found");
        says(&house.get(("", "JOE"), "/check").await, 401, "Identity may not be empty");
        says(&house.get(ADMIN_DISABLED, "/check").await, 403, "Account disabled");
        let cookie = house.cookie(JOE).await;
        let said = house.check(&cookie).await.expect(200).json();
        assert_eq!((&said["Email"], &said["Username"]), (&json!("joe"), &json!("joeUsername")));
    }

    async fn b23_any_name_in_any_case_signs_in_and_no_password_does_not(house: &House) {
        for name in ["joe", "JOE", " Joe ", "joeusername", "JOEUSERNAME"] {
            assert_eq!(house.login((name, "JOE")).await.expect(200).json()["Identity"], json!("joe"), "{name}");
        }
        says(&house.login(("joe", "")).await, 401, "Invalid password");
        says(&house.login(("joe", "  ")).await, 401, "Invalid password");
        house.login(("joe", " JOE ")).await.check(200);
    }

    async fn b24_a_session_lasts_until_its_end_and_is_over_after_a_logout(house: &House) {
        let cookie = house.cookie(JOE).await;
        house.server.advance(29 * 86_400);
        house.check(&cookie).await.check(200);
        house.server.advance(86_401);
        says(&house.check(&cookie).await, 403, "Invalid session token");
        let cookie = house.cookie(JOE).await;
        let out = house.call("POST", "/logout").header("cookie", &cookie).send().await;
        says(&out, 200, "");
        assert_eq!(out.header("set-cookie"), Some("session=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
        says(&house.check(&cookie).await, 403, "Invalid session token");
        let mut cookies = BTreeSet::new();
        for _ in 0..20 {
            assert!(cookies.insert(house.cookie(JOE).await), "each session has a key of its own");
        }
        // It is a session of the room: whoever ends it there ends it here.
        let (user, cause) = (house.user("joe").await, keyreeve_identity::Cause::operator());
        house.server.identity().sessions().end_all(house.mount.id(), user, None, &cause).await.unwrap();
        for cookie in cookies {
            house.check(&cookie).await.check(403);
        }
    }

    async fn b33_a_cookie_alone_decides_and_logout_always_clears_it(house: &House) {
        for stale in ["session=", "session=x", "session=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "session=a; session=b"] {
            let answer = house.by(JOE, "GET", "/check").header("cookie", stale).send().await;
            says(&answer, 403, "Invalid session token");
        }
        // Signing in looks at no cookie.
        house.by(JOE, "POST", "/login").header("cookie", "session=x").send().await.check(200);
        for out in [house.call("POST", "/logout"), house.call("POST", "/logout").header("cookie", "session=x")] {
            let out = out.send().await;
            says(&out, 401, "Identity may not be empty");
            assert!(out.header("set-cookie").unwrap().starts_with("session=; Path=/; Expires=Thu, 01 Jan 1970"));
        }
        house.by(JOE, "POST", "/logout").send().await.check(200);
    }

    async fn b33_a_passthrough_without_a_directory_is_answered_as_such(house: &House) {
        let login = |who, form: &[(&str, &str)]| house.by(who, "POST", "/login").form(form).send();
        let half = "Malformed login form data.";
        says(&login(JOE, &[("client_id", "a")]).await, 400, half);
        says(&login(JOE, &[("login_type", "msaad")]).await, 400, half);
        let both = [("client_id", "a"), ("login_type", "msaad")];
        says(&login(("jjj", "x"), &both).await, 401, "Identity authorization not found");
        let unknown = "Passthrough auth: client_id specified [a] is not whitelisted. \n";
        says(&login(JOE, &both).await, 403, unknown);
        login(JOE, &[]).await.check(200);
        house.by(JOE, "POST", "/login").query(&[("client_id", "a")]).send().await.check(400);
    }

    async fn b26_a_change_of_groups_shows_in_every_session_at_once(house: &House) {
        let mut cookies = Vec::new();
        for _ in 0..8 {
            cookies.push(house.cookie(JOE).await);
        }
        for (groups, roles) in [("enabled,admin", json!(["2", "1"])), ("enabled", json!(["2"]))] {
            house.post(ADMIN, "/set_user_groups", &[("userid", "1"), ("groups", groups)]).await.check(200);
            for cookie in &cookies {
                assert_eq!(house.check(cookie).await.expect(200).json()["Roles"], roles);
            }
        }
        house.post(ADMIN, "/set_user_groups", &[("userid", "1"), ("groups", "")]).await.check(200);
        for cookie in &cookies {
            says(&house.check(cookie).await, 403, "Account disabled");
        }
    }

    async fn hello_ping_and_what_needs_no_credential(house: &House) {
        house.server.expect_failures();
        for method in ["GET", "POST"] {
            says(&house.call(method, "/hello").send().await, 200, "Hello!");
        }
        let now = house.server.now().seconds();
        says(&house.call("GET", "/ping").send().await, 200, &format!("{{\"Timestamp\": {now}}}"));
        let directory = house.call("GET", "/hasactivedirectory").send().await.expect(200);
        assert_eq!((directory.text(), directory.header("content-type")), ("0", Some("application/json")));
        let base = house.server.tokens().base_url().to_owned();
        says(&house.call("GET", "/hostname").send().await, 200, &format!("{{\"Hostname\": \"{base}\"}}"));
        assert_eq!(house.call("GET", "/dynamic_permissions").send().await.expect(200).text(), "{}");
        assert_eq!(house.call("GET", "/oauth/providers").send().await.expect(200).text(), "[]\n");
        for method in ["GET", "POST", "PUT"] {
            let answer = house.call(method, "/oauth/start").query(&[("provider", "x")]).send().await;
            says(&answer, 400, "OAuth provider 'x' not configured");
        }
        let finish = house.call("GET", "/oauth/finish").send().await.expect(302);
        assert!(finish.header("location").unwrap().starts_with("/?oauthError="));
        says(&house.get(ADMIN, "/msaad/approles").await, 501, "MSAAD is not configured");
        says(&house.post(JOE, "/login_yellowfin", &[]).await, 404, "Yellowfin is disabled");
    }

    async fn ac_60_a_page_of_another_site_cannot_use_the_cookie(house: &House) {
        let cookie = house.cookie(ADMIN).await;
        let post = |site: &str| {
            let call = house.call("POST", "/set_password").query(&[("userid", "1"), ("password", "x")]);
            call.header("cookie", &cookie).header("sec-fetch-site", site).send()
        };
        post("cross-site").await.check(403);
        house.login(JOE).await.check(200);
        post("same-origin").await.check(200);
    }

    async fn ac_23_ac_24_one_account_has_one_counter_whatever_it_is_called(house: &House) {
        // The room's own throttle, not the original's delay, which is off here: five are free.
        for name in ["joe", "JOE", "joeusername", "joeUsername", "jOe"] {
            says(&house.login((name, "wrong")).await, 401, "Invalid password");
        }
        let blocked = house.login(("joeusername", "wrong")).await.expect(429);
        assert!(blocked.header("retry-after").is_some());
        house.login(JACK).await.check(200);
    }
}

on_imqs_with! {
    r#"{"Authaus": {"SessionDB": {"MaxActiveSessions": 1, "SessionExpirySeconds": 60}, "HTTP": {"CookieName": "plant", "CookieSecure": true}}}"#;
    async fn b25_a_second_sign_in_ends_the_first(house: &House) {
        let answer = house.login(JOE).await.expect(200);
        assert!(answer.header("set-cookie").unwrap().ends_with("; Secure"));
        let first = house.cookie(JOE).await;
        assert!(first.starts_with("plant="));
        let second = house.cookie(JOE).await;
        says(&house.check(&first).await, 403, "Invalid session token");
        house.check(&second).await.check(200);
        house.check(&first).await.check(403);
        house.check(&second).await.check(200);
        house.server.advance(61);
        says(&house.check(&second).await, 403, "Invalid session token");
    }
}

on_imqs_with! {
    r#"{"Authaus": {"EnableAccountLocking": true, "MaxFailedLoginAttempts": 4}}"#;
    async fn b29_an_account_is_locked_by_failures_and_unlocked_by_an_administrator(house: &House) {
        const LOCKED: &str = "Account locked. Please contact your administrator";
        for _ in 0..3 {
            says(&house.login(("joe", "x")).await, 401, "Invalid password");
        }
        says(&house.login(("joe", "x")).await, 401, LOCKED);
        says(&house.login(JOE).await, 401, LOCKED);
        says(&house.get(JOE, "/check").await, 403, LOCKED);
        assert_eq!(house.user_object(1).await.unwrap()["AccountLocked"], json!(true));
        says(&house.post(ADMIN, "/unlock_user", &[("userid", "1")]).await, 200, "Unlocked user: '1'");
        // What the room counted of the attempts passes by itself.
        house.server.advance(60);
        house.login(JOE).await.check(200);
        for _ in 0..5 {
            says(&house.login(("admin", "x")).await, 401, "Invalid password");
        }
    }
}

on_imqs_with! {
    r#"{"Keyreeve": {"Discreet": true, "RefusedStatus": 403}}"#;
    async fn ac_21_a_discreet_server_does_not_tell_who_there_is(house: &House) {
        house.server.expect_failures();
        for name in ["joe", "nobody"] {
            says(&house.login((name, "x")).await, 403, "Invalid password");
            says(&house.get((name, "x"), "/check").await, 403, "Invalid password");
            let answer = house.call("POST", "/reset_password_start").query(&[("identity", name)]).send().await;
            says(&answer, 500, "No password for sending email");
        }
    }
}

on_imqs_with! {
    r#"{"Keyreeve": {"FailureDelayMs": 200}}"#;
    async fn each_failure_delays_the_next_attempt(house: &House) {
        let took = async |who| {
            let began = std::time::Instant::now();
            house.login(who).await;
            began.elapsed().as_millis()
        };
        took(("joe", "x")).await;
        took(("joe", "x")).await;
        assert!(took(JOE).await >= 400);
        assert!(took(JOE).await < 390, "a sign-in forgets the failures");
        let wrong = basic("joe", "x");
        assert!(!wrong.is_empty());
    }
}

impl House {
    /// The room's identifier of a user.
    pub async fn user(&self, name: &str) -> keyreeve_base::UserId {
        let found =
            self.server.identity().users().find(self.mount.id(), &format!("{name}Username")).await.unwrap();
        found.unwrap().id
    }
}

#[test]
fn a_listener_of_its_own_has_no_prefix() {
    keyreeve_testkit::block_on(async {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let setup = Setup::new(keyreeve_acceptance::Engine::Sqlite)
            .set("KEYREEVE_COMPAT_IMQS_LISTEN", &free.to_string());
        let house = House::start(setup, "{}").await;
        let ask = async |text: String| {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let mut stream = loop {
                match tokio::net::TcpStream::connect(free).await {
                    Ok(stream) => break stream,
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                }
            };
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let request = |method: &str, path: &str| {
            let basic = basic("joe", "JOE");
            format!(
                "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: {basic}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
        };
        let hello = ask(request("GET", "/hello")).await;
        assert!(hello.starts_with("HTTP/1.1 200") && hello.ends_with("Hello!"), "{hello}");
        let login = ask(request("POST", "/login")).await;
        assert!(login.starts_with("HTTP/1.1 200") && login.contains("set-cookie: session="), "{login}");
        for path in ["/auth2/hello", "/signin", "/api/v1/users"] {
            assert!(
                ask(request("GET", path)).await.starts_with("HTTP/1.1 404"),
                "nothing else is served there: {path}"
            );
        }
        // And nothing without the prefix on the other.
        house.server.get("/hello").send().await.check(404);
        house.server.finish().await;
    });
}
