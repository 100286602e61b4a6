//! Sharing and revoking.

use super::Grants;
use super::model::{Grant, GrantedBy, NewGrant, PartyKind, ShareId, StoredGrant};
use crate::claim::{Hold, Need};
use crate::engine::{HELD_TOPIC, NODE_TOPIC};
use crate::model::{Model, OWNER};
use crate::standing::{Found, require_tenant};
use crate::write::{Change, Written, claimed};
use crate::{Error, Revision, Sharing, schema};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_identity::{Authority, Cause, Party};
use keyreeve_store::{Tx, params};
use serde_json::json;

/// Grants that one transaction revokes at most.
const BATCH: i64 = 100;

/// How much was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevokedMany {
    /// How many grants.
    pub grants: u64,
    /// The revision from which on none of them counts.
    pub revision: Revision,
}

impl Grants<'_> {
    /// Shares a resource. What is granted already is kept: a grant that is made again holds for as long as the longer of
    /// the two, and goes down the tree if one of them does. To take something back, revoke it. One that has ended is
    /// replaced.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the resource, the permission and the subject; [`Error::Denied`] where the asker may not
    /// share the resource; [`Error::Invalid`], also for [`OWNER`].
    pub async fn share(
        self,
        authority: &Authority,
        new: NewGrant,
        cause: &Cause,
    ) -> Result<Written<Grant>, Error> {
        let (stored, repeated) =
            self.0.with_standing(|| self.try_share(authority, new.clone(), cause)).await?;
        self.0.written(stored.named(&new.resource, &new.permission), repeated).await
    }

    /// Answers the grant as it is now, and whether it was so before.
    async fn try_share(
        self,
        authority: &Authority,
        new: NewGrant,
        cause: &Cause,
    ) -> Result<Option<(StoredGrant, bool)>, Error> {
        let tenant = authority.tenant();
        let found = self.0.find(authority, &new.resource).await?;
        let claim = found.claim(authority, Need::Share)?;
        let seen = found.seen;
        let permission = permission_of(&seen.model, seen.entry().map(|entry| entry.of.key), &new.permission)?;
        if !self.0.exists(tenant, new.subject).await? {
            return Err(Error::NotFound("subject"));
        }
        let now = self.0.world().now();
        if new.expires_at.is_some_and(|end| end <= now) {
            return Err(Error::invalid("expires_at", "is not in the future"));
        }
        let id = ShareId { resource: seen.key(), party: new.subject.uuid(), permission };
        let wanted = StoredGrant {
            id,
            subject: new.subject,
            cascade: new.cascade,
            expires_at: new.expires_at,
            granted_by: GrantedBy::of(cause.actor),
            created_at: now,
        };
        let (sharing, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                if !claim.holds(tx, &sharing, Hold::Along).await? {
                    return Ok(None);
                }
                if !sharing.identity().groups().keep(tx, (tenant, new.subject)).await? {
                    return Err(Error::NotFound("subject"));
                }
                let name = format!("{id} {}", new.resource);
                if claimed(tx, &sharing, &cause, ("grant", tenant, &name)).await? {
                    let row = params![id.resource, id.party, id.permission];
                    let made = tx.query_opt(&schema::GRANT, &row, StoredGrant::from_row).await?;
                    // It may have been revoked since.
                    return Ok(Some((made.ok_or(Error::NotFound("grant"))?, true)));
                }
                let (grant, changed) = write(tx, &wanted, now).await?;
                if !changed {
                    return Ok(Some((grant, true)));
                }
                let detail = json!({
                    "permission": new.permission, "subject": new.subject, "cascade": grant.cascade,
                    "expires_at": grant.expires_at.map(|end| end.to_string()),
                });
                let change = Change { tenant, action: "grant.create", target: ("resource", &new.resource) };
                change.record(tx, &sharing, &cause, detail).await?;
                announce(tx, tenant, id).await?;
                Ok::<_, Error>(Some((grant, false)))
            })
            .await
    }

    /// The grant.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for one that has ended; [`Error::Denied`] where the asker may not share the resource.
    pub async fn get(self, authority: &Authority, id: ShareId) -> Result<Grant, Error> {
        let missing = || Error::NotFound("grant");
        let (resource, Found { seen, standing, .. }) = self.find_of(authority, id).await?;
        standing.require_sharer()?;
        let permission = seen.model.permission_by_key(id.permission).ok_or_else(missing)?;
        let read = async move |tx: &mut Tx<'_>| {
            let row = params![id.resource, id.party, id.permission];
            tx.query_opt(&schema::GRANT, &row, StoredGrant::from_row).await
        };
        let found: Option<StoredGrant> = self.0.store().read(read).await?;
        let stored = found.filter(|grant| grant.holds(self.0.world().now())).ok_or_else(missing)?;
        Ok(stored.named(&resource, &permission.id))
    }

    /// The resource of a grant, as the asker sees it.
    async fn find_of(self, authority: &Authority, id: ShareId) -> Result<(String, Found), Error> {
        let resource = self.0.id_of(authority.tenant(), id.resource).await?;
        let resource = resource.ok_or(Error::NotFound("grant"))?;
        match self.0.find(authority, &resource).await {
            Ok(found) => Ok((resource, found)),
            Err(Error::NotFound(_)) => Err(Error::NotFound("grant")),
            Err(error) => Err(error),
        }
    }

    /// Revokes a grant. Rights that come from elsewhere (a group, a resource above) stay.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Denied`] where the asker may not share the resource.
    pub async fn revoke(self, authority: &Authority, id: ShareId, cause: &Cause) -> Result<Revision, Error> {
        self.0.with_standing(|| self.try_revoke(authority, id, cause)).await?;
        self.0.revision().await
    }

    async fn try_revoke(
        self,
        authority: &Authority,
        id: ShareId,
        cause: &Cause,
    ) -> Result<Option<()>, Error> {
        let tenant = authority.tenant();
        let (resource, found) = self.find_of(authority, id).await?;
        let claim = found.claim(authority, Need::Share)?;
        let permission =
            found.seen.model.permission_by_key(id.permission).map(|permission| permission.id.clone());
        let (sharing, cause) = (self.0.clone(), cause.clone());
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                if !claim.holds(tx, &sharing, Hold::Along).await? {
                    return Ok(None);
                }
                let row = params![id.resource, id.party, id.permission];
                if tx.execute(&schema::DELETE_GRANT, &row).await? == 0 {
                    return Err(Error::NotFound("grant"));
                }
                let detail = json!({"permission": permission, "subject": id.party});
                let change = Change { tenant, action: "grant.revoke", target: ("resource", &resource) };
                change.record(tx, &sharing, &cause, detail).await?;
                announce(tx, tenant, id).await?;
                Ok(Some(()))
            })
            .await
    }

    /// Revokes what a subject was granted on a resource: one permission, or all. Nothing to revoke is no error.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the resource and the permission; [`Error::Denied`]; [`Error::Invalid`] for [`OWNER`].
    pub async fn revoke_from(
        self,
        authority: &Authority,
        (resource, subject): (&str, Party),
        permission: Option<&str>,
        cause: &Cause,
    ) -> Result<RevokedMany, Error> {
        let attempt = || self.try_revoke_from(authority, (resource, subject), permission, cause);
        let grants = self.0.with_standing(attempt).await?;
        Ok(RevokedMany { grants, revision: self.0.revision().await? })
    }

    async fn try_revoke_from(
        self,
        authority: &Authority,
        (resource, subject): (&str, Party),
        permission: Option<&str>,
        cause: &Cause,
    ) -> Result<Option<u64>, Error> {
        let tenant = authority.tenant();
        let found = self.0.find(authority, resource).await?;
        let claim = found.claim(authority, Need::Share)?;
        let seen = found.seen;
        let type_key = seen.entry().map(|entry| entry.of.key);
        let key = permission.map(|name| permission_of(&seen.model, type_key, name)).transpose()?;
        let node = seen.key();
        let (sharing, cause) = (self.0.clone(), cause.clone());
        let (resource, permission) = (resource.to_owned(), permission.map(str::to_owned));
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                if !claim.holds(tx, &sharing, Hold::Along).await? {
                    return Ok(None);
                }
                let party = subject.uuid();
                let grants = match key {
                    Some(key) => tx.execute(&schema::DELETE_GRANT, &params![node, party, key]).await?,
                    None => tx.execute(&schema::DELETE_GRANTS_TO, &params![node, party]).await?,
                };
                if grants > 0 {
                    let detail = json!({"permission": permission, "subject": subject, "grants": grants});
                    let change = Change { tenant, action: "grant.revoke", target: ("resource", &resource) };
                    change.record(tx, &sharing, &cause, detail).await?;
                    announce(tx, tenant, ShareId { resource: node, party, permission: 0 }).await?;
                }
                Ok::<_, Error>(Some(grants))
            })
            .await
    }

    /// Revokes everything that was granted on a resource, in transactions of bounded size: a failure between two of them
    /// leaves the rest, and the call can be made again.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`].
    pub async fn revoke_all_on(
        self,
        authority: &Authority,
        resource: &str,
        cause: &Cause,
    ) -> Result<RevokedMany, Error> {
        let mut grants = 0_u64;
        let mut more = true;
        while more {
            let attempt = || self.try_revoke_some(authority, resource, cause);
            let (removed, rest) = self.0.with_standing(attempt).await?;
            grants = grants.saturating_add(removed);
            more = rest;
        }
        Ok(RevokedMany { grants, revision: self.0.revision().await? })
    }

    /// Answers how many it has revoked, and whether there are more. The grant by which the asker does it goes last.
    async fn try_revoke_some(
        self,
        authority: &Authority,
        resource: &str,
        cause: &Cause,
    ) -> Result<Option<(u64, bool)>, Error> {
        let tenant = authority.tenant();
        let found = self.0.find(authority, resource).await?;
        let claim = found.claim(authority, Need::Share)?;
        let (sharing, cause, key) = (self.0.clone(), cause.clone(), found.seen.key());
        let id = resource.to_owned();
        self.0
            .store()
            .write(async move |tx: &mut Tx<'_>| {
                if !claim.holds(tx, &sharing, Hold::Along).await? {
                    return Ok(None);
                }
                let none = uuid::Uuid::nil();
                let page = params![key, none, -1_i64, BATCH];
                let found = tx.query(&schema::GRANT_PAGE, &page, StoredGrant::from_row).await?;
                let mut ids: Vec<ShareId> = found.into_iter().map(|grant| grant.id).collect();
                let mut more = i64::try_from(ids.len()).is_ok_and(|found| found >= BATCH);
                if let (Some(own), 2..) = (claim.grant(), ids.len()) {
                    more |= ids.contains(&own);
                    ids.retain(|id| *id != own);
                }
                let what = ("resource", id.as_str());
                let removed = remove(tx, (&sharing, &cause), tenant, (what, &ids)).await?;
                Ok(Some((removed, more)))
            })
            .await
    }

    /// Revokes everything that a subject was granted in the tenant, in transactions of bounded size, as
    /// [`Grants::revoke_all_on`] does.
    ///
    /// # Errors
    /// [`Error::Denied`] without authority over the tenant.
    pub async fn revoke_all_of(
        self,
        authority: &Authority,
        subject: Party,
        cause: &Cause,
    ) -> Result<RevokedMany, Error> {
        require_tenant(authority)?;
        let tenant = authority.tenant();
        let mut grants = 0_u64;
        let mut after = 0_i64;
        while let Some(key) = self.0.next_key(tenant, after).await? {
            let block = key >> schema::BLOCK_BITS;
            loop {
                let (sharing, cause) = (self.0.clone(), cause.clone());
                let write = async move |tx: &mut Tx<'_>| {
                    let party = subject.uuid();
                    let page = params![block, party, -1_i64, BATCH];
                    let ids = tx
                        .query(&schema::GRANTED_IN_BLOCK, &page, |row| {
                            Ok(ShareId {
                                resource: row.get(0)?,
                                party: subject.uuid(),
                                permission: row.get(1)?,
                            })
                        })
                        .await?;
                    let (kind, name) = subject_target(subject);
                    remove(tx, (&sharing, &cause), tenant, ((kind, &name), &ids)).await
                };
                match self.0.store().write(write).await? {
                    0 => break,
                    removed => grants = grants.saturating_add(removed),
                }
            }
            after = block.saturating_add(1) << schema::BLOCK_BITS;
        }
        Ok(RevokedMany { grants, revision: self.0.revision().await? })
    }
}

