//! What an installation needs before anyone can use it: a tenant, an administrator, signing keys.
//!
//! Each step looks first whether it is done already, and is one transaction that only one of several nodes can win, so
//! that the whole can be interrupted, repeated and raced.

use crate::{App, Error};
use keyreeve_base::{UserId, World};
use keyreeve_crypto::{Alphabet, Secret, random_text};
use keyreeve_identity::{
    Cause, Credential, DEFAULT_SLUG, NewTenant, NewUser, Profile, Tenant, TenantSettings,
};
use std::sync::Arc;

/// The length of passwords that are made here: 20 readable characters hold 116 bits.
const PASSWORD_CHARACTERS: usize = 20;

/// What the first start made, as it is told once.
#[derive(Debug)]
pub struct FirstStart {
    /// The default tenant.
    pub tenant: Arc<Tenant>,
    /// The administrator.
    pub administrator: UserId,
    /// The administrator's user name.
    pub username: String,
    /// The one-time password; none when the operator chose the password.
    pub one_time_password: Option<Secret>,
}

/// A random password that can be read aloud.
#[must_use]
pub fn random_password(world: &World) -> Secret {
    random_text(world, Alphabet::Readable, PASSWORD_CHARACTERS)
}

impl App {
    /// Makes what is missing of tenant, administrator and signing keys. `Some` when this call made the administrator.
    ///
    /// # Errors
    /// Those of the rooms; [`Error::Setup`] when the administrator's configured name or password is not acceptable.
    pub async fn first_start(&self) -> Result<Option<FirstStart>, Error> {
        let tenant = self.default_tenant().await?;
        let made = self.administrator(tenant.clone()).await?;
        self.tokens.keys().prepare(tenant.id).await?;
        Ok(made)
    }

    async fn default_tenant(&self) -> Result<Arc<Tenant>, Error> {
        let tenants = self.identity.tenants();
        if let Some(tenant) = tenants.by_slug(DEFAULT_SLUG).await? {
            return Ok(tenant);
        }
        let new = NewTenant {
            slug: DEFAULT_SLUG.to_owned(),
            name: "Default".to_owned(),
            settings: TenantSettings::default(),
        };
        match tenants.create(new, &Cause::system()).await {
            Ok(tenant) => Ok(tenant),
            // Another node was faster.
            Err(keyreeve_identity::Error::Taken(_)) => tenants
                .by_slug(DEFAULT_SLUG)
                .await?
                .ok_or(keyreeve_identity::Error::NotFound("tenant").into()),
            Err(error) => Err(error.into()),
        }
    }

    async fn administrator(&self, tenant: Arc<Tenant>) -> Result<Option<FirstStart>, Error> {
        let users = self.identity.users();
        if !users.list(tenant.id, None, 1).await?.is_empty() {
            return Ok(None);
        }
        let wanted = &self.config.administrator;
        let one_time_password = wanted.password.is_none().then(|| random_password(&self.world));
        let password = wanted.password.as_ref().or(one_time_password.as_ref()).map(Secret::duplicate);
        let new = NewUser {
            profile: Profile { username: Some(wanted.username.clone()), ..Profile::default() },
            credential: password.map_or(Credential::None, Credential::Password),
            must_change_password: one_time_password.is_some(),
            tenant_administrator: true,
            ..NewUser::default()
        };
        match users.create(tenant.id, new, &Cause::system()).await {
            Ok(user) => Ok(Some(FirstStart {
                tenant,
                administrator: user.id,
                username: wanted.username.clone(),
                one_time_password,
            })),
            Err(keyreeve_identity::Error::Taken(_)) => Ok(None),
            Err(error @ (keyreeve_identity::Error::Invalid { .. } | keyreeve_identity::Error::Policy(_))) => {
                Err(Error::Setup(format!(
                    "the administrator cannot be created: {error} (admin_username, admin_password)"
                )))
            }
            Err(error) => Err(error.into()),
        }
    }
}
