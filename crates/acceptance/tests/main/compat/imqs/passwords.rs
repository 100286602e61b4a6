//! Passwords: set, changed, checked, and chosen anew by mail.

use super::house::{ADMIN, JACK, JOE, basic, says};
use super::{House, on_imqs, on_imqs_with};
use keyreeve_acceptance::{Answer, Engine, Setup, StandIn};
use keyreeve_crypto::SecretBytes;
use keyreeve_identity::{ImportedTotp, TotpParameters};
use keyreeve_store::Tx;
use keyreeve_testkit::{MailServer, Manner, block_on};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

const INVALID_TOKEN: &str = "Could not verify password reset token: Invalid password token";

async fn set(house: &House, who: (&str, &str), id: &str, password: &str) -> Answer {
    house.post(who, "/set_password", &[("userid", id), ("password", password)]).await
}

on_imqs! {
    async fn b06_nobody_sets_anothers_password(house: &House) {
        says(&set(house, JOE, "2", "x").await, 403, "You are not an administrator");
        house.login(JACK).await.check(200);
    }

    async fn b07_a_new_password_ends_every_session(house: &House) {
        let cookie = house.cookie(JOE).await;
        says(&set(house, JOE, "1", "123").await, 200, "Password changed");
        says(&house.check(&cookie).await, 403, "Invalid session token");
        says(&house.get(JOE, "/check").await, 403, "Invalid password");
        says(&set(house, ("joe", "123"), "1", "JOE").await, 200, "Password changed");
        says(&set(house, ADMIN, "1", "456").await, 200, "Password changed");
        house.login(("joe", "456")).await.check(200);
        // The header comes before the query.
        let call = house.by(ADMIN, "POST", "/set_password").query(&[("userid", "1"), ("password", "a")]);
        call.header("x-newpassword", " JOE ").send().await.check(200);
        house.login(JOE).await.check(200);
        says(&set(house, ADMIN, "1", "").await, 400, "Empty new password");
        says(&set(house, ADMIN, "", "x").await, 400, "No userid specified");
    }

    async fn a_number_that_nobody_has_is_told_so(house: &House) {
        house.server.expect_failures();
        let text = "Could not update password: Identity authorization not found";
        says(&set(house, ADMIN, "999", "x").await, 500, text);
    }

    async fn b28_without_a_rule_a_password_may_be_used_again(house: &House) {
        for _ in 0..2 {
            set(house, ADMIN, "1", "same").await.check(200);
        }
    }

    async fn b33_a_password_is_changed_and_checked_by_the_present_one(house: &House) {
        let update = async |identity: &str, old: &str, new: &str| {
            let call = house.call("POST", "/update_password").query(&[("email", identity)]);
            call.header("x-oldpassword", old).header("x-newpassword", new).send().await
        };
        says(&update("", "a", "b").await, 400, "Empty identity");
        says(&update("joe", "", "b").await, 400, "Empty old password");
        says(&update("joe", "a", "").await, 400, "Empty new password");
        says(&update("joe", "a", "b").await, 403, "Invalid password");
        says(&update("nobody", "a", "b").await, 403, "Identity authorization not found");
        says(&update("joeusername", "JOE", "new").await, 200, "Password changed");
        let check = async |who| house.by(who, "POST", "/check_password").send().await;
        says(&check(("joe", "new")).await, 200, "Password verified");
        says(&check(JOE).await, 403, "Invalid password");
        says(&check(("nobody", "x")).await, 400, "Identity authorization not found");
        says(&check(("", "x")).await, 401, "Identity may not be empty");
        house.call("POST", "/check_password").send().await.check(400);
        // Neither a permit nor a session is asked for.
        house.put(ADMIN, "/create_user", &[("email", "sam"), ("password", "x")]).await.check(200);
        says(&check(("sam", "x")).await, 200, "Password verified");
    }

    async fn ac_22_every_door_of_the_dialect_counts_the_guesses(house: &House) {
        let guess = async |round: usize| match round % 4 {
            0 => house.login(("joe", "x")).await,
            1 => house.get(("joe", "x"), "/check").await,
            2 => house.by(("joe", "x"), "POST", "/check_password").send().await,
            _ => {
                let call = house.call("POST", "/update_password").query(&[("email", "joe")]);
                call.header("x-oldpassword", "x").header("x-newpassword", "y").send().await
            }
        };
        for round in 0..5 {
            assert!(guess(round).await.status.is_client_error());
        }
        for round in 0..4 {
            guess(round).await.check(429);
        }
        let cookie = house.cookie(JACK).await;
        house.check(&cookie).await.check(200);
        // And the page for people knows of them.
        let counted = house.mount.refusals("admission.password").await;
        assert!(counted.iter().filter(|reason| *reason == "wrong_password").count() >= 5);
        assert!(counted.iter().any(|reason| reason == "throttled"));
    }

    async fn ac_27_a_second_factor_is_not_passed_by(house: &House) {
        let (identity, tenant, joe) = (house.server.identity(), house.mount.id(), house.user("joe").await);
        let secret = SecretBytes::from(b"twenty bytes of it!!".to_vec());
        let totp = ImportedTotp { name: "Telephone".to_owned(), secret, parameters: TotpParameters::default() };
        let sealer = identity.tenants().sealer(tenant).await.unwrap();
        let prepared = Arc::new(identity.second_factors().prepare(&sealer, joe, &totp).unwrap());
        let rooms = identity.clone();
        let import = async move |tx: &mut Tx<'_>| rooms.second_factors().import(tx, tenant, &prepared).await;
        house.server.store().write(import).await.unwrap();
        let text = "Unsupported operation: this account signs in with a second factor";
        says(&house.login(JOE).await, 401, text);
        says(&house.get(JOE, "/check").await, 403, text);
        says(&house.login(("joe", "x")).await, 401, "Invalid password");
    }
}

