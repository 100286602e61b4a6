//! The use cases of users.

use super::TOPIC;
use super::attributes;
use super::keys::{self, Keys};
use super::model::{Credential, Identifier, NewUser, ProfilePatch, User};
use crate::directory::{self, Party};
use crate::groups::{self, MembershipKind};
use crate::passwords::credential;
use crate::roles;
use crate::{Cause, Error, Identity, recovery, schema, second_factor, sessions};
use keyreeve_base::{CanonicalName, GroupId, TenantId, UserId};
use keyreeve_crypto::password::imported;
use keyreeve_store::{Param, Tx, params};
use serde_json::json;
use std::sync::Arc;

const MAX_PAGE: u16 = 500;

/// A change of an account's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateChange {
    /// Take the account into use.
    Enable,
    /// Take it out of use; ends its sessions.
    Disable,
    /// Lock it until [`StateChange::Unlock`]; ends its sessions.
    Lock,
    /// Lift the administrator's lock.
    Unlock,
    /// The next sign-in must choose a new password; ends its sessions.
    RequirePasswordChange,
    /// Archive it for good: ends its sessions, gives its identifiers back, takes it out of groups and from roles.
    Archive,
}

impl StateChange {
    const fn action(self) -> &'static str {
        match self {
            Self::Enable => "user.enable",
            Self::Disable => "user.disable",
            Self::Lock => "user.lock",
            Self::Unlock => "user.unlock",
            Self::RequirePasswordChange => "user.password.require_change",
            Self::Archive => "user.archive",
        }
    }

    const fn ends_sessions(self) -> bool {
        !matches!(self, Self::Enable | Self::Unlock)
    }

    fn apply(self, user: &mut User) {
        match self {
            Self::Enable => user.enabled = true,
            Self::Disable => user.enabled = false,
            Self::Lock => user.locked = true,
            Self::Unlock => user.locked = false,
            Self::RequirePasswordChange => user.must_change_password = true,
            Self::Archive => {
                user.enabled = false;
                user.archived_at = Some(user.updated_at);
            }
        }
    }
}

/// A new user who was checked, on the way into a transaction.
pub struct ReadyUser {
    prepared: Prepared,
    hash: Option<String>,
    imported: bool,
    group: Option<(GroupId, MembershipKind)>,
    administrator: bool,
}

impl ReadyUser {
    /// The user as they will be.
    #[must_use]
    pub const fn user(&self) -> &User {
        &self.prepared.user
    }
}

/// The use cases of users.
#[derive(Clone, Copy)]
pub struct Users<'a>(pub(crate) &'a Identity);

