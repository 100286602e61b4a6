//! Making resources, and reading them.

use super::model::{NewResource, Resource, StoredResource, attributes_text};
use super::{Resources, chain};
use crate::claim::{Claim, Hold, Need};
use crate::engine::{ID_TOPIC, NODE_TOPIC};
use crate::grants::PartyKind;
use crate::model::check_id;
use crate::questions::Page;
use crate::standing::{Found, asker, over_tenant};
use crate::write::{Change, Written, claimed};
use crate::{Error, MAX_PAGE, ResourceCursor, Sharing, schema};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_identity::{Authority, Cause, Party};
use keyreeve_store::{Param, Tx, Value, params};
use serde_json::json;

/// A resource that is about to be made, and the keys of what it names.
pub(crate) struct Insert<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) id: &'a str,
    pub(crate) type_key: i64,
    pub(crate) parent: Option<Parent>,
    pub(crate) owner: Party,
    pub(crate) new: &'a NewResource,
    pub(crate) now: Timestamp,
}

/// What a new resource is to lie below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) key: i64,
    /// How many resources there are from it up, itself counted.
    pub(crate) levels: usize,
}

impl Insert<'_> {
    /// Whether the tree does not become too deep.
    pub(crate) fn check_depth(&self, sharing: &Sharing) -> Result<(), Error> {
        let max = usize::from(sharing.max_depth());
        if self.parent.is_some_and(|parent| parent.levels >= max) {
            return Err(Error::invalid("parent", format!("lies too deep: a tree has at most {max} levels")));
        }
        Ok(())
    }

    fn row<'r>(&'r self, attributes: Option<&'r str>) -> [Param<'r>; 12] {
        let text = |text: Option<&'r str>| text.map_or(Value::Null, Value::Text);
        [
            Value::Uuid(self.tenant.uuid()),
            Value::Text(self.id),
            Value::Int(self.type_key),
            self.parent.map_or(Value::Null, |parent| Value::Int(parent.key)),
            Value::Int(PartyKind::of(self.owner).number()),
            Value::Uuid(self.owner.uuid()),
            Value::Int(self.now.micros()),
            Value::Text(&self.new.name),
            text(self.new.description.as_deref()),
            text(self.new.text.as_deref()),
            text(attributes),
            self.new.metadata.as_deref().map_or(Value::Null, Value::Blob),
        ]
    }
}

