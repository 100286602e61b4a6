//! Moving a resource to another place in the tree.

use super::change::hold;
use super::model::{Resource, StoredResource};
use super::{Resources, chain};
use crate::engine::NODE_TOPIC;
use crate::standing::Found;
use crate::write::{Change, Written, lock_tenant};
use crate::{Error, Sharing, schema};
use keyreeve_base::TenantId;
use keyreeve_identity::{Authority, Cause};
use keyreeve_store::{Tx, params};
use serde_json::json;

/// How often a move is tried again because others moved meanwhile.
const ATTEMPTS: u32 = 8;

/// A move, decided but for what others do at the same time.
#[derive(Clone)]
struct Move {
    tenant: TenantId,
    id: String,
    key: i64,
    /// The new parent's key and identifier.
    to: Option<(i64, String)>,
    version: Option<i64>,
}

#[allow(clippy::too_many_arguments, reason = "who, which, what, at which version, and by what cause")]
impl Resources<'_> {
    /// Puts a resource, with everything below it, below another, or below none. Takes ownership of the resource, and the
    /// new parent must be one that the asker may share: whoever has something there gets it here. To take a resource out of
    /// every tree, ownership is enough.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the resource and the parent; [`Error::Denied`], [`Error::VersionConflict`];
    /// [`Error::Invalid`] where it would lie below itself, or the tree would become too deep.
    pub async fn move_to(
        self,
        authority: &Authority,
        id: &str,
        parent: Option<&str>,
        version: Option<i64>,
        cause: &Cause,
    ) -> Result<Written<Resource>, Error> {
        let tenant = authority.tenant();
        let Found { seen, standing } = self.0.find(authority, id).await?;
        standing.require_owner()?;
        let to = match parent {
            None => None,
            Some(parent) => match self.0.find(authority, parent).await {
                Ok(found) => {
                    found.standing.require_sharer()?;
                    Some((found.seen.key(), parent.to_owned()))
                }
                Err(Error::NotFound(_)) => return Err(Error::NotFound("parent")),
                Err(error) => return Err(error),
            },
        };
        let key = seen.key();
        let wanted = Move { tenant, id: id.to_owned(), key, to, version };
        for _ in 0..ATTEMPTS {
            if let Some(repeated) = self.try_move(&wanted, cause).await? {
                let resource = self.0.resource_now(tenant, key).await?;
                return self.0.written(resource, repeated).await;
            }
        }
        Err(keyreeve_store::Error::Busy { reason: "others are moving resources".to_owned() }.into())
    }

    /// Moves; none where others moved since the subtree was measured; true where it lies there already.
    async fn try_move(self, wanted: &Move, cause: &Cause) -> Result<Option<bool>, Error> {
        let (tenant, key) = (wanted.tenant, wanted.key);
        let max = i64::from(self.0.max_depth());
        // Measured beside the writers, since it may be large: they go on, and only another move makes it worthless. One
        // that is made below it meanwhile can lie one level too deep, which does no harm.
        let (epoch, height) = self
            .0
            .store()
            .scan(async move |tx: &mut Tx<'_>| {
                let epoch = tx.query_opt(&schema::EPOCH, &params![tenant], |row| row.get::<i64>(0)).await?;
                let limit = max.saturating_add(1);
                let height =
                    tx.query_one(&schema::HEIGHT, &params![key, limit], |row| row.get::<i64>(0)).await?;
                Ok::<_, Error>((epoch.unwrap_or(0), height))
            })
            .await?;
        let (sharing, cause, wanted) = (self.0.clone(), cause.clone(), wanted.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                if lock_tenant(tx, tenant).await? != epoch.saturating_add(1) {
                    return Ok(None);
                }
                let held = hold(tx, (tenant, key), wanted.version).await?;
                let to = wanted.to.as_ref().map(|(key, _)| *key);
                if held.parent == to {
                    return Ok(Some(true));
                }
                if let Some(to) = to {
                    check_place(tx, &sharing, (tenant, key, to), height).await?;
                }
                let now = sharing.world().now();
                tx.execute(&schema::MOVE_RESOURCE, &params![tenant, key, to, now]).await?;
                let from = match held.parent {
                    Some(from) => tx
                        .query_opt(&schema::ID_OF, &params![tenant, from], |row| row.get::<Option<String>>(0))
                        .await?
                        .flatten(),
                    None => None,
                };
                let detail = json!({"from": from, "to": wanted.to.as_ref().map(|(_, id)| id)});
                let change = Change { tenant, action: "resource.move", target: ("resource", &wanted.id) };
                change.record(tx, &sharing, &cause, detail).await?;
                tx.changed(Some(tenant), NODE_TOPIC, &key.to_string()).await?;
                Ok::<_, Error>(Some(false))
            })
            .await
    }
}

/// Whether what is `height` levels high may lie below `to`.
async fn check_place(
    tx: &mut Tx<'_>,
    sharing: &Sharing,
    (tenant, key, to): (TenantId, i64, i64),
    height: i64,
) -> Result<(), Error> {
    let above = chain(tx, sharing, tenant, to).await?.ok_or(Error::NotFound("parent"))?;
    if above.contains(&key) {
        return Err(Error::invalid("parent", "lies, if only by way of others, below the resource itself"));
    }
    let max = i64::from(sharing.max_depth());
    let depth = i64::try_from(above.len()).unwrap_or(i64::MAX);
    if depth.saturating_add(height) > max {
        return Err(Error::invalid("parent", format!("lies too deep: a tree has at most {max} levels")));
    }
    Ok(())
}

impl Sharing {
    /// A resource as it is now.
    pub(super) async fn resource_now(&self, tenant: TenantId, key: i64) -> Result<Resource, Error> {
        let model = self.model(tenant).await?;
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::RESOURCE, &params![tenant, key], StoredResource::from_row).await
        };
        let found: Option<StoredResource> = self.store().read(read).await?;
        Ok(found.ok_or(Error::NotFound("resource"))?.typed(&model))
    }
}
