//! Versions: new values, deleting them and having them back, destroying them.

use crate::access::{Attempt, DELETE, ROTATE, WRITE, record};
use crate::content::{Content, Material};
use crate::model::{actor_text, json_text};
use crate::sealed::Bound;
use crate::service::{hold, tell};
use crate::{Error, Secret, SecretId, Secrets, Settings, Version, schema};
use keyreeve_identity::{Authority, Cause, Sealer};
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// The most versions that one call names.
pub const MAX_NAMED: usize = 100;

/// What becomes of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nobody reads them until they are had back.
    Delete,
    /// They are had back.
    Undelete,
    /// Their values are removed for good.
    Destroy,
}

impl Fate {
    const fn action(self) -> &'static str {
        match self {
            Self::Delete => "secret.version.delete",
            Self::Undelete => "secret.version.undelete",
            Self::Destroy => "secret.version.destroy",
        }
    }
}

/// A new value on its way in.
pub(crate) struct Next {
    pub(crate) material: Material,
    /// The version that it is to follow.
    pub(crate) follows: Option<i64>,
    /// Whether a writer has to say so where the settings want it.
    pub(crate) checked: bool,
    pub(crate) action: &'static str,
}

impl Secrets {
    /// Gives a secret a new value; takes [`WRITE`]. With `follows`, only if that is the number of the newest version; 0
    /// where there is to be none yet.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`], [`Error::CheckAndSet`]; [`Error::Invalid`], also for a value of another kind.
    #[allow(clippy::too_many_arguments, reason = "who, which, what, behind which version, and by what cause")]
    pub async fn write(
        &self,
        authority: &Authority,
        id: SecretId,
        content: Content,
        follows: Option<i64>,
        cause: &Cause,
    ) -> Result<Version, Error> {
        let action = "secret.write";
        self.require(Attempt { authority, id, action, cause }, WRITE).await?;
        let tenant = authority.tenant();
        if content.kind().is_authority() {
            return Err(Error::invalid("value", "of an authority is never given: it is rotated"));
        }
        let secret = self.load(tenant, id).await?;
        if content.kind() != secret.kind {
            return Err(Error::invalid("kind", format!("is not {}", secret.kind.as_str())));
        }
        let material = self.prepare((tenant, Some(authority)), content, cause).await?;
        if secret.elsewhere.is_some() {
            let attempt = Attempt { authority, id, action, cause };
            return self.write_elsewhere(attempt, &secret, (material.value, follows, false)).await;
        }
        self.append((authority, id), Next { material, follows, checked: true, action }, cause).await
    }

    /// Has a new value made by what made the last; takes [`ROTATE`], and shows it to nobody.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`]; [`Error::Invalid`] where the last value was not made here.
    pub async fn rotate(&self, authority: &Authority, id: SecretId, cause: &Cause) -> Result<Version, Error> {
        let action = "secret.rotate";
        self.require(Attempt { authority, id, action, cause }, ROTATE).await?;
        let secret = self.load(authority.tenant(), id).await?;
        let recipe = secret.facts.recipe.clone();
        let recipe = recipe.ok_or_else(|| {
            Error::invalid("value", "was not made here, so that there is nothing to make another by")
        })?;
        // Who made it was asked whether the policy is open to them; who rotates it need not be.
        let made = Content::Made(recipe);
        let material = self.prepare((authority.tenant(), None), made, cause).await?;
        let next = Next { material, follows: Some(secret.current), checked: false, action };
        match self.append((authority, id), next, cause).await {
            // Somebody else has rotated it, or written to it, meanwhile.
            Err(Error::CheckAndSet { .. }) => Err(Error::VersionConflict),
            done => done,
        }
    }

