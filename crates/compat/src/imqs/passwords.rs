//! Passwords: set, changed, checked, chosen anew by mail.

use super::call::Call;
use super::catalogue::permission;
use super::credential::{self, Basic};
use super::failure::{Failure, NO_PASSWORD_TO_MAIL, NOT_ADMIN};
use super::people::{Person, kind};
use super::reply::{Answer, Reply};
use super::sign_in::{Attempt, Proved};
use super::{Imqs, mail, schema};
use keyreeve_base::TenantId;
use keyreeve_crypto::{Alphabet, Secret, TokenDigest, constant_time_eq, random_text};
use keyreeve_identity::{Cause, Error, Method, ReadyPassword, User, Weighed};
use keyreeve_store::{Tx, params};
use std::sync::Arc;

/// The random part of a reset token, in characters.
const TOKEN_CHARACTERS: usize = 30;

/// What of a reset token is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BadToken {
    Invalid,
    Expired,
}

impl BadToken {
    fn reply(self) -> Reply {
        let text = match self {
            Self::Invalid => "Invalid password token",
            Self::Expired => "Password token has expired",
        };
        Reply::text(403, format!("Could not verify password reset token: {text}"))
    }
}

impl Imqs {
    /// Stores a new password, with whichever reset token used up by it.
    async fn store_password(
        &self,
        (tenant, user): (TenantId, &User),
        ready: ReadyPassword,
        used: Option<TokenDigest>,
        cause: Cause,
    ) -> Result<Result<(), BadToken>, Failure> {
        let (identity, id) = (self.identity().clone(), user.id);
        let stored = self
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                match &used {
                    Some(digest) => {
                        if tx.execute(&schema::USE_RESET, &params![tenant, id, digest.as_bytes()]).await? == 0
                        {
                            return Ok(Err(BadToken::Invalid));
                        }
                    }
                    None => {
                        tx.execute(&schema::FORGET_RESET, &params![tenant, id]).await?;
                    }
                }
                identity.passwords().put(tx, &ready, &cause).await?;
                Ok::<_, Error>(Ok(()))
            })
            .await?;
        Ok(stored)
    }

    /// A new reset token in place of a former one.
    pub(super) async fn new_token(
        &self,
        tenant: TenantId,
        user: &User,
        lasts_s: i64,
    ) -> Result<Secret, Failure> {
        let until = self.world().now().seconds().saturating_add(lasts_s);
        let random = random_text(self.world(), Alphabet::Alphanumeric, TOKEN_CHARACTERS);
        let token = Secret::from(format!("{until}.{}", random.expose()));
        let (digest, id) = (TokenDigest::of(token.expose()), user.id);
        let version = self.identity().passwords().state(id).await?.map_or(0, |state| state.version);
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                tx.execute(&schema::PUT_RESET, &params![id, tenant, digest.as_bytes(), version])
                    .await
                    .map(drop)
            })
            .await?;
        Ok(token)
    }

    /// Whether a reset token is this user's: its form, its own time, then whether it is the one that is kept. Answers the
    /// version of the password that it replaces.
    async fn check_token(
        &self,
        tenant: TenantId,
        user: &User,
        token: &str,
    ) -> Result<Result<i64, BadToken>, Failure> {
        let until = match token.split_once('.') {
            Some((until, rest)) if !rest.contains('.') => until.parse::<i64>().ok(),
            _ => None,
        };
        let Some(until) = until else { return Ok(Err(BadToken::Invalid)) };
        if until <= self.world().now().seconds() {
            return Ok(Err(BadToken::Expired));
        }
        let (digest, id) = (TokenDigest::of(token), user.id);
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::RESET, &params![tenant, id], |row| {
                Ok((row.get::<[u8; 32]>(0)?, row.get::<i64>(1)?))
            })
            .await
        };
        let kept = self.store().read(read).await?;
        let version = self.identity().passwords().state(id).await?.map_or(0, |state| state.version);
        // A password that was changed by any door takes the token with it.
        let fits = kept.filter(|(kept, of)| constant_time_eq(kept, digest.as_bytes()) && *of == version);
        Ok(fits.map(|(_, version)| version).ok_or(BadToken::Invalid))
    }
}

