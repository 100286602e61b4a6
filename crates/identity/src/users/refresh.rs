//! Keys of users and groups that were stored before there were any, or in an earlier form.

use super::attributes;
use super::keys::{self, Keys};
use super::model::User;
use super::service::Users;
use crate::groups::{self, Group};
use crate::{Error, schema};
use keyreeve_store::{Tx, params};
use std::collections::BTreeMap;

/// How many rows one transaction takes.
const BATCH: i64 = 500;

impl Users<'_> {
    /// Derives the keys of some users and groups that lack them, of whatever tenant; answers of how many: zero when it
    /// is through. For a background job that begins with the server: until then, such users and groups are not found by
    /// these keys. Where nothing lacks any it costs two look-ups.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn refresh(self) -> Result<u64, Error> {
        self.0.store().write(async |tx: &mut Tx<'_>| refresh_batch(tx).await).await
    }
}

async fn refresh_batch(tx: &mut Tx<'_>) -> Result<u64, Error> {
    let users = tx.query(&schema::USERS_OF_OLD_FORM, &params![BATCH], User::from_row).await?;
    let mut done = 0_u64;
    for user in &users {
        let keys = Keys::of(&user.profile);
        tx.execute(
            &schema::UPDATE_KEYS,
            &params![
                user.tenant_id,
                user.id,
                keys.username,
                keys.email,
                keys.given_name,
                keys.family_name,
                keys.display_name,
                keys::FORM
            ],
        )
        .await?;
        tx.execute(&schema::FORGET_ATTRIBUTES, &params![user.tenant_id, user.id]).await?;
        if user.archived_at.is_none() {
            attributes::reindex(tx, user, &BTreeMap::new()).await?;
        }
        done = done.saturating_add(1);
    }
    let groups = tx.query(&schema::GROUPS_OF_OLD_FORM, &params![BATCH], Group::from_row).await?;
    for group in &groups {
        tx.execute(&schema::FORGET_GROUP_ATTRIBUTES, &params![group.tenant_id, group.id]).await?;
        groups::index(tx, group).await?;
        tx.execute(&schema::GROUP_INDEXED, &params![group.tenant_id, group.id, keys::FORM]).await?;
        done = done.saturating_add(1);
    }
    Ok(done)
}
