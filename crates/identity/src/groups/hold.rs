//! What a party is, and where it belongs, as a transaction of another room relies on it.

use super::Groups;
use crate::directory::{Party, PartyKind};
use crate::{Error, schema};
use keyreeve_base::{GroupId, TenantId, Timestamp};
use keyreeve_store::{Tx, params};
use uuid::Uuid;

impl Groups<'_> {
    /// Whether a party is there and active, and held by the group `within`, however indirectly, if one is named: as the
    /// caller's transaction sees it, and so that it stays so until that ends. To be called before anything else is held.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn hold(
        self,
        tx: &mut Tx<'_>,
        (tenant, party): (TenantId, Party),
        within: Option<GroupId>,
    ) -> Result<bool, Error> {
        if !hold_active(tx, (tenant, party), self.0.world().now()).await? {
            return Ok(false);
        }
        let Some(group) = within else { return Ok(true) };
        // Whoever nests groups, takes them apart or removes one waits, and so does whoever takes the party out of one.
        tx.query_opt(&schema::SHARE_EPOCH, &params![tenant], |row| row.get::<i64>(0)).await?;
        let id = party.uuid();
        let of = params![tenant, id];
        let above = match party {
            Party::User(_) | Party::Service(_) => {
                let direct = tx.query(&schema::SHARE_GROUPS_OF, &of, |row| row.get::<GroupId>(0)).await?;
                if direct.contains(&group) {
                    return Ok(true);
                }
                &schema::ABOVE_PRINCIPAL
            }
            Party::Group(_) => &schema::ABOVE_GROUP,
        };
        Ok(tx.query(above, &of, |row| row.get::<GroupId>(0)).await?.contains(&group))
    }

    /// Whether a party is there, if only disabled: as the caller's transaction sees it, and so that it stays so until that
    /// ends.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn keep(self, tx: &mut Tx<'_>, (tenant, party): (TenantId, Party)) -> Result<bool, Error> {
        let (statement, id) = match party {
            Party::User(id) => (&schema::SHARE_USER, id.uuid()),
            Party::Service(id) => (&schema::SHARE_SERVICE, id.uuid()),
            Party::Group(id) => (&schema::SHARE_GROUP, id.uuid()),
        };
        Ok(tx.query_opt(statement, &params![tenant, id], |_| Ok(())).await?.is_some())
    }
}

/// Whether a party is there and active; of a service account, whether its owner is, too.
async fn hold_active(
    tx: &mut Tx<'_>,
    (tenant, party): (TenantId, Party),
    now: Timestamp,
) -> Result<bool, Error> {
    let owner = match party {
        Party::Service(id) => {
            let found = tx
                .query_opt(&schema::SHARE_SERVICE, &params![tenant, id], |row| {
                    let ends: Option<Timestamp> = row.get(1)?;
                    let active = row.get::<bool>(0)? && ends.is_none_or(|end| now < end);
                    let owner = match row.get::<Option<PartyKind>>(2)? {
                        Some(kind) => Some(Party::new(kind, row.get(3)?)),
                        None => None,
                    };
                    Ok((active, owner))
                })
                .await?;
            match found {
                Some((true, Some(owner))) => owner,
                Some((active, _)) => return Ok(active),
                None => return Ok(false),
            }
        }
        Party::User(_) | Party::Group(_) => party,
    };
    let found = match owner {
        Party::User(id) => {
            tx.query_opt(&schema::SHARE_USER, &params![tenant, id], |row| row.get::<bool>(0)).await?
        }
        Party::Group(id) => {
            let found =
                tx.query_opt(&schema::SHARE_GROUP, &params![tenant, id], |row| row.get::<Uuid>(0)).await?;
            found.map(|_| true)
        }
        Party::Service(_) => None,
    };
    Ok(found.unwrap_or(false))
}
