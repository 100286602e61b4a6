//! Making secrets, changing what is said about them, giving them away, removing them.

use crate::access::{Attempt, DELETE, TYPE, WRITE, record};
use crate::content::{Content, Material};
use crate::error::apply;
use crate::model::{MAX_DESCRIPTION_BYTES, actor_text, check_labels, check_name, check_text, json_text};
use crate::versions::insert_version;
use crate::{Elsewhere, Error, Kind, Place, Secret, SecretId, Secrets, Settings, schema};
use keyreeve_base::TenantId;
use keyreeve_identity::{Authority, Cause, Party, Patch, Sealer, Subject};
use keyreeve_sharing::NewHosted;
use keyreeve_store::{Tx, params};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who is to own a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Owner {
    /// Whoever makes it; the tenant, where that is neither a user nor a service account.
    #[default]
    Own,
    /// The tenant: nobody but whoever administers it.
    Tenant,
    /// This user, group or service account. To name another than oneself, or a group that one administers, takes authority
    /// over the tenant.
    Party(Party),
}

/// What a new secret is made of.
#[derive(Debug)]
pub struct NewSecret {
    /// What kind of thing it is.
    pub kind: Kind,
    /// Its first value; none for one that has no version yet.
    pub content: Option<Content>,
    /// The name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whatever else it is to be found by.
    pub labels: BTreeMap<String, String>,
    /// Who is to own it.
    pub owner: Owner,
    /// The resource below which it is to lie; takes ownership of that, or a permission to share it.
    pub parent: Option<String>,
    /// Where it is to be found by path.
    pub place: Option<Place>,
    /// How it is to be kept.
    pub settings: Settings,
    /// The store elsewhere that keeps its value; takes authority over the tenant, and a `content` of none.
    pub elsewhere: Option<Elsewhere>,
}

impl NewSecret {
    /// A secret of this name with this first value, kept as any other.
    #[must_use]
    pub fn of(name: &str, content: Content) -> Self {
        Self {
            kind: content.kind(),
            content: Some(content),
            name: name.to_owned(),
            description: None,
            labels: BTreeMap::new(),
            owner: Owner::Own,
            parent: None,
            place: None,
            settings: Settings::default(),
            elsewhere: None,
        }
    }
}

/// What changes of a secret; what is left out stays. Its value, its owner and its kind do not change by it.
#[derive(Debug, Clone, Default)]
pub struct SecretPatch {
    /// Another name.
    pub name: Option<String>,
    /// Another description, or none.
    pub description: Patch<String>,
    /// All of the labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// How it is kept, all of it.
    pub settings: Option<Settings>,
}

/// A secret that is about to be made, checked.
struct Prepared {
    id: SecretId,
    tenant: TenantId,
    type_key: i64,
    parent_key: Option<i64>,
    owner: Option<Party>,
    bounded: bool,
    new: NewSecret,
    material: Option<Material>,
    sealer: Arc<Sealer>,
}

impl Secrets {
    /// Makes a secret. Everybody may, for themselves and for groups that they administer; for others, for the tenant, and
    /// authorities of any kind, whoever administers the tenant.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Denied`]; [`Error::NotFound`] for owner and parent; [`Error::Taken`] for the path;
    /// [`Error::Repeated`].
    pub async fn create(
        &self,
        authority: &Authority,
        mut new: NewSecret,
        cause: &Cause,
    ) -> Result<Secret, Error> {
        let tenant = authority.tenant();
        check(&new)?;
        let owner = self.owner(authority, new.owner).await?;
        if new.kind.is_authority() && !authority.may_manage_tenant() {
            return Err(Error::Denied("authority over the tenant"));
        }
        // Whoever names a store reads and writes with its credential, at any path that the credential opens.
        if new.elsewhere.is_some() && !authority.may_manage_tenant() {
            return Err(Error::Denied("authority over the tenant, to name a store elsewhere"));
        }
        let parent_key = match &new.parent {
            Some(parent) => Some(self.sharing().hosted().parent(authority, parent).await?),
            None => None,
        };
        let material = match new.content.take() {
            Some(content) => Some(self.prepare((tenant, Some(authority)), content, cause).await?),
            None => None,
        };
        let prepared = Prepared {
            id: SecretId::generate(self.world()),
            tenant,
            type_key: self.sharing().hosted().ensure(tenant, &TYPE).await?,
            parent_key,
            owner,
            bounded: !authority.may_manage_tenant(),
            new,
            material,
            sealer: self.identity().tenants().sealer(tenant).await?,
        };
        let (secrets, cause, id) = (self.clone(), cause.clone(), prepared.id);
        self.store()
            .write(async move |tx: &mut Tx<'_>| insert(tx, &secrets, &prepared, &cause).await)
            .await?;
        self.load(tenant, id).await
    }

    async fn owner(&self, authority: &Authority, owner: Owner) -> Result<Option<Party>, Error> {
        let own = authority.subject().and_then(Subject::party);
        let owner = match owner {
            Owner::Own => own,
            Owner::Tenant => None,
            Owner::Party(party) => Some(party),
        };
        let administers = match owner {
            Some(Party::Group(group)) => authority.may_manage_group(group),
            _ => false,
        };
        if !authority.may_manage_tenant() && !administers && (owner.is_none() || owner != own) {
            return Err(Error::Denied("authority over the tenant, to name that owner"));
        }
        if let Some(owner) = owner {
            self.sharing().hosted().check_owner(authority.tenant(), owner).await?;
        }
        Ok(owner)
    }

    /// The secret, without its value.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(&self, authority: &Authority, id: SecretId) -> Result<Secret, Error> {
        self.find(authority, id).await
    }