impl Sharing {
    /// The identifier of a resource of the tenant that was not removed itself.
    pub(crate) async fn id_of(&self, tenant: TenantId, key: i64) -> Result<Option<String>, Error> {
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::ID_OF, &params![tenant, key], |row| row.get::<Option<String>>(0)).await
        };
        Ok(self.store().read(read).await?.flatten())
    }

    /// The tenant's first resource from this key on.
    pub(crate) async fn next_key(&self, tenant: TenantId, from: i64) -> Result<Option<i64>, Error> {
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::NEXT_KEY, &params![tenant, from], |row| row.get(0)).await
        };
        Ok(self.store().read(read).await?)
    }
}

/// The key under which a permission is granted on a resource of this type.
pub(crate) fn permission_of(model: &Model, type_key: Option<i64>, permission: &str) -> Result<i64, Error> {
    if permission == OWNER {
        return Err(Error::invalid("permission", "comes with ownership, and is neither granted nor revoked"));
    }
    let entry = type_key.and_then(|key| model.type_by_key(key));
    entry.and_then(|entry| entry.key_of(permission)).ok_or(Error::NotFound("permission"))
}

/// Announces that a grant has come or gone.
pub(crate) async fn announce(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: ShareId,
) -> Result<(), keyreeve_store::Error> {
    let held = crate::engine::held_key(id.resource, id.party);
    tx.changed(Some(tenant), NODE_TOPIC, &id.resource.to_string()).await?;
    tx.changed(Some(tenant), HELD_TOPIC, &held).await
}