impl Users<'_> {
    /// Makes a user.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the tenant or the group; [`Error::Invalid`] for a field; [`Error::Taken`] for `username` or `email`, be it as
    /// the other kind of name, or by a request that runs at this moment; [`Error::Policy`]; [`Error::Busy`].
    pub async fn create(self, tenant: TenantId, new: NewUser, cause: &Cause) -> Result<Arc<User>, Error> {
        let ready = self.ready(tenant, new).await?;
        let (identity, cause, made) = (self.0.clone(), cause.clone(), ready.prepared.user.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| identity.users().put(tx, &ready, &cause).await)
            .await?;
        Ok(Arc::new(made))
    }

    /// Checks a new user and hashes the password; nothing is stored yet. For a transaction that does more than make the user.
    ///
    /// # Errors
    /// Those of [`Users::create`] that need no look at other users.
    pub async fn ready(self, tenant: TenantId, new: NewUser) -> Result<ReadyUser, Error> {
        let settings = &self.0.tenants().get(tenant).await?.settings;
        let profile = new.profile.checked()?;
        let imported = matches!(new.credential, Credential::ImportedHash(_));
        let hash = match new.credential {
            Credential::None => None,
            Credential::Password(password) => {
                credential::check(&settings.password, &profile, &password)?;
                Some(self.0.passwords().hash(tenant, &password).await?)
            }
            Credential::PasswordUnder(password, policy) => {
                credential::check(&policy, &profile, &password)?;
                Some(self.0.passwords().hash(tenant, &password).await?)
            }
            Credential::ImportedHash(hash) => {
                if imported::recognise(&hash).is_none() {
                    return Err(Error::invalid("imported_hash", "is of no kind that is known here"));
                }
                Some(hash)
            }
        };
        let world = self.0.world();
        let now = world.now();
        let user = User {
            id: world.new_id(),
            tenant_id: tenant,
            profile,
            enabled: new.enabled,
            locked: false,
            must_change_password: new.must_change_password,
            archived_at: None,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let (group, administrator) = (new.group, new.tenant_administrator);
        Ok(ReadyUser { prepared: Prepared::new(user)?, hash, imported, group, administrator })
    }

    /// Makes the user in the caller's transaction.
    ///
    /// # Errors
    /// Those of [`Users::create`].
    pub async fn put(self, tx: &mut Tx<'_>, ready: &ReadyUser, cause: &Cause) -> Result<(), Error> {
        let (identity, made) = (self.0, &ready.prepared.user);
        let tenant = made.tenant_id;
        cause.claim(tx, identity.world(), ("user", made.id.uuid())).await?;
        insert_all(tx, &[&ready.prepared]).await?;
        if let Some(hash) = &ready.hash {
            credential::first(tx, made.id, hash, made.created_at).await?;
        }
        let detail = json!({
            "username": made.username, "email": made.email, "enabled": made.enabled,
            "password": ready.hash.is_some(), "imported_hash": ready.imported,
        });
        let event = cause.done(tenant, "user.create", ("user", made.id.to_string()), detail);
        keyreeve_audit::record(tx, identity.world(), &event).await?;
        if let Some((group, kind)) = ready.group {
            groups::join(tx, identity, (tenant, group, Party::User(made.id)), kind, cause).await?;
        }
        if ready.administrator {
            roles::make_administrator(tx, identity, (tenant, Party::User(made.id)), cause).await?;
        }
        tx.changed(Some(tenant), TOPIC, &made.id.to_string()).await?;
        Ok(())
    }

    /// The user, from memory where that is allowed; archived ones too.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn by_id(self, tenant: TenantId, id: UserId) -> Result<Option<Arc<User>>, Error> {
        let store = self.0.store();
        self.0
            .caches()
            .users
            .get_with(tenant, &id, || async move {
                let found = store
                    .read(async move |tx: &mut Tx<'_>| {
                        tx.query_opt(&schema::USER_BY_ID, &params![tenant, id], User::from_row).await
                    })
                    .await?;
                Ok(found.map(Arc::new))
            })
            .await
    }

    /// The user, who has to be there.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(self, tenant: TenantId, id: UserId) -> Result<Arc<User>, Error> {
        self.by_id(tenant, id).await?.ok_or(Error::NotFound("user"))
    }

    /// The user whom a username or e-mail address names, in any spelling.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn find(self, tenant: TenantId, identifier: &str) -> Result<Option<User>, Error> {
        let Ok(canonical) = CanonicalName::parse(identifier) else { return Ok(None) };
        let found = self
            .0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                tx.query_opt(&schema::USER_BY_IDENTIFIER, &params![tenant, canonical], User::from_row).await
            })
            .await?;
        Ok(found)
    }

    /// A page of the tenant's users in the order of their making, those after `after`; at most 500. Without archived ones.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(self, tenant: TenantId, after: Option<UserId>, limit: u16) -> Result<Vec<User>, Error> {
        let after = after.unwrap_or(UserId::from_uuid(uuid::Uuid::nil()));
        let limit = i64::from(limit.clamp(1, MAX_PAGE));
        self.0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                Ok(tx.query(&schema::USER_PAGE, &params![tenant, after, limit], User::from_row).await?)
            })
            .await
    }

    /// Changes a user's profile. With `version`, only if it still is at that version.
    ///
    /// # Errors
    /// [`Error::NotFound`] (also for archived users), [`Error::VersionConflict`], [`Error::Invalid`], [`Error::Taken`].
    pub async fn update(
        self,
        (tenant, id): (TenantId, UserId),
        patch: ProfilePatch,
        version: Option<i64>,
        cause: &Cause,
    ) -> Result<Arc<User>, Error> {
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                identity.users().update_in(tx, (tenant, id), (&patch, version), &cause).await.map(Arc::new)
            })
            .await
    }

    /// The same in the caller's transaction.
    ///
    /// # Errors
    /// As [`Users::update`].
    pub async fn update_in(
        self,
        tx: &mut Tx<'_>,
        (tenant, id): (TenantId, UserId),
        (patch, version): (&ProfilePatch, Option<i64>),
        cause: &Cause,
    ) -> Result<User, Error> {
        let before = hold_user(tx, tenant, id).await?;
        crate::check_version(version, before.version)?;
        update_held(tx, self.0, before, patch, cause).await
    }

    /// Changes the state of a user's account. With `version`, only if it still is at that version.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for archived users; [`Error::VersionConflict`].
    pub async fn change_state(
        self,
        (tenant, id): (TenantId, UserId),
        change: StateChange,
        version: Option<i64>,
        cause: &Cause,
    ) -> Result<Arc<User>, Error> {
        let (identity, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                identity.users().change_in(tx, (tenant, id), (change, version), &cause).await.map(Arc::new)
            })
            .await
    }

    /// The same in the caller's transaction.
    ///
    /// # Errors
    /// As [`Users::change_state`].
    pub async fn change_in(
        self,
        tx: &mut Tx<'_>,
        (tenant, id): (TenantId, UserId),
        (change, version): (StateChange, Option<i64>),
        cause: &Cause,
    ) -> Result<User, Error> {
        let user = hold_user(tx, tenant, id).await?;
        crate::check_version(version, user.version)?;
        change_held(tx, self.0, user, change, cause).await
    }
}

