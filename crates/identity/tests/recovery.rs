//! Links by mail: a new password, a confirmed address, and the mail that waits.

use crate::house::{
    House, OTHER_PASSWORD, PASSWORD, house, house_with, is_throttled, options, origin, refusal,
};
use keyreeve_base::UserId;
use keyreeve_crypto::Secret;
use keyreeve_crypto::seal::MasterKey;
use keyreeve_identity::recovery::{Outgoing, Pending};
use keyreeve_identity::{
    Cause, Credential, Error, Identity, IdentityOptions, LinkKind, MailState, NewTenant, Patch,
    PolicyViolation, ProfilePatch, Refusal, ResetRequest, SendOutcome, StateChange, TenantPatch,
    TenantSettings, User,
};
use keyreeve_store::{Tx, params, statements};
use keyreeve_testkit::{Engine, on_both_engines};
use std::sync::Arc;

statements! {
    /// Everything that is stored of mail that holds a text.
    KEPT_TEXTS = "SELECT COUNT(*) FROM outgoing_mail WHERE sealed IS NOT NULL AND state <> 'void'";
    /// How many links there are.
    LINKS = "SELECT COUNT(*) FROM recovery_token";
    /// How many messages there are, for somebody or nobody.
    MESSAGES = "SELECT COUNT(*) FROM outgoing_mail";
}

const THIRD_PASSWORD: &str = "Third-basin-wren";

async fn ask(house: &House, identifier: &str) -> Result<(), Refusal> {
    ask_from(house, "192.0.2.1", identifier).await
}

async fn ask_from(house: &House, address: &str, identifier: &str) -> Result<(), Refusal> {
    let request =
        ResetRequest { tenant: house.id(), identifier, language: Some("de-AT"), origin: origin(address) };
    house.identity.recovery().request_password_reset(request).await.expect("an answer")
}

async fn claim(identity: &Identity) -> Vec<Outgoing> {
    identity.recovery().outbox().claim(10).await.expect("the mail")
}

/// Sends what waits, and answers the tokens of the links.
async fn deliver(house: &House) -> Vec<String> {
    let mut tokens = Vec::new();
    for outgoing in claim(&house.identity).await {
        tokens.push(token_of(&outgoing));
        house.identity.recovery().outbox().settle(outgoing, SendOutcome::Sent).await.expect("settled");
    }
    tokens
}

fn token_of(outgoing: &Outgoing) -> String {
    let text = outgoing.message.text.expose();
    let link = text.split_whitespace().find(|word| word.starts_with("https://id.example/")).expect("a link");
    link.split_once("?token=").expect("a token").1.to_owned()
}

async fn token(house: &House, identifier: &str) -> String {
    ask(house, identifier).await.expect("not refused");
    let mut tokens = deliver(house).await;
    assert_eq!(tokens.len(), 1, "one message");
    tokens.remove(0)
}

async fn reset(house: &House, token: &str, password: &str) -> Result<Result<Arc<User>, Refusal>, Error> {
    let (tenant, password) = (house.id(), Secret::new(password));
    house.identity.recovery().reset_password(tenant, token, password, &origin("192.0.2.1")).await
}

async fn look(house: &House, kind: LinkKind, token: &str) -> Option<Pending> {
    house.identity.recovery().look(house.id(), kind, token).await.expect("an answer")
}

async fn verify(house: &House, token: &str) -> Result<Arc<User>, Refusal> {
    let origin = origin("192.0.2.1");
    house.identity.recovery().verify_email(house.id(), token, &origin).await.expect("an answer")
}

async fn change_email(house: &House, user: UserId, email: &str) {
    let patch = ProfilePatch { email: Patch::Set(email.to_owned()), ..ProfilePatch::default() };
    house
        .identity
        .users()
        .update((house.id(), user), patch, None, &Cause::operator())
        .await
        .expect("a change");
}

