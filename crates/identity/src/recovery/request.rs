//! Asking for a link.

use super::letters::{Addressee, MailLinks};
use super::{LinkKind, Recovery, password_version};
use crate::admission::{MailCount, MailCounters, Refusal};
use crate::sealing::Sealer;
use crate::tenants::Tenant;
use crate::users::{self, User};
use crate::{Cause, Error, Identity, schema};
use keyreeve_audit::{Actor, Event, Outcome};
use keyreeve_base::{CanonicalName, MailId, Origin, TenantId, UserId};
use keyreeve_crypto::OpaqueToken;
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// The longest name that is looked at, in bytes; a longer one is nobody's.
const MAX_NAME: usize = 512;

/// Somebody who cannot sign in asks for a new password.
pub struct ResetRequest<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// The name or address, as typed.
    pub identifier: &'a str,
    /// The language of the page on which they ask (BCP 47), for users whose profile names none.
    pub language: Option<&'a str>,
    /// Where it comes from.
    pub origin: Origin,
}

/// A link in the making: everything that a transaction needs to write it.
struct Plan {
    identity: Identity,
    tenant: Arc<Tenant>,
    links: MailLinks,
    sealer: Arc<Sealer>,
    kind: LinkKind,
    lasts: Duration,
    token: OpaqueToken,
    mail: MailId,
    language: Option<String>,
}

impl Recovery<'_> {
    /// Sends whoever can read the account's mail a link to choose a new password. The answer says nothing about whether
    /// there is such an account, and neither does its cost (ABUSE-CASES AC-21): an account that is not there, is out of
    /// use, has no address or was written to too often gets no mail, and the audit log has the reason.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; [`Error::Invalid`] for `mail` when none can be sent; those of the store.
    ///
    /// # Refusals
    /// [`Refusal::Throttled`] when too much was asked from one address.
    pub async fn request_password_reset(
        self,
        request: ResetRequest<'_>,
    ) -> Result<Result<(), Refusal>, Error> {
        let language = request.language.map(str::to_owned);
        let plan = self.plan(request.tenant, LinkKind::PasswordReset, language).await?;
        let name = Some(request.identifier).filter(|name| name.len() <= MAX_NAME);
        let canonical = name.and_then(|name| CanonicalName::parse(name).ok());
        let counted_as = request.identifier.to_owned();
        let origin = request.origin;
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let counters = MailCounters::of_name(plan.kind.text(), &counted_as, &origin);
                let (tenant, now) = (plan.tenant.id, plan.identity.world().now());
                let found = match &canonical {
                    Some(name) => {
                        tx.query_opt(&schema::USER_BY_IDENTIFIER, &params![tenant, name], User::from_row)
                            .await?
                    }
                    None => None,
                };
                let count = counters.count(tx, &plan.tenant, found.as_ref().map(|user| user.id), now).await?;
                if let MailCount::TooManyAsked(retry_after) = count {
                    plan.record_reset(tx, (found.as_ref(), &counters), Some("throttled"), &origin).await?;
                    return Ok(Err(Refusal::Throttled { retry_after }));
                }
                let obstacle = match &found {
                    None => Some("unknown_user"),
                    Some(_) if count == MailCount::TooManySent => Some("throttled"),
                    Some(user) => obstacle(tx, user).await?,
                };
                match found.as_ref().filter(|_| obstacle.is_none()) {
                    Some(user) => plan.write(tx, user).await?,
                    None => plan.write_in_vain(tx).await?,
                }
                plan.record_reset(tx, (found.as_ref(), &counters), obstacle, &origin).await?;
                Ok(Ok(()))
            })
            .await
    }

    /// Sends a user a link to choose a new password, as an administrator does. It is not counted.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant and the user; [`Error::Invalid`] for `user` when the account is out of use, for
    /// `email` when it has none, for `mail` when none can be sent.
    pub async fn send_password_reset(
        self,
        (tenant, user): (TenantId, UserId),
        cause: &Cause,
    ) -> Result<MailId, Error> {
        self.send((tenant, user), LinkKind::PasswordReset, cause).await
    }

    /// Sends a user a link to confirm the e-mail address, as an administrator does. It is not counted.
    ///
    /// # Errors
    /// As [`Recovery::send_password_reset`].
    pub async fn send_email_verification(
        self,
        (tenant, user): (TenantId, UserId),
        cause: &Cause,
    ) -> Result<MailId, Error> {
        self.send((tenant, user), LinkKind::EmailVerification, cause).await
    }

    async fn send(self, of: (TenantId, UserId), kind: LinkKind, cause: &Cause) -> Result<MailId, Error> {
        let plan = self.plan(of.0, kind, None).await?;
        let cause = cause.clone();
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let user = users::read_user(tx, of.0, of.1).await?;
                refuse_obstacle(tx, &user).await?;
                plan.write(tx, &user).await?;
                plan.record(tx, &user, &cause).await?;
                Ok(plan.mail)
            })
            .await
    }

    /// Sends the user who asks for it a link to confirm the e-mail address.
    ///
    /// # Errors
    /// As [`Recovery::send_password_reset`].
    ///
    /// # Refusals
    /// [`Refusal::Throttled`] when it was asked for too often.
    pub async fn request_email_verification(
        self,
        (tenant, id): (TenantId, UserId),
        language: Option<&str>,
        origin: &Origin,
    ) -> Result<Result<(), Refusal>, Error> {
        let plan = self.plan(tenant, LinkKind::EmailVerification, language.map(str::to_owned)).await?;
        let cause = Cause::user(id, origin.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let user = users::read_user(tx, tenant, id).await?;
                let counters = MailCounters::of_name(plan.kind.text(), &id.to_string(), &cause.origin);
                let now = plan.identity.world().now();
                match counters.count(tx, &plan.tenant, Some(id), now).await? {
                    MailCount::Free => {}
                    MailCount::TooManyAsked(retry_after) => {
                        return Ok(Err(Refusal::Throttled { retry_after }));
                    }
                    MailCount::TooManySent => {
                        return Ok(Err(Refusal::Throttled { retry_after: counters.window(&plan.tenant) }));
                    }
                }
                refuse_obstacle(tx, &user).await?;
                plan.write(tx, &user).await?;
                plan.record(tx, &user, &cause).await?;
                Ok(Ok(()))
            })
            .await
    }

    async fn plan(self, tenant: TenantId, kind: LinkKind, language: Option<String>) -> Result<Plan, Error> {
        let unset = || Error::invalid("mail", "is not set up on this server; see smtp_url and mail_from");
        let links = self.0.0.mail.clone().ok_or_else(unset)?;
        let tenant = self.0.tenants().get(tenant).await?;
        let sealer = self.0.tenants().sealer(tenant.id).await?;
        let world = self.0.world();
        Ok(Plan {
            identity: self.0.clone(),
            links,
            sealer,
            kind,
            lasts: tenant.settings.recovery.lasts(kind),
            token: OpaqueToken::generate_with_prefix(world, kind.prefix()),
            mail: world.new_id(),
            tenant,
            language,
        })
    }
}