/// Changes the profile of a user whom the transaction holds.
pub(super) async fn update_held(
    tx: &mut Tx<'_>,
    identity: &Identity,
    before: User,
    patch: &ProfilePatch,
    cause: &Cause,
) -> Result<User, Error> {
    let (tenant, id) = (before.tenant_id, before.id);
    let former = before.profile.identifiers()?;
    let former_attributes = before.profile.attributes.clone();
    let read_version = before.version;
    let (profile, touched) = patch.apply(before.profile.clone())?;
    let after = User {
        profile,
        updated_at: identity.world().now(),
        version: read_version.saturating_add(1),
        ..before
    };
    write_profile(tx, &after, read_version).await?;
    if after.profile.identifiers()? != former {
        tx.execute(&schema::RELEASE_IDENTIFIERS, &params![tenant, id]).await?;
        claim_identifiers(tx, &after).await?;
    }
    attributes::reindex(tx, &after, &former_attributes).await?;
    let event = cause.done(tenant, "user.update", ("user", id.to_string()), json!({"fields": touched}));
    keyreeve_audit::record(tx, identity.world(), &event).await?;
    tx.changed(Some(tenant), TOPIC, &id.to_string()).await?;
    Ok(after)
}

/// Changes the state of the account of a user whom the transaction holds.
pub(super) async fn change_held(
    tx: &mut Tx<'_>,
    identity: &Identity,
    mut user: User,
    change: StateChange,
    cause: &Cause,
) -> Result<User, Error> {
    let (tenant, id) = (user.tenant_id, user.id);
    user.updated_at = identity.world().now();
    change.apply(&mut user);
    write_state(tx, &mut user).await?;
    if change == StateChange::Archive {
        tx.execute(&schema::RELEASE_IDENTIFIERS, &params![tenant, id]).await?;
        tx.execute(&schema::FORGET_ATTRIBUTES, &params![tenant, id]).await?;
        directory::forget_party(tx, tenant, Party::User(id)).await?;
        second_factor::forget_all(tx, tenant, id).await?;
    }
    let event = cause.done(tenant, change.action(), ("user", id.to_string()), serde_json::Value::Null);
    keyreeve_audit::record(tx, identity.world(), &event).await?;
    if change.ends_sessions() {
        recovery::kill_links(tx, (tenant, id), user.updated_at).await?;
        end_sessions_of(tx, identity, &user, change.action(), cause).await?;
    }
    Ok(user)
}

/// Reads a user who is not archived.
pub(crate) async fn read_user(tx: &mut Tx<'_>, tenant: TenantId, id: UserId) -> Result<User, Error> {
    let found = tx.query_opt(&schema::USER_BY_ID, &params![tenant, id], User::from_row).await?;
    found.filter(|user| user.archived_at.is_none()).ok_or(Error::NotFound("user"))
}

/// Reads a user who is not archived, and keeps others from changing them until the transaction ends. Whoever writes
/// something about a user holds the user first, so that nobody waits for each other in a circle.
pub(crate) async fn hold_user(tx: &mut Tx<'_>, tenant: TenantId, id: UserId) -> Result<User, Error> {
    let found = tx.query_opt(&schema::HOLD_USER, &params![tenant, id], User::from_row).await?;
    found.filter(|user| user.archived_at.is_none()).ok_or(Error::NotFound("user"))
}

/// Writes the state fields of `user`, whose version it raises, and announces it.
pub(crate) async fn write_state(tx: &mut Tx<'_>, user: &mut User) -> Result<(), Error> {
    tx.execute(
        &schema::UPDATE_STATE,
        &params![
            user.tenant_id,
            user.id,
            user.enabled,
            user.locked,
            user.must_change_password,
            user.archived_at,
            user.updated_at
        ],
    )
    .await?;
    user.version = user.version.saturating_add(1);
    tx.changed(Some(user.tenant_id), TOPIC, &user.id.to_string()).await?;
    Ok(())
}