on_imqs_with! {
    r#"{"Authaus": {"UserStore": {"DisablePasswordReuse": true, "PasswordExpirySeconds": 100, "UsersExemptFromExpiring": ["adminUsername"]}}}"#;
    async fn b28_a_recent_password_is_refused_and_an_old_one_is_not(house: &House) {
        house.server.expect_failures();
        for n in 0..=20 {
            set(house, ADMIN, "1", &format!("password{n}")).await.check(200);
        }
        for recent in ["password20", "password10"] {
            says(&set(house, ADMIN, "1", recent).await, 500, "Invalid previously used password");
        }
        says(&set(house, ADMIN, "1", "password1").await, 200, "Password changed");
    }

    async fn a_password_that_is_too_old_signs_nobody_in(house: &House) {
        let soon = house.login(JOE).await.expect(200);
        assert!(soon.header("set-cookie").is_some());
        house.server.advance(101);
        says(&house.login(JOE).await, 401, "Password has expired");
        says(&house.get(JOE, "/check").await, 403, "Password has expired");
        house.login(ADMIN).await.check(200);
        let call = house.call("POST", "/update_password").query(&[("email", "joe")]);
        call.header("x-oldpassword", "JOE").header("x-newpassword", "JOE2").send().await.check(200);
        house.login(("joe", "JOE2")).await.check(200);
    }
}

/// What a link in a letter says, decoded.
fn linked(link: &str) -> HashMap<String, String> {
    let (_, fragment) = link.split_once("/#").unwrap();
    url::form_urlencoded::parse(fragment.as_bytes()).into_owned().collect()
}

async fn finish(house: &House, id: &str, token: &str, password: &str) -> Answer {
    let call = house.call("POST", "/reset_password_finish").query(&[("userid", id)]);
    call.header("x-resettoken", token).header("x-newpassword", password).send().await
}