    pub(crate) async fn append(
        &self,
        (authority, id): (&Authority, SecretId),
        next: Next,
        cause: &Cause,
    ) -> Result<Version, Error> {
        let tenant = authority.tenant();
        let sealer = self.identity().tenants().sealer(tenant).await?;
        let (secrets, cause, next) = (self.clone(), cause.clone(), Arc::new(next));
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                let held = hold(tx, (tenant, id), None).await?;
                let Next { material, follows, checked, action } = &*next;
                if material.kind != held.kind {
                    return Err(Error::invalid("kind", format!("is not {}", held.kind.as_str())));
                }
                let unnamed = follows.is_none() && *checked && held.settings.cas_required;
                if unnamed || follows.is_some_and(|follows| follows != held.current) {
                    return Err(Error::CheckAndSet { current: held.current });
                }
                let number = held.current.saturating_add(1);
                let of = Bound { tenant, id, kind: held.kind, number };
                let version =
                    insert_version(tx, &secrets, (held.key, of, &held.settings), (material, &sealer), &cause)
                        .await?;
                let advance = params![tenant, held.key, number, material.expires_at, version.created_at];
                tx.execute(&schema::ADVANCE, &advance).await?;
                tell(tx, tenant, held.kind).await?;
                forget_old(tx, &secrets, (held.key, number), &held.settings).await?;
                record(tx, &secrets, (tenant, action, id), (&cause, json!({"version": number}))).await?;
                Ok::<_, Error>(version)
            })
            .await
    }

    /// A page of a secret's versions, newest first, those before `before`; takes [`crate::METADATA`].
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn versions(
        &self,
        authority: &Authority,
        id: SecretId,
        (before, limit): (Option<i64>, u16),
    ) -> Result<Vec<Version>, Error> {
        let secret = self.find(authority, id).await?;
        if secret.elsewhere.is_some() {
            return self.versions_elsewhere(authority.tenant(), &secret, (before, limit)).await;
        }
        let (before, limit) = (before.unwrap_or(i64::MAX), i64::from(limit.clamp(1, crate::MAX_PAGE + 1)));
        let read = async move |tx: &mut Tx<'_>| {
            tx.query(&schema::VERSIONS, &params![secret.key, before, limit], Version::from_row).await
        };
        Ok(self.store().read(read).await?)
    }

    /// Deletes versions, has them back, or destroys them. Deleting and destroying take [`DELETE`], having them back takes
    /// [`WRITE`]. Versions that there are not, and what is so already, are passed over; answers how many changed. A store elsewhere
    /// does not say how many: of its versions, all that were named count.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`]; [`Error::Invalid`] for more than [`MAX_NAMED`]; [`Error::Elsewhere`].
    #[allow(
        clippy::too_many_arguments,
        reason = "who, which, what becomes of which versions, and by what cause"
    )]
    pub async fn decide_on(
        &self,
        authority: &Authority,
        id: SecretId,
        fate: Fate,
        numbers: &[i64],
        cause: &Cause,
    ) -> Result<u64, Error> {
        let permission = if fate == Fate::Undelete { WRITE } else { DELETE };
        self.require(Attempt { authority, id, action: fate.action(), cause }, permission).await?;
        if numbers.is_empty() || numbers.len() > MAX_NAMED {
            return Err(Error::invalid("versions", format!("are not 1 to {MAX_NAMED}")));
        }
        let tenant = authority.tenant();
        let secret = self.load(tenant, id).await?;
        if secret.elsewhere.is_some() {
            let attempt = Attempt { authority, id, action: fate.action(), cause };
            return self.decide_elsewhere(attempt, &secret, (fate, numbers)).await;
        }
        let (secrets, cause, numbers) = (self.clone(), cause.clone(), numbers.to_vec());
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                let held = hold(tx, (tenant, id), None).await?;
                let now = secrets.world().now();
                let mut changed = Vec::new();
                for number in &numbers {
                    let done = match fate {
                        Fate::Delete => {
                            tx.execute(&schema::DELETE_VERSION, &params![held.key, number, now]).await?
                        }
                        Fate::Undelete => {
                            tx.execute(&schema::UNDELETE_VERSION, &params![held.key, number]).await?
                        }
                        Fate::Destroy => {
                            tx.execute(&schema::DESTROY_VALUE, &params![held.key, number]).await?;
                            tx.execute(&schema::DESTROY_VERSION, &params![held.key, number, true]).await?
                        }
                    };
                    if done > 0 {
                        changed.push(*number);
                    }
                }
                if !changed.is_empty() {
                    tell(tx, tenant, held.kind).await?;
                    tx.execute(&schema::TOUCH, &params![tenant, held.key, now]).await?;
                    let detail = json!({"versions": changed});
                    record(tx, &secrets, (tenant, fate.action(), id), (&cause, detail)).await?;
                }
                Ok::<_, Error>(u64::try_from(changed.len()).unwrap_or(u64::MAX))
            })
            .await
    }

    /// The number of the newest version, wherever it is kept; 0 where there is none.
    ///
    /// # Errors
    /// As [`Secrets::versions`].
    pub async fn newest(&self, authority: &Authority, secret: &Secret) -> Result<i64, Error> {
        if secret.elsewhere.is_none() {
            return Ok(secret.current);
        }
        let newest = self.versions(authority, secret.id, (None, 1)).await?;
        Ok(newest.first().map_or(0, |version| version.number))
    }

    /// The number of the oldest version that is kept; 0 where there is none.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn oldest(&self, secret: &Secret) -> Result<i64, Error> {
        let key = secret.key;
        let read =
            async move |tx: &mut Tx<'_>| tx.scalar::<Option<i64>>(&schema::OLDEST, &params![key]).await;
        Ok(self.store().read(read).await?.unwrap_or(0))
    }
}

