//! Coming back with a link.

use super::{LinkKind, Recovery, Token, kill_links, password_version};
use crate::admission::{self, Refusal};
use crate::passwords::Change;
use crate::users::{self, User};
use crate::{Cause, Error, schema};
use keyreeve_audit::{Actor, Event, Outcome};
use keyreeve_base::{Origin, TenantId, Timestamp};
use keyreeve_crypto::{Secret, TokenDigest};
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::sync::Arc;

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 128;

/// A link that still works, as its page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The name by which the account signs in.
    pub account: String,
    /// The address that the link was sent to.
    pub address: String,
    /// When it stops to work.
    pub expires_at: Timestamp,
}

/// What became of a token.
enum Found {
    Good(Box<User>, Token),
    /// Why not, and of whom it was, if that is known.
    Dead(&'static str, Option<Token>),
}

impl Recovery<'_> {
    /// What a link leads to, without using it up; none when it does not work (any more).
    ///
    /// # Errors
    /// Those of the store.
    pub async fn look(self, tenant: TenantId, kind: LinkKind, token: &str) -> Result<Option<Pending>, Error> {
        let Some(digest) = digest_of(kind, token) else { return Ok(None) };
        let now = self.0.world().now();
        let found = self
            .0
            .store()
            .read(async move |tx: &mut Tx<'_>| find(tx, (tenant, kind, digest), now).await)
            .await?;
        Ok(match found {
            Found::Good(user, token) => Some(Pending {
                account: user.username.clone().unwrap_or_else(|| token.address.clone()),
                address: token.address,
                expires_at: token.expires_at,
            }),
            Found::Dead(..) => None,
        })
    }

    /// Gives the account of a link a new password, which must meet the tenant's policy and not be one of the latest; only
    /// then the link is used up. Ends all sessions of the user, and what their failed attempts had cost them. Of two who
    /// come with one link at once, one is refused (ABUSE-CASES AC-17).
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant; [`Error::Policy`], [`Error::Busy`].
    ///
    /// # Refusals
    /// [`Refusal::Denied`] when the link does not work (any more).
    pub async fn reset_password(
        self,
        tenant: TenantId,
        token: &str,
        password: Secret,
        origin: &Origin,
    ) -> Result<Result<Arc<User>, Refusal>, Error> {
        let kind = LinkKind::PasswordReset;
        let Some(digest) = digest_of(kind, token) else { return Ok(Err(Refusal::Denied)) };
        let policy = self.0.tenants().get(tenant).await?.settings.password.clone();
        let now = self.0.world().now();
        let found = self
            .0
            .store()
            .read(async move |tx: &mut Tx<'_>| find(tx, (tenant, kind, digest), now).await)
            .await?;
        let (user, token) = match found {
            Found::Good(user, token) => (user, token),
            Found::Dead(reason, token) => {
                self.refuse((tenant, kind), reason, token, origin).await?;
                return Ok(Err(Refusal::Denied));
            }
        };
        let hash = self.0.passwords().check_and_hash(&policy, &user, &password).await?;
        let change = Change {
            hash,
            replaces: (token.password_version > 0).then_some(token.password_version),
            history: policy.history,
            must_change: false,
            except: None,
            ends_grants: true,
        };
        let (identity, cause) = (self.0.clone(), Cause::user(user.id, origin.clone()));
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let recovery = identity.recovery();
                let user = match recovery.use_up(tx, (tenant, kind, digest), &cause.origin).await? {
                    Ok(user) => user,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                let of = (tenant, user.id);
                let event = cause.done(
                    tenant,
                    "recovery.reset",
                    ("user", user.id.to_string()),
                    json!({"kind": kind}),
                );
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                let changed = identity.passwords().store_change(tx, of, &change, &cause).await?;
                admission::forgive(tx, &changed, &cause.origin).await?;
                Ok(Ok(changed))
            })
            .await
    }

    /// Notes that the address of a link is its user's, and uses the link up.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Refusals
    /// [`Refusal::Denied`] when the link does not work (any more).
    pub async fn verify_email(
        self,
        tenant: TenantId,
        token: &str,
        origin: &Origin,
    ) -> Result<Result<Arc<User>, Refusal>, Error> {
        let kind = LinkKind::EmailVerification;
        let Some(digest) = digest_of(kind, token) else { return Ok(Err(Refusal::Denied)) };
        let (identity, origin) = (self.0.clone(), origin.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let recovery = identity.recovery();
                let mut user = match recovery.use_up(tx, (tenant, kind, digest), &origin).await? {
                    Ok(user) => user,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                let read_version = user.version;
                user.profile.email_verified = true;
                user.updated_at = identity.world().now();
                user.version = read_version.saturating_add(1);
                users::write_profile(tx, &user, read_version).await?;
                kill_links(tx, (tenant, user.id), user.updated_at).await?;
                let cause = Cause::user(user.id, origin.clone());
                let event =
                    cause.done(tenant, "email.verify", ("user", user.id.to_string()), json!({"kind": kind}));
                keyreeve_audit::record(tx, identity.world(), &event).await?;
                tx.changed(Some(tenant), users::TOPIC, &user.id.to_string()).await?;
                Ok(Ok(Arc::new(*user)))
            })
            .await
    }

    /// Uses a link up, and holds its user. A refusal is an answer, so that its audit entry is committed.
    async fn use_up(
        self,
        tx: &mut Tx<'_>,
        (tenant, kind, digest): (TenantId, LinkKind, TokenDigest),
        origin: &Origin,
    ) -> Result<Result<Box<User>, Refusal>, Error> {
        let now = self.0.world().now();
        // The user first, as everywhere, so that nobody waits for each other in a circle.
        let (of, reason) = match find(tx, (tenant, kind, digest), now).await? {
            Found::Good(user, token) => {
                users::hold_user(tx, tenant, user.id).await?;
                (Some(token), None)
            }
            Found::Dead(reason, token) => (token, Some(reason)),
        };
        if let Some(reason) = reason {
            self.record_refusal(tx, (tenant, kind), (reason, of.as_ref()), origin).await?;
            return Ok(Err(Refusal::Denied));
        }
        // What was found may have changed before the user was held.
        let used = tx
            .query_opt(&schema::USE_RECOVERY, &params![tenant, kind, digest.as_bytes(), now], Token::from_row)
            .await?;
        let judged = match used {
            Some(token) => judge(tx, tenant, Token { used_at: None, ..token }, now).await?,
            None => Found::Dead("used", of),
        };
        match judged {
            Found::Good(user, _) => Ok(Ok(user)),
            Found::Dead(reason, token) => {
                self.record_refusal(tx, (tenant, kind), (reason, token.as_ref()), origin).await?;
                Ok(Err(Refusal::Denied))
            }
        }
    }

    async fn refuse(
        self,
        (tenant, kind): (TenantId, LinkKind),
        reason: &'static str,
        token: Option<Token>,
        origin: &Origin,
    ) -> Result<(), Error> {
        let (identity, origin) = (self.0.clone(), origin.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let what = (reason, token.as_ref());
                identity.recovery().record_refusal(tx, (tenant, kind), what, &origin).await
            })
            .await
    }

