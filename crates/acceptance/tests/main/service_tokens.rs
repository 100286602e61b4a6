//! Service accounts at the token endpoint (RFC 6749 section 4.4), and what their tokens are good for.

use keyreeve_acceptance::{Answer, Mount, Server, jwt, on_a_server};
use keyreeve_base::Presentation;
use keyreeve_base::{GroupId, Timestamp};
use keyreeve_identity::{
    Cause, MembershipKind, NewGroup, NewServiceAccount, Party, ServiceAccount, ServiceAccountPatch,
    StateChange, Subject,
};
use std::sync::Arc;
use std::time::Duration;

/// A service account, and a secret of its.
struct Agent {
    mount: Mount,
    account: Arc<ServiceAccount>,
    secret: String,
}

impl Agent {
    async fn new(mount: &Mount, name: &str, owner: Option<Party>) -> Self {
        let accounts = mount.identity().service_accounts();
        let new = NewServiceAccount { name: name.to_owned(), owner, ..NewServiceAccount::default() };
        let account = accounts.create(mount.id(), new, &Cause::operator()).await.expect("an account");
        let agent = Self { mount: mount.clone(), account, secret: String::new() };
        let secret = agent.further_secret(None).await;
        Self { secret, ..agent }
    }

    async fn further_secret(&self, lasts: Option<Duration>) -> String {
        let accounts = self.mount.identity().service_accounts();
        let whose = (self.mount.id(), self.account.id);
        accounts
            .add_secret(whose, lasts, &Cause::operator())
            .await
            .expect("a secret")
            .secret
            .expose()
            .to_owned()
    }

    fn id(&self) -> String {
        self.account.id.to_string()
    }

    async fn ask(&self, form: &[(&str, &str)]) -> Answer {
        let form: Vec<_> = [("grant_type", "client_credentials")].iter().chain(form).copied().collect();
        self.mount.post("/token").basic(&self.id(), &self.secret).form(&form).send().await
    }

    async fn token(&self) -> String {
        let answer = self.ask(&[]).await.expect(200);
        answer.json()["access_token"].as_str().expect("a token").to_owned()
    }

    async fn change(&self, patch: ServiceAccountPatch) {
        let accounts = self.mount.identity().service_accounts();
        let whose = (self.mount.id(), self.account.id);
        accounts.update(whose, patch, None, &Cause::operator()).await.expect("a change");
    }

    async fn make_admin(&self) {
        let roles = self.mount.identity().roles();
        let role = roles.tenant_admin(self.mount.id()).await.expect("a role");
        let holder = Party::Service(self.account.id);
        roles.assign((self.mount.id(), role.id), holder, &Cause::operator()).await.expect("a role for it");
    }

    async fn administer(&self, group: GroupId) {
        let groups = self.mount.identity().groups();
        let member = Party::Service(self.account.id);
        groups
            .add((self.mount.id(), group), member, MembershipKind::Admin, &Cause::operator())
            .await
            .expect("a membership");
    }

    /// Whether somebody who may ask is told that the token is good.
    async fn is_active(&self, token: &str) -> bool {
        let issuer = self.mount.issuer();
        let access =
            self.mount.tokens().verify_access(self.mount.tenant_row(), token).await.expect("an answer");
        assert!(access.as_ref().is_none_or(|access| access.claims().aud.contains(&issuer)));
        access.is_some()
    }
}

async fn group(mount: &Mount, name: &str) -> GroupId {
    let new = NewGroup { name: name.to_owned(), ..NewGroup::default() };
    mount.identity().groups().create(mount.id(), new, &Cause::operator()).await.expect("a group").id
}

