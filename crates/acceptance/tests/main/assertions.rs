//! The JWT bearer grant (RFC 7523 section 2.1): an issuer that the tenant trusts vouches for a user.

use keyreeve_acceptance::{
    Answer, Mount, Server, StandIn, TestClient, jwt, on_a_server, on_a_server_that_fetches,
};
use keyreeve_crypto::jws::{Header, sign_compact};
use keyreeve_crypto::sign::{Algorithm, SigningKey};
use keyreeve_identity::{Cause, StateChange};
use keyreeve_tokens::clients::GrantType;
use keyreeve_tokens::issuers::{IssuerSettings, SubjectField, SubjectMapping, TrustedIssuer};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

pub const BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ISSUER: &str = "https://idp.example";

/// An identity provider of somebody else.
pub struct Idp {
    mount: Mount,
    key: SigningKey,
    count: AtomicU64,
}

impl Idp {
    fn new(mount: &Mount) -> Self {
        let key = SigningKey::generate(Algorithm::Es256).expect("a key");
        Self { mount: mount.clone(), key, count: AtomicU64::new(0) }
    }

    /// The tenant trusts it.
    pub async fn trusted(mount: &Mount, change: impl FnOnce(&mut IssuerSettings)) -> (Self, TrustedIssuer) {
        let idp = Self::new(mount);
        let mut settings = IssuerSettings {
            jwks: vec![idp.key.public_jwk().clone()],
            clients: vec!["bridge".to_owned()],
            scopes: "profile read".parse().expect("scopes"),
            ..IssuerSettings::default()
        };
        change(&mut settings);
        let made = mount.tokens().issuers().create(mount.id(), (ISSUER, settings), &Cause::operator()).await;
        (idp, made.expect("an issuer"))
    }

    fn claims(&self) -> Value {
        let now = self.mount.now().seconds();
        let jti = self.count.fetch_add(1, Ordering::SeqCst).to_string();
        json!({"iss": ISSUER, "sub": "ada", "aud": self.mount.issuer(), "iat": now, "exp": now + 60, "jti": jti})
    }

    pub fn say(&self, changes: &Value) -> String {
        let mut claims = self.claims();
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        let header = Header { typ: "JWT", kid: Some(self.key.kid()) };
        sign_compact(&self.key, &header, &claims).expect("a signature")
    }
}

async fn bridge(mount: &Mount, name: &str) -> TestClient {
    let client = mount.client(name).confidential().grants(&[GrantType::JwtBearer]);
    client.scopes("openid profile read offline_access write").create().await
}

async fn bring(mount: &Mount, client: &TestClient, assertion: &str) -> Answer {
    mount.token(client, &[("grant_type", BEARER), ("assertion", assertion)]).await
}

