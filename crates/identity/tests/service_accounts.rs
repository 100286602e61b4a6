//! Service accounts: secrets that overlap, refusals that look alike, owners who answer for them.

use crate::house::{House, house, origin};
use keyreeve_base::ServiceAccountId;
use keyreeve_crypto::Secret;
use keyreeve_identity::{
    Admitted, Cause, Credential, Error, IssuedSecret, NewServiceAccount, Party, Patch, Refusal,
    ServiceAccount, ServiceAccountPatch, ServiceAttempt, StateChange, Subject, TenantPatch,
};
use keyreeve_testkit::{Engine, on_both_engines};
use std::sync::Arc;
use std::time::{Duration, Instant};

async fn make(house: &House, name: &str, owner: Option<Party>) -> Arc<ServiceAccount> {
    let new = NewServiceAccount { name: name.to_owned(), owner, ..NewServiceAccount::default() };
    house.identity.service_accounts().create(house.id(), new, &Cause::operator()).await.unwrap()
}

async fn issue(house: &House, id: ServiceAccountId, lasts_s: Option<u64>) -> IssuedSecret {
    let lasts = lasts_s.map(Duration::from_secs);
    let accounts = house.identity.service_accounts();
    accounts.add_secret((house.id(), id), lasts, &Cause::operator()).await.unwrap()
}

async fn update(house: &House, id: ServiceAccountId, patch: ServiceAccountPatch) -> Arc<ServiceAccount> {
    let accounts = house.identity.service_accounts();
    accounts.update((house.id(), id), patch, None, &Cause::operator()).await.unwrap()
}

async fn enter(house: &House, account: &str, secret: &str) -> Result<Admitted, Refusal> {
    enter_from(house, "192.0.2.1", account, secret).await
}

async fn enter_from(house: &House, address: &str, account: &str, secret: &str) -> Result<Admitted, Refusal> {
    let (secret, origin) = (Secret::new(secret), origin(address));
    let attempt = ServiceAttempt { tenant: house.id(), account, secret: &secret, origin: &origin };
    house.identity.admission().service(attempt).await.unwrap()
}

fn enabled(enabled: bool) -> ServiceAccountPatch {
    ServiceAccountPatch { enabled: Some(enabled), ..ServiceAccountPatch::default() }
}

/// The reason of the one line that this attempt adds; the outside learns nothing but the denial.
async fn reason(house: &House, account: &str, secret: &str) -> String {
    let (refused, lines) = house.lines_of(enter(house, account, secret)).await;
    assert_eq!(refused.unwrap_err(), Refusal::Denied);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].strip_prefix("admission.service refused ").unwrap_or_else(|| panic!("{lines:?}")).to_owned()
}

