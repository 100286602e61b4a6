//! What is derived of a party and kept in memory.

use super::{EPOCH_TOPIC, PARTY_TOPIC, Party};
use crate::authority::GroupReach;
use crate::roles::EffectiveRoles;
use crate::{Error, Identity, schema};
use keyreeve_base::{GroupId, TenantId};
use keyreeve_store::{Cache, Store, Tx, params};
use std::sync::{Arc, PoisonError, RwLock};

/// The epochs of tenants' directories, and what is derived under them.
pub(crate) struct Epochs {
    epochs: Arc<Cache<TenantId, i64>>,
    holdings: Arc<Cache<Party, Arc<Holdings>>>,
}

impl Epochs {
    pub(crate) fn new(store: &Store, tenants: usize, parties: usize) -> Self {
        Self {
            epochs: Cache::new(store, EPOCH_TOPIC, tenants),
            holdings: Cache::new(store, PARTY_TOPIC, parties),
        }
    }
}

/// What one party holds, as far as it was asked for.
#[derive(Default)]
pub(crate) struct Holdings {
    pub(crate) groups: Held<Arc<[GroupId]>>,
    pub(crate) roles: Held<Arc<EffectiveRoles>>,
    pub(crate) reach: Held<Arc<GroupReach>>,
}

/// A value, and the epoch under which it was derived.
pub(crate) struct Held<T>(RwLock<Option<(i64, T)>>);

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self(RwLock::new(None))
    }
}

impl<T: Clone> Held<T> {
    fn at(&self, epoch: i64) -> Option<T> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().filter(|(at, _)| *at == epoch).map(|(_, value)| value.clone())
    }

    /// Keeps the value, unless what is there is of a later epoch.
    fn keep(&self, epoch: i64, value: T) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_none_or(|(at, _)| *at <= epoch) {
            *held = Some((epoch, value));
        }
    }
}

/// What `pick` names of a party's holdings: from memory where that is allowed, else by `load`.
///
/// The epoch is asked for before anything is loaded: a value that is newer than its epoch is loaded once more in
/// vain, one that is older can never be taken for a current one. A party whose own rows change loses its `Holdings`
/// as a whole; whoever is loading at that moment fills one that nobody will find.
pub(crate) async fn derive<T, F>(
    identity: &Identity,
    (tenant, party): (TenantId, Party),
    pick: fn(&Holdings) -> &Held<T>,
    load: impl FnOnce() -> F,
) -> Result<T, Error>
where
    T: Clone,
    F: Future<Output = Result<T, Error>>,
{
    let Epochs { epochs, holdings } = &identity.caches().directory;
    let store = identity.store();
    let epoch = epochs
        .get_with(tenant, &tenant, || async move {
            let read = async move |tx: &mut Tx<'_>| {
                tx.query_opt(&schema::EPOCH, &params![tenant], |row| row.get::<i64>(0)).await
            };
            Ok::<_, Error>(store.read(read).await?.unwrap_or(0))
        })
        .await?;
    let holdings = holdings.get_with(tenant, &party, || async { Ok::<_, Error>(Arc::default()) }).await?;
    if let Some(value) = pick(&holdings).at(epoch) {
        return Ok(value);
    }
    let value = load().await?;
    pick(&holdings).keep(epoch, value.clone());
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_epoch_is_not_believed() {
        let held = Held::default();
        assert_eq!(held.at(0), None);
        held.keep(1, "one");
        assert_eq!((held.at(0), held.at(1), held.at(2)), (None, Some("one"), None));
        held.keep(3, "three");
        held.keep(2, "two, loaded slowly");
        assert_eq!((held.at(2), held.at(3)), (None, Some("three")));
    }
}
