//! The device grant (RFC 8628), from the device's first question to its tokens.

use keyreeve_acceptance::{Answer, Browser, Mount, PASSWORD, Server, TestClient, TokenSet, on_a_server};
use keyreeve_identity::StateChange;
use keyreeve_tokens::clients::GrantType;

pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A device that was told its codes.
pub struct Device {
    mount: Mount,
    client: TestClient,
    pub code: String,
    user_code: String,
    complete: String,
}

impl Device {
    pub async fn begin(mount: &Mount, client: &TestClient, scope: &str) -> Self {
        Self::begin_for(mount, client, scope, &[]).await
    }

    /// For these resources.
    pub async fn begin_for(mount: &Mount, client: &TestClient, scope: &str, resources: &[&str]) -> Self {
        let form: Vec<_> = resources.iter().map(|resource| ("resource", *resource)).collect();
        let form = [&[("scope", scope)], form.as_slice()].concat();
        let answer = mount.post_as(client, "/device_authorization", &form).send().await.expect(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let json = answer.json();
        let text = |name: &str| json[name].as_str().unwrap_or_else(|| panic!("{name}\n{answer}")).to_owned();
        assert_eq!(text("verification_uri"), format!("{}/device", mount.issuer()));
        assert_eq!((json["expires_in"].as_i64(), json["interval"].as_i64()), (Some(600), Some(5)));
        Self {
            mount: mount.clone(),
            client: client.clone(),
            code: text("device_code"),
            user_code: text("user_code"),
            complete: text("verification_uri_complete"),
        }
    }

    async fn ask(&self) -> Answer {
        self.ask_as(&self.client).await
    }

    async fn ask_as(&self, client: &TestClient) -> Answer {
        self.mount.token(client, &[("grant_type", DEVICE_CODE), ("device_code", &self.code)]).await
    }

    /// The page on which the code is decided on, at a browser where somebody is signed in.
    async fn found(&self, browser: &Browser) -> Answer {
        type_code(&self.mount, browser, &self.user_code).await.expect(200)
    }

    pub async fn decide(&self, browser: &Browser, word: &str) -> Answer {
        let form = self.found(browser).await.page().form(&format!("{}/device/decision", self.mount.prefix()));
        browser.submit(&form.press("decision", word)).await
    }
}

async fn type_code(mount: &Mount, browser: &Browser, code: &str) -> Answer {
    let browser = browser.at(mount);
    let page = browser.get("/device").send().await.expect(200).page();
    browser.submit(&page.form(&format!("{}/device", mount.prefix())).with("user_code", code)).await
}

async fn tv(mount: &Mount) -> TestClient {
    let client = mount.client("tv").public().scopes("openid profile films:watch offline_access");
    client.grants(&[GrantType::DeviceCode, GrantType::RefreshToken]).create().await
}

pub async fn signed_in(mount: &Mount, name: &str) -> Browser {
    let browser = mount.browser();
    browser.sign_in(name).await;
    browser
}

on_a_server! {
    async fn a_device_gets_its_tokens_when_its_user_has_allowed_it(server: &Server) {
        let acme = server.tenant("acme").create().await;
        for mount in [&**server, &acme] {
            let ada = mount.user("ada").create().await;
            let tv = tv(mount).await;
            let device = Device::begin(mount, &tv, "openid profile").await;
            device.ask().await.refused(400, "authorization_pending");
            // From the code on paper, through the sign-in, to the question.
            let browser = mount.browser();
            let answer = browser.get(&device.complete).send().await;
            let answer = browser.follow(answer).await.expect(200);
            let sign_in = answer.page().form(&format!("{}/signin", mount.prefix()));
            let answer = browser.submit(&sign_in.with("username", "ada").with("password", PASSWORD)).await;
            let answer = browser.follow(answer).await.expect(200);
            let form = answer.page().form(&format!("{}/device", mount.prefix()));
            assert_eq!(form.get("user_code"), Some(device.user_code.as_str()), "it is filled in");
            let answer = browser.submit(&form).await.expect(200);
            let page = answer.page();
            for shown in ["Application tv", "See your profile", device.user_code.as_str(), "127.0.0.1"] {
                assert!(page.text.contains(shown), "{shown}\n{answer}");
            }
            server.advance(5);
            device.ask().await.refused(400, "authorization_pending");
            let form = page.form(&format!("{}/device/decision", mount.prefix()));
            let done = browser.submit(&form.press("decision", "allow")).await.expect(200);
            assert!(done.page().title.contains("connected"), "{done}");
            let tokens = TokenSet::read(&device.ask().await);
            let id = tokens.id_token(mount).await;
            assert_eq!(id.claims["sub"], ada.sub().as_str());
            assert_eq!(id.claims["aud"], "tv");
            assert_eq!(tokens.json["scope"], "openid profile");
            mount.userinfo(&tokens.access).await.check(200);
            let next = mount.refresh(&tv, tokens.refresh()).await;
            assert!(next.refresh.is_some());
            let log = mount.audited("device.allow").await;
            assert_eq!(log.len(), 1);
            assert_eq!(mount.audited("admission.device").await.len(), 1);
        }
    }

    async fn rfc8628_section_3_5_errors(server: &Server) {
        server.user("ada").create().await;
        let tv = tv(server).await;
        let browser = signed_in(server, "ada").await;
        let device = Device::begin(server, &tv, "openid").await;
        device.ask().await.refused(400, "authorization_pending");
        device.ask().await.refused(400, "slow_down");
        server.advance(6);
        device.ask().await.refused(400, "slow_down");
        // Each slow_down adds five seconds to every pause from then on.
        server.advance(14);
        device.ask().await.refused(400, "authorization_pending");
        server.advance(10);
        device.ask().await.refused(400, "slow_down");

        let denied = device.decide(&browser, "deny").await.expect(200);
        assert!(denied.page().title.contains("turned away"), "{denied}");
        server.advance(60);
        device.ask().await.refused(400, "access_denied");
        device.ask().await.refused(400, "access_denied");

        let late = Device::begin(server, &tv, "openid").await;
        let page = late.found(&browser).await.page();
        server.advance(600);
        late.ask().await.refused(400, "expired_token");
        let form = page.form("/device/decision").press("decision", "allow");
        let answer = browser.submit(&form).await.expect(400);
        assert!(answer.page().title.contains("no longer"), "{answer}");
        late.ask().await.refused(400, "expired_token");
        type_code(server, &browser, &late.user_code).await.check(400);
    }

    async fn rfc8628_section_3_1_requests(server: &Server) {
        let tv = tv(server).await;
        let begin = async |form: &[(&str, &str)]| server.post_as(&tv, "/device_authorization", form).send().await;
        begin(&[("scope", "unheard-of")]).await.refused(400, "invalid_scope");
        begin(&[("scope", "a\"b")]).await.refused(400, "invalid_scope");
        begin(&[("scope", "openid"), ("scope", "profile")]).await.refused(400, "invalid_request");
        begin(&[]).await.check(200);
        let portal = server.client("portal").web_app().create().await;
        server.post_as(&portal, "/device_authorization", &[]).send().await.refused(400, "unauthorized_client");
        let form = [("grant_type", DEVICE_CODE), ("device_code", "x")];
        server.token(&portal, &form).await.refused(400, "unauthorized_client");
        server.token(&tv, &form).await.refused(400, "invalid_grant");
        server.token(&tv, &[("grant_type", DEVICE_CODE)]).await.refused(400, "invalid_request");
        server.post("/device_authorization").form(&[("client_id", "nobody")]).send().await.refused(401, "invalid_client");
        let metadata = server.get("/.well-known/openid-configuration").send().await.expect(200).json();
        assert_eq!(metadata["device_authorization_endpoint"], format!("{}/device_authorization", server.issuer()));
        assert!(metadata["grant_types_supported"].to_string().contains(DEVICE_CODE));
        // Without a scope: everything but access that outlives the session.
        let browser = { server.user("ada").create().await; signed_in(server, "ada").await };
        let device = Device::begin(server, &tv, "").await;
        device.decide(&browser, "allow").await.check(200);
        let tokens = TokenSet::read(&device.ask().await);
        assert_eq!(tokens.json["scope"], "films:watch openid profile");
    }

    async fn a_code_is_taken_in_any_spelling(server: &Server) {
        server.user("ada").create().await;
        let tv = tv(server).await;
        let browser = signed_in(server, "ada").await;
        let device = Device::begin(server, &tv, "openid").await;
        let bare = device.user_code.replace('-', "");
        for typed in [bare.clone(), bare.to_lowercase(), format!(" {} ", bare.to_lowercase()), device.user_code.clone()] {
            type_code(server, &browser, &typed).await.check(200);
        }
        let answer = type_code(server, &browser, "").await.expect(400);
        assert!(answer.page().text.contains("Enter the code"), "{answer}");
        for wrong in ["BCDF-GHJ", "AAAA-AAAA", "<script>", &"B".repeat(100)] {
            let answer = type_code(server, &browser, wrong).await.expect(400);
            assert!(answer.page().text.contains("No device waits"), "{answer}");
        }
    }

    async fn access_goes_on_without_the_session_only_where_that_was_asked_for(server: &Server) {
        server.user("ada").create().await;
        let tv = tv(server).await;
        let browser = signed_in(server, "ada").await;
        let bound = Device::begin(server, &tv, "openid").await;
        bound.decide(&browser, "allow").await.check(200);
        let bound = TokenSet::read(&bound.ask().await);
        let free = Device::begin(server, &tv, "openid offline_access").await;
        let page = free.found(&browser).await;
        assert!(page.page().text.contains("while you are away"), "{page}");
        free.decide(&browser, "allow").await.check(200);
        let free = TokenSet::read(&free.ask().await);
        // Allowed, and not yet fetched when the session ends.
        let waiting = Device::begin(server, &tv, "openid").await;
        waiting.decide(&browser, "allow").await.check(200);
        browser.sign_out().await;
        waiting.ask().await.refused(400, "invalid_grant");
        server.try_refresh(&tv, bound.refresh()).await.refused(400, "invalid_grant");
        server.userinfo(&bound.access).await.check(401);
        server.refresh(&tv, free.refresh()).await;
        server.userinfo(&free.access).await.check(200);
    }

    async fn ac_15_whoever_is_disabled_meanwhile_gets_nothing(server: &Server) {
        let ada = server.user("ada").create().await;
        let tv = tv(server).await;
        let browser = signed_in(server, "ada").await;
        let device = Device::begin(server, &tv, "openid offline_access").await;
        device.decide(&browser, "allow").await.check(200);
        ada.change(StateChange::Disable).await;
        device.ask().await.refused(400, "invalid_grant");
        assert_eq!(server.refusals("admission.device").await, ["user_disabled"]);
        let other = Device::begin(server, &tv, "openid").await;
        tv.set(|settings| settings.enabled = false).await;
        other.ask().await.refused(401, "invalid_client");
    }

    async fn ac_17_of_many_devices_with_one_code_one_gets_the_tokens(server: &Server) {
        server.user("ada").create().await;
        let tv = tv(server).await;
        let browser = signed_in(server, "ada").await;
        let device = Device::begin(server, &tv, "openid").await;
        device.decide(&browser, "allow").await.check(200);
        let ask = || device.ask();
        let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
        let answers = [a, b, c, d];
        let won = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(won, 1);
        for lost in answers.iter().filter(|answer| answer.status != 200) {
            lost.refused(400, "invalid_grant");
        }
        device.ask().await.refused(400, "invalid_grant");
    }

    async fn ac_34_a_device_code_is_its_clients_and_its_tenants(server: &Server) {
        let acme = server.tenant("acme").create().await;
        let (tv, theirs) = (tv(server).await, tv(&acme).await);
        let other = server.client("other").public().scopes("openid").grants(&[GrantType::DeviceCode]).create().await;
        let device = Device::begin(server, &tv, "openid").await;
        device.ask_as(&other).await.refused(400, "invalid_grant");
        let form = [("grant_type", DEVICE_CODE), ("device_code", device.code.as_str())];
        acme.token(&theirs, &form).await.refused(400, "invalid_grant");
        let as_refresh = server.try_refresh(&tv, &device.code).await;
        as_refresh.refused(400, "invalid_grant");
        acme.user("ada").create().await;
        let browser = signed_in(&acme, "ada").await;
        type_code(&acme, &browser, &device.user_code).await.check(400);
        device.ask().await.refused(400, "authorization_pending");
    }

    async fn ac_14_a_decision_belongs_to_the_browser_and_session_that_was_asked(server: &Server) {
        server.user("ada").create().await;
        server.user("eve").create().await;
        let tv = tv(server).await;
        let (ada, eve) = (signed_in(server, "ada").await, signed_in(server, "eve").await);
        let device = Device::begin(server, &tv, "openid").await;
        let hers = device.found(&ada).await.page().form("/device/decision").press("decision", "allow");
        // Eve brings Ada's question with a form token of her own.
        let own = device.found(&eve).await.page().form("/device/decision");
        let mixed = hers.clone().with("csrf", own.get("csrf").unwrap());
        let answer = eve.submit(&mixed).await.expect(400);
        assert!(answer.page().title.contains("no longer"), "{answer}");
        // Without a form token, and without an answer, nothing is decided.
        ada.submit(&hers.clone().without("csrf")).await.check(400);
        ada.submit(&hers.clone().without("decision")).await.check(400);
        // Somebody else signs in at Ada's browser.
        ada.sign_out().await;
        ada.sign_in("eve").await;
        ada.submit(&hers).await.check(400);
        device.ask().await.refused(400, "authorization_pending");
        assert!(server.audited("device.allow").await.is_empty());
    }

    async fn ac_24_codes_cannot_be_found_by_trying(server: &Server) {
        server.user("ada").create().await;
        server.user("eve").create().await;
        server.set_settings(|settings| settings.throttle.name_failures = 10).await;
        let tv = tv(server).await;
        let device = Device::begin(server, &tv, "openid").await;
        let eve = signed_in(server, "eve").await;
        for n in 0..9_u8 {
            let guess = format!("BCDFGHJ{}", char::from(b'B' + n));
            let answer = type_code(server, &eve, &guess).await;
            assert!(answer.status == 400 || guess == device.user_code.replace('-', ""), "{answer}");
        }
        type_code(server, &eve, "BCDFGHKK").await.check(400);
        let blocked = type_code(server, &eve, &device.user_code).await.expect(429);
        assert!(blocked.header("retry-after").is_some(), "{blocked}");
        // Others go on, and their right codes do not count.
        let ada = signed_in(server, "ada").await;
        for _ in 0..12 {
            type_code(server, &ada, &device.user_code).await.check(200);
        }
        server.advance(901);
        type_code(server, &eve, "BCDFGHKK").await.check(400);
    }

    async fn whoever_is_nobody_cannot_fill_the_table(server: &Server) {
        server.set_settings(|settings| settings.throttle.address_failures = 5).await;
        let tv = tv(server).await;
        let begin = async || server.post_as(&tv, "/device_authorization", &[]).send().await;
        for _ in 0..5 {
            begin().await.check(200);
        }
        begin().await.refused(429, "temporarily_unavailable");
        let trusted = server.client("box").confidential().scopes("openid").grants(&[GrantType::DeviceCode]).create().await;
        server.post_as(&trusted, "/device_authorization", &[]).send().await.check(200);
    }

    async fn ac_51_the_page_shows_names_as_text(server: &Server) {
        server.user("ada").create().await;
        let tv = tv(server).await;
        tv.set(|settings| settings.name = "<img src=x onerror=alert(1)>".to_owned()).await;
        let browser = signed_in(server, "ada").await;
        let device = Device::begin(server, &tv, "openid").await;
        let answer = device.found(&browser).await;
        assert!(!answer.text().contains("<img src=x"), "{answer}");
        assert!(answer.page().text.contains("<img src=x"), "{answer}");
        let reflected = browser.get("/device").query(&[("user_code", "\"><script>alert(1)</script>")]).send().await;
        assert!(!reflected.text().contains("<script>alert"), "{reflected}");
    }

    async fn the_page_speaks_german(server: &Server) {
        server.user("ada").create().await;
        let tv = tv(server).await;
        let browser = server.browser().sending("accept-language", "de");
        browser.sign_in("ada").await;
        let device = Device::begin(server, &tv, "openid").await;
        let page = device.found(&browser).await.page();
        assert_eq!(page.lang, "de");
        assert!(page.title.contains("zulassen"), "{}", page.title);
    }
}
