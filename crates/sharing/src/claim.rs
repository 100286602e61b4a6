//! Standing, made sure of where it counts: in the transaction that relies on it.
//!
//! Who asks is looked up in memory, which may be as old as the staleness bound: that is good enough to refuse, and for
//! questions. To change something it is not, or a former owner could act for as long. So what a standing rests on (one
//! ownership or grant, at one place, in the hands of one party) goes along into the transaction, which reads it from the
//! database and holds it until it ends. Where it is no more, the node hears what has happened and the asker is looked up
//! anew: there may be another reason.

use crate::ShareId;
use crate::engine::Ground;
use crate::grants::PartyKind;
use crate::model::load;
use crate::resources::chain;
use crate::standing::{Found, asker, over_tenant};
use crate::{Error, Freshness, Sharing, schema};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_identity::{Authority, Party};
use keyreeve_store::{Tx, params};

/// How often somebody is looked up whose standing turns out to be gone.
const ATTEMPTS: u32 = 3;

/// What it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// To own the resource, or something above it.
    Own,
    /// To own it, or to have a permission that lets its holder share.
    Share,
}

/// How the resource itself is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Nobody else changes it.
    Alone,
    /// Others rely on it as well.
    Along,
}

/// The standing of an asker, to be made sure of.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    tenant: TenantId,
    resource: i64,
    /// None for whoever has authority over the tenant.
    rests: Option<Rests>,
}

/// What a standing rests on.
#[derive(Debug, Clone, Copy)]
struct Rests {
    asker: Party,
    /// Where: the resource or something above it.
    on: i64,
    /// Whose it is: the asker's own, or a group's.
    holder: Party,
    /// What was granted; none for ownership.
    permission: Option<i64>,
}

impl Found {
    /// What the asker needs, if there is that as far as memory knows.
    ///
    /// # Errors
    /// As [`crate::standing::Standing::require`].
    pub(crate) fn claim(&self, authority: &Authority, need: Need) -> Result<Claim, Error> {
        match need {
            Need::Own => self.standing.require_owner()?,
            Need::Share => self.standing.require_sharer()?,
        }
        let (tenant, resource) = (self.seen.tenant, self.seen.key());
        let rests = if over_tenant(authority) { None } else { Some(self.rests(authority, need)?) };
        Ok(Claim { tenant, resource, rests })
    }

    /// The best reason: one that takes least to be made sure of.
    fn rests(&self, authority: &Authority, need: Need) -> Result<Rests, Error> {
        let missing = || Error::NotFound("resource");
        let asker = asker(authority).ok_or_else(missing)?;
        let sharing = self.seen.entry().map(|entry| entry.sharing()).unwrap_or_default();
        let serves = |ground: &&Ground| match ground.name {
            None => true,
            Some(name) => need == Need::Share && sharing.binary_search(&name).is_ok(),
        };
        let rests = self.grounds.iter().filter(serves).filter_map(|ground| {
            let node = self.seen.nodes.get(ground.above)?;
            let holder = ground.held.map_or(node.owner, |held| held.kind.party(held.party));
            let permission = ground.held.map(|held| held.permission);
            let order = (permission.is_some(), holder != asker, ground.above);
            Some((order, Rests { asker, on: node.key, holder, permission }))
        });
        rests.min_by_key(|(order, _)| *order).map(|(_, rests)| rests).ok_or_else(missing)
    }
}

impl Claim {
    /// The key of the resource that it is about.
    pub(crate) const fn resource(&self) -> i64 {
        self.resource
    }

    /// The grant that it rests on, if it is one.
    pub(crate) fn grant(&self) -> Option<ShareId> {
        let Rests { on, holder, permission, .. } = self.rests?;
        Some(ShareId { resource: on, party: holder.uuid(), permission: permission? })
    }

    /// Whether it is so in this transaction, and stays so until it ends. To be called before anything is written.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn holds(&self, tx: &mut Tx<'_>, sharing: &Sharing, hold: Hold) -> Result<bool, Error> {
        let Some(rests) = self.rests else { return Ok(true) };
        let within = match rests.holder {
            Party::Group(group) => Some(group),
            Party::User(_) | Party::Service(_) => None,
        };
        let groups = sharing.identity().groups();
        if !groups.hold(tx, (self.tenant, rests.asker), within).await? {
            return Ok(false);
        }
        if rests.on != self.resource || rests.permission.is_some() {
            // Nobody moves resources or changes permissions meanwhile.
            tx.query_opt(&schema::SHARE_EPOCH, &params![self.tenant], |row| row.get::<i64>(0)).await?;
        }
        let Some((owner, type_key)) = self.node(tx, self.resource, hold).await? else { return Ok(false) };
        let owner = if rests.on == self.resource {
            owner
        } else {
            let above = chain(tx, sharing, self.tenant, self.resource).await?;
            if !above.is_some_and(|above| above.contains(&rests.on)) {
                return Ok(false);
            }
            let Some((owner, _)) = self.node(tx, rests.on, Hold::Along).await? else { return Ok(false) };
            owner
        };
        match rests.permission {
            None => Ok(owner == rests.holder),
            Some(permission) => self.grants(tx, rests, (permission, type_key), sharing.world().now()).await,
        }
    }

    /// The owner and the type of a resource, which nobody else changes until the transaction ends.
    async fn node(&self, tx: &mut Tx<'_>, key: i64, hold: Hold) -> Result<Option<(Party, i64)>, Error> {
        let statement = match hold {
            Hold::Alone => &schema::HOLD_RESOURCE,
            Hold::Along => &schema::SHARE_RESOURCE,
        };
        let found = tx
            .query_opt(statement, &params![self.tenant, key], |row| {
                Ok((row.get::<PartyKind>(3)?.party(row.get(4)?), row.get(1)?))
            })
            .await?;
        Ok(found)
    }

    /// Whether the grant is there, reaches the resource, and lets its holder share resources of that type.
    async fn grants(
        &self,
        tx: &mut Tx<'_>,
        rests: Rests,
        (permission, type_key): (i64, i64),
        now: Timestamp,
    ) -> Result<bool, Error> {
        let party = rests.holder.uuid();
        let row = params![rests.on, party, permission];
        let found = tx
            .query_opt(&schema::SHARE_GRANT, &row, |row| {
                Ok((row.get::<bool>(0)?, row.get::<Option<Timestamp>>(1)?))
            })
            .await?;
        let Some((cascades, ends)) = found else { return Ok(false) };
        if ends.is_some_and(|end| end <= now) || (rests.on != self.resource && !cascades) {
            return Ok(false);
        }
        let model = load(tx, self.tenant).await?;
        let name = model.name_of(permission);
        let sharing = model.type_by_key(type_key).map(|entry| entry.sharing()).unwrap_or_default();
        Ok(name.is_some_and(|name| sharing.binary_search(&name).is_ok()))
    }
}

impl Sharing {
    /// Does what takes standing; none of `attempt` says that the standing it began with is gone, and has written nothing.
    ///
    /// # Errors
    /// Those of `attempt`; [`Error::VersionConflict`] where the standing changes all the time.
    pub(crate) async fn with_standing<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<Option<T>, Error>>,
    {
        for _ in 0..ATTEMPTS {
            if let Some(done) = attempt().await? {
                return Ok(done);
            }
            // This node is to hear what has happened.
            self.await_freshness(Freshness::AtLeast(self.revision().await?)).await?;
        }
        Err(Error::VersionConflict)
    }
}