async fn start(house: &House, name: &str, value: &str) -> Answer {
    house.call("POST", "/reset_password_start").query(&[(name, value)]).send().await
}

async fn with_address(house: &House) {
    let update =
        [("userid", "1"), ("authusertype", "DEFAULT"), ("email", "joe@example.org"), ("username", "joe")];
    house.post(ADMIN, "/update_user", &update).await.check(200);
}

fn reset_by_mail(engine: Engine) {
    block_on(async {
        let mail = MailServer::start().await;
        let setup = Setup::new(engine)
            .set("KEYREEVE_SMTP_URL", &mail.url())
            .set("KEYREEVE_MAIL_FROM", "keys@id.example");
        let config = r#"{"ForbiddenPasswords": ["hunter2"], "Authaus": {"UserStore": {"DisablePasswordReuse": true}}, "Keyreeve": {"HostnameURL": "https://plant.example/"}}"#;
        let house = House::start(setup, config).await;
        house.server.expect_failures();
        with_address(&house).await;
        says(&start(&house, "identity", "nobody").await, 400, "Identity authorization not found");
        says(&start(&house, "x", "").await, 400, "No userid specified");
        for (n, (name, value)) in
            [("identity", "joe"), ("email", "JOE@example.org"), ("userid", "1")].iter().enumerate()
        {
            // Whatever the request says its host is.
            let call = house.call("POST", "/reset_password_start").query(&[(name, value)]);
            let answer = call.header("x-forwarded-host", "evil.example").send().await;
            says(&answer, 200, "");
            let mails = mail.wait_for(n + 1).await;
            assert_eq!(mails[n].header("to").as_deref(), Some("joe@example.org"));
        }
        let mails = mail.mails();
        let links: Vec<String> = mails.iter().map(|mail| mail.link()).collect();
        assert!(
            links.iter().all(|link| link.starts_with("https://plant.example/#resetpassword=true&")),
            "{links:?}"
        );
        let tokens: Vec<String> = links.iter().map(|link| linked(link)["token"].clone()).collect();
        let read = linked(&links[0]);
        assert_eq!((read["userid"].as_str(), read["identity"].as_str()), ("1", "joe@example.org"));
        let (until, random) = tokens[2].split_once('.').unwrap();
        assert_eq!(until.parse::<i64>().unwrap(), house.server.now().seconds() + 86_400);
        assert_eq!(random.len(), 30);

        let cookie = house.cookie(JOE).await;
        says(&finish(&house, "1", &tokens[0], "new").await, 403, INVALID_TOKEN);
        for bad in ["x", "1.2.3", "999999999999.x", &tokens[2].replace('.', ":")] {
            says(&finish(&house, "1", bad, "new").await, 403, INVALID_TOKEN);
        }
        says(&finish(&house, "2", &tokens[2], "new").await, 403, INVALID_TOKEN);
        says(&finish(&house, "999", &tokens[2], "new").await, 403, "Identity authorization not found");
        let headers = "Need the two headers X-ResetToken and X-NewPassword";
        says(&finish(&house, "1", "", "new").await, 400, headers);
        says(&finish(&house, "1", &tokens[2], "").await, 400, headers);
        says(
            &finish(&house, "1", &tokens[2], "hunter2").await,
            400,
            "Password you attempted to set is forbidden by your company policy",
        );
        says(&finish(&house, "1", &tokens[2], "JOE").await, 403, "Invalid previously used password");
        house.login(JOE).await.check(200);
        says(&finish(&house, "1", &tokens[2], "new").await, 200, "Password reset");
        says(&finish(&house, "1", &tokens[2], "other").await, 403, INVALID_TOKEN);
        says(&house.login(JOE).await, 401, "Invalid password");
        says(&house.check(&cookie).await, 403, "Invalid session token");
        house.login(("joe", "new")).await.check(200);

        // A token is over in time, and with any change of the password.
        house.server.advance(60);
        start(&house, "identity", "joe").await.check(200);
        let token = linked(&mail.wait_for(4).await[3].link())["token"].clone();
        set(&house, ADMIN, "1", "changed").await.check(200);
        says(&finish(&house, "1", &token, "x").await, 403, INVALID_TOKEN);
        start(&house, "identity", "joe").await.check(200);
        let token = linked(&mail.wait_for(5).await[4].link())["token"].clone();
        house.server.advance(86_401);
        says(
            &finish(&house, "1", &token, "x").await,
            403,
            "Could not verify password reset token: Password token has expired",
        );

        // An account without a password gets a letter of welcome.
        says(
            &house.put(ADMIN, "/create_user", &[("email", "new@x.org")]).await,
            200,
            "Created identity 'new@x.org'",
        );
        let link = mail.wait_for(6).await[5].link();
        assert_eq!(linked(&link)["welcome"], "true");
        let id = linked(&link)["userid"].clone();
        says(&finish(&house, &id, &linked(&link)["token"], "chosen").await, 200, "Password reset");
        mail.behave(Manner::Refuses(550));
        start(&house, "identity", "joe").await.check(503);
        // Nothing of a token stands in the log.
        let log = format!("{:?}", house.mount.audit().await);
        assert!(tokens.iter().all(|token| !log.contains(token.as_str())));
        house.server.finish().await;
    });
}

