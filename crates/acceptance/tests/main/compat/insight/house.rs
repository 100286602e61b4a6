//! A server that speaks the dialect for a tenant of its own, and requests to it.

use keyreeve_acceptance::{Answer, Call, Engine, Mount, PASSWORD, Server, Setup};
use keyreeve_testkit::block_on;
use serde_json::{Value, json};

/// Where the seed has its operations.
pub const V1: &str = "/insightservices/rest/v1/auth";
/// The tenant of the dialect: not the default one.
pub const TENANT: &str = "plant";

/// A server with `ada`, who may sign in, in the dialect's tenant.
pub struct House {
    pub server: Server,
    pub mount: Mount,
}

/// A pair of identifier and secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub client_id: String,
    pub secret: String,
    pub number: i64,
    pub created: i64,
}

impl House {
    /// Runs a test against a server with the dialect.
    pub fn run(engine: Engine, test: impl AsyncFnOnce(&Self)) {
        Self::run_with(Setup::new(engine), test);
    }

    /// The same with further settings.
    pub fn run_with(setup: Setup, test: impl AsyncFnOnce(&Self)) {
        block_on(async {
            let house = Self::start(setup).await;
            test(&house).await;
            house.server.finish().await;
        });
    }

    pub async fn start(setup: Setup) -> Self {
        let setup =
            setup.set("KEYREEVE_COMPAT_INSIGHT_ENABLED", "1").set("KEYREEVE_COMPAT_INSIGHT_TENANT", TENANT);
        let server = setup.start().await;
        let mount = server.tenant(TENANT).create().await;
        mount.user("ada").with_every_claim().create().await;
        Self { server, mount }
    }

    /// A request to a path.
    pub fn call(&self, method: &str, path: &str) -> Call {
        self.server.call(method, path)
    }

    /// A request to an operation of the seed.
    pub fn v1(&self, method: &str, path: &str) -> Call {
        self.call(method, &format!("{V1}{path}"))
    }

    pub async fn try_login(&self, name: &str, password: &str) -> Answer {
        let body = json!({"username": name, "password": password});
        self.call("POST", "/insightservices/login").json(&body).send().await
    }

    /// Signs in; the cookie as a header wants it.
    pub async fn login(&self, name: &str) -> String {
        let answer = self.try_login(name, PASSWORD).await.expect(200);
        let (name, value, _) = answer.cookies().next().unwrap();
        format!("{name}={value}")
    }

    /// A request with a session cookie, as the pages of the application make it.
    pub fn by_cookie(&self, cookie: &str, method: &str, path: &str) -> Call {
        self.v1(method, path).header("cookie", cookie).header("x-requested-with", "XMLHttpRequest")
    }

    /// Generates a pair.
    pub async fn generate(&self, cookie: &str) -> Pair {
        let answer =
            self.by_cookie(cookie, "POST", "/currentuser/credentials").send().await.expect(200).json();
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Pair {
            client_id: text("clientId"),
            secret: text("secret"),
            number: answer["credentialsId"].as_i64().unwrap(),
            created: answer["createdDate"].as_i64().unwrap(),
        }
    }

    /// Asks for a token.
    pub async fn try_token(&self, pair: &Pair, max_age: Value) -> Answer {
        let body = json!({"clientId": pair.client_id, "secret": pair.secret, "maxAge": max_age});
        self.v1("POST", "/token").json(&body).send().await
    }

    /// A token of fifteen minutes.
    pub async fn token(&self, pair: &Pair) -> String {
        self.try_token(pair, json!(900)).await.expect(200).json().as_str().unwrap().to_owned()
    }

    /// What `GET user` says to a token.
    pub async fn token_info(&self, token: &str) -> Answer {
        self.v1("GET", "/user").bearer(token).send().await
    }

    /// ada's cookie, a pair of hers, and a token of it.
    pub async fn armed(&self) -> (String, Pair, String) {
        let cookie = self.login("ada").await;
        let pair = self.generate(&cookie).await;
        let token = self.token(&pair).await;
        (cookie, pair, token)
    }
}

/// Expects an error of this status in the shape of the interface.
#[track_caller]
pub fn fails(answer: &Answer, status: u16) -> Value {
    answer.check(status);
    assert_eq!(answer.header("content-type"), Some("application/json"), "{answer}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer}");
    let challenge = (status == 401).then_some("Bearer");
    assert_eq!(answer.header("www-authenticate"), challenge, "{answer}");
    let error = answer.json()["error"].clone();
    assert_eq!(error["code"], json!(format!("FICO-Platform-Http-{status}")), "{answer}");
    for member in ["desc", "message", "traceId", "spanId", "timestamp"] {
        assert!(!error[member].as_str().unwrap().is_empty(), "{answer}");
    }
    error
}
