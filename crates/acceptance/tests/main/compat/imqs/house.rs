//! A server with the original's fixture, and requests to it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyreeve_acceptance::{Answer, Call, Engine, Mount, Server, Setup};
use keyreeve_compat::imqs::{Fixture, Imqs};
use keyreeve_testkit::block_on;
use serde_json::{Map, Value, json};
use std::io::Write as _;

/// The tenant of the dialect: not the default one, whose administrator is `admin` as well.
pub const TENANT: &str = "plant";

/// The original's own fixture: who, password, groups; each has a second name.
const FIXTURE: [(&str, &str, &[&str]); 4] = [
    ("joe", "JOE", &["enabled"]),
    ("jack", "JACK", &["enabled"]),
    ("admin", "ADMIN", &["admin", "enabled"]),
    ("admin_disabled", "ADMIN_DISABLED", &["admin"]),
];

pub const JOE: (&str, &str) = ("joe", "JOE");
pub const JACK: (&str, &str) = ("jack", "JACK");
pub const ADMIN: (&str, &str) = ("admin", "ADMIN");
pub const ADMIN_DISABLED: (&str, &str) = ("admin_disabled", "ADMIN_DISABLED");

pub fn fixture() -> Value {
    let name = |name: &str| match name {
        "admin_disabled" => "adminDisabledUsername".to_owned(),
        other => format!("{other}Username"),
    };
    let users = FIXTURE.map(|(who, password, groups)| {
        json!({"email": who, "username": name(who), "password": password, "groups": groups})
    });
    json!({ "users": users })
}

/// A server whose dialect has the fixture.
pub struct House {
    pub server: Server,
    pub mount: Mount,
    _config: tempfile::NamedTempFile,
}

/// Runs a test against a server with the fixture and this configuration of the original.
pub fn run(engine: Engine, config: &str, test: impl AsyncFnOnce(&House)) {
    block_on(async {
        let house = House::start(Setup::new(engine), config).await;
        test(&house).await;
        house.server.finish().await;
    });
}

/// The text of a configuration that waits for nobody.
pub fn patient(config: &str) -> String {
    let mut value: Map<String, Value> = serde_json::from_str(config).unwrap();
    let own = value.entry("Keyreeve").or_insert(json!({}));
    own.as_object_mut().unwrap().entry("FailureDelayMs").or_insert(json!(0));
    Value::Object(value).to_string()
}

impl House {
    pub async fn start(setup: Setup, config: &str) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(patient(config).as_bytes()).unwrap();
        let setup = setup
            .set("KEYREEVE_COMPAT_IMQS_ENABLED", "1")
            .set("KEYREEVE_COMPAT_IMQS_TENANT", TENANT)
            .set("KEYREEVE_COMPAT_IMQS_CONFIG_FILE", &file.path().display().to_string());
        let server = setup.start().await;
        let mount = server.tenant(TENANT).create().await;
        let house = Self { server, mount, _config: file };
        house.imqs().load(Fixture::parse(&fixture().to_string()).unwrap()).await.unwrap();
        house
    }

    pub fn imqs(&self) -> &Imqs {
        self.server.app().compat.imqs().unwrap()
    }

    /// A request to an operation.
    pub fn call(&self, method: &str, path: &str) -> Call {
        self.server.call(method, &format!("/auth2{path}"))
    }

    /// The same by somebody.
    pub fn by(&self, (identity, password): (&str, &str), method: &str, path: &str) -> Call {
        self.call(method, path).header("authorization", &basic(identity, password))
    }

    pub async fn get(&self, who: (&str, &str), path: &str) -> Answer {
        self.by(who, "GET", path).send().await
    }

    pub async fn post(&self, who: (&str, &str), path: &str, query: &[(&str, &str)]) -> Answer {
        self.by(who, "POST", path).query(query).send().await
    }

    pub async fn put(&self, who: (&str, &str), path: &str, query: &[(&str, &str)]) -> Answer {
        self.by(who, "PUT", path).query(query).send().await
    }

    pub async fn login(&self, who: (&str, &str)) -> Answer {
        self.by(who, "POST", "/login").send().await
    }

    /// Signs in; the cookie as a header wants it.
    pub async fn cookie(&self, who: (&str, &str)) -> String {
        let answer = self.login(who).await.expect(200);
        let (name, value, _) = answer.cookies().next().unwrap();
        format!("{name}={value}")
    }

    /// What `/check` says to this cookie.
    pub async fn check(&self, cookie: &str) -> Answer {
        self.call("GET", "/check").header("cookie", cookie).send().await
    }

    /// One of the users of a list.
    pub async fn user_object(&self, id: i64) -> Option<Value> {
        let all = self.get(ADMIN, "/userobjects").await.expect(200).json();
        all.as_array().unwrap().iter().find(|user| user["UserId"] == id).cloned()
    }

    /// The roles of a group, by its name.
    pub async fn roles(&self, group: &str) -> Option<Vec<String>> {
        let all = self.call("GET", "/groups").send().await.expect(200).json();
        let found = all.as_array().unwrap().iter().find(|known| known["Name"] == group)?;
        Some(
            found["Roles"].as_array().unwrap().iter().map(|role| role.as_str().unwrap().to_owned()).collect(),
        )
    }
}

pub fn basic(identity: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{identity}:{password}")))
}

/// Expects this status and this bare text.
#[track_caller]
pub fn says(answer: &Answer, status: u16, text: &str) {
    answer.check(status);
    assert_eq!(answer.text(), text, "{answer}");
    assert_eq!(answer.header("content-type"), Some("text/plain"), "{answer}");
    assert_eq!(answer.header("cache-control"), Some("no-cache, no-store, must revalidate"), "{answer}");
    assert_eq!(
        (answer.header("pragma"), answer.header("expires")),
        (Some("no-cache"), Some("0")),
        "{answer}"
    );
}