/// Seals a value and inserts it as a version.
pub(crate) async fn insert_version(
    tx: &mut Tx<'_>,
    secrets: &Secrets,
    (key, of, settings): (i64, Bound, &Settings),
    (material, sealer): (&Material, &Sealer),
    cause: &Cause,
) -> Result<Version, Error> {
    let sealed = of.seal(secrets.world(), sealer, material.value.expose())?;
    let (now, by) = (secrets.world().now(), actor_text(cause.actor));
    let deleted_at = settings.version_seconds.map(|seconds| now.plus(Duration::from_secs(seconds)));
    let facts = json_text(&material.facts)?;
    let key_name = sealed.key_name.as_slice();
    let row = params![of.tenant, key, of.number, key_name, sealed.wrapped, facts, now, by, deleted_at, false];
    let version_key = tx.query_one(&schema::INSERT_VERSION, &row, |row| row.get::<i64>(0)).await?;
    tx.execute(&schema::INSERT_VALUE, &params![version_key, sealed.sealed]).await?;
    Ok(Version {
        number: of.number,
        created_at: now,
        created_by: by,
        deleted_at,
        destroyed: false,
        facts: material.facts.clone(),
    })
}

/// Removes versions that are more than are kept, or older, and notes when the next is; answers how many it removed.
pub(crate) async fn forget_old(
    tx: &mut Tx<'_>,
    secrets: &Secrets,
    (key, newest): (i64, i64),
    settings: &Settings,
) -> Result<u64, Error> {
    let (mut last, mut gone) = (newest.saturating_sub(i64::from(settings.keep_versions)), 0);
    if let Some(seconds) = settings.keep_seconds {
        let before = secrets.world().now().minus(Duration::from_secs(seconds));
        let aged: Option<i64> = tx.scalar(&schema::AGED, &params![key, newest, before]).await?;
        last = last.max(aged.unwrap_or(0).saturating_sub(1));
    }
    if last > 0 {
        tx.execute(&schema::DROP_VALUES, &params![key, last]).await?;
        gone = tx.execute(&schema::DROP_VERSIONS, &params![key, last]).await?;
    }
    if settings.keep_seconds.is_some() {
        crate::aged::schedule(tx, key, settings).await?;
    }
    Ok(gone)
}
