//! Moving a resource to another place in the tree.

use super::change::hold;
use super::model::{Resource, StoredResource};
use super::{Resources, chain};
use crate::claim::{Claim, Hold, Need};
use crate::engine::NODE_TOPIC;
use crate::write::{Change, Target, Written, lock_tenant};
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
    /// The standing towards the resource, and towards the new parent.
    claims: (Claim, Option<Claim>),
}

/// How a move went.
enum Moved {
    /// It was made; or (true) the resource lies there already.
    Done(bool),
    /// Others have moved something since the subtree was measured.
    Overtaken,
    /// The asker's standing is gone.
    Unfounded,
}

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
        target: Target<&str>,
        parent: Option<&str>,
        cause: &Cause,
    ) -> Result<Written<Resource>, Error> {
        let attempt = || async {
            let wanted = self.decide(authority, target, parent).await?;
            for _ in 0..ATTEMPTS {
                match self.try_move(&wanted, cause).await? {
                    Moved::Done(repeated) => return Ok(Some((wanted.key, repeated))),
                    Moved::Overtaken => {}
                    Moved::Unfounded => return Ok(None),
                }
            }
            Err(keyreeve_store::Error::Busy { reason: "others are moving resources".to_owned() }.into())
        };
        let (key, repeated) = self.0.with_standing(attempt).await?;
        let resource = self.0.resource_now(authority.tenant(), key).await?;
        self.0.written(resource, repeated).await
    }

    async fn decide(
        self,
        authority: &Authority,
        Target { id, version }: Target<&str>,
        parent: Option<&str>,
    ) -> Result<Move, Error> {
        let found = self.0.find(authority, id).await?;
        let own = found.claim(authority, Need::Own)?;
        found.seen.keep_out()?;
        let (to, share) = match parent {
            None => (None, None),
            Some(parent) => match self.0.find(authority, parent).await {
                Ok(found) => {
                    let share = found.claim(authority, Need::Share)?;
                    (Some((found.seen.key(), parent.to_owned())), Some(share))
                }
                Err(Error::NotFound(_)) => return Err(Error::NotFound("parent")),
                Err(error) => return Err(error),
            },
        };
        let (tenant, key) = (authority.tenant(), found.seen.key());
        Ok(Move { tenant, id: id.to_owned(), key, to, version, claims: (own, share) })
    }

    async fn try_move(self, wanted: &Move, cause: &Cause) -> Result<Moved, Error> {
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
                    return Ok(Moved::Overtaken);
                }
                let (own, share) = &wanted.claims;
                let founded = own.holds(tx, &sharing, Hold::Alone).await?
                    && match share {
                        Some(share) => share.holds(tx, &sharing, Hold::Along).await?,
                        None => true,
                    };
                if !founded {
                    return Ok(Moved::Unfounded);
                }
                let held = hold(tx, (tenant, key), wanted.version).await?;
                let to = wanted.to.as_ref().map(|(key, _)| *key);
                if held.parent == to {
                    return Ok(Moved::Done(true));
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
                Ok::<_, Error>(Moved::Done(false))
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
