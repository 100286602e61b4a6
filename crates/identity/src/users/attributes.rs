//! The index by which users are found by what their attributes hold. It is kept in the transaction that writes the
//! profile.

use super::keys;
use super::model::User;
use super::service::Users;
use crate::{Error, schema};
use keyreeve_base::{TenantId, UserId};
use keyreeve_store::{Tx, params};
use std::collections::{BTreeMap, BTreeSet};

/// The most users that a page has.
const MAX_PAGE: u16 = 500;

impl Users<'_> {
    /// A page of the users one of whose values of the attribute `name` is `value`, in any spelling (NFKC and case
    /// folding), in the order of their making, those after `after`; at most 500. Without archived ones.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn find_by_attribute(
        self,
        tenant: TenantId,
        (name, value): (&str, &str),
        after: Option<UserId>,
        limit: u16,
    ) -> Result<Vec<User>, Error> {
        // What no attribute can be called or hold, nobody has.
        if name.contains('\0') || value.contains('\0') {
            return Ok(Vec::new());
        }
        let (name, key) = (name.to_owned(), keys::of_value(value));
        let after = after.unwrap_or(UserId::from_uuid(uuid::Uuid::nil()));
        let limit = i64::from(limit.clamp(1, MAX_PAGE));
        self.0
            .store()
            .read(async move |tx: &mut Tx<'_>| {
                Ok(tx
                    .query(
                        &schema::USERS_BY_ATTRIBUTE,
                        &params![tenant, &name, &key, after, limit],
                        User::from_row,
                    )
                    .await?)
            })
            .await
    }
}

/// Brings the index from what a user's attributes were to what they are.
pub(crate) async fn reindex(
    tx: &mut Tx<'_>,
    user: &User,
    former: &BTreeMap<String, Vec<String>>,
) -> Result<(), Error> {
    if *former == user.attributes {
        return Ok(());
    }
    let (before, after) = (entries(former), entries(&user.attributes));
    for (name, key) in before.difference(&after) {
        tx.execute(&schema::FORGET_ATTRIBUTE, &params![user.tenant_id, *name, key, user.id]).await?;
    }
    for (name, key) in after.difference(&before) {
        tx.execute(&schema::INDEX_ATTRIBUTE, &params![user.tenant_id, *name, key, user.id]).await?;
    }
    Ok(())
}

/// The index of attributes: names, each with the key of a value.
pub(crate) fn index_of(attributes: &BTreeMap<String, Vec<String>>) -> Vec<(String, String)> {
    entries(attributes).into_iter().map(|(name, key)| (name.to_owned(), key)).collect()
}

fn entries(attributes: &BTreeMap<String, Vec<String>>) -> BTreeSet<(&str, String)> {
    attributes
        .iter()
        .flat_map(|(name, values)| values.iter().map(|value| (name.as_str(), keys::of_value(value))))
        .collect()
}
