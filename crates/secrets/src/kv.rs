//! Key/value secrets by path, as stores of that kind have them: a mount, and paths in it. What is at a path is a secret like any
//! other, with its own owner and grants; every use case here is one of the room, on the secret that the path names.
//!
//! Nobody is told of a path whose secret they do not see: not by reading, not by listing, not as a part of another path.

use crate::access::{Attempt, WRITE, sees};
use crate::content::Content;
use crate::model::{check_mount, check_path};
use crate::read::find_version;
use crate::sealed::Bound;
use crate::versions::Next;
use crate::{
    Error, Fate, Kind, NewSecret, Opened, Place, Secret, SecretId, SecretPatch, Secrets, Settings, Version,
    schema,
};
use keyreeve_crypto::{Secret as SecretText, SecretBytes};
use keyreeve_identity::{Authority, Cause};
use keyreeve_store::{Tx, params};
use serde_json::{Map, Value};

/// How many rows one page of a listing looks at.
const TESTED: usize = 20_000;
/// How many are read at once.
const ROWS: i64 = 200;
/// The last character that there is; no path has it.
pub(crate) const LAST: char = char::MAX;

/// Key/value secrets by path.
#[derive(Clone, Copy)]
pub struct KeyValues<'a>(pub(crate) &'a Secrets);

/// An entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// Something further down has this part before it.
    Folder(String),
    /// There is a secret of this name.
    Leaf(String),
}

impl Entry {
    /// How it is shown: a folder with a slash behind it.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Folder(name) => format!("{name}/"),
            Self::Leaf(name) => name.clone(),
        }
    }
}