/// A grant that is there: whether it cascades, when it ends, when it was made.
pub(crate) type Former = (bool, Option<Timestamp>, Timestamp);

/// What is granted already at this place, kept as it is until the transaction ends.
pub(crate) async fn held(tx: &mut Tx<'_>, id: ShareId) -> Result<Option<Former>, keyreeve_store::Error> {
    tx.query_opt(&schema::HOLD_GRANT, &params![id.resource, id.party, id.permission], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })
    .await
}

/// The grant that says what both say; none where the former one says all of it.
pub(crate) fn united(wanted: &StoredGrant, former: Option<Former>, now: Timestamp) -> Option<StoredGrant> {
    let mut grant = wanted.clone();
    if let Some((cascade, end, created_at)) = former
        && end.is_none_or(|end| now < end)
    {
        grant.cascade |= cascade;
        grant.expires_at = match (end, grant.expires_at) {
            (Some(former), Some(wanted)) => Some(former.max(wanted)),
            _ => None,
        };
        grant.created_at = created_at;
        if (grant.cascade, grant.expires_at) == (cascade, end) {
            return None;
        }
    }
    Some(grant)
}

/// Writes a grant, over one that may be there.
pub(crate) async fn replace(tx: &mut Tx<'_>, grant: &StoredGrant) -> Result<(), keyreeve_store::Error> {
    let ((by, by_id), kind) = (grant.granted_by.columns(), PartyKind::of(grant.subject));
    let row = params![
        grant.id.resource,
        grant.id.party,
        grant.id.permission,
        kind,
        grant.cascade,
        grant.expires_at,
        by,
        by_id,
        grant.created_at
    ];
    tx.execute(&schema::WRITE_GRANT, &row).await.map(drop)
}