    /// Records that a link was of no use. A token that there never was is only counted: whoever makes them up could fill
    /// the log.
    async fn record_refusal(
        self,
        tx: &mut Tx<'_>,
        (tenant, kind): (TenantId, LinkKind),
        (reason, token): (&'static str, Option<&Token>),
        origin: &Origin,
    ) -> Result<(), Error> {
        metrics::counter!("keyreeve_recovery_refusals_total", "kind" => kind.text(), "reason" => reason)
            .increment(1);
        let Some(token) = token else { return Ok(()) };
        let event = Event {
            tenant,
            actor: Actor::Anonymous,
            action: match kind {
                LinkKind::PasswordReset => "recovery.reset",
                LinkKind::EmailVerification => "email.verify",
            },
            target: Some(("user", token.user.to_string())),
            outcome: Outcome::Refused,
            reason: Some(reason),
            origin,
            detail: json!({"kind": kind}),
        };
        keyreeve_audit::record(tx, self.0.world(), &event).await?;
        Ok(())
    }
}

/// The digest of a presented token, if it can be one of this kind.
fn digest_of(kind: LinkKind, token: &str) -> Option<TokenDigest> {
    (token.len() <= MAX_TOKEN && token.starts_with(kind.prefix())).then(|| TokenDigest::of(token))
}

async fn find(
    tx: &mut Tx<'_>,
    (tenant, kind, digest): (TenantId, LinkKind, TokenDigest),
    now: Timestamp,
) -> Result<Found, Error> {
    let token = tx
        .query_opt(&schema::RECOVERY_BY_DIGEST, &params![tenant, kind, digest.as_bytes()], Token::from_row)
        .await?;
    match token {
        None => Ok(Found::Dead("unknown_token", None)),
        Some(token) => judge(tx, tenant, token, now).await,
    }
}

/// Whether a token is still good: not used, in its time, and its account as it was when it was made.
async fn judge(tx: &mut Tx<'_>, tenant: TenantId, token: Token, now: Timestamp) -> Result<Found, Error> {
    let dead = |reason, token| Ok(Found::Dead(reason, Some(token)));
    if token.used_at.is_some() {
        return dead("used", token);
    }
    if token.expires_at <= now {
        return dead("expired", token);
    }
    let user = match users::read_user(tx, tenant, token.user).await {
        Ok(user) => user,
        // Made for nobody, or archived since.
        Err(Error::NotFound(_)) => return Ok(Found::Dead("unknown_user", None)),
        Err(error) => return Err(error),
    };
    if let Some(obstacle) = admission::obstacle_of(tx, &user).await? {
        return dead(obstacle, token);
    }
    if user.email.as_deref() != Some(token.address.as_str()) {
        return dead("email_changed", token);
    }
    if password_version(tx, user.id).await? != token.password_version {
        return dead("password_changed", token);
    }
    Ok(Found::Good(Box::new(user), token))
}