#[test]
fn b27_a_forgotten_password_is_replaced_by_mail_sqlite() {
    reset_by_mail(Engine::Sqlite);
}

#[test]
fn b27_a_forgotten_password_is_replaced_by_mail_postgres() {
    reset_by_mail(Engine::Postgres);
}

#[test]
fn the_originals_mail_service_is_asked_in_its_form() {
    block_on(async {
        let service = StandIn::start().await;
        let config = json!({
            "SendMailPassword": "letters", "Keyreeve": {"HostnameURL": "https://plant.example"},
            "SendMailDetails": {"URL": service.url(""), "PasswordReset": {"TemplateName": "reset", "From": "a@b.c"}},
            "Authaus": {"LDAP": {"SysAdminEmail": "root@x.org"}},
        });
        let setup = Setup::new(Engine::Sqlite).set("KEYREEVE_ALLOW_PRIVATE_FETCH", "1");
        let house = House::start(setup, &config.to_string()).await;
        house.server.expect_failures();
        with_address(&house).await;
        start(&house, "identity", "joe").await.check(200);
        let heard = service.next().await;
        assert_eq!((heard.method.as_str(), heard.body.as_str()), ("POST", ""));
        let (path, query) = heard.target.split_once('?').unwrap();
        let asked: HashMap<String, String> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        assert_eq!(path, "/passwordReset");
        let of = |name: &str| asked[name].as_str();
        assert_eq!((of("email"), of("expireTime"), of("newAccount")), ("joe@example.org", "86400", "false"));
        assert_eq!((of("templateName"), of("from")), ("reset", "a@b.c"));
        let token = linked(of("resetUrl"))["token"].clone();
        service.answer(202, &[], "");
        says(&start(&house, "identity", "joe").await, 503, "Error sending email: 202 Accepted");
        let _ = service.next().await;
        says(&finish(&house, "1", &token, "x").await, 403, INVALID_TOKEN);
        // Whose password is kept by a directory is told whom to ask.
        let update =
            [("userid", "1"), ("authusertype", "LDAP"), ("email", "joe@example.org"), ("username", "joe")];
        house.post(ADMIN, "/update_user", &update).await.check(200);
        service.answer(200, &[], "");
        start(&house, "identity", "joe").await.check(200);
        let heard = service.next().await;
        assert!(
            heard.target.starts_with("/sendEmail?emailTo=joe%40example.org&ishtml=True"),
            "{}",
            heard.target
        );
        assert!(heard.body.contains("root@x.org") && !basic("", "").is_empty());
        house.server.finish().await;
    });
}