/// Ends all sessions of a user whose account changed.
pub(crate) async fn end_sessions_of(
    tx: &mut Tx<'_>,
    identity: &Identity,
    user: &User,
    because: &'static str,
    cause: &Cause,
) -> Result<(), Error> {
    sessions::end_all(tx, identity, (user.tenant_id, user.id, None), because, cause).await.map(|_| ())
}

/// A new user with everything that is stored of one, worked out before the transaction that makes them.
#[derive(Clone)]
pub(crate) struct Prepared {
    pub(crate) user: User,
    pub(crate) identifiers: Vec<Identifier>,
    attributes: String,
    keys: Keys,
    index: Vec<(String, String)>,
}

impl Prepared {
    /// What is stored of this user, whose profile is checked.
    pub(crate) fn new(user: User) -> Result<Self, Error> {
        Ok(Self {
            identifiers: user.profile.identifiers()?,
            attributes: crate::write_json(&user.attributes)?,
            keys: Keys::of(&user.profile),
            index: attributes::index_of(&user.attributes),
            user,
        })
    }
}

/// Inserts users with their index and their names.
///
/// # Errors
/// [`Error::Taken`] when somebody has one of the names.
pub(crate) async fn insert_all(tx: &mut Tx<'_>, new: &[&Prepared]) -> Result<(), Error> {
    let rows: Vec<_> = new.iter().map(|new| user_row(new)).collect();
    tx.execute_each(&schema::INSERT_USER, &rows).await?;
    let index: Vec<_> = new
        .iter()
        .flat_map(|new| new.index.iter().map(move |(name, key)| (&new.user, name, key)))
        .map(|(user, name, key)| params![user.tenant_id, *name, *key, user.id])
        .collect();
    tx.execute_each(&schema::INDEX_ATTRIBUTE, &index).await?;
    let claims: Vec<_> =
        new.iter().flat_map(|new| new.identifiers.iter().map(move |name| (&new.user, name))).collect();
    let rows: Vec<_> = claims
        .iter()
        .map(|(user, name)| params![user.tenant_id, name.canonical, user.id, name.kind])
        .collect();
    let claimed = tx.execute_each(&schema::CLAIM_IDENTIFIER, &rows).await?;
    match claims.iter().zip(claimed).find(|(_, rows)| *rows == 0) {
        Some(((_, name), _)) => Err(taken(name)),
        None => Ok(()),
    }
}

fn user_row(new: &Prepared) -> [Param<'_>; 22] {
    let Prepared { user, attributes, keys, .. } = new;
    params![
        user.id,
        user.tenant_id,
        user.username,
        user.email,
        user.email_verified,
        user.given_name,
        user.family_name,
        user.display_name,
        user.phone_number,
        user.locale,
        user.zoneinfo,
        *attributes,
        user.enabled,
        user.locked,
        user.must_change_password,
        user.created_at,
        keys.username,
        keys.email,
        keys.given_name,
        keys.family_name,
        keys.display_name,
        keys::FORM
    ]
}

fn taken(name: &Identifier) -> Error {
    Error::Taken(if name.kind == "email" { "email" } else { "username" })
}

/// The database decides who has a name: a name that somebody else claims at this moment is waited for, then found taken.
pub(crate) async fn claim_identifiers(tx: &mut Tx<'_>, user: &User) -> Result<(), Error> {
    for name in user.profile.identifiers()? {
        let claim = &schema::CLAIM_IDENTIFIER;
        if tx.execute(claim, &params![user.tenant_id, &name.canonical, user.id, name.kind]).await? == 0 {
            return Err(taken(&name));
        }
    }
    Ok(())
}

/// Writes a user's profile, if the user still is at `version`. Links that were sent to another address are dead then.
pub(crate) async fn write_profile(tx: &mut Tx<'_>, user: &User, version: i64) -> Result<(), Error> {
    let keys = Keys::of(&user.profile);
    let attributes = crate::write_json(&user.attributes)?;
    let written = tx
        .execute(
            &schema::UPDATE_PROFILE,
            &params![
                user.tenant_id,
                user.id,
                version,
                &user.username,
                &user.email,
                user.email_verified,
                &user.given_name,
                &user.family_name,
                &user.display_name,
                &user.phone_number,
                &user.locale,
                &user.zoneinfo,
                &attributes,
                user.updated_at,
                &keys.username,
                &keys.email,
                &keys.given_name,
                &keys.family_name,
                &keys.display_name,
                keys::FORM
            ],
        )
        .await?;
    if written == 0 {
        return Err(Error::VersionConflict);
    }
    recovery::kill_links_to_others(tx, user).await
}