impl KeyValues<'_> {
    /// The secret at a path, for whoever sees it; all of its use cases take its identifier.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn find(self, authority: &Authority, place: &Place) -> Result<Secret, Error> {
        let secret = self.at(authority, place).await?.ok_or(Error::NotFound("secret"))?;
        let access = self.0.sharing().hosted().access(authority, &secret.id.to_string()).await?;
        if access.as_ref().is_some_and(sees) { Ok(secret) } else { Err(Error::NotFound("secret")) }
    }

    async fn at(self, authority: &Authority, place: &Place) -> Result<Option<Secret>, Error> {
        let (tenant, place) = (authority.tenant(), place.clone());
        let read = async move |tx: &mut Tx<'_>| {
            let (mount, path) = (place.mount(), place.path());
            tx.query_opt(&schema::SECRET_AT, &params![tenant, mount, path], Secret::from_row).await
        };
        Ok(self.0.store().read(read).await?)
    }

    /// [`Secrets::read`] of what is at a path.
    ///
    /// # Errors
    /// As there.
    pub async fn read(
        self,
        authority: &Authority,
        place: &Place,
        number: Option<i64>,
        cause: &Cause,
    ) -> Result<Opened, Error> {
        let found = self.at(authority, place).await?.ok_or(Error::NotFound("secret"))?;
        self.0.read(authority, found.id, number, cause).await
    }

    /// Writes a value to a path: [`Secrets::write`] where there is a secret, else it is made, the writer's own, and kept as
    /// `settings` say. `follows` is the newest version, 0 where there is to be none.
    ///
    /// # Errors
    /// As there, and as [`Secrets::create`]. [`Error::Taken`] where the path is another's.
    #[allow(clippy::too_many_arguments, reason = "who, where, what, behind which version, and by what cause")]
    pub async fn write(
        self,
        authority: &Authority,
        place: &Place,
        (data, settings): (SecretText, Option<Settings>),
        follows: Option<i64>,
        cause: &Cause,
    ) -> Result<(Secret, Version), Error> {
        if let Some(found) = self.at(authority, place).await? {
            return self.write_to(authority, found.id, data, follows, cause).await;
        }
        if follows.is_some_and(|follows| follows != 0) {
            return Err(Error::CheckAndSet { current: 0 });
        }
        let settings = settings.unwrap_or_default();
        if settings.cas_required && follows.is_none() {
            return Err(Error::CheckAndSet { current: 0 });
        }
        let content = Content::KeyValue(data.duplicate());
        let new =
            NewSecret { place: Some(place.clone()), settings, ..NewSecret::of(&name_of(place), content) };
        match self.0.create(authority, new, cause).await {
            Ok(secret) => {
                let version = self.0.versions(authority, secret.id, (None, 1)).await?.into_iter().next();
                let version = version.ok_or(Error::NotFound("version"))?;
                Ok((secret, version))
            }
            // Somebody else has made it at this moment.
            Err(Error::Taken(_)) => match self.at(authority, place).await? {
                Some(found) => self.write_to(authority, found.id, data, follows, cause).await,
                None => Err(Error::VersionConflict),
            },
            Err(error) => Err(error),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "who, which, what, behind which version, and by what cause")]
    async fn write_to(
        self,
        authority: &Authority,
        id: SecretId,
        data: SecretText,
        follows: Option<i64>,
        cause: &Cause,
    ) -> Result<(Secret, Version), Error> {
        let written = self.0.write(authority, id, Content::KeyValue(data), follows, cause).await;
        match written {
            Ok(version) => Ok((self.0.load(authority.tenant(), id).await?, version)),
            Err(Error::NotFound("secret")) => Err(Error::Taken("path")),
            Err(error) => Err(error),
        }
    }

    /// Makes the place for a value without one, or changes how it is kept.
    ///
    /// # Errors
    /// As [`Secrets::create`] and [`Secrets::update`].
    pub async fn describe(
        self,
        authority: &Authority,
        place: &Place,
        patch: SecretPatch,
        cause: &Cause,
    ) -> Result<Secret, Error> {
        if let Some(found) = self.at(authority, place).await? {
            return self.0.update(authority, found.id, patch, None, cause).await;
        }
        let new = NewSecret {
            kind: Kind::KeyValue,
            content: None,
            name: patch.name.unwrap_or_else(|| name_of(place)),
            description: None,
            labels: patch.labels.unwrap_or_default(),
            owner: crate::Owner::Own,
            parent: None,
            place: Some(place.clone()),
            settings: patch.settings.unwrap_or_default(),
            elsewhere: None,
        };
        self.0.create(authority, new, cause).await
    }

    /// [`Secrets::decide_on`] of what is at a path.
    ///
    /// # Errors
    /// As there.
    #[allow(
        clippy::too_many_arguments,
        reason = "who, where, what becomes of which versions, and by what cause"
    )]
    pub async fn decide_on(
        self,
        authority: &Authority,
        place: &Place,
        fate: Fate,
        numbers: &[i64],
        cause: &Cause,
    ) -> Result<u64, Error> {
        let found = self.at(authority, place).await?.ok_or(Error::NotFound("secret"))?;
        self.0.decide_on(authority, found.id, fate, numbers, cause).await
    }

    /// What lies directly below a folder (`""` for the mount itself, else a path), those behind `after`, as far as the asker
    /// sees secrets there. A page may be short, and still have a next one: that is what the second value says.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a mount or a folder that cannot be one.
    pub async fn list(
        self,
        authority: &Authority,
        (mount, folder): (&str, &str),
        (after, limit): (Option<&Entry>, u16),
    ) -> Result<(Vec<Entry>, Option<Entry>), Error> {
        check_mount(mount)?;
        let prefix = match folder {
            "" => String::new(),
            folder => {
                check_path(folder)?;
                format!("{folder}/")
            }
        };
        // The byte behind the slash: every path below the folder comes before it.
        let end = if prefix.is_empty() { LAST.to_string() } else { format!("{folder}0") };
        let mut from = match after {
            None => prefix.clone(),
            Some(Entry::Leaf(name)) => format!("{prefix}{name}"),
            Some(Entry::Folder(name)) => format!("{prefix}{name}/{LAST}"),
        };
        let limit = usize::from(limit.clamp(1, crate::MAX_PAGE));
        let (mut entries, mut tested): (Vec<Entry>, usize) = (Vec::new(), 0);
        'pages: loop {
            let rows = self.rows(authority, mount, (&from, &end)).await?;
            if rows.is_empty() {
                return Ok((entries, None));
            }
            for (id, path) in rows {
                from.clone_from(&path);
                tested = tested.saturating_add(1);
                let Some(rest) = path.strip_prefix(&prefix) else { continue };
                if self.sees_path(authority, id).await? {
                    let entry = match rest.split_once('/') {
                        Some((folder, _)) => Entry::Folder(folder.to_owned()),
                        None => Entry::Leaf(rest.to_owned()),
                    };
                    let folder = matches!(entry, Entry::Folder(_));
                    if let Entry::Folder(name) = &entry {
                        // All else in it is passed over.
                        from = format!("{prefix}{name}/{LAST}");
                    }
                    entries.push(entry);
                    if entries.len() >= limit {
                        return Ok((entries.clone(), entries.pop()));
                    }
                    if folder {
                        continue 'pages;
                    }
                }
            }
            if tested >= TESTED {
                let rest = from.strip_prefix(&prefix).unwrap_or_default();
                return Ok((entries, Some(Entry::Leaf(rest.to_owned()))));
            }
        }
    }

    async fn sees_path(self, authority: &Authority, id: SecretId) -> Result<bool, Error> {
        if authority.may_manage_tenant() {
            return Ok(true);
        }
        let access = self.0.sharing().hosted().access(authority, &id.to_string()).await?;
        Ok(access.as_ref().is_some_and(sees))
    }

    async fn rows(
        self,
        authority: &Authority,
        mount: &str,
        (from, end): (&str, &str),
    ) -> Result<Vec<(SecretId, String)>, Error> {
        let (tenant, mount) = (authority.tenant(), mount.to_owned());
        let (from, end) = (from.to_owned(), end.to_owned());
        let read = async move |tx: &mut Tx<'_>| {
            let range = params![tenant, mount, from, end, ROWS];
            tx.query(&schema::PATHS, &range, |row| Ok((row.get::<SecretId>(0)?, row.get::<String>(1)?))).await
        };
        Ok(self.0.store().read(read).await?)
    }
}

