//! One-time codes beside the password.

use crate::house::{House, OTHER_PASSWORD, PASSWORD, house, origin, refusal, ticket};
use keyreeve_base::Timestamp;
use keyreeve_crypto::{Secret, SecretBytes};
use keyreeve_identity::{
    Cause, Error, FinishPasswordChange, FinishSecondFactor, ImportedTotp, Method, PasswordAttempt, Refusal,
    SignIn, StateChange, TotpAlgorithm, TotpParameters, User,
};
use keyreeve_store::Tx;
use keyreeve_testkit::{Engine, on_both_engines};
use std::sync::Arc;
use totp_rs::{Algorithm, Builder, Secret as TotpSecret};

/// What an authenticator app shows at this moment.
fn app(secret: &Secret, at: Timestamp) -> Secret {
    let secret = TotpSecret::try_from_base32(secret.expose()).unwrap();
    let totp = Builder::new().with_secret(secret).build().unwrap();
    Secret::new(&totp.generate(at.seconds().try_into().unwrap()).to_string())
}

struct Phone {
    ada: Arc<User>,
    secret: Secret,
    recovery: Vec<Secret>,
}

/// Ada with a device in use.
async fn phone(house: &House) -> Phone {
    let ada = house.ada().await;
    let admitted = house.sign_in("ada", PASSWORD).await.admitted;
    let (factors, from) = (house.identity.second_factors(), origin("192.0.2.1"));
    let begun = factors.begin(&admitted, " Phone ", Secret::new(PASSWORD), &from).await.unwrap().unwrap();
    let uri = begun.uri.expose();
    assert!(
        uri.starts_with("otpauth://totp/Example:Ada?secret=") && uri.contains(begun.secret.expose()),
        "{uri}"
    );
    // Until it has shown a code it counts for nothing.
    house.sign_in("ada", PASSWORD).await;
    let wrong = factors.confirm(&admitted, begun.id, &Secret::new("000000"), &from).await.unwrap();
    assert_eq!(wrong.map(drop), Err(Refusal::Denied));
    let code = app(&begun.secret, house.test.world.now());
    let codes = factors.confirm(&admitted, begun.id, &code, &from).await.unwrap().unwrap().unwrap();
    assert_eq!(codes.0.len(), 10);
    house.advance(60);
    Phone { ada, secret: begun.secret, recovery: codes.0 }
}

fn code_ticket(answer: &SignIn) -> String {
    match answer {
        SignIn::NeedsCode { ticket } => ticket.clone(),
        other => panic!("no code was asked for: {other:?}"),
    }
}

async fn finish(house: &House, ticket: &str, code: &Secret) -> SignIn {
    let finish = FinishSecondFactor {
        tenant: house.id(),
        ticket,
        code: code.duplicate(),
        old_cookie: None,
        origin: origin("192.0.2.1"),
    };
    house.identity.admission().finish_second_factor(finish).await.unwrap()
}

