//! Secrets go through every door while the program logs all that it can, and are then looked for wherever something is
//! written: the log, the metrics, error answers, what commands print, and every byte of the database (AC-61, AC-76).

mod insight;
mod letters;
mod stores;
mod vaulted;

use crate::program::wire::{Answer, Client, Wire};
use crate::program::{Program, Running};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use http::Method;
use keyreeve_acceptance::build::ASSERTION_TYPE;
use keyreeve_acceptance::{Page, VERIFIER, challenge_of};
use keyreeve_base::{Clock as _, SystemClock};
use keyreeve_crypto::jws::{Header, sign_compact};
use keyreeve_crypto::sign::{Algorithm, SigningKey};
use keyreeve_testkit::{Collector, Engine, MailServer, on_both_engines};
use serde_json::{Value, json};
use std::path::Path;

const CALLBACK: &str = "https://app.example/cb";
const USER: &str = "canary-user";
const PASSWORD: &str = "Canary-plover-anchor-41";
const NEW_PASSWORD: &str = "Canary-heron-lantern-42";
const CHOSEN_PASSWORD: &str = "Canary-dipper-ferry-43";
const PROVISIONED_PASSWORD: &str = "Canary-avocet-harbour-47";
const PATCHED_PASSWORD: &str = "Canary-curlew-harbour-48";
const REPLACED_PASSWORD: &str = "Canary-godwit-harbour-49";
const MISPLACED_PASSWORD: &str = "Canary-ruff-harbour-50";
const WEAK_PASSWORD: &str = "canarycanary";
const RESET_PASSWORD: &str = "Canary-grebe-basalt-47";
const WRONG_PASSWORD: &str = "Canary-wrong-guess-44";
const WRONG_SECRET: &str = "canary-wrong-client-secret-45";
const WRONG_TOKEN: &str = "kr_rt_canary-wrong-token-46";

/// What a page carries on to the next one: it comes back to the browser that sent it, and goes nowhere else.
const CARRIED: [&str; 3] = ["a sealed request", "a form's token", "a ticket"];