impl Resources<'_> {
    /// Makes a resource. Whoever administers the tenant chooses everything. Everybody else makes resources below one that
    /// they own or share, which then are their own, with a generated identifier.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the type, the parent and the owner; [`Error::Denied`]; [`Error::Taken`] for `id`;
    /// [`Error::Invalid`], also where the tree would become too deep.
    pub async fn create(
        self,
        authority: &Authority,
        new: NewResource,
        cause: &Cause,
    ) -> Result<Written<Resource>, Error> {
        new.check()?;
        crate::hosted::keep_out(&new.resource_type)?;
        let made = self.0.with_standing(|| self.try_create(authority, &new, cause)).await?;
        match made {
            Ok(made) => self.0.written(made, false).await,
            Err(before) => self.0.written(self.get(authority, &before).await?, true).await,
        }
    }

    /// Answers the resource, or the identifier of what the same request has made before.
    async fn try_create(
        self,
        authority: &Authority,
        new: &NewResource,
        cause: &Cause,
    ) -> Result<Option<Result<Resource, String>>, Error> {
        let tenant = authority.tenant();
        let (owner, claim) = self.may_create(authority, new).await?;
        let parent = claim.as_ref().map(Claim::resource);
        let model = self.0.model(tenant).await?;
        let entry = model.type_of(&new.resource_type).ok_or(Error::NotFound("resource type"))?;
        let type_key = entry.of.key;
        let made_id = self.0.world().new_uuid();
        let id = match &new.id {
            Some(id) => {
                check_id("id", id)?;
                id.clone()
            }
            None => made_id.to_string(),
        };
        let now = self.0.world().now();
        let (sharing, cause) = (self.0.clone(), cause.clone());
        let (name, content) = (id.clone(), new.clone());
        let made = self
            .0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                if let Some(claim) = &claim
                    && !claim.holds(tx, &sharing, Hold::Along).await?
                {
                    return Ok(None);
                }
                if let Some(before) =
                    claimed_before(tx, &sharing, &cause, (tenant, &content, made_id)).await?
                {
                    return Ok(Some(Err(before)));
                }
                if !sharing.identity().groups().keep(tx, (tenant, owner)).await? {
                    return Err(Error::NotFound("owner"));
                }
                let place = match parent {
                    Some(parent) => Some(find_parent(tx, &sharing, tenant, parent).await?),
                    None => None,
                };
                let insertion =
                    Insert { tenant, id: &name, type_key, parent: place, owner, new: &content, now };
                let key = insert(tx, &sharing, &insertion).await?;
                if let Some(parent) = parent {
                    check_parent(tx, tenant, parent).await?;
                }
                tx.changed(Some(tenant), ID_TOPIC, &name).await?;
                let detail = json!({"type": content.resource_type, "owner": owner, "parent": content.parent});
                let change = Change { tenant, action: "resource.create", target: ("resource", &name) };
                change.record(tx, &sharing, &cause, detail).await?;
                Ok::<_, Error>(Some(Ok(key)))
            })
            .await?;
        let key = match made {
            Some(Ok(key)) => key,
            Some(Err(before)) => return Ok(Some(Err(before))),
            None => return Ok(None),
        };
        let new = new.clone();
        Ok(Some(Ok(Resource {
            key,
            id,
            resource_type: new.resource_type,
            owner,
            parent: new.parent,
            name: new.name,
            description: new.description,
            text: new.text,
            attributes: new.attributes,
            metadata: new.metadata,
            created_at: now,
            updated_at: now,
            version: 1,
        })))
    }

    /// Who is to own a new resource, and the asker's standing towards its parent.
    async fn may_create(
        self,
        authority: &Authority,
        new: &NewResource,
    ) -> Result<(Party, Option<Claim>), Error> {
        let tenant = authority.tenant();
        let own = asker(authority);
        let parent = match &new.parent {
            None => None,
            Some(parent) => match self.0.find(authority, parent).await {
                Ok(found) => Some(found),
                Err(Error::NotFound(_)) => return Err(Error::NotFound("parent")),
                Err(error) => return Err(error),
            },
        };
        if over_tenant(authority) {
            let claim = parent.map(|found| found.claim(authority, Need::Share)).transpose()?;
            let owner = new.owner.or(own).ok_or_else(|| Error::invalid("owner", "has to be named"))?;
            if !self.0.exists(tenant, owner).await? {
                return Err(Error::NotFound("owner"));
            }
            return Ok((owner, claim));
        }
        let Some(parent) = parent else {
            return Err(Error::Denied("authority over the tenant, or a parent that the asker may share"));
        };
        let claim = parent.claim(authority, Need::Share)?;
        let Some(own) = own else { return Err(Error::Denied("authority over the tenant")) };
        if new.owner.is_some_and(|owner| owner != own) {
            return Err(Error::Denied("authority over the tenant, to make a resource that is another's"));
        }
        if new.id.is_some() {
            return Err(Error::Denied("authority over the tenant, to choose an identifier"));
        }
        Ok((own, Some(claim)))
    }

    /// The resource, for whoever has some permission on it.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(self, authority: &Authority, id: &str) -> Result<Resource, Error> {
        let Found { seen, .. } = self.0.find(authority, id).await?;
        let (tenant, key) = (seen.tenant, seen.key());
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::RESOURCE, &params![tenant, key], StoredResource::from_row).await
        };
        let found: Option<StoredResource> = self.0.store().read(read).await?;
        Ok(found.ok_or(Error::NotFound("resource"))?.typed(&seen.model))
    }

    /// A page of what lies directly below a resource, in the order of their making, as far as the asker may see it. A page
    /// may hold fewer than `limit` and still have a next one.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn children(
        self,
        authority: &Authority,
        id: &str,
        (after, limit): (Option<ResourceCursor>, u16),
    ) -> Result<Page<Resource, ResourceCursor>, Error> {
        let Found { seen, .. } = self.0.find(authority, id).await?;
        let (tenant, parent) = (seen.tenant, seen.key());
        let limit = i64::from(limit.clamp(1, MAX_PAGE));
        let after = after.map_or(0, |cursor| cursor.last());
        let read = async move |tx: &mut Tx<'_>| {
            let want = limit.saturating_add(1);
            let page = params![parent, after, want];
            tx.query(&schema::RESOURCES_BELOW, &page, StoredResource::from_row).await
        };
        let mut rows: Vec<StoredResource> = self.0.store().read(read).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| ResourceCursor::at(row.resource.key));
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            let key = row.resource.key;
            let sees = match self.0.walk(tenant, key).await? {
                Some(seen) => self.0.standing(authority, &seen).await?.sees,
                None => false,
            };
            if sees {
                items.push(row.typed(&seen.model));
            }
        }
        Ok(Page { items, next })
    }
}