on_both_engines! {
    async fn a_code_is_asked_for_and_lets_in(engine: Engine) {
        let house = house(engine).await;
        let phone = phone(&house).await;
        let ticket = code_ticket(&house.try_sign_in("ada", PASSWORD).await);
        let now = app(&phone.secret, house.test.world.now());
        let SignIn::SignedIn { session, admitted, .. } = finish(&house, &ticket, &now).await else { panic!("refused") };
        assert_eq!(admitted.amr(), ["pwd", "otp", "mfa"]);
        assert_eq!(session.amr[..], ["pwd".to_owned(), "otp".to_owned(), "mfa".to_owned()]);
        let factors = house.identity.second_factors().of(house.id(), phone.ada.id).await.unwrap();
        assert_eq!(factors.devices[0].name, "Phone");
        assert_eq!(factors.devices[0].last_used_at, Some(house.test.world.now()));
        // A wrong password is refused as ever, and says nothing of a second factor.
        assert_eq!(refusal(&house.try_sign_in("ada", OTHER_PASSWORD).await), Refusal::Denied);
        house.check().await;
    }

    /// AC-17, AC-25: a code is good once, also when it comes twice at the same moment.
    async fn ac_25_a_code_is_good_once(engine: Engine) {
        let house = house(engine).await;
        let phone = phone(&house).await;
        let code = app(&phone.secret, house.test.world.now());
        let tickets = [
            code_ticket(&house.try_sign_in("ada", PASSWORD).await),
            code_ticket(&house.try_sign_in("ada", PASSWORD).await),
        ];
        let (one, two) = tokio::join!(finish(&house, &tickets[0], &code), finish(&house, &tickets[1], &code));
        let good = [&one, &two].into_iter().filter(|done| matches!(done, SignIn::SignedIn { .. })).count();
        assert_eq!(good, 1, "{one:?} {two:?}");
        assert_eq!(refusal(&finish(&house, &tickets[0], &code).await), Refusal::Denied);
        // Nor is an earlier step good once a later one was used.
        house.advance(30);
        let (early, late) = (app(&phone.secret, house.test.world.now()), {
            house.advance(30);
            app(&phone.secret, house.test.world.now())
        });
        let ticket = code_ticket(&house.try_sign_in("ada", PASSWORD).await);
        assert!(matches!(finish(&house, &ticket, &late).await, SignIn::SignedIn { .. }));
        assert_eq!(refusal(&finish(&house, &ticket, &early).await), Refusal::Denied);
        house.check().await;
    }

    /// AC-25: whoever knows the password still cannot try codes until one fits.
    async fn ac_25_guessing_codes_is_slow(engine: Engine) {
        let house = house(engine).await;
        let phone = phone(&house).await;
        let wrong = Secret::new("000001");
        let mut looked_at = 0;
        for _ in 0..200 {
            // A fresh ticket, and so a right password, starts nothing anew.
            let ticket = code_ticket(&house.try_sign_in("ada", PASSWORD).await);
            match refusal(&finish(&house, &ticket, &wrong).await) {
                Refusal::Denied => looked_at += 1,
                Refusal::Throttled { .. } => {}
                Refusal::Busy { .. } => panic!("busy"),
            }
            house.advance(1);
        }
        assert!((5..=20).contains(&looked_at), "{looked_at} guesses in 200 s");
        // It ends by itself: nobody is locked out for good (AC-26).
        house.advance(900);
        let ticket = code_ticket(&house.try_sign_in("ada", PASSWORD).await);
        let code = app(&phone.secret, house.test.world.now());
        assert!(matches!(finish(&house, &ticket, &code).await, SignIn::SignedIn { .. }));
        house.check().await;
    }

    async fn a_recovery_code_is_good_once_and_however_it_is_typed(engine: Engine) {
        let house = house(engine).await;
        let phone = phone(&house).await;
        let typed = Secret::new(&phone.recovery[3].expose().replace('-', " "));
        let ticket = code_ticket(&house.try_sign_in("ada", PASSWORD).await);
        let done = finish(&house, &ticket, &typed).await;
        let SignIn::SignedIn { admitted, .. } = done else { panic!("refused: {done:?}") };
        assert_eq!(admitted.amr(), ["pwd", "mfa"]);
        assert_eq!(refusal(&finish(&house, &ticket, &typed).await), Refusal::Denied);
        let factors = house.identity.second_factors();
        assert_eq!(factors.of(house.id(), phone.ada.id).await.unwrap().recovery_codes, 9);
        let from = origin("192.0.2.1");
        let renewed = factors.renew_codes(&admitted, Secret::new(PASSWORD), &from).await.unwrap().unwrap();
        assert_eq!(refusal(&finish(&house, &ticket, &phone.recovery[0]).await), Refusal::Denied);
        assert!(matches!(finish(&house, &ticket, &renewed.0[0]).await, SignIn::SignedIn { .. }));
        house.check().await;
    }

    /// AC-27: no other way in with a password goes round the second factor.
    async fn ac_27_the_password_alone_is_not_enough_anywhere(engine: Engine) {
        let house = house(engine).await;
        let phone = phone(&house).await;
        let attempt = PasswordAttempt {
            tenant: house.id(),
            identifier: "ada",
            password: Secret::new(PASSWORD),
            origin: origin("192.0.2.1"),
            method: Method::PasswordGrant,
            device: None,
        };
        let proof = house.identity.admission().prove_password(attempt).await.unwrap().unwrap();
        let identity = house.identity.clone();
        let admitted = house
            .test
            .store
            .write(async move |tx: &mut Tx<'_>| -> Result<_, Error> {
                identity.admission().admit(tx, &proof, &origin("192.0.2.1")).await
            })
            .await
            .unwrap();
        assert_eq!(admitted.map(drop), Err(Refusal::Denied));
        // A ticket to show a code is none to choose a password, and one from before the factor is not enough.
        let code_step = code_ticket(&house.try_sign_in("ada", PASSWORD).await);
        let change = |ticket: String| {
            let identity = house.identity.clone();
            let tenant = house.id();
            async move {
                let password = Secret::new(OTHER_PASSWORD);
                let origin = origin("192.0.2.1");
                let finish = FinishPasswordChange { tenant, ticket: &ticket, password, old_cookie: None, origin };
                identity.admission().finish_password_change(finish).await.unwrap()
            }
        };
        assert_eq!(refusal(&change(code_step.clone()).await), Refusal::Denied);
        house.change_state(phone.ada.id, StateChange::RequirePasswordChange).await;
        let code = app(&phone.secret, house.test.world.now());
        let forced = ticket(finish(&house, &code_step, &code).await);
        let done = change(forced).await;
        let SignIn::SignedIn { admitted, .. } = done else { panic!("{done:?}") };
        assert_eq!(admitted.amr(), ["pwd", "otp", "mfa"], "what was shown before the change counts on");
        house.check().await;
    }

    async fn a_device_is_removed_with_the_password_and_by_an_administrator_without(engine: Engine) {
        let house = house(engine).await;
        let phone = phone(&house).await;
        let ticket = code_ticket(&house.try_sign_in("ada", PASSWORD).await);
        let code = app(&phone.secret, house.test.world.now());
        let SignIn::SignedIn { admitted, .. } = finish(&house, &ticket, &code).await else { panic!("refused") };
        let (factors, from) = (house.identity.second_factors(), origin("192.0.2.1"));
        let device = factors.of(house.id(), phone.ada.id).await.unwrap().devices[0].id;
        let wrong = factors.remove(&admitted, device, Secret::new(OTHER_PASSWORD), &from).await.unwrap();
        assert_eq!(wrong, Err(Refusal::Denied));
        factors.remove(&admitted, device, Secret::new(PASSWORD), &from).await.unwrap().unwrap();
        assert_eq!(factors.of(house.id(), phone.ada.id).await.unwrap(), Default::default());
        house.sign_in("ada", PASSWORD).await;

        // Again, and lost.
        let begun = factors.begin(&admitted, "Other", Secret::new(PASSWORD), &from).await.unwrap().unwrap();
        let code = app(&begun.secret, house.test.world.now());
        factors.confirm(&admitted, begun.id, &code, &from).await.unwrap().unwrap();
        code_ticket(&house.try_sign_in("ada", PASSWORD).await);
        factors.reset((house.id(), phone.ada.id), &Cause::operator()).await.unwrap();
        house.sign_in("ada", PASSWORD).await;
        house.check().await;
    }

    async fn a_device_of_another_system_goes_on(engine: Engine) {
        let house = house(engine).await;
        let ada = house.ada().await;
        let secret = b"a secret of 22 bytes..".to_vec();
        let parameters = TotpParameters { algorithm: TotpAlgorithm::Sha256, digits: 8, period_s: 60 };
        let device = ImportedTotp { name: "Old".to_owned(), secret: SecretBytes::from(secret.clone()), parameters };
        let sealer = house.identity.tenants().sealer(house.id()).await.unwrap();
        let prepared = house.identity.second_factors().prepare(&sealer, ada.id, &device).unwrap();
        let (identity, tenant) = (house.identity.clone(), house.id());
        house
            .test
            .store
            .write(async move |tx: &mut Tx<'_>| identity.second_factors().import(tx, tenant, &prepared).await)
            .await
            .unwrap();
        let totp = Builder::new()
            .with_algorithm(Algorithm::SHA256)
            .with_digits(8)
            .with_step_duration(60)
            .with_secret(secret)
            .build()
            .unwrap();
        let ticket = code_ticket(&house.try_sign_in("ada", PASSWORD).await);
        let code = totp.generate(house.test.world.now().seconds().try_into().unwrap()).to_string();
        assert!(matches!(finish(&house, &ticket, &Secret::new(&code)).await, SignIn::SignedIn { .. }));
        // What cannot be used is refused by name.
        let bad = TotpParameters { digits: 9, ..parameters };
        let device = ImportedTotp { parameters: bad, ..device };
        let error = house.identity.second_factors().prepare(&sealer, ada.id, &device).map(drop).unwrap_err();
        assert_eq!(error.to_string(), "totp.digits must be 6, 7 or 8");
        house.check().await;
    }
}