async fn number(house: &House, statement: &'static keyreeve_store::Statement) -> i64 {
    let read = async move |tx: &mut Tx<'_>| tx.scalar(statement, &params![]).await;
    house.test.store.read(read).await.expect("a count")
}

fn is_dead(answer: &Result<Result<Arc<User>, Refusal>, Error>) -> bool {
    matches!(answer, Ok(Err(Refusal::Denied)))
}

on_both_engines! {
    async fn a_link_by_mail_gives_a_new_password_once(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let cookie = house.sign_in("ada", PASSWORD).await.cookie;
        let (asked, lines) = house.lines_of(ask(&house, " ADA ")).await;
        assert_eq!((asked, lines), (Ok(()), vec!["recovery.request success".to_owned()]));
        let mail = claim(&house.identity).await;
        let [outgoing] = &mail[..] else { panic!("one message") };
        assert_eq!(outgoing.message.to, "Lovelace@Example.org");
        assert_eq!(outgoing.message.subject, "Neues Passwort für Example wählen");
        assert!(outgoing.message.text.expose().contains("https://id.example/reset?token=kr_pr_"));
        let token = token_of(outgoing);
        let pending = look(&house, LinkKind::PasswordReset, &token).await.unwrap();
        assert_eq!((pending.account.as_str(), pending.address.as_str()), ("Ada", "Lovelace@Example.org"));
        assert_eq!(look(&house, LinkKind::EmailVerification, &token).await, None);

        // A password that is refused does not use the link up.
        for (bad, expected) in [
            ("short", PolicyViolation::TooShort { min_chars: 12 }),
            (PASSWORD, PolicyViolation::Reused { last: 5 }),
        ] {
            let Err(Error::Policy(found)) = reset(&house, &token, bad).await else { panic!("{bad}") };
            assert_eq!(found, [expected]);
        }
        let (done, lines) = house.lines_of(reset(&house, &token, OTHER_PASSWORD)).await;
        assert!(!done.unwrap().unwrap().must_change_password);
        assert_eq!(lines, ["recovery.reset success", "user.password.change success", "session.end success"]);
        assert!(house.session(&cookie).await.is_none(), "its sessions ended");
        assert_eq!(refusal(&house.try_sign_in("ada", PASSWORD).await), Refusal::Denied);
        house.sign_in("ada", OTHER_PASSWORD).await;

        assert!(is_dead(&reset(&house, &token, THIRD_PASSWORD).await));
        assert_eq!(look(&house, LinkKind::PasswordReset, &token).await, None);
        house.sign_in("ada", OTHER_PASSWORD).await;
        assert_eq!(house.hash_of(ada.id).await.matches("argon2id").count(), 1);
        house.check().await;
    }

    async fn of_two_who_come_with_one_link_one_is_refused(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        let token = token(&house, "ada").await;
        let (one, other) = futures_util::future::join(
            reset(&house, &token, OTHER_PASSWORD),
            reset(&house, &token, THIRD_PASSWORD),
        )
        .await;
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
        let (good, bad) = if one.is_ok() { (OTHER_PASSWORD, THIRD_PASSWORD) } else { (THIRD_PASSWORD, OTHER_PASSWORD) };
        house.sign_in("ada", good).await;
        assert_eq!(refusal(&house.try_sign_in("ada", bad).await), Refusal::Denied);
        house.check().await;
    }

    async fn a_link_dies_with_every_change_and_with_the_next_link(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let of = (house.id(), ada.id);
        let dead = async |token: &str, why: &str| {
            assert_eq!(look(&house, LinkKind::PasswordReset, token).await, None, "{why}");
            assert!(is_dead(&reset(&house, token, THIRD_PASSWORD).await), "{why}");
        };

        let first = token(&house, "ada").await;
        let second = token(&house, "lovelace@example.org").await;
        dead(&first, "a second request").await;
        assert!(look(&house, LinkKind::PasswordReset, &second).await.is_some());

        let passwords = house.identity.passwords();
        passwords.set(of, Secret::new(OTHER_PASSWORD), false, &Cause::operator()).await.unwrap();
        dead(&second, "a password that an administrator set").await;

        let third = token(&house, "ada").await;
        let admitted = house.sign_in("ada", OTHER_PASSWORD).await.admitted;
        let (current, new) = (Secret::new(OTHER_PASSWORD), Secret::new("Fourth-lantern-oak"));
        passwords.change_own(&admitted, current, new, &origin("192.0.2.1")).await.unwrap().unwrap();
        dead(&third, "a password that the user changed").await;

        house.advance(3_601);
        let fourth = token(&house, "ada").await;
        change_email(&house, ada.id, "ada@example.com").await;
        dead(&fourth, "another e-mail address").await;
        change_email(&house, ada.id, "Lovelace@Example.org").await;
        dead(&fourth, "the former address again").await;

        let fifth = token(&house, "ada").await;
        house.advance(1_800);
        dead(&fifth, "its time is over").await;

        for (change, back) in [
            (StateChange::Disable, Some(StateChange::Enable)),
            (StateChange::Lock, Some(StateChange::Unlock)),
            (StateChange::Archive, None),
        ] {
            house.advance(3_601);
            let late = token(&house, "ada").await;
            house.change_state(ada.id, change).await;
            dead(&late, "the account is out of use").await;
            if let Some(back) = back {
                house.change_state(ada.id, back).await;
            }
        }
        house.check().await;
    }

    async fn mail_that_waits_dies_with_its_link(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        ask(&house, "ada").await.unwrap();
        ask(&house, "ada").await.unwrap();
        let waiting = claim(&house.identity).await;
        assert_eq!(waiting.len(), 1, "only the newest is sent");
        change_email(&house, ada.id, "ada@example.com").await;
        let outbox = house.identity.recovery().outbox();
        let mut waiting = waiting;
        let (settled, lines) =
            house.lines_of(outbox.settle(waiting.remove(0), SendOutcome::Later("no".to_owned()))).await;
        settled.unwrap();
        assert_eq!(lines, Vec::<String>::new());
        house.advance(600);
        assert!(claim(&house.identity).await.is_empty());
        let records = house.identity.recovery().mail_of(house.id(), ada.id).await.unwrap();
        assert_eq!(records.iter().map(|r| r.state).collect::<Vec<_>>(), [MailState::Dropped; 2]);
        assert_eq!(number(&house, &KEPT_TEXTS).await, 0, "its content is erased");
        house.check().await;
    }

    /// Text, cost and traces: nothing tells an account that is not there from one that is.
    async fn asking_for_nobody_looks_and_works_alike(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        house.try_user(Some("bob"), None, Credential::Password(Secret::new(PASSWORD))).await.unwrap();
        let eve = house.try_user(Some("eve"), Some("eve@example.org"), Credential::None).await.unwrap();
        house.change_state(eve.id, StateChange::Disable).await;
        let mut expected = 0;
        for (name, line) in [
            ("ada", "recovery.request success"),
            ("nobody", "recovery.request refused unknown_user"),
            ("bob", "recovery.request refused no_email"),
            ("eve@example.org", "recovery.request refused user_disabled"),
            ("", "recovery.request refused unknown_user"),
            ("\u{0}\u{202e}", "recovery.request refused unknown_user"),
        ] {
            let (asked, lines) = house.lines_of(ask(&house, name)).await;
            assert_eq!((asked, lines), (Ok(()), vec![line.to_owned()]), "{name:?}");
            expected += 1;
            assert_eq!(number(&house, &MESSAGES).await, expected, "the same rows for {name:?}");
            assert_eq!(number(&house, &LINKS).await, expected, "the same rows for {name:?}");
        }
        assert_eq!(claim(&house.identity).await.len(), 1, "one of them is sent");
        let log = house.log().await;
        assert!(log.iter().all(|entry| !format!("{entry:?}").contains("nobody@")));
        house.advance(40 * 86_400);
        house.identity.recovery().prune().await.unwrap();
        assert_eq!((number(&house, &MESSAGES).await, number(&house, &LINKS).await), (0, 0));
        let _ = ada;
        house.check().await;
    }

    async fn nobody_is_flooded_and_nobody_learns_of_it(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        for number in 0..8 {
            // By both names, from many addresses.
            let name = if number % 2 == 0 { "ada" } else { "LOVELACE@example.org" };
            assert_eq!(ask_from(&house, &format!("192.0.2.{number}"), name).await, Ok(()));
        }
        assert_eq!(house.lines().await.iter().filter(|l| *l == "recovery.request success").count(), 4);
        let last = house.lines().await.pop();
        assert_eq!(last.as_deref(), Some("recovery.request refused throttled"));
        for number in 0..28 {
            assert_eq!(ask_from(&house, "198.51.100.7", &format!("name{number}")).await, Ok(()), "{number}");
        }
        let _ = ask_from(&house, "198.51.100.7", "ada").await;
        let _ = ask_from(&house, "198.51.100.7", "ada").await;
        let refused = ask_from(&house, "198.51.100.7", "one more").await;
        assert!(matches!(refused, Err(Refusal::Throttled { .. })), "{refused:?}");
        house.advance(3_601);
        assert_eq!(ask_from(&house, "198.51.100.7", "ada").await, Ok(()));
        assert_eq!(claim(&house.identity).await.len(), 1);
        house.check().await;
    }

    async fn a_reset_forgives_the_guesses_before_it(engine: Engine) {
        let mut settings = TenantSettings::default();
        settings.throttle.free_failures = 1;
        settings.throttle.first_delay_s = 600;
        let house = house_with(engine, settings).await;
        house.ada().await;
        house.try_sign_in("ada", "wrong").await;
        house.try_sign_in("ada", "wrong").await;
        assert!(is_throttled(&house.try_sign_in("ada", PASSWORD).await));
        let token = token(&house, "ada").await;
        reset(&house, &token, OTHER_PASSWORD).await.unwrap().unwrap();
        house.sign_in("ada", OTHER_PASSWORD).await;
        house.check().await;
    }

    async fn who_has_no_password_yet_gets_a_first_one(engine: Engine) {
        let house = house(engine).await;
        let bob = house.try_user(Some("bob"), Some("bob@example.org"), Credential::None).await.unwrap();
        let recovery = house.identity.recovery();
        let cause = Cause::operator();
        let sent = recovery.send_password_reset((house.id(), bob.id), &cause);
        let (mail, lines) = house.lines_of(sent).await;
        assert_eq!(lines, ["recovery.request success"]);
        let waiting = claim(&house.identity).await;
        assert_eq!(waiting[0].id, mail.unwrap());
        assert!(waiting[0].message.subject.starts_with("Choose a new password"), "nobody named a language");
        let token = token_of(&waiting[0]);
        reset(&house, &token, PASSWORD).await.unwrap().unwrap();
        house.sign_in("bob", PASSWORD).await;
        assert!(is_dead(&reset(&house, &token, OTHER_PASSWORD).await));
        house.check().await;
    }

    async fn an_address_is_confirmed_by_its_link(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        assert!(!ada.email_verified);
        let recovery = house.identity.recovery();
        let of = (house.id(), ada.id);
        let asked = recovery.request_email_verification(of, Some("en"), &origin("192.0.2.1")).await.unwrap();
        assert_eq!(asked, Ok(()));
        let [token] = &deliver(&house).await[..] else { panic!("one message") };
        assert!(token.starts_with("kr_ev_"));
        assert!(look(&house, LinkKind::EmailVerification, token).await.is_some());
        assert!(is_dead(&reset(&house, token, OTHER_PASSWORD).await), "it resets no password");
        let (done, lines) = house.lines_of(verify(&house, token)).await;
        assert!(done.unwrap().email_verified);
        assert_eq!(lines, ["email.verify success"]);
        let now = house.identity.users().get(house.id(), ada.id).await.unwrap();
        assert!(now.email_verified && now.version == ada.version + 1);
        assert_eq!(verify(&house, token).await.unwrap_err(), Refusal::Denied);

        // Another address is another matter.
        let late = recovery.send_email_verification(of, &Cause::operator()).await;
        late.unwrap();
        let [late] = &deliver(&house).await[..] else { panic!("one message") };
        change_email(&house, ada.id, "ada@example.com").await;
        let now = house.identity.users().get(house.id(), ada.id).await.unwrap();
        assert!(!now.email_verified);
        assert_eq!(verify(&house, late).await.unwrap_err(), Refusal::Denied);
        house.check().await;
    }

    async fn a_user_asks_for_confirmation_only_so_often(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let of = (house.id(), ada.id);
        let recovery = house.identity.recovery();
        for _ in 0..4 {
            let asked = recovery.request_email_verification(of, None, &origin("192.0.2.1")).await.unwrap();
            assert_eq!(asked, Ok(()));
        }
        let asked = recovery.request_email_verification(of, None, &origin("192.0.2.9")).await.unwrap();
        assert!(matches!(asked, Err(Refusal::Throttled { .. })));
        recovery.send_email_verification(of, &Cause::operator()).await.unwrap();
        house.check().await;
    }

    async fn administrators_are_told_why_mail_cannot_go(engine: Engine) {
        let house = house(engine).await;
        let bob = house.try_user(Some("bob"), None, Credential::None).await.unwrap();
        let ada = house.ada().await;
        house.change_state(ada.id, StateChange::Lock).await;
        let recovery = house.identity.recovery();
        let send = async |user| {
            let answer = recovery.send_password_reset((house.id(), user), &Cause::operator()).await;
            answer.unwrap_err().to_string()
        };
        assert_eq!(send(bob.id).await, "email is missing: there is nowhere to send mail to");
        assert_eq!(send(ada.id).await, "user is disabled or locked, and gets no mail");
        assert_eq!(send(house.test.world.new_id()).await, "there is no such user");
        let without = IdentityOptions { mail: None, ..options(64) };
        let master = MasterKey::from_text(&house.master_text).unwrap().into();
        let (store, world) = (house.test.store.clone(), house.test.world.clone());
        let without = Identity::new(store, world, master, &without).unwrap();
        assert!(!without.recovery().is_available() && recovery.is_available());
        let of = (house.id(), ada.id);
        let error = without.recovery().send_password_reset(of, &Cause::operator()).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { field: "mail", .. }), "{error}");
        house.check().await;
    }

    async fn a_link_is_of_one_tenant(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        let settings = TenantSettings::default();
        let new = NewTenant { slug: "acme".to_owned(), name: "Acme".to_owned(), settings };
        let acme = house.identity.tenants().create(new, &Cause::operator()).await.unwrap();
        let token = token(&house, "ada").await;
        let password = Secret::new(OTHER_PASSWORD);
        let (recovery, from) = (house.identity.recovery(), origin("192.0.2.1"));
        assert!(is_dead(&recovery.reset_password(acme.id, &token, password, &from).await));
        assert!(look(&house, LinkKind::PasswordReset, &token).await.is_some());

        let request =
            ResetRequest { tenant: acme.id, identifier: "ada", language: None, origin: origin("192.0.2.1") };
        house.identity.recovery().request_password_reset(request).await.unwrap().unwrap();
        assert!(claim(&house.identity).await.is_empty(), "nobody there is called so");

        let patch = TenantPatch { enabled: Some(false), ..TenantPatch::default() };
        let tenants = house.identity.tenants();
        tenants.update(house.id(), house.tenant.version, patch, &Cause::operator()).await.unwrap();
        assert!(is_dead(&reset(&house, &token, OTHER_PASSWORD).await));
    }

    async fn what_is_no_token_is_refused_without_a_trace(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        let long = format!("kr_pr_{}", "x".repeat(100_000));
        for bad in ["", "kr_pr_", "kr_ev_x", "x", &long, "kr_pr_\0", "kr_pr_ä' OR 1=1 --"] {
            let (answer, lines) = house.lines_of(reset(&house, bad, OTHER_PASSWORD)).await;
            assert!(is_dead(&answer));
            assert_eq!(lines, Vec::<String>::new());
            assert_eq!(look(&house, LinkKind::PasswordReset, bad).await, None);
        }
        house.check().await;
    }

    async fn of_two_nodes_one_sends(engine: Engine) {
        let house = house(engine).await;
        house.ada().await;
        ask(&house, "ada").await.unwrap();
        let other = house.over(house.test.store.clone(), 64);
        let (one, two) = futures_util::future::join(claim(&house.identity), claim(&other)).await;
        assert_eq!(one.len() + two.len(), 1);
        let first = one.into_iter().chain(two).next().unwrap();
        assert!(claim(&other).await.is_empty());
        // The node that had it dies: after a while another one takes it, as the same message.
        house.advance(121);
        let [again] = &claim(&other).await[..] else { panic!("one message") };
        assert_eq!(again.id, first.id);
        // The one that was thought dead has no say any more.
        house.identity.recovery().outbox().settle(first, SendOutcome::Never("late".to_owned())).await.unwrap();
        assert_eq!(number(&house, &KEPT_TEXTS).await, 1);
        house.check().await;
    }

    async fn mail_is_tried_again_and_then_given_up(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        ask(&house, "ada").await.unwrap();
        let outbox = house.identity.recovery().outbox();
        let mut attempts = 0;
        for _ in 0..200 {
            for outgoing in claim(&house.identity).await {
                attempts += 1;
                outbox.settle(outgoing, SendOutcome::Later("the mail server answered 451".to_owned())).await.unwrap();
            }
            house.advance(15);
        }
        // At 0, 15, 75, 315 and 1275 seconds; the link is dead before the next.
        assert_eq!(attempts, 5);
        let [record] = &house.identity.recovery().mail_of(house.id(), ada.id).await.unwrap()[..] else { panic!() };
        assert_eq!((record.state, record.attempts), (MailState::Failed, 5));
        assert_eq!(record.problem.as_deref(), Some("the mail server answered 451"));
        assert_eq!(
            house.lines().await.pop().as_deref(),
            Some("mail.send refused the mail server answered 451")
        );
        assert_eq!(number(&house, &KEPT_TEXTS).await, 0, "its content is erased");
        house.check().await;
    }

    async fn mail_that_was_sent_is_known_but_not_what_it_said(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        token(&house, "ada").await;
        let [record] = &house.identity.recovery().mail_of(house.id(), ada.id).await.unwrap()[..] else { panic!() };
        assert_eq!((record.state, record.kind, record.attempts), (MailState::Sent, LinkKind::PasswordReset, 1));
        assert_eq!(house.lines().await.pop().as_deref(), Some("mail.send success"));
        assert_eq!(number(&house, &KEPT_TEXTS).await, 0);
        // One that nobody sent in time is given up by the pruning, and forgotten a month later.
        ask(&house, "ada").await.unwrap();
        house.advance(1_801);
        assert!(claim(&house.identity).await.is_empty());
        house.identity.recovery().prune().await.unwrap();
        assert_eq!(house.lines().await.pop().as_deref(), Some("mail.send refused it was not sent in its time"));
        assert_eq!(number(&house, &KEPT_TEXTS).await, 0);
        house.check().await;
    }
}