/// The new password of a request: the header before the query.
fn new_password(call: &Call) -> Secret {
    let header = call.header("x-newpassword");
    Secret::from(if header.is_empty() { call.query("password") } else { header }.to_owned())
}

pub(super) async fn set(call: Call) -> Answer {
    let serial = call.user_id().map_err(|text| Reply::text(400, text))?;
    let (imqs, tenant) = (&call.imqs, call.tenant().await?);
    let own =
        |actor: &super::call::Actor| actor.person.serial == serial || actor.effective.has(permission::ADMIN);
    if !call.actor.as_ref().is_none_or(own) {
        return Err(Reply::text(403, NOT_ADMIN));
    }
    let password = new_password(&call);
    if password.expose().is_empty() {
        return Err(Reply::text(400, "Empty new password"));
    }
    let found = imqs.by_serial(tenant, serial).await.map_err(|failure| failure.reply(500))?;
    let (user, _) = found.ok_or_else(|| Failure::NoSuchUser.behind(500, "Could not update password: "))?;
    call.may_touch(tenant, user.id).await?;
    let ready = imqs.identity().passwords().ready((tenant, user.id), &password, &imqs.policy()).await;
    let ready = ready.map_err(|error| Failure::from(error).reply(500))?;
    let stored = imqs.store_password((tenant, &user), ready, None, call.cause()).await;
    match stored.map_err(|failure| failure.behind(500, "Could not update password: "))? {
        Ok(()) => Ok(Reply::text(200, "Password changed")),
        Err(bad) => Err(bad.reply()),
    }
}

/// Whom a mail is asked for: by identity, else e-mail, else number.
async fn asked(call: &Call, tenant: TenantId) -> Result<Option<(Arc<User>, Arc<Person>)>, Reply> {
    let imqs = &call.imqs;
    let identity = [call.query("identity"), call.query("email")].into_iter().find(|text| !text.is_empty());
    if let Some(identity) = identity {
        return imqs.resolve(tenant, identity).await.map_err(|failure| failure.reply(400));
    }
    let serial = call.user_id().map_err(|text| Reply::text(400, text))?;
    let found = imqs.by_serial(tenant, serial).await.map_err(|failure| failure.reply(400))?;
    Ok(found.map(|(user, person)| (user, Arc::new(person))))
}

pub(super) async fn reset_start(call: Call) -> Answer {
    let (imqs, tenant) = (&call.imqs, call.tenant().await?);
    if imqs.options().discreet && !imqs.has_mail() {
        return Err(Reply::text(500, NO_PASSWORD_TO_MAIL));
    }
    let Some((user, person)) = asked(&call, tenant).await? else {
        return match (imqs.options().discreet, call.query("identity"), call.query("email")) {
            (true, ..) => Ok(Reply::empty()),
            (false, "", "") => Err(Failure::NoSuchUser.behind(400, "Error retrieving auth user type: ")),
            (false, ..) => Err(Failure::NoSuchUser.reply(400)),
        };
    };
    if !imqs.has_mail() {
        return Err(Reply::text(500, NO_PASSWORD_TO_MAIL));
    }
    imqs.may_mail(tenant, user.id).map_err(|failure| failure.reply(429))?;
    let letter = if person.kind == kind::DEFAULT { mail::Letter::Reset } else { mail::Letter::Directory };
    match imqs.send_reset(tenant, (&user, &person), letter).await {
        Ok(()) => Ok(Reply::empty()),
        // Whether it was taken says that there is somebody.
        Err(failed) if imqs.options().discreet => {
            tracing::warn!(reason = %failed.text(), "a mail of the IMQS dialect was not sent");
            Ok(Reply::empty())
        }
        Err(failed) => Err(failed.reply()),
    }
}