/// What keeps a user from getting a link.
async fn obstacle(tx: &mut Tx<'_>, user: &User) -> Result<Option<&'static str>, Error> {
    if let Some(obstacle) = crate::admission::obstacle_of(tx, user).await? {
        return Ok(Some(obstacle));
    }
    Ok(user.email.is_none().then_some("no_email"))
}

/// The same for whoever may know.
async fn refuse_obstacle(tx: &mut Tx<'_>, user: &User) -> Result<(), Error> {
    match obstacle(tx, user).await? {
        None => Ok(()),
        Some("no_email") => Err(Error::invalid("email", "is missing: there is nowhere to send mail to")),
        Some("tenant_inactive") => Err(Error::invalid("tenant", "is out of use")),
        Some(_) => Err(Error::invalid("user", "is disabled or locked, and gets no mail")),
    }
}

impl Plan {
    /// Writes the token and the message of a user who gets them.
    async fn write(&self, tx: &mut Tx<'_>, user: &User) -> Result<(), Error> {
        let address = user.email.as_deref().ok_or(Error::NotFound("address"))?;
        let version = password_version(tx, user.id).await?;
        let to = Addressee {
            address,
            account: user.username.as_deref().unwrap_or(address),
            language: user.locale.as_deref().or(self.language.as_deref()),
        };
        self.store(tx, (user.id, version), &to, "queued").await
    }

    /// Does the same work for nobody.
    async fn write_in_vain(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let nobody: UserId = self.identity.world().new_id();
        let version = password_version(tx, nobody).await?;
        let to = Addressee {
            address: "nobody@nowhere.invalid",
            account: "nobody",
            language: self.language.as_deref(),
        };
        self.store(tx, (nobody, version), &to, "void").await
    }

    async fn store(
        &self,
        tx: &mut Tx<'_>,
        (user, password_version): (UserId, i64),
        to: &Addressee<'_>,
        state: &'static str,
    ) -> Result<(), Error> {
        let (tenant, now) = (self.tenant.id, self.identity.world().now());
        let expires_at = now.plus(self.lasts);
        let message = self.links.letter(&self.tenant, (self.kind, self.lasts), &self.token, to);
        let bytes = message.to_bytes().map_err(|error| keyreeve_store::Error::internal(error.to_string()))?;
        let sealed = self.sealer.seal(&super::outbox::bound_to(&self.mail.uuid()), bytes.expose())?;
        tx.execute(
            &schema::PUT_RECOVERY,
            &params![
                user,
                self.kind,
                tenant,
                self.token.digest().as_bytes(),
                to.address,
                password_version,
                expires_at
            ],
        )
        .await?;
        tx.execute(&schema::DROP_MAIL, &params![tenant, user, self.kind, now]).await?;
        tx.execute(
            &schema::QUEUE_MAIL,
            &params![self.mail, tenant, user, self.kind, state, &sealed, now, expires_at],
        )
        .await?;
        Ok(())
    }

    /// Records a request of somebody who is not signed in. The name itself is not written down: people type passwords
    /// into the wrong field.
    async fn record_reset(
        &self,
        tx: &mut Tx<'_>,
        (user, counters): (Option<&User>, &MailCounters),
        obstacle: Option<&'static str>,
        origin: &Origin,
    ) -> Result<(), Error> {
        let name = counters.name_digest();
        let event = Event {
            tenant: self.tenant.id,
            actor: Actor::Anonymous,
            action: "recovery.request",
            target: Some(match user {
                Some(user) => ("user", user.id.to_string()),
                None => ("name", name.clone()),
            }),
            outcome: if obstacle.is_none() { Outcome::Success } else { Outcome::Refused },
            reason: obstacle,
            origin,
            detail: json!({"kind": self.kind, "name": name, "mail": obstacle.is_none().then_some(self.mail)}),
        };
        keyreeve_audit::record(tx, self.identity.world(), &event).await?;
        Ok(())
    }

    /// Records a request of somebody who is known.
    async fn record(&self, tx: &mut Tx<'_>, user: &User, cause: &Cause) -> Result<(), Error> {
        let detail = json!({"kind": self.kind, "mail": self.mail});
        let event = cause.done(self.tenant.id, "recovery.request", ("user", user.id.to_string()), detail);
        keyreeve_audit::record(tx, self.identity.world(), &event).await?;
        Ok(())
    }
}
