//! A user's stored password: hashed anew, replaced under its version, remembered in the history.

use super::policy::violations;
use crate::settings::PasswordPolicy;
use crate::users::Profile;
use crate::{Error, schema};
use keyreeve_base::{TenantId, Timestamp, UserId};
use keyreeve_crypto::Secret;
use keyreeve_store::{Tx, params};

/// What is stored of a user's present password.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) hash: String,
    /// Counts the changes of the password; a re-hash is none.
    pub(crate) version: i64,
}

/// Everything of the policy that can be told without the history.
pub(crate) fn check(policy: &PasswordPolicy, profile: &Profile, password: &Secret) -> Result<(), Error> {
    let found = violations(policy, profile, password.expose());
    if found.is_empty() { Ok(()) } else { Err(Error::Policy(found)) }
}

/// Reads a user's present password.
pub(crate) async fn present(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    user: UserId,
) -> Result<Option<Stored>, keyreeve_store::Error> {
    tx.query_opt(&schema::PASSWORD_OF, &params![tenant, user], |row| {
        Ok(Stored { hash: row.get(0)?, version: row.get(1)? })
    })
    .await
}

/// Reads the hashes that a new password must not match: the present one and those before it, `count` altogether.
pub(crate) async fn former(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    user: UserId,
    count: u8,
) -> Result<Vec<String>, keyreeve_store::Error> {
    let Some(older) = count.checked_sub(1) else { return Ok(Vec::new()) };
    let mut hashes: Vec<String> =
        present(tx, tenant, user).await?.map(|stored| stored.hash).into_iter().collect();
    if older > 0 {
        let earlier =
            tx.query(&schema::PASSWORD_HISTORY, &params![tenant, user, older], |row| row.get(0)).await?;
        hashes.extend(earlier);
    }
    Ok(hashes)
}

/// Stores a user's first password.
pub(crate) async fn first(tx: &mut Tx<'_>, user: UserId, hash: &str, now: Timestamp) -> Result<(), Error> {
    match tx.execute(&schema::FIRST_PASSWORD, &params![user, hash, now]).await? {
        0 => Err(Error::VersionConflict),
        _ => Ok(()),
    }
}

/// Replaces the password that is at `version`, and keeps it in the history as long as `history` wants.
///
/// # Errors
/// [`Error::VersionConflict`] when the password is no longer at that version: of two parallel changes one wins.
pub(crate) async fn replace(
    tx: &mut Tx<'_>,
    user: UserId,
    version: i64,
    (hash, history): (&str, u8),
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(&schema::REMEMBER_PASSWORD, &params![user, version]).await?;
    if tx.execute(&schema::REPLACE_PASSWORD, &params![user, version, hash, now]).await? == 0 {
        return Err(Error::VersionConflict);
    }
    // The present password is at version + 1; with it, the latest `history` ones are kept, but none needlessly.
    let kept = i64::from(history.max(1));
    let forgotten = version.saturating_add(1).saturating_sub(kept);
    tx.execute(&schema::TRIM_HISTORY, &params![user, forgotten]).await?;
    Ok(())
}
