//! Resources: made, read, changed, moved, transferred, removed.

mod change;
mod create;
mod model;
mod relocate;

pub use change::Delete;
pub use model::{MAX_ATTRIBUTES, MAX_METADATA_BYTES, MAX_TEXT_BYTES, NewResource, Resource, ResourcePatch};

pub(crate) use create::{Insert, Parent, check_parent, find_parent, insert, insert_each};
pub(crate) use model::StoredResource;

use crate::{Error, Sharing, schema};
use keyreeve_base::TenantId;
use keyreeve_store::{Tx, params};

/// The use cases of resources.
#[derive(Clone, Copy)]
pub struct Resources<'a>(pub(crate) &'a Sharing);

/// How long the chain from a resource up is, itself counted, as the transaction sees it; none where it is not there, or
/// something above it was removed.
pub(crate) async fn chain(
    tx: &mut Tx<'_>,
    sharing: &Sharing,
    tenant: TenantId,
    key: i64,
) -> Result<Option<Vec<i64>>, Error> {
    let limit = i64::try_from(sharing.engine().walk_limit).unwrap_or(i64::MAX);
    let up = tx
        .query(&schema::UP, &params![tenant, key, limit], |row| {
            Ok((row.get::<i64>(0)?, row.get::<bool>(1)?, row.get::<Option<i64>>(3)?))
        })
        .await?;
    let whole = up.last().is_some_and(|(_, _, parent)| parent.is_none());
    let alive = whole && up.iter().all(|(_, alive, _)| *alive);
    Ok(alive.then(|| up.into_iter().map(|(key, ..)| key).collect()))
}
