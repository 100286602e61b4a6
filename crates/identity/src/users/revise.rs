//! Several changes of one user at once: profile, state and password in one transaction, as those need who send a user
//! whole.

use super::model::{ProfilePatch, User};
use super::service::{self, StateChange, Users};
use crate::passwords::{Change, credential};
use crate::{Cause, Error};
use keyreeve_base::{TenantId, UserId};
use keyreeve_crypto::Secret;
use keyreeve_store::Tx;
use std::sync::Arc;

/// What to change of a user at once; what is absent stays.
#[derive(Default)]
pub struct Revision {
    /// Of the profile.
    pub profile: ProfilePatch,
    /// Whether the account is in use. Taking it out of use ends its sessions.
    pub enabled: Option<bool>,
    /// A new password, which must meet the tenant's policy. Ends all sessions.
    pub password: Option<Secret>,
}

impl Users<'_> {
    /// Changes profile, state and password of a user at once, all or nothing. With `version`, only if the user still is at
    /// that version. What changes nothing raises no version.
    ///
    /// # Errors
    /// [`Error::NotFound`] (also for archived users), [`Error::VersionConflict`], [`Error::Invalid`], [`Error::Taken`],
    /// [`Error::Policy`], [`Error::Busy`].
    pub async fn revise(
        self,
        (tenant, id): (TenantId, UserId),
        revision: Revision,
        version: Option<i64>,
        cause: &Cause,
    ) -> Result<Arc<User>, Error> {
        let Revision { profile, enabled, password } = revision;
        let password = match password {
            Some(password) => Some(Arc::new(self.new_password((tenant, id), &profile, &password).await?)),
            None => None,
        };
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                let mut user = service::hold_user(tx, tenant, id).await?;
                if version.is_some_and(|version| version != user.version) {
                    return Err(Error::VersionConflict);
                }
                if profile.apply(user.profile.clone())?.0 != user.profile {
                    user = service::update_held(tx, &identity, user, &profile, &cause).await?;
                }
                if let Some(enabled) = enabled.filter(|enabled| *enabled != user.enabled) {
                    let change = if enabled { StateChange::Enable } else { StateChange::Disable };
                    user = service::change_held(tx, &identity, user, change, &cause).await?;
                }
                match &password {
                    Some(change) => identity.passwords().store_change(tx, (tenant, id), change, &cause).await,
                    None => Ok(Arc::new(user)),
                }
            })
            .await
    }

    /// A new password, checked against the user as they are going to be, and hashed.
    async fn new_password(
        self,
        (tenant, id): (TenantId, UserId),
        profile: &ProfilePatch,
        password: &Secret,
    ) -> Result<Change, Error> {
        let policy = self.0.tenants().get(tenant).await?.settings.password.clone();
        let (user, stored) = self
            .0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                let user = service::read_user(tx, tenant, id).await?;
                Ok::<_, Error>((user, credential::present(tx, tenant, id).await?))
            })
            .await?;
        let (profile, _) = profile.apply(user.profile.clone())?;
        let user = User { profile, ..user };
        let hash = self.0.passwords().check_and_hash(&policy, &user, password).await?;
        let replaces = stored.map(|stored| stored.version);
        Ok(Change {
            hash,
            replaces,
            history: policy.history,
            must_change: false,
            except: None,
            ends_grants: true,
        })
    }
}