on_both_engines! {
    async fn an_account_enters_by_its_secret_under_its_name_or_identifier(engine: Engine) {
        let house = house(engine).await;
        let account = make(&house, "Nightly Export", None).await;
        let issued = issue(&house, account.id, None).await;
        let secret = issued.secret.expose();
        assert!(secret.starts_with("kr_sa_") && secret.len() == 49, "256 bits");
        let id = account.id.to_string();
        for name in ["Nightly Export", " nightly  EXPORT", &id, &id.to_uppercase()] {
            let (admitted, lines) = house.lines_of(enter(&house, name, secret)).await;
            let admitted = admitted.unwrap();
            assert_eq!(admitted.subject(), Subject::Service(account.id), "{name}");
            assert_eq!((admitted.service(), admitted.user(), admitted.session()), (Some(&account), None, None));
            assert_eq!(lines, ["admission.service success"]);
        }
        let log = house.log().await;
        let entry = log.last().unwrap();
        assert_eq!((entry.actor_kind.as_str(), entry.actor_id.clone()), ("service_account", Some(id)));
        house.check().await;
    }

    async fn secrets_overlap_end_and_are_replaced_without_a_gap(engine: Engine) {
        let house = house(engine).await;
        let (accounts, id) = (house.identity.service_accounts(), make(&house, "agent", None).await.id);
        let (first, second) = (issue(&house, id, Some(100)).await, issue(&house, id, None).await);
        let enter = async |secret: &IssuedSecret| enter(&house, "agent", secret.secret.expose()).await.is_ok();
        assert!(enter(&first).await && enter(&second).await);
        let used = accounts.secrets(house.id(), id).await.unwrap();
        assert!(used.iter().all(|secret| secret.last_used_at == Some(house.test.world.now())));
        house.advance(30);
        assert!(enter(&first).await);
        let after = accounts.secrets(house.id(), id).await.unwrap();
        assert_eq!(after, used, "the use is noted to the minute");
        house.advance(69);
        assert!(enter(&first).await);
        house.advance(1);
        assert!(!enter(&first).await && enter(&second).await);
        let (revoked, lines) = house.lines_of(accounts.revoke_secret((house.id(), id), second.info.id, &Cause::operator())).await;
        assert_eq!((revoked.unwrap(), lines), (true, vec!["service_account.secret.revoke success".to_owned()]));
        assert!(!enter(&second).await);
        assert!(!accounts.revoke_secret((house.id(), id), second.info.id, &Cause::operator()).await.unwrap());
        let (third, lines) = house.lines_of(issue(&house, id, None)).await;
        assert_eq!(lines, ["service_account.secret.create success"]);
        assert_eq!(accounts.secrets(house.id(), id).await.unwrap(), [third.info], "what is over made room");
        for _ in 1..10 {
            issue(&house, id, None).await;
        }
        let beyond = accounts.add_secret((house.id(), id), None, &Cause::operator()).await;
        assert!(matches!(beyond, Err(Error::Invalid { field: "secret", .. })));
        house.check().await;
    }

    /// AC-35: what has expired or was switched off does not work, and looks like what never was.
    async fn ac_35_refusals_look_alike_and_the_log_has_the_reason(engine: Engine) {
        let house = house(engine).await;
        let (id, other) = (make(&house, "agent", None).await.id, make(&house, "other", None).await.id);
        let (lasting, brief) = (issue(&house, id, None).await, issue(&house, id, Some(60)).await);
        let (lasting, brief) = (lasting.secret.expose(), brief.secret.expose());
        let of_other = issue(&house, other, None).await;
        let reason = async |account: &str, secret: &str| {
            // Far enough from the attempts before it.
            house.advance(3_600);
            reason(&house, account, secret).await
        };
        assert_eq!(reason("agent", brief).await, "secret_expired");
        assert_eq!(reason("agent", "").await, "wrong_secret");
        assert_eq!(reason("agent", of_other.secret.expose()).await, "wrong_secret");
        assert_eq!(reason("agent", &"x".repeat(4_096)).await, "secret_too_long");
        assert_eq!(reason("nobody", lasting).await, "unknown_service_account");
        assert_eq!(reason("age\0nt", lasting).await, "unknown_service_account");
        assert_eq!(reason(&"x".repeat(100_000), lasting).await, "unknown_service_account");
        update(&house, id, enabled(false)).await;
        assert_eq!(reason("agent", lasting).await, "service_account_disabled");
        update(&house, id, enabled(true)).await;
        let soon = house.test.world.now().plus(Duration::from_secs(10));
        let expires = |at| ServiceAccountPatch { expires_at: at, ..ServiceAccountPatch::default() };
        update(&house, id, expires(Patch::Set(soon))).await;
        assert!(enter(&house, "agent", lasting).await.is_ok());
        assert_eq!(reason("agent", lasting).await, "service_account_expired");
        update(&house, id, expires(Patch::Clear)).await;
        assert!(enter(&house, "agent", lasting).await.is_ok());
        let off = TenantPatch { enabled: Some(false), ..TenantPatch::default() };
        house.identity.tenants().update(house.id(), 1, off, &Cause::operator()).await.unwrap();
        assert_eq!(reason("agent", lasting).await, "tenant_inactive");
        house.check().await;
    }

    /// AC-77: an agent is admitted no longer than whoever answers for it is there.
    async fn ac_77_an_account_depends_on_its_owner(engine: Engine) {
        let house = house(engine).await;
        let ada = house.try_user(Some("ada"), None, Credential::None).await.unwrap().id;
        let (accounts, id) = (house.identity.service_accounts(), make(&house, "agent", Some(Party::User(ada))).await.id);
        let issued = issue(&house, id, None).await;
        let secret = issued.secret.expose();
        let active = async || accounts.active(house.id(), id).await.unwrap().is_some();
        assert!(enter(&house, "agent", secret).await.is_ok() && active().await);
        for (off, on, expected) in [
            (StateChange::Disable, StateChange::Enable, "owner_disabled"),
            (StateChange::Lock, StateChange::Unlock, "owner_locked"),
        ] {
            house.change_state(ada, off).await;
            assert_eq!(reason(&house, "agent", secret).await, expected);
            assert!(!active().await);
            house.change_state(ada, on).await;
            assert!(enter(&house, "agent", secret).await.is_ok() && active().await);
        }
        house.change_state(ada, StateChange::Archive).await;
        assert_eq!(reason(&house, "agent", secret).await, "owner_archived");
        let group = house.group("operators").await.id;
        let owner = |owner| ServiceAccountPatch { owner, ..ServiceAccountPatch::default() };
        let back = accounts
            .update((house.id(), id), owner(Patch::Set(Party::User(ada))), None, &Cause::operator()).await;
        assert!(matches!(back, Err(Error::NotFound("user"))));
        update(&house, id, owner(Patch::Set(Party::Group(group)))).await;
        assert!(enter(&house, "agent", secret).await.is_ok() && active().await);
        house.identity.groups().delete((house.id(), group), None, &Cause::operator()).await.unwrap();
        assert_eq!(reason(&house, "agent", secret).await, "owner_gone");
        assert!(!active().await);
        update(&house, id, owner(Patch::Clear)).await;
        assert!(enter(&house, "agent", secret).await.is_ok() && active().await);
        house.check().await;
    }

    async fn wrong_secrets_are_slowed_down_like_those_of_clients(engine: Engine) {
        let house = house(engine).await;
        let account = make(&house, "agent", None).await;
        let (issued, id) = (issue(&house, account.id, None).await, account.id.to_string());
        let secret = issued.secret.expose();
        // One counter, however the account is called.
        for name in ["agent", "AGENT", &id, " agent", "agent"] {
            assert_eq!(enter(&house, name, "wrong").await.unwrap_err(), Refusal::Denied);
        }
        assert_eq!(house.lines().await.last().unwrap(), "throttle.lock success");
        for name in ["agent", &id] {
            let (blocked, lines) = house.lines_of(enter(&house, name, secret)).await;
            assert_eq!(blocked.unwrap_err(), Refusal::Throttled { retry_after: Duration::from_secs(1) });
            assert_eq!(lines, ["admission.service refused throttled"]);
        }
        assert!(enter_from(&house, "192.0.2.2", "agent", secret).await.is_ok(), "AC-26");
        house.advance(1);
        assert!(enter(&house, "agent", secret).await.is_ok());
        for _ in 0..4 {
            assert_eq!(enter(&house, "agent", "wrong").await.unwrap_err(), Refusal::Denied);
        }
        assert!(enter(&house, "agent", secret).await.is_ok(), "the count began anew");
        // The right secret of an account that is switched off is counted like a wrong one.
        update(&house, account.id, enabled(false)).await;
        for _ in 0..5 {
            assert_eq!(enter(&house, "agent", secret).await.unwrap_err(), Refusal::Denied);
        }
        assert!(matches!(enter(&house, "agent", secret).await, Err(Refusal::Throttled { .. })));
        house.check().await;
    }

    async fn an_account_is_changed_under_its_version_and_removed_with_all_it_had(engine: Engine) {
        let house = house(engine).await;
        let (accounts, cause) = (house.identity.service_accounts(), Cause::operator());
        let (made, lines) = house.lines_of(make(&house, "Agent Smith", None)).await;
        assert_eq!(lines, ["service_account.create success"]);
        make(&house, "other", None).await;
        let of = (house.id(), made.id);
        let patch = ServiceAccountPatch {
            name: Some("Agent  Jones".to_owned()),
            attributes: Some([("site".to_owned(), vec!["a".to_owned()])].into()),
            token_lifetime_s: Patch::Set(600),
            ..ServiceAccountPatch::default()
        };
        let (after, lines) = house.lines_of(accounts.update(of, patch.clone(), Some(1), &cause)).await;
        let after = after.unwrap();
        assert_eq!(lines, ["service_account.update success"]);
        assert_eq!((after.name.as_str(), after.token_lifetime()), ("Agent Jones", Some(Duration::from_secs(600))));
        assert_eq!(accounts.find(house.id(), "agent jones").await.unwrap(), Some(after.clone()));
        assert_eq!(accounts.find(house.id(), "agent smith").await.unwrap(), None);
        assert!(matches!(accounts.update(of, patch, Some(1), &cause).await, Err(Error::VersionConflict)));
        let taken = ServiceAccountPatch { name: Some("OTHER".to_owned()), ..ServiceAccountPatch::default() };
        assert!(matches!(accounts.update(of, taken, None, &cause).await, Err(Error::Taken("name"))));
        let nobody = NewServiceAccount {
            name: "x".to_owned(),
            owner: Some(Party::User(house.test.world.new_id())),
            ..NewServiceAccount::default()
        };
        assert!(matches!(accounts.create(house.id(), nobody, &cause).await, Err(Error::NotFound("user"))));
        let (group, secret) = (house.group("team").await.id, issue(&house, made.id, None).await);
        let party = Party::Service(made.id);
        let kind = keyreeve_identity::MembershipKind::Owner;
        house.identity.groups().add((house.id(), group), party, kind, &cause).await.unwrap();
        let subject = Subject::Service(made.id);
        assert_eq!(*house.identity.groups().of_subject(house.id(), subject).await.unwrap(), [group]);
        let (_, lines) = house.lines_of(accounts.delete(of, None, &cause)).await;
        assert_eq!(lines, ["service_account.delete success"]);
        assert!(house.identity.groups().of_subject(house.id(), subject).await.unwrap().is_empty());
        assert_eq!(reason(&house, "agent jones", secret.secret.expose()).await, "unknown_service_account");
        assert!(matches!(accounts.get(house.id(), made.id).await, Err(Error::NotFound(_))));
        assert_eq!(accounts.list(house.id(), None, 500).await.unwrap().len(), 1);
        house.check().await;
    }

    /// AC-61, AC-76: no secret is in the log, nor in what is shown of an account, wherever it was typed.
    async fn ac_61_no_secret_of_an_account_is_in_the_log(engine: Engine) {
        let house = house(engine).await;
        let account = make(&house, "agent", None).await;
        let issued = issue(&house, account.id, None).await;
        let secret = issued.secret.expose();
        enter(&house, "agent", secret).await.unwrap();
        enter(&house, secret, "agent").await.unwrap_err();
        enter(&house, "agent", &format!("{secret}x")).await.unwrap_err();
        let shown = format!("{:?} {issued:?} {:?}", house.log().await, issued.info).to_lowercase();
        assert!(!shown.contains(&secret.to_lowercase()));
        house.check().await;
    }
}