on_a_server! {
    async fn an_account_gets_a_token_by_its_secret(server: &Server) {
        let acme = server.tenant("acme").create().await;
        for mount in [&**server, &acme] {
            let agent = Agent::new(mount, "nightly export", None).await;
            let answer = agent.ask(&[]).await.expect(200);
            let json = answer.json();
            assert_eq!(json["token_type"], "Bearer");
            assert!(json.get("refresh_token").is_none() && json.get("id_token").is_none(), "{answer}");
            let token = jwt::verify(mount, json["access_token"].as_str().unwrap()).await;
            assert_eq!(token.claims["sub"], agent.id().as_str());
            assert_eq!(token.claims["client_id"], agent.id().as_str());
            assert_eq!(token.claims["aud"], mount.issuer().as_str());
            let shared = "keyreeve:secrets:read keyreeve:secrets:write";
            assert_eq!(token.claims["scope"], shared, "it administers nothing; secrets are shared with it one by one");
            // In the body as well, and in any spelling of the identifier.
            let form = [
                ("grant_type", "client_credentials"),
                ("client_id", &agent.id().to_uppercase()),
                ("client_secret", &agent.secret),
            ];
            mount.post("/token").form(&form).send().await.check(200);
            let log = mount.audited("admission.service").await;
            assert_eq!(log.len(), 2, "each is in the log");
        }
    }

    async fn its_scopes_are_what_it_administers(server: &Server) {
        let nobody = Agent::new(server, "nobody", None).await;
        nobody.ask(&[("scope", "keyreeve:users:read")]).await.refused(400, "invalid_scope");
        nobody.ask(&[("scope", "openid")]).await.refused(400, "invalid_scope");
        nobody.ask(&[("scope", "a\"b")]).await.refused(400, "invalid_scope");

        let leader = Agent::new(server, "leader", None).await;
        leader.administer(group(server, "staff").await).await;
        let all = leader.ask(&[]).await.expect(200).json();
        assert!(all["scope"].as_str().unwrap().contains("keyreeve:users:write"), "{all}");
        leader.ask(&[("scope", "keyreeve:users:read keyreeve:groups:write")]).await.check(200);
        for beyond in ["keyreeve:admin", "keyreeve:clients:read", "keyreeve:audit:read", "keyreeve:service_accounts:write"] {
            leader.ask(&[("scope", beyond)]).await.refused(400, "invalid_scope");
        }

        let chief = Agent::new(server, "chief", None).await;
        chief.make_admin().await;
        assert_eq!(chief.ask(&[]).await.expect(200).json()["scope"], "keyreeve:admin");
        let narrowed = chief.ask(&[("scope", "keyreeve:clients:read")]).await.expect(200).json();
        assert_eq!(narrowed["scope"], "keyreeve:clients:read");
        for unknown in ["openid", "keyreeve:everything", "read"] {
            chief.ask(&[("scope", unknown)]).await.refused(400, "invalid_scope");
        }
    }

    async fn its_tokens_live_as_long_as_it_says(server: &Server) {
        let agent = Agent::new(server, "agent", None).await;
        assert_eq!(agent.ask(&[]).await.expect(200).json()["expires_in"], 300);
        let patch = ServiceAccountPatch { token_lifetime_s: keyreeve_identity::Patch::Set(3_600), ..Default::default() };
        agent.change(patch).await;
        let answer = agent.ask(&[]).await.expect(200).json();
        assert_eq!(answer["expires_in"], 3_600);
        let token = answer["access_token"].as_str().unwrap();
        server.advance(3_599);
        assert!(agent.is_active(token).await);
        server.advance(1);
        assert!(!agent.is_active(token).await);
    }

    async fn only_client_credentials_and_only_by_a_secret(server: &Server) {
        let agent = Agent::new(server, "agent", None).await;
        for grant in ["authorization_code", "refresh_token", "password", "urn:example:other"] {
            let form = [("grant_type", grant), ("code", "x"), ("refresh_token", "x"), ("username", "x"), ("password", "x")];
            let answer = server.post("/token").basic(&agent.id(), &agent.secret).form(&form).send().await;
            answer.refused(401, "invalid_client");
        }
        let bare = [("grant_type", "client_credentials"), ("client_id", &*agent.id())];
        server.post("/token").form(&bare).send().await.refused(401, "invalid_client");
        let wrong = server.post("/token").basic(&agent.id(), "kr_sa_wrong").form(&[("grant_type", "client_credentials")]);
        let wrong = wrong.send().await;
        wrong.refused(401, "invalid_client");
        assert!(wrong.header("www-authenticate").unwrap().starts_with("Basic "), "{wrong}");
        // Its name opens nothing here: a client may have the same.
        let by_name = server.post("/token").basic("agent", &agent.secret).form(&[("grant_type", "client_credentials")]);
        by_name.send().await.refused(401, "invalid_client");
        let twice = server.post("/token").basic(&agent.id(), &agent.secret);
        let form = [("grant_type", "client_credentials"), ("client_secret", &*agent.secret), ("client_id", &*agent.id())];
        twice.form(&form).send().await.refused(400, "invalid_request");
    }

    async fn it_takes_its_own_tokens_back_and_no_others(server: &Server) {
        let (agent, other) = (Agent::new(server, "agent", None).await, Agent::new(server, "other", None).await);
        let token = agent.token().await;
        let revoke = async |agent: &Agent, token: &str| {
            let call = server.post("/revoke").basic(&agent.id(), &agent.secret).form(&[("token", token)]);
            call.send().await
        };
        revoke(&other, &token).await.check(200);
        assert!(agent.is_active(&token).await, "somebody else's");
        revoke(&agent, "nonsense").await.check(200);
        revoke(&agent, &token).await.check(200);
        assert!(!agent.is_active(&token).await);
        let wrong = server.post("/revoke").basic(&agent.id(), "wrong").form(&[("token", &*token)]).send().await;
        wrong.refused(401, "invalid_client");
        // It is no resource server.
        let call = server.post("/introspect").basic(&agent.id(), &agent.secret).form(&[("token", &*token)]);
        call.send().await.refused(401, "invalid_client");
    }

    async fn a_resource_server_is_told_about_its_tokens(server: &Server) {
        let agent = Agent::new(server, "Nightly Export", None).await;
        let issuer = server.issuer();
        let api = server.client("api").service().with(|settings| settings.resources = vec![issuer]).create().await;
        let token = agent.token().await;
        let told = server.post_as(&api, "/introspect", &[("token", &token)]).send().await.expect(200).json();
        assert_eq!(told["active"], true, "{told}");
        assert_eq!((&told["sub"], &told["client_id"]), (&agent.id().into(), &agent.id().into()));
        assert_eq!(told["username"], "Nightly Export");
        let stranger = server.client("stranger").service().create().await;
        assert!(!server.is_active(&stranger, &token).await);
        // It opens no account: there is no user.
        server.userinfo(&token).await.check(403);
    }

    async fn it_calls_for_itself_with_its_own_authority(server: &Server) {
        let (chief, nobody) = (Agent::new(server, "chief", None).await, Agent::new(server, "nobody", None).await);
        chief.make_admin().await;
        let tenant = Arc::new(server.tenant_row().clone());
        let origin = keyreeve_base::Origin::local();
        for (agent, all) in [(&chief, true), (&nobody, false)] {
            let token = agent.token().await;
            let caller = server.tokens().caller(&tenant, Presentation::Bearer(&token), &origin).await.expect("an answer");
            let caller = caller.expect("a caller");
            assert_eq!(caller.authority().subject(), Some(Subject::Service(agent.account.id)));
            assert_eq!((caller.authority().may_manage_tenant(), caller.is_unlimited()), (all, all));
            assert!(!caller.authority().may_manage_service_account(None), "agents make no agents");
        }
    }

    async fn ac_35_an_expired_secret_is_refused(server: &Server) {
        let mut agent = Agent::new(server, "agent", None).await;
        agent.secret = agent.further_secret(Some(Duration::from_secs(60))).await;
        agent.ask(&[]).await.check(200);
        server.advance(60);
        agent.ask(&[]).await.refused(401, "invalid_client");
        assert_eq!(server.refusals("admission.service").await, ["secret_expired"]);
    }

    async fn ac_77_what_stands_behind_an_agent_ends_its_tokens(server: &Server) {
        let owner = server.user("owner").create().await;
        let acme = server.tenant("acme").create().await;
        let owned = Agent::new(server, "owned", Some(Party::User(owner.user.id))).await;
        let (free, foreign) = (Agent::new(server, "free", None).await, Agent::new(&acme, "foreign", None).await);
        let (of_owned, of_free, of_foreign) = (owned.token().await, free.token().await, foreign.token().await);

        owner.change(StateChange::Disable).await;
        assert!(!owned.is_active(&of_owned).await, "its owner is disabled");
        owned.ask(&[]).await.refused(401, "invalid_client");
        owner.change(StateChange::Enable).await;
        assert!(owned.is_active(&of_owned).await);

        free.change(ServiceAccountPatch { enabled: Some(false), ..Default::default() }).await;
        assert!(!free.is_active(&of_free).await, "it is disabled");
        free.ask(&[]).await.refused(401, "invalid_client");
        free.change(ServiceAccountPatch { enabled: Some(true), ..Default::default() }).await;
        let soon: Timestamp = server.now().plus(Duration::from_secs(60));
        free.change(ServiceAccountPatch { expires_at: keyreeve_identity::Patch::Set(soon), ..Default::default() }).await;
        assert!(free.is_active(&of_free).await);
        server.advance(60);
        assert!(!free.is_active(&of_free).await, "it is over");
        free.ask(&[]).await.refused(401, "invalid_client");

        assert!(foreign.is_active(&of_foreign).await);
        acme.set_enabled(false).await;
        let now = server.mount("acme").await;
        let access = now.tokens().verify_access(now.tenant_row(), &of_foreign).await.expect("an answer");
        assert!(access.is_none(), "its tenant is disabled");
        assert!(server.tokens().verify_access(server.tenant_row(), &of_foreign).await.expect("an answer").is_none());

        let accounts = server.identity().service_accounts();
        accounts.delete((server.id(), owned.account.id), None, &Cause::operator()).await.expect("removed");
        assert!(!owned.is_active(&of_owned).await, "it is gone");
    }

    async fn ac_24_guesses_at_its_secret_are_counted(server: &Server) {
        let agent = Agent::new(server, "agent", None).await;
        let mut throttled = false;
        for _ in 0..40 {
            let call = server.post("/token").basic(&agent.id(), "kr_sa_guess").form(&[("grant_type", "client_credentials")]);
            throttled |= call.send().await.status == 429;
        }
        assert!(throttled);
    }
}