on_a_server! {
    async fn an_assertion_leads_to_a_token_about_its_user(server: &Server) {
        let acme = server.tenant("acme").create().await;
        for mount in [&**server, &acme] {
            let ada = mount.user("ada").create().await;
            let (idp, _) = Idp::trusted(mount, |_| ()).await;
            let bridge = bridge(mount, "bridge").await;
            let answer = bring(mount, &bridge, &idp.say(&json!({}))).await.expect(200);
            let json = answer.json();
            assert!(json.get("refresh_token").is_none() && json.get("id_token").is_none(), "{answer}");
            assert_eq!(json["scope"], "profile read", "what both allow");
            let text = json["access_token"].as_str().unwrap();
            let token = jwt::verify(mount, text).await;
            assert_eq!((&token.claims["sub"], &token.claims["client_id"]), (&ada.sub().into(), &"bridge".into()));
            assert!(mount.is_active(&bridge, text).await);
            // It ends like any other: by its client, and with its user.
            let other = bring(mount, &bridge, &idp.say(&json!({"aud": format!("{}/token", mount.issuer())}))).await.expect(200).json();
            let other = other["access_token"].as_str().unwrap().to_owned();
            mount.post_as(&bridge, "/revoke", &[("token", text)]).send().await.check(200);
            assert!(!mount.is_active(&bridge, text).await && mount.is_active(&bridge, &other).await);
            ada.change(StateChange::Disable).await;
            assert!(!mount.is_active(&bridge, &other).await);
            assert_eq!(mount.audited("admission.assertion").await.len(), 2);
        }
    }

    async fn rfc7521_section_4_1_errors(server: &Server) {
        server.user("ada").create().await;
        let (idp, _) = Idp::trusted(server, |_| ()).await;
        let (bridge, other) = (bridge(server, "bridge").await, bridge(server, "other").await);
        let now = server.now().seconds();
        for changes in [
            json!({"iss": "https://evil.example"}),
            json!({"aud": "https://other.example"}),
            json!({"aud": [server.issuer(), "https://other.example"]}),
            json!({"exp": now - 31}),
            json!({"exp": now + 400}),
            json!({"nbf": now + 60}),
            json!({"jti": ""}),
            json!({"sub": "nobody"}),
            json!({"sub": ""}),
        ] {
            let answer = bring(server, &bridge, &idp.say(&changes)).await;
            assert!(answer.status == 400, "{changes}\n{answer}");
            answer.refused(400, "invalid_grant");
        }
        for text in ["x", "a.b.c", ""] {
            let answer = bring(server, &bridge, text).await;
            answer.refused(400, if text.is_empty() { "invalid_request" } else { "invalid_grant" });
        }
        bring(server, &other, &idp.say(&json!({}))).await.refused(400, "invalid_grant");
        let portal = server.client("portal").web_app().create().await;
        bring(server, &portal, &idp.say(&json!({}))).await.refused(400, "unauthorized_client");
        let form = [("grant_type", BEARER), ("assertion", &*idp.say(&json!({}))), ("scope", "write")];
        server.token(&bridge, &form).await.refused(400, "invalid_scope");
        let reasons = server.refusals("admission.assertion").await;
        for reason in ["issuer_not_trusted", "issuer_not_trusted_for_this_client", "assertion_about_nobody_here", "assertion_unreadable"] {
            assert!(reasons.iter().any(|known| known == reason), "{reason} in {reasons:?}");
        }
    }

    async fn ac_15_an_assertion_admits_nobody_who_is_not(server: &Server) {
        let ada = server.user("ada").create().await;
        server.user("bob").must_change_password().create().await;
        let (idp, issuer) = Idp::trusted(server, |_| ()).await;
        let bridge = bridge(server, "bridge").await;
        bring(server, &bridge, &idp.say(&json!({"sub": "bob"}))).await.refused(400, "invalid_grant");
        ada.change(StateChange::Disable).await;
        bring(server, &bridge, &idp.say(&json!({}))).await.refused(400, "invalid_grant");
        assert_eq!(server.refusals("admission.assertion").await, ["password_change_required", "user_disabled"]);
        ada.change(StateChange::Enable).await;
        bring(server, &bridge, &idp.say(&json!({}))).await.check(200);
        // An issuer that is switched off, or gone, is believed no longer.
        let off = IssuerSettings { enabled: false, ..issuer.settings.clone() };
        let issuer = server.tokens().issuers().update(&issuer, off, &Cause::operator()).await.expect("a change");
        bring(server, &bridge, &idp.say(&json!({}))).await.refused(400, "invalid_grant");
        server.tokens().issuers().delete(server.id(), issuer.id, &Cause::operator()).await.expect("removed");
        bring(server, &bridge, &idp.say(&json!({}))).await.refused(400, "invalid_grant");
    }

    async fn ac_32_ac_17_an_assertion_of_an_issuer_is_used_once(server: &Server) {
        server.user("ada").create().await;
        let (idp, _) = Idp::trusted(server, |_| ()).await;
        let bridge = bridge(server, "bridge").await;
        let assertion = idp.say(&json!({}));
        let bring_it = || bring(server, &bridge, &assertion);
        let (a, b, c, d) = tokio::join!(bring_it(), bring_it(), bring_it(), bring_it());
        let won = [&a, &b, &c, &d].iter().filter(|answer| answer.status == 200).count();
        assert_eq!(won, 1);
        bring_it().await.refused(400, "invalid_grant");
        assert!(server.refusals("admission.assertion").await.contains(&"assertion_replayed".to_owned()));
    }

    async fn ac_34_an_issuer_of_one_tenant_is_nobody_in_another(server: &Server) {
        let acme = server.tenant("acme").create().await;
        acme.user("ada").create().await;
        server.user("ada").create().await;
        let (idp, _) = Idp::trusted(server, |_| ()).await;
        let theirs = bridge(&acme, "bridge").await;
        let assertion = idp.say(&json!({"aud": acme.issuer()}));
        bring(&acme, &theirs, &assertion).await.refused(400, "invalid_grant");
        // Our own tokens are no assertions.
        let ours = bridge(server, "bridge").await;
        let good = bring(server, &ours, &idp.say(&json!({}))).await.expect(200).json();
        bring(server, &ours, good["access_token"].as_str().unwrap()).await.refused(400, "invalid_grant");
    }

    async fn ac_49_only_a_verified_address_names_a_user(server: &Server) {
        server.user("ada").email("ada@example.org").create().await;
        server.user("eve").profile(|profile| profile.email = Some("eve@example.org".to_owned())).create().await;
        let by_email = SubjectMapping { claim: "email".to_owned(), field: SubjectField::Email };
        let (idp, _) = Idp::trusted(server, |settings| settings.subject = by_email).await;
        let bridge = bridge(server, "bridge").await;
        bring(server, &bridge, &idp.say(&json!({"email": "ADA@example.org"}))).await.check(200);
        for other in ["eve@example.org", "ada", "nobody@example.org"] {
            bring(server, &bridge, &idp.say(&json!({"email": other}))).await.refused(400, "invalid_grant");
        }
        assert!(server.refusals("admission.assertion").await.contains(&"assertion_about_an_unverified_address".to_owned()));
    }

    async fn an_attribute_names_one_user_or_nobody(server: &Server) {
        let number = |profile: &mut keyreeve_identity::Profile, number: &str| {
            profile.attributes.insert("number".to_owned(), vec![number.to_owned()]);
        };
        let ada = server.user("ada").profile(|profile| number(profile, "7")).create().await;
        server.user("bob").profile(|profile| number(profile, "8")).create().await;
        server.user("eve").profile(|profile| number(profile, "8")).create().await;
        let by_number = SubjectMapping { claim: "emp".to_owned(), field: SubjectField::Attribute("number".to_owned()) };
        let (idp, _) = Idp::trusted(server, |settings| settings.subject = by_number).await;
        let bridge = bridge(server, "bridge").await;
        let answer = bring(server, &bridge, &idp.say(&json!({"emp": "7"}))).await.expect(200).json();
        let token = jwt::verify(server, answer["access_token"].as_str().unwrap()).await;
        assert_eq!(token.claims["sub"], ada.sub().as_str());
        bring(server, &bridge, &idp.say(&json!({"emp": "8"}))).await.refused(400, "invalid_grant");
        bring(server, &bridge, &idp.say(&json!({"emp": "9"}))).await.refused(400, "invalid_grant");
        bring(server, &bridge, &idp.say(&json!({}))).await.refused(400, "invalid_grant");
    }

    async fn ac_50_keys_inside_are_not_fetched(server: &Server) {
        let them = StandIn::start().await;
        server.user("ada").create().await;
        let idp = Idp::new(server);
        for uri in [them.url("/jwks"), "https://169.254.169.254/jwks".to_owned(), "file:///etc/passwd".to_owned()] {
            let settings = IssuerSettings { jwks_uri: Some(uri.clone()), clients: vec!["bridge".to_owned()], ..IssuerSettings::default() };
            let made = server.tokens().issuers().create(server.id(), (ISSUER, settings), &Cause::operator()).await;
            assert!(made.is_err(), "{uri}");
        }
        let bridge = bridge(server, "bridge").await;
        bring(server, &bridge, &idp.say(&json!({}))).await.refused(400, "invalid_grant");
        assert!(them.rest().await.is_empty());
    }
}