pub(super) async fn reset_finish(call: Call) -> Answer {
    let serial = call.user_id().map_err(|text| Reply::text(400, text))?;
    let (imqs, tenant) = (&call.imqs, call.tenant().await?);
    let (password, token) =
        (Secret::from(call.header("x-newpassword").to_owned()), call.header("x-resettoken"));
    let is_it = |forbidden: &String| constant_time_eq(forbidden.as_bytes(), password.expose().as_bytes());
    if imqs.options().forbidden_passwords.iter().any(is_it) {
        return Err(Reply::text(400, "Password you attempted to set is forbidden by your company policy"));
    }
    if password.expose().is_empty() || token.is_empty() {
        return Err(Reply::text(400, "Need the two headers X-ResetToken and X-NewPassword"));
    }
    let found = imqs.by_serial(tenant, serial).await.map_err(|failure| failure.reply(403))?;
    let Some((user, _)) = found.filter(|(_, person)| person.kind == kind::DEFAULT) else {
        return Err(if imqs.options().discreet {
            BadToken::Invalid.reply()
        } else {
            Failure::NoSuchUser.reply(403)
        });
    };
    let checked = imqs.check_token(tenant, &user, token).await.map_err(|failure| failure.reply(403))?;
    let version = checked.map_err(BadToken::reply)?;
    let ready = imqs.identity().passwords().ready((tenant, user.id), &password, &imqs.policy()).await;
    let ready = ready.map_err(|error| Failure::from(error).reply(403))?;
    if ready.replaces().unwrap_or(0) != version {
        return Err(BadToken::Invalid.reply());
    }
    let cause = Cause::user(user.id, call.origin.clone());
    let stored = imqs.store_password((tenant, &user), ready, Some(TokenDigest::of(token)), cause).await;
    stored.map_err(|failure| failure.reply(403))?.map_err(BadToken::reply)?;
    Ok(Reply::text(200, "Password reset"))
}

pub(super) async fn update(call: Call) -> Answer {
    let (imqs, identity) = (&call.imqs, call.query("email"));
    let (old, new) = (call.header("x-oldpassword"), call.header("x-newpassword"));
    for (value, what) in [(identity, "identity"), (old, "old password"), (new, "new password")] {
        if value.is_empty() {
            return Err(Reply::text(400, format!("Empty {what}")));
        }
    }
    let tenant = call.tenant().await?;
    let attempt = Attempt { tenant, identity, password: Secret::from(old.to_owned()), origin: &call.origin };
    let proved = imqs.prove(attempt, Method::PasswordChange).await.map_err(|failure| failure.reply(403))?;
    let Proved { proof, user, .. } = proved;
    let (new, policy) = (Secret::from(new.to_owned()), imqs.policy());
    let replaced =
        imqs.identity().passwords().replace_proved((&user, None), proof, (&new, &policy), &call.origin);
    match replaced.await.map_err(|error| Failure::from(error).reply(500))? {
        Ok(()) => Ok(Reply::text(200, "Password changed")),
        Err(_) => Err(Failure::Locked.reply(403)),
    }
}

pub(super) async fn check(call: Call) -> Answer {
    let imqs = &call.imqs;
    let Basic { identity, password } =
        credential::basic(&call.headers).map_err(|failure| failure.reply(400))?;
    let tenant = call.tenant().await?;
    let attempt = Attempt { tenant, identity: &identity, password, origin: &call.origin };
    let status = |failure: Failure| {
        let status = match &failure {
            Failure::EmptyIdentity => 401,
            Failure::NoSuchUser => 400,
            _ => 403,
        };
        failure.reply(status)
    };
    let Proved { proof, .. } = imqs.prove(attempt, Method::Password).await.map_err(status)?;
    let (rooms, origin) = (imqs.identity().clone(), call.origin.clone());
    let weighed = imqs
        .store()
        .write(async move |tx: &mut Tx<'_>| rooms.admission().weigh(tx, &proof, &origin).await)
        .await?;
    match weighed {
        // It is the password, whatever else has to be done with it.
        Weighed::Admitted(_) | Weighed::MustChange => Ok(Reply::text(200, "Password verified")),
        Weighed::NeedsCode => {
            Err(Failure::Unsupported("this account signs in with a second factor").reply(403))
        }
        Weighed::Refused => Err(Failure::Locked.reply(403)),
    }
}
