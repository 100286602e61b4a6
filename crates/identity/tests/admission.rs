//! Signing in: who is let in, who is not, and what an outsider can tell from the answer.

use crate::house::{OTHER_PASSWORD, PASSWORD, house, house_with, origin, refusal, ticket};
use keyreeve_base::{ClientId, SessionId, UserId};
use keyreeve_crypto::Secret;
use keyreeve_crypto::password::{HashPolicy, PoolSize};
use keyreeve_crypto::seal::MasterKey;
use keyreeve_identity::{
    Admitted, Cause, Credential, Error, FinishPasswordChange, Identity, IdentityOptions, Method,
    PasswordAttempt, PolicyViolation, Proof, Redeemed, Refusal, SignIn, StateChange, Subject, TenantSettings,
};
use keyreeve_store::Tx;
use keyreeve_testkit::{Engine, on_both_engines};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the passwords that hashing pools have worked on, by the histogram of their waiting times.
struct WorkMeter;
static WORKED: AtomicU64 = AtomicU64::new(0);

impl metrics::HistogramFn for WorkMeter {
    fn record(&self, _: f64) {
        WORKED.fetch_add(1, Ordering::SeqCst);
    }
}

impl metrics::Recorder for WorkMeter {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn register_counter(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        metrics::Counter::noop()
    }
    fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::noop()
    }
    fn register_histogram(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        match key.name() {
            "keyreeve_password_wait_seconds" => metrics::Histogram::from_arc(Arc::new(Self)),
            _ => metrics::Histogram::noop(),
        }
    }
}

async fn redeem(house: &crate::house::House, proof: Proof) -> Result<Admitted, Refusal> {
    let identity = house.identity.clone();
    house
        .test
        .store
        .write(async move |tx: &mut Tx<'_>| -> Result<_, Error> {
            identity.admission().admit(tx, &proof, &origin("192.0.2.9")).await
        })
        .await
        .unwrap()
}

fn redeemed(house: &crate::house::House, user: UserId, session: Option<SessionId>) -> Redeemed {
    Redeemed {
        tenant: house.id(),
        user,
        client: house.test.world.new_id::<ClientId>(),
        session,
        auth_time: house.test.world.now(),
        amr: Arc::new(["pwd".to_owned()]),
    }
}