/// Writes a grant over one that may be there; answers what it is then, and whether that is anything new.
async fn write(tx: &mut Tx<'_>, wanted: &StoredGrant, now: Timestamp) -> Result<(StoredGrant, bool), Error> {
    let former = held(tx, wanted.id).await?;
    let Some(grant) = united(wanted, former, now) else {
        let (cascade, expires_at, created_at) = former.unwrap_or((false, None, now));
        return Ok((StoredGrant { cascade, expires_at, created_at, ..wanted.clone() }, false));
    };
    match replace(tx, &grant).await {
        Ok(()) => Ok((grant, true)),
        // The resource was swept away at this moment.
        Err(keyreeve_store::Error::ForeignKey) => Err(Error::NotFound("resource")),
        Err(error) => Err(error.into()),
    }
}

/// Removes these grants, with one entry in the audit log; answers how many there were.
async fn remove(
    tx: &mut Tx<'_>,
    (sharing, cause): (&Sharing, &Cause),
    tenant: TenantId,
    (target, ids): ((&'static str, &str), &[ShareId]),
) -> Result<u64, Error> {
    let rows: Vec<_> = ids.iter().map(|id| params![id.resource, id.party, id.permission]).collect();
    let removed: u64 = tx.execute_each(&schema::DELETE_GRANT, &rows).await?.into_iter().sum();
    if removed > 0 {
        let change = Change { tenant, action: "grant.revoke", target };
        change.record(tx, sharing, cause, json!({"grants": removed})).await?;
        for id in ids {
            announce(tx, tenant, *id).await?;
        }
    }
    Ok(removed)
}

/// How the audit log names a subject.
pub(crate) fn subject_target(subject: Party) -> (&'static str, String) {
    let kind = match subject {
        Party::User(_) => "user",
        Party::Service(_) => "service_account",
        Party::Group(_) => "group",
    };
    (kind, subject.uuid().to_string())
}
