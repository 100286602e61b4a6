//! Two accounts become one: what the one owned and was granted is the other's.
//!
//! It goes along within the transaction of the identity room, so that no question sees half of it. Whoever shares something
//! with an account at that moment, or gives it something, holds the account ([`keyreeve_identity::Groups::keep`]): either it
//! goes along, or there is no such account any more.

use crate::engine::NODE_TOPIC;
use crate::grants::{ShareId, StoredGrant, announce, replace, united};
use crate::schema;
use keyreeve_base::{TenantId, Timestamp, UserId, World};
use keyreeve_identity::{Carried, Carry, Error};
use keyreeve_store::{Tx, params};

/// The most that goes along at once.
const MAX_CARRIED: u64 = 100_000;
/// How many grants are read at once.
const ROWS: i64 = 500;

/// The sharing room's part in a merge.
pub(crate) struct Carrier(pub(crate) World);

impl Carry for Carrier {
    fn carry<'t>(
        &'t self,
        tx: &'t mut Tx<'_>,
        tenant: TenantId,
        (keep, absorb): (UserId, UserId),
    ) -> Carried<'t> {
        Box::pin(async move {
            let merge = Merge { tenant, keep, absorb, now: self.0.now() };
            let (mut grants, mut owned) = (0_u64, 0_u64);
            let mut from = 0_i64;
            while let Some(key) =
                tx.query_opt(&schema::NEXT_KEY, &params![tenant, from], |row| row.get::<i64>(0)).await?
            {
                let block = key >> schema::BLOCK_BITS;
                owned = owned.saturating_add(merge.owned(tx, block).await?);
                loop {
                    let (moved, more) = merge.grants(tx, block).await?;
                    grants = grants.saturating_add(moved);
                    if grants.saturating_add(owned) > MAX_CARRIED {
                        let problem = format!(
                            "owns and was granted more than {MAX_CARRIED} resources: revoke or transfer some first"
                        );
                        return Err(Error::Invalid { field: "absorb", problem });
                    }
                    if !more {
                        break;
                    }
                }
                from = block.saturating_add(1) << schema::BLOCK_BITS;
            }
            Ok(vec![("grants", grants), ("resources", owned)])
        })
    }
}

struct Merge {
    tenant: TenantId,
    keep: UserId,
    absorb: UserId,
    now: Timestamp,
}

impl Merge {
    /// Gives what is owned in a block of resources; answers how much it was.
    async fn owned(&self, tx: &mut Tx<'_>, block: i64) -> Result<u64, Error> {
        let given = params![block, self.absorb, self.keep, self.now];
        let keys = tx.query(&schema::CARRY_OWNED, &given, |row| row.get::<i64>(0)).await?;
        for key in &keys {
            tx.changed(Some(self.tenant), NODE_TOPIC, &key.to_string()).await?;
        }
        Ok(u64::try_from(keys.len()).unwrap_or(u64::MAX))
    }

    /// Gives some of what was granted in a block of resources; answers how many grants it were, and whether there are more.
    async fn grants(&self, tx: &mut Tx<'_>, block: i64) -> Result<(u64, bool), Error> {
        let page = params![block, self.absorb, ROWS];
        let found = tx.query(&schema::GRANTS_IN_BLOCK, &page, StoredGrant::from_row).await?;
        let more = i64::try_from(found.len()).is_ok_and(|read| read >= ROWS);
        let places: Vec<ShareId> = found.iter().map(|grant| grant.id).collect();
        let rows: Vec<_> = places.iter().map(|id| params![id.resource, id.party, id.permission]).collect();
        let removed = tx.execute_each(&schema::DELETE_GRANT, &rows).await?;
        let mut moved = 0_u64;
        for (mut grant, removed) in found.into_iter().zip(removed) {
            announce(tx, self.tenant, grant.id).await?;
            // Revoked at this moment, or over.
            if removed == 0 || !grant.holds(self.now) {
                continue;
            }
            let subject = keyreeve_identity::Party::User(self.keep);
            grant.subject = subject;
            grant.id.party = subject.uuid();
            let id = grant.id;
            let former = crate::grants::held(tx, id).await?;
            if let Some(grant) = united(&grant, former, self.now) {
                replace(tx, &grant).await?;
            }
            announce(tx, self.tenant, id).await?;
            moved = moved.saturating_add(1);
        }
        Ok((moved, more))
    }
}
