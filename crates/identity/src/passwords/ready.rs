//! A new password in two steps: checked and hashed first, stored by a transaction that does more than that.

use super::{Change, Passwords, credential};
use crate::settings::PasswordPolicy;
use crate::{Cause, Error, schema, users};
use keyreeve_base::{TenantId, Timestamp, UserId};
use keyreeve_crypto::Secret;
use keyreeve_store::{Tx, params};

/// What may be known of a stored password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordState {
    /// Counts the changes; a re-hash is none.
    pub version: i64,
    /// When it was set.
    pub changed_at: Timestamp,
}

/// A new password that meets its policy, hashed, on its way into a transaction.
pub struct ReadyPassword {
    whose: (TenantId, UserId),
    change: Change,
}

impl ReadyPassword {
    /// The version of the password that it replaces; none where there is none.
    #[must_use]
    pub const fn replaces(&self) -> Option<i64> {
        self.change.replaces
    }
}

impl Passwords<'_> {
    /// What may be known of a user's password; none where there is none.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn state(self, user: UserId) -> Result<Option<PasswordState>, Error> {
        let read = async move |tx: &mut Tx<'_>| {
            let state = tx
                .query_opt(&schema::PASSWORD_STATE, &params![user], |row| {
                    Ok(PasswordState { version: row.get(0)?, changed_at: row.get(1)? })
                })
                .await?;
            Ok(state)
        };
        self.0.store().read(read).await
    }

    /// Checks a new password against `policy` and the history, and hashes it; nothing is stored yet.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Policy`], [`Error::Invalid`], [`Error::Busy`].
    pub async fn ready(
        self,
        (tenant, id): (TenantId, UserId),
        password: &Secret,
        policy: &PasswordPolicy,
    ) -> Result<ReadyPassword, Error> {
        let (user, stored) = self
            .0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                let user = users::read_user(tx, tenant, id).await?;
                Ok::<_, Error>((user, credential::present(tx, tenant, id).await?))
            })
            .await?;
        let hash = self.check_and_hash(policy, &user, password).await?;
        let change = Change {
            hash,
            replaces: stored.map(|stored| stored.version),
            history: policy.history,
            must_change: false,
            except: None,
            ends_grants: true,
        };
        Ok(ReadyPassword { whose: (tenant, id), change })
    }

    /// Stores it, and ends all sessions of the user, in the caller's transaction.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::VersionConflict`] when the password was changed since.
    pub async fn put(self, tx: &mut Tx<'_>, ready: &ReadyPassword, cause: &Cause) -> Result<(), Error> {
        self.store_change(tx, ready.whose, &ready.change, cause).await.map(drop)
    }
}
