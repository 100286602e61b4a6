//! Links by mail: a new password for whoever cannot sign in, and the proof that an address is the user's.
//!
//! A link holds an opaque token, of which only the digest is stored. It works once, for a while, at its tenant, and only
//! as long as the account has the e-mail address and the password that it had when the link was made (ABUSE-CASES
//! AC-29); a newer link kills it. Links are made from the public URL that the room was set up with and from nothing that
//! a request says (AC-20).
//!
//! Asking for a link is answered alike, and costs alike, whether or not there is such an account (AC-21): what is
//! written for a user is written for nobody too. Who may regain an account is admission's decision, and how often
//! somebody asks is counted by its counters.
//!
//! The message waits, sealed, in the same transaction as its token ([`outbox`]); a background job sends it.

mod letters;
pub mod outbox;
mod redeem;
mod request;

pub use letters::MailLinks;
pub(crate) use outbox::bound_to as mail_bound_to;
pub use outbox::{MailRecord, MailState, Outbox, Outgoing, SendOutcome};
pub use redeem::Pending;
pub use request::ResetRequest;

use crate::users::User;
use crate::{Error, Identity, schema};
use keyreeve_base::{TenantId, Timestamp, UserId};
use keyreeve_store::{Row, Tx, params};

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// To choose a new password.
    PasswordReset,
    /// To confirm the e-mail address.
    EmailVerification,
}

impl LinkKind {
    /// Its name in the database and in the audit log.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::EmailVerification => "email_verification",
        }
    }

    /// What its tokens begin with.
    const fn prefix(self) -> &'static str {
        match self {
            Self::PasswordReset => "kr_pr_",
            Self::EmailVerification => "kr_ev_",
        }
    }
}

impl keyreeve_store::ToParam for LinkKind {
    fn to_param(&self) -> keyreeve_store::Param<'_> {
        keyreeve_store::Param::Text(self.text())
    }
}

impl keyreeve_store::FromColumn for LinkKind {
    fn from_column(value: keyreeve_store::Value<'_>) -> Result<Self, keyreeve_store::Error> {
        match String::from_column(value)?.as_str() {
            "password_reset" => Ok(Self::PasswordReset),
            "email_verification" => Ok(Self::EmailVerification),
            _ => Err(keyreeve_store::Error::corrupt("a link is of a kind that is not known".to_owned())),
        }
    }
}

/// The use cases of links by mail.
#[derive(Clone, Copy)]
pub struct Recovery<'a>(pub(crate) &'a Identity);

impl<'a> Recovery<'a> {
    /// Whether mail can be sent at all; without, nothing can be asked for.
    #[must_use]
    pub fn is_available(self) -> bool {
        self.0.0.mail.is_some()
    }

    /// The mail that waits to be sent.
    #[must_use]
    pub const fn outbox(self) -> Outbox<'a> {
        Outbox(self.0)
    }

    /// Forgets links whose time is over, gives up mail that could not be sent while its link lived, and forgets old
    /// mail; for a background job.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn prune(self) -> Result<u64, Error> {
        let now = self.0.world().now();
        let links = self
            .0
            .store()
            .write(async move |tx: &mut Tx<'_>| tx.execute(&schema::PRUNE_RECOVERY, &params![now]).await)
            .await?;
        Ok(links.saturating_add(self.outbox().prune().await?))
    }
}

/// What a stored token says.
struct Token {
    user: UserId,
    address: String,
    password_version: i64,
    expires_at: Timestamp,
    used_at: Option<Timestamp>,
}

impl Token {
    fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        Ok(Self {
            user: row.get(0)?,
            address: row.get(1)?,
            password_version: row.get(2)?,
            expires_at: row.get(3)?,
            used_at: row.get(4)?,
        })
    }
}

/// The version of a user's password; 0 while there is none.
async fn password_version(tx: &mut Tx<'_>, user: UserId) -> Result<i64, keyreeve_store::Error> {
    let found = tx.query_opt(&schema::PASSWORD_STATE, &params![user], |row| row.get::<i64>(0)).await?;
    Ok(found.unwrap_or(0))
}

/// Kills a user's links that went to another address than the profile has now, and what waits to bring them. It is part of
/// writing a profile, so that an address that comes back does not bring them back.
pub(crate) async fn kill_links_to_others(tx: &mut Tx<'_>, user: &User) -> Result<(), Error> {
    let (tenant, id) = (user.tenant_id, user.id);
    if tx.execute(&schema::KILL_OTHER_RECOVERY, &params![tenant, id, &user.email]).await? > 0 {
        tx.execute(&schema::DROP_ALL_MAIL, &params![tenant, id, user.updated_at]).await?;
    }
    Ok(())
}

/// Kills a user's links, and what waits to bring them: after every change of the password.
pub(crate) async fn kill_links(
    tx: &mut Tx<'_>,
    (tenant, user): (TenantId, UserId),
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(&schema::KILL_RECOVERY, &params![tenant, user]).await?;
    tx.execute(&schema::DROP_ALL_MAIL, &params![tenant, user, now]).await?;
    Ok(())
}