/// Notes that the request makes this resource; the identifier of what it has made before, if it has.
async fn claimed_before(
    tx: &mut Tx<'_>,
    sharing: &Sharing,
    cause: &Cause,
    (tenant, new, made): (TenantId, &NewResource, uuid::Uuid),
) -> Result<Option<String>, Error> {
    if let Some(id) = &new.id {
        let before = claimed(tx, sharing, cause, ("resource", tenant, id)).await?;
        return Ok(before.then(|| id.clone()));
    }
    match cause.claim(tx, sharing.world(), ("resource", made)).await {
        Ok(()) => Ok(None),
        Err(keyreeve_identity::Error::Repeated { id, .. }) => Ok(Some(id.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// Makes a resource in the caller's transaction, after everything that can be known before was checked; answers its key.
/// The caller announces the identifier.
pub(crate) async fn insert(tx: &mut Tx<'_>, sharing: &Sharing, insertion: &Insert<'_>) -> Result<i64, Error> {
    let Insert { tenant, id, .. } = *insertion;
    insertion.check_depth(sharing)?;
    match write(tx, insertion).await? {
        Some(key) => Ok(key),
        None => {
            release(tx, sharing, tenant, id).await?;
            write(tx, insertion).await?.ok_or(Error::Taken("id"))
        }
    }
}

/// A parent that is there, as the transaction sees it.
pub(crate) async fn find_parent(
    tx: &mut Tx<'_>,
    sharing: &Sharing,
    tenant: TenantId,
    key: i64,
) -> Result<Parent, Error> {
    let above = chain(tx, sharing, tenant, key).await?.ok_or(Error::NotFound("parent"))?;
    Ok(Parent { key, levels: above.len() })
}

/// Makes sure that a parent is still there, after its row was locked by referring to it.
pub(crate) async fn check_parent(tx: &mut Tx<'_>, tenant: TenantId, key: i64) -> Result<(), Error> {
    if tx.writes_alone() {
        return Ok(());
    }
    let found =
        tx.query_opt(&schema::ID_OF, &params![tenant, key], |row| row.get::<Option<String>>(0)).await?;
    found.flatten().map(drop).ok_or(Error::NotFound("parent"))
}

/// The same for many at once, none of which lies below another, and whose depth was checked; no key for those whose
/// identifier is taken.
pub(crate) async fn insert_each(
    tx: &mut Tx<'_>,
    insertions: &[Insert<'_>],
) -> Result<Vec<Option<i64>>, Error> {
    let attributes: Vec<Option<String>> = insertions
        .iter()
        .map(|insertion| attributes_text(&insertion.new.attributes))
        .collect::<Result<_, _>>()?;
    let rows: Vec<_> =
        insertions.iter().zip(&attributes).map(|(one, attributes)| one.row(attributes.as_deref())).collect();
    made(tx.query_each(&schema::INSERT_RESOURCE, &rows, |row| row.get(0)).await)
}

async fn write(tx: &mut Tx<'_>, insertion: &Insert<'_>) -> Result<Option<i64>, Error> {
    let attributes = attributes_text(&insertion.new.attributes)?;
    let row = insertion.row(attributes.as_deref());
    made(tx.query_opt(&schema::INSERT_RESOURCE, &row, |row| row.get(0)).await)
}

fn made<T>(written: Result<T, keyreeve_store::Error>) -> Result<T, Error> {
    match written {
        // The type was removed, or the parent swept away, at this moment.
        Err(keyreeve_store::Error::ForeignKey) => Err(Error::NotFound("resource type or parent")),
        written => Ok(written?),
    }
}

/// Frees an identifier whose resource is gone because something above it was removed.
async fn release(tx: &mut Tx<'_>, sharing: &Sharing, tenant: TenantId, id: &str) -> Result<(), Error> {
    let found = tx.query_opt(&schema::KEY_OF, &params![tenant, id], |row| row.get::<i64>(0)).await?;
    let Some(key) = found else { return Ok(()) };
    if chain(tx, sharing, tenant, key).await?.is_some() {
        return Err(Error::Taken("id"));
    }
    tx.execute(&schema::RELEASE_ID, &params![tenant, key]).await?;
    tx.changed(Some(tenant), NODE_TOPIC, &key.to_string()).await?;
    Ok(())
}