    /// Changes what is said about a secret, and how it is kept; takes [`WRITE`]. With `version`, only if it still is at
    /// that version.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`], [`Error::VersionConflict`], [`Error::Invalid`].
    #[allow(clippy::too_many_arguments, reason = "who, which, what, at which version, and by what cause")]
    pub async fn update(
        &self,
        authority: &Authority,
        id: SecretId,
        patch: SecretPatch,
        version: Option<i64>,
        cause: &Cause,
    ) -> Result<Secret, Error> {
        let tenant = authority.tenant();
        self.require(Attempt { authority, id, action: "secret.update", cause }, WRITE).await?;
        let (secrets, cause) = (self.clone(), cause.clone());
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                let held = hold(tx, (tenant, id), version).await?;
                let mut secret: Secret =
                    tx.query_one(&schema::SECRET, &params![tenant, id], Secret::from_row).await?;
                let touched = patched(&mut secret, &patch)?;
                if secret.elsewhere.is_some() {
                    secret.settings.check_elsewhere()?;
                }
                let labels = labels_text(&secret.labels)?;
                let (settings, now) = (json_text(&secret.settings)?, secrets.world().now());
                let Secret { name, description, .. } = &secret;
                let row = params![tenant, held.key, name, description, labels, settings, now];
                tx.execute(&schema::UPDATE, &row).await?;
                if touched.contains(&"name") {
                    let resource = (tenant, held.resource_key);
                    secrets.sharing().hosted().rename(tx, resource, &secret.name).await?;
                }
                if touched.contains(&"settings") {
                    crate::aged::schedule(tx, held.key, &secret.settings).await?;
                    tell(tx, tenant, held.kind).await?;
                }
                let detail = json!({"fields": touched});
                record(tx, &secrets, (tenant, "secret.update", id), (&cause, detail)).await
            })
            .await?;
        self.load(tenant, id).await
    }

    /// Gives a secret to another owner; takes ownership.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the secret and the owner; [`Error::Denied`], [`Error::VersionConflict`].
    #[allow(clippy::too_many_arguments, reason = "who, which, to whom, at which version, and by what cause")]
    pub async fn transfer(
        &self,
        authority: &Authority,
        id: SecretId,
        owner: Option<Party>,
        version: Option<i64>,
        cause: &Cause,
    ) -> Result<Secret, Error> {
        let tenant = authority.tenant();
        self.require_owner(Attempt { authority, id, action: "secret.transfer", cause }).await?;
        match owner {
            Some(owner) => self.sharing().hosted().check_owner(tenant, owner).await?,
            None if authority.may_manage_tenant() => {}
            None => return Err(Error::Denied("authority over the tenant, to give a secret to it")),
        }
        let (secrets, cause) = (self.clone(), cause.clone());
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                let held = hold(tx, (tenant, id), version).await?;
                let (text, now) = (owner.map(|owner| owner.to_string()), secrets.world().now());
                tx.execute(&schema::TRANSFER, &params![tenant, held.key, text, now]).await?;
                secrets.sharing().hosted().transfer(tx, (tenant, held.resource_key), owner).await?;
                let detail = json!({"to": text});
                record(tx, &secrets, (tenant, "secret.transfer", id), (&cause, detail)).await
            })
            .await?;
        self.load(tenant, id).await
    }

    /// Removes a secret with all its versions, for good; takes [`DELETE`].
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`], [`Error::VersionConflict`]; [`Error::InUse`] for an authority whose
    /// certificates are still valid.
    pub async fn delete(
        &self,
        authority: &Authority,
        id: SecretId,
        version: Option<i64>,
        cause: &Cause,
    ) -> Result<(), Error> {
        let tenant = authority.tenant();
        self.require(Attempt { authority, id, action: "secret.delete", cause }, DELETE).await?;
        let (secrets, cause) = (self.clone(), cause.clone());
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                let held = hold(tx, (tenant, id), version).await?;
                erase(tx, &secrets, (tenant, id), &held).await?;
                record(tx, &secrets, (tenant, "secret.delete", id), (&cause, json!(null))).await
            })
            .await
    }
}

/// Says that what an authority publishes is otherwise than it was.
pub(crate) async fn tell(tx: &mut Tx<'_>, tenant: TenantId, kind: Kind) -> Result<(), keyreeve_store::Error> {
    if kind == Kind::SigningKey {
        tx.changed(Some(tenant), crate::signing::TOPIC, &tenant.to_string()).await
    } else if kind.is_authority() {
        tx.changed(Some(tenant), crate::lists::TOPIC, crate::lists::ALL).await
    } else {
        Ok(())
    }
}

/// Removes everything of a secret.
pub(crate) async fn erase(
    tx: &mut Tx<'_>,
    secrets: &Secrets,
    (tenant, id): (TenantId, SecretId),
    held: &Held,
) -> Result<(), Error> {
    if held.kind.is_authority() {
        let now = secrets.world().now();
        let valid =
            tx.query_opt(&schema::STILL_VALID, &params![held.key, now], |row| row.get::<i64>(0)).await?;
        if valid.is_some() {
            return Err(Error::InUse("certificates that are valid: revoke them first"));
        }
        tell(tx, tenant, held.kind).await?;
    }
    for statement in [&schema::DROP_LEASES, &schema::DROP_POLICIES, &schema::DROP_CERTIFICATES] {
        tx.execute(statement, &params![held.key]).await?;
    }
    let all = params![held.key, i64::MAX];
    tx.execute(&schema::DROP_VALUES, &all).await?;
    tx.execute(&schema::DROP_VERSIONS, &all).await?;
    tx.execute(&schema::DELETE, &params![tenant, held.key]).await?;
    secrets
        .sharing()
        .hosted()
        .remove(tx, (tenant, held.resource_key), &id.to_string())
        .await
        .map_err(Error::from)
}

fn check(new: &NewSecret) -> Result<(), Error> {
    check_name(&new.name)?;
    if let Some(description) = &new.description {
        check_text("description", description, MAX_DESCRIPTION_BYTES)?;
    }
    check_labels(&new.labels)?;
    new.settings.check(new.kind)?;
    if let Some(elsewhere) = &new.elsewhere {
        check_elsewhere(new, elsewhere)?;
    }
    match &new.content {
        Some(content) if content.kind() != new.kind => {
            Err(Error::invalid("kind", "is not the one of the value"))
        }
        None if !matches!(new.kind, Kind::KeyValue | Kind::File) => {
            Err(Error::invalid("value", "is missing"))
        }
        _ => Ok(()),
    }
}

fn check_elsewhere(new: &NewSecret, elsewhere: &Elsewhere) -> Result<(), Error> {
    if new.kind != Kind::KeyValue {
        return Err(Error::invalid("kind", "is not key_value, which stores elsewhere keep"));
    }
    if new.content.is_some() {
        return Err(Error::invalid("value", "is not given here: it lies in the store, or is written there"));
    }
    crate::model::check_path(&elsewhere.path).map_err(|_| {
        Error::invalid(
            "store_path",
            "has an empty part, `.`, `..`, a backslash or a control character, or is longer than 512 bytes",
        )
    })?;
    new.settings.check_elsewhere()
}

fn patched(secret: &mut Secret, patch: &SecretPatch) -> Result<Vec<&'static str>, Error> {
    let mut touched = Vec::new();
    if let Some(name) = &patch.name {
        check_name(name)?;
        secret.name.clone_from(name);
        touched.push("name");
    }
    if apply(&patch.description, &mut secret.description) {
        check_text("description", secret.description.as_deref().unwrap_or_default(), MAX_DESCRIPTION_BYTES)?;
        touched.push("description");
    }
    if let Some(labels) = &patch.labels {
        check_labels(labels)?;
        secret.labels.clone_from(labels);
        touched.push("labels");
    }
    if let Some(settings) = &patch.settings {
        settings.check(secret.kind)?;
        secret.settings.clone_from(settings);
        touched.push("settings");
    }
    Ok(touched)
}

fn labels_text(labels: &BTreeMap<String, String>) -> Result<Option<String>, keyreeve_store::Error> {
    if labels.is_empty() { Ok(None) } else { json_text(labels).map(Some) }
}

/// What a transaction that changes a secret knows of it.
pub(crate) struct Held {
    pub(crate) key: i64,
    pub(crate) resource_key: i64,
    pub(crate) current: i64,
    pub(crate) settings: Settings,
    pub(crate) kind: Kind,
}

/// Keeps others from changing the secret until the transaction ends.
pub(crate) async fn hold(
    tx: &mut Tx<'_>,
    (tenant, id): (TenantId, SecretId),
    version: Option<i64>,
) -> Result<Held, Error> {
    let found = tx
        .query_opt(&schema::HOLD, &params![tenant, id], |row| {
            let (version, current): (i64, i64) = (row.get(1)?, row.get(2)?);
            Ok((
                row.get::<i64>(0)?,
                version,
                current,
                row.get::<String>(3)?,
                row.get::<i64>(4)?,
                row.get::<String>(5)?,
            ))
        })
        .await?;
    let Some((key, present, current, settings, resource_key, kind)) = found else {
        return Err(Error::NotFound("secret"));
    };
    if version.is_some_and(|version| version != present) {
        return Err(Error::VersionConflict);
    }
    let settings = serde_json::from_str(&settings).map_err(Error::failed("a secret's settings"))?;
    Ok(Held { key, resource_key, current, settings, kind: kind.parse()? })
}

async fn insert(tx: &mut Tx<'_>, secrets: &Secrets, prepared: &Prepared, cause: &Cause) -> Result<(), Error> {
    let Prepared { id, tenant, type_key, parent_key, owner, new, material, .. } = prepared;
    cause.claim(tx, secrets.world(), ("secret", id.uuid())).await?;
    let (now, id_text) = (secrets.world().now(), id.to_string());
    let owner_text = owner.map(|owner| owner.to_string());
    if let (true, Some(text)) = (prepared.bounded, &owner_text) {
        let most = secrets.options().max_per_owner;
        let bound = i64::from(most);
        let count: i64 = tx.scalar(&schema::COUNT_OF_OWNER, &params![tenant, text, bound]).await?;
        if count >= bound {
            return Err(Error::invalid("owner", format!("has {most} secrets already")));
        }
    }
    if let Some(elsewhere) = &new.elsewhere {
        let store = params![tenant, elsewhere.store];
        let found = tx.query_opt(&schema::HOLD_STORE, &store, |row| row.get::<i64>(0)).await?;
        found.ok_or_else(|| Error::invalid("store", "is none that there is"))?;
    }
    let (store, store_path) =
        (new.elsewhere.as_ref().map(|of| of.store), new.elsewhere.as_ref().map(|of| of.path.as_str()));
    let hosted = NewHosted {
        tenant: *tenant,
        id: &id_text,
        type_key: *type_key,
        parent: *parent_key,
        owner: *owner,
        name: &new.name,
        now,
    };
    let resource_key = secrets.sharing().hosted().make(tx, &hosted).await?;
    let (labels, settings) = (labels_text(&new.labels)?, json_text(&new.settings)?);
    let (mount, path) = (new.place.as_ref().map(Place::mount), new.place.as_ref().map(Place::path));
    let (kind, by) = (new.kind.as_str(), actor_text(cause.actor));
    let expires_at = material.as_ref().and_then(|material| material.expires_at);
    let current = i64::from(material.is_some());
    let row = params![
        tenant,
        id,
        kind,
        resource_key,
        owner_text,
        new.parent,
        new.name,
        new.description,
        labels,
        mount,
        path,
        settings,
        current,
        expires_at,
        now,
        by,
        store,
        store_path
    ];
    let key = match tx.query_one(&schema::INSERT, &row, |row| row.get::<i64>(0)).await {
        Ok(key) => key,
        Err(keyreeve_store::Error::Conflict { .. }) => return Err(Error::Taken("path")),
        Err(error) => return Err(error.into()),
    };
    if new.kind == Kind::SigningKey {
        crate::signing::check_count(tx, *tenant).await?;
    }
    tell(tx, *tenant, new.kind).await?;
    if let Some(material) = material {
        let of = crate::sealed::Bound { tenant: *tenant, id: *id, kind: new.kind, number: 1 };
        insert_version(tx, secrets, (key, of, &new.settings), (material, &prepared.sealer), cause).await?;
    }
    let mut detail =
        json!({"kind": kind, "owner": owner_text, "parent": new.parent, "mount": mount, "path": path});
    if let (Some(store), Some(detail)) = (store, detail.as_object_mut()) {
        detail.insert("store".to_owned(), json!(store.to_string()));
        detail.insert("store_path".to_owned(), json!(store_path));
    }
    record(tx, secrets, (*tenant, "secret.create", *id), (cause, detail)).await
}