/// What must be found nowhere, and where something was written.
#[derive(Default)]
struct Search {
    secrets: Vec<(&'static str, String)>,
    /// Secrets that are no text.
    raw: Vec<(&'static str, Vec<u8>)>,
    places: Vec<(String, Vec<u8>)>,
}

impl Search {
    fn secret(&mut self, what: &'static str, text: &str) {
        assert!(text.len() >= 12, "{what} is too short to be looked for: {text}");
        self.secrets.push((what, text.to_owned()));
    }

    fn bytes(&mut self, what: &'static str, bytes: &[u8]) {
        assert!(bytes.len() >= 16, "{what} is too short to be looked for");
        self.raw.push((what, bytes.to_vec()));
    }

    fn place(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.places.push((name.into(), bytes.into()));
    }

    /// Notes an answer if it is an error.
    fn noted(&mut self, what: &'static str, answer: Answer) -> Answer {
        if answer.status.is_client_error() {
            self.place(format!("the answer to {what}"), format!("{answer:?}"));
        }
        answer
    }

    fn run(&self) {
        assert!(self.secrets.len() > 20 && self.places.len() > 12);
        for (place, bytes) in &self.places {
            for (what, secret) in &self.raw {
                for (form, needle) in forms_of_bytes(secret) {
                    assert!(find(bytes, &needle).is_none(), "{what} is in {place} ({form})");
                }
            }
            let carried = |what: &&str| place.starts_with("the answer to") && CARRIED.contains(what);
            for (what, secret) in self.secrets.iter().filter(|(what, _)| !carried(what)) {
                for (form, needle) in forms(secret) {
                    let at = find(bytes, &needle);
                    let around = at.map(|at| {
                        bytes[at.saturating_sub(200)..(at + 100).min(bytes.len())].escape_ascii().to_string()
                    });
                    assert!(at.is_none(), "{what} is in {place} ({form}):\n{}", around.unwrap_or_default());
                }
            }
        }
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, rest) = needle.split_first()?;
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| byte == first) {
        let start = from + at;
        if bytes[start + 1..].starts_with(rest) {
            return Some(start);
        }
        from = start + 1;
    }
    None
}

/// The shapes in which bytes may have been written; of base64 the middle, at each of the three places where it may begin.
fn forms_of_bytes(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let hex = secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut forms = vec![
        ("as they are", secret.to_vec()),
        ("in hexadecimal", hex.to_uppercase().into_bytes()),
        ("in hexadecimal", hex.into_bytes()),
    ];
    for skipped in 0..3 {
        let whole = (secret.len() - skipped) / 3 * 3;
        let inner = &secret[skipped..skipped + whole];
        forms.push(("in base64", STANDARD_NO_PAD.encode(inner).into_bytes()));
        forms.push(("in base64url", URL_SAFE_NO_PAD.encode(inner).into_bytes()));
    }
    forms
}

/// The shapes in which a text may have been written.
fn forms(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let hex = |upper: bool| {
        secret
            .bytes()
            .map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") })
            .collect::<String>()
    };
    let numbers: Vec<String> = secret.bytes().map(|byte| byte.to_string()).collect();
    let escaped: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    // Without the last characters, which depend on what follows.
    let encoded = |text: String| text.as_bytes()[..text.len() - 2].to_vec();
    vec![
        ("as it is", secret.as_bytes().to_vec()),
        ("percent-encoded", escaped.into_bytes()),
        ("in hexadecimal", hex(false).into_bytes()),
        ("in hexadecimal", hex(true).into_bytes()),
        ("in base64", encoded(STANDARD_NO_PAD.encode(secret))),
        ("in base64url", encoded(URL_SAFE_NO_PAD.encode(secret))),
        ("as a list of bytes", numbers.join(", ").into_bytes()),
    ]
}

#[test]
fn the_search_finds_a_secret_in_every_shape() {
    for (form, needle) in forms(PASSWORD) {
        assert!(
            find(&[b"before ".to_vec(), needle, b" after".to_vec()].concat(), &forms(PASSWORD)[0].1)
                .is_some()
                == (form == "as it is" || form == "percent-encoded")
        );
    }
    let text = format!("x{}y", STANDARD_NO_PAD.encode(format!("{PASSWORD}:more")));
    assert!(forms(PASSWORD).iter().any(|(_, needle)| find(text.as_bytes(), needle).is_some()));
    let bytes = format!("{:?}", PASSWORD.as_bytes());
    assert!(forms(PASSWORD).iter().any(|(_, needle)| find(bytes.as_bytes(), needle).is_some()));
    let raw = [0xff, 0x00, 0x91, 0x42].repeat(8);
    let text = format!("xy{}", STANDARD_NO_PAD.encode([&b"a"[..], &raw, b"bc"].concat()));
    assert!(forms_of_bytes(&raw).iter().any(|(_, needle)| find(text.as_bytes(), needle).is_some()));
    assert!(find(b"nothing of the kind", PASSWORD.as_bytes()).is_none());
}

on_both_engines! {
    async fn ac_61_ac_76_no_secret_is_written_anywhere(engine: Engine) {
        let mut search = Search::default();
        let mut program = Program::new(engine).await;
        program.set("KEYREEVE_LOG", "trace");
        let collector = Collector::start();
        program.set("KEYREEVE_OTLP_ENDPOINT", &collector.url());
        program.set("KEYREEVE_TRACE_SAMPLE_PERCENT", "100");
        program.set("KEYREEVE_ALLOW_PRIVATE_FETCH", "1");
        let mail = MailServer::start().await;
        program.set("KEYREEVE_SMTP_URL", &mail.url().replace("://", "://keys:Canary-mail-server-48@"));
        program.set("KEYREEVE_MAIL_FROM", "Keys <keys@id.example>");
        program.set("KEYREEVE_COMPAT_INSIGHT_ENABLED", "1");
        search.secret("the mail server's password", "Canary-mail-server-48");
        for field in [&program.made["admin"]["password"], &program.made["client"]["client_secret"]] {
            search.secret("what init printed", field.as_str().unwrap());
        }
        let key = std::fs::read_to_string(program.data().join("master.key")).unwrap();
        search.secret("the master key", key.trim());
        let cast = Cast::make(&program, &mut search);
        let role = vaulted::keep(&program, &mut search).await;
        let server = program.serve();
        people(&server, &cast, &mut search).await;
        clients(&server, &cast, &mut search).await;
        provision(&server, &cast, &mut search).await;
        letters::links(&program, &server, &mail, &mut search).await;
        insight::pair(&program, &server, &mut search).await;
        let webhook = letters::webhook(&program, &mut search);
        vaulted::use_them(&program, server.address, &role, &mut search).await;
        stores::elsewhere(&program, &mut search).await;
        let mut wire = Wire::open(server.address).await.unwrap();
        let metrics = wire.get("/metrics", "").await.unwrap().expect(200).body;
        assert!(metrics.contains("keyreeve_http_requests_total"));
        search.place("the metrics", metrics);
        for command in [
            &["user", "show", USER, "--json"][..],
            &["user", "list", "--json"],
            &["user", "sessions", USER, "--json"],
            &["user", "mail", USER, "--json"],
            &["user", "mail", "newcomer", "--json"],
            &["client", "list", "--json"],
            &["client", "show", "portal", "--json"],
            &["audit", "list", "--limit", "500", "--json"],
            &["config", "show", "--json"],
            &["tenant", "policy", "default", "--json"],
            &["webhook", "list", "--json"],
            &["webhook", "show", &webhook, "--json"],
            &["webhook", "deliveries", &webhook, "--json"],
            &["key", "list", "--json"],
            &["doctor", "--json"],
        ] {
            search.place(format!("what {command:?} prints"), program.run(command, "").to_string());
        }
        search.place("the traces", traces(&collector).await);
        let log = server.log();
        server.kill();
        assert!(log.contains("\"serving\""), "the log was not seen:\n{log}");
        assert!(!log.contains("$argon2id$"), "a password's hash is in the log");
        search.place("the log", log);
        stored(&program, engine, &mut search).await;
        search.run();
    }
}

/// What came to the collector of traces, once all that must be in a trace is there.
async fn traces(collector: &Collector) -> Vec<u8> {
    let wanted = [
        "keyreeve::request",
        "http.route",
        "store.read",
        "store.write",
        "password.hash",
        "code.file.path",
        "crates/identity/",
    ];
    for _ in 0..300 {
        let traces: Vec<u8> = collector.got().into_iter().flat_map(|posted| posted.body).collect();
        if wanted.iter().all(|text| find(&traces, text.as_bytes()).is_some()) {
            let heads: Vec<String> =
                collector.got().into_iter().map(|posted| posted.head.to_lowercase()).collect();
            assert!(
                heads
                    .iter()
                    .all(|head| head.starts_with("post /v1/traces ")
                        && head.contains("application/x-protobuf"))
            );
            return traces;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let traces: Vec<u8> = collector.got().into_iter().flat_map(|posted| posted.body).collect();
    let missing: Vec<&&str> = wanted.iter().filter(|text| find(&traces, text.as_bytes()).is_none()).collect();
    panic!("in {} bytes of traces there is no {missing:?}", traces.len());
}

/// Everything that the database holds.
async fn stored(program: &Program, engine: Engine, search: &mut Search) {
    let before = search.places.len();
    if let Some(database) = program.database() {
        let client = database.client().await;
        let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'";
        for table in client.query(tables, &[]).await.unwrap() {
            let name: String = table.get(0);
            let rows = client.query(&format!("SELECT row::text FROM \"{name}\" row"), &[]).await.unwrap();
            let text: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            search.place(format!("the table {name}"), text.join("\n"));
        }
    }
    for entry in std::fs::read_dir(program.data()).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_file() && name != "master.key" {
            search.place(format!("the file {name}"), std::fs::read(entry.path()).unwrap());
        }
    }
    let found = search.places[before..].iter().any(|(_, bytes)| find(bytes, USER.as_bytes()).is_some());
    assert!(found, "{engine}: the search does not see what is stored");
}

struct Cast {
    portal: Client,
    provisioner: Client,
    keyed: String,
    key: SigningKey,
}

impl Cast {
    fn make(program: &Program, search: &mut Search) -> Self {
        for name in [USER, "newcomer"] {
            let email = format!("{name}@example.org");
            let mut arguments =
                vec!["user", "create", "--username", name, "--email", &email, "--password-stdin", "--json"];
            if name != USER {
                arguments.push("--must-change-password");
            }
            program.run(&arguments, PASSWORD);
        }
        program.run(&["tenant", "policy", "default", "--set", "tokens.password_grant=true", "--json"], "");
        let grants = ["authorization_code", "refresh_token", "password", "client_credentials"];
        let grants = grants.iter().flat_map(|grant| ["--grant-type", grant]);
        let create = [
            "client",
            "create",
            "--json",
            "--name",
            "Portal",
            "--client-id",
            "portal",
            "--redirect-uri",
            CALLBACK,
        ];
        let made = program.run(&create.into_iter().chain(grants).collect::<Vec<_>>(), "");
        let portal =
            Client { id: "portal".to_owned(), secret: made["client_secret"].as_str().unwrap().to_owned() };
        let more = program.run(&["client", "add-secret", "portal", "--json"], "");
        let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
        let file = program.data().join("..").join("keys.json");
        std::fs::write(&file, json!({"keys": [key.public_jwk()]}).to_string()).unwrap();
        let create = [
            "client",
            "create",
            "--json",
            "--name",
            "Keyed",
            "--auth-method",
            "private_key_jwt",
            "--grant-type",
            "client_credentials",
            "--jwks-file",
        ];
        let keyed = program.run(&[&create[..], &[path(&file)]].concat(), "")["client_id"]
            .as_str()
            .unwrap()
            .to_owned();
        search.secret("a client's secret", &portal.secret);
        search.secret("a client's second secret", more["client_secret"].as_str().unwrap());
        for (what, secret) in [
            ("a password", PASSWORD),
            ("a new password", NEW_PASSWORD),
            ("a chosen password", CHOSEN_PASSWORD),
            ("a provisioned password", PROVISIONED_PASSWORD),
            ("a provisioned password, patched", PATCHED_PASSWORD),
            ("a provisioned password, replaced", REPLACED_PASSWORD),
            ("a provisioned password in the wrong place", MISPLACED_PASSWORD),
            ("a provisioned password that is refused", WEAK_PASSWORD),
            ("a password that was reset", RESET_PASSWORD),
            ("a wrong password", WRONG_PASSWORD),
            ("a wrong secret", WRONG_SECRET),
            ("a wrong token", WRONG_TOKEN),
            ("a code verifier", VERIFIER),
        ] {
            search.secret(what, secret);
        }
        let create = ["client", "create", "--json", "--name", "Provisioner", "--client-id", "provisioner"];
        let scope = ["--grant-type", "client_credentials", "--scope", "keyreeve:users:write"];
        let made = program.run(&[&create[..], &scope].concat(), "");
        let secret = made["client_secret"].as_str().unwrap().to_owned();
        search.secret("a client's secret", &secret);
        let provisioner = Client { id: "provisioner".to_owned(), secret };
        Self { portal, provisioner, keyed, key }
    }

    fn assertion(&self) -> String {
        let now = SystemClock.now().seconds();
        let issuer = crate::program::PUBLIC_URL;
        let claims: Value = json!({"iss": self.keyed, "sub": self.keyed, "aud": issuer, "exp": now + 60, "jti": "canary-jti"});
        sign_compact(&self.key, &Header::of_type("JWT"), &claims).unwrap()
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A person's way: wrong and right passwords, consent, a changed password, a chosen one.
async fn people(server: &Running, cast: &Cast, search: &mut Search) {
    let mut wire = Wire::open(server.address).await.unwrap();
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("client_id", "portal"),
            ("response_type", "code"),
            ("scope", "openid"),
            ("redirect_uri", CALLBACK),
            ("state", "s"),
            ("code_challenge", &challenge_of(VERIFIER)),
            ("code_challenge_method", "S256"),
        ])
        .finish();
    let begun = wire.get(&format!("/authorize?{query}"), "").await.unwrap().expect(303);
    let browser = begun.cookie("browser");
    let sign_in = own_path(&begun);
    search.secret("a sealed request", sign_in.split_once('=').unwrap().1);
    let page = wire.get(&sign_in, &browser).await.unwrap().expect(200);
    let form = fields(&page, "/signin");
    search.secret("a form's token", &value(&form, "csrf"));
    let wrong = wire
        .post("/signin", &browser, &with(&form, &[("username", USER), ("password", WRONG_PASSWORD)]))
        .await
        .unwrap();
    search.noted("a wrong password", wrong.expect(401));
    // A password in the wrong field.
    let slip = wire
        .post("/signin", &browser, &with(&form, &[("username", WRONG_PASSWORD), ("password", "x")]))
        .await
        .unwrap();
    assert_eq!(slip.status, 401);
    let stale = wire.post("/signin", &browser, &[("csrf", "x"), ("password", PASSWORD)]).await.unwrap();
    search.noted("a stale form", stale.expect(400));
    let done = wire
        .post("/signin", &browser, &with(&form, &[("username", USER), ("password", PASSWORD)]))
        .await
        .unwrap()
        .expect(303);
    let (session, device) = (done.cookie("session"), done.cookie("device"));
    for cookie in [&browser, &session, &device] {
        search.secret("a cookie", cookie.split_once('=').unwrap().1);
    }
    let cookies = format!("{browser}; {session}; {device}");
    let resumed = wire.get(&own_path(&done), &cookies).await.unwrap().expect(303);
    let page = wire.get(&own_path(&resumed), &cookies).await.unwrap().expect(200);
    let form = fields(&page, "/consent");
    let allowed =
        wire.post("/consent", &cookies, &with(&form, &[("decision", "allow")])).await.unwrap().expect(303);
    let location = url::Url::parse(allowed.location.as_deref().unwrap()).unwrap();
    let code = location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    search.secret("a code", &code);
    redeem(&mut wire, cast, &code, search).await;

    let page = wire.get("/password", &cookies).await.unwrap().expect(200);
    let form = fields(&page, "/password");
    let change = |current| {
        [("current_password", current), ("new_password", NEW_PASSWORD), ("repeat_password", NEW_PASSWORD)]
    };
    let wrong = wire.post("/password", &cookies, &with(&form, &change(WRONG_PASSWORD))).await.unwrap();
    search.noted("a wrong current password", wrong.expect(400));
    wire.post("/password", &cookies, &with(&form, &change(PASSWORD))).await.unwrap().expect(303);

    let page = wire.get("/signin", &browser).await.unwrap().expect(200);
    let form = fields(&page, "/signin");
    let forced = wire
        .post("/signin", &browser, &with(&form, &[("username", "newcomer"), ("password", PASSWORD)]))
        .await
        .unwrap()
        .expect(200);
    let form = fields(&forced, "/password");
    search.secret("a ticket", &value(&form, "ticket"));
    let short = wire
        .post("/password", &browser, &with(&form, &[("new_password", "short"), ("repeat_password", "short")]))
        .await
        .unwrap();
    search.noted("a password that is too short", short.expect(400));
    let choose = [("new_password", CHOSEN_PASSWORD), ("repeat_password", CHOSEN_PASSWORD)];
    let done = wire.post("/password", &browser, &with(&form, &choose)).await.unwrap().expect(303);
    search.secret("a cookie", done.cookie("session").split_once('=').unwrap().1);
}

/// Redeems a code, and uses and misuses what came of it.
async fn redeem(wire: &mut Wire, cast: &Cast, code: &str, search: &mut Search) {
    let form = |verifier| {
        [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", verifier),
        ]
    };
    let tokens = wire.call("/token", &cast.portal, &form(VERIFIER)).await.unwrap().expect(200);
    for name in ["access_token", "id_token", "refresh_token"] {
        search.secret("a token", &tokens.text(name));
    }
    // The signature alone is as good as the token to whoever knows the rest.
    search.secret("a signature", tokens.text("access_token").rsplit('.').next().unwrap());
    let refresh = tokens.text("refresh_token");
    let rotated = wire
        .call("/token", &cast.portal, &[("grant_type", "refresh_token"), ("refresh_token", &refresh)])
        .await
        .unwrap()
        .expect(200);
    search.secret("a rotated token", &rotated.text("refresh_token"));
    let access = rotated.text("access_token");
    search.secret("a token", &access);
    wire.post("/userinfo", "", &[("access_token", &access)]).await.unwrap().expect(200);
    let asked = wire.get(&format!("/userinfo?access_token={access}"), "").await.unwrap();
    search.noted("a token in a query", asked.expect(400));
    wire.call("/introspect", &cast.portal, &[("token", &access)]).await.unwrap().expect(200);
    wire.call("/revoke", &cast.portal, &[("token", &access)]).await.unwrap().expect(200);
    let gone = wire.post("/userinfo", "", &[("access_token", &access)]).await.unwrap();
    search.noted("a revoked token", gone.expect(401));
    let again = wire.call("/token", &cast.portal, &form(VERIFIER)).await.unwrap();
    search.noted("a code that is used again", again.expect(400));
    let again = wire
        .call("/token", &cast.portal, &[("grant_type", "refresh_token"), ("refresh_token", &refresh)])
        .await
        .unwrap();
    search.noted("a refresh token that is used again", again.expect(400));
    let bye = wire
        .get(
            &format!("/end-session?id_token_hint={}&post_logout_redirect_uri=x", tokens.text("id_token")),
            "",
        )
        .await
        .unwrap();
    search.noted("a sign-out that leads nowhere", bye.expect(400));
}

/// What clients send, right and wrong.
async fn clients(server: &Running, cast: &Cast, search: &mut Search) {
    let mut wire = Wire::open(server.address).await.unwrap();
    let impostor = Client { id: "portal".to_owned(), secret: WRONG_SECRET.to_owned() };
    let own = [("grant_type", "client_credentials")];
    let wrong = wire.call("/token", &impostor, &own).await.unwrap();
    search.noted("a wrong secret", wrong.expect(401));
    let in_form = [own[0], ("client_id", "portal"), ("client_secret", &cast.portal.secret)];
    let other = wire.post("/token", "", &in_form).await.unwrap();
    search.noted("a secret that is sent in another way", other.expect(401));
    let twice = [own[0], ("client_secret", WRONG_SECRET), ("client_secret", &cast.portal.secret)];
    let twice = wire.post("/token", "", &twice).await.unwrap();
    search.noted("a secret that is sent twice", twice.expect(400));
    let misread = Client { id: "portal".to_owned(), secret: format!("{WRONG_SECRET}%zz") };
    let misread = wire.call("/token", &misread, &own).await.unwrap();
    search.noted("a secret that cannot be read", misread.expect(401));
    // A secret in the place of a name.
    let swapped = Client { id: cast.portal.secret.clone(), secret: "portal".to_owned() };
    let swapped = wire.call("/token", &swapped, &own).await.unwrap();
    assert_eq!(swapped.status, 401);
    for token in [WRONG_TOKEN, "kr_ac_x"] {
        let unknown = wire
            .call("/token", &cast.portal, &[("grant_type", "refresh_token"), ("refresh_token", token)])
            .await
            .unwrap();
        search.noted("an unknown token", unknown.expect(400));
    }
    let assertion = cast.assertion();
    search.secret("an assertion", &assertion);
    let keyed = [own[0], ("client_assertion_type", ASSERTION_TYPE), ("client_assertion", &assertion)];
    wire.post("/token", "", &keyed).await.unwrap().expect(200);
    let replayed = wire.post("/token", "", &keyed).await.unwrap();
    search.noted("an assertion that is used again", replayed.expect(401));
    let grant = |password| [("grant_type", "password"), ("username", USER), ("password", password)];
    let wrong = wire.call("/token", &cast.portal, &grant(WRONG_PASSWORD)).await.unwrap();
    search.noted("a wrong password", wrong.expect(400));
    let right = wire.call("/token", &cast.portal, &grant(NEW_PASSWORD)).await.unwrap().expect(200);
    search.secret("a token", &right.text("access_token"));
}

/// Passwords that another system sets, where they belong and where they do not.
async fn provision(server: &Running, cast: &Cast, search: &mut Search) {
    const USERS: &str = "/scim/v2/default/Users";
    let mut wire = Wire::open(server.address).await.unwrap();
    let form = [("grant_type", "client_credentials")];
    let token = wire.call("/token", &cast.provisioner, &form).await.unwrap().expect(200).text("access_token");
    search.secret("a token", &token);
    let schemas = json!(["urn:ietf:params:scim:schemas:core:2.0:User"]);
    let user =
        |name: &str, password: &str| json!({"schemas": schemas, "userName": name, "password": password});
    let made = user("provisioned", PROVISIONED_PASSWORD).to_string();
    let made = wire.send((Method::POST, USERS), &token, &made).await.unwrap().expect(201);
    search.place("what a provisioned user is answered with", made.body.clone());
    let path = format!("{USERS}/{}", made.text("id"));
    let patch = |operation: Value| {
        let schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"];
        json!({"schemas": schemas, "Operations": [operation]}).to_string()
    };
    let replace = |path: &str, value: &str| patch(json!({"op": "replace", "path": path, "value": value}));
    let patched = replace("password", PATCHED_PASSWORD);
    let done = wire.send((Method::PATCH, &path), &token, &patched).await.unwrap().expect(200);
    search.place("what a patched user is answered with", done.body);
    let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [
        {"method": "PUT", "path": path.trim_start_matches("/scim/v2/default"),
            "data": user("provisioned", REPLACED_PASSWORD)},
        {"method": "POST", "path": "/Users", "bulkId": "weak", "data": user("weak", WEAK_PASSWORD)},
    ]});
    let bulk = wire.send((Method::POST, "/scim/v2/default/Bulk"), &token, &bulk.to_string()).await.unwrap();
    let statuses: Vec<Value> =
        bulk.json()["Operations"].as_array().unwrap().iter().map(|done| done["status"].clone()).collect();
    assert_eq!(statuses, ["200", "400"], "{bulk:?}");
    search.place("the answer to a bulk request", bulk.body);