/// A secret that was revoked on one node is refused on another at once: what memory says is weighed in the transaction.
#[test]
fn a_revoked_secret_is_refused_on_every_node_at_once() {
    keyreeve_testkit::block_on(async {
        let house = house(Engine::Postgres).await;
        let other = house.other_node(64).await;
        let id = make(&house, "agent", None).await.id;
        let issued = issue(&house, id, None).await;
        let (secret, origin) = (Secret::new(issued.secret.expose()), origin("192.0.2.1"));
        let there = async || {
            let tenant = house.id();
            let attempt = ServiceAttempt { tenant, account: "agent", secret: &secret, origin: &origin };
            other.admission().service(attempt).await.unwrap().is_ok()
        };
        for _ in 0..5 {
            assert!(there().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let accounts = house.identity.service_accounts();
        accounts.revoke_secret((house.id(), id), issued.info.id, &Cause::operator()).await.unwrap();
        assert!(!there().await);
        accounts.delete((house.id(), id), None, &Cause::operator()).await.unwrap();
        assert!(!there().await);
        let start = Instant::now();
        while other.service_accounts().active(house.id(), id).await.unwrap().is_some() {
            assert!(start.elapsed() < Duration::from_secs(5), "the other node still knows the account");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        house.check().await;
    });
}