on_a_server_that_fetches! {
    async fn published_keys_are_fetched_kept_and_fetched_anew(server: &Server) {
        server.user("ada").create().await;
        let them = StandIn::start().await;
        let uri = them.url("/jwks");
        let (mut idp, _) = Idp::trusted(server, |settings| {
            settings.jwks.clear();
            settings.jwks_uri = Some(uri);
        })
        .await;
        let bridge = bridge(server, "bridge").await;
        let publish = |keys: &[&SigningKey]| {
            let keys: Vec<Value> = keys.iter().map(|key| json!(key.public_jwk())).chain([json!({"kty": "oct"})]).collect();
            them.answer(200, &[("content-type", "application/json")], &json!({"keys": keys}).to_string());
        };
        them.answer(500, &[], "");
        bring(server, &bridge, &idp.say(&json!({}))).await.refused(400, "invalid_grant");
        publish(&[&idp.key]);
        bring(server, &bridge, &idp.say(&json!({}))).await.refused(400, "invalid_grant");
        assert_eq!(them.rest().await.len(), 1, "not asked again at once");
        server.advance(31);
        bring(server, &bridge, &idp.say(&json!({}))).await.check(200);
        bring(server, &bridge, &idp.say(&json!({}))).await.check(200);
        assert_eq!(them.rest().await.len(), 1, "kept");
        // A new key is looked for when it is first named.
        let former = std::mem::replace(&mut idp.key, SigningKey::generate(Algorithm::Es256).expect("a key"));
        publish(&[&former, &idp.key]);
        server.advance(31);
        bring(server, &bridge, &idp.say(&json!({}))).await.check(200);
        assert_eq!(them.rest().await.len(), 1);
        // A key that is published no longer is good no longer, soon after.
        publish(&[&idp.key]);
        server.advance(301);
        bring(server, &bridge, &idp.say(&json!({}))).await.check(200);
        idp.key = former;
        bring(server, &bridge, &idp.say(&json!({}))).await.refused(400, "invalid_grant");
    }
}