    let mut misplaced = user("provisioned", MISPLACED_PASSWORD);
    misplaced["passwd"] = MISPLACED_PASSWORD.into();
    let unclosed = user("provisioned", MISPLACED_PASSWORD).to_string().replace('}', "");
    let listed = json!({"schemas": schemas, "userName": "listed", "password": [MISPLACED_PASSWORD]});
    for (what, method, path, document) in [
        ("a weak password", Method::POST, USERS, user("weak", WEAK_PASSWORD).to_string()),
        ("a weak password that is patched", Method::PATCH, path.as_str(), replace("password", WEAK_PASSWORD)),
        ("an unknown attribute", Method::PUT, path.as_str(), misplaced.to_string()),
        ("a document that is not whole", Method::POST, USERS, unclosed),
        ("a list of passwords", Method::POST, USERS, listed.to_string()),
        (
            "a path below a password",
            Method::PATCH,
            path.as_str(),
            replace("password.value", MISPLACED_PASSWORD),
        ),
        (
            "an operation of another kind",
            Method::PATCH,
            path.as_str(),
            patch(json!({"op": MISPLACED_PASSWORD, "path": "password", "value": "x"})),
        ),
    ] {
        let answer = wire.send((method, path), &token, &document).await.unwrap();
        search.noted(what, answer.expect(400));
    }
    let asked = [("filter", format!("password eq \"{REPLACED_PASSWORD}\""))];
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(asked).finish();
    let answer = wire.send((Method::GET, &format!("{USERS}?{query}")), &token, "").await.unwrap();
    search.noted("a filter by a password", answer.expect(400));
    for right in [REPLACED_PASSWORD, PATCHED_PASSWORD] {
        let form = [("grant_type", "password"), ("username", "provisioned"), ("password", right)];
        let status = if right == REPLACED_PASSWORD { 200 } else { 400 };
        let answer = wire.call("/token", &cast.portal, &form).await.unwrap().expect(status);
        search.noted("a provisioned password", answer);
    }
}

/// The path in a redirect to this server.
fn own_path(answer: &Answer) -> String {
    let location = answer.location.as_deref().unwrap();
    location.strip_prefix(crate::program::PUBLIC_URL).unwrap_or_else(|| panic!("{location}")).to_owned()
}

/// The fields of a form of a page.
fn fields(answer: &Answer, action: &str) -> Vec<(String, String)> {
    let form = Page::parse(&answer.body).form(action);
    form.fields.into_iter().filter(|(name, _)| !name.contains("password") && name != "username").collect()
}

fn value(fields: &[(String, String)], name: &str) -> String {
    fields.iter().find(|(known, _)| known == name).unwrap().1.clone()
}

fn with<'a>(fields: &'a [(String, String)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(more.iter().copied()).collect()
}