fn name_of(place: &Place) -> String {
    let name: String = place.path().chars().take(crate::MAX_NAME_BYTES / 4).collect();
    name
}

impl Secrets {
    /// Changes a key/value secret by a JSON merge patch (RFC 7396); takes [`WRITE`], and shows nothing of what was there.
    /// With `follows`, only if that is the newest version.
    ///
    /// # Errors
    /// As [`Secrets::write`]; [`Error::Gone`] where the newest version was deleted.
    #[allow(clippy::too_many_arguments, reason = "who, which, what, behind which version, and by what cause")]
    pub async fn patch(
        &self,
        authority: &Authority,
        id: SecretId,
        patch: &SecretText,
        follows: Option<i64>,
        cause: &Cause,
    ) -> Result<Version, Error> {
        let action = "secret.patch";
        self.require(Attempt { authority, id, action, cause }, WRITE).await?;
        let tenant = authority.tenant();
        self.key_value(patch)?;
        let secrets = self.clone();
        let read = async move |tx: &mut Tx<'_>| find_version(tx, &secrets, (tenant, id), None).await;
        let stored = match self.store().read(read).await {
            Err(Error::NotFound("version")) => {
                let (secret, value) = (self.load(tenant, id).await?, crate::content::bytes_of(patch));
                let attempt = Attempt { authority, id, action, cause };
                return self.write_elsewhere(attempt, &secret, (value, follows, true)).await;
            }
            stored => stored?,
        };
        if stored.kind != Kind::KeyValue {
            return Err(Error::invalid("kind", "is not key_value"));
        }
        let newest = stored.version.number;
        if stored.settings.cas_required && follows.is_none()
            || follows.is_some_and(|follows| follows != newest)
        {
            return Err(Error::CheckAndSet { current: newest });
        }
        let sealer = self.identity().tenants().sealer(tenant).await?;
        let bound = Bound { tenant, id, kind: stored.kind, number: newest };
        let (wrapped, sealed) = (stored.wrapped.unwrap_or_default(), stored.sealed.unwrap_or_default());
        let merged = merged(&bound.open(&sealer, &wrapped, &sealed)?, patch)?;
        let material = self.key_value(&merged)?;
        let next = Next { material, follows: Some(newest), checked: true, action };
        self.append((authority, id), next, cause).await
    }
}

/// The object after a merge patch.
fn merged(value: &SecretBytes, patch: &SecretText) -> Result<SecretText, Error> {
    let mut target: Value = serde_json::from_slice(value.expose()).map_err(Error::failed("a value"))?;
    let patch: Value = serde_json::from_str(patch.expose()).map_err(Error::failed("a patch"))?;
    merge(&mut target, patch);
    let text = serde_json::to_string(&target).map(SecretText::from).map_err(Error::failed("a value"))?;
    wipe(target);
    Ok(text)
}

/// As deep as the patch, which its parser bounds.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        wipe(std::mem::replace(target, patch));
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            if let Some(old) = members.remove(&name) {
                wipe(old);
            }
        } else {
            merge(members.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// Wipes the texts of a value that was secret.
fn wipe(value: Value) {
    match value {
        Value::String(text) => drop(SecretText::from(text)),
        Value::Array(items) => items.into_iter().for_each(wipe),
        Value::Object(members) => members.into_iter().for_each(|(_, value)| wipe(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