on_both_engines! {
    async fn either_name_signs_in_in_any_spelling(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        for spelling in ["Ada", "ADA", " ａｄａ ", "lovelace@example.org", "LOVELACE@Example.Org"] {
            let done = house.sign_in(spelling, PASSWORD).await;
            let admitted = &done.admitted;
            assert_eq!(admitted.subject(), Subject::User(ada.id), "{spelling}");
            assert_eq!((admitted.tenant(), admitted.session()), (house.id(), Some(done.session.id)));
            assert_eq!((admitted.method(), admitted.amr()), (Method::Password, &["pwd".to_owned()][..]));
            assert_eq!(admitted.auth_time(), house.test.world.now());
            assert_eq!(admitted.user().map(|user| user.id), Some(ada.id));
        }
        house.check().await;
    }

    /// AC-21, AC-15: whatever the reason, the answer is the same; the log alone has the reason.
    async fn ac_21_every_refusal_answers_alike(engine: Engine) {
        let mut settings = TenantSettings::default();
        settings.throttle.free_failures = 100;
        let house = house_with(engine, settings).await;
        let ada = house.ada().await;
        house.try_user(Some("nopassword"), None, Credential::None).await.unwrap();
        let reason = async |identifier: &str, password: &str| {
            let (answer, lines) = house.lines_of(house.try_sign_in(identifier, password)).await;
            assert_eq!(refusal(&answer), Refusal::Denied);
            lines
        };
        let expect = |reason: &str| vec![format!("admission.password refused {reason}")];
        assert_eq!(reason("ada", OTHER_PASSWORD).await, expect("wrong_password"));
        assert_eq!(reason("nobody", PASSWORD).await, expect("unknown_user"));
        assert_eq!(reason("not a name", PASSWORD).await, expect("unknown_user"));
        assert_eq!(reason("nopassword", PASSWORD).await, expect("no_password"));
        assert_eq!(reason("ada", "").await, expect("password_empty"));
        house.change_state(ada.id, StateChange::Lock).await;
        assert_eq!(reason("ada", PASSWORD).await, expect("user_locked"));
        house.change_state(ada.id, StateChange::Unlock).await;
        house.change_state(ada.id, StateChange::Disable).await;
        assert_eq!(reason("ada", PASSWORD).await, expect("user_disabled"));
        house.change_state(ada.id, StateChange::Archive).await;
        assert_eq!(reason("ada", PASSWORD).await, expect("unknown_user"));
        house.check().await;
    }

    /// AC-21 again: every attempt costs one password hash, whoever it is for. Counted, not timed. (Each test has a process
    /// of its own, so that nobody else's hashes are counted.)
    async fn ac_21_every_attempt_costs_the_same_work(engine: Engine) {
        let _ = metrics::set_global_recorder(WorkMeter);
        let house = house(engine).await;
        let ada = house.ada().await;
        house.try_user(Some("nopassword"), None, Credential::None).await.unwrap();
        let cost = async |identifier: &str, password: &str| {
            let before = WORKED.load(Ordering::SeqCst);
            house.try_sign_in(identifier, password).await;
            WORKED.load(Ordering::SeqCst) - before
        };
        assert_eq!(cost("ada", PASSWORD).await, 1);
        assert_eq!(cost("ada", OTHER_PASSWORD).await, 1);
        assert_eq!(cost("nobody", PASSWORD).await, 1);
        assert_eq!(cost("not a name", PASSWORD).await, 1);
        assert_eq!(cost("nopassword", PASSWORD).await, 1);
        house.change_state(ada.id, StateChange::Disable).await;
        assert_eq!(cost("ada", PASSWORD).await, 1);
        assert_eq!(cost("ada", &"x".repeat(1_025)).await, 0, "AC-28: too long to look at");
        assert_eq!(cost("nobody", &"x".repeat(1_025)).await, 0);
    }

    /// AC-28: a very long password is refused before any work, for everyone alike, and it is an attempt like any other.
    async fn ac_28_a_very_long_password_is_not_looked_at(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        let long = "x".repeat(1_000_000);
        for identifier in ["ada", "nobody"] {
            let (answer, lines) = house.lines_of(house.try_sign_in(identifier, &long)).await;
            assert_eq!(refusal(&answer), Refusal::Denied);
            assert_eq!(lines, ["admission.password refused password_too_long"]);
        }
        assert_eq!(house.failures("address").await, 2);
        let identifier = "n".repeat(1_000_000);
        assert_eq!(refusal(&house.try_sign_in(&identifier, PASSWORD).await), Refusal::Denied);
        house.check().await;
    }

    /// AC-46: an empty password is refused before anything looks at it, also where there is no password to compare with.
    async fn ac_46_an_empty_password_is_never_right(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        house.try_user(Some("nopassword"), None, Credential::None).await.unwrap();
        for identifier in ["ada", "nopassword", "nobody", ""] {
            assert_eq!(refusal(&house.try_sign_in(identifier, "").await), Refusal::Denied);
        }
        assert_eq!(house.failures("address").await, 4);
        house.check().await;
    }

    async fn parameters_that_rise_rehash_at_the_next_sign_in(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let before = house.hash_of(ada.id).await;
        house.sign_in("ada", PASSWORD).await;
        assert_eq!(house.hash_of(ada.id).await, before, "nothing to do yet");
        let raised = house.over(house.test.store.clone(), 128);
        raised.admission().sign_in(house.attempt("ada", OTHER_PASSWORD), None).await.unwrap();
        assert_eq!(house.hash_of(ada.id).await, before, "a wrong password changes nothing");
        let answer = raised.admission().sign_in(house.attempt("ada", PASSWORD), None).await.unwrap();
        assert!(matches!(answer, SignIn::SignedIn { .. }));
        let after = house.hash_of(ada.id).await;
        assert!(after.contains("m=128,") && before.contains("m=64,"), "{before} {after}");
        house.sign_in("ada", PASSWORD).await;
        house.check().await;
    }

    async fn an_imported_hash_signs_in_and_is_replaced(engine: Engine) {
        let house = house(engine).await;
        // Made with Python's hashlib.
        let hashes = [
            ("ldap", "{SSHA}1T8b0PGFqDT422JstNByLri1fXpzYWx0c2FsdA=="),
            ("django", "pbkdf2_sha256$1000$seasalt$zt/peT+7B6Sv82SACCUqeH8P1dIdKSLYdQmmYhL1Zo4="),
        ];
        for (name, hash) in hashes {
            let user = house.try_user(Some(name), None, Credential::ImportedHash(hash.to_owned())).await.unwrap();
            assert_eq!(refusal(&house.try_sign_in(name, PASSWORD).await), Refusal::Denied);
            assert_eq!(house.hash_of(user.id).await, hash);
            house.sign_in(name, "imported-Tulip-7").await;
            assert!(house.hash_of(user.id).await.starts_with("$argon2id$"));
            house.sign_in(name, "imported-Tulip-7").await;
        }
        house.check().await;
    }

    /// A full queue is not the guesser's fault: the attempt is given back.
    async fn a_busy_server_says_so_and_counts_nothing(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        // Hashes of about a second each, one worker, room for one that waits.
        let options = IdentityOptions {
            hash_policy: HashPolicy { memory_kib: 65_536, iterations: 16, parallelism: 1 },
            hash_pool: PoolSize { workers: 1, queue: 1 },
            ..IdentityOptions::default()
        };
        let master = MasterKey::from_text(&house.master_text).unwrap();
        let (store, world) = (house.test.store.clone(), house.test.world.clone());
        let busy = Identity::new(store, world, master.into(), &options).unwrap();
        let password = Secret::new(PASSWORD);
        let lane = origin("192.0.2.1").throttle_key();
        let mut worked_on = std::pin::pin!(busy.hasher().hash(&lane, &password));
        assert!(futures_util::poll!(&mut worked_on).is_pending());
        let mut waiting = Box::pin(busy.hasher().hash(&lane, &password));
        while futures_util::poll!(&mut waiting).is_ready() {
            waiting = Box::pin(busy.hasher().hash(&lane, &password));
        }
        let (answer, lines) = house.lines_of(busy.admission().sign_in(house.attempt("ada", PASSWORD), None)).await;
        assert!(matches!(refusal(&answer.unwrap()), Refusal::Busy { .. }));
        assert_eq!(lines, ["admission.password refused busy"]);
        for scope in ["pair", "name", "address"] {
            assert_eq!(house.failures(scope).await, 0);
        }
        house.check().await;
    }

    /// A ticket is good for one password change of one user, for ten minutes, until the password changes.
    async fn a_ticket_works_once_and_only_for_its_password(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let cookie = house.sign_in("ada", PASSWORD).await.cookie;
        house.change_state(ada.id, StateChange::RequirePasswordChange).await;
        assert!(house.session(&cookie).await.is_none(), "its sessions are over");
        let (answer, lines) = house.lines_of(house.try_sign_in("ada", PASSWORD)).await;
        assert_eq!(lines, ["admission.password refused password_change_required"]);
        let first = ticket(answer);
        let second = ticket(house.try_sign_in("ada", PASSWORD).await);
        let finish = async |ticket: &str, password: &str| {
            let finish = FinishPasswordChange {
                tenant: house.id(),
                ticket,
                password: Secret::new(password),
                old_cookie: None,
                origin: origin("192.0.2.1"),
            };
            house.identity.admission().finish_password_change(finish).await
        };
        let weak = finish(&first, "short").await;
        assert!(matches!(&weak, Err(Error::Policy(v)) if *v == [PolicyViolation::TooShort { min_chars: 12 }]), "{weak:?}");
        let same = finish(&first, PASSWORD).await;
        assert!(matches!(&same, Err(Error::Policy(v)) if *v == [PolicyViolation::Reused { last: 5 }]), "{same:?}");
        let (done, lines) = house.lines_of(finish(&first, OTHER_PASSWORD)).await;
        let done = crate::house::signed_in(done.unwrap());
        assert_eq!(lines, ["admission.password success", "user.password.change success", "session.create success"]);
        assert!(!done.admitted.user().unwrap().must_change_password);
        assert!(house.session(&done.cookie).await.is_some());
        let (again, lines) = house.lines_of(finish(&second, "Third-password-9")).await;
        assert_eq!(refusal(&again.unwrap()), Refusal::Denied);
        assert_eq!(lines, ["admission.password refused password_changed"]);
        assert!(house.session(&done.cookie).await.is_some(), "a void ticket ends nothing");
        house.sign_in("ada", OTHER_PASSWORD).await;
        house.check().await;
    }

    async fn a_ticket_dies_with_time_tampering_and_at_another_tenant(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        house.change_state(ada.id, StateChange::RequirePasswordChange).await;
        let ticket = ticket(house.try_sign_in("ada", PASSWORD).await);
        let new = keyreeve_identity::NewTenant {
            slug: "other".to_owned(),
            name: "Other".to_owned(),
            settings: keyreeve_identity::TenantSettings::default(),
        };
        let other = house.identity.tenants().create(new, &Cause::system()).await.unwrap();
        let device = house.identity.tenants().seal_text(house.id(), &[b"device cookie"], b"{}").await.unwrap();
        let mut changed = ticket.clone();
        changed.replace_range(60..61, if &ticket[60..61] == "A" { "B" } else { "A" });
        let refuse = async |tenant, ticket: &str| {
            let finish = FinishPasswordChange {
                tenant,
                ticket,
                password: Secret::new(OTHER_PASSWORD),
                old_cookie: None,
                origin: origin("192.0.2.1"),
            };
            let answer = house.identity.admission().finish_password_change(finish).await.unwrap();
            assert_eq!(refusal(&answer), Refusal::Denied, "{ticket}");
        };
        refuse(other.id, &ticket).await;
        for forged in ["", "x", &changed, &device, &ticket[1..], &"A".repeat(2_000)] {
            refuse(house.id(), forged).await;
        }
        house.advance(601);
        refuse(house.id(), &ticket).await;
        let log = house.log().await;
        assert_eq!(log.last().and_then(|entry| entry.reason.clone()).as_deref(), Some("ticket_expired"));
        house.check().await;
    }

    async fn of_two_who_use_tickets_at_once_one_gets_through(engine: Engine) {
        let house = Arc::new(house(engine).await);
        let ada = house.ada().await;
        house.change_state(ada.id, StateChange::RequirePasswordChange).await;
        let ticket = Arc::new(ticket(house.try_sign_in("ada", PASSWORD).await));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..6 {
            let (house, ticket) = (house.clone(), ticket.clone());
            tasks.spawn(async move {
                let password = format!("parallel-Heron-{number}");
                let finish = FinishPasswordChange {
                    tenant: house.id(),
                    ticket: &ticket,
                    password: Secret::new(&password),
                    old_cookie: None,
                    origin: origin("192.0.2.1"),
                };
                match house.identity.admission().finish_password_change(finish).await.unwrap() {
                    SignIn::SignedIn { .. } => Some(password),
                    other => {
                        assert_eq!(refusal(&other), Refusal::Denied);
                        None
                    }
                }
            });
        }
        let won: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(won.len(), 1, "{won:?}");
        house.sign_in("ada", &won[0]).await;
        house.check().await;
    }

    async fn a_redeemed_value_needs_an_active_user_and_a_live_session(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let session = house.sign_in("ada", PASSWORD).await.session;
        let with = |session| Proof::refresh(redeemed(&house, ada.id, session));
        let (admitted, lines) = house.lines_of(redeem(&house, with(Some(session.id)))).await;
        let admitted = admitted.unwrap();
        assert_eq!((admitted.method(), admitted.session()), (Method::Refresh, Some(session.id)));
        assert_eq!(admitted.user().map(|user| user.id), Some(ada.id));
        assert_eq!(lines, ["admission.refresh success"]);
        let code = redeem(&house, Proof::code(redeemed(&house, ada.id, Some(session.id)))).await.unwrap();
        assert_eq!(code.method(), Method::Code);
        let foreign = house.test.world.new_id::<SessionId>();
        assert!(redeem(&house, with(Some(foreign))).await.is_err(), "a session that is not there");
        house.identity.sessions().end(house.id(), ada.id, session.id, &Cause::operator()).await.unwrap();
        let (over, lines) = house.lines_of(redeem(&house, with(Some(session.id)))).await;
        assert_eq!(over.unwrap_err(), Refusal::Denied);
        assert_eq!(lines, ["admission.refresh refused session_over"]);
        assert!(redeem(&house, with(None)).await.is_ok(), "offline, it depends on no session");
        for (change, reason) in [
            (StateChange::Lock, "user_locked"),
            (StateChange::Disable, "user_disabled"),
            (StateChange::Archive, "user_archived"),
        ] {
            house.change_state(ada.id, change).await;
            let (refused, lines) = house.lines_of(redeem(&house, with(None))).await;
            assert_eq!(refused.unwrap_err(), Refusal::Denied);
            assert_eq!(lines, [format!("admission.refresh refused {reason}")]);
        }
        let nobody = Proof::code(redeemed(&house, house.test.world.new_id(), None));
        assert!(redeem(&house, nobody).await.is_err());
        house.check().await;
    }

    /// Whoever refreshes is not idle; but nobody outlives the absolute lifetime.
    async fn refreshing_keeps_a_session_alive_until_its_end(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let session = house.sign_in("ada", PASSWORD).await.session;
        let refresh = async || redeem(&house, Proof::refresh(redeemed(&house, ada.id, Some(session.id)))).await;
        let idle = u64::from(house.tenant.settings.session.idle_s);
        let absolute = u64::from(house.tenant.settings.session.absolute_s);
        let step = idle - 60;
        for _ in 0..absolute / step {
            house.advance(step);
            refresh().await.unwrap();
        }
        house.advance(step);
        assert_eq!(refresh().await.unwrap_err(), Refusal::Denied);
        house.check().await;
    }

    async fn a_client_is_admitted_to_an_active_tenant(engine: Engine) {
        let house = house(engine).await;
        let client: ClientId = house.test.world.new_id();
        let proof = || Proof::client(house.id(), client, Method::ClientSecret);
        let (admitted, lines) = house.lines_of(redeem(&house, proof())).await;
        let admitted = admitted.unwrap();
        assert_eq!((admitted.subject(), admitted.user().is_none()), (Subject::Client(client), true));
        assert_eq!(lines, ["admission.client success"]);
        let off = keyreeve_identity::TenantPatch { enabled: Some(false), ..Default::default() };
        house.identity.tenants().update(house.id(), 1, off, &Cause::operator()).await.unwrap();
        let (refused, lines) = house.lines_of(redeem(&house, proof())).await;
        assert!(refused.is_err());
        assert_eq!(lines, ["admission.client refused tenant_inactive"]);
        house.check().await;
    }

    /// The proof of a password is void when the password changes before it is weighed, or the user's state does.
    async fn a_proof_is_weighed_by_what_is_true_then(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let prove = async |method| {
            let attempt = PasswordAttempt { method, ..house.attempt("ada", PASSWORD) };
            house.identity.admission().prove_password(attempt).await.unwrap().unwrap()
        };
        let early = prove(Method::PasswordGrant).await;
        assert_eq!((early.user(), early.tenant()), (Some(ada.id), house.id()));
        let admitted = redeem(&house, prove(Method::PasswordGrant).await).await.unwrap();
        assert_eq!((admitted.method(), admitted.session()), (Method::PasswordGrant, None));
        let late = prove(Method::PasswordGrant).await;
        let of = (house.id(), ada.id);
        let new = Secret::new(OTHER_PASSWORD);
        house.identity.passwords().set(of, new, true, &Cause::operator()).await.unwrap();
        let (refused, lines) = house.lines_of(redeem(&house, early)).await;
        assert_eq!(refused.unwrap_err(), Refusal::Denied);
        assert_eq!(lines, ["admission.password refused password_changed"]);
        drop(late);
        let attempt = PasswordAttempt { method: Method::PasswordGrant, ..house.attempt("ada", OTHER_PASSWORD) };
        let proof = house.identity.admission().prove_password(attempt).await.unwrap().unwrap();
        let (refused, lines) = house.lines_of(redeem(&house, proof)).await;
        assert_eq!(refused.unwrap_err(), Refusal::Denied, "a temporary password gives no token");
        assert_eq!(lines, ["admission.password refused password_change_required"]);
        house.check().await;
    }
}
